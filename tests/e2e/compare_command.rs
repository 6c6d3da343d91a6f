//! `compare`: stored runs are compared, and what may not be compared is refused.
//!
//! Verdicts need runs of a minute. Nobody waits for them here: a real run of a moment
//! gives the report, and a simulation, with fixed seeds, its histograms.

use std::sync::OnceLock;

use pmcp_loadtest::outcome::Histogram;
use serde_json::{Value, json};

use crate::fake_server::{FakeServer, legacy};
use crate::load_run::{list, load_run};
use crate::program::Program;

/// The report of a run of a moment, a list of tools being its only operation.
fn real_report() -> Value {
    static REPORT: OnceLock<Value> = OnceLock::new();
    let report = REPORT.get_or_init(|| {
        let server = FakeServer::start(legacy);
        let arguments = ["--iterations", "20", "--seed", "1", "--report", "-"];
        let finished = load_run(&server.url(), &arguments).run().expect_code(0);
        serde_json::from_str(&finished.stdout).expect("a report")
    });
    report.clone()
}

/// What the report would be of 60 s with 100 calls a second, of about 10 ms times
/// `scale`. One second resembles the next.
fn minute(seed: u64, scale: f64) -> Value {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut normal = move || {
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.f64()).cos()
    };
    let mut level = 0.0;
    let mut whole = Histogram::new();
    let second = |at: u64| {
        level = 0.7 * level + 0.028 * normal();
        let mut latency = Histogram::new();
        (0..100).for_each(|_| {
            let ms = 10.0 * scale * (level + 0.25 * normal()).exp();
            latency.record((ms * 1e6) as u64);
        });
        whole.merge(&latency);
        json!({
            "at_secs": at, "length_secs": 1.0, "started": 100, "ok": 100, "failed": 0,
            "cancelled": 0, "max_ns": latency.max_ns(), "histogram": latency.to_text(),
        })
    };
    let intervals: Vec<Value> = (0..60).map(second).collect();
    let mut report = real_report();
    report["run"]["started_at"] = json!(format!("2026-11-26T12:{seed:02}:00.000Z"));
    report["run"]["seed"] = json!(seed);
    report["run"]["planned_secs"] = json!(60.0);
    report["verdict"] = json!({"grade": "valid", "reasons": [], "notes": [], "bounds": null});
    for figures in [&["totals"][..], &["operations", "0", "figures"]] {
        let figures = report.pointer_mut(&format!("/{}", figures.join("/")));
        let figures = figures.expect("a block of figures");
        (figures["started"], figures["ok"]) = (json!(6000), json!(6000));
    }
    report["histograms"]["interval_secs"] = json!(1.0);
    let rows = report["histograms"]["rows"].as_array_mut().expect("rows");
    for row in rows
        .iter_mut()
        .filter(|row| ["total", "call"].map(Value::from).contains(&row["kind"]))
    {
        row["intervals"] = json!(intervals);
        row["total"] = json!(whole.to_text());
        row["exact"] = Value::Null;
    }
    report
}

/// `compare` with these words, in a folder with these reports.
fn compare(arguments: &[&str], reports: &[(&str, &Value)]) -> Program {
    let program = Program::new(&[&["loadtest", "compare"], arguments].concat());
    reports.iter().fold(program, |program, (name, report)| {
        program.file(name, &report.to_string())
    })
}

