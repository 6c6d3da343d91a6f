//! A user's login: the authorization code grant in a browser, with PKCE (RFC 7636) and a
//! loopback redirect (RFC 8252).

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde_json::json;

use super::callback::{BrowserResponse, Callback};
use super::client::{self, ClientIdentity, OAuthClient, random_text};
use super::discover::{self, Issuer};
use super::endpoint::TokenEndpoint;
use super::grant::{Grant, clipped, names_resource};
use super::source::{Held, time_of};
use super::store::{Record, Store};
use super::urls;
use super::wire::{Wire, finally};
use super::wish::identity;
use crate::auth::Fault;
use crate::auth::tokens::expired_notice;
use crate::clock;
use crate::network::Network;
use crate::redact::{Redactor, Secret};
use crate::scenario::{MadeLogin, OAuthWish};

/// The port of cargo-pmcp, which clients may have been registered with.
const REDIRECT_PORT: u16 = 8080;

/// How long the issuer's and the server's answers may take, each step, unless the user says.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the user may take.
pub const BROWSER_TIMEOUT: Duration = Duration::from_secs(300);

/// A login that was made.
pub struct LoggedIn {
    held: Held,
    store: Option<Store>,
    /// What is told of it beside, such as an issuer that takes no resource.
    pub notes: Vec<String>,
}

impl LoggedIn {
    /// `for `http://a` (issuer `https://b`) ends at 2026-…`
    pub fn about(&self) -> String {
        self.held.until()
    }

    /// Whether it can be used beyond its end.
    pub fn is_refreshable(&self) -> bool {
        self.held.record.refresh_token.is_some()
    }

    /// The file that it was written to, where it was.
    pub fn kept_in(&self) -> Option<String> {
        let store = self.store.as_ref();
        store.map(|store| store.path().display().to_string())
    }

    /// All that a run needs of it, where it is kept nowhere.
    pub fn made(&self) -> MadeLogin {
        let Held {
            server,
            issuer,
            record,
        } = &self.held;
        let secret = |text: &Option<String>| text.as_deref().map(Secret::new);
        MadeLogin {
            server: server.clone(),
            issuer: issuer.clone(),
            client_id: record.client_id.clone(),
            application_type: record.application_type.clone(),
            client_secret: secret(&record.client_secret),
            access_token: Secret::new(&record.access_token),
            refresh_token: secret(&record.refresh_token),
            expires_at: record.expires_at,
            scopes: record.scopes.clone(),
        }
    }
}

impl Held {
    /// A login that is kept in memory alone.
    pub(super) fn of_made(login: &MadeLogin) -> Self {
        let text = |secret: &Option<Secret>| secret.as_ref().map(|it| it.expose().to_string());
        Self {
            server: login.server.clone(),
            issuer: login.issuer.clone(),
            record: Record {
                access_token: login.access_token.expose().to_string(),
                client_id: login.client_id.clone(),
                refresh_token: text(&login.refresh_token),
                expires_at: login.expires_at,
                scopes: login.scopes.clone(),
                client_secret: text(&login.client_secret),
                application_type: login.application_type.clone(),
            },
        }
    }
}

