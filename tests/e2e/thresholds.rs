//! What a run has to keep, from outside: what is typed, what becomes of it, and the
//! exit code that a CI job acts on.

use pmcp_loadtest::demo::DemoOptions;
use serde_json::{Value, json};

use crate::demo::{ECHO, MS, demo, demo_with_latency};
use crate::fake_server::{FakeServer, legacy};
use crate::load_run::{LoadRun, list, load_run, number};
use crate::program::{Finished, Program};

/// Twenty calls of `echo`.
fn short(url: &str, arguments: &[&str]) -> Finished {
    let load = ["--vus", "2", "--iterations", "20"];
    load_run(url, &[&ECHO[..], &load, arguments].concat()).run()
}

fn threshold<'a>(report: &'a Value, text: &str) -> &'a Value {
    let mut thresholds = list(&report["thresholds"]).iter();
    let found = thresholds.find(|it| it["text"] == text);
    found.unwrap_or_else(|| panic!("{text}: {report:#}"))
}

#[test]
fn a_run_passes_by_all_of_its_thresholds() {
    let server = demo_with_latency(2 * MS);
    let all = [
        "p50>=2ms",
        "p99<30s",
        "tool:echo max<=30s",
        "tool:\"echo\" errors<1%",
        "errors.http=0",
        "rate>0.1/s",
        "goodput>0.1",
        "handshake.p95<30s",
        "sessions.lost=0",
        "bytes.p95<1MiB",
    ];
    let asserts: Vec<&str> = all.iter().flat_map(|it| ["--assert", it]).collect();
    let finished = short(&server.url(), &asserts).expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["gate"], json!({"grade": "passed", "why": null}));
    assert_eq!(list(&report["thresholds"]).len(), all.len());
    for text in all {
        let it = threshold(&report, text);
        assert_eq!(
            (&it["grade"], &it["why"]),
            (&json!("passed"), &Value::Null),
            "{it:#}"
        );
        assert!(it["value"].is_number(), "{it:#}");
    }
    // The same figure as in its row, and the value that was compared.
    let row = &list(&report["operations"])[0]["figures"];
    let max = threshold(&report, "tool:echo max<=30s");
    assert_eq!(max["value"], row["latency"]["max_ms"]);
    assert_eq!(max["selector"], json!({"kind": "tool", "name": "echo"}));
    let p99 = threshold(&report, "p99<30s");
    assert_eq!(
        (&p99["unit"], &p99["limit"]),
        (&json!("ms"), &json!(30_000.0))
    );
    assert_eq!(
        (&p99["few"], &p99["comparison"]),
        (&json!(true), &json!("<"))
    );
    // An answer of the demo server has some hundred bytes.
    let bytes = number(&threshold(&report, "bytes.p95<1MiB")["value"]);
    assert!((100.0..2_000.0).contains(&bytes), "{bytes}");
    assert!(
        finished.stdout.starts_with("passed: 10 thresholds kept; "),
        "{finished}"
    );
    assert_eq!(finished.stderr, "");
}

#[test]
fn one_that_is_not_kept_fails_the_run_and_says_so_first() {
    let server = demo_with_latency(2 * MS);
    let arguments = ["--max-p50", "1ms", "--max-p99", "30s", "--max-errors", "1%"];
    let finished = short(&server.url(), &arguments).expect_code(3);
    let report = finished.checked_report();
    assert_eq!(report["gate"], json!({"grade": "failed", "why": null}));
    let failed = threshold(&report, "p50<=1ms");
    assert_eq!(failed["grade"], "failed");
    assert!(
        number(&failed["value"]) > 1.0 && number(&failed["margin"]) < 0.0,
        "{failed:#}"
    );
    assert_eq!(threshold(&report, "errors<=1%")["grade"], "passed");
    let first = "failed: 1 of 3 thresholds was not kept; ";
    assert!(finished.stdout.starts_with(first), "{finished}");
    let told = "error: 1 threshold was not kept: `p50<=1ms`";
    assert!(finished.stderr.contains(told), "{finished}");
    // With nothing but the report on stdout, the error is still told.
    let finished = short(&server.url(), &["--assert", "max<1ms", "--report", "-"]).expect_code(3);
    assert!(finished.stderr.contains("`max<1ms`"), "{finished}");
}

