//! Runs against servers made with the official Rust SDK, whose own counts say
//! whether the report tells the truth. What holds of any SDK's server is in the
//! public functions here; `python.rs` uses them too.

use std::io::{BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::init_command::read_request;
use crate::load_run::{LoadRun, load_run};
use crate::program::{Finished, Program};
use crate::rmcp_server::{Mode, RmcpServer, SERVER_NAME, SERVER_VERSION};

/// The newest revision of the legacy era, which both SDKs speak.
const LEGACY: &str = "2025-11-25";
/// The modern revision.
const MODERN: &str = "2026-07-28";

const STATEFUL_SSE: Mode = Mode {
    stateful: true,
    json: false,
};
const STATEFUL_JSON: Mode = Mode {
    stateful: true,
    json: true,
};
const STATELESS_SSE: Mode = Mode {
    stateful: false,
    json: false,
};
const STATELESS_JSON: Mode = Mode {
    stateful: false,
    json: true,
};

#[test]
fn every_call_is_counted_with_sessions_and_sse() {
    check_protocols(STATEFUL_SSE);
}

#[test]
fn every_call_is_counted_with_sessions_and_json() {
    check_protocols(STATEFUL_JSON);
}

#[test]
fn every_call_is_counted_without_sessions_and_sse() {
    check_protocols(STATELESS_SSE);
}

#[test]
fn every_call_is_counted_without_sessions_and_json() {
    check_protocols(STATELESS_JSON);
}

#[test]
fn failures_of_a_mixture_are_told_apart_in_legacy_sessions() {
    check_mixture(STATEFUL_SSE, "legacy");
}

#[test]
fn failures_of_a_mixture_are_told_apart_in_stateless_legacy() {
    check_mixture(STATELESS_JSON, "legacy");
}

#[test]
fn failures_of_a_mixture_are_told_apart_in_modern_sse() {
    check_mixture(STATELESS_SSE, "modern");
}

#[test]
fn failures_of_a_mixture_are_told_apart_in_modern_json() {
    check_mixture(STATELESS_JSON, "modern");
}

#[test]
fn as_many_calls_as_users_are_in_flight() {
    for (mode, protocol) in [(STATEFUL_SSE, "legacy"), (STATELESS_JSON, "modern")] {
        let server = RmcpServer::start(mode);
        check_sleepers(&server.url(), protocol);
        assert_eq!(server.calls(), N_SLEEPERS, "{mode:?}");
        assert_eq!(server.in_flight_max(), N_SLEEPERS, "{mode:?}");
    }
}

/// The SDK's SSE answers to modern requests are complete with the first chunk;
/// the last, empty one is held back by the kernel until we acknowledge the
/// first, some 43 ms later. A call is over when its answer is.
#[test]
fn latency_ends_with_the_answer_and_not_with_the_stream() {
    let server = RmcpServer::start(STATELESS_SSE);
    let finished = run(&[
        &server.url(),
        "--protocol=modern",
        "--tool=echo",
        "--args={\"text\":\"hi\"}",
        "--vus=1",
        "--iterations=30",
    ]);
    let report = finished.expect_code(0).report();
    assert_eq!(count(&report, "/totals/ok"), 30, "{report:#}");
    let p50_ms = number(&report, "/totals/latency/p50_ms");
    assert!(p50_ms < 30.0, "{p50_ms} ms");
}

#[test]
fn a_call_past_its_timeout_is_one_failure_and_the_session_goes_on() {
    let server = RmcpServer::start(STATEFUL_SSE);
    let config = "
        [[scenario]]
        type = 'tools/call'
        tool = 'sleep'
        arguments = { ms = 60000 }

        [[scenario]]
        type = 'tools/call'
        tool = 'echo'
        arguments = { text = 'hi' }
        weight = 4
    ";
    let finished = Program::new(&[
        "loadtest",
        "run",
        &server.url(),
        "--protocol=legacy",
        "--vus=1",
        "--iterations=20",
        "--timeout=200ms",
        "--seed=1",
    ])
    .file(".pmcp/loadtest.toml", config)
    .time_limit(LIMIT)
    .run();
    let report = finished.expect_code(0).report();
    let sleeps = operation(&report, "tools/call sleep");
    let n_sleeps = count(sleeps, "/started");
    assert!(n_sleeps > 0, "{report:#}");
    assert_eq!(count(sleeps, "/failed"), n_sleeps);
    assert_eq!(sleeps["failures"][0]["group"], "timeout");
    // The limit counts from a moment before the first byte is sent.
    let least_ms = number(sleeps, "/failed_latency/min_ms");
    assert!((190.0..1_000.0).contains(&least_ms), "{least_ms} ms");
    let echoes = operation(&report, "tools/call echo");
    assert_eq!(count(echoes, "/ok"), 20 - n_sleeps);
    // A slow answer is no reason for a new session.
    assert_eq!(count(&report, "/counters/sessions_opened"), 1);
    assert_eq!(server.calls(), 20);
}

/// A modern-only run against a server that speaks both, and the reverse.
/// Its `sleep` is a task for those who declare tasks, and asks for their roots.
#[test]
fn tasks_are_followed_and_answered() {
    for mode in [STATELESS_SSE, STATELESS_JSON] {
        let server = RmcpServer::start(mode);
        let arguments = ["--tool", "sleep", "--args", r#"{"ms":60}"#, "--task"];
        let more = ["--vus", "2", "--iterations", "6"];
        let run = load_run(&server.url(), &[&arguments[..], &more].concat());
        let report = run.run().expect_code(0).checked_report();
        assert_eq!(report["totals"]["ok"], 6, "{report:#}");
        assert_eq!(server.calls(), 6);
        assert_eq!(report["counters"]["round_trips"], 6);
        let steps = report["task_steps"].as_array().expect("a list");
        let of = |method: &str| steps.iter().find(|step| step["method"] == method);
        let ok = |method| of(method).map(|step| count(&step["figures"], "/ok"));
        assert_eq!(ok("tools/call"), Some(6), "{report:#}");
        // One that finds the question, one that finds the result.
        assert!(ok("tasks/get") >= Some(12), "{report:#}");
    }
}

#[test]
fn a_revision_can_be_asked_for() {
    let server = RmcpServer::start(STATELESS_JSON);
    for revision in ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] {
        let protocol = format!("--protocol={revision}");
        let finished = run(&[&server.url(), &protocol, "--vus=1", "--iterations=3"]);
        let report = finished.expect_code(0).report();
        assert_eq!(report["server"]["revision"], revision);
        assert_eq!(count(&report, "/totals/ok"), 3, "{report:#}");
        // Without a tool or a config, nothing but the list is asked for.
        assert_eq!(report["operations"][0]["label"], "tools/list");
    }
    assert_eq!(server.calls(), 0);
}

/// A server under load is late with the end of a stream now and then. That is no
/// reason to give up a connection for every call that follows.
#[test]
fn a_stream_that_ended_late_once_is_no_rule() {
    let server = LateServer::start();
    let url = server.url();
    let finished = run(&[
        &url,
        "--protocol=legacy",
        "--tool=echo",
        "--vus=1",
        "--iterations=20",
    ]);
    let report = finished.expect_code(0).report();
    assert_eq!(count(&report, "/totals/ok"), 20, "{report:#}");
    let n_left_open = count(&report, "/counters/streams_left_open");
    assert!((1..=3).contains(&n_left_open), "{n_left_open}: {report:#}");
    assert_eq!(count(&report, "/counters/reconnects"), n_left_open);
}

/// Far more than a run here takes; a hang ends there.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// The users of [`check_sleepers`], each with one call.
pub(crate) const N_SLEEPERS: u64 = 8;

/// `loadtest run` with these arguments, without a config.
pub(crate) fn run(arguments: &[&str]) -> Finished {
    let mut all = vec!["loadtest", "run"];
    all.extend(arguments);
    Program::new(&all).time_limit(LIMIT).run()
}

/// A hundred calls of `echo` by five users, all of which must succeed.
pub(crate) fn run_echo(url: &str, protocol: &str) -> Value {
    let finished = run(&[
        url,
        "--tool",
        "echo",
        "--args",
        r#"{"text":"hi"}"#,
        "--vus",
        "5",
        "--iterations",
        "100",
        "--protocol",
        protocol,
    ]);
    let finished = finished.expect_code(0);
    let report = finished.report();
    for figure in [
        "/totals/started",
        "/totals/ok",
        "/counters/iterations_completed",
    ] {
        assert_eq!(count(&report, figure), 100, "{figure}: {report:#}");
    }
    assert_eq!(report["failures"], Value::Array(Vec::new()), "{report:#}");
    assert_eq!(report["run"]["ended"], "iterations");
    let echo = operation(&report, "tools/call echo");
    assert_eq!(count(echo, "/latency/count"), 100);
    assert!(finished.stdout.contains("100, all ok"), "{finished}");
    assert!(finished.stdout.contains("handshake"), "{finished}");
    report
}

/// What a server said of itself, in the report.
pub(crate) fn check_identity(report: &Value, name: &str, version: &str, era: &str) {
    let server = &report["server"];
    assert_eq!(server["name"], name, "{server}");
    assert_eq!(server["version"], version, "{server}");
    assert_eq!(server["era"], era, "{server}");
    let revision = if era == "legacy" { LEGACY } else { MODERN };
    assert_eq!(server["revision"], revision, "{server}");
}

/// Each user has one connection and one handshake, which is not a call; where there
/// are sessions, each is ended.
pub(crate) fn check_sessions(report: &Value, has_sessions: bool) {
    assert_eq!(report["server"]["has_sessions"], has_sessions, "{report:#}");
    let n_users = count(report, "/handshake/ok");
    assert!((1..=5).contains(&n_users), "{report:#}");
    assert_eq!(count(report, "/handshake/failed"), 0);
    assert_eq!(count(report, "/counters/sessions_opened"), n_users);
    for counter in ["sessions_reopened", "sessions_expired", "reconnects"] {
        assert_eq!(report["counters"][counter], 0, "{counter}: {report:#}");
    }
    let n_ended = if has_sessions { n_users } else { 0 };
    let n_deleted = report.pointer("/close/ok").and_then(Value::as_u64);
    assert_eq!(n_deleted.unwrap_or(0), n_ended, "{report:#}");
    let n_not_deleted = report.pointer("/close/failed").and_then(Value::as_u64);
    assert_eq!(n_not_deleted.unwrap_or(0), 0, "{report:#}");
}

/// Calls that take 300 ms each, all at one time.
pub(crate) fn check_sleepers(url: &str, protocol: &str) {
    let n = N_SLEEPERS.to_string();
    let finished = run(&[
        url,
        "--protocol",
        protocol,
        "--tool=sleep",
        "--args={\"ms\":300}",
        "--vus",
        &n,
        "--iterations",
        &n,
    ]);
    let report = finished.expect_code(0).report();
    assert_eq!(count(&report, "/totals/ok"), N_SLEEPERS, "{report:#}");
    // A millisecond for the server's timer and for two clocks.
    let least_ms = number(&report, "/totals/latency/min_ms");
    assert!(least_ms >= 299.0, "{least_ms} ms");
}

/// Runs one of each operation, those that must fail among them.
///
/// `expected` has the failures: the operation's label and the cause's id.
/// Everything else must succeed.
pub(crate) fn run_mixture(url: &str, protocol: &str, expected: &[(&str, &str)]) -> Value {
    const N_ITERATIONS: u64 = 240;
    let mut config = MIXTURE.to_string();
    if protocol == "legacy" {
        config.push_str("[[scenario]]\ntype = 'ping'\n");
    }
    let iterations = N_ITERATIONS.to_string();
    let finished = Program::new(&[
        "loadtest",
        "run",
        url,
        "--protocol",
        protocol,
        "--vus=4",
        "--seed=7",
        // Some of them are there to fail.
        "--no-preflight",
        "--iterations",
        &iterations,
    ])
    .file(".pmcp/loadtest.toml", &config)
    .time_limit(LIMIT)
    .run()
    .expect_code(0);
    let report = finished.report();

    let operations = report["operations"].as_array().expect("a list");
    let n_steps = config.matches("[[scenario]]").count();
    assert_eq!(operations.len(), n_steps, "{report:#}");
    let mut n_failed = 0;
    for operation in operations {
        let label = operation["label"].as_str().expect("a label");
        let figures = &operation["figures"];
        let started = count(figures, "/started");
        assert!(started > 0, "{label} was never called");
        match expected.iter().find(|(failing, _)| *failing == label) {
            Some((_, id)) => {
                assert_eq!(count(figures, "/failed"), started, "{operation:#}");
                assert_eq!(figures["failures"][0]["id"], *id, "{operation:#}");
                assert_eq!(count(figures, "/failures/0/count"), started);
                let example = &figures["failures"][0]["examples"][0];
                assert!(example.is_string(), "{operation:#}");
                n_failed += started;
            }
            None => assert_eq!(count(figures, "/ok"), started, "{operation:#}"),
        }
    }
    assert_eq!(count(&report, "/totals/started"), N_ITERATIONS);
    assert_eq!(count(&report, "/totals/failed"), n_failed);
    for (_, id) in expected {
        assert!(finished.stdout.contains(id), "{id}: {finished}");
    }
    report
}

/// Calls of tools in a report, which must be what the server counted. Unknown
/// tools reach no handler.
pub(crate) fn n_handled(report: &Value) -> u64 {
    ["echo", "add", "sleep", "fail"]
        .iter()
        .map(|tool| count(operation(report, &format!("tools/call {tool}")), "/started"))
        .sum()
}

/// The figures of the operation with that label.
#[track_caller]
pub(crate) fn operation<'a>(report: &'a Value, label: &str) -> &'a Value {
    let operations = report["operations"].as_array().expect("a list");
    operations
        .iter()
        .find(|operation| operation["label"] == label)
        .map(|operation| &operation["figures"])
        .unwrap_or_else(|| panic!("no `{label}` in {report:#}"))
}

