//! One exchange at a time: a message goes out, the answer with its id is found.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::classify::Trouble;
use super::content::Content;
use super::cookies::CookieJar;
use super::server::{SESSION_ID, Server};
use crate::http::{
    Answer, Client, ClientCounters, HeaderMap, HeaderValue, HttpFailure, Method, Request,
    RequestHead, Timing,
};
use crate::metrics::{Failure, ProtocolFailure};
use crate::protocol::{
    BodyKind, ContentCoding, Expect, FaultKind, Item, ProtocolFault, Reply, ReplyReader,
    ServerRequest, excerpt, is_redirect, read_error_body, read_json_reply, read_session_id,
    says_session_gone,
};

/// How much of an error's body is read: enough for its message.
const ERROR_BODY_MAX: usize = 64 * 1024;

/// Read at once from a body of unknown length.
const CHUNK_BYTES: usize = 4 * 1024;

/// The room for a body before any of it came, whatever length is announced.
/// From there on it grows with the bytes that came.
const FIRST_ROOM_BYTES: usize = 16 * 1024;

/// Of the answer to a probe so much is kept to be judged.
const RECORDED_BYTES_MAX: usize = 1024 * 1024;

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
    /// A copy of the beginning of what comes, for a probe.
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
            http: Client::new(server.endpoint(), message_bytes_max),
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

    /// Keeps the bytes of the next answer's body as they come, at most a
    /// mebibyte: what follows is no answer to a probe.
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
        if !exchanged.resumable {
            self.reader.release();
        }
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
                    let read = self.discard(&mut answer);
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
            ),
            None => self.http.send(&Request {
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
        answer: Answer,
        message: &Message<'_>,
        expect: Option<Expect>,
        on_server_request: &mut dyn FnMut(&ServerRequest),
        exchanged: &mut Exchanged,
    ) -> Result<Reply, Trouble> {
        let status = answer.status;
        exchanged.status = Some(status);
        self.borrow_buffer();
        let (mut content, coding) = Content::new(answer, self.message_bytes_max);
        match status {
            202 | 204 => {
                self.discard(&mut content.answer)?;
                Err(ProtocolFault::accepted_not_answered(status).into())
            }
            200..300 => {
                // Only the handshake's result is of interest, and only it brings
                // the id.
                if expect.is_some_and(|expect| expect.keep_result && expect.method.is_none()) {
                    exchanged.session_id = session_id(&content.answer)?;
                }
                if let ContentCoding::Foreign(name) = &coding {
                    self.discard(&mut content.answer)?;
                    return Err(ProtocolFault::content_encoding(name).into());
                }
                let result = self.read_reply(content, expect, on_server_request, exchanged);
                match coding {
                    ContentCoding::Unknown(name) => result.map_err(|it| name_coding(it, &name)),
                    _ => result,
                }
            }
            300..400 if is_redirect(status, content.answer.header("location").is_some()) => {
                exchanged.location = header_text(&content.answer, "location");
                // It leads wherever the server says: the path alone is shown.
                self.discard(&mut content.answer)?;
                let shown = if exchanged.location.is_some() {
                    "redirected; redirects are not followed in a run"
                } else {
                    "a redirect that does not say where to"
                };
                Err(Trouble::failed(
                    Failure::Protocol(ProtocolFailure::Redirect),
                    format!("status {status}: {shown}"),
                ))
            }
            status => {
                let unread = match coding {
                    ContentCoding::Foreign(name) => {
                        self.discard(&mut content.answer)?;
                        self.buffer.clear();
                        Some(format!("a body in the content encoding `{name}`"))
                    }
                    _ => self.read_beginning(&mut content)?,
                };
                Err(self.http_error(status, unread, message, exchanged))
            }
        }
    }

    /// The reply in the content of a successful answer.
    fn read_reply(
        &mut self,
        mut content: Content,
        expect: Option<Expect>,
        on_server_request: &mut dyn FnMut(&ServerRequest),
        exchanged: &mut Exchanged,
    ) -> Result<Reply, Trouble> {
        match (body_kind(&content.answer), expect) {
            (BodyKind::Json, Some(expect)) => {
                self.read_whole(&mut content)?;
                let found = read_json_reply(&self.buffer, &expect)?;
                exchanged.kept_result = found.result.map(str::to_string);
                Ok(found.reply)
            }
            (BodyKind::EventStream, expect) => {
                match expect {
                    Some(expect) => self.reader.reset(BodyKind::EventStream, expect),
                    None => self.reader.resume(),
                }
                self.read_stream(content, on_server_request, exchanged)
            }
            _ => {
                let kind = content_type(&content.answer).map(str::to_string);
                let unread = self.read_beginning(&mut content)?;
                if let Some(unread) = unread {
                    self.buffer = unread.into_bytes();
                }
                let kind = kind.as_deref();
                Err(ProtocolFault::unexpected_content_type(kind, &self.buffer).into())
            }
        }
    }

    /// An error status, which may say that the session is gone. `unread` is why
    /// the body could not be read.
    fn http_error(
        &self,
        status: u16,
        unread: Option<String>,
        message: &Message<'_>,
        exchanged: &mut Exchanged,
    ) -> Trouble {
        let error = read_error_body(&self.buffer);
        let rpc_code = error.as_ref().and_then(|error| error.code);
        let text = match (&error, unread) {
            (Some(error), _) => error.message.clone(),
            (None, Some(unread)) => unread,
            (None, None) if self.buffer.trim_ascii().is_empty() => String::new(),
            (None, None) => excerpt(&self.buffer),
        };
        exchanged.session_gone =
            message.session_id.is_some() && says_session_gone(status, error.as_ref(), &text);
        let shown = if self.buffer.is_empty() && text.is_empty() {
            format!("status {status}, no body")
        } else if text.is_empty() {
            format!("status {status}, no text")
        } else {
            format!("status {status}: {text}")
        };
        Trouble::failed(Failure::Http { status, rpc_code }, shown)
    }

    /// Reads the content to its end into the buffer, or fails beyond the limit
    /// for one message.
    fn read_whole(&mut self, content: &mut Content) -> Result<(), Trouble> {
        let limit = self.message_bytes_max;
        let length = content.length();
        if let Some(length) = length.filter(|length| *length > limit as u64) {
            // No byte of it need be read to know that.
            return Err(ProtocolFault::announced_too_large(length, limit).into());
        }
        if self.fill(content, limit)? {
            self.keep_record();
            return content.check_end();
        }
        self.buffer.truncate(limit);
        Err(ProtocolFault::too_large(limit).into())
    }

    /// Reads the beginning of the content into the buffer, enough for an
    /// error's message; of the rest nothing is kept. Why it could not be read,
    /// where its coding is broken.
    fn read_beginning(&mut self, content: &mut Content) -> Result<Option<String>, Trouble> {
        let filled = match self.fill(content, ERROR_BODY_MAX) {
            Err(Trouble::Failed {
                failure:
                    Failure::Protocol(ProtocolFailure::ContentEncoding | ProtocolFailure::TooLarge),
                message,
            }) => {
                self.discard(&mut content.answer)?;
                self.buffer.clear();
                return Ok(Some(message));
            }
            filled => filled?,
        };
        if !filled {
            self.buffer.truncate(ERROR_BODY_MAX);
            let beginning = std::mem::take(&mut self.buffer);
            let discarded = self.discard(&mut content.answer);
            self.buffer = beginning;
            discarded?;
        }
        self.keep_record();
        Ok(None)
    }

    /// Reads the rest of a body without keeping any of it, so that the
    /// connection can be used again. One beyond the limit for a message is left
    /// unread, which costs the connection.
    fn discard(&mut self, answer: &mut Answer) -> Result<(), Trouble> {
        self.buffer.resize(CHUNK_BYTES, 0);
        let mut n_left = self.message_bytes_max;
        while n_left > 0 {
            match answer.read(&mut self.buffer)? {
                0 => break,
                n => n_left = n_left.saturating_sub(n),
            }
        }
        self.buffer.clear();
        Ok(())
    }

    /// Reads content into the buffer, to its end, or until there is more than
    /// `limit`: whether it is at its end.
    fn fill(&mut self, content: &mut Content, limit: usize) -> Result<bool, Trouble> {
        self.buffer.clear();
        let length = content
            .length()
            .map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let mut n_filled = 0;
        // Of a body of unknown length.
        let mut room = CHUNK_BYTES;
        loop {
            if let Some(length) = length {
                // One more than what is left, so that the end is noticed in one
                // step. What is announced need never come.
                let left = length.saturating_sub(n_filled).saturating_add(1);
                room = left.min(FIRST_ROOM_BYTES.max(n_filled));
            }
            let end = n_filled + room.min(limit - n_filled + 1);
            if self.buffer.len() < end {
                self.buffer.resize(end, 0);
            }
            let n = content.read(&mut self.buffer[n_filled..])?;
            n_filled += n;
            if n == 0 || n_filled > limit {
                self.buffer.truncate(n_filled);
                return Ok(n == 0);
            }
            // Grows by half, so that a large one is not copied over and over.
            room = CHUNK_BYTES.max(n_filled / 2);
        }
    }

    fn keep_record(&mut self) {
        if let Some(recorded) = &mut self.recorded {
            record(recorded, &self.buffer);
        }
    }

    #[inline(never)]
    fn read_stream(
        &mut self,
        mut content: Content,
        on_server_request: &mut dyn FnMut(&ServerRequest),
        exchanged: &mut Exchanged,
    ) -> Result<Reply, Trouble> {
        self.buffer.resize(CHUNK_BYTES, 0);
        loop {
            let n = match content.read(&mut self.buffer) {
                Ok(n) => n,
                Err(trouble) => {
                    exchanged.resumable = self.can_resume(&trouble);
                    return Err(trouble);
                }
            };
            let timing = content.answer.timing();
            if n == 0 {
                let fault = match self.reader.finish() {
                    Err(fault) => fault,
                    // An event stream never yields an item at its end.
                    Ok(_) => ProtocolFault::new(FaultKind::StreamEnded, ""),
                };
                let trouble = Trouble::from(fault);
                exchanged.resumable = self.can_resume(&trouble);
                return Err(trouble);
            }
            if let Some(recorded) = &mut self.recorded {
                record(recorded, &self.buffer[..n]);
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
                        self.drain(content.answer, took);
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

/// Keeps what comes, up to the bound.
fn record(recorded: &mut Vec<u8>, bytes: &[u8]) {
    let room = RECORDED_BYTES_MAX.saturating_sub(recorded.len());
    recorded.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// What cannot be read is most likely in the coding that is named.
fn name_coding(trouble: Trouble, name: &str) -> Trouble {
    match trouble {
        Trouble::Failed {
            failure: Failure::Protocol(ProtocolFailure::NotJson | ProtocolFailure::StreamEnded),
            message,
        } => Trouble::failed(
            Failure::Protocol(ProtocolFailure::ContentEncoding),
            format!("unusable content encoding: `{name}`: {message}"),
        ),
        other => other,
    }
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
