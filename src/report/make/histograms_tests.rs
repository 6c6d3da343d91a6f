//! What is stored is what was reported, within the bounds.

use std::time::Duration;

use super::*;
use crate::metrics::{HandshakeKind, Packed};
use crate::outcome::{RowIntervals, StageOutcome};
use crate::report::make::figures::{latency, latency_if_any};
use crate::report::model::{Figures, LatencyFigures, Report};
use crate::report::samples::{busy_outcome, cancelled, ok, ok_intended, outcome, plan, report};
use crate::scenario::{Arrivals, Load};

fn stored(report: &Report) -> &StoredHistograms {
    report.histograms.as_ref().expect("histograms")
}

/// Whether a row has the latencies of a block.
fn is_of(row: &StoredRow, figures: &Figures) {
    assert_eq!(latency(&row.histogram().expect("our own")), figures.latency);
    let other = |of| {
        let other = row.other(of).expect("our own");
        other.and_then(|histogram| latency_if_any(&histogram))
    };
    assert_eq!(other(OtherLatency::FailedLatency), figures.failed_latency);
    assert_eq!(other(OtherLatency::ServiceLatency), figures.service_latency);
    assert_eq!(other(OtherLatency::CancelledAge), figures.cancelled_age);
}

/// From the file, as a reader of it does.
fn recomputed(report: &Report) {
    let json = serde_json::to_string(report).expect("JSON");
    let report: Report = serde_json::from_str(&json).expect("it reads back");
    let stored = stored(&report);
    stored.check().expect("our own");
    let of = |kind| stored.row(kind).expect("a row");
    is_of(of(StoredKind::Total), &report.totals);
    let calls = stored
        .rows
        .iter()
        .filter(|row| row.kind == StoredKind::Call);
    assert_eq!(calls.clone().count(), report.operations.len());
    for (row, operation) in calls.zip(&report.operations) {
        assert_eq!(row.method.as_ref(), Some(&operation.method));
        assert_eq!(row.subject, operation.subject);
        is_of(row, &operation.figures);
    }
    let handshake = report.handshake.as_ref().expect("handshakes");
    is_of(of(StoredKind::Handshake), handshake);
    let stages = stored
        .rows
        .iter()
        .filter(|row| row.kind == StoredKind::Stage);
    for (row, stage) in stages.zip(&report.stages) {
        is_of(row, &stage.figures);
    }
    let beside = |kind, expected: Option<LatencyFigures>| {
        let found = stored
            .row(kind)
            .map(|row| latency(&row.histogram().expect("our own")));
        assert_eq!(found, expected);
    };
    beside(StoredKind::Lateness, report.lateness);
    beside(StoredKind::GeneratorDelay, report.generator_delay);
    beside(StoredKind::LoopTime, report.loop_time);
    let handshake = report.tls.as_ref().map(|tls| tls.handshake);
    beside(StoredKind::TlsHandshake, handshake);
}

#[test]
fn figures_recomputed_from_what_is_stored_are_those_reported() {
    let mut outcome = busy_outcome();
    outcome.totals.loop_time.record(70_000);
    let kind = HandshakeKind {
        protocol: "TLS 1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        is_resumed: true,
    };
    let handshakes = outcome.totals.tls.get_or_insert_default();
    handshakes.record(kind, 1_500_000);
    let calls = Rows::new(&outcome.start.rows, &outcome.totals).totals();
    outcome.stages.push(StageOutcome {
        populations: Vec::new(),
        number: 1,
        at: Duration::ZERO,
        length: Duration::from_secs(30),
        load_from: 0.0,
        load_to: 50.0,
        calls,
        examples: outcome.totals.examples.clone(),
    });
    recomputed(&report(&plan(), &outcome));
}

#[test]
fn with_intended_starts_both_latencies_are_stored() {
    let mut plan = plan();
    plan.load = Load::Open {
        arrivals: Arrivals::Rate {
            per_second: 100.0,
            distribution: crate::scenario::Distribution::Constant,
        },
        max_vus: 50,
        queue_max: 10,
    };
    let mut outcome = outcome(&[("tools/list", None)]);
    for i in 0..500 {
        ok_intended(&mut outcome.totals, 0, 1_000_000 + i, 2_000_000 + 1_000 * i);
    }
    cancelled(&mut outcome.totals, 0, 9_000_000);
    outcome.totals.lateness.record(60_000);
    let report = report(&plan, &outcome);
    assert!(report.totals.service_latency.is_some());
    recomputed(&report);
}

#[test]
fn without_any_call_all_is_empty_and_reads_back() {
    recomputed(&report(&plan(), &outcome(&[("tools/list", None)])));
}

#[test]
fn none_are_stored_where_none_are_wished_for() {
    let mut plan = plan();
    plan.histograms = HistogramMode::Off;
    assert_eq!(report(&plan, &busy_outcome()).histograms, None);
}

