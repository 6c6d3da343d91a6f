//! Durations, rates and sizes as text, and the conversions between nanoseconds
//! and other numbers: the one place for both.
//!
//! It does not know where a text came from: the caller adds the file, line or
//! flag to the error.

use std::fmt::Display;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

/// The error of a text that is not the quantity it should be.
fn not(text: &str, expected: &str) -> String {
    format!("`{text}` is not {expected}")
}

/// The accepted forms of a duration.
pub const DURATION_FORM: &str = "a duration such as `30s`, `1m30s`, `250ms` or `1.5h`";
/// The same as a regular expression (ECMA 262), for schemas: all that [`parse_duration`]
/// reads, and longer ones.
pub const DURATION_PATTERN: &str = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)\s*(?:ns|us|µs|μs|ms|min|s|m|h|d)\s*)+";
/// What is accepted in place of a longer one.
const DURATION_MAX_FORM: &str = "a duration of at most `366d`";
/// The accepted forms of a rate.
pub const RATE_FORM: &str = "a rate such as `200/s`, `90/m` or `1000/h`";
/// The same as a regular expression, with rates of zero.
pub const RATE_PATTERN: &str = r"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*/\s*(?:s|sec|second|m|min|minute|h|hour)";
/// What is accepted in place of a rate below the least one.
const RATE_MIN_FORM: &str = "a rate of at least `0.01/h`";
/// The accepted forms of a size.
pub const BYTES_FORM: &str = "a size such as `512`, `64KiB` or `16MiB`";
/// The same as a regular expression.
pub const BYTES_PATTERN: &str = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)\s*(?:[KkMmGg](?:[Ii]?[Bb])?|[Bb])?";

/// One in a hundred hours: less often, nothing is measured. A second.
const RATE_MIN: f64 = 0.01 / 3600.0;

/// Nothing that this program times lasts longer than a year.
const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Reads `30s`, `1m30s`, `250ms`, `1.5h`, `2us`; a bare number is seconds.
///
/// # Errors
/// Where the text is something else, negative, or longer than a year.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || not(text, DURATION_FORM);
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(error());
    }
    let mut total = Duration::ZERO;
    let mut n_parts = 0;
    while !rest.is_empty() {
        let (number, after_number) = split_number(rest);
        let value: f64 = number.parse().map_err(|_| error())?;
        let unit_len = after_number
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(after_number.len());
        let (unit, after_unit) = after_number.split_at(unit_len);
        let unit_secs = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "" if n_parts == 0 && after_unit.is_empty() => 1.0,
            _ => return Err(error()),
        };
        // The number has neither sign nor exponent: it can only be too large.
        total = Duration::try_from_secs_f64(value * unit_secs)
            .ok()
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= DURATION_MAX)
            .ok_or_else(|| not(text, DURATION_MAX_FORM))?;
        rest = after_unit.trim_start();
        n_parts += 1;
    }
    Ok(total)
}

/// Reads `200/s`, `90/m`, `1000/h` into events a second. At least `0.01/h`.
///
/// # Errors
/// Where the text is something else, negative, not finite, or less than that.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let error = || not(text, RATE_FORM);
    let Some((number, unit)) = text.trim().split_once('/') else {
        let is_number = text.trim().parse().is_ok_and(f64::is_finite);
        return Err(match is_number {
            true => format!("{}; did you mean `{}/s`?", error(), text.trim()),
            false => error(),
        });
    };
    let value: f64 = number.trim().parse().map_err(|_| error())?;
    let per_secs = match unit.trim() {
        "s" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3600.0,
        _ => return Err(error()),
    };
    let rate = value / per_secs;
    match rate {
        rate if rate.is_finite() && rate >= RATE_MIN => Ok(rate),
        rate if rate > 0.0 && rate < RATE_MIN => Err(not(text, RATE_MIN_FORM)),
        _ => Err(error()),
    }
}

