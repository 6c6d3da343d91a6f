//! A request as three blocks of text. Only the last is new for each call.
//!
//! 1. [`RequestHead`]: the request line and what all requests of a plan have in
//!    common. It is rendered once.
//! 2. The user's [`HeaderLines`]: session id and cookies. They are rendered again
//!    when one of them changes.
//! 3. The call's [`HeaderLines`], the content length and the body.
//!
//! A load test sends the same head millions of times, so a request is copied block
//! by block into the connection's output buffer. This file knows ureq's `Transport`
//! and no socket. It does not know MCP.

use std::sync::Arc;
use std::time::Instant;

use ureq::http::header::{CONNECTION, HOST, PROXY_AUTHORIZATION};
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use ureq::unversioned::transport::{NextTimeout, Transport};

use crate::network::Proxy;

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

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What all requests of this method have in common.
    pub head: &'a RequestHead,
    /// What one user adds.
    pub user: &'a HeaderLines,
    /// What this request adds.
    pub call: &'a HeaderLines,
    /// The body; empty for `GET` and `DELETE`.
    pub body: &'a [u8],
    /// When it must have been answered, to the last byte that is read.
    pub deadline: Instant,
}

/// The request line and the headers that all requests have in common.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// Each line with its end.
    lines: Arc<[u8]>,
    has_body: bool,
}

impl RequestHead {
    /// The head of a request to `uri` with these headers. Those that have a say in
    /// the framing are left out; `Host` is the URL's unless it is among them. To a proxy
    /// that passes it on it names the whole URL (RFC 9112 section 3.2.2).
    pub(super) fn new(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        proxy: Option<&Proxy>,
        says_close: bool,
    ) -> Self {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit('@').next().unwrap_or_default();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut lines = Vec::with_capacity(512);
        let (scheme, origin) = match proxy {
            Some(_) => ("http://", host),
            None => ("", ""),
        };
        for part in [
            method.as_str(),
            " ",
            scheme,
            origin,
            slash,
            path,
            " HTTP/1.1\r\n",
        ] {
            lines.extend_from_slice(part.as_bytes());
        }
        let host = headers
            .get(HOST)
            .map_or(host.as_bytes(), HeaderValue::as_bytes);
        write_line(&mut lines, &HOST, host);
        for (name, value) in headers {
            if *name != HOST && !FRAMING_HEADERS.contains(&name.as_str()) {
                write_line(&mut lines, name, value.as_bytes());
            }
        }
        if let Some(credentials) = proxy.and_then(Proxy::authorization) {
            write_line(&mut lines, &PROXY_AUTHORIZATION, credentials.as_bytes());
        }
        if says_close {
            write_line(&mut lines, &CONNECTION, b"close");
        }
        Self {
            lines: lines.into(),
            has_body: *method == Method::POST,
        }
    }
}

/// Headers as they are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderLines(Vec<u8>);

impl HeaderLines {
    /// Appends a header, which must not be one that says how a request is framed.
    pub fn push(&mut self, name: &HeaderName, value: &HeaderValue) {
        debug_assert!(!FRAMING_HEADERS.contains(&name.as_str()));
        write_line(&mut self.0, name, value.as_bytes());
    }
}

fn write_line(lines: &mut Vec<u8>, name: &HeaderName, value: &[u8]) {
    for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
        lines.extend_from_slice(part);
    }
}

