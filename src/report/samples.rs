//! Plans and outcomes made by hand, for the tests of this module.

use std::time::Duration;

use serde_json::json;

use super::envelope::BuildInfo;
use super::make::build;
use super::model::Report;
use crate::clock::Utc;
use crate::metrics::{Failure, Outcome, Recorder, Sample, Violation};
use crate::outcome::{
    Ended, GateOutcome, GeneratorFacts, ProbeOutcome, Row, RowKind, RunOutcome, RunStart,
    SelfCheck, ServerFacts,
};
use crate::protocol::{Era, Operation, Revision};
use crate::scenario::{Action, Flow, Load, Plan, Target};
use crate::validity::Verdict;

/// Fifty users for thirty seconds.
pub(super) fn plan() -> Plan {
    let target = Target::new("http://127.0.0.1:8080/mcp").expect("an address");
    let flow = Flow::from(Action::Call(Operation::ListTools));
    let mut plan = Plan::new(target, vec![flow]);
    plan.load = Load::Closed {
        vus: 50,
        ramp_up: Duration::ZERO,
        pacing: None,
    };
    plan.breaking.error_share_max = 0.1;
    plan.seed = 42;
    plan
}

/// A run of thirty seconds in which nothing happened yet. The handshake is the
/// last row.
pub(super) fn outcome(calls: &[(&str, Option<&str>)]) -> RunOutcome {
    let row = |kind, method: &str, subject: Option<&str>| Row {
        subject: subject.map(str::to_string),
        ..Row::new(kind, method)
    };
    let mut rows: Vec<Row> = calls
        .iter()
        .map(|(method, subject)| row(RowKind::Call, method, *subject))
        .collect();
    rows.push(row(RowKind::Handshake, "initialize", None));
    RunOutcome {
        tokens: None,
        totals: Recorder::new(rows.len()),
        start: start(rows),
        ended: Ended::Duration,
        elapsed: Duration::from_secs(30),
        warm_up: None,
        stages: Vec::new(),
        seconds: Vec::new(),
        intervals: None,
        vus_max: 50,
        listening_max: 0,
        breaking_point: None,
        probe: None,
        notices: Vec::new(),
        self_check: SelfCheck::default(),
        verdict: Verdict::of(Vec::new()),
        thresholds: Vec::new(),
        gate: GateOutcome::default(),
    }
}

/// What a run of thirty seconds begins with.
pub(crate) fn start(rows: Vec<Row>) -> RunStart {
    RunStart {
        at: Utc::from_unix_ms(1_795_437_667_250),
        servers: vec![ServerFacts {
            url: "http://127.0.0.1:8080/mcp".to_string(),
            era: Era::Legacy,
            revision: Revision::V2025_11_25,
            name: Some("demo".to_string()),
            version: Some("0.1.0".to_string()),
            has_sessions: true,
            proxy: None,
            addresses: 1,
            stream: None,
        }],
        rows,
        generator: GeneratorFacts {
            worker_cpus: vec![Some(1)],
            machine_cpus: 2,
            usable_cpus: 2,
            quota_millicpus: None,
            kernel: Some("Linux 6.1".to_string()),
            cpu_model: Some("Fast CPU".to_string()),
            governor: Some("performance".to_string()),
            is_virtual: Some(false),
            kernel_timestamps: true,
            busy_poll: false,
        },
        duration: Some(Duration::from_secs(30)),
        iterations: None,
    }
}

/// A probe at 10/s for thirty seconds: `n_ok` answers, all within this time, one
/// failure, and one call that was cut off.
pub(super) fn probe_outcome(n_ok: u64, service_ns: u64) -> ProbeOutcome {
    let mut totals = Recorder::new(2);
    for i in 0..n_ok {
        ok_intended(&mut totals, 0, service_ns - i, service_ns);
    }
    let broken = Outcome::Failed(Failure::Tool, "no more room");
    totals.start(0);
    let sample = Sample {
        response_ns: Some(1_000_000),
        ..Sample::of(1_000_000, broken)
    };
    totals.end(0, &sample);
    cancelled(&mut totals, 0, 9_000_000);
    ok(&mut totals, 1, 2_000_000);
    totals.lateness.record(60_000);
    totals.counters.sessions_opened = 1;
    totals.counters.arrivals = n_ok + 2;
    ProbeOutcome {
        rate: 10.0,
        cpu: Some(0),
        rows: vec![
            Row::new(RowKind::Call, "tools/list"),
            Row::new(RowKind::Handshake, "initialize"),
        ],
        elapsed: Duration::from_secs(30),
        totals,
        warm_up: None,
    }
}

