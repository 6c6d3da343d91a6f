//! Reads one JSON-RPC message lazily: the envelope is looked at, the payload
//! stays the text that it is.
//!
//! Tolerant where the wire is (order of members, escapes, a missing
//! `jsonrpc`, an `error` that is not an object), strict in what counts as an
//! answer: `result` or `error`, and no `method`. Of a member that occurs twice
//! the last counts. It does not know which request an answer belongs to.

use std::borrow::Cow;
use std::fmt;

use super::fault::{FaultKind, ProtocolFault, excerpt};
use super::fields::{json_text, read_fields, read_string};
use super::scan::Scan;
use crate::text::shown_text;

/// The code for a method that the receiver does not have.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// The code for parameters that are at fault.
pub(super) const INVALID_PARAMS: i64 = -32602;

/// One message. `R` is the form in which a result is kept: its text, or less.
#[derive(Debug)]
pub(super) enum Message<'a, R = &'a str> {
    /// An answer with a result.
    Response {
        /// The request that it answers.
        id: Id<'a>,
        /// What the request yielded.
        result: R,
    },
    /// An answer with an error.
    Error {
        /// The request that it answers; `None` where it is absent or `null`.
        id: Option<Id<'a>>,
        /// What went wrong.
        error: RpcError,
    },
    /// A request of the server's own.
    Request {
        /// Its id, which must come back as it is.
        id: &'a str,
        /// Its method.
        method: Cow<'a, str>,
    },
    /// A message that wants no answer.
    Notification,
}

impl<'a> Message<'a> {
    /// Reads a message with its result as text.
    ///
    /// # Errors
    /// `NotJson`, `NotAMessage` or `ResultAndError`.
    pub(super) fn read(text: &'a str) -> Result<Self, ProtocolFault> {
        read_message(text)
    }
}

/// The id of an answer, as it is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id<'a>(&'a str);

impl<'a> Id<'a> {
    /// Whether this is our number. A float of the same value is (some
    /// languages know no integers), a string of the same digits is not.
    pub(super) fn is(&self, ours: u64) -> bool {
        const EXACT_MAX: u64 = 1 << 53;
        if let Ok(number) = self.0.parse::<u64>() {
            return number == ours;
        }
        ours <= EXACT_MAX
            && self
                .0
                .bytes()
                .any(|byte| matches!(byte, b'.' | b'e' | b'E'))
            && self.0.parse::<f64>() == Ok(ours as f64)
    }

    /// Whether this could be the id of some request of ours, which are all
    /// numbers.
    pub(super) fn is_number(&self) -> bool {
        self.0
            .bytes()
            .next()
            .is_some_and(|byte| byte == b'-' || byte.is_ascii_digit())
    }

    /// The id as JSON.
    pub(super) fn as_json(&self) -> &'a str {
        self.0
    }
}

/// An error that the server reports in the form of JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcError {
    /// Its code; `None` where none can be read. Servers send codes of any range.
    pub code: Option<i64>,
    /// Its message, on one line, control characters escaped, cut to 300
    /// characters.
    pub message: String,
    /// The JSON of `data`, where it is there and not beyond 64 KiB.
    pub data: Option<String>,
}

