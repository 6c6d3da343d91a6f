//! What a search for the highest sustained load is told, finds, and tells
//! while it goes on.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LoadUnit, Observer, RunStart, TokenFigures, serial};
use crate::text::named;
use crate::validity::{Grade, Verdict};

/// What is searched, between which levels, under which limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindOptions {
    /// What a level is a number of.
    pub by: LoadUnit,
    /// The first level after the baseline: virtual users, or arrivals a second.
    pub from: f64,
    /// The highest level that is tried.
    pub to: f64,
    /// Latency limits; none is fine where there is a limit on errors.
    pub latency: Vec<LatencyLimit>,
    /// The largest share of failed requests, above 0 and below 1.
    pub error_share_max: Option<f64>,
    /// The search ends after this, with what it knows. `None`: it takes its
    /// time.
    #[serde(rename = "deadline_secs", with = "serial::secs_if_any")]
    #[schemars(with = "Option<f64>")]
    pub deadline: Option<Duration>,
    /// Ends with the bracket, sought with less evidence: nothing is verified.
    pub quick: bool,
    /// By rate: the largest pool of users that serve arrivals.
    #[serde(skip)]
    pub max_vus: u32,
}

/// A quantile of the latency has to be at or below a limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyLimit {
    /// 0.99 for p99.
    pub quantile: f64,
    /// In nanoseconds.
    #[serde(rename = "limit_ms", with = "serial::ms")]
    #[schemars(with = "f64")]
    pub limit_ns: u64,
}

named! {
    /// What a level is held for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum FindPhase {
        /// The server nearly alone.
        Baseline = "baseline",
        /// Doubling until a level is not passed.
        Bracket = "bracket",
        /// Halving what lies between.
        Bisect = "bisect",
        /// A longer hold of the answer.
        Verify = "verify",
    }
    /// As users are told of it.
    fn word
}

/// What a level did not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindWhy {
    /// A latency limit, by its place in [`FindOptions::latency`].
    Latency {
        /// The index.
        limit_idx: usize,
    },
    /// The share of failed requests.
    Errors,
    /// By rate: less than 98 % of the arrivals was answered.
    Throughput,
    /// By rate: requests under way pile up.
    Backlog,
    /// No answer at all while requests were under way.
    Silence,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindVerdict {
    /// All limits were kept, with 95 % confidence.
    Passed,
    /// No sign against it, too few requests to be sure.
    Plausible,
    /// Not kept, with the same confidence or plainly.
    Failed(FindWhy),
    /// Neither, for as long as a trial may take: counts as not passed.
    Undecided(FindWhy),
    /// The generator could not make the load: says nothing of the server.
    GeneratorLimited,
    /// The search ended in the middle of it.
    Unfinished,
}

/// One level that was held, as far as it got. Latency is that of successful
/// requests: response time by rate, service time by virtual users.
#[derive(Debug, Clone, PartialEq)]
pub struct FindTrial {
    /// Virtual users or arrivals a second.
    pub level: f64,
    /// What it was held for.
    pub phase: FindPhase,
    /// How it ended.
    pub verdict: FindVerdict,
    /// The host disturbed it, or the server refused a token in it, so the level was held
    /// again: it decides nothing.
    pub repeated: bool,
    /// Requests ended a second, failed ones included.
    pub rate: f64,
    /// Requests offered a second.
    pub offered_rate: f64,
    /// Median latency in nanoseconds.
    pub p50_ns: Option<u64>,
    /// 95th percentile in nanoseconds.
    pub p95_ns: Option<u64>,
    /// 99th percentile in nanoseconds.
    pub p99_ns: Option<u64>,
    /// Mean latency in nanoseconds.
    pub mean_ns: Option<u64>,
    /// Share of the ended requests that failed.
    pub error_share: f64,
    /// For each latency limit the share of requests that missed it.
    pub shares_over: Vec<f64>,
    /// Requests ended in the hold.
    pub n_requests: u64,
    /// Arrivals dropped in the hold.
    pub n_dropped: u64,
    /// How long figures were taken, settling excluded.
    pub duration: Duration,
    /// By virtual users, where a cycle is a request and a pause: rate times
    /// cycle over users; 1 where the figures agree with each other.
    pub little: Option<f64>,
    /// How far its figures can be trusted.
    pub grade: Grade,
}

/// A level that was not passed.
#[derive(Debug, Clone, PartialEq)]
pub struct FindFailure {
    /// The trial that it was not passed in.
    pub trial: FindTrial,
    /// What it did not keep, or what was nearest to its limit.
    pub why: FindWhy,
    /// A real failure; else it ended undecided.
    pub is_certain: bool,
}

