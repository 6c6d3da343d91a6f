//! The capacity search of `find`: the highest load that a server sustains
//! within limits.
//!
//! A pure state machine: figures of a tick in, one [`SearchAction`] out. It does not
//! know how load is made, what time it is, or how its outcome is shown. Start
//! with [`Search::next`].
//!
//! ```text
//!            refused                            not sustained
//!               ▲                     ┌───────────────┬─────────────┐
//!   start ─▶ baseline ─▶ bracket ─▶ bisect ◀──────────┴── verify ───┘
//!                         │  ▲  │     │  ▲                  ▲  │
//!                         └──┘  │     └──┘                  │  └──▶ sustains
//!                          ×2   └───── narrow enough ───────┘
//! ```
//!
//! Each level is held afresh: it settles, then its figures count until a
//! sequential test (`sequence.rs`) knows or gives up. A level is *sustained*
//! only if a hold of its own, the verification, passes strictly. After a level
//! that was not passed, the server cools down at the baseline's level, lest the
//! debt of one level be charged to the next.
//!
//! A level that the host disturbed, or in which users lost their tokens, says nothing of
//! the server: it is held again, up to three times. A quick search ends with its bracket, without a verification.

mod estimate;
mod options;
mod sequence;
mod tick;
mod trial;

#[cfg(test)]
mod proof;

use std::time::Duration;

use self::estimate::Alone;
pub use self::options::{LATENCY_LIMITS_MAX, OptionsFault, SearchOptions};
pub use self::tick::{Percentiles, SearchTick};
use self::trial::{Trial, TrialProgress};
use crate::outcome::{
    FindEnded, FindEstimate, FindFailure, FindPhase, FindTrial, FindVerdict, FindWhy,
    LastingSlowdown, LoadUnit,
};

/// No answer is verified in less time.
pub const VERIFICATION_LEAST: Duration = self::trial::VERIFY.shortest;

/// What the search is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input {
    /// A finished tick's figures.
    Tick(SearchTick),
    /// The time for the search is over.
    Deadline,
    /// The user wants it to end.
    Interrupted,
    /// No user has a token that the server takes, and no other is to be had.
    NoToken,
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum SearchAction {
    /// Go on, at the same level.
    Continue,
    /// Set this load; the figures that follow are of its settling.
    SetLevel {
        /// Virtual users or arrivals a second.
        level: f64,
        /// What the level is held for.
        phase: FindPhase,
        /// How long its figures will not count.
        settling: Duration,
    },
    /// The level has settled: begin fresh histograms, the figures count.
    StartHold,
    /// Set this low load until the server has recovered.
    CoolDown {
        /// The baseline's level.
        level: f64,
    },
    /// The search is over.
    Done(Box<SearchOutcome>),
}

/// What a search found. Levels between `sustains` and `fails_at` are not
/// decided; no number here was not tested.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOutcome {
    /// The highest level that passed its verification.
    pub sustains: Option<FindTrial>,
    /// The highest level below all that were not passed, whether verified or
    /// not: the bracket's lower end where the search ended early.
    pub passed: Option<FindTrial>,
    /// The lowest level not passed. `None`: none was found.
    pub fails_at: Option<FindFailure>,
    /// The lowest level that failed for certain: `fails_at` itself, or one above
    /// it where that was undecided. `None`: none did.
    pub fails_surely_at: Option<FindFailure>,
    /// All trials in order, an unfinished one included.
    pub trials: Vec<FindTrial>,
    /// Why the search ended.
    pub ended: FindEnded,
    /// What was expected after the baseline.
    pub estimate: Option<FindEstimate>,
    /// Where the server changed while it was searched: the worst such level. What was held
    /// before and after it is not of the same server.
    pub slowdown: Option<LastingSlowdown>,
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    options: SearchOptions,
    state: SearchState,
    baseline: Option<Baseline>,
    estimate: Option<FindEstimate>,
    trials: Vec<FindTrial>,
    /// Levels that may be verified: passed, or a step below one that failed its
    /// verification. Those at or above `not_passed` no longer count.
    candidates: Vec<Candidate>,
    /// The trial with the lowest level not passed.
    not_passed: Option<FindFailure>,
    sustains: Option<FindTrial>,
    /// Fixed when the bracket is closed.
    tolerance: Option<f64>,
    slowdown: Option<LastingSlowdown>,
}

#[derive(Debug, Clone)]
enum SearchState {
    Trial(Trial),
    CoolDown(CoolDown),
    Over(Box<SearchOutcome>),
}

/// Until the server has recovered from a level.
#[derive(Debug, Clone)]
struct CoolDown {
    after: f64,
    waited: Duration,
    /// The least median of a tick in which the generator was not the limit, and how many
    /// such ticks there were.
    least_ns: Option<u64>,
    n_ticks: u32,
    next: Trial,
}

/// The server nearly alone.
#[derive(Debug, Clone, Copy)]
struct Baseline {
    level: f64,
    median_ns: u64,
    in_flight_max: u64,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    level: f64,
    /// It passed the strict test once, so its failure later is a near miss.
    is_strict: bool,
}

/// After a level that just missed its verification, the next to be verified is
/// this much lower.
const STEP_DOWN: f64 = 1.06;

/// A server that has not recovered after this long is tried all the same.
const COOL_DOWN_MAX: Duration = Duration::from_secs(30);
const COOL_MEDIAN: f64 = 1.2;

/// Of so many seconds without one as fast as before it is known that the server changed.
const SLOW_TICKS: u32 = 10;

/// A level that was disturbed is held again so often.
const REPEATS_MAX: usize = 3;

impl Search {
    /// A search, and the first thing to do.
    ///
    /// # Errors
    /// Where the options make no sense.
    pub fn start(options: SearchOptions) -> Result<(Self, SearchAction), OptionsFault> {
        options.check()?;
        let level = options.baseline_level();
        let phase = FindPhase::Baseline;
        let settling = options.settling(phase);
        let trial = Trial::new(&options, phase, level, settling);
        let search = Self {
            options,
            state: SearchState::Trial(trial),
            baseline: None,
            estimate: None,
            trials: Vec::new(),
            candidates: Vec::new(),
            not_passed: None,
            sustains: None,
            tolerance: None,
            slowdown: None,
        };
        let first = SearchAction::SetLevel {
            level,
            phase,
            settling,
        };
        Ok((search, first))
    }

