//! How long a search will take, from its baseline.
//!
//! Arithmetic over the plan of a search; it does not know how the search
//! really goes.
//!
//! A rough range over the levels that the capacity may turn out at, for one thing
//! costs time above all: levels with few requests a second are slow to judge. The
//! server is assumed to do at least half of what it would do with one request after
//! another; one that does less takes longer, and so does one that stalls now and
//! then, which the baseline cannot know. The longest time is that of a search whose
//! levels need all their units and whose first two verifications fail; the hint
//! towards p95 is given where it saves more than half of more than ten minutes.

use std::time::Duration;

use super::options::SearchOptions;
use super::sequence::{enough_requests, unit_size};
use super::trial::{BISECT, BRACKET, Effort, PLAUSIBLE_REQUESTS, PLAUSIBLE_TICKS, VERIFY};
use crate::outcome::{FindEstimate, FindPhase, LoadUnit};

/// The server nearly alone, as the baseline found it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alone {
    pub(super) level: f64,
    /// Requests ended a second.
    pub(super) rate: f64,
    /// Mean or median latency, if known.
    pub(super) latency: Option<Duration>,
}

const WORTH_A_HINT: Duration = Duration::from_secs(600);
/// A tick: at most one unit counts in it.
const SECOND: f64 = 1.0;
/// What a cool-down takes as a rule, in seconds.
const COOL_DOWN: f64 = 3.0;
/// Requests a second below which nothing is divided.
const RATE_LEAST: f64 = 1e-9;
/// Stands for a time that nobody waits for: a hundred days.
const FOREVER_SECS: f64 = 8_640_000.0;

/// The expected time after a baseline.
pub(super) fn estimate(options: &SearchOptions, alone: Alone) -> FindEstimate {
    let share = options.strictest_share();
    let (shortest, longest) = range(options, share, alone);
    let p95 = 1.0 - 0.95;
    let with_p95 = (share < p95 && longest > WORTH_A_HINT)
        .then(|| range(options, p95, alone))
        .filter(|(_, longest_p95)| *longest_p95 * 2 < longest);
    FindEstimate {
        shortest,
        longest,
        requests_per_unit: unit_size(share),
        with_p95,
    }
}

