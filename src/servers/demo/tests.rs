//! The server from outside, over sockets, by a client written out by hand.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// As fast as it can, so that tests don't wait.
fn quick() -> DemoOptions {
    DemoOptions {
        latency: DemoLatency::None,
        ..DemoOptions::default()
    }
}

fn start(options: DemoOptions) -> DemoServer {
    DemoServer::start(options).expect("a free port")
}

/// One connection.
struct Client {
    stream: TcpStream,
    /// What was received and not used yet.
    received: Vec<u8>,
    /// The session and the version that legacy requests carry.
    session: Option<String>,
    version: Option<&'static str>,
    next_id: u64,
}

#[derive(Debug)]
struct HttpAnswer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl HttpAnswer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The message of a JSON body, or of the last event with data.
    fn message(&self) -> Value {
        let text = std::str::from_utf8(&self.body).expect("UTF-8");
        let json = if self.header("content-type") == Some("text/event-stream") {
            let mut data = text
                .lines()
                .rev()
                .filter_map(|line| line.strip_prefix("data: "));
            data.next().expect("an event")
        } else {
            text
        };
        serde_json::from_str(json).expect("JSON")
    }

    fn error_code(&self) -> Option<i64> {
        self.message()["error"]["code"].as_i64()
    }
}

impl Client {
    fn connect(server: &DemoServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
        let timeout = Some(Duration::from_secs(20));
        stream.set_read_timeout(timeout).expect("a timeout");
        Self {
            stream,
            received: Vec::new(),
            session: None,
            version: None,
            next_id: 1,
        }
    }

    /// Connected, initialized, and with a session if the server gives one.
    fn legacy(server: &DemoServer) -> Self {
        let mut client = Self::connect(server);
        let answer = client.initialize("2025-11-25");
        assert_eq!(answer.status, 200);
        client.session = answer.header("mcp-session-id").map(str::to_string);
        client.version = Some("2025-11-25");
        assert_eq!(client.notify("notifications/initialized").status, 202);
        client
    }

    fn initialize(&mut self, version: &str) -> HttpAnswer {
        self.rpc(
            "initialize",
            json!({
                "protocolVersion": version,
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"}
            }),
        )
    }

    fn notify(&mut self, method: &str) -> HttpAnswer {
        let body = json!({"jsonrpc": "2.0", "method": method});
        self.post(&self.legacy_headers(), &body.to_string());
        self.answer().expect("an answer")
    }

    fn legacy_headers(&self) -> String {
        let mut headers = String::new();
        if let Some(session) = &self.session {
            headers += &format!("Mcp-Session-Id: {session}\r\n");
        }
        if let Some(version) = self.version {
            headers += &format!("MCP-Protocol-Version: {version}\r\n");
        }
        headers
    }

    fn ask(&mut self, method: &str, params: Value) {
        let id = self.next_id;
        self.next_id += 1;
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.post(&self.legacy_headers(), &body.to_string());
    }

    fn rpc(&mut self, method: &str, params: Value) -> HttpAnswer {
        self.ask(method, params);
        self.answer().expect("an answer")
    }

    fn ask_echo(&mut self) {
        self.ask(
            "tools/call",
            json!({"name": "echo", "arguments": {"text": "x"}}),
        );
    }

    fn echo(&mut self) -> HttpAnswer {
        self.ask_echo();
        self.answer().expect("an answer")
    }

    /// A modern request with all that it needs; `extra` are further headers.
    fn ask_modern(&mut self, method: &str, mut params: Value, name: Option<&str>, extra: &str) {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
        });
        let mut headers = format!("MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n");
        if let Some(name) = name {
            headers += &format!("Mcp-Name: {name}\r\n");
        }
        let id = self.next_id;
        self.next_id += 1;
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.post(&(headers + extra), &body.to_string());
    }

    fn modern(&mut self, method: &str, params: Value, name: Option<&str>) -> HttpAnswer {
        self.ask_modern(method, params, name, "");
        self.answer().expect("an answer")
    }

    fn post(&mut self, headers: &str, body: &str) {
        let text = format!(
            "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.write(text.as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
    }

    /// The next answer; an error where the connection ends before its end.
    fn answer(&mut self) -> io::Result<HttpAnswer> {
        let head_len = self.receive_until(b"\r\n\r\n")?;
        let head: Vec<u8> = self.received.drain(..head_len).collect();
        let head = String::from_utf8(head).expect("UTF-8");
        let status = head[9..12].parse().expect("a status");
        let mut answer = HttpAnswer {
            status,
            head,
            body: Vec::new(),
        };
        if let Some(length) = answer.header("content-length") {
            let length: usize = length.parse().expect("a length");
            while self.received.len() < length {
                self.receive()?;
            }
            answer.body = self.received.drain(..length).collect();
        } else {
            assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
            while let Some(chunk) = self.chunk()? {
                answer.body.extend_from_slice(&chunk);
            }
        }
        Ok(answer)
    }

    fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line_len = self.receive_until(b"\r\n")?;
        let line: Vec<u8> = self.received.drain(..line_len).collect();
        let digits = std::str::from_utf8(&line).expect("a size").trim();
        let size = usize::from_str_radix(digits, 16).expect("a size");
        while self.received.len() < size + 2 {
            self.receive()?;
        }
        let chunk: Vec<u8> = self.received.drain(..size).collect();
        assert_eq!(self.received.drain(..2).collect::<Vec<u8>>(), b"\r\n");
        Ok((size > 0).then_some(chunk))
    }

    fn receive_until(&mut self, mark: &[u8]) -> io::Result<usize> {
        loop {
            let found = self.received.windows(mark.len()).position(|w| w == mark);
            if let Some(at) = found {
                return Ok(at + mark.len());
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            len => {
                self.received.extend_from_slice(&bytes[..len]);
                Ok(())
            }
        }
    }

    /// Nothing was received of an answer, and nothing will be.
    fn is_closed_without_answer(&mut self) -> bool {
        self.receive().is_err() && self.received.is_empty()
    }
}

