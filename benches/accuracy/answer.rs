//! The truth server's answers as bytes, cut where they are handed over apart.
//! No input or output.

use std::time::Duration;

use super::request::{Asked, Request};

/// How answers to `tools/call` are framed; all others are JSON with a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// JSON with its length, in one piece.
    Json,
    /// The same, the second half of the message [`GAP`] after the first.
    Split,
    /// JSON in one chunk; the chunk that ends it comes [`GAP`] later, and with
    /// it the end of the answer.
    Chunked,
    /// One event, and the end of the stream with it.
    Sse,
    /// One event, which is the answer; the stream ends [`GAP`] later.
    SseOpen,
}

/// Between the pieces of an answer.
pub(crate) const GAP: Duration = Duration::from_micros(500);

/// An answer to `tools/call` in one piece or two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Sent when the call is due.
    pub(crate) first: Vec<u8>,
    /// Sent [`GAP`] after it.
    pub(crate) second: Option<Vec<u8>>,
    /// The answer is complete with the first.
    pub(crate) ends_with_first: bool,
}

/// What is said to bytes that are no readable request.
pub(crate) const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The answer to a call, stamped with its number, its service time (from the
/// request's arrival in the kernel until this is rendered, just before it is
/// handed over), and how much of that was meant.
pub(crate) fn call(
    framing: Framing,
    id: &str,
    number: u64,
    service_ns: u64,
    delay: Duration,
) -> Pieces {
    let delay_ns = delay.as_nanos();
    let message = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\
         \"content\":[{{\"type\":\"text\",\"text\":\"done\"}}],\
         \"structuredContent\":{{\"number\":{number},\"service_ns\":{service_ns},\
         \"delay_ns\":{delay_ns}}},\"isError\":false,\"resultType\":\"complete\"}}}}"
    );
    const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    const STREAM: &str =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    const LAST_CHUNK: &str = "0\r\n\r\n";
    let chunk = |data: &str| format!("{:x}\r\n{data}\r\n", data.len());
    let (first, second, ends_with_first) = match framing {
        Framing::Json | Framing::Split => {
            let whole = format!("{JSON}Content-Length: {}\r\n\r\n{message}", message.len());
            match framing {
                Framing::Split => {
                    let (start, end) = whole.split_at(whole.len() - message.len() / 2);
                    (start.to_string(), Some(end.to_string()), false)
                }
                _ => (whole, None, true),
            }
        }
        Framing::Chunked => {
            let head = format!("{JSON}Transfer-Encoding: chunked\r\n\r\n");
            let first = head + &chunk(&message);
            (first, Some(LAST_CHUNK.to_string()), false)
        }
        Framing::Sse | Framing::SseOpen => {
            let event = chunk(&format!("event: message\ndata: {message}\n\n"));
            match framing {
                Framing::SseOpen => (STREAM.to_string() + &event, Some(LAST_CHUNK.into()), true),
                _ => (STREAM.to_string() + &event + LAST_CHUNK, None, true),
            }
        }
    };
    Pieces {
        first: first.into_bytes(),
        second: second.map(String::into_bytes),
        ends_with_first,
    }
}

/// The head of a session's stream.
pub(crate) const PUSHED_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// What is pushed on it.
pub(crate) const PUSHED: &[u8] =
    b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";

/// The answer to anything but a call, given at once.
pub(crate) fn other(request: &Request) -> Vec<u8> {
    const SESSION: &str = "Mcp-Session-Id: 4f5e9d3c1b0a7e6f5d4c8a7c0d8e6f2b\r\n";
    let result = match request.asked {
        Asked::Initialize => concat!(
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"#,
            r#""serverInfo":{"name":"truth","version":"1.0.0"}}"#
        ),
        Asked::Discover => concat!(
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"#,
            r#""capabilities":{"tools":{}},"ttlMs":3600000,"cacheScope":"public","#,
            r#""serverInfo":{"name":"truth","version":"1.0.0"}}"#
        ),
        Asked::ListTools => concat!(
            r#"{"resultType":"complete","ttlMs":3600000,"cacheScope":"public","#,
            r#""tools":[{"name":"wait","description":"answers after its delay","#,
            r#""inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}}]}"#
        ),
        Asked::Nothing => return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Asked::EndOfSession => return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        Asked::Listen | Asked::OtherHttpMethod => {
            return b"HTTP/1.1 405 Method Not Allowed\r\nAllow: POST, DELETE\r\n\
                     Content-Length: 0\r\n\r\n"
                .to_vec();
        }
        Asked::Unknown | Asked::CallTool => "",
    };
    let id = &request.id;
    let session = match request.asked {
        Asked::Initialize => SESSION,
        _ => "",
    };
    let message = match result {
        "" => format!(
            r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"no such method"}}}}"#
        ),
        _ => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
    };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{session}\
         Content-Length: {}\r\n\r\n{message}",
        message.len()
    )
    .into_bytes()
}
