//! What goes over the wire in both eras, and what servers may send before,
//! around and after an answer.

use std::sync::Mutex;
use std::time::Duration;

use pmcp_loadtest::demo::{AnswerForm, DemoLatency, DemoOptions, Eras};
use serde_json::{Value, json};

use crate::demo::demo;
use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, count, load_run, number};

/// Runs against this server; every call must succeed.
#[track_caller]
fn all_well(server: &FakeServer, iterations: u64) -> Value {
    let n = iterations.to_string();
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", &n];
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], iterations, "{finished}\n{report:#}");
    report
}

/// Every call is answered with these pieces of a chunked stream.
#[track_caller]
fn check_stream(pieces: impl Fn(&Request) -> Vec<String> + Send + Sync + 'static) {
    let server = FakeServer::on_call(move |request, connection| {
        connection.open_stream();
        for piece in pieces(request) {
            connection.chunk(&piece);
        }
        connection.end_stream()
    });
    let report = all_well(&server, 4);
    assert_eq!(report["counters"]["reconnects"], 0, "{report:#}");
}

#[test]
fn head_and_body_travel_together() {
    let server = FakeServer::start(legacy);
    all_well(&server, 20);
    for request in server.log() {
        assert_eq!(request.n_reads, 1, "{request:?}");
    }
}

#[test]
fn a_legacy_session_is_as_the_specification_has_it() {
    // The server speaks an older revision than the one that it is offered.
    let server = FakeServer::start(|request, connection| {
        if request.method() != "initialize" {
            return legacy(request, connection);
        }
        let mut welcome = crate::fake_server::welcome(request);
        welcome["result"]["protocolVersion"] = json!("2025-06-18");
        let id = format!("s-{}", request.connection);
        let headers = [
            ("Content-Type", "application/json"),
            ("Mcp-Session-Id", &id),
        ];
        connection.answer(200, &headers, &welcome.to_string())
    });
    let arguments = ["--tool", "work", "--vus", "3", "--iterations", "30"];
    let report = load_run(&server.url(), &arguments)
        .run()
        .expect_code(0)
        .checked_report();
    assert_eq!(report["server"]["era"], "legacy");
    assert_eq!(report["server"]["revision"], "2025-06-18");
    assert_eq!(report["server"]["name"], "fake");
    assert_eq!(report["handshake"]["ok"], 3);

    let log = server.log();
    let mut sessions: Vec<&str> = Vec::new();
    for request in &log {
        let message = request.message();
        if request.verb == "POST" {
            let accept = request.header("accept").unwrap_or_default();
            assert!(accept.contains("application/json") && accept.contains("text/event-stream"));
            assert_eq!(request.header("content-type"), Some("application/json"));
            assert_eq!(message["jsonrpc"], "2.0");
            assert!(message["id"] != Value::Null || message.get("id").is_none());
        }
        if request.method() == "tools/call" {
            // The old tool sent `null`.
            assert_ne!(message["params"].get("arguments"), Some(&Value::Null));
        }
        let Some(session) = request.header("mcp-session-id") else {
            continue;
        };
        sessions.push(session);
        assert_eq!(
            request.header("mcp-protocol-version"),
            Some("2025-06-18"),
            "{request:?}"
        );
    }
    sessions.sort_unstable();
    sessions.dedup();
    for session in sessions {
        let in_session: Vec<&Request> = log
            .iter()
            .filter(|request| request.header("mcp-session-id") == Some(session))
            .collect();
        // Where another revision was offered first, the session is only ended.
        if in_session[0].verb != "DELETE" {
            assert_eq!(in_session[0].method(), "notifications/initialized");
        }
        let last = in_session.last().expect("it is not empty");
        assert_eq!(last.verb, "DELETE", "{in_session:#?}");
        let mut ids: Vec<String> = in_session
            .iter()
            .filter_map(|request| request.message().get("id").map(Value::to_string))
            .collect();
        let n_requests = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), n_requests, "an id twice in {session}");
        // One user, one connection, one session.
        assert!(
            in_session
                .iter()
                .all(|request| request.connection == in_session[0].connection)
        );
    }
}

