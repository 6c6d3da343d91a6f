//! How long a load lasted: the one definition that all rates are made with.
//!
//! A pure function of when the load was offered and when its calls ended. It
//! does not know sessions: a handshake, a DELETE and the probe are not calls.

use std::time::Duration;

use crate::outcome::Ended;

/// When a load was offered, and when its calls ended. All on the run's clock, which
/// begins when the users are told to begin: with their handshakes, in the closed
/// model.
#[derive(Debug, Clone, Copy)]
pub struct LoadTimes {
    /// Why the load ended.
    pub ended: Ended,
    /// When the first call of any user began, or the first arrival was due; `None`:
    /// there was none.
    pub started_at: Option<Duration>,
    /// When the workers were told that no iteration begins any more.
    pub stopped_at: Duration,
    /// How long the plan wants the load to last, where time ends it.
    pub planned: Option<Duration>,
    /// The end of the last call that succeeded or failed.
    pub last_end: Option<Duration>,
    /// When the last call was given up, where the end of the run cut some off.
    pub last_given_up: Option<Duration>,
}

impl LoadTimes {
    /// When the load began: with the first call of any user. Before it, there were
    /// handshakes, which are no load. Where no call ever began, users tried to from
    /// the start on.
    pub fn start(&self) -> Duration {
        self.started_at.unwrap_or_default().min(self.end())
    }

    /// When the load ended: with its last call, and not before the moment until
    /// which load was offered.
    ///
    /// That moment is
    /// - the planned end, where the planned time ended the load: a server that
    ///   dies after a second of sixty has answered for sixty seconds;
    /// - the stop, where a signal, a breaking point, a threshold, the lack of
    ///   sessions or nothing but denials ended it;
    /// - the end of the last iteration, answered or given up, where the
    ///   iterations were done: that the coordinator notices it later is no load.
    ///
    /// The ending of sessions counts nowhere.
    pub fn end(&self) -> Duration {
        let until = self.offered_until().or(self.last_given_up);
        until.max(self.last_end).unwrap_or_default()
    }

    /// Until when load was offered; `None` where the iterations were done: the time of
    /// the last one's beginning is in the seconds.
    pub fn offered_until(&self) -> Option<Duration> {
        match self.ended {
            Ended::Iterations | Ended::Data => None,
            Ended::Duration => Some(self.planned.unwrap_or(self.stopped_at)),
            Ended::Interrupted
            | Ended::Broke
            | Ended::NoSession
            | Ended::Threshold
            | Ended::Denied => Some(self.stopped_at),
        }
    }

    /// How long the load was, cut at the end of the warm-up: the warm-up, and the
    /// rest, which is the time that rates are per.
    pub fn cut_at(&self, warm_up_end: Duration) -> (Duration, Duration) {
        let (start, end) = (self.start(), self.end());
        let cut = warm_up_end.clamp(start, end);
        (cut.saturating_sub(start), end.saturating_sub(cut))
    }

