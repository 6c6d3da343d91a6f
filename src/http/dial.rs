//! Opens TCP connections: to which of the server's addresses, and for how long it tries.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::exchange::{Exchange, Stop};
use super::timestamp;
use super::transport::TaskTransport;
use crate::scheduler::{Socket, Wake, lateness};

/// Opens a TCP connection to the first address that takes it.
///
/// # Errors
/// When none does by the exchange's deadline.
pub(super) fn connect(
    addresses: &[SocketAddr],
    exchange: &Arc<Exchange>,
) -> Result<TaskTransport, ureq::Error> {
    exchange.connecting();
    let deadline = exchange.deadline();
    let mut last_error = None;
    for (tried, address) in addresses.iter().enumerate() {
        // Each address gets its share of what is left, the last one all.
        let now = Instant::now();
        let n_left = u32::try_from(addresses.len() - tried).unwrap_or(1);
        let share = now + deadline.saturating_duration_since(now) / n_left;
        match open(*address, share) {
            Ok(socket) => {
                exchange.connected();
                // It may have stood for as long as we were busy, for which the
                // server is not to blame.
                exchange.put_off(lateness());
                return Ok(TaskTransport::new(socket, Arc::clone(exchange)));
            }
            Err(ConnectFault::Wake(Wake::Cancelled)) => {
                exchange.set_stop(Stop::Cancelled);
                return Err(ureq::Error::Io(io::Error::other("cancelled")));
            }
            Err(ConnectFault::Wake(_)) if Instant::now() >= deadline => {
                exchange.set_stop(Stop::Timeout);
                return Err(ureq::Error::Timeout(ureq::Timeout::Connect));
            }
            Err(ConnectFault::Wake(_)) => {
                last_error = Some(io::Error::from(io::ErrorKind::TimedOut));
            }
            Err(ConnectFault::Io(error)) => last_error = Some(error),
        }
    }
    Err(ureq::Error::Io(last_error.unwrap_or_else(|| {
        io::Error::from(io::ErrorKind::AddrNotAvailable)
    })))
}

enum ConnectFault {
    Wake(Wake),
    Io(io::Error),
}

impl From<io::Error> for ConnectFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn open(address: SocketAddr, deadline: Instant) -> Result<Socket, ConnectFault> {
    let socket = Socket::connect(address)?;
    loop {
        let wake = socket.wait_writable(Some(deadline));
        if wake == Wake::Cancelled {
            return Err(ConnectFault::Wake(wake));
        }
        if let Some(error) = socket.stream().take_error()? {
            return Err(error.into());
        }
        match socket.stream().peer_addr() {
            Ok(_) => break,
            Err(error) if error.kind() != io::ErrorKind::NotConnected => return Err(error.into()),
            Err(_) if wake == Wake::Deadline => return Err(ConnectFault::Wake(wake)),
            // Woken before the connection stood.
            Err(_) => socket.mark_full(),
        }
    }
    socket.stream().set_nodelay(true)?;
    timestamp::enable(socket.stream());
    Ok(socket)
}
