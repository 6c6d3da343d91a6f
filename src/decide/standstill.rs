//! Whether a run that nothing but its iterations would end has come to a
//! standstill: its users are always losing their sessions, or cannot open new
//! ones, and no iteration is done.
//!
//! A pure decision on counts and the time of the load.

use std::time::Duration;

/// How long nothing but lost sessions may happen.
pub const STANDSTILL_WAIT: Duration = Duration::from_secs(30);

/// Sessions lost or not opened meanwhile, for each user: one that thinks for a
/// minute between its iterations does not stand still.
const TROUBLES_PER_USER: u64 = 2;

/// What has happened by a moment, counted from the start of the load.
#[derive(Debug, Clone, Copy, Default)]
pub struct Happened {
    /// Iterations that ended with their session still there, well or not.
    pub iterations: u64,
    /// Sessions that the server no longer knew, and handshakes that failed.
    pub troubles: u64,
}

/// Watches for it.
#[derive(Debug, Default)]
pub struct Standstill {
    /// When the last iteration was done, and what had happened by then.
    last: (Duration, Happened),
}

impl Standstill {
    /// Takes what has happened by `now`; true when `n_users` stand still.
    pub fn see(&mut self, now: Duration, happened: Happened, n_users: u32) -> bool {
        let (at, before) = self.last;
        if happened.iterations != before.iterations {
            self.last = (now, happened);
            return false;
        }
        let troubles = happened.troubles.saturating_sub(before.troubles);
        let enough = TROUBLES_PER_USER * u64::from(n_users.max(1));
        now.saturating_sub(at) >= STANDSTILL_WAIT && troubles >= enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(standstill: &mut Standstill, secs: u64, iterations: u64, troubles: u64) -> bool {
        let happened = Happened {
            iterations,
            troubles,
        };
        standstill.see(Duration::from_secs(secs), happened, 3)
    }

    #[test]
    fn users_who_only_lose_sessions_stand_still() {
        let mut standstill = Standstill::default();
        assert!(!see(&mut standstill, 10, 100, 0));
        assert!(!see(&mut standstill, 20, 100, 50));
        assert!(!see(&mut standstill, 39, 100, 90));
        assert!(see(&mut standstill, 40, 100, 91));
    }

    #[test]
    fn slow_users_do_not() {
        let mut standstill = Standstill::default();
        // Nobody did anything for minutes: they think, or the server is slow.
        assert!(!see(&mut standstill, 500, 0, 0));
        assert!(!see(&mut standstill, 900, 0, 5));
        assert!(see(&mut standstill, 901, 0, 6));
        // One of three goes on.
        assert!(!see(&mut standstill, 902, 1, 60));
        assert!(!see(&mut standstill, 925, 2, 90));
        assert!(!see(&mut standstill, 950, 3, 120));
    }
}
