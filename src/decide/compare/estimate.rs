//! How much a figure changed, and how sure that is: one question to several methods.
//!
//! A change is a difference: of logarithms for latencies and rates, so that two swapped
//! sides mirror each other, and of shares for errors.

use super::few::{self, Share};
use super::ranks::RunDifferences;
use super::student::{t_above, t_exceeded, z_exceeded};

/// The share of wrong answers.
pub(super) const ALPHA: f64 = 0.05;

/// Calls of one second fail together, and counts do not tell how far. So counts alone
/// are held against this part of the wrong answers: 0.001 where 0.05 are allowed.
const COUNTED_ALPHA: f64 = 0.02;

/// By so much the variance of a few pieces that follow each other may be too small: of
/// six pieces with a correlation of 0.9 from one to the next.
const PIECES_ALIKE: f64 = 5.0;

/// A change, new less base, and what it was taken from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Estimate {
    /// Two means: their difference, its standard error and degrees of freedom.
    Means(Means),
    /// Shares of which one is of a few errors.
    Few { base: Share, new: Share },
    /// Shares of whole runs, of which nothing is known by time.
    Counted { base: Share, new: Share },
    /// Runs by their means.
    Runs(RunMeans),
    /// Runs by their ranks, and the same runs by their means.
    Ranks(RunDifferences, RunMeans),
}

/// The difference of two means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Means {
    pub(super) change: f64,
    /// Above 0.
    pub(super) standard_error: f64,
    pub(super) df: f64,
}

/// A mean of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mean {
    pub(super) value: f64,
    /// Of the mean, not of the values.
    pub(super) variance: f64,
    /// How many values.
    pub(super) n: usize,
}

/// Several runs a side: their means, and the gap between the sides where there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RunMeans {
    pub(super) means: Means,
    pub(super) gap: Option<SideGap>,
}

/// Every run of one side lies above every run of the other. Of two sides of one process
/// chance does that in one of twenty cases of three runs a side, whatever the
/// distribution.
///
/// By Welch a new version that is 1.3, 2 and 10 times slower is not surely slower, since
/// its own runs vary so much. Were nothing changed, they would vary as those of the
/// better side do. So the distance is held against the variation of that side alone, as
/// Glass does with that of the control group ("Primary, secondary, and meta-analysis of
/// research", 1976).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SideGap {
    /// From the greatest of the lower side to the least of the upper one; above 0.
    width: f64,
    /// With the standard error of the better side.
    means: Means,
}

/// From the greatest value of the lower side to the least of the upper one: above 0 where
/// all of `new` is above all of `base`, below 0 where it is below, and 0 where they overlap.
pub(super) fn gap_of(base: &[f64], new: &[f64]) -> f64 {
    let least = |side: &[f64]| side.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |side: &[f64]| side.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (above, below) = (least(new) - most(base), least(base) - most(new));
    above.max(0.0) - below.max(0.0)
}

/// A gap and Welch are two looks at the same runs.
const N_LOOKS: f64 = 2.0;

impl SideGap {
    /// `variance_min` is, of the base and of the new runs, the least that one of the
    /// values may be taken to vary. `None` where the sides overlap.
    pub(super) fn new(
        base: &[f64],
        new: &[f64],
        variance_min: [f64; 2],
        is_rise_worse: bool,
    ) -> Option<Self> {
        let gap = gap_of(base, new);
        let is_worse = (gap > 0.0) == is_rise_worse;
        let (better, variance_min) = match is_worse {
            true => (base, variance_min[0]),
            false => (new, variance_min[1]),
        };
        let change = Mean::of(new, 0.0).value - Mean::of(base, 0.0).value;
        // Of one value: times how many they are, it is the variance of a mean.
        let variance = Mean::of(better, variance_min).variance * better.len() as f64;
        let n = 1.0 / base.len() as f64 + 1.0 / new.len() as f64;
        (gap != 0.0 && better.len() > 1).then(|| Self {
            width: gap.abs(),
            means: Means {
                change,
                standard_error: (variance * n).sqrt().max(1e-12),
                df: (better.len() - 1) as f64,
            },
        })
    }
}

impl RunMeans {
    /// The same seen from the other side: what is below becomes above.
    fn mirrored(self) -> Self {
        let mirrored = |means: Means| Means {
            change: -means.change,
            ..means
        };
        Self {
            means: mirrored(self.means),
            gap: self.gap.map(|gap| SideGap {
                means: mirrored(gap.means),
                ..gap
            }),
        }
    }

