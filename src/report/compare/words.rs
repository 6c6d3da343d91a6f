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
        ComparisonVerdict::Unclear => unclear(outcome),
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

/// Of figures that look worse this comes first: that nothing is known is no good news then.
fn unclear(outcome: &ComparisonOutcome) -> String {
    let figures = |looks_worse: bool| {
        figures_of(outcome, ChangeVerdict::NotEnoughData, true)
            .filter(move |(_, figure)| may_be_worse(figure) == looks_worse)
    };
    let suspects = figures(true).map(|(row, figure)| {
        let (base, new) = (value(figure, figure.base), value(figure, figure.new));
        let runs = of_runs(figure).map_or(String::new(), |runs| format!(" ({runs})"));
        format!("{} {base} → {new}{runs}", figure_name(row, figure))
    });
    let suspects = few_of(suspects, NAMED_MAX);
    let others = few_of(
        figures(false).map(|(row, figure)| figure_name(row, figure)),
        NAMED_MAX,
    );
    let answer = match (suspects.is_empty(), others.is_empty()) {
        (true, _) => {
            format!("nothing is known to be worse, and there is not enough data on {others}")
        }
        (false, true) => format!("not decided, and perhaps worse: {suspects}"),
        (false, false) => format!(
            "not decided, and perhaps worse: {suspects}; there is not enough data on {others} either"
        ),
    };
    match named(outcome, ChangeVerdict::SmallChange, true) {
        small if small.is_empty() => answer,
        small => format!("{answer}; small change: {small}"),
    }
}

/// It changed for the worse by more than its margin, as far as it is known: in what is
/// compared, or in the figures that are shown.
fn may_be_worse(figure: &ComparedFigure) -> bool {
    let plain = figure
        .base
        .zip(figure.new)
        .map(|(base, new)| match figure.metric {
            ComparedMetric::Errors => new - base,
            _ => new / base.max(1e-9) - 1.0,
        });
    let is_beyond = |change: f64| match figure.metric {
        ComparedMetric::Errors => change > figure.margin,
        _ if figure.metric.is_rise_worse() => change > figure.margin,
        // As much less as the margin is more.
        _ => (1.0 + change) * (1.0 + figure.margin) < 1.0,
    };
    [plain, figure.change].into_iter().flatten().any(is_beyond)
}

/// `0% in each base run, 0% to 50.3% in the new ones`.
fn of_runs(figure: &ComparedFigure) -> Option<String> {
    let range = |runs: &[f64]| {
        let of = |choose: fn(f64, f64) -> f64| runs.iter().copied().reduce(choose);
        let (least, most) = (of(f64::min)?, of(f64::max)?);
        let (least, most) = (value(figure, Some(least)), value(figure, Some(most)));
        Some(match least == most {
            true => least,
            false => format!("{least} to {most}"),
        })
    };
    let (base, new) = (range(&figure.base_runs)?, range(&figure.new_runs)?);
    Some(format!("{base} in the base's runs, {new} in the new ones"))
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
fn figures_of(
    outcome: &ComparisonOutcome,
    verdict: ChangeVerdict,
    decides: bool,
) -> impl Iterator<Item = (&ComparedRow, &ComparedFigure)> {
    let rows = match decides {
        true => outcome.rows.as_slice(),
        false => rows_told(outcome),
    };
    let figures = rows
        .iter()
        .flat_map(|row| row.figures.iter().map(move |of| (row, of)));
    figures.filter(move |(_, of)| of.decides == decides && of.verdict == Some(verdict))
}

/// Their names and changes.
fn named(outcome: &ComparisonOutcome, verdict: ChangeVerdict, decides: bool) -> String {
    let figures = figures_of(outcome, verdict, decides);
    let named = figures.map(|(row, figure)| match figure.change {
        Some(_) => {
            format!(
                "{} {}",
                figure_name(row, figure),
                change_and_interval(figure)
            )
        }
        None => figure_name(row, figure),
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn outcome(figures: &[Value]) -> ComparisonOutcome {
        let figure = |(of, figure): (&Value, Value)| {
            let mut figure = figure;
            let given = of.as_object().expect("an object");
            for (key, value) in given {
                figure[key] = value.clone();
            }
            figure
        };
        let plain = json!({
            "metric": "p50", "base": 20.0, "new": 20.4, "change": 0.02, "interval": [null, null],
            "confidence": 0.95, "margin": 0.05, "decides": true, "verdict": "not_enough_data",
            "detectable": null, "why": null,
        });
        let figures: Vec<Value> = figures
            .iter()
            .map(|of| figure((of, plain.clone())))
            .collect();
        let outcome = json!({
            "verdict": "unclear", "method": "runs", "base": [], "new": [], "steady": null,
            "rows": [{
                "label": "all calls", "name": null, "flow": null, "population": null,
                "figures": figures, "shape": null,
            }],
            "only_base": [], "only_new": [], "notices": [],
        });
        serde_json::from_value(outcome).expect("an outcome")
    }

    #[test]
    fn what_looks_worse_comes_first_where_nothing_is_decided() {
        let errors = json!({
            "metric": "errors", "base": 0.0, "new": 0.16, "change": 0.0, "margin": 0.001,
            "base_runs": [0.0, 0.0], "new_runs": [0.0, 0.32],
        });
        let slower = json!({"metric": "p95", "base": 20.0, "new": 45.0, "change": 1.25});
        let small = json!({"verdict": "small_change", "change": 0.04, "interval": [0.01, 0.07]});
        let less = json!({"metric": "rate", "base": 100.0, "new": 90.0, "change": -0.1});
        let more = json!({"metric": "rate", "base": 100.0, "new": 150.0, "change": 0.5});
        let check = |figures: &[&Value], expected: &str| {
            let figures: Vec<Value> = figures.iter().map(|of| (*of).clone()).collect();
            assert_eq!(answer(&outcome(&figures)), expected);
        };
        check(
            &[&json!({}), &errors],
            "not decided, and perhaps worse: errors of all calls 0% → 16% (0% in the base's runs, \
             0% to 32% in the new ones); there is not enough data on p50 of all calls either",
        );
        check(
            &[&slower, &less],
            "not decided, and perhaps worse: p95 of all calls 20.0 ms → 45.0 ms, rate of all \
             calls 100/s → 90.0/s",
        );
        check(
            &[&slower, &small],
            "not decided, and perhaps worse: p95 of all calls 20.0 ms → 45.0 ms; small change: p50 \
             of all calls +4.0% (+1.0% to +7.0%)",
        );
        check(
            &[&json!({}), &more],
            "nothing is known to be worse, and there is not enough data on p50 of all calls, \
             rate of all calls",
        );
    }
}
