//! What a task sees of its thread's scheduler: waiting, waking, its sockets.
//!
//! The state is thread-local, since the TLS layer calls our transport without a
//! way to hand it anything. It is never borrowed across a suspension.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::ports::{Ports, SYSTEM_SEARCHES};
use super::suspend;
use super::timer::Timers;

/// Which task, on this thread. The id of a task that has ended names no other
/// task, although its place is used again: what is done with it does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId {
    pub(super) index: usize,
    /// How many tasks had this place before.
    pub(super) generation: u64,
}

/// Why a wait ended. Never to be ignored: who goes on waiting after
/// [`Wake::Cancelled`] spins, since that wait ends at once, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a wait that was given up or has reached its deadline must not be taken for one that \
              brought something"]
pub enum Wake {
    /// What was waited for may have come: look again.
    Ready,
    /// The deadline has come. What was waited for may have come as well, while
    /// this thread was busy: look once more, without waiting.
    Deadline,
    /// The run is ending: give up.
    Cancelled,
}

/// Which waits give up at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cancel {
    /// None.
    Nothing,
    /// Those that are dispensable, unless they are shielded too.
    Dispensable,
    /// All but the shielded ones.
    Unshielded,
    /// All.
    Everything,
}

/// Tokens above the sockets' own.
pub(super) const WAKER: Token = Token(usize::MAX - 1);
pub(super) const TIMER: Token = Token(usize::MAX - 2);

thread_local! {
    pub(super) static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

/// The thread's scheduler as its tasks see it.
pub(super) struct Local {
    pub(super) registry: Registry,
    pub(super) ready: VecDeque<TaskId>,
    /// Tasks that gave way, in that order.
    gave_way: VecDeque<GaveWay>,
    /// How often tasks were resumed that had not given way.
    n_resumed: u64,
    /// By place of a task.
    pub(super) timers: Timers,
    /// By place of a task.
    pub(super) waits: Vec<Wait>,
    /// Places of tasks that have ended.
    free_places: Vec<usize>,
    /// By token.
    sockets: Vec<SocketState>,
    free_sockets: Vec<usize>,
    ports: Ports,
    pub(super) current: Option<TaskId>,
    pub(super) cancel: Cancel,
    /// Begun by tasks, to be given a stack by the scheduler.
    pub(super) spawned: Vec<(TaskId, TaskBody)>,
    /// When the kernel was last asked. Tasks that run for long are held to it,
    /// so that nobody has to ask the clock at each step.
    pub(super) now: Instant,
    /// How the kernel was asked then.
    pub(super) poll: Polled,
}

/// How the kernel was asked: from when to when the thread did something else
/// before, when it was to be woken, and when it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Polled {
    pub(super) busy_since: Instant,
    pub(super) polled_at: Instant,
    pub(super) wake_at: Option<Instant>,
    pub(super) returned_at: Instant,
}

impl Polled {
    /// How long what the kernel told may have waited for the thread: while it ran
    /// tasks, and where it came back later than it was to be woken.
    pub(super) fn lateness(&self) -> Duration {
        let overslept = self.wake_at.map_or(Duration::ZERO, |at| {
            self.returned_at
                .saturating_duration_since(at.max(self.polled_at))
        });
        self.polled_at.saturating_duration_since(self.busy_since) + overslept
    }
}

/// How often others are resumed before a task that gave way has its turn, as long
/// as there are any. What it does at a stretch costs as much as some twenty calls:
/// one such task leaves the others at least 90 % of the thread.
pub(super) const OTHERS_FIRST: u64 = 256;

/// A task that gave way.
#[derive(Debug, Clone, Copy)]
struct GaveWay {
    task: TaskId,
    /// It has its turn once others were resumed this often, however many there are.
    due_at: u64,
}

/// What a task does.
pub(super) type TaskBody = Box<dyn FnOnce()>;

/// What a task waits for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wait {
    /// Of the task in this place; the next one has the next number.
    generation: u64,
    /// It is suspended and not in the ready queue.
    is_waiting: bool,
    wake: Option<Wake>,
    /// It is given up neither with [`Cancel::Unshielded`] nor by its id.
    is_shielded: bool,
    /// It is given up with [`Cancel::Dispensable`].
    is_dispensable: bool,
    /// It was given up by its id.
    is_cancelled: bool,
    /// It waits for tasks that are given up themselves, and ends with them.
    is_for_tasks: bool,
}

