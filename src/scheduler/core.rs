//! The loop of one core: run who is ready, then ask the kernel once for all.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Waker};

use super::local::{Cancel, LOCAL, Local, Polled, TIMER, TaskId, WAKER, with};
use super::suspend::{self, Stack, Task};
use crate::alarm::PollAlarm;

/// How a scheduler waits and how large its stacks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerOptions {
    /// Address space of a task's stack in bytes. Memory is used page by page.
    pub stack_bytes: usize,
    /// Spin rather than sleep while nobody is ready.
    pub busy_poll: bool,
}

impl Default for SchedulerOptions {
    fn default() -> Self {
        Self {
            // rustls with a certificate chain needs under 100 KiB in
            // a debug build; what is not touched costs no memory.
            stack_bytes: 256 * 1024,
            busy_poll: false,
        }
    }
}

/// Events taken from the kernel at once. More than that wait for the next
/// turn, which comes at once: a bound on latency, not on sockets.
const EVENTS_PER_TURN: usize = 1024;

/// Stacks kept for short-lived tasks, so that they cost no system calls.
const STACKS_KEPT: usize = 64;

/// When the last turn was where, and whether it had anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// All that was ready had run, and the kernel was about to be asked.
    pub polled_at: Instant,
    /// The kernel had answered.
    pub returned_at: Instant,
    /// Tasks that ran before the kernel was asked.
    pub n_resumed: usize,
}

/// Many tasks on this thread. Not `Send`: it stays where it was made, and one
/// thread has at most one.
pub struct Scheduler {
    poll: Poll,
    events: Events,
    alarm: PollAlarm<Instant>,
    waker: Arc<Waker>,
    options: SchedulerOptions,
    /// By place; `None` where a task has ended.
    tasks: Vec<Option<Task>>,
    /// Of tasks that have ended.
    free_stacks: Vec<Stack>,
    n_tasks: usize,
    last_turn: Turn,
}

/// What the owner of a loop did between its tasks and the poll. Of two pieces of work the
/// greater counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worked {
    /// There was nothing to do.
    Nothing,
    /// All that there was.
    All,
    /// Some is left: the poll does not wait.
    Part,
}

