//! Why a result is not simply valid, in the user's words.
//!
//! To add one: a variant, its id, its text (what was seen, what it means for the
//! figures, what to do), its figures, its rule in `rules.rs`, its row in
//! `self_check.md`, its tests.

use super::shown::percent;
use super::{Harm, LateEnd, LocalResource, P50AndP99, Signal, Slowed};
use crate::units::{
    format_count, format_duration, format_latency, format_rate, ms, part_of, plural,
};

use std::time::Duration;

/// Why a result is not simply valid.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// This machine had no time for the load.
    Slowed(Slowed),
    /// No call has ended.
    NoCalls {
        /// Calls that the end of the run cut off.
        cancelled: u64,
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
    /// Arrivals were given up, and not for this machine's sake.
    ArrivalsDropped {
        /// How many.
        dropped: u64,
        /// Of how many.
        arrivals: u64,
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
        /// The p99 may be too high by up to so much.
        p99_too_high_ns: u64,
    },
    /// Latencies contain our own delay.
    UserSpaceTimes {
        /// The share of reads that the kernel did not time.
        share: f64,
        /// 99th percentile of the loop time.
        loop_p99_ns: u64,
        /// By how much percentiles may be too high.
        too_high: P50AndP99,
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
        /// By what part of itself its first and last calls change the rate.
        rate_off: f64,
    },
    /// The last calls ended long after the load: the rate is lower than while load was
    /// offered.
    LateEnd {
        /// When, and the rate before.
        end: LateEnd,
        /// The rate of all calls, in calls a second.
        rate: f64,
    },
    /// A search: the server, nearly alone after a level, stayed slower than it was alone before
    /// it.
    NotRecovered {
        /// For how long it was waited for.
        waited: Duration,
        /// The median latency before.
        before_ns: u64,
        /// The least median of a second after.
        after_ns: u64,
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

impl Reason {
    /// Its stable name in the report.
    pub fn id(&self) -> &'static str {
        match self {
            Self::Slowed(slowed) => slowed.id(),
            Self::NoCalls { .. } => "no_calls",
            Self::NoLocalResources { .. } => "no_local_resources",
            Self::ArrivalsDropped { .. } => "arrivals_dropped",
            Self::Little { .. } => "little",
            Self::ClockStepped { .. } => "clock_stepped",
            Self::UserSpaceTimes { .. } => "user_space_times",
            Self::NotPinned { .. } => "not_pinned",
            Self::ShortRun { .. } => "short_run",
            Self::LateEnd { .. } => "late_end",
            Self::NotRecovered { .. } => "not_recovered",
            Self::FewSamples { .. } => "few_samples",
            Self::NearCalibratedRate { .. } => "near_calibrated_rate",
            Self::AtNoiseFloor { .. } => "at_noise_floor",
            Self::NoisierThanCalibrated { .. } => "noisier_than_calibrated",
        }
    }

    /// Whether it says how many arrivals were dropped.
    pub fn tells_of_drops(&self) -> bool {
        match self {
            Self::ArrivalsDropped { .. } => true,
            Self::Slowed(slowed) => slowed
                .harms
                .iter()
                .any(|harm| matches!(harm, Harm::Dropped { .. })),
            _ => false,
        }
    }

    /// It in a few words, for one line.
    pub fn cause(&self) -> String {
        match self {
            Self::Slowed(slowed) => slowed.cause(),
            Self::NoCalls { .. } => "no call has ended".to_string(),
            Self::NoLocalResources { which, .. } => {
                format!("this machine ran out of {}", missing(which))
            }
            Self::ArrivalsDropped { dropped, arrivals } => format!(
                "{} of the arrivals were dropped",
                percent(*dropped as f64 / (*arrivals).max(1) as f64)
            ),
            Self::Little { .. } => "rate and latencies contradict each other".to_string(),
            Self::ClockStepped { .. } => "the system's clock was set".to_string(),
            Self::UserSpaceTimes { too_high, .. } => format!(
                "no kernel timestamps; p99 up to {} too high",
                format_latency(too_high.p99_ns)
            ),
            Self::NotPinned { .. } => "workers share CPUs".to_string(),
            Self::ShortRun { .. } => "the run was too short".to_string(),
            Self::LateEnd { end, rate } => format!(
                "rate up to {} too low: last call {} after the load",
                percent(end.too_low(*rate)),
                end.after_text()
            ),
            Self::NotRecovered { waited, .. } => {
                format!("the server did not recover in {}", format_duration(*waited))
            }
            Self::FewSamples { count } => {
                format!("only {} succeeded", plural(*count, "call", "calls"))
            }
            Self::NearCalibratedRate { .. } => "near the most that this host can do".to_string(),
            Self::AtNoiseFloor { noise_ns, .. } => format!(
                "at this host's noise floor; p50 up to {} too high",
                format_latency(*noise_ns)
            ),
            Self::NoisierThanCalibrated { .. } => "later than when calibrated".to_string(),
        }
    }

    /// What it was seen by, where that is more than one thing.
    pub fn signals(&self) -> &[Signal] {
        match self {
            Self::Slowed(slowed) => &slowed.signals,
            _ => &[],
        }
    }

    /// What was seen, what it means for the figures and by how much, what to do.
    pub fn text(&self) -> String {
        self.told().0
    }

    /// The figures that it rests on, by name with the unit last.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        self.told().1
    }

    /// The text, and its figures.
    fn told(&self) -> (String, Vec<(&'static str, f64)>) {
        match self {
            Self::Slowed(slowed) => (slowed.text(), slowed.figures()),
            Self::NoCalls { cancelled } => {
                (no_calls(*cancelled), vec![("cancelled", *cancelled as f64)])
            }
            Self::NoLocalResources {
                failures,
                attempts,
                users_without,
                which,
            } => (
                no_local_resources(*failures, *attempts, *users_without, which),
                vec![
                    ("failures", *failures as f64),
                    ("attempts", *attempts as f64),
                    ("users_without_session", *users_without as f64),
                ],
            ),
            Self::ArrivalsDropped { dropped, arrivals } => (
                format!(
                    "dropped arrivals {} ({} of {}): the offered load was not all sent, since no \
                     virtual user was free and the queue was full, or the run ended: the server is \
                     slower than the rate, or `max_vus` is too low for it. What was sent is measured as it was",
                    percent(*dropped as f64 / (*arrivals).max(1) as f64),
                    format_count(*dropped),
                    format_count(*arrivals)
                ),
                vec![("dropped", *dropped as f64), ("arrivals", *arrivals as f64)],
            ),
            Self::Little {
                in_flight,
                by_latency,
            } => (
                format!(
                    "{in_flight:.1} calls were in flight on average, but their rate and latency \
                     say {by_latency:.1} (Little's law): the latencies cannot all be right; please \
                     report it with the JSON report"
                ),
                vec![("in_flight", *in_flight), ("by_latency", *by_latency)],
            ),
            Self::ClockStepped {
                steps,
                largest_ns,
                unusable,
                p99_too_high_ns,
            } => (
                format!(
                    "the system's clock was set {} during the run, by up to {}: {} timed \
                     when this program read them, so that p99 may be too high by up to {}; run \
                     without time synchronisation that steps the clock",
                    times(*steps),
                    format_latency(*largest_ns),
                    plural(*unusable, "answer was", "answers were"),
                    format_latency(*p99_too_high_ns)
                ),
                vec![
                    ("steps", *steps as f64),
                    ("largest_ms", ms(*largest_ns)),
                    ("timestamps_unusable", *unusable as f64),
                    ("p99_too_high_ms", ms(*p99_too_high_ns)),
                ],
            ),
            Self::UserSpaceTimes {
                share,
                loop_p99_ns,
                too_high,
            } => (
                format!(
                    "{} of the answers were timed when this program read them, since the system \
                     gave no receive timestamps: p99 may be too high by up to {}, and p50 by up to \
                     {}; use fewer users a worker, or Linux",
                    percent(*share),
                    format_latency(too_high.p99_ns),
                    format_latency(too_high.p50_ns)
                ),
                vec![
                    ("share", *share),
                    ("loop_p99_ms", ms(*loop_p99_ns)),
                    ("p50_too_high_ms", ms(too_high.p50_ns)),
                    ("p99_too_high_ms", ms(too_high.p99_ns)),
                ],
            ),
            Self::NotPinned { count, workers } => (
                format!(
                    "{} could not be kept to a CPU: workers that move or share CPUs delay each \
                     other, which is judged by what it did; use no more workers than CPUs, or say \
                     `--no-pin` if that is meant",
                    part_of(*count as u64, *workers as u64, "worker", "workers")
                ),
                vec![("not_pinned", *count as f64), ("workers", *workers as f64)],
            ),
            Self::ShortRun { elapsed, rate_off } => (
                format!(
                    "the run took {}: too short for a rate to settle, its first and last calls may \
                     change it by up to {}; run longer",
                    format_duration(*elapsed),
                    percent(*rate_off)
                ),
                vec![
                    ("elapsed_secs", elapsed.as_secs_f64()),
                    ("rate_off", *rate_off),
                ],
            ),
            Self::LateEnd { end, rate } => (
                format!(
                    "the last call ended {} after the load: the rate while load was offered was \
                     about {}, so that the rate ({}) is too low by at most {}; the server took so \
                     long, and few calls were in flight in that time; run longer, or give calls a \
                     shorter timeout",
                    end.after_text(),
                    format_rate(end.rate_per_sec),
                    format_rate(*rate),
                    percent(end.too_low(*rate))
                ),
                vec![
                    ("after_secs", end.after_secs),
                    ("offered_rate_per_sec", end.rate_per_sec),
                    ("rate_too_low_share", end.too_low(*rate)),
                ],
            ),
            Self::NotRecovered {
                waited,
                before_ns,
                after_ns,
            } => (
                format!(
                    "the server did not recover: nearly alone for {} after this level, its median \
                     latency stayed at {} or above, {} before. It became slower during the search, \
                     by what the load left behind or with time alone: levels that were held at \
                     different times are not comparable, and the one that fails may fail for its \
                     time. Look at what grows in the server, start it afresh and search again",
                    format_duration(*waited),
                    format_latency(*after_ns),
                    format_latency(*before_ns)
                ),
                vec![
                    ("waited_secs", waited.as_secs_f64()),
                    ("p50_before_ms", ms(*before_ns)),
                    ("p50_after_ms", ms(*after_ns)),
                ],
            ),
            Self::FewSamples { count } => (
                format!(
                    "{} succeeded: too few to tell the high percentiles (p99 needs 100); run longer",
                    plural(*count, "call", "calls")
                ),
                vec![("count", *count as f64)],
            ),
            Self::NearCalibratedRate { rate, reference } => (
                format!(
                    "each worker made {}, {} of the {} that this host was calibrated to generate: \
                     the limit seen may be the generator's, and the server's rate higher",
                    format_rate(*rate),
                    percent(rate / reference),
                    format_rate(*reference)
                ),
                vec![("rate_per_sec", *rate), ("reference_per_sec", *reference)],
            ),
            Self::AtNoiseFloor {
                latency_ns,
                noise_ns,
            } => (
                format!(
                    "the median latency, {}, is at this host's noise floor: up to {} of it are the \
                     host's and not the server's",
                    format_latency(*latency_ns),
                    format_latency(*noise_ns)
                ),
                vec![
                    ("latency_p50_ms", ms(*latency_ns)),
                    ("noise_p50_ms", ms(*noise_ns)),
                ],
            ),
            Self::NoisierThanCalibrated {
                lateness_ns,
                reference_ns,
            } => (
                format!(
                    "requests left up to {} (p99) late, {} when this host was calibrated: \
                     something else runs on it, or it has changed; look for it, or calibrate again",
                    format_latency(*lateness_ns),
                    format_latency(*reference_ns)
                ),
                vec![
                    ("lateness_p99_ms", ms(*lateness_ns)),
                    ("reference_p99_ms", ms(*reference_ns)),
                ],
            ),
        }
    }
}

fn no_calls(cancelled: u64) -> String {
    let cut_off = match cancelled {
        0 => {
            return "no call has ended, so that there is nothing to judge: none was begun; the \
                    handshake's row and the hints say why"
                .to_string();
        }
        count => plural(count, "was", "were"),
    };
    format!(
        "no call has ended, so that there is nothing to judge: {cut_off} cut off by the end of the \
         run; run longer than the server takes, or with a shorter `--timeout`"
    )
}

fn no_local_resources(
    failures: u64,
    attempts: u64,
    users_without: u64,
    which: &[LocalResource],
) -> String {
    let remedies = which.iter().map(|resource| match resource {
        LocalResource::OpenFiles => "raise `ulimit -n`",
        LocalResource::Ports => "widen `net.ipv4.ip_local_port_range`",
        LocalResource::Memory => "give this machine more memory",
    });
    let what = missing(which);
    let mut text = format!(
        "this machine ran out of {what}: {} for a connection failed for it",
        part_of(failures, attempts, "attempt", "attempts")
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

fn missing(which: &[LocalResource]) -> String {
    let names: Vec<&str> = which
        .iter()
        .map(|resource| match resource {
            LocalResource::OpenFiles => "open files",
            LocalResource::Ports => "local ports",
            LocalResource::Memory => "memory",
        })
        .collect();
    match names.is_empty() {
        true => "open files, ports or memory".to_string(),
        false => names.join(" and "),
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_string(),
        n => format!("{} times", format_count(n)),
    }
}
