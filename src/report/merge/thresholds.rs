//! Thresholds of a merged report: decided again on what was added, where it tells the
//! value, and else as the worst of the parts, which is said.

use crate::report::model::{
    Figures, GateGrade, GateOutcome, Report, StoredKind, StoredRow, ThresholdFigures,
};
use crate::threshold::{Comparison, INTERRUPTED, LimitUnit, Selector, SelectorKind, Severity};
use crate::units::{ms, tidy};

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
    // that was interrupted leaves the whole without it.
    let mut whys = all.iter().filter_map(|part| part.gate.why.as_deref());
    let why = whys.find(|why| *why == INTERRUPTED || report.totals.ok == 0);
    report.gate = GateOutcome::of(&decided, why.map(str::to_string));
    report.thresholds = decided;
}

fn decide(
    report: &Report,
    threshold: &ThresholdFigures,
    of_parts: &[&ThresholdFigures],
) -> ThresholdFigures {
    let aborted = of_parts.iter().any(|it| it.aborted);
    let worst = of_parts.iter().map(|it| it.grade).max().unwrap_or_default();
    let value = value(report, threshold);
    let is_percentile = quantile(&threshold.metric).is_some();
    let is_near = |value: f64| (value - threshold.limit).abs() <= BUCKET * threshold.limit.abs();
    let why = match value {
        None => Some("not decided again: the reports do not tell the value of all".to_string()),
        Some(value) if is_percentile && is_near(value) => {
            Some("within 0.1 % of the limit: the worst of the parts".to_string())
        }
        Some(_) => None,
    };
    let is_kept = match (value, &why) {
        (Some(value), None) => Some(
            threshold
                .comparison
                .holds(value.total_cmp(&threshold.limit)),
        ),
        _ => None,
    };
    ThresholdFigures {
        value,
        margin: value.and_then(|value| margin(value, threshold)),
        grade: match (is_kept, threshold.severity) {
            (None, _) => worst,
            (Some(true), _) => GateGrade::Passed,
            (Some(false), Severity::Warn) => GateGrade::Warned,
            (Some(false), Severity::Fail) => GateGrade::Failed,
        },
        few: of_parts.iter().all(|it| it.few),
        interval: None,
        why,
        aborted,
        ..threshold.clone()
    }
}

fn margin(value: f64, threshold: &ThresholdFigures) -> Option<f64> {
    let within = match threshold.comparison {
        Comparison::Equal | Comparison::Unequal => return None,
        upper if upper.is_upper() => threshold.limit - value,
        _ => value - threshold.limit,
    };
    (threshold.limit != 0.0).then(|| tidy(within / threshold.limit))
}

/// Of `p99.9`: 0.999.
fn quantile(metric: &str) -> Option<f64> {
    let percent: f64 = metric.strip_prefix('p')?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

fn value(report: &Report, threshold: &ThresholdFigures) -> Option<f64> {
    let metric = threshold.metric.as_str();
    if let Some(of_handshake) = metric.strip_prefix("handshake.") {
        let row = stored(report, |row| row.kind == StoredKind::Handshake)?;
        return row
            .histogram()
            .ok()?
            .quantile_ns(quantile(of_handshake)?)
            .map(ms);
    }
    let (figures, row) = selected(report, threshold.selector.as_ref())?;
    if let Some(q) = quantile(metric) {
        return row?.histogram().ok()?.quantile_ns(q).map(ms);
    }
    let finished = figures.ok + figures.failed;
    let errors = |count: u64| match threshold.unit {
        LimitUnit::Share => (finished > 0).then(|| count as f64 / finished as f64),
        LimitUnit::Count => Some(count as f64),
        _ => None,
    };
    match metric {
        "max" => figures.latency.max_ms,
        "mean" => figures.latency.mean_ms,
        "rate" => figures.rate_per_sec,
        "errors" => errors(figures.failed),
        other => {
            let cause = other.strip_prefix("errors.")?;
            let below = format!("{cause}.");
            let is_of = |id: &str| id == cause || id.starts_with(&below);
            let of_cause = figures.failures.iter().filter(|it| is_of(&it.id));
            errors(of_cause.map(|it| it.count).sum())
        }
    }
}

/// The block that a selector names, with its histogram.
fn selected<'r>(
    report: &'r Report,
    selector: Option<&Selector>,
) -> Option<(&'r Figures, Option<&'r StoredRow>)> {
    let Some(selector) = selector else {
        let row = stored(report, |row| row.kind == StoredKind::Total);
        return Some((&report.totals, row));
    };
    let method = match selector.kind {
        SelectorKind::Tool => "tools/call",
        SelectorKind::Resource => "resources/read",
        SelectorKind::Prompt => "prompts/get",
        SelectorKind::Stage => {
            let at = selector.name.parse::<usize>().ok()?.checked_sub(1)?;
            let row = stored(report, |row| {
                row.kind == StoredKind::Stage && row.stage == Some(at)
            });
            return Some((&report.stages.get(at)?.figures, row));
        }
    };
    let is_its = |of_method: &str, subject: &Option<String>| {
        of_method == method && subject.as_ref() == Some(&selector.name)
    };
    let mut operations = report.operations.iter();
    let mut operations = operations
        .by_ref()
        .filter(|it| is_its(&it.method, &it.subject));
    let operation = operations.next()?;
    // Several steps of one name are not one block.
    if operations.next().is_some() {
        return None;
    }
    let row = stored(report, |row| {
        let is_method = row
            .method
            .as_deref()
            .is_some_and(|of| is_its(of, &row.subject));
        row.kind == StoredKind::Call && is_method
    });
    Some((&operation.figures, row))
}

fn stored(report: &Report, is_its: impl Fn(&StoredRow) -> bool) -> Option<&StoredRow> {
    let rows = &report.histograms.as_ref()?.rows;
    rows.iter().find(|row| is_its(row))
}
