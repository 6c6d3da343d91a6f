//! When a holder's token is asked for again: a pure function of time.

use std::time::{Duration, Instant};

use super::Why;

/// A token is renewed this long before it ends, or a third of its life where that is
/// shorter: a refresh may take seconds, and clocks differ.
const MARGIN_MAX: Duration = Duration::from_secs(60);

/// And up to so much earlier, or a tenth of its life, by chance: hosts that began
/// together do not ask together.
const JITTER_MAX: Duration = Duration::from_secs(30);

/// No token is asked for twice within this, unless it is refused.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// The pauses after failures in a row: twice as long each time, within these.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The longest wait that somebody may ask for.
const AFTER_MAX: Duration = Duration::from_secs(3600);

/// A token that is refused within this was never good: the next one is asked for with
/// the pauses of a failure. A server that refuses every token gets no flood of requests
/// for new ones.
const SOON: Duration = Duration::from_secs(10);

/// When to ask next, and why.
#[derive(Debug)]
pub(super) struct Renewal {
    /// `None`: only a refusal is a reason.
    pub(super) due: Option<Instant>,
    why: Why,
    given_at: Option<Instant>,
    /// Times in a row that no token was available.
    n_failed: u32,
    /// Tokens in a row that were refused soon.
    n_refused: u32,
    is_over: bool,
}

impl Renewal {
    /// The first token is asked for at once.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            due: Some(now),
            why: Why::First,
            given_at: None,
            n_failed: 0,
            n_refused: 0,
            is_over: false,
        }
    }

    pub(super) fn why(&self) -> &Why {
        &self.why
    }

    /// A token came that is another one than before. `lifetime` is what is left of it,
    /// `every` how often to look for another; `chance` is from 0 to 1.
    pub(super) fn given(
        &mut self,
        now: Instant,
        lifetime: Option<Duration>,
        every: Option<Duration>,
        chance: f64,
    ) {
        if self.why == Why::Expiring {
            // The one before was taken until its end was near: what was refused before
            // that says nothing of this one.
            self.n_refused = 0;
        }
        self.given_at = Some(now);
        self.rest(now, lifetime, every, chance);
    }

    /// The token before came again, and it is not refused.
    pub(super) fn same(
        &mut self,
        now: Instant,
        lifetime: Option<Duration>,
        every: Option<Duration>,
        chance: f64,
    ) {
        self.rest(now, lifetime, every, chance);
    }

    fn rest(
        &mut self,
        now: Instant,
        lifetime: Option<Duration>,
        every: Option<Duration>,
        chance: f64,
    ) {
        let by_end = lifetime.map(|lifetime| {
            let jitter = JITTER_MAX.min(lifetime / 10).mul_f64(chance);
            (lifetime - margin(lifetime))
                .saturating_sub(jitter)
                .max(EVERY_MIN)
        });
        let wait = by_end.into_iter().chain(every).min();
        self.due = wait.and_then(|wait| now.checked_add(wait));
        self.why = Why::Expiring;
        self.n_failed = 0;
    }

    /// The server refused the token that there is.
    pub(super) fn refused(&mut self, now: Instant, status: u16, challenge: Option<String>) {
        let is_known = matches!(self.why, Why::Refused { .. });
        self.why = Why::Refused { status, challenge };
        if self.is_over || is_known {
            return;
        }
        let lived = self.given_at.map(|at| now.saturating_duration_since(at));
        self.n_refused = match lived {
            Some(lived) if lived < SOON => self.n_refused.saturating_add(1),
            _ => 0,
        };
        if self.n_failed > 0 {
            // The pause after the failure stands.
            return;
        }
        let at = match (self.n_refused, self.given_at) {
            (0, _) | (_, None) => Some(now),
            (n, Some(given_at)) => given_at.checked_add(backoff(n, 1.0)),
        };
        self.due = at.map(|at| at.max(now));
    }

    /// No token was to be had; somebody may have said how long to wait.
    pub(super) fn failed(&mut self, now: Instant, after: Option<Duration>, chance: f64) {
        self.n_failed = self.n_failed.saturating_add(1);
        let pause = backoff(self.n_failed, chance);
        let pause = after.map_or(pause, |after| after.min(AFTER_MAX).max(pause));
        self.due = now.checked_add(pause);
    }

    /// None will ever be had again.
    pub(super) fn ended(&mut self) {
        self.is_over = true;
        self.due = None;
    }
}

fn margin(lifetime: Duration) -> Duration {
    MARGIN_MAX.min(lifetime / 3)
}