/// A whole number in a report.
#[track_caller]
pub(crate) fn count(report: &Value, pointer: &str) -> u64 {
    report
        .pointer(pointer)
        .and_then(Value::as_u64)
        .unwrap_or_else(|| panic!("no count at {pointer} in {report:#}"))
}

/// A number in a report.
#[track_caller]
pub(crate) fn number(report: &Value, pointer: &str) -> f64 {
    report
        .pointer(pointer)
        .and_then(Value::as_f64)
        .unwrap_or_else(|| panic!("no number at {pointer} in {report:#}"))
}

/// One of each operation that both eras have.
const MIXTURE: &str = r#"
[[scenario]]
type = "tools/call"
tool = "echo"
arguments = { text = "Grüße, 世界 \u2028" }

[[scenario]]
type = "tools/call"
tool = "add"
arguments = { a = 2, b = 40 }

[[scenario]]
type = "tools/call"
tool = "sleep"
arguments = { ms = 3 }

[[scenario]]
type = "tools/call"
tool = "fail"

[[scenario]]
type = "tools/call"
tool = "nobody-knows-it"

[[scenario]]
type = "resources/read"
uri = "test://greeting"

[[scenario]]
type = "resources/read"
uri = "test://nowhere"

[[scenario]]
type = "prompts/get"
prompt = "greet"
arguments = { name = "Ann" }