#[test]
fn a_fifth_slower_is_worse_and_the_same_server_is_not() {
    let (base, same, slow) = (minute(1, 1.0), minute(2, 1.0), minute(3, 1.2));
    let reports = [
        ("base.json", &base),
        ("same.json", &same),
        ("slow.json", &slow),
    ];
    let alike = compare(&["--base", "base.json", "same.json"], &reports)
        .run()
        .expect_code(0);
    assert!(!alike.stdout.contains("worse: "), "{alike}");
    for part in [
        "all calls",
        "p95",
        "one run a side",
        "(base, new, base, new)",
    ] {
        assert!(alike.stdout.contains(part), "{part}: {alike}");
    }
    assert_eq!(alike.stderr, "");

    let words = ["--base", "base.json", "slow.json"];
    let worse = compare(&words, &reports).run().expect_code(3);
    assert!(
        worse
            .stdout
            .starts_with("answer      worse: p50 of all calls +"),
        "{worse}"
    );
    let words_of: Vec<&str> = worse.stdout.split_whitespace().collect();
    assert!(words_of.join(" ").contains("p95 of all calls +"), "{worse}");
    let told = compare(&[&words[..], &["--warn"]].concat(), &reports)
        .run()
        .expect_code(0);
    assert_eq!(told.stdout, worse.stdout);
    let swapped = ["--base", "slow.json", "base.json"];
    let better = compare(&swapped, &reports).run().expect_code(0);
    assert!(
        better
            .stdout
            .contains("nothing is worse; better: p50 of all calls -"),
        "{better}"
    );
    // Within what the user tolerates it is none.
    let tolerant = ["--tolerance", "p50 +30%", "--tolerance", "p95 +10% +9ms"];
    let tolerated = compare(&[&words[..], &tolerant].concat(), &reports)
        .run()
        .expect_code(0);
    assert!(tolerated.stdout.contains("equivalent"), "{tolerated}");
    assert!(tolerated.stdout.contains("±30.0%"), "{tolerated}");
}

#[test]
fn a_comparison_has_all_forms_and_is_a_report_itself() {
    let (base, slow) = (minute(1, 1.0), minute(3, 1.2));
    let reports = [("base.json", &base), ("s|<b>`.json", &slow)];
    let words = ["--base", "base.json", "s|<b>`.json", "--format"];
    let of = |more: &[&str]| {
        compare(&[&words[..], more].concat(), &reports)
            .run()
            .expect_code(3)
    };
    let json = of(&["json"]);
    let comparison: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(comparison["kind"], "comparison");
    assert_eq!(comparison["schema_version"], "1.0");
    let outcome = &comparison["comparison"];
    assert_eq!(
        (&outcome["verdict"], &outcome["method"]),
        (&json!("worse"), &json!("batches"))
    );
    assert_eq!(outcome["steady"]["from_secs"], 5.0);
    let p95 = &list(&outcome["rows"][0]["figures"])[1];
    assert_eq!(
        (&p95["metric"], &p95["verdict"]),
        (&json!("p95"), &json!("worse"))
    );
    let low = p95["interval"][0].as_f64().expect("a bound");
    assert!(low > p95["margin"].as_f64().expect("a margin"), "{p95}");

    // It is what its schema says, and shown again as it was.
    let schema = Program::new(&["loadtest", "schema", "comparison"])
        .run()
        .expect_code(0);
    let schema: Value = serde_json::from_str(&schema.stdout).expect("a schema");
    let validator = jsonschema::validator_for(&schema).expect("a valid schema");
    let faults: Vec<String> = validator
        .iter_errors(&comparison)
        .map(|it| it.to_string())
        .collect();
    assert_eq!(faults, [""; 0]);
    let text = of(&["text"]);
    let shown = Program::new(&["loadtest", "report", "-"])
        .stdin(&json.stdout)
        .run()
        .expect_code(0);
    assert_eq!(shown.stdout, text.stdout);

    let markdown = of(&["markdown", "-o", "comment.md"]);
    assert_eq!(markdown.stdout, "");
    let comment = std::fs::read_to_string(markdown.dir.path().join("comment.md")).expect("a file");
    assert!(
        comment.starts_with("## ❌ Comparison of load tests: worse: "),
        "{comment}"
    );
    assert!(comment.contains("``s|<b>`.json``"), "{comment}");
    let junit = of(&["junit"]);
    assert!(
        junit.stdout.contains("name=\"p95 of all calls\""),
        "{junit}"
    );
    assert!(junit.stdout.contains("<failure"), "{junit}");
    let csv = of(&["csv"]);
    assert_eq!(csv.stdout.lines().count(), 11, "{csv}");
}