impl Scheduler {
    /// A scheduler for this thread.
    ///
    /// # Errors
    /// When the system gives no poll instance or timer.
    ///
    /// # Panics
    /// When this thread has one already.
    pub fn new(options: SchedulerOptions) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let alarm = PollAlarm::new(poll.registry(), TIMER)?;
        let now = Instant::now();
        let local = Local::new(poll.registry().try_clone()?, now);
        LOCAL.with_borrow_mut(|slot| {
            assert!(slot.is_none(), "one scheduler per thread");
            *slot = Some(local);
        });
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_PER_TURN),
            alarm,
            waker,
            options,
            tasks: Vec::new(),
            free_stacks: Vec::new(),
            n_tasks: 0,
            last_turn: Turn {
                polled_at: now,
                returned_at: now,
                n_resumed: 0,
            },
        })
    }

    /// Ends the wait of [`Scheduler::turn`] from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Tasks that have not ended.
    pub fn n_tasks(&self) -> usize {
        self.n_tasks
    }

    /// How the last turn went; before the first, a moment in which nothing was.
    pub fn last_turn(&self) -> Turn {
        self.last_turn
    }

    /// Adds a task, which begins at the next turn.
    ///
    /// # Errors
    /// When the system has no room for its stack.
    pub fn spawn(&mut self, body: impl FnOnce() + 'static) -> io::Result<TaskId> {
        let id = with(Local::take_place);
        self.begin(id, body).map(|()| id)
    }

    /// Gives a task that has its place a stack.
    fn begin(&mut self, id: TaskId, body: impl FnOnce() + 'static) -> io::Result<()> {
        let stack = match self.free_stacks.pop() {
            Some(stack) => Ok(stack),
            None => Stack::new(self.options.stack_bytes),
        };
        let stack = stack.inspect_err(|_| with(|local| local.free_place(id)))?;
        if self.tasks.len() <= id.index {
            self.tasks.resize_with(id.index + 1, || None);
        }
        self.tasks[id.index] = Some(Task::new(stack, body));
        self.n_tasks += 1;
        with(|local| local.ready.push_back(id));
        Ok(())
    }

    /// Gives up waits, now and from now on.
    pub fn cancel(&mut self, cancel: Cancel) {
        with(|local| local.give_up(cancel));
    }

    /// Runs all that is ready, then waits for events until one comes, the
    /// waker is used, or `until`; not at all when a task has just ended, since
    /// the caller may have waited for that. Returns whether the waker was used.
    ///
    /// # Errors
    /// When the system's poll fails.
    pub fn turn(&mut self, until: Option<Instant>) -> io::Result<bool> {
        self.turn_with(until, || Worked::Nothing)
    }

    /// The same. `work` is what the loop's owner does for tasks that have run; those that
    /// it wakes are run before the poll, once.
    ///
    /// # Errors
    /// When the system's poll fails.
    #[inline]
    pub fn turn_with(
        &mut self,
        until: Option<Instant>,
        mut work: impl FnMut() -> Worked,
    ) -> io::Result<bool> {
        let n_before = self.n_tasks;
        let mut n_resumed = self.run_ready();
        let mut worked = work();
        if worked != Worked::Nothing {
            n_resumed += self.run_ready();
            // What they want done in turn wakes them for the next turn.
            worked = work();
        }
        let polled_at = Instant::now();
        let has_ended = self.n_tasks < n_before;
        let next_timer = with(|local| local.timers.next());
        let wake_at = match (next_timer, until) {
            (Some(timer), Some(until)) => Some(timer.min(until)),
            (timer, until) => timer.or(until),
        };
        let timeout = if self.options.busy_poll
            || has_ended
            || worked == Worked::Part
            || with(|local| local.has_work())
        {
            Some(Duration::ZERO)
        } else {
            self.alarm
                .set(wake_at, |at| at.saturating_duration_since(polled_at))?
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => result?,
        }
        let mut woken = false;
        let now = Instant::now();
        let busy_since = self.last_turn.returned_at;
        self.last_turn = Turn {
            polled_at,
            returned_at: now,
            n_resumed,
        };
        with(|local| {
            local.begin_turn(Polled {
                busy_since,
                polled_at,
                wake_at,
                returned_at: now,
            });
            for event in &self.events {
                match event.token() {
                    WAKER => woken = true,
                    TIMER => self.alarm.went_off(),
                    _ => local.socket_event(event),
                }
            }
        });
        Ok(woken)
    }

    /// Runs each task that is ready now once. Those that become ready in the
    /// meantime wait for the next turn, so that sockets are looked at between.
    /// Then those that gave way; most of them wait on while others are ready. How
    /// many there were.
    fn run_ready(&mut self) -> usize {
        let (n_ready, mut n_gave_way) = with(|local| {
            let n_ready = local.ready.len();
            local.add_resumed(n_ready);
            (n_ready, local.n_gave_way())
        });
        let mut n_resumed = 0;
        while n_resumed < n_ready {
            let Some(id) = with(|local| {
                local.current = local.ready.pop_front();
                local.current
            }) else {
                break;
            };
            self.resume(id);
            n_resumed += 1;
        }
        while n_gave_way > 0 {
            let Some(id) = with(|local| {
                local.current = local.next_that_gave_way(n_resumed == 0);
                local.current
            }) else {
                break;
            };
            self.resume(id);
            n_resumed += 1;
            n_gave_way -= 1;
        }
        for (id, body) in with(|local| std::mem::take(&mut local.spawned)) {
            if let Err(_no_stack) = self.begin(id, body) {
                // It was dropped, which tells those who wait for it.
            }
        }
        n_resumed
    }

    /// Runs the current task up to its next wait.
    fn resume(&mut self, id: TaskId) {
        if let Some(task) = &mut self.tasks[id.index]
            && task.resume()
        {
            if let Some(stack) = self.tasks[id.index].take().and_then(Task::into_stack)
                && self.free_stacks.len() < STACKS_KEPT
            {
                self.free_stacks.push(stack);
            }
            self.n_tasks -= 1;
            with(|local| local.free_place(id));
        }
        with(|local| local.current = None);
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // Tasks hold sockets, which give themselves back to the local state.
        self.tasks.clear();
        // Those that have not begun may hold tasks' results, which want to tell.
        let local = LOCAL.with_borrow_mut(Option::take);
        drop(local);
    }
}