/// Asks until the server's count is as wanted.
fn wait_for(server: &DemoServer, what: impl Fn(&DemoStats) -> bool) -> DemoStats {
    let deadline = crate::clock::now() + Duration::from_secs(20);
    loop {
        let stats = server.stats();
        if what(&stats) {
            return stats;
        }
        assert!(crate::clock::now() < deadline, "never came: {stats:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_legacy_session_from_begin_to_end() {
    let server = start(quick());
    assert_eq!(
        server.url(),
        format!("http://127.0.0.1:{}/mcp", server.port())
    );
    let mut client = Client::legacy(&server);
    assert!(client.session.as_ref().is_some_and(|id| id.len() == 32));
    assert_eq!(client.rpc("ping", json!({})).message()["result"], json!({}));
    assert_eq!(
        client.echo().message(),
        json!({
            "jsonrpc": "2.0", "id": 3,
            "result": {"content": [{"type": "text", "text": "x"}], "isError": false}
        })
    );
    let page = client.rpc("tools/list", json!({})).message();
    assert_eq!(page["result"]["tools"][0]["name"], "echo");
    assert_eq!(client.rpc("x/y", json!({})).error_code(), Some(-32601));
    let unknown = client.rpc("resources/read", json!({"uri": "demo://no"}));
    assert_eq!((unknown.status, unknown.error_code()), (200, Some(-32002)));
    let delete = format!("DELETE /mcp HTTP/1.1\r\n{}\r\n", client.legacy_headers());
    client.write(delete.as_bytes());
    assert_eq!(client.answer().expect("an answer").status, 200);
    client.write(delete.as_bytes());
    assert_eq!(client.answer().expect("an answer").status, 404);
    assert_eq!(client.echo().status, 404);
    client.session = None;
    assert_eq!(client.echo().status, 400);
    let stats = server.stop();
    assert_eq!(stats.initializes, 1);
    assert_eq!((stats.sessions_opened, stats.sessions_deleted), (1, 1));
    assert_eq!((stats.notifications, stats.initialized), (1, 1));
    assert_eq!((stats.calls, stats.finished, stats.in_flight), (7, 7, 0));
    assert_eq!((stats.tool_calls, stats.lists, stats.pings), (3, 1, 1));
    assert_eq!((stats.requests, stats.connections_opened), (11, 1));
}

#[test]
fn versions_are_negotiated_and_held() {
    let server = start(quick());
    let mut client = Client::connect(&server);
    let check = |client: &mut Client, asked: &str, given: &str| {
        let answer = client.initialize(asked);
        assert_eq!(answer.message()["result"]["protocolVersion"], given);
        client.session = answer.header("mcp-session-id").map(str::to_string);
    };
    check(&mut client, "2025-03-26", "2025-03-26");
    check(&mut client, "2026-07-28", "2025-11-25");
    check(&mut client, "1999-01-01", "2025-11-25");
    check(&mut client, "2025-06-18", "2025-06-18");
    assert_eq!(client.echo().status, 200, "the header may be missing");
    client.version = Some("2025-06-18");
    assert_eq!(client.echo().status, 200);
    client.version = Some("2025-11-25");
    assert_eq!(client.echo().status, 400, "not the negotiated one");
    client.version = Some("1999-01-01");
    assert_eq!(client.echo().status, 400);
    client.version = Some("2025-06-18");
    client.session = Some("0".repeat(32));
    assert_eq!(client.echo().status, 404);
}

#[test]
fn a_stateless_legacy_server_gives_no_session() {
    let server = start(DemoOptions {
        stateless_legacy: true,
        ..quick()
    });
    let mut client = Client::legacy(&server);
    assert_eq!(client.session, None);
    assert_eq!(client.echo().status, 200);
    client.write(b"DELETE /mcp HTTP/1.1\r\n\r\n");
    let answer = client.answer().expect("an answer");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    assert_eq!(server.stop().sessions_opened, 0);
}

#[test]
fn a_session_has_one_stream_which_ends_with_it() {
    let server = start(DemoOptions {
        stream_every: Some(5 * MS),
        ..quick()
    });
    let mut client = Client::legacy(&server);
    let get = |client: &Client, more: &str| {
        let headers = client.legacy_headers();
        format!("GET /mcp HTTP/1.1\r\nAccept: text/event-stream\r\n{headers}{more}\r\n")
    };
    let mut stream = Client::connect(&server);
    stream.write(get(&client, "Last-Event-ID: 7\r\n").as_bytes());
    // It goes on where the client says that it was.
    let mut came = String::new();
    while !came.contains("id: 8\n") || !came.contains("id: 9\n") {
        let mut bytes = [0; 1024];
        let n = stream.stream.read(&mut bytes).expect("bytes");
        assert!(n > 0, "{came}");
        came += std::str::from_utf8(&bytes[..n]).expect("UTF-8");
    }
    assert!(came.contains("text/event-stream"), "{came}");
    assert!(came.contains("notifications/message"), "{came}");
    // A second one is refused, and calls go on.
    let mut other = Client::connect(&server);
    other.write(get(&client, "").as_bytes());
    assert_eq!(other.answer().expect("an answer").status, 409);
    assert_eq!(client.echo().status, 200);
    let headers = client.legacy_headers();
    client.write(format!("DELETE /mcp HTTP/1.1\r\n{headers}\r\n").as_bytes());
    assert_eq!(client.answer().expect("an answer").status, 200);
    while !came.ends_with("0\r\n\r\n") {
        let mut bytes = [0; 1024];
        let n = stream.stream.read(&mut bytes).expect("bytes");
        assert!(n > 0, "{came}");
        came += std::str::from_utf8(&bytes[..n]).expect("UTF-8");
    }
    // Without a session, or from who does not take it, there is none.
    other.write(get(&client, "").as_bytes());
    assert_eq!(other.answer().expect("an answer").status, 404);
    other.write(b"GET /mcp HTTP/1.1\r\n\r\n");
    assert_eq!(other.answer().expect("an answer").status, 406);
    let stats = server.stop();
    assert_eq!((stats.streams_opened, stats.streams_open), (1, 0));
    assert!(stats.notices_sent >= 2, "{stats:?}");
}

#[test]
fn a_session_lives_for_its_time() {
    let server = start(DemoOptions {
        session_ttl: Some(Duration::ZERO),
        ..quick()
    });
    let mut client = Client::connect(&server);
    let answer = client.initialize("2025-11-25");
    client.session = answer.header("mcp-session-id").map(str::to_string);
    assert_eq!(client.echo().status, 404);
    assert_eq!(server.stop().sessions_expired, 1);
}

#[test]
fn the_modern_era_needs_no_handshake() {
    let server = start(quick());
    let mut client = Client::connect(&server);
    let discovered = client.modern("server/discover", json!({}), None).message();
    let result = &discovered["result"];
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["cacheScope"], "public");
    assert!(result["ttlMs"].is_u64());
    let info = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(info["name"], "pmcp-demo");
    let echo = json!({"name": "echo", "arguments": {"text": "x"}});
    let answer = client.modern("tools/call", echo.clone(), Some("echo"));
    assert_eq!(answer.header("mcp-session-id"), None);
    assert_eq!(answer.message()["result"]["resultType"], "complete");
    let encoded = client.modern("tools/call", echo.clone(), Some("=?base64?ZWNobw==?="));
    assert_eq!(encoded.status, 200);
    let check = |answer: HttpAnswer, status: u16, code: i64| {
        assert_eq!((answer.status, answer.error_code()), (status, Some(code)));
    };
    check(client.modern("tools/call", echo.clone(), None), 400, -32020);
    check(client.modern("tools/call", echo, Some("add")), 400, -32020);
    check(client.modern("ping", json!({}), None), 404, -32601);
    let read = json!({"uri": "demo://no"});
    check(
        client.modern("resources/read", read, Some("demo://no")),
        200,
        -32602,
    );
    client.write(b"DELETE /mcp HTTP/1.1\r\nMCP-Protocol-Version: 2026-07-28\r\n\r\n");
    assert_eq!(client.answer().expect("an answer").status, 405);
    let stats = server.stop();
    assert_eq!((stats.discovers, stats.initializes), (1, 0));
    assert_eq!((stats.calls, stats.tool_calls), (6, 4));
}

#[test]
fn the_modern_envelope_is_checked() {
    let server = start(quick());
    let mut client = Client::connect(&server);
    let mut check = |headers: &str, meta: Value, status: u16, code: i64| {
        let body = json!({
            "jsonrpc": "2.0", "id": "a", "method": "server/discover", "params": {"_meta": meta}
        });
        client.post(headers, &body.to_string());
        let answer = client.answer().expect("an answer");
        assert_eq!((answer.status, answer.error_code()), (status, Some(code)));
        assert_eq!(answer.message()["id"], "a");
        answer.message()["error"]["data"].clone()
    };
    let version_key = "io.modelcontextprotocol/protocolVersion";
    let capabilities_key = "io.modelcontextprotocol/clientCapabilities";
    let meta = |version: &str| json!({version_key: version, capabilities_key: {}});
    let headers = |version: &str, method: &str| {
        format!("MCP-Protocol-Version: {version}\r\nMcp-Method: {method}\r\n")
    };
    let good = headers("2026-07-28", "server/discover");
    check(&good, json!({version_key: "2026-07-28"}), 400, -32602);
    check(&good, json!({capabilities_key: {}}), 400, -32602);
    check("", meta("2026-07-28"), 400, -32020);
    check(&good, meta("2027-01-01"), 400, -32020);
    let method = headers("2026-07-28", "ping");
    check(&method, meta("2026-07-28"), 400, -32020);
    let twice = format!("{good}Mcp-Method: ping\r\n");
    check(&twice, meta("2026-07-28"), 400, -32020);
    let later = headers("2027-01-01", "server/discover");
    let data = check(&later, meta("2027-01-01"), 400, -32022);
    assert_eq!(
        data,
        json!({"supported": ["2026-07-28"], "requested": "2027-01-01"})
    );
}

#[test]
fn annotated_arguments_are_repeated_in_headers() {
    let server = start(quick());
    let mut client = Client::connect(&server);
    let mut check = |arguments: Value, headers: &str, status: u16| {
        let params = json!({"name": "region_report", "arguments": arguments});
        client.ask_modern("tools/call", params, Some("region_report"), headers);
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, status, "{headers}");
        let code = (status == 400).then_some(-32020);
        assert_eq!(answer.error_code(), code);
    };
    let eu = json!({"region": "eu"});
    check(eu.clone(), "Mcp-Param-Region: eu\r\n", 200);
    check(eu.clone(), "mcp-param-region: =?base64?ZXU=?=\r\n", 200);
    check(eu.clone(), "", 400);
    check(eu.clone(), "Mcp-Param-Region: us\r\n", 400);
    check(eu, "Mcp-Param-Region: eu\r\nMcp-Param-Days: 3\r\n", 400);
    let all = "Mcp-Param-Region: eu\r\nMcp-Param-Days: 3\r\nMcp-Param-Detailed: true\r\n";
    check(
        json!({"region": "eu", "days": 3, "detailed": true}),
        all,
        200,
    );
    check(
        json!({"region": "eu", "days": 3.0, "detailed": true}),
        all,
        200,
    );
    check(
        json!({"region": "eu", "days": 4, "detailed": true}),
        all,
        400,
    );
    check(
        json!({"region": "eu", "days": 3, "detailed": null}),
        all,
        400,
    );
}