#[test]
fn a_run_in_which_no_call_succeeds_fails_unless_that_was_asked_for() {
    let server = demo(DemoOptions {
        faults: "tool-error=1".parse().expect("shares"),
        ..DemoOptions::default()
    });
    let run = |arguments: &[&str]| short(&server.url(), arguments);
    let finished = run(&[]).expect_code(3);
    let report = finished.checked_report();
    let why = json!({"grade": "failed", "why": "no call succeeded"});
    assert_eq!(report["gate"], why);
    assert!(
        finished.stdout.starts_with("failed: no call succeeded; "),
        "{finished}"
    );
    assert!(
        finished
            .stderr
            .contains("error: the run failed: no call succeeded"),
        "{finished}"
    );
    run(&["--assert", "errors>99%"]).expect_code(0);
    let finished = run(&["--assert", "errors.http=0"]).expect_code(3);
    assert_eq!(finished.checked_report()["gate"], why);
    run(&["--assert", "rate>0"]).expect_code(3);
    // There is no latency of a success.
    let finished = run(&["--assert", "p95<1h", "--assert", "errors=20"]).expect_code(3);
    let report = finished.checked_report();
    let p95 = threshold(&report, "p95<1h");
    assert_eq!(
        (&p95["value"], &p95["why"]),
        (&Value::Null, &json!("no call succeeded"))
    );
    assert_eq!(threshold(&report, "errors=20")["value"], 20.0);
}

#[test]
fn a_run_in_which_no_call_ends_fails_and_keeps_no_threshold() {
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let url = server.url();
    let load = [
        "--vus",
        "1",
        "--duration",
        "300ms",
        "--graceful-stop",
        "0s",
        "--no-preflight",
    ];
    let run = |arguments: &[&str]| load_run(&url, &[&ECHO[..], &load, arguments].concat()).run();
    let finished = run(&[]).expect_code(3);
    assert!(
        finished
            .stderr
            .contains("none of them ended before the run did"),
        "{finished}"
    );
    let report = finished.checked_report();
    assert_eq!(report["totals"]["cancelled"], 1, "{report:#}");
    let finished = run(&["--assert", "errors=0", "--assert", "rate<5"]).expect_code(3);
    let report = finished.checked_report();
    for text in ["errors=0", "rate<5"] {
        let it = threshold(&report, text);
        let expected = (&Value::Null, &json!("no call ended"));
        assert_eq!((&it["value"], &it["why"]), expected, "{it:#}");
    }
    assert!(
        finished.stdout.contains("errors=0: no call ended"),
        "{finished}"
    );
}

const CONFIG: &str = r#"
[settings]
warm_up = "200ms"

[[scenario]]
type = "tools/call"
tool = "echo"
arguments = { text = "hi" }

[[scenario]]
type = "resources/read"
uri = "demo://readme"

[[stage]]
duration = "700ms"
target_vus = 2

[[stage]]
duration = "500ms"
target_vus = 2
"#;

#[test]
fn a_config_has_thresholds_of_two_grades_and_those_of_the_command_line_hold_beside_them() {
    let server = demo_with_latency(2 * MS);
    let thresholds = r#"
[[threshold]]
assert = "stage:2 p50>=2ms"

[[threshold]]
assert = "p50<1ms"
severity = "warn"

[[threshold]]
assert = "resource:demo://readme p99.99<30s"
few = "fail"
"#;
    let config = format!("{CONFIG}{thresholds}");
    let run = |arguments: &[&str]| {
        let all = [&["--config", "a.toml"], arguments].concat();
        load_run(&server.url(), &all).file("a.toml", &config).run()
    };
    let finished = run(&["--assert", "stage:1 errors=0"]).expect_code(3);
    let report = finished.checked_report();
    let grade = |text| threshold(&report, text)["grade"].clone();
    assert_eq!(grade("stage:2 p50>=2ms"), "passed", "{finished}");
    assert_eq!(grade("stage:1 errors=0"), "passed");
    assert_eq!(grade("p50<1ms"), "warned");
    let few = threshold(&report, "resource:demo://readme p99.99<30s");
    assert_eq!(
        (&few["grade"], &few["few"]),
        (&json!("failed"), &json!(true))
    );
    assert!(
        few["why"]
            .as_str()
            .is_some_and(|why| why.contains("takes 10000")),
        "{few:#}"
    );
    let planned = &report["plan"]["thresholds"];
    assert_eq!(planned[1]["severity"], "warn", "{planned:#}");
    assert_eq!(planned[2]["few"], "fail", "{planned:#}");

    // What a flag takes away is told, and decides nothing.
    let finished = run(&["--tool", "echo", "--stage", "300ms:1"]).expect_code(0);
    assert_eq!(finished.checked_report()["gate"]["grade"], "warned");
    assert!(
        finished.stdout.contains("`stage:2 p50>=2ms` is left out"),
        "{finished}"
    );

    let url = server.url();
    let stated = Program::new(&["loadtest", "check", "a.toml"]);
    let settings = format!("[settings]\nurl = \"{url}\"\n");
    let stated = stated
        .file("a.toml", &config.replace("[settings]\n", &settings))
        .run();
    let stated = stated.expect_code(0);
    assert!(stated.stdout.contains("p50<1ms, warned of"), "{stated}");
}