/// Reads `512`, `64KiB`, `16MiB`, `1GiB` (and `K`, `M`, `G`, `KB`, `MB`, `GB`,
/// which mean the same powers of 1024 here) into bytes.
///
/// # Errors
/// Where the text is something else or does not fit 63 bits.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let error = || not(text, BYTES_FORM);
    let (number, unit) = split_number(text.trim());
    let value: f64 = number.parse().map_err(|_| error())?;
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(error()),
    };
    let bytes = value * factor;
    if (0.0..9e18).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(error())
    }
}

/// Digits and a decimal point at the start, and what follows them.
fn split_number(text: &str) -> (&str, &str) {
    let len = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(len);
    (number, rest.trim_start())
}

/// Seconds of a report as [`format_duration`] has them, rounded to whole ones; a number
/// that is not a duration reads as 0.
pub fn format_whole_secs(secs: f64) -> String {
    format_duration(Duration::try_from_secs_f64(secs.round()).unwrap_or_default())
}

/// `1h05m`, `1m30s`, `30s`, `1.5s`, `250ms`, `0s`: for settings and elapsed time.
pub fn format_duration(duration: Duration) -> String {
    let total_ms = duration.as_millis();
    let (secs, ms) = (total_ms / 1000, total_ms % 1000);
    match secs {
        0 if duration.is_zero() => "0s".to_string(),
        0 if ms == 0 => format_latency(nanos(duration)).replace(' ', ""),
        0 => format!("{ms}ms"),
        1..60 if ms == 0 => format!("{secs}s"),
        1..60 => trim_zeros(format!("{secs}.{ms:03}")) + "s",
        60..3600 if secs % 60 == 0 => format!("{}m", secs / 60),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ if secs % 3600 == 0 => format!("{}h", secs / 3600),
        _ if secs % 60 == 0 => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
        _ => format!("{}h{:02}m{:02}s", secs / 3600, secs / 60 % 60, secs % 60),
    }
}

/// Whole nanoseconds of a duration; the largest number for one beyond 584 years.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Whole nanoseconds from one instant to a later one; 0 to an earlier one.
pub fn nanos_between(earlier: Instant, later: Instant) -> u64 {
    nanos(later.saturating_duration_since(earlier))
}

/// Nanoseconds as milliseconds, with their fraction.
pub fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

/// Milliseconds as whole nanoseconds. What is below 0 or no number is 0.
pub fn ns_of_ms(ms: f64) -> u64 {
    // A cast from a float saturates.
    (ms * 1e6).round() as u64
}

/// Seconds of a duration, to the microsecond.
pub fn secs(duration: Duration) -> f64 {
    tidy(duration.as_secs_f64())
}

/// Six decimals: more would be noise, and a JSON reader that is not exact in the
/// last bit still reads the same number. What is not finite, which JSON cannot
/// hold, is 0.
pub fn tidy(value: f64) -> f64 {
    let tidied = (value * 1e6).round() / 1e6;
    // Zero has no sign.
    if tidied.is_finite() {
        tidied + 0.0
    } else {
        0.0
    }
}

/// Events a second; 0 over no time.
pub fn rate(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        0.0
    } else {
        tidy(count as f64 / elapsed.as_secs_f64())
    }
}

/// `part ÷ whole`; 0 of nothing. To twelve decimals, so that one in a billion
/// is not lost.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 / whole as f64 * 1e12).round() / 1e12
    }
}

/// A latency with three significant digits and its unit: `812 ns`, `43.8 us`,
/// `1.20 ms`, `2.50 s`.
pub fn format_latency(nanos: u64) -> String {
    // Each step begins where rounding to three digits would overflow the last.
    let n = nanos as f64;
    match nanos {
        0..1_000 => format!("{nanos} ns"),
        1_000..999_500 => format!("{} us", three_digits(n / 1e3)),
        999_500..999_500_000 => format!("{} ms", three_digits(n / 1e6)),
        _ => format!("{} s", three_digits(n / 1e9)),
    }
}

