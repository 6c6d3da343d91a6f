//! An MCP server that costs next to nothing, so that what is measured against it
//! is the load generator: one thread, one poll, and answers that were rendered
//! before.
//!
//! It speaks HTTP/1.1 with keep-alive and pipelining, opens sessions (legacy)
//! and answers `server/discover` (modern), lists one tool, `echo`, and answers
//! every `tools/call` with the same result under the id of the request. It
//! checks nothing: it cannot tell whether what a client sends is right. Like `demo`, it must
//! not import the client's protocol code. Start with [`CannedServer::serve`];
//! `request.rs` finds requests in bytes, `answers.rs` holds the answers,
//! `thread.rs` serves from a thread with a CPU of its own.

mod answers;
mod request;
mod thread;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use self::answers::BAD_REQUEST;
pub use self::answers::{AnswerFraming, CannedAnswers};
pub use self::request::CannedReader;
use self::request::{CannedRequest, Digits, Unreadable};
pub use self::thread::ServerThread;
use crate::clock;

/// How a server answers.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The form of `tools/call` answers.
    pub framing: AnswerFraming,
    /// From reading a request to answering it; zero answers at once.
    pub delay: Duration,
}

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const EVENTS_PER_TURN: usize = 1024;
const INPUT_BYTES: usize = 64 * 1024;

/// The server: a listener and its connections.
pub struct CannedServer {
    poll: Poll,
    waker: Arc<Waker>,
    listener: TcpListener,
    address: SocketAddr,
    /// By token; `None` where a connection was closed.
    connections: Vec<Option<CannedConnection>>,
    free: Vec<usize>,
    /// Answers that are due, in this order since all wait equally long.
    waiting: VecDeque<DelayedAnswer>,
    /// Tells a connection from an earlier one with its token.
    next_generation: u64,
    answers: CannedAnswers,
    options: Options,
    reader: CannedReader,
    /// Where every connection's bytes are read to.
    input: Vec<u8>,
    /// What is written to the connection at hand.
    output: Vec<u8>,
}

struct CannedConnection {
    stream: TcpStream,
    generation: u64,
    /// The start of a request that is not complete yet.
    partial: Vec<u8>,
    /// What the socket had no room for.
    unsent: Vec<u8>,
}

struct DelayedAnswer {
    due: Instant,
    token: usize,
    generation: u64,
    request: CannedRequest,
}

/// The connection has ended, in whatever way.
struct Closed;

