//! A JSONPath of RFC 9535, and the values it finds in a text.
//!
//! Members and elements are followed in the text (`simple.rs`). All else is the
//! `serde_json_path` crate's: a tree is built for it, the crate says where the values
//! are, and they are taken from the text there, since a tree does not hold numbers digit
//! for digit. It knows no bound on its work, so that is counted before.

use std::collections::HashSet;
use std::ptr;

use serde_json::Value;
use serde_json_path::JsonPath;

use super::simple::{self, Hop};

/// The longest text in which a value is looked for otherwise than by a simple path, in
/// bytes of its JSON.
pub(super) const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// The most steps of a simple path.
const HOPS_MAX: usize = 64;
/// Brackets within brackets.
const NEST_MAX: usize = 8;
/// The most values that a path looks at.
const WORK_MAX: usize = 200_000;
/// What it costs to compile a regular expression, in values looked at.
const PATTERN_WORK: usize = 500;

/// Which of several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    /// The first in the order of the text.
    First,
    /// The last in that order.
    Last,
    /// Any of them.
    Random,
    /// How many there are.
    Count,
}

impl Pick {
    /// Of this many in order; `None` where there is none.
    pub(super) fn of(self, n: usize, random: &mut fastrand::Rng) -> Option<usize> {
        let last = n.checked_sub(1)?;
        Some(match self {
            Self::First | Self::Count => 0,
            Self::Last => last,
            Self::Random => random.usize(..n),
        })
    }
}

/// A path, compiled once.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Path {
    /// Members and elements only.
    Simple(Vec<Hop>),
    /// Any other.
    Query { query: Box<JsonPath>, loops: Loops },
}

/// What of a path multiplies its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Loops {
    /// `..`, which looks at a value once for each value around it.
    descents: u32,
    /// `$` in a filter, which looks at all once for each value that is filtered.
    roots: u32,
    /// `match` and `search`, which compile their pattern for each value.
    n_patterns: usize,
}

/// Where the values are, or how many.
pub(super) enum Picked<'a> {
    Value(&'a str),
    Count(usize),
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong, and at which byte.
    pub(super) fn parse(text: &str) -> Result<Self, (String, usize)> {
        if text.len() > PATH_BYTES_MAX {
            return Err((format!("a path has at most {PATH_BYTES_MAX} bytes"), 0));
        }
        if let Some(hops) = simple_hops(text).filter(|hops| hops.len() <= HOPS_MAX) {
            return Ok(Self::Simple(hops));
        }
        let loops = Loops::of(text)?;
        match JsonPath::parse(text) {
            Ok(query) => Ok(Self::Query {
                query: Box::new(query),
                loops,
            }),
            Err(error) => {
                let at = error.position().min(text.len());
                Err((format!("`{text}` is not JSONPath: {}", error.message()), at))
            }
        }
    }

    /// The values there; no value: an empty text why.
    ///
    /// # Errors
    /// What was there instead.
    pub(super) fn find<'a>(
        &self,
        json: &'a str,
        pick: Pick,
        random: &mut fastrand::Rng,
    ) -> Result<Picked<'a>, String> {
        match self {
            Self::Simple(hops) => match (simple::find(hops, json), pick) {
                (found, Pick::Count) => Ok(Picked::Count(usize::from(found.is_some()))),
                (Some(found), _) => Ok(Picked::Value(found)),
                (None, _) => Err(simple::what_is_there(hops, json)),
            },
            Self::Query { query, loops } => {
                let tree = read_tree(json)?;
                loops.check(&tree)?;
                let mut located = query.query_located(&tree).all();
                if pick == Pick::Count {
                    return Ok(Picked::Count(located.len()));
                }
                if pick != Pick::Random {
                    keep_outermost(&mut located, &tree, pick);
                }
                let node = pick.of(located.len(), random).map(|at| &located[at]);
                let node = node.ok_or_else(|| simple::what_is_there(&[], json))?;
                let hops: Vec<Hop> = node.location().iter().map(hop).collect();
                let found = simple::find(&hops, json);
                found.map(Picked::Value).ok_or_else(String::new)
            }
        }
    }
}

