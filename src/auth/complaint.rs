//! What may be told of the complaints of a token command: who writes them knows the token.
//!
//! A shell with `set -x` writes the token, curl with `-v` the header that carries it, and
//! no redactor knows a token that never came. So what may be one is masked by its looks;
//! what is left are words, names, paths and addresses. A secret that looks like a word
//! is not found here: what the command printed and what the user gave are masked by their
//! values besides.

use crate::redact::{MASK, is_scheme, names_secret};

/// This many letters and digits together are no word.
const MIXED_MIN: usize = 12;

/// Nor is a run of this length with letters of both cases.
const MIXED_CASES_MIN: usize = 9;

/// Nor is a run of this many letters, or in Base64, with its slashes, of this many characters.
const LONG_MIN: usize = 32;
const BASE64_MIN: usize = 24;

/// Digits alone, such as those of a pass code; a moment in seconds has ten.
const DIGITS_MIN: usize = 12;

/// The text without what may be a secret.
pub(super) fn safe_complaint(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let told = lines.iter().filter(|line| !is_trace(line));
    let told: Vec<String> = told.map(|line| masked(line)).collect();
    let n_left_out = lines.len() - told.len();
    let mut told = told.join("\n").trim().to_string();
    if n_left_out > 0 {
        let gap = if told.is_empty() { "" } else { " " };
        told += &format!("{gap}(its trace is not shown: it may hold the token)");
    }
    told
}

/// A line of `set -x`, or of a head that `curl -v` shows.
fn is_trace(line: &str) -> bool {
    let marks = ["+", "> ", "< ", "{ ", "} "];
    marks.iter().any(|mark| line.trim_start().starts_with(mark))
}

fn masked(line: &str) -> String {
    let mut told = String::with_capacity(line.len());
    let mut before = "";
    for piece in line.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end_matches(char::is_whitespace);
        told += &match follows_name(before, word) {
            true => MASK.to_string(),
            false => masked_word(word),
        };
        told += &piece[word.len()..];
        // The blanks of an empty piece separate nothing.
        before = if word.is_empty() { before } else { word };
    }
    told
}

/// Whether the word is what the one before it announces: a scheme, a flag, a name.
fn follows_name(before: &str, word: &str) -> bool {
    let name = before.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    // `No such file` may follow a name, too.
    let mut letters = word.trim_end_matches(['.', ',', ';', ':', '!']).chars();
    let is_word = letters.next().is_none_or(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_lowercase() || "-'".contains(c));
    match before.chars().last() {
        // `--client-secret abc`, whatever it looks like.
        Some(c) if c.is_ascii_alphanumeric() && name.starts_with("--") => names_secret(name),
        // `token: permission denied` is about a token, and `token: aB3` has one; but a
        // scheme may stand between.
        Some(':' | '=' | '"' | '\'' | '>') if names_secret(name) => !is_word && !is_scheme(word),
        _ => is_scheme(name) && (!is_word || name.eq_ignore_ascii_case("bearer")),
    }
}

fn masked_word(word: &str) -> String {
    if let Some((scheme, rest)) = word.split_once("://") {
        return format!("{scheme}://{}", masked_address(rest));
    }
    let mut told = String::new();
    let mut is_of_secret = false;
    // `name=value`, `"name":"value"`.
    for piece in word.split_inclusive([':', '=']) {
        let text = piece.trim_end_matches([':', '=']);
        if is_of_secret && text.contains(|c: char| c.is_ascii_alphanumeric()) {
            return told + MASK;
        }
        told += &masked_part(text);
        told += &piece[text.len()..];
        let is_name = text.len() < piece.len();
        is_of_secret |= is_name && names_secret(trimmed(text));
    }
    told
}

/// Without a name and a password, a query and a fragment.
fn masked_address(rest: &str) -> String {
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (place, query) = rest.split_at(end);
    let bare = place.rsplit_once('@').map_or(place, |(_, bare)| bare);
    let user = if bare.len() < place.len() { "***@" } else { "" };
    let query = if query.is_empty() { "" } else { "?***" };
    let (host, path) = bare.split_at(bare.find('/').unwrap_or(bare.len()));
    format!("{user}{}{}{query}", masked_part(host), masked_part(path))
}

/// Without the signs around it.
fn trimmed(part: &str) -> &str {
    part.trim_matches(|c: char| !c.is_ascii_alphanumeric())
}

/// A path is looked at name by name.
fn masked_part(part: &str) -> String {
    let core = trimmed(part);
    if !core.contains('/') || is_base64(core) {
        return masked_name(part);
    }
    part.split('/')
        .map(masked_name)
        .collect::<Vec<_>>()
        .join("/")
}

