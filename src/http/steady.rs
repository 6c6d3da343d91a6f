//! The steady exchange: a request and its answer on a connection that ureq
//! opened and keeps, without the work that ureq does anew for each request.
//!
//! A load test sends the same head millions of times. ureq makes a header map
//! of it, moves it through a dozen states, makes another map of the answer's
//! head, and asks the clock at each step: about 13,000 instructions a call,
//! against a tenth of that here. So the head is rendered once
//! ([`RequestHead`]), written before the body into the connection's own output
//! buffer, and of the answer's head just that is read which says where the body
//! ends. ureq opens connections (TLS among it), does the first exchange on each,
//! and all whose head was not rendered; whatever cannot be done here is left to
//! it before any byte is sent.
//!
//! This file knows ureq's `Transport` and no socket; `framing.rs` knows the
//! bytes. It does not know MCP.

use std::sync::Arc;

use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use ureq::unversioned::transport::NextTimeout;

use super::exchange::{Exchange, Stop};
use super::failure::{HttpFailure, HttpFailureKind};
use super::framing::{
    Body, FramingFault, HEAD_BYTES_MAX, Head, Span, header_value, header_values, read_head,
};
use super::kept::{Kept, Place};

/// The decimal digits of the largest length, and the two line ends after it.
const LENGTH_BYTES_MAX: usize = 20 + 4;

/// What stands before the cookies.
const COOKIE: &[u8] = b"\r\ncookie: ";

/// The head of a POST or DELETE, rendered once for many.
#[derive(Debug, Clone)]
pub struct RequestHead {
    method: Method,
    /// Of a request with a body up to and with `content-length: `; `None` where
    /// ureq has to render it.
    rendered: Option<Arc<[u8]>>,
    /// The name of the header whose value differs from request to request.
    varying: HeaderName,
}

impl RequestHead {
    /// The head of a request to `uri` with these headers, but for `varying`, whose
    /// value differs from request to request. A URL or headers that have a say
    /// in the connection or the framing are left to ureq.
    pub(super) fn new(method: Method, uri: &Uri, headers: &HeaderMap, varying: HeaderName) -> Self {
        const NOT_HERE: [&str; 7] = [
            "host",
            "connection",
            "content-length",
            "expect",
            "te",
            "transfer-encoding",
            "upgrade",
        ];
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let is_plain = !authority.contains('@')
            && path.starts_with('/')
            && NOT_HERE.iter().all(|name| !headers.contains_key(*name));
        if !is_plain {
            return Self {
                method,
                rendered: None,
                varying,
            };
        }
        let mut head = Vec::with_capacity(512);
        for part in [method.as_str(), " ", path, " HTTP/1.1\r\nhost: ", authority] {
            head.extend_from_slice(part.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        for (name, value) in headers.iter().filter(|(name, _)| **name != varying) {
            write_header(&mut head, name, value);
        }
        if method == Method::POST {
            head.extend_from_slice(b"content-length: ");
        } else {
            // The line end before what follows.
            head.truncate(head.len() - 2);
        }
        Self {
            method,
            rendered: Some(head.into()),
            varying,
        }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }
}

fn write_header(head: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        head.extend_from_slice(part);
    }
}

/// A request as the steady exchange sends it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rendered<'a> {
    pub(super) head: &'a RequestHead,
    /// The value of the varying header; without one it is left out.
    pub(super) varying: Option<&'a HeaderValue>,
    /// The user's cookies, where it keeps any that belong here.
    pub(super) cookie: Option<&'a HeaderValue>,
    pub(super) body: &'a [u8],
}

/// Sends a request on the client's idle connection and reads the answer's head.
/// `None`, and nothing was sent, where it is ureq's turn: there is no such
/// connection, or the request is not one for here.
pub(super) fn send(
    request: &Rendered<'_>,
    exchange: &Arc<Exchange>,
    place: &Arc<Place>,
) -> Option<Result<SteadyAnswer, HttpFailure>> {
    let rendered = request.head.rendered.as_deref()?;
    let mut kept = place.take()?;
    if !kept.transport.is_open() {
        return None;
    }
    let Some(n_written) = write(rendered, request, kept.transport.buffers().output()) else {
        // Too long for one write: ureq sends it in pieces.
        place.put(kept);
        return None;
    };
    let sent = kept
        .transport
        .transmit_output(n_written, NextTimeout::default());
    if let Err(error) = sent {
        return Some(Err(HttpFailure::new(&error, exchange)));
    }
    Some(read_answer_head(&mut kept, exchange).map(|head| {
        if !head.keeps_alive {
            exchange.peer_ends();
        }
        SteadyAnswer {
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
            kept: Some(kept),
            place: Arc::clone(place),
        }
    }))
}

