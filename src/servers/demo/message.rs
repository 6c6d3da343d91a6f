//! A client's message as JSON-RPC, and what is answered, before either meets an
//! era.
//!
//! Pure: it knows no session and no method.

use std::time::Duration;

use serde_json::{Map, Value};

use super::asking::{AskedAnswer, DemoAsk};
use super::offer::{Class, INVALID_REQUEST, PARSE_ERROR, Payload};
use super::subscribe::Subscribed;

/// An answer, before it is written out, delayed or spoilt.
#[derive(Debug, Default)]
pub(super) struct DemoReply {
    pub(super) status: u16,
    pub(super) body: ReplyBody,
    /// The session that begins with this answer.
    pub(super) session: Option<String>,
    /// The methods allowed, for 405.
    pub(super) allow: Option<&'static str>,
    /// What sort of call is answered; `None` where the message is not a call.
    pub(super) class: Option<Class>,
    /// What the work takes on top of the server's latency. `None` where there
    /// needs no work: a refusal is sent at once.
    pub(super) work: Option<Duration>,
    /// The legacy session that the call came in, or that has ended with it.
    pub(super) within: Option<u128>,
    /// Messages that come before it on its stream.
    pub(super) progress: Vec<Value>,
    /// Who served it, where it says so.
    pub(super) served_by: Option<String>,
    /// The session whose stream begins, in place of all else.
    pub(super) stream: Option<u128>,
    /// The subscription whose stream begins, in place of all else.
    pub(super) subscription: Option<Box<Subscribed>>,
    /// What the client is asked first, on the stream of its call.
    pub(super) ask: Option<DemoAsk>,
    /// What the client answered to a request of ours.
    pub(super) answers: Option<AskedAnswer>,
}

/// What an answer holds.
#[derive(Debug, Default)]
pub(super) enum ReplyBody {
    #[default]
    Empty,
    Text(String),
    Message {
        id: Value,
        payload: Payload,
    },
}

/// A message of a client.
#[derive(Debug)]
pub(super) struct ClientMessage {
    pub(super) kind: MessageKind,
    /// Empty for a response.
    pub(super) method: String,
    /// An object, or `Null`.
    pub(super) params: Value,
}

/// What sort of message it is.
#[derive(Debug)]
pub(super) enum MessageKind {
    /// Has an id, a string or an integer.
    Request(Value),
    Notification,
    /// The answer to a request of ours; `None` where its id is not ours.
    Response(Option<AskedAnswer>),
}

impl DemoReply {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self::new(status, ReplyBody::Empty)
    }

    /// An answer for people.
    pub(super) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, ReplyBody::Text(text.into()))
    }

    /// A JSON-RPC answer.
    pub(super) fn message(status: u16, id: Value, payload: Payload) -> Self {
        Self::new(status, ReplyBody::Message { id, payload })
    }

    /// A JSON-RPC error that belongs to no request.
    pub(super) fn refusal(status: u16, code: i64, message: impl Into<String>) -> Self {
        Self::message(status, Value::Null, Payload::error(code, message))
    }

    /// Whether the answer asks the client something first.
    pub(super) fn asks_back(&self) -> bool {
        matches!(
            &self.body,
            ReplyBody::Message { payload: Payload::Result(result), .. }
                if result["resultType"] == "input_required"
        )
    }

    fn new(status: u16, body: ReplyBody) -> Self {
        Self {
            status,
            body,
            ..Self::default()
        }
    }
}

/// Reads one JSON-RPC message, or gives the answer that says what is wrong.
pub(super) fn read_message(body: &[u8]) -> Result<ClientMessage, Box<DemoReply>> {
    let invalid = |text: &str| Box::new(DemoReply::refusal(400, INVALID_REQUEST, text));
    let mut object: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(Value::Array(_)) => return Err(invalid("Invalid Request: batches are not supported")),
        Ok(_) => return Err(invalid("Invalid Request: not an object")),
        Err(error) => {
            let text = format!("Parse error: {error}");
            return Err(Box::new(DemoReply::refusal(400, PARSE_ERROR, text)));
        }
    };
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(invalid("Invalid Request: jsonrpc must be \"2.0\""));
    }
    let id = object.remove("id");
    let method = match object.remove("method") {
        Some(Value::String(method)) => method,
        Some(_) => return Err(invalid("Invalid Request: the method must be a string")),
        None if object.contains_key("result") || object.contains_key("error") => {
            let said = match object.remove("result") {
                Some(result) => Ok(result),
                None => Err(object.remove("error").unwrap_or_default()),
            };
            let id = id.and_then(|id| id.as_u64());
            return Ok(ClientMessage {
                kind: MessageKind::Response(id.map(|id| AskedAnswer { id, said })),
                method: String::new(),
                params: Value::Null,
            });
        }
        None => return Err(invalid("Invalid Request: no method")),
    };
    let kind = match id {
        None => MessageKind::Notification,
        Some(id) if id.is_string() || id.is_i64() || id.is_u64() => MessageKind::Request(id),
        Some(_) => {
            return Err(invalid(
                "Invalid Request: the id must be a string or an integer",
            ));
        }
    };
    match object.remove("params") {
        None => Ok(ClientMessage {
            kind,
            method,
            params: Value::Null,
        }),
        Some(params @ Value::Object(_)) => Ok(ClientMessage {
            kind,
            method,
            params,
        }),
        Some(_) => Err(invalid("Invalid Request: params must be an object")),
    }
}