#[test]
fn line_ends_of_every_kind_end_lines() {
    for end in ["\n", "\r\n", "\r"] {
        check_stream(move |request| {
            let reply = request.reply("done");
            vec![format!("event: message{end}data: {reply}{end}{end}")]
        });
    }
}

#[test]
fn what_comes_before_an_answer_is_not_the_answer() {
    check_stream(|request| {
        let log = json!({"jsonrpc": "2.0", "method": "notifications/message",
            "params": {"level": "info", "data": "working"}});
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": 1, "progress": 0.5}});
        let reply = request.reply("done\u{2028}and more");
        vec![
            "\u{feff}: keep-alive\n\n:\n\n".to_string(),
            "data: \nid: 1/0\nretry: 3000\n\n".to_string(),
            format!("data: {log}\n\nevent: message\ndata: {progress}\n\n"),
            format!("data: {reply}\nid: 1/1\n\n"),
        ]
    });
}

#[test]
fn an_answer_may_be_cut_at_any_byte() {
    check_stream(|request| {
        let reply = serde_json::to_string_pretty(&request.reply("done")).expect("it is JSON");
        let lines: String = reply
            .lines()
            .map(|line| format!("data: {line}\r\n"))
            .collect();
        format!("{lines}\r\n").chars().map(String::from).collect()
    });
}

/// Requests of the server's own, one with the very id of the call.
#[test]
fn requests_of_the_server_are_answered() {
    let form = json!({"message": "Which size?", "requestedSchema": {
        "type": "object",
        "properties": {"size": {"type": "string", "default": "medium"}},
    }});
    let secret = json!({"message": "?", "requestedSchema": {
        "type": "object",
        "properties": {"code": {"type": "string", "pattern": "^[A-Z]{3}$"}},
        "required": ["code"],
    }});
    let asked = [
        ("ping", json!({}), json!({})),
        (
            "elicitation/create",
            form,
            json!({"action": "accept", "content": {"size": "medium"}}),
        ),
        ("elicitation/create", secret, json!({"action": "decline"})),
        ("roots/list", json!({}), json!({"roots": []})),
        (
            "sampling/createMessage",
            json!({"messages": []}),
            json!("assistant"),
        ),
        ("tasks/list", json!({}), json!(-32601)),
    ];
    let server = FakeServer::on_call({
        let asked = asked.clone();
        move |request, connection| {
            connection.open_stream();
            for (n, (method, params, _)) in asked.iter().enumerate() {
                let id = match n {
                    0 => request.message()["id"].clone(),
                    n => json!(format!("ask {n}")),
                };
                let ask = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
                connection.chunk(&format!("data: {ask}\n\n"));
                // It hangs, as servers do, until it has its answer.
                connection.wait_for(|answer| {
                    let message = answer.message();
                    answer.method().is_empty() && message["id"] == id && answer.at > request.at
                });
            }
            connection.chunk(&format!("data: {}\n\n", request.reply("done")));
            connection.end_stream()
        }
    });
    let report = all_well(&server, 2);
    assert_eq!(report["counters"]["server_requests"], 2 * asked.len());
    let mut answers = server.log();
    answers.retain(|request| request.verb == "POST" && request.method().is_empty());
    assert_eq!(answers.len(), 2 * asked.len());
    for (answer, (method, _, expected)) in answers.iter().zip(asked.iter().cycle()) {
        let message = answer.message();
        let said = match (&message["result"]["role"], &message["error"]["code"]) {
            (Value::Null, Value::Null) => &message["result"],
            (Value::Null, code) => code,
            (role, _) => role,
        };
        assert_eq!(said, expected, "{method}: {message}");
        assert!(answer.header("mcp-session-id").is_some());
    }
    for opened in server.log_of("initialize") {
        let declared = &opened.message()["params"]["capabilities"];
        assert_eq!(
            *declared,
            json!({"elicitation": {"form": {}}, "roots": {}, "sampling": {}})
        );
    }
}
