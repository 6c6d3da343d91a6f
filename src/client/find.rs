//! Finds out once, before a run, how a server is to be spoken to.
//!
//! Modern is tried first and must be proved; what does not prove it is tried
//! as legacy (`protocol::judge_probe` and `protocol::judge_refusal` hold the
//! rules). Every fault that makes a run pointless is an error here, with its
//! cause and what to try. All goes over one connection, one request at a time,
//! and that is closed before the users of the run open theirs: some servers
//! serve one at a time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error_head::RetryAfter;
use super::lists::{ListProgress, Listed, Lists, excluded_tools, list};
use super::server::{Server, ServerSettings};
use super::session::{Probed, Session};
use crate::address;
use crate::error::UserError;
use crate::http::{
    CHECK_CERTIFICATE, CHECK_PATH, CHECK_PORT, CHECK_PROXY, Endpoint, GIVE_CERTIFICATE,
    NotFollowed, RAISE_FILES, START_SERVER, Trouble, no_connection, split_hint,
};
use crate::metrics::{
    ConnectFailure, ConnectionFailure, Failure, ProtocolFailure, SessionFailure, TimeoutPhase,
    TokenError,
};
use crate::outcome::StreamOffer;
use crate::protocol::{
    Capabilities, ClientInfo, Dialect, Era, METHOD_NOT_FOUND, Method, ProbeVerdict,
    PromptDescription, ProtocolChoice, Refusal, ResourceDescription, ResourceTemplateDescription,
    Revision, ServerIdentity, ToolCatalog, ToolDescription, judge_probe, judge_refusal,
    judge_second_probe,
};
use crate::scheduler::{Wake, sleep_until};
use crate::units::{format_bytes, format_count, format_duration};

/// How often `server/discover` is sent at most: −32022 may name another
/// revision, a redirect another path, and a server in trouble gets a moment.
const DISCOVERS_MAX: usize = 5;

/// How often `initialize` is sent at most: in four revisions, after a redirect,
/// and to a server in trouble.
const INITIALIZES_MAX: usize = 8;

/// How often a server in trouble (503 and the like) is asked the same.
const TROUBLES_MAX: u32 = 3;

/// The pause before a server in trouble is asked again.
const TROUBLE_WAIT: Duration = Duration::from_millis(500);

/// The longest wait before that which a server may ask for, where that is respected.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);

/// A longer one is told as longer than this.
const RETRY_AFTER_TOLD: Duration = Duration::from_secs(365 * 86_400);

/// A legacy server may never answer a method that it does not know: where
/// `initialize` comes next, `server/discover` gets no more than this.
const DISCOVER_WAIT: Duration = Duration::from_secs(10);

/// All requests together take at most this many timeouts, and
/// [`DISCOVER_WAIT`].
const TIMEOUTS_MAX: u32 = 2;

/// A server that offers a stream to listen on begins one within this.
const STREAM_WAIT: Duration = Duration::from_secs(2);

/// The session that asked is ended within this.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// No handshake has so much: what sends it is no slow server.
const FLOOD_BYTES: u64 = 1 << 20;

/// What was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// How the server is spoken to.
    pub server: Server,
    /// Who it says that it is.
    pub identity: Option<ServerIdentity>,
    /// What it says that it offers.
    pub capabilities: Capabilities,
    /// A legacy server that gives session ids.
    pub has_sessions: bool,
    /// What it lists, of what was asked for.
    pub lists: ServerLists,
    /// Whether it offers a stream to listen on; `None`: it was not asked.
    pub stream: Option<StreamOffer>,
    /// The server is at another path than the one that was given.
    pub was_redirected: bool,
    /// What the user should know.
    pub notices: Vec<String>,
}

/// What a server lists. `None`: it was not asked, or nothing could be read.
#[derive(Debug, Clone, Default)]
pub struct ServerLists {
    /// Its tools.
    pub tools: Option<Listing<ToolDescription>>,
    /// Its resources.
    pub resources: Option<Listing<ResourceDescription>>,
    /// Its families of resources.
    pub templates: Option<Listing<ResourceTemplateDescription>>,
    /// Its prompts.
    pub prompts: Option<Listing<PromptDescription>>,
}

/// One of a server's lists.
#[derive(Debug, Clone)]
pub struct Listing<T> {
    /// The entries, in the server's order.
    pub items: Vec<T>,
    /// There is nothing else: the list was read to its end, and each entry could be.
    pub is_whole: bool,
}

/// Which of its lists a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WantedLists {
    /// Tools.
    pub tools: bool,
    /// Resources and their templates.
    pub resources: bool,
    /// Prompts.
    pub prompts: bool,
    /// No list: whether it offers a stream to listen on, where it gave a session id.
    pub stream: bool,
}

