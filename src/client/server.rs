//! What all sessions of a run share: where the server is and how it is spoken to.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::observed::KeptParts;
use crate::error::UserError;
use crate::http::{
    Endpoint, HeaderLines, HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, RequestHead,
};
use crate::network::Network;
use crate::protocol::{
    CallExtras, Dialect, Expect, KeptAnswers, Method, Operation, PrepareError, Prepared,
    RequestBody, ToolCatalog, Topic, header_value_of_json,
};
use crate::redact::Redactor;
use crate::template::Scope;

/// The header of legacy sessions, in the lower case of HTTP libraries.
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const ACCEPT: HeaderName = HeaderName::from_static("accept");
const CONTENT_TYPE: HeaderName = HeaderName::from_static("content-type");

/// How long requests may take and how large answers may be.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// From connecting to the last byte.
    pub timeout: Duration,
    /// The largest message accepted, in bytes.
    pub message_bytes_max: usize,
    /// Sent with every request: name and value.
    pub headers: Vec<(String, String)>,
    /// Whether a token among them came by OAuth.
    pub has_oauth_token: bool,
    /// Whether each user keeps the cookies that the server sets.
    pub cookies: bool,
    /// Whether the handshake waits as long as a busy server asks to.
    pub respect_retry_after: bool,
    /// How the server is reached.
    pub network: Arc<Network>,
    /// Takes secrets out of messages.
    pub redactor: Redactor,
}

/// A server as all sessions of a run see it. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    basis: Basis,
    dialect: Dialect,
    heads: Heads,
    /// `notifications/initialized`; of a modern server never sent.
    initialized: RenderedNotice,
    /// What a request without a message of ours adds to its head: a GET, a DELETE,
    /// and the POST that carries a response to a request of the server's.
    bare: HeaderLines,
}

/// What does not depend on the dialect.
#[derive(Debug, Clone)]
struct Basis {
    endpoint: Endpoint,
    settings: Arc<ServerSettings>,
    /// With every request.
    headers: HeaderMap,
    /// Headers of the settings that the protocol may have a value of its own for.
    mcp_headers: Vec<(HeaderName, HeaderValue)>,
}

/// What all requests of a method have in common.
#[derive(Debug)]
pub(super) struct Heads {
    pub(super) post: RequestHead,
    pub(super) get: RequestHead,
    pub(super) delete: RequestHead,
}

impl Heads {
    fn new(basis: &Basis) -> Self {
        let head = |method, more: &[(HeaderName, &'static str)]| {
            let mut headers = basis.headers.clone();
            for (name, value) in more {
                headers.insert(name, HeaderValue::from_static(value));
            }
            basis.endpoint.request_head(&method, &headers)
        };
        Self {
            post: head(
                HttpMethod::POST,
                &[
                    (ACCEPT, "application/json, text/event-stream"),
                    (CONTENT_TYPE, "application/json"),
                ],
            ),
            get: head(HttpMethod::GET, &[(ACCEPT, "text/event-stream")]),
            delete: head(HttpMethod::DELETE, &[]),
        }
    }
}

/// A notification: the headers that it adds, and its body.
#[derive(Debug)]
pub(super) struct RenderedNotice {
    pub(super) lines: HeaderLines,
    pub(super) body: Vec<u8>,
}

impl Server {
    /// A server that is spoken to in this dialect.
    ///
    /// # Errors
    /// When a header of the settings is not valid in HTTP.
    pub fn new(
        endpoint: Endpoint,
        dialect: Dialect,
        settings: Arc<ServerSettings>,
    ) -> Result<Self, UserError> {
        let mut headers = HeaderMap::new();
        let mut mcp_headers = Vec::new();
        let agent = concat!("pmcp-loadtest/", env!("CARGO_PKG_VERSION"));
        headers.insert("user-agent", HeaderValue::from_static(agent));
        for (name, value) in &settings.headers {
            let parsed = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.as_str()),
            );
            let (Ok(header), Ok(mut value)) = parsed else {
                return Err(UserError::usage(format!(
                    "the header `{name}` has a name or value that HTTP does not allow"
                )));
            };
            value.set_sensitive(true);
            if header.as_str().starts_with("mcp-") {
                mcp_headers.push((header, value));
            } else {
                headers.append(header, value);
            }
        }
        if !headers.contains_key("accept-encoding") {
            // What is measured is the server, not its compression; one who
            // wants that in asks for it with a header of their own.
            headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        }
        let basis = Basis {
            endpoint,
            settings,
            headers,
            mcp_headers,
        };
        Ok(Self::of(basis, dialect))
    }

    fn of(basis: Basis, dialect: Dialect) -> Self {
        let notice = dialect.initialized();
        Self(Arc::new(Inner {
            heads: Heads::new(&basis),
            initialized: RenderedNotice {
                lines: basis.lines(&dialect, &notice.headers),
                body: notice.body,
            },
            bare: basis.lines(&dialect, &dialect.bare_headers()),
            basis,
            dialect,
        }))
    }

    /// The same server, spoken to in another dialect.
    #[must_use]
    pub fn in_dialect(&self, dialect: Dialect) -> Self {
        Self::of(self.0.basis.clone(), dialect)
    }

    /// The same server at another path of the same host.
    #[must_use]
    pub fn at(&self, endpoint: Endpoint) -> Self {
        let basis = Basis {
            endpoint,
            ..self.0.basis.clone()
        };
        Self::of(basis, self.0.dialect.clone())
    }

    /// The same server with other settings.
    ///
    /// # Errors
    /// As of [`Server::new`].
    pub fn with_settings(&self, settings: Arc<ServerSettings>) -> Result<Self, UserError> {
        Self::new(self.endpoint().clone(), self.dialect().clone(), settings)
    }

    /// How it is spoken to.
    pub fn dialect(&self) -> &Dialect {
        &self.0.dialect
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.basis.endpoint
    }

    /// Settings of all requests.
    pub fn settings(&self) -> &ServerSettings {
        &self.0.basis.settings
    }

    /// Renders an operation once, to be called many times with values for the slots of
    /// the scope; each with extras of its own.
    ///
    /// # Errors
    /// When the operation does not exist in the dialect, or the tool's
    /// definition forbids to call it.
    pub fn prepare(
        &self,
        operation: &Operation,
        catalog: &ToolCatalog,
        scope: &mut Scope,
        extras: CallExtras,
    ) -> Result<PreparedCall, PrepareError> {
        let dialect = &self.0.dialect;
        let prepared = dialect.prepare_in(operation, catalog, scope, extras)?;
        let call = self.prepared(prepared, operation.kind());
        Ok(PreparedCall {
            keeps: KeptAnswers::None,
            ..call
        })
    }

    /// The request for a subscription to these; `None` where none can be asked for, or
    /// nothing is.
    pub fn subscription(&self, topics: &[Topic]) -> Option<PreparedCall> {
        let prepared = self.0.dialect.subscribe(topics)?;
        Some(self.prepared(prepared, None))
    }

    /// A request whose result is read: of the handshake, or for a list.
    pub(super) fn prepared(&self, prepared: Prepared, method: Option<Method>) -> PreparedCall {
        PreparedCall {
            lines: self.lines(prepared.headers()),
            prepared,
            method,
            keeps: KeptAnswers::All,
            kept: None,
        }
    }

    /// What all requests have in common.
    pub(super) fn heads(&self) -> &Heads {
        &self.0.heads
    }

    /// `notifications/initialized`.
    pub(super) fn initialized(&self) -> &RenderedNotice {
        &self.0.initialized
    }

    /// What a request without a message of ours adds to its head.
    pub(super) fn bare(&self) -> &HeaderLines {
        &self.0.bare
    }

    /// What a request with these MCP headers adds to its head.
    pub(super) fn lines(&self, headers: &[(String, String)]) -> HeaderLines {
        self.0.basis.lines(&self.0.dialect, headers)
    }
}