    /// Takes what happened and says what to do. Once it has said
    /// [`SearchAction::Done`] it says so again, whatever happens.
    pub fn next(&mut self, input: Input) -> SearchAction {
        match (&mut self.state, input) {
            (SearchState::Over(outcome), _) => SearchAction::Done(outcome.clone()),
            (_, Input::Interrupted) => self.finish(FindEnded::Interrupted),
            (_, Input::Deadline) => self.finish(FindEnded::Deadline),
            (_, Input::NoToken) => self.finish(FindEnded::NoToken),
            (_, Input::Tick(tick)) => self.on_tick(&tick),
        }
    }

    /// How long the rest of the search is expected to take: from the end of the
    /// baseline on.
    pub fn estimate(&self) -> Option<FindEstimate> {
        self.estimate
    }

    /// The finished trials so far, in order.
    pub fn trials(&self) -> &[FindTrial] {
        &self.trials
    }

    fn on_tick(&mut self, tick: &SearchTick) -> SearchAction {
        match &mut self.state {
            SearchState::Over(outcome) => SearchAction::Done(outcome.clone()),
            SearchState::CoolDown(cooling) => {
                cooling.count(tick);
                let is_cool = self
                    .baseline
                    .is_none_or(|baseline| baseline.is_reached_again(tick));
                if !is_cool && cooling.waited < COOL_DOWN_MAX {
                    return SearchAction::Continue;
                }
                let found = self.baseline.filter(|_| !is_cool);
                let found = found.and_then(|baseline| cooling.slowdown(baseline));
                let next = cooling.next.clone();
                let is_worse = |than: LastingSlowdown| {
                    found.is_some_and(|found| found.least_ns > than.least_ns)
                };
                if self.slowdown.is_none_or(is_worse) {
                    self.slowdown = found;
                }
                self.begin(next)
            }
            SearchState::Trial(trial) => match trial.tick(tick) {
                TrialProgress::Waiting => SearchAction::Continue,
                TrialProgress::Settled => SearchAction::StartHold,
                TrialProgress::Over(verdict) => {
                    let report = trial.report(verdict);
                    let in_flight_max = trial.in_flight_max();
                    self.after_trial(report, in_flight_max, tick.disturbed)
                }
            },
        }
    }

    fn after_trial(
        &mut self,
        mut report: FindTrial,
        in_flight_max: u64,
        disturbed: bool,
    ) -> SearchAction {
        // What kept the limits on a disturbed host would keep them on a quiet one.
        let is_in_doubt = matches!(
            report.verdict,
            FindVerdict::GeneratorLimited | FindVerdict::Failed(_) | FindVerdict::Undecided(_)
        );
        report.repeated = disturbed && is_in_doubt && self.n_repeats(&report) < REPEATS_MAX;
        self.trials.push(report.clone());
        if report.repeated {
            let settling = self.options.settling(report.phase);
            let again = Trial::new(&self.options, report.phase, report.level, settling);
            return self.cool_down(report.level, again);
        }
        match (report.phase, report.verdict) {
            (_, FindVerdict::GeneratorLimited) => return self.finish(FindEnded::GeneratorLimited),
            (FindPhase::Baseline, FindVerdict::Failed(why)) => {
                self.note_not_passed(&report, why);
                return self.finish(FindEnded::Refused(why));
            }
            (phase, FindVerdict::Failed(why) | FindVerdict::Undecided(why))
                if phase != FindPhase::Baseline =>
            {
                self.note_not_passed(&report, why);
            }
            (FindPhase::Verify, _) => {
                let ended = if self.not_passed.is_none() {
                    FindEnded::ReachedTo
                } else {
                    FindEnded::Found
                };
                self.sustains = Some(report);
                return self.finish(ended);
            }
            // A baseline above a limit, though that may be chance, says nothing
            // yet: the levels that follow will tell.
            (phase, verdict) => {
                if phase == FindPhase::Baseline {
                    self.note_baseline(&report, in_flight_max);
                }
                self.candidates.push(Candidate {
                    level: report.level,
                    is_strict: verdict == FindVerdict::Passed,
                });
            }
        }
        match self.next_level() {
            None => self.finish(FindEnded::NothingSustained),
            Some((_, FindPhase::Verify)) if self.options.find.quick => {
                self.finish(match self.not_passed {
                    Some(_) => FindEnded::Found,
                    None => FindEnded::ReachedTo,
                })
            }
            Some((level, phase)) => {
                let settling = self.options.settling(phase);
                let trial = Trial::new(&self.options, phase, level, settling);
                match report.verdict {
                    FindVerdict::Failed(_) | FindVerdict::Undecided(_) => {
                        self.cool_down(report.level, trial)
                    }
                    _ => self.begin(trial),
                }
            }
        }
    }

    /// How often the level was held in vain already.
    fn n_repeats(&self, report: &FindTrial) -> usize {
        let same = |trial: &&FindTrial| {
            trial.repeated && trial.level == report.level && trial.phase == report.phase
        };
        self.trials.iter().filter(same).count()
    }

    fn note_baseline(&mut self, report: &FindTrial, in_flight_max: u64) {
        let median_ns = report.p50_ns.or(report.mean_ns);
        self.baseline = Some(Baseline {
            level: report.level,
            median_ns: median_ns.unwrap_or(u64::MAX),
            in_flight_max: in_flight_max.max(1),
        });
        let latency_ns = report.mean_ns.or(report.p50_ns);
        let alone = Alone {
            level: report.level,
            rate: report.rate,
            latency: latency_ns.map(Duration::from_nanos),
        };
        self.estimate = Some(estimate::estimate(&self.options, alone));
    }