impl Found {
    fn add_tools(&mut self, listed: Listed<ToolDescription>) {
        if let Some(trouble) = listed.nothing_read() {
            let notice = no_tools(&self.server, trouble);
            self.notices.push(notice);
            return;
        }
        if self.server.dialect().era() == Era::Modern
            && let Some(notice) = excluded_tools(&listed.items)
        {
            let notice = self.server.settings().redactor.clean(notice);
            self.notices.push(notice);
        }
        self.lists.tools = self.listing(listed);
    }

    /// What was read of a list; what there is to say of it is a notice.
    fn listing<T>(&mut self, listed: Listed<T>) -> Option<Listing<T>> {
        let redactor = &self.server.settings().redactor;
        let notices = listed.notices().into_iter();
        let notices: Vec<String> = notices.map(|notice| redactor.clean(notice)).collect();
        self.notices.extend(notices);
        match listed.nothing_read() {
            Some(_) => None,
            None => Some(Listing {
                is_whole: !listed.is_cut() && listed.n_unreadable == 0,
                items: listed.items,
            }),
        }
    }

    /// The tools' rules for headers.
    pub fn catalog(&self) -> ToolCatalog {
        let mut catalog = ToolCatalog::empty();
        if let Some(tools) = &self.lists.tools {
            catalog.add(&tools.items);
        }
        catalog
    }
}

/// Finds out how to speak to the server, and what it lists: a modern client must know
/// the tools before it calls any. `progress` shows how far that is. Runs inside a task.
/// All connections are closed when it returns.
///
/// # Errors
/// When no session could be opened: the cause, and what to try.
pub fn find(
    endpoint: Endpoint,
    choice: ProtocolChoice,
    settings: Arc<ServerSettings>,
    wanted: WantedLists,
    progress: ListProgress,
) -> Result<Found, UserError> {
    let (mut found, mut session) = find_and_open(endpoint, choice, settings)?;
    let mut lists = Lists::new(progress);
    if wanted.tools {
        found.add_tools(list(&mut session, &mut lists));
    }
    if wanted.resources {
        let resources = list(&mut session, &mut lists);
        found.lists.resources = found.listing(resources);
        let templates = list(&mut session, &mut lists);
        found.lists.templates = match templates.nothing_read().is_some_and(is_unknown_method) {
            // It has none.
            true => Some(Listing {
                items: Vec::new(),
                is_whole: true,
            }),
            false => found.listing(templates),
        };
    }
    if wanted.prompts {
        let prompts = list(&mut session, &mut lists);
        found.lists.prompts = found.listing(prompts);
    }
    // Last, since the stream takes the connection with it: a server that serves one at a
    // time is asked like any other.
    if wanted.stream && found.has_sessions {
        let wait = STREAM_WAIT.min(session.server().settings().timeout);
        found.stream = Some(session.ask_for_stream(crate::clock::now() + wait));
    }
    session.close(CLOSE_WAIT);
    Ok(found)
}

/// As [`find`], and leaves the session open, to ask more.
///
/// # Errors
/// As [`find`].
pub fn find_and_open(
    endpoint: Endpoint,
    choice: ProtocolChoice,
    settings: Arc<ServerSettings>,
) -> Result<(Found, Session), UserError> {
    let revision = match choice {
        ProtocolChoice::Auto | ProtocolChoice::Era(Era::Modern) => Revision::LATEST_MODERN,
        ProtocolChoice::Era(Era::Legacy) => Revision::LATEST_LEGACY,
        ProtocolChoice::Revision(revision) => revision,
    };
    let timeout = settings.timeout;
    let server = Server::new(endpoint, dialect(revision), settings)?;
    let longest = timeout
        .saturating_mul(TIMEOUTS_MAX)
        .saturating_add(DISCOVER_WAIT);
    let now = crate::clock::now();
    let mut finder = Finder {
        session: Session::new(&server, Rc::default()),
        choice,
        limit: now.checked_add(longest).unwrap_or(now + DISCOVER_WAIT),
        notices: Vec::new(),
        redirected_from: None,
    };
    let found = match revision.era() {
        Era::Modern => finder.modern()?,
        Era::Legacy => finder.legacy().map_err(|refused| refused.error)?,
    };
    Ok((found, finder.session))
}

/// What it means that a server opens a session, but does not list its tools.
/// Whether the server does not have the method that it was asked for: it offers
/// nothing of that kind, and that is fine.
pub fn is_unknown_method(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Failed {
            failure: Failure::Rpc(METHOD_NOT_FOUND)
                | Failure::Http {
                    rpc_code: Some(METHOD_NOT_FOUND),
                    ..
                },
            ..
        }
    )
}

