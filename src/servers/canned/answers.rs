//! The answers, rendered once: only the id's digits are put in later.
//!
//! It does not know how a request is found, nor sockets.

/// What a request asks, as far as answers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedFor {
    /// `tools/call`
    CallTool,
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
    /// `tools/list`
    ListTools,
    /// `ping`
    Ping,
    /// A request with another method.
    Unknown,
    /// A notification or a response, which get no message.
    Nothing,
    /// HTTP's DELETE.
    EndOfSession,
    /// Neither POST nor DELETE.
    OtherHttpMethod,
}

impl AskedFor {
    const REQUESTS: [Self; 6] = [
        Self::CallTool,
        Self::Initialize,
        Self::Discover,
        Self::ListTools,
        Self::Ping,
        Self::Unknown,
    ];

    /// By the text of a body from its method's first letter on.
    pub(super) fn of_method(text: &[u8]) -> Self {
        match text {
            _ if text.starts_with(b"tools/call\"") => Self::CallTool,
            _ if text.starts_with(b"notifications/") => Self::Nothing,
            _ if text.starts_with(b"initialize\"") => Self::Initialize,
            _ if text.starts_with(b"server/discover\"") => Self::Discover,
            _ if text.starts_with(b"tools/list\"") => Self::ListTools,
            _ if text.starts_with(b"ping\"") => Self::Ping,
            _ => Self::Unknown,
        }
    }

    /// The members of the answer after its id; `None` where the answer has no message.
    fn message_tail(self) -> Option<&'static str> {
        Some(match self {
            Self::CallTool => concat!(
                r#","result":{"content":[{"type":"text","text":"hello"}],"#,
                r#""structuredContent":{"text":"hello"},"isError":false,"resultType":"complete"}}"#
            ),
            Self::Initialize => concat!(
                r#","result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"#,
                r#""serverInfo":{"name":"canned","version":"1.0.0"}}}"#
            ),
            Self::Discover => concat!(
                r#","result":{"resultType":"complete","supportedVersions":["2026-07-28"],"#,
                r#""capabilities":{"tools":{}},"ttlMs":3600000,"cacheScope":"public","#,
                r#""serverInfo":{"name":"canned","version":"1.0.0"}}}"#
            ),
            Self::ListTools => concat!(
                r#","result":{"resultType":"complete","ttlMs":3600000,"cacheScope":"public","#,
                r#""tools":[{"name":"echo","description":"gives the text back","#,
                r#""inputSchema":{"type":"object","properties":{"text":{"type":"string"}},"#,
                r#""required":["text"]},"annotations":{"readOnlyHint":true}}]}}"#
            ),
            Self::Ping => r#","result":{}}"#,
            Self::Unknown => r#","error":{"code":-32601,"message":"no such method"}}"#,
            Self::Nothing | Self::EndOfSession | Self::OtherHttpMethod => return None,
        })
    }
}

/// The framing of `tools/call` answers; all others are JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFraming {
    /// One JSON object with its length.
    Json,
    /// One event in one chunk.
    EventStream,
}

/// All answers.
#[derive(Debug)]
pub struct CannedAnswers {
    /// In the order of `Asked::REQUESTS`.
    messages: [RenderedAnswer; AskedFor::REQUESTS.len()],
}

/// An answer without its id.
#[derive(Debug, Default)]
struct RenderedAnswer {
    /// By the number of the id's digits, on which the length depends: all that
    /// comes before the id.
    before_id: Vec<Vec<u8>>,
    after_id: Vec<u8>,
}

const ACCEPTED: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
const ENDED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const NOT_ALLOWED: &[u8] =
    b"HTTP/1.1 405 Method Not Allowed\r\nAllow: POST, DELETE\r\nContent-Length: 0\r\n\r\n";
/// What is said to bytes that are no readable request.
pub(super) const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

impl CannedAnswers {
    /// Renders all answers.
    pub fn new(framing: AnswerFraming, n_digits_max: usize) -> Self {
        Self {
            messages: AskedFor::REQUESTS.map(|asked| {
                let framing = match asked {
                    AskedFor::CallTool => framing,
                    _ => AnswerFraming::Json,
                };
                render(asked, framing, n_digits_max)
            }),
        }
    }

    /// Appends the answer. A request without an id of digits gets 400.
    pub fn write(&self, asked: AskedFor, id: &[u8], out: &mut Vec<u8>) {
        let Some(at) = AskedFor::REQUESTS.iter().position(|known| *known == asked) else {
            return out.extend_from_slice(match asked {
                AskedFor::EndOfSession => ENDED,
                AskedFor::OtherHttpMethod => NOT_ALLOWED,
                _ => ACCEPTED,
            });
        };
        let message = &self.messages[at];
        match message.before_id.get(id.len()) {
            Some(before_id) if !id.is_empty() => {
                out.extend_from_slice(before_id);
                out.extend_from_slice(id);
                out.extend_from_slice(&message.after_id);
            }
            _ => out.extend_from_slice(BAD_REQUEST),
        }
    }
}

fn render(asked: AskedFor, framing: AnswerFraming, n_digits_max: usize) -> RenderedAnswer {
    let Some(tail) = asked.message_tail() else {
        return RenderedAnswer::default();
    };
    const MESSAGE: &str = r#"{"jsonrpc":"2.0","id":"#;
    const EVENT: &str = "event: message\ndata: ";
    const EVENT_END: &str = "\n\n";
    let session = match asked {
        AskedFor::Initialize => "Mcp-Session-Id: 8a7c0d8e6f2b4f5e9d3c1b0a7e6f5d4c\r\n",
        _ => "",
    };
    let before_id = |n_digits: usize| {
        let n_bytes = MESSAGE.len() + n_digits + tail.len();
        match framing {
            AnswerFraming::Json => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{session}\
                 Content-Length: {n_bytes}\r\n\r\n{MESSAGE}"
            ),
            AnswerFraming::EventStream => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{session}\
                 Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{EVENT}{MESSAGE}",
                EVENT.len() + n_bytes + EVENT_END.len()
            ),
        }
    };
    RenderedAnswer {
        before_id: (0..=n_digits_max)
            .map(|n_digits| before_id(n_digits).into_bytes())
            .collect(),
        after_id: match framing {
            AnswerFraming::Json => tail.to_string(),
            AnswerFraming::EventStream => format!("{tail}{EVENT_END}\r\n0\r\n\r\n"),
        }
        .into_bytes(),
    }
}
