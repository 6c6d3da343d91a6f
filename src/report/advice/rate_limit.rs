//! The limit that a server sets to the rate of requests, as its answers show it.
//!
//! What it let through in each second beside what it turned away with 429: where calls
//! come in bursts, those of one burst and the time between them; where they come
//! evenly, their rate. A pure function of counts; what the limit holds for (a token,
//! an address) counts cannot tell.

use std::time::Duration;

use crate::units::{format_count, format_duration, format_percent, part_of, plural, share};

/// Fewer calls turned away may be chance.
const LIMITED_MIN: u64 = 10;

/// A shorter time at the limit tells no rate.
const SPAN_MIN: usize = 3;

/// A second of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct LimitedSecond {
    /// Calls that were let through, well or not.
    pub(super) passed: u64,
    /// Calls that were turned away.
    pub(super) limited: u64,
    pub(super) length: Duration,
}

/// What the limit looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum FoundLimit {
    /// This many calls at once, and again after this time.
    Window { calls: u64, every: Duration },
    /// This many calls in this time, one after another.
    Steady { calls: u64, within: Duration },
    /// At least this many calls in this time: users who waited would have made more.
    AtLeast { calls: u64, within: Duration },
    /// This many calls until the first was turned away, and none in the time after it.
    UsedUp { calls: u64, since: Duration },
    /// None: of so many calls this many were turned away, and what passed follows what was
    /// offered.
    Unshown { limited: u64, calls: u64 },
}

/// The limit that these seconds show; `None` where they show none. `users_wait`: those
/// that were turned away kept away as long as they were asked to. Then what passed is
/// what was offered, and gaps and bursts are those of the users.
pub(super) fn find(seconds: &[LimitedSecond], users_wait: bool) -> Option<FoundLimit> {
    let n_limited: u64 = seconds.iter().map(|it| it.limited).sum();
    let first = seconds.iter().position(|it| it.limited > 0)?;
    let last = seconds.iter().rposition(|it| it.limited > 0)?;
    // Into the first the limit came, and the last may be part of a second.
    let at_limit = seconds.get(first + 1..last)?;
    if n_limited < LIMITED_MIN || at_limit.len() < SPAN_MIN {
        return None;
    }
    let span = at_limit.iter().map(|it| it.length).sum();
    let passed: u64 = at_limit.iter().map(|it| it.passed).sum();
    if users_wait {
        let (calls, within) = (passed, span);
        return (passed > 0).then_some(FoundLimit::AtLeast { calls, within });
    }
    if passed == 0 {
        let before = seconds[..=first].iter();
        return Some(FoundLimit::UsedUp {
            calls: before.map(|it| it.passed).sum(),
            since: span,
        });
    }
    let bursts = bursts(at_limit);
    if let [one, two, ..] = bursts[..] {
        let every = (bursts[bursts.len() - 1].0 - one.0) as f64 / (bursts.len() - 1) as f64;
        // Seconds of the run do not begin with those of the server.
        let is_regular = bursts
            .windows(2)
            .all(|pair| ((pair[1].0 - pair[0].0) as f64 - every).abs() <= 1.0);
        if is_regular && two.0 - one.0 >= 3 {
            let whole = &bursts[..bursts.len() - 1];
            let calls = whole.iter().map(|(_, calls)| calls).sum::<u64>() / whole.len() as u64;
            return Some(FoundLimit::Window {
                calls,
                every: Duration::from_secs(every.round() as u64),
            });
        }
    }
    if !is_flat(at_limit) {
        return Some(FoundLimit::Unshown {
            limited: n_limited,
            calls: n_limited + seconds.iter().map(|it| it.passed).sum::<u64>(),
        });
    }
    Some(FoundLimit::Steady {
        calls: passed,
        within: span,
    })
}

/// Seconds of a server and of a run begin at other moments: one call more or less.
const ALIASED: f64 = 1.0;
/// Calls that are turned away by chance, each for itself, spread more.
const CHANCE_PART: f64 = 0.25;

/// Whether as many passed in each second, however many were offered. A server that turns
/// away some part of its calls lets more through when more come. Where most calls are
/// turned away and as many come in each second, nothing speaks against a limit but the
/// spread of chance.
fn is_flat(seconds: &[LimitedSecond]) -> bool {
    let passed = || seconds.iter().map(|it| it.passed as f64);
    let offered = || seconds.iter().map(|it| (it.passed + it.limited) as f64);
    let n = seconds.len() as f64;
    let share = passed().sum::<f64>() / offered().sum::<f64>();
    let middle = mid(passed());
    let beside_flat = spread(passed().map(|it| it - middle));
    let beside_share = spread(passed().zip(offered()).map(|(it, all)| it - share * all));
    let by_chance = share * (1.0 - share) * offered().sum::<f64>() / n;
    beside_flat <= ALIASED.max(CHANCE_PART * by_chance)
        && match share < 0.5 {
            true => beside_flat <= ALIASED.max(2.0 * beside_share),
            false => 2.0 * beside_flat < beside_share,
        }
}