/// Three significant digits, never in scientific form.
fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// A rate: `1,420/s`, `87.3/s`, `0.25/s`; rarer ones as `1.50/m`, `3.00/h`.
pub fn format_rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        return "-".to_string();
    }
    // What would lose digits in seconds is told in the unit that shows them.
    let (rate, unit) = match per_second {
        rate if rate >= 0.01 || rate <= 0.0 => (rate, "s"),
        rate if rate * 60.0 >= 0.1 => (rate * 60.0, "m"),
        rate => (rate * 3600.0, "h"),
    };
    if rate >= 999.5 {
        format!("{}/{unit}", format_count(rate.round() as u64))
    } else {
        format!("{}/{unit}", three_digits(rate))
    }
}

/// `a, b and 3 more`: at most `n_max` of them are named, and the rest is counted.
pub fn few_of(items: impl IntoIterator<Item = impl Display>, n_max: usize) -> String {
    let mut items = items.into_iter();
    let named = items.by_ref().take(n_max).map(|it| it.to_string());
    let named = named.collect::<Vec<_>>().join(", ");
    match items.count() {
        0 => named,
        n_more => format!("{named} and {n_more} more"),
    }
}

/// `1 call`, `2,000 calls`: the one place that counts in words.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    let counted = if count == 1 { one } else { many };
    format!("{} {counted}", format_count(count))
}

/// `1 of 3 calls`; where there is one and it is meant, `1 call`.
pub fn part_of(part: u64, all: u64, one: &str, many: &str) -> String {
    let all_counted = plural(all, one, many);
    match (part, all) {
        (1, 1) => all_counted,
        _ => format!("{} of {all_counted}", format_count(part)),
    }
}

/// A whole number with thousands set off: `1,234,567`.
pub fn format_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as a percentage, never rounded to 0 or 100 when it is neither:
/// `0%`, `<0.01%`, `0.25%`, `12.5%`, `>99.99%`, `100%`.
pub fn format_percent(share: f64) -> String {
    let percent = share * 100.0;
    if !percent.is_finite() {
        "-".to_string()
    } else if percent <= 0.0 {
        "0%".to_string()
    } else if percent < 0.01 {
        "<0.01%".to_string()
    } else if percent >= 100.0 {
        "100%".to_string()
    } else if percent > 99.99 {
        ">99.99%".to_string()
    } else {
        trim_zeros(format!("{percent:.2}")) + "%"
    }
}

/// A size: `512 B`, `1.50 KiB`, `16.0 MiB`.
pub fn format_bytes(bytes: u64) -> String {
    let b = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", three_digits(b / 1024.0)),
        1_048_576..1_073_741_824 => format!("{} MiB", three_digits(b / 1_048_576.0)),
        _ => format!("{} GiB", three_digits(b / 1_073_741_824.0)),
    }
}

/// The same figure without zeros at the end of its fraction: `5 ms` for `5.00 ms`.
pub fn without_zeros(figure: &str) -> String {
    let is_digit = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
    let end = figure.find(|c| !is_digit(c)).unwrap_or(figure.len());
    let (number, unit) = figure.split_at(end);
    trim_zeros(number.to_string()) + unit
}

fn trim_zeros(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    }
}

