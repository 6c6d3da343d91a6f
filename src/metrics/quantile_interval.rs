//! Between which values a quantile or a share lies, for all that so few samples can
//! tell.

use super::{Histogram, Readings};

/// The standard normal distribution's 97.5 % quantile: two-sided, 95 %.
const Z_95: f64 = 1.96;

/// Where the true quantile lies, with 95 % confidence: between these recorded
/// values, in nanoseconds. `None`: so few samples set no bound on that side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuantileInterval {
    /// Not below this.
    pub low_ns: Option<u64>,
    /// Not above this.
    pub high_ns: Option<u64>,
}

impl Readings<'_> {
    /// The 95 % confidence interval of the quantile `q` (0 to 1), by order
    /// statistics and so for any distribution: between the values of rank
    /// `⌊nq − 1.96·√(nq(1−q))⌋` and `⌈nq + 1.96·√(nq(1−q))⌉ + 1` of `n`
    /// (Lancet, ATC 2019, after Le Boudec). It takes samples for independent:
    /// where they are not, the true interval is wider.
    pub fn quantile_interval_ns(self, q: f64) -> QuantileInterval {
        let n = self.histogram.len();
        let (low, high) = interval_ranks(n, q.clamp(0.0, 1.0));
        QuantileInterval {
            low_ns: low.and_then(|rank| self.value_at(rank)),
            high_ns: high.and_then(|rank| self.value_at(rank)),
        }
    }
}

impl Histogram {
    /// Like `Readings::quantile_interval_ns`.
    pub fn quantile_interval_ns(&self, q: f64) -> QuantileInterval {
        Readings::from(self).quantile_interval_ns(q)
    }
}

/// The ranks, from 1 to `n`; `None` for one that does not exist.
fn interval_ranks(n: u64, q: f64) -> (Option<u64>, Option<u64>) {
    let center = n as f64 * q;
    let half = Z_95 * (center * (1.0 - q)).sqrt();
    // A cast from a float saturates: below zero is zero.
    let low = (center - half).floor() as u64;
    let high = ((center + half).ceil() as u64).saturating_add(1);
    (
        (low >= 1).then_some(low),
        (n > 0 && high <= n).then_some(high),
    )
}

/// The 95 % interval of a share by its score (Wilson 1927): for independent calls;
/// where they are not, the true one is wider.
pub fn share_interval(part: u64, whole: u64) -> [f64; 2] {
    let n = whole as f64;
    let found = part as f64 / n;
    let square = Z_95 * Z_95 / n;
    let middle = found + square / 2.0;
    let half = Z_95 * (found * (1.0 - found) / n + square / (4.0 * n)).sqrt();
    // Rounding must not part it from the value.
    let low = ((middle - half) / (1.0 + square)).clamp(0.0, found);
    let high = ((middle + half) / (1.0 + square)).clamp(found, 1.0);
    [low, high].map(|end| (end * 1e12).round() / 1e12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranks_are_those_of_the_formula() {
        let check = |n, q, expected| assert_eq!(interval_ranks(n, q), expected, "{n} {q}");
        check(0, 0.5, (None, None));
        check(1, 0.5, (None, None));
        check(10, 0.5, (Some(1), Some(10)));
        check(100, 0.5, (Some(40), Some(61)));
        check(100, 0.9, (Some(84), Some(97)));
        // A hundred samples set no upper bound to the 95th percentile.
        check(100, 0.95, (Some(90), None));
        check(200, 0.95, (Some(183), Some(198)));
        check(500, 0.99, (Some(490), None));
        check(1000, 0.99, (Some(983), Some(998)));
        check(100, 1.0, (Some(100), None));
        check(100, 0.0, (None, Some(1)));
    }

    #[test]
    fn the_values_are_those_of_the_ranks() {
        let mut histogram = Histogram::new();
        (1..=100).for_each(|value| histogram.record(value));
        let interval = histogram.quantile_interval_ns(0.5);
        assert_eq!((interval.low_ns, interval.high_ns), (Some(40), Some(61)));
        let empty = Histogram::new().quantile_interval_ns(0.5);
        assert_eq!(empty, QuantileInterval::default());
    }

    #[test]
    fn the_true_quantile_is_within_as_often_as_claimed() {
        let mut random = fastrand::Rng::with_seed(11);
        for q in [0.5, 0.9] {
            let n_inside = (0..1000)
                .filter(|_| {
                    let mut histogram = Histogram::new();
                    for _ in 0..100 {
                        histogram.record(random.u64(1..=1_000_000));
                    }
                    let interval = histogram.quantile_interval_ns(q);
                    let truth = (q * 1e6) as u64;
                    interval.low_ns.is_some_and(|low| low <= truth)
                        && interval.high_ns.is_some_and(|high| truth <= high)
                })
                .count();
            assert!((930..=985).contains(&n_inside), "{q}: {n_inside}");
        }
    }
}