    /// A gap tells of limits that lie in it.
    fn p_above(self, limit: f64) -> f64 {
        let by_means = self.means.p_above(limit);
        let limit = limit.max(0.0);
        let gap = self
            .gap
            .filter(|gap| gap.means.change > 0.0 && limit < gap.width);
        gap.map_or(by_means, |gap| {
            by_means.min(N_LOOKS * gap.means.p_above(limit))
        })
    }

    fn p_below(self, limit: f64) -> f64 {
        self.mirrored().p_above(-limit)
    }

    /// Where the true change begins.
    fn low(self, alpha: f64) -> f64 {
        let low = self.means.interval(alpha).0;
        let gap = self.gap.filter(|gap| gap.means.change > 0.0);
        let by_gap = gap.map(|gap| gap.width.min(gap.means.interval(alpha / N_LOOKS).0));
        by_gap
            .filter(|by_gap| *by_gap > 0.0)
            .map_or(low, |by_gap| low.max(by_gap))
    }

    fn interval(self, alpha: f64) -> (f64, f64) {
        (self.low(alpha), -self.mirrored().low(alpha))
    }
}

impl Mean {
    /// `variance_min` is the least that one value may be taken to vary: what is rounded
    /// or counted is not exact, however alike the values are.
    pub(super) fn of(values: &[f64], variance_min: f64) -> Self {
        let n = values.len();
        let value = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|v| (v - value).powi(2)).sum();
        let variance = squares / (n.max(2) - 1) as f64;
        Self {
            value,
            variance: variance.max(variance_min) / n as f64,
            n,
        }
    }
}

impl Means {
    /// By Welch: each side has a variance of its own.
    pub(super) fn welch(base: Mean, new: Mean) -> Self {
        let variance = base.variance + new.variance;
        let of = |mean: Mean| mean.variance.powi(2) / (mean.n.max(2) - 1) as f64;
        Self {
            change: new.value - base.value,
            standard_error: variance.sqrt().max(1e-12),
            df: (variance.powi(2) / (of(base) + of(new)).max(1e-300)).max(1.0),
        }
    }

    /// By Student, of pairs: what both of a pair have in common, such as a machine that was
    /// busy at the time, is in no difference. Both sides have as many values, two or more.
    pub(super) fn paired(base: &[f64], new: &[f64], variance_min: f64) -> Option<Self> {
        let differences: Vec<f64> = base.iter().zip(new).map(|(base, new)| new - base).collect();
        if base.len() != new.len() || differences.len() < 2 {
            return None;
        }
        // A difference has the least variance of both.
        let mean = Mean::of(&differences, 2.0 * variance_min);
        Some(Self {
            change: mean.value,
            standard_error: mean.variance.sqrt().max(1e-12),
            df: (mean.n - 1) as f64,
        })
    }

    /// By Student: both sides vary alike, for a side of one or two values.
    pub(super) fn pooled(base: &[f64], new: &[f64], variance_min: f64) -> Option<Self> {
        let df = (base.len() + new.len())
            .checked_sub(2)
            .filter(|df| *df > 0)? as f64;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let squares = |values: &[f64]| -> f64 {
            let mean = mean(values);
            values.iter().map(|value| (value - mean).powi(2)).sum()
        };
        let variance = ((squares(base) + squares(new)) / df).max(variance_min);
        let n = 1.0 / base.len() as f64 + 1.0 / new.len() as f64;
        Some(Self {
            change: mean(new) - mean(base),
            standard_error: (variance * n).sqrt().max(1e-12),
            df,
        })
    }

    fn p_above(self, limit: f64) -> f64 {
        (2.0 * t_above((self.change - limit) / self.standard_error, self.df)).min(1.0)
    }

    fn p_below(self, limit: f64) -> f64 {
        (2.0 * t_above((limit - self.change) / self.standard_error, self.df)).min(1.0)
    }

    fn interval(self, alpha: f64) -> (f64, f64) {
        let half = t_exceeded(alpha / 2.0, self.df) * self.standard_error;
        (self.change - half, self.change + half)
    }

