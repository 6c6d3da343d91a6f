//! Whether sample arguments satisfy a tool's JSON Schema.
//!
//! The `jsonschema` crate judges. It knows no bound on its work, and a schema
//! comes from a stranger: so the size of the schema is looked at before a
//! validator is built, and what a check can cost at most is counted before it
//! is made. Nothing is ever fetched: a reference out of the schema counts as
//! not checked.

use std::error::Error;

use jsonschema::{Draft, PatternOptions, Retrieve, Uri, ValidationError, Validator};
use serde_json::Value;

use super::pattern::PROGRAM_BYTES_MAX;
use crate::text::percent_decoded;

/// JSON values of a schema that a validator is built for.
const N_VALUES_MAX: usize = 10_000;
/// Patterns of such a schema, each of which is compiled.
const N_PATTERNS_MAX: usize = 100;
/// References of such a schema: they may form a chain.
const N_REFERENCES_MAX: usize = 500;
/// Schemas inside schemas, with the references that are followed.
const DEPTH_MAX: usize = 100;
/// Schemas looked at in all checks together.
const WORK_MAX: usize = 100_000;
/// The work of trying a pattern, in schemas looked at.
const PATTERN_WORK: usize = 50;
/// Steps back that a pattern with look-around may take on one text.
const BACKTRACKS_MAX: usize = 10_000;
/// Violations told of one value.
const N_VIOLATIONS_MAX: usize = 50;

const TOO_LARGE: &str = "the schema is too large to be checked";
pub(super) const ELSEWHERE: &str = "a part of the schema lies elsewhere";

/// Judges values by one schema.
pub struct SchemaCheck<'a> {
    root: &'a Value,
    /// Or why it could not be built.
    validator: Result<Validator, String>,
    work: Work<'a>,
}

/// Counts what checks by a schema can cost at most, before they are made.
pub(super) struct Work<'a> {
    root: &'a Value,
    left: usize,
}

/// Something wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaViolation {
    /// Where in the value, as a JSON pointer.
    pub path: String,
    /// The keyword that is violated.
    keyword: String,
    /// Whether only some values are judged by it: those that a condition is for.
    is_conditional: bool,
    what: String,
}

impl SchemaViolation {
    /// `a.b[0]: what is wrong`. The text holds a stranger's names.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for step in self.path.split('/').skip(1) {
            let is_index = step.bytes().all(|byte| byte.is_ascii_digit());
            let name = step.replace("~1", "/").replace("~0", "~");
            match (is_index, text.is_empty()) {
                (true, _) => text.push_str(&format!("[{name}]")),
                (false, true) => text.push_str(&name),
                (false, false) => text.push_str(&format!(".{name}")),
            }
        }
        match text.is_empty() {
            true => self.what.clone(),
            false => format!("{text}: {}", self.what),
        }
    }
}

impl SchemaViolation {
    /// Whether it holds whatever is at `open` places of the value, JSON pointers:
    /// what is wrong lies elsewhere, or in what members there are.
    pub fn holds_whatever_is_at(&self, open: &[String]) -> bool {
        let of_names = matches!(
            self.keyword.as_str(),
            "additionalProperties"
                | "maxProperties"
                | "minProperties"
                | "propertyNames"
                | "required"
        );
        let is_inside = |outer: &str, inner: &str| {
            let rest = inner.strip_prefix(outer);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        open.iter().all(|open| {
            let is_below = is_inside(&self.path, open);
            let judges_names = of_names && !self.is_conditional && *open != self.path;
            !is_inside(open, &self.path) && (!is_below || judges_names)
        })
    }
}

impl<'a> SchemaCheck<'a> {
    /// Builds the validator, unless the schema is too large for one. What is no
    /// schema at all accepts everything.
    pub fn new(root: &'a Value) -> Self {
        let validator = match root {
            Value::Object(_) | Value::Bool(_) => build(root),
            _ => build(&Value::Bool(true)),
        };
        Self {
            root,
            validator,
            work: Work::new(root),
        }
    }

