//! What the user sees: the summary, the live line, the JSON report and the exit
//! codes; and that secrets are in none of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use pmcp_loadtest::demo::{DemoFault, DemoLatency, DemoOptions, FaultShares};
use serde_json::{Value, json};

use crate::demo::{MS, demo, demo_with_latency};
use crate::fake_server::{FakeServer, legacy};
use crate::load_run::{LoadRun, check_report, count, list, load_run, number};
use crate::program::Program;
use crate::share;

/// The words that every summary has, in their order.
#[test]
fn the_first_run_shows_every_block() {
    let arguments = [
        "loadtest",
        "run",
        "--demo",
        "--iterations",
        "300",
        "--no-pin",
    ];
    let finished = Program::new(&arguments).run().expect_code(0);
    let mut rest = finished.stdout.as_str();
    for part in [
        "requests",
        "300",
        "rate",
        "error rate",
        "0%",
        "latency",
        "min",
        "p50",
        "p90",
        "p95",
        "p99",
        "p99.9",
        "max",
        "mean",
        "operation",
        "tools/call",
        "echo",
        "handshake",
        "slowest calls",
        "distribution",
        "█",
        "target",
        "server",
        "pmcp-demo",
        "2026-07-28",
        "load",
        "10 virtual users",
        "seed",
        "generator",
        "verdict",
        "report:",
    ] {
        let Some(at) = rest.find(part) else {
            panic!("no {part} in its place: {finished}");
        };
        rest = &rest[at..];
    }
    // Without a terminal there is no colour, and what runs is told on stderr.
    assert!(!finished.stdout.contains('\u{1b}'), "{finished}");
    assert!(!finished.stderr.contains(['\u{1b}', '\r']), "{finished}");
    assert!(finished.stderr.contains("testing"), "{finished}");
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], 300);
    assert_eq!(report["plan"]["seed"], report["run"]["seed"]);
    // The file that is named is the one that was written.
    let path = finished.report_path().expect("a report");
    let name = path.file_name().and_then(|name| name.to_str());
    assert!(
        finished.stdout.contains(name.expect("a name")),
        "{finished}"
    );
}

/// A run whose tool has this long name and whose resource has a long address and
/// fails with a long message.
pub(super) fn run_with_long_names() -> (FakeServer, Program, String) {
    let tool = "ein_sehr_langer_Werkzeugname_日本語の非常に長い名前_".repeat(4);
    let config = format!(
        "[settings]\nvirtual_users = 2\niterations = 20\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"{tool}\"\n\
         [[scenario]]\ntype = \"resources/read\"\nuri = \"test://{}\"\n",
        "a/b".repeat(60)
    );
    let server = FakeServer::on("resources/read", |request, connection| {
        let error = json!({"code": -32002, "message": "gone ".repeat(100)});
        connection.json(&request.error(&error))
    });
    let run = load_run(&server.url(), &["--no-preflight"]).file(".pmcp/loadtest.toml", &config);
    (server, run, tool)
}

#[test]
fn names_stand_whole_in_a_pipe() {
    let (_server, run, long) = run_with_long_names();
    let finished = run.run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["operations"][0]["subject"], long);
    // In a pipe both stand whole; how they fit a terminal: `terminal.rs`.
    let uri = format!("  test://{} ", "a/b".repeat(60));
    for name in [format!("  {long} "), uri] {
        let row = |line: &str| line.starts_with(&name);
        assert!(finished.stdout.lines().any(row), "{finished}");
    }
    assert!(!finished.stdout.contains("gone…"), "{finished}");
}

#[test]
fn colour_is_as_it_is_asked_for() {
    let server = FakeServer::start(legacy);
    let url = server.url();
    let coloured = |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut all = vec!["--iterations", "3"];
        all.extend_from_slice(arguments);
        let mut program = load_run(&url, &all);
        for (name, value) in environment {
            program = program.env(name, value);
        }
        program.run().expect_code(0).stdout.contains('\u{1b}')
    };
    assert!(!coloured(&[], &[]));
    assert!(coloured(&["--color", "always"], &[]));
    assert!(!coloured(&["--color", "always", "--no-color"], &[]));
    // The flag is nearer to the user than the environment.
    assert!(coloured(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!coloured(&["--color", "auto"], &[("NO_COLOR", "1")]));
    assert!(!coloured(&["--color", "never"], &[]));
}

