//! How answers come: their first byte, the events of streams, and progress.

use std::collections::BTreeSet;

use pmcp_loadtest::demo::{DemoFault, DemoLatency, DemoOptions, Eras, FaultShares};
use serde_json::{Value, json};

use crate::demo::{MS, demo, run_echo};
use crate::fake_server::{Connection, FakeServer, Next, Request};
use crate::load_run::{LoadRun, advice, causes, count, number};
use crate::program::{Finished, loadtest};

/// Six calls of two users that ask for their progress, each in so many steps of so many ms.
fn crunched(url: &str, steps: u32, ms: u32) -> Finished {
    let config = format!(
        "[settings]\nurl = \"{url}\"\nvirtual_users = 2\niterations = 6\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"stepwise\"\nprogress = true\n\
         arguments = {{ steps = {steps}, ms = {ms} }}\n"
    );
    let words = ["run", "--config", "a.toml", "--no-pin"];
    let program = loadtest(&words).file("a.toml", &config);
    program.run().expect_code(0)
}

fn server_of(eras: Eras, hold_streams: bool) -> DemoOptions {
    DemoOptions {
        latency: DemoLatency::Fixed(MS),
        eras,
        hold_streams,
        ..DemoOptions::default()
    }
}

#[test]
fn progress_is_asked_for_and_timed() {
    for eras in [Eras::LegacyOnly, Eras::ModernOnly] {
        let server = demo(server_of(eras, false));
        let finished = crunched(&server.url(), 4, 30);
        let report = finished.checked_report();
        assert_eq!(report["totals"]["ok"], 6, "{finished}");
        assert_eq!(report["plan"]["scenario"][0]["progress"], true);
        let answers = &report["operations"][0]["answers"];
        assert_eq!(
            (&answers["calls"], &answers["streams"]),
            (&json!(6), &json!(6))
        );
        assert_eq!(answers["progress"], 4 * 6, "{answers:#}");
        assert_eq!(answers["events"]["total"], 5 * 6);
        assert_eq!(answers["gap"]["count"], 4 * 6);
        assert_eq!(answers["ended_early"], 0);
        for key in ["first_byte", "first_event", "first_progress"] {
            assert_eq!(answers[key]["count"], 6, "{key} {answers:#}");
        }
        // The server pauses before the first; how much longer it took is the machine's.
        assert!(
            number(&answers["first_progress"]["min_ms"]) >= 20.0,
            "{answers:#}"
        );
        let latency = &report["totals"]["latency"];
        assert!(number(&answers["first_event"]["min_ms"]) < number(&latency["min_ms"]));
        assert!(finished.stdout.contains("first progress"), "{finished}");
    }
}

#[test]
fn what_holds_events_back_is_found() {
    let server = demo(server_of(Eras::Both, true));
    let finished = crunched(&server.url(), 4, 100);
    let report = finished.checked_report();
    let answers = &report["operations"][0]["answers"];
    assert_eq!(answers["telling"], 6, "{answers:#}");
    let told = advice(&report, "events_held_back").unwrap_or_else(|| panic!("{answers:#}"));
    assert!(
        told.contains("have no header `X-Accel-Buffering: no`"),
        "{told}"
    );
    // They come together, so no time passes from one to the next.
    assert_eq!(answers["gap"]["max_ms"], 0.0, "{answers:#}");
}

/// A stream that tells of progress by these values, then answers.
fn telling(request: &Request, connection: &mut Connection, values: &[&str]) -> Next {
    let token = &request.message()["params"]["_meta"]["progressToken"];
    let mut stream = String::new();
    for value in values {
        let params = format!("{{\"progressToken\":{token},\"progress\":{value}}}");
        stream += &format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{params}}}\n\n"
        );
    }
    stream += &format!("data: {}\n\n", request.reply("done"));
    connection.events(&stream)
}

fn progress_of(server: &FakeServer) -> Finished {
    let config = format!(
        "[settings]\nurl = \"{}\"\nvirtual_users = 1\niterations = 3\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\nprogress = true\n",
        server.url()
    );
    let words = ["run", "--config", "a.toml", "--no-pin", "--quiet"];
    loadtest(&words).file("a.toml", &config).run()
}

