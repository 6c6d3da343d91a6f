//! Takes one value out of an answer, without building the rest.
//!
//! What a server sends may be large: nothing is made of it but the texts on the
//! way to the value, and those are bounded. Nesting costs no stack. Does not know
//! what the value is for.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::fields::{look_at_elements, read_fields, read_string};

/// The longest value that is taken, in bytes of its JSON: one is kept for each user.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The longest text in which a value is looked for, in bytes of its JSON.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Where in an answer a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValuePath(Vec<PathStep>);

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// The member of this name.
    Member(String),
    /// The element at this place, from 0.
    Element(usize),
    /// What a text holds that is JSON itself.
    Json,
}

impl ValuePath {
    /// The way from the result of an answer.
    pub fn new(steps: Vec<PathStep>) -> Self {
        Self(steps)
    }

    /// The JSON of the string there; `None` where there is no string, it has more
    /// than 64 KiB, or a text on the way more than 1 MiB.
    pub fn find_string<'a>(&self, result: &'a str) -> Option<Cow<'a, str>> {
        let found = self
            .0
            .iter()
            .try_fold(Cow::Borrowed(result), |json, step| match json {
                Cow::Borrowed(json) => step.of(json),
                Cow::Owned(json) => Some(Cow::Owned(step.of(&json)?.into_owned())),
            })?;
        let is_taken = found.starts_with('"') && found.len() <= VALUE_BYTES_MAX;
        is_taken.then_some(found)
    }
}

impl PathStep {
    fn of<'a>(&self, json: &'a str) -> Option<Cow<'a, str>> {
        match self {
            PathStep::Member(name) => {
                let [value] = read_fields(json, [name])?;
                value.map(Cow::Borrowed)
            }
            PathStep::Element(idx) => {
                let mut place = 0;
                let mut found = None;
                look_at_elements(json, idx.saturating_add(1), |element| {
                    if place == *idx {
                        found = Some(Cow::Borrowed(element));
                        return ControlFlow::Break(());
                    }
                    place += 1;
                    ControlFlow::Continue(())
                })?;
                found
            }
            PathStep::Json if json.len() > TEXT_BYTES_MAX => None,
            PathStep::Json => read_string(json).map(Cow::Owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PathStep::{Element, Json};
    use proptest::prelude::*;

    fn member(name: &str) -> PathStep {
        PathStep::Member(name.to_string())
    }

    fn found(steps: &[PathStep], result: &str) -> Option<String> {
        let path = ValuePath::new(steps.to_vec());
        path.find_string(result).map(Cow::into_owned)
    }

    #[test]
    fn strings_are_found() {
        let in_text = [
            member("content"),
            Element(1),
            member("text"),
            Json,
            member("a"),
        ];
        for (steps, result, expected) in [
            (&[member("a")][..], r#"{"a": "x\n"}"#, Some(r#""x\n""#)),
            (
                &[member("a"), member("b")],
                r#"{"a":{"b":"1"}}"#,
                Some(r#""1""#),
            ),
            (
                &in_text,
                r#"{"content":[7,{"text":"{\"a\":\"\\u0041\"}"},8]}"#,
                Some(r#""\u0041""#),
            ),
            (&in_text, r#"{"content":[7]}"#, None),
            (&in_text, r#"{"content":[7,{"text":"no JSON"}]}"#, None),
            (&in_text, r#"{"content":[7,{"text":7}]}"#, None),
            (&[member("a")], r#"{"a":1}"#, None),
            (&[member("a")], r#"{"b":"1"}"#, None),
            (&[member("a")], "not json", None),
            (&[Element(0)], "[]", None),
            (&[], r#""x""#, Some(r#""x""#)),
        ] {
            assert_eq!(found(steps, result).as_deref(), expected, "{result}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_taken() {
        let value = |n_bytes: usize| format!("\"{}\"", "x".repeat(n_bytes - 2));
        let a = [member("a")];
        let result = |n_bytes| format!(r#"{{"a":{}}}"#, value(n_bytes));
        assert!(found(&a, &result(VALUE_BYTES_MAX)).is_some());
        assert_eq!(found(&a, &result(VALUE_BYTES_MAX + 1)), None);
        // It may be among much else.
        let rest = value(16 * 1024 * 1024);
        assert!(found(&a, &format!(r#"{{"rest":{rest},"a":"x"}}"#)).is_some());
        let steps = [member("t"), Json, member("a")];
        let text = |n_more| format!(r#"{{"t":"{{\"a\":\"x\"}}{}"}}"#, " ".repeat(n_more));
        let n_more = TEXT_BYTES_MAX - r#""{\"a\":\"x\"}""#.len();
        assert!(found(&steps, &text(n_more)).is_some());
        assert_eq!(found(&steps, &text(n_more + 1)), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(result: String) {
            for steps in [vec![member("a")], vec![Element(3)], vec![Json, Json]] {
                let _any_answer_will_do = found(&steps, &result);
            }
        }
    }
}
