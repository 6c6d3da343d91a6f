//! Histograms in reports: kept as wished for, written as a log that others read, and
//! added where several reports are merged.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use pmcp_loadtest::demo::{DemoOptions, DemoServer};

use crate::demo::{MS, demo, demo_with_latency};
use crate::load_run::{LoadRun, check_report, count, list, load_run, number};
use crate::program::{Finished, Program};

/// Two tools, 300 iterations.
const CONFIG: &str = r#"
[settings]
virtual_users = 4
iterations = 300

[[scenario]]
type = "tools/call"
tool = "echo"
arguments = { text = "hi" }
weight = 3

[[scenario]]
type = "tools/call"
tool = "add"
arguments = { a = 1, b = 2 }
"#;

fn run(demo: &DemoServer, arguments: &[&str]) -> Finished {
    let arguments = [&["--config", "it.toml"], arguments].concat();
    load_run(&demo.url(), &arguments)
        .file("it.toml", CONFIG)
        .run()
        .expect_code(0)
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

fn rows<'r>(report: &'r Value, kind: &str) -> Vec<&'r Value> {
    let rows = list(&report["histograms"]["rows"]).iter();
    rows.filter(|row| row["kind"] == kind).collect()
}

/// As many calls in the pieces as in the block that they are of.
#[test]
fn a_report_keeps_the_seconds_of_each_operation() {
    let demo = demo_with_latency(MS);
    let report = run(&demo, &[]).checked_report();
    assert_eq!(report["histograms"]["mode"], "seconds");
    assert_eq!(report["plan"]["histograms"], "seconds");
    let sum = |row: &Value, key: &str| -> u64 {
        list(&row["intervals"])
            .iter()
            .map(|it| count(&it[key]))
            .sum()
    };
    let total = rows(&report, "total")[0];
    for key in ["started", "ok", "failed", "cancelled"] {
        assert_eq!(sum(total, key), count(&report["totals"][key]), "{key}");
    }
    let calls = rows(&report, "call");
    assert_eq!(calls.len(), 2);
    for (row, operation) in calls.iter().zip(list(&report["operations"])) {
        assert_eq!(row["subject"], operation["subject"]);
        assert_eq!(sum(row, "ok"), count(&operation["figures"]["ok"]));
    }
    assert_eq!(rows(&report, "handshake").len(), 1);
}

/// Iterations of a flow by the time of their calls, so that runs can be compared by them.
#[test]
fn a_report_keeps_the_seconds_of_each_flow() {
    let demo = demo_with_latency(MS);
    let flow = "[settings]\nthink = \"5ms\"\n[[flow]]\nname = \"visit\"\n[[flow.step]]\ntype = \"tools/list\"\n\
                [[flow.step]]\ntype = \"prompts/list\"\nrepeat = 3\n";
    let run = || {
        let words = [
            "--config",
            "flow.toml",
            "--vus",
            "2",
            "--iterations",
            "200",
            "--report",
            "-",
        ];
        let run = load_run(&demo.url(), &words).file("flow.toml", flow);
        serde_json::from_str::<Value>(&run.run().expect_code(0).stdout).expect("a report")
    };
    let (base, new) = (run(), run());
    let busy = rows(&base, "flow_busy")[0];
    let figures = &base["flows"][0]["figures"];
    for key in ["started", "ok", "failed"] {
        let pieces = list(&busy["intervals"]).iter();
        let sum: u64 = pieces.map(|it| count(&it[key])).sum();
        assert_eq!(sum, count(&figures[key]), "{key}");
    }
    let compared = Program::new(&[
        "loadtest", "compare", "--base", "a.json", "b.json", "--force", "--format", "json",
    ])
    .file("a.json", &base.to_string())
    .file("b.json", &new.to_string())
    .run()
    .expect_code(0);
    let compared: Value = serde_json::from_str(&compared.stdout).expect("JSON");
    let row = list(&compared["comparison"]["rows"]).last().expect("rows");
    assert_eq!(
        (&row["label"], &row["is_flow"]),
        (&json!("flow visit"), &json!(true))
    );
    let own = number(&base["flows"][0]["busy"]["p50_ms"]);
    let compared = number(&row["figures"][0]["base"]);
    assert!((compared / own - 1.0).abs() < 1e-5, "{compared} and {own}");
}

