//! Finds one request in bytes, and in it the two things that an answer needs:
//! what is asked, and the digits of the id.
//!
//! It reads no more than that: no JSON is parsed, headers other than
//! `Content-Length` are not looked at. It does not know sockets.

use super::super::head::{
    BodyFraming, HttpRefusal, body_framing, find_head_end, parse_head, refuse,
};
use super::answers::AskedFor;

/// The digits of a request's id, to be echoed as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digits {
    bytes: [u8; Digits::MAX],
    /// 0 <= len <= MAX; 0 where the message has no id of digits.
    len: usize,
}

impl Digits {
    /// Digits of the largest `u64`.
    pub(super) const MAX: usize = 20;

    fn of(text: &[u8]) -> Self {
        let len = text
            .iter()
            .take(Self::MAX)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let mut bytes = [0; Self::MAX];
        bytes[..len].copy_from_slice(&text[..len]);
        Self { bytes, len }
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A request, as far as it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CannedRequest {
    /// What it asks.
    pub asked: AskedFor,
    /// Its id.
    pub id: Digits,
}

/// The bytes are no request that this server can read; the connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// The longest head and body that are waited for, in bytes.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// Reads requests. A client sends nearly the same head again and again, so the
/// last one is remembered: equal bytes need no second look.
#[derive(Debug, Default)]
pub struct CannedReader {
    last_head: Vec<u8>,
    last: LastHead,
}

#[derive(Debug, Clone, Copy, Default)]
struct LastHead {
    is_post: bool,
    is_delete: bool,
    content_bytes: usize,
}

impl CannedReader {
    /// The first request in `input` and how many bytes it takes; `None` where
    /// it is not complete yet.
    ///
    /// # Errors
    /// It cannot be read: too large, or a body of unknown length.
    pub fn read(&mut self, input: &[u8]) -> Result<Option<(usize, CannedRequest)>, Unreadable> {
        if self.last_head.is_empty() || !input.starts_with(&self.last_head) {
            let Some(head_bytes) = find_head_end(input, 0) else {
                return match input.len() < REQUEST_BYTES_MAX {
                    true => Ok(None),
                    false => Err(Unreadable),
                };
            };
            self.last = parse_head(&input[..head_bytes], read_head).map_err(|_| Unreadable)?;
            self.last_head.clear();
            self.last_head.extend_from_slice(&input[..head_bytes]);
        }
        let head_bytes = self.last_head.len();
        let end = head_bytes + self.last.content_bytes;
        let Some(body) = input.get(head_bytes..end) else {
            return Ok(None);
        };
        let request = match self.last {
            LastHead { is_post: true, .. } => read_body(body),
            LastHead { is_delete, .. } => CannedRequest {
                asked: match is_delete {
                    true => AskedFor::EndOfSession,
                    false => AskedFor::OtherHttpMethod,
                },
                id: Digits::default(),
            },
        };
        Ok(Some((end, request)))
    }
}

fn read_head(parsed: &httparse::Request<'_, '_>) -> Result<LastHead, HttpRefusal> {
    let BodyFraming::Length(content_bytes) = body_framing(parsed.headers, REQUEST_BYTES_MAX)?
    else {
        return refuse(501, "a body of unknown length");
    };
    Ok(LastHead {
        is_post: parsed.method == Some("POST"),
        is_delete: parsed.method == Some("DELETE"),
        content_bytes,
    })
}

/// The first `"method"` and the first `"id"` of the body: our requests have
/// both before anything that could hold others of these names.
fn read_body(body: &[u8]) -> CannedRequest {
    const METHOD: &[u8] = b"\"method\":\"";
    const ID: &[u8] = b"\"id\":";
    let asked = find(body, METHOD)
        .map(|at| &body[at + METHOD.len()..])
        .map_or(AskedFor::Nothing, AskedFor::of_method);
    let id = match asked {
        AskedFor::Nothing => Digits::default(),
        _ => find(body, ID).map_or_else(Digits::default, |at| Digits::of(&body[at + ID.len()..])),
    };
    CannedRequest { asked, id }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
