//! One or several seconds of a run, on their way to a sink.

use std::time::Duration;

use crate::metrics::{Counters, RowStats};
use crate::outcome::{RowsRecorded, SecondRows};

/// What happened in some seconds.
#[derive(Debug, Clone)]
pub(super) struct SinkPoint {
    /// Their start on the run's clock.
    pub(super) at: Duration,
    /// How long they were.
    pub(super) length: Duration,
    /// How many.
    pub(super) n_seconds: u64,
    /// Virtual users at the end.
    pub(super) vus: u32,
    /// Calls in flight at the end.
    pub(super) in_flight: u64,
    /// The generator was the limit in one of them.
    pub(super) is_limited: bool,
    /// Of a search: the level at the end.
    pub(super) level: Option<f64>,
    /// What counts.
    pub(super) load: RowsTold,
    /// What is the warm-up's.
    pub(super) warm_up: RowsTold,
}

/// The rows in which anything happened, with their places among those of the run.
#[derive(Debug, Clone, Default)]
pub(super) struct RowsTold {
    pub(super) rows: Vec<(usize, RowStats)>,
    pub(super) counters: Counters,
}

impl SinkPoint {
    pub(super) fn of(second: &SecondRows<'_>) -> Self {
        Self {
            at: second.at,
            length: second.length,
            n_seconds: 1,
            vus: second.vus,
            in_flight: second.in_flight,
            is_limited: second.is_limited,
            level: second.level,
            load: RowsTold::of(second.load),
            warm_up: RowsTold::of(second.warm_up),
        }
    }

    /// Adds what came after it.
    pub(super) fn add(&mut self, later: &Self) {
        // What was recorded after the end has no length.
        if !later.length.is_zero() {
            self.length = (later.at + later.length).saturating_sub(self.at);
        }
        self.n_seconds += later.n_seconds;
        self.vus = later.vus;
        self.in_flight = later.in_flight;
        self.is_limited |= later.is_limited;
        self.level = later.level;
        self.load.add(&later.load);
        self.warm_up.add(&later.warm_up);
    }
}

impl RowsTold {
    fn of(recorded: &RowsRecorded) -> Self {
        let rows = recorded.rows.iter().enumerate();
        let some = rows.filter(|(_, row)| row.started + row.finished() + row.cancelled > 0);
        Self {
            rows: some.map(|(at, row)| (at, row.clone())).collect(),
            counters: recorded.counters,
        }
    }

    fn add(&mut self, later: &Self) {
        for (at, row) in &later.rows {
            match self.rows.binary_search_by_key(at, |(at, _)| *at) {
                Ok(place) => self.rows[place].1.merge(row),
                Err(place) => self.rows.insert(place, (*at, row.clone())),
            }
        }
        self.counters.merge(&later.counters);
    }
}
