//! The summary at the end of a run, as lines of text: the conclusion first, then what
//! it is drawn from, what was run, and at the end how far it is to be trusted.
//!
//! Made from the report alone, one function a block, all numbers through
//! `units`. It reads without colour. On a terminal no line is wider than it is:
//! sentences are wrapped, names shortened where they differ, and columns left
//! out in an order that each table states (`table.rs`). In files and pipes
//! nothing is cut.
//!
//! A percentile of too few calls is marked with `~`: below 1 ÷ (1 − q) of them
//! (100 for p99) it is no more than the maximum under another name.

mod ab;
pub(super) mod conclusion;
pub(super) mod failures;
pub(super) mod head;
mod latency;
mod listening;
pub(super) mod notes;
mod operations;
mod over_time;
mod probe;
mod stages;
mod thresholds;
pub(super) mod verdict;

use super::model::Report;

use crate::report::page::Page;

pub(super) use conclusion::conclusion;
pub use operations::OperationOrder;

/// Lays the whole summary out on a page.
pub(super) fn summary(
    page: &mut Page,
    report: &Report,
    report_path: Option<&str>,
    order: OperationOrder,
) {
    page.push(conclusion(report));
    head::waited(page, report);
    thresholds::thresholds(page, report);
    head::totals(page, report);
    listening::listening(page, report);
    latency::latency(page, report);
    operations::operations(page, report, order);
    operations::flows(page, report);
    ab::ab(page, report);
    operations::slowest(page, report);
    operations::bytes(page, report);
    operations::answers(page, report);
    operations::servers(page, report);
    failures::failures(page, report);
    failures::unchecked(page, report);
    over_time::over_time(page, report);
    latency::distribution(page, report);
    probe::probe(page, report);
    stages::stages(page, report);
    stages::warm_up(page, report);
    stages::breaking_point(page, report);
    head::target_and_load(page, report);
    head::load_generator(page, report);
    verdict::verdict(page, &report.verdict);
    verdict::reasons(page, &report.verdict);
    notes::notes(page, report);
    notes::rough_percentiles(page);
    notes::left_out(page);
    notes::report_path(page, report_path);
}

#[cfg(test)]
mod tests;
