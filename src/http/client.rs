//! One user's HTTP client: an exchange at a time, on a connection kept alive.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::{AutoHeaderValue, Config};
use ureq::http::{HeaderMap, Method, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, Body};

use super::connector::{Established, TaskConnector};
use super::endpoint::{Endpoint, FixedAddresses};
use super::exchange::{ClientCounters, Exchange, Stop, Timing};
use super::failure::{HttpFailure, HttpFailureKind};

/// A connection is kept for as long as the server keeps it: thinking time must
/// not turn into reconnects of our own making.
const IDLE_AGE_MAX: Duration = Duration::from_secs(366 * 86_400);

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
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    uri: Uri,
    exchange: Arc<Exchange>,
}

impl Client {
    /// A client without a connection; the first exchange makes one.
    pub fn new(endpoint: &Endpoint) -> Self {
        let roots = RootCerts::WebPki;
        Self::with_tls(endpoint, TlsConfig::builder().root_certs(roots).build())
    }

    fn with_tls(endpoint: &Endpoint, tls: TlsConfig) -> Self {
        let exchange = Arc::new(Exchange::new());
        let tcp = TaskConnector {
            exchange: Arc::clone(&exchange),
        };
        let mark = Established {
            exchange: Arc::clone(&exchange),
        };
        let resolver = FixedAddresses(endpoint.addresses.clone());
        // Plain HTTP goes without the TLS layer, which costs a boxed call for
        // each access to the buffers.
        let agent = if endpoint.is_https() {
            let connector = tcp.chain(RustlsConnector::default()).chain(mark);
            Agent::with_parts(config(tls), connector, resolver)
        } else {
            Agent::with_parts(config(tls), tcp.chain(mark), resolver)
        };
        Self {
            agent,
            uri: endpoint.uri.clone(),
            exchange,
        }
    }

    /// Sends a request and reads the answer's head.
    ///
    /// # Errors
    /// When no complete head came: see [`HttpFailureKind`].
    pub fn send(&mut self, request: Request<'_>) -> Result<Answer, HttpFailure> {
        self.exchange.begin(request.deadline);
        let mut http = ureq::http::Request::new(request.body);
        *http.method_mut() = request.method;
        *http.uri_mut() = self.uri.clone();
        *http.headers_mut() = request.headers;
        let result = if request.body.is_empty() {
            self.agent.run(http.map(|_| ()))
        } else {
            self.agent.run(http)
        };
        match result {
            Ok(response) => {
                let (head, body) = response.into_parts();
                Ok(Answer {
                    status: head.status.as_u16(),
                    headers: head.headers,
                    body,
                    exchange: Arc::clone(&self.exchange),
                })
            }
            Err(error) => Err(HttpFailure::new(&error, &self.exchange)),
        }
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

fn config(tls: TlsConfig) -> Config {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(AutoHeaderValue::None)
        .accept(AutoHeaderValue::None)
        .accept_encoding(AutoHeaderValue::None)
        .max_idle_age(IDLE_AGE_MAX)
        .max_idle_connections(2)
        .max_idle_connections_per_host(2)
        // Used by the TLS layer only.
        .input_buffer_size(16 * 1024)
        .output_buffer_size(16 * 1024)
        .tls_config(tls)
        .build()
}

/// The head of an answer, and its body still to be read. Dropping it before
/// the end closes the connection.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: Body,
    exchange: Arc<Exchange>,
}

impl Answer {
    /// The body's length, where the head tells it.
    pub fn content_length(&self) -> Option<u64> {
        self.body.content_length()
    }

    /// Reads more of the body; 0 at its end, after which the connection is
    /// free for the next exchange.
    ///
    /// # Errors
    /// When the connection dies, the deadline comes, or the framing is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, HttpFailure> {
        let result = self.body.as_reader().read(buffer);
        match result {
            // A body without a length ends with its connection. A reset is no
            // such end, although ureq takes it for one.
            Ok(0) if self.exchange.stop() == Stop::Reset => Err(HttpFailure {
                kind: HttpFailureKind::ClosedEarly,
                message: "the connection was reset in the midst of the answer".to_string(),
            }),
            Ok(n) => Ok(n),
            Err(error) => Err(HttpFailure::new(&ureq::Error::from(error), &self.exchange)),
        }
    }

    /// Moves the deadline, for what is read after the answer proper.
    pub fn set_deadline(&self, deadline: Instant) {
        self.exchange.set_deadline(deadline);
    }

    /// When the bytes went and came so far.
    pub fn timing(&self) -> Timing {
        self.exchange.timing()
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
