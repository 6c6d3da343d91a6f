//! Failures by cause, each with where it was met and an example.

use std::collections::HashMap;

use crate::report::measure::unchecked_text;
use crate::report::model::{CauseCount, ExchangeFigures, OperationFigures, Report};
use crate::report::page::Page;
use crate::terminal::{Align, Line, Role, pad};
use crate::units::{format_count, format_percent, plural};

/// Causes shown; the JSON has them all.
const CAUSES_SHOWN: usize = 8;

/// Characters shown of an exchange's request, and of its answer; the JSON has more.
const EXCERPT_CHARS: usize = 300;

/// Reasons shown for which answers were not checked; the JSON has them all.
const UNCHECKED_SHOWN: usize = 8;

/// Operations shown of a cause, those that met it most; the JSON has them all.
const OPERATIONS_SHOWN: usize = 3;

/// The causes of failed calls, and apart from them those of the sessions.
pub(super) fn failures(page: &mut Page, report: &Report) {
    let places = places(&report.operations);
    let evidence = &report.evidence;
    let title = "failed calls by cause";
    block(page, title, &report.failures, &places, evidence);
    let nowhere = HashMap::new();
    if let Some(handshake) = &report.handshake {
        let title = "failed handshakes by cause";
        block(page, title, &handshake.failures, &nowhere, &[]);
    }
    if let Some(close) = &report.close {
        let title = "failed session ends by cause";
        block(page, title, &close.failures, &nowhere, &[]);
    }
    if let Some(listen) = &report.listen {
        let title = "listening streams that could not be opened by cause";
        block(page, title, &listen.opening.failures, &nowhere, &[]);
        let title = "listening streams that broke by cause";
        block(page, title, &listen.broken_by, &nowhere, &[]);
    }
}

/// Answers that could not be looked at: they are no failures, and no proof of success.
pub(super) fn unchecked(page: &mut Page, report: &Report) {
    if report.unchecked.is_empty() {
        return;
    }
    page.title("answers that were not checked");
    for it in report.unchecked.iter().take(UNCHECKED_SHOWN) {
        let words = format!("  {}", unchecked_text(it));
        page.push_wrapped(Line::of(Role::Warning, words), 4);
    }
    let n_more = report.unchecked.len().saturating_sub(UNCHECKED_SHOWN);
    if n_more > 0 {
        let words = format!(
            "  and {} more, in the JSON report",
            format_count(n_more as u64)
        );
        page.push_wrapped(Line::of(Role::Dim, words), 4);
    }
}

/// The operations that met each cause and how often, most first.
pub(in crate::report) fn places(
    operations: &[OperationFigures],
) -> HashMap<&str, Vec<(String, u64)>> {
    let mut places: HashMap<&str, Vec<(String, u64)>> = HashMap::new();
    for operation in operations {
        for cause in &operation.figures.failures {
            let place = (operation.full_label(), cause.count);
            places.entry(&cause.id).or_default().push(place);
        }
    }
    for met in places.values_mut() {
        // Of equals the first of the plan stays first.
        met.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    }
    places
}

fn block(
    page: &mut Page,
    title: &str,
    causes: &[CauseCount],
    places: &HashMap<&str, Vec<(String, u64)>>,
    evidence: &[ExchangeFigures],
) {
    if causes.is_empty() {
        return;
    }
    page.title(title);
    let shown = &causes[..causes.len().min(CAUSES_SHOWN)];
    // As wide as on any terminal but a narrow one.
    let id_width = page.width().saturating_sub(2 + 12 + 8).clamp(8, 32);
    for cause in shown {
        let line = Line::of(
            Role::Error,
            format!("  {}", pad(&cause.id, id_width, Align::Left)),
        )
        .add(Role::Plain, format!(" {:>11}", format_count(cause.count)))
        .add(Role::Dim, format!(" {:>7}", format_percent(cause.share)));
        page.push_wrapped(line, 4);
        if let Some(met) = places.get(cause.id.as_str()) {
            page.push_wrapped(where_met(page, met), 6);
        }
        if let Some(example) = cause.examples.first() {
            page.push_wrapped(Line::of(Role::Dim, format!("    {example}")), 4);
        }
        // One is enough to begin with.
        if let Some(exchange) = evidence.iter().find(|it| it.cause == cause.id) {
            let texts = [("sent", &exchange.request), ("got", &exchange.answer)];
            for (what, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
                let excerpt = excerpt(text);
                page.push_wrapped(Line::of(Role::Dim, format!("    {what}: {excerpt}")), 6);
            }
            if let Some(id) = &exchange.trace_id {
                page.push_wrapped(Line::of(Role::Dim, format!("    trace: {id}")), 6);
            }
        }
    }
    let rest = causes.get(CAUSES_SHOWN..).unwrap_or_default();
    if !rest.is_empty() {
        let counts = rest.iter().map(|cause| cause.count);
        let count = counts.fold(0, u64::saturating_add);
        let causes = plural(rest.len() as u64, "other cause", "other causes");
        let words = format!("  and {} of {causes}", format_count(count));
        page.push_wrapped(Line::of(Role::Dim, words), 4);
    }
}

/// `at tools/call search (1,000), tools/call echo (200) and 12 at 4 others`. The
/// number of the only one is that of the cause.
fn where_met(page: &Page, met: &[(String, u64)]) -> Line {
    let (shown, rest) = met.split_at(met.len().min(OPERATIONS_SHOWN));
    let names: Vec<&str> = shown.iter().map(|(label, _)| label.as_str()).collect();
    let mut line = Line::of(Role::Plain, "    at ");
    for (i, (name, (_, count))) in page.names(&names).iter().zip(shown).enumerate() {
        if i > 0 {
            line = line.add(Role::Plain, ", ");
        }
        line = line.add(Role::Accent, name);
        if met.len() > 1 {
            line = line.add(Role::Plain, format!(" ({})", format_count(*count)));
        }
    }
    if !rest.is_empty() {
        let counts = rest.iter().map(|(_, count)| *count);
        let count = counts.fold(0, u64::saturating_add);
        let words = format!(" and {} at {} others", format_count(count), rest.len());
        line = line.add(Role::Plain, words);
    }
    line
}

fn excerpt(text: &str) -> String {
    let head: String = text.chars().take(EXCERPT_CHARS).collect();
    match head.len() < text.len() && !head.ends_with('…') {
        true => head + "…",
        false => head,
    }
}
