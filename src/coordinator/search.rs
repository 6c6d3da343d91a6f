//! The loop of a capacity search: it makes the load that [`decide::search`](crate::decide::search) asks for.
//!
//! ```text
//!   prepare ─▶ level: a fresh crew of workers ─▶ seconds ─▶ Search ─┐
//!                 ▲                                                  │
//!                 └────────── drain, next level ◀── SetLevel ◀───────┘
//! ```
//!
//! Each level has workers, connections, sessions, users and histograms of its
//! own: nothing of one level is left in the next but what the server itself
//! keeps, and the schedule of arrivals begins anew. The price: a level begins
//! with a handshake for each of its users, and ends when its requests in flight
//! have ended, at most two seconds and a half after it was told to.
//!
//! A session that cannot be opened counts as a failed request, and a virtual
//! user that is turned away counts as failing as often as one with a session
//! calls: a level that the server does not let in is not a level that it
//! sustains.
//!
//! A token that ends is not the load's doing. A second in which no user had one that the
//! server takes is told to nobody, a level in which one was refused is held again before it
//! counts as not passed, and where no other token comes the search ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::interrupts::Interrupts;
use super::level::{Level, LevelOptions, LevelSecond, SECOND};
use super::lookups::Lookups;
use super::noted::Noted;
use super::prepare::{
    Preparation, check_room, choose_cpus, generator_facts, opening_limit, prepare,
};
use crate::auth::Tokens;
use crate::clock::Utc;
use crate::decide::search::{
    Input, LATENCY_LIMITS_MAX, Percentiles, Search, SearchAction, SearchOptions, SearchOutcome,
    SearchTick,
};
use crate::error::UserError;
use crate::load::{Distribution, Segment};
use crate::metrics::Histogram;
use crate::outcome::{
    FindActivity, FindEnded, FindObserver, FindOptions, FindOutcome, FindProgress, FindTrial,
    FindVerdict, LoadUnit, Observer, RunStart,
};
use crate::scenario::{self, Arrivals, Flow, Load, Plan, StopRule};
use crate::units::{format_latency, format_rate, plural};
use crate::user::{Budget, Script};
use crate::validity::{Grade, Reason, Verdict};

/// Looked for at least this often, so that signals and deadlines are seen.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// By rate: users are there for requests that take this much longer than the
/// latency limit. Whoever would wait for more of them is over the limit anyway.
const POOL_LIMITS: u32 = 2;
/// And for requests that take at least so long, for the limit may be that of a
/// median.
const POOL_LATENCY_MIN: Duration = Duration::from_millis(500);
/// Where there is no limit on latency.
const POOL_LATENCY_DEFAULT: Duration = Duration::from_secs(1);
/// No level has fewer users to serve its arrivals.
const POOL_MIN: u32 = 10;
/// Arrivals that wait, at most.
const QUEUE_MAX: u32 = 100_000;

/// Searches the highest load that a server sustains. The plan says what is
/// called and how; how much load there is, the search decides. Blocks until all
/// is over. The observer is called on this thread.
///
/// # Errors
/// When the options make no search, the load could not begin, or a worker
/// fails. A server that sustains nothing is an outcome.
pub fn find(
    mut plan: Plan,
    options: FindOptions,
    observer: &mut dyn FindObserver,
    interrupts: &Interrupts,
) -> Result<FindOutcome, UserError> {
    if plan.has_several_targets() {
        let error = "a search is for the load of one server, and the populations have several";
        return Err(UserError::usage(error).hint("`--population NAME` searches with one of them"));
    }
    let left_out = left_out(&plan);
    plan.thresholds.clear();
    let search_options = SearchOptions {
        find: options.clone(),
        think: think(&plan),
    };
    let (search, first) = Search::start(search_options)
        .map_err(|fault| UserError::usage(format!("no search can be made: {fault}")))?;
    let mut noted = Noted::new(observer, &plan.notices);
    for notice in &left_out {
        noted.notice(notice);
    }
    // The time to find the server is a part of it.
    let deadline = options
        .deadline
        .and_then(|deadline| crate::clock::now().checked_add(deadline));
    let plan = Arc::new(searched(plan, &options));
    let mut prepared = prepare(&plan, &mut noted, interrupts)?;
    // Tokens are renewed until all is over.
    let keeper = prepared.keeper.take();
    check_room(&plan, &prepared.servers, &mut noted);
    let notices = noted.notices;
    let result = thread::scope(|scope| {
        let mut finder = SearchRun::new(
            scope, &plan, &options, prepared, search, observer, interrupts,
        );
        finder.deadline = deadline;
        finder.notices = notices;
        finder.run(first)
    });
    observer.ended();
    drop(keeper);
    result
}

