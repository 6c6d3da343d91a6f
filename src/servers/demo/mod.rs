//! An MCP server on loopback: something to try the load tester on without a
//! server of one's own, and the server with known truth behind the end-to-end
//! tests.
//!
//! It speaks both eras on one endpoint, with seeded latencies, faults and a
//! fixed capacity, and counts what it sees, so that a report can be compared
//! with what really happened. One thread with one poll serves thousands of
//! connections and is not the limit.
//!
//! It reads and writes MCP by itself and must not import the client's protocol
//! code: a fault there would be mirrored here and stay unseen.
//!
//! Start with [`DemoOptions`], then `server.rs` (the loop), `desk.rs` (which
//! request gets which answer), `answer.rs` (how it is written),
//! `legacy.rs` and `modern.rs` (the eras),
//! `offer.rs` and `tools.rs` (what is offered), `latency.rs`, `faults.rs` and
//! `capacity.rs` (what goes slow and wrong), `wire.rs` (HTTP).

mod alarm;
mod answer;
mod capacity;
mod desk;
mod faults;
mod latency;
mod legacy;
mod modern;
mod offer;
mod schema;
mod server;
mod tools;
mod wire;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;

pub use self::capacity::{CAPACITY_FORM, Capacity};
pub use self::faults::{Fault, FaultCounts, Faults};
pub use self::latency::{LATENCY_FORM, Latency};
use self::server::{Command, Server};
use crate::error::{UserError, nearest};

/// What the server does.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoOptions {
    /// The port on 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// Latencies, faults, the mixture of answers and session ids repeat with
    /// the seed, as long as the calls come in the same order.
    pub seed: u64,
    /// How long calls take: the lists, `tools/call`, `resources/read` and
    /// `prompts/get`, from the request's last byte to the answer's first. Not
    /// used where there is a `capacity`.
    pub latency: Latency,
    /// The shares of `tools/call`, `resources/read` and `prompts/get` that go
    /// wrong. They take as long as others, but for the hanging ones, which
    /// take no slot either.
    pub faults: Faults,
    /// A fixed number of slots with a service time, in place of `latency`.
    /// `None`: no call waits for another.
    pub capacity: Option<Capacity>,
    /// The form of answers.
    pub answers: Answers,
    /// The eras that are spoken.
    pub eras: Eras,
    /// Legacy without sessions: no id is given out, and none is asked for.
    pub stateless_legacy: bool,
    /// How long a session lives from `initialize` on; after that it is not
    /// found. `None`: for ever.
    pub session_ttl: Option<Duration>,
    /// `initialize` and `server/discover` take `latency` too.
    pub delay_handshake: bool,
    /// How many service times are kept in [`DemoStats::service_times`]; 0 keeps
    /// none.
    pub service_times_max: usize,
}

impl Default for DemoOptions {
    /// A server as one meets them: some 5 ms with a tail, no faults, JSON.
    fn default() -> Self {
        Self {
            port: 0,
            seed: 1,
            latency: Latency::LogNormal {
                median: Duration::from_millis(5),
                sigma: 0.4,
            },
            faults: Faults::default(),
            capacity: None,
            answers: Answers::Json,
            eras: Eras::Both,
            stateless_legacy: false,
            session_ttl: None,
            delay_handshake: false,
            service_times_max: 0,
        }
    }
}

/// The form of answers to requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// One JSON object with its length.
    Json,
    /// An event stream with one event, which ends after it.
    Sse,
    /// An event stream that is not ended after the answer to a call, for as
    /// long as the client stays. Handshakes are answered as by [`Self::Sse`].
    SseLeftOpen,
    /// JSON for one half, event streams for the other, some with CRLF, with
    /// comments and with an empty event before the answer.
    Mixed,
}

/// The eras of the protocol that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eras {
    /// Both, told apart by each request.
    Both,
    /// 2025-03-26 to 2025-11-25.
    LegacyOnly,
    /// 2026-07-28.
    ModernOnly,
}

const ANSWERS: [(&str, Answers); 4] = [
    ("json", Answers::Json),
    ("sse", Answers::Sse),
    ("sse-open", Answers::SseLeftOpen),
    ("mixed", Answers::Mixed),
];

const ERAS: [(&str, Eras); 3] = [
    ("both", Eras::Both),
    ("legacy", Eras::LegacyOnly),
    ("modern", Eras::ModernOnly),
];

impl FromStr for Answers {
    type Err = UserError;

    /// Reads `json`, `sse`, `sse-open` or `mixed`.
    fn from_str(text: &str) -> Result<Self, UserError> {
        choose(text, "a form of answers", &ANSWERS)
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(*self, &ANSWERS))
    }
}

impl FromStr for Eras {
    type Err = UserError;

    /// Reads `both`, `legacy` or `modern`.
    fn from_str(text: &str) -> Result<Self, UserError> {
        choose(text, "an era", &ERAS)
    }
}

impl fmt::Display for Eras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(*self, &ERAS))
    }
}