impl Request<'_> {
    /// Hands over head and body: at once where they fit the output buffer, as they
    /// nearly always do, else piece by piece.
    pub(super) fn write(&self, transport: &mut dyn Transport) -> Result<(), ureq::Error> {
        let mut room = transport.buffers().output();
        let n_room = room.len();
        let mut put = |part: &[u8]| {
            let (now, later) = std::mem::take(&mut room).split_at_mut_checked(part.len())?;
            now.copy_from_slice(part);
            room = later;
            Some(())
        };
        match self.put_head(&mut put).and_then(|()| put(self.body)) {
            Some(()) => {
                let n_filled = n_room - room.len();
                transport.transmit_output(n_filled, NextTimeout::default())
            }
            None => self.write_in_pieces(transport),
        }
    }

    /// Hands the head to `put`, part by part, until it gives `None`. Each part costs
    /// a copy of its own, so there are few.
    #[inline]
    fn put_head(&self, put: &mut impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
        put(&self.head.lines)?;
        if !self.user.0.is_empty() {
            put(&self.user.0)?;
        }
        if !self.call.0.is_empty() {
            put(&self.call.0)?;
        }
        match self.head.has_body {
            true => put(end_with_length(self.body.len(), &mut [0; END_BYTES_MAX])),
            false => put(b"\r\n"),
        }
    }

    #[cold]
    #[inline(never)]
    fn write_in_pieces(&self, transport: &mut dyn Transport) -> Result<(), ureq::Error> {
        let mut head = Vec::new();
        self.put_head(&mut |part| {
            head.extend_from_slice(part);
            Some(())
        });
        let mut n_filled = 0;
        for mut part in [&head, self.body] {
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
}

const LENGTH_NAME: &[u8] = b"content-length: ";
const HEAD_END: &[u8] = b"\r\n\r\n";
/// No number of 64 bits has more than 20 digits.
const END_BYTES_MAX: usize = LENGTH_NAME.len() + 20 + HEAD_END.len();

/// The last lines of a head, written from the end of `room` backwards.
fn end_with_length(mut n_bytes: usize, room: &mut [u8; END_BYTES_MAX]) -> &[u8] {
    let mut at = END_BYTES_MAX - HEAD_END.len();
    room[at..].copy_from_slice(HEAD_END);
    loop {
        at -= 1;
        // Less than ten.
        room[at] = b'0' + (n_bytes % 10) as u8;
        n_bytes /= 10;
        if n_bytes == 0 {
            break;
        }
    }
    let start = at - LENGTH_NAME.len();
    room[start..at].copy_from_slice(LENGTH_NAME);
    &room[start..]
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

    fn lines(list: &[(&'static str, &'static str)]) -> HeaderLines {
        let mut lines = HeaderLines::default();
        for (name, value) in list {
            lines.push(
                &HeaderName::from_static(name),
                &HeaderValue::from_static(value),
            );
        }
        lines
    }

    /// What is written through an output buffer of that size.
    fn written(request: &Request<'_>, room: usize) -> String {
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
        request.write(&mut wire).expect("it takes all");
        String::from_utf8_lossy(&wire.1).into_owned()
    }

    #[test]
    fn a_request_is_written_through_any_buffer() {
        let uri: Uri = "http://127.0.0.1:8080/mcp?x=1".parse().expect("a URI");
        let common = headers(&[("accept", "*/*")]);
        let nothing = HeaderLines::default();
        let user = lines(&[("mcp-session-id", "abc"), ("cookie", "a=1; b=2")]);
        let call = lines(&[("mcp-name", "x")]);
        let check = |method, user: &HeaderLines, call, body: &[u8], expected: &str| {
            let request = Request {
                head: &RequestHead::new(&method, &uri, &common, None, false),
                user,
                call,
                body,
                deadline: Instant::now(),
            };
            for room in [1, 7, 100, 1024] {
                assert_eq!(written(&request, room), expected, "{room}");
            }
        };
        check(
            Method::POST,
            &user,
            &call,
            b"{}",
            "POST /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\
             mcp-session-id: abc\r\ncookie: a=1; b=2\r\nmcp-name: x\r\n\
             content-length: 2\r\n\r\n{}",
        );
        check(
            Method::POST,
            &nothing,
            &nothing,
            b"",
            "POST /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\
             content-length: 0\r\n\r\n",
        );
        check(
            Method::DELETE,
            &user,
            &nothing,
            b"",
            "DELETE /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\
             mcp-session-id: abc\r\ncookie: a=1; b=2\r\n\r\n",
        );
        check(
            Method::GET,
            &nothing,
            &nothing,
            b"",
            "GET /mcp?x=1 HTTP/1.1\r\nhost: 127.0.0.1:8080\r\naccept: */*\r\n\r\n",
        );
    }

    #[test]
    fn a_proxy_is_told_the_whole_url() {
        let uri = "http://h:81/mcp?x".parse().expect("a URI");
        let proxy = Proxy::parse("http://a:b@p:1").expect("a proxy");
        let head = RequestHead::new(&Method::GET, &uri, &headers(&[]), Some(&proxy), true);
        assert_eq!(
            String::from_utf8_lossy(&head.lines),
            "GET http://h:81/mcp?x HTTP/1.1\r\nhost: h:81\r\n\
             proxy-authorization: Basic YTpi\r\nconnection: close\r\n"
        );
    }

    #[test]
    fn the_framing_is_not_the_callers() {
        let check = |uri: &str, list: &[(&'static str, &'static str)], expected: &str| {
            let uri = uri.parse().expect("a URI");
            let head = RequestHead::new(&Method::GET, &uri, &headers(list), None, false);
            let found = String::from_utf8_lossy(&head.lines).into_owned();
            assert_eq!(found, expected, "{uri} {list:?}");
        };
        let plain = "GET /mcp HTTP/1.1\r\nhost: h\r\n";
        check("http://h/mcp", &[], plain);
        check("http://user:password@h/mcp", &[], plain);
        for name in FRAMING_HEADERS {
            check("http://h/mcp", &[(name, "5")], plain);
        }
        check(
            "http://h/mcp",
            &[("x", "y"), ("host", "other")],
            "GET /mcp HTTP/1.1\r\nhost: other\r\nx: y\r\n",
        );
        check("http://h?x", &[], "GET /?x HTTP/1.1\r\nhost: h\r\n");
        check("http://h", &[], "GET / HTTP/1.1\r\nhost: h\r\n");
    }

    #[test]
    fn lengths_are_written_in_decimal() {
        for n_bytes in [0, 9, 10, 12_345, usize::MAX] {
            let expected = format!("content-length: {n_bytes}\r\n\r\n");
            let found = end_with_length(n_bytes, &mut [0; END_BYTES_MAX]).to_vec();
            assert_eq!(String::from_utf8_lossy(&found), expected);
        }
    }
}
