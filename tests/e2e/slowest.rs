//! The slowest calls of an operation with where their time went, and the traces of calls.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fake_server::{FakeServer, Next, Request};
use crate::load_run::{LoadRun, list, number};
use crate::program::{Finished, loadtest};

const N_CALLS: usize = 40;

/// Takes longer for every tenth call.
fn server() -> FakeServer {
    FakeServer::on_call(|request, connection| {
        let n = request.message()["params"]["arguments"]["n"].as_u64();
        if n.unwrap_or_default() % 10 == 0 {
            std::thread::sleep(Duration::from_millis(60));
        }
        connection.done(request)
    })
}

fn run(url: &str, settings: &str, step: &str, flags: &[&str]) -> Finished {
    let config = format!(
        "[settings]\nurl = \"{url}\"\nvirtual_users = 2\niterations = {N_CALLS}\n{settings}\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n\
         arguments = {{ n = \"{{{{iteration}}}}\" }}\n{step}"
    );
    let words = ["run", "--config", "a.toml", "--no-pin", "--no-preflight"];
    let program = loadtest(&[&words[..], flags].concat()).file("a.toml", &config);
    program.run()
}

/// The id in a `traceparent` of W3C Trace Context.
fn trace_id(traceparent: &str) -> String {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let [version, trace, call, flags] = parts[..] else {
        panic!("{traceparent}");
    };
    assert_eq!((version, flags), ("00", "01"), "{traceparent}");
    assert_eq!((trace.len(), call.len()), (32, 16), "{traceparent}");
    let is_hex = |text: &str| text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
    assert!(is_hex(trace) && is_hex(call), "{traceparent}");
    trace.to_string()
}

fn in_meta(request: &Request) -> Option<String> {
    let message = request.message();
    let trace = &message["params"]["_meta"]["traceparent"];
    trace.as_str().map(str::to_string)
}

fn slowest(report: &Value) -> &[Value] {
    list(&report["operations"][0]["slowest"])
}

#[test]
fn the_slowest_calls_are_told_with_where_their_time_went() {
    let server = server();
    let finished = run(&server.url(), "", "", &[]).expect_code(0);
    let report = finished.checked_report();
    let slowest = slowest(&report);
    assert_eq!(slowest.len(), 3, "{finished}");
    let latency = &report["totals"]["latency"];
    assert_eq!(slowest[0]["latency_ms"], latency["max_ms"], "{finished}");
    for call in slowest {
        let of = |key: &str| number(&call[key]);
        // The server slept before it answered at all.
        assert!(of("wait_ms") >= 60.0, "{call:#}");
        let sum = of("send_ms") + of("wait_ms") + of("read_ms");
        assert!((sum - of("latency_ms")).abs() < 0.001, "{call:#}");
        assert!(matches!(call["user"].as_u64(), Some(1 | 2)), "{call:#}");
        assert!(call["queue_ms"].is_null() && call["trace_id"].is_null());
        assert!(of("at_secs") < number(&report["duration_secs"]) + 1.0);
    }
    assert!(finished.stdout.contains("\nslowest calls "), "{finished}");
    assert!(
        server
            .log_of("tools/call")
            .iter()
            .all(|it| in_meta(it).is_none())
    );
    // With arrivals, waiting for a user that is free is told apart.
    let rate = ["--rate", "100/s", "--max-vus", "1"];
    let report = run(&server.url(), "", "", &rate)
        .expect_code(0)
        .checked_report();
    for call in self::slowest(&report) {
        let parts = ["queue_ms", "connect_ms", "send_ms", "wait_ms", "read_ms"];
        let sum: f64 = parts.iter().map(|part| number(&call[part])).sum();
        assert!(
            (sum - number(&call["latency_ms"])).abs() < 0.001,
            "{call:#}"
        );
    }
}

