//! The JSON report: public, versioned, apart from every internal type.
//!
//! One naming style: `snake_case`, the unit last (`_ms`, `_secs`, `_per_sec`).
//! Latencies are milliseconds with fractions down to the nanosecond. Where
//! there is no data there is `null`, never a 0 that nobody measured.
//!
//! Everything that readers of schema 1.1 look for is under its old name:
//! `timestamp`, `target_url`, `duration_secs`, `config`, `metrics`, `errors`,
//! `per_tool` and `breaking_point`. A difference in meaning:
//! 1.1 counted samples that it had invented; these are counts of requests.
//!
//! What adds up, and is tested: `started = ok + failed + cancelled` in every
//! [`Figures`]; `totals` is the sum of `operations`; `errors` and `failures`
//! each sum to `totals.failed`; `distribution` sums to `totals.ok`.
//!
//! To change it: a new field may come at any time; a field that goes or
//! changes its meaning needs a new major number of the schema
//! version ([`ReportKind`](super::ReportKind)).

mod figures;
mod histograms;
mod legacy;
mod listening;
mod probe;
mod thresholds;
mod validity;

use crate::metrics::Counters;
use crate::outcome::{
    ComparisonOutcome, Ended, ExportFigures, GeneratorFacts, ProxyUse, StreamOffer, TokenFigures,
};
use crate::redact::{own, strangers_keys};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(in crate::report) use figures::without_tail;
pub use figures::{
    AddressFigures, AnswerFigures, BackendFigures, ByteFigures, BytesFigures, CauseCount,
    ExchangeFigures, Figures, FlowFigures, IsolationFigures, LatencyClass, LatencyFigures,
    LatencyFrom, OperationFigures, Over, PopulationFigures, PopulationSecond, SecondFigures,
    ServedFigures, SlowCallFigures, StageFigures, TlsAgreement, TlsFigures, UncheckedFigures,
    WaitFigures, WarmUp,
};
pub use histograms::{
    ExactFigures, OtherLatency, StoredHistograms, StoredInterval, StoredKind, StoredOther,
    StoredRow,
};
pub use legacy::{
    BreakingPointFacts, ConfigFacts, Metrics, MetricsLatency, ToolFigures, ToolLatency,
};
pub use listening::ListenFigures;
pub use probe::ProbeFigures;
pub use thresholds::{GateGrade, GateOutcome, ThresholdFigures};
pub use validity::{
    BoundsFigures, InFlight, ReasonNote, SelfCheckFigures, SignalNote, VerdictNotes, WorkerUse,
};

use std::collections::BTreeMap;