    fn note_not_passed(&mut self, report: &FindTrial, why: FindWhy) {
        let level = report.level;
        let was_strict = self
            .candidates
            .iter()
            .any(|candidate| candidate.level == level && candidate.is_strict);
        let is_near_miss = was_strict || matches!(report.verdict, FindVerdict::Undecided(_));
        self.candidates.retain(|candidate| candidate.level < level);
        if report.phase == FindPhase::Verify && is_near_miss {
            self.candidates.extend(self.step_below(level));
        }
        let is_lowest = self
            .not_passed
            .as_ref()
            .is_none_or(|lowest| level <= lowest.trial.level);
        if is_lowest {
            self.not_passed = Some(FindFailure {
                trial: report.clone(),
                why,
                is_certain: matches!(report.verdict, FindVerdict::Failed(_)),
            });
        }
    }

    /// The level a step below one that failed its verification.
    fn step_below(&self, level: f64) -> Option<Candidate> {
        let below = match self.options.find.by {
            LoadUnit::Vus => (level / STEP_DOWN).floor().min(level - 1.0),
            LoadUnit::Rate => level / STEP_DOWN,
        };
        (below >= self.options.baseline_level()).then_some(Candidate {
            level: below,
            is_strict: true,
        })
    }

    /// The next level and what for. `None` where no level is left below those
    /// that were not passed.
    fn next_level(&mut self) -> Option<(f64, FindPhase)> {
        let low = self
            .candidates
            .iter()
            .map(|candidate| candidate.level)
            .reduce(f64::max)?;
        let Some(high) = self.not_passed.as_ref().map(|failed| failed.trial.level) else {
            return Some(if low >= self.options.find.to {
                (low, FindPhase::Verify)
            } else {
                (self.options.level_above(low), FindPhase::Bracket)
            });
        };
        let tolerance = match self.tolerance {
            Some(tolerance) => tolerance,
            None => self.options.tolerance_at(self.highest_rate_passed()),
        };
        self.tolerance = Some(tolerance);
        // After a verification that failed the bracket is a step wide.
        let is_after_verify = self
            .trials
            .iter()
            .any(|trial| trial.phase == FindPhase::Verify);
        let tolerance = if is_after_verify {
            tolerance.max(STEP_DOWN * (1.0 + 1e-9))
        } else {
            tolerance
        };
        let is_narrow = high / low <= tolerance;
        Some(match self.options.find.by {
            LoadUnit::Vus if is_narrow || high - low <= 1.0 => (low, FindPhase::Verify),
            LoadUnit::Rate if is_narrow => (low, FindPhase::Verify),
            LoadUnit::Vus => {
                let middle = (low * high).sqrt().round();
                (middle.clamp(low + 1.0, high - 1.0), FindPhase::Bisect)
            }
            LoadUnit::Rate => ((low * high).sqrt(), FindPhase::Bisect),
        })
    }

    fn highest_rate_passed(&self) -> f64 {
        self.trials
            .iter()
            .filter(|trial| matches!(trial.verdict, FindVerdict::Passed | FindVerdict::Plausible))
            .map(|trial| trial.rate)
            .fold(0.0, f64::max)
    }

    fn lowest_certain_failure(&self) -> Option<FindFailure> {
        let failures = self.trials.iter().filter_map(|trial| match trial.verdict {
            FindVerdict::Failed(why) if !trial.repeated => Some((trial, why)),
            _ => None,
        });
        let lowest = failures.min_by(|a, b| f64::total_cmp(&a.0.level, &b.0.level));
        lowest.map(|(trial, why)| FindFailure {
            trial: trial.clone(),
            why,
            is_certain: true,
        })
    }

    fn begin(&mut self, trial: Trial) -> SearchAction {
        let action = SearchAction::SetLevel {
            level: trial.level(),
            phase: trial.phase(),
            settling: trial.settling,
        };
        self.state = SearchState::Trial(trial);
        action
    }

    fn cool_down(&mut self, after: f64, next: Trial) -> SearchAction {
        let Some(baseline) = self.baseline else {
            return self.begin(next);
        };
        self.state = SearchState::CoolDown(CoolDown {
            after,
            waited: Duration::ZERO,
            least_ns: None,
            n_ticks: 0,
            next,
        });
        SearchAction::CoolDown {
            level: baseline.level,
        }
    }

    fn finish(&mut self, ended: FindEnded) -> SearchAction {
        // Only these come in the middle of a trial.
        if let (
            SearchState::Trial(trial),
            FindEnded::Deadline | FindEnded::Interrupted | FindEnded::NoToken,
        ) = (&self.state, ended)
            && trial.has_begun()
        {
            self.trials.push(trial.report(FindVerdict::Unfinished));
        }
        let best = self.candidates.iter().map(|candidate| candidate.level);
        let passed = best.reduce(f64::max).and_then(|level| {
            let is_it = |trial: &&FindTrial| {
                trial.level == level
                    && matches!(trial.verdict, FindVerdict::Passed | FindVerdict::Plausible)
            };
            self.trials.iter().rev().find(is_it).cloned()
        });
        let outcome = Box::new(SearchOutcome {
            sustains: self.sustains.clone(),
            passed: self.sustains.clone().or(passed),
            fails_at: self.not_passed.clone(),
            fails_surely_at: self.lowest_certain_failure(),
            trials: self.trials.clone(),
            ended,
            estimate: self.estimate,
            slowdown: self.slowdown,
        });
        self.state = SearchState::Over(outcome.clone());
        SearchAction::Done(outcome)
    }
}

impl CoolDown {
    fn count(&mut self, tick: &SearchTick) {
        self.waited = self.waited.saturating_add(tick.length);
        if tick.generator_limited || tick.disturbed {
            return;
        }
        if let Some(median_ns) = tick.median_ns {
            self.n_ticks += 1;
            self.least_ns = Some(self.least_ns.map_or(median_ns, |ns| ns.min(median_ns)));
        }
    }

