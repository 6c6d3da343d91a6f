//! The table of `self_check.md`, rule by rule.

use super::evidence::{Evidence, Model, SecondSignals, Spread, load};
use super::reason::Limits;
use super::second::CALLS_PER_CONNECT;
use super::{GeneratorLimit, Grade, Reason, Verdict};

use std::time::Duration;

/// A grade with its reason; `None`: all is well by this rule.
type Finding = Option<(Grade, Reason)>;

/// Judges a run.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let rules: [fn(&Evidence<'_>) -> Finding; 20] = [
        no_local_resources,
        throttled,
        steal,
        worker_stalled,
        waiting_for_cpu,
        switched_out,
        behind_schedule,
        worker_busy,
        slow_reading,
        late_starts,
        long_loops,
        arrivals_dropped,
        little,
        clock_stepped,
        user_space_times,
        not_pinned,
        near_calibrated_rate,
        at_noise_floor,
        noisier_than_calibrated,
        too_little,
    ];
    let findings = rules.into_iter().filter_map(|rule| rule(evidence));
    Verdict::of(findings.collect())
}

/// A worker that is busier has no time left for more load.
const BUSY: f64 = 0.9;
/// In a single second, which may be busy by chance.
const BUSY_SECOND: f64 = 0.95;
/// What lasts this share of the seconds is no accident.
const LASTING_SHARE: f64 = 0.2;
/// Nor is what lasts so many.
const LASTING_SECONDS: usize = 3;
/// Reads that the kernel did not time, from which on they matter. The first on
/// a host often go without: the kernel switches its timestamps on when somebody
/// asks for them.
const FALLBACK_SHARE: f64 = 0.01;

fn worker_busy(evidence: &Evidence<'_>) -> Finding {
    let (worker, share) = busiest(evidence)?;
    let n_busy = lasting(evidence.seconds, |second| {
        second.busy_share.is_some_and(|share| share >= BUSY_SECOND)
    });
    if share < BUSY && n_busy == 0 {
        return None;
    }
    let is_behind = n_behind(evidence) > 0;
    let has_kernel_times = !has_fallback(evidence);
    let grade = if is_behind || !has_kernel_times {
        Grade::Invalid
    } else {
        Grade::Suspect
    };
    let reason = Reason::WorkerBusy {
        worker,
        share,
        seconds: (n_busy, evidence.seconds.len()),
        has_kernel_times,
        limits: match evidence.model {
            Model::Closed => Limits::Load,
            Model::Open if is_behind || has_dropped(evidence) => Limits::Rate,
            Model::Open => Limits::Nothing,
        },
    };
    Some((grade, reason))
}

/// A worker that waits longer for a CPU sends late enough to matter.
const WAITING: f64 = 0.1;
const WAITING_SECOND: f64 = 0.25;
/// Here others have the CPU as often as we do.
const WAITING_INVALID: f64 = 0.4;

fn waiting_for_cpu(evidence: &Evidence<'_>) -> Finding {
    let (worker, share) = worst(evidence, |worker| worker.usage.run_delay_share())?;
    let n_waiting = lasting(evidence.seconds, |second| {
        second
            .run_delay_share
            .is_some_and(|share| share >= WAITING_SECOND)
    });
    let grade =
        grade_from(share, WAITING, WAITING_INVALID).or((n_waiting > 0).then_some(Grade::Suspect))?;
    Some((grade, Reason::WaitingForCpu { worker, share }))
}

/// A thread that sleeps by itself loses its CPU to others less often.
const SWITCHES_PER_SEC: f64 = 100.0;

fn switched_out(evidence: &Evidence<'_>) -> Finding {
    let per_sec = |worker: &super::WorkerEvidence| {
        // Where the system tells how long that took, that is looked at.
        if worker.usage.run_delay_ns.is_some() || worker.usage.wall_ns == 0 {
            return None;
        }
        let switches = worker.usage.involuntary_switches? as f64;
        Some(switches / (worker.usage.wall_ns as f64 / 1e9))
    };
    let (worker, per_sec) = worst(evidence, per_sec)?;
    (per_sec >= SWITCHES_PER_SEC)
        .then_some((Grade::Suspect, Reason::SwitchedOut { worker, per_sec }))
}

const LOOP_NS: u64 = 10_000_000;

