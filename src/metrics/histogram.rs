//! A latency histogram with the single set of bounds that all of them share.
//!
//! It takes memory as it is filled: up to [`FEW`] values lie there as they came,
//! more of them are counted in [`Pages`]. What is asked is answered as `hdrhistogram`
//! does, which the tests hold it to: a percentile is at most 0.1 % above the value that
//! occurred. It does not know what its values are latencies of.

use super::pages::{LATENCY_MAX_NS, N_BUCKETS, Pages, bucket_of, value_of};

/// Values that are kept as they came: 2 KiB, less than their pages would take.
const FEW: usize = 256;

/// Latencies from 1 ns to `LATENCY_MAX_NS`, each within 0.1 %, with exact
/// minimum, maximum and sum beside the buckets.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// Made with the first value: most rows have none of most kinds.
    filled: Option<Box<Filled>>,
}

/// What a histogram knows exactly beside its buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The least value in nanoseconds.
    pub min_ns: u64,
    /// The greatest value in nanoseconds.
    pub max_ns: u64,
    /// The sum of all values in nanoseconds.
    pub sum_ns: u128,
}

#[derive(Debug, Clone)]
struct Filled {
    n: u64,
    /// Exact, and `u64::MAX` while empty.
    min_ns: u64,
    /// Exact, and 0 while empty.
    max_ns: u64,
    sum_ns: u128,
    n_saturated: u64,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    /// At most [`FEW`].
    Few(Vec<u64>),
    Many(Box<Pages>),
}

impl Filled {
    fn new(values: Values) -> Self {
        Self {
            n: 0,
            min_ns: u64::MAX,
            max_ns: 0,
            sum_ns: 0,
            n_saturated: 0,
            values,
        }
    }
}

impl Values {
    #[inline]
    fn add(&mut self, ns: u64) {
        match self {
            Self::Many(pages) => pages.add(ns),
            Self::Few(values) if values.len() < FEW => values.push(ns),
            Self::Few(_) => self.pages().add(ns),
        }
    }

    /// The pages, to which what was there is moved.
    #[cold]
    fn pages(&mut self) -> &mut Pages {
        if let Self::Few(values) = self {
            let mut pages = Box::new(Pages::new());
            values.iter().for_each(|value| pages.add(*value));
            *self = Self::Many(pages);
        }
        match self {
            Self::Many(pages) => pages,
            Self::Few(_) => unreachable!("they were just moved"),
        }
    }

    fn merge(&mut self, other: &Self) {
        match other {
            Self::Few(values) => values.iter().for_each(|value| self.add(*value)),
            Self::Many(pages) => self.pages().merge(pages),
        }
    }

