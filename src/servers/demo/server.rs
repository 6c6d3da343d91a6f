//! The loop: one thread, one poll, all connections.
//!
//! ```text
//!              bytes                 request            reply, spoilt or not
//!   readable ────────▶ RequestReader ───────▶ Desk ───────────────────────▶ output
//!                                                                             │ now, or when its
//!   next request ◀── finished ◀── handed to the kernel ◀──────────────────────┘ timer or slot says
//! ```
//!
//! A connection serves one request at a time; what comes meanwhile waits in its
//! buffer. The answer is written out when the call begins, so that at the due
//! instant nothing is left to do but to send it.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use fastrand::Rng;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use serde_json::Value;

use super::super::head::HttpRefusal;
use super::answer::{self, Form, Then};
use super::asking::{AskedAnswer, Consultation, DemoAsk};
use super::capacity::{Admission, Gate, Waiter, turned_away};
use super::desk::Desk;
use super::faults::DemoFault;
use super::message::{DemoReply, ReplyBody};
use super::offer::{Class, INVALID_REQUEST, ServedEra, consulted};
use super::options::DemoOptions;
use super::stats::DemoStats;
use super::subscribe::Subscribed;
use super::wire::{self, HttpMethod, HttpRequest, RequestReader};
use crate::alarm::PollAlarm;
use crate::clock::SystemClock;

const LISTENER: Token = Token(usize::MAX - 1);
const ALARM: Token = Token(usize::MAX - 2);
const WAKER: Token = Token(usize::MAX - 3);

/// One read takes at most this much.
const READ_LEN: usize = 64 * 1024;
/// While a request is served, no more than this is read ahead on its connection.
const READ_AHEAD_MAX: usize = 256 * 1024;
/// Buffers larger than this are not kept for the next request.
const BUFFER_KEPT_MAX: usize = 16 * 1024;
/// So much is read and thrown away after a refusal, for the answer to arrive
/// before a reset does.
const DISCARD_MAX: usize = 64 * 1024 * 1024;
/// How long no connection is accepted after the system refused one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// What the thread is told.
pub(super) enum DemoCommand {
    /// Send what was counted.
    Stats(Sender<DemoStats>),
    Stop,
}

/// Everything that the thread owns.
pub(super) struct DemoLoop {
    options: DemoOptions,
    port: u16,
    poll: Poll,
    listener: TcpListener,
    /// When the listener is looked at again, after the system refused a connection.
    accepts_again_at: Option<Duration>,
    alarm: PollAlarm<Duration>,
    clock: SystemClock,
    commands: Receiver<DemoCommand>,
    /// By number; a number is used again after its connection has ended.
    connections: Vec<Option<DemoConnection>>,
    free_numbers: Vec<usize>,
    timers: BinaryHeap<Reverse<CallTimer>>,
    gate: Option<Gate>,
    /// By session: the connection of its stream.
    streams: HashMap<u128, usize>,
    desk: Desk,
    /// By the id of the request to the client; one for each of some connections at most.
    asked: HashMap<u64, AskedCall>,
    draws: Draws,
    stats: DemoStats,
    /// Never used twice, so that a timer knows its call.
    next_ticket: u64,
    /// Of the next connection.
    next_backend: u16,
    /// Room for one read.
    scratch: Vec<u8>,
    /// Room for one message.
    message: Vec<u8>,
}

/// The random streams, one for each kind of decision, so that none shifts the
/// others.
struct Draws {
    latency: Rng,
    fault: Rng,
    answer: Rng,
    mix: Rng,
}

/// When a call's answer is due. The order is that of instants, and of arrival
/// among equal ones.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct CallTimer {
    at: Duration,
    ticket: u64,
    number: usize,
    /// The call was in a slot, which comes free now, whether or not its client
    /// is still there.
    frees_slot: bool,
}

struct DemoConnection {
    stream: TcpStream,
    reader: RequestReader,
    /// Bytes that came and are not used up yet.
    input: Vec<u8>,
    /// The answer, from when it is known until it is sent.
    output: Vec<u8>,
    /// `0 <= n_sent <= output.len()`.
    n_sent: usize,
    /// The request that is served; `None` while one is awaited.
    busy: Option<Busy>,
    /// The stream that it is.
    streamed: Option<Streamed>,
    /// What is told on it, where a client has subscribed to that.
    subscribed: Option<Box<Subscribed>>,
    then: Then,
    /// Reading stopped because too much came ahead.
    is_paused: bool,
    /// How much was thrown away.
    n_discarded: usize,
    /// Which of the servers behind a balancer it leads to.
    backend: u16,
    /// Pieces of the answer that are not yet due, each at its own time.
    pieces: VecDeque<Vec<u8>>,
    /// What the client of its call was asked, for whose answer the call waits.
    asked: Option<u64>,
    /// The answer once more, while it may still be exchanged with another client's.
    held: Option<HeldAnswer>,
    /// The answer has another client's result.
    is_mixed: bool,
}