#[test]
fn a_tool_asks_back_and_is_answered() {
    let server = start(quick());
    let mut client = Client::connect(&server);
    let mut params = json!({"name": "order_coffee", "arguments": {"drink": "tea"}});
    let name = Some("order_coffee");
    let asked = client.modern("tools/call", params.clone(), name).message();
    assert_eq!(asked["result"]["resultType"], "input_required");
    params["requestState"] = asked["result"]["requestState"].clone();
    params["inputResponses"] = json!({"size": {"action": "accept", "content": {"size": "small"}}});
    let done = client.modern("tools/call", params, name).message();
    assert_eq!(done["result"]["content"][0]["text"], "ordered: tea, small");
    let stats = server.stop();
    assert_eq!((stats.input_required, stats.tool_calls), (1, 2));
}

#[test]
fn both_eras_sign_in_to_one_shop() {
    let server = start(DemoOptions {
        off_schema_share: 0.5,
        ..quick()
    });
    let mut legacy = Client::legacy(&server);
    let login = json!({"name": "login", "arguments": {"user": "ada", "password": "x"}});
    let answer = legacy.rpc("tools/call", login.clone());
    // What the gate on extraction takes for an answer of 200 bytes.
    assert!(
        (180..260).contains(&answer.body.len()),
        "{}",
        answer.body.len()
    );
    let result = answer.message()["result"].clone();
    let token = &result["structuredContent"]["token"];
    let text = result["content"][0]["text"].as_str().expect("a text");
    let told: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(told, result["structuredContent"]);
    assert!(told["items"][0]["id"].is_u64(), "{told}");
    let mut modern = Client::connect(&server);
    let mut call = |name: &str, arguments: Value| {
        let params = json!({"name": name, "arguments": arguments});
        let answer = modern.modern("tools/call", params, Some(name));
        answer.message()["result"].clone()
    };
    let who = call("whoami", json!({"token": token}));
    assert_eq!(who["structuredContent"], json!({"user": "ada"}));
    let unknown = call("whoami", json!({"token": "x"}));
    assert_eq!(unknown["isError"], true);
    call("login", login["arguments"].clone());
    let left = |answer: Value| answer["structuredContent"]["left"].is_u64();
    assert!(left(call("stock", json!({"item": 1}))));
    assert!(!left(call("stock", json!({"item": 1}))));
    let stats = server.stop();
    assert_eq!(
        (stats.sign_ins, stats.off_schema, stats.tool_calls),
        (2, 1, 6)
    );
}

