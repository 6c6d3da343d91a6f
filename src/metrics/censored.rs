//! Requests that the end of the run cut off tell the least that their latency can be: their
//! age. In the language of statistics they are censored samples.

use super::{AboveLimits, Histogram, Readings};

/// Values, and beside them requests without an answer, each as if it had been answered when
/// it was cut off. No quantile, mean or maximum of these is above that of a run which waits
/// for all answers: whatever it is beyond, the true one is beyond.
///
/// It decides, and is told as the least that a figure can be; it is no sample of any.
#[derive(Debug, Clone)]
pub struct CensoredReadings {
    histogram: Histogram,
    above: Option<AboveLimits>,
}

impl CensoredReadings {
    /// These values and these ages; `None` without ages.
    pub fn of(readings: Readings<'_>, ages: &Histogram) -> Option<Self> {
        if ages.is_empty() {
            return None;
        }
        let mut histogram = readings.histogram.clone();
        histogram.merge(ages);
        let above = match readings.histogram.is_empty() {
            true => None,
            false => readings.above.map(|above| above.with(ages)),
        };
        Some(Self { histogram, above })
    }

    /// All of them.
    pub fn readings(&self) -> Readings<'_> {
        Readings {
            histogram: &self.histogram,
            above: self.above.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::quantile::rank;
    use proptest::prelude::*;

    proptest! {
        /// A run that waits for all of its calls, and the same one cut off: each call that
        /// had not ended by then has an age below its latency.
        #[test]
        fn what_is_certain_is_what_the_full_run_says(
            calls in prop::collection::vec((1_u64..400_000_000, prop::option::of(1..400_u64)), 1..300),
            limit in 1_u64..400_000_000,
            q in prop_oneof![Just(0.5), Just(0.95), Just(0.99), 0.0..1.0_f64],
        ) {
            let (mut ended, mut ages) = (Histogram::new(), Histogram::new());
            let mut above = AboveLimits::of([limit]);
            let mut full = Vec::new();
            let mut oldest = 0;
            for (latency, cut_off) in &calls {
                full.push(*latency);
                match cut_off {
                    // The age is a part of what it would have taken.
                    Some(part) => {
                        let age = latency * part / 400;
                        oldest = oldest.max(age);
                        ages.record(age);
                    }
                    None => {
                        ended.record(*latency);
                        above.record(*latency);
                    }
                }
            }
            full.sort_unstable();
            let exact = full[rank(full.len() as u64, q) as usize - 1];
            let mean = full.iter().sum::<u64>() as f64 / full.len() as f64;
            let readings = Readings { histogram: &ended, above: Some(&above) };
            let Some(least) = CensoredReadings::of(readings, &ages) else {
                prop_assert!(ages.is_empty());
                return Ok(());
            };
            let found = least.readings().quantile_ns(q).expect("there are values");
            // Within a bucket, and exactly where a limit is counted.
            prop_assert!(found as f64 <= exact as f64 * 1.001 + 1.0, "{found} {exact}");
            if !ended.is_empty() && found > limit {
                prop_assert!(exact > limit, "{found} > {limit} >= {exact}");
            }
            let of_all = least.readings().histogram();
            prop_assert!(of_all.max_ns() <= full.last().copied());
            prop_assert!(of_all.mean_ns().expect("values") <= mean * (1.0 + 1e-9));
            prop_assert_eq!(of_all.len(), calls.len() as u64);
            // Nothing that is certain is missed: where so many ended beyond the limit, or
            // had clearly waited longer, that their rank is beyond it.
            let at_limit = |ns: u64| ns as f64 <= limit as f64 * 1.001 + 1.0;
            let may_be_below = calls.iter().filter(|(latency, cut_off)| match cut_off {
                Some(part) => at_limit(latency * part / 400),
                None => *latency <= limit,
            });
            if (may_be_below.count() as u64) < rank(full.len() as u64, q) && !ended.is_empty() {
                prop_assert!(found > limit, "{found} {limit}");
            }
        }
    }
}
