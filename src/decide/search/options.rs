//! What is searched, between which levels and under which limits, and what follows
//! from that for each level.

use std::fmt;
use std::time::Duration;

use crate::outcome::{FindOptions, FindPhase, LatencyLimit, LoadUnit};

/// What is searched, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// Its deadline is the caller's to keep: see [`super::Input::Deadline`].
    pub find: FindOptions,
    /// Mean thinking time between two requests of a virtual user: lengthens the
    /// settling, and allows the check by Little's law. `None` where a virtual
    /// user's cycle is not one request and one pause.
    pub think: Option<Duration>,
}

/// The most latency limits that can be judged at once.
pub const LATENCY_LIMITS_MAX: usize = 4;

/// Options that no search can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionsFault {
    /// No limit at all.
    NoLimit,
    /// More latency limits than [`LATENCY_LIMITS_MAX`].
    TooManyLimits,
    /// A quantile out of 0.5 to 0.9999, or a latency limit of zero.
    LatencyLimit,
    /// An error share that is not above 0 and below 1.
    ErrorShare,
    /// Levels that are not above 0, not in order, or not whole for VUs.
    Levels,
}

impl fmt::Display for OptionsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLimit => "a search needs at least one limit on latency or errors",
            Self::TooManyLimits => "a search judges at most 4 latency limits",
            Self::LatencyLimit => {
                "a latency limit needs a quantile from 0.5 to 0.9999 and more than 0 ns"
            }
            Self::ErrorShare => "the share of errors allowed has to be above 0% and below 100%",
            Self::Levels => "the levels have to be above 0, the highest not below the first",
        })
    }
}

impl std::error::Error for OptionsFault {}

/// The least settling, while levels are only sounded and where they decide.
const SETTLE_SHORT: Duration = Duration::from_secs(2);
const SETTLE_LONG: Duration = Duration::from_secs(3);
/// A queue whose waits are near the limit fills within a few times the limit.
const SETTLE_LIMITS: u32 = 5;
/// No settling is longer, whatever the thinking time.
const SETTLE_MAX: Duration = Duration::from_secs(60);

const TOLERANCE_FINE: f64 = 1.05;
const TOLERANCE_COARSE: f64 = 1.10;

impl LatencyLimit {
    /// The share of requests that may be above the limit.
    pub(super) fn share_allowed(&self) -> f64 {
        1.0 - self.quantile
    }
}

impl SearchOptions {
    pub(super) fn check(&self) -> Result<(), OptionsFault> {
        let find = &self.find;
        let is_level = |level: f64| {
            level.is_finite() && level > 0.0 && (find.by == LoadUnit::Rate || level.fract() == 0.0)
        };
        let is_limit =
            |limit: &LatencyLimit| (0.5..=0.9999).contains(&limit.quantile) && limit.limit_ns > 0;
        let is_share = |share: f64| share > 0.0 && share < 1.0;
        if find.latency.is_empty() && find.error_share_max.is_none() {
            Err(OptionsFault::NoLimit)
        } else if find.latency.len() > LATENCY_LIMITS_MAX {
            Err(OptionsFault::TooManyLimits)
        } else if !find.latency.iter().all(is_limit) {
            Err(OptionsFault::LatencyLimit)
        } else if !find.error_share_max.is_none_or(is_share) {
            Err(OptionsFault::ErrorShare)
        } else if !is_level(find.from) || !is_level(find.to) || find.to < find.from {
            Err(OptionsFault::Levels)
        } else {
            Ok(())
        }
    }

    /// A single user; or a tenth of the first rate, but at least 1/s where that
    /// is not above it, so that the baseline does not take minutes.
    pub(super) fn baseline_level(&self) -> f64 {
        match self.find.by {
            LoadUnit::Vus => 1.0,
            LoadUnit::Rate => (self.find.from / 10.0).max(1.0).min(self.find.from),
        }
    }

    /// The bracket's level after `low`.
    pub(super) fn level_above(&self, low: f64) -> f64 {
        if low < self.find.from {
            self.find.from
        } else {
            (low * 2.0).min(self.find.to)
        }
    }

    /// Fine where a second holds a unit of requests.
    pub(super) fn tolerance_at(&self, rate: f64) -> f64 {
        if rate * self.strictest_share() >= 1.0 && !self.find.quick {
            TOLERANCE_FINE
        } else {
            TOLERANCE_COARSE
        }
    }

    /// The smallest share of requests that a limit allows to be bad.
    pub(super) fn strictest_share(&self) -> f64 {
        let shares = self.find.latency.iter().map(LatencyLimit::share_allowed);
        shares
            .reduce(f64::min)
            .or(self.find.error_share_max)
            .unwrap_or(1.0)
    }

    /// How long a level settles: at least two cycles of a thinking user, and
    /// long enough for a queue near the limits to fill.
    pub(super) fn settling(&self, phase: FindPhase) -> Duration {
        let shortest = match phase {
            _ if self.find.quick => SETTLE_SHORT,
            FindPhase::Baseline | FindPhase::Bracket => SETTLE_SHORT,
            FindPhase::Bisect | FindPhase::Verify => SETTLE_LONG,
        };
        let cycles = self.think.unwrap_or_default().saturating_mul(2);
        let limits_ns = self.find.latency.iter().map(|limit| limit.limit_ns);
        let queue =
            Duration::from_nanos(limits_ns.max().unwrap_or(0)).saturating_mul(SETTLE_LIMITS);
        shortest.max(cycles).max(queue).min(SETTLE_MAX)
    }
}