#[test]
fn one_era_refuses_the_other() {
    let server = start(DemoOptions {
        eras: Eras::LegacyOnly,
        ..quick()
    });
    let mut client = Client::connect(&server);
    let refused = client.modern("server/discover", json!({}), None);
    assert_eq!((refused.status, refused.error_code()), (400, Some(-32600)));
    let text = refused.message()["error"]["message"].to_string();
    assert!(
        text.starts_with("\"Bad Request: Unsupported protocol version"),
        "{text}"
    );
    assert_eq!(Client::legacy(&server).echo().status, 200);

    let server = start(DemoOptions {
        eras: Eras::ModernOnly,
        ..quick()
    });
    let mut client = Client::connect(&server);
    let refused = client.initialize("2025-11-25");
    assert_eq!((refused.status, refused.error_code()), (400, Some(-32602)));
    assert_eq!(
        client.modern("server/discover", json!({}), None).status,
        200
    );
}

#[test]
fn http_that_no_client_should_send() {
    let server = start(quick());
    let check = |request: &str, status: u16| {
        let mut client = Client::connect(&server);
        client.write(request.as_bytes());
        let answer = client.answer().expect("an answer");
        assert_eq!(answer.status, status, "{request}");
        answer
    };
    let answer = check("GET /mcp HTTP/1.1\r\n\r\n", 405);
    assert_eq!(answer.header("allow"), Some("POST, DELETE"));
    check("GET / HTTP/1.1\r\n\r\n", 404);
    check("POST /mcp HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 406);
    check("hello\r\n\r\n", 400);
    check("POST /mcp HTTP/1.1\r\nContent-Length: 4194305\r\n\r\n", 413);
    assert_eq!(server.stop().malformed, 2);
}

#[test]
fn noise_after_a_request_is_refused_after_its_answer() {
    let server = start(quick());
    let mut client = Client::connect(&server);
    client.write(b"GET /x HTTP/1.1\r\n\r\nnoise\r\n\r\nmore");
    assert_eq!(client.answer().expect("an answer").status, 404);
    assert_eq!(client.answer().expect("an answer").status, 400);
    assert!(client.is_closed_without_answer());
    assert_eq!(Client::legacy(&server).echo().status, 200);
}

#[test]
fn a_refused_body_does_not_cost_the_answer() {
    let server = start(quick());
    let mut client = Client::connect(&server);
    let mut request = b"POST /mcp HTTP/1.1\r\nContent-Length: 8388608\r\n\r\n".to_vec();
    request.resize(request.len() + 8_388_608, b'x');
    client.write(&request);
    assert_eq!(client.answer().expect("an answer").status, 413);
    assert!(client.is_closed_without_answer());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = start(DemoOptions {
        latency: DemoLatency::Fixed(MS),
        ..quick()
    });
    let mut client = Client::legacy(&server);
    let ids: Vec<u64> = (0..50)
        .map(|_| {
            client.ask_echo();
            client.next_id - 1
        })
        .collect();
    let answered: Vec<u64> = (0..50)
        .filter_map(|_| client.answer().ok()?.message()["id"].as_u64())
        .collect();
    assert_eq!(answered, ids);
    assert_eq!(server.stop().in_flight_max, 1);
}

#[test]
fn requests_in_pieces_and_chunks_are_read() {
    let server = start(quick());
    let mut client = Client::connect(&server);
    let body =
        r#"{"jsonrpc":"2.0","id":"ä","method":"initialize","params":{"protocolVersion":""}}"#;
    let (first, second) = body.as_bytes().split_at(30);
    let mut request = b"POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\n\
        Accept: text/event-stream, application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    wire::write_chunk(&mut request, first);
    wire::write_chunk(&mut request, second);
    wire::write_stream_end(&mut request);
    for byte in request {
        client.write(&[byte]);
    }
    assert_eq!(client.answer().expect("an answer").message()["id"], "ä");
}

#[test]
fn the_largest_text_comes_back() {
    let server = start(quick());
    let mut client = Client::legacy(&server);
    let text = "ab".repeat(2_000_000);
    let answer = client.rpc(
        "tools/call",
        json!({"name": "echo", "arguments": {"text": text}}),
    );
    assert_eq!(answer.message()["result"]["content"][0]["text"], text);
}

#[test]
fn connections_are_kept_unless_told_otherwise() {
    let server = start(quick());
    let mut client = Client::connect(&server);
    client.write(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    let answer = client.answer().expect("an answer");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed_without_answer());
    let mut client = Client::connect(&server);
    client.write(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().expect("an answer").status, 404);
    assert!(client.is_closed_without_answer());
}

#[test]
fn answers_come_in_the_form_that_is_told() {
    let forms = |answers: AnswerForm| -> Vec<String> {
        let server = start(DemoOptions { answers, ..quick() });
        let mut client = Client::legacy(&server);
        (0..40)
            .map(|_| {
                let answer = client.echo();
                assert_eq!(answer.message()["result"]["content"][0]["text"], "x");
                let is_stream = answer.header("content-type") == Some("text/event-stream");
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                assert!(is_stream == body.contains("event: message"), "{body}");
                if is_stream && body.contains('\r') {
                    "crlf".to_string()
                } else if is_stream {
                    "lf".to_string()
                } else {
                    "json".to_string()
                }
            })
            .collect()
    };
    assert!(forms(AnswerForm::Json).iter().all(|form| form == "json"));
    assert!(forms(AnswerForm::Sse).iter().all(|form| form == "lf"));
    let mixed = forms(AnswerForm::Mixed);
    for form in ["json", "crlf", "lf"] {
        assert!(mixed.iter().any(|mixed| mixed == form), "no {form}");
    }
    assert_eq!(forms(AnswerForm::Mixed), mixed, "the same seed");
}

#[test]
fn a_stream_is_left_open_after_the_answer() {
    let server = start(DemoOptions {
        answers: AnswerForm::SseLeftOpen,
        ..quick()
    });
    let mut client = Client::legacy(&server);
    client.ask_echo();
    client.receive_until(b"\r\n\r\n").expect("a head");
    client.receive_until(b"}\n\n").expect("an event");
    let stats = wait_for(&server, |stats| stats.finished == 1);
    assert_eq!((stats.in_flight, stats.connections_open), (0, 1));
    drop(client);
    wait_for(&server, |stats| stats.connections_open == 0);
}

/// A server on which every call goes wrong in one way.
fn start_with(fault: DemoFault, answers: AnswerForm) -> DemoServer {
    start(DemoOptions {
        faults: FaultShares::only(fault, 1.0),
        answers,
        ..quick()
    })
}

#[test]
fn faults_of_the_answer() {
    for answers in [AnswerForm::Json, AnswerForm::Sse] {
        let check = |fault: DemoFault, test: &dyn Fn(HttpAnswer, u64)| {
            let server = start_with(fault, answers);
            let mut client = Client::legacy(&server);
            // The lists stay whole, so that discovery works.
            assert_eq!(client.rpc("tools/list", json!({})).status, 200);
            let id = client.next_id;
            test(client.echo(), id);
            let stats = server.stop();
            assert_eq!((stats.faults.of(fault), stats.faults.total()), (1, 1));
            assert_eq!((stats.calls, stats.finished), (2, 2));
        };
        check(DemoFault::Http500, &|answer, _| {
            assert_eq!(answer.status, 500)
        });
        check(DemoFault::RpcError, &|answer, _| {
            assert_eq!((answer.status, answer.error_code()), (200, Some(-32603)));
        });
        check(DemoFault::ToolError, &|answer, _| {
            assert_eq!(answer.message()["result"]["isError"], true);
        });
        check(DemoFault::Accepted, &|answer, _| {
            assert_eq!((answer.status, answer.body.len()), (202, 0));
        });
        check(DemoFault::WrongId, &|answer, id| {
            assert_eq!(answer.status, 200);
            assert!(answer.message()["id"].is_i64() && answer.message()["id"] != id);
        });
        check(DemoFault::NotJson, &|answer, _| {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, 200);
            assert!(body.contains("<!DOCTYPE html>"), "{body}");
        });
        check(DemoFault::EmptyStream, &|answer, _| {
            assert_eq!(answer.header("content-type"), Some("text/event-stream"));
            assert!(!String::from_utf8_lossy(&answer.body).contains("data"));
        });
        check(DemoFault::ExpireSession, &|answer, _| {
            assert_eq!(answer.status, 404);
        });
    }
}

