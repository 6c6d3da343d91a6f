//! One exchange at a time: a message goes out, the answer with its id is found.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::de::IgnoredAny;

use super::content::Content;
use super::error_head::{ErrorHead, RetryAfter, token_failure};
use super::identity::Identity;
use super::observed::{KeptParts, Observed};
use super::server::{SESSION_ID, Server};
use crate::http::{
    Client, ClientCounters, HeaderLines, HeaderValue, Request, RequestHead, Response, Timing,
    Trouble,
};
use crate::marker::{FoundMarkers, MarkerSearch};
use crate::metrics::{AnswerPieces, ConnectFailure, Failure, ProtocolFailure};
use crate::protocol::{
    BodyKind, ContentCoding, Expect, Item, KeptAnswers, ProgressWatch, ProtocolFault, Reply,
    ReplyReader, ServerRequest, excerpt, is_redirect, read_error_body, read_json_reply,
    read_session_id, says_session_gone,
};

/// 407 Proxy Authentication Required.
const PROXY_WANTS_NAME: u16 = 407;

/// How much of an error's body is read: enough for its message.
const ERROR_BODY_MAX: usize = 64 * 1024;

/// Read at once from a body of unknown length.
const CHUNK_BYTES: usize = 4 * 1024;

/// The room for a body before any of it came, whatever length is announced.
/// From there on it grows with the bytes that came.
const FIRST_ROOM_BYTES: usize = 16 * 1024;

/// How much of the answer to a probe is kept to be judged, and of a call to be
/// shown, in bytes.
pub(super) const RECORDED_BYTES_MAX: usize = 1024 * 1024;

/// Buffers larger than this are dropped after the exchange.
const KEPT_BYTES: usize = 64 * 1024;

/// Buffers kept by a thread: as many as answers are commonly read at once, of
/// which more than one is only where they come in pieces.
const BUFFERS_KEPT: usize = 16;

thread_local! {
    static BUFFERS: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Room for a body, which keeps what was in it, so that it need not be made blank
/// again for each answer.
#[derive(Debug, Default)]
struct Buffer {
    room: Vec<u8>,
    /// What was read is `room[..n_filled]`; `n_filled <= room.len()`.
    n_filled: usize,
}

impl Buffer {
    fn filled(&self) -> &[u8] {
        &self.room[..self.n_filled]
    }

    /// Room for `n_bytes` behind what was read.
    fn spare(&mut self, n_bytes: usize) -> &mut [u8] {
        let end = self.n_filled + n_bytes;
        if self.room.len() < end {
            self.room.resize(end, 0);
        }
        &mut self.room[self.n_filled..end]
    }

    fn clear(&mut self) {
        self.n_filled = 0;
    }

    fn set(&mut self, text: String) {
        self.n_filled = text.len();
        self.room = text.into_bytes();
    }
}

/// How long the end of a stream is awaited after its final answer, at least and
/// at most; between them as long as twice the answer took, since a server that
/// is busy is late with the end too. Most end it at once, and a connection that
/// is given up needlessly costs a busy server yet another.
const STREAM_END_WAIT: Duration = Duration::from_millis(100);
const STREAM_END_WAIT_MAX: Duration = Duration::from_secs(1);

/// After this many streams in a row that the server left open, it does so by
/// design, and the end of the next is not awaited.
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
    /// The JSON of the error in the body of an HTTP error.
    pub(super) error_text: Option<String>,
    /// What was to be kept of it.
    pub(super) observed: Option<Box<Observed>>,
}

impl Exchanged {
    fn pieces(&mut self) -> Option<&mut AnswerPieces> {
        self.observed.as_mut()?.pieces.as_mut()
    }

    /// Bytes of a stream came and were read.
    fn came(&mut self, timing: &Timing, n_bytes: usize, reader: &ReplyReader) {
        if let Some(observed) = &mut self.observed {
            let n_progress = reader.progress().map_or(0, ProgressWatch::n_told);
            observed.came(timing, n_bytes, (reader.n_events(), n_progress));
        }
    }

