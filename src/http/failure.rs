//! Why an exchange failed: the cause that is counted, and a message for people.
//!
//! The transport notes what stopped it; ureq's own findings stand in where it noted
//! nothing.

use std::io;

use super::exchange::{Exchange, ExchangePhase, Stop};
use crate::metrics::{ConnectFailure, ConnectionFailure, Failure, ProtocolFailure, TimeoutPhase};

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
        match exchange.stop() {
            Stop::Cancelled => Self::Cancelled,
            Stop::Timeout => timed_out(exchange.phase()),
            Stop::Closed | Stop::Reset => Self::closed(exchange),
            Stop::Nothing => found_by_ureq(error, exchange.phase()),
        }
    }

    /// The run or the exchange's time has ended before the answer did.
    pub(super) fn stopped(exchange: &Exchange) -> Self {
        match exchange.stop() {
            Stop::Cancelled => Self::Cancelled,
            _ => timed_out(exchange.phase()),
        }
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
                format!("the connection to the proxy {how} before it opened the way"),
            ),
            ExchangePhase::Securing => (
                Failure::Connect(ConnectFailure::Tls),
                format!("the connection {how}"),
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
        Self::failed(failure, message)
    }
}

fn timed_out(phase: ExchangePhase) -> Trouble {
    let (failure, doing) = match phase {
        ExchangePhase::Connecting => (Failure::Connect(ConnectFailure::Timeout), "connecting"),
        ExchangePhase::Tunnelling => (
            Failure::Connect(ConnectFailure::Timeout),
            "waiting for the proxy",
        ),
        ExchangePhase::Securing => (
            Failure::Connect(ConnectFailure::Timeout),
            "making the TLS connection",
        ),
        ExchangePhase::Sending => (
            Failure::Timeout(TimeoutPhase::Sending),
            "sending the request",
        ),
        ExchangePhase::Waiting => (
            Failure::Timeout(TimeoutPhase::Waiting),
            "waiting for the answer",
        ),
        ExchangePhase::Reading => (
            Failure::Timeout(TimeoutPhase::Reading),
            "reading the answer",
        ),
    };
    Trouble::failed(failure, format!("timed out while {doing}"))
}

/// Where the transport noted nothing: ureq's own findings.
fn found_by_ureq(error: &ureq::Error, phase: ExchangePhase) -> Trouble {
    let is_connecting = matches!(
        phase,
        ExchangePhase::Connecting | ExchangePhase::Tunnelling | ExchangePhase::Securing
    );
    let failure = match error {
        ureq::Error::ConnectProxyFailed(_) => Failure::Connect(ConnectFailure::Proxy),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::Pem(_) => {
            Failure::Connect(ConnectFailure::Tls)
        }
        ureq::Error::Io(io) if is_connecting => Failure::Connect(match io.kind() {
            _ if phase == ExchangePhase::Securing => ConnectFailure::Tls,
            io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => ConnectFailure::Unreachable,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => ConnectFailure::Reset,
            // The system's way to say that a connect timed out by itself.
            io::ErrorKind::TimedOut => return timed_out(phase),
            _ if is_out_of_resources(io) => ConnectFailure::NoResources,
            _ => ConnectFailure::Other,
        }),
        _ if is_connecting => Failure::Connect(ConnectFailure::Other),
        // Unexpected end: a body shorter than it was said to be.
        ureq::Error::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            let message = "the connection was closed in the midst of the answer";
            return Trouble::failed(Failure::Protocol(ProtocolFailure::ClosedEarly), message);
        }
        _ => Failure::Protocol(ProtocolFailure::BadHttp),
    };
    Trouble::failed(failure, plain(error))
}

/// No descriptors (EMFILE, ENFILE), no free local port, no memory.
fn is_out_of_resources(error: &io::Error) -> bool {
    #[cfg(unix)]
    const NUMBERS: [i32; 2] = [23, 24];
    #[cfg(not(unix))]
    const NUMBERS: [i32; 0] = [];
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