/// What a run would do by this plan and a search does not.
fn left_out(plan: &Plan) -> Vec<String> {
    let mut notices = Vec::new();
    if plan.probe.is_some() {
        notices.push("a search has no probe: `settings.probe` is left out".to_string());
    }
    if !plan.thresholds.is_empty() {
        let left_out = match plan.thresholds.len() {
            1 => "the `[[threshold]]` of the config is".to_string(),
            n => format!("the {n} `[[threshold]]` of the config are"),
        };
        notices.push(format!(
            "a search has limits of its own (`--max-p95` and the like): {left_out} left out"
        ));
    }
    let ending = plan.data.iter().filter(|it| it.iterations_max().is_some());
    notices.extend(ending.map(|rows| {
        format!(
            "a search does not end with the data set `{}`: after its last row the first follows",
            rows.name
        )
    }));
    notices
}

/// The pause of a user's cycle, where that is one request and one pause.
fn think(plan: &Plan) -> Option<Duration> {
    let is_single = |flow: &Flow| calls_of(flow) == 1.0 && flow.steps[0].think.is_none();
    let are_single = plan
        .flows
        .iter()
        .all(|flow| flow.weight == 0 || is_single(flow));
    let pause = plan.think.mean().saturating_add(plan.pause_after_call);
    let think_alike = plan.populations.all().iter().all(|it| it.think.is_none());
    (are_single && think_alike && plan.load.pacing().is_none()).then_some(pause)
}

/// The plan with the load of the highest level: only the kind of load, the
/// number of users and the queue are looked at.
fn searched(plan: Plan, options: &FindOptions) -> Plan {
    let load = match options.by {
        LoadUnit::Vus => Load::Closed {
            vus: users_of(options.to),
            ramp_up: Duration::ZERO,
            pacing: plan.load.pacing(),
        },
        LoadUnit::Rate => Load::Open {
            arrivals: Arrivals::Rate {
                per_second: options.to,
                distribution: match &plan.load {
                    Load::Open {
                        arrivals:
                            Arrivals::Rate { distribution, .. } | Arrivals::Staged { distribution, .. },
                        ..
                    } => *distribution,
                    _ => Distribution::Constant,
                },
            },
            max_vus: pool(&plan, options, options.to),
            queue_max: queue(&plan, options.to),
        },
    };
    Plan {
        load,
        stop: StopRule {
            duration: None,
            iterations: None,
        },
        segment: Segment::WHOLE,
        start_at: None,
        warm_up: Duration::ZERO,
        probe: None,
        notices: Vec::new(),
        ..plan
    }
}

/// A level of virtual users: whole and at least one.
fn users_of(level: f64) -> u32 {
    // A cast from a float saturates.
    (level.round() as u32).max(1)
}

/// Users that serve the arrivals of a level.
fn pool(plan: &Plan, options: &FindOptions, rate: f64) -> u32 {
    let limit = options.latency.iter().map(|limit| limit.limit_ns).max();
    let latency = limit.map_or(POOL_LATENCY_DEFAULT, |limit_ns| {
        Duration::from_nanos(limit_ns)
            .saturating_mul(POOL_LIMITS)
            .max(POOL_LATENCY_MIN)
    });
    let in_flight = (rate * latency.as_secs_f64()).ceil() as u32;
    // Arrivals of each population need a user of it.
    let least = POOL_MIN.max(plan.populations.deal().needs());
    in_flight.max(least).min(options.max_vus.max(1))
}

/// Arrivals that may wait: those of one timeout.
fn queue(plan: &Plan, rate: f64) -> u32 {
    let waiting = (rate * plan.timeout.as_secs_f64()).ceil() as u32;
    waiting.clamp(1, QUEUE_MAX)
}

