//! The thread's body.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, TryRecvError, TrySendError};

use super::message::{Command, Inbox, Tick, UserCounts, WorkerEnd, WorkerEvent};
use super::meter::Meter;
use crate::decide::threshold::empty_recorder;
use crate::http::{take_address_tallies, take_handshakes, use_addresses};
use crate::load::{ArrivalSchedule, Segment};
use crate::metrics::{AddressTallies, Recorder, TlsHandshakes, WorkerUsage, add_boxed};
use crate::scheduler::{Cancel, Scheduler, SchedulerOptions};
use crate::user::{
    Budget, BudgetShare, Script, Shared, VirtualUser, WaitingArrivals, WaitingShare, dispatch,
};

/// The time between two ticks.
pub const TICK: Duration = Duration::from_millis(250);

/// The same before the load has begun.
const EARLY_TICK: Duration = Duration::from_millis(25);

/// Recorders that a worker holds beside the one in use: one on its way to the
/// coordinator or back, one to spare.
const SPARE_RECORDERS: usize = 2;

/// Users begun in one turn of the loop: as many as there are already, within
/// these bounds. The first request must not wait for thousands of connections
/// to be opened, nor answers that have come, nor the last user for thousands of
/// turns.
const USERS_BEGUN_MIN: usize = 32;
const USERS_BEGUN_MAX: usize = 1024;

/// What a worker is to be.
#[derive(Debug)]
pub struct WorkerOptions {
    /// Which of the workers, from 0.
    pub index: usize,
    /// How many there are.
    pub n_workers: usize,
    /// The CPU to keep to; `None`: wherever the system likes.
    pub cpu: Option<usize>,
    /// What its users do.
    pub script: Arc<Script>,
    /// The iterations of the run.
    pub budget: Arc<Budget>,
    /// The arrivals of the whole load (open model).
    pub arrivals: Option<ArrivalSchedule>,
    /// The users of the whole load that serve them.
    pub users_max: u32,
    /// Where arrivals wait for a user of any worker (open model).
    pub waiting: Option<Arc<WaitingArrivals>>,
}

impl WorkerOptions {
    /// The worker's part of the whole load.
    fn part(&self) -> Segment {
        let n_workers = u32::try_from(self.n_workers).unwrap_or(u32::MAX);
        let index = u32::try_from(self.index).unwrap_or(u32::MAX);
        self.script.plan.segment.part(index, n_workers)
    }
}

/// Runs a worker on this thread, to the end of the load. Tells through
/// `events` whether it could be pinned (`pinned`), its ticks, and its end.
pub fn run(
    options: &WorkerOptions,
    inbox: &Inbox,
    events: &Sender<WorkerEvent>,
    pinned: &Sender<bool>,
) {
    let is_pinned = options.cpu.is_some_and(crate::host::pin);
    // The receiver is gone only if the coordinator is.
    let _ = pinned.send(is_pinned);
    let failed = |error| WorkerEvent::Failed(options.index, error);
    let mut worker = match Worker::start(options, inbox, events) {
        Ok(worker) => worker,
        Err(error) => {
            let _ = events.send(failed(error));
            return;
        }
    };
    // The other workers keep the channel open: the coordinator would wait for this one for
    // ever. Nothing of the worker is used after a panic, and its tasks end below.
    let error = match catch_unwind(AssertUnwindSafe(|| worker.run())) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(_told_by_the_hook) => {
            std::io::Error::other("it panicked, which is a fault of this program")
        }
    };
    let _ = events.send(failed(error));
}

struct Worker<'a> {
    options: &'a WorkerOptions,
    inbox: &'a Inbox,
    events: &'a Sender<WorkerEvent>,
    scheduler: Scheduler,
    shared: Rc<Shared>,
    meter: Meter,
    #[expect(clippy::vec_box, reason = "they travel through channels as boxes")]
    spares: Vec<Box<Recorder>>,
    /// Users that were ever begun; those below have a task or have ended.
    users: Vec<UserSlot>,
    /// From this index up to the target, users are still to be begun.
    begin_from: u32,
    tick: u64,
    /// Before the load has begun there is nothing to count ticks from, but
    /// users that open sessions are watched all the same.
    early_tick_at: Instant,
}

/// A user's place: whether its task still runs.
type UserSlot = Rc<std::cell::Cell<bool>>;

