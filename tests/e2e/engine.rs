//! The load itself: how much is in flight, when it ends, and that it comes
//! back after trouble. The truth is counted on the server's side.

use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;
use pmcp_loadtest::demo::{DemoLatency, DemoOptions, DemoServer};

use crate::demo::{ECHO, MS, demo, demo_with_capacity, demo_with_latency};
use crate::fake_server::{FakeServer, Next, legacy};
use crate::load_run::{LoadRun, causes, count, list, load_run, number};
use crate::port;
use crate::program::{Finished, Running};
use crate::share;

fn with<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

#[test]
fn n_users_are_n_calls_in_flight_on_one_worker() {
    share::beside(10);
    // So long that a machine with much else to do sends the last call before the first
    // is answered.
    let server = demo_with_latency(2000 * MS);
    let limits = ["--vus", "200", "--workers", "1", "--iterations", "200"];
    let finished = load_run(&server.url(), &with(&ECHO, &limits))
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    assert_eq!(list(&report["host"]["workers"]).len(), 1);
    let stats = server.stop();
    assert_eq!(stats.in_flight_max, 200, "{finished}");
    assert_eq!(stats.tool_calls, 200);
    assert_eq!(report["totals"]["ok"], 200);
}

#[test]
fn iterations_are_exact_with_any_number_of_workers_and_users() {
    for (vus, workers, iterations) in [("1", "1", 1), ("7", "3", 100), ("50", "2", 1001)] {
        let server = demo_with_latency(MS);
        let iterations_text = iterations.to_string();
        let limits = [
            "--vus",
            vus,
            "--workers",
            workers,
            "--iterations",
            &iterations_text,
            "--duration",
            "30s",
        ];
        let finished = load_run(&server.url(), &with(&ECHO, &limits))
            .run()
            .expect_code(0);
        let report = finished.checked_report();
        assert_eq!(server.stop().tool_calls, iterations, "{vus} users");
        assert_eq!(report["totals"]["ok"], iterations);
        assert_eq!(report["counters"]["iterations_completed"], iterations);
        assert_eq!(report["run"]["ended"], "iterations");
    }
}

#[test]
fn the_duration_ends_a_run_whose_iterations_are_many() {
    let server = demo_with_latency(5 * MS);
    let limits = ["--vus", "4", "--iterations", "1000000", "--duration", "1s"];
    let report = load_run(&server.url(), &with(&ECHO, &limits))
        .run()
        .expect_code(0)
        .checked_report();
    assert_eq!(report["run"]["ended"], "duration");
    let duration = number(&report["duration_secs"]);
    assert!((0.95..3.0).contains(&duration), "{duration}");
    assert_eq!(server.stop().tool_calls, count(&report["totals"]["ok"]));
}

/// The old tool showed 100 a second here, from samples that it had invented.
#[test]
fn a_slow_server_shows_its_true_rate() {
    share::beside(10);
    let server = demo_with_latency(1000 * MS);
    let limits = ["--vus", "10", "--duration", "3s"];
    let report = load_run(&server.url(), &with(&ECHO, &limits))
        .run()
        .expect_code(0)
        .checked_report();
    let rate = number(&report["totals"]["rate_per_sec"]);
    assert!((6.0..=10.5).contains(&rate), "{rate}");
    assert_eq!(
        server.stop().tool_calls,
        count(&report["totals"]["started"])
    );
    let p50 = number(&report["totals"]["latency"]["p50_ms"]);
    assert!((995.0..2000.0).contains(&p50), "{p50}");
}

