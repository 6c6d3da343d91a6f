//! Notices, advice, the legend, and where the report is.

use crate::report::model::Report;
use crate::report::page::Page;
use crate::terminal::{Line, Role};

/// What the user should know, and what to try.
pub(super) fn notes(page: &mut Page, report: &Report) {
    let notices = report
        .notices
        .iter()
        .map(|text| ("notice", Role::Warning, text));
    let advice = report
        .advice
        .iter()
        .map(|note| ("hint", Role::Hint, &note.text));
    paragraphs(page, notices.chain(advice));
}

/// `label: text` each, wrapped and set in.
pub(in crate::report) fn paragraphs<'a>(
    page: &mut Page,
    texts: impl Iterator<Item = (&'a str, Role, &'a String)>,
) {
    for (i, (label, role, text)) in texts.enumerate() {
        if i == 0 {
            page.gap();
        }
        let prefix = format!("{label}: ");
        let indent = prefix.len();
        let parts = page.wrap(text, page.width().saturating_sub(indent));
        for (k, part) in parts.iter().enumerate() {
            let line = match k {
                0 => Line::of(role, &prefix),
                _ => Line::of(Role::Plain, " ".repeat(indent)),
            };
            page.push(line.add(Role::Plain, part));
        }
    }
}

/// What `~` means, where it was used.
pub(super) fn rough_percentiles(page: &mut Page) {
    if page.has_rough() {
        page.gap();
        let words = "~ too few requests for that percentile (p95 needs 20, p99 100, p99.9 1,000)";
        page.push(Line::of(Role::Dim, words));
    }
}

/// What there was no room for.
pub(in crate::report) fn left_out(page: &mut Page) {
    if !page.left_out().is_empty() {
        page.gap();
        let columns = page.columns().unwrap_or_default();
        let what = page.left_out().join(", ");
        let words = format!("no room in {columns} columns for: {what}");
        page.push(Line::of(Role::Dim, words));
    }
}

/// Where the JSON report is.
pub(super) fn report_path(page: &mut Page, path: Option<&str>) {
    if let Some(path) = path {
        page.gap();
        // A path that is cut cannot be copied.
        page.push_whole(Line::of(Role::Dim, "report: ").add(Role::Accent, path));
    }
}
