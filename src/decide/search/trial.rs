//! One hold at one level: settling, then figures, then a verdict.
//!
//! It knows the limits and nothing of other levels. Start with [`Trial::tick`].

use std::time::Duration;

use super::options::{LATENCY_LIMITS_MAX, SearchOptions};
use super::sequence::{Decision, Sequence};
use super::tick::{Percentiles, SearchTick};
use crate::decide::binomial::binomial_upper_tail;
use crate::outcome::{FindPhase, FindTrial, FindVerdict, FindWhy, LoadUnit};
use crate::validity::Grade;

/// A hold under way.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    phase: FindPhase,
    level: f64,
    by: LoadUnit,
    /// What is left of the settling, whose figures do not count. Zero: it holds.
    pub(super) settling: Duration,
    rules: Vec<LimitRule>,
    /// The strictest latency limit; `None` where only errors are limited.
    limit: Option<Duration>,
    think: Option<Duration>,
    sums: HoldSums,
    percentiles: Percentiles,
    /// Requests under way at the end of each tick of the hold.
    in_flight: Vec<u64>,
    /// Time without an answer while requests were under way, settling included.
    silence: Duration,
    /// A level between is sounded only, as those of the bracket are.
    is_quick: bool,
    n_limited: u32,
    was_limited: bool,
    grade: Grade,
}

/// What a tick did to the trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum TrialProgress {
    /// It settles, or needs more.
    Waiting,
    /// It has settled: figures count from now.
    Settled,
    /// It is over.
    Over(FindVerdict),
}

/// A limit being judged.
#[derive(Debug, Clone)]
struct LimitRule {
    why: FindWhy,
    sequence: Sequence,
}

/// Totals of the hold, without the ticks in which the generator was the limit.
#[derive(Debug, Clone, Default)]
struct HoldSums {
    n_ticks: u32,
    length: Duration,
    offered: u64,
    completed: u64,
    failed: u64,
    dropped: u64,
    /// For each latency limit: answered with success, and too late.
    late: [u64; LATENCY_LIMITS_MAX],
    /// Nanoseconds, summed over requests with a known mean.
    latency_ns: f64,
    n_latencies: u64,
}

/// How much evidence a hold takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// No pass and no failure before, unless it is plain.
    pub(super) n_units_min: usize,
    /// The trial is undecided after this many units.
    pub(super) n_units_max: usize,
    /// No pass before.
    pub(super) shortest: Duration,
    /// Ends as undecided as soon as the least units are there and their share
    /// is above the one allowed: more of them would hardly make it a pass.
    pub(super) ends_when_futile: bool,
}

pub(super) const BRACKET: Effort = Effort {
    n_units_min: 5,
    n_units_max: 10,
    shortest: Duration::ZERO,
    ends_when_futile: false,
};
pub(super) const BISECT: Effort = Effort {
    n_units_min: 8,
    n_units_max: 30,
    shortest: Duration::ZERO,
    ends_when_futile: false,
};
/// The answer. A server whose speed wanders (neighbours, collections, cold
/// caches) is now and then fast for half a minute; no figures taken in it can
/// tell. Only time can.
pub(super) const VERIFY: Effort = Effort {
    n_units_min: 30,
    n_units_max: 60,
    shortest: Duration::from_secs(90),
    ends_when_futile: true,
};

/// A bracket level is plausible after this many requests and ticks, if the bad
/// ones are at most half of those allowed. It is orientation, and verified
/// later; without it a search from one user that thinks for a second would
/// spend minutes on levels far below the capacity.
pub(super) const PLAUSIBLE_REQUESTS: u64 = 60;
pub(super) const PLAUSIBLE_TICKS: u32 = 5;

/// The baseline ends with this many requests after this many ticks, or with fewer
/// after a time or five cycles of a thinking user, and gives up on a server
/// that does not answer at all.
const BASELINE_REQUESTS: u64 = 20;
const BASELINE_TICKS: u32 = 5;
const BASELINE_LONGEST: Duration = Duration::from_secs(30);
/// The baseline fails where its number of bad requests has less than this
/// probability on a server that just keeps the limit.
const BASELINE_SIGNIFICANCE: f64 = 0.01;

/// No answer at all for this long, or five times the latency limit if that is
/// longer, while requests are under way.
const SILENCE_SHORTEST: Duration = Duration::from_secs(10);

/// This many ticks in which the generator was the limit, if they are this share of
/// all, give the trial up, and two in a row do. A single one may be a hiccup: it
/// is left out, for its figures are not the server's.
const LIMITED_MIN: u32 = 3;
const LIMITED_SHARE: f64 = 0.1;

