//! From the verdict and the self-check of a run to what the report says of them.

use std::collections::BTreeMap;

use crate::metrics::WorkerUsage;
use crate::outcome::SelfCheck;
use crate::report::model::{
    BoundsFigures, InFlight, ReasonNote, SelfCheckFigures, SignalNote, VerdictNotes, WorkerUse,
};
use crate::units::{ms, tidy};
use crate::validity::{GeneratorLimit, Grade, Reason, Verdict};

/// The verdict of a run.
pub(in crate::report) fn verdict(verdict: &Verdict) -> VerdictNotes {
    let note = |grade: Option<Grade>, reason: &Reason| ReasonNote {
        id: reason.id().to_string(),
        grade,
        cause: reason.cause(),
        text: reason.text(),
        figures: figures(reason.figures()),
        signals: signals(reason),
    };
    let reasons = verdict.reasons.iter();
    let found = &verdict.bounds;
    VerdictNotes {
        grade: verdict.grade,
        reasons: reasons
            .map(|(grade, reason)| note(Some(*grade), reason))
            .collect(),
        notes: verdict
            .notes
            .iter()
            .map(|reason| note(None, reason))
            .collect(),
        bounds: Some(BoundsFigures {
            service_p50_ms: ms(found.service.p50_ns),
            service_p99_ms: ms(found.service.p99_ns),
            response_p50_ms: found.response.map(|error| ms(error.p50_ns)),
            response_p99_ms: found.response.map(|error| ms(error.p99_ns)),
            idle_share: found.idle_share.map(tidy),
            late_end: found.late_end,
        }),
    }
}

fn figures(named: Vec<(&'static str, f64)>) -> BTreeMap<String, f64> {
    let tidied = named.into_iter();
    tidied
        .map(|(name, value)| (name.to_string(), tidy(value)))
        .collect()
}

fn signals(reason: &Reason) -> Vec<SignalNote> {
    let seen = reason.signals().iter();
    seen.map(|signal| SignalNote {
        id: signal.id().to_string(),
        figures: figures(signal.figures()),
    })
    .collect()
}

/// The verdict of several loads, each with its name: each reason once, of the
/// load in which it matters most.
pub(in crate::report) fn verdict_of_all<'a>(
    loads: impl IntoIterator<Item = (String, &'a Verdict)>,
) -> VerdictNotes {
    let mut reasons: Vec<ReasonNote> = Vec::new();
    for (name, of_load) in loads {
        for mut reason in verdict(of_load).reasons {
            reason.cause = format!("at {name}: {}", reason.cause);
            reason.text = format!("at {name}: {}", reason.text);
            match reasons.iter_mut().find(|known| known.id == reason.id) {
                Some(known) if known.grade >= reason.grade => {}
                Some(known) => *known = reason,
                None => reasons.push(reason),
            }
        }
    }
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.grade));
    let worst = reasons.first().and_then(|reason| reason.grade);
    VerdictNotes {
        grade: worst.unwrap_or(Grade::Valid),
        reasons,
        notes: Vec::new(),
        bounds: None,
    }
}

pub(super) fn self_check(found: &SelfCheck) -> SelfCheckFigures {
    SelfCheckFigures {
        workers: found.workers.iter().map(worker_use).collect(),
        in_flight: InFlight {
            mean: found.in_flight_mean.map(tidy),
            max: found.in_flight_max,
            mean_whole: found.in_flight_whole.map(tidy),
            by_latency: found.in_flight_by_latency.map(tidy),
        },
        steal_share: found.steal_share.map(tidy),
        throttled_share: found.throttled_share.map(tidy),
        reads: found.reads,
        clock_steps: found.clock_steps,
        clock_step_max_ms: ms(found.clock_step_max_ns),
        limited_secs: found.limited_seconds as u64,
    }
}

fn worker_use(usage: &WorkerUsage) -> WorkerUse {
    WorkerUse {
        busy_share: usage.busy_share().map(tidy),
        cpu_share: usage.cpu_share().map(tidy),
        run_delay_share: usage.run_delay_share().map(tidy),
        involuntary_switches: usage.involuntary_switches,
        turn_max_ms: ms(usage.turn_max_ns),
    }
}

/// The name of what limited the generator in a second.
pub(super) fn limited_by(limit: GeneratorLimit) -> String {
    let name = match limit {
        GeneratorLimit::Behind { .. } => "behind_schedule",
        GeneratorLimit::Stalled { .. } => "worker_stalled",
        GeneratorLimit::Reading { .. } => "slow_reading",
    };
    name.to_string()
}
