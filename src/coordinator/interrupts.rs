//! Interrupts: how a signal, or the embedding program, ends a run early.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Signals that a run should end, as it sees them.
#[derive(Debug, Clone)]
pub struct Interrupts {
    count: Arc<AtomicU32>,
    /// The first interrupt counts as the second one, too.
    is_hasty: bool,
    resumed: Arc<AtomicU32>,
    /// Has a message soon after an interrupt came. It is a wake-up only:
    /// [`Interrupts::count`] says how many there were.
    pub(super) wake: Receiver<()>,
}

/// Asks a run to end: once to let requests in flight finish, twice to end at
/// once. Either way the run returns what it has.
#[derive(Debug, Clone)]
pub struct Interrupter {
    count: Arc<AtomicU32>,
    resumed: Arc<AtomicU32>,
    wake: Sender<()>,
}

impl Interrupts {
    /// Both ends.
    pub fn new() -> (Interrupter, Self) {
        let count = Arc::new(AtomicU32::new(0));
        let resumed = Arc::new(AtomicU32::new(0));
        let (wake, woken) = bounded(1);
        let interrupter = Interrupter {
            count: Arc::clone(&count),
            resumed: Arc::clone(&resumed),
            wake,
        };
        let interrupts = Self {
            count,
            is_hasty: false,
            resumed,
            wake: woken,
        };
        (interrupter, interrupts)
    }

    /// The same interrupts for what has nothing to finish: the first one ends it at once.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self {
            is_hasty: true,
            ..self
        }
    }

    /// Interrupts that never come.
    pub fn none() -> Self {
        Self::new().1
    }

    /// Whether an interrupt has come.
    pub fn is_pending(&self) -> bool {
        self.count() > 0
    }

    /// Waits for an interrupt, and no longer than `longest`.
    pub fn wait(&self, longest: Duration) {
        let until = crate::clock::now().checked_add(longest);
        while !self.is_pending() {
            // The message is sent after the count was raised.
            let woken = match until {
                Some(until) => self.wake.recv_deadline(until).is_ok(),
                None => self.wake.recv().is_ok(),
            };
            if !woken {
                return;
            }
        }
    }

    /// How many have come.
    pub(super) fn count(&self) -> u32 {
        let count = self.count.load(Ordering::Relaxed);
        count + u32::from(self.is_hasty && count > 0)
    }

    /// How often this process was stopped and went on.
    pub(super) fn n_resumed(&self) -> u32 {
        self.resumed.load(Ordering::Relaxed)
    }
}

impl Interrupter {
    /// Asks once more.
    pub fn interrupt(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        // Where a message waits already, its receiver will see the count.
        let _ = self.wake.try_send(());
    }

    /// Tells that this process was stopped, as by Ctrl-Z, and goes on. It ends nothing: the
    /// verdict names the stop as the cause of what it did to the figures.
    pub fn resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }
}
