//! Thresholds of a merged report: decided again on what was added, where it tells the
//! value, and else as the worst of the parts, which is said.

use super::blocks::added;
use crate::metrics::{CensoredReadings, Histogram, share_interval};
use crate::report::model::{
    BytesFigures, CauseCount, Figures, GateGrade, GateOutcome, LatencyFigures, OperationFigures,
    OtherLatency, Report, StoredKind, StoredRow, ThresholdFigures,
};
use crate::threshold::{
    Comparison, DEFERRED, LimitUnit, NOT_ISOLATED, Selector, SelectorKind, Severity, TIMEOUT,
    least_decides, least_text, overdue_text,
};
use crate::units::{ms, ns_of_ms, tidy};
use crate::validity::LateEnd;

/// Buckets are so wide: a percentile nearer to its limit may be on either side.
const BUCKET: f64 = 1e-3;

/// Decides the thresholds of the first report, which all have: another plan is refused.
pub(super) fn decide_again(report: &mut Report, all: &[&Report]) {
    let mut decided = Vec::new();
    for of_first in all.iter().flat_map(|part| &part.thresholds) {
        let is_there = |other: &ThresholdFigures| other.text == of_first.text;
        if decided.iter().any(is_there) {
            continue;
        }
        let of_parts: Vec<&ThresholdFigures> = all
            .iter()
            .filter_map(|part| part.thresholds.iter().find(|it| is_there(it)))
            .collect();
        decided.push(decide(report, of_first, &of_parts));
    }
    // A part in which none succeeded fails by itself; the whole only without any. A part
    // that was interrupted leaves the whole without it. What leaked in one has leaked.
    let mut whys = all.iter().filter_map(|part| part.gate.why.as_deref());
    let cut_off = |why: &str| all.iter().any(|it| it.run.ended.why_cut_off() == Some(why));
    let why = whys.find(|why| cut_off(why) || *why == NOT_ISOLATED || report.totals.ok == 0);
    report.gate = GateOutcome::of(&decided, why.map(str::to_string));
    report.thresholds = decided;
}

/// What the sum says of a threshold.
enum SumTold {
    /// The value of all and its 95 % interval, in the unit of the limit.
    Value(SumValue),
    /// It is kept, for this reason, without a value.
    Kept(String),
    /// Nothing, for this reason.
    Untold(String),
}

/// A value of all parts together.
#[derive(Clone, Default)]
struct SumValue {
    value: f64,
    /// As that of one run is told: by the ranks of the values, or the score of a share.
    interval: Option<[f64; 2]>,
    /// It is the least that it can be.
    at_least: bool,
    /// What calls without an answer do to it.
    why: Option<String>,
}

impl From<f64> for SumValue {
    fn from(value: f64) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }
}

fn decide(
    report: &Report,
    threshold: &ThresholdFigures,
    of_parts: &[&ThresholdFigures],
) -> ThresholdFigures {
    // Some segments are still missing.
    let deferred = is_rate(threshold) && !report.plan["segment"].is_null();
    let worst = of_parts.iter().map(|it| it.grade).max().unwrap_or_default();
    let is_percentile = quantile_of(&threshold.metric).is_some();
    let found = value(report, threshold, of_parts);
    let aborting = of_parts.iter().find(|it| it.aborted);
    let is_near = |value: f64| (value - threshold.limit).abs() <= BUCKET * threshold.limit.abs();
    // Where each part has more values on one side of the limit than its rank, so do all
    // together.
    let agree = of_parts.iter().all(|it| it.grade == worst);
    let of_worst = match is_percentile && agree {
        true => "as each part came out, so do all",
        false => "the worst of the parts",
    };
    let (interval, at_least) = match &found {
        SumTold::Value(found) if aborting.is_none() => (found.interval, found.at_least),
        _ => (None, false),
    };
    let (value, is_kept, why) = match found {
        _ if aborting.is_some() => (None, None, aborting.and_then(|it| it.why.clone())),
        SumTold::Value(found) if is_percentile && is_near(found.value) => {
            let why = format!("within 0.1% of the limit: {of_worst}");
            (Some(found.value), None, Some(why))
        }
        SumTold::Value(SumValue { value, why, .. }) => {
            let of = |value: f64| holds(threshold, value);
            let why = why.or_else(|| {
                let end = late_end(report, threshold)?;
                end.beside_limit(value, report.totals.rate_per_sec?, of)
            });
            (Some(value), Some(of(value)), why)
        }
        SumTold::Kept(why) => (None, Some(true), Some(why)),
        SumTold::Untold(why) => {
            match of_parts.iter().all(|it| it.deferred) {
                // No part has judged it.
                true => (None, Some(false), Some(why)),
                false => {
                    let why = format!("not decided again: {why}: {of_worst}");
                    (None, None, Some(why))
                }
            }
        }
    };
    ThresholdFigures {
        value,
        at_least,
        deferred,
        margin: value
            .filter(|_| !deferred)
            .and_then(|value| margin(value, threshold)),
        grade: match (is_kept, threshold.severity) {
            _ if deferred => GateGrade::Passed,
            (None, _) => worst,
            (Some(true), _) => GateGrade::Passed,
            (Some(false), Severity::Warn) => GateGrade::Warned,
            (Some(false), Severity::Fail) => GateGrade::Failed,
        },
        few: of_parts.iter().all(|it| it.few),
        interval,
        why: match deferred {
            true => Some(DEFERRED.to_string()),
            false => why,
        },
        aborted: aborting.is_some(),
        ..threshold.clone()
    }
}

