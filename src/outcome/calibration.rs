//! What a calibration produces: what this host's generator can do, measured
//! against a server that costs next to nothing.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::serial;
use crate::clock::Utc;
use crate::host::HostFacts;
use crate::validity::Reference;

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalibrationOptions {
    /// Numbers of virtual users for the closed model, each at least 1,
    /// ascending. Not empty.
    pub vus: Vec<u32>,
    /// How long figures are taken in each step, at least 250 ms.
    pub step: Duration,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationOutcome {
    /// What was asked for.
    pub options: CalibrationOptions,
    /// When it began.
    pub at: Utc,
    /// How long it took.
    pub elapsed: Duration,
    /// The machine.
    pub host: HostFacts,
    /// CPUs that this process may use, ascending.
    pub allowed_cpus: Vec<usize>,
    /// The cgroup's CPU quota in thousandths of a CPU, if there is one.
    pub quota_millicpus: Option<u64>,
    /// The CPU that the worker was pinned to; `None`: it was not.
    pub worker_cpu: Option<usize>,
    /// The CPU that the server was pinned to; `None`: it was not.
    pub server_cpu: Option<usize>,
    /// Latency ends at the kernel's receive timestamp.
    pub kernel_timestamps: bool,
    /// The closed model, without and with busy-polling, in the order measured.
    pub closed: Vec<ClosedStep>,
    /// The open model, likewise.
    pub open: Vec<OpenStep>,
    /// Why it ended.
    pub ended: CalibrationEnded,
    /// What the user should know of how it went.
    pub notices: Vec<String>,
}

/// Why a calibration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalibrationEnded {
    /// All steps were done.
    Complete,
    /// A signal, or the embedding program, asked for it: some steps are missing.
    Interrupted,
}

/// How values spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    /// How many there are, at least 1.
    pub count: u64,
    /// The median.
    #[serde(rename = "p50_ms", with = "serial::ms")]
    #[schemars(with = "f64")]
    pub p50_ns: u64,
    /// The 99th percentile.
    #[serde(rename = "p99_ms", with = "serial::ms")]
    #[schemars(with = "f64")]
    pub p99_ns: u64,
    /// The 99.9th percentile.
    #[serde(rename = "p99_9_ms", with = "serial::ms")]
    #[schemars(with = "f64")]
    pub p99_9_ns: u64,
    /// The greatest.
    #[serde(rename = "max_ms", with = "serial::ms")]
    #[schemars(with = "f64")]
    pub max_ns: u64,
}

/// One worker with as many calls in flight as there are virtual users.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClosedStep {
    /// Virtual users.
    pub vus: u32,
    /// The worker span rather than slept.
    #[serde(skip)]
    pub busy_poll: bool,
    /// Calls that ended with success.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that ended, a second.
    #[serde(serialize_with = "serial::tidied")]
    pub calls_per_sec: f64,
    /// CPU time of the worker for each call, in nanoseconds; in a report in
    /// microseconds. `None` where it is unknown, and with busy-polling, which uses
    /// the whole CPU.
    #[serde(rename = "cpu_us_per_call", with = "serial::us_if_any")]
    #[schemars(with = "Option<f64>")]
    pub cpu_ns_per_call: Option<f64>,
    /// The share of the time in which the worker had something to do.
    #[serde(serialize_with = "serial::tidied_if_any")]
    pub worker_busy_share: Option<f64>,
    /// The share of one CPU that the server used, opening and ending of sessions
    /// included.
    #[serde(serialize_with = "serial::tidied_if_any")]
    pub server_cpu_share: Option<f64>,
    /// The share of the time for which the worker could have run and other work,
    /// a hypervisor or a quota had its CPU.
    #[serde(skip)]
    pub disturbed_share: Option<f64>,
    /// Latency of successful calls; `None` without any.
    pub latency: Option<Percentiles>,
    /// From an answer's arrival in the kernel to our reading it.
    pub generator_delay: Option<Percentiles>,
}