/// An answer that is written again where it is exchanged.
struct HeldAnswer {
    reply: DemoReply,
    form: Form,
    closes: bool,
}

impl HeldAnswer {
    /// Whether it goes to another client: another session, or without sessions another
    /// connection, which both are on already.
    fn is_to_another(&self, other: &Self) -> bool {
        self.reply.within.is_none() || self.reply.within != other.reply.within
    }
}

/// A session's stream, or that of a subscription.
#[derive(Debug, Clone, Copy)]
struct Streamed {
    /// `None` for a subscription.
    session: Option<u128>,
    /// Of the last event.
    event_id: u64,
    /// What its client was asked on it last and has not answered yet.
    asked: Option<u64>,
}

/// A call that waits for its client's answer to a request of ours.
struct AskedCall {
    number: usize,
    ticket: u64,
    /// The id of the call.
    id: Value,
    kind: Consultation,
    session: Option<u128>,
    closes: bool,
}

/// A request on its way.
#[derive(Debug, Clone, Copy)]
struct Busy {
    ticket: u64,
    began_at: Duration,
    is_call: bool,
    stage: CallStage,
}

impl Busy {
    fn new(ticket: u64, began_at: Duration, is_call: bool, stage: CallStage) -> Self {
        Self {
            ticket,
            began_at,
            is_call,
            stage,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallStage {
    /// In the queue before the slots.
    Waiting,
    /// Due at some time, or never.
    Working,
    /// As fast as the client takes it.
    Sending,
    /// A stream that goes on.
    Streaming,
}

/// What became of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flushed {
    /// The kernel has all of it.
    All,
    /// The client takes no more for now.
    Part,
    /// The connection is gone.
    Closed,
}

/// When a request's answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AnswerTime {
    Now,
    After {
        time: Duration,
        in_slot: bool,
    },
    /// When a slot is free.
    InTurn,
    Never,
}

impl DemoLoop {
    /// Binds the port; `run` serves it.
    pub(super) fn bind(
        options: DemoOptions,
        commands: Receiver<DemoCommand>,
    ) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let mut listener = TcpListener::bind(address)?;
        let port = listener.local_addr()?.port();
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let alarm = PollAlarm::new(poll.registry(), ALARM)?;
        let seeded =
            |stream: u64| Rng::with_seed(options.seed.wrapping_mul(4).wrapping_add(stream));
        let server = Self {
            port,
            listener,
            accepts_again_at: None,
            alarm,
            clock: SystemClock::start(),
            commands,
            connections: Vec::new(),
            free_numbers: Vec::new(),
            timers: BinaryHeap::new(),
            gate: options.capacity.as_ref().map(Gate::new),
            streams: HashMap::new(),
            desk: Desk::new(&options),
            asked: HashMap::new(),
            draws: Draws {
                latency: seeded(0),
                fault: seeded(1),
                answer: seeded(2),
                mix: seeded(3),
            },
            stats: DemoStats::default(),
            next_ticket: 0,
            next_backend: 0,
            scratch: vec![0; READ_LEN],
            message: Vec::new(),
            options,
            poll,
        };
        Ok((server, waker))
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Serves until it is told to stop, or the poll fails.
    pub(super) fn run(mut self) -> DemoStats {
        let mut events = Events::with_capacity(1024);
        loop {
            let due = self.timers.peek().map(|Reverse(timer)| timer.at);
            let due = due.into_iter().chain(self.accepts_again_at).min();
            let clock = &self.clock;
            let timeout = self.alarm.set(due, |due| due.saturating_sub(clock.now()));
            match timeout.and_then(|timeout| self.poll.poll(&mut events, timeout)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return self.stats,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    ALARM => self.alarm.went_off(),
                    WAKER => {
                        while let Ok(command) = self.commands.try_recv() {
                            match command {
                                // Who asked may have gone.
                                DemoCommand::Stats(reply) => drop(reply.send(self.stats.clone())),
                                DemoCommand::Stop => return self.stats,
                            }
                        }
                    }
                    Token(number) => {
                        if event.is_writable() {
                            self.send_on(number);
                        }
                        if event.is_readable() {
                            self.read(number, event.is_read_closed());
                        }
                    }
                }
            }
            self.ring_timers();
        }
    }

