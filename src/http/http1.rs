//! HTTP/1.1 on an open connection: a request goes out, its answer comes in.
//!
//! A load test sends the same head millions of times. So it is rendered once
//! ([`RequestHead`]), written before the body into the connection's own output
//! buffer, and of the answer's head just that is read which says where the body
//! ends. All exchanges are made here, the first of a connection like those after
//! it: one reader judges what is an answer.
//!
//! This file knows ureq's `Transport`, which may be TLS, and no socket;
//! `framing.rs` knows the bytes. It does not know MCP.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ureq::http::header::HOST;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use ureq::unversioned::transport::{NextTimeout, Transport};

use super::exchange::{Exchange, Stop, Timing};
use super::failure::{HttpFailure, HttpFailureKind};
use super::framing::{
    Body, FramingFault, HEAD_BYTES_MAX, Head, Span, header_value, header_values, read_head, unfold,
};
use super::transport::after_decoding;
use crate::scheduler::Wake;

/// A connection that is in order, with the buffer for an answer's head, which
/// is used again.
pub(super) struct Connection {
    transport: Box<dyn Transport>,
    head: Vec<u8>,
}

impl Connection {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        Self {
            transport,
            head: Vec::new(),
        }
    }

    /// It can serve another exchange, as far as is known.
    pub(super) fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }
}

/// Where a client's connection lies between two exchanges.
pub(super) type Idle = Rc<Cell<Option<Box<Connection>>>>;

/// Headers that say where a connection leads or a request ends: they are not the
/// caller's to set.
const FRAMING_HEADERS: [&str; 7] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The head of a request, rendered once for many.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// Of a POST up to and with `content-length: `, else up to the line end
    /// before what follows; then, from `n_fixed` on, that line end and the name
    /// of the header whose value differs from request to request.
    rendered: Arc<[u8]>,
    n_fixed: usize,
    has_body: bool,
}

impl RequestHead {
    /// The head of a request to `uri` with these headers, but for `varying`, whose
    /// value differs from request to request. Those that have a say in the
    /// framing are left out; `Host` is the URL's unless it is among them.
    pub(super) fn new(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        varying: HeaderName,
    ) -> Self {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit('@').next().unwrap_or_default();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut head = Vec::with_capacity(512);
        for part in [method.as_str(), " ", slash, path, " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        let host = headers
            .get(HOST)
            .map_or(host.as_bytes(), HeaderValue::as_bytes);
        write_header(&mut head, &HOST, host);
        for (name, value) in headers {
            let is_ours = *name == HOST || FRAMING_HEADERS.contains(&name.as_str());
            if !is_ours && *name != varying {
                write_header(&mut head, name, value.as_bytes());
            }
        }
        let has_body = *method == Method::POST;
        if has_body {
            head.extend_from_slice(b"content-length: ");
        } else {
            // The line end before what follows.
            head.truncate(head.len() - 2);
        }
        let n_fixed = head.len();
        for part in [b"\r\n", varying.as_str().as_bytes(), b": "] {
            head.extend_from_slice(part);
        }
        Self {
            rendered: head.into(),
            n_fixed,
            has_body,
        }
    }
}

fn write_header(head: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        head.extend_from_slice(part);
    }
}

/// A request that is to be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) head: &'a RequestHead,
    /// The value of the varying header; without one it is left out.
    pub(super) varying: Option<&'a HeaderValue>,
    /// The user's cookies, where it keeps any that belong here.
    pub(super) cookie: Option<&'a HeaderValue>,
    pub(super) body: &'a [u8],
}

/// Sends a request and reads the answer's head.
///
/// # Errors
/// When no complete head came: see [`HttpFailureKind`].
pub(super) fn send(
    request: &Outgoing<'_>,
    mut connection: Box<Connection>,
    exchange: &Arc<Exchange>,
    idle: &Idle,
) -> Result<Answer, HttpFailure> {
    write(request, &mut *connection.transport)
        .map_err(|error| HttpFailure::new(&error, exchange))?;
    let head = read_answer_head(&mut connection, exchange)?;
    if !head.keeps_alive {
        exchange.peer_ends();
    }
    Ok(Answer {
        status: head.status,
        content_type: head.content_type,
        content_encoding: head.content_encoding,
        sets_cookie: head.sets_cookie,
        length: match head.body {
            Body::Length(length) => Some(length),
            Body::Chunked(_) | Body::ToEnd => None,
        },
        body: head.body,
        keeps_alive: head.keeps_alive,
        connection: Some(connection),
        exchange: Arc::clone(exchange),
        idle: Rc::clone(idle),
    })
}

