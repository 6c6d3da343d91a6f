//! `report`: a stored report is shown as the fresh one was, whatever its kind, and
//! a file that is not one is refused with the reason.

use serde_json::Value;

use crate::fake_server::{FakeServer, legacy};
use crate::load_run::load_run;
use crate::program::{Finished, Program};

/// A run that wrote `mine.json`.
fn run() -> Finished {
    let server = FakeServer::start(legacy);
    load_run(
        &server.url(),
        &["--iterations", "20", "--report", "mine.json"],
    )
    .run()
    .expect_code(0)
}

fn show(arguments: &[&str]) -> Program {
    Program::new(&[&["loadtest", "report"], arguments].concat())
}

#[test]
fn a_stored_run_is_shown_as_the_fresh_one() {
    let fresh = run();
    let text = std::fs::read_to_string(fresh.dir.path().join("mine.json")).expect("a report");
    let stored = show(&["mine.json"]).in_dir(fresh.dir).run().expect_code(0);
    assert_eq!(stored.stdout, fresh.stdout);
    assert_eq!(stored.stderr, "");

    // From the standard input it has no file to name.
    let piped = show(&["-"]).stdin(&text).run().expect_code(0);
    let (figures, _) = fresh
        .stdout
        .split_once("\nreport:")
        .expect("the file's line");
    assert_eq!(piped.stdout.trim_end(), figures.trim_end());

    // JSON is the same document, byte for byte; so it is in a file.
    let json = show(&["--format", "json", "mine.json", "-o", "copy.json"]);
    let json = json.in_dir(stored.dir).run().expect_code(0);
    assert_eq!(json.stdout, "");
    let copy = std::fs::read_to_string(json.dir.path().join("copy.json"));
    assert_eq!(copy.expect("a copy"), text);
}

#[test]
fn a_stored_calibration_is_shown_as_the_fresh_one() {
    let words = ["loadtest", "calibrate", "--vus", "1", "--seconds", "0.25"];
    let fresh = Program::new(&[&words[..], &["--quiet", "--report", "here.json"]].concat());
    let fresh = fresh.run().expect_code(0);
    let stored = show(&["here.json"]).in_dir(fresh.dir).run().expect_code(0);
    assert_eq!(stored.stdout, fresh.stdout);
}

/// What a newer version adds is told of and kept.
#[test]
fn a_newer_report_is_shown_as_far_as_it_is_known() {
    let fresh = run();
    let text = std::fs::read_to_string(fresh.dir.path().join("mine.json")).expect("a report");
    let mut report: Value = serde_json::from_str(&text).expect("JSON");
    report["schema_version"] = "2.99".into();
    report["totals"]["from_the_future"] = Value::from("a\u{202e}\u{9b}b");
    let newer = show(&["newer.json"]).file("newer.json", &report.to_string());
    let newer = newer.run().expect_code(0);
    assert!(newer.stderr.contains("schema version 2.99"), "{newer}");
    assert!(newer.stdout.contains("20, all ok"), "{newer}");
    let json = show(&["newer.json", "--format=json"]).in_dir(newer.dir);
    let json = json.run().expect_code(0);
    let kept: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(kept, report);
    assert!(!json.stdout.contains(['\u{202e}', '\u{9b}']), "{json}");
}

