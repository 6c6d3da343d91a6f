//! Whether a run is steady within itself: a machine or a server that changes while one
//! run lasts changes as much from one run to the next.

use super::estimate::Mean;
use super::steady::Steady;
use super::student::t_above;
use crate::outcome::{ComparedRun, RunSample, SampleRow};
use crate::units::tidy;

/// Parts of a run that are held against each other.
const N_PARTS: usize = 10;
/// Calls that a part needs for its median.
const CALLS_MIN: u64 = 20;
/// A movement that matters, as a share.
const MOVED_MIN: f64 = 0.05;
/// Wrong alarms, two-sided.
const ALPHA: f64 = 0.01;

/// A run as it is told of. `steady`: the part that is compared, where there is one.
pub(super) fn told(run: &RunSample, row: &SampleRow, steady: Option<&Steady>) -> ComparedRun {
    let medians = steady.and_then(|steady| medians(run, row, steady));
    let slow_start = medians.as_deref().and_then(slow_start);
    let drift = medians.as_deref().and_then(|medians| match slow_start {
        // A slow start alone would look like a drift.
        Some(_) => drift(&medians[1..]),
        None => drift(medians),
    });
    ComparedRun {
        file: run.file.clone(),
        started_at: run.facts.started_at.clone(),
        drift,
        slow_start,
    }
}

/// The logarithm of the median of each part.
fn medians(run: &RunSample, row: &SampleRow, steady: &Steady) -> Option<Vec<f64>> {
    let parts = steady.parts(run, row, N_PARTS);
    let median = |latency: &crate::outcome::Histogram| {
        let ns = latency
            .quantile_ns(0.5)
            .filter(|_| latency.len() >= CALLS_MIN)?;
        Some((ns.max(1) as f64).ln())
    };
    parts.iter().map(|part| median(&part.latency)).collect()
}

/// By how much the first part is above the others.
fn slow_start(medians: &[f64]) -> Option<f64> {
    let (first, rest) = medians.split_first()?;
    let rest = Mean::of(rest, 1e-6);
    let rise = first - rest.value;
    // One more value, beside the mean of the others.
    let error = (rest.variance * (rest.n + 1) as f64).sqrt();
    let chance = t_above(rise / error, (rest.n - 1) as f64);
    (chance <= ALPHA / 2.0 && rise > (1.0 + MOVED_MIN).ln()).then(|| tidy(rise.exp_m1()))
}

/// By how much a straight line through them rises or falls, from the first to the last.
fn drift(medians: &[f64]) -> Option<f64> {
    let n = medians.len() as f64;
    let middle = (n - 1.0) / 2.0;
    let mean = medians.iter().sum::<f64>() / n;
    let places = || (0..medians.len()).map(|at| at as f64 - middle);
    let squares: f64 = places().map(|at| at * at).sum();
    let slope = places()
        .zip(medians)
        .map(|(at, value)| at * (value - mean))
        .sum::<f64>()
        / squares;
    let left = places()
        .zip(medians)
        .map(|(at, value)| value - mean - slope * at);
    let variance = left.map(|off| off * off).sum::<f64>() / (n - 2.0);
    let error = (variance.max(1e-6) / squares).sqrt();
    let moved = slope * (n - 1.0);
    let chance = 2.0 * t_above((slope / error).abs(), n - 2.0);
    (chance <= ALPHA && moved.abs() > (1.0 + MOVED_MIN).ln()).then(|| tidy(moved.exp_m1()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_and_a_slow_start_are_seen_and_noise_is_not() {
        let noise = [
            0.01, -0.02, 0.015, 0.0, -0.01, 0.02, -0.015, 0.005, -0.005, 0.0,
        ];
        assert_eq!((slow_start(&noise), drift(&noise)), (None, None));
        let rising: Vec<f64> = (0..)
            .zip(noise)
            .map(|(i, off)| 0.02 * f64::from(i) + off)
            .collect();
        let moved = drift(&rising).expect("a drift");
        assert!((0.15..0.25).contains(&moved), "{moved}");
        let mut slow = noise;
        slow[0] = 0.3;
        let rise = slow_start(&slow).expect("a slow start");
        assert!((0.3..0.4).contains(&rise), "{rise}");
        assert_eq!(drift(&slow[1..]), None);
    }
}
