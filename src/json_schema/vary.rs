//! Arguments that differ each time: sample arguments whose values are templates.
//!
//! A value is replaced by a template of its kind, and what that gives is held against
//! the whole schema, a few draws and the ends of a range. Where it does not satisfy
//! the schema, the next kind is tried, and at last the value stays as it is. All of
//! this is done once: a call costs what its templates cost.

use serde_json::{Map, Value, json};

use super::check::SchemaCheck;
use super::sample::{Demands, NumberRange, sample_arguments};
use super::words::number_of_name;
use crate::template::{self, FillMoment, Generators, Scope, parse};

/// Arguments of a call, as templates.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplatedArguments {
    /// By name; the strings are canonical templates.
    pub values: Map<String, Value>,
    /// Why they may not be what is wanted: all are the same each time, or the schema
    /// may refuse them. It may hold what the schema holds.
    pub problem: Option<String>,
}

/// Values that may differ.
const LEAVES_MAX: usize = 40;
/// Draws that a template is tried with.
const N_DRAWS: u64 = 5;
/// The width of a range of numbers that the schema leaves open.
const SPAN: i128 = 999_999;
/// The same of limits, sizes and counts.
const SMALL_SPAN: i128 = 99;

/// Arguments for a tool with this input schema: the required ones. What is `given`,
/// canonical templates, stays as it is.
pub fn templates_of_arguments(schema: &Value, given: &Map<String, Value>) -> TemplatedArguments {
    let sampled = sample_arguments(schema);
    let mut values = Map::new();
    let mut leaves = Vec::new();
    for (name, value) in sampled.values {
        let written = template::escape(&name);
        if !given.contains_key(&written) {
            find_leaves(&value, &mut vec![name], &mut leaves);
            values.insert(written, canonical(value));
        }
    }
    values.extend(given.clone());
    let values = Value::Object(values);
    let mut varying = Varying {
        check: SchemaCheck::new(schema),
        open: template_places(&values),
        values,
        n_faults: 0,
    };
    varying.n_faults = varying.faults_of(0).unwrap_or(0);
    let mut n_varied = 0;
    for (path, value) in &leaves {
        let demands = demands_at(schema, path);
        let name = path.last().map_or("", String::as_str);
        let candidates = match value {
            Value::String(text) => text_candidates(&demands, text),
            _ => number_candidates(&demands, name, value),
        };
        n_varied += usize::from(varying.vary(path, candidates));
    }
    let problem = sampled.doubts.first().cloned().or_else(|| {
        let is_same = n_varied == 0 && given.is_empty();
        is_same.then(|| "no required argument can have another value each time".to_string())
    });
    let values = match varying.values {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    TemplatedArguments { values, problem }
}

/// The places of strings in which there is a template, and of objects in whose names
/// there is one, as JSON pointers to what is sent. The strings are canonical.
pub fn template_places(value: &Value) -> Vec<String> {
    let is_template =
        |text: &str| parse(text).is_ok_and(|text| text.expressions().next().is_some());
    let mut places = Vec::new();
    let mut waiting = vec![(String::new(), value)];
    while let Some((place, value)) = waiting.pop() {
        match value {
            Value::String(text) if is_template(text) => places.push(place),
            Value::Array(items) => {
                let inner = items.iter().enumerate();
                waiting.extend(inner.map(|(i, item)| (format!("{place}/{i}"), item)));
            }
            Value::Object(fields) => {
                let inner = fields.iter();
                waiting.extend(
                    inner.map(|(name, value)| (pointer(&place, &template::named(name)), value)),
                );
                if fields.keys().any(|name| is_template(name)) {
                    places.push(place);
                }
            }
            _ => {}
        }
    }
    places
}

fn pointer(outer: &str, step: &str) -> String {
    format!("{outer}/{}", step.replace('~', "~0").replace('/', "~1"))
}

/// The value with its strings as templates that stand for themselves.
fn canonical(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(template::escape(&text)),
        Value::Array(items) => items.into_iter().map(canonical).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields
                .map(|(name, value)| (template::escape(&name), canonical(value)))
                .collect()
        }
        other => other,
    }
}

/// The texts and numbers inside a value with the way to each.
fn find_leaves(value: &Value, path: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, Value)>) {
    let mut inside = |step: String, value: &Value| {
        path.push(step);
        find_leaves(value, path, leaves);
        path.pop();
    };
    match value {
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, value)| inside(name.clone(), value));
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(i, item)| inside(i.to_string(), item));
        }
        Value::String(_) | Value::Number(_) if leaves.len() < LEAVES_MAX => {
            leaves.push((path.clone(), value.clone()));
        }
        _ => {}
    }
}

