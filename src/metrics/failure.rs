//! Why a request failed: a variant for each cause, grouped by whose fault it is.
//!
//! Fixed causes are counted by index; HTTP statuses and JSON-RPC codes, of
//! which a server may invent any, by a short bounded table. This module does
//! not know how a failure was noticed.
//!
//! To add a cause: a variant here (with its place in `ALL` and its id), and
//! the place that notices it; the compiler leads the way through the rest.

use std::fmt;

/// Why a connection could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectFailure {
    /// Nobody listens there.
    Refused,
    /// No route to the host or network.
    Unreachable,
    /// The TLS handshake failed.
    Tls,
    /// No connection within the request's timeout.
    Timeout,
    /// The server closed or reset the connection while it was being made.
    Reset,
    /// This machine has no more file descriptors, ports or memory for it.
    NoResources,
    /// Any other fault of the operating system.
    Other,
}

/// What a request was doing when its timeout struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimeoutPhase {
    /// Its bytes were being handed to the kernel.
    Sending,
    /// All was sent and not a byte of the answer had come.
    Waiting,
    /// The answer had begun and was not complete.
    Reading,
}

/// A connection that died under a request before any byte of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectionFailure {
    /// On a connection made for this request.
    LostNew,
    /// On a kept-alive connection that had served a request before.
    LostReused,
}

/// An answer that is not what the protocol demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProtocolFailure {
    /// Not HTTP/1.1.
    BadHttp,
    /// A redirect, which is not followed during a run.
    Redirect,
    /// Neither `application/json` nor `text/event-stream`.
    ContentType,
    /// A content coding that is not read, or content that is not in it.
    ContentEncoding,
    /// The body is not JSON.
    NotJson,
    /// Neither a result nor an error.
    NoResult,
    /// The answer to another id.
    WrongId,
    /// Not an event stream although it says so.
    BadSse,
    /// Larger than the bound.
    TooLarge,
    /// The stream ended, in good order, without the answer.
    StreamEnded,
    /// 202 Accepted to a request, without an answer.
    Accepted,
    /// The connection closed in the midst of the answer.
    ClosedEarly,
    /// A result without what its method demands, or of an unknown type.
    BadResult,
}

/// A fault of the MCP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionFailure {
    /// The server no longer knows the session (404, or 400 on some).
    Expired,
    /// The session could not be opened.
    CouldNotInitialize,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Failure {
    /// No connection.
    Connect(ConnectFailure),
    /// The connection died before any byte of the answer.
    Connection(ConnectionFailure),
    /// The request's timeout struck.
    Timeout(TimeoutPhase),
    /// An HTTP error status, perhaps with a JSON-RPC error in its body.
    Http {
        /// The status, 100 to 999.
        status: u16,
        /// The JSON-RPC error code in the body, if there is one.
        rpc_code: Option<i64>,
    },
    /// A JSON-RPC error in a successful HTTP exchange.
    Rpc(i64),
    /// The same without a code that can be read.
    RpcWithoutCode,
    /// A tool's result with `isError: true`.
    Tool,
    /// Not an answer as the protocol demands it.
    Protocol(ProtocolFailure),
    /// A fault of the session.
    Session(SessionFailure),
}

/// Failures grouped by whose fault they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureGroup {
    /// No connection, or it died.
    Connect,
    /// The timeout struck.
    Timeout,
    /// An HTTP error status.
    Http,
    /// A JSON-RPC error.
    Rpc,
    /// The tool says that it failed.
    Tool,
    /// The answer breaks the protocol.
    Protocol,
    /// The session expired or never began.
    Session,
}

impl FailureGroup {
    /// All groups, in the order in which they are reported.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Timeout,
        Self::Http,
        Self::Rpc,
        Self::Tool,
        Self::Protocol,
        Self::Session,
    ];

    /// The group's stable name in reports.
    pub fn id(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Http => "http",
            Self::Rpc => "jsonrpc",
            Self::Tool => "tool",
            Self::Protocol => "protocol",
            Self::Session => "session",
        }
    }
}

