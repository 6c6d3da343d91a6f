//! Configs: those of the old tool, those that ship, and those at fault.

use std::path::{Path, PathBuf};
use std::thread;

use pmcp_loadtest::demo::{DemoOptions, DemoServer};

use crate::fake_server::{FakeServer, legacy};
use crate::load_run::{LoadRun, count, list, load_run};
use crate::program::Program;
use crate::share;

/// As users of cargo-pmcp 0.29 have it in their projects.
const OLD: &str = r#"
[settings]
virtual_users = 4
duration_secs = 1
timeout_ms = 5000
expected_interval_ms = 100

[[scenario]]
type = "tools/call"
weight = 60
tool = "echo"

[scenario.arguments]
text = "hello"

[[scenario]]
type = "resources/read"
weight = 30
uri = "demo://readme"

[[scenario]]
type = "prompts/get"
weight = 10
prompt = "summarize"
arguments = { topic = "tests" }
"#;

fn demo() -> DemoServer {
    DemoServer::start(DemoOptions::default()).expect("a demo server")
}

#[test]
fn an_old_config_runs_unchanged() {
    let server = demo();
    let finished = load_run(&server.url(), &[])
        .file(".pmcp/loadtest.toml", OLD)
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["failed"], 0, "{finished}");
    assert_eq!(list(&report["operations"]).len(), 3);
    assert_eq!(report["config"]["virtual_users"], 4);
    let stats = server.stop();
    assert_eq!(stats.calls, count(&report["totals"]["ok"]) + stats.lists);
    // No sample is invented, and the user is told so.
    let notices = report["notices"].to_string();
    assert!(
        notices.contains("expected_interval_ms")
            || finished.stderr.contains("expected_interval_ms"),
        "{finished}"
    );
}

#[test]
fn stages_of_an_old_config_run_for_their_own_time() {
    let stages = "\n[[stage]]\ntarget_vus = 3\nduration_secs = 1\n\
                  [[stage]]\ntarget_vus = 0\nduration_secs = 1\n";
    let server = demo();
    let finished = load_run(&server.url(), &[])
        .file(".pmcp/loadtest.toml", &format!("{OLD}{stages}"))
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    assert_eq!(list(&report["stages"]).len(), 2, "{finished}");
    let duration = report["duration_secs"].as_f64().expect("a number");
    // From the first call on, which a ramp from 0 begins a little later.
    assert!((1.4..3.0).contains(&duration), "{duration}");
}

/// Every config that ships, for a moment.
#[test]
fn the_configs_that_ship_run() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/configs");
    let entries = std::fs::read_dir(folder).expect("the folder of configs");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_config = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "toml");
    let paths: Vec<_> = paths.filter(is_config).collect();
    assert!(paths.len() >= 2);
    share::one_part();
    // They mostly wait.
    thread::scope(|scope| {
        for path in &paths {
            scope.spawn(move || check_shipped(path));
        }
    });
}

fn check_shipped(path: &Path) {
    let text = std::fs::read_to_string(path).expect("a text");
    let server = demo();
    // So many that some are of each population, whoever comes first.
    let n_iterations = match text.contains("[[population]]") {
        true => 200,
        false => 20,
    };
    let iterations = n_iterations.to_string();
    let program = load_run(
        &server.url(),
        &["--iterations", &iterations, "--config", "it.toml"],
    );
    let path = path.display();
    let program = ["DIRECT", "GATEWAY"]
        .iter()
        .fold(program, |program, name| program.env(name, &server.url()));
    let finished = program.file("it.toml", &without_warm_up(&text)).run();
    assert_eq!(finished.code, Some(0), "{path}: {finished}");
    let report = finished.checked_report();
    // An iteration of calls at once is several calls.
    let n_done = &report["counters"]["iterations_completed"];
    assert_eq!(n_done, n_iterations, "{path}: {finished}");
    assert_eq!(report["totals"]["failed"], 0, "{path}: {finished}");
    let checked = Program::new(&["loadtest", "check", "it.toml"])
        .in_dir(finished.dir)
        .run()
        .expect_code(0);
    assert!(checked.stdout.contains("no faults"), "{checked}");
}

/// A warm-up would take its whole time.
fn without_warm_up(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("warm_up"));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let config = r#"[settings]
virtual_users = 0
duratoin = "10s"
timeout_ms = "fast"
url = "ftp://example.org"

[headers]
X-Key = "${NOT_SET_IN_THE_TEST}"

[[scenario]]
type = "tools/cal"
tool = "echo"

[[scenario]]
type = "tools/call"
tool = "echo"
weight = -1
"#;
    for command in [&["run"][..], &["check"]] {
        let arguments = [&["loadtest"], command].concat();
        let finished = Program::new(&arguments)
            .file(".pmcp/loadtest.toml", config)
            .run()
            .expect_code(2);
        for part in [
            "7 faults",
            "loadtest.toml:2:",
            "loadtest.toml:3:",
            "`duration`",
            "loadtest.toml:4:",
            "loadtest.toml:5:",
            "loadtest.toml:8:",
            "NOT_SET_IN_THE_TEST",
            "loadtest.toml:11:",
            "`tools/call`",
            "loadtest.toml:17:",
        ] {
            assert!(finished.stderr.contains(part), "{part}: {finished}");
        }
        assert_eq!(finished.stdout, "");
    }
}

const FLOW: &str = r#"[[flow]]
name = "greet"
[[flow.step]]
name = "say"
type = "tools/call"
tool = "echo"
arguments = { text = "{{data.people.name}} {{uuid}}" }
expect = { schema = true, max_bytes = "20KiB" }
[[flow.step]]
type = "request"
method = "tools/list"

[data.people]
file = "people.csv"
"#;

