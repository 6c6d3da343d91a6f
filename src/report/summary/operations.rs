//! A row for each operation, grouped by flow or method, and for the sessions; the flows;
//! and what went over the wire, where that is much.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::str::FromStr;

use crate::error::choice;
use crate::report::model::{Figures, LatencyFigures, OperationFigures, Report, ServedFigures};
use crate::report::page::{
    OPERATION_COLUMNS, P50_NEEDS, P95_NEEDS, P99_NEEDS, Page, ms_text, rate_text,
};
use crate::report::summary::head::secs_text;
use crate::report::table::{Cell, Table};
use crate::terminal::{Line, Role};
use crate::units::{format_count, format_percent, plural};

/// Columns that give way on a narrow terminal, the first to go first.
const DISPENSABLE: [usize; 6] = [5, 2, 7, 4, 1, 3];

/// The same where the share of time comes after the name.
const DISPENSABLE_WITH_TIME: [usize; 7] = [1, 6, 3, 8, 5, 2, 4];

/// On a narrower terminal names and latencies tell more than the share of time, which the
/// order tells already.
const WIDTH_WITH_TIME: usize = 100;

/// From this on, the largest answer is worth a table of bytes.
const LARGE_BYTES: u64 = 16 << 10;

/// Operations in the table of bytes, those that took most; the JSON has them all.
const BYTES_SHOWN: usize = 8;

/// Without thinking and waiting a flow takes less than this share of its time, or the
/// figures are not worth a row of their own.
const BUSY_SHARE: f64 = 0.99;

/// By what operations are sorted, those with most of it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OperationOrder {
    /// The time that all their calls took together.
    #[default]
    Time,
    /// The 99th percentile of the latency.
    P99,
    /// Calls a second.
    Rate,
    /// The share of calls that failed.
    Errors,
    /// The name, in the order of the alphabet.
    Name,
}

/// The orders by name, as messages list them.
const ORDERS: [(&str, OperationOrder); 5] = [
    ("time", OperationOrder::Time),
    ("p99", OperationOrder::P99),
    ("rate", OperationOrder::Rate),
    ("errors", OperationOrder::Errors),
    ("name", OperationOrder::Name),
];

impl FromStr for OperationOrder {
    type Err = String;

    /// Reads a name.
    ///
    /// # Errors
    /// A message for the user that lists what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        choice(text, "a figure to sort by", &ORDERS)
    }
}

impl OperationOrder {
    /// What is large for those that come first; of a group, of all its operations.
    fn weight(self, group: &[&OperationFigures]) -> f64 {
        let of = group.iter().map(|operation| &operation.figures);
        match self {
            Self::Time => of.map(time_ms).sum(),
            Self::P99 => of.filter_map(|it| it.latency.p99_ms).fold(0.0, f64::max),
            Self::Rate => of.filter_map(|it| it.rate_per_sec).sum(),
            Self::Errors => of.filter_map(|it| it.error_rate).fold(0.0, f64::max),
            Self::Name => 0.0,
        }
    }

    /// Sorts groups, or single operations as groups of one. Of equals, those that took more
    /// time come first; where that is equal too, they stay as they are.
    fn sort<T>(
        self,
        all: &mut [T],
        group: impl Fn(&T) -> Vec<&OperationFigures>,
        name: impl Fn(&T) -> String,
    ) {
        match self {
            Self::Name => all.sort_by_cached_key(name),
            _ => {
                let weights = |it: &T| [self.weight(&group(it)), Self::Time.weight(&group(it))];
                all.sort_by(|a, b| {
                    let pairs = weights(b).into_iter().zip(weights(a));
                    let orders = pairs.map(|(b, a)| f64::total_cmp(&b, &a));
                    orders.fold(Ordering::Equal, Ordering::then)
                });
            }
        }
    }

    /// The calls of a report in this order, each on its own.
    pub(in crate::report) fn sorted(self, calls: &[OperationFigures]) -> Vec<&OperationFigures> {
        let mut calls: Vec<&OperationFigures> = calls.iter().collect();
        self.sort(&mut calls, |it| vec![it], |it| it.full_label());
        calls
    }
}

/// What the calls took, all together, in milliseconds: from the first byte sent.
fn time_ms(figures: &Figures) -> f64 {
    let ok = figures.service_latency.as_ref().unwrap_or(&figures.latency);
    let all = std::iter::once(ok).chain(&figures.failed_latency);
    all.map(|latency| latency.mean_ms.unwrap_or(0.0) * latency.count as f64)
        .sum()
}

/// A table of operations while it grows.
struct Operations<'a> {
    page: &'a mut Page,
    table: Table,
    order: OperationOrder,
    /// What all calls took; `None`: the shares of it are not shown.
    time_ms: Option<f64>,
}