/// Lets the user log in to the server at `url`: `ask` is called with the address that a
/// browser has to open. What comes of it is written to the store, unless the wish says
/// otherwise. Blocks for [`BROWSER_TIMEOUT`] and the answers of server and issuer, each step
/// for at most `timeout` or 30 s.
///
/// # Errors
/// Why there is no login.
pub fn login(
    wish: &OAuthWish,
    url: &str,
    network: &Network,
    timeout: Option<Duration>,
    ask: &mut dyn FnMut(&str),
) -> Result<LoggedIn, Fault> {
    let identity = identity(wish).map_err(|fault| finally(fault.0))?;
    if matches!(identity, ClientIdentity::Key(_)) {
        let fault =
            "a login has no use for `--oauth-private-key`: with it, a run gets its tokens alone";
        return Err(finally(fault));
    }
    let wire = Wire::new(url, network).map_err(finally)?;
    let soon = || clock::now() + timeout.unwrap_or(STEP_TIMEOUT);
    let server = urls::server_key(url).unwrap_or_default();
    let store = wish.store.as_deref().map(Store::at);
    if let Some(store) = &store {
        // What cannot be kept is not worth the user's way to the browser.
        store.find(&server, None).map_err(finally)?;
        drop(store.lock(soon()).map_err(finally)?);
    }
    let found = discover::discover(&wire, wish.issuer.as_deref(), soon())?;
    let issuer = &found.issuer;
    check_issuer(&wire, issuer)?;
    let callback = listen(wish)?;
    let scopes = scopes(wish, &found.scopes, issuer);
    let (client, application_type) = match &wish.client_id {
        Some(id) => {
            let id = id.clone();
            (OAuthClient { id, identity }, None)
        }
        None => register(&wire, issuer, &callback.url(), &scopes, soon())?,
    };
    let mut endpoint = TokenEndpoint::new(&found);
    let attempt = |endpoint: &mut TokenEndpoint, ask: &mut dyn FnMut(&str)| {
        let (verifier, redirect) = (random_text(), callback.url());
        let code = authorize(endpoint, &client, &callback, &scopes, &verifier, ask)?;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", redirect.as_str()),
            ("code_verifier", verifier.as_str()),
        ];
        let grant = endpoint.ask(&wire, &client, &fields, soon());
        grant.map_err(|none| NoCode::Fault(none.into_fault("the login", endpoint)))
    };
    let grant = match attempt(&mut endpoint, ask) {
        Err(NoCode::OfResource) => {
            endpoint.is_without_resource = true;
            attempt(&mut endpoint, ask)
        }
        attempted => attempted,
    };
    let grant = grant.map_err(|none| match none {
        NoCode::Fault(fault) => fault,
        NoCode::OfResource => {
            finally("the issuer refuses the request, with a resource and without")
        }
    })?;
    let mut notes = match endpoint.is_without_resource {
        true => vec![format!(
            "the issuer takes no `resource` (RFC 8707): the token is not bound to `{}`",
            endpoint.resource
        )],
        false => Vec::new(),
    };
    let ended_at = time_of(grant.ended_at);
    notes.extend(ended_at.map(|at| expired_notice("that the issuer gave", at)));
    let held = Held {
        server,
        issuer: issuer.name.clone(),
        record: record(grant, &client, application_type, scopes),
    };
    if let Some(store) = &store {
        let lock = store.lock(soon()).map_err(finally)?;
        let kept = store.keep(&lock, &held.server, &held.issuer, &held.record);
        kept.map_err(finally)?;
    }
    Ok(LoggedIn { held, store, notes })
}

fn record(
    grant: Grant,
    client: &OAuthClient,
    application_type: Option<String>,
    scopes: Vec<String>,
) -> Record {
    // One that the user has is not written down.
    let registered = application_type.as_ref();
    let client_secret = registered.and_then(|_| match &client.identity {
        ClientIdentity::Secret(secret) => Some(secret.expose().to_string()),
        _ => None,
    });
    Record {
        access_token: grant.access_token,
        client_id: client.id.clone(),
        refresh_token: grant.refresh_token,
        expires_at: grant.expires_at,
        scopes: grant.scopes.unwrap_or(scopes),
        client_secret,
        application_type,
    }
}

/// What a login needs of an issuer beside what others do.
fn check_issuer(wire: &Wire, issuer: &Issuer) -> Result<(), Fault> {
    let name = clipped(&issuer.name);
    if !urls::may_follow(&issuer.authorization_endpoint, &wire.target) {
        return Err(finally(format!(
            "the issuer `{name}` names no `authorization_endpoint` over `https`: nobody can log in \
             there"
        )));
    }
    let methods = issuer.challenge_methods.as_deref();
    if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
        return Err(finally(format!(
            "the issuer `{name}` does not say that it takes PKCE with S256, without which a code \
             can be stolen: no login is made there"
        )));
    }
    Ok(())
}

fn listen(wish: &OAuthWish) -> Result<Callback, Fault> {
    let port = wish.redirect_port.unwrap_or(REDIRECT_PORT);
    let is_free_to_choose = wish.redirect_port.is_none() && wish.client_id.is_none();
    let listened = Callback::listen(port);
    let listened = match listened {
        Err(_) if is_free_to_choose => Callback::listen(0),
        listened => listened,
    };
    listened.map_err(|error| {
        finally(format!(
            "port {port} of this host, which the browser is to come back to, cannot be listened \
             on ({}): name another that the client is registered with, by `--oauth-redirect-port`",
            crate::files::reason(&error)
        ))
    })
}