#[test]
fn the_same_run_twice_is_said_to_be_the_same() {
    let base = minute(1, 1.0);
    let reports = [
        ("a.json", &base),
        ("copy.json", &base),
        ("b.json", &minute(2, 1.0)),
    ];
    let same = compare(&["--base", "a.json", "copy.json"], &reports)
        .run()
        .expect_code(0);
    assert!(
        same.stdout
            .contains("answer      the same run was given twice"),
        "{same}"
    );
    // From the standard input it is the same as from a file.
    let piped = compare(&["--base", "a.json", "-"], &reports).stdin(&base.to_string());
    let piped = piped.run().expect_code(0);
    assert!(piped.stdout.contains("the same run"), "{piped}");
    let twice = ["--base", "a.json", "--base", "copy.json", "b.json"];
    let twice = compare(&twice, &reports).run().expect_code(0);
    let once = "`copy.json` and `a.json` are the same run: it counts once";
    assert!(twice.stdout.contains(once), "{twice}");
    let twice = ["--base", "a.json", "--base", "a.json", "b.json"];
    let twice = compare(&twice, &reports).run().expect_code(0);
    let once = "`a.json` was given twice: it counts once";
    assert!(twice.stdout.contains(once), "{twice}");
    let both = ["--base", "a.json", "--base", "b.json", "copy.json"];
    let both = compare(&both, &reports).run().expect_code(2);
    assert!(
        both.stderr.contains("the run `copy.json` is on both sides"),
        "{both}"
    );
}

#[test]
fn what_is_not_comparable_is_refused_unless_forced() {
    let base = minute(1, 1.0);
    let check = |change: &dyn Fn(&mut Value), part: &str| {
        let mut other = minute(2, 1.0);
        change(&mut other);
        let reports = [("base.json", &base), ("other.json", &other)];
        let words = ["--base", "base.json", "other.json"];
        let refused = compare(&words, &reports).run().expect_code(2);
        assert_eq!(refused.stdout, "", "{refused}");
        for part in ["these runs are not comparable", part, "--force"] {
            assert!(refused.stderr.contains(part), "{part}: {refused}");
        }
        let forced = compare(&[&words[..], &["--force"]].concat(), &reports).run();
        assert!(
            forced.code == Some(0) && forced.stdout.contains("notice: "),
            "{forced}"
        );
    };
    check(
        &|other| other["plan"]["timeout_ms"] = json!(1.0),
        "the plan differs from `base.json` (timeout_ms: 5000.0 → 1.0) in `other.json`",
    );
    check(
        &|other| other["target_url"] = json!("http://elsewhere/mcp"),
        "the target differs",
    );
    check(
        &|other| other["server"]["era"] = json!("modern"),
        "the era of the protocol differs",
    );
    check(
        &|other| other["verdict"]["grade"] = json!("invalid"),
        "the verdict is `invalid`",
    );
    check(
        &|other| other["run"]["ended"] = json!("interrupted"),
        "it was interrupted",
    );

    // Another host is told of.
    let mut other = minute(2, 1.0);
    other["host"]["usable_cpus"] = json!(64);
    let reports = [("base.json", &base), ("other.json", &other)];
    let told = compare(&["--base", "base.json", "other.json"], &reports)
        .run()
        .expect_code(0);
    assert!(
        told.stdout.contains("the number of usable CPUs differs"),
        "{told}"
    );
}

