//! The way through a proxy: CONNECT (RFC 9110 section 9.3.6), before TLS begins.

use std::io;

use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use super::exchange::{Exchange, ExchangePhase};
use super::framing::{HEAD_BYTES_MAX, read_head};
use super::transport::TaskTransport;
use crate::network::Proxy;

/// Asks the proxy for a way to `authority`, which is a host with its port.
///
/// # Errors
/// When the proxy refuses, answers anything but HTTP, or not in time.
pub(super) fn open(
    transport: &mut TaskTransport,
    proxy: &Proxy,
    authority: &str,
    exchange: &Exchange,
) -> Result<(), ureq::Error> {
    exchange.set_phase(ExchangePhase::Tunnelling);
    let refused = |what: &str| Err(failed(proxy, what));
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(credentials) = proxy.authorization() {
        request += &format!("Proxy-Authorization: {credentials}\r\n");
    }
    request += "\r\n";
    // Credentials are bounded, and no larger than the buffer by far.
    let Some(room) = transport.output().get_mut(..request.len()) else {
        return refused("cannot be asked: its credentials are too long");
    };
    room.copy_from_slice(request.as_bytes());
    transport.transmit_output(request.len(), NextTimeout::default())?;
    let mut n_seen = 0;
    loop {
        let input = transport.input();
        // A head that comes in pieces is read again only where a line has ended since.
        let found = match input[n_seen.min(input.len())..].contains(&b'\n') {
            true => read_head(&input[..input.len().min(HEAD_BYTES_MAX)]),
            false => Ok(None),
        };
        n_seen = input.len();
        match found {
            Err(fault) => return refused(&format!("does not answer in HTTP: {}", fault.0)),
            Ok(Some(head)) => {
                transport.input_consume(head.n_bytes);
                n_seen = 0;
                match head.status {
                    200..=299 => return Ok(()),
                    100..=199 if head.status != 101 => continue,
                    status => {
                        return refused(&format!(
                            "refused the way to {authority}: status {status}"
                        ));
                    }
                }
            }
            Ok(None) if n_seen >= HEAD_BYTES_MAX => {
                return refused("answers with headers that are too large");
            }
            Ok(None) => {}
        }
        // What it means that the connection ended, the exchange knows.
        if !transport.await_input(NextTimeout::default())? {
            return refused("closed the connection");
        }
    }
}

/// A fault that is the proxy's: ureq's kind for it, with a text of ours.
fn failed(proxy: &Proxy, what: &str) -> ureq::Error {
    ureq::Error::ConnectProxyFailed(format!("the proxy {} {what}", proxy.address()))
}

/// No connection to the proxy: a fault of the proxy, unless it is one of this machine.
pub(super) fn not_reached(proxy: &Proxy, error: ureq::Error) -> ureq::Error {
    match error {
        ureq::Error::Io(io)
            if matches!(
                io.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            ) =>
        {
            failed(proxy, &format!("cannot be reached: {io}"))
        }
        other => other,
    }
}
