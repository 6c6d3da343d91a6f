//! The closed model's intended starts: thinking between iterations, and fixed
//! intervals.
//!
//! Pure: no clock, no sleeping. It does not know what an iteration does. Start
//! with [`ThinkTime`] or [`Pacing`].

use std::time::Duration;

use crate::units::nanos;

/// How long a virtual user thinks between the end of an iteration and the
/// start of its next one.
///
/// Every sample is finite and at most `THINK_MAX`, whatever the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum ThinkTime {
    /// Not at all: the next iteration starts at once.
    #[default]
    None,
    /// Always as long.
    Constant(Duration),
    /// Any length between the two, ends included, as likely as another.
    /// Where `high` is below `low` it is taken as `low`.
    Uniform {
        /// The shortest.
        low: Duration,
        /// The longest.
        high: Duration,
    },
    /// Exponential, as the gaps of independent users are: mostly short, at
    /// times long. Cut at ten times the mean.
    Exponential {
        /// The mean before the cut.
        mean: Duration,
    },
    /// Log-normal, as people's thinking times are found to be: `median * exp(sigma * z)`
    /// with z standard normal.
    LogNormal {
        /// Half the samples are below.
        median: Duration,
        /// The spread, 0 or more; 0.5 is narrow, 1 wide, above 3 absurd. What
        /// is not a number counts as 0.
        sigma: f64,
    },
}

/// Exponential samples are cut at this many means: one in 22,000 is.
const EXPONENTIAL_CUT: u32 = 10;

/// No sample of a thinking time is longer: an hour, beyond which a virtual
/// user is not thinking but gone.
pub const THINK_MAX: Duration = Duration::from_secs(3600);

impl ThinkTime {
    /// Draws one.
    pub fn sample(self, random: &mut fastrand::Rng) -> Duration {
        let sample = match self {
            Self::None => Duration::ZERO,
            Self::Constant(length) => length,
            Self::Uniform { low, high } => {
                let (low, high) = (capped_ns(low), capped_ns(high));
                Duration::from_nanos(random.u64(low..=high.max(low)))
            }
            Self::Exponential { mean } => {
                let cut = mean.saturating_mul(EXPONENTIAL_CUT);
                scaled(mean, unit_exponential(random)).min(cut)
            }
            Self::LogNormal { median, sigma } => {
                scaled(median, (spread(sigma) * standard_normal(random)).exp())
            }
        };
        sample.min(THINK_MAX)
    }

    /// The mean of the samples, for arithmetic on the load (Little's law).
    /// Exact but for the lognormal, whose cut at `THINK_MAX` is counted only
    /// in so far as the mean itself is cut.
    pub fn mean(self) -> Duration {
        let mean = match self {
            Self::None => Duration::ZERO,
            Self::Constant(length) => length,
            Self::Uniform { low, high } => {
                let (low, high) = (low.min(THINK_MAX), high.min(THINK_MAX));
                low + high.saturating_sub(low) / 2
            }
            Self::Exponential { mean } => {
                let cut = mean.saturating_mul(EXPONENTIAL_CUT).min(THINK_MAX);
                let n_means = cut.as_secs_f64() / mean.as_secs_f64();
                // A mean of zero gives a quotient that is not a number or endless.
                if n_means.is_finite() {
                    scaled(mean, -(-n_means).exp_m1())
                } else {
                    Duration::ZERO
                }
            }
            Self::LogNormal { median, sigma } => {
                scaled(median, (spread(sigma).powi(2) / 2.0).exp())
            }
        };
        mean.min(THINK_MAX)
    }
}

/// A closed model in which iterations start at fixed intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// The time between the starts of two iterations.
    pub interval: Duration,
}

/// When one virtual user's paced iterations are due.
///
/// Iteration `k` is due at `first + k * interval`, always: the formula knows
/// nothing of how long iterations take. One that overruns makes the next ones
/// late. A late one starts at once, without a pause and without being left
/// out, until the user has caught up with the formula; its response time still
/// counts from the instant it was due, so that a stall of the server shows in
/// every iteration that it delayed.
#[derive(Debug, Clone)]
pub struct PacedStarts {
    interval: Duration,
    /// When the next iteration is due. Whole nanoseconds, so sums are exact.
    next: Duration,
}

