//! What a run produces, and how it tells of it while it goes on.
//!
//! Shared by the engine, which fills these, and the report, which reads them,
//! so that neither knows the other. Words and figures that are the same in both
//! say here how they stand in JSON (`serial.rs`); there is no text for the user.

mod calibration;
mod comparison;
mod export;
mod find;
mod intervals;
mod probe;
mod row;
mod seconds;
pub(crate) mod serial;
mod stream;
mod token;
mod trial;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::threshold::INTERRUPTED;

pub use calibration::{
    CalibratedHost, CalibrationEnded, CalibrationObserver, CalibrationOptions, CalibrationOutcome,
    CalibrationProgress, CalibrationSamples, CalibrationStep, ClosedStep, OpenStep, Percentiles,
    StepKind,
};

pub use comparison::{
    ChangeVerdict, ComparedFigure, ComparedMetric, ComparedRow, ComparedRun, ComparisonMethod,
    ComparisonOutcome, ComparisonVerdict, RUNS_AS_UNITS, RunSample, SampleFacts, SampleKey,
    SampleRow, SampleShape, SampleSlot, SampleStage, ShapeChange, SteadyPart, WholeFigures,
};
pub use export::ExportFigures;
pub use find::{
    FindActivity, FindEnded, FindEstimate, FindFailure, FindObserver, FindOptions, FindOutcome,
    FindPhase, FindProgress, FindTrial, FindVerdict, FindWhy, LastingSlowdown, LatencyLimit,
};
pub use intervals::{
    INTERVAL_LENGTHS, Interval, Intervals, RowIntervals, coarsen, next_length, push_interval,
};
pub use probe::ProbeOutcome;
pub use row::{Row, RowKind, Rows, populations_of, with_population};
pub use seconds::{RowsRecorded, SecondRows};
pub use stream::StreamOffer;
pub use token::TokenFigures;
pub use trial::{Seen, WireCopy, Witness};

use crate::clock::Utc;
pub use crate::load::LoadUnit;
pub use crate::metrics::{
    Counters, Examples, Failure, Histogram, Packed, ReadTimes, Recorder, RowStats, Traffic,
    Violation, Violations, WorkerUsage,
};
pub use crate::network::ProxyUse;
pub use crate::protocol::{Era, Revision};
pub use crate::threshold::{
    Comparison, GateGrade, GateOutcome, LimitUnit, Selector, SelectorKind, Severity,
    ThresholdFigures,
};
pub use crate::validity::{GeneratorLimit, Grade, Reason, SecondSignals, Verdict};

/// What was found before the load began.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RunStart {
    /// When the load began.
    pub at: Utc,
    /// The server, by population: at least one.
    pub servers: Vec<ServerFacts>,
    /// The rows of all recorders, in order.
    pub rows: Vec<Row>,
    /// How the load is generated.
    pub generator: GeneratorFacts,
    /// How long the run will last, if time ends it.
    pub duration: Option<Duration>,
    /// Iterations after which it ends, if they end it.
    pub iterations: Option<u64>,
}

impl RunStart {
    /// The server of the first population, which most plans have alone.
    pub fn server(&self) -> &ServerFacts {
        &self.servers[0]
    }
}

/// What the server said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFacts {
    /// The URL that was used; after a redirect, the one it led to.
    pub url: String,
    /// Sessions or stateless.
    pub era: Era,
    /// The revision spoken.
    pub revision: Revision,
    /// The server's name, if it told one.
    pub name: Option<String>,
    /// The server's version, if it told one.
    pub version: Option<String>,
    /// The legacy server gives session ids.
    pub has_sessions: bool,
    /// The proxy that is named for it, if one is.
    pub proxy: Option<ProxyUse>,
    /// Addresses that connections are made to.
    pub addresses: usize,
    /// Whether it offers a stream to listen on; `None`: it was not asked.
    pub stream: Option<StreamOffer>,
}

impl ServerFacts {
    /// Whether each session of the load listens on a stream.
    pub fn offers_stream(&self) -> bool {
        self.stream.as_ref().is_some_and(|offer| offer.offered)
    }
}

