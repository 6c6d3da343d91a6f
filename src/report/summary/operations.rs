//! A row for each operation, grouped by method, and for the sessions.

use crate::report::model::{Figures, OperationFigures, Report};
use crate::report::page::{
    OPERATION_COLUMNS, P50_NEEDS, P95_NEEDS, P99_NEEDS, Page, ms_text, rate_text,
};
use crate::report::table::{Cell, Table};
use crate::terminal::Role;
use crate::units::{format_count, format_percent};

/// Calls by operation, then handshakes, closes and turns.
pub(super) fn operations(page: &mut Page, report: &Report) {
    let mut table = Table::new(&OPERATION_COLUMNS).dispensable(&[5, 2, 7, 4, 1, 3]);
    for method in methods(&report.operations) {
        let of_method = || report.operations.iter().filter(|op| op.method == method);
        if of_method().any(|operation| operation.subject.is_some()) {
            table.row(vec![Cell::of(Role::Accent, method)]);
        }
        for operation in of_method() {
            let name = match &operation.subject {
                Some(subject) => Cell::plain(format!("  {subject}")),
                None => Cell::of(Role::Accent, method),
            };
            table.row(cells(page, name, &operation.figures));
        }
    }
    let begun = |figures: &&Figures| figures.started > 0;
    if let Some(figures) = report.handshake.as_ref().filter(begun) {
        table.row(cells(page, Cell::of(Role::Accent, "handshake"), figures));
    }
    if let Some(figures) = report.close.as_ref().filter(begun) {
        table.row(cells(page, Cell::of(Role::Accent, "session end"), figures));
    }
    for turn in &report.turns {
        let name = format!("turn of {}", turn.label);
        table.row(cells(page, Cell::of(Role::Accent, name), &turn.figures));
    }
    page.gap();
    page.table(table);
}

/// The methods in the order of their first operation.
fn methods(operations: &[OperationFigures]) -> Vec<&str> {
    let mut methods: Vec<&str> = Vec::new();
    for operation in operations {
        if !methods.contains(&operation.method.as_str()) {
            methods.push(&operation.method);
        }
    }
    methods
}

fn cells(page: &mut Page, name: Cell, figures: &Figures) -> Vec<Cell> {
    let ended = figures.ended();
    let latency = &figures.latency;
    let errors = match (ended, figures.failed) {
        (0, _) => Cell::plain("-"),
        (_, 0) => Cell::plain("0%"),
        _ => Cell::of(
            Role::Error,
            format_percent(figures.error_rate.unwrap_or(0.0)),
        ),
    };
    vec![
        name,
        Cell::plain(format_count(ended)),
        Cell::plain(rate_text(figures.rate_per_sec)),
        errors,
        page.percentile(latency, latency.p50_ms, P50_NEEDS),
        page.percentile(latency, latency.p95_ms, P95_NEEDS),
        page.percentile(latency, latency.p99_ms, P99_NEEDS),
        Cell::plain(ms_text(latency.max_ms)),
    ]
}