/// Hands over head and body: at once where they fit the output buffer, as they
/// nearly always do, else piece by piece.
fn write(request: &Outgoing<'_>, transport: &mut dyn Transport) -> Result<(), ureq::Error> {
    let mut room = transport.buffers().output();
    let n_room = room.len();
    let mut put = |part: &[u8]| {
        let (now, later) = std::mem::take(&mut room).split_at_mut_checked(part.len())?;
        now.copy_from_slice(part);
        room = later;
        Some(())
    };
    match put_head(request, &mut put).and_then(|()| put(request.body)) {
        Some(()) => {
            let n_filled = n_room - room.len();
            transport.transmit_output(n_filled, NextTimeout::default())
        }
        None => write_in_pieces(request, transport),
    }
}

/// Hands a request's head to `put`, part by part, until it gives `None`. What is
/// fixed is one part, since each costs a copy of its own.
#[inline]
fn put_head(request: &Outgoing<'_>, put: &mut impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
    let (fixed, varying) = request.head.rendered.split_at(request.head.n_fixed);
    put(fixed)?;
    if request.head.has_body {
        put(decimal(request.body.len(), &mut [0; 20]))?;
    }
    if let Some(value) = request.varying {
        put(varying)?;
        put(value.as_bytes())?;
    }
    if let Some(cookies) = request.cookie {
        put(b"\r\ncookie: ")?;
        put(cookies.as_bytes())?;
    }
    put(b"\r\n\r\n")
}

#[cold]
#[inline(never)]
fn write_in_pieces(
    request: &Outgoing<'_>,
    transport: &mut dyn Transport,
) -> Result<(), ureq::Error> {
    let mut head = Vec::new();
    put_head(request, &mut |part| {
        head.extend_from_slice(part);
        Some(())
    });
    let mut n_filled = 0;
    for mut part in [&head, request.body] {
        while !part.is_empty() {
            let room = &mut transport.buffers().output()[n_filled..];
            if room.is_empty() {
                transport.transmit_output(n_filled, NextTimeout::default())?;
                n_filled = 0;
                continue;
            }
            let (now, later) = part.split_at(part.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            n_filled += now.len();
            part = later;
        }
    }
    transport.transmit_output(n_filled, NextTimeout::default())
}

fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        // Less than ten.
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}

/// Awaits the head of the final answer; those before it (1xx) say nothing to
/// us (RFC 9110 section 15.2).
fn read_answer_head(connection: &mut Connection, exchange: &Exchange) -> Result<Head, HttpFailure> {
    connection.head.clear();
    loop {
        if let Some(head) = take_head(connection).map_err(not_http)? {
            let is_final = !(100..200).contains(&head.status) || head.status == 101;
            if is_final {
                return Ok(head);
            }
            connection.head.clear();
            continue;
        }
        match connection.transport.await_input(NextTimeout::default()) {
            Ok(true) => {}
            Ok(false) => return Err(HttpFailure::closed(exchange)),
            Err(error) => return Err(HttpFailure::new(&error, exchange)),
        }
    }
}

/// Takes a head out of the input, as far as it has come, and keeps its bytes. One
/// that comes in pieces is looked at again only where a line has ended since, so
/// that it cannot cost a look for each of its bytes.
fn take_head(connection: &mut Connection) -> Result<Option<Head>, FramingFault> {
    let buffers = connection.transport.buffers();
    let input = buffers.input();
    let kept = &mut connection.head;
    let n_before = kept.len();
    let n_most = HEAD_BYTES_MAX + 1 - n_before;
    let mut n_taken = input.len().min(n_most);
    let found = if n_before == 0 {
        let found = read_head(&input[..n_taken])?;
        n_taken = found.map_or(n_taken, |head| head.n_bytes);
        kept.extend_from_slice(&input[..n_taken]);
        found
    } else {
        let piece = &input[..n_taken];
        kept.extend_from_slice(piece);
        let found = match piece.contains(&b'\n') {
            true => read_head(kept)?,
            false => None,
        };
        if let Some(head) = found {
            kept.truncate(head.n_bytes);
            n_taken = head.n_bytes - n_before;
        }
        found
    };
    if kept.len() > HEAD_BYTES_MAX {
        return Err(FramingFault("the answer's headers are too large"));
    }
    buffers.input_consume(n_taken);
    if found.is_some_and(|head| head.is_folded) {
        unfold(kept);
    }
    Ok(found)
}

