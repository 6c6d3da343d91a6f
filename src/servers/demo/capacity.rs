//! How many calls are served at once: the known limit that the search for a
//! breaking point is measured against.
//!
//! Pure: the [`Gate`] says whose turn it is, in instants that it is told.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::latency::DemoLatency;
use crate::error::UserError;
use crate::units::plural;

/// The accepted form of a capacity.
pub const CAPACITY_FORM: &str = "slots, a slash and the service time, such as `4/fixed:20ms`, \
     and perhaps a slash and the queue's length: `4/exponential:20ms/100`";

/// A known limit: `slots` calls are served at once, the others wait first come,
/// first served. The highest throughput is `slots` by the mean of `service`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capacity {
    /// How many calls are served at once. 0 means 1.
    pub slots: u32,
    /// How long each is served.
    pub service: DemoLatency,
    /// How many calls may wait; the others are turned away with HTTP 503. `None`
    /// means that all may wait.
    pub queue: Option<u32>,
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.slots, self.service)?;
        match self.queue {
            Some(queue) => write!(f, "/{queue}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Capacity {
    type Err = UserError;

    fn from_str(text: &str) -> Result<Self, UserError> {
        let error = || {
            UserError::usage(format!("`{text}` is not a capacity"))
                .hint(format!("A capacity is {CAPACITY_FORM}."))
        };
        let mut parts = text.trim().split('/').map(str::trim);
        let slots: u32 = parts
            .next()
            .and_then(|slots| slots.parse().ok())
            .filter(|slots| *slots > 0)
            .ok_or_else(error)?;
        let service: DemoLatency = parts.next().ok_or_else(error)?.parse()?;
        let queue = match parts.next() {
            Some(queue) => Some(queue.parse().map_err(|_| error())?),
            None => None,
        };
        match parts.next() {
            Some(_) => Err(error()),
            None => Ok(Self {
                slots,
                service,
                queue,
            }),
        }
    }
}

/// The slots of a [`Capacity`] and the queue before them.
///
/// It counts in instants that it is given, not in the instants at which the
/// server woke: a slot that comes free at 10.0 ms serves the next call from 10.0
/// ms on, even when the thread noticed at 10.1 ms. So the capacity is exact.
#[derive(Debug)]
pub(super) struct Gate {
    slots: u32,
    queue_max: usize,
    /// `busy <= slots`.
    busy: u32,
    /// In order of arrival; some may have left, and are skipped when their turn comes.
    queue: VecDeque<Waiter>,
    /// How many in the queue have not left: `n_waiting <= queue.len()`.
    n_waiting: usize,
}

/// A call that waits, or one that may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) ticket: u64,
    /// Whose call it is, in the server's own numbering.
    pub(super) owner: usize,
    pub(super) service: Duration,
    /// When it arrived, by the server's clock.
    pub(super) arrived: Duration,
}

impl Waiter {
    /// When it begins in a slot that came free at `free`: not before it arrived,
    /// which a thread that wakes late may have noticed first.
    pub(super) fn begins(&self, free: Duration) -> Duration {
        free.max(self.arrived)
    }
}

/// What becomes of a call that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Begins,
    Waits,
    TurnedAway,
}

impl Gate {
    pub(super) fn new(capacity: &Capacity) -> Self {
        Self {
            slots: capacity.slots.max(1),
            queue_max: capacity.queue.map_or(usize::MAX, |queue| queue as usize),
            busy: 0,
            queue: VecDeque::new(),
            n_waiting: 0,
        }
    }

    pub(super) fn enter(&mut self, waiter: Waiter) -> Admission {
        if self.busy < self.slots {
            self.busy += 1;
            Admission::Begins
        } else if self.n_waiting < self.queue_max {
            self.n_waiting += 1;
            self.queue.push_back(waiter);
            Admission::Waits
        } else {
            Admission::TurnedAway
        }
    }

    /// A call in the queue was given up. `leave` says so once for each.
    pub(super) fn leave(&mut self) {
        self.n_waiting = self.n_waiting.saturating_sub(1);
    }

    /// A slot comes free: gives the call that takes it, first come first served.
    /// `is_there` tells whether a waiting call has not been given up.
    pub(super) fn release(&mut self, is_there: impl Fn(&Waiter) -> bool) -> Option<Waiter> {
        while let Some(waiter) = self.queue.pop_front() {
            if is_there(&waiter) {
                self.n_waiting = self.n_waiting.saturating_sub(1);
                return Some(waiter);
            }
        }
        self.busy = self.busy.saturating_sub(1);
        None
    }

    pub(super) fn n_busy(&self) -> u64 {
        u64::from(self.busy)
    }

    pub(super) fn n_waiting(&self) -> u64 {
        self.n_waiting as u64
    }
}

/// What the server says when its queue is full.
pub(super) fn turned_away(queue: Option<u32>) -> String {
    let n_waiting = u64::from(queue.unwrap_or(u32::MAX));
    format!(
        "Service Unavailable: all slots are busy and {} waiting",
        plural(n_waiting, "call is", "calls are")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn capacities_are_read_and_printed() {
        let capacity: Capacity = "4/lognormal:20ms,0.5/100".parse().expect("a capacity");
        assert_eq!((capacity.slots, capacity.queue), (4, Some(100)));
        assert_eq!(capacity.to_string(), "4/lognormal:20ms,0.5/100");
        let capacity: Capacity = "4/fixed:20ms".parse().expect("a capacity");
        assert_eq!((capacity.slots, capacity.queue), (4, None));
        for text in ["", "4", "0/fixed:5ms", "4/5ms", "4/none/x", "4/none/1/1"] {
            assert!(text.parse::<Capacity>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_call_begins_before_it_arrived() {
        let waiter = Waiter {
            ticket: 1,
            owner: 0,
            service: MS,
            arrived: 10 * MS,
        };
        assert_eq!(waiter.begins(8 * MS), 10 * MS);
        assert_eq!(waiter.begins(12 * MS), 12 * MS);
    }

    #[test]
    fn the_gate_serves_first_come_first_served() {
        let waiter = |ticket| Waiter {
            ticket,
            owner: 0,
            service: MS,
            arrived: Duration::ZERO,
        };
        let mut gate = Gate::new(&"2/fixed:1ms/2".parse().expect("a capacity"));
        let entries: Vec<Admission> = (1..=5).map(|ticket| gate.enter(waiter(ticket))).collect();
        use Admission::{Begins, TurnedAway, Waits};
        assert_eq!(entries, [Begins, Begins, Waits, Waits, TurnedAway]);
        // The third gives up, so its place is free and the fourth is next.
        gate.leave();
        assert_eq!(gate.enter(waiter(6)), Waits);
        assert_eq!(gate.n_waiting(), 2);
        let is_there = |waiter: &Waiter| waiter.ticket != 3;
        assert_eq!(gate.release(is_there), Some(waiter(4)));
        assert_eq!(gate.release(is_there), Some(waiter(6)));
        assert_eq!((gate.n_busy(), gate.n_waiting()), (2, 0));
        assert_eq!(gate.release(is_there), None);
        assert_eq!(gate.release(is_there), None);
        assert_eq!(gate.n_busy(), 0);
    }
}