struct SearchRun<'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    plan: &'a Plan,
    options: &'a FindOptions,
    script: Arc<Script>,
    start: RunStart,
    assigned: Vec<Option<usize>>,
    search: Search,
    observer: &'a mut dyn FindObserver,
    interrupts: &'a Interrupts,
    began: Instant,
    /// Where the server's name leads, where that may change.
    lookups: Option<Lookups>,
    /// And where it leads since it did.
    addresses: Option<Arc<[SocketAddr]>>,
    /// Who has which token, where tokens are fetched.
    tokens: Option<Arc<Tokens>>,
    /// How many were refused so far.
    n_refused: u64,
    /// One was refused in this level, or no user had one.
    has_lacked_tokens: bool,
    /// When the search has to be over.
    deadline: Option<Instant>,
    level: Option<Level>,
    /// Its iterations' numbers: each level goes on where the one before ended.
    budget: Arc<Budget>,
    /// What that is a level of: virtual users, or arrivals a second.
    at: f64,
    activity: FindActivity,
    /// Latency since the level began, or its hold.
    hold: Histogram,
    /// What limited the generator last, in one sentence.
    last_limit: Option<String>,
    /// How far the level can be trusted, as far as it has got.
    verdict: Verdict,
    /// By trial: how far it can be trusted. Those that are here were told of.
    verdicts: Vec<Verdict>,
    progress: FindProgress,
    /// What the user should know of the levels.
    notices: Vec<String>,
    /// Answers with another user's marker, of the levels that have ended.
    n_foreign: u64,
    /// The user was told that the server asks for waits.
    has_told_of_waits: bool,
    has_told_of_token_waits: bool,
}

impl<'scope, 'env, 'a> SearchRun<'scope, 'env, 'a> {
    fn new(
        scope: &'scope Scope<'scope, 'env>,
        plan: &'a Plan,
        options: &'a FindOptions,
        prepared: Preparation,
        search: Search,
        observer: &'a mut dyn FindObserver,
        interrupts: &'a Interrupts,
    ) -> Self {
        let (cpus, assigned) = choose_cpus(plan);
        let start = RunStart {
            at: Utc::now(),
            servers: prepared.servers,
            rows: prepared.script.rows.clone(),
            generator: generator_facts(plan, &cpus, Vec::new()),
            duration: None,
            iterations: None,
        };
        Self {
            scope,
            plan,
            options,
            tokens: prepared.script.tokens.clone(),
            n_refused: 0,
            has_lacked_tokens: false,
            script: prepared.script,
            start,
            assigned,
            search,
            observer,
            interrupts,
            began: crate::clock::now(),
            lookups: prepared.lookups,
            addresses: None,
            deadline: None,
            level: None,
            budget: Budget::new(None, 1),
            at: 0.0,
            activity: FindActivity::Opening,
            hold: Histogram::new(),
            last_limit: None,
            verdict: Verdict::of(Vec::new()),
            verdicts: Vec::new(),
            progress: FindProgress {
                elapsed: Duration::ZERO,
                by: options.by,
                level: 0.0,
                activity: FindActivity::Opening,
                rate: 0.0,
                p99_ns: None,
                failed: 0,
                bracket: (None, None),
            },
            notices: Vec::new(),
            n_foreign: 0,
            has_told_of_waits: false,
            has_told_of_token_waits: false,
        }
    }

    fn run(&mut self, first: SearchAction) -> Result<FindOutcome, UserError> {
        self.observer.started(&self.start);
        let mut action = first;
        loop {
            match action {
                SearchAction::Continue => {}
                SearchAction::StartHold => {
                    if let FindActivity::Settling(phase) = self.activity {
                        self.activity = FindActivity::Holding(phase);
                    }
                    self.hold.clear();
                }
                SearchAction::SetLevel {
                    level,
                    phase,
                    settling,
                } => {
                    self.set_level(level, FindActivity::Settling(phase), settling)?;
                }
                SearchAction::CoolDown { level } => {
                    self.set_level(level, FindActivity::CoolingDown, Duration::ZERO)?;
                }
                SearchAction::Done(outcome) => {
                    self.dismiss()?;
                    return Ok(self.outcome(*outcome));
                }
            }
            action = self.next_action()?;
        }
    }