/// For serde: a time that there may be, in seconds.
pub fn as_secs<S: Serializer>(
    time: &(impl Copy + Into<Option<Duration>>),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let time: Option<Duration> = (*time).into();
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

/// The same in milliseconds.
pub fn as_ms<S: Serializer>(
    time: &(impl Copy + Into<Option<Duration>>),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let time: Option<Duration> = (*time).into();
    time.map(|time| time.as_secs_f64() * 1e3)
        .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_agrees_with_its_number() {
        assert_eq!(plural(1, "call", "calls"), "1 call");
        assert_eq!(plural(2_000, "call", "calls"), "2,000 calls");
        for (part, all, expected) in [
            (0, 1, "0 of 1 call"),
            (1, 1, "1 call"),
            (1, 3, "1 of 3 calls"),
            (3, 3, "3 of 3 calls"),
        ] {
            assert_eq!(part_of(part, all, "call", "calls"), expected);
        }
    }

    #[test]
    fn zeros_at_the_end_of_a_fraction_go() {
        let check = |figure: &str, expected: &str| assert_eq!(without_zeros(figure), expected);
        check("5.00 ms", "5 ms");
        check("1.50 s", "1.5 s");
        check("500 us", "500 us");
        check("1,200/s", "1,200/s");
        check("0.25/s", "0.25/s");
        check("-", "-");
    }

    #[test]
    fn a_duration_that_is_too_long_is_told_the_bound() {
        for text in ["999999h", "366d1s", "99999999999999999999999999h"] {
            let error = parse_duration(text).expect_err("too long");
            assert_eq!(
                error,
                format!("`{text}` is not a duration of at most `366d`")
            );
        }
        let error = parse_duration("x").expect_err("none");
        assert!(error.ends_with(DURATION_FORM), "{error}");
    }

    #[test]
    fn durations_are_read() {
        let check = |text: &str, ms: u64| {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(ms)),
                "{text}"
            );
        };
        check("30s", 30_000);
        check("1m30s", 90_000);
        check("1m 30s", 90_000);
        check("250ms", 250);
        check("1.5h", 5_400_000);
        check("60", 60_000);
        check("0s", 0);
        assert_eq!(parse_duration("2us"), Ok(Duration::from_micros(2)));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "-5s",
            "5 parsecs",
            "1m30",
            "1e9s",
            "9999999d",
            "5s5",
            "..s",
            "٣s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_and_sizes_are_read() {
        assert_eq!(parse_rate("200/s"), Ok(200.0));
        assert_eq!(parse_rate("90/m"), Ok(1.5));
        assert_eq!(parse_rate("3600/h"), Ok(1.0));
        assert!(parse_rate("0.01/h").is_ok());
        let fault = parse_rate("100").expect_err("no unit");
        assert!(fault.ends_with("; did you mean `100/s`?"), "{fault}");
        for text in [
            "200", "0/s", "-1/s", "inf/s", "NaN/s", "5/day", "0.0001/h", "1e-9/s",
        ] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
        assert_eq!(parse_bytes("64KiB"), Ok(65_536));
        assert_eq!(parse_bytes("512"), Ok(512));
        assert!(parse_bytes("many").is_err());
    }

    #[test]
    fn durations_are_printed_and_read_back() {
        for text in [
            "0s", "30s", "1m30s", "1m", "250ms", "1.5s", "1h05m", "2h", "1h00m01s",
        ] {
            let duration = parse_duration(text).expect("a duration");
            assert_eq!(format_duration(duration), text);
        }
    }

    #[test]
    fn latencies_keep_three_digits() {
        let check = |nanos, text: &str| assert_eq!(format_latency(nanos), text);
        check(0, "0 ns");
        check(812, "812 ns");
        check(43_812, "43.8 us");
        check(999_499, "999 us");
        check(999_999, "1.00 ms");
        check(1_204_000, "1.20 ms");
        check(99_960_000, "100 ms");
        check(999_999_999, "1.00 s");
        check(2_500_000_000, "2.50 s");
    }

    #[test]
    fn counts_rates_shares() {
        assert_eq!(format_count(0), "0");
        assert_eq!(format_count(999), "999");
        assert_eq!(format_count(1_234_567), "1,234,567");
        assert_eq!(format_rate(1420.4), "1,420/s");
        assert_eq!(format_rate(87.31), "87.3/s");
        assert_eq!(format_rate(0.0101), "0.01/s");
        assert_eq!(format_rate(0.005), "0.30/m");
        assert_eq!(format_rate(1.0 / 3600.0), "1.00/h");
        assert_eq!(format_rate(0.01 / 3600.0), "0.01/h");
        assert_eq!(format_rate(0.0), "0.00/s");
        assert_eq!(format_rate(f64::NAN), "-");
        assert_eq!(format_percent(0.0), "0%");
        assert_eq!(format_percent(0.000_001), "<0.01%");
        assert_eq!(format_percent(0.0025), "0.25%");
        assert_eq!(format_percent(0.999_999), ">99.99%");
        assert_eq!(format_percent(1.0), "100%");
        assert_eq!(format_bytes(1536), "1.50 KiB");
    }
}
