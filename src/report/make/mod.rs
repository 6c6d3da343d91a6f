//! From what a run produced to the report.
//!
//! The rules of the headline figures, in one place:
//!
//! - A request counts as `ok`, `failed` or `cancelled`, and only the first two
//!   have ended: rates and error shares leave out what the end cut off.
//! - Rate = (ok + failed) ÷ elapsed. Error rate = failed ÷ (ok + failed).
//! - Latency is that of successful requests; failed ones stand beside it. It
//!   counts from the intended start where the load model has one.
//! - No data is `null`.

mod distribution;
mod figures;
mod legacy;
mod probe;
pub(super) mod validity;

use std::time::Duration;

use serde_json::Value;

use super::advice::{self, Advice};
use super::model::{
    AdviceNote, Ended, Host, LatencyFrom, LoadUnit, Operation, Report, Run, SCHEMA_VERSION, Second,
    Server, Stage, WarmUp, Worker,
};
use crate::clock::Utc;
use crate::load::ThinkTime;
use crate::metrics::{self, RowStats};
use crate::outcome::{self, GeneratorFacts, Row, RowKind, Rows, RunOutcome, ServerFacts};
use crate::scenario::{Arrivals, Load, Plan};
use crate::units::{format_count, format_duration, format_rate, plural};

use distribution::{distribution, over};
use figures::{Measured, latency, ms};

/// What the report tells of that the outcome does not know.
#[derive(Debug, Clone)]
pub struct BuildInfo {
    /// This program's version.
    pub version: String,
    /// The command line; the caller has taken the secrets out.
    pub command_line: Vec<String>,
    /// When the run had ended.
    pub finished_at: Utc,
}

/// Makes the report. `plan_json` is the plan as JSON, without secrets; the
/// steps of `config.scenario` are taken from its array `scenario`.
pub fn build(plan: &Plan, plan_json: Value, outcome: &RunOutcome, info: &BuildInfo) -> Report {
    let rows = Rows::new(&outcome.start.rows, &outcome.totals);
    let measured = Measured {
        elapsed: outcome.elapsed,
        has_intended_starts: plan.has_intended_starts(),
        examples: &outcome.totals.examples,
    };
    let totals = rows.totals();
    let beside_calls = |kind| rows.sum_of(kind).map(|row| measured.beside_calls(&row));
    let total_figures = measured.calls(&totals);
    Report {
        schema_version: SCHEMA_VERSION.to_string(),
        timestamp: info.finished_at.rfc3339(),
        target_url: outcome.start.server.url.clone(),
        duration_secs: secs(outcome.elapsed),
        config: legacy::config(plan, &plan_json),
        metrics: legacy::metrics(&total_figures, rows),
        errors: legacy::errors(&totals.failures),
        per_tool: legacy::per_tool(&measured, rows),
        breaking_point: legacy::breaking_point(plan, outcome),
        verdict: validity::verdict(&outcome.verdict),
        self_check: validity::self_check(&outcome.self_check),
        run: run(plan, outcome, info, total_figures.latency_from),
        host: host(&outcome.start.generator),
        server: server(&outcome.start.server),
        plan: plan_json,
        counters: outcome.totals.counters,
        operations: operations(&measured, rows.in_totals()),
        handshake: beside_calls(RowKind::Handshake),
        close: beside_calls(RowKind::Close),
        turns: operations(&measured, rows.of(RowKind::Turn)),
        failures: total_figures.failures.clone(),
        distribution: distribution(measured.headline(&totals)),
        over: over(measured.headline(&totals)),
        totals: total_figures,
        seconds: outcome.seconds.iter().map(second).collect(),
        stages: stages(plan, outcome),
        warm_up: warm_up(plan, outcome),
        probe: probe::probe(plan, outcome),
        lateness: latency_if_any(&outcome.totals.lateness),
        generator_delay: latency_if_any(&outcome.totals.generator_delay),
        loop_time: latency_if_any(&outcome.totals.loop_time),
        notices: notices(plan, outcome),
        advice: advice::advise(plan, outcome, &totals)
            .iter()
            .map(advice_note)
            .collect(),
    }
}