/// Masked whole where a run of its letters and digits is not a word: what points and dashes
/// join to a token is of no use to a reader.
fn masked_name(name: &str) -> String {
    let core = trimmed(name);
    let is_of_run = |c: char| c.is_ascii_alphanumeric() || "_-+~".contains(c);
    let mut runs = core.split(|c| !is_of_run(c));
    match is_base64(core) || runs.any(is_opaque) {
        true => name.replacen(core, MASK, 1),
        false => name.to_string(),
    }
}

/// How many digits, small letters and capitals it has.
fn counts(text: &str) -> [usize; 3] {
    let count = |is_it: fn(&char) -> bool| text.chars().filter(is_it).count();
    [
        count(char::is_ascii_digit),
        count(char::is_ascii_lowercase),
        count(char::is_ascii_uppercase),
    ]
}

fn is_opaque(run: &str) -> bool {
    let [digits, small, capitals] = counts(run);
    let all = digits + small + capitals;
    let is_mixed = digits > 0 && small + capitals > 0;
    let has_cases = small > 0 && capitals > 0;
    digits >= DIGITS_MIN
        || is_mixed && (all >= MIXED_MIN || has_cases && all >= MIXED_CASES_MIN)
        || all >= LONG_MIN && (4 * capitals >= all || !run.contains(['_', '-']))
}

/// In the alphabet of Base64 with its slashes, which are none of a path.
fn is_base64(word: &str) -> bool {
    let [digits, small, capitals] = counts(word);
    let has_all = small > 0 && capitals > 0 && (digits > 0 || 4 * capitals >= word.len());
    let is_of_it = |c: char| c.is_ascii_alphanumeric() || "+/".contains(c);
    word.len() >= BASE64_MIN && has_all && word.chars().all(is_of_it)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_reader_needs_stays() {
        for text in [
            "Error: permission denied",
            "vault: could not get token: connection refused",
            "error getting the token: the server answered 403 Forbidden",
            "sh: 1: get-token: not found",
            "Unable to connect to https://vault.example.com:8200/v1/auth/approle/login",
            "cat: /var/run/secrets/token: No such file or directory",
            "AccessDeniedException: User is not authorized to perform sts:AssumeRole",
            "curl: (7) Failed to connect to 10.0.0.7 port 443 after 3 ms",
            "Traceback (most recent call last):\n  File \"/opt/get.py\", line 12, in main",
            "the bearer is unknown",
            "missing flag --client-secret",
        ] {
            let expected = text.replace("bearer is", "bearer ***");
            assert_eq!(safe_complaint(text), expected);
        }
    }

    #[test]
    fn what_may_be_a_token_does_not() {
        for (text, expected) in [
            (
                "+ echo SECRETTOK",
                "(its trace is not shown: it may hold the token)",
            ),
            (
                "++ curl x\nno way",
                "no way (its trace is not shown: it may hold the token)",
            ),
            (
                "> Authorization: Bearer abc\n< HTTP/1.1 403",
                "(its trace is not shown: it may hold the token)",
            ),
            (
                "sent Authorization: Bearer abc",
                "sent Authorization: Bearer ***",
            ),
            ("bad token: Xy9", "bad token: ***"),
            ("token=abc is old", "token=*** is old"),
            (
                "{\"access_token\":\"abc\",\"x\":1}",
                "{\"access_token\":***",
            ),
            (
                "get --client-secret hunter --x",
                "get --client-secret *** --x",
            ),
            ("not eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "not ***"),
            ("hvs.CAESIJ3ab is over", "*** is over"),
            ("old deadbeef0123", "old ***"),
            (
                "to https://me:pass@h/a?sig=abc#x now",
                "to https://***@h/a?*** now",
            ),
            ("no https://h/v1/aB3dE5gH7/x", "no https://h/v1/***/x"),
            ("code 123456789012", "code ***"),
        ] {
            assert_eq!(safe_complaint(text), expected, "{text}");
        }
    }

    fn secrets() -> impl Strategy<Value = String> {
        let bytes = prop::collection::vec(any::<u8>(), 32..80);
        prop_oneof![
            bytes.clone().prop_map(|it| STANDARD.encode(it)),
            bytes.clone().prop_map(|it| URL_SAFE_NO_PAD.encode(it)),
            bytes.prop_map(|it| it.iter().map(|byte| format!("{byte:02x}")).collect()),
        ]
    }

    proptest! {
        #[test]
        fn no_token_is_told(
            secret in secrets(),
            before in prop::sample::select(vec!["", "no ", "at https://h/", "token ", "a=", "\"", "Bearer ", "x:"]),
            after in prop::sample::select(vec!["", " is bad", "\"}", ".", ", again", "\nmore"]),
        ) {
            let told = safe_complaint(&format!("{before}{secret}{after}"));
            // No piece of it that is of use.
            for start in 0..=secret.len() - 12 {
                prop_assert!(!told.contains(&secret[start..start + 12]), "{told}");
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            safe_complaint(&text);
        }
    }
}