fn no_tools(server: &Server, trouble: &Trouble) -> String {
    let why = trouble.message();
    format!(
        "the server opens a session but does not list its tools ({}): calls may fail as well",
        server.settings().redactor.cleaned_message(why)
    )
}

fn dialect(revision: Revision) -> Dialect {
    let client = ClientInfo::new("pmcp-loadtest", env!("CARGO_PKG_VERSION"));
    Dialect::new(revision, client)
}

struct Finder {
    /// One for all, and so one connection.
    session: Session,
    choice: ProtocolChoice,
    /// When all must be over.
    limit: Instant,
    notices: Vec<String>,
    /// Where a redirect led away from.
    redirected_from: Option<Endpoint>,
}

/// What the server refused to begin with.
struct Refused {
    error: UserError,
    /// It says more than the refusal of the other request would.
    is_telling: bool,
}

impl Finder {
    /// Probes with `server/discover`; falls back to legacy if that is allowed.
    fn modern(&mut self) -> Result<Found, UserError> {
        let may_be_legacy = self.choice == ProtocolChoice::Auto;
        let mut n_troubles = 0;
        for _ in 0..DISCOVERS_MAX {
            let Probed {
                exchanged,
                body,
                id,
            } = self.discover();
            match self.redirect(exchanged.location.as_deref()) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) if may_be_legacy => return self.as_legacy(Some(untelling(error))),
                Err(error) => return Err(error),
            }
            let Some(status) = exchanged.status else {
                let trouble = exchanged.result.err().unwrap_or(Trouble::Cancelled);
                // A legacy server may hang or hang up on a method unknown to it.
                if may_be_legacy && is_odd_silence(&trouble) {
                    return self.as_legacy(None);
                }
                return Err(self.failed(&trouble));
            };
            if let Err(trouble) = &exchanged.result
                && self.is_of_gateway(trouble)
            {
                // Whatever is asked next, it says the same.
                return Err(self.failed(trouble));
            }
            let verdict = match judge_probe(status, &body, id) {
                ProbeVerdict::Unsure => self.probe_again(),
                verdict => verdict,
            };
            let refusal = match verdict {
                ProbeVerdict::Modern {
                    revision,
                    discovery,
                } => {
                    self.speak(revision);
                    let (identity, capabilities) = discovery.map_or_else(
                        || (None, Capabilities::default()),
                        |discovery| (discovery.server, discovery.capabilities),
                    );
                    return Ok(self.found(identity, capabilities));
                }
                ProbeVerdict::TryRevision(revision) => {
                    if revision.era() == Era::Legacy {
                        return self.as_legacy(None);
                    }
                    self.speak(revision);
                    continue;
                }
                ProbeVerdict::NoCommonRevision(theirs) => return Err(no_common(&theirs)),
                ProbeVerdict::ModernRefused(error) => {
                    return Err(UserError::could_not_run(format!(
                        "the server refused `server/discover`: error {error}"
                    )));
                }
                ProbeVerdict::Legacy | ProbeVerdict::Unsure if may_be_legacy => None,
                ProbeVerdict::Legacy | ProbeVerdict::Unsure => {
                    if let Err(trouble) = &exchanged.result
                        && is_wrong_id(trouble)
                    {
                        return Err(self.failed(trouble));
                    }
                    return Err(UserError::could_not_run(
                        "the server does not speak a modern revision (2026-07-28)",
                    )
                    .hint("leave `--protocol` out to find the era, or give `--protocol legacy`"));
                }
                ProbeVerdict::NotAllowed => exchanged.result.err().map(|trouble| Refused {
                    error: self.failed(&trouble),
                    is_telling: speaks_of_token(&trouble),
                }),
                ProbeVerdict::Unavailable => {
                    n_troubles += 1;
                    if n_troubles < TROUBLES_MAX {
                        self.wait_for_better()?;
                        continue;
                    }
                    let trouble = exchanged.result.err();
                    trouble.map(|trouble| untelling(self.failed(&trouble)))
                }
                ProbeVerdict::NotMcp(what) => Some(untelling(self.not_mcp(status, &what))),
            };
            if may_be_legacy {
                return self.as_legacy(refusal);
            }
            if let Some(refused) = refusal {
                return Err(refused.error);
            }
        }
        Err(self.failed(&Trouble::failed(
            Failure::Session(SessionFailure::CouldNotInitialize),
            "the server keeps asking for another revision or path",
        )))
    }

    fn discover(&mut self) -> Probed {
        let server = self.session.server().clone();
        let timeout = server.settings().timeout;
        let longest = match self.choice {
            ProtocolChoice::Auto => timeout.min(DISCOVER_WAIT),
            _ => timeout,
        };
        let discover = server.prepared(server.dialect().discover(), None);
        let deadline = self.deadline(longest);
        self.session.probe(&discover, deadline)
    }

    /// A modern `tools/list`, where `server/discover` proved nothing.
    fn probe_again(&mut self) -> ProbeVerdict {
        let server = self.session.server().clone();
        let Some(list) = server.dialect().list(Method::ListTools, None) else {
            return ProbeVerdict::Legacy;
        };
        let list = server.prepared(list, Some(Method::ListTools));
        let deadline = self.deadline(server.settings().timeout);
        let second = self.session.probe(&list, deadline);
        let asked = server.dialect().revision();
        let status = second.exchanged.status.unwrap_or(0);
        judge_second_probe(status, &second.body, second.id, asked)
    }

    /// `because` is what `server/discover` was answered with, where that alone
    /// would be an error: it is one if `initialize` fares no better, or if it says more.
    fn as_legacy(&mut self, because: Option<Refused>) -> Result<Found, UserError> {
        self.speak(Revision::LATEST_LEGACY);
        let first = match self.legacy() {
            Ok(found) => return Ok(found),
            Err(refused) => refused,
        };
        // Perhaps `server/discover` alone was redirected.
        let from = self.redirected_from.clone();
        if let Some(from) = from.filter(|_| !first.is_telling) {
            let server = self.session.server().at(from);
            self.session.speak_as(&server);
            self.speak(Revision::LATEST_LEGACY);
            if let Ok(found) = self.legacy() {
                self.notices.clear();
                return Ok(Found {
                    was_redirected: false,
                    notices: Vec::new(),
                    ..found
                });
            }
        }
        Err(match because {
            Some(because) if because.is_telling || !first.is_telling => because.error,
            _ => first.error,
        })
    }

    /// Opens a legacy session, in a revision that both sides speak.
    fn legacy(&mut self) -> Result<Found, Refused> {
        let is_forced = matches!(self.choice, ProtocolChoice::Revision(_));
        let mut offered: Vec<Revision> = Vec::new();
        let mut first_trouble = None;
        let mut n_troubles = 0;
        for _ in 0..INITIALIZES_MAX {
            let asked = self.session.server().dialect().revision();
            if !offered.contains(&asked) {
                offered.push(asked);
            }
            let deadline = self.deadline(self.session.server().settings().timeout);
            let opening = self.session.open_to_find(deadline);
            match self.redirect(opening.location.as_deref()) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => return Err(telling(error)),
            }
            let trouble = match (opening.report.result, opening.welcome) {
                (Ok(()), welcome) => {
                    let (identity, capabilities) = welcome.map_or_else(
                        || (None, Capabilities::default()),
                        |welcome| (welcome.server, welcome.capabilities),
                    );
                    return Ok(self.found(identity, capabilities));
                }
                (Err(trouble), Some(_)) => {
                    self.session.close(CLOSE_WAIT);
                    if opening.report.session_gone {
                        return Err(telling(self.lost_at_once(&trouble)));
                    }
                    if !is_unavailable(&trouble) {
                        return Err(self.refused(&trouble, &offered));
                    }
                    trouble
                }
                (Err(trouble), None) => trouble,
            };
            let refusal = match opening.status {
                _ if is_unavailable(&trouble) => Refusal::Unavailable,
                // Of no revision: a gateway says it of the connection.
                _ if self.is_of_gateway(&trouble) => Refusal::Final,
                Some(status) => judge_refusal(status, &opening.body, &offered),
                None => Refusal::Final,
            };
            // What the server says to the latest says most.
            let told = first_trouble.get_or_insert(trouble);
            match refusal {
                Refusal::Offer(revision) if !is_forced => self.speak(revision),
                Refusal::Offer(revision) => {
                    let error = self.refused(told, &offered).error;
                    return Err(telling(error.hint(format!(
                        "try `--protocol {revision}`, or leave `--protocol` out"
                    ))));
                }
                Refusal::NoCommonRevision(theirs) => return Err(telling(no_common(&theirs))),
                Refusal::OnlyModern(revision) => {
                    return Err(telling(
                        UserError::could_not_run(format!(
                            "the server refused `initialize`: it speaks only {revision}, \
                             which has no sessions"
                        ))
                        .hint("give `--protocol modern`"),
                    ));
                }
                Refusal::Unavailable if n_troubles + 1 < TROUBLES_MAX => {
                    n_troubles += 1;
                    self.wait_for_better().map_err(telling)?;
                }
                Refusal::Unavailable | Refusal::Final => {
                    let told = told.clone();
                    return Err(self.refused(&told, &offered));
                }
            }
        }
        let trouble = first_trouble.unwrap_or(Trouble::Cancelled);
        Err(self.refused(&trouble, &offered))
    }

    /// Whether a gateway says what it misses in the connection.
    fn is_of_gateway(&self, trouble: &Trouble) -> bool {
        let is_https = self.session.server().endpoint().is_https();
        of_gateway(trouble.message(), is_https).is_some()
    }

    /// The session was lost between `initialize` and the next message.
    fn lost_at_once(&self, trouble: &Trouble) -> UserError {
        let cookies = match self.session.server().settings().cookies {
            true => "",
            false => {
                "; if the balancer keeps a client at its instance by a cookie, give `--cookies`"
            }
        };
        UserError::could_not_run(format!(
            "{} does not know the session that it has just given: {}",
            self.session.server().endpoint().url(),
            self.clean(trouble.message())
        ))
        .hint(format!(
            "there may be several instances behind a balancer that do not share their sessions: \
             test one of them, or let the balancer send a session to one instance{cookies}"
        ))
    }

    fn refused(&self, trouble: &Trouble, offered: &[Revision]) -> Refused {
        let mut error = self.failed(trouble);
        if offered.len() > 1 {
            let offered: Vec<&str> = offered.iter().map(|revision| revision.as_str()).collect();
            error = error.hint(format!(
                "offered were the revisions {}, each refused",
                offered.join(", ")
            ));
        }
        let is_telling = match trouble {
            Trouble::Cancelled => true,
            Trouble::Failed { failure, .. } => match failure {
                denial if denial.is_denial() => true,
                Failure::Http { rpc_code, .. } => rpc_code.is_some() || offered.len() > 1,
                Failure::Protocol(ProtocolFailure::BadResult)
                | Failure::Rpc(_)
                | Failure::RpcWithoutCode
                | Failure::Session(_) => true,
                _ => false,
            },
        };
        Refused { error, is_telling }
    }

    /// Goes on in another revision.
    fn speak(&mut self, revision: Revision) {
        let server = self.session.server().in_dialect(dialect(revision));
        self.session.speak_as(&server);
    }

    /// The end of a request that may take so long.
    fn deadline(&self, longest: Duration) -> Instant {
        (crate::clock::now() + longest).min(self.limit)
    }

    /// Waits before a server in trouble is asked again: as long as it asks for, where
    /// the user wants that and it is within bounds. That time is not the server's.
    fn wait_for_better(&mut self) -> Result<(), UserError> {
        let asked = self.session.take_retry_after();
        let is_respected = self.session.server().settings().respect_retry_after;
        let mut wait = TROUBLE_WAIT;
        if let Some(RetryAfter {
            wait: Some(asked),
            sent,
        }) = asked.filter(|_| is_respected)
        {
            let told = match asked > RETRY_AFTER_TOLD {
                true => "more than a year".to_string(),
                false => format_duration(asked),
            };
            if asked > RETRY_AFTER_MAX {
                let most = format_duration(RETRY_AFTER_MAX);
                let sent = self.clean(&sent.unwrap_or_default());
                return Err(UserError::could_not_run(format!(
                    "the server takes no requests now and asks to wait {told} (`Retry-After: \
                     {sent}`); a handshake waits {most} at most"
                ))
                .hint("begin later"));
            }
            wait = wait.max(asked);
            self.limit += wait;
            self.notices.push(format!(
                "the handshake waited {told}, as the server asked (`Retry-After`)"
            ));
        }
        match sleep_until(crate::clock::now() + wait) {
            Wake::Cancelled => Err(interrupted()),
            Wake::Ready | Wake::Deadline => Ok(()),
        }
    }

    /// The session is open, and speaks as the server wants it.
    fn found(&mut self, identity: Option<ServerIdentity>, capabilities: Capabilities) -> Found {
        Found {
            server: self.session.server().clone(),
            identity,
            capabilities,
            has_sessions: self.session.has_id(),
            lists: ServerLists::default(),
            stream: None,
            was_redirected: self.redirected_from.is_some(),
            notices: std::mem::take(&mut self.notices),
        }
    }

    /// Follows a redirect once, within the host.
    fn redirect(&mut self, location: Option<&str>) -> Result<bool, UserError> {
        let Some(location) = location else {
            return Ok(false);
        };
        let server = self.session.server();
        let from = server.endpoint().url();
        let target = server.endpoint().redirected(location);
        match target {
            Ok(endpoint) if self.redirected_from.is_none() => {
                self.redirected_from = Some(server.endpoint().clone());
                self.notices.push(format!(
                    "{from} redirects to {}: that is used from now on",
                    endpoint.url()
                ));
                let server = server.at(endpoint);
                self.session.speak_as(&server);
                Ok(true)
            }
            Ok(_) => Err(UserError::could_not_run(format!(
                "{from} redirects again and again"
            ))),
            Err(NotFollowed::TooLong) => Err(UserError::could_not_run(format!(
                "{from} redirects to an address that is longer than {} bytes",
                format_count(address::BYTES_MAX as u64)
            ))
            .hint("mend the redirect at the server, or give the URL that it should lead to")),
            Err(NotFollowed::Elsewhere) => Err(UserError::could_not_run(format!(
                "{from} redirects to another host or scheme, which is not followed since \
                 credentials would travel along"
            ))
            .hint("give the URL that it redirects to, if you trust it")),
        }
    }

    fn not_mcp(&self, status: u16, what: &str) -> UserError {
        let url = self.session.server().endpoint().url();
        let what = self.clean(what);
        let error = UserError::could_not_run(format!(
            "{url} does not answer as an MCP server: status {status}, {what}"
        ))
        .hint(CHECK_PATH);
        match self.session.server().endpoint().is_https() {
            true => error,
            false => self.beside_proxy(error),
        }
    }

    fn clean(&self, text: &str) -> String {
        self.session
            .server()
            .settings()
            .redactor
            .cleaned_message(text)
            .into_owned()
    }

    /// The error for a handshake that failed for good.
    fn failed(&self, trouble: &Trouble) -> UserError {
        let Trouble::Failed { failure, message } = trouble else {
            return interrupted();
        };
        let message = self.clean(message);
        let (message, hint) = split_hint(&message);
        let mut error = self.error_of(failure, message, hint.is_some());
        if let Some(hint) = hint {
            error = error.hint(hint);
        }
        match may_be_of_proxy(failure, self.session.server().endpoint().is_https()) {
            true => self.beside_proxy(error),
            false => error,
        }
    }

    /// An error that may be the fault of a proxy that is between.
    fn beside_proxy(&self, error: UserError) -> UserError {
        match self.session.server().endpoint().proxy() {
            Some(proxy) => error.hint(format!(
                "requests go through the proxy {}: `--no-proxy '*'` goes past it",
                proxy.address()
            )),
            None => error,
        }
    }

    /// The error for a handshake that failed with that, without the hint that the message
    /// had, if it had one.
    fn error_of(&self, failure: &Failure, message: &str, has_hint: bool) -> UserError {
        let server = self.session.server();
        let (url, is_https) = (server.endpoint().url(), server.endpoint().is_https());
        let no_session =
            || UserError::could_not_run(format!("no MCP session with {url}: {message}"));
        match failure {
            Failure::Connect(failure) => {
                let text = no_connection(*failure, &url, message);
                let error = UserError::could_not_run(text);
                match failure {
                    ConnectFailure::Refused => error
                        .hint(START_SERVER)
                        .hint("to see a report without a server, run with `--demo`"),
                    ConnectFailure::NoResources => error.hint(RAISE_FILES),
                    ConnectFailure::Proxy => error
                        .hint(proxy_hint(message))
                        .hint("to go without a proxy, give `--no-proxy '*'`"),
                    _ => error,
                }
            }
            denial if denial.is_denial() => {
                let mut headers = server.settings().headers.iter();
                let has_credentials =
                    headers.any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
                let offers_oauth = self.session.offers_oauth();
                let error = not_allowed(*denial, message);
                match server.settings().has_oauth_token {
                    true => told_of_oauth_token(error, *denial),
                    false => told_of_tokens(error, *denial, has_credentials, offers_oauth),
                }
            }
            Failure::Http {
                status: 429 | 503, ..
            } if !server.settings().respect_retry_after && self.session.asks_for_a_wait() => {
                no_session().hint("`--respect-retry-after` waits as long as the server asks to")
            }
            Failure::Http {
                rpc_code: Some(METHOD_NOT_FOUND),
                ..
            } => no_session().hint(
                "the server knows no `initialize`: give `--protocol modern` if it has no sessions",
            ),
            Failure::Http {
                status: 404,
                rpc_code: None,
            } => UserError::could_not_run(format!("{url} does not exist: {message}"))
                .hint(CHECK_PATH),
            Failure::Http { status: 400, .. } => match of_gateway(message, is_https) {
                Some(hint) => no_session().hint(hint),
                None => no_session(),
            },
            Failure::Timeout(phase) => {
                let error = UserError::could_not_run(format!("{url}: {message}"));
                let (_, n_bytes) = self.session.traffic();
                match *phase == TimeoutPhase::Reading || n_bytes >= FLOOD_BYTES {
                    true => error.hint(format!(
                        "the server sends, and its answer has no end ({} came so far): look at \
                         what it sends, or give it more time with `--timeout`",
                        format_bytes(n_bytes)
                    )),
                    false => error.hint("give the server more time with `--timeout`"),
                }
            }
            Failure::Protocol(ProtocolFailure::BadHttp) => {
                let text = format!("{url} does not answer in HTTP/1.1: {message}");
                let error = UserError::could_not_run(text);
                match has_hint {
                    true => error,
                    false => error.hint(CHECK_PORT),
                }
            }
            Failure::Protocol(
                ProtocolFailure::NotJson | ProtocolFailure::ContentType | ProtocolFailure::NoResult,
            ) => UserError::could_not_run(format!(
                "{url} does not answer as an MCP server: {message}"
            ))
            .hint(CHECK_PATH),
            Failure::Connection(ConnectionFailure::LostNew) => {
                let error = no_session();
                match (is_https, server.endpoint().proxy()) {
                    (true, _) => error.hint(
                        "the TLS handshake went well: a gateway hangs up so where no server is \
                         behind it, or none of that name (`--server-name NAME`)",
                    ),
                    (false, None) => error
                        .hint("a server that speaks TLS at this port hangs up so: try `https://`"),
                    // Of which there is a hint of its own.
                    (false, Some(_)) => error,
                }
            }
            _ => no_session(),
        }
    }
}

