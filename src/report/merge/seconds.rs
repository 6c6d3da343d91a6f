//! The seconds of several reports, aligned by their offset from the start.

use std::collections::BTreeMap;

use crate::metrics::Histogram;
use crate::outcome::Intervals;
use crate::report::model::{PopulationSecond, Report, SecondFigures};
use crate::units::{ms, tidy};

/// The seconds of all. Percentiles are those of the added histograms, where each second
/// has one, and else only told where one part alone has calls.
pub(super) fn merged(all: &[&Report], intervals: Option<&Intervals>) -> Vec<SecondFigures> {
    let mut by_number: BTreeMap<u64, Vec<&SecondFigures>> = BTreeMap::new();
    for second in all.iter().flat_map(|report| &report.seconds) {
        by_number
            .entry(second.at_secs as u64)
            .or_default()
            .push(second);
    }
    let of_all = intervals.filter(|all| all.length_secs == 1);
    let of_all = of_all.and_then(|all| all.rows.iter().find(|row| row.row.is_none()));
    let histograms = of_all.map(|row| {
        let each = row.intervals.iter();
        each.map(|it| (u64::from(it.second), it.latency.unpacked()))
            .collect()
    });
    let histograms: BTreeMap<u64, Histogram> = histograms.unwrap_or_default();
    let seconds = by_number.into_iter();
    seconds
        .map(|(number, parts)| sum(&parts, histograms.get(&number)))
        .collect()
}

/// Those of one population, in pieces as long as those of the part that has the longest.
/// Percentiles are told where one part alone has calls: the reports keep no histogram of a
/// population's pieces.
pub(super) fn seconds_of_population<'a>(
    parts: impl Iterator<Item = &'a [PopulationSecond]> + Clone,
) -> Vec<PopulationSecond> {
    let all = || parts.clone().flatten();
    let length = all().map(|it| it.length_secs).fold(1.0, f64::max).ceil();
    let mut by_number: BTreeMap<u64, Vec<&PopulationSecond>> = BTreeMap::new();
    for piece in all() {
        let number = (piece.at_secs / length) as u64;
        by_number.entry(number).or_default().push(piece);
    }
    let pieces = by_number.into_iter();
    let pieces = pieces.map(|(number, pieces)| {
        let count = |of: fn(&PopulationSecond) -> u64| {
            pieces
                .iter()
                .fold(0, |sum: u64, it| sum.saturating_add(of(it)))
        };
        let mut with_calls = pieces.iter().filter(|it| it.ok > 0);
        let only = with_calls.next().filter(|_| with_calls.next().is_none());
        let at_secs = number as f64 * length;
        let end = |it: &&PopulationSecond| it.at_secs + it.length_secs;
        let end = pieces.iter().map(end).fold(at_secs, f64::max);
        let length_secs = (end - at_secs).clamp(1e-3, length);
        let (ok, failed) = (count(|it| it.ok), count(|it| it.failed));
        PopulationSecond {
            at_secs,
            length_secs: tidy(length_secs),
            started: count(|it| it.started),
            ok,
            failed,
            rate_per_sec: tidy(ok.saturating_add(failed) as f64 / length_secs),
            p50_ms: only.and_then(|it| it.p50_ms),
            p95_ms: only.and_then(|it| it.p95_ms),
            p99_ms: only.and_then(|it| it.p99_ms),
            max_ms: pieces.iter().filter_map(|it| it.max_ms).reduce(f64::max),
        }
    });
    pieces.collect()
}

