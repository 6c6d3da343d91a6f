//! Where a request is looked at: HTTP's side of it, then the JSON-RPC message,
//! then the era that it belongs to.
//!
//! Pure but for its own sessions: it is given the time and knows no socket, no
//! delay and no fault. Start at [`Desk::answer`].

use std::time::Duration;

use serde_json::{Map, Value};

use super::legacy::{self, Sessions};
use super::modern;
use super::offer::{Class, INVALID_REQUEST, Offer, PARSE_ERROR, Payload};
use super::wire::{Head, Method, Request};
use super::{DemoOptions, DemoStats, Eras};

/// The one path that is served.
pub(super) const ENDPOINT: &str = "/mcp";

/// Answers requests of both eras.
pub(super) struct Desk {
    offer: Offer,
    sessions: Sessions,
    eras: Eras,
}

/// An answer, before it is written out, delayed or spoilt.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Body,
    /// The session that begins with this answer.
    pub(super) session: Option<String>,
    /// The methods allowed, for 405.
    pub(super) allow: Option<&'static str>,
    /// What sort of call is answered; `None` where the message is none.
    pub(super) class: Option<Class>,
    /// What the work takes on top of the server's latency. `None` where there
    /// is no work: what was refused is answered at once.
    pub(super) work: Option<Duration>,
    /// The legacy session that the call came in.
    pub(super) within: Option<u128>,
}

/// What an answer holds.
#[derive(Debug)]
pub(super) enum Body {
    Empty,
    Text(String),
    Message { id: Value, payload: Payload },
}

/// A message of a client.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// Empty for a response.
    pub(super) method: String,
    /// An object, or `Null`.
    pub(super) params: Value,
}

/// What sort of message it is.
#[derive(Debug)]
pub(super) enum Kind {
    /// Has an id, a string or an integer.
    Request(Value),
    Notification,
    /// The answer to a request of ours, which we never send.
    Response,
}

impl Reply {
    /// An answer without a body.
    pub(super) fn empty(status: u16) -> Self {
        Self::new(status, Body::Empty)
    }

    /// An answer for people.
    pub(super) fn text(status: u16, text: impl Into<String>) -> Self {
        Self::new(status, Body::Text(text.into()))
    }

    /// A JSON-RPC answer.
    pub(super) fn message(status: u16, id: Value, payload: Payload) -> Self {
        Self::new(status, Body::Message { id, payload })
    }

    /// A JSON-RPC error that belongs to no request.
    pub(super) fn refusal(status: u16, code: i64, message: impl Into<String>) -> Self {
        Self::message(status, Value::Null, Payload::error(code, message))
    }

    /// Whether the answer asks the client something first.
    pub(super) fn asks_back(&self) -> bool {
        matches!(
            &self.body,
            Body::Message { payload: Payload::Result(result), .. }
                if result["resultType"] == "input_required"
        )
    }

    fn new(status: u16, body: Body) -> Self {
        Self {
            status,
            body,
            session: None,
            allow: None,
            class: None,
            work: None,
            within: None,
        }
    }
}

impl Desk {
    pub(super) fn new(options: &DemoOptions) -> Self {
        Self {
            offer: Offer::new(options.seed),
            sessions: Sessions::new(options.seed, options.session_ttl, options.stateless_legacy),
            eras: options.eras,
        }
    }