#[test]
fn each_call_has_a_trace_that_the_report_names() {
    for (settings, flags) in [("", &["--trace"][..]), ("trace = \"header\"", &[])] {
        let server = server();
        let step = "expect = { contains = \"what is never said\" }\n";
        let finished = run(&server.url(), settings, step, flags).expect_code(3);
        let finished_well = run(&server.url(), settings, "", flags).expect_code(0);
        let calls = server.log_of("tools/call");
        let sent: Vec<String> = calls
            .iter()
            .filter_map(|it| match settings {
                "" => in_meta(it),
                _ => it.header("traceparent").map(str::to_string),
            })
            .collect();
        assert_eq!(sent.len(), 2 * N_CALLS, "{finished}");
        let ids: BTreeSet<String> = sent.iter().map(|it| trace_id(it)).collect();
        assert_eq!(ids.len(), 2 * N_CALLS, "each has its own");
        let is_sent = |id: &Value| ids.contains(id.as_str().unwrap_or_default());
        let report = finished.checked_report();
        assert!(is_sent(&report["evidence"][0]["trace_id"]), "{finished}");
        let report = finished_well.checked_report();
        assert!(!slowest(&report).is_empty());
        for call in slowest(&report) {
            assert!(is_sent(&call["trace_id"]), "{call:#}");
        }
        let id = slowest(&report)[0]["trace_id"].as_str().expect("a trace");
        assert!(finished_well.stdout.contains(id), "{finished_well}");
    }
}

/// What became of a call without an answer is known to the server's own traces alone.
#[test]
fn time_outs_and_http_errors_name_their_trace() {
    let server = FakeServer::on_call(|request, connection| {
        match request.message()["params"]["arguments"]["n"].as_u64() {
            Some(10) => {
                connection.wait_until_or_gone(|| false);
                Next::Close
            }
            Some(11) => connection.answer(503, &[], "busy"),
            Some(12) => connection.json(&request.result(&json!({
                "isError": true, "content": [{"type": "text", "text": "no tea"}]
            }))),
            Some(13) => {
                connection.json(&request.error(&json!({"code": -32603, "message": "no cups"})))
            }
            Some(14) => connection.answer(200, &[("content-type", "application/json")], "lost"),
            _ => connection.done(request),
        }
    });
    let finished = run(&server.url(), "timeout = \"300ms\"", "", &["--trace"]).expect_code(0);
    let report = finished.checked_report();
    let evidence = list(&report["evidence"]);
    let sent = server.log_of("tools/call");
    let ids: Vec<String> = sent.iter().filter_map(in_meta).collect();
    let ids: Vec<String> = ids.iter().map(|it| trace_id(it)).collect();
    for (cause, answer) in [
        ("timeout.waiting", ""),
        ("http.503", "busy"),
        ("tool.is_error", "no tea"),
        ("jsonrpc.-32603", "no cups"),
        ("protocol.not_json", "lost"),
    ] {
        let exchange = evidence.iter().find(|it| it["cause"] == cause);
        let exchange = exchange.unwrap_or_else(|| panic!("{cause}: {finished}"));
        let id = exchange["trace_id"].as_str().expect("a trace");
        assert!(ids.iter().any(|it| it == id), "{exchange:#}");
        let request = exchange["request"].as_str().expect("a request");
        assert!(request.contains(id), "{exchange:#}");
        assert!(finished.stdout.contains(id), "{finished}");
        let found = exchange["answer"].as_str().expect("an answer");
        assert!(found.contains(answer), "{exchange:#}");
        assert_eq!(found.is_empty(), answer.is_empty(), "{exchange:#}");
    }
    assert!(
        !finished.stdout.lines().any(|it| it.trim() == "got:"),
        "{finished}"
    );
    // Without traces there is nothing to look up.
    let finished = run(&server.url(), "timeout = \"300ms\"", "", &[]).expect_code(0);
    assert!(list(&finished.checked_report()["evidence"]).is_empty());
}
