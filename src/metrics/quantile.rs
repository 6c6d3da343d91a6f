//! Which quantile, and which rank it has among some number of values: the one
//! definition for histograms and for limits that are counted exactly.

use std::fmt;

/// A quantile in hundredths of a percent: 9,999 is the 99.99th percentile. Above 0
/// and below 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantile(u16);

/// A whole, in the unit of [`Quantile`].
const WHOLE: u16 = 10_000;

impl Quantile {
    /// Reads `p99.9`, or `p(99.9)`, as k6 has it. `None`: another text, or not above 0
    /// and below 100, or more than two decimals.
    pub fn read(text: &str) -> Option<Self> {
        let number = text.strip_prefix('p')?;
        let in_brackets = number
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'));
        let number = in_brackets.unwrap_or(number);
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > 2 {
            return None;
        }
        let hundredths: u16 = format!("{decimals:0<2}").parse().ok()?;
        let parts = whole.parse::<u16>().ok()?.checked_mul(100)?;
        let parts = parts.checked_add(hundredths)?;
        (0 < parts && parts < WHOLE).then_some(Self(parts))
    }

    /// 0 to 1: the same number as the literal `0.99`.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE)
    }

    /// How many values it takes, 1 ÷ (1 − q): of fewer, it is the maximum.
    pub fn needs(self) -> u64 {
        let above = WHOLE - self.0;
        u64::from(WHOLE).div_ceil(u64::from(above))
    }
}

/// `p50`, `p99.9`
impl fmt::Display for Quantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        write!(f, "p{whole}")?;
        match (hundredths / 10, hundredths % 10) {
            (0, 0) => Ok(()),
            (tenths, 0) => write!(f, ".{tenths}"),
            _ => write!(f, ".{hundredths:02}"),
        }
    }
}

/// The rank of the quantile `q` (0 to 1) among `n` values, from 1 to `n`: `⌈q·n⌉`,
/// at least 1, computed as `hdrhistogram` does. 0 of none.
pub(super) fn rank(n: u64, q: f64) -> u64 {
    ((q * n as f64).ceil() as u64).max(1).min(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_read_and_told() {
        let check = |text: &str, expected: Option<(&str, f64, u64)>| {
            let read = Quantile::read(text);
            let told = read.map(|it| (it.to_string(), it.fraction(), it.needs()));
            let expected = expected.map(|(name, q, needs)| (name.to_string(), q, needs));
            assert_eq!(told, expected, "{text}");
        };
        check("p50", Some(("p50", 0.5, 2)));
        check("p(95)", Some(("p95", 0.95, 20)));
        check("p99", Some(("p99", 0.99, 100)));
        check("p99.9", Some(("p99.9", 0.999, 1000)));
        check("p99.90", Some(("p99.9", 0.999, 1000)));
        check("p99.99", Some(("p99.99", 0.9999, 10_000)));
        check("p99.05", Some(("p99.05", 0.9905, 106)));
        check("p0.01", Some(("p0.01", 0.0001, 2)));
        for text in [
            "p", "p0", "p100", "p99.999", "p-1", "p1e1", "99", "p(", "p()", "p.5", "p9.", "p99999",
            "p٣", "p+5",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn ranks_are_within_the_values() {
        assert_eq!([rank(0, 0.5), rank(1, 0.99), rank(100, 0.99)], [0, 1, 99]);
        assert_eq!([rank(100, 0.999), rank(100, 0.0)], [100, 1]);
    }
}