#[test]
fn latencies_are_those_that_the_server_measured() {
    share::beside(7);
    let server = demo(DemoOptions {
        latency: DemoLatency::Fixed(5 * MS),
        service_times_max: 1_000_000,
        ..DemoOptions::default()
    });
    // Only calls, so that every service time is one of theirs.
    let limits = ["--vus", "20", "--workers", "1", "--iterations", "4000"];
    let report = load_run(&server.url(), &limits)
        .run()
        .expect_code(0)
        .checked_report();
    let mut times = server.stop().service_times;
    times.sort_unstable();
    let own_ms = |share: f64| {
        let rank = (times.len() as f64 * share) as usize;
        times[rank.min(times.len() - 1)] as f64 / 1e6
    };
    // What other tests take of the CPUs shows in the slowest calls first.
    for (key, share, more_ms) in [("p50_ms", 0.5, 3.0), ("p99_ms", 0.99, 25.0)] {
        let reported = number(&report["totals"]["latency"][key]);
        let own = own_ms(share);
        // The way there and back is not the server's, and tests share the CPUs.
        assert!(
            reported >= own * 0.97 && reported <= own * 1.03 + more_ms,
            "{key}: reported {reported}, the server's own {own}"
        );
    }
}

#[test]
fn a_server_that_hangs_yields_failures_named_by_phase() {
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let limits = [
        "--tool",
        "work",
        "--vus",
        "3",
        "--iterations",
        "6",
        "--timeout",
        "300ms",
    ];
    let finished = load_run(&server.url(), &limits).run().expect_code(3);
    let report = finished.checked_report();
    let expected = [("timeout.waiting".to_string(), 6)];
    assert_eq!(causes(&report["totals"]), expected, "{finished}");
    let failed = &report["totals"]["failed_latency"];
    let [least, most] = ["min_ms", "max_ms"].map(|key| number(&failed[key]));
    // The limit counts from before the request is written, the latency from when
    // it is: on a busy machine there is time between them.
    assert!(least >= 200.0 && most < 2000.0, "{failed}");
    // The server is told that nobody waits any more.
    assert_eq!(server.count("notifications/cancelled"), 6);
}

