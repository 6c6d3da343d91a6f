//! One exchange at a time: a message goes out, the answer with its id is found.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::classify::Trouble;
use super::cookies::CookieJar;
use super::server::{SESSION_ID, Server};
use crate::http::{
    Answer, Client, ClientCounters, HeaderMap, HeaderValue, HttpFailure, Method, Request,
    RequestHead, Timing,
};
use crate::metrics::{Failure, ProtocolFailure};
use crate::protocol::{
    BodyKind, Expect, Item, ProtocolFault, Reply, ReplyReader, ServerRequest, excerpt,
    read_error_body, read_json_reply, read_session_id, says_session_gone,
};

/// How much of an error's body is read: enough for its message.
const ERROR_BODY_MAX: usize = 64 * 1024;

/// Read at once from a body of unknown length.
const CHUNK_BYTES: usize = 4 * 1024;

/// Buffers larger than this are dropped after the exchange.
const KEPT_BYTES: usize = 64 * 1024;

/// Buffers kept by a thread: as many as answers are commonly read at once, of
/// which more than one is only where they come in pieces.
const BUFFERS_KEPT: usize = 16;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// How long the end of a stream is awaited after its final answer, at least and
/// at most; between them as long as twice the answer took, since a server that
/// is busy is late with the end too. Most end it at once, and a connection that
/// is given up needlessly costs a busy server yet another.
const STREAM_END_WAIT: Duration = Duration::from_millis(100);
const STREAM_END_WAIT_MAX: Duration = Duration::from_secs(1);

/// After so many streams in a row that were left open, the server does so by
/// design, and the next is not waited for.
const LEFT_OPEN_BY_DESIGN: u32 = 3;

/// How one exchange ended.
#[derive(Debug)]
pub(super) struct Exchanged {
    pub(super) result: Result<Reply, Trouble>,
    /// Read when the answer was complete, before the rest of a stream.
    pub(super) timing: Timing,
    /// The arrival of the last byte that counts; `None` for a failure, which
    /// ends when it is noticed.
    pub(super) end: Option<Instant>,
    /// The session id in the head of a successful answer.
    pub(super) session_id: Option<HeaderValue>,
    /// The result's text, where it was asked for.
    pub(super) kept_result: Option<String>,
    /// The stream ended without the answer, and can be resumed.
    pub(super) resumable: bool,
    /// The server no longer knows the session.
    pub(super) session_gone: bool,
    /// Where a redirect leads.
    pub(super) location: Option<String>,
    /// The status, if there was an answer's head.
    pub(super) status: Option<u16>,
}

/// What is sent.
pub(super) struct Message<'a> {
    pub(super) headers: &'a HeaderMap,
    /// The same as bytes, for what is sent again and again.
    pub(super) head: Option<&'a RequestHead>,
    pub(super) session_id: Option<&'a HeaderValue>,
    pub(super) body: &'a [u8],
    pub(super) deadline: Instant,
}

/// A connection with the buffers for its answers.
#[derive(Debug)]
pub(super) struct Lane {
    http: Client,
    reader: ReplyReader,
    /// A JSON body, or a chunk of a stream; lent by the thread while an answer
    /// is read, so that users who wait have none.
    buffer: Vec<u8>,
    message_bytes_max: usize,
    /// The last streams that the server left open, up to the first it did not.
    n_left_open_in_a_row: u32,
    /// A copy of what comes, for a probe.
    recorded: Option<Vec<u8>>,
    /// The user's cookies, which all its lanes share; `None` where none are kept.
    jar: Option<Rc<RefCell<CookieJar>>>,
    pub(super) n_streams_left_open: u64,
    /// Answers with `Set-Cookie`.
    pub(super) n_cookies_set: u64,
}

impl Lane {
    pub(super) fn new(server: &Server) -> Self {
        let keeps = server.settings().cookies;
        let jar = keeps.then(|| Rc::new(RefCell::new(CookieJar::new(server.endpoint()))));
        Self::with_jar(server, jar)
    }

    /// Another connection of the same user, whose cookies it shares.
    pub(super) fn with_jar(server: &Server, jar: Option<Rc<RefCell<CookieJar>>>) -> Self {
        let message_bytes_max = server.settings().message_bytes_max;
        let nothing = Expect::result(0, None);
        Self {
            http: Client::new(server.endpoint()),
            reader: ReplyReader::new(BodyKind::Json, nothing, message_bytes_max),
            buffer: Vec::new(),
            message_bytes_max,
            n_left_open_in_a_row: 0,
            recorded: None,
            jar,
            n_streams_left_open: 0,
            n_cookies_set: 0,
        }
    }

