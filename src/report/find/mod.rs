//! The report of a capacity search: JSON, summary, live line.
//!
//! Like a run's: [`build_find`] reads the outcome, the text is made from the
//! report alone. Start with [`FindReport`].

mod live;
mod model;
mod plot;
mod summary;
mod words;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

pub use model::{
    Estimate, FIND_KIND, FIND_SCHEMA_VERSION, Failure, FindEnd, FindReport, LevelUnit, Limit,
    SearchSettings, Trial, TrialPhase, TrialVerdict,
};
pub use summary::find_summary;

use super::make::validity::{of_grade, verdict_of_all};
use super::make::{BuildInfo, host, server};
use crate::clock::Utc;
use crate::outcome::{
    FindBy, FindEnded, FindEstimate, FindFailure, FindOptions, FindOutcome, FindPhase, FindTrial,
    FindVerdict,
};

/// Makes the report. `plan_json` is the plan as JSON, without secrets.
pub fn build_find(plan_json: Value, outcome: &FindOutcome, info: &BuildInfo) -> FindReport {
    let told = |found: &FindTrial| trial(&outcome.options, found);
    let failed = |found: &FindFailure| failure(&outcome.options, found);
    FindReport {
        schema_version: FIND_SCHEMA_VERSION.to_string(),
        kind: FIND_KIND.to_string(),
        timestamp: info.finished_at.rfc3339(),
        target_url: outcome.start.server.url.clone(),
        answer: words::answer(outcome),
        verified: outcome.sustains.is_some(),
        ended: match outcome.ended {
            FindEnded::Found => FindEnd::Found,
            FindEnded::ReachedTo => FindEnd::ReachedTo,
            FindEnded::Refused(_) => FindEnd::Refused,
            FindEnded::NothingSustained => FindEnd::NothingSustained,
            FindEnded::Deadline => FindEnd::Deadline,
            FindEnded::Interrupted => FindEnd::Interrupted,
            FindEnded::GeneratorLimited => FindEnd::GeneratorLimited,
        },
        refused_by: match outcome.ended {
            FindEnded::Refused(why) => Some(words::why(why).to_string()),
            _ => None,
        },
        generator_limit: outcome.generator_limit.clone(),
        verdict: verdict_of_all(
            outcome
                .verdicts
                .iter()
                .map(|(level, verdict)| (words::level(outcome.options.by, *level), verdict)),
        ),
        sustains: outcome.sustains.as_ref().map(told),
        passed: outcome.passed.as_ref().map(told),
        fails_at: outcome.fails_at.as_ref().map(failed),
        fails_surely_at: outcome.fails_surely_at.as_ref().map(failed),
        trials: outcome.trials.iter().map(told).collect(),
        search: settings(&outcome.options),
        estimate: outcome.estimate.map(estimate),
        elapsed_secs: secs(outcome.elapsed),
        version: info.version.clone(),
        command_line: info.command_line.clone(),
        started_at: outcome.start.at.rfc3339(),
        host: host(&outcome.start.generator),
        server: server(&outcome.start.server),
        plan: plan_json,
        notices: outcome.notices.clone(),
    }
}

/// `.pmcp/reports/find-20261123T124107Z.json` under the given folder.
pub fn default_find_path(folder: &Path, now: Utc) -> PathBuf {
    let name = format!("find-{}.json", now.compact());
    folder.join(".pmcp").join("reports").join(name)
}

fn unit(by: FindBy) -> LevelUnit {
    match by {
        FindBy::Vus => LevelUnit::Vus,
        FindBy::Rate => LevelUnit::ArrivalsPerSec,
    }
}

fn settings(options: &FindOptions) -> SearchSettings {
    let latency = options.latency.iter().map(|limit| Limit {
        quantile: limit.quantile,
        limit_ms: ms(limit.limit_ns),
    });
    SearchSettings {
        by: unit(options.by),
        from: options.from,
        to: options.to,
        latency: latency.collect(),
        error_share_max: options.error_share_max,
        deadline_secs: options.deadline.map(secs),
        quick: options.quick,
    }
}

fn trial(options: &FindOptions, trial: &FindTrial) -> Trial {
    let (verdict, why) = match trial.verdict {
        FindVerdict::Passed => (TrialVerdict::Passed, None),
        FindVerdict::Plausible => (TrialVerdict::Plausible, None),
        FindVerdict::Failed(why) => (TrialVerdict::Failed, Some(why)),
        FindVerdict::Undecided(why) => (TrialVerdict::Undecided, Some(why)),
        FindVerdict::GeneratorLimited => (TrialVerdict::GeneratorLimited, None),
        FindVerdict::Unfinished => (TrialVerdict::Unfinished, None),
    };
    Trial {
        level: trial.level,
        phase: match trial.phase {
            FindPhase::Baseline => TrialPhase::Baseline,
            FindPhase::Bracket => TrialPhase::Bracket,
            FindPhase::Bisect => TrialPhase::Bisect,
            FindPhase::Verify => TrialPhase::Verify,
        },
        verdict,
        grade: of_grade(trial.grade),
        why: why.map(|why| words::why(why).to_string()),
        evidence: words::evidence(options, trial),
        repeated: trial.repeated,
        rate_per_sec: trial.rate,
        offered_per_sec: trial.offered_rate,
        p50_ms: trial.p50_ns.map(ms),
        p95_ms: trial.p95_ns.map(ms),
        p99_ms: trial.p99_ns.map(ms),
        mean_ms: trial.mean_ns.map(ms),
        error_rate: trial.error_share,
        shares_over: trial.shares_over.clone(),
        requests: trial.n_requests,
        dropped: trial.n_dropped,
        duration_secs: secs(trial.duration),
        little: trial.little,
    }
}

fn failure(options: &FindOptions, failure: &FindFailure) -> Failure {
    Failure {
        trial: trial(options, &failure.trial),
        why: words::why(failure.why).to_string(),
        certain: failure.is_certain,
    }
}

fn estimate(estimate: FindEstimate) -> Estimate {
    Estimate {
        shortest_secs: secs(estimate.shortest),
        longest_secs: secs(estimate.longest),
        requests_per_unit: estimate.requests_per_unit,
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// Whole milliseconds, for nothing here is known more finely.
fn secs(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