#[test]
fn all_faults_are_told_before_any_load() {
    let server = FakeServer::start(legacy);
    let config = format!(
        "{CONFIG}
[[threshold]]
assert = \"tool:ecko p99<1s\"

[[threshold]]
assert = \"p99<500\"
severty = \"warn\"

[[threshold]]
assert = \"stage:3 errors=0\"
abort = \"yes\"

[[threshold]]
assert = \"rate>5/s\"
abort = true

[[threshold]]
assert = \"p99<1s\"
grace = \"10s\"
"
    );
    let all = [
        "--config",
        "a.toml",
        "--assert",
        "speed<3",
        "--max-p99",
        "0s",
    ];
    let finished = load_run(&server.url(), &all).file("a.toml", &config).run();
    let finished = finished.expect_code(2);
    for told in [
        "error: 9 faults",
        "a.toml:23:10: threshold[1].assert: `tool:ecko p99<1s`: this plan has no `tool:ecko`; expected \
         one of `tool:echo`, `resource:demo://readme`, `stage:1`, `stage:2`; did you mean `tool:echo`?",
        "a.toml:26:10: threshold[2].assert: `p99<500`: `500` is not a limit of `p99`; expected a time with \
         its unit, such as `500ms` or `1.5s`; did you mean `500ms`?",
        "a.toml:27:1: threshold[2].severty: unknown key; did you mean `severity`?",
        "a.toml:30:10: threshold[3].assert: `stage:3 errors=0`: this plan has no `stage:3`",
        "a.toml:31:9: threshold[3].abort: found text",
        "a.toml:35:9: threshold[4].abort: does not go with `rate>5/s`, which is judged at the end alone",
        "a.toml:39:9: threshold[5].grace: goes with `abort`",
        "--assert: `speed<3`: `speed` is not a metric; expected one of `p50` to `p99.99`, `max`",
        "--max-p99: `p99<=0ms`: no value of `p99` can keep it; expected a time above zero",
    ] {
        assert!(finished.stderr.contains(told), "{told}\n{finished}");
    }
    assert!(server.log().is_empty(), "{finished}");
    let refused = short(&server.url(), &["--assert", "dropped=0"]).expect_code(2);
    assert!(
        refused.stderr.contains("`dropped` counts arrivals"),
        "{refused}"
    );
    let refused = short(&server.url(), &["--assert", "breaking_point>2/s"]).expect_code(2);
    assert!(
        refused
            .stderr
            .contains("`/s` counts arrivals, and the load of this run is users"),
        "{refused}"
    );
}

#[test]
fn loads_limits_and_graces_are_told_with_what_they_mean() {
    let server = demo_with_latency(2 * MS);
    let config = r#"
[[threshold]]
assert = "errors<1%"
abort = true
grace = "10s"
"#;
    let arguments = [
        "--config",
        "a.toml",
        "--rate",
        "40/s",
        "--max-vus",
        "4",
        "--duration",
        "500ms",
        "--assert",
        "breaking_point>1000",
        "--max-errors",
        "0",
        "--max-p95",
        "1",
    ];
    let config = format!(
        "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = {{ text = \"hi\" }}\n{config}"
    );
    let finished = load_run(&server.url(), &arguments)
        .file("a.toml", &config)
        .run()
        .expect_code(3);
    let report = finished.checked_report();
    // A bare load is in the unit of the plan's.
    let load = threshold(&report, "breaking_point>1000");
    assert_eq!(load["unit"], "per_sec");
    // What a busy machine did not serve of the 40.0/s is none.
    let why = load["why"].as_str().expect("a reason");
    let reached = why.strip_prefix("undecided: the load reached ");
    assert!(reached.is_some_and(|it| it.ends_with("/s only")), "{why}");
    assert_eq!(threshold(&report, "errors<=0")["grade"], "passed");
    // A bare number of `--max-p95` is seconds, and is shown as such.
    assert_eq!(threshold(&report, "p95<=1000ms")["grade"], "passed");
    let told = "`errors<1%` cannot end this run early: its grace is over";
    assert!(finished.stdout.contains(told), "{finished}");
}

