//! One session: opened through the dialect, called, closed.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::error_head::RetryAfter;
use super::identity::Identity;
use super::lane::{Exchanged, Lane, Outgoing, RECORDED_BYTES_MAX};
use super::mailbox::{AwaitedMail, Mailbox};
use super::observed::{KeptParts, Observed};
use super::server::{PreparedCall, Server};
use super::token::{RefusedToken, TokenCell};
use crate::http::{HeaderLines, HeaderName, HeaderValue, Trouble};
use crate::marker::{FoundMarkers, MarkerKey, MarkerSearch};
use crate::metrics::{
    CallPhases, ConnectFailure, ConnectionFailure, Counters, Failure, ProtocolFailure,
    SessionFailure,
};
use crate::outcome::{StreamOffer, WireCopy};
use crate::protocol::{
    Dialect, Discovery, Expect, Reply, RequestBody, ServerRequest, TaskRequest, TaskState, Welcome,
    answer_server_request, read_json_reply, says_session_gone,
};
use crate::scheduler::{Wake, sleep_until};
use crate::units::{nanos_between, plural};

/// Questions answered within one call before it is given up: a server that
/// never has enough would hold the user forever.
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

/// Requests of the server's that are answered within one call. One that asks
/// without end gets no more answers, and the call goes on to its deadline.
const SERVER_REQUESTS_MAX: u32 = 256;

/// Connections opened for these answers within one call. A server that closes
/// each of them gets no more than these, and one in each later call.
const SIDE_CONNECTS_MAX: u64 = 8;

/// How long the acknowledgement of such an answer is awaited, since nothing of
/// the call is read meanwhile.
const ANSWER_WAIT: Duration = Duration::from_millis(500);

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
    /// When what lies between was.
    pub moments: CallMoments,
    /// From the arrival of the answer in the kernel to our reading it.
    pub delay: Option<Duration>,
    /// Of a call: bytes of HTTP heads and bodies that were written for it.
    pub n_bytes_sent: u64,
    /// Of a call: bytes of HTTP heads and bodies that were read for it.
    pub n_bytes: u64,
    /// The server no longer knows the session: open a new one.
    pub session_gone: bool,
    /// The result's text, where the call keeps it.
    pub result_text: Option<String>,
    /// The JSON of the error that was answered, where the call keeps it.
    pub error_text: Option<String>,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What of the answer the call keeps beside.
    pub observed: Option<Box<Observed>>,
}

/// Moments of a call, beside those that its latency is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallMoments {
    /// When the attempt began: before a connection was made.
    pub began: Instant,
    /// When the kernel had all of the request, where it did not take it at once.
    pub written: Option<Instant>,
    /// The arrival of the first byte of the answer that ended it; `None` where none came.
    pub first_byte: Option<Instant>,
}

impl CallMoments {
    fn began(began: Instant) -> Self {
        Self {
            began,
            written: None,
            first_byte: None,
        }
    }
}

impl CallReport {
    /// Where the time of the call went, of which a start was intended or not.
    pub fn phases(&self, intended: Option<Instant>) -> CallPhases {
        let CallMoments {
            began,
            written,
            first_byte,
        } = self.moments;
        let written = written.map_or(self.sent, |at| at.clamp(self.sent, self.end));
        let first_byte = first_byte.map(|at| at.clamp(written, self.end));
        CallPhases {
            queue_ns: intended.map(|at| nanos_between(at, began)),
            connect_ns: nanos_between(intended.map_or(began, |at| at.max(began)), self.sent),
            send_ns: nanos_between(self.sent, written),
            wait_ns: nanos_between(written, first_byte.unwrap_or(self.end)),
            read_ns: first_byte.map(|at| nanos_between(at, self.end)),
        }
    }

    /// Of what has begun and succeeded at once, to be told of otherwise.
    pub fn began(sent: Instant) -> Self {
        Self {
            result: Ok(()),
            sent,
            end: sent,
            moments: CallMoments::began(sent),
            delay: None,
            n_bytes_sent: 0,
            n_bytes: 0,
            session_gone: false,
            result_text: None,
            error_text: None,
            status: None,
            observed: None,
        }
    }

    pub(super) fn of(exchanged: Exchanged, began: Instant) -> (Result<Reply, Trouble>, Self) {
        let sent = exchanged.timing.sent.unwrap_or(began);
        let report = Self {
            result: Ok(()),
            sent,
            end: exchanged.end.unwrap_or_else(crate::clock::now).max(sent),
            moments: CallMoments {
                began,
                written: exchanged.timing.written,
                first_byte: exchanged.timing.first_byte,
            },
            delay: exchanged.timing.delay.filter(|_| exchanged.result.is_ok()),
            n_bytes_sent: 0,
            n_bytes: 0,
            session_gone: exchanged.session_gone,
            result_text: exchanged.kept_result,
            error_text: exchanged.error_text,
            status: exchanged.status,
            observed: exchanged.observed,
        };
        (exchanged.result, report)
    }
}