#[test]
fn histograms_are_kept_as_wished_for() {
    let demo = demo(DemoOptions::default());
    let totals = run(&demo, &["--histograms", "totals"]).checked_report();
    assert_eq!(totals["histograms"]["mode"], "totals");
    assert!(
        rows(&totals, "call")
            .iter()
            .all(|row| list(&row["intervals"]).is_empty())
    );
    let off = run(&demo, &["--histograms", "off"]).checked_report();
    assert!(off["histograms"].is_null());
    let typo = load_run(&demo.url(), &["--histograms", "second"])
        .run()
        .expect_code(2);
    assert!(
        typo.stderr
            .contains("accepted are `off`, `totals`, `seconds`; did you mean `seconds`?"),
        "{typo}"
    );
    let log = load_run(&demo.url(), &["--histograms", "off", "--hlog", "x.hlog"]);
    let log = log.run().expect_code(2);
    assert!(log.stderr.contains("this run keeps none"), "{log}");
    assert!(!log.dir.path().join("x.hlog").exists());
}

/// The log of the run, and that of the stored report, are the same.
#[test]
fn a_log_is_written_at_once_or_later() {
    let demo = demo_with_latency(MS);
    let fresh = run(&demo, &["--hlog", "run.hlog", "--report", "r.json"]);
    let log = std::fs::read_to_string(fresh.dir.path().join("run.hlog")).expect("a log");
    let later = Program::new(&["loadtest", "report", "r.json", "--format", "hlog"]);
    let later = later.in_dir(fresh.dir).run().expect_code(0);
    assert_eq!(later.stdout, log);
    assert!(
        log.starts_with("#[Histogram log format version 1.3]\n#[StartTime: "),
        "{log}"
    );
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("HISTFAAA"))
        .collect();
    let is_tagged = |line: &&str| {
        line.starts_with("Tag=tools/call_echo,") || line.starts_with("Tag=tools/call_add,")
    };
    assert!(lines.len() >= 2 && lines.iter().all(is_tagged), "{log}");
}