/// The machine that generates the load, and how that is really done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorFacts {
    /// CPUs of the machine.
    #[serde(rename = "cpus")]
    pub machine_cpus: usize,
    /// CPUs that this process may use: affinity mask and cgroup quota.
    pub usable_cpus: usize,
    /// CPUs' worth of the cgroup's quota, if there is one, in thousandths; in a
    /// report in CPUs.
    #[serde(rename = "quota_cpus", with = "serial::cpus_if_any")]
    #[schemars(with = "Option<f64>")]
    pub quota_millicpus: Option<u64>,
    /// Kernel name and release, if known.
    pub kernel: Option<String>,
    /// The CPU's model, if known.
    #[serde(default)]
    pub cpu_model: Option<String>,
    /// What chooses the frequency of the workers' CPUs, such as `performance`,
    /// if known.
    #[serde(default)]
    pub governor: Option<String>,
    /// Whether it is a virtual machine, if known.
    #[serde(rename = "virtual_machine", default)]
    pub is_virtual: Option<bool>,
    /// The CPU each worker is pinned to; `None`: not pinned.
    #[serde(rename = "workers", with = "serial::workers")]
    #[schemars(with = "Vec<serial::workers::Worker>")]
    pub worker_cpus: Vec<Option<usize>>,
    /// Answers carry the kernel's receive timestamps: as the load begins, whether
    /// the system takes the wish for them; in an outcome, whether it gave them to
    /// 99 of 100 reads.
    pub kernel_timestamps: bool,
    /// Workers spin rather than sleep.
    pub busy_poll: bool,
}

#[cfg(test)]
impl GeneratorFacts {
    /// A host of two CPUs, with a worker on one of them, for tests.
    pub(crate) fn of_two_cpus() -> Self {
        Self {
            machine_cpus: 2,
            usable_cpus: 2,
            quota_millicpus: None,
            kernel: None,
            cpu_model: None,
            governor: None,
            is_virtual: None,
            worker_cpus: vec![Some(1)],
            kernel_timestamps: true,
            busy_poll: false,
        }
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// Its time was over.
    Duration,
    /// Its iterations were done.
    Iterations,
    /// A data set had no row for another iteration. In reports before schema 2.5 that is
    /// `iterations`.
    Data,
    /// A signal, or the embedding program, asked for it.
    Interrupted,
    /// The breaking point was reached and the plan said to stop there.
    #[serde(rename = "breaking_point")]
    Broke,
    /// No virtual user could ever open a session, so there is nothing to measure.
    NoSession,
    /// A threshold that ends a run was plainly not kept.
    Threshold,
    /// The server let nobody in any more: it answered every request with 401 or 403.
    Denied,
}

impl Ended {
    /// Why the run is no whole one, where it is not: what it has of a part says nothing of
    /// the rest.
    pub fn why_cut_off(self) -> Option<&'static str> {
        match self {
            Self::Interrupted => Some(INTERRUPTED),
            Self::NoSession => Some("no session lasted for a call"),
            Self::Denied => Some("the server let nobody in any more"),
            Self::Duration | Self::Iterations | Self::Data | Self::Broke | Self::Threshold => None,
        }
    }
}

