//! A token as commands print it and files hold it.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::Token;
use crate::clock::Utc;
use crate::redact::Secret;

/// The largest token, in bytes, whoever gave it: servers take no larger head.
const TOKEN_BYTES_MAX: usize = 32 * 1024;

/// The most that is read to find one, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 256 * 1024;

/// The token of a text: the text itself, or of a JSON object what `access_token`,
/// `accessToken` or `token` says, at the top or under `status` (Kubernetes' exec
/// plugins). When it ends is what the JSON says, or the token where it is a JWT.
///
/// # Errors
/// What is wrong with it, as a fragment without the text.
pub(super) fn read_token(text: &str, now: SystemTime) -> Result<Token, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("is empty".to_string());
    }
    let (value, expires_at) = match text.starts_with('{') {
        true => read_json(text, now)?,
        false => (text.to_string(), None),
    };
    let value = without_scheme(&value);
    check(value)?;
    let expires_at = expires_at.or_else(|| expiry_of_jwt(value));
    Ok(Token {
        value: Secret::new(value),
        expires_at,
    })
}

/// `Bearer abc` is taken for `abc`: it is what people copy.
fn without_scheme(value: &str) -> &str {
    let scheme = value
        .get(..7)
        .filter(|it| it.eq_ignore_ascii_case("bearer "));
    scheme.map_or(value, |_| value[7..].trim())
}

/// Whether it can be sent.
pub(super) fn check(value: &str) -> Result<(), String> {
    if value.len() > TOKEN_BYTES_MAX {
        return Err(format!(
            "is {} bytes long; a token has at most {TOKEN_BYTES_MAX}",
            value.len()
        ));
    }
    if value.lines().count() > 1 {
        return Err("has more than one line; a token is one word".to_string());
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a blank, or a character that no token has".to_string());
    }
    match value.is_empty() {
        true => Err("is empty".to_string()),
        false => Ok(()),
    }
}

fn read_json(text: &str, now: SystemTime) -> Result<(String, Option<SystemTime>), String> {
    const NAMES: [&str; 3] = ["access_token", "accessToken", "token"];
    let value: Value =
        serde_json::from_str(text).map_err(|_| "begins like JSON, but is not JSON".to_string())?;
    let holders = [Some(&value), value.get("status")];
    let found = holders.into_iter().flatten().find_map(|holder| {
        let token = NAMES.iter().find_map(|name| holder[*name].as_str())?;
        Some((holder, token.trim().to_string()))
    });
    let (holder, token) =
        found.ok_or("is JSON without `access_token`, `accessToken` or `token`")?;
    Ok((token, expiry(holder, now)))
}

/// When the JSON beside a token says that it ends.
fn expiry(holder: &Value, now: SystemTime) -> Option<SystemTime> {
    const TIMES: [&str; 4] = [
        "expires_at",
        "expires_on",
        "expiration",
        "expirationTimestamp",
    ];
    // 0 is what some say who know none, and less is over.
    let by_lifetime = match number(&holder["expires_in"]) {
        Some(secs) if secs < 0.0 => {
            let ago = Duration::try_from_secs_f64(-secs).ok();
            ago.and_then(|ago| now.checked_sub(ago))
        }
        Some(secs) if secs > 0.0 => {
            let left = Duration::try_from_secs_f64(secs).ok();
            left.and_then(|left| now.checked_add(left))
        }
        _ => None,
    };
    by_lifetime.or_else(|| TIMES.iter().find_map(|name| moment(&holder[*name])))
}

