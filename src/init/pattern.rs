//! The regular expressions that occur in tool schemas: matched, and written a
//! text for.
//!
//! A subset of ECMAScript's: literals, sets, groups, alternatives, repetition
//! and anchors. Look-around, back references, word boundaries and Unicode
//! properties are not understood, which [`Pattern::parse`] says. Both matching
//! and writing are bounded: the pattern is a stranger's.

/// A pattern that is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    root: Node,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Set(Set),
    Start,
    End,
    Sequence(Vec<Node>),
    /// Not empty.
    Alternatives(Vec<Node>),
    Repeat {
        node: Box<Node>,
        min: usize,
        /// `None`: without bound.
        max: Option<usize>,
    },
}

/// Characters, as inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Set {
    ranges: Vec<(char, char)>,
    is_negated: bool,
}

/// A longer pattern is not read.
const PATTERN_LEN_MAX: usize = 1_000;
/// Groups inside groups.
const DEPTH_MAX: usize = 32;
/// A longer text is neither matched nor written.
const TEXT_LEN_MAX: usize = 10_000;
/// Character positions looked at for one match: well below a millisecond.
const WORK_MAX: usize = 200_000;

impl Pattern {
    /// Reads a pattern; `None` where it is not understood.
    pub(super) fn parse(text: &str) -> Option<Pattern> {
        let chars: Vec<char> = text.chars().take(PATTERN_LEN_MAX + 1).collect();
        if chars.len() > PATTERN_LEN_MAX {
            return None;
        }
        let mut parser = Parser {
            chars: &chars,
            at: 0,
        };
        let root = parser.alternatives(0)?;
        (parser.at == chars.len()).then_some(Pattern { root })
    }

    /// Whether it matches anywhere in the text, as JSON Schema has it. `None`
    /// where finding out would take too long.
    pub(super) fn matches(&self, text: &str) -> Option<bool> {
        let chars: Vec<char> = text.chars().take(TEXT_LEN_MAX + 1).collect();
        if chars.len() > TEXT_LEN_MAX {
            return None;
        }
        let mut matcher = Matcher {
            chars: &chars,
            work_left: WORK_MAX,
        };
        let everywhere = vec![true; chars.len() + 1];
        let ends = matcher.ends(&self.root, &everywhere)?;
        Some(ends.contains(&true))
    }

    /// A text that it was written to match, with about `n_repeats` of whatever
    /// may repeat; `choice` goes through the alternatives. The caller checks.
    pub(super) fn write(&self, n_repeats: usize, choice: usize) -> Option<String> {
        let mut text = String::new();
        let mut work_left = TEXT_LEN_MAX;
        write_node(&self.root, n_repeats, choice, &mut text, &mut work_left)?;
        Some(text)
    }
}

