//! Values that are credentials by the name that they stand under, in any text: JSON, JSON
//! in a text of JSON, what a message shows of either, cut anywhere; forms, pages and logs.

use std::borrow::Cow;
use std::ops::Range;

use super::{MASK, is_scheme, names_credential, names_number};

/// Members of one text whose values are handed out.
const CREDENTIALS_MAX: usize = 1000;

/// Bytes of a member's name, as it is written.
const NAME_BYTES_MAX: usize = 200;

/// Levels of escapes that are understood: texts of JSON in texts of JSON.
const LEVELS_MAX: u32 = 6;

/// The text with a mask for each value that is under a credential's name: as a member
/// of JSON, or as a form, a page or a log writes it (`token=…`, `'password': '…'`), and
/// what follows `Bearer`. All else stays as it is.
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    masked_values(text, all_values(text), |_| true)
}

/// The same of members of JSON alone, where only those values are hidden that are secrets.
pub fn without_members(text: &str, is_secret: impl Fn(&str) -> bool) -> Cow<'_, str> {
    masked_values(text, members(text), is_secret)
}

fn masked_values(
    text: &str,
    values: Vec<Member>,
    is_secret: impl Fn(&str) -> bool,
) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut end = 0;
    for member in values.iter().filter(|it| is_secret(&it.value(text))) {
        shown.push_str(&text[end..member.range.start]);
        match member.is_number {
            // JSON stays JSON.
            true => {
                let quote = format!("{}\"", "\\".repeat((1 << member.level) - 1));
                shown.push_str(&format!("{quote}{MASK}{quote}"));
            }
            false => shown.push_str(MASK),
        }
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
    let values = all_values(text).into_iter();
    let values = values.map(|member| member.value(text));
    values.take(CREDENTIALS_MAX).collect()
}

/// A value under a credential's name.
struct Member {
    /// Between its quotes, where it has any.
    range: Range<usize>,
    /// How many times it is escaped, beyond its own quotes.
    level: u32,
    /// It is a number of JSON.
    is_number: bool,
}

