//! `calibrate` from outside, with steps as short as they may be, and runs that
//! are judged by what it wrote. Figures are looked at for what holds on any
//! machine: that they are there, and in order.

#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::load_run::{list, number};
use crate::program::{Finished, Program, TempDir};
use crate::share;

const SHORT: [&str; 7] = [
    "loadtest",
    "calibrate",
    "--vus",
    "1,8",
    "--seconds",
    "0.25",
    "--no-color",
];

fn calibrate(more: &[&str]) -> Program {
    share::beside(10);
    Program::new(&[&SHORT[..], more].concat())
}

/// Some calls to the demo, as quick as they may be.
fn run_with(calibration: &str, dir: TempDir) -> Finished {
    let mut arguments = vec!["loadtest", "run", "--demo", "--vus", "2", "--quiet"];
    arguments.extend(["--iterations", "200", "--calibration", calibration]);
    Program::new(&arguments).in_dir(dir).run()
}

/// The text of a calibration with another value in one place.
fn changed(report: &Value, pointer: &str, value: Value) -> String {
    let mut report = report.clone();
    *report.pointer_mut(pointer).expect("a field") = value;
    report.to_string()
}

fn reasons(report: &Value) -> Vec<&str> {
    list(&report["verdict"]["reasons"])
        .iter()
        .filter_map(|reason| reason["id"].as_str())
        .collect()
}

#[track_caller]
fn check_spread(spread: &Value) {
    assert!(number(&spread["count"]) > 0.0, "{spread:#}");
    let names = ["p50_ms", "p99_ms", "p99_9_ms", "max_ms"];
    let figures: Vec<f64> = names.iter().map(|name| number(&spread[name])).collect();
    assert!(figures.is_sorted() && figures[0] >= 0.0, "{spread:#}");
}

#[track_caller]
fn check_report(report: &Value) {
    assert_eq!(report["kind"], "calibration");
    assert_eq!(report["schema_version"], "1.0");
    assert_eq!(report["complete"], true);
    for mode in ["normal", "busy_poll"] {
        let mode = &report[mode];
        let closed = list(&mode["closed"]);
        let vus: Vec<f64> = closed.iter().map(|step| number(&step["vus"])).collect();
        assert_eq!(vus, [1.0, 8.0]);
        let rates = closed.iter().map(|step| number(&step["calls_per_sec"]));
        let highest = rates.fold(0.0, f64::max);
        assert!(highest > 0.0, "{mode:#}");
        assert_eq!(number(&mode["calls_per_sec_per_worker"]), highest);
        for step in closed {
            check_spread(&step["latency"]);
            assert_eq!(step["failed"], 0, "{step:#}");
        }
        check_spread(&mode["latency_noise"]);
        check_spread(&mode["lateness"]);
        let open = list(&mode["open"]);
        assert_eq!(open.len(), 2);
        for step in open {
            let rate = number(&step["rate_per_sec"]);
            assert!(rate >= 1.0 && rate <= highest.max(10_000.0), "{step:#}");
        }
    }
    if cfg!(target_os = "linux") {
        let costs = list(&report["normal"]["closed"]);
        let costs = costs.iter().map(|step| number(&step["cpu_us_per_call"]));
        assert!(costs.clone().all(|us| us > 0.0), "{report:#}");
        assert!(report["host"]["kernel"].is_string(), "{report:#}");
    }
}

