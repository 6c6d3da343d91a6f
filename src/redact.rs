//! Takes the user's secrets out of texts, whoever said them.
//!
//! Start at [`Redactor`]. It knows each secret in the forms in which a server
//! may send it back: as given, percent-encoded, as JSON writes it, in base64.
//! It does not know where secrets come from, nor who writes the texts.

mod serialize;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

pub use serialize::Redacted;

/// What is put in their place.
pub const MASK: &str = "***";

/// Values shorter than this are not looked for inside of a text: they would
/// mask half of every message and protect nothing.
pub const SECRET_CHARS_MIN: usize = 4;

/// Shorter ones have no form in base64 that is worth looking for.
const BASE64_CHARS_MIN: usize = 8;

/// Knows the secrets of a run. Its `Debug` does not show them. A clone costs
/// next to nothing.
#[derive(Clone, Default)]
pub struct Redactor {
    /// `None`: there is no secret.
    known: Option<Arc<Known>>,
}

struct Known {
    /// As they were given, for a redactor of more.
    secrets: Vec<String>,
    forms: AhoCorasick,
    /// Each form in small letters, ascending: to find those that begin so.
    beginnings: Vec<String>,
    /// Of the longest form.
    bytes_max: usize,
}

impl Known {
    /// The beginning of a secret that stands before `at`, where a text was cut.
    fn begun_before(&self, text: &str, at: usize) -> Option<Range<usize>> {
        let window = &text[..at];
        let first = at.saturating_sub(self.bytes_max);
        let starts = window
            .char_indices()
            .rev()
            .map(|(start, _)| start)
            .take_while(|start| *start >= first);
        let begins = |start: &usize| {
            let tail = window[*start..].to_ascii_lowercase();
            if tail.chars().count() < SECRET_CHARS_MIN {
                return false;
            }
            let i = self.beginnings.partition_point(|form| *form < tail);
            self.beginnings
                .get(i)
                .is_some_and(|form| form.starts_with(&tail))
        };
        // The longest of them.
        let start = starts.filter(begins).last()?;
        Some(start..at)
    }
}

/// What this program writes where it has cut a text.
const CUT: char = '…';

/// More places where a text was cut are not looked at: a text that says so more
/// often is not one that was cut by us.
const CUTS_MAX: usize = 64;

/// Of longer secrets only a beginning of this length is looked for at a cut.
const BEGINNING_BYTES_MAX: usize = 256;

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.known().len())
    }
}

impl Redactor {
    /// A redactor of these values.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        Self::default().and(secrets)
    }

    /// The same with more of them.
    #[must_use]
    pub fn and<'a>(&self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut all = self.known().to_vec();
        all.extend(
            secrets
                .into_iter()
                .map(str::trim)
                .filter(|secret| secret.chars().count() >= SECRET_CHARS_MIN)
                .map(str::to_string),
        );
        all.sort_unstable();
        all.dedup();
        if all.len() == self.known().len() {
            return self.clone();
        }
        let forms_of_all: Vec<String> = all.iter().flat_map(|secret| forms(secret)).collect();
        // It is built of what the user gave, so that its size is the user's; the
        // matcher refuses only more patterns than memory could hold.
        let forms = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(&forms_of_all);
        let mut beginnings: Vec<String> = forms_of_all
            .iter()
            .map(|form| form.to_ascii_lowercase())
            .collect();
        beginnings.sort_unstable();
        let longest = beginnings.iter().map(String::len).max().unwrap_or(0);
        Self {
            known: forms.ok().map(|forms| {
                Arc::new(Known {
                    secrets: all,
                    forms,
                    beginnings,
                    bytes_max: longest.min(BEGINNING_BYTES_MAX),
                })
            }),
        }
    }

    /// The text without them.
    pub fn clean(&self, text: String) -> String {
        match self.cleaned(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(cleaned) => cleaned,
        }
    }

    /// The text without them: itself where it holds none.
    pub fn cleaned<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.find(text);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut cleaned = String::with_capacity(text.len());
        let mut end = 0;
        for range in found {
            cleaned.push_str(&text[end..range.start]);
            cleaned.push_str(MASK);
            end = range.end;
        }
        cleaned.push_str(&text[end..]);
        Cow::Owned(cleaned)
    }

    /// Where they stand: ascending, apart from each other. What overlaps is one,
    /// so that of two secrets that share letters no part is left over. One pass,
    /// however many secrets there are.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let Some(known) = &self.known else {
            return found;
        };
        let mut add = |mut range: Range<usize>| {
            while let Some(last) = found.pop_if(|last| last.end >= range.start) {
                range.start = range.start.min(last.start);
                range.end = range.end.max(last.end);
            }
            found.push(range);
        };
        // In the order of their ends: a later one may begin before an earlier.
        for hit in known.forms.find_overlapping_iter(text) {
            add(hit.start()..hit.end());
        }
        let cuts = text.match_indices(CUT).take(CUTS_MAX);
        let begun: Vec<Range<usize>> = cuts
            .filter_map(|(at, _)| known.begun_before(text, at))
            .collect();
        if !begun.is_empty() {
            found.extend(begun);
            found.sort_by_key(|range| (range.start, range.end));
            found.dedup_by(|next, last| {
                let is_one = next.start <= last.end;
                if is_one {
                    last.end = last.end.max(next.end);
                }
                is_one
            });
        }
        found
    }

    /// What it knows.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.known().iter().map(String::as_str)
    }

    fn known(&self) -> &[String] {
        self.known
            .as_ref()
            .map_or(&[], |known| known.secrets.as_slice())
    }
}