/// One session over one connection. Its methods suspend the running task.
#[derive(Debug)]
pub struct Session {
    server: Server,
    lane: Lane,
    /// For messages that must go out while an answer is read.
    side_lane: Option<Box<Lane>>,
    /// Who its user is to the server.
    pub(super) identity: Rc<Identity>,
    /// The request under way.
    body: RequestBody,
    /// What the server asked within the call.
    asked: RequestsOfServer,
    /// The server has said that it resumes no stream of this session.
    never_resumes: bool,
    /// The task that the call under way was answered with.
    task: Option<Box<TaskState>>,
    counters: Counters,
    /// What was given away by `take_counters`.
    taken: Counters,
    /// What went over the wire in the last call, where somebody looks on.
    watched: Option<Box<WireCopy>>,
    /// Who the user is whose answers are searched for others' markers.
    pub(super) marked_as: Option<Box<(MarkerKey, u32)>>,
}

impl Session {
    /// A session that is not open yet. `turns` chooses among the addresses of the server:
    /// it begins with the user's number, and sessions of one user share it.
    pub fn new(server: &Server, turns: Rc<Cell<usize>>) -> Self {
        Self::of(server, Rc::new(Identity::new(server, turns)))
    }

    /// Chooses among the addresses of the server.
    pub fn turns(&self) -> Rc<Cell<usize>> {
        Rc::clone(&self.identity.turns)
    }

    fn of(server: &Server, identity: Rc<Identity>) -> Self {
        Self {
            server: server.clone(),
            lane: Lane::new(server, Rc::clone(&identity)),
            side_lane: None,
            identity,
            body: RequestBody::default(),
            asked: RequestsOfServer::NOTHING,
            never_resumes: false,
            task: None,
            counters: Counters::default(),
            taken: Counters::default(),
            watched: None,
            marked_as: None,
        }
    }

    /// The server of this session.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Whether the server gave the session an id.
    pub fn has_id(&self) -> bool {
        self.identity.has_session_id()
    }

    /// The server gives another id to the next session, and sends it no answer to a call of
    /// this one.
    pub fn forget(&mut self) {
        self.identity.set_session_id(None);
        self.identity.set_mailbox(None);
    }

    /// Another lane of the same session, on a connection of its own, for calls
    /// at once. Ids of requests stay unique within the session.
    #[must_use]
    pub fn beside(&self) -> Self {
        let mut beside = Self::of(&self.server, Rc::clone(&self.identity));
        beside.watched = self.watched.as_ref().map(|_| Box::default());
        if let Some(marked_as) = &self.marked_as {
            beside.search(&marked_as.0, marked_as.1);
        }
        beside
    }

    /// Becomes the session of a new client, which has nothing of the one before but its
    /// connections. It is not open.
    pub fn begin_anew(&mut self) {
        self.speak_for(Rc::new(Identity::new(&self.server, self.turns())));
    }

    /// Becomes another lane of that session, with its own connection.
    pub fn join(&mut self, other: &Self) {
        self.speak_for(Rc::clone(&other.identity));
    }

    fn speak_for(&mut self, identity: Rc<Identity>) {
        for lane in std::iter::once(&mut self.lane).chain(self.side_lane.as_deref_mut()) {
            lane.serve(&identity);
        }
        self.identity = identity;
        self.never_resumes = false;
    }

    /// Asks whether the server offers a listening stream, over this connection, which is
    /// closed with the stream.
    pub(super) fn ask_for_stream(&mut self, deadline: Instant) -> StreamOffer {
        let message = Outgoing {
            head: &self.server.heads().get,
            lines: self.server.bare(),
            body: &[],
            deadline,
            kept: None,
        };
        let mut asked = self.lane.open_stream(&message, None);
        if asked
            .as_ref()
            .is_err_and(|refused| is_lost_reused(&refused.result))
        {
            asked = self.lane.open_stream(&message, None);
        }
        match asked {
            Ok(_) => StreamOffer::accepted(),
            Err(refused) => StreamOffer {
                offered: false,
                status: refused.status,
                why: refused.result.err().map(|it| it.message().to_string()),
            },
        }
    }

    /// From now on answers to the calls of this session, on whatever lane, may come on a
    /// listening stream, which puts them here.
    pub(super) fn open_mailbox(&self) -> Rc<Mailbox> {
        let mailbox = Rc::default();
        self.identity.set_mailbox(Some(Rc::clone(&mailbox)));
        mailbox
    }

    /// Searches all answers from now on for the markers of others than this user.
    pub fn search(&mut self, key: &MarkerKey, user: u32) {
        self.lane.search(MarkerSearch::new(key.clone(), user));
        self.marked_as = Some(Box::new((key.clone(), user)));
    }