#[test]
fn a_report_on_stdout_is_json_and_nothing_else() {
    let server = FakeServer::start(legacy);
    let url = server.url();
    let arguments = ["--no-pin", "--iterations", "10", "--report", "-"];
    let all = [&["loadtest", "run", &url][..], &arguments].concat();
    let finished = Program::new(&all).run().expect_code(0);
    let report: Value = serde_json::from_str(&finished.stdout).expect("stdout is JSON");
    check_report(&report);
    // What `--quiet` makes of it: `terminal.rs`.
    assert!(finished.stderr.contains("requests"), "{finished}");
    assert_eq!(finished.report_path(), None);
}

#[test]
fn a_report_goes_where_it_is_told_and_nowhere_when_told_so() {
    let server = FakeServer::start(legacy);
    let url = server.url();
    let finished = load_run(&url, &["--iterations", "3", "--report", "mine.json"])
        .run()
        .expect_code(0);
    let text = std::fs::read_to_string(finished.dir.path().join("mine.json"));
    let report = serde_json::from_str(&text.expect("the report")).expect("JSON");
    check_report(&report);
    assert_eq!(finished.report_path(), None);
    // Nothing is left of the temporary file.
    let n_files = std::fs::read_dir(finished.dir.path())
        .expect("the folder")
        .count();
    assert_eq!(n_files, 1);

    let finished = load_run(&url, &["--iterations", "3", "--no-report"])
        .run()
        .expect_code(0);
    let n_files = std::fs::read_dir(finished.dir.path())
        .expect("the folder")
        .count();
    assert_eq!(n_files, 0);
}

#[test]
fn a_bad_report_path_is_known_before_the_run() {
    let server = FakeServer::start(legacy);
    let arguments = ["--iterations", "3", "--report", "no/such/folder/../x.json"];
    let finished = load_run(&server.url(), &arguments)
        .file("no", "a file, not a folder")
        .run()
        .expect_code(1);
    assert!(finished.stderr.contains("x.json"), "{finished}");
    assert_eq!(server.log().len(), 0);
}

/// The server echoes every secret that it is given, in all places.
#[test]
fn secrets_are_shown_nowhere() {
    const SECRETS: [&str; 4] = [
        "tok-flag-4711",
        "header-value-0815",
        "from-the-environment-99",
        "key-in-the-url-123",
    ];
    let config = r#"
        [settings]
        url = "${SERVER_URL}?key=${URL_KEY}"
        virtual_users = 2
        iterations = 20
        [headers]
        X-From-Env = "${HEADER_SECRET}"
        [[scenario]]
        type = "tools/call"
        tool = "work"
        arguments = { token = "${HEADER_SECRET}" }
    "#;
    let server = FakeServer::on_call(|request, connection| {
        let headers = ["authorization", "x-key", "x-from-env"];
        let mut echo: String = headers
            .iter()
            .filter_map(|name| request.header(name))
            .map(|value| format!("{value} "))
            .collect();
        echo += &request.path;
        match request.message()["id"].as_u64().unwrap_or(0) % 3 {
            0 => connection.answer(403, &[("Content-Type", "text/plain")], &echo),
            1 => {
                let content = json!([{"type": "text", "text": echo}]);
                let result = json!({"content": content, "isError": true});
                connection.json(&request.result(&result))
            }
            _ => {
                let error = json!({"code": -32000, "message": echo});
                connection.json(&request.error(&error))
            }
        }
    });
    let finished = Program::new(&[
        "loadtest",
        "run",
        "--no-pin",
        "--api-key",
        SECRETS[0],
        "-H",
        "X-Key: header-value-0815",
    ])
    .env("SERVER_URL", &server.url())
    .env("HEADER_SECRET", SECRETS[2])
    .env("URL_KEY", SECRETS[3])
    .file(".pmcp/loadtest.toml", config)
    .run()
    .expect_code(3);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["failed"], 20, "{finished}");
    // They were really sent, so there was something to hide.
    let calls = server.log_of("tools/call");
    assert_eq!(
        calls[0].header("authorization"),
        Some("Bearer tok-flag-4711")
    );
    assert!(calls[0].path.contains(SECRETS[3]));
    assert_eq!(
        calls[0].message()["params"]["arguments"]["token"],
        SECRETS[2]
    );
    let report = report.to_string();
    for secret in SECRETS {
        for (place, text) in [
            ("stdout", &finished.stdout),
            ("stderr", &finished.stderr),
            ("the report", &report),
        ] {
            assert!(
                !text.contains(secret),
                "{secret} in {place}: {finished}\n{report}"
            );
        }
    }
}

