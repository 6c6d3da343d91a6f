//! The probe's block.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Counters;

use super::{AdviceNote, Figures, LatencyFigures, OperationFigures, WarmUp};

/// One quiet session that called beside the load, on a thread of its own.
/// Nothing of it is in another block: the server saw its calls as well as
/// those of `totals`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeFigures {
    /// Iterations that it was to start, a second: one in each interval, at a
    /// random moment of it.
    pub rate_per_sec: f64,
    /// Whether its thread was really pinned to a CPU that no worker used.
    pub pinned: bool,
    /// That CPU; `null` where it was not pinned.
    pub cpu: Option<u64>,
    /// What its rates are per, in seconds: without the warm-up, to its last
    /// answer or the end of the load.
    pub length_secs: f64,
    /// All its calls: those of the scenario, one at a time, in the load's mix.
    pub figures: Figures,
    /// Each operation.
    pub operations: Vec<OperationFigures>,
    /// Its session opened.
    pub handshake: Option<Figures>,
    /// Its session ended with `DELETE`.
    pub close: Option<Figures>,
    /// Counted beside its calls. `arrivals` are its intended starts.
    pub counters: Counters,
    /// Like `lateness` of the load.
    pub lateness: Option<LatencyFigures>,
    /// Like `generator_delay` of the load.
    pub generator_delay: Option<LatencyFigures>,
    /// Its calls in the warm-up; `null` without one.
    pub warm_up: Option<WarmUp>,
    /// What its latency says of the load's: `client_queue`, `load_waits`,
    /// `server`, `probe_waits`, `unclear` or `too_few`, and a sentence.
    pub finding: AdviceNote,
}