/// The causes that are counted by index, in that order.
const FIXED: [Failure; 29] = [
    Failure::Connect(ConnectFailure::Refused),
    Failure::Connect(ConnectFailure::Unreachable),
    Failure::Connect(ConnectFailure::Tls),
    Failure::Connect(ConnectFailure::Timeout),
    Failure::Connect(ConnectFailure::Reset),
    Failure::Connect(ConnectFailure::NoResources),
    Failure::Connect(ConnectFailure::Other),
    Failure::Connection(ConnectionFailure::LostNew),
    Failure::Connection(ConnectionFailure::LostReused),
    Failure::Timeout(TimeoutPhase::Sending),
    Failure::Timeout(TimeoutPhase::Waiting),
    Failure::Timeout(TimeoutPhase::Reading),
    Failure::Tool,
    Failure::Protocol(ProtocolFailure::BadHttp),
    Failure::Protocol(ProtocolFailure::Redirect),
    Failure::Protocol(ProtocolFailure::ContentType),
    Failure::Protocol(ProtocolFailure::ContentEncoding),
    Failure::Protocol(ProtocolFailure::NotJson),
    Failure::Protocol(ProtocolFailure::NoResult),
    Failure::Protocol(ProtocolFailure::WrongId),
    Failure::Protocol(ProtocolFailure::BadSse),
    Failure::Protocol(ProtocolFailure::TooLarge),
    Failure::Protocol(ProtocolFailure::StreamEnded),
    Failure::Protocol(ProtocolFailure::Accepted),
    Failure::Protocol(ProtocolFailure::ClosedEarly),
    Failure::Protocol(ProtocolFailure::BadResult),
    Failure::Session(SessionFailure::Expired),
    Failure::Session(SessionFailure::CouldNotInitialize),
    Failure::RpcWithoutCode,
];

impl Failure {
    /// Whose fault it is.
    pub fn group(self) -> FailureGroup {
        match self {
            Self::Connect(_) | Self::Connection(_) => FailureGroup::Connect,
            Self::Timeout(_) => FailureGroup::Timeout,
            Self::Http { .. } => FailureGroup::Http,
            Self::Rpc(_) | Self::RpcWithoutCode => FailureGroup::Rpc,
            Self::Tool => FailureGroup::Tool,
            Self::Protocol(_) => FailureGroup::Protocol,
            Self::Session(_) => FailureGroup::Session,
        }
    }

    /// The stable name in reports, such as `connect.refused`, `http.503`,
    /// `jsonrpc.-32602` or `http.400.jsonrpc.-32600`.
    pub fn id(self) -> String {
        self.to_string()
    }

    /// The place in the array of fixed causes; `None` for numbered ones.
    fn index(self) -> Option<usize> {
        let index = match self {
            Self::Http { .. } | Self::Rpc(_) => return None,
            Self::Connect(kind) => kind as usize,
            Self::Connection(kind) => 7 + kind as usize,
            Self::Timeout(phase) => 9 + phase as usize,
            Self::Tool => 12,
            Self::Protocol(kind) => 13 + kind as usize,
            Self::Session(kind) => 26 + kind as usize,
            Self::RpcWithoutCode => 28,
        };
        Some(index)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = match self {
            Self::Http { status, rpc_code } => {
                write!(f, "http.{status}")?;
                return match rpc_code {
                    Some(code) => write!(f, ".jsonrpc.{code}"),
                    None => Ok(()),
                };
            }
            Self::Rpc(code) => return write!(f, "jsonrpc.{code}"),
            Self::Connect(kind) => match kind {
                ConnectFailure::Refused => "refused",
                ConnectFailure::Unreachable => "unreachable",
                ConnectFailure::Tls => "tls",
                ConnectFailure::Timeout => "timeout",
                ConnectFailure::Reset => "reset",
                ConnectFailure::NoResources => "no_local_resources",
                ConnectFailure::Other => "other",
            },
            Self::Connection(kind) => match kind {
                ConnectionFailure::LostNew => "lost_new",
                ConnectionFailure::LostReused => "lost_reused",
            },
            Self::Timeout(phase) => match phase {
                TimeoutPhase::Sending => "sending",
                TimeoutPhase::Waiting => "waiting",
                TimeoutPhase::Reading => "reading",
            },
            Self::RpcWithoutCode => "no_code",
            Self::Tool => "is_error",
            Self::Protocol(kind) => match kind {
                ProtocolFailure::BadHttp => "bad_http",
                ProtocolFailure::Redirect => "redirect",
                ProtocolFailure::ContentType => "content_type",
                ProtocolFailure::ContentEncoding => "content_encoding",
                ProtocolFailure::NotJson => "not_json",
                ProtocolFailure::NoResult => "no_result",
                ProtocolFailure::WrongId => "wrong_id",
                ProtocolFailure::BadSse => "bad_sse",
                ProtocolFailure::TooLarge => "too_large",
                ProtocolFailure::StreamEnded => "stream_ended",
                ProtocolFailure::Accepted => "accepted_unanswered",
                ProtocolFailure::ClosedEarly => "closed_early",
                ProtocolFailure::BadResult => "bad_result",
            },
            Self::Session(kind) => match kind {
                SessionFailure::Expired => "expired",
                SessionFailure::CouldNotInitialize => "could_not_initialize",
            },
        };
        write!(f, "{}.{detail}", self.group().id())
    }
}

/// A server that invents a new code for every answer must not grow our
/// memory: beyond this many, codes are counted together.
const NUMBERED_MAX: usize = 64;

