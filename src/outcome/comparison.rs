//! Two sets of runs and what came of comparing them, both plain.
//!
//! [`RunSample`] is what is taken from a stored report; [`ComparisonOutcome`] is what is
//! decided from two lists of them. In JSON a comparison stands as it is here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GeneratorFacts, Grade, Packed};
use crate::text::named;

/// A run, as runs are compared.
#[derive(Debug, Clone)]
pub struct RunSample {
    /// As the user named its file.
    pub file: String,
    /// What tells whether it may be compared with another.
    pub facts: SampleFacts,
    /// How its load was meant to be.
    pub shape: SampleShape,
    /// Whether its report has histograms at all.
    pub has_histograms: bool,
    /// The length of a slot of its histograms, in seconds; `None` where the report
    /// has none by time.
    pub slot_secs: Option<f64>,
    /// All calls together.
    pub total: SampleRow,
    /// Each operation of the scenario, in its order.
    pub operations: Vec<SampleRow>,
    /// Iterations of each flow with a name, by the time of their calls. They are sums of
    /// calls, so they are in no total.
    pub flows: Vec<SampleRow>,
    /// All calls of each population that its report keeps by time as a whole.
    pub populations: Vec<SampleRow>,
}

impl RunSample {
    /// Operations, then flows.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &SampleRow> {
        self.operations.iter().chain(&self.flows)
    }
}

/// What tells whether a run may be compared with another.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleFacts {
    /// The resolved plan, as the report has it.
    pub plan: serde_json::Value,
    /// The URL that was tested.
    pub target: String,
    /// `legacy` or `modern`.
    pub era: String,
    /// Whether its sessions held streams to listen on.
    pub holds_streams: bool,
    /// The server's name and version, as far as it told them.
    pub server: String,
    /// The version of the program that made the run.
    pub program: String,
    /// The machine that generated the load.
    pub host: GeneratorFacts,
    /// When it began: RFC 3339, UTC, so that the order of texts is that of times.
    pub started_at: String,
    /// The same for the same run alone: two files of it have one fingerprint.
    pub fingerprint: String,
    /// How far its figures are to be trusted.
    pub grade: Grade,
    /// It ended before its time: `interrupted`, or no session could be had.
    pub cut_short: Option<String>,
    /// By how much a median and a 99th percentile may be too high for what the
    /// generator did, in ms.
    pub bounds_ms: (f64, f64),
}

/// How the load of a run was meant to be. Times are on the run's clock.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SampleShape {
    /// Iterations start by a schedule, whether earlier ones have ended or not.
    pub is_open: bool,
    /// The warm-up of the plan, in seconds.
    pub warm_up_secs: f64,
    /// For which users start one after the other, in seconds.
    pub ramp_up_secs: f64,
    /// How long it was to last, in seconds; `None` where iterations end it.
    pub planned_secs: Option<f64>,
    /// Its stages, for plans with stages.
    pub stages: Vec<SampleStage>,
}

/// A stage of a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleStage {
    /// Its start, in seconds.
    pub at_secs: f64,
    /// Its length, in seconds.
    pub length_secs: f64,
    /// The load at its start and at its end.
    pub load: (f64, f64),
}

/// The requests of one operation, or of all calls together; the iterations of a flow.
#[derive(Debug, Clone, Default)]
pub struct SampleRow {
    /// What it is about.
    pub key: SampleKey,
    /// The figures of the report, for the whole run without its warm-up.
    pub whole: WholeFigures,
    /// The mean size of its requests, in bytes; `None` where that is not known.
    pub request_bytes: Option<f64>,
    /// By time; ascending, without those that nothing happened in.
    pub slots: Vec<SampleSlot>,
}

/// What tells a row from another, as the server and the scenario spell it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct SampleKey {
    /// `tools/call echo`, `checkout: sign in`, `flow checkout`; what it is called in a
    /// table.
    pub label: String,
    /// The MCP method; empty for flows.
    pub method: String,
    /// The tool, resource or prompt.
    pub subject: Option<String>,
    /// The name of the step.
    pub name: Option<String>,
    /// The flow that it is part of, or that it is.
    pub flow: Option<String>,
    /// The population that makes it.
    pub population: Option<String>,
}

