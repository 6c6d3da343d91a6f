//! Hides values that are credentials by their name.

use serde_json::{Map, Value};

pub(super) use crate::redact::MASK as HIDDEN;
use crate::redact::names_credential;

/// Replaces each text under a credential's name, at any depth, and hands out
/// what it was.
pub(super) fn hide_credentials(fields: &mut Map<String, Value>, found: &mut Vec<String>) {
    for (name, value) in fields {
        match value {
            Value::String(text) if names_credential(name) => {
                found.push(std::mem::replace(text, HIDDEN.to_string()));
            }
            _ => hide_inside(value, found),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn credentials_are_hidden_at_any_depth() {
        let mut value = json!({"a": [{"token": "t1", "n": 1}], "max_tokens": 5, "secret": "t2"});
        let mut found = Vec::new();
        hide_inside(&mut value, &mut found);
        assert_eq!(
            value,
            json!({"a": [{"token": "***", "n": 1}], "max_tokens": 5, "secret": "***"})
        );
        assert_eq!(found, ["t1", "t2"]);
    }
}