/// The shortest and the longest search, over all levels that the bracket may
/// end at.
fn range(options: &SearchOptions, share: f64, alone: Alone) -> (Duration, Duration) {
    let unit = unit_size(share) as f64;
    let rate_of_one = match options.find.by {
        LoadUnit::Vus => alone.rate / alone.level,
        LoadUnit::Rate => 1.0,
    };
    // Without errors their limit takes a fixed number of requests.
    let spotless = options.find.error_share_max.map_or(0, enough_requests) as f64;
    let hold = |effort: Effort, n_units: usize, phase: FindPhase, level: f64| {
        let rate = (level * rate_of_one).max(RATE_LEAST);
        let units = n_units as f64 * (unit / rate).max(SECOND);
        units
            .max(spotless / rate)
            .max(effort.shortest.as_secs_f64())
            + options.settling(phase).as_secs_f64()
    };
    let sounding = |level: f64| {
        let rate = (level * rate_of_one).max(RATE_LEAST);
        (PLAUSIBLE_REQUESTS as f64 / rate).max(f64::from(PLAUSIBLE_TICKS))
            + options.settling(FindPhase::Bracket).as_secs_f64()
    };
    let one_by_one = alone
        .latency
        .map_or(0.0, |latency| 0.5 / latency.as_secs_f64().max(1e-9));

    let (mut shortest, mut longest) = (f64::INFINITY, 0.0_f64);
    let (mut sounded_least, mut sounded_most) = (0.0, 0.0);
    // `low` is the last level that the bracket passes.
    let mut low = alone.level;
    loop {
        let next = options.level_above(low);
        let rate = low * rate_of_one;
        let tolerance = options.tolerance_at(rate);
        let n_halvings = ((next / low).max(1.0).ln() / tolerance.ln())
            .log2()
            .ceil()
            .max(0.0);
        let least = sounded_least
            + match options.find.quick {
                true => n_halvings * sounding(low),
                false => {
                    n_halvings * hold(BISECT, BISECT.n_units_min, FindPhase::Bisect, low)
                        + hold(VERIFY, VERIFY.n_units_min, FindPhase::Verify, low)
                }
            };
        let most = sounded_most
            + hold(BRACKET, BRACKET.n_units_max, FindPhase::Bracket, low)
            + match options.find.quick {
                true => {
                    let sounded = hold(BRACKET, BRACKET.n_units_max, FindPhase::Bisect, low);
                    n_halvings * (sounded + COOL_DOWN)
                }
                false => {
                    let halved = hold(BISECT, BISECT.n_units_max, FindPhase::Bisect, low);
                    let verified = hold(VERIFY, VERIFY.n_units_max, FindPhase::Verify, low);
                    n_halvings * (halved + COOL_DOWN) + 3.0 * (verified + COOL_DOWN)
                }
            };
        let is_last = low >= options.find.to;
        if is_last || next * rate_of_one > one_by_one {
            shortest = shortest.min(least);
            longest = longest.max(most);
        }
        if is_last {
            break;
        }
        sounded_least += sounding(next);
        // Now and then chance shows a bad request or two.
        sounded_most += 2.0 * sounding(next);
        low = next;
    }
    let duration = |secs: f64| Duration::from_secs_f64(secs.min(FOREVER_SECS).round());
    (duration(shortest), duration(longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{FindOptions, LatencyLimit};

    fn options(by: LoadUnit, quantile: f64) -> SearchOptions {
        SearchOptions {
            find: FindOptions {
                by,
                from: 1.0,
                to: 1024.0,
                latency: vec![LatencyLimit {
                    quantile,
                    limit_ns: 100_000_000,
                }],
                error_share_max: None,
                deadline: None,
                quick: false,
                max_vus: 1,
            },
            think: None,
        }
    }

    fn alone(rate: f64, latency_ms: u64) -> Alone {
        Alone {
            level: 1.0,
            rate,
            latency: Some(Duration::from_millis(latency_ms)),
        }
    }

    #[test]
    fn a_fast_server_takes_minutes_and_a_slow_one_a_hint() {
        // One user makes 500 requests a second: every unit takes a second.
        let fast = estimate(&options(LoadUnit::Vus, 0.99), alone(500.0, 2));
        // 4 halvings of 8 + 3 s and a verification of 90 + 3 s.
        assert_eq!(fast.shortest, Duration::from_secs(4 * 11 + 93));
        assert!(fast.longest < Duration::from_secs(900), "{fast:?}");
        assert_eq!((fast.requests_per_unit, fast.with_p95), (100, None));

        // One user makes one request in two seconds, and cannot make more.
        let slow = estimate(&options(LoadUnit::Vus, 0.99), alone(0.5, 2000));
        assert!(slow.longest > Duration::from_secs(3600));
        let (shortest, longest) = slow.with_p95.expect("a hint");
        assert!(shortest <= slow.shortest && longest * 2 < slow.longest);
        // p95 itself is not told to become p95.
        let p95 = estimate(&options(LoadUnit::Vus, 0.95), alone(0.5, 2000));
        assert_eq!(p95.with_p95, None);

        // One that only thinks for two seconds bears many such users.
        let thinking = estimate(&options(LoadUnit::Vus, 0.99), alone(0.5, 10));
        assert!(thinking.longest * 3 < slow.longest, "{thinking:?} {slow:?}");
    }

    #[test]
    fn a_quick_search_takes_no_time_to_verify() {
        let mut quick = options(LoadUnit::Vus, 0.99);
        quick.find.quick = true;
        let estimate = estimate(&quick, alone(500.0, 2));
        assert!(estimate.shortest < Duration::from_secs(60), "{estimate:?}");
        assert!(estimate.shortest <= estimate.longest);
    }

    #[test]
    fn more_evidence_never_takes_less_time() {
        let mut last = Duration::ZERO;
        for quantile in [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999] {
            let estimate = estimate(&options(LoadUnit::Rate, quantile), alone(1.0, 20));
            assert!(estimate.shortest <= estimate.longest);
            assert!(estimate.longest >= last);
            last = estimate.longest;
        }
    }

    #[test]
    fn a_baseline_without_figures_gives_a_number_all_the_same() {
        let nothing = Alone {
            level: 1.0,
            rate: 0.0,
            latency: None,
        };
        let never = estimate(&options(LoadUnit::Vus, 0.99), nothing);
        assert!(never.longest <= Duration::from_secs_f64(FOREVER_SECS));
        let at_once = estimate(&options(LoadUnit::Vus, 0.99), alone(1e9, 0));
        assert!(at_once.shortest <= at_once.longest);
    }
}