/// What the last calls did to a rate; not to that of a stage, which has a time of its own.
fn late_end(report: &Report, threshold: &ThresholdFigures) -> Option<LateEnd> {
    let selector = threshold.selector.as_ref();
    let is_stage = selector.is_some_and(|it| it.kind == SelectorKind::Stage);
    let bounds = report
        .verdict
        .bounds
        .filter(|_| is_rate(threshold) && !is_stage);
    bounds.and_then(|bounds| bounds.late_end)
}

fn is_rate(threshold: &ThresholdFigures) -> bool {
    ["rate", "goodput"].contains(&threshold.metric.as_str())
}

fn holds(threshold: &ThresholdFigures, value: f64) -> bool {
    let comparison = threshold.comparison;
    comparison.holds(value.total_cmp(&threshold.limit))
}

fn margin(value: f64, threshold: &ThresholdFigures) -> Option<f64> {
    let within = match threshold.comparison {
        Comparison::Equal | Comparison::Unequal => return None,
        upper if upper.is_upper() => threshold.limit - value,
        _ => value - threshold.limit,
    };
    (threshold.limit != 0.0).then(|| tidy(within / threshold.limit))
}

/// Of `p99.9`, `handshake.p99.9` and `bytes.p99.9`: 0.999.
fn quantile_of(metric: &str) -> Option<f64> {
    let metric = ["handshake.", "bytes."]
        .iter()
        .find_map(|prefix| metric.strip_prefix(prefix))
        .unwrap_or(metric);
    let percent: f64 = metric.strip_prefix('p')?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

fn value(report: &Report, threshold: &ThresholdFigures, of_parts: &[&ThresholdFigures]) -> SumTold {
    let metric = threshold.metric.as_str();
    let counters = &report.counters;
    let population = threshold.selector.as_ref();
    let population = population.and_then(Selector::whole_population);
    let of_population = |name: &str| report.populations.iter().find(|it| it.name == name);
    let found = match metric {
        "breaking_point" => return breaking_point(report, threshold, of_parts),
        "dropped" => {
            let (dropped, arrivals) = match population {
                Some(name) => {
                    of_population(name).map_or((0, 0), |it| (it.arrivals_dropped, it.arrivals))
                }
                None => (counters.arrivals_dropped, counters.arrivals),
            };
            match arrivals {
                0 => Err("nothing arrived"),
                arrivals => count_or_share(threshold, dropped, arrivals),
            }
        }
        "sessions.lost" => match counters.sessions_opened {
            0 => Err("no session was opened"),
            _ => Ok((counters.sessions_expired as f64).into()),
        },
        _ => match metric.strip_prefix("handshake.") {
            Some(statistic) => {
                let figures = match population {
                    Some(name) => of_population(name).and_then(|it| it.handshake.as_ref()),
                    None => report.handshake.as_ref(),
                };
                let is_its = |row: &StoredRow| {
                    row.kind == StoredKind::Handshake && row.population.as_deref() == population
                };
                let blocks = figures.into_iter();
                let blocks =
                    blocks.map(|figures| SelectedBlock::of(figures, stored(report, is_its)));
                let blocks: Vec<SelectedBlock<'_>> = blocks.collect();
                latency(&blocks, statistic, threshold)
            }
            None => match selected(report, threshold.selector.as_ref()) {
                Some(selected) => of_calls(&selected, threshold),
                None => Err("it is about no block of the reports"),
            },
        },
    };
    match found {
        Ok(value) => SumTold::Value(value),
        Err(why) => SumTold::Untold(why.to_string()),
    }
}

/// The load of the whole is that of the parts together, so that at least the load that
/// one of them reached by itself.
fn breaking_point(
    report: &Report,
    threshold: &ThresholdFigures,
    of_parts: &[&ThresholdFigures],
) -> SumTold {
    if report.breaking_point.detected {
        let why = "at which load of all parts the server broke, nobody saw";
        return SumTold::Untold(why.to_string());
    }
    let is_reached = of_parts.iter().any(|it| it.grade == GateGrade::Passed);
    match is_reached && !threshold.comparison.is_upper() {
        true => SumTold::Kept("there is none up to the load of one part alone".to_string()),
        false => SumTold::Untold("which load the parts reached together is not stored".to_string()),
    }
}

/// A block of figures that a threshold is about.
struct SelectedBlock<'r> {
    figures: &'r Figures,
    latency: &'r LatencyFigures,
    row: Option<&'r StoredRow>,
}

