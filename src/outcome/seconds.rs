//! A second of a run, row by row, for those who tell of it while the run goes on.

use std::time::Duration;

use crate::metrics::{Counters, Recorder, RowStats};

/// What was recorded in a second.
#[derive(Debug)]
#[non_exhaustive]
pub struct SecondRows<'a> {
    /// Its start on the run's clock.
    pub at: Duration,
    /// How long it was: a second, but for the last; nothing for what was recorded after
    /// that.
    pub length: Duration,
    /// Virtual users active at its end.
    pub vus: u32,
    /// Calls in flight at its end.
    pub in_flight: u64,
    /// The generator was the limit in it.
    pub is_limited: bool,
    /// Of a search: the level, in virtual users or arrivals a second; `None`: of a run.
    pub level: Option<f64>,
    /// What counts, by the rows of [`RunStart::rows`](super::RunStart::rows).
    pub load: &'a RowsRecorded,
    /// What is the warm-up's alone.
    pub warm_up: &'a RowsRecorded,
}

/// Figures by row, and what is counted beside them.
#[derive(Debug, Clone, Default)]
pub struct RowsRecorded {
    /// In the order of the run's rows.
    pub rows: Vec<RowStats>,
    /// Counted beside the requests.
    pub counters: Counters,
}

impl RowsRecorded {
    /// Nothing yet, of this many rows.
    pub fn new(n_rows: usize) -> Self {
        Self {
            rows: (0..n_rows).map(|_| RowStats::default()).collect(),
            counters: Counters::default(),
        }
    }

    /// Adds what a recorder of the same rows has.
    pub fn add(&mut self, recorder: &Recorder) {
        self.counters.merge(&recorder.counters);
        for (at, row) in recorder.rows.iter().enumerate() {
            self.add_row(at, row);
        }
    }

    /// Adds to one of the rows.
    pub fn add_row(&mut self, at: usize, row: &RowStats) {
        if row.started + row.finished() + row.cancelled > 0 {
            self.rows[at].merge(row);
        }
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.rows.iter_mut().for_each(RowStats::clear);
        self.counters = Counters::default();
    }
}
