//! Handshakes and sessions with servers that have ways of their own: which
//! revision is spoken, when a session is lost, what a stream that breaks off is
//! worth, and how many connections all that takes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_server::{Connection, FakeServer, Next, Request, legacy, welcome};
use crate::load_run::{LoadRun, advice, causes, count, list, load_run};
use crate::program::{Finished, Program};
use crate::share;

const PLAIN: [(&str, &str); 1] = [("Content-Type", "text/plain")];

/// One user makes six calls, with these further arguments.
fn six_calls(server: &FakeServer, more: &[&str]) -> Program {
    let mut arguments = vec!["--tool", "work", "--vus", "1", "--iterations", "6"];
    arguments.extend_from_slice(&["--timeout", "5s"]);
    arguments.extend_from_slice(more);
    load_run(&server.url(), &arguments)
}

#[track_caller]
fn all_well(server: &FakeServer, more: &[&str]) -> Value {
    let finished = six_calls(server, more).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], 6, "{finished}\n{report:#}");
    report
}

fn offered(request: &Request) -> String {
    let version = &request.message()["params"]["protocolVersion"];
    version.as_str().unwrap_or_default().to_string()
}

fn rpc_error(request: &Request, code: i64, message: &str, data: &Value) -> String {
    let error = json!({"code": code, "message": message, "data": data});
    request.error(&error).to_string()
}

/// A legacy server that answers `initialize` with this revision, whatever is offered.
fn welcoming_with(revision: &'static str) -> FakeServer {
    FakeServer::on("initialize", move |request, connection| {
        let mut welcome = welcome(request);
        welcome["result"]["protocolVersion"] = json!(revision);
        connection.json(&welcome)
    })
}

/// A legacy server that refuses every revision but these, in this way.
fn speaks_only(
    spoken: &'static [&'static str],
    refuse: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
) -> FakeServer {
    FakeServer::start(move |request, connection| {
        let version = request.header("mcp-protocol-version");
        let is_refused = match request.method().as_str() {
            "initialize" => !spoken.contains(&offered(request).as_str()),
            "server/discover" => return connection.answer(400, &PLAIN, "Bad Request"),
            _ => version.is_none_or(|version| !spoken.contains(&version)),
        };
        if is_refused {
            return refuse(request, connection);
        }
        legacy(request, connection)
    })
}

#[test]
fn a_refused_revision_is_followed_by_one_that_the_server_speaks() {
    const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];
    type Refuse = fn(&Request, &mut Connection) -> Next;
    let ways: [(&[&str], Refuse, usize); 5] = [
        (
            &["2025-06-18", "2025-03-26"],
            |_, connection| {
                let text = "Bad Request: Unsupported protocol version (supported versions: \
                            2025-06-18, 2025-03-26)";
                connection.answer(400, &PLAIN, text)
            },
            1,
        ),
        (
            &["2025-03-26"],
            |request, connection| {
                let data = json!({"supported": ["2025-03-26"], "requested": offered(request)});
                let body = rpc_error(request, -32602, "Unsupported protocol version", &data);
                connection.answer(200, &JSON, &body)
            },
            1,
        ),
        (
            &["2024-11-05"],
            |request, connection| {
                let data = json!({"supported": ["2024-11-05", "2024-10-07"]});
                let body = rpc_error(request, -32602, "Unsupported protocol version", &data);
                connection.answer(400, &JSON, &body)
            },
            1,
        ),
        (
            &["2025-03-26"],
            |_, connection| connection.answer(400, &PLAIN, "I do not like this"),
            2,
        ),
        (
            &["2024-11-05"],
            |request, connection| {
                let body = rpc_error(request, -32602, "Invalid params", &Value::Null);
                connection.answer(200, &JSON, &body)
            },
            3,
        ),
    ];
    for (spoken, refuse, n_refused) in ways {
        for choice in ["auto", "legacy"] {
            let server = speaks_only(spoken, refuse);
            let report = all_well(&server, &["--protocol", choice]);
            assert_eq!(report["server"]["revision"], spoken[0], "{choice}");
            let offers: Vec<String> = server.log_of("initialize").iter().map(offered).collect();
            assert_eq!(offers[0], "2025-11-25");
            // The user offers what was found, and is refused nothing.
            assert_eq!(offers.len(), n_refused + 1 + 1, "{choice} {offers:?}");
            assert!(offers[n_refused..].iter().all(|offer| offer == spoken[0]));
        }
    }
}

