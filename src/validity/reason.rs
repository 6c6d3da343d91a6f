//! Why a result is not simply valid, in the user's words.
//!
//! To add one: a variant, its id, its text (what was seen, what it means for the
//! figures, what to do), its figures, its rule in `rules.rs`, its row in
//! `self_check.md`, its tests.

use super::LocalResource;
use crate::error::plural;
use crate::units::{format_count, format_duration, format_latency, format_percent, format_rate};

use std::time::Duration;

/// Why a result is not simply valid.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// A worker had no time left.
    WorkerBusy {
        /// Which, from 0.
        worker: usize,
        /// Its share of work.
        share: f64,
        /// Seconds in which some worker was as good as full, and all of them.
        seconds: (usize, usize),
        /// Latencies are the server's all the same.
        has_kernel_times: bool,
        /// What that means for the load.
        limits: Limits,
    },
    /// Something else had a worker's CPU.
    WaitingForCpu {
        /// Which, from 0.
        worker: usize,
        /// The share of the time for which it waited.
        share: f64,
    },
    /// The CPU was often taken from a worker.
    SwitchedOut {
        /// Which, from 0.
        worker: usize,
        /// How often a second.
        per_sec: f64,
    },
    /// A worker's loop took long between two looks at the kernel.
    LongLoops {
        /// 99th percentile.
        p99_ns: u64,
    },
    /// Answers waited to be read.
    SlowReading {
        /// Median and 99th percentile of the wait.
        delay_ns: (u64, u64),
        /// Median latency.
        latency_ns: u64,
        /// They waited longer than they took.
        is_longer: bool,
    },
    /// Requests left late.
    LateStarts {
        /// Median and 99th percentile.
        lateness_ns: (u64, u64),
        /// Median latency.
        latency_ns: u64,
    },
    /// Arrivals were begun late although users were free.
    BehindSchedule {
        /// Seconds in which it was so, and all of them.
        seconds: (usize, usize),
        /// The least share of what was due that was begun.
        share: f64,
    },
    /// A worker stood still.
    WorkerStalled {
        /// Seconds in which one did, and all of them.
        seconds: (usize, usize),
        /// The longest.
        longest_ns: u64,
    },
    /// The control group was stopped by its quota.
    Throttled {
        /// The share of the time.
        share: f64,
    },
    /// The hypervisor gave the CPUs to others.
    Steal {
        /// The share of the time.
        share: f64,
    },
    /// Connections that this machine had nothing left for.
    NoLocalResources {
        /// How many failed.
        failures: u64,
        /// Of how many attempts.
        attempts: u64,
        /// Users that never had a session.
        users_without: u64,
        /// What was missing, as far as is known.
        which: Vec<LocalResource>,
    },
    /// Arrivals were given up.
    ArrivalsDropped {
        /// How many.
        dropped: u64,
        /// Of how many.
        arrivals: u64,
        /// The generator was behind in some seconds, or full.
        is_behind: bool,
    },
    /// Fewer calls were in flight than the latencies need.
    Little {
        /// Counted.
        in_flight: f64,
        /// Rate × latency.
        by_latency: f64,
    },
    /// The wall clock was set during the run.
    ClockStepped {
        /// How often.
        steps: u64,
        /// The largest step.
        largest_ns: u64,
        /// Reads that had to do without the kernel's timestamp for it.
        unusable: u64,
    },
    /// Latencies contain our own delay.
    UserSpaceTimes {
        /// The share of reads that the kernel did not time.
        share: f64,
        /// 99th percentile of the loop time.
        loop_p99_ns: u64,
    },
    /// Workers do not keep to the CPUs that they were given.
    NotPinned {
        /// How many.
        count: usize,
        /// Of how many.
        workers: usize,
    },
    /// The run was too short for rates to settle.
    ShortRun {
        /// How long it was.
        elapsed: Duration,
    },
    /// Too few calls for the high percentiles.
    FewSamples {
        /// How many succeeded.
        count: u64,
    },
    /// The rate is close to what this host can generate.
    NearCalibratedRate {
        /// Calls a second of one worker.
        rate: f64,
        /// What one was calibrated to.
        reference: f64,
    },
    /// The latencies are about as small as this host's own noise.
    AtNoiseFloor {
        /// Median latency.
        latency_ns: u64,
        /// What this host shows against a server that takes no time.
        noise_ns: u64,
    },
    /// The schedule is kept worse than when the host was calibrated.
    NoisierThanCalibrated {
        /// 99th percentile of the lateness.
        lateness_ns: u64,
        /// The calibrated one.
        reference_ns: u64,
    },
}

/// What a busy worker limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// What users offer who start when they are done.
    Load,
    /// The rate of the arrivals.
    Rate,
    /// Nothing yet: the rate of the arrivals was kept.
    Nothing,
}

