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

mod addresses;
mod distribution;
mod figures;
mod flows;
mod histograms;
mod legacy;
mod listening;
mod populations;
mod probe;
mod tls;
mod validity;
mod waits;

use serde_json::Value;

use super::advice::advise;
use super::envelope::{BuildInfo, ReportKind};
use super::model::{
    IsolationFigures, LatencyFrom, Report, RunFacts, SecondFigures, StageFigures, WaitFigures,
    WarmUp,
};
use crate::load::ThinkTime;
use crate::metrics::IsolationCounts;
use crate::outcome::{RowKind, Rows, RunOutcome, Second, StageOutcome, TokenFigures};
use crate::scenario::{Arrivals, Load, Plan};
use crate::units::{format_count, format_duration, format_rate, ms, plural, rate, secs, tidy};

pub(super) use addresses::merged_addresses;
pub(super) use distribution::{distribution, over};
use figures::{Part, latency_if_any};
pub(super) use figures::{latency, server};
pub(super) use histograms::{assemble, stored_other, stored_row};
pub(super) use legacy::{errors, metrics, tool_figures};
pub(super) use listening::merged_listening;
pub(super) use tls::merged_tls;
pub(super) use validity::verdict_of_all;
pub(super) use waits::{merged_waits, share, users_secs};

/// Makes the report. `plan_json` is the plan as JSON, without secrets; the
/// steps of `config.scenario` are taken from its array `scenario`.
pub fn build(plan: &Plan, plan_json: Value, outcome: &RunOutcome, info: &BuildInfo) -> Report {
    let rows = Rows::new(&outcome.start.rows, &outcome.totals);
    let measured = Part {
        elapsed: outcome.elapsed,
        has_intended_starts: plan.has_intended_starts(),
        examples: &outcome.totals.examples,
    };
    let totals = rows.totals();
    let beside_calls = |kind| rows.sum_of(kind).map(|row| measured.beside_calls(&row));
    let total_figures = measured.calls(&totals);
    let operations = measured.operations(rows.in_totals());
    let seconds: Vec<SecondFigures> = outcome.seconds.iter().map(second).collect();
    let waits = waits::waits(plan, &outcome.totals.waits, &seconds);
    let token_waits = &outcome.totals.token_waits;
    let tokens = outcome.tokens.as_ref();
    let tokens = tokens.map(|it| waits::token_waits(it, token_waits, users_secs(&seconds)));
    let of_waits = [
        waits.as_ref().and_then(WaitFigures::notice),
        tokens.as_ref().and_then(TokenFigures::notice),
    ];
    let notices = notices(plan, outcome, of_waits.into_iter().flatten());
    Report {
        schema_version: ReportKind::Run.schema_version().to_string(),
        timestamp: info.finished_at.rfc3339(),
        target_url: outcome.start.server().url.clone(),
        duration_secs: secs(outcome.elapsed),
        config: legacy::config(plan, &plan_json),
        metrics: metrics(&total_figures, &operations),
        errors: errors(&total_figures.failures),
        per_tool: legacy::per_tool(&measured, rows),
        breaking_point: legacy::breaking_point(plan, outcome),
        verdict: validity::verdict(&outcome.verdict),
        gate: outcome.gate.clone(),
        thresholds: outcome.thresholds.clone(),
        self_check: validity::self_check(&outcome.self_check),
        run: run(plan, outcome, info, total_figures.latency_from),
        host: outcome.start.generator.clone(),
        server: server(outcome.start.server()),
        plan: plan_json,
        counters: outcome.totals.counters,
        tokens,
        isolation: isolation(plan, outcome),
        operations,
        handshake: beside_calls(RowKind::Handshake),
        close: beside_calls(RowKind::Close),
        listen: listening::listening(outcome, &measured),
        turns: measured.operations(rows.of(RowKind::Turn)),
        task_steps: measured.operations(rows.of(RowKind::TaskStep)),
        flows: flows::flows(&measured, rows),
        populations: populations::populations(plan, outcome, &measured),
        ab: None,
        unchecked: flows::unchecked(rows),
        evidence: flows::evidence(outcome),
        failures: total_figures.failures.clone(),
        distribution: distribution(measured.headline(&totals)),
        over: over(measured.headline(&totals)),
        totals: total_figures,
        seconds,
        stages: stages(plan, outcome),
        warm_up: warm_up(plan, outcome),
        probe: probe::probe(plan, outcome),
        lateness: latency_if_any(&outcome.totals.lateness),
        generator_delay: latency_if_any(&outcome.totals.generator_delay),
        loop_time: latency_if_any(&outcome.totals.loop_time),
        tls: tls::tls(plan, outcome),
        addresses: addresses::addresses(outcome),
        backends: addresses::backends(outcome),
        histograms: histograms::histograms(plan, outcome, &measured),
        notices,
        retry_after: waits,
        exports: Vec::new(),
        advice: advise(plan, outcome, &totals),
    }
}

