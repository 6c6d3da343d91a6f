//! Waits that a server asks for (`Retry-After`), where the plan respects them.

/// What was asked of users that were turned away, and how long they kept away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AskedWaits {
    /// Waits that ended, by their time or with the load.
    pub waits: u64,
    /// How long they took, of all users together, in nanoseconds.
    pub waited_ns: u64,
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
        self.waits += other.waits;
        self.waited_ns = self.waited_ns.saturating_add(other.waited_ns);
        self.asked_ns_max = self.asked_ns_max.max(other.asked_ns_max);
        self.absent += other.absent;
        self.unreadable += other.unreadable;
    }
}