/// What to try where the page of a server or a gateway says what it misses in the
/// connection itself, as nginx and Go say it with status 400. Other servers tell it in the
/// handshake of TLS.
fn of_gateway(message: &str, is_https: bool) -> Option<&'static str> {
    let says = |text: &str| message.starts_with("status 400") && message.contains(text);
    let is_plain = says("HTTPS port") || says("HTTPS server");
    match is_https {
        false if is_plain => {
            Some("the server speaks TLS at this port: give the URL with `https://`")
        }
        true if says("No required SSL certificate was sent") => Some(GIVE_CERTIFICATE),
        true if says("The SSL certificate error") => Some(CHECK_CERTIFICATE),
        _ => None,
    }
}

/// Whether a proxy that is between may be to blame: one that sees the requests
/// themselves for all that no server has said, one that sees TLS for connections alone.
fn may_be_of_proxy(failure: &Failure, is_https: bool) -> bool {
    match failure {
        // Told as such.
        Failure::Connect(ConnectFailure::Proxy) => false,
        Failure::Connect(_) | Failure::Connection(_) | Failure::Timeout(_) => true,
        Failure::Protocol(_) | Failure::Http { rpc_code: None, .. } => !is_https,
        _ => false,
    }
}

/// `message` says with what status, and why where the server does.
fn not_allowed(denial: Failure, message: &str) -> UserError {
    let error = UserError::could_not_run(format!("the server does not let us in: {message}"));
    match denial {
        Failure::Denied {
            error: TokenError::InsufficientScope,
            ..
        } => error.hint(
            "the token is good but does not allow this: get one with that scope (by OAuth: \
             `--oauth-scopes`)",
        ),
        _ => error,
    }
}

