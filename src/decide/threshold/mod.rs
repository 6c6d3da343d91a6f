//! Whether a run kept its thresholds. Pure: figures go in, grades come out.
//!
//! [`empty_recorder`] knows the limits before the run, so that each value is counted
//! on its side of them as it is recorded; [`judge`] decides at the end by what is
//! shown, and [`abort`] watches second by second for a run that cannot be saved.

pub mod abort;

use std::cmp::Ordering;
use std::time::Duration;

use crate::metrics::{
    AboveLimits, Counters, Histogram, Quantile, Readings, Recorder, RowStats, SettledArrivals,
    Sizes, share_interval,
};
use crate::outcome::{
    BreakingPoint, Ended, GateGrade, GateOutcome, Row, RowKind, Rows, StageOutcome,
};
use crate::threshold::{
    Comparison, DEFERRED, Limit, Metric, NOT_ISOLATED, Selector, SelectorKind, Severity, Statistic,
    TIMEOUT, Threshold, ThresholdFigures, least_decides, least_text, overdue_text,
};
use crate::units::{format_rate, ms, ns_of_ms, plural, rate, share, tidy};
use crate::validity::LateEnd;

/// Why a run without any success fails.
pub const NO_SUCCESS: &str = "no call succeeded";

/// Why a run fails in which calls were begun, and the server answered none in time.
pub const NONE_ENDED: &str = "calls were begun, and none of them ended before the run did";

/// An empty recorder of these rows that counts what the thresholds ask for.
pub fn empty_recorder(thresholds: &[Threshold], rows: &[Row]) -> Recorder {
    let mut recorder = Recorder::new(rows.len());
    for (row, stats) in rows.iter().zip(&mut recorder.rows) {
        let of_row = || thresholds.iter().filter(|it| counts(it, row));
        let of_latency = of_row().filter(|it| !matches!(it.metric, Metric::Bytes(_)));
        stats.above = AboveLimits::of(of_latency.flat_map(sides));
        let of_bytes = || of_row().filter(|it| matches!(it.metric, Metric::Bytes(_)));
        if of_bytes().next().is_some() {
            stats.sizes = Some(Box::new(Sizes {
                above: AboveLimits::of(of_bytes().flat_map(sides)),
                ..Sizes::default()
            }));
        }
    }
    recorder
}

/// Whether requests of the row are counted above the threshold's limit.
fn counts(threshold: &Threshold, row: &Row) -> bool {
    match threshold.metric {
        Metric::Latency(_) | Metric::Bytes(_) => selects(threshold.selector.as_ref(), row),
        Metric::Handshake(_) => {
            let population = threshold.population();
            row.kind == RowKind::Handshake
                && (population.is_none() || population == row.population.as_deref())
        }
        _ => false,
    }
}

/// Whether requests of the row are among those that are selected, in one stage or in
/// all.
pub fn selects(selector: Option<&Selector>, row: &Row) -> bool {
    let Some(selector) = selector else {
        return row.kind.is_in_totals();
    };
    if selector.population.is_some() && selector.population != row.population {
        return false;
    }
    let is_it = |name: &Option<String>| name.as_ref() == Some(&selector.name);
    let method = match selector.kind {
        SelectorKind::Stage => return row.kind.is_in_totals(),
        SelectorKind::Flow => return row.kind == RowKind::FlowBusy && is_it(&row.flow),
        SelectorKind::Step => {
            let is_of_step = |name: &String| is_of_step(name, &selector.name);
            return row.kind == RowKind::Call && row.name.as_ref().is_some_and(is_of_step);
        }
        SelectorKind::Population => return row.kind.is_in_totals() && is_it(&row.population),
        SelectorKind::Tool => "tools/call",
        SelectorKind::Resource => "resources/read",
        SelectorKind::Prompt => "prompts/get",
    };
    row.kind == RowKind::Call && row.method == method && is_it(&row.subject)
}

/// Whether a row's name is the step's, or that of one of its calls: the step's name with
/// the operation behind it.
fn is_of_step(name: &str, step: &str) -> bool {
    let behind = name.strip_prefix(step);
    behind.is_some_and(|rest| rest.is_empty() || rest.starts_with(": "))
}

/// The stage that is selected, from 1.
pub fn stage_of(threshold: &Threshold) -> Option<usize> {
    let selector = threshold.selector.as_ref()?;
    (selector.kind == SelectorKind::Stage).then(|| selector.name.parse().unwrap_or(0))
}