impl Basis {
    /// MCP's own headers, and those of the settings that do not contradict them.
    fn lines(&self, dialect: &Dialect, headers: &[(String, String)]) -> HeaderLines {
        let mut lines = HeaderLines::default();
        for (name, value) in &self.mcp_headers {
            let is_ours = headers.iter().any(|(ours, _)| *name == ours.as_str())
                || dialect.has_session() && *name == SESSION_ID;
            if !is_ours {
                lines.push(name, value);
            }
        }
        for (name, value) in headers {
            // The protocol module renders only valid ones; one that is not
            // would be refused by the server, which says more than we could.
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.as_str()),
            ) {
                lines.push(&name, &value);
            }
        }
        lines
    }
}

/// A request rendered once, with the headers that it adds.
#[derive(Debug, Clone)]
pub struct PreparedCall {
    prepared: Prepared,
    method: Option<Method>,
    lines: HeaderLines,
    /// Of which answers the text is kept.
    pub(super) keeps: KeptAnswers,
    kept: Option<KeptParts>,
}

impl PreparedCall {
    /// The same call, whose result's text is kept for who looks at it. That costs a copy.
    #[must_use]
    pub fn keeping_answer(self) -> Self {
        Self {
            keeps: KeptAnswers::All,
            ..self
        }
    }

    /// The same call, of which the text of an answer that failed is kept at least.
    #[must_use]
    pub fn keeping_failed(self) -> Self {
        let keeps = match self.keeps {
            KeptAnswers::None => KeptAnswers::Failed,
            more => more,
        };
        Self { keeps, ..self }
    }

    /// The same call, of whose answers this is kept besides.
    #[must_use]
    pub fn keeping(self, kept: Option<KeptParts>) -> Self {
        Self { kept, ..self }
    }

    /// What is kept of the answer beside what it says.
    pub fn kept(&self) -> Option<&KeptParts> {
        self.kept.as_ref()
    }

    /// What answer is awaited.
    pub(super) fn expect(&self, id: u64) -> Expect {
        Expect {
            id,
            method: self.method,
            kept: self.keeps,
        }
    }

    /// Which values it takes.
    pub fn slots(&self) -> impl Iterator<Item = usize> {
        self.prepared.slots()
    }

    /// Renders the body, with `values` in the slots of the arguments.
    pub(super) fn render(&self, id: u64, values: &[String], body: &mut RequestBody) {
        self.prepared.render(id, values, body);
    }

    /// The headers that the call adds, with `values` in the slots of the arguments.
    pub(super) fn lines(&self, server: &Server, values: &[String]) -> Cow<'_, HeaderLines> {
        let slots = &self.prepared.slot_headers;
        if slots.is_empty() {
            return Cow::Borrowed(&self.lines);
        }
        let mut headers = self.prepared.headers().to_vec();
        headers.extend(slots.iter().filter_map(|(name, part)| {
            let json = part.filled(values);
            (json != "null").then(|| (name.clone(), header_value_of_json(&json)))
        }));
        Cow::Owned(server.lines(&headers))
    }
}
