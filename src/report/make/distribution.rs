//! A histogram in a few classes that a person can take in, and its shares above
//! limits that are the same in every report.

use crate::metrics::Histogram;
use crate::report::model::{LatencyClass, Over};
use crate::units::{ms, share, tidy};

/// As many as fit a screen beside the rest of the summary.
const CLASSES_MAX: usize = 10;

/// From this ratio of maximum to minimum on, classes grow with the latency:
/// equal widths would put nearly all calls into the first.
const LOG_FROM_RATIO: f64 = 4.0;

/// A class must be wider than the buckets it is made of, which are a
/// thousandth wide.
const CLASS_RATIO_MIN: f64 = 0.005;

/// Classes over the real range, ascending; every value is in one of them. None
/// without data, one where all values are (nearly) equal.
pub(in crate::report) fn distribution(histogram: &Histogram) -> Vec<LatencyClass> {
    let (Some(min_ns), Some(max_ns)) = (histogram.min_ns(), histogram.max_ns()) else {
        return Vec::new();
    };
    let (low, high) = (min_ns.max(1) as f64, max_ns.max(1) as f64);
    let ratio = high / low;
    let n_classes = (((ratio - 1.0) / CLASS_RATIO_MIN) as usize).clamp(1, CLASSES_MAX);
    let bound = |i: usize| {
        let part = i as f64 / n_classes as f64;
        if ratio >= LOG_FROM_RATIO {
            low * ratio.powf(part)
        } else {
            low + (high - low) * part
        }
    };
    // The outer bounds are the exact ones, whatever rounding made of them.
    let mut classes: Vec<LatencyClass> = (0..n_classes)
        .map(|i| LatencyClass {
            from_ms: if i == 0 {
                ms(min_ns)
            } else {
                tidy(bound(i) / 1e6)
            },
            to_ms: if i + 1 == n_classes {
                ms(max_ns)
            } else {
                tidy(bound(i + 1) / 1e6)
            },
            count: 0,
        })
        .collect();
    for (value_ns, count) in histogram.recorded() {
        let value = value_ns.min(max_ns) as f64;
        let above = (1..n_classes).filter(|i| bound(*i) < value).count();
        classes[above].count += count;
    }
    classes
}

/// In milliseconds.
const LIMITS_MS: [u32; 13] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000,
];

/// How many values are above each of the limits; none without data. The limits
/// do not follow the data, so that reports can be set side by side.
pub(in crate::report) fn over(histogram: &Histogram) -> Vec<Over> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let above = |limit_ms: u32| {
        let count = histogram.count_over(u64::from(limit_ms) * 1_000_000);
        Over {
            limit_ms: f64::from(limit_ms),
            count,
            share: share(count, histogram.len()),
        }
    };
    LIMITS_MS.map(above).to_vec()
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

    #[test]
    fn without_data_there_are_no_classes() {
        assert_eq!(distribution(&Histogram::new()), []);
    }

    #[test]
    fn equal_values_are_one_class() {
        let classes = distribution(&of(&[5_000_000; 7]));
        let class = LatencyClass {
            from_ms: 5.0,
            to_ms: 5.0,
            count: 7,
        };
        assert_eq!(classes, [class]);
    }

    #[test]
    fn a_narrow_range_is_cut_evenly() {
        // None of them on a bound, where a bucket of 0.1 % may reach across.
        let values: Vec<u64> = (0..12).map(|i| 10_000_000 + i * 909_090).collect();
        let counts: Vec<u64> = distribution(&of(&values)).iter().map(|c| c.count).collect();
        assert_eq!(counts, [2, 1, 1, 1, 1, 1, 1, 1, 1, 2]);
    }

    #[test]
    fn a_long_tail_does_not_hide_the_rest() {
        let mut values: Vec<u64> = (0..1000).map(|i| 1_000_000 + i * 3_000).collect();
        values.push(4_000_000_000);
        let classes = distribution(&of(&values));
        assert!(classes[0].count > 300, "{classes:?}");
        assert_eq!(classes[9].count, 1);
        assert_eq!(classes[9].to_ms, 4000.0);
    }

    #[test]
    fn shares_above_limits_count_what_is_longer() {
        let values: Vec<u64> = (1..=1000).map(|i| i * 3_000_000).collect();
        let over = over(&of(&values));
        let at = |limit_ms: f64| over.iter().find(|o| o.limit_ms == limit_ms).copied();
        let expected = |limit_ms: f64, count| {
            let share = count as f64 / 1000.0;
            Some(Over {
                limit_ms,
                count,
                share,
            })
        };
        assert_eq!(at(1.0), expected(1.0, 1000));
        // 999 ms is within the resolution of the limit; 1002 ms is not.
        assert_eq!(at(1_000.0), expected(1_000.0, 667));
        assert_eq!(at(2_000.0), expected(2_000.0, 334));
        assert_eq!(at(5_000.0), expected(5_000.0, 0));
        assert_eq!(super::over(&Histogram::new()), []);
    }

    proptest! {
        #[test]
        fn shares_above_limits_never_rise(values in prop::collection::vec(any::<u64>(), 1..80)) {
            let over = over(&of(&values));
            for pair in over.windows(2) {
                prop_assert!(pair[0].count >= pair[1].count);
            }
            prop_assert!(over[0].count <= values.len() as u64);
        }

        #[test]
        fn every_value_is_in_one_class(values in prop::collection::vec(any::<u64>(), 1..80)) {
            let classes = distribution(&of(&values));
            let n: u64 = classes.iter().map(|class| class.count).sum();
            prop_assert_eq!(n, values.len() as u64);
            for pair in classes.windows(2) {
                prop_assert!(pair[0].to_ms <= pair[1].to_ms);
                prop_assert_eq!(pair[0].to_ms, pair[1].from_ms);
            }
        }
    }
}
