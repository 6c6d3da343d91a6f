//! What went wrong, as a cause that is counted and a message that is shown.

use crate::http::{ConnectKind, HttpFailure, HttpFailureKind, Phase};
use crate::metrics::{ConnectFailure, ConnectionFailure, Failure, ProtocolFailure, TimeoutPhase};
use crate::protocol::{FaultKind, ProtocolFault, RpcError};

/// Why a request did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It failed, and counts as failed.
    Failed {
        /// The cause.
        failure: Failure,
        /// For people; secrets may still be in it.
        message: String,
    },
    /// The run ended first.
    Cancelled,
}

impl Trouble {
    pub(super) fn failed(failure: Failure, message: impl Into<String>) -> Self {
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
}

impl From<HttpFailure> for Trouble {
    fn from(failure: HttpFailure) -> Self {
        let cause = match failure.kind {
            HttpFailureKind::Cancelled => return Self::Cancelled,
            HttpFailureKind::Connect(kind) => Failure::Connect(match kind {
                ConnectKind::Refused => ConnectFailure::Refused,
                ConnectKind::Unreachable => ConnectFailure::Unreachable,
                ConnectKind::Tls => ConnectFailure::Tls,
                ConnectKind::Reset => ConnectFailure::Reset,
                ConnectKind::NoResources => ConnectFailure::NoResources,
                ConnectKind::Other => ConnectFailure::Other,
            }),
            HttpFailureKind::Timeout(phase) => match phase {
                Phase::Connecting | Phase::Securing => Failure::Connect(ConnectFailure::Timeout),
                Phase::Sending => Failure::Timeout(TimeoutPhase::Sending),
                Phase::Waiting => Failure::Timeout(TimeoutPhase::Waiting),
                Phase::Reading => Failure::Timeout(TimeoutPhase::Reading),
            },
            HttpFailureKind::Lost { reused: true } => {
                Failure::Connection(ConnectionFailure::LostReused)
            }
            HttpFailureKind::Lost { reused: false } => {
                Failure::Connection(ConnectionFailure::LostNew)
            }
            HttpFailureKind::ClosedEarly => Failure::Protocol(ProtocolFailure::ClosedEarly),
            HttpFailureKind::BadHttp => Failure::Protocol(ProtocolFailure::BadHttp),
        };
        Self::failed(cause, failure.message)
    }
}

impl From<ProtocolFault> for Trouble {
    fn from(fault: ProtocolFault) -> Self {
        let cause = match fault.kind() {
            FaultKind::NotJson => ProtocolFailure::NotJson,
            FaultKind::NotAMessage | FaultKind::ResultAndError => ProtocolFailure::NoResult,
            FaultKind::WrongId => ProtocolFailure::WrongId,
            FaultKind::BadSse => ProtocolFailure::BadSse,
            FaultKind::TooLarge => ProtocolFailure::TooLarge,
            FaultKind::StreamEnded => ProtocolFailure::StreamEnded,
            FaultKind::AcceptedNotAnswered => ProtocolFailure::Accepted,
            FaultKind::UnexpectedContentType => ProtocolFailure::ContentType,
            FaultKind::ContentEncoding => ProtocolFailure::ContentEncoding,
            FaultKind::UnknownResultType
            | FaultKind::UnknownRevision
            | FaultKind::OtherEra
            | FaultKind::BadResult
            | FaultKind::UnknownInput => ProtocolFailure::BadResult,
        };
        Self::failed(Failure::Protocol(cause), fault.to_string())
    }
}

/// A JSON-RPC error in an exchange that went well as HTTP.
impl From<RpcError> for Trouble {
    fn from(error: RpcError) -> Self {
        let failure = error.code.map_or(Failure::RpcWithoutCode, Failure::Rpc);
        Self::failed(failure, error.message)
    }
}
