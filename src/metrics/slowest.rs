//! The slowest calls of an operation, each with where its time went.
//!
//! A few of each row are kept, so that what is asked of a call that is not among them is
//! one comparison.

/// Calls kept of each row.
pub const SLOWEST_KEPT: usize = 3;

/// A successful call that took long. All times are in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowCall {
    /// When its first byte was sent, on the run's clock.
    pub at_ns: u64,
    /// The number of its user among all users of the run, from 1.
    pub user: u64,
    /// Its latency, as it is recorded for its row.
    pub took_ns: u64,
    /// Where the time went.
    pub phases: CallPhases,
    /// The id of its trace (W3C Trace Context); `None` where it has none.
    pub trace: Option<u128>,
}

/// The parts of a call, one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallPhases {
    /// From the intended start until a user was free to make the call; `None` where no
    /// start was intended.
    pub queue_ns: Option<u64>,
    /// Until its first byte was sent: a new connection, where there had to be one.
    pub connect_ns: u64,
    /// Until the kernel had all of it; 0 where it took it at once.
    pub send_ns: u64,
    /// Until the first byte of the answer that ended it.
    pub wait_ns: u64,
    /// Until the last one; `None` where the answer came another way, on a stream beside.
    pub read_ns: Option<u64>,
}

/// The slowest of some calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlowestCalls {
    /// The slowest first, at most [`SLOWEST_KEPT`].
    calls: Vec<SlowCall>,
}

impl SlowestCalls {
    /// Whether a call that took so long is among the slowest so far.
    #[inline]
    pub fn takes(&self, took_ns: u64) -> bool {
        match self.calls.get(SLOWEST_KEPT - 1) {
            Some(last) => took_ns > last.took_ns,
            None => true,
        }
    }

    /// Keeps a call, if it is among the slowest so far. Of equals the earlier one stays.
    pub fn offer(&mut self, call: SlowCall) {
        if !self.takes(call.took_ns) {
            return;
        }
        self.calls
            .reserve_exact(SLOWEST_KEPT.saturating_sub(self.calls.len()));
        self.calls.truncate(SLOWEST_KEPT - 1);
        let at = self.calls.partition_point(|it| it.took_ns >= call.took_ns);
        self.calls.insert(at, call);
    }

    /// Adds what another worker, or a later tick, has seen.
    pub fn merge(&mut self, other: &Self) {
        for call in &other.calls {
            self.offer(*call);
        }
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.calls.clear();
    }

    /// Those kept, the slowest first.
    pub fn all(&self) -> &[SlowCall] {
        &self.calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(user: u64, took_ns: u64) -> SlowCall {
        SlowCall {
            at_ns: 0,
            user,
            took_ns,
            phases: CallPhases::default(),
            trace: None,
        }
    }

    proptest! {
        #[test]
        fn the_slowest_are_kept_in_whatever_order_they_come(
            took in prop::collection::vec(0_u64..20, 0..40),
            split in 0_usize..40,
        ) {
            let mut calls = took.iter().zip(1..).map(|(took_ns, user)| call(user, *took_ns));
            let (mut early, mut late) = (SlowestCalls::default(), SlowestCalls::default());
            calls.by_ref().take(split).for_each(|it| early.offer(it));
            calls.for_each(|it| late.offer(it));
            early.merge(&late);
            let mut sorted = took;
            sorted.sort_unstable_by_key(|took_ns| std::cmp::Reverse(*took_ns));
            sorted.truncate(SLOWEST_KEPT);
            let kept: Vec<u64> = early.all().iter().map(|it| it.took_ns).collect();
            prop_assert_eq!(kept, sorted);
        }
    }

    #[test]
    fn of_equals_the_earlier_one_stays() {
        let mut slowest = SlowestCalls::default();
        (1..=5).for_each(|user| slowest.offer(call(user, 7)));
        let users: Vec<u64> = slowest.all().iter().map(|it| it.user).collect();
        assert_eq!(users, [1, 2, 3]);
        assert!(!slowest.takes(7) && slowest.takes(8));
        slowest.clear();
        assert!(slowest.takes(0));
    }
}
