//! One load that several processes make together, by `--segment` and `--start-at`:
//! what they report adds up to the whole, and to what the server counted.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pmcp_loadtest::clock::Utc;
use serde_json::{Value, json};
use yaml_rust2::{Yaml, YamlLoader};

use crate::demo::{ECHO, demo_with_latency};
use crate::load_run::{LoadRun, check_report, count, load_run};
use crate::program::Program;
use crate::share;

/// A time from now that the processes of a test are ready before.
fn soon() -> Utc {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = now.expect("a time after 1970").as_millis();
    Utc::from_unix_ms(u64::try_from(ms).expect("a time") + 4_000)
}

/// Runs each of these, all beside each other, and gives their reports.
fn reports_of(programs: Vec<Program>) -> Vec<Value> {
    let running: Vec<_> = programs.into_iter().map(Program::spawn).collect();
    let finished = running.into_iter().map(|run| run.wait().expect_code(0));
    finished.map(|run| run.checked_report()).collect()
}

/// The sum of a count of all reports.
fn sum(reports: &[Value], pointer: &str) -> u64 {
    let of = |report: &Value| count(report.pointer(pointer).expect(pointer));
    reports.iter().map(of).sum()
}

/// Begun at the set time, and not long after.
#[track_caller]
fn check_start(report: &Value, start: Utc) {
    let at = report["run"]["started_at"].as_str().expect("a time");
    let at = Utc::parse_rfc3339(at).expect("a time");
    let late_ms = at.unix_ms().checked_sub(start.unix_ms());
    // An open load announces its start a moment before it.
    let late_ms = late_ms.or((at.unix_ms() + 5 >= start.unix_ms()).then_some(0));
    assert!(late_ms.is_some_and(|ms| ms < 1_000), "{at:?} {start:?}");
}

#[test]
fn three_processes_make_one_load() {
    share::beside(5);
    let server = demo_with_latency(Duration::from_millis(1));
    let start = soon();
    let programs = (1..=3).map(|number| {
        // Its sessions are counted by the server.
        let part = [
            "--protocol",
            "legacy",
            "--vus",
            "8",
            "--iterations",
            "100",
            "--segment",
        ];
        let segment = format!("{number}/3");
        let time = ["--start-at", &start.rfc3339()].map(str::to_string);
        let own: Vec<&str> = ECHO
            .into_iter()
            .chain(part)
            .chain([segment.as_str()])
            .collect();
        let own: Vec<&str> = own
            .into_iter()
            .chain(time.iter().map(String::as_str))
            .collect();
        load_run(&server.url(), &own)
    });
    let reports = reports_of(programs.collect());
    let stats = server.stats();
    assert_eq!(sum(&reports, "/totals/started"), 100);
    assert_eq!(sum(&reports, "/totals/ok"), stats.tool_calls);
    assert_eq!(stats.tool_calls, 100);
    // Each process finds the server in a session of its own.
    let n_users = sum(&reports, "/counters/sessions_opened");
    assert_eq!((n_users, stats.sessions_opened), (8, 8 + 3));
    for (number, (vus, iterations)) in (1..).zip([(3, 34), (3, 33), (2, 33)]) {
        let report = &reports[number - 1];
        assert_eq!(report["run"]["vus_max"], vus, "{number}");
        assert_eq!(report["config"]["virtual_users"], vus, "{number}");
        assert_eq!(report["run"]["planned_iterations"], iterations);
        assert_eq!(report["counters"]["iterations_started"], iterations);
        assert_eq!(
            report["plan"]["segment"],
            json!({ "number": number, "of": 3 })
        );
        // All have the whole load in their plan, and the same seed.
        assert_eq!(report["plan"]["load"]["virtual_users"], 8);
        assert_eq!(report["plan"]["seed"], 0);
        let load = report["run"]["load"].as_str().expect("words");
        assert!(
            load.ends_with(&format!("segment {number}/3 of the load")),
            "{load}"
        );
        check_start(report, start);
    }
    // Merged, they are one report of the whole load, by the server's own count.
    let names = ["1.json", "2.json", "3.json"];
    let words = [&["loadtest", "report", "--format", "json"], &names[..]].concat();
    let merging = Program::new(&words);
    let merging = names
        .iter()
        .zip(&reports)
        .fold(merging, |program, (name, report)| {
            program.file(name, &report.to_string())
        });
    let merged = merging.run().expect_code(0);
    let merged: Value = serde_json::from_str(&merged.stdout).expect("JSON");
    check_report(&merged);
    assert_eq!(merged["totals"]["ok"], stats.tool_calls);
    assert_eq!(merged["totals"]["latency"]["count"], stats.tool_calls);
    assert_eq!(merged["counters"]["sessions_opened"], 8);
    assert_eq!(merged["plan"]["segment"], Value::Null);
}

