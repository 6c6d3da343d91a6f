//! What is known of a run, as plain figures.

use std::time::Duration;

use super::Bounds;
use crate::load::LoadUnit;
use crate::metrics::{Histogram, ReadTimes, WorkerUsage};

/// What is known of a run. Shares are 0 to 1, times nanoseconds. What nobody
/// could measure is `None`, and no rule fires on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence<'a> {
    /// Whether users decide when an iteration starts, or a schedule of arrivals.
    pub load_unit: LoadUnit,
    /// How long load was generated, without the warm-up.
    pub elapsed: Duration,
    /// Each worker, over that time.
    pub workers: &'a [WorkerEvidence],
    /// The whole seconds of that time.
    pub seconds: &'a [SecondSignals],
    /// Calls that succeeded, that failed, and that the end of the run cut off.
    pub ok: u64,
    /// See `ok`.
    pub failed: u64,
    /// See `ok`.
    pub cancelled: u64,
    /// Connections opened for them, those of the sessions included.
    pub connects: u64,
    /// Latency of successful calls, from the first byte sent.
    pub service: Quantiles,
    /// Latency of successful calls that stands for the run: from the intended
    /// start, where there is one.
    pub headline: Quantiles,
    /// Sent less the moment at which it could have been.
    pub lateness: Quantiles,
    /// How long answers waited for our reading them.
    pub generator_delay: Quantiles,
    /// Of the time that calls were in flight, the share for which they lay here
    /// unread, 0 to 1.
    pub unread_share: Option<f64>,
    /// How long workers' loops took.
    pub loop_time: Quantiles,
    /// Arrivals that came due and arrivals that were dropped (open model).
    pub arrivals: u64,
    /// See `arrivals`.
    pub arrivals_dropped: u64,
    /// Of them, those while users were late since this machine had stood still.
    pub dropped_after_stalls: u64,
    /// Mean number of calls in flight, counted, over the whole run.
    pub in_flight_mean: Option<f64>,
    /// The same by Little's law: the sum of all latencies ÷ time.
    pub in_flight_by_latency: Option<f64>,
    /// What this machine had too little of.
    pub resources: LocalResources,
    /// The hypervisor's share of the workers' CPUs.
    pub steal_share: Option<f64>,
    /// The share of the time for which the control group was stopped: of the
    /// time of each CPU that it used, the mean.
    pub throttled_share: Option<f64>,
    /// How reads were timed.
    pub reads: ReadTimes,
    /// Steps of the wall clock, and the largest of them.
    pub clock_steps: u64,
    /// See `clock_steps`.
    pub clock_step_max_ns: u64,
    /// Workers that were to be pinned and are not.
    pub n_not_pinned: usize,
    /// CPUs that this process may use.
    pub usable_cpus: usize,
    /// This process was stopped, as by Ctrl-Z, and went on.
    pub was_stopped: bool,
    /// By how much the figures may be wrong.
    pub bounds: Bounds,
    /// What this host was calibrated to.
    pub reference: Option<Reference>,
}

/// What one worker did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct WorkerEvidence {
    /// What its thread used and did.
    pub usage: WorkerUsage,
    /// It polls busily: its CPU time says nothing.
    pub busy_poll: bool,
}

/// How busy a worker was over some time, 0 to 1: by its loop or by its CPU time,
/// whichever says more.
pub(super) fn load(usage: &WorkerUsage, busy_poll: bool) -> Option<f64> {
    let by_loop = usage.busy_share()?;
    let by_cpu = usage.cpu_share().filter(|_| !busy_poll).unwrap_or(0.0);
    Some(by_loop.max(by_cpu).min(1.0))
}

/// Percentiles of something, in nanoseconds. All 0 where nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// The median.
    pub p50_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// The greatest.
    pub max_ns: u64,
}

impl Quantiles {
    /// Of a histogram.
    pub fn of(histogram: &Histogram) -> Self {
        let quantile = |q| histogram.quantile_ns(q).unwrap_or(0);
        Self {
            count: histogram.len(),
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            max_ns: histogram.max_ns().unwrap_or(0),
        }
    }
}