    /// The stream can be read no further.
    fn broke_off(&mut self, trouble: &Trouble, is_resumable: bool) {
        self.resumable = is_resumable;
        if let (Some(observed), true) = (&mut self.observed, is_early_end(trouble)) {
            observed.ended_early();
        }
    }
}

/// What is sent.
pub(super) struct Outgoing<'a> {
    pub(super) head: &'a RequestHead,
    /// The headers that it adds to those of its user.
    pub(super) lines: &'a HeaderLines,
    pub(super) body: &'a [u8],
    pub(super) deadline: Instant,
    /// What is kept of the answer.
    pub(super) kept: Option<&'a KeptParts>,
}

/// A connection with the buffers for its answers.
#[derive(Debug)]
pub(super) struct Lane {
    http: Client,
    reader: ReplyReader,
    /// A JSON body, or a chunk of a stream; lent by the thread while an answer
    /// is read, so that users who wait have none.
    buffer: Buffer,
    message_bytes_max: usize,
    /// The last streams that the server left open, up to the first it did not.
    n_left_open_in_a_row: u32,
    /// Who sees what comes, beside the reader.
    onlookers: Option<Box<Onlookers>>,
    /// Whose requests these are; all lanes of a user share it.
    identity: Rc<Identity>,
    pub(super) n_streams_left_open: u64,
    /// Answers with `Set-Cookie`.
    pub(super) n_cookies_set: u64,
    /// How long the last error asked to be left alone.
    pub(super) retry_after: Option<RetryAfter>,
    /// The last error led to tokens by OAuth.
    pub(super) offers_oauth: bool,
}

impl Lane {
    /// A lane without a connection; its first message makes one.
    pub(super) fn new(server: &Server, identity: Rc<Identity>) -> Self {
        Self::unpaced_to(server, identity, server.settings().message_bytes_max)
    }

    /// The same; what an exchange brings beyond `bytes_unpaced` is read at a bounded rate.
    pub(super) fn unpaced_to(
        server: &Server,
        identity: Rc<Identity>,
        bytes_unpaced: usize,
    ) -> Self {
        let message_bytes_max = server.settings().message_bytes_max;
        let nothing = Expect::result(0, None);
        Self {
            http: Client::new(
                server.endpoint(),
                bytes_unpaced,
                &server.settings().network,
                &identity.turns,
            ),
            reader: ReplyReader::new(nothing, message_bytes_max),
            buffer: Buffer::default(),
            message_bytes_max,
            n_left_open_in_a_row: 0,
            onlookers: None,
            identity,
            n_streams_left_open: 0,
            n_cookies_set: 0,
            retry_after: None,
            offers_oauth: false,
        }
    }

    /// What the last error said of how long to be left alone, since this was last asked.
    pub(super) fn take_retry_after(&mut self) -> Option<RetryAfter> {
        self.retry_after.take()
    }

    /// Its requests are those of somebody else from now on.
    pub(super) fn serve(&mut self, identity: &Rc<Identity>) {
        self.identity = Rc::clone(identity);
    }

    /// Goes to another path of the same host from now on.
    pub(super) fn go_to(&mut self, server: &Server) {
        self.http.go_to(server.endpoint());
    }

    pub(super) fn counters(&self) -> ClientCounters {
        self.http.counters()
    }

    /// Bytes sent and received so far.
    pub(super) fn traffic(&self) -> (u64, u64) {
        self.http.traffic()
    }

    pub(super) fn last_event_id(&self) -> Option<&str> {
        self.reader.last_event_id()
    }

    pub(super) fn retry(&self) -> Option<Duration> {
        self.reader.retry()
    }

    /// Keeps the bytes of what answers next as they come, at most a mebibyte: what
    /// follows is not an answer to a probe, and is not shown.
    pub(super) fn record(&mut self) {
        self.onlookers.get_or_insert_default().recorded = Some(Vec::new());
    }

