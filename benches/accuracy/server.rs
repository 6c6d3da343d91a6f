//! The truth server: an MCP server that takes exactly as long as it is told
//! to, and keeps a record of every call.
//!
//! One thread, on a CPU of its own, with epoll; near a deadline it spins, so
//! that its own timer does not add to what it claims. It imports nothing of
//! the program that it judges.
//!
//! # Which instants
//!
//! The client counts from just before the request's first byte goes to the
//! kernel until the answer's last byte has come to its kernel. The nearest that
//! a server can know: the request's last byte has come to *its* kernel
//! (`SO_TIMESTAMPNS`, which does not depend on when it gets to read it), until
//! just before the answer's last byte goes to the kernel. On loopback the
//! difference is two passes through the kernel, some microseconds in all, and
//! always to the client's side.

use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use pmcp_loadtest::internal::deepen_backlog;

use super::answer::{self, BAD_REQUEST, Framing, GAP};
use super::delay::Delay;
use super::process::pin_to;
use super::request::{self, Asked, Request};
use super::truth::Call;

/// How a server answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// How long calls take.
    pub(crate) delay: Delay,
    /// Of the delays.
    pub(crate) seed: u64,
    /// The form of their answers.
    pub(crate) framing: Framing,
    /// When it does nothing at all, if ever.
    pub(crate) freeze: Option<Freeze>,
    /// How often it pushes something to each session; `None`: it offers no streams.
    pub(crate) push_every: Option<Duration>,
    /// The CPU that its thread keeps to; `None`: wherever it is put.
    pub(crate) core: Option<usize>,
}

/// A time in which a server neither reads nor answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Freeze {
    /// From the first call to its beginning.
    pub(crate) after: Duration,
    /// How long.
    pub(crate) length: Duration,
}

/// A server on a free port of the loopback.
pub(crate) struct TruthServer {
    url: String,
    waker: Arc<Waker>,
    thread: JoinHandle<io::Result<Served>>,
}

/// All that a server has done.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// Every `tools/call`, in the order in which they were read.
    pub(crate) calls: Vec<Call>,
    /// How long it was frozen, as measured.
    pub(crate) frozen: Option<Duration>,
    /// Answers that could not be handed over, to clients that had gone.
    pub(crate) n_lost: u64,
}

impl TruthServer {
    /// Starts it.
    ///
    /// # Errors
    /// The system gives no socket or poll instance.
    pub(crate) fn start(options: Options) -> Result<Self, String> {
        let text = |error: io::Error| format!("the truth server: {error}");
        let state = Server::bind(options).map_err(text)?;
        let url = format!("http://{}/mcp", state.listener.local_addr().map_err(text)?);
        let waker = Arc::clone(&state.waker);
        let thread = std::thread::spawn(move || {
            if let Some(core) = options.core {
                pin_to(core).map_err(io::Error::other)?;
            }
            state.serve()
        });
        Ok(Self { url, waker, thread })
    }

    /// Its endpoint.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Ends it and gives its record.
    ///
    /// # Errors
    /// Its poll failed, or it panicked.
    pub(crate) fn stop(self) -> Result<Served, String> {
        self.waker.wake().map_err(|error| error.to_string())?;
        match self.thread.join() {
            Ok(served) => served.map_err(|error| error.to_string()),
            Err(_) => Err("the truth server panicked".to_string()),
        }
    }
}

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const EVENTS_PER_TURN: usize = 256;
const INPUT_BYTES: usize = 64 * 1024;

/// Room for the record is taken before the load comes.
const CALLS_EXPECTED: usize = 1 << 20;

struct Server {
    poll: Poll,
    waker: Arc<Waker>,
    listener: TcpListener,
    options: Options,
    /// By token; `None` where a connection was closed.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    /// Tells a connection from an earlier one with its token.
    next_generation: u64,
    /// What is to be sent, the next to be due on top.
    jobs: BinaryHeap<Job>,
    input: Vec<u8>,
    clock: Clock,
    freeze_at_ns: Option<u64>,
    served: Served,
}