/// A level after which the server, left nearly alone, did not become what it was alone
/// before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastingSlowdown {
    /// The level that was not passed.
    pub after: f64,
    /// For how long it was waited for.
    pub waited: Duration,
    /// The median latency at the baseline, in nanoseconds.
    pub baseline_ns: u64,
    /// The least median of a second since.
    pub least_ns: u64,
}

/// How long a search is expected to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindEstimate {
    /// At the least.
    #[serde(rename = "shortest_secs", with = "serial::secs")]
    #[schemars(with = "f64")]
    pub shortest: Duration,
    /// At the most, on a server without surprises.
    #[serde(rename = "longest_secs", with = "serial::secs")]
    #[schemars(with = "f64")]
    pub longest: Duration,
    /// Requests that make one unit of evidence.
    pub requests_per_unit: u64,
    /// The same with limits on p95 in place of stricter ones, where that would
    /// save much.
    #[serde(skip)]
    pub with_p95: Option<(Duration, Duration)>,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindEnded {
    /// The answer is verified, and a level just above it was not passed. In a quick
    /// search it is passed only.
    Found,
    /// The highest level allowed is sustained, or passed in a quick search: the
    /// capacity lies above.
    ReachedTo,
    /// Even the baseline does not keep the limits.
    Refused(FindWhy),
    /// No level was sustained, not even the lowest.
    NothingSustained,
    /// The time was over.
    Deadline,
    /// A signal, or the embedding program, asked for it.
    Interrupted,
    /// The server took no user's token any more, and no other was to be had.
    NoToken,
    /// The generator was the limit at the last level.
    GeneratorLimited,
}

/// What a search found. Every level in it was tested; what lies between
/// `sustains` and `fails_at` is not decided.
#[derive(Debug, Clone)]
pub struct FindOutcome {
    /// What was searched.
    pub options: FindOptions,
    /// What was found before the load began.
    pub start: RunStart,
    /// Why it ended.
    pub ended: FindEnded,
    /// The highest level that passed its verification.
    pub sustains: Option<FindTrial>,
    /// The highest level passed below all that were not, verified or not.
    pub passed: Option<FindTrial>,
    /// The lowest level not passed.
    pub fails_at: Option<FindFailure>,
    /// The lowest level that failed for certain.
    pub fails_surely_at: Option<FindFailure>,
    /// All trials in order.
    pub trials: Vec<FindTrial>,
    /// What was expected after the baseline.
    pub estimate: Option<FindEstimate>,
    /// From the first level to the end, cooling down and sessions included.
    pub elapsed: Duration,
    /// What limited the generator, in one sentence, where that ended it.
    pub generator_limit: Option<String>,
    /// How far the levels can be trusted that the answer rests on: the one that
    /// is sustained, the one that fails, the last one where the generator was
    /// the limit. Each with its level.
    pub verdicts: Vec<(f64, Verdict)>,
    /// Tokens that were fetched; `None` where none are.
    pub tokens: Option<TokenFigures>,
    /// Answers of all levels with another user's marker.
    pub n_foreign: u64,
    /// What the user should know of how it went.
    pub notices: Vec<String>,
}

impl FindOutcome {
    /// How far the answer can be trusted: the worst grade of the levels that it
    /// rests on.
    pub fn grade(&self) -> Grade {
        let grades = self.verdicts.iter().map(|(_, verdict)| verdict.grade);
        grades.max().unwrap_or(Grade::Valid)
    }
}

/// What goes on at a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindActivity {
    /// Sessions are being opened.
    Opening,
    /// The load is on; its figures do not count yet.
    Settling(FindPhase),
    /// Figures count.
    Holding(FindPhase),
    /// A low load until the server has recovered.
    CoolingDown,
    /// Requests in flight end before the next level.
    Draining,
}

/// The state of a search, several times a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FindProgress {
    /// Since the search began.
    pub elapsed: Duration,
    /// What a level is a number of.
    pub by: LoadUnit,
    /// The level under way.
    pub level: f64,
    /// What goes on.
    pub activity: FindActivity,
    /// Requests that ended in the last complete second, a second.
    pub rate: f64,
    /// Their 99th percentile, nanoseconds.
    pub p99_ns: Option<u64>,
    /// Failed among them.
    pub failed: u64,
    /// The highest level passed so far, and the lowest not passed.
    pub bracket: (Option<f64>, Option<f64>),
}

/// Told of a search while it goes on, on the coordinator's thread. `started` is
/// called once, before the first level, and `ended` after the last.
pub trait FindObserver: Observer {
    /// The baseline is known, and with it how long the rest may take.
    fn estimated(&mut self, _options: &FindOptions, _estimate: &FindEstimate) {}

    /// A few times a second.
    fn searching(&mut self, _progress: &FindProgress) {}

    /// A level was held to its end.
    fn trial(&mut self, _options: &FindOptions, _trial: &FindTrial) {}
}

impl FindObserver for super::Unobserved {}
