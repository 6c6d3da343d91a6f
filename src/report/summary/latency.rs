//! Latency of all calls: percentiles and a drawn distribution.

use crate::report::model::{LatencyFigures, LatencyFrom, Report};
use crate::report::page::{P50_NEEDS, P90_NEEDS, P95_NEEDS, P99_9_NEEDS, P99_NEEDS, Page, ms_text};
use crate::report::table::{Cell, Table};
use crate::terminal::{Line, Role};
use crate::units::{format_count, format_percent};

/// The percentiles of successful and failed calls.
pub(super) fn latency(page: &mut Page, report: &Report) {
    let totals = &report.totals;
    page.gap();
    if totals.ok == 0 && totals.failed_latency.is_none() {
        page.labelled(
            "latency",
            Line::of(Role::Warning, "no data: no call has ended"),
        );
        return;
    }
    let mut table = Table::new(&[
        "latency", "min", "p50", "p90", "p95", "p99", "p99.9", "max", "mean",
    ])
    .dispensable(&[8, 6, 1, 3, 4, 2, 7]);
    let headline = match totals.latency_from {
        LatencyFrom::Sent => "ok",
        LatencyFrom::IntendedStart => "response",
    };
    table.row(percentiles(page, headline, &totals.latency));
    if let Some(service) = &totals.service_latency {
        table.row(percentiles(page, "service", service));
    }
    if let Some(failed) = &totals.failed_latency {
        table.row(percentiles(page, "failed", failed));
    }
    page.table(table);
    if totals.service_latency.is_some() {
        let words = "response counts from the intended start, service from the first byte sent";
        page.push(Line::of(Role::Dim, words));
    }
}

fn percentiles(page: &mut Page, name: &str, latency: &LatencyFigures) -> Vec<Cell> {
    vec![
        Cell::plain(name),
        Cell::plain(ms_text(latency.min_ms)),
        page.percentile(latency, latency.p50_ms, P50_NEEDS),
        page.percentile(latency, latency.p90_ms, P90_NEEDS),
        page.percentile(latency, latency.p95_ms, P95_NEEDS),
        page.percentile(latency, latency.p99_ms, P99_NEEDS),
        page.percentile(latency, latency.p99_9_ms, P99_9_NEEDS),
        Cell::plain(ms_text(latency.max_ms)),
        Cell::plain(ms_text(latency.mean_ms)),
    ]
}

/// Columns of the longest bar.
const BAR_WIDTH_MAX: usize = 32;

/// A shorter one tells nothing.
const BAR_WIDTH_MIN: usize = 4;

/// Columns of what comes before and after a bar: two latencies, the number of
/// calls and their share.
const BESIDE_BAR: usize = 22 + 12 + 8;

/// A bar for each class of latencies.
pub(super) fn distribution(page: &mut Page, report: &Report) {
    let classes = &report.distribution;
    // One class says no more than the percentiles do.
    if classes.len() < 2 {
        return;
    }
    let room = page
        .columns()
        .unwrap_or(usize::MAX)
        .saturating_sub(BESIDE_BAR);
    if room < BAR_WIDTH_MIN {
        page.leave_out("distribution".to_string());
        return;
    }
    let bar_width = room.min(BAR_WIDTH_MAX);
    page.title("distribution of successful calls");
    let most = classes.iter().map(|class| class.count).max().unwrap_or(0);
    let counts = classes.iter().map(|class| class.count);
    let n = counts.fold(0, u64::saturating_add);
    for class in classes {
        let range = format!(
            "{:>8} to {:>8}  ",
            ms_text(Some(class.from_ms)),
            ms_text(Some(class.to_ms))
        );
        let share_of_most = class.count as f64 / most.max(1) as f64;
        let bar = page.drawing().bar(share_of_most, bar_width);
        let share = format_percent(class.count as f64 / n.max(1) as f64);
        let line = Line::of(Role::Plain, range)
            .add(Role::Accent, format!("{bar:<bar_width$}"))
            .add(Role::Plain, format!(" {:>11}", format_count(class.count)))
            .add(Role::Dim, format!(" {share:>7}"));
        page.push(line);
    }
}
