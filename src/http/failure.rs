//! Why an exchange failed: the cause that is counted, and a message for people.
//!
//! The transport notes what stopped it; ureq's own findings stand in where it noted
//! nothing.

use std::io;

use super::exchange::{Exchange, ExchangePhase, Stop};
use super::hint::with_more;
use super::tls::{self, TlsFault};
use crate::metrics::{ConnectFailure, ConnectionFailure, Failure, ProtocolFailure, TimeoutPhase};
use crate::network::Proxy;

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It failed, and counts as failed.
    Failed {
        /// The cause.
        failure: Failure,
        /// A short text for people. It holds no header or body of ours; what came
        /// from the server may be in it, and secrets with that.
        message: String,
    },
    /// The run ended first.
    Cancelled,
}

impl Trouble {
    /// A failure with its cause.
    pub fn failed(failure: Failure, message: impl Into<String>) -> Self {
        Self::Failed {
            failure,
            message: message.into(),
        }
    }

    /// The message, for people.
    pub fn message(&self) -> &str {
        match self {
            Self::Failed { message, .. } => message,
            Self::Cancelled => "the run ended first",
        }
    }

    /// Whether the request's deadline came.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::Failed {
                failure: Failure::Timeout(_) | Failure::Connect(ConnectFailure::Timeout),
                ..
            }
        )
    }

    /// The cause of ureq's error: what the transport noted of its own, where
    /// it noted anything, since ureq folds many causes into few.
    pub(super) fn of(error: &ureq::Error, exchange: &Exchange) -> Self {
        let stop = exchange.stop();
        if let ureq::Error::Other(other) = error
            && let Some(fault) = other.downcast_ref::<TlsFault>()
            && !matches!(stop, Stop::Cancelled | Stop::Timeout)
        {
            return Self::on_the_way(exchange, of_tls(exchange), fault.to_string());
        }
        match stop {
            Stop::Cancelled => Self::Cancelled,
            Stop::Timeout => timed_out(exchange),
            Stop::Closed | Stop::Reset => Self::closed(exchange),
            Stop::Nothing => found_by_ureq(error, exchange),
        }
    }

    /// The run or the exchange's time has ended before the answer did.
    pub(super) fn stopped(exchange: &Exchange) -> Self {
        match exchange.stop() {
            Stop::Cancelled => Self::Cancelled,
            _ => timed_out(exchange),
        }
    }

    /// What came is not HTTP.
    pub(super) fn not_http(what: impl Into<String>, exchange: &Exchange) -> Self {
        let failure = Failure::Protocol(ProtocolFailure::BadHttp);
        Self::on_the_way(exchange, failure, what)
    }

    /// The peer has closed the connection before the answer's end.
    pub(super) fn closed(exchange: &Exchange) -> Self {
        let how = match exchange.stop() {
            Stop::Reset => "was reset",
            _ => "was closed",
        };
        let (failure, message) = match exchange.phase() {
            ExchangePhase::Connecting => (
                Failure::Connect(ConnectFailure::Reset),
                format!("the connection {how}"),
            ),
            ExchangePhase::Tunnelling => (
                Failure::Connect(ConnectFailure::Proxy),
                format!(
                    "the connection to the proxy{} {how} before it opened the way",
                    address_of_proxy(exchange)
                ),
            ),
            ExchangePhase::Securing => (
                Failure::Connect(ConnectFailure::Tls),
                tls::closed(
                    how,
                    exchange.has_tls_stood(),
                    exchange.handshake_came().is_some(),
                ),
            ),
            ExchangePhase::Sending | ExchangePhase::Waiting => {
                let (failure, which) = match exchange.is_reused() {
                    true => (ConnectionFailure::LostReused, "kept-alive"),
                    false => (ConnectionFailure::LostNew, "new"),
                };
                let message = format!("the {which} connection {how} before any byte of the answer");
                (Failure::Connection(failure), message)
            }
            ExchangePhase::Reading => (
                Failure::Protocol(ProtocolFailure::ClosedEarly),
                format!("the connection {how} in the midst of the answer"),
            ),
        };
        Self::on_the_way(exchange, failure, message)
    }

    /// A failure of that exchange. Where a proxy is between, it may be the proxy's.
    fn on_the_way(exchange: &Exchange, failure: Failure, message: impl Into<String>) -> Self {
        let message = message.into();
        let address = exchange.proxy().map(Proxy::address);
        match address.filter(|address| !message.contains(address.as_str())) {
            Some(address) => {
                let more = format!(" (through the proxy {address})");
                Self::failed(failure, with_more(&message, &more))
            }
            None => Self::failed(failure, message),
        }
    }
}

/// ` 10.0.0.1:3128`, where there is one.
fn address_of_proxy(exchange: &Exchange) -> String {
    let proxy = exchange.proxy();
    proxy.map_or_else(String::new, |proxy| format!(" {}", proxy.address()))
}

/// What TLS broke. A server that refuses us may say so only after the handshake, in
/// place of the first answer.
fn of_tls(exchange: &Exchange) -> Failure {
    match exchange.phase() {
        ExchangePhase::Reading => Failure::Protocol(ProtocolFailure::ClosedEarly),
        ExchangePhase::Sending | ExchangePhase::Waiting if exchange.is_reused() => {
            Failure::Connection(ConnectionFailure::LostReused)
        }
        _ => Failure::Connect(ConnectFailure::Tls),
    }
}

