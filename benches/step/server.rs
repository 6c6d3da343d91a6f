//! The server of the bench, and what is called: the forms of requests and answers that
//! are measured.

#[path = "../../tests/support/fake_server.rs"]
#[allow(dead_code, reason = "the end-to-end tests need the rest of it")]
mod fake_server;

use serde_json::{Value, json};

use fake_server::{Connection, FakeServer, Next, Request};

/// A call and what it is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// JSON with its length, in a legacy session.
    Legacy,
    /// JSON with its length, from a modern server.
    Modern,
    /// One event in a chunked stream that ends with it, in a legacy session.
    EventStream,
    /// JSON in one chunk, in a legacy session.
    Chunked,
    /// A tool's error, as JSON with its length, in a legacy session.
    ToolError,
    /// As `Legacy`, with arguments that are another text in each call.
    Templated,
    /// As `Legacy`, with the demo's answer to `login`, from which the token is taken.
    Extracting,
}

impl Variant {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Legacy,
        Self::Modern,
        Self::EventStream,
        Self::Chunked,
        Self::ToolError,
        Self::Templated,
        Self::Extracting,
    ];

    /// Its name in tables and in the committed figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Legacy => "json-legacy",
            Self::Modern => "json-modern",
            Self::EventStream => "event-stream",
            Self::Chunked => "json-chunked",
            Self::ToolError => "tool-error",
            Self::Templated => "templated",
            Self::Extracting => "extracting",
        }
    }

    /// The config of its run; `None`: `--tool` says what is called.
    pub(crate) fn config(self) -> Option<&'static str> {
        match self {
            Self::Templated => Some(TEMPLATED),
            Self::Extracting => Some(EXTRACTING),
            _ => None,
        }
    }

    /// The most instructions that a call may take, whatever is committed: so many times
    /// those of a plain call. The aims are of the day when it took 10,743, and stay where
    /// they are though the plain call has become cheaper.
    pub(crate) fn most(self) -> Option<f64> {
        const PLAIN: f64 = 10_743.0;
        match self {
            Self::Templated => Some(1.15 * PLAIN),
            Self::Extracting => Some(1.6 * PLAIN),
            _ => None,
        }
    }

    /// What `--protocol` says.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            _ => "legacy",
        }
    }

    /// Whether its calls succeed.
    pub(crate) fn succeeds(self) -> bool {
        self != Self::ToolError
    }

    fn answer(self, request: &Request, connection: &mut Connection) -> Next {
        let message = request.result(&self.result()).to_string();
        match self {
            Self::Legacy | Self::Modern | Self::ToolError | Self::Templated | Self::Extracting => {
                let kind = [("Content-Type", "application/json")];
                connection.answer(200, &kind, &message)
            }
            // In one write each, so that it is one read for the client.
            Self::EventStream => {
                let event = format!("event: message\ndata: {message}\n\n");
                chunked(connection, "text/event-stream", &event)
            }
            Self::Chunked => chunked(connection, "application/json", &message),
        }
    }

    fn result(self) -> Value {
        let content = json!([{"type": "text", "text": "hello"}]);
        match self {
            Self::ToolError => json!({"content": content, "isError": true}),
            Self::Extracting => {
                let data = json!({
                    "items": [{"id": 4}, {"id": 5}, {"id": 6}], "token": "3f6a2b9c0d1e4f57",
                });
                json!({
                    "content": [{"type": "text", "text": data.to_string()}],
                    "structuredContent": data, "isError": false,
                })
            }
            Self::Modern => json!({
                "content": content, "structuredContent": {"text": "hello"},
                "isError": false, "resultType": "complete",
            }),
            _ => json!({
                "content": content, "structuredContent": {"text": "hello"}, "isError": false,
            }),
        }
    }
}

const TEMPLATED: &str = r#"
[[scenario]]
type = "tools/call"
tool = "echo"
arguments = { text = "{{uuid}}", user = "{{vu}}", n = "{{iteration}}" }
"#;

const EXTRACTING: &str = r#"
[[scenario]]
type = "tools/call"
tool = "login"
arguments = { user = "ada", password = "x" }
extract = { token = "$.structuredContent.token" }
"#;

fn chunked(connection: &mut Connection, kind: &str, body: &str) -> Next {
    connection.write(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    ));
    Next::Keep
}

/// A running server.
pub(crate) struct Server(FakeServer);

impl Server {
    /// A server on a free loopback port that answers in this form.
    pub(crate) fn start(variant: Variant) -> Self {
        Self(FakeServer::start(move |request, connection| {
            match (variant, request.method().as_str()) {
                (_, "tools/call") => variant.answer(request, connection),
                (Variant::Modern, "server/discover") => connection.json(&request.result(&json!({
                    "resultType": "complete", "supportedVersions": ["2026-07-28"],
                    "capabilities": {"tools": {}}, "ttlMs": 3_600_000, "cacheScope": "public",
                    "serverInfo": {"name": "step", "version": "1.0.0"},
                }))),
                (_, "tools/list") => connection.json(&request.result(&json!({
                    "resultType": "complete", "ttlMs": 3_600_000, "cacheScope": "public",
                    "tools": (["echo", "login"].map(|name| json!({
                        "name": name, "inputSchema": {"type": "object"},
                    }))),
                }))),
                _ => fake_server::legacy(request, connection),
            }
        }))
    }

    /// The endpoint's URL.
    pub(crate) fn url(&self) -> String {
        self.0.url()
    }
}