/// The largest value on the lower side of the limit. Of values that are to be equal
/// both sides matter.
fn sides(threshold: &Threshold) -> Vec<u64> {
    let (Limit::Time(limit) | Limit::Bytes(limit)) = threshold.limit else {
        return Vec::new();
    };
    let below = limit.checked_sub(1);
    match threshold.comparison {
        Comparison::Below | Comparison::AtLeast => below.into_iter().collect(),
        Comparison::AtMost | Comparison::Above => vec![limit],
        Comparison::Equal | Comparison::Unequal => below.into_iter().chain([limit]).collect(),
    }
}

/// What a run produced, as far as thresholds are about it.
#[derive(Debug)]
pub struct RunFigures<'a> {
    /// Why it ended.
    pub ended: Ended,
    /// All rows, without the warm-up.
    pub rows: Rows<'a>,
    /// What was counted beside them.
    pub counters: &'a Counters,
    /// Arrivals by population.
    pub arrivals: &'a [SettledArrivals],
    /// Answers with another user's marker, those of the warm-up too.
    pub n_foreign: u64,
    /// What rates are per.
    pub elapsed: Duration,
    /// The rate while load was offered, where the last calls changed it.
    pub late_end: Option<LateEnd>,
    /// The run made a part of the load: rates of the whole are not for it to judge.
    pub is_part: bool,
    /// The load model says when calls should start.
    pub has_intended_starts: bool,
    /// Those that began.
    pub stages: &'a [StageOutcome],
    /// Where the server broke, if it did.
    pub breaking_point: Option<&'a BreakingPoint>,
    /// The highest load that was made: virtual users, or arrivals a second.
    pub load_reached: f64,
    /// What ended the run early, if a threshold did.
    pub aborted: Option<&'a abort::Abort>,
}

impl RunFigures<'_> {
    /// Of a population: arrivals that were dropped, and those that were this or begun.
    fn arrivals_of(&self, population: &str) -> (u64, u64) {
        let its = self.of_population(population, self.arrivals);
        its.map_or((0, 0), |it| (it.dropped, it.begun + it.dropped))
    }

    /// What a population has in a list with one for each.
    fn of_population<'l, T>(&self, population: &str, list: &'l [T]) -> Option<&'l T> {
        let names = self.rows.populations();
        list.get(names.iter().position(|name| *name == population)?)
    }
}

/// How each threshold came out, and the run by all of them.
pub fn judge(
    thresholds: &[Threshold],
    figures: &RunFigures<'_>,
) -> (Vec<ThresholdFigures>, GateOutcome) {
    let judged: Vec<ThresholdFigures> = thresholds
        .iter()
        .enumerate()
        .map(|(at, threshold)| {
            let aborted = figures.aborted.filter(|abort| abort.threshold == at);
            judge_one(threshold, figures, aborted)
        })
        .collect();
    let calls = figures.rows.totals();
    // Failures were asked for, and there they are: a negative test.
    let mut of_all = thresholds.iter().zip(&judged);
    let is_asked =
        of_all.any(|(it, came)| it.asks_for_failures() && came.grade == GateGrade::Passed);
    let why = match figures.ended {
        _ if figures.n_foreign > 0 => Some(NOT_ISOLATED),
        // What was kept of a part says nothing of the whole.
        ended if ended.why_cut_off().is_some() && !thresholds.is_empty() => ended.why_cut_off(),
        Ended::Interrupted => None,
        _ if calls.ok > 0 || is_asked => None,
        _ if calls.finished() > 0 => Some(NO_SUCCESS),
        _ if calls.started > 0 => Some(NONE_ENDED),
        _ => None,
    };
    let gate = GateOutcome::of(&judged, why.map(str::to_string));
    (judged, gate)
}

/// A value as it decides and is shown.
#[derive(Debug, Clone, Copy)]
enum Value {
    /// Nanoseconds or bytes.
    Whole(u64),
    /// In the unit of the limit.
    Number(f64),
    /// Exactly.
    Share { part: u64, whole: u64 },
    /// There is no such load up to this one.
    BeyondLoad,
}

/// What was measured of a threshold's metric.
#[derive(Default)]
struct MetricValue {
    /// `Err`: why there is nothing to take it from.
    value: Option<Value>,
    why: Option<String>,
    /// It is the least that it can be.
    at_least: bool,
    /// How many values it was taken from.
    n: u64,
    interval: Option<[f64; 2]>,
}

impl MetricValue {
    fn nothing(why: impl Into<String>) -> Self {
        Self {
            why: Some(why.into()),
            ..Self::default()
        }
    }