struct Parser<'a> {
    chars: &'a [char],
    /// 0 <= at <= chars.len()
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn eat(&mut self, expected: &str) -> bool {
        let n_chars = expected.chars().count();
        let is_there = expected
            .chars()
            .eq(self.chars[self.at..].iter().take(n_chars).copied());
        if is_there {
            self.at += n_chars;
        }
        is_there
    }

    fn alternatives(&mut self, depth: usize) -> Option<Node> {
        if depth > DEPTH_MAX {
            return None;
        }
        let mut branches = vec![self.sequence(depth)?];
        while self.eat("|") {
            branches.push(self.sequence(depth)?);
        }
        if branches.len() == 1 {
            return branches.pop();
        }
        Some(Node::Alternatives(branches))
    }

    fn sequence(&mut self, depth: usize) -> Option<Node> {
        let mut nodes = Vec::new();
        while let Some(c) = self.peek() {
            if matches!(c, '|' | ')') {
                break;
            }
            let node = self.atom(depth)?;
            nodes.push(self.repeated(node)?);
        }
        Some(Node::Sequence(nodes))
    }

    fn atom(&mut self, depth: usize) -> Option<Node> {
        match self.next()? {
            '^' => Some(Node::Start),
            '$' => Some(Node::End),
            '.' => Some(Node::Set(Set {
                ranges: vec![('\n', '\n'), ('\r', '\r'), ('\u{2028}', '\u{2029}')],
                is_negated: true,
            })),
            '[' => self.set().map(Node::Set),
            '(' => {
                if self.eat("?") && !self.eat(":") {
                    self.group_name()?;
                }
                let node = self.alternatives(depth + 1)?;
                self.eat(")").then_some(node)
            }
            '\\' => self.escape().map(Node::Set),
            '*' | '+' | '?' => None,
            c => Some(Node::Set(Set::of(c))),
        }
    }

    /// Behind `(?`: `<name>`, which only counts for references.
    fn group_name(&mut self) -> Option<()> {
        if !self.eat("<") || matches!(self.peek()?, '=' | '!') {
            return None;
        }
        while self.next()? != '>' {}
        Some(())
    }

    fn repeated(&mut self, node: Node) -> Option<Node> {
        let bounds = match self.peek() {
            Some('*') => Some((0, None)),
            Some('+') => Some((1, None)),
            Some('?') => Some((0, Some(1))),
            Some('{') => {
                let before = self.at;
                match self.bounds() {
                    Some(bounds) => {
                        self.eat("?");
                        return repeat(node, bounds);
                    }
                    // A brace that begins no bounds stands for itself.
                    None => self.at = before,
                }
                None
            }
            _ => None,
        };
        let Some(bounds) = bounds else {
            return Some(node);
        };
        self.at += 1;
        // A lazy repetition matches the same texts.
        self.eat("?");
        repeat(node, bounds)
    }

    /// `{2}`, `{2,}`, `{2,5}`
    fn bounds(&mut self) -> Option<(usize, Option<usize>)> {
        self.eat("{");
        let min = self.number()?;
        let max = if self.eat(",") {
            if self.peek()? == '}' {
                None
            } else {
                Some(self.number()?)
            }
        } else {
            Some(min)
        };
        self.eat("}").then_some((min, max))
    }

    fn number(&mut self) -> Option<usize> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let digits: String = self.chars[start..self.at].iter().collect();
        digits.parse().ok()
    }

    /// Behind `[`.
    fn set(&mut self) -> Option<Set> {
        let mut set = Set {
            is_negated: self.eat("^"),
            ..Set::default()
        };
        loop {
            let low = match self.next()? {
                ']' => return Some(set),
                '\\' => {
                    let escaped = self.escape()?;
                    match escaped.single() {
                        Some(c) => c,
                        None => {
                            if escaped.is_negated {
                                return None;
                            }
                            set.ranges.extend(escaped.ranges);
                            continue;
                        }
                    }
                }
                c => c,
            };
            let is_range =
                self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
            if !is_range {
                set.ranges.push((low, low));
                continue;
            }
            self.at += 1;
            let high = match self.next()? {
                // `[a-\d]` is the three of them: not understood.
                '\\' => self.escape()?.single()?,
                c => c,
            };
            if high < low {
                return None;
            }
            set.ranges.push((low, high));
        }
    }

    /// Behind a backslash.
    fn escape(&mut self) -> Option<Set> {
        let class = |ranges: &[(char, char)], is_negated| Set {
            ranges: ranges.to_vec(),
            is_negated,
        };
        const DIGITS: &[(char, char)] = &[('0', '9')];
        const WORD: &[(char, char)] = &[('a', 'z'), ('0', '9'), ('A', 'Z'), ('_', '_')];
        const BLANKS: &[(char, char)] = &[
            (' ', ' '),
            ('\t', '\r'),
            ('\u{a0}', '\u{a0}'),
            ('\u{2028}', '\u{2029}'),
            ('\u{feff}', '\u{feff}'),
        ];
        Some(match self.next()? {
            'd' => class(DIGITS, false),
            'D' => class(DIGITS, true),
            'w' => class(WORD, false),
            'W' => class(WORD, true),
            's' => class(BLANKS, false),
            'S' => class(BLANKS, true),
            'n' => Set::of('\n'),
            'r' => Set::of('\r'),
            't' => Set::of('\t'),
            'f' => Set::of('\u{c}'),
            'v' => Set::of('\u{b}'),
            'x' => Set::of(self.code_point(2)?),
            'u' => Set::of(self.code_point(4)?),
            c if c.is_alphanumeric() => return None,
            c => Set::of(c),
        })
    }

    fn code_point(&mut self, n_digits: usize) -> Option<char> {
        let mut code = 0;
        for _ in 0..n_digits {
            code = code * 16 + self.next()?.to_digit(16)?;
        }
        char::from_u32(code)
    }
}

