//! Finds MCP requests in the bytes of a connection, as far as the truth server
//! must know them. No input or output.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// What is asked for.
    pub(crate) asked: Asked,
    /// The id as it was written; `null` where there is none.
    pub(crate) id: String,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// `tools/call`
    CallTool,
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
    /// `tools/list`
    ListTools,
    /// Another method.
    Unknown,
    /// A notification.
    Nothing,
    /// HTTP's `DELETE`.
    EndOfSession,
    /// HTTP's `GET`: the session's stream.
    Listen,
    /// Another method of HTTP.
    OtherHttpMethod,
}

/// Bytes that are no request which this server reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The first request of the bytes and its length; `None` while it is not
/// complete.
///
/// # Errors
/// The bytes are no such request.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<(usize, Request)>, Unreadable> {
    const HEAD_BYTES_MAX: usize = 64 * 1024;
    let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return match bytes.len() {
            0..HEAD_BYTES_MAX => Ok(None),
            _ => Err(Unreadable),
        };
    };
    let head = std::str::from_utf8(&bytes[..at]).map_err(|_| Unreadable)?;
    let end = (at + 4)
        .checked_add(content_length(head)?)
        .ok_or(Unreadable)?;
    let Some(body) = bytes.get(at + 4..end) else {
        return Ok(None);
    };
    let without_id = |asked| Request {
        asked,
        id: "null".to_string(),
    };
    let request = match head.split_once(' ') {
        Some(("POST", _)) => read_message(body)?,
        Some(("DELETE", _)) => without_id(Asked::EndOfSession),
        Some(("GET", _)) => without_id(Asked::Listen),
        Some(_) => without_id(Asked::OtherHttpMethod),
        None => return Err(Unreadable),
    };
    Ok(Some((end, request)))
}

fn content_length(head: &str) -> Result<usize, Unreadable> {
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else {
            return Err(Unreadable);
        };
        if name.eq_ignore_ascii_case("content-length") {
            return value.trim().parse().map_err(|_| Unreadable);
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Unreadable);
        }
    }
    Ok(0)
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
}

fn read_message(body: &[u8]) -> Result<Request, Unreadable> {
    let message: Message<'_> = serde_json::from_slice(body).map_err(|_| Unreadable)?;
    let asked = match (message.method.as_deref(), message.id) {
        (None, _) | (_, None) => Asked::Nothing,
        (Some("tools/call"), _) => Asked::CallTool,
        (Some("initialize"), _) => Asked::Initialize,
        (Some("server/discover"), _) => Asked::Discover,
        (Some("tools/list"), _) => Asked::ListTools,
        (Some(_), _) => Asked::Unknown,
    };
    Ok(Request {
        asked,
        id: message.id.map_or("null", RawValue::get).to_string(),
    })
}
