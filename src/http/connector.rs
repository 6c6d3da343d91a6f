//! Opens connections: TCP by `dial.rs`, and TLS where the URL asks for it.
//!
//! The TLS layer is ureq's, over rustls: it is in front of our transport and
//! is one itself. Of ureq's client nothing is used, for which it gets a config
//! that says nothing but how the certificate is checked.

use std::sync::Arc;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Instant as UreqInstant;
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, NextTimeout, RustlsConnector, Transport,
};

use super::dial;
use super::endpoint::Endpoint;
use super::exchange::{Exchange, ExchangePhase};
use super::transport::TaskTransport;

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
        Some(tls) => {
            exchange.set_phase(ExchangePhase::Securing);
            tls.secure(&endpoint.uri, tcp)
        }
        None => Ok(Box::new(tcp)),
    }
}
