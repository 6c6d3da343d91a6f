//! What a server says of the token that it refuses: challenges in `WWW-Authenticate`
//! (RFC 9110 section 11.6.1, RFC 6750 section 3), and the body of an OAuth error.
//!
//! Pure functions of bytes. They do not know what a refusal means for a run.

use super::fields::{read_fields, read_string};
use crate::text::shown_text;

/// How much of one field is read, in bytes.
const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Challenges read of one field, and parameters of one challenge.
const CHALLENGES_MAX: usize = 16;
const PARAMS_MAX: usize = 32;

/// Characters shown of a text of the server's.
const SHOWN_MAX: usize = 300;

/// One way in that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme in lower case, such as `bearer`.
    pub scheme: String,
    /// Its parameters: names in lower case, values without their quotes.
    params: Vec<(String, String)>,
}

impl Challenge {
    /// The first parameter of that name, which is in lower case.
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        params.find(|(own, _)| own == name).map(|(_, it)| &**it)
    }
}

/// The challenges in one `WWW-Authenticate` field. Commas separate challenges and their
/// parameters alike: a name before `=` is a parameter, any other word a scheme. What
/// cannot be read is passed over.
fn read_challenges(value: &[u8]) -> Vec<Challenge> {
    let value = &value[..value.len().min(FIELD_BYTES_MAX)];
    let text = String::from_utf8_lossy(value);
    let mut rest = text.as_ref();
    let mut found: Vec<Challenge> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return found;
        }
        let (word, after) = split_token(rest);
        let Some(after_equals) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            if word.is_empty() {
                rest = skip_item(rest);
                continue;
            }
            if found.len() == CHALLENGES_MAX {
                return found;
            }
            found.push(Challenge {
                scheme: word.to_ascii_lowercase(),
                params: Vec::new(),
            });
            rest = after;
            continue;
        };
        let (param, after) = read_value(after_equals.trim_start_matches([' ', '\t']));
        rest = after;
        if let (Some(param), Some(last)) = (param, found.last_mut())
            && last.params.len() < PARAMS_MAX
        {
            last.params.push((word.to_ascii_lowercase(), param));
        }
    }
}

/// The characters of a token at the beginning (RFC 9110 section 5.6.2), and the rest.
fn split_token(text: &str) -> (&str, &str) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// What follows the next comma.
fn skip_item(text: &str) -> &str {
    text.find(',').map_or("", |at| &text[at..])
}

/// A parameter's value, and the rest; `None` where it is not one, such as the padding
/// of a token68.
fn read_value(text: &str) -> (Option<String>, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, after) = split_token(text);
        return match token.is_empty() {
            true => (None, skip_item(text)),
            // Servers write addresses without the quotes that they need.
            false if after.starts_with([':', '/']) => {
                let end = text.find([',', ' ']).unwrap_or(text.len());
                (Some(text[..end].to_string()), &text[end..])
            }
            false => (Some(token.to_string()), after),
        };
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (Some(value), &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    // It was cut.
    (Some(value), "")
}

/// The challenge for a bearer among those of all fields, with the field that it stands
/// in: the first that names an error, else the first. Servers offer several ways in, in
/// one field or in one each.
pub fn bearer_challenge<'a>(
    fields: impl Iterator<Item = &'a [u8]>,
) -> Option<(&'a [u8], Challenge)> {
    let challenges = fields.flat_map(|field| {
        read_challenges(field)
            .into_iter()
            .map(move |it| (field, it))
    });
    let mut bearers =
        challenges.filter(|(_, challenge)| matches!(&*challenge.scheme, "bearer" | "dpop"));
    let first = bearers.next()?;
    match first.1.param("error") {
        Some(_) => Some(first),
        None => bearers
            .find(|(_, it)| it.param("error").is_some())
            .or(Some(first)),
    }
}

/// What is said of a token that is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRefusal {
    /// The error's name, such as `invalid_token`.
    pub error: String,
    /// The error in words, fit to be shown.
    pub description: Option<String>,
    /// The scope that would do, fit to be shown.
    pub scope: Option<String>,
}

impl TokenRefusal {
    /// What a refusal says: the challenge for a bearer first, else the body, which holds
    /// the members of an OAuth error (RFC 6749 section 5.2). `None` where neither says
    /// anything of a token.
    pub fn read<'a>(fields: impl Iterator<Item = &'a [u8]>, body: &[u8]) -> Option<Self> {
        let bearer = bearer_challenge(fields).map(|(_, challenge)| challenge);
        let bearer = bearer.filter(|challenge| challenge.param("error").is_some());
        let of_challenge = |name| bearer.as_ref()?.param(name).map(str::to_string);
        let of_body = body_fields(body);
        let [error, description, scope] = [0, 1, 2].map(|at| {
            let name = NAMES[at];
            of_challenge(name).or_else(|| of_body.get(at).cloned().flatten())
        });
        let is_word = |error: &String| split_token(error).1.is_empty() && !error.is_empty();
        Some(Self {
            error: error.filter(is_word).map(|text| shown(&text))?,
            description: description.map(|text| shown(&text)),
            scope: scope.map(|text| shown(&text)),
        })
    }
}

/// Of a challenge and of a body alike.
const NAMES: [&str; 3] = ["error", "error_description", "scope"];

fn body_fields(body: &[u8]) -> Vec<Option<String>> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let fields = read_fields(text, NAMES).unwrap_or_default();
    fields.into_iter().map(|it| read_string(it?)).collect()
}

fn shown(text: &str) -> String {
    shown_text(text, SHOWN_MAX)
}

