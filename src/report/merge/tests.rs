//! Parts added are the whole, whatever their order; what must not be added is not.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::clock::Utc;
use crate::metrics::{AnswerPieces, Failure, Histogram, Packed, Recorder, RowStats, ServedCall};
use crate::outcome::{Interval, Intervals, Row, RowIntervals, RowKind, Second, SecondSignals};
use crate::report::model::{GateGrade, GateOutcome, IsolationFigures, LatencyFigures};
use crate::report::samples::{cancelled, failed, ok, outcome, plan, report as report_of};
use crate::threshold::{Comparison, LimitUnit, NOT_ISOLATED, Severity};

const ROWS: [(&str, Option<&str>); 2] = [("tools/call", Some("echo")), ("tools/list", None)];

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

/// What one host recorded in each second, by its seed.
fn recorded(seed: u64, n_seconds: usize) -> Vec<Recorder> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut second = || {
        let mut recorder = Recorder::new(3);
        for _ in 0..random.usize(0..40) {
            ok(
                &mut recorder,
                random.usize(0..2),
                random.u64(1_000..9_000_000),
            );
        }
        for code in 0..random.i64(0..3) {
            failed(
                &mut recorder,
                0,
                random.u64(1..1_000),
                Failure::Rpc(code),
                "wrong",
            );
        }
        ok(&mut recorder, 2, 4_000_000);
        for _ in 0..random.usize(0..9) {
            let call = ServedCall {
                is_ok: random.bool(),
                is_expired: random.bool(),
                latency_ns: random.u64(1_000..9_000_000),
            };
            let name = [Some("a"), Some("b"), None][random.usize(0..3)];
            let spread = recorder.spread.get_or_insert_default();
            spread.record_backend(name, call);
            spread.addresses.record(Some(&ADDRESS), call);
            let mut pieces = AnswerPieces::new(false);
            pieces.is_stream = true;
            pieces.first_byte_ns = Some(random.u64(1..1_000));
            pieces.came(random.u64(1..9_000), None, 10, (3, 1));
            recorder.answered(0, &pieces, call.is_ok, 9_000);
        }
        recorder.counters.iterations_completed = random.u64(0..50);
        recorder
    };
    (0..n_seconds).map(|_| second()).collect()
}

/// The report of a run in which this was recorded, the `number`th to start.
fn report(number: u64, seconds: &[Recorder]) -> Report {
    let mut outcome = outcome(&ROWS);
    outcome.start.at = Utc::from_unix_ms(1_795_437_667_250 + number);
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    for (at, recorder) in seconds.iter().enumerate() {
        outcome.totals.merge(recorder);
        let mut all = RowStats::default();
        recorder.rows[..2].iter().for_each(|row| all.merge(row));
        for (intervals, row) in rows
            .iter_mut()
            .zip([&all, &recorder.rows[0], &recorder.rows[1]])
        {
            intervals.push(Interval {
                second: at as u32,
                started: row.started,
                ok: row.ok,
                failed: row.failed,
                cancelled: row.cancelled,
                dropped: 0,
                latency: Packed::of(&row.service_ok),
            });
        }
        let quantile = |q| all.service_ok.quantile_ns(q);
        outcome.seconds.push(Second {
            at: Duration::from_secs(at as u64),
            length: Duration::from_secs(1),
            vus: 5,
            started: all.started,
            ok: all.ok,
            failed: all.failed,
            rate_limited: 0,
            latency: quantile(0.5).map(|p50_ns| crate::outcome::SecondLatency {
                p50_ns,
                p95_ns: quantile(0.95).unwrap_or(0),
                p99_ns: quantile(0.99).unwrap_or(0),
                max_ns: all.service_ok.max_ns().unwrap_or(0),
            }),
            dropped: 0,
            signals: SecondSignals::default(),
        });
    }
    let places = [None, Some(0), Some(1)];
    outcome.intervals = Some(Intervals {
        length_secs: 1,
        end: Duration::from_secs(seconds.len() as u64),
        rows: places
            .into_iter()
            .zip(rows)
            .map(|(row, intervals)| RowIntervals { row, intervals })
            .collect(),
        populations: Vec::new(),
        is_coarser: false,
        n_given_up: 0,
    });
    report_of(&plan(), &outcome)
}

fn merge_of(parts: &[&Report]) -> Report {
    let named: Vec<(String, Report)> = parts
        .iter()
        .map(|part| ("it".to_string(), (*part).clone()))
        .collect();
    merged(&named, Vec::new()).expect("reports of one load")
}