fn long_loops(evidence: &Evidence<'_>) -> Finding {
    let p99_ns = evidence.loop_time.p99_ns;
    let is_long = has_enough(&evidence.loop_time)
        && p99_ns >= LOOP_NS
        && p99_ns >= evidence.service.p50_ns / 2;
    // A busy worker's loops are long: that is said once.
    let is_said = worker_busy(evidence).is_some() || slow_reading(evidence).is_some();
    (is_long && !is_said).then_some((Grade::Suspect, Reason::LongLoops { p99_ns }))
}

/// Below this nobody would act on it.
const OWN_FAULT_NS: u64 = 1_000_000;
/// A fault of ours that is a smaller share of the median latency is no more than
/// noise on it.
const OWN_FAULT_PART: u64 = 10;

fn slow_reading(evidence: &Evidence<'_>) -> Finding {
    let delay = &evidence.generator_delay;
    let latency_ns = evidence.service.p50_ns;
    let n_longer = count(evidence.seconds, |second| {
        matches!(second.limit, Some(GeneratorLimit::Reading { .. }))
    });
    let is_longer = n_longer > 0 && 2 * n_longer >= evidence.seconds.len();
    if !is_longer && !is_own_fault(delay, latency_ns) {
        return None;
    }
    let grade = if is_longer {
        Grade::Invalid
    } else {
        Grade::Suspect
    };
    let reason = Reason::SlowReading {
        delay_ns: (delay.p50_ns, delay.p99_ns),
        latency_ns,
        is_longer,
    };
    Some((grade, reason))
}

fn late_starts(evidence: &Evidence<'_>) -> Finding {
    let lateness = &evidence.lateness;
    let latency_ns = evidence.headline.p50_ns;
    let ended = evidence.ok + evidence.failed;
    let connects_matter = evidence.connects.saturating_mul(CALLS_PER_CONNECT) > ended;
    if connects_matter || !is_own_fault(lateness, latency_ns) {
        return None;
    }
    let is_half = lateness.p50_ns >= OWN_FAULT_NS && lateness.p50_ns >= latency_ns / 2;
    let grade = if is_half {
        Grade::Invalid
    } else {
        Grade::Suspect
    };
    let reason = Reason::LateStarts {
        lateness_ns: (lateness.p50_ns, lateness.p99_ns),
        latency_ns,
    };
    Some((grade, reason))
}

/// A fault that lasts this share of the seconds spoils the whole.
const SPOILT_SHARE: f64 = 0.05;

fn behind_schedule(evidence: &Evidence<'_>) -> Finding {
    let n_behind = n_behind(evidence);
    let shares = evidence
        .seconds
        .iter()
        .filter_map(|second| match second.limit {
            Some(GeneratorLimit::Behind { share, .. }) => Some(share),
            _ => None,
        });
    let share = shares.reduce(f64::min)?;
    let seconds = (n_behind, evidence.seconds.len());
    let grade = spoilt(seconds, 2);
    Some((grade, Reason::BehindSchedule { seconds, share }))
}

fn worker_stalled(evidence: &Evidence<'_>) -> Finding {
    let stalled_ns = u64::try_from(super::second::SILENCE_MAX.as_nanos()).unwrap_or(u64::MAX);
    let all = evidence
        .workers
        .iter()
        .map(|worker| worker.usage.turn_max_ns);
    let longest_ns = all.max().filter(|ns| *ns > stalled_ns)?;
    // A stall in a second that is not a whole one still is one.
    let n_stalled = count(evidence.seconds, |second| second.turn_max_ns > stalled_ns).max(1);
    let seconds = (n_stalled, evidence.seconds.len().max(1));
    let grade = spoilt(seconds, LASTING_SECONDS);
    let reason = Reason::WorkerStalled {
        seconds,
        longest_ns,
    };
    Some((grade, reason))
}

const THROTTLED: f64 = 0.01;
const THROTTLED_INVALID: f64 = 0.1;

fn throttled(evidence: &Evidence<'_>) -> Finding {
    // It is the time of all CPUs together.
    let share = evidence.throttled_share?.min(1.0);
    let grade = grade_from(share, THROTTLED, THROTTLED_INVALID)?;
    Some((grade, Reason::Throttled { share }))
}

const STEAL: f64 = 0.05;
const STEAL_INVALID: f64 = 0.2;