    /// The markers in what came since this was last asked.
    pub fn take_markers(&mut self) -> FoundMarkers {
        let found = self.lane.take_markers();
        match &mut self.side_lane {
            Some(side_lane) => found.and(side_lane.take_markers()),
            None => found,
        }
    }

    /// Keeps copies of what goes over the wire in each call from now on.
    pub fn watch(&mut self) {
        self.watched = Some(Box::default());
    }

    /// What went over the wire in the last call, where that is kept.
    pub fn take_wire_copy(&mut self) -> WireCopy {
        let watched = self.watched.as_deref_mut();
        watched.map(std::mem::take).unwrap_or_default()
    }

    /// Sends the token of this cell with each of its requests, whichever it is then.
    pub fn set_token(&self, token: Rc<TokenCell>) {
        self.identity.set_token(token);
    }

    /// Whether an answer since it was last asked refused the token.
    pub fn is_refused(&self) -> bool {
        self.identity.is_refused()
    }

    /// The answer that refused the token, if one did.
    pub fn take_refusal(&self) -> Option<RefusedToken> {
        self.identity.take_refusal()
    }

    /// Sends these with each of its requests from now on, instead of those given before.
    ///
    /// # Errors
    /// The name of a header whose name or value HTTP does not allow; nothing changes then.
    pub fn set_headers(&self, headers: &[(String, String)]) -> Result<(), String> {
        let mut lines = HeaderLines::default();
        for (name, value) in headers {
            let parsed = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.as_str()),
            );
            let (Ok(header), Ok(value)) = parsed else {
                return Err(name.clone());
            };
            lines.push(&header, &value);
        }
        self.identity.set_headers(lines);
        Ok(())
    }

    /// What the last error, a 429 or a 503, said of how long to be left alone
    /// (`Retry-After`), since this was last asked. Nobody has waited yet.
    pub fn take_retry_after(&mut self) -> Option<RetryAfter> {
        self.lane.take_retry_after()
    }

    /// Whether the last error named a time to wait, which nobody has taken yet.
    pub(super) fn asks_for_a_wait(&self) -> bool {
        self.lane
            .retry_after
            .as_ref()
            .is_some_and(|it| it.wait.is_some())
    }

    /// Whether the last error led to tokens by OAuth.
    pub(super) fn offers_oauth(&self) -> bool {
        self.lane.offers_oauth
    }

    /// The body of the last request.
    pub fn last_request(&self) -> &[u8] {
        self.body.bytes()
    }

    /// What this session has done since it was last asked.
    pub fn take_counters(&mut self) -> Counters {
        let mut now = self.counters;
        let lanes = std::iter::once(&self.lane).chain(self.side_lane.as_deref());
        for (position, lane) in lanes.enumerate() {
            let http = lane.counters();
            now.connections += http.connects;
            // A side connection is opened and dropped as needed.
            if position == 0 {
                now.reconnects += http.reconnects;
                now.reconnects_server_closed += http.server_closed;
            }
            now.bytes_sent += http.bytes_sent;
            now.bytes_received += http.bytes_received;
            now.streams_left_open += lane.n_streams_left_open;
            now.cookies_set += lane.n_cookies_set;
        }
        let taken = std::mem::replace(&mut self.taken, now);
        now.since(&taken)
    }

    /// Opens the session: `initialize` and `notifications/initialized`, or
    /// `server/discover`.
    pub fn open(&mut self) -> CallReport {
        self.forget();
        self.never_resumes = false;
        if !self.server.dialect().has_session() {
            return self.discover().1;
        }
        let deadline = crate::clock::now() + self.server.settings().timeout;
        let (exchanged, began) = self.initialize(deadline);
        self.welcomed(exchanged, began, deadline, false).report
    }

    /// Legacy: opens a session to find out about the server: in the revision
    /// that the server chooses, and with all that it says if it does not.
    pub(super) fn open_to_find(&mut self, deadline: Instant) -> Opening {
        self.forget();
        self.lane.record();
        let (exchanged, began) = self.initialize(deadline);
        let body = self.lane.take_recorded();
        let opening = self.welcomed(exchanged, began, deadline, true);
        Opening { body, ..opening }
    }

    fn initialize(&mut self, deadline: Instant) -> (Exchanged, Instant) {
        let began = crate::clock::now();
        let initialize = self
            .server
            .prepared(self.server.dialect().initialize(), None);
        (self.exchange(&initialize, deadline), began)
    }

    /// Reads the answer to `initialize`, and acknowledges a welcome.
    fn welcomed(
        &mut self,
        exchanged: Exchanged,
        began: Instant,
        deadline: Instant,
        takes_any_revision: bool,
    ) -> Opening {
        let session_id = exchanged.session_id.clone();
        let location = exchanged.location.clone();
        let status = exchanged.status;
        let (result, mut report) = CallReport::of(exchanged, began);
        let opened = self.opened(result, &report, Dialect::read_initialize);
        let opening = |welcome, report| Opening {
            welcome,
            report,
            status,
            location: location.clone(),
            body: Vec::new(),
        };
        let welcome = match opened {
            Ok(welcome) => welcome,
            Err(trouble) => {
                report.result = Err(trouble);
                return opening(None, report);
            }
        };
        self.identity.set_session_id(session_id);
        let revision = self.server.dialect().revision();
        if welcome.revision != revision {
            if !takes_any_revision {
                // What follows is rendered for the revision that was found.
                report.result = Err(could_not_initialize(format!(
                    "the server chose revision {}, not {revision}",
                    welcome.revision
                )));
                return opening(Some(welcome), report);
            }
            let dialect = self.server.dialect().in_revision(welcome.revision);
            self.speak_as(&self.server.in_dialect(dialect));
        }
        let notice = self.server.initialized();
        let message = Outgoing {
            head: &self.server.heads().post,
            lines: &notice.lines,
            body: &notice.body,
            // How long the answer lay unread is not the server's time.
            deadline: deadline + report.delay.unwrap_or_default(),
            kept: None,
        };
        let (mut status, _, mut end) = self.lane.tell(&message);
        if is_lost_reused(&status) {
            (status, _, end) = self.lane.tell(&message);
        }
        if let Ok(status) = status {
            report.session_gone = self.has_id() && says_session_gone(status, None, "");
        }
        report.end = end.max(report.end);
        report.delay = None;
        report.result = status.and_then(|status| match status {
            200..300 => Ok(()),
            _ => Err(bad_status(status, "`notifications/initialized`")),
        });
        opening(Some(welcome), report)
    }

    /// Goes on with the same server, spoken to in another way or at another
    /// path, over the same connection.
    pub(super) fn speak_as(&mut self, server: &Server) {
        self.lane.go_to(server);
        self.identity.go_to(server.endpoint());
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
            Reply::Complete | Reply::WithoutContent => {
                let text = report.result_text.as_deref().unwrap_or_default();
                read(text).map_err(|fault| could_not_initialize(fault.to_string()))
            }
            Reply::Error(error) => Err(could_not_initialize(format!("error {error}"))),
            Reply::ToolError { .. } | Reply::InputRequired(_) | Reply::Task(_) => Err(
                could_not_initialize("the answer is not that of a handshake".to_string()),
            ),
        }
    }

    /// Calls with these values in the slots of the arguments, and waits for the
    /// answer. Questions of a modern server are answered, a legacy stream that
    /// breaks off is resumed where it can be.
    pub fn call(&mut self, call: &PreparedCall, values: &[String]) -> CallReport {
        if self.watched.is_some() {
            self.lane.record();
        }
        let (sent, received) = self.lane.traffic();
        let mut report = self.call_to_its_end(call, values);
        let (sent_now, received_now) = self.lane.traffic();
        report.n_bytes_sent = sent_now.saturating_sub(sent);
        report.n_bytes = received_now.saturating_sub(received);
        if let Some(watched) = &mut self.watched {
            let request = self.body.bytes();
            watched.request = request[..request.len().min(RECORDED_BYTES_MAX)].to_vec();
            watched.answer = self.lane.take_recorded();
        }
        self.body.release_beyond(BODY_BYTES_KEPT);
        report
    }

    fn call_to_its_end(&mut self, call: &PreparedCall, values: &[String]) -> CallReport {
        let began = crate::clock::now();
        let deadline = began + self.server.settings().timeout;
        self.task = None;
        let mut id = self.render(call, values);
        let mut first_sent = None;
        let mut n_round_trips = 0;
        self.asked = self.asked.of_next_call(self.n_side_connects());
        loop {
            // Its answer may come on the listening stream, before or after it is accepted.
            let awaited = self.identity.await_by_mail(id);
            let mut exchanged = self.send(call, values, id, deadline);
            if let Some(watched) = &mut self.watched {
                watched.status = exchanged.status;
            }
            if exchanged.result.is_err() && self.server.dialect().has_session() {
                exchanged = self.recovered(exchanged, call, awaited.as_ref(), deadline);
            }
            drop(awaited);
            let (result, mut report) = CallReport::of(exchanged, began);
            report.sent = *first_sent.get_or_insert(report.sent);
            if n_round_trips > 0 {
                // It is that of the last request, and the call began with the first.
                report.moments.written = None;
            }
            let mut trouble = match result {
                Ok(Reply::Complete) => return report,
                Ok(Reply::WithoutContent) => {
                    self.counters.results_without_content += 1;
                    return report;
                }
                Ok(Reply::InputRequired(questions)) if n_round_trips < ROUND_TRIPS_MAX => {
                    match questions.answer() {
                        Ok(answers) => {
                            n_round_trips += 1;
                            self.counters.round_trips += 1;
                            id = self.identity.take_request_id();
                            self.body.retry(id, &answers);
                            continue;
                        }
                        Err(fault) => Trouble::from(fault),
                    }
                }
                Ok(Reply::InputRequired(_)) => Trouble::failed(
                    Failure::Protocol(ProtocolFailure::BadResult),
                    format!("more than {ROUND_TRIPS_MAX} round trips for one call"),
                ),
                Ok(Reply::Task(task)) => {
                    self.task = Some(task);
                    Trouble::failed(
                        Failure::Protocol(ProtocolFailure::BadResult),
                        "the answer is a task, and the call declared none (`task = true`)",
                    )
                }
                Ok(Reply::ToolError { message }) => Trouble::failed(Failure::Tool, message),
                Ok(Reply::Error(error)) => {
                    if call.keeps.keeps(true) {
                        report.error_text = Some(error.to_json());
                    }
                    Trouble::from(error)
                }
                Err(Trouble::Failed { message, .. }) if report.session_gone => {
                    Trouble::failed(Failure::Session(SessionFailure::Expired), message)
                }
                Err(trouble) => trouble,
            };
            if self.asked.n_unanswered > 0 {
                trouble = with_note(trouble, &self.asked.note());
            }
            if trouble.is_timeout() {
                self.send_cancelled(id);
            }
            report.result = Err(trouble);
            return report;
        }
    }

    fn n_side_connects(&self) -> u64 {
        let lane = self.side_lane.as_deref();
        lane.map_or(0, |lane| lane.counters().connects)
    }

    /// What can still come of a call that has no answer: a stream that broke off goes on, or
    /// the answer to what was accepted comes on the listening stream.
    #[inline(never)]
    fn recovered(
        &mut self,
        mut exchanged: Exchanged,
        call: &PreparedCall,
        awaited: Option<&AwaitedMail>,
        deadline: Instant,
    ) -> Exchanged {
        if exchanged.resumable {
            return self.resumed(exchanged, deadline);
        }
        let awaited = awaited.filter(|it| it.may_come() && exchanged.status == Some(202));
        let Some(awaited) = awaited else {
            return exchanged;
        };
        match awaited.answer(deadline) {
            Ok(Some(answer)) => {
                // The stream is not this call's exchange, but what it answers with is.
                self.lane.search_text(&answer.text);
                let found = read_json_reply(answer.text.as_bytes(), &call.expect(awaited.id()));
                exchanged.end = Some(answer.came);
                exchanged.timing.delay = None;
                exchanged.result = found.map_err(Trouble::from).map(|found| {
                    exchanged.kept_result = found.result.map(str::to_string);
                    found.reply
                });
            }
            Ok(None) => {
                let note = "no answer came on the listening stream either, by the timeout";
                exchanged.result = exchanged.result.map_err(|it| with_note(it, note));
            }
            Err(cancelled) => exchanged.result = Err(cancelled),
        }
        exchanged
    }

    /// Goes on with a stream that broke off, as often as it may be. What the
    /// resumption is answered with is not the call's: a server that resumes
    /// nothing leaves the call as it had ended.
    #[inline(never)]
    fn resumed(&mut self, mut exchanged: Exchanged, deadline: Instant) -> Exchanged {
        let mut n_resumes = 0;
        while exchanged.resumable && n_resumes < RESUMES_MAX && !self.never_resumes {
            n_resumes += 1;
            let observed = &mut exchanged.observed;
            let mut resumed = match self.resume(deadline, observed) {
                Resumption::Impossible => break,
                Resumption::Cancelled => {
                    exchanged.result = Err(Trouble::Cancelled);
                    break;
                }
                Resumption::Answered(resumed) => *resumed,
            };
            if !goes_on(resumed.status, &resumed.result) {
                self.never_resumes = matches!(resumed.status, Some(404 | 405 | 501));
                let why = match (resumed.status, &resumed.result) {
                    (Some(status), _) => format!("status {status}"),
                    (None, Err(trouble)) => trouble.message().to_string(),
                    (None, Ok(_)) => String::new(),
                };
                let note = format!("it could not be resumed: {why}");
                exchanged.observed = resumed.observed;
                exchanged.result = exchanged
                    .result
                    .map_err(|trouble| with_note(trouble, &note));
                break;
            }
            self.counters.streams_resumed += 1;
            resumed.timing.sent = exchanged.timing.sent;
            // The answer to the GET says nothing of the session.
            resumed.session_gone = false;
            exchanged = resumed;
        }
        exchanged
    }

    /// Ends the session on the server, if it has an id: DELETE. 405 and 404
    /// are fine: the server does not allow it, or has forgotten it already.
    /// `None` when there is nothing to end.
    pub fn close(&mut self, wait: Duration) -> Option<CallReport> {
        if !self.has_id() {
            return None;
        }
        let began = crate::clock::now();
        let message = Outgoing {
            head: &self.server.heads().delete,
            lines: self.server.bare(),
            body: &[],
            deadline: began + wait.min(self.server.settings().timeout),
            kept: None,
        };
        let (status, timing, end) = self.lane.tell(&message);
        self.forget();
        let sent = timing.sent.unwrap_or(began);
        Some(CallReport {
            result: status.and_then(|status| match status {
                200..300 | 404 | 405 => Ok(()),
                _ => Err(bad_status(status, "DELETE")),
            }),
            end: end.max(sent),
            ..CallReport::began(sent)
        })
    }

    /// One exchange of the handshake or of a list, whose result is kept.
    pub(super) fn exchange(&mut self, call: &PreparedCall, deadline: Instant) -> Exchanged {
        let id = self.render(call, &[]);
        self.exchange_rendered(call, id, deadline)
    }

    /// Some servers close a connection after each answer and do not say so. What is
    /// sent just then is lost, and is sent once more on a new connection: nothing
    /// of the handshake and of lists is worse for being asked twice. A call is never
    /// sent again.
    fn exchange_rendered(&mut self, call: &PreparedCall, id: u64, deadline: Instant) -> Exchanged {
        let first = self.send(call, &[], id, deadline);
        if !is_lost_reused(&first.result) {
            return first;
        }
        let mut again = self.send(call, &[], id, deadline);
        // The time of the first is the server's too.
        again.timing.sent = first.timing.sent.or(again.timing.sent);
        again
    }

    /// The task that the last call was answered with, if it was.
    pub(super) fn take_task(&mut self) -> Option<Box<TaskState>> {
        self.task.take()
    }

    /// A request about a task.
    pub(super) fn task_request(&self, request: TaskRequest<'_>, task_id: &str) -> PreparedCall {
        // Who has a task has declared them.
        let dialect = self.server.dialect();
        let dialect = dialect
            .declaring_tasks()
            .unwrap_or_else(|_| dialect.clone());
        let prepared = dialect.task_request(request, task_id);
        self.server.prepared(prepared, None)
    }

    /// One exchange beside the call's, whose request stays the one that was sent last.
    pub(super) fn exchange_apart(&mut self, call: &PreparedCall, deadline: Instant) -> Exchanged {
        if self.watched.is_some() {
            self.lane.record();
        }
        let request_of_call = std::mem::take(&mut self.body);
        let id = self.render(call, &[]);
        let exchanged = self.send(call, &[], id, deadline);
        self.body = request_of_call;
        if let Some(watched) = &mut self.watched {
            watched.status = exchanged.status;
            watched.answer = self.lane.take_recorded();
        }
        exchanged
    }

    /// Gives a task up on the server. Whether it heard of it shows nowhere: nobody waits
    /// for the task any more.
    #[inline(never)]
    pub(super) fn cancel_task(&mut self, task_id: &str) {
        let request = self.task_request(TaskRequest::Cancel, task_id);
        let request_of_call = std::mem::take(&mut self.body);
        self.render(&request, &[]);
        let message = Outgoing {
            head: &self.server.heads().post,
            lines: &request.lines(&self.server, &[]),
            body: self.body.bytes(),
            deadline: crate::clock::now() + CANCEL_NOTICE_WAIT,
            kept: None,
        };
        let _taken = self.lane.tell(&message);
        self.body = request_of_call;
    }

    /// Bytes sent and received on the connection of calls so far.
    pub(super) fn traffic(&self) -> (u64, u64) {
        self.lane.traffic()
    }

    pub(super) fn count(&mut self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.counters);
    }

    /// One exchange whose answer is judged from its bytes.
    pub(super) fn probe(&mut self, call: &PreparedCall, deadline: Instant) -> Probed {
        self.lane.record();
        let id = self.render(call, &[]);
        let exchanged = self.exchange_rendered(call, id, deadline);
        Probed {
            exchanged,
            body: self.lane.take_recorded(),
            id,
        }
    }

    fn render(&mut self, call: &PreparedCall, values: &[String]) -> u64 {
        let id = self.identity.take_request_id();
        call.render(id, values, &mut self.body);
        id
    }

    /// Sends the body that was rendered.
    fn send(
        &mut self,
        call: &PreparedCall,
        values: &[String],
        id: u64,
        deadline: Instant,
    ) -> Exchanged {
        let lines = call.lines(&self.server, values);
        self.exchange_lines(
            &lines,
            Wanted::Answer(call.expect(id), call.kept()),
            deadline,
        )
    }

    #[inline(never)]
    fn resume(&mut self, deadline: Instant, observed: &mut Option<Box<Observed>>) -> Resumption {
        const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
        let wait = self.lane.retry().unwrap_or(RESUME_WAIT);
        let at = crate::clock::now().checked_add(wait);
        let Some(at) = at.filter(|at| *at < deadline) else {
            return Resumption::Impossible;
        };
        if sleep_until(at) == Wake::Cancelled {
            return Resumption::Cancelled;
        }
        let event_id = self.lane.last_event_id();
        let Some(event_id) = event_id.and_then(|id| HeaderValue::try_from(id).ok()) else {
            return Resumption::Impossible;
        };
        let mut lines = self.server.bare().clone();
        lines.push(&LAST_EVENT_ID, &event_id);
        Resumption::Answered(Box::new(self.exchange_lines(
            &lines,
            Wanted::Rest(observed.take()),
            deadline,
        )))
    }

    /// Sends the body that was rendered, and reads its answer; or asks for the rest of a
    /// stream that broke off. Requests of the server's that come before the answer are
    /// answered.
    #[inline(never)]
    fn exchange_lines(
        &mut self,
        lines: &HeaderLines,
        wanted: Wanted<'_>,
        deadline: Instant,
    ) -> Exchanged {
        let Self {
            server,
            lane,
            side_lane,
            identity,
            body,
            counters,
            asked,
            marked_as,
            ..
        } = self;
        let on_server_request = &mut |request: &ServerRequest| {
            // The modern era has no requests of servers.
            if !server.dialect().has_session() {
                return;
            }
            let lane = side_lane.get_or_insert_with(|| {
                let mut lane = Box::new(Lane::new(server, Rc::clone(identity)));
                if let Some(marked_as) = marked_as {
                    lane.search(MarkerSearch::new(marked_as.0.clone(), marked_as.1));
                }
                lane
            });
            let is_answered = asked.answer(server, lane, request, deadline);
            counters.server_requests += u64::from(is_answered);
        };
        let (head, body, kept) = match &wanted {
            Wanted::Answer(_, kept) => (&server.heads().post, body.bytes(), *kept),
            Wanted::Rest(_) => (&server.heads().get, &[][..], None),
        };
        let message = Outgoing {
            head,
            lines,
            body,
            deadline,
            kept,
        };
        match wanted {
            Wanted::Answer(expect, _) => lane.request(&message, expect, on_server_request),
            Wanted::Rest(observed) => lane.resume(&message, on_server_request, observed),
        }
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
        let message = Outgoing {
            head: &self.server.heads().post,
            lines: &self.server.lines(&notice.headers),
            body: &notice.body,
            deadline: crate::clock::now() + CANCEL_NOTICE_WAIT,
            kept: None,
        };
        // The call's own connection was closed with the call. It opens again
        // for this, and serves the next call. A server that does not answer
        // calls may not take this either; the end of the run shows in the next
        // wait.
        let _taken = self.lane.tell(&message);
    }
}

