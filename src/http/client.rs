//! One user's HTTP client: an exchange at a time, on a connection kept alive.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::{AutoHeaderValue, Config};
use ureq::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, SET_COOKIE};
use ureq::http::{HeaderMap, HeaderValue, Method, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::{Connector, RustlsConnector};
use ureq::{Agent, Body};

use super::connector::TaskConnector;
use super::endpoint::{Endpoint, FixedAddresses};
use super::exchange::{ClientCounters, Exchange, Stop, Timing};
use super::failure::{HttpFailure, HttpFailureKind};
use super::framing::has_token;
use super::kept::{Established, Place};
use super::steady::{self, Rendered, RequestHead, SteadyAnswer};

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
    place: Arc<Place>,
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
        let place = Arc::new(Place::default());
        let mark = Established {
            exchange: Arc::clone(&exchange),
            place: Arc::clone(&place),
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
            place,
        }
    }

    /// Goes to another path of the same host from now on; the connection stays.
    pub fn go_to(&mut self, endpoint: &Endpoint) {
        self.uri = endpoint.uri.clone();
    }

    /// Sends a request whose head was rendered before, with the value of its
    /// varying header and the user's cookies, and reads the answer's head.
    /// Where there is no connection to send it on, or it is no plain request,
    /// `headers` are sent as by [`Client::send`].
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
        headers: impl FnOnce() -> HeaderMap,
    ) -> Result<Answer, HttpFailure> {
        self.exchange.begin(deadline);
        let rendered = Rendered {
            head,
            varying,
            cookie,
            body,
        };
        if let Some(result) = steady::send(&rendered, &self.exchange, &self.place) {
            return result.map(|answer| Answer {
                status: answer.status,
                body: AnswerBody::Steady(answer),
                exchange: Arc::clone(&self.exchange),
            });
        }
        self.send(Request {
            method: head.method().clone(),
            headers: headers(),
            body,
            deadline,
        })
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
                if says_close(&head.headers) {
                    self.exchange.peer_ends();
                }
                Ok(Answer {
                    status: head.status.as_u16(),
                    body: AnswerBody::Ureq(head.headers, body),
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

fn says_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .any(|value| has_token(value.as_bytes(), "close"))
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
        .max_idle_connections(1)
        .max_idle_connections_per_host(1)
        // Used by the TLS layer only.
        .input_buffer_size(16 * 1024)
        .output_buffer_size(16 * 1024)
        .tls_config(tls)
        .build()
}

/// The head of an answer, and its body still to be read. Dropping it before
/// the end closes the connection.
pub struct Answer {
    /// The status code.
    pub status: u16,
    body: AnswerBody,
    exchange: Arc<Exchange>,
}

enum AnswerBody {
    /// Of an exchange that ureq made.
    Ureq(HeaderMap, Body),
    /// Of one that it only made the connection for.
    Steady(SteadyAnswer),
}

impl Answer {
    /// The value of `Content-Type`; to be asked before the body is read to its
    /// end.
    pub fn content_type(&self) -> Option<&[u8]> {
        match &self.body {
            AnswerBody::Ureq(headers, _) => headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes),
            AnswerBody::Steady(answer) => answer.content_type(),
        }
    }

    /// The value of `Content-Encoding`; to be asked before the body is read to
    /// its end.
    pub fn content_encoding(&self) -> Option<&[u8]> {
        match &self.body {
            AnswerBody::Ureq(headers, _) => {
                headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes)
            }
            AnswerBody::Steady(answer) => answer.content_encoding(),
        }
    }

    /// The value of the first header of that name; to be asked before the body
    /// is read to its end.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        match &self.body {
            AnswerBody::Ureq(headers, _) => headers.get(name).map(HeaderValue::as_bytes),
            AnswerBody::Steady(answer) => answer.header(name),
        }
    }

    /// The values of all headers of that name; to be asked before the body is
    /// read to its end.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        match &self.body {
            AnswerBody::Ureq(headers, _) => headers
                .get_all(name)
                .iter()
                .map(HeaderValue::as_bytes)
                .collect(),
            AnswerBody::Steady(answer) => answer.header_values(name),
        }
    }

    /// Whether it has a `Set-Cookie` header.
    pub fn sets_cookie(&self) -> bool {
        match &self.body {
            AnswerBody::Ureq(headers, _) => headers.contains_key(SET_COOKIE),
            AnswerBody::Steady(answer) => answer.sets_cookie,
        }
    }

    /// The body's length, where the head tells it.
    pub fn content_length(&self) -> Option<u64> {
        match &self.body {
            AnswerBody::Ureq(_, body) => body.content_length(),
            AnswerBody::Steady(answer) => answer.content_length(),
        }
    }

    /// Reads more of the body; 0 at its end, after which the connection is
    /// free for the next exchange.
    ///
    /// # Errors
    /// When the connection dies, the deadline comes, or the framing is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, HttpFailure> {
        let body = match &mut self.body {
            AnswerBody::Steady(answer) => return answer.read(buffer, &self.exchange),
            AnswerBody::Ureq(_, body) => body,
        };
        match body.as_reader().read(buffer) {
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