impl RpcError {
    /// Its JSON, as far as it was kept.
    pub fn to_json(&self) -> String {
        let mut json = String::from("{");
        if let Some(code) = self.code {
            json.push_str(&format!(r#""code":{code},"#));
        }
        json.push_str(&format!(r#""message":{}"#, json_text(&self.message)));
        if let Some(data) = &self.data {
            json.push_str(&format!(r#","data":{data}"#));
        }
        json.push('}');
        json
    }

    /// The most characters of a message that are kept.
    pub const MESSAGE_MAX: usize = 1000;
    /// The most bytes of `data` that are kept.
    ///
    /// A list of some five thousand revisions that the server speaks fits.
    pub const DATA_MAX: usize = 64 * 1024;

    /// Reads the value of `error`: an object, or whatever a server puts there.
    pub(super) fn read(text: &str) -> Self {
        let Some([code, message, data]) = read_fields(text, ["code", "message", "data"]) else {
            return Self {
                code: None,
                message: Self::text_of(text),
                data: None,
            };
        };
        Self {
            code: code.and_then(read_code),
            message: message.map_or_else(String::new, Self::text_of),
            data: data
                .filter(|data| data.len() <= Self::DATA_MAX)
                .map(str::to_string),
        }
    }

    fn text_of(json: &str) -> String {
        let text = read_string(json);
        shown_text(text.as_deref().unwrap_or(json), Self::MESSAGE_MAX)
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{code}: {}", self.message),
            None => write!(f, "without a code: {}", self.message),
        }
    }
}

/// An integer, also as a float or in a string. Any other number is not read as a
/// code: rounded, it would be a code that the server never sent.
fn read_code(json: &str) -> Option<i64> {
    /// The first float beyond all integers.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    /// More digits than these would be rounded to an integer.
    const DIGITS_MAX: usize = 40;
    let digits = json.trim_matches('"');
    let as_float = || {
        let digits = Some(digits).filter(|digits| digits.len() <= DIGITS_MAX)?;
        let code = digits.parse::<f64>().ok()?;
        let is_integer = code.fract() == 0.0 && (-BEYOND..BEYOND).contains(&code);
        is_integer.then_some(code as i64)
    };
    digits.parse::<i64>().ok().or_else(as_float)
}

/// Whether the `error` of a message has a code, as JSON-RPC demands.
pub(super) fn has_error_code(message: &str) -> bool {
    let code = || {
        let [error] = read_fields(message, ["error"])?;
        let [code] = read_fields(error?, ["code"])?;
        read_code(code?)
    };
    code().is_some()
}

/// Whether a message without an id, but with an `error`, is one of JSON-RPC:
/// APIs of all kinds answer `{"error": "invalid_token"}`.
#[cold]
fn is_json_rpc_error(message: &str) -> bool {
    matches!(read_fields(message, ["jsonrpc"]), Some([Some(_)])) || has_error_code(message)
}

/// A form in which a result can be kept.
pub(super) trait ResultForm<'a>: Sized {
    /// Reads the next value.
    fn read(scan: &mut Scan<'a>) -> Option<Self>;

    /// Whether it is JSON's `null`.
    fn is_null(&self) -> bool;
}

impl<'a> ResultForm<'a> for &'a str {
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        scan.value()
    }

    fn is_null(&self) -> bool {
        *self == "null"
    }
}

/// The longest method that is one: those of MCP have some 40 bytes.
const METHOD_BYTES_MAX: usize = 4 * 1024;

/// Reads one message from text.
pub(super) fn read_message<'a, R: ResultForm<'a>>(
    text: &'a str,
) -> Result<Message<'a, R>, ProtocolFault> {
    let fault = |kind| ProtocolFault::new(kind, excerpt(text.as_bytes()));
    let envelope: Envelope<'a, R> =
        Scan::whole(text, Envelope::read).ok_or_else(|| why_no_object(text))?;
    // An `error` of null beside a result, and a `result` of null beside an
    // error, come from JSON-RPC 1.0 and mean absence.
    let error = envelope.error.filter(|error| *error != "null");
    let result = envelope
        .result
        .filter(|result| error.is_none() || !result.is_null());
    let has_id = envelope.id.is_some();
    let id = envelope.id.filter(|id| *id != "null");

    if let Some(method) = envelope.method.filter(|method| *method != "null") {
        if method.len() > METHOD_BYTES_MAX {
            return Err(fault(FaultKind::NotAMessage));
        }
        let method = match serde_json::from_str::<&'a str>(method) {
            Ok(borrowed) => Cow::Borrowed(borrowed),
            Err(_) => Cow::Owned(read_string(method).ok_or_else(|| fault(FaultKind::NotAMessage))?),
        };
        return Ok(match id {
            Some(id) => Message::Request { id, method },
            None => Message::Notification,
        });
    }
    match (result, error) {
        (Some(result), None) => Ok(Message::Response {
            id: Id(envelope.id.unwrap_or("null")),
            result,
        }),
        (None, Some(_)) if !has_id && !is_json_rpc_error(text) => {
            Err(fault(FaultKind::NotAMessage))
        }
        (None, Some(error)) => Ok(Message::Error {
            id: id.map(Id),
            error: RpcError::read(error),
        }),
        (Some(_), Some(_)) => Err(fault(FaultKind::ResultAndError)),
        (None, None) => Err(fault(FaultKind::NotAMessage)),
    }
}

/// JSON of another type than an object is not a message.
#[cold]
fn why_no_object(text: &str) -> ProtocolFault {
    let no_message = || ProtocolFault::new(FaultKind::NotAMessage, excerpt(text.as_bytes()));
    let mut scan = Scan::new(text);
    match scan.peek() {
        Some(b'[') => no_message(),
        Some(b'{') => ProtocolFault::not_json(text.as_bytes()),
        _ if scan.skip().is_some() => no_message(),
        _ => ProtocolFault::not_json(text.as_bytes()),
    }
}

/// The members of a message, whatever they hold. `null` counts as there.
struct Envelope<'a, R> {
    id: Option<&'a str>,
    method: Option<&'a str>,
    result: Option<R>,
    error: Option<&'a str>,
}

