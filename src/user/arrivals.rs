//! Hands arrivals of the open model to users when they are due.

use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::scheduler::{Wake, current_task, give_way, park, unpark};

/// This many arrivals are handed out before others have their turn: a schedule may have more
/// than a thread can hand out, and the end of the load must be heard of all the same.
const HANDED_OUT_AT_ONCE: u32 = 1024;

/// A worker's share of the schedule, as one task: at each intended instant an
/// arrival goes to a user of its population that is free, or waits; one that finds the
/// queue full is dropped, and counted. Ends with the schedule, with the last iteration
/// that is wanted, or with the load.
pub fn dispatch(shared: &Shared, due: impl Iterator<Item = (Duration, usize)>) {
    let Some(origin) = wait_for_origin(shared) else {
        return;
    };
    let goes_on = || !shared.stopping.get() && !shared.budget.is_spent();
    let mut n_at_once = 0;
    for (offset, population) in due {
        let Some(intended) = origin.checked_add(offset) else {
            return;
        };
        if intended > crate::clock::now() {
            n_at_once = 0;
            if !shared.sleep(intended, goes_on) {
                return;
            }
        } else if n_at_once == HANDED_OUT_AT_ONCE {
            n_at_once = 0;
            if give_way(None) == Wake::Cancelled {
                return;
            }
        }
        if !goes_on() {
            return;
        }
        n_at_once += 1;
        arrive(shared, population, intended);
    }
}

fn wait_for_origin(shared: &Shared) -> Option<Instant> {
    loop {
        if let Some(origin) = shared.origin.get() {
            return Some(origin);
        }
        if shared.stopping.get() {
            return None;
        }
        shared.sleepers.borrow_mut().insert(current_task());
        if park(None) == Wake::Cancelled {
            return None;
        }
    }
}

fn arrive(shared: &Shared, population: usize, intended: Instant) {
    let queue = &shared.queues[population];
    let mut recorder = shared.recorder.borrow_mut();
    let of_phase = recorder.of(shared.phase(Some(intended)));
    of_phase.counters.arrivals += 1;
    let idle = queue.idle.borrow_mut().pop();
    if let Some(user) = idle {
        queue.arrivals.borrow_mut().push_back(intended);
        unpark(user);
        return;
    }
    let waits = shared.waiting.as_ref();
    if !waits.is_some_and(|it| it.offer(population, intended)) {
        of_phase.drop_arrivals(population, 1);
    }
}