struct Connection {
    stream: TcpStream,
    generation: u64,
    /// Read and not yet a whole request.
    partial: Vec<u8>,
}

/// Something to be sent.
struct Job {
    due_ns: u64,
    token: usize,
    generation: u64,
    what: What,
}

enum What {
    /// The answer of the call with this number.
    Answer { number: usize, id: String },
    /// Another message on a session's stream.
    Pushed,
    /// The second piece of its answer.
    Rest {
        number: usize,
        bytes: Vec<u8>,
        is_end: bool,
    },
}

/// The connection has ended, in whatever way.
struct Closed;

impl Server {
    fn bind(options: Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        deepen_backlog(&listener)?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            waker,
            listener,
            options,
            connections: Vec::new(),
            free: Vec::new(),
            next_generation: 0,
            jobs: BinaryHeap::new(),
            input: vec![0; INPUT_BYTES],
            clock: Clock::start(),
            freeze_at_ns: None,
            served: Served {
                calls: Vec::with_capacity(CALLS_EXPECTED),
                ..Served::default()
            },
        })
    }

    fn serve(mut self) -> io::Result<Served> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.freeze_if_due();
            for event in &events {
                match event.token() {
                    WAKER => return Ok(self.served),
                    LISTENER => self.accept(),
                    Token(token) => {
                        self.with_connection(token, Self::receive);
                        // Not after all of them: a busy turn is long.
                        self.send_those_due();
                    }
                }
            }
            self.send_those_due();
        }
    }

    /// Poll's timeout is in milliseconds, rounded up: the last one is spent
    /// spinning.
    fn timeout(&self) -> Option<Duration> {
        const GRAIN: Duration = Duration::from_millis(1);
        let next = self.jobs.peek()?;
        let wait = Duration::from_nanos(next.due_ns.saturating_sub(self.clock.now_ns()));
        Some(wait.saturating_sub(GRAIN))
    }

    fn freeze_if_due(&mut self) {
        let Some(freeze) = self.options.freeze else {
            return;
        };
        let is_due = self
            .freeze_at_ns
            .is_some_and(|at| self.clock.now_ns() >= at);
        if is_due && self.served.frozen.is_none() {
            let began = Instant::now();
            std::thread::sleep(freeze.length);
            self.served.frozen = Some(began.elapsed());
        }
    }

    fn accept(&mut self) {
        // An error other than "no more" is the client's loss: it sees no answer.
        while let Ok((mut stream, _)) = self.listener.accept() {
            let token = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let registry = self.poll.registry();
            let registered = stream
                .set_nodelay(true)
                .and_then(|()| kernel::stamp_received(&stream))
                .and_then(|()| registry.register(&mut stream, Token(token), Interest::READABLE));
            if registered.is_err() {
                self.free.push(token);
                continue;
            }
            self.next_generation += 1;
            self.connections[token] = Some(Connection {
                stream,
                generation: self.next_generation,
                partial: Vec::new(),
            });
        }
    }

    /// Does something with a connection, which leaves the table meanwhile and
    /// comes back unless it has ended.
    fn with_connection(
        &mut self,
        token: usize,
        act: impl FnOnce(&mut Self, &mut Connection, usize) -> Result<(), Closed>,
    ) {
        let Some(mut connection) = self.connections.get_mut(token).and_then(Option::take) else {
            return;
        };
        match act(self, &mut connection, token) {
            Ok(()) => self.connections[token] = Some(connection),
            Err(Closed) => self.free.push(token),
        }
    }

    fn receive(&mut self, connection: &mut Connection, token: usize) -> Result<(), Closed> {
        loop {
            let (n_bytes, stamp) = match kernel::read(&mut connection.stream, &mut self.input) {
                Ok((0, _)) => return Err(Closed),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(Closed),
            };
            let (read_ns, received_ns) = self.clock.when(stamp);
            connection.partial.extend_from_slice(&self.input[..n_bytes]);
            let mut used = 0;
            loop {
                match request::read(&connection.partial[used..]) {
                    Ok(None) => break,
                    Ok(Some((length, request))) => {
                        used += length;
                        self.take(connection, token, request, read_ns, received_ns)?;
                    }
                    Err(request::Unreadable) => {
                        // It is closed whether this arrives or not.
                        let _ = connection.stream.write(BAD_REQUEST);
                        return Err(Closed);
                    }
                }
            }
            connection.partial.drain(..used);
            // Less than there was room for: the socket is empty (epoll(7)).
            if n_bytes < self.input.len() {
                return Ok(());
            }
        }
    }

    fn take(
        &mut self,
        connection: &mut Connection,
        token: usize,
        request: Request,
        read_ns: u64,
        received_ns: u64,
    ) -> Result<(), Closed> {
        if let (Asked::Listen, Some(_)) = (request.asked, self.options.push_every) {
            self.push_later(connection, token, read_ns);
            return hand_over(&mut connection.stream, answer::PUSHED_HEAD);
        }
        if request.asked != Asked::CallTool {
            return hand_over(&mut connection.stream, &answer::other(&request));
        }
        let number = self.served.calls.len();
        let delay = self.options.delay.of(self.options.seed, number as u64);
        let due_ns = read_ns + whole_ns(delay);
        self.served.calls.push(Call {
            received_ns,
            read_ns,
            due_ns,
            ..Call::default()
        });
        if let Some(freeze) = self.options.freeze {
            self.freeze_at_ns
                .get_or_insert(read_ns + whole_ns(freeze.after));
        }
        self.jobs.push(Job {
            due_ns,
            token,
            generation: connection.generation,
            what: What::Answer {
                number,
                id: request.id,
            },
        });
        Ok(())
    }

    fn push_later(&mut self, connection: &Connection, token: usize, now_ns: u64) {
        if let Some(every) = self.options.push_every {
            self.jobs.push(Job {
                due_ns: now_ns + whole_ns(every),
                token,
                generation: connection.generation,
                what: What::Pushed,
            });
        }
    }

    fn send_those_due(&mut self) {
        while let Some(job) = self.jobs.peek() {
            if job.due_ns > self.clock.now_ns() {
                return;
            }
            let Some(job) = self.jobs.pop() else {
                return;
            };
            let mut is_there = false;
            let is_answer = !matches!(job.what, What::Pushed);
            self.with_connection(job.token, |server, connection, token| {
                is_there = connection.generation == job.generation;
                match is_there {
                    true => server.send(connection, token, job.what),
                    false => Ok(()),
                }
            });
            // Who asked has gone; another may have come in its place.
            self.served.n_lost += u64::from(!is_there && is_answer);
        }
    }

    fn send(
        &mut self,
        connection: &mut Connection,
        token: usize,
        what: What,
    ) -> Result<(), Closed> {
        let (number, bytes, second, is_end) = match what {
            What::Pushed => {
                self.push_later(connection, token, self.clock.now_ns());
                return hand_over(&mut connection.stream, answer::PUSHED);
            }
            What::Answer { number, id } => {
                let call = &self.served.calls[number];
                let service_ns = self.clock.now_ns() - call.received_ns;
                let delay = Duration::from_nanos(call.due_ns - call.read_ns);
                let framing = self.options.framing;
                let pieces = answer::call(framing, &id, number as u64, service_ns, delay);
                (number, pieces.first, pieces.second, pieces.ends_with_first)
            }
            What::Rest {
                number,
                bytes,
                is_end,
            } => (number, bytes, None, is_end),
        };
        let answered_ns = self.clock.now_ns();
        hand_over(&mut connection.stream, &bytes).inspect_err(|Closed| self.served.n_lost += 1)?;
        if is_end {
            let call = &mut self.served.calls[number];
            call.answered_ns = answered_ns;
            call.handed_ns = self.clock.now_ns();
        }
        if let Some(bytes) = second {
            let due_ns = answered_ns + whole_ns(GAP);
            if !is_end {
                self.served.calls[number].due_ns = due_ns;
            }
            self.jobs.push(Job {
                due_ns,
                token,
                generation: connection.generation,
                what: What::Rest {
                    number,
                    bytes,
                    is_end: !is_end,
                },
            });
        }
        Ok(())
    }
}

