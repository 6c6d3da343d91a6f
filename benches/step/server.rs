//! The server of the bench, and the forms of answers that are measured.

#[path = "../../tests/support/fake_server.rs"]
#[allow(dead_code, reason = "the end-to-end tests need the rest of it")]
mod fake_server;

use serde_json::{Value, json};

use fake_server::{Connection, FakeServer, Next, Request};

/// What a call is answered with.
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
}

impl Variant {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Legacy,
        Self::Modern,
        Self::EventStream,
        Self::Chunked,
        Self::ToolError,
    ];

    /// Its name in tables and in the committed figures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Legacy => "json-legacy",
            Self::Modern => "json-modern",
            Self::EventStream => "event-stream",
            Self::Chunked => "json-chunked",
            Self::ToolError => "tool-error",
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
            Self::Legacy | Self::Modern | Self::ToolError => {
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
                    "tools": [{"name": "echo", "inputSchema": {"type": "object"}}],
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
