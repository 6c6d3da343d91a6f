//! Whether results satisfy a tool's output schema.
//!
//! Judged by the `jsonschema` crate in the dialect that the schema names, in 2020-12
//! where it names none, and by patterns in linear time only. What cannot be judged for
//! certain is not judged at all: the caller counts it as such.

use std::collections::HashSet;
use std::ptr;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::Value;

use super::check::{
    ELSEWHERE, SchemaViolation, Work, check_size, resolve, validator_of, violation,
};
use super::pattern::PROGRAM_BYTES_MAX;

/// Why a schema or a result cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// `$schema` names a dialect that is not known.
    UnknownDialect,
    /// A reference leads out of the schema, or cannot be followed.
    Elsewhere,
    /// References lead in a circle that no value ends.
    Endless,
    /// A pattern is not done in linear time.
    Pattern,
    /// The schema, or what a check could cost, is too large.
    TooLarge,
    /// It is not a schema.
    NoSchema,
}

impl From<&'static str> for Unfit {
    fn from(why: &'static str) -> Self {
        match why == ELSEWHERE {
            true => Self::Elsewhere,
            false => Self::TooLarge,
        }
    }
}

/// A tool's output schema, compiled once.
#[derive(Debug)]
pub struct OutputSchemaCheck {
    root: Value,
    validator: Validator,
}

impl OutputSchemaCheck {
    /// Compiles the schema.
    ///
    /// # Errors
    /// Why nothing can be judged by it.
    pub fn new(root: Value) -> Result<Self, Unfit> {
        let draft = Draft::default().detect(&root);
        if draft == Draft::Unknown {
            return Err(Unfit::UnknownDialect);
        }
        check_size(&root, draft)?;
        if is_endless(&root) {
            return Err(Unfit::Endless);
        }
        let linear = PatternOptions::regex()
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(PROGRAM_BYTES_MAX);
        match validator_of(&root, draft, linear) {
            Ok(validator) => Ok(Self { root, validator }),
            Err(error) => Err(match error.kind() {
                ValidationErrorKind::Format { format } if format == "regex" => Unfit::Pattern,
                _ => Unfit::NoSchema,
            }),
        }
    }

    /// What is wrong with a value first; `None`: it satisfies the schema.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn violation(&self, value: &Value) -> Result<Option<SchemaViolation>, Unfit> {
        Work::new(&self.root).count(&self.root, value, 0)?;
        if self.validator.is_valid(value) {
            return Ok(None);
        }
        let first = self.validator.iter_errors(value).next();
        if let Some(ValidationErrorKind::RegexEngineFailure { .. }) =
            first.as_ref().map(|it| it.kind())
        {
            return Err(Unfit::Pattern);
        }
        Ok(first.map(|error| violation(&error)))
    }
}

/// Whether a schema refers to itself without a step into the value.
fn is_endless(root: &Value) -> bool {
    let mut schemas = vec![root];
    let mut done = HashSet::new();
    let mut is_endless = false;
    while let Some(schema) = schemas.pop().filter(|_| !is_endless) {
        is_endless = !ends(root, schema, &mut HashSet::new(), &mut done);
        match schema {
            Value::Array(items) => schemas.extend(items),
            Value::Object(fields) => schemas.extend(fields.values()),
            _ => {}
        }
    }
    is_endless
}

/// Whether what is judged at the same place of a value comes to an end. `open` holds the
/// schemas that this one is a part of there, `done` those that are known to end.
fn ends(
    root: &Value,
    schema: &Value,
    open: &mut HashSet<*const Value>,
    done: &mut HashSet<*const Value>,
) -> bool {
    let Value::Object(fields) = schema else {
        return true;
    };
    let own = ptr::from_ref(schema);
    if done.contains(&own) {
        return true;
    }
    // Where they nest deeper than this, the check's own bound ends it.
    if !open.insert(own) || open.len() > DEPTH_MAX {
        return open.len() > DEPTH_MAX;
    }
    let ends_all = fields
        .iter()
        .all(|(keyword, rule)| match (keyword.as_str(), rule) {
            ("$ref", Value::String(reference)) => {
                resolve(root, reference).is_none_or(|target| ends(root, target, open, done))
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(rules)) => {
                rules.iter().all(|rule| ends(root, rule, open, done))
            }
            ("not" | "if" | "then" | "else", rule) => ends(root, rule, open, done),
            ("dependentSchemas" | "dependencies", Value::Object(rules)) => {
                rules.values().all(|rule| ends(root, rule, open, done))
            }
            _ => true,
        });
    open.remove(&own);
    done.insert(own);
    ends_all
}