#[test]
fn any_name_can_be_selected() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    for (name, selector) in [
        ("say \"hi\" < p99<1s", "tool:say \"hi\" < p99<1s"),
        ("a${b}{{c}}", "tool:a${b}{{c}}"),
        ("{{x}}", "tool:{{x}}"),
        ("two words", "tool:\"two words\""),
    ] {
        let text = format!("{selector} errors=0");
        let arguments = [
            "--tool",
            name,
            "--no-preflight",
            "--iterations",
            "3",
            "--vus",
            "1",
            "--assert",
            &text,
        ];
        let report = load_run(&server.url(), &arguments)
            .run()
            .expect_code(0)
            .checked_report();
        assert_eq!(report["thresholds"][0]["text"], text);
        assert_eq!(report["thresholds"][0]["selector"]["name"], name);

        // A config writes it with its escapes, and all else as the server spells it.
        let written = json!(name.replace("${", "$${").replace("{{", "{{{{"));
        let config = format!("[[scenario]]\ntype = \"tools/call\"\ntool = {written}\n");
        let report = load_run(&server.url(), &arguments[2..])
            .file(".pmcp/loadtest.toml", &config)
            .run()
            .expect_code(0)
            .checked_report();
        assert_eq!(report["thresholds"][0]["selector"]["name"], name);
        assert_eq!(report["operations"][0]["subject"], name);
        assert_eq!(
            report["operations"][0]["label"],
            format!("tools/call {name}")
        );
        assert!(report["per_tool"][name].is_object(), "{report:#}");
    }
    let called = server.log_of("tools/call");
    assert!(
        called
            .iter()
            .all(|it| it.message()["params"]["name"] != "a${b}{{{{c}}"),
        "the name is sent as the server spells it"
    );
}

#[test]
fn a_threshold_may_end_the_run() {
    let server = demo(DemoOptions {
        faults: "http-500=1".parse().expect("shares"),
        ..DemoOptions::default()
    });
    let config = r#"
[[scenario]]
type = "tools/call"
tool = "echo"
arguments = { text = "hi" }

[[threshold]]
assert = "errors<1%"
abort = true
"#;
    let load = [
        "--config",
        "a.toml",
        "--duration",
        "50s",
        "--vus",
        "2",
        "--think",
        "5ms",
    ];
    let finished = load_run(&server.url(), &load)
        .file("a.toml", config)
        .run()
        .expect_code(3);
    let report = finished.checked_report();
    assert_eq!(report["run"]["ended"], "threshold", "{finished}");
    assert!(number(&report["duration_secs"]) < 40.0, "{finished}");
    let it = &report["thresholds"][0];
    assert_eq!(
        (&it["aborted"], &it["grade"]),
        (&json!(true), &json!("failed"))
    );
    assert!(
        it["why"]
            .as_str()
            .is_some_and(|why| why.contains("seconds in a row")),
        "{it:#}"
    );
    assert!(
        finished.stdout.contains("ended by a threshold"),
        "{finished}"
    );
}

#[test]
fn the_help_of_a_run_lists_its_exit_codes() {
    let help = Program::new(&["loadtest", "run", "--help"])
        .run()
        .expect_code(0);
    for told in [
        "--assert",
        "--max-errors",
        "a threshold was not kept, no call succeeded",
    ] {
        assert!(help.stdout.contains(told), "{help}");
    }
}

#[test]
fn flows_and_steps_are_named_as_the_config_names_them() {
    let server = FakeServer::start(legacy);
    let config = r#"
[[flow]]
name = "checkout"
[[flow.step]]
name = "sign in"
type = "tools/call"
tool = "echo"
[[threshold]]
assert = "step:sign in p99<1s"
"#;
    let run = |arguments: &[&str]| {
        let all = [&["--config=a.toml", "--vus=1", "--iterations=1"], arguments].concat();
        load_run(&server.url(), &all).file("a.toml", config).run()
    };
    let refused = run(&[
        "--assert",
        "flow:chekout p95<2s",
        "--assert",
        "step:sign p95<2s",
    ]);
    let refused = refused.expect_code(2);
    for told in [
        "--assert: `flow:chekout p95<2s`: this plan has no `flow:chekout`; expected one of",
        "did you mean `flow:checkout`?",
        "`step:sign p95<2s`: this plan has no `step:sign`",
    ] {
        assert!(refused.stderr.contains(told), "{told}\n{refused}");
    }
    assert!(server.log().is_empty(), "{refused}");
    // A flag took the flow away, and its threshold with it.
    let left_out = run(&["--tool", "other"]).expect_code(0).report();
    let notices = left_out["notices"].to_string();
    assert!(
        notices.contains("the threshold `step:sign in p99<1s` is left out"),
        "{notices}"
    );
}

/// A load that nobody served is none that was reached.
#[test]
fn a_load_whose_arrivals_are_dropped_decides_no_breaking_point() {
    let server = demo(DemoOptions {
        capacity: Some("4/fixed:20ms".parse().expect("a capacity")),
        ..DemoOptions::default()
    });
    let load = ["--rate", "400/s", "--max-vus", "10", "--duration", "2s"];
    let judged_by = ["--assert", "breaking_point>300"];
    let finished = load_run(&server.url(), &[&ECHO[..], &load, &judged_by].concat());
    let finished = finished.run().expect_code(3);
    let report = finished.checked_report();
    let judged = threshold(&report, "breaking_point>300");
    assert_eq!(judged["grade"], "failed", "{judged}");
    let why = judged["why"].as_str().expect("a reason");
    assert!(why.starts_with("undecided: the load reached "), "{why}");
}
