//! The loop: receive, decide, command.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::never;

use super::collect::{Collector, Figures, move_calls_in_flight};
use super::crew::{Crew, CrewOptions, CrewRole, Word};
use super::guard::AbortGuard;
use super::interrupts::Interrupts;
use super::judge::Recorded;
use super::lookups::Lookups;
use super::noted::Noted;
use super::prepare::{
    Preparation, check_room, choose_cpus, generator_facts, opening_limit, prepare,
};
use super::probe::{self, Probe};
use super::second_rows::Gatherer;
use super::start::{await_start, late_notice};
use super::tick::{is_warm_up, tick_end};
use super::watch::{Watching, last_limit};
use crate::auth::Tokens;
use crate::clock::{SystemClock, Utc};
use crate::data::DataSet;
use crate::decide::breakpoint::{
    Break, Cause, Detector, DetectorOptions, ErrorEvidence, Latencies, Purpose, Window,
};
use crate::decide::control::{
    Controller, Happening, LoadAction, arrival_schedule, changes_load, is_load_steady, rate_at,
    rate_served, spans,
};
use crate::decide::denied::{Denials, Ends};
use crate::decide::elapsed::LoadTimes;
use crate::decide::standstill::{Happened, Standstill};
use crate::decide::threshold::{self, abort::Abort};
use crate::error::UserError;
use crate::load::LoadUnit;
use crate::metrics::{Counters, Failure, Histogram};
use crate::outcome::{
    BreakKind, BreakingPoint, Ended, Observer, Phase, Progress, RowKind, Rows, RunOutcome,
    RunStart, Witness,
};
use crate::scenario::{HistogramMode, Plan};
use crate::units::{format_duration, nanos, part_of, plural};
use crate::user::Budget;
use crate::validity::Reason;
use crate::worker::{Command, TICK, WorkerEnd};

/// Looked for at least this often, so that progress goes on when ticks do not.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Arrivals are due from this long after they are announced, so that all workers
/// know of it before the first of them.
const BEGIN_AHEAD: Duration = Duration::from_millis(2);

/// Under a steady load, what broke before this was never whole.
const STEADY_START: Duration = Duration::from_secs(2);

/// How long a run that only its iterations end goes on without any session.
const NO_SESSION_WAIT: Duration = Duration::from_secs(30);

/// Nearly all answers carried the kernel's timestamp: the first on a host may
/// not, since the kernel begins with it when somebody asks.
const FALLBACK_SHARE: f64 = 0.01;

/// Runs a plan: finds the server, generates the load, and returns what was
/// measured. Blocks until all is over. The observer is called on this thread.
///
/// # Errors
/// When the load could not begin: no server, no permission, steps that the
/// server cannot be asked; or when a worker fails, which is a fault of this
/// machine. A server that breaks under the load is an outcome, not an error.
pub fn run(
    plan: Plan,
    observer: &mut dyn Observer,
    interrupts: &Interrupts,
) -> Result<RunOutcome, UserError> {
    run_before(plan, None, observer, interrupts)
}

/// The same; before a witness it is a trial.
pub(super) fn run_before(
    plan: Plan,
    witness: Option<Witness>,
    observer: &mut dyn Observer,
    interrupts: &Interrupts,
) -> Result<RunOutcome, UserError> {
    let plan = Arc::new(plan);
    let mut noted = Noted::new(observer, &plan.notices);
    let mut prepared = prepare(&plan, &mut noted, interrupts)?;
    if let (Some(witness), Some(script)) = (witness, Arc::get_mut(&mut prepared.script)) {
        script.show_to(witness);
    }
    check_room(&plan, &prepared.servers, &mut noted);
    await_start(&plan, &mut noted, interrupts)?;
    let result = generate(&plan, prepared, &mut noted, interrupts);
    noted.ended();
    let mut outcome = result?;
    outcome.notices.splice(0..0, noted.notices);
    Ok(outcome)
}

fn generate(
    plan: &Arc<Plan>,
    prepared: Preparation,
    observer: &mut dyn Observer,
    interrupts: &Interrupts,
) -> Result<RunOutcome, UserError> {
    let (cpus, assigned) = choose_cpus(plan);
    thread::scope(|scope| {
        let crew = Crew::engage(
            scope,
            &CrewOptions {
                role: CrewRole::Worker,
                script: &prepared.script,
                cpus: &assigned,
                budget: Budget::new(plan.iterations(), assigned.len()),
                arrivals: arrival_schedule(plan),
                users_max: plan.whole_vus_max(),
            },
        )?;
        let probe = match (prepared.probe, plan.probe) {
            (Some(script), Some(rate)) => {
                let cpu = cpus.beside(&crew.cpus);
                Some(Probe::start(scope, rate, script, cpu)?)
            }
            _ => None,
        };
        let start = RunStart {
            at: Utc::now(),
            servers: prepared.servers,
            rows: prepared.script.rows.clone(),
            generator: generator_facts(plan, &cpus, crew.cpus.clone()),
            duration: plan.stop.duration,
            iterations: plan.iterations(),
        };
        let mut coordinator = Coordinator::new(plan, start, crew, observer, interrupts);
        coordinator.probe = probe;
        coordinator.tokens = prepared.script.tokens.clone();
        coordinator.lookups = prepared.lookups;
        let clock = coordinator.load()?;
        Ok(coordinator.outcome(clock))
    })
}

