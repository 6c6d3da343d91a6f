//! Why an HTTP exchange failed, as the transport and ureq saw it.

use std::fmt;
use std::io;

use super::exchange::{Exchange, Phase, Stop};

/// Why no connection could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectKind {
    /// Nobody listens there.
    Refused,
    /// No route.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// Closed or reset while connecting.
    Reset,
    /// No descriptors, ports or memory left on this machine.
    NoResources,
    /// Any other fault of the system.
    Other,
}

/// Why an exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpFailureKind {
    /// No connection.
    Connect(ConnectKind),
    /// The deadline came in this phase.
    Timeout(Phase),
    /// The connection died before any byte of the answer.
    Lost {
        /// It had served an exchange before.
        reused: bool,
    },
    /// The connection died in the midst of the answer.
    ClosedEarly,
    /// The answer is not HTTP/1.1.
    BadHttp,
    /// The run ended first.
    Cancelled,
}

/// Why an exchange failed, with a message for the report's examples. It never
/// holds a header or body of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpFailure {
    /// The cause.
    pub kind: HttpFailureKind,
    /// A short text for the user.
    pub message: String,
}

impl fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for HttpFailure {}

impl HttpFailure {
    /// The cause of ureq's error: what the transport noted of its own, where
    /// it noted anything, since ureq folds many causes into few.
    pub(super) fn new(error: &ureq::Error, exchange: &Exchange) -> Self {
        let phase = exchange.phase();
        let kind = match exchange.stop() {
            Stop::Cancelled => HttpFailureKind::Cancelled,
            Stop::Timeout => HttpFailureKind::Timeout(phase),
            Stop::Closed | Stop::Reset => died(phase, exchange.is_reused()),
            Stop::Nothing => classify(error, phase),
        };
        let plain = || plain(error);
        Self {
            kind,
            message: message(kind, exchange, plain),
        }
    }

    /// The run or the exchange's time has ended before the answer did.
    pub(super) fn stopped(exchange: &Exchange) -> Self {
        let kind = match exchange.stop() {
            Stop::Cancelled => HttpFailureKind::Cancelled,
            _ => HttpFailureKind::Timeout(exchange.phase()),
        };
        Self {
            kind,
            message: message(kind, exchange, String::new),
        }
    }

    /// The peer has closed the connection before the answer's end.
    pub(super) fn closed(exchange: &Exchange) -> Self {
        let kind = died(exchange.phase(), exchange.is_reused());
        Self {
            kind,
            message: message(kind, exchange, String::new),
        }
    }
}

fn message(kind: HttpFailureKind, exchange: &Exchange, plain: impl FnOnce() -> String) -> String {
    match kind {
        HttpFailureKind::Timeout(phase) => format!("timed out while {}", doing(phase)),
        HttpFailureKind::Cancelled => "the run ended first".to_string(),
        HttpFailureKind::Lost { reused } => format!(
            "the {} connection {} before any byte of the answer",
            if reused { "kept-alive" } else { "new" },
            how_it_died(exchange),
        ),
        HttpFailureKind::ClosedEarly => format!(
            "the connection {} in the midst of the answer",
            how_it_died(exchange)
        ),
        HttpFailureKind::Connect(_) | HttpFailureKind::BadHttp => plain(),
    }
}

fn died(phase: Phase, reused: bool) -> HttpFailureKind {
    match phase {
        Phase::Connecting => HttpFailureKind::Connect(ConnectKind::Reset),
        Phase::Securing => HttpFailureKind::Connect(ConnectKind::Tls),
        Phase::Sending | Phase::Waiting => HttpFailureKind::Lost { reused },
        Phase::Reading => HttpFailureKind::ClosedEarly,
    }
}

fn how_it_died(exchange: &Exchange) -> &'static str {
    match exchange.stop() {
        Stop::Reset => "was reset",
        _ => "was closed",
    }
}

fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Connecting => "connecting",
        Phase::Securing => "making the TLS connection",
        Phase::Sending => "sending the request",
        Phase::Waiting => "waiting for the answer",
        Phase::Reading => "reading the answer",
    }
}

/// Where the transport noted nothing: ureq's own findings.
fn classify(error: &ureq::Error, phase: Phase) -> HttpFailureKind {
    let connecting = matches!(phase, Phase::Connecting | Phase::Securing);
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::Pem(_) => {
            HttpFailureKind::Connect(ConnectKind::Tls)
        }
        ureq::Error::Io(io) if connecting => HttpFailureKind::Connect(match io.kind() {
            _ if phase == Phase::Securing => ConnectKind::Tls,
            io::ErrorKind::ConnectionRefused => ConnectKind::Refused,
            io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::NetworkDown => ConnectKind::Unreachable,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => ConnectKind::Reset,
            // The system's way to say that a connect timed out by itself.
            io::ErrorKind::TimedOut => return HttpFailureKind::Timeout(phase),
            _ if is_out_of_resources(io) => ConnectKind::NoResources,
            _ => ConnectKind::Other,
        }),
        _ if connecting => HttpFailureKind::Connect(ConnectKind::Other),
        // Unexpected end: a body shorter than it was said to be.
        ureq::Error::Io(io) if io.kind() == io::ErrorKind::UnexpectedEof => {
            HttpFailureKind::ClosedEarly
        }
        _ => HttpFailureKind::BadHttp,
    }
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
        ureq::Error::LargeResponseHeader(size, limit) => {
            format!("the answer's headers are too large: {size} bytes, at most {limit}")
        }
        other => other.to_string(),
    }
}