impl<'a, R: ResultForm<'a>> Envelope<'a, R> {
    #[inline]
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        let mut envelope = Self {
            id: None,
            method: None,
            result: None,
            error: None,
        };
        scan.object(|scan, name| {
            match name {
                "id" => envelope.id = Some(scan.value()?),
                "result" => envelope.result = Some(R::read(scan)?),
                "error" => envelope.error = Some(scan.value()?),
                "method" => envelope.method = Some(scan.value()?),
                _ => scan.skip()?,
            }
            Some(())
        })?;
        Some(envelope)
    }
}

/// As much of a result as tells success from the rest, read in the same pass
/// as the envelope and without allocating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Glance<'a> {
    /// All of it.
    pub(super) text: &'a str,
    /// Whether the result is an object at all, as MCP demands.
    pub(super) is_object: bool,
    /// Whether it has a list of `content`.
    pub(super) has_content: bool,
    /// What `isError` says.
    pub(super) error_flag: ErrorFlag,
    /// What `resultType` says.
    pub(super) result_type: ResultType,
}

/// The values of `isError`; absent means no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ErrorFlag {
    #[default]
    No,
    Yes,
    /// Something else than `true` or `false`.
    Unreadable,
}

/// The values of `resultType`; absent and `null` mean complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ResultType {
    #[default]
    Complete,
    InputRequired,
    Task,
    Unknown,
}

impl<'a> ResultForm<'a> for Glance<'a> {
    #[inline]
    fn read(scan: &mut Scan<'a>) -> Option<Self> {
        let mut glance = Self {
            is_object: scan.peek()? == b'{',
            ..Self::default()
        };
        glance.text = scan.extent(|scan| match glance.is_object {
            true => scan.object(|scan, name| glance.look_at(scan, name)),
            false => scan.skip(),
        })?;
        Some(glance)
    }

    fn is_null(&self) -> bool {
        self.text == "null"
    }
}

impl Glance<'_> {
    #[inline]
    fn look_at(&mut self, scan: &mut Scan<'_>, name: &str) -> Option<()> {
        match name {
            "isError" => {
                self.error_flag = match scan.value()? {
                    "false" => ErrorFlag::No,
                    "true" => ErrorFlag::Yes,
                    _ => ErrorFlag::Unreadable,
                };
            }
            "content" => {
                self.has_content = scan.peek()? == b'[';
                scan.skip()?;
            }
            "resultType" => {
                self.result_type = match scan.value()? {
                    "null" | r#""complete""# => ResultType::Complete,
                    r#""input_required""# => ResultType::InputRequired,
                    other => result_type_in_full(other),
                };
            }
            _ => scan.skip()?,
        }
        Some(())
    }
}

/// The value with its escapes undone; nobody sends such, but it is allowed. Tasks are
/// few: their value is looked for here, and costs other calls nothing.
#[cold]
fn result_type_in_full(json: &str) -> ResultType {
    match read_string(json).as_deref() {
        Some("complete") => ResultType::Complete,
        Some("input_required") => ResultType::InputRequired,
        Some("task") => ResultType::Task,
        _ => ResultType::Unknown,
    }
}

#[cfg(test)]
#[path = "jsonrpc_tests.rs"]
mod tests;