struct Coordinator<'a> {
    plan: &'a Plan,
    start: RunStart,
    crew: Crew,
    observer: &'a mut dyn Observer,
    interrupts: &'a Interrupts,
    interrupts_seen: u32,
    controller: Controller,
    collector: Collector,
    detector: Detector,
    windows: Windows,
    breaking_point: Option<BreakingPoint>,
    /// The user was told that the server changed under a steady load.
    has_told_of_change: bool,
    /// Of the workers that have ended: the sum of their most users at once.
    active_max: u32,
    /// Users that never had a session.
    without_session: u32,
    /// Of the workers that have ended: the sum of their most listening streams at once.
    listening_max: u32,
    first_begin: Option<Instant>,
    last_end: Option<Instant>,
    last_given_up: Option<Instant>,
    latency: Histogram,
    /// Beside the workers, where the plan has one.
    probe: Option<Probe>,
    lookups: Option<Lookups>,
    watching: Watching,
    standstill: Standstill,
    denials: Denials,
    /// The user was told that nobody is let in any more.
    has_told_of_denials: bool,
    /// Where thresholds may end the run.
    guard: Option<AbortGuard>,
    aborted: Option<Abort>,
    /// Who has which token, where tokens are fetched.
    tokens: Option<Arc<Tokens>>,
}

impl<'a> Coordinator<'a> {
    fn new(
        plan: &'a Plan,
        start: RunStart,
        crew: Crew,
        observer: &'a mut dyn Observer,
        interrupts: &'a Interrupts,
    ) -> Self {
        let controller = Controller::new(plan);
        let mut collector = Collector::new(
            &start.rows,
            crew.len(),
            plan.warm_up,
            plan.has_intended_starts(),
            plan.workers.busy_poll,
            spans(plan),
        );
        if plan.histograms == HistogramMode::Seconds {
            collector.keep_intervals(plan.stop.duration);
        }
        if observer.wants_seconds() {
            collector.gatherer = Some(Gatherer::new(start.rows.len()));
        }
        let guard = AbortGuard::new(plan, &start.rows).map(|(guard, watched)| {
            collector.watched = watched;
            guard
        });
        Self {
            guard,
            aborted: None,
            tokens: None,
            watching: Watching::start(&start.generator.worker_cpus),
            plan,
            start,
            crew,
            observer,
            interrupts,
            interrupts_seen: 0,
            controller,
            collector,
            detector: Detector::new(detector_options(plan)),
            windows: Windows::new(plan),
            breaking_point: None,
            has_told_of_change: false,
            active_max: 0,
            without_session: 0,
            listening_max: 0,
            first_begin: None,
            last_end: None,
            last_given_up: None,
            latency: Histogram::new(),
            probe: None,
            lookups: None,
            standstill: Standstill::default(),
            denials: Denials::default(),
            has_told_of_denials: false,
        }
    }

    /// From the first session to the last worker's end.
    fn load(&mut self) -> Result<SystemClock, UserError> {
        // The probe's handshake has the server to itself.
        self.await_opening(|run| run.probe.as_ref().is_none_or(Probe::has_tried))?;
        if self.plan.load.unit() == LoadUnit::Rate {
            self.crew.set_users(self.plan.vus_max());
            self.await_opening(|run| run.collector.users().tried >= run.plan.vus_max())?;
        }
        // Closed users begin as soon as they are told to: a later origin would
        // make a short run look shorter than it was, and its rate higher.
        let ahead = match self.plan.load.unit() {
            LoadUnit::Rate => BEGIN_AHEAD,
            LoadUnit::Vus => Duration::ZERO,
        };
        let soonest = crate::clock::now();
        let start = self
            .plan
            .start_at
            .and_then(|at| soonest.checked_add(at.until()));
        if let Some(start) = start {
            self.await_until(start - ahead, |_| false)?;
        }
        let soonest = crate::clock::now() + ahead;
        let clock = SystemClock::since(start.map_or(soonest, |start| start.max(soonest)));
        self.start.at = Utc::now();
        if let Some(notice) = late_notice(self.plan, self.start.at) {
            self.observer.notice(&notice);
        }
        self.observer.started(&self.start);
        self.watching.load_begins(clock);
        let warm_up = self.collector.warm_up_end();
        self.broadcast(|| Command::Begin {
            origin: clock.origin(),
            warm_up,
        });
        let mut happening = Happening::Nothing;
        while !self.have_all_ended() {
            let now = clock.now();
            for action in self.controller.decide(now, happening) {
                self.act(action);
            }
            let wait = self
                .controller
                .next_decision(now)
                .map_or(LOOK_EVERY, |at| at.saturating_sub(now).min(LOOK_EVERY));
            happening = self.receive(wait, &clock)?;
            self.look_up();
        }
        Ok(clock)
    }