    fn accept(&mut self) {
        self.accepts_again_at = None;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.open(stream),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    // Too many open files, most likely: the edge is used up, so
                    // nothing but time brings us back here.
                    _ => {
                        self.accepts_again_at = Some(self.clock.now() + ACCEPT_PAUSE);
                        return;
                    }
                },
            }
        }
    }

    fn open(&mut self, mut stream: TcpStream) {
        // Without it, answers in two packets would wait for the client's ACK.
        let _ = stream.set_nodelay(true);
        let number = self.free_numbers.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        if registry
            .register(&mut stream, Token(number), interest)
            .is_err()
        {
            self.free_numbers.push(number);
            return;
        }
        self.connections[number] = Some(DemoConnection {
            stream,
            reader: RequestReader::default(),
            input: Vec::new(),
            output: Vec::new(),
            n_sent: 0,
            busy: None,
            streamed: None,
            subscribed: None,
            then: Then::ReadOn,
            is_paused: false,
            n_discarded: 0,
            backend: self.next_backend,
            held: None,
            is_mixed: false,
            pieces: VecDeque::new(),
            asked: None,
        });
        self.next_backend = (self.next_backend + 1) % self.options.backends.max(1);
        self.stats.connections_opened += 1;
        self.stats.connections_open += 1;
        let open = self.stats.connections_open;
        raise(&mut self.stats.connections_open_max, open);
    }

    fn connection(&mut self, number: usize) -> Option<&mut DemoConnection> {
        self.connections.get_mut(number)?.as_mut()
    }

    /// Reads what is there and serves it. An end of the client's bytes is taken
    /// for the end of the connection: clients of HTTP don't close one half.
    fn read(&mut self, number: usize, is_read_closed: bool) {
        loop {
            let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else {
                return;
            };
            if connection.busy.is_some() && connection.input.len() >= READ_AHEAD_MAX {
                connection.is_paused = true;
                return;
            }
            match connection.stream.read(&mut self.scratch) {
                Ok(0) => return self.close(number),
                Ok(len) => {
                    if connection.then == Then::Discard && connection.busy.is_none() {
                        connection.n_discarded += len;
                        if connection.n_discarded > DISCARD_MAX {
                            return self.close(number);
                        }
                    } else {
                        connection.input.extend_from_slice(&self.scratch[..len]);
                        self.serve_input(number);
                    }
                    // A read that doesn't fill the buffer has emptied the socket
                    // (epoll(7)); only an end may still be there, of which we
                    // have been told. Other systems want the error.
                    let is_drained = len < READ_LEN && !is_read_closed;
                    if is_drained && cfg!(target_os = "linux") {
                        return;
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return,
                    ErrorKind::Interrupted => {}
                    _ => return self.close(number),
                },
            }
        }
    }

    /// Serves requests from the connection's buffer until one is not finished
    /// at once.
    fn serve_input(&mut self, number: usize) {
        let mut n_used = 0;
        while let Some(connection) = self.connection(number) {
            if connection.busy.is_some() || connection.then != Then::ReadOn {
                break;
            }
            match connection.reader.feed(&connection.input[n_used..]) {
                Ok((used, request)) => {
                    n_used += used;
                    match request {
                        Some(mut request) => {
                            request.head.backend = connection.backend;
                            self.serve(number, &request);
                        }
                        None => break,
                    }
                }
                Err(refusal) => {
                    n_used = connection.input.len();
                    self.refuse(number, refusal);
                    break;
                }
            }
        }
        if let Some(connection) = self.connection(number) {
            connection.input.drain(..n_used);
            if connection.input.is_empty() && connection.input.capacity() > BUFFER_KEPT_MAX {
                connection.input = Vec::new();
            }
        }
    }

    /// Answers bytes that are not an HTTP request. The connection cannot be used
    /// after that.
    fn refuse(&mut self, number: usize, refusal: HttpRefusal) {
        self.stats.malformed += 1;
        let began_at = self.clock.now();
        let ticket = self.draw_ticket();
        let Some(connection) = self.connection(number) else {
            return;
        };
        let answer = wire::HttpAnswer {
            status: refusal.status,
            content_type: Some("text/plain"),
            headers: &[],
            closes: true,
            body: refusal.text.as_bytes(),
        };
        wire::write_answer(&mut connection.output, &answer);
        connection.then = Then::Discard;
        connection.busy = Some(Busy::new(ticket, began_at, false, CallStage::Sending));
        self.send(number);
        if let Some(connection) = self.connection(number) {
            // The client sees the end of the answer; what it still sends is read.
            let _ = connection.stream.shutdown(Shutdown::Write);
        }
    }

    /// Answers a request: at once, or when its time has come.
    fn serve(&mut self, number: usize, request: &HttpRequest) {
        self.stats.requests += 1;
        let now = self.clock.now();
        let mut reply = self.desk.answer(request, now, &mut self.stats);
        if let Some(subscribed) = reply.subscription.take() {
            let streamed = Streamed {
                session: None,
                event_id: 0,
                asked: None,
            };
            return self.begin_stream(number, streamed, Some(subscribed));
        }
        if let Some(session) = reply.stream {
            if !self.streams.contains_key(&session) {
                let streamed = Streamed {
                    session: Some(session),
                    event_id: request.head.last_event_id.unwrap_or(0),
                    asked: None,
                };
                return self.begin_stream(number, streamed, None);
            }
            let text = "Conflict: only one stream per session is allowed";
            reply = DemoReply::refusal(409, INVALID_REQUEST, text);
        }
        let is_delete = request.head.method == HttpMethod::Delete;
        let ended = reply.within.filter(|_| is_delete);
        let stream = ended.and_then(|session| self.streams.get(&session).copied());
        if let Some(stream) = stream {
            self.end_stream(stream);
        }
        let is_handshake = reply.class == Some(Class::Handshake);
        if is_handshake && self.options.delay_handshake && reply.status == 200 {
            reply.work = Some(Duration::ZERO);
        }
        let is_call = reply.class.is_some() && !is_handshake;
        if is_call {
            self.stats.in_flight += 1;
            let in_flight = self.stats.in_flight;
            raise(&mut self.stats.in_flight_max, in_flight);
        }
        let ticket = self.draw_ticket();
        let mut fault = self.draw_fault(&reply);
        if let Some(answer) = reply.answers.take() {
            self.go_on_with(answer, reply.within);
        }
        if let (Some(ask), ReplyBody::Message { id, .. }) = (reply.ask.take(), &reply.body) {
            let asked = AskedCall {
                number,
                ticket,
                id: id.clone(),
                kind: ask.kind,
                session: reply.within,
                closes: request.head.closes,
            };
            return self.ask(&ask, asked, now);
        }
        let step = match reply.work {
            None => AnswerTime::Now,
            Some(_) if fault == Some(DemoFault::Hang) => AnswerTime::Never,
            Some(extra) if is_call && self.gate.is_some() => {
                self.enter(number, ticket, extra).unwrap_or_else(|text| {
                    fault = None;
                    reply = DemoReply::text(503, text);
                    AnswerTime::Now
                })
            }
            Some(extra) => {
                let latency = self.options.latency.sample(&mut self.draws.latency);
                AnswerTime::After {
                    time: latency.saturating_add(extra),
                    in_slot: false,
                }
            }
        };
        let then = self.write_reply(number, request.head.closes, fault, reply);
        if let Some(connection) = self.connection(number) {
            connection.then = then;
            let stage = match step {
                AnswerTime::Now => CallStage::Sending,
                AnswerTime::InTurn => CallStage::Waiting,
                AnswerTime::After { .. } | AnswerTime::Never => CallStage::Working,
            };
            connection.busy = Some(Busy::new(ticket, now, is_call, stage));
        }
        if step != AnswerTime::Now && step != AnswerTime::Never {
            self.mix(number);
        }
        match step {
            AnswerTime::Now => self.send(number),
            AnswerTime::After { time, in_slot } => {
                self.finish_at(number, ticket, now, time, in_slot)
            }
            AnswerTime::InTurn | AnswerTime::Never => {}
        }
    }

    /// Begins a session's stream, or that of a subscription.
    fn begin_stream(
        &mut self,
        number: usize,
        streamed: Streamed,
        subscribed: Option<Box<Subscribed>>,
    ) {
        let ticket = self.draw_ticket();
        let began_at = self.clock.now();
        let Some(connection) = self.connection(number) else {
            return;
        };
        wire::write_stream_head(&mut connection.output, &[], false);
        if let Some(subscribed) = &subscribed {
            let first = subscribed.acknowledgement().to_string();
            let mut event = Vec::with_capacity(first.len() + 64);
            wire::write_event(&mut event, first.as_bytes(), "\n");
            wire::write_chunk(&mut connection.output, &event);
        }
        connection.streamed = Some(streamed);
        connection.subscribed = subscribed;
        connection.busy = Some(Busy::new(ticket, began_at, false, CallStage::Streaming));
        if let Some(session) = streamed.session {
            self.streams.insert(session, number);
        }
        self.stats.streams_opened += 1;
        self.stats.streams_open += 1;
        let open = self.stats.streams_open;
        raise(&mut self.stats.streams_open_max, open);
        if self.flush(number) != Flushed::Closed {
            self.push_later(number, ticket);
        }
    }

    fn push_later(&mut self, number: usize, ticket: u64) {
        let Some(every) = self.options.stream_every.filter(|every| !every.is_zero()) else {
            return;
        };
        self.set_timer(
            self.clock.now().saturating_add(every),
            number,
            ticket,
            false,
        );
    }

    /// Sends another notification on a stream, and asks its client where that is wanted,
    /// unless the client is behind. The stream of a session that has ended ends.
    fn push(&mut self, number: usize, ticket: u64) {
        let streamed = self.connection(number).and_then(|it| it.streamed);
        let Some(streamed) = streamed else { return };
        let session = streamed.session;
        if session.is_some_and(|session| !self.desk.is_open(session)) {
            return self.end_stream(number);
        }
        let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        if connection.output.is_empty() {
            let event_id = streamed.event_id.wrapping_add(1);
            let mut streamed = Streamed {
                event_id,
                ..streamed
            };
            match &mut connection.subscribed {
                None => {
                    let message = format!(
                        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"event {event_id}"}}}}"#
                    );
                    let output = &mut connection.output;
                    wire::write_stream_event(output, event_id, message.as_bytes());
                    self.stats.notices_sent += 1;
                    if self.options.stream_asks && streamed.asked.is_none() {
                        let ask = self.desk.ask_on_stream();
                        streamed.event_id = event_id.wrapping_add(1);
                        streamed.asked = Some(ask.id);
                        let message = ask.message().to_string();
                        wire::write_stream_event(output, streamed.event_id, message.as_bytes());
                        self.stats.stream_asked += 1;
                    }
                }
                // Nobody goes on with a subscription where it broke: its events have no ids.
                Some(subscribed) => {
                    if let Some(news) = subscribed.next_news() {
                        let message = news.to_string();
                        let mut event = Vec::with_capacity(message.len() + 64);
                        wire::write_event(&mut event, message.as_bytes(), "\n");
                        wire::write_chunk(&mut connection.output, &event);
                        self.stats.notices_sent += 1;
                    }
                }
            }
            connection.streamed = Some(streamed);
        }
        if self.flush(number) != Flushed::Closed {
            self.push_later(number, ticket);
        }
    }

    /// Ends a stream in good order; its connection serves other requests then.
    fn end_stream(&mut self, number: usize) {
        let Some(connection) = self.connection(number) else {
            return;
        };
        let Some(streamed) = connection.streamed.take() else {
            return;
        };
        connection.subscribed = None;
        wire::write_stream_end(&mut connection.output);
        self.forget_stream(streamed.session);
        self.send(number);
        self.read_on(number);
    }

    fn forget_stream(&mut self, session: Option<u128>) {
        if session.is_none_or(|session| self.streams.remove(&session).is_some()) {
            self.stats.streams_open = self.stats.streams_open.saturating_sub(1);
        }
    }

    /// Asks the client of a call on its stream, and lets the call wait for the answer. It
    /// takes no slot meanwhile, and no fault befalls it.
    fn ask(&mut self, ask: &DemoAsk, call: AskedCall, now: Duration) {
        let (number, ticket) = (call.number, call.ticket);
        let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        answer::write_ask(&mut connection.output, &ask.message(), call.closes);
        connection.asked = Some(ask.id);
        connection.busy = Some(Busy::new(ticket, now, true, CallStage::Working));
        self.stats.asked += 1;
        self.asked.insert(ask.id, call);
        self.flush(number);
    }

    /// The answer of a client to what it was asked: its call goes on.
    fn go_on_with(&mut self, said: AskedAnswer, session: Option<u128>) {
        let Entry::Occupied(asked) = self.asked.entry(said.id) else {
            return self.note_answer(&said, session);
        };
        // The answer of another session does not count.
        if asked.get().session != session {
            return;
        }
        let call = asked.remove();
        let payload = consulted(ServedEra::Legacy, call.kind, &said.said);
        let Some(connection) = self
            .connections
            .get_mut(call.number)
            .and_then(Option::as_mut)
        else {
            return;
        };
        connection.asked = None;
        let message = &mut self.message;
        answer::write_last(&mut connection.output, message, &call.id, &payload);
        connection.then = match call.closes {
            true => Then::Close,
            false => Then::ReadOn,
        };
        let latency = self.options.latency.sample(&mut self.draws.latency);
        let now = self.clock.now();
        self.finish_at(call.number, call.ticket, now, latency, false);
        self.read_on(call.number);
    }

    /// Notes what a client answers to what it was asked on its session's stream.
    fn note_answer(&mut self, said: &AskedAnswer, session: Option<u128>) {
        let stream = session.and_then(|session| self.streams.get(&session).copied());
        let connection = stream.and_then(|number| self.connection(number));
        let Some(streamed) = connection.and_then(|it| it.streamed.as_mut()) else {
            return;
        };
        if streamed.asked == Some(said.id) {
            streamed.asked = None;
            let text = said
                .said
                .as_ref()
                .map(|it| Consultation::Elicitation.said(it));
            self.stats.stream_answered += u64::from(matches!(text, Ok(Ok(_))));
        }
    }

    /// Sends a call through the gate of the capacity.
    ///
    /// # Errors
    /// Where it is turned away, with the text that says so.
    fn enter(&mut self, number: usize, ticket: u64, extra: Duration) -> Result<AnswerTime, String> {
        let (Some(gate), Some(capacity)) = (&mut self.gate, &self.options.capacity) else {
            return Ok(AnswerTime::Now);
        };
        let sample = capacity.service.sample(&mut self.draws.latency);
        let service = sample.saturating_add(extra);
        let arrived = self.clock.now();
        let entry = gate.enter(Waiter {
            ticket,
            owner: number,
            service,
            arrived,
        });
        let queue = capacity.queue;
        self.count_gate();
        match entry {
            Admission::Begins => Ok(AnswerTime::After {
                time: service,
                in_slot: true,
            }),
            Admission::Waits => Ok(AnswerTime::InTurn),
            Admission::TurnedAway => {
                self.stats.turned_away += 1;
                Err(turned_away(queue))
            }
        }
    }

    /// Writes an answer, as the fault would have it, into the connection's
    /// output, and says what happens after it.
    fn write_reply(
        &mut self,
        number: usize,
        closes: bool,
        fault: Option<DemoFault>,
        mut reply: DemoReply,
    ) -> Then {
        let is_work = reply.work.is_some();
        let mut form = Form::draw(self.options.answers, is_work, &mut self.draws.answer);
        match fault {
            None => self.stats.input_required += u64::from(is_work && reply.asks_back()),
            Some(fault) => {
                self.stats.faults.add(fault);
                if let (DemoFault::ExpireSession, Some(session)) = (fault, reply.within) {
                    self.desk.expire(session, &mut self.stats);
                }
                answer::spoil(fault, &mut reply, &mut form);
            }
        }
        let Some(connection) = self.connections.get_mut(number).and_then(Option::as_mut) else {
            return Then::Close;
        };
        if self.options.backends > 0 {
            reply.served_by = Some(format!("backend-{}", connection.backend + 1));
        }
        let output = &mut connection.output;
        if !reply.progress.is_empty() && fault.is_none() {
            let is_unbuffered = !self.options.hold_streams;
            connection.pieces = answer::write_pieces(output, &reply, closes, is_unbuffered);
            return if closes { Then::Close } else { Then::ReadOn };
        }
        let then = answer::write(output, &mut self.message, &reply, form, fault, closes);
        let is_call = reply.class == Some(Class::ToolCall) && is_work;
        let may_mix = self.options.mix_share > 0.0 && fault.is_none() && is_call;
        connection.held = (may_mix && !reply.asks_back()).then_some(HeldAnswer {
            reply,
            form,
            closes,
        });
        then
    }

    /// Exchanges the answer of a call with that to another client's, as often as the
    /// options say and where there is one: each call has part in one exchange at most.
    fn mix(&mut self, number: usize) {
        let is_held = |connection: &DemoConnection| connection.held.is_some();
        if !self.connection(number).is_some_and(|it| is_held(it)) {
            return;
        }
        if self.draws.mix.f64() >= self.options.mix_share {
            return;
        }
        let Some(mut held) = self.connection(number).and_then(|it| it.held.take()) else {
            return;
        };
        // Answers that are being sent have none left.
        let other = self.connections.iter().position(|connection| {
            let other = connection.as_ref().and_then(|it| it.held.as_ref());
            other.is_some_and(|other| other.is_to_another(&held))
        });
        let other = other.and_then(|at| Some((at, self.connection(at)?.held.take()?)));
        let Some((at, mut other)) = other else {
            if let Some(connection) = self.connection(number) {
                connection.held = Some(held);
            }
            return;
        };
        if let (ReplyBody::Message { payload: own, .. }, ReplyBody::Message { payload, .. }) =
            (&mut held.reply.body, &mut other.reply.body)
        {
            std::mem::swap(own, payload);
        }
        for (number, answer) in [(number, held), (at, other)] {
            if let Some(connection) = self.connections[number].as_mut() {
                let output = &mut connection.output;
                output.clear();
                let HeldAnswer {
                    reply,
                    form,
                    closes,
                } = answer;
                answer::write(output, &mut self.message, &reply, form, None, closes);
                connection.is_mixed = true;
            }
        }
    }

    /// Has the answer sent at `from + after`. A call in a slot always passes
    /// through a timer, so that the slot is busy for its service time.
    fn finish_at(
        &mut self,
        number: usize,
        ticket: u64,
        from: Duration,
        after: Duration,
        frees_slot: bool,
    ) {
        let n_held = self.connection(number).map_or(0, |it| it.pieces.len());
        if after.is_zero() && !frees_slot || self.options.hold_streams && n_held > 0 {
            self.release_all(number);
            if after.is_zero() && !frees_slot {
                return self.send(number);
            }
        } else if n_held > 0 {
            self.send(number);
            // The last one comes when the answer is due.
            for n in 1..n_held {
                let share = n as f64 / n_held as f64;
                self.set_timer(
                    from.saturating_add(after.mul_f64(share)),
                    number,
                    ticket,
                    false,
                );
            }
        }
        self.set_stage(number, CallStage::Working);
        self.set_timer(from.saturating_add(after), number, ticket, frees_slot);
    }

    fn set_timer(&mut self, at: Duration, number: usize, ticket: u64, frees_slot: bool) {
        self.timers.push(Reverse(CallTimer {
            at,
            ticket,
            number,
            frees_slot,
        }));
    }

    fn ring_timers(&mut self) {
        let mut now = self.clock.now();
        if self.accepts_again_at.is_some_and(|at| at <= now) {
            self.accept();
        }
        loop {
            match self.timers.peek() {
                Some(Reverse(timer)) if timer.at <= now => {}
                Some(Reverse(timer)) => {
                    // Sending took time: others may have come due.
                    now = self.clock.now();
                    if timer.at > now {
                        return;
                    }
                }
                None => return,
            }
            let Some(Reverse(timer)) = self.timers.pop() else {
                return;
            };
            if timer.frees_slot {
                self.pass_slot_on(timer.at);
            }
            if self.is_there(timer.number, timer.ticket) {
                if self.is_streaming(timer.number) {
                    self.push(timer.number, timer.ticket);
                    continue;
                }
                self.release_piece(timer.number);
                self.send(timer.number);
                self.read_on(timer.number);
            }
        }
    }

    /// The next piece of an answer that comes in pieces is due.
    fn release_piece(&mut self, number: usize) {
        if let Some(connection) = self.connection(number)
            && let Some(piece) = connection.pieces.pop_front()
        {
            connection.output.extend_from_slice(&piece);
        }
    }

    fn release_all(&mut self, number: usize) {
        while self
            .connection(number)
            .is_some_and(|it| !it.pieces.is_empty())
        {
            self.release_piece(number);
        }
    }

    /// A slot came free at `at`; the next in the queue takes it from then on.
    fn pass_slot_on(&mut self, at: Duration) {
        let Some(gate) = &mut self.gate else { return };
        let connections = &self.connections;
        let next = gate.release(|waiter| serves(connections, waiter.owner, waiter.ticket));
        self.count_gate();
        if let Some(next) = next {
            let begins = next.begins(at);
            self.finish_at(next.owner, next.ticket, begins, next.service, true);
        }
    }

    fn is_streaming(&mut self, number: usize) -> bool {
        self.connection(number)
            .is_some_and(|connection| connection.streamed.is_some())
    }

    /// Sends on after the client made room.
    fn send_on(&mut self, number: usize) {
        if self.is_streaming(number) {
            self.flush(number);
            return;
        }
        let is_sending = self
            .connection(number)
            .and_then(|connection| connection.busy)
            .is_some_and(|busy| busy.stage == CallStage::Sending);
        if is_sending {
            self.send(number);
            self.read_on(number);
        }
    }

    /// Serves what came while the connection was busy.
    fn read_on(&mut self, number: usize) {
        self.serve_input(number);
        if let Some(connection) = self.connection(number)
            && connection.is_paused
            && connection.busy.is_none()
        {
            connection.is_paused = false;
            // `true`: an end may have been told of while nobody read.
            self.read(number, true);
        }
    }

    /// Hands the output to the kernel, as far as it takes it, and finishes the
    /// request when that is all.
    fn send(&mut self, number: usize) {
        self.set_stage(number, CallStage::Sending);
        if let Some(connection) = self.connection(number) {
            connection.held = None;
        }
        if self.flush(number) != Flushed::All {
            return;
        }
        let Some(connection) = self.connection(number) else {
            return;
        };
        if !connection.pieces.is_empty() {
            return;
        }
        let then = connection.then;
        let is_mixed = std::mem::take(&mut connection.is_mixed);
        if let Some(busy) = connection.busy.take()
            && busy.is_call
        {
            self.stats.mixed += u64::from(is_mixed);
            self.stats.in_flight = self.stats.in_flight.saturating_sub(1);
            self.stats.finished += 1;
            if self.stats.service_times.len() < self.options.service_times_max {
                let time = self.clock.now().saturating_sub(busy.began_at);
                let time_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
                self.stats.service_times.push(time_ns);
            }
        }
        if then == Then::Close {
            self.close(number);
        }
    }

    /// Hands the output to the kernel, as far as it takes it.
    fn flush(&mut self, number: usize) -> Flushed {
        let Some(connection) = self.connection(number) else {
            return Flushed::Closed;
        };
        while connection.n_sent < connection.output.len() {
            match connection
                .stream
                .write(&connection.output[connection.n_sent..])
            {
                Ok(len) if len > 0 => connection.n_sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Flushed::Part,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.close(number);
                    return Flushed::Closed;
                }
            }
        }
        connection.output.clear();
        connection.n_sent = 0;
        if connection.output.capacity() > BUFFER_KEPT_MAX {
            connection.output = Vec::new();
        }
        Flushed::All
    }

    /// Ends a connection. A call that was served on it is given up; if it had a
    /// slot, it keeps it for its time, as the work of a real server would.
    fn close(&mut self, number: usize) {
        let Some(connection) = self.connections.get_mut(number).and_then(Option::take) else {
            return;
        };
        if let Some(id) = connection.asked {
            self.asked.remove(&id);
        }
        self.free_numbers.push(number);
        self.stats.connections_open = self.stats.connections_open.saturating_sub(1);
        if let Some(streamed) = connection.streamed {
            self.forget_stream(streamed.session);
        }
        if let Some(busy) = connection.busy {
            if busy.is_call {
                self.stats.in_flight = self.stats.in_flight.saturating_sub(1);
                self.stats.abandoned += 1;
            }
            if let (CallStage::Waiting, Some(gate)) = (busy.stage, &mut self.gate) {
                gate.leave();
                self.count_gate();
            }
        }
    }

    fn set_stage(&mut self, number: usize, stage: CallStage) {
        if let Some(connection) = self.connection(number)
            && let Some(busy) = &mut connection.busy
        {
            busy.stage = stage;
        }
    }

    /// Whether the connection still serves the call of that ticket.
    fn is_there(&self, number: usize, ticket: u64) -> bool {
        serves(&self.connections, number, ticket)
    }

    fn count_gate(&mut self) {
        if let Some(gate) = &self.gate {
            self.stats.in_service = gate.n_busy();
            self.stats.waiting = gate.n_waiting();
            raise(&mut self.stats.in_service_max, gate.n_busy());
            raise(&mut self.stats.waiting_max, gate.n_waiting());
        }
    }

    fn draw_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// The fault of a call, if it has one. Every call draws, so that the draws of
    /// others do not depend on it; a fault that does not fit the call is ignored.
    fn draw_fault(&mut self, reply: &DemoReply) -> Option<DemoFault> {
        let is_open_to_faults = matches!(
            reply.class,
            Some(Class::ToolCall | Class::ResourceRead | Class::PromptGet)
        );
        if !is_open_to_faults || reply.work.is_none() {
            return None;
        }
        let fault = self.options.faults.sample(&mut self.draws.fault)?;
        let fits = match fault {
            DemoFault::ToolError => reply.class == Some(Class::ToolCall),
            DemoFault::ExpireSession => reply.within.is_some(),
            _ => true,
        };
        fits.then_some(fault)
    }
}

fn serves(connections: &[Option<DemoConnection>], number: usize, ticket: u64) -> bool {
    let connection = connections.get(number).and_then(Option::as_ref);
    connection
        .and_then(|connection| connection.busy)
        .is_some_and(|busy| busy.ticket == ticket)
}

fn raise(max: &mut u64, value: u64) {
    *max = (*max).max(value);
}
