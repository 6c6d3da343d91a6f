//! A row for each operation, grouped by flow or method, and for the sessions; the flows;
//! and what went over the wire, where that is much.

use std::collections::HashMap;

use crate::report::model::{Figures, LatencyFigures, OperationFigures, Report, ServedFigures};
use crate::report::page::{
    OPERATION_COLUMNS, P50_NEEDS, P95_NEEDS, P99_NEEDS, Page, ms_text, rate_text,
};
use crate::report::table::{Cell, Table};
use crate::terminal::Role;
use crate::units::{format_count, format_percent};

/// Columns that give way on a narrow terminal, the first to go first.
const DISPENSABLE: [usize; 6] = [5, 2, 7, 4, 1, 3];

/// From this on, the largest answer is worth a table of bytes.
const LARGE_BYTES: u64 = 16 << 10;

/// Operations in the table of bytes, those that took most; the JSON has them all.
const BYTES_SHOWN: usize = 8;

/// Without thinking and waiting a flow takes less than this share of its time, or the
/// figures are not worth a row of their own.
const BUSY_SHARE: f64 = 0.99;

/// Calls by operation, then handshakes, closes, turns and steps of tasks.
pub(super) fn operations(page: &mut Page, report: &Report) {
    let mut table = Table::new(&OPERATION_COLUMNS).dispensable(&DISPENSABLE);
    for (population, group) in groups(&report.operations, |it| it.population.as_deref()) {
        let mut whole = report.populations.iter();
        if let Some(whole) = whole.find(|it| Some(it.name.as_str()) == population) {
            let name = Cell::of(Role::Strong, &whole.name);
            table.row(cells(page, name, &whole.figures));
        }
        calls(page, &mut table, group);
    }
    let begun = |figures: &&Figures| figures.started > 0;
    if let Some(figures) = report.handshake.as_ref().filter(begun) {
        table.row(cells(page, Cell::of(Role::Accent, "handshake"), figures));
    }
    if let Some(figures) = report.close.as_ref().filter(begun) {
        table.row(cells(page, Cell::of(Role::Accent, "session end"), figures));
    }
    let listen = report.listen.as_ref().map(|listen| &listen.opening);
    if let Some(figures) = listen.filter(begun) {
        table.row(cells(page, Cell::of(Role::Accent, "listen"), figures));
    }
    for (of, part) in report.beside_totals() {
        let name = format!("{of} {}", part.full_label());
        table.row(cells(page, Cell::of(Role::Accent, name), &part.figures));
    }
    page.gap();
    page.table(table);
}

/// Calls by flow or method.
fn calls(page: &mut Page, table: &mut Table, calls: Vec<&OperationFigures>) {
    for (flow, group) in groups(calls, |it| it.flow.as_deref()) {
        if let Some(flow) = flow {
            table.row(vec![Cell::of(Role::Accent, flow)]);
            for operation in group {
                let name = Cell::plain(format!("  {}", step_name(operation)));
                table.row(cells(page, name, &operation.figures));
            }
            continue;
        }
        for (method, group) in groups(group, |it| it.method.as_str()) {
            let is_named = |it: &&OperationFigures| it.name.is_some() || it.subject.is_some();
            if group.iter().any(is_named) {
                table.row(vec![Cell::of(Role::Accent, method)]);
            }
            for operation in group {
                let name = match operation.name.as_ref().or(operation.subject.as_ref()) {
                    Some(name) => Cell::plain(format!("  {name}")),
                    None => Cell::of(Role::Accent, method),
                };
                table.row(cells(page, name, &operation.figures));
            }
        }
    }
}

/// Iterations of each flow, with thinking and without.
pub(super) fn flows(page: &mut Page, report: &Report) {
    if report.flows.is_empty() {
        return;
    }
    let mut columns = OPERATION_COLUMNS;
    columns[0] = "flow";
    columns[1] = "iterations";
    let mut table = Table::new(&columns).dispensable(&DISPENSABLE);
    for flow in &report.flows {
        let name = Cell::of(Role::Accent, flow.full_name());
        table.row(cells(page, name, &flow.figures));
        let (whole, busy) = (flow.figures.latency.mean_ms, flow.busy.mean_ms);
        let share = busy.zip(whole).map(|(busy, whole)| busy / whole);
        if share.is_some_and(|share| share < BUSY_SHARE) {
            let name = Cell::plain("  without thinking");
            let mut row = vec![name, Cell::plain(""), Cell::plain(""), Cell::plain("")];
            row.extend(latencies(page, &flow.busy));
            table.row(row);
        }
    }
    page.gap();
    page.table(table);
}

/// Bytes of a call, where answers are large.
pub(super) fn bytes(page: &mut Page, report: &Report) {
    let some = report.operations.iter();
    let some = some.filter_map(|it| Some((it.full_label(), it.bytes?)));
    let mut rows: Vec<_> = some.collect();
    if !rows
        .iter()
        .any(|(_, bytes)| bytes.answer.max >= LARGE_BYTES)
    {
        return;
    }
    rows.sort_by_key(|(_, it)| std::cmp::Reverse(it.answer.total.saturating_add(it.request.total)));
    let headings = ["bytes a call", "request", "largest", "answer", "largest"];
    let mut table = Table::new(&headings).dispensable(&[2, 1]);
    for (label, bytes) in rows.iter().take(BYTES_SHOWN) {
        let mut row = vec![Cell::of(Role::Accent, label)];
        row.extend(bytes.texts().map(Cell::plain));
        table.row(row);
    }
    page.gap();
    page.table(table);
}

