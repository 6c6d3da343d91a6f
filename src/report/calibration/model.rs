//! The JSON report of a calibration: public, versioned.
//!
//! The same style as a run's report: `snake_case`, the unit last, `null` where
//! there is no data.

use crate::redact::own;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::{CalibratedHost, CalibrationSamples, ClosedStep, OpenStep, Percentiles};
use crate::report::model::AdviceNote;
use crate::validity::Reference;

/// The report of a calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibrationReport {
    /// The version of the form.
    #[serde(serialize_with = "own")]
    pub schema_version: String,
    /// `calibration`, to tell it from a run's.
    pub kind: String,
    /// When the calibration had ended, RFC 3339, UTC.
    #[serde(serialize_with = "own")]
    pub timestamp: String,
    /// All steps were done. Only such a calibration becomes a file.
    pub complete: bool,
    /// This program's version.
    pub version: String,
    /// The command line.
    pub command_line: Vec<String>,
    /// When it began, RFC 3339, UTC.
    #[serde(serialize_with = "own")]
    pub started_at: String,
    /// How long it took.
    pub elapsed_secs: f64,
    /// How long figures were taken in each step.
    pub step_secs: f64,
    /// The machine.
    pub host: CalibratedHost,
    /// The CPU that the worker was pinned to; `null`: it was not.
    pub worker_cpu: Option<usize>,
    /// The CPU that the canned server was pinned to; `null`: it was not.
    pub server_cpu: Option<usize>,
    /// There was only one CPU: figures are those of worker and server together.
    pub shared_cpu: bool,
    /// In the worst step, the share of the time for which the worker could have
    /// run and other work, a hypervisor or a quota had its CPU.
    pub disturbed_share: Option<f64>,
    /// Latency ends at the kernel's receive timestamp, not at our reading.
    pub kernel_timestamps: bool,
    /// The worker sleeps while it waits.
    pub normal: ModeFigures,
    /// The worker spins while it waits.
    pub busy_poll: ModeFigures,
    /// What stands in the way of better figures, and how to change it.
    pub advice: Vec<AdviceNote>,
    /// What the user should know of how it went.
    pub notices: Vec<String>,
}

/// What one worker does in a mode. The first three are what later runs are
/// measured by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModeFigures {
    /// The highest rate of the steps below.
    pub calls_per_sec_per_worker: Option<f64>,
    /// Latency at the least number of users, against a server that takes next
    /// to no time: what the network stack, the kernel and we add to any latency.
    pub latency_noise: Option<Percentiles>,
    /// Lateness at the lowest rate.
    pub lateness: Option<Percentiles>,
    /// The closed model.
    pub closed: Vec<ClosedStep>,
    /// The open model.
    pub open: Vec<OpenStep>,
}

/// A worker that waits longer for its CPU than this shows another host.
pub(super) const DISTURBED_SHARE: f64 = 0.05;

impl CalibrationReport {
    /// Whether something else had the worker's CPU for so long that the figures
    /// are those of a slower host. On a single CPU it is the canned server, which
    /// the report says by itself.
    pub fn is_disturbed(&self) -> bool {
        let share = self.disturbed_share.unwrap_or(0.0);
        share >= DISTURBED_SHARE && !self.shared_cpu
    }

    /// What it says, as plain figures; `None` where figures are missing, or below
    /// what they can be.
    pub fn samples(&self) -> Option<CalibrationSamples> {
        Some(CalibrationSamples {
            host: self.host.clone(),
            version: self.version.clone(),
            is_disturbed: self.is_disturbed(),
            normal: self.normal.reference()?,
            busy_poll: self.busy_poll.reference()?,
        })
    }
}

impl ModeFigures {
    fn reference(&self) -> Option<Reference> {
        let (noise, lateness) = (self.latency_noise?, self.lateness?);
        let rate = self.calls_per_sec_per_worker?;
        (rate.is_finite() && rate > 0.0).then_some(Reference {
            calls_per_sec_per_worker: rate,
            latency_noise_p50_ns: noise.p50_ns,
            latency_noise_p99_ns: noise.p99_ns,
            lateness_p99_ns: lateness.p99_ns,
        })
    }
}
