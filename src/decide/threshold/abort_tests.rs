//! Runs that are ended, and runs that are not, on simulated servers: an M/M/1 queue
//! of 1,000 a second, at shares of the load that just keeps the limit.

use super::*;
use crate::seeds::{least_of, most_of, n_seeds};
use crate::threshold::parse;

const SERVICE_RATE: f64 = 1000.0;

/// Ten minutes.
const RUN_SECONDS: usize = 600;

fn rule(text: &str, grace: Duration) -> Threshold {
    let mut threshold = parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"));
    threshold.abort_after = Some(grace);
    threshold
}

fn moment(second: usize, ended: u64) -> Moment {
    Moment {
        at: Duration::from_secs(second as u64 + 1),
        ended,
        answered: ended,
        in_flight: 1,
        p99: Duration::ZERO,
    }
}

/// When a run is ended that has these seconds, in seconds.
fn ended_at(text: &str, seconds: impl Iterator<Item = WatchedCounts>) -> Option<usize> {
    let mut watcher = AbortWatcher::new(&[rule(text, Duration::ZERO)], Duration::ZERO);
    for (at, counts) in seconds.enumerate() {
        if watcher.see(&moment(at, counts.ended), &[counts]).is_some() {
            return Some(at + 1);
        }
    }
    None
}

/// The seconds of an M/M/1 queue: by Lindley's recursion, a call is late whose wait and
/// service take longer than the limit.
fn queue(load: f64, limit_secs: f64, seed: u64) -> impl Iterator<Item = WatchedCounts> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut exponential = move |rate: f64| -(1.0 - random.f64()).ln() / rate;
    let mut response = 0.0;
    let mut at = 0.0;
    let mut later: VecDeque<WatchedCounts> = VecDeque::new();
    (0..RUN_SECONDS).map(move |second| {
        while at < (second + 1) as f64 {
            let gap = exponential(load);
            at += gap;
            response = f64::max(response - gap, 0.0) + exponential(SERVICE_RATE);
            let ends_in = (at + response) as usize - second;
            if later.len() <= ends_in {
                later.resize(ends_in + 1, WatchedCounts::default());
            }
            later[ends_in].ended += 1;
            later[ends_in].missed += u64::from(response > limit_secs);
        }
        later.pop_front().unwrap_or_default()
    })
}

/// Of `n` runs at this share of the true capacity, how many are ended.
fn n_ended(text: &str, allowed: f64, limit_secs: f64, share: f64, n: u64) -> u64 {
    let capacity = SERVICE_RATE - (1.0 / allowed).ln() / limit_secs;
    let runs = (0..n).map(|seed| ended_at(text, queue(share * capacity, limit_secs, seed)));
    runs.filter(Option::is_some).count() as u64
}

/// `measurement.md`'s table: of 60 runs, none at 0.95 of the capacity, 60 at 1.10.
#[test]
fn good_runs_go_on_and_bad_ones_end() {
    let n = n_seeds(3, 60);
    let of_p99 = |share| n_ended("p99<=50ms", 0.01, 0.05, share, n);
    assert_eq!(of_p99(0.9), 0);
    assert!(of_p99(0.95) <= most_of(0.02, n));
    assert!(of_p99(1.05) >= least_of(0.9, n));
    assert_eq!(of_p99(1.10), n);
    let of_p95 = |share| n_ended("p95<=20ms", 0.05, 0.02, share, n);
    assert_eq!(of_p95(0.9), 0);
    assert!(of_p95(0.95) <= most_of(0.02, n));
    let n_at_98 = of_p95(0.98);
    // 4 of 60; of the rule without the sum 57.
    assert!(n_at_98 <= most_of(0.1, n), "{n_at_98} of {n}");
    assert!(of_p95(1.10) >= least_of(0.9, n));
}

fn second(ended: u64, failed: u64, missed: u64) -> WatchedCounts {
    WatchedCounts {
        ended,
        failed,
        missed,
    }
}

#[test]
fn what_is_plain_ends_a_run_after_ten_seconds_and_an_outage_after_three() {
    let always = |counts| std::iter::repeat_n(counts, RUN_SECONDS);
    assert_eq!(ended_at("p99<1ms", always(second(100, 0, 50))), Some(10));
    assert_eq!(ended_at("p95<1ms", always(second(100, 0, 50))), Some(10));
    assert_eq!(ended_at("p50<1ms", always(second(100, 0, 90))), Some(10));
    assert_eq!(ended_at("max<1ms", always(second(100, 0, 1))), Some(10));
    assert_eq!(ended_at("errors<1%", always(second(100, 60, 60))), Some(3));
    assert_eq!(ended_at("p99<1ms", always(second(100, 60, 60))), Some(3));
    // As many may fail.
    assert_eq!(ended_at("errors<90%", always(second(100, 60, 60))), None);
    assert_eq!(ended_at("p99<1ms", always(second(100, 0, 1))), None);
    assert_eq!(ended_at("p99<1ms", always(second(100, 0, 0))), None);
    // Too few for a window of ten seconds.
    assert_eq!(ended_at("p99<1ms", always(second(5, 0, 5))), Some(20));
    // A hundred requests in no window.
    assert_eq!(ended_at("p99<1ms", always(second(1, 0, 1))), None);
    // An outage takes three times twenty requests, however long they take.
    assert_eq!(ended_at("p99<1ms", always(second(5, 5, 5))), Some(12));
    assert_eq!(ended_at("errors<50%", always(second(19, 19, 19))), Some(6));
    assert_eq!(ended_at("errors<1%", always(second(1, 1, 1))), Some(60));
}