    /// Sends connections elsewhere where the server's name leads elsewhere by now.
    fn look_up(&mut self) {
        let Some(lookups) = &mut self.lookups else {
            return;
        };
        let mut tell = |text: &str| self.observer.notice(text);
        if let Some(addresses) = lookups.addresses(crate::clock::now(), &mut tell) {
            self.broadcast(|| Command::UseAddresses(Arc::clone(&addresses)));
        }
    }

    /// Those who wait for intended starts open their sessions before the first
    /// of these, so that none waits for a handshake.
    fn await_opening(&mut self, is_over: impl Fn(&Self) -> bool) -> Result<(), UserError> {
        let limit = crate::clock::now() + opening_limit(self.plan);
        self.await_until(limit, is_over)
    }

    /// Before the load begins: takes what the workers say, until there is nothing
    /// more to wait for, `limit`, or an interrupt.
    fn await_until(
        &mut self,
        limit: Instant,
        is_over: impl Fn(&Self) -> bool,
    ) -> Result<(), UserError> {
        let clock = SystemClock::start();
        while !is_over(self) {
            let left = limit.saturating_duration_since(crate::clock::now());
            if left.is_zero() || self.interrupts.is_pending() {
                break;
            }
            self.receive(left.min(LOOK_EVERY), &clock)?;
        }
        // Nobody has acted yet on what was seen meanwhile.
        self.interrupts_seen = 0;
        Ok(())
    }

    fn have_all_ended(&self) -> bool {
        self.crew.have_all_ended() && self.probe.as_ref().is_none_or(Probe::has_ended)
    }

    fn receive(&mut self, wait: Duration, clock: &SystemClock) -> Result<Happening, UserError> {
        let nothing = never();
        let of_probe = self.probe.as_ref().map_or(&nothing, Probe::events);
        crossbeam_channel::select! {
            recv(self.crew.events) -> event => {
                let word = self.crew.heard(event.ok())?;
                self.take(word, clock);
            },
            recv(of_probe) -> event => if let Some(probe) = &mut self.probe {
                probe.take(event.ok())?;
            },
            recv(self.interrupts.wake) -> _ => {}
            default(wait) => self.show(clock),
        }
        if let Some(notice) = self.tokens.as_ref().and_then(|it| it.take_notice()) {
            self.observer.notice(&notice);
        }
        if self.interrupts.count() > self.interrupts_seen {
            self.interrupts_seen += 1;
            return Ok(Happening::Interrupt);
        }
        if self.aborted.is_some() {
            return Ok(Happening::End(Ended::Threshold));
        }
        if self.plan.breaking.stop && self.breaking_point.is_some() {
            return Ok(Happening::End(Ended::Broke));
        }
        if self
            .plan
            .iterations()
            // One that has begun may have steps to come.
            .is_some_and(|all| self.collector.iterations_completed >= all)
        {
            return Ok(Happening::End(Ended::Iterations));
        }
        if self.is_hopeless(clock.now()) || self.stands_still(clock.now()) {
            return Ok(Happening::End(Ended::NoSession));
        }
        if self.lets_nobody_in(clock.now()) {
            return Ok(Happening::End(Ended::Denied));
        }
        Ok(Happening::Nothing)
    }

    /// Whether the server answers every call and handshake with 401 or 403, for good.
    fn lets_nobody_in(&mut self, now: Duration) -> bool {
        if self.controller.stopped().is_some() {
            return false;
        }
        let mut ends = Ends::default();
        let mut causes = crate::metrics::FailureCounts::default();
        let recorders = self.collector.warm.iter().chain([&self.collector.totals]);
        for recorder in recorders {
            let rows = Rows::new(&self.start.rows, recorder);
            for (_, row) in rows.in_totals().chain(rows.of(RowKind::Handshake)) {
                let denied = row.failures.denied();
                ends.denied += denied;
                ends.others += row.finished().saturating_sub(denied);
                if denied > 0 {
                    causes.merge(&row.failures);
                }
            }
        }
        let n_users = self.controller.users_at(now);
        let Some(let_in) = self.denials.see(now, ends, n_users) else {
            return false;
        };
        if !std::mem::replace(&mut self.has_told_of_denials, true) {
            let ranked = causes.ranked().into_iter().map(|(failure, _)| failure);
            let cause = ranked.into_iter().find(|failure| failure.is_denial());
            let cause = cause.map_or_else(String::new, Failure::id);
            let renewed = self.tokens.is_some();
            self.observer
                .notice(&denied_notice(&cause, let_in, now, renewed));
        }
        true
    }