    /// What is wrong with `value`; empty: it satisfies the schema.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn violations(&mut self, value: &Value) -> Result<Vec<SchemaViolation>, String> {
        self.work.count(self.root, value, 0)?;
        let validator = self.validator.as_ref().map_err(Clone::clone)?;
        let violations = validator.iter_errors(value).take(N_VIOLATIONS_MAX);
        Ok(violations.map(|error| violation(&error)).collect())
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self {
            root,
            left: WORK_MAX,
        }
    }

    /// Counts the schemas that a check can look at: all alternatives, whether or
    /// not one of them ends the check early.
    pub(super) fn count(
        &mut self,
        schema: &Value,
        value: &Value,
        depth: usize,
    ) -> Result<(), &'static str> {
        self.spend(1)?;
        if depth > DEPTH_MAX {
            return Err(TOO_LARGE);
        }
        let Value::Object(fields) = schema else {
            return Ok(());
        };
        let inside: Vec<&Value> = match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(object) => object.values().collect(),
            _ => Vec::new(),
        };
        let depth = depth + 1;
        // What is evaluated already is found out by a second look at all parts.
        let n_looks = 1 + fields.keys().filter(|it| it.starts_with("uneval")).count();
        for (keyword, rule) in fields.iter().cycle().take(fields.len() * n_looks) {
            match (keyword.as_str(), rule) {
                ("$ref", Value::String(reference)) => {
                    let target = resolve(self.root, reference).ok_or(ELSEWHERE)?;
                    self.count(target, value, depth)?;
                }
                ("enum", Value::Array(choices)) => self.spend(choices.len() / 8)?,
                ("pattern", _) => self.spend(PATTERN_WORK)?,
                ("properties", Value::Object(rules)) => {
                    for (name, rule) in rules {
                        if let Some(inner) = value.get(name) {
                            self.count(rule, inner, depth)?;
                        }
                    }
                }
                ("patternProperties", Value::Object(rules)) => {
                    self.spend(rules.len() * inside.len() * PATTERN_WORK)?;
                    for rule in rules.values() {
                        self.count_each(rule, &inside, depth)?;
                    }
                }
                ("prefixItems" | "items", Value::Array(rules)) => {
                    for (rule, inner) in rules.iter().zip(&inside) {
                        self.count(rule, inner, depth)?;
                    }
                }
                // Names are texts, as deep as values are.
                (
                    "items"
                    | "additionalItems"
                    | "unevaluatedItems"
                    | "contains"
                    | "additionalProperties"
                    | "unevaluatedProperties"
                    | "propertyNames",
                    rule,
                ) => self.count_each(rule, &inside, depth)?,
                ("not" | "if" | "then" | "else", rule) => self.count(rule, value, depth)?,
                ("allOf" | "anyOf" | "oneOf", Value::Array(rules)) => {
                    for rule in rules {
                        self.count(rule, value, depth)?;
                    }
                }
                ("dependentSchemas" | "dependencies", Value::Object(rules)) => {
                    for rule in rules.values() {
                        self.count(rule, value, depth)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn count_each(
        &mut self,
        rule: &Value,
        inside: &[&Value],
        depth: usize,
    ) -> Result<(), &'static str> {
        inside
            .iter()
            .try_for_each(|inner| self.count(rule, inner, depth))
    }

    fn spend(&mut self, work: usize) -> Result<(), &'static str> {
        self.left = self.left.checked_sub(work).ok_or(TOO_LARGE)?;
        Ok(())
    }
}

/// Gives every reference out of the schema the schema that accepts everything;
/// `SchemaCheck::count` says where such a reference mattered.
pub(super) struct NothingElsewhere;

impl Retrieve for NothingElsewhere {
    fn retrieve(&self, _: &Uri<String>) -> Result<Value, Box<dyn Error + Send + Sync>> {
        Ok(Value::Bool(true))
    }
}

fn build(schema: &Value) -> Result<Validator, String> {
    let declared = match Draft::default().detect(schema) {
        Draft::Unknown => Draft::default(),
        declared => declared,
    };
    let mut first_fault = None;
    // Many tools name no draft and mean an older one.
    for draft in [declared, Draft::Draft7, Draft::Draft4] {
        if let Err(why) = check_size(schema, draft) {
            return Err(first_fault.unwrap_or_else(|| why.to_string()));
        }
        let patterns = PatternOptions::fancy_regex()
            .backtrack_limit(BACKTRACKS_MAX)
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(PROGRAM_BYTES_MAX);
        match validator_of(schema, draft, patterns) {
            Ok(validator) => return Ok(validator),
            Err(error) => {
                let why = error.masked();
                first_fault.get_or_insert(format!("the schema cannot be checked: {why}"))
            }
        };
    }
    Err(first_fault.unwrap_or_default())
}

/// A validator that fetches nothing, and to which formats are remarks.
pub(super) fn validator_of<E>(
    schema: &Value,
    draft: Draft,
    patterns: PatternOptions<E>,
) -> Result<Validator, ValidationError<'static>> {
    jsonschema::options()
        .with_draft(draft)
        .with_retriever(NothingElsewhere)
        .should_validate_formats(false)
        .with_pattern_options(patterns)
        .build(schema)
}

