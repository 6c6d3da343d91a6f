//! Takes the user's secrets out of texts, whoever said them.
//!
//! Start at [`Redactor`]. It knows each secret in the forms in which a server may send
//! it back, as given or in base64, and looks for them in a text as it is written and
//! as it reads once its escapes are undone (`decoded`): those of JSON, in a text of
//! JSON too, and of addresses. It does not know where secrets come from, nor who
//! writes the texts.

mod decoded;
mod forms;
mod index;
mod live;
mod members;
mod secret;
mod serialize;

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use index::{Index, Ranges};

pub use forms::SECRET_CHARS_MIN;
pub use live::{LiveSecrets, SessionSecrets, each_text};
pub use members::{JSON_TYPES, credentials_in, without_credentials, without_members};
pub use secret::Secret;
pub use serialize::{Redacted, own, strangers_keys};

/// What is put in their place.
pub const MASK: &str = "***";

/// Knows the secrets of a run. Its `Debug` does not show them. A clone costs
/// next to nothing.
#[derive(Clone, Default)]
pub struct Redactor {
    /// `None`: none was known before the run.
    known: Option<Arc<KnownSecrets>>,
    /// Those that appear while it goes on; `None`: there are none.
    live: Option<Arc<LiveSecrets>>,
}

struct KnownSecrets {
    /// As they were given, for a redactor of more.
    secrets: Vec<String>,
    index: Index,
}

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
        let mut index = Index::default();
        all.iter().for_each(|secret| index.insert(secret));
        Self {
            known: Some(Arc::new(KnownSecrets {
                secrets: all,
                index,
            })),
            live: self.live.clone(),
        }
    }

    /// The same with what the users of a run hold at the time that a text is looked at.
    #[must_use]
    pub fn watching(&self, live: &Arc<LiveSecrets>) -> Self {
        Self {
            known: self.known.clone(),
            live: Some(Arc::clone(live)),
        }
    }

    /// The same with all that another one knows, who says what users hold.
    #[must_use]
    pub fn and_all(&self, other: &Self) -> Self {
        let mut all = self.and(other.secrets());
        if other.live.is_some() {
            all.live.clone_from(&other.live);
        }
        all
    }

    /// The secrets of a user's sessions to come: what is kept in it is known to all
    /// redactors that watch with this one.
    pub fn session_secrets(&self, run_index: u32) -> SessionSecrets {
        let live = self.live.clone();
        let live = live.unwrap_or_else(|| LiveSecrets::new(1));
        SessionSecrets::new(&live, run_index as usize)
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
        masked(text, &self.find(text))
    }

    /// A message of what a server said: without them, and without what its members hold
    /// that are named like a credential.
    pub fn cleaned_message<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match without_credentials(text) {
            Cow::Borrowed(text) => self.cleaned(text),
            Cow::Owned(text) => Cow::Owned(self.clean(text)),
        }
    }

    /// The same of texts that belong to an exchange of these bodies: what such members of
    /// theirs hold may stand in the texts by itself.
    pub fn cleaned_exchange<const N: usize>(
        &self,
        texts: [&str; N],
        bodies: [&str; 2],
    ) -> [String; N] {
        let found: Vec<String> = bodies.into_iter().flat_map(credentials_in).collect();
        let of_bodies = Self::new(found.iter().map(String::as_str));
        texts.map(|text| {
            let text = without_credentials(text);
            let mut ranges = Ranges::default();
            for redactor in [self, &of_bodies] {
                let found = redactor.find(&text).into_iter();
                found.for_each(|range| ranges.add(range));
            }
            ranges.merge();
            masked(&text, &ranges.all).into_owned()
        })
    }

    /// The same in a value of strangers' making: its texts and its names.
    pub fn clean_json(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.clean(text)),
            Value::Array(items) => items
                .into_iter()
                .map(|item| self.clean_json(item))
                .collect(),
            Value::Object(fields) => {
                let fields = fields.into_iter();
                let cleaned =
                    fields.map(|(name, field)| (self.clean(name), self.clean_json(field)));
                Value::Object(cleaned.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    /// The ranges of secrets: ascending, apart from each other. Ranges that overlap are
    /// joined, so that no part of two secrets that share letters is left over. One pass,
    /// however many secrets there are, and one more for each level of escapes in the
    /// text, six at most; where it has escapes of texts and of addresses, for each way to
    /// read them, 32 at most.
    ///
    /// Of a secret that was cut, a piece of 31 bytes or more is found anywhere, a
    /// shorter one where it begins or ends the secret and a mark (`…` or `...`)
    /// says that there was more.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        if self.known.is_none() && self.live.is_none() {
            return Vec::new();
        }
        let mut found = self.find_as_written(text);
        let readings = decoded::readings(text);
        for reading in &readings {
            let mut ranges = self.find_as_written(&reading.text).all;
            let mut next = Some(reading);
            while let Some(reading) = next
                && !ranges.is_empty()
            {
                next = reading.of.map(|at| &readings[at]);
                let below = next.map_or(text, |below| &below.text);
                ranges = decoded::written(below, reading.escapes, &ranges);
            }
            ranges.into_iter().for_each(|range| found.add(range));
        }
        found.merge();
        found.all
    }

    /// Without a look at what escapes mean.
    fn find_as_written(&self, text: &str) -> Ranges {
        let lower = text.to_ascii_lowercase();
        let mut found = Ranges::default();
        if let Some(known) = &self.known {
            known.index.find(text, lower.as_bytes(), &mut found);
        }
        if let Some(live) = &self.live {
            live.find(text, lower.as_bytes(), &mut found);
        }
        found.merge();
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

/// The text with a mask for each of these ranges, which ascend.
fn masked<'a>(text: &'a str, ranges: &[Range<usize>]) -> Cow<'a, str> {
    if ranges.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges {
        masked.push_str(&text[end..range.start]);
        masked.push_str(MASK);
        end = range.end;
    }
    masked.push_str(&text[end..]);
    Cow::Owned(masked)
}