/// The open model: at least this share of the offered requests is answered.
const ACHIEVED_MIN: f64 = 0.98;
/// And the requests under way in the last third of the hold are at most this
/// times those in the first.
const BACKLOG_GROWTH: f64 = 1.5;

impl Trial {
    pub(super) fn new(
        options: &SearchOptions,
        phase: FindPhase,
        level: f64,
        settling: Duration,
    ) -> Self {
        let latency = options.find.latency.iter().enumerate();
        let mut rules: Vec<LimitRule> = latency
            .map(|(limit_idx, limit)| LimitRule {
                why: FindWhy::Latency { limit_idx },
                sequence: Sequence::new(limit.share_allowed()),
            })
            .collect();
        if let Some(share) = options.find.error_share_max {
            rules.push(LimitRule {
                why: FindWhy::Errors,
                sequence: Sequence::new(share).passing_when_spotless(),
            });
        }
        let limit_ns = options.find.latency.iter().map(|limit| limit.limit_ns);
        Self {
            phase,
            level,
            by: options.find.by,
            settling,
            rules,
            limit: limit_ns.min().map(Duration::from_nanos),
            think: options.think,
            sums: HoldSums::default(),
            percentiles: Percentiles::default(),
            in_flight: Vec::new(),
            silence: Duration::ZERO,
            is_quick: options.find.quick,
            n_limited: 0,
            was_limited: false,
            grade: Grade::Valid,
        }
    }

    pub(super) fn phase(&self) -> FindPhase {
        self.phase
    }

    pub(super) fn level(&self) -> f64 {
        self.level
    }

    /// Figures of the hold have been taken.
    pub(super) fn has_begun(&self) -> bool {
        self.sums.n_ticks > 0
    }

    /// The most requests that were under way at the end of a tick of the hold.
    pub(super) fn in_flight_max(&self) -> u64 {
        self.in_flight.iter().copied().max().unwrap_or(0)
    }

    /// Takes one tick's figures.
    pub(super) fn tick(&mut self, tick: &SearchTick) -> TrialProgress {
        self.grade = tick.grade;
        if tick.completed > 0 || tick.in_flight == 0 {
            self.silence = Duration::ZERO;
        } else {
            self.silence = self.silence.saturating_add(tick.length);
        }
        if !self.settling.is_zero() {
            self.settling = self.settling.saturating_sub(tick.length);
            return match self.is_silent() {
                true => TrialProgress::Over(FindVerdict::Failed(FindWhy::Silence)),
                false if self.settling.is_zero() => TrialProgress::Settled,
                false => TrialProgress::Waiting,
            };
        }
        if tick.generator_limited {
            self.n_limited += 1;
            let n_all = f64::from(self.sums.n_ticks.saturating_add(self.n_limited));
            let are_many =
                self.n_limited >= LIMITED_MIN && f64::from(self.n_limited) > LIMITED_SHARE * n_all;
            if are_many || self.was_limited {
                return TrialProgress::Over(FindVerdict::GeneratorLimited);
            }
            self.was_limited = true;
            return TrialProgress::Waiting;
        }
        self.was_limited = false;
        self.count(tick);
        match self.verdict() {
            Some(verdict) => TrialProgress::Over(verdict),
            None => TrialProgress::Waiting,
        }
    }

    /// What is known of the trial, ended with this verdict.
    pub(super) fn report(&self, verdict: FindVerdict) -> FindTrial {
        let sums = &self.sums;
        let secs = sums.length.as_secs_f64();
        let per_second = |n: u64| if secs > 0.0 { n as f64 / secs } else { 0.0 };
        let rate = per_second(sums.completed);
        let mean_ns = (sums.n_latencies > 0).then(|| sums.latency_ns / sums.n_latencies as f64);
        let little = match (self.by, self.think, mean_ns) {
            (LoadUnit::Vus, Some(think), Some(mean_ns)) if self.level > 0.0 => {
                Some(rate * (mean_ns / 1e9 + think.as_secs_f64()) / self.level)
            }
            _ => None,
        };
        FindTrial {
            level: self.level,
            phase: self.phase,
            verdict,
            repeated: false,
            rate,
            offered_rate: per_second(sums.offered),
            p50_ns: self.percentiles.p50_ns,
            p95_ns: self.percentiles.p95_ns,
            p99_ns: self.percentiles.p99_ns,
            mean_ns: mean_ns.map(|mean_ns| mean_ns as u64),
            error_share: sums.failed as f64 / sums.completed.max(1) as f64,
            shares_over: self
                .latency_rules()
                .map(|rule| rule.sequence.share())
                .collect(),
            n_requests: sums.completed,
            n_dropped: sums.dropped,
            duration: sums.length,
            little,
            grade: self.grade,
        }
    }