#[test]
fn without_histograms_figures_stand_side_by_side() {
    let mut bare = minute(2, 1.0);
    bare["histograms"] = Value::Null;
    let reports = [("base.json", &minute(1, 1.0)), ("bare.json", &bare)];
    let words = ["--base", "base.json", "bare.json"];
    let shown = compare(&words, &reports).run().expect_code(0);
    assert!(
        shown.stdout.contains("no verdict: without histograms"),
        "{shown}"
    );
    assert!(!shown.stdout.contains("equivalent"), "{shown}");
    let strict = compare(&[&words[..], &["--fail-on-unclear"]].concat(), &reports);
    strict.run().expect_code(3);
}

/// Real runs of a moment say too little, and so it is told.
#[test]
fn short_runs_are_not_enough_data() {
    let server = FakeServer::start(legacy);
    let run = |name: &str| {
        let arguments = ["--iterations", "50", "--report", "-"];
        let finished = load_run(&server.url(), &arguments).run().expect_code(0);
        (
            name.to_string(),
            serde_json::from_str(&finished.stdout).expect("a report"),
        )
    };
    let (a, b): ((String, Value), (String, Value)) = (run("a.json"), run("b.json"));
    let reports = [(a.0.as_str(), &a.1), (b.0.as_str(), &b.1)];
    // Whatever a busy machine makes of their verdicts.
    let words = ["--base", "a.json", "b.json", "--force"];
    let unclear = compare(&words, &reports).run().expect_code(0);
    assert!(
        unclear.stdout.contains("there is not enough data"),
        "{unclear}"
    );
    assert!(unclear.stdout.contains("run at least 1m"), "{unclear}");
    let strict = compare(&[&words[..], &["--fail-on-unclear"]].concat(), &reports);
    strict.run().expect_code(3);
}

/// However short: a server that is down is worse, not unknown.
#[test]
fn a_short_run_whose_calls_all_fail_is_worse() {
    let base = real_report();
    let mut dead = real_report();
    dead["run"]["started_at"] = json!("2026-11-26T12:00:00.000Z");
    for figures in ["/totals", "/operations/0/figures"] {
        let figures = dead.pointer_mut(figures).expect("a block of figures");
        (figures["failed"], figures["ok"]) = (figures["ok"].clone(), json!(0));
    }
    let reports = [("base.json", &base), ("dead.json", &dead)];
    let words = ["--base", "base.json", "dead.json", "--force"];
    let worse = compare(&words, &reports).run().expect_code(3);
    for part in [
        "worse: errors of all calls +100.0 pp",
        "no call of a new run succeeded",
    ] {
        assert!(worse.stdout.contains(part), "{worse}");
    }
}

/// A report of hours is not replaced by what is told of it.
#[test]
fn an_output_never_replaces_what_is_read() {
    let (a, b) = (minute(1, 1.0), minute(2, 1.0));
    let reports = [("a.json", &a), ("b.json", &b)];
    let check = |words: &[&str]| {
        let program = Program::new(&[&["loadtest"], words].concat());
        let with = |program: Program, (name, report): &(&str, &Value)| {
            program.file(name, &report.to_string())
        };
        let refused = reports.iter().fold(program, with).run().expect_code(2);
        assert!(refused.stderr.contains("which is read"), "{refused}");
        let kept = std::fs::read_to_string(refused.dir.path().join("a.json"));
        assert_eq!(kept.expect("a file"), a.to_string());
    };
    check(&["compare", "--base", "a.json", "b.json", "-o", "a.json"]);
    check(&["compare", "--base", "b.json", "a.json", "-o", "./a.json"]);
    check(&["compare", "--history", ".", "b.json", "-o", "a.json"]);
    check(&["report", "a.json", "-o", "./a.json"]);
    check(&["report", "b.json", "a.json", "--force", "-o", "a.json"]);
}

