//! Figures for other programs: while a run goes on (`--out`), and of a stored report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use pmcp_loadtest::demo::DemoOptions;

use crate::demo::{ECHO, MS, demo, demo_with_latency};
use crate::fake_server::{Connection, FakeServer, Next, Request};
use crate::load_run::{LoadRun, count, list, load_run, number};
use crate::program::{Program, loadtest};
use crate::share;
use crate::tls_server::{Party, Speaks, TlsFront};
use crate::tunnel::Tunnel;

/// The figures of a file of metrics, by all that comes before them.
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
    for key in ["started", "ok", "failed", "cancelled"] {
        assert_eq!(sum(false, key), count(&report["totals"][key]), "{key}");
        assert_eq!(sum(true, key), count(&warm_up[key]), "{key}");
    }
    let close = lines.iter().find(|line| line["kind"] == "close");
    assert!(close.is_none_or(|line| line["operation"] == "close"));
    let handshake = lines.iter().find(|line| line["kind"] == "handshake");
    assert_eq!(handshake.expect("a handshake")["operation"], "handshake");
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

    assert_eq!(metrics["pmcp_loadtest_virtual_users"], 0.0);

    // What is made of the report later says the same.
    let words = ["report", "r.json", "--format", "openmetrics"];
    let stored = report.to_string();
    let later = loadtest(&words)
        .file("r.json", &stored)
        .run()
        .expect_code(0);
    let later = samples(&later.stdout);
    for (name, value) in &later {
        // The last seconds of sessions that end are the report's alone.
        let is_same = metrics
            .get(name)
            .is_some_and(|it| (it - value).abs() < 1e-5);
        assert!(is_same, "{name}: {value} {:?}", metrics.get(name));
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

/// By the run's rules for trust, proxies and the environment.
#[test]
fn a_collector_of_an_own_authority_is_reached_through_a_proxy() {
    const NAME: &str = "collector.example.test";
    let collector = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.answer(200, &[("Content-Type", "application/json")], "{}")
    });
    let root = Party::root("House Root");
    let party = root.server(&[NAME]);
    let front = TlsFront::start(&collector.url(), &party, Vec::new(), Speaks::usual());
    let tunnel = Tunnel::to(front.address());
    let server = demo(DemoOptions::default());
    let out = format!("--out=otlp=https://{NAME}:4318");
    let run = |more: &[&str]| {
        let arguments = [&ECHO[..], &["--iterations=10", "--vus=1", &out], more].concat();
        let run = load_run(&server.url(), &arguments).file("ca.pem", &root.pem());
        let finished = run.env("HTTPS_PROXY", &tunnel.address()).run();
        list(&finished.expect_code(0).checked_report()["exports"])[0].clone()
    };
    // Without its authority it is told nothing.
    let export = run(&[]);
    assert_eq!(count(&export["written"]), 0, "{export}");
    assert!(count(&export["lost"]) > 0, "{export}");
    assert!(collector.log().is_empty());
    let export = run(&["--ca=ca.pem"]);
    assert_eq!(count(&export["lost"]), 0, "{export}");
    let sent = collector.log();
    assert_eq!(sent.len() as u64, count(&export["written"]), "{export}");
    assert!(sent.iter().all(|it| it.path == "/v1/metrics"));
    let asked = tunnel.asked();
    assert!(
        asked.iter().all(|it| it == "collector.example.test:4318"),
        "{asked:?}"
    );
    assert!(front.seen().names.iter().all(|it| it == NAME));
}