    /// That no second was as fast as the server was alone before, where there were enough of
    /// them: a server that is only busy with what was left of the level is fast again now
    /// and then.
    fn slowdown(&self, baseline: Baseline) -> Option<LastingSlowdown> {
        let least_ns = self.least_ns?;
        let is_slow = least_ns as f64 > baseline.median_ns as f64 * COOL_MEDIAN;
        (is_slow && self.n_ticks >= SLOW_TICKS).then_some(LastingSlowdown {
            after: self.after,
            waited: self.waited,
            baseline_ns: baseline.median_ns,
            least_ns,
        })
    }
}

impl Baseline {
    fn is_reached_again(&self, tick: &SearchTick) -> bool {
        let is_fast = tick
            .median_ns
            .is_some_and(|median_ns| median_ns as f64 <= self.median_ns as f64 * COOL_MEDIAN);
        tick.in_flight <= self.in_flight_max && is_fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{FindOptions, LatencyLimit};
    use crate::validity::Grade;
    use proptest::prelude::*;

    const LIMIT_NS: u64 = 100_000_000;

    fn options(by: LoadUnit, from: f64, to: f64) -> SearchOptions {
        SearchOptions {
            find: FindOptions {
                by,
                from,
                to,
                latency: vec![LatencyLimit {
                    quantile: 0.95,
                    limit_ns: LIMIT_NS,
                }],
                error_share_max: Some(0.01),
                deadline: None,
                quick: false,
                max_vus: 1,
            },
            think: None,
        }
    }

    /// A second in which `n` requests ended, `n_over` of them above the limit.
    fn second(n: u64, n_over: u64) -> SearchTick {
        SearchTick {
            length: Duration::from_secs(1),
            offered: n,
            completed: n,
            n_over: [n_over, 0, 0, 0],
            in_flight: 1,
            median_ns: Some(10_000_000),
            mean_ns: Some(12_000_000),
            hold: Percentiles {
                p50_ns: Some(10_000_000),
                ..Percentiles::default()
            },
            ..SearchTick::default()
        }
    }

    /// Drives a search with a tick for the level at hand, to its end; gives the
    /// levels set as well.
    fn driven(
        options: SearchOptions,
        mut tick_at: impl FnMut(f64, FindPhase) -> SearchTick,
    ) -> (SearchOutcome, Vec<f64>) {
        let (mut search, mut action) = Search::start(options).expect("sound options");
        let mut levels = Vec::new();
        let mut at = (0.0, FindPhase::Baseline);
        for _ in 0..100_000 {
            match action {
                SearchAction::SetLevel { level, phase, .. } => {
                    at = (level, phase);
                    levels.push(level);
                }
                SearchAction::CoolDown { level } => at = (level, FindPhase::Baseline),
                SearchAction::Done(outcome) => return (*outcome, levels),
                SearchAction::Continue | SearchAction::StartHold => {}
            }
            action = search.next(Input::Tick(tick_at(at.0, at.1)));
        }
        panic!("a search without end");
    }

    /// A server that keeps its limit up to `capacity` users and misses it
    /// altogether above.
    fn sharp(capacity: f64) -> impl FnMut(f64, FindPhase) -> SearchTick {
        move |level, _| second(1000, if level <= capacity { 0 } else { 1000 })
    }

    fn level_of(trial: Option<FindTrial>) -> Option<f64> {
        trial.map(|trial| trial.level)
    }

    #[test]
    fn a_sharp_edge_is_found_by_doubling_halving_and_verifying() {
        let (outcome, levels) = driven(options(LoadUnit::Vus, 1.0, 2000.0), sharp(20.0));
        assert_eq!(
            levels,
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 23.0, 19.0, 21.0, 20.0, 20.0]
        );
        assert_eq!(outcome.ended, FindEnded::Found);
        assert_eq!(level_of(outcome.sustains), Some(20.0));
        let fails_at = outcome.fails_at.expect("one above");
        assert_eq!((fails_at.trial.level, fails_at.is_certain), (21.0, true));
        assert_eq!(fails_at.why, FindWhy::Latency { limit_idx: 0 });
        let phases: Vec<FindPhase> = outcome.trials.iter().map(|trial| trial.phase).collect();
        assert_eq!(phases[0], FindPhase::Baseline);
        assert_eq!(phases[phases.len() - 1], FindPhase::Verify);
    }

    /// By rate the levels are not whole, and 1.05 is the tolerance at this rate.
    #[test]
    fn the_tolerance_ends_the_halving() {
        let (outcome, _) = driven(options(LoadUnit::Rate, 1.0, 2000.0), sharp(20.5));
        let (low, high) = (
            level_of(outcome.sustains).expect("sustained"),
            outcome.fails_at.expect("failed").trial.level,
        );
        assert!(low <= 20.5 && 20.5 < high && high / low <= 1.05);
    }

    #[test]
    fn the_highest_level_is_verified_too() {
        let (outcome, levels) = driven(options(LoadUnit::Vus, 3.0, 10.0), sharp(1e9));
        assert_eq!(levels, [1.0, 3.0, 6.0, 10.0, 10.0]);
        assert_eq!(outcome.ended, FindEnded::ReachedTo);
        assert_eq!(level_of(outcome.sustains), Some(10.0));
        assert_eq!(outcome.fails_at, None);
        let (outcome, levels) = driven(options(LoadUnit::Vus, 1.0, 1.0), sharp(1e9));
        assert_eq!(
            (outcome.ended, levels),
            (FindEnded::ReachedTo, vec![1.0, 1.0])
        );
    }

    #[test]
    fn a_first_level_that_fails_is_searched_below() {
        let (outcome, levels) = driven(options(LoadUnit::Vus, 64.0, 2000.0), sharp(5.0));
        assert_eq!(levels, [1.0, 64.0, 8.0, 3.0, 5.0, 6.0, 5.0]);
        assert_eq!(level_of(outcome.sustains), Some(5.0));
    }