/// A whole report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of the report's form.
    #[serde(serialize_with = "own")]
    pub schema_version: String,
    /// When the run had ended, RFC 3339, UTC.
    #[serde(serialize_with = "own")]
    pub timestamp: String,
    /// The URL that was tested; after a redirect, the one it led to.
    pub target_url: String,
    /// From the start of the load to the end of its last call, and at least as
    /// long as load was offered, in seconds: what rates are per. Without the
    /// warm-up, handshakes, ends of sessions and the probe: the load starts with
    /// the first call of any user, or with the schedule of arrivals.
    pub duration_secs: f64,
    /// The settings that schema 1.1 named; `plan` has them all.
    pub config: ConfigFacts,
    /// All calls together: handshakes and `DELETE`s are not calls.
    pub metrics: Metrics,
    /// Failed calls by category: `connection`, `timeout`, `http`, `rate_limit`, `jsonrpc`,
    /// `tool`, `protocol`, `session`, `extract`, `expect`, `isolation`, `auth`, `template`. A category
    /// without any is absent.
    pub errors: BTreeMap<String, u64>,
    /// By tool name, resource URI or prompt name.
    #[serde(serialize_with = "strangers_keys")]
    pub per_tool: BTreeMap<String, ToolFigures>,
    /// Where the server broke, if it did.
    pub breaking_point: BreakingPointFacts,

    /// Whether the figures are those of the server.
    pub verdict: VerdictNotes,
    /// Whether the run passes: by its thresholds, and in that not every call
    /// failed and no answer held what was another user's.
    #[serde(default)]
    pub gate: GateOutcome,
    /// How each threshold came out, in the order of the config, then those of the
    /// command line.
    #[serde(default)]
    pub thresholds: Vec<ThresholdFigures>,
    /// What the generator noticed about itself.
    pub self_check: SelfCheckFigures,
    /// How the run went.
    pub run: RunFacts,
    /// The machine that generated the load.
    pub host: GeneratorFacts,
    /// What the server said of itself.
    pub server: ServerNames,
    /// The resolved plan, without secrets.
    pub plan: Value,
    /// All calls together.
    pub totals: Figures,
    /// Counted beside the calls.
    pub counters: Counters,
    /// Tokens that were fetched; `null` where none are.
    #[serde(default)]
    pub tokens: Option<TokenFigures>,
    /// Waits that the server asked for; `null` where none are respected or none were.
    #[serde(default)]
    pub retry_after: Option<WaitFigures>,
    /// What came of the markers in calls; `null` where none had any, and in reports
    /// before schema 2.4.
    #[serde(default)]
    pub isolation: Option<IsolationFigures>,
    /// Each operation of the scenario, in its order.
    pub operations: Vec<OperationFigures>,
    /// Sessions opened; `null` where the plan opens none.
    pub handshake: Option<Figures>,
    /// Sessions ended with `DELETE`; `null` where none are.
    pub close: Option<Figures>,
    /// Streams that sessions held beside their calls; `null` where none were asked for, and
    /// in reports before schema 2.4. Not part of `totals`.
    #[serde(default)]
    pub listen: Option<ListenFigures>,
    /// Of calls that a step issues at once, the slowest. Not part of `totals`.
    pub turns: Vec<OperationFigures>,
    /// Of calls that were answered with a task (`task = true`): from the call to the task
    /// that was created, under the method of the call, and each `tasks/get`. Not part of
    /// `totals`, where the whole is one call. Empty in reports before schema 2.4.
    #[serde(default)]
    pub task_steps: Vec<OperationFigures>,
    /// Each flow that has a name. Not part of `totals`.
    #[serde(default)]
    pub flows: Vec<FlowFigures>,
    /// Each population that the plan names; `operations`, `turns` and `flows` are theirs.
    /// Empty in reports before schema 2.4.
    #[serde(default)]
    pub populations: Vec<PopulationFigures>,
    /// Two populations that differ in their server or in the protocol, one beside the
    /// other: the first is the base. `null` without such, and in reports before schema 2.4.
    #[serde(default)]
    pub ab: Option<ComparisonOutcome>,
    /// Answers that could not be looked at as was asked for, and why.
    #[serde(default)]
    pub unchecked: Vec<UncheckedFigures>,
    /// Of failures that the plan's expectations found, the first exchanges.
    #[serde(default)]
    pub evidence: Vec<ExchangeFigures>,
    /// Why calls failed, most frequent first.
    pub failures: Vec<CauseCount>,
    /// Latency of successful calls in about ten classes, ascending.
    pub distribution: Vec<LatencyClass>,
    /// Of the same latencies, how many are above 1, 2, 5, 10 ms and so on up to
    /// 10 s; empty without any.
    #[serde(default)]
    pub over: Vec<Over>,
    /// Each second of the run, those of the warm-up too.
    pub seconds: Vec<SecondFigures>,
    /// Each stage that began, for plans with stages.
    pub stages: Vec<StageFigures>,
    /// What was run and left out of all figures but `seconds`; `null` without.
    pub warm_up: Option<WarmUp>,
    /// One quiet session beside the load; `null` without. In no other block.
    pub probe: Option<ProbeFigures>,
    /// Sent less the moment at which it could have been: the intended start, or
    /// when the user was done with its call before. The generator's own fault.
    /// `null` where no start was intended.
    pub lateness: Option<LatencyFigures>,
    /// From an answer's arrival in the kernel to our reading it; not part of
    /// any latency above. `null` without kernel timestamps.
    pub generator_delay: Option<LatencyFigures>,
    /// How long workers' loops took from one poll of the kernel to the next,
    /// where they had something to do.
    pub loop_time: Option<LatencyFigures>,
    /// What TLS took and agreed upon; `null` without it, and in reports before schema 2.3.
    #[serde(default)]
    pub tls: Option<TlsFigures>,
    /// Connections by address, the warm-up's too, where the name of the server or of its
    /// proxy leads to several; empty where it leads to one, and in reports before schema 2.3.
    #[serde(default)]
    pub addresses: Vec<AddressFigures>,
    /// Calls by what the header says that `backend_header` names, those of most calls first;
    /// empty without it, and in reports before schema 2.4.
    #[serde(default)]
    pub backends: Vec<BackendFigures>,
    /// Histograms of the latencies, for other programs, `report` and `compare`; `null`
    /// with `--histograms off` and in reports before schema 2.1.
    #[serde(default)]
    pub histograms: Option<StoredHistograms>,
    /// What was told to other programs while the run went on (`--out`); empty without any,
    /// and in reports before schema 2.5.
    #[serde(default)]
    pub exports: Vec<ExportFigures>,
    /// What the user should know of how it went.
    pub notices: Vec<String>,
    /// What may lie behind the figures, and what to do about it.
    pub advice: Vec<AdviceNote>,
}

