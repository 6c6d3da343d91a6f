//! Two populations beside each other, as `compare` shows two runs.

use super::notes::paragraphs;
use crate::report::compare::{answer, table_of};
use crate::report::model::Report;
use crate::report::page::Page;
use crate::terminal::{Line, Role};

/// The answer, then each figure with its interval.
pub(super) fn ab(page: &mut Page, report: &Report) {
    let Some(outcome) = &report.ab else {
        return;
    };
    let name = |runs: &[crate::outcome::ComparedRun]| {
        runs.first().map_or(String::new(), |run| run.file.clone())
    };
    let (base, new) = (name(&outcome.base), name(&outcome.new));
    page.title(&format!("{new} beside {base}"));
    let words = format!("  {}", answer(outcome));
    page.push_wrapped(Line::of(Role::Strong, words), 2);
    table_of(page, outcome);
    let notices = outcome.notices.iter();
    paragraphs(page, notices.map(|text| ("notice", Role::Warning, text)));
}
