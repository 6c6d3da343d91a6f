//! The table of `self_check.md`, rule by rule.

use super::evidence::{Evidence, Quantiles, SecondSignals, load};
use super::second::{CALLS_PER_CONNECT, is_stall};
use super::{GeneratorLimit, Grade, Harm, P50AndP99, Reason, Signal, Slowed, Verdict};
use crate::load::LoadUnit;
use crate::units::{nanos, rate};

use std::time::Duration;

/// A reason with its grade, or without one a note: the figures hold. `None`:
/// all is well by this rule.
type Finding = Option<(Option<Grade>, Reason)>;

/// Judges a run.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let rules: [fn(&Evidence<'_>) -> Finding; 12] = [
        no_calls,
        no_local_resources,
        slowed,
        arrivals_dropped,
        little,
        late_end,
        clock_stepped,
        user_space_times,
        not_pinned,
        near_calibrated_rate,
        at_noise_floor,
        noisier_than_calibrated,
    ];
    let (mut reasons, mut notes) = (Vec::new(), Vec::new());
    let findings = rules.into_iter().filter_map(|rule| rule(evidence));
    for (grade, reason) in findings.chain(too_little(evidence)) {
        match grade {
            Some(grade) => reasons.push((grade, reason)),
            None => notes.push(reason),
        }
    }
    Verdict {
        notes,
        bounds: evidence.bounds,
        ..Verdict::of(reasons)
    }
}

/// Timeouts are failures, and have ended.
fn no_calls(evidence: &Evidence<'_>) -> Finding {
    (evidence.ok + evidence.failed == 0).then_some((
        Some(Grade::Invalid),
        Reason::NoCalls {
            cancelled: evidence.cancelled,
        },
    ))
}

/// All signals that this machine had no time for the load are one reason: they
/// have one cause. Its grade is that of what it did to the figures.
fn slowed(evidence: &Evidence<'_>) -> Finding {
    let signals = [
        throttled,
        steal,
        waiting_for_cpu,
        switched_out,
        worker_busy,
        worker_stalled,
        behind_schedule,
        slow_reading,
        late_starts,
        checks_behind,
        long_loops,
    ];
    let mut signals: Vec<Signal> = signals
        .into_iter()
        .filter_map(|signal| signal(evidence))
        .collect();
    let mut harms = harms(evidence, &signals);
    harms.sort_by_key(|(grade, _)| std::cmp::Reverse(*grade));
    if signals.is_empty() && !harms.is_empty() {
        signals.push(faint_cause(evidence));
    }
    cause_first(&mut signals);
    signals.first()?;
    let grade = harms.first().map(|(grade, _)| *grade);
    let slowed = Slowed {
        signals,
        harms: harms.into_iter().map(|(_, harm)| harm).collect(),
        bounds: evidence.bounds,
        has_spare_cpus: evidence.workers.len() < evidence.usable_cpus,
    };
    Some((grade, Reason::Slowed(slowed)))
}

/// The hypervisor is the cause where it took more than others in this system.
fn cause_first(signals: &mut [Signal]) {
    let share = |wanted: fn(&Signal) -> Option<f64>| signals.iter().find_map(wanted);
    let stolen = share(|signal| match signal {
        Signal::Steal { share } => Some(*share),
        _ => None,
    });
    let waited = share(|signal| match signal {
        Signal::WaitingForCpu { share, .. } => Some(*share),
        _ => None,
    });
    if stolen.zip(waited).is_some_and(|(a, b)| a < b) {
        let is_waiting = |signal: &Signal| matches!(signal, Signal::WaitingForCpu { .. });
        // In front of all but a quota: stable for the rest.
        signals.sort_by_key(|signal| match signal {
            Signal::Throttled { .. } => 0,
            signal if is_waiting(signal) => 1,
            _ => 2,
        });
    }
}

/// What is behind a harm where no signal is loud enough by itself.
fn faint_cause(evidence: &Evidence<'_>) -> Signal {
    const FAINT: f64 = 0.01;
    let waited = worst(evidence, |worker| worker.usage.run_delay_share());
    match waited.filter(|(_, share)| *share >= FAINT) {
        Some((worker, share)) => Signal::WaitingForCpu { worker, share },
        None => Signal::LateStarts {
            lateness_ns: (evidence.lateness.p50_ns, evidence.lateness.p99_ns),
            latency_ns: evidence.headline.p50_ns,
        },
    }
}

/// The users' time that they may wait for us before the rate is not theirs.
const IDLE: f64 = 0.2;
/// Here twice as many users wait for us as are at the server.
const IDLE_INVALID: f64 = 2.0 / 3.0;

