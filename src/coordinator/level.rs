//! The workers of one level, from their first session to their last DELETE.

use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::collect::Collector;
use super::judge::Recorded;
use super::search::seconds::{Second, Seconds};
use super::watch::Watching;
use crate::clock::SystemClock;
use crate::error::UserError;
use crate::load::{ArrivalSchedule, Distribution, Rate, RateSegment, Spread, share};
use crate::metrics::Recorder;
use crate::outcome::Row;
use crate::scenario::{Arrivals, Load, Plan};
use crate::user::Script;
use crate::validity::Verdict;
use crate::worker::{self, Command, EVENTS_BOUND, Event, Handle, Tick, WorkerOptions};

/// What a level's workers are to do.
pub(super) struct CrewOptions<'a> {
    pub(super) plan: &'a Plan,
    pub(super) script: &'a Arc<Script>,
    /// One for each worker that may be used.
    pub(super) cpus: &'a [Option<usize>],
    /// Virtual users, or the pool that serves arrivals; at least 1.
    pub(super) users: u32,
    /// Arrivals a second; `None`: the closed model.
    pub(super) rate: Option<f64>,
    /// How long its figures do not count: in whole seconds, as they are counted.
    pub(super) settling: Duration,
}

/// The workers of one level.
#[derive(Debug)]
pub(super) struct Crew {
    workers: Vec<Handle>,
    worker_cpus: Vec<Option<usize>>,
    events: Receiver<Event>,
    seconds: Seconds,
    /// All of the level, to judge it by.
    collector: Collector,
    watching: Watching,
    /// Arrivals a second; `None`: the closed model.
    rate: Option<f64>,
    users: u32,
    users_set: u32,
    engaged: Instant,
    n_ended: usize,
}

/// Sessions are opened one after the other at this distance, lest the
/// handshakes of a level be an attack of their own.
const OPEN_EVERY: Duration = Duration::from_millis(2);
/// But all of them within this.
const OPEN_WITHIN: Duration = Duration::from_secs(2);
/// Users are added in steps of at least this time.
const OPEN_STEP: Duration = Duration::from_millis(20);

/// The load begins this long after it is announced.
const BEGIN_AHEAD: Duration = Duration::from_millis(2);
/// Requests in flight may end for so long after a level.
const DRAIN_WAIT: Duration = Duration::from_secs(2);
/// And sessions be ended for so long after that.
const CLOSE_WAIT: Duration = Duration::from_millis(2_500);
/// But only so long past the deadline.
const CLOSE_WAIT_LATE: Duration = Duration::from_millis(500);
/// While waiting for the end, looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Longer than any level.
const HOLD_MAX: Duration = Duration::from_secs(30 * 86_400);

