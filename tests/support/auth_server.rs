//! An MCP server that wants tokens, and the authorization server that gives them, at one
//! address: `/mcp` and the issuer `/as`.
//!
//! It is strict where the specifications are: a code is good once, with the right
//! verifier; a refresh token is good once, and whoever brings it again loses the login;
//! each request for a token names the resource. What it refused stands in
//! [`Authority::faults`]. It shares no code with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::raw_http::RawClient;

/// What is peculiar to a server.
#[derive(Clone)]
pub(crate) struct Manners {
    /// `expires_in` of its tokens, in seconds; the server takes them [`LEEWAY`] longer.
    pub(crate) lifetime: Value,
    /// After so many calls no token is good that there was so far.
    pub(crate) revokes_after: Option<u32>,
    /// Tokens have no scopes but this, whatever is asked for.
    pub(crate) scope: Option<&'static str>,
    /// Scopes without which a call is refused with 403.
    pub(crate) call_scopes: &'static str,
    /// `resource` is answered with 400, as Entra does.
    pub(crate) refuses_resource: bool,
    /// So many token requests are answered with 429 first.
    pub(crate) n_busy: u32,
    /// The `Retry-After` of these answers, in seconds; empty: there is no answer at all.
    pub(crate) busy_secs: &'static str,
    /// Assertions have to name the token endpoint as their audience.
    pub(crate) wants_endpoint_as_audience: bool,
    /// Changes of the issuer's metadata.
    pub(crate) metadata: Value,
    /// Changes of the server's own metadata.
    pub(crate) resource_metadata: Value,
    /// The `iss` of its answers to browsers, in place of its own.
    pub(crate) iss: Option<&'static str>,
    /// Neither it nor its issuer has metadata: 2025-03-26.
    pub(crate) has_no_metadata: bool,
    /// It is behind TLS, and so are the addresses that it names.
    pub(crate) is_behind_tls: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            lifetime: json!(3600),
            revokes_after: None,
            scope: None,
            call_scopes: "",
            refuses_resource: false,
            n_busy: 0,
            busy_secs: "1",
            wants_endpoint_as_audience: false,
            metadata: json!({}),
            resource_metadata: json!({}),
            iss: None,
            has_no_metadata: false,
            is_behind_tls: false,
        }
    }
}

/// Clocks differ, and this host may be busy.
const LEEWAY: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    n_made: u32,
    n_calls: u32,
    /// Calls that were refused for their token.
    n_refused: u64,
    /// Tokens that are good, with their scopes, and until when.
    tokens: BTreeMap<String, (String, Option<Instant>)>,
    /// Codes with their challenge.
    codes: BTreeMap<String, String>,
    refresh_tokens: BTreeSet<String>,
    spent: BTreeSet<String>,
    faults: Vec<String>,
    grants: Vec<String>,
    n_busy: u32,
}

impl State {
    fn make(&mut self, kind: &str) -> String {
        self.n_made += 1;
        format!("{kind}-secret-{}", self.n_made)
    }
}

/// Who gives tokens and knows them, at whatever address it is asked.
pub(crate) struct Authority {
    manners: Manners,
    state: Mutex<State>,
}

impl Authority {
    pub(crate) fn new(manners: Manners) -> Self {
        let state = Mutex::default();
        Self { manners, state }
    }

    /// The answer of the issuer, or of a server that wants another token; `None` where
    /// the MCP server answers.
    pub(crate) fn answer(&self, request: &Request, connection: &mut Connection) -> Option<Next> {
        answer(&self.manners, &mut lock(&self.state), request, connection)
    }

    /// What it refused, and why.
    pub(crate) fn faults(&self) -> Vec<String> {
        lock(&self.state).faults.clone()
    }

    /// The grants that it gave tokens for, in order: `refresh_token` and so on.
    pub(crate) fn grants(&self) -> Vec<String> {
        lock(&self.state).grants.clone()
    }

    /// How many calls it refused for their token.
    pub(crate) fn n_refused(&self) -> u64 {
        lock(&self.state).n_refused
    }

