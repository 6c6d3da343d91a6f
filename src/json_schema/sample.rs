//! Sample arguments for a tool, from its JSON Schema.
//!
//! A value is built from what tools' schemas hold: constants, defaults,
//! examples, types, formats, names, bounds, required properties, references,
//! and one branch of each alternative. Then the whole value is checked
//! ([`super::check`]). Where it fails, the choice nearest to the violation takes
//! its next alternative, and a new value is built, a bounded number of times.
//! What does not hold at the end is in the doubts. The same schema always gives
//! the same sample; what the values mean to the server is not known here.
//!
//! Start at [`sample_arguments`]. A place in a schema is a list of schemas that
//! all apply ([`Demands`]): `$ref` and `allOf` only make the list longer.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Number, Value, json};

use super::check::{SchemaCheck, resolve};
use super::pattern::{Pattern, TEXT_LEN_MAX};
use super::words::{number_of_name, text_of_format, text_of_name};

/// Sample arguments of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleArguments {
    /// The arguments that are required.
    pub values: Map<String, Value>,
    /// Others that the schema knows, in its order; at most 20. A value is
    /// `null` where nothing else is accepted.
    pub optional: Vec<(String, Value)>,
    /// Why the required ones may not satisfy the schema; empty: they do. Texts
    /// may hold anything that the schema holds.
    pub doubts: Vec<String>,
}

/// Sample arguments for a tool with this input schema, whatever it is: the
/// arguments are always an object.
pub fn sample_arguments(schema: &Value) -> SampleArguments {
    let object = json!({"type": "object"});
    let mut check = SchemaCheck::new(schema);
    let (value, doubts) = Sampler::new(schema, &[]).best(&[schema, &object], &mut check);
    let values = match value {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    let known = Demands::of(schema, &[schema]).property_names();
    let others = known.into_iter().filter(|name| !values.contains_key(*name));
    let others: Vec<&str> = others.take(N_OPTIONAL_MAX).collect();
    let (all, _) = Sampler::new(schema, &others).best(&[schema, &object], &mut check);
    let sampled = |name: &&str| Some(((*name).to_string(), all.get(*name)?.clone()));
    SampleArguments {
        optional: others.iter().filter_map(sampled).collect(),
        values,
        doubts,
    }
}

/// What the schema says of an argument of this name: its description, and the
/// values it is limited to.
pub fn describe_argument(schema: &Value, name: &str) -> (Option<String>, Vec<Value>) {
    let rules = Demands::of(schema, &[schema]).property(name);
    let argument = Demands::of(schema, &rules);
    let described = argument
        .schemas
        .iter()
        .find_map(|schema| text(schema, "description").or_else(|| text(schema, "title")));
    let mut choices = argument.schemas.iter().map(|schema| list(schema, "enum"));
    let choices = choices.find(|choices| !choices.is_empty());
    (
        described.map(str::to_string),
        choices.unwrap_or_default().to_vec(),
    )
}

/// More in a comment would hide the ones that matter.
const N_OPTIONAL_MAX: usize = 20;
/// Values inside values, alternatives and references among them.
const DEPTH_MAX: usize = 40;
/// A value nested deeper is not taken from `default`, `examples` and the like:
/// readers of TOML have their own bound.
const VALUE_DEPTH_MAX: usize = 20;
/// Values made, characters and array elements, of all attempts at one sample:
/// no tool that can be called by hand needs as much.
const WORK_MAX: usize = 20_000;
/// The share of that work which a pattern takes.
const PATTERN_WORK: usize = 300;
/// Attempts at a value that satisfies the schema.
const N_ATTEMPTS_MAX: usize = 64;
/// Schemas that apply at one place.
const N_SCHEMAS_MAX: usize = 64;
/// Branches, and values that the schema gives, looked at in one list.
const N_LISTED_MAX: usize = 100;
/// There are seven types.
const N_TYPES_MAX: usize = 7;

/// What a schema without a type is about, by the first keyword that it has.
const TYPES_OF_KEYWORDS: &[(&str, &str)] = &[
    ("properties", "object"),
    ("required", "object"),
    ("additionalProperties", "object"),
    ("patternProperties", "object"),
    ("items", "array"),
    ("prefixItems", "array"),
    ("minItems", "array"),
    ("uniqueItems", "array"),
    ("minimum", "number"),
    ("maximum", "number"),
    ("exclusiveMinimum", "number"),
    ("exclusiveMaximum", "number"),
    ("multipleOf", "number"),
];

/// A schema that is an object. A keyword of a wrong type counts as absent.
pub(super) type SchemaFields = Map<String, Value>;

fn text<'a>(schema: &'a SchemaFields, keyword: &str) -> Option<&'a str> {
    schema.get(keyword)?.as_str()
}

fn list<'a>(schema: &'a SchemaFields, keyword: &str) -> &'a [Value] {
    let items = schema.get(keyword).and_then(Value::as_array);
    items.map(Vec::as_slice).unwrap_or_default()
}

fn object<'a>(schema: &'a SchemaFields, keyword: &str) -> Option<&'a SchemaFields> {
    schema.get(keyword)?.as_object()
}

fn number<'a>(schema: &'a SchemaFields, keyword: &str) -> Option<&'a Number> {
    schema.get(keyword)?.as_number()
}

fn is_true(schema: &SchemaFields, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}

/// All that applies at one place of a value.
#[derive(Clone, Default)]
pub(super) struct Demands<'a> {
    /// `allOf` and `$ref` already followed, each once.
    pub(super) schemas: Vec<&'a SchemaFields>,
    /// Each of them: one branch must be chosen, whose schemas then apply too.
    pub(super) alternatives: Vec<Vec<&'a Value>>,
}

