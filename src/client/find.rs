//! Finds out once, before a run, how a server is to be spoken to.
//!
//! Modern is tried first and must be proved; what does not prove it is tried
//! as legacy (`protocol::judge_probe` holds the rules). Every fault that makes
//! a run pointless is an error here, with its cause and what to try.

use std::sync::Arc;
use std::time::Duration;

use super::classify::Trouble;
use super::lane::Exchanged;
use super::lists::list_tools;
use super::server::{Server, ServerSettings};
use super::session::Session;
use crate::error::UserError;
use crate::http::Endpoint;
use crate::metrics::{ConnectFailure, Failure, ProtocolFailure, SessionFailure};
use crate::protocol::{
    Capabilities, ClientInfo, Dialect, Era, Method, ProbeVerdict, ProtocolChoice, Revision,
    ServerIdentity, ToolCatalog, ToolDescription, judge_probe, judge_second_probe,
};
use crate::scheduler::{Wake, sleep_until};

/// Probes of one server: −32022 may name another revision, a redirect another
/// path, and a server in trouble gets a moment.
const PROBES_MAX: usize = 4;

/// The pause before a server in trouble (503 and the like) is asked again.
const TROUBLE_WAIT: Duration = Duration::from_millis(500);

/// The session that asked is ended within this.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

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
    /// Its tools, if they were asked for and could be read.
    pub tools: Option<Vec<ToolDescription>>,
    /// The server is at another path than the one that was given.
    pub was_redirected: bool,
    /// What the user should know.
    pub notices: Vec<String>,
}

impl Found {
    /// The tools' rules for headers.
    pub fn catalog(&self) -> ToolCatalog {
        let mut catalog = ToolCatalog::empty();
        catalog.add(self.tools.as_deref().unwrap_or_default());
        catalog
    }
}

/// Finds out how to speak to the server. Runs inside a task. `with_tools`
/// also lists its tools, which a modern client must know before it calls any.
///
/// # Errors
/// When no session could be opened: the cause, and what to try.
pub fn find(
    endpoint: Endpoint,
    choice: ProtocolChoice,
    settings: Arc<ServerSettings>,
    with_tools: bool,
) -> Result<Found, UserError> {
    let revision = match choice {
        ProtocolChoice::Auto | ProtocolChoice::Era(Era::Modern) => Revision::LATEST_MODERN,
        ProtocolChoice::Era(Era::Legacy) => Revision::LATEST_LEGACY,
        ProtocolChoice::Revision(revision) => revision,
    };
    let server = Server::new(endpoint, dialect(revision), settings)?;
    let mut finder = Finder {
        server,
        notices: Vec::new(),
        redirected: false,
    };
    let mut found = match revision.era() {
        Era::Modern => finder.modern(choice == ProtocolChoice::Auto)?,
        Era::Legacy => finder.legacy()?,
    };
    if with_tools {
        let mut session = Session::new(&found.server);
        let opened = session.open().result;
        match opened.and_then(|()| list_tools(&mut session)) {
            Ok(tools) => found.tools = Some(tools),
            Err(trouble) => found.notices.push(format!(
                "the server opens a session but does not list its tools ({}): \
                 calls may fail as well",
                found
                    .server
                    .settings()
                    .redactor
                    .clean(trouble.message().to_string())
            )),
        }
        session.close(CLOSE_WAIT);
    }
    Ok(found)
}

fn dialect(revision: Revision) -> Dialect {
    let client = ClientInfo::new("pmcp-loadtest", env!("CARGO_PKG_VERSION"));
    Dialect::new(revision, client)
}

struct Finder {
    server: Server,
    notices: Vec<String>,
    redirected: bool,
}

