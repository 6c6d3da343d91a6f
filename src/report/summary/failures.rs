//! Failures by cause, each with an example.

use super::page::Page;
use crate::report::model::{Cause, Report};
use crate::terminal::{Align, Line, Role, pad};
use crate::units::{format_count, format_percent};

/// Causes shown; the JSON has them all.
const CAUSES_SHOWN: usize = 8;

/// The causes of failed calls, and apart from them those of the sessions.
pub(super) fn failures(page: &mut Page, report: &Report) {
    block(page, "failed calls by cause", &report.failures);
    if let Some(handshake) = &report.handshake {
        block(page, "failed handshakes by cause", &handshake.failures);
    }
    if let Some(close) = &report.close {
        block(page, "failed session ends by cause", &close.failures);
    }
}

fn block(page: &mut Page, title: &str, causes: &[Cause]) {
    if causes.is_empty() {
        return;
    }
    page.title(title);
    for cause in causes.iter().take(CAUSES_SHOWN) {
        let line = Line::of(
            Role::Error,
            format!("  {}", pad(&cause.id, 32, Align::Left)),
        )
        .add(Role::Plain, format!(" {:>11}", format_count(cause.count)))
        .add(Role::Dim, format!(" {:>7}", format_percent(cause.share)));
        page.push(line);
        if let Some(example) = cause.examples.first() {
            page.push(Line::of(Role::Dim, format!("    {example}")));
        }
    }
    let rest = causes.get(CAUSES_SHOWN..).unwrap_or_default();
    if !rest.is_empty() {
        let count: u64 = rest.iter().map(|cause| cause.count).sum();
        let words = format!(
            "  and {} of {} other causes",
            format_count(count),
            rest.len()
        );
        page.push(Line::of(Role::Dim, words));
    }
}
