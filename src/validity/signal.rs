//! What shows that this machine had no time for the load. Several of them have
//! one cause, and are one [`super::Reason`] together (`slowed.rs`).

use super::shown::percent;
use crate::units::{format_latency, ms, plural};

/// Something that was seen of the generator.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
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
    /// A worker had no time left.
    WorkerBusy {
        /// Which, from 0.
        worker: usize,
        /// Its share of work.
        share: f64,
        /// Seconds in which some worker was as good as full, and all of them.
        seconds: (usize, usize),
    },
    /// A worker stood still.
    WorkerStalled {
        /// Seconds in which such a stall ended, and all of them.
        seconds: (usize, usize),
        /// The longest.
        longest_ns: u64,
        /// The whole process was stopped, as by Ctrl-Z, and went on.
        was_stopped: bool,
    },
    /// Arrivals were begun late although users were free.
    BehindSchedule {
        /// Seconds in which it was so, and all of them.
        seconds: (usize, usize),
        /// The least share of what was due that was begun.
        share: f64,
    },
    /// Answers waited to be read.
    SlowReading {
        /// Median and 99th percentile of the wait.
        delay_ns: (u64, u64),
        /// Median latency.
        latency_ns: u64,
    },
    /// Requests left late.
    LateStarts {
        /// Median and 99th percentile.
        lateness_ns: (u64, u64),
        /// Median latency.
        latency_ns: u64,
    },
    /// Answers that had come waited to be looked at for what they say.
    ChecksBehind {
        /// Which worker, from 0.
        worker: usize,
        /// Of its users' time with a call, the share.
        share: f64,
    },
    /// A worker's loop took long between two looks at the kernel.
    LongLoops {
        /// 99th percentile.
        p99_ns: u64,
    },
}