    /// Whether every user has tried to open a session, none ever could, and
    /// more of the same will not help: they are not let in, or nothing but a
    /// session would ever end the run.
    fn is_hopeless(&self, now: Duration) -> bool {
        if self.tokens.as_ref().is_some_and(|tokens| tokens.are_lost()) {
            return true;
        }
        // Handshakes are counted in the totals, the warm-up's as well.
        let totals = &self.collector.totals;
        let wanted = self.controller.users_at(now).max(1);
        if totals.counters.sessions_opened > 0 || self.collector.users().tried < wanted {
            return false;
        }
        let handshakes = Rows::new(&self.start.rows, totals).of(RowKind::Handshake);
        let causes = handshakes.flat_map(|(_, stats)| stats.failures.ranked());
        let mut n_causes = 0;
        let not_let_in = causes
            .inspect(|_| n_causes += 1)
            .all(|(failure, _)| failure.is_denial() || matches!(failure, Failure::Auth(_)));
        not_let_in && n_causes > 0 || self.plan.stop.duration.is_none() && now >= NO_SESSION_WAIT
    }

    /// Whether a run that only its iterations would end gets none done any
    /// more, for want of sessions.
    fn stands_still(&mut self, now: Duration) -> bool {
        if self.plan.stop.duration.is_some() {
            return false;
        }
        let totals = &self.collector.totals;
        let handshakes = Rows::new(&self.start.rows, totals).of(RowKind::Handshake);
        let n_refused: u64 = handshakes.map(|(_, stats)| stats.failed).sum();
        let n_lost = totals.counters.sessions_expired;
        let happened = Happened {
            iterations: totals.counters.iterations_completed.saturating_sub(n_lost),
            troubles: n_lost + n_refused,
        };
        let n_users = self.controller.users_at(now);
        self.standstill.see(now, happened, n_users)
    }

    fn take(&mut self, word: Word, clock: &SystemClock) {
        self.watching.ask_host(&mut self.collector);
        match word {
            Word::Tick(tick) => {
                let worker = tick.worker;
                let recorder = self.collector.take(*tick);
                self.crew.recycle(worker, recorder);
            }
            Word::End(end) => {
                let WorkerEnd {
                    worker,
                    recorder,
                    usage,
                    first_begin,
                    last_end,
                    last_given_up,
                    active_max,
                    without_session,
                    listening_max,
                } = *end;
                self.active_max += active_max;
                self.without_session += without_session;
                self.listening_max += listening_max;
                self.collector.take_last(worker, &usage, &recorder);
                let begins = [self.first_begin, first_begin];
                self.first_begin = begins.into_iter().flatten().min();
                self.last_end = self.last_end.max(last_end);
                self.last_given_up = self.last_given_up.max(last_given_up);
            }
        }
        self.look(clock);
    }

    fn watch_seconds(&mut self) {
        let plan = self.plan;
        self.watching
            .see(&mut self.collector, |at| match plan.load.unit() {
                LoadUnit::Rate => Some(rate_at(plan, at)),
                LoadUnit::Vus => None,
            });
    }

    /// Looks at the ticks that have become complete.
    fn look(&mut self, clock: &SystemClock) {
        let mut is_new = false;
        while let Some((number, interval)) = self.collector.next_complete() {
            is_new = true;
            // A server that is not warm yet breaks nothing, and is not a baseline.
            if is_warm_up(number, self.plan.warm_up) {
                continue;
            }
            let load = match self.plan.load.unit() {
                LoadUnit::Rate => rate_at(self.plan, tick_end(number)),
                LoadUnit::Vus => interval.counts.mean_users(),
            };
            self.windows.add(number, interval, load);
            if let Some(guard) = &mut self.guard {
                let counts = &interval.counts;
                guard.add(&interval.watched, counts.ended(), counts.answered());
                if self.aborted.is_none() && self.controller.stopped().is_none() {
                    self.look_for_aborts(number);
                }
            }
            if self.windows.is_complete() && self.controller.stopped().is_none() {
                let in_flight = self.collector.in_flight();
                let window = self.windows.window(in_flight);
                // A breaking point is that of one server.
                if !self.plan.has_several_targets() {
                    self.detector.on_window(&window);
                }
                self.windows.clear();
            }
        }
        self.look_for_breaks();
        if is_new {
            self.watch_seconds();
            self.tell_seconds();
            self.show(clock);
        }
    }