/// The token came by OAuth a moment ago, so that another way to get one is no help.
fn told_of_oauth_token(error: UserError, denial: Failure) -> UserError {
    match denial {
        Failure::Denied {
            error: TokenError::InsufficientScope,
            ..
        } => error,
        _ => error.hint(
            "the token that the issuer gave is not taken: its client may lack rights at this \
             server, or the server expects another issuer (`--oauth-issuer`), other scopes \
             (`--oauth-scopes`) or another audience; the server's log may say which",
        ),
    }
}

/// `offers_oauth`: the server says where tokens come from.
fn told_of_tokens(
    error: UserError,
    denial: Failure,
    has_credentials: bool,
    offers_oauth: bool,
) -> UserError {
    let error = match denial {
        Failure::Denied {
            error: TokenError::InvalidToken,
            ..
        } => error.hint("the token has expired, or is another server's: get a new one"),
        Failure::Denied {
            error: TokenError::InsufficientScope,
            ..
        } => error,
        _ if has_credentials => error.hint(
            "the credentials that were sent are not taken: they may be another server's, or have \
             ended",
        ),
        _ => error.hint(
            "give a token with `--api-key` or `MCP_API_KEY`, or a header with `-H 'Name: value'`",
        ),
    };
    let ways = "log in with `cargo pmcp loadtest login URL`, or let a client get its own, as for \
                CI, with `--oauth-client-id ID` and `--oauth-client-secret SECRET` (or \
                `--oauth-private-key FILE`)";
    match offers_oauth {
        true => error.hint(format!("the server takes tokens by OAuth: {ways}")),
        false if !has_credentials => error.hint(format!("if its tokens come by OAuth: {ways}")),
        false => error,
    }
}

