//! The capacity search of `find`: the highest load that a server sustains
//! within limits.
//!
//! A pure state machine: figures of a tick in, one [`Action`] out. It does not
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
//! A level that the host disturbed says nothing of the server: it is held again,
//! up to three times. A quick search ends with its bracket, without a verification.

mod estimate;
mod sequence;
mod trial;

#[cfg(test)]
mod proof;

use std::fmt;
use std::time::Duration;

use self::estimate::Alone;
pub use self::estimate::TimeEstimate;
use self::trial::{Progress, Trial};

/// What is searched, between which levels, under which limits.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// What a level is a number of.
    pub by: By,
    /// The first level tried after the baseline; above 0. Whole for VUs.
    pub from: f64,
    /// The highest level tried; at least `from`. Whole for VUs.
    pub to: f64,
    /// What a level has to keep. At least one limit.
    pub limits: Limits,
    /// The search ends when the lowest level not passed is at most this times
    /// the highest passed one; above 1. `None`: 1.05 where the rate is such
    /// that a second tells something of the limits, 1.10 below.
    pub tolerance: Option<f64>,
    /// The search ends after this, with what it knows. `None`: it takes its time.
    pub deadline: Option<Duration>,
    /// Ends with the bracket, which is sought with less evidence: nothing is verified.
    pub quick: bool,
    /// Mean thinking time between two requests of a virtual user: lengthens the
    /// settling, and allows the check by Little's law. `None` where a virtual
    /// user's cycle is not one request and one pause.
    pub think: Option<Duration>,
}

/// What a level is a number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Virtual users in a closed loop; levels are whole.
    Vus,
    /// Arrivals a second.
    Rate,
}

/// What a level has to keep to be sustained.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Latency limits; at most [`LATENCY_LIMITS_MAX`].
    pub latency: Vec<LatencyLimit>,
    /// The largest share of failed requests, above 0 and below 1. `None`: errors
    /// count only as requests that miss the latency limits.
    pub error_share_max: Option<f64>,
}

/// A quantile of the response times has to be at or below a latency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyLimit {
    /// 0.5 to 0.9999; 0.99 for p99.
    pub quantile: f64,
    /// Nanoseconds, above 0.
    pub limit_ns: u64,
}

/// No answer is verified in less time.
pub const VERIFICATION_LEAST: Duration = self::trial::VERIFY.shortest;

/// So many latency limits can be judged at once.
pub const LATENCY_LIMITS_MAX: usize = 4;

/// What the search is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input {
    /// A finished tick's figures.
    Tick(Tick),
    /// The time for the search is over.
    Deadline,
    /// The user wants it to end.
    Interrupted,
}

/// The interval figures of one finished tick, of all workers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tick {
    /// How long the tick really was.
    pub length: Duration,
    /// Open model: arrivals due in it. Closed: requests started.
    pub offered: u64,
    /// Requests ended in it, failed ones included.
    pub completed: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// For each latency limit, those that ended above it or failed (a timeout
    /// is late whatever its latency says).
    pub n_over: [u64; LATENCY_LIMITS_MAX],
    /// Arrivals thrown away because nobody was free and the queue was full.
    pub dropped: u64,
    /// Requests under way at its end, waiting arrivals included.
    pub in_flight: u64,
    /// The median latency of the tick, nanoseconds. `None` without requests.
    pub median_ns: Option<u64>,
    /// The mean latency of the tick, nanoseconds. `None` without requests.
    pub mean_ns: Option<u64>,
    /// Percentiles since the last [`Action::SetLevel`], [`Action::StartHold`] or
    /// [`Action::CoolDown`]: passed on into the trial's report, never decided on.
    pub hold: Percentiles,
    /// The self-check found that the generator, not the server, was the limit.
    pub generator_limited: bool,
    /// The self-check found that something disturbed the level that another hold of
    /// it may be spared: other work on the host, not a want of this machine.
    pub disturbed: bool,
}

/// Latency percentiles in nanoseconds; `None` where there are no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    /// The median.
    pub p50_ns: Option<u64>,
    /// The 95th percentile.
    pub p95_ns: Option<u64>,
    /// The 99th percentile.
    pub p99_ns: Option<u64>,
}

/// What the caller has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Go on, at the same level.
    Continue,
    /// Set this load; the figures that follow are of its settling.
    SetLevel {
        /// Virtual users or arrivals a second.
        level: f64,
        /// What the level is held for.
        phase: Phase,
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

/// What a level is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The server nearly alone: its median, and whether it keeps the limits at all.
    Baseline,
    /// Doubling until a level is not passed.
    Bracket,
    /// Halving what lies between, in log scale.
    Bisect,
    /// A longer hold of the answer.
    Verify,
}

/// How a trial ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All limits kept, with 95 % confidence at all looks together.
    Pass,
    /// Baseline and bracket only: no sign against it, too few requests to be
    /// sure. Good enough to go on, never good enough for an answer.
    Plausible,
    /// Not kept, with the same confidence or plainly.
    Fail(Why),
    /// As long as a trial may take, and neither; with what was nearest to its
    /// limit, or farthest above it. Counts as not passed.
    Borderline(Why),
    /// The generator could not make the load: says nothing of the server.
    GeneratorLimited,
    /// The search ended in the middle of it.
    Unfinished,
}

/// What a level did not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A latency limit, by its place in [`Limits::latency`].
    Latency {
        /// The index.
        limit_idx: usize,
    },
    /// The share of failed requests.
    Errors,
    /// Open model: less than 98 % of the offered load was answered.
    Throughput,
    /// Open model: requests under way pile up.
    Backlog,
    /// No answer at all while requests were under way.
    Silence,
}

