//! What share of the machine a test takes, so that most run beside each other and
//! those that judge times are disturbed by few.
//!
//! Most end-to-end tests wait: for a run of some seconds, for a time limit. So
//! `.cargo/config.toml` lets libtest start more tests at once than there are CPUs.
//! Each takes its share of the machine before its first run and gives it back at
//! its end: one part, unless it asks for more. Who asks first is served first.

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// As many as there are tests at once in `.cargo/config.toml`.
const N_PARTS: usize = 12;

/// For a test that judges rates or latencies: three of these run beside each other,
/// or one beside eight that take a part each.
pub(crate) fn third() {
    take(N_PARTS / 3);
}

/// For a test that judges times which are long beside what a busy machine adds, and
/// makes little load: six of these run beside each other.
pub(crate) fn sixth() {
    take(N_PARTS / 6);
}

/// For a test that keeps a CPU busy for seconds: two of these run beside two that take
/// a part each.
pub(crate) fn half() {
    take(N_PARTS / 2 - 1);
}

/// For a test that loads all CPUs or starves the generator: nothing runs beside it.
pub(crate) fn whole() {
    take(N_PARTS);
}

/// For any other test. Every run asks for it; a test that measures a time which its
/// run may begin in asks for it before, so that the time holds no waiting for others.
pub(crate) fn one_part() {
    take(1);
}

/// A test that has as much already keeps what it has.
fn take(n_parts: usize) {
    // libtest names its threads. Those that a test starts live on the test's share:
    // one of their own could wait for one that waits for the test's.
    if thread::current().name().is_none() {
        return;
    }
    MINE.with_borrow_mut(|mine| {
        if mine.as_ref().is_some_and(|mine| mine.n_parts >= n_parts) {
            return;
        }
        // First the old one goes back, which the queue may be waiting for.
        drop(mine.take());
        *mine = Some(Share::take(n_parts));
    });
}

thread_local! {
    /// Given back when the test's thread ends.
    static MINE: RefCell<Option<Share>> = const { RefCell::new(None) };
}

struct Share {
    n_parts: usize,
}

/// Tickets keep the order of asking, so that who asks for much is not kept waiting
/// by those who ask for little.
struct Machine {
    n_free: usize,
    next_ticket: u64,
    served: u64,
}

static MACHINE: Mutex<Machine> = Mutex::new(Machine {
    n_free: N_PARTS,
    next_ticket: 0,
    served: 0,
});
static CHANGED: Condvar = Condvar::new();

impl Share {
    fn take(n_parts: usize) -> Self {
        let mut machine = lock();
        let ticket = machine.next_ticket;
        machine.next_ticket += 1;
        let must_wait = |machine: &mut Machine| machine.served < ticket || machine.n_free < n_parts;
        machine = CHANGED
            .wait_while(machine, must_wait)
            .unwrap_or_else(PoisonError::into_inner);
        machine.served += 1;
        machine.n_free -= n_parts;
        CHANGED.notify_all();
        Self { n_parts }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        lock().n_free += self.n_parts;
        CHANGED.notify_all();
    }
}

/// The counts are whole after every operation, so a panic elsewhere spoils nothing.
fn lock() -> MutexGuard<'static, Machine> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