#[test]
fn faults_of_the_connection() {
    for answers in [AnswerForm::Json, AnswerForm::Sse] {
        let server = start_with(DemoFault::CloseBefore, answers);
        let mut client = Client::legacy(&server);
        client.ask_echo();
        assert!(client.is_closed_without_answer());
        assert_eq!(server.stop().faults.of(DemoFault::CloseBefore), 1);

        let server = start_with(DemoFault::CloseMid, answers);
        let mut client = Client::legacy(&server);
        client.ask_echo();
        let end = client.answer().expect_err("an early end");
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
        let left = String::from_utf8_lossy(&client.received).into_owned();
        assert!(left.contains("{\"jsonrpc\""), "{left}");
    }
}

#[test]
fn an_expired_session_is_gone_and_a_new_one_serves() {
    let server = start_with(DemoFault::ExpireSession, AnswerForm::Json);
    let mut client = Client::legacy(&server);
    assert_eq!(client.echo().status, 404);
    assert_eq!(client.rpc("ping", json!({})).status, 404);
    assert_eq!(Client::legacy(&server).rpc("ping", json!({})).status, 200);
    // Modern calls have no session to lose.
    let echo = json!({"name": "echo", "arguments": {"text": "x"}});
    let answer = Client::connect(&server).modern("tools/call", echo, Some("echo"));
    assert_eq!(answer.status, 200);
    let stats = server.stop();
    assert_eq!((stats.sessions_opened, stats.sessions_expired), (2, 1));
}