/// What a run produced.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RunOutcome {
    /// What was found before the load began.
    pub start: RunStart,
    /// Why it ended.
    pub ended: Ended,
    /// From the first call, or the start of the arrivals' schedule, to the end of
    /// the last call, and at least as long as load was offered
    /// (`decide/elapsed.rs`), the warm-up excluded.
    /// Handshakes, ends of sessions and the probe are not calls. Rates are per this.
    pub elapsed: Duration,
    /// All that was recorded, warm-up excluded.
    pub totals: Recorder,
    /// The warm-up's figures, if the plan has one, and how long it really was.
    pub warm_up: Option<(Duration, Recorder)>,
    /// One for each stage that began, for plans with stages.
    pub stages: Vec<StageOutcome>,
    /// One for each second that began.
    pub seconds: Vec<Second>,
    /// The seconds again, row by row with all latencies, where the plan asks for them.
    pub intervals: Option<Intervals>,
    /// The most virtual users active at once.
    pub vus_max: u32,
    /// The most listening streams open at once, of each worker, all workers together.
    pub listening_max: u32,
    /// Where the server broke, if it did.
    pub breaking_point: Option<BreakingPoint>,
    /// What the probe measured, if the plan has one. In no other figure.
    pub probe: Option<ProbeOutcome>,
    /// What the user should know of how it went.
    pub notices: Vec<String>,
    /// What the generator noticed about itself.
    pub self_check: SelfCheck,
    /// What that says of the figures.
    pub verdict: Verdict,
    /// How each threshold of the plan came out, in its order.
    pub thresholds: Vec<ThresholdFigures>,
    /// Whether the run passes.
    pub gate: GateOutcome,
    /// Tokens that were fetched; `None` where none are.
    pub tokens: Option<TokenFigures>,
}

/// What a generator noticed about itself. Shares are 0 to 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SelfCheck {
    /// Each worker, while the load lasted, without the warm-up.
    pub workers: Vec<WorkerUsage>,
    /// Calls in flight over that time from the first call on: the mean, as counted.
    pub in_flight_mean: Option<f64>,
    /// The most at once of each worker, all workers together.
    pub in_flight_max: u64,
    /// Like the mean, from the start of the load to its last call.
    pub in_flight_whole: Option<f64>,
    /// What that should be by Little's law: the sum of all latencies ÷ time.
    pub in_flight_by_latency: Option<f64>,
    /// The share of the workers' CPUs that the hypervisor gave to others.
    pub steal_share: Option<f64>,
    /// The share of the time for which the control group was stopped.
    pub throttled_share: Option<f64>,
    /// How reads from connections were timed.
    pub reads: ReadTimes,
    /// Steps of the wall clock.
    pub clock_steps: u64,
    /// The largest of them, in nanoseconds.
    pub clock_step_max_ns: u64,
    /// Whole seconds in which the generator was the limit.
    pub limited_seconds: usize,
}

/// Figures of one stage.
#[derive(Debug, Clone)]
pub struct StageOutcome {
    /// Its place in the plan, from 1.
    pub number: usize,
    /// Start, from the start of the load.
    pub at: Duration,
    /// How long it really was.
    pub length: Duration,
    /// Load at its start: virtual users, or arrivals a second.
    pub load_from: f64,
    /// Load at its end.
    pub load_to: f64,
    /// All calls as one row. A call belongs to the stage that it ended in.
    pub calls: RowStats,
    /// The same by population, where the plan names any.
    pub populations: Vec<RowStats>,
    /// Messages of failures.
    pub examples: Examples,
}

impl StageOutcome {
    /// All calls, or those of a population.
    pub fn calls_mut(&mut self, population: Option<usize>) -> &mut RowStats {
        match population {
            Some(at) => &mut self.populations[at],
            None => &mut self.calls,
        }
    }
}

/// Figures of one second of all calls together.
#[derive(Debug, Clone, PartialEq)]
pub struct Second {
    /// Its start, from the start of the load.
    pub at: Duration,
    /// How long it was: a second, but for the last.
    pub length: Duration,
    /// Virtual users active at its end.
    pub vus: u32,
    /// Calls begun in it.
    pub started: u64,
    /// Calls that succeeded in it.
    pub ok: u64,
    /// Calls that failed in it.
    pub failed: u64,
    /// Of them, those that the server turned away for their number (429).
    pub rate_limited: u64,
    /// Latency of the successful calls that ended in it, in nanoseconds:
    /// median, 95th and 99th percentile and maximum; `None` without any.
    pub latency: Option<SecondLatency>,
    /// Arrivals that were dropped in it.
    pub dropped: u64,
    /// What it says of the generator.
    pub signals: SecondSignals,
}

/// Latency in one second, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecondLatency {
    /// Median.
    pub p50_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// Maximum.
    pub max_ns: u64,
}

