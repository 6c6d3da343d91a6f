//! From the address of an MCP server to the endpoints that give tokens for it.
//!
//! The order is that of MCP's authorization (2025-11-25 and later): the challenge of a
//! 401, the server's metadata (RFC 9728), the issuer's (RFC 8414, OpenID). Servers of
//! 2025-03-26 have no metadata of their own: their origin is the issuer. Each document is
//! judged before it is used; nothing here asks for a token.

use std::time::Instant;

use serde_json::{Value, json};

use super::challenge::{self, BearerChallenge};
use super::grant::clipped;
use super::urls;
use super::wire::{Wire, finally};
use crate::auth::Fault;
use crate::http::{CHECK_PATH, with_hint};

/// Texts of a list in metadata that are looked at, at most.
const LIST_MAX: usize = 1000;

/// What there is to know before a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Discovered {
    /// The `resource` of each request (RFC 8707).
    pub(super) resource: String,
    /// What the server wants, by its challenge or else by its metadata.
    pub(super) scopes: Vec<String>,
    pub(super) issuer: Issuer,
}

/// An authorization server, as its metadata describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Issuer {
    /// Its name, as its own metadata has it.
    pub(super) name: String,
    pub(super) token_endpoint: String,
    /// Empty where it has none.
    pub(super) authorization_endpoint: String,
    pub(super) registration_endpoint: Option<String>,
    /// How clients say who they are; empty where it does not say.
    pub(super) auth_methods: Vec<String>,
    /// Of PKCE; `None`: it has no metadata that could say.
    pub(super) challenge_methods: Option<Vec<String>>,
    pub(super) scopes: Vec<String>,
    /// It says that its authorization responses have an `iss` (RFC 9207).
    pub(super) sends_iss: bool,
    /// A client may be named by the address of a document that describes it.
    pub(super) takes_documents: bool,
}

/// Asks the server what it wants, and its issuer where tokens are given. `wanted` is the
/// user's issuer.
///
/// # Errors
/// When no issuer can be found, or one of the documents is not what it has to be.
pub(super) fn discover(
    wire: &Wire,
    wanted: Option<&str>,
    deadline: Instant,
) -> Result<Discovered, Fault> {
    let target = &wire.target;
    let (status, challenge) = challenge_of(wire, deadline)?;
    let resource = urls::resource_of(target).ok_or_else(|| finally("the address has no host"))?;
    let metadata = server_metadata(wire, &challenge, deadline)?;
    let Some(metadata) = metadata else {
        let origin = urls::server_key(target).unwrap_or_default();
        let issuer = match wanted {
            Some(wanted) => of_issuer(wire, wanted, deadline)?,
            None => of_origin(wire, &origin, status, deadline)?,
        };
        let scopes = challenge.scopes;
        return Ok(Discovered {
            resource,
            scopes,
            issuer,
        });
    };
    let named = metadata["resource"].as_str();
    if let Some(named) = named.filter(|named| !urls::is_resource_of(named, target)) {
        return Err(finally(format!(
            "the server's metadata is that of another resource, `{}`: no token is asked for",
            clipped(named)
        )));
    }
    let issuers = texts(&metadata["authorization_servers"]);
    let issuer = match wanted {
        None => issuers.first().cloned(),
        Some(wanted) => {
            let is_wanted = |issuer: &&String| urls::is_same_issuer(issuer, wanted);
            let found = issuers.iter().find(is_wanted).cloned();
            Some(found.ok_or_else(|| {
                finally(format!(
                    "the server takes no tokens of the issuer `{}`, but of {}",
                    clipped(wanted),
                    named_list(&issuers)
                ))
            })?)
        }
    };
    let issuer = issuer.ok_or_else(|| finally("the server's metadata names no issuer"))?;
    let scopes = match challenge.scopes.is_empty() {
        true => texts(&metadata["scopes_supported"]),
        false => challenge.scopes,
    };
    Ok(Discovered {
        resource: named.map_or(resource, str::to_string),
        scopes,
        issuer: of_issuer(wire, &issuer, deadline)?,
    })
}

