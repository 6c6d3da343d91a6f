//! Which values are credentials by their name, and hiding them.

use serde_json::{Map, Value};

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "***";

/// Whether a name speaks of a credential: `password`, `api_key`, `authToken`.
pub(super) fn names_credential(name: &str) -> bool {
    let letters: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "accesskey",
        "privatekey",
        "credential",
        "authorization",
    ]
    .iter()
    .any(|word| letters.contains(word))
}

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
    fn credentials_are_known_by_name() {
        for name in [
            "password",
            "API-Key",
            "api_key",
            "authToken",
            "client_secret",
        ] {
            assert!(names_credential(name), "{name}");
        }
        for name in ["key", "text", "path", "author", ""] {
            assert!(!names_credential(name), "{name}");
        }
    }

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
