//! Hands arrivals of the open model to users when they are due.

use std::time::{Duration, Instant};

use super::shared::{ArrivalQueue, Shared};
use crate::scheduler::{Wake, current_task, park, unpark};

/// A worker's share of the schedule, as one task: at each intended instant an
/// arrival goes to a user of its population that is free, or waits; one that finds the
/// queue full is dropped, and counted. Ends with the schedule, or with the load.
///
/// `queues_max`: the largest queue of each population.
pub fn dispatch(
    shared: &Shared,
    due: impl Iterator<Item = (Duration, usize)>,
    queues_max: &[usize],
) {
    let Some(origin) = wait_for_origin(shared) else {
        return;
    };
    for (offset, population) in due {
        let Some(intended) = origin.checked_add(offset) else {
            return;
        };
        let is_due = intended <= crate::clock::now();
        if !is_due && !shared.sleep(intended, || !shared.stopping.get()) {
            return;
        }
        if shared.stopping.get() {
            return;
        }
        arrive(
            shared,
            &shared.queues[population],
            intended,
            queues_max[population],
        );
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

fn arrive(shared: &Shared, queue: &ArrivalQueue, intended: Instant, queue_max: usize) {
    let mut arrivals = queue.arrivals.borrow_mut();
    // Those that are on their way to a woken user do not fill the queue.
    let idle = queue.idle.borrow_mut().pop();
    let is_dropped = idle.is_none() && arrivals.len() >= queue_max;
    if !is_dropped {
        arrivals.push_back(intended);
    }
    drop(arrivals);
    shared.count(|counters| {
        counters.arrivals += 1;
        counters.arrivals_dropped += u64::from(is_dropped);
    });
    if let Some(user) = idle {
        unpark(user);
    }
}
