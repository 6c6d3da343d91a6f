//! Streams that sessions hold beside their calls: how they ended, and what came on them.

use super::{Failure, FailureCounts};

/// Names that are counted apart; the names are the server's, which may make up any number.
const NAMES_MAX: usize = 32;

/// What became of listening streams. How they were opened is a row's matter.
#[derive(Debug, Clone, Default)]
pub struct ListenTally {
    /// Attempts that were answered, but not with a stream.
    pub refused: u64,
    /// Subscriptions that were answered with 200, and neither acknowledged nor refused.
    pub unacknowledged: u64,
    /// Streams opened again after an event with an id.
    pub resumed: u64,
    /// Streams that ended in good order: with their session, or by the server.
    pub ended: u64,
    /// Of these, by the server while the session went on.
    pub ended_by_server: u64,
    /// Streams that broke, by cause.
    pub broken: FailureCounts,
    /// Notifications by method.
    pub notifications: NameCounts,
    /// Requests of servers by method.
    pub requests: NameCounts,
    /// Of these, how many were answered.
    pub requests_answered: u64,
    /// Answers to calls that came here.
    pub answers: u64,
    /// Events that are no message.
    pub unreadable: u64,
    /// Bytes of HTTP heads and bodies read.
    pub bytes: u64,
}

impl ListenTally {
    /// A stream broke.
    pub fn broke(&mut self, failure: Failure) {
        self.broken.add(failure);
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.refused += other.refused;
        self.unacknowledged += other.unacknowledged;
        self.resumed += other.resumed;
        self.ended += other.ended;
        self.ended_by_server += other.ended_by_server;
        self.broken.merge(&other.broken);
        self.notifications.merge(&other.notifications);
        self.requests.merge(&other.requests);
        self.requests_answered += other.requests_answered;
        self.answers += other.answers;
        self.unreadable += other.unreadable;
        self.bytes += other.bytes;
    }
}

/// Counts by name, of a bounded number of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameCounts {
    /// In the order in which they came first.
    pub counts: Vec<(String, u64)>,
    /// Of all names beyond the bound.
    pub others: u64,
}

impl NameCounts {
    /// Counts one.
    pub fn add(&mut self, name: &str) {
        self.add_some(name, 1);
    }

    /// All together.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, n)| n).sum::<u64>() + self.others
    }

    fn add_some(&mut self, name: &str, n: u64) {
        let known = self.counts.iter().position(|(known, _)| known == name);
        match known {
            Some(at) => self.counts[at].1 += n,
            None if self.counts.len() < NAMES_MAX => self.counts.push((name.to_string(), n)),
            None => self.others += n,
        }
    }

    fn merge(&mut self, other: &Self) {
        for (name, n) in &other.counts {
            self.add_some(name, *n);
        }
        self.others += other.others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_counted_together() {
        let mut counts = NameCounts::default();
        for n in 0..100 {
            counts.add(&format!("name {n}"));
            counts.add("name 0");
        }
        assert_eq!(counts.counts.len(), NAMES_MAX);
        assert_eq!(counts.counts[0], ("name 0".to_string(), 101));
        assert_eq!((counts.others, counts.total()), (68, 200));
        let mut sum = NameCounts::default();
        sum.merge(&counts);
        sum.merge(&counts);
        assert_eq!((sum.counts.len(), sum.others), (NAMES_MAX, 136));
        assert_eq!(sum.total(), 400);
    }
}