    /// Puts a refresh token into the world that is good.
    pub(crate) fn give_refresh_token(&self, token: &str) {
        lock(&self.state).refresh_tokens.insert(token.to_string());
    }

    /// Puts a token into the world that is good.
    pub(crate) fn give_token(&self, token: &str) {
        let always = (String::new(), None);
        lock(&self.state).tokens.insert(token.to_string(), always);
    }
}

/// The running servers.
pub(crate) struct AuthServer {
    pub(crate) server: FakeServer,
    authority: Arc<Authority>,
}

impl Deref for AuthServer {
    type Target = Authority;

    fn deref(&self) -> &Authority {
        &self.authority
    }
}

impl AuthServer {
    pub(crate) fn start(manners: Manners) -> Self {
        let authority = Arc::new(Authority::new(manners));
        let asked = Arc::clone(&authority);
        let server = FakeServer::start(move |request, connection| {
            let answered = asked.answer(request, connection);
            answered.unwrap_or_else(|| legacy(request, connection))
        });
        Self { server, authority }
    }

    /// The endpoint.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        self.url().trim_end_matches("/mcp").to_string()
    }

    /// The name of the issuer.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/as", self.origin())
    }

    /// Does what a user's browser does with the address that a login prints, and gives
    /// the page that it ends at.
    pub(crate) fn browse(&self, address: &str) -> String {
        let host = self.origin().replace("http://", "");
        let target = address.strip_prefix(&self.origin()).expect("the issuer's");
        let mut issuer = RawClient::connect(host.parse().expect("an address"));
        let answer = issuer.send("GET", target, &[], b"");
        let location = answer.header("location").expect("a redirect").to_string();
        let rest = location.strip_prefix("http://localhost:");
        let (port, path) = rest
            .and_then(|rest| rest.split_once('/'))
            .expect("loopback");
        let port = port.parse().expect("a port");
        let mut client = RawClient::connect((std::net::Ipv4Addr::LOCALHOST, port).into());
        client.send("GET", &format!("/{path}"), &[], b"").body
    }
}

fn answer(
    manners: &Manners,
    state: &mut State,
    request: &Request,
    connection: &mut Connection,
) -> Option<Next> {
    let scheme = if manners.is_behind_tls {
        "https"
    } else {
        "http"
    };
    let host = request.header("host").unwrap_or_default();
    let origin = format!("{scheme}://{host}");
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let path = match manners.has_no_metadata {
        true => path.replacen("/", "/as/", 1).replace("/as/mcp", "/mcp"),
        false => path.to_string(),
    };
    let issuer = match manners.has_no_metadata {
        true => origin.clone(),
        false => format!("{origin}/as"),
    };
    let not_found = |connection: &mut Connection| Some(connection.answer(404, &[], "not here"));
    match path.as_str() {
        "/mcp" => guard(manners, state, request, connection, &origin),
        "/.well-known/oauth-protected-resource/mcp" => {
            let document = json!({
                "resource": format!("{origin}/mcp"),
                "authorization_servers": [issuer],
                "scopes_supported": ["mcp:tools"],
            });
            Some(connection.json(&changed(document, &manners.resource_metadata)))
        }
        "/.well-known/oauth-authorization-server/as" => {
            let document = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "registration_endpoint": format!("{issuer}/register"),
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": true,
            });
            Some(connection.json(&changed(document, &manners.metadata)))
        }
        "/as/register" => {
            let wanted = request.message();
            let is_native = wanted["application_type"] == "native";
            if !is_native || wanted["token_endpoint_auth_method"] != "none" {
                state.faults.push(format!("registration of {wanted}"));
            }
            Some(connection.json(&json!({"client_id": "registered-1"})))
        }
        "/as/authorize" => {
            let fields = form(query);
            let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
            let back = field("redirect_uri");
            let state_field = field("state");
            let is_right = field("code_challenge_method") == "S256" && state_field.len() > 20;
            if !is_right || (!manners.refuses_resource && field("resource").is_empty()) {
                state.faults.push(format!("authorization of {query}"));
            }
            let iss = manners.iss.unwrap_or(&issuer);
            let location = match manners.refuses_resource && !field("resource").is_empty() {
                true => format!("{back}?error=invalid_target&state={state_field}&iss={iss}"),
                false => {
                    let code = state.make("code");
                    state.codes.insert(code.clone(), field("code_challenge"));
                    format!("{back}?code={code}&state={state_field}&iss={iss}")
                }
            };
            Some(connection.answer(302, &[("Location", &location)], ""))
        }
        "/as/token" => Some(token(manners, state, request, connection, &issuer)),
        _ => not_found(connection),
    }
}