/// A tree of the text.
///
/// # Errors
/// Why there is none.
pub(super) fn read_tree(json: &str) -> Result<Value, String> {
    if json.len() > TEXT_BYTES_MAX {
        let n_bytes = json.len();
        return Err(format!(
            "{n_bytes} bytes, which only a path of members and elements looks through"
        ));
    }
    serde_json::from_str(json).map_err(|error| match error.is_syntax() {
        // The crate has no kind of its own for it.
        true if error.to_string().starts_with("recursion limit") => {
            "values nested more than 127 deep, which only a path of members and elements \
             looks through"
                .to_string()
        }
        _ => format!("what is not JSON ({error})"),
    })
}

type Node<'a> = serde_json_path::LocatedNode<'a>;

/// Of the nodes only the first, or the last, in the order of the text: the order of the
/// nodes is by their depth, too.
fn keep_outermost(nodes: &mut Vec<Node<'_>>, tree: &Value, pick: Pick) {
    if nodes.len() < 2 {
        return;
    }
    let wanted: HashSet<*const Value> = nodes
        .iter()
        .map(|node| ptr::from_ref(node.node()))
        .collect();
    let mut waiting = vec![tree];
    let mut kept = None;
    while let Some(value) = waiting.pop() {
        if wanted.contains(&ptr::from_ref(value)) {
            kept = Some(value);
            if pick == Pick::First {
                break;
            }
        }
        // The next one to look at is on top.
        match value {
            Value::Array(items) => waiting.extend(items.iter().rev()),
            Value::Object(fields) => waiting.extend(fields.values().rev()),
            _ => {}
        }
    }
    nodes.retain(|node| kept.is_some_and(|kept| ptr::eq(kept, node.node())));
}

fn hop(element: &serde_json_path::PathElement<'_>) -> Hop {
    match element {
        serde_json_path::PathElement::Name(name) => Hop::Member((*name).to_string()),
        serde_json_path::PathElement::Index(at) => Hop::Element(*at),
    }
}

impl Loops {
    /// Counted in the text: the parser does not show what it read.
    fn of(path: &str) -> Result<Self, (String, usize)> {
        let mut loops = Self::default();
        let (mut nest, mut rest) = (0_usize, path);
        while let Some(c) = rest.chars().next() {
            let at = path.len() - rest.len();
            let mut n_bytes = c.len_utf8();
            match c {
                '\'' | '"' => n_bytes = quoted_len(rest),
                '[' | '(' if nest == NEST_MAX => {
                    return Err((format!("brackets nest at most {NEST_MAX} deep"), at));
                }
                '[' | '(' => nest += 1,
                ']' | ')' => nest = nest.saturating_sub(1),
                '$' if at > 0 => loops.roots += 1,
                '.' if rest.starts_with("..") => {
                    loops.descents += 1;
                    n_bytes = 2;
                }
                'm' | 's' if rest.starts_with("match(") || rest.starts_with("search(") => {
                    loops.n_patterns += 1;
                    if !has_literal_pattern(rest) {
                        let what = "the pattern of `match` and `search` is a text in quotes";
                        return Err((what.to_string(), at));
                    }
                }
                _ => {}
            }
            rest = &rest[n_bytes..];
        }
        Ok(loops)
    }

    /// # Errors
    /// The tree is too large for it.
    fn check(self, tree: &Value) -> Result<(), String> {
        let (n_values, depth) = size(tree);
        let work = n_values
            .saturating_mul(n_values.saturating_pow(self.roots))
            .saturating_mul(depth.saturating_pow(self.descents.saturating_sub(1)))
            .saturating_mul(1 + self.n_patterns.saturating_mul(PATTERN_WORK));
        match work > WORK_MAX {
            true => Err(format!(
                "{n_values} values, {depth} deep, which are too many for this path"
            )),
            false => Ok(()),
        }
    }
}

/// How many values a tree has, and how deep it is.
fn size(tree: &Value) -> (usize, usize) {
    let (mut n_values, mut depth) = (0, 0);
    let mut waiting = vec![(tree, 1)];
    while let Some((value, at)) = waiting.pop() {
        n_values += 1;
        depth = depth.max(at);
        match value {
            Value::Array(items) => waiting.extend(items.iter().map(|item| (item, at + 1))),
            Value::Object(fields) => waiting.extend(fields.values().map(|field| (field, at + 1))),
            _ => {}
        }
    }
    (n_values, depth)
}