#[test]
fn a_history_gives_the_base() {
    let mut other_plan = minute(4, 1.0);
    other_plan["plan"]["timeout_ms"] = json!(1.0);
    let reports = [
        ("kept/1.json", &minute(1, 1.0)),
        ("kept/2.json", &minute(2, 1.0)),
        ("kept/3.json", &minute(3, 1.0)),
        ("kept/other.json", &other_plan),
        ("kept/later.json", &minute(50, 1.0)),
        ("kept/broken.json", &json!({"kind": "find"})),
        ("new.json", &minute(9, 1.3)),
        ("kept/new.json", &minute(9, 1.3)),
    ];
    let words = ["--history", "kept", "new.json", "--format", "json"];
    let found = compare(&words, &reports).run().expect_code(3);
    let comparison: Value = serde_json::from_str(&found.stdout).expect("JSON");
    let files = list(&comparison["comparison"]["base"]).iter();
    let mut files: Vec<&str> = files.filter_map(|run| run["file"].as_str()).collect();
    files.sort_unstable();
    assert_eq!(files, ["kept/1.json", "kept/2.json", "kept/3.json"]);
    assert_eq!(comparison["comparison"]["method"], "runs");
    let last = compare(&[&words[..], &["--last", "2"]].concat(), &reports).run();
    let comparison: Value = serde_json::from_str(&last.stdout).expect("JSON");
    assert_eq!(list(&comparison["comparison"]["base"]).len(), 2, "{last}");
    let none = compare(&["--history", "kept", "kept/1.json"], &reports)
        .run()
        .expect_code(2);
    assert!(
        none.stderr.contains("has no earlier run to compare"),
        "{none}"
    );
}

#[test]
fn mistakes_say_what_is_right() {
    let check = |words: &[&str], part: &str| {
        let finished = compare(words, &[]).run().expect_code(2);
        assert!(finished.stderr.contains(part), "{part}: {finished}");
        assert_eq!(finished.stdout, "", "{finished}");
    };
    check(&[], "needs the report of a run");
    check(&["a.json"], "`--history .pmcp/reports` takes the last runs");
    check(&["--base", "a.json"], "needs the report of a run");
    check(
        &["--base", "a.json", "--history", ".", "b.json"],
        "exclude each other",
    );
    check(
        &["--base", "a.json", "b.json", "--warn", "--fail-on-unclear"],
        "exclude each other",
    );
    check(
        &["--base", "a.json", "b.json", "--last", "3"],
        "`--last` goes with `--history`",
    );
    check(&["--history", ".", "b.json", "--last", "0"], "from 1 to 20");
    check(&["--base", "-", "-"], "can be read once only");
    check(&["--base", "no.json", "b.json"], "no such file");
    check(&["--history", "none", "b.json"], "no such file");
    check(
        &["--base", "a", "b", "--tolerance", "p98 +5%"],
        "did you mean `p95`?",
    );
    check(
        &["--base", "a", "b", "--tolerance", "p99"],
        "such as `p99 +10% +5ms`",
    );
    let twice = [
        "--base",
        "a",
        "b",
        "--tolerance",
        "p99 1%",
        "--tolerance",
        "p99 2%",
    ];
    check(&twice, "names `p99` twice");
    check(
        &["--base", "a", "b", "--tolerance", "tol:echo p99 +5%"],
        "did you mean `tool:`?",
    );
    check(
        &["--base", "a", "b", "--tolerance", "p99 10"],
        "did you mean `10%` or `10ms`?",
    );
    check(
        &["--base", "a", "b", "--format", "yaml"],
        "accepted are `text`",
    );
    check(
        &["--base", "a", "b", "--format", "hlog"],
        "not a format of a comparison; accepted are `text`, `json`, `markdown`, `junit`, `csv`",
    );
}