    /// Waits for something that the search has to know, and asks it.
    fn next_action(&mut self) -> Result<SearchAction, UserError> {
        loop {
            if self.interrupts.is_pending() {
                return Ok(self.ask(Input::Interrupted));
            }
            if self.is_late() {
                return Ok(self.ask(Input::Deadline));
            }
            self.tell_of_tokens();
            if self.tokens.as_ref().is_some_and(|it| it.are_lost()) {
                return Ok(self.ask(Input::NoToken));
            }
            // There is a level between the first level and the last.
            let Some(level) = &mut self.level else {
                return Err(UserError::could_not_run("the search has no workers"));
            };
            if let Some(second) = level.next_second() {
                if self.lacks_tokens() {
                    continue;
                }
                let tick = self.tick(&second);
                return Ok(self.ask(Input::Tick(tick)));
            }
            level.receive(LOOK_EVERY, &mut *self.observer)?;
            self.look_up();
            self.show();
        }
    }

    /// Sends connections elsewhere where the server's name leads elsewhere by now.
    fn look_up(&mut self) {
        let Some(lookups) = &mut self.lookups else {
            return;
        };
        let mut tell = |text: &str| {
            self.observer.notice(text);
            self.notices.push(text.to_string());
        };
        if let Some(addresses) = lookups.addresses(crate::clock::now(), &mut tell) {
            if let Some(level) = &self.level {
                level.use_addresses(&addresses);
            }
            self.addresses = Some(addresses);
        }
    }

    /// What the user should know of the tokens.
    fn tell_of_tokens(&mut self) {
        if let Some(notice) = self.tokens.as_ref().and_then(|it| it.take_notice()) {
            self.observer.notice(&notice);
            self.notices.push(notice);
        }
    }

    /// Takes note of tokens that were refused. Whether no user has one just now.
    fn lacks_tokens(&mut self) -> bool {
        let Some(tokens) = &self.tokens else {
            return false;
        };
        let lacks_all = tokens.are_refused();
        let n_before = std::mem::replace(&mut self.n_refused, tokens.figures().refused);
        self.has_lacked_tokens |= lacks_all || self.n_refused > n_before;
        lacks_all
    }

    fn ask(&mut self, input: Input) -> SearchAction {
        let had_estimate = self.search.estimate().is_some();
        let action = self.search.next(input);
        for trial in self.search.trials().iter().skip(self.verdicts.len()) {
            self.verdicts.push(self.verdict.clone());
            self.observer.trial(self.options, trial);
        }
        self.progress.bracket = bracket(&self.search);
        if let (false, Some(estimate)) = (had_estimate, self.search.estimate()) {
            self.observer.estimated(self.options, &estimate);
        }
        action
    }

