//! How many seeds the simulations among the unit tests run: a part of them while
//! one edits, all of them with `PMCP_TEST_SEEDS=all` in the environment, as `.ci/run`
//! sets it. Both numbers are written where the test is.

use std::env;

use proptest::test_runner::Config;

/// Whether all seeds run. The only place that asks.
fn runs_all() -> bool {
    env::var_os("PMCP_TEST_SEEDS").is_some_and(|value| value == "all")
}

/// `few` seeds while one edits, `all` of them in `.ci/run`.
pub(crate) fn n_seeds(few: u64, all: u64) -> u64 {
    if runs_all() { all } else { few }
}

/// The same of a property whose cases are costly.
pub(crate) fn cases(few: u32, all: u32) -> Config {
    Config::with_cases(if runs_all() { all } else { few })
}

/// How many of `n` runs may show what at most this share of all runs shows.
///
/// With all seeds it is the share itself. A part of them scatters more: two
/// standard deviations are added.
pub(crate) fn most_of(share: f64, n: u64) -> u64 {
    let expected = share * n as f64;
    let scatter = if runs_all() {
        0.0
    } else {
        2.0 * (expected * (1.0 - share)).sqrt()
    };
    // The sum of a share and a count is not exact: 0.01 × 200 is to be 2.
    (expected + scatter + 1e-9) as u64
}

/// How many of `n` runs must show what at least this share of all runs shows.
pub(crate) fn least_of(share: f64, n: u64) -> u64 {
    n - most_of(1.0 - share, n)
}

mod tests {
    use super::*;

    #[test]
    fn few_runs_may_scatter_and_all_keep_the_share() {
        if runs_all() {
            assert_eq!([most_of(0.01, 200), most_of(0.01, 78)], [2, 0]);
            assert_eq!(least_of(0.9, 78), 71);
        } else {
            assert_eq!([most_of(0.01, 40), most_of(0.1, 10)], [1, 2]);
            assert_eq!(least_of(0.9, 13), 10);
        }
        assert_eq!([most_of(0.0, 100), least_of(1.0, 100)], [0, 100]);
    }
}
