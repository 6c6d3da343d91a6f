//! HTTP/1.1 by hand over a blocking socket: what the harness's own tests speak.
//!
//! It is deliberately not the program's transport nor its decoders, so that a
//! fault there cannot hide itself. It knows just enough for well-behaved
//! servers on loopback: one request at a time, `Content-Length` or chunked
//! answers, and SSE with `data:` lines. Start at [`RawClient::connect`].

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// The revision with sessions that the harness speaks.
pub(crate) const LEGACY: &str = "2025-11-25";
/// The revision without sessions.
pub(crate) const MODERN: &str = "2026-07-28";

/// One kept-alive connection.
pub(crate) struct RawClient {
    stream: TcpStream,
    host: SocketAddr,
    /// Bytes read past the end of the last answer; a correct server sends none.
    unread: Vec<u8>,
}

impl RawClient {
    /// Connects; the test fails if that is impossible.
    pub(crate) fn connect(host: SocketAddr) -> Self {
        let stream = TcpStream::connect(host).expect("a connection to the test server");
        // A server that never answers fails the test rather than hangs it.
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a read timeout can be set");
        Self {
            stream,
            host,
            unread: Vec::new(),
        }
    }

    /// Posts a JSON-RPC message to `/mcp`.
    pub(crate) fn post(&mut self, headers: &[(&str, &str)], message: &Value) -> RawAnswer {
        let mut all = vec![
            ("Accept", "application/json, text/event-stream"),
            ("Content-Type", "application/json"),
        ];
        all.extend_from_slice(headers);
        self.send("POST", "/mcp", &all, message.to_string().as_bytes())
    }

    /// Sends one request, head and body in one write, and reads its answer.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> RawAnswer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).expect("the request is sent");
        self.read_answer()
    }

    fn read_answer(&mut self) -> RawAnswer {
        let head = self.read_until(b"\r\n\r\n");
        let head = String::from_utf8(head).expect("the head is ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no status in `{status_line}`"));
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        let mut answer = RawAnswer {
            status,
            headers,
            body: String::new(),
        };
        let body = if answer.header("transfer-encoding") == Some("chunked") {
            self.read_chunks()
        } else {
            let len = answer
                .header("content-length")
                .map_or(0, |len| len.parse().expect("a length"));
            self.read_exactly(len)
        };
        answer.body = String::from_utf8(body).expect("the body is UTF-8");
        answer
    }

    fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.read_until(b"\r\n");
            let line = String::from_utf8(line).expect("a chunk's length is ASCII");
            let len = usize::from_str_radix(line.trim(), 16).expect("a chunk's length");
            body.extend(self.read_exactly(len));
            assert_eq!(self.read_exactly(2), b"\r\n", "the end of a chunk");
            if len == 0 {
                return body;
            }
        }
    }

    fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self.unread.windows(end.len()).position(|part| part == end);
            if let Some(at) = found {
                return self.unread.drain(..at + end.len()).collect();
            }
            self.read_more();
        }
    }

    fn read_exactly(&mut self, len: usize) -> Vec<u8> {
        while self.unread.len() < len {
            self.read_more();
        }
        self.unread.drain(..len).collect()
    }

    fn read_more(&mut self) {
        let mut buffer = [0; 16 * 1024];
        let n = self.stream.read(&mut buffer).expect("the server answers");
        assert!(n > 0, "the server closed the connection in mid-answer");
        self.unread.extend_from_slice(&buffer[..n]);
    }
}

/// An answer, with the transfer coding removed and nothing else.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    /// Names in lower case, in the order received.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl RawAnswer {
    /// The value of the first header of that lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether it is an SSE stream.
    pub(crate) fn is_sse(&self) -> bool {
        self.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The one JSON-RPC response in it, whatever its framing.
    pub(crate) fn response(&self) -> Value {
        let text = if self.is_sse() {
            let mut messages = self
                .body
                .lines()
                .filter_map(|line| line.strip_prefix("data:"))
                .map(str::trim)
                .filter(|data| !data.is_empty());
            let first = messages.next().unwrap_or_default();
            assert_eq!(messages.next(), None, "one message in {:?}", self.body);
            first
        } else {
            self.body.as_str()
        };
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// A session of the legacy era, or the lack of one on a stateless server.
pub(crate) struct LegacySession {
    pub(crate) client: RawClient,
    pub(crate) initialized: Value,
    pub(crate) id: Option<String>,
}

impl LegacySession {
    /// `initialize` and `notifications/initialized`.
    pub(crate) fn open(host: SocketAddr) -> Self {
        let mut client = RawClient::connect(host);
        let answer = client.post(
            &[],
            &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
                "protocolVersion": LEGACY,
                "capabilities": {},
                "clientInfo": {"name": "harness", "version": "0"},
            }}),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        let id = answer.header("mcp-session-id").map(str::to_string);
        let initialized = answer.response();
        let mut session = Self {
            client,
            initialized,
            id,
        };
        let accepted =
            session.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        assert_eq!(accepted.status, 202, "{accepted:?}");
        session
    }

    /// A request with id 7.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> RawAnswer {
        self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}))
    }

    /// Ends the session.
    pub(crate) fn delete(&mut self) -> RawAnswer {
        let id = self.id.clone().unwrap_or_default();
        let headers = [
            ("MCP-Protocol-Version", LEGACY),
            ("Mcp-Session-Id", id.as_str()),
        ];
        self.client.send("DELETE", "/mcp", &headers, b"")
    }

    fn post(&mut self, message: &Value) -> RawAnswer {
        let mut headers = vec![("MCP-Protocol-Version", LEGACY)];
        let id = self.id.clone();
        if let Some(id) = &id {
            headers.push(("Mcp-Session-Id", id));
        }
        self.client.post(&headers, message)
    }
}

/// A request of the modern era with id 7. `name` goes into `Mcp-Name`.
pub(crate) fn modern_request(
    client: &mut RawClient,
    method: &str,
    name: Option<&str>,
    mut params: Value,
) -> RawAnswer {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "0"},
    });
    let mut headers = vec![("MCP-Protocol-Version", MODERN), ("Mcp-Method", method)];
    if let Some(name) = name {
        headers.push(("Mcp-Name", name));
    }
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    client.post(&headers, &message)
}
