//! Latency of all calls: percentiles and a drawn distribution.

use super::page::{P50_NEEDS, P90_NEEDS, P95_NEEDS, P99_9_NEEDS, P99_NEEDS, Page, ms_text};
use super::table::{Cell, Table};
use crate::report::model::{Latency, LatencyFrom, Report};
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
    ]);
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
    for line in table.into_lines(page.width()) {
        page.push(line);
    }
    if totals.service_latency.is_some() {
        let words = "response counts from the intended start, service from the first byte sent";
        page.push(Line::of(Role::Dim, words));
    }
}

fn percentiles(page: &mut Page, name: &str, latency: &Latency) -> Vec<Cell> {
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
const BAR_WIDTH: usize = 32;

/// A bar for each class of latencies.
pub(super) fn distribution(page: &mut Page, report: &Report) {
    let classes = &report.distribution;
    // One class says no more than the percentiles do.
    if classes.len() < 2 {
        return;
    }
    page.title("distribution of successful calls");
    let most = classes.iter().map(|class| class.count).max().unwrap_or(0);
    let n: u64 = classes.iter().map(|class| class.count).sum();
    for class in classes {
        let range = format!(
            "{:>8} to {:>8}  ",
            ms_text(Some(class.from_ms)),
            ms_text(Some(class.to_ms))
        );
        let bar = bar(class.count, most);
        let share = format_percent(class.count as f64 / n.max(1) as f64);
        let line = Line::of(Role::Plain, range)
            .add(Role::Accent, format!("{bar:<BAR_WIDTH$}"))
            .add(Role::Plain, format!(" {:>11}", format_count(class.count)))
            .add(Role::Dim, format!(" {share:>7}"));
        page.push(line);
    }
}

/// A bar in eighths of a column. Whatever occurred shows.
fn bar(count: u64, most: u64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = count as f64 / most.max(1) as f64 * (BAR_WIDTH * 8) as f64;
    let eighths = (eighths.round() as usize)
        .min(BAR_WIDTH * 8)
        .max(usize::from(count > 0));
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_share() {
        let check = |count, most, expected: &str| assert_eq!(bar(count, most), expected);
        check(0, 10, "");
        check(0, 0, "");
        check(1, 1_000_000, "▏");
        check(1, 32, "█");
        check(3, 64, "█▌");
        check(7, 7, &"█".repeat(BAR_WIDTH));
    }
}