/// What this machine did to the figures.
fn harms(evidence: &Evidence<'_>, signals: &[Signal]) -> Vec<(Grade, Harm)> {
    let mut harms = Vec::new();
    let is_blind = has_fallback(evidence);
    let bounds = &evidence.bounds;
    let reported = P50AndP99 {
        p50_ns: evidence.headline.p50_ns,
        p99_ns: evidence.headline.p99_ns,
    };
    // Without timestamps, `user_space_times` tells of latencies.
    let is_told = is_blind && bounds.response.is_none();
    if has_enough(&evidence.headline)
        && !is_told
        && let Some(grade) = endangered(&reported, &bounds.headline())
    {
        let harm = Harm::Latency {
            reported,
            too_high: bounds.headline(),
            is_response: bounds.response.is_some(),
        };
        harms.push((grade, harm));
    }
    match evidence.load_unit {
        LoadUnit::Vus => {
            let idle = bounds.idle_share.filter(|_| !is_blind).unwrap_or(0.0);
            // Who waits for a check has no call in flight, and waits for us.
            let share = (idle + check_wait(evidence).map_or(0.0, |(_, share)| share)).min(1.0);
            if let Some(grade) = grade_from(share, IDLE, IDLE_INVALID) {
                harms.push((grade, Harm::IdleUsers { share }));
            }
        }
        LoadUnit::Rate => {
            if let Some((seconds, begun_share)) = behind(evidence) {
                harms.push((spoilt(seconds, 2), Harm::Rate { begun_share }));
            }
        }
    }
    // Nobody knows how long answers waited: what may have held them up counts.
    if is_blind && let Some(grade) = signals.iter().filter_map(grade_of_blind).max() {
        let share = evidence.reads.fallback_share().unwrap_or(1.0);
        harms.push((grade, Harm::Untimed { share }));
    }
    // Where this machine had so little time that it alone spoils the run, nobody can
    // say that the server was too slow. What was never sent is the worst of it.
    let is_spoilt = harms.iter().any(|(grade, _)| *grade == Grade::Invalid);
    if has_dropped(evidence) && (is_spoilt || was_own_limit(evidence)) {
        let harm = Harm::Dropped {
            dropped: evidence.arrivals_dropped,
            arrivals: evidence.arrivals,
        };
        harms.insert(0, (Grade::Invalid, harm));
    }
    harms
}

/// Below this nobody would act on a percentile that is too high.
const OWN_FAULT_NS: u64 = 1_000_000;
/// An error of a smaller part of the p99 is within what it differs by from one
/// run to the next.
const P99_FAULT_PART: u64 = 5;
/// Of the median, which is a smaller figure and a steadier one.
const MEDIAN_FAULT_NS: u64 = 250_000;
const MEDIAN_FAULT_PART: u64 = 4;

/// Whether percentiles may be so much too high that they cannot be relied on.
fn endangered(reported: &P50AndP99, too_high: &P50AndP99) -> Option<Grade> {
    let is_part = |ns: u64, least_ns: u64, part: u64, of_ns: u64| {
        ns >= least_ns && ns.saturating_mul(part) >= of_ns
    };
    if is_part(too_high.p50_ns, OWN_FAULT_NS, 2, reported.p50_ns) {
        return Some(Grade::Invalid);
    }
    let is_p50 = is_part(
        too_high.p50_ns,
        MEDIAN_FAULT_NS,
        MEDIAN_FAULT_PART,
        reported.p50_ns,
    );
    let is_p99 = is_part(
        too_high.p99_ns,
        OWN_FAULT_NS,
        P99_FAULT_PART,
        reported.p99_ns,
    );
    (is_p50 || is_p99).then_some(Grade::Suspect)
}

/// What a signal is worth where the kernel did not time the answers.
fn grade_of_blind(signal: &Signal) -> Option<Grade> {
    match signal {
        Signal::Throttled { share } => grade_from(*share, THROTTLED, THROTTLED_INVALID),
        Signal::Steal { share } => grade_from(*share, STEAL, STEAL_INVALID),
        Signal::WaitingForCpu { share, .. } => grade_from(*share, 0.0, WAITING_INVALID),
        Signal::WorkerBusy { .. } => Some(Grade::Invalid),
        Signal::WorkerStalled { seconds, .. } => Some(spoilt(*seconds, LASTING_SECONDS)),
        Signal::SwitchedOut { .. } | Signal::LongLoops { .. } | Signal::SlowReading { .. } => {
            Some(Grade::Suspect)
        }
        // They are measured all the same, and judged by it.
        Signal::BehindSchedule { .. } | Signal::LateStarts { .. } | Signal::ChecksBehind { .. } => {
            None
        }
    }
}