    #[test]
    fn a_baseline_that_misses_the_limits_refuses_the_search() {
        let check = |tick: SearchTick, why: FindWhy| {
            let (outcome, levels) = driven(options(LoadUnit::Vus, 1.0, 100.0), |_, _| tick);
            assert_eq!(
                (outcome.ended, levels),
                (FindEnded::Refused(why), vec![1.0])
            );
            assert_eq!(outcome.sustains, None);
            assert_eq!(outcome.estimate, None);
        };
        check(second(100, 30), FindWhy::Latency { limit_idx: 0 });
        let errors = SearchTick {
            failed: 10,
            ..second(100, 0)
        };
        check(errors, FindWhy::Errors);
        let silent = SearchTick {
            in_flight: 1,
            ..second(0, 0)
        };
        check(silent, FindWhy::Silence);
        // One slow answer of twenty is chance.
        let (outcome, _) = driven(options(LoadUnit::Vus, 1.0, 1.0), |_, phase| match phase {
            FindPhase::Baseline => second(4, 0),
            _ => second(1000, 0),
        });
        assert_eq!(outcome.ended, FindEnded::ReachedTo);
    }

    #[test]
    fn a_server_that_only_the_baseline_flattered_sustains_nothing() {
        let (outcome, _) = driven(options(LoadUnit::Vus, 1.0, 100.0), |_, phase| match phase {
            FindPhase::Baseline => second(100, 0),
            _ => second(100, 60),
        });
        assert_eq!(outcome.ended, FindEnded::NothingSustained);
        assert_eq!((outcome.sustains, outcome.passed), (None, None));
        assert_eq!(outcome.fails_at.map(|failed| failed.trial.level), Some(1.0));
    }

    #[test]
    fn a_failed_verification_steps_down_and_verifies_again() {
        let (outcome, levels) = driven(options(LoadUnit::Rate, 100.0, 10_000.0), |level, phase| {
            let is_kept = match phase {
                FindPhase::Verify => level <= 900.0,
                _ => level <= 1000.0,
            };
            second(1000, if is_kept { 0 } else { 1000 })
        });
        // One that passed below it is tried before a step of 6 % is taken.
        let verified: Vec<f64> = outcome
            .trials
            .iter()
            .filter(|trial| trial.phase == FindPhase::Verify)
            .map(|trial| trial.level)
            .collect();
        assert!(
            verified.len() >= 3 && levels.ends_with(&verified),
            "{levels:?}"
        );
        assert!(verified[0] > 950.0 && verified[0] <= 1000.0);
        let low = level_of(outcome.sustains).expect("sustained");
        let high = outcome.fails_at.expect("failed").trial.level;
        assert!(low > 840.0 && low <= 900.0 && high > 900.0);
        assert!(high / low < 1.061, "{verified:?}");
    }

    #[test]
    fn an_undecided_level_counts_as_not_passed_and_says_so() {
        // At the limit exactly above 16 users, plainly bad above 24.
        let (outcome, _) = driven(options(LoadUnit::Vus, 1.0, 100.0), |level, _| {
            let n_over = match level {
                ..=16.0 => 0,
                ..=24.0 => 50,
                _ => 500,
            };
            second(1000, n_over)
        });
        assert_eq!(level_of(outcome.sustains), Some(16.0));
        let fails_at = outcome.fails_at.expect("undecided");
        assert_eq!((fails_at.trial.level, fails_at.is_certain), (17.0, false));
        let surely = outcome.fails_surely_at.expect("plainly bad");
        assert_eq!((surely.trial.level, surely.is_certain), (32.0, true));
    }

    /// Each call takes longer the later it comes, whatever the load: nothing breaks, and a
    /// level fails all the same.
    #[test]
    fn a_server_that_slows_down_with_time_is_told_from_one_at_its_limit() {
        let mut n_secs = 0_u64;
        let mut growing = |_, _| {
            n_secs += 1;
            let median_ns = 10_000_000 * (10 + n_secs) / 10;
            SearchTick {
                median_ns: Some(median_ns),
                ..second(1000, if median_ns > LIMIT_NS { 1000 } else { 0 })
            }
        };
        let (outcome, _) = driven(options(LoadUnit::Vus, 1.0, 100_000.0), &mut growing);
        let found = outcome.slowdown.expect("it never recovered");
        assert_eq!(found.waited, COOL_DOWN_MAX);
        assert!(
            found.baseline_ns < LIMIT_NS / 2 && found.least_ns > LIMIT_NS,
            "{found:?}"
        );
        let is_failed = |trial: &FindTrial| matches!(trial.verdict, FindVerdict::Failed(_));
        let failed = outcome.trials.iter().filter(|trial| is_failed(trial));
        assert!(
            failed
                .map(|trial| trial.level)
                .any(|level| level == found.after)
        );

        // One that is slow under load alone has recovered after a while, or does now and
        // then; what the generator did says nothing.
        let slow = |level: f64, fast_every: u64, is_limited: bool| {
            let mut n_cooling = 0;
            let (outcome, _) = driven(options(LoadUnit::Vus, 4.0, 100.0), |at, phase| {
                let is_cooling = phase == FindPhase::Baseline && n_cooling > 0;
                n_cooling += u64::from(is_cooling || at > level);
                let is_slow = is_cooling && n_cooling % fast_every != 0;
                SearchTick {
                    median_ns: Some(if is_slow { 50_000_000 } else { 10_000_000 }),
                    disturbed: is_cooling && is_limited,
                    ..second(1000, if at > level { 1000 } else { 0 })
                }
            });
            outcome
                .slowdown
                .map(|found| (found.baseline_ns, found.least_ns))
        };
        assert_eq!(slow(20.0, 25, false), None);
        assert_eq!(slow(20.0, u64::MAX, true), None);
        assert_eq!(slow(20.0, u64::MAX, false), Some((10_000_000, 50_000_000)));
    }

    #[test]
    fn a_generator_at_its_limit_ends_the_search_and_blames_nobody() {
        let (outcome, _) = driven(options(LoadUnit::Vus, 1.0, 1000.0), |level, _| SearchTick {
            generator_limited: level > 16.0,
            ..second(1000, if level > 16.0 { 1000 } else { 0 })
        });
        assert_eq!(outcome.ended, FindEnded::GeneratorLimited);
        assert_eq!((outcome.sustains, outcome.fails_at), (None, None));
        assert_eq!(level_of(outcome.passed), Some(16.0));
        let last = outcome.trials.last().map(|trial| trial.verdict);
        assert_eq!(last, Some(FindVerdict::GeneratorLimited));
    }