/// This many seconds with a hundred calls a second in each of these rows.
fn seconds_of(n_rows: usize, n_seconds: usize) -> Intervals {
    let mut random = fastrand::Rng::with_seed(7);
    let mut bell = || (0..6).map(|_| random.f64()).sum::<f64>() - 3.0;
    let mut second = || {
        let mut latency = Histogram::new();
        (0..100).for_each(|_| latency.record((5e6 * (bell() * 0.6).exp()) as u64));
        Packed::of(&latency)
    };
    let seconds: Vec<Packed> = (0..23).map(|_| second()).collect();
    let interval = |row: usize, second: usize| Interval {
        second: second as u32,
        started: 100,
        ok: 100,
        failed: 0,
        cancelled: 0,
        dropped: 0,
        latency: seconds[(row + second) % 23].clone(),
    };
    let of_row = |row: usize| RowIntervals {
        row: row.checked_sub(1),
        intervals: (0..n_seconds).map(|second| interval(row, second)).collect(),
    };
    Intervals {
        length_secs: 1,
        end: Duration::from_secs(n_seconds as u64),
        rows: (0..=n_rows).map(of_row).collect(),
        populations: Vec::new(),
        is_coarser: false,
        n_given_up: 0,
    }
}

/// The size of the report of an hour with 20 rows, as it is written.
#[test]
fn the_report_of_an_hour_with_twenty_rows_has_4_mb_of_histograms_at_most() {
    let names: Vec<String> = (0..20).map(|at| format!("tool-{at}")).collect();
    let calls: Vec<(&str, Option<&str>)> = names
        .iter()
        .map(|name| ("tools/call", Some(name.as_str())))
        .collect();
    let mut outcome = outcome(&calls);
    let without = report(&plan(), &outcome);
    // Of an hour in `.ci/run`; a sixth of it is enough to be too much.
    let n_seconds = crate::seeds::n_seeds(600, 3_600) as usize;
    outcome.intervals = Some(seconds_of(20, n_seconds));
    let with = report(&plan(), &outcome);
    let size = |report: &Report| serde_json::to_vec_pretty(report).expect("JSON").len();
    let n_bytes = size(&with) - size(&without);
    let histograms = stored(&with);
    assert!(n_bytes <= BYTES_MAX, "{n_bytes}");
    assert!(
        n_bytes > BYTES_MAX / 5,
        "coarser than it need be: {n_bytes}"
    );
    let length = histograms.interval_secs as usize;
    let note = histograms.note.as_deref().expect("said");
    assert!(
        note.contains(&format!("intervals are {length} s long")),
        "{note}"
    );
    let all = &histograms.rows[0];
    let sum: u64 = all.intervals.iter().map(|it| it.ok).sum();
    let expected = (n_seconds.div_ceil(length), 100 * n_seconds as u64);
    assert_eq!((all.intervals.len(), sum), expected);
    for interval in &all.intervals {
        let read = all.histogram_of(interval).expect("our own");
        assert_eq!(read.len(), interval.ok);
        assert_eq!(read.max_ns(), interval.max_ns);
    }
}

/// Thousands of operations with a few calls each, whose totals alone are too many.
#[test]
fn the_operations_with_the_fewest_calls_go_first() {
    let names: Vec<String> = (0..5_000).map(|at| format!("tool-{at}")).collect();
    let calls: Vec<(&str, Option<&str>)> = names
        .iter()
        .map(|name| ("tools/call", Some(name.as_str())))
        .collect();
    let mut outcome = outcome(&calls);
    for at in 0..5_000 {
        ok_intended(&mut outcome.totals, at, 1_000_000, 1_000_000);
    }
    (0..500).for_each(|i| ok_intended(&mut outcome.totals, 17, 1_000_000 + i * 9_000, 1));
    let report = report(&plan(), &outcome);
    let histograms = stored(&report);
    let size = serde_json::to_vec_pretty(histograms).expect("JSON").len();
    assert!(size <= TOTAL_BYTES_MAX, "{size}");
    assert!(size > TOTAL_BYTES_MAX / 2, "{size}");
    assert!(
        histograms
            .rows
            .iter()
            .any(|row| row.subject.as_deref() == Some("tool-17"))
    );
    let note = histograms.note.as_deref().expect("said");
    assert!(
        note.contains("with the fewest calls are left out"),
        "{note}"
    );
}

/// Two populations are compared by all their calls, those of operations too that are too
/// seldom called for intervals of their own.
#[test]
fn of_two_populations_all_calls_are_stored_by_time() {
    let mut outcome = outcome(&[("tools/list", None); 3]);
    for (row, name) in outcome.start.rows.iter_mut().zip(["a", "a", "b"]) {
        row.population = Some(name.to_string());
    }
    for (row, ns) in [(0, 1_000), (1, 9_000), (2, 5_000)] {
        ok(&mut outcome.totals, row, ns);
    }
    let mut intervals = seconds_of(2, 3);
    let of_a = intervals.rows[2].intervals.clone();
    intervals.populations = vec![of_a, intervals.rows[1].intervals.clone()];
    outcome.intervals = Some(intervals);
    let report = report(&plan(), &outcome);
    let stored = stored(&report);
    stored.check().expect("our own");
    let mut totals = stored.rows.iter().filter(|it| it.kind == StoredKind::Total);
    let names: Vec<_> = totals.clone().map(|it| it.population.as_deref()).collect();
    assert_eq!(
        names,
        [None, Some("a")],
        "the calls of `b` are one operation"
    );
    let of_a = totals.next_back().expect("a row");
    assert_eq!(of_a.histogram().expect("our own").len(), 2);
    assert_eq!(of_a.intervals.len(), 3);
    // A third one, and there is nothing to compare.
    outcome.start.rows[1].population = Some("c".to_string());
    let report = self::report(&plan(), &outcome);
    let totals = self::stored(&report).rows.iter();
    assert_eq!(totals.filter(|it| it.kind == StoredKind::Total).count(), 1);
}
