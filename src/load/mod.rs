//! Load models: data, and pure functions of time.
//!
//! How many virtual users run at a moment, when arrivals are due, how long a
//! user thinks. Nothing here waits, knows a thread or sends a request: time
//! goes in as a parameter.

mod arrivals;
mod deal;
mod pacing;
mod segment;
mod stages;

pub use arrivals::{ArrivalSchedule, Rate, RateSegment, Spacing};
pub use deal::Deal;
pub use pacing::{PacedStarts, Pacing, ThinkTime};
pub use segment::{SEGMENT_FORM, Segment};
pub use stages::Stages;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::as_secs;

/// What load is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LoadUnit {
    /// Virtual users, each waiting for its answer before it goes on.
    #[serde(rename = "vus")]
    Vus,
    /// Arrivals a second.
    #[serde(rename = "arrivals_per_sec")]
    Rate,
}

/// A part of a closed run: the number of virtual users moves linearly from
/// the stage before (0 before the first) to `target_vus` across `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VuStage {
    /// Virtual users at its end; 0 is allowed.
    pub target_vus: u32,
    /// How long the stage lasts; more than zero.
    #[serde(rename = "duration_secs", serialize_with = "as_secs")]
    pub duration: Duration,
}

/// A part of an open run: the arrival rate moves linearly from the stage
/// before (0 before the first) to `target_rate` across `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RateStage {
    /// Arrivals a second at its end; 0 is allowed.
    #[serde(rename = "target_rate_per_sec")]
    pub target_rate: f64,
    /// How long the stage lasts; more than zero.
    #[serde(rename = "duration_secs", serialize_with = "as_secs")]
    pub duration: Duration,
}

/// How arrivals are spread around their rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Evenly spaced.
    #[default]
    Constant,
    /// A Poisson process: exponential gaps, as from many independent clients.
    Poisson,
}

/// Arrivals in groups: `size` at once, at every multiple of `every`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Burst {
    /// Arrivals of one burst; at least 1.
    #[serde(rename = "burst")]
    pub size: u32,
    /// The time from one burst to the next; more than zero.
    #[serde(rename = "every_secs", serialize_with = "as_secs")]
    pub every: Duration,
}