impl Finder {
    /// Probes with `server/discover`; falls back to legacy if that is allowed.
    fn modern(&mut self, may_be_legacy: bool) -> Result<Found, UserError> {
        let mut last_trouble = None;
        for _ in 0..PROBES_MAX {
            let mut session = Session::new(&self.server);
            let deadline = crate::clock::now() + self.server.settings().timeout;
            let discover = self.server.prepared(self.server.dialect().discover(), None);
            let (exchanged, body) = session.probe(&discover, deadline);
            if self.follow(&exchanged)? {
                continue;
            }
            let Some(status) = exchanged.status else {
                let trouble = exchanged.result.err().unwrap_or(Trouble::Cancelled);
                // A legacy server may hang or hang up on a method unknown to it.
                if may_be_legacy && is_odd_silence(&trouble) {
                    return self.as_legacy();
                }
                return Err(self.failed(&trouble));
            };
            let verdict = match judge_probe(status, &body) {
                ProbeVerdict::Unsure => {
                    let list = self.server.dialect().list(Method::ListTools, None);
                    let Some(list) = list else {
                        return self.as_legacy();
                    };
                    let list = self.server.prepared(list, Some(Method::ListTools));
                    let deadline = crate::clock::now() + self.server.settings().timeout;
                    let (second, body) = session.probe(&list, deadline);
                    let asked = self.server.dialect().revision();
                    judge_second_probe(second.status.unwrap_or(0), &body, asked)
                }
                verdict => verdict,
            };
            match verdict {
                ProbeVerdict::Modern {
                    revision,
                    discovery,
                } => {
                    let server = self.server.in_dialect(dialect(revision));
                    let (identity, capabilities) = discovery.map_or_else(
                        || (None, Capabilities::default()),
                        |discovery| (discovery.server, discovery.capabilities),
                    );
                    return Ok(self.found(server, identity, capabilities, false));
                }
                ProbeVerdict::TryRevision(revision) => {
                    if revision.era() == Era::Legacy {
                        return self.as_legacy();
                    }
                    self.server = self.server.in_dialect(dialect(revision));
                }
                ProbeVerdict::NoCommonRevision(theirs) => {
                    return Err(UserError::could_not_run(format!(
                        "the server speaks only revisions that this program does not: {}",
                        theirs.join(", ")
                    )));
                }
                ProbeVerdict::ModernRefused(error) => {
                    return Err(UserError::could_not_run(format!(
                        "the server refused `server/discover`: error {}: {}",
                        error.code, error.message
                    )));
                }
                ProbeVerdict::Legacy | ProbeVerdict::Unsure if may_be_legacy => {
                    return self.as_legacy();
                }
                ProbeVerdict::Legacy | ProbeVerdict::Unsure => {
                    return Err(UserError::could_not_run(
                        "the server does not speak a modern revision (2026-07-28)",
                    )
                    .hint("leave `--protocol` out to find the era, or give `--protocol legacy`"));
                }
                ProbeVerdict::NotAllowed => return Err(not_allowed(status)),
                ProbeVerdict::Unavailable => {
                    last_trouble = exchanged.result.err();
                    if sleep_until(crate::clock::now() + TROUBLE_WAIT) == Wake::Cancelled {
                        return Err(interrupted());
                    }
                }
                ProbeVerdict::NotMcp(what) => {
                    // A page of HTML with an error status is how some legacy
                    // servers answer what they do not know.
                    if may_be_legacy && status >= 400 && status != 404 {
                        return self.as_legacy();
                    }
                    return Err(self.not_mcp(status, &what));
                }
            }
        }
        let trouble = last_trouble.unwrap_or_else(|| {
            Trouble::failed(
                Failure::Session(SessionFailure::CouldNotInitialize),
                "the server keeps asking for another revision or path",
            )
        });
        Err(self.failed(&trouble))
    }

    fn as_legacy(&mut self) -> Result<Found, UserError> {
        self.server = self.server.in_dialect(dialect(Revision::LATEST_LEGACY));
        self.legacy()
    }

    /// Opens a legacy session, in the revision that the server chooses.
    fn legacy(&mut self) -> Result<Found, UserError> {
        let mut last_trouble = Trouble::Cancelled;
        for _ in 0..PROBES_MAX {
            let mut session = Session::new(&self.server);
            let (welcome, report, location) = session.open_to_find();
            if self.redirect(location.as_deref())? {
                continue;
            }
            let asked = self.server.dialect().revision();
            if let Some(welcome) = welcome {
                if welcome.revision == asked && report.result.is_ok() {
                    let has_id = session.has_id();
                    session.close(CLOSE_WAIT);
                    let server = self.server.clone();
                    return Ok(self.found(server, welcome.server, welcome.capabilities, has_id));
                }
                if welcome.revision != asked {
                    self.server = self.server.in_dialect(dialect(welcome.revision));
                    // The session to end was opened in the server's revision.
                    session.speak_as(&self.server);
                    session.close(CLOSE_WAIT);
                    continue;
                }
                session.close(CLOSE_WAIT);
            }
            match report.result {
                Err(trouble) => last_trouble = trouble,
                Ok(()) => continue,
            }
            let unavailable = matches!(
                last_trouble,
                Trouble::Failed {
                    failure: Failure::Http {
                        status: 408 | 429 | 502..=504,
                        ..
                    },
                    ..
                }
            );
            if !unavailable {
                break;
            }
            if sleep_until(crate::clock::now() + TROUBLE_WAIT) == Wake::Cancelled {
                return Err(interrupted());
            }
        }
        Err(self.failed(&last_trouble))
    }

