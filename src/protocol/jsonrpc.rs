//! Reads one JSON-RPC message lazily: the envelope is looked at, the payload
//! stays the text that it is.
//!
//! Tolerant where the wire is (order of members, escapes, a missing
//! `jsonrpc`, an `error` that is no object), strict in what counts as an
//! answer: `result` or `error`, and no `method`. Of a member that occurs twice
//! the last counts. It does not know which request an answer belongs to.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::fault::{FaultKind, ProtocolFault, excerpt, shown_text};
use super::fields::{KeyIndex, json_text, read_fields, read_string};

/// One message. `R` is the form in which a result is kept: its text, or less.
#[derive(Debug)]
pub(super) enum Message<'a, R = &'a RawValue> {
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
        id: &'a RawValue,
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
pub(super) trait ResultForm<'de>: Deserialize<'de> {
    /// Whether it is JSON's `null`.
    fn is_null(&self) -> bool;
}

impl<'de> ResultForm<'de> for &'de RawValue {
    fn is_null(&self) -> bool {
        self.get() == "null"
    }
}

/// The longest method that is one: those of MCP have some 40 bytes.
const METHOD_BYTES_MAX: usize = 4 * 1024;

/// Reads one message from text.
pub(super) fn read_message<'a, R: ResultForm<'a>>(
    text: &'a str,
) -> Result<Message<'a, R>, ProtocolFault> {
    let fault = |kind| ProtocolFault::new(kind, excerpt(text.as_bytes()));
    let envelope: Envelope<'a, R> = serde_json::from_str(text).map_err(|error| {
        fault(if error.is_data() {
            FaultKind::NotAMessage
        } else {
            FaultKind::NotJson
        })
    })?;
    // An `error` of null beside a result, and a `result` of null beside an
    // error, come from JSON-RPC 1.0 and mean absence.
    let error = envelope.error.filter(|error| error.get() != "null");
    let result = envelope
        .result
        .filter(|result| error.is_none() || !result.is_null());
    let has_id = envelope.id.is_some();
    let id = envelope.id.filter(|id| id.get() != "null");

    if let Some(method) = envelope.method.filter(|method| method.get() != "null") {
        if method.get().len() > METHOD_BYTES_MAX {
            return Err(fault(FaultKind::NotAMessage));
        }
        let method: Cow<'a, str> = match serde_json::from_str::<&'a str>(method.get()) {
            Ok(borrowed) => Cow::Borrowed(borrowed),
            Err(_) => {
                Cow::Owned(read_string(method.get()).ok_or_else(|| fault(FaultKind::NotAMessage))?)
            }
        };
        return Ok(match id {
            Some(id) => Message::Request { id, method },
            None => Message::Notification,
        });
    }
    match (result, error) {
        (Some(result), None) => Ok(Message::Response {
            id: Id(envelope.id.map_or("null", RawValue::get)),
            result,
        }),
        (None, Some(_)) if !has_id && !is_json_rpc_error(text) => {
            Err(fault(FaultKind::NotAMessage))
        }
        (None, Some(error)) => Ok(Message::Error {
            id: id.map(|id| Id(id.get())),
            error: RpcError::read(error.get()),
        }),
        (Some(_), Some(_)) => Err(fault(FaultKind::ResultAndError)),
        (None, None) => Err(fault(FaultKind::NotAMessage)),
    }
}

/// The members of a message, whatever they hold. `null` counts as there.
struct Envelope<'a, R> {
    id: Option<&'a RawValue>,
    method: Option<&'a RawValue>,
    result: Option<R>,
    error: Option<&'a RawValue>,
}

impl<'de, R: ResultForm<'de>> Deserialize<'de> for Envelope<'de, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EnvelopeVisitor(PhantomData))
    }
}

struct EnvelopeVisitor<R>(PhantomData<R>);

impl<'de, R: ResultForm<'de>> Visitor<'de> for EnvelopeVisitor<R> {
    type Value = Envelope<'de, R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        const NAMES: [&str; 4] = ["id", "result", "error", "method"];
        let mut envelope = Envelope {
            id: None,
            method: None,
            result: None,
            error: None,
        };
        while let Some(index) = map.next_key_seed(KeyIndex(&NAMES))? {
            match index {
                Some(0) => envelope.id = Some(map.next_value()?),
                Some(1) => envelope.result = Some(map.next_value()?),
                Some(2) => envelope.error = Some(map.next_value()?),
                Some(_) => envelope.method = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(envelope)
    }
}

/// As much of a result as tells success from the rest, read in the same pass
/// as the envelope and without allocating.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Glance {
    /// Whether the result is an object at all, as MCP demands.
    pub(super) is_object: bool,
    is_null: bool,
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
    Unknown,
}

impl<'de> ResultForm<'de> for Glance {
    fn is_null(&self) -> bool {
        self.is_null
    }
}

impl<'de> Deserialize<'de> for Glance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GlanceVisitor)
    }
}

struct GlanceVisitor;

impl GlanceVisitor {
    fn not_an_object<E>() -> Result<Glance, E> {
        Ok(Glance::default())
    }
}

impl<'de> Visitor<'de> for GlanceVisitor {
    type Value = Glance;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Glance, A::Error> {
        const NAMES: [&str; 3] = ["isError", "resultType", "content"];
        let mut glance = Glance {
            is_object: true,
            ..Glance::default()
        };
        while let Some(index) = map.next_key_seed(KeyIndex(&NAMES))? {
            match index {
                Some(0) => {
                    let value: &RawValue = map.next_value()?;
                    glance.error_flag = match value.get() {
                        "false" => ErrorFlag::No,
                        "true" => ErrorFlag::Yes,
                        _ => ErrorFlag::Unreadable,
                    };
                }
                Some(2) => {
                    let value: &RawValue = map.next_value()?;
                    glance.has_content = value.get().starts_with('[');
                }
                Some(_) => {
                    let value: &RawValue = map.next_value()?;
                    glance.result_type = match value.get() {
                        "null" | r#""complete""# => ResultType::Complete,
                        r#""input_required""# => ResultType::InputRequired,
                        other => result_type_in_full(other),
                    };
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(glance)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Glance, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Self::not_an_object()
    }

    fn visit_unit<E>(self) -> Result<Glance, E> {
        Ok(Glance {
            is_null: true,
            ..Glance::default()
        })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Glance, E> {
        Self::not_an_object()
    }

    fn visit_i64<E>(self, _: i64) -> Result<Glance, E> {
        Self::not_an_object()
    }

    fn visit_u64<E>(self, _: u64) -> Result<Glance, E> {
        Self::not_an_object()
    }

    fn visit_f64<E>(self, _: f64) -> Result<Glance, E> {
        Self::not_an_object()
    }

    fn visit_str<E>(self, _: &str) -> Result<Glance, E> {
        Self::not_an_object()
    }
}

/// The value with its escapes undone; nobody sends such, but it is allowed.
#[cold]
fn result_type_in_full(json: &str) -> ResultType {
    match read_string(json).as_deref() {
        Some("complete") => ResultType::Complete,
        Some("input_required") => ResultType::InputRequired,
        _ => ResultType::Unknown,
    }
}

#[cfg(test)]
#[path = "jsonrpc_tests.rs"]
mod tests;
