//! The workers of one level, from their first session to their last DELETE.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;

use super::collect::Collector;
use super::crew::{Crew, CrewOptions, CrewRole, Word};
use super::judge::Recorded;
use super::second_rows::Gatherer;
use super::tick::TICKS_PER_SECOND;
use super::watch::{Watching, load_of};
use crate::clock::SystemClock;
use crate::decide::control::{CLOSE_WAIT, steady_arrivals};
use crate::error::UserError;
use crate::metrics::Histogram;
use crate::outcome::{Observer, Row};
use crate::scenario::Plan;
use crate::user::{Budget, Script};
use crate::validity::{GeneratorLimit, Verdict, Watch, generator_limit};
use crate::worker::{Command, Tick};

/// What a level's workers are to do.
pub(super) struct LevelOptions<'a> {
    pub(super) plan: &'a Plan,
    pub(super) script: &'a Arc<Script>,
    /// One for each worker that may be used.
    pub(super) cpus: &'a [Option<usize>],
    /// The iterations' numbers.
    pub(super) budget: &'a Arc<Budget>,
    /// Virtual users, or the pool that serves arrivals; at least 1.
    pub(super) users: u32,
    /// Arrivals a second; `None`: the closed model.
    pub(super) rate: Option<f64>,
    /// Where connections go, in place of what was found before the load.
    pub(super) addresses: Option<&'a Arc<[SocketAddr]>>,
    /// How long its figures do not count: in whole seconds, as they are counted.
    pub(super) settling: Duration,
    /// Which level it is: virtual users, or arrivals a second.
    pub(super) at: f64,
    /// When the search began.
    pub(super) search_began: Instant,
    /// Its seconds are told of, row by row.
    pub(super) tells_seconds: bool,
}

/// The load of one level.
#[derive(Debug)]
pub(super) struct Level {
    crew: Crew,
    collector: Collector,
    watching: Watching,
    watch: Watch,
    /// Complete seconds that nobody has asked for yet.
    seconds: VecDeque<LevelSecond>,
    /// Arrivals a second; `None`: the closed model.
    rate: Option<f64>,
    users: u32,
    users_set: u32,
    engaged: Instant,
    /// See [`LevelOptions::at`].
    at: f64,
    search_began: Instant,
    /// When its load began, since the search did.
    begun: Duration,
}

/// The figures of one second of a level.
#[derive(Debug, Default)]
pub(super) struct LevelSecond {
    /// Calls begun.
    pub(super) started: u64,
    /// Calls that succeeded.
    pub(super) ok: u64,
    /// Calls that failed, and sessions that could not be opened.
    pub(super) failed: u64,
    /// Arrivals that came due.
    pub(super) arrivals: u64,
    /// Arrivals that were dropped.
    pub(super) dropped: u64,
    /// Latency of successful calls, from the intended start where there is one.
    pub(super) latency: Histogram,
    /// Calls and handshakes in flight at its end, and arrivals that no user had
    /// taken.
    pub(super) under_way: u64,
    /// Users that had a session at its end.
    pub(super) ready: u64,
    /// Users that had none at its end and rested from a failure to get one.
    pub(super) locked_out: u64,
    /// Connections could not be opened for want of something of this machine.
    pub(super) lacks_local_resources: bool,
    /// What limited the generator, if anything did.
    pub(super) limit: Option<GeneratorLimit>,
}

