//! What a task sees of its thread's scheduler: waiting, waking, its sockets.
//!
//! The state is thread-local, since ureq calls our transport without a way to
//! hand it anything. It is never borrowed across a suspension.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::ports::{Ports, SYSTEM_SEARCHES};
use super::suspend;
use super::timer::Timers;

/// Which task, on this thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskId(pub(super) usize);

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// What was waited for may have come: look again.
    Ready,
    /// The deadline has come.
    Deadline,
    /// The run is ending: give up.
    Cancelled,
}

/// Which waits give up at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cancel {
    /// None.
    Nothing,
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
    pub(super) timers: Timers,
    /// By task.
    pub(super) waits: Vec<Wait>,
    /// By token.
    sockets: Vec<SocketState>,
    free_sockets: Vec<usize>,
    ports: Ports,
    pub(super) current: Option<TaskId>,
    pub(super) cancel: Cancel,
    /// Begun by tasks, to be given a stack by the scheduler.
    pub(super) spawned: Vec<Body>,
}

/// What a task does.
pub(super) type Body = Box<dyn FnOnce()>;

/// What a task waits for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wait {
    /// It is suspended and not in the ready queue.
    pub(super) is_waiting: bool,
    pub(super) wake: Option<Wake>,
    /// It is not given up with [`Cancel::Unshielded`].
    pub(super) is_shielded: bool,
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
    pub(super) fn new(registry: Registry) -> Self {
        Self {
            registry,
            ready: VecDeque::new(),
            timers: Timers::default(),
            waits: Vec::new(),
            sockets: Vec::new(),
            free_sockets: Vec::new(),
            ports: Ports::default(),
            current: None,
            cancel: Cancel::Nothing,
            spawned: Vec::new(),
        }
    }

    pub(super) fn wake(&mut self, task: TaskId, why: Wake) {
        let wait = &mut self.waits[task.0];
        if wait.is_waiting {
            wait.is_waiting = false;
            wait.wake = Some(why);
            self.ready.push_back(task);
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
        let task = self.current.expect("called from inside a task");
        if self.is_cancelled(task) {
            return Some(Wake::Cancelled);
        }
        self.waits[task.0].is_waiting = true;
        match deadline {
            Some(deadline) => self.timers.set(task.0, deadline),
            None => self.timers.clear(task.0),
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
        let task = self.current.expect("a resumed task is the current one");
        self.timers.clear(task.0);
        self.waits[task.0].wake.take().unwrap_or(Wake::Ready)
    }

    fn is_cancelled(&self, task: TaskId) -> bool {
        match self.cancel {
            Cancel::Nothing => false,
            Cancel::Unshielded => !self.waits[task.0].is_shielded,
            Cancel::Everything => true,
        }
    }
}

fn with<R>(f: impl FnOnce(&mut Local) -> R) -> R {
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
    with(|local| local.current.expect("called from inside a task"))
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

/// Adds a task from inside another one. It begins at the next turn. Where the
/// system has no room for its stack, it is dropped without having begun.
pub fn spawn(body: impl FnOnce() + 'static) {
    with(|local| local.spawned.push(Box::new(body)));
}

/// Wakes a task that is parked; otherwise does nothing.
pub fn unpark(task: TaskId) {
    with(|local| local.wake(task, Wake::Ready));
}

/// Runs `f` so that its waits are given up only with [`Cancel::Everything`].
pub fn shielded<R>(f: impl FnOnce() -> R) -> R {
    let task = current_task();
    with(|local| local.waits[task.0].is_shielded = true);
    let result = f();
    with(|local| local.waits[task.0].is_shielded = false);
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
    /// [`Socket::stream`] for its error.
    ///
    /// # Errors
    /// When the system refuses at once: no descriptors, no ports, no route.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        with(|local| {
            let n_open = local.sockets.len() - local.free_sockets.len();
            let mut stream = match n_open < SYSTEM_SEARCHES {
                true => TcpStream::connect(address)?,
                false => local.ports.connect(address)?,
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
    pub fn is_full(&self) {
        with(|local| local.sockets[self.token].writable = false);
    }

    /// Waits until there may be something to read.
    pub fn wait_readable(&self, deadline: Option<Instant>) -> Wake {
        self.wait(deadline, |state| state.readable)
    }

    /// Waits until there may be room to write, or the connection stands.
    pub fn wait_writable(&self, deadline: Option<Instant>) -> Wake {
        self.wait(deadline, |state| state.writable)
    }

    /// As a loop of [`park`], with one look at the thread's state before each
    /// suspension and one after it.
    fn wait(&self, deadline: Option<Instant>, is_ready: fn(&SocketState) -> bool) -> Wake {
        let mut ended = with(|local| match is_ready(&local.sockets[self.token]) {
            true => Some(Wake::Ready),
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
                let _ = local.registry.deregister(&mut self.stream);
                local.sockets[self.token] = SocketState::default();
                local.free_sockets.push(self.token);
            }
        });
    }
}
