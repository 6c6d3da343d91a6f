//! Tokens of a run: those of a login, refreshed and written back, or those that a client
//! gets for itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::challenge;
use super::client::{ClientIdentity, OAuthClient};
use super::discover::{self, Discovered};
use super::endpoint::{NoGrant, TokenEndpoint};
use super::grant::{Grant, clipped};
use super::store::{Record, Store};
use super::wire::{Wire, finally};
use crate::auth::reading::end_of_jwt;
use crate::auth::{Fault, Source, Token, Why};
use crate::clock::{self, Utc};
use crate::redact::Secret;

/// A token that ends within this time is renewed before it is used, in seconds; as
/// cargo-pmcp does it.
const RENEWED_WITHIN_SECS: u64 = 60;

/// How long the store may be locked while a token is refreshed: less than the age at
/// which others break the lock.
const UNDER_LOCK_MAX: Duration = Duration::from_secs(20);

/// The longest value of others in a command that a message names, in bytes.
const VALUE_BYTES_MAX: usize = 300;

pub(super) const CLIENT_ID: &str = "--oauth-client-id";

/// How often more scopes are asked for because the server wants more.
const STEP_UPS_MAX: u32 = 3;

/// Where the tokens of a run come from, by OAuth.
pub struct OAuthSource {
    wire: Wire,
    way: TokenWay,
    /// What is known of the issuer, once it was asked.
    endpoint: Option<TokenEndpoint>,
}

/// How a token is got.
pub(super) enum TokenWay {
    /// It was a user's login that is kept.
    Login {
        held: Box<Held>,
        /// `None`: it is kept in memory alone.
        store: Option<Store>,
    },
    /// A client gets it for itself (RFC 6749 §4.4).
    Client {
        client: OAuthClient,
        issuer: Option<String>,
        /// Those of the user; none: what the server wants.
        scopes: Vec<String>,
        n_step_ups: u32,
        expires_at: Option<u64>,
    },
}

/// A login, and to what.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) server: String,
    pub(super) issuer: String,
    pub(super) record: Record,
}

impl Held {
    /// Whether it has to be renewed before it is used.
    pub(super) fn ends_soon(&self, now: u64) -> bool {
        let expires_at = self.record.expires_at;
        expires_at.is_some_and(|at| at <= now.saturating_add(RENEWED_WITHIN_SECS))
    }

    pub(super) fn has_ended(&self, now: u64) -> bool {
        self.record.expires_at.is_some_and(|at| at <= now)
    }

    /// `for `http://a` (issuer `https://b`) ends at 2026-…`
    pub(super) fn until(&self) -> String {
        let Self { server, issuer, .. } = self;
        format!(
            "for `{server}` (issuer `{issuer}`) {}",
            until(self.record.expires_at)
        )
    }

    fn token(&self) -> Token {
        Token {
            value: Secret::new(&self.record.access_token),
            // One that cannot be refreshed is used for as long as it is taken.
            expires_at: time_of(self.record.expires_at)
                .filter(|_| self.record.refresh_token.is_some())
                .or_else(|| end_of_jwt(&self.record.access_token, clock::system_now())),
        }
    }
}

/// `ends at 2026-…`, `tells no end`
fn until(expires_at: Option<u64>) -> String {
    match expires_at {
        Some(at) => {
            let at = Utc::from_unix_ms(at.saturating_mul(1000)).rfc3339();
            format!("ends at {}Z", at.split('.').next().unwrap_or_default())
        }
        None => "tells no end".to_string(),
    }
}

pub(super) fn time_of(unix_secs: Option<u64>) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(unix_secs?))
}

impl TokenWay {
    pub(super) fn of_login(held: Held, store: Option<Store>) -> Self {
        let held = Box::new(held);
        Self::Login { held, store }
    }

    pub(super) fn of_client(
        id: String,
        identity: ClientIdentity,
        issuer: Option<String>,
        scopes: Vec<String>,
    ) -> Self {
        Self::Client {
            client: OAuthClient { id, identity },
            issuer,
            scopes,
            n_step_ups: 0,
            expires_at: None,
        }
    }
}