/// Of the time that calls were in flight, they lay unread for so much: the users
/// whom arrivals waited for were busy with us.
const UNREAD_OWN: f64 = 0.5;
/// So much where a worker was full, or others had its CPU for long.
const UNREAD_FULL: f64 = 0.1;

/// Whether it was this machine that let arrivals wait. What a server can do is
/// keep users busy, and that is not asked here.
fn was_own_limit(evidence: &Evidence<'_>) -> bool {
    let is_full = worker_busy(evidence).is_some();
    let waited = worst(evidence, |worker| worker.usage.run_delay_share());
    let is_starved = waited.is_some_and(|(_, share)| share >= WAITING_INVALID);
    let is_late = has_enough(&evidence.lateness) && evidence.lateness.p99_ns >= OWN_FAULT_NS;
    let is_unread = |least: f64| evidence.unread_share.is_some_and(|share| share >= least);
    // No server makes a quota or a hypervisor stop us.
    let is_over = |share: Option<f64>, most: f64| share.is_some_and(|share| share >= most);
    // At least as many as the server is to blame for.
    let after_stalls = 2 * evidence.dropped_after_stalls >= evidence.arrivals_dropped.max(1);
    behind(evidence).is_some()
        || after_stalls
        || is_over(evidence.throttled_share, THROTTLED_INVALID)
        || is_over(evidence.steal_share, STEAL_INVALID)
        || is_unread(UNREAD_OWN)
        || is_starved && is_unread(UNREAD_FULL)
        || is_full && (is_late || is_unread(UNREAD_FULL) || has_fallback(evidence))
}

/// A worker that is busier has no time left for more load.
const BUSY: f64 = 0.9;
/// In a single second, which may be busy by chance.
const BUSY_SECOND: f64 = 0.95;
/// What lasts this share of the seconds is no accident.
const LASTING_SHARE: f64 = 0.2;
/// Nor is what lasts this many seconds.
const LASTING_SECONDS: usize = 3;
/// Reads that the kernel did not time, from which on they matter. The first on
/// a host often go without: the kernel switches its timestamps on when somebody
/// asks for them.
const FALLBACK_SHARE: f64 = 0.01;

fn worker_busy(evidence: &Evidence<'_>) -> Option<Signal> {
    let (worker, share) = busiest(evidence)?;
    let n_busy = lasting(evidence.seconds, |second| {
        second.busy_share.is_some_and(|share| share >= BUSY_SECOND)
    });
    (share >= BUSY || n_busy > 0).then_some(Signal::WorkerBusy {
        worker,
        share,
        seconds: (n_busy, evidence.seconds.len()),
    })
}

/// A worker that waits longer for a CPU may send late.
const WAITING: f64 = 0.1;
const WAITING_SECOND: f64 = 0.25;
/// Here others have the CPU as often as we do.
const WAITING_INVALID: f64 = 0.4;

fn waiting_for_cpu(evidence: &Evidence<'_>) -> Option<Signal> {
    let (worker, share) = worst(evidence, |worker| worker.usage.run_delay_share())?;
    let n_waiting = lasting(evidence.seconds, |second| {
        second
            .run_delay_share
            .is_some_and(|share| share >= WAITING_SECOND)
    });
    (share >= WAITING || n_waiting > 0).then_some(Signal::WaitingForCpu { worker, share })
}

/// A thread that sleeps by itself loses its CPU to others less often.
const SWITCHES_PER_SEC: f64 = 100.0;

fn switched_out(evidence: &Evidence<'_>) -> Option<Signal> {
    let per_sec = |worker: &super::WorkerEvidence| {
        // Where the system tells how long that took, that is looked at.
        if worker.usage.run_delay_ns.is_some() || worker.usage.wall_ns == 0 {
            return None;
        }
        let switches = worker.usage.involuntary_switches? as f64;
        Some(switches / (worker.usage.wall_ns as f64 / 1e9))
    };
    let (worker, per_sec) = worst(evidence, per_sec)?;
    (per_sec >= SWITCHES_PER_SEC).then_some(Signal::SwitchedOut { worker, per_sec })
}

const LOOP_NS: u64 = 10_000_000;

fn long_loops(evidence: &Evidence<'_>) -> Option<Signal> {
    let p99_ns = evidence.loop_time.p99_ns;
    let is_long = has_enough(&evidence.loop_time)
        && p99_ns >= LOOP_NS
        && p99_ns >= evidence.service.p50_ns / 2;
    is_long.then_some(Signal::LongLoops { p99_ns })
}