impl<'a> Worker<'a> {
    fn start(
        options: &'a WorkerOptions,
        inbox: &'a Inbox,
        events: &'a Sender<WorkerEvent>,
    ) -> std::io::Result<Self> {
        let mut scheduler = Scheduler::new(SchedulerOptions {
            busy_poll: options.script.plan.workers.busy_poll,
            ..SchedulerOptions::default()
        })?;
        *inbox.waker.lock() = Some(scheduler.waker());
        let share = BudgetShare::new(Arc::clone(&options.budget));
        let waiting = options.waiting.clone();
        let waker = scheduler.waker();
        let wake = move || {
            // The next tick ends the wait in any case.
            let _ = waker.wake();
        };
        let waiting = waiting.map(|it| WaitingShare::new(it, options.index, wake));
        let shared = Rc::new(Shared::new(
            Arc::clone(&options.script),
            share,
            new_recorder(&options.script),
            waiting,
        ));
        if let Some(schedule) = &options.arrivals {
            let (part, shared) = (options.part(), Rc::clone(&shared));
            let populations = &options.script.plan.populations;
            match populations.all() {
                [_] => {
                    let due = schedule.shard(part).map(|offset| (offset, 0));
                    scheduler.spawn(move || dispatch(&shared, due))?;
                }
                _ => {
                    let own = |user| part.has(user);
                    let numbers = populations.deal().arrivals(options.users_max, own);
                    let due = schedule.dealt(numbers);
                    scheduler.spawn(move || dispatch(&shared, due))?;
                }
            }
        }
        Ok(Self {
            options,
            inbox,
            events,
            scheduler,
            shared,
            meter: Meter::start(crate::clock::now()),
            spares: (0..SPARE_RECORDERS)
                .map(|_| Box::new(new_recorder(&options.script)))
                .collect(),
            users: Vec::new(),
            begin_from: 0,
            tick: 0,
            early_tick_at: crate::clock::now() + EARLY_TICK,
        })
    }

    fn run(&mut self) -> std::io::Result<()> {
        loop {
            let tick_at = self.next_tick_at();
            let until = match self.has_users_to_begin() {
                true => Some(crate::clock::now()),
                false => tick_at,
            };
            let shared = &self.shared;
            let work = || shared.work_checks().max(shared.serve_waiting());
            self.scheduler.turn_with(until, work)?;
            let turned_at = self.measure_turn();
            self.obey();
            self.begin_users()?;
            if tick_at.is_some_and(|at| turned_at >= at) {
                self.send_tick();
            }
            if self.shared.stopping.get() && self.scheduler.n_tasks() == 0 {
                self.send_end();
                return Ok(());
            }
        }
    }

    /// When the turn was over.
    fn measure_turn(&mut self) -> Instant {
        let turn = self.scheduler.last_turn();
        let n_in_flight = self.shared.n_in_flight.get();
        if let Some(loop_ns) = self.meter.turn(&turn, n_in_flight) {
            let mut recorder = self.shared.recorder.borrow_mut();
            let phase = self.shared.phase(None);
            recorder.of(phase).loop_time.record(loop_ns);
        }
        turn.returned_at
    }

    /// What was used and done since this was last asked.
    fn take_usage(&mut self) -> WorkerUsage {
        let n_in_flight = self.shared.n_in_flight.get();
        let most = self.shared.n_in_flight_max.replace(n_in_flight);
        let mut usage = self.meter.take(crate::clock::now());
        usage.in_flight_max = usage.in_flight_max.max(u64::from(most));
        let (checks, checks_waited_ns) = self.shared.take_check_times();
        usage.checks += checks;
        usage.checks_waited_ns += checks_waited_ns;
        usage
    }

    fn obey(&mut self) {
        loop {
            let command = match self.inbox.commands.try_recv() {
                Ok(command) => command,
                Err(TryRecvError::Empty) => return,
                // Nobody is left to say so: the coordinator could not go on.
                Err(TryRecvError::Disconnected) => {
                    self.shared.stop();
                    self.scheduler.cancel(Cancel::Everything);
                    return;
                }
            };
            match command {
                Command::SetUsers(target) => self.set_users(target),
                Command::SetTokens(held) => self.shared.set_tokens(&held),
                Command::Begin { origin, warm_up } => {
                    // What was before is not part of the load.
                    self.take_usage();
                    self.shared.begin(origin, warm_up);
                }
                Command::UseAddresses(addresses) => use_addresses(addresses),
                Command::Recycle(recorder) => {
                    if self.spares.len() < SPARE_RECORDERS {
                        self.spares.push(recorder);
                    }
                }
                Command::Stop => self.shared.stop(),
                Command::CancelOpenings => self.scheduler.cancel(Cancel::Dispensable),
                Command::CancelCalls => {
                    self.shared.stop();
                    self.scheduler.cancel(Cancel::Unshielded);
                }
                Command::CancelAll => {
                    self.shared.stop();
                    self.scheduler.cancel(Cancel::Everything);
                }
            }
        }
    }

    /// Those that are missing are begun by and by; those that are too many
    /// leave when they look up, for which they are roused.
    fn set_users(&mut self, target: u32) {
        let before = self.shared.target_vus.replace(target);
        if target < before {
            self.shared.rouse();
        }
        // Some of those that were begun before may have ended.
        self.begin_from = 0;
    }