fn not_http(fault: FramingFault) -> HttpFailure {
    HttpFailure {
        kind: HttpFailureKind::BadHttp,
        message: fault.0.to_string(),
    }
}

/// The head of an answer, and its body still to be read. Dropping it before the
/// end closes the connection.
pub struct Answer {
    /// The status code.
    pub status: u16,
    content_type: Span,
    content_encoding: Span,
    sets_cookie: bool,
    /// Of the whole body, where the head told it.
    length: Option<u64>,
    /// What is left of it.
    body: Body,
    keeps_alive: bool,
    /// `None` once the body has ended and the connection was put back, or it was
    /// given up.
    connection: Option<Box<Connection>>,
    exchange: Arc<Exchange>,
    idle: Idle,
}

impl Answer {
    /// The value of `Content-Type`; to be asked before the body is read to its
    /// end.
    pub fn content_type(&self) -> Option<&[u8]> {
        self.content_type.within(&self.connection.as_ref()?.head)
    }

    /// The value of `Content-Encoding`; to be asked before the body is read to
    /// its end.
    pub fn content_encoding(&self) -> Option<&[u8]> {
        self.content_encoding
            .within(&self.connection.as_ref()?.head)
    }

    /// Whether it has a `Set-Cookie` header.
    pub fn sets_cookie(&self) -> bool {
        self.sets_cookie
    }