#[test]
fn a_hanging_call_is_in_flight_until_its_client_leaves() {
    let server = start_with(DemoFault::Hang, AnswerForm::Json);
    let mut client = Client::legacy(&server);
    client.ask_echo();
    wait_for(&server, |stats| stats.in_flight == 1);
    drop(client);
    let stats = wait_for(&server, |stats| stats.in_flight == 0);
    assert_eq!((stats.calls, stats.abandoned, stats.finished), (1, 1, 0));
}

#[test]
fn shares_are_kept_and_repeat_with_the_seed() {
    let run = |seed: u64| -> Vec<u16> {
        let server = start(DemoOptions {
            seed,
            faults: "http-500=0.3,accepted=0.2".parse().expect("faults"),
            ..quick()
        });
        let mut client = Client::legacy(&server);
        (0..1000).map(|_| client.echo().status).collect()
    };
    let statuses = run(5);
    let share = |status: u16| {
        statuses.iter().filter(|given| **given == status).count() as f64 / statuses.len() as f64
    };
    assert!((share(500) - 0.3).abs() < 0.06, "{}", share(500));
    assert!((share(202) - 0.2).abs() < 0.06, "{}", share(202));
    assert_eq!(run(5), statuses);
    assert_ne!(run(6), statuses);
}

#[test]
fn two_hundred_calls_are_in_flight_at_once() {
    let server = start(DemoOptions {
        faults: FaultShares::only(DemoFault::Hang, 1.0),
        ..quick()
    });
    let mut clients: Vec<Client> = (0..200).map(|_| Client::legacy(&server)).collect();
    for client in &mut clients {
        client.ask_echo();
    }
    let stats = wait_for(&server, |stats| stats.in_flight == 200);
    assert_eq!((stats.in_flight_max, stats.connections_open), (200, 200));
}