    fn of(value: Value) -> Self {
        Self {
            value: Some(value),
            ..Self::default()
        }
    }
}

fn judge_one(
    threshold: &Threshold,
    figures: &RunFigures<'_>,
    aborted: Option<&abort::Abort>,
) -> ThresholdFigures {
    let found = find(threshold, figures);
    let limit = threshold.limit;
    let few_of = match quantile_of(&threshold.metric) {
        Some(quantile) if (1..quantile.needs()).contains(&found.n) => Some(quantile),
        _ => None,
    };
    let holds = found
        .value
        .is_some_and(|value| threshold.comparison.holds(compare(value, limit)));
    let too_few = few_of.filter(|_| threshold.few_fails);
    let is_rate = matches!(threshold.metric, Metric::Rate | Metric::Goodput);
    let deferred = figures.is_part && is_rate;
    let is_kept = deferred || holds && too_few.is_none() && aborted.is_none();
    let grade = match (is_kept, threshold.severity) {
        (true, _) => GateGrade::Passed,
        (false, Severity::Warn) => GateGrade::Warned,
        (false, Severity::Fail) => GateGrade::Failed,
    };
    let why = match (aborted, too_few.filter(|_| holds)) {
        (Some(abort), _) => Some(abort.why.clone()),
        (None, Some(quantile)) => {
            let calls = plural(found.n, "value", "values");
            Some(format!(
                "{calls}, and {quantile} takes {}",
                quantile.needs()
            ))
        }
        (None, None) if deferred => Some(DEFERRED.to_string()),
        (None, None) => found
            .why
            .or_else(|| late_end(threshold, figures, found.value?)),
    };
    let value = found.value.and_then(|value| in_unit(value, limit));
    let limit_in_unit = limit.in_unit();
    let margin = value
        .filter(|_| limit_in_unit > 0.0 && !deferred)
        .and_then(|value| {
            let within = match threshold.comparison {
                Comparison::Below | Comparison::AtMost => limit_in_unit - value,
                Comparison::Above | Comparison::AtLeast => value - limit_in_unit,
                Comparison::Equal | Comparison::Unequal => return None,
            };
            Some(tidy(within / limit_in_unit))
        });
    ThresholdFigures {
        text: threshold.text.clone(),
        selector: threshold.selector.clone(),
        metric: threshold.metric.to_string(),
        comparison: threshold.comparison,
        limit: limit_in_unit,
        unit: limit.unit(),
        value,
        at_least: found.at_least,
        deferred,
        margin,
        severity: threshold.severity,
        grade,
        few: few_of.is_some(),
        interval: found.interval,
        why,
        aborted: aborted.is_some(),
    }
}

/// That the rate would be on the other side of the limit without the last calls.
fn late_end(threshold: &Threshold, figures: &RunFigures<'_>, value: Value) -> Option<String> {
    let is_rate = matches!(threshold.metric, Metric::Rate | Metric::Goodput);
    let Value::Number(of_run) = value else {
        return None;
    };
    // A stage has a time of its own.
    let end = figures
        .late_end
        .filter(|_| is_rate && stage_of(threshold).is_none())?;
    let limit = threshold.limit;
    let of_all = rate(figures.rows.totals().finished(), figures.elapsed);
    end.beside_limit(of_run, of_all, |rate| {
        let of_limit = compare(Value::Number(rate), limit);
        threshold.comparison.holds(of_limit)
    })
}

fn quantile_of(metric: &Metric) -> Option<Quantile> {
    match metric {
        Metric::Latency(statistic) | Metric::Handshake(statistic) | Metric::Bytes(statistic) => {
            match statistic {
                Statistic::Quantile(quantile) => Some(*quantile),
                Statistic::Max | Statistic::Mean => None,
            }
        }
        _ => None,
    }
}

fn find(threshold: &Threshold, figures: &RunFigures<'_>) -> MetricValue {
    match &threshold.metric {
        Metric::Handshake(statistic) => {
            let row = match threshold.population() {
                Some(name) => figures.rows.sum_of_population(RowKind::Handshake, name),
                None => figures.rows.sum_of(RowKind::Handshake),
            };
            latency_of(&row.unwrap_or_default(), false, *statistic, threshold)
                .unwrap_or_else(|| MetricValue::nothing("no session was opened"))
        }
        Metric::SessionsLost => match figures.counters.sessions_opened {
            0 => MetricValue::nothing("no session was opened"),
            _ => MetricValue::of(Value::Whole(figures.counters.sessions_expired)),
        },
        Metric::Dropped => {
            let (dropped, all) = match threshold.population() {
                Some(name) => figures.arrivals_of(name),
                None => (figures.counters.arrivals_dropped, figures.counters.arrivals),
            };
            match all {
                0 => MetricValue::nothing("nothing arrived"),
                _ => count_or_share(threshold.limit, dropped, all),
            }
        }
        Metric::BreakingPoint => find_breaking_point(threshold, figures),
        metric => match calls_of(threshold, figures) {
            Ok((calls, length)) => find_of_calls(metric, threshold, &calls, length, figures),
            Err(why) => MetricValue::nothing(why),
        },
    }
}

