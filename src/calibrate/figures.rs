//! From the outcome of a run to the figures of a step: pure functions.

use crate::metrics::{Histogram, WorkerUsage};
use crate::outcome::{ClosedStep, OpenStep, Percentiles, Rows, RunOutcome};

/// How many rates the schedule is measured at.
pub const N_RATES: usize = 2;

/// Rates that the schedule is measured at where the host can do it.
const RATES: [f64; N_RATES] = [1_000.0, 10_000.0];

/// The most of the highest rate that each of them may be: at the first one the
/// worker mostly waits, at the second it has its hands full, but not too full.
const SHARES_MAX: [f64; N_RATES] = [0.1, 0.5];

/// The figures of a run of the closed model. `server_cpu_share` is the share of
/// one CPU that the server used in it.
pub fn closed_step(
    vus: u32,
    busy_poll: bool,
    run: &RunOutcome,
    server_cpu_share: Option<f64>,
) -> ClosedStep {
    let calls = Rows::new(&run.start.rows, &run.totals).totals();
    let n_calls = calls.finished();
    let seconds = run.elapsed.as_secs_f64();
    // There is one worker.
    let worker = run.self_check.workers.first();
    let per_call = |ns: u64| (n_calls > 0).then(|| ns as f64 / n_calls as f64);
    ClosedStep {
        vus,
        busy_poll,
        ok: calls.ok,
        failed: calls.failed,
        calls_per_sec: match seconds > 0.0 {
            true => n_calls as f64 / seconds,
            false => 0.0,
        },
        cpu_ns_per_call: worker
            .filter(|_| !busy_poll)
            .and_then(|worker| per_call(worker.cpu_ns?)),
        worker_busy_share: worker
            .filter(|worker| worker.wall_ns > 0)
            .map(|worker| worker.busy_ns as f64 / worker.wall_ns as f64),
        server_cpu_share,
        disturbed_share: disturbed_share(run),
        latency: spread(&calls.service_ok),
        generator_delay: spread(&run.totals.generator_delay),
    }
}

/// The figures of a run of the open model.
pub fn open_step(rate_per_sec: f64, busy_poll: bool, run: &RunOutcome) -> OpenStep {
    let calls = Rows::new(&run.start.rows, &run.totals).totals();
    OpenStep {
        rate_per_sec,
        busy_poll,
        ok: calls.ok,
        failed: calls.failed,
        dropped: run.totals.counters.arrivals_dropped,
        disturbed_share: disturbed_share(run),
        lateness: spread(&run.totals.lateness),
    }
}

/// The largest of what may have taken the worker's CPU away.
fn disturbed_share(run: &RunOutcome) -> Option<f64> {
    let check = &run.self_check;
    let waited = check.workers.first().and_then(WorkerUsage::run_delay_share);
    let shares = [waited, check.steal_share, check.throttled_share];
    shares.into_iter().flatten().reduce(f64::max)
}

/// The highest rate that was reached in a mode, in calls a second; `None`
/// without any call.
pub fn highest_rate(steps: &[ClosedStep], busy_poll: bool) -> Option<f64> {
    steps
        .iter()
        .filter(|step| step.busy_poll == busy_poll && step.ok > 0)
        .map(|step| step.calls_per_sec)
        .reduce(f64::max)
}

/// The rates of the open model, from the highest of the closed one: ascending,
/// two digits each; `None` where that allows of none.
pub fn schedule_rates(highest: f64) -> Option<[f64; N_RATES]> {
    let mut rates = RATES;
    for (rate, share) in rates.iter_mut().zip(SHARES_MAX) {
        let most = highest * share;
        // What is not a number is not a rate.
        if most.is_nan() || *rate > most {
            *rate = two_digits(most)?;
        }
    }
    Some(rates)
}

/// Rounded down to two significant digits; `None` for less than 1.
fn two_digits(value: f64) -> Option<f64> {
    if !value.is_finite() || value < 1.0 {
        return None;
    }
    let scale = 10_f64.powi(1 - value.log10().floor() as i32);
    // What is a whole number but for rounding stays that number.
    const ROUNDING: f64 = 1e-9;
    Some((value * scale + ROUNDING).floor() / scale)
}

