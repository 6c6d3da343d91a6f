//! A latency histogram with the single set of bounds that all of them share.
//!
//! It does not know what its values are latencies of.

use hdrhistogram::Histogram as Hdr;

/// The longest latency told apart, in nanoseconds: one hour. Longer ones count
/// as this long, and are counted apart by [`Histogram::n_saturated`].
pub const LATENCY_MAX_NS: u64 = 3_600_000_000_000;

/// Three digits: a percentile is at most 0.1 % above the value that occurred.
const SIGNIFICANT_DIGITS: u8 = 3;

/// Latencies from 1 ns to [`LATENCY_MAX_NS`], each within 0.1 %, with exact
/// minimum, maximum and sum beside the buckets.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// Made with the first value: 264 KiB, of which most rows need little.
    buckets: Option<Hdr<u64>>,
    /// Exact, and `u64::MAX` while empty.
    min_ns: u64,
    /// Exact, and 0 while empty.
    max_ns: u64,
    sum_ns: u128,
    n_saturated: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self {
            buckets: None,
            min_ns: u64::MAX,
            max_ns: 0,
            sum_ns: 0,
            n_saturated: 0,
        }
    }

    /// Adds one value in nanoseconds.
    pub fn record(&mut self, ns: u64) {
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
        self.sum_ns += u128::from(ns);
        self.n_saturated += u64::from(ns > LATENCY_MAX_NS);
        self.buckets
            .get_or_insert_with(new_buckets)
            .saturating_record(ns);
    }

    /// Adds all of another histogram's values.
    pub fn merge(&mut self, other: &Self) {
        let Some(others) = other.buckets.as_ref().filter(|buckets| !buckets.is_empty()) else {
            return;
        };
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.sum_ns += other.sum_ns;
        self.n_saturated += other.n_saturated;
        self.buckets
            .get_or_insert_with(new_buckets)
            .add(others)
            .expect("all histograms have the same bounds");
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        match &mut self.buckets {
            Some(buckets) if !buckets.is_empty() => buckets.reset(),
            _ => return,
        }
        self.min_ns = u64::MAX;
        self.max_ns = 0;
        self.sum_ns = 0;
        self.n_saturated = 0;
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values were recorded.
    pub fn len(&self) -> u64 {
        self.buckets.as_ref().map_or(0, Hdr::len)
    }

    /// How many values were above [`LATENCY_MAX_NS`].
    pub fn n_saturated(&self) -> u64 {
        self.n_saturated
    }

    /// The least value, exactly; `None` while empty.
    pub fn min_ns(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.min_ns)
    }

    /// The greatest value, exactly; `None` while empty.
    pub fn max_ns(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.max_ns)
    }

    /// The mean, exactly but for the final division; `None` while empty.
    pub fn mean_ns(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum_ns as f64 / self.len() as f64)
    }

    /// The sum of all values in nanoseconds.
    pub fn sum_ns(&self) -> u128 {
        self.sum_ns
    }

    /// The value at the quantile `q` (0 to 1): the least recorded value that
    /// at least `⌈q·n⌉` of the values do not exceed (nearest rank), within
    /// 0.1 % and never outside the exact minimum and maximum. `None` while
    /// empty: no data is not a latency of 0.
    pub fn quantile_ns(&self, q: f64) -> Option<u64> {
        let buckets = self
            .buckets
            .as_ref()
            .filter(|buckets| !buckets.is_empty())?;
        let value = buckets.value_at_quantile(q.clamp(0.0, 1.0));
        Some(value.clamp(self.min_ns, self.max_ns))
    }

    /// How many values are above `limit_ns`, within the 0.1 % of its bucket.
    pub fn count_over(&self, limit_ns: u64) -> u64 {
        match &self.buckets {
            Some(buckets) if limit_ns < self.max_ns => {
                buckets.len() - buckets.count_between(0, limit_ns)
            }
            _ => 0,
        }
    }

    /// The buckets that hold anything, ascending: (highest value, count).
    pub fn recorded(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets
            .iter()
            .flat_map(Hdr::iter_recorded)
            .map(|step| (step.value_iterated_to(), step.count_at_value()))
    }
}