/// The pause after the n-th failure in a row, from 1: half of it by chance.
fn backoff(n: u32, chance: f64) -> Duration {
    let whole = BACKOFF_MIN.saturating_mul(1 << n.saturating_sub(1).min(6));
    whole.min(BACKOFF_MAX).mul_f64(0.5 + 0.5 * chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn given(lifetime: u64) -> (Instant, Renewal) {
        let start = Instant::now();
        let mut renewal = Renewal::new(start);
        renewal.given(start, Some(SECOND * lifetime as u32), None, 0.0);
        (start, renewal)
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        for (lifetime, wait) in [(3600, 3540), (20, 13), (3, 2), (0, 1)] {
            let (start, renewal) = given(lifetime);
            let due = renewal.due.expect("it ends") - start;
            assert_eq!(due.as_secs(), wait, "{lifetime}");
            assert_eq!(*renewal.why(), Why::Expiring);
        }
        let start = Instant::now();
        let mut renewal = Renewal::new(start);
        assert_eq!((renewal.due, renewal.why()), (Some(start), &Why::First));
        renewal.given(start, None, None, 0.5);
        assert_eq!(renewal.due, None);
        renewal.given(start, None, Some(5 * SECOND), 0.5);
        assert_eq!(renewal.due, Some(start + 5 * SECOND));
        renewal.given(start, Some(Duration::MAX), None, 0.5);
        assert_eq!(renewal.due, None, "beyond all clocks");
    }

    #[test]
    fn a_refusal_is_answered_at_once_and_refusals_of_new_tokens_are_not() {
        let (start, mut renewal) = given(3600);
        let later = start + 20 * SECOND;
        renewal.refused(later, 401, None);
        assert_eq!(renewal.due, Some(later));
        // Others who were refused change nothing.
        renewal.refused(later + SECOND, 401, None);
        assert_eq!(renewal.due, Some(later));
        let mut now = later;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            renewal.given(now, Some(3600 * SECOND), None, 0.0);
            renewal.refused(now, 401, None);
            let due = renewal.due.expect("it is refused");
            assert_eq!((due - now).as_secs(), wait);
            now = due;
        }
        renewal.given(now, None, None, 0.0);
        renewal.refused(now + 11 * SECOND, 401, None);
        assert_eq!(
            renewal.due,
            Some(now + 11 * SECOND),
            "it was good for a while"
        );
    }

    /// Tokens of seconds are all renewed soon: refusals that are minutes apart must not
    /// add up to a pause that is longer than a token lives.
    #[test]
    fn a_token_that_lived_to_its_renewal_ends_the_row_of_refusals() {
        let (mut now, mut renewal) = given(20);
        for _ in 0..8 {
            renewal.refused(now + SECOND, 401, None);
            assert_eq!(renewal.due, Some(now + SECOND));
            renewal.given(now + SECOND, Some(20 * SECOND), None, 0.0);
            now = renewal.due.expect("it ends");
            renewal.given(now, Some(20 * SECOND), None, 0.0);
        }
    }

    #[test]
    fn failures_are_followed_by_growing_pauses_and_by_those_that_are_asked_for() {
        let (start, mut renewal) = given(3600);
        renewal.refused(start + 20 * SECOND, 401, None);
        let now = start + 20 * SECOND;
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            renewal.failed(now, None, 1.0);
            assert_eq!(renewal.due, Some(now + SECOND * wait));
            renewal.refused(now, 401, None);
            assert_eq!(renewal.due, Some(now + SECOND * wait), "the pause stands");
        }
        renewal.failed(now, Some(90 * SECOND), 1.0);
        assert_eq!(renewal.due, Some(now + 90 * SECOND));
        renewal.failed(now, Some(Duration::MAX), 1.0);
        assert_eq!(renewal.due, Some(now + AFTER_MAX));
        renewal.ended();
        renewal.refused(now, 401, None);
        assert_eq!(renewal.due, None);
    }

    proptest! {
        /// However sources and servers behave, tokens are asked for a bounded number of
        /// times in an hour.
        #[test]
        fn nobody_is_flooded(steps in prop::collection::vec((0_u8..5, 0_u64..4_000, 0.0..=1.0), 1..400)) {
            let start = Instant::now();
            let mut now = start;
            let mut renewal = Renewal::new(start);
            let mut n_asked = 0_u32;
            for (kind, millis, chance) in steps {
                now += Duration::from_millis(millis);
                if let Some(due) = renewal.due && due <= now {
                    n_asked += 1;
                    let lifetime = Some(Duration::from_millis(millis));
                    match kind {
                        0 => renewal.given(now, lifetime, None, chance),
                        1 => renewal.same(now, lifetime, None, chance),
                        2 => renewal.failed(now, None, chance),
                        _ => renewal.given(now, None, None, chance),
                    }
                } else if kind == 4 {
                    renewal.refused(now, 401, None);
                }
            }
            // One at once, and one for each half second at most.
            let most = 2 * (now - start).as_secs() as u32 + 4;
            prop_assert!(n_asked <= most, "{n_asked} in {:?}", now - start);
        }
    }
}