/// What the schema demands of the value at the end of a path: of the alternatives on
/// the way, those that leave no choice but `null`.
fn demands_at<'a>(root: &'a Value, path: &[String]) -> Demands<'a> {
    let mut demands = Demands::of(root, &[root]);
    for step in path {
        let mut rules = demands.property(step);
        for schema in &demands.schemas {
            let index = step.parse::<usize>().ok();
            let first = schema.get("prefixItems").and_then(Value::as_array);
            let first = first.and_then(|first| first.get(index?));
            rules.extend(first.or_else(|| schema.get("items")));
        }
        demands = Demands::of(root, &rules);
        let mut branches = Vec::new();
        for alternative in &demands.alternatives {
            let is_null = |branch: &&&Value| branch["type"] != "null";
            if let [only] = alternative.iter().filter(is_null).collect::<Vec<_>>()[..] {
                branches.push(*only);
            }
        }
        if !branches.is_empty() {
            rules.extend(branches);
            demands = Demands::of(root, &rules);
        }
    }
    demands
}

/// A template, and values that it must be able to take.
struct Variant {
    template: String,
    ends: Vec<Value>,
}

impl Variant {
    fn text(template: impl Into<String>) -> Self {
        Self {
            template: template.into(),
            ends: Vec::new(),
        }
    }
}

/// Templates in place of a text, the likeliest first.
fn text_candidates(demands: &Demands<'_>, sample: &str) -> Vec<Variant> {
    if !demands.all_of("const").is_empty() {
        return Vec::new();
    }
    if let Some(Value::Array(choices)) = demands.all_of("enum").first() {
        let is_word = |word: &&str| !word.is_empty() && !word.contains([' ', '{', '}', '\t', '\n']);
        let words = choices.iter().filter_map(Value::as_str).filter(is_word);
        let words: Vec<&str> = words.take(200).collect();
        let choice = format!("{{{{random.choice {}}}}}", words.join(" "));
        return (words.len() > 1)
            .then(|| Variant::text(choice))
            .into_iter()
            .collect();
    }
    let mut candidates: Vec<Variant> = like(sample).map(Variant::text).into_iter().collect();
    let has_form = ["format", "contentEncoding"];
    if has_form
        .iter()
        .any(|keyword| !demands.all_of(keyword).is_empty())
    {
        return candidates;
    }
    let (min, max) = demands.sizes("minLength", "maxLength");
    // Three words have 11 letters at least, and 26 at most.
    if min <= 11 && max >= 26 {
        candidates.push(Variant::text("{{random.words 3}}"));
    }
    let n_chars = 16.clamp(min.max(1), max.max(min.max(1)));
    candidates.push(Variant::text(format!("{{{{random.string {n_chars}}}}}")));
    candidates
}

/// A template for texts of the same form, where the sample has one.
fn like(sample: &str) -> Option<String> {
    const NUMBER: &str = "{{random.int 1 1000000}}";
    const MINUTE: &str = "{{random.int 10 59}}";
    let parts = |end: usize, middle: &str, start: usize| {
        let (before, after) = (sample.get(..end)?, sample.get(start..)?);
        Some(format!(
            "{}{middle}{}",
            template::escape(before),
            template::escape(after)
        ))
    };
    let bytes = sample.as_bytes();
    let has = |at: usize, sign: u8| bytes.get(at) == Some(&sign);
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    if let Some(at) = sample.find('@') {
        return parts(at, NUMBER, at);
    }
    if sample.starts_with("http") {
        return Some(format!("{}{NUMBER}", template::escape(sample)));
    }
    if has(4, b'-') && has(7, b'-') && is_digit(9) {
        return parts(8, "{{random.int 10 28}}", 10);
    }
    if has(2, b':') && has(5, b':') && is_digit(7) {
        return parts(3, &format!("{MINUTE}:{MINUTE}"), 8);
    }
    if sample.len() == 36 && has(8, b'-') && has(13, b'-') {
        return Some("{{uuid}}".to_string());
    }
    if sample.ends_with("example.com") {
        return Some(format!("host-{NUMBER}.{}", template::escape(sample)));
    }
    if let Some(dot) = sample.rfind('.').filter(|_| sample.ends_with(".txt")) {
        return parts(dot, &format!("-{NUMBER}"), dot);
    }
    let n_digits = bytes
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let start = bytes.len() - n_digits;
    match n_digits {
        0 => None,
        // All of it: an id, most likely, of which any text may be one.
        _ if start == 0 => None,
        1..=3 => parts(start, "{{random.int 1 254}}", bytes.len()),
        _ => parts(bytes.len() - 4, "{{random.int 1000 9999}}", bytes.len()),
    }
}