#[test]
fn what_is_no_report_is_refused_with_the_reason() {
    let check = |content: &str, parts: &[&str]| {
        let finished = show(&["it.json"]).file("it.json", content).run();
        let finished = finished.expect_code(2);
        assert_eq!(finished.stdout, "");
        assert!(finished.stderr.len() < 1_000, "{finished}");
        for part in [&["`it.json`"], parts].concat() {
            assert!(finished.stderr.contains(part), "{part}: {finished}");
        }
    };
    check("", &["is not a report"]);
    check("target  http://x\n", &["is not a report", "line 1"]);
    check("[1, 2]", &["is not a report"]);
    check(r#"{"schema_version": "1.1"}"#, &["`1.1`", "0.29"]);
    check(
        r#"{"schema_version": "3.0"}"#,
        &["`3.0`", "this program reads `2."],
    );
    check(r#"{"schema_version": 2}"#, &["schema version"]);
    check(
        r#"{"schema_version": "2.0"}"#,
        &["not a whole report", "missing field"],
    );
    let other = r#"{"kind": "weather", "schema_version": "1.0"}"#;
    check(other, &["its kind is `weather`"]);
    let long = format!(
        r#"{{"kind": "{}", "schema_version": "1.0"}}"#,
        "x".repeat(100_000)
    );
    check(&long, &["its kind is `x"]);
    let long = format!(
        r#"{{"schema_version": "2.0", "timestamp": ["{}"]}}"#,
        "x".repeat(100_000)
    );
    check(&long, &["not a whole report"]);
    check(&"[".repeat(100_000), &["is not a report"]);

    let check = |arguments: &[&str], part: &str| {
        let finished = show(arguments).run().expect_code(2);
        assert!(finished.stderr.contains(part), "{finished}");
    };
    check(&[], "needs the file");
    check(&["no-such.json"], "no such file");
    check(&["/dev/zero"], "larger than 256 MiB");
    check(&["x.json", "--format", "jsn"], "did you mean `json`?");
}

/// Of a version that did not know a key of today's plan, which is as if it were said.
#[test]
fn reports_of_each_version_are_of_the_same_plan_as_a_run_of_today() {
    let stages = "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = { text = \"hi\" }\n\
                  parallel = 2\n[[scenario]]\ntype = \"resources/list\"\n";
    let closed: &[&str] = &["--vus", "3", "--duration", "3s", "--assert", "p99<2s"];
    let with_probe = [
        "--vus",
        "3",
        "--duration",
        "2s",
        "--warm-up",
        "1s",
        "--probe",
    ];
    let runs: [(&[&str], &[&str]); 4] = [
        (&["run-2.0.json"], &with_probe),
        (
            &["run-2.0-arrivals.json"],
            &["--rate", "50/s", "--duration", "2s"],
        ),
        (
            &["run-2.0-stages.json"],
            &["--stage", "1s:4,1s:0", "--config", "it.toml"],
        ),
        (
            &[
                "run-2.1.json",
                "run-2.2.json",
                "run-2.3.json",
                "run-2.4.json",
            ],
            closed,
        ),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
    let check = |(files, load): (&[&str], &[&str])| {
        let today = [
            "loadtest",
            "run",
            "--demo",
            "--quiet",
            "--report",
            "today.json",
        ];
        let mut dir = Program::new(&[&today[..], load].concat())
            .file("it.toml", stages)
            .run()
            .expect_code(0)
            .dir;
        let read = |path| -> Value {
            let text = std::fs::read_to_string(path).expect("a report");
            serde_json::from_str(&text).expect("JSON")
        };
        let today = read(dir.path().join("today.json"));
        for file in files {
            // The demo's port is another each time, which is another target to a sum.
            let mut then = read(folder.join(file));
            then["plan"]["url"] = today["plan"]["url"].clone();
            let text = then.to_string();
            for command in [&["compare", "--base"][..], &["report"]] {
                let words = [&["loadtest"], command, &["then.json", "today.json"]].concat();
                let done = Program::new(&words)
                    .in_dir(dir)
                    .file("then.json", &text)
                    .run();
                let said = format!("{}{}", done.stdout, done.stderr);
                for part in ["plan differs", "another plan"] {
                    assert!(!said.contains(part), "{file}: {done}");
                }
                dir = done.dir;
            }
        }
    };
    std::thread::scope(|scope| {
        let threads = runs.map(|run| scope.spawn(move || check(run)));
        for thread in threads {
            thread.join().expect("no version has another plan");
        }
    });
}