/// All that is a figure: what is said of them is of each.
fn figures(report: &Report) -> serde_json::Value {
    let mut json = serde_json::to_value(report).expect("JSON");
    for key in [
        "run",
        "notices",
        "config",
        "host",
        "self_check",
        "timestamp",
    ] {
        json[key] = serde_json::Value::Null;
    }
    json
}

/// Recorded by two hosts and added, or by one.
#[test]
fn the_halves_merged_are_the_whole() {
    for seed in 0..crate::seeds::n_seeds(2, 40) {
        let halves = [recorded(2 * seed, 6), recorded(2 * seed + 1, 6)];
        let mut whole = halves[0].clone();
        for (all, more) in whole.iter_mut().zip(&halves[1]) {
            all.merge(more);
        }
        let [a, b] = [report(1, &halves[0]), report(2, &halves[1])];
        let mut merged = merge_of(&[&a, &b]);
        let mut expected = report(1, &whole);
        for second in merged.seconds.iter_mut().chain(&mut expected.seconds) {
            second.vus = 0;
        }
        // The order of causes that were as frequent is that of their ids.
        assert_eq!(figures(&merged), figures(&merge_of(&[&expected])), "{seed}");
        assert_eq!(merged.totals.latency, expected.totals.latency);
        assert_eq!(merged.seconds, expected.seconds);
        assert_eq!(merged.per_tool.keys().collect::<Vec<_>>(), ["echo"]);
        assert_eq!(merged.run.vus_max, 100);
        let sum: u64 = merged.errors.values().sum();
        assert_eq!(sum, merged.totals.failed);
    }
}

#[test]
fn merging_is_associative_and_commutative() {
    for seed in 0..crate::seeds::n_seeds(2, 40) {
        // Of different lengths: seconds that one lacks are the others'.
        let part = |i: u64| {
            let mut part = report(i, &recorded(3 * seed + i, 3 + i as usize));
            for second in part.seconds.iter_mut().filter(|second| second.ok > 0) {
                second.lateness_p99_ms = Some(1.0 + i as f64);
                second.generator_delay_p99_ms = Some(2.0 + i as f64);
            }
            part
        };
        let [a, b, c] = [part(0), part(1), part(2)];
        let expected = figures(&merge_of(&[&a, &b, &c]));
        for order in [[&c, &a, &b], [&b, &c, &a], [&c, &b, &a]] {
            assert_eq!(figures(&merge_of(&order)), expected, "{seed}");
        }
        let left = merge_of(&[&merge_of(&[&a, &b]), &c]);
        let right = merge_of(&[&a, &merge_of(&[&b, &c])]);
        assert_eq!(figures(&left), expected, "{seed}");
        assert_eq!(figures(&right), expected, "{seed}");
        assert_eq!(left.self_check, right.self_check);
        assert_eq!(left.run.vus_max, 150);
        for merged in [&left, &right] {
            assert_eq!(merged.run.load, "3 parts each: 50 virtual users");
        }
        // The last second is that of one part alone.
        let delays = |of: &Report| -> Vec<_> {
            let seconds = of.seconds.iter();
            seconds.map(|it| it.generator_delay_p99_ms).collect()
        };
        assert_eq!(delays(&left)[4], delays(&c)[4], "{seed}");
        let is_told_of_several = |at: usize| {
            let told = [&a, &b, &c].map(|it| delays(it)[at]);
            told.iter().flatten().count() > 1 && delays(&left)[at].is_some()
        };
        assert!(!(0..3).any(is_told_of_several), "{seed}");
    }
}

#[test]
fn one_report_merged_with_none_is_itself() {
    let one = report(1, &recorded(7, 4));
    let alone = merge_of(&[&one]);
    assert_eq!(alone.totals, one.totals);
    assert_eq!(alone.operations, one.operations);
    assert_eq!(alone.histograms, one.histograms);
    assert_eq!(alone.seconds, one.seconds);
    assert_eq!(alone.metrics, one.metrics);
}

