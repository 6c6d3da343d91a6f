//! Values, keys and comments as TOML, from texts that may hold anything.
//!
//! Knows three readers: TOML's, and two of the config's own. One fills `${NAME}` in
//! strings from the environment unless it is written `$${NAME}`; the other fills
//! `{{…}}` in what is sent to a server, and takes `{{{{` for `{{`.

use serde_json::Value;

use crate::template;
use crate::text::is_unseen;

/// A string of what is sent to a server that is read back as `text`: whatever a server
/// said fills nothing in.
pub(super) fn sent_string(text: &str) -> String {
    string(&template::escape(text))
}

/// A string of a setting that is read back as `text`.
pub(super) fn string(text: &str) -> String {
    quoted(&literal(text))
}

/// The text such that nothing in it is filled in from the environment.
pub(super) fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// A basic string; references in `text` stay references. Characters that do
/// not show, or turn the line around, are escaped: what one sees is what is sent.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if is_unseen(c) => quoted.push_str(&escaped(c)),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn escaped(c: char) -> String {
    let code = u32::from(c);
    if code <= 0xffff {
        format!("\\u{code:04X}")
    } else {
        format!("\\U{code:08X}")
    }
}

/// The name of an argument as a key. It is sent: templates in it would be filled in.
pub(super) fn argument_key(name: &str) -> String {
    key(&template::escape(name))
}

/// A key: bare where it can be. Keys are never filled in from the environment.
pub(super) fn key(name: &str) -> String {
    let is_bare_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(is_bare_char) {
        name.to_string()
    } else {
        quoted(name)
    }
}

/// An argument's value on one line; `None` where it holds a null, which TOML has not.
pub(super) fn value(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(truth) => truth.to_string(),
        // JSON writes whole numbers without and others with a point or an
        // exponent, as TOML wants it.
        Value::Number(number) => number.to_string(),
        Value::String(text) => sent_string(text),
        Value::Array(items) => {
            let items: Option<Vec<String>> = items.iter().map(self::value).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Object(fields) if fields.is_empty() => "{}".to_string(),
        Value::Object(fields) => {
            let field = |(name, field): (&String, &Value)| {
                Some(format!("{} = {}", argument_key(name), self::value(field)?))
            };
            let fields: Option<Vec<String>> = fields.iter().map(field).collect();
            format!("{{ {} }}", fields?.join(", "))
        }
    })
}

/// The text on one line, fit for a comment: blanks and line breaks become one
/// blank, what does not show is dropped, and what is beyond `n_chars_max`
/// (at least 1) is cut off, marked by `…`.
pub(super) fn comment(text: &str, n_chars_max: usize) -> String {
    let mut line = String::new();
    let mut n_chars = 0;
    let mut is_blank_due = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            is_blank_due = n_chars > 0;
            continue;
        }
        if is_unseen(c) {
            continue;
        }
        let n_due = 1 + usize::from(is_blank_due);
        if n_chars + n_due > n_chars_max {
            if n_chars >= n_chars_max {
                line.pop();
            }
            line.push('…');
            return line;
        }
        if is_blank_due {
            line.push(' ');
            is_blank_due = false;
        }
        line.push(c);
        n_chars += n_due;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn strings_are_escaped() {
        assert_eq!(string("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
        assert_eq!(string("${HOME} $5 $${x}"), r#""$${HOME} $5 $$${x}""#);
        assert_eq!(string("\u{0}\u{202e}é"), r#""\u0000\u202Eé""#);
        assert_eq!(string("\u{e0041}"), r#""\U000E0041""#);
    }

    #[test]
    fn what_is_sent_fills_nothing_in() {
        assert_eq!(sent_string("${A} {{vu}} {"), r#""$${A} {{{{vu}} {""#);
        assert_eq!(argument_key("${{a}}"), r#""${{{{a}}""#);
        assert_eq!(
            value(&json!({"{{a": ["${{vu}}"]})).as_deref(),
            Some(r#"{ "{{{{a" = ["$${{{{vu}}"] }"#)
        );
    }

    #[test]
    fn keys_are_quoted_where_needed() {
        assert_eq!(key("a-b_1"), "a-b_1");
        assert_eq!(key(""), "\"\"");
        assert_eq!(key("a b"), "\"a b\"");
        assert_eq!(key("${a}"), "\"${a}\"");
    }

    #[test]
    fn values_stand_on_one_line() {
        let check =
            |json: Value, expected: &str| assert_eq!(value(&json).as_deref(), Some(expected));
        check(
            json!({"a": [1, -2.5, true, "x\n"], "b c": {}}),
            r#"{ a = [1, -2.5, true, "x\n"], "b c" = {} }"#,
        );
        check(json!(1e300), "1e+300");
        check(json!(1.0), "1.0");
        check(json!([]), "[]");
        assert_eq!(value(&json!({"a": [null]})), None);
    }

    #[test]
    fn comments_are_one_line() {
        let check =
            |text: &str, max: usize, expected: &str| assert_eq!(comment(text, max), expected);
        check(" a \n\n b\tc ", 80, "a b c");
        check("a\u{202e}b\u{0}c", 80, "ab c");
        check("abcdef", 3, "ab…");
        check("abc", 3, "abc");
        check("ab cd", 3, "ab…");
        check("", 3, "");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            name: String,
            text in "[ -~\n$\\{é]{0,20}|\\PC{0,20}",
            number: f64,
            whole: i64,
        ) {
            let json = json!({&name: [&text, whole, {"f": if number.is_finite() { number } else { 0.5 }}]});
            let number_field = json[&name][2].clone();
            let line = format!("x = {}", value(&json).expect("no nulls"));
            let table: toml::Table = line.parse().expect(&line);
            let read = serde_json::to_value(&table["x"]).expect("JSON");
            let unfilled = text.replace("{{", "{{{{").replace("${", "$${");
            let name = name.replace("{{", "{{{{");
            let unfilled = json!({&name: [unfilled, whole, number_field]});
            prop_assert_eq!(read, unfilled);
        }

        #[test]
        fn a_comment_ends_with_its_line(text: String, max in 1_usize..50) {
            let line = comment(&text, max);
            prop_assert!(line.chars().count() <= max);
            let page = format!("# {line}\nx = 1");
            prop_assert!(page.parse::<toml::Table>().is_ok());
        }
    }
}
