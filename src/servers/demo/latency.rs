//! How long a call takes: distributions as text and as samples.
//!
//! Pure: sampling takes its random generator. Start at [`DemoLatency`].

use std::f64::consts::TAU;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use fastrand::Rng;

use crate::error::UserError;
use crate::units::parse_duration;

/// No call takes longer than this, whatever a distribution's tail says.
const LATENCY_MAX: Duration = Duration::from_secs(3600);

/// The accepted forms of a latency.
pub const LATENCY_FORM: &str = "`none`, `fixed:5ms`, `uniform:1ms..10ms`, `exponential:5ms`, \
     `lognormal:5ms,0.5` (median, sigma) or `bimodal:5ms,50ms,0.1` (usual, slow, share of slow)";

/// A distribution of durations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DemoLatency {
    /// No delay at all: as fast as the server can.
    None,
    /// Always the same.
    Fixed(Duration),
    /// Evenly spread from `low` to `high`.
    Uniform {
        /// The shortest.
        low: Duration,
        /// The longest.
        high: Duration,
    },
    /// Exponential: memoryless, as in the M/M/c queue.
    Exponential {
        /// Its mean.
        mean: Duration,
    },
    /// Log-normal: the usual shape of real servers, with a long tail.
    LogNormal {
        /// Half of the samples are shorter.
        median: Duration,
        /// Standard deviation of the logarithm; 0 is fixed, 0.5 usual, 1 heavy.
        sigma: f64,
    },
    /// Two fixed values: a cache's hits and misses.
    Bimodal {
        /// The usual value.
        usual: Duration,
        /// The slow one.
        slow: Duration,
        /// The share of slow ones, 0 to 1.
        slow_share: f64,
    },
}

impl DemoLatency {
    /// One duration. Each kind draws equally often whatever the outcome is, so
    /// that a stream of samples stays in step.
    pub(super) fn sample(&self, rng: &mut Rng) -> Duration {
        let sample = match *self {
            Self::None => Duration::ZERO,
            Self::Fixed(value) => value,
            Self::Uniform { low, high } => {
                low.saturating_add(scaled(high.saturating_sub(low), rng.f64()))
            }
            // 1 − u lies in (0, 1], so the logarithm is finite.
            Self::Exponential { mean } => scaled(mean, -(1.0 - rng.f64()).ln()),
            Self::LogNormal { median, sigma } => {
                // Box and Muller's transform gives a normal deviate.
                let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
                let normal = radius * (TAU * rng.f64()).cos();
                scaled(median, (sigma * normal).exp())
            }
            Self::Bimodal {
                usual,
                slow,
                slow_share,
            } => {
                if rng.f64() < slow_share {
                    slow
                } else {
                    usual
                }
            }
        };
        sample.min(LATENCY_MAX)
    }

    /// The mean of the distribution, to hold samples against.
    #[cfg(test)]
    fn mean(&self) -> Duration {
        match *self {
            Self::None => Duration::ZERO,
            Self::Fixed(value) => value,
            Self::Uniform { low, high } => low.saturating_add(high.saturating_sub(low) / 2),
            Self::Exponential { mean } => mean,
            Self::LogNormal { median, sigma } => scaled(median, (sigma * sigma / 2.0).exp()),
            Self::Bimodal {
                usual,
                slow,
                slow_share,
            } => scaled(usual, 1.0 - slow_share).saturating_add(scaled(slow, slow_share)),
        }
    }
}

/// `duration * factor`, within zero and the longest latency.
fn scaled(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).map_or(
        if factor > 0.0 {
            LATENCY_MAX
        } else {
            Duration::ZERO
        },
        |scaled| scaled.min(LATENCY_MAX),
    )
}

impl fmt::Display for DemoLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::None => f.write_str("none"),
            Self::Fixed(value) => write!(f, "fixed:{}", Exact(value)),
            Self::Uniform { low, high } => write!(f, "uniform:{}..{}", Exact(low), Exact(high)),
            Self::Exponential { mean } => write!(f, "exponential:{}", Exact(mean)),
            Self::LogNormal { median, sigma } => {
                write!(f, "lognormal:{},{sigma}", Exact(median))
            }
            Self::Bimodal {
                usual,
                slow,
                slow_share,
            } => write!(f, "bimodal:{},{},{slow_share}", Exact(usual), Exact(slow)),
        }
    }
}

/// A duration as text that reads back as the same: settings are repeated by it.
struct Exact(Duration);

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match nanos {
            _ if nanos.is_multiple_of(1_000_000_000) => write!(f, "{}s", nanos / 1_000_000_000),
            _ if nanos.is_multiple_of(1_000_000) => write!(f, "{}ms", nanos / 1_000_000),
            _ if nanos.is_multiple_of(1_000) => write!(f, "{}us", nanos / 1_000),
            _ => write!(f, "{nanos}ns"),
        }
    }
}