impl Crew {
    /// Starts the threads and the first users.
    pub(super) fn engage<'scope>(
        scope: &'scope Scope<'scope, '_>,
        options: &CrewOptions<'_>,
    ) -> Result<Self, UserError> {
        let most = usize::try_from(options.users).unwrap_or(usize::MAX).max(1);
        let n_workers = options.cpus.len().clamp(1, most);
        let (event_sender, events) = bounded(EVENTS_BOUND * n_workers);
        let engaged = crate::clock::now();
        let arrivals = options.rate.map(|rate| schedule(options.plan, rate));
        let mut workers = Vec::with_capacity(n_workers);
        let mut worker_cpus = Vec::with_capacity(n_workers);
        let cpus = options.cpus.iter().copied().take(n_workers);
        let started: Result<(), UserError> = cpus.enumerate().try_for_each(|(index, cpu)| {
            let (handle, inbox) = Handle::new();
            let worker_options = WorkerOptions {
                index,
                n_workers,
                cpu,
                script: Arc::clone(options.script),
                budget: None,
                arrivals: arrivals.clone(),
            };
            let events = event_sender.clone();
            let (tell_pinned, pinned) = bounded(1);
            thread::Builder::new()
                .name(format!("worker {index}"))
                .spawn_scoped(scope, move || {
                    worker::run(&worker_options, &inbox, &events, &tell_pinned);
                })
                .map_err(|error| UserError::could_not_run(format!("no thread: {error}")))?;
            let is_pinned = pinned.recv().unwrap_or(false);
            worker_cpus.push(cpu.filter(|_| is_pinned));
            workers.push(handle);
            Ok(())
        });
        let rows = &options.script.rows;
        let mut crew = Self {
            watching: Watching::start(&worker_cpus),
            workers,
            worker_cpus,
            events,
            seconds: Seconds::new(
                &rows.all,
                rows.handshake,
                n_workers,
                options.plan.has_intended_starts(),
            ),
            collector: Collector::new(
                &rows.all,
                n_workers,
                Second::LENGTH * whole_seconds(options.settling),
                options.plan.has_intended_starts(),
                options.plan.workers.busy_poll,
                Vec::new(),
            ),
            rate: options.rate,
            users: options.users,
            users_set: 0,
            engaged,
            n_ended: 0,
        };
        // With the crew there, those that were started end if one could not be.
        started?;
        crew.add_users();
        Ok(crew)
    }

    /// The CPU each worker is pinned to.
    pub(super) fn worker_cpus(&self) -> &[Option<usize>] {
        &self.worker_cpus
    }

    /// How long it takes until all users have begun.
    pub(super) fn ramp(&self) -> Duration {
        OPEN_EVERY.saturating_mul(self.users).min(OPEN_WITHIN)
    }

    /// Every user has begun and tried to open its session.
    pub(super) fn is_open(&self) -> bool {
        self.seconds.users().tried >= self.users
    }

    /// How long one may wait before more users have to begin.
    pub(super) fn patience(&self) -> Duration {
        if self.users_set < self.users {
            OPEN_STEP
        } else {
            Duration::MAX
        }
    }

    /// Begins the load: seconds are counted from here.
    pub(super) fn begin(&mut self) {
        self.users_set = self.users;
        self.set_users();
        let clock = SystemClock::since(crate::clock::now() + BEGIN_AHEAD);
        self.watching.load_begins(clock);
        self.broadcast(|| Command::Begin(clock.origin()));
    }

    /// How far the level's figures can be trusted, as far as it has got and without
    /// its settling. `None` before its load has begun.
    pub(super) fn judge(&self, plan: &Plan, rows: &[Row]) -> Option<Verdict> {
        let elapsed = self.watching.elapsed()?;
        let settled = self.collector.warm_up_end();
        let recorded = Recorded {
            plan,
            rows,
            totals: &self.collector.totals,
            warm_up: self.collector.warm.as_ref(),
            signals: &self.collector.signals,
            seconds: &self.collector.seconds,
            elapsed: elapsed.saturating_sub(settled),
            // Sessions are open before a level begins.
            unbegun: Duration::ZERO,
            in_flight_for: elapsed,
            worker_cpus: &self.worker_cpus,
            vus_max: self.collector.vus_max,
            // Known when they end; until then their failures tell of them.
            users_without: 0,
        };
        Some(recorded.judge().1)
    }

    /// The next complete second.
    pub(super) fn next_second(&mut self) -> Option<Second> {
        self.seconds.next_complete()
    }

    /// Waits for a word of a worker, at most so long.
    pub(super) fn receive(&mut self, wait: Duration) -> Result<(), UserError> {
        match self.events.recv_timeout(wait) {
            Ok(Event::Tick(tick)) => {
                let worker = tick.worker;
                self.seconds.take(&tick);
                let recorder = self.collect(*tick);
                self.workers[worker].send(Command::Recycle(recorder));
            }
            Ok(Event::Ended(_)) => self.n_ended += 1,
            Ok(Event::Failed(worker, why)) => {
                return Err(UserError::could_not_run(format!(
                    "worker {worker} cannot go on: {why}"
                )));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(UserError::could_not_run("a worker ended unexpectedly"));
            }
        }
        self.add_users();
        Ok(())
    }

    /// Ends the level: requests in flight may end, then sessions are ended.
    /// Where there is reason to hurry, requests are given up at once; past the
    /// deadline, sessions get little time as well.
    pub(super) fn dismiss(
        &mut self,
        hurry: &dyn Fn() -> bool,
        is_late: &dyn Fn() -> bool,
    ) -> Result<(), UserError> {
        self.broadcast(|| Command::Stop);
        let stopped = crate::clock::now();
        let mut cancelled: Option<Instant> = None;
        let mut is_over = false;
        while self.n_ended < self.workers.len() {
            match cancelled {
                None if stopped.elapsed() >= DRAIN_WAIT || hurry() || is_late() => {
                    cancelled = Some(crate::clock::now());
                    self.broadcast(|| Command::CancelCalls);
                }
                Some(at) if at.elapsed() >= close_wait(is_late()) && !is_over => {
                    is_over = true;
                    self.broadcast(|| Command::CancelAll);
                }
                _ => {}
            }
            self.receive(LOOK_EVERY)?;
        }
        Ok(())
    }

    /// Gives the tick's recorder back, empty.
    fn collect(&mut self, tick: Tick) -> Box<Recorder> {
        self.watching.ask_host(&mut self.collector);
        let recorder = self.collector.take(tick);
        while self.collector.next_complete().is_some() {}
        let rate = self.rate;
        self.watching.see(&mut self.collector, |_| rate);
        recorder
    }

    /// The users that should have begun by now.
    fn add_users(&mut self) {
        let ramp = self.ramp().as_secs_f64();
        let share_begun = self.engaged.elapsed().as_secs_f64() / ramp.max(1e-9);
        let wanted = (f64::from(self.users) * share_begun).ceil() as u32;
        let wanted = wanted.clamp(1, self.users.max(1));
        if wanted > self.users_set {
            self.users_set = wanted;
            self.set_users();
        }
    }

    fn set_users(&self) {
        let n_workers = u32::try_from(self.workers.len()).unwrap_or(u32::MAX);
        for (index, worker) in (0..).zip(&self.workers) {
            worker.send(Command::SetUsers(share(self.users_set, n_workers, index)));
        }
    }

    fn broadcast(&self, command: impl Fn() -> Command) {
        for worker in &self.workers {
            worker.send(command());
        }
    }
}

fn close_wait(is_late: bool) -> Duration {
    if is_late { CLOSE_WAIT_LATE } else { CLOSE_WAIT }
}

fn whole_seconds(duration: Duration) -> u32 {
    let secs = duration.as_nanos().div_ceil(Second::LENGTH.as_nanos());
    u32::try_from(secs).unwrap_or(u32::MAX)
}

/// Threads are joined at the end of the search, so none may be left running
/// where it ends with an error.
impl Drop for Crew {
    fn drop(&mut self) {
        if self.n_ended < self.workers.len() {
            self.broadcast(|| Command::CancelAll);
        }
    }
}

/// The arrivals of a level.
fn schedule(plan: &Plan, rate: f64) -> ArrivalSchedule {
    let is_poisson = matches!(
        plan.load,
        Load::Open {
            arrivals: Arrivals::Rate {
                distribution: Distribution::Poisson,
                ..
            },
            ..
        }
    );
    let spread = if is_poisson {
        Spread::Poisson { seed: plan.seed }
    } else {
        Spread::Constant
    };
    let rate = Rate::per_second(rate).unwrap_or(Rate::ZERO);
    ArrivalSchedule::rates(&[RateSegment::hold(rate, HOLD_MAX)], spread)
}