    fn has_users_to_begin(&self) -> bool {
        !self.shared.stopping.get() && self.begin_from < self.shared.target_vus.get()
    }

    /// Begins some of the users that are missing.
    fn begin_users(&mut self) -> std::io::Result<()> {
        let n_tasks = self.scheduler.n_tasks();
        let n_most = n_tasks.clamp(USERS_BEGUN_MIN, USERS_BEGUN_MAX);
        let mut n_begun = 0;
        while n_begun < n_most && self.has_users_to_begin() {
            let local_index = self.begin_from;
            self.begin_from += 1;
            let slot = local_index as usize;
            if self.users.len() <= slot {
                self.users.push(Rc::default());
            }
            if self.users[slot].replace(true) {
                continue;
            }
            n_begun += 1;
            let run_index = self.options.part().number(local_index);
            let shared = Rc::clone(&self.shared);
            let running = Rc::clone(&self.users[slot]);
            self.scheduler
                .spawn(move || {
                    // On the heap, not on its own stack, which is deep enough.
                    Box::new(VirtualUser::new(shared, local_index, run_index)).run();
                    running.set(false);
                })
                .map_err(|error| {
                    std::io::Error::new(
                        error.kind(),
                        format!(
                            "no memory mapping left for the stack of virtual user {run_index}: \
                             {error}; fewer virtual users, or a higher `vm.max_map_count`, help"
                        ),
                    )
                })?;
        }
        Ok(())
    }

    fn next_tick_at(&self) -> Option<Instant> {
        match self.shared.origin.get() {
            Some(origin) => {
                let ticks = u32::try_from(self.tick + 1).unwrap_or(u32::MAX);
                origin.checked_add(TICK.saturating_mul(ticks))
            }
            None => Some(self.early_tick_at),
        }
    }

    fn send_tick(&mut self) {
        let Some(origin) = self.shared.origin.get() else {
            // Tick 0 tells how far the opening of sessions is.
            self.early_tick_at = crate::clock::now() + EARLY_TICK;
            self.swap_and_send(0);
            return;
        };
        // A tick that was slept through is contained in this one.
        let elapsed = crate::clock::since(origin).as_nanos() / TICK.as_nanos();
        self.tick = u64::try_from(elapsed)
            .unwrap_or(u64::MAX)
            .max(self.tick + 1);
        self.shared.look_for_warm_up_end();
        self.swap_and_send(self.tick);
    }

    fn swap_and_send(&mut self, number: u64) {
        // Without a spare recorder, or room in the channel, this tick is left
        // out: what was recorded goes along with the next one.
        let Some(spare) = self.spares.pop() else {
            return;
        };
        self.record_handshakes();
        let recorder = Box::new(self.shared.recorder.replace(*spare));
        let usage = self.take_usage();
        let tick = Box::new(Tick {
            worker: self.options.index,
            number,
            recorder,
            usage,
            users: self.user_counts(),
        });
        // Otherwise it is sent, or the coordinator is gone.
        if let Err(TrySendError::Full(WorkerEvent::Tick(tick))) =
            self.events.try_send(WorkerEvent::Tick(tick))
        {
            self.meter.give_back(&tick.usage);
            let spare = self.shared.recorder.replace(*tick.recorder);
            self.shared.recorder.borrow_mut().merge_phases(&spare);
            let mut spare = Box::new(spare);
            spare.clear();
            self.spares.push(spare);
        }
    }

    /// Those of TLS and of connections that were made on this thread since the last tick.
    fn record_handshakes(&self) {
        let mut recorder = self.shared.recorder.borrow_mut();
        let (tls, addresses) = (take_handshakes(), take_address_tallies());
        add_boxed(&mut recorder.tls, &tls, TlsHandshakes::merge);
        add_boxed(&mut recorder.addresses, &addresses, AddressTallies::merge);
    }

    fn send_end(&mut self) {
        self.record_handshakes();
        let empty = new_recorder(&self.options.script);
        let end = Box::new(WorkerEnd {
            worker: self.options.index,
            recorder: Box::new(self.shared.recorder.replace(empty)),
            usage: self.take_usage(),
            first_begin: self.shared.first_begin.get(),
            last_end: self.shared.last_end.get(),
            last_given_up: self.shared.last_given_up.get(),
            active_max: self.shared.n_active_max.get(),
            without_session: self.shared.n_without_session.get(),
            listening_max: self.shared.n_listening_max.get(),
        });
        let _ = self.events.send(WorkerEvent::Ended(end));
    }

    fn user_counts(&self) -> UserCounts {
        UserCounts {
            active: self.shared.n_active.get(),
            ready: self.shared.n_ready.get(),
            tried: self.shared.n_tried.get(),
        }
    }
}

/// An empty one of the script's rows, which counts what the plan's thresholds ask for.
fn new_recorder(script: &Script) -> Recorder {
    empty_recorder(&script.plan.thresholds, &script.rows)
}
