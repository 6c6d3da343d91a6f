//! What may lie behind the figures, and what to do about it.
//!
//! Each piece of advice has a rule that looks at the plan and the figures, and
//! a text that says what was seen before what it may mean. A rule that would
//! fire on a healthy server has no place here, nor has a fault of the generator:
//! that is the verdict's to tell.
//!
//! To add one: a variant, its id, its text, its rule in `rules.rs`, its test.

mod rules;

use std::time::Duration;

use crate::metrics::Failure;
use crate::units::{format_count, format_duration, format_latency, plural};

pub use rules::advise;

/// Something that the user may want to act on.
#[derive(Debug, Clone, PartialEq)]
pub enum Advice {
    /// Every call failed in the same way.
    AllFailedAlike {
        /// How.
        failure: Failure,
        /// How many.
        count: u64,
    },
    /// Every attempt to open a session failed in the same way, so that no call
    /// was made.
    NoSession {
        /// How.
        failure: Failure,
        /// How many.
        count: u64,
    },
    /// The server accepted requests and never answered them.
    AcceptedUnanswered {
        /// How many.
        count: u64,
    },
    /// An operation's latencies lie on a plateau at about 40 ms.
    DelayedAck {
        /// The operation.
        operation: String,
        /// Its median.
        p50_ns: u64,
    },
    /// Requests died on connections that had been kept open.
    LostReused {
        /// How many.
        count: u64,
        /// The users pause between their calls.
        has_pauses: bool,
    },
    /// Connections are replaced often.
    Reconnects {
        /// How often.
        reconnects: u64,
        /// Calls that ended.
        finished: u64,
        /// The users pause between their calls.
        has_pauses: bool,
    },
    /// Sessions were lost on a server that sets cookies, which are not kept.
    CookiesNotKept {
        /// Sessions lost.
        expired: u64,
        /// Answers with a cookie.
        cookies: u64,
    },
    /// Event streams stayed open after the final answer.
    StreamsLeftOpen {
        /// How many.
        count: u64,
    },
    /// Throughput is one call per shortest latency, whatever the users.
    OneAtATime {
        /// The users.
        vus: u32,
        /// The shortest latency.
        min_ns: u64,
    },
    /// The run ended with requests that had hung for long.
    Hung {
        /// How many were cut off.
        count: u64,
        /// The age of the oldest.
        oldest: Duration,
    },
}

impl Advice {
    /// Its stable name in the report.
    pub fn id(&self) -> &'static str {
        match self {
            Self::AllFailedAlike { .. } => "all_failed_alike",
            Self::NoSession { .. } => "no_session",
            Self::AcceptedUnanswered { .. } => "accepted_unanswered",
            Self::DelayedAck { .. } => "delayed_ack",
            Self::LostReused { .. } => "lost_reused",
            Self::Reconnects { .. } => "reconnects",
            Self::CookiesNotKept { .. } => "cookies_not_kept",
            Self::StreamsLeftOpen { .. } => "streams_left_open",
            Self::OneAtATime { .. } => "one_at_a_time",
            Self::Hung { .. } => "hung",
        }
    }

    /// What was seen, what it may mean, what to try.
    pub fn text(&self) -> String {
        match self {
            Self::AllFailedAlike { failure, count } => format!(
                "every call ({}) failed with {failure}: {}",
                format_count(*count),
                remedy(*failure)
            ),
            Self::NoSession { failure, count } => format!(
                "no call was made: {} to open a session failed with {failure}: {}",
                plural(*count, "attempt", "attempts"),
                remedy(*failure)
            ),
            Self::AcceptedUnanswered { count } => format!(
                "the server answered {} with 202 Accepted and no result: it may send results on \
                 another stream of the session, or it took the request for a notification",
                plural(*count, "request", "requests")
            ),
            Self::DelayedAck { operation, p50_ns } => format!(
                "nearly all calls of {operation} take about 40 ms (p50 {}) while the fastest are \
                 far quicker: typical of a server that writes its answer in two pieces without \
                 TCP_NODELAY and then waits for a delayed acknowledgement; set TCP_NODELAY on \
                 the server's connections",
                format_latency(*p50_ns)
            ),
            Self::LostReused { count, has_pauses } => format!(
                "{} died on a kept-alive connection before any byte of the answer; such a \
                 request is not sent again, since the tool may have run{}",
                plural(*count, "request", "requests"),
                if *has_pauses {
                    ". The server seems to close idle connections (uvicorn after 5 s, Node after \
                     6 s): raise its keep-alive timeout above the users' pauses"
                } else {
                    ": the server may be closing connections under load, or restarting"
                }
            ),
            Self::Reconnects {
                reconnects,
                finished,
                has_pauses,
            } => format!(
                "{} for {}: {}",
                plural(*reconnects, "reconnect", "reconnects"),
                plural(*finished, "call", "calls"),
                if *has_pauses {
                    "the server closes idle connections between the users' calls (uvicorn after \
                     5 s, Node after 6 s); service time leaves out the time to connect again"
                } else {
                    "the server does not keep connections open, so each call pays for a new one; \
                     look for `Connection: close` or a proxy without keep-alive"
                }
            ),
            Self::CookiesNotKept { expired, cookies } => format!(
                "{} lost, and the server set cookies in {}, which were not sent back: a balancer \
                 may keep a client at its server by a cookie; `--cookies` (`cookies = true` in \
                 [settings]) keeps them, as clients on Python's httpx do and those on Node's \
                 fetch do not",
                plural(*expired, "session was", "sessions were"),
                plural(*cookies, "answer", "answers")
            ),
            Self::StreamsLeftOpen { count } => format!(
                "the server left {} open after the final answer; each costs a new connection, \
                 and the protocol asks it to close them",
                plural(*count, "event stream", "event streams")
            ),
            Self::OneAtATime { vus, min_ns } => format!(
                "{} get no more calls done than one alone would (one per {}, the shortest \
                 latency): the server looks as if it served one call at a time",
                plural(u64::from(*vus), "user", "users"),
                format_latency(*min_ns)
            ),
            Self::Hung { count, oldest } => format!(
                "{} had no answer when the run ended, the oldest after {}; such calls \
                 count as cancelled, and are in no rate and no latency",
                plural(*count, "call", "calls"),
                format_duration(*oldest)
            ),
        }
    }
}

/// What to try where nothing but this failure occurs.
fn remedy(failure: Failure) -> &'static str {
    use crate::metrics::{ConnectFailure, FailureGroup};
    match failure {
        Failure::Connect(ConnectFailure::Refused) => "is the server running on that port?",
        Failure::Connect(ConnectFailure::NoResources) => {
            "this machine has no more file descriptors or ports; raise `ulimit -n`"
        }
        Failure::Http {
            status: 401 | 403, ..
        } => "give credentials with `--api-key` or `-H 'Authorization: …'`",
        Failure::Http {
            status: 404 | 405, ..
        } => "is the URL's path right?",
        Failure::Http { status: 429, .. } => "the server limits the rate; lower the load",
        Failure::Rpc(-32602) => "check the steps' names and arguments against the server's schema",
        Failure::Rpc(-32601) => "the server does not know the method",
        _ => match failure.group() {
            FailureGroup::Connect => "can the server be reached from here?",
            FailureGroup::Timeout => "the server is slower than the timeout; see `--timeout`",
            FailureGroup::Tool => "the tools themselves report failure; check their arguments",
            FailureGroup::Session => "the server does not keep its sessions",
            FailureGroup::Http | FailureGroup::Rpc | FailureGroup::Protocol => {
                "see the example message"
            }
        },
    }
}
