//! What the search is told of a second.

use std::time::Duration;

use super::options::LATENCY_LIMITS_MAX;
use crate::validity::Grade;

/// The interval figures of one finished tick, of all workers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SearchTick {
    /// How long the tick really was.
    pub length: Duration,
    /// Open model: arrivals due in it. Closed: requests started.
    pub offered: u64,
    /// Requests ended in it, failed ones included.
    pub completed: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// For each latency limit, those that ended above it or failed (a timeout
    /// is late whatever its latency says).
    pub n_over: [u64; LATENCY_LIMITS_MAX],
    /// Arrivals thrown away because nobody was free and the queue was full.
    pub dropped: u64,
    /// Requests under way at its end, waiting arrivals included.
    pub in_flight: u64,
    /// The median latency of the tick, nanoseconds. `None` without requests.
    pub median_ns: Option<u64>,
    /// The mean latency of the tick, nanoseconds. `None` without requests.
    pub mean_ns: Option<u64>,
    /// Percentiles since the last [`super::SearchAction::SetLevel`], [`super::SearchAction::StartHold`] or
    /// [`super::SearchAction::CoolDown`]: passed on into the trial, never decided on.
    pub hold: Percentiles,
    /// The self-check found that the generator, not the server, was the limit.
    pub generator_limited: bool,
    /// The self-check found that something disturbed the level that another hold of
    /// it may be spared: other work on the host, not a want of this machine.
    pub disturbed: bool,
    /// How far the level's figures can be trusted so far: passed on as well.
    pub grade: Grade,
}

/// Latency percentiles in nanoseconds; `None` where there are no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// The median.
    pub p50_ns: Option<u64>,
    /// The 95th percentile.
    pub p95_ns: Option<u64>,
    /// The 99th percentile.
    pub p99_ns: Option<u64>,
}
