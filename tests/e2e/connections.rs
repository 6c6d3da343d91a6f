//! How long connections are used, and which of several servers the calls went to.

use std::collections::BTreeMap;

use pmcp_loadtest::demo::{DemoLatency, DemoOptions};
use serde_json::Value;

use crate::demo::{ECHO, MS, demo, run_echo};
use crate::fake_server::{FakeServer, legacy};
use crate::load_run::{LoadRun, advice, check_report, count, list, load_run, number};
use crate::program::{Program, loadtest};

/// Requests by connection, of one user with a session for every two of its six calls.
fn requests_of(connection: &str) -> Vec<u32> {
    let server = FakeServer::start(legacy);
    let config = format!(
        "[settings]\nurl = \"{}\"\nvirtual_users = 1\niterations = 6\n\
         session = {{ iterations = 2 }}\n{connection}\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n",
        server.url()
    );
    let words = ["run", "--config", "a.toml", "--no-pin", "--quiet"];
    let finished = loadtest(&words).file("a.toml", &config).run();
    let report = finished.expect_code(0).checked_report();
    assert_eq!(report["counters"]["sessions_opened"], 3);
    assert_eq!(report["counters"]["reconnects_server_closed"], 0);
    let mut by_connection = BTreeMap::new();
    for request in server.log() {
        assert_eq!(request.header("connection"), None, "{connection}");
        *by_connection.entry(request.connection).or_insert(0) += 1;
    }
    by_connection.into_values().collect()
}

#[test]
fn a_connection_lasts_as_long_as_it_is_said_to() {
    // Whoever looks for the server has one of its own. A session is a handshake of two
    // requests, two calls, and its end where the server gave it an id.
    let per_session = requests_of("");
    assert_eq!(per_session.len(), 1 + 3, "{per_session:?}");
    assert_eq!(requests_of("connection = \"per-session\""), per_session);
    let kept = requests_of("connection = \"keep\"");
    assert_eq!(kept.len(), 1 + 1, "{kept:?}");
    let of_users: u32 = per_session[1..].iter().sum();
    assert_eq!(kept[1], of_users);
    let per_call = requests_of("connection = \"per-call\"");
    assert!(per_call.iter().all(|n| *n == 1), "{per_call:?}");
    assert_eq!(per_call.len() as u32, per_session.iter().sum::<u32>());
}

#[test]
fn what_contradicts_itself_is_refused() {
    let run = |words: &[&str]| loadtest(&[&["run", "http://127.0.0.1:9/mcp"], words].concat());
    let told = run(&["--connection", "per-call", "--no-keepalive"])
        .run()
        .expect_code(2);
    assert!(
        told.stderr.contains("`--no-keepalive`") && told.stderr.contains("for each call"),
        "{told}"
    );
    let told = run(&["--connection", "per-user"]).run().expect_code(2);
    assert!(told.stderr.contains("`keep`, `per-call`"), "{told}");
    for header in ["set-cookie", "x served by", ""] {
        let told = run(&["--backend-header", header]).run().expect_code(2);
        assert!(told.stderr.contains("such as `x-served-by`"), "{told}");
    }
}

/// Calls that each server ended, by its name, of a run against two behind a balancer.
fn backends_of(report: &Value) -> BTreeMap<&str, &Value> {
    let all = list(&report["backends"]).iter();
    let named = all.map(|it| (it["name"].as_str().expect("a name"), &it["calls"]));
    named.collect()
}

fn two_backends() -> DemoOptions {
    DemoOptions {
        latency: DemoLatency::Fixed(MS),
        backends: 2,
        ..DemoOptions::default()
    }
}