impl Source for OAuthSource {
    fn fetch(&mut self, why: Why, deadline: Instant) -> Result<Token, Fault> {
        match &mut self.way {
            TokenWay::Login { held, store } => of_login(
                &self.wire,
                &mut self.endpoint,
                held,
                store.as_ref(),
                &why,
                deadline,
            ),
            TokenWay::Client { .. } => self.of_client(&why, deadline),
        }
    }

    fn may_be_left_alone(&self) -> bool {
        // A refresh token may be good for one time: what it brought is written down.
        matches!(self.way, TokenWay::Client { .. })
    }

    fn about(&self) -> String {
        match &self.way {
            TokenWay::Login { held, .. } => {
                let renewal = match (&held.record.refresh_token, held.record.expires_at) {
                    (Some(_), Some(_)) => ", refreshed before",
                    (Some(_), None) => " and is refreshed once it is refused",
                    (None, _) => " and cannot be refreshed",
                };
                let Held { server, issuer, .. } = &**held;
                let until = until(held.record.expires_at);
                format!("of the login for `{server}` (issuer `{issuer}`), which {until}{renewal}")
            }
            TokenWay::Client {
                client, expires_at, ..
            } => {
                let issuer = self.endpoint.as_ref().map(|endpoint| &endpoint.issuer.name);
                let issuer = issuer.map_or(String::new(), |name| format!(" (issuer `{name}`)"));
                let id = &client.id;
                format!("of the client `{id}`{issuer}, which {}", until(*expires_at))
            }
        }
    }
}

impl OAuthSource {
    pub(super) fn new(wire: Wire, way: TokenWay) -> Self {
        Self {
            wire,
            way,
            endpoint: None,
        }
    }

    fn of_client(&mut self, why: &Why, deadline: Instant) -> Result<Token, Fault> {
        let TokenWay::Client {
            client,
            issuer,
            scopes,
            n_step_ups,
            expires_at,
        } = &mut self.way
        else {
            return Err(finally("there is no client"));
        };
        let is_first = self.endpoint.is_none();
        let endpoint = &mut self.endpoint;
        let found = known(&self.wire, endpoint, issuer.as_deref(), deadline)?;
        if let Some(found) = found.filter(|_| is_first && scopes.is_empty()) {
            scopes.clone_from(&found.scopes);
        }
        if let Why::Refused {
            status: 403,
            challenge,
        } = why
        {
            let wanted = challenge
                .as_deref()
                .map(challenge::read)
                .unwrap_or_default()
                .scopes;
            let more = wanted.iter().filter(|scope| !scopes.contains(*scope));
            let more: Vec<String> = more.cloned().collect();
            if more.is_empty() || *n_step_ups >= STEP_UPS_MAX {
                return Err(forbidden(&wanted));
            }
            *n_step_ups += 1;
            scopes.extend(more);
        }
        let scope = scopes.join(" ");
        let mut fields = vec![("grant_type", "client_credentials")];
        fields.extend(Some(("scope", scope.as_str())).filter(|_| !scope.is_empty()));
        let endpoint = asked(endpoint)?;
        let grant = endpoint.ask(&self.wire, client, &fields, deadline);
        let grant = grant.map_err(|none| none.into_fault("client credentials", endpoint))?;
        *expires_at = grant.expires_at.or(grant.ended_at);
        Ok(Token {
            value: Secret::new(&grant.access_token),
            expires_at: time_of(*expires_at),
        })
    }
}

/// Finds the endpoint where it is not known; what was found if it was now.
fn known(
    wire: &Wire,
    endpoint: &mut Option<TokenEndpoint>,
    issuer: Option<&str>,
    deadline: Instant,
) -> Result<Option<Discovered>, Fault> {
    if endpoint.is_some() {
        return Ok(None);
    }
    let found = discover::discover(wire, issuer, deadline)?;
    *endpoint = Some(TokenEndpoint::new(&found));
    Ok(Some(found))
}

fn asked(endpoint: &mut Option<TokenEndpoint>) -> Result<&mut TokenEndpoint, Fault> {
    endpoint
        .as_mut()
        .ok_or_else(|| finally("no issuer was asked"))
}