/// Seconds are counted by the ticks.
pub(super) const SECOND: Duration = Duration::from_secs(1);

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
/// And sessions be ended for [`CLOSE_WAIT`] after that, but only so long past the deadline.
const CLOSE_WAIT_LATE: Duration = Duration::from_millis(500);
/// While waiting for the end, looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Level {
    /// Starts the threads and the first users.
    pub(super) fn engage<'scope>(
        scope: &'scope Scope<'scope, '_>,
        options: &LevelOptions<'_>,
    ) -> Result<Self, UserError> {
        let most = usize::try_from(options.users).unwrap_or(usize::MAX).max(1);
        let n_workers = options.cpus.len().min(most);
        let engaged = crate::clock::now();
        let crew = Crew::engage(
            scope,
            &CrewOptions {
                role: CrewRole::Worker,
                script: options.script,
                cpus: &options.cpus[..n_workers],
                budget: Arc::clone(options.budget),
                arrivals: options.rate.map(|rate| steady_arrivals(options.plan, rate)),
                users_max: options.users,
            },
        )?;
        let mut level = Self {
            watching: Watching::start(&crew.cpus),
            watch: Watch::default(),
            collector: Collector::new(
                &options.script.rows,
                crew.len(),
                SECOND * whole_seconds(options.settling),
                options.plan.has_intended_starts(),
                options.plan.workers.busy_poll,
                Vec::new(),
            ),
            crew,
            seconds: VecDeque::new(),
            rate: options.rate,
            users: options.users,
            users_set: 0,
            engaged,
            at: options.at,
            search_began: options.search_began,
            begun: Duration::ZERO,
        };
        if options.tells_seconds {
            let n_rows = options.script.rows.len();
            level.collector.gatherer = Some(Gatherer::new(n_rows));
        }
        if let Some(addresses) = options.addresses {
            level.use_addresses(addresses);
        }
        level.add_users();
        Ok(level)
    }

    /// New connections go to these from now on.
    pub(super) fn use_addresses(&self, addresses: &Arc<[SocketAddr]>) {
        let command = || Command::UseAddresses(Arc::clone(addresses));
        self.crew.broadcast(command);
    }

    /// The CPU each worker is pinned to.
    pub(super) fn worker_cpus(&self) -> &[Option<usize>] {
        &self.crew.cpus
    }

    /// How long it takes until all users have begun.
    pub(super) fn ramp(&self) -> Duration {
        OPEN_EVERY.saturating_mul(self.users).min(OPEN_WITHIN)
    }

    /// Every user has begun and tried to open its session.
    pub(super) fn is_open(&self) -> bool {
        self.collector.users().tried >= self.users
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
        self.crew.set_users(self.users);
        let clock = SystemClock::since(crate::clock::now() + BEGIN_AHEAD);
        self.begun = clock.origin().saturating_duration_since(self.search_began);
        self.watching.load_begins(clock);
        let warm_up = self.collector.warm_up_end();
        self.crew.broadcast(|| Command::Begin {
            origin: clock.origin(),
            warm_up,
        });
    }

    /// How far the level's figures can be trusted, as far as it has got and without
    /// its settling. `None` before its load has begun.
    pub(super) fn judge(&self, plan: &Plan, rows: &[Row], n_resumed: u32) -> Option<Verdict> {
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
            load: (settled, elapsed),
            // It goes on.
            offered_until: Some(elapsed),
            // Sessions are open before a level begins.
            unbegun: Duration::ZERO,
            in_flight_for: elapsed,
            worker_cpus: &self.crew.cpus,
            vus_max: self.collector.vus_max,
            // Known when they end; until then their failures tell of them.
            users_without: 0,
            n_resumed,
        };
        Some(recorded.judge().1)
    }

    /// Whether the server asked users to keep away, where that is respected.
    pub(super) fn has_asked_for_waits(&self) -> bool {
        self.collector.totals.waits.asked_ns_max > 0
    }

    /// Whether users waited for another token.
    pub(super) fn has_waited_for_tokens(&self) -> bool {
        self.collector.totals.token_waits.count > 0
    }

    /// Answers with another user's marker.
    pub(super) fn n_foreign(&self) -> u64 {
        self.collector.totals.isolation.foreign
    }

    /// The oldest complete second that was not given yet.
    pub(super) fn next_second(&mut self) -> Option<LevelSecond> {
        self.seconds.pop_front()
    }

    /// Waits for a word of a worker, and no longer than `wait`. The observer is told of the
    /// seconds that are complete then.
    pub(super) fn receive(
        &mut self,
        wait: Duration,
        observer: &mut dyn Observer,
    ) -> Result<(), UserError> {
        let event = match self.crew.events.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {
                self.add_users();
                return Ok(());
            }
            event => event.ok(),
        };
        match self.crew.heard(event)? {
            Word::Tick(tick) => self.collect(*tick),
            Word::End(end) => {
                self.collector
                    .take_last(end.worker, &end.usage, &end.recorder);
            }
        }
        self.tell_seconds(observer);
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
        observer: &mut dyn Observer,
    ) -> Result<(), UserError> {
        self.crew.broadcast(|| Command::Stop);
        let stopped = crate::clock::now();
        let mut cancelled: Option<Instant> = None;
        let mut is_over = false;
        while !self.crew.have_all_ended() {
            match cancelled {
                None if crate::clock::since(stopped) >= DRAIN_WAIT || hurry() || is_late() => {
                    cancelled = Some(crate::clock::now());
                    self.crew.broadcast(|| Command::CancelCalls);
                }
                Some(at) if crate::clock::since(at) >= close_wait(is_late()) && !is_over => {
                    is_over = true;
                    self.crew.broadcast(|| Command::CancelAll);
                }
                _ => {}
            }
            self.receive(LOOK_EVERY, observer)?;
        }
        // The last piece of a second counts for whoever adds them all up.
        let end = self.watching.elapsed().unwrap_or_default();
        self.collector.finish(Duration::ZERO, end);
        self.tell_seconds(observer);
        Ok(())
    }

    fn tell_seconds(&mut self, observer: &mut dyn Observer) {
        self.collector
            .tell_seconds(self.begun, Some(self.at), observer);
    }

    fn collect(&mut self, tick: Tick) {
        self.watching.ask_host(&mut self.collector);
        let worker = tick.worker;
        let recorder = self.collector.take(tick);
        self.crew.recycle(worker, recorder);
        while let Some((number, _)) = self.collector.next_complete() {
            if number.is_multiple_of(TICKS_PER_SECOND) {
                let second = closed_second(&mut self.collector, self.rate, &mut self.watch);
                self.seconds.push_back(second);
            }
        }
        let rate = self.rate;
        self.watching.see(&mut self.collector, |_| rate);
    }

    /// The users that should have begun by now.
    fn add_users(&mut self) {
        let ramp = self.ramp().as_secs_f64();
        let share_begun = crate::clock::since(self.engaged).as_secs_f64() / ramp.max(1e-9);
        let wanted = (f64::from(self.users) * share_begun).ceil() as u32;
        let wanted = wanted.clamp(1, self.users.max(1));
        if wanted > self.users_set {
            self.users_set = wanted;
            self.crew.set_users(wanted);
        }
    }
}