/// A call with a token that is good is the MCP server's.
fn guard(
    manners: &Manners,
    state: &mut State,
    request: &Request,
    connection: &mut Connection,
    origin: &str,
) -> Option<Next> {
    if request.method() == "tools/call" {
        state.n_calls += 1;
        if manners.revokes_after == Some(state.n_calls) {
            state.tokens.clear();
        }
    }
    let sent = request.header("authorization").unwrap_or_default();
    let token = state
        .tokens
        .get(sent.strip_prefix("Bearer ").unwrap_or_default());
    let is_good = |end: &Option<Instant>| end.is_none_or(|end| Instant::now() < end);
    let scopes = token
        .filter(|(_, end)| is_good(end))
        .map(|(scopes, _)| scopes);
    let metadata = format!("{origin}/.well-known/oauth-protected-resource/mcp");
    let Some(scopes) = scopes else {
        state.n_refused += u64::from(request.method() == "tools/call");
        let challenge = match manners.has_no_metadata {
            true => "Bearer".to_string(),
            false => format!("Bearer resource_metadata=\"{metadata}\", scope=\"mcp:tools\""),
        };
        let body = format!("unknown token in `{sent}`");
        return Some(connection.answer(401, &[("WWW-Authenticate", &challenge)], &body));
    };
    let has_all = manners.call_scopes.split(' ').all(|it| scopes.contains(it));
    if request.method() == "tools/call" && !has_all {
        let wanted = manners.call_scopes;
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{wanted}\"");
        return Some(connection.answer(403, &[("WWW-Authenticate", &challenge)], ""));
    }
    None
}

fn token(
    manners: &Manners,
    state: &mut State,
    request: &Request,
    connection: &mut Connection,
    issuer: &str,
) -> Next {
    let fields = form(&request.body);
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    if state.n_busy < manners.n_busy {
        state.n_busy += 1;
        return match manners.busy_secs {
            "" => connection.hang(),
            secs => connection.answer(429, &[("Retry-After", secs)], ""),
        };
    }
    let refuse = |state: &mut State, connection: &mut Connection, error: &str| {
        state
            .faults
            .push(format!("{error}: {}", field("grant_type")));
        // As servers do, it quotes what it was sent.
        let body = json!({"error": error, "error_description": request.body});
        connection.answer(400, &[], &body.to_string())
    };
    match (manners.refuses_resource, field("resource").is_empty()) {
        (true, false) => return refuse(state, connection, "invalid_target"),
        (false, true) => return refuse(state, connection, "no resource"),
        _ => {}
    }
    let grant = field("grant_type");
    match grant.as_str() {
        "authorization_code" => {
            let digest =
                ring::digest::digest(&ring::digest::SHA256, field("code_verifier").as_bytes());
            let challenge = URL_SAFE_NO_PAD.encode(digest);
            if state.codes.remove(&field("code")) != Some(challenge) {
                return refuse(state, connection, "invalid_grant");
            }
        }
        "refresh_token" => {
            let brought = field("refresh_token");
            if state.spent.contains(&brought) {
                // A thief or a race: nobody can tell.
                state.refresh_tokens.clear();
                state.tokens.clear();
            }
            if !state.refresh_tokens.remove(&brought) {
                return refuse(state, connection, "invalid_grant");
            }
            state.spent.insert(brought);
        }
        "client_credentials" => {
            if let Err(why) = check_client(manners, request, &fields, issuer) {
                state.faults.push(why);
                return refuse(state, connection, "invalid_client");
            }
        }
        _ => return refuse(state, connection, "unsupported_grant_type"),
    }
    let access_token = state.make("access");
    let scope = manners.scope.map_or_else(|| field("scope"), str::to_string);
    let lifetime = manners.lifetime.as_u64().map(Duration::from_secs);
    let end = lifetime.map(|lifetime| Instant::now() + lifetime + LEEWAY);
    state.tokens.insert(access_token.clone(), (scope, end));
    let mut answer = json!({
        "access_token": access_token, "token_type": "bearer", "expires_in": manners.lifetime,
    });
    if grant != "client_credentials" {
        let refresh_token = state.make("refresh");
        state.refresh_tokens.insert(refresh_token.clone());
        answer["refresh_token"] = json!(refresh_token);
    }
    state.grants.push(grant);
    connection.json(&answer)
}