/// Arrivals come in clumps by a seed, and each process has its own of them.
#[test]
fn arrivals_of_the_parts_are_those_of_the_whole() {
    share::beside(5);
    let server = demo_with_latency(Duration::from_millis(1));
    let config = "[settings]\nduration = \"1s\"\nseed = 7\n\
                  [arrivals]\nrate = \"120/s\"\ndistribution = \"poisson\"\nmax_vus = 9\n\
                  [[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = { text = \"a\" }\n";
    let start = soon();
    let time = start.rfc3339();
    let programs = ["1/1", "1/2", "2/2"].map(|segment| {
        let own = ["--segment", segment, "--start-at", &time];
        load_run(&server.url(), &own).file(".pmcp/loadtest.toml", config)
    });
    let reports = reports_of(programs.into());
    let (whole, parts) = reports.split_first().expect("three reports");
    let arrivals = count(&whole["counters"]["arrivals"]);
    assert!((80..170).contains(&arrivals), "{arrivals}");
    // Of those due in the last milliseconds the end of a run may leave some out.
    let of_parts = sum(parts, "/counters/arrivals");
    assert!(of_parts.abs_diff(arrivals) <= 4, "{of_parts} {arrivals}");
    let apart = count(&parts[0]["counters"]["arrivals"]);
    assert!(apart.abs_diff(arrivals / 2) <= 4, "{apart} {arrivals}");
    assert_eq!(sum(&reports, "/totals/ok"), server.stats().tool_calls);
    let pools: Vec<_> = reports
        .iter()
        .map(|it| &it["config"]["virtual_users"])
        .collect();
    assert_eq!(pools, [9, 5, 4]);
    assert_eq!(whole["plan"]["segment"], Value::Null);
    for report in &reports {
        check_start(report, start);
    }
}

/// The wait is shown, and an interrupt ends it.
#[cfg(target_os = "linux")]
#[test]
fn an_interrupt_ends_the_wait_for_the_start() {
    let server = demo_with_latency(Duration::ZERO);
    let words = [
        "loadtest",
        "run",
        &server.url(),
        "--start-at",
        "+1h",
        "--report",
        "it.json",
    ];
    let mut running = Program::new(&words).spawn();
    running.wait_until("the wait is shown", |run| run.stderr().contains(" to go"));
    assert!(
        running.stderr().contains("begins at 20"),
        "{}",
        running.stderr()
    );
    running.signal(nix::sys::signal::Signal::SIGINT);
    let finished = running.wait().expect_code(130);
    assert!(
        finished.stderr.contains("before the load began"),
        "{finished}"
    );
    assert!(!finished.dir.path().join("it.json").exists());
    let stats = server.stats();
    assert_eq!((stats.sessions_opened, stats.tool_calls), (0, 0));
}

