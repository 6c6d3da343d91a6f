//! The canned answers over TLS: one thread, one poll, rustls as most servers in Rust
//! have it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use pmcp_loadtest::internal::{AnswerFraming, CannedAnswers, CannedReader, deepen_backlog};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

const LISTENER: Token = Token(usize::MAX);
/// Of the largest `u64`.
const DIGITS_MAX: usize = 20;

/// A server on a free loopback port, with a certificate of its own making.
pub(crate) struct SecureServer {
    poll: Poll,
    listener: TcpListener,
    address: SocketAddr,
    config: Arc<ServerConfig>,
    /// By token; `None` where a connection was closed.
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    desk: Desk,
}

/// What all connections share.
struct Desk {
    reader: CannedReader,
    answers: CannedAnswers,
    output: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    tls: ServerConnection,
    /// What was decrypted and not answered yet.
    plain: Vec<u8>,
}

impl SecureServer {
    pub(crate) fn bind(framing: AnswerFraming) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        deepen_backlog(&listener)?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            address: listener.local_addr()?,
            listener,
            config: Arc::new(config().map_err(io::Error::other)?),
            peers: Vec::new(),
            free: Vec::new(),
            desk: Desk {
                reader: CannedReader::default(),
                answers: CannedAnswers::new(framing, DIGITS_MAX),
                output: Vec::new(),
            },
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}/mcp", self.address)
    }

    /// Serves until the process ends.
    pub(crate) fn serve(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    Token(token) => self.turn(token, event),
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let token = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            let both = Interest::READABLE | Interest::WRITABLE;
            let registry = self.poll.registry();
            let registered = registry.register(&mut stream, Token(token), both);
            let tls = ServerConnection::new(Arc::clone(&self.config));
            match (registered.and_then(|()| stream.set_nodelay(true)), tls) {
                (Ok(()), Ok(tls)) => {
                    self.peers[token] = Some(Peer {
                        stream,
                        tls,
                        plain: Vec::new(),
                    });
                }
                _ => self.free.push(token),
            }
        }
    }

    fn turn(&mut self, token: usize, event: &Event) {
        let Some(peer) = &mut self.peers[token] else {
            return;
        };
        let read = match event.is_readable() || event.is_read_closed() {
            true => peer.receive(&mut self.desk),
            false => Ok(()),
        };
        // What is wrong is said, too, as far as the socket takes it.
        let sent = peer.send();
        if read.and(sent).is_err() {
            self.peers[token] = None;
            self.free.push(token);
        }
    }
}

impl Peer {
    /// Answers what has come.
    fn receive(&mut self, desk: &mut Desk) -> io::Result<()> {
        loop {
            match self.tls.read_tls(&mut self.stream) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            let state = self.tls.process_new_packets().map_err(io::Error::other)?;
            let (start, n_bytes) = (self.plain.len(), state.plaintext_bytes_to_read());
            self.plain.resize(start + n_bytes, 0);
            self.tls.reader().read_exact(&mut self.plain[start..])?;
            let mut used = 0;
            desk.output.clear();
            let unreadable = |_| io::Error::from(io::ErrorKind::InvalidData);
            while let Some((n_bytes, request)) =
                desk.reader.read(&self.plain[used..]).map_err(unreadable)?
            {
                used += n_bytes;
                let id = request.id.as_bytes();
                desk.answers.write(request.asked, id, &mut desk.output);
            }
            self.plain.drain(..used);
            self.tls.writer().write_all(&desk.output)?;
        }
    }

    fn send(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.stream) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn config() -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_string()])?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)?)
}