/// Those of the user, or of the server; with the one that asks for a refresh token, where
/// the issuer has it (SEP-2207).
fn scopes(wish: &OAuthWish, of_server: &[String], issuer: &Issuer) -> Vec<String> {
    const OFFLINE: &str = "offline_access";
    let mut scopes = match wish.scopes.is_empty() {
        true => of_server.to_vec(),
        false => wish.scopes.clone(),
    };
    let has = |scopes: &[String]| scopes.iter().any(|scope| scope == OFFLINE);
    if has(&issuer.scopes) && !has(&scopes) {
        scopes.push(OFFLINE.to_string());
    }
    scopes
}

/// Registers a client for this login (RFC 7591). Gives its type too.
fn register(
    wire: &Wire,
    issuer: &Issuer,
    redirect: &str,
    scopes: &[String],
    deadline: Instant,
) -> Result<(OAuthClient, Option<String>), Fault> {
    const TYPE: &str = "native";
    let name = clipped(&issuer.name);
    let Some(endpoint) = &issuer.registration_endpoint else {
        let or_else = match issuer.takes_documents {
            true => ", or the `https` address of a client ID metadata document",
            false => "",
        };
        return Err(finally(format!(
            "the issuer `{name}` registers no clients by itself: register one there, and name it \
             by `--oauth-client-id`{or_else}"
        )));
    };
    let method = client::method_to_register(&issuer.auth_methods);
    let mut wanted = json!({
        "client_name": "cargo pmcp loadtest",
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": TYPE,
    });
    if !scopes.is_empty() {
        wanted["scope"] = json!(scopes.join(" "));
    }
    let reply = wire.post_json(endpoint, "application/json", &wanted, deadline)?;
    let answer = reply.object().unwrap_or_default();
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    let id = text("client_id");
    if !(200..300).contains(&reply.status) || id.is_empty() {
        let told = reason(text("error"), text("error_description"));
        return Err(finally(format!(
            "the issuer `{name}` registers no client (status {}){told}",
            reply.status
        )));
    }
    // Some give a secret to a client that they take without one.
    let is_public = text("token_endpoint_auth_method") == "none"
        || !client::takes_secrets(&issuer.auth_methods);
    let secret = Some(text("client_secret")).filter(|secret| !secret.is_empty() && !is_public);
    let identity = secret.map_or(ClientIdentity::Public, |secret| {
        ClientIdentity::Secret(Secret::new(secret))
    });
    let id = id.to_string();
    Ok((OAuthClient { id, identity }, Some(TYPE.to_string())))
}

/// Why a browser brought no code.
enum NoCode {
    /// The issuer does not take the resource: without may do.
    OfResource,
    Fault(Fault),
}

/// Sends the user to the issuer and waits for the code.
fn authorize(
    endpoint: &TokenEndpoint,
    client: &OAuthClient,
    callback: &Callback,
    scopes: &[String],
    verifier: &str,
    ask: &mut dyn FnMut(&str),
) -> Result<String, NoCode> {
    let (state, redirect, scope) = (random_text(), callback.url(), scopes.join(" "));
    let challenge = digest::digest(&digest::SHA256, verifier.as_bytes());
    let challenge = URL_SAFE_NO_PAD.encode(challenge);
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", client.id.as_str()),
        ("redirect_uri", redirect.as_str()),
        ("state", state.as_str()),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    query.extend(Some(("scope", scope.as_str())).filter(|_| !scope.is_empty()));
    query.extend(
        (!endpoint.is_without_resource).then_some(("resource", endpoint.resource.as_str())),
    );
    let at = &endpoint.issuer.authorization_endpoint;
    let sign = if at.contains('?') { '&' } else { '?' };
    ask(&format!("{at}{sign}{}", urls::form(&query)));
    let response = callback.wait(&state, clock::now() + BROWSER_TIMEOUT);
    let response = response.ok_or_else(|| {
        let secs = BROWSER_TIMEOUT.as_secs();
        NoCode::Fault(finally(format!("no browser came back within {secs} s")))
    })?;
    judge(response, endpoint, &state)
}

