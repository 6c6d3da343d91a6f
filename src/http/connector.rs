//! Opens connections: TCP, and TLS where the URL asks for it.
//!
//! The TLS layer is ureq's, over rustls: it stands in front of our transport and
//! is one itself. Of ureq's client nothing is used, for which it gets a config
//! that says nothing but how the certificate is checked.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Instant as UreqInstant;
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, NextTimeout, RustlsConnector, Transport,
};

use super::endpoint::Endpoint;
use super::exchange::{Exchange, Phase, Stop};
use super::timestamp;
use super::transport::TaskTransport;
use crate::scheduler::{Socket, Wake, lateness};

/// The TLS layer's own buffers, in both directions.
const TLS_BUFFER_BYTES: usize = 16 * 1024;

/// One user's TLS: its settings, and the sessions that it may resume.
pub(super) struct Tls {
    connector: RustlsConnector,
    config: Config,
}

impl Tls {
    pub(super) fn new(tls: TlsConfig) -> Self {
        let config = Agent::config_builder()
            .proxy(None)
            .input_buffer_size(TLS_BUFFER_BYTES)
            .output_buffer_size(TLS_BUFFER_BYTES)
            .tls_config(tls)
            .build();
        Self {
            connector: RustlsConnector::default(),
            config,
        }
    }

    /// Makes the handshake. Deadlines are the transport's.
    fn secure(&self, uri: &Uri, tcp: TaskTransport) -> Result<Box<dyn Transport>, ureq::Error> {
        let details = ConnectionDetails {
            uri,
            addrs: NoLookup.empty(),
            config: &self.config,
            request_level: false,
            resolver: &NoLookup,
            now: UreqInstant::NotHappening,
            timeout: NextTimeout::default(),
            current_time: Arc::new(|| UreqInstant::NotHappening),
            run_connector: Arc::new(|_| Err(ureq::Error::ConnectionFailed)),
            register_shutdown: Arc::new(|_| Ok(())),
        };
        match self.connector.connect(&details, Some(tcp))? {
            Some(transport) => Ok(Box::new(transport)),
            None => Err(ureq::Error::ConnectionFailed),
        }
    }
}

/// Addresses are found before the run.
#[derive(Debug)]
struct NoLookup;

impl Resolver for NoLookup {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Err(ureq::Error::HostNotFound)
    }
}

/// Opens a connection to the endpoint.
///
/// # Errors
/// When none stands by the exchange's deadline; the exchange knows in which phase
/// that was, and what stopped it.
pub(super) fn connect(
    endpoint: &Endpoint,
    tls: Option<&Tls>,
    exchange: &Arc<Exchange>,
) -> Result<Box<dyn Transport>, ureq::Error> {
    let tcp = connect_tcp(&endpoint.addresses, exchange)?;
    match tls {
        Some(tls) => {
            exchange.set_phase(Phase::Securing);
            tls.secure(&endpoint.uri, tcp)
        }
        None => Ok(Box::new(tcp)),
    }
}

/// Opens a TCP connection to the first address that takes it.
fn connect_tcp(
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
            Err(Fault::Wake(Wake::Cancelled)) => {
                exchange.set_stop(Stop::Cancelled);
                return Err(ureq::Error::Io(io::Error::other("cancelled")));
            }
            Err(Fault::Wake(_)) if Instant::now() >= deadline => {
                exchange.set_stop(Stop::Timeout);
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

enum Fault {
    Wake(Wake),
    Io(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn open(address: SocketAddr, deadline: Instant) -> Result<Socket, Fault> {
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
