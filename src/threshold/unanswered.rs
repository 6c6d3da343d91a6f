//! What requests without an answer at the end of a run do to its thresholds. They are in no
//! rate, no latency and no share of errors, but how long each had waited is known.

use std::cmp::Ordering;

use super::Comparison;
use crate::units::{format_latency, plural};

/// The cause of failure that a request without an answer might have had.
pub const TIMEOUT: &str = "timeout";

/// Whether a figure decides otherwise than that of the answered requests, by the least that
/// it can be with the others: each is given as it stands to the limit. Never where the least
/// leaves it open.
pub fn least_decides(comparison: Comparison, answered: Ordering, least: Ordering) -> bool {
    // A least value at the limit may be a true one at it or above.
    let is_certain = match comparison {
        Comparison::Below | Comparison::AtLeast => least != Ordering::Less,
        _ => least == Ordering::Greater,
    };
    is_certain && comparison.holds(least) != comparison.holds(answered)
}

/// Why a least value decides: `n` requests, the oldest of this age, beside the value of the
/// answered ones. Nanoseconds.
pub fn least_text(n: u64, oldest_ns: u64, answered_ns: u64) -> String {
    format!(
        "{n} had no answer when the run ended, the oldest after {}; without {} it is {}",
        format_latency(oldest_ns),
        if n == 1 { "it" } else { "them" },
        format_latency(answered_ns),
    )
}

/// What to say of a threshold on failures that comes out as `holds`, where `n` requests had
/// waited longer than any that succeeded took: if they were failures, it would come out as
/// `would_hold`.
pub fn overdue_text(n: u64, holds: bool, would_hold: bool) -> Option<String> {
    (holds != would_hold).then(|| {
        let (them, failures) = match n {
            1 => ("it", "a failure"),
            _ => ("them", "failures"),
        };
        let not = if would_hold { "" } else { "not " };
        format!(
            "{} had no answer when the run ended, later than any that succeeded: with {them} as \
             {failures} it would {not}be kept",
            plural(n, "call", "calls"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Where the least decides, every true value from it on decides as it does.
        #[test]
        fn no_true_value_decides_otherwise(
            at in 0..Comparison::ALL.len(), answered in 0_u8..5, least in 0_u8..5, more in 0_u8..3,
        ) {
            let comparison = Comparison::ALL[at];
            let to_limit = |value: u8| value.cmp(&2);
            if least_decides(comparison, to_limit(answered), to_limit(least)) {
                let truth = comparison.holds(to_limit(least + more));
                prop_assert_eq!(truth, comparison.holds(to_limit(least)));
                prop_assert_ne!(truth, comparison.holds(to_limit(answered)));
            }
        }
    }

    #[test]
    fn the_reasons_in_words() {
        assert_eq!(
            least_text(5, 3_500_000_000, 43_500_000),
            "5 had no answer when the run ended, the oldest after 3.50 s; without them it is \
             43.5 ms"
        );
        assert_eq!(overdue_text(5, true, true), None);
        let told = overdue_text(1, true, false).expect("it decides");
        assert_eq!(
            told,
            "1 call had no answer when the run ended, later than any that succeeded: with it as \
             a failure it would not be kept"
        );
    }
}