    /// The answer to a request that was read in full at `now`. It counts what
    /// it sees in `stats`.
    pub(super) fn answer(
        &mut self,
        request: &Request,
        now: Duration,
        stats: &mut DemoStats,
    ) -> Reply {
        let head = &request.head;
        if head.path != ENDPOINT {
            return Reply::text(404, format!("Not Found: the endpoint is {ENDPOINT}"));
        }
        match head.method {
            Method::Post => {}
            Method::Delete if self.has_sessions(head) => {
                return self.sessions.delete(head, now, stats);
            }
            Method::Delete | Method::Get | Method::Other => {
                let mut reply = Reply::text(405, "Method Not Allowed");
                let has_delete = self.has_sessions(head);
                reply.allow = Some(if has_delete { "POST, DELETE" } else { "POST" });
                return reply;
            }
        }
        if !head.accepts_both {
            let text = "Not Acceptable: accept both application/json and text/event-stream";
            return Reply::text(406, text);
        }
        if !head.is_json {
            let text = "Unsupported Media Type: Content-Type must be application/json";
            return Reply::text(415, text);
        }
        let message = match read_message(&request.body) {
            Ok(message) => message,
            Err(refusal) => return *refusal,
        };
        count(&message, stats);
        let mut reply = if self.is_modern(head, &message) {
            modern::answer(&self.offer, head, &message)
        } else {
            legacy::answer(&self.offer, &mut self.sessions, head, &message, now, stats)
        };
        if matches!(message.kind, Kind::Request(_)) {
            reply.class = Some(class_of(&message.method));
        }
        reply
    }

    /// Ends a legacy session, as if it had expired.
    pub(super) fn expire(&mut self, session: u128, stats: &mut DemoStats) {
        self.sessions.expire(session, stats);
    }

    fn has_sessions(&self, head: &Head) -> bool {
        self.eras != Eras::ModernOnly
            && !self.sessions.is_stateless()
            && head.version.as_deref() != Some(modern::VERSION)
    }

    /// The handshake is legacy whatever else the message says; for the rest the
    /// version decides, and a version that nobody knows is told so by the
    /// modern era, which has an error for it.
    fn is_modern(&self, head: &Head, message: &Message) -> bool {
        match self.eras {
            Eras::LegacyOnly => false,
            Eras::ModernOnly => true,
            Eras::Both if message.method == "initialize" => false,
            Eras::Both => {
                modern::names_version(&message.params)
                    || match head.version.as_deref() {
                        None => false,
                        Some(modern::VERSION) => true,
                        Some(version) => {
                            head.session.is_none() && !legacy::VERSIONS.contains(&version)
                        }
                    }
            }
        }
    }
}

fn class_of(method: &str) -> Class {
    match method {
        "initialize" | "server/discover" => Class::Handshake,
        "ping" => Class::Ping,
        "tools/call" => Class::ToolCall,
        "resources/read" => Class::ResourceRead,
        "prompts/get" => Class::PromptGet,
        "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list" => {
            Class::List
        }
        _ => Class::Unknown,
    }
}

fn count(message: &Message, stats: &mut DemoStats) {
    match message.kind {
        Kind::Response => stats.responses += 1,
        Kind::Notification => {
            stats.notifications += 1;
            match message.method.as_str() {
                "notifications/initialized" => stats.initialized += 1,
                "notifications/cancelled" => stats.cancels += 1,
                _ => {}
            }
        }
        Kind::Request(_) => match class_of(&message.method) {
            Class::Handshake if message.method == "initialize" => stats.initializes += 1,
            Class::Handshake => stats.discovers += 1,
            class => {
                stats.calls += 1;
                match class {
                    Class::ToolCall => stats.tool_calls += 1,
                    Class::ResourceRead => stats.resource_reads += 1,
                    Class::PromptGet => stats.prompt_gets += 1,
                    Class::List => stats.lists += 1,
                    Class::Ping => stats.pings += 1,
                    Class::Handshake | Class::Unknown => {}
                }
            }
        },
    }
}

