//! Several kinds of users in one run: who does what, with which headers, against which
//! server; and two servers beside each other.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::demo::{demo_with_latency, quick_demo};
use crate::fake_server::FakeServer;
use crate::load_run::{LoadRun, check_report, count, list, load_run, number};
use crate::program::loadtest;

const FLOWS: &str = r#"
[[flow]]
name = "ask"
[[flow.step]]
type = "tools/call"
tool = "echo"
arguments = { text = "hello" }

[[flow]]
name = "look"
[[flow.step]]
type = "tools/list"
"#;

const AGENTS_AND_BROWSERS: &str = r#"
[[population]]
name = "agents"
share = 0.8
flows = ["ask"]
think = "10ms"
headers = { X-Kind = "agent" }

[[population]]
name = "browsers"
share = 0.2
flows = ["look"]
think = "10ms"
headers = { X-Kind = "browser {{vu}}", X-Team = "red" }

[headers]
X-Team = "blue"
"#;

fn config(populations: &str) -> String {
    format!("{populations}\n{FLOWS}")
}

fn population<'r>(report: &'r Value, name: &str) -> &'r Value {
    let found = list(&report["populations"])
        .iter()
        .find(|it| it["name"] == name);
    found.unwrap_or_else(|| panic!("no population {name}: {}", report["populations"]))
}

/// Each user does the flows of its population, and says what its population says.
#[test]
fn each_population_has_its_flows_and_headers() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let arguments = [
        "--config=a.toml",
        "--vus=10",
        "--iterations=200",
        "--no-preflight",
        "--assert=population:agents tool:echo errors=0",
    ];
    let finished = load_run(&server.url(), &arguments)
        .file("a.toml", &config(AGENTS_AND_BROWSERS))
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    let selector = json!({"kind": "tool", "name": "echo", "population": "agents"});
    assert_eq!(report["thresholds"][0]["selector"], selector);
    let mut kinds: BTreeMap<(String, String), u64> = BTreeMap::new();
    for method in ["tools/call", "tools/list"] {
        for request in server.log_of(method) {
            // Who looks for the server beforehand has no session of the load.
            let header = |name| request.header(name).unwrap_or_default().to_string();
            let kind = header("x-kind");
            let team = if kind == "agent" { "blue" } else { "red" };
            assert_eq!(header("x-team"), team, "{kind}");
            *kinds.entry((method.to_string(), kind)).or_default() += 1;
        }
    }
    let calls = |name| count(&population(&report, name)["figures"]["ok"]);
    let sent = |method: &str| {
        let of = kinds.iter().filter(|((known, _), _)| known == method);
        of.map(|(_, n)| n).sum::<u64>()
    };
    assert_eq!(calls("agents"), sent("tools/call"), "{kinds:?}");
    // The list is read once before the load, for whom calls a tool.
    assert_eq!(calls("browsers") + 1, sent("tools/list"), "{kinds:?}");
    let of_agents = kinds.keys().filter(|(method, _)| method == "tools/call");
    assert!(
        of_agents.clone().all(|(_, kind)| kind == "agent"),
        "{kinds:?}"
    );
    // Two of ten users are browsers, each with its number.
    let browsers = kinds.keys().filter(|(_, kind)| kind.starts_with("browser"));
    assert_eq!(browsers.count(), 2, "{kinds:?}");
    for (name, row) in [("agents", "ask"), ("browsers", "look")] {
        let mut flows = list(&report["flows"]).iter();
        let flow = flows.find(|it| it["population"] == name);
        assert_eq!(flow.expect(name)["name"], row);
        let sessions = &population(&report, name)["handshake"]["ok"];
        assert_eq!(count(sessions), if name == "agents" { 8 } else { 2 });
        let its = population(&report, name);
        for key in ["started", "ok", "failed"] {
            let seconds = list(&its["seconds"]).iter();
            let sum: u64 = seconds.map(|second| count(&second[key])).sum();
            assert_eq!(sum, count(&its["figures"][key]), "{name}: {key}: {its:#}");
        }
    }
    for text in ["agents: 80%", "browsers: 20%"] {
        assert!(finished.stdout.contains(text), "{finished}");
    }
}

/// Arrivals are dealt like users, whatever number of workers there is.
#[test]
fn arrivals_keep_the_mix() {
    let server = quick_demo();
    for workers in ["--workers=1", "--workers=2"] {
        let arguments = [
            "--config=a.toml",
            "--rate=500/s",
            "--duration=1s",
            "--max-vus=10",
            workers,
        ];
        let populations = AGENTS_AND_BROWSERS.replace("think = \"10ms\"\n", "");
        let finished = load_run(&server.url(), &arguments)
            .file("a.toml", &config(&populations))
            .run()
            .expect_code(0);
        let report = finished.checked_report();
        // Those that came last may be any.
        let agents = count(&population(&report, "agents")["figures"]["ok"]);
        let all = count(&report["totals"]["ok"]);
        let expected = all * 4 / 5;
        assert!(all > 100, "{finished}");
        assert!(
            agents.abs_diff(expected) <= 10,
            "{agents} of {all}: {finished}"
        );
    }
}