impl Report {
    /// Turns, then steps of tasks: rows that are in no total, each with what it is called
    /// before its label.
    pub(super) fn beside_totals(&self) -> impl Iterator<Item = (&'static str, &OperationFigures)> {
        let steps = self.task_steps.iter();
        let steps = steps.filter(|step| step.figures.started > 0);
        let steps = steps.map(|step| match step.method.as_str() {
            "tasks/get" => ("task asked for:", step),
            _ => ("task created:", step),
        });
        self.turns.iter().map(|turn| ("turn of", turn)).chain(steps)
    }
}

/// How the run went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunFacts {
    /// This program's version.
    pub version: String,
    /// The command line, without secrets.
    pub command_line: Vec<String>,
    /// What makes the choice of steps and the generated data repeatable.
    pub seed: u64,
    /// When the run's clock began, with the users' handshakes or the schedule of
    /// arrivals, RFC 3339, UTC.
    #[serde(serialize_with = "own")]
    pub started_at: String,
    /// Like `duration_secs` above.
    pub elapsed_secs: f64,
    /// Why it ended.
    pub ended: Ended,
    /// How long it was to last, in seconds; `null` where only iterations end it.
    pub planned_secs: Option<f64>,
    /// Iterations after which it was to end; `null` where only time ends it.
    pub planned_iterations: Option<u64>,
    /// The load in words: `50 virtual users`.
    pub load: String,
    /// The most virtual users active at once.
    pub vus_max: u32,
    /// From which instant the latency of calls counts.
    pub latency_from: LatencyFrom,
}

/// What the server said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerNames {
    /// Like `target_url` above.
    pub url: String,
    /// `legacy` (sessions) or `modern` (stateless).
    #[serde(serialize_with = "own")]
    pub era: String,
    /// The protocol revision spoken.
    #[serde(serialize_with = "own")]
    pub revision: String,
    /// Its name, if it told one.
    pub name: Option<String>,
    /// Its version, if it told one.
    pub version: Option<String>,
    /// Whether it gives session ids.
    pub has_sessions: bool,
    /// The proxy that is named for it, and whether calls went through it. From version 2.3
    /// on.
    #[serde(default)]
    pub proxy: Option<ProxyUse>,
    /// How many addresses connections were made to, of the server or of its proxy; `null` in
    /// reports before version 2.3.
    #[serde(default)]
    pub addresses: Option<usize>,
    /// Whether it offers sessions a stream to listen on; `null` where it was not asked, and
    /// in reports before schema 2.4.
    #[serde(default)]
    pub stream: Option<StreamOffer>,
}

/// What may lie behind the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdviceNote {
    /// A stable name, such as `delayed_ack`.
    #[serde(serialize_with = "own")]
    pub id: String,
    /// What was seen, what it may mean, what to try.
    pub text: String,
}

impl AdviceNote {
    pub(super) fn new(id: &str, text: String) -> Self {
        Self {
            id: id.to_string(),
            text,
        }
    }
}