/// Reads one JSON-RPC message, or gives the answer that says why it is none.
fn read_message(body: &[u8]) -> Result<Message, Box<Reply>> {
    let invalid = |text: &str| Box::new(Reply::refusal(400, INVALID_REQUEST, text));
    let mut object: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => object,
        Ok(Value::Array(_)) => return Err(invalid("Invalid Request: batches are not supported")),
        Ok(_) => return Err(invalid("Invalid Request: not an object")),
        Err(error) => {
            let text = format!("Parse error: {error}");
            return Err(Box::new(Reply::refusal(400, PARSE_ERROR, text)));
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
            return Ok(Message {
                kind: Kind::Response,
                method: String::new(),
                params: Value::Null,
            });
        }
        None => return Err(invalid("Invalid Request: no method")),
    };
    let kind = match id {
        None => Kind::Notification,
        Some(id) if id.is_string() || id.is_i64() || id.is_u64() => Kind::Request(id),
        Some(_) => {
            return Err(invalid(
                "Invalid Request: the id must be a string or an integer",
            ));
        }
    };
    match object.remove("params") {
        None => Ok(Message {
            kind,
            method,
            params: Value::Null,
        }),
        Some(params @ Value::Object(_)) => Ok(Message {
            kind,
            method,
            params,
        }),
        Some(_) => Err(invalid("Invalid Request: params must be an object")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::RequestReader;
    use super::*;

    /// What a desk answers to a request as text: status, and the error's code or 0.
    fn ask(desk: &mut Desk, head: &str, body: &str) -> (u16, i64) {
        let text = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut reader = RequestReader::default();
        let (_, request) = reader.feed(text.as_bytes()).expect("a request");
        let request = request.expect("a whole request");
        let reply = desk.answer(&request, Duration::ZERO, &mut DemoStats::default());
        let code = match reply.body {
            Body::Message {
                payload: Payload::Error { code, .. },
                ..
            } => code,
            _ => 0,
        };
        (reply.status, code)
    }

    const POST: &str = "POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream";

    #[test]
    fn http_is_checked_first() {
        let mut desk = Desk::new(&DemoOptions::default());
        let mut check = |head: &str, status: u16| {
            assert_eq!(ask(&mut desk, head, "{}"), (status, 0), "{head}");
        };
        check("POST / HTTP/1.1", 404);
        check("POST /mcp/ HTTP/1.1", 404);
        check("GET /mcp HTTP/1.1", 405);
        check("PATCH /mcp HTTP/1.1", 405);
        check("POST /mcp HTTP/1.1\r\nAccept: */*", 406);
        check("POST /mcp HTTP/1.1\r\nAccept: application/json", 406);
        let both = "Accept: text/event-stream\r\nAccept: application/json";
        check(&format!("POST /mcp HTTP/1.1\r\n{both}"), 415);
        let plain = "Content-Type: text/plain";
        check(&format!("POST /mcp HTTP/1.1\r\n{both}\r\n{plain}"), 415);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let mut desk = Desk::new(&DemoOptions::default());
        let mut check = |body: &str, code: i64| {
            assert_eq!(ask(&mut desk, POST, body), (400, code), "{body}");
        };
        check("", PARSE_ERROR);
        check("{", PARSE_ERROR);
        check(&"[".repeat(100_000), PARSE_ERROR);
        check("[]", INVALID_REQUEST);
        check("7", INVALID_REQUEST);
        check("{}", INVALID_REQUEST);
        check(r#"{"jsonrpc":"2.0"}"#, INVALID_REQUEST);
        check(
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            INVALID_REQUEST,
        );
        check(
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            INVALID_REQUEST,
        );
        check(
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            INVALID_REQUEST,
        );
        check(r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST);
        check(
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            INVALID_REQUEST,
        );
    }

    proptest! {
        #[test]
        fn no_message_makes_it_panic(
            method in "(initialize|ping|tools/call|tools/list|prompts/get|resources/read|server/discover|x)",
            id in r#"(1|"a"|null|-7|1e400|\{\})"#,
            params in r#"(\{\}|\[\]|7|\{"(name|uri|cursor|_meta|arguments|protocolVersion|requestState)": ?("[a-z_]{0,4}"|7|null|\{\}|\[1\])\}|.{0,20})"#,
            version in "(|2025-11-25|2026-07-28|2031-01-01)",
            is_stateless in any::<bool>(),
        ) {
            let mut desk = Desk::new(&DemoOptions {
                stateless_legacy: is_stateless,
                ..DemoOptions::default()
            });
            let head = if version.is_empty() {
                POST.to_string()
            } else {
                format!("{POST}\r\nMCP-Protocol-Version: {version}")
            };
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
            let (status, _) = ask(&mut desk, &head, &body);
            prop_assert!(matches!(status, 200 | 202 | 400 | 404));
        }
    }
}