impl<'r> SelectedBlock<'r> {
    fn of(figures: &'r Figures, row: Option<&'r StoredRow>) -> Self {
        Self {
            figures,
            latency: &figures.latency,
            row,
        }
    }
}

type Told = Result<SumValue, &'static str>;

fn of_calls(selected: &Selected<'_>, threshold: &ThresholdFigures) -> Told {
    let (blocks, bytes) = (&selected.blocks, &selected.bytes);
    let secs = selected.secs;
    let sum = |of: fn(&Figures) -> u64| blocks.iter().map(|it| of(it.figures)).sum::<u64>();
    let (ok, failed) = (sum(|it| it.ok), sum(|it| it.failed));
    let finished = ok + failed;
    let rate = |count: u64| -> Told {
        match finished > 0 && secs > 0.0 {
            true => Ok(tidy(count as f64 / secs).into()),
            false => Err("no call ended"),
        }
    };
    match threshold.metric.as_str() {
        "rate" => rate(finished),
        "goodput" => rate(ok),
        "errors" => failures(blocks, threshold, failed, finished),
        other => match (other.strip_prefix("bytes."), other.strip_prefix("errors.")) {
            (Some(_), _) if ok == 0 => Err("no call succeeded"),
            (Some(statistic), _) => match (statistic, bytes) {
                (_, None) => Err("a part is of a version that keeps no bytes"),
                ("max", Some(all)) => {
                    let largest = all.iter().map(|it| it.answer.max).max();
                    Ok((largest.unwrap_or(0) as f64).into())
                }
                ("mean", Some(all)) => {
                    let total: u64 = all.iter().map(|it| it.answer.total).sum();
                    Ok(tidy(total as f64 / ok as f64).into())
                }
                _ => Err("the reports keep no histogram of bytes"),
            },
            (None, Some(cause)) => {
                let below = format!("{cause}.");
                let is_of = |it: &&CauseCount| {
                    it.id == cause || it.group == *cause || it.id.starts_with(&below)
                };
                let causes = blocks.iter().flat_map(|it| &it.figures.failures);
                let count = causes.filter(is_of).map(|it| it.count).sum();
                match cause {
                    TIMEOUT => failures(blocks, threshold, count, finished),
                    _ => count_or_share(threshold, count, finished),
                }
            }
            (None, None) => latency(blocks, other, threshold),
        },
    }
}

