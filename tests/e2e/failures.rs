//! Every way in which a call can go wrong has a name of its own in the report,
//! with the server's own words as an example, and no call is ever sent twice.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, causes, count, list, load_run};
use crate::program::Finished;

const PLAIN: [(&str, &str); 1] = [("Content-Type", "text/plain")];
const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// Three calls of one user against a server that answers them so.
fn three_calls(
    answer: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
) -> (FakeServer, Finished, Value) {
    let server = FakeServer::on_call(answer);
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", "3"];
    let finished = load_run(&server.url(), &arguments).run().expect_made();
    let report = finished.checked_report();
    (server, finished, report)
}

/// All three calls fail with this cause, one of its examples holds the text,
/// and the server saw each call once.
#[track_caller]
fn check(
    expected: &str,
    example: &str,
    answer: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
) {
    let (server, finished, report) = three_calls(answer);
    let totals = &report["totals"];
    assert_eq!(causes(totals), [(expected.to_string(), 3)], "{finished}");
    let cause = &report["failures"][0];
    let group = expected.split('.').next().expect("a group");
    assert_eq!(cause["group"], group);
    let examples = cause["examples"].to_string();
    assert!(examples.contains(example), "{example}: {examples}");
    assert_eq!(server.count("tools/call"), 3, "{finished}");
    // The summary names it too.
    assert!(finished.stdout.contains(expected), "{finished}");
}

#[test]
fn http_errors_keep_their_status_and_text() {
    check("http.500", "out of order", |_, connection| {
        connection.answer(500, &PLAIN, "out of order")
    });
    check("http.503", "status 503", |_, connection| {
        connection.answer(503, &[], "")
    });
}

#[test]
fn http_errors_with_a_json_rpc_error_keep_both_codes() {
    check(
        "http.400.jsonrpc.-32602",
        "no such thing",
        |request, connection| {
            let error = rpc_error(request, -32602, "no such thing").to_string();
            connection.answer(400, &JSON, &error)
        },
    );
}

#[test]
fn json_rpc_errors_keep_their_code() {
    check("jsonrpc.-32603", "it broke", |request, connection| {
        connection.json(&rpc_error(request, -32603, "it broke"))
    });
    // Outside of JSON-RPC's own range, and in a stream.
    check("jsonrpc.0", "nothing", |request, connection| {
        connection.events(&event(&rpc_error(request, 0, "nothing")))
    });
    // Servers in the field answer errors with no id.
    check("jsonrpc.-32600", "who are you", |_, connection| {
        let error = json!({"code": -32600, "message": "who are you"});
        connection.json(&json!({"jsonrpc": "2.0", "id": null, "error": error}))
    });
}

/// The old tool counted this, and `{}`, as success.
#[test]
fn tools_that_fail_are_failures() {
    check(
        "tool.is_error",
        "the printer burns",
        |request, connection| {
            let content = json!([{"type": "text", "text": "the printer burns"}]);
            let result = json!({"content": content, "isError": true});
            connection.json(&request.result(&result))
        },
    );
}

#[test]
fn what_is_no_answer_is_told_apart() {
    check("protocol.not_json", "<html>", |_, connection| {
        connection.answer(200, &JSON, "<html>oops</html>")
    });
    check("protocol.content_type", "text/html", |_, connection| {
        connection.answer(200, &[("Content-Type", "text/html")], "<html>oops</html>")
    });
    check("protocol.no_result", "", |_, connection| {
        connection.json(&json!({}))
    });
    check("protocol.no_result", "", |request, connection| {
        connection.json(&json!({"jsonrpc": "2.0", "id": request.message()["id"]}))
    });
    check("protocol.wrong_id", "", |request, connection| {
        let mut reply = request.reply("done");
        reply["id"] = json!(987_654);
        connection.json(&reply)
    });
    check("protocol.wrong_id", "", |request, connection| {
        // A number is not its text.
        let mut reply = request.reply("done");
        reply["id"] = json!(reply["id"].to_string());
        connection.json(&reply)
    });
    check("protocol.accepted_unanswered", "202", |_, connection| {
        connection.answer(202, &[], "")
    });
    check("protocol.stream_ended", "", |_, connection| {
        connection.events(": nothing to say\n\n")
    });
    check("protocol.redirect", "307", |_, connection| {
        connection.answer(307, &[("Location", "/elsewhere")], "")
    });
}

#[test]
fn what_is_no_http_is_named() {
    check("protocol.bad_http", "", |_, connection| {
        connection.write("SSH-2.0-OpenSSH_9.2p1\r\n\r\n");
        Next::Close
    });
}

#[test]
fn an_answer_beyond_the_bound_is_refused() {
    let config = r#"
        [settings]
        virtual_users = 1
        iterations = 3
        message_bytes_max = "2KiB"
        [[scenario]]
        type = "tools/call"
        tool = "work"
    "#;
    for in_stream in [false, true] {
        let server = FakeServer::on_call(move |request, connection| {
            let reply = request.reply(&"x".repeat(10_000));
            if in_stream {
                connection.events(&event(&reply))
            } else {
                connection.json(&reply)
            }
        });
        let report = load_run(&server.url(), &[])
            .file(".pmcp/loadtest.toml", config)
            .run()
            .expect_code(3)
            .checked_report();
        let expected = [("protocol.too_large".to_string(), 3)];
        assert_eq!(
            causes(&report["totals"]),
            expected,
            "in a stream: {in_stream}"
        );
        assert_eq!(server.count("tools/call"), 3);
    }
}