/// The unit that the plan's load is counted in.
pub(super) fn load_unit(plan: &Plan) -> LoadUnit {
    match plan.load {
        Load::Closed { .. } | Load::Staged { .. } => LoadUnit::Vus,
        Load::Open { .. } => LoadUnit::ArrivalsPerSec,
    }
}

/// The figures of each of these rows.
fn operations<'a>(
    measured: &Measured<'_>,
    rows: impl Iterator<Item = (&'a Row, &'a RowStats)>,
) -> Vec<Operation> {
    let operation = |(row, stats): (&Row, &RowStats)| Operation {
        method: row.method.clone(),
        subject: row.subject.clone(),
        label: row.label(),
        name: None,
        flow: None,
        population: None,
        figures: measured.calls(stats),
    };
    rows.map(operation).collect()
}

fn run(plan: &Plan, outcome: &RunOutcome, info: &BuildInfo, latency_from: LatencyFrom) -> Run {
    Run {
        version: info.version.clone(),
        command_line: info.command_line.clone(),
        seed: plan.seed,
        started_at: outcome.start.at.rfc3339(),
        elapsed_secs: secs(outcome.elapsed),
        ended: match outcome.ended {
            outcome::Ended::Duration => Ended::Duration,
            outcome::Ended::Iterations => Ended::Iterations,
            outcome::Ended::Interrupted => Ended::Interrupted,
            outcome::Ended::Broke => Ended::BreakingPoint,
            outcome::Ended::NoSession => Ended::NoSession,
        },
        planned_secs: plan.stop.duration.map(secs),
        planned_iterations: plan.stop.iterations,
        load: load_in_words(plan),
        vus_max: outcome.vus_max,
        latency_from,
    }
}

/// `50 virtual users, ramp-up 10s`, `200/s arrivals for 50 virtual users`.
fn load_in_words(plan: &Plan) -> String {
    let users = plural(u64::from(plan.vus_max()), "virtual user", "virtual users");
    let mut words = match &plan.load {
        Load::Closed { ramp_up, .. } if !ramp_up.is_zero() => {
            format!("{users}, ramp-up {}", format_duration(*ramp_up))
        }
        Load::Closed { .. } => users,
        Load::Staged { stages, .. } => {
            let n_stages = plural(stages.len() as u64, "stage", "stages");
            format!("up to {users} in {n_stages}")
        }
        Load::Open { arrivals, .. } => match arrivals {
            Arrivals::Rate { per_second, .. } => {
                format!("{} arrivals for {users}", format_rate(*per_second))
            }
            Arrivals::Staged { stages, .. } => {
                let n_stages = plural(stages.len() as u64, "stage", "stages");
                let top = stages.iter().map(|s| s.target_rate).fold(0.0, f64::max);
                format!(
                    "up to {} arrivals for {users} in {n_stages}",
                    format_rate(top)
                )
            }
            Arrivals::Bursts(burst) => format!(
                "bursts of {} every {} for {users}",
                format_count(u64::from(burst.size)),
                format_duration(burst.every)
            ),
        },
    };
    if let Load::Closed {
        pacing: Some(pacing),
        ..
    }
    | Load::Staged {
        pacing: Some(pacing),
        ..
    } = &plan.load
    {
        words += &format!(", an iteration every {}", format_duration(*pacing));
    }
    if plan.think != ThinkTime::None {
        words += ", with thinking time";
    }
    words
}

pub(super) fn host(facts: &GeneratorFacts) -> Host {
    Host {
        cpus: facts.machine_cpus as u64,
        usable_cpus: facts.usable_cpus as u64,
        quota_cpus: facts.quota_millicpus.map(|milli| milli as f64 / 1e3),
        kernel: facts.kernel.clone(),
        cpu_model: facts.cpu_model.clone(),
        governor: facts.governor.clone(),
        virtual_machine: facts.is_virtual,
        workers: facts
            .worker_cpus
            .iter()
            .map(|cpu| Worker {
                pinned: cpu.is_some(),
                cpu: cpu.map(|cpu| cpu as u64),
            })
            .collect(),
        kernel_timestamps: facts.kernel_timestamps,
        busy_poll: facts.busy_poll,
    }
}