/// What an exchange of a call is made for.
enum Wanted<'a> {
    /// Its answer, and what is kept of that besides.
    Answer(Expect, Option<&'a KeptParts>),
    /// The rest of a stream, of which that was observed so far.
    Rest(Option<Box<Observed>>),
}

/// How a probe was answered.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) exchanged: Exchanged,
    /// The answer's body, JSON or a stream up to the answer.
    pub(super) body: Vec<u8>,
    /// The id of what was sent.
    pub(super) id: u64,
}

/// How the opening of a session to find out about the server went.
#[derive(Debug)]
pub(super) struct Opening {
    /// What the server said of itself, where it let us in.
    pub(super) welcome: Option<Welcome>,
    pub(super) report: CallReport,
    /// Of the answer to `initialize`, if there was one.
    pub(super) status: Option<u16>,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// The body of the answer to `initialize`.
    pub(super) body: Vec<u8>,
}

/// How the attempt to resume a stream went.
enum Resumption {
    /// No time is left, or no event id can be sent.
    Impossible,
    /// The run ended while it waited.
    Cancelled,
    /// It was tried.
    Answered(Box<Exchanged>),
}

/// Whether what a resuming GET was answered with is the call's stream, or the
/// call's end. All else says only that there is no resumption.
fn goes_on(status: Option<u16>, result: &Result<Reply, Trouble>) -> bool {
    let failure = match result {
        Ok(_) => return true,
        Err(Trouble::Cancelled) => return true,
        Err(Trouble::Failed { failure, .. }) => failure,
    };
    match failure {
        // The call's time was up; to connect again was not part of it.
        Failure::Timeout(_) => true,
        Failure::Connect(ConnectFailure::Timeout) => false,
        Failure::Protocol(ProtocolFailure::ContentType | ProtocolFailure::Accepted) => false,
        Failure::Protocol(_) => matches!(status, Some(200..300)),
        _ => false,
    }
}