/// One trial, as far as it got.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialReport {
    /// Virtual users or arrivals a second.
    pub level: f64,
    /// What it was held for.
    pub phase: Phase,
    /// How it ended.
    pub verdict: Verdict,
    /// The host disturbed it, so the level was held again: it decides nothing.
    pub repeated: bool,
    /// Requests ended a second, failed ones included, over the hold.
    pub rate: f64,
    /// Requests offered a second over the hold.
    pub offered_rate: f64,
    /// Latency percentiles of the hold, as the caller gave them.
    pub percentiles: Percentiles,
    /// Mean latency of the hold.
    pub mean_ns: Option<u64>,
    /// Share of the ended requests that failed; 0 where none ended.
    pub error_share: f64,
    /// For each latency limit the share of requests that missed it.
    pub shares_over: Vec<f64>,
    /// Requests ended in the hold.
    pub n_requests: u64,
    /// Arrivals dropped in the hold.
    pub n_dropped: u64,
    /// How long figures were taken, settling excluded.
    pub duration: Duration,
    /// Closed model with known thinking time: `rate * (mean latency + think) /
    /// virtual users`, 1 where the figures agree with each other.
    pub little: Option<f64>,
}

/// The lowest level that was not passed.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedLevel {
    /// The trial that it was not passed in.
    pub trial: TrialReport,
    /// What it did not keep, or what was nearest to its limit.
    pub why: Why,
    /// A real failure. Else the trial ended undecided: the level counts as not
    /// passed, that is all.
    pub is_certain: bool,
}

/// What a search found. Levels between `sustains` and `fails_at` are not
/// decided; no number here was not tested.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOutcome {
    /// The highest level that passed its verification.
    pub sustains: Option<TrialReport>,
    /// The highest level below all that were not passed, whether verified or
    /// not: the bracket's lower end where the search ended early.
    pub passed: Option<TrialReport>,
    /// The lowest level not passed. `None`: none was found.
    pub fails_at: Option<FailedLevel>,
    /// The lowest level that failed for certain: `fails_at` itself, or one above
    /// it where that was undecided. `None`: none did.
    pub fails_surely_at: Option<FailedLevel>,
    /// All trials in order, an unfinished one included.
    pub trials: Vec<TrialReport>,
    /// Why the search ended.
    pub ended: Ended,
    /// What was expected after the baseline.
    pub estimate: Option<TimeEstimate>,
    /// How long it took, by the ticks.
    pub elapsed: Duration,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The answer is verified, and a level just above it was not passed.
    Found,
    /// The highest level allowed is sustained: the capacity lies above.
    ReachedTo,
    /// The baseline does not keep the limits: no search was made.
    Refused(Why),
    /// No level above the baseline's was sustained, nor that one.
    NothingSustained,
    /// The time was over.
    Deadline,
    /// The user ended it.
    Interrupted,
    /// The generator was the limit at the last level tried.
    GeneratorLimited,
}

/// Options that no search can be made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OptionsFault {
    /// No limit at all.
    NoLimit,
    /// More latency limits than [`LATENCY_LIMITS_MAX`].
    TooManyLimits,
    /// A quantile out of 0.5 to 0.9999, or a latency limit of zero.
    LatencyLimit,
    /// An error share that is not above 0 and below 1.
    ErrorShare,
    /// Levels that are not above 0, not in order, or not whole for VUs.
    Levels,
    /// A tolerance that is not above 1 or not finite.
    Tolerance,
}

impl fmt::Display for OptionsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLimit => "a search needs at least one limit on latency or errors",
            Self::TooManyLimits => "a search judges at most 4 latency limits",
            Self::LatencyLimit => {
                "a latency limit needs a quantile from 0.5 to 0.9999 and more than 0 ns"
            }
            Self::ErrorShare => "the share of errors allowed has to be above 0 % and below 100 %",
            Self::Levels => "the levels have to be above 0, the highest not below the first",
            Self::Tolerance => "the tolerance has to be a factor above 1",
        })
    }
}

impl std::error::Error for OptionsFault {}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    options: SearchOptions,
    state: State,
    elapsed: Duration,
    baseline: Option<Baseline>,
    estimate: Option<TimeEstimate>,
    trials: Vec<TrialReport>,
    /// Levels that may be verified: passed, or a step below one that failed its
    /// verification. Those at or above `not_passed` no longer count.
    candidates: Vec<Candidate>,
    /// The trial with the lowest level not passed.
    not_passed: Option<FailedLevel>,
    sustains: Option<TrialReport>,
    /// Fixed when the bracket is closed.
    tolerance: Option<f64>,
}

#[derive(Debug, Clone)]
enum State {
    Trial(Trial),
    CoolDown { waited: Duration, next: Trial },
    Over(Box<SearchOutcome>),
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

/// The least settling, while levels are only sounded and where they decide.
const SETTLE_SHORT: Duration = Duration::from_secs(2);
const SETTLE_LONG: Duration = Duration::from_secs(3);
/// A queue whose waits are near the limit fills within a few times the limit.
const SETTLE_LIMITS: u32 = 5;
/// No settling is longer, whatever the thinking time.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// After a level that just missed its verification, the next to be verified is
/// this much lower.
const STEP_DOWN: f64 = 1.06;

/// A server that has not recovered after this long is tried all the same.
const COOL_DOWN_MAX: Duration = Duration::from_secs(30);
const COOL_MEDIAN: f64 = 1.2;

/// A level that the host disturbed is held again so often.
const REPEATS_MAX: usize = 3;

const TOLERANCE_FINE: f64 = 1.05;
const TOLERANCE_COARSE: f64 = 1.10;

impl LatencyLimit {
    /// The share of requests that may be above the limit.
    fn share_allowed(&self) -> f64 {
        1.0 - self.quantile
    }
}

impl SearchOptions {
    fn check(&self) -> Result<(), OptionsFault> {
        let limits = &self.limits;
        let is_level = |level: f64| {
            level.is_finite() && level > 0.0 && (self.by == By::Rate || level.fract() == 0.0)
        };
        if limits.latency.is_empty() && limits.error_share_max.is_none() {
            Err(OptionsFault::NoLimit)
        } else if limits.latency.len() > LATENCY_LIMITS_MAX {
            Err(OptionsFault::TooManyLimits)
        } else if !limits
            .latency
            .iter()
            .all(|limit| (0.5..=0.9999).contains(&limit.quantile) && limit.limit_ns > 0)
        {
            Err(OptionsFault::LatencyLimit)
        } else if limits
            .error_share_max
            .is_some_and(|share| !(share > 0.0 && share < 1.0))
        {
            Err(OptionsFault::ErrorShare)
        } else if !is_level(self.from) || !is_level(self.to) || self.to < self.from {
            Err(OptionsFault::Levels)
        } else if self
            .tolerance
            .is_some_and(|tolerance| !(tolerance > 1.0 && tolerance.is_finite()))
        {
            Err(OptionsFault::Tolerance)
        } else {
            Ok(())
        }
    }

