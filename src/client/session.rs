//! One session: opened through the dialect, called, closed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::classify::Trouble;
use super::lane::{Exchanged, Lane, Message};
use super::server::{PreparedCall, SESSION_ID, Server};
use crate::http::{HeaderValue, Method as HttpMethod};
use crate::metrics::{Failure, ProtocolFailure, SessionFailure};
use crate::protocol::{
    Dialect, Discovery, Expect, Reply, ServerRequest, Welcome, answer_server_request,
};
use crate::scheduler::{Wake, sleep_until};

/// Questions answered within one call before it is given up: a server that
/// never has enough would hold the user for ever.
const ROUND_TRIPS_MAX: u32 = 8;

/// Resumptions of one stream before it is given up.
const RESUMES_MAX: u32 = 5;

/// The wait before a resumption where the server names none.
const RESUME_WAIT: Duration = Duration::from_secs(1);

/// A larger request's buffer is given back when its call is over: there is one
/// for each user, and what a server requires may be in it.
const BODY_BYTES_KEPT: usize = 64 * 1024;

/// A notification about a timeout must not become another wait.
const CANCEL_NOTICE_WAIT: Duration = Duration::from_millis(500);

/// How a call, a handshake or a close went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallReport {
    /// Success, or why not.
    pub result: Result<(), Trouble>,
    /// Just before the first byte was handed to the kernel; where none was,
    /// when the attempt began.
    pub sent: Instant,
    /// The arrival of the last byte of the answer; for a failure, when it was
    /// noticed.
    pub end: Instant,
    /// From the arrival of the answer in the kernel to our reading it.
    pub delay: Option<Duration>,
    /// The server no longer knows the session: open a new one.
    pub session_gone: bool,
    /// The result's text, where the caller asked for it.
    pub result_text: Option<String>,
}

impl CallReport {
    fn of(exchanged: Exchanged, began: Instant) -> (Result<Reply, Trouble>, Self) {
        let sent = exchanged.timing.sent.unwrap_or(began);
        let report = Self {
            result: Ok(()),
            sent,
            end: exchanged.end.unwrap_or_else(crate::clock::now).max(sent),
            delay: exchanged.timing.delay.filter(|_| exchanged.result.is_ok()),
            session_gone: exchanged.session_gone,
            result_text: exchanged.kept_result,
        };
        (exchanged.result, report)
    }
}

/// What a session has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Connections opened.
    pub connects: u64,
    /// Of these, opened since an earlier one was gone.
    pub reconnects: u64,
    /// Bytes handed to the kernel.
    pub bytes_sent: u64,
    /// Bytes read.
    pub bytes_received: u64,
    /// Multi round trips answered.
    pub round_trips: u64,
    /// Streams resumed.
    pub streams_resumed: u64,
    /// Streams that the server left open.
    pub streams_left_open: u64,
    /// Requests of the server's that were answered.
    pub server_requests: u64,
    /// `notifications/cancelled` sent.
    pub cancel_notices: u64,
}

impl SessionCounters {
    fn since(self, earlier: Self) -> Self {
        Self {
            connects: self.connects - earlier.connects,
            reconnects: self.reconnects - earlier.reconnects,
            bytes_sent: self.bytes_sent - earlier.bytes_sent,
            bytes_received: self.bytes_received - earlier.bytes_received,
            round_trips: self.round_trips - earlier.round_trips,
            streams_resumed: self.streams_resumed - earlier.streams_resumed,
            streams_left_open: self.streams_left_open - earlier.streams_left_open,
            server_requests: self.server_requests - earlier.server_requests,
            cancel_notices: self.cancel_notices - earlier.cancel_notices,
        }
    }
}

/// One session over one connection. Its methods suspend the running task.
#[derive(Debug)]
pub struct Session {
    server: Server,
    lane: Lane,
    /// For messages that must go out while an answer is read.
    side_lane: Option<Box<Lane>>,
    session_id: Option<HeaderValue>,
    next_id: Rc<Cell<u64>>,
    /// The request's body; its memory is used again.
    body: Vec<u8>,
    counters: SessionCounters,
    /// What was given away by `take_counters`.
    taken: SessionCounters,
}

impl Session {
    /// A session that is not open yet.
    pub fn new(server: &Server) -> Self {
        Self {
            server: server.clone(),
            lane: Lane::new(server),
            side_lane: None,
            session_id: None,
            next_id: Rc::new(Cell::new(1)),
            body: Vec::new(),
            counters: SessionCounters::default(),
            taken: SessionCounters::default(),
        }
    }

