//! Calls that servers answer with tasks: followed to their end, within bounds, and counted
//! as the server counts them.

use pmcp_loadtest::demo::{DemoLatency, DemoOptions, Eras};
use serde_json::{Value, json};

use crate::demo::{demo, quick_demo};
use crate::fake_server::{FakeServer, Request};
use crate::load_run::{LoadRun, causes, count, list, load_run};
use crate::program::loadtest;
use crate::share;

const TASKS: &str = "io.modelcontextprotocol/tasks";

/// A row of `task_steps` by its method.
fn step<'r>(report: &'r Value, method: &str) -> &'r Value {
    let mut steps = list(&report["task_steps"]).iter();
    let step = steps.find(|step| step["method"] == method);
    &step.unwrap_or_else(|| panic!("no {method}: {report:#}"))["figures"]
}

#[test]
fn tasks_are_followed_and_counted_as_the_server_does() {
    share::beside(7);
    let server = demo(DemoOptions {
        eras: Eras::ModernOnly,
        latency: DemoLatency::None,
        ..DemoOptions::default()
    });
    let arguments = [
        "--tool",
        "crunch",
        "--args",
        r#"{"ms":160,"asks":true}"#,
        "--task",
    ];
    let more = ["--vus", "2", "--iterations", "6"];
    let url = server.url();
    let run = loadtest(&[&["run", &url, "--no-pin"], &arguments[..], &more].concat());
    let finished = run.run().expect_code(0);
    let report = finished.checked_report();
    let stats = server.stop();
    assert_eq!(report["totals"]["ok"], 6, "{report:#}");
    assert_eq!(
        (stats.tool_calls, stats.task_updates, stats.task_cancels),
        (6, 6, 0)
    );
    assert_eq!(report["counters"]["round_trips"], 6);
    let (created, polled) = (step(&report, "tools/call"), step(&report, "tasks/get"));
    assert_eq!(created["ok"], 6, "{report:#}");
    assert_eq!(count(&polled["ok"]), stats.task_gets);
    // First after 40 ms, then each 20 ms: nobody asks more often than it is told to.
    assert!(stats.task_gets <= 6 * 12, "{stats:?}");
    let least_ms = report["totals"]["latency"]["min_ms"]
        .as_f64()
        .expect("a latency");
    assert!(least_ms >= 160.0, "{least_ms}");
    for row in [
        "task created: tools/call crunch",
        "task asked for: tasks/get crunch",
    ] {
        assert!(finished.stdout.contains(row), "{finished}");
    }
}

#[test]
fn what_a_task_ends_with_is_the_call_s() {
    let config = |outcome: &str| {
        format!(
            "[settings]\nprotocol = \"modern\"\n\n[[flow]]\nname = \"long\"\n\n[[flow.step]]\n\
             type = \"tools/call\"\ntool = \"crunch\"\ntask = true\n\
             arguments = {{ ms = 40, outcome = \"{outcome}\" }}\n\
             extract = {{ said = \"$.content[0].text\" }}\n\n[[flow.step]]\n\
             type = \"tools/call\"\ntool = \"echo\"\ntask = true\n\
             arguments = {{ text = \"{{{{said}}}}\" }}\n\
             expect = {{ path = \"$.content[0].text\", equals = \"worked for 40 ms\" }}\n"
        )
    };
    let server = quick_demo();
    let run = |outcome: &str| {
        load_run(&server.url(), &["--vus", "1", "--iterations", "2"])
            .file(".pmcp/loadtest.toml", &config(outcome))
            .run()
            .expect_made()
            .checked_report()
    };
    let report = run("done");
    // The second is answered at once, and is not a task.
    assert_eq!(report["totals"]["ok"], 4, "{report:#}");
    let created = step(&report, "tools/call");
    assert_eq!(created["ok"], 2, "{report:#}");
    for (outcome, cause) in [("tool_error", "tool.is_error"), ("error", "jsonrpc.-32603")] {
        let report = run(outcome);
        let expected = [(cause.to_string(), 2)];
        assert_eq!(causes(&report["totals"]), expected, "{report:#}");
    }
    assert_eq!(server.stop().task_cancels, 0);
}