    /// How long calls were in flight, answered or not: at least the whole load.
    pub fn in_flight_for(&self) -> Duration {
        let until = self.end().max(self.last_given_up.unwrap_or_default());
        until.saturating_sub(self.start())
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
            started_at: Some(ms(0)),
            stopped_at: ms(stopped_at),
            planned: Some(ms(2_000)),
            last_end: last_end.map(ms),
            last_given_up: None,
        }
    }

    #[test]
    fn the_load_lasts_as_long_as_it_is_offered_and_to_its_last_call() {
        let check = |times: LoadTimes, expected: u64| {
            let elapsed = times.cut_at(ms(0)).1;
            assert_eq!(elapsed, ms(expected), "{times:?}");
        };
        use Ended::{Broke, Denied, Duration, Interrupted, Iterations, NoSession, Threshold};
        // A call that began in time and ended after it.
        check(times(Duration, 2_003, Some(2_150)), 2_150);
        // Told a little late, and the server dead since the first second.
        check(times(Duration, 2_003, Some(900)), 2_000);
        check(times(Duration, 2_003, None), 2_000);
        // Noticed with the next tick.
        check(times(Iterations, 250, Some(17)), 17);
        check(times(Iterations, 250, None), 0);
        for ended in [Interrupted, Broke, NoSession, Threshold, Denied] {
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
        // What was given up after the planned time is not part of that time.
        let cut_off = LoadTimes {
            last_given_up: Some(ms(5_000)),
            ..times(Duration, 2_000, Some(1_990))
        };
        check(cut_off, 2_000);
        assert_eq!(cut_off.in_flight_for(), ms(5_000));
    }

    /// Sessions that take a second to open, before the first call.
    #[test]
    fn what_was_before_the_first_call_is_no_load() {
        let late = |times: LoadTimes| LoadTimes {
            started_at: Some(ms(1_000)),
            ..times
        };
        let check = |times: LoadTimes, warm_up, expected: (u64, u64)| {
            let expected = (ms(expected.0), ms(expected.1));
            assert_eq!(times.cut_at(ms(warm_up)), expected, "{times:?}");
        };
        let of_iterations = late(times(Ended::Iterations, 1_750, Some(1_520)));
        check(of_iterations, 0, (0, 520));
        let of_time = late(times(Ended::Duration, 2_003, Some(2_010)));
        check(of_time, 0, (0, 1_010));
        // A warm-up that was over before the load began, and one that was not.
        check(of_time, 500, (0, 1_010));
        check(of_time, 1_250, (250, 760));
        check(of_time, 9_000, (1_010, 0));
        let cut_off = LoadTimes {
            last_given_up: Some(ms(5_000)),
            ..of_time
        };
        assert_eq!(cut_off.in_flight_for(), ms(4_000));
        // No call began: as long as load would have been offered.
        let never = LoadTimes {
            started_at: None,
            ..times(Ended::Duration, 2_003, None)
        };
        check(never, 0, (0, 2_000));
        check(never, 500, (500, 1_500));
    }

    fn any_ended() -> impl Strategy<Value = Ended> {
        prop_oneof![
            Just(Ended::Duration),
            Just(Ended::Iterations),
            Just(Ended::Interrupted),
            Just(Ended::Broke),
            Just(Ended::NoSession),
            Just(Ended::Denied),
            Just(Ended::Threshold),
        ]
    }

    proptest! {
        #[test]
        fn no_call_ends_after_it_and_no_offered_load_is_left_out(
            ended in any_ended(),
            started_at in proptest::option::of(0_u64..100_000),
            stopped_at in 0_u64..100_000,
            planned in proptest::option::of(1_u64..100_000),
            last_end in proptest::option::of(0_u64..100_000),
            last_given_up in proptest::option::of(0_u64..100_000),
            warm_up_end in 0_u64..100_000,
        ) {
            let times = LoadTimes {
                ended,
                started_at: started_at.map(ms),
                stopped_at: ms(stopped_at),
                planned: planned.map(ms),
                last_end: last_end.map(ms),
                last_given_up: last_given_up.map(ms),
            };
            let (start, end) = (times.start(), times.end());
            prop_assert!(last_end.is_none_or(|last| end >= ms(last)));
            match (ended, planned) {
                (Ended::Duration, Some(planned)) => prop_assert!(end >= ms(planned)),
                (Ended::Iterations, _) => {}
                _ => prop_assert!(end >= ms(stopped_at)),
            }
            // Nothing but a call, the plan or the stop makes it longer.
            let known = [Some(stopped_at), planned, last_end, last_given_up, Some(0)];
            prop_assert!(known.into_iter().flatten().any(|at| ms(at) == end));
            // Nothing from before the first call is in it, and all from there on is.
            prop_assert_eq!(start, ms(started_at.unwrap_or(0)).min(end));
            let (warm_up, elapsed) = times.cut_at(ms(warm_up_end));
            prop_assert_eq!(start + warm_up + elapsed, end);
            prop_assert!(times.in_flight_for() >= warm_up + elapsed);
        }
    }
}
