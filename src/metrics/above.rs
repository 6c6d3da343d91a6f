//! Limits above which values are counted exactly, as they are recorded: a histogram
//! knows its values within 0.1 % only, and a limit may lie within that.

use super::Histogram;
use super::quantile::rank;

/// How many values are above each of a few limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AboveLimits {
    /// Each limit with its count, ascending. All values were compared with each.
    counted: Vec<(u64, u64)>,
}

impl AboveLimits {
    /// Nothing is counted yet.
    pub fn of(limits: impl IntoIterator<Item = u64>) -> Self {
        let mut counted: Vec<_> = limits.into_iter().map(|limit| (limit, 0)).collect();
        counted.sort_unstable();
        counted.dedup();
        Self { counted }
    }

    /// Counts a value. Without limits it is a look at a length.
    #[inline]
    pub(super) fn record(&mut self, value: u64) {
        for (limit, count) in &mut self.counted {
            *count += u64::from(value > *limit);
        }
    }

    /// How many values were above the limit; `None`: it is not one of those that
    /// are counted.
    pub fn count(&self, limit: u64) -> Option<u64> {
        let at = self
            .counted
            .binary_search_by_key(&limit, |(known, _)| *known);
        at.ok().map(|at| self.counted[at].1)
    }

    /// Adds what was counted of other values. A limit that only some values were
    /// compared with goes; where there are no values, every limit holds.
    pub(super) fn merge(&mut self, is_empty: bool, other: &Self, is_other_empty: bool) {
        match (is_empty, is_other_empty) {
            (_, true) => {}
            (true, false) => self.counted.clone_from(&other.counted),
            (false, false) => self.counted.retain_mut(|(limit, count)| {
                let more = other.count(*limit);
                *count += more.unwrap_or(0);
                more.is_some()
            }),
        }
    }

    /// With those of other values that are surely above, as far as buckets tell.
    pub(super) fn with(&self, others: &Histogram) -> Self {
        let above = |limit: u64| others.count_surely_over(limit);
        let counted = self.counted.iter();
        Self {
            counted: counted
                .map(|(limit, count)| (*limit, count + above(*limit)))
                .collect(),
        }
    }

    /// Forgets the counts, and keeps the limits.
    pub(super) fn clear(&mut self) {
        self.counted.iter_mut().for_each(|(_, count)| *count = 0);
    }

    /// The value of this rank among `n` as a histogram has it, put on the side of
    /// each limit on which it really is.
    fn refine(&self, value: u64, n: u64, rank: u64) -> u64 {
        let mut refined = value;
        for (limit, above) in &self.counted {
            // The value of rank r is above a limit where fewer than r are not.
            if n.saturating_sub(*above) < rank {
                refined = refined.max(limit.saturating_add(1));
            } else {
                // The limits after this one are higher.
                return refined.min(*limit);
            }
        }
        refined
    }
}

/// Values as they are reported: a histogram, and what is known exactly besides.
#[derive(Debug, Clone, Copy)]
pub struct Readings<'a> {
    pub(super) histogram: &'a Histogram,
    /// Of the same values.
    pub(super) above: Option<&'a AboveLimits>,
}

impl<'a> From<&'a Histogram> for Readings<'a> {
    fn from(histogram: &'a Histogram) -> Self {
        Self {
            histogram,
            above: None,
        }
    }
}

impl<'a> Readings<'a> {
    /// The histogram alone.
    pub fn histogram(self) -> &'a Histogram {
        self.histogram
    }

    /// Like [`Histogram::quantile_ns`], and never on the wrong side of a limit
    /// that was counted.
    pub fn quantile_ns(self, q: f64) -> Option<u64> {
        let value = self.histogram.quantile_ns(q)?;
        Some(self.refined(value, rank(self.histogram.len(), q)))
    }

    /// The value of this rank, likewise.
    pub(super) fn value_at(self, rank: u64) -> Option<u64> {
        // Half a rank below, so that rounding cannot lead to the next one.
        let q = (rank as f64 - 0.5) / self.histogram.len() as f64;
        Some(self.refined(self.histogram.quantile_ns(q)?, rank))
    }

    fn refined(self, value: u64, rank: u64) -> u64 {
        match self.above {
            Some(above) => above.refine(value, self.histogram.len(), rank),
            None => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(limits: &[u64], values: &[u64]) -> AboveLimits {
        let mut above = AboveLimits::of(limits.iter().copied());
        values.iter().for_each(|value| above.record(*value));
        above
    }

    #[test]
    fn a_limit_that_not_all_values_met_is_forgotten() {
        let mut sum = AboveLimits::default();
        sum.merge(true, &counted(&[5, 9], &[7, 10]), false);
        assert_eq!(
            (sum.count(5), sum.count(9), sum.count(7)),
            (Some(2), Some(1), None)
        );
        // No values: nothing is missing.
        sum.merge(false, &AboveLimits::default(), true);
        assert_eq!(sum.count(9), Some(1));
        sum.merge(false, &counted(&[9, 12], &[9, 20]), false);
        assert_eq!(
            (sum.count(5), sum.count(9), sum.count(12)),
            (None, Some(2), None)
        );
        sum.clear();
        assert_eq!(sum.count(9), Some(0));
    }

    proptest! {
        /// Values within a bucket of each other and of the limits.
        #[test]
        fn a_quantile_is_on_the_right_side_of_every_limit(
            mut values in prop::collection::vec(199_900_000_u64..200_100_000, 1..400),
            limits in prop::collection::vec(199_900_000_u64..200_100_000, 0..4),
            q in prop_oneof![Just(0.5), Just(0.95), Just(0.99), Just(0.999), 0.0..1.0_f64],
        ) {
            let mut histogram = Histogram::new();
            values.iter().for_each(|value| histogram.record(*value));
            let above = counted(&limits, &values);
            let measured = Readings { histogram: &histogram, above: Some(&above) };
            values.sort_unstable();
            let rank = rank(values.len() as u64, q);
            let exact = values[rank as usize - 1];
            for found in [measured.quantile_ns(q), measured.value_at(rank)] {
                let found = found.expect("there are values");
                for limit in &limits {
                    prop_assert_eq!(found > *limit, exact > *limit, "{} {}", found, exact);
                }
                prop_assert!(values[0] <= found && found <= values[values.len() - 1]);
            }
        }
    }
}