    /// Tells of the seconds that are complete, where somebody wants them.
    fn tell_seconds(&mut self) {
        self.collector
            .tell_seconds(Duration::ZERO, None, self.observer);
    }

    /// A threshold that ends the run does so by whole seconds.
    fn look_for_aborts(&mut self, number: u64) {
        let (collector, rows) = (&self.collector, &self.start.rows);
        let p99 = || {
            let calls = Rows::new(rows, &collector.totals).totals();
            let readings = calls.measured(self.plan.has_intended_starts());
            Duration::from_nanos(readings.quantile_ns(0.99).unwrap_or(0))
        };
        let guard = self.guard.as_mut();
        let aborted = guard.and_then(|it| it.close(number, collector.in_flight(), p99));
        if let Some(abort) = aborted {
            let text = &self.plan.thresholds[abort.threshold].text;
            let notice = format!("the threshold `{text}` ends the run: {}", abort.why);
            self.observer.notice(&notice);
            self.aborted = Some(abort);
        }
    }

    /// The first break of the load is the breaking point; one that came with time
    /// is told of.
    fn look_for_breaks(&mut self) {
        if self.breaking_point.is_some() {
            return;
        }
        let Some(found) = first_break(self.detector.breaks(), self.plan) else {
            return;
        };
        // Who sets a limit wants to know of it under any load.
        let rule = &self.plan.breaking;
        if found.came_with_time && !rule.stop && rule.latency_max.is_none() {
            if !std::mem::replace(&mut self.has_told_of_change, true) {
                let mut failures = crate::metrics::FailureCounts::default();
                let rows = Rows::new(&self.start.rows, &self.collector.totals);
                for (_, stats) in rows.in_totals() {
                    failures.merge(&stats.failures);
                }
                let is_steady = is_load_steady(self.plan, found.found.began);
                let notice = change_notice(found.found, is_steady, failures.ranked().first());
                self.observer.notice(&notice);
            }
        } else {
            self.breaking_point = Some(translate(&found));
        }
    }

    fn show(&mut self, clock: &SystemClock) {
        let rate = self.collector.last_second(&mut self.latency);
        let users = self.collector.users();
        let ranked = {
            let mut all = crate::metrics::FailureCounts::default();
            for row in &self.collector.totals.rows {
                all.merge(&row.failures);
            }
            all.ranked()
        };
        let elapsed = clock.now();
        self.observer.progress(&Progress {
            elapsed,
            vus: users.active,
            vus_ready: users.ready,
            in_flight: self.collector.in_flight(),
            ok: self.collector.ok,
            failed: self.collector.failed,
            iterations: self.collector.iterations_completed,
            rate,
            latency: &self.latency,
            failures: &ranked,
            rows: Rows::new(&self.start.rows, &self.collector.totals),
            counters: &self.collector.totals.counters,
            phase: self.phase(elapsed),
            breaking_point: self.breaking_point.as_ref(),
            generator_limit: last_limit(&self.collector),
        });
    }

    fn phase(&self, elapsed: Duration) -> Phase {
        if self.controller.stopped().is_some() {
            return Phase::Stopping;
        }
        if elapsed < self.plan.warm_up {
            return Phase::WarmUp;
        }
        let spans = spans(self.plan);
        let stage = spans.iter().position(|span| elapsed < span.end);
        Phase::Running {
            stage: stage.map(|stage| (stage, spans.len())),
        }
    }

    fn act(&mut self, action: LoadAction) {
        match action {
            LoadAction::SetUsers(users) => self.crew.set_users(users),
            LoadAction::Stop(why) => {
                if let Some((at, _)) = self.controller.stopped() {
                    self.collector.signals.load_ends(at);
                }
                self.broadcast(|| Command::Stop);
                // Calls in flight may end. That there be none more, nobody has to wait for.
                if why == Ended::Interrupted {
                    self.broadcast(|| Command::CancelOpenings);
                }
            }
            LoadAction::CancelCalls => self.broadcast(|| Command::CancelCalls),
            LoadAction::CancelAll => self.broadcast(|| Command::CancelAll),
        }
    }

    fn broadcast(&self, command: impl Fn() -> Command) {
        self.crew.broadcast(&command);
        if let Some(probe) = &self.probe {
            probe.send(&command);
        }
    }

