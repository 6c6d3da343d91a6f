//! Members of JSON that are named like a credential, in any text: JSON, JSON in a text of
//! JSON, or what a message shows of either, cut anywhere.

use std::borrow::Cow;
use std::ops::Range;

use super::{MASK, names_credential};

/// Members of one text whose values are handed out.
const CREDENTIALS_MAX: usize = 1000;

/// Bytes of a member's name, as it is written.
const NAME_BYTES_MAX: usize = 200;

/// Levels of escapes that are understood: texts of JSON in texts of JSON.
const LEVELS_MAX: u32 = 6;

/// The text with a mask for each text that is the value of a member which is named like a
/// credential. All else stays as it is.
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    without_members(text, |_| true)
}

/// The same, where only those values are hidden that are secrets.
pub fn without_members(text: &str, is_secret: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut end = 0;
    for member in members(text).filter(|it| is_secret(&it.value(text))) {
        shown.push_str(&text[end..member.range.start]);
        shown.push_str(MASK);
        end = member.range.end;
    }
    if end == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(&text[end..]);
    Cow::Owned(shown)
}

/// What the values of such members are: they may stand elsewhere, too.
pub fn credentials_in(text: &str) -> Vec<String> {
    let values = members(text).map(|member| member.value(text));
    values.take(CREDENTIALS_MAX).collect()
}

/// A text that is the value of a member.
struct Member {
    /// Between its quotes.
    range: Range<usize>,
    /// How many times it is escaped, beyond its own quotes.
    level: u32,
}

impl Member {
    /// What it means; as it is written from where its escapes are none.
    fn value(&self, text: &str) -> String {
        let mut value = text[self.range.clone()].to_string();
        for _ in 0..=self.level {
            match serde_json::from_str(&format!("\"{value}\"")) {
                Ok(decoded) => value = decoded,
                Err(_) => break,
            }
        }
        value
    }
}

/// Any quote may begin a name, so nothing need be known of what is before it.
fn members(text: &str) -> impl Iterator<Item = Member> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(quote) = next_quote(text, from) {
            from = quote + 1;
            let member = level(text, quote).and_then(|level| value_after(text, from, level));
            if let Some(member) = member {
                from = member.range.end;
                return Some(member);
            }
        }
        None
    })
}

fn next_quote(text: &str, from: usize) -> Option<usize> {
    text.get(from..)?.find('"').map(|at| from + at)
}

/// How many backslashes the text ends with.
fn backslashes(text: &str) -> usize {
    text.len() - text.trim_end_matches('\\').len()
}

/// Of a quote that begins a text: at each level the escapes of the one below are escaped,
/// so there are 0, 1, 3, 7, … backslashes before it.
fn level(text: &str, quote: usize) -> Option<u32> {
    let n_at = backslashes(&text[..quote]) + 1;
    let is_level = n_at.is_power_of_two() && n_at.ilog2() <= LEVELS_MAX;
    is_level.then(|| n_at.ilog2())
}

/// Where the text ends that begins at a place, and its quote. A backslash of the text
/// itself stands for two at each level.
fn text_end(text: &str, from: usize, level: u32, bytes_max: usize) -> Option<(usize, usize)> {
    let n_before = (1_usize << level) - 1;
    let mut at = from;
    while let Some(quote) = next_quote(text, at).filter(|quote| quote - from <= bytes_max) {
        if backslashes(&text[from..quote]) % (1 << (level + 1)) == n_before {
            return Some((quote - n_before, quote));
        }
        at = quote + 1;
    }
    None
}

/// The value of the member whose name begins at a place, if it is a text and its name
/// that of a credential. Of a text that was cut: up to its end.
fn value_after(text: &str, name: usize, level: u32) -> Option<Member> {
    let (end, quote) = text_end(text, name, level, NAME_BYTES_MAX)?;
    let range = name..end;
    let rest = without_blanks(&text[quote + 1..]).strip_prefix(':')?;
    let rest = without_blanks(rest);
    let rest = rest.get((1 << level) - 1..)?.strip_prefix('"')?;
    if !names_credential(&Member { range, level }.value(text)) {
        return None;
    }
    let start = text.len() - rest.len();
    let end = match text_end(text, start, level, text.len()) {
        Some((end, _)) => end,
        None => text.trim_end_matches('…').len(),
    };
    let range = start..end.max(start);
    Some(Member { range, level })
}