/// Texts in backticks, a few of them.
fn named_list(texts: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    let shown = texts.iter().take(SHOWN_MAX);
    let shown: Vec<_> = shown.map(|text| format!("`{}`", clipped(text))).collect();
    match shown.is_empty() {
        true => "none".to_string(),
        false => shown.join(", "),
    }
}

/// What the server answers to a request without a token: its status, and what it wants. The
/// request changes nothing, and opens no session.
fn challenge_of(wire: &Wire, deadline: Instant) -> Result<(u16, BearerChallenge), Fault> {
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let accept = "application/json, text/event-stream";
    let reply = wire.post_json(&wire.target, accept, &ping, deadline)?;
    let challenge = match (reply.status, &reply.challenge) {
        (401 | 403, Some(header)) => challenge::read(header),
        _ => BearerChallenge::default(),
    };
    Ok((reply.status, challenge))
}

/// The server's metadata, from where its challenge says or else from the well-known
/// places; `None` where it has none.
fn server_metadata(
    wire: &Wire,
    challenge: &BearerChallenge,
    deadline: Instant,
) -> Result<Option<Value>, Fault> {
    if let Some(url) = &challenge.resource_metadata {
        let reply = wire.get(url, deadline)?;
        let found = reply.object().filter(|_| reply.status == 200);
        let fault = || {
            let url = clipped(url);
            finally(format!(
                "the server's metadata is not at `{url}`, where its challenge says: it {}",
                reply.told()
            ))
        };
        return found.ok_or_else(fault).map(Some);
    }
    let urls = urls::protected_resource_urls(&wire.target);
    first_document(wire, &urls, deadline).map(Result::ok)
}

/// The first of these that is there, or what the first address answered in its place.
fn first_document(
    wire: &Wire,
    urls: &[String],
    deadline: Instant,
) -> Result<Result<Value, String>, Fault> {
    let mut missing = None;
    for url in urls {
        let reply = wire.get(url, deadline)?;
        // Some answer 200 and a page for whatever they do not know.
        if let Some(found) = reply.object().filter(|_| reply.status == 200) {
            return Ok(Ok(found));
        }
        if matches!(reply.status, 429 | 500..) {
            let message = format!("`{}` answered {}", clipped(url), reply.status);
            let after = reply.retry_after;
            return Err(Fault::Again { message, after });
        }
        missing.get_or_insert_with(|| format!("`{}` {}", clipped(url), reply.told()));
    }
    Ok(Err(missing.unwrap_or_default()))
}

/// The endpoints of an issuer.
pub(super) fn of_issuer(wire: &Wire, issuer: &str, deadline: Instant) -> Result<Issuer, Fault> {
    let document = first_document(wire, &urls::issuer_metadata_urls(issuer), deadline)?;
    let shown = clipped(issuer);
    let document = document.map_err(|missing| {
        finally(format!(
            "no metadata of the issuer `{shown}` is to be found: {missing}"
        ))
    })?;
    read_issuer(&document, issuer).map_err(finally)
}

/// Those of a server that is its own issuer, as in 2025-03-26: by metadata, or else at
/// the paths of that revision, where it wants a token: `status` is what it answered without.
fn of_origin(wire: &Wire, origin: &str, status: u16, deadline: Instant) -> Result<Issuer, Fault> {
    let document = first_document(wire, &urls::issuer_metadata_urls(origin), deadline)?;
    match document {
        Err(_) if !matches!(status, 401 | 403) => Err(wants_no_token(&wire.target, status)),
        Ok(document) => read_issuer(&document, origin).map_err(finally),
        Err(_) => Ok(Issuer {
            name: origin.to_string(),
            token_endpoint: format!("{origin}/token"),
            authorization_endpoint: format!("{origin}/authorize"),
            registration_endpoint: Some(format!("{origin}/register")),
            ..Issuer::default()
        }),
    }
}