pub(super) fn server(facts: &ServerFacts) -> Server {
    Server {
        url: facts.url.clone(),
        era: facts.era.as_str().to_string(),
        revision: facts.revision.as_str().to_string(),
        name: facts.name.clone(),
        version: facts.version.clone(),
        has_sessions: facts.has_sessions,
    }
}

fn second(second: &outcome::Second) -> Second {
    let latency = second.latency;
    let signals = &second.signals;
    Second {
        at_secs: secs(second.at),
        length_secs: secs(second.length),
        vus: second.vus,
        started: second.started,
        ok: second.ok,
        failed: second.failed,
        rate_per_sec: figures::rate(second.ok + second.failed, second.length),
        p50_ms: latency.map(|latency| ms(latency.p50_ns)),
        p95_ms: latency.map(|latency| ms(latency.p95_ns)),
        p99_ms: latency.map(|latency| ms(latency.p99_ns)),
        max_ms: latency.map(|latency| ms(latency.max_ns)),
        dropped: second.dropped,
        in_flight_mean: signals.in_flight_mean.map(figures::tidy),
        in_flight_max: signals.in_flight_max,
        busy_share: signals.busy_share.map(figures::tidy),
        run_delay_share: signals.run_delay_share.map(figures::tidy),
        turn_max_ms: ms(signals.turn_max_ns),
        lateness_p99_ms: signals.lateness_p99_ns.map(ms),
        generator_delay_p99_ms: signals.delay_p99_ns.map(ms),
        steal_share: signals.steal_share.map(figures::tidy),
        throttled_share: signals.throttled_share.map(figures::tidy),
        limited_by: signals.limit.map(validity::limited_by),
    }
}

fn stages(plan: &Plan, outcome: &RunOutcome) -> Vec<Stage> {
    let of_stage = |stage: &outcome::StageOutcome| {
        let measured = Measured {
            elapsed: stage.length,
            has_intended_starts: plan.has_intended_starts(),
            examples: &stage.examples,
        };
        Stage {
            at_secs: secs(stage.at),
            length_secs: secs(stage.length),
            load_unit: load_unit(plan),
            load_from: figures::tidy(stage.load_from),
            load_to: figures::tidy(stage.load_to),
            figures: measured.calls(&stage.calls),
        }
    };
    outcome.stages.iter().map(of_stage).collect()
}

fn warm_up(plan: &Plan, outcome: &RunOutcome) -> Option<WarmUp> {
    let (length, recorded) = outcome.warm_up.as_ref()?;
    let measured = Measured {
        elapsed: *length,
        has_intended_starts: plan.has_intended_starts(),
        examples: &recorded.examples,
    };
    let calls = Rows::new(&outcome.start.rows, recorded).totals();
    Some(WarmUp {
        length_secs: secs(*length),
        figures: measured.calls(&calls),
    })
}

fn latency_if_any(histogram: &metrics::Histogram) -> Option<super::model::Latency> {
    (!histogram.is_empty()).then(|| latency(histogram))
}

/// Those of the config first; the engine may have passed them on already.
fn notices(plan: &Plan, outcome: &RunOutcome) -> Vec<String> {
    let mut notices = plan.notices.clone();
    for notice in &outcome.notices {
        if !notices.contains(notice) {
            notices.push(notice.clone());
        }
    }
    notices
}

fn advice_note(advice: &Advice) -> AdviceNote {
    AdviceNote {
        id: advice.id().to_string(),
        text: advice.text(),
    }
}

/// Seconds, to the nearest microsecond.
fn secs(duration: Duration) -> f64 {
    figures::tidy(duration.as_secs_f64())
}

#[cfg(test)]
mod tests;