impl CannedServer {
    /// A server on a free loopback port.
    ///
    /// # Errors
    /// When the system gives no socket or poll instance.
    pub fn bind(options: Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        deepen_backlog(&listener)?;
        let address = listener.local_addr()?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            waker,
            listener,
            address,
            connections: Vec::new(),
            free: Vec::new(),
            waiting: VecDeque::new(),
            next_generation: 0,
            answers: CannedAnswers::new(options.framing, Digits::MAX),
            options,
            reader: CannedReader::default(),
            input: vec![0; INPUT_BYTES],
            output: Vec::new(),
        })
    }

    /// The endpoint's URL.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Ends [`serve`](Self::serve), from any thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Serves until the waker is used.
    ///
    /// # Errors
    /// When the system's poll fails.
    pub fn serve(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                match event.token() {
                    WAKER => return Ok(()),
                    LISTENER => self.accept(),
                    Token(token) => {
                        if event.is_writable() {
                            self.with_connection(token, Self::send);
                        }
                        if event.is_readable() || event.is_read_closed() || event.is_error() {
                            self.with_connection(token, Self::receive);
                        }
                    }
                }
            }
            self.answer_those_due();
        }
    }

    /// Until the next answer is due. Poll's timeout is in milliseconds, rounded
    /// up: the last one is spent spinning, on a core that is the server's own.
    fn timeout(&self) -> Option<Duration> {
        const GRAIN: Duration = Duration::from_millis(1);
        let next = self.waiting.front()?;
        let wait = next.due.saturating_duration_since(clock::now());
        Some(wait.saturating_sub(GRAIN))
    }

    fn accept(&mut self) {
        // An error other than "no more" is the client's loss: it sees no answer.
        while let Ok((mut stream, _)) = self.listener.accept() {
            let token = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            // It is needed: pipelined answers may leave in more than one write.
            let registered = stream.set_nodelay(true).and_then(|()| {
                self.poll
                    .registry()
                    .register(&mut stream, Token(token), Interest::READABLE)
            });
            if registered.is_err() {
                self.free.push(token);
                continue;
            }
            self.next_generation += 1;
            self.connections[token] = Some(CannedConnection {
                stream,
                generation: self.next_generation,
                partial: Vec::new(),
                unsent: Vec::new(),
            });
        }
    }

    /// Does something with a connection, which leaves the table meanwhile and
    /// comes back unless it has ended.
    fn with_connection(
        &mut self,
        token: usize,
        act: impl FnOnce(&mut Self, &mut CannedConnection, usize) -> Result<(), Closed>,
    ) {
        let Some(mut connection) = self.connections.get_mut(token).and_then(Option::take) else {
            return;
        };
        match act(self, &mut connection, token) {
            Ok(()) => self.connections[token] = Some(connection),
            Err(Closed) => self.free.push(token),
        }
    }

    fn receive(&mut self, connection: &mut CannedConnection, token: usize) -> Result<(), Closed> {
        loop {
            let n_bytes = match connection.stream.read(&mut self.input) {
                Ok(0) => return Err(Closed),
                Ok(n_bytes) => n_bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(Closed),
            };
            self.output.clear();
            if connection.partial.is_empty() {
                let input = std::mem::take(&mut self.input);
                let result = self.take_requests(&input[..n_bytes], connection.generation, token);
                if let Ok(used) = result {
                    connection.partial.extend_from_slice(&input[used..n_bytes]);
                }
                self.input = input;
                result.map_err(|Unreadable| refuse(connection))?;
            } else {
                let mut bytes = std::mem::take(&mut connection.partial);
                bytes.extend_from_slice(&self.input[..n_bytes]);
                let used = self
                    .take_requests(&bytes, connection.generation, token)
                    .map_err(|Unreadable| refuse(connection))?;
                bytes.drain(..used);
                connection.partial = bytes;
            }
            self.send(connection, token)?;
            // A short read has emptied the socket: the next event tells of more.
            if cfg!(unix) && n_bytes < self.input.len() {
                return Ok(());
            }
        }
    }

    /// Answers all complete requests into `output`, or notes them for later;
    /// how many bytes they took.
    fn take_requests(
        &mut self,
        input: &[u8],
        generation: u64,
        token: usize,
    ) -> Result<usize, Unreadable> {
        let mut used = 0;
        while used < input.len() {
            let Some((n_bytes, request)) = self.reader.read(&input[used..])? else {
                break;
            };
            used += n_bytes;
            if self.options.delay.is_zero() {
                let id = request.id.as_bytes();
                self.answers.write(request.asked, id, &mut self.output);
            } else {
                self.waiting.push_back(DelayedAnswer {
                    due: clock::now() + self.options.delay,
                    token,
                    generation,
                    request,
                });
            }
        }
        Ok(used)
    }

    fn answer_those_due(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let now = clock::now();
        while self.waiting.front().is_some_and(|next| next.due <= now)
            && let Some(next) = self.waiting.pop_front()
        {
            self.with_connection(next.token, |server, connection, token| {
                if connection.generation != next.generation {
                    return Ok(());
                }
                server.output.clear();
                let id = next.request.id.as_bytes();
                server
                    .answers
                    .write(next.request.asked, id, &mut server.output);
                server.send(connection, token)
            });
        }
    }

    /// Writes what is unsent, then `output`.
    fn send(&mut self, connection: &mut CannedConnection, token: usize) -> Result<(), Closed> {
        if !connection.unsent.is_empty() {
            connection.unsent.append(&mut self.output);
            std::mem::swap(&mut connection.unsent, &mut self.output);
        }
        let mut sent = 0;
        while sent < self.output.len() {
            match connection.stream.write(&self.output[sent..]) {
                Ok(n_bytes) => sent += n_bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    connection.unsent.extend_from_slice(&self.output[sent..]);
                    let both = Interest::READABLE | Interest::WRITABLE;
                    self.poll
                        .registry()
                        .reregister(&mut connection.stream, Token(token), both)
                        .map_err(|_| Closed)?;
                    break;
                }
                Err(_) => return Err(Closed),
            }
        }
        self.output.clear();
        Ok(())
    }
}

/// Says why, as far as the socket has room, before the connection ends.
fn refuse(connection: &mut CannedConnection) -> Closed {
    // The connection is given up in any case.
    let _ = connection.stream.write(BAD_REQUEST);
    Closed
}

/// The standard backlog of 128 would drop most of some thousand clients that
/// connect at once, and each would wait a second before it tries again.
///
/// # Errors
/// What the system says.
#[cfg(all(target_os = "linux", not(pmcp_portable)))]
pub fn deepen_backlog(listener: &impl std::os::fd::AsFd) -> io::Result<()> {
    use nix::sys::socket::{Backlog, listen};
    Ok(listen(&listener.as_fd(), Backlog::MAXCONN)?)
}

/// Elsewhere it is left as it is.
///
/// # Errors
/// None.
#[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
pub fn deepen_backlog<T>(_: &T) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
