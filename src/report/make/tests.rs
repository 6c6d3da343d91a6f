//! What the report promises: figures that add up, nothing where nothing was
//! measured, and everything that a reader of schema 1.1 looks for.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::load::Distribution as Spread;
use crate::metrics::{ConnectFailure, Failure, Recorder, RowStats, SessionFailure, TimeoutPhase};
use crate::outcome::{
    BreakKind, BreakingPoint, Row, RowKind, Rows, RunOutcome, Second, SecondLatency, StageOutcome,
};
use crate::report::model::{Figures, LatencyFigures, LatencyFrom, Report, StoredKind, StoredRow};
use crate::report::samples::{
    busy_outcome, cancelled, failed, flow_outcome, ok, ok_intended, outcome, plan, probe_outcome,
    report,
};
use crate::report::{SummaryOptions, summary};
use crate::scenario::{Arrivals, Load};
use crate::validity::SecondSignals;

/// The report as JSON and back, with every field known.
fn json_of(report: &Report) -> Value {
    let text = serde_json::to_string(report).expect("a report is JSON");
    let back: Report = serde_json::from_str(&text).expect("a report reads back");
    assert!(&back == report, "another report was read back");
    serde_json::from_str(&text).expect("the same text")
}

/// Whatever the report claims of itself.
fn assert_consistent(report: &Report) {
    let blocks = [
        Some(&report.totals),
        report.handshake.as_ref(),
        report.close.as_ref(),
    ];
    let operations = report
        .operations
        .iter()
        .chain(&report.turns)
        .chain(&report.task_steps)
        .map(|op| &op.figures);
    for figures in blocks.into_iter().flatten().chain(operations) {
        assert_eq!(
            figures.started,
            figures.ok + figures.failed + figures.cancelled
        );
        assert_eq!(figures.latency.count, figures.ok);
        let n_failures: u64 = figures.failures.iter().map(|cause| cause.count).sum();
        assert_eq!(n_failures, figures.failed);
        let ended = (figures.ok + figures.failed) as f64;
        assert_eq!(figures.error_rate.is_some(), ended > 0.0);
        let failed = figures.failed as f64;
        let error_rate = figures.error_rate.unwrap_or(0.0);
        assert!((error_rate * ended - failed).abs() <= 1e-9 * ended);
        // A rate has six decimals.
        let per_run = figures.rate_per_sec.unwrap_or(0.0) * report.duration_secs;
        let has_rate = ended > 0.0 && report.duration_secs > 0.0;
        assert_eq!(figures.rate_per_sec.is_some(), has_rate);
        let slack = 1e-6 * (report.duration_secs + ended);
        assert!(!has_rate || (per_run - ended).abs() <= slack, "{figures:?}");
        assert_in_order(&figures.latency);
    }
    let sum = |field: fn(&Figures) -> u64| -> u64 {
        report
            .operations
            .iter()
            .map(|operation| field(&operation.figures))
            .sum()
    };
    let totals = &report.totals;
    assert_eq!(sum(|figures| figures.started), totals.started);
    assert_eq!(sum(|figures| figures.ok), totals.ok);
    assert_eq!(sum(|figures| figures.cancelled), totals.cancelled);
    assert_eq!(report.errors.values().sum::<u64>(), totals.failed);
    assert_eq!(report.metrics.error_count, totals.failed);
    assert_eq!(report.metrics.total_requests, totals.ok + totals.failed);
    assert_eq!(sum(|figures| figures.failed), totals.failed);
    assert_eq!(report.duration_secs, report.run.elapsed_secs);
    assert_eq!(
        report.metrics.throughput_rps,
        totals.rate_per_sec.unwrap_or(0.0)
    );
    assert_eq!(report.metrics.error_rate, totals.error_rate.unwrap_or(0.0));
    let n_classed: u64 = report.distribution.iter().map(|class| class.count).sum();
    assert_eq!(n_classed, totals.ok);
}