#[test]
fn a_host_is_calibrated_and_runs_are_judged_by_it() {
    let finished = calibrate(&["--report", "here.json"]).run().expect_code(0);
    let path = finished.dir.path().join("here.json");
    let text = std::fs::read_to_string(path).expect("the report was written");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    check_report(&report);
    for part in ["highest rate", "closed model", "open model", "here.json"] {
        assert!(finished.stdout.contains(part), "{part}: {finished}");
    }
    assert!(finished.stderr.contains("1 VU, normal"), "{finished}");

    let run = run_with("here.json", finished.dir).expect_code(0);
    let notices = run.report()["notices"].to_string();
    for part in ["another host", "other conditions"] {
        assert!(!notices.contains(part), "made here and now: {run}");
    }

    // As if one worker could make a call a second: the run's rate is above that.
    let slow = changed(&report, "/normal/calls_per_sec_per_worker", 1.0.into());
    std::fs::write(run.dir.path().join("slow.json"), slow).expect("a file");
    let run = run_with("slow.json", run.dir).expect_code(0);
    let found = run.report();
    assert!(reasons(&found).contains(&"near_calibrated_rate"), "{run}");
    assert!(run.stdout.contains("calibrated"), "{run}");

    // A search is judged by the same; the demo takes longer than 1 ms.
    let mut arguments = vec!["loadtest", "find", "--demo", "--quiet", "--max-p95", "1ms"];
    arguments.extend(["--calibration", "slow.json", "--report", "found.json"]);
    let search = Program::new(&arguments).in_dir(run.dir).run();
    let path = search.dir.path().join("found.json");
    let text = std::fs::read_to_string(path).expect("the report was written");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    // A host that is too busy to make even one user's load ends the search itself.
    let code = match found["ended"].as_str() {
        Some("generator_limited") => 4,
        _ => 3,
    };
    let search = search.expect_code(code);
    assert!(
        reasons(&found).contains(&"near_calibrated_rate"),
        "{search}"
    );
    assert!(search.stdout.contains("at 1 VU: "), "{search}");
    let run = search;

    // The same of another host says nothing of this one.
    if cfg!(target_os = "linux") {
        let mut other: Value = serde_json::from_str(&changed(
            &report,
            "/normal/calls_per_sec_per_worker",
            1.0.into(),
        ))
        .expect("JSON");
        other["host"]["cpus"] = 4096.into();
        std::fs::write(run.dir.path().join("other.json"), other.to_string()).expect("a file");
        let run = run_with("other.json", run.dir).expect_code(0);
        let found = run.report();
        assert!(!reasons(&found).contains(&"near_calibrated_rate"), "{run}");
        let notices = found["notices"].to_string();
        assert!(notices.contains("another host"), "{run}");
        assert!(notices.contains("4096 then"), "{run}");
    }
}

#[test]
fn what_is_no_calibration_is_refused() {
    let check = |name: &str, content: Option<&str>, part: &str| {
        for command in ["run", "find"] {
            let mut arguments = vec!["loadtest", command, "--demo", "--calibration", name];
            if command == "find" {
                arguments.extend(["--max-p99", "1s"]);
            }
            let mut program = Program::new(&arguments);
            if let Some(content) = content {
                program = program.file(name, content);
            }
            let finished = program.run().expect_code(2);
            assert!(finished.stderr.contains(part), "{finished}");
            assert!(finished.stderr.contains(name), "{finished}");
            assert!(finished.stdout.is_empty(), "{finished}");
            assert_eq!(finished.report_path(), None, "{finished}");
        }
    };
    check("none.json", None, "no such file");
    check("c.json", Some("no JSON"), "is not a calibration");
    check(
        "run.json",
        Some(r#"{"schema_version":"2.0"}"#),
        "report of a run",
    );
    let newer = r#"{"kind":"calibration","schema_version":"9.0"}"#;
    check("newer.json", Some(newer), "reads `1.0`");
    let empty = r#"{"kind":"calibration","schema_version":"1.0"}"#;
    check("empty.json", Some(empty), "not a whole calibration");
}

#[test]
#[cfg(target_os = "linux")]
fn an_interrupt_shows_what_is_known_and_leaves_no_file() {
    let mut running = calibrate(&[]).spawn();
    running.wait_until("a step is done", |running| {
        running.stderr().contains("1 VU, normal")
    });
    running.signal(Signal::SIGINT);
    let finished = running.wait().expect_code(130);
    assert!(finished.stdout.contains("interrupted"), "{finished}");
    assert!(finished.stdout.contains("closed model"), "{finished}");
    let folder = finished.dir.path().join(".pmcp/reports");
    let left: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder of reports")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_cannot_be_measured_is_a_fault_of_usage() {
    let check = |arguments: &[&str], part: &str| {
        let words = [&["loadtest", "calibrate"], arguments].concat();
        let finished = Program::new(&words).run().expect_code(2);
        assert!(finished.stderr.contains(part), "{finished}");
    };
    check(&["--vus", "0"], "from 1");
    check(&["--vus", "1,x"], "1,64,1000");
    check(&["--seconds", "0"], "from 0.25");
    check(&["--report", "x", "--no-report"], "exclude each other");
    check(&["--second", "1"], "did you mean `--seconds`");
    check(&["http://127.0.0.1:1/mcp"], "http://127.0.0.1:1/mcp");
}