    /// The server of this session.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Whether the server gave the session an id.
    pub fn has_id(&self) -> bool {
        self.session_id.is_some()
    }

    /// The server gives another id to the next session.
    pub fn forget(&mut self) {
        self.session_id = None;
    }

    /// Another lane of the same session, on a connection of its own, for calls
    /// at once. Ids stay unique within the session.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            session_id: self.session_id.clone(),
            next_id: Rc::clone(&self.next_id),
            ..Self::new(&self.server)
        }
    }

    /// What this session has done since it was last asked.
    pub fn take_counters(&mut self) -> SessionCounters {
        let mut now = self.counters;
        let lanes = std::iter::once(&self.lane).chain(self.side_lane.as_deref());
        for (position, lane) in lanes.enumerate() {
            let http = lane.counters();
            now.connects += http.connects;
            // A side connection is opened and dropped as needed.
            now.reconnects += if position == 0 { http.reconnects } else { 0 };
            now.bytes_sent += http.bytes_sent;
            now.bytes_received += http.bytes_received;
            now.streams_left_open += lane.n_streams_left_open;
        }
        let taken = std::mem::replace(&mut self.taken, now);
        now.since(taken)
    }

    /// Opens the session: `initialize` and `notifications/initialized`, or
    /// `server/discover`.
    pub fn open(&mut self) -> CallReport {
        self.session_id = None;
        if self.server.dialect().has_session() {
            self.open_legacy().1
        } else {
            self.discover().1
        }
    }

    /// Legacy: opens the session.
    fn open_legacy(&mut self) -> (Option<Welcome>, CallReport) {
        let (welcome, report, _) = self.open_to_find();
        (welcome, report)
    }

    /// As `open_legacy`, and where a redirect leads.
    pub(super) fn open_to_find(&mut self) -> (Option<Welcome>, CallReport, Option<String>) {
        let began = crate::clock::now();
        let deadline = began + self.server.settings().timeout;
        let initialize = self
            .server
            .prepared(self.server.dialect().initialize(), None);
        let exchanged = self.exchange(&initialize, deadline);
        let session_id = exchanged.session_id.clone();
        let location = exchanged.location.clone();
        let (result, mut report) = CallReport::of(exchanged, began);
        let welcome = match self.opened(result, &report, Dialect::read_initialize) {
            Ok(welcome) => welcome,
            Err(trouble) => {
                report.result = Err(trouble);
                return (None, report, location);
            }
        };
        self.session_id = session_id;
        let revision = self.server.dialect().revision();
        if welcome.revision != revision {
            // What follows is rendered for the revision that was found; `find`
            // asks again in the one that the server names.
            report.result = Err(could_not_initialize(format!(
                "the server chose revision {}, not {revision}",
                welcome.revision
            )));
            return (Some(welcome), report, None);
        }
        let notice = self.server.initialized();
        let message = Message {
            headers: &notice.headers,
            head: Some(&notice.head),
            session_id: self.session_id.as_ref(),
            body: &notice.body,
            // How long the answer lay unread is not the server's time.
            deadline: deadline + report.delay.unwrap_or_default(),
        };
        let (status, _, end) = self.lane.tell(HttpMethod::POST, &message);
        report.end = end.max(report.end);
        report.delay = None;
        report.result = match status {
            Ok(200..300) => Ok(()),
            Ok(status) => Err(Trouble::failed(
                Failure::Http {
                    status,
                    rpc_code: None,
                },
                format!("status {status} to `notifications/initialized`"),
            )),
            Err(trouble) => Err(trouble),
        };
        (Some(welcome), report, None)
    }

    /// Goes on in the revision that was agreed upon.
    pub(super) fn speak_as(&mut self, server: &Server) {
        self.server = server.clone();
    }

    /// Modern: asks what the server speaks.
    fn discover(&mut self) -> (Option<Discovery>, CallReport) {
        let began = crate::clock::now();
        let deadline = began + self.server.settings().timeout;
        let discover = self.server.prepared(self.server.dialect().discover(), None);
        let exchanged = self.exchange(&discover, deadline);
        let (result, mut report) = CallReport::of(exchanged, began);
        match self.opened(result, &report, Dialect::read_discover) {
            Ok(discovery) => (Some(discovery), report),
            Err(trouble) => {
                report.result = Err(trouble);
                (None, report)
            }
        }
    }

    /// Reads the answer to an opening request.
    fn opened<T>(
        &self,
        result: Result<Reply, Trouble>,
        report: &CallReport,
        read: impl Fn(&str) -> Result<T, crate::protocol::ProtocolFault>,
    ) -> Result<T, Trouble> {
        match result? {
            Reply::Complete => {
                let text = report.result_text.as_deref().unwrap_or_default();
                read(text).map_err(|fault| could_not_initialize(fault.to_string()))
            }
            Reply::Error(error) => Err(could_not_initialize(format!(
                "error {}: {}",
                error.code, error.message
            ))),
            Reply::ToolError { .. } | Reply::InputRequired(_) => Err(could_not_initialize(
                "the answer is not that of a handshake".to_string(),
            )),
        }
    }

    /// Calls, and waits for the answer. Questions of a modern server are
    /// answered, a legacy stream that breaks off is resumed where it can be.
    pub fn call(&mut self, call: &PreparedCall) -> CallReport {
        self.call_until(call, false)
    }

    /// As [`Session::call`], and keeps the result's text.
    pub fn call_for_result(&mut self, call: &PreparedCall) -> CallReport {
        self.call_until(call, true)
    }

    fn call_until(&mut self, call: &PreparedCall, keep_result: bool) -> CallReport {
        let report = self.call_to_its_end(call, keep_result);
        if self.body.capacity() > BODY_BYTES_KEPT {
            self.body = Vec::new();
        }
        report
    }

    fn call_to_its_end(&mut self, call: &PreparedCall, keep_result: bool) -> CallReport {
        let began = crate::clock::now();
        let deadline = began + self.server.settings().timeout;
        let mut id = self.render(call);
        let mut first_sent = None;
        let mut n_round_trips = 0;
        loop {
            let mut exchanged = self.send(call, id, deadline, keep_result);
            let mut n_resumes = 0;
            while exchanged.resumable && n_resumes < RESUMES_MAX {
                n_resumes += 1;
                let sent = exchanged.timing.sent;
                let Some(resumed) = self.resume(deadline) else {
                    break;
                };
                exchanged = resumed;
                exchanged.timing.sent = sent;
            }
            let (result, mut report) = CallReport::of(exchanged, began);
            report.sent = *first_sent.get_or_insert(report.sent);
            let trouble = match result {
                Ok(Reply::Complete) => return report,
                Ok(Reply::InputRequired(questions)) if n_round_trips < ROUND_TRIPS_MAX => {
                    match questions.answer() {
                        Ok(answers) => {
                            n_round_trips += 1;
                            self.counters.round_trips += 1;
                            id = self.take_id();
                            self.body.clear();
                            call.prepared.write_retry(id, &answers, &mut self.body);
                            continue;
                        }
                        Err(fault) => Trouble::from(fault),
                    }
                }
                Ok(Reply::InputRequired(_)) => Trouble::failed(
                    Failure::Protocol(ProtocolFailure::BadResult),
                    format!("more than {ROUND_TRIPS_MAX} round trips for one call"),
                ),
                Ok(Reply::ToolError { message }) => Trouble::failed(Failure::Tool, message),
                Ok(Reply::Error(error)) => Trouble::from(error),
                Err(Trouble::Failed { message, .. }) if report.session_gone => {
                    Trouble::failed(Failure::Session(SessionFailure::Expired), message)
                }
                Err(trouble) => trouble,
            };
            if trouble.is_timeout() {
                self.send_cancelled(id);
            }
            report.result = Err(trouble);
            return report;
        }
    }

    /// Ends the session on the server, if it has an id: DELETE. 405 and 404
    /// are fine: the server does not allow it, or has forgotten it already.
    /// `None` when there is nothing to end.
    pub fn close(&mut self, wait: Duration) -> Option<CallReport> {
        let session_id = self.session_id.take()?;
        let began = crate::clock::now();
        let leaving = self.server.leaving();
        let message = Message {
            headers: &leaving.headers,
            head: Some(&leaving.head),
            session_id: Some(&session_id),
            body: &leaving.body,
            deadline: began + wait,
        };
        let (status, timing, end) = self.lane.tell(HttpMethod::DELETE, &message);
        let sent = timing.sent.unwrap_or(began);
        Some(CallReport {
            result: match status {
                Ok(200..300 | 404 | 405) => Ok(()),
                Ok(status) => Err(Trouble::failed(
                    Failure::Http {
                        status,
                        rpc_code: None,
                    },
                    format!("status {status} to DELETE"),
                )),
                Err(trouble) => Err(trouble),
            },
            sent,
            end: end.max(sent),
            delay: None,
            session_gone: false,
            result_text: None,
        })
    }

    /// One exchange of a prepared request, whose result is kept.
    pub(super) fn exchange(&mut self, call: &PreparedCall, deadline: Instant) -> Exchanged {
        let id = self.render(call);
        self.send(call, id, deadline, true)
    }

    /// One exchange whose answer is judged from its bytes.
    pub(super) fn probe(&mut self, call: &PreparedCall, deadline: Instant) -> (Exchanged, Vec<u8>) {
        self.lane.record();
        let exchanged = self.exchange(call, deadline);
        (exchanged, self.lane.take_recorded())
    }

    fn take_id(&mut self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    fn render(&mut self, call: &PreparedCall) -> u64 {
        let id = self.take_id();
        self.body.clear();
        call.prepared.write(id, &mut self.body);
        id
    }

    /// Sends the body that was rendered.
    #[inline(never)]
    fn send(
        &mut self,
        call: &PreparedCall,
        id: u64,
        deadline: Instant,
        keep_result: bool,
    ) -> Exchanged {
        let Self {
            server,
            lane,
            side_lane,
            session_id,
            body,
            counters,
            ..
        } = self;
        let message = Message {
            headers: &call.headers,
            head: Some(&call.head),
            session_id: session_id.as_ref(),
            body,
            deadline,
        };
        let expect = Expect {
            id,
            method: call.method,
            keep_result,
        };
        lane.request(&message, expect, &mut |request| {
            counters.server_requests += 1;
            answer(server, side_lane, session_id.as_ref(), request, deadline);
        })
    }

    #[inline(never)]
    fn resume(&mut self, deadline: Instant) -> Option<Exchanged> {
        let at = crate::clock::now() + self.lane.retry().unwrap_or(RESUME_WAIT);
        if at >= deadline || sleep_until(at) == Wake::Cancelled {
            return None;
        }
        let event_id = HeaderValue::try_from(self.lane.last_event_id()?).ok()?;
        let mut headers = self.server.bare_headers();
        headers.insert("accept", HeaderValue::from_static("text/event-stream"));
        headers.insert("last-event-id", event_id);
        self.counters.streams_resumed += 1;
        let Self {
            server,
            lane,
            side_lane,
            session_id,
            counters,
            ..
        } = self;
        let message = Message {
            headers: &headers,
            head: None,
            session_id: session_id.as_ref(),
            body: &[],
            deadline,
        };
        Some(lane.resume(&message, &mut |request| {
            counters.server_requests += 1;
            answer(server, side_lane, session_id.as_ref(), request, deadline);
        }))
    }

    /// Tells the server that nobody waits for the answer any more.
    #[inline(never)]
    fn send_cancelled(&mut self, id: u64) {
        let Some(notice) = self
            .server
            .dialect()
            .cancelled(id, "the request timed out at the load tester")
        else {
            return;
        };
        self.counters.cancel_notices += 1;
        let headers = self.server.notice_headers(&notice);
        let message = Message {
            headers: &headers,
            head: None,
            session_id: self.session_id.as_ref(),
            body: &notice.body,
            deadline: crate::clock::now() + CANCEL_NOTICE_WAIT,
        };
        let lane = self
            .side_lane
            .get_or_insert_with(|| Box::new(Lane::new(&self.server)));
        // A server that does not answer calls may not take this either.
        let _ = lane.tell(HttpMethod::POST, &message);
    }
}

fn could_not_initialize(message: String) -> Trouble {
    Trouble::failed(
        Failure::Session(SessionFailure::CouldNotInitialize),
        message,
    )
}

/// Answers a request of the server's on a connection of its own, since the
/// call's is busy with the stream.
fn answer(
    server: &Server,
    side_lane: &mut Option<Box<Lane>>,
    session_id: Option<&HeaderValue>,
    request: &ServerRequest,
    deadline: Instant,
) {
    let mut headers = server.response_headers();
    if session_id.is_none() {
        headers.remove(SESSION_ID);
    }
    let body = answer_server_request(request);
    let message = Message {
        headers: &headers,
        head: None,
        session_id,
        body: &body,
        deadline,
    };
    let lane = side_lane.get_or_insert_with(|| Box::new(Lane::new(server)));
    // Whether it arrived shows in the call: the server goes on, or hangs.
    let _ = lane.tell(HttpMethod::POST, &message);
}