impl Signal {
    /// Its stable name in the report.
    pub fn id(&self) -> &'static str {
        self.words().0
    }

    /// What it says is wrong, in a few words.
    pub(super) fn short(&self) -> &'static str {
        self.words().1
    }

    /// What was seen.
    pub(super) fn sentence(&self) -> String {
        self.told().0
    }

    /// The figures that it rests on, by name with the unit last.
    pub fn figures(&self) -> Vec<(&'static str, f64)> {
        self.told().1
    }

    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Throttled { .. } => ("throttled", "stopped by a CPU quota"),
            Self::Steal { .. } => ("steal", "the hypervisor took CPU time"),
            Self::WaitingForCpu { .. } => ("waiting_for_cpu", "this host's CPUs were busy"),
            Self::SwitchedOut { .. } => ("switched_out", "this host's CPUs were busy"),
            Self::WorkerBusy { .. } => ("worker_busy", "a worker was full"),
            Self::WorkerStalled {
                was_stopped: true, ..
            } => ("worker_stalled", "this process was stopped"),
            Self::WorkerStalled { .. } => ("worker_stalled", "a worker stood still"),
            Self::BehindSchedule { .. } => ("behind_schedule", "arrivals began late"),
            Self::SlowReading { .. } => ("slow_reading", "answers were read late"),
            Self::LateStarts { .. } => ("late_starts", "requests left late"),
            Self::ChecksBehind { .. } => ("checks_behind", "answers waited to be checked"),
            Self::LongLoops { .. } => ("long_loops", "a worker's turns were long"),
        }
    }

    /// The sentence, and its figures.
    fn told(&self) -> (String, Vec<(&'static str, f64)>) {
        match *self {
            Self::Throttled { share } => (
                format!(
                    "the CPU quota of this process's control group stopped it for {} of the time",
                    percent(share)
                ),
                vec![("share", share)],
            ),
            Self::Steal { share } => (
                format!(
                    "the hypervisor gave {} of the workers' CPU time to other machines",
                    percent(share)
                ),
                vec![("share", share)],
            ),
            Self::WaitingForCpu { worker, share } => (
                format!(
                    "worker {worker} waited for a CPU {} of the time, since other work had it",
                    percent(share)
                ),
                vec![("worker", worker as f64), ("share", share)],
            ),
            Self::SwitchedOut { worker, per_sec } => (
                format!(
                    "the CPU was taken from worker {worker} {} a second",
                    plural(per_sec.round() as u64, "time", "times")
                ),
                vec![("worker", worker as f64), ("per_sec", per_sec)],
            ),
            Self::WorkerBusy {
                worker,
                share,
                seconds: (bad, all),
            } => {
                let busy = format!("worker {worker} was busy {} of the time", percent(share));
                let text = match bad {
                    0 => busy,
                    bad => format!("{busy}, and some worker fully {}", in_seconds(bad, all)),
                };
                let figures = vec![
                    ("worker", worker as f64),
                    ("share", share),
                    ("busy_seconds", bad as f64),
                    ("seconds", all as f64),
                ];
                (text, figures)
            }
            Self::WorkerStalled {
                seconds: (bad, all),
                longest_ns,
                was_stopped,
            } => {
                let longest = format_latency(longest_ns);
                let what = match was_stopped {
                    true => "this process was stopped (by Ctrl-Z, SIGTSTP or SIGSTOP)",
                    false => "a worker stood still",
                };
                // A stall is of the second that it ended in, and may be longer.
                let still = format!("{what} for up to {longest}");
                let text = match bad {
                    0 | 1 => still,
                    bad => format!("{still}, and such stalls ended {}", in_seconds(bad, all)),
                };
                let figures = vec![
                    ("stalled_seconds", bad as f64),
                    ("seconds", all as f64),
                    ("longest_ms", ms(longest_ns)),
                ];
                (text, figures)
            }
            Self::BehindSchedule {
                seconds: (bad, all),
                share,
            } => (
                format!(
                    "{} arrivals were begun late although users were free, in the worst only {} \
                     of those due",
                    in_seconds(bad, all),
                    percent(share)
                ),
                vec![
                    ("behind_seconds", bad as f64),
                    ("seconds", all as f64),
                    ("begun_share", share),
                ],
            ),
            Self::SlowReading {
                delay_ns: (p50_ns, p99_ns),
                latency_ns,
            } => (
                format!(
                    "answers waited {} (median) and {} (p99) for this machine to read them, and \
                     {} (median) for the server",
                    format_latency(p50_ns),
                    format_latency(p99_ns),
                    format_latency(latency_ns)
                ),
                vec![
                    ("delay_p50_ms", ms(p50_ns)),
                    ("delay_p99_ms", ms(p99_ns)),
                    ("latency_p50_ms", ms(latency_ns)),
                ],
            ),
            Self::LateStarts {
                lateness_ns: (p50_ns, p99_ns),
                latency_ns,
            } => (
                format!(
                    "requests left up to {} (p99) after they could have",
                    format_latency(p99_ns)
                ),
                vec![
                    ("lateness_p50_ms", ms(p50_ns)),
                    ("lateness_p99_ms", ms(p99_ns)),
                    ("latency_p50_ms", ms(latency_ns)),
                ],
            ),
            Self::ChecksBehind { worker, share } => (
                format!(
                    "answers of worker {worker} that had come waited {} of the time of its users \
                     for their checks",
                    percent(share)
                ),
                vec![("worker", worker as f64), ("share", share)],
            ),
            Self::LongLoops { p99_ns } => (
                format!(
                    "a worker took up to {} (p99) between two looks at the network",
                    format_latency(p99_ns)
                ),
                vec![("p99_ms", ms(p99_ns))],
            ),
        }
    }
}

/// `in 3 of 10 seconds`.
fn in_seconds(bad: usize, all: usize) -> String {
    match all {
        0 | 1 => "in the one whole second".to_string(),
        all => format!("in {bad} of {}", plural(all as u64, "second", "seconds")),
    }
}