/// What is known of a socket without asking the kernel.
#[derive(Debug, Clone, Copy, Default)]
struct SocketState {
    readable: bool,
    writable: bool,
    /// The peer has closed its side, or there was an error.
    closed: bool,
    waiting: Option<TaskId>,
}

impl Local {
    pub(super) fn new(registry: Registry, now: Instant) -> Self {
        Self {
            registry,
            ready: VecDeque::new(),
            gave_way: VecDeque::new(),
            n_resumed: 0,
            timers: Timers::default(),
            waits: Vec::new(),
            free_places: Vec::new(),
            sockets: Vec::new(),
            free_sockets: Vec::new(),
            ports: Ports::default(),
            current: None,
            cancel: Cancel::Nothing,
            spawned: Vec::new(),
            now,
            poll: Polled {
                busy_since: now,
                polled_at: now,
                wake_at: None,
                returned_at: now,
            },
        }
    }

    /// A place for a new task.
    pub(super) fn take_place(&mut self) -> TaskId {
        let index = self.free_places.pop().unwrap_or_else(|| {
            self.waits.push(Wait::default());
            self.waits.len() - 1
        });
        TaskId {
            index,
            generation: self.waits[index].generation,
        }
    }

    /// The task has ended, or never began.
    pub(super) fn free_place(&mut self, task: TaskId) {
        self.timers.clear(task.index);
        self.waits[task.index] = Wait {
            generation: task.generation + 1,
            ..Wait::default()
        };
        self.free_places.push(task.index);
    }

    /// `None` where the task has ended.
    fn wait_of(&mut self, task: TaskId) -> Option<&mut Wait> {
        let wait = self.waits.get_mut(task.index);
        wait.filter(|wait| wait.generation == task.generation)
    }

    fn wake(&mut self, task: TaskId, why: Wake) {
        if let Some(wait) = self.wait_of(task).filter(|wait| wait.is_waiting) {
            wait.is_waiting = false;
            wait.wake = Some(why);
            self.ready.push_back(task);
        }
    }

    /// The task in this place.
    fn task_at(&self, index: usize) -> TaskId {
        TaskId {
            index,
            generation: self.waits[index].generation,
        }
    }