#[test]
fn one_bad_moment_ends_no_run() {
    // A tenth of all calls is late, in one second of ten.
    let stall = (0..RUN_SECONDS).map(|at| match at % 10 {
        0 => second(100, 0, 100),
        _ => second(100, 0, 0),
    });
    assert_eq!(ended_at("p99<1ms", stall), None);
    let outages = (0..RUN_SECONDS).map(|at| match at % 10 {
        0 | 1 => second(100, 100, 100),
        _ => second(100, 0, 0),
    });
    assert_eq!(ended_at("p99<1ms", outages), None);
}

#[test]
fn a_silent_server_ends_it_after_five_times_its_p99() {
    let silent_for = |p99| {
        let mut watcher = AbortWatcher::new(&[rule("p99<1s", Duration::ZERO)], Duration::ZERO);
        let mut seconds = 0..RUN_SECONDS;
        seconds.find_map(|at| {
            let moment = Moment {
                p99,
                ..moment(at, 0)
            };
            watcher
                .see(&moment, &[WatchedCounts::default()])
                .map(|abort| (at + 1, abort.why))
        })
    };
    let told = |secs: usize| Some((secs, format!("no call was answered for {secs}s")));
    assert_eq!(silent_for(Duration::ZERO), told(10));
    assert_eq!(silent_for(Duration::from_secs(4)), told(20));
    // Nobody waits for an answer.
    let mut watcher = AbortWatcher::new(&[rule("p99<1s", Duration::ZERO)], Duration::ZERO);
    let idle = |at| Moment {
        in_flight: 0,
        ..moment(at, 0)
    };
    assert!((0..RUN_SECONDS).all(|at| {
        watcher
            .see(&idle(at), &[WatchedCounts::default()])
            .is_none()
    }));
}

#[test]
fn the_grace_and_the_warm_up_do_not_count() {
    let warm_up = Duration::from_secs(5);
    let rule = rule("errors<1%", Duration::from_secs(10));
    let mut watcher = AbortWatcher::new(&[rule], warm_up);
    let bad = second(100, 100, 100);
    let ended = (0..RUN_SECONDS).find(|at| watcher.see(&moment(*at, 100), &[bad]).is_some());
    // Fifteen seconds are let go, three more show an outage.
    assert_eq!(ended.map(|at| at + 1), Some(18));
}

/// A few calls a second, of which nearly as many fail as may.
#[test]
fn few_calls_that_fail_by_chance_end_no_run() {
    let n = n_seeds(8, 200);
    let run = |share: f64, seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let seconds = (0..RUN_SECONDS).map(move |_| {
            let failed = (0..5).filter(|_| random.f64() < share).count() as u64;
            second(5, failed, failed)
        });
        ended_at("errors<=50%", seconds)
    };
    let n_ended = |share| (0..n).filter(|seed| run(share, *seed).is_some()).count() as u64;
    assert_eq!(n_ended(0.3), 0);
    assert!(n_ended(0.4) <= most_of(0.02, n));
    assert_eq!(n_ended(0.9), n);
}

/// Calls that end without an answer break no silence, however few they are; nor does a
/// second in which nobody calls.
#[test]
fn timeouts_and_refusals_are_no_answer() {
    let ended_at = |text: &str, seconds: &[(u64, u64, u64)]| {
        let mut watcher = AbortWatcher::new(&[rule(text, Duration::ZERO)], Duration::ZERO);
        let mut all = seconds.iter().cycle().take(RUN_SECONDS).enumerate();
        all.find_map(|(at, (ended, answered, in_flight))| {
            let moment = Moment {
                answered: *answered,
                in_flight: *in_flight,
                ..moment(at, *ended)
            };
            let failed = ended - answered;
            let counts = second(*ended, failed, failed);
            watcher.see(&moment, &[counts]).map(|_| at + 1)
        })
    };
    // A timeout every other second, a refusal each second, and each second one.
    assert_eq!(ended_at("p95<1s", &[(0, 0, 1), (1, 0, 1)]), Some(10));
    assert_eq!(ended_at("errors<50%", &[(1, 0, 0)]), Some(10));
    assert_eq!(ended_at("errors<50%", &[(1, 0, 0), (0, 0, 0)]), Some(19));
    // All may fail.
    assert_eq!(ended_at("errors<=100%", &[(1, 0, 0)]), None);
    // One of many is answered.
    let one_of_nine = [[(0, 0, 1); 8].as_slice(), &[(1, 1, 1)]].concat();
    assert_eq!(ended_at("p95<1s", &one_of_nine), None);
}
