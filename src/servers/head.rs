//! The head of a request, as far as both servers need it: where it ends, how it
//! is parsed, and how its body is framed.
//!
//! Pure: it knows no socket and no MCP.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Status};

/// The largest head (request line and headers) that is read, in bytes.
pub(super) const HEAD_MAX: usize = 64 * 1024;
/// The most headers that are read.
const N_HEADERS_MAX: usize = 256;

/// Why a request is not read further. The connection ends with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HttpRefusal {
    pub(super) status: u16,
    pub(super) text: &'static str,
}

pub(super) const fn refuse<T>(status: u16, text: &'static str) -> Result<T, HttpRefusal> {
    Err(HttpRefusal { status, text })
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// After this number of bytes.
    Length(usize),
    /// After a chunk of size 0 and the trailers.
    Chunked,
}

/// The length of the head, with the blank line, if that is there. `scanned`
/// bytes were searched before.
pub(super) fn find_head_end(input: &[u8], scanned: usize) -> Option<usize> {
    // The end may have begun in the bytes that were searched before.
    let from = scanned.saturating_sub(3);
    let mut at = from;
    while let Some(found) = input[at..].iter().position(|byte| *byte == b'\n') {
        let line_end = at + found;
        match &input[line_end + 1..] {
            [b'\n', ..] => return Some(line_end + 2),
            [b'\r', b'\n', ..] => return Some(line_end + 3),
            _ => at = line_end + 1,
        }
    }
    None
}

/// Parses a whole head and gives it to `read`.
///
/// # Errors
/// Where the bytes are not a head of HTTP/1, or `read` refuses it.
pub(super) fn parse_head<T>(
    bytes: &[u8],
    read: impl FnOnce(&httparse::Request<'_, '_>) -> Result<T, HttpRefusal>,
) -> Result<T, HttpRefusal> {
    let mut headers = [const { MaybeUninit::uninit() }; N_HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(_)) => read(&parsed),
        Err(Error::TooManyHeaders) => refuse(431, "more than 256 headers"),
        Err(Error::Version) => refuse(400, "not HTTP/1.1"),
        Ok(Status::Partial) | Err(_) => refuse(400, "not the head of an HTTP request"),
    }
}

/// The path of a request's target, without its query. Targets in absolute form, which clients
/// send to proxies, are taken by servers too (RFC 9112 section 3.2.2).
pub(super) fn path_of(target: &str) -> &str {
    let scheme = ["http://", "https://"].into_iter().find(|scheme| {
        let start = target.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let path = scheme.map_or(target, |scheme| {
        let rest = &target[scheme.len()..];
        rest.find(['/', '?']).map_or("", |at| &rest[at..])
    });
    match path.split('?').next().unwrap_or(path) {
        "" if scheme.is_some() => "/",
        path => path,
    }
}

/// How the body is framed that these headers announce.
///
/// # Errors
/// Where that is not clear, not supported, or more than `body_max` bytes.
pub(super) fn body_framing(
    headers: &[Header<'_>],
    body_max: usize,
) -> Result<BodyFraming, HttpRefusal> {
    let mut length = None;
    let mut is_chunked = false;
    for header in headers {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            let digits = std::str::from_utf8(value).unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return refuse(400, "Content-Length is not a number");
            }
            // A length that does not fit is too large in any case.
            let given = digits.parse().unwrap_or(usize::MAX);
            if length.is_some_and(|known| known != given) {
                return refuse(400, "two different values of Content-Length");
            }
            length = Some(given);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return refuse(501, "a Transfer-Encoding other than chunked");
            }
            is_chunked = true;
        }
    }
    match length {
        Some(_) if is_chunked => refuse(400, "both Content-Length and Transfer-Encoding"),
        Some(length) if length > body_max => refuse(413, "the request's body is too large"),
        _ if is_chunked => Ok(BodyFraming::Chunked),
        length => Ok(BodyFraming::Length(length.unwrap_or(0))),
    }
}