/// One worker that keeps a schedule of arrivals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenStep {
    /// Arrivals a second.
    #[serde(serialize_with = "serial::tidied")]
    pub rate_per_sec: f64,
    /// The worker span rather than slept.
    #[serde(skip)]
    pub busy_poll: bool,
    /// Calls that ended with success.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Arrivals that were given up.
    pub dropped: u64,
    /// The share of the time for which the worker could have run and other work,
    /// a hypervisor or a quota had its CPU.
    #[serde(skip)]
    pub disturbed_share: Option<f64>,
    /// Sent less the moment at which it could have been; `None` without calls.
    pub lateness: Option<Percentiles>,
}

/// What the machine of a calibration is. CPU model, CPUs, quota and kernel tell it
/// from others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalibratedHost {
    /// The CPU's model, if known.
    pub cpu_model: Option<String>,
    /// CPUs that are online, if known.
    pub cpus: Option<usize>,
    /// CPUs that this process could use.
    pub allowed_cpus: Vec<usize>,
    /// CPUs' worth of the control group's quota; `None` without one.
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
    pub isolated_cpus: Option<Vec<usize>>,
    /// CPUs without a periodic tick, if known.
    pub nohz_full_cpus: Option<Vec<usize>>,
    /// NUMA nodes, if known.
    pub numa_nodes: Option<usize>,
    /// How much later than asked for a sleep may end, if known. Workers wait on
    /// a timer descriptor, which it does not hold for.
    pub timer_slack_ns: Option<u64>,
}

impl CalibratedHost {
    /// This host, of which a process may use some CPUs and a quota in thousandths
    /// of a CPU.
    pub fn of(facts: &HostFacts, quota_millicpus: Option<u64>, allowed: &[usize]) -> Self {
        Self {
            cpu_model: facts.cpu_model.clone(),
            cpus: facts.n_cpus,
            allowed_cpus: allowed.to_vec(),
            quota_cpus: quota_millicpus.map(|milli| milli as f64 / 1e3),
            kernel: facts.kernel.clone(),
            virtual_machine: facts.is_virtual,
            governor: facts.governors(allowed),
            boost: facts.boost,
            isolated_cpus: facts.isolated.clone(),
            nohz_full_cpus: facts.nohz_full.clone(),
            numa_nodes: facts.n_numa_nodes,
            timer_slack_ns: facts.timer_slack_ns,
        }
    }
}

/// What a stored calibration says, as plain figures: what a later run is measured
/// by, and where that was measured. `report` makes it of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationSamples {
    /// Where it was made.
    pub host: CalibratedHost,
    /// The version of the program that made it.
    pub version: String,
    /// Other work had the worker's CPU for so long that the figures are those of a
    /// slower host.
    pub is_disturbed: bool,
    /// What a run is measured by whose workers sleep while they wait.
    pub normal: Reference,
    /// The same for workers that spin.
    pub busy_poll: Reference,
}

/// What a step measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepKind {
    /// The closed model with this many virtual users.
    Closed {
        /// Virtual users.
        vus: u32,
    },
    /// The open model at such a rate.
    Open {
        /// Arrivals a second.
        rate_per_sec: f64,
    },
}

/// The state of a calibration, several times a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationProgress {
    /// Since it began.
    pub elapsed: Duration,
    /// The step under way, from 0.
    pub step_idx: usize,
    /// How many there are.
    pub n_steps: usize,
    /// What it measures.
    pub kind: StepKind,
    /// The worker spins rather than sleeps.
    pub busy_poll: bool,
    /// Calls that ended in the last second, a second.
    pub rate: f64,
}

/// A step that is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CalibrationStep {
    /// Of the closed model.
    Closed(ClosedStep),
    /// Of the open model.
    Open(OpenStep),
}

/// Told of a calibration while it goes on; `ended` is called after the last step.
pub trait CalibrationObserver: super::Observer {
    /// A few times a second.
    fn calibrating(&mut self, _progress: &CalibrationProgress) {}

    /// A step is done.
    fn step(&mut self, _step: &CalibrationStep) {}
}

impl CalibrationObserver for super::Unobserved {}
