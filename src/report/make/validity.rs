//! From the verdict and the self-check of a run to what the report says of them.

use std::collections::BTreeMap;

use super::figures::{ms, tidy};
use crate::metrics::WorkerUsage;
use crate::outcome;
use crate::report::model::{
    Bounds, Grade, InFlight, Note, Reads, Reason, SelfCheck, Signal, Verdict, WorkerUse,
};
use crate::validity::{self, GeneratorLimit};

/// The verdict of a run.
pub(in crate::report) fn verdict(verdict: &validity::Verdict) -> Verdict {
    let reason = |(grade, reason): &(validity::Grade, validity::Reason)| Reason {
        id: reason.id().to_string(),
        grade: of_grade(*grade),
        cause: reason.cause(),
        text: reason.text(),
        figures: figures(reason.figures()),
        signals: signals(reason),
    };
    let note = |reason: &validity::Reason| Note {
        id: reason.id().to_string(),
        cause: reason.cause(),
        text: reason.text(),
        figures: figures(reason.figures()),
        signals: signals(reason),
    };
    let found = &verdict.bounds;
    Verdict {
        grade: of_grade(verdict.grade),
        reasons: verdict.reasons.iter().map(reason).collect(),
        notes: verdict.notes.iter().map(note).collect(),
        bounds: Some(Bounds {
            service_p50_ms: ms(found.service.p50_ns),
            service_p99_ms: ms(found.service.p99_ns),
            response_p50_ms: found.response.map(|error| ms(error.p50_ns)),
            response_p99_ms: found.response.map(|error| ms(error.p99_ns)),
            idle_share: found.idle_share.map(tidy),
        }),
    }
}

fn figures(named: Vec<(&'static str, f64)>) -> BTreeMap<String, f64> {
    let tidied = named.into_iter();
    tidied
        .map(|(name, value)| (name.to_string(), tidy(value)))
        .collect()
}

fn signals(reason: &validity::Reason) -> Vec<Signal> {
    let seen = reason.signals().iter();
    seen.map(|signal| Signal {
        id: signal.id().to_string(),
        figures: figures(signal.figures()),
    })
    .collect()
}

/// The verdict of several loads, each with its name: each reason once, of the
/// load in which it matters most.
pub(in crate::report) fn verdict_of_all<'a>(
    loads: impl IntoIterator<Item = (String, &'a validity::Verdict)>,
) -> Verdict {
    let mut reasons: Vec<Reason> = Vec::new();
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
    Verdict {
        grade: reasons.first().map_or(Grade::Valid, |reason| reason.grade),
        reasons,
        notes: Vec::new(),
        bounds: None,
    }
}

pub(in crate::report) fn of_grade(grade: validity::Grade) -> Grade {
    match grade {
        validity::Grade::Valid => Grade::Valid,
        validity::Grade::Suspect => Grade::Suspect,
        validity::Grade::Invalid => Grade::Invalid,
    }
}

pub(super) fn self_check(found: &outcome::SelfCheck) -> SelfCheck {
    SelfCheck {
        workers: found.workers.iter().map(worker_use).collect(),
        in_flight: InFlight {
            mean: found.in_flight_mean.map(tidy),
            max: found.in_flight_max,
            mean_whole: found.in_flight_whole.map(tidy),
            by_latency: found.in_flight_by_latency.map(tidy),
        },
        steal_share: found.steal_share.map(tidy),
        throttled_share: found.throttled_share.map(tidy),
        reads: Reads {
            kernel: found.reads.kernel,
            user_space: found.reads.user_space,
            timestamps_unusable: found.reads.unusable,
        },
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