impl Member {
    fn text(range: Range<usize>, level: u32) -> Self {
        Self {
            range,
            level,
            is_number: false,
        }
    }

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

/// Those of JSON, and those that are written otherwise: ascending, apart from each other.
fn all_values(text: &str) -> Vec<Member> {
    let mut all = members(text);
    all.extend(written_values(text));
    all.sort_by_key(|member| (member.range.start, std::cmp::Reverse(member.range.end)));
    let mut end = 0;
    all.retain(|member| {
        let is_apart = member.range.start >= end;
        if is_apart {
            end = member.range.end;
        }
        is_apart
    });
    all
}

/// Any quote may begin a name, so nothing need be known of what comes before it.
fn members(text: &str) -> Vec<Member> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(quote) = next_quote(text, from) {
        from = quote + 1;
        if let Some(level) = level(text, quote)
            && let Some(end) = values_after(text, from, level, &mut found)
        {
            from = end;
        }
    }
    found
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

/// Finds the values of the member whose name begins at a place, if its name is that of a
/// credential: a text, the texts in a list or an object, a number where credentials are
/// numbers. Hands out where they end. Of a text that was cut: up to its end.
fn values_after(text: &str, name: usize, level: u32, found: &mut Vec<Member>) -> Option<usize> {
    let (end, quote) = text_end(text, name, level, NAME_BYTES_MAX)?;
    let rest = without_blanks(&text[quote + 1..]).strip_prefix(':')?;
    let rest = without_blanks(rest);
    let name = Member::text(name..end, level).value(text);
    if !names_credential(&name) {
        return None;
    }
    let start = text.len() - rest.len();
    if rest.starts_with(['[', '{']) {
        return Some(values_within(text, start, level, found));
    }
    if names_number(&name)
        && let Some(length) = number_length(rest)
    {
        found.push(Member {
            range: start..start + length,
            level,
            is_number: true,
        });
        return Some(start + length);
    }
    let quoted = rest.get((1 << level) - 1..)?.strip_prefix('"')?;
    let member = quoted_text(text, text.len() - quoted.len(), level);
    let end = member.range.end;
    found.push(member);
    Some(end)
}

/// The text that begins at a place, after its quote. Of one that was cut: up to its end.
fn quoted_text(text: &str, start: usize, level: u32) -> Member {
    let end = match text_end(text, start, level, text.len()) {
        Some((end, _)) => end,
        None => text.trim_end_matches('…').len(),
    };
    Member::text(start..end.max(start), level)
}

/// Finds the texts in the list or the object that begins at a place, but no names, and
/// none in a schema, which tells what a credential looks like. Hands out where it ends;
/// of what is not JSON, where that begins.
fn values_within(text: &str, start: usize, level: u32, found: &mut Vec<Member>) -> usize {
    let (mut depth, mut at, n_found) = (0_usize, start, found.len());
    let mut is_schema = false;
    let mut name = "";
    while let Some(next) = text[at..].find(['"', '[', ']', '{', '}']).map(|n| at + n) {
        at = next + 1;
        match text.as_bytes()[next] {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            _ if self::level(text, next) != Some(level) => return next,
            _ => {
                let Some((end, quote)) = text_end(text, at, level, text.len()) else {
                    found.push(quoted_text(text, at, level));
                    return text.len();
                };
                let written = &text[at..end];
                let is_name = without_blanks(&text[quote + 1..]).starts_with(':');
                is_schema |= !is_name && name == "type" && JSON_TYPES.contains(&written);
                if !is_name {
                    found.push(Member::text(at..end, level));
                }
                name = if is_name { written } else { "" };
                at = quote + 1;
            }
        }
    }
    if is_schema {
        found.truncate(n_found);
    }
    at
}

/// What a schema says that a value is.
pub const JSON_TYPES: [&str; 6] = ["string", "number", "integer", "boolean", "object", "array"];

/// How long the number of JSON is that the text begins with.
fn number_length(text: &str) -> Option<usize> {
    let is_of_number = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
    let length = text.find(|c| !is_of_number(c)).unwrap_or(text.len());
    text[..length]
        .contains(|c: char| c.is_ascii_digit())
        .then_some(length)
}

/// Values as forms, pages, logs and other languages write them: `token=…`,
/// `password: "…"`, `'secret': '…'`, `Bearer …`.
fn written_values(text: &str) -> Vec<Member> {
    let mut found = Vec::new();
    // A value without quotes ends where one does that begins within it, which is hidden with
    // it then: a text of nothing but marks is read once, and not anew from each of them.
    let mut bare_end = 0;
    for (at, mark) in text.match_indices(['=', ':']) {
        let start = at + mark.len();
        let name = name_before(text, at);
        let is_hidden = start < bare_end && !is_scheme(&text[start..bare_end]);
        if is_hidden || !names_credential(name) {
            continue;
        }
        let value = value_after_mark(text, start, mark == "=");
        let value = value.filter(|it| !is_count(name, &text[it.range.clone()]));
        if let Some(value) = value.as_ref().filter(|it| !is_quoted(text, it)) {
            bare_end = value.range.end;
        }
        found.extend(value);
    }
    // Most texts have none: one look for a byte is less than two for three.
    let marks: &[&str] = match text.contains('%') {
        true => &["%3d", "%3D"],
        false => &[],
    };
    for mark in marks {
        let mut bare_end = 0;
        for (at, _) in text.match_indices(mark) {
            let start = at + mark.len();
            if start < bare_end || !names_credential(name_before(text, at)) {
                continue;
            }
            if let Some(value) = bare_value(text, start) {
                bare_end = value.range.end;
                found.push(value);
            }
        }
    }
    for (at, space) in text.match_indices(' ') {
        let scheme = text.as_bytes()[..at].last_chunk();
        if scheme.is_some_and(|it: &[u8; 6]| it.eq_ignore_ascii_case(b"bearer")) {
            let value = bare_value(text, at + space.len());
            found.extend(value.filter(|it| is_no_word(&text[it.range.clone()])));
        }
    }
    found
}

/// Whether a quote is before the value.
fn is_quoted(text: &str, value: &Member) -> bool {
    text[..value.range.start].ends_with(['"', '\''])
}

/// The name that ends at a place, in quotes or not.
fn name_before(text: &str, end: usize) -> &str {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let before = text[..end].trim_end_matches([' ', '\t']);
    // JSON's own are found as members.
    let before = before.strip_suffix('\'').unwrap_or(before);
    let names = before.bytes().rev().take(NAME_BYTES_MAX);
    let length = names
        .take_while(|byte| is_of_name(char::from(*byte)))
        .count();
    &before[before.len() - length..]
}

/// After `=` whatever is there, after `:` what is quoted or is not a word: a message may
/// say `invalid token: expired`.
fn value_after_mark(text: &str, start: usize, is_set: bool) -> Option<Member> {
    let rest = text[start..].trim_start_matches([' ', '\t', '>']);
    let start = text.len() - rest.len();
    let n_escapes = rest.len() - rest.trim_start_matches('\\').len();
    let quoted = rest[n_escapes..].strip_prefix('"');
    if let Some(quoted) = quoted {
        let at = start + n_escapes;
        // The end of the text that the name ends.
        let ends = [',', '}', ']', ')', ':', '>', '<', ' ', '\n', '\r'];
        let is_end = quoted.is_empty() || quoted.starts_with(ends);
        let level = level(text, at).filter(|_| !is_end)?;
        return Some(quoted_text(text, at + 1, level)).filter(|it| !it.range.is_empty());
    }
    if let Some(quoted) = rest.strip_prefix('\'') {
        let length = quoted.find(['\'', '\n']).unwrap_or(quoted.len());
        return (length > 0).then(|| Member::text(start + 1..start + 1 + length, 0));
    }
    // After the `:` of `host:port/path` there is no blank.
    if !is_set && !text[..start].ends_with([' ', '\t']) {
        return None;
    }
    let value = bare_value(text, start)?;
    let written = &text[value.range.clone()];
    if is_scheme(written) {
        let after = &text[value.range.end..];
        let next = bare_value(text, text.len() - after.trim_start_matches(' ').len())?;
        return Some(next).filter(|it| is_no_word(&text[it.range.clone()]));
    }
    (is_set || is_no_word(written)).then_some(value)
}

/// The value without quotes that begins at a place.
fn bare_value(text: &str, start: usize) -> Option<Member> {
    let rest = text.get(start..)?;
    let is_end = |c: char| c.is_whitespace() || "&\"'<>\\;,()[]{}`|…".contains(c);
    // Percent-encoded, `&` ends it as well.
    let mut places = rest.char_indices();
    let end = places.find(|(at, c)| is_end(*c) || rest[*at..].starts_with("%26"));
    let length = end.map_or(rest.len(), |(at, _)| at);
    (length > 0 && &rest[..length] != MASK).then(|| Member::text(start..start + length, 0))
}

/// Whether it is a number of tokens, as models take them.
fn is_count(name: &str, value: &str) -> bool {
    let is_many = name.to_ascii_lowercase().ends_with("tokens");
    is_many && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is more than a word of a sentence.
fn is_no_word(value: &str) -> bool {
    const SHORTEST: usize = 6;
    value.len() >= SHORTEST && value.bytes().any(|byte| byte.is_ascii_digit())
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
                r#"{"token" : 7, "secret": ["x"], "pin": 1234, "opinion": 5}"#,
                r#"{"token" : 7, "secret": ["***"], "pin": "***", "opinion": 5}"#,
            ),
            (
                r#"{"tokens":["a","b",1,{"value":"c","n":[]}],"x":"y"}"#,
                r#"{"tokens":["***","***",1,{"value":"***","n":[]}],"x":"y"}"#,
            ),
            (
                r#"["{\"tokens\":[\"a\"],\"user_pin\":7,\"x\":[\"y\"]}"]"#,
                r#"["{\"tokens\":[\"***\"],\"user_pin\":\"***\",\"x\":[\"y\"]}"]"#,
            ),
            // What tells the form of one has none.
            (
                r#"{"properties":{"token":{"type":"string","description":"of a login"}}}"#,
                r#"{"properties":{"token":{"type":"string","description":"of a login"}}}"#,
            ),
            (r#"{"tokens":["a","b…"#, r#"{"tokens":["***","***…"#),
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
        for (text, expected) in [
            (
                "access_token=ab1&token_type=x&expires_in=3600",
                "access_token=***&token_type=***&expires_in=3600",
            ),
            (
                r#"{"text":"refresh_token=ab1\u0026scope=a","token=":"","then":"b"}"#,
                r#"{"text":"refresh_token=***\u0026scope=a","token=":"***","then":"b"}"#,
            ),
            (
                r#"{"text":"give a token=","then":"b"}"#,
                r#"{"text":"give a token=","then":"b"}"#,
            ),
            (
                r#"<a href="/x?token=ab1&amp;y=2">z</a> <b token="ab1">"#,
                r#"<a href="/x?token=***&amp;y=2">z</a> <b token="***">"#,
            ),
            (
                r#"{"html":"<b token=\"ab1\">"}"#,
                r#"{"html":"<b token=\"***\">"}"#,
            ),
            (
                "to /cb?access_token%3Dab1%26state%3Dc",
                "to /cb?access_token%3D***%26state%3Dc",
            ),
            (
                "1 error: input_value={'password': 'p w', 'n': 'x'}",
                "1 error: input_value={'password': '***', 'n': 'x'}",
            ),
            (
                "Login { token: \"a b\", n: 1 }, password: hunter2, secret = s",
                "Login { token: \"***\", n: 1 }, password: ***, secret = ***",
            ),
            (
                "Authorization: Bearer abc.123 and 'bearer xyz789'",
                "Authorization: Bearer *** and 'bearer ***'",
            ),
            ("x?token=a=b=&n=1", "x?token=***&n=1"),
            ("token=secret='a b'", "token=***'***'"),
            ("token=secret=basic dTpw12", "token=*** ***"),
            (
                "invalid token: expired; bearer token required; max_tokens=4096",
                "invalid token: expired; bearer token required; max_tokens=4096",
            ),
            (
                "see http://tokens.example:8080/a",
                "see http://tokens.example:8080/a",
            ),
            ("the token=", "the token="),
        ] {
            assert_eq!(without_credentials(text), expected, "{text}");
        }
        for odd in [
            "",
            "token=\\",
            "token='",
            "token:\\\"",
            "=\"é",
            "tokené=é",
            "é%3dé",
            "bearer é",
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
        // Nothing is looked at again and again: what takes square time does not end here.
        let n = crate::seeds::n_seeds(20_000, 200_000) as usize;
        for odd in ["\"", "\\\"", "\"\\\"", "\\", "=", ":", "a=", "[", "bearer "] {
            assert_eq!(without_credentials(&odd.repeat(n)).find(MASK), None);
        }
        // Each name is the value of the one before.
        for odd in [
            "\"token\":",
            "\"token\":[",
            "\"token\":[\\\"",
            "token=\"",
            "token='",
            "token=",
            "token:",
            "token: ",
            "token%3d",
            "token=a%26",
            "token%3Da%26",
        ] {
            let _ends = without_credentials(&odd.repeat(n));
        }
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
