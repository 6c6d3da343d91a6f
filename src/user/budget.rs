//! The numbers of a run's iterations, or of a search's, shared by all workers: none is
//! lost, and where there is a bound none extra.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Taken at once by a worker where many are left, so that the shared counter
/// is not touched for each iteration.
const CHUNK_MAX: u64 = 256;

/// The iterations of a run, numbered from 0 as they are taken.
#[derive(Debug)]
pub struct Budget {
    n_taken: AtomicU64,
    /// `u64::MAX`: no bound.
    most: u64,
    n_workers: u64,
    /// What workers of an earlier level had in hand when it ended. Of a bounded budget
    /// there is none: it ends with its workers.
    given_back: Mutex<Vec<Range<u64>>>,
    /// How many levels of a search have ended.
    level: AtomicU64,
}

impl Budget {
    /// This many iterations, or as many as there is time for, for this many workers.
    /// Without a bound their number does not matter.
    pub fn new(iterations: Option<u64>, n_workers: usize) -> Arc<Self> {
        Arc::new(Self {
            n_taken: AtomicU64::new(0),
            most: iterations.unwrap_or(u64::MAX),
            n_workers: n_workers.max(1) as u64,
            given_back: Mutex::default(),
            level: AtomicU64::new(0),
        })
    }

    /// A level of a search has ended, and its workers are gone.
    pub fn end_level(&self) {
        self.level.fetch_add(1, Relaxed);
    }

    fn left(&self) -> u64 {
        self.most - self.n_taken.load(Relaxed)
    }

    /// Takes a part of what is left: the less is left the less, so that the
    /// last iterations are spread over all workers. Empty when none is left.
    fn take(&self) -> Range<u64> {
        if self.most == u64::MAX {
            let mut given_back = self
                .given_back
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(range) = given_back.pop() {
                return range;
            }
        }
        let mut taken = 0..0;
        // The closure only computes the new value; it may run again.
        let update = self.n_taken.fetch_update(Relaxed, Relaxed, |n_taken| {
            // At most `most` are ever taken.
            let left = self.most - n_taken;
            let part = (left / (8 * self.n_workers)).clamp(1, CHUNK_MAX).min(left);
            taken = n_taken..n_taken + part;
            (part > 0).then_some(taken.end)
        });
        debug_assert_eq!(update.is_ok(), !taken.is_empty());
        taken
    }
}

/// One worker's hand in the budget.
#[derive(Debug)]
pub struct BudgetShare {
    budget: Arc<Budget>,
    in_hand: Cell<(u64, u64)>,
}

impl BudgetShare {
    /// A worker's hand.
    pub fn new(budget: Arc<Budget>) -> Self {
        Self {
            in_hand: Cell::new((0, 0)),
            budget,
        }
    }

    /// Which level of a search this is, from 0; 0 in a run.
    pub fn level(&self) -> u64 {
        self.budget.level.load(Relaxed)
    }

    /// Takes one iteration, and gives its number among those of the budget, from 0;
    /// `None` when all are taken.
    pub fn claim(&self) -> Option<u64> {
        let (mut next, mut end) = self.in_hand.get();
        if next == end {
            let taken = self.budget.take();
            (next, end) = (taken.start, taken.end);
        }
        let is_there = next < end;
        self.in_hand.set((next + u64::from(is_there), end));
        is_there.then_some(next)
    }

    /// Whether [`BudgetShare::claim`] would find nothing.
    pub fn is_spent(&self) -> bool {
        let (next, end) = self.in_hand.get();
        next == end && self.budget.left() == 0
    }
}

impl Drop for BudgetShare {
    fn drop(&mut self) {
        let (next, end) = self.in_hand.get();
        if next < end && self.budget.most == u64::MAX {
            let given_back = self.budget.given_back.lock();
            given_back
                .unwrap_or_else(PoisonError::into_inner)
                .push(next..end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_together_take_exactly_the_budget() {
        for (iterations, n_workers) in [(0, 1), (1, 4), (7, 3), (100_000, 4), (100_001, 2)] {
            let budget = Budget::new(Some(iterations), n_workers);
            let taken: Vec<Vec<u64>> = std::thread::scope(|scope| {
                let workers: Vec<_> = (0..n_workers)
                    .map(|_| {
                        let share = Arc::clone(&budget);
                        scope.spawn(move || {
                            let share = BudgetShare::new(share);
                            let numbers = std::iter::from_fn(|| share.claim()).collect();
                            assert!(share.is_spent());
                            numbers
                        })
                    })
                    .collect();
                workers
                    .into_iter()
                    .map(|worker| worker.join().expect("a worker that counts"))
                    .collect()
            });
            let mut numbers: Vec<u64> = taken.into_iter().flatten().collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..iterations));
        }
    }

    #[test]
    fn without_a_bound_there_is_always_one_more() {
        let share = BudgetShare::new(Budget::new(None, 2));
        let numbers: Vec<u64> = (0..1000).filter_map(|_| share.claim()).collect();
        assert!(numbers.into_iter().eq(0..1000));
        assert!(!share.is_spent());
    }

    /// Levels of a search have workers of their own, and go on where the one before ended.
    #[test]
    fn no_number_is_lost_between_levels() {
        let budget = Budget::new(None, 2);
        let mut numbers = Vec::new();
        for (level, n) in [(0, 300), (1, 10), (2, 700)] {
            let shares = [0, 1].map(|_| BudgetShare::new(Arc::clone(&budget)));
            assert_eq!(shares.each_ref().map(BudgetShare::level), [level; 2]);
            (0..n).for_each(|_| numbers.extend(shares.iter().filter_map(BudgetShare::claim)));
            budget.end_level();
        }
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]));
        // What is missing is what the last level had in hand, and comes before all others.
        let n_taken = budget.n_taken.load(Relaxed);
        let rest = BudgetShare::new(budget);
        let n_missing = n_taken - numbers.len() as u64;
        assert!(n_missing < 2 * CHUNK_MAX, "{n_missing}");
        numbers.extend((0..n_missing).filter_map(|_| rest.claim()));
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..n_taken));
    }
}
