//! What all sessions of a run share: where the server is and how it is spoken to.

use std::sync::Arc;
use std::time::Duration;

use crate::error::UserError;
use crate::http::{
    Endpoint, HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, RequestHead,
};
use crate::protocol::{Dialect, Method, Notice, Operation, PrepareError, Prepared, ToolCatalog};
use crate::redact::Redactor;

/// The header of legacy sessions, in the lower case of HTTP libraries.
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

/// How long requests may take and how large answers may be.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// From connecting to the last byte.
    pub timeout: Duration,
    /// The largest message accepted, in bytes.
    pub message_bytes_max: usize,
    /// Sent with every request: name and value.
    pub headers: Vec<(String, String)>,
    /// Whether each user keeps the cookies that the server sets.
    pub cookies: bool,
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
    /// `notifications/initialized`; of a modern server never sent.
    initialized: Rendered,
    /// The DELETE that ends a session.
    leaving: Rendered,
    /// A POST that carries a response to a request of the server's; without a
    /// body.
    answering: Rendered,
}

/// What does not depend on the dialect.
#[derive(Debug, Clone)]
struct Basis {
    endpoint: Endpoint,
    settings: Arc<ServerSettings>,
    /// With every POST, but for what the message itself needs.
    post_headers: HeaderMap,
    /// With every GET and DELETE.
    bare_headers: HeaderMap,
}

/// A request without a result, rendered once.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) headers: HeaderMap,
    /// The same as bytes.
    pub(super) head: RequestHead,
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
        let mut bare = HeaderMap::new();
        let agent = concat!("pmcp-loadtest/", env!("CARGO_PKG_VERSION"));
        bare.insert("user-agent", HeaderValue::from_static(agent));
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
            bare.append(header, value);
        }
        if !bare.contains_key("accept-encoding") {
            // What is measured is the server, not its compression; one who
            // wants that in asks for it with a header of their own.
            bare.insert("accept-encoding", HeaderValue::from_static("identity"));
        }
        let mut post = bare.clone();
        post.insert(
            "accept",
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        post.insert("content-type", HeaderValue::from_static("application/json"));
        let basis = Basis {
            endpoint,
            settings,
            post_headers: post,
            bare_headers: bare,
        };
        Ok(Self::of(basis, dialect))
    }

    fn of(basis: Basis, dialect: Dialect) -> Self {
        let notice = dialect.initialized();
        let headers = with_mcp_headers(&basis.post_headers, &notice.headers, &dialect);
        let answering = with_mcp_headers(&basis.post_headers, &dialect.bare_headers(), &dialect);
        let bare = with_mcp_headers(&basis.bare_headers, &dialect.bare_headers(), &dialect);
        let head =
            |method, headers: &HeaderMap| basis.endpoint.request_head(&method, headers, SESSION_ID);
        Self(Arc::new(Inner {
            initialized: Rendered {
                head: head(HttpMethod::POST, &headers),
                headers,
                body: notice.body,
            },
            leaving: Rendered {
                head: head(HttpMethod::DELETE, &bare),
                headers: bare,
                body: Vec::new(),
            },
            answering: Rendered {
                head: head(HttpMethod::POST, &answering),
                headers: answering,
                body: Vec::new(),
            },
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

    /// Renders an operation once, to be called many times.
    ///
    /// # Errors
    /// When the operation does not exist in the dialect, or the tool's
    /// definition forbids to call it.
    pub fn prepare(
        &self,
        operation: &Operation,
        catalog: &ToolCatalog,
    ) -> Result<PreparedCall, PrepareError> {
        let prepared = self.0.dialect.prepare(operation, catalog)?;
        Ok(self.prepared(prepared, Some(operation.kind())))
    }

    pub(super) fn prepared(&self, prepared: Prepared, method: Option<Method>) -> PreparedCall {
        let headers = self.with_mcp_headers(&self.0.basis.post_headers, prepared.headers());
        let endpoint = &self.0.basis.endpoint;
        PreparedCall {
            head: endpoint.request_head(&HttpMethod::POST, &headers, SESSION_ID),
            prepared,
            method,
            headers,
        }
    }

    /// `notifications/initialized`.
    pub(super) fn initialized(&self) -> &Rendered {
        &self.0.initialized
    }

    /// The DELETE that ends a session.
    pub(super) fn leaving(&self) -> &Rendered {
        &self.0.leaving
    }

    pub(super) fn notice_headers(&self, notice: &Notice) -> HeaderMap {
        self.with_mcp_headers(&self.0.basis.post_headers, &notice.headers)
    }

    /// Of a GET.
    pub(super) fn bare_headers(&self) -> HeaderMap {
        self.with_mcp_headers(&self.0.basis.bare_headers, &self.0.dialect.bare_headers())
    }

    /// The head of a POST that carries a response to a request of the server's.
    pub(super) fn answering(&self) -> &Rendered {
        &self.0.answering
    }

    fn with_mcp_headers(&self, base: &HeaderMap, more: &[(String, String)]) -> HeaderMap {
        with_mcp_headers(base, more, &self.0.dialect)
    }
}

fn with_mcp_headers(base: &HeaderMap, more: &[(String, String)], dialect: &Dialect) -> HeaderMap {
    let mut headers = base.clone();
    for (name, value) in more {
        // The protocol module renders only valid ones; one that is not
        // would be refused by the server, which says more than we could.
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::try_from(value.as_str()),
        ) {
            headers.insert(name, value);
        }
    }
    if dialect.has_session() {
        // Keeps a place, so that a call only has to replace the value.
        headers.insert(SESSION_ID, HeaderValue::from_static("-"));
    }
    headers
}

/// A request rendered once, with all its headers.
#[derive(Debug, Clone)]
pub struct PreparedCall {
    pub(super) prepared: Prepared,
    pub(super) method: Option<Method>,
    pub(super) headers: HeaderMap,
    /// The same as bytes.
    pub(super) head: RequestHead,
}
