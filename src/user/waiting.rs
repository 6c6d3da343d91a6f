//! Arrivals that no user of their own worker could take: one queue for all workers.
//!
//! A worker that has a free user serves its own arrivals and touches nothing that is shared.
//! Only an arrival that finds all users of its worker busy comes here, where the next user
//! of any worker that becomes free takes it: the pool of users is one, whatever the number
//! of threads that it runs on. (With a queue for each worker calls would wait behind one
//! worker's users while those of another are free, and the wait would be our doing.)

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;

use crate::scenario::{Load, Plan};

/// The queues of all populations, shared by all workers.
pub struct WaitingArrivals {
    lines: Box<[WaitingLine]>,
    /// By worker, once it runs.
    wakers: Box<[OnceLock<Wakeup>]>,
}

/// Ends a worker's wait. One that has ended needs none; any other looks again at its next
/// tick in any case.
type Wakeup = Box<dyn Fn() + Send + Sync>;

/// Of one population.
#[derive(Debug)]
struct WaitingLine {
    /// The largest number that waits.
    most: usize,
    arrivals: Mutex<VecDeque<Instant>>,
    /// How many those are; changed under their lock.
    n_waiting: AtomicUsize,
    /// By worker.
    idle: Box<[IdleUsers]>,
}

/// How many users of a worker wait for an arrival, as it last said. Written by it alone, and
/// on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct IdleUsers(AtomicU32);

impl std::fmt::Debug for WaitingArrivals {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(&self.lines).finish()
    }
}

impl WaitingArrivals {
    /// For the workers of this host; `None` in the closed model.
    pub fn new(plan: &Plan, n_workers: usize) -> Option<Arc<Self>> {
        let Load::Open { queue_max, .. } = &plan.load else {
            return None;
        };
        let queue_max = plan.segment.share_of_users(*queue_max);
        let populations = &plan.populations;
        let most = (0..populations.all().len()).map(|population| {
            // A cast from a float saturates.
            (f64::from(queue_max) * populations.share(population)).ceil() as usize
        });
        Some(Arc::new(Self::with_queues(most, n_workers)))
    }

    fn with_queues(most: impl Iterator<Item = usize>, n_workers: usize) -> Self {
        let line = |most| WaitingLine {
            most,
            arrivals: Mutex::default(),
            n_waiting: AtomicUsize::new(0),
            idle: (0..n_workers).map(|_| IdleUsers::default()).collect(),
        };
        Self {
            lines: most.map(line).collect(),
            wakers: (0..n_workers).map(|_| OnceLock::new()).collect(),
        }
    }
}

/// One worker's way to the queues.
pub struct WaitingShare {
    all: Arc<WaitingArrivals>,
    worker: usize,
}

impl WaitingShare {
    /// Of this worker, which `wake` wakes.
    pub fn new(
        all: Arc<WaitingArrivals>,
        worker: usize,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        // Each worker comes once.
        all.wakers[worker].set(Box::new(wake)).ok();
        Self { all, worker }
    }

    /// Has an arrival wait; false where the queue is full, and no user of another worker is
    /// free to take it.
    pub(super) fn offer(&self, population: usize, intended: Instant) -> bool {
        let line = &self.all.lines[population];
        let mut arrivals = line.arrivals.lock();
        // Those that are on their way to free users do not fill the queue. Other workers are
        // asked for theirs only where it matters.
        if arrivals.len() >= line.most && arrivals.len() >= line.most + self.n_idle_elsewhere(line)
        {
            return false;
        }
        arrivals.push_back(intended);
        line.n_waiting.store(arrivals.len(), SeqCst);
        drop(arrivals);
        self.wake_another(line);
        true
    }

    /// Takes the arrival that waits longest.
    pub(super) fn take(&self, population: usize) -> Option<Instant> {
        let line = &self.all.lines[population];
        if line.n_waiting.load(SeqCst) == 0 {
            return None;
        }
        let mut arrivals = line.arrivals.lock();
        let first = arrivals.pop_front();
        line.n_waiting.store(arrivals.len(), SeqCst);
        first
    }

    /// Gives one back that was taken and is not served: it waits longest.
    pub(super) fn give_back(&self, population: usize, intended: Instant) {
        let line = &self.all.lines[population];
        let mut arrivals = line.arrivals.lock();
        arrivals.push_front(intended);
        line.n_waiting.store(arrivals.len(), SeqCst);
        drop(arrivals);
        self.wake_another(line);
    }

    /// Says how many users of this worker wait for an arrival, so that others wake it for
    /// one; whether one waits for them already.
    ///
    /// Either this sees the arrival of another worker, or that one sees the users: each
    /// writes before it reads, in one order for all (`SeqCst`).
    pub(super) fn tell_idle(&self, population: usize, n_idle: usize) -> bool {
        let line = &self.all.lines[population];
        let n_idle = u32::try_from(n_idle).unwrap_or(u32::MAX);
        let own = &line.idle[self.worker].0;
        // Nobody else writes it.
        if own.load(SeqCst) != n_idle {
            own.store(n_idle, SeqCst);
        }
        n_idle > 0 && line.n_waiting.load(SeqCst) > 0
    }