fn assert_in_order(latency: &LatencyFigures) {
    let ascending = [
        latency.min_ms,
        latency.p50_ms,
        latency.p90_ms,
        latency.p95_ms,
        latency.p99_ms,
        latency.p99_9_ms,
        latency.max_ms,
    ];
    assert!(ascending.is_sorted(), "{latency:?}");
    let has_data = latency.count > 0;
    let values = ascending.iter().chain([&latency.mean_ms]);
    assert!(
        values.clone().all(|value| value.is_some() == has_data),
        "{latency:?}"
    );
    // Far above a millisecond's bits, the mean may round past the maximum.
    let slack = latency.max_ms.unwrap_or(0.0) * 1e-9 + 1e-6;
    if let (Some(min), Some(mean), Some(max)) = (latency.min_ms, latency.mean_ms, latency.max_ms) {
        assert!(min - slack <= mean && mean <= max + slack, "{latency:?}");
    }
}

#[test]
fn nothing_measured_is_null_and_never_zero() {
    let report = report(&plan(), &outcome(&[("tools/call", Some("echo"))]));
    assert_consistent(&report);
    let json = json_of(&report);
    for pointer in [
        "/metrics/latency/p99_ms",
        "/metrics/latency/error_p50_ms",
        "/totals/latency/min_ms",
        "/per_tool/echo/latency/mean_ms",
        "/totals/failed_latency",
        "/lateness",
        "/generator_delay",
        "/warm_up",
        "/close",
    ] {
        assert_eq!(json.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
    for pointer in ["/totals/rate_per_sec", "/totals/error_rate"] {
        assert_eq!(json.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
    // Its readers know no `null` there.
    assert_eq!(json.pointer("/metrics/error_rate"), Some(&json!(0.0)));
    assert_eq!(json.pointer("/metrics/throughput_rps"), Some(&json!(0.0)));
    assert_eq!(json.pointer("/distribution"), Some(&json!([])));
    assert_eq!(
        json.pointer("/breaking_point"),
        Some(&json!({"detected": false}))
    );
}

#[test]
fn figures_of_a_busy_run_add_up() {
    let report = report(&plan(), &busy_outcome());
    assert_consistent(&report);
    assert_eq!(report.totals.started, 6_983);
    assert_eq!(report.totals.cancelled, 1);
    // What the end cut off is in no rate.
    assert_eq!(report.metrics.throughput_rps, 232.733333);
    assert_eq!(report.metrics.error_rate, 0.003007734174);
    assert_eq!(
        report.totals.cancelled_age.and_then(|age| age.max_ms),
        Some(4_200.0)
    );
    // Handshakes are not calls, and their failures not the calls'.
    let handshake = report.handshake.as_ref().expect("there is a row");
    assert_eq!((handshake.ok, handshake.failed), (50, 1));
    assert_eq!(handshake.failures[0].id, "connect.refused");
    assert!(!report.errors.contains_key("connection"));
    let http = &report.failures[0];
    assert_eq!(
        (http.id.as_str(), http.group.as_str(), http.count),
        ("http.503", "http", 15)
    );
    assert_eq!(http.examples, ["Service Unavailable: overloaded"]);
    json_of(&report);
}

#[test]
fn latencies_keep_their_fractions() {
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    ok(&mut outcome.totals, 0, 812_345);
    let json = json_of(&report(&plan(), &outcome));
    assert_eq!(
        json.pointer("/metrics/latency/p50_ms"),
        Some(&json!(0.812345))
    );
    assert_eq!(
        json.pointer("/per_tool/echo/latency/mean_ms"),
        Some(&json!(0.812345))
    );
}

#[test]
fn response_time_leads_where_starts_are_intended() {
    let mut plan = plan();
    plan.load = Load::Open {
        arrivals: Arrivals::Rate {
            per_second: 100.0,
            distribution: Spread::Constant,
        },
        max_vus: 10,
        queue_max: 10,
    };
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    ok_intended(&mut outcome.totals, 0, 2_000_000, 9_000_000);
    ok(&mut outcome.totals, 1, 3_000_000);
    outcome.totals.lateness.record(50_000);
    let report = report(&plan, &outcome);
    assert_consistent(&report);
    assert_eq!(report.run.latency_from, LatencyFrom::IntendedStart);
    assert_eq!(report.metrics.latency.p50_ms, Some(9.0));
    let service = report.totals.service_latency.expect("it stands beside");
    assert_eq!(service.p50_ms, Some(2.0));
    assert_eq!(report.distribution[0].to_ms, 9.0);
    assert_eq!(
        report.lateness.and_then(|lateness| lateness.max_ms),
        Some(0.05)
    );
    // Nobody schedules handshakes.
    let handshake = report.handshake.expect("there is a row");
    assert_eq!(handshake.latency_from, LatencyFrom::Sent);
    assert_eq!(handshake.latency.p50_ms, Some(3.0));
}

#[test]
fn some_response_times_do_not_pass_for_all() {
    let mut plan = plan();
    plan.load = Load::Closed {
        vus: 1,
        ramp_up: Duration::ZERO,
        pacing: Some(Duration::from_secs(1)),
    };
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    ok_intended(&mut outcome.totals, 0, 2_000_000, 9_000_000);
    ok(&mut outcome.totals, 0, 2_000_000);
    let report = report(&plan, &outcome);
    assert_consistent(&report);
    assert_eq!(report.run.latency_from, LatencyFrom::Sent);
    assert_eq!(report.metrics.latency.max_ms, Some(2.0));
}

#[test]
fn categories_keep_their_old_names() {
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    for failure in [
        Failure::Connect(ConnectFailure::Refused),
        Failure::Timeout(TimeoutPhase::Waiting),
        Failure::Rpc(-32603),
        Failure::Rpc(0),
        Failure::Session(SessionFailure::Expired),
    ] {
        failed(&mut outcome.totals, 0, 1_000, failure, "");
    }
    let json = json_of(&report(&plan(), &outcome));
    let expected = json!({"connection": 1, "timeout": 1, "jsonrpc": 2, "session": 1});
    assert_eq!(json.pointer("/errors"), Some(&expected));
    assert_eq!(json.pointer("/per_tool/echo/errors"), Some(&expected));
}

#[test]
fn the_breaking_point_tells_load_time_and_value() {
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    outcome.breaking_point = Some(BreakingPoint {
        how: BreakKind::Latency {
            limit_ns: 250_000_000,
            p99_ns: 312_500_000,
        },
        load: Some(34.0),
        last_good_load: Some(30.0),
        at: Duration::from_millis(6_800),
        noticed_at: Duration::from_secs(9),
        evidence: "p99 312 ms against a limit of 250 ms".to_string(),
    });
    let json = json_of(&report(&plan(), &outcome));
    let expected = json!({
        "detected": true, "vus": 34, "reason": "latency",
        "detail": "p99 312 ms against a limit of 250 ms",
        "timestamp": "2026-11-23T12:41:14.050Z",
        "load_unit": "vus", "load": 34.0, "last_good_load": 30.0,
        "at_secs": 6.8, "noticed_at_secs": 9.0, "limit_ms": 250.0, "p99_ms": 312.5,
    });
    assert_eq!(json.pointer("/breaking_point"), Some(&expected));
}

/// An hour of twenty operations. It takes some milliseconds; the limit is for
/// an unoptimised build on a busy machine, and far below what anything would
/// take that looks at the hour once for each second of it.
#[test]
fn the_report_of_an_hour_is_soon_written() {
    const LIMIT: Duration = Duration::from_secs(10);
    let names: Vec<String> = (0..20).map(|n| format!("tool_{n}")).collect();
    let calls: Vec<(&str, Option<&str>)> = names
        .iter()
        .map(|name| ("tools/call", Some(name.as_str())))
        .collect();
    let mut outcome = outcome(&calls);
    outcome.elapsed = Duration::from_secs(3600);
    for row in 0..names.len() {
        for i in 0..2_000 {
            ok_intended(
                &mut outcome.totals,
                row,
                100_000 + i * i * 500,
                200_000 + i * i * 600,
            );
        }
        failed(&mut outcome.totals, row, 5_000_000, Failure::Tool, "broken");
    }
    outcome.seconds = (0..3_600)
        .map(|at| Second {
            at: Duration::from_secs(at),
            length: Duration::from_secs(1),
            vus: 50,
            started: 40_000,
            ok: 40_000,
            failed: 0,
            rate_limited: 0,
            latency: Some(SecondLatency {
                p50_ns: 1_500_000 + at,
                p95_ns: 2_000_000,
                p99_ns: 2_000_000,
                max_ns: 2_500_000,
            }),
            dropped: 0,
            signals: crate::validity::SecondSignals::default(),
        })
        .collect();
    let began = crate::clock::now();
    let report = report(&plan(), &outcome);
    let text = serde_json::to_string_pretty(&report).expect("a report is JSON");
    let lines = summary(
        &report,
        &SummaryOptions {
            layout: crate::terminal::Layout::terminal(100),
            report_path: None,
            ..SummaryOptions::endless()
        },
    );
    let took = crate::clock::now() - began;
    assert_eq!(report.seconds.len(), 3_600);
    assert_eq!(report.operations.len(), 20);
    assert!(text.len() > 100_000 && lines.len() > 20);
    assert!(took < LIMIT, "{took:?}");
}

#[test]
fn seconds_without_answers_have_no_latency() {
    let mut outcome = outcome(&[("tools/call", Some("echo"))]);
    let second = |at, ok, latency| Second {
        at: Duration::from_secs(at),
        length: Duration::from_millis(500),
        vus: 50,
        started: ok,
        ok,
        failed: 0,
        rate_limited: 0,
        latency,
        dropped: 0,
        signals: crate::validity::SecondSignals {
            in_flight_mean: Some(2.5),
            limit: Some(crate::validity::GeneratorLimit::Stalled {
                silence: Duration::from_millis(500),
            }),
            ..Default::default()
        },
    };
    let latency = SecondLatency {
        p50_ns: 1_500_000,
        p95_ns: 2_000_000,
        p99_ns: 2_000_000,
        max_ns: 2_500_000,
    };
    outcome.seconds = vec![second(0, 10, Some(latency)), second(1, 0, None)];
    let report = report(&plan(), &outcome);
    assert_eq!(report.seconds[0].rate_per_sec, 20.0);
    assert_eq!(report.seconds[0].in_flight_mean, Some(2.5));
    assert_eq!(
        report.seconds[0].limited_by.as_deref(),
        Some("worker_stalled")
    );
    assert_eq!(report.seconds[0].p50_ms, Some(1.5));
    assert_eq!(
        (report.seconds[1].rate_per_sec, report.seconds[1].max_ms),
        (0.0, None)
    );
    json_of(&report);
}

#[test]
fn a_run_of_no_length_has_no_rate() {
    let mut outcome = busy_outcome();
    outcome.elapsed = Duration::ZERO;
    let report = report(&plan(), &outcome);
    assert_eq!(report.metrics.throughput_rps, 0.0);
    assert_eq!(report.totals.rate_per_sec, None);
    json_of(&report);
}

#[test]
fn notices_are_told_once() {
    let mut plan = plan();
    plan.notices = vec!["a".to_string()];
    let mut outcome = outcome(&[]);
    outcome.notices = vec!["a".to_string(), "b".to_string()];
    assert_eq!(report(&plan, &outcome).notices, ["a", "b"]);
}

/// A run of two tools from arbitrary samples.
fn arbitrary(samples: &[(u64, u8)]) -> RunOutcome {
    let mut outcome = outcome(&[("tools/call", Some("a")), ("prompts/get", Some("a"))]);
    for (ns, how) in samples {
        let row = usize::from(how % 2);
        match how % 8 {
            0..5 => ok(&mut outcome.totals, row, *ns),
            5 => failed(&mut outcome.totals, row, *ns, Failure::Tool, "no"),
            6 => failed(&mut outcome.totals, row, *ns, Failure::Rpc(*ns as i64), ""),
            _ => cancelled(&mut outcome.totals, row, *ns),
        }
    }
    outcome
}

proptest! {
    #![proptest_config(crate::seeds::cases(16, 64))]
    #[test]
    fn any_run_adds_up_and_reads_back(
        samples in prop::collection::vec((0_u64..1 << 45, any::<u8>()), 0..120),
    ) {
        let report = report(&plan(), &arbitrary(&samples));
        assert_consistent(&report);
        json_of(&report);
        // A tool and a prompt of one name are one entry, with the calls of both.
        let a = &report.per_tool["a"];
        prop_assert_eq!(a.total_requests, report.metrics.total_requests);
    }
}

/// A made-up run: what happened in it, in which row, and how long it lasted.
fn any_outcome() -> impl Strategy<Value = (RunOutcome, bool)> {
    let sample = (0_usize..7, 1_u64..1 << 40, 0_u8..8);
    let samples = prop::collection::vec(sample, 0..150);
    let ends = prop::collection::vec((0_u64..50, 0_u64..50), 0..6);
    (samples, ends, 1_u64..100_000, any::<bool>()).prop_map(
        |(samples, ends, elapsed_ms, probed)| {
            let mut made = outcome(&[("tools/call", Some("a")), ("prompts/get", Some("b"))]);
            for (kind, method) in [(RowKind::Close, "DELETE"), (RowKind::Turn, "tools/call")] {
                made.start.rows.push(Row::new(kind, method));
            }
            made.totals = Recorder::new(made.start.rows.len());
            made.elapsed = Duration::from_millis(elapsed_ms);
            for (row, ns, how) in samples {
                // Most are calls.
                let row = row.saturating_sub(2) % made.start.rows.len();
                match how {
                    0..5 => ok(&mut made.totals, row, ns),
                    5 | 6 => failed(&mut made.totals, row, ns, Failure::Tool, "no"),
                    _ => cancelled(&mut made.totals, row, ns),
                }
            }
            made.seconds = ends
                .iter()
                .zip(0..)
                .map(|((ok, failed), at)| Second {
                    at: Duration::from_secs(at),
                    length: Duration::from_millis(500),
                    vus: 1,
                    started: ok + failed,
                    ok: *ok,
                    failed: *failed,
                    rate_limited: 0,
                    latency: None,
                    dropped: 0,
                    signals: SecondSignals::default(),
                })
                .collect();
            made.stages = vec![StageOutcome {
                populations: Vec::new(),
                number: 1,
                at: Duration::ZERO,
                length: made.elapsed,
                load_from: 0.0,
                load_to: 5.0,
                calls: Rows::new(&made.start.rows, &made.totals).totals(),
                examples: made.totals.examples.clone(),
            }];
            made.probe = probed.then(|| probe_outcome(1_000, 2_000_000));
            (made, probed)
        },
    )
}

proptest! {
    #![proptest_config(crate::seeds::cases(16, 128))]
    /// Rate × time = ended; error rate × ended = failed; started = ok + failed +
    /// cancelled: of the totals, each row, stage and second. Handshakes, ends of
    /// sessions, turns and the probe are in no total.
    #[test]
    fn figures_keep_their_definitions((made, probed) in any_outcome()) {
        let report = report(&plan(), &made);
        assert_consistent(&report);
        json_of(&report);
        let of_kind = |kind: RowKind, figure: fn(&RowStats) -> u64| -> u64 {
            let rows = made.start.rows.iter().zip(&made.totals.rows);
            rows.filter(|(row, _)| row.kind == kind).map(|(_, stats)| figure(stats)).sum()
        };
        let totals = &report.totals;
        prop_assert_eq!(of_kind(RowKind::Call, |row| row.started), totals.started);
        prop_assert_eq!(of_kind(RowKind::Call, |row| row.ok), totals.ok);
        prop_assert_eq!(of_kind(RowKind::Call, |row| row.failed), totals.failed);
        let elapsed = made.elapsed.as_secs_f64();
        prop_assert!((report.duration_secs - elapsed).abs() < 1e-6);
        prop_assert_eq!(&report.stages[0].figures, totals);
        for (second, made) in report.seconds.iter().zip(&made.seconds) {
            let ended = second.rate_per_sec * second.length_secs;
            prop_assert!((ended - (made.ok + made.failed) as f64).abs() < 1e-6);
        }
        let probe = report.probe.map(|probe| probe.figures.started);
        prop_assert_eq!(probe, probed.then_some(1_002));
    }
}

#[test]
fn the_verdict_and_the_self_check_stand_in_the_report() {
    use crate::metrics::WorkerUsage;
    use crate::validity::{Grade, Reason, Signal, Slowed, Verdict};
    let slowed = |signal| Reason::Slowed(Slowed::by(signal));

    let mut outcome = busy_outcome();
    outcome.verdict = Verdict::of(vec![
        (Grade::Suspect, slowed(Signal::Steal { share: 0.06 })),
        (Grade::Invalid, slowed(Signal::Throttled { share: 0.5 })),
    ]);
    outcome.self_check.workers = vec![WorkerUsage {
        wall_ns: 1_000_000_000,
        busy_ns: 250_000_000,
        turn_max_ns: 3_000_000,
        ..WorkerUsage::default()
    }];
    outcome.self_check.in_flight_mean = Some(4.5);
    outcome.self_check.reads.unusable = 3;
    let json = serde_json::to_value(report(&plan(), &outcome)).expect("a report is JSON");
    let verdict = &json["verdict"];
    assert_eq!(verdict["grade"], "invalid");
    assert_eq!(verdict["reasons"][0]["id"], "throttled");
    assert_eq!(verdict["reasons"][0]["figures"]["share"], 0.5);
    assert_eq!(verdict["reasons"][1]["grade"], "suspect");
    let check = &json["self_check"];
    assert_eq!(check["workers"][0]["busy_share"], 0.25);
    assert_eq!(check["workers"][0]["run_delay_share"], json!(null));
    assert_eq!(check["workers"][0]["turn_max_ms"], 3.0);
    assert_eq!(check["in_flight"]["mean"], 4.5);
    assert_eq!(check["reads"]["timestamps_unusable"], 3);
}

/// Flows, their steps, what was not checked and the evidence; none of it is in a total.
#[test]
fn flows_are_told_beside_the_calls() {
    let report = report(&plan(), &flow_outcome());
    assert_eq!(report.totals.started, 600);
    assert_eq!((report.totals.ok, report.totals.failed), (580, 20));
    let labels: Vec<&str> = report.operations.iter().map(|it| &*it.label).collect();
    let expected = [
        "checkout: sign in",
        "checkout: tools/call whoami",
        "look around",
    ];
    assert_eq!(labels, expected);
    let of_names = report
        .operations
        .iter()
        .map(|it| (it.name.as_deref(), it.flow.as_deref()));
    let expected = [
        (Some("sign in"), Some("checkout")),
        (None, Some("checkout")),
        (Some("look around"), None),
    ];
    assert_eq!(of_names.collect::<Vec<_>>(), expected);
    let bytes = report.operations[0].bytes.expect("it succeeded");
    assert_eq!((bytes.request.mean, bytes.request.max), (400.0, 400));
    assert_eq!(
        (bytes.answer.total, bytes.answer.mean, bytes.answer.max),
        (79_900, 399.5, 499)
    );
    let [flow] = &report.flows[..] else {
        panic!("{:?}", report.flows);
    };
    assert_eq!(
        (&*flow.name, flow.figures.started, flow.figures.failed),
        ("checkout", 200, 20)
    );
    assert!(flow.figures.latency.min_ms > Some(1_000.0));
    assert!(flow.busy.max_ms < Some(30.0), "{:?}", flow.busy);
    assert_eq!(flow.busy.count, flow.figures.ok);
    let unchecked = report
        .unchecked
        .iter()
        .map(|it| (&*it.operation, &*it.reason, it.count));
    let operation = "checkout: tools/call whoami";
    let expected = [
        (operation, "large_result", 100),
        (operation, "unknown_dialect", 80),
    ];
    assert_eq!(unchecked.collect::<Vec<_>>(), expected);
    let [evidence] = &report.evidence[..] else {
        panic!("{:?}", report.evidence);
    };
    assert_eq!(
        (&*evidence.operation, &*evidence.cause),
        (operation, "tool.is_error")
    );
    assert!(evidence.answer.contains("\"number\":0"), "the first");
    // Each has its histogram, by its names.
    let stored = report.histograms.expect("histograms");
    for (kind, name) in [
        (StoredKind::Call, Some("sign in")),
        (StoredKind::Flow, None),
        (StoredKind::FlowBusy, None),
    ] {
        let is_its = |row: &&StoredRow| row.kind == kind && row.name.as_deref() == name;
        let mut rows = stored.rows.iter().filter(is_its);
        let row = rows.find(|row| row.flow.as_deref() == Some("checkout"));
        assert!(
            row.expect("a row").histogram().expect("ours").len() >= 180,
            "{kind:?}"
        );
    }
}
