//! Hides values that are credentials by their name.

use serde_json::{Map, Value};

pub(super) use crate::redact::MASK as HIDDEN;
use crate::redact::{JSON_TYPES, names_credential, names_number, without_members};
use crate::template::{self, Piece};

/// Replaces each text under a credential's name, at any depth, and hands out
/// what it was; numbers where credentials of that name are some.
pub(super) fn hide_credentials(fields: &mut Map<String, Value>, found: &mut Vec<String>) {
    for (name, value) in fields {
        match value {
            Value::Number(number) if names_number(name) => {
                found.push(number.to_string());
                *value = HIDDEN.into();
            }
            Value::String(_) | Value::Array(_) | Value::Object(_) if names_credential(name) => {
                if !is_schema(value) {
                    hide_all(value, found);
                }
            }
            _ => hide_inside(value, found),
        }
    }
}

/// Replaces each text within.
fn hide_all(value: &mut Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            if let Some(literals) = literals(text) {
                found.extend(literals);
                *text = HIDDEN.to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| hide_all(item, found)),
        Value::Object(fields) => fields.values_mut().for_each(|field| hide_all(field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether it tells what a credential looks like.
fn is_schema(value: &Value) -> bool {
    let is_type = |value: &Value| value.as_str().is_some_and(|it| JSON_TYPES.contains(&it));
    match value {
        Value::Array(items) => items.iter().any(is_schema),
        Value::Object(fields) => fields.iter().any(|(name, field)| {
            let list = field.as_array();
            let mut types = std::iter::once(field).chain(list.into_iter().flatten());
            name == "type" && types.any(is_type) || is_schema(field)
        }),
        _ => false,
    }
}

/// What of a text is there as it is, and may be a credential; `None`: templates
/// alone, which tell none.
fn literals(text: &str) -> Option<Vec<String>> {
    let Ok(understood) = template::parse(text) else {
        return Some(vec![text.to_string()]);
    };
    let literals = understood.pieces().iter().filter_map(|piece| match piece {
        Piece::Literal(literal) => Some(literal.clone()),
        Piece::Expression(_) => None,
    });
    let literals: Vec<String> = literals.collect();
    let is_empty = literals.is_empty() && !understood.pieces().is_empty();
    (!is_empty).then_some(literals)
}

fn hide_inside(value: &mut Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => hide_credentials(fields, found),
        Value::Array(items) => {
            for item in items {
                hide_inside(item, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The same in the text of a JSON value. The rest of the text stays as it is.
pub(super) fn without_credentials(json: &str) -> String {
    without_members(json, |text| literals(text).is_some()).into_owned()
}

/// The text of a JSON value with its strings, names among them, replaced where `replace`
/// gives another JSON string.
pub(super) fn map_strings(json: &str, replace: impl Fn(&str) -> Option<String>) -> String {
    let mut mapped = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        mapped.push_str(&rest[..start]);
        let (string, after) = rest[start..].split_at(text_length(&rest[start..]));
        match replace(string) {
            Some(other) => mapped.push_str(&other),
            None => mapped.push_str(string),
        }
        rest = after;
    }
    mapped.push_str(rest);
    mapped
}

/// The length of the JSON string that the text begins with.
fn text_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn credentials_are_hidden_at_any_depth() {
        let mut value = json!({
            "a": [{"token": "t1", "n": 1}], "max_tokens": 5, "secret": "t2", "pin": 1234,
            "tokens": ["t3", {"x": "t4"}],
        });
        let mut found = Vec::new();
        hide_inside(&mut value, &mut found);
        assert_eq!(
            value,
            json!({
                "a": [{"token": "***", "n": 1}], "max_tokens": 5, "secret": "***", "pin": "***",
                "tokens": ["***", {"x": "***"}],
            })
        );
        found.sort();
        assert_eq!(found, ["1234", "t1", "t2", "t3", "t4"]);
    }

    #[test]
    fn what_templates_fill_in_is_no_credential_and_what_is_around_them_may_be() {
        let mut value = json!({
            "token": "{{token}}", "password": "{{data.a.b}}{{vu}}", "api_key": "k-{{vu}}", "secret": "{{{{x}}",
        });
        let mut found = Vec::new();
        hide_inside(&mut value, &mut found);
        let shown = json!({
            "token": "{{token}}", "password": "{{data.a.b}}{{vu}}", "api_key": "***", "secret": "***",
        });
        assert_eq!(value, shown);
        assert_eq!(found, ["k-", "{{x}}"]);
    }

    #[test]
    fn texts_lose_what_values_lose_and_keep_their_digits() {
        let json = r#"{"n": 12345678901234567890123, "token" : "t\"\\", "\u0070assword":"p",
            "a": [{"api_key":"k", "note": "token"}, "secret"], "secret": "{{vu}}", "token": 7}"#;
        let shown = without_credentials(json);
        assert_eq!(
            shown,
            r#"{"n": 12345678901234567890123, "token" : "***", "\u0070assword":"***",
            "a": [{"api_key":"***", "note": "token"}, "secret"], "secret": "{{vu}}", "token": 7}"#
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let name = prop_oneof![Just("token".to_string()), any::<String>()];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(name, inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn both_ways_of_hiding_hide_the_same(value in any_json(), is_pretty: bool) {
            let mut fields = Map::new();
            fields.insert("token".to_string(), value);
            let text = match is_pretty {
                true => serde_json::to_string_pretty(&fields),
                false => serde_json::to_string(&fields),
            };
            let shown = without_credentials(&text.expect("values render"));
            hide_credentials(&mut fields, &mut Vec::new());
            let read: Value = serde_json::from_str(&shown).expect("still JSON");
            prop_assert_eq!(read, Value::Object(fields));
        }
    }
}