/// The load at which the server stopped keeping up.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakingPoint {
    /// How it broke.
    pub how: BreakKind,
    /// The load where it began: virtual users, or arrivals a second. `None` where
    /// the load had not changed: what came with time is not a figure of a load.
    pub load: Option<f64>,
    /// The last load at which all was well, if there was one.
    pub last_good_load: Option<f64>,
    /// When it began, from the start of the load.
    pub at: Duration,
    /// When it was noticed, from the start of the load.
    pub noticed_at: Duration,
    /// The evidence, as one plain sentence.
    pub evidence: String,
}

/// How a server breaks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BreakKind {
    /// More load gives no more throughput.
    Saturation {
        /// Calls a second that it does not exceed.
        ceiling_per_second: f64,
    },
    /// Too many requests fail.
    Errors {
        /// The share that failed, 0 to 1.
        share: f64,
    },
    /// Answers come too late.
    Latency {
        /// The latency that was exceeded, in nanoseconds.
        limit_ns: u64,
        /// The p99 latency when it broke, in nanoseconds.
        p99_ns: u64,
    },
    /// No answer at all, for this long.
    Silence {
        /// How long nothing was answered.
        silent: Duration,
    },
}

/// The state of a run, several times a second.
#[derive(Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// Since the start of the load.
    pub elapsed: Duration,
    /// Virtual users active now.
    pub vus: u32,
    /// Of them, those whose session is open.
    pub vus_ready: u32,
    /// Calls in flight now.
    pub in_flight: u64,
    /// Calls that have ended, of the whole run.
    pub ok: u64,
    /// Calls that have failed, of the whole run.
    pub failed: u64,
    /// Iterations that have ended, of the whole run.
    pub iterations: u64,
    /// Calls that ended in the last second, a second.
    pub rate: f64,
    /// Latency of the calls that ended in the last second.
    pub latency: &'a Histogram,
    /// The failures so far, of calls and handshakes, the most frequent first.
    pub failures: &'a [(Failure, u64)],
    /// All that was recorded so far, without the warm-up.
    pub rows: Rows<'a>,
    /// Counters of the whole run.
    pub counters: &'a Counters,
    /// Which part of the run it is.
    pub phase: Phase,
    /// Where the server broke, if it did.
    pub breaking_point: Option<&'a BreakingPoint>,
    /// What limited the generator in the last whole second, if anything.
    pub generator_limit: Option<GeneratorLimit>,
}

/// Which part of the run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not counted yet.
    WarmUp,
    /// Load is generated.
    Running {
        /// The stage, from 0, and how many there are, for plans with stages.
        stage: Option<(usize, usize)>,
    },
    /// No new iterations; requests in flight may still end.
    Stopping,
}

/// Told of a run while it goes on, on the coordinator's thread. A slow
/// observer delays the next tick, never a request.
pub trait Observer {
    /// Something the user should know, before or during the load.
    fn notice(&mut self, _text: &str) {}

    /// What is done before the load, and for how long by now: a few times a
    /// second where it takes long, and `None` when it is over.
    fn preparing(&mut self, _doing: Option<(Duration, &str)>) {}

    /// The server at this address was asked this long ago and has not answered yet, for as
    /// long as a request may take. A few times a second; [`Self::preparing`] ends it.
    fn asking(&mut self, _elapsed: Duration, _url: &str, _timeout: Duration) {}

    /// The server was found and the load begins.
    fn started(&mut self, _start: &RunStart) {}

    /// A few times a second.
    fn progress(&mut self, _progress: &Progress<'_>) {}

    /// Whether it is to be told of each second: to keep them row by row takes memory and
    /// some time of this thread.
    fn wants_seconds(&self) -> bool {
        false
    }

    /// What was recorded in a second, by row; once it is complete, in order, and the last
    /// of them after the load. Together they are what the whole run recorded.
    fn second(&mut self, _second: &SecondRows<'_>) {}

    /// The load has ended; the outcome follows as the run's return value.
    fn ended(&mut self) {}
}

/// An observer that looks at nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Unobserved;

impl Observer for Unobserved {}