    fn outcome(mut self, clock: SystemClock) -> RunOutcome {
        let (stopped_at, ended) = self
            .controller
            .stopped()
            .unwrap_or((clock.now(), Ended::Iterations));
        let since_start = |at: Option<Instant>| Some(at?.saturating_duration_since(clock.origin()));
        // Arrivals are due from the start on, whenever a user takes the first.
        let first_begin = match self.plan.load.unit() {
            LoadUnit::Rate => Some(clock.origin()),
            LoadUnit::Vus => self.first_begin,
        };
        let times = LoadTimes {
            ended,
            started_at: since_start(first_begin),
            stopped_at,
            planned: self.plan.stop.duration,
            last_end: since_start(self.last_end),
            last_given_up: since_start(self.last_given_up),
        };
        self.watching.ask_host_last(&mut self.collector);
        let mut stages = self.collector.finish(times.start(), times.end());
        self.watch_seconds();
        self.tell_seconds();
        for group in self.collector.groups() {
            // What one stage began and another one ended belongs to the latter.
            let stages = stages.iter_mut().map(|stage| stage.calls_mut(group));
            let mut blocks: Vec<_> = stages.collect();
            for at in 1..blocks.len() {
                let (from, to) = blocks.split_at_mut(at);
                move_calls_in_flight(from[at - 1], to[0]);
            }
        }
        let mut totals = std::mem::take(&mut self.collector.totals);
        let mut warm_up = self.collector.warm.take();
        if let Some(warm) = &mut warm_up {
            warm.forget_arrivals_left();
            totals.examples.merge(&warm.examples);
        }
        totals.forget_arrivals_left();
        let warm_up_end = self.collector.warm_up_end();
        let (warm_length, elapsed) = times.cut_at(warm_up_end);
        let (self_check, verdict) = Recorded {
            plan: self.plan,
            rows: &self.start.rows,
            totals: &totals,
            warm_up: warm_up.as_ref(),
            signals: &self.collector.signals,
            seconds: &self.collector.seconds,
            elapsed,
            load: (times.end().saturating_sub(elapsed), times.end()),
            offered_until: times.offered_until(),
            unbegun: times.start().saturating_sub(warm_up_end),
            in_flight_for: times.in_flight_for(),
            worker_cpus: &self.start.generator.worker_cpus,
            vus_max: self.collector.vus_max.max(self.active_max),
            users_without: self.without_session,
            n_resumed: self.interrupts.n_resumed(),
        }
        .judge();
        if let Some(share) = self_check.reads.fallback_share() {
            self.start.generator.kernel_timestamps = share <= FALLBACK_SHARE;
        }
        let mut notices = self.notices(&totals.counters);
        let ended_with_data = match ended {
            Ended::Iterations => data_end(self.plan),
            _ => None,
        };
        notices.extend(ended_with_data.clone());
        // What the verdict says is said once.
        let said = verdict.reasons.iter().map(|(_, reason)| reason);
        let is_said = said.chain(&verdict.notes).any(Reason::tells_of_drops);
        if totals.counters.arrivals_dropped > 0 && !is_said {
            notices.push(dropped(&totals.counters));
        }
        let probe = self.probe.take().map(|probe| {
            let by_time = self.plan.stop.duration.filter(|_| ended == Ended::Duration);
            probe.outcome(clock.origin(), by_time.unwrap_or(stopped_at))
        });
        if let Some(probe) = &probe {
            let load_finished = probe::finished_calls(&self.start.rows, &totals);
            notices.extend(probe::notices(probe, load_finished));
        }
        // Sessions are counted in the totals, the warm-up's as well.
        let ended = if totals.counters.sessions_opened == 0 && ended != Ended::Interrupted {
            Ended::NoSession
        } else if ended_with_data.is_some() {
            Ended::Data
        } else {
            ended
        };
        let vus_max = self.collector.vus_max.max(self.active_max);
        let of_probe = probe.as_ref().map(|probe| probe.totals.isolation.foreign);
        let n_foreign_of_probe = of_probe.unwrap_or_default();
        let (thresholds, gate) = threshold::judge(
            &self.plan.thresholds,
            &threshold::RunFigures {
                ended,
                rows: Rows::new(&self.start.rows, &totals),
                counters: &totals.counters,
                arrivals: &totals.arrivals,
                n_foreign: totals.isolation.foreign + n_foreign_of_probe,
                elapsed,
                late_end: verdict.bounds.late_end,
                is_part: !self.plan.segment.is_whole(),
                has_intended_starts: self.plan.has_intended_starts(),
                stages: &stages,
                breaking_point: self.breaking_point.as_ref(),
                load_reached: match self.plan.load.unit() {
                    LoadUnit::Rate => rate_served(
                        self.plan,
                        stopped_at,
                        &self.collector.kept_up,
                        totals.counters.iterations_started as f64
                            / elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
                    ),
                    LoadUnit::Vus => f64::from(vus_max),
                },
                aborted: self.aborted.as_ref(),
            },
        );
        RunOutcome {
            start: self.start,
            ended,
            elapsed,
            totals,
            warm_up: warm_up.map(|warm| (warm_length, warm)),
            stages,
            intervals: self.collector.take_intervals(),
            seconds: std::mem::take(&mut self.collector.seconds),
            // Ticks see only what lasts; a short run may end before the first.
            vus_max,
            listening_max: self.listening_max,
            breaking_point: self.breaking_point,
            probe,
            notices,
            self_check,
            verdict,
            thresholds,
            gate,
            tokens: self.tokens.map(|tokens| tokens.figures()),
        }
    }
}

