//! What a calibration produces: what this host's generator can do, measured
//! against a server that costs next to nothing.

use std::time::Duration;

use crate::clock::Utc;
use crate::host::HostFacts;

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

/// How values spread, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// How many there are, at least 1.
    pub count: u64,
    /// The median.
    pub p50_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p99_9_ns: u64,
    /// The greatest.
    pub max_ns: u64,
}

/// One worker with as many calls in flight as there are virtual users.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClosedStep {
    /// Virtual users.
    pub vus: u32,
    /// The worker span rather than slept.
    pub busy_poll: bool,
    /// Calls that ended with success.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that ended, a second.
    pub calls_per_sec: f64,
    /// CPU time of the worker for each call, in nanoseconds. `None` where it is
    /// unknown, and with busy-polling, which uses all there is.
    pub cpu_ns_per_call: Option<f64>,
    /// The share of the time in which the worker had something to do.
    pub worker_busy_share: Option<f64>,
    /// The share of one CPU that the server used, opening and ending of sessions
    /// included.
    pub server_cpu_share: Option<f64>,
    /// The share of the time for which the worker could have run and other work,
    /// a hypervisor or a quota had its CPU.
    pub disturbed_share: Option<f64>,
    /// Latency of successful calls; `None` without any.
    pub latency: Option<Spread>,
    /// From an answer's arrival in the kernel to our reading it.
    pub generator_delay: Option<Spread>,
}

/// One worker that keeps a schedule of arrivals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OpenStep {
    /// Arrivals a second.
    pub rate_per_sec: f64,
    /// The worker span rather than slept.
    pub busy_poll: bool,
    /// Calls that ended with success.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Arrivals that were given up.
    pub dropped: u64,
    /// The share of the time for which the worker could have run and other work,
    /// a hypervisor or a quota had its CPU.
    pub disturbed_share: Option<f64>,
    /// Sent less the moment at which it could have been; `None` without calls.
    pub lateness: Option<Spread>,
}

/// What a step measures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StepKind {
    /// The closed model with so many virtual users.
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

/// Told of a calibration while it goes on.
pub trait CalibrationObserver {
    /// Something the user should know.
    fn notice(&mut self, _text: &str) {}

    /// A few times a second.
    fn progress(&mut self, _progress: &CalibrationProgress) {}

    /// A step is done.
    fn step(&mut self, _step: &CalibrationStep) {}

    /// All is over.
    fn ended(&mut self) {}
}

impl CalibrationObserver for super::Unobserved {}
