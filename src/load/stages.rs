//! How many virtual users there are at each instant of staged load.
//!
//! Pure integer arithmetic in nanoseconds: nothing drifts, however long the run. It
//! does not know what a virtual user is, nor the clock. Start with [`Stages::target`]
//! and [`Stages::next_change`].

use std::time::Duration;

use crate::units::nanos;

/// Load that moves linearly from level to level, stage after stage.
///
/// Between two levels the number is the straight line rounded to the nearest whole,
/// half upwards: it is exact at both ends, up and down take the same time, and its
/// mean is that of the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages {
    start_level: u32,
    slopes: Vec<Slope>,
}

impl Stages {
    /// Stages of (duration, target), the first beginning at `start_level`.
    ///
    /// A target equal to the level before holds it; a duration of zero jumps. Time
    /// beyond 584 years is cut.
    pub fn new(start_level: u32, stages: &[(Duration, u32)]) -> Self {
        let mut slopes = Vec::with_capacity(stages.len());
        let (mut start_ns, mut from) = (0_u64, start_level);
        for (duration, to) in stages {
            let end_ns = start_ns.saturating_add(nanos(*duration));
            slopes.push(Slope {
                start_ns,
                length_ns: end_ns - start_ns,
                from,
                to: *to,
            });
            (start_ns, from) = (end_ns, *to);
        }
        Self {
            start_level,
            slopes,
        }
    }

    /// The length of all stages together.
    #[cfg(test)]
    pub(crate) fn total(&self) -> Duration {
        let last = self.slopes.last();
        Duration::from_nanos(last.map_or(0, |slope| slope.start_ns + slope.length_ns))
    }

    /// The level at an instant since the start. After the last stage its target stays;
    /// at an instant at which it jumps, the level after the jump counts.
    pub fn target(&self, at: Duration) -> u32 {
        let at_ns = nanos(at);
        match self.slope_idx(at_ns) {
            None => self.start_level,
            Some(idx) => self.slopes[idx].level(at_ns),
        }
    }

    /// The first instant after `at` at which the level differs from that at `at`;
    /// `None` if it stays for ever.
    pub fn next_change(&self, at: Duration) -> Option<Duration> {
        let at_ns = nanos(at);
        let level = self.target(at);
        let first = self.slope_idx(at_ns)?;
        self.slopes[first..].iter().find_map(|slope| {
            let change_ns = if slope.length_ns == 0 {
                // A jump to another level and back at one instant changes nothing.
                let landing = self.target(Duration::from_nanos(slope.start_ns));
                (landing != level).then_some(slope.start_ns)
            } else {
                slope.first_other(level)
            }?;
            (change_ns > at_ns).then(|| Duration::from_nanos(change_ns))
        })
    }