/// Where a part keeps no histogram of a row, the sum has no percentiles.
#[test]
fn percentiles_are_never_averaged() {
    let [mut a, b] = [report(1, &recorded(1, 4)), report(2, &recorded(2, 4))];
    let stored = a.histograms.as_mut().expect("histograms");
    stored
        .rows
        .retain(|row| row.subject.as_deref() != Some("echo"));
    let merged = merge_of(&[&a, &b]);
    let latency = merged.operations[0].figures.latency;
    let parts = [&a, &b].map(|it| it.operations[0].figures.latency);
    let count = parts[0].count + parts[1].count;
    let of_both = |of: fn(&LatencyFigures) -> Option<f64>, join: fn(f64, f64) -> f64| {
        parts.iter().filter_map(of).reduce(join)
    };
    let expected = LatencyFigures {
        count,
        min_ms: of_both(|it| it.min_ms, f64::min),
        mean_ms: latency.mean_ms,
        max_ms: of_both(|it| it.max_ms, f64::max),
        ..LatencyFigures::default()
    };
    assert_eq!(latency, expected);
    assert!(merged.totals.latency.p50_ms.is_some());
    assert!(merged.per_tool["echo"].latency.p99_ms.is_none());
}

/// Changes the second of two reports, and says what becomes of merging them.
fn after(change: fn(&mut Report)) -> Result<Report, (bool, String)> {
    let a = report(1, &recorded(1, 4));
    let mut b = report(2, &recorded(2, 4));
    change(&mut b);
    let named = [("a.json".to_string(), a), ("b.json".to_string(), b)];
    match (merge(&named, false), merge(&named, true)) {
        (Ok(report), _) => Ok(report),
        (Err(fault), forced) => Err((forced.is_ok(), fault.to_string())),
    }
}

/// What is changed in a report.
type Change = fn(&mut Report);

#[test]
fn what_must_not_be_added_is_refused() {
    // What is wrong, whether it may be forced, what is said.
    let table: &[(Change, bool, &str)] = &[
        (
            |it| it.histograms = None,
            false,
            "`b.json` holds no histograms",
        ),
        (
            |it| it.run.latency_from = crate::report::model::LatencyFrom::IntendedStart,
            false,
            "the start from which latency counts differs",
        ),
        (
            |it| it.histograms.as_mut().expect("some").unit = "us".to_string(),
            false,
            "this program reads `ns`",
        ),
        (
            |it| it.histograms.as_mut().expect("some").rows.clear(),
            false,
            "holds no histogram of all calls",
        ),
        (
            |it| it.counters.connections = 1 << 60,
            false,
            "a count that no run comes to",
        ),
        (
            |it| it.duration_secs = f64::NAN,
            false,
            "has a `duration_secs` that is not a length of time",
        ),
        (
            |it| it.target_url = "http://other/mcp".to_string(),
            true,
            "the target differs",
        ),
        (
            |it| it.server.era = "modern".to_string(),
            true,
            "the era of the protocol differs",
        ),
        (
            |it| it.plan["timeout_ms"] = 7.into(),
            true,
            "another plan than `a.json`: `timeout_ms`",
        ),
        (
            |it| it.plan["network"] = serde_json::json!({"bind": ["::1"], "insecure": true}),
            true,
            "another plan than `a.json`: `network`",
        ),
        (
            |it| it.run.started_at = "2026-11-23T13:41:07.250Z".to_string(),
            true,
            "did not run at the same time",
        ),
        (
            |it| it.run.started_at = "2026-11-23T12:41:27.250Z".to_string(),
            true,
            "ran together for 10 s of 30 s only: their rates would be",
        ),
    ];
    for (change, may_be_forced, words) in table {
        let (forced, fault) = after(*change).expect_err(words);
        assert!(fault.contains(words), "{fault}");
        assert_eq!(forced, *may_be_forced, "{fault}");
    }
    // A histogram of other calls than its figures.
    let (forced, fault) = after(|it| it.totals.latency.count += 1).expect_err("it does not fit");
    assert!(!forced && fault.contains("its figures are of"), "{fault}");
}

#[test]
fn what_may_be_added_is_told() {
    let table: &[(Change, &str)] = &[
        (
            |it| it.run.version = "9.9.9".to_string(),
            "the version of this program differs",
        ),
        (|it| it.host.usable_cpus = 64, "the host differs"),
        (
            |it| it.run.started_at = "2026-11-23T12:41:17.250Z".to_string(),
            "ran together for 20 s of 30 s only",
        ),
    ];
    for (change, words) in table {
        let merged = after(*change).expect(words);
        assert!(
            merged.notices.iter().any(|it| it.contains(words)),
            "{:?}",
            merged.notices
        );
    }
    // Parts of a host's own are no difference.
    let of_a_host: [Change; 2] = [
        |it| it.plan["seed"] = 8.into(),
        |it| it.plan["network"] = serde_json::json!({"bind": ["10.0.0.2"], "ca": ["b.pem"]}),
    ];
    for change in of_a_host {
        let merged = after(change).expect("that is a host's");
        let told = "merged from 2 reports: `a.json`, `b.json`";
        assert_eq!(merged.notices, [told]);
    }
}