/// The second that the collector has just closed; `rate`: arrivals a second.
fn closed_second(collector: &mut Collector, rate: Option<f64>, watch: &mut Watch) -> LevelSecond {
    let latency = collector.take_last_latency().unwrap_or_default();
    let Some(closed) = collector.seconds.last() else {
        return LevelSecond::default();
    };
    let counts = &collector.closed;
    let sessions = &collector.handshakes;
    let users = u64::from(counts.users.active);
    let ready = u64::from(counts.users.ready);
    // Sessions that are renewed leave users without one for a moment: only
    // where some were refused do those at rest count.
    let locked_out = match sessions.failed {
        0 => 0,
        _ => users.saturating_sub(ready + sessions.in_flight()),
    };
    // Users that rest from such a failure are missing through us as well.
    let is_ours = 2 * sessions.failed_here > sessions.failed;
    let in_flight = closed.signals.in_flight_end + sessions.in_flight();
    let mut load = load_of(closed, rate);
    load.in_flight = in_flight;
    LevelSecond {
        started: counts.started,
        ok: counts.ok,
        failed: counts.failed + counts.handshakes.failed,
        arrivals: counts.arrivals,
        dropped: counts.dropped,
        latency,
        under_way: in_flight + collector.waiting_end,
        ready,
        locked_out,
        lacks_local_resources: counts.failed_here + counts.handshakes.failed_here > 0
            || locked_out > 0 && is_ours,
        limit: generator_limit(&load, watch),
    }
}

fn close_wait(is_late: bool) -> Duration {
    if is_late { CLOSE_WAIT_LATE } else { CLOSE_WAIT }
}

