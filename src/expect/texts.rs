//! What a JSON text says: the texts within it, each as it is read.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::path::{quoted_len, read_tree};

/// Whether a value of JSON satisfies `is_right`: a text as it is read; of any other value
/// its JSON as it came, or one of the texts within it, names of members among them.
pub(super) fn any_text(json: &str, is_right: impl Fn(&str) -> bool) -> bool {
    if !json.starts_with('"') && is_right(json) {
        return true;
    }
    let mut rest = json;
    while let Some(at) = rest.find('"') {
        let (quoted, after) = rest[at..].split_at(quoted_len(&rest[at..]));
        let text: Cow<'_, str> = match quoted.contains('\\') {
            true => serde_json::from_str(quoted).map_or(Cow::Borrowed(quoted), Cow::Owned),
            false => Cow::Borrowed(quoted.trim_matches('"')),
        };
        if is_right(&text) {
            return true;
        }
        rest = after;
    }
    false
}

/// Whether a JSON text is this value. Numbers are compared by value, members in any
/// order. A text of more than 1 MiB, or nested more than 127 deep, is not.
pub fn is_equal(json: &str, value: &Value) -> bool {
    read_tree(json).is_ok_and(|tree| are_equal(&tree, value))
}

fn are_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => are_equal_numbers(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let is_in_b =
                |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| are_equal(a, b));
            a.len() == b.len() && a.iter().all(is_in_b)
        }
        _ => a == b,
    }
}

fn are_equal_numbers(a: &Number, b: &Number) -> bool {
    let whole = |number: &Number| {
        let signed = number.as_i64().map(i128::from);
        signed.or_else(|| number.as_u64().map(i128::from))
    };
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_f64() == b.as_f64(),
    }
}
