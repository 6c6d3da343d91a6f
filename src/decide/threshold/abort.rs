//! When a run is ended early: because a threshold is plainly not kept.
//!
//! Never by cumulative figures, and never by one bad moment. A server that runs well
//! within its limit has seconds beyond it; a window of ten seconds alone ends 51 of
//! 60 good runs of an M/M/1 queue at 0.95 of the load that just keeps a p99. Six of
//! ten parts of the window beyond the limit end none of them. A percentile below
//! p99 is exceeded by so many calls that chance gives six of ten more often: there
//! the excess must have added up besides, by a CUSUM of Bernoulli trials.

use std::collections::VecDeque;
use std::time::Duration;

use crate::decide::binomial::binomial_upper_tail;
use crate::threshold::{Limit, Metric, Statistic, Threshold};
use crate::units::{format_duration, format_percent};

/// Parts of a window, and those of them that must be beyond the limit.
const PARTS: usize = 10;
const PARTS_BEYOND: usize = 6;

/// Requests that a window takes; it grows for them up to the longest one.
const REQUESTS_MIN: u64 = 100;
const WINDOW_MAX: usize = 60;

/// This many beyond the limit come by chance less often than this: k = 5 of 100 where
/// 1 % may be.
const CHANCE_MAX: f64 = 0.005;

/// Shares above this need the CUSUM too.
const SHARE_OF_P99: f64 = 0.01;

/// The decision limit of the CUSUM, and what one second may add at most.
const CUSUM_LIMIT: f64 = 5.0;
const CUSUM_STEP_MAX: f64 = CUSUM_LIMIT / 3.0;

/// At once: more than this share failed of at least this many requests, this many times in
/// a row. Seconds that had fewer are taken together until they have as many.
const OUTAGE_SHARE: f64 = 0.5;
const OUTAGE_REQUESTS: u64 = 20;
const OUTAGES: u32 = 3;

/// At once: no request is answered for so long, or for this many times the p99 so far.
const SILENCE_SHORTEST: Duration = Duration::from_secs(10);
const SILENCE_P99S: u32 = 5;

const SECOND: Duration = Duration::from_secs(1);

/// What became of the requests that a threshold is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchedCounts {
    /// Ended, well or not.
    pub ended: u64,
    /// Failed, of whatever cause.
    pub failed: u64,
    /// Did not keep the limit: too late or failed; of a limit on failures, failed of
    /// its cause.
    pub missed: u64,
}

impl WatchedCounts {
    /// Adds those of another part of the run.
    pub fn add(&mut self, other: &Self) {
        self.ended += other.ended;
        self.failed += other.failed;
        self.missed += other.missed;
    }

    fn is_beyond(&self, allowed: f64) -> bool {
        self.missed as f64 > allowed * self.ended as f64
    }

    /// Chance alone rarely makes this many miss the limit.
    fn is_no_chance(&self, allowed: f64) -> bool {
        allowed <= 0.0 || binomial_upper_tail(self.ended, self.missed, allowed) <= CHANCE_MAX
    }
}

/// What the whole run looks like at the end of a second.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The end of the second, from the start of the load.
    pub at: Duration,
    /// Requests that ended in it, of any kind, answered or not.
    pub ended: u64,
    /// Those of them that the server answered, well or not: a timeout and a connection
    /// that was refused or died are no answer.
    pub answered: u64,
    /// Calls in flight.
    pub in_flight: u64,
    /// The 99th percentile of the latency so far.
    pub p99: Duration,
}

/// A run is ended by a threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// Which of the plan's.
    pub threshold: usize,
    /// The evidence.
    pub why: String,
}

/// Watches the thresholds that end a run.
#[derive(Debug)]
pub struct AbortWatcher {
    rules: Vec<Rule>,
    /// Seconds since the last answer in which one was waited for.
    silent: Duration,
}

/// The share of requests that may miss a threshold's limit; `None` where it does not
/// end a run.
pub fn share_allowed(threshold: &Threshold) -> Option<f64> {
    threshold.abort_after?;
    match (&threshold.metric, threshold.limit) {
        (Metric::Latency(Statistic::Quantile(quantile)), _) => Some(1.0 - quantile.fraction()),
        (Metric::Latency(Statistic::Max), _) => Some(0.0),
        (Metric::Errors(_), Limit::Share { .. }) => Some(threshold.limit.in_unit()),
        _ => None,
    }
}

impl AbortWatcher {
    /// Of a plan's thresholds. What happens before `warm_up` and a threshold's own
    /// grace are over does not count.
    pub fn new(thresholds: &[Threshold], warm_up: Duration) -> Self {
        let rules = thresholds.iter().enumerate().filter_map(|(at, threshold)| {
            Some(Rule {
                threshold: at,
                allowed: share_allowed(threshold)?,
                from: warm_up.saturating_add(threshold.abort_after?),
                seconds: VecDeque::new(),
                outages: Outages::default(),
                cusum: Cusum::default(),
            })
        });
        Self {
            rules: rules.collect(),
            silent: Duration::ZERO,
        }
    }

    /// Takes a second in: `counts` of each threshold that ends a run, in the order of
    /// the plan.
    pub fn see(&mut self, moment: &Moment, counts: &[WatchedCounts]) -> Option<Abort> {
        let begun = moment.at.saturating_sub(SECOND);
        if moment.answered > 0 {
            self.silent = Duration::ZERO;
        } else if moment.ended + moment.in_flight > 0 {
            self.silent += SECOND;
        }
        let patience = moment
            .p99
            .saturating_mul(SILENCE_P99S)
            .max(SILENCE_SHORTEST);
        let is_silent = self.silent >= patience;
        for (rule, counts) in self.rules.iter_mut().zip(counts) {
            if begun < rule.from {
                continue;
            }
            // Where all may fail, silence is no fault.
            let why = match is_silent && rule.allowed < 1.0 {
                true => Some(format!(
                    "no call was answered for {}",
                    format_duration(self.silent)
                )),
                false => rule.see(*counts),
            };
            if let Some(why) = why {
                let threshold = rule.threshold;
                return Some(Abort { threshold, why });
            }
        }
        None
    }
}