    fn count(&mut self, tick: &SearchTick) {
        let sums = &mut self.sums;
        sums.n_ticks += 1;
        sums.length = sums.length.saturating_add(tick.length);
        sums.offered = sums.offered.saturating_add(tick.offered);
        sums.completed = sums.completed.saturating_add(tick.completed);
        sums.failed = sums.failed.saturating_add(tick.failed.min(tick.completed));
        sums.dropped = sums.dropped.saturating_add(tick.dropped);
        for (late, n_over) in sums.late.iter_mut().zip(tick.n_over) {
            *late = late.saturating_add(n_over.saturating_sub(tick.failed));
        }
        if let Some(mean_ns) = tick.mean_ns {
            sums.latency_ns += mean_ns as f64 * tick.completed as f64;
            sums.n_latencies = sums.n_latencies.saturating_add(tick.completed);
        }
        self.percentiles = tick.hold;
        self.in_flight.push(tick.in_flight);
        for rule in &mut self.rules {
            // A dropped arrival was never answered: late for any limit.
            let n_bad = match rule.why {
                FindWhy::Latency { limit_idx } => tick.n_over.get(limit_idx).copied().unwrap_or(0),
                _ => tick.failed,
            };
            let dropped = match rule.why {
                FindWhy::Latency { .. } => tick.dropped,
                _ => 0,
            };
            rule.sequence.push(
                tick.completed.saturating_add(dropped),
                n_bad.min(tick.completed).saturating_add(dropped),
            );
        }
    }

    fn verdict(&self) -> Option<FindVerdict> {
        if self.is_silent() {
            return Some(FindVerdict::Failed(FindWhy::Silence));
        }
        match self.phase {
            FindPhase::Baseline => self.baseline_verdict(),
            FindPhase::Bracket => self.sounding_verdict(),
            FindPhase::Bisect if self.is_quick => self.sounding_verdict(),
            FindPhase::Bisect => self.sequential_verdict(BISECT),
            FindPhase::Verify => self.sequential_verdict(VERIFY),
        }
    }

    fn sounding_verdict(&self) -> Option<FindVerdict> {
        self.sequential_verdict(BRACKET)
            .or_else(|| self.is_plausible(0.5).then_some(FindVerdict::Plausible))
            .map(|verdict| match verdict {
                // Far from settled; but the better guess is that it holds.
                FindVerdict::Undecided(_) if self.is_plausible(1.0) => FindVerdict::Plausible,
                verdict => verdict,
            })
    }

    /// What the figures beside the verdict show. A latency limit counts requests
    /// that failed or were dropped as late; where those that were answered keep it,
    /// it is not broken by latency.
    fn cause(&self, rule: &LimitRule) -> FindWhy {
        let sums = &self.sums;
        let FindWhy::Latency { limit_idx } = rule.why else {
            return rule.why;
        };
        let n_ok = sums.completed.saturating_sub(sums.failed) as f64;
        let n_late = sums.late.get(limit_idx).copied().unwrap_or(0) as f64;
        if n_late > rule.sequence.share_allowed * n_ok {
            return rule.why;
        }
        let errors = self.rules.iter().find(|rule| rule.why == FindWhy::Errors);
        if errors.is_some_and(|errors| errors.load() > 1.0) {
            FindWhy::Errors
        } else if sums.dropped > sums.failed {
            FindWhy::Throughput
        } else {
            rule.why
        }
    }

    fn sequential_verdict(&self, effort: Effort) -> Option<FindVerdict> {
        let decisions: Vec<(&LimitRule, Decision)> = self
            .rules
            .iter()
            .map(|rule| (rule, rule.sequence.decide(effort.n_units_min)))
            .collect();
        let mut fails = decisions
            .iter()
            .filter(|(_, decision)| *decision == Decision::Fail);
        if let Some((rule, _)) = fails.next() {
            return Some(FindVerdict::Failed(self.cause(rule)));
        }
        if self.sums.n_ticks >= PLAUSIBLE_TICKS
            && let Some(why) = self.open_fault()
        {
            return Some(FindVerdict::Failed(why));
        }
        let is_long = self.sums.length >= effort.shortest;
        let open = || {
            decisions
                .iter()
                .filter(|(_, decision)| *decision == Decision::Open)
                .map(|(rule, _)| *rule)
        };
        let Some(worst) = open().max_by(|a, b| f64::total_cmp(&a.load(), &b.load())) else {
            return is_long.then_some(FindVerdict::Passed);
        };
        let is_spent = is_long && open().all(|rule| rule.sequence.is_spent(effort.n_units_max));
        let is_futile = effort.ends_when_futile
            && worst.load() >= 1.0
            && worst.sequence.is_spent(effort.n_units_min);
        (is_spent || is_futile).then_some(FindVerdict::Undecided(self.cause(worst)))
    }