/// A tolerance of one operation counts before that of all; of what no run has it is none.
#[test]
fn an_operation_may_have_a_tolerance_of_its_own() {
    let named = |seed, scale| {
        let mut report = minute(seed, scale);
        report["operations"][0]["method"] = json!("tools/call");
        report["operations"][0]["subject"] = json!("echo");
        for row in report["histograms"]["rows"].as_array_mut().expect("rows") {
            if row["kind"] == "call" {
                (row["method"], row["subject"]) = (json!("tools/call"), json!("echo"));
            }
        }
        report
    };
    let (base, slow) = (named(1, 1.0), named(3, 1.2));
    let reports = [("base.json", &base), ("slow.json", &slow)];
    let with = |tolerances: &[&str]| {
        let words = tolerances.iter().flat_map(|it| ["--tolerance", it]);
        let words: Vec<&str> = ["--base", "base.json", "slow.json"]
            .into_iter()
            .chain(words)
            .collect();
        compare(&words, &reports).run()
    };
    with(&["p50 +1%", "p95 +1%"]).expect_code(3);
    let tolerated = with(&["p50 +1%", "tool:echo p50 +40%", "tool:\"echo\" p95 +40%"]);
    let tolerated = tolerated.expect_code(0);
    assert!(tolerated.stdout.contains("±40.0%"), "{tolerated}");
    let strange = with(&["tool:ehco p50 +40%"]).expect_code(2);
    for part in ["names `tool:ehco`", "did you mean `tool:echo`?"] {
        assert!(strange.stderr.contains(part), "{strange}");
    }
}

/// A report is a stranger's file too.
#[test]
fn hostile_reports_are_refused_or_compared_within_bounds() {
    let base = minute(1, 1.0);
    let compared = |change: &dyn Fn(&mut Value)| {
        let mut other = minute(2, 1.0);
        change(&mut other);
        let reports = [("base.json", &base), ("other.json", &other)];
        let finished = compare(&["--base", "base.json", "other.json", "--force"], &reports);
        let finished = finished.watch_memory().run();
        finished.expect_peak_below(200);
        assert!(
            !finished.stderr.contains("this program failed"),
            "{finished}"
        );
        finished
    };
    let refused = |change: &dyn Fn(&mut Value), part: &str| {
        let finished = compared(change).expect_code(2);
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    };
    refused(
        &|other| other["histograms"]["interval_secs"] = json!(1e-300),
        "`histograms.interval_secs` is no length",
    );
    refused(
        &|other| {
            let intervals = &mut other["histograms"]["rows"][0]["intervals"];
            intervals[59]["at_secs"] = json!(1e9);
        },
        "`other.json` cannot be compared",
    );
    refused(
        &|other| {
            let intervals = &mut other["histograms"]["rows"][0]["intervals"];
            intervals[3]["histogram"] = json!("HISTnot base64");
        },
        "`other.json` cannot be compared",
    );
    refused(
        &|other| {
            for interval in 0..60 {
                let intervals = &mut other["histograms"]["rows"][0]["intervals"];
                intervals[interval]["ok"] = json!(1_000_000_000_000_000_000_u64);
            }
        },
        "more calls than any run",
    );
    for number in [json!(1e308), json!(-1e308), json!(u64::MAX)] {
        compared(&|other| {
            other["run"]["planned_secs"] = number.clone();
            other["plan"]["warm_up_secs"] = number.clone();
            other["plan"]["load"]["ramp_up_secs"] = number.clone();
        });
    }
    compared(&|other| {
        for key in ["ok", "failed", "started"] {
            other["totals"][key] = json!(u64::MAX);
            let row = &mut other["histograms"]["rows"][0];
            row["intervals"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .for_each(|interval| {
                    interval["failed"] = json!(u64::MAX);
                    interval["started"] = json!(u64::MAX);
                });
        }
    });
    // An operation that only one side has is named.
    let renamed = compared(&|other| {
        let operation = &mut other["operations"][0];
        operation["label"] = json!("tools/call `new`\u{1b}[31m");
    });
    assert!(
        renamed.stdout.contains("only the new runs have"),
        "{renamed}"
    );
    assert!(!renamed.stdout.contains('\u{1b}'), "{renamed}");
}