/// Runs `body` as the only task of a scheduler of its own, on this thread, and
/// gives its result. `keep_going` is asked a few times a second; once it says
/// no, all waits are given up.
///
/// # Errors
/// When the system gives no poll instance or stack.
///
/// # Panics
/// Inside a task, or on a thread that has a scheduler.
pub fn block_on<R: 'static>(
    keep_going: &dyn Fn() -> bool,
    body: impl FnOnce() -> R + 'static,
) -> io::Result<R> {
    assert!(!suspend::is_in_task(), "tasks do not nest");
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    let mut scheduler = Scheduler::new(SchedulerOptions::default())?;
    let result = std::rc::Rc::new(std::cell::Cell::new(None));
    let slot = std::rc::Rc::clone(&result);
    scheduler.spawn(move || slot.set(Some(body())))?;
    while scheduler.n_tasks() > 0 {
        scheduler.turn(Some(Instant::now() + LOOK_EVERY))?;
        if !keep_going() {
            scheduler.cancel(Cancel::Everything);
        }
    }
    Ok(result
        .take()
        .expect("a task that has ended gave its result"))
}

#[cfg(test)]
mod tests {
    use super::super::local::OTHERS_FIRST;
    use super::super::{
        Wake, cancel_task, give_way, park, pause, run_all, sleep_until, spawn, unpark,
    };
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    fn run(scheduler: &mut Scheduler) {
        while scheduler.n_tasks() > 0 {
            scheduler.turn(None).expect("poll");
        }
    }

