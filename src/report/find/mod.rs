//! The report of a capacity search: JSON, summary, live line.
//!
//! Like a run's: [`build_find`] reads the outcome, the text is made from the
//! report alone. Start with [`FindReport`].

mod live;
pub(super) mod model;
mod plot;
mod summary;
mod words;

use serde_json::Value;

pub use model::{FindEnd, FindReport, NotPassed, TrialFigures, TrialVerdict};
pub(super) use plot::by_level;
pub(super) use summary::find_summary;
pub use words::search_in_words;
pub(super) use words::{decisive_percentile, decisive_quantile, limit_on};

use super::envelope::{BuildInfo, ReportKind};
use super::make::{server, verdict_of_all};
use crate::outcome::{FindEnded, FindFailure, FindOptions, FindOutcome, FindTrial, FindVerdict};
use crate::units::secs;

/// Makes the report. `plan_json` is the plan as JSON, without secrets.
pub fn build_find(plan_json: Value, outcome: &FindOutcome, info: &BuildInfo) -> FindReport {
    let told = |found: &FindTrial| trial(&outcome.options, found);
    let failed = |found: &FindFailure| failure(&outcome.options, found);
    let mut report = FindReport {
        schema_version: ReportKind::Find.schema_version().to_string(),
        kind: ReportKind::Find.id().to_string(),
        timestamp: info.finished_at.rfc3339(),
        target_url: outcome.start.server().url.clone(),
        answer: String::new(),
        verified: outcome.sustains.is_some(),
        ended: match outcome.ended {
            FindEnded::Found => FindEnd::Found,
            FindEnded::ReachedTo => FindEnd::ReachedTo,
            FindEnded::Refused(_) => FindEnd::Refused,
            FindEnded::NothingSustained => FindEnd::NothingSustained,
            FindEnded::Deadline => FindEnd::Deadline,
            FindEnded::Interrupted => FindEnd::Interrupted,
            FindEnded::NoToken => FindEnd::NoToken,
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
        search: outcome.options.clone(),
        estimate: outcome.estimate,
        elapsed_secs: secs(outcome.elapsed),
        version: info.version.clone(),
        command_line: info.command_line.clone(),
        started_at: outcome.start.at.rfc3339(),
        host: outcome.start.generator.clone(),
        tokens: outcome.tokens.clone(),
        server: server(outcome.start.server()),
        plan: plan_json,
        exports: Vec::new(),
        notices: outcome.notices.clone(),
    };
    report.answer = words::answer(&report);
    report
}

fn trial(options: &FindOptions, trial: &FindTrial) -> TrialFigures {
    let (verdict, why) = match trial.verdict {
        FindVerdict::Passed => (TrialVerdict::Passed, None),
        FindVerdict::Plausible => (TrialVerdict::Plausible, None),
        FindVerdict::Failed(why) => (TrialVerdict::Failed, Some(why)),
        FindVerdict::Undecided(why) => (TrialVerdict::Undecided, Some(why)),
        FindVerdict::GeneratorLimited => (TrialVerdict::GeneratorLimited, None),
        FindVerdict::Unfinished => (TrialVerdict::Unfinished, None),
    };
    TrialFigures {
        level: trial.level,
        phase: trial.phase,
        verdict,
        grade: trial.grade,
        why: why.map(|why| words::why(why).to_string()),
        evidence: words::evidence(options, trial),
        repeated: trial.repeated,
        rate_per_sec: trial.rate,
        offered_per_sec: trial.offered_rate,
        p50_ns: trial.p50_ns,
        p95_ns: trial.p95_ns,
        p99_ns: trial.p99_ns,
        mean_ns: trial.mean_ns,
        error_rate: trial.error_share,
        shares_over: trial.shares_over.clone(),
        requests: trial.n_requests,
        dropped: trial.n_dropped,
        duration_secs: secs(trial.duration),
        little: trial.little,
    }
}

fn failure(options: &FindOptions, failure: &FindFailure) -> NotPassed {
    NotPassed {
        trial: TrialFigures {
            evidence: words::evidence_of(options, &failure.trial, failure.why),
            ..trial(options, &failure.trial)
        },
        why: words::why(failure.why).to_string(),
        certain: failure.is_certain,
    }
}

#[cfg(test)]
pub(in crate::report) mod samples;
#[cfg(test)]
mod tests;