impl SampleKey {
    /// Of the iterations of a flow.
    pub fn of_flow(name: &str) -> Self {
        Self {
            label: format!("flow {name}"),
            flow: Some(name.to_string()),
            ..Self::default()
        }
    }

    /// Whether it is a flow.
    pub fn is_flow(&self) -> bool {
        self.method.is_empty() && self.flow.is_some()
    }
}

/// Figures of a whole run, as its report has them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WholeFigures {
    /// Calls that were begun; of a population, with the arrivals that were dropped.
    pub started: u64,
    /// Calls that succeeded.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that ended, a second.
    pub rate_per_sec: Option<f64>,
    /// Percentiles of successful calls in ms: 50th, 95th and 99th.
    pub percentiles_ms: [Option<f64>; 3],
}

/// One slot of time.
#[derive(Debug, Clone)]
pub struct SampleSlot {
    /// Its number: it begins at `number × slot_secs` on the run's clock.
    pub number: u64,
    /// Calls that were begun, and in the open model arrivals that were dropped.
    pub offered: u64,
    /// Calls that succeeded.
    pub ok: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Latency of the calls that succeeded. Packed: there may be many slots.
    pub latency: Packed,
}

/// Fewer runs of a side say too little to be the only values: their batches are.
pub const RUNS_AS_UNITS: usize = 3;

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonOutcome {
    /// The answer.
    pub verdict: ComparisonVerdict,
    /// How it was decided.
    pub method: ComparisonMethod,
    /// What is compared with: the base.
    pub base: Vec<ComparedRun>,
    /// What is compared.
    pub new: Vec<ComparedRun>,
    /// The part of each run that is compared; `null` where whole runs are shown.
    pub steady: Option<SteadyPart>,
    /// All calls together, then each operation that both sides have, then each flow.
    pub rows: Vec<ComparedRow>,
    /// Operations and flows of the base alone. They are in no total.
    pub only_base: Vec<String>,
    /// Operations and flows of the new runs alone. They are in no total.
    pub only_new: Vec<String>,
    /// What its reader should know.
    pub notices: Vec<String>,
}

/// The answer of a comparison, of the figures that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonVerdict {
    /// Both sides are the same run.
    Same,
    /// A figure is worse.
    Worse,
    /// None is worse, and of some too little is known to say so.
    Unclear,
    /// None is worse.
    NotWorse,
    /// Nothing to decide by: a report has no histograms.
    Undecided,
}

/// What the variation was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonMethod {
    /// From batches of one run a side.
    Batches,
    /// From pairs of batches: two populations of one run, each batch of one held against
    /// that of the other at the same time. Since schema 2.5 of a run's report.
    Pairs,
    /// From run to run.
    Runs,
    /// Figures stand side by side.
    SideBySide,
}

/// A run that was compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedRun {
    /// Its file, as the user named it.
    pub file: String,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
    /// By how much its median moved from the beginning of the part compared to its
    /// end, as a share of it; `null` where it did not, or too little is known.
    pub drift: Option<f64>,
    /// By how much the median of the beginning of the part compared was above that of
    /// the rest, as a share of it; `null` where it was not.
    pub slow_start: Option<f64>,
}

/// The part of each run that is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SteadyPart {
    /// Where it begins on a run's clock, in seconds.
    pub from_secs: f64,
    /// Where it ends.
    pub to_secs: f64,
    /// What was left out, and why.
    pub left_out: String,
}

/// All calls together, one operation, or one flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedRow {
    /// What it is about: `all calls`, the operation's label, or `flow` and its name.
    pub label: String,
    /// It is the iterations of a flow, by the time of their calls: in no total.
    #[serde(default)]
    pub is_flow: bool,
    /// The name of the step; `null` without one.
    pub name: Option<String>,
    /// The flow that the step is part of, or that the row is about; `null` without one.
    pub flow: Option<String>,
    /// The population that makes the step; `null` without one.
    pub population: Option<String>,
    /// Its figures.
    pub figures: Vec<ComparedFigure>,
    /// Where the shape of its latencies changed and their median did not; `null`
    /// otherwise, and where too little is known.
    pub shape: Option<ShapeChange>,
}

