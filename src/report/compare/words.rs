//! What came of a comparison, in words.

use crate::outcome::{
    ChangeVerdict, ComparedFigure, ComparedMetric, ComparedRow, ComparisonMethod,
    ComparisonOutcome, ComparisonVerdict, with_population,
};
use crate::units::{few_of, format_latency, format_percent, format_rate, ns_of_ms};

/// Figures that an answer names; the others are counted.
const NAMED_MAX: usize = 3;

/// `worse: p95 of all calls +21.0% (+15.2% to +28.1%)`.
pub(in crate::report) fn answer(outcome: &ComparisonOutcome) -> String {
    let with = |verdict| named(outcome, verdict, true);
    let beside = named(outcome, ChangeVerdict::Worse, false);
    let answer = match outcome.verdict {
        ComparisonVerdict::Same => "the same run was given twice".to_string(),
        ComparisonVerdict::Undecided => {
            "no verdict: without histograms in the reports, figures only stand side by side"
                .to_string()
        }
        ComparisonVerdict::Worse => format!("worse: {}", with(ChangeVerdict::Worse)),
        ComparisonVerdict::Unclear => {
            let of = with(ChangeVerdict::NotEnoughData);
            format!("nothing is known to be worse, and there is not enough data on {of}")
        }
        ComparisonVerdict::NotWorse => {
            let better = with(ChangeVerdict::Better);
            let small = with(ChangeVerdict::SmallChange);
            match (better.is_empty(), small.is_empty()) {
                (true, true) if !beside.is_empty() => {
                    "nothing that decides changed by more than its margin".to_string()
                }
                (true, true) if outcome.method == ComparisonMethod::Pairs => {
                    "no difference: nothing differs by more than its margin".to_string()
                }
                (true, true) => "equivalent: nothing changed by more than its margin".to_string(),
                (false, true) => format!("nothing is worse; better: {better}"),
                (true, false) => format!("nothing is worse; small change: {small}"),
                (false, false) => {
                    format!("nothing is worse; better: {better}; small change: {small}")
                }
            }
        }
    };
    match outcome.verdict {
        ComparisonVerdict::NotWorse | ComparisonVerdict::Unclear if !beside.is_empty() => {
            format!("{answer}; worse, taken by itself, and no part of the answer: {beside}")
        }
        _ => answer,
    }
}

/// One operation alone is all calls, and would be the same once more.
pub(super) fn rows_told(outcome: &ComparisonOutcome) -> &[ComparedRow] {
    match outcome.rows.as_slice() {
        [total, _] => std::slice::from_ref(total),
        rows => rows,
    }
}

/// What stands in the columns `base`, `new` and `change`.
pub(in crate::report) fn columns(outcome: &ComparisonOutcome) -> String {
    let Some(steady) = &outcome.steady else {
        return "base and new: the figures of the whole reports".to_string();
    };
    if outcome.method == ComparisonMethod::Pairs {
        return format!(
            "base and new: all calls of seconds {:.0} to {:.0} together; change: the mean over \
             batches of these seconds, each held against the other's of the same time",
            steady.from_secs, steady.to_secs
        );
    }
    format!(
        "base and new: all calls of seconds {:.0} to {:.0} together, not of the whole report; \
         change: from the mean of the batches or runs to that of the new ones",
        steady.from_secs, steady.to_secs
    )
}

/// The figures of this verdict that decide, or that do not.
fn named(outcome: &ComparisonOutcome, verdict: ChangeVerdict, decides: bool) -> String {
    let rows = match decides {
        true => outcome.rows.as_slice(),
        false => rows_told(outcome),
    };
    let figures = rows
        .iter()
        .flat_map(|row| row.figures.iter().map(move |of| (row, of)));
    let figures = figures.filter(|(_, of)| of.decides == decides && of.verdict == Some(verdict));
    let named = figures.map(|(row, figure)| match figure.change {
        Some(_) if verdict != ChangeVerdict::NotEnoughData => {
            format!(
                "{} {}",
                figure_name(row, figure),
                change_and_interval(figure)
            )
        }
        _ => figure_name(row, figure),
    });
    few_of(named, NAMED_MAX)
}

/// `p95 of all calls`.
pub(in crate::report) fn figure_name(row: &ComparedRow, figure: &ComparedFigure) -> String {
    format!("{} of {}", figure.name(), row_name(row))
}

/// The label of a row, with what tells it from others of the same operation.
pub(in crate::report) fn row_name(row: &ComparedRow) -> String {
    with_population(row.label.clone(), row.population.as_deref())
}

/// A figure in one line: `10.0 ms → 12.1 ms, +21.0% (+15.2% to +28.1%): worse`.
pub(in crate::report) fn figure_text(figure: &ComparedFigure) -> String {
    let (base, new) = (value(figure, figure.base), value(figure, figure.new));
    let verdict = figure.verdict.map_or("no verdict", ChangeVerdict::word);
    let why = figure
        .why
        .as_ref()
        .map_or(String::new(), |why| format!("; {why}"));
    format!(
        "{base} → {new}, {}: {verdict}{why}",
        change_and_interval(figure)
    )
}

fn change_and_interval(figure: &ComparedFigure) -> String {
    match interval(figure).as_str() {
        "-" => change(figure, figure.change),
        interval => format!("{} ({interval})", change(figure, figure.change)),
    }
}

/// `+15.2% to +28.1%`; `-` where nothing is known.
pub(in crate::report) fn interval(figure: &ComparedFigure) -> String {
    match figure.interval {
        (None, None) => "-".to_string(),
        (low, high) => {
            let bound = |bound: Option<f64>| bound.map_or("?".to_string(), |of| signed(figure, of));
            format!("{} to {}", bound(low), bound(high))
        }
    }
}

/// `+21.0%`, of error shares `+0.40 pp` (percentage points); `-` where it is not known.
pub(in crate::report) fn change(figure: &ComparedFigure, change: Option<f64>) -> String {
    change.map_or("-".to_string(), |change| signed(figure, change))
}

fn signed(figure: &ComparedFigure, change: f64) -> String {
    let (percent, unit) = match figure.metric {
        ComparedMetric::Errors => (change * 100.0, " pp"),
        _ => (change * 100.0, "%"),
    };
    let n_decimals = match (figure.metric, percent.abs()) {
        (ComparedMetric::Errors, size) if size < 10.0 => 2,
        (_, size) if size < 1000.0 => 1,
        _ => 0,
    };
    let text = format!("{percent:+.n_decimals$}");
    // No sign before nothing.
    match text
        .trim_start_matches(['+', '-'])
        .chars()
        .all(|c| c == '0' || c == '.')
    {
        true => format!("0{unit}"),
        false => text + unit,
    }
}

/// A margin: `±10%`.
pub(super) fn margin(figure: &ComparedFigure) -> String {
    let signed = signed(figure, figure.margin);
    format!("±{}", signed.trim_start_matches('+'))
}

/// A figure with its unit; `-` where nothing was measured.
pub(in crate::report) fn value(figure: &ComparedFigure, value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".to_string();
    };
    match figure.metric {
        ComparedMetric::Rate if figure.of_offered => format_percent(value),
        ComparedMetric::Rate => format_rate(value),
        ComparedMetric::Errors => format_percent(value),
        _ => format_latency(ns_of_ms(value)),
    }
}
