//! What all sessions of a run share: where the server is and how it is spoken to.

use std::sync::Arc;
use std::time::Duration;

use super::redact::Redactor;
use crate::error::UserError;
use crate::http::{Endpoint, HeaderMap, HeaderName, HeaderValue, RequestHead};
use crate::protocol::{Dialect, Method, Notice, Operation, PrepareError, Prepared, ToolCatalog};

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
    /// Takes secrets out of messages.
    pub redactor: Redactor,
}

/// A server as all sessions of a run see it. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    endpoint: Endpoint,
    dialect: Dialect,
    settings: Arc<ServerSettings>,
    /// With every POST, but for what the message itself needs.
    post_headers: HeaderMap,
    /// With every GET and DELETE.
    bare_headers: HeaderMap,
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
        let mut post = bare.clone();
        post.insert(
            "accept",
            HeaderValue::from_static("application/json, text/event-stream"),
        );
        post.insert("content-type", HeaderValue::from_static("application/json"));
        Ok(Self(Arc::new(Inner {
            endpoint,
            dialect,
            settings,
            post_headers: post,
            bare_headers: bare,
        })))
    }

    /// The same server, spoken to in another dialect.
    #[must_use]
    pub fn in_dialect(&self, dialect: Dialect) -> Self {
        Self(Arc::new(Inner {
            dialect,
            ..Inner::clone(&self.0)
        }))
    }

    /// The same server at another path of the same host.
    #[must_use]
    pub fn at(&self, endpoint: Endpoint) -> Self {
        Self(Arc::new(Inner {
            endpoint,
            ..Inner::clone(&self.0)
        }))
    }

    /// How it is spoken to.
    pub fn dialect(&self) -> &Dialect {
        &self.0.dialect
    }

    /// Where it is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Settings of all requests.
    pub fn settings(&self) -> &ServerSettings {
        &self.0.settings
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
        let headers = self.with_mcp_headers(&self.0.post_headers, prepared.headers());
        PreparedCall {
            head: self.0.endpoint.request_head(&headers, SESSION_ID),
            prepared,
            method,
            headers,
        }
    }

    pub(super) fn notice_headers(&self, notice: &Notice) -> HeaderMap {
        self.with_mcp_headers(&self.0.post_headers, &notice.headers)
    }

    /// Of a GET or DELETE.
    pub(super) fn bare_headers(&self) -> HeaderMap {
        self.with_mcp_headers(&self.0.bare_headers, &self.0.dialect.bare_headers())
    }

    /// Of a POST that carries a response to a request of the server's.
    pub(super) fn response_headers(&self) -> HeaderMap {
        self.with_mcp_headers(&self.0.post_headers, &self.0.dialect.bare_headers())
    }

    fn with_mcp_headers(&self, base: &HeaderMap, more: &[(String, String)]) -> HeaderMap {
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
        if self.0.dialect.has_session() {
            // Keeps a place, so that a call only has to replace the value.
            headers.insert(SESSION_ID, HeaderValue::from_static("-"));
        }
        headers
    }
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