/// The last request is the one that nothing makes up for.
#[test]
fn a_busy_collector_is_asked_again_at_the_end() {
    let busy = [("Retry-After", "1")];
    let turned_away: Mutex<Option<Instant>> = Mutex::default();
    let collector = FakeServer::start(move |_: &Request, connection: &mut Connection| {
        // Whoever waits as it was asked to is served.
        let before = turned_away.lock().expect("it").replace(Instant::now());
        match before.is_some_and(|it| it.elapsed() >= Duration::from_secs(1)) {
            true => {
                let body = r#"{"partialSuccess":{"errorMessage":"a unit is\u001b[1m odd"}}"#;
                connection.answer(200, &[("Content-Type", "application/json")], body)
            }
            false => connection.answer(503, &busy, "try later"),
        }
    });
    // It asks for more time than there is.
    let later = [("Retry-After", "60")];
    let tired = FakeServer::start(move |_: &Request, connection: &mut Connection| {
        connection.answer(429, &later, "")
    });
    let outs = [&collector, &tired].map(|it| format!("--out=otlp=http://{}", it.address()));
    let outs: Vec<&str> = outs.iter().map(String::as_str).collect();
    let server = demo(DemoOptions::default());
    let arguments = [&ECHO[..], &["--iterations=20"], &outs].concat();
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let report = finished.checked_report();
    let [taken, refused] = list(&report["exports"]) else {
        panic!("{report:#}")
    };
    assert_eq!(count(&taken["written"]), 1, "{taken}");
    assert_eq!(taken["last_remark"], "a unit is\\u{1b}[1m odd");
    let notices = list(&report["notices"]).iter();
    let mut remarks = notices.filter(|it| {
        let text = it.as_str().unwrap_or_default();
        text.contains("the collector says: a unit is")
    });
    assert!(remarks.next().is_some(), "{report:#}");
    assert_eq!(count(&refused["written"]), 0, "{refused}");
    assert_eq!(
        tired.log().len() as u64,
        count(&refused["lost"]),
        "{refused}"
    );
}

/// The run passes, and says what was not told and why.
#[test]
fn a_collector_that_is_gone_or_refuses_costs_points_alone() {
    let refusing = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.answer(503, &[], "too\u{1b}[1m busy")
    });
    // Not UTF-8, and of another encoding than it says.
    let garbled = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.write("HTTP/1.1 400 No\r\nContent-Type: text/plain; charset=utf-8\r\n");
        connection.write(b"Content-Length: 10\r\n\r\nd\xe9j\xe0 plein");
        Next::Close
    });
    let flooding = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.write("HTTP/1.1 507 Full\r\n\r\n");
        connection.flood_raw("no room ")
    });
    // Whether it took the points would stand in the rest.
    let endless = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.write("HTTP/1.1 200 OK\r\n\r\n");
        connection.flood_raw("{\"partialSuccess\":")
    });
    let cut = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}");
        Next::Close
    });
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = gone.local_addr().expect("an address");
    drop(gone);
    let server = demo(DemoOptions::default());
    let servers = [&refusing, &garbled, &flooding, &endless, &cut].map(FakeServer::address);
    let outs = servers.into_iter().chain([address]);
    let outs: Vec<String> = outs.map(|it| format!("--out=otlp=http://{it}")).collect();
    let outs: Vec<&str> = outs.iter().map(String::as_str).collect();
    let arguments = [&ECHO[..], &["--iterations=20"], &outs].concat();
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let report = finished.checked_report();
    let exports = list(&report["exports"]);
    let expected = [
        "answered 503: too\\u{1b}[1m busy",
        "answered 400: d\u{fffd}j\u{fffd} plein",
        "answered 507: no room no room",
        "answered 200, but its answer is longer than 64 KiB",
        "answered 200, but its answer broke off",
        "refused",
    ];
    for (export, why) in exports.iter().zip(expected) {
        assert!(count(&export["lost"]) > 0, "{export}");
        let said = export["last_error"].as_str().expect("a reason");
        assert!(said.contains(why), "{said}");
        let notices = list(&report["notices"]).iter();
        let is_told = |it: &&Value| it.as_str().is_some_and(|it| it.contains(said));
        assert!(notices.filter(is_told).count() == 1, "{report:#}");
    }
    assert_eq!(exports.len(), expected.len());
}