/// How long a server asks to be left alone, by its `Retry-After` (RFC 9110 section
/// 10.2.3): seconds, or a moment, which `date` reads in seconds since 1970. `None` for
/// what is neither; zero for a moment that is past.
pub fn read_retry_after(
    value: &[u8],
    now_unix_secs: u64,
    date: impl Fn(&str) -> Option<u64>,
) -> Option<std::time::Duration> {
    const BYTES_MAX: usize = 100;
    let text = std::str::from_utf8(value).ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let secs = match is_number {
        true => text.parse().unwrap_or(u64::MAX),
        false if text.len() > BYTES_MAX => return None,
        false => date(text)?.saturating_sub(now_unix_secs),
    };
    Some(std::time::Duration::from_secs(secs))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `scheme name=value name=value; scheme …`
    fn told(value: &str) -> String {
        let challenges = read_challenges(value.as_bytes());
        let texts = challenges.iter().map(|challenge| {
            let params = challenge.params.iter();
            let params = params.map(|(name, value)| format!(" {name}={value}"));
            challenge.scheme.clone() + &params.collect::<String>()
        });
        texts.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn challenges_are_read_as_servers_write_them() {
        for (value, expected) in [
            ("", ""),
            ("Bearer", "bearer"),
            ("Bearer realm=\"x\"", "bearer realm=x"),
            (
                "Bearer error=\"invalid_token\", error_description=\"expired, renew it\"",
                "bearer error=invalid_token error_description=expired, renew it",
            ),
            (
                "bearer ERROR = invalid_token ,scope=\"a b\"",
                "bearer error=invalid_token scope=a b",
            ),
            (
                "Basic realm=\"a\\\"b\", Bearer resource_metadata=\"https://h/.well-known/x\"",
                "basic realm=a\"b; bearer resource_metadata=https://h/.well-known/x",
            ),
            (
                "Bearer resource_metadata=https://h/x?a=1, scope=b",
                "bearer resource_metadata=https://h/x?a=1 scope=b",
            ),
            // A token68, and parameters of nobody.
            ("Negotiate abc==, Bearer", "negotiate; bearer"),
            ("error=invalid_token", ""),
            ("Bearer error=\"cut", "bearer error=cut"),
            (",, /x/, Bearer", "bearer"),
        ] {
            assert_eq!(told(value), expected, "{value}");
        }
    }

    #[test]
    fn the_challenge_that_names_an_error_is_found_among_all_fields() {
        for (fields, found) in [
            (
                &["Basic realm=\"x\"", "Bearer error=\"a\""][..],
                Some((1, Some("a"))),
            ),
            (
                &["Bearer realm=\"x\"", "Bearer error=\"a\""],
                Some((1, Some("a"))),
            ),
            (
                &["Bearer realm=\"x\", DPoP error=\"a\"", "Bearer error=\"b\""],
                Some((0, Some("a"))),
            ),
            (&["Negotiate", "Bearer realm=\"x\""], Some((1, None))),
            (
                &["Bearer error=\"cut", "Bearer error=\"b\""],
                Some((0, Some("cut"))),
            ),
            (&["Basic error=\"a\""], None),
            (&[], None),
        ] {
            let bearer = bearer_challenge(fields.iter().map(|field| field.as_bytes()));
            let bearer = bearer
                .as_ref()
                .map(|(field, it)| (*field, it.param("error")));
            let found = found.map(|(at, error): (usize, _)| (fields[at].as_bytes(), error));
            assert_eq!(bearer, found, "{fields:?}");
        }
    }

    #[test]
    fn a_refusal_is_read_from_the_challenge_or_the_body() {
        let read = |field: &str, body: &str| {
            let fields = [field.as_bytes()];
            let refusal = TokenRefusal::read(fields.into_iter(), body.as_bytes())?;
            let rest = [refusal.description, refusal.scope].map(Option::unwrap_or_default);
            Some(format!("{} {}", refusal.error, rest.join(" ")))
        };
        let body = r#"{"error":"invalid_token","error_description":"it is over"}"#;
        for (field, body, expected) in [
            ("Bearer", body, Some("invalid_token it is over ")),
            ("", body, Some("invalid_token it is over ")),
            (
                "Bearer error=\"insufficient_scope\", scope=\"a b\"",
                body,
                Some("insufficient_scope it is over a b"),
            ),
            ("Basic error=\"invalid_token\"", "", None),
            ("Bearer", "", None),
            ("", r#"{"error":"not allowed here"}"#, None),
            ("", r#"{"error":{"code":-32000}}"#, None),
            ("", "[", None),
        ] {
            assert_eq!(read(field, body).as_deref(), expected, "{field} {body}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_moment() {
        let date = |text: &str| (text == "then").then_some(1_060);
        let read =
            |text: &str| read_retry_after(text.as_bytes(), 1_000, date).map(|it| it.as_secs());
        assert_eq!(read("30"), Some(30));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("then"), Some(60));
        assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
        for bad in ["", "-1", "1.5", "soon"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        let past = read_retry_after(b"then", 2_000, date);
        assert_eq!(past, Some(std::time::Duration::ZERO));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_is_read_is_bounded(
            field in proptest::collection::vec(any::<u8>(), 0..300),
            text in "[Bb=,\" \\\\a/]{0,40}",
            body in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            for value in [&field[..], text.as_bytes()] {
                prop_assert!(read_challenges(value).len() <= CHALLENGES_MAX);
                let _ = TokenRefusal::read([value].into_iter(), &body);
                let _ = read_retry_after(value, 0, |_| Some(0));
            }
        }
    }
}