/// An answer always fits the buffer of a socket whose client reads: each has
/// one call under way. One that does not is lost, and counted.
fn hand_over(stream: &mut TcpStream, bytes: &[u8]) -> Result<(), Closed> {
    loop {
        match stream.write(bytes) {
            Ok(n_bytes) if n_bytes == bytes.len() => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => return Err(Closed),
        }
    }
}

impl Ord for Job {
    /// The next to be due is the greatest.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.due_ns.cmp(&self.due_ns)
    }
}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.due_ns == other.due_ns
    }
}

impl Eq for Job {}

fn whole_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The monotonic clock, in nanoseconds from the server's beginning.
struct Clock {
    origin: Instant,
}

impl Clock {
    fn start() -> Self {
        let now = Instant::now();
        Self {
            // Nothing that it is asked about came before the server did.
            origin: now.checked_sub(Duration::from_secs(1)).unwrap_or(now),
        }
    }

    fn now_ns(&self) -> u64 {
        whole_ns(self.origin.elapsed())
    }

    /// Now, and the moment of a stamp of the wall clock on this clock. Both
    /// clocks are read within a microsecond of each other; a look that was
    /// interrupted is repeated.
    fn when(&self, stamp: Option<Duration>) -> (u64, u64) {
        const APART_NS_MAX: u64 = 1_000;
        const N_LOOKS_MAX: usize = 10;
        let Some(stamp) = stamp else {
            let now_ns = self.now_ns();
            return (now_ns, now_ns);
        };
        let mut look = (0, 0);
        for _ in 0..N_LOOKS_MAX {
            let before_ns = self.now_ns();
            let wall = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            let after_ns = self.now_ns();
            let age_ns = whole_ns(wall.saturating_sub(stamp));
            look = (after_ns, before_ns.saturating_sub(age_ns));
            if after_ns - before_ns <= APART_NS_MAX {
                break;
            }
        }
        look
    }
}

