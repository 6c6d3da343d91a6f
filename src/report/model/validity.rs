//! What a report says of itself: the verdict, and what it rests on.

use std::collections::BTreeMap;

use crate::metrics::ReadTimes;
use crate::redact::own;
use crate::validity::{Grade, LateEnd};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether the figures are those of the server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictNotes {
    /// The worst grade of its reasons; `valid` without any.
    pub grade: Grade,
    /// Why it is not simply valid, worst first.
    pub reasons: Vec<ReasonNote>,
    /// What was seen and leaves the figures good enough.
    #[serde(default)]
    pub notes: Vec<ReasonNote>,
    /// By how much figures may be wrong for what this machine did; `null` where
    /// the verdict is that of several loads.
    #[serde(default)]
    pub bounds: Option<BoundsFigures>,
}

/// Why a result is not simply valid; or, without a grade, something that was seen
/// and leaves the figures good enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReasonNote {
    /// A stable name, such as `worker_busy`.
    #[serde(serialize_with = "own")]
    pub id: String,
    /// How much it matters here; absent from a note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Grade>,
    /// It in a few words.
    #[serde(default)]
    pub cause: String,
    /// What was seen, what it means for the figures and by how much, what to do.
    pub text: String,
    /// The figures that it rests on, by name; the unit comes last.
    pub figures: BTreeMap<String, f64>,
    /// What it was seen by, the cause first, where several signals have one
    /// cause.
    #[serde(default)]
    pub signals: Vec<SignalNote>,
}

/// Something that was seen of the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalNote {
    /// A stable name, such as `waiting_for_cpu`.
    #[serde(serialize_with = "own")]
    pub id: String,
    /// Its figures, by name; the unit comes last.
    pub figures: BTreeMap<String, f64>,
}

/// By how much figures may be wrong for what this machine did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BoundsFigures {
    /// The median from the first byte sent may be too high by so much.
    pub service_p50_ms: f64,
    /// The 99th percentile likewise.
    pub service_p99_ms: f64,
    /// The median from the intended start; `null` without such a start.
    pub response_p50_ms: Option<f64>,
    /// The 99th percentile likewise.
    pub response_p99_ms: Option<f64>,
    /// Closed model: the share of the users' time for which they waited for this
    /// machine, 0 to 1; `null` in the open model.
    pub idle_share: Option<f64>,
    /// The rate while load was offered, where the last calls ended so late that the rate
    /// is lower by 5 % or more: the server's doing, and not this machine's. Else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_end: Option<LateEnd>,
}

/// What the generator noticed about itself. Shares are 0 to 1; what this system
/// does not tell is `null`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelfCheckFigures {
    /// Each worker, while the load lasted, without the warm-up; in the order of
    /// `host.workers`.
    pub workers: Vec<WorkerUse>,
    /// Calls in flight.
    pub in_flight: InFlight,
    /// The share of the workers' CPUs that the hypervisor gave to others.
    pub steal_share: Option<f64>,
    /// The share of the time for which the control group was stopped by its
    /// quota; above 1 where several CPUs were.
    pub throttled_share: Option<f64>,
    /// How reads from connections were timed.
    pub reads: ReadTimes,
    /// Steps of the system's clock that were noticed.
    pub clock_steps: u64,
    /// The largest of them.
    pub clock_step_max_ms: f64,
    /// Whole seconds in which the generator was the limit.
    pub limited_secs: u64,
}

/// What a worker's thread used and did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerUse {
    /// The share of the time in which its loop had something to do. Empty polls
    /// of a busy-polling worker do not count as something to do.
    pub busy_share: Option<f64>,
    /// CPU time ÷ time; 1 with busy polling.
    pub cpu_share: Option<f64>,
    /// The share of the time for which it could have run and had no CPU.
    pub run_delay_share: Option<f64>,
    /// How often the CPU was taken from it.
    pub involuntary_switches: Option<u64>,
    /// The longest time for which it did not look at the kernel.
    pub turn_max_ms: f64,
}

/// Calls in flight, counted as they begin and end, not computed from latencies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InFlight {
    /// Mean over time, from the first call on, without the warm-up.
    pub mean: Option<f64>,
    /// The most at once of each worker, all workers together.
    pub max: u64,
    /// The mean from the start of the load to its last call, the warm-up too.
    pub mean_whole: Option<f64>,
    /// What that would be by Little's law, from rate and latency: not more,
    /// unless the latencies are wrong.
    pub by_latency: Option<f64>,
}