    /// Ends one level and begins another.
    fn set_level(
        &mut self,
        at: f64,
        activity: FindActivity,
        settling: Duration,
    ) -> Result<(), UserError> {
        self.dismiss()?;
        self.has_lacked_tokens = self.lacks_tokens();
        self.at = at;
        self.activity = FindActivity::Opening;
        self.hold.clear();
        // The figures of the level before are not this one's.
        self.progress.rate = 0.0;
        self.progress.p99_ns = None;
        self.progress.failed = 0;
        self.show();
        let users = match self.options.by {
            LoadUnit::Vus => users_of(at),
            LoadUnit::Rate => pool(self.plan, self.options, at),
        };
        let rate = match self.options.by {
            LoadUnit::Vus => None,
            LoadUnit::Rate => Some(at),
        };
        let level = Level::engage(
            self.scope,
            &LevelOptions {
                plan: self.plan,
                script: &self.script,
                budget: &self.budget,
                cpus: &self.assigned,
                users,
                rate,
                addresses: self.addresses.as_ref(),
                settling,
                at,
                search_began: self.began,
                tells_seconds: self.observer.wants_seconds(),
            },
        )?;
        // Small levels have fewer workers: told of is the most that there were.
        if level.worker_cpus().len() >= self.start.generator.worker_cpus.len() {
            self.start.generator.worker_cpus = level.worker_cpus().to_vec();
        }
        let level = self.level.insert(level);
        let limit = opening_limit(self.plan).saturating_add(level.ramp());
        // Neither a signal, the deadline nor the loss of all tokens waits for sessions.
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(crate::clock::now()));
        let limit = left.map_or(limit, |left| limit.min(left));
        let began = crate::clock::now();
        while !level.is_open()
            && crate::clock::since(began) < limit
            && !self.interrupts.is_pending()
            && !self.tokens.as_ref().is_some_and(|it| it.are_lost())
        {
            level.receive(level.patience().min(LOOK_EVERY), &mut *self.observer)?;
        }
        level.begin();
        self.activity = activity;
        Ok(())
    }

    /// Lets the workers of the level end.
    fn dismiss(&mut self) -> Result<(), UserError> {
        let Some(mut level) = self.level.take() else {
            return Ok(());
        };
        self.activity = FindActivity::Draining;
        self.show();
        let (interrupts, deadline) = (self.interrupts, self.deadline);
        level.dismiss(
            &|| interrupts.is_pending(),
            &|| is_past(deadline),
            &mut *self.observer,
        )?;
        self.n_foreign += level.n_foreign();
        self.budget.end_level();
        Ok(())
    }

    /// Tells what came to be at the load of now.
    fn tell_at_level(&mut self, what: &str) {
        let at = match self.options.by {
            LoadUnit::Vus => plural(
                u64::from(users_of(self.at)),
                "virtual user",
                "virtual users",
            ),
            LoadUnit::Rate => format_rate(self.at),
        };
        let notice = format!("at {at} {what}");
        self.observer.notice(&notice);
        self.notices.push(notice);
    }

    /// What the search is told of a second.
    fn tick(&mut self, second: &LevelSecond) -> SearchTick {
        let level = self.level.as_ref();
        let n_resumed = self.interrupts.n_resumed();
        let judged = level.and_then(|level| level.judge(self.plan, &self.start.rows, n_resumed));
        self.verdict = of_a_level(judged);
        if level.is_some_and(Level::has_asked_for_waits)
            && !std::mem::replace(&mut self.has_told_of_waits, true)
        {
            self.tell_at_level(
                "the server asked users to keep away (`Retry-After`), and they do \
                 (`--respect-retry-after`): where it asks, a level puts less load on it than \
                 its number says",
            );
        }
        let level = self.level.as_ref();
        if level.is_some_and(Level::has_waited_for_tokens)
            && !std::mem::replace(&mut self.has_told_of_token_waits, true)
        {
            self.tell_at_level(
                "users waited for another token, since the server refused the one that they \
                 had: where they wait, a level puts less load on it than its number says",
            );
        }
        let is_held = matches!(self.activity, FindActivity::Holding(_));
        let disturbed = second.limit.is_some()
            || !second.lacks_local_resources && is_held && is_by_host(&self.verdict)
            || self.has_lacked_tokens;
        let limit = second
            .limit
            .map(|limit| limit.sentence())
            .or_else(|| second.lacks_local_resources.then(no_local_resources));
        let is_limited = limit.is_some();
        self.last_limit = limit.or_else(|| self.last_limit.take());
        // What is shown of a hold is what it is judged by.
        if !is_limited {
            self.hold.merge(&second.latency);
        }
        let failed = second.failed
            + match self.options.by {
                LoadUnit::Vus => missed_calls(second),
                // Arrivals go to users that have a session.
                LoadUnit::Rate => 0,
            };
        let mut n_over = [0; LATENCY_LIMITS_MAX];
        for (n_over, limit) in n_over.iter_mut().zip(&self.options.latency) {
            *n_over = second.latency.count_over(limit.limit_ns) + failed;
        }
        let completed = second.ok + failed;
        self.progress.rate = completed as f64;
        self.progress.p99_ns = second.latency.quantile_ns(0.99);
        self.progress.failed = failed;
        let quantile = |q| self.hold.quantile_ns(q);
        let tick = SearchTick {
            length: SECOND,
            offered: match self.options.by {
                LoadUnit::Vus => second.started,
                LoadUnit::Rate => {
                    (second.arrivals as f64 * calls_per_iteration(self.plan)).round() as u64
                }
            },
            completed,
            failed,
            n_over,
            dropped: second.dropped,
            in_flight: second.under_way,
            median_ns: second.latency.quantile_ns(0.5),
            mean_ns: second.latency.mean_ns().map(|ns| ns as u64),
            hold: Percentiles {
                p50_ns: quantile(0.5),
                p95_ns: quantile(0.95),
                p99_ns: quantile(0.99),
            },
            generator_limited: is_limited,
            disturbed,
            grade: self.verdict.grade,
        };
        self.show();
        tick
    }

    fn is_late(&self) -> bool {
        is_past(self.deadline)
    }

    fn show(&mut self) {
        self.progress.elapsed = crate::clock::since(self.began);
        self.progress.level = self.at;
        self.progress.activity = self.activity;
        self.observer.searching(&self.progress);
    }

    fn outcome(&self, found: SearchOutcome) -> FindOutcome {
        let is_limited = found.ended == FindEnded::GeneratorLimited;
        let holds = found.sustains.as_ref().or(found.passed.as_ref());
        let fails = found.fails_at.as_ref().map(|failed| &failed.trial);
        let has_ends = holds.is_some() || fails.is_some();
        let last = found.trials.last().filter(|_| is_limited || !has_ends);
        let mut rests_on: Vec<&FindTrial> = Vec::new();
        for trial in [holds, fails, last].into_iter().flatten() {
            if !rests_on.contains(&trial) {
                rests_on.push(trial);
            }
        }
        let verdict_of = |trial: &FindTrial| {
            let at = found.trials.iter().position(|other| other == trial)?;
            Some((trial.level, self.verdicts.get(at)?.clone()))
        };
        let mut verdicts: Vec<_> = rests_on.into_iter().filter_map(verdict_of).collect();
        if verdicts.is_empty() {
            // Nothing was held, so there is nothing to rely on.
            let nothing = vec![(Grade::Invalid, Reason::NoCalls { cancelled: 0 })];
            verdicts.push((self.at, Verdict::of(nothing)));
        }
        if let Some(slowdown) = found.slowdown {
            let reason = Reason::NotRecovered {
                waited: slowdown.waited,
                before_ns: slowdown.baseline_ns,
                after_ns: slowdown.least_ns,
            };
            let verdict = Verdict::of(vec![(Grade::Suspect, reason)]);
            verdicts.push((slowdown.after, verdict));
        }
        let mut notices = self.notices.clone();
        notices.extend(contradiction(self.options.by, &found));
        FindOutcome {
            options: self.options.clone(),
            start: self.start.clone(),
            ended: found.ended,
            sustains: found.sustains,
            passed: found.passed,
            fails_at: found.fails_at,
            fails_surely_at: found.fails_surely_at,
            trials: found.trials,
            verdicts,
            estimate: found.estimate,
            elapsed: crate::clock::since(self.began),
            generator_limit: self.last_limit.clone().filter(|_| is_limited),
            tokens: self.tokens.as_ref().map(|tokens| tokens.figures()),
            n_foreign: self.n_foreign,
            notices,
        }
    }
}

