//! Two shares of which one is of a few events: errors that nearly never happen.
//!
//! Whether they differ at all is Fisher's exact test (two-sided as twice the
//! smaller side, at most 1). By how much is Newcombe's interval of two Wilson
//! intervals ("Interval estimation for the difference between independent
//! proportions", Statistics in Medicine 17, 1998, method 10), which holds at 0 too.

use super::student::{ln_gamma, t_above, z_exceeded};

/// Events among trials: `n_events ≤ n`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Share {
    pub(super) n_events: u64,
    pub(super) n: u64,
}

impl Share {
    pub(super) fn value(self) -> f64 {
        self.n_events as f64 / self.n.max(1) as f64
    }

    /// The least that it varies by: that of independent events, and of no event that of
    /// nearly one (Laplace's rule of succession).
    pub(super) fn variance_min(self) -> f64 {
        let n = self.n as f64 + 2.0;
        let share = (self.n_events as f64 + 1.0) / n;
        (share * (1.0 - share) / n).max(1e-12)
    }

    /// What it may be at most, with this share of wrong answers; of some events all that
    /// can be, since they may come in some runs alone.
    pub(super) fn most(self, alpha: f64) -> f64 {
        match self.n_events {
            0 => self.interval(z_exceeded(alpha / 2.0)).1,
            _ => 1.0,
        }
    }

    /// Wilson's interval.
    fn interval(self, z: f64) -> (f64, f64) {
        let (share, n) = (self.value(), self.n.max(1) as f64);
        let wider = 1.0 + z * z / n;
        let center = (share + z * z / (2.0 * n)) / wider;
        let half = z / wider * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        ((center - half).max(0.0), (center + half).min(1.0))
    }
}

/// `new` less `base`: where the true difference lies, with this share of wrong
/// answers (`alpha`). It holds 0 where Fisher's test finds no difference.
pub(super) fn interval(base: Share, new: Share, alpha: f64) -> (f64, f64) {
    let z = z_exceeded(alpha / 2.0);
    let difference = new.value() - base.value();
    let (base_low, base_high) = base.interval(z);
    let (new_low, new_high) = new.interval(z);
    let low = difference - (new.value() - new_low).hypot(base_high - base.value());
    let high = difference + (new_high - new.value()).hypot(base.value() - base_low);
    match p_equal(base, new) <= alpha {
        true => (low, high),
        false => (low.min(0.0), high.max(0.0)),
    }
}

/// Beyond this many events on both sides the normal distribution is as exact.
const EVENTS_MAX: u64 = 200;

/// How likely shares that differ as much are where there is no difference.
pub(super) fn p_equal(base: Share, new: Share) -> f64 {
    // What did not happen tells the same, and may be less.
    let rest = |of: Share| Share {
        n_events: of.n.saturating_sub(of.n_events),
        n: of.n,
    };
    let least = base.n_events.min(new.n_events);
    let (base, new) = match rest(base).n_events.min(rest(new).n_events) < least {
        true => (rest(base), rest(new)),
        false => (base, new),
    };
    if base.n_events.min(new.n_events) > EVENTS_MAX {
        let (n_base, n_new) = (base.n as f64, new.n as f64);
        let pooled = (base.n_events as f64 + new.n_events as f64) / (n_base + n_new);
        let error = (pooled * (1.0 - pooled) * (1.0 / n_base + 1.0 / n_new)).sqrt();
        let z = (new.value() - base.value()).abs() / error.max(1e-300);
        return (2.0 * t_above(z, f64::INFINITY)).min(1.0);
    }
    // Its terms are as many as the fewer events, and each is a sum of the others' counts.
    let (few, many) = match base.n_events <= new.n_events {
        true => (base, new),
        false => (new, base),
    };
    let n_events = few.n_events.saturating_add(many.n_events) as f64;
    let (n_few, n_many) = (few.n as f64, many.n as f64);
    let ln_choose = |n: f64, k: f64| match (0.0..=n).contains(&k) {
        true => ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0),
        false => f64::NEG_INFINITY,
    };
    let all = ln_choose(n_few + n_many, n_events);
    let chance = |k: u64| {
        let k = k as f64;
        (ln_choose(n_few, k) + ln_choose(n_many, n_events - k) - all).exp()
    };
    // The events below, and with those of `few` itself.
    let below: f64 = (0..few.n_events).map(chance).sum();
    let up_to = below + chance(few.n_events);
    let p = 2.0 * up_to.min(1.0 - below);
    if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(n_events: u64, n: u64) -> Share {
        Share { n_events, n }
    }

    #[test]
    fn fishers_test_is_that_of_the_books() {
        // One side of scipy.stats.fisher_exact, twice.
        let check = |base, new, expected: f64| {
            let found = p_equal(base, new);
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
            assert!((p_equal(new, base) - found).abs() < 1e-12);
        };
        check(share(1, 10), share(9, 12), 2.0 * 0.003_504_236);
        check(share(3, 10), share(3, 10), 1.0);
        check(share(0, 5), share(4, 5), 2.0 * 0.023_809_524);
    }

    #[test]
    fn newcombes_interval_is_that_of_the_paper() {
        // Table II of the paper: 56/70 less 48/80, and 0/10 on one side.
        let (low, high) = interval(share(48, 80), share(56, 70), 0.05);
        assert!(
            (low - 0.0524).abs() < 1e-3 && (high - 0.3339).abs() < 1e-3,
            "{low} {high}"
        );
        let (low, high) = interval(share(0, 5500), share(0, 5500), 0.05);
        assert!(low < 0.0 && high > 0.0 && high < 0.001, "{low} {high}");
    }

    #[test]
    fn counts_of_any_size_are_bounded_work_and_no_nan() {
        let huge = share(u64::MAX, u64::MAX);
        for (base, new) in [
            (share(0, 0), share(0, 0)),
            (share(4, u64::MAX), huge),
            (share(0, 1), huge),
            (share(u64::MAX / 2, u64::MAX), huge),
            (share(u64::MAX / 2, u64::MAX), share(u64::MAX / 2, u64::MAX)),
            (share(100, 100), share(0, u64::MAX)),
        ] {
            assert!((0.0..=1.0).contains(&p_equal(base, new)));
            let (low, high) = interval(base, new, 0.05);
            assert!(low <= high, "{low} {high}");
        }
    }
}