#[test]
fn a_key_of_the_environment_is_sent_and_not_shown() {
    let server = FakeServer::start(legacy);
    let finished = load_run(&server.url(), &["--iterations", "3"])
        .env("MCP_API_KEY", "env-key-777")
        .run()
        .expect_code(0);
    for request in server.log() {
        assert_eq!(request.header("authorization"), Some("Bearer env-key-777"));
    }
    let report = finished.checked_report().to_string();
    assert!(!report.contains("env-key-777"), "{report}");
}

/// A server with all kinds of faults: whatever happens is counted once.
#[test]
fn counts_add_up_whatever_goes_wrong() {
    let faults: FaultShares = "http-500=0.05,rpc-error=0.05,tool-error=0.05,hang=0.01,\
        close-before=0.05,close-mid=0.05,empty-stream=0.05,accepted=0.05,wrong-id=0.05,\
        not-json=0.05,expire-session=0.05"
        .parse()
        .expect("shares of faults");
    for protocol in ["legacy", "modern"] {
        let server = demo(DemoOptions {
            faults,
            latency: DemoLatency::Fixed(Duration::from_millis(2)),
            ..DemoOptions::default()
        });
        let finished = load_run(
            &server.url(),
            &[
                "--tool",
                "echo",
                "--args",
                r#"{"text":"hi"}"#,
                "--vus",
                "10",
                "--duration",
                "2s",
                "--timeout",
                "300ms",
                "--protocol",
                protocol,
            ],
        )
        .run()
        .expect_code(0);
        let report = finished.checked_report();
        let stats = server.stop();
        assert!(count(&report["totals"]["ok"]) > 100, "{finished}");
        assert!(list(&report["failures"]).len() >= 9, "{finished}");
        // One request for each that was started: nothing is sent again, and
        // nothing is counted that was not sent.
        assert_eq!(
            stats.tool_calls,
            count(&report["totals"]["started"]),
            "{protocol}: {finished}"
        );
        for (id, n) in crate::load_run::causes(&report["totals"]) {
            let fault = match id.as_str() {
                "http.500" => DemoFault::Http500,
                "tool.is_error" => DemoFault::ToolError,
                "timeout.waiting" => DemoFault::Hang,
                "protocol.accepted_unanswered" => DemoFault::Accepted,
                "protocol.wrong_id" => DemoFault::WrongId,
                "protocol.not_json" => DemoFault::NotJson,
                "session.expired" => DemoFault::ExpireSession,
                _ => continue,
            };
            // Of those that hang as the load ends, some are cancelled just before their timeout.
            let cancelled = match fault {
                DemoFault::Hang => count(&report["totals"]["cancelled"]),
                _ => 0,
            };
            let n_made = stats.faults.of(fault);
            assert!(
                n <= n_made && n_made <= n + cancelled,
                "{protocol} {id}: {n_made} made: {finished}"
            );
        }
    }
}

#[test]
fn a_plain_line_tells_every_few_seconds_how_it_goes() {
    let server = FakeServer::start(legacy);
    let arguments = [
        "loadtest",
        "run",
        &server.url(),
        "--no-pin",
        "--duration",
        "3s",
        "--think",
        "5ms",
        "--vus",
        "2",
    ];
    let finished = Program::new(&arguments).run().expect_code(0);
    for part in ["testing", "2 VUs", "/s", "p99"] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
    let report = finished.checked_report();
    assert!((3..=4).contains(&list(&report["seconds"]).len()));
    for second in list(&report["seconds"]).iter().take(2) {
        assert_eq!(number(&second["length_secs"]), 1.0, "{second}");
        assert_eq!(second["vus"], 2);
    }
}