/// The length of the quoted text that this one begins with, to its end where it is open.
pub(super) fn quoted_len(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, c)| c);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if Some(c) == quote {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// Whether the second argument of the call that the text begins with is in quotes.
fn has_literal_pattern(call: &str) -> bool {
    let (mut nest, mut rest) = (0_i32, call);
    while let Some(c) = rest.chars().next() {
        let n_bytes = match c {
            '\'' | '"' => quoted_len(rest),
            _ => c.len_utf8(),
        };
        rest = &rest[n_bytes..];
        match c {
            '(' | '[' => nest += 1,
            ')' | ']' => nest -= 1,
            ',' if nest == 1 => return rest.trim_start().starts_with(['\'', '"']),
            _ => {}
        }
    }
    // The parser finds that there is none.
    true
}

/// The hops of a path that has members and elements only, and no escapes.
fn simple_hops(path: &str) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let mut rest = path.strip_prefix('$')?;
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
            let is_inner = |c: char| is_first(c) || c.is_ascii_digit();
            let end = name.find(|c| !is_inner(c)).unwrap_or(name.len());
            if !name.starts_with(is_first) {
                return None;
            }
            hops.push(Hop::Member(name[..end].to_string()));
            rest = &name[end..];
            continue;
        }
        let inner = rest.strip_prefix('[')?;
        if inner.starts_with(['\'', '"']) {
            let (quoted, after) = inner.split_at(quoted_len(inner));
            let name = quoted.get(1..quoted.len().checked_sub(1)?)?;
            if name.contains(|c: char| c == '\\' || c.is_control()) {
                return None;
            }
            hops.push(Hop::Member(name.to_string()));
            rest = after.strip_prefix(']')?;
        } else {
            let (digits, after) = inner.split_once(']')?;
            let is_canonical = digits == "0" || !digits.starts_with('0');
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            let at = digits.parse().ok().filter(|_| is_number && is_canonical)?;
            // Beyond it RFC 9535 allows none; the parser says so.
            if at > (1_usize << 53) - 1 {
                return None;
            }
            hops.push(Hop::Element(at));
            rest = after;
        }
    }
    Some(hops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Names that texts spell in more than one way, too.
    fn name() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "é", "a b", "0", "\u{2028}", "q\"\\"])
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 60, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name(), inner), 0..5).prop_map(|members| {
                    let members = members.into_iter();
                    members
                        .map(|(name, value)| (name.to_string(), value))
                        .collect()
                }),
            ]
        })
    }

    fn hop_text() -> impl Strategy<Value = String> {
        prop_oneof![
            (0..4_usize).prop_map(|at| format!("[{at}]")),
            prop::sample::select(vec![".a", ".b", ".é", "['a b']", "[\"0\"]", "['\u{2028}']"])
                .prop_map(str::to_string),
        ]
    }

    /// The text with each letter of its names and strings written as an escape.
    fn with_escapes(json: &str) -> String {
        json.replace('a', "\\u0061").replace("b\"", "\\u0062\"")
    }

    proptest! {
        /// `serde_json_path`, which builds a tree, finds the same.
        #[test]
        fn a_simple_path_finds_what_the_crate_finds(
            tree in tree(),
            hops in prop::collection::vec(hop_text(), 0..4),
        ) {
            let text = format!("${}", hops.concat());
            let path = Path::parse(&text).expect("a path");
            prop_assert!(matches!(path, Path::Simple(_)), "{}", text);
            let query = JsonPath::parse(&text).expect("a path of the crate's");
            let pretty = serde_json::to_string_pretty(&tree).expect("it renders");
            let mut random = fastrand::Rng::with_seed(1);
            for json in [tree.to_string(), with_escapes(&tree.to_string()), pretty] {
                // Escapes are undone in what is looked for, and in what is found.
                let Ok(tree) = serde_json::from_str::<Value>(&json) else {
                    continue;
                };
                let expected = query.query(&tree).at_most_one().expect("one at most");
                let found = match path.find(&json, Pick::First, &mut random) {
                    Ok(Picked::Value(found)) => serde_json::from_str::<Value>(found).ok(),
                    _ => None,
                };
                prop_assert_eq!(found.as_ref(), expected, "{} of {}", text, json);
            }
        }
    }
}