#[test]
fn calls_are_counted_by_the_server_that_names_itself() {
    let server = demo(two_backends());
    let words = [
        "--protocol",
        "legacy",
        "--vus",
        "3",
        "--iterations",
        "40",
        "--backend-header",
        "X-Served-By",
    ];
    let finished = run_echo(&server.url(), &words).expect_code(0);
    let report = finished.checked_report();
    let backends = backends_of(&report);
    assert_eq!(backends.len(), 2, "{report:#}");
    let ended = |name| count(&backends[name]["ended"]);
    assert_eq!(ended("backend-1") + ended("backend-2"), 40);
    for calls in backends.values() {
        assert_eq!(
            (&calls["failed"], &calls["sessions_expired"]),
            (&0.into(), &0.into())
        );
        assert!(number(&calls["latency"]["p95_ms"]) >= 1.0, "{calls:#}");
    }
}

/// A connection that is opened anew leads to the other server, which knows no session of the
/// first.
#[test]
fn sessions_that_a_server_does_not_know_are_counted_for_it() {
    let server = demo(two_backends());
    let config = format!(
        "[settings]\nurl = \"{}\"\nprotocol = \"legacy\"\nvirtual_users = 1\n\
         iterations = 50\ncalls_per_connection = 12\nbackend_header = \"x-served-by\"\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = {{ text = \"hi\" }}\n",
        server.url()
    );
    let words = ["run", "--config", "a.toml", "--no-pin", "--quiet"];
    let finished = loadtest(&words).file("a.toml", &config).run().expect_made();
    let report = finished.checked_report();
    let expired = |calls: &&Value| count(&calls["sessions_expired"]);
    let n_expired: u64 = backends_of(&report).values().map(expired).sum();
    assert!(n_expired > 0, "{finished}");
    assert_eq!(n_expired, count(&report["counters"]["sessions_expired"]));
    assert!(n_expired <= server.stats().sessions_elsewhere);
    assert!(
        advice(&report, "session_per_backend").is_some(),
        "{finished}"
    );
    // Who has a connection for each call cannot even open a session there.
    let words = ["--protocol", "legacy", "--connection", "per-call"];
    let told = load_run(&server.url(), &[&ECHO, &words[..]].concat());
    let told = told.run().expect_code(1);
    assert!(told.stderr.contains("behind a balancer"), "{told}");
}

#[test]
fn without_a_name_calls_are_counted_apart() {
    let server = demo(DemoOptions {
        backends: 0,
        ..two_backends()
    });
    let words = ["--iterations", "20", "--backend-header", "x-served-by"];
    let finished = run_echo(&server.url(), &words).expect_code(0);
    let report = finished.checked_report();
    let backends = list(&report["backends"]);
    assert_eq!(backends.len(), 1, "{report:#}");
    assert_eq!(backends[0]["name"], Value::Null);
    assert_eq!(backends[0]["calls"]["ended"], 20);
    let plain = run_echo(&server.url(), &words[..2]).checked_report();
    assert!(list(&plain["backends"]).is_empty());
}

#[test]
fn what_hosts_counted_by_server_is_added() {
    let server = demo(two_backends());
    let words = [
        "--vus",
        "4",
        "--iterations",
        "200",
        "--backend-header",
        "x-served-by",
    ];
    let run = |segment: &str| {
        let words = [&ECHO, &words[..], &["--segment", segment]].concat();
        let finished = load_run(&server.url(), &words).run().expect_code(0);
        finished.checked_report().to_string()
    };
    let merged = Program::new(&[
        "loadtest", "report", "--force", "--format", "json", "1.json", "2.json",
    ])
    .file("1.json", &run("1/2"))
    .file("2.json", &run("2/2"))
    .run()
    .expect_code(0);
    let merged: Value = serde_json::from_str(&merged.stdout).expect("JSON");
    check_report(&merged);
    let backends = backends_of(&merged);
    let ended: u64 = backends.values().map(|it| count(&it["ended"])).sum();
    assert_eq!(ended, 200);
    for calls in backends.values() {
        assert_eq!(calls["latency"]["count"], calls["ended"]);
        assert!(number(&calls["latency"]["p95_ms"]) >= 1.0, "{calls:#}");
    }
    let shares: f64 = backends.values().map(|it| number(&it["share"])).sum();
    assert!((0.99..1.01).contains(&shares), "{shares}");
}