#[test]
fn a_flow_takes_its_rows_from_a_file_beside_the_config_and_ends_with_them() {
    let server = demo();
    let url = server.url();
    let finished = load_run(&url, &["--config", "sub/a.toml", "--no-preflight"])
        .file("sub/a.toml", FLOW)
        .file("sub/people.csv", "name\nAda\n\n\"Bo, \"\"B\"\"\"\nCy\n")
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], 6, "{finished}");
    let plan = &report["plan"];
    assert_eq!(plan["preflight"], false);
    assert_eq!(plan["iterations"], 3);
    assert_eq!(plan["data"][0]["rows"], 3);
    let step = &plan["flow"][0]["step"];
    assert_eq!(
        step[0]["arguments"]["text"],
        "{{data.people.name}} {{uuid}}"
    );
    assert_eq!(step[1]["method"], "tools/list");
    server.stop();
}

#[test]
fn faults_of_flows_and_of_their_data_are_told_at_once_with_file_and_line() {
    let config = FLOW
        .replace("people.name", "people.nmae")
        .replace("{{uuid}}", "{{greting}} {{uid}}")
        .replace("\"request\"", "\"requst\"");
    let more = "[data.more]\nfile = \"more.csv\"\n[data.none]\nfile = \"none.jsonl\"\n";
    let finished = Program::new(&["loadtest", "check", "sub/a.toml"])
        .file("sub/a.toml", &format!("{config}{more}"))
        .file("sub/people.csv", "name\nAda\n")
        .file("sub/more.csv", "a,b\n1,2\n1\n\"x\n")
        .run()
        .expect_code(2);
    for part in [
        "a.toml:7:22: flow[1].step[1].arguments.text: the data set `people` has no column `nmae`",
        "did you mean `name`?",
        "`{{greting}}` is not a template",
        "did you mean `uuid`?",
        "a.toml:10:8: flow[1].step[2].type: `requst` is not known",
        "sub/more.csv:3: ",
        "sub/more.csv:4: ",
        "data.none.file: `none.jsonl` cannot be read: no such file or directory",
    ] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
    assert_eq!(finished.stdout, "");
}

#[test]
fn what_cannot_be_run_is_a_fault_of_usage() {
    let scenario = "[[scenario]]\ntype = \"ping\"\nweight = 0\n";
    let url = "http://127.0.0.1:1/mcp";
    let cases: [(&str, &[&str], &str); 9] = [
        ("", &[url, "--vus", "0"], "--vus"),
        ("", &[url, "--duration", "soon"], "soon"),
        ("", &[url, "--durations", "1s"], "--duration"),
        ("", &["no url"], "scheme"),
        ("", &[], "URL"),
        ("", &[url, "--tool", "t", "--args", "[]"], "object"),
        (scenario, &[url], "weight"),
        ("[settings]\nvirtual_users = 1\n", &[url], "scenario"),
        ("[settings\n", &[url], "loadtest.toml:1"),
    ];
    for (config, arguments, expected) in cases {
        let mut program = Program::new(&[&["loadtest", "run"], arguments].concat());
        if !config.is_empty() {
            program = program.file(".pmcp/loadtest.toml", config);
        }
        let finished = program.run();
        assert_eq!(finished.code, Some(2), "{arguments:?}: {finished}");
        let told = finished.stderr.to_lowercase();
        assert!(
            told.contains(&expected.to_lowercase()),
            "{expected}: {finished}"
        );
    }
}

#[test]
fn a_config_is_found_above_and_flags_override_it() {
    let server = FakeServer::start(legacy);
    let config = format!(
        "[settings]\nurl = \"{}\"\nvirtual_users = 1\niterations = 100000\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"${{TOOL:-work}}\"\n",
        server.url()
    );
    // From a folder further down.
    let script = format!(
        "mkdir -p a/b && cd a/b && exec {} loadtest run --no-pin --iterations 7 --vus 2",
        env!("CARGO_BIN_EXE_cargo-pmcp")
    );
    let finished = Program::other("sh", &["-c", &script])
        .file(".pmcp/loadtest.toml", &config)
        .run()
        .expect_code(0);
    assert_eq!(server.count("tools/call"), 7, "{finished}");
    let report = finished.dir.path().join("a/b/.pmcp/reports");
    let above = finished.dir.path().join(".pmcp/reports");
    assert!(report.exists() || above.exists(), "{finished}");
}

#[test]
fn without_a_config_the_tools_are_listed_with_a_hint() {
    let server = FakeServer::start(legacy);
    let finished = load_run(&server.url(), &["--iterations", "5"])
        .run()
        .expect_code(0);
    assert_eq!(server.count("tools/call"), 0);
    assert_eq!(server.count("tools/list"), 5);
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert!(said.contains("--tool"), "{finished}");
}

#[test]
fn arguments_come_from_a_file() {
    let server = FakeServer::start(legacy);
    let arguments = ["--tool", "work", "--args", "@a.json", "--iterations", "2"];
    load_run(&server.url(), &arguments)
        .file("a.json", r#"{"depth": {"n": 3}}"#)
        .run()
        .expect_code(0);
    for call in server.log_of("tools/call") {
        assert_eq!(call.message()["params"]["arguments"]["depth"]["n"], 3);
    }
}

/// As cargo calls it: `cargo pmcp loadtest …`.
#[test]
fn cargo_may_stand_before_it() {
    let server = FakeServer::start(legacy);
    let arguments = [
        "pmcp",
        "loadtest",
        "run",
        &server.url(),
        "--iterations",
        "2",
        "--no-pin",
    ];
    let finished = Program::new(&arguments).run().expect_code(0);
    assert_eq!(finished.checked_report()["totals"]["ok"], 2);
}