fn sum(parts: &[&SecondFigures], histogram: Option<&Histogram>) -> SecondFigures {
    let each = || parts.iter().copied();
    let count = |of: fn(&SecondFigures) -> u64| each().map(of).sum::<u64>();
    let most = |of: fn(&SecondFigures) -> Option<f64>| each().filter_map(of).reduce(f64::max);
    // A percentile of one part is not that of all. A part that was merged itself may have
    // values and not tell their percentile.
    let only = |has: fn(&SecondFigures) -> bool, of: fn(&SecondFigures) -> Option<f64>| {
        let mut parts = each().filter(|it| has(it) || of(it).is_some());
        let first = parts.next();
        first.filter(|_| parts.next().is_none()).and_then(of)
    };
    let has_calls = |it: &SecondFigures| it.started + it.ok + it.failed > 0;
    let (ok, failed) = (count(|it| it.ok), count(|it| it.failed));
    let whole = histogram.filter(|histogram| histogram.len() == ok);
    let quantile = |q: f64, of: fn(&SecondFigures) -> Option<f64>| match whole {
        Some(histogram) => histogram.quantile_ns(q).map(ms),
        None => only(|it| it.ok > 0, of),
    };
    let in_flight: Option<Vec<f64>> = each().map(|it| it.in_flight_mean).collect();
    let length_secs = each().map(|it| it.length_secs).fold(0.0, f64::max);
    let rate = (ok + failed) as f64 / length_secs;
    SecondFigures {
        at_secs: each().map(|it| it.at_secs).fold(f64::MAX, f64::min),
        length_secs,
        vus: each().fold(0, |sum: u32, it| sum.saturating_add(it.vus)),
        started: count(|it| it.started),
        ok,
        failed,
        rate_limited: count(|it| it.rate_limited),
        rate_per_sec: tidy(rate),
        p50_ms: quantile(0.5, |it| it.p50_ms),
        p95_ms: quantile(0.95, |it| it.p95_ms),
        p99_ms: quantile(0.99, |it| it.p99_ms),
        max_ms: most(|it| it.max_ms),
        dropped: count(|it| it.dropped),
        in_flight_mean: in_flight.map(|all| tidy(all.iter().sum())),
        in_flight_max: count(|it| it.in_flight_max),
        busy_share: most(|it| it.busy_share),
        run_delay_share: most(|it| it.run_delay_share),
        turn_max_ms: most(|it| Some(it.turn_max_ms)).unwrap_or(0.0),
        lateness_p99_ms: only(has_calls, |it| it.lateness_p99_ms),
        generator_delay_p99_ms: only(has_calls, |it| it.generator_delay_p99_ms),
        steal_share: most(|it| it.steal_share),
        throttled_share: most(|it| it.throttled_share),
        limited_by: each().find_map(|it| it.limited_by.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(at_secs: f64, length_secs: f64, ok: u64, ms: Option<f64>) -> PopulationSecond {
        PopulationSecond {
            at_secs,
            length_secs,
            started: ok + 1,
            ok,
            failed: 1,
            rate_per_sec: (ok + 1) as f64 / length_secs,
            p50_ms: ms,
            p95_ms: ms,
            p99_ms: ms,
            max_ms: ms,
        }
    }

    /// Counts are sums, percentiles those of one part alone, and pieces as long as the
    /// longest.
    #[test]
    fn the_pieces_of_a_population_are_added() {
        let fine = [
            piece(0.0, 1.0, 4, Some(1.0)),
            piece(1.0, 1.0, 0, None),
            piece(7.0, 0.5, 6, Some(3.0)),
        ];
        let coarse = [piece(0.0, 5.0, 20, Some(2.0))];
        let parts: [&[PopulationSecond]; 2] = [&fine, &coarse];
        let sum = seconds_of_population(parts.into_iter());
        let found: Vec<_> = sum
            .iter()
            .map(|it| (it.at_secs, it.length_secs, it.started, it.ok, it.failed))
            .collect();
        assert_eq!(found, [(0.0, 5.0, 27, 24, 3), (5.0, 2.5, 7, 6, 1)]);
        assert_eq!((sum[0].p50_ms, sum[0].max_ms), (None, Some(2.0)));
        assert_eq!((sum[1].p50_ms, sum[1].rate_per_sec), (Some(3.0), 2.8));
        // A stranger's figures are added without a panic.
        let odd = [
            piece(1e300, 1e300, u64::MAX - 1, None),
            piece(-1.0, 0.0, 1, None),
        ];
        assert!(!seconds_of_population([&odd[..]].into_iter()).is_empty());
    }
}