fn steal(evidence: &Evidence<'_>) -> Finding {
    let share = evidence.steal_share?;
    Some((
        grade_from(share, STEAL, STEAL_INVALID)?,
        Reason::Steal { share },
    ))
}

/// Of attempts or users: more than noise in any figure.
const NO_RESOURCES_INVALID: f64 = 0.01;

fn no_local_resources(evidence: &Evidence<'_>) -> Finding {
    let resources = &evidence.resources;
    if resources.failures == 0 {
        return None;
    }
    let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
    let of_attempts = share(resources.failures, resources.attempts);
    let of_users = share(resources.users_without, resources.users);
    let grade = grade_from(of_attempts.max(of_users), 0.0, NO_RESOURCES_INVALID)?;
    let reason = Reason::NoLocalResources {
        failures: resources.failures,
        attempts: resources.attempts,
        users_without: resources.users_without,
        which: resources.which.clone(),
    };
    Some((grade, reason))
}

/// A few wait when any run ends.
const DROPPED: f64 = 0.005;

fn has_dropped(evidence: &Evidence<'_>) -> bool {
    let (dropped, arrivals) = (evidence.arrivals_dropped, evidence.arrivals);
    dropped > 0 && dropped as f64 >= DROPPED * arrivals as f64
}

fn arrivals_dropped(evidence: &Evidence<'_>) -> Finding {
    let (dropped, arrivals) = (evidence.arrivals_dropped, evidence.arrivals);
    has_dropped(evidence).then(|| {
        let reason = Reason::ArrivalsDropped {
            dropped,
            arrivals,
            is_behind: n_behind(evidence) > 0 || worker_busy(evidence).is_some(),
        };
        (Grade::Suspect, reason)
    })
}

const LITTLE_GAP: f64 = 0.1;
const LITTLE_GAP_INVALID: f64 = 0.5;
/// A gap that is less than this many calls is one of counting.
const LITTLE_CALLS: f64 = 0.5;

fn little(evidence: &Evidence<'_>) -> Finding {
    let (in_flight, by_latency) = (evidence.in_flight_mean?, evidence.in_flight_by_latency?);
    let missing = by_latency - in_flight;
    if missing < LITTLE_CALLS || too_little(evidence).is_some() {
        return None;
    }
    let grade = grade_from(missing / by_latency, LITTLE_GAP, LITTLE_GAP_INVALID)?;
    let reason = Reason::Little {
        in_flight,
        by_latency,
    };
    Some((grade, reason))
}

fn clock_stepped(evidence: &Evidence<'_>) -> Finding {
    (evidence.clock_steps > 0).then(|| {
        let reason = Reason::ClockStepped {
            steps: evidence.clock_steps,
            largest_ns: evidence.clock_step_max_ns,
            unusable: evidence.reads.unusable,
        };
        (Grade::Suspect, reason)
    })
}

const USER_SPACE_LOOP_NS: u64 = 100_000;

fn user_space_times(evidence: &Evidence<'_>) -> Finding {
    let share = evidence.reads.fallback_share()?;
    let loop_p99_ns = evidence.loop_time.p99_ns;
    let matters = loop_p99_ns >= USER_SPACE_LOOP_NS
        && loop_p99_ns >= evidence.service.p50_ns / OWN_FAULT_PART
        && evidence.service.count > 0;
    (has_fallback(evidence) && matters).then_some((
        Grade::Suspect,
        Reason::UserSpaceTimes { share, loop_p99_ns },
    ))
}

fn not_pinned(evidence: &Evidence<'_>) -> Finding {
    (evidence.n_not_pinned > 0).then(|| {
        let reason = Reason::NotPinned {
            count: evidence.n_not_pinned,
            workers: evidence.workers.len(),
        };
        (Grade::Suspect, reason)
    })
}

const SHORT: Duration = Duration::from_secs(1);
/// Percentiles of fewer are the largest few.
const SAMPLES_MIN: u64 = 100;

/// Where nothing succeeded there are no figures to doubt.
fn too_little(evidence: &Evidence<'_>) -> Finding {
    let reason = match evidence.ok {
        0 => return None,
        count if count < SAMPLES_MIN => Reason::FewSamples { count },
        _ if evidence.elapsed < SHORT => Reason::ShortRun {
            elapsed: evidence.elapsed,
        },
        _ => return None,
    };
    Some((Grade::Suspect, reason))
}

const NEAR_RATE: f64 = 0.8;

