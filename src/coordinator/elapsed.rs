//! How long a load lasted: the one definition that all rates are made with.
//!
//! A pure function of when the load was offered and when its calls ended. It
//! does not know sessions: a handshake, a DELETE and the probe are no calls.

use std::time::Duration;

use crate::outcome::Ended;

/// When a load was offered, and when its calls ended. All from its start.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoadTimes {
    /// Why the load ended.
    pub(super) ended: Ended,
    /// When the workers were told that no iteration begins any more.
    pub(super) stopped_at: Duration,
    /// How long the plan wants the load to last, where time ends it.
    pub(super) planned: Option<Duration>,
    /// The end of the last call that succeeded or failed.
    pub(super) last_end: Option<Duration>,
    /// When the last call was given up, where the end of the run cut some off.
    pub(super) last_given_up: Option<Duration>,
}

impl LoadTimes {
    /// The time that rates are per: from the start of the load to the end of
    /// its last call, and at least to the moment until which load was offered.
    ///
    /// That moment is
    /// - the planned end, where the planned time ended the load: a server that
    ///   dies after a second of sixty has answered for sixty seconds;
    /// - the stop, where a signal, a breaking point or the lack of sessions
    ///   ended it;
    /// - the end of the last iteration, answered or given up, where the
    ///   iterations were done: that the coordinator notices it later is no load.
    ///
    /// The opening and the ending of sessions count nowhere.
    pub(super) fn elapsed(&self) -> Duration {
        let offered_until = match self.ended {
            Ended::Iterations => self.last_given_up.unwrap_or_default(),
            Ended::Duration => self.planned.unwrap_or(self.stopped_at),
            Ended::Interrupted | Ended::Broke | Ended::NoSession => self.stopped_at,
        };
        offered_until.max(self.last_end.unwrap_or_default())
    }

    /// Until when calls were in flight, answered or not: at least [`Self::elapsed`].
    pub(super) fn in_flight_until(&self) -> Duration {
        self.elapsed().max(self.last_given_up.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn times(ended: Ended, stopped_at: u64, last_end: Option<u64>) -> LoadTimes {
        LoadTimes {
            ended,
            stopped_at: ms(stopped_at),
            planned: Some(ms(2_000)),
            last_end: last_end.map(ms),
            last_given_up: None,
        }
    }

    #[test]
    fn the_load_lasts_as_long_as_it_is_offered_and_to_its_last_call() {
        let check = |times: LoadTimes, expected: u64| {
            assert_eq!(times.elapsed(), ms(expected), "{times:?}");
        };
        use Ended::{Broke, Duration, Interrupted, Iterations, NoSession};
        // A call that began in time and ended after it.
        check(times(Duration, 2_003, Some(2_150)), 2_150);
        // Told a little late, and the server dead since the first second.
        check(times(Duration, 2_003, Some(900)), 2_000);
        check(times(Duration, 2_003, None), 2_000);
        // Noticed with the next tick.
        check(times(Iterations, 250, Some(17)), 17);
        check(times(Iterations, 250, None), 0);
        for ended in [Interrupted, Broke, NoSession] {
            check(times(ended, 700, Some(650)), 700);
            check(times(ended, 700, Some(720)), 720);
            check(times(ended, 700, None), 700);
        }
        // One of two iterations was never answered: it was load all the same.
        let hanging = LoadTimes {
            last_given_up: Some(ms(1_000)),
            ..times(Iterations, 250, Some(10))
        };
        check(hanging, 1_000);
        // What was given up after the planned time is no part of that time.
        let cut_off = LoadTimes {
            last_given_up: Some(ms(5_000)),
            ..times(Duration, 2_000, Some(1_990))
        };
        check(cut_off, 2_000);
        assert_eq!(cut_off.in_flight_until(), ms(5_000));
    }

    fn any_ended() -> impl Strategy<Value = Ended> {
        prop_oneof![
            Just(Ended::Duration),
            Just(Ended::Iterations),
            Just(Ended::Interrupted),
            Just(Ended::Broke),
            Just(Ended::NoSession),
        ]
    }

    proptest! {
        #[test]
        fn no_call_ends_after_it_and_no_offered_load_is_left_out(
            ended in any_ended(),
            stopped_at in 0_u64..100_000,
            planned in proptest::option::of(1_u64..100_000),
            last_end in proptest::option::of(0_u64..100_000),
            last_given_up in proptest::option::of(0_u64..100_000),
        ) {
            let times = LoadTimes {
                ended,
                stopped_at: ms(stopped_at),
                planned: planned.map(ms),
                last_end: last_end.map(ms),
                last_given_up: last_given_up.map(ms),
            };
            let elapsed = times.elapsed();
            prop_assert!(last_end.is_none_or(|end| elapsed >= ms(end)));
            prop_assert!(times.in_flight_until() >= elapsed);
            match (ended, planned) {
                (Ended::Duration, Some(planned)) => prop_assert!(elapsed >= ms(planned)),
                (Ended::Iterations, _) => {}
                _ => prop_assert!(elapsed >= ms(stopped_at)),
            }
            // Nothing but a call, the plan or the stop makes it longer.
            let known = [Some(stopped_at), planned, last_end, last_given_up, Some(0)];
            prop_assert!(known.into_iter().flatten().any(|at| ms(at) == elapsed));
        }
    }
}
