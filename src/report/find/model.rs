//! The JSON report of a capacity search: public, versioned.
//!
//! The same style as a run's report: `snake_case`, the unit last, `null` where
//! there is no data.

use crate::redact::own;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::model::{Grade, Host, Server, Verdict};

/// The version of the form. A field that goes or changes its meaning needs a
/// new major number.
pub const FIND_SCHEMA_VERSION: &str = "1.0";

/// What a report of this form calls itself.
pub const FIND_KIND: &str = "find";

/// The report of a capacity search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct FindReport {
    /// [`FIND_SCHEMA_VERSION`].
    #[serde(serialize_with = "own")]
    pub schema_version: String,
    /// [`FIND_KIND`], to tell it from a run's.
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
    pub verdict: Verdict,
    /// The highest level that passed its verification.
    pub sustains: Option<Trial>,
    /// The highest level passed below all that were not, verified or not.
    pub passed: Option<Trial>,
    /// The lowest level not passed. What lies between is not decided.
    pub fails_at: Option<Failure>,
    /// The lowest level that failed for certain.
    pub fails_surely_at: Option<Failure>,
    /// All levels that were held, in order.
    pub trials: Vec<Trial>,
    /// What was searched.
    pub search: SearchSettings,
    /// What was expected after the baseline.
    pub estimate: Option<Estimate>,
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
    pub host: Host,
    /// What the server said of itself.
    pub server: Server,
    /// The resolved plan, without secrets; its load was the search's to set.
    pub plan: Value,
    /// What the user should know of how it went.
    pub notices: Vec<String>,
}

/// What was searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct SearchSettings {
    /// What a level is a number of.
    pub by: LevelUnit,
    /// The first level after the baseline.
    pub from: f64,
    /// The highest level allowed.
    pub to: f64,
    /// Latency limits.
    pub latency: Vec<Limit>,
    /// The largest share of failed requests, 0 to 1.
    pub error_share_max: Option<f64>,
    /// When the search had to end, in seconds.
    pub deadline_secs: Option<f64>,
    /// Without a verification, and with less evidence for each level.
    pub quick: bool,
}

/// A limit on a quantile of the latency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct Limit {
    /// 0.99 for p99.
    pub quantile: f64,
    /// At most this, in milliseconds.
    pub limit_ms: f64,
}

/// What a level is a number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LevelUnit {
    /// Virtual users.
    Vus,
    /// Arrivals a second.
    ArrivalsPerSec,
}

/// A level that was held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct Trial {
    /// The load: see [`SearchSettings::by`].
    pub level: f64,
    /// What it was held for.
    pub phase: TrialPhase,
    /// How it ended.
    pub verdict: TrialVerdict,
    /// How far its figures can be trusted.
    pub grade: Grade,
    /// What was not kept, or was nearest to its limit: `latency`, `errors`,
    /// `throughput`, `backlog` or `silence`.
    pub why: Option<String>,
    /// The figure that says so, beside its limit.
    pub evidence: Option<String>,
    /// The host disturbed it, so the level was held again: it decides nothing.
    pub repeated: bool,
    /// Requests ended a second, failed ones included.
    pub rate_per_sec: f64,
    /// Requests offered a second.
    pub offered_per_sec: f64,
    /// Latency of successful requests: the median.
    pub p50_ms: Option<f64>,
    /// The 95th percentile.
    pub p95_ms: Option<f64>,
    /// The 99th percentile.
    pub p99_ms: Option<f64>,
    /// The mean.
    pub mean_ms: Option<f64>,
    /// Share of the ended requests that failed, 0 to 1.
    pub error_rate: f64,
    /// For each of [`SearchSettings::latency`], the share that missed it.
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

/// What a level is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialPhase {
    /// The server nearly alone.
    Baseline,
    /// Doubling.
    Bracket,
    /// Halving in log scale.
    Bisect,
    /// A longer hold of the answer.
    Verify,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct Failure {
    /// The trial.
    pub trial: Trial,
    /// What it did not keep.
    pub why: String,
    /// A real failure; else it was undecided.
    pub certain: bool,
}

/// How long the search was expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
pub struct Estimate {
    /// At the least, in seconds.
    pub shortest_secs: f64,
    /// At the most, in seconds.
    pub longest_secs: f64,
    /// Requests that make one unit of evidence.
    pub requests_per_unit: u64,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The generator was the limit.
    GeneratorLimited,
}