    /// Where arrivals still wait, wakes another worker for them: one wake may have been for
    /// several of them.
    pub(super) fn pass_on(&self, population: usize) {
        let line = &self.all.lines[population];
        if line.n_waiting.load(SeqCst) > 0 {
            self.wake_another(line);
        }
    }

    /// No arrival is served any more: those that waited.
    pub(super) fn clear(&self, population: usize) -> VecDeque<Instant> {
        let line = &self.all.lines[population];
        let mut arrivals = line.arrivals.lock();
        line.n_waiting.store(0, SeqCst);
        std::mem::take(&mut *arrivals)
    }

    fn others<'a>(&self, line: &'a WaitingLine) -> impl Iterator<Item = (usize, &'a IdleUsers)> {
        // From the next one on, so that not all wake the first.
        let (before, after) = line.idle.split_at(self.worker);
        let after = after.iter().enumerate().skip(1);
        let n_before = before.len();
        let after = after.map(move |(at, idle)| (n_before + at, idle));
        after.chain(before.iter().enumerate())
    }

    fn n_idle_elsewhere(&self, line: &WaitingLine) -> usize {
        let idle = self.others(line).map(|(_, idle)| idle.0.load(SeqCst));
        idle.map(|it| it as usize).sum()
    }

    /// Wakes a worker whose users wait for an arrival, if there is one.
    fn wake_another(&self, line: &WaitingLine) {
        let mut others = self.others(line);
        let free = others.find(|(_, idle)| idle.0.load(SeqCst) > 0);
        if let Some(wake) = free.and_then(|(worker, _)| self.all.wakers[worker].get()) {
            wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;

    /// So many workers with one queue of `most`, and whether each was woken.
    fn workers<const N: usize>(most: usize) -> [(WaitingShare, Arc<AtomicBool>); N] {
        let all = Arc::new(WaitingArrivals::with_queues(std::iter::once(most), N));
        std::array::from_fn(|at| {
            let woken = Arc::new(AtomicBool::new(false));
            let flag = Arc::clone(&woken);
            let share = WaitingShare::new(Arc::clone(&all), at, move || flag.store(true, SeqCst));
            (share, woken)
        })
    }

    #[test]
    fn who_waits_longest_is_served_first_by_any_worker() {
        let now = crate::clock::now();
        let at = |ms| now + Duration::from_millis(ms);
        let [(first, _), (second, _)] = &workers(3);
        assert_eq!(first.take(0), None);
        assert!(first.offer(0, at(1)) && second.offer(0, at(2)) && first.offer(0, at(3)));
        assert!(!second.offer(0, at(4)), "the queue is full");
        assert_eq!(second.take(0), Some(at(1)));
        second.give_back(0, at(1));
        assert_eq!(first.take(0), Some(at(1)));
        assert_eq!(first.take(0), Some(at(2)));
        assert_eq!(second.clear(0), [at(3)]);
        assert_eq!(first.take(0), None);
    }

    #[test]
    fn a_worker_with_free_users_is_woken_for_the_arrivals_of_others() {
        let now = crate::clock::now();
        let [(first, _), (second, woken), (third, third_woken)] = &workers(1);
        let is_woken = |flag: &AtomicBool| flag.swap(false, SeqCst);
        assert!(first.offer(0, now));
        assert!(!is_woken(woken), "none is free");
        // Who becomes free sees what waits.
        assert!(second.tell_idle(0, 1));
        assert_eq!(second.take(0), Some(now));
        assert!(!second.tell_idle(0, 1));
        // Free users of another worker make room.
        assert!(first.offer(0, now) && is_woken(woken));
        assert!(first.offer(0, now) && is_woken(woken));
        assert!(!first.offer(0, now));
        // The one that was woken has a user for one of them, and the next one for the other.
        assert_eq!(second.take(0), Some(now));
        assert!(!second.tell_idle(0, 0));
        assert!(third.tell_idle(0, 2));
        second.pass_on(0);
        assert!(is_woken(third_woken) && !is_woken(woken));
        assert_eq!(third.take(0), Some(now));
        second.pass_on(0);
        assert!(!is_woken(third_woken), "none waits");
    }

    /// Threads as workers with a user each: an arrival that waits is taken, however wakes and
    /// waits fall together.
    #[test]
    fn no_arrival_waits_while_a_worker_sleeps() {
        const N_ARRIVALS: usize = 20_000;
        let now = crate::clock::now();
        let all = Arc::new(WaitingArrivals::with_queues(std::iter::once(N_ARRIVALS), 2));
        let (wake, woken) = crossbeam_channel::bounded(1);
        // The wake of a poll stays until the poll is asked again.
        let server = WaitingShare::new(Arc::clone(&all), 1, move || {
            wake.try_send(()).ok();
        });
        let (tell, served) = crossbeam_channel::bounded::<()>(0);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut n_left = N_ARRIVALS;
                while n_left > 0 {
                    if server.tell_idle(0, 1) {
                        assert_eq!(server.take(0), Some(now));
                        n_left -= 1;
                        tell.send(()).expect("who offers");
                        continue;
                    }
                    let wait = woken.recv_timeout(Duration::from_secs(60));
                    wait.expect("a wake for the arrival that waits");
                }
            });
            let source = WaitingShare::new(all, 0, || ());
            for _ in 0..N_ARRIVALS {
                assert!(source.offer(0, now));
                served.recv().expect("who serves");
            }
        });
    }
}