    /// There is somebody to run without the kernel being asked for long.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.gave_way.is_empty()
    }

    pub(super) fn n_gave_way(&self) -> usize {
        self.gave_way.len()
    }

    /// Tasks that had not given way are about to be resumed.
    pub(super) fn add_resumed(&mut self, n_tasks: usize) {
        self.n_resumed += n_tasks as u64;
    }

    /// The next that gave way, where it is due, or where nobody else wants to run.
    pub(super) fn next_that_gave_way(&mut self, nobody_else: bool) -> Option<TaskId> {
        let next = *self.gave_way.front()?;
        if !nobody_else && next.due_at > self.n_resumed {
            return None;
        }
        self.gave_way.pop_front();
        Some(next.task)
    }

    /// A new turn: the waits whose deadline has come end. Before the sockets'
    /// events, since a peer that keeps sending must not outdo the deadline.
    pub(super) fn begin_turn(&mut self, poll: Polled) {
        let now = poll.returned_at;
        self.now = now;
        self.poll = poll;
        while let Some(index) = self.timers.expired(now) {
            self.wake(self.task_at(index), Wake::Deadline);
        }
    }

    /// Gives up waits, now and from now on.
    pub(super) fn give_up(&mut self, cancel: Cancel) {
        self.cancel = self.cancel.max(cancel);
        for index in 0..self.waits.len() {
            self.wake_if_cancelled(self.task_at(index));
        }
    }

    fn wake_if_cancelled(&mut self, task: TaskId) {
        if self.is_cancelled(task) && !self.waits[task.index].is_for_tasks {
            self.wake(task, Wake::Cancelled);
        }
    }

    pub(super) fn socket_event(&mut self, event: &mio::event::Event) {
        let Some(state) = self.sockets.get_mut(event.token().0) else {
            return;
        };
        let closed = event.is_read_closed() || event.is_error();
        state.readable |= event.is_readable() || closed;
        state.writable |= event.is_writable() || event.is_error() || event.is_write_closed();
        state.closed |= closed;
        if let Some(task) = state.waiting {
            self.wake(task, Wake::Ready);
        }
    }

    /// The running task is about to be suspended; not where it gives up all
    /// waits, which is said at once.
    fn begin_wait(&mut self, deadline: Option<Instant>) -> Option<Wake> {
        let task = self.current();
        if self.is_cancelled(task) {
            return Some(Wake::Cancelled);
        }
        self.waits[task.index].is_waiting = true;
        match deadline {
            Some(deadline) => self.timers.set(task.index, deadline),
            None => self.timers.clear(task.index),
        }
        None
    }

    /// As [`Local::begin_wait`], and events of the socket end it.
    fn begin_socket_wait(&mut self, token: usize, deadline: Option<Instant>) -> Option<Wake> {
        let ended = self.begin_wait(deadline);
        if ended.is_none() {
            self.sockets[token].waiting = self.current;
        }
        ended
    }

    /// The running task was resumed.
    fn end_wait(&mut self) -> Wake {
        let task = self.current();
        self.timers.clear(task.index);
        self.waits[task.index].wake.take().unwrap_or(Wake::Ready)
    }

    fn current(&self) -> TaskId {
        self.current.expect("called from inside a task")
    }

    fn is_cancelled(&self, task: TaskId) -> bool {
        let wait = &self.waits[task.index];
        match self.cancel {
            Cancel::Nothing => wait.is_cancelled && !wait.is_shielded,
            Cancel::Dispensable => (wait.is_cancelled || wait.is_dispensable) && !wait.is_shielded,
            Cancel::Unshielded => !wait.is_shielded,
            Cancel::Everything => true,
        }
    }

    /// What a task that has not waited has to know: nothing, its deadline has
    /// come, or it is given up.
    fn look(&self, deadline: Option<Instant>) -> Wake {
        if self.is_cancelled(self.current()) {
            Wake::Cancelled
        } else if deadline.is_some_and(|deadline| deadline <= self.now) {
            Wake::Deadline
        } else {
            Wake::Ready
        }
    }
}

pub(super) fn with<R>(f: impl FnOnce(&mut Local) -> R) -> R {
    LOCAL.with_borrow_mut(|local| {
        f(local
            .as_mut()
            .expect("tasks and their sockets live inside a scheduler"))
    })
}

/// The running task.
///
/// # Panics
/// Outside of a task.
pub fn current_task() -> TaskId {
    with(|local| local.current())
}

/// Waits until another task unparks this one, or the deadline. May end early
/// with [`Wake::Ready`]: look again at what was waited for.
pub fn park(deadline: Option<Instant>) -> Wake {
    if let Some(wake) = with(|local| local.begin_wait(deadline)) {
        return wake;
    }
    suspend::suspend();
    with(Local::end_wait)
}

/// Waits until the moment has come; [`Wake::Deadline`] or [`Wake::Cancelled`].
pub fn sleep_until(at: Instant) -> Wake {
    loop {
        if Instant::now() >= at {
            return Wake::Deadline;
        }
        match park(Some(at)) {
            Wake::Ready => {}
            other => return other,
        }
    }
}

/// Lets the other tasks run, and the kernel be asked, before this one goes on:
/// once nobody else is ready, or the others were resumed many times. Whoever does
/// work that a stranger can make endless calls this after each bounded piece of
/// it, since nothing else ends it: not its deadline, which is held against the
/// moment when the kernel was asked, and not the run's end.
pub fn give_way(deadline: Option<Instant>) -> Wake {
    let is_cancelled = with(|local| {
        let wake = local.look(None);
        if wake == Wake::Ready {
            let task = local.current();
            let due_at = local.n_resumed + OTHERS_FIRST;
            local.gave_way.push_back(GaveWay { task, due_at });
        }
        wake == Wake::Cancelled
    });
    if is_cancelled {
        return Wake::Cancelled;
    }
    suspend::suspend();
    with(|local| local.look(deadline))
}