/// Messages and texts of JSON have escapes in the place of line ends.
fn without_blanks(text: &str) -> &str {
    let mut rest = text.trim_start();
    loop {
        let letter = rest.trim_start_matches('\\');
        match letter.strip_prefix(['n', 'r', 't']) {
            Some(after) if letter.len() < rest.len() => rest = after.trim_start(),
            _ => return rest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn members_are_hidden_wherever_they_are_written() {
        for (text, expected) in [
            (r#"{"token":"a b","n":1}"#, r#"{"token":"***","n":1}"#),
            (
                r#"["token", "x"] {"a":"token"}"#,
                r#"["token", "x"] {"a":"token"}"#,
            ),
            (
                r#"{"token" : 7, "secret": ["x"]}"#,
                r#"{"token" : 7, "secret": ["x"]}"#,
            ),
            (
                r#"{"api_key":"t\"\\","b":"c"}"#,
                r#"{"api_key":"***","b":"c"}"#,
            ),
            (
                r#"{"\u0070assword":"p","token":""}"#,
                r#"{"\u0070assword":"***","token":"***"}"#,
            ),
            (
                r#"`x` is awaited; {"text":"{\"token\": \"a\\\"b\",\"n\":1}"} came"#,
                r#"`x` is awaited; {"text":"{\"token\": \"***\",\"n\":1}"} came"#,
            ),
            (
                r#"said {\n  "token":\n "ab… and"#,
                r#"said {\n  "token":\n "***"#,
            ),
            (r#"said {"token":"ab…"#, r#"said {"token":"***…"#),
            (r#"said {"token":"…"#, r#"said {"token":"***…"#),
            (r#"said {"token":""#, r#"said {"token":"***"#),
            ("no quote", "no quote"),
        ] {
            assert_eq!(without_credentials(text), expected, "{text}");
        }
        for odd in [
            "",
            "{",
            "\"",
            "\\\"",
            "é:é",
            "\"token\":é\"",
            "\\\"token\\\":é\"x\"",
        ] {
            let _no_panic = without_credentials(odd);
        }
    }

    #[test]
    fn their_values_are_told_as_they_mean() {
        let inner = json!({"n": [{"api_key": "k\"2\\"}]}).to_string();
        let value = json!({"token": "k1", "content": [{"text": inner}, {"text": "{token"}]});
        assert_eq!(credentials_in(&value.to_string()), ["k1", "k\"2\\"]);
    }

    #[test]
    fn very_many_are_hidden_and_some_are_told() {
        let many = r#"{"token":"abcd"},"#.repeat(CREDENTIALS_MAX + 10);
        assert_eq!(credentials_in(&many).len(), CREDENTIALS_MAX);
        assert!(!without_credentials(&many).contains("abcd"));
        // Nothing is looked at again and again.
        for odd in ["\"", "\\\"", "\"\\\"", "\\"] {
            assert_eq!(without_credentials(&odd.repeat(200_000)).find(MASK), None);
        }
        // Each name is the value of the one before.
        let _ends = without_credentials(&"\"token\":".repeat(200_000));
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(64, 512))]

        /// Whatever it is, and however deep in texts of JSON: the value is gone, and what
        /// is left is JSON.
        #[test]
        fn no_value_survives(
            value in r#"[a-c"\\é\n]{0,20}"#,
            before in r#"[a-c"\\:, ]{0,10}"#,
            n_levels in 0..=LEVELS_MAX as usize,
            is_pretty: bool,
        ) {
            let written = |value: &str| {
                let object = json!({"before": before.clone(), "secret": value, "then": 1});
                let text = match is_pretty {
                    true => serde_json::to_string_pretty(&object).expect("JSON"),
                    false => object.to_string(),
                };
                (0..n_levels).fold(text, |text, _| json!([text]).to_string())
            };
            let text = written(&value);
            prop_assert_eq!(without_credentials(&text), written(MASK));
            prop_assert_eq!(credentials_in(&text), [value]);
            let _: Value = serde_json::from_str(&without_credentials(&text)).expect("JSON");
        }

        #[test]
        fn a_text_without_such_members_is_left_as_it_is(text in r#"[a-c:"\\ ]{0,60}"#) {
            prop_assert_eq!(without_credentials(&text), text.as_str());
        }
    }
}
