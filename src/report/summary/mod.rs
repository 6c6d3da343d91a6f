//! The summary at the end of a run, as lines of text.
//!
//! Made from the report alone, one function a block, all numbers through
//! `units`. It reads without colour. On a terminal no line is wider than it is:
//! sentences are wrapped, names shortened where they differ, and columns left
//! out in an order that each table states (`table.rs`). In files and pipes
//! nothing is cut.
//!
//! A percentile of too few calls is marked with `~`: below 1 ÷ (1 − q) of them
//! (100 for p99) it is no more than the maximum under another name.

mod failures;
pub(super) mod head;
mod latency;
pub(super) mod notes;
mod operations;
mod probe;
mod stages;
pub(super) mod verdict;

use super::model::Report;
use crate::terminal::{Layout, Line};

use crate::report::page::Page;

/// What the summary depends on beside the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryOptions {
    /// What it is laid out for.
    pub layout: Layout,
    /// Where the JSON report was written, as the user would name it.
    pub report_path: Option<String>,
}

/// The whole summary.
pub fn summary(report: &Report, options: &SummaryOptions) -> Vec<Line> {
    let mut page = Page::new(options.layout);
    head::target_and_load(&mut page, report);
    verdict::verdict(&mut page, &report.verdict);
    head::totals(&mut page, report);
    latency::latency(&mut page, report);
    latency::distribution(&mut page, report);
    probe::probe(&mut page, report);
    operations::operations(&mut page, report);
    failures::failures(&mut page, report);
    stages::stages(&mut page, report);
    stages::warm_up(&mut page, report);
    stages::breaking_point(&mut page, report);
    verdict::reasons(&mut page, &report.verdict);
    notes::notes(&mut page, report);
    notes::rough_percentiles(&mut page);
    notes::left_out(&mut page);
    notes::report_path(&mut page, options.report_path.as_deref());
    page.into_lines()
}

#[cfg(test)]
mod tests;