/// What is secret in a header that the user gave: its value, the credentials
/// behind its scheme, each value of a list such as a cookie's, and what basic
/// authentication encodes. `Host` is an address and no secret.
pub fn secrets_of_header(name: &str, value: &str) -> Vec<String> {
    if name.trim().eq_ignore_ascii_case("host") {
        return Vec::new();
    }
    let value = value.trim();
    let mut found = vec![value.to_string()];
    let credentials = value
        .split_once(' ')
        .map(|(scheme, rest)| (scheme, rest.trim()));
    if let Some((scheme, credentials)) = credentials {
        found.push(credentials.to_string());
        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(bytes) = STANDARD.decode(credentials)
            && let Ok(text) = String::from_utf8(bytes)
        {
            found.extend(
                text.split_once(':')
                    .map(|(_, password)| password.to_string()),
            );
            found.push(text);
        }
    }
    for part in value.split([';', ',']) {
        if let Some((_, part)) = part.split_once('=') {
            found.push(part.trim().trim_matches('"').to_string());
        }
    }
    found.retain(|secret| !secret.is_empty());
    found
}

/// Whether a name speaks of a credential: `password`, `api_key`, `authToken`.
pub fn names_credential(name: &str) -> bool {
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

/// The forms in which a secret may come back.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![
        secret.to_string(),
        percent_encoded(secret, "%20"),
        percent_encoded(secret, "+"),
        secret.bytes().map(|byte| format!("%{byte:02x}")).collect(),
    ];
    // Texts are written line by line.
    forms.extend(secret.lines().map(|line| line.trim().to_string()));
    if let Ok(json) = serde_json::to_string(secret) {
        let json = json.trim_start_matches('"');
        let json = json.strip_suffix('"').unwrap_or(json);
        forms.push(json.replace('/', "\\/"));
        forms.push(json.to_string());
    }
    if secret.chars().count() >= BASE64_CHARS_MIN {
        forms.push(STANDARD_NO_PAD.encode(secret));
        forms.push(URL_SAFE_NO_PAD.encode(secret));
    }
    if let Some(decoded) = percent_decoded(secret) {
        forms.push(decoded);
    }
    forms.retain(|form| form.chars().count() >= SECRET_CHARS_MIN);
    forms.sort_unstable();
    forms.dedup();
    forms
}

