//! Opens connections: TCP by `dial.rs`, and TLS where the URL asks for it.

use std::sync::Arc;

use ureq::unversioned::transport::Transport;

use super::dial;
use super::endpoint::Endpoint;
use super::exchange::Exchange;
use super::tls::Tls;

/// Opens a connection to the endpoint.
///
/// # Errors
/// When there is none by the exchange's deadline; the exchange knows in which phase
/// that was, and what stopped it.
pub(super) fn connect(
    endpoint: &Endpoint,
    turn: usize,
    tls: Option<&Tls>,
    exchange: &Arc<Exchange>,
) -> Result<Box<dyn Transport>, ureq::Error> {
    let tcp = dial::connect(endpoint, turn, exchange)?;
    match tls {
        Some(tls) => Ok(Box::new(tls.secure(tcp, exchange)?)),
        None => Ok(Box::new(tcp)),
    }
}
