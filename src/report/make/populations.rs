//! The figures of each population that a plan names.

use std::time::Duration;

use super::figures::{Part, server};
use crate::outcome::{Interval, Intervals, RowKind, Rows, RunOutcome, coarsen, next_length};
use crate::report::model::{PopulationFigures, PopulationSecond};
use crate::scenario::Plan;
use crate::units::{ms, rate, secs, tidy};

/// The seconds of all populations together: 20 of them have two minutes of single ones in a
/// report, two have half an hour.
const SECONDS_MAX: usize = 4_000;

/// In the order of the plan.
pub(super) fn populations(
    plan: &Plan,
    outcome: &RunOutcome,
    measured: &Part<'_>,
) -> Vec<PopulationFigures> {
    let rows = Rows::new(&outcome.start.rows, &outcome.totals);
    let mut seconds = outcome.intervals.as_ref().map_or_else(Vec::new, seconds);
    let all = plan.populations.all().iter().enumerate();
    let named = all.filter_map(|(at, population)| Some((at, population.name.as_deref()?)));
    let figures = named.map(|(at, name)| {
        let sum = |kind| rows.sum_of_population(kind, name);
        let beside_calls = |kind| sum(kind).map(|row| measured.beside_calls(&row));
        let stages = outcome.stages.iter().filter_map(|stage| {
            let measured = Part {
                elapsed: stage.length,
                examples: &stage.examples,
                ..*measured
            };
            Some(measured.calls(stage.populations.get(at)?))
        });
        let arrivals = outcome.totals.arrivals.get(at).copied();
        let arrivals = arrivals.unwrap_or_default();
        PopulationFigures {
            arrivals: arrivals.begun + arrivals.dropped,
            arrivals_dropped: arrivals.dropped,
            name: name.to_string(),
            share: tidy(plan.populations.share(at)),
            server: server(
                outcome
                    .start
                    .servers
                    .get(at)
                    .unwrap_or(outcome.start.server()),
            ),
            figures: measured.calls(&sum(RowKind::Call).unwrap_or_default()),
            handshake: beside_calls(RowKind::Handshake),
            close: beside_calls(RowKind::Close),
            stages: stages.collect(),
            seconds: seconds.get_mut(at).map(std::mem::take).unwrap_or_default(),
        }
    });
    figures.collect()
}

/// The seconds of each population, as short as their number allows.
fn seconds(intervals: &Intervals) -> Vec<Vec<PopulationSecond>> {
    let mut populations = intervals.populations.clone();
    let mut length_secs = intervals.length_secs;
    while populations.iter().map(Vec::len).sum::<usize>() > SECONDS_MAX
        && let Some(longer) = next_length(length_secs)
    {
        length_secs = longer;
        populations
            .iter_mut()
            .for_each(|intervals| coarsen(intervals, longer));
    }
    let of = |interval: &Interval| second(interval, length_secs, intervals.end);
    let all = populations.iter();
    all.map(|intervals| intervals.iter().map(of).collect())
        .collect()
}

fn second(interval: &Interval, length_secs: u32, end: Duration) -> PopulationSecond {
    const SHORTEST: Duration = Duration::from_millis(1);
    let at = Duration::from_secs(interval.second.into());
    let whole = Duration::from_secs(length_secs.into());
    // The last one may be shorter, and is never nothing.
    let length = whole.min(end.saturating_sub(at)).max(SHORTEST);
    let latency = interval.latency.unpacked();
    let quantile = |q| latency.quantile_ns(q).map(ms);
    PopulationSecond {
        at_secs: secs(at),
        length_secs: secs(length),
        started: interval.started,
        ok: interval.ok,
        failed: interval.failed,
        rate_per_sec: rate(interval.ok + interval.failed, length),
        p50_ms: quantile(0.5),
        p95_ms: quantile(0.95),
        p99_ms: quantile(0.99),
        max_ms: latency.max_ns().map(ms),
    }
}