/// Bursts have an end, whoever serves them.
#[test]
fn bursts_are_dealt_too() {
    let server = quick_demo();
    let populations = AGENTS_AND_BROWSERS.replace("think = \"10ms\"\n", "");
    let bursts = "[settings]\nduration = \"700ms\"\n[arrivals]\nburst = 10\nevery = \"300ms\"\n\
                  max_vus = 20\n";
    let finished = load_run(&server.url(), &["--config=a.toml", "--workers=2"])
        .file("a.toml", &format!("{bursts}{}", config(&populations)))
        .time_limit(Duration::from_secs(30))
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["counters"]["arrivals"], 30, "{finished}");
    assert_eq!(report["totals"]["ok"], 30, "{finished}");
    for (name, n_ok) in [("agents", 24), ("browsers", 6)] {
        assert_eq!(population(&report, name)["figures"]["ok"], n_ok, "{name}");
    }
}

/// Who is too few for the arrivals of its kind drops them, and the others do not.
#[test]
fn dropped_arrivals_are_of_a_population() {
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let populations = AGENTS_AND_BROWSERS.replace("think = \"10ms\"\n", "");
    let arguments = [
        "--config=a.toml",
        "--rate=100/s",
        "--duration=1s",
        "--max-vus=10",
        "--graceful-stop=100ms",
        "--no-preflight",
    ];
    let finished = load_run(&server.url(), &arguments)
        .file("a.toml", &config(&populations))
        .run()
        .expect_made();
    let report = finished.checked_report();
    let all = |key: &str| {
        let each = ["agents", "browsers"].map(|name| count(&population(&report, name)[key]));
        assert_eq!(
            each[0] + each[1],
            count(&report["counters"][key]),
            "{finished}"
        );
        each
    };
    let (arrivals, dropped) = (all("arrivals"), all("arrivals_dropped"));
    // Each of eight users hangs with its first.
    assert_eq!(arrivals[0], dropped[0] + 8, "{finished}");
    assert!(dropped[1] < arrivals[1], "{finished}");
    let told = format!("{} of {} arrivals dropped", dropped[0], arrivals[0]);
    assert!(finished.stdout.contains(&told), "{finished}");
}

#[test]
fn thresholds_are_of_a_population() {
    let server = demo_with_latency(Duration::from_millis(20));
    let asserts = [
        "--assert=population:agents p50<1ms",
        "--assert=population:browsers errors<50%",
    ];
    let arguments = ["--config=a.toml", "--vus=5", "--iterations=20"];
    let finished = load_run(&server.url(), &[&arguments[..], &asserts].concat())
        .file("a.toml", &config(AGENTS_AND_BROWSERS))
        .run()
        .expect_code(3);
    let report = finished.checked_report();
    let grades = list(&report["thresholds"])
        .iter()
        .map(|it| it["grade"].clone());
    assert_eq!(
        grades.collect::<Vec<_>>(),
        ["failed", "passed"],
        "{finished}"
    );
}

/// Eight of ten users, with what they have in the whole.
#[test]
fn one_population_runs_alone_with_its_part() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let arguments = [
        "--config=a.toml",
        "--iterations=40",
        "--population=agents",
        "--no-preflight",
    ];
    let populations = format!("{AGENTS_AND_BROWSERS}\n[settings]\nvirtual_users = 10");
    let finished = load_run(&server.url(), &arguments)
        .file("a.toml", &config(&populations))
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["run"]["vus_max"], 8, "{finished}");
    assert_eq!(report["totals"]["ok"], 40, "a flag's load is all its own");
    assert_eq!(report["operations"][0]["population"], "agents");
    let kinds = server.log_of("tools/call").into_iter();
    let kinds = kinds.map(|call| call.header("x-kind").map(str::to_string));
    assert!(
        kinds.clone().count() == 40 && kinds.into_iter().all(|it| it.as_deref() == Some("agent"))
    );
    let unknown = loadtest(&[
        "run",
        &server.url(),
        "--config=a.toml",
        "--population=agent",
    ])
    .file("a.toml", &config(&populations))
    .run()
    .expect_code(2);
    assert!(
        unknown.stderr.contains("did you mean `agents`"),
        "{unknown}"
    );
}

#[test]
fn a_trial_is_of_one_population() {
    let server = quick_demo();
    let tried = |arguments: &[&str]| {
        let words = ["try", "a.toml", "--url", &server.url()];
        let program = loadtest(&[&words, arguments].concat());
        program
            .file("a.toml", &config(AGENTS_AND_BROWSERS))
            .run()
            .expect_code(0)
    };
    let first = tried(&[]);
    assert!(first.stdout.contains("tools/call echo"), "{first}");
    assert!(!first.stdout.contains("tools/list"), "{first}");
    assert!(first.stderr.contains("--population NAME"), "{first}");
    let other = tried(&["--population", "browsers"]);
    assert!(other.stdout.contains("tools/list"), "{other}");
}

