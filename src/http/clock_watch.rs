//! Whether the wall clock can be trusted with the age of a timestamp. Pure.
//!
//! The kernel stamps what it receives with the wall clock, which somebody may
//! set during a run. The distance between the wall clock and the
//! monotonic one tells: Linux steers both alike (adjtimex(2)), so that it
//! changes only when the wall clock is set. It is compared at each read, for
//! which both are asked anyway.
//!
//! Instants are nanoseconds here: `wall` since 1970, `mono` since any fixed
//! moment.

use std::time::Duration;

/// Two readings of the clocks, one right after the other, agree within this:
/// more lies between them only where an interrupt came between.
const READING_NS: u64 = 5_000;

/// And this share of the time since they last agreed: what a daemon may steer a
/// clock by (NTP: 500 ppm), on systems that do not steer both alike.
const STEERED_PER_NS: u64 = 2_000;

/// The wall clock as it has been seen to run, by one thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ClockWatch {
    /// Wall less monotonic when they last agreed, and when that was.
    known: Option<(i128, u64)>,
    /// When a step was noticed, by the monotonic clock, and by how much.
    stepped: Option<(u64, u64)>,
    n_steps: u64,
    step_max_ns: u64,
}

/// Both clocks, read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClockReading {
    pub(super) wall_ns: u64,
    pub(super) mono_ns: u64,
    /// At most so long after the wall clock was the monotonic one read; 0 where
    /// nobody knows.
    pub(super) apart_ns: u64,
}

impl ClockReading {
    fn distance(&self) -> i128 {
        i128::from(self.wall_ns) - i128::from(self.mono_ns)
    }
}

impl ClockWatch {
    /// Whether the clocks run as they did. If not, either one was set, or the
    /// thread was held up between the two readings: read again, closely, and ask
    /// [`ClockWatch::settle`].
    pub(super) fn agrees(&self, reading: &ClockReading) -> bool {
        let Some((known, at)) = self.known else {
            return false;
        };
        let steered = reading.mono_ns.saturating_sub(at) / STEERED_PER_NS;
        let difference = (reading.distance() - known).unsigned_abs();
        difference <= u128::from(READING_NS + reading.apart_ns + steered)
    }

    /// Takes a close reading in: the first, one that shows that nothing was set,
    /// or one that shows by how much.
    pub(super) fn settle(&mut self, reading: &ClockReading) {
        if let (Some((known, _)), false) = (self.known, self.agrees(reading)) {
            let step = (reading.distance() - known).unsigned_abs();
            let step_ns = u64::try_from(step).unwrap_or(u64::MAX);
            self.n_steps += 1;
            self.step_max_ns = self.step_max_ns.max(step_ns);
            self.stepped = Some((reading.mono_ns, step_ns));
        }
        self.known = Some((reading.distance(), reading.mono_ns));
    }