/// Each call becomes a task that takes a minute.
fn run_long_tasks(url: &str, more: &[&str]) -> Value {
    let arguments = ["--tool", "crunch", "--args", r#"{"ms":60000}"#, "--task"];
    let modern = ["--protocol", "modern"];
    let arguments = [&arguments[..], more, &modern].concat();
    load_run(url, &arguments)
        .run()
        .expect_made()
        .checked_report()
}

#[test]
fn a_task_that_takes_too_long_is_cancelled() {
    let server = quick_demo();
    let more = ["--task-timeout", "150ms", "--vus", "2", "--iterations", "2"];
    let report = run_long_tasks(&server.url(), &more);
    assert_eq!(causes(&report["totals"]), [("task.timeout".to_string(), 2)]);
    let stats = server.stop();
    assert_eq!((stats.tool_calls, stats.task_cancels), (2, 2), "{stats:?}");
}

#[test]
fn tasks_of_another_form_are_refused() {
    let server = demo(DemoOptions {
        eras: Eras::LegacyOnly,
        ..DemoOptions::default()
    });
    let finished = load_run(
        &server.url(),
        &["--tool", "crunch", "--args", "{}", "--task"],
    );
    let finished = finished.run().expect_code(2);
    let shown: Vec<&str> = finished.stderr.split_whitespace().collect();
    let shown = shown.join(" ");
    assert!(
        shown.contains("whose experimental tasks are of another form"),
        "{finished}"
    );
    let config = "[settings]\nprotocol = \"2025-11-25\"\n\n[[scenario]]\n\
                  type = \"tools/call\"\ntool = \"crunch\"\ntask = true\n";
    let finished = load_run(&server.url(), &[])
        .file(".pmcp/loadtest.toml", config)
        .run()
        .expect_code(2);
    assert!(finished.stderr.contains("scenario[1].task"), "{finished}");
    assert_eq!(server.stop().tool_calls, 0);
}

/// A modern server with one tool, whose answers are these: to the call, and to each
/// question about the task.
fn server_of_tasks(answer: fn(&Request) -> Value) -> FakeServer {
    FakeServer::start(move |request, connection| {
        let result = match request.method().as_str() {
            "server/discover" => json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}, "extensions": {TASKS: {}}},
            }),
            "tools/list" => json!({
                "resultType": "complete",
                "tools": [{"name": "work", "inputSchema": {"type": "object"}}],
            }),
            "tasks/cancel" => json!({"resultType": "complete"}),
            _ => answer(request),
        };
        connection.json(&request.result(&result))
    })
}

/// What is told of a task, by the call and to each question.
fn task(request: &Request, status: &str, interval_ms: i64) -> Value {
    let result_type = match request.method().as_str() {
        "tools/call" => "task",
        _ => "complete",
    };
    json!({
        "resultType": result_type, "taskId": "a task/1", "status": status, "ttlMs": null,
        "createdAt": "2026-11-27T00:00:00Z", "lastUpdatedAt": "2026-11-27T00:00:00Z",
        "pollIntervalMs": interval_ms,
    })
}