/// Calls by operation, then handshakes, closes, turns and steps of tasks.
pub(super) fn operations(page: &mut Page, report: &Report, order: OperationOrder) {
    let all: f64 = report
        .operations
        .iter()
        .map(|it| time_ms(&it.figures))
        .sum();
    let is_wide = page
        .columns()
        .is_none_or(|columns| columns >= WIDTH_WITH_TIME);
    let is_told = all > 0.0 && report.operations.len() > 1 && is_wide;
    let time_ms = is_told.then_some(all);
    let table = match time_ms {
        None => Table::new(&OPERATION_COLUMNS).dispensable(&DISPENSABLE),
        Some(_) => {
            let mut columns = OPERATION_COLUMNS.to_vec();
            columns.insert(1, "time");
            Table::new(&columns).dispensable(&DISPENSABLE_WITH_TIME)
        }
    };
    let mut rows = Operations {
        page,
        table,
        order,
        time_ms,
    };
    for (population, group) in groups(&report.operations, |it| it.population.as_deref()) {
        let mut whole = report.populations.iter();
        if let Some(whole) = whole.find(|it| Some(it.name.as_str()) == population) {
            rows.row(Cell::of(Role::Strong, &whole.name), &whole.figures);
        }
        rows.calls(group);
    }
    let begun = |figures: &&Figures| figures.started > 0;
    if let Some(figures) = report.handshake.as_ref().filter(begun) {
        rows.row_beside(Cell::of(Role::Accent, "handshake"), figures);
    }
    if let Some(figures) = report.close.as_ref().filter(begun) {
        rows.row_beside(Cell::of(Role::Accent, "session end"), figures);
    }
    let listen = report.listen.as_ref().map(|listen| &listen.opening);
    if let Some(figures) = listen.filter(begun) {
        rows.row_beside(Cell::of(Role::Accent, "listen"), figures);
    }
    for (of, part) in report.beside_totals() {
        let name = format!("{of} {}", part.full_label());
        rows.row_beside(Cell::of(Role::Accent, name), &part.figures);
    }
    let table = rows.table;
    page.gap();
    page.table(table);
}