impl Reason {
    /// Its stable name in the report.
    pub fn id(&self) -> &'static str {
        match self {
            Self::WorkerBusy { .. } => "worker_busy",
            Self::WaitingForCpu { .. } => "waiting_for_cpu",
            Self::SwitchedOut { .. } => "switched_out",
            Self::LongLoops { .. } => "long_loops",
            Self::SlowReading { .. } => "slow_reading",
            Self::LateStarts { .. } => "late_starts",
            Self::BehindSchedule { .. } => "behind_schedule",
            Self::WorkerStalled { .. } => "worker_stalled",
            Self::Throttled { .. } => "throttled",
            Self::Steal { .. } => "steal",
            Self::NoLocalResources { .. } => "no_local_resources",
            Self::ArrivalsDropped { .. } => "arrivals_dropped",
            Self::Little { .. } => "little",
            Self::ClockStepped { .. } => "clock_stepped",
            Self::UserSpaceTimes { .. } => "user_space_times",
            Self::NotPinned { .. } => "not_pinned",
            Self::ShortRun { .. } => "short_run",
            Self::FewSamples { .. } => "few_samples",
            Self::NearCalibratedRate { .. } => "near_calibrated_rate",
            Self::AtNoiseFloor { .. } => "at_noise_floor",
            Self::NoisierThanCalibrated { .. } => "noisier_than_calibrated",
        }
    }

    /// What was seen, what it means for the figures, what to do.
    pub fn text(&self) -> String {
        match self {
            Self::WorkerBusy {
                worker,
                share,
                seconds,
                has_kernel_times,
                limits,
            } => worker_busy(*worker, *share, *seconds, *has_kernel_times, *limits),
            Self::WaitingForCpu { worker, share } => format!(
                "worker {worker} waited for a CPU {} of the time, since other work had it: \
                 requests left late and the load was less than it could have been; stop what else \
                 runs on this machine, the server too if it runs here, or give the workers CPUs \
                 of their own",
                percent(*share)
            ),
            Self::SwitchedOut { worker, per_sec } => format!(
                "the CPU was taken from worker {worker} {} times a second: other work on this \
                 machine delays requests; stop it, or give the workers CPUs of their own",
                format_count(per_sec.round() as u64)
            ),
            Self::LongLoops { p99_ns } => format!(
                "a worker took up to {} (p99) between two looks at the network: requests left in \
                 bursts that far apart; use more workers or fewer users",
                format_latency(*p99_ns)
            ),
            Self::SlowReading {
                delay_ns: (p50_ns, _),
                latency_ns,
                is_longer: true,
            } => format!(
                "answers waited {} for this machine to read them (median), longer than the server \
                 took for them ({}): far fewer users were at the server than the load says; use \
                 fewer users, more workers, or more machines",
                format_latency(*p50_ns),
                format_latency(*latency_ns)
            ),
            Self::SlowReading {
                delay_ns: (_, p99_ns),
                ..
            } => format!(
                "answers waited up to {} (p99) for this machine to read them: latencies leave \
                 that out, but the load may be less than the server could take; use more workers, \
                 or a machine apart from the server",
                format_latency(*p99_ns)
            ),
            Self::LateStarts {
                lateness_ns: (_, p99_ns),
                ..
            } => format!(
                "requests left up to {} (p99) after they could have: this machine, not the server, \
                 was late, and response times contain it; use fewer users a worker, more workers \
                 or `--busy-poll`",
                format_latency(*p99_ns)
            ),
            Self::BehindSchedule {
                seconds: (bad, all),
                share,
            } => format!(
                "in {bad} of {} arrivals were begun late although users were free, in the worst \
                 only {} of those due: this machine could not offer the rate; use more workers or \
                 a lower rate",
                plural(*all as u64, "second", "seconds"),
                percent(*share)
            ),
            Self::WorkerStalled {
                seconds: (bad, all),
                longest_ns,
            } => format!(
                "a worker stood still, for up to {}, in {bad} of {}: nothing was sent or read \
                 then; the machine was suspended, out of memory, or overloaded",
                format_latency(*longest_ns),
                plural(*all as u64, "second", "seconds")
            ),
            Self::Throttled { share } => format!(
                "the CPU quota of this process's control group stopped it for {} of the time: \
                 the load came in bursts, and answers waited; raise the quota (`cpu.max`, or the \
                 container's CPU limit), or use fewer workers and less load",
                percent(*share)
            ),
            Self::Steal { share } => format!(
                "the hypervisor gave {} of the workers' CPU time to other machines: requests left \
                 late; use a dedicated host",
                percent(*share)
            ),
            Self::NoLocalResources {
                failures,
                attempts,
                users_without,
                which,
            } => no_local_resources(*failures, *attempts, *users_without, which),
            Self::ArrivalsDropped {
                dropped,
                arrivals,
                is_behind,
            } => arrivals_dropped(*dropped, *arrivals, *is_behind),
            Self::Little {
                in_flight,
                by_latency,
            } => format!(
                "{in_flight:.1} calls were in flight on average, but their rate and latency say \
                 {by_latency:.1} (Little's law): the latencies cannot all be right; please report \
                 it with the JSON report"
            ),
            Self::ClockStepped {
                steps,
                largest_ns,
                unusable,
            } => format!(
                "the system's clock was set {} during the run, by up to {}: {} timed \
                 when this program read them, so that their latency may be too long; run without \
                 time synchronisation that steps the clock",
                times(*steps),
                format_latency(*largest_ns),
                match unusable {
                    1 => "1 answer was".to_string(),
                    n => format!("{} answers were", format_count(*n)),
                }
            ),
            Self::UserSpaceTimes { share, loop_p99_ns } => format!(
                "{} of the answers were timed when this program read them, since the system gave \
                 no receive timestamps: latencies contain our own delay, up to {} (p99); use fewer \
                 users a worker, or Linux",
                percent(*share),
                format_latency(*loop_p99_ns)
            ),
            Self::NotPinned { count, workers } => format!(
                "{count} of {} could not be kept to a CPU: workers that move or share CPUs delay \
                 each other; use no more workers than CPUs, or say `--no-pin` if that is meant",
                plural(*workers as u64, "worker", "workers")
            ),
            Self::ShortRun { elapsed } => format!(
                "the run took {}: too short for rates and percentiles to settle; run longer",
                format_duration(*elapsed)
            ),
            Self::FewSamples { count } => format!(
                "{} succeeded: too few to tell the high percentiles (p99 needs 100); run longer",
                plural(*count, "call", "calls")
            ),
            Self::NearCalibratedRate { rate, reference } => format!(
                "each worker made {}, {} of the {} that this host was calibrated to generate: the \
                 limit seen may be the generator's; use more workers or machines",
                format_rate(*rate),
                percent(rate / reference),
                format_rate(*reference)
            ),
            Self::AtNoiseFloor {
                latency_ns,
                noise_ns,
            } => format!(
                "the median latency, {}, is at this host's noise floor ({}): differences of that \
                 size are the host's and not the server's",
                format_latency(*latency_ns),
                format_latency(*noise_ns)
            ),
            Self::NoisierThanCalibrated {
                lateness_ns,
                reference_ns,
            } => format!(
                "requests left up to {} (p99) late, {} when this host was calibrated: something \
                 else runs on it, or it has changed; look for it, or calibrate again",
                format_latency(*lateness_ns),
                format_latency(*reference_ns)
            ),
        }
    }

    /// The figures that it rests on, by name with the unit last.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        let ms = |ns: u64| ns as f64 / 1e6;
        match self {
            Self::WorkerBusy {
                worker,
                share,
                seconds: (bad, all),
                ..
            } => vec![
                ("worker", *worker as f64),
                ("share", *share),
                ("busy_seconds", *bad as f64),
                ("seconds", *all as f64),
            ],
            Self::WaitingForCpu { worker, share } => {
                vec![("worker", *worker as f64), ("share", *share)]
            }
            Self::SwitchedOut { worker, per_sec } => {
                vec![("worker", *worker as f64), ("per_sec", *per_sec)]
            }
            Self::LongLoops { p99_ns } => vec![("p99_ms", ms(*p99_ns))],
            Self::SlowReading {
                delay_ns,
                latency_ns,
                ..
            } => vec![
                ("delay_p50_ms", ms(delay_ns.0)),
                ("delay_p99_ms", ms(delay_ns.1)),
                ("latency_p50_ms", ms(*latency_ns)),
            ],
            Self::LateStarts {
                lateness_ns,
                latency_ns,
            } => vec![
                ("lateness_p50_ms", ms(lateness_ns.0)),
                ("lateness_p99_ms", ms(lateness_ns.1)),
                ("latency_p50_ms", ms(*latency_ns)),
            ],
            Self::BehindSchedule {
                seconds: (bad, all),
                share,
            } => vec![
                ("behind_seconds", *bad as f64),
                ("seconds", *all as f64),
                ("begun_share", *share),
            ],
            Self::WorkerStalled {
                seconds: (bad, all),
                longest_ns,
            } => vec![
                ("stalled_seconds", *bad as f64),
                ("seconds", *all as f64),
                ("longest_ms", ms(*longest_ns)),
            ],
            Self::Throttled { share } | Self::Steal { share } => vec![("share", *share)],
            Self::NoLocalResources {
                failures,
                attempts,
                users_without,
                ..
            } => vec![
                ("failures", *failures as f64),
                ("attempts", *attempts as f64),
                ("users_without_session", *users_without as f64),
            ],
            Self::ArrivalsDropped {
                dropped, arrivals, ..
            } => vec![("dropped", *dropped as f64), ("arrivals", *arrivals as f64)],
            Self::Little {
                in_flight,
                by_latency,
            } => vec![("in_flight", *in_flight), ("by_latency", *by_latency)],
            Self::ClockStepped {
                steps,
                largest_ns,
                unusable,
            } => vec![
                ("steps", *steps as f64),
                ("largest_ms", ms(*largest_ns)),
                ("timestamps_unusable", *unusable as f64),
            ],
            Self::UserSpaceTimes { share, loop_p99_ns } => {
                vec![("share", *share), ("loop_p99_ms", ms(*loop_p99_ns))]
            }
            Self::NotPinned { count, workers } => {
                vec![("not_pinned", *count as f64), ("workers", *workers as f64)]
            }
            Self::ShortRun { elapsed } => vec![("elapsed_secs", elapsed.as_secs_f64())],
            Self::FewSamples { count } => vec![("count", *count as f64)],
            Self::NearCalibratedRate { rate, reference } => {
                vec![("rate_per_sec", *rate), ("reference_per_sec", *reference)]
            }
            Self::AtNoiseFloor {
                latency_ns,
                noise_ns,
            } => vec![
                ("latency_p50_ms", ms(*latency_ns)),
                ("noise_p50_ms", ms(*noise_ns)),
            ],
            Self::NoisierThanCalibrated {
                lateness_ns,
                reference_ns,
            } => vec![
                ("lateness_p99_ms", ms(*lateness_ns)),
                ("reference_p99_ms", ms(*reference_ns)),
            ],
        }
    }
}