/// Of a run that has done its iterations: which data set had no rows for more.
fn data_end(plan: &Plan) -> Option<String> {
    let is_end = |set: &&Arc<DataSet>| {
        set.iterations_max().is_some() && set.iterations_max() == plan.stop.iterations
    };
    let set = plan.data.iter().find(is_end)?;
    Some(format!(
        "the run ended with its data: {} of the data set `{}` are used; `at_end = \"repeat\"` \
         begins again with the first",
        plural(set.n_rows() as u64, "row", "rows"),
        set.name
    ))
}

impl Coordinator<'_> {
    /// What the run itself has to say.
    fn notices(&self, counters: &Counters) -> Vec<String> {
        let mut notices = Vec::new();
        if self.without_session > 0 && counters.sessions_opened > 0 {
            notices.push(format!(
                "{} never got a session: the load was smaller than planned; the handshake's row \
                 says why",
                part_of(
                    u64::from(self.without_session),
                    u64::from(self.active_max),
                    "virtual user",
                    "virtual users"
                )
            ));
        }
        notices
    }
}

fn dropped(counters: &Counters) -> String {
    let (dropped, all) = (counters.arrivals_dropped, counters.arrivals);
    format!(
        "{} {} dropped: no virtual user was free and the queue was full, or the run ended",
        part_of(dropped, all, "arrival", "arrivals"),
        if dropped == 1 { "was" } else { "were" }
    )
}

/// Ticks gathered into the windows that the detector looks at.
struct Windows {
    ticks_per_window: u64,
    n_ticks: u64,
    end: Duration,
    load_sum: f64,
    figures: Figures,
}

impl Windows {
    /// A second each, or a hundredth of a shorter run.
    fn new(plan: &Plan) -> Self {
        let ticks = plan.stop.duration.map_or(4, |duration| {
            let hundredth = duration / 100;
            u64::try_from(hundredth.as_nanos() / TICK.as_nanos()).unwrap_or(4)
        });
        Self {
            ticks_per_window: ticks.clamp(1, 4),
            n_ticks: 0,
            end: Duration::ZERO,
            load_sum: 0.0,
            figures: Figures::default(),
        }
    }

    fn add(&mut self, number: u64, interval: &Figures, load: f64) {
        self.n_ticks += 1;
        self.end = tick_end(number);
        self.load_sum += load;
        self.figures.merge(interval);
    }

    fn is_complete(&self) -> bool {
        self.n_ticks >= self.ticks_per_window
    }

    fn window(&self, in_flight: u64) -> Window<'_> {
        let counts = &self.figures.counts;
        Window {
            end: self.end,
            length: tick_end(self.n_ticks),
            load: self.load_sum / self.n_ticks.max(1) as f64,
            ok: counts.ok,
            failed: counts.failed,
            timed_out: counts.timed_out,
            in_flight,
            latencies: &self.figures.latency,
        }
    }

    fn clear(&mut self) {
        self.n_ticks = 0;
        self.load_sum = 0.0;
        self.figures.clear();
    }
}

impl Latencies for Histogram {
    fn for_each(&self, visit: &mut dyn FnMut(u64, u64)) {
        for (ns, count) in self.recorded() {
            visit(ns, count);
        }
    }
}

fn detector_options(plan: &Plan) -> DetectorOptions {
    DetectorOptions {
        load: plan.load.unit(),
        latency_limit_ns: plan.breaking.latency_max.map(nanos),
        max_error_share: plan.breaking.error_share_max,
        purpose: if plan.breaking.stop {
            Purpose::Stop
        } else {
            Purpose::Report
        },
    }
}

/// A break, and whether the load or only the time had changed.
struct FirstBreak<'a> {
    found: &'a Break,
    came_with_time: bool,
}

/// The break that began first. Under a load that never changes, one that was there
/// from the start counts only where the user looks for it: the figures show it as
/// it is. Where the load had been kept up before, the break came with time.
fn first_break<'a>(breaks: &'a [Break], plan: &Plan) -> Option<FirstBreak<'a>> {
    let rule = &plan.breaking;
    let from_start = changes_load(plan) || rule.stop || rule.latency_max.is_some();
    let was_well = |found: &Break| found.last_good_load.is_some() && found.began >= STEADY_START;
    let found = breaks
        .iter()
        .filter(|found| from_start || was_well(found))
        .min_by_key(|found| found.began)?;
    Some(FirstBreak {
        found,
        came_with_time: was_well(found)
            && (had_been_kept_up(found) || is_load_steady(plan, found.began)),
    })
}

