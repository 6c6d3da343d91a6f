//! TLS for the blocking client: the same trust, the same certificate of ours and the same
//! words as for the load, over ureq's transports.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::fault::{TlsFault, closed, stalled};
use super::person::Person;
use super::{Material, of_person, server_name};
use crate::error::UserError;
use crate::http::lookup::bare;
use crate::network::TlsOptions;

/// Makes connections to `https` addresses secure.
pub(in crate::http) struct BlockingTls {
    options: TlsOptions,
    material: Material,
    /// The host that `TlsOptions::server_name` is of.
    named: String,
    /// Made when it is needed: whom to trust matters to nobody before.
    config: OnceLock<Result<ClientConfig, String>>,
}

impl BlockingTls {
    /// `named` is the host whose certificate may be made out for another name.
    ///
    /// # Errors
    /// When a file of the user's is of no use.
    pub(in crate::http) fn new(options: &TlsOptions, named: &str) -> Result<Self, UserError> {
        Ok(Self {
            options: options.clone(),
            material: Material::load(options)?,
            named: named.to_string(),
            config: OnceLock::new(),
        })
    }

    /// The name that a host's certificate must have.
    fn name_for<'a>(&'a self, host: &'a str) -> &'a str {
        let own = self.options.server_name.as_deref();
        own.filter(|_| host.eq_ignore_ascii_case(&self.named))
            .unwrap_or(host)
    }

    fn secure(
        &self,
        details: &ConnectionDetails<'_>,
        transport: Box<dyn Transport>,
    ) -> Result<BlockingTlsTransport, ureq::Error> {
        let failed = |why: &str| ureq::Error::Io(io::Error::other(why));
        let config = self.config.get_or_init(|| {
            let config = self.material.config(self.options.insecure);
            config.map_err(|error| error.what().to_string())
        });
        let config = config.as_ref().map_err(|why| failed(why))?;
        let host = bare(details.uri.host().unwrap_or_default());
        let name = server_name(self.name_for(host)).map_err(|error| failed(error.what()))?;
        let certificate = self.material.certificate.clone();
        let (config, person) = of_person(config, certificate, self.options.resumption);
        let connection = ClientConnection::new(config, name);
        let connection = connection.map_err(|error| told(io::Error::other(error), &person))?;
        let mut socket = TransportAdapter::new(transport, details.current_time.clone());
        socket.set_timeout(details.timeout);
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            let made = stream.conn.complete_io(&mut stream.sock);
            let has_begun = stream.conn.protocol_version().is_some();
            let broken_off = |how| TlsFault::said(closed(how, false, has_begun));
            made.map_err(|error| match told(error, &person) {
                ureq::Error::Io(error) => match error.kind() {
                    io::ErrorKind::UnexpectedEof => broken_off("was closed"),
                    io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe => broken_off("was reset"),
                    _ => error.into(),
                },
                ureq::Error::Timeout(_) => TlsFault::said(stalled(false, has_begun)),
                other => other,
            })?;
        }
        let config = details.config;
        let (input, output) = (config.input_buffer_size(), config.output_buffer_size());
        Ok(BlockingTlsTransport {
            buffers: LazyBuffers::new(input, output),
            stream,
            person,
        })
    }
}

/// The error of rustls or ureq that travelled as one of `io`.
fn told(error: io::Error, person: &Person) -> ureq::Error {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(fault) => ureq::Error::Other(Box::new(TlsFault::of(fault, person, false))),
        None => error.into(),
    }
}

impl<In: Transport> Connector<In> for BlockingTls {
    type Out = Either<In, BlockingTlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let secured = self.secure(details, Box::new(transport))?;
        Ok(Some(Either::B(secured)))
    }
}

impl fmt::Debug for BlockingTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingTls").finish_non_exhaustive()
    }
}

pub(in crate::http) struct BlockingTlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    person: Arc<Person>,
}

impl Transport for BlockingTlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        let written = self.stream.write_all(output);
        let flushed = written.and_then(|()| self.stream.flush());
        flushed.map_err(|error| told(error, &self.person))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let room = self.buffers.input_append_buf();
        let read = self.stream.read(room);
        let n = read.map_err(|error| told(error, &self.person))?;
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    /// None is kept for another request.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for BlockingTlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingTlsTransport")
            .finish_non_exhaustive()
    }
}