fn new_buckets() -> Hdr<u64> {
    Hdr::new_with_bounds(1, LATENCY_MAX_NS, SIGNIFICANT_DIGITS)
        .expect("the bounds are constants that the library accepts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        for value in values {
            histogram.record(*value);
        }
        histogram
    }

    /// The nearest-rank quantile of the values themselves.
    fn exact(values: &[u64], q: f64) -> u64 {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        let rank = ((q * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len());
        sorted[rank - 1]
    }

    #[test]
    fn empty_is_no_data() {
        let empty = Histogram::new();
        assert_eq!(empty.quantile_ns(0.99), None);
        assert_eq!(empty.mean_ns(), None);
        assert_eq!((empty.min_ns(), empty.max_ns()), (None, None));
        assert_eq!(empty.count_over(0), 0);
    }

    #[test]
    fn few_values_have_exact_quantiles() {
        assert_eq!(of(&[7]).quantile_ns(0.01), Some(7));
        assert_eq!(of(&[7]).quantile_ns(1.0), Some(7));
        let two = of(&[10, 20]);
        assert_eq!(two.quantile_ns(0.5), Some(10));
        assert_eq!(two.quantile_ns(0.51), Some(20));
        let hundred = of(&(1..=100).collect::<Vec<_>>());
        for (q, expected) in [(0.5, 50), (0.9, 90), (0.95, 95), (0.99, 99), (0.999, 100)] {
            assert_eq!(hundred.quantile_ns(q), Some(expected), "{q}");
        }
    }

    #[test]
    fn the_mean_of_two_million_equal_values_is_that_value() {
        let mut histogram = Histogram::new();
        for _ in 0..2_000_000 {
            histogram.record(5_000_000);
        }
        assert_eq!(histogram.mean_ns(), Some(5_000_000.0));
    }

    #[test]
    fn values_beyond_the_bound_are_counted() {
        let histogram = of(&[1, LATENCY_MAX_NS + 1, u64::MAX]);
        assert_eq!(histogram.len(), 3);
        assert_eq!(histogram.n_saturated(), 2);
        assert_eq!(histogram.max_ns(), Some(u64::MAX));
    }

    #[test]
    fn a_bimodal_percentile_is_a_value_that_occurred() {
        let mut values = vec![1_000_000; 95];
        values.extend([1_502_000_000; 5]);
        let p95 = of(&values).quantile_ns(0.95).expect("not empty");
        assert!(p95.abs_diff(1_000_000) <= 1_000, "{p95}");
        let p96 = of(&values).quantile_ns(0.96).expect("not empty");
        assert!(p96.abs_diff(1_502_000_000) <= 1_502_000, "{p96}");
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_thousandth(
            values in prop::collection::vec(1_u64..LATENCY_MAX_NS, 1..200),
            q in 0.0_f64..=1.0,
        ) {
            let found = of(&values).quantile_ns(q).expect("not empty");
            let truth = exact(&values, q);
            prop_assert!(found.abs_diff(truth) <= truth / 1000 + 1, "{found} for {truth}");
        }

        #[test]
        fn quantiles_are_in_order(values in prop::collection::vec(any::<u64>(), 1..100)) {
            let histogram = of(&values);
            let mut last = histogram.min_ns().expect("not empty");
            for q in [0.5, 0.9, 0.95, 0.99, 0.999, 1.0] {
                let value = histogram.quantile_ns(q).expect("not empty");
                prop_assert!(value >= last);
                last = value;
            }
            prop_assert!(histogram.max_ns().expect("not empty") >= last);
        }

        #[test]
        fn merging_is_recording_both(
            a in prop::collection::vec(1_u64..LATENCY_MAX_NS, 0..50),
            b in prop::collection::vec(1_u64..LATENCY_MAX_NS, 0..50),
        ) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let mut swapped = of(&b);
            swapped.merge(&of(&a));
            let both = of(&[a, b].concat());
            for histogram in [&merged, &swapped] {
                prop_assert_eq!(histogram.len(), both.len());
                prop_assert_eq!(histogram.min_ns(), both.min_ns());
                prop_assert_eq!(histogram.sum_ns(), both.sum_ns());
                prop_assert_eq!(histogram.quantile_ns(0.9), both.quantile_ns(0.9));
            }
        }
    }
}