impl Operations<'_> {
    /// Calls by flow or method.
    fn calls(&mut self, calls: Vec<&OperationFigures>) {
        let order = self.order;
        let mut flows = groups(calls, |it| it.flow.as_deref());
        let name = |name: &Option<&str>| name.unwrap_or_default().to_string();
        order.sort(&mut flows, |(_, of)| of.clone(), |(flow, _)| name(flow));
        for (flow, mut group) in flows {
            if let Some(flow) = flow {
                self.table.row(vec![Cell::of(Role::Accent, flow)]);
                order.sort(&mut group, |it| vec![it], |it| step_name(it));
                for operation in group {
                    let name = Cell::plain(format!("  {}", step_name(operation)));
                    self.row(name, &operation.figures);
                }
                continue;
            }
            let mut methods = groups(group, |it| it.method.as_str());
            order.sort(&mut methods, |(_, of)| of.clone(), |(it, _)| it.to_string());
            for (method, mut group) in methods {
                let is_named = |it: &&OperationFigures| it.name.is_some() || it.subject.is_some();
                if group.iter().any(is_named) {
                    self.table.row(vec![Cell::of(Role::Accent, method)]);
                }
                order.sort(&mut group, |it| vec![it], |it| step_name(it));
                for operation in group {
                    let name = match operation.name.as_ref().or(operation.subject.as_ref()) {
                        Some(name) => Cell::plain(format!("  {name}")),
                        None => Cell::of(Role::Accent, method),
                    };
                    self.row(name, &operation.figures);
                }
            }
        }
    }

    /// Of calls, which share the time.
    fn row(&mut self, name: Cell, figures: &Figures) {
        let share = self
            .time_ms
            .map(|all| format_percent(time_ms(figures) / all));
        self.push(name, share, figures);
    }

    /// Of what is not a call.
    fn row_beside(&mut self, name: Cell, figures: &Figures) {
        let share = self.time_ms.map(|_| String::new());
        self.push(name, share, figures);
    }

    fn push(&mut self, name: Cell, share: Option<String>, figures: &Figures) {
        let mut row = cells(self.page, name, figures);
        if let Some(share) = share {
            row.insert(1, Cell::plain(share));
        }
        self.table.row(row);
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

/// Operations whose slowest calls are shown, those with the slowest; the JSON has all.
const SLOWEST_SHOWN: usize = 4;

/// The slowest call of each operation, and where its time went; of the first ones all that
/// are kept.
pub(super) fn slowest(page: &mut Page, report: &Report) {
    let mut operations: Vec<&OperationFigures> = report
        .operations
        .iter()
        .filter(|it| !it.slowest.is_empty())
        .collect();
    let slowest_ms = |it: &OperationFigures| {
        let all = it.slowest.iter().map(|call| call.latency_ms);
        all.fold(0.0, f64::max)
    };
    operations.sort_by(|a, b| f64::total_cmp(&slowest_ms(b), &slowest_ms(a)));
    let n_more = operations.len().saturating_sub(SLOWEST_SHOWN);
    operations.truncate(SLOWEST_SHOWN);
    let headings = [
        "slowest calls",
        "at",
        "user",
        "took",
        "queue",
        "connect",
        "send",
        "wait",
        "read",
    ];
    let mut table = Table::new(&headings).dispensable(&[6, 4, 2, 8, 5, 1]);
    // With one operation there is room for all of its calls.
    let n_each = if operations.len() > 1 { 1 } else { usize::MAX };
    let mut traces = Vec::new();
    let some = |ms: Option<f64>| Cell::plain(ms_text(ms));
    for operation in &operations {
        for call in operation.slowest.iter().take(n_each) {
            table.row(vec![
                Cell::of(Role::Accent, operation.full_label()),
                Cell::plain(secs_text(call.at_secs)),
                Cell::plain(format_count(call.user)),
                Cell::of(Role::Strong, ms_text(Some(call.latency_ms))),
                some(call.queue_ms),
                some(Some(call.connect_ms)),
                some(Some(call.send_ms)),
                some(Some(call.wait_ms)),
                some(call.read_ms),
            ]);
            traces.extend(call.trace_id.as_ref().map(|id| (call.latency_ms, id)));
        }
    }
    if operations.is_empty() {
        return;
    }
    if n_more > 0 {
        let words = plural(n_more as u64, "more operation", "more operations");
        table.row(vec![Cell::of(Role::Dim, format!("  and {words}"))]);
    }
    page.gap();
    page.table(table);
    // A trace's id is looked for elsewhere: whole, on a line of its own.
    for (latency_ms, id) in traces {
        let line = Line::of(
            Role::Dim,
            format!("  trace of the {}: ", ms_text(Some(latency_ms))),
        );
        page.push(line.add(Role::Plain, id));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::SlowCallFigures;
    use crate::report::samples::{busy_outcome, plan, report};
    use crate::report::{SummaryOptions, summary};

    #[test]
    fn the_slowest_calls_are_the_slowest_whatever_takes_most_time() {
        let mut report = report(&plan(), &busy_outcome());
        report.operations.truncate(1);
        let called = |n: u32| {
            let mut operation = report.operations[0].clone();
            operation.label = format!("tool-{n}");
            // The rarer, the slower.
            operation.figures.latency.count = 1_000_000 / 10_u64.pow(n);
            operation.slowest = vec![SlowCallFigures {
                at_secs: 1.0,
                user: 1,
                latency_ms: f64::from(n),
                queue_ms: None,
                connect_ms: 0.0,
                send_ms: 0.0,
                wait_ms: f64::from(n),
                read_ms: None,
                trace_id: None,
            }];
            operation
        };
        report.operations = (0..6).map(called).collect();
        let lines = summary(&report, &SummaryOptions::endless());
        let lines = lines.iter().map(Line::text);
        let lines = lines.skip_while(|line| !line.starts_with("slowest calls"));
        let names: Vec<String> = lines
            .skip(1)
            .take(5)
            .map(|line| {
                line.split("  ")
                    .find(|it| !it.is_empty())
                    .unwrap_or("")
                    .to_string()
            })
            .collect();
        assert_eq!(
            names,
            [
                "tool-5",
                "tool-4",
                "tool-3",
                "tool-2",
                "and 2 more operations"
            ]
        );
    }

    #[test]
    fn of_equals_those_that_took_more_time_come_first() {
        let mut operations = report(&plan(), &busy_outcome()).operations;
        operations.truncate(1);
        let called = |name: &str, errors: f64, mean_ms: f64| {
            let mut operation = operations[0].clone();
            operation.name = Some(name.to_string());
            operation.label = name.to_string();
            operation.figures.error_rate = Some(errors);
            operation.figures.latency.count = 10;
            operation.figures.latency.mean_ms = Some(mean_ms);
            operation.figures.service_latency = None;
            operation.figures.failed_latency = None;
            operation
        };
        let calls = [
            called("quick", 0.0, 1.0),
            called("slow", 0.0, 9.0),
            called("broken", 0.5, 2.0),
            called("as slow", 0.0, 9.0),
        ];
        let check = |order: OperationOrder, expected: [&str; 4]| {
            let found = order.sorted(&calls);
            let found: Vec<_> = found.iter().filter_map(|it| it.name.as_deref()).collect();
            assert_eq!(found, expected, "{order:?}");
        };
        check(
            OperationOrder::Errors,
            ["broken", "slow", "as slow", "quick"],
        );
        check(OperationOrder::Time, ["slow", "as slow", "broken", "quick"]);
        check(OperationOrder::Name, ["as slow", "broken", "quick", "slow"]);
    }
}
