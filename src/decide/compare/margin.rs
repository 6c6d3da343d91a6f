//! What may change before it matters: the margins, and how a user says others.

use std::str::FromStr;

use crate::error::nearest;
use crate::outcome::ComparedMetric;
use crate::units::parse_duration;

/// Differences below this are those of a clock and a kernel, whatever share of a short
/// latency they are.
const LATENCY_MIN_MS: f64 = 0.05;

/// What a figure may change by. A change matters where it is beyond both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Margin {
    /// A share of the base.
    share: f64,
    /// Latency: ms. Error share: its difference.
    absolute: f64,
}

impl Margin {
    /// The one of a metric where the user says nothing: 5 % of a median or a rate, 10 %
    /// of a higher percentile, and at least 50 us; 0.1 percentage points of errors.
    fn default_of(metric: ComparedMetric) -> Self {
        let (share, absolute) = match metric {
            ComparedMetric::P50 => (0.05, LATENCY_MIN_MS),
            ComparedMetric::P95 | ComparedMetric::P99 => (0.1, LATENCY_MIN_MS),
            ComparedMetric::Rate => (0.05, 0.0),
            ComparedMetric::Errors => (0.0, 0.001),
        };
        Self { share, absolute }
    }

    /// The margin as a share of the smaller side, so that it is the same for two sides
    /// that are swapped; of an error share its difference.
    pub(super) fn of(self, metric: ComparedMetric, base: f64, new: f64) -> f64 {
        match metric.quantile() {
            Some(_) => self.share.max(self.absolute / base.min(new).max(1e-9)),
            None => self.share.max(self.absolute),
        }
    }
}

/// The margin of one metric, as the user wishes it: `p99 +10% +5ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    metric: ComparedMetric,
    margin: Margin,
}

/// What the user wishes about margins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tolerances(Vec<Tolerance>);

impl Tolerances {
    /// Margins as they are typed; each names another metric.
    ///
    /// # Errors
    /// Where one is named twice: its name.
    pub fn new(tolerances: Vec<Tolerance>) -> Result<Self, &'static str> {
        for (at, tolerance) in tolerances.iter().enumerate() {
            let of_same = |other: &Tolerance| other.metric == tolerance.metric;
            if tolerances[..at].iter().any(of_same) {
                return Err(tolerance.metric.name());
            }
        }
        Ok(Self(tolerances))
    }

    /// Whether a metric is named: it decides then, as the medians do.
    pub(super) fn names(&self, metric: ComparedMetric) -> bool {
        self.0.iter().any(|tolerance| tolerance.metric == metric)
    }

    pub(super) fn margin(&self, metric: ComparedMetric) -> Margin {
        let own = self.0.iter().find(|tolerance| tolerance.metric == metric);
        own.map_or(Margin::default_of(metric), |tolerance| tolerance.margin)
    }
}

/// What a tolerance looks like, for messages.
const FORM: &str = "a metric and what it may change by, such as `p99 +10% +5ms`, `rate -5%` or \
                    `errors +0.5%`";

impl FromStr for Tolerance {
    type Err = String;

    /// Reads a tolerance: a metric, then a percentage, for a latency also a time. With
    /// both, a change matters where it is beyond both.
    ///
    /// # Errors
    /// What is wrong with it, and what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words
            .next()
            .ok_or_else(|| format!("`{text}` is not {FORM}"))?;
        let names = ComparedMetric::ALL.map(ComparedMetric::name);
        let metric = ComparedMetric::ALL
            .into_iter()
            .find(|metric| metric.name() == name);
        let metric = metric.ok_or_else(|| {
            let near = nearest(name, names).map(|near| format!("; did you mean `{near}`?"));
            format!(
                "`{name}` is not a metric that is compared; those are {}{}",
                names.join(", "),
                near.unwrap_or_default()
            )
        })?;
        let (mut share, mut absolute) = (None, None);
        for word in words {
            let value = word.trim_start_matches(['+', '-']);
            let (place, value) = match value.strip_suffix('%') {
                Some(percent) => (&mut share, percent.parse().ok().map(|n: f64| n / 100.0)),
                None if metric.quantile().is_some() => {
                    let time = parse_duration(value).ok();
                    (&mut absolute, time.map(|time| time.as_secs_f64() * 1e3))
                }
                None => {
                    return Err(format!(
                        "`{word}` is not a percentage: {name} takes one only"
                    ));
                }
            };
            let value = value.filter(|value| (0.0..=1e9).contains(value));
            let value =
                value.ok_or_else(|| format!("`{word}` in `{text}` is not part of {FORM}"))?;
            if place.replace(value).is_some() {
                return Err(format!("`{text}` has two of a kind; expected {FORM}"));
            }
        }
        if share.is_none() && absolute.is_none() {
            return Err(format!(
                "`{text}` lacks what {name} may change by; expected {FORM}"
            ));
        }
        let (share, absolute) = (share.unwrap_or(0.0), absolute.unwrap_or(0.0));
        let margin = match metric {
            // Of a share, percent are points.
            ComparedMetric::Errors => Margin {
                share: 0.0,
                absolute: share,
            },
            _ => Margin { share, absolute },
        };
        Ok(Self { metric, margin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_a_metric_with_a_share_or_a_time() {
        let check = |text: &str, metric, share, absolute| {
            let margin = Margin { share, absolute };
            assert_eq!(text.parse(), Ok(Tolerance { metric, margin }), "{text}");
        };
        check("p99 +10% +5ms", ComparedMetric::P99, 0.1, 5.0);
        check("p50 2%", ComparedMetric::P50, 0.02, 0.0);
        check("  p95   +1.5s ", ComparedMetric::P95, 0.0, 1500.0);
        check("rate -5%", ComparedMetric::Rate, 0.05, 0.0);
        check("errors +0.5%", ComparedMetric::Errors, 0.0, 0.005);
    }

    #[test]
    fn others_say_what_is_accepted() {
        let check = |text: &str, part: &str| {
            let error = text.parse::<Tolerance>().expect_err(text);
            assert!(error.contains(part), "{error}");
        };
        check("", "such as `p99 +10% +5ms`");
        check("p99", "lacks what p99 may change by");
        check("p999 +1%", "did you mean `p99`?");
        check("latency +1%", "those are p50, p95, p99, rate, errors");
        check("rate +5ms", "takes one only");
        check("p99 +5% +6%", "two of a kind");
        for text in ["p99 +x%", "p99 NaN%", "p99 +inf%", "p99 +-1%x", "p99 1e99%"] {
            check(text, "is not part of");
        }
        let twice = ["p99 1%", "p99 2%"].map(|text| text.parse().expect("a tolerance"));
        assert_eq!(Tolerances::new(twice.to_vec()), Err("p99"));
    }

    #[test]
    fn near_zero_a_margin_is_absolute() {
        let margin = Tolerances::default().margin(ComparedMetric::P50);
        let of = |base, new| margin.of(ComparedMetric::P50, base, new);
        assert_eq!(of(100.0, 120.0), 0.05);
        assert_eq!(of(0.1, 0.12), 0.5);
        assert_eq!(of(0.12, 0.1), 0.5);
        assert!(of(0.0, 1.0).is_finite());
        let errors = Tolerances::default().margin(ComparedMetric::Errors);
        assert_eq!(errors.of(ComparedMetric::Errors, 0.0, 0.5), 0.001);
    }
}