/// What further numbered failures are counted as once the table is full.
const OTHER_NUMBERED: Failure = Failure::Rpc(i64::MIN);

/// How often each cause occurred.
#[derive(Debug, Clone, Default)]
pub struct FailureCounts {
    /// Made with the first failure: most rows have none.
    counted: Option<Box<Counted>>,
}

#[derive(Debug, Clone, Default)]
struct Counted {
    fixed: [u64; FIXED.len()],
    /// HTTP and JSON-RPC failures in the order of their first occurrence; at
    /// most [`NUMBERED_MAX`] and one more for the rest.
    numbered: Vec<(Failure, u64)>,
}

impl FailureCounts {
    /// Counts one failure.
    pub fn add(&mut self, failure: Failure) {
        self.counted.get_or_insert_default().add_n(failure, 1);
    }

    /// Adds another table.
    pub fn merge(&mut self, other: &Self) {
        let Some(other) = &other.counted else {
            return;
        };
        let counted = self.counted.get_or_insert_default();
        for (count, more) in counted.fixed.iter_mut().zip(other.fixed) {
            *count += more;
        }
        for (failure, count) in &other.numbered {
            counted.add_n(*failure, *count);
        }
    }

    /// Forgets all, and keeps the memory where there was anything.
    pub fn clear(&mut self) {
        if self.total() == 0 {
            self.counted = None;
        }
        if let Some(counted) = &mut self.counted {
            counted.fixed.fill(0);
            counted.numbered.clear();
        }
    }

    /// Causes that occurred, most frequent first.
    pub fn ranked(&self) -> Vec<(Failure, u64)> {
        let mut ranked: Vec<_> = self.occurred().collect();
        ranked.sort_by_key(|(failure, count)| (std::cmp::Reverse(*count), *failure));
        ranked
    }

    /// The number of failures of a group.
    pub fn of_group(&self, group: FailureGroup) -> u64 {
        self.occurred()
            .filter(|(failure, _)| failure.group() == group)
            .map(|(_, count)| count)
            .sum()
    }

    /// The number of failures of all causes.
    pub fn total(&self) -> u64 {
        self.occurred().map(|(_, count)| count).sum()
    }

    /// Causes that occurred.
    fn occurred(&self) -> impl Iterator<Item = (Failure, u64)> + '_ {
        self.counted.iter().flat_map(|counted| {
            FIXED
                .into_iter()
                .zip(counted.fixed)
                .chain(counted.numbered.iter().copied())
                .filter(|(_, count)| *count > 0)
        })
    }
}

impl Counted {
    fn add_n(&mut self, failure: Failure, n: u64) {
        if let Some(index) = failure.index() {
            self.fixed[index] += n;
            return;
        }
        if let Some((_, count)) = self.numbered.iter_mut().find(|(f, _)| *f == failure) {
            *count += n;
        } else if self.numbered.len() < NUMBERED_MAX || failure == OTHER_NUMBERED {
            self.numbered.push((failure, n));
        } else {
            self.add_n(OTHER_NUMBERED, n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_fixed_cause_stands_at_its_index() {
        for (index, failure) in FIXED.into_iter().enumerate() {
            assert_eq!(failure.index(), Some(index), "{failure}");
        }
    }

    #[test]
    fn ids_are_distinct_and_begin_with_their_group() {
        let ids: HashSet<String> = FIXED.into_iter().map(Failure::id).collect();
        assert_eq!(ids.len(), FIXED.len());
        for failure in FIXED {
            assert!(failure.id().starts_with(failure.group().id()), "{failure}");
        }
        let both = Failure::Http {
            status: 400,
            rpc_code: Some(-32600),
        };
        assert_eq!(both.id(), "http.400.jsonrpc.-32600");
        assert_eq!(Failure::Rpc(0).id(), "jsonrpc.0");
    }

    #[test]
    fn counts_merge_and_rank() {
        let mut counts = FailureCounts::default();
        counts.add(Failure::Tool);
        let mut more = FailureCounts::default();
        more.add(Failure::Rpc(-32602));
        more.add(Failure::Rpc(-32602));
        counts.merge(&more);
        assert_eq!(
            counts.ranked(),
            [(Failure::Rpc(-32602), 2), (Failure::Tool, 1)]
        );
        assert_eq!(counts.total(), 3);
        assert_eq!(counts.of_group(FailureGroup::Rpc), 2);
    }

    #[test]
    fn invented_codes_stay_bounded_and_are_all_counted() {
        let mut counts = FailureCounts::default();
        for code in 0..10_000 {
            counts.add(Failure::Rpc(code));
        }
        assert_eq!(counts.total(), 10_000);
        assert!(counts.ranked().len() <= NUMBERED_MAX + 1);
        let mut twice = counts.clone();
        twice.merge(&counts);
        assert_eq!(twice.total(), 20_000);
    }
}
