//! The one reason for all signals that this machine had no time for the load:
//! its cause, what was seen, which figure it endangers and by how much, what to
//! do.

use super::shown::percent;
use super::{Bounds, P50AndP99, Signal};
use crate::units::{format_count, format_latency, ms};

/// This machine had no time for the load.
#[derive(Debug, Clone, PartialEq)]
pub struct Slowed {
    /// What was seen, the cause first; at least one.
    pub signals: Vec<Signal>,
    /// Which figures it endangers, worst first; none: it is a note.
    pub harms: Vec<Harm>,
    /// By how much figures may be wrong.
    pub bounds: Bounds,
    /// There are CPUs that more workers could use.
    pub has_spare_cpus: bool,
}

/// A rate that may be too low by a smaller part of itself is as good as exact.
const RATE_TOLD: f64 = 0.01;

/// A figure that cannot be relied on, or a load that is not the one asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Harm {
    /// Percentiles of the latency are too high.
    Latency {
        /// As reported.
        reported: P50AndP99,
        /// By up to so much.
        too_high: P50AndP99,
        /// From the intended start.
        is_response: bool,
    },
    /// Closed model: users waited for us.
    IdleUsers {
        /// Of their time, 0 to 1.
        share: f64,
    },
    /// Open model: arrivals were not begun when they were due.
    Rate {
        /// The least share of what was due in a second, 0 to 1.
        begun_share: f64,
    },
    /// Open model: arrivals were given up because of us.
    Dropped {
        /// How many.
        dropped: u64,
        /// Of how many.
        arrivals: u64,
    },
    /// The kernel did not time the answers: nobody knows how long they waited.
    Untimed {
        /// The share that it did not time.
        share: f64,
    },
}

impl Slowed {
    /// What this signal alone would be.
    pub fn by(signal: Signal) -> Self {
        Self {
            signals: vec![signal],
            harms: Vec::new(),
            bounds: Bounds::default(),
            has_spare_cpus: false,
        }
    }

    /// Its stable name: that of the cause.
    pub(super) fn id(&self) -> &'static str {
        match self.signals.first() {
            Some(Signal::WaitingForCpu { .. } | Signal::SwitchedOut { .. }) | None => "host_busy",
            Some(cause) => cause.id(),
        }
    }

    /// Cause and harm, on one line.
    pub(super) fn cause(&self) -> String {
        let cause = self
            .signals
            .first()
            .map_or("this host was busy", |signal| signal.short());
        match self.harms.first() {
            Some(harm) => format!("{cause}; {}", harm.short()),
            None => cause.to_string(),
        }
    }

    pub(super) fn text(&self) -> String {
        let seen: Vec<String> = self.signals.iter().map(Signal::sentence).collect();
        let seen = seen.join("; ");
        if self.harms.is_empty() {
            return format!("{seen}; the figures hold: {}", self.at_most());
        }
        let harms: Vec<String> = self.harms.iter().map(Harm::sentence).collect();
        format!("{seen}: {}; {}", harms.join(", and "), self.remedy())
    }

    /// What the figures may be wrong by, where that is little enough.
    fn at_most(&self) -> String {
        let p99 = format_latency(self.bounds.headline().p99_ns);
        let p99 = format!("p99 is too high by at most {p99}");
        let rate = self.bounds.idle_share.filter(|_| {
            let part = self.bounds.rate_too_low();
            part.is_none_or(|part| part >= RATE_TOLD)
        });
        match rate {
            Some(share) => format!("{p99} and the rate too low by at most {}", too_low(share)),
            None => p99,
        }
    }

    fn remedy(&self) -> &'static str {
        match (self.signals.first(), self.has_spare_cpus) {
            (Some(Signal::Throttled { .. }), _) => {
                "raise the quota (`cpu.max`, or the container's CPU limit), or use less load"
            }
            (Some(Signal::Steal { .. }), _) => "use a dedicated host, or less load",
            (Some(Signal::WaitingForCpu { .. } | Signal::SwitchedOut { .. }), _) => {
                "stop what else runs on this machine (the server too, if it runs here), or use \
                 less load"
            }
            (
                Some(Signal::WorkerStalled {
                    was_stopped: true, ..
                }),
                _,
            ) => "let it run to its end without a stop",
            (Some(Signal::WorkerStalled { .. }), _) => {
                "the machine was suspended, out of memory, or overloaded"
            }
            (_, true) => "use more workers, or less load",
            (_, false) => "use less load, or more machines",
        }
    }

    /// Those of the cause, and the bounds.
    pub(super) fn figures(&self) -> Vec<(&'static str, f64)> {
        let mut figures = self.signals.first().map_or(Vec::new(), Signal::figures);
        for harm in &self.harms {
            figures.extend(harm.figures());
        }
        figures
    }
}