fn timed_out(exchange: &Exchange) -> Trouble {
    let proxy = address_of_proxy(exchange);
    let connect = Failure::Connect(ConnectFailure::Timeout);
    let (failure, doing) = match exchange.phase() {
        ExchangePhase::Securing => {
            let has_begun = exchange.handshake_came().is_some();
            let what = tls::stalled(exchange.has_tls_stood(), has_begun);
            return Trouble::on_the_way(exchange, connect, what);
        }
        ExchangePhase::Connecting if proxy.is_empty() => (connect, "connecting".to_string()),
        ExchangePhase::Connecting => (connect, format!("connecting to the proxy{proxy}")),
        ExchangePhase::Tunnelling => (connect, format!("waiting for the proxy{proxy}")),
        ExchangePhase::Sending => (
            Failure::Timeout(TimeoutPhase::Sending),
            "sending the request".to_string(),
        ),
        ExchangePhase::Waiting => (
            Failure::Timeout(TimeoutPhase::Waiting),
            "waiting for the answer".to_string(),
        ),
        ExchangePhase::Reading => (
            Failure::Timeout(TimeoutPhase::Reading),
            "reading the answer".to_string(),
        ),
    };
    Trouble::on_the_way(exchange, failure, format!("timed out while {doing}"))
}

/// Where the transport noted nothing: ureq's own findings.
fn found_by_ureq(error: &ureq::Error, exchange: &Exchange) -> Trouble {
    let phase = exchange.phase();
    let is_connecting = matches!(
        phase,
        ExchangePhase::Connecting | ExchangePhase::Tunnelling | ExchangePhase::Securing
    );
    let failure = match error {
        ureq::Error::ConnectProxyFailed(_) => Failure::Connect(ConnectFailure::Proxy),
        ureq::Error::Io(_) if phase == ExchangePhase::Securing => {
            Failure::Connect(ConnectFailure::Tls)
        }
        // The system's way to say that a connect timed out by itself.
        ureq::Error::Io(io) if is_connecting && io.kind() == io::ErrorKind::TimedOut => {
            return timed_out(exchange);
        }
        ureq::Error::Io(io) if is_connecting => Failure::Connect(of_connect(io)),
        _ if is_connecting => Failure::Connect(ConnectFailure::Other),
        // Unexpected end: a body shorter than it was said to be.
        ureq::Error::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            let failure = Failure::Protocol(ProtocolFailure::ClosedEarly);
            let message = "the connection was closed in the midst of the answer";
            return Trouble::on_the_way(exchange, failure, message);
        }
        _ => Failure::Protocol(ProtocolFailure::BadHttp),
    };
    Trouble::on_the_way(exchange, failure, plain(error))
}

/// Why a connection could not be made, by the system's word.
pub(super) fn of_connect(error: &io::Error) -> ConnectFailure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => ConnectFailure::Unreachable,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => ConnectFailure::Reset,
        io::ErrorKind::TimedOut => ConnectFailure::Timeout,
        _ if is_out_of_resources(error) => ConnectFailure::NoResources,
        _ => ConnectFailure::Other,
    }
}

/// What is said of an address to which there is no connection. `why`: what came of it.
pub fn no_connection(failure: ConnectFailure, url: &str, why: &str) -> String {
    match failure {
        ConnectFailure::Refused => format!("nobody listens at {url}: connection refused"),
        ConnectFailure::Proxy => format!("no way to {url}: {why}"),
        ConnectFailure::Tls => format!("no TLS connection to {url}: {why}"),
        _ => format!("cannot connect to {url}: {why}"),
    }
}

/// What to try where nobody listens.
pub const START_SERVER: &str = "start the server first, or check the port";

/// What to try where this machine has too little for a connection.
pub const RAISE_FILES: &str =
    "this machine has no more file descriptors or local ports for this process: see `ulimit -n`";

/// What to try where nothing of MCP is at the path.
pub const CHECK_PATH: &str = "check the path: most servers answer at `/mcp`, some at `/`";

/// What to try where what answers is not HTTP.
pub const CHECK_PORT: &str = "check the port: something else may listen there";

/// What to try where the address of a proxy leads to none.
pub const CHECK_PROXY: &str = "check the address of the proxy (`--proxy`, `HTTPS_PROXY`, \
                               `HTTP_PROXY`, `ALL_PROXY`): it has to be one of an HTTP proxy";

/// No descriptors (EMFILE, ENFILE; WSAEMFILE, WSAENOBUFS on Windows), no free local port,
/// no memory.
fn is_out_of_resources(error: &io::Error) -> bool {
    #[cfg(unix)]
    const NUMBERS: [i32; 2] = [23, 24];
    #[cfg(windows)]
    const NUMBERS: [i32; 2] = [10_024, 10_055];
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory | io::ErrorKind::AddrInUse
    ) || error
        .raw_os_error()
        .is_some_and(|number| NUMBERS.contains(&number))
}

/// ureq's text, which names no header or body of ours.
fn plain(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(io) => io.to_string(),
        ureq::Error::ConnectProxyFailed(text) => text.clone(),
        ureq::Error::LargeResponseHeader(size, limit) => {
            format!("the answer's headers are too large: {size} bytes, at most {limit}")
        }
        other => other.to_string(),
    }
}
