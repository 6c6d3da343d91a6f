//! What the coordinator and its workers say to each other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::auth::HeldToken;
use crate::metrics::{Recorder, WorkerUsage};
use crate::scheduler::Waker;

/// To a worker.
#[derive(Debug)]
pub enum Command {
    /// Holders have these tokens from now on.
    SetTokens(Arc<[HeldToken]>),
    /// This many users of this worker are wanted from now on.
    SetUsers(u32),
    /// The load begins.
    Begin {
        /// Arrivals are due from here on, and ticks are counted from it.
        origin: Instant,
        /// What belongs to the first part of it is told apart: whole ticks.
        warm_up: Duration,
    },
    /// New connections go to one of these from now on.
    UseAddresses(Arc<[SocketAddr]>),
    /// An empty recorder for a coming tick.
    Recycle(Box<Recorder>),
    /// No iteration begins any more; what is in flight may end.
    Stop,
    /// Who opens a session or a connection gives that up.
    CancelOpenings,
    /// Calls in flight are given up; sessions may still be ended.
    CancelCalls,
    /// Everything is given up.
    CancelAll,
}

/// Ticks under way: more than a second of them for the slowest coordinator.
pub const EVENTS_BOUND: usize = 8;

/// From a worker.
#[derive(Debug)]
pub enum WorkerEvent {
    /// What was recorded since the last tick.
    Tick(Box<Tick>),
    /// All users have ended.
    Ended(Box<WorkerEnd>),
    /// The worker could not go on: why.
    Failed(usize, io::Error),
}

/// What was recorded since the last tick.
#[derive(Debug)]
pub struct Tick {
    /// Which worker.
    pub worker: usize,
    /// Which tick: it ended at the start of the load plus `number` ticks. One
    /// that was skipped is contained in the next.
    pub number: u64,
    /// What was recorded.
    pub recorder: Box<Recorder>,
    /// What the thread used and did meanwhile.
    pub usage: WorkerUsage,
    /// Its users now.
    pub users: UserCounts,
}

/// The state of a worker's users.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UserCounts {
    /// Running.
    pub active: u32,
    /// Of them, with an open session.
    pub ready: u32,
    /// Have tried at least once to open a session.
    pub tried: u32,
}

/// A worker's last words.
#[derive(Debug)]
pub struct WorkerEnd {
    /// Which worker.
    pub worker: usize,
    /// Recorded since the last tick.
    pub recorder: Box<Recorder>,
    /// What the thread used and did since then.
    pub usage: WorkerUsage,
    /// When its first call began.
    pub first_begin: Option<Instant>,
    /// The end of its last call that succeeded or failed.
    pub last_end: Option<Instant>,
    /// When its last call was given up, if one was.
    pub last_given_up: Option<Instant>,
    /// The most users that ran at once.
    pub active_max: u32,
    /// Users that never had a session.
    pub without_session: u32,
    /// The most listening streams that were open at once.
    pub listening_max: u32,
}

/// The coordinator's hold on a worker.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: Sender<Command>,
    /// Set by the worker once its poll exists.
    waker: Arc<parking_lot::Mutex<Option<Arc<Waker>>>>,
}

impl Handle {
    /// A handle, and what the worker takes.
    pub fn new() -> (Self, Inbox) {
        // A command that found no room would be a user, a token or an end that never
        // comes. None is made per call: recorders are the worker's own few, and the clock
        // of the controller, of the resolver and of the tokens' renewal makes the others,
        // while a worker takes all that there are at each turn.
        let (commands, inbox) = unbounded();
        let waker = Arc::new(parking_lot::Mutex::new(None));
        let slot = Arc::clone(&waker);
        let handle = Self { commands, waker };
        let inbox = Inbox {
            commands: inbox,
            waker: slot,
        };
        (handle, inbox)
    }

    /// Sends a command and wakes the worker; it never waits. A worker that has ended
    /// takes none, which is not an error.
    pub fn send(&self, command: Command) {
        let is_spare = matches!(command, Command::Recycle(_));
        let _ = self.commands.send(command);
        if !is_spare {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.lock() {
            // The worker looks into its inbox at every tick in any case.
            let _ = waker.wake();
        }
    }
}

/// A worker's end of the commands.
#[derive(Debug)]
pub struct Inbox {
    pub(super) commands: Receiver<Command>,
    pub(super) waker: Arc<parking_lot::Mutex<Option<Arc<Waker>>>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_command_is_lost_however_long_the_worker_does_not_look() {
        let (handle, inbox) = Handle::new();
        for users in 0..1_000 {
            handle.send(Command::SetUsers(users));
        }
        handle.send(Command::Stop);
        for expected in 0..1_000 {
            let command = inbox.commands.try_recv().expect("a command");
            assert!(matches!(command, Command::SetUsers(users) if users == expected));
        }
        let last = inbox.commands.try_recv();
        assert!(matches!(last, Ok(Command::Stop)), "{last:?}");
    }
}
