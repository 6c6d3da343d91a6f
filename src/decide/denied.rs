//! Whether a server lets nobody in any more: every request is answered with 401 or
//! 403, most often since a token has expired. More of the same tells nothing.
//!
//! A pure decision on counts and the time of the load.

use std::time::Duration;

/// How long nothing but denials may come.
const WAIT: Duration = Duration::from_secs(3);

/// Denials meanwhile, at least, and for each user: others may have tokens that are
/// still good, and think.
const DENIALS_MIN: u64 = 10;
const DENIALS_PER_USER: u64 = 2;

/// What had ended by a moment, since the load began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ends {
    /// Requests that were answered with 401 or 403.
    pub denied: u64,
    /// All others that ended, well or not.
    pub others: u64,
}

/// Watches for it.
#[derive(Debug, Default)]
pub struct Denials {
    /// When something else than a denial ended last, and what had ended by then.
    last: (Duration, Ends),
}

impl Denials {
    /// Takes what had ended by `now`. Where `n_users` get nothing but denials: how long
    /// the server had let them in, from the start of the load.
    pub fn see(&mut self, now: Duration, ends: Ends, n_users: u32) -> Option<Duration> {
        let (at, before) = self.last;
        if ends.others != before.others {
            self.last = (now, ends);
            return None;
        }
        let denied = ends.denied.saturating_sub(before.denied);
        let enough = DENIALS_MIN.max(DENIALS_PER_USER * u64::from(n_users));
        (now.saturating_sub(at) >= WAIT && denied >= enough).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(denials: &mut Denials, ms: u64, denied: u64, others: u64) -> Option<u64> {
        let ends = Ends { denied, others };
        let at = denials.see(Duration::from_millis(ms), ends, 20);
        at.map(|at| u64::try_from(at.as_millis()).unwrap_or(u64::MAX))
    }

    #[test]
    fn a_token_that_expires_ends_the_load_and_one_denial_among_others_does_not() {
        let mut denials = Denials::default();
        assert_eq!(see(&mut denials, 1_000, 0, 100), None);
        assert_eq!(see(&mut denials, 22_000, 5, 2_000), None);
        assert_eq!(see(&mut denials, 24_900, 500, 2_000), None, "not for long");
        assert_eq!(see(&mut denials, 25_000, 500, 2_000), Some(22_000));
        // One that is let in begins it anew.
        assert_eq!(see(&mut denials, 25_250, 600, 2_001), None);
        assert_eq!(see(&mut denials, 28_000, 900, 2_001), None);
        assert_eq!(see(&mut denials, 28_250, 900, 2_001), Some(25_250));
    }

    #[test]
    fn who_was_asked_seldom_is_not_judged() {
        let mut denials = Denials::default();
        assert_eq!(see(&mut denials, 60_000, 39, 0), None);
        assert_eq!(see(&mut denials, 60_250, 40, 0), Some(0));
    }
}