/// A number of seconds, or a text of one.
pub(super) fn seconds(value: &Value) -> Option<Duration> {
    number(value).and_then(|secs| Duration::try_from_secs_f64(secs).ok())
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

/// Seconds since 1970, or RFC 3339.
fn moment(value: &Value) -> Option<SystemTime> {
    let at = seconds(value).or_else(|| {
        let time = Utc::parse_rfc3339(value.as_str()?.trim())?;
        Some(Duration::from_millis(time.unix_ms()))
    });
    SystemTime::UNIX_EPOCH.checked_add(at?)
}

/// When the token of a header such as `Bearer …` ended, where it is a JWT that says so: at
/// `now` it is over.
pub(super) fn end_of_jwt(value: &str, now: SystemTime) -> Option<SystemTime> {
    expiry_of_jwt(without_scheme(value.trim())).filter(|at| *at <= now)
}

/// When the token ends, where it is a JWT that says so.
fn expiry_of_jwt(token: &str) -> Option<SystemTime> {
    moment(&exp_of_jwt(token)?)
}

/// The `exp` of a JWT (RFC 7519, section 4.1.4), as the token has it. Nothing else of it is
/// looked at, nor is its signature: the server judges that.
pub(super) fn exp_of_jwt(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let mut claims: Value = serde_json::from_slice(&claims).ok()?;
    Some(claims.get_mut("exp")?.take())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn read(text: &str) -> Result<(String, Option<i64>), String> {
        let token = read_token(text, now())?;
        let left = token.expires_at.map(|at| match at.duration_since(now()) {
            Ok(left) => left.as_secs() as i64,
            Err(over) => -(over.duration().as_secs() as i64),
        });
        Ok((token.value.expose().to_string(), left))
    }

    #[test]
    fn tokens_are_read_as_tools_print_them() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let with_exp = jwt(r#"{"exp":1800000060}"#);
        let old = jwt(r#"{"exp":1}"#);
        for (text, token, left) in [
            ("abc", "abc", None),
            ("\u{feff} abc\r\n", "abc", None),
            ("Bearer abc\n", "abc", None),
            (r#"{"access_token":"a","expires_in":60}"#, "a", Some(60)),
            (r#"{"access_token":"a","expires_in":"60"}"#, "a", Some(60)),
            (r#"{"access_token":"a","expires_in":0}"#, "a", None),
            (
                r#"{"accessToken":"a","expires_on":1800000009}"#,
                "a",
                Some(9),
            ),
            (
                r#"{"token":"a","expires_at":"2027-01-15T08:00:30Z"}"#,
                "a",
                Some(30),
            ),
            (
                r#"{"kind":"ExecCredential","status":{"token":"a","expirationTimestamp":"2027-01-15T08:01:00Z"}}"#,
                "a",
                Some(60),
            ),
            (&with_exp, &with_exp, Some(60)),
            // Whether one that has ended is of use is not judged here.
            (&old, &old, Some(-1_799_999_999)),
            (r#"{"token":"a","expires_in":-5}"#, "a", Some(-5)),
            (r#"{"token":"a","expires_in":-1e300}"#, "a", None),
            (
                r#"{"token":"a","expiration":"2027-01-15T07:59:59Z"}"#,
                "a",
                Some(-1),
            ),
            (r#"{"token":"a","expires_in":1e300}"#, "a", None),
        ] {
            assert_eq!(read(text), Ok((token.to_string(), left)), "{text}");
        }
        for (text, what) in [
            ("", "is empty"),
            ("a b", "has a blank"),
            ("hunter2\nb", "more than one line"),
            ("é", "no token has"),
            ("{", "begins like JSON"),
            (r#"{"error":"hunter2"}"#, "is JSON without"),
            (r#"{"token":""}"#, "is empty"),
            (r#"{"token":"hunter2 b"}"#, "has a blank"),
            (&"a".repeat(TOKEN_BYTES_MAX + 1), "bytes long"),
        ] {
            let error = read(text).expect_err("no token");
            assert!(
                error.contains(what) && !error.contains("hunter2"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_jwt_of_a_header_tells_that_it_has_ended() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let at = |secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        for (claims, end) in [
            (r#"{"exp":1800000000}"#, Some(at(1_800_000_000))),
            (r#"{"exp":1800000001}"#, None),
            (r#"{"exp":"x"}"#, None),
            ("{}", None),
        ] {
            let token = jwt(claims);
            for value in [
                format!("Bearer {token}"),
                format!(" bearer  {token} "),
                token,
            ] {
                assert_eq!(end_of_jwt(&value, now()), end, "{value}");
            }
        }
        assert_eq!(end_of_jwt("Basic dTpw", now()), None);
        assert_eq!(end_of_jwt("", now()), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop_oneof!["\\PC{0,40}", "\\{\"token\":[^é]{0,20}\\}", "[a-zA-Z0-9_=.-]{0,60}"]) {
            if let Ok(token) = read_token(&text, now()) {
                prop_assert!(check(token.value.expose()).is_ok());
            }
        }
    }
}