fn interrupted() -> UserError {
    UserError::new(
        crate::error::ErrorKind::Interrupted,
        "interrupted before the load began",
    )
}

fn telling(error: UserError) -> Refused {
    Refused {
        error,
        is_telling: true,
    }
}

fn untelling(error: UserError) -> Refused {
    Refused {
        error,
        is_telling: false,
    }
}

/// Whether the server took the request for one of its own, but for its token.
fn speaks_of_token(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Failed {
            failure: Failure::Denied { .. },
            ..
        }
    )
}

fn no_common(theirs: &[String]) -> UserError {
    UserError::could_not_run(format!(
        "the server speaks only revisions that this program does not: {}",
        theirs.join(", ")
    ))
    .hint(format!(
        "spoken are {}, {}",
        Revision::list_of(Era::Legacy),
        Revision::list_of(Era::Modern)
    ))
}

/// What to try after a proxy that says this.
fn proxy_hint(message: &str) -> &'static str {
    let says = |text: &str| message.contains(text);
    if says("status 407") {
        return "the proxy wants a name and a password that it knows: \
                `--proxy http://name:password@host:port`, where `%40` stands for `@` and `%3A` \
                for `:` in a name";
    }
    if says("cannot be reached") || says("does not answer in HTTP") {
        return CHECK_PROXY;
    }
    "the proxy decides which hosts and ports it leads to: ask who runs it, or name the server \
     in `--no-proxy`"
}