fn percent_encoded(text: &str, blank: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push_str(blank),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// `None` where nothing in it is encoded, or it is no text.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_masked_wherever_they_occur() {
        let redactor = Redactor::new(["Bearer tok-123", "tok-123", "x"]);
        assert_eq!(
            redactor.clean("bad token tok-123 (Bearer tok-123) x".to_string()),
            "bad token *** (***) x"
        );
        assert!(!format!("{redactor:?}").contains("tok"));
        assert_eq!(Redactor::default().cleaned("tok-123"), "tok-123");
        assert_eq!(redactor.and(["more"]).cleaned("tok-123 more"), "*** ***");
    }

    #[test]
    fn they_are_known_in_the_forms_in_which_they_come_back() {
        let secret = "pä\"ss w/ord";
        let redactor = Redactor::new([secret]);
        for form in [
            "pä\"ss w/ord",
            "PÄ\"SS W/ORD".replace('Ä', "ä").as_str(),
            "p%C3%A4%22ss%20w%2Ford",
            "p%c3%a4%22ss+w%2ford",
            r#"pä\"ss w/ord"#,
            r#"pä\"ss w\/ord"#,
            "cMOkInNzIHcvb3Jk",
        ] {
            assert_eq!(redactor.cleaned(&format!("<{form}>")), "<***>", "{form}");
        }
        let redactor = Redactor::new(["a%2Fb%2Fc"]);
        assert_eq!(redactor.cleaned("a/b/c a%2fb%2fc"), "*** ***");
    }

    #[test]
    fn what_overlaps_is_masked_as_one() {
        let redactor = Redactor::new(["abcd", "cdef", "bcdefgh", "12345", "2345"]);
        assert_eq!(redactor.cleaned("abcdef xabcdefghx 12345"), "*** x***x ***");
    }

    #[test]
    fn the_beginning_of_one_is_masked_where_a_text_was_cut() {
        let redactor = Redactor::new(["Bearer tok-4711", "tok-4711"]);
        let check = |text: &str, expected: &str| assert_eq!(redactor.cleaned(text), expected);
        check("bad token tok-47…", "bad token ***…");
        check(
            "said BEARER tok-4… (and more) tok-471…",
            "said ***… (and more) ***…",
        );
        check("tok…", "tok…");
        check("no secret at all…", "no secret at all…");
        check("tok-4711…", "***…");
        check("……tok-…", "……***…");
    }

    #[test]
    fn a_header_has_more_than_one_secret() {
        let check = |value: &str, expected: &[&str]| {
            assert_eq!(secrets_of_header("X", value), expected, "{value}");
        };
        check("Bearer tok-1", &["Bearer tok-1", "tok-1"]);
        check(
            "Basic dXNlcjpodW50ZXIy",
            &[
                "Basic dXNlcjpodW50ZXIy",
                "dXNlcjpodW50ZXIy",
                "hunter2",
                "user:hunter2",
            ],
        );
        check(
            "a=hunter2; b=\"x\"",
            &["a=hunter2; b=\"x\"", "b=\"x\"", "hunter2", "x"],
        );
        assert!(secrets_of_header("host", "example.org").is_empty());
    }

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

    fn any_secret() -> impl Strategy<Value = String> {
        prop_oneof!["[a-c]{4,9}", "[ -~]{4,12}", "\\PC{4,9}"]
            .prop_map(|secret| secret.trim().to_string())
    }

    proptest! {
        #[test]
        fn no_secret_survives_in_any_text(
            secrets in prop::collection::vec(any_secret(), 1..6),
            pieces in prop::collection::vec(prop_oneof!["[a-c]{0,9}", "\\PC{0,6}"], 0..6),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let redactor = Redactor::new(secrets.iter().map(String::as_str));
            let known: Vec<&String> =
                secrets.iter().filter(|secret| secret.chars().count() >= SECRET_CHARS_MIN).collect();
            let parts: Vec<&String> = known.iter().copied().chain(&pieces).collect();
            prop_assume!(!parts.is_empty());
            let text: String = order.iter().map(|index| parts[index.index(parts.len())].as_str()).collect();
            let cleaned = redactor.cleaned(&text);
            // The masks are ours: what stands between them is what is left.
            let found = redactor.find(&text);
            for secret in known {
                let is_left = cleaned.split(MASK).any(|rest| rest.contains(secret.as_str()));
                prop_assert!(!is_left || secret.contains(MASK), "{secret} in {cleaned}");
                let at = text.find(secret.as_str());
                let is_covered = at.is_none_or(|at| {
                    found.iter().any(|range| range.start <= at && at + secret.len() <= range.end)
                });
                prop_assert!(is_covered);
            }
        }

        #[test]
        fn a_text_without_secrets_is_left_as_it_is(text in "[a-c ]{0,40}") {
            let redactor = Redactor::new(["dddd"]);
            prop_assert_eq!(redactor.cleaned(&text), text.as_str());
        }
    }
}
