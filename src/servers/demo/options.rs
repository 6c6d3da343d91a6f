//! What the demo server is told: options, with the words for them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::capacity::Capacity;
use super::faults::FaultShares;
use super::latency::DemoLatency;
use crate::error::choice;
use crate::text::named;

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
    pub latency: DemoLatency,
    /// The shares of `tools/call`, `resources/read` and `prompts/get` that go
    /// wrong. They take as long as others, but for the hanging ones, which
    /// take no slot either.
    pub faults: FaultShares,
    /// A fixed number of slots with a service time, in place of `latency`.
    /// `None`: no call waits for another.
    pub capacity: Option<Capacity>,
    /// The form of answers.
    pub answers: AnswerForm,
    /// The eras that are spoken.
    pub eras: Eras,
    /// Legacy without sessions: no id is given out, and none is asked for.
    pub stateless_legacy: bool,
    /// How long a session lives from `initialize` on; after that it is not
    /// found. `None`: for ever.
    pub session_ttl: Option<Duration>,
    /// Events of a stream are sent with its end only, as something between would do that
    /// buffers streams.
    pub hold_streams: bool,
    /// As many servers behind a balancer: each connection leads to the next one, whose name
    /// is in the header `X-Served-By` of its answers, and none knows the sessions of another.
    /// 0: one server, which does not name itself.
    pub backends: u16,
    /// `initialize` and `server/discover` take `latency` too.
    pub delay_handshake: bool,
    /// The share of answers of the tool `stock` that break its output schema, 0
    /// to 1, spread evenly over its calls: with 0.1 every tenth.
    pub off_schema_share: f64,
    /// The share of calls of tools whose answer is exchanged, where there is one, with that
    /// to another client's call which is under way: each gets the other's result under its
    /// own id. 0 to 1.
    pub mix_share: f64,
    /// Each session may hold a GET stream, and gets a notification on it at this interval;
    /// modern clients may subscribe to news. `None`: neither is offered.
    pub stream_every: Option<Duration>,
    /// Each notification on a GET stream is followed by a question to the client
    /// (`elicitation/create`), unless the client still owes the answer to the last one.
    pub stream_asks: bool,
    /// How many service times are kept in `DemoStats::service_times`; 0 keeps
    /// none.
    pub service_times_max: usize,
}

impl Default for DemoOptions {
    /// A server as one meets them: some 5 ms with a tail, no faults, JSON.
    fn default() -> Self {
        Self {
            port: 0,
            seed: 1,
            latency: DemoLatency::LogNormal {
                median: Duration::from_millis(5),
                sigma: 0.4,
            },
            faults: FaultShares::default(),
            capacity: None,
            answers: AnswerForm::Json,
            eras: Eras::Both,
            stateless_legacy: false,
            session_ttl: None,
            hold_streams: false,
            backends: 0,
            delay_handshake: false,
            off_schema_share: 0.1,
            mix_share: 0.0,
            stream_every: None,
            stream_asks: false,
            service_times_max: 0,
        }
    }
}

named! {
    /// The form of answers to requests.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AnswerForm {
        /// One JSON object with its length.
        Json = "json",
        /// An event stream with one event, which ends after it.
        Sse = "sse",
        /// An event stream that is not ended after the answer to a call, for as
        /// long as the client stays. Handshakes are answered as by [`Self::Sse`].
        SseLeftOpen = "sse-open",
        /// JSON for one half, event streams for the other, some with CRLF, with
        /// comments and with an empty event before the answer.
        Mixed = "mixed",
    }
    /// What it is called on the command line.
    fn word
}

named! {
    /// The eras of the protocol that are spoken.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Eras {
        /// Both, told apart by each request.
        Both = "both",
        /// 2025-03-26 to 2025-11-25.
        LegacyOnly = "legacy",
        /// 2026-07-28.
        ModernOnly = "modern",
    }
    /// What they are called on the command line.
    fn word
}

impl FromStr for AnswerForm {
    type Err = String;

    /// Reads `json`, `sse`, `sse-open` or `mixed`.
    fn from_str(text: &str) -> Result<Self, String> {
        choice(text.trim(), "a form of answers", Self::WORDS)
    }
}

impl fmt::Display for AnswerForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Eras {
    type Err = String;

    /// Reads `both`, `legacy` or `modern`.
    fn from_str(text: &str) -> Result<Self, String> {
        choice(text.trim(), "an era", Self::WORDS)
    }
}

impl fmt::Display for Eras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
