//! Whether the shape of the latencies changed, where their percentiles did not: a
//! second peak may grow for long before a percentile lies in it.
//!
//! All latencies may shift by the margin. What lies beyond is the largest difference of
//! the two distribution functions, one of them shifted (Kolmogorov and Smirnov's
//! distance with a tolerance). Where it is large enough to matter, the shares of calls
//! above that latency are compared from batch to batch, at a level that allows for
//! having looked for the place.

use super::estimate::{Mean, Means};
use super::student::t_above;
use crate::outcome::{Histogram, ShapeChange};
use crate::units::{ms, tidy};

/// The least shift of all latencies that is taken for none, as a share: a finer one has
/// too many bins.
const SHIFT_MIN: f64 = 0.01;
/// The share of the calls that has to lie elsewhere.
const SHARE_MIN: f64 = 0.03;
/// One in twenty by chance, at fifty places.
const ALPHA: f64 = 0.001;
/// A bin is so wide: five of them are the shift.
const BINS_A_SHIFT: i32 = 5;

/// Where the shape of batches, or runs, changed; `None` where it did not, or too little
/// is known. A shift of all latencies by the share `shift` is no change of shape.
pub(super) fn changed(base: &[Histogram], new: &[Histogram], shift: f64) -> Option<ShapeChange> {
    let bins = Bins::of(shift);
    let (of_base, of_new) = (bins.above(base)?, bins.above(new)?);
    let (rise, at_rise) = farthest(&of_base, &of_new);
    let (fall, at_fall) = farthest(&of_new, &of_base);
    let (most, bin) = if rise >= fall {
        (rise, at_rise)
    } else {
        (fall, at_fall)
    };
    if most < SHARE_MIN {
        return None;
    }
    // The side with more above it is counted above the shifted place.
    let (lower, higher) = (bins.edge_ns(bin), bins.edge_ns(bin + BINS_A_SHIFT));
    let (at_base, at_new) = if rise >= fall {
        (lower, higher)
    } else {
        (higher, lower)
    };
    let mean_above = |batches: &[Histogram], ns: u64| {
        let share = |batch: &Histogram| batch.count_over(ns) as f64 / batch.len().max(1) as f64;
        let shares: Vec<f64> = batches.iter().map(share).collect();
        let n: u64 = batches.iter().map(|batch| batch.len()).sum();
        let all = shares.iter().sum::<f64>() / shares.len() as f64;
        // Counts vary by themselves, however alike batches are.
        let least = all * (1.0 - all) / (n as f64 / shares.len() as f64).max(1.0);
        Mean::of(&shares, least.max(1e-9))
    };
    let means = Means::welch(mean_above(base, at_base), mean_above(new, at_new));
    let chance = 2.0 * t_above(means.change.abs() / means.standard_error, means.df);
    if chance > ALPHA {
        return None;
    }
    let above = higher;
    Some(ShapeChange {
        above_ms: ms(above),
        base_share: tidy(mean_above(base, above).value),
        new_share: tidy(mean_above(new, above).value),
    })
}

/// For each bin from the first that holds anything: the share of the values above it.
struct SharesAbove {
    first: i32,
    shares: Vec<f64>,
}

impl SharesAbove {
    fn at(&self, bin: i32) -> f64 {
        match usize::try_from(bin - self.first) {
            Ok(at) => self.shares.get(at).copied().unwrap_or(0.0),
            Err(_) => 1.0,
        }
    }
}

/// The share that lies above a bin on the one side and beyond the shift on the other,
/// where that is most.
fn farthest(of: &SharesAbove, beyond: &SharesAbove) -> (f64, i32) {
    let last = beyond.first + beyond.shares.len() as i32;
    let first = of.first.min(beyond.first - BINS_A_SHIFT);
    let differences = (first..=last).map(|bin| (beyond.at(bin + BINS_A_SHIFT) - of.at(bin), bin));
    let most = differences.max_by(|a, b| a.0.total_cmp(&b.0));
    most.unwrap_or((0.0, 0))
}

