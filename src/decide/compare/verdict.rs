//! What came of figures that decide together.
//!
//! Each figure could be taken for worse by chance, and the more are looked at, the
//! sooner one of them is. So the figures that decide share the 5 % of wrong answers
//! (Holm, "A simple sequentially rejective multiple test procedure", 1979): first for
//! *worse* and *better*, then what is left for *small change*. *Equivalent* is claimed
//! of each by itself (two one-sided tests; Schuirmann, 1987).

use super::estimate::{ALPHA, Estimate};
use crate::outcome::ChangeVerdict;

/// A change with its margin: in the scale of the estimate, above 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claim {
    pub(super) estimate: Estimate,
    pub(super) margin: f64,
    /// A rise is for the worse; else a fall is.
    pub(super) is_rise_worse: bool,
}

/// What came of it, and the share of wrong answers that its interval is of: what is
/// shown with it then agrees.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decided {
    pub(super) verdict: ChangeVerdict,
    pub(super) alpha: f64,
    pub(super) estimate: Estimate,
}

impl Decided {
    /// The whole interval lies beyond the margin.
    pub(super) fn is_beyond(&self) -> bool {
        matches!(self.verdict, ChangeVerdict::Worse | ChangeVerdict::Better)
    }
}

/// Decides them together, in their order.
pub(super) fn decide(candidates: Vec<Claim>) -> Vec<Decided> {
    let n = candidates.len();
    let alpha_of_all = ALPHA / n.max(1) as f64;
    let candidates = candidates.into_iter().map(|candidate| Claim {
        estimate: candidate.estimate.reaching(alpha_of_all),
        ..candidate
    });
    let candidates: Vec<Claim> = candidates.collect();
    let beyond = |candidate: &Claim| {
        let above = candidate.estimate.p_above(candidate.margin);
        above.min(candidate.estimate.p_below(-candidate.margin))
    };
    let chances: Vec<f64> = candidates.iter().map(beyond).collect();
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| chances[*a].total_cmp(&chances[*b]));
    let mut alphas = vec![None; n];
    let mut n_left = n;
    for at in order {
        let alpha = ALPHA / n_left as f64;
        if chances[at] > alpha {
            break;
        }
        alphas[at] = Some(alpha);
        n_left -= 1;
    }
    let alpha_left = ALPHA / n_left.max(1) as f64;
    let decided = candidates
        .into_iter()
        .zip(alphas)
        .map(|(candidate, alpha)| {
            let (verdict, alpha) = match alpha {
                Some(alpha) => {
                    let is_rise = candidate.estimate.change() > 0.0;
                    match is_rise == candidate.is_rise_worse {
                        true => (ChangeVerdict::Worse, alpha),
                        false => (ChangeVerdict::Better, alpha),
                    }
                }
                None => left(&candidate, alpha_left),
            };
            Decided {
                verdict,
                alpha,
                estimate: candidate.estimate,
            }
        });
    decided.collect()
}

/// Of one that is neither worse nor better.
fn left(candidate: &Claim, alpha: f64) -> (ChangeVerdict, f64) {
    let (low, high) = candidate.estimate.interval(ALPHA);
    if -candidate.margin <= low && high <= candidate.margin {
        (ChangeVerdict::Equivalent, ALPHA)
    } else if candidate.estimate.p_equal() <= alpha {
        (ChangeVerdict::SmallChange, alpha)
    } else {
        (ChangeVerdict::NotEnoughData, alpha)
    }
}

#[cfg(test)]
mod tests {
    use super::super::estimate::Means;
    use super::*;

    fn candidate(change: f64, standard_error: f64) -> Claim {
        let df = 18.0;
        Claim {
            estimate: Estimate::Means(Means {
                change,
                standard_error,
                df,
            }),
            margin: 0.05,
            is_rise_worse: true,
        }
    }

    fn verdicts(candidates: &[Claim]) -> Vec<ChangeVerdict> {
        let decided = decide(candidates.to_vec());
        for (decided, candidate) in decided.iter().zip(candidates) {
            let (low, high) = decided.estimate.interval(decided.alpha);
            // What is shown never says other than the verdict.
            let shown = match decided.verdict {
                ChangeVerdict::Worse if candidate.is_rise_worse => low >= candidate.margin,
                ChangeVerdict::Worse => high <= -candidate.margin,
                ChangeVerdict::Better => high <= -candidate.margin,
                ChangeVerdict::Equivalent => low.abs().max(high.abs()) <= candidate.margin,
                ChangeVerdict::SmallChange => low > 0.0 || high < 0.0,
                ChangeVerdict::NotEnoughData => low <= 0.0 && 0.0 <= high,
            };
            assert!(shown, "{decided:?}: {low} {high}");
        }
        decided.into_iter().map(|decided| decided.verdict).collect()
    }

    #[test]
    fn each_verdict_has_its_interval() {
        use ChangeVerdict::{Better, Equivalent, NotEnoughData, SmallChange, Worse};
        let cases = [
            (0.10, 0.02, Worse),
            (-0.10, 0.02, Better),
            (0.0, 0.02, Equivalent),
            (0.02, 0.005, Equivalent),
            (0.05, 0.02, SmallChange),
            (-0.06, 0.02, SmallChange),
            (0.0, 0.1, NotEnoughData),
            (0.04, 0.04, NotEnoughData),
        ];
        for (change, error, expected) in cases {
            assert_eq!(
                verdicts(&[candidate(change, error)]),
                [expected],
                "{change}"
            );
        }
        let mut rate = candidate(-0.1, 0.02);
        rate.is_rise_worse = false;
        assert_eq!(verdicts(&[rate]), [Worse]);
    }

    #[test]
    fn many_figures_share_the_wrong_answers() {
        use ChangeVerdict::{SmallChange, Worse};
        // Alone it is worse; beside nine others it is not surely so.
        let one = candidate(0.1, 0.022);
        assert_eq!(verdicts(std::slice::from_ref(&one)), [Worse]);
        let ten = [&[one.clone()][..], &vec![candidate(0.0, 0.02); 9]].concat();
        assert_eq!(verdicts(&ten)[0], SmallChange);
        // Those that are surely worse leave it a larger share.
        let ten = [&[one][..], &vec![candidate(0.5, 0.02); 9]].concat();
        assert_eq!(verdicts(&ten), [Worse; 10]);
    }
}