/// A server that has nothing of OAuth.
fn wants_no_token(url: &str, status: u16) -> Fault {
    let url = clipped(url);
    let how = match status {
        200..300 => "the server answers without a token".to_string(),
        404 | 405 => {
            let what = format!(
                "{url} does not exist: it answered {status}, and neither it nor its origin tells \
                 of an issuer"
            );
            return finally(with_hint(what, CHECK_PATH));
        }
        _ => format!("{url} answered {status}, and only 401 or 403 would ask for a token"),
    };
    finally(format!(
        "{how}, and neither it nor its origin tells of an issuer: run without `login` and \
         without `--oauth-client-id`; where tokens come from an issuer all the same, name it by \
         `--oauth-issuer`"
    ))
}

/// Reads the metadata that was found for `issuer`.
fn read_issuer(document: &Value, issuer: &str) -> Result<Issuer, String> {
    let text = |name: &str| document[name].as_str().map(str::to_string);
    let shown = clipped(issuer);
    let name = text("issuer").unwrap_or_default();
    if !urls::is_same_issuer(&name, issuer) {
        let name = clipped(&name);
        return Err(format!(
            "the metadata of the issuer `{shown}` says that it is of `{name}`: it is not used"
        ));
    }
    let token_endpoint = text("token_endpoint");
    Ok(Issuer {
        token_endpoint: token_endpoint
            .ok_or_else(|| format!("the metadata of `{shown}` names no `token_endpoint`"))?,
        name,
        authorization_endpoint: text("authorization_endpoint").unwrap_or_default(),
        registration_endpoint: text("registration_endpoint"),
        auth_methods: texts(&document["token_endpoint_auth_methods_supported"]),
        challenge_methods: Some(texts(&document["code_challenge_methods_supported"])),
        scopes: texts(&document["scopes_supported"]),
        sends_iss: document["authorization_response_iss_parameter_supported"] == json!(true),
        takes_documents: document["client_id_metadata_document_supported"] == json!(true),
    })
}

/// The texts of a list, some thousand at most.
fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten().take(LIST_MAX);
    let texts = items.filter_map(Value::as_str);
    texts.map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_another_issuer_is_not_used() {
        let document = |issuer: &str| json!({"issuer": issuer, "token_endpoint": "https://a/t"});
        assert!(read_issuer(&document("https://a"), "https://a").is_ok());
        assert!(read_issuer(&document("https://a/"), "https://a").is_ok());
        for (issuer, expected) in [
            ("https://evil", "says that it is of `https://evil`"),
            ("https://a/b", "says that it is of `https://a/b`"),
            ("", "says that it is of ``"),
        ] {
            let fault = read_issuer(&document(issuer), "https://a").expect_err("another");
            assert!(fault.contains(expected), "{fault}");
        }
        let fault = read_issuer(&json!({"issuer": "https://a"}), "https://a");
        assert!(fault.expect_err("none").contains("no `token_endpoint`"));
    }

    #[test]
    fn a_server_without_oauth_is_told_as_such() {
        let told = |status| {
            let fault = wants_no_token("http://a/mpc", status);
            fault.message().to_string()
        };
        assert!(told(200).starts_with("the server answers without a token, and neither"));
        assert!(told(404).starts_with("http://a/mpc does not exist: it answered 404, and"));
        assert!(told(404).contains("hint: check the path"), "{}", told(404));
        assert!(told(500).starts_with("http://a/mpc answered 500, and only 401"));
    }

    #[test]
    fn fields_of_other_types_are_as_if_they_were_not_there() {
        let document = json!({
            "issuer": "https://a", "token_endpoint": "https://a/t", "scopes_supported": [1, "x"],
            "registration_endpoint": {}, "code_challenge_methods_supported": "S256",
            "authorization_response_iss_parameter_supported": "true",
        });
        let issuer = read_issuer(&document, "https://a").expect("an issuer");
        assert_eq!(issuer.scopes, ["x"]);
        assert_eq!(issuer.registration_endpoint, None);
        assert_eq!(issuer.challenge_methods, Some(vec![]));
        assert!(!issuer.sends_iss);
    }
}