#[test]
fn the_oldest_revision_is_spoken_where_the_server_says_it_and_can_be_forced() {
    let server = welcoming_with("2024-11-05");
    for (choice, first_offer) in [("auto", "2025-11-25"), ("2024-11-05", "2024-11-05")] {
        let n_before = server.count("initialize");
        let report = all_well(&server, &["--protocol", choice]);
        assert_eq!(report["server"]["revision"], "2024-11-05");
        assert_eq!(offered(&server.log_of("initialize")[n_before]), first_offer);
    }
    for call in server.log_of("tools/call") {
        assert_eq!(call.header("mcp-protocol-version"), Some("2024-11-05"));
    }
}

/// Whatever `server/discover` is answered: `initialize` decides.
#[test]
fn a_server_that_dislikes_discovery_alone_is_legacy() {
    type Answer = fn(&mut Connection) -> Next;
    let ways: [Answer; 14] = [
        |connection| connection.answer(401, &PLAIN, "token, please"),
        |connection| connection.answer(403, &[], ""),
        |connection| connection.answer(429, &[], ""),
        |connection| connection.answer(502, &PLAIN, "bad gateway"),
        |connection| connection.answer(503, &[], ""),
        |connection| connection.json(&Value::Null),
        |connection| connection.json(&json!({})),
        |connection| connection.json(&json!({"status": "up"})),
        |connection| connection.answer(200, &PLAIN, "hello"),
        |connection| connection.answer(200, &[], ""),
        |connection| connection.answer(200, &[("Content-Type", "text/html")], "<html></html>"),
        |_| Next::Close,
        |connection| {
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{");
            Next::Close
        },
        |connection| connection.answer(307, &[("Location", "http://127.0.0.2:1/x")], ""),
    ];
    for (nth, answer) in ways.into_iter().enumerate() {
        let server = FakeServer::on("server/discover", move |_, connection| answer(connection));
        let report = all_well(&server, &[]);
        assert_eq!(report["server"]["era"], "legacy", "{nth}");
        assert_eq!(server.count("initialize"), 2, "{nth}");
        assert!(server.count("server/discover") <= 3, "{nth}");
    }
}

/// What `server/discover` is answered proves nothing: `initialize` decides.
#[test]
fn what_is_no_discovery_is_legacy() {
    type Answer = fn(&Request, &mut Connection) -> Next;
    const FOREIGN: &str = r#"{"jsonrpc":"2.0","id":77,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}"#;
    let ways: [Answer; 6] = [
        |_, connection| connection.answer(200, &[("Content-Type", "application/json")], FOREIGN),
        |_, connection| connection.events(&format!("data: {FOREIGN}\n\n")),
        |request, connection| connection.json(&request.result(&json!({"supportedVersions": []}))),
        |request, connection| {
            connection.json(&request.result(&json!({"supportedVersions": [1, 2]})))
        },
        |_, connection| connection.answer(305, &[], ""),
        |_, connection| connection.answer(399, &[], ""),
    ];
    for (nth, answer) in ways.into_iter().enumerate() {
        let server = FakeServer::on("server/discover", move |request, connection| {
            answer(request, connection)
        });
        let report = all_well(&server, &[]);
        assert_eq!(report["server"]["era"], "legacy", "{nth}");
    }
}

#[test]
fn a_wrong_id_is_named_where_only_modern_is_asked_for() {
    let server = FakeServer::start(|_, connection| {
        connection.json(&json!({
            "jsonrpc": "2.0", "id": 77, "result": {"supportedVersions": ["2026-07-28"]}
        }))
    });
    let finished = six_calls(&server, &["--protocol", "modern"]).run();
    let said = finished.expect_code(1).stderr;
    assert!(said.contains("`77` instead of"), "{said}");
}

#[test]
fn a_probe_answered_with_no_redirect_is_not_called_one() {
    for status in [305, 306, 399] {
        let server = FakeServer::start(move |_, connection| connection.answer(status, &[], ""));
        let said = six_calls(&server, &[]).run().expect_code(1).stderr;
        assert!(said.contains(&format!("status {status}")), "{said}");
        assert!(!said.contains("redirect"), "{said}");
    }
}

/// A server that closes each connection after one answer, without saying so, and
/// not before the next request is on its way.
#[test]
fn a_handshake_and_lists_are_sent_again_where_a_kept_connection_was_closed() {
    use std::collections::HashSet;
    use std::sync::Mutex;
    let answered = Mutex::new(HashSet::new());
    let server = FakeServer::start(move |request, connection| {
        let is_call = request.method() == "tools/call" || request.verb == "DELETE";
        let is_first = answered
            .lock()
            .expect("no panic")
            .insert(request.connection);
        if !is_call && !is_first {
            return Next::Close;
        }
        match request.method().as_str() {
            method if method.starts_with("resources/") || method.starts_with("prompts/") => {
                let body = rpc_error(request, -32601, "Method not found", &Value::Null);
                connection.answer(200, &[("Content-Type", "application/json")], &body)
            }
            _ => legacy(request, connection),
        }
    });
    let report = all_well(&server, &[]);
    assert_eq!(report["handshake"]["failed"], 0, "{report:#}");
    assert_eq!(server.count("tools/call"), 6);
    let url = server.url();
    let config = Program::new(&["loadtest", "init", &url, "--output", "-"]);
    let config = config.run().expect_code(0).stdout;
    assert!(config.contains("\"work\""), "{config}");
}

/// A call may have been carried out: it is not sent again.
#[test]
fn a_call_is_not_sent_again() {
    let n_calls = AtomicUsize::new(0);
    let server = FakeServer::on_call(move |request, connection| {
        match n_calls.fetch_add(1, Ordering::SeqCst) {
            2 => Next::Close,
            _ => connection.done(request),
        }
    });
    let finished = six_calls(&server, &[]).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(server.count("tools/call"), 6);
    assert_eq!(report["totals"]["failed"], 1, "{finished}");
}

#[test]
fn a_session_that_is_lost_at_once_is_no_wrong_path() {
    let server = FakeServer::on("notifications/initialized", |_, connection| {
        connection.answer(404, &PLAIN, "Session not found")
    });
    for (more, says_cookies) in [(&[][..], true), (&["--cookies"], false)] {
        let said = six_calls(&server, more).run().expect_code(1).stderr;
        assert!(
            said.contains("does not know the session that it has just given"),
            "{said}"
        );
        assert!(said.contains("several instances"), "{said}");
        assert_eq!(said.contains("`--cookies`"), says_cookies, "{said}");
        assert!(!said.contains("check the path"), "{said}");
    }
}

#[test]
fn a_redirect_to_an_endless_address_is_refused() {
    let location = format!("/{}", "a".repeat(60_000));
    let server = FakeServer::start(move |_, connection| {
        connection.answer(307, &[("Location", &location)], "")
    });
    let url = server.url();
    let init = Program::new(&["loadtest", "init", &url, "--output", "-"]);
    for program in [six_calls(&server, &[]), init] {
        let said = program.run().expect_code(1).stderr;
        assert!(said.contains("longer than 8,000 bytes"), "{said}");
        assert!(said.len() < 2_000, "{}", said.len());
    }
}

#[test]
fn a_modern_revision_in_answer_to_initialize_is_not_unknown() {
    let server = welcoming_with("2026-07-28");
    let said = six_calls(&server, &[]).run().expect_code(1).stderr;
    assert!(
        said.contains("`2026-07-28` in answer to `initialize`"),
        "{said}"
    );
    assert!(said.contains("`--protocol modern`"), "{said}");
    assert!(!said.contains("unknown"), "{said}");
}

#[test]
fn a_redirect_of_discovery_alone_moves_nothing() {
    let server = FakeServer::start(|request, connection| {
        if request.path == "/elsewhere" {
            return connection.answer(404, &PLAIN, "nothing here");
        }
        match request.method().as_str() {
            "server/discover" => connection.answer(307, &[("Location", "/elsewhere")], ""),
            _ => legacy(request, connection),
        }
    });
    let report = all_well(&server, &[]);
    assert_eq!(report["server"]["era"], "legacy");
    let calls = server.log_of("tools/call");
    assert!(calls.iter().all(|call| call.path == "/mcp"));
}

#[test]
fn a_server_that_never_answers_discovery_is_legacy() {
    let server = FakeServer::on("server/discover", |_, connection| connection.hang());
    let arguments = ["--tool", "work", "--iterations", "6", "--timeout", "1s"];
    let report = load_run(&server.url(), &arguments)
        .run()
        .expect_code(0)
        .checked_report();
    assert_eq!(report["totals"]["ok"], 6, "{report:#}");
    assert_eq!(report["server"]["era"], "legacy");
}

#[track_caller]
fn refused(server: &FakeServer, expected: &[&str]) -> Finished {
    let finished = six_calls(server, &[]).run().expect_code(1);
    for text in expected {
        assert!(finished.stderr.contains(text), "{text} in {finished}");
    }
    finished
}

#[test]
fn who_gets_no_session_is_told_why() {
    let nobody = FakeServer::start(|_, connection| connection.answer(401, &[], ""));
    refused(&nobody, &["does not let us in: status 401", "--api-key"]);
    let page = FakeServer::start(|_, connection| {
        connection.answer(200, &[("Content-Type", "text/html")], "<html></html>")
    });
    refused(&page, &["a page of HTML", "check the path"]);
    let old = welcoming_with("1999-01-01");
    refused(
        &old,
        &[
            "`1999-01-01`",
            "2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25",
        ],
    );
    let none = speaks_only(&[], |_, connection| connection.answer(400, &PLAIN, "no"));
    refused(
        &none,
        &[
            "status 400: no",
            "2025-11-25, 2025-06-18, 2025-03-26, 2024-11-05",
        ],
    );
    assert_eq!(none.count("initialize"), 4);
    let down = FakeServer::start(|_, connection| connection.answer(503, &[], ""));
    refused(&down, &["status 503"]);
    assert!(down.log().len() <= 6, "{}", down.log().len());
}

#[test]
fn one_user_needs_one_connection_at_a_time() {
    let server = FakeServer::one_connection_at_a_time(|request, connection| {
        match request.method().as_str() {
            "resources/list" | "resources/templates/list" | "prompts/list" => {
                let body = rpc_error(request, -32601, "Method not found", &Value::Null);
                connection.answer(200, &[("Content-Type", "application/json")], &body)
            }
            _ => legacy(request, connection),
        }
    });
    let arguments = [
        "--tool",
        "work",
        "--vus",
        "1",
        "--iterations",
        "6",
        "--timeout",
        "5s",
    ];
    let report = load_run(&server.url(), &arguments)
        .run()
        .expect_code(0)
        .checked_report();
    assert_eq!(report["totals"]["ok"], 6, "{report:#}");
    // One that finds the server and lists its tools, one of the user.
    assert_eq!(server.n_connections(), 2);
    let init = ["loadtest", "init", &server.url(), "--output", "-"];
    Program::new(&init).run().expect_code(0);
    assert_eq!(server.n_connections(), 3);
}

/// The notice of a timeout goes over the connection that the next call uses.
#[test]
fn a_timeout_leaves_no_second_connection_behind() {
    let n_calls = AtomicUsize::new(0);
    let server = FakeServer::one_connection_at_a_time(move |request, connection| {
        let is_call = request.method() == "tools/call";
        if is_call && n_calls.fetch_add(1, Ordering::SeqCst) == 0 {
            return connection.hang();
        }
        legacy(request, connection)
    });
    let arguments = [
        "--tool",
        "work",
        "--vus",
        "1",
        "--iterations",
        "4",
        "--timeout",
        "1s",
    ];
    let report = load_run(&server.url(), &arguments)
        .run()
        .expect_code(0)
        .checked_report();
    assert_eq!(report["totals"]["ok"], 3, "{report:#}");
    assert_eq!(report["totals"]["failed"], 1, "{report:#}");
    assert_eq!(server.count("notifications/cancelled"), 1);
    assert_eq!(server.n_connections(), 3);
}

#[test]
fn a_400_about_something_else_called_a_session_loses_none() {
    for (code, text) in [
        (-32602, "argument \"session\" is required"),
        (-32000, "too many sessions are busy"),
    ] {
        let server = FakeServer::on_call(move |request, connection| {
            let body = rpc_error(request, code, text, &Value::Null);
            connection.answer(400, &[("Content-Type", "application/json")], &body)
        });
        let report = six_calls(&server, &[]).run().expect_made().checked_report();
        assert_eq!(report["counters"]["sessions_expired"], 0, "{text}");
        let cause = format!("http.400.jsonrpc.{code}");
        assert_eq!(causes(&report["totals"]), [(cause, 6)]);
        assert_eq!(server.count("initialize"), 2);
    }
}

#[test]
fn a_lost_session_is_opened_again_whatever_the_wording() {
    for (status, text) in [
        (404, "Session not found"),
        (400, "Bad Request: No valid session ID provided"),
        (400, "Mcp-Session-Id header is required"),
        (410, "session expired"),
    ] {
        let n_calls = AtomicUsize::new(0);
        let server = FakeServer::on_call(move |request, connection| {
            if n_calls.fetch_add(1, Ordering::SeqCst) == 1 {
                return connection.answer(status, &PLAIN, text);
            }
            connection.done(request)
        });
        let report = six_calls(&server, &[])
            .run()
            .expect_code(0)
            .checked_report();
        assert_eq!(report["counters"]["sessions_expired"], 1, "{status} {text}");
        assert_eq!(
            report["counters"]["sessions_reopened"], 1,
            "{status} {text}"
        );
        assert_eq!(report["totals"]["ok"], 5, "{status} {text}");
    }
}

#[test]
fn a_stream_that_is_not_resumed_has_ended() {
    for status in [400, 404, 405, 500] {
        let server = FakeServer::start(move |request, connection| {
            match (request.verb.as_str(), request.method().as_str()) {
                ("GET", _) => connection.answer(status, &PLAIN, "session not found"),
                (_, "tools/call") => connection.events("id: e1\nretry: 10\ndata:\n\n"),
                _ => legacy(request, connection),
            }
        });
        let report = six_calls(&server, &[]).run().expect_made().checked_report();
        let ended = "protocol.stream_ended".to_string();
        assert_eq!(causes(&report["totals"]), [(ended, 6)], "{status}");
        assert_eq!(report["counters"]["sessions_expired"], 0, "{status}");
        assert_eq!(report["counters"]["streams_resumed"], 0, "{status}");
        let n_gets = server
            .log()
            .iter()
            .filter(|request| request.header("last-event-id").is_some())
            .count();
        // A server that knows no GET is not asked by a session again.
        let expected = if matches!(status, 404 | 405) { 1 } else { 6 };
        assert_eq!(n_gets, expected, "{status}");
        let examples = &list(&report["totals"]["failures"])[0]["examples"];
        assert!(
            examples.to_string().contains("could not be resumed"),
            "{examples}"
        );
    }
}

#[test]
fn a_resumption_that_the_run_cuts_off_is_cancelled() {
    let server =
        FakeServer::on_call(|_, connection| connection.events("id: e1\nretry: 20000\ndata:\n\n"));
    let arguments = [
        "--tool",
        "work",
        "--vus",
        "2",
        "--duration",
        "1s",
        "--timeout",
        "30s",
        "--graceful-stop",
        "0s",
    ];
    let report = load_run(&server.url(), &arguments)
        .run()
        .expect_code(3)
        .checked_report();
    assert_eq!(report["totals"]["cancelled"], 2, "{report:#}");
    assert_eq!(report["totals"]["failed"], 0, "{report:#}");
}

/// A modern server by hand, whose `tools/call` is the test's affair.
fn modern(
    handler: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
) -> FakeServer {
    FakeServer::start(move |request, connection| {
        let result = match request.method().as_str() {
            "server/discover" => json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
            }),
            "tools/list" => json!({
                "resultType": "complete",
                "tools": [{"name": "work", "inputSchema": {"type": "object"}}],
            }),
            _ => return handler(request, connection),
        };
        connection.json(&request.result(&result))
    })
}