#[test]
fn the_same_run_or_segment_is_not_added_twice() {
    let one = report(1, &recorded(1, 4));
    let twice = [
        ("a".to_string(), one.clone()),
        ("b".to_string(), one.clone()),
    ];
    let fault = merge(&twice, false).expect_err("the same").to_string();
    assert!(fault.contains("`a` and `b` are the same run"), "{fault}");
    let segment = |number: u64, part: u64| {
        let mut report = report(number, &recorded(number, 4));
        report.plan["segment"] = serde_json::json!({"number": part, "of": 2});
        (format!("{number}"), report)
    };
    let fault = merge(&[segment(1, 1), segment(2, 1)], false).expect_err("the same part");
    assert!(fault.to_string().contains("both segment 1/2"), "{fault}");
    let merged = merge(&[segment(1, 1), segment(2, 2)], false).expect("the halves of a load");
    assert_eq!(merged.plan["segment"], serde_json::Value::Null);
}

#[test]
fn a_segment_that_is_missing_or_twice_there_is_told() {
    let segment = |number: u64, part: u64| {
        let mut report = report(number, &recorded(number, 4));
        report.plan["segment"] = serde_json::json!({"number": part, "of": 3});
        report
    };
    let [a, b, c] = [1, 2, 3].map(|part| segment(part, part));
    let told = |parts: &[&Report]| {
        let verdict = merge_of(parts).verdict;
        let ids: Vec<String> = verdict.reasons.iter().map(|it| it.id.clone()).collect();
        let is_doubtful = verdict.grade == crate::validity::Grade::Suspect;
        assert_eq!(is_doubtful, !ids.is_empty(), "{verdict:?}");
        let texts = verdict.reasons.iter().map(|it| it.text.clone());
        (ids, texts.collect::<Vec<_>>().join(" "))
    };
    let (ids, text) = told(&[&c, &a]);
    assert_eq!(ids, ["segments_missing"]);
    assert!(
        text.starts_with("segment 2/3 of the load is missing: counts"),
        "{text}"
    );
    // Whatever the order, and also of sums.
    let of_two = merge_of(&[&a, &c]);
    assert_eq!(told(&[&of_two, &b]).0, Vec::<String>::new());
    assert_eq!(told(&[&a, &b, &c]).0, Vec::<String>::new());
    let (ids, text) = told(&[&of_two, &segment(4, 3)]);
    assert_eq!(ids, ["segments_missing", "segments_twice"]);
    assert!(
        text.contains("segment 3/3 of the load is counted twice"),
        "{text}"
    );
    let twice = merge_of(&[&a, &segment(4, 1)]);
    assert!(
        told(&[&twice, &b, &c])
            .0
            .contains(&"segments_twice".to_string())
    );
    let mut endless = segment(5, 1);
    endless.plan["segment"]["of"] = u64::MAX.into();
    assert_eq!(told(&[&endless]).0, ["segments_missing"]);
    assert_eq!(told(&[&report(6, &recorded(6, 4))]).0, Vec::<String>::new());
    let mut reseeded = segment(7, 2);
    reseeded.run.seed += 1;
    let named = [a, reseeded].map(|report| (report.run.started_at.clone(), report));
    let merged = merge(&named, false).expect("segments");
    let is_told = |text: &String| text.contains("segments with different seeds");
    assert!(merged.notices.iter().any(is_told), "{:?}", merged.notices);
}

fn threshold(
    metric: &str,
    limit: f64,
    unit: LimitUnit,
    grade: GateGrade,
) -> crate::report::model::ThresholdFigures {
    crate::report::model::ThresholdFigures {
        text: format!("{metric}<{limit}"),
        selector: None,
        metric: metric.to_string(),
        comparison: Comparison::Below,
        limit,
        unit,
        value: None,
        at_least: false,
        deferred: false,
        margin: None,
        severity: Severity::Fail,
        grade,
        few: false,
        interval: None,
        why: None,
        aborted: false,
    }
}

