//! Values beside their limits, in words: what is shown agrees with what was decided.

use crate::expect::Unchecked;
use crate::outcome::{LimitUnit, ThresholdFigures};
use crate::report::model::UncheckedFigures;
use crate::units::{
    format_bytes, format_count, format_latency, format_percent, format_rate, ns_of_ms, plural,
};

/// More decimals than these tell no two values apart that a limit does.
const DECIMALS_MAX: usize = 9;

/// A value in its unit: `212 ms`, `0.25%`, `1,420/s`.
pub(in crate::report) fn measured(unit: LimitUnit, value: f64) -> String {
    // A cast from a float saturates.
    match unit {
        LimitUnit::Ms => format_latency(ns_of_ms(value)),
        LimitUnit::Share => format_percent(value),
        LimitUnit::Count => format_count(value.round() as u64),
        LimitUnit::PerSec => format_rate(value),
        LimitUnit::Bytes => format_bytes(value.round() as u64),
        LimitUnit::Load if value.fract() == 0.0 => plural(value as u64, "user", "users"),
        LimitUnit::Load => decimals(unit, value, 1),
    }
}

/// A value that is beside another: with as many digits as tell them apart, where
/// they differ.
pub(in crate::report) fn measured_beside(unit: LimitUnit, value: f64, other: f64) -> String {
    let shown = measured(unit, value);
    if value == other || shown != measured(unit, other) {
        return shown;
    }
    (1..=DECIMALS_MAX)
        .find(|n| decimals(unit, value, *n) != decimals(unit, other, *n))
        .map_or(shown, |n| decimals(unit, value, n))
}

fn decimals(unit: LimitUnit, value: f64, n: usize) -> String {
    match unit {
        LimitUnit::Ms => format!("{value:.n$} ms"),
        LimitUnit::Share => format!("{:.n$}%", value * 100.0),
        LimitUnit::Count => format!("{value:.n$}"),
        LimitUnit::Load => format!("{value:.n$} users"),
        LimitUnit::PerSec => format!("{value:.n$}/s"),
        LimitUnit::Bytes => format!("{value:.n$} B"),
    }
}

/// `25% beyond`, `60% within`, `at the limit`: how far the value is from the limit, as a share of it,
/// which may be above 1.
pub(in crate::report) fn margin_text(margin: f64) -> String {
    if margin == 0.0 {
        return "at the limit".to_string();
    }
    let side = if margin < 0.0 { "beyond" } else { "within" };
    let share = match margin.abs() {
        share @ ..=1.0 => format_percent(share),
        share @ ..10.0 => format!("{:.0}%", share * 100.0),
        // A cast from a float saturates.
        share => format!("{}x", format_count(share.round() as u64)),
    };
    format!("{share} {side}")
}

/// The value of a threshold beside its limit: `212 ms`, `>= 3.00 s` where it is the least that
/// it can be, `-` where there is none.
pub(in crate::report) fn value_text(threshold: &ThresholdFigures) -> String {
    let sign = if threshold.at_least { ">= " } else { "" };
    threshold.value.map_or_else(
        || "-".to_string(),
        |value| {
            let value = measured_beside(threshold.unit, value, threshold.limit);
            format!("{sign}{value}")
        },
    )
}

/// `p99 is 250 ms, to be < 200 ms: 25% beyond`, or why there is no value.
pub(in crate::report) fn threshold_text(threshold: &ThresholdFigures) -> String {
    let ThresholdFigures {
        metric,
        comparison,
        unit,
        limit,
        ..
    } = threshold;
    let mut text = match threshold.value {
        Some(_) => format!("{metric} is {}", value_text(threshold)),
        None => format!("{metric} has no value"),
    };
    text += &match threshold.deferred {
        true => format!(
            " of this segment, to be {comparison} {} of all",
            measured(*unit, *limit)
        ),
        false => format!(", to be {comparison} {}", measured(*unit, *limit)),
    };
    if let Some(margin) = threshold.margin {
        text += &format!(": {}", margin_text(margin));
    }
    if let Some(why) = &threshold.why {
        text += &format!(": {why}");
    }
    if let Some([low, high]) = threshold.interval {
        let (low, high) = (measured(*unit, low), measured(*unit, high));
        text += &format!(" (95% interval {low} to {high})");
    }
    if threshold.few {
        text += " (few calls for it)";
    }
    if threshold.aborted {
        text += "; it ended the run";
    }
    text
}

/// `3 answers of tools/call echo: the result is too large to be judged`
pub(in crate::report) fn unchecked_text(it: &UncheckedFigures) -> String {
    let answers = plural(it.count, "answer", "answers");
    // A later version may know more of them.
    let known = Unchecked::ALL.into_iter().find(|of| of.id() == it.reason);
    let reason = known.map_or_else(|| it.reason.clone(), |known| known.to_string());
    format!("{answers} of {}: {reason}", it.operation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_differ_are_shown_apart() {
        let check = |unit, value, limit, expected: &str| {
            assert_eq!(measured_beside(unit, value, limit), expected);
        };
        check(LimitUnit::Ms, 250.0, 200.0, "250 ms");
        check(LimitUnit::Ms, 200.0, 200.0, "200 ms");
        check(LimitUnit::Ms, 200.000_4, 200.0, "200.0004 ms");
        check(LimitUnit::Share, 0.010_01, 0.01, "1.001%");
        check(LimitUnit::PerSec, 1420.4, 1420.0, "1420.4/s");
        check(LimitUnit::Bytes, 1025.0, 1024.0, "1025.0 B");
        check(LimitUnit::Count, 5.0, 4.0, "5");
        check(LimitUnit::Load, 100.0, 99.5, "100 users");
        check(LimitUnit::Load, 99.5, 100.0, "99.5 users");
        // What a stored file can say.
        check(LimitUnit::Ms, f64::MAX, f64::MIN, "18446744074 s");
        check(LimitUnit::Count, -1.0, 5.0, "0");
    }

    #[test]
    fn margins_may_be_many_times_the_limit() {
        let texts = [0.0, -0.0, 1e-6, 0.25, -0.255, -1.5, -99.6].map(margin_text);
        let expected = [
            "at the limit",
            "at the limit",
            "<0.01% within",
            "25% within",
            "25.5% beyond",
            "150% beyond",
            "100x beyond",
        ];
        assert_eq!(texts, expected);
    }
}
