//! Whether the run passes, in its first line, and each threshold with its value.

use crate::outcome::{Comparison, LimitUnit};
use crate::report::model::{GateGrade, Report, ThresholdFigures};
use crate::report::page::Page;
use crate::report::table::{Cell, Table};
use crate::terminal::{Line, Role};
use crate::units::{
    format_bytes, format_count, format_latency, format_percent, format_rate, ns_of_ms, plural, tidy,
};

/// `result      failed: 1 of 3 thresholds was not kept`. Nothing is said of a run that
/// passed without thresholds.
pub(super) fn result(page: &mut Page, report: &Report) {
    let n_all = report.thresholds.len();
    let graded = |grade| report.thresholds.iter().filter(move |it| it.grade == grade);
    let n_failed = graded(GateGrade::Failed).count();
    let n_warned = graded(GateGrade::Warned).count();
    let of_all = |n: usize| {
        let thresholds = plural(n_all as u64, "threshold", "thresholds");
        let verb = if n == 1 { "was" } else { "were" };
        format!("{} of {thresholds} {verb} not kept", format_count(n as u64))
    };
    let (word, role) = shown(report.gate.grade);
    let rest = match (&report.gate.why, report.gate.grade) {
        (Some(why), _) => why.clone(),
        (None, GateGrade::Failed) => of_all(n_failed),
        (None, GateGrade::Warned) => of_all(n_warned),
        (None, GateGrade::Passed) if n_all == 0 => return,
        (None, GateGrade::Passed) => {
            let thresholds = plural(n_all as u64, "threshold", "thresholds");
            format!("{thresholds} kept")
        }
    };
    let line = Line::of(role, word).add(Role::Plain, format!(": {rest}"));
    page.labelled("result", line);
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
        let (word, role) = shown(it.grade);
        let few = if it.few { ", few" } else { "" };
        table.row(vec![
            Cell::plain(&it.text),
            Cell::plain(value(it)),
            Cell::plain(margin(it)),
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

/// The value, told from its limit where it is another.
pub(in crate::report) fn value(it: &ThresholdFigures) -> String {
    let Some(value) = it.value else {
        return "-".to_string();
    };
    let text = number(value, it.unit);
    // Rounded it may look like the limit, and be on the other side of it.
    match value != it.limit && text == number(it.limit, it.unit) {
        true => exact(value, it.unit),
        false => text,
    }
}

/// `12% left`, or `over by 5%`: of the limit.
pub(in crate::report) fn margin(it: &ThresholdFigures) -> String {
    match it.margin {
        None => "-".to_string(),
        Some(margin) if margin < 0.0 => {
            let side = match it.comparison {
                Comparison::Above | Comparison::AtLeast => "under",
                _ => "over",
            };
            format!("{side} by {}", percent(-margin))
        }
        Some(margin) => format!("{} left", percent(margin)),
    }
}

/// A share of the limit, which may be above 1.
fn percent(share: f64) -> String {
    match share {
        ..=1.0 => format_percent(share),
        ..10.0 => format!("{:.0}%", share * 100.0),
        // A cast from a float saturates.
        _ => format!("{}x", format_count(share.round() as u64)),
    }
}

/// `198 ms to 204 ms`; empty where the samples do not allow to say.
pub(in crate::report) fn interval(it: &ThresholdFigures) -> String {
    it.interval.map_or_else(String::new, |[low, high]| {
        format!("{} to {}", number(low, it.unit), number(high, it.unit))
    })
}

/// A value in its unit.
pub(in crate::report) fn number(value: f64, unit: LimitUnit) -> String {
    match unit {
        LimitUnit::Ms => format_latency(ns_of_ms(value)),
        LimitUnit::Share => format_percent(value),
        // A cast from a float saturates.
        LimitUnit::Count => format_count(value as u64),
        LimitUnit::PerSec => format_rate(value),
        LimitUnit::Bytes => format_bytes(value as u64),
        LimitUnit::Load => format!("{}", tidy(value)),
    }
}

/// All digits.
fn exact(value: f64, unit: LimitUnit) -> String {
    match unit {
        LimitUnit::Ms => format!("{value} ms"),
        LimitUnit::Share => format!("{}%", (value * 1e12).round() / 1e10),
        LimitUnit::PerSec => format!("{value}/s"),
        LimitUnit::Bytes => format!("{value} B"),
        LimitUnit::Count | LimitUnit::Load => format!("{value}"),
    }
}