    #[test]
    fn a_level_that_the_host_disturbed_is_held_again() {
        // The first two holds of 16 users, and all above 64.
        let mut n_held = 0;
        let mut last_level = 0.0;
        let (outcome, _) = driven(options(LoadUnit::Vus, 1.0, 1000.0), |level, phase| {
            if phase != FindPhase::Baseline && level != last_level && level == 16.0 {
                n_held += 1;
            }
            last_level = level;
            let is_disturbed = level == 16.0 && n_held <= 2;
            SearchTick {
                disturbed: is_disturbed,
                generator_limited: is_disturbed && n_held == 1,
                ..second(
                    1000,
                    if is_disturbed || level > 20.0 {
                        1000
                    } else {
                        0
                    },
                )
            }
        });
        assert_eq!(level_of(outcome.sustains), Some(20.0));
        let at_16: Vec<_> = outcome.trials.iter().filter(|t| t.level == 16.0).collect();
        let repeated: Vec<bool> = at_16.iter().map(|trial| trial.repeated).collect();
        assert_eq!(repeated, [true, true, false]);
        assert!(
            outcome
                .fails_surely_at
                .is_some_and(|failed| failed.trial.level > 20.0)
        );

        // One that is always disturbed counts as it is after three times more.
        let (outcome, _) = driven(options(LoadUnit::Vus, 1.0, 64.0), |level, _| SearchTick {
            disturbed: level > 20.0,
            ..second(1000, if level > 20.0 { 1000 } else { 0 })
        });
        assert_eq!(level_of(outcome.sustains), Some(20.0));
        let n_at_32 = outcome.trials.iter().filter(|t| t.level == 32.0).count();
        assert_eq!(n_at_32, 1 + REPEATS_MAX);
    }

    #[test]
    fn a_quick_search_ends_with_its_bracket() {
        let quick = |to: f64| {
            let mut quick = options(LoadUnit::Vus, 1.0, to);
            quick.find.quick = true;
            quick
        };
        let mut n_ticks = 0;
        let mut server = sharp(20.0);
        let (outcome, levels) = driven(quick(2000.0), |level, phase| {
            n_ticks += 1;
            server(level, phase)
        });
        assert!(n_ticks < 120, "{n_ticks} seconds");
        assert_eq!(
            levels[levels.len() - 1],
            outcome.trials[outcome.trials.len() - 1].level
        );
        assert_eq!((outcome.ended, outcome.sustains), (FindEnded::Found, None));
        let (low, high) = (outcome.passed, outcome.fails_at);
        let (low, high) = (level_of(low).expect("passed"), high.expect("failed"));
        assert!(low <= 20.0 && high.trial.level > 20.0 && high.trial.level / low <= 1.1);
        assert!(
            outcome
                .trials
                .iter()
                .all(|trial| trial.phase != FindPhase::Verify)
        );
        let (outcome, _) = driven(quick(8.0), sharp(20.0));
        assert_eq!(
            (outcome.ended, outcome.sustains),
            (FindEnded::ReachedTo, None)
        );
        assert_eq!(level_of(outcome.passed), Some(8.0));
    }

    /// Above the limit, though not certainly: it goes on until it is, or gives up.
    #[test]
    fn a_baseline_above_a_limit_never_passes() {
        // One error in forty against a limit of one in a hundred.
        let mut n_ticks = 0;
        let (outcome, _) = driven(options(LoadUnit::Vus, 1.0, 100.0), |_, _| {
            n_ticks += 1;
            SearchTick {
                failed: u64::from(n_ticks % 5 == 0),
                ..second(8, 0)
            }
        });
        assert_eq!(outcome.ended, FindEnded::NothingSustained);
        assert_eq!(
            outcome.trials[0].verdict,
            FindVerdict::Undecided(FindWhy::Errors),
            "neither passed nor certain"
        );
        assert!(outcome.trials[0].error_share > 0.01, "{outcome:?}");
        assert_eq!(outcome.passed, None);
        // A single one early on is made good by those that follow.
        let mut n_ticks = 0;
        let (outcome, _) = driven(options(LoadUnit::Vus, 1.0, 1.0), |_, phase| {
            n_ticks += 1;
            match phase {
                FindPhase::Baseline => SearchTick {
                    failed: u64::from(n_ticks == 4),
                    ..second(8, 0)
                },
                _ => second(1000, 0),
            }
        });
        assert_eq!(outcome.ended, FindEnded::ReachedTo);
        assert!(outcome.trials[0].error_share <= 0.01, "{outcome:?}");
    }

    #[test]
    fn a_level_fails_by_what_its_figures_show() {
        let check = |tick: SearchTick, expected: FindWhy| {
            let (outcome, _) = driven(options(LoadUnit::Vus, 8.0, 8.0), |level, _| {
                if level < 8.0 { second(1000, 0) } else { tick }
            });
            let failed = outcome.fails_surely_at.expect("a failure");
            assert_eq!(failed.why, expected, "{failed:?}");
        };
        // One in ten fails and so misses the latency limit, too; all others keep it.
        let failing = SearchTick {
            failed: 100,
            ..second(1000, 100)
        };
        check(failing, FindWhy::Errors);
        check(second(1000, 100), FindWhy::Latency { limit_idx: 0 });
    }

    #[test]
    fn a_hiccup_of_the_generator_is_left_out() {
        let mut n_ticks = 0;
        let (outcome, _) = driven(options(LoadUnit::Vus, 8.0, 8.0), |_, _| {
            n_ticks += 1;
            let is_hiccup = n_ticks % 40 == 20;
            SearchTick {
                generator_limited: is_hiccup,
                ..second(1000, if is_hiccup { 1000 } else { 0 })
            }
        });
        assert_eq!(outcome.ended, FindEnded::ReachedTo);
        assert_eq!(
            outcome.sustains.map(|trial| trial.shares_over),
            Some(vec![0.0])
        );
    }