#[test]
fn fractions_of_milliseconds_are_kept() {
    let server = FakeServer::start(legacy);
    let arguments = ["--iterations", "50", "--vus", "1"];
    let report = load_run(&server.url(), &arguments)
        .run()
        .expect_code(0)
        .checked_report();
    let least = number(&report["totals"]["latency"]["min_ms"]);
    assert!(
        least > 0.0 && least < 5.0 && least.fract() != 0.0,
        "{least}"
    );
}

/// A well-behaved server that takes one and a half seconds to end a session, and
/// `call` to answer a call.
fn slow_to_end_sessions(call: Duration) -> FakeServer {
    FakeServer::start(move |request, connection| {
        let began = Instant::now();
        let wait = match (request.verb.as_str(), request.method().as_str()) {
            ("DELETE", _) => Duration::from_millis(1_500),
            (_, "tools/call") => call,
            _ => Duration::ZERO,
        };
        connection.wait_until(|| began.elapsed() >= wait);
        legacy(request, connection)
    })
}

#[test]
fn the_time_to_end_sessions_is_in_no_rate() {
    let server = slow_to_end_sessions(Duration::ZERO);
    let limits = ["--tool", "work", "--rate", "100/s", "--max-vus", "20"];
    let limits = [&limits[..], &["--duration", "2s"]].concat();
    let finished = load_run(&server.url(), &limits).run().expect_code(0);
    let report = finished.checked_report();
    // 66/s with the sessions' end.
    let rate = number(&report["totals"]["rate_per_sec"]);
    assert!((85.0..=105.0).contains(&rate), "{rate}: {finished}");
    assert_eq!(report["metrics"]["throughput_rps"], rate, "{finished}");
    let duration = number(&report["duration_secs"]);
    assert!((2.0..3.0).contains(&duration), "{duration}: {finished}");
    assert!(list(&report["seconds"]).len() <= 3, "{report:#}");
    let closed = &report["close"]["latency"]["min_ms"];
    assert!(number(closed) >= 1_400.0, "they were slow: {finished}");
}