impl FromStr for DemoLatency {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        let error = || {
            UserError::usage(format!("`{text}` is not a latency"))
                .hint(format!("A latency is {LATENCY_FORM}."))
        };
        let (kind, rest) = text.trim().split_once(':').unwrap_or((text.trim(), ""));
        let duration = |text: &str| {
            parse_duration(text)
                .ok()
                .filter(|duration| *duration <= LATENCY_MAX)
                .ok_or_else(error)
        };
        let number = |text: &str, max: f64| {
            let value: f64 = text.trim().parse().map_err(|_| error())?;
            if (0.0..=max).contains(&value) {
                Ok(value)
            } else {
                Err(error())
            }
        };
        match kind {
            "none" if rest.is_empty() => Ok(Self::None),
            "fixed" => Ok(Self::Fixed(duration(rest)?)),
            "exponential" => Ok(Self::Exponential {
                mean: duration(rest)?,
            }),
            "uniform" => {
                let (low, high) = rest.split_once("..").ok_or_else(error)?;
                let (low, high) = (duration(low)?, duration(high)?);
                if low > high {
                    return Err(error());
                }
                Ok(Self::Uniform { low, high })
            }
            "lognormal" => {
                let (median, sigma) = rest.split_once(',').ok_or_else(error)?;
                // A sigma beyond 5 has a mean of 270,000 medians: a typo.
                Ok(Self::LogNormal {
                    median: duration(median)?,
                    sigma: number(sigma, 5.0)?,
                })
            }
            "bimodal" => {
                let (usual, rest) = rest.split_once(',').ok_or_else(error)?;
                let (slow, share) = rest.split_once(',').ok_or_else(error)?;
                Ok(Self::Bimodal {
                    usual: duration(usual)?,
                    slow: duration(slow)?,
                    slow_share: number(share, 1.0)?,
                })
            }
            _ => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn latencies_are_read_and_printed() {
        let check = |text: &str, expected: DemoLatency| {
            assert_eq!(text.parse::<DemoLatency>(), Ok(expected));
            assert_eq!(expected.to_string(), text);
        };
        check("none", DemoLatency::None);
        check("fixed:5ms", DemoLatency::Fixed(5 * MS));
        check(
            "fixed:1500us",
            DemoLatency::Fixed(Duration::from_micros(1500)),
        );
        check(
            "uniform:1ms..10ms",
            DemoLatency::Uniform {
                low: MS,
                high: 10 * MS,
            },
        );
        check(
            "exponential:2s",
            DemoLatency::Exponential { mean: 2000 * MS },
        );
        check(
            "lognormal:5ms,0.5",
            DemoLatency::LogNormal {
                median: 5 * MS,
                sigma: 0.5,
            },
        );
        check(
            "bimodal:5ms,50ms,0.1",
            DemoLatency::Bimodal {
                usual: 5 * MS,
                slow: 50 * MS,
                slow_share: 0.1,
            },
        );
    }

    #[test]
    fn what_is_no_latency_is_refused_with_the_forms() {
        for text in [
            "",
            "5ms",
            "none:5ms",
            "fixed",
            "fixed:",
            "fixed:2d",
            "uniform:10ms..1ms",
            "uniform:10ms",
            "exponential:-5ms",
            "lognormal:5ms",
            "lognormal:5ms,NaN",
            "lognormal:5ms,-1",
            "bimodal:5ms,50ms,2",
        ] {
            let error = text.parse::<DemoLatency>().expect_err(text);
            assert!(error.to_string().contains("`uniform:1ms..10ms`"), "{error}");
        }
    }

    #[test]
    fn samples_have_the_mean_that_is_told() {
        for text in [
            "fixed:5ms",
            "uniform:1ms..10ms",
            "exponential:5ms",
            "lognormal:5ms,0.5",
            "bimodal:5ms,50ms,0.1",
        ] {
            let latency: DemoLatency = text.parse().expect("a latency");
            let mut rng = Rng::with_seed(7);
            let n_samples = 200_000;
            let total: f64 = (0..n_samples)
                .map(|_| latency.sample(&mut rng).as_secs_f64())
                .sum();
            let ratio = total / f64::from(n_samples) / latency.mean().as_secs_f64();
            assert!((0.98..1.02).contains(&ratio), "{text}: {ratio}");
        }
    }

    #[test]
    fn half_of_a_lognormal_lies_below_its_median() {
        let latency = DemoLatency::LogNormal {
            median: 5 * MS,
            sigma: 0.5,
        };
        let mut rng = Rng::with_seed(1);
        let below = (0..100_000)
            .filter(|_| latency.sample(&mut rng) < 5 * MS)
            .count();
        assert!((49_000..51_000).contains(&below), "{below}");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(
            text in r"(fixed|uniform|exponential|lognormal|bimodal)?[:=]?[0-9a-z.,/=-]{0,20}",
        ) {
            let mut rng = Rng::with_seed(1);
            if let Ok(latency) = text.parse::<DemoLatency>() {
                prop_assert!(latency.sample(&mut rng) <= LATENCY_MAX);
                prop_assert!(latency.mean() <= LATENCY_MAX);
                prop_assert_eq!(latency.to_string().parse(), Ok(latency));
            }
        }
    }
}