#[test]
fn the_modern_era_resumes_nothing_and_answers_nobody() {
    let server = modern(|request, connection| match request.verb.as_str() {
        "POST" if request.method() == "tools/call" => {
            let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
            connection.events(&format!("id: e1\nretry: 10\ndata: {ask}\n\n"))
        }
        _ => connection.answer(200, &[], ""),
    });
    let report = six_calls(&server, &[]).run().expect_made().checked_report();
    let ended = "protocol.stream_ended".to_string();
    assert_eq!(causes(&report["totals"]), [(ended, 6)]);
    assert_eq!(report["counters"]["server_requests"], 0);
    for request in server.log() {
        assert!(!request.method().is_empty(), "{request:?}");
    }
}

/// −32020: before the load the tools are listed once more; in the load it is a failure.
#[test]
fn headers_that_a_server_does_not_like_are_told() {
    for n_refused in [1, 2] {
        let lists = AtomicUsize::new(0);
        let server = FakeServer::start(move |request, connection| {
            let mismatch = rpc_error(request, -32020, "header mismatch", &Value::Null);
            match request.method().as_str() {
                "tools/list" if lists.fetch_add(1, Ordering::SeqCst) >= n_refused => connection
                    .json(&request.result(&json!({
                        "resultType": "complete",
                        "tools": [{"name": "work", "inputSchema": {"type": "object"}}],
                    }))),
                "server/discover" => connection.json(&request.result(&json!({
                    "resultType": "complete",
                    "supportedVersions": ["2026-07-28"],
                    "capabilities": {"tools": {}},
                }))),
                _ => connection.answer(400, &[("Content-Type", "application/json")], &mismatch),
            }
        });
        let report = six_calls(&server, &[]).run().expect_made().checked_report();
        assert_eq!(server.log_of("tools/list").len(), 2);
        let refused = "http.400.jsonrpc.-32020".to_string();
        assert_eq!(causes(&report["totals"]), [(refused, 6)]);
        let told = advice(&report, "header_mismatch").expect("a hint");
        assert!(told.contains("6 calls"), "{told}");
    }
}