impl Harm {
    fn short(&self) -> String {
        match self {
            Self::Latency {
                reported, too_high, ..
            } => match is_p99(reported, too_high) {
                true => format!("p99 up to {} too high", format_latency(too_high.p99_ns)),
                false => format!("p50 up to {} too high", format_latency(too_high.p50_ns)),
            },
            Self::IdleUsers { share } => format!("rate up to {} too low", too_low(*share)),
            Self::Rate { .. } => "the rate was not offered".to_string(),
            Self::Dropped { dropped, arrivals } => {
                format!("{} of arrivals dropped", share_of(*dropped, *arrivals))
            }
            Self::Untimed { .. } => "latencies contain it".to_string(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Latency {
                reported,
                too_high,
                is_response,
            } => {
                let figure = |name: &str, ns, of_ns| {
                    let (by, of) = (format_latency(ns), format_latency(of_ns));
                    format!("{name} ({of}) may be too high by up to {by}")
                };
                let (p50, p99) = (
                    figure("p50", too_high.p50_ns, reported.p50_ns),
                    figure("p99", too_high.p99_ns, reported.p99_ns),
                );
                let what = match is_response {
                    true => "response times contain it",
                    false => "latencies contain it",
                };
                format!("{what}, {p99}, and {p50}")
            }
            Self::IdleUsers { share } => format!(
                "users waited {} of their time for this machine and not for the server, so that \
                 the rate may be too low by up to {}",
                percent(*share),
                too_low(*share)
            ),
            Self::Rate { .. } => {
                "the rate that was asked for was not offered by this machine".to_string()
            }
            Self::Dropped { dropped, arrivals } => format!(
                "dropped arrivals {} ({} of {}) because of this machine: the load was not all sent",
                share_of(*dropped, *arrivals),
                format_count(*dropped),
                format_count(*arrivals)
            ),
            Self::Untimed { share } => format!(
                "the kernel did not time {} of the answers, so that latencies contain how long \
                 they waited here",
                percent(*share)
            ),
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Latency { too_high, .. } => vec![
                ("p50_too_high_ms", ms(too_high.p50_ns)),
                ("p99_too_high_ms", ms(too_high.p99_ns)),
            ],
            Self::IdleUsers { share } => vec![("idle_share", *share)],
            Self::Rate { begun_share } => vec![("begun_share", *begun_share)],
            Self::Dropped { dropped, arrivals } => {
                vec![("dropped", *dropped as f64), ("arrivals", *arrivals as f64)]
            }
            Self::Untimed { share } => vec![("untimed_share", *share)],
        }
    }
}

/// The p99 is the worse of the two.
fn is_p99(reported: &P50AndP99, too_high: &P50AndP99) -> bool {
    let part = |ns: u64, of_ns: u64| ns as f64 / of_ns.max(1) as f64;
    part(too_high.p99_ns, reported.p99_ns) >= part(too_high.p50_ns, reported.p50_ns)
}

fn too_low(idle_share: f64) -> String {
    let bounds = Bounds {
        idle_share: Some(idle_share),
        ..Bounds::default()
    };
    match bounds.rate_too_low() {
        Some(part) if part < 1.0 => percent(part),
        Some(part) => format!("{:.0} times", part + 1.0),
        None => "any number of times".to_string(),
    }
}

fn share_of(dropped: u64, arrivals: u64) -> String {
    percent(dropped as f64 / arrivals.max(1) as f64)
}
