//! A break, and what says so.

use std::time::Duration;

use crate::load::LoadUnit;

/// A breaking point with its evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Break {
    /// How it broke, and the values that say so.
    pub cause: Cause,
    /// The load at which it began.
    pub load: f64,
    /// The load before that, at which it still kept up; `None` if it never did.
    pub last_good_load: Option<f64>,
    /// When it began, since the run's start.
    pub began: Duration,
    /// When it was noticed.
    pub noticed: Duration,
    /// What the loads count.
    pub load_unit: LoadUnit,
}

/// The ways to break.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// More load gives no more throughput.
    Saturation(SaturationEvidence),
    /// Too many requests fail.
    Errors(ErrorEvidence),
    /// Too many requests are too slow.
    Latency(LatencyEvidence),
}

/// What the likelihood-ratio test found, refined while more load follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SaturationEvidence {
    /// The load at which throughput stopped growing; about ±10 %.
    pub knee: f64,
    /// The knee may lie lower: there is no data of lower loads.
    pub is_at_or_below: bool,
    /// Completions per second beyond the knee; about ±10 %.
    pub ceiling_per_second: f64,
}

/// How requests failed.
#[derive(Debug, Clone, PartialEq)]
pub enum ErrorEvidence {
    /// The share that failed stayed over the limit.
    Share {
        /// In the window that raised the alarm.
        share: f64,
        /// [`super::DetectorOptions::max_error_share`].
        limit: f64,
        /// Ended requests in that window.
        n_requests: u64,
    },
    /// More than half failed, three times in a row.
    Outage {
        /// Over those three intervals.
        share: f64,
        /// Ended requests in them.
        n_requests: u64,
    },
    /// Nothing came back although requests were under way.
    Silence {
        /// For how long.
        length: Duration,
        /// Requests under way.
        in_flight: u64,
    },
}

/// How requests were too slow.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyEvidence {
    /// The p99 latency in the window that raised the alarm.
    pub value_ns: u64,
    /// The limit in force.
    pub limit_ns: u64,
    /// The p99 latency at the lowest loads; `None` if the limit was given.
    pub baseline_ns: Option<u64>,
}