    /// The last slope that has begun.
    fn slope_idx(&self, at_ns: u64) -> Option<usize> {
        self.slopes
            .partition_point(|slope| slope.start_ns <= at_ns)
            .checked_sub(1)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slope {
    start_ns: u64,
    length_ns: u64,
    from: u32,
    to: u32,
}

impl Slope {
    fn level(&self, at_ns: u64) -> u32 {
        let elapsed_ns = at_ns.saturating_sub(self.start_ns);
        if elapsed_ns >= self.length_ns {
            return self.to;
        }
        let length = i128::from(self.length_ns);
        let height = self.doubled(i128::from(elapsed_ns)).div_euclid(2 * length);
        u32::try_from(height).unwrap_or(0)
    }

    /// Twice the line's height times the length, moved by half a unit for rounding.
    fn doubled(&self, elapsed_ns: i128) -> i128 {
        let length = i128::from(self.length_ns);
        2 * (i128::from(self.from) * length + self.rise() * elapsed_ns) + length
    }

    fn rise(&self) -> i128 {
        i128::from(self.to) - i128::from(self.from)
    }

    /// The first instant of this slope at which the level is beyond `level`, which
    /// lies on its way; `None` if the slope ends at that level.
    fn first_other(&self, level: u32) -> Option<u64> {
        if level == self.to {
            return None;
        }
        let (length, level) = (i128::from(self.length_ns), i128::from(level));
        let rise = self.rise();
        let elapsed_ns = if rise > 0 {
            // The least whole e with doubled(e) >= 2 · length · (level + 1).
            (2 * length * (level + 1) - self.doubled(0) + 2 * rise - 1).div_euclid(2 * rise)
        } else {
            // The least whole e with doubled(e) < 2 · length · level.
            (self.doubled(0) - 2 * length * level).div_euclid(-2 * rise) + 1
        };
        let elapsed_ns = u64::try_from(elapsed_ns).unwrap_or(0).min(self.length_ns);
        Some(self.start_ns + elapsed_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(value: f64) -> Duration {
        Duration::from_secs_f64(value)
    }

    fn hill() -> Stages {
        Stages::new(
            0,
            &[
                (seconds(30.0), 50),
                (seconds(120.0), 50),
                (seconds(30.0), 0),
            ],
        )
    }

    #[test]
    fn the_level_follows_the_line() {
        let stages = hill();
        let check =
            |at: f64, expected: u32| assert_eq!(stages.target(seconds(at)), expected, "{at}");
        check(0.0, 0);
        check(0.299_999_999, 0);
        check(0.3, 1);
        check(0.899_999_999, 1);
        check(0.9, 2);
        check(15.0, 25);
        check(29.7, 50);
        check(30.0, 50);
        check(100.0, 50);
        check(150.0, 50);
        check(150.3, 50);
        check(150.300_000_001, 49);
        check(165.0, 25);
        check(179.7, 1);
        check(180.0, 0);
        check(1e6, 0);
    }

    #[test]
    fn a_stage_of_no_length_jumps() {
        let stages = Stages::new(
            2,
            &[
                (Duration::ZERO, 7),
                (seconds(10.0), 7),
                (Duration::ZERO, 9),
                (Duration::ZERO, 7),
                (seconds(10.0), 7),
                (Duration::ZERO, 0),
            ],
        );
        assert_eq!(stages.target(Duration::ZERO), 7);
        assert_eq!(stages.target(seconds(10.0)), 7);
        assert_eq!(stages.next_change(Duration::ZERO), Some(seconds(20.0)));
        assert_eq!(stages.target(seconds(20.0)), 0);
        assert_eq!(stages.next_change(seconds(20.0)), None);
    }

    #[test]
    fn no_stages_hold_the_start_level() {
        let stages = Stages::new(3, &[]);
        assert_eq!(stages.target(seconds(5.0)), 3);
        assert_eq!(stages.next_change(seconds(5.0)), None);
    }

    #[test]
    fn the_longest_durations_do_not_overflow() {
        let stages = Stages::new(u32::MAX, &[(Duration::MAX, 0), (Duration::MAX, u32::MAX)]);
        assert_eq!(stages.target(Duration::ZERO), u32::MAX);
        assert!(stages.next_change(Duration::ZERO).is_some());
        assert_eq!(stages.target(Duration::MAX), u32::MAX);
    }

    fn any_stages() -> impl Strategy<Value = Stages> {
        (
            0_u32..40,
            prop::collection::vec((0_u64..2000, 0_u32..40), 0..6),
        )
            .prop_map(|(start, stages)| {
                let stages: Vec<(Duration, u32)> = stages
                    .into_iter()
                    .map(|(ns, target)| (Duration::from_nanos(ns), target))
                    .collect();
                Stages::new(start, &stages)
            })
    }

    proptest! {
        /// The stated changes are all the changes: between them nothing moves.
        #[test]
        fn changes_are_complete_and_exact(stages in any_stages()) {
            let mut at = Duration::ZERO;
            let mut level = stages.target(at);
            let end = stages.total() + Duration::from_nanos(5);
            let mut change = stages.next_change(at);
            while at < end {
                at += Duration::from_nanos(1);
                let now = stages.target(at);
                if change == Some(at) {
                    prop_assert_ne!(now, level);
                    change = stages.next_change(at);
                } else {
                    prop_assert_eq!(now, level, "at {:?}, next {:?}", at, change);
                }
                level = now;
            }
            prop_assert_eq!(change, None);
        }

        /// Never further than half a user from the line, and exact where stages end.
        #[test]
        fn the_level_is_the_rounded_line(
            from in any::<u32>(), to in any::<u32>(), length in 1_u64..u64::MAX / 2, part in 0.0..1.0_f64,
        ) {
            let stages = Stages::new(from, &[(Duration::from_nanos(length), to)]);
            let at = (length as f64 * part) as u64;
            let line = f64::from(from)
                + (f64::from(to) - f64::from(from)) * (at as f64 / length as f64);
            let level = f64::from(stages.target(Duration::from_nanos(at)));
            prop_assert!((level - line).abs() <= 0.5 + 1e-5, "{} {}", level, line);
            prop_assert_eq!(stages.target(Duration::ZERO), from);
            prop_assert_eq!(stages.target(Duration::from_nanos(length)), to);
        }
    }
}