/// One figure on both sides. Latencies are ms, rates calls a second, shares 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparedFigure {
    /// What is compared.
    pub metric: ComparedMetric,
    /// The rate is a share: calls that ended, of those that were offered. In the open
    /// model the rate itself is the user's.
    #[serde(default)]
    pub of_offered: bool,
    /// The base: all calls of the part compared together, of several runs the geometric
    /// mean of theirs (of error shares the mean); `null` where nothing was measured.
    pub base: Option<f64>,
    /// The new runs, in the same way; `null` where nothing was measured.
    pub new: Option<f64>,
    /// The base's runs one by one, in the order of `base` of the comparison; empty where
    /// both sides are one run, and where a run has no such figure.
    #[serde(default)]
    pub base_runs: Vec<f64>,
    /// The new runs in the same way.
    #[serde(default)]
    pub new_runs: Vec<f64>,
    /// New less base: as a share of the base, of an error share the difference. Where
    /// batches were compared it is that of their means, and so not exactly that of `base`
    /// and `new`.
    pub change: Option<f64>,
    /// Where the true change lies, with the `confidence`; `null` on a side that
    /// nothing bounds.
    pub interval: (Option<f64>, Option<f64>),
    /// Of the interval: 0.95, or more where several figures decide together.
    pub confidence: f64,
    /// What may change before it matters, in the unit of `change`.
    pub margin: f64,
    /// Whether the answer rests on it; others are only shown.
    pub decides: bool,
    /// What came of it; `null` where nothing can be decided.
    pub verdict: Option<ChangeVerdict>,
    /// The smallest change that could have been seen, in the unit of `change`; `null`
    /// where that is not known.
    pub detectable: Option<f64>,
    /// Why nothing or little can be said, and what would help, or why the verdict is
    /// certain without an interval; `null` otherwise.
    pub why: Option<String>,
}

impl ComparedFigure {
    /// What it is called in tables and texts.
    pub fn name(&self) -> &'static str {
        match self.of_offered {
            true => "achieved of offered",
            false => self.metric.name(),
        }
    }
}

named! {
    /// A figure that is compared.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    pub enum ComparedMetric {
        /// The median latency.
        P50 = "p50",
        /// The 95th percentile.
        P95 = "p95",
        /// The 99th percentile.
        P99 = "p99",
        /// Calls that ended, a second; in the open model, of those that were offered.
        Rate = "rate",
        /// Failed calls, as a share of those that ended.
        Errors = "errors",
    }
    /// What it is called: in tables, in JSON and by the user.
    fn name
}

impl ComparedMetric {
    /// The quantile of a latency; `None` of other metrics.
    pub fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::Rate | Self::Errors => None,
        }
    }

    /// Whether a rise is for the worse; else a fall is.
    pub fn is_rise_worse(self) -> bool {
        self != Self::Rate
    }
}

named! {
    /// What came of one figure. Beyond the margin it is *worse* or *better*.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum ChangeVerdict {
        /// Worse by more than the margin.
        Worse = "worse",
        /// Better by more than the margin.
        Better = "better",
        /// The change lies within the margin.
        Equivalent = "equivalent",
        /// It changed, and perhaps not by more than the margin.
        SmallChange = "small change",
        /// It may have changed or not.
        NotEnoughData = "not enough data",
    }
    /// As users are told of it.
    fn word
}

/// Where two latency distributions differ most, beyond a shift of all latencies by
/// the margin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShapeChange {
    /// Calls that took longer than this are counted.
    pub above_ms: f64,
    /// Their share in the base, 0 to 1.
    pub base_share: f64,
    /// Their share in the new runs.
    pub new_share: f64,
}