    #[test]
    fn the_end_of_the_time_returns_the_bracket_so_far() {
        let (mut search, mut action) =
            Search::start(options(LoadUnit::Vus, 1.0, 2000.0)).expect("sound");
        let mut server = sharp(20.0);
        let mut at = (0.0, FindPhase::Baseline);
        for _ in 0..75 {
            match action {
                SearchAction::SetLevel { level, phase, .. } => at = (level, phase),
                SearchAction::CoolDown { level } => at = (level, FindPhase::Baseline),
                _ => {}
            }
            action = search.next(Input::Tick(server(at.0, at.1)));
        }
        let SearchAction::Done(outcome) = search.next(Input::Deadline) else {
            panic!("not over");
        };
        assert_eq!(outcome.ended, FindEnded::Deadline);
        assert_eq!(outcome.sustains, None);
        assert_eq!(level_of(outcome.passed), Some(19.0));
        assert_eq!(
            outcome.fails_at.map(|failed| failed.trial.level),
            Some(21.0)
        );
        let last = outcome.trials.last().expect("trials");
        assert_eq!(last.verdict, FindVerdict::Unfinished);
    }

    #[test]
    fn an_interruption_ends_it_for_good() {
        let (mut search, _) = Search::start(options(LoadUnit::Vus, 1.0, 10.0)).expect("sound");
        let SearchAction::Done(outcome) = search.next(Input::Interrupted) else {
            panic!("not over");
        };
        assert_eq!(outcome.ended, FindEnded::Interrupted);
        assert!(outcome.trials.is_empty());
        let again = SearchAction::Done(outcome);
        assert_eq!(search.next(Input::Tick(second(1, 0))), again);
        assert_eq!(search.next(Input::Deadline), again);
    }

    #[test]
    fn a_level_in_which_tokens_are_lost_decides_nothing() {
        let (mut search, _) = Search::start(options(LoadUnit::Vus, 1.0, 10.0)).expect("sound");
        while search.estimate().is_none() {
            search.next(Input::Tick(second(100, 0)));
        }
        let n_trials = search.trials().len();
        let refused = SearchTick {
            disturbed: true,
            ..second(100, 50)
        };
        while search.trials().len() == n_trials {
            search.next(Input::Tick(refused));
        }
        let SearchAction::Done(outcome) = search.next(Input::NoToken) else {
            panic!("not over");
        };
        assert_eq!(outcome.ended, FindEnded::NoToken);
        assert_eq!(outcome.fails_at, None);
        assert!(
            outcome.passed.is_some(),
            "what is known of the levels before"
        );
        assert!(outcome.trials[n_trials].repeated);
    }

    #[test]
    fn the_figures_of_settling_do_not_count() {
        let (mut search, first) = Search::start(options(LoadUnit::Vus, 1.0, 10.0)).expect("sound");
        assert_eq!(
            first,
            SearchAction::SetLevel {
                level: 1.0,
                phase: FindPhase::Baseline,
                settling: Duration::from_secs(2),
            }
        );
        // Two seconds of settling with nothing but failures.
        let bad = SearchTick {
            failed: 100,
            ..second(100, 100)
        };
        assert_eq!(search.next(Input::Tick(bad)), SearchAction::Continue);
        assert_eq!(search.next(Input::Tick(bad)), SearchAction::StartHold);
        for _ in 0..4 {
            assert_eq!(
                search.next(Input::Tick(second(100, 0))),
                SearchAction::Continue
            );
        }
        assert_eq!(
            search.next(Input::Tick(second(100, 0))),
            SearchAction::SetLevel {
                level: 2.0,
                phase: FindPhase::Bracket,
                settling: Duration::from_secs(2),
            }
        );
        assert_eq!(search.trials().len(), 1);
        assert!(search.estimate().is_some());
    }

    #[test]
    fn a_failed_level_is_followed_by_cooling_down() {
        let (mut search, mut action) =
            Search::start(options(LoadUnit::Vus, 4.0, 100.0)).expect("sound");
        let mut level_now = 1.0;
        while !matches!(action, SearchAction::CoolDown { .. }) {
            if let SearchAction::SetLevel { level, .. } = action {
                level_now = level;
            }
            action = search.next(Input::Tick(sharp(2.0)(level_now, FindPhase::Bracket)));
        }
        assert_eq!(action, SearchAction::CoolDown { level: 1.0 });
        // Still crowded, then still slow, then well.
        let crowded = SearchTick {
            in_flight: 9,
            ..second(10, 0)
        };
        let slow = SearchTick {
            median_ns: Some(13_000_000),
            ..second(10, 0)
        };
        assert_eq!(search.next(Input::Tick(crowded)), SearchAction::Continue);
        assert_eq!(search.next(Input::Tick(slow)), SearchAction::Continue);
        let next = SearchAction::SetLevel {
            level: 2.0,
            phase: FindPhase::Bisect,
            settling: Duration::from_secs(3),
        };
        let mut patient = search.clone();
        assert_eq!(search.next(Input::Tick(second(10, 0))), next);
        // One that never recovers is tried all the same after half a minute.
        for _ in 0..27 {
            assert_eq!(patient.next(Input::Tick(crowded)), SearchAction::Continue);
        }
        assert_eq!(patient.next(Input::Tick(crowded)), next);
    }

    #[test]
    fn an_open_load_that_is_not_answered_fails() {
        let check = |why: FindWhy, tick_at: fn(u64) -> SearchTick| {
            let mut n_ticks = 0;
            let mut last_level = 0.0;
            let (outcome, _) = driven(options(LoadUnit::Rate, 1000.0, 1000.0), |level, _| {
                n_ticks = if level == last_level { n_ticks + 1 } else { 1 };
                last_level = level;
                if level < 1000.0 {
                    second(level as u64, 0)
                } else {
                    tick_at(n_ticks)
                }
            });
            let failed = outcome.fails_surely_at.expect("a failure");
            assert_eq!((failed.trial.level, failed.why), (1000.0, why));
        };
        // Three quarters are answered in time; the rest is never heard of again.
        check(FindWhy::Throughput, |n_ticks| SearchTick {
            offered: 1000,
            in_flight: 250 * n_ticks,
            ..second(750, 0)
        });
        // 1.5 % a second more than are answered: it shows in the pile alone.
        check(FindWhy::Backlog, |n_ticks| SearchTick {
            offered: 1000,
            in_flight: 300 + 15 * n_ticks * n_ticks,
            ..second(985, 0)
        });
        // A tenth finds nobody free. Those that were answered were so in time, so it
        // is not for their latency.
        check(FindWhy::Throughput, |_| SearchTick {
            offered: 1000,
            dropped: 100,
            ..second(900, 0)
        });
    }