#[test]
fn whatever_a_server_says_of_tasks_is_bounded() {
    share::beside(7);
    let check = |answer: fn(&Request) -> Value, expected: &str| {
        let server = server_of_tasks(answer);
        let arguments = ["--tool", "work", "--task", "--task-timeout", "1s"];
        let arguments = [&arguments[..], &["--vus", "1", "--iterations", "1"]].concat();
        let run = load_run(&server.url(), &arguments);
        let report = run.run().expect_made().checked_report();
        assert_eq!(
            causes(&report["totals"]),
            [(expected.to_string(), 1)],
            "{report:#}"
        );
        server
    };
    // In a hurry: never more often than each 10 ms.
    let server = check(|request| task(request, "working", -5), "task.timeout");
    let polls = server.log_of("tasks/get");
    assert!((1..=100).contains(&polls.len()), "{}", polls.len());
    for poll in &polls {
        assert_eq!(poll.header("mcp-name"), Some("a task/1"));
        let declared = &poll.message()["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
            ["extensions"];
        assert_eq!(*declared, json!({TASKS: {}}));
    }
    assert_eq!(server.log_of("tasks/cancel").len(), 1);
    // A day later: the limit of the whole ends it.
    let server = check(|request| task(request, "working", i64::MAX), "task.timeout");
    assert_eq!(server.log_of("tasks/get").len(), 0);
    // Questions without end.
    let asking = |request: &Request| {
        let mut told = task(request, "input_required", 10);
        if request.method() == "tasks/get" {
            let n = request.message()["id"].to_string();
            let ask = json!({"method": "roots/list"});
            told["inputRequests"] = (0..60).map(|i| (format!("{n}/{i}"), ask.clone())).collect();
        }
        told
    };
    let server = check(asking, "protocol.bad_result");
    assert_eq!(server.log_of("tasks/update").len(), 1);
    check(
        |request| match request.method().as_str() {
            "tasks/get" => json!({"resultType": "complete", "taskId": "b", "status": "working"}),
            _ => task(request, "working", 10),
        },
        "protocol.bad_result",
    );
    let server = check(
        |request| match request.method().as_str() {
            "tasks/get" => task(request, "cancelled", 10),
            _ => task(request, "working", 10),
        },
        "task.cancelled",
    );
    // Nothing is left to be given up.
    assert_eq!(server.log_of("tasks/cancel").len(), 0);
}

#[test]
fn a_task_that_nobody_asked_for_is_no_result() {
    let server = server_of_tasks(|request| task(request, "working", 10));
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", "1"];
    let report = load_run(&server.url(), &arguments)
        .run()
        .expect_made()
        .checked_report();
    let expected = [("protocol.bad_result".to_string(), 1)];
    assert_eq!(causes(&report["totals"]), expected);
    assert_eq!(server.log_of("tasks/get").len(), 0);
}

/// The task of an earlier call is no later call's.
#[test]
fn each_call_has_its_own_task_only() {
    let server =
        server_of_tasks(|request| {
            match request.message()["params"]["arguments"]["is_task"].as_bool() {
                Some(false) => json!({"resultType": "complete", "content": []}),
                _ => task(request, "working", 10),
            }
        });
    let config = r#"
[[flow]]
name = "both"
on_error = "continue"
[[flow.step]]
type = "tools/call"
tool = "work"
arguments = { is_task = true }
[[flow.step]]
type = "tools/call"
tool = "work"
arguments = { is_task = false }
task = true
"#;
    let arguments = ["--config=a.toml", "--vus", "1", "--iterations", "2"];
    let run = load_run(&server.url(), &arguments).file("a.toml", config);
    let report = run.run().expect_made().checked_report();
    let expected = [("protocol.bad_result".to_string(), 2)];
    assert_eq!(causes(&report["totals"]), expected, "{report:#}");
    assert_eq!(report["totals"]["ok"], 2, "{report:#}");
    assert_eq!(server.log_of("tasks/get").len(), 0);
}

/// At the end of a run the server hears that nobody waits any more.
#[test]
fn tasks_are_cancelled_at_the_end() {
    let server = quick_demo();
    let more = ["--vus", "2", "--duration", "1s", "--graceful-stop", "100ms"];
    let report = run_long_tasks(&server.url(), &more);
    assert_eq!(report["totals"]["cancelled"], 2, "{report:#}");
    assert_eq!(step(&report, "tools/call")["ok"], 2);
    let stats = server.stop();
    assert_eq!((stats.tool_calls, stats.task_cancels), (2, 2), "{stats:?}");
}
