//! Checks arguments against the part of JSON Schema that this server's own
//! tools use, so that a client which makes arguments from a schema is truly
//! tested.
//!
//! It knows no tool. Keywords: `type`, `const`, `enum`, `properties`,
//! `required`, `additionalProperties: false`, `items`, `minItems`, `maxItems`,
//! `minLength`, `minimum`, `maximum`, and the formats `email`, `date-time`.

use serde_json::Value;

/// The first fault of `value` against `schema`, with its path.
pub(super) fn fault(schema: &Value, value: &Value) -> Option<String> {
    fault_at(schema, value, "arguments")
}

fn fault_at(schema: &Value, value: &Value, path: &str) -> Option<String> {
    if let Some(name) = schema.get("type").and_then(Value::as_str)
        && !has_type(value, name)
    {
        return Some(format!("`{path}` must be of type {name}"));
    }
    if let Some(expected) = schema.get("const")
        && expected != value
    {
        return Some(format!("`{path}` must be {expected}"));
    }
    if let Some(Value::Array(choices)) = schema.get("enum")
        && !choices.contains(value)
    {
        return Some(format!(
            "`{path}` must be one of {}",
            Value::from(choices.clone())
        ));
    }
    match value {
        Value::Object(_) => object_fault(schema, value, path),
        Value::Array(items) => array_fault(schema, items, path),
        Value::String(text) => string_fault(schema, text, path),
        Value::Number(_) => number_fault(schema, value, path),
        Value::Null | Value::Bool(_) => None,
    }
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        // 3.0 is an integer too.
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => value.is_null(),
    }
}

fn object_fault(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            return Some(format!("`{path}.{name}` is required"));
        }
    }
    let properties = schema.get("properties");
    let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    for (name, value) in value.as_object()? {
        let path = format!("{path}.{name}");
        match properties.and_then(|properties| properties.get(name)) {
            Some(schema) => {
                if let Some(fault) = fault_at(schema, value, &path) {
                    return Some(fault);
                }
            }
            None if is_closed => return Some(format!("`{path}` is not known")),
            None => {}
        }
    }
    None
}

fn array_fault(schema: &Value, items: &[Value], path: &str) -> Option<String> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let n_items = items.len() as u64;
    if bound("minItems").is_some_and(|min| n_items < min) {
        return Some(format!("`{path}` has too few items"));
    }
    if bound("maxItems").is_some_and(|max| n_items > max) {
        return Some(format!("`{path}` has too many items"));
    }
    let schema = schema.get("items")?;
    items
        .iter()
        .enumerate()
        .find_map(|(i, item)| fault_at(schema, item, &format!("{path}[{i}]")))
}

fn string_fault(schema: &Value, text: &str, path: &str) -> Option<String> {
    let min_len = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
    if (text.chars().count() as u64) < min_len {
        return Some(format!("`{path}` is too short"));
    }
    let format = schema.get("format").and_then(Value::as_str)?;
    let is_fit = match format {
        "email" => is_email(text),
        "date-time" => is_date_time(text),
        _ => true,
    };
    (!is_fit).then(|| format!("`{path}` must have the format {format}"))
}

fn number_fault(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let number = value.as_f64()?;
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    if let Some(min) = bound("minimum")
        && number < min
    {
        return Some(format!("`{path}` must be at least {min}"));
    }
    if let Some(max) = bound("maximum")
        && number > max
    {
        return Some(format!("`{path}` must be at most {max}"));
    }
    None
}

/// A name, one `@`, and a host.
fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && !host.is_empty() && !host.contains(['@', ' '])
    })
}

/// The shape of RFC 3339: `2026-11-23T12:41:07Z`, perhaps with a fraction, or
/// with an offset in place of the `Z`.
fn is_date_time(text: &str) -> bool {
    let shape = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(byte, expected)| match expected {
                    b'0' => byte.is_ascii_digit(),
                    _ => byte.eq_ignore_ascii_case(&expected),
                })
    };
    let Some((date_time, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let fraction_len = match rest.strip_prefix('.') {
        Some(digits) => {
            let n_digits = digits.bytes().take_while(u8::is_ascii_digit).count();
            if n_digits == 0 {
                return false;
            }
            n_digits + 1
        }
        None => 0,
    };
    let zone = &rest[fraction_len..];
    shape(date_time, "0000-00-00T00:00:00")
        && (shape(zone, "Z") || shape(zone, "+00:00") || shape(zone, "-00:00"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_are_found_with_their_path() {
        let schema = json!({
            "type": "object",
            "required": ["version", "who"],
            "additionalProperties": false,
            "properties": {
                "version": {"const": 1},
                "who": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 2,
                    "items": {
                        "type": "object",
                        "required": ["email"],
                        "properties": {"email": {"type": "string", "format": "email"}}
                    }
                },
                "at": {"type": "string", "format": "date-time"},
                "kind": {"enum": ["a", "b"]},
                "count": {"type": "integer", "minimum": 1, "maximum": 50},
                "text": {"type": "string", "minLength": 1}
            }
        });
        let check = |value: Value, expected: &str| {
            let mut full = json!({"version": 1, "who": [{"email": "a@b"}]});
            for (name, value) in value.as_object().expect("an object") {
                full[name] = value.clone();
            }
            assert_eq!(
                fault(&schema, &full).unwrap_or_default(),
                expected,
                "{full}"
            );
        };
        check(json!({}), "");
        check(json!({"count": 50.0, "kind": "b", "text": "x"}), "");
        check(json!({"at": "2026-11-23T12:41:07Z"}), "");
        check(json!({"at": "2026-11-23T12:41:07.25+01:00"}), "");
        let at = "`arguments.at` must have the format date-time";
        check(json!({"at": "2026-11-23T12:41:07"}), at);
        check(json!({"at": "2026-11-23T12:41:07.Z"}), at);
        check(json!({"at": "tomorrow, at about teätime"}), at);
        check(json!({"version": 2}), "`arguments.version` must be 1");
        check(json!({"who": []}), "`arguments.who` has too few items");
        check(json!({"who": [{}]}), "`arguments.who[0].email` is required");
        check(
            json!({"who": [{"email": "@"}]}),
            "`arguments.who[0].email` must have the format email",
        );
        check(
            json!({"kind": "c"}),
            "`arguments.kind` must be one of [\"a\",\"b\"]",
        );
        check(
            json!({"count": 1.5}),
            "`arguments.count` must be of type integer",
        );
        check(json!({"count": 51}), "`arguments.count` must be at most 50");
        check(json!({"count": 0}), "`arguments.count` must be at least 1");
        check(json!({"text": ""}), "`arguments.text` is too short");
        check(json!({"more": 1}), "`arguments.more` is not known");
        assert_eq!(
            fault(&schema, &json!([])).as_deref(),
            Some("`arguments` must be of type object")
        );
    }
}