    #[test]
    fn a_load_without_any_answer_fails_by_its_silence() {
        let (outcome, _) = driven(options(LoadUnit::Vus, 8.0, 8.0), |_, phase| match phase {
            FindPhase::Bracket => SearchTick {
                in_flight: 8,
                ..second(0, 0)
            },
            _ => second(1000, 0),
        });
        let failed = outcome.fails_surely_at.expect("a failure");
        assert_eq!((failed.trial.level, failed.why), (8.0, FindWhy::Silence));
    }

    #[test]
    fn options_without_sense_are_refused() {
        let check = |change: fn(&mut SearchOptions), fault: OptionsFault| {
            let mut options = options(LoadUnit::Vus, 1.0, 100.0);
            change(&mut options);
            let refused = Search::start(options).err();
            assert_eq!(refused, Some(fault));
        };
        check(
            |o| {
                o.find.latency.clear();
                o.find.error_share_max = None;
            },
            OptionsFault::NoLimit,
        );
        check(
            |o| o.find.latency = vec![o.find.latency[0]; 5],
            OptionsFault::TooManyLimits,
        );
        check(
            |o| o.find.latency[0].quantile = 1.0,
            OptionsFault::LatencyLimit,
        );
        check(
            |o| o.find.latency[0].limit_ns = 0,
            OptionsFault::LatencyLimit,
        );
        check(
            |o| o.find.error_share_max = Some(0.0),
            OptionsFault::ErrorShare,
        );
        check(
            |o| o.find.error_share_max = Some(f64::NAN),
            OptionsFault::ErrorShare,
        );
        check(|o| o.find.from = 0.0, OptionsFault::Levels);
        check(|o| o.find.from = 1.5, OptionsFault::Levels);
        check(|o| o.find.to = 0.5, OptionsFault::Levels);
        check(|o| o.find.to = f64::INFINITY, OptionsFault::Levels);
    }

    fn any_tick() -> impl Strategy<Value = SearchTick> {
        let count = || prop_oneof![8 => 0_u64..500, 1 => Just(0), 1 => any::<u64>()];
        let counts = (count(), count(), count(), count(), count(), count());
        let length_ms = prop_oneof![9 => 900_u64..1100, 1 => any::<u64>(), 1 => Just(0)];
        (
            counts,
            length_ms,
            proptest::option::of(any::<u64>()),
            0_u8..20,
        )
            .prop_map(
                |(
                    (offered, completed, failed, n_over, dropped, in_flight),
                    ms,
                    median_ns,
                    chance,
                )| {
                    SearchTick {
                        length: Duration::from_millis(ms),
                        offered,
                        completed,
                        failed,
                        n_over: [n_over, failed, 0, 0],
                        dropped: if chance < 3 { dropped } else { 0 },
                        in_flight,
                        median_ns,
                        mean_ns: median_ns,
                        hold: Percentiles::default(),
                        generator_limited: chance == 19,
                        disturbed: chance == 18,
                        grade: Grade::Valid,
                    }
                },
            )
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(32, 200))]

        #[test]
        fn whatever_comes_the_levels_stay_within_and_the_answer_below_what_failed(
            by_rate in any::<bool>(),
            from in 1_u32..50,
            span in 0_u32..200,
            ticks in proptest::collection::vec(any_tick(), 1..400),
        ) {
            let by = if by_rate { LoadUnit::Rate } else { LoadUnit::Vus };
            let options = options(by, f64::from(from), f64::from(from + span));
            let (mut search, mut action) = Search::start(options).expect("sound options");
            for tick in ticks {
                if let SearchAction::SetLevel { level, .. } | SearchAction::CoolDown { level } = action {
                    prop_assert!(level >= 1.0 && level <= f64::from(from + span));
                    prop_assert!(by_rate || level.fract() == 0.0);
                }
                action = search.next(Input::Tick(tick));
            }
            let SearchAction::Done(outcome) = search.next(Input::Deadline) else {
                panic!("not over");
            };
            if let (Some(low), Some(high)) = (&outcome.passed, &outcome.fails_at) {
                prop_assert!(low.level < high.trial.level);
            }
            // A verdict agrees with the figures that stand beside it.
            for trial in &outcome.trials {
                let (late, failed) = (trial.shares_over[0], trial.error_share);
                match trial.verdict {
                    FindVerdict::Passed | FindVerdict::Plausible => {
                        prop_assert!(late <= 0.05 + 1e-12 && failed <= 0.01, "{:?}", trial);
                    }
                    FindVerdict::Failed(FindWhy::Latency { .. }) => prop_assert!(late > 0.05, "{:?}", trial),
                    FindVerdict::Failed(FindWhy::Errors) => prop_assert!(failed > 0.01, "{:?}", trial),
                    _ => {}
                }
            }
            if let Some(sustains) = &outcome.sustains {
                prop_assert_eq!(sustains.verdict, FindVerdict::Passed);
                prop_assert_eq!(sustains.phase, FindPhase::Verify);
            }
        }

        #[test]
        fn a_sharp_edge_is_always_found(capacity in 1_u32..3000, from in 1_u32..300) {
            let (outcome, _) = driven(
                options(LoadUnit::Vus, f64::from(from), 4000.0),
                sharp(f64::from(capacity)),
            );
            let low = level_of(outcome.sustains).expect("sustained");
            let high = outcome.fails_at.expect("failed").trial.level;
            prop_assert!(low <= f64::from(capacity) && high > f64::from(capacity));
            prop_assert!(high / low <= 1.05 || high - low <= 1.0);
        }
    }
}