/// A range of whole numbers in place of one.
fn number_candidates(demands: &Demands<'_>, name: &str, sample: &Value) -> Vec<Variant> {
    let is_given = |keyword: &str| !demands.all_of(keyword).is_empty();
    if sample.as_f64().is_none_or(|number| number.fract() != 0.0) || is_given("const") {
        return Vec::new();
    }
    let range = NumberRange::of(demands);
    let span = match number_of_name(name) {
        10 => SMALL_SPAN,
        _ => SPAN,
    };
    let has_low = range.low > i128::from(i64::MIN);
    let has_high = range.high < i128::from(u64::MAX);
    let (low, high) = match (has_low, has_high) {
        (true, true) => (range.low, range.high),
        (true, false) => (range.low, range.low.saturating_add(span)),
        (false, true) => (range.high.saturating_sub(span), range.high),
        (false, false) => (1, 1 + span),
    };
    let within = |number: i128| i64::try_from(number).ok();
    match (within(low), within(high)) {
        (Some(low), Some(high)) if low < high => vec![Variant {
            template: format!("{{{{random.int {low} {high}}}}}"),
            ends: vec![json!(low), json!(high)],
        }],
        _ => Vec::new(),
    }
}

/// The arguments as they become.
struct Varying<'a> {
    check: SchemaCheck<'a>,
    /// Places whose values are not known here.
    open: Vec<String>,
    values: Value,
    /// What is wrong with them as they were sampled.
    n_faults: usize,
}

impl Varying<'_> {
    /// Puts the first template that will do in the place of a value; whether there was one.
    fn vary(&mut self, path: &[String], candidates: Vec<Variant>) -> bool {
        let place = path.iter().fold(String::new(), |outer, step| {
            pointer(&outer, &template::escape(step))
        });
        let Some(before) = self.values.pointer(&place).cloned() else {
            return false;
        };
        for candidate in candidates {
            let ends = candidate.ends.into_iter();
            let does = ends
                .chain([Value::String(candidate.template)])
                .all(|value| {
                    let n_draws = if value.is_string() { N_DRAWS } else { 1 };
                    self.put(&place, value);
                    (0..n_draws).all(|seed| {
                        let n_faults = self.faults_of(seed);
                        n_faults.is_some_and(|n_faults| n_faults <= self.n_faults)
                    })
                });
            if does {
                return true;
            }
        }
        self.put(&place, before);
        false
    }

    fn put(&mut self, place: &str, value: Value) {
        if let Some(at) = self.values.pointer_mut(place) {
            *at = value;
        }
    }

    /// How many things are wrong with what the templates give; `None` where that
    /// cannot be told.
    fn faults_of(&mut self, seed: u64) -> Option<usize> {
        let value = drawn(&self.values, seed)?;
        let violations = self.check.violations(&value).ok()?;
        let holds = violations.iter();
        Some(
            holds
                .filter(|it| it.holds_whatever_is_at(&self.open))
                .count(),
        )
    }
}