/// Bins of latencies: equally wide in the logarithm.
struct Bins {
    width: f64,
}

impl Bins {
    fn of(shift: f64) -> Self {
        Self {
            width: shift.max(SHIFT_MIN).ln_1p() / f64::from(BINS_A_SHIFT),
        }
    }

    fn bin_of(&self, ns: u64) -> i32 {
        // At most ln(u64::MAX) by the least width: some 20,000.
        ((ns.max(1) as f64).ln() / self.width) as i32
    }

    /// The upper end of a bin.
    fn edge_ns(&self, bin: i32) -> u64 {
        // A cast from a float saturates.
        (f64::from(bin + 1) * self.width).exp() as u64
    }

    fn above(&self, batches: &[Histogram]) -> Option<SharesAbove> {
        let recorded = batches.iter().flat_map(Histogram::recorded);
        let counted: Vec<(i32, u64)> = recorded.map(|(ns, n)| (self.bin_of(ns), n)).collect();
        let first = counted.iter().map(|(bin, _)| *bin).min()?;
        let last = counted.iter().map(|(bin, _)| *bin).max()?;
        let n: f64 = counted.iter().map(|(_, count)| *count as f64).sum();
        let mut shares = vec![0.0; (last - first + 1) as usize];
        for (bin, count) in counted {
            shares[(bin - first) as usize] += count as f64 / n;
        }
        let mut above = 0.0;
        for share in shares.iter_mut().rev() {
            above += std::mem::replace(share, above);
        }
        Some(SharesAbove { first, shares })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten batches of 500 with a second peak of this share at three times the median,
    /// all latencies times `scale`.
    fn batches(seed: u64, second_peak: f64, scale: f64) -> Vec<Histogram> {
        let mut random = fastrand::Rng::with_seed(seed);
        let batch = |_| {
            let mut histogram = Histogram::new();
            for _ in 0..500 {
                let peak = if random.f64() < second_peak { 3.0 } else { 1.0 };
                let ms = 10.0 * peak * scale * (0.9 + 0.2 * random.f64());
                histogram.record((ms * 1e6) as u64);
            }
            histogram
        };
        (0..10).map(batch).collect()
    }

    fn found(base: &[Histogram], new: &[Histogram]) -> Option<ShapeChange> {
        changed(base, new, 0.1)
    }

    #[test]
    fn a_second_peak_that_grew_is_seen_and_mirrored() {
        let (base, new) = (batches(1, 0.1, 1.0), batches(2, 0.3, 1.0));
        let change = found(&base, &new).expect("another shape");
        assert!((0.05..0.15).contains(&change.base_share), "{change:?}");
        assert!((0.25..0.35).contains(&change.new_share), "{change:?}");
        assert!((11.0..27.0).contains(&change.above_ms), "{change:?}");
        let mirrored = found(&new, &base).expect("another shape");
        assert_eq!(mirrored.above_ms, change.above_ms);
        assert_eq!(mirrored.base_share, change.new_share);
    }

    #[test]
    fn the_same_shape_and_a_shift_within_the_margin_are_none() {
        for seed in 0..20 {
            let base = batches(seed, 0.2, 1.0);
            for scale in [1.0, 1.05, 0.95] {
                assert_eq!(
                    found(&base, &batches(100 + seed, 0.2, scale)),
                    None,
                    "{seed}"
                );
            }
        }
        let (base, moved) = (batches(1, 0.2, 1.0), batches(2, 0.2, 1.5));
        assert!(found(&base, &moved).is_some());
        assert_eq!(changed(&base, &moved, 0.6), None);
        assert_eq!(changed(&base, &base, 0.0), None);
        assert_eq!(found(&[], &[]), None);
        assert_eq!(found(&[Histogram::new()], &batches(1, 0.1, 1.0)), None);
    }
}
