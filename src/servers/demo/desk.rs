//! Where a request is looked at: HTTP's side of it, then the JSON-RPC message,
//! then the era that it belongs to.
//!
//! Pure but for its own sessions: it is given the time and knows no socket, no
//! delay and no fault. Start at [`Desk::answer`].

use std::time::Duration;

use super::asking::{Consultation, DemoAsk};
use super::legacy::{self, Sessions};
use super::message::{ClientMessage, DemoReply, MessageKind, read_message};
use super::modern;
use super::offer::{Catalogue, Class};
use super::options::{DemoOptions, Eras};
use super::stats::DemoStats;
use super::wire::{DemoRequestHead, HttpMethod, HttpRequest};

/// The one path that is served.
pub(super) const ENDPOINT: &str = "/mcp";

/// Answers requests of both eras.
pub(super) struct Desk {
    offer: Catalogue,
    sessions: Sessions,
    eras: Eras,
    offers_streams: bool,
}

impl Desk {
    pub(super) fn new(options: &DemoOptions) -> Self {
        Self {
            offer: Catalogue::new(options.seed, options.off_schema_share),
            sessions: Sessions::new(options.seed, options.session_ttl, options.stateless_legacy),
            eras: options.eras,
            offers_streams: options.stream_every.is_some(),
        }
    }

    /// The answer to a request that was read in full at `now`. It counts what
    /// it sees in `stats`.
    pub(super) fn answer(
        &mut self,
        request: &HttpRequest,
        now: Duration,
        stats: &mut DemoStats,
    ) -> DemoReply {
        let head = &request.head;
        let or_refusal =
            |reply: Result<_, Box<DemoReply>>| reply.unwrap_or_else(|refusal| *refusal);
        if head.path != ENDPOINT {
            return DemoReply::text(404, format!("Not Found: the endpoint is {ENDPOINT}"));
        }
        match head.method {
            HttpMethod::Post => {}
            HttpMethod::Delete if self.has_sessions(head) => {
                return or_refusal(self.sessions.delete(head, now, stats));
            }
            HttpMethod::Get if self.has_sessions(head) && self.offers_streams => {
                if !head.accepts_stream {
                    return DemoReply::text(406, "Not Acceptable: accept text/event-stream");
                }
                return or_refusal(self.sessions.listen(head, now, stats));
            }
            HttpMethod::Delete | HttpMethod::Get | HttpMethod::Other => {
                let mut reply = DemoReply::text(405, "Method Not Allowed");
                reply.allow = Some(match (self.has_sessions(head), self.offers_streams) {
                    (true, true) => "POST, GET, DELETE",
                    (true, false) => "POST, DELETE",
                    (false, _) => "POST",
                });
                return reply;
            }
        }
        if !head.accepts_both {
            let text = "Not Acceptable: accept both application/json and text/event-stream";
            return DemoReply::text(406, text);
        }
        if !head.is_json {
            let text = "Unsupported Media Type: Content-Type must be application/json";
            return DemoReply::text(415, text);
        }
        let message = match read_message(&request.body) {
            Ok(message) => message,
            Err(refusal) => return *refusal,
        };
        count(&message, stats);
        let mut reply = if self.is_modern(head, &message) {
            modern::answer(&mut self.offer, head, &message, now, self.offers_streams)
        } else {
            legacy::answer(
                &mut self.offer,
                &mut self.sessions,
                head,
                &message,
                now,
                stats,
            )
        };
        let shop = &self.offer.shop;
        stats.sign_ins = shop.n_sign_ins;
        stats.off_schema = shop.n_off_schema;
        if matches!(message.kind, MessageKind::Request(_)) {
            reply.class = Some(class_of(&message.method));
        }
        reply
    }

    /// Ends a legacy session, as if it had expired.
    pub(super) fn expire(&mut self, session: u128, stats: &mut DemoStats) {
        self.sessions.expire(session, stats);
    }

    /// What a client is asked on its session's stream.
    pub(super) fn ask_on_stream(&mut self) -> DemoAsk {
        self.offer.ask_of(Consultation::Elicitation)
    }

    /// Whether a legacy session has not ended.
    pub(super) fn is_open(&self, session: u128) -> bool {
        self.sessions.is_open(session)
    }

    fn has_sessions(&self, head: &DemoRequestHead) -> bool {
        self.eras != Eras::ModernOnly
            && !self.sessions.is_stateless
            && head.version.as_deref() != Some(modern::VERSION)
    }

    /// The handshake is legacy whatever else the message says; for the rest the
    /// version decides, and a version that nobody knows is told so by the
    /// modern era, which has an error for it.
    fn is_modern(&self, head: &DemoRequestHead, message: &ClientMessage) -> bool {
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
        "tasks/get" | "tasks/update" | "tasks/cancel" => Class::Task,
        "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list" => {
            Class::List
        }
        _ => Class::Unknown,
    }
}

fn count(message: &ClientMessage, stats: &mut DemoStats) {
    match message.kind {
        MessageKind::Response(_) => stats.responses += 1,
        MessageKind::Notification => {
            stats.notifications += 1;
            match message.method.as_str() {
                "notifications/initialized" => stats.initialized += 1,
                "notifications/cancelled" => stats.cancels += 1,
                _ => {}
            }
        }
        MessageKind::Request(_) => match class_of(&message.method) {
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
                    Class::Task => match message.method.as_str() {
                        "tasks/get" => stats.task_gets += 1,
                        "tasks/update" => stats.task_updates += 1,
                        _ => stats.task_cancels += 1,
                    },
                    Class::Handshake | Class::Unknown => {}
                }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::message::ReplyBody;
    use super::super::offer::{INVALID_REQUEST, PARSE_ERROR, Payload};
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
            ReplyBody::Message {
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
        check("POST http://127.0.0.1:1 HTTP/1.1", 404);
        check("POST http://127.0.0.1:1?a=/mcp HTTP/1.1", 404);
        // As through a proxy (RFC 9112 section 3.2.2): 405 and 406 are of the endpoint.
        check("GET http://127.0.0.1:1/mcp HTTP/1.1", 405);
        check("POST HTTP://[::1]:8080/mcp?a=b HTTP/1.1", 406);
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
        #![proptest_config(crate::seeds::cases(64, 256))]

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