/// Lets the other tasks run for that long, or until the deadline. As
/// [`give_way`], it is for bounded pieces of work, where these are to come at a
/// bounded rate.
pub fn pause(length: Duration, deadline: Option<Instant>) -> Wake {
    let (until, wake) = with(|local| (local.now + length, local.look(deadline)));
    if wake != Wake::Ready {
        return wake;
    }
    let nearer = deadline.filter(|deadline| *deadline <= until);
    loop {
        match park(nearer.or(Some(until))) {
            Wake::Deadline if nearer.is_none() => return Wake::Ready,
            Wake::Ready => {}
            wake => return wake,
        }
    }
}

/// How long what the kernel told last may have waited for this thread: it was
/// busy with other tasks, or did not get a CPU. Short but for a stall.
pub fn lateness() -> Duration {
    with(|local| local.poll.lateness())
}

/// Adds a task from inside another one. It begins at the next turn. Where the
/// system has no room for its stack, it is dropped without having begun.
pub fn spawn(body: impl FnOnce() + 'static) -> TaskId {
    with(|local| {
        let task = local.take_place();
        local.spawned.push((task, Box::new(body)));
        task
    })
}

/// Wakes a task that is parked; otherwise does nothing.
pub fn unpark(task: TaskId) {
    // A task may be dropped together with its scheduler.
    LOCAL.with_borrow_mut(|local| {
        if let Some(local) = local {
            local.wake(task, Wake::Ready);
        }
    });
}

/// Gives up the waits of one task, now and from now on; those that are shielded
/// once they no longer are. Nothing where it has ended.
pub fn cancel_task(task: TaskId) {
    with(|local| {
        if let Some(wait) = local.wait_of(task) {
            wait.is_cancelled = true;
            local.wake_if_cancelled(task);
        }
    });
}

/// Runs each of these as a task of its own, and waits until all have ended: what
/// they returned, in the same order, and `None` where the system had no room for
/// a stack. When the caller is given up, they are, and it waits on for them:
/// what each has begun, it ends.
pub fn run_all<R: 'static>(bodies: impl Iterator<Item = Box<dyn FnOnce() -> R>>) -> Vec<Option<R>> {
    struct All<R> {
        parent: TaskId,
        n_left: Cell<usize>,
        results: RefCell<Vec<Option<R>>>,
    }
    /// Dropped at the end of a task, or with one that never began.
    struct One<R>(Rc<All<R>>);
    impl<R> Drop for One<R> {
        fn drop(&mut self) {
            self.0.n_left.set(self.0.n_left.get() - 1);
            if self.0.n_left.get() == 0 {
                unpark(self.0.parent);
            }
        }
    }

    let all = Rc::new(All {
        parent: current_task(),
        n_left: Cell::new(0),
        results: RefCell::default(),
    });
    let tasks: Vec<TaskId> = bodies
        .enumerate()
        .map(|(at, body)| {
            all.n_left.set(all.n_left.get() + 1);
            all.results.borrow_mut().push(None);
            let one = One(Rc::clone(&all));
            spawn(move || {
                let result = body();
                one.0.results.borrow_mut()[at] = Some(result);
            })
        })
        .collect();
    let mut is_given_up = false;
    while all.n_left.get() > 0 {
        if is_given_up {
            park_for_tasks();
        } else if park(None) == Wake::Cancelled {
            is_given_up = true;
            tasks.iter().copied().for_each(cancel_task);
        }
    }
    all.results.take()
}

/// Waits until this task is unparked, even where all waits are given up: for one
/// that waits for others which are.
fn park_for_tasks() {
    with(|local| {
        let task = local.current();
        let wait = &mut local.waits[task.index];
        (wait.is_waiting, wait.is_for_tasks) = (true, true);
    });
    suspend::suspend();
    with(|local| {
        let task = local.current();
        local.waits[task.index].is_for_tasks = false;
        // Only another task ends this wait.
        local.waits[task.index].wake = None;
    });
}

/// Runs `f` so that its waits are given up only with [`Cancel::Everything`].
pub fn shielded<R>(f: impl FnOnce() -> R) -> R {
    marked(|wait| &mut wait.is_shielded, f)
}

