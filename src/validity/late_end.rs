//! How much the last calls alone change the rate: the time after the load was offered,
//! in which only some users still had a call, counts for the rate and has few calls.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{format_duration, format_rate, rate, tidy};

/// Rates that differ by a smaller part of themselves are told as one.
const TOLD: f64 = 0.05;

/// Of less time a rate says little.
const RATE_OF_MIN: Duration = Duration::from_millis(500);

/// The last calls of a run ended so late that the rate is much lower than while load
/// was offered. It is the server's doing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LateEnd {
    /// How long after the load was offered the last call ended, in seconds.
    pub after_secs: f64,
    /// Calls that ended a second while load was offered.
    pub rate_per_sec: f64,
    /// Of them, those that succeeded.
    pub goodput_per_sec: f64,
}

/// One second of a run, as far as its rate goes.
#[derive(Debug, Clone, Copy)]
pub struct RateSecond {
    /// Its start and its length, on the run's clock.
    pub at: Duration,
    /// See `at`.
    pub length: Duration,
    /// Iterations begun in it.
    pub begun: u64,
    /// Calls in flight, mean over time.
    pub in_flight_mean: Option<f64>,
    /// Calls that succeeded in it.
    pub ok: u64,
    /// Calls that succeeded or failed in it.
    pub finished: u64,
}

impl LateEnd {
    /// Of a load from `start` to `end` that was offered until `offered_until`, and ended
    /// `finished` calls. `None`: the rate is that of the load, or nothing shows another.
    pub fn of(
        seconds: &[RateSecond],
        (start, end): (Duration, Duration),
        offered_until: Duration,
        finished: u64,
    ) -> Option<Self> {
        let of_load = seconds.iter().filter(|second| {
            let its_end = second.at + second.length;
            its_end > start && its_end <= offered_until
        });
        // The load may have begun within its first second, and a warm-up ended.
        let until = of_load
            .clone()
            .map(|second| second.at + second.length)
            .max()?;
        let from = of_load.clone().map(|second| second.at).min()?;
        let sum = |of: fn(&RateSecond) -> u64| of_load.clone().map(of).sum::<u64>();
        let length = until.saturating_sub(from.max(start));
        if length < RATE_OF_MIN {
            return None;
        }
        let found = Self {
            after_secs: tidy(end.saturating_sub(offered_until).as_secs_f64()),
            rate_per_sec: tidy(rate(sum(|second| second.finished), length)),
            goodput_per_sec: tidy(rate(sum(|second| second.ok), length)),
        };
        let of_all = rate(finished, end.saturating_sub(start));
        (found.after_secs > 0.0 && found.is_told(of_all)).then_some(found)
    }

    /// `4.8s`.
    pub fn after_text(&self) -> String {
        format_duration(Duration::try_from_secs_f64(self.after_secs).unwrap_or_default())
    }

    /// What to say beside a threshold on a rate: where that of the run is on one side of
    /// its limit, and on the other with what it may be too low by. `of_all` is the rate of
    /// all calls, `of_run` that which the threshold is about.
    pub fn beside_limit(
        &self,
        of_run: f64,
        of_all: f64,
        holds: impl Fn(f64) -> bool,
    ) -> Option<String> {
        let offered = of_run * (1.0 + self.too_low(of_all));
        (holds(of_run) != holds(offered)).then(|| {
            format!(
                "the last call ended {} after the load: about {} while load was offered",
                self.after_text(),
                format_rate(offered)
            )
        })
    }

    /// Whether it changes this rate of all calls by enough to be told.
    pub fn is_told(&self, rate_per_sec: f64) -> bool {
        self.too_low(rate_per_sec) >= TOLD
    }

    /// By what part of itself this rate of all calls is below that of the load.
    pub fn too_low(&self, rate_per_sec: f64) -> f64 {
        match rate_per_sec > 0.0 {
            true => (self.rate_per_sec / rate_per_sec - 1.0).max(0.0),
            false => 0.0,
        }
    }
}

/// Until when iterations were begun, where their number ended the load: the end of the
/// last second in which some were, or in which at least half as many calls were in
/// flight as ever. Later, only some users had a call.
pub fn last_busy(seconds: &[RateSecond]) -> Duration {
    let in_flight = |second: &RateSecond| second.in_flight_mean.unwrap_or(0.0);
    let most = seconds.iter().map(in_flight).fold(0.0, f64::max);
    let busy = seconds
        .iter()
        .rev()
        .find(|second| second.begun > 0 || 2.0 * in_flight(second) > most);
    busy.map_or(Duration::ZERO, |second| second.at + second.length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seconds(finished: &[(u64, f64)]) -> Vec<RateSecond> {
        let second = |(at, (finished, in_flight)): (u32, &(u64, f64))| RateSecond {
            at: SECOND * at,
            length: SECOND,
            begun: *finished,
            in_flight_mean: Some(*in_flight),
            ok: finished / 2,
            finished: *finished,
        };
        (0..).zip(finished).map(second).collect()
    }

    #[test]
    fn one_slow_call_at_the_end_is_told_with_the_rate_before_it() {
        let mut load = vec![(460, 10.0); 10];
        load.extend([(0, 1.0); 4]);
        let seconds = seconds(&load);
        let end = Duration::from_millis(14_300);
        let found = LateEnd::of(&seconds, (Duration::ZERO, end), 10 * SECOND, 4_601);
        let found = found.expect("4.3 s of one call");
        assert_eq!((found.after_secs, found.rate_per_sec), (4.3, 460.0));
        assert_eq!(found.goodput_per_sec, 230.0);
        assert!((found.too_low(4_601.0 / 14.3) - 0.43).abs() < 0.005);
        // The number of iterations ended it: nobody says when, but the seconds do.
        assert_eq!(last_busy(&seconds), 10 * SECOND);
        // Without whole seconds of load there is nothing to hold it against.
        let early = LateEnd::of(&seconds, (Duration::ZERO, end), SECOND / 2, 4_601);
        assert_eq!(early, None);
    }

    #[test]
    fn calls_that_all_take_long_are_no_late_end() {
        // Ten users, calls of 0.8 s.
        let load = [10, 10, 10, 20, 10, 10, 10, 20, 10, 10].map(|n| (n, 10.0));
        let end = Duration::from_millis(10_400);
        let of = |end, n| LateEnd::of(&seconds(&load), (Duration::ZERO, end), 10 * SECOND, n);
        assert_eq!(of(end, 130), None);
        assert_eq!(of(10 * SECOND, 120), None);
        // Users who go on with a long iteration: the load goes on.
        let long: Vec<_> = (0..10).map(|_| (0, 10.0)).collect();
        assert_eq!(last_busy(&seconds(&long)), 10 * SECOND);
        assert_eq!(last_busy(&[]), Duration::ZERO);
    }

    #[test]
    fn a_load_that_began_within_a_second_has_its_rate_from_there() {
        let load = [(50, 10.0), (100, 10.0), (100, 10.0), (0, 1.0), (0, 1.0)];
        let start = SECOND / 2;
        let found = LateEnd::of(&seconds(&load), (start, 5 * SECOND), 3 * SECOND, 251);
        assert_eq!(found.expect("a late end").rate_per_sec, 100.0);
    }
}