    /// The buckets that hold anything, ascending, and how much.
    fn buckets(&self) -> Box<dyn Iterator<Item = (usize, u64)> + '_> {
        match self {
            Self::Many(pages) => Box::new(pages.counted()),
            Self::Few(values) => {
                let mut buckets: Vec<usize> = values.iter().map(|ns| bucket_of(*ns)).collect();
                buckets.sort_unstable();
                let same = buckets.chunk_by(|a, b| a == b);
                let counted: Vec<_> = same.map(|same| (same[0], same.len() as u64)).collect();
                Box::new(counted.into_iter())
            }
        }
    }
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one value in nanoseconds.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        let filled = self.filled();
        filled.n += 1;
        filled.min_ns = filled.min_ns.min(ns);
        filled.max_ns = filled.max_ns.max(ns);
        filled.sum_ns += u128::from(ns);
        filled.n_saturated += u64::from(ns > LATENCY_MAX_NS);
        filled.values.add(ns);
    }

    /// Adds all of another histogram's values.
    pub fn merge(&mut self, other: &Self) {
        let Some(other) = other.some() else {
            return;
        };
        let filled = self.filled();
        filled.n += other.n;
        filled.min_ns = filled.min_ns.min(other.min_ns);
        filled.max_ns = filled.max_ns.max(other.max_ns);
        filled.sum_ns += other.sum_ns;
        filled.n_saturated += other.n_saturated;
        filled.values.merge(&other.values);
    }

    /// Empties it, and keeps as much memory as the values took that were in it:
    /// those to come are as many.
    pub fn clear(&mut self) {
        let Some(filled) = &mut self.filled else {
            return;
        };
        let is_few = filled.n <= FEW as u64;
        let values = std::mem::replace(&mut filled.values, Values::Few(Vec::new()));
        let values = match values {
            Values::Few(mut values) => {
                values.clear();
                Values::Few(values)
            }
            Values::Many(_) if is_few => Values::Few(Vec::new()),
            Values::Many(mut pages) => {
                pages.clear();
                Values::Many(pages)
            }
        };
        **filled = Filled::new(values);
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.some().is_none()
    }

    /// How many values were recorded.
    pub fn len(&self) -> u64 {
        self.some().map_or(0, |filled| filled.n)
    }

    /// How many values were above `LATENCY_MAX_NS`.
    pub fn n_saturated(&self) -> u64 {
        self.some().map_or(0, |filled| filled.n_saturated)
    }

    /// The least value, exactly; `None` while empty.
    pub fn min_ns(&self) -> Option<u64> {
        Some(self.some()?.min_ns)
    }

    /// The greatest value, exactly; `None` while empty.
    pub fn max_ns(&self) -> Option<u64> {
        Some(self.some()?.max_ns)
    }

    /// The mean, exactly but for the final division; `None` while empty.
    pub fn mean_ns(&self) -> Option<f64> {
        let filled = self.some()?;
        Some(filled.sum_ns as f64 / filled.n as f64)
    }

    /// The sum of all values in nanoseconds.
    pub fn sum_ns(&self) -> u128 {
        self.some().map_or(0, |filled| filled.sum_ns)
    }

    /// The value at the quantile `q` (0 to 1): the least recorded value that
    /// at least `⌈q·n⌉` of the values do not exceed (nearest rank), within
    /// 0.1 % and never outside the exact minimum and maximum. `None` while
    /// empty: no data is not a latency of 0.
    pub fn quantile_ns(&self, q: f64) -> Option<u64> {
        let filled = self.some()?;
        let rank = (q.clamp(0.0, 1.0) * filled.n as f64).ceil().max(1.0) as u64;
        let mut n_before = 0;
        let bucket = filled.values.buckets().find_map(|(bucket, count)| {
            n_before += count;
            (n_before >= rank).then_some(bucket)
        });
        // Of counts beyond 2^53 the rank may be rounded to more than there are.
        let value = bucket.map_or(filled.max_ns, |bucket| match q > 0.0 {
            true => value_of(bucket + 1) - 1,
            false => value_of(bucket),
        });
        Some(value.clamp(filled.min_ns, filled.max_ns))
    }

    /// How many values are above `limit_ns`, each taken as the highest of its bucket, as
    /// quantiles are: at most a share `1 - q` of all is above a limit exactly where
    /// [`quantile_ns`](Self::quantile_ns) of `q` is not.
    pub fn count_over(&self, limit_ns: u64) -> u64 {
        match self.some() {
            // Beyond all buckets nobody knows what is above, and none is counted.
            Some(filled) if limit_ns < filled.max_ns.min(value_of(N_BUCKETS)) => {
                let above = filled.values.buckets();
                let above = above.filter(|(bucket, _)| value_of(bucket + 1) - 1 > limit_ns);
                above.map(|(_, count)| count).sum()
            }
            _ => 0,
        }
    }

    /// How many values are above `limit_ns` even if each is the lowest of its bucket.
    pub fn count_surely_over(&self, limit_ns: u64) -> u64 {
        let above = |bucket: usize| value_of(bucket) > limit_ns;
        let surely = self.buckets().filter(|(bucket, _)| above(*bucket));
        surely.map(|(_, count)| count).sum()
    }

    /// The buckets that hold anything, ascending: (highest value, count).
    pub fn recorded(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.buckets()
            .map(|(bucket, count)| (value_of(bucket + 1) - 1, count))
    }

    /// Minimum, maximum and sum, exactly; `None` while empty.
    pub fn extent(&self) -> Option<Extent> {
        let filled = self.some()?;
        Some(Extent {
            min_ns: filled.min_ns,
            max_ns: filled.max_ns,
            sum_ns: filled.sum_ns,
        })
    }

    /// The same histogram with a greatest value that is known exactly.
    ///
    /// # Errors
    /// Where it does not fit the buckets, as a fragment.
    pub fn with_max(mut self, max_ns: u64) -> Result<Self, String> {
        match &mut self.filled {
            Some(filled) if is_in(max_ns, bucket_of(filled.max_ns)) => {
                filled.max_ns = max_ns;
                Ok(self)
            }
            _ => Err("has a maximum that does not fit it".to_string()),
        }
    }

    /// The same histogram with a least value that is known exactly.
    ///
    /// # Errors
    /// As for [`Histogram::with_max`].
    pub(super) fn with_min(mut self, min_ns: u64) -> Result<Self, String> {
        match &mut self.filled {
            Some(filled) if is_in(min_ns, bucket_of(filled.min_ns)) => {
                filled.min_ns = min_ns;
                Ok(self)
            }
            _ => Err("has a minimum that does not fit it".to_string()),
        }
    }

    /// The buckets that hold anything, ascending: (number, count).
    pub(super) fn buckets(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let filled = self.some().into_iter();
        filled.flat_map(|filled| filled.values.buckets())
    }

    /// A histogram of these buckets, ascending, none of them empty. Without `extent`,
    /// minimum, maximum and sum are as near as the buckets tell.
    pub(super) fn of_buckets(
        buckets: &[(usize, u64)],
        extent: Option<Extent>,
    ) -> Result<Self, String> {
        let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
            return match extent {
                None => Ok(Self::new()),
                Some(_) => Err("is empty: its minimum and maximum do not fit".to_string()),
            };
        };
        let n: u64 = buckets.iter().map(|(_, count)| count).sum();
        let extent = match extent {
            None => Extent {
                min_ns: value_of(first.0),
                max_ns: value_of(last.0 + 1) - 1,
                sum_ns: buckets.iter().fold(0, |sum, (bucket, count)| {
                    let middle = (value_of(*bucket) + value_of(bucket + 1)) / 2;
                    sum + u128::from(middle) * u128::from(*count)
                }),
            },
            Some(extent) => {
                let at = |ns: u64| u128::from(ns) * u128::from(n);
                let fits = is_in(extent.min_ns, first.0)
                    && is_in(extent.max_ns, last.0)
                    && (at(extent.min_ns)..=at(extent.max_ns)).contains(&extent.sum_ns);
                if !fits {
                    return Err("has a minimum, maximum or sum that do not fit it".to_string());
                }
                extent
            }
        };
        let values = if n <= FEW as u64 {
            let each = buckets.iter().flat_map(|(bucket, count)| {
                std::iter::repeat_n(value_of(*bucket), *count as usize)
            });
            Values::Few(each.collect())
        } else {
            let mut pages = Box::new(Pages::new());
            for (bucket, count) in buckets {
                pages.add_n(*bucket, *count);
            }
            Values::Many(pages)
        };
        let filled = Filled {
            n,
            min_ns: extent.min_ns,
            max_ns: extent.max_ns,
            sum_ns: extent.sum_ns,
            // How many there were is not in the buckets.
            n_saturated: 0,
            values,
        };
        Ok(Self {
            filled: Some(Box::new(filled)),
        })
    }

    #[inline]
    fn filled(&mut self) -> &mut Filled {
        self.filled
            .get_or_insert_with(|| Box::new(Filled::new(Values::Few(Vec::new()))))
    }

    /// What was recorded, where anything was.
    fn some(&self) -> Option<&Filled> {
        self.filled.as_deref().filter(|filled| filled.n > 0)
    }
}