fn count_or_share(threshold: &ThresholdFigures, part: u64, whole: u64) -> Told {
    match threshold.unit {
        LimitUnit::Share if whole > 0 => Ok(SumValue {
            interval: Some(share_interval(part, whole)),
            ..SumValue::from(part as f64 / whole as f64)
        }),
        LimitUnit::Share => Err("no call ended"),
        _ => Ok((part as f64).into()),
    }
}

/// Failures of these calls, and what those without an answer would do to them.
fn failures(
    blocks: &[SelectedBlock<'_>],
    threshold: &ThresholdFigures,
    failed: u64,
    finished: u64,
) -> Told {
    let found = count_or_share(threshold, failed, finished)?;
    let longest_ms = blocks.iter().filter_map(|it| {
        let service = it.figures.service_latency.unwrap_or(it.figures.latency);
        service.max_ms
    });
    let longest_ns = ns_of_ms(longest_ms.fold(0.0, f64::max));
    let overdue = unanswered(blocks)?.count_surely_over(longest_ns);
    let with_them = count_or_share(threshold, failed + overdue, finished + overdue)?;
    let [is_held, would_be] = [&found, &with_them].map(|it| holds(threshold, it.value));
    Ok(SumValue {
        why: overdue_text(overdue, is_held, would_be),
        ..found
    })
}

/// How long the calls without an answer had waited.
fn unanswered(blocks: &[SelectedBlock<'_>]) -> Result<Histogram, &'static str> {
    let mut ages = Histogram::new();
    for row in blocks.iter().filter_map(|block| block.row) {
        let of_row = row.other(OtherLatency::CancelledAge);
        if let Some(of_row) = of_row.map_err(|_| UNREADABLE)? {
            ages.merge(&of_row);
        }
    }
    Ok(ages)
}

const UNREADABLE: &str = "a histogram cannot be read";

/// `p99`, `max` or `mean` of the latency of all these blocks: the least that it can be with
/// the calls that had no answer, where that decides.
fn latency(blocks: &[SelectedBlock<'_>], statistic: &str, threshold: &ThresholdFigures) -> Told {
    let mut parts = Vec::new();
    for block in blocks {
        let histogram = block.row.map(StoredRow::histogram).transpose();
        let histogram = histogram.map_err(|_| UNREADABLE)?;
        parts.push((*block.latency, histogram));
    }
    let added = added(parts).map_err(|_| "a histogram does not agree with its figures")?;
    let (figures, histogram) = added;
    if figures.count == 0 {
        return Err("nothing succeeded");
    }
    let answered = match statistic {
        "max" => figures.max_ms.map(SumValue::from),
        "mean" => figures.mean_ms.map(SumValue::from),
        _ => {
            let histogram = histogram.as_ref();
            let histogram = histogram.ok_or("a report keeps no histogram of them")?;
            statistic_of(histogram, statistic)
        }
    };
    let answered = answered.ok_or("the reports do not tell the value of all")?;
    let ages = unanswered(blocks)?;
    let censored = histogram.and_then(|it| CensoredReadings::of((&it).into(), &ages));
    let least = censored.and_then(|it| statistic_of(it.readings().histogram(), statistic));
    let to_limit = |it: &SumValue| it.value.total_cmp(&threshold.limit);
    Ok(match least.zip(ages.max_ns()) {
        Some((least, oldest_ns))
            if least_decides(threshold.comparison, to_limit(&answered), to_limit(&least)) =>
        {
            SumValue {
                why: Some(least_text(ages.len(), oldest_ns, ns_of_ms(answered.value))),
                at_least: true,
                interval: None,
                ..least
            }
        }
        _ => answered,
    })
}

fn statistic_of(histogram: &Histogram, statistic: &str) -> Option<SumValue> {
    match statistic {
        "max" => Some(ms(histogram.max_ns()?).into()),
        "mean" => Some(tidy(histogram.mean_ns()? / 1e6).into()),
        statistic => {
            let q = quantile_of(statistic)?;
            let interval = histogram.quantile_interval_ns(q);
            let ends = interval.low_ns.zip(interval.high_ns);
            Some(SumValue {
                interval: ends.map(|(low, high)| [ms(low), ms(high)]),
                ..SumValue::from(ms(histogram.quantile_ns(q)?))
            })
        }
    }
}

/// What a selector names.
struct Selected<'r> {
    blocks: Vec<SelectedBlock<'r>>,
    /// What their successful calls took over the wire, where all blocks tell it.
    bytes: Option<Vec<BytesFigures>>,
    /// How long the calls were made.
    secs: f64,
}

fn selected<'r>(report: &'r Report, selector: Option<&Selector>) -> Option<Selected<'r>> {
    let one = |block, bytes, secs| Selected {
        blocks: vec![block],
        bytes,
        secs,
    };
    let secs = report.duration_secs;
    let Some(selector) = selector else {
        let row = stored(report, |row| row.kind == StoredKind::Total);
        let bytes = bytes_of(report.operations.iter());
        return Some(one(SelectedBlock::of(&report.totals, row), bytes, secs));
    };
    let name = &selector.name;
    let population = selector.population.as_ref();
    let is_of_population =
        |its: &Option<String>| population.is_none_or(|name| its.as_ref() == Some(name));
    let method = match selector.kind {
        SelectorKind::Stage => {
            let number = name.parse::<usize>().ok()?;
            let at = report.stages.iter().position(|it| it.number == number)?;
            let stage = &report.stages[at];
            let figures = match population {
                None => &stage.figures,
                Some(name) => {
                    let its = report.populations.iter().find(|it| it.name == *name);
                    its?.stages.get(at)?
                }
            };
            let is_its = |row: &StoredRow| {
                row.kind == StoredKind::Stage
                    && row.stage == Some(at)
                    && row.population.as_ref() == population
            };
            let block = SelectedBlock::of(figures, stored(report, is_its));
            return Some(one(block, None, stage.length_secs));
        }
        SelectorKind::Flow => {
            // One of each population that does it.
            let flows = report.flows.iter().filter(|flow| flow.name == *name);
            let flows = flows.filter(|flow| is_of_population(&flow.population));
            let blocks = flows.map(|flow| SelectedBlock {
                figures: &flow.figures,
                latency: &flow.busy,
                row: stored(report, |row| {
                    row.kind == StoredKind::FlowBusy
                        && row.flow.as_ref() == Some(name)
                        && row.population == flow.population
                }),
            });
            let blocks: Vec<SelectedBlock<'r>> = blocks.collect();
            return (!blocks.is_empty()).then_some(Selected {
                blocks,
                bytes: None,
                secs,
            });
        }
        SelectorKind::Step | SelectorKind::Population => None,
        SelectorKind::Tool => Some("tools/call"),
        SelectorKind::Resource => Some("resources/read"),
        SelectorKind::Prompt => Some("prompts/get"),
    };
    let is_its = |it: &&OperationFigures| match method {
        None if selector.kind == SelectorKind::Population => it.population.as_ref() == Some(name),
        None => it.name.as_ref() == Some(name),
        Some(method) => it.method == method && it.subject.as_ref() == Some(name),
    };
    let operations = || {
        let of_population = report.operations.iter();
        let of_population = of_population.filter(|it| is_of_population(&it.population));
        of_population.filter(is_its)
    };
    let blocks = operations().map(|it| SelectedBlock::of(&it.figures, row_of(report, it)));
    let blocks: Vec<SelectedBlock<'r>> = blocks.collect();
    let bytes = bytes_of(operations());
    (!blocks.is_empty()).then_some(Selected {
        blocks,
        bytes,
        secs,
    })
}

/// `None` where one of them does not tell.
fn bytes_of<'r>(
    operations: impl Iterator<Item = &'r OperationFigures>,
) -> Option<Vec<BytesFigures>> {
    let some = operations.filter(|it| it.figures.ok > 0);
    some.map(|it| it.bytes).collect()
}

fn row_of<'r>(report: &'r Report, operation: &OperationFigures) -> Option<&'r StoredRow> {
    stored(report, |row| {
        row.kind == StoredKind::Call
            && row.method.as_ref() == Some(&operation.method)
            && row.subject == operation.subject
            && row.name == operation.name
            && row.flow == operation.flow
            && row.population == operation.population
    })
}

fn stored(report: &Report, is_its: impl Fn(&StoredRow) -> bool) -> Option<&StoredRow> {
    let rows = &report.histograms.as_ref()?.rows;
    rows.iter().find(|row| is_its(row))
}