    /// A single user; or a tenth of the first rate, but at least 1/s where that
    /// is not above it, so that the baseline does not take minutes.
    fn baseline_level(&self) -> f64 {
        match self.by {
            By::Vus => 1.0,
            By::Rate => (self.from / 10.0).max(1.0).min(self.from),
        }
    }

    /// The bracket's level after `low`.
    fn level_above(&self, low: f64) -> f64 {
        if low < self.from {
            self.from
        } else {
            (low * 2.0).min(self.to)
        }
    }

    /// Fine where a second holds a unit of requests.
    fn tolerance_at(&self, rate: f64) -> f64 {
        self.tolerance
            .unwrap_or(if rate * self.strictest_share() >= 1.0 && !self.quick {
                TOLERANCE_FINE
            } else {
                TOLERANCE_COARSE
            })
    }

    /// The smallest share of requests that a limit allows to be bad.
    fn strictest_share(&self) -> f64 {
        let shares = self.limits.latency.iter().map(LatencyLimit::share_allowed);
        shares
            .reduce(f64::min)
            .or(self.limits.error_share_max)
            .unwrap_or(1.0)
    }

    /// How long a level settles: at least two cycles of a thinking user, and
    /// long enough for a queue near the limits to fill.
    fn settling(&self, phase: Phase) -> Duration {
        let shortest = match phase {
            _ if self.quick => SETTLE_SHORT,
            Phase::Baseline | Phase::Bracket => SETTLE_SHORT,
            Phase::Bisect | Phase::Verify => SETTLE_LONG,
        };
        let cycles = self.think.unwrap_or_default().saturating_mul(2);
        let limits_ns = self.limits.latency.iter().map(|limit| limit.limit_ns);
        let queue =
            Duration::from_nanos(limits_ns.max().unwrap_or(0)).saturating_mul(SETTLE_LIMITS);
        shortest.max(cycles).max(queue).min(SETTLE_MAX)
    }
}

impl Search {
    /// A search, and the first thing to do.
    ///
    /// # Errors
    /// Where the options make no sense.
    pub fn start(options: SearchOptions) -> Result<(Self, Action), OptionsFault> {
        options.check()?;
        let level = options.baseline_level();
        let phase = Phase::Baseline;
        let settling = options.settling(phase);
        let trial = Trial::new(&options, phase, level, settling);
        let search = Self {
            options,
            state: State::Trial(trial),
            elapsed: Duration::ZERO,
            baseline: None,
            estimate: None,
            trials: Vec::new(),
            candidates: Vec::new(),
            not_passed: None,
            sustains: None,
            tolerance: None,
        };
        let first = Action::SetLevel {
            level,
            phase,
            settling,
        };
        Ok((search, first))
    }

    /// Takes what happened and says what to do. Once it has said
    /// [`Action::Done`] it says so again, whatever happens.
    pub fn next(&mut self, input: Input) -> Action {
        match (&mut self.state, input) {
            (State::Over(outcome), _) => Action::Done(outcome.clone()),
            (_, Input::Interrupted) => self.finish(Ended::Interrupted),
            (_, Input::Deadline) => self.finish(Ended::Deadline),
            (_, Input::Tick(tick)) => {
                self.elapsed = self.elapsed.saturating_add(tick.length);
                let action = self.on_tick(&tick);
                let is_late = self.options.deadline.is_some_and(|max| self.elapsed >= max);
                match action {
                    Action::Done(outcome) => Action::Done(outcome),
                    _ if is_late => self.finish(Ended::Deadline),
                    action => action,
                }
            }
        }
    }

    /// How long the rest of the search is expected to take: from the end of the
    /// baseline on.
    pub fn estimate(&self) -> Option<TimeEstimate> {
        self.estimate
    }

    /// The finished trials so far, in order.
    pub fn trials(&self) -> &[TrialReport] {
        &self.trials
    }

    fn on_tick(&mut self, tick: &Tick) -> Action {
        match &mut self.state {
            State::Over(outcome) => Action::Done(outcome.clone()),
            State::CoolDown { waited, next } => {
                *waited = waited.saturating_add(tick.length);
                let is_cool = self
                    .baseline
                    .is_none_or(|baseline| baseline.is_reached_again(tick));
                if is_cool || *waited >= COOL_DOWN_MAX {
                    let next = next.clone();
                    self.begin(next)
                } else {
                    Action::Continue
                }
            }
            State::Trial(trial) => match trial.tick(tick) {
                Progress::Waiting => Action::Continue,
                Progress::Settled => Action::StartHold,
                Progress::Over(verdict) => {
                    let report = trial.report(verdict);
                    let in_flight_max = trial.in_flight_max();
                    self.after_trial(report, in_flight_max, tick.disturbed)
                }
            },
        }
    }