fn near_calibrated_rate(evidence: &Evidence<'_>) -> Finding {
    let reference = evidence.reference?.calls_per_sec_per_worker;
    let worker_secs = evidence.elapsed.as_secs_f64() * evidence.workers.len() as f64;
    if worker_secs <= 0.0 || reference <= 0.0 {
        return None;
    }
    let rate = (evidence.ok + evidence.failed) as f64 / worker_secs;
    (rate > NEAR_RATE * reference).then_some((
        Grade::Suspect,
        Reason::NearCalibratedRate { rate, reference },
    ))
}

/// Noise adds to what is measured: below twice of it, half is noise.
const NOISE_FACTOR: u64 = 2;

fn at_noise_floor(evidence: &Evidence<'_>) -> Finding {
    let noise_ns = evidence.reference?.latency_noise_p50_ns;
    let latency_ns = evidence.service.p50_ns;
    (evidence.service.count > 0 && latency_ns < NOISE_FACTOR * noise_ns).then_some((
        Grade::Suspect,
        Reason::AtNoiseFloor {
            latency_ns,
            noise_ns,
        },
    ))
}

/// Percentiles that high vary by themselves.
const NOISIER_FACTOR: u64 = 3;

fn noisier_than_calibrated(evidence: &Evidence<'_>) -> Finding {
    let reference_ns = evidence.reference?.lateness_p99_ns;
    let lateness_ns = evidence.lateness.p99_ns;
    let is_noisier = has_enough(&evidence.lateness)
        && lateness_ns >= OWN_FAULT_NS
        && lateness_ns > NOISIER_FACTOR * reference_ns;
    // Where lateness matters by itself, that is said once.
    (is_noisier && late_starts(evidence).is_none()).then_some((
        Grade::Suspect,
        Reason::NoisierThanCalibrated {
            lateness_ns,
            reference_ns,
        },
    ))
}

fn busiest(evidence: &Evidence<'_>) -> Option<(usize, f64)> {
    worst(evidence, |worker| load(&worker.usage, worker.busy_poll))
}

/// The worker of which a figure is greatest.
fn worst(
    evidence: &Evidence<'_>,
    figure: impl Fn(&super::WorkerEvidence) -> Option<f64>,
) -> Option<(usize, f64)> {
    let workers = evidence.workers.iter().enumerate();
    workers
        .filter_map(|(at, worker)| Some((at, figure(worker)?)))
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
}

fn grade_from(value: f64, suspect: f64, invalid: f64) -> Option<Grade> {
    if value >= invalid {
        Some(Grade::Invalid)
    } else {
        (value >= suspect).then_some(Grade::Suspect)
    }
}

/// Suspect, or invalid where it lasted.
fn spoilt((bad, all): (usize, usize), bad_min: usize) -> Grade {
    if bad >= bad_min && bad as f64 >= SPOILT_SHARE * all as f64 {
        Grade::Invalid
    } else {
        Grade::Suspect
    }
}

/// The seconds of which something is true, where they are no accident; else 0.
fn lasting(seconds: &[SecondSignals], is_true: impl Fn(&SecondSignals) -> bool) -> usize {
    let n = count(seconds, is_true);
    if n >= LASTING_SECONDS && n as f64 >= LASTING_SHARE * seconds.len() as f64 {
        n
    } else {
        0
    }
}

fn count(seconds: &[SecondSignals], is_true: impl Fn(&SecondSignals) -> bool) -> usize {
    seconds.iter().filter(|second| is_true(second)).count()
}

fn n_behind(evidence: &Evidence<'_>) -> usize {
    count(evidence.seconds, |second| {
        matches!(second.limit, Some(GeneratorLimit::Behind { .. }))
    })
}

fn has_fallback(evidence: &Evidence<'_>) -> bool {
    let share = evidence.reads.fallback_share();
    share.is_some_and(|share| share > FALLBACK_SHARE)
}

fn has_enough(spread: &Spread) -> bool {
    spread.count >= SAMPLES_MIN
}

/// The p99 of a fault of ours is large enough to matter at that latency.
fn is_own_fault(fault: &Spread, latency_p50_ns: u64) -> bool {
    has_enough(fault)
        && latency_p50_ns > 0
        && fault.p99_ns >= OWN_FAULT_NS
        && fault.p99_ns > latency_p50_ns / OWN_FAULT_PART
}