fn choose<T: Copy>(text: &str, what: &str, known: &[(&str, T)]) -> Result<T, UserError> {
    let found = known.iter().find(|(name, _)| *name == text.trim());
    if let Some((_, value)) = found {
        return Ok(*value);
    }
    let names = known.iter().map(|(name, _)| *name);
    let list: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
    let mut error = UserError::usage(format!("`{text}` is not {what}"));
    if let Some(name) = nearest(text.trim(), names) {
        error = error.hint(format!("Did you mean `{name}`?"));
    }
    Err(error.hint(format!("It is one of {}.", list.join(", "))))
}

fn name_of<'a, T: PartialEq>(value: T, known: &[(&'a str, T)]) -> &'a str {
    known
        .iter()
        .find(|(_, known)| *known == value)
        .map_or("", |(name, _)| name)
}

/// What the server itself saw and did. Calls are requests with an id that are
/// neither `initialize` nor `server/discover`; at any time
/// `calls = finished + abandoned + in_flight`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DemoStats {
    /// HTTP requests read in full.
    pub requests: u64,
    /// What was no HTTP request, or a too large one.
    pub malformed: u64,
    /// Calls of any kind, those refused too.
    pub calls: u64,
    /// `tools/call`.
    pub tool_calls: u64,
    /// `resources/read`.
    pub resource_reads: u64,
    /// `prompts/get`.
    pub prompt_gets: u64,
    /// The four list methods.
    pub lists: u64,
    /// `ping`.
    pub pings: u64,
    /// Calls whose answer, good or bad, was handed to the kernel, or whose
    /// connection was closed on purpose.
    pub finished: u64,
    /// Calls whose client went away before the answer.
    pub abandoned: u64,
    /// Calls read and not answered yet, hanging ones too.
    pub in_flight: u64,
    /// The most at one time.
    pub in_flight_max: u64,
    /// Calls in a slot of the capacity.
    pub in_service: u64,
    /// The most at one time; never more than there are slots.
    pub in_service_max: u64,
    /// Calls that wait for a slot.
    pub waiting: u64,
    /// The most at one time.
    pub waiting_max: u64,
    /// Calls refused because the queue was full.
    pub turned_away: u64,
    /// Calls whose answer asked back (`input_required`).
    pub input_required: u64,
    /// Connections accepted.
    pub connections_opened: u64,
    /// Connections that are open.
    pub connections_open: u64,
    /// The most at one time.
    pub connections_open_max: u64,
    /// `initialize` requests.
    pub initializes: u64,
    /// `server/discover` requests.
    pub discovers: u64,
    /// Sessions given out.
    pub sessions_opened: u64,
    /// Sessions ended by DELETE.
    pub sessions_deleted: u64,
    /// Sessions found too old, or ended by a fault.
    pub sessions_expired: u64,
    /// Notifications of any kind.
    pub notifications: u64,
    /// `notifications/initialized`.
    pub initialized: u64,
    /// `notifications/cancelled`.
    pub cancels: u64,
    /// Responses to requests, which this server never sends.
    pub responses: u64,
    /// The faults that were done.
    pub faults: FaultCounts,
    /// For the first calls, [`DemoOptions::service_times_max`] at most: the
    /// nanoseconds from the request's last byte read to the answer handed to
    /// the kernel.
    pub service_times: Vec<u64>,
}

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct DemoServer {
    port: u16,
    commands: Sender<Command>,
    waker: Waker,
    /// `None` only after `stop`.
    thread: Option<JoinHandle<DemoStats>>,
}

impl DemoServer {
    /// Binds 127.0.0.1 and serves from a thread of its own.
    ///
    /// # Errors
    /// Where the port is taken, or the system gives no socket, poll or thread.
    pub fn start(options: DemoOptions) -> io::Result<Self> {
        let (commands, inbox) = std::sync::mpsc::channel();
        let (server, waker) = Server::bind(options, inbox)?;
        let port = server.port();
        let thread = std::thread::Builder::new()
            .name("demo".to_string())
            .spawn(move || server.run())?;
        Ok(Self {
            port,
            commands,
            waker,
            thread: Some(thread),
        })
    }

    /// The endpoint, `http://127.0.0.1:PORT/mcp`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, desk::ENDPOINT)
    }

    /// The port that is listened on, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was counted up to now. A call whose answer was read by its client
    /// is counted as finished.
    pub fn stats(&self) -> DemoStats {
        let (reply, answer) = std::sync::mpsc::channel();
        let is_sent =
            self.commands.send(Command::Stats(reply)).is_ok() && self.waker.wake().is_ok();
        // The thread ends before it is told to only where its poll fails.
        if is_sent {
            answer.recv().unwrap_or_default()
        } else {
            DemoStats::default()
        }
    }

    /// Closes all connections, waits for the thread, and gives what was counted.
    pub fn stop(mut self) -> DemoStats {
        self.end()
    }

    fn end(&mut self) -> DemoStats {
        let Some(thread) = self.thread.take() else {
            return DemoStats::default();
        };
        // Where the thread has ended already, nobody is there to be told.
        let _ = self.commands.send(Command::Stop);
        let _ = self.waker.wake();
        thread.join().unwrap_or_default()
    }
}

impl Drop for DemoServer {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests;
