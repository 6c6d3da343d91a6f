//! The JSON report of a capacity search: public, versioned.
//!
//! The same style as a run's report: `snake_case`, the unit last, `null` where
//! there is no data.

use crate::redact::own;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::outcome::{
    ExportFigures, FindEstimate, FindOptions, FindPhase, GeneratorFacts, TokenFigures, serial,
};
use crate::report::model::{ServerNames, VerdictNotes};
use crate::validity::Grade;

/// The report of a capacity search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindReport {
    /// The version of the form.
    #[serde(serialize_with = "own")]
    pub schema_version: String,
    /// `find`, to tell it from a run's.
    pub kind: String,
    /// When the search had ended, RFC 3339, UTC.
    #[serde(serialize_with = "own")]
    pub timestamp: String,
    /// The URL that was tested.
    pub target_url: String,
    /// The result in words.
    pub answer: String,
    /// Whether the answer passed a verification. Without one, as in a quick search,
    /// `sustains` is `null` and `passed` holds what is known.
    pub verified: bool,
    /// Why the search ended.
    pub ended: FindEnd,
    /// For `refused`: what the baseline did not keep.
    pub refused_by: Option<String>,
    /// For `generator_limited`: what was seen.
    pub generator_limit: Option<String>,
    /// Whether the figures of the levels that the answer rests on are those of
    /// the server. Each reason once, of the level where it matters most.
    pub verdict: VerdictNotes,
    /// The highest level that passed its verification.
    pub sustains: Option<TrialFigures>,
    /// The highest level passed below all that were not, verified or not.
    pub passed: Option<TrialFigures>,
    /// The lowest level not passed. What lies between is not decided.
    pub fails_at: Option<NotPassed>,
    /// The lowest level that failed for certain.
    pub fails_surely_at: Option<NotPassed>,
    /// All levels that were held, in order.
    pub trials: Vec<TrialFigures>,
    /// What was searched.
    pub search: FindOptions,
    /// What was expected after the baseline.
    pub estimate: Option<FindEstimate>,
    /// From the first level to the end, cooling down included.
    pub elapsed_secs: f64,
    /// This program's version.
    pub version: String,
    /// The command line, without secrets.
    pub command_line: Vec<String>,
    /// When the first level began, RFC 3339, UTC.
    #[serde(serialize_with = "own")]
    pub started_at: String,
    /// The machine that generated the load.
    pub host: GeneratorFacts,
    /// Tokens that were fetched; `null` where none are, and in reports before schema 1.1.
    #[serde(default)]
    pub tokens: Option<TokenFigures>,
    /// What the server said of itself.
    pub server: ServerNames,
    /// The resolved plan, without secrets; its load was the search's to set.
    pub plan: Value,
    /// What was told to other programs while the search went on (`--out`); empty without
    /// any, and in reports before schema 1.1.
    #[serde(default)]
    pub exports: Vec<ExportFigures>,
    /// What the user should know of how it went.
    pub notices: Vec<String>,
}

/// A level that was held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialFigures {
    /// The load: see [`FindOptions::by`].
    pub level: f64,
    /// What it was held for.
    pub phase: FindPhase,
    /// How it ended.
    pub verdict: TrialVerdict,
    /// How far its figures can be trusted.
    pub grade: Grade,
    /// What was not kept, or was nearest to its limit: `latency`, `errors`,
    /// `throughput`, `backlog` or `silence`.
    pub why: Option<String>,
    /// The figure that says so, beside its limit.
    pub evidence: Option<String>,
    /// The host disturbed it, or the server refused a token in it, so the level was held
    /// again: it decides nothing.
    pub repeated: bool,
    /// Requests ended a second, failed ones included.
    pub rate_per_sec: f64,
    /// Requests offered a second.
    pub offered_per_sec: f64,
    /// Latency of successful requests: the median.
    #[serde(rename = "p50_ms", with = "serial::ms_if_any")]
    #[schemars(with = "Option<f64>")]
    pub p50_ns: Option<u64>,
    /// The 95th percentile.
    #[serde(rename = "p95_ms", with = "serial::ms_if_any")]
    #[schemars(with = "Option<f64>")]
    pub p95_ns: Option<u64>,
    /// The 99th percentile.
    #[serde(rename = "p99_ms", with = "serial::ms_if_any")]
    #[schemars(with = "Option<f64>")]
    pub p99_ns: Option<u64>,
    /// The mean.
    #[serde(rename = "mean_ms", with = "serial::ms_if_any")]
    #[schemars(with = "Option<f64>")]
    pub mean_ns: Option<u64>,
    /// Share of the ended requests that failed, 0 to 1.
    pub error_rate: f64,
    /// For each of [`FindOptions::latency`], the share that missed it.
    pub shares_over: Vec<f64>,
    /// Requests ended.
    pub requests: u64,
    /// Arrivals dropped.
    pub dropped: u64,
    /// How long figures were taken.
    pub duration_secs: f64,
    /// Little's law: rate × cycle ÷ virtual users, 1 where all agrees.
    pub little: Option<f64>,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrialVerdict {
    /// Kept all limits with 95 % confidence.
    Passed,
    /// No sign against it: good enough to go on only.
    Plausible,
    /// Failed.
    Failed,
    /// Neither: counts as not passed.
    Undecided,
    /// Says nothing of the server.
    GeneratorLimited,
    /// The search ended first.
    Unfinished,
}

/// A level that was not passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotPassed {
    /// The trial.
    pub trial: TrialFigures,
    /// What it did not keep.
    pub why: String,
    /// A real failure; else it was undecided.
    pub certain: bool,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindEnd {
    /// Verified (in a quick search: passed), and a level just above was not passed.
    Found,
    /// The highest level allowed is sustained (in a quick search: passed).
    ReachedTo,
    /// Even the baseline does not keep the limits.
    Refused,
    /// No level was sustained.
    NothingSustained,
    /// The time was over.
    Deadline,
    /// A signal asked for it.
    Interrupted,
    /// The server took no token any more, and no other was to be had.
    NoToken,
    /// The generator was the limit.
    GeneratorLimited,
}