#[test]
fn progress_that_does_not_grow_fails_the_call() {
    let server = FakeServer::on_call(|request, connection| {
        telling(request, connection, &["0.1", "0.5", "0.5"])
    });
    let report = progress_of(&server).checked_report();
    let expected = vec![("protocol.progress".to_string(), 3)];
    assert_eq!(causes(&report["totals"]), expected);
    let message = &report["failures"][0]["examples"][0];
    let message = message.as_str().expect("a message");
    assert!(
        message.contains("notification 3") && message.contains("0.5 after 0.5"),
        "{message}"
    );
    // Each call had a token of its own.
    let calls = server.log_of("tools/call");
    let token = |call: &Request| call.message()["params"]["_meta"]["progressToken"].to_string();
    let tokens: BTreeSet<String> = calls.iter().map(token).collect();
    assert_eq!((calls.len(), tokens.len()), (3, 3), "{tokens:?}");
    let server = FakeServer::on_call(|request, connection| {
        telling(request, connection, &["1", "2e0", "30"])
    });
    let finished = progress_of(&server).expect_code(0);
    let answers = &finished.checked_report()["operations"][0]["answers"];
    assert_eq!(answers["progress"], 9, "{answers:#}");
}

#[test]
fn answers_of_all_calls_are_timed_where_that_is_asked_for() {
    let server = demo(server_of(Eras::Both, false));
    let report = run_echo(&server.url(), &["--iterations", "30", "--streams"]).checked_report();
    let answers = &report["operations"][0]["answers"];
    assert_eq!(
        (&answers["calls"], &answers["streams"]),
        (&json!(30), &json!(0))
    );
    assert_eq!(answers["first_byte"]["count"], 30);
    assert_eq!(answers["first_event"], Value::Null);
    let latency = &report["totals"]["latency"];
    assert!(number(&answers["first_byte"]["max_ms"]) <= number(&latency["max_ms"]));
    let report = run_echo(&server.url(), &["--iterations", "30"]).checked_report();
    assert_eq!(report["operations"][0]["answers"], Value::Null);
}

#[test]
fn times_of_answers_are_added_over_hosts() {
    let server = demo(server_of(Eras::Both, false));
    let run = |segment: &str| {
        let words = ["--iterations", "30", "--streams", "--segment", segment];
        run_echo(&server.url(), &words).checked_report().to_string()
    };
    let words = ["report", "--force", "--format", "json", "1.json", "2.json"];
    let merged = loadtest(&words)
        .file("1.json", &run("1/2"))
        .file("2.json", &run("2/2"))
        .run()
        .expect_code(0);
    let merged: Value = serde_json::from_str(&merged.stdout).expect("JSON");
    let answers = &merged["operations"][0]["answers"];
    assert_eq!(answers["calls"], 30, "{answers:#}");
    assert_eq!(answers["first_byte"]["count"], 30);
    assert!(
        number(&answers["first_byte"]["p50_ms"]) >= 1.0,
        "{answers:#}"
    );
}

#[test]
fn streams_that_end_without_the_answer_are_counted() {
    let server = demo(DemoOptions {
        faults: FaultShares::only(DemoFault::EmptyStream, 0.5),
        ..server_of(Eras::Both, false)
    });
    let words = ["--iterations", "40", "--streams"];
    let report = run_echo(&server.url(), &words).checked_report();
    let ended = causes(&report["totals"]);
    let [(cause, n)] = &ended[..] else {
        panic!("{ended:?}");
    };
    assert_eq!((cause.as_str(), *n > 0), ("protocol.stream_ended", true));
    let answers = &report["operations"][0]["answers"];
    assert_eq!(count(&answers["ended_early"]), *n, "{answers:#}");
    assert_eq!(answers["calls"], report["totals"]["ok"]);
}

#[test]
fn what_has_no_progress_is_refused_with_its_line() {
    let config = "[settings]\nurl = \"http://127.0.0.1:9/mcp\"\n\
                  [[scenario]]\ntype = \"tools/list\"\nprogress = true\n";
    let words = ["check", "a.toml"];
    let told = loadtest(&words).file("a.toml", config).run().expect_code(2);
    assert!(
        told.stderr.contains("a.toml:5") && told.stderr.contains("progress"),
        "{told}"
    );
}
