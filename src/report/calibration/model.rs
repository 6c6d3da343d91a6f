//! The JSON report of a calibration: public, versioned.
//!
//! The same style as a run's report: `snake_case`, the unit last, `null` where
//! there is no data.

use crate::redact::own;
use serde::{Deserialize, Serialize};

use super::advice::DISTURBED_SHARE;
use crate::report::model::AdviceNote;
use crate::validity::Reference;

/// The version of the form. A field that goes or changes its meaning needs a
/// new major number.
pub const CALIBRATION_SCHEMA_VERSION: &str = "1.0";

/// What a report of this form calls itself.
pub const CALIBRATION_KIND: &str = "calibration";

/// The report of a calibration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct CalibrationReport {
    /// [`CALIBRATION_SCHEMA_VERSION`].
    #[serde(serialize_with = "own")]
    pub schema_version: String,
    /// [`CALIBRATION_KIND`], to tell it from a run's.
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
    pub worker_cpu: Option<u64>,
    /// The CPU that the canned server was pinned to; `null`: it was not.
    pub server_cpu: Option<u64>,
    /// There was only one CPU: figures are those of worker and server together.
    pub shared_cpu: bool,
    /// In the worst step, the share of the time for which the worker could have
    /// run and other work, a hypervisor or a quota had its CPU.
    pub disturbed_share: Option<f64>,
    /// Latency ends at the kernel's receive timestamp, not at our reading.
    pub kernel_timestamps: bool,
    /// The worker sleeps while it waits.
    pub normal: Mode,
    /// The worker spins while it waits.
    pub busy_poll: Mode,
    /// What stands in the way of better figures, and how to change it.
    pub advice: Vec<AdviceNote>,
    /// What the user should know of how it went.
    pub notices: Vec<String>,
}

/// What the machine is. CPU model, CPUs, quota and kernel tell it from others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct CalibratedHost {
    /// The CPU's model, if known.
    pub cpu_model: Option<String>,
    /// CPUs that are online, if known.
    pub cpus: Option<u64>,
    /// CPUs that this process could use.
    pub allowed_cpus: Vec<u64>,
    /// CPUs' worth of the control group's quota; `null` without one.
    pub quota_cpus: Option<f64>,
    /// Kernel name and release, if known.
    pub kernel: Option<String>,
    /// Whether it is a virtual machine, if known.
    pub virtual_machine: Option<bool>,
    /// What chooses the frequency of these CPUs, if known.
    pub governor: Option<String>,
    /// Whether CPUs may run above their nominal frequency, if known.
    pub boost: Option<bool>,
    /// CPUs that the scheduler keeps free, if known.
    pub isolated_cpus: Option<Vec<u64>>,
    /// CPUs without a periodic tick, if known.
    pub nohz_full_cpus: Option<Vec<u64>>,
    /// NUMA nodes, if known.
    pub numa_nodes: Option<u64>,
    /// How much later than asked for a sleep may end, if known. Workers wait on
    /// a timer descriptor, which it does not hold for.
    pub timer_slack_ns: Option<u64>,
}

/// What one worker does in a mode. The first three are what later runs are
/// measured by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct Mode {
    /// The highest rate of the steps below.
    pub calls_per_sec_per_worker: Option<f64>,
    /// Latency at the least number of users, against a server that takes next
    /// to no time: what the network stack, the kernel and we add to any latency.
    pub latency_noise: Option<SpreadFigures>,
    /// Lateness at the lowest rate.
    pub lateness: Option<SpreadFigures>,
    /// The closed model.
    pub closed: Vec<ClosedFigures>,
    /// The open model.
    pub open: Vec<OpenFigures>,
}

/// How values spread, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct SpreadFigures {
    /// How many there are.
    pub count: u64,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The 99.9th percentile.
    pub p99_9_ms: f64,
    /// The greatest.
    pub max_ms: f64,
}

/// A step of the closed model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct ClosedFigures {
    /// Virtual users.
    pub vus: u32,
    /// Calls that succeeded.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that ended, a second.
    pub calls_per_sec: f64,
    /// CPU time of the worker for each call, in microseconds; `null` where it
    /// is unknown, and with busy-polling, which uses all there is.
    pub cpu_us_per_call: Option<f64>,
    /// The share of the time in which the worker had something to do.
    pub worker_busy_share: Option<f64>,
    /// The share of one CPU that the server used.
    pub server_cpu_share: Option<f64>,
    /// Latency of successful calls.
    pub latency: Option<SpreadFigures>,
    /// From an answer's arrival in the kernel to our reading it.
    pub generator_delay: Option<SpreadFigures>,
}

/// A step of the open model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct OpenFigures {
    /// Arrivals a second.
    pub rate_per_sec: f64,
    /// Calls that succeeded.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Arrivals that were given up.
    pub dropped: u64,
    /// Sent less the moment at which it could have been.
    pub lateness: Option<SpreadFigures>,
}

impl CalibrationReport {
    /// Whether something else had the worker's CPU for so long that the figures
    /// are those of a slower host. On a single CPU it is the canned server, which
    /// the report says by itself.
    pub fn is_disturbed(&self) -> bool {
        let share = self.disturbed_share.unwrap_or(0.0);
        share >= DISTURBED_SHARE && !self.shared_cpu
    }

    /// What a run in the given mode is measured by; `None` where a figure is
    /// missing or is none.
    pub fn reference(&self, busy_poll: bool) -> Option<Reference> {
        let mode = match busy_poll {
            true => &self.busy_poll,
            false => &self.normal,
        };
        let (noise, lateness) = (mode.latency_noise?, mode.lateness?);
        Some(Reference {
            calls_per_sec_per_worker: mode
                .calls_per_sec_per_worker
                .filter(|rate| rate.is_finite() && *rate > 0.0)?,
            latency_noise_p50_ns: ns(noise.p50_ms)?,
            latency_noise_p99_ns: ns(noise.p99_ms)?,
            lateness_p99_ns: ns(lateness.p99_ms)?,
        })
    }
}

/// A cast from a float saturates.
fn ns(ms: f64) -> Option<u64> {
    (ms.is_finite() && ms >= 0.0).then(|| (ms * 1e6).round() as u64)
}