    /// How old a stamp of the wall clock is; `None` where it cannot be right: it
    /// lies in the future, or so far back that the clock may have been set since.
    #[cfg_attr(
        not(any(test, target_os = "linux")),
        expect(dead_code, reason = "other systems stamp nothing")
    )]
    pub(super) fn age(&self, stamp_ns: u64, reading: &ClockReading) -> Option<Duration> {
        let age_ns = reading.wall_ns.checked_sub(stamp_ns)?;
        if let Some((at, step_ns)) = self.stepped {
            // What came before the step carries a stamp of the clock before it,
            // and looks younger or older by the step than it is.
            let trusted_ns = reading.mono_ns.saturating_sub(at).saturating_sub(step_ns);
            if age_ns >= trusted_ns {
                return None;
            }
        }
        Some(Duration::from_nanos(age_ns))
    }

    /// Steps since this was last asked, and the largest of them.
    pub(super) fn take_steps(&mut self) -> (u64, u64) {
        let taken = (self.n_steps, self.step_max_ns);
        (self.n_steps, self.step_max_ns) = (0, 0);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;
    /// The wall clock at the monotonic clock's zero.
    const WALL: u64 = 1_795_437_667 * SECOND;

    fn at(mono_ns: u64) -> ClockReading {
        set_by(0, mono_ns)
    }

    /// By how much the clock was set before.
    fn set_by(step_ns: i64, mono_ns: u64) -> ClockReading {
        ClockReading {
            wall_ns: (WALL + mono_ns).saturating_add_signed(step_ns),
            mono_ns,
            apart_ns: 0,
        }
    }

    fn settled() -> ClockWatch {
        let mut watch = ClockWatch::default();
        assert!(!watch.agrees(&at(0)), "the first reading is a close one");
        watch.settle(&at(0));
        watch
    }

    #[test]
    fn a_clock_that_nobody_sets_is_trusted() {
        let mut watch = settled();
        for second in 1..10_000 {
            let now = at(second * SECOND);
            assert!(watch.agrees(&now));
            let age = watch.age(now.wall_ns - 3 * MS, &now);
            assert_eq!(age, Some(Duration::from_millis(3)));
        }
        assert_eq!(watch.take_steps(), (0, 0));
    }

    #[test]
    fn steering_is_no_step() {
        let watch = settled();
        // 400 ppm for ten seconds.
        assert!(watch.agrees(&set_by(4 * MS as i64, 10 * SECOND)));
        // A step of as much within a second is one.
        assert!(!watch.agrees(&set_by(4 * MS as i64, SECOND)));
    }

    #[test]
    fn a_thread_that_was_held_up_between_the_readings_is_no_step() {
        let mut watch = settled();
        // The monotonic clock was read 4 ms after the wall clock.
        let late = ClockReading {
            wall_ns: WALL + SECOND,
            mono_ns: SECOND + 4 * MS,
            apart_ns: 0,
        };
        assert!(!watch.agrees(&late), "it asks for a close reading");
        watch.settle(&at(SECOND + 5 * MS));
        assert_eq!(watch.take_steps(), (0, 0));
        // Where no close reading could be had, it says how wide it was.
        let wide = ClockReading {
            apart_ns: 4 * MS,
            ..late
        };
        watch.settle(&wide);
        assert_eq!(watch.take_steps(), (0, 0));
    }

    #[test]
    fn a_stamp_in_the_future_is_unusable() {
        let watch = settled();
        let now = at(SECOND);
        assert_eq!(watch.age(now.wall_ns + 1, &now), None);
        assert_eq!(watch.age(now.wall_ns, &now), Some(Duration::ZERO));
    }

    /// Every answer that was stamped before the step is told from those after,
    /// whichever way the clock was set and however long the answer lay.
    #[test]
    fn stamps_of_before_a_step_are_unusable_and_those_after_are_right() {
        for step_ns in [-2 * SECOND as i64, -3 * MS as i64, MS as i64, SECOND as i64] {
            let mut watch = settled();
            let noticed = SECOND + 2 * MS;
            assert!(!watch.agrees(&set_by(step_ns, noticed)), "{step_ns}");
            watch.settle(&set_by(step_ns, noticed));
            assert_eq!(watch.take_steps(), (1, step_ns.unsigned_abs()));
            for read_at in (0..5_000).map(|ms| noticed + ms * MS) {
                let now = set_by(step_ns, read_at);
                // It came a millisecond before the clock was set.
                let before = at(SECOND).wall_ns;
                assert_eq!(watch.age(before, &now), None, "{step_ns} {read_at}");
                assert!(watch.agrees(&now));
            }
            // It came long after.
            let now = set_by(step_ns, 10 * SECOND);
            let stamp = now.wall_ns - 7 * MS;
            assert_eq!(watch.age(stamp, &now), Some(Duration::from_millis(7)));
            assert_eq!(watch.take_steps(), (0, 0));
        }
    }
}