fn forbidden(wanted: &[String]) -> Fault {
    match wanted.is_empty() {
        true => {
            finally("the server forbids it to this token (403), and names no scope that would do")
        }
        false => finally(format!(
            "the server forbids it to this token (403): it wants the scopes `{}`",
            clipped(&wanted.join(" "))
        )),
    }
}

/// The command that makes a login, with these options, where they have values. A command is
/// copied into a shell: values that others chose stand in it where a shell takes them as
/// they are, and `…` else.
pub(super) fn login_command(options: &[(&str, Option<&str>)]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-/,".contains(&byte);
    let mut command = "cargo pmcp loadtest login URL".to_string();
    for (flag, value) in options {
        if let Some(value) = value {
            let is_plain = value.len() <= VALUE_BYTES_MAX && value.bytes().all(is_plain);
            let value = if is_plain { value } else { "…" };
            command += &format!(" {flag} {value}");
        }
    }
    command
}

/// The hint of most faults of a login.
fn log_in_again(why: &str, record: &Record) -> Fault {
    let command = login_command(&[(CLIENT_ID, record.own_client())]);
    finally(format!("{why}: log in again with `{command}`"))
}

/// What to do about a server that wants other scopes than a login has. A refresh never
/// widens a grant (RFC 6749 §6): the user has to agree, to what there was as well.
fn wider(record: &Record, wanted: &[String]) -> Fault {
    let held = &record.scopes;
    if wanted.is_empty() {
        return forbidden(wanted);
    }
    let more: Vec<_> = wanted.iter().filter(|it| !held.contains(*it)).collect();
    let shown = clipped(&wanted.join(" "));
    if more.is_empty() {
        return finally(format!(
            "the server forbids it to this token (403), though the login has the scopes that it \
             wants: `{shown}`"
        ));
    }
    let all: Vec<&str> = held.iter().chain(more).map(String::as_str).collect();
    let all = all.join(",");
    let command = login_command(&[
        (CLIENT_ID, record.own_client()),
        ("--oauth-scopes", Some(&all)),
    ]);
    finally(format!(
        "the server wants the scopes `{shown}` (403): log in again with `{command}`"
    ))
}

/// The token of a login: the one that is kept, or a newer one. Under the store's lock it
/// is read again, so that of several processes one refreshes and the others take what it
/// wrote: a refresh token is good for one time where the issuer rotates them.
fn of_login(
    wire: &Wire,
    endpoint: &mut Option<TokenEndpoint>,
    held: &mut Held,
    store: Option<&Store>,
    why: &Why,
    deadline: Instant,
) -> Result<Token, Fault> {
    let now = || Utc::now().unix_ms() / 1000;
    match why {
        Why::First if !held.ends_soon(now()) => return Ok(held.token()),
        Why::Refused {
            status: 403,
            challenge,
        } => {
            let wanted = challenge
                .as_deref()
                .map(challenge::read)
                .unwrap_or_default()
                .scopes;
            return Err(wider(&held.record, &wanted));
        }
        _ => {}
    }
    let refused = held.record.access_token.clone();
    if held.record.refresh_token.is_none() {
        let newer = store.and_then(|store| newer(store, held, &refused, now()));
        return match newer {
            Some(record) => {
                held.record = record;
                Ok(held.token())
            }
            None => {
                let why = format!("the token {} and cannot be refreshed", held.until());
                Err(log_in_again(&why, &held.record))
            }
        };
    }
    // Before the lock is taken, which others may wait for.
    let found = known(wire, endpoint, Some(&held.issuer), deadline);
    found.map_err(|fault| match fault {
        // The server may have gone over to another issuer: its tokens are of no use.
        Fault::Final { message } => log_in_again(&message, &held.record),
        fault => fault,
    })?;
    let lock = match store {
        Some(store) => Some(store.lock(deadline).map_err(|message| Fault::Again {
            message,
            after: None,
        })?),
        None => None,
    };
    let deadline = deadline.min(clock::now() + UNDER_LOCK_MAX);
    if let Some(record) = store.and_then(|store| newer(store, held, &refused, now())) {
        held.record = record;
        return Ok(held.token());
    }
    let endpoint = asked(endpoint)?;
    let grant = match refresh(wire, endpoint, &held.record, deadline) {
        Ok(grant) => grant,
        Err(none) => {
            // Who refreshes without the lock may have been first.
            if let Some(record) = store.and_then(|store| newer(store, held, &refused, now())) {
                held.record = record;
                return Ok(held.token());
            }
            let is_spent = matches!(&none, NoGrant::Refused(it, _) if it.error == "invalid_grant");
            return Err(
                match none.into_fault("the refresh of the kept login", endpoint) {
                    Fault::Final { message } if is_spent => log_in_again(&message, &held.record),
                    fault => fault,
                },
            );
        }
    };
    let ended_at = time_of(grant.ended_at);
    held.record = held.record.renewed(grant);
    if let (Some(store), Some(lock)) = (store, &lock) {
        let kept = store.keep(lock, &held.server, &held.issuer, &held.record);
        // The one that is there may be spent now: the next process would be lost.
        kept.map_err(|why| finally(format!("the new token cannot be kept: {why}")))?;
    }
    let token = held.token();
    Ok(Token {
        expires_at: token.expires_at.or(ended_at),
        ..token
    })
}