    /// The user's cookies, for another lane.
    pub(super) fn jar(&self) -> Option<Rc<RefCell<CookieJar>>> {
        self.jar.clone()
    }

    /// Goes to another path of the same host from now on.
    pub(super) fn go_to(&mut self, server: &Server) {
        self.http.go_to(server.endpoint());
        if let Some(jar) = &self.jar {
            jar.borrow_mut().go_to(server.endpoint().path());
        }
    }

    pub(super) fn counters(&self) -> ClientCounters {
        self.http.counters()
    }

    pub(super) fn last_event_id(&self) -> Option<&str> {
        self.reader.last_event_id()
    }

    pub(super) fn retry(&self) -> Option<Duration> {
        self.reader.retry()
    }

    /// Keeps the bytes of the next answer's body as they come.
    pub(super) fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }

    /// What was kept; of a stream, up to the piece that held the answer.
    pub(super) fn take_recorded(&mut self) -> Vec<u8> {
        self.recorded.take().unwrap_or_default()
    }

    /// Sends a request and finds its answer. `on_server_request` is called for
    /// requests of the server's that come before it.
    pub(super) fn request(
        &mut self,
        message: &Message<'_>,
        expect: Expect,
        on_server_request: &mut dyn FnMut(&ServerRequest),
    ) -> Exchanged {
        self.exchange(Method::POST, message, Some(expect), on_server_request)
    }

    /// Goes on with a stream that ended too early. The reader remembers what
    /// is awaited.
    pub(super) fn resume(
        &mut self,
        message: &Message<'_>,
        on_server_request: &mut dyn FnMut(&ServerRequest),
    ) -> Exchanged {
        self.exchange(Method::GET, message, None, on_server_request)
    }

    fn exchange(
        &mut self,
        method: Method,
        message: &Message<'_>,
        expect: Option<Expect>,
        on_server_request: &mut dyn FnMut(&ServerRequest),
    ) -> Exchanged {
        let mut exchanged = Exchanged {
            result: Err(Trouble::Cancelled),
            timing: Timing::default(),
            end: None,
            session_id: None,
            kept_result: None,
            resumable: false,
            session_gone: false,
            location: None,
            status: None,
        };
        let result = match self.send(method, message) {
            Ok(answer) => self.read(answer, message, expect, on_server_request, &mut exchanged),
            Err(failure) => Err(failure.into()),
        };
        if exchanged.end.is_none() {
            exchanged.timing = self.http.timing();
            exchanged.end = exchanged.timing.last_byte.filter(|_| result.is_ok());
        }
        exchanged.result = result;
        self.give_buffer_back();
        exchanged
    }

    /// Sends something to which no answer is awaited: a notification, a
    /// response, a DELETE. The body of the answer is read and not looked at.
    pub(super) fn tell(
        &mut self,
        method: Method,
        message: &Message<'_>,
    ) -> (Result<u16, Trouble>, Timing, Instant) {
        let result = self
            .send(method, message)
            .map_err(Trouble::from)
            .and_then(|mut answer| {
                // A server that answers a notification with a stream that it
                // leaves open must not hold the user up.
                if BodyKind::EventStream != body_kind(&answer) {
                    self.borrow_buffer();
                    let read = self.read_whole(&mut answer, ERROR_BODY_MAX);
                    self.give_buffer_back();
                    read?;
                }
                Ok(answer.status)
            });
        let timing = self.http.timing();
        let end = match &result {
            Ok(_) => timing.last_byte.unwrap_or_else(crate::clock::now),
            Err(_) => crate::clock::now(),
        };
        (result, timing, end)
    }

    fn borrow_buffer(&mut self) {
        self.buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    }

    fn give_buffer_back(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        BUFFERS.with_borrow_mut(|buffers| {
            let is_small = (1..=KEPT_BYTES).contains(&buffer.capacity());
            if is_small && buffers.len() < BUFFERS_KEPT {
                buffers.push(buffer);
            }
        });
    }

    fn send(&mut self, method: Method, message: &Message<'_>) -> Result<Answer, HttpFailure> {
        let jar = self.jar.as_ref();
        let cookie = jar.and_then(|jar| jar.borrow_mut().header(crate::clock::now()));
        let headers = || {
            let mut headers = headers(message);
            if let Some(cookie) = &cookie {
                headers.insert("cookie", cookie.clone());
            }
            headers
        };
        let answer = match message.head {
            Some(head) => self.http.send_rendered(
                head,
                message.session_id,
                cookie.as_ref(),
                message.body,
                message.deadline,
                headers,
            ),
            None => self.http.send(Request {
                method,
                headers: headers(),
                body: message.body,
                deadline: message.deadline,
            }),
        }?;
        if answer.sets_cookie() {
            self.take_cookies(&answer);
        }
        Ok(answer)
    }

    #[cold]
    fn take_cookies(&mut self, answer: &Answer) {
        self.n_cookies_set += 1;
        if let Some(jar) = &self.jar {
            let now = crate::clock::now();
            let unix_secs = crate::clock::Utc::now().unix_ms() / 1000;
            for value in answer.header_values("set-cookie") {
                jar.borrow_mut().take(value, now, unix_secs);
            }
        }
    }

    #[inline(never)]
    fn read(
        &mut self,
        mut answer: Answer,
        message: &Message<'_>,
        expect: Option<Expect>,
        on_server_request: &mut dyn FnMut(&ServerRequest),
        exchanged: &mut Exchanged,
    ) -> Result<Reply, Trouble> {
        exchanged.status = Some(answer.status);
        self.borrow_buffer();
        match answer.status {
            202 | 204 => {
                let status = answer.status;
                self.read_whole(&mut answer, ERROR_BODY_MAX)?;
                Err(ProtocolFault::accepted_not_answered(status).into())
            }
            200..300 => {
                // Only the handshake's result is of interest, and only it brings
                // the id.
                if expect.is_some_and(|expect| expect.keep_result && expect.method.is_none()) {
                    exchanged.session_id = session_id(&answer)?;
                }
                match (body_kind(&answer), expect) {
                    (BodyKind::Json, Some(expect)) => {
                        self.read_whole(&mut answer, self.message_bytes_max)?;
                        let found = read_json_reply(&self.buffer, &expect)?;
                        exchanged.kept_result = found.result.map(str::to_string);
                        Ok(found.reply)
                    }
                    (BodyKind::EventStream, expect) => {
                        match expect {
                            Some(expect) => self.reader.reset(BodyKind::EventStream, expect),
                            None => self.reader.resume(),
                        }
                        self.read_stream(answer, on_server_request, exchanged)
                    }
                    _ => {
                        let kind = content_type(&answer).map(str::to_string);
                        self.read_whole(&mut answer, ERROR_BODY_MAX)?;
                        let kind = kind.as_deref();
                        Err(ProtocolFault::unexpected_content_type(kind, &self.buffer).into())
                    }
                }
            }
            status @ 300..400 => {
                exchanged.location = header_text(&answer, "location");
                // It leads wherever the server says: the path alone is shown.
                self.read_whole(&mut answer, ERROR_BODY_MAX)?;
                Err(Trouble::failed(
                    Failure::Protocol(ProtocolFailure::Redirect),
                    format!("status {status}: redirected; redirects are not followed in a run"),
                ))
            }
            status => {
                self.read_whole(&mut answer, ERROR_BODY_MAX)?;
                Err(self.http_error(status, message, exchanged))
            }
        }
    }

    /// An error status, which may say that the session is gone.
    fn http_error(&self, status: u16, message: &Message<'_>, exchanged: &mut Exchanged) -> Trouble {
        let error = read_error_body(&self.buffer);
        let rpc_code = error.as_ref().map(|error| error.code);
        let text = match &error {
            Some(error) => error.message.clone(),
            None => excerpt(&self.buffer),
        };
        exchanged.session_gone =
            message.session_id.is_some() && says_session_gone(status, error.as_ref(), &text);
        let shown = if text.is_empty() {
            format!("status {status}")
        } else {
            format!("status {status}: {text}")
        };
        Trouble::failed(Failure::Http { status, rpc_code }, shown)
    }

    /// Reads the body to its end into the buffer, or fails beyond the limit.
    fn read_whole(&mut self, answer: &mut Answer, limit: usize) -> Result<(), Trouble> {
        self.buffer.clear();
        let mut n_filled = 0;
        // One more than the length, so that the end is noticed in one step.
        let mut room = match answer.content_length() {
            Some(length) => usize::try_from(length).unwrap_or(limit).min(limit) + 1,
            None => CHUNK_BYTES,
        };
        loop {
            if self.buffer.len() < n_filled + room {
                self.buffer.resize(n_filled + room, 0);
            }
            let n = answer.read(&mut self.buffer[n_filled..])?;
            n_filled += n;
            if n == 0 {
                self.buffer.truncate(n_filled);
                if let Some(recorded) = &mut self.recorded {
                    recorded.extend_from_slice(&self.buffer);
                }
                return Ok(());
            }
            if n_filled > limit {
                self.buffer.truncate(limit);
                return Err(ProtocolFault::too_large(limit).into());
            }
            // A body of unknown length grows by half, so that a large one is
            // not copied over and over.
            room = CHUNK_BYTES.max(n_filled / 2);
            if let Some(length) = answer.content_length() {
                let left = usize::try_from(length)
                    .unwrap_or(limit)
                    .saturating_sub(n_filled);
                room = left.min(limit - n_filled + 1).max(1);
            }
        }
    }

    #[inline(never)]
    fn read_stream(
        &mut self,
        mut answer: Answer,
        on_server_request: &mut dyn FnMut(&ServerRequest),
        exchanged: &mut Exchanged,
    ) -> Result<Reply, Trouble> {
        self.buffer.resize(CHUNK_BYTES, 0);
        loop {
            let n = match answer.read(&mut self.buffer) {
                Ok(n) => n,
                Err(failure) => {
                    let trouble = Trouble::from(failure);
                    exchanged.resumable = self.can_resume(&trouble);
                    return Err(trouble);
                }
            };
            let timing = answer.timing();
            if n == 0 {
                let fault = match self.reader.finish() {
                    Err(fault) => fault,
                    // An event stream never yields an item at its end.
                    Ok(_) => ProtocolFault::new(crate::protocol::FaultKind::StreamEnded, ""),
                };
                let trouble = Trouble::from(fault);
                exchanged.resumable = self.can_resume(&trouble);
                return Err(trouble);
            }
            if let Some(recorded) = &mut self.recorded {
                recorded.extend_from_slice(&self.buffer[..n]);
            }
            let mut n_used = 0;
            while n_used < n {
                let (used, item) = self.reader.feed(&self.buffer[n_used..n])?;
                n_used += used;
                match item {
                    Some(Item::Reply(reply)) => {
                        exchanged.timing = timing;
                        let end = timing.last_byte.unwrap_or_else(crate::clock::now);
                        exchanged.end = Some(end);
                        exchanged.kept_result = self.reader.result().map(str::to_string);
                        let took = timing
                            .sent
                            .map_or(Duration::ZERO, |sent| end.saturating_duration_since(sent));
                        self.drain(answer, took);
                        return Ok(reply);
                    }
                    Some(Item::ServerRequest(request)) => on_server_request(&request),
                    Some(Item::Notification) | None => {}
                }
            }
        }
    }

    fn can_resume(&self, trouble: &Trouble) -> bool {
        let ended = matches!(
            trouble,
            Trouble::Failed {
                failure: Failure::Protocol(
                    ProtocolFailure::StreamEnded | ProtocolFailure::ClosedEarly
                ),
                ..
            }
        );
        ended && self.reader.last_event_id().is_some()
    }

    /// Reads what follows the final answer, so that the connection can be used
    /// again. A server that leaves the stream open costs the connection.
    /// `took` is how long the answer took.
    fn drain(&mut self, mut answer: Answer, took: Duration) {
        let wait = if self.n_left_open_in_a_row >= LEFT_OPEN_BY_DESIGN {
            Duration::ZERO
        } else {
            took.saturating_mul(2)
                .clamp(STREAM_END_WAIT, STREAM_END_WAIT_MAX)
        };
        answer.set_deadline(crate::clock::now() + wait);
        let is_left_open = loop {
            match answer.read(&mut self.buffer) {
                Ok(0) => break false,
                Ok(_) => {}
                Err(_) => break true,
            }
        };
        if is_left_open {
            self.n_left_open_in_a_row = self.n_left_open_in_a_row.saturating_add(1);
            self.n_streams_left_open += 1;
        } else {
            self.n_left_open_in_a_row = 0;
        }
    }
}

fn headers(message: &Message<'_>) -> HeaderMap {
    let mut headers = message.headers.clone();
    match message.session_id {
        Some(id) => {
            headers.insert(SESSION_ID, id.clone());
        }
        None => {
            headers.remove(SESSION_ID);
        }
    }
    headers
}

fn session_id(answer: &Answer) -> Result<Option<HeaderValue>, ProtocolFault> {
    let id = read_session_id(answer.header_values(SESSION_ID.as_str()))?;
    // What HTTP let pass in an answer, it lets pass in a request.
    Ok(id.and_then(|id| HeaderValue::from_bytes(id).ok()))
}

fn content_type(answer: &Answer) -> Option<&str> {
    std::str::from_utf8(answer.content_type()?).ok()
}

fn body_kind(answer: &Answer) -> BodyKind {
    content_type(answer).map_or(BodyKind::Other, BodyKind::from_content_type)
}

fn header_text(answer: &Answer, name: &str) -> Option<String> {
    Some(std::str::from_utf8(answer.header(name)?).ok()?.to_string())
}