fn judge(
    response: BrowserResponse,
    endpoint: &TokenEndpoint,
    state: &str,
) -> Result<String, NoCode> {
    let issuer = &endpoint.issuer;
    let fault = |text: String| Err(NoCode::Fault(finally(text)));
    let name = clipped(&issuer.name);
    // RFC 9207 §2.4: before anything else is believed, an error neither.
    match &response.iss {
        // Byte by byte with the name in its metadata: nothing is made alike first.
        Some(iss) if *iss != issuer.name => {
            return fault(format!(
                "the browser came back from the issuer `{}`, not from `{name}`: its answer is not used",
                clipped(iss)
            ));
        }
        None if issuer.sends_iss => {
            return fault(format!(
                "the browser came back without the `iss` that the issuer `{name}` says it sends: \
                 its answer is not used"
            ));
        }
        _ => {}
    }
    if let Some(code) = response.code {
        return Ok(code);
    }
    let error = response.error.unwrap_or_default();
    let description = response.error_description.unwrap_or_default();
    if names_resource(&error, &description) && !endpoint.is_without_resource {
        return Err(NoCode::OfResource);
    }
    let told = Redactor::new([state]).clean(reason(&error, &description));
    fault(format!("the issuer `{name}` grants no access{told}"))
}

/// `: error description`, as far as there are any.
fn reason(error: &str, description: &str) -> String {
    match clipped(&format!("{error} {description}")) {
        told if told.is_empty() => told,
        told => format!(": {told}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(sends_iss: bool) -> TokenEndpoint {
        TokenEndpoint::new(&discover::Discovered {
            resource: "https://mcp".to_string(),
            scopes: Vec::new(),
            issuer: Issuer {
                name: "https://as".to_string(),
                sends_iss,
                ..Issuer::default()
            },
        })
    }

    #[test]
    fn an_answer_of_another_issuer_is_not_used() {
        let check = |iss: Option<&str>, sends_iss: bool, expected: Result<&str, &str>| {
            let response = BrowserResponse {
                code: Some("c".to_string()),
                iss: iss.map(str::to_string),
                ..BrowserResponse::default()
            };
            let judged = judge(response, &endpoint(sends_iss), "st");
            match (judged, expected) {
                (Ok(code), Ok(expected)) => assert_eq!(code, expected),
                (Err(NoCode::Fault(Fault::Final { message })), Err(part)) => {
                    assert!(message.contains(part), "{message}");
                }
                _ => panic!("{iss:?} {sends_iss}"),
            }
        };
        check(None, false, Ok("c"));
        check(Some("https://as"), false, Ok("c"));
        check(Some("https://as"), true, Ok("c"));
        check(Some("https://as/"), true, Err("not used"));
        check(
            Some("https://evil"),
            false,
            Err("`https://evil`, not from `https://as`"),
        );
        check(Some("https://as/x"), true, Err("not used"));
        check(None, true, Err("without the `iss`"));
    }

    #[test]
    fn who_gives_no_reason_is_quoted_with_none() {
        assert_eq!(reason("", ""), "");
        assert_eq!(reason("access_denied", ""), ": access_denied");
        assert_eq!(reason("a", "b c"), ": a b c");
    }

    #[test]
    fn scopes_are_the_users_or_else_the_servers() {
        let issuer = |scopes: &[&str]| Issuer {
            scopes: scopes.iter().map(|scope| scope.to_string()).collect(),
            ..Issuer::default()
        };
        let of_server = ["mcp:tools".to_string()];
        let mut wish = OAuthWish::default();
        let asked = |wish: &OAuthWish, of_issuer: &[&str]| {
            scopes(wish, &of_server, &issuer(of_issuer)).join(" ")
        };
        assert_eq!(asked(&wish, &[]), "mcp:tools");
        assert_eq!(
            asked(&wish, &["offline_access"]),
            "mcp:tools offline_access"
        );
        wish.scopes = vec!["offline_access".to_string(), "a".to_string()];
        assert_eq!(asked(&wish, &["offline_access"]), "offline_access a");
    }
}