/// The server had closed the connection before it took the request.
fn is_lost_reused<T>(result: &Result<T, Trouble>) -> bool {
    matches!(
        result,
        Err(Trouble::Failed {
            failure: Failure::Connection(ConnectionFailure::LostReused),
            ..
        })
    )
}

fn with_note(trouble: Trouble, note: &str) -> Trouble {
    match trouble {
        Trouble::Failed { failure, message } => Trouble::Failed {
            failure,
            message: format!("{message}; {note}"),
        },
        Trouble::Cancelled => Trouble::Cancelled,
    }
}

fn could_not_initialize(message: String) -> Trouble {
    Trouble::failed(
        Failure::Session(SessionFailure::CouldNotInitialize),
        message,
    )
}

/// The requests of the server's within one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestsOfServer {
    n_answered: u32,
    n_unanswered: u32,
    /// Connections that the side lane had opened before the call.
    n_side_connects: u64,
    /// Connections that it may open within the call.
    side_connects_max: u64,
}

impl RequestsOfServer {
    pub(super) const NOTHING: Self = Self {
        n_answered: 0,
        n_unanswered: 0,
        n_side_connects: 0,
        side_connects_max: SIDE_CONNECTS_MAX,
    };

    /// Begins anew, after `n_side_connects` connections of the side lane. A
    /// call that used all of its own leaves one to each that follows.
    pub(super) fn of_next_call(self, n_side_connects: u64) -> Self {
        let is_used_up = n_side_connects - self.n_side_connects >= self.side_connects_max;
        Self {
            n_side_connects,
            side_connects_max: if is_used_up {
                1
            } else {
                self.side_connects_max
            },
            ..Self::NOTHING
        }
    }