impl<'a> Demands<'a> {
    /// `root` is what references begin at.
    pub(super) fn of(root: &'a Value, schemas: &[&'a Value]) -> Self {
        let mut demands = Self::default();
        for schema in schemas {
            demands.add(root, schema);
        }
        demands
    }

    /// Adds a schema with all that it refers to.
    fn add(&mut self, root: &'a Value, schema: &'a Value) {
        let mut waiting = vec![schema];
        while let Some(schema) = waiting.pop() {
            let Value::Object(fields) = schema else {
                continue;
            };
            let is_known = self
                .schemas
                .iter()
                .any(|known| std::ptr::eq(*known, fields));
            if is_known || self.schemas.len() >= N_SCHEMAS_MAX {
                continue;
            }
            self.schemas.push(fields);
            for keyword in ["anyOf", "oneOf"] {
                let branches = list(fields, keyword).iter().take(N_LISTED_MAX);
                let branches = branches.filter(|branch| branch.as_bool() != Some(false));
                let branches: Vec<&Value> = branches.collect();
                if !branches.is_empty() {
                    self.alternatives.push(branches);
                }
            }
            // The last is looked at first: the order of the schema is kept.
            waiting.extend(list(fields, "allOf").iter().take(N_SCHEMAS_MAX).rev());
            waiting.extend(text(fields, "$ref").and_then(|to| resolve(root, to)));
        }
    }

    /// The types that all schemas accept, `null` last: it says nothing. Never
    /// empty.
    fn types(&self) -> Vec<&'a str> {
        let mut types: Option<Vec<&str>> = None;
        for schema in &self.schemas {
            let own: Vec<&str> = match schema.get("type") {
                Some(Value::String(name)) => vec![name],
                _ => {
                    let names = list(schema, "type").iter().take(N_TYPES_MAX);
                    names.filter_map(Value::as_str).collect()
                }
            };
            if !own.is_empty() {
                types = Some(match types {
                    None => own,
                    Some(types) => both_types(&types, &own),
                });
            }
        }
        let mut types = types.unwrap_or_else(|| vec![self.likely_type()]);
        types.sort_by_key(|name| *name == "null");
        // Nothing satisfies all schemas; arguments are an object in any case.
        if types.is_empty() {
            types.push("object");
        }
        types
    }

    /// What the other keywords are about.
    fn likely_type(&self) -> &'static str {
        let mut of_keywords = TYPES_OF_KEYWORDS.iter();
        let found = of_keywords.find(|(keyword, _)| !self.all_of(keyword).is_empty());
        found.map_or("string", |(_, name)| name)
    }

    pub(super) fn all_of(&self, keyword: &str) -> Vec<&'a Value> {
        let schemas = self.schemas.iter();
        schemas.filter_map(|schema| schema.get(keyword)).collect()
    }

    /// The bounds of a size by the keywords that are named.
    pub(super) fn sizes(&self, min: &str, max: &str) -> (usize, usize) {
        let sizes = |keyword: &str| {
            let sizes = self.all_of(keyword).into_iter().filter_map(Value::as_f64);
            sizes.map(|size| size as usize).collect::<Vec<usize>>()
        };
        let min = sizes(min).into_iter().max().unwrap_or(0);
        (min, sizes(max).into_iter().min().unwrap_or(usize::MAX))
    }

    /// Values that the schemas from number `n_seen` on give, of one of `types`:
    /// empty ones only where a choice leaves nothing else.
    fn given(&self, n_seen: usize, types: &[&str]) -> Vec<&'a Value> {
        let new = Self {
            schemas: self.schemas[n_seen..].to_vec(),
            alternatives: Vec::new(),
        };
        let items = |keyword: &str| {
            let lists = new.all_of(keyword).into_iter().filter_map(Value::as_array);
            let items = lists.flat_map(|items| items.iter().take(N_LISTED_MAX));
            items.collect::<Vec<&Value>>()
        };
        let mut given = new.all_of("const");
        given.extend(items("examples"));
        given.extend(new.all_of("example"));
        given.extend(new.all_of("default"));
        let is_empty = |value: &&Value| value.is_null() || value.as_str() == Some("");
        given.retain(|value| !is_empty(value));
        given.extend(items("enum"));
        given.extend(new.all_of("const").into_iter().filter(is_empty));
        given.sort_by_key(|value| value.is_null());
        let is_typed = !self.all_of("type").is_empty();
        given.retain(|value| {
            let fits = !is_typed || types.iter().any(|name| is_of_type(value, name));
            fits && !is_deep(value, VALUE_DEPTH_MAX)
        });
        given
    }

    /// Whether only values that the schemas give are accepted.
    fn is_closed_choice(&self) -> bool {
        !self.all_of("enum").is_empty() || !self.all_of("const").is_empty()
    }

    /// The properties that the schemas define, each once.
    fn property_names(&self) -> Vec<&'a str> {
        let schemas = self.schemas.iter();
        let known = schemas.filter_map(|schema| object(schema, "properties"));
        first_of_each(known.flat_map(|known| known.keys().map(String::as_str)))
    }

    /// The schemas of a property's value.
    pub(super) fn property(&self, name: &str) -> Vec<&'a Value> {
        let schemas = self.schemas.iter();
        let rule = |schema: &&'a SchemaFields| {
            let known = object(schema, "properties").and_then(|known| known.get(name));
            known.or_else(|| schema.get("additionalProperties"))
        };
        schemas.filter_map(rule).collect()
    }
}

/// Makes values for one schema.
struct Sampler<'a> {
    root: &'a Value,
    /// Properties of the outermost object that it has beyond what it needs.
    also: &'a [&'a str],
    work_left: usize,
    /// The schemas of the arrays and objects around the value being made.
    open: Vec<&'a SchemaFields>,
    /// Where the value being made is, as a JSON pointer.
    path: String,
    /// Its number among values that must differ.
    nth: usize,
    /// The choices of this attempt by place, in order: which alternative was
    /// taken, and how many there were.
    met: BTreeMap<String, Vec<(usize, usize)>>,
    /// What the choices of a place take, in order; the first beyond that.
    decided: HashMap<String, Vec<usize>>,
}

