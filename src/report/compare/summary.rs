//! The summary of a comparison: the answer first, then all figures in one table.

use super::model::ComparisonReport;
use super::words::{change, columns, figure_name, interval, margin, row_name, rows_told, value};
use crate::outcome::{
    ChangeVerdict, ComparedFigure, ComparedRun, ComparisonMethod, ComparisonOutcome,
    ComparisonVerdict, RUNS_AS_UNITS,
};
use crate::report::page::Page;
use crate::report::summary::notes::{left_out, paragraphs};
use crate::report::table::{Cell, Table};
use crate::terminal::{Line, Role};
use crate::units::{few_of, format_latency, format_percent, ns_of_ms, plural};

/// Rows whose reasons are told; the others have theirs in the JSON.
const REASONS_MAX: usize = 8;

/// Names of rows without a verdict that are told.
const UNDECIDED_MAX: usize = 3;

/// Names of one side's operations that are told.
const ALONE_MAX: usize = 10;

/// The whole summary.
pub(in crate::report) fn comparison_summary(
    page: &mut Page,
    report: &ComparisonReport,
    report_path: Option<&str>,
) {
    let outcome = &report.comparison;
    let role = role_of(outcome.verdict);
    page.labelled_text("answer", role, &report.answer);
    page.labelled_text("base", Role::Plain, &runs(&outcome.base));
    page.labelled_text("new", Role::Plain, &runs(&outcome.new));
    page.labelled_text("compared", Role::Plain, &compared(outcome));
    page.gap();
    table_of(page, outcome);
    let notices = report.objections.iter().chain(&outcome.notices);
    paragraphs(page, notices.map(|text| ("notice", Role::Warning, text)));
    left_out(page);
    page.report_path(report_path);
    page.end_with(&Line::of(role, &report.answer));
}

fn role_of(verdict: ComparisonVerdict) -> Role {
    match verdict {
        ComparisonVerdict::Worse => Role::Error,
        ComparisonVerdict::Unclear | ComparisonVerdict::Undecided => Role::Warning,
        ComparisonVerdict::Same | ComparisonVerdict::NotWorse => Role::Success,
    }
}

/// `base.json, of 2026-11-26T12:00:00Z`.
fn runs(runs: &[ComparedRun]) -> String {
    let runs = runs.iter().map(|run| {
        let at = run.started_at.get(..19).unwrap_or(&run.started_at);
        format!("{}, of {}", run.file, at.replace('T', " "))
    });
    runs.collect::<Vec<_>>().join("; ")
}

fn compared(outcome: &ComparisonOutcome) -> String {
    let by = match outcome.method {
        ComparisonMethod::Pairs => "one run, from pair to pair of batches".to_string(),
        ComparisonMethod::Batches => "one run a side, from batch to batch".to_string(),
        ComparisonMethod::Runs => {
            let n = |runs: &[ComparedRun]| plural(runs.len() as u64, "run", "runs");
            let by = match outcome.base.len().min(outcome.new.len()) {
                0..RUNS_AS_UNITS if outcome.steady.is_some() => {
                    "from batch to batch, and what the runs of a side differ by is added"
                }
                _ => "from run to run",
            };
            format!("{} with {}, {by}", n(&outcome.base), n(&outcome.new))
        }
        ComparisonMethod::SideBySide => "whole runs, side by side".to_string(),
    };
    match &outcome.steady {
        Some(steady) => format!(
            "{by}; seconds {:.0} to {:.0} of each (left out: {})",
            steady.from_secs, steady.to_secs, steady.left_out
        ),
        None => by,
    }
}

/// All figures, and why some have no clear verdict.
pub(in crate::report) fn table_of(page: &mut Page, outcome: &ComparisonOutcome) {
    table(page, outcome);
    reasons(page, outcome);
    alone(page, "the base has", &outcome.only_base);
    let new = match outcome.method {
        ComparisonMethod::Pairs => "the other has",
        _ => "the new runs have",
    };
    alone(page, new, &outcome.only_new);
}