#[test]
fn a_line_shows_no_character_that_a_terminal_would_act_on() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let tool = "a\u{202e}b\u{9b}1m\u{7f}";
    let config = format!("[[scenario]]\ntype = \"tools/call\"\ntool = {tool:?}\n")
        .replace("\\u{202e}", "\\u202e")
        .replace("\\u{9b}", "\\u009b")
        .replace("\\u{7f}", "\\u007f");
    let arguments = [
        "--config=it.toml",
        "--no-preflight",
        "--iterations=5",
        "--out=ndjson=-",
    ];
    let finished = load_run(&server.url(), &arguments)
        .file("it.toml", &config)
        .run()
        .expect_code(0);
    let lines = &finished.stdout;
    assert!(
        !lines.contains(['\u{202e}', '\u{9b}', '\u{7f}']),
        "{lines:?}"
    );
    let mut lines = lines
        .lines()
        .map(|line| -> Value { serde_json::from_str(line).expect("JSON") });
    assert!(lines.any(|line| line["subject"] == tool));
}

#[test]
fn places_that_are_none_are_refused_before_any_load() {
    let server = FakeServer::start(|_: &Request, connection: &mut Connection| {
        connection.answer(500, &[], "")
    });
    let cases: [(&[&str], i32, &str); 16] = [
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
        (
            &["--config=data.toml", "--out=ndjson=rows.csv"],
            2,
            "would replace `rows.csv`",
        ),
        (
            &["--config=data.toml", "--markdown=./ca.pem"],
            2,
            "would replace `ca.pem`",
        ),
        (
            &["--args=@args.json", "--out=prometheus=args.json"],
            2,
            "would replace `args.json`",
        ),
        // A link is the place that it leads to, whether anything is there or not.
        (
            &["--report=real.json", "--out=prometheus=link.json"],
            2,
            "both write to `link.json`",
        ),
        (
            &["--config=it.toml", "--out=ndjson=twin.toml"],
            2,
            "would replace `it.toml`",
        ),
    ];
    let config = "[[scenario]]\ntype = \"tools/list\"\n";
    let with_data = "[settings]\nca = \"ca.pem\"\n[data.few]\nfile = \"rows.csv\"\n\
                     [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n\
                     arguments = { row = \"{{data.few.x}}\" }\n";
    for (flags, code, part) in cases {
        let program = load_run(&server.url(), &[&["--tool=work"], flags].concat())
            .file("it.toml", config)
            .file("data.toml", with_data)
            .file("rows.csv", "x\n1\n")
            .file("ca.pem", "")
            .file("args.json", "{}")
            .file(".pmcp/loadtest.toml", config);
        let in_dir = |name: &str| program.dir().join(name);
        std::os::unix::fs::symlink("real.json", in_dir("link.json")).expect("a link");
        std::fs::hard_link(in_dir("it.toml"), in_dir("twin.toml")).expect("a second name");
        let finished = program.run().expect_code(code);
        assert!(finished.stderr.contains(part), "{flags:?}: {finished}");
        assert!(!finished.stderr.contains("geheim"), "{finished}");
        for file in ["it.toml", ".pmcp/loadtest.toml"] {
            let path = finished.dir.path().join(file);
            assert_eq!(std::fs::read_to_string(path).expect("a config"), config);
        }
    }
    let headers = [
        ("geheim", "entry 1 of"),
        ("a=1,Host=geheim", "entry 2 of"),
        ("Content-Length=geheim", "frames the request"),
        ("transfer-encoding=geheim", "frames the request"),
        ("a=b%0d%0ageheim", "a line break"),
    ];
    for (written, part) in headers {
        let arguments = ["--tool=work", "--out=otlp=http://127.0.0.1:1"];
        let bare = load_run(&server.url(), &arguments);
        let bare = bare.env("OTEL_EXPORTER_OTLP_HEADERS", written).run();
        let bare = bare.expect_code(2);
        assert!(bare.stderr.contains(part), "{bare}");
        assert!(
            bare.stderr.contains("`OTEL_EXPORTER_OTLP_HEADERS`"),
            "{bare}"
        );
        assert!(!bare.stderr.contains("geheim"), "{bare}");
    }
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
        // A line end in a name is written as its escape, so that names stay apart.
        let tool = "tools/call a\"b\\c\\nd";
        let is_it = |sample: &Value| sample["labels"]["operation"] == tool;
        assert!(list(&read["samples"]).iter().any(is_it), "{read:#}");
    }
}