    /// The values of all headers of that name; to be asked before the body is
    /// read to its end.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let connection = self.connection.as_ref();
        connection.map_or_else(Vec::new, |connection| header_values(&connection.head, name))
    }

    /// The value of the first header of that name; to be asked before the body
    /// is read to its end.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        header_value(&self.connection.as_ref()?.head, name)
    }

    /// The body's length, where the head tells it.
    pub fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// Reads more of the body; 0 at its end, after which the connection is
    /// free for the next exchange.
    ///
    /// # Errors
    /// When the connection dies, the deadline comes, or the framing is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, HttpFailure> {
        let exchange = &self.exchange;
        let Some(connection) = &mut self.connection else {
            return Ok(0);
        };
        loop {
            if self.body.is_ended() {
                self.end();
                return Ok(0);
            }
            let buffers = connection.transport.buffers();
            let (n_used, n_filled) = self.body.read(buffers.input(), buffer).map_err(not_http)?;
            buffers.input_consume(n_used);
            if n_filled > 0 || buffer.is_empty() {
                return Ok(n_filled);
            }
            // The end of the last chunk is no content.
            if self.body.is_ended() {
                continue;
            }
            match connection.transport.await_input(NextTimeout::default()) {
                Ok(true) => {}
                // The close is the end of a body without a length, but a reset
                // is none.
                Ok(false) if self.body == Body::ToEnd && exchange.stop() != Stop::Reset => {
                    self.connection = None;
                    return Ok(0);
                }
                Ok(false) => return Err(HttpFailure::closed(exchange)),
                Err(error) => return Err(HttpFailure::new(&error, exchange)),
            }
        }
    }

    /// What was read became so many bytes of content: lets others run where that
    /// was much.
    ///
    /// # Errors
    /// When the run or the exchange's time has ended meanwhile.
    pub fn decoded(&mut self, n_bytes: usize) -> Result<(), HttpFailure> {
        let stop = match after_decoding(&self.exchange, n_bytes) {
            Wake::Ready => return Ok(()),
            Wake::Deadline => Stop::Timeout,
            Wake::Cancelled => Stop::Cancelled,
        };
        self.exchange.set_stop(stop);
        self.connection = None;
        Err(HttpFailure::stopped(&self.exchange))
    }

    /// The body has ended: the connection is free for the next exchange, or
    /// closed. Bytes that nobody asked for make it unusable.
    fn end(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && self.keeps_alive
            && connection.transport.buffers().input().is_empty()
            && connection.is_open()
        {
            self.idle.set(Some(connection));
        }
    }

    /// Moves the deadline, for what is read after the answer proper.
    pub fn set_deadline(&self, deadline: Instant) {
        self.exchange.set_deadline(deadline);
    }

    /// When the bytes went and came so far.
    pub fn timing(&self) -> Timing {
        self.exchange.timing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::unversioned::transport::{Buffers, LazyBuffers};

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    /// What is written through an output buffer of that size.
    fn written(request: &Outgoing<'_>, room: usize) -> String {
        #[derive(Debug)]
        struct Wire(LazyBuffers, Vec<u8>);
        impl Transport for Wire {
            fn buffers(&mut self) -> &mut dyn Buffers {
                &mut self.0
            }
            fn transmit_output(&mut self, n: usize, _: NextTimeout) -> Result<(), ureq::Error> {
                self.1.extend_from_slice(&self.0.output()[..n]);
                Ok(())
            }
            fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
                Ok(false)
            }
            fn is_open(&mut self) -> bool {
                true
            }
        }
        let mut wire = Wire(LazyBuffers::new(1, room), Vec::new());
        write(request, &mut wire).expect("it takes all");
        String::from_utf8_lossy(&wire.1).into_owned()
    }

    #[test]
    fn a_request_is_written_through_any_buffer() {
        let session = HeaderName::from_static("mcp-session-id");
        let uri: Uri = "http://127.0.0.1:8080/mcp?x=1".parse().expect("a URI");
        let list = headers(&[("accept", "*/*"), ("mcp-session-id", "-")]);
        let value = HeaderValue::from_static("abc");
        let cookies = HeaderValue::from_static("a=1; b=2");
        let check = |method, varying: Option<&HeaderValue>, body: &[u8], expected: &str| {
            let head = RequestHead::new(&method, &uri, &list, session.clone());
            let request = Outgoing {
                head: &head,
                varying,
                cookie: varying.map(|_| &cookies),
                body,
            };
            for room in [1, 7, 100, 1024] {
                assert_eq!(written(&request, room), expected, "{room}");
            }
        };
        check(
            Method::POST,
            Some(&value),
            b"{}",
            "POST /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\
             content-length: 2\r\nmcp-session-id: abc\r\ncookie: a=1; b=2\r\n\r\n{}",
        );
        check(
            Method::POST,
            None,
            b"",
            "POST /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\
             content-length: 0\r\n\r\n",
        );
        check(
            Method::DELETE,
            Some(&value),
            b"",
            "DELETE /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\
             mcp-session-id: abc\r\ncookie: a=1; b=2\r\n\r\n",
        );
        check(
            Method::GET,
            None,
            b"",
            "GET /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\r\n",
        );
    }

    #[test]
    fn the_framing_is_not_the_callers() {
        let session = HeaderName::from_static("mcp-session-id");
        let check = |uri: &str, list: &[(&'static str, &'static str)], expected: &str| {
            let uri = uri.parse().expect("a URI");
            let head = RequestHead::new(&Method::GET, &uri, &headers(list), session.clone());
            let found = String::from_utf8_lossy(&head.rendered[..head.n_fixed]).into_owned();
            assert_eq!(found, expected, "{uri} {list:?}");
        };
        let plain = "GET /mcp HTTP/1.1\r\nhost: h";
        check("http://h/mcp", &[], plain);
        check("http://user:password@h/mcp", &[], plain);
        for name in FRAMING_HEADERS {
            check("http://h/mcp", &[(name, "5")], plain);
        }
        check(
            "http://h/mcp",
            &[("x", "y"), ("host", "other")],
            "GET /mcp HTTP/1.1\r\nhost: other\r\nx: y",
        );
        check("http://h?x", &[], "GET /?x HTTP/1.1\r\nhost: h");
        check("http://h", &[], "GET / HTTP/1.1\r\nhost: h");
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 12_345, usize::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