#[test]
fn a_connection_that_closes_in_mid_answer_is_named() {
    check("protocol.closed_early", "", |_, connection| {
        connection.write(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
             Content-Length: 500\r\n\r\n{\"jsonrpc\":\"2.0\",",
        );
        Next::Close
    });
    check("protocol.closed_early", "", |_, connection| {
        connection.open_stream();
        connection.chunk(": still there\n\n");
        Next::Close
    });
    check("protocol.closed_early", "", |_, connection| {
        connection.write("HTTP/1.1 200 OK\r\nContent-Ty");
        Next::Close
    });
}

#[test]
fn a_connection_that_dies_before_the_answer_is_told_apart_and_not_sent_again() {
    let (server, finished, report) = three_calls(|_, _| Next::Close);
    // The first call comes on the handshake's connection.
    let expected = [
        ("connect.lost_new".to_string(), 2),
        ("connect.lost_reused".to_string(), 1),
    ];
    assert_eq!(causes(&report["totals"]), expected, "{finished}");
    assert_eq!(server.count("tools/call"), 3, "{finished}");
    assert!(count(&report["counters"]["reconnects"]) >= 2, "{finished}");
}

#[test]
fn each_operation_keeps_its_own_causes() {
    let config = r#"
        [settings]
        virtual_users = 2
        iterations = 60
        seed = 3
        [[scenario]]
        type = "tools/call"
        tool = "work"
        [[scenario]]
        type = "tools/call"
        tool = "other"
        [[scenario]]
        type = "ping"
    "#;
    let server = FakeServer::on_call(|request, connection| {
        if request.message()["params"]["name"] == "other" {
            connection.answer(500, &PLAIN, "no")
        } else {
            connection.done(request)
        }
    });
    let report = load_run(&server.url(), &["--protocol", "legacy"])
        .file(".pmcp/loadtest.toml", config)
        .run()
        .expect_code(0)
        .checked_report();
    for operation in list(&report["operations"]) {
        let figures = &operation["figures"];
        assert!(count(&figures["started"]) > 0, "{operation}");
        let is_bad = operation["subject"] == "other";
        let failed = if is_bad {
            &figures["started"]
        } else {
            &json!(0)
        };
        assert_eq!(&figures["failed"], failed, "{operation}");
    }
    assert_eq!(
        report["per_tool"]["other"]["error_count"],
        report["totals"]["failed"]
    );
}

#[test]
fn many_messages_of_one_cause_are_few_examples() {
    static N_CALLS: AtomicUsize = AtomicUsize::new(0);
    let server = FakeServer::on_call(|_, connection| {
        let n = N_CALLS.fetch_add(1, Ordering::SeqCst);
        let text = format!("trouble number {n} {}", "long ".repeat(2000));
        connection.answer(500, &PLAIN, &text)
    });
    let finished = load_run(&server.url(), &["--tool", "work", "--iterations", "100"])
        .run()
        .expect_code(3);
    let report = finished.checked_report();
    let examples = list(&report["failures"][0]["examples"]);
    assert!((1..=10).contains(&examples.len()), "{}", examples.len());
    for example in examples {
        let text = example.as_str().expect("a text");
        assert!(text.chars().count() < 600, "{} long", text.len());
    }
}

#[test]
fn a_redirect_within_the_host_is_followed_once_with_a_notice() {
    let server = FakeServer::start(|request, connection| match request.path.as_str() {
        "/mcp" => legacy(request, connection),
        _ => connection.answer(307, &[("Location", "/mcp")], ""),
    });
    let given = format!("{}/", server.url());
    let finished = load_run(&given, &["--tool", "work", "--iterations", "5"])
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], 5);
    assert_eq!(report["target_url"], server.url());
    let notices = report["notices"].to_string();
    assert!(notices.contains("redirects to"), "{notices}");
    let mut log = server.log();
    log.retain(|request| request.path != "/mcp");
    assert_eq!(log.len(), 1, "{log:?}");
}

#[test]
fn a_redirect_to_another_host_is_refused_and_takes_no_secret_along() {
    let other = FakeServer::start(legacy);
    let location = other.url();
    let server = FakeServer::start(move |_, connection| {
        connection.answer(307, &[("Location", &location)], "")
    });
    let finished = load_run(
        &server.url(),
        &["--iterations", "5", "--api-key", "tok-4711"],
    )
    .run()
    .expect_code(1);
    assert!(finished.stderr.contains("another host"), "{finished}");
    assert_eq!(other.log().len(), 0);
}

/// A JSON-RPC error that answers the request.
fn rpc_error(request: &Request, code: i64, message: &str) -> Value {
    request.error(&json!({"code": code, "message": message}))
}

fn event(message: &Value) -> String {
    format!("event: message\ndata: {message}\n\n")
}