/// Whatever ends the load, and whatever its shape.
#[test]
fn the_time_to_open_sessions_is_in_no_rate() {
    share::beside(7);
    let closed = &["--tool", "work", "--vus", "4"][..];
    let of_time = |more: &[&'static str]| [closed, &["--duration", "4s"], more].concat();
    let loads = [
        [closed, &["--iterations", "100"]].concat(),
        of_time(&[]),
        of_time(&["--warm-up", "500ms"]),
        of_time(&["--ramp-up", "1s"]),
        // The stages of the config.
        Vec::new(),
    ];
    // They mostly wait.
    thread::scope(|scope| {
        for arguments in &loads {
            scope.spawn(move || check_time_to_open_sessions(arguments));
        }
    });
}

/// Sessions take a second and a half to open.
fn check_time_to_open_sessions(arguments: &[&str]) {
    let open = Duration::from_millis(1_500);
    let stages = "[settings]\n[[stage]]\ntarget_vus = 4\nduration = \"4s\"\n\
                  [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n";
    let first_call = Arc::new(Mutex::new(None));
    let first = Arc::clone(&first_call);
    let server = FakeServer::start(move |request, connection| {
        let began = Instant::now();
        let wait = match request.method().as_str() {
            "initialize" => open,
            "tools/call" => {
                first.lock().expect("unspoilt").get_or_insert(began);
                Duration::from_millis(20)
            }
            _ => Duration::ZERO,
        };
        connection.wait_until(|| began.elapsed() >= wait);
        legacy(request, connection)
    });
    let program = load_run(&server.url(), arguments);
    let program = match arguments.is_empty() {
        true => program.file(".pmcp/loadtest.toml", stages),
        false => program,
    };
    let finished = program.run().expect_code(0);
    let since_first = first_call.lock().expect("unspoilt").expect("a call");
    let since_first = since_first.elapsed().as_secs_f64();
    let report = finished.checked_report();
    let secs = number(&report["duration_secs"]);
    // A noisy machine is slow to send a call, and never by a handshake.
    assert!(secs < since_first + 0.5, "{since_first}: {finished}");
    if report["run"]["planned_secs"].is_number() {
        assert!(secs < 4.0 - 1.5 + 1.0, "{finished}");
    }
    let totals = &report["totals"];
    let ended = number(&totals["ok"]) + number(&totals["failed"]);
    let rate = number(&totals["rate_per_sec"]);
    assert!((rate * secs - ended).abs() < 0.01 * ended, "{finished}");
    assert_eq!(report["metrics"]["throughput_rps"], rate, "{finished}");
    assert_eq!(report["run"]["elapsed_secs"], secs, "{finished}");
    for stage in list(&report["stages"]) {
        assert!(number(&stage["at_secs"]) >= 1.4, "{finished}");
        let rate = number(&stage["figures"]["rate_per_sec"]);
        let length = number(&stage["length_secs"]);
        assert!((rate * length - ended).abs() < 0.01 * ended, "{finished}");
    }
}

#[test]
fn iterations_are_over_with_their_last_call() {
    let server = slow_to_end_sessions(Duration::from_millis(17));
    let limits = ["--tool", "work", "--vus", "20", "--iterations", "200"];
    let finished = load_run(&server.url(), &limits).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(count(&report["totals"]["ok"]), 200);
    // Ten rounds of 17 ms; more than 1.5 s with the sessions' end.
    let duration = number(&report["duration_secs"]);
    assert!((0.17..1.3).contains(&duration), "{duration}: {finished}");
    let in_flight = number(&report["self_check"]["in_flight"]["mean_whole"]);
    assert!(in_flight > 20.0 * 0.17 / 1.3, "{in_flight}: {report:#}");
}

#[test]
fn a_server_that_falls_silent_has_answered_for_the_whole_time() {
    let n_calls = AtomicU64::new(0);
    let server = FakeServer::on_call(move |request, connection| {
        match n_calls.fetch_add(1, Ordering::SeqCst) {
            ..20 => connection.done(request),
            _ => connection.hang(),
        }
    });
    let limits = ["--tool", "work", "--vus", "2", "--duration", "2s"];
    let limits = [
        &limits[..],
        &["--timeout", "10s", "--graceful-stop", "300ms"],
    ]
    .concat();
    let finished = load_run(&server.url(), &limits).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(count(&report["totals"]["ok"]), 20);
    assert_eq!(count(&report["totals"]["cancelled"]), 2);
    // The planned time, less what it took to open the sessions.
    let seconds = number(&report["duration_secs"]);
    assert!((1.5..=2.0).contains(&seconds), "{finished}");
    let rate = number(&report["totals"]["rate_per_sec"]);
    assert!((rate - 20.0 / seconds).abs() < 0.01, "{finished}");
}

#[test]
fn a_run_without_an_ended_call_has_no_rate() {
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let limits = ["--tool", "work", "--vus", "1", "--duration", "1s"];
    let limits = [
        &limits[..],
        &["--timeout", "10s", "--graceful-stop", "100ms"],
    ]
    .concat();
    let finished = load_run(&server.url(), &limits).run().expect_code(3);
    let report = finished.checked_report();
    assert!(report["totals"]["rate_per_sec"].is_null(), "{finished}");
    assert!(report["totals"]["error_rate"].is_null(), "{finished}");
    let seconds = number(&report["duration_secs"]);
    assert!((0.5..=1.0).contains(&seconds), "{finished}");
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupt_is_told_though_the_report_cannot_be_written() {
    let server = FakeServer::start(legacy);
    let limits = ["--tool", "work", "--vus", "1", "--duration", "60s"];
    let limits = [
        &limits[..],
        &["--think", "10ms", "--report", "gone/report.json"],
    ]
    .concat();
    let mut running = load_run(&server.url(), &limits)
        .file("gone/empty", "")
        .spawn();
    running.wait_until("calls are made", |_| server.count("tools/call") > 5);
    std::fs::remove_dir_all(running.dir().join("gone")).expect("a folder to remove");
    running.signal(nix::sys::signal::Signal::SIGINT);
    let finished = running.wait().expect_code(130);
    assert!(finished.stderr.contains("gone/report.json"), "{finished}");
    assert!(finished.stdout.contains("interrupted"), "{finished}");
    assert!(!finished.stdout.contains("report:"), "{finished}");
}

/// A flow whose second step always fails, beside a step with a name.
const FLOW: &str = r#"
[settings]
preflight = false
[[flow]]
name = "checkout"
on_error = "continue"
[[flow.step]]
name = "sign in"
type = "tools/call"
tool = "echo"
arguments = { text = "a" }
think = "30ms"
[[flow.step]]
type = "tools/call"
tool = "nothing"
[[scenario]]
name = "look around"
type = "tools/list"
"#;

#[test]
fn flows_and_named_steps_stand_in_every_form() {
    let server = demo_with_latency(MS);
    let thresholds = [
        "flow:checkout p50<30s",
        "flow:checkout errors=0",
        "step:\"sign in\" errors=0",
        "step:sign in bytes.max<64KiB",
        "step:look around p99<30s",
    ];
    let mut words = vec!["--config=a.toml", "--vus=2", "--iterations=30", "--seed=1"];
    words.extend(thresholds.iter().flat_map(|it| ["--assert", it]));
    let config = FLOW.replace("\"nothing\"", "\"echo\"\narguments = { text = \"b\" }");
    let finished = load_run(&server.url(), &words)
        .file("a.toml", &config)
        .run();
    let report = finished.expect_code(0).checked_report();
    let [flow] = list(&report["flows"]) else {
        panic!("{report:#}");
    };
    let n_flows = count(&flow["figures"]["started"]);
    assert!((5..=25).contains(&n_flows), "{flow:#}");
    assert_eq!(
        (&flow["name"], &flow["figures"]["ok"]),
        (&json!("checkout"), &json!(n_flows))
    );
    // The user thinks for 30 ms in each.
    let whole = number(&flow["figures"]["latency"]["min_ms"]);
    assert!(
        whole >= 30.0 + number(&flow["busy"]["min_ms"]) - 1.0,
        "{flow:#}"
    );
    let names = |it: &Value| (it["label"].clone(), it["name"].clone(), it["flow"].clone());
    let operations = list(&report["operations"]);
    let found: Vec<_> = operations.iter().map(names).collect();
    assert!(found.contains(&(
        json!("checkout: sign in"),
        json!("sign in"),
        json!("checkout")
    )));
    assert!(found.contains(&(
        json!("checkout: tools/call echo"),
        Value::Null,
        json!("checkout")
    )));
    assert!(found.contains(&(json!("look around"), json!("look around"), Value::Null)));
    // In no total: each flow made two calls.
    assert_eq!(count(&report["totals"]["started"]), 30 + n_flows);
    let stored = report.to_string();
    let shown = |format: &str| {
        let words = ["loadtest", "report", "it.json", "--format", format];
        let shown = Program::new(&words).file("it.json", &stored).run();
        shown.expect_code(0).stdout
    };
    let text = shown("text");
    for words in [
        "\ncheckout\n",
        "\n  sign in ",
        "\nflow ",
        "  look around ",
        "\n  without thinking",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(
        shown("markdown").contains("### Flows"),
        "{}",
        shown("markdown")
    );
    let csv = shown("csv");
    assert!(
        csv.contains("\ncall,tools/call,echo,sign in,checkout,"),
        "{csv}"
    );
    assert!(csv.contains("\nflow,,,,checkout,") && csv.contains("\nflow_busy,,,,checkout,"));
    assert!(shown("hlog").contains("Tag=checkout_sign_in_tools/call_echo,"));
    assert!(
        shown("junit").contains("step:&quot;sign in&quot; errors=0"),
        "{}",
        shown("junit")
    );
    // The same plan again: its rows are the same by their names.
    let compared = Program::new(&["loadtest", "compare", "--base", "it.json", "it.json"]);
    let compared = compared.file("it.json", &stored).run();
    assert!(compared.stdout.contains("checkout: sign in"), "{compared}");
}

/// What each host keeps by itself, all together may not.
#[test]
fn several_reports_are_judged_like_a_run() {
    let server = demo_with_latency(MS);
    let flow = FLOW.split("[[scenario]]").next().expect("the flow");
    let run = |segment: &str, seed: &str| {
        let words = [
            "--config=a.toml",
            "--vus=2",
            "--iterations=20",
            "--segment",
            segment,
            "--seed",
            seed,
            "--assert",
            "errors<15",
            "--assert",
            "flow:checkout errors<=100%",
            "--assert",
            "bytes.max<1MiB",
        ];
        let finished = load_run(&server.url(), &words).file("a.toml", flow).run();
        finished.expect_code(0).checked_report()
    };
    let parts = [run("1/2", "1"), run("2/2", "1")];
    let merge = |format: &str| {
        let words = [
            "loadtest", "report", "a.json", "b.json", "--force", "--format", format,
        ];
        let merge = Program::new(&words).file("a.json", &parts[0].to_string());
        merge.file("b.json", &parts[1].to_string()).run()
    };
    let merged = merge("json").expect_code(3);
    assert!(
        merged
            .stderr
            .contains("1 threshold was not kept: `errors<15`"),
        "{merged}"
    );
    let sum: Value = serde_json::from_str(&merged.stdout).expect("JSON");
    check_report(&sum);
    let grades: Vec<_> = list(&sum["thresholds"])
        .iter()
        .map(|it| &it["grade"])
        .collect();
    assert_eq!(grades, ["failed", "passed", "passed"], "{sum:#}");
    assert_eq!(sum["thresholds"][0]["value"], 20.0);
    assert_eq!(count(&sum["flows"][0]["figures"]["started"]), 20);
    let text = merge("text").expect_code(3).stdout;
    assert!(
        text.contains("errors<15") && text.contains("at checkout: tools/call nothing"),
        "{text}"
    );
    // Shown by itself, a report fails nothing, whatever it says.
    let shown = Program::new(&["loadtest", "report", "sum.json"]);
    shown
        .file("sum.json", &sum.to_string())
        .run()
        .expect_code(0);
}

/// The first answer that is not as awaited is shown as it came, without secrets; what
/// cannot be looked at is told and fails nothing.
#[test]
fn what_is_not_as_awaited_is_shown_and_what_is_not_looked_at_is_told() {
    const SECRET: &str = "tok-3f9a1c77e2";
    let server = demo_with_latency(MS);
    let config = r#"
[[flow]]
name = "look"
on_error = "continue"
[[flow.step]]
name = "compare"
type = "tools/call"
tool = "echo"
arguments = { text = "a ${TOKEN} b" }
expect = { contains = "no such words" }
[[flow.step]]
type = "tools/call"
tool = "echo"
arguments = { text = "a" }
expect = { schema = true }
"#;
    let words = ["--config=a.toml", "--vus=2", "--iterations=6"];
    let run = load_run(&server.url(), &words).file("a.toml", config);
    let finished = run.env("TOKEN", SECRET).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["failures"][0]["id"], "expect.contains", "{report:#}");
    assert_eq!(count(&report["totals"]["failed"]), 6);
    let [evidence] = list(&report["evidence"]) else {
        panic!("{report:#}");
    };
    assert_eq!(evidence["operation"], "look: compare");
    assert_eq!(evidence["cause"], "expect.contains");
    for part in ["request", "answer"] {
        let text = evidence[part].as_str().expect("a text");
        assert!(text.contains("a ***"), "{part}: {text}");
    }
    let [unchecked] = list(&report["unchecked"]) else {
        panic!("{report:#}");
    };
    assert_eq!(unchecked["operation"], "look: tools/call echo");
    assert_eq!(count(&unchecked["count"]), 6);
    let shown = Program::new(&["loadtest", "report", "it.json"]);
    let shown = shown
        .file("it.json", &report.to_string())
        .run()
        .expect_code(0);
    for words in ["    sent: ", "    got: ", "answers that were not checked"] {
        assert!(shown.stdout.contains(words), "{words}: {shown}");
    }
    assert!(!report.to_string().contains(SECRET) && !finished.stdout.contains(SECRET));
}