/// That the level which fails had passed before: the server was not the same, or the level is
/// at the limit.
fn contradiction(by: LoadUnit, found: &SearchOutcome) -> Option<String> {
    let failed = &found.fails_at.as_ref().filter(|it| it.is_certain)?.trial;
    let at = found.trials.iter().rposition(|trial| trial == failed)?;
    let before = found.trials[..at].iter().rev().find(|trial| {
        let has_passed = matches!(trial.verdict, FindVerdict::Passed | FindVerdict::Plausible);
        trial.level == failed.level && has_passed
    })?;
    let level = match by {
        LoadUnit::Vus => plural(u64::from(users_of(failed.level)), "user", "users"),
        LoadUnit::Rate => format_rate(failed.level),
    };
    let p50 = |trial: &FindTrial| trial.p50_ns.map_or("-".to_string(), format_latency);
    Some(format!(
        "{level} passed as {} (p50 {}) and failed later as {} (p50 {}): the server was not the \
         same all the time, or the level is just at the limit",
        before.phase.word(),
        p50(before),
        failed.phase.word(),
        p50(failed),
    ))
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| crate::clock::now() >= deadline)
}

/// Whether something other than the load, the server and this program's settings
/// makes the figures doubtful: another hold may be spared it.
fn is_by_host(verdict: &Verdict) -> bool {
    let mut reasons = verdict.reasons.iter();
    reasons.any(|(_, reason)| {
        matches!(reason, Reason::Slowed(_) | Reason::ClockStepped { .. })
            && reason.id() != "worker_busy"
    })
}