/// One start of a paced iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacedStart {
    /// When it was due; response time counts from here.
    pub intended: Duration,
    /// When to start it: when it is due, or now where that is past.
    pub begin: Duration,
    /// How many whole intervals lie between the two: the iterations still to
    /// be caught up after this one. 0 where it is not late.
    pub n_behind: u64,
}

impl Pacing {
    /// Pacing by an interval. `None` where it is zero, which is not pacing.
    pub fn new(interval: Duration) -> Option<Self> {
        (!interval.is_zero()).then_some(Self { interval })
    }

    /// The starts of a virtual user whose first iteration is due at `first`.
    pub fn starts(self, first: Duration) -> PacedStarts {
        PacedStarts {
            interval: self.interval,
            next: first,
        }
    }
}

impl PacedStarts {
    /// The next iteration's start, asked for when the one before has ended, at
    /// `now`. Times are since any fixed origin, the same as of `first`.
    pub fn next_intended(&mut self, now: Duration) -> PacedStart {
        let intended = self.next;
        self.next = self.next.saturating_add(self.interval);
        let late_ns = now.saturating_sub(intended).as_nanos();
        let n_behind = late_ns / self.interval.as_nanos().max(1);
        PacedStart {
            intended,
            begin: intended.max(now),
            n_behind: u64::try_from(n_behind).unwrap_or(u64::MAX),
        }
    }
}

/// `-ln(1 - u)`, with `1 - u` in (0, 1]: from 0 to 36.8.
fn unit_exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