#[test]
fn a_timeout_while_sending_is_named() {
    let server = FakeServer::start(legacy);
    let text = "x".repeat(8 * 1024 * 1024);
    let arguments = format!(r#"{{"text":"{text}"}}"#);
    let limits = [
        "--tool",
        "work",
        "--args",
        "@args.json",
        "--iterations",
        "1",
        "--timeout",
        "400ms",
    ];
    let report = load_run(&server.url(), &limits)
        .file("args.json", &arguments)
        .run()
        .expect_code(3)
        .checked_report();
    let expected = [("timeout.sending".to_string(), 1)];
    assert_eq!(causes(&report["totals"]), expected);
}

#[test]
fn a_timeout_while_reading_is_named() {
    let server = FakeServer::on_call(|_, connection| {
        connection.write(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
             Content-Length: 1000\r\n\r\n{\"jsonrpc\":",
        );
        connection.hang()
    });
    let limits = ["--tool", "work", "--iterations", "2", "--timeout", "300ms"];
    let report = load_run(&server.url(), &limits)
        .run()
        .expect_code(3)
        .checked_report();
    let expected = [("timeout.reading".to_string(), 2)];
    assert_eq!(causes(&report["totals"]), expected);
}

/// The old tool forgot requests in flight at the end: none started, exit 0. A run without
/// any success fails.
#[test]
fn what_hangs_at_the_end_is_cancelled_with_its_age() {
    share::one_part();
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let limits = [
        "--tool",
        "work",
        "--vus",
        "5",
        "--duration",
        "500ms",
        "--timeout",
        "20s",
        "--graceful-stop",
        "300ms",
    ];
    let began = Instant::now();
    let finished = load_run(&server.url(), &limits).run().expect_code(3);
    assert!(began.elapsed() < Duration::from_secs(8), "{finished}");
    let report = finished.checked_report();
    let totals = &report["totals"];
    assert_eq!(
        (&totals["started"], &totals["cancelled"]),
        (&5.into(), &5.into())
    );
    let age = number(&totals["cancelled_age"]["min_ms"]);
    assert!((700.0..4000.0).contains(&age), "{age}");
    assert!(finished.stdout.contains("cancelled"), "{finished}");
}

#[test]
fn requests_in_flight_at_the_end_may_finish() {
    let server = demo_with_latency(700 * MS);
    let limits = ["--vus", "8", "--duration", "1s"];
    let report = load_run(&server.url(), &with(&ECHO, &limits))
        .run()
        .expect_code(0)
        .checked_report();
    assert_eq!(report["totals"]["cancelled"], 0);
    assert_eq!(report["totals"]["ok"], 16);
}

/// A run that has made some calls.
#[cfg(target_os = "linux")]
fn run_in_progress(server: &DemoServer, arguments: &[&str]) -> Running {
    let mut running = load_run(&server.url(), &with(&ECHO, arguments)).spawn();
    running.wait_until("calls came", |_| server.stats().tool_calls >= 5);
    running
}

#[test]
#[cfg(target_os = "linux")]
fn the_first_signal_ends_the_run_in_good_order() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let server = demo_with_latency(20 * MS);
        let load = ["--vus", "5", "--duration", "50s", "--assert", "errors=0"];
        let running = run_in_progress(&server, &load);
        running.signal(signal);
        let finished = running.wait().expect_code(130);
        let report = finished.checked_report();
        let why = "the run was interrupted";
        let gate = serde_json::json!({"grade": "failed", "why": why});
        assert_eq!(report["gate"], gate, "{signal}");
        let first = format!("failed: {why}; on the part that ran, 1 threshold kept; ");
        assert!(finished.stdout.starts_with(&first), "{finished}");
        assert_eq!(report["run"]["ended"], "interrupted", "{signal}");
        assert_eq!(report["totals"]["cancelled"], 0, "{signal}");
        let stats = server.stop();
        assert_eq!(stats.tool_calls, count(&report["totals"]["ok"]), "{signal}");
        assert_eq!(stats.sessions_deleted, stats.sessions_opened, "{signal}");
        assert!(finished.stdout.contains("interrupted"), "{finished}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_second_signal_ends_the_run_at_once() {
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let limits = [
        "--tool",
        "work",
        "--vus",
        "5",
        "--duration",
        "50s",
        "--timeout",
        "30s",
    ];
    let mut running = load_run(&server.url(), &limits).spawn();
    running.wait_until("calls came", |_| server.count("tools/call") == 5);
    let began = Instant::now();
    let finished = running.interrupt_twice().expect_code(130);
    assert!(began.elapsed() < Duration::from_secs(5), "{finished}");
    let report = finished.checked_report();
    assert_eq!(report["totals"]["cancelled"], 5);
}

#[test]
fn users_come_back_when_the_server_does() {
    let port = port::unused();
    let server = FakeServer::start_at(port, |request, connection| {
        match request.method().as_str() {
            "tools/call" => connection.done(request),
            _ => legacy(request, connection),
        }
    });
    let url = server.url();
    let limits = [
        "--tool",
        "work",
        "--vus",
        "4",
        "--duration",
        "4s",
        "--think",
        "10ms",
    ];
    let mut running = load_run(&url, &limits).spawn();
    running.wait_until("calls came", |_| server.count("tools/call") > 20);
    drop(server);
    let down = Instant::now();
    running.wait_until("it was down for a while", |_| down.elapsed() > 700 * MS);
    let server = FakeServer::start_at(port, |request, connection| {
        let is_known = request
            .header("mcp-session-id")
            .is_none_or(|id| id.starts_with("second-"));
        match request.method().as_str() {
            "tools/call" if !is_known => connection.answer(404, &[], "no such session"),
            "initialize" => {
                let id = format!("second-{}", request.connection);
                let headers = [
                    ("Content-Type", "application/json"),
                    ("Mcp-Session-Id", &id),
                ];
                let welcome = crate::fake_server::welcome(request).to_string();
                connection.answer(200, &headers, &welcome)
            }
            _ => legacy(request, connection),
        }
    });
    let finished = running.wait().expect_code(0);
    let report = finished.checked_report();
    let causes = causes(&report["totals"]);
    let n_refused = causes.iter().find(|(id, _)| id == "connect.refused");
    let n_refused = n_refused.map_or(0, |(_, n)| *n);
    // Four users with pauses that grow: some refusals each, not thousands.
    assert!((4..200).contains(&n_refused), "{causes:?}");
    assert_eq!(report["counters"]["sessions_expired"], 4, "{causes:?}");
    assert_eq!(report["counters"]["sessions_reopened"], 4, "{causes:?}");
    let calls = server.log_of("tools/call");
    let mut users: Vec<_> = calls
        .iter()
        .filter_map(|call| call.header("mcp-session-id"))
        .filter(|id| id.starts_with("second-"))
        .collect();
    users.sort_unstable();
    users.dedup();
    assert_eq!(users.len(), 4, "all users call again");
    assert!(calls.len() > 40, "{} calls after the restart", calls.len());
}

#[test]
fn a_server_that_says_404_for_ever_is_not_flooded_with_handshakes() {
    let server =
        FakeServer::on_call(|_, connection| connection.answer(404, &[], "Session not found"));
    let limits = ["--tool", "work", "--vus", "2", "--duration", "2s"];
    let report = load_run(&server.url(), &limits)
        .run()
        .expect_code(3)
        .checked_report();
    let totals = &report["totals"];
    assert_eq!(totals["ok"], 0);
    assert_eq!(causes(totals)[0].0, "session.expired");
    let n_handshakes = server.count("initialize");
    assert!((6..40).contains(&n_handshakes), "{n_handshakes}");
    // An expired session is not ended a second time.
    assert_eq!(
        report["counters"]["sessions_expired"], totals["failed"],
        "{report:#}"
    );
}

#[test]
fn an_expired_session_is_opened_again_and_counted() {
    // The third call of each session finds it gone.
    let server = FakeServer::on_call(|request, connection| {
        if request.message()["id"].as_u64().is_some_and(|id| id > 3) {
            connection.answer(404, &[], "Session not found")
        } else {
            connection.done(request)
        }
    });
    let limits = ["--tool", "work", "--vus", "1", "--iterations", "12"];
    let finished = load_run(&server.url(), &limits).run().expect_code(0);
    let report = finished.checked_report();
    let n_expired = count(&report["counters"]["sessions_expired"]);
    assert!(n_expired >= 3, "{finished}");
    let expected = [("session.expired".to_string(), n_expired)];
    assert_eq!(causes(&report["totals"]), expected);
    assert_eq!(server.count("tools/call"), 12);
    let n_opened = count(&report["handshake"]["ok"]);
    assert!(
        (n_expired..=n_expired + 1).contains(&n_opened),
        "{n_opened}"
    );
}

#[test]
fn a_connection_closed_while_idle_is_replaced_without_a_failure() {
    let server = FakeServer::start(|request, connection| {
        legacy(request, connection);
        // As servers do after their idle limit; here at once.
        match request.method().as_str() {
            "tools/call" => Next::Close,
            _ => Next::Keep,
        }
    });
    let limits = [
        "--tool",
        "work",
        "--vus",
        "1",
        "--iterations",
        "5",
        "--think",
        "100ms",
    ];
    let report = load_run(&server.url(), &limits)
        .run()
        .expect_code(0)
        .checked_report();
    assert_eq!(report["totals"]["ok"], 5, "{report:#}");
    assert_eq!(server.count("tools/call"), 5);
    // One before each call but the first, and a last one for the DELETE, unless
    // that follows the last call so closely that the close is not seen yet.
    let reconnects = count(&report["counters"]["reconnects"]);
    assert!((4..=5).contains(&reconnects), "{report:#}");
}

#[test]
fn nobody_listening_is_said_at_once_with_a_hint() {
    share::one_part();
    let url = format!("http://127.0.0.1:{}/mcp", port::unused());
    let began = Instant::now();
    let finished = load_run(&url, &["--duration", "30s"]).run().expect_code(1);
    assert!(began.elapsed() < Duration::from_secs(5), "{finished}");
    for part in ["refused", &url, "--demo"] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
    assert_eq!(finished.report_path(), None);
}

#[test]
fn what_makes_a_run_pointless_is_said_before_it() {
    type Answer = fn(&mut crate::fake_server::Connection) -> Next;
    let cases: [(Answer, &[&str]); 3] = [
        (
            |connection| connection.answer(401, &[("WWW-Authenticate", "Bearer")], "who?"),
            &["401", "--api-key"],
        ),
        (
            |connection| {
                let html = [("Content-Type", "text/html")];
                connection.answer(200, &html, "<html><body>Welcome</body></html>")
            },
            &["MCP server", "/mcp"],
        ),
        (
            |connection| connection.answer(404, &[("Content-Type", "text/plain")], "not here"),
            &["404", "/mcp"],
        ),
    ];
    for (answer, expected) in cases {
        let server = FakeServer::start(move |_, connection| answer(connection));
        let finished = load_run(&server.url(), &["--duration", "30s"])
            .run()
            .expect_code(1);
        for part in expected {
            assert!(finished.stderr.contains(part), "{part}: {finished}");
        }
    }
}

#[test]
fn a_server_that_opens_no_session_in_the_run_ends_it_with_1() {
    // Found and listed, and then no more.
    let server = FakeServer::start(|request, connection| {
        let id = request.header("mcp-session-id").map(str::to_string);
        if request.method() == "initialize" && request.connection >= 1 {
            return connection.answer(500, &[("Content-Type", "text/plain")], "out of order");
        }
        assert!(id.is_some() || request.method() != "tools/call");
        legacy(request, connection)
    });
    let limits = ["--tool", "work", "--vus", "3", "--duration", "2s"];
    let finished: Finished = load_run(&server.url(), &limits).run().expect_code(1);
    for part in ["no virtual user could open a session", "500"] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
    let report = finished.checked_report();
    assert_eq!(report["run"]["ended"], "no_session");
    assert_eq!(server.count("tools/call"), 0);
}

#[test]
fn the_same_seed_makes_the_same_steps() {
    let config = r#"
        [settings]
        virtual_users = 1
        iterations = 60
        [[scenario]]
        type = "tools/call"
        tool = "work"
        weight = 3
        [[scenario]]
        type = "tools/call"
        tool = "other"
        weight = 2
        [[scenario]]
        type = "tools/list"
        weight = 1
    "#;
    let steps = |seed: &str| {
        let server = FakeServer::start(legacy);
        let finished = load_run(&server.url(), &["--seed", seed])
            .file(".pmcp/loadtest.toml", config)
            .run()
            .expect_code(0);
        let report = finished.checked_report();
        assert_eq!(report["run"]["seed"].to_string(), seed);
        let log = server.log().into_iter();
        log.filter(|request| request.method().starts_with("tools/"))
            .map(|request| request.message()["params"]["name"].to_string())
            .collect::<Vec<_>>()
    };
    let first = steps("7");
    assert!(first.len() >= 60, "{}", first.len());
    assert_eq!(first, steps("7"));
    assert_ne!(first, steps("8"));
}

/// An answer that comes after its request was given up must not be taken for
/// the next one's: another user's data would be counted as a success.
#[test]
fn a_late_answer_is_never_taken_for_the_next() {
    share::one_part();
    let server = FakeServer::on_call(|request, connection| {
        if request.message()["id"]
            .as_u64()
            .is_some_and(|id| id % 2 == 0)
        {
            let began = Instant::now();
            connection.wait_until(|| began.elapsed() > 350 * MS);
        }
        connection.done(request)
    });
    let limits = [
        "--tool",
        "work",
        "--vus",
        "1",
        "--iterations",
        "12",
        "--timeout",
        "250ms",
    ];
    let finished = load_run(&server.url(), &limits).run().expect_code(0);
    let report = finished.checked_report();
    let expected = [("timeout.waiting".to_string(), 6)];
    assert_eq!(causes(&report["totals"]), expected, "{finished}");
    assert_eq!(report["totals"]["ok"], 6, "{finished}");
}

#[test]
fn a_server_that_never_answers_is_told_apart_from_one_that_is_not_there() {
    share::one_part();
    let server = FakeServer::start(|_, connection| connection.hang());
    let began = Instant::now();
    let finished = load_run(&server.url(), &["--timeout", "300ms"])
        .run()
        .expect_code(1);
    assert!(began.elapsed() < Duration::from_secs(8), "{finished}");
    for part in ["timed out", "--timeout"] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_signal_before_the_load_ends_it_at_once() {
    let server = FakeServer::start(|_, connection| connection.hang());
    let mut running = load_run(&server.url(), &["--timeout", "40s"]).spawn();
    running.wait_until("it asked", |_| !server.log().is_empty());
    let began = Instant::now();
    running.signal(Signal::SIGINT);
    let finished = running.wait().expect_code(130);
    assert!(began.elapsed() < Duration::from_secs(3), "{finished}");
    assert!(finished.stderr.contains("interrupted"), "{finished}");
}

#[test]
fn a_legacy_server_without_sessions_is_given_no_id_and_no_delete() {
    let server = demo(DemoOptions {
        latency: DemoLatency::Fixed(MS),
        stateless_legacy: true,
        ..DemoOptions::default()
    });
    let limits = ["--vus", "3", "--iterations", "30", "--protocol", "legacy"];
    let report = load_run(&server.url(), &with(&ECHO, &limits))
        .run()
        .expect_code(0)
        .checked_report();
    assert_eq!(report["totals"]["ok"], 30);
    assert_eq!(report["server"]["has_sessions"], false);
    let stats = server.stop();
    assert_eq!((stats.sessions_opened, stats.sessions_deleted), (0, 0));
    assert_eq!(stats.initialized, stats.initializes);
}

/// Of users that start one after the other, each opens its own session.
#[test]
fn the_ramp_spreads_the_starts() {
    share::beside(7);
    let server = demo_with_latency(2 * MS);
    let limits = [
        "--vus",
        "10",
        "--ramp-up",
        "1s",
        "--duration",
        "1500ms",
        "--think",
        "20ms",
    ];
    let report = load_run(&server.url(), &with(&ECHO, &limits))
        .run()
        .expect_code(0)
        .checked_report();
    let vus: Vec<u64> = list(&report["seconds"])
        .iter()
        .map(|second| count(&second["vus"]))
        .collect();
    assert!((7..=10).contains(&vus[0]), "{vus:?}");
    assert_eq!(report["handshake"]["ok"], 10);
    assert_eq!(server.stop().connections_open, 0);
}

#[test]
fn a_run_that_lets_nobody_in_ends_at_once() {
    share::one_part();
    // The key is good for finding the server, and then no more.
    let server = FakeServer::start(|request, connection| {
        if request.method() == "initialize" && request.connection >= 1 {
            return connection.answer(401, &[], "your key has expired");
        }
        legacy(request, connection)
    });
    let limits = ["--tool", "work", "--vus", "3", "--duration", "50s"];
    let began = Instant::now();
    let finished = load_run(&server.url(), &limits).run().expect_code(1);
    assert!(began.elapsed() < Duration::from_secs(10), "{finished}");
    assert!(finished.stderr.contains("401"), "{finished}");
    assert_eq!(finished.checked_report()["run"]["ended"], "no_session");
}

#[test]
fn a_plain_server_behind_an_address_with_tls_gets_a_hint() {
    let server = FakeServer::start(legacy);
    let url = server.url().replace("http:", "https:");
    let finished = load_run(&url, &["--timeout", "1s"]).run().expect_code(1);
    for part in ["TLS", "http://"] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
}

/// What waits for a user that waits for the server is not late by our fault.
#[test]
fn a_server_that_cannot_follow_is_not_called_lateness() {
    share::beside(10);
    let server = demo_with_capacity("1/fixed:50ms");
    let limits = ["--rate", "40/s", "--max-vus", "5", "--duration", "4s"];
    let finished = load_run(&server.url(), &with(&ECHO, &limits))
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    let response_ms = number(&report["totals"]["latency"]["p50_ms"]);
    assert!(response_ms > 300.0, "{response_ms}");
    let late_ms = number(&report["lateness"]["p50_ms"]);
    assert!(late_ms < 100.0, "{late_ms}");
}