    fn found(
        &mut self,
        server: Server,
        identity: Option<ServerIdentity>,
        capabilities: Capabilities,
        has_sessions: bool,
    ) -> Found {
        Found {
            server,
            identity,
            capabilities,
            has_sessions,
            tools: None,
            was_redirected: self.redirected,
            notices: std::mem::take(&mut self.notices),
        }
    }

    fn follow(&mut self, exchanged: &Exchanged) -> Result<bool, UserError> {
        self.redirect(exchanged.location.as_deref())
    }

    /// Follows a redirect once, within the host.
    fn redirect(&mut self, location: Option<&str>) -> Result<bool, UserError> {
        let Some(location) = location else {
            return Ok(false);
        };
        let from = self.server.endpoint().url();
        let target = self.server.endpoint().redirected(location);
        match target {
            Some(endpoint) if !self.redirected => {
                self.redirected = true;
                self.notices.push(format!(
                    "{from} redirects to {}: that is used from now on",
                    endpoint.url()
                ));
                self.server = self.server.at(endpoint);
                Ok(true)
            }
            Some(_) => Err(UserError::could_not_run(format!(
                "{from} redirects again and again"
            ))),
            None => Err(UserError::could_not_run(format!(
                "{from} redirects to another host or scheme, which is not followed since \
                 credentials would travel along"
            ))
            .hint("give the URL that it redirects to, if you trust it")),
        }
    }

    fn not_mcp(&self, status: u16, what: &str) -> UserError {
        UserError::could_not_run(format!(
            "{} does not answer as an MCP server: status {status}, {}",
            self.server.endpoint().url(),
            self.clean(what)
        ))
        .hint("check the path: most servers answer at `/mcp`, some at `/`")
    }

    fn clean(&self, text: &str) -> String {
        self.server.settings().redactor.clean(text.to_string())
    }

    /// The error for a handshake that failed for good.
    fn failed(&self, trouble: &Trouble) -> UserError {
        let url = self.server.endpoint().url();
        let Trouble::Failed { failure, message } = trouble else {
            return interrupted();
        };
        let message = self.clean(message);
        match failure {
            Failure::Connect(ConnectFailure::Refused) => {
                UserError::could_not_run(format!("nobody listens at {url}: connection refused"))
                    .hint("start the server first, or check the port")
                    .hint("to see a report without a server, run with `--demo`")
            }
            Failure::Connect(ConnectFailure::Tls) => {
                UserError::could_not_run(format!("no TLS connection to {url}: {message}"))
                    .hint("check the scheme: `http://` for a server without TLS")
            }
            Failure::Connect(_) => {
                let error = UserError::could_not_run(format!("cannot connect to {url}: {message}"));
                // A server without TLS may wait for ever for the rest of a request.
                if url.starts_with("https:") {
                    error.hint("check the scheme: `http://` for a server without TLS")
                } else {
                    error
                }
            }
            Failure::Http {
                status: status @ (401 | 403),
                ..
            } => not_allowed(*status),
            Failure::Http { status: 404, .. } => {
                UserError::could_not_run(format!("{url} does not exist: {message}"))
                    .hint("check the path: most servers answer at `/mcp`, some at `/`")
            }
            Failure::Timeout(_) => UserError::could_not_run(format!("{url}: {message}"))
                .hint("give the server more time with `--timeout`"),
            Failure::Protocol(
                ProtocolFailure::NotJson
                | ProtocolFailure::ContentType
                | ProtocolFailure::NoResult
                | ProtocolFailure::BadHttp,
            ) => UserError::could_not_run(format!(
                "{url} does not answer as an MCP server: {message}"
            ))
            .hint("check the path: most servers answer at `/mcp`, some at `/`"),
            _ => UserError::could_not_run(format!("no MCP session with {url}: {message}")),
        }
    }
}

fn not_allowed(status: u16) -> UserError {
    UserError::could_not_run(format!(
        "the server does not let us in: status {status} to the handshake"
    ))
    .hint("give a token with `--api-key` or `MCP_API_KEY`, or a header with `-H 'Name: value'`")
}

fn interrupted() -> UserError {
    UserError::new(
        crate::error::ErrorKind::Interrupted,
        "interrupted before the load began",
    )
}

/// Neither refused nor answered.
fn is_odd_silence(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Failed {
            failure: Failure::Timeout(_) | Failure::Connection(_),
            ..
        }
    )
}
