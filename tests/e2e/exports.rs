//! Figures for other programs: while a run goes on (`--out`), and of a stored report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use pmcp_loadtest::demo::DemoOptions;

use crate::demo::{ECHO, MS, demo, demo_with_latency};
use crate::fake_server::{Connection, FakeServer, Request};
use crate::load_run::{LoadRun, count, list, load_run, number};
use crate::program::{Program, loadtest};
use crate::share;

/// The figures of a file of metrics, by all that stands before them.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            (name.to_string(), value.parse().expect("a number"))
        })
        .collect()
}

fn echo(outcome: &str) -> String {
    format!(
        "pmcp_loadtest_requests_total{{kind=\"call\",operation=\"tools/call echo\",\
         method=\"tools/call\",outcome=\"{outcome}\"}}"
    )
}

#[test]
fn lines_and_files_have_every_call_of_the_report() {
    share::one_part();
    let server = demo_with_latency(2 * MS);
    let arguments = [
        "--vus=4",
        "--duration=1500ms",
        "--warm-up=500ms",
        "--out=ndjson=run.ndjson",
        "--out=prometheus=run.prom",
        "--out=openmetrics=run.txt",
    ];
    let mut running = load_run(&server.url(), &[&ECHO[..], &arguments].concat()).spawn();
    let file = |name: &str, dir: &Path| std::fs::read_to_string(dir.join(name));
    // Whole whenever it is looked at, and there before the end.
    running.wait_until("a file of metrics with calls", |running| {
        file("run.txt", running.dir()).is_ok_and(|text| {
            assert!(text.ends_with("# EOF\n"), "{text}");
            samples(&text).get(&echo("ok")).is_some_and(|n| *n > 0.0)
        })
    });
    let finished = running.wait().expect_code(0);
    let report = finished.checked_report();
    let read = |name| file(name, finished.dir.path()).expect(name);

    let lines = read("run.ndjson");
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let sum = |is_warm_up: bool, key: &str| {
        let calls = lines.iter().filter(|line| line["kind"] == "call");
        let calls = calls.filter(|line| line["warm_up"] == is_warm_up);
        calls.map(|line| count(&line[key])).sum::<u64>()
    };
    let warm_up = &report["warm_up"]["figures"];
    for key in ["ok", "failed", "cancelled"] {
        assert_eq!(sum(false, key), count(&report["totals"][key]), "{key}");
        assert_eq!(sum(true, key), count(&warm_up[key]), "{key}");
    }
    let started = count(&report["totals"]["started"]) + count(&warm_up["started"]);
    assert_eq!(sum(false, "started") + sum(true, "started"), started);
    let line = lines.iter().find(|line| line["kind"] == "call");
    let line = line.expect("a line of a call");
    assert_eq!(line["operation"], "tools/call echo");
    assert!(number(&line["p50_ms"]) >= 2.0 && number(&line["p99_ms"]) >= number(&line["p50_ms"]));

    let metrics = samples(&read("run.prom"));
    assert_eq!(metrics, samples(&read("run.txt")));
    let totals = &report["totals"];
    for outcome in ["ok", "failed", "cancelled"] {
        assert_eq!(
            metrics[&echo(outcome)],
            number(&totals[outcome]),
            "{outcome}"
        );
    }
    let begun = echo("ok").replace("requests_total", "requests_started_total");
    let begun = begun.replace(",outcome=\"ok\"", "");
    assert_eq!(metrics[&begun], number(&totals["started"]));

    // What is made of the report later says the same.
    let words = ["report", "r.json", "--format", "openmetrics"];
    let stored = report.to_string();
    let later = loadtest(&words)
        .file("r.json", &stored)
        .run()
        .expect_code(0);
    let later = samples(&later.stdout);
    for (name, value) in &later {
        let is_of_now = name.contains("run_elapsed") || name.contains("virtual_users");
        // The last seconds of sessions that end are the report's alone.
        let is_same = metrics
            .get(name)
            .is_some_and(|it| (it - value).abs() < 1e-9);
        assert!(
            is_same || is_of_now,
            "{name}: {value} {:?}",
            metrics.get(name)
        );
    }
    for export in list(&report["exports"]) {
        assert!(count(&export["written"]) > 0, "{export}");
        assert_eq!(count(&export["lost"]), 0, "{export}");
    }
    let named: Vec<&Value> = list(&report["exports"])
        .iter()
        .map(|it| &it["to"])
        .collect();
    assert_eq!(
        named,
        [
            "ndjson=run.ndjson",
            "prometheus=run.prom",
            "openmetrics=run.txt"
        ]
    );
}