/// The calls that are selected, and how long they were made.
fn calls_of(
    threshold: &Threshold,
    figures: &RunFigures<'_>,
) -> Result<(RowStats, Duration), &'static str> {
    if let Some(number) = stage_of(threshold) {
        let mut stages = figures.stages.iter();
        let stage = stages.find(|stage| stage.number == number);
        let stage = stage.ok_or("the stage did not begin")?;
        let selector = threshold.selector.as_ref();
        let calls = match selector.and_then(|it| it.population.as_deref()) {
            Some(name) => {
                let its = figures.of_population(name, &stage.populations);
                its.ok_or("no call ended")?
            }
            None => &stage.calls,
        };
        return Ok((calls.clone(), stage.length));
    }
    let mut calls = RowStats::default();
    for (row, stats) in figures.rows.all() {
        if selects(threshold.selector.as_ref(), row) {
            calls.merge(stats);
        }
    }
    Ok((calls, figures.elapsed))
}

fn find_of_calls(
    metric: &Metric,
    threshold: &Threshold,
    calls: &RowStats,
    length: Duration,
    figures: &RunFigures<'_>,
) -> MetricValue {
    let limit = threshold.limit;
    let no_call = || {
        MetricValue::nothing(match calls.finished() {
            0 => "no call ended",
            _ => NO_SUCCESS,
        })
    };
    if calls.finished() == 0 {
        return no_call();
    }
    match metric {
        Metric::Latency(statistic) => {
            latency_of(calls, figures.has_intended_starts, *statistic, threshold)
                .unwrap_or_else(no_call)
        }
        Metric::Bytes(statistic) => {
            let sizes = calls.sizes.as_ref();
            sizes
                .and_then(|sizes| statistic_of(sizes.measured(), *statistic, limit))
                .unwrap_or_else(no_call)
        }
        Metric::Rate | Metric::Goodput if length.is_zero() => {
            MetricValue::nothing("it took no time that could be measured")
        }
        Metric::Rate => MetricValue::of(Value::Number(rate(calls.finished(), length))),
        Metric::Goodput => MetricValue::of(Value::Number(rate(calls.ok, length))),
        Metric::Errors(cause) => {
            let failed = match cause {
                Some(cause) => calls.failures.below(cause),
                None => calls.failed,
            };
            let found = count_or_share(limit, failed, calls.finished());
            let may_time_out = cause.as_deref().is_none_or(|cause| cause == TIMEOUT);
            let overdue = if may_time_out { calls.overdue() } else { 0 };
            let why = overdue_errors(threshold, (failed, calls.finished()), overdue);
            MetricValue { why, ..found }
        }
        _ => MetricValue::nothing("it is not a figure of calls"),
    }
}

/// Of the latency of successful requests. Where those that the end of the run cut off make it
/// certain that the limit is passed, the least that the statistic can be goes before that of
/// the answered ones. `None`: there are no values.
fn latency_of(
    row: &RowStats,
    are_intended: bool,
    statistic: Statistic,
    threshold: &Threshold,
) -> Option<MetricValue> {
    let limit = threshold.limit;
    let answered = statistic_of(row.measured(are_intended), statistic, limit)?;
    let least = row
        .at_least(are_intended)
        .and_then(|censored| statistic_of(censored.readings(), statistic, limit));
    let Some((value, at_least)) = answered.value.zip(least.and_then(|it| it.value)) else {
        return Some(answered);
    };
    let (of_value, of_least) = (compare(value, limit), compare(at_least, limit));
    if !least_decides(threshold.comparison, of_value, of_least) {
        return Some(answered);
    }
    let ages = row.cancelled_age.as_ref();
    let oldest_ns = ages.and_then(Histogram::max_ns).unwrap_or(0);
    let answered_ns = ns_of_ms(in_unit(value, limit)?);
    Some(MetricValue {
        at_least: true,
        n: answered.n,
        why: Some(least_text(row.cancelled, oldest_ns, answered_ns)),
        ..MetricValue::of(at_least)
    })
}

