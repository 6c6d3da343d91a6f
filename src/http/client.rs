//! One user's HTTP client: an exchange at a time, on a connection kept alive.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method};
use ureq::tls::{RootCerts, TlsConfig};

use super::connector::{self, Tls};
use super::endpoint::Endpoint;
use super::exchange::{ClientCounters, Exchange, Timing};
use super::failure::{HttpFailure, Phase};
use super::http1::{self, Answer, Connection, Idle, Outgoing, RequestHead};

/// What is sent.
#[derive(Debug)]
pub struct Request<'a> {
    /// `POST`, `GET` or `DELETE`.
    pub method: Method,
    /// All headers but `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// The body; empty for `GET` and `DELETE`.
    pub body: &'a [u8],
    /// When it must have been answered, to the last byte that is read.
    pub deadline: Instant,
}

/// One user's HTTP client. All its methods suspend the task while they wait.
pub struct Client {
    endpoint: Endpoint,
    /// `None`: plain HTTP, which goes without the TLS layer.
    tls: Option<Tls>,
    exchange: Arc<Exchange>,
    idle: Idle,
}

impl Client {
    /// A client without a connection; the first exchange makes one. What an
    /// exchange brings beyond `bytes_unpaced` is read at a bounded rate.
    pub fn new(endpoint: &Endpoint, bytes_unpaced: usize) -> Self {
        Self::with_tls(endpoint, bytes_unpaced, || {
            TlsConfig::builder().root_certs(RootCerts::WebPki).build()
        })
    }

    fn with_tls(
        endpoint: &Endpoint,
        bytes_unpaced: usize,
        tls: impl FnOnce() -> TlsConfig,
    ) -> Self {
        Self {
            endpoint: endpoint.clone(),
            tls: endpoint.is_https().then(|| Tls::new(tls())),
            exchange: Arc::new(Exchange::new(bytes_unpaced)),
            idle: Idle::default(),
        }
    }

    /// Goes to another path of the same host from now on; the connection stays.
    pub fn go_to(&mut self, endpoint: &Endpoint) {
        self.endpoint = endpoint.clone();
    }

    /// Sends a request whose head was rendered before, with the value of its
    /// varying header and the user's cookies, and reads the answer's head.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub fn send_rendered(
        &mut self,
        head: &RequestHead,
        varying: Option<&HeaderValue>,
        cookie: Option<&HeaderValue>,
        body: &[u8],
        deadline: Instant,
    ) -> Result<Answer, HttpFailure> {
        self.exchange.begin(deadline);
        let request = Outgoing {
            head,
            varying,
            cookie,
            body,
        };
        let idle = self.idle.take();
        let connection = match idle.and_then(|mut idle| idle.is_open().then_some(idle)) {
            Some(connection) => connection,
            None => self.connect()?,
        };
        http1::send(&request, connection, &self.exchange, &self.idle)
    }

    /// Sends a request and reads the answer's head.
    ///
    /// # Errors
    /// When no complete head came: see [`HttpFailureKind`](super::HttpFailureKind).
    pub fn send(&mut self, request: &Request<'_>) -> Result<Answer, HttpFailure> {
        const NOTHING_VARIES: HeaderName = HeaderName::from_static("x-");
        let head = self
            .endpoint
            .request_head(&request.method, &request.headers, NOTHING_VARIES);
        self.send_rendered(&head, None, None, request.body, request.deadline)
    }

    // Out of line: deep and seldom.
    #[inline(never)]
    fn connect(&self) -> Result<Box<Connection>, HttpFailure> {
        let exchange = &self.exchange;
        let transport = connector::connect(&self.endpoint, self.tls.as_ref(), exchange)
            .map_err(|error| HttpFailure::new(&error, exchange))?;
        // What follows is the request itself, not the TLS handshake.
        exchange.set_phase(Phase::Sending);
        Ok(Box::new(Connection::new(transport)))
    }

    /// When the bytes of the last exchange went and came. Ask before the next.
    pub fn timing(&self) -> Timing {
        self.exchange.timing()
    }

    /// Whether a byte of the last request was handed to the kernel.
    pub fn has_sent(&self) -> bool {
        self.exchange.has_sent()
    }

    /// What this client has done so far.
    pub fn counters(&self) -> ClientCounters {
        self.exchange.counters()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "judgement_tests.rs"]
mod judgement_tests;
#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