#[test]
fn a_collector_gets_all_and_no_secret_is_shown() {
    let collector = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.answer(200, &[("Content-Type", "application/json")], "{}")
    });
    let server = demo(DemoOptions::default());
    let out = format!("--out=otlp=http://{}/?key=geheim1", collector.address());
    let arguments = [&ECHO[..], &["--iterations=40", "--vus=2", &out]].concat();
    let finished = load_run(&server.url(), &arguments)
        .env(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "Authorization=Bearer%20geheim2,X-Team=load",
        )
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    let sent = collector.log();
    let last = sent.last().expect("a request");
    assert_eq!(
        (last.verb.as_str(), last.path.as_str()),
        ("POST", "/?key=geheim1")
    );
    assert_eq!(last.header("authorization"), Some("Bearer geheim2"));
    assert_eq!(last.header("x-team"), Some("load"));
    let metrics = &last.message()["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    let requests = list(metrics)
        .iter()
        .find(|it| it["name"] == "pmcp.loadtest.requests");
    let points = list(&requests.expect("requests")["sum"]["dataPoints"]);
    let is_ok = |point: &&Value| {
        let attributes = point["attributes"].to_string();
        attributes.contains("\"ok\"") && attributes.contains("tools/call echo")
    };
    let point = points.iter().find(is_ok).expect("a point");
    assert_eq!(point["asInt"], "40", "{report:#}");
    let shown = format!("{finished}{report}");
    assert!(!shown.contains("geheim"), "{shown}");
}

/// The run passes, and says what was not told and why.
#[test]
fn a_collector_that_is_gone_or_refuses_costs_points_alone() {
    let refusing = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.answer(503, &[], "too\u{1b}[1m busy")
    });
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let server = demo(DemoOptions::default());
    let outs = [refusing.address().to_string(), address.to_string()];
    let outs = outs.map(|address| format!("--out=otlp=http://{address}"));
    let arguments = [&ECHO[..], &["--iterations=20", &outs[0], &outs[1]]].concat();
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let report = finished.checked_report();
    let exports = list(&report["exports"]);
    for (export, why) in exports
        .iter()
        .zip(["answered 503: too\\u{1b}[1m busy", "refused"])
    {
        assert!(count(&export["lost"]) > 0, "{export}");
        let said = export["last_error"].as_str().expect("a reason");
        assert!(said.contains(why), "{said}");
        let notices = list(&report["notices"]).iter();
        let is_told = |it: &&Value| it.as_str().is_some_and(|it| it.contains(said));
        assert!(notices.filter(is_told).count() == 1, "{report:#}");
    }
    assert_eq!(exports.len(), 2);
}