/// Writes head and body; `None` where there is no room for them.
fn write(rendered: &[u8], request: &Rendered<'_>, output: &mut [u8]) -> Option<usize> {
    let name = request.head.varying.as_str().as_bytes();
    let value = request.varying.map(HeaderValue::as_bytes);
    let n_varying = value.map_or(0, |value| name.len() + value.len() + 4);
    let cookie = request.cookie.map(HeaderValue::as_bytes);
    let n_cookie = cookie.map_or(0, |value| COOKIE.len() + value.len());
    let n_needed = rendered.len() + LENGTH_BYTES_MAX + n_varying + n_cookie + request.body.len();
    if output.len() < n_needed {
        return None;
    }
    let mut at = 0;
    let mut put = |part: &[u8]| {
        output[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    put(rendered);
    if request.head.method == Method::POST {
        put(decimal(request.body.len(), &mut [0; 20]));
    }
    if let Some(value) = value {
        for part in [b"\r\n", name, b": ", value] {
            put(part);
        }
    }
    if let Some(value) = cookie {
        put(COOKIE);
        put(value);
    }
    put(b"\r\n\r\n");
    put(request.body);
    Some(at)
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
fn read_answer_head(kept: &mut Kept, exchange: &Exchange) -> Result<Head, HttpFailure> {
    loop {
        let input = kept.transport.buffers().input();
        let head = read_head(input).map_err(not_http)?;
        let too_large = match head {
            Some(head) => head.n_bytes > HEAD_BYTES_MAX,
            None => input.len() > HEAD_BYTES_MAX,
        };
        if too_large {
            return Err(not_http(FramingFault("the answer's headers are too large")));
        }
        match head {
            Some(head) => {
                kept.head.clear();
                kept.head.extend_from_slice(&input[..head.n_bytes]);
                kept.transport.buffers().input_consume(head.n_bytes);
                let is_final = !(100..200).contains(&head.status) || head.status == 101;
                if is_final {
                    return Ok(head);
                }
            }
            None => match kept.transport.await_input(NextTimeout::default()) {
                Ok(true) => {}
                Ok(false) => return Err(HttpFailure::closed(exchange)),
                Err(error) => return Err(HttpFailure::new(&error, exchange)),
            },
        }
    }
}

fn not_http(fault: FramingFault) -> HttpFailure {
    HttpFailure {
        kind: HttpFailureKind::BadHttp,
        message: fault.0.to_string(),
    }
}

/// An answer whose body is still to be read. Dropping it before the end closes
/// the connection.
pub(super) struct SteadyAnswer {
    pub(super) status: u16,
    content_type: Span,
    content_encoding: Span,
    pub(super) sets_cookie: bool,
    /// Of the whole body, where the head told it.
    length: Option<u64>,
    /// What is left of it.
    body: Body,
    keeps_alive: bool,
    /// `None` once the body has ended and the connection was put back.
    kept: Option<Box<Kept>>,
    place: Arc<Place>,
}

impl SteadyAnswer {
    /// The value of `Content-Type`.
    pub(super) fn content_type(&self) -> Option<&[u8]> {
        self.content_type.within(&self.kept.as_ref()?.head)
    }

    /// The value of `Content-Encoding`.
    pub(super) fn content_encoding(&self) -> Option<&[u8]> {
        self.content_encoding.within(&self.kept.as_ref()?.head)
    }

    /// The value of the first header of that name.
    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        header_value(&self.kept.as_ref()?.head, name)
    }

    /// The values of all headers of that name.
    pub(super) fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let head = self.kept.as_ref().map(|kept| kept.head.as_slice());
        head.map_or_else(Vec::new, |head| header_values(head, name))
    }

    /// The body's length, where the head told it.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// Reads more of the body; 0 at its end.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        exchange: &Exchange,
    ) -> Result<usize, HttpFailure> {
        let Some(kept) = &mut self.kept else {
            return Ok(0);
        };
        loop {
            if self.body.is_ended() {
                self.end();
                return Ok(0);
            }
            let buffers = kept.transport.buffers();
            let (n_used, n_filled) = self.body.read(buffers.input(), buffer).map_err(not_http)?;
            buffers.input_consume(n_used);
            if n_filled > 0 || buffer.is_empty() {
                return Ok(n_filled);
            }
            // The end of the last chunk is no content.
            if self.body.is_ended() {
                continue;
            }
            match kept.transport.await_input(NextTimeout::default()) {
                Ok(true) => {}
                // The close is the end of a body without a length, but a reset
                // is none.
                Ok(false) if self.body == Body::ToEnd && exchange.stop() != Stop::Reset => {
                    self.kept = None;
                    return Ok(0);
                }
                Ok(false) => return Err(HttpFailure::closed(exchange)),
                Err(error) => return Err(HttpFailure::new(&error, exchange)),
            }
        }
    }

    /// The body has ended: the connection is free for the next exchange, or
    /// closed. Bytes that nobody asked for make it unusable.
    fn end(&mut self) {
        if let Some(mut kept) = self.kept.take()
            && self.keeps_alive
            && kept.transport.buffers().input().is_empty()
            && kept.transport.is_open()
        {
            self.place.put(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn written(request: &Rendered<'_>, room: usize) -> Option<String> {
        let mut output = vec![0; room];
        let n = write(request.head.rendered.as_deref()?, request, &mut output)?;
        Some(String::from_utf8_lossy(&output[..n]).into_owned())
    }

    #[test]
    fn a_post_is_written_in_one_piece() {
        let session = HeaderName::from_static("mcp-session-id");
        let uri: Uri = "http://127.0.0.1:8080/mcp?x=1".parse().expect("a URI");
        let list = headers(&[("accept", "*/*"), ("mcp-session-id", "-")]);
        let head = RequestHead::new(Method::POST, &uri, &list, session.clone());
        let value = HeaderValue::from_static("abc");
        let mut request = Rendered {
            head: &head,
            varying: Some(&value),
            cookie: None,
            body: b"{}",
        };
        assert_eq!(
            written(&request, 1024).as_deref(),
            Some(
                "POST /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\
                 content-length: 2\r\nmcp-session-id: abc\r\n\r\n{}"
            )
        );
        assert_eq!(written(&request, 100), None, "no room");
        let cookies = HeaderValue::from_static("a=1; b=2");
        request.cookie = Some(&cookies);
        assert!(
            written(&request, 1024)
                .is_some_and(|text| text.ends_with("id: abc\r\ncookie: a=1; b=2\r\n\r\n{}"))
        );
        request.cookie = None;
        request.varying = None;
        assert!(written(&request, 1024).is_some_and(|text| text.ends_with("length: 2\r\n\r\n{}")));
        let head = RequestHead::new(Method::DELETE, &uri, &list, session);
        let request = Rendered {
            head: &head,
            varying: Some(&value),
            cookie: None,
            body: b"",
        };
        assert_eq!(
            written(&request, 1024).as_deref(),
            Some(
                "DELETE /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\
                 mcp-session-id: abc\r\n\r\n"
            )
        );
    }

    #[test]
    fn what_has_a_say_in_framing_is_left_to_ureq() {
        let session = HeaderName::from_static("mcp-session-id");
        let check = |uri: &str, list: &[(&'static str, &'static str)], is_rendered| {
            let uri = uri.parse().expect("a URI");
            let head = RequestHead::new(Method::POST, &uri, &headers(list), session.clone());
            assert_eq!(head.rendered.is_some(), is_rendered, "{uri} {list:?}");
        };
        check("http://h/mcp", &[("x", "y")], true);
        check("http://user:password@h/mcp", &[], false);
        check("http://h/mcp", &[("host", "other")], false);
        check("http://h/mcp", &[("connection", "close")], false);
        check("http://h?x", &[], false);
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 9, 10, 12_345, usize::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