fn spread(histogram: &Histogram) -> Option<Percentiles> {
    Some(Percentiles {
        count: histogram.len(),
        p50_ns: histogram.quantile_ns(0.5)?,
        p99_ns: histogram.quantile_ns(0.99)?,
        p99_9_ns: histogram.quantile_ns(0.999)?,
        max_ns: histogram.max_ns()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Utc;
    use crate::metrics::{Failure, Outcome, Recorder};
    use crate::outcome::{
        Ended, GateOutcome, GeneratorFacts, Row, RowKind, RunStart, SelfCheck, ServerFacts,
    };
    use crate::protocol::{Era, Revision};
    use crate::validity::Verdict;
    use std::time::Duration;

    const CALL: usize = 0;
    const HANDSHAKE: usize = 1;

    fn run(elapsed: Duration) -> RunOutcome {
        let rows = vec![
            Row::new(RowKind::Call, "tools/call"),
            Row::new(RowKind::Handshake, "initialize"),
        ];
        RunOutcome {
            tokens: None,
            totals: Recorder::new(rows.len()),
            warm_up: Some((WARM, Recorder::new(rows.len()))),
            start: RunStart {
                at: Utc::from_unix_ms(0),
                servers: vec![ServerFacts {
                    url: String::new(),
                    era: Era::Legacy,
                    revision: Revision::LATEST_LEGACY,
                    name: None,
                    version: None,
                    has_sessions: true,
                    proxy: None,
                    addresses: 1,
                    stream: None,
                }],
                rows,
                generator: GeneratorFacts::of_two_cpus(),
                duration: None,
                iterations: None,
            },
            ended: Ended::Duration,
            elapsed,
            stages: Vec::new(),
            intervals: None,
            seconds: Vec::new(),
            vus_max: 1,
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

    const WARM: Duration = Duration::from_millis(500);

    #[test]
    fn figures_are_those_of_the_calls() {
        let mut run = run(Duration::from_secs(2));
        for i in 1..=998 {
            run.totals.record(CALL, i * 100, Outcome::Ok);
        }
        for _ in 0..2 {
            let failed = Outcome::Failed(Failure::Tool, "");
            run.totals.record(CALL, 1, failed);
        }
        run.totals.record(HANDSHAKE, 1_000_000_000, Outcome::Ok);
        run.totals.generator_delay.record(7_000);
        run.self_check.workers = vec![WorkerUsage {
            wall_ns: 2_000_000_000,
            busy_ns: 1_500_000_000,
            cpu_ns: Some(1_000_000_000),
            run_delay_ns: Some(200_000_000),
            ..WorkerUsage::default()
        }];
        let step = closed_step(64, false, &run, Some(0.25));
        assert_eq!((step.vus, step.ok, step.failed), (64, 998, 2));
        assert_eq!(step.calls_per_sec, 500.0);
        assert_eq!(step.cpu_ns_per_call, Some(1_000_000.0));
        assert_eq!(step.worker_busy_share, Some(0.75));
        assert_eq!(step.server_cpu_share, Some(0.25));
        assert_eq!(step.disturbed_share, Some(0.1));
        run.self_check.steal_share = Some(0.2);
        let stolen = open_step(1.0, false, &run).disturbed_share;
        assert_eq!(stolen, Some(0.2), "the largest");
        let latency = step.latency.expect("calls");
        assert_eq!((latency.count, latency.max_ns), (998, 99_800));
        assert!(latency.p50_ns.abs_diff(49_900) < 100, "{latency:?}");
        assert_eq!(step.generator_delay.map(|delay| delay.max_ns), Some(7_000));
        let busy = closed_step(64, true, &run, None);
        assert_eq!((busy.cpu_ns_per_call, busy.server_cpu_share), (None, None));
        assert_eq!(busy.worker_busy_share, Some(0.75));
    }

    #[test]
    fn nothing_measured_is_no_figure() {
        let step = closed_step(1, false, &run(Duration::ZERO), None);
        assert_eq!((step.ok, step.calls_per_sec), (0, 0.0));
        assert_eq!((step.latency, step.cpu_ns_per_call), (None, None));
        assert_eq!((step.worker_busy_share, step.disturbed_share), (None, None));
        assert_eq!(highest_rate(&[step], false), None, "no call, no rate");
        assert_eq!(open_step(1.0, false, &run(WARM)).lateness, None);
    }

    #[test]
    fn lateness_and_dropped_arrivals_are_those_of_the_run() {
        let mut run = run(Duration::from_secs(1));
        run.totals.record(CALL, 10, Outcome::Ok);
        run.totals.lateness.record(52_000);
        run.totals.counters.arrivals_dropped = 3;
        let step = open_step(1_000.0, true, &run);
        assert_eq!((step.ok, step.dropped, step.busy_poll), (1, 3, true));
        assert_eq!(step.lateness.map(|lateness| lateness.p99_ns), Some(52_000));
    }

    #[test]
    fn each_mode_has_its_own_highest_rate() {
        let empty = closed_step(1, false, &run(WARM), None);
        let at = |calls_per_sec, busy_poll| ClosedStep {
            ok: 1,
            calls_per_sec,
            busy_poll,
            ..empty
        };
        let steps = [
            at(10.0, false),
            at(30.0, false),
            at(20.0, false),
            at(40.0, true),
        ];
        assert_eq!(highest_rate(&steps, false), Some(30.0));
        assert_eq!(highest_rate(&steps, true), Some(40.0));
        assert_eq!(highest_rate(&[], true), None);
    }

    #[test]
    fn the_rates_of_the_schedule_are_ones_that_the_host_can_keep() {
        assert_eq!(schedule_rates(51_200.0), Some([1_000.0, 10_000.0]));
        assert_eq!(schedule_rates(8_765.0), Some([870.0, 4_300.0]));
        assert_eq!(schedule_rates(47.0), Some([4.7, 23.0]));
        assert_eq!(schedule_rates(10.0), Some([1.0, 5.0]));
        for highest in [0.0, 3.0, f64::NAN, -1.0] {
            assert_eq!(schedule_rates(highest), None, "{highest}");
        }
    }
}