#[test]
fn places_that_are_none_are_refused_before_any_load() {
    let server = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.answer(500, &[], "")
    });
    let cases: [(&[&str], i32, &str); 11] = [
        (&["--out=promtheus=x"], 2, "did you mean `prometheus`?"),
        (&["--out=ndjson"], 2, "needs a place"),
        (&["--out=prometheus=-"], 2, "written anew each second"),
        (
            &["--out=prometheus=a", "--out=ndjson=./a"],
            2,
            "both write to",
        ),
        (&["--out=ndjson=-", "--report=-"], 2, "both write to stdout"),
        (&["--out=otlp=ftp://x"], 2, "scheme"),
        (&["--out=otlp=http://me:geheim@x"], 2, "user name"),
        // Not `-H`, which is for the server.
        (
            &["--out=otlp=http://me:geheim@x"],
            2,
            "OTEL_EXPORTER_OTLP_HEADERS",
        ),
        (&["--out=openmetrics=no/such/x"], 1, "no/such/x"),
        // What is read is not replaced.
        (
            &["--config=it.toml", "--out=ndjson=./it.toml"],
            2,
            "would replace `it.toml`",
        ),
        (
            &["--out=prometheus=.pmcp/loadtest.toml"],
            2,
            "loadtest.toml`, which is read",
        ),
    ];
    let config = "[[scenario]]\ntype = \"tools/list\"\n";
    for (flags, code, part) in cases {
        let finished = load_run(&server.url(), &[&["--tool=work"], flags].concat())
            .file("it.toml", config)
            .file(".pmcp/loadtest.toml", config)
            .run();
        let finished = finished.expect_code(code);
        assert!(finished.stderr.contains(part), "{flags:?}: {finished}");
        assert!(!finished.stderr.contains("geheim"), "{finished}");
        for file in ["it.toml", ".pmcp/loadtest.toml"] {
            let path = finished.dir.path().join(file);
            assert_eq!(std::fs::read_to_string(path).expect("a config"), config);
        }
    }
    let bare = load_run(
        &server.url(),
        &["--tool=work", "--out=otlp=http://127.0.0.1:1"],
    );
    let bare = bare.env("OTEL_EXPORTER_OTLP_HEADERS", "geheim").run();
    let bare = bare.expect_code(2);
    assert!(bare.stderr.contains("entry 1 of"), "{bare}");
    assert!(!bare.stderr.contains("geheim"), "{bare}");
    assert!(server.log().is_empty());
}

/// The PyPI client takes both formats, with the figures of the report.
#[test]
#[ignore = "needs the prometheus-client of PyPI; .ci/run installs it"]
fn python_reads_the_metrics() {
    let python: PathBuf = std::env::var_os("PMCP_TEST_READERS")
        .expect("`PMCP_TEST_READERS` names a Python with tests/readers/requirements.txt")
        .into();
    let server = FakeServer::on_call(|request, connection| {
        let text = format!("a \"quoted\" \\ {}", request.method());
        let error = serde_json::json!({"code": -32000, "message": text});
        connection.json(&request.error(&error))
    });
    let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"a\\\"b\\\\c\\nd\"\n\
                  [[scenario]]\ntype = \"tools/list\"\n";
    let arguments = [
        "--config=it.toml",
        "--no-preflight",
        "--iterations=40",
        "--report=r.json",
        "--out=prometheus=run.prom",
        "--out=openmetrics=run.txt",
    ];
    let finished = load_run(&server.url(), &arguments)
        .file("it.toml", config)
        .run();
    let report = std::fs::read_to_string(finished.dir.path().join("r.json")).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let words = [
        "loadtest",
        "report",
        "r.json",
        "--format=openmetrics",
        "-o",
        "later.txt",
    ];
    let finished = Program::new(&words)
        .in_dir(finished.dir)
        .run()
        .expect_code(0);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers/metrics.py");
    let files = [
        ("prometheus", "run.prom"),
        ("openmetrics", "run.txt"),
        ("openmetrics", "later.txt"),
    ];
    for (dialect, file) in files {
        let output = Command::new(&python)
            .arg(&script)
            .arg(dialect)
            .arg(finished.dir.path().join(file))
            .output()
            .expect("a Python");
        assert!(output.status.success(), "{file}: {output:?}");
        let read: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(
            read["families"]["pmcp_loadtest_requests"], "counter",
            "{read:#}"
        );
        let of = |outcome: &str| {
            let samples = list(&read["samples"]).iter().filter(|sample| {
                let labels = &sample["labels"];
                sample["name"] == "pmcp_loadtest_requests_total"
                    && labels["kind"] == "call"
                    && labels["outcome"] == outcome
            });
            samples.map(|sample| number(&sample["value"])).sum::<f64>()
        };
        for outcome in ["ok", "failed", "cancelled"] {
            assert_eq!(
                of(outcome),
                number(&report["totals"][outcome]),
                "{file} {outcome}"
            );
        }
        let tool = "tools/call a\"b\\c d";
        let is_it = |sample: &Value| sample["labels"]["operation"] == tool;
        assert!(list(&read["samples"]).iter().any(is_it), "{read:#}");
    }
}