/// Two hosts that do the same flow, each at its own time of the same load.
fn of_flows() -> [Report; 2] {
    [1_u64, 2].map(|number| {
        let mut outcome = crate::report::samples::flow_outcome();
        outcome.start.at = Utc::from_unix_ms(1_795_437_667_250 + number);
        let counters = &mut outcome.totals.counters;
        (counters.arrivals, counters.arrivals_dropped) = (100, number);
        (counters.sessions_opened, counters.sessions_expired) = (10, 2 * number);
        ok(&mut outcome.totals, 0, number * 50_000_000);
        outcome.totals.transferred(0, 1_000, 1_000 * number);
        outcome.totals.unchecked(0, "large_result");
        report_of(&plan(), &outcome)
    })
}

#[test]
fn flows_steps_and_bytes_are_added_by_their_names() {
    let [a, b] = of_flows();
    let merged = merge_of(&[&a, &b]);
    let [sign_in, ..] = &merged.operations[..] else {
        panic!("no operation");
    };
    assert_eq!(sign_in.label, "checkout: sign in");
    assert_eq!(sign_in.figures.ok, 402);
    let bytes = sign_in.bytes.expect("both tell them");
    assert_eq!(
        (bytes.answer.total, bytes.answer.max),
        (2 * 79_900 + 3_000, 2_000)
    );
    assert!((bytes.request.mean - 162_000.0 / 402.0).abs() < 1e-6);
    let [flow] = &merged.flows[..] else {
        panic!("{:?}", merged.flows);
    };
    assert_eq!((flow.figures.started, flow.figures.ok), (400, 360));
    assert_eq!(flow.busy.p50_ms, a.flows[0].busy.p50_ms);
    let large_result = merged
        .unchecked
        .iter()
        .filter(|it| it.reason == "large_result");
    assert_eq!(
        large_result.map(|it| it.count).collect::<Vec<_>>(),
        [2, 200]
    );
    assert_eq!(merged.evidence, a.evidence);
    // A sum can be merged again.
    assert_eq!(figures(&merge_of(&[&merged])), figures(&merged));
    let mut without = b.clone();
    without.operations.iter_mut().for_each(|it| it.bytes = None);
    assert_eq!(merge_of(&[&a, &without]).operations[0].bytes, None);
}

#[test]
fn steps_of_tasks_are_added() {
    let part = |number: u64| {
        let mut outcome = outcome(&[("tools/call", Some("crunch"))]);
        outcome.start.at = Utc::from_unix_ms(1_795_437_667_250 + number);
        for method in ["tools/call", "tasks/get"] {
            outcome.start.rows.push(Row {
                subject: Some("crunch".to_string()),
                ..Row::new(RowKind::TaskStep, method)
            });
        }
        let n_rows = outcome.start.rows.len();
        let rows = &mut outcome.totals.rows;
        rows.resize_with(n_rows, Default::default);
        for i in 0..number * 10 {
            ok(&mut outcome.totals, 0, 90_000_000 + i);
            ok(&mut outcome.totals, n_rows - 2, 1_000_000 * number + i);
            ok(&mut outcome.totals, n_rows - 1, 2_000_000 + i);
        }
        report_of(&plan(), &outcome)
    };
    let (a, b) = (part(1), part(2));
    let merged = merge_of(&[&a, &b]);
    let [created, polled] = &merged.task_steps[..] else {
        panic!("{:?}", merged.task_steps);
    };
    assert_eq!(
        (created.method.as_str(), created.figures.ok),
        ("tools/call", 30)
    );
    assert_eq!(
        (polled.method.as_str(), polled.figures.ok),
        ("tasks/get", 30)
    );
    let (least, most) = (
        created.figures.latency.min_ms,
        created.figures.latency.max_ms,
    );
    assert_eq!(least, a.task_steps[0].figures.latency.min_ms);
    assert_eq!(most, b.task_steps[0].figures.latency.max_ms);
    assert_eq!(merged.totals.ok, 30);
    assert_eq!(figures(&merge_of(&[&merged])), figures(&merged));
}