#[test]
fn simultaneous_calls_are_all_delayed_and_answered() {
    let server = start(DemoOptions {
        latency: DemoLatency::Fixed(100 * MS),
        service_times_max: 1000,
        ..quick()
    });
    let mut clients: Vec<Client> = (0..200).map(|_| Client::legacy(&server)).collect();
    let began_at = crate::clock::now();
    for client in &mut clients {
        client.ask_echo();
    }
    for client in &mut clients {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    assert!(began_at.elapsed() >= 100 * MS);
    let stats = server.stop();
    assert_eq!((stats.finished, stats.service_times.len()), (200, 200));
    assert!(
        stats
            .service_times
            .iter()
            .all(|time_ns| *time_ns >= 100_000_000)
    );
}

#[test]
fn the_service_times_follow_the_latency() {
    let server = start(DemoOptions {
        latency: DemoLatency::Fixed(Duration::from_micros(1500)),
        service_times_max: 50,
        ..quick()
    });
    let mut client = Client::legacy(&server);
    for _ in 0..60 {
        assert_eq!(client.echo().status, 200);
    }
    let mut times = server.stop().service_times;
    assert_eq!(times.len(), 50);
    times.sort_unstable();
    assert!(times[0] >= 1_500_000, "{}", times[0]);
    // How exact it is depends on who else uses the machine: the median of a
    // quiet one is within 100 us, that of a busy one is still not 20 ms late.
    assert!(times[25] < 21_500_000, "{}", times[25]);
}

#[test]
fn a_slow_tool_takes_its_time() {
    let server = start(quick());
    let mut client = Client::legacy(&server);
    let began_at = crate::clock::now();
    let params = json!({"name": "slow", "arguments": {"ms": 30}});
    assert_eq!(client.rpc("tools/call", params).status, 200);
    assert!(began_at.elapsed() >= 30 * MS);
}

#[test]
fn handshakes_are_delayed_only_when_told() {
    let time = |delay_handshake: bool, latency: Duration| {
        let server = start(DemoOptions {
            latency: DemoLatency::Fixed(latency),
            delay_handshake,
            ..quick()
        });
        let mut client = Client::connect(&server);
        let began_at = crate::clock::now();
        assert_eq!(client.initialize("2025-11-25").status, 200);
        began_at.elapsed()
    };
    assert!(time(true, 50 * MS) >= 50 * MS);
    assert!(time(false, 15_000 * MS) < 15_000 * MS);
}

#[test]
fn a_capacity_serves_so_many_at_once_and_in_order() {
    let server = start(DemoOptions {
        capacity: Some("4/fixed:40ms".parse().expect("a capacity")),
        ..quick()
    });
    let mut clients: Vec<Client> = (0..40).map(|_| Client::legacy(&server)).collect();
    let began_at = crate::clock::now();
    for (i, client) in clients.iter_mut().enumerate() {
        client.ask_echo();
        // One after the other, so that the order of arrival is known.
        wait_for(&server, |stats| stats.calls == i as u64 + 1);
    }
    let order: Vec<Duration> = clients
        .iter_mut()
        .map(|client| {
            assert_eq!(client.answer().expect("an answer").status, 200);
            began_at.elapsed()
        })
        .collect();
    // Ten rounds of 40 ms.
    assert!(order[39] >= 400 * MS, "{:?}", order[39]);
    let stats = server.stop();
    assert_eq!((stats.in_service_max, stats.in_service), (4, 0));
    assert!(stats.waiting_max > 0 && stats.waiting == 0, "{stats:?}");
    assert_eq!(stats.finished, 40);
}

#[test]
fn calls_that_wait_are_served_first_come_first_served() {
    // One slot, a long first call, and a queue behind it: the answers on one
    // socket each come in the order in which the calls did.
    let server = start(DemoOptions {
        capacity: Some("1/fixed:3ms".parse().expect("a capacity")),
        service_times_max: 100,
        ..quick()
    });
    let mut clients: Vec<Client> = (0..10).map(|_| Client::legacy(&server)).collect();
    for (i, client) in clients.iter_mut().enumerate() {
        client.ask_echo();
        wait_for(&server, |stats| stats.calls == i as u64 + 1);
    }
    // The last in line is answered last: all others were answered before it.
    assert_eq!(clients[9].answer().expect("an answer").status, 200);
    assert_eq!(server.stats().finished, 10);
    for client in &mut clients[..9] {
        client.stream.set_nonblocking(true).expect("a setting");
        assert_eq!(client.answer().expect("here already").status, 200);
    }
}

#[test]
fn who_leaves_the_queue_frees_its_place() {
    let server = start(DemoOptions {
        capacity: Some("1/fixed:60s/1".parse().expect("a capacity")),
        ..quick()
    });
    let mut served = Client::legacy(&server);
    served.ask_echo();
    wait_for(&server, |stats| stats.in_service == 1);
    let mut waits = Client::legacy(&server);
    waits.ask_echo();
    wait_for(&server, |stats| stats.waiting == 1);
    let mut refused = Client::legacy(&server);
    assert_eq!(refused.echo().status, 503);
    drop(waits);
    wait_for(&server, |stats| stats.waiting == 0);
    refused.ask_echo();
    let stats = wait_for(&server, |stats| stats.waiting == 1);
    assert_eq!((stats.turned_away, stats.abandoned), (1, 1));
    // A client that leaves its slot doesn't free it: the work is going on.
    drop(served);
    let stats = wait_for(&server, |stats| stats.abandoned == 2);
    assert_eq!(stats.in_service, 1);
}

#[test]
fn no_bytes_stop_it() {
    let server = start(quick());
    let mut rng = fastrand::Rng::with_seed(9);
    for i in 0..200 {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
        let mut bytes = vec![0; rng.usize(0..3000)];
        rng.fill(&mut bytes);
        if i % 2 == 0 {
            let mut request = b"POST /mcp HTTP/1.1\r\nContent-Type: application/json\r\n\
                Accept: application/json, text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_vec();
            wire::write_chunk(&mut request, &bytes);
            bytes = request;
        }
        // It may have refused and closed already.
        let _ = stream.write_all(&bytes);
    }
    assert_eq!(Client::legacy(&server).echo().status, 200);
}

#[test]
fn a_taken_port_is_an_error() {
    let server = start(quick());
    let error = DemoServer::start(DemoOptions {
        port: server.port(),
        ..quick()
    });
    assert_eq!(error.expect_err("taken").kind(), io::ErrorKind::AddrInUse);
}

#[test]
fn dropping_it_closes_its_connections() {
    let server = start(quick());
    let mut client = Client::legacy(&server);
    drop(server);
    assert!(client.is_closed_without_answer());
}

#[test]
fn choices_are_read_and_printed() {
    for answers in [
        AnswerForm::Json,
        AnswerForm::Sse,
        AnswerForm::SseLeftOpen,
        AnswerForm::Mixed,
    ] {
        assert_eq!(answers.to_string().parse(), Ok(answers));
    }
    for eras in [Eras::Both, Eras::LegacyOnly, Eras::ModernOnly] {
        assert_eq!(eras.to_string().parse(), Ok(eras));
    }
    let error = "sse-opn".parse::<AnswerForm>().expect_err("a typo");
    assert!(error.contains("did you mean `sse-open`?"), "{error}");
    let error = "new".parse::<Eras>().expect_err("no era");
    assert!(error.contains("`both`, `legacy`, `modern`"), "{error}");
}

/// Two clients whose calls are under way at once get each other's result, under their own
/// ids; who is alone gets their own.
#[test]
fn clients_are_mixed_up_as_it_was_told() {
    let server = start(DemoOptions {
        latency: DemoLatency::Fixed(200 * MS),
        mix_share: 1.0,
        ..DemoOptions::default()
    });
    let ask = |client: &mut Client, text: &str| {
        let arguments = json!({"name": "echo", "arguments": {"text": text}});
        client.ask("tools/call", arguments);
    };
    let text = |client: &mut Client| {
        let message = client.answer().expect("an answer").message();
        let own_id = client.next_id - 1;
        assert_eq!(message["id"], own_id, "{message}");
        message["result"]["content"][0]["text"].clone()
    };
    let mut clients = [Client::legacy(&server), Client::legacy(&server)];
    ask(&mut clients[0], "alone");
    assert_eq!(text(&mut clients[0]), "alone");
    for (client, own) in clients.iter_mut().zip(["first", "second"]) {
        ask(client, own);
    }
    let came: Vec<Value> = clients.iter_mut().map(text).collect();
    // A machine that sleeps may serve the first before the second is there.
    let n_mixed = match came == ["second", "first"] {
        true => 2,
        false => {
            assert_eq!(came, ["first", "second"]);
            0
        }
    };
    assert_eq!(server.stop().mixed, n_mixed);
}