    /// What was kept; of a stream, up to the piece that held the answer.
    pub(super) fn take_recorded(&mut self) -> Vec<u8> {
        let onlookers = self.onlookers.as_deref_mut();
        onlookers
            .and_then(|it| it.recorded.take())
            .unwrap_or_default()
    }

    /// Searches all that comes from now on for markers.
    pub(super) fn search(&mut self, search: MarkerSearch) {
        self.onlookers.get_or_insert_default().search = Some(search);
    }

    /// Searches a text that came by another way as if it had come here.
    pub(super) fn search_text(&mut self, text: &str) {
        if let Some(search) = self.marker_search() {
            search.feed(text.as_bytes());
        }
    }

    /// What was found in this text is somebody else's to tell of.
    pub(super) fn disown_text(&mut self, text: &str) {
        if let Some(search) = self.marker_search() {
            search.disown(text);
        }
    }

    /// The markers in what came since this was last asked.
    pub(super) fn take_markers(&mut self) -> FoundMarkers {
        let search = self.marker_search();
        search.map(MarkerSearch::take).unwrap_or_default()
    }

    /// The same in a stream that goes on.
    pub(super) fn take_markers_so_far(&mut self) -> FoundMarkers {
        let search = self.marker_search();
        search.map(MarkerSearch::take_so_far).unwrap_or_default()
    }

    fn marker_search(&mut self) -> Option<&mut MarkerSearch> {
        self.onlookers.as_mut()?.search.as_mut()
    }

    /// Sends a request and finds its answer. `on_server_request` is called for
    /// requests of the server's that come before it.
    pub(super) fn request(
        &mut self,
        message: &Outgoing<'_>,
        expect: Expect,
        on_server_request: &mut dyn FnMut(&ServerRequest),
    ) -> Exchanged {
        self.exchange(message, Some(expect), on_server_request, None)
    }

    /// Goes on with a stream that ended too early, of which that was observed. The reader
    /// remembers what is awaited.
    pub(super) fn resume(
        &mut self,
        message: &Outgoing<'_>,
        on_server_request: &mut dyn FnMut(&ServerRequest),
        observed: Option<Box<Observed>>,
    ) -> Exchanged {
        self.exchange(message, None, on_server_request, observed)
    }

    fn exchange(
        &mut self,
        message: &Outgoing<'_>,
        expect: Option<Expect>,
        on_server_request: &mut dyn FnMut(&ServerRequest),
        observed: Option<Box<Observed>>,
    ) -> Exchanged {
        let sent = self.send(message);
        let kept = message.kept.map(|kept| (kept, message.body));
        self.finish(sent, kept, expect, on_server_request, observed)
    }

    /// Asks for a stream that has no end: its content, once its head is there. `expect` is
    /// what a message in its place would answer, where it asks with one.
    ///
    /// # Errors
    /// What was answered in its place, or why there was no answer.
    pub(super) fn open_stream(
        &mut self,
        message: &Outgoing<'_>,
        expect: Option<Expect>,
    ) -> Result<Content, Box<Exchanged>> {
        let sent = self.send(message);
        if let Ok(answer) = &sent
            && answer.status == 200
            && body_kind(answer) == BodyKind::EventStream
            && let Ok(answer) = sent
        {
            let (content, _) = Content::new(answer, self.message_bytes_max);
            return Ok(content);
        }
        let mut exchanged = self.finish(sent, None, expect, &mut |_| (), None);
        exchanged.resumable = false;
        Err(Box::new(exchanged))
    }