/// What counters, bytes and flows tell of a sum decides it again; what is not stored
/// does not, and that is said.
#[test]
fn thresholds_are_decided_again_by_all_that_is_stored() {
    use crate::threshold::{Selector, SelectorKind};
    let decided = |text: &str, unit, selector: Option<SelectorKind>, change: Change| {
        let (metric, limit) = text.split_once('<').expect("a limit");
        let mut it = threshold(
            metric,
            limit.parse().expect("a number"),
            unit,
            GateGrade::Failed,
        );
        it.selector = selector.map(|kind| Selector {
            kind,
            name: match kind {
                SelectorKind::Flow => "checkout".to_string(),
                SelectorKind::Step => "sign in".to_string(),
                _ => "login".to_string(),
            },
            population: None,
        });
        let [mut a, mut b] = of_flows();
        (a.thresholds, b.thresholds) = (vec![it.clone()], vec![it]);
        change(&mut b);
        merge_of(&[&a, &b]).thresholds.remove(0)
    };
    use GateGrade::{Failed, Passed};
    use LimitUnit::{Bytes, Count, Ms, PerSec, Share};
    let goodput = (2.0 * 580.0 + 2.0) / 30.0;
    type Case<'a> = (&'a str, LimitUnit, Option<SelectorKind>, GateGrade, f64);
    let cases: &[Case<'_>] = &[
        ("goodput<38.8", PerSec, None, Passed, goodput),
        ("goodput<38.7", PerSec, None, Failed, goodput),
        ("dropped<4", Count, None, Passed, 3.0),
        ("dropped<0.015", Share, None, Failed, 0.015),
        ("sessions.lost<7", Count, None, Passed, 6.0),
        ("bytes.max<40000", Bytes, None, Failed, 40_000.0),
        (
            "bytes.max<2001",
            Bytes,
            Some(SelectorKind::Step),
            Passed,
            2_000.0,
        ),
        (
            "bytes.mean<404",
            Bytes,
            Some(SelectorKind::Tool),
            Failed,
            162_800.0 / 402.0,
        ),
        ("max<101", Ms, Some(SelectorKind::Step), Passed, 100.0),
        ("errors<0.2", Share, Some(SelectorKind::Flow), Passed, 0.1),
        ("max<30", Ms, Some(SelectorKind::Flow), Passed, 26.189),
        ("handshake.max<5", Ms, None, Failed, f64::NAN),
    ];
    for (text, unit, selector, grade, value) in cases {
        let found = decided(text, *unit, *selector, |_| {});
        assert_eq!(found.grade, *grade, "{text}: {found:?}");
        match value.is_nan() {
            true => assert_eq!(found.value, None, "{text}"),
            false => {
                let found = found.value.expect(text);
                assert!((found - value).abs() < 1e-6, "{text}: {found}");
            }
        }
    }
    let untold = |text, change: Change| {
        let found = decided(text, Bytes, None, change);
        (found.grade, found.why.expect("it is said"))
    };
    let (grade, why) = untold("bytes.p95<9", |_| {});
    assert_eq!(grade, Failed);
    assert!(
        why.contains("no histogram of bytes: as each part came out"),
        "{why}"
    );
    let (_, why) = untold("bytes.p95<9", |it| it.thresholds[0].grade = Passed);
    assert!(why.contains("the worst of the parts"), "{why}");
    let (_, why) = untold("bytes.max<9", |it| it.operations[0].bytes = None);
    assert!(why.contains("of a version that keeps no bytes"), "{why}");
    let above: Change = |it| it.thresholds[0].grade = Passed;
    let [mut a, mut b] = of_flows();
    let mut point = threshold("breaking_point", 10.0, LimitUnit::Load, Failed);
    point.comparison = Comparison::Above;
    (a.thresholds, b.thresholds) = (vec![point.clone()], vec![point]);
    above(&mut b);
    let found = merge_of(&[&a, &b]).thresholds.remove(0);
    assert_eq!(found.grade, Passed, "{found:?}");
    b.breaking_point.detected = true;
    let found = merge_of(&[&a, &b]).thresholds.remove(0);
    assert_eq!(found.grade, Failed, "{found:?}");
    // A part that a threshold ended is no part that kept it.
    let aborted = decided("max<90000", Ms, None, |it| {
        it.thresholds[0].aborted = true;
        it.thresholds[0].why = Some("it was plain".to_string());
    });
    assert_eq!(
        (aborted.grade, aborted.why.as_deref()),
        (Failed, Some("it was plain"))
    );
}