    /// Answers a request of the server's over `lane`, a connection of its own
    /// since the call's is busy with the stream. Not where the server has had
    /// answers enough or the call's time is up; false then.
    #[inline(never)]
    pub(super) fn answer(
        &mut self,
        server: &Server,
        lane: &mut Lane,
        request: &ServerRequest,
        deadline: Instant,
    ) -> bool {
        let now = crate::clock::now();
        let n_connects = lane.counters().connects - self.n_side_connects;
        let is_enough =
            self.n_answered >= SERVER_REQUESTS_MAX || n_connects >= self.side_connects_max;
        if is_enough || now >= deadline {
            self.n_unanswered = self.n_unanswered.saturating_add(1);
            return false;
        }
        self.n_answered += 1;
        let message = Outgoing {
            head: &server.heads().post,
            lines: server.bare(),
            body: &answer_server_request(request),
            deadline: deadline.min(now + ANSWER_WAIT),
            kept: None,
        };
        // Whether it arrived shows in the call: the server goes on, or hangs.
        let (taken, ..) = lane.tell(&message);
        taken != Err(Trouble::Cancelled)
    }

    fn note(&self) -> String {
        let n_requests = u64::from(self.n_answered) + u64::from(self.n_unanswered);
        format!(
            "the server sent {} within the call, of which the first {} were answered",
            plural(n_requests, "request", "requests of its own"),
            self.n_answered
        )
    }
}