fn worker_busy(
    worker: usize,
    share: f64,
    (bad, all): (usize, usize),
    has_kernel_times: bool,
    limits: Limits,
) -> String {
    let mut text = format!("worker {worker} was busy {} of the time", percent(share));
    if bad > 0 {
        text += &format!(
            ", and some worker fully in {bad} of {}",
            plural(all as u64, "second", "seconds")
        );
    }
    text += if has_kernel_times {
        ": latencies are the server's all the same, "
    } else {
        ": latencies contain its own delay, "
    };
    text += match limits {
        Limits::Load => "but the offered load was limited by this host; ",
        Limits::Rate => "but this host could not offer the rate; ",
        Limits::Nothing => "and the rate was kept, but this host could offer no more; ",
    };
    text + "use more workers, more machines, or less load"
}

fn no_local_resources(
    failures: u64,
    attempts: u64,
    users_without: u64,
    which: &[LocalResource],
) -> String {
    let (what, remedies): (Vec<_>, Vec<_>) = which
        .iter()
        .map(|resource| match resource {
            LocalResource::OpenFiles => ("open files", "raise `ulimit -n`"),
            LocalResource::Ports => ("local ports", "widen `net.ipv4.ip_local_port_range`"),
            LocalResource::Memory => ("memory", "give this machine more memory"),
        })
        .unzip();
    let what = match what.is_empty() {
        true => "open files, ports or memory".to_string(),
        false => what.join(" and "),
    };
    let mut text = format!(
        "this machine ran out of {what}: {} of {} for a connection failed for it",
        format_count(failures),
        plural(attempts, "attempt", "attempts")
    );
    if users_without > 0 {
        let users = plural(users_without, "virtual user", "virtual users");
        text += &format!(", and {users} never had a session");
    }
    text += ". These errors are not the server's, and the load was smaller than planned; ";
    for remedy in remedies {
        text += remedy;
        text += ", ";
    }
    text + "use fewer users or more machines"
}

fn arrivals_dropped(dropped: u64, arrivals: u64, is_behind: bool) -> String {
    let share = percent(dropped as f64 / arrivals.max(1) as f64);
    let cause = if is_behind {
        "this machine could not offer the rate in time, and the queue was full; use more workers \
         or a lower rate"
    } else {
        "all users were busy and the queue was full: the server is slower than the rate, or \
         `max_vus` is too low for it"
    };
    format!(
        "dropped arrivals {share} ({} of {}): the offered load was not all sent; {cause}",
        format_count(dropped),
        format_count(arrivals)
    )
}

/// One decimal: shares near a threshold differ there.
fn percent(share: f64) -> String {
    let rounded = (share * 1_000.0).round() / 1_000.0;
    format_percent(if rounded > 0.0 { rounded } else { share })
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_string(),
        n => format!("{} times", format_count(n)),
    }
}