fn repeat(node: Node, (min, max): (usize, Option<usize>)) -> Option<Node> {
    if max.is_some_and(|max| max < min) || matches!(node, Node::Start | Node::End) {
        return None;
    }
    Some(Node::Repeat {
        node: Box::new(node),
        min,
        max,
    })
}

impl Set {
    fn of(c: char) -> Set {
        Set {
            ranges: vec![(c, c)],
            is_negated: false,
        }
    }

    fn single(&self) -> Option<char> {
        match self.ranges[..] {
            [(low, high)] if low == high && !self.is_negated => Some(low),
            _ => None,
        }
    }

    fn contains(&self, c: char) -> bool {
        let is_inside = self
            .ranges
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&c));
        is_inside != self.is_negated
    }

    /// A plain character of the set, if it has any.
    fn sample(&self) -> Option<char> {
        "a1A-_. ~"
            .chars()
            .find(|c| self.contains(*c))
            .or_else(|| match self.is_negated {
                false => self.ranges.first().map(|(low, _)| *low),
                true => ('!'..='\u{2fff}').find(|c| self.contains(*c)),
            })
    }
}

struct Matcher<'a> {
    chars: &'a [char],
    work_left: usize,
}

impl Matcher<'_> {
    /// Where `node` can end when it begins at any of `starts`: sets of
    /// positions, so that nothing is tried twice.
    fn ends(&mut self, node: &Node, starts: &[bool]) -> Option<Vec<bool>> {
        self.work_left = self.work_left.checked_sub(starts.len())?;
        let last = starts.len() - 1;
        match node {
            Node::Set(set) => {
                let mut ends = vec![false; starts.len()];
                for (at, c) in self.chars.iter().enumerate() {
                    ends[at + 1] = starts[at] && set.contains(*c);
                }
                Some(ends)
            }
            Node::Start => Some(only(starts, 0)),
            Node::End => Some(only(starts, last)),
            Node::Sequence(nodes) => {
                let mut ends = starts.to_vec();
                for node in nodes {
                    ends = self.ends(node, &ends)?;
                }
                Some(ends)
            }
            Node::Alternatives(branches) => {
                let mut ends = vec![false; starts.len()];
                for branch in branches {
                    add(&mut ends, &self.ends(branch, starts)?);
                }
                Some(ends)
            }
            Node::Repeat { node, min, max } => {
                let mut ends = starts.to_vec();
                for _ in 0..*min {
                    ends = self.ends(node, &ends)?;
                    if !ends.contains(&true) {
                        return Some(ends);
                    }
                }
                let mut frontier = ends.clone();
                for _ in *min..max.unwrap_or(usize::MAX) {
                    frontier = self.ends(node, &frontier)?;
                    for (new, old) in frontier.iter_mut().zip(&ends) {
                        *new &= !old;
                    }
                    if !frontier.contains(&true) {
                        break;
                    }
                    add(&mut ends, &frontier);
                }
                Some(ends)
            }
        }
    }
}

fn only(starts: &[bool], position: usize) -> Vec<bool> {
    let mut ends = vec![false; starts.len()];
    ends[position] = starts[position];
    ends
}

fn add(all: &mut [bool], more: &[bool]) {
    for (all, more) in all.iter_mut().zip(more) {
        *all |= more;
    }
}