    fn after_trial(
        &mut self,
        mut report: TrialReport,
        in_flight_max: u64,
        disturbed: bool,
    ) -> Action {
        // What kept the limits on a disturbed host would keep them on a quiet one.
        let is_in_doubt = matches!(
            report.verdict,
            Verdict::GeneratorLimited | Verdict::Fail(_) | Verdict::Borderline(_)
        );
        report.repeated = disturbed && is_in_doubt && self.n_repeats(&report) < REPEATS_MAX;
        self.trials.push(report.clone());
        if report.repeated {
            let settling = self.options.settling(report.phase);
            let again = Trial::new(&self.options, report.phase, report.level, settling);
            return self.cool_down(again);
        }
        match (report.phase, report.verdict) {
            (_, Verdict::GeneratorLimited) => return self.finish(Ended::GeneratorLimited),
            (Phase::Baseline, Verdict::Fail(why)) => {
                self.note_not_passed(&report, why);
                return self.finish(Ended::Refused(why));
            }
            (phase, Verdict::Fail(why) | Verdict::Borderline(why)) if phase != Phase::Baseline => {
                self.note_not_passed(&report, why);
            }
            (Phase::Verify, _) => {
                let ended = if self.not_passed.is_none() {
                    Ended::ReachedTo
                } else {
                    Ended::Found
                };
                self.sustains = Some(report);
                return self.finish(ended);
            }
            // A baseline above a limit, though that may be chance, says nothing
            // yet: the levels that follow will tell.
            (phase, verdict) => {
                if phase == Phase::Baseline {
                    self.note_baseline(&report, in_flight_max);
                }
                self.candidates.push(Candidate {
                    level: report.level,
                    is_strict: verdict == Verdict::Pass,
                });
            }
        }
        match self.next_level() {
            None => self.finish(Ended::NothingSustained),
            Some((_, Phase::Verify)) if self.options.quick => self.finish(match self.not_passed {
                Some(_) => Ended::Found,
                None => Ended::ReachedTo,
            }),
            Some((level, phase)) => {
                let settling = self.options.settling(phase);
                let trial = Trial::new(&self.options, phase, level, settling);
                match report.verdict {
                    Verdict::Fail(_) | Verdict::Borderline(_) => self.cool_down(trial),
                    _ => self.begin(trial),
                }
            }
        }
    }

    /// How often the level was held in vain already.
    fn n_repeats(&self, report: &TrialReport) -> usize {
        let same = |trial: &&TrialReport| {
            trial.repeated && trial.level == report.level && trial.phase == report.phase
        };
        self.trials.iter().filter(same).count()
    }

    fn note_baseline(&mut self, report: &TrialReport, in_flight_max: u64) {
        let median_ns = report.percentiles.p50_ns.or(report.mean_ns);
        self.baseline = Some(Baseline {
            level: report.level,
            median_ns: median_ns.unwrap_or(u64::MAX),
            in_flight_max: in_flight_max.max(1),
        });
        let latency_ns = report.mean_ns.or(report.percentiles.p50_ns);
        let alone = Alone {
            level: report.level,
            rate: report.rate,
            latency: latency_ns.map(Duration::from_nanos),
        };
        self.estimate = Some(estimate::estimate(&self.options, alone));
    }

    fn note_not_passed(&mut self, report: &TrialReport, why: Why) {
        let level = report.level;
        let was_strict = self
            .candidates
            .iter()
            .any(|candidate| candidate.level == level && candidate.is_strict);
        let is_near_miss = was_strict || matches!(report.verdict, Verdict::Borderline(_));
        self.candidates.retain(|candidate| candidate.level < level);
        if report.phase == Phase::Verify && is_near_miss {
            self.candidates.extend(self.step_below(level));
        }
        let is_lowest = self
            .not_passed
            .as_ref()
            .is_none_or(|lowest| level <= lowest.trial.level);
        if is_lowest {
            self.not_passed = Some(FailedLevel {
                trial: report.clone(),
                why,
                is_certain: matches!(report.verdict, Verdict::Fail(_)),
            });
        }
    }

    /// The level a step below one that failed its verification.
    fn step_below(&self, level: f64) -> Option<Candidate> {
        let below = match self.options.by {
            By::Vus => (level / STEP_DOWN).floor().min(level - 1.0),
            By::Rate => level / STEP_DOWN,
        };
        (below >= self.options.baseline_level()).then_some(Candidate {
            level: below,
            is_strict: true,
        })
    }

    /// The next level and what for. `None` where no level is left below those
    /// that were not passed.
    fn next_level(&mut self) -> Option<(f64, Phase)> {
        let low = self
            .candidates
            .iter()
            .map(|candidate| candidate.level)
            .reduce(f64::max)?;
        let Some(high) = self.not_passed.as_ref().map(|failed| failed.trial.level) else {
            return Some(if low >= self.options.to {
                (low, Phase::Verify)
            } else {
                (self.options.level_above(low), Phase::Bracket)
            });
        };
        let tolerance = match self.tolerance {
            Some(tolerance) => tolerance,
            None => self.options.tolerance_at(self.highest_rate_passed()),
        };
        self.tolerance = Some(tolerance);
        // After a verification that failed the bracket is a step wide.
        let is_after_verify = self.trials.iter().any(|trial| trial.phase == Phase::Verify);
        let tolerance = if is_after_verify {
            tolerance.max(STEP_DOWN * (1.0 + 1e-9))
        } else {
            tolerance
        };
        let is_narrow = high / low <= tolerance;
        Some(match self.options.by {
            By::Vus if is_narrow || high - low <= 1.0 => (low, Phase::Verify),
            By::Rate if is_narrow => (low, Phase::Verify),
            By::Vus => {
                let middle = (low * high).sqrt().round();
                (middle.clamp(low + 1.0, high - 1.0), Phase::Bisect)
            }
            By::Rate => ((low * high).sqrt(), Phase::Bisect),
        })
    }

    fn highest_rate_passed(&self) -> f64 {
        self.trials
            .iter()
            .filter(|trial| matches!(trial.verdict, Verdict::Pass | Verdict::Plausible))
            .map(|trial| trial.rate)
            .fold(0.0, f64::max)
    }