/// Two tools, a resource and a list, with failures of three kinds, a hung
/// call, and handshakes of which one failed.
pub(super) fn busy_outcome() -> RunOutcome {
    let mut outcome = outcome(&[
        ("tools/call", Some("echo")),
        ("tools/call", Some("search_the_archive_of_everything_ever")),
        ("resources/read", Some("file:///daten/übersicht.txt")),
        ("tools/list", None),
    ]);
    let totals = &mut outcome.totals;
    for i in 0..6_000 {
        ok(totals, 0, 1_000_000 + i * 1_000);
    }
    for i in 0..900 {
        ok(totals, 1, 20_000_000 + i * 100_000);
    }
    for i in 0..60 {
        ok(totals, 2, 3_000_000 + i * 10_000);
    }
    ok(totals, 3, 812_000);
    for i in 0..15 {
        let http = Failure::Http {
            status: 503,
            rpc_code: None,
        };
        failed(
            totals,
            0,
            2_000_000 + i,
            http,
            "Service Unavailable: overloaded",
        );
    }
    for _ in 0..5 {
        failed(
            totals,
            1,
            9_000_000,
            Failure::Rpc(-32602),
            "unknown argument",
        );
    }
    failed(totals, 1, 9_000_000, Failure::Tool, "");
    cancelled(totals, 1, 4_200_000_000);
    let handshake = totals.rows.len() - 1;
    for i in 0..50 {
        ok(totals, handshake, 4_000_000 + i * 20_000);
    }
    let refused = Failure::Connect(crate::metrics::ConnectFailure::Refused);
    not_opened(totals, handshake, 100_000, refused, "connection refused");
    totals.counters.sessions_opened = 50;
    totals.counters.connections = 53;
    totals.counters.reconnects = 3;
    totals.counters.bytes_sent = 1_500_000;
    totals.counters.bytes_received = 3_000_000;
    outcome
}

/// A success.
pub(super) fn ok(recorder: &mut Recorder, row: usize, service_ns: u64) {
    recorder.record(row, service_ns, Outcome::Ok);
}

/// A success with an intended start.
pub(super) fn ok_intended(recorder: &mut Recorder, row: usize, service_ns: u64, response_ns: u64) {
    recorder.start(row);
    let sample = Sample {
        response_ns: Some(response_ns),
        ..Sample::of(service_ns, Outcome::Ok)
    };
    recorder.end(row, &sample);
}

/// A failure.
pub(super) fn failed(
    recorder: &mut Recorder,
    row: usize,
    service_ns: u64,
    failure: Failure,
    message: &str,
) {
    recorder.record(row, service_ns, Outcome::Failed(failure, message));
}

/// A session that could not be opened.
pub(super) fn not_opened(
    recorder: &mut Recorder,
    row: usize,
    service_ns: u64,
    failure: Failure,
    message: &str,
) {
    recorder.start(row);
    let outcome = Outcome::Failed(failure, message);
    recorder.end_of_session(row, &Sample::of(service_ns, outcome));
}

/// A call that the end cut off.
pub(super) fn cancelled(recorder: &mut Recorder, row: usize, age_ns: u64) {
    recorder.record(row, age_ns, Outcome::Cancelled);
}

/// The report of a plan and its outcome.
pub(super) fn report(plan: &Plan, outcome: &RunOutcome) -> Report {
    let info = BuildInfo {
        version: "0.1.0".to_string(),
        command_line: vec!["cargo-pmcp".to_string(), "loadtest".to_string()],
        finished_at: Utc::from_unix_ms(1_795_437_697_250),
    };
    let plan_json = json!({"scenario": [{"type": "tools/list", "weight": 1}]});
    build(plan, plan_json, outcome, &info)
}

/// A minute of a flow of two steps, the first of which has a name, beside a step with
/// a name of its own; answers that are not as expected, and some that nobody checked.
pub(super) fn flow_outcome() -> RunOutcome {
    let mut outcome = outcome(&[
        ("tools/call", Some("login")),
        ("tools/call", Some("whoami")),
        ("tools/call", Some("echo")),
    ]);
    let rows = &mut outcome.start.rows;
    for row in &mut rows[..2] {
        row.flow = Some("checkout".to_string());
    }
    rows[0].name = Some("sign in".to_string());
    rows[2].name = Some("look around".to_string());
    rows.push(Row::of_flow(RowKind::Flow, "checkout"));
    rows.push(Row::of_flow(RowKind::FlowBusy, "checkout"));
    outcome.totals = Recorder::new(rows.len());
    let totals = &mut outcome.totals;
    for i in 0..200 {
        ok(totals, 0, 20_000_000 + i * 10_000);
        totals.transferred(0, 400, 300 + i);
        ok(totals, 2, 2_000_000 + i * 1_000);
        totals.transferred(2, 350, 40_000);
        if i % 10 == 0 {
            failed(
                totals,
                1,
                4_000_000,
                Failure::Tool,
                "`contains` is not kept",
            );
            failed(totals, 4, 1_024_000_000, Failure::Tool, "");
            failed(totals, 5, 24_000_000, Failure::Tool, "");
            totals.violations.keep(Violation {
                row: 1,
                failure: Failure::Tool,
                message: "`contains` is not kept".to_string(),
                request: r#"{"name":"whoami","arguments":{"token":"***"}}"#.to_string(),
                answer: format!(r#"{{"content":[],"number":{i}}}"#),
                trace: None,
            });
            continue;
        }
        ok(totals, 1, 4_000_000 + i * 1_000);
        totals.transferred(1, 500, 200);
        totals.unchecked(1, ["unknown_dialect", "large_result"][i as usize % 2]);
        ok(totals, 4, 1_024_000_000 + i * 11_000);
        ok(totals, 5, 24_000_000 + i * 11_000);
    }
    outcome
}