    /// Of pieces of time that follow each other, where nobody knows how much one
    /// resembles the next: the whole side is worth one piece, and those that are alike
    /// vary less than that tells. `None` with too few of them.
    pub(super) fn of_few_pieces(base: Mean, new: Mean) -> Option<Self> {
        let n_least = base.n.min(new.n);
        let of_piece = |mean: Mean| mean.variance * mean.n as f64;
        let variance = PIECES_ALIKE * (of_piece(base) + of_piece(new));
        (n_least > 2).then(|| Self {
            change: new.value - base.value,
            standard_error: variance.sqrt().max(1e-12),
            df: (n_least - 1) as f64,
        })
    }

    /// What would be seen in four of five cases.
    fn detectable(self, alpha: f64) -> f64 {
        (t_exceeded(alpha / 2.0, self.df) + t_exceeded(0.2, self.df)) * self.standard_error
    }
}

impl Estimate {
    /// New less base.
    pub(super) fn change(&self) -> f64 {
        match self {
            Self::Means(means) => means.change,
            Self::Runs(runs) => runs.means.change,
            Self::Few { base, new } | Self::Counted { base, new } => new.value() - base.value(),
            Self::Ranks(differences, _) => differences.middle(),
        }
    }

    /// Two-sided: how likely such figures are, were the true change `limit` and not
    /// above it. At most `alpha` exactly where the interval of `alpha` is above `limit`.
    pub(super) fn p_above(&self, limit: f64) -> f64 {
        match self {
            Self::Means(means) => means.p_above(limit),
            Self::Runs(runs) => runs.p_above(limit),
            Self::Few { base, new } => {
                least_alpha(|alpha| few::interval(*base, *new, alpha).0 > limit)
            }
            Self::Counted { base, new } => {
                least_alpha(|alpha| few::interval(*base, *new, alpha * COUNTED_ALPHA).0 > limit)
            }
            Self::Ranks(differences, _) => differences.p_above(limit),
        }
    }

    /// The same of a change below `limit`.
    pub(super) fn p_below(&self, limit: f64) -> f64 {
        match self {
            Self::Means(means) => means.p_below(limit),
            Self::Runs(runs) => runs.p_below(limit),
            Self::Few { base, new } => {
                least_alpha(|alpha| few::interval(*base, *new, alpha).1 < limit)
            }
            Self::Counted { base, new } => {
                least_alpha(|alpha| few::interval(*base, *new, alpha * COUNTED_ALPHA).1 < limit)
            }
            Self::Ranks(differences, _) => differences.p_below(limit),
        }
    }

    /// How likely such figures are where nothing changed.
    pub(super) fn p_equal(&self) -> f64 {
        self.p_above(0.0).min(self.p_below(0.0))
    }

    /// Where the true change lies, with this share of wrong answers; infinite on a side
    /// that nothing bounds.
    pub(super) fn interval(&self, alpha: f64) -> (f64, f64) {
        match self {
            Self::Means(means) => means.interval(alpha),
            Self::Runs(runs) => runs.interval(alpha),
            Self::Few { base, new } => few::interval(*base, *new, alpha),
            Self::Counted { base, new } => few::interval(*base, *new, alpha * COUNTED_ALPHA),
            Self::Ranks(differences, _) => differences.interval(alpha),
        }
    }

    /// The smallest change that could have been seen in four of five cases.
    pub(super) fn detectable(&self, alpha: f64) -> f64 {
        match self {
            Self::Means(means)
            | Self::Runs(RunMeans { means, .. })
            | Self::Ranks(_, RunMeans { means, .. }) => means.detectable(alpha),
            Self::Few { base, new } | Self::Counted { base, new } => {
                let alpha = match self {
                    Self::Counted { .. } => alpha * COUNTED_ALPHA,
                    _ => alpha,
                };
                let n = (base.n.max(1) as f64, new.n.max(1) as f64);
                let n_events = base.n_events as f64 + new.n_events as f64;
                let share = ((n_events + 1.0) / (n.0 + n.1 + 2.0)).min(0.5);
                let error = (share * (1.0 - share) * (1.0 / n.0 + 1.0 / n.1)).sqrt();
                (z_exceeded(alpha / 2.0) + z_exceeded(0.2)) * error
            }
        }
    }