/// What leaked in one part has leaked, however many calls went well in the others.
#[test]
fn what_leaks_is_added_and_fails_the_whole() {
    let [mut a, mut b] = [report(1, &recorded(1, 4)), report(2, &recorded(2, 4))];
    let found = |foreign| IsolationFigures {
        marked: 10,
        returned: 10 - foreign,
        foreign,
        other_runs: 1,
    };
    (a.isolation, b.isolation) = (Some(found(0)), Some(found(3)));
    b.gate = GateOutcome::of(&[], Some(NOT_ISOLATED.to_string()));
    let merged = merge_of(&[&a, &b]);
    let sum = IsolationFigures {
        marked: 20,
        returned: 17,
        foreign: 3,
        other_runs: 2,
    };
    assert_eq!(merged.isolation, Some(sum));
    assert_eq!(merged.gate, b.gate);
}

/// Decided on the sum: each part keeps it or not by itself.
#[test]
fn thresholds_are_decided_again() {
    let decided = |metric: &str, limit, unit, grade| {
        let [mut a, mut b] = [report(1, &recorded(1, 4)), report(2, &recorded(2, 4))];
        a.thresholds = vec![threshold(metric, limit, unit, GateGrade::Passed)];
        b.thresholds = vec![threshold(metric, limit, unit, grade)];
        let merged = merge_of(&[&a, &b]);
        assert_eq!(merged.gate.grade, merged.thresholds[0].grade);
        (merged.thresholds[0].clone(), merged.totals)
    };
    let (p50, totals) = decided("p50", 100.0, LimitUnit::Ms, GateGrade::Failed);
    assert_eq!(
        (p50.grade, p50.value),
        (GateGrade::Passed, totals.latency.p50_ms)
    );
    let median = totals.latency.p50_ms.expect("calls");
    // Of the added histograms, as one run's is.
    let [low, high] = p50.interval.expect("of so many calls");
    assert!(low < median && median < high, "{low} {median} {high}");
    let (share, totals_of) = decided("errors", 0.5, LimitUnit::Share, GateGrade::Failed);
    let found = totals_of.failed as f64 / (totals_of.ok + totals_of.failed) as f64;
    assert_eq!(share.value, Some(found));
    assert_eq!(
        share.interval,
        Some(crate::metrics::share_interval(
            totals_of.failed,
            totals_of.ok + totals_of.failed
        ))
    );
    let (p50, _) = decided("p50", median * 0.9, LimitUnit::Ms, GateGrade::Passed);
    assert_eq!(p50.grade, GateGrade::Failed);
    let (near, _) = decided("p50", median * 1.000_5, LimitUnit::Ms, GateGrade::Failed);
    assert_eq!(near.grade, GateGrade::Failed);
    assert!(near.why.expect("said").contains("worst of the parts"));
    let (errors, totals) = decided("errors", 1_000.0, LimitUnit::Count, GateGrade::Failed);
    assert_eq!(
        (errors.value, errors.grade),
        (Some(totals.failed as f64), GateGrade::Passed)
    );
    let (other, _) = decided("breaking_point", 5.0, LimitUnit::Load, GateGrade::Failed);
    assert_eq!((other.value, other.grade), (None, GateGrade::Failed));
    assert!(other.why.expect("said").contains("not decided again"));
}

/// Calls that hung on one host decide what they decide of the whole, and the first line says
/// so.
#[test]
fn calls_without_an_answer_count_for_their_age_in_the_sum() {
    let decided = |metric: &str, limit: f64, unit, n_hung: usize| {
        let it = threshold(metric, limit, unit, GateGrade::Passed);
        let mut calls = [recorded(1, 9), recorded(2, 9)];
        for _ in 0..n_hung {
            cancelled(&mut calls[1][8], 0, 3_000_000_000);
        }
        let [mut a, mut b] = [report(1, &calls[0]), report(2, &calls[1])];
        (a.thresholds, b.thresholds) = (vec![it.clone()], vec![it]);
        let merged = merge_of(&[&a, &b]);
        let conclusion = crate::report::summary::conclusion(&merged).text();
        assert_eq!(
            conclusion.contains("p99 is at least 3.00 s"),
            n_hung > 1,
            "{conclusion}"
        );
        let it = merged.thresholds[0].clone();
        (it.grade, it.at_least, it.why.is_some())
    };
    use GateGrade::{Failed, Passed};
    use LimitUnit::{Ms, Share};
    assert_eq!(decided("p99", 200.0, Ms, 0), (Passed, false, false));
    assert_eq!(decided("p99", 200.0, Ms, 1), (Passed, false, false));
    assert_eq!(decided("p99", 200.0, Ms, 9), (Failed, true, true));
    assert_eq!(decided("p99", 4_000.0, Ms, 9), (Passed, false, false));
    assert_eq!(decided("max", 200.0, Ms, 9), (Failed, true, true));
    assert_eq!(decided("mean", 20.0, Ms, 9), (Failed, true, true));
    // Just kept without them.
    let [a, b] = [1, 2].map(|number| report(number, &recorded(number, 9)));
    let share = merge_of(&[&a, &b]).totals.error_rate.expect("calls");
    let errors = decided("errors", share + 0.001, Share, 9);
    assert_eq!(errors, (Passed, false, true));
    assert_eq!(decided("errors", 0.5, Share, 9), (Passed, false, false));
}

