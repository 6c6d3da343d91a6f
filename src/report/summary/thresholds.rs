//! Whether the run passes, for the first line, and each threshold with its value.

use crate::report::measure::{margin_text, measured, value_text};
use crate::report::model::{GateGrade, Report, ThresholdFigures};
use crate::report::page::Page;
use crate::report::table::{Cell, Table};
use crate::terminal::{Line, Role};
use crate::units::{format_count, part_of, plural};

/// `failed: 1 of 3 thresholds was not kept`; nothing of a run that passed without
/// thresholds.
pub(super) fn result(report: &Report) -> Option<Line> {
    let n_all = report.thresholds.len();
    let graded = |grade| report.thresholds.iter().filter(move |it| it.grade == grade);
    let n_failed = graded(GateGrade::Failed).count();
    let n_warned = graded(GateGrade::Warned).count();
    let of_all = |n: usize| {
        let thresholds = part_of(n as u64, n_all as u64, "threshold", "thresholds");
        let verb = if n == 1 { "was" } else { "were" };
        format!("{thresholds} {verb} not kept")
    };
    let (word, role) = shown(report.gate.grade);
    let n_deferred = report.thresholds.iter().filter(|it| it.deferred).count();
    let thresholds = match (n_failed, n_warned) {
        (0, 0) => {
            let thresholds = plural((n_all - n_deferred) as u64, "threshold", "thresholds");
            match n_deferred {
                0 => format!("{thresholds} kept"),
                n => format!(
                    "{thresholds} kept, {} left to all segments",
                    format_count(n as u64)
                ),
            }
        }
        (0, n_warned) => of_all(n_warned),
        (n_failed, _) => of_all(n_failed),
    };
    let rest = match &report.gate.why {
        Some(why) if report.run.ended.why_cut_off() == Some(why.as_str()) && n_all > 0 => {
            format!("{why}; on the part that ran, {thresholds}")
        }
        Some(why) => why.clone(),
        None if n_all == 0 => return None,
        None => thresholds,
    };
    Some(Line::of(role, word).add(Role::Plain, format!(": {rest}")))
}

/// A row for each threshold, the failed ones first, and why where the value does not
/// say it.
pub(super) fn thresholds(page: &mut Page, report: &Report) {
    if report.thresholds.is_empty() {
        return;
    }
    page.gap();
    let mut table = Table::new(&["threshold", "value", "margin", "95% interval", "result"])
        .dispensable(&[3, 2]);
    let mut rows: Vec<&ThresholdFigures> = report.thresholds.iter().collect();
    rows.sort_by_key(|it| std::cmp::Reverse(it.grade));
    for it in &rows {
        let (word, role) = match it.deferred {
            true => ("not judged", Role::Dim),
            false => shown(it.grade),
        };
        let few = if it.few { ", few" } else { "" };
        table.row(vec![
            Cell::plain(&it.text),
            Cell::plain(value_text(it)),
            Cell::plain(it.margin.map_or_else(|| "-".to_string(), margin_text)),
            Cell::of(Role::Dim, interval(it)),
            Cell::of(role, format!("{word}{few}")),
        ]);
    }
    page.table(table);
    for it in rows {
        if let Some(why) = &it.why {
            let text = format!("  {}: {why}", it.text);
            page.push_wrapped(Line::of(shown(it.grade).1, text), 4);
        }
    }
}

fn shown(grade: GateGrade) -> (&'static str, Role) {
    match grade {
        GateGrade::Passed => ("passed", Role::Success),
        GateGrade::Warned => ("warned", Role::Warning),
        GateGrade::Failed => ("failed", Role::Error),
    }
}

fn interval(it: &ThresholdFigures) -> String {
    it.interval.map_or_else(String::new, |[low, high]| {
        let (low, high) = (measured(it.unit, low), measured(it.unit, high));
        format!("{low} to {high}")
    })
}