fn no_local_resources() -> String {
    "connections could not be opened for want of resources of this machine (open files, local \
     ports or memory): the server is not to blame"
        .to_string()
}

/// What was judged of a level, without what a search sees to itself: whether
/// there are calls enough, and a level at which arrivals are dropped fails.
fn of_a_level(judged: Option<Verdict>) -> Verdict {
    const OF_THE_SEARCH: [&str; 2] = ["no_calls", "short_run"];
    let mut reasons = judged.map_or_else(Vec::new, |verdict| verdict.reasons);
    reasons.retain(|(_, reason)| !OF_THE_SEARCH.contains(&reason.id()));
    Verdict::of(reasons)
}

/// What the users that were turned away would have called, had they called as
/// often as the others.
fn missed_calls(second: &LevelSecond) -> u64 {
    let calls_per_user = (second.ok / second.ready.max(1)).max(1);
    second.locked_out.saturating_mul(calls_per_user)
}

/// The highest level passed below all that were not, and the lowest of those.
fn bracket(search: &Search) -> (Option<f64>, Option<f64>) {
    let levels = |passed: bool| {
        let of = search.trials().iter().filter(move |trial| {
            use FindVerdict::{Failed, Passed, Plausible, Undecided};
            match trial.verdict {
                _ if trial.repeated => false,
                Passed | Plausible => passed,
                Failed(_) | Undecided(_) => !passed,
                _ => false,
            }
        });
        of.map(|trial| trial.level)
    };
    let high = levels(false).reduce(f64::min);
    let low = levels(true)
        .filter(|level| high.is_none_or(|high| *level < high))
        .reduce(f64::max);
    (low, high)
}

/// Requests of a mean iteration.
fn calls_per_iteration(plan: &Plan) -> f64 {
    let shares = plan.flows.iter().zip(plan.mix());
    let calls: f64 = shares.map(|(flow, share)| calls_of(flow) * share).sum();
    if calls > 0.0 { calls } else { 1.0 }
}

/// Requests of an iteration in which all goes well: all calls of a group, both of
/// code mode, and none of what a session does once.
fn calls_of(flow: &Flow) -> f64 {
    let steps = flow.steps.iter().filter(|step| !step.is_once);
    let calls = steps.flat_map(|step| {
        let times = f64::from(step.parallel.max(1)) * f64::from(step.repeat.max(1));
        step.calls.iter().map(move |call| match &call.action.value {
            scenario::Action::Call(_) => times,
            scenario::Action::CodeMode { .. } => 2.0 * times,
        })
    });
    calls.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Action, Target};
    use crate::validity::{Reason, Signal, Slowed};

    #[test]
    fn what_a_search_leaves_out_is_told() {
        let target = Target::new("http://127.0.0.1:8080/mcp").expect("an address");
        let flow = Flow::from(Action::Call(crate::protocol::Operation::Ping));
        let mut plan = Plan::new(target, vec![flow]);
        assert!(left_out(&plan).is_empty());
        plan.probe = Some(10.0);
        let threshold = crate::threshold::parse("p99<5ms");
        plan.thresholds = vec![threshold.expect("a threshold"); 2];
        let told = left_out(&plan);
        assert!(told[0].contains("`settings.probe` is left out"), "{told:?}");
        let of_config = "the 2 `[[threshold]]` of the config are left out";
        assert!(told[1].contains(of_config), "{told:?}");
        plan.thresholds.truncate(1);
        let told = left_out(&plan);
        assert!(told[1].contains("the `[[threshold]]` of"), "{told:?}");
    }

    #[test]
    fn what_makes_a_level_fail_makes_it_no_less_trusted() {
        let steal = Reason::Slowed(Slowed::by(Signal::Steal { share: 0.1 }));
        let short = Reason::ShortRun {
            elapsed: Duration::from_millis(400),
            rate_off: 0.5,
        };
        let judged = Verdict::of(vec![
            (Grade::Invalid, Reason::NoCalls { cancelled: 3 }),
            (Grade::Suspect, steal.clone()),
            (Grade::Suspect, short),
        ]);
        let verdict = of_a_level(Some(judged));
        assert_eq!(verdict.reasons, [(Grade::Suspect, steal)]);
        assert_eq!(of_a_level(None).grade, Grade::Valid);
    }
}
