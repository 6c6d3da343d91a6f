//! The report of a comparison: JSON and summary, made from stored reports.
//!
//! [`sample`] takes from a run's report what is compared, [`history()`] finds earlier
//! runs of a plan, [`build_comparison`] makes the report of what was decided. The text
//! is made from that report alone. Start with [`ComparisonReport`].

mod history;
pub(super) mod model;
mod samples;
mod summary;
mod words;

pub use history::{HISTORY_RUNS_MAX, History, history};
pub use model::ComparisonReport;
pub use samples::{sample, whole};
pub(super) use summary::{comparison_summary, is_told, table_of};
pub(super) use words::{
    answer, change, columns, figure_name, figure_text, interval, row_name, value,
};

use super::envelope::{BuildInfo, ReportKind};
use crate::outcome::ComparisonOutcome;

/// What the user wishes to be told of, and not failed by, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComparisonWish {
    /// What is worse does not fail.
    pub warn_only: bool,
    /// Not enough data fails.
    pub fail_on_unclear: bool,
}

/// Makes the report. `objections` is what speaks against comparing these runs, and did
/// not keep the user from it.
pub fn build_comparison(
    outcome: ComparisonOutcome,
    objections: Vec<String>,
    wish: ComparisonWish,
    info: &BuildInfo,
) -> ComparisonReport {
    ComparisonReport {
        schema_version: ReportKind::Comparison.schema_version().to_string(),
        kind: ReportKind::Comparison.id().to_string(),
        timestamp: info.finished_at.rfc3339(),
        answer: words::answer(&outcome),
        warn_only: wish.warn_only,
        fail_on_unclear: wish.fail_on_unclear,
        objections,
        comparison: outcome,
        version: info.version.clone(),
        command_line: info.command_line.clone(),
    }
}