/// What the portable interface does not offer.
#[cfg(target_os = "linux")]
mod kernel {
    use super::{Duration, TcpStream, io};
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
    use nix::sys::time::TimeSpec;
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;

    /// Asks for the moment at which data reached the kernel.
    pub(super) fn stamp_received(stream: &TcpStream) -> io::Result<()> {
        setsockopt(stream, sockopt::ReceiveTimestampns, &true).map_err(io::Error::from)
    }

    /// Reads what is there, and when the last of it reached the kernel, by the
    /// wall clock.
    pub(super) fn read(
        stream: &mut TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<Duration>)> {
        let mut control = nix::cmsg_space!(TimeSpec);
        let mut slices = [IoSliceMut::new(buffer)];
        let message = recvmsg::<()>(
            stream.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::empty(),
        )?;
        let stamp = message.cmsgs()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
            _ => None,
        });
        Ok((message.bytes, stamp))
    }
}

/// Without kernel timestamps the moment of reading has to do.
#[cfg(not(target_os = "linux"))]
mod kernel {
    use super::{Duration, TcpStream, io};
    use std::io::Read;

    pub(super) fn stamp_received(_: &TcpStream) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn read(
        stream: &mut TcpStream,
        buffer: &mut [u8],
    ) -> io::Result<(usize, Option<Duration>)> {
        stream.read(buffer).map(|n_bytes| (n_bytes, None))
    }
}