[[scenario]]
type = "tools/list"

[[scenario]]
type = "resources/list"

[[scenario]]
type = "resources/templates/list"

[[scenario]]
type = "prompts/list"
"#;

fn check_protocols(mode: Mode) {
    for (protocol, era) in [
        ("legacy", "legacy"),
        ("modern", "modern"),
        ("auto", "modern"),
    ] {
        let server = RmcpServer::start(mode);
        let report = run_echo(&server.url(), protocol);
        check_identity(&report, SERVER_NAME, SERVER_VERSION, era);
        let has_sessions = mode.stateful && era == "legacy";
        check_sessions(&report, has_sessions);
        assert_eq!(server.calls(), 100, "{mode:?} {protocol}");
        if era == "modern" {
            assert_eq!(server.sessions(), 0, "{mode:?} {protocol}");
        }
        if has_sessions {
            // Those of the users, and one before the run: to find the server out
            // and to list its tools.
            let n_users = count(&report, "/counters/sessions_opened");
            assert_eq!(server.sessions(), n_users + 1, "{report:#}");
        }
    }
}

fn check_mixture(mode: Mode, protocol: &str) {
    let server = RmcpServer::start(mode);
    let unknown_resource = if protocol == "legacy" {
        "jsonrpc.-32002"
    } else {
        "jsonrpc.-32602"
    };
    let report = run_mixture(
        &server.url(),
        protocol,
        &[
            ("tools/call fail", "tool.is_error"),
            ("tools/call nobody-knows-it", "jsonrpc.-32602"),
            ("resources/read test://nowhere", unknown_resource),
        ],
    );
    assert_eq!(server.calls(), n_handled(&report), "{mode:?} {protocol}");
}