fn slow_reading(evidence: &Evidence<'_>) -> Option<Signal> {
    let delay = &evidence.generator_delay;
    let latency_ns = evidence.service.p50_ns;
    is_own_fault(delay, latency_ns).then_some(Signal::SlowReading {
        delay_ns: (delay.p50_ns, delay.p99_ns),
        latency_ns,
    })
}

fn late_starts(evidence: &Evidence<'_>) -> Option<Signal> {
    let lateness = &evidence.lateness;
    let latency_ns = evidence.headline.p50_ns;
    let is_fault = lateness_is_ours(evidence.connects, evidence.ok + evidence.failed)
        && is_own_fault(lateness, latency_ns);
    is_fault.then_some(Signal::LateStarts {
        lateness_ns: (lateness.p50_ns, lateness.p99_ns),
        latency_ns,
    })
}

/// From this share of their users' time on, checks hold up the load.
const CHECKS_BEHIND: f64 = 0.05;

fn checks_behind(evidence: &Evidence<'_>) -> Option<Signal> {
    let (worker, share) = check_wait(evidence)?;
    (share >= CHECKS_BEHIND).then_some(Signal::ChecksBehind { worker, share })
}

/// The worker whose answers waited longest for their checks, and the share.
fn check_wait(evidence: &Evidence<'_>) -> Option<(usize, f64)> {
    worst(evidence, |worker| worker.usage.check_wait_share())
}

/// Where more than one call in this many had to connect, lateness contains that,
/// which a server may be slow at.
pub fn lateness_is_ours(connects: u64, ended: u64) -> bool {
    connects.saturating_mul(CALLS_PER_CONNECT) <= ended
}

/// A fault that lasts this share of the seconds spoils the whole.
const SPOILT_SHARE: f64 = 0.05;

fn behind_schedule(evidence: &Evidence<'_>) -> Option<Signal> {
    let (seconds, share) = behind(evidence)?;
    Some(Signal::BehindSchedule { seconds, share })
}

/// The seconds that were behind, all of them, and the least share begun.
fn behind(evidence: &Evidence<'_>) -> Option<((usize, usize), f64)> {
    let shares = evidence
        .seconds
        .iter()
        .filter_map(|second| match second.limit {
            Some(GeneratorLimit::Behind { share, .. }) => Some(share),
            _ => None,
        });
    let n_behind = shares.clone().count();
    let share = shares.reduce(f64::min)?;
    Some(((n_behind, evidence.seconds.len()), share))
}

fn worker_stalled(evidence: &Evidence<'_>) -> Option<Signal> {
    let all = evidence
        .workers
        .iter()
        .map(|worker| worker.usage.turn_max_ns);
    // What lasted longer than the load did began before it, or ended after it.
    let elapsed_ns = nanos(evidence.elapsed);
    let longest_ns = all.max().filter(|ns| is_stall(*ns) && *ns <= elapsed_ns)?;
    // A stall in a second that is not a whole one still is one.
    let n_stalled = count(evidence.seconds, |second| is_stall(second.turn_max_ns)).max(1);
    Some(Signal::WorkerStalled {
        seconds: (n_stalled, evidence.seconds.len().max(1)),
        longest_ns,
        was_stopped: evidence.was_stopped,
    })
}

const THROTTLED: f64 = 0.01;
const THROTTLED_INVALID: f64 = 0.1;

fn throttled(evidence: &Evidence<'_>) -> Option<Signal> {
    let share = evidence.throttled_share?;
    (share >= THROTTLED).then_some(Signal::Throttled { share })
}

const STEAL: f64 = 0.05;
const STEAL_INVALID: f64 = 0.2;