#[test]
fn what_makes_no_part_or_no_start_is_refused() {
    let check = |words: &[&str], parts: &[&str]| {
        let refused = Program::new(&[&["loadtest"], words].concat())
            .run()
            .expect_code(2);
        for part in parts {
            assert!(refused.stderr.contains(part), "{words:?}: {refused}");
        }
    };
    let run = ["run", "http://127.0.0.1:9/mcp"];
    let with = |words: &[&'static str]| [&run, words].concat();
    check(&with(&["--segment", "5/4"]), &["--segment", "`2/4`"]);
    check(
        &with(&["--segment", "job/4"]),
        &["JOB_COMPLETION_INDEX", "not set"],
    );
    check(
        &with(&["--segment", "4/4", "--vus", "3"]),
        &["leaves 4/4 without any virtual user: 4 parts share"],
    );
    check(
        &with(&["--segment", "4/4", "--iterations", "3"]),
        &["leaves 4/4 without any iteration: 4 parts share"],
    );
    check(
        &with(&["--start-at", "2020-01-01T00:00:00Z"]),
        &["--start-at", "is in the past: this host's clock says"],
    );
    check(
        &with(&["--start-at", "tomorrow"]),
        &["is not a time such as"],
    );
    let find = [
        "find",
        "http://127.0.0.1:9/mcp",
        "--max-p99",
        "1s",
        "--segment",
        "1/2",
    ];
    check(
        &find,
        &["`--segment` is a flag of `run`", "not divided among hosts"],
    );
}

#[test]
fn check_shows_what_a_part_does() {
    let config = "[settings]\nurl = \"http://127.0.0.1:9/mcp\"\nvirtual_users = 10\niterations = 30\n\
                  [[scenario]]\ntype = \"tools/list\"\n";
    let checked = Program::new(&["loadtest", "check", "--segment", "4/4", "it.toml"]);
    let checked = checked.file("it.toml", config).run().expect_code(0);
    let part = "4/4 of this load: 2 virtual users, 7 iterations";
    assert!(checked.stdout.contains(part), "{checked}");
    assert!(checked.stdout.contains("10 virtual users"), "{checked}");
}

/// The Indexed Job that ships, as the cluster would run it: each pod with its number.
#[test]
fn the_pods_of_the_job_that_ships_make_one_load() {
    share::beside(5);
    let text = include_str!("../../configs/kubernetes-job.yaml");
    let job = YamlLoader::load_from_str(text).expect("YAML");
    let [job] = &job[..] else {
        panic!("one document");
    };
    assert_eq!(job["apiVersion"].as_str(), Some("batch/v1"));
    assert_eq!(job["kind"].as_str(), Some("Job"));
    let spec = &job["spec"];
    assert_eq!(spec["completionMode"].as_str(), Some("Indexed"));
    assert_eq!(spec["backoffLimitPerIndex"].as_i64(), Some(0));
    let n_pods = spec["completions"].as_i64().expect("a number");
    assert_eq!(spec["parallelism"].as_i64(), Some(n_pods));
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["restartPolicy"].as_str(), Some("Never"));
    let container = &pod["containers"][0];
    assert_eq!(
        container["command"][0].as_str(),
        Some("cargo-pmcp-loadtest")
    );
    let mounted = container["volumeMounts"][0]["mountPath"].as_str();
    let mounted = mounted.expect("a folder");
    let args = container["args"].as_vec().expect("arguments");
    let args: Vec<&str> = args.iter().filter_map(Yaml::as_str).collect();
    assert!(args.contains(&format!("job/{n_pods}").as_str()), "{args:?}");

    let server = demo_with_latency(Duration::from_millis(1));
    let url = server.url();
    let start = soon();
    let time = start.rfc3339();
    let replaced = BTreeMap::from([
        ("START_AT", time.as_str()),
        ("http://server.default.svc.cluster.local/mcp", &url),
    ]);
    let args = args.into_iter().map(|arg| match replaced.get(arg) {
        Some(own) => (*own).to_string(),
        None => arg.replace(&format!("{mounted}/"), ""),
    });
    let args: Vec<String> = args.collect();
    let config = "[settings]\nvirtual_users = 6\niterations = 50\npin = false\n\
                  [[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = { text = \"a\" }\n";
    let running: Vec<_> = (0..n_pods)
        .map(|index| {
            let words = ["pmcp-loadtest"]
                .into_iter()
                .chain(args.iter().map(String::as_str));
            let program = env!("CARGO_BIN_EXE_cargo-pmcp-loadtest");
            Program::other(program, &words.collect::<Vec<_>>())
                .env("JOB_COMPLETION_INDEX", &index.to_string())
                .file("loadtest.toml", config)
                .spawn()
        })
        .collect();
    let reports = running.into_iter().map(|pod| {
        let finished = pod.wait().expect_code(0);
        assert_eq!(finished.stderr, "", "{finished}");
        let report: Value = serde_json::from_str(&finished.stdout).expect("the log is the report");
        check_report(&report);
        check_start(&report, start);
        report
    });
    let reports: Vec<Value> = reports.collect();
    assert_eq!(sum(&reports, "/totals/ok"), 50);
    assert_eq!(server.stats().tool_calls, 50);
    let vus: Vec<_> = reports
        .iter()
        .map(|report| &report["run"]["vus_max"])
        .collect();
    assert_eq!(vus, [2, 2, 1, 1]);
}
