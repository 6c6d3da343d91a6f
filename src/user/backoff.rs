//! How long to wait before trying again: longer each time, to a bound, with
//! jitter. Pure.

use std::time::Duration;

/// The pauses after failures in a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    n_failures: u32,
}

impl Backoff {
    /// Between attempts to open a session.
    pub(super) const fn of_sessions() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(5))
    }

    /// After calls that could not even connect: without a pause, a server that
    /// is down would be reported with millions of refusals.
    pub(super) const fn of_connections() -> Self {
        Self::new(Duration::from_millis(10), Duration::from_secs(1))
    }

    /// Between listening streams that are refused, or end at once.
    pub(super) const fn of_streams() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }

    const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            n_failures: 0,
        }
    }

    /// All is well again.
    pub(super) fn reset(&mut self) {
        self.n_failures = 0;
    }

    /// The pause after one more failure: double the last one up to the bound,
    /// and of that a random share between half and all ("equal jitter"), so that users
    /// who failed together do not come back together.
    pub(super) fn pause(&mut self, random: &mut fastrand::Rng) -> Duration {
        self.pause_from(self.first, random)
    }

    /// The same where the first of these pauses is another one.
    pub(super) fn pause_from(&mut self, first: Duration, random: &mut fastrand::Rng) -> Duration {
        let doubled = first
            .saturating_mul(1 << self.n_failures.min(16))
            .min(self.longest);
        self.n_failures = self.n_failures.saturating_add(1);
        doubled.mul_f64(0.5 + random.f64() / 2.0)
    }
}

/// A wait that a server asked for, by a tenth longer at most: so that users who were turned
/// away together do not come back together.
pub(super) fn a_little_longer(asked: Duration, random: &mut fastrand::Rng) -> Duration {
    asked.mul_f64(1.0 + 0.1 * random.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_bound_and_begin_anew() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::of_sessions();
        let first = backoff.pause(&mut random);
        assert!((Duration::from_millis(50)..=Duration::from_millis(100)).contains(&first));
        for _ in 0..100 {
            backoff.pause(&mut random);
        }
        let longest = backoff.pause(&mut random);
        assert!((Duration::from_millis(2500)..=Duration::from_secs(5)).contains(&longest));
        backoff.reset();
        assert!(backoff.pause(&mut random) <= Duration::from_millis(100));
    }

    #[test]
    fn a_wait_that_was_asked_for_is_never_shorter_and_not_the_same_for_all() {
        let mut random = fastrand::Rng::with_seed(1);
        let asked = Duration::from_secs(10);
        let waits = [(); 20].map(|()| a_little_longer(asked, &mut random));
        assert!(
            waits
                .iter()
                .all(|wait| (asked..=asked * 11 / 10).contains(wait))
        );
        assert!(waits.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn streams_are_tried_again_from_what_the_server_wants_to_half_a_minute() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::of_streams();
        let first = Duration::from_millis(100);
        assert!(backoff.pause_from(first, &mut random) <= first);
        for _ in 0..100 {
            backoff.pause_from(first, &mut random);
        }
        let longest = backoff.pause_from(first, &mut random);
        assert!((Duration::from_secs(15)..=Duration::from_secs(30)).contains(&longest));
    }
}
