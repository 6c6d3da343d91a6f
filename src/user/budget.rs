//! A number of iterations, shared by all workers: none lost, none extra.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Taken at once by a worker where many are left, so that the shared counter
/// is not touched for each iteration.
const CHUNK_MAX: u64 = 256;

/// The iterations of a run.
#[derive(Debug)]
pub struct Budget {
    left: AtomicU64,
    n_workers: u64,
}

impl Budget {
    /// This many iterations, for this many workers.
    pub fn new(iterations: u64, n_workers: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicU64::new(iterations),
            n_workers: n_workers.max(1) as u64,
        })
    }

    /// Takes a part of what is left: the less is left the less, so that the
    /// last iterations are spread over all workers. 0 when none is left.
    fn take(&self) -> u64 {
        let mut taken = 0;
        let part = |left: u64| (left / (8 * self.n_workers)).clamp(1, CHUNK_MAX).min(left);
        // The closure only computes the new value; it may run again.
        let update = self.left.fetch_update(Relaxed, Relaxed, |left| {
            taken = part(left);
            (taken > 0).then_some(left - taken)
        });
        debug_assert_eq!(update.is_ok(), taken > 0);
        taken
    }
}

/// One worker's hand in the budget.
#[derive(Debug)]
pub struct BudgetShare {
    budget: Option<Arc<Budget>>,
    in_hand: Cell<u64>,
}

impl BudgetShare {
    /// A worker's hand; without a budget there is always one more.
    pub fn new(budget: Option<Arc<Budget>>) -> Self {
        Self {
            budget,
            in_hand: Cell::new(0),
        }
    }

    /// Takes one iteration; false when all are taken.
    pub fn claim(&self) -> bool {
        let Some(budget) = &self.budget else {
            return true;
        };
        if self.in_hand.get() == 0 {
            self.in_hand.set(budget.take());
        }
        match self.in_hand.get() {
            0 => false,
            n => {
                self.in_hand.set(n - 1);
                true
            }
        }
    }

    /// Whether [`BudgetShare::claim`] would find nothing.
    pub fn is_spent(&self) -> bool {
        self.in_hand.get() == 0
            && self
                .budget
                .as_ref()
                .is_some_and(|budget| budget.left.load(Relaxed) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_together_take_exactly_the_budget() {
        for (iterations, n_workers) in [(0, 1), (1, 4), (7, 3), (100_000, 4), (100_001, 2)] {
            let budget = Budget::new(iterations, n_workers);
            let taken: u64 = std::thread::scope(|scope| {
                let workers: Vec<_> = (0..n_workers)
                    .map(|_| {
                        let share = Arc::clone(&budget);
                        scope.spawn(move || {
                            let share = BudgetShare::new(Some(share));
                            let mut n = 0;
                            while share.claim() {
                                n += 1;
                            }
                            assert!(share.is_spent());
                            n
                        })
                    })
                    .collect();
                workers
                    .into_iter()
                    .map(|worker| worker.join().expect("a worker that counts"))
                    .sum()
            });
            assert_eq!(taken, iterations);
        }
    }
}
