//! The exact permutation test of two samples by their ranks (Mann and Whitney, 1947)
//! and the interval that belongs to it (Hodges and Lehmann, 1963): for runs, of which
//! there are a few and whose distribution nobody knows.

/// All differences of a value of the one side and one of the other, ascending.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunDifferences {
    sorted: Vec<f64>,
    /// `chances[u]`: the probability that exactly `u` differences are above 0, where
    /// both sides are alike.
    chances: Vec<f64>,
}

impl RunDifferences {
    /// `new` less `base`; neither is empty.
    pub(super) fn new(base: &[f64], new: &[f64]) -> Self {
        let pairs = new
            .iter()
            .flat_map(|new| base.iter().map(move |base| new - base));
        let mut sorted: Vec<f64> = pairs.collect();
        sorted.sort_by(f64::total_cmp);
        Self {
            sorted,
            chances: chances(base.len(), new.len()),
        }
    }

    /// The median difference.
    pub(super) fn middle(&self) -> f64 {
        let n = self.sorted.len();
        f64::midpoint(self.sorted[(n - 1) / 2], self.sorted[n / 2])
    }

    /// The smallest two-sided probability that so few values can give.
    pub(super) fn p_least(&self) -> f64 {
        2.0 * self.chances[0]
    }

    /// Two-sided: how likely this many differences above `limit` are, were the true one
    /// `limit`.
    pub(super) fn p_above(&self, limit: f64) -> f64 {
        self.p_of(self.sorted.iter().filter(|value| **value > limit).count())
    }

    /// The same of differences below it.
    pub(super) fn p_below(&self, limit: f64) -> f64 {
        self.p_of(self.sorted.iter().filter(|value| **value < limit).count())
    }

    /// The chance of at least `n` of the differences, twice.
    fn p_of(&self, n: usize) -> f64 {
        (2.0 * self.chances[n..].iter().sum::<f64>()).min(1.0)
    }

    /// Where the true difference lies, with this share of wrong answers; infinite where
    /// so few values bound nothing.
    pub(super) fn interval(&self, alpha: f64) -> (f64, f64) {
        let n = self.sorted.len();
        // As many at each end as chance may put beyond it.
        let beyond = (1..=n).take_while(|n_above| self.p_of(n - n_above + 1) <= alpha);
        match beyond.count() {
            0 => (f64::NEG_INFINITY, f64::INFINITY),
            k => (self.sorted[k - 1], self.sorted[n - k]),
        }
    }
}

/// The distribution of the number of pairs in which the second side is above.
fn chances(n_base: usize, n_new: usize) -> Vec<f64> {
    // ways[j][u]: of `i` of the base and `j` of the new. The greatest of all is of the
    // new, and then above all of the base, or of the base.
    let mut ways = vec![vec![0.0; n_base * n_new + 1]; n_new + 1];
    for row in &mut ways {
        row[0] = 1.0;
    }
    for i in 1..=n_base {
        for j in 1..=n_new {
            for u in (0..=i * j).rev() {
                let of_new = if u >= i { ways[j - 1][u - i] } else { 0.0 };
                ways[j][u] += of_new;
            }
        }
    }
    let ways = ways.swap_remove(n_new);
    let all: f64 = ways.iter().sum();
    ways.into_iter().map(|n| n / all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By trying each way to deal the ranks out.
    fn counted(n_base: usize, n_new: usize) -> Vec<f64> {
        let n = n_base + n_new;
        let mut counts = vec![0.0; n_base * n_new + 1];
        for dealt in 0_u32..1 << n {
            if dealt.count_ones() as usize != n_new {
                continue;
            }
            let is_new = |rank: usize| dealt >> rank & 1 == 1;
            let above = |rank: usize| (0..rank).filter(|other| !is_new(*other)).count();
            counts[(0..n)
                .filter(|rank| is_new(*rank))
                .map(above)
                .sum::<usize>()] += 1.0;
        }
        let all: f64 = counts.iter().sum();
        counts.into_iter().map(|n| n / all).collect()
    }

    #[test]
    fn chances_are_those_of_all_permutations() {
        for (n_base, n_new) in [(1, 1), (1, 4), (3, 2), (3, 3), (4, 5), (5, 5)] {
            let (found, expected) = (chances(n_base, n_new), counted(n_base, n_new));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-12, "{n_base} {n_new}");
            }
        }
    }

    #[test]
    fn the_smallest_probabilities_are_those_of_the_method() {
        let least = |n: usize| {
            let base: Vec<f64> = (0..n).map(|i| i as f64).collect();
            let new: Vec<f64> = base.iter().map(|value| value + 100.0).collect();
            let differences = RunDifferences::new(&base, &new);
            assert!((differences.p_above(0.0) - differences.p_least()).abs() < 1e-12);
            assert_eq!(differences.p_below(0.0), 1.0);
            differences.p_least()
        };
        for (n, expected) in [(3, 0.1), (4, 0.0286), (5, 0.0079)] {
            assert!((least(n) - expected).abs() < 1e-4, "{n}: {}", least(n));
        }
    }

    #[test]
    fn the_interval_holds_what_the_test_does_not_refuse() {
        let base = [1.0, 2.5, 3.0, 4.2, 5.1];
        let new = [2.0, 3.7, 4.1, 5.3, 9.9, 4.05];
        let differences = RunDifferences::new(&base, &new);
        for alpha in [0.05, 0.2] {
            let (low, high) = differences.interval(alpha);
            assert!(low <= differences.middle() && differences.middle() <= high);
            for off in [1e-9, 0.1, 1.0] {
                assert!(differences.p_above(low - off) <= alpha);
                assert!(differences.p_below(high + off) <= alpha);
            }
            assert!(differences.p_above(low) > alpha);
            assert!(differences.p_below(high) > alpha);
        }
        let few = RunDifferences::new(&[1.0, 2.0], &[3.0, 4.0]).interval(0.05);
        assert_eq!(few, (f64::NEG_INFINITY, f64::INFINITY));
    }
}
