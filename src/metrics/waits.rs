//! Waits of users that are no latency of a call: those that a server asks for
//! (`Retry-After`), where the plan respects them, and those for another token.

use std::time::Duration;

/// Waits of one kind that ended, by their time or with the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WaitTally {
    /// How many.
    pub count: u64,
    /// How long they took, of all users together, in nanoseconds.
    pub waited_ns: u64,
}

impl WaitTally {
    /// Adds one.
    pub fn add(&mut self, waited: Duration) {
        let waited_ns = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.merge(&Self {
            count: 1,
            waited_ns,
        });
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.waited_ns = self.waited_ns.saturating_add(other.waited_ns);
    }
}

/// What was asked of users that were turned away, and how long they kept away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskedWaits {
    /// Waits as long as was asked for.
    pub kept: WaitTally,
    /// The longest that was asked for, as far as it is respected, in nanoseconds.
    pub asked_ns_max: u64,
    /// Answers of 429 that said nothing of how long to wait: nobody waited.
    pub absent: u64,
    /// Answers that said what is neither seconds nor a date: nobody waited.
    pub unreadable: u64,
}

impl AskedWaits {
    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.kept.merge(&other.kept);
        self.asked_ns_max = self.asked_ns_max.max(other.asked_ns_max);
        self.absent += other.absent;
        self.unreadable += other.unreadable;
    }
}