/// Schemas in schemas that are followed.
const DEPTH_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: Value) -> Result<OutputSchemaCheck, Unfit> {
        OutputSchemaCheck::new(schema)
    }

    fn is_right(schema: &Value, value: Value) -> bool {
        let check = check(schema.clone()).expect("a schema");
        check.violation(&value).expect("it can be judged").is_none()
    }

    #[test]
    fn the_dialect_is_the_one_that_is_named() {
        // `prefixItems` the other way round.
        let rules = json!({"prefixItems": [{"type": "string"}]});
        let mut draft_07 = rules.clone();
        draft_07["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        assert!(is_right(&draft_07, json!([1])));
        assert!(!is_right(&rules, json!([1])));
        // In draft-07 nothing beside a reference counts.
        let rules = json!({"$ref": "#/definitions/a", "type": "string", "definitions": {"a": {}}});
        let mut draft_07 = rules.clone();
        draft_07["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        assert!(is_right(&draft_07, json!(1)));
        assert!(!is_right(&rules, json!(1)));
        // A list of `items` is not a schema of 2020-12.
        let rules = json!({"items": [{"type": "string"}]});
        assert_eq!(check(rules).err(), Some(Unfit::NoSchema));
    }

    #[test]
    fn what_cannot_be_judged_says_why() {
        let twice = json!({"allOf": [{"$ref": "#/$defs/b"}, {"$ref": "#/$defs/b"}]});
        for (schema, why) in [
            (
                json!({"$schema": "https://example.com/own"}),
                Unfit::UnknownDialect,
            ),
            (json!({"$ref": "#"}), Unfit::Endless),
            (
                json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}}),
                Unfit::Endless,
            ),
            (
                json!({"$defs": {"a": {"$id": "https://example.com/"}}}),
                Unfit::Elsewhere,
            ),
            (json!({"pattern": "(?=a)b"}), Unfit::Pattern),
            (json!({"pattern": r"(a)\1"}), Unfit::Pattern),
            (json!({"pattern": r"\w{1000}{1000}"}), Unfit::Pattern),
            (json!({"type": "strong"}), Unfit::NoSchema),
            (json!({"enum": vec![1; 20_000]}), Unfit::TooLarge),
        ] {
            assert_eq!(check(schema.clone()).err(), Some(why), "{schema}");
        }
        let elsewhere = json!({"properties": {"a": {"$ref": "https://example.com/s"}}});
        assert!(is_right(&elsewhere, json!({"b": 1})));
        let elsewhere = check(elsewhere).expect("a schema");
        assert_eq!(
            elsewhere.violation(&json!({"a": 1})).err(),
            Some(Unfit::Elsewhere)
        );
        // What is looked at doubles with each level of the value.
        let doubling = json!({"items": twice, "$defs": {"b": {"$ref": "#"}}});
        let deep = (0..60).fold(json!(1), |inner, _| json!([inner]));
        let doubling = check(doubling).expect("a schema");
        assert_eq!(doubling.violation(&deep).err(), Some(Unfit::TooLarge));
    }

    #[test]
    fn lists_of_lists_end() {
        let list = json!({
            "$ref": "#/$defs/node",
            "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        });
        assert!(is_right(&list, json!({"next": {"next": {}}})));
        assert!(!is_right(&list, json!({"next": {"next": 1}})));
    }
}
