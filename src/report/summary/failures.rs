//! Failures by cause, each with where it was met and an example.

use std::collections::HashMap;

use crate::report::model::{CauseCount, OperationFigures, Report};
use crate::report::page::Page;
use crate::terminal::{Align, Line, Role, pad};
use crate::units::{format_count, format_percent};

/// Causes shown; the JSON has them all.
const CAUSES_SHOWN: usize = 8;

/// Operations shown of a cause, those that met it most; the JSON has them all.
const OPERATIONS_SHOWN: usize = 3;

/// The causes of failed calls, and apart from them those of the sessions.
pub(super) fn failures(page: &mut Page, report: &Report) {
    let places = places(&report.operations);
    block(page, "failed calls by cause", &report.failures, &places);
    let nowhere = HashMap::new();
    if let Some(handshake) = &report.handshake {
        let title = "failed handshakes by cause";
        block(page, title, &handshake.failures, &nowhere);
    }
    if let Some(close) = &report.close {
        let title = "failed session ends by cause";
        block(page, title, &close.failures, &nowhere);
    }
}

/// The operations that met each cause and how often, most first.
fn places(operations: &[OperationFigures]) -> HashMap<&str, Vec<(&str, u64)>> {
    let mut places: HashMap<&str, Vec<(&str, u64)>> = HashMap::new();
    for operation in operations {
        for cause in &operation.figures.failures {
            let place = (operation.label.as_str(), cause.count);
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
    places: &HashMap<&str, Vec<(&str, u64)>>,
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
    }
    let rest = causes.get(CAUSES_SHOWN..).unwrap_or_default();
    if !rest.is_empty() {
        let counts = rest.iter().map(|cause| cause.count);
        let count = counts.fold(0, u64::saturating_add);
        let words = format!(
            "  and {} of {} other causes",
            format_count(count),
            rest.len()
        );
        page.push_wrapped(Line::of(Role::Dim, words), 4);
    }
}

/// `at tools/call search (1,000), tools/call echo (200) and 12 at 4 others`. The
/// number of the only one is that of the cause.
fn where_met(page: &Page, met: &[(&str, u64)]) -> Line {
    let (shown, rest) = met.split_at(met.len().min(OPERATIONS_SHOWN));
    let names: Vec<&str> = shown.iter().map(|(label, _)| *label).collect();
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