/// What another process made of this login meanwhile: another token than the one that is
/// refused or ends, and not about to end.
fn newer(store: &Store, held: &mut Held, refused: &str, now: u64) -> Option<Record> {
    let (_, record) = store.find(&held.server, Some(&held.issuer)).ok()??;
    let candidate = Held {
        record,
        ..held.clone()
    };
    let is_newer = candidate.record.access_token != refused && !candidate.ends_soon(now);
    if !is_newer && candidate.record.refresh_token.is_some() {
        // It may have been refreshed and have ended since: the old refresh token is spent.
        held.record.refresh_token = candidate.record.refresh_token.clone();
    }
    is_newer.then_some(candidate.record)
}

fn refresh(
    wire: &Wire,
    endpoint: &mut TokenEndpoint,
    record: &Record,
    deadline: Instant,
) -> Result<Grant, NoGrant> {
    let secret = record.client_secret.clone();
    let client = OAuthClient {
        id: record.client_id.clone(),
        identity: secret.map_or(ClientIdentity::Public, |it| {
            ClientIdentity::Secret(Secret::new(&it))
        }),
    };
    let refresh_token = record.refresh_token.as_deref().unwrap_or_default();
    // No scope: those that were granted stay.
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
    ];
    endpoint.ask(wire, &client, &fields, deadline)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_made_again_for_the_client_that_the_user_has() {
        let command = |id: &str, kind: Option<&str>| {
            let record = Record {
                client_id: id.to_string(),
                application_type: kind.map(str::to_string),
                ..Record::default()
            };
            log_in_again("it is over", &record).message().to_string()
        };
        assert!(command("mine", None).ends_with("login URL --oauth-client-id mine`"));
        assert!(command("$(x)", None).ends_with("login URL --oauth-client-id …`"));
        // One that a login registered is registered anew.
        assert!(command("dyn1", Some("native")).ends_with("login URL`"));
    }

    #[test]
    fn a_login_with_more_scopes_keeps_those_that_it_has() {
        let check = |held: &str, wanted: &str, expected: &str| {
            let words = |text: &str| -> Vec<String> {
                text.split_whitespace().map(str::to_string).collect()
            };
            let record = Record {
                scopes: words(held),
                client_id: "mine".to_string(),
                application_type: Some("native".to_string()),
                ..Record::default()
            };
            let fault = wider(&record, &words(wanted));
            assert!(fault.message().contains(expected), "{}", fault.message());
        };
        check(
            "a b",
            "c",
            "`cargo pmcp loadtest login URL --oauth-scopes a,b,c`",
        );
        check("a b", "b c", "wants the scopes `b c` (403)");
        check("a b", "b c", "--oauth-scopes a,b,c`");
        check("", "c", "--oauth-scopes c`");
        check("a", "a", "though the login has the scopes");
        check("a", "", "names no scope that would do");
        // Nothing for a shell to run.
        check("a", "$(reboot)", "login URL --oauth-scopes …`");
        check("a", "b'", "login URL --oauth-scopes …`");
        check("a", &"b".repeat(400), "login URL --oauth-scopes …`");
    }
}