/// What is secret in a header that the user gave: its value, the credentials
/// behind its scheme, each value of a list such as a cookie's, and what basic
/// authentication encodes.
///
/// Values of headers that are not named like a credential are secret only where
/// they look like one: `X-Env: load` would mask half of every message.
pub fn secrets_of_header(name: &str, value: &str) -> Vec<String> {
    let is_harmless = |harmless: &&'static str| name.trim().eq_ignore_ascii_case(harmless);
    if HARMLESS_HEADERS.iter().any(is_harmless) {
        return Vec::new();
    }
    let value = value.trim();
    let mut found = vec![value.to_string()];
    let credentials = value
        .split_once(' ')
        .map(|(scheme, rest)| (scheme, rest.trim()));
    let mut has_scheme = false;
    if let Some((scheme, credentials)) = credentials {
        found.push(credentials.to_string());
        has_scheme = is_scheme(scheme);
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
    if !has_scheme && !names_credential_header(name) {
        found.retain(|secret| looks_like_credential(secret));
    }
    found
}

/// What may be secret in a command line: what follows a word that is named like a
/// credential, or a scheme, and what such a name is set to.
pub fn secrets_of_command(line: &str) -> Vec<String> {
    let is_end = |c: char| c.is_whitespace() || "'\"`&;|()<>,{}".contains(c);
    let mut found = Vec::new();
    let mut is_next = false;
    let mut before = "";
    for word in line.split(is_end).filter(|word| !word.is_empty()) {
        let is_flag = word.starts_with('-');
        match word.split_once(['=', ':']) {
            Some((name, value)) if names_credential_header(name) => {
                found.push(value.to_string());
                is_next = value.is_empty();
            }
            // In JSON the name before it is in quotes.
            Some(("", "")) => is_next = names_credential_header(before),
            Some(_) if is_flag => is_next = false,
            _ if is_scheme(word) => is_next = true,
            _ if std::mem::take(&mut is_next) && !is_flag => found.push(word.to_string()),
            _ => is_next = is_flag && names_credential_header(word),
        }
        before = word;
    }
    found.retain(|secret| !secret.is_empty() && !secret.starts_with('$'));
    found
}

/// Whether the word is a scheme that credentials follow.
pub fn is_scheme(word: &str) -> bool {
    let is_it = |known: &&str| word.eq_ignore_ascii_case(known);
    ["basic", "bearer", "digest", "token"].iter().any(is_it)
}

/// Addresses, and what every client says of itself.
const HARMLESS_HEADERS: [&str; 4] = ["host", "origin", "user-agent", "accept-language"];

/// The values of headers that are not named like a credential are looked for in texts
/// where they have at least this many characters.
const PLAIN_CHARS_MIN: usize = 8;

/// Long, and more than words; no address, such as one of `X-Forwarded-For`.
fn looks_like_credential(value: &str) -> bool {
    let is_word = |c: char| c.is_alphabetic() || c.is_whitespace();
    let is_long = value.chars().count() >= PLAIN_CHARS_MIN;
    is_long && !value.chars().all(is_word) && value.parse::<IpAddr>().is_err()
}

/// Headers have more names for credentials: `Cookie`, `X-Auth`, `X-Key`.
fn names_credential_header(name: &str) -> bool {
    const WORDS: &str = "auth cookie key session pass pwd jwt csrf xsrf signature bearer login";
    let name = name.to_ascii_lowercase();
    names_credential(&name) || WORDS.split(' ').any(|word| name.contains(word))
}

/// Whether a name speaks of a credential: `password`, `api_key`, `authToken`, `user_pin`.
pub fn names_credential(name: &str) -> bool {
    has_word(name, &SHORT_NAMES) || has_credential_in_it(name)
}

/// Whether credentials of that name may be numbers.
pub fn names_number(name: &str) -> bool {
    const WORDS: [&str; 8] = [
        "pin", "pincode", "otp", "totp", "cvv", "cvc", "passcode", "password",
    ];
    has_word(name, &WORDS)
}

/// Names of credentials that stand in other words, too: `opinion`, `laptop`.
const SHORT_NAMES: [&str; 9] = [
    "pin", "pincode", "otp", "totp", "cvv", "cvc", "passcode", "pwd", "jwt",
];

/// Whether one of the words is a word of the name: `userPin`, `user-pin`, `PIN`.
fn has_word(name: &str, words: &[&str]) -> bool {
    let is_edge = |before: char, c: char| before.is_ascii_lowercase() && c.is_ascii_uppercase();
    let mut before = ' ';
    let mut parts: Vec<String> = vec![String::new()];
    for c in name.chars() {
        if !c.is_ascii_alphabetic() || is_edge(before, c) {
            parts.push(String::new());
        }
        if let (true, Some(part)) = (c.is_ascii_alphabetic(), parts.last_mut()) {
            part.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    parts.iter().any(|part| words.contains(&part.as_str()))
}

fn has_credential_in_it(name: &str) -> bool {
    const NAMES: &str = "password passwd passphrase secret token apikey accesskey privatekey \
                         credential authorization";
    let letters: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    NAMES.split(' ').any(|word| letters.contains(word))
}

/// Whether a column or an extracted value of this name is a secret unless somebody says
/// otherwise: `password`, `api_key`, `token`, and whatever is a key.
pub fn names_secret(name: &str) -> bool {
    let ends = |word: &str| name.trim().to_ascii_lowercase().ends_with(word);
    names_credential(name) || ["key", "pwd", "jwt"].into_iter().any(ends)
}

#[cfg(test)]
mod tests {
    use super::index::PIECE_BYTES_MIN;
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
    fn credentials_of_an_exchange_are_in_none_of_its_texts() {
        let redactor = Redactor::new(["hunter22"]);
        let said = r#"{"password":"pw","user":"hunter22"}"#;
        let came = r#"{"content":[{"text":"u of t0ps3cret"}],"token":"t0ps3cret"}"#;
        let check = |text: &str, expected: &str| {
            assert_eq!(redactor.cleaned_exchange([text], [said, came]), [expected]);
        };
        check(said, r#"{"password":"***","user":"***"}"#);
        check(came, r#"{"content":[{"text":"u of ***"}],"token":"***"}"#);
        check(
            r#"`a` is awaited; "t0ps3c… came"#,
            r#"`a` is awaited; "***… came"#,
        );
        let message = r#"status 500: {"token":"a","user":"hunter22"}"#;
        let cleaned = redactor.cleaned_message(message);
        assert_eq!(cleaned, r#"status 500: {"token":"***","user":"***"}"#);
        assert_eq!(redactor.cleaned_message("plain"), "plain");
    }

    #[test]
    fn commands_hold_secrets_behind_names_that_say_so() {
        for (line, expected) in [
            ("vault read -field=token secret/x", ""),
            ("get --client-secret abc --scope x", "abc"),
            (
                "curl -H 'Authorization: Basic abc' -d 'client_secret=def&x=1'",
                "abc def",
            ),
            ("curl -d '{\"password\": \"abc\"}'", "abc"),
            ("PASSWORD=abc get", "abc"),
            ("get --token $TOKEN", ""),
            ("echo hello", ""),
        ] {
            assert_eq!(secrets_of_command(line).join(" "), expected, "{line}");
        }
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
        let redactor = Redactor::new(["sekrit-Value%2F42%2Bx"]);
        for form in [
            "sekrit-Value/42+x",
            "c2Vrcml0LVZhbHVlLzQyK3g=",
            "c2Vrcml0LVZhbHVlLzQyK3g",
            r"sekrit-Value\/42+x",
        ] {
            let cleaned = redactor.clean(format!("<{form}>"));
            assert!(
                cleaned == "<***>" || cleaned == "<***=>",
                "{form}: {cleaned}"
            );
        }
    }

    #[test]
    fn a_long_one_is_masked_in_pieces() {
        let secret: String = (0..100).map(|n| format!("k{n:05}")).collect();
        let redactor = Redactor::new([format!("Bearer {secret}").as_str()]);
        let check = |piece: &str| {
            assert_eq!(redactor.cleaned(&format!("<{piece}>")), "<***>", "{piece}");
        };
        check(&format!("Bearer {secret}"));
        check(&format!("BEARER {}", &secret[..480]));
        check(&secret[3..40]);
        check(&secret[570..]);
        assert_eq!(redactor.cleaned(&format!("…{}", &secret[590..])), "…***");
        assert_eq!(redactor.cleaned("Bear... k00"), "***... k00");
    }

    #[test]
    fn a_block_without_end_makes_no_endless_work() {
        let redactor = Redactor::new(["a".repeat(5000).as_str(), "ab".repeat(3000).as_str()]);
        assert_eq!(redactor.cleaned(&"a".repeat(20_000)), "***");
        // Once the bound is reached, less than a block may be left at the end.
        let rest = redactor.clean("ba".repeat(10_000));
        assert!(
            rest.starts_with(MASK) && rest.len() < MASK.len() + PIECE_BYTES_MIN,
            "{rest}"
        );
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
            assert_eq!(secrets_of_header("Cookie", value), expected, "{value}");
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
    fn plain_values_of_headers_are_no_secrets() {
        let check = |name: &str, value: &str, expected: &[&str]| {
            assert_eq!(secrets_of_header(name, value), expected, "{name}: {value}");
        };
        check("X-Env", "load", &[]);
        check("X-Env", "integration", &[]);
        check("X-Env", "load test of today", &[]);
        check("X-Api-Version", "2026", &[]);
        check("Origin", "http://127.0.0.1:8080", &[]);
        check("X-Forwarded-For", "127.0.0.1", &[]);
        check("X-Tenant", "acme-4711", &["acme-4711"]);
        check("X-Custom", "Bearer abcd", &["Bearer abcd", "abcd"]);
        for name in [
            "Authorization",
            "X-Api-Key",
            "x-auth",
            "Cookie",
            "Session",
            "X-Token",
        ] {
            check(name, "load", &["load"]);
        }
    }

    #[test]
    fn credentials_are_known_by_name() {
        for name in [
            "password",
            "API-Key",
            "api_key",
            "authToken",
            "client_secret",
            "pin",
            "userPIN",
            "pin_2",
            "otp-code",
        ] {
            assert!(names_credential(name), "{name}");
        }
        for name in [
            "key", "text", "path", "author", "opinion", "Pinned", "laptop", "",
        ] {
            assert!(!names_credential(name), "{name}");
        }
    }

    /// As somebody writes a text: JSON's ways, and those of addresses.
    fn escaped(text: &str, way: usize) -> String {
        let json = || {
            let json = serde_json::to_string(text).expect("a text");
            json[1..json.len() - 1].to_string()
        };
        let numbers = |text: String| -> String {
            let number = |c: char| match c.is_ascii() {
                true => c.to_string(),
                false => c
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .map(|unit| format!("\\u{unit:04x}"))
                    .collect(),
            };
            text.chars().map(number).collect()
        };
        let bytes = |is_kept: fn(&u8) -> bool| -> String {
            let byte = |byte: u8| match is_kept(&byte) {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            };
            text.bytes().map(byte).collect()
        };
        match way {
            0 => json(),
            1 => numbers(json()),
            2 => numbers(json()).replace("\\u00e", "\\u00E"),
            3 => json().replace('/', "\\/"),
            4 => bytes(u8::is_ascii_alphanumeric),
            // As `encodeURI` of JavaScript does with what is not plain.
            5 => bytes(|byte| byte.is_ascii() && !b"%\\".contains(byte)),
            // As browsers do in a fragment: a backslash is left.
            _ => bytes(|byte| byte.is_ascii() && *byte != b'%'),
        }
    }

    fn any_secret() -> impl Strategy<Value = String> {
        prop_oneof!["[a-c]{4,9}", "[ -~]{4,12}", "\\PC{4,9}"]
            .prop_map(|secret| secret.trim().to_string())
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(32, 256))]

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
            // The masks are ours: what is between them is what is left.
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

        /// However deep, in whatever mixture: the text around stays, and what is left is
        /// still JSON where it was.
        #[test]
        fn no_secret_survives_escapes(
            secret in prop_oneof!["[ -~]{4,40}", r#"["\\/\n\té😀a%]{4,12}"#, "\\PC{4,9}"],
            before in r#"[a-z é"\\]{0,6}"#,
            escapes in prop::collection::vec(0_usize..7, 0..5),
        ) {
            let secret = secret.trim();
            prop_assume!(secret.chars().count() >= SECRET_CHARS_MIN);
            let redactor = Redactor::new([secret]);
            let escape = |text: String| escapes.iter().fold(text, |text, way| escaped(&text, *way));
            let text = escape(format!("{before}<{secret}>"));
            let cleaned = redactor.cleaned(&text);
            prop_assert_eq!(cleaned.as_ref(), escape(format!("{before}<")) + MASK + &escape(">".to_string()), "{}", text);
        }

        #[test]
        fn no_beginning_of_a_secret_survives_a_cut_of_its_escapes(
            secret in r#"["\\é😀a/]{6,20}"#,
            escapes in prop::collection::vec(0_usize..7, 0..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let redactor = Redactor::new([secret.as_str()]);
            let escape = |text: &str| escapes.iter().fold(text.to_string(), |text, way| escaped(&text, *way));
            let whole = escape(&secret);
            let least = escape(&secret.chars().take(SECRET_CHARS_MIN).collect::<String>()).len();
            let cut = least + cut.index(whole.len() - least + 1);
            prop_assume!(whole.is_char_boundary(cut));
            let cleaned = redactor.clean(format!("<{}…", &whole[..cut]));
            prop_assert_eq!(cleaned, "<***…", "{} of {}", cut, whole);
        }

        #[test]
        fn no_piece_of_a_secret_survives_a_cut(
            secret in prop_oneof!["[a-zA-Z0-9._-]{4,60}", "[a-c]{4,200}", "[a-zA-Z0-9._äж-]{60,2000}"],
            cuts in any::<[prop::sample::Index; 2]>(),
        ) {
            let redactor = Redactor::new([secret.as_str()]);
            let letters: Vec<char> = secret.chars().collect();
            let mut cuts = cuts.map(|cut| cut.index(letters.len() + 1));
            cuts.sort_unstable();
            let part = |range: Range<usize>| letters[range].iter().collect::<String>();
            let (head, tail) = (part(0..cuts[0]), part(cuts[1]..letters.len()));
            let middle = part(cuts[0]..cuts[1]);
            if head.chars().count() >= SECRET_CHARS_MIN {
                prop_assert_eq!(redactor.clean(format!("<{head}…")), "<***…");
            }
            if tail.chars().count() >= SECRET_CHARS_MIN {
                prop_assert_eq!(redactor.clean(format!("…{tail}>")), "…***>");
            }
            for piece in [head, middle, tail] {
                if piece.len() >= PIECE_BYTES_MIN {
                    prop_assert_eq!(redactor.clean(format!("<{piece}>")), "<***>");
                }
            }
        }

        #[test]
        fn a_text_without_secrets_is_left_as_it_is(text in "[a-c ]{0,40}") {
            let redactor = Redactor::new(["dddd"]);
            prop_assert_eq!(redactor.cleaned(&text), text.as_str());
        }
    }
}
