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

#[test]
fn a_stream_left_open_costs_a_counted_connection_but_no_latency() {
    let server = FakeServer::on_call(|request, connection| {
        connection.open_stream();
        connection.chunk(&format!("data: {}\n\n", request.reply("done")));
        connection.hang()
    });
    let report = all_well(&server, 5);
    assert_eq!(report["counters"]["streams_left_open"], 5);
    assert!(count(&report["counters"]["reconnects"]) >= 4, "{report:#}");
    let p50 = number(&report["totals"]["latency"]["p50_ms"]);
    assert!(p50 < 50.0, "{p50}");
}

#[test]
fn a_stream_that_breaks_off_is_resumed_after_its_last_event() {
    // Where the GET finds the answer of the call that was cut off.
    let pending: Mutex<Vec<(String, Value)>> = Mutex::default();
    let server = FakeServer::start(move |request, connection| {
        let resumes = request.header("last-event-id").map(str::to_string);
        match (request.verb.as_str(), request.method().as_str()) {
            ("GET", _) => {
                let resumes = resumes.unwrap_or_default();
                let mut pending = pending.lock().expect("no handler panics");
                let at = pending.iter().position(|(event, _)| *event == resumes);
                let Some(at) = at else {
                    return connection.answer(400, &[], "unknown event");
                };
                let (_, reply) = pending.remove(at);
                connection.events(&format!("id: {resumes}-end\ndata: {reply}\n\n"))
            }
            (_, "tools/call") => {
                let event = format!("e{}-{}", request.connection, request.message()["id"]);
                let mut pending = pending.lock().expect("no handler panics");
                pending.push((event.clone(), request.reply("done")));
                connection.events(&format!("id: {event}\nretry: 50\ndata:\n\n"))
            }
            _ => legacy(request, connection),
        }
    });
    let report = all_well(&server, 3);
    assert_eq!(report["counters"]["streams_resumed"], 3);
    let log = server.log();
    let resumes = |request: &&Request| request.header("last-event-id").is_some();
    let gets: Vec<&Request> = log.iter().filter(resumes).collect();
    assert_eq!(gets.len(), 3);
    for get in gets {
        assert!(get.header("mcp-session-id").is_some());
        let before = log.iter().filter(|request| request.at < get.at);
        let call = before.max_by_key(|request| request.at).expect("a call");
        let waited = get.at - call.at;
        assert!(waited >= Duration::from_millis(45), "{waited:?}");
    }
    assert_eq!(server.count("tools/call"), 3);
}

/// The demo server verifies the headers and `_meta` of every modern request.
#[test]
fn modern_requests_satisfy_a_server_that_verifies_them() {
    let server = demo(DemoOptions {
        eras: Eras::ModernOnly,
        latency: DemoLatency::Fixed(Duration::from_millis(1)),
        answers: AnswerForm::Mixed,
        ..DemoOptions::default()
    });
    let config = r#"
        [settings]
        virtual_users = 3
        iterations = 90
        seed = 5
        [[scenario]]
        type = "tools/call"
        tool = "order_coffee"
        arguments = { drink = "latte" }
        [[scenario]]
        type = "tools/call"
        tool = "region_report"
        arguments = { region = " Köln ", days = 7 }
        [[scenario]]
        type = "resources/read"
        uri = "demo://readme"
        [[scenario]]
        type = "prompts/get"
        prompt = "summarize"
        arguments = { topic = "load" }
        [[scenario]]
        type = "tools/list"
    "#;
    let finished = load_run(&server.url(), &[])
        .file(".pmcp/loadtest.toml", config)
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], 90, "{finished}");
    assert_eq!(report["server"]["era"], "modern");
    let stats = server.stop();
    assert_eq!((stats.initializes, stats.sessions_opened), (0, 0));
    assert!(stats.input_required > 0, "{stats:?}");
    assert_eq!(report["counters"]["round_trips"], stats.input_required);
}

#[test]
fn both_eras_can_be_forced() {
    let server = demo(DemoOptions::default());
    for (choice, era, revision) in [
        ("auto", "modern", "2026-07-28"),
        ("legacy", "legacy", "2025-11-25"),
        ("2025-03-26", "legacy", "2025-03-26"),
        ("modern", "modern", "2026-07-28"),
    ] {
        let arguments = ["--iterations", "5", "--protocol", choice];
        let finished = load_run(&server.url(), &arguments).run().expect_code(0);
        let report = finished.checked_report();
        assert_eq!(report["totals"]["ok"], 5, "{finished}");
        assert_eq!(report["server"]["era"], era, "{choice}");
        assert_eq!(report["server"]["revision"], revision, "{choice}");
    }
}

/// Notifications are acknowledged in many ways; none of them is looked at.
#[test]
fn any_acknowledgement_of_a_notification_will_do() {
    type Acknowledge = fn(&mut Connection) -> Next;
    let ways: [Acknowledge; 4] = [
        |connection| connection.answer(204, &[], ""),
        |connection| connection.answer(202, &[("Content-Type", "application/json")], "null"),
        |connection| connection.answer(200, &[], "thanks"),
        |connection| connection.json(&json!({"jsonrpc": "2.0", "result": {}})),
    ];
    for way in ways {
        let server = FakeServer::on("notifications/initialized", move |_, connection| {
            way(connection)
        });
        all_well(&server, 2);
    }
}

/// The demo asks on the stream of the call, and hears the answer on another connection.
#[test]
fn the_demo_hears_what_it_asks_for() {
    for (kind, said) in [
        ("elicitation", "medium"),
        ("sampling", "A canned message of a load tester."),
        ("roots", "0 roots"),
        ("ping", "pong"),
    ] {
        let server = demo(DemoOptions {
            eras: Eras::LegacyOnly,
            latency: DemoLatency::None,
            ..DemoOptions::default()
        });
        let config = format!(
            "[[scenario]]\ntype = \"tools/call\"\ntool = \"ask_client\"\n\
             arguments = {{ kind = \"{kind}\" }}\n\
             expect = {{ path = \"$.content[0].text\", equals = \"the client says: {said}\" }}\n"
        );
        let report = load_run(&server.url(), &["--vus", "3", "--iterations", "9"])
            .file(".pmcp/loadtest.toml", &config)
            .run()
            .expect_code(0)
            .checked_report();
        assert_eq!(report["totals"]["ok"], 9, "{report:#}");
        assert_eq!(report["counters"]["server_requests"], 9);
        let stats = server.stop();
        assert_eq!((stats.asked, stats.responses), (9, 9), "{stats:?}");
    }
}
