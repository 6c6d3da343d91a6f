//! Writes an answer out: as JSON or as an event stream, whole or spoilt.
//!
//! Pure but for the draw of the form. It knows no socket and no time; which
//! fault befalls which call, and when the bytes are sent, is decided in
//! `server.rs`.

use std::collections::VecDeque;

use fastrand::Rng;
use serde_json::{Value, json};

use super::faults::DemoFault;
use super::legacy::SESSION_NOT_FOUND;
use super::message::{DemoReply, ReplyBody};
use super::offer::{INTERNAL_ERROR, Payload};
use super::options::AnswerForm;
use super::wire;

/// What happens to a connection when its answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The next request is read.
    ReadOn,
    /// It is closed.
    Close,
    /// It says no more, and what comes is thrown away.
    Discard,
}

/// How a message is written, where the status is 200; other answers are plain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    is_stream: bool,
    line_end: &'static str,
    /// A comment and an empty event come first.
    has_prelude: bool,
    /// The stream is not ended.
    stays_open: bool,
}

impl Form {
    /// The form of one answer. `is_work` tells calls from handshakes.
    pub(super) fn draw(answers: AnswerForm, is_work: bool, rng: &mut Rng) -> Self {
        let json = Self {
            is_stream: false,
            line_end: "\n",
            has_prelude: false,
            stays_open: false,
        };
        let stream = Self {
            is_stream: true,
            ..json
        };
        match answers {
            AnswerForm::Json => json,
            AnswerForm::Sse => stream,
            AnswerForm::SseLeftOpen => Self {
                stays_open: is_work,
                ..stream
            },
            AnswerForm::Mixed => {
                let draw = rng.u8(..);
                Self {
                    is_stream: draw & 1 == 1,
                    line_end: if draw & 2 == 2 { "\r\n" } else { "\n" },
                    has_prelude: draw & 4 == 4,
                    stays_open: false,
                }
            }
        }
    }
}

/// Makes a good answer a bad one, as far as that can be seen in its content;
/// the rest happens in [`write()`].
pub(super) fn spoil(fault: DemoFault, reply: &mut DemoReply, form: &mut Form) {
    match fault {
        DemoFault::Http500 => {
            *reply = DemoReply::text(500, "Internal Server Error: as the demo server was told");
        }
        DemoFault::RpcError => {
            let text = "Internal error: as the demo server was told";
            set_payload(reply, Payload::error(INTERNAL_ERROR, text));
        }
        DemoFault::ToolError => fail_tool(reply),
        DemoFault::Accepted => *reply = DemoReply::empty(202),
        DemoFault::WrongId => {
            if let ReplyBody::Message { id, .. } = &mut reply.body {
                *id = other_id(id);
            }
        }
        DemoFault::ExpireSession => {
            *reply = DemoReply::refusal(404, SESSION_NOT_FOUND, "Session not found");
        }
        DemoFault::EmptyStream => {
            form.is_stream = true;
            form.stays_open = false;
        }
        DemoFault::Hang | DemoFault::CloseBefore | DemoFault::CloseMid | DemoFault::NotJson => {}
    }
}

const NOT_JSON: &[u8] =
    b"<!DOCTYPE html><html><body><h1>Welcome to the demo server</h1></body></html>";

/// Appends an answer, head and body together, and says what happens after it.
/// `message` is room for the message alone.
pub(super) fn write(
    out: &mut Vec<u8>,
    message: &mut Vec<u8>,
    reply: &DemoReply,
    form: Form,
    fault: Option<DemoFault>,
    closes: bool,
) -> Then {
    if fault == Some(DemoFault::Hang) {
        return Then::ReadOn;
    }
    if fault == Some(DemoFault::CloseBefore) {
        return Then::Close;
    }
    message.clear();
    let (content_type, is_message) = match &reply.body {
        ReplyBody::Empty => (None, false),
        ReplyBody::Text(text) => {
            message.extend_from_slice(text.as_bytes());
            (Some("text/plain"), false)
        }
        ReplyBody::Message { .. } if fault == Some(DemoFault::NotJson) => {
            message.extend_from_slice(NOT_JSON);
            (Some("application/json"), true)
        }
        ReplyBody::Message { id, payload } => {
            write_message(message, id, payload);
            (Some("application/json"), true)
        }
    };
    let headers = [
        ("Mcp-Session-Id", reply.session.as_deref()),
        ("Allow", reply.allow),
        ("X-Served-By", reply.served_by.as_deref()),
    ];
    let headers = headers.into_iter();
    let headers: Vec<(&str, &str)> = headers
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    let is_stream = is_message && form.is_stream && reply.status == 200;
    if is_stream {
        wire::write_stream_head(out, &headers, closes);
        let mut events = Vec::with_capacity(message.len() + 64);
        if form.has_prelude {
            for part in [": an empty event follows", form.line_end, "data:"] {
                events.extend_from_slice(part.as_bytes());
            }
            events.extend_from_slice(form.line_end.repeat(2).as_bytes());
        }
        if fault == Some(DemoFault::EmptyStream) {
            events.extend_from_slice(b": no answer follows\n\n");
        } else {
            wire::write_event(&mut events, message, form.line_end);
        }
        wire::write_chunk(out, &events);
        if !form.stays_open {
            wire::write_stream_end(out);
        }
    } else {
        let answer = wire::HttpAnswer {
            status: reply.status,
            content_type,
            headers: &headers,
            closes,
            body: message,
        };
        wire::write_answer(out, &answer);
    }
    if fault == Some(DemoFault::CloseMid) {
        // The head stays whole, and the begin of the message.
        out.truncate(out.len() - message.len() * 2 / 3);
        Then::Close
    } else if is_stream && form.stays_open {
        Then::Discard
    } else if closes {
        Then::Close
    } else {
        Then::ReadOn
    }
}