/// What the templates give with a seed. What comes from elsewhere is `null`.
fn drawn(values: &Value, seed: u64) -> Option<Value> {
    let mut scope = Scope::new(0);
    let template = scope.json(&values.to_string());
    let mut generators = Generators::new(seed, 0);
    let moment = FillMoment {
        vu: 1,
        iteration: 1,
        unix_ns: 0,
    };
    let mut filled = vec![String::new(); scope.len()];
    for (slot, value) in filled.iter_mut().enumerate() {
        scope.fill(slot, &mut generators, &moment, value);
    }
    serde_json::from_str(&template.filled(&filled)).ok()
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::any_schema;
    use super::*;
    use proptest::prelude::*;

    /// What the templates give with a seed.
    fn drawn(arguments: &TemplatedArguments, seed: u64) -> Value {
        let values = Value::Object(arguments.values.clone());
        super::drawn(&values, seed).expect("JSON")
    }

    fn one(rule: Value) -> Value {
        json!({"type": "object", "properties": {"x": rule}, "required": ["x"]})
    }

    #[test]
    fn values_of_each_kind_differ_and_satisfy_the_schema() {
        for rule in [
            json!({"type": "string"}),
            json!({"type": "string", "minLength": 40}),
            json!({"type": "string", "maxLength": 2}),
            json!({"type": "string", "enum": ["a", "b", "c d", "{{x}}"]}),
            json!({"type": "string", "pattern": "^[a-zA-Z0-9]{16}$"}),
            json!({"type": "string", "format": "email"}),
            json!({"type": "string", "format": "date-time"}),
            json!({"type": "string", "format": "uuid"}),
            json!({"type": "string", "format": "ipv4"}),
            json!({"type": "string", "format": "uri"}),
            json!({"type": "string", "default": "a ${B} {{c}} d"}),
            json!({"type": "integer", "minimum": 3, "maximum": 7}),
            json!({"type": "integer", "exclusiveMaximum": -5}),
            json!({"type": "number", "minimum": 0.5}),
            json!({"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]}),
            json!({"type": "array", "items": {"type": "string"}, "minItems": 2}),
            json!({"type": "object", "properties": {"a/b~": {"type": "integer"}}, "required": ["a/b~"]}),
        ] {
            let schema = one(rule);
            let arguments = templates_of_arguments(&schema, &Map::new());
            assert_eq!(arguments.problem, None, "{schema}");
            let drawn: Vec<Value> = (0..20).map(|seed| drawn(&arguments, seed)).collect();
            assert!(
                drawn.iter().any(|value| *value != drawn[0]),
                "{schema}: {drawn:?}"
            );
            for value in &drawn {
                let violations = SchemaCheck::new(&schema).violations(value);
                assert_eq!(violations, Ok(Vec::new()), "{schema}: {value}");
            }
        }
    }

    #[test]
    fn what_cannot_differ_stays_and_is_told() {
        for rule in [
            json!({"const": "a"}),
            json!({"type": "boolean"}),
            json!({"type": "integer", "multipleOf": 7}),
            json!({"type": "string", "pattern": "^a-b$"}),
        ] {
            let schema = one(rule);
            let arguments = templates_of_arguments(&schema, &Map::new());
            let sampled = sample_arguments(&schema);
            assert_eq!(arguments.values, sampled.values, "{schema}");
            let problem = arguments.problem.expect("a problem");
            assert!(problem.contains("another value each time"), "{problem}");
        }
        // A text of the server's is sent as it stands.
        let schema = one(json!({"const": "{{uuid}}"}));
        let arguments = templates_of_arguments(&schema, &Map::new());
        assert_eq!(drawn(&arguments, 1), json!({"x": "{{uuid}}"}));
    }

    #[test]
    fn what_is_given_stays() {
        let schema = json!({
            "properties": {"id": {"type": "integer"}, "text": {"type": "string"}},
            "required": ["id", "text"]
        });
        let given = json!({"id": "{{id}}", "more": "x"});
        let given = given.as_object().expect("an object");
        let arguments = templates_of_arguments(&schema, given);
        assert_eq!(arguments.problem, None);
        assert_eq!(arguments.values["id"], "{{id}}");
        assert_eq!(arguments.values["more"], "x");
        assert_eq!(arguments.values["text"], "{{random.words 3}}");
    }

    #[test]
    fn names_are_sent_as_the_schema_has_them() {
        let name = "{{vu}}";
        let schema = json!({
            "type": "object",
            "properties": {(name): {"type": "object", "properties": {(name): {"type": "integer"}}, "required": [name]}},
            "required": [name],
        });
        let made = templates_of_arguments(&schema, &Map::new());
        let sent = drawn(&made, 1);
        assert!(sent[name][name].is_i64(), "{sent} of {:?}", made.values);
        assert_ne!(drawn(&made, 2), sent);
        let given = json!({"{{{{vu}}": {"{{{{vu}}": 7}});
        let given = given.as_object().expect("an object");
        assert_eq!(templates_of_arguments(&schema, given).values, *given);
    }

    #[test]
    fn violations_that_hold_whatever_a_template_gives() {
        let schema = json!({
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "object", "required": ["c"]}},
            "required": ["a", "d"],
            "additionalProperties": false,
            "if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["e"]},
        });
        let check = |value: Value, n_expected: usize| {
            let open = template_places(&value);
            let violations = SchemaCheck::new(&schema)
                .violations(&value)
                .expect("checked");
            let holds = violations
                .iter()
                .filter(|it| it.holds_whatever_is_at(&open));
            assert_eq!(holds.count(), n_expected, "{value} {violations:?}");
        };
        check(json!({"a": "{{vu}}", "d": 1}), 1);
        check(json!({"a": "x", "b": {}}), 3);
        check(json!({"a": "{{vu}}"}), 1);
        check(json!({"a": "{{vu}}", "b": "{{vu}}", "z": 1}), 2);
        check(json!({"a": "{{vu}}", "b": {"x": "{{vu}}"}}), 2);
        // What a name becomes is not known either.
        check(json!({"a": "x", "b": {"{{vu}}": 1}}), 2);
        check(json!({"{{vu}}": 1, "z": 1}), 0);
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(32, 256))]

        #[test]
        fn no_schema_panics_and_what_is_given_out_is_as_good_as_the_sample(schema in any_schema()) {
            let arguments = templates_of_arguments(&schema, &Map::new());
            let sampled = sample_arguments(&schema);
            let n_faults = |value: &Value| {
                SchemaCheck::new(&schema).violations(value).map(|faults| faults.len())
            };
            let first = drawn(&arguments, 0);
            if let (Ok(of_sample), Ok(of_drawn)) = (n_faults(&Value::Object(sampled.values)), n_faults(&first)) {
                prop_assert!(of_drawn <= of_sample, "{} {}", schema, first);
            }
        }
    }
}