fn write_node(
    node: &Node,
    n_repeats: usize,
    choice: usize,
    text: &mut String,
    work_left: &mut usize,
) -> Option<()> {
    *work_left = work_left.checked_sub(1)?;
    match node {
        Node::Set(set) => text.push(set.sample()?),
        Node::Start | Node::End => {}
        Node::Sequence(nodes) => {
            for node in nodes {
                write_node(node, n_repeats, choice, text, work_left)?;
            }
        }
        Node::Alternatives(branches) => {
            let branch = &branches[choice % branches.len()];
            write_node(branch, n_repeats, choice, text, work_left)?;
        }
        Node::Repeat { node, min, max } => {
            let n_times = n_repeats.min(max.unwrap_or(usize::MAX)).max(*min);
            for _ in 0..n_times {
                write_node(node, n_repeats, choice, text, work_left)?;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let parsed = Pattern::parse(pattern).expect(pattern);
        for text in matching {
            assert_eq!(parsed.matches(text), Some(true), "{pattern} {text}");
        }
        for text in other {
            assert_eq!(parsed.matches(text), Some(false), "{pattern} {text}");
        }
        for (n_repeats, choice) in [(0, 0), (1, 1), (5, 2)] {
            let written = parsed.write(n_repeats, choice).expect(pattern);
            assert_eq!(parsed.matches(&written), Some(true), "{pattern} {written}");
        }
    }

    #[test]
    fn patterns_of_real_schemas() {
        check("^[a-z0-9-]+$", &["a-1"], &["", "A", "a b"]);
        check(r"^\d{4}-\d{2}-\d{2}$", &["2026-01-01"], &["2026-1-01"]);
        check("^(foo|bar|)$", &["foo", "bar", ""], &["baz", "fo"]);
        check("^https?://", &["http://a", "https://"], &["ftp://a"]);
        check("^#[0-9a-fA-F]{6}$", &["#09afAF"], &["#09afA", "09afAF"]);
        check(r"^(?:\w+\.)*\w+$", &["a.b.c", "a"], &["a..b", "."]);
        check(r"^(?<year>\d{2,})?$", &["", "12", "123"], &["1"]);
        check("b", &["abc"], &["ac"]);
        check("", &["", "x"], &[]);
        check("^[^/]+/[^/]+$", &["a/b"], &["a/b/c", "/"]);
        check(r"^[\w.+-]+@[\w-]+\.[a-z]{2,}?$", &["a+b@c.de"], &["a@b"]);
        check(r"^.{3,5}$", &["abc", "äöüäö"], &["ab", "abcdef"]);
        check(r"^\u0041\x42[\]\\]$", &["AB]", "AB\\"], &["AB["]);
        check("^a{,2}$", &["a{,2}"], &["aa"]);
        check(r"^[^\d\s]$", &["x"], &["1", " "]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for pattern in [
            "(?=a)", "(?!a)", "(?<=a)", r"(a)\1", r"\bword", r"\p{L}", "a**", "(", ")", "[",
            "[z-a]", "*", "a{2,1}", "^*", "\\", "(?i)a",
        ] {
            assert_eq!(Pattern::parse(pattern), None, "{pattern}");
        }
        assert_eq!(Pattern::parse(&"(".repeat(5_000)), None);
        assert_eq!(
            Pattern::parse(&format!("{}{}", "(".repeat(100), ")".repeat(100))),
            None
        );
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let nested =
            Pattern::parse("^((((a{0,999}){0,999}){0,999}){0,999}){999}$").expect("a pattern");
        assert_eq!(nested.matches(&"a".repeat(5_000)), None);
        assert_eq!(nested.write(999, 0), None);
        let twice = Pattern::parse("^(a+)+$").expect("a pattern");
        assert_eq!(twice.matches(&format!("{}b", "a".repeat(100))), Some(false));
        // Repeating nothing for ever.
        let empty = Pattern::parse("(){99999999999}").expect("a pattern");
        assert_eq!(empty.write(0, 0), None);
        assert_eq!(empty.matches(""), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(pattern in r"[\^\$\\\[\](){}|*+?.,\-a-c0-9:<>=!dws]{0,30}", text in "[a-c0-9]{0,10}") {
            if let Some(pattern) = Pattern::parse(&pattern) {
                let _any_answer_will_do = pattern.matches(&text);
                let _any_answer_will_do = pattern.write(2, 1);
            }
        }

        #[test]
        fn what_is_written_for_an_anchor_free_pattern_matches(
            pattern in r"([a-c]|[a-c][*+?]|\(a\|b\)\{1,3\}|\[a-c\]\+|\\d){1,8}",
            n_repeats in 0_usize..4,
        ) {
            let parsed = Pattern::parse(&pattern);
            prop_assume!(parsed.is_some());
            let parsed = parsed.expect("assumed");
            let text = parsed.write(n_repeats, n_repeats).expect("short");
            prop_assert_eq!(parsed.matches(&text), Some(true), "{} {}", pattern, text);
        }
    }
}
