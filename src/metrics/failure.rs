//! Why a request failed: a variant for each cause, grouped by whose fault it is.
//!
//! Fixed causes are counted by index; HTTP statuses and JSON-RPC codes, of
//! which a server may invent any, by a short bounded table. This module does
//! not know how a failure was noticed.
//!
//! To add a cause: a line in the table of `causes!` with its id, and the place
//! that notices it.

use std::fmt;

use crate::text::named;

/// Makes, from one table, the kinds of causes that are counted by their place in
/// it, the list of these causes, and their ids.
macro_rules! causes {
    ($(
        $(#[$kind_doc:meta])*
        $of:ident($kind:ident), $group:literal: {
            $($(#[$doc:meta])* $cause:ident = $id:literal,)*
        }
    )*) => {
        $(
            $(#[$kind_doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub enum $kind {
                $($(#[$doc])* $cause,)*
            }
        )*

        /// The causes that are counted by their place here, each with its id.
        const FIXED: &[(Failure, &str)] = &[
            $($((Failure::$of($kind::$cause), concat!($group, ".", $id)),)*)*
            (Failure::Tool, "tool.is_error"),
            (Failure::RpcWithoutCode, "jsonrpc.no_code"),
            (Failure::RpcOther, "jsonrpc.other"),
        ];
    };
}

causes! {
    /// Why a connection could not be made.
    Connect(ConnectFailure), "connect": {
        /// Nobody listens there.
        Refused = "refused",
        /// No route to the host or network.
        Unreachable = "unreachable",
        /// The proxy refused, or could not be reached.
        Proxy = "proxy",
        /// The TLS handshake failed.
        Tls = "tls",
        /// No connection within the request's timeout.
        Timeout = "timeout",
        /// The server closed or reset the connection while it was being made.
        Reset = "reset",
        /// This machine has no more file descriptors, ports or memory for it.
        NoResources = "no_local_resources",
        /// Any other fault of the operating system.
        Other = "other",
    }

    /// A connection that died under a request before any byte of the answer.
    Connection(ConnectionFailure), "connect": {
        /// On a connection made for this request.
        LostNew = "lost_new",
        /// On a kept-alive connection that had served a request before.
        LostReused = "lost_reused",
    }

    /// What a request was doing when its timeout struck.
    Timeout(TimeoutPhase), "timeout": {
        /// Its bytes were being handed to the kernel.
        Sending = "sending",
        /// All was sent and no byte of the answer had come.
        Waiting = "waiting",
        /// The answer had begun and was not complete.
        Reading = "reading",
    }

    /// An answer that is not what the protocol demands.
    Protocol(ProtocolFailure), "protocol": {
        /// Not HTTP/1.1.
        BadHttp = "bad_http",
        /// A redirect, which is not followed during a run.
        Redirect = "redirect",
        /// Neither `application/json` nor `text/event-stream`.
        ContentType = "content_type",
        /// A content coding that is not read, or content that is not in it.
        ContentEncoding = "content_encoding",
        /// The body is not JSON.
        NotJson = "not_json",
        /// Neither a result nor an error.
        NoResult = "no_result",
        /// The answer to another id.
        WrongId = "wrong_id",
        /// Larger than the bound.
        TooLarge = "too_large",
        /// The stream ended, in good order, without the answer.
        StreamEnded = "stream_ended",
        /// 202 Accepted to a request, without an answer.
        Accepted = "accepted_unanswered",
        /// The connection closed in the midst of the answer.
        ClosedEarly = "closed_early",
        /// Notifications of progress whose values do not grow.
        Progress = "progress",
        /// A result without what its method demands, or of an unknown type.
        BadResult = "bad_result",
        /// A subscription that was answered with 200, and not acknowledged.
        NotAcknowledged = "not_acknowledged",
    }

    /// A fault of the MCP session.
    Session(SessionFailure), "session": {
        /// The server no longer knows the session (404, or 400 on some).
        Expired = "expired",
        /// The session could not be opened.
        CouldNotInitialize = "could_not_initialize",
    }

    /// A value that a later step needs and the answer does not have.
    Extract(ExtractFailure), "extract": {
        /// Nothing is where the value was looked for.
        NoMatch = "no_match",
    }

    /// An answer that is not what the step awaits of it.
    Expect(ExpectFailure), "expect": {
        /// It lacks a text.
        Contains = "contains",
        /// It does not match a regular expression.
        Matches = "matches",
        /// It is another value.
        Equals = "equals",
        /// It breaks the tool's output schema.
        Schema = "schema",
        /// A tool that was to fail did not.
        IsError = "is_error",
        /// No JSON-RPC error, or one with another code.
        Code = "code",
        /// Another HTTP status.
        Status = "status",
        /// It is larger.
        MaxBytes = "max_bytes",
    }

    /// An answer that holds what is another user's.
    Isolation(IsolationFailure), "isolation": {
        /// The marker of another user's call.
        Foreign = "foreign",
    }

    /// A call that was answered with a task, which brought no result.
    Task(TaskFailure), "task": {
        /// It had not ended within the time for tasks.
        Timeout = "timeout",
        /// The server says that it was cancelled.
        Cancelled = "cancelled",
    }

    /// A request that could not be made for want of a token: nothing was sent.
    Auth(AuthFailure), "auth": {
        /// The server refused the one before, and no other was available.
        NoToken = "no_token",
    }

    /// A request that could not be made of its template: nothing was sent.
    Template(TemplateFailure), "template": {
        /// A value for a header has a line end in it.
        BadHeader = "bad_header",
        /// No answer brought a value that it takes.
        NoValue = "no_value",
    }
}

named! {
    /// What a server says of the token that it refuses (RFC 6750 section 3.1).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum TokenError {
        /// The request is malformed: a parameter is missing or there twice.
        InvalidRequest = "invalid_request",
        /// The token is expired, revoked, malformed or another server's.
        InvalidToken = "invalid_token",
        /// The token is good, and does not allow this.
        InsufficientScope = "insufficient_scope",
    }
    /// Its name on the wire and in reports.
    fn id
}

impl TokenError {
    /// The one with this name.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.id() == id)
    }
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
    /// An HTTP error status that says what is wrong with the token.
    Denied {
        /// The status, 400, 401 or 403.
        status: u16,
        /// What is wrong.
        error: TokenError,
    },
    /// A JSON-RPC error in a successful HTTP exchange.
    Rpc(i64),
    /// The same without a code that can be read.
    RpcWithoutCode,
    /// The same with one of the codes beyond those that are counted apart.
    RpcOther,
    /// A tool's result with `isError: true`.
    Tool,
    /// Not an answer as the protocol demands it.
    Protocol(ProtocolFailure),
    /// A fault of the session.
    Session(SessionFailure),
    /// A value that a later step needs is missing.
    Extract(ExtractFailure),
    /// Not the answer that the step awaits.
    Expect(ExpectFailure),
    /// It holds what is another user's.
    Isolation(IsolationFailure),
    /// The call's task brought no result.
    Task(TaskFailure),
    /// There is no token for the request.
    Auth(AuthFailure),
    /// The request could not be made.
    Template(TemplateFailure),
}

named! {
    /// Failures grouped by whose fault they are, in the order in which they are
    /// reported.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum FailureGroup {
        /// No connection, or it died.
        Connect = "connect",
        /// The timeout struck.
        Timeout = "timeout",
        /// An HTTP error status.
        Http = "http",
        /// The server takes no more requests for a while (429): as it was told to, not a
        /// fault of it.
        RateLimit = "rate_limit",
        /// A JSON-RPC error.
        Rpc = "jsonrpc",
        /// The tool says that it failed.
        Tool = "tool",
        /// The answer breaks the protocol.
        Protocol = "protocol",
        /// The session expired or never began.
        Session = "session",
        /// The answer lacks a value that a later step needs.
        Extract = "extract",
        /// The answer is not what the config awaits.
        Expect = "expect",
        /// The answer holds what is another user's.
        Isolation = "isolation",
        /// A task brought no result.
        Task = "task",
        /// No token was to be had.
        Auth = "auth",
        /// The config made a request that must not be sent.
        Template = "template",
    }
    /// The group's stable name in reports.
    fn id
}

impl Failure {
    /// Whose fault it is.
    pub fn group(self) -> FailureGroup {
        match self {
            Self::Connect(_) | Self::Connection(_) => FailureGroup::Connect,
            Self::Timeout(_) => FailureGroup::Timeout,
            Self::Http { status: 429, .. } => FailureGroup::RateLimit,
            Self::Http { .. } | Self::Denied { .. } => FailureGroup::Http,
            Self::Rpc(_) | Self::RpcWithoutCode | Self::RpcOther => FailureGroup::Rpc,
            Self::Tool => FailureGroup::Tool,
            Self::Protocol(_) => FailureGroup::Protocol,
            Self::Session(_) => FailureGroup::Session,
            Self::Extract(_) => FailureGroup::Extract,
            Self::Expect(_) => FailureGroup::Expect,
            Self::Isolation(_) => FailureGroup::Isolation,
            Self::Task(_) => FailureGroup::Task,
            Self::Auth(_) => FailureGroup::Auth,
            Self::Template(_) => FailureGroup::Template,
        }
    }

    /// The status of the answer, where it is why the request failed.
    pub fn http_status(self) -> Option<u16> {
        match self {
            Self::Http { status, .. } | Self::Denied { status, .. } => Some(status),
            _ => None,
        }
    }

    /// The code of the JSON-RPC error, whatever the status that it came with.
    pub fn rpc_code(self) -> Option<i64> {
        match self {
            Self::Rpc(code) => Some(code),
            Self::Http { rpc_code, .. } => rpc_code,
            _ => None,
        }
    }

    /// What it is counted as where there are too many codes.
    fn without_code(self) -> Self {
        match self {
            Self::Http { status, .. } => Self::Http {
                status,
                rpc_code: None,
            },
            Self::Rpc(_) => Self::RpcOther,
            other => other,
        }
    }

    /// Whether the server says that headers do not match the body (MCP's −32020).
    pub fn is_header_mismatch(self) -> bool {
        self.rpc_code() == Some(-32020)
    }

    /// Whether nothing was sent, nor tried to be.
    pub fn is_unsent(self) -> bool {
        matches!(self, Self::Auth(_) | Self::Template(_))
    }

    /// Whether the server did not let the request in: 401 or 403.
    pub fn is_denial(self) -> bool {
        matches!(self.http_status(), Some(401 | 403))
    }

    /// The stable name in reports, such as `connect.refused`, `http.503`,
    /// `jsonrpc.-32602`, `http.400.jsonrpc.-32600` or `http.401.invalid_token`.
    pub fn id(self) -> String {
        self.to_string()
    }

    /// The place in the table of fixed causes; `None` for numbered ones.
    fn index(self) -> Option<usize> {
        FIXED.iter().position(|(fixed, _)| *fixed == self)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Http { status, rpc_code } => {
                write!(f, "http.{status}")?;
                rpc_code.map_or(Ok(()), |code| write!(f, ".jsonrpc.{code}"))
            }
            Self::Denied { status, error } => write!(f, "http.{status}.{}", error.id()),
            Self::Rpc(code) => write!(f, "jsonrpc.{code}"),
            fixed => f.write_str(fixed.index().map_or("", |at| FIXED[at].1)),
        }
    }
}

/// Whether failures may have this id, or one that begins with it: `http`, `http.503`,
/// `timeout.waiting`, `jsonrpc.-32602`, `http.401.invalid_token`.
pub fn names_cause(path: &str) -> bool {
    let is_fixed = FIXED.iter().any(|(_, id)| is_below(id, path));
    let is_numbered = match path.split_once('.') {
        None => [FailureGroup::Http, FailureGroup::RateLimit]
            .map(FailureGroup::id)
            .contains(&path),
        Some(("http", answer)) => {
            let (status, why) = answer.split_once('.').unwrap_or((answer, ""));
            let is_known = why.is_empty() && !answer.ends_with('.')
                || TokenError::of_id(why).is_some()
                || why.strip_prefix("jsonrpc.").is_some_and(is_code);
            is_known && matches!(status.parse(), Ok(100_u16..=999))
        }
        Some(("jsonrpc", code)) => is_code(code),
        Some(_) => false,
    };
    is_fixed || is_numbered
}

fn is_code(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

/// Whether an id is the path, or begins with it and a point.
fn is_below(id: &str, path: &str) -> bool {
    let rest = id.strip_prefix(path);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A server that invents a new JSON-RPC code for every answer must not grow our
/// memory: beyond this many causes with such a code, further ones lose it. Their HTTP
/// status and their group they keep: of these there are few.
const CODED_MAX: usize = 64;

/// How often each cause occurred.
#[derive(Debug, Clone, Default)]
pub struct FailureCounts {
    /// Made with the first failure: most rows have none.
    counted: Option<Box<Counted>>,
}

#[derive(Debug, Clone)]
struct Counted {
    fixed: [u64; FIXED.len()],
    /// HTTP and JSON-RPC failures in the order of their first occurrence; of those with
    /// a JSON-RPC code at most [`CODED_MAX`].
    numbered: Vec<(Failure, u64)>,
    /// How many of them have one.
    n_coded: usize,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            fixed: [0; FIXED.len()],
            numbered: Vec::new(),
            n_coded: 0,
        }
    }
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
            counted.n_coded = 0;
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

    /// The number of failures whose id is `path`, or begins with it: `http`,
    /// `http.503`; or whose group has that name: `rate_limit`.
    pub fn below(&self, path: &str) -> u64 {
        self.occurred()
            .filter(|(failure, _)| is_below(&failure.id(), path) || failure.group().id() == path)
            .map(|(_, count)| count)
            .sum()
    }

    /// The number of requests that the server did not let in: 401 and 403.
    pub fn denied(&self) -> u64 {
        let denials = self.occurred().filter(|(failure, _)| failure.is_denial());
        denials.map(|(_, count)| count).sum()
    }

    /// The number of failures of all causes.
    pub fn total(&self) -> u64 {
        self.occurred().map(|(_, count)| count).sum()
    }

    /// Causes that occurred.
    fn occurred(&self) -> impl Iterator<Item = (Failure, u64)> + '_ {
        self.counted.iter().flat_map(|counted| {
            let fixed = FIXED.iter().map(|(failure, _)| *failure);
            fixed
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
        } else if failure.rpc_code().is_none() {
            self.numbered.push((failure, n));
        } else if self.n_coded < CODED_MAX {
            self.n_coded += 1;
            self.numbered.push((failure, n));
        } else {
            self.add_n(failure.without_code(), n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_distinct_and_begin_with_their_group() {
        let ids: HashSet<&str> = FIXED.iter().map(|(_, id)| *id).collect();
        assert_eq!(ids.len(), FIXED.len());
        for (failure, id) in FIXED {
            assert_eq!(failure.id(), *id);
            let group = format!("{}.", failure.group().id());
            assert!(id.starts_with(&group), "{failure}");
        }
        let both = Failure::Http {
            status: 400,
            rpc_code: Some(-32600),
        };
        assert_eq!(both.id(), "http.400.jsonrpc.-32600");
        assert_eq!(Failure::Rpc(0).id(), "jsonrpc.0");
    }

    #[test]
    fn what_is_refused_has_kinds_of_its_own() {
        let denied = Failure::Denied {
            status: 401,
            error: TokenError::InvalidToken,
        };
        let limited = Failure::Http {
            status: 429,
            rpc_code: None,
        };
        assert_eq!(denied.id(), "http.401.invalid_token");
        assert_eq!(
            (limited.id().as_str(), limited.group().id()),
            ("http.429", "rate_limit")
        );
        let mut counts = FailureCounts::default();
        counts.add(denied);
        counts.add(limited);
        counts.add(Failure::Http {
            status: 403,
            rpc_code: Some(-1),
        });
        assert_eq!(counts.denied(), 2);
        assert_eq!(counts.of_group(FailureGroup::RateLimit), 1);
        assert_eq!(counts.below("http"), 3);
        assert_eq!(counts.below("http.401"), 1);
        assert_eq!(counts.below("rate_limit"), 1);
    }

    #[test]
    fn mismatched_headers_are_known_by_their_code() {
        let http = |rpc_code| Failure::Http {
            status: 400,
            rpc_code,
        };
        assert!(Failure::Rpc(-32020).is_header_mismatch());
        assert!(http(Some(-32020)).is_header_mismatch());
        assert!(!http(None).is_header_mismatch());
        assert!(!Failure::Rpc(-32021).is_header_mismatch());
    }

    #[test]
    fn paths_name_what_there_can_be() {
        for path in [
            "http",
            "http.429",
            "rate_limit",
            "http.401.invalid_token",
            "http.400.jsonrpc.-32600",
        ] {
            assert!(names_cause(path), "{path}");
        }
        for path in [
            "http.",
            "http.401.",
            "http.401.x",
            "http.99",
            "http.1.jsonrpc.x",
        ] {
            assert!(!names_cause(path), "{path}");
        }
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
        assert!(counts.ranked().len() <= CODED_MAX + 1);
        assert_eq!(counts.ranked()[0].0.id(), "jsonrpc.other");
        let mut twice = counts.clone();
        twice.merge(&counts);
        assert_eq!(twice.total(), 20_000);
        counts.clear();
        counts.add(Failure::Rpc(-1));
        assert_eq!(counts.ranked(), [(Failure::Rpc(-1), 1)]);
    }

    /// Whatever a server invents, what a run is judged by stays what it was: statuses,
    /// groups, refusals. No code is told that nobody sent.
    #[test]
    fn causes_beyond_the_bound_keep_their_status_and_their_group() {
        let mut counts = FailureCounts::default();
        for code in 0..1_000 {
            counts.add(Failure::Rpc(code));
        }
        for status in 100..=999 {
            counts.add(Failure::Http {
                status,
                rpc_code: None,
            });
        }
        for code in 0..1_000 {
            for status in [403, 429, 500] {
                let rpc_code = Some(code);
                counts.add(Failure::Http { status, rpc_code });
            }
        }
        assert_eq!(counts.of_group(FailureGroup::Rpc), 1_000);
        assert_eq!(counts.of_group(FailureGroup::RateLimit), 1_001);
        assert_eq!(counts.of_group(FailureGroup::Http), 2_000 + 899);
        assert_eq!(counts.below("http.403"), 1_001);
        assert_eq!(counts.below("http.777"), 1);
        assert_eq!(counts.denied(), 1_001 + 1);
        assert_eq!(counts.below("jsonrpc.other"), 1_000 - CODED_MAX as u64);
        assert!(counts.ranked().len() <= CODED_MAX + 1 + 900);
        assert!(names_cause("jsonrpc.other"));
    }
}