/// Writes an answer as an event stream with what comes before it: its head into `out`, then
/// a piece for each event. `is_unbuffered`: what is between is asked to pass them on.
pub(super) fn write_pieces(
    out: &mut Vec<u8>,
    reply: &DemoReply,
    closes: bool,
    is_unbuffered: bool,
) -> VecDeque<Vec<u8>> {
    let mut headers = Vec::new();
    headers.extend(reply.served_by.as_deref().map(|name| ("X-Served-By", name)));
    headers.extend(is_unbuffered.then_some(("X-Accel-Buffering", "no")));
    wire::write_stream_head(out, &headers, closes);
    let mut pieces = VecDeque::new();
    let mut push = |message: &[u8]| {
        let (mut event, mut piece) = (Vec::new(), Vec::new());
        wire::write_event(&mut event, message, "\n");
        wire::write_chunk(&mut piece, &event);
        pieces.push_back(piece);
    };
    for message in &reply.progress {
        push(message.to_string().as_bytes());
    }
    if let ReplyBody::Message { id, payload } = &reply.body {
        let mut message = Vec::new();
        write_message(&mut message, id, payload);
        push(&message);
    }
    if let Some(last) = pieces.back_mut() {
        wire::write_stream_end(last);
    }
    pieces
}

/// Begins an event stream with a request to the client.
pub(super) fn write_ask(out: &mut Vec<u8>, request: &Value, closes: bool) {
    wire::write_stream_head(out, &[], closes);
    let mut event = Vec::new();
    wire::write_event(&mut event, request.to_string().as_bytes(), "\n");
    wire::write_chunk(out, &event);
}

/// Ends such a stream with the answer. `message` is room for the message alone.
pub(super) fn write_last(out: &mut Vec<u8>, message: &mut Vec<u8>, id: &Value, payload: &Payload) {
    message.clear();
    write_message(message, id, payload);
    let mut event = Vec::new();
    wire::write_event(&mut event, message, "\n");
    wire::write_chunk(out, &event);
    wire::write_stream_end(out);
}

fn write_message(out: &mut Vec<u8>, id: &Value, payload: &Payload) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    write_json(out, id);
    match payload {
        Payload::Written(text) => {
            out.extend_from_slice(b",\"result\":");
            out.extend_from_slice(text.as_bytes());
        }
        Payload::Result(result) => {
            out.extend_from_slice(b",\"result\":");
            write_json(out, result);
        }
        Payload::Error {
            code,
            message,
            data,
        } => {
            let mut error = json!({"code": code, "message": message});
            if !data.is_null() {
                error["data"] = data.clone();
            }
            out.extend_from_slice(b",\"error\":");
            write_json(out, &error);
        }
    }
    out.push(b'}');
}

fn write_json(out: &mut Vec<u8>, value: &Value) {
    // Neither a `Value` nor a vector can fail to be written.
    let _ = serde_json::to_writer(out, value);
}

fn set_payload(reply: &mut DemoReply, new: Payload) {
    if let ReplyBody::Message { payload, .. } = &mut reply.body {
        *payload = new;
    }
}

/// Makes a tool's result a failure, in the era that it was written for.
fn fail_tool(reply: &mut DemoReply) {
    if let ReplyBody::Message { payload, .. } = &mut reply.body {
        let text = "the tool failed: as the demo server was told";
        let mut result = json!({
            "content": [{"type": "text", "text": text}],
            "isError": true,
        });
        if let Payload::Result(good) = payload
            && good.get("resultType").is_some()
        {
            result["resultType"] = "complete".into();
        }
        *payload = Payload::Result(result);
    }
}

/// An id of the same type that nobody sent.
fn other_id(id: &Value) -> Value {
    match id {
        Value::String(text) => Value::String(format!("not-{text}")),
        number => {
            let other = number.as_i64().map(|id| id.wrapping_add(1_000_000_007));
            Value::from(other.unwrap_or(-1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_id_is_of_the_same_type() {
        let check = |id: Value, expected: Value| assert_eq!(other_id(&id), expected);
        check(json!("a"), json!("not-a"));
        check(json!(1), json!(1_000_000_008));
        check(json!(u64::MAX), json!(-1));
        check(json!(i64::MAX), json!(i64::MIN + 1_000_000_006));
    }

    #[test]
    fn messages_are_written_as_json() {
        let check = |payload: Payload, expected: Value| {
            let mut out = Vec::new();
            write_message(&mut out, &json!("ä\""), &payload);
            let message: Value = serde_json::from_slice(&out).expect("JSON");
            let mut whole = json!({"jsonrpc": "2.0", "id": "ä\""});
            for (key, value) in expected.as_object().expect("an object") {
                whole[key] = value.clone();
            }
            assert_eq!(message, whole);
        };
        check(Payload::Written("{}".into()), json!({"result": {}}));
        check(
            Payload::Result(json!({"a": 1})),
            json!({"result": {"a": 1}}),
        );
        check(
            Payload::error(-32600, "no"),
            json!({"error": {"code": -32600, "message": "no"}}),
        );
        let data = json!({"uri": "x"});
        check(
            Payload::Error {
                code: 1,
                message: String::new(),
                data: data.clone(),
            },
            json!({"error": {"code": 1, "message": "", "data": data}}),
        );
    }
}
