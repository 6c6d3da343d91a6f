//! Deadlines: at most one entry per key, in a binary heap that knows where
//! each key is.
//!
//! Pure: time is a parameter. A deadline that moves back is not moved in the
//! heap but looked at again when its old moment comes, so that a timeout per
//! request costs nothing while requests are answered in time.

use std::time::Instant;

/// Deadlines by key; keys are small numbers that are used again.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// A binary heap, the earliest moment first.
    heap: Vec<(Instant, usize)>,
    /// By key; `at` is what the owner wants, the heap's entry may be earlier.
    keys: Vec<Key>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Key {
    /// When to wake; `None`: never.
    at: Option<Instant>,
    /// Where the key is in the heap; `None`: nowhere.
    position: Option<usize>,
}

impl Timers {
    /// Sets the key's deadline.
    pub(super) fn set(&mut self, key: usize, at: Instant) {
        if self.keys.len() <= key {
            self.keys.resize(key + 1, Key::default());
        }
        self.keys[key].at = Some(at);
        match self.keys[key].position {
            // An entry that is due earlier will find the new deadline.
            Some(position) if self.heap[position].0 <= at => {}
            Some(position) => {
                self.heap[position].0 = at;
                self.sift_up(position);
            }
            None => {
                self.heap.push((at, key));
                self.keys[key].position = Some(self.heap.len() - 1);
                self.sift_up(self.heap.len() - 1);
            }
        }
    }

    /// Forgets the key's deadline.
    pub(super) fn clear(&mut self, key: usize) {
        if let Some(key) = self.keys.get_mut(key) {
            key.at = None;
        }
    }

    /// The earliest moment at which [`Timers::expired`] has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(at, _)| *at)
    }

    /// Takes out one key whose deadline has come, if there is one.
    pub(super) fn expired(&mut self, now: Instant) -> Option<usize> {
        while let Some(&(at, key)) = self.heap.first() {
            if at > now {
                return None;
            }
            match self.keys[key].at {
                Some(later) if later > now => {
                    self.heap[0].0 = later;
                    self.sift_down(0);
                }
                wanted => {
                    self.remove_first();
                    self.keys[key].at = None;
                    if wanted.is_some() {
                        return Some(key);
                    }
                }
            }
        }
        None
    }

    fn remove_first(&mut self) {
        let (_, key) = self.heap.swap_remove(0);
        self.keys[key].position = None;
        if let Some(&(_, moved)) = self.heap.first() {
            self.keys[moved].position = Some(0);
            self.sift_down(0);
        }
    }

    fn sift_up(&mut self, mut position: usize) {
        while position > 0 {
            let parent = (position - 1) / 2;
            if self.heap[parent].0 <= self.heap[position].0 {
                break;
            }
            self.swap(parent, position);
            position = parent;
        }
    }

    fn sift_down(&mut self, mut position: usize) {
        loop {
            let mut least = position;
            for child in [2 * position + 1, 2 * position + 2] {
                if child < self.heap.len() && self.heap[child].0 < self.heap[least].0 {
                    least = child;
                }
            }
            if least == position {
                return;
            }
            self.swap(least, position);
            position = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.keys[self.heap[a].1].position = Some(a);
        self.keys[self.heap[b].1].position = Some(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    #[derive(Debug, Clone)]
    enum Op {
        Set(usize, u64),
        Clear(usize),
        Advance(u64),
    }

    fn ops() -> impl Strategy<Value = Vec<Op>> {
        let op = prop_oneof![
            (0_usize..8, 0_u64..100).prop_map(|(key, ms)| Op::Set(key, ms)),
            (0_usize..8).prop_map(Op::Clear),
            (0_u64..30).prop_map(Op::Advance),
        ];
        prop::collection::vec(op, 0..200)
    }

    proptest! {
        /// Against the obvious model: a map from key to deadline.
        #[test]
        fn keys_expire_when_their_deadline_comes(ops in ops()) {
            let origin = Instant::now();
            let mut now = origin;
            let mut timers = Timers::default();
            let mut model: BTreeMap<usize, Instant> = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Set(key, ms) => {
                        let at = now + Duration::from_millis(ms);
                        timers.set(key, at);
                        model.insert(key, at);
                    }
                    Op::Clear(key) => {
                        timers.clear(key);
                        model.remove(&key);
                    }
                    Op::Advance(ms) => {
                        now += Duration::from_millis(ms);
                        let mut found = Vec::new();
                        while let Some(key) = timers.expired(now) {
                            found.push(key);
                        }
                        found.sort_unstable();
                        let due: Vec<usize> = model
                            .iter()
                            .filter(|(_, at)| **at <= now)
                            .map(|(key, _)| *key)
                            .collect();
                        model.retain(|_, at| *at > now);
                        prop_assert_eq!(found, due);
                    }
                }
                prop_assert!(timers.heap.len() <= 8, "one entry per key");
                if let Some(earliest) = model.values().min() {
                    prop_assert!(timers.next().is_some_and(|next| next <= *earliest));
                }
            }
        }
    }

    #[test]
    fn a_timeout_per_request_leaves_one_entry() {
        let mut timers = Timers::default();
        let origin = Instant::now();
        for request in 0..1_000 {
            timers.set(0, origin + Duration::from_millis(5_000 + request));
            timers.clear(0);
        }
        assert_eq!(timers.heap.len(), 1);
    }
}