/// Whether a validator may be built for the schema.
pub(super) fn check_size(root: &Value, draft: Draft) -> Result<(), &'static str> {
    let id = if draft == Draft::Draft4 { "id" } else { "$id" };
    let (mut n_values, mut n_patterns, mut n_references) = (0, 0, 0);
    let mut waiting = vec![root];
    while let Some(value) = waiting.pop() {
        n_values += 1;
        match value {
            Value::Array(items) => waiting.extend(items),
            Value::Object(fields) => {
                for (keyword, inner) in fields {
                    match (keyword.as_str(), inner) {
                        ("pattern", Value::String(_)) => n_patterns += 1,
                        ("patternProperties", Value::Object(rules)) => n_patterns += rules.len(),
                        ("$ref", Value::String(_)) => n_references += 1,
                        // What references mean then is not what `resolve` takes them for.
                        ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                            return Err(ELSEWHERE);
                        }
                        (_, Value::String(_)) if keyword == id && !std::ptr::eq(value, root) => {
                            return Err(ELSEWHERE);
                        }
                        _ => {}
                    }
                    waiting.push(inner);
                }
            }
            _ => {}
        }
        let is_large = n_values + waiting.len() > N_VALUES_MAX;
        if is_large || n_patterns > N_PATTERNS_MAX || n_references > N_REFERENCES_MAX {
            return Err(TOO_LARGE);
        }
    }
    Ok(())
}

pub(super) fn violation(error: &ValidationError<'_>) -> SchemaViolation {
    let rule = error.evaluation_path().as_str();
    let is_condition = |step| matches!(step, "then" | "else" | "dependentSchemas" | "dependencies");
    SchemaViolation {
        path: error.instance_path().as_str().to_string(),
        keyword: rule.rsplit('/').next().unwrap_or_default().to_string(),
        is_conditional: rule.split('/').any(is_condition),
        what: error.masked().to_string(),
    }
}