#[test]
fn an_empty_session_id_is_none() {
    let server = FakeServer::on("initialize", |request, connection| {
        let headers = [("Content-Type", "application/json"), ("Mcp-Session-Id", "")];
        connection.answer(200, &headers, &welcome(request).to_string())
    });
    all_well(&server, &[]);
    for request in server.log() {
        assert_eq!(request.verb, "POST");
        assert_eq!(request.header("mcp-session-id"), None, "{request:?}");
    }
}

#[test]
fn session_ids_are_sent_back_as_they_came_or_refused() {
    let with_ids = |lines: String| {
        FakeServer::on("initialize", move |request, connection| {
            let body = welcome(request).to_string();
            connection.write(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{lines}\
                     Content-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            Next::Keep
        })
    };
    let odd = "a b\u{e9}=\"1\";~";
    let server = with_ids(format!(
        "Mcp-Session-Id: {odd}\r\nMcp-Session-Id: {odd}\r\n"
    ));
    all_well(&server, &[]);
    for call in server.log_of("tools/call") {
        assert_eq!(call.header("mcp-session-id"), Some(odd));
    }
    let two = with_ids("Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\n".to_string());
    refused(&two, &["two different `Mcp-Session-Id` headers"]);
    let long = with_ids(format!("Mcp-Session-Id: {}\r\n", "x".repeat(20_000)));
    refused(&long, &["a session id of 20000 bytes; at most 4096"]);
}

/// A balancer that finds the session's server by a cookie.
fn balancer() -> FakeServer {
    FakeServer::start(|request, connection| {
        let method = request.method();
        if method == "initialize" {
            let id = format!("s{}", request.connection);
            let cookie = format!("route={id}; Path=/mcp; HttpOnly");
            let headers = [
                ("Content-Type", "application/json"),
                ("Mcp-Session-Id", &id),
                ("Set-Cookie", "other=1; Secure"),
                ("Set-Cookie", &cookie),
            ];
            return connection.answer(200, &headers, &welcome(request).to_string());
        }
        let route = request
            .header("mcp-session-id")
            .map(|id| format!("route={id}"));
        if method == "tools/call" && request.header("cookie").map(str::to_string) != route {
            return connection.answer(404, &PLAIN, "Session not found");
        }
        legacy(request, connection)
    })
}

#[test]
fn cookies_are_counted_and_kept_on_request() {
    let server = balancer();
    let report = six_calls(&server, &[]).run().expect_made().checked_report();
    let n_lost = count(&report["counters"]["sessions_expired"]);
    assert!(n_lost >= 2, "{report:#}");
    assert!(count(&report["counters"]["cookies_set"]) >= 2, "{report:#}");
    let advice = list(&report["advice"]).iter();
    let mut ids = advice.filter_map(|note| note["id"].as_str());
    assert!(ids.any(|id| id == "cookies_not_kept"), "{report:#}");
    assert!(
        server
            .log()
            .iter()
            .all(|request| request.header("cookie").is_none())
    );

    let server = balancer();
    let report = all_well(&server, &["--cookies"]);
    assert_eq!(report["counters"]["sessions_expired"], 0);
    assert_eq!(report["counters"]["cookies_set"], 1);
    let config = "[settings]\ncookies = true\n";
    let finished = six_calls(&server, &[])
        .file(".pmcp/loadtest.toml", config)
        .run()
        .expect_code(0);
    assert_eq!(finished.checked_report()["totals"]["ok"], 6, "{finished}");
}

/// A stream that asks without end, and closes the connection of every answer:
/// the calls end in time, over a bounded number of connections.
#[test]
fn a_server_that_asks_without_end_is_answered_within_bounds() {
    share::one_part();
    for closes in [false, true] {
        let server = FakeServer::start(move |request, connection| {
            if request.method().is_empty() && request.verb == "POST" {
                connection.answer(202, &[], "");
                return if closes { Next::Close } else { Next::Keep };
            }
            if request.method() != "tools/call" {
                return legacy(request, connection);
            }
            connection.open_stream();
            let began = Instant::now();
            let mut n = 0;
            // For longer than the call may take.
            while began.elapsed() < Duration::from_secs(4) {
                n += 1;
                let ask = json!({"jsonrpc": "2.0", "id": n, "method": "ping"});
                connection.chunk(&format!("data: {ask}\n\n"));
                std::thread::sleep(Duration::from_micros(500));
            }
            Next::Close
        });
        let arguments = [
            "--tool",
            "work",
            "--vus",
            "3",
            "--iterations",
            "3",
            "--timeout",
            "2s",
        ];
        let report = load_run(&server.url(), &arguments)
            .run()
            .expect_made()
            .checked_report();
        let timed_out = "timeout.reading".to_string();
        assert_eq!(causes(&report["totals"]), [(timed_out, 3)], "{report:#}");
        let examples = &list(&report["totals"]["failures"])[0]["examples"];
        assert!(examples.to_string().contains("were answered"), "{examples}");
        let n_answered = count(&report["counters"]["server_requests"]);
        assert!(n_answered <= 3 * 256, "{n_answered}");
        // Its own, one for the notice of the timeout, and those for the answers.
        let most_connections = if closes { 2 + 8 } else { 2 + 1 };
        let n_connections = server.n_connections();
        assert!(n_connections <= 1 + 3 * most_connections, "{n_connections}");
    }
}

/// A server that never answers a DELETE holds a run up no longer than it may hold up any
/// other request.
#[test]
fn the_end_of_a_session_takes_no_longer_than_the_timeout() {
    let server = FakeServer::start(|request, connection| match request.verb.as_str() {
        "DELETE" => connection.hang(),
        _ => legacy(request, connection),
    });
    let limits = ["--tool", "work", "--vus", "2", "--iterations", "4"];
    let limits = [&limits[..], &["--timeout", "300ms", "--protocol", "legacy"]].concat();
    let finished = load_run(&server.url(), &limits).run().expect_code(0);
    let close = &finished.checked_report()["close"];
    assert_eq!(close["failed"], 2, "{finished}");
    let longest = close["failed_latency"]["max_ms"].as_f64();
    // They were given 2 s, whatever the timeout.
    assert!(longest.is_some_and(|ms| ms < 1_800.0), "{longest:?}");
}

/// While its session is ended and another one opened, a user is not free: a call that was
/// due meanwhile is late for the server's sake, not for this machine's.
#[test]
fn the_opening_of_a_session_is_no_lateness_of_the_generator() {
    let server = FakeServer::start(|request, connection| {
        if request.method() == "initialize" {
            std::thread::sleep(Duration::from_millis(250));
        }
        legacy(request, connection)
    });
    // What is looked at tells when the user was free.
    let config = "[settings]\nvirtual_users = 1\niterations = 5\npacing = \"100ms\"\n\
                  session = { iterations = 1 }\n[[scenario]]\ntype = \"tools/call\"\n\
                  tool = \"work\"\nexpect = { contains = \"done\" }\n";
    let finished = load_run(&server.url(), &["--config", "a.toml"]);
    let finished = finished.file("a.toml", config).run().expect_code(0);
    let lateness = &finished.checked_report()["lateness"];
    let median = lateness["p50_ms"].as_f64();
    assert!(median.is_some_and(|ms| ms < 150.0), "{lateness}");
}