/// Whether as much load or more had been kept up before: then it is not the load
/// that broke the server, however short that was ago.
fn had_been_kept_up(found: &Break) -> bool {
    found.last_good_load.is_some_and(|good| good >= found.load)
}

/// `let_in`: how long, from the start of the load, others than denials were answered.
/// `are_renewed`: the run has its tokens renewed.
fn denied_notice(cause: &str, let_in: Duration, now: Duration, are_renewed: bool) -> String {
    let told = |length: Duration| format_duration(Duration::from_secs(length.as_secs()));
    let since = told(now.saturating_sub(let_in));
    match let_in.as_secs() {
        0 => format!(
            "the server lets nobody in: every request of {since} was answered with {cause}; the \
             run ends early"
        ),
        _ => format!(
            "the token was accepted for {}, then every request of {since} was answered with \
             {cause}: the run ends early; {}",
            told(let_in),
            match are_renewed {
                true => "other tokens that came were refused, too",
                false => "give a token that lives as long as the run, or have it renewed",
            }
        ),
    }
}

/// A change under a load that did not grow, with the most frequent failure so far.
fn change_notice(found: &Break, is_steady: bool, cause: Option<&(Failure, u64)>) -> String {
    let cause = match (&found.cause, cause) {
        (Cause::Errors(_), Some((failure, _))) => format!(" (mostly {})", failure.id()),
        _ => String::new(),
    };
    let load = match is_steady {
        true => "the load was steady",
        false => "as much load had been kept up before",
    };
    format!(
        "{}{cause}; {load}, so this is not a breaking point: something changed with time",
        found.sentence_of_time()
    )
}

fn translate(first: &FirstBreak<'_>) -> BreakingPoint {
    let found = first.found;
    let how = match &found.cause {
        Cause::Saturation(evidence) => BreakKind::Saturation {
            ceiling_per_second: evidence.ceiling_per_second,
        },
        Cause::Errors(ErrorEvidence::Share { share, .. } | ErrorEvidence::Outage { share, .. }) => {
            BreakKind::Errors { share: *share }
        }
        Cause::Errors(ErrorEvidence::Silence { length, .. }) => {
            BreakKind::Silence { silent: *length }
        }
        Cause::Latency(evidence) => BreakKind::Latency {
            limit_ns: evidence.limit_ns,
            p99_ns: evidence.value_ns,
        },
    };
    let is_of_load = !first.came_with_time;
    BreakingPoint {
        how,
        load: is_of_load.then_some(found.load),
        last_good_load: found.last_good_load.filter(|_| is_of_load),
        at: found.began,
        noticed_at: found.noticed,
        evidence: if is_of_load {
            found.sentence()
        } else {
            found.sentence_of_time()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, load};

    const SECOND: Duration = Duration::from_secs(1);

    fn ramped() -> Plan {
        let overrides = Overrides {
            url: Some("http://127.0.0.1:1/mcp".to_string()),
            tool: Some(("echo".to_string(), None)),
            vus: Some(4),
            duration: Some(11 * SECOND),
            ramp_up: Some(2 * SECOND),
            ..Overrides::default()
        };
        load(None, &overrides, &|_| None, 1).expect("a plan without faults")
    }

    fn errors(load: f64, last_good_load: Option<f64>, began: Duration) -> Break {
        Break {
            cause: Cause::Errors(ErrorEvidence::Share {
                share: 1.0,
                limit: 0.5,
                n_requests: 100,
            }),
            load,
            last_good_load,
            began,
            noticed: began + SECOND,
            load_unit: LoadUnit::Vus,
        }
    }

    /// Nor does it matter how long the load was steady.
    #[test]
    fn what_breaks_a_load_that_was_kept_up_before_is_not_the_load() {
        let plan = ramped();
        let came_with_time = |load, last_good_load, began: Duration| {
            let breaks = [errors(load, last_good_load, began)];
            let first = first_break(&breaks, &plan).expect("a break");
            first.came_with_time
        };
        assert!(came_with_time(4.0, Some(4.0), 6 * SECOND));
        assert!(came_with_time(3.0, Some(4.0), 6 * SECOND));
        assert!(!came_with_time(4.0, Some(3.0), 6 * SECOND));
        assert!(!came_with_time(4.0, None, 6 * SECOND));
        // Steady for long, at the load that it had then.
        assert!(came_with_time(4.0, Some(3.9), 20 * SECOND));
    }
}
