//! How likely a number of events among a number of tries is, by chance.

/// The probability of `k` or more of `n` where each has probability `p`:
/// exact, by the recurrence of the terms, in logarithms. Above 10,000 by its
/// bound of Chernoff (0 to 1 as well, and never below the truth), which is
/// sharp enough there and takes no loop.
pub fn binomial_upper_tail(n: u64, k: u64, p: f64) -> f64 {
    if n > 10_000 {
        let share = k as f64 / n as f64;
        if share <= p {
            return 1.0;
        }
        let rest = if share < 1.0 {
            (1.0 - share) * ((1.0 - share) / (1.0 - p)).ln()
        } else {
            0.0
        };
        return (-(n as f64) * (share * (share / p).ln() + rest)).exp();
    }
    let odds = (p / (1.0 - p)).ln();
    let mut log_term = n as f64 * (-p).ln_1p();
    let mut below = 0.0;
    for i in 0..k.min(n) {
        below += log_term.exp();
        log_term += odds + ((n - i) as f64 / (i + 1) as f64).ln();
    }
    (1.0 - below).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_tails() {
        let check = |n, k, p, expected: f64| {
            let tail = binomial_upper_tail(n, k, p);
            assert!((tail - expected).abs() < 1e-4, "{n} {k} {p}: {tail}");
        };
        check(20, 0, 0.01, 1.0);
        check(20, 1, 0.01, 0.1821);
        check(20, 2, 0.01, 0.0169);
        check(100, 5, 0.01, 0.0034);
        check(20, 4, 0.05, 0.0159);
        check(20, 20, 0.5, 0.0);
        // A large number takes the bound, and no time.
        check(u64::MAX, u64::MAX / 2, 0.01, 0.0);
        check(u64::MAX, u64::MAX, 0.01, 0.0);
        check(1_000_000, 10_000, 0.01, 1.0);
        assert!(binomial_upper_tail(1_000_000, 10_500, 0.01) < 0.01);
    }
}