/// Whether a value counts in a bucket, or in one that values beyond
/// [`LATENCY_MAX_NS`] share.
fn is_in(ns: u64, bucket: usize) -> bool {
    bucket_of(ns) == bucket || ns > LATENCY_MAX_NS && bucket >= bucket_of(LATENCY_MAX_NS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram as Hdr;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        for value in values {
            histogram.record(*value);
        }
        histogram
    }

    /// What `hdrhistogram` makes of them.
    fn hdr_of(values: &[u64]) -> Hdr<u64> {
        let mut hdr = Hdr::new_with_bounds(1, LATENCY_MAX_NS, 3).expect("the bounds are accepted");
        values
            .iter()
            .for_each(|value| hdr.saturating_record(*value));
        hdr
    }

    /// Values of all orders of magnitude, and of few of them.
    fn any_values() -> impl Strategy<Value = Vec<u64>> {
        let any_size = (0_u32..64, any::<u64>()).prop_map(|(bits, value)| value >> bits);
        prop_oneof![
            prop::collection::vec(any_size, 0..(2 * FEW)),
            prop::collection::vec(900_000_u64..1_500_000, 0..(4 * FEW)),
        ]
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
        #![proptest_config(crate::seeds::cases(32, 256))]

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

        /// Few values or many, recorded or merged, after a clear or not: the
        /// buckets, quantiles and counts are those of `hdrhistogram`.
        #[test]
        fn every_answer_is_that_of_hdrhistogram(
            before in any_values(),
            first in any_values(),
            second in any_values(),
            q in 0.0_f64..=1.0,
            limit in any::<u64>(),
            limit_bits in 0_u32..64,
        ) {
            let mut histogram = of(&before);
            histogram.clear();
            prop_assert!(histogram.is_empty());
            prop_assert_eq!(histogram.recorded().count(), 0);
            histogram.merge(&of(&first));
            second.iter().for_each(|value| histogram.record(*value));
            let all = [first, second].concat();
            let hdr = hdr_of(&all);
            prop_assert_eq!(histogram.len(), hdr.len());
            let buckets: Vec<_> = histogram.recorded().collect();
            let theirs: Vec<_> = hdr
                .iter_recorded()
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect();
            prop_assert_eq!(buckets, theirs);
            if let (Some(min), Some(max)) = (all.iter().min(), all.iter().max()) {
                for q in [q, 0.0, 0.5, 0.99, 1.0] {
                    let theirs = hdr.value_at_quantile(q).clamp(*min, *max);
                    prop_assert_eq!(histogram.quantile_ns(q), Some(theirs));
                }
                let limit = limit >> limit_bits;
                let over = hdr.iter_recorded().filter(|step| step.value_iterated_to() > limit);
                let over: u64 = over.map(|step| step.count_at_value()).sum();
                let over = if limit < *max { over } else { 0 };
                prop_assert_eq!(histogram.count_over(limit), over);
                // Whether a limit is kept, the quantile says as the count does.
                let rank = (q * all.len() as f64).ceil().max(1.0) as u64;
                if q > 0.0 && limit < value_of(N_BUCKETS) {
                    let is_kept = histogram.quantile_ns(q).is_some_and(|shown| shown <= limit);
                    prop_assert_eq!(is_kept, over <= hdr.len() - rank);
                }
            }
        }
    }

    #[test]
    fn clearing_keeps_pages_where_many_values_are_to_come() {
        let is_many = |histogram: &Histogram| {
            let filled = histogram.filled.as_ref().expect("recorded once");
            matches!(filled.values, Values::Many(_))
        };
        let mut histogram = of(&vec![5_000_000; FEW]);
        assert!(!is_many(&histogram));
        histogram.record(1);
        assert!(is_many(&histogram));
        histogram.clear();
        assert!(is_many(&histogram) && histogram.is_empty());
        (0..FEW as u64).for_each(|value| histogram.record(value));
        histogram.clear();
        assert!(!is_many(&histogram) && histogram.is_empty());
    }
}
