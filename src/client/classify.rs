//! What is wrong with an answer, as a cause that is counted and a message that is
//! shown.

use crate::http::Trouble;
use crate::metrics::{Failure, ProtocolFailure};
use crate::protocol::{FaultKind, ProtocolFault, RpcError};

impl From<ProtocolFault> for Trouble {
    fn from(fault: ProtocolFault) -> Self {
        let cause = match fault.kind() {
            FaultKind::NotJson => ProtocolFailure::NotJson,
            FaultKind::NotAMessage | FaultKind::ResultAndError => ProtocolFailure::NoResult,
            FaultKind::WrongId => ProtocolFailure::WrongId,
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
            FaultKind::NotAcknowledged => ProtocolFailure::NotAcknowledged,
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