    /// Where no call failed on either side: how many of a side it takes to say that no more
    /// than `margin` of them do (Wilson's interval with no event), and how many there are.
    pub(super) fn calls_without_error(&self, margin: f64) -> Option<(u64, u64)> {
        let Self::Few { base, new } = self else {
            return None;
        };
        let z = z_exceeded(ALPHA / 2.0);
        let n = z * z * (1.0 - margin) / margin.max(1e-12);
        // A cast from a float saturates.
        (base.n_events.max(new.n_events) == 0).then(|| (n.ceil() as u64, base.n.min(new.n)))
    }

    /// The same runs by their means, where ranks of so few cannot reach `alpha`.
    pub(super) fn reaching(self, alpha: f64) -> Self {
        match self {
            Self::Ranks(differences, runs) if differences.p_least() > alpha => Self::Runs(runs),
            other => other,
        }
    }
}

/// The least share of wrong answers with which something holds, which holds with every
/// larger one too.
fn least_alpha(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (-14.0_f64, 0.0);
    if !holds(0.999) {
        return 1.0;
    }
    for _ in 0..24 {
        let middle = f64::midpoint(low, high);
        if holds(10_f64.powf(middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    10_f64.powf(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimates() -> Vec<Estimate> {
        let base = Mean::of(&[1.0, 1.2, 0.9, 1.1, 1.0, 1.05], 0.0);
        let new = Mean::of(&[1.2, 1.3, 1.25, 1.1, 1.3, 1.2], 0.0);
        let share = |n_events, n| Share { n_events, n };
        let (runs, slower) = ([0.1, 0.3, 0.2, 0.25, 0.15], [0.35, 0.4, 0.28, 0.5, 0.45]);
        let by_means = |base: &[f64], new: &[f64], is_rise_worse| RunMeans {
            means: Means::pooled(base, new, 0.0).expect("enough runs"),
            gap: SideGap::new(base, new, [0.0; 2], is_rise_worse),
        };
        let far = [0.4, 1.1, 3.5];
        vec![
            Estimate::Means(Means::welch(base, new)),
            Estimate::Few {
                base: share(1, 900),
                new: share(14, 1000),
            },
            Estimate::Few {
                base: share(1, 900),
                new: share(2, 1000),
            },
            Estimate::Counted {
                base: share(20, 900),
                new: share(300, 1000),
            },
            Estimate::Runs(by_means(&runs[2..], &far, true)),
            Estimate::Runs(by_means(&runs[2..], &far, false)),
            Estimate::Runs(by_means(&far, &runs[2..], true)),
            Estimate::Runs(by_means(&far, &far, true)),
            Estimate::Ranks(
                RunDifferences::new(&runs, &slower),
                by_means(&runs, &slower, true),
            ),
        ]
    }

    #[test]
    fn welch_is_that_of_the_books() {
        let base = Mean::of(&[27.5, 21.0, 19.0, 23.6, 17.0, 17.9], 0.0);
        let new = Mean::of(&[27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8], 0.0);
        let means = Means::welch(base, new);
        assert!((means.change - 2.714_3).abs() < 1e-3, "{means:?}");
        assert!((means.standard_error - 1.809_7).abs() < 1e-3, "{means:?}");
        assert!((means.df - 7.423_4).abs() < 1e-3, "{means:?}");
    }

    #[test]
    fn pairs_are_those_of_the_books() {
        // Student's own soporific drugs ("The Probable Error of a Mean", 1908).
        let base = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let new = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let means = Means::paired(&base, &new, 0.0).expect("pairs");
        assert!((means.change - 1.58).abs() < 1e-9, "{means:?}");
        assert!((means.change / means.standard_error - 4.0621).abs() < 1e-3);
        assert_eq!(means.df, 9.0);
        // Pairs that are alike are not exact: what is rounded varies.
        let same = Means::paired(&base, &base, 0.5).expect("pairs");
        assert_eq!(same.change, 0.0);
        assert!((same.standard_error - 0.1_f64.sqrt()).abs() < 1e-9);
        assert_eq!(Means::paired(&base, &new[1..], 0.0), None);
        assert_eq!(Means::paired(&base[..1], &new[..1], 0.0), None);
    }

    #[test]
    fn tests_and_intervals_agree() {
        for estimate in estimates() {
            for alpha in [0.01, 0.05, 0.2] {
                let (low, high) = estimate.interval(alpha);
                assert!(low <= estimate.change() && estimate.change() <= high);
                for limit in [-0.1, -0.01, -0.001, 0.0, 0.001, 0.005, 0.01, 0.1, 0.3] {
                    let near = (low - limit).abs() < 1e-6 || (high - limit).abs() < 1e-6;
                    let is_above = estimate.p_above(limit) <= alpha;
                    assert!(
                        near || is_above == (low > limit),
                        "{estimate:?} {limit} {alpha}"
                    );
                    let is_below = estimate.p_below(limit) <= alpha;
                    assert!(
                        near || is_below == (high < limit),
                        "{estimate:?} {limit} {alpha}"
                    );
                }
            }
            assert!(estimate.detectable(0.05) > 0.0);
        }
    }

    #[test]
    fn runs_that_ranks_cannot_decide_are_decided_by_their_means() {
        let of_runs = estimates().pop().expect("one of runs");
        assert!(matches!(
            of_runs.clone().reaching(0.01),
            Estimate::Ranks(..)
        ));
        assert!(matches!(of_runs.reaching(0.005), Estimate::Runs(_)));
        assert_eq!(Means::pooled(&[1.0], &[2.0], 0.0), None);
    }

    fn by_means(base: &[f64], new: &[f64], is_rise_worse: bool) -> Estimate {
        Estimate::Runs(RunMeans {
            means: Means::welch(Mean::of(base, 1e-6), Mean::of(new, 1e-6)),
            gap: SideGap::new(base, new, [1e-6; 2], is_rise_worse),
        })
    }

    #[test]
    fn a_side_that_varies_more_does_not_hide_that_all_of_it_is_worse() {
        let (base, new) = ([0.0, 0.01, -0.01], [0.26, 0.69, 2.3]);
        let welch = Means::welch(Mean::of(&base, 1e-6), Mean::of(&new, 1e-6));
        assert!(welch.p_above(0.05) > 0.2, "{welch:?}");
        let worse = by_means(&base, &new, true);
        assert!(worse.p_above(0.05) < 0.001, "{worse:?}");
        assert!(worse.interval(0.01).0 > 0.2, "{:?}", worse.interval(0.01));
        // Never by more than the runs that are nearest to each other.
        assert!(worse.p_above(0.26) > 0.2);
        // Seen from the other side it is the same, and of a rate as much.
        let better = by_means(&new, &base, true);
        assert!((better.p_below(-0.05) - worse.p_above(0.05)).abs() < 1e-12);
        assert_eq!(better.interval(0.05).1, -worse.interval(0.05).0);
        let fall = by_means(&base, &new.map(|value| -value), false);
        assert!((fall.p_below(-0.05) - worse.p_above(0.05)).abs() < 1e-12);
        // Where one of them is as those of the base, nothing is claimed.
        let some = by_means(&base, &[0.005, 0.69, 2.3], true);
        assert!(some.p_above(0.05) > 0.2, "{some:?}");
    }

    /// Three runs a side of one process: five figures that have nothing in common share
    /// the wrong answers.
    #[test]
    fn sides_of_one_process_are_seldom_apart() {
        use super::super::verdict::{Claim, decide};
        use crate::outcome::ChangeVerdict::Worse;
        let mut random = fastrand::Rng::with_seed(7);
        let normal = |random: &mut fastrand::Rng| (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        const N_CASES: usize = 1_000;
        // The deviation of runs, how often one takes as much longer, and the share of
        // wrong answers: all three of a side are disturbed, and none of the other, in
        // 0.4 % of the cases of each figure.
        for (deviation, disturbed, longer, share) in [
            (0.01, 0.0, 0.0, 0.01),
            (0.03, 0.0, 0.0, 0.01),
            (0.1, 0.0, 0.0, 0.02),
            (0.03, 0.2, 1.0, 0.04),
        ] {
            let mut value = || {
                let extra = if random.f64() < disturbed {
                    longer
                } else {
                    0.0
                };
                deviation * normal(&mut random) + extra
            };
            let mut case = || {
                let claims = (0..5).map(|_| {
                    let [base, new] = [0, 1].map(|_| [value(), value(), value()]);
                    Claim {
                        estimate: by_means(&base, &new, true),
                        margin: 0.05,
                        is_rise_worse: true,
                    }
                });
                let decided = decide(claims.collect());
                decided.iter().any(|decided| decided.verdict == Worse)
            };
            let n_worse = (0..N_CASES).filter(|_| case()).count();
            assert!(
                n_worse as f64 <= share * N_CASES as f64,
                "{n_worse} with {deviation} {disturbed}"
            );
        }
    }
}