/// Where cargo-pmcp keeps logins, below the working folder of one without a home.
pub(crate) const STORE: &str = ".pmcp/oauth-cache.json";

/// A store in which a login is kept, as cargo-pmcp writes it, with a field of its future.
/// `origin` is the server's scheme, host and port; its issuer is at `/as` of these.
pub(crate) fn store_text(origin: &str, expires_at: u64) -> String {
    let issuer = format!("{origin}/as");
    let record = json!({
        "access_token": "access-secret-0", "refresh_token": "refresh-secret-0",
        "expires_at": expires_at, "client_id": "client-0", "of_tomorrow": 1,
    });
    let content = json!({
        "schema_version": 2,
        "credentials": {&issuer: {origin: {"": record}}},
        "issuers": {origin: issuer},
    });
    format!("{content:#}\n")
}

/// The secret of the client `ci`: it needs encoding.
pub(crate) const CLIENT_SECRET: &str = "s3cret:with%/ü";

/// Who a client says it is: by its secret, or by an assertion, whose claims are read; the
/// signature is tested in `src/auth/oauth/client.rs`.
fn check_client(
    manners: &Manners,
    request: &Request,
    fields: &BTreeMap<String, String>,
    issuer: &str,
) -> Result<(), String> {
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    if let Some(basic) = request
        .header("authorization")
        .and_then(|it| it.strip_prefix("Basic "))
    {
        let pair = STANDARD.decode(basic).map_err(|_| "no base64")?;
        let pair = String::from_utf8(pair).map_err(|_| "no UTF-8")?;
        let (id, secret) = pair.split_once(':').ok_or("no colon")?;
        let is_right = decoded(id) == "ci" && decoded(secret) == CLIENT_SECRET;
        return is_right.then_some(()).ok_or_else(|| format!("client {id}"));
    }
    let assertion = field("client_assertion");
    let (signed, _) = assertion
        .rsplit_once('.')
        .ok_or("neither secret nor assertion")?;
    let claims = signed
        .split_once('.')
        .map(|(_, claims)| URL_SAFE_NO_PAD.decode(claims));
    let claims = claims.and_then(Result::ok).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).map_err(|_| "no claims")?;
    let audience = match manners.wants_endpoint_as_audience {
        true => format!("{issuer}/token"),
        false => issuer.to_string(),
    };
    let is_right = claims["iss"] == "ci" && claims["sub"] == "ci" && claims["aud"] == audience;
    let is_fresh = claims["exp"].as_u64() > claims["iat"].as_u64() && claims["nbf"].is_null();
    match is_right && is_fresh && claims["jti"].is_string() {
        true => Ok(()),
        false => Err(format!("claims {claims}")),
    }
}

/// The document with the fields of `changes` in place of its own; `null` takes one out.
fn changed(mut document: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
    document
}

fn form(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits =
                    [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or(b'0')));
                u8::from_str_radix(&String::from_iter(digits), 16).expect("an escape")
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
