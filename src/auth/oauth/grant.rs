//! What a token endpoint answers: a token, or why there is none. Pure: bytes and the
//! time come in, values go out.

use serde_json::Value;

use crate::auth::reading::{check, exp_of_jwt, seconds};

/// A lifetime that is longer is a slip of the server's pen: ten years.
const LIFETIME_SECS_MAX: u64 = 10 * 365 * 86_400;

/// What was granted. It has no `Debug`: two of its fields are secrets.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) access_token: String,
    /// `None`: the one before stays.
    pub(super) refresh_token: Option<String>,
    /// In seconds since 1970; `None` where neither the answer nor the token says.
    pub(super) expires_at: Option<u64>,
    /// When the token had ended by its own word before it came: clocks differ, or it is an
    /// old one. Then `expires_at` is `None`, for the server may take it.
    pub(super) ended_at: Option<u64>,
    /// `None`: those that were asked for.
    pub(super) scopes: Option<Vec<String>>,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GrantRefusal {
    pub(super) status: u16,
    /// RFC 6749 §5.2, such as `invalid_grant`; empty where the answer has none.
    pub(super) error: String,
    /// As the server says it: may hold what was sent.
    pub(super) description: String,
}

impl GrantRefusal {
    /// Another try may have another end: the server is busy or broken.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..)
            || matches!(
                self.error.as_str(),
                "slow_down" | "temporarily_unavailable" | "server_error"
            )
    }

    /// The server does not take the `resource` of RFC 8707, as Entra.
    pub(super) fn is_of_resource(&self) -> bool {
        self.status == 400 && names_resource(&self.error, &self.description)
    }

    /// What to try, where the answer says what is at fault.
    pub(super) fn remedy(&self) -> Option<&'static str> {
        match self.error.as_str() {
            "invalid_client" | "unauthorized_client" => Some(
                "check the client's id and what proves it (`--oauth-client-id` with \
                 `--oauth-client-secret` or `--oauth-private-key`), and with the issuer that this \
                 client may get tokens so",
            ),
            "invalid_scope" => Some("name scopes that the issuer has with `--oauth-scopes`"),
            _ => None,
        }
    }

    /// For the user: the status, and what the server says.
    pub(super) fn told(&self) -> String {
        let mut told = format!("answered {}", self.status);
        for text in [&self.error, &self.description] {
            if !text.is_empty() {
                told.push_str(&format!(": {text}"));
            }
        }
        told
    }
}

/// Whether an error is about the resource. Other errors may speak of it, too, where a
/// server quotes what it was sent.
pub(super) fn names_resource(error: &str, description: &str) -> bool {
    let speaks_of_it = || description.to_ascii_lowercase().contains("resource");
    error == "invalid_target" || (error == "invalid_request" && speaks_of_it())
}

/// Reads the answer to a token request that was made at `now`, in seconds since 1970.
pub(super) fn read(status: u16, body: &str, now: u64) -> Result<Grant, GrantRefusal> {
    let answer: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_string();
    let refusal = |description: String| GrantRefusal {
        status,
        error: clipped(&text("error")),
        description: clipped(&description),
    };
    // Some servers say no with 200.
    if !(200..300).contains(&status) || answer["error"].is_string() {
        return Err(refusal(text("error_description")));
    }
    let token = text("access_token");
    if token.is_empty() {
        let what = match answer.is_object() {
            true => "the answer has no `access_token`",
            false => "the answer is no JSON object",
        };
        return Err(refusal(what.to_string()));
    }
    if let Err(what) = check(&token) {
        return Err(refusal(format!("the `access_token` {what}")));
    }
    let kind = text("token_type");
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("bearer") {
        let kind = clipped(&kind);
        return Err(refusal(format!(
            "the token is of type `{kind}`, not `Bearer`"
        )));
    }
    let scopes = answer["scope"].as_str();
    let given = lifetime(&answer["expires_in"]).map(|secs| now + secs);
    let own = expiry_of_jwt(&token, now);
    Ok(Grant {
        refresh_token: Some(text("refresh_token")).filter(|token| !token.is_empty()),
        expires_at: given.or(own.filter(|at| *at > now)),
        ended_at: own.filter(|at| given.is_none() && *at <= now),
        scopes: scopes.map(|scopes| scopes.split_whitespace().map(str::to_string).collect()),
        access_token: token,
    })
}

/// `expires_in`: a number of seconds, or one as a text. Nothing, 0, and what cannot be
/// meant are as if it were not there.
fn lifetime(expires_in: &Value) -> Option<u64> {
    let secs = seconds(expires_in)?.as_secs_f64();
    let is_meant = (1.0..=LIFETIME_SECS_MAX as f64).contains(&secs);
    is_meant.then_some(secs as u64)
}

/// The `exp` of a token that is a JWT. Nothing is verified: the server that takes the
/// token does that.
fn expiry_of_jwt(token: &str, now: u64) -> Option<u64> {
    let exp = exp_of_jwt(token)?.as_f64()?;
    let is_meant = (1.0..=(now + LIFETIME_SECS_MAX) as f64).contains(&exp);
    is_meant.then_some(exp as u64)
}