    fn is_plausible(&self, of_allowed: f64) -> bool {
        self.sums.n_ticks >= PLAUSIBLE_TICKS
            && self.rules.iter().all(|rule| {
                rule.sequence.n_requests() >= PLAUSIBLE_REQUESTS && rule.load() <= of_allowed
            })
            && self.open_fault().is_none()
    }

    fn baseline_verdict(&self) -> Option<FindVerdict> {
        let sums = &self.sums;
        let longest = BASELINE_LONGEST.max(self.think.unwrap_or_default().saturating_mul(5));
        let is_long = sums.length >= longest;
        if sums.n_ticks < BASELINE_TICKS || (sums.completed < BASELINE_REQUESTS && !is_long) {
            return None;
        }
        if sums.completed == 0 {
            return Some(FindVerdict::Failed(FindWhy::Silence));
        }
        let failing = self.rules.iter().find(|rule| {
            let n = rule.sequence.n_requests();
            let n_bad = (rule.sequence.share() * n as f64).round() as u64;
            n_bad > 0
                && binomial_upper_tail(n, n_bad, rule.sequence.share_allowed)
                    < BASELINE_SIGNIFICANCE
        });
        if let Some(rule) = failing {
            return Some(FindVerdict::Failed(self.cause(rule)));
        }
        // Above a limit, though that may be chance: more requests will tell.
        match self.rules.iter().find(|rule| rule.load() > 1.0) {
            None => Some(FindVerdict::Plausible),
            Some(rule) => is_long.then_some(FindVerdict::Undecided(self.cause(rule))),
        }
    }

    /// What an open load needs beside the limits: the server keeps up with it.
    ///
    /// Requests may be under way for twice the latency limit before they count
    /// as missing; they are within their limits, or the limits say so. That
    /// also keeps chance out of it: one look at a queue says little, for in a
    /// healthy one near its capacity it varies as much as its mean.
    fn open_fault(&self) -> Option<FindWhy> {
        let LoadUnit::Rate = self.by else { return None };
        let sums = &self.sums;
        let drain_secs = 2.0 * self.limit.unwrap_or(SILENCE_SHORTEST).as_secs_f64();
        let answered = sums.completed as f64 / sums.length.as_secs_f64().max(1e-9) * drain_secs;
        // A few requests are a matter of the moment, at any rate.
        let allowance = answered + 4.0 * answered.sqrt() + 5.0;
        let in_flight = self.in_flight.last().copied().unwrap_or(0) as f64;
        let third = (self.in_flight.len() / 3).max(1);
        let mean =
            |part: &[u64]| part.iter().map(|n| *n as f64).sum::<f64>() / part.len().max(1) as f64;
        let first = mean(&self.in_flight[..third.min(self.in_flight.len())]);
        let last = mean(&self.in_flight[self.in_flight.len().saturating_sub(third)..]);
        let missing = sums.offered as f64 - sums.completed as f64;
        if missing - allowance > (1.0 - ACHIEVED_MIN) * sums.offered as f64 {
            Some(FindWhy::Throughput)
        } else if in_flight > allowance && last > BACKLOG_GROWTH * first {
            Some(FindWhy::Backlog)
        } else {
            None
        }
    }

    fn is_silent(&self) -> bool {
        let limit = self.limit.unwrap_or_default();
        self.silence >= limit.saturating_mul(5).max(SILENCE_SHORTEST)
    }

    fn latency_rules(&self) -> impl Iterator<Item = &LimitRule> {
        let is_latency = |rule: &&LimitRule| matches!(rule.why, FindWhy::Latency { .. });
        self.rules.iter().filter(is_latency)
    }
}

impl LimitRule {
    /// The bad share as a multiple of the one allowed.
    fn load(&self) -> f64 {
        self.sequence.share() / self.sequence.share_allowed
    }
}