/// The part of `root` that a reference leads to; `None` where it leads
/// elsewhere or nowhere.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = percent_decoded(reference.strip_prefix('#')?);
    root.pointer(std::str::from_utf8(&pointer).ok()?)
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::{any_json, any_schema};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn is_valid(schema: &Value, value: &Value) -> bool {
        let mut check = SchemaCheck::new(schema);
        check
            .violations(value)
            .is_ok_and(|violations| violations.is_empty())
    }

    fn check(schema: &Value, valid: &[Value], invalid: &[Value]) {
        for value in valid {
            assert!(is_valid(schema, value), "{schema} accepts {value}");
        }
        for value in invalid {
            assert!(!is_valid(schema, value), "{schema} refuses {value}");
        }
    }

    #[test]
    fn types_and_choices() {
        check(&json!(true), &[json!(1)], &[]);
        check(&json!(false), &[], &[json!(1)]);
        check(
            &json!({"type": "integer"}),
            &[json!(1), json!(1.0)],
            &[json!(1.5), json!("1")],
        );
        check(
            &json!({"type": ["string", "null"]}),
            &[json!(""), json!(null)],
            &[json!(1)],
        );
        check(
            &json!({"enum": [1, {"a": [2]}]}),
            &[json!(1.0), json!({"a": [2.0]})],
            &[json!({}), json!([2])],
        );
        check(&json!({"const": null}), &[json!(null)], &[json!(0)]);
    }

    #[test]
    fn numbers() {
        check(
            &json!({"minimum": 1, "exclusiveMaximum": 3}),
            &[json!(1), json!(2.9), json!("x")],
            &[json!(0), json!(3)],
        );
        check(
            &json!({"minimum": 1, "exclusiveMinimum": true}),
            &[json!(2)],
            &[json!(1)],
        );
        check(
            &json!({"multipleOf": 0.1}),
            &[json!(0.3), json!(1)],
            &[json!(0.35)],
        );
        check(
            &json!({"multipleOf": 7}),
            &[json!(14), json!(-7)],
            &[json!(13)],
        );
        check(
            &json!({"minimum": u64::MAX}),
            &[json!(u64::MAX)],
            &[json!(i64::MAX)],
        );
    }

    #[test]
    fn texts() {
        check(
            &json!({"minLength": 2, "maxLength": 3}),
            &[json!("ää"), json!(7)],
            &[json!("ä"), json!("abcd")],
        );
        check(&json!({"pattern": "^a+$"}), &[json!("aa")], &[json!("ab")]);
        check(&json!({"pattern": "^(?=a)"}), &[json!("a")], &[json!("b")]);
    }

    #[test]
    fn arrays() {
        check(
            &json!({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "minItems": 1, "maxItems": 3}),
            &[json!(["a"]), json!(["a", 1, 2])],
            &[
                json!([]),
                json!([1]),
                json!(["a", "b"]),
                json!(["a", 1, 2, 3]),
            ],
        );
        check(
            &json!({"items": [{"type": "string"}], "additionalItems": false}),
            &[json!(["a"])],
            &[json!(["a", 1])],
        );
        check(
            &json!({"uniqueItems": true}),
            &[json!([1, 2])],
            &[json!([1, 2, 1.0])],
        );
        check(
            &json!({"contains": {"type": "string"}, "minContains": 2, "maxContains": 2}),
            &[json!(["a", 1, "b"])],
            &[json!(["a"]), json!(["a", "b", "c"])],
        );
    }

    #[test]
    fn objects() {
        check(
            &json!({
                "properties": {"a": {"type": "string"}},
                "patternProperties": {"^x-": {"type": "integer"}},
                "additionalProperties": false,
                "required": ["a"], "maxProperties": 2,
            }),
            &[json!({"a": ""}), json!({"a": "", "x-b": 1})],
            &[
                json!({}),
                json!({"a": 1}),
                json!({"a": "", "b": 1}),
                json!({"a": "", "x-b": ""}),
                json!({"a": "", "x-b": 1, "x-c": 1}),
            ],
        );
        check(
            &json!({"dependentRequired": {"a": ["b"]}}),
            &[json!({"a": 1, "b": 1}), json!({})],
            &[json!({"a": 1})],
        );
        check(
            &json!({"dependencies": {"a": {"required": ["b"]}, "c": ["d"]}}),
            &[json!({"a": 1, "b": 1}), json!({"b": 1})],
            &[json!({"a": 1}), json!({"c": 1})],
        );
        check(
            &json!({"propertyNames": {"maxLength": 1}}),
            &[json!({"a": 1})],
            &[json!({"ab": 1})],
        );
    }

    #[test]
    fn combinations() {
        let text_or_number = json!([{"type": "string"}, {"type": "number"}, {"const": 7}]);
        check(
            &json!({"anyOf": text_or_number}),
            &[json!("a"), json!(7)],
            &[json!(null)],
        );
        check(
            &json!({"oneOf": text_or_number}),
            &[json!("a"), json!(8)],
            &[json!(null), json!(7)],
        );
        check(
            &json!({"not": {"type": "null"}}),
            &[json!(1)],
            &[json!(null)],
        );
        check(
            &json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
            &[json!({"a": 1, "b": 1}), json!({"c": 1})],
            &[json!({"a": 1}), json!({})],
        );
    }

    #[test]
    fn references_lead_within_the_schema() {
        let list = json!({
            "$ref": "#/$defs/a~1b%20c",
            "$defs": {"a/b c": {"properties": {"next": {"$ref": "#"}}, "required": ["x"]}},
        });
        check(
            &list,
            &[json!({"x": 1, "next": {"x": 1}})],
            &[json!({"x": 1, "next": {}})],
        );
        for reference in [
            "https://example.com/schema",
            "#/nowhere",
            "other.json#/a",
            "#%zz",
        ] {
            check(&json!({"$ref": reference}), &[], &[json!(1)]);
        }
    }

    #[test]
    fn a_fault_tells_its_place() {
        let schema = json!({"properties": {"a": {"items": {"type": "string"}}}});
        let violations = SchemaCheck::new(&schema).violations(&json!({"a": ["x", 1]}));
        let violations = violations.expect("it is checked");
        assert_eq!(violations.len(), 1);
        assert_eq!(
            violations[0].text(),
            "a[1]: value is not of type \"string\""
        );
    }

    #[test]
    fn a_hostile_schema_ends() {
        let forever = json!({"$ref": "#"});
        assert!(!is_valid(&forever, &json!(1)));
        let doubling = json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}]});
        assert!(!is_valid(&doubling, &json!(1)));
        // Each level of the value is looked at twice as often as the one around it.
        let twice = json!({"items": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}});
        let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
        assert_eq!(
            SchemaCheck::new(&twice).violations(&deep),
            Err(TOO_LARGE.to_string())
        );
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let link = |i: usize| json!({"$ref": format!("#/$defs/{i}")});
            let mut links: serde_json::Map<String, Value> = (0..60)
                .map(|i| (i.to_string(), json!({keyword: [link(i + 1), link(i + 1)]})))
                .collect();
            links.insert("60".to_string(), json!({"type": "integer"}));
            let chain = json!({"$ref": "#/$defs/0", "$defs": links});
            assert!(!is_valid(&chain, &json!("x")), "{keyword}");
        }
    }

    #[test]
    fn older_drafts_are_understood_where_none_is_named() {
        check(
            &json!({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}),
            &[json!(["a"])],
            &[json!([1])],
        );
        check(
            &json!({"$schema": "https://example.com/own", "type": "string"}),
            &[json!("a")],
            &[json!(1)],
        );
        // A reference out of the schema matters only where it applies.
        check(
            &json!({"properties": {"a": {"$ref": "https://example.com/schema"}}}),
            &[json!({"b": 1})],
            &[json!({"a": 1})],
        );
    }

    #[test]
    fn what_a_validator_would_cost_too_much_for_is_not_checked() {
        let deep = |n: usize| (0..n).fold(json!(true), |inner, _| json!({"not": inner}));
        let many = json!({"enum": vec![1; N_VALUES_MAX]});
        let patterns: Vec<Value> = (0..=N_PATTERNS_MAX)
            .map(|i| json!({"pattern": i.to_string()}))
            .collect();
        let references = vec![json!({"$ref": "#/$defs/a"}); N_REFERENCES_MAX + 1];
        for (schema, why) in [
            (deep(DEPTH_MAX + 1), TOO_LARGE),
            (many, TOO_LARGE),
            (json!({"$defs": patterns}), TOO_LARGE),
            (json!({"$defs": references}), TOO_LARGE),
            (json!({"$dynamicRef": "#a"}), ELSEWHERE),
            (
                json!({"$defs": {"a": {"$id": "https://example.com/"}}}),
                ELSEWHERE,
            ),
        ] {
            let checked = SchemaCheck::new(&schema).violations(&json!(1));
            assert_eq!(checked, Err(why.to_string()));
        }
    }

    proptest! {
        #[test]
        fn no_schema_panics(schema in any_schema(), value in any_json()) {
            let _any_answer_will_do = is_valid(&schema, &value);
        }
    }
}