/// What one second of a run says of the generator.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SecondSignals {
    /// The busiest worker's share of work.
    pub busy_share: Option<f64>,
    /// The share of the time for which a worker waited for a CPU, the worst.
    pub run_delay_share: Option<f64>,
    /// How often the CPU was taken from the workers.
    pub involuntary_switches: Option<u64>,
    /// The longest time between two looks of a worker at the kernel.
    pub turn_max_ns: u64,
    /// Calls in flight, mean over time.
    pub in_flight_mean: Option<f64>,
    /// The most at once, of all workers together; an upper bound with more than
    /// one worker.
    pub in_flight_max: u64,
    /// Calls in flight at its end.
    pub in_flight_end: u64,
    /// Iterations begun in it.
    pub begun: u64,
    /// Connections opened in it.
    pub connects: u64,
    /// 99th percentile of the lateness.
    pub lateness_p99_ns: Option<u64>,
    /// Median and 99th percentile of how long answers waited for our reading.
    pub delay_p50_ns: Option<u64>,
    /// See `delay_p50_ns`.
    pub delay_p99_ns: Option<u64>,
    /// The hypervisor's share of the workers' CPUs.
    pub steal_share: Option<f64>,
    /// The share of it for which the control group was stopped.
    pub throttled_share: Option<f64>,
    /// What in it was the generator's limit, if anything.
    pub limit: Option<super::GeneratorLimit>,
}

impl SecondSignals {
    /// Those of the workers' usage in a second; `busy_poll`: they poll busily.
    pub fn of_workers(usages: &[WorkerUsage], busy_poll: bool) -> Self {
        let worst = |share: &dyn Fn(&WorkerUsage) -> Option<f64>| {
            usages.iter().filter_map(share).reduce(f64::max)
        };
        let switches = usages.iter().filter_map(|usage| usage.involuntary_switches);
        let means = usages.iter().filter_map(WorkerUsage::in_flight_mean);
        Self {
            busy_share: worst(&|usage| load(usage, busy_poll)),
            run_delay_share: worst(&WorkerUsage::run_delay_share),
            involuntary_switches: switches.reduce(|a, b| a + b),
            turn_max_ns: usages.iter().map(|u| u.turn_max_ns).max().unwrap_or(0),
            in_flight_mean: means.reduce(|a, b| a + b),
            in_flight_max: usages.iter().map(|usage| usage.in_flight_max).sum(),
            ..Self::default()
        }
    }
}

/// What this machine had too little of to make a connection.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LocalResources {
    /// Calls and handshakes that failed for it.
    pub failures: u64,
    /// Calls and handshakes that have ended.
    pub attempts: u64,
    /// Users that never had a session.
    pub users_without: u64,
    /// The most users at once.
    pub users: u64,
    /// What was missing, as far as the messages tell.
    pub which: Vec<LocalResource>,
}

/// Something that a machine can run out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalResource {
    /// Open files, of the process or of the system.
    OpenFiles,
    /// Local ports.
    Ports,
    /// Memory.
    Memory,
}

impl LocalResource {
    /// What the message of a failure names: std ends those of the system with
    /// the error's number.
    pub fn of_message(message: &str) -> Option<Self> {
        const ENFILE: &str = "(os error 23)";
        const EMFILE: &str = "(os error 24)";
        const ENOMEM: &str = "(os error 12)";
        const EADDRINUSE: &str = "(os error 98)";
        const EADDRNOTAVAIL: &str = "(os error 99)";
        let names = |numbers: &[&str]| numbers.iter().any(|number| message.contains(number));
        if names(&[ENFILE, EMFILE]) {
            Some(Self::OpenFiles)
        } else if names(&[EADDRINUSE, EADDRNOTAVAIL]) {
            Some(Self::Ports)
        } else if names(&[ENOMEM]) || message.contains("memory") {
            Some(Self::Memory)
        } else {
            None
        }
    }
}

/// What this host can generate, and its noise, as a calibration measured it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reference {
    /// The highest rate of one worker, in calls a second.
    pub calls_per_sec_per_worker: f64,
    /// Median latency against a server that takes no time.
    pub latency_noise_p50_ns: u64,
    /// 99th percentile of it.
    pub latency_noise_p99_ns: u64,
    /// 99th percentile of the lateness of arrivals far below the highest rate.
    pub lateness_p99_ns: u64,
}
