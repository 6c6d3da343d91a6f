//! A small histogram with logarithmic buckets, 32 to each doubling: values within
//! 1.1 %. It exists so that the detector can keep a minute of latencies without
//! knowing who measures them.

/// Counts by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sketch {
    /// Dense from bucket 0 up to the highest used.
    counts: Vec<u64>,
    /// How many values it holds.
    pub(super) n: u64,
}

impl Sketch {
    pub(super) fn add(&mut self, value_ns: u64, n: u64) {
        let bucket = bucket_of(value_ns);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].saturating_add(n);
        self.n = self.n.saturating_add(n);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.n = self.n.saturating_add(other.n);
    }

    /// The smallest value that at least `quantile` of all values do not exceed, up to
    /// a bucket's width; `None` if there are no values.
    pub(super) fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = ((self.n as f64 * quantile).ceil() as u64).clamp(1, self.n.max(1));
        let mut n_below = 0_u64;
        let bucket = self.counts.iter().position(|count| {
            n_below = n_below.saturating_add(*count);
            n_below >= rank
        })?;
        Some(middle_of(bucket))
    }

    /// How many values lie in buckets above that of `limit_ns`.
    pub(super) fn n_over(&self, limit_ns: u64) -> u64 {
        let above = (bucket_of(limit_ns) + 1).min(self.counts.len());
        self.counts[above..]
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

const BITS: u32 = 5;
const PER_OCTAVE: u64 = 1 << BITS;

/// Values below 32 have a bucket each; each octave above has 32.
fn bucket_of(value: u64) -> usize {
    if value < PER_OCTAVE {
        return value as usize;
    }
    let shift = value.ilog2() - BITS;
    (u64::from(shift) * PER_OCTAVE + (value >> shift)) as usize
}

fn middle_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * PER_OCTAVE {
        return bucket;
    }
    let shift = bucket / PER_OCTAVE - 1;
    let low = (bucket % PER_OCTAVE + PER_OCTAVE) << shift;
    low + ((1_u64 << shift) - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_of_few_values_are_exact_ranks() {
        let mut sketch = Sketch::default();
        assert_eq!(sketch.quantile(0.5), None);
        for value in [10, 20, 30] {
            sketch.add(value, 1);
        }
        let check = |quantile, expected| assert_eq!(sketch.quantile(quantile), Some(expected));
        check(0.0, 10);
        check(0.33, 10);
        check(0.5, 20);
        check(0.99, 30);
        check(1.0, 30);
    }

    proptest! {
        #[test]
        fn a_bucket_is_near_its_values(value in any::<u64>()) {
            let middle = middle_of(bucket_of(value));
            prop_assert!(middle.abs_diff(value) as f64 <= 0.016 * value as f64);
            prop_assert_eq!(bucket_of(middle), bucket_of(value));
        }

        #[test]
        fn merging_is_adding(values in prop::collection::vec(any::<u64>(), 0..50), at in 0_usize..50) {
            let at = at.min(values.len());
            let of = |part: &[u64]| {
                let mut sketch = Sketch::default();
                part.iter().for_each(|value| sketch.add(*value, 1));
                sketch
            };
            let mut merged = of(&values[..at]);
            merged.merge(&of(&values[at..]));
            prop_assert_eq!(&merged, &of(&values));
            for limit in &values {
                let is_over = |value: &&u64| bucket_of(**value) > bucket_of(*limit);
                let n_over = values.iter().filter(is_over).count();
                prop_assert_eq!(merged.n_over(*limit), n_over as u64);
            }
        }
    }
}