#[test]
#[ignore = "needs the hdrhistogram of PyPI; .ci/run installs it"]
fn python_reads_the_log_with_the_figures_of_the_report() {
    let python: PathBuf = std::env::var_os("PMCP_TEST_READERS")
        .expect("`PMCP_TEST_READERS` names a Python with tests/readers/requirements.txt")
        .into();
    let demo = demo(DemoOptions {
        latency: "lognormal:2ms,0.5".parse().expect("a latency"),
        ..DemoOptions::default()
    });
    let fresh = run(
        &demo,
        &[
            "--hlog",
            "run.hlog",
            "--report",
            "r.json",
            "--iterations",
            "1500",
        ],
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/hlog.py");
    let log = fresh.dir.path().join("run.hlog");
    let output = Command::new(python)
        .arg(script)
        .arg(log)
        .output()
        .expect("a Python");
    assert!(output.status.success(), "{output:?}");
    let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let report = json(&fresh.dir.path().join("r.json"));
    let operations = list(&report["operations"]);
    assert_eq!(
        read["tags"].as_object().expect("tags").len(),
        operations.len()
    );
    for operation in operations {
        let tag = operation["label"]
            .as_str()
            .expect("a label")
            .replace(' ', "_");
        let (found, latency) = (&read["tags"][&tag], &operation["figures"]["latency"]);
        assert_eq!(count(&found["count"]), count(&latency["count"]), "{tag}");
        let keys = ["p50_ms", "p90_ms", "p95_ms", "p99_ms", "p99_9_ms"];
        for (key, ns) in keys.iter().zip(list(&found["percentiles"])) {
            // The greatest is known exactly to the report, and within its bucket here.
            let (ours, theirs) = (number(&latency[key]), number(ns) / 1e6);
            let is_max = latency[key] == latency["max_ms"] && theirs <= ours * 1.001;
            assert!(
                (ours - theirs).abs() < 1e-5 || is_max,
                "{tag} {key}: {ours} {theirs}"
            );
        }
    }
}

/// Two hosts, each with a half of the load, at the same server at the same time: the
/// server's own count is the sum.
#[test]
fn reports_of_one_load_are_merged() {
    let demo = demo_with_latency(MS);
    let half = |part: &str| {
        let arguments = [
            "--config",
            "it.toml",
            "--segment",
            part,
            "--report",
            "r.json",
        ];
        load_run(&demo.url(), &arguments)
            .file("it.toml", CONFIG)
            .spawn()
    };
    let halves = [half("1/2"), half("2/2")].map(|running| running.wait().expect_code(0));
    let [a, b] = halves.each_ref().map(|half| half.dir.path().join("r.json"));
    let files = [a.to_str().expect("UTF-8"), b.to_str().expect("UTF-8")];
    let merge = |more: &[&str]| Program::new(&[&["loadtest", "report"], &files[..], more].concat());
    let merged = merge(&["--force", "--format", "json", "-o", "all.json"])
        .run()
        .expect_code(0);
    let report = json(&merged.dir.path().join("all.json"));
    check_report(&report);
    assert_eq!(count(&report["totals"]["ok"]), 300);
    assert_eq!(count(&report["counters"]["iterations_completed"]), 300);
    let parts = [json(&a), json(&b)];
    let both = |of: fn(&Value) -> &Value| parts.iter().map(|part| count(of(part))).sum::<u64>();
    assert_eq!(
        count(&report["counters"]["bytes_sent"]),
        both(|it| &it["counters"]["bytes_sent"])
    );
    assert_eq!(
        count(&report["run"]["vus_max"]),
        both(|it| &it["run"]["vus_max"])
    );
    assert!(report["plan"]["segment"].is_null());
    let notice = report["notices"][0].as_str().expect("a notice");
    assert!(notice.starts_with("merged from 2 reports: "), "{notice}");

    // It is a report like any other: every form, and a merge of merges.
    let again = |format: &str| {
        let shown = Program::new(&["loadtest", "report", "all.json", "--format", format]);
        let report = std::fs::read_to_string(merged.dir.path().join("all.json")).expect("a file");
        shown.file("all.json", &report).run().expect_code(0)
    };
    for format in ["text", "markdown", "csv", "junit", "hlog"] {
        assert!(!again(format).stdout.is_empty(), "{format}");
    }
    assert!(
        again("text").stdout.contains("300, all ok"),
        "{}",
        again("text")
    );

    // The same file twice counts twice: only by force.
    let twice = Program::new(&["loadtest", "report", files[0], files[0]])
        .run()
        .expect_code(2);
    assert!(twice.stderr.contains("are the same run"), "{twice}");
    assert!(twice.stderr.contains("--force"), "{twice}");
}

#[test]
fn reports_without_histograms_are_not_merged() {
    let demo = demo(DemoOptions::default());
    let with = run(&demo, &["--report", "with.json"]);
    let without = run(&demo, &["--report", "without.json", "--histograms", "off"]);
    let text = std::fs::read_to_string(without.dir.path().join("without.json")).expect("a report");
    let merge = Program::new(&["loadtest", "report", "with.json", "without.json", "--force"]);
    let refused = merge
        .in_dir(with.dir)
        .file("without.json", &text)
        .run()
        .expect_code(2);
    assert!(
        refused
            .stderr
            .contains("`without.json` holds no histograms"),
        "{refused}"
    );
    let log = Program::new(&["loadtest", "report", "without.json", "--format", "hlog"]);
    let log = log.in_dir(refused.dir).run().expect_code(2);
    assert!(log.stderr.contains("it holds no histograms"), "{log}");
}

/// A stored report is a stranger's file: no histogram in it breaks the program.
#[test]
fn hostile_histograms_are_refused_with_the_reason() {
    let demo = demo(DemoOptions::default());
    let fresh = run(&demo, &["--report", "r.json"]);
    let report = json(&fresh.dir.path().join("r.json"));
    let check = |change: fn(&mut Value), words: &str| {
        let mut hostile = report.clone();
        change(&mut hostile);
        hostile["run"]["seed"] = 1.into();
        let merge = Program::new(&["loadtest", "report", "r.json", "hostile.json", "--force"]);
        let merge = merge.file("r.json", &report.to_string());
        let refused = merge
            .file("hostile.json", &hostile.to_string())
            .run()
            .expect_code(2);
        assert!(refused.stderr.contains(words), "{refused}");
    };
    check(
        |it| it["histograms"]["rows"][0]["total"] = "!".into(),
        "is not base64",
    );
    check(
        |it| it["histograms"]["rows"][0]["total"] = "HISTFAAA".into(),
        "histogram of",
    );
    check(
        |it| it["histograms"]["rows"][0]["exact"]["min_ns"] = 0.into(),
        "do not fit",
    );
    check(
        |it| it["histograms"]["encoding"] = "x".into(),
        "this program reads",
    );
    check(
        |it| it["totals"]["ok"] = (1_u64 << 62).into(),
        "a count that no run comes to",
    );
    check(
        |it| it["histograms"]["rows"][0]["intervals"][0]["at_secs"] = (-1.0).into(),
        "intervals that overlap or have no length",
    );
}
