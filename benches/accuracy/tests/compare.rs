//! Reports beside records.

use crate::accuracy::beside;
use crate::accuracy::compare::*;
use crate::accuracy::generator::{Bounds, Figures, Noise, Ran, Report};
use crate::accuracy::server::Served;
use crate::accuracy::truth::Call;
use std::time::Duration;

const MS: u64 = 1_000_000;

fn figures(us: f64) -> Figures {
    Figures {
        p50_us: us,
        p90_us: us,
        p99_us: us,
        p99_9_us: us,
        mean_us: us,
        max_us: us,
    }
}

/// Ten calls of 1 ms each, one every 2 ms, and a report of them.
fn ten_calls() -> (Ran, Served) {
    let call = |k: u64| Call {
        received_ns: 2 * k * MS,
        read_ns: 2 * k * MS,
        due_ns: (2 * k + 1) * MS - 3_000,
        answered_ns: (2 * k + 1) * MS,
        handed_ns: (2 * k + 1) * MS + 5_000,
    };
    let report = Report {
        started: 10,
        ok: 10,
        failed: 0,
        cancelled: 0,
        dropped: 0,
        seconds: 0.02,
        service: figures(1010.0),
        response: Some(figures(1020.0)),
        least_late_us: 2.0,
        over: vec![(0.5, 10), (1.0, 0)],
        grade: "valid".to_string(),
        bounds: Some(Bounds {
            service: (50.0, 250.0),
            response: Some((50.0, 250.0)),
        }),
    };
    let ran = Ran {
        report,
        cpu_share: Some(0.3),
        noise: Noise::default(),
    };
    let served = Served {
        calls: (0..10).map(call).collect(),
        frozen: Some(Duration::from_secs(2)),
        n_lost: 0,
    };
    (ran, served)
}

#[test]
fn errors_are_reported_less_true() {
    let (ran, served) = ten_calls();
    let judged = judge(&ran, &served, Some(500.0), 0.5).expect("they agree");
    for (pair, name) in judged.service.0.into_iter().zip(FIGURES) {
        assert_eq!((pair.truth, pair.error()), (1000.0, 10.0), "{name}");
    }
    let response = judged.response.expect("an open model");
    // 1020 us, of which 2 us are how late the promptest call was.
    assert_eq!(response.0[P99].error(), 18.0);
    let over = judged.over.expect("such a limit");
    assert_eq!((over.reported, over.truth), (1.0, 1.0));
    assert_eq!(judged.server_late_p99_us, 3.0);
    assert_eq!(judged.calls_per_sec, 500.0);
}

#[test]
fn a_run_beside_others_is_disturbed() {
    let (mut ran, served) = ten_calls();
    let is_disturbed = |ran: &Ran| {
        let judged = judge(ran, &served, None, 1.0).expect("they agree");
        judged.is_disturbed()
    };
    assert!(!is_disturbed(&ran));
    ran.noise.others = Some(0.2);
    assert!(is_disturbed(&ran));
    ran.noise = Noise {
        stolen: Some(0.02),
        ..Noise::default()
    };
    assert!(is_disturbed(&ran));
}

#[test]
fn a_call_too_many_or_too_few_is_noticed() {
    let check = |change: fn(&mut Ran, &mut Served), expected: &str| {
        let (mut ran, mut served) = ten_calls();
        change(&mut ran, &mut served);
        let error = judge(&ran, &served, Some(500.0), 0.5).expect_err("they differ");
        assert!(error.contains(expected), "{error}");
    };
    check(|ran, _| ran.report.started = 11, "does not add up");
    check(
        |ran, _| (ran.report.ok, ran.report.failed) = (9, 1),
        "all must succeed",
    );
    check(
        |_, served| served.calls.truncate(9),
        "10 calls, the server read 9",
    );
    check(|_, served| served.calls[3].answered_ns = 0, "answered 9");
    check(|_, served| served.n_lost = 1, "lost 1");
}

#[test]
fn responses_are_not_judged_where_arrivals_were_dropped() {
    let (mut ran, served) = ten_calls();
    ran.report.dropped = 1;
    let judged = judge(&ran, &served, Some(500.0), 0.5).expect("they agree");
    assert_eq!((judged.response, judged.over), (None, None));
}

#[test]
fn a_closed_model_is_judged_by_its_service_times() {
    let (mut ran, served) = ten_calls();
    ran.report.response = None;
    let judged = judge(&ran, &served, None, 1.0).expect("they agree");
    assert_eq!(judged.response, None);
    assert_eq!(judged.over.map(Pair::error), Some(0.0));
}

#[test]
fn a_figure_is_held_against_the_bound_that_the_verdict_gave() {
    let (mut ran, served) = ten_calls();
    let found = |ran: &Ran| beside::compare(ran, &served).expect("bounds");
    // 1000 us until the answer was handed over, 1005 us until it was taken.
    let quiet = found(&ran);
    let errors: Vec<f64> = quiet.iter().map(beside::Bounded::error_us).collect();
    assert_eq!(errors, [5.0, 5.0, 15.0, 15.0]);
    assert!(quiet.iter().all(beside::Bounded::holds));
    ran.report.service.p99_us = 1300.0;
    let late = found(&ran);
    assert!(!late[1].holds() && late[0].holds());
    assert!(beside::line("open/fixed", 1, "valid", &late).contains("NOT WITHIN"));
    ran.report.service.p99_us = 700.0;
    assert_eq!(found(&ran)[1].error_us(), -300.0);
    // Which arrivals were dropped the server does not know.
    ran.report.dropped = 1;
    assert_eq!(found(&ran).len(), 2);
    ran.report.bounds = None;
    assert!(beside::compare(&ran, &served).is_err());
}
