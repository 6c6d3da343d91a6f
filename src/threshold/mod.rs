//! Thresholds: what a run has to keep, as it is asked for and as it came out.
//!
//! [`parse()`] reads `tool:echo p99<200ms`, `decide::threshold` judges. This module
//! knows no plan and no figures: names are compared by who has them.

mod model;
mod parse;
mod unanswered;

use std::time::Duration;

pub use model::{
    Comparison, GateGrade, GateOutcome, LimitUnit, Selector, SelectorKind, Severity,
    ThresholdFigures,
};
pub use parse::{parse, parse_selector};
pub use unanswered::{TIMEOUT, least_decides, least_text, overdue_text};

use crate::metrics::Quantile;

/// Thresholds of a plan: each costs a comparison of every call that it is about.
pub const THRESHOLDS_MAX: usize = 100;

/// Why a run with thresholds fails that did not last as planned.
pub const INTERRUPTED: &str = "the run was interrupted";

/// Why one segment's run does not judge a rate.
pub const DEFERRED: &str = "a rate of the whole load: `report` with the reports of all segments \
                            judges it";

/// Why a run fails in which some answer had another user's marker.
pub const NOT_ISOLATED: &str = "answers held what was another user's (`isolation.foreign`)";

/// What a run has to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// As the user wrote it, to be shown.
    pub text: String,
    /// `None`: the whole run.
    pub selector: Option<Selector>,
    /// What is compared.
    pub metric: Metric,
    /// How.
    pub comparison: Comparison,
    /// With what; its kind is one of the metric's.
    pub limit: Limit,
    /// What becomes of a run that does not keep it.
    pub severity: Severity,
    /// A percentile of too few calls is not kept, whatever its value.
    pub few_fails: bool,
    /// Ends the run as soon as it is plainly not kept, but for what comes within
    /// this time of the start. `None`: it decides at the end alone.
    pub abort_after: Option<Duration>,
}

/// What a threshold compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metric {
    /// The latency of successful calls, as in the report.
    Latency(Statistic),
    /// How long opening a session took.
    Handshake(Statistic),
    /// The bytes of a successful call's answer.
    Bytes(Statistic),
    /// Calls that ended, a second.
    Rate,
    /// Calls that succeeded, a second.
    Goodput,
    /// Calls that failed; `Some`: those of this cause, or of causes that begin with
    /// it (`http`, `http.503`).
    Errors(Option<String>),
    /// Arrivals that nobody served.
    Dropped,
    /// Sessions that the server no longer knew.
    SessionsLost,
    /// The load at which the server stopped keeping up.
    BreakingPoint,
}

/// What is taken of many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistic {
    /// A percentile.
    Quantile(Quantile),
    /// The greatest.
    Max,
    /// The arithmetic mean.
    Mean,
}

/// What a value is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Nanoseconds.
    Time(u64),
    /// `part ÷ whole`, exactly: 0.7 % is 7 of 1,000.
    Share {
        /// At most `whole`.
        part: u64,
        /// A power of ten.
        whole: u64,
    },
    /// So many.
    Count(u64),
    /// Events a second; of a breaking point, arrivals.
    PerSec(f64),
    /// Bytes.
    Bytes(u64),
    /// Virtual users.
    Load(f64),
}

impl std::fmt::Display for Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Latency(statistic) => write!(f, "{statistic}"),
            Self::Handshake(statistic) => write!(f, "handshake.{statistic}"),
            Self::Bytes(statistic) => write!(f, "bytes.{statistic}"),
            Self::Rate => f.write_str("rate"),
            Self::Goodput => f.write_str("goodput"),
            Self::Errors(None) => f.write_str("errors"),
            Self::Errors(Some(cause)) => write!(f, "errors.{cause}"),
            Self::Dropped => f.write_str("dropped"),
            Self::SessionsLost => f.write_str("sessions.lost"),
            Self::BreakingPoint => f.write_str("breaking_point"),
        }
    }
}

impl std::fmt::Display for Statistic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Quantile(quantile) => write!(f, "{quantile}"),
            Self::Max => f.write_str("max"),
            Self::Mean => f.write_str("mean"),
        }
    }
}

impl Threshold {
    /// The population that it is about, whole.
    pub fn population(&self) -> Option<&str> {
        self.selector.as_ref()?.whole_population()
    }

    /// Whether it asks for failures: a run without any would not keep it.
    pub fn asks_for_failures(&self) -> bool {
        let none_to_limit = 0.0_f64.total_cmp(&self.limit.in_unit());
        matches!(self.metric, Metric::Errors(_)) && !self.comparison.holds(none_to_limit)
    }
}

impl Metric {
    /// Whether it is a figure of the run as a whole, of which no call has a part.
    pub fn is_of_run(&self) -> bool {
        matches!(
            self,
            Self::Handshake(_) | Self::Dropped | Self::SessionsLost | Self::BreakingPoint
        )
    }

    /// Whether it is one of these of which each population has a part.
    pub fn is_of_populations(&self) -> bool {
        matches!(self, Self::Handshake(_) | Self::Dropped)
    }
}

impl Limit {
    /// What it is counted in.
    pub fn unit(self) -> LimitUnit {
        match self {
            Self::Time(_) => LimitUnit::Ms,
            Self::Share { .. } => LimitUnit::Share,
            Self::Count(_) => LimitUnit::Count,
            Self::PerSec(_) => LimitUnit::PerSec,
            Self::Bytes(_) => LimitUnit::Bytes,
            Self::Load(_) => LimitUnit::Load,
        }
    }

    /// It, in its unit.
    pub fn in_unit(self) -> f64 {
        match self {
            Self::Time(ns) => crate::units::ms(ns),
            Self::Share { part, whole } => part as f64 / whole as f64,
            Self::Count(count) | Self::Bytes(count) => count as f64,
            Self::PerSec(value) | Self::Load(value) => value,
        }
    }
}

impl Comparison {
    /// Whether a value that stands so to its limit is right.
    pub fn holds(self, value_to_limit: std::cmp::Ordering) -> bool {
        match self {
            Self::Below => value_to_limit.is_lt(),
            Self::AtMost => value_to_limit.is_le(),
            Self::Above => value_to_limit.is_gt(),
            Self::AtLeast => value_to_limit.is_ge(),
            Self::Equal => value_to_limit.is_eq(),
            Self::Unequal => value_to_limit.is_ne(),
        }
    }

    /// Whether it sets an upper limit.
    pub fn is_upper(self) -> bool {
        matches!(self, Self::Below | Self::AtMost)
    }
}