/// What to say of an error threshold that calls without an answer would decide otherwise:
/// `overdue` ones, of which each had waited longer than any successful call took.
fn overdue_errors(
    threshold: &Threshold,
    (failed, finished): (u64, u64),
    overdue: u64,
) -> Option<String> {
    let holds = |failed, finished| {
        let value = count_or_share(threshold.limit, failed, finished).value;
        value.is_some_and(|value| threshold.comparison.holds(compare(value, threshold.limit)))
    };
    let would_hold = holds(failed + overdue, finished + overdue);
    overdue_text(overdue, holds(failed, finished), would_hold)
}

/// `None`: there are no values.
fn statistic_of(readings: Readings<'_>, statistic: Statistic, limit: Limit) -> Option<MetricValue> {
    let histogram = readings.histogram();
    let in_unit_of = |whole| in_unit(Value::Whole(whole), limit);
    let (value, interval) = match statistic {
        Statistic::Quantile(quantile) => {
            let q = quantile.fraction();
            let interval = readings.quantile_interval_ns(q);
            let ends = interval.low_ns.zip(interval.high_ns);
            let ends = ends.and_then(|(low, high)| Some([in_unit_of(low)?, in_unit_of(high)?]));
            (Value::Whole(readings.quantile_ns(q)?), ends)
        }
        Statistic::Max => (Value::Whole(histogram.max_ns()?), None),
        Statistic::Mean => {
            let mean = histogram.mean_ns()?;
            let mean = match limit {
                Limit::Time(_) => tidy(mean / 1e6),
                _ => tidy(mean),
            };
            (Value::Number(mean), None)
        }
    };
    Some(MetricValue {
        n: histogram.len(),
        interval,
        ..MetricValue::of(value)
    })
}

fn count_or_share(limit: Limit, part: u64, whole: u64) -> MetricValue {
    match limit {
        Limit::Share { .. } => MetricValue {
            n: whole,
            interval: Some(share_interval(part, whole)),
            ..MetricValue::of(Value::Share { part, whole })
        },
        _ => MetricValue::of(Value::Whole(part)),
    }
}

fn find_breaking_point(threshold: &Threshold, figures: &RunFigures<'_>) -> MetricValue {
    let reached = figures.load_reached;
    let shown = match threshold.limit {
        Limit::PerSec(_) => format_rate(reached),
        _ => plural(reached as u64, "user", "users"),
    };
    match figures.breaking_point {
        Some(BreakingPoint {
            load: Some(load), ..
        }) => MetricValue::of(Value::Number(tidy(*load))),
        Some(_) => {
            MetricValue::nothing("undecided: the server changed under a load that did not grow")
        }
        None if !threshold.comparison.is_upper() && reached >= threshold.limit.in_unit() => {
            MetricValue {
                why: Some(format!("there is none up to {shown}")),
                ..MetricValue::of(Value::BeyondLoad)
            }
        }
        None if threshold.comparison.is_upper() => {
            let text = format!("undecided: there is none up to {shown}");
            MetricValue::nothing(text)
        }
        None => {
            let text = format!("undecided: the load reached {shown} only");
            MetricValue::nothing(text)
        }
    }
}

/// How a value stands to a limit of its kind.
fn compare(value: Value, limit: Limit) -> Ordering {
    match (value, limit) {
        (Value::Whole(value), Limit::Time(limit) | Limit::Bytes(limit) | Limit::Count(limit)) => {
            value.cmp(&limit)
        }
        (
            Value::Share { part, whole },
            Limit::Share {
                part: of,
                whole: all,
            },
        ) => {
            let value = u128::from(part) * u128::from(all);
            value.cmp(&(u128::from(of) * u128::from(whole)))
        }
        (Value::BeyondLoad, _) => Ordering::Greater,
        (value, limit) => {
            let value = in_unit(value, limit).unwrap_or(0.0);
            value.total_cmp(&limit.in_unit())
        }
    }
}

/// The value in the unit of the limit; `None` where it is only known to be beyond.
fn in_unit(value: Value, limit: Limit) -> Option<f64> {
    Some(match (value, limit) {
        (Value::Whole(ns), Limit::Time(_)) => ms(ns),
        (Value::Whole(count), _) => count as f64,
        (Value::Number(number), _) => number,
        (Value::Share { part, whole }, _) => share(part, whole),
        (Value::BeyondLoad, _) => return None,
    })
}

#[cfg(test)]
mod tests;