    /// Reads what of an endless stream has come, and hands it out piece by piece. False at
    /// its end.
    ///
    /// # Errors
    /// When the stream broke, or what it brings cannot be read.
    pub(super) fn read_arrived(
        &mut self,
        content: &mut Content,
        mut take: impl FnMut(&[u8]) -> Result<(), ProtocolFault>,
    ) -> Result<bool, Trouble> {
        self.borrow_buffer();
        let goes_on = loop {
            let n = match content.read_arrived(self.buffer.spare(CHUNK_BYTES)) {
                Ok(Some(0)) => break content.check_end().map(|()| false),
                Ok(Some(n)) => n,
                Ok(None) => break Ok(true),
                Err(trouble) => break Err(trouble),
            };
            self.search_spare(n);
            if let Err(fault) = take(&self.buffer.room[..n]) {
                break Err(fault.into());
            }
            if content.has_coding() {
                break Ok(true);
            }
        };
        self.give_buffer_back();
        goes_on
    }

    /// The end of an exchange whose request was sent: what is kept of it, beside the body
    /// that was sent, or what was `observed` of its beginning.
    #[inline]
    fn finish(
        &mut self,
        sent: Result<Response, Trouble>,
        kept: Option<(&KeptParts, &[u8])>,
        expect: Option<Expect>,
        on_server_request: &mut dyn FnMut(&ServerRequest),
        observed: Option<Box<Observed>>,
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
            error_text: None,
            observed,
        };
        if let Some((kept, request)) = kept {
            exchanged.observed = Some(self.observe(kept, request, sent.as_ref().ok()));
        }
        let mut result = match sent {
            Ok(answer) => self.read(answer, expect, on_server_request, &mut exchanged),
            Err(trouble) => Err(trouble),
        };
        if exchanged.end.is_none() {
            exchanged.timing = self.http.timing();
            exchanged.end = exchanged.timing.last_byte.filter(|_| result.is_ok());
        }
        if let Some(observed) = &mut exchanged.observed {
            observed.end(&exchanged.timing);
            if !exchanged.resumable {
                result = self.judge_progress(result);
            }
        }
        exchanged.result = result;
        self.give_buffer_back();
        if !exchanged.resumable {
            self.reader.release();
        }
        exchanged
    }

    /// Begins to observe what is kept of the answer to this request.
    #[inline(never)]
    fn observe(
        &mut self,
        kept: &KeptParts,
        request: &[u8],
        answer: Option<&Response>,
    ) -> Box<Observed> {
        let progress = kept.progress.then(|| ProgressWatch::of_request(request));
        self.reader.follow(progress.flatten());
        let value = |answer: &Response, name: &String| {
            Some((name.clone(), header_text(answer.header(name))?))
        };
        let values = |answer| {
            let names = kept.headers.iter();
            names.filter_map(|name| value(answer, name)).collect()
        };
        let is_unbuffered = |answer: &Response| {
            let wish = answer.header("x-accel-buffering");
            wish.is_some_and(|wish| wish.eq_ignore_ascii_case(b"no"))
        };
        let is_unbuffered = answer.is_some_and(is_unbuffered);
        let pieces = kept.pieces.then(|| AnswerPieces::new(is_unbuffered));
        let headers = answer.map_or_else(Vec::new, values);
        Box::new(Observed::new(headers, self.http.peer(), pieces))
    }

    /// A call whose progress did not grow has failed, whatever its answer. Nothing of it is
    /// followed any more.
    #[inline(never)]
    fn judge_progress(&mut self, result: Result<Reply, Trouble>) -> Result<Reply, Trouble> {
        let fault = self.reader.progress().and_then(ProgressWatch::fault);
        let fault = fault.map(str::to_string);
        self.reader.follow(None);
        match (result, fault) {
            (Ok(_), Some(text)) => Err(Trouble::failed(
                Failure::Protocol(ProtocolFailure::Progress),
                text,
            )),
            (result, _) => result,
        }
    }

    /// Sends something to which no answer is awaited: a notification, a
    /// response, a DELETE. The body of the answer is read and not looked at.
    pub(super) fn tell(
        &mut self,
        message: &Outgoing<'_>,
    ) -> (Result<u16, Trouble>, Timing, Instant) {
        let result = self.send(message).and_then(|mut answer| {
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
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        BUFFERS.with_borrow_mut(|buffers| {
            let is_small = (1..=KEPT_BYTES).contains(&buffer.room.capacity());
            if is_small && buffers.len() < BUFFERS_KEPT {
                buffers.push(buffer);
            }
        });
    }

    fn send(&mut self, message: &Outgoing<'_>) -> Result<Response, Trouble> {
        let answer = self.http.send(&Request {
            head: message.head,
            user: &self.identity.lines(),
            call: message.lines,
            body: message.body,
            deadline: message.deadline,
        })?;
        if answer.sets_cookie {
            self.n_cookies_set += 1;
            let values = answer.header_values("set-cookie");
            self.identity.take_cookies(&values);
        }
        Ok(answer)
    }

    #[inline(never)]
    fn read(
        &mut self,
        answer: Response,
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
                if expect.is_some_and(|expect| {
                    expect.kept == KeptAnswers::All && expect.method.is_none()
                }) {
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
                exchanged.location = header_text(content.answer.header("location"));
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
                let head = ErrorHead::of(&content.answer);
                self.retry_after = head.retry_after.clone();
                self.offers_oauth = head.offers_oauth();
                let unread = match coding {
                    ContentCoding::Foreign(name) => {
                        self.discard(&mut content.answer)?;
                        Some(format!("a body in the content encoding `{name}`"))
                    }
                    _ => self.read_beginning(&mut content)?,
                };
                let keeps_answer = expect.is_some_and(|expect| expect.kept.keeps(true));
                Err(self.http_error(&head, status, unread, keeps_answer, exchanged))
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
                let body = self.buffer.filled();
                let found = read_json_reply(body, &expect).inspect_err(|_| {
                    exchanged.error_text = expect.kept.keeps(true).then(|| as_json(body)).flatten();
                })?;
                exchanged.kept_result = found.result.map(str::to_string);
                Ok(found.reply)
            }
            (BodyKind::EventStream, expect) => {
                match expect {
                    Some(expect) => self.reader.reset(expect),
                    None => self.reader.resume(),
                }
                self.read_stream(content, on_server_request, exchanged)
            }
            _ => {
                let kind = header_text(content.answer.content_type());
                let unread = self.read_beginning(&mut content)?;
                if let Some(unread) = unread {
                    self.buffer.set(unread);
                }
                let (kind, body) = (kind.as_deref(), self.buffer.filled());
                Err(ProtocolFault::unexpected_content_type(kind, body).into())
            }
        }
    }

    /// An error status, which may say that the session is gone. `unread` is why
    /// the body could not be read.
    fn http_error(
        &self,
        head: &ErrorHead,
        status: u16,
        unread: Option<String>,
        keeps_answer: bool,
        exchanged: &mut Exchanged,
    ) -> Trouble {
        let body = self.buffer.filled();
        let error = read_error_body(body);
        let rpc_code = error.as_ref().and_then(|error| error.code);
        let refusal = head.refusal(status, body);
        if matches!(status, 401 | 403) {
            self.identity
                .note_refusal(status, refusal.as_ref(), || head.challenge());
        }
        let refusal = refusal.filter(|_| error.is_none());
        exchanged.error_text = match &error {
            _ if !keeps_answer => None,
            Some(error) => Some(error.to_json()),
            None => as_json(body),
        };
        let text = match (&error, unread) {
            (Some(error), _) => error.message.clone(),
            (None, Some(unread)) => unread,
            (None, None) if body.trim_ascii().is_empty() => String::new(),
            (None, None) => excerpt(body),
        };
        exchanged.session_gone =
            self.identity.has_session_id() && says_session_gone(status, error.as_ref(), &text);
        let (failure, text) = match refusal {
            Some(refusal) => token_failure(status, refusal),
            None => (Failure::Http { status, rpc_code }, text),
        };
        let mut shown = if body.is_empty() && text.is_empty() {
            format!("status {status}, no body")
        } else if text.is_empty() {
            format!("status {status}, no text")
        } else {
            format!("status {status}: {text}")
        };
        shown += &head.note();
        // Only a proxy wants to know who asks it (RFC 9110 section 15.5.8).
        if status == PROXY_WANTS_NAME
            && let Some(proxy) = self.http.plain_proxy()
        {
            let shown = format!("the proxy {} refused: {shown}", proxy.address());
            return Trouble::failed(Failure::Connect(ConnectFailure::Proxy), shown);
        }
        Trouble::failed(failure, shown)
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
            return content.check_end();
        }
        Err(ProtocolFault::too_large(limit).into())
    }

    /// Reads the beginning of the content into the buffer, enough for an
    /// error's message; of the rest nothing is kept. Why it could not be read,
    /// where its coding is broken.
    fn read_beginning(&mut self, content: &mut Content) -> Result<Option<String>, Trouble> {
        match self.fill(content, ERROR_BODY_MAX) {
            Err(Trouble::Failed {
                failure:
                    Failure::Protocol(ProtocolFailure::ContentEncoding | ProtocolFailure::TooLarge),
                message,
            }) => {
                self.discard(&mut content.answer)?;
                self.buffer.clear();
                return Ok(Some(message));
            }
            Ok(false) => {
                self.buffer.n_filled = ERROR_BODY_MAX;
                self.discard(&mut content.answer)?;
            }
            filled => {
                filled?;
            }
        }
        Ok(None)
    }

    /// Reads the rest of a body without keeping any of it, so that the
    /// connection can be used again. One beyond the limit for a message is left
    /// unread, which costs the connection.
    fn discard(&mut self, answer: &mut Response) -> Result<(), Trouble> {
        let mut n_left = self.message_bytes_max;
        while n_left > 0 {
            match answer.read(self.buffer.spare(CHUNK_BYTES))? {
                0 => break,
                n => {
                    self.search_spare(n);
                    n_left = n_left.saturating_sub(n);
                }
            }
        }
        Ok(())
    }

    /// Reads content into the buffer, to its end, or until there is more than
    /// `limit`: whether it is at its end.
    fn fill(&mut self, content: &mut Content, limit: usize) -> Result<bool, Trouble> {
        let is_at_end = self.fill_unseen(content, limit);
        // What came of content that broke off is seen, too.
        if let Some(onlookers) = &mut self.onlookers {
            onlookers.see(self.buffer.filled());
        }
        is_at_end
    }

    fn fill_unseen(&mut self, content: &mut Content, limit: usize) -> Result<bool, Trouble> {
        self.buffer.clear();
        let length = content
            .length()
            .map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        // Of a body of unknown length.
        let mut room = CHUNK_BYTES;
        loop {
            let n_filled = self.buffer.n_filled;
            if let Some(length) = length {
                // One more than what is left, so that the end is noticed in one
                // step. What is announced need never come.
                let left = length.saturating_sub(n_filled).saturating_add(1);
                room = left.min(FIRST_ROOM_BYTES.max(n_filled));
            }
            let room_now = self.buffer.spare(room.min(limit - n_filled + 1));
            let n = content.read(room_now)?;
            let n_filled = n_filled + n;
            self.buffer.n_filled = n_filled;
            if n == 0 || n_filled > limit {
                return Ok(n == 0);
            }
            // Grows by half, so that a large one is not copied over and over.
            room = CHUNK_BYTES.max(n_filled / 2);
        }
    }

    /// Searches what was read into the spare room and is not kept.
    fn search_spare(&mut self, n_bytes: usize) {
        let search = self.onlookers.as_mut().and_then(|it| it.search.as_mut());
        if let Some(search) = search {
            let start = self.buffer.n_filled;
            search.feed(&self.buffer.room[start..start + n_bytes]);
        }
    }

    #[inline(never)]
    fn read_stream(
        &mut self,
        mut content: Content,
        on_server_request: &mut dyn FnMut(&ServerRequest),
        exchanged: &mut Exchanged,
    ) -> Result<Reply, Trouble> {
        if let Some(pieces) = exchanged.pieces() {
            pieces.is_stream = true;
        }
        loop {
            let n = match content.read(self.buffer.spare(CHUNK_BYTES)) {
                Ok(n) => n,
                Err(trouble) => {
                    exchanged.broke_off(&trouble, self.can_resume(&trouble));
                    return Err(trouble);
                }
            };
            let timing = content.answer.timing();
            if n == 0 {
                let trouble = Trouble::from(self.reader.stream_ended());
                exchanged.broke_off(&trouble, self.can_resume(&trouble));
                return Err(trouble);
            }
            if let Some(onlookers) = &mut self.onlookers {
                onlookers.see(&self.buffer.room[..n]);
            }
            let mut n_used = 0;
            while n_used < n {
                let (used, item) = self.reader.feed(&self.buffer.room[n_used..n])?;
                n_used += used;
                match item {
                    Some(Item::Reply(reply)) => {
                        exchanged.came(&timing, n, &self.reader);
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
            exchanged.came(&timing, n, &self.reader);
        }
    }

    fn can_resume(&self, trouble: &Trouble) -> bool {
        is_early_end(trouble) && self.reader.last_event_id().is_some()
    }

    /// Reads what follows the final answer, so that the connection can be used
    /// again. A server that leaves the stream open costs the connection.
    /// `took` is how long the answer took.
    fn drain(&mut self, mut answer: Response, took: Duration) {
        let wait = if self.n_left_open_in_a_row >= LEFT_OPEN_BY_DESIGN {
            Duration::ZERO
        } else {
            took.saturating_mul(2)
                .clamp(STREAM_END_WAIT, STREAM_END_WAIT_MAX)
        };
        answer.set_deadline(crate::clock::now() + wait);
        let is_left_open = loop {
            match answer.read(self.buffer.spare(CHUNK_BYTES)) {
                Ok(0) => break false,
                // Content that is coded is not text.
                Ok(n) => self.search_spare(n),
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

/// The stream ended, one way or the other, and its answer had not come.
fn is_early_end(trouble: &Trouble) -> bool {
    matches!(
        trouble,
        Trouble::Failed {
            failure: Failure::Protocol(ProtocolFailure::StreamEnded | ProtocolFailure::ClosedEarly),
            ..
        }
    )
}

/// Who sees what comes on a lane, beside the reader: there is none on most.
#[derive(Debug, Default)]
struct Onlookers {
    /// A copy of the beginning, for a probe or a trial.
    recorded: Option<Vec<u8>>,
    /// Looks for other users' markers.
    search: Option<MarkerSearch>,
}

impl Onlookers {
    fn see(&mut self, bytes: &[u8]) {
        if let Some(recorded) = &mut self.recorded {
            let room = RECORDED_BYTES_MAX.saturating_sub(recorded.len());
            recorded.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        if let Some(search) = &mut self.search {
            search.feed(bytes);
        }
    }
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

fn session_id(answer: &Response) -> Result<Option<HeaderValue>, ProtocolFault> {
    let id = read_session_id(answer.header_values(SESSION_ID.as_str()))?;
    // What HTTP let pass in an answer, it lets pass in a request.
    Ok(id.and_then(|id| HeaderValue::from_bytes(id).ok()))
}

fn body_kind(answer: &Response) -> BodyKind {
    answer
        .content_type()
        .map_or(BodyKind::Other, BodyKind::from_content_type)
}

fn header_text(value: Option<&[u8]>) -> Option<String> {
    Some(std::str::from_utf8(value?).ok()?.to_string())
}

/// A body that is not an answer, as the JSON that it is, or as a text.
fn as_json(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
    let is_empty = text.trim().is_empty();
    (!is_empty).then(|| match is_json {
        true => text.into_owned(),
        false => serde_json::Value::from(text).to_string(),
    })
}
