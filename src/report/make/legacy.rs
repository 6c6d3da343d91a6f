//! The blocks that schema 1.1 had.

use std::collections::BTreeMap;

use serde_json::Value;

use super::figures::Part;
use crate::clock::Utc;
use crate::metrics::{FailureGroup, RowStats};
use crate::outcome::{BreakKind, LoadUnit, Rows, RunOutcome};
use crate::report::model::{
    BreakingPointFacts, CauseCount, ConfigFacts, Figures, Metrics, MetricsLatency,
    OperationFigures, ToolFigures, ToolLatency,
};
use crate::scenario::Plan;
use crate::units::{ms, secs, tidy};

pub(super) fn config(plan: &Plan, plan_json: &Value) -> ConfigFacts {
    let scenario = plan_json.get("scenario").and_then(Value::as_array);
    let whole_secs = plan.stop.duration.map_or(0, |duration| {
        duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
    });
    ConfigFacts {
        virtual_users: plan.vus_max(),
        duration_secs: whole_secs,
        timeout_ms: u64::try_from(plan.timeout.as_millis()).unwrap_or(u64::MAX),
        expected_interval_ms: 0,
        scenario: scenario.cloned().unwrap_or_default(),
    }
}

pub(in crate::report) fn metrics(totals: &Figures, operations: &[OperationFigures]) -> Metrics {
    let mut operation_counts = BTreeMap::new();
    let mut operation_errors = BTreeMap::new();
    for operation in operations {
        let (method, figures) = (&operation.method, &operation.figures);
        // Saturating, here and below: figures of a merge may come from a stranger.
        let add = |to: &mut BTreeMap<String, u64>, count: u64| {
            let sum = to.entry(method.clone()).or_default();
            *sum = sum.saturating_add(count);
        };
        add(&mut operation_counts, figures.ok + figures.failed);
        if figures.failed > 0 {
            add(&mut operation_errors, figures.failed);
        }
    }
    let ok = &totals.latency;
    let failed = totals.failed_latency.unwrap_or_default();
    Metrics {
        total_requests: totals.ok + totals.failed,
        success_count: totals.ok,
        error_count: totals.failed,
        // Numbers in schema 1.1, also where there were no requests.
        error_rate: totals.error_rate.unwrap_or(0.0),
        throughput_rps: totals.rate_per_sec.unwrap_or(0.0),
        latency: MetricsLatency {
            min_ms: ok.min_ms,
            mean_ms: ok.mean_ms,
            p50_ms: ok.p50_ms,
            p90_ms: ok.p90_ms,
            p95_ms: ok.p95_ms,
            p99_ms: ok.p99_ms,
            p99_9_ms: ok.p99_9_ms,
            max_ms: ok.max_ms,
            error_p50_ms: failed.p50_ms,
            error_p95_ms: failed.p95_ms,
            error_p99_ms: failed.p99_ms,
        },
        operation_counts,
        operation_errors,
    }
}

/// By the category's name in schema 1.1, which called it `connection`.
pub(in crate::report) fn errors(causes: &[CauseCount]) -> BTreeMap<String, u64> {
    let mut errors = BTreeMap::new();
    for cause in causes {
        let name = match cause.group == FailureGroup::Connect.id() {
            true => "connection",
            false => cause.group.as_str(),
        };
        let sum: &mut u64 = errors.entry(name.to_string()).or_default();
        *sum = sum.saturating_add(cause.count);
    }
    errors
}

/// By subject alone, as in schema 1.1: a tool and a prompt of the same name
/// are one entry. `operations` tells them apart.
pub(super) fn per_tool(measured: &Part<'_>, rows: Rows<'_>) -> BTreeMap<String, ToolFigures> {
    let mut by_name: BTreeMap<String, RowStats> = BTreeMap::new();
    for (row, stats) in rows.in_totals() {
        if let Some(subject) = &row.subject {
            by_name.entry(subject.clone()).or_default().merge(stats);
        }
    }
    let tool = |stats: RowStats| tool_figures(&measured.calls(&stats));
    by_name
        .into_iter()
        .map(|(name, stats)| (name, tool(stats)))
        .collect()
}

/// What schema 1.1 tells of a block.
pub(in crate::report) fn tool_figures(figures: &Figures) -> ToolFigures {
    let latency = &figures.latency;
    ToolFigures {
        total_requests: figures.ok + figures.failed,
        success_count: figures.ok,
        error_count: figures.failed,
        error_rate: figures.error_rate.unwrap_or(0.0),
        latency: ToolLatency {
            p50_ms: latency.p50_ms,
            p95_ms: latency.p95_ms,
            p99_ms: latency.p99_ms,
            min_ms: latency.min_ms,
            max_ms: latency.max_ms,
            mean_ms: latency.mean_ms,
        },
        errors: errors(&figures.failures),
    }
}

pub(super) fn breaking_point(plan: &Plan, outcome: &RunOutcome) -> BreakingPointFacts {
    let Some(point) = &outcome.breaking_point else {
        return BreakingPointFacts::default();
    };
    let unit = plan.load.unit();
    let at_ms = u64::try_from(point.at.as_millis()).unwrap_or(u64::MAX);
    let at = Utc::from_unix_ms(outcome.start.at.unix_ms().saturating_add(at_ms));
    let mut report = BreakingPointFacts {
        detected: true,
        // A cast from a float saturates.
        vus: point
            .load
            .filter(|_| unit == LoadUnit::Vus)
            .map(|load| load.round() as u32),
        detail: Some(point.evidence.clone()),
        timestamp: Some(at.rfc3339()),
        load_unit: point.load.map(|_| unit),
        load: point.load.map(tidy),
        last_good_load: point.last_good_load.map(tidy),
        at_secs: Some(secs(point.at)),
        noticed_at_secs: Some(secs(point.noticed_at)),
        ..BreakingPointFacts::default()
    };
    let reason = match point.how {
        BreakKind::Saturation { ceiling_per_second } => {
            report.ceiling_per_sec = Some(tidy(ceiling_per_second));
            "saturation"
        }
        BreakKind::Errors { share } => {
            report.error_rate = Some(tidy(share));
            "errors"
        }
        BreakKind::Latency { limit_ns, p99_ns } => {
            report.limit_ms = Some(ms(limit_ns));
            report.p99_ms = Some(ms(p99_ns));
            "latency"
        }
        BreakKind::Silence { silent } => {
            report.silent_secs = Some(secs(silent));
            "silence"
        }
    };
    report.reason = Some(reason.to_string());
    report
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;
