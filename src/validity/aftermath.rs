//! What follows when this machine stands still while calls have intended starts: they wait
//! for users who are late because of us, long after we run again.
//!
//! Lateness counts from when a user was free, so it has the first call of each user alone.
//! The rest of the queue that such a stop makes is told from the server's doing by its
//! place: it begins with the stop and lasts until a user was free all the while.

use super::second::is_stall;

/// A second as it is judged here.
#[derive(Debug, Clone, Copy)]
pub struct LoadSecond {
    /// The longest time between two looks of a worker at the kernel.
    pub turn_max_ns: u64,
    /// The most calls in flight at once.
    pub in_flight_max: u64,
    /// Virtual users.
    pub vus: u64,
    /// Calls begun.
    pub started: u64,
    /// Arrivals dropped.
    pub dropped: u64,
}

/// What came while users were late because of us.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Aftermath {
    /// The share of the calls that were begun meanwhile, 0 to 1.
    pub calls_share: f64,
    /// None of them waited longer for us: the stops up to it together, in nanoseconds.
    pub longest_ns: u64,
    /// Arrivals that were dropped meanwhile.
    pub dropped: u64,
}

impl Aftermath {
    /// Of seconds in their order.
    pub fn of(seconds: impl Iterator<Item = LoadSecond>) -> Self {
        let mut found = Self::default();
        let (mut started, mut touched, mut owed_ns) = (0_u64, 0_u64, 0_u64);
        for second in seconds {
            started += second.started;
            // A stop is of the second that it ended in, and so are the calls that it held up.
            if is_stall(second.turn_max_ns) {
                owed_ns = owed_ns.saturating_add(second.turn_max_ns);
            } else if second.in_flight_max < second.vus {
                owed_ns = 0;
            }
            if owed_ns > 0 {
                touched += second.started;
                found.dropped += second.dropped;
                found.longest_ns = found.longest_ns.max(owed_ns);
            }
        }
        found.calls_share = touched as f64 / started.max(1) as f64;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Seconds of ten users: the longest turn in milliseconds, the most in flight.
    fn of(seconds: &[(u64, u64)]) -> Aftermath {
        Aftermath::of(seconds.iter().map(|(turn_ms, in_flight)| LoadSecond {
            turn_max_ns: turn_ms * MS,
            in_flight_max: *in_flight,
            vus: 10,
            started: 100,
            dropped: 7,
        }))
    }

    #[test]
    fn a_full_server_alone_makes_none() {
        assert_eq!(of(&[(3, 10); 8]), Aftermath::default());
        assert_eq!(of(&[]), Aftermath::default());
    }

    #[test]
    fn it_lasts_until_a_user_was_free_all_the_while() {
        let found = of(&[(3, 4), (1_500, 10), (3, 10), (3, 9), (3, 10)]);
        let expected = Aftermath {
            calls_share: 0.4,
            longest_ns: 1_500 * MS,
            dropped: 14,
        };
        assert_eq!(found, expected);
        // What one stop holds up, the next one holds up longer.
        let found = of(&[(500, 10), (3, 10), (600, 10), (3, 1), (700, 1)]);
        assert_eq!(found.longest_ns, 1_100 * MS);
        assert_eq!((found.calls_share, found.dropped), (0.8, 28));
    }
}