fn steal(evidence: &Evidence<'_>) -> Option<Signal> {
    let share = evidence.steal_share?;
    (share >= STEAL).then_some(Signal::Steal { share })
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
    let grade = grade_from(of_attempts.max(of_users), 0.0, NO_RESOURCES_INVALID);
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

/// A server that is slower than the rate: the figures say so, and are its own.
fn arrivals_dropped(evidence: &Evidence<'_>) -> Finding {
    let is_told = |finding: &(Option<Grade>, Reason)| finding.1.tells_of_drops();
    (has_dropped(evidence) && !slowed(evidence).is_some_and(|found| is_told(&found))).then_some((
        None,
        Reason::ArrivalsDropped {
            dropped: evidence.arrivals_dropped,
            arrivals: evidence.arrivals,
        },
    ))
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
    Some((Some(grade), reason))
}

/// Of the latency from the first byte sent, on which alone timestamps bear.
fn service_endangered(evidence: &Evidence<'_>) -> Option<Grade> {
    let reported = P50AndP99 {
        p50_ns: evidence.service.p50_ns,
        p99_ns: evidence.service.p99_ns,
    };
    let grade = endangered(&reported, &evidence.bounds.service)?;
    (evidence.service.count > 0).then_some(grade)
}

fn clock_stepped(evidence: &Evidence<'_>) -> Finding {
    let grade = service_endangered(evidence).filter(|_| evidence.reads.unusable > 0);
    (evidence.clock_steps > 0).then(|| {
        let reason = Reason::ClockStepped {
            steps: evidence.clock_steps,
            largest_ns: evidence.clock_step_max_ns,
            unusable: evidence.reads.unusable,
            p99_too_high_ns: evidence.bounds.service.p99_ns,
        };
        // What answers around it were timed by is known: it spoils no more.
        (grade.map(|_| Grade::Suspect), reason)
    })
}

fn user_space_times(evidence: &Evidence<'_>) -> Finding {
    let share = evidence.reads.fallback_share()?;
    let grade = service_endangered(evidence).filter(|_| has_fallback(evidence))?;
    let reason = Reason::UserSpaceTimes {
        share,
        loop_p99_ns: evidence.loop_time.p99_ns,
        too_high: evidence.bounds.service,
    };
    Some((Some(grade), reason))
}

fn not_pinned(evidence: &Evidence<'_>) -> Finding {
    (evidence.n_not_pinned > 0).then(|| {
        let reason = Reason::NotPinned {
            count: evidence.n_not_pinned,
            workers: evidence.workers.len(),
        };
        // What sharing CPUs did to the figures is judged by what it did.
        (None, reason)
    })
}

const SHORT: Duration = Duration::from_secs(1);
/// Percentiles of fewer are the largest few.
const SAMPLES_MIN: u64 = 100;

/// Where the last calls can change the rate by this share of itself, the run is too short for one.
const RATE_OFF: f64 = 0.2;

/// The same in longer runs, where the seconds show the rate before the last calls.
fn late_end(evidence: &Evidence<'_>) -> Finding {
    let end = evidence
        .bounds
        .late_end
        .filter(|_| evidence.elapsed >= SHORT)?;
    let rate = rate(evidence.ok + evidence.failed, evidence.elapsed);
    let grade = (end.too_low(rate) >= RATE_OFF).then_some(Grade::Suspect);
    Some((grade, Reason::LateEnd { end, rate }))
}

/// Where nothing succeeded there are no figures to doubt. Few calls are what a
/// slow server answers, and their percentiles are marked as rough.
fn too_little(evidence: &Evidence<'_>) -> Finding {
    match evidence.ok {
        0 => None,
        count if count < SAMPLES_MIN => Some((None, Reason::FewSamples { count })),
        _ if evidence.elapsed >= SHORT => None,
        _ => {
            // All begin at once, and the last ones end alone.
            let longest_secs = evidence.service.max_ns as f64 / 1e9;
            let elapsed_secs = evidence.elapsed.as_secs_f64();
            let rate_off = (longest_secs / elapsed_secs.max(1e-9)).min(1.0);
            let reason = Reason::ShortRun {
                elapsed: evidence.elapsed,
                rate_off,
            };
            Some(((rate_off >= RATE_OFF).then_some(Grade::Suspect), reason))
        }
    }
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
        Some(Grade::Suspect),
        Reason::NearCalibratedRate { rate, reference },
    ))
}

/// Noise adds to what is measured: below twice of it, half is noise.
const NOISE_FACTOR: u64 = 2;

fn at_noise_floor(evidence: &Evidence<'_>) -> Finding {
    let noise_ns = evidence.reference?.latency_noise_p50_ns;
    let latency_ns = evidence.service.p50_ns;
    (evidence.service.count > 0 && latency_ns < NOISE_FACTOR * noise_ns).then_some((
        Some(Grade::Suspect),
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
        None,
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

fn has_fallback(evidence: &Evidence<'_>) -> bool {
    let share = evidence.reads.fallback_share();
    share.is_some_and(|share| share > FALLBACK_SHARE)
}

fn has_enough(spread: &Quantiles) -> bool {
    spread.count >= SAMPLES_MIN
}

/// A fault of ours that is a smaller share of the median latency is no more than
/// noise on it.
const OWN_FAULT_PART: u64 = 10;

/// The p99 of a fault of ours is large enough to matter at that latency.
fn is_own_fault(fault: &Quantiles, latency_p50_ns: u64) -> bool {
    has_enough(fault)
        && latency_p50_ns > 0
        && fault.p99_ns >= OWN_FAULT_NS
        && fault.p99_ns > latency_p50_ns / OWN_FAULT_PART
}