/// A stranger's text, as much of it as a reader takes in.
pub(super) fn clipped(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let mut clipped: String = text.trim().chars().take(CHARS_MAX).collect();
    if clipped.len() < text.trim().len() {
        clipped.push('…');
    }
    crate::text::blanked(&clipped).into_owned()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_795_000_000;

    fn jwt(claims: &Value) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part("{}"), part(&claims.to_string()))
    }

    #[test]
    fn a_lifetime_is_what_can_be_meant() {
        let check = |token: &str, expires_in: Value, expected: Option<u64>| {
            let body = json!({"access_token": token, "expires_in": expires_in.clone()});
            let grant = read(200, &body.to_string(), NOW);
            let expires_at = grant.map(|grant| grant.expires_at).ok();
            let expected = expected.map(|secs| NOW + secs);
            assert_eq!(expires_at, Some(expected), "{token} {expires_in}");
        };
        check("t", json!(3600), Some(3600));
        check("t", json!("3600"), Some(3600));
        check("t", json!(3599.5), Some(3599));
        for nothing in [
            json!(null),
            json!(0),
            json!(-5),
            json!("soon"),
            json!(1e300),
        ] {
            check("t", nothing.clone(), None);
            check(&jwt(&json!({"exp": NOW + 90})), nothing.clone(), Some(90));
            check(&jwt(&json!({"exp": NOW - 90})), nothing.clone(), None);
            check(&jwt(&json!({"exp": "x"})), nothing, None);
        }
        check(&jwt(&json!({"exp": NOW + 90})), json!(60), Some(60));
        check("a.!.b", json!(null), None);
    }

    #[test]
    fn what_is_no_token_is_refused_with_its_reason() {
        let check = |status: u16, body: &str, expected: &str| {
            let refusal = read(status, body, NOW).err().expect("a refusal");
            assert!(refusal.told().contains(expected), "{refusal:?}");
        };
        check(400, r#"{"error":"invalid_grant"}"#, "400: invalid_grant");
        check(
            200,
            r#"{"error":"bad_verification_code","error_description":"no"}"#,
            "bad_verification_code: no",
        );
        check(200, "{}", "no `access_token`");
        check(200, "<html>", "is no JSON object");
        check(200, r#"{"access_token":"a b"}"#, "has a blank");
        let long = json!({"access_token": "a".repeat(32 * 1024 + 1)});
        check(200, &long.to_string(), "is 32769 bytes long");
        let wordy = json!({"error": "e", "error_description": "é".repeat(301)});
        check(400, &wordy.to_string(), &format!("{}…", "é".repeat(300)));
        check(
            200,
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            "type `DPoP`",
        );
        check(502, "<html>", "answered 502");
    }

    #[test]
    fn a_refusal_is_for_good_or_passing() {
        let of = |status: u16, body: &str| read(status, body, NOW).err().expect("a refusal");
        assert!(of(429, "").is_passing() && of(503, "x").is_passing());
        assert!(of(400, r#"{"error":"temporarily_unavailable"}"#).is_passing());
        assert!(!of(400, r#"{"error":"invalid_grant"}"#).is_passing());
        assert!(of(400, r#"{"error":"invalid_target"}"#).is_of_resource());
        let entra = r#"{"error":"invalid_request","error_description":"AADSTS901002: The 'resource' request parameter is not supported."}"#;
        assert!(of(400, entra).is_of_resource());
        let quoting = r#"{"error":"invalid_client","error_description":"of resource=x"}"#;
        assert!(!of(400, quoting).is_of_resource());
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_reader(status: u16, body in ".*", token in ".*") {
            let _ = read(status, &body, NOW).is_ok();
            let body = json!({"access_token": token, "scope": body}).to_string();
            if let Ok(grant) = read(200, &body, NOW) {
                prop_assert!(super::check(&grant.access_token).is_ok());
            }
        }
    }

    #[test]
    fn a_token_that_had_ended_when_it_came_says_when() {
        let read = |claims: Value, answer: Value| {
            let mut answer = answer;
            answer["access_token"] = json!(jwt(&claims));
            let grant = super::read(200, &answer.to_string(), NOW).expect("a token");
            (grant.expires_at, grant.ended_at)
        };
        let over = json!({"exp": NOW - 90});
        assert_eq!(read(over.clone(), json!({})), (None, Some(NOW - 90)));
        // The issuer's word counts more.
        assert_eq!(
            read(over, json!({"expires_in": 60})),
            (Some(NOW + 60), None)
        );
        assert_eq!(
            read(json!({"exp": NOW + 90}), json!({})),
            (Some(NOW + 90), None)
        );
        assert_eq!(read(json!({"exp": 0}), json!({})), (None, None));
    }

    #[test]
    fn refusals_of_a_client_say_what_to_check() {
        let remedy = |error: &str| {
            let refusal = GrantRefusal {
                status: 401,
                error: error.to_string(),
                description: String::new(),
            };
            refusal.remedy()
        };
        assert!(remedy("invalid_client").is_some_and(|it| it.contains("--oauth-client-secret")));
        assert!(remedy("invalid_scope").is_some_and(|it| it.contains("--oauth-scopes")));
        assert_eq!(remedy("invalid_grant"), None);
    }
}
