//! What share of the machine a test takes, so that most run beside each other and
//! those that judge times are disturbed by few.
//!
//! Most end-to-end tests wait: for a run of some seconds, for a time limit. So
//! `.cargo/config.toml` lets libtest start more tests at once than there are CPUs.
//! Each takes its share of the machine before its first run and gives it back at
//! its end: one part beside any others, unless it asks for more parts or for fewer
//! beside it. Who asks first is served first.

use std::cell::RefCell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// As many as there are tests at once in `.cargo/config.toml`.
const N_PARTS: usize = 12;

/// For a test that judges rates or latencies: the others beside it have at most so many
/// parts. Such tests make little load, so they run beside each other. Five where a stall
/// of milliseconds may show, or the load is high; seven where it changes little; ten
/// where only seconds count.
pub(crate) fn beside(others_max: usize) {
    take(Portion::new(1, others_max));
}

/// For a test that keeps a CPU busy for seconds: two of these run beside two that take a
/// part each.
pub(crate) fn busy() {
    take(Portion::new(N_PARTS / 3, N_PARTS / 2));
}

/// For a test that loads all CPUs or starves the generator: nothing runs beside it.
pub(crate) fn alone() {
    take(Portion::new(N_PARTS, 0));
}

/// For any other test. Every run asks for it; a test that measures a time which its
/// run may begin in asks for it before, so that the time holds no waiting for others.
pub(crate) fn one_part() {
    take(Portion::new(1, N_PARTS));
}

/// What a test takes of the machine, and leaves to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Portion {
    n_parts: usize,
    /// How many parts the others that run beside it may have together.
    others_max: usize,
}

impl Portion {
    /// With as many others as still fit.
    fn new(n_parts: usize, others_max: usize) -> Self {
        Self {
            n_parts,
            others_max: others_max.min(N_PARTS - n_parts),
        }
    }

    /// What is enough for both.
    fn with(self, other: Self) -> Self {
        Self::new(
            self.n_parts.max(other.n_parts),
            self.others_max.min(other.others_max),
        )
    }
}

/// A test that has as much already keeps what it has.
fn take(portion: Portion) {
    // libtest names its threads. Those that a test starts live on the test's share:
    // one of their own could wait for one that waits for the test's.
    if thread::current().name().is_none() {
        return;
    }
    MINE.with_borrow_mut(|mine| {
        let of_both = mine
            .as_ref()
            .map_or(portion, |mine| portion.with(mine.portion));
        if mine.as_ref().is_some_and(|mine| mine.portion == of_both) {
            return;
        }
        // First the old one goes back, which the queue may be waiting for.
        drop(mine.take());
        *mine = Some(Share::take(of_both));
    });
}

thread_local! {
    /// Given back when the test's thread ends.
    static MINE: RefCell<Option<Share>> = const { RefCell::new(None) };
}

struct Share {
    portion: Portion,
}

/// Tickets keep the order of asking, so that who asks for much is not kept waiting
/// by those who ask for little.
struct Machine {
    running: Vec<Portion>,
    next_ticket: u64,
    served: u64,
}

static MACHINE: Mutex<Machine> = Mutex::new(Machine {
    running: Vec::new(),
    next_ticket: 0,
    served: 0,
});
static CHANGED: Condvar = Condvar::new();

impl Machine {
    /// Whether one more fits: for itself and for each that runs.
    fn has_room_for(&self, portion: Portion) -> bool {
        let n_taken: usize = self.running.iter().map(|it| it.n_parts).sum();
        let bears = |it: &Portion| n_taken - it.n_parts + portion.n_parts <= it.others_max;
        n_taken <= portion.others_max && self.running.iter().all(bears)
    }
}

impl Share {
    fn take(portion: Portion) -> Self {
        let mut machine = lock();
        let ticket = machine.next_ticket;
        machine.next_ticket += 1;
        let must_wait =
            |machine: &mut Machine| machine.served < ticket || !machine.has_room_for(portion);
        machine = CHANGED
            .wait_while(machine, must_wait)
            .unwrap_or_else(PoisonError::into_inner);
        machine.served += 1;
        machine.running.push(portion);
        CHANGED.notify_all();
        Self { portion }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let running = &mut lock().running;
        let own = running.iter().position(|portion| *portion == self.portion);
        running.swap_remove(own.expect("it runs until now"));
        CHANGED.notify_all();
    }
}

/// The list is whole after every operation, so a panic elsewhere spoils nothing.
fn lock() -> MutexGuard<'static, Machine> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