/// What no SDK can be told to do: a legacy server without sessions whose answers
/// to tool calls are streams. The first ends late, the others a little after
/// their answer.
struct LateServer {
    address: SocketAddr,
}

impl LateServer {
    /// Serves until the end of the tests.
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let n_calls = Arc::new(AtomicU64::new(0));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let n_calls = Arc::clone(&n_calls);
                // A client that goes away in mid-answer is what is tested.
                thread::spawn(move || stream.and_then(|stream| Self::serve(stream, &n_calls)));
            }
        });
        Self { address }
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    fn serve(mut stream: TcpStream, n_calls: &AtomicU64) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some((_, body)) = read_request(&mut reader)? {
            let request: Value = serde_json::from_slice(&body).unwrap_or_default();
            let result = match request["method"].as_str().unwrap_or_default() {
                "initialize" => json!({
                    "protocolVersion": LEGACY,
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "late", "version": "1"},
                }),
                "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {}}]}),
                "tools/call" => json!({"content": []}),
                _ => {
                    stream.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
                    continue;
                }
            };
            let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
            if request["method"] != "tools/call" {
                let answer = answer.to_string();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
                write!(stream, "{head}: {}\r\n\r\n{answer}", answer.len())?;
                continue;
            }
            let event = format!("data: {answer}\n\n");
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                        Transfer-Encoding: chunked\r\n\r\n";
            let chunk = format!("{head}{:x}\r\n{event}\r\n", event.len());
            stream.write_all(chunk.as_bytes())?;
            let is_first = n_calls.fetch_add(1, Ordering::SeqCst) == 0;
            let late_ms = if is_first { 1_000 } else { 10 };
            thread::sleep(Duration::from_millis(late_ms));
            stream.write_all(b"0\r\n\r\n")?;
        }
        Ok(())
    }
}