/// The middle one of the values.
fn mid(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The mean square without the worst quarter: a second in which a machine stood still
/// says nothing of a limit.
fn spread(values: impl Iterator<Item = f64>) -> f64 {
    let mut squares: Vec<f64> = values.map(|it| it * it).collect();
    squares.sort_by(f64::total_cmp);
    squares.truncate(squares.len() - squares.len() / 4);
    squares.iter().sum::<f64>() / squares.len().max(1) as f64
}

/// Seconds in a row in which calls passed, after one in which none did: the first of
/// them, and the calls of all.
fn bursts(seconds: &[LimitedSecond]) -> Vec<(usize, u64)> {
    let mut bursts: Vec<(usize, u64)> = Vec::new();
    let mut is_in_one = false;
    let has_pause = seconds.iter().any(|it| it.passed == 0);
    for (at, second) in seconds.iter().enumerate() {
        match (second.passed, is_in_one) {
            (0, _) => is_in_one = false,
            (passed, false) => {
                // What began before these seconds is not whole.
                if at > 0 {
                    bursts.push((at, passed));
                }
                is_in_one = true;
            }
            (passed, true) => {
                if let Some((_, calls)) = bursts.last_mut() {
                    *calls += passed;
                }
            }
        }
    }
    if has_pause { bursts } else { Vec::new() }
}

/// `60 calls a minute`, `50 calls a second`.
fn rate_text(per_sec: f64) -> String {
    match per_sec {
        // Within some per cent of a whole number a minute.
        rate if rate < 10.0 => {
            let calls = plural((rate * 60.0).round() as u64, "call", "calls");
            format!("{calls} a minute")
        }
        rate => format!("{} a second", plural(rate.round() as u64, "call", "calls")),
    }
}

/// `minute`, `10s`.
fn every_text(every: Duration) -> String {
    match every.as_secs() {
        60 => "minute".to_string(),
        _ => format_duration(every),
    }
}

impl FoundLimit {
    /// The part of each of this many who share it alike.
    pub(super) fn of_each(self, n: u64) -> String {
        let n = n.max(1);
        match self {
            Self::Steady { calls, within } | Self::AtLeast { calls, within } => {
                let least = matches!(self, Self::AtLeast { .. });
                let about = if least { "at least" } else { "about" };
                let per_sec = calls as f64 / within.as_secs_f64() / n as f64;
                format!("{about} {}", rate_text(per_sec))
            }
            Self::Window { calls, every } => {
                let calls = plural(calls.div_ceil(n), "call", "calls");
                format!("about {calls} each {}", every_text(every))
            }
            Self::UsedUp { calls, .. } | Self::Unshown { calls, .. } => {
                format!("about {}", plural(calls.div_ceil(n), "call", "calls"))
            }
        }
    }

    /// `60 calls a minute`, and how it was seen.
    pub(super) fn text(self) -> String {
        let calls = |n| plural(n, "call", "calls");
        match self {
            Self::Window { calls: n, every } => {
                let every = every_text(every);
                format!(
                    "the server lets {} through each {every}, all at once",
                    calls(n)
                )
            }
            Self::Steady { calls: n, within } | Self::AtLeast { calls: n, within } => {
                let rate = rate_text(n as f64 / within.as_secs_f64());
                let about = match self {
                    Self::AtLeast { .. } => "at least",
                    _ => "about",
                };
                format!(
                    "the server lets {about} {rate} through ({} in {})",
                    format_count(n),
                    format_duration(within)
                )
            }
            Self::Unshown { limited, calls } => format!(
                "the server turned {} ({}) away with 429, and what it let through shows no limit: the \
                 more was offered, the more passed, or as much was offered all the time; another \
                 load shows whether more passes",
                part_of(limited, calls, "call", "calls"),
                format_percent(share(limited, calls))
            ),
            Self::UsedUp { calls: n, since } => format!(
                "the server let {} through, and none in the {} after that: the next window of its \
                 limit did not begin within the run",
                calls(n),
                format_duration(since)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(passed: impl IntoIterator<Item = u64>, offered: u64) -> Vec<LimitedSecond> {
        let second = |passed| LimitedSecond {
            passed,
            limited: offered - passed,
            length: Duration::from_secs(1),
        };
        passed.into_iter().map(second).collect()
    }

    #[test]
    fn a_rate_that_is_kept_up_is_told_by_the_minute_or_the_second() {
        let one = find(&seconds([10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 100), false);
        let text = one.expect("a limit").text();
        assert!(text.contains("about 60 calls a minute"), "{text}");
        let fifty = find(&seconds([50, 49, 51, 50, 50, 50], 1_000), false);
        let text = fifty.expect("a limit").text();
        assert!(
            text.contains("about 50 calls a second through (200 in 4s)"),
            "{text}"
        );
    }

    #[test]
    fn tokens_that_share_a_limit_have_their_part_of_it() {
        let within = Duration::from_secs(60);
        let steady = FoundLimit::Steady { calls: 180, within };
        assert_eq!(steady.of_each(3), "about 60 calls a minute");
        let least = FoundLimit::AtLeast { calls: 180, within };
        assert_eq!(least.of_each(3), "at least 60 calls a minute");
        let fast = FoundLimit::Steady {
            calls: 6_000,
            within,
        };
        assert_eq!(fast.of_each(2), "about 50 calls a second");
        let window = FoundLimit::Window {
            calls: 120,
            every: within,
        };
        assert_eq!(window.of_each(2), "about 60 calls each minute");
        let used_up = FoundLimit::UsedUp {
            calls: 3,
            since: within,
        };
        assert_eq!(used_up.of_each(3), "about 1 call");
    }

    #[test]
    fn windows_are_told_by_their_bursts() {
        let passed = (0..200).map(|at| if at % 60 == 7 { 60 } else { 0 });
        assert_eq!(
            find(&seconds(passed, 100), false),
            Some(FoundLimit::Window {
                calls: 60,
                every: Duration::from_secs(60)
            })
        );
        // A burst may reach into the next second.
        let passed = (0..40).map(|at| match at % 10 {
            3 => 15,
            4 => 5,
            _ => 0,
        });
        let text = find(&seconds(passed, 100), false).expect("a limit").text();
        assert_eq!(
            text,
            "the server lets 20 calls through each 10s, all at once"
        );
    }

    #[test]
    fn a_window_longer_than_the_run_is_said_to_be() {
        let passed = [60].into_iter().chain([0; 20]);
        assert_eq!(
            find(&seconds(passed, 100), false),
            Some(FoundLimit::UsedUp {
                calls: 60,
                since: Duration::from_secs(19)
            })
        );
    }

    /// Fifty a second pass, and users come back after two.
    #[test]
    fn users_who_wait_show_no_more_than_a_least_limit() {
        let passed = || (0..12).map(|at| if at % 3 == 0 { 50 } else { 0 });
        let found = find(&seconds(passed(), 60), true).expect("a limit");
        let text = found.text();
        assert!(
            text.contains("at least 15 calls a second through (150 in 10s)"),
            "{text}"
        );
        assert_eq!(
            find(&seconds([60].into_iter().chain([0; 20]), 100), true),
            None
        );
    }

    /// Whether each twentieth call is turned away, or some by chance.
    #[test]
    fn a_part_that_is_turned_away_is_no_limit() {
        let of = |offered: &[u64], passes: fn(u64) -> u64| {
            let second = |offered: &u64| LimitedSecond {
                passed: passes(*offered),
                limited: offered - passes(*offered),
                length: Duration::from_secs(1),
            };
            let seconds: Vec<_> = offered.iter().map(second).collect();
            find(&seconds, false)
        };
        let offered = [236, 240, 229, 238, 241, 233, 180];
        let twentieth = of(&offered, |offered| offered - offered / 20);
        assert!(
            matches!(twentieth, Some(FoundLimit::Unshown { .. })),
            "{twentieth:?}"
        );
        let text = twentieth.expect("told").text();
        assert!(
            text.contains("turned 77 of 1,597 calls (4.82%) away with 429"),
            "{text}"
        );
        assert!(text.contains("shows no limit"), "{text}");
        // The same load, which the server holds to a limit, and a heavier one.
        let limit = of(&offered, |offered| offered.min(220));
        assert!(
            matches!(limit, Some(FoundLimit::Steady { .. })),
            "{limit:?}"
        );
        let half = of(&[1_010, 1_030, 990, 1_050, 960, 1_000], |offered| {
            offered / 3
        });
        assert!(matches!(half, Some(FoundLimit::Unshown { .. })), "{half:?}");
        // The offer is the same in all seconds, and what passes is chance.
        let by_chance = find(&seconds([300, 318, 287, 309, 281, 322, 300], 1_000), false);
        assert!(
            matches!(by_chance, Some(FoundLimit::Unshown { .. })),
            "{by_chance:?}"
        );
    }

    #[test]
    fn chance_and_short_runs_show_no_limit() {
        assert_eq!(find(&[], false), None);
        assert_eq!(
            find(&seconds([100; 20], 100), false),
            None,
            "nothing turned away"
        );
        assert_eq!(
            find(&seconds([99, 100, 100, 100, 100, 99], 100), false),
            None
        );
        assert_eq!(find(&seconds([10, 10, 10], 100), false), None);
    }
}
