//! What is told of flows, and of answers that were looked at.

use std::collections::HashMap;

use super::figures::{Part, trace_text};
use crate::metrics::RowStats;
use crate::outcome::{Row, RowKind, Rows, RunOutcome};
use crate::report::model::{ExchangeFigures, FlowFigures, UncheckedFigures};

/// The flows, in the order of their rows.
pub(super) fn flows(measured: &Part<'_>, rows: Rows<'_>) -> Vec<FlowFigures> {
    type Whose<'r> = (&'r Option<String>, &'r Option<String>);
    let busy: HashMap<Whose<'_>, &RowStats> = rows
        .of(RowKind::FlowBusy)
        .map(|(row, stats)| ((&row.flow, &row.population), stats))
        .collect();
    let none = RowStats::default();
    let flow = |(row, stats): (&Row, &RowStats)| FlowFigures {
        name: row.flow.clone().unwrap_or_default(),
        population: row.population.clone(),
        figures: measured.calls(stats),
        busy: measured
            .calls(
                busy.get(&(&row.flow, &row.population))
                    .copied()
                    .unwrap_or(&none),
            )
            .latency,
    };
    rows.of(RowKind::Flow).map(flow).collect()
}

/// Operation by operation, the most frequent reason first.
pub(super) fn unchecked(rows: Rows<'_>) -> Vec<UncheckedFigures> {
    let mut all = Vec::new();
    for (row, stats) in rows.in_totals() {
        let mut of_row = stats.unchecked.clone();
        of_row.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
        all.extend(of_row.into_iter().map(|(reason, count)| UncheckedFigures {
            operation: row.full_label(),
            reason: reason.to_string(),
            count,
        }));
    }
    all
}

/// The exchanges kept, in the order in which they came.
pub(super) fn evidence(outcome: &RunOutcome) -> Vec<ExchangeFigures> {
    let rows = &outcome.start.rows;
    let exchanges = outcome.totals.violations.all().iter();
    let exchange = exchanges.filter_map(|it| {
        Some(ExchangeFigures {
            operation: rows.get(it.row)?.full_label(),
            cause: it.failure.id(),
            message: it.message.clone(),
            request: it.request.clone(),
            answer: it.answer.clone(),
            trace_id: it.trace.map(trace_text),
        })
    });
    exchange.collect()
}