    fn lowest_certain_failure(&self) -> Option<FailedLevel> {
        let failures = self.trials.iter().filter_map(|trial| match trial.verdict {
            Verdict::Fail(why) if !trial.repeated => Some((trial, why)),
            _ => None,
        });
        let lowest = failures.min_by(|a, b| f64::total_cmp(&a.0.level, &b.0.level));
        lowest.map(|(trial, why)| FailedLevel {
            trial: trial.clone(),
            why,
            is_certain: true,
        })
    }

    fn begin(&mut self, trial: Trial) -> Action {
        let action = Action::SetLevel {
            level: trial.level(),
            phase: trial.phase(),
            settling: trial.settling(),
        };
        self.state = State::Trial(trial);
        action
    }

    fn cool_down(&mut self, next: Trial) -> Action {
        let Some(baseline) = self.baseline else {
            return self.begin(next);
        };
        self.state = State::CoolDown {
            waited: Duration::ZERO,
            next,
        };
        Action::CoolDown {
            level: baseline.level,
        }
    }

    fn finish(&mut self, ended: Ended) -> Action {
        // Only these two come in the middle of a trial.
        if let (State::Trial(trial), Ended::Deadline | Ended::Interrupted) = (&self.state, ended)
            && trial.has_begun()
        {
            self.trials.push(trial.report(Verdict::Unfinished));
        }
        let best = self.candidates.iter().map(|candidate| candidate.level);
        let passed = best.reduce(f64::max).and_then(|level| {
            let is_it = |trial: &&TrialReport| {
                trial.level == level && matches!(trial.verdict, Verdict::Pass | Verdict::Plausible)
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
            elapsed: self.elapsed,
        });
        self.state = State::Over(outcome.clone());
        Action::Done(outcome)
    }
}

impl Baseline {
    fn is_reached_again(&self, tick: &Tick) -> bool {
        let is_fast = tick
            .median_ns
            .is_some_and(|median_ns| median_ns as f64 <= self.median_ns as f64 * COOL_MEDIAN);
        tick.in_flight <= self.in_flight_max && is_fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT_NS: u64 = 100_000_000;

    fn options(by: By, from: f64, to: f64) -> SearchOptions {
        SearchOptions {
            by,
            from,
            to,
            limits: Limits {
                latency: vec![LatencyLimit {
                    quantile: 0.95,
                    limit_ns: LIMIT_NS,
                }],
                error_share_max: Some(0.01),
            },
            tolerance: None,
            deadline: None,
            quick: false,
            think: None,
        }
    }

    /// A second in which `n` requests ended, `n_over` of them above the limit.
    fn second(n: u64, n_over: u64) -> Tick {
        Tick {
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
            ..Tick::default()
        }
    }

    /// Drives a search with a tick for the level at hand, to its end; gives the
    /// levels set as well.
    fn driven(
        options: SearchOptions,
        mut tick_at: impl FnMut(f64, Phase) -> Tick,
    ) -> (SearchOutcome, Vec<f64>) {
        let (mut search, mut action) = Search::start(options).expect("sound options");
        let mut levels = Vec::new();
        let mut at = (0.0, Phase::Baseline);
        for _ in 0..100_000 {
            match action {
                Action::SetLevel { level, phase, .. } => {
                    at = (level, phase);
                    levels.push(level);
                }
                Action::CoolDown { level } => at = (level, Phase::Baseline),
                Action::Done(outcome) => return (*outcome, levels),
                Action::Continue | Action::StartHold => {}
            }
            action = search.next(Input::Tick(tick_at(at.0, at.1)));
        }
        panic!("a search without end");
    }

    /// A server that keeps its limit up to `capacity` users and misses it
    /// altogether above.
    fn sharp(capacity: f64) -> impl FnMut(f64, Phase) -> Tick {
        move |level, _| second(1000, if level <= capacity { 0 } else { 1000 })
    }

    fn level_of(trial: Option<TrialReport>) -> Option<f64> {
        trial.map(|trial| trial.level)
    }

    #[test]
    fn a_sharp_edge_is_found_by_doubling_halving_and_verifying() {
        let (outcome, levels) = driven(options(By::Vus, 1.0, 2000.0), sharp(20.0));
        assert_eq!(
            levels,
            [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 23.0, 19.0, 21.0, 20.0, 20.0]
        );
        assert_eq!(outcome.ended, Ended::Found);
        assert_eq!(level_of(outcome.sustains), Some(20.0));
        let fails_at = outcome.fails_at.expect("one above");
        assert_eq!((fails_at.trial.level, fails_at.is_certain), (21.0, true));
        assert_eq!(fails_at.why, Why::Latency { limit_idx: 0 });
        let phases: Vec<Phase> = outcome.trials.iter().map(|trial| trial.phase).collect();
        assert_eq!(phases[0], Phase::Baseline);
        assert_eq!(phases[phases.len() - 1], Phase::Verify);
    }

    #[test]
    fn the_tolerance_ends_the_halving() {
        let coarse = SearchOptions {
            tolerance: Some(1.5),
            ..options(By::Vus, 1.0, 2000.0)
        };
        let (outcome, levels) = driven(coarse, sharp(20.0));
        assert_eq!(levels[5..], [32.0, 23.0, 16.0]);
        assert_eq!(level_of(outcome.sustains), Some(16.0));
        // By rate the levels are not whole, and 1.05 is the default at this rate.
        let (outcome, _) = driven(options(By::Rate, 1.0, 2000.0), sharp(20.5));
        let (low, high) = (
            level_of(outcome.sustains).expect("sustained"),
            outcome.fails_at.expect("failed").trial.level,
        );
        assert!(low <= 20.5 && 20.5 < high && high / low <= 1.05);
    }

    #[test]
    fn the_highest_level_is_verified_too() {
        let (outcome, levels) = driven(options(By::Vus, 3.0, 10.0), sharp(1e9));
        assert_eq!(levels, [1.0, 3.0, 6.0, 10.0, 10.0]);
        assert_eq!(outcome.ended, Ended::ReachedTo);
        assert_eq!(level_of(outcome.sustains), Some(10.0));
        assert_eq!(outcome.fails_at, None);
        let (outcome, levels) = driven(options(By::Vus, 1.0, 1.0), sharp(1e9));
        assert_eq!((outcome.ended, levels), (Ended::ReachedTo, vec![1.0, 1.0]));
    }

    #[test]
    fn a_first_level_that_fails_is_searched_below() {
        let (outcome, levels) = driven(options(By::Vus, 64.0, 2000.0), sharp(5.0));
        assert_eq!(levels, [1.0, 64.0, 8.0, 3.0, 5.0, 6.0, 5.0]);
        assert_eq!(level_of(outcome.sustains), Some(5.0));
    }

    #[test]
    fn a_baseline_that_misses_the_limits_refuses_the_search() {
        let check = |tick: Tick, why: Why| {
            let (outcome, levels) = driven(options(By::Vus, 1.0, 100.0), |_, _| tick);
            assert_eq!((outcome.ended, levels), (Ended::Refused(why), vec![1.0]));
            assert_eq!(outcome.sustains, None);
            assert_eq!(outcome.estimate, None);
        };
        check(second(100, 30), Why::Latency { limit_idx: 0 });
        let errors = Tick {
            failed: 10,
            ..second(100, 0)
        };
        check(errors, Why::Errors);
        let silent = Tick {
            in_flight: 1,
            ..second(0, 0)
        };
        check(silent, Why::Silence);
        // One slow answer of twenty is chance.
        let (outcome, _) = driven(options(By::Vus, 1.0, 1.0), |_, phase| match phase {
            Phase::Baseline => second(4, 0),
            _ => second(1000, 0),
        });
        assert_eq!(outcome.ended, Ended::ReachedTo);
    }

    #[test]
    fn a_server_that_only_the_baseline_flattered_sustains_nothing() {
        let (outcome, _) = driven(options(By::Vus, 1.0, 100.0), |_, phase| match phase {
            Phase::Baseline => second(100, 0),
            _ => second(100, 60),
        });
        assert_eq!(outcome.ended, Ended::NothingSustained);
        assert_eq!((outcome.sustains, outcome.passed), (None, None));
        assert_eq!(outcome.fails_at.map(|failed| failed.trial.level), Some(1.0));
    }

    #[test]
    fn a_failed_verification_steps_down_and_verifies_again() {
        let (outcome, levels) = driven(options(By::Rate, 100.0, 10_000.0), |level, phase| {
            let is_kept = match phase {
                Phase::Verify => level <= 900.0,
                _ => level <= 1000.0,
            };
            second(1000, if is_kept { 0 } else { 1000 })
        });
        // One that passed below it is tried before a step of 6 % is taken.
        let verified: Vec<f64> = outcome
            .trials
            .iter()
            .filter(|trial| trial.phase == Phase::Verify)
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
        let (outcome, _) = driven(options(By::Vus, 1.0, 100.0), |level, _| {
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

    #[test]
    fn a_generator_at_its_limit_ends_the_search_and_blames_nobody() {
        let (outcome, _) = driven(options(By::Vus, 1.0, 1000.0), |level, _| Tick {
            generator_limited: level > 16.0,
            ..second(1000, if level > 16.0 { 1000 } else { 0 })
        });
        assert_eq!(outcome.ended, Ended::GeneratorLimited);
        assert_eq!((outcome.sustains, outcome.fails_at), (None, None));
        assert_eq!(level_of(outcome.passed), Some(16.0));
        let last = outcome.trials.last().map(|trial| trial.verdict);
        assert_eq!(last, Some(Verdict::GeneratorLimited));
    }

    #[test]
    fn a_level_that_the_host_disturbed_is_held_again() {
        // The first two holds of 16 users, and all above 64.
        let mut n_held = 0;
        let mut last_level = 0.0;
        let (outcome, _) = driven(options(By::Vus, 1.0, 1000.0), |level, phase| {
            if phase != Phase::Baseline && level != last_level && level == 16.0 {
                n_held += 1;
            }
            last_level = level;
            let is_disturbed = level == 16.0 && n_held <= 2;
            Tick {
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
        let (outcome, _) = driven(options(By::Vus, 1.0, 64.0), |level, _| Tick {
            disturbed: level > 20.0,
            ..second(1000, if level > 20.0 { 1000 } else { 0 })
        });
        assert_eq!(level_of(outcome.sustains), Some(20.0));
        let n_at_32 = outcome.trials.iter().filter(|t| t.level == 32.0).count();
        assert_eq!(n_at_32, 1 + REPEATS_MAX);
    }

    #[test]
    fn a_quick_search_ends_with_its_bracket() {
        let quick = |to: f64| SearchOptions {
            quick: true,
            ..options(By::Vus, 1.0, to)
        };
        let (outcome, levels) = driven(quick(2000.0), sharp(20.0));
        assert_eq!(
            levels[levels.len() - 1],
            outcome.trials[outcome.trials.len() - 1].level
        );
        assert_eq!((outcome.ended, outcome.sustains), (Ended::Found, None));
        let (low, high) = (outcome.passed, outcome.fails_at);
        let (low, high) = (level_of(low).expect("passed"), high.expect("failed"));
        assert!(low <= 20.0 && high.trial.level > 20.0 && high.trial.level / low <= 1.1);
        assert!(
            outcome
                .trials
                .iter()
                .all(|trial| trial.phase != Phase::Verify)
        );
        assert!(
            outcome.elapsed < Duration::from_secs(120),
            "{:?}",
            outcome.elapsed
        );
        let (outcome, _) = driven(quick(8.0), sharp(20.0));
        assert_eq!((outcome.ended, outcome.sustains), (Ended::ReachedTo, None));
        assert_eq!(level_of(outcome.passed), Some(8.0));
    }

    /// Above the limit, though not certainly: it goes on until it is, or gives up.
    #[test]
    fn a_baseline_above_a_limit_never_passes() {
        // One error in forty against a limit of one in a hundred.
        let mut n_ticks = 0;
        let (outcome, _) = driven(options(By::Vus, 1.0, 100.0), |_, _| {
            n_ticks += 1;
            Tick {
                failed: u64::from(n_ticks % 5 == 0),
                ..second(8, 0)
            }
        });
        assert_eq!(outcome.ended, Ended::NothingSustained);
        assert_eq!(
            outcome.trials[0].verdict,
            Verdict::Borderline(Why::Errors),
            "neither passed nor certain"
        );
        assert!(outcome.trials[0].error_share > 0.01, "{outcome:?}");
        assert_eq!(outcome.passed, None);
        // A single one early on is made good by those that follow.
        let mut n_ticks = 0;
        let (outcome, _) = driven(options(By::Vus, 1.0, 1.0), |_, phase| {
            n_ticks += 1;
            match phase {
                Phase::Baseline => Tick {
                    failed: u64::from(n_ticks == 4),
                    ..second(8, 0)
                },
                _ => second(1000, 0),
            }
        });
        assert_eq!(outcome.ended, Ended::ReachedTo);
        assert!(outcome.trials[0].error_share <= 0.01, "{outcome:?}");
    }

    #[test]
    fn a_level_fails_by_what_its_figures_show() {
        let check = |tick: Tick, expected: Why| {
            let (outcome, _) = driven(options(By::Vus, 8.0, 8.0), |level, _| {
                if level < 8.0 { second(1000, 0) } else { tick }
            });
            let failed = outcome.fails_surely_at.expect("a failure");
            assert_eq!(failed.why, expected, "{failed:?}");
        };
        // One in ten fails and so misses the latency limit, too; all others keep it.
        let failing = Tick {
            failed: 100,
            ..second(1000, 100)
        };
        check(failing, Why::Errors);
        check(second(1000, 100), Why::Latency { limit_idx: 0 });
    }

    #[test]
    fn a_hiccup_of_the_generator_is_left_out() {
        let mut n_ticks = 0;
        let (outcome, _) = driven(options(By::Vus, 8.0, 8.0), |_, _| {
            n_ticks += 1;
            let is_hiccup = n_ticks % 40 == 20;
            Tick {
                generator_limited: is_hiccup,
                ..second(1000, if is_hiccup { 1000 } else { 0 })
            }
        });
        assert_eq!(outcome.ended, Ended::ReachedTo);
        assert_eq!(
            outcome.sustains.map(|trial| trial.shares_over),
            Some(vec![0.0])
        );
    }

    #[test]
    fn the_end_of_the_time_returns_the_bracket_so_far() {
        let limited = SearchOptions {
            deadline: Some(Duration::from_secs(75)),
            ..options(By::Vus, 1.0, 2000.0)
        };
        let (outcome, _) = driven(limited, sharp(20.0));
        assert_eq!(outcome.ended, Ended::Deadline);
        assert_eq!(outcome.elapsed, Duration::from_secs(75));
        assert_eq!(outcome.sustains, None);
        assert_eq!(level_of(outcome.passed), Some(19.0));
        assert_eq!(
            outcome.fails_at.map(|failed| failed.trial.level),
            Some(21.0)
        );
        let last = outcome.trials.last().expect("trials");
        assert_eq!(last.verdict, Verdict::Unfinished);
    }

    #[test]
    fn an_interruption_ends_it_for_good() {
        let (mut search, _) = Search::start(options(By::Vus, 1.0, 10.0)).expect("sound");
        let Action::Done(outcome) = search.next(Input::Interrupted) else {
            panic!("not over");
        };
        assert_eq!(outcome.ended, Ended::Interrupted);
        assert!(outcome.trials.is_empty());
        let again = Action::Done(outcome);
        assert_eq!(search.next(Input::Tick(second(1, 0))), again);
        assert_eq!(search.next(Input::Deadline), again);
    }

    #[test]
    fn the_figures_of_settling_do_not_count() {
        let (mut search, first) = Search::start(options(By::Vus, 1.0, 10.0)).expect("sound");
        assert_eq!(
            first,
            Action::SetLevel {
                level: 1.0,
                phase: Phase::Baseline,
                settling: Duration::from_secs(2),
            }
        );
        // Two seconds of settling with nothing but failures.
        let bad = Tick {
            failed: 100,
            ..second(100, 100)
        };
        assert_eq!(search.next(Input::Tick(bad)), Action::Continue);
        assert_eq!(search.next(Input::Tick(bad)), Action::StartHold);
        for _ in 0..4 {
            assert_eq!(search.next(Input::Tick(second(100, 0))), Action::Continue);
        }
        assert_eq!(
            search.next(Input::Tick(second(100, 0))),
            Action::SetLevel {
                level: 2.0,
                phase: Phase::Bracket,
                settling: Duration::from_secs(2),
            }
        );
        assert_eq!(search.trials().len(), 1);
        assert!(search.estimate().is_some());
    }

    #[test]
    fn a_failed_level_is_followed_by_cooling_down() {
        let (mut search, mut action) = Search::start(options(By::Vus, 4.0, 100.0)).expect("sound");
        let mut level_now = 1.0;
        while !matches!(action, Action::CoolDown { .. }) {
            if let Action::SetLevel { level, .. } = action {
                level_now = level;
            }
            action = search.next(Input::Tick(sharp(2.0)(level_now, Phase::Bracket)));
        }
        assert_eq!(action, Action::CoolDown { level: 1.0 });
        // Still crowded, then still slow, then well.
        let crowded = Tick {
            in_flight: 9,
            ..second(10, 0)
        };
        let slow = Tick {
            median_ns: Some(13_000_000),
            ..second(10, 0)
        };
        assert_eq!(search.next(Input::Tick(crowded)), Action::Continue);
        assert_eq!(search.next(Input::Tick(slow)), Action::Continue);
        let next = Action::SetLevel {
            level: 2.0,
            phase: Phase::Bisect,
            settling: Duration::from_secs(3),
        };
        let mut patient = search.clone();
        assert_eq!(search.next(Input::Tick(second(10, 0))), next);
        // One that never recovers is tried all the same after half a minute.
        for _ in 0..27 {
            assert_eq!(patient.next(Input::Tick(crowded)), Action::Continue);
        }
        assert_eq!(patient.next(Input::Tick(crowded)), next);
    }

    #[test]
    fn an_open_load_that_is_not_answered_fails() {
        let check = |why: Why, tick_at: fn(u64) -> Tick| {
            let mut n_ticks = 0;
            let mut last_level = 0.0;
            let (outcome, _) = driven(options(By::Rate, 1000.0, 1000.0), |level, _| {
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
        check(Why::Throughput, |n_ticks| Tick {
            offered: 1000,
            in_flight: 250 * n_ticks,
            ..second(750, 0)
        });
        // 1.5 % a second more than are answered: it shows in the pile alone.
        check(Why::Backlog, |n_ticks| Tick {
            offered: 1000,
            in_flight: 300 + 15 * n_ticks * n_ticks,
            ..second(985, 0)
        });
        // A tenth finds nobody free. Those that were answered were so in time, so it
        // is not for their latency.
        check(Why::Throughput, |_| Tick {
            offered: 1000,
            dropped: 100,
            ..second(900, 0)
        });
    }

    #[test]
    fn a_load_without_any_answer_fails_by_its_silence() {
        let (outcome, _) = driven(options(By::Vus, 8.0, 8.0), |_, phase| match phase {
            Phase::Bracket => Tick {
                in_flight: 8,
                ..second(0, 0)
            },
            _ => second(1000, 0),
        });
        let failed = outcome.fails_surely_at.expect("a failure");
        assert_eq!((failed.trial.level, failed.why), (8.0, Why::Silence));
    }

    #[test]
    fn options_without_sense_are_refused() {
        let check = |change: fn(&mut SearchOptions), fault: OptionsFault| {
            let mut options = options(By::Vus, 1.0, 100.0);
            change(&mut options);
            let refused = Search::start(options).err();
            assert_eq!(refused, Some(fault));
        };
        check(|o| o.limits = Limits::default(), OptionsFault::NoLimit);
        check(
            |o| o.limits.latency = vec![o.limits.latency[0]; 5],
            OptionsFault::TooManyLimits,
        );
        check(
            |o| o.limits.latency[0].quantile = 1.0,
            OptionsFault::LatencyLimit,
        );
        check(
            |o| o.limits.latency[0].limit_ns = 0,
            OptionsFault::LatencyLimit,
        );
        check(
            |o| o.limits.error_share_max = Some(0.0),
            OptionsFault::ErrorShare,
        );
        check(
            |o| o.limits.error_share_max = Some(f64::NAN),
            OptionsFault::ErrorShare,
        );
        check(|o| o.from = 0.0, OptionsFault::Levels);
        check(|o| o.from = 1.5, OptionsFault::Levels);
        check(|o| o.to = 0.5, OptionsFault::Levels);
        check(|o| o.to = f64::INFINITY, OptionsFault::Levels);
        check(|o| o.tolerance = Some(1.0), OptionsFault::Tolerance);
        check(|o| o.tolerance = Some(f64::NAN), OptionsFault::Tolerance);
    }

    fn any_tick() -> impl Strategy<Value = Tick> {
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
                    Tick {
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
            let by = if by_rate { By::Rate } else { By::Vus };
            let options = options(by, f64::from(from), f64::from(from + span));
            let (mut search, mut action) = Search::start(options).expect("sound options");
            for tick in ticks {
                if let Action::SetLevel { level, .. } | Action::CoolDown { level } = action {
                    prop_assert!(level >= 1.0 && level <= f64::from(from + span));
                    prop_assert!(by_rate || level.fract() == 0.0);
                }
                action = search.next(Input::Tick(tick));
            }
            let Action::Done(outcome) = search.next(Input::Deadline) else {
                panic!("not over");
            };
            if let (Some(low), Some(high)) = (&outcome.passed, &outcome.fails_at) {
                prop_assert!(low.level < high.trial.level);
            }
            // A verdict agrees with the figures that stand beside it.
            for trial in &outcome.trials {
                let (late, failed) = (trial.shares_over[0], trial.error_share);
                match trial.verdict {
                    Verdict::Pass | Verdict::Plausible => {
                        prop_assert!(late <= 0.05 + 1e-12 && failed <= 0.01, "{:?}", trial);
                    }
                    Verdict::Fail(Why::Latency { .. }) => prop_assert!(late > 0.05, "{:?}", trial),
                    Verdict::Fail(Why::Errors) => prop_assert!(failed > 0.01, "{:?}", trial),
                    _ => {}
                }
            }
            if let Some(sustains) = &outcome.sustains {
                prop_assert_eq!(sustains.verdict, Verdict::Pass);
                prop_assert_eq!(sustains.phase, Phase::Verify);
            }
        }

        #[test]
        fn a_sharp_edge_is_always_found(capacity in 1_u32..3000, from in 1_u32..300) {
            let (outcome, _) = driven(
                options(By::Vus, f64::from(from), 4000.0),
                sharp(f64::from(capacity)),
            );
            let low = level_of(outcome.sustains).expect("sustained");
            let high = outcome.fails_at.expect("failed").trial.level;
            prop_assert!(low <= f64::from(capacity) && high > f64::from(capacity));
            prop_assert!(high / low <= 1.05 || high - low <= 1.0);
        }
    }
}