fn bad_status(status: u16, to: &str) -> Trouble {
    let failure = Failure::Http {
        status,
        rpc_code: None,
    };
    Trouble::failed(failure, format!("status {status} to {to}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stream_goes_on_where_another_broke_off() {
        let failed = |failure| Err(Trouble::failed(failure, ""));
        let protocol = |failure| failed(Failure::Protocol(failure));
        let http = |status| {
            failed(Failure::Http {
                status,
                rpc_code: None,
            })
        };
        let timeout = Failure::Timeout(crate::metrics::TimeoutPhase::Reading);
        for (status, result, expected) in [
            (Some(200), Ok(Reply::Complete), true),
            (Some(200), protocol(ProtocolFailure::StreamEnded), true),
            (Some(200), protocol(ProtocolFailure::ClosedEarly), true),
            (Some(200), protocol(ProtocolFailure::TooLarge), true),
            (None, Err(Trouble::Cancelled), true),
            (None, failed(timeout), true),
            (Some(200), protocol(ProtocolFailure::ContentType), false),
            (Some(202), protocol(ProtocolFailure::Accepted), false),
            (Some(404), http(404), false),
            (Some(405), http(405), false),
            (Some(400), http(400), false),
            (Some(500), http(500), false),
            (Some(307), protocol(ProtocolFailure::Redirect), false),
            (
                None,
                failed(Failure::Connect(ConnectFailure::Refused)),
                false,
            ),
            (
                None,
                failed(Failure::Connect(ConnectFailure::Timeout)),
                false,
            ),
            (None, protocol(ProtocolFailure::BadHttp), false),
        ] {
            assert_eq!(goes_on(status, &result), expected, "{status:?} {result:?}");
        }
    }
}