    #[test]
    fn sleepers_wake_in_the_order_of_their_deadlines() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let order = Rc::new(RefCell::new(Vec::new()));
        let origin = Instant::now();
        for ms in [30_u64, 10, 20] {
            let order = Rc::clone(&order);
            scheduler
                .spawn(move || {
                    let at = origin + Duration::from_millis(ms);
                    assert_eq!(sleep_until(at), Wake::Deadline);
                    assert!(Instant::now() >= at, "never early");
                    order.borrow_mut().push(ms);
                })
                .expect("a stack");
        }
        run(&mut scheduler);
        assert_eq!(*order.borrow(), [10, 20, 30]);
    }

    #[test]
    fn a_task_wakes_another() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let woken = Rc::new(RefCell::new(None));
        let seen = Rc::clone(&woken);
        let sleeper = scheduler
            .spawn(move || *seen.borrow_mut() = Some(park(None)))
            .expect("a stack");
        scheduler.turn(Some(Instant::now())).expect("poll");
        scheduler.spawn(move || unpark(sleeper)).expect("a stack");
        run(&mut scheduler);
        assert_eq!(*woken.borrow(), Some(Wake::Ready));
    }

    #[test]
    fn whom_the_owner_wakes_runs_before_the_poll_and_is_never_forgotten() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let n_wakes = Rc::new(Cell::new(0));
        let seen = Rc::clone(&n_wakes);
        let task = scheduler
            .spawn(move || {
                for n in 1..=3 {
                    assert_eq!(park(None), Wake::Ready);
                    seen.set(n);
                }
            })
            .expect("a stack");
        for n_expected in [1, 3] {
            // A poll that waits would do so for ever.
            let turned = scheduler.turn_with(None, || {
                unpark(task);
                Worked::All
            });
            turned.expect("poll");
            assert_eq!(n_wakes.get(), n_expected);
        }
        assert_eq!(scheduler.n_tasks(), 0);
    }

    #[test]
    fn cancelling_takes_the_dispensable_first_and_the_shielded_last() {
        use super::super::{dispensable, shielded};
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let log = Rc::new(RefCell::new(Vec::new()));
        let far = Instant::now() + Duration::from_secs(3600);
        for name in ["plain", "dispensable", "after it", "shielded"] {
            let log = Rc::clone(&log);
            scheduler
                .spawn(move || {
                    let wake = match name {
                        "plain" => sleep_until(far),
                        "dispensable" => dispensable(|| {
                            dispensable(|| ());
                            sleep_until(far)
                        }),
                        "after it" => {
                            dispensable(|| ());
                            sleep_until(far)
                        }
                        _ => shielded(|| dispensable(|| sleep_until(far))),
                    };
                    log.borrow_mut().push((name, wake));
                })
                .expect("a stack");
        }
        scheduler.turn(Some(Instant::now())).expect("poll");
        let mut expected = Vec::new();
        for (cancel, names) in [
            (Cancel::Dispensable, &["dispensable"][..]),
            (Cancel::Unshielded, &["plain", "after it"]),
            (Cancel::Everything, &["shielded"]),
        ] {
            scheduler.cancel(cancel);
            scheduler.turn(Some(Instant::now())).expect("poll");
            expected.extend(names.iter().map(|name| (*name, Wake::Cancelled)));
            assert_eq!(*log.borrow(), expected, "{cancel:?}");
        }
    }

    /// What a task that gives way over and over does to the others: nothing. Each
    /// of them runs once for each time that it does.
    #[test]
    fn who_gives_way_lets_everyone_run_once() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let order = Rc::new(RefCell::new(Vec::new()));
        for name in ["flooded", "a", "b"] {
            let order = Rc::clone(&order);
            scheduler
                .spawn(move || {
                    for _ in 0..3 {
                        order.borrow_mut().push(name);
                        assert_eq!(give_way(None), Wake::Ready);
                    }
                })
                .expect("a stack");
        }
        run(&mut scheduler);
        assert_eq!(*order.borrow(), ["flooded", "a", "b"].repeat(3));
    }

    /// One that always has work beside others that do, too: it has its turn, but
    /// seldom. Once they have none, it has the thread.
    #[test]
    fn who_gives_way_leaves_the_thread_to_others() {
        use super::super::current_task;
        const N_OTHERS: usize = 19;
        const N_RESUMED: u64 = 20 * OTHERS_FIRST;
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let n_others = Rc::new(std::cell::Cell::new(0));
        let slices = Rc::new(RefCell::new(Vec::new()));
        let ids = Rc::new(RefCell::new(Vec::new()));
        let (n_before, seen) = (Rc::clone(&n_others), Rc::clone(&slices));
        scheduler
            .spawn(move || {
                while seen.borrow().len() < 50 {
                    seen.borrow_mut().push(n_before.get());
                    assert_eq!(give_way(None), Wake::Ready);
                }
            })
            .expect("a stack");
        // Each wakes the next, so that in every turn some are ready.
        for at in 0..N_OTHERS {
            let (n_others, ids) = (Rc::clone(&n_others), Rc::clone(&ids));
            scheduler
                .spawn(move || {
                    ids.borrow_mut().push(current_task());
                    while n_others.get() < N_RESUMED {
                        n_others.set(n_others.get() + 1);
                        assert_eq!(give_way_to(&ids, at), Wake::Ready);
                    }
                    ids.borrow().iter().for_each(|id| unpark(*id));
                })
                .expect("a stack");
        }
        run(&mut scheduler);
        let beside: Vec<u64> = slices.borrow().iter().copied().collect();
        let n_beside = beside.iter().filter(|n| **n < N_RESUMED).count();
        assert!((19..=22).contains(&n_beside), "{beside:?}");
        for two in beside[..n_beside].windows(2) {
            assert!(
                two[1] - two[0] >= OTHERS_FIRST - N_OTHERS as u64,
                "{beside:?}"
            );
        }
        assert_eq!(beside.len(), 50, "in the end it is not held up");
    }

    /// Wakes the next of a ring of tasks and waits to be woken.
    fn give_way_to(ids: &RefCell<Vec<TaskId>>, at: usize) -> Wake {
        let next = {
            let ids = ids.borrow();
            ids[(at + 1) % ids.len()]
        };
        unpark(next);
        park(Some(Instant::now() + Duration::from_secs(60)))
    }

    #[test]
    fn a_pause_lasts_or_ends_with_its_deadline() {
        let ms = Duration::from_millis;
        let wakes = block_on(&|| true, move || {
            let begin = Instant::now();
            let short = pause(ms(5), Some(begin + ms(60_000)));
            let lasted = begin.elapsed();
            let due = pause(ms(60_000), Some(Instant::now() + ms(5)));
            (
                short,
                due,
                lasted < ms(30_000) && begin.elapsed() < ms(30_000),
            )
        });
        let expected = (Wake::Ready, Wake::Deadline, true);
        assert_eq!(wakes.expect("a scheduler"), expected);
        let far = Instant::now() + Duration::from_secs(3600);
        let wake = block_on(&|| false, move || pause(ms(600_000), Some(far)));
        assert_eq!(wake.expect("a scheduler"), Wake::Cancelled);
    }

    #[test]
    fn who_gives_way_hears_of_its_deadline_and_of_the_end() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let log = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&log);
        scheduler
            .spawn(move || {
                let due = Instant::now();
                for deadline in [None, Some(due + Duration::from_secs(3600)), Some(due)] {
                    seen.borrow_mut().push(give_way(deadline));
                }
                while seen.borrow().last() != Some(&Wake::Cancelled) {
                    let wake = give_way(None);
                    seen.borrow_mut().push(wake);
                }
            })
            .expect("a stack");
        for _ in 0..4 {
            scheduler.turn(None).expect("poll");
        }
        let expected = [Wake::Ready, Wake::Ready, Wake::Deadline];
        assert_eq!(log.borrow()[..3], expected);
        scheduler.cancel(Cancel::Unshielded);
        scheduler.turn(None).expect("poll");
        assert_eq!(log.borrow().last(), Some(&Wake::Cancelled));
        assert_eq!(scheduler.n_tasks(), 0);
    }

    /// Bytes come all the time, and are there when the deadline is.
    #[test]
    fn a_deadline_is_told_before_what_has_come() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let log = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&log);
        let begin = Instant::now();
        scheduler
            .spawn(move || {
                let socket = super::super::Socket::connect(address, None).expect("a connection");
                let (mut peer, _) = listener.accept().expect("the same");
                std::io::Write::write_all(&mut peer, b"x").expect("a byte");
                // Ready before it waits, and while it does.
                for deadline in [None, Some(begin)] {
                    seen.borrow_mut().push(socket.wait_readable(deadline));
                }
                socket.drained();
                std::io::Write::write_all(&mut peer, b"y").expect("a byte");
                seen.borrow_mut().push(socket.wait_readable(Some(begin)));
                assert!(socket.is_readable(), "it is noted all the same");
            })
            .expect("a stack");
        run(&mut scheduler);
        let expected = [Wake::Ready, Wake::Deadline, Wake::Deadline];
        assert_eq!(*log.borrow(), expected);
    }

    #[test]
    fn the_id_of_a_task_that_has_ended_names_no_other() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let ended = scheduler.spawn(|| ()).expect("a stack");
        run(&mut scheduler);
        let woken = Rc::new(RefCell::new(None));
        let seen = Rc::clone(&woken);
        let next = scheduler
            .spawn(move || *seen.borrow_mut() = Some(park(None)))
            .expect("a stack");
        assert_eq!(next.index, ended.index, "the place is used again");
        assert_ne!(next, ended);
        scheduler.turn(Some(Instant::now())).expect("poll");
        scheduler
            .spawn(move || {
                cancel_task(ended);
                unpark(ended);
            })
            .expect("a stack");
        for _ in 0..3 {
            scheduler.turn(Some(Instant::now())).expect("poll");
        }
        assert_eq!(*woken.borrow(), None);
        scheduler.spawn(move || cancel_task(next)).expect("a stack");
        run(&mut scheduler);
        assert_eq!(*woken.borrow(), Some(Wake::Cancelled));
    }

    #[test]
    fn a_task_that_was_given_up_is_so_when_its_shield_ends() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let log = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&log);
        let soon = Instant::now() + Duration::from_millis(5);
        let task = scheduler
            .spawn(move || {
                let wake = super::super::shielded(|| sleep_until(soon));
                seen.borrow_mut().push(wake);
                seen.borrow_mut().push(park(None));
            })
            .expect("a stack");
        scheduler.turn(Some(Instant::now())).expect("poll");
        scheduler.spawn(move || cancel_task(task)).expect("a stack");
        run(&mut scheduler);
        assert_eq!(*log.borrow(), [Wake::Deadline, Wake::Cancelled]);
    }

    fn boxed<R>(body: impl FnOnce() -> R + 'static) -> Box<dyn FnOnce() -> R> {
        Box::new(body)
    }

    #[test]
    fn all_results_come_in_order() {
        let results = block_on(&|| true, || {
            let origin = Instant::now();
            let sleep = move |ms: u64| {
                boxed(move || {
                    let wake = sleep_until(origin + Duration::from_millis(ms));
                    (ms, wake)
                })
            };
            let none = run_all(std::iter::empty::<Box<dyn FnOnce()>>());
            assert_eq!(none, []);
            run_all([sleep(6), sleep(0), sleep(3)].into_iter())
        });
        let expected = [6, 0, 3].map(|ms| Some((ms, Wake::Deadline)));
        assert_eq!(results.expect("a scheduler"), expected);
    }

    /// The end of the run, and being given up alone: those that were begun are
    /// given up, and awaited without a turn of the loop in between.
    #[test]
    fn who_waits_for_others_gives_them_up_and_does_not_spin() {
        for cancel in [Some(Cancel::Unshielded), Some(Cancel::Everything), None] {
            let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
            let all = Rc::new(RefCell::new(Vec::new()));
            let seen = Rc::clone(&all);
            let n_resumed = Rc::new(std::cell::Cell::new(0));
            let soon = Instant::now() + Duration::from_millis(20);
            let parent = scheduler
                .spawn(move || {
                    let child = || boxed(move || park(None));
                    // Takes its time to end, however often it is given up.
                    let late = boxed(move || super::super::shielded(|| sleep_until(soon)));
                    *seen.borrow_mut() = run_all([child(), child(), late].into_iter());
                    assert_eq!(park(None), Wake::Cancelled, "the caller is still given up");
                })
                .expect("a stack");
            for _ in 0..3 {
                scheduler.turn(Some(Instant::now())).expect("poll");
            }
            match cancel {
                Some(cancel) => scheduler.cancel(cancel),
                None => {
                    scheduler
                        .spawn(move || cancel_task(parent))
                        .expect("a stack");
                }
            }
            while scheduler.n_tasks() > 0 {
                scheduler.turn(None).expect("poll");
                n_resumed.set(n_resumed.get() + scheduler.last_turn().n_resumed);
            }
            let cancelled = Some(Wake::Cancelled);
            let last = match cancel {
                Some(Cancel::Everything) => cancelled,
                _ => Some(Wake::Deadline),
            };
            assert_eq!(*all.borrow(), [cancelled, cancelled, last]);
            assert!(n_resumed.get() <= 8, "{} for 4 tasks", n_resumed.get());
        }
    }

    #[test]
    fn who_waits_for_tasks_without_a_stack_is_told() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let all = Rc::new(RefCell::new(Vec::new()));
        let seen = Rc::clone(&all);
        scheduler
            .spawn(move || {
                *seen.borrow_mut() = run_all([boxed(|| 1), boxed(|| 2)].into_iter());
            })
            .expect("a stack");
        scheduler.options.stack_bytes = 1 << 60;
        run(&mut scheduler);
        assert_eq!(*all.borrow(), [None, None]);
        let next = scheduler.tasks.len();
        scheduler.options = SchedulerOptions::default();
        scheduler.spawn(|| ()).expect("a stack");
        assert!(
            scheduler.tasks.len() <= next.max(3),
            "places are given back"
        );
    }

    /// Tasks that end with their scheduler tell nobody, and do no harm.
    #[test]
    fn a_scheduler_may_end_before_its_tasks() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        scheduler
            .spawn(|| {
                spawn(|| assert_eq!(park(None), Wake::Ready));
                run_all([boxed(|| park(None))].into_iter());
            })
            .expect("a stack");
        scheduler.turn(Some(Instant::now())).expect("poll");
        scheduler.turn(Some(Instant::now())).expect("poll");
        drop(scheduler);
        let _again = Scheduler::new(SchedulerOptions::default()).expect("another");
    }

    #[test]
    fn what_waited_for_a_busy_thread_is_known() {
        let origin = Instant::now();
        let at = |ms| origin + Duration::from_millis(ms);
        let ms = Duration::from_millis;
        let lateness = |busy_since, polled_at, wake_at, returned_at| {
            let poll = Polled {
                busy_since,
                polled_at,
                wake_at,
                returned_at,
            };
            poll.lateness()
        };
        // Busy for 5 ms, then waited for an event.
        assert_eq!(lateness(at(0), at(5), None, at(900)), ms(5));
        assert_eq!(lateness(at(0), at(5), Some(at(950)), at(900)), ms(5));
        // Should have been woken at 100, or at once, and was not.
        assert_eq!(lateness(at(0), at(5), Some(at(100)), at(900)), ms(805));
        assert_eq!(lateness(at(0), at(5), Some(at(1)), at(900)), ms(900));
    }

    #[test]
    fn block_on_gives_the_result_and_can_be_given_up() {
        assert_eq!(block_on(&|| true, || 7).expect("a scheduler"), 7);
        let far = Instant::now() + Duration::from_secs(3600);
        let wake = block_on(&|| false, move || sleep_until(far)).expect("a scheduler");
        assert_eq!(wake, Wake::Cancelled);
    }

    #[test]
    fn the_waker_ends_a_wait() {
        let mut scheduler = Scheduler::new(SchedulerOptions::default()).expect("a scheduler");
        let waker = scheduler.waker();
        std::thread::spawn(move || waker.wake().expect("a waker"));
        while !scheduler.turn(None).expect("poll") {}
    }
}