fn table(page: &mut Page, outcome: &ComparisonOutcome) {
    let headings = [
        "figure", "base", "new", "change", "interval", "margin", "verdict",
    ];
    let mut table = Table::new(&headings).dispensable(&[5, 4, 1]);
    let mut has_shown_only = false;
    let is_same = outcome.verdict == ComparisonVerdict::Same;
    for row in rows_told(outcome) {
        let name = match outcome.rows.as_slice() {
            [total, operation] => format!("{}: {}", row_name(total), row_name(operation)),
            _ => row_name(row),
        };
        table.row(vec![Cell::of(Role::Strong, name)]);
        for figure in row.figures.iter().filter(|figure| is_told(figure)) {
            let verdict = match is_same {
                true => Cell::of(Role::Success, "same"),
                false => verdict_cell(figure),
            };
            has_shown_only |= figure.verdict.is_some() && !figure.decides;
            let is_decided = figure.verdict.is_some() && !is_same;
            table.row(vec![
                Cell::plain(format!("  {}", figure.name())),
                Cell::plain(value(figure, figure.base)),
                Cell::plain(value(figure, figure.new)),
                Cell::plain(change(figure, figure.change)),
                Cell::of(Role::Dim, interval(figure)),
                Cell::of(
                    Role::Dim,
                    if is_decided {
                        margin(figure)
                    } else {
                        String::new()
                    },
                ),
                verdict,
            ]);
        }
    }
    page.table(table);
    page.gap();
    for line in page.wrap(&columns(outcome), page.width()) {
        page.push(Line::of(Role::Dim, line));
    }
    if has_shown_only && !is_same {
        let words = "in brackets: shown, and no part of the answer";
        page.push(Line::of(Role::Dim, words));
    }
    let decides = || {
        outcome
            .rows
            .iter()
            .flat_map(|row| &row.figures)
            .filter(|of| of.decides)
    };
    if decides().any(|figure| figure.confidence > 0.95) {
        let n = plural(decides().count() as u64, "figure decides", "figures decide");
        let words = format!("intervals of 95%; {n} together, so theirs are wider (Holm)");
        page.push(Line::of(Role::Dim, words));
    }
}

/// What has no value on either side, such as the latency of calls that all failed, tells
/// nothing, unless the answer waits for it.
pub(in crate::report) fn is_told(figure: &ComparedFigure) -> bool {
    figure.decides || figure.base.is_some() || figure.new.is_some()
}

fn verdict_cell(figure: &ComparedFigure) -> Cell {
    let Some(verdict) = figure.verdict else {
        return Cell::of(Role::Dim, "-");
    };
    if !figure.decides {
        return Cell::of(Role::Dim, format!("({})", verdict.word()));
    }
    let role = match verdict {
        ChangeVerdict::Worse => Role::Error,
        ChangeVerdict::Better | ChangeVerdict::Equivalent => Role::Success,
        ChangeVerdict::SmallChange | ChangeVerdict::NotEnoughData => Role::Warning,
    };
    Cell::of(role, verdict.word())
}

/// Why deciding figures have no clear verdict, and where a shape changed.
fn reasons(page: &mut Page, outcome: &ComparisonOutcome) {
    let mut texts = Vec::new();
    for row in rows_told(outcome) {
        for figure in row.figures.iter().filter(|figure| figure.decides) {
            let Some(why) = &figure.why else { continue };
            let seen = figure.detectable.map_or(String::new(), |seen| {
                let seen = change(figure, Some(seen));
                match figure.interval {
                    (None, None) => {
                        format!(" what its seconds vary by hides changes below {seen} at least;")
                    }
                    _ => format!(" a change of {seen} or more would have been seen;"),
                }
            });
            texts.push(format!("{}:{seen} {why}", figure_name(row, figure)));
        }
        if let Some(shape) = row.shape {
            texts.push(format!(
                "the latencies of {} have another shape: {} of them are above {}, {} were",
                row_name(row),
                format_percent(shape.new_share),
                format_latency(ns_of_ms(shape.above_ms)),
                format_percent(shape.base_share),
            ));
        }
    }
    let n_more = texts.len().saturating_sub(REASONS_MAX);
    texts.truncate(REASONS_MAX);
    if n_more > 0 {
        texts.push(format!("and {n_more} more: see the JSON (`--format json`)"));
    }
    // A few, and told however many the others are.
    texts.extend(undecided(outcome));
    paragraphs(page, texts.iter().map(|text| ("note", Role::Hint, text)));
}

/// Why rows have no verdict at all: one reason for all of those that share it.
fn undecided(outcome: &ComparisonOutcome) -> Vec<String> {
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for row in rows_told(outcome) {
        let mut figures = row.figures.iter();
        let silent = figures.find(|it| it.verdict.is_none() && is_told(it));
        let Some(why) = silent.and_then(|it| it.why.as_deref()) else {
            continue;
        };
        let name = format!("`{}`", row_name(row));
        match by_reason.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, names)) => names.push(name),
            None => by_reason.push((why, vec![name])),
        }
    }
    let reasons = by_reason.into_iter();
    let reasons = reasons.map(|(why, names)| {
        let names = few_of(names, UNDECIDED_MAX);
        format!("no verdict on {names}: {why}")
    });
    reasons.collect()
}

fn alone(page: &mut Page, side: &str, labels: &[String]) {
    if labels.is_empty() {
        return;
    }
    let mut labels: Vec<&String> = labels.iter().collect();
    labels.sort_unstable();
    let what = format!(
        "only {side}, and so they are in no total: {}",
        few_of(labels, ALONE_MAX)
    );
    paragraphs(page, [("notice", Role::Warning, &what)].into_iter());
}