fn run(plan: &Plan, outcome: &RunOutcome, info: &BuildInfo, latency_from: LatencyFrom) -> RunFacts {
    RunFacts {
        version: info.version.clone(),
        command_line: info.command_line.clone(),
        seed: plan.seed,
        started_at: outcome.start.at.rfc3339(),
        elapsed_secs: secs(outcome.elapsed),
        ended: outcome.ended,
        planned_secs: plan.stop.duration.map(secs),
        planned_iterations: plan.iterations(),
        load: load_in_words(plan),
        vus_max: outcome.vus_max,
        latency_from,
    }
}

/// `50 virtual users, ramp-up 10s`, `200/s arrivals for 50 virtual users`: of the
/// plan's segment.
pub fn load_in_words(plan: &Plan) -> String {
    let users = plural(u64::from(plan.vus_max()), "virtual user", "virtual users");
    let own = |rate: f64| rate / f64::from(plan.segment.count());
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
                format!("{} arrivals for {users}", format_rate(own(*per_second)))
            }
            Arrivals::Staged { stages, .. } => {
                let n_stages = plural(stages.len() as u64, "stage", "stages");
                let top = stages.iter().map(|s| s.target_rate).fold(0.0, f64::max);
                format!(
                    "up to {} arrivals for {users} in {n_stages}",
                    format_rate(own(top))
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
    if !plan.segment.is_whole() {
        words += &format!(", segment {} of the load", plan.segment);
    }
    words
}

fn isolation(plan: &Plan, outcome: &RunOutcome) -> Option<IsolationFigures> {
    let IsolationCounts {
        marked,
        returned,
        foreign,
        other_runs,
    } = outcome.totals.isolation;
    plan.is_isolated().then_some(IsolationFigures {
        marked,
        returned,
        foreign,
        other_runs,
    })
}

/// Of parts of a run.
pub(super) fn merged_isolation<'a>(
    parts: impl Iterator<Item = &'a IsolationFigures>,
) -> Option<IsolationFigures> {
    parts.copied().reduce(|sum, part| IsolationFigures {
        marked: sum.marked.saturating_add(part.marked),
        returned: sum.returned.saturating_add(part.returned),
        foreign: sum.foreign.saturating_add(part.foreign),
        other_runs: sum.other_runs.saturating_add(part.other_runs),
    })
}

fn second(second: &Second) -> SecondFigures {
    let latency = second.latency;
    let signals = &second.signals;
    SecondFigures {
        at_secs: secs(second.at),
        length_secs: secs(second.length),
        vus: second.vus,
        started: second.started,
        ok: second.ok,
        failed: second.failed,
        rate_limited: second.rate_limited,
        rate_per_sec: rate(second.ok + second.failed, second.length),
        p50_ms: latency.map(|latency| ms(latency.p50_ns)),
        p95_ms: latency.map(|latency| ms(latency.p95_ns)),
        p99_ms: latency.map(|latency| ms(latency.p99_ns)),
        max_ms: latency.map(|latency| ms(latency.max_ns)),
        dropped: second.dropped,
        in_flight_mean: signals.in_flight_mean.map(tidy),
        in_flight_max: signals.in_flight_max,
        busy_share: signals.busy_share.map(tidy),
        run_delay_share: signals.run_delay_share.map(tidy),
        turn_max_ms: ms(signals.turn_max_ns),
        lateness_p99_ms: signals.lateness_p99_ns.map(ms),
        generator_delay_p99_ms: signals.delay_p99_ns.map(ms),
        steal_share: signals.steal_share.map(tidy),
        throttled_share: signals.throttled_share.map(tidy),
        limited_by: signals.limit.map(validity::limited_by),
    }
}

fn stages(plan: &Plan, outcome: &RunOutcome) -> Vec<StageFigures> {
    let of_stage = |stage: &StageOutcome| {
        let measured = Part {
            elapsed: stage.length,
            has_intended_starts: plan.has_intended_starts(),
            examples: &stage.examples,
        };
        StageFigures {
            number: stage.number,
            at_secs: secs(stage.at),
            length_secs: secs(stage.length),
            load_unit: plan.load.unit(),
            load_from: tidy(stage.load_from),
            load_to: tidy(stage.load_to),
            figures: measured.calls(&stage.calls),
        }
    };
    outcome.stages.iter().map(of_stage).collect()
}

fn warm_up(plan: &Plan, outcome: &RunOutcome) -> Option<WarmUp> {
    let (length, recorded) = outcome.warm_up.as_ref()?;
    let measured = Part {
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

/// First what all figures are to be read with, then those of the config; the engine may
/// have passed these on already.
fn notices(
    plan: &Plan,
    outcome: &RunOutcome,
    of_waits: impl Iterator<Item = String>,
) -> Vec<String> {
    let mut notices: Vec<String> = of_waits.collect();
    notices.extend(plan.notices.iter().cloned());
    for notice in &outcome.notices {
        if !notices.contains(notice) {
            notices.push(notice.clone());
        }
    }
    notices
}

#[cfg(test)]
mod tests;