/// Only its own headers go to a population's server, and no token of the settings'.
#[test]
fn another_server_gets_its_own_headers_only() {
    let [one, other] =
        [(), ()].map(|()| FakeServer::on_call(|request, connection| connection.done(request)));
    let populations = format!(
        r#"
[settings]
url = "{}"
token_command = "echo token-of-the-settings"

[headers]
X-Team = "blue"

[[population]]
name = "here"
share = 0.5

[[population]]
name = "there"
share = 0.5
url = "{}"
headers = {{ X-Own = "red" }}
"#,
        one.url(),
        other.url()
    );
    let words = [
        "run",
        "--no-pin",
        "--config=a.toml",
        "--vus=4",
        "--iterations=40",
        "--no-preflight",
    ];
    let finished = loadtest(&words)
        .file("a.toml", &config(&populations))
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    for (server, team, own, token) in [
        (
            &one,
            Some("blue"),
            None,
            Some("Bearer token-of-the-settings"),
        ),
        (&other, None, Some("red"), None),
    ] {
        assert!(server.count("tools/call") > 0, "{finished}");
        for request in server.log() {
            assert_eq!(request.header("x-team"), team, "{finished}");
            assert_eq!(request.header("x-own"), own, "{finished}");
            assert_eq!(request.header("authorization"), token, "{finished}");
        }
    }
    let there = population(&report, "there");
    assert_eq!(there["server"]["url"], other.url());
    let calls = other.count("tools/call") as u64;
    let operations = list(&report["operations"]).iter();
    let of_there =
        operations.filter(|it| it["population"] == "there" && it["method"] == "tools/call");
    let told: u64 = of_there.map(|it| count(&it["figures"]["ok"])).sum();
    assert_eq!(told, calls, "{finished}");
}

fn two_servers(base: &str, new: &str) -> String {
    format!(
        r#"
[[population]]
name = "base"
share = 0.5
url = "{base}"

[[population]]
name = "new"
share = 0.5
url = "{new}"

[[scenario]]
type = "tools/call"
tool = "echo"
arguments = {{ text = "hi" }}
"#
    )
}

/// Too short for a verdict, for which `decide/compare/proof.rs` has simulated runs: the
/// figures are there, far apart, so that a busy machine does not matter.
#[test]
fn two_servers_stand_beside_each_other() {
    let slow = demo_with_latency(Duration::from_millis(20));
    let slower = demo_with_latency(Duration::from_millis(60));
    let words = [
        "run",
        "--no-pin",
        "--quiet",
        "--config=a.toml",
        "--vus=4",
        "--duration=3s",
    ];
    let finished = loadtest(&words)
        .file("a.toml", &two_servers(&slow.url(), &slower.url()))
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    let ab = &report["ab"];
    assert_eq!(ab["method"], "pairs", "{ab:#}");
    let rows = list(&ab["rows"]);
    assert_eq!(rows.len(), 2, "all calls, and the one operation: {ab:#}");
    let p50 = &rows[0]["figures"][0];
    assert_eq!(p50["metric"], "p50", "{ab:#}");
    assert!(number(&p50["new"]) > 1.5 * number(&p50["base"]), "{p50:#}");
    assert!(finished.stdout.contains("new beside base"), "{finished}");
    assert!(report["breaking_point"]["detected"] == false);
    let refused = loadtest(&["find", "--config=a.toml", "--max-p95=1s"])
        .file("a.toml", &two_servers(&slow.url(), &slower.url()))
        .run()
        .expect_code(2);
    assert!(
        refused.stderr.contains("the populations have several"),
        "{refused}"
    );
}

/// The halves of a load have the populations of the whole.
#[test]
fn halves_are_merged_by_population() {
    let server = quick_demo();
    let half = |segment: &str, report: &str| {
        let arguments = [
            "--config=a.toml",
            "--vus=10",
            "--iterations=100",
            "--segment",
            segment,
            "--report",
            report,
        ];
        load_run(&server.url(), &arguments).file("a.toml", &config(AGENTS_AND_BROWSERS))
    };
    let (one, two) = (half("1/2", "1.json").spawn(), half("2/2", "2.json").spawn());
    let (one, two) = (one.wait().expect_code(0), two.wait().expect_code(0));
    let read = |path: &std::path::Path| std::fs::read_to_string(path).expect("a report");
    let texts = [
        read(&one.dir.path().join("1.json")),
        read(&two.dir.path().join("2.json")),
    ];
    let merged = loadtest(&["report", "1.json", "2.json", "--force", "--format=json"])
        .file("1.json", &texts[0])
        .file("2.json", &texts[1])
        .run()
        .expect_code(0);
    let merged: Value = serde_json::from_str(&merged.stdout).expect("JSON");
    check_report(&merged);
    let [a, b] = texts.map(|text| serde_json::from_str::<Value>(&text).expect("JSON"));
    for name in ["agents", "browsers"] {
        let ok = |report: &Value| count(&population(report, name)["figures"]["ok"]);
        assert_eq!(ok(&merged), ok(&a) + ok(&b), "{name}");
        assert!(
            !population(&merged, name)["figures"]["latency"]["p50_ms"].is_null(),
            "{name}"
        );
    }
}