fn whole_seconds(duration: Duration) -> u32 {
    let secs = duration.as_nanos().div_ceil(SECOND.as_nanos());
    u32::try_from(secs).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{ConnectFailure, Failure, Outcome, Recorder, Sample, WorkerUsage};
    use crate::outcome::RowKind;
    use crate::worker::UserCounts;

    /// The seconds of a level, with a row of calls and one of handshakes.
    struct Seconds {
        collector: Collector,
        watch: Watch,
    }

    impl Seconds {
        fn new(n_workers: usize) -> Self {
            let row = |kind| Row::new(kind, "m");
            let rows = [row(RowKind::Call), row(RowKind::Handshake)];
            let collector =
                Collector::new(&rows, n_workers, Duration::ZERO, false, false, Vec::new());
            Self {
                collector,
                watch: Watch::default(),
            }
        }

        /// The second that the tick completes, if it does.
        fn take(&mut self, tick: Tick) -> Option<LevelSecond> {
            self.collector.take(tick);
            let mut closed = None;
            while let Some((number, _)) = self.collector.next_complete() {
                if number.is_multiple_of(TICKS_PER_SECOND) {
                    closed = Some(closed_second(&mut self.collector, None, &mut self.watch));
                }
            }
            closed
        }
    }

    fn tick(worker: usize, number: u64, fill: impl FnOnce(&mut Recorder)) -> Tick {
        let mut recorder = Box::new(Recorder::new(2));
        fill(&mut recorder);
        Tick {
            worker,
            number,
            recorder,
            usage: WorkerUsage {
                turn_max_ns: number * 100_000_000,
                ..WorkerUsage::default()
            },
            users: UserCounts {
                active: 3,
                ready: 3,
                tried: 3,
            },
        }
    }

    fn with_one_ready(tick: Tick) -> Tick {
        Tick {
            users: UserCounts {
                active: 3,
                ready: 1,
                tried: 3,
            },
            ..tick
        }
    }

    #[test]
    fn a_second_is_complete_with_its_last_worker() {
        let mut seconds = Seconds::new(2);
        for number in 1..=4 {
            let second = seconds.take(tick(0, number, |recorder| {
                recorder.record(0, 1_000, Outcome::Ok);
            }));
            assert!(second.is_none());
        }
        // The other worker slept through three ticks.
        let second = seconds.take(tick(1, 4, |recorder| {
            recorder.start(0);
            recorder.record(0, 1_000, Outcome::Ok);
        }));
        let second = second.expect("both are there");
        assert_eq!((second.started, second.ok, second.failed), (6, 5, 0));
        assert_eq!((second.under_way, second.ready), (1, 6));
        assert_eq!(second.latency.len(), 5);
        let silence = Duration::from_millis(400);
        assert_eq!(second.limit, None, "not longer than {silence:?}");
        let second = seconds.take(tick(0, 8, |_| {}));
        assert!(second.is_none());
        let second = seconds.take(tick(1, 8, |_| {})).expect("complete");
        let silence = Duration::from_millis(800);
        assert_eq!(second.limit, Some(GeneratorLimit::Stalled { silence }));
    }

    #[test]
    fn sessions_that_fail_are_failures_and_what_was_begun_before_is_in_flight() {
        let mut seconds = Seconds::new(1);
        seconds.take(tick(0, 0, |recorder| recorder.start(1)));
        let second = seconds.take(tick(0, 4, |recorder| {
            recorder.end(1, &Sample::of(1_000, Outcome::Failed(Failure::Tool, "")));
            recorder.start(1);
            recorder.start(0);
        }));
        let second = second.expect("complete");
        assert_eq!((second.started, second.ok, second.failed), (1, 0, 1));
        assert_eq!(second.under_way, 2, "a handshake and a call");
    }

    #[test]
    fn users_at_rest_without_a_session_are_locked_out() {
        let mut refused = Seconds::new(1);
        refused.take(tick(0, 0, |recorder| {
            recorder.record(1, 1_000, Outcome::Failed(Failure::Tool, ""));
        }));
        let second = refused.take(with_one_ready(tick(0, 4, |recorder| recorder.start(1))));
        let second = second.expect("complete");
        assert_eq!(second.failed, 0, "what was before belongs to no second");
        assert_eq!((second.ready, second.locked_out), (1, 1), "one tries again");

        let mut renewed = Seconds::new(1);
        let second = renewed.take(with_one_ready(tick(0, 4, |recorder| recorder.start(1))));
        assert_eq!(
            second.expect("complete").locked_out,
            0,
            "nobody was refused"
        );
    }

    #[test]
    fn what_this_machine_lacks_is_not_the_servers() {
        let missing = Outcome::Failed(Failure::Connect(ConnectFailure::NoResources), "");
        let mut seconds = Seconds::new(1);
        seconds.take(tick(0, 0, |recorder| {
            recorder.record(1, 1_000, missing);
        }));
        let second = seconds
            .take(with_one_ready(tick(0, 4, |_| {})))
            .expect("complete");
        assert!(second.locked_out > 0 && second.lacks_local_resources);
        let second = seconds.take(tick(0, 8, |_| {})).expect("complete");
        assert!(!second.lacks_local_resources, "all have a session again");
        let second = seconds.take(tick(0, 12, |recorder| {
            recorder.record(0, 1_000, missing);
        }));
        let second = second.expect("complete");
        assert!(second.lacks_local_resources, "a call could not connect");
    }

    #[test]
    fn arrivals_wait_until_they_are_begun_or_dropped() {
        let mut seconds = Seconds::new(1);
        let second = seconds.take(tick(0, 4, |recorder| {
            recorder.counters.arrivals = 10;
            recorder.counters.arrivals_dropped = 2;
            recorder.counters.iterations_started = 5;
        }));
        let second = second.expect("complete");
        assert_eq!((second.under_way, second.dropped), (3, 2));
    }
}