#[derive(Debug)]
struct Rule {
    threshold: usize,
    /// The share that may miss the limit, 0 to 1.
    allowed: f64,
    from: Duration,
    /// The last, at most [`WINDOW_MAX`].
    seconds: VecDeque<WatchedCounts>,
    outages: Outages,
    cusum: Cusum,
}

impl Rule {
    fn see(&mut self, second: WatchedCounts) -> Option<String> {
        if self.seconds.len() >= WINDOW_MAX {
            self.seconds.pop_front();
        }
        self.seconds.push_back(second);
        self.cusum.see(&second, self.allowed);
        if let Some((outage, n_seconds)) = self.outages.see(second, self.allowed) {
            let share = format_percent(outage.failed as f64 / outage.ended as f64);
            return Some(format!(
                "{share} of the calls failed, {n_seconds} seconds in a row"
            ));
        }
        self.beyond_for_long()
    }

    /// In the shortest window with enough requests.
    fn beyond_for_long(&self) -> Option<String> {
        for n_parts in 1..=WINDOW_MAX / PARTS {
            let length = n_parts * PARTS;
            let start = self.seconds.len().checked_sub(length)?;
            let window: Vec<&WatchedCounts> = self.seconds.range(start..).collect();
            let sum = sum(&window);
            if sum.ended < REQUESTS_MIN {
                continue;
            }
            let beyond = window.chunks(n_parts).map(self::sum);
            let n_beyond = beyond.filter(|part| part.is_beyond(self.allowed)).count();
            let is_beyond = sum.is_beyond(self.allowed)
                && n_beyond >= PARTS_BEYOND
                && sum.is_no_chance(self.allowed)
                && (self.allowed <= SHARE_OF_P99 || self.cusum.sum >= CUSUM_LIMIT);
            return is_beyond.then(|| {
                let share = format_percent(sum.missed as f64 / sum.ended as f64);
                let allowed = format_percent(self.allowed);
                format!("{share} of the calls missed it for {length}s, and {allowed} may")
            });
        }
        None
    }
}

/// Times in a row in which most requests failed.
#[derive(Debug, Default)]
struct Outages {
    /// Seconds that have too few requests yet, and how many they are.
    part: (WatchedCounts, u32),
    /// The seconds of the outages in a row, and how many they are.
    sum: (WatchedCounts, u32),
    n_in_row: u32,
}

impl Outages {
    /// Takes a second in. `Some`: the server is out, by these requests in this many
    /// seconds.
    fn see(&mut self, second: WatchedCounts, allowed: f64) -> Option<(WatchedCounts, u32)> {
        self.part.0.add(&second);
        self.part.1 += 1;
        if self.part.0.ended < OUTAGE_REQUESTS {
            return None;
        }
        let (part, n_seconds) = std::mem::take(&mut self.part);
        let is_outage = part.failed as f64 > OUTAGE_SHARE * part.ended as f64
            // Where as much may fail, it is not one.
            && part.is_beyond(allowed);
        if !is_outage {
            *self = Self::default();
            return None;
        }
        self.n_in_row += 1;
        self.sum.0.add(&part);
        self.sum.1 += n_seconds;
        (self.n_in_row >= OUTAGES && self.sum.0.is_no_chance(allowed)).then_some(self.sum)
    }
}

fn sum<'a>(parts: impl IntoIterator<Item = &'a &'a WatchedCounts>) -> WatchedCounts {
    let mut sum = WatchedCounts::default();
    parts.into_iter().for_each(|part| sum.add(part));
    sum
}

/// A CUSUM of Bernoulli trials for a share that has doubled (Reynolds and Stoumbos
/// 1999). What a second adds is divided by how much more its counts vary than those
/// of independent calls, and bounded, so that no single burst decides.
#[derive(Debug, Default)]
struct Cusum {
    sum: f64,
    n_seconds: f64,
    n_requests: f64,
    /// Of the missed: mean, and sum of squared differences from it (Welford).
    mean: f64,
    squares: f64,
}

impl Cusum {
    fn see(&mut self, second: &WatchedCounts, allowed: f64) {
        if second.ended == 0 || allowed <= 0.0 || allowed >= 1.0 {
            return;
        }
        let (n, k) = (second.ended as f64, second.missed as f64);
        self.n_seconds += 1.0;
        self.n_requests += n;
        let from_mean = k - self.mean;
        self.mean += from_mean / self.n_seconds;
        self.squares += from_mean * (k - self.mean);
        let variance = self.squares / (self.n_seconds - 1.0).max(1.0);
        let expected = self.n_requests / self.n_seconds * allowed * (1.0 - allowed);
        let design_effect = (variance / expected).max(1.0);
        let doubled = (2.0 * allowed).min((1.0 + allowed) / 2.0);
        let step =
            k * (doubled / allowed).ln() + (n - k) * ((1.0 - doubled) / (1.0 - allowed)).ln();
        let step = (step / design_effect).clamp(-CUSUM_STEP_MAX, CUSUM_STEP_MAX);
        self.sum = (self.sum + step).max(0.0);
    }
}

#[cfg(test)]
#[path = "abort_tests.rs"]
mod tests;