/// The answer was to another request.
fn is_wrong_id(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Failed {
            failure: Failure::Protocol(ProtocolFailure::WrongId),
            ..
        }
    )
}

/// It cannot answer now.
fn is_unavailable(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Failed {
            failure: Failure::Http {
                status: 408 | 429 | 502..=504,
                ..
            },
            ..
        }
    )
}

/// Neither refused nor answered.
fn is_odd_silence(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Failed {
            failure: Failure::Timeout(_)
                | Failure::Connection(_)
                | Failure::Protocol(ProtocolFailure::ClosedEarly | ProtocolFailure::BadHttp),
            ..
        }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_takes_tokens_by_oauth_leads_to_a_login() {
        let told = |error: Option<TokenError>, has_credentials, offers_oauth| {
            let status = 401;
            let denial = match error {
                Some(error) => Failure::Denied { status, error },
                None => Failure::Http {
                    status,
                    rpc_code: None,
                },
            };
            let error = not_allowed(denial, "status 401");
            told_of_tokens(error, denial, has_credentials, offers_oauth).to_string()
        };
        let expired = Some(TokenError::InvalidToken);
        for (error, has_credentials) in [(None, false), (None, true), (expired, true)] {
            let told = told(error, has_credentials, true);
            for part in ["loadtest login URL", "--oauth-client-id ID"] {
                assert!(told.contains(part), "{part}: {told}");
            }
        }
        // Who names no issuer may have one, or take keys alone.
        let unnamed = told(None, false, false);
        let at = |part| unnamed.find(part).expect("both ways");
        assert!(at("--api-key") < at("loadtest login URL"), "{unnamed}");
        assert!(!told(expired, true, false).contains("OAuth"));
        // Who has a token by OAuth knows how to get one.
        let denial = Failure::Denied {
            status: 401,
            error: TokenError::InvalidToken,
        };
        let of_oauth = told_of_oauth_token(not_allowed(denial, "status 401"), denial).to_string();
        assert!(of_oauth.contains("the issuer gave"), "{of_oauth}");
        assert!(!of_oauth.contains("--oauth-client-id"), "{of_oauth}");
    }

    #[test]
    fn pages_of_gateways_are_known_by_what_they_say_of_the_connection() {
        for (message, is_https, hint) in [
            (
                "status 400: 400 The plain HTTP request was sent to HTTPS port",
                false,
                "`https://`",
            ),
            (
                "status 400: 400 No required SSL certificate was sent",
                true,
                "--client-cert FILE",
            ),
            (
                "status 400: 400 The SSL certificate error",
                true,
                "an authority of the server's",
            ),
        ] {
            let found = of_gateway(message, is_https).expect(message);
            assert!(found.contains(hint), "{message}");
            assert_eq!(of_gateway(message, !is_https), None, "{message}");
        }
        assert_eq!(of_gateway("status 400: Unsupported revision", true), None);
    }

    #[test]
    fn a_refusal_by_a_proxy_says_what_to_change() {
        for (message, expected) in [
            (
                "the proxy p:1 refused the way to h:443: status 407",
                "name:password",
            ),
            (
                "the proxy p:1 cannot be reached: refused",
                "check the address",
            ),
            (
                "the proxy p:1 refused the way to h:443: status 403",
                "ask who runs it",
            ),
        ] {
            assert!(proxy_hint(message).contains(expected), "{message}");
        }
    }
}