/// Runs `f` so that its waits are given up with [`Cancel::Dispensable`] already.
pub fn dispensable<R>(f: impl FnOnce() -> R) -> R {
    marked(|wait| &mut wait.is_dispensable, f)
}

/// Runs `f` with a mark on the current task's waits, then leaves it as it was.
fn marked<R>(mark: fn(&mut Wait) -> &mut bool, f: impl FnOnce() -> R) -> R {
    let set = |is_set| {
        with(|local| {
            let task = local.current();
            std::mem::replace(mark(&mut local.waits[task.index]), is_set)
        })
    };
    let before = set(true);
    let result = f();
    set(before);
    result
}

/// A non-blocking TCP connection, registered once, edge-triggered.
///
/// The state says what is known from events: `readable` until a read comes
/// back short or empty, so that no call is made only to hear "would block".
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    token: usize,
}

impl Socket {
    /// Begins to connect; wait with [`Socket::wait_writable`], then ask
    /// [`Socket::stream`] for its error. `from`: an address of this host, with port 0.
    ///
    /// # Errors
    /// When the system refuses at once: no descriptors, no ports, no route.
    pub fn connect(address: SocketAddr, from: Option<SocketAddr>) -> io::Result<Self> {
        with(|local| {
            let n_open = local.sockets.len() - local.free_sockets.len();
            let mut stream = match from.is_none() && n_open < SYSTEM_SEARCHES {
                true => TcpStream::connect(address)?,
                false => local.ports.connect(address, from)?,
            };
            let token = local.free_sockets.pop().unwrap_or_else(|| {
                local.sockets.push(SocketState::default());
                local.sockets.len() - 1
            });
            local.sockets[token] = SocketState::default();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = local.registry.register(&mut stream, Token(token), interest) {
                local.free_sockets.push(token);
                return Err(error);
            }
            Ok(Self { stream, token })
        })
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The connection itself, to read from and write to.
    pub fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Something may be there to read, as far as events tell.
    pub fn is_readable(&self) -> bool {
        with(|local| local.sockets[self.token].readable)
    }

    /// Whether something may be there to read, and whether the peer has closed,
    /// as far as events tell.
    pub fn readable_and_closed(&self) -> (bool, bool) {
        with(|local| {
            let state = &local.sockets[self.token];
            (state.readable, state.closed)
        })
    }

    /// All that had come was read: the next event will tell of more. A closed
    /// peer stays readable, since its end is still to be read.
    pub fn drained(&self) {
        with(|local| {
            let state = &mut local.sockets[self.token];
            state.readable = state.closed;
        });
    }

    /// A write would block: the next event will tell when not.
    pub fn mark_full(&self) {
        with(|local| local.sockets[self.token].writable = false);
    }

    /// Waits until there may be something to read. A deadline that has come, or
    /// the end of the run, is told even where there is something.
    pub fn wait_readable(&self, deadline: Option<Instant>) -> Wake {
        self.wait(deadline, |state| state.readable)
    }

    /// Waits until there may be room to write, or the connection is there.
    pub fn wait_writable(&self, deadline: Option<Instant>) -> Wake {
        self.wait(deadline, |state| state.writable)
    }

    /// As a loop of [`park`], with one look at the thread's state before each
    /// suspension and one after it.
    fn wait(&self, deadline: Option<Instant>, is_ready: fn(&SocketState) -> bool) -> Wake {
        let mut ended = with(|local| match is_ready(&local.sockets[self.token]) {
            true => Some(local.look(deadline)),
            false => local.begin_socket_wait(self.token, deadline),
        });
        loop {
            if let Some(wake) = ended {
                return wake;
            }
            suspend::suspend();
            ended = with(|local| {
                let wake = local.end_wait();
                let state = &mut local.sockets[self.token];
                state.waiting = None;
                match wake == Wake::Ready && !is_ready(state) {
                    true => local.begin_socket_wait(self.token, deadline),
                    false => Some(wake),
                }
            });
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A socket may outlive its scheduler while a thread unwinds.
        LOCAL.with_borrow_mut(|local| {
            if let Some(local) = local {
                // Closing the descriptor ends the registration in any case.
                local.registry.deregister(&mut self.stream).ok();
                local.sockets[self.token] = SocketState::default();
                local.free_sockets.push(self.token);
            }
        });
    }
}
