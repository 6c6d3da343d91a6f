//! What the probe measured beside the load.

use std::time::Duration;

use super::Row;
use crate::metrics::Recorder;

/// What one quiet session measured beside the load, on a thread of its own.
/// None of its calls is in a figure of the load.
#[derive(Debug, Clone)]
pub struct ProbeOutcome {
    /// Iterations that it was to start a second.
    pub rate: f64,
    /// The CPU that its thread had to itself, as far as this program goes;
    /// `None`: not pinned.
    pub cpu: Option<usize>,
    /// The rows of its recorders, in order.
    pub rows: Vec<Row>,
    /// From the start of the load, or the end of the warm-up, to the end of its
    /// last call, and at least to the moment the run was told to stop.
    pub elapsed: Duration,
    /// All that was recorded, warm-up excluded. Every call has an intended start.
    pub totals: Recorder,
    /// The warm-up's figures, if the plan has one, and how long it really was.
    pub warm_up: Option<(Duration, Recorder)>,
}
