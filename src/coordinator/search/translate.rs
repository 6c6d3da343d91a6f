//! Between the search's own words and those of the outcome.

use std::time::Duration;

use crate::decide::search::{
    By, Ended, FailedLevel, LatencyLimit, Limits, Phase, SearchOptions, TimeEstimate, TrialReport,
    Verdict, Why,
};
use crate::outcome::{
    FindBy, FindEnded, FindEstimate, FindFailure, FindOptions, FindPhase, FindTrial, FindVerdict,
    FindWhy,
};
use crate::scenario::{Action, Load, Plan};
use crate::validity::Grade;

/// The search's options. The deadline is kept by the loop, whose clock also
/// sees the time between levels.
pub(super) fn search_options(plan: &Plan, options: &FindOptions) -> SearchOptions {
    let latency = options.latency.iter().map(|limit| LatencyLimit {
        quantile: limit.quantile,
        limit_ns: limit.limit_ns,
    });
    SearchOptions {
        by: match options.by {
            FindBy::Vus => By::Vus,
            FindBy::Rate => By::Rate,
        },
        from: options.from,
        to: options.to,
        limits: Limits {
            latency: latency.collect(),
            error_share_max: options.error_share_max,
        },
        tolerance: None,
        deadline: None,
        quick: options.quick,
        think: think(plan),
    }
}

/// The pause of a user's cycle, where that is one request and one pause.
fn think(plan: &Plan) -> Option<Duration> {
    let is_paced = matches!(
        plan.load,
        Load::Closed {
            pacing: Some(_),
            ..
        } | Load::Staged {
            pacing: Some(_),
            ..
        }
    );
    let are_single = plan.steps.iter().all(|step| {
        step.weight == 0 || (step.parallel <= 1 && matches!(step.action.value, Action::Call(_)))
    });
    let pause = plan.think.mean().saturating_add(plan.pause_after_call);
    (are_single && !is_paced).then_some(pause)
}

pub(super) fn phase(phase: Phase) -> FindPhase {
    match phase {
        Phase::Baseline => FindPhase::Baseline,
        Phase::Bracket => FindPhase::Bracket,
        Phase::Bisect => FindPhase::Bisect,
        Phase::Verify => FindPhase::Verify,
    }
}

fn why(why: Why) -> FindWhy {
    match why {
        Why::Latency { limit_idx } => FindWhy::Latency { limit_idx },
        Why::Errors => FindWhy::Errors,
        Why::Throughput => FindWhy::Throughput,
        Why::Backlog => FindWhy::Backlog,
        Why::Silence => FindWhy::Silence,
    }
}

pub(super) fn trial(report: &TrialReport, grade: Grade) -> FindTrial {
    FindTrial {
        level: report.level,
        phase: phase(report.phase),
        verdict: match report.verdict {
            Verdict::Pass => FindVerdict::Passed,
            Verdict::Plausible => FindVerdict::Plausible,
            Verdict::Fail(cause) => FindVerdict::Failed(why(cause)),
            Verdict::Borderline(cause) => FindVerdict::Undecided(why(cause)),
            Verdict::GeneratorLimited => FindVerdict::GeneratorLimited,
            Verdict::Unfinished => FindVerdict::Unfinished,
        },
        repeated: report.repeated,
        rate: report.rate,
        offered_rate: report.offered_rate,
        p50_ns: report.percentiles.p50_ns,
        p95_ns: report.percentiles.p95_ns,
        p99_ns: report.percentiles.p99_ns,
        mean_ns: report.mean_ns,
        error_share: report.error_share,
        shares_over: report.shares_over.clone(),
        n_requests: report.n_requests,
        n_dropped: report.n_dropped,
        duration: report.duration,
        little: report.little,
        grade,
    }
}

pub(super) fn failure(failed: &FailedLevel, grade: Grade) -> FindFailure {
    FindFailure {
        trial: trial(&failed.trial, grade),
        why: why(failed.why),
        is_certain: failed.is_certain,
    }
}

pub(super) fn estimate(estimate: TimeEstimate) -> FindEstimate {
    FindEstimate {
        shortest: estimate.shortest,
        longest: estimate.longest,
        requests_per_unit: estimate.requests_per_unit,
        with_p95: estimate.with_p95,
    }
}

pub(super) fn ended(ended: Ended) -> FindEnded {
    match ended {
        Ended::Found => FindEnded::Found,
        Ended::ReachedTo => FindEnded::ReachedTo,
        Ended::Refused(cause) => FindEnded::Refused(why(cause)),
        Ended::NothingSustained => FindEnded::NothingSustained,
        Ended::Deadline => FindEnded::Deadline,
        Ended::Interrupted => FindEnded::Interrupted,
        Ended::GeneratorLimited => FindEnded::GeneratorLimited,
    }
}