/// One host's last call was slow, and so is the rate of all.
#[test]
fn a_late_end_of_one_part_is_one_of_the_whole() {
    let [mut a, mut b] = [report(1, &recorded(1, 4)), report(2, &recorded(2, 4))];
    let rate = |report: &Report| report.totals.rate_per_sec.expect("a rate");
    let merged = merge_of(&[&a, &b]);
    assert_eq!(merged.verdict.bounds.expect("a run's").late_end, None);
    let limit = 1.01 * rate(&merged);
    a.thresholds = vec![threshold(
        "rate",
        limit,
        LimitUnit::PerSec,
        GateGrade::Failed,
    )];
    a.thresholds[0].comparison = Comparison::Above;
    b.thresholds = a.thresholds.clone();
    a.verdict.bounds.as_mut().expect("a run's").late_end = Some(LateEnd {
        after_secs: 4.8,
        rate_per_sec: 20.0 * rate(&a),
        goodput_per_sec: 20.0 * rate(&a),
    });
    let merged = merge_of(&[&a, &b]);
    let end = merged.verdict.bounds.and_then(|bounds| bounds.late_end);
    let end = end.expect("that of the first");
    let expected = 20.0 * rate(&a) + rate(&b);
    assert!((end.rate_per_sec / expected - 1.0).abs() < 1e-6, "{end:?}");
    let why = merged.thresholds[0].why.as_deref().expect("said");
    let said = "the last call ended 4.8s after the load";
    assert!(why.contains(said), "{why}");
}

/// The longest intervals of the parts are those of all.
#[test]
fn intervals_of_other_lengths_are_brought_to_the_longer() {
    let [a, mut b] = [report(1, &recorded(1, 12)), report(2, &recorded(2, 12))];
    let stored = b.histograms.as_mut().expect("histograms");
    stored.interval_secs = 5.0;
    for row in &mut stored.rows {
        let mut longer = Vec::new();
        for fives in row.intervals.clone().chunks(5) {
            let mut latency = Histogram::new();
            for second in fives {
                latency.merge(&row.histogram_of(second).expect("our own"));
            }
            let sum = |of: fn(&crate::report::model::StoredInterval) -> u64| {
                fives.iter().map(of).sum::<u64>()
            };
            longer.push(crate::report::model::StoredInterval {
                length_secs: fives.len() as f64,
                started: sum(|it| it.started),
                ok: sum(|it| it.ok),
                failed: sum(|it| it.failed),
                histogram: (!latency.is_empty()).then(|| latency.to_text()),
                max_ns: latency.max_ns(),
                ..fives[0].clone()
            });
        }
        row.intervals = longer;
    }
    let merged = merge_of(&[&a, &b]);
    let stored = merged.histograms.expect("histograms");
    assert_eq!(stored.interval_secs, 5.0);
    let spans = |row: &StoredRow| {
        let each = row.intervals.iter();
        each.map(|it| (it.at_secs, it.length_secs))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        spans(&stored.rows[0]),
        [(0.0, 5.0), (5.0, 5.0), (10.0, 2.0)]
    );
    let n_ok: u64 = stored.rows[0].intervals.iter().map(|it| it.ok).sum();
    assert_eq!(n_ok, merged.totals.ok);
    // No histogram of each second: percentiles only where one part alone has calls.
    let both = a
        .seconds
        .iter()
        .zip(&b.seconds)
        .filter(|(a, b)| a.ok > 0 && b.ok > 0);
    assert!(both.count() > 0);
    assert!(
        merged
            .seconds
            .iter()
            .any(|second| second.p50_ms.is_none() && second.ok > 0)
    );
}