impl<'a> Sampler<'a> {
    fn new(root: &'a Value, also: &'a [&'a str]) -> Self {
        Self {
            root,
            also,
            work_left: WORK_MAX,
            open: Vec::new(),
            path: String::new(),
            nth: 0,
            met: BTreeMap::new(),
            decided: HashMap::new(),
        }
    }

    /// The value of the attempt with the fewest violations of the whole schema,
    /// and what is not sure about it.
    fn best(&mut self, schemas: &[&'a Value], check: &mut SchemaCheck<'_>) -> (Value, Vec<String>) {
        let mut best = None;
        let mut fewest = usize::MAX;
        for _ in 0..N_ATTEMPTS_MAX {
            self.met.clear();
            let value = self.value(schemas, "", 0);
            let violations = match check.violations(&value) {
                Ok(violations) => violations,
                Err(why) => return best.unwrap_or((value, vec![why])),
            };
            if violations.len() < fewest {
                fewest = violations.len();
                let doubts = violations.first().map(|first| first.text());
                best = Some((value, doubts.into_iter().collect()));
            }
            let mut moves_on = false;
            for violation in &violations {
                moves_on |= self.move_on(&violation.path);
            }
            if !moves_on || self.work_left == 0 {
                break;
            }
        }
        best.unwrap_or_default()
    }

    /// Takes the next alternative of the last choice at `path` that has one, or
    /// else around it, or else anywhere; whether there was one.
    fn move_on(&mut self, path: &str) -> bool {
        let has_next = |(_, met): &(&String, &Vec<(usize, usize)>)| {
            met.iter().any(|(taken, n)| taken + 1 < *n)
        };
        let around = |place: &str| {
            let inner = path.strip_prefix(place);
            inner.is_some_and(|inner| inner.is_empty() || inner.starts_with('/'))
        };
        // Places around another sort before it.
        let mut open = self.met.iter().filter(has_next).rev();
        let found = open
            .clone()
            .find(|(place, _)| around(place))
            .or_else(|| open.next());
        let Some((place, met)) = found else {
            return false;
        };
        let mut decided: Vec<usize> = met.iter().map(|(taken, _)| *taken).collect();
        let last = met
            .iter()
            .rposition(|(taken, n)| taken + 1 < *n)
            .unwrap_or(0);
        decided.truncate(last + 1);
        decided[last] += 1;
        // What is inside it begins anew.
        self.decided
            .retain(|other, _| !other.starts_with(place.as_str()));
        self.decided.insert(place.clone(), decided);
        true
    }

    /// The number of the alternative to take here, out of `n`.
    fn choose(&mut self, n: usize) -> usize {
        if n < 2 {
            return 0;
        }
        let met = self.met.entry(self.path.clone()).or_default();
        let decided = self.decided.get(&self.path);
        let taken = decided.and_then(|decided| decided.get(met.len()));
        let taken = taken.map_or(0, |taken| (*taken).min(n - 1));
        met.push((taken, n));
        taken
    }

    /// A value for the place where all of `schemas` apply; `name` is the
    /// property's.
    fn value(&mut self, schemas: &[&'a Value], name: &str, depth: usize) -> Value {
        let demands = Demands::of(self.root, schemas);
        self.value_for(demands, 0, name, depth)
    }

    /// The value of a property or an element.
    fn value_inside(&mut self, step: &str, rules: &[&'a Value], name: &str, depth: usize) -> Value {
        let n_outer = self.path.len();
        self.path.push('/');
        self.path
            .push_str(&step.replace('~', "~0").replace('/', "~1"));
        let value = self.value(rules, name, depth + 1);
        self.path.truncate(n_outer);
        value
    }

    /// What the first `n_seen` schemas give was refused before.
    fn value_for(
        &mut self,
        mut demands: Demands<'a>,
        n_seen: usize,
        name: &str,
        depth: usize,
    ) -> Value {
        let types = demands.types();
        if !self.spend(1 + demands.schemas.len()) || depth > DEPTH_MAX {
            return simplest(types[0]);
        }
        let given = demands.given(n_seen, &types);
        let is_closed = demands.is_closed_choice();
        if !given.is_empty() {
            let taken = self.choose(given.len() + usize::from(!is_closed)) + self.nth;
            if is_closed || taken < given.len() {
                let given = given[taken % given.len()];
                return match self.spend(size_of(given)) {
                    true => given.clone(),
                    false => simplest(types[0]),
                };
            }
        }
        if let Some(branches) = demands.alternatives.pop() {
            return self.value_of_branch(&demands, &branches, name, depth);
        }
        match types[self.choose(types.len())] {
            "string" => Value::String(self.text(&demands, name)),
            "integer" => self.number(&demands, name, true),
            "number" => self.number(&demands, name, false),
            "boolean" => Value::Bool((self.choose(2) + self.nth) % 2 == 1),
            of_type @ ("array" | "object") => {
                let n_open = self.open.len();
                self.open.extend(&demands.schemas);
                let value = match of_type {
                    "array" => self.array(&demands, name, depth),
                    _ => self.object(&demands, depth),
                };
                self.open.truncate(n_open);
                value
            }
            _ => Value::Null,
        }
    }

    /// Branches in their order; behind the others one that accepts only null,
    /// and at the very end one that would go on for ever.
    fn value_of_branch(
        &mut self,
        demands: &Demands<'a>,
        branches: &[&'a Value],
        name: &str,
        depth: usize,
    ) -> Value {
        let n_seen = demands.schemas.len();
        if !self.spend(branches.len()) {
            return simplest(demands.types()[0]);
        }
        let extended = branches.iter().map(|branch| {
            let mut extended = demands.clone();
            extended.add(self.root, branch);
            extended
        });
        let mut extended: Vec<Demands<'a>> = extended.collect();
        extended.sort_by_key(|extended| {
            let is_null =
                extended.types() == ["null"] || extended.all_of("const").contains(&&Value::Null);
            (self.is_open(&extended.schemas[n_seen..]), is_null)
        });
        let chosen = self.choose(extended.len());
        self.value_for(extended.swap_remove(chosen), n_seen, name, depth + 1)
    }

    /// Whether a value of these schemas would be inside one of its own kind, and
    /// so on.
    fn is_open(&self, schemas: &[&'a SchemaFields]) -> bool {
        let is_open =
            |schema: &&SchemaFields| self.open.iter().any(|open| std::ptr::eq(*open, *schema));
        schemas.iter().any(is_open)
    }

    /// What the format or the name suggests, then what the patterns say.
    fn text(&mut self, demands: &Demands<'a>, name: &str) -> String {
        let texts_of = |keyword: &str| {
            demands
                .all_of(keyword)
                .into_iter()
                .filter_map(Value::as_str)
        };
        let (min, max) = demands.sizes("minLength", "maxLength");
        let encoded = texts_of("contentEncoding").find(|name| *name == "base64");
        let format = texts_of("format").chain(encoded).find_map(text_of_format);
        let mut candidates = match format {
            Some(formatted) => vec![formatted.to_string(), longer(formatted, min)],
            None => vec![cut_or_longer(text_of_name(name), min, max)],
        };
        let mut patterns = Vec::new();
        for pattern in texts_of("pattern") {
            if self.spend(PATTERN_WORK) {
                patterns.extend(Pattern::parse(pattern));
            }
        }
        candidates.extend(patterns.iter().flat_map(|pattern| pattern.texts(min)));
        candidates.push(cut_or_longer("test", min, max));
        let preferred = candidates[0].clone();
        candidates.retain(|text| {
            let fits = (min..=max).contains(&text.chars().count());
            fits && patterns.iter().all(|pattern| pattern.matches(text))
        });
        if candidates.is_empty() {
            candidates.push(preferred);
        }
        // Of those that differ, and of what `not` excludes, another may do.
        candidates.push(format!("{}-{}", candidates[0], self.nth.max(1) + 1));
        if self.nth > 0 {
            let n_before = if patterns.is_empty() {
                candidates.len() - 1
            } else {
                self.nth
            };
            let n_candidates = candidates.len();
            candidates.rotate_left(n_before % n_candidates);
        }
        let text = candidates.swap_remove(self.choose(candidates.len()));
        match self.spend(text.len()) {
            true => text,
            false => String::new(),
        }
    }

    fn array(&mut self, demands: &Demands<'a>, name: &str, depth: usize) -> Value {
        // Before 2020-12, `items` was a tuple where it is a list.
        let rules = demands
            .schemas
            .iter()
            .map(|schema| match list(schema, "items") {
                [] => (list(schema, "prefixItems"), schema.get("items")),
                tuple => (tuple, schema.get("additionalItems")),
            });
        let rules: Vec<(&[Value], Option<&Value>)> = rules.collect();
        let rules_of = |i: usize| {
            let rules = rules.iter();
            let rules = rules.filter_map(|(first, rest)| first.get(i).or(*rest));
            rules.collect::<Vec<&Value>>()
        };
        let n_first = rules
            .iter()
            .map(|(first, _)| first.len())
            .max()
            .unwrap_or(0);
        // One element says more than none, unless none is accepted, or it would
        // go on for ever.
        let rest = rules_of(n_first);
        let is_closed = rest.contains(&&Value::Bool(false));
        let goes_on = self.is_open(&Demands::of(self.root, &rest).schemas);
        let n_likely = n_first.max(usize::from(!is_closed && !goes_on));
        let (min, max) = demands.sizes("minItems", "maxItems");
        let n_items = n_likely.min(max).max(min);
        if min == 0 && n_items > 0 && self.choose(2) == 1 {
            return json!([]);
        }
        let must_differ = demands
            .schemas
            .iter()
            .any(|schema| is_true(schema, "uniqueItems"));
        let outer_nth = self.nth;
        let mut items = Vec::new();
        for i in 0..n_items {
            if !self.spend(1) {
                break;
            }
            if must_differ {
                self.nth = i;
            }
            items.push(self.value_inside(&i.to_string(), &rules_of(i), singular(name), depth));
        }
        self.nth = outer_nth;
        Value::Array(items)
    }

    fn object(&mut self, demands: &Demands<'a>, depth: usize) -> Value {
        let mut fields = Map::new();
        for name in self.needed_names(demands) {
            if !self.spend(1 + name.len()) {
                break;
            }
            let value = self.value_inside(name, &demands.property(name), name, depth);
            fields.insert(name.to_string(), value);
        }
        Value::Object(fields)
    }

    /// The required properties and, where that is not enough, others that the
    /// schemas know; in the order of the definition, which was written for
    /// readers.
    fn needed_names(&mut self, demands: &Demands<'a>) -> Vec<&'a str> {
        let schemas = demands.schemas.iter();
        let required = schemas.flat_map(|schema| list(schema, "required"));
        let required = required.filter_map(Value::as_str);
        let also: &[&str] = if self.path.is_empty() { self.also } else { &[] };
        let needed = first_of_each(required.chain(also.iter().copied()));
        let known = demands.property_names();
        if !self.spend((needed.len() + known.len()) / 8) {
            return Vec::new();
        }
        let (n_min, _) = demands.sizes("minProperties", "maxProperties");
        let is_needed: HashSet<&str> = needed.iter().copied().collect();
        let mut n_more = n_min.saturating_sub(needed.len());
        let is_taken = |name: &&str| {
            let is_more = !is_needed.contains(name) && n_more > 0;
            n_more -= usize::from(is_more);
            is_more || is_needed.contains(name)
        };
        let names: Vec<&str> = known.into_iter().filter(is_taken).collect();
        first_of_each(names.into_iter().chain(needed))
    }

    /// A number within the bounds, near what the name suggests: a whole one
    /// where there is one.
    fn number(&mut self, demands: &Demands<'a>, name: &str, must_be_whole: bool) -> Value {
        let range = NumberRange::of(demands);
        let wanted = number_of_name(name);
        let step = range.step.unwrap_or(1);
        // Of those that differ, and of what `not` excludes, the next may do.
        let offset = [0, 1, -1, 2, -2][self.choose(5)] + self.nth as i128;
        match range.whole(wanted) {
            Some(whole) => whole_value(whole.saturating_add(offset.saturating_mul(step))),
            None if must_be_whole => json!(wanted),
            None => range.fraction(wanted as f64),
        }
    }

    /// Whether there was as much work left.
    fn spend(&mut self, work: usize) -> bool {
        let left = self.work_left.checked_sub(work);
        self.work_left = left.unwrap_or(0);
        left.is_some()
    }
}

/// The bounds of a number.
pub(super) struct NumberRange {
    /// Of whole numbers.
    pub(super) low: i128,
    pub(super) high: i128,
    /// Of all others, none of which is a bound itself.
    low_float: Option<f64>,
    high_float: Option<f64>,
    /// What a whole number is a multiple of, if there is one.
    step: Option<i128>,
    divisor: Option<f64>,
}

impl NumberRange {
    pub(super) fn of(demands: &Demands<'_>) -> Self {
        let (low, low_float) = lower_bounds(demands, "minimum", "exclusiveMinimum", 1);
        let (high, high_float) = lower_bounds(demands, "maximum", "exclusiveMaximum", -1);
        let divisors = demands.all_of("multipleOf");
        let divisors: Vec<&Number> = divisors.into_iter().filter_map(Value::as_number).collect();
        // A whole number is a multiple of 0.01, but seldom of 0.3: of 3,
        // however, it is one where 0.3 goes into it.
        let step = divisors.iter().try_fold(1, |step, divisor| {
            common_multiple(
                step,
                whole(divisor).or_else(|| whole_multiple(float(divisor)))?,
            )
        });
        Self {
            low: low.unwrap_or(i128::from(i64::MIN)),
            high: high.map_or(i128::from(u64::MAX), |high| -high),
            low_float,
            high_float: high_float.map(|high| -high),
            step,
            divisor: divisors.iter().map(|it| float(it)).find(|it| *it > 0.0),
        }
    }

    /// The whole number nearest to `wanted`, if there is one.
    fn whole(&self, wanted: i64) -> Option<i128> {
        let step = self.step?;
        if self.low > self.high {
            return None;
        }
        let wanted = i128::from(wanted).clamp(self.low, self.high);
        let below = wanted.div_euclid(step).checked_mul(step)?;
        let above = if below == wanted {
            below
        } else {
            below.checked_add(step)?
        };
        let nearest = if above <= self.high { above } else { below };
        (nearest >= self.low).then_some(nearest)
    }

    /// A number within the bounds where no whole one will do.
    fn fraction(&self, wanted: f64) -> Value {
        let value = match (self.low_float, self.high_float) {
            (Some(low), Some(high)) => low + (high - low) / 2.0,
            (Some(low), None) => low + low.abs().max(1.0) * 0.5,
            (None, Some(high)) => high - high.abs().max(1.0) * 0.5,
            (None, None) => wanted,
        };
        let is_inside = |value: f64| {
            self.low_float.is_none_or(|low| value > low)
                && self.high_float.is_none_or(|high| value < high)
        };
        // A middle has more digits than a reader wants, unless the bounds are so
        // near that it needs them; a multiple is rounded to what it was meant to be.
        let (value, grain) = match self.divisor {
            None => (value, 1e3),
            Some(divisor) => {
                let up = (value / divisor).ceil() * divisor;
                let multiple = if is_inside(up) {
                    up
                } else {
                    (value / divisor).floor() * divisor
                };
                (multiple, 1e9)
            }
        };
        let short = (value * grain).round() / grain;
        let value = if is_inside(short) { short } else { value };
        Number::from_f64(value).map_or_else(|| json!(1), Value::Number)
    }
}

/// The least whole number, and what every number is above, by the lower bounds
/// of all schemas. With a `sign` of -1 the same of the upper bounds, negated.
fn lower_bounds(
    demands: &Demands<'_>,
    inclusive: &str,
    exclusive: &str,
    sign: i128,
) -> (Option<i128>, Option<f64>) {
    // Beyond it a bound says nothing of whole numbers.
    const WHOLE_MAX: f64 = 1e30;
    let (mut least_whole, mut least_float) = (None, None);
    for schema in &demands.schemas {
        let bounds = [
            (number(schema, inclusive), is_true(schema, exclusive)),
            (number(schema, exclusive), true),
        ];
        for (bound, is_strict) in bounds {
            let Some(bound) = bound else { continue };
            let float = float(bound) * sign as f64;
            let at_least = match whole(bound) {
                Some(whole) => sign * whole + i128::from(is_strict),
                None => float.clamp(-WHOLE_MAX, WHOLE_MAX).ceil() as i128,
            };
            least_whole = least_whole.max(Some(at_least));
            least_float = Some(least_float.map_or(float, |least: f64| least.max(float)));
        }
    }
    (least_whole, least_float)
}

/// A number without fraction, where it fits.
fn whole(number: &Number) -> Option<i128> {
    let integer = number.as_i64().map(i128::from);
    integer
        .or_else(|| number.as_u64().map(i128::from))
        .or_else(|| {
            let float = float(number);
            (float.fract() == 0.0 && float.abs() < 1e30).then_some(float as i128)
        })
}

fn whole_value(whole: i128) -> Value {
    let integer = i64::try_from(whole).map(Value::from);
    let integer = integer.or_else(|_| u64::try_from(whole).map(Value::from));
    integer.unwrap_or_else(|_| json!(whole as f64))
}

fn float(number: &Number) -> f64 {
    number.as_f64().unwrap_or(0.0)
}

fn common_multiple(a: i128, b: i128) -> Option<i128> {
    let (mut x, mut y) = (a, b.checked_abs()?);
    if y == 0 {
        return None;
    }
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x).checked_mul(b.checked_abs()?)
}

/// The smallest whole number that a fraction goes into, if that is a small one.
fn whole_multiple(fraction: f64) -> Option<i128> {
    (1..=10_000_i128)
        .find(|factor| {
            let multiple = fraction * *factor as f64;
            multiple >= 1.0 && (multiple - multiple.round()).abs() < 1e-9 * multiple.abs()
        })
        .map(|factor| (fraction * factor as f64).round() as i128)
}

/// Whether a value is of the type that JSON Schema calls so.
fn is_of_type(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
        Value::Number(number) => {
            name == "number" || (name == "integer" && float(number).fract() == 0.0)
        }
    }
}

fn both_types<'a>(a: &[&'a str], b: &[&'a str]) -> Vec<&'a str> {
    let mut both = Vec::new();
    for name in a {
        if b.contains(name) || (*name == "integer" && b.contains(&"number")) {
            both.push(*name);
        } else if *name == "number" && b.contains(&"integer") {
            both.push("integer");
        }
    }
    both
}

fn first_of_each<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

/// What needs no further work.
fn simplest(of_type: &str) -> Value {
    match of_type {
        "object" => json!({}),
        "array" => json!([]),
        "number" | "integer" => json!(1),
        "boolean" => json!(false),
        "null" => Value::Null,
        _ => json!("test"),
    }
}

fn is_deep(value: &Value, depth_max: usize) -> bool {
    let is_too_deep = |inner: &Value| depth_max == 0 || is_deep(inner, depth_max - 1);
    match value {
        Value::Array(items) => items.iter().any(is_too_deep),
        Value::Object(fields) => fields.values().any(is_too_deep),
        _ => false,
    }
}

/// In the units of `WORK_MAX`. Not for deep values.
fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => 1 + items.iter().map(size_of).sum::<usize>(),
        Value::Object(fields) => {
            1 + fields
                .iter()
                .map(|(name, value)| name.len() + size_of(value))
                .sum::<usize>()
        }
        _ => 1,
    }
}

/// An element of `tags` is a `tag`.
fn singular(name: &str) -> &str {
    name.strip_suffix('s')
        .filter(|rest| !rest.is_empty())
        .unwrap_or(name)
}

/// At least `min` characters, still of the same format where that can be told.
fn longer(formatted: &str, min: usize) -> String {
    let n_missing = min
        .saturating_sub(formatted.chars().count())
        .min(TEXT_LEN_MAX);
    let filler = "a".repeat(n_missing);
    if formatted.contains('@') {
        format!("{filler}{formatted}")
    } else {
        format!("{formatted}{filler}")
    }
}

fn cut_or_longer(text: &str, min: usize, max: usize) -> String {
    let n_chars = text.chars().count();
    let n_missing = min.saturating_sub(n_chars).min(TEXT_LEN_MAX);
    let filler = text
        .chars()
        .cycle()
        .take(if n_chars == 0 { 0 } else { n_missing });
    text.chars().chain(filler).take(max).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A sample of any value that the schema accepts, and the doubts.
    fn sample(schema: &Value) -> (Value, Vec<String>) {
        Sampler::new(schema, &[]).best(&[schema], &mut SchemaCheck::new(schema))
    }

    fn check(schema: Value, expected: Value) {
        assert_eq!(sample(&schema), (expected, Vec::new()), "{schema}");
    }

    /// The schema cannot be satisfied, or not by what we understand.
    fn check_doubtful(schema: Value, expected: Value, doubt: &str) {
        let doubts = vec![doubt.to_string()];
        assert_eq!(sample(&schema), (expected, doubts), "{schema}");
    }

    #[test]
    fn what_the_schema_gives_is_taken() {
        check(json!({"const": {"a": 1}}), json!({"a": 1}));
        check(json!({"enum": [null, "x", "y"]}), json!("x"));
        check(
            json!({"type": "string", "default": "d", "examples": ["e"]}),
            json!("e"),
        );
        check(json!({"type": "string", "default": "d"}), json!("d"));
        check(json!({"type": "string", "default": ""}), json!("test"));
        check(json!({"type": "integer", "default": "7"}), json!(1));
        check(
            json!({"type": "integer", "default": 7, "maximum": 5}),
            json!(1),
        );
        check(
            json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null}),
            json!(1),
        );
        check(json!({"type": "null"}), json!(null));
        check(json!({"enum": [""]}), json!(""));
        check(json!({}), json!("test"));
        check(json!(true), json!("test"));
    }

    #[test]
    fn numbers_keep_their_bounds() {
        check(json!({"type": "integer"}), json!(1));
        check(json!({"type": "number"}), json!(1));
        check(json!({"type": "integer", "minimum": 5}), json!(5));
        check(json!({"type": "integer", "exclusiveMinimum": 5}), json!(6));
        check(
            json!({"type": "integer", "exclusiveMinimum": 5.5}),
            json!(6),
        );
        check(
            json!({"type": "integer", "minimum": 5, "exclusiveMinimum": true}),
            json!(6),
        );
        check(json!({"type": "integer", "maximum": -3}), json!(-3));
        check(json!({"type": "integer", "multipleOf": 7}), json!(7));
        check(
            json!({"type": "integer", "multipleOf": 7, "maximum": 3}),
            json!(0),
        );
        check(
            json!({"type": "integer", "minimum": u64::MAX}),
            json!(u64::MAX),
        );
        check(
            json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MIN}),
            json!(i64::MIN),
        );
        check(
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
            json!(0.5),
        );
        check(
            json!({"type": "number", "minimum": 0.2, "maximum": 0.9, "multipleOf": 0.1}),
            json!(0.6),
        );
        check(json!({"type": "number", "minimum": 1e300}), json!(1.5e300));
        check(json!({"multipleOf": 0.3, "type": "integer"}), json!(3));
        check(
            json!({"allOf": [{"minimum": 3}, {"multipleOf": 4}, {"multipleOf": 6, "type": "number"}]}),
            json!(12),
        );
    }

    #[test]
    fn texts_keep_format_length_and_pattern() {
        check(
            json!({"type": "string", "format": "date-time"}),
            json!("2026-01-01T12:00:00Z"),
        );
        check(
            json!({"type": "string", "format": "email", "minLength": 20}),
            json!("aaaauser@example.com"),
        );
        check(json!({"type": "string", "format": "odd"}), json!("test"));
        check(json!({"type": "string", "maxLength": 2}), json!("te"));
        check(json!({"type": "string", "minLength": 6}), json!("testte"));
        check(json!({"type": "string", "maxLength": 0}), json!(""));
        check(
            json!({"type": "string", "pattern": "^[A-Z]{3}$"}),
            json!("USD"),
        );
        check(
            json!({"type": "string", "pattern": "^ORD-[0-9]{4,}$"}),
            json!("ORD-1111"),
        );
        check(
            json!({"type": "string", "pattern": "^[a-z]+$", "minLength": 30}),
            json!("testtesttesttesttesttesttestte"),
        );
        check(
            json!({"type": "string", "contentEncoding": "base64"}),
            json!("dGVzdA=="),
        );
        // What only the check understands is checked.
        check(
            json!({"type": "string", "pattern": "^(?!x)"}),
            json!("test"),
        );
        check_doubtful(
            json!({"type": "string", "pattern": "^(?!t)x"}),
            json!("test"),
            "value does not match \"^(?!t)x\"",
        );
    }

    #[test]
    fn arrays_are_as_long_and_varied_as_they_must_be() {
        check(json!({"type": "array"}), json!(["test"]));
        check(json!({"type": "array", "maxItems": 0}), json!([]));
        check(
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 2}),
            json!([1, 1]),
        );
        check(
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": true}),
            json!([1, 2, 3]),
        );
        check(
            json!({"type": "array", "items": {"type": "string"}, "minItems": 2, "uniqueItems": true}),
            json!(["test", "test-2"]),
        );
        check(
            json!({"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "uniqueItems": true}),
            json!(["a", "b"]),
        );
        check(
            json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": true}),
            json!([false, true]),
        );
        check(
            json!({"type": "array", "minItems": 2, "uniqueItems": true, "items": {"type": "object",
                "properties": {"id": {"type": "integer"}}, "required": ["id"]}}),
            json!([{"id": 1}, {"id": 2}]),
        );
        check(
            json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": false}),
            json!(["test", 1]),
        );
        check(
            json!({"type": "array", "items": [{"const": 1}], "minItems": 2, "additionalItems": {"const": 2}}),
            json!([1, 2]),
        );
        check_doubtful(
            json!({"type": "array", "contains": {"const": 5}}),
            json!(["test"]),
            "None of value are valid under the given schema",
        );
        check(json!({"type": "array", "items": false}), json!([]));
    }

    #[test]
    fn objects_have_what_they_need() {
        check(
            json!({"type": "object", "properties": {
                "url": {"type": "string"}, "deep": {"type": "object", "properties": {"email": {"type": "string"}},
                "required": ["email"]}, "other": {"type": "string"}}, "required": ["deep", "url"]}),
            json!({"url": "https://example.com/", "deep": {"email": "user@example.com"}}),
        );
        check(
            json!({"type": "object", "properties": {"a": {"const": 1}, "b": {}}, "minProperties": 1}),
            json!({"a": 1}),
        );
        // Names are not made up.
        check_doubtful(
            json!({"type": "object", "patternProperties": {"^x-[0-9]+$": {"type": "boolean"}},
                "additionalProperties": false, "minProperties": 1}),
            json!({}),
            "value has less than 1 property",
        );
        // What a property demands of others is only checked.
        check_doubtful(
            json!({"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"],
                "dependentSchemas": {"a": {"properties": {"c": {"const": 3}}, "required": ["c"]}}}),
            json!({"a": 1}),
            "\"c\" is a required property",
        );
        check_doubtful(
            json!({"type": "object", "required": ["a"], "additionalProperties": false}),
            json!({"a": "test"}),
            "False schema does not allow value",
        );
    }

    #[test]
    fn combinations_are_tried() {
        check(
            json!({"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 3}]}),
            json!(3),
        );
        check(
            json!({"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 5}]}),
            json!(1),
        );
        check(
            json!({"oneOf": [{"minimum": 1, "type": "integer"}, {"type": "integer"}], "not": {"const": 0}}),
            json!(-1),
        );
        check(
            json!({"allOf": [{"properties": {"a": {"minimum": 2}}},
                {"properties": {"a": {"type": "integer"}}, "required": ["a"]}]}),
            json!({"a": 2}),
        );
        check(
            json!({"type": "object", "properties": {"kind": {"enum": ["x", "y"]}}, "required": ["kind"],
                "oneOf": [
                    {"properties": {"kind": {"const": "y"}, "n": {"type": "integer"}}, "required": ["n"]},
                    {"properties": {"kind": {"const": "x"}, "s": {"type": "string"}}, "required": ["s"]}]}),
            json!({"kind": "y", "n": 1}),
        );
        // A condition is only checked.
        check_doubtful(
            json!({"type": "object", "properties": {"a": {"const": false}}, "required": ["a"],
                "if": {"properties": {"a": {"const": false}}}, "then": {"required": ["b"]}}),
            json!({"a": false}),
            "\"b\" is a required property",
        );
    }

    #[test]
    fn references_are_followed_within_the_schema() {
        check(
            json!({"$ref": "#/$defs/list", "$defs": {
                "list": {"type": "object", "properties": {"v": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/list"}, {"type": "null"}]}}, "required": ["v", "next"]}}}),
            json!({"v": 1, "next": null}),
        );
        check(
            json!({"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
                "required": ["children"]}),
            json!({"children": []}),
        );
        check(
            json!({"type": "object", "properties": {"e": {"oneOf": [{"$ref": "#"}, {"type": "integer"}]}},
                "required": ["e"]}),
            json!({"e": 1}),
        );
        check_doubtful(
            json!({"$ref": "https://example.com/s.json"}),
            json!("test"),
            "a part of the schema lies elsewhere",
        );
    }

    #[test]
    fn arguments_are_an_object_with_the_optional_ones_apart() {
        let schema = json!({"type": "object", "properties": {
            "query": {"type": "string", "description": "what to find"},
            "limit": {"type": "integer"},
            "sort": {"enum": ["up", "down"]}}, "required": ["query"]});
        let arguments = sample_arguments(&schema);
        assert_eq!(Value::Object(arguments.values), json!({"query": "test"}));
        let optional = [("limit", json!(10)), ("sort", json!("up"))];
        let optional = optional.map(|(name, value)| (name.to_string(), value));
        assert_eq!(arguments.optional, optional);
        assert_eq!(
            describe_argument(&schema, "query"),
            (Some("what to find".to_string()), vec![])
        );
        assert_eq!(
            describe_argument(&schema, "sort"),
            (None, vec![json!("up"), json!("down")])
        );
        for schema in [
            json!(null),
            json!(true),
            json!({}),
            json!([]),
            json!({"type": "object"}),
        ] {
            let arguments = sample_arguments(&schema);
            assert_eq!(
                (arguments.values, arguments.doubts),
                (Map::new(), vec![]),
                "{schema}"
            );
        }
        assert_eq!(sample_arguments(&json!({"type": "string"})).doubts.len(), 1);
    }

    #[test]
    fn hostile_schemas_end() {
        let many = json!({"type": "array", "minItems": 1e18, "items": {"type": "array", "minItems": 1e18}});
        let unique = json!({"type": "array", "minItems": 50_000, "uniqueItems": true, "items": {"type": "integer"}});
        let long = json!({"type": "string", "minLength": u64::MAX});
        let endless = json!({"required": ["a", "b"], "additionalProperties": {"$ref": "#"}, "type": "object"});
        let branching =
            json!({"anyOf": [{"$ref": "#"}, {"allOf": [{"$ref": "#"}, false]}], "type": "object"});
        let alternatives: Vec<Value> = (0..30)
            .map(|_| json!({"anyOf": [{"minimum": 5}, {"maximum": 5}, false]}))
            .collect();
        let product = json!({"allOf": alternatives, "not": {}});
        let choices: Vec<Value> = (0..5000).map(Value::from).collect();
        let choosing = json!({"enum": choices, "type": "string"});
        let properties: Map<String, Value> = (0..5000)
            .map(|i| (format!("p{i}"), json!({"enum": choices[..20]})))
            .collect();
        let names: Vec<&String> = properties.keys().collect();
        let wide = json!({"type": "object", "required": names, "properties": properties});
        let patterns: Map<String, Value> = (0..500)
            .map(|i| (format!("^(a|b)*{i}$"), json!({"type": "string"})))
            .collect();
        let patterned = json!({"type": "object", "patternProperties": patterns, "minProperties": 400,
            "additionalProperties": false, "propertyNames": {"pattern": "^(a+)+x$"}});
        for schema in [
            many, unique, long, endless, branching, product, choosing, wide, patterned,
        ] {
            let (value, doubts) = sample(&schema);
            assert!(!doubts.is_empty(), "{:.80}", schema.to_string());
            assert!(value.to_string().len() < 200_000);
        }
    }

    /// Schemas that can be satisfied, by construction.
    fn sound_schema() -> impl Strategy<Value = Value> {
        let patterns = prop::sample::select(
            &[
                "^[a-z]+$",
                "^[A-Z]{2}[0-9]{3}$",
                r"^\d{4}-\d{2}$",
                "^(up|down)$",
                "^https?://",
                "[aeiou]{2}",
            ][..],
        );
        let formats = prop::sample::select(
            &[
                "date", "email", "uri", "uuid", "ipv4", "hostname", "made-up",
            ][..],
        );
        let leaf = prop_oneof![
            Just(json!({})),
            Just(json!(true)),
            Just(json!({"type": "boolean"})),
            Just(json!({"type": ["null", "integer"]})),
            any_json()
                .prop_filter("TOML has no null", |json| !json.is_null())
                .prop_map(|json| json!({"const": json})),
            prop::collection::vec(any_json(), 1..4).prop_map(|choices| json!({"enum": choices})),
            (any::<i32>(), 0..100_i64).prop_map(|(low, more)| {
                json!({"type": "integer", "minimum": low, "maximum": i64::from(low) + more})
            }),
            (any::<i32>(), 1..50_i64).prop_map(|(low, divisor)| {
                json!({"type": "integer", "exclusiveMinimum": low, "multipleOf": divisor,
                    "maximum": i64::from(low) + divisor})
            }),
            (-1e6..1e6_f64, 0.01..10.0_f64).prop_map(|(low, more)| {
                json!({"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + more})
            }),
            (0_usize..20, 0_usize..20).prop_map(|(min, more)| {
                json!({"type": "string", "minLength": min, "maxLength": min + more})
            }),
            patterns.prop_map(|pattern| json!({"type": "string", "pattern": pattern})),
            formats.prop_map(|format| json!({"type": "string", "format": format})),
        ];
        leaf.prop_recursive(4, 30, 4, |inner| {
            let fields = prop::collection::btree_map("[a-d]|name|url|ids", inner.clone(), 0..4);
            prop_oneof![
                (inner.clone(), 0_usize..4).prop_map(|(items, min)| {
                    json!({"type": "array", "items": items, "minItems": min})
                }),
                prop::collection::vec(inner.clone(), 0..3)
                    .prop_map(|first| json!({"type": "array", "prefixItems": first, "items": false})),
                (fields.clone(), any::<bool>()).prop_map(|(properties, is_open)| {
                    let required: Vec<_> = properties.keys().step_by(2).collect();
                    json!({"type": "object", "properties": properties, "required": required,
                        "additionalProperties": is_open})
                }),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|branches| json!({"anyOf": branches})),
                inner.clone().prop_map(|only| json!({"allOf": [only, true, {}]})),
                inner.clone().prop_map(|only| json!({"oneOf": [false, only]})),
                fields.prop_map(|definitions| {
                    let properties: Map<String, Value> = definitions.keys()
                        .map(|name| (name.clone(), json!({"$ref": format!("#/$defs/{name}")}))).collect();
                    let required: Vec<_> = definitions.keys().collect();
                    json!({"type": "object", "properties": properties, "required": required, "local": definitions})
                }),
            ]
        })
    }

    /// Moves the definitions of every level to the root, where references find
    /// them; those of a name that is taken stay behind, and the reference
    /// means the first.
    fn with_definitions(schema: Value) -> Value {
        fn collect(schema: &Value, definitions: &mut Map<String, Value>) {
            match schema {
                Value::Object(fields) => {
                    if let Some(Value::Object(local)) = fields.get("local") {
                        for (name, definition) in local {
                            definitions
                                .entry(name.clone())
                                .or_insert_with(|| definition.clone());
                        }
                    }
                    fields
                        .values()
                        .for_each(|inner| collect(inner, definitions));
                }
                Value::Array(items) => items.iter().for_each(|inner| collect(inner, definitions)),
                _ => {}
            }
        }
        let mut definitions = Map::new();
        collect(&schema, &mut definitions);
        json!({"type": "object", "properties": {"it": schema}, "required": ["it"], "$defs": definitions})
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(64, 256))]

        #[test]
        fn a_sound_schema_gets_a_sample_that_satisfies_it(schema in sound_schema()) {
            // Names of definitions meet by chance and then lead in circles,
            // which no finite value satisfies.
            let n_definitions = schema.to_string().matches("\"local\"").count();
            prop_assume!(n_definitions <= 1);
            let schema = with_definitions(schema);
            let (value, doubts) = sample(&schema);
            prop_assert!(doubts.is_empty(), "{} {} {:?}", schema, value, doubts);
            let checked = SchemaCheck::new(&schema).violations(&value);
            prop_assert_eq!(checked, Ok(Vec::new()));
        }

        #[test]
        fn no_schema_panics(schema in any_schema()) {
            let first = sample(&schema);
            let second = sample(&schema);
            prop_assert_eq!(first, second);
            let arguments = sample_arguments(&schema);
            for name in arguments.values.keys() {
                let _any_answer_will_do = describe_argument(&schema, name);
            }
        }
    }

    /// Any JSON, a few levels deep.
    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ -~é${}]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[a-d]{0,2}", inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    const KEYWORDS: &[&str] = &[
        "type",
        "enum",
        "const",
        "default",
        "examples",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "items",
        "prefixItems",
        "additionalItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "properties",
        "required",
        "patternProperties",
        "additionalProperties",
        "minProperties",
        "maxProperties",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "propertyNames",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "$ref",
        "$defs",
        "description",
    ];

    /// What looks like a schema, with keywords of any value.
    pub(crate) fn any_schema() -> impl Strategy<Value = Value> {
        let word = prop::sample::select(
            &[
                "object",
                "array",
                "string",
                "number",
                "integer",
                "null",
                "boolean",
                "#",
                "#/$defs/a",
                "#/properties/a",
                "^[a-z]+$",
                "a{3}",
                "email",
                "a",
                "b",
            ][..],
        );
        let leaf = prop_oneof![
            any_json(),
            word.prop_map(Value::from),
            (-3_i64..2000).prop_map(Value::from),
            Just(json!(true)),
            Just(json!({"$ref": "#"})),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            let keyword = prop_oneof![4 => prop::sample::select(KEYWORDS).prop_map(str::to_string), 1 => "[a-b]"];
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                4 => prop::collection::vec((keyword, inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }
}