/// How answers came, where that was measured.
pub(super) fn answers(page: &mut Page, report: &Report) {
    let operations = report.operations.iter();
    let rows: Vec<_> = operations
        .filter_map(|it| Some((it.label.as_str(), it.answers?)))
        .collect();
    if rows.is_empty() {
        return;
    }
    let headings = [
        "answers (p50)",
        "first byte",
        "streams",
        "events",
        "first event",
        "first progress",
        "gap",
        "longest gap",
        "ended early",
    ];
    let mut table = Table::new(&headings).dispensable(&[8, 7, 2, 4]);
    for (label, answers) in rows {
        let mut time = |latency: Option<LatencyFigures>| match latency {
            None => Cell::plain("-"),
            Some(latency) => page.percentile(&latency, latency.p50_ms, P50_NEEDS),
        };
        let early = match answers.ended_early {
            0 => Cell::plain("0"),
            n => Cell::of(Role::Error, format_count(n)),
        };
        let events = answers.events.map(|it| format!("{:.1}", it.mean));
        table.row(vec![
            Cell::of(Role::Accent, label),
            time(answers.first_byte),
            Cell::plain(format_count(answers.streams)),
            Cell::plain(events.unwrap_or_else(|| "-".to_string())),
            time(answers.first_event),
            time(answers.first_progress),
            time(answers.gap),
            Cell::plain(ms_text(answers.gap.and_then(|gap| gap.max_ms))),
            early,
        ]);
    }
    page.gap();
    page.table(table);
}

/// Who served the calls, where several did.
pub(super) fn servers(page: &mut Page, report: &Report) {
    let addresses = report.addresses.iter();
    let addresses = addresses.filter_map(|it| Some((it.address.clone(), it.calls?)));
    let backends = report.backends.iter().map(|it| {
        let name = match (&it.name, it.is_rest) {
            (Some(name), _) => name.clone(),
            (None, true) => "all others".to_string(),
            (None, false) => "(not named)".to_string(),
        };
        (name, it.calls)
    });
    served(page, "address", addresses.collect());
    served(page, "served by", backends.collect());
}

fn served(page: &mut Page, what: &str, all: Vec<(String, ServedFigures)>) {
    /// The JSON has them all.
    const SHOWN: usize = 10;
    if all.is_empty() {
        return;
    }
    let headings = [what, "calls", "share", "errors", "sessions expired", "p95"];
    let mut table = Table::new(&headings).dispensable(&[2, 4]);
    for (name, calls) in all.iter().take(SHOWN) {
        let errors = match calls.failed {
            0 => Cell::plain("0%"),
            n => Cell::of(
                Role::Error,
                format_percent(n as f64 / calls.ended.max(1) as f64),
            ),
        };
        let share = Cell::plain(calls.share.map_or("-".to_string(), format_percent));
        let expired = match calls.sessions_expired {
            0 => Cell::plain("0"),
            n => Cell::of(Role::Error, format_count(n)),
        };
        let p95 = page.percentile(&calls.latency, calls.latency.p95_ms, P95_NEEDS);
        let name = Cell::of(Role::Accent, name);
        let ended = Cell::plain(format_count(calls.ended));
        table.row(vec![name, ended, share, errors, expired, p95]);
    }
    if all.len() > SHOWN {
        let more = format!("and {} more", all.len() - SHOWN);
        table.row(vec![Cell::of(Role::Dim, more)]);
    }
    page.gap();
    page.table(table);
}

/// What it is called in its flow.
fn step_name(operation: &OperationFigures) -> String {
    match (&operation.name, &operation.subject) {
        (Some(name), _) => name.clone(),
        (None, Some(subject)) => format!("{} {subject}", operation.method),
        (None, None) => operation.method.clone(),
    }
}

/// Those with the same key, in the order of the first of each.
fn groups<'r, K: std::hash::Hash + Eq + Copy>(
    operations: impl IntoIterator<Item = &'r OperationFigures>,
    key: impl Fn(&'r OperationFigures) -> K,
) -> Vec<(K, Vec<&'r OperationFigures>)> {
    let mut groups: Vec<(K, Vec<&OperationFigures>)> = Vec::new();
    let mut places: HashMap<K, usize> = HashMap::new();
    for operation in operations {
        let key = key(operation);
        let at = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, group)) => group.push(operation),
            None => groups.push((key, vec![operation])),
        }
    }
    groups
}

fn cells(page: &mut Page, name: Cell, figures: &Figures) -> Vec<Cell> {
    let ended = figures.ended();
    let errors = match (ended, figures.failed) {
        (0, _) => Cell::plain("-"),
        (_, 0) => Cell::plain("0%"),
        _ => Cell::of(
            Role::Error,
            format_percent(figures.error_rate.unwrap_or(0.0)),
        ),
    };
    let mut cells = vec![
        name,
        Cell::plain(format_count(ended)),
        Cell::plain(rate_text(figures.rate_per_sec)),
        errors,
    ];
    cells.extend(latencies(page, &figures.latency));
    cells
}

fn latencies(page: &mut Page, latency: &LatencyFigures) -> [Cell; 4] {
    [
        page.percentile(latency, latency.p50_ms, P50_NEEDS),
        page.percentile(latency, latency.p95_ms, P95_NEEDS),
        page.percentile(latency, latency.p99_ms, P99_NEEDS),
        Cell::plain(ms_text(latency.max_ms)),
    ]
}