/// Box and Muller's method; one of its two values. Within ±8.6, for the
/// logarithm ends where the generator's 53 bits do.
fn standard_normal(random: &mut fastrand::Rng) -> f64 {
    let radius = (2.0 * unit_exponential(random)).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// `length * factor`, at most `THINK_MAX`.
fn scaled(length: Duration, factor: f64) -> Duration {
    // A factor that overflowed to infinity times zero is not a number.
    if length.is_zero() {
        return Duration::ZERO;
    }
    Duration::try_from_secs_f64(length.as_secs_f64() * factor)
        .map_or(THINK_MAX, |scaled| scaled.min(THINK_MAX))
}

fn spread(sigma: f64) -> f64 {
    // `max` gives the other operand where one is not a number.
    sigma.max(0.0)
}

fn capped_ns(length: Duration) -> u64 {
    nanos(length.min(THINK_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Draws 20,000 and gives their mean and median in milliseconds.
    fn mean_and_median_ms(think: ThinkTime) -> (f64, f64) {
        let mut random = fastrand::Rng::with_seed(3);
        let mut samples: Vec<f64> = (0..20_000)
            .map(|_| think.sample(&mut random).as_secs_f64() * 1e3)
            .collect();
        samples.sort_by(f64::total_cmp);
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        (mean, samples[samples.len() / 2])
    }

    #[test]
    fn samples_follow_their_distribution() {
        let check = |think: ThinkTime, mean_ms: f64, median_ms: f64| {
            let (mean, median) = mean_and_median_ms(think);
            assert!(
                (mean - mean_ms).abs() <= mean_ms * 0.03,
                "{think:?}: {mean}"
            );
            assert!(
                (median - median_ms).abs() <= median_ms * 0.03,
                "{think:?}: {median}"
            );
            let stated = think.mean().as_secs_f64() * 1e3;
            assert!(
                (stated - mean_ms).abs() <= mean_ms * 0.001 + 1e-6,
                "{stated}"
            );
        };
        check(ThinkTime::None, 0.0, 0.0);
        check(ThinkTime::Constant(ms(500)), 500.0, 500.0);
        let (low, high) = (ms(100), ms(300));
        check(ThinkTime::Uniform { low, high }, 200.0, 200.0);
        let mean = ms(100);
        // The cut at ten means takes e^-10 of the mean away.
        check(ThinkTime::Exponential { mean }, 99.9955, 69.3147);
        // e^(0.5^2 / 2) of the median.
        let (median, sigma) = (ms(100), 0.5);
        check(ThinkTime::LogNormal { median, sigma }, 113.3148, 100.0);
    }

    #[test]
    fn a_range_upside_down_is_its_lower_end() {
        let (low, high) = (ms(30), ms(10));
        let think = ThinkTime::Uniform { low, high };
        assert_eq!(think.sample(&mut fastrand::Rng::with_seed(1)), ms(30));
        assert_eq!(think.mean(), ms(30));
    }

    #[test]
    fn paced_iterations_start_on_the_formula_and_catch_up_without_drift() {
        let mut starts = Pacing::new(ms(100)).expect("an interval").starts(ms(50));
        // (the iteration before ended at, due, begins, intervals behind)
        let table = [
            (0, 50, 50, 0),
            (80, 150, 150, 0),
            // An overrun of 430 ms: four iterations late, none left out.
            (580, 250, 580, 3),
            (590, 350, 590, 2),
            (600, 450, 600, 1),
            (610, 550, 610, 0),
            // Caught up, on the same formula as before.
            (620, 650, 650, 0),
            (750, 750, 750, 0),
        ];
        for (now, intended, begin, n_behind) in table {
            let expected = PacedStart {
                intended: ms(intended),
                begin: ms(begin),
                n_behind,
            };
            assert_eq!(starts.next_intended(ms(now)), expected);
        }
    }

    #[test]
    fn pacing_needs_an_interval() {
        assert_eq!(Pacing::new(Duration::ZERO), None);
        assert_eq!(Pacing::new(ms(1)).map(|it| it.interval), Some(ms(1)));
    }

    #[test]
    fn paced_starts_do_not_drift() {
        let interval = Duration::from_nanos(333_333_333);
        let mut starts = Pacing::new(interval).expect("an interval").starts(ms(1));
        let mut last = Duration::ZERO;
        for _ in 0..=1_000_000 {
            // Each iteration ends late by an odd amount.
            last = starts
                .next_intended(last + Duration::from_nanos(7))
                .intended;
        }
        assert_eq!(last, ms(1) + interval * 1_000_000);
    }

    fn any_think() -> impl Strategy<Value = ThinkTime> {
        let length = || any::<u64>().prop_map(Duration::from_nanos);
        prop_oneof![
            length().prop_map(ThinkTime::Constant),
            (length(), length()).prop_map(|(low, high)| ThinkTime::Uniform { low, high }),
            length().prop_map(|mean| ThinkTime::Exponential { mean }),
            (length(), any::<f64>())
                .prop_map(|(median, sigma)| ThinkTime::LogNormal { median, sigma }),
            Just(ThinkTime::LogNormal {
                median: Duration::ZERO,
                sigma: f64::INFINITY
            }),
            Just(ThinkTime::Exponential {
                mean: Duration::ZERO
            }),
            Just(ThinkTime::Constant(Duration::MAX)),
        ]
    }

    proptest! {
        #[test]
        fn samples_and_means_are_bounded(think in any_think(), seed in any::<u64>()) {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..10 {
                prop_assert!(think.sample(&mut random) <= THINK_MAX);
            }
            prop_assert!(think.mean() <= THINK_MAX);
        }

        #[test]
        fn a_seed_gives_the_same_samples(think in any_think(), seed in any::<u64>()) {
            let draw = || think.sample(&mut fastrand::Rng::with_seed(seed));
            prop_assert_eq!(draw(), draw());
        }

        #[test]
        fn a_paced_start_is_never_before_now_nor_before_it_is_due(
            interval_ns in 1_u64..10_000_000_000,
            overruns_ns in proptest::collection::vec(0_u64..30_000_000_000, 1..50),
        ) {
            let interval = Duration::from_nanos(interval_ns);
            let mut starts = Pacing::new(interval).expect("above zero").starts(Duration::ZERO);
            let mut now = Duration::ZERO;
            for (k, overrun_ns) in overruns_ns.into_iter().enumerate() {
                let start = starts.next_intended(now);
                prop_assert_eq!(start.intended, interval * k as u32);
                prop_assert!(start.begin >= now && start.begin >= start.intended);
                prop_assert!(start.begin == now || start.begin == start.intended);
                now = start.begin + Duration::from_nanos(overrun_ns);
            }
        }
    }
}
