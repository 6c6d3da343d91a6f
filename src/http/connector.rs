//! Opens connections for ureq.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use ureq::unversioned::transport::{ConnectionDetails, Connector};

use super::exchange::{Exchange, Stop};
use super::failure::Phase;
use super::timestamp;
use super::transport::TaskTransport;
use crate::scheduler::{Socket, Wake, lateness};

/// Opens a TCP connection to the first address that takes it.
#[derive(Debug)]
pub(super) struct TaskConnector {
    pub(super) exchange: Arc<Exchange>,
}

impl Connector<()> for TaskConnector {
    type Out = TaskTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<TaskTransport>, ureq::Error> {
        self.exchange.connecting();
        let deadline = self.exchange.deadline();
        let mut last_error = None;
        for (tried, address) in details.addrs.iter().enumerate() {
            // Each address gets its share of what is left, the last one all.
            let now = Instant::now();
            let n_left = u32::try_from(details.addrs.len() - tried).unwrap_or(1);
            let share = now + deadline.saturating_duration_since(now) / n_left;
            match open(*address, share) {
                Ok(socket) => {
                    self.exchange.connected();
                    // It may have stood for as long as we were busy, for which
                    // the server is not to blame.
                    self.exchange.put_off(lateness());
                    if details.needs_tls() {
                        self.exchange.set_phase(Phase::Securing);
                    }
                    let exchange = Arc::clone(&self.exchange);
                    return Ok(Some(TaskTransport::new(socket, exchange)));
                }
                Err(Fault::Wake(Wake::Cancelled)) => {
                    self.exchange.set_stop(Stop::Cancelled);
                    return Err(ureq::Error::Io(io::Error::other("cancelled")));
                }
                Err(Fault::Wake(_)) if Instant::now() >= deadline => {
                    self.exchange.set_stop(Stop::Timeout);
                    return Err(ureq::Error::Timeout(ureq::Timeout::Connect));
                }
                Err(Fault::Wake(_)) => {
                    last_error = Some(io::Error::from(io::ErrorKind::TimedOut));
                }
                Err(Fault::Io(error)) => last_error = Some(error),
            }
        }
        Err(ureq::Error::Io(last_error.unwrap_or_else(|| {
            io::Error::from(io::ErrorKind::AddrNotAvailable)
        })))
    }
}

enum Fault {
    Wake(Wake),
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn open(address: std::net::SocketAddr, deadline: Instant) -> Result<Socket, Fault> {
    let socket = Socket::connect(address)?;
    loop {
        let wake = socket.wait_writable(Some(deadline));
        if wake == Wake::Cancelled {
            return Err(Fault::Wake(wake));
        }
        if let Some(error) = socket.stream().take_error()? {
            return Err(error.into());
        }
        match socket.stream().peer_addr() {
            Ok(_) => break,
            Err(error) if error.kind() != io::ErrorKind::NotConnected => return Err(error.into()),
            Err(_) if wake == Wake::Deadline => return Err(Fault::Wake(wake)),
            // Woken before the connection stood.
            Err(_) => socket.is_full(),
        }
    }
    socket.stream().set_nodelay(true)?;
    timestamp::enable(socket.stream());
    Ok(socket)
}
