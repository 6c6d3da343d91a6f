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

/// Requests that began in a warm-up and have not ended in it, by row: they count where they
/// end, as in the report.
#[derive(Debug, Default)]
pub(super) struct CarriedRequests {
    /// Below 0 where a level of a search began what the settling of the next one ended.
    by_row: Vec<i64>,
}

impl CarriedRequests {
    /// Makes `started` of the warm-up what ended in it, and gives the others to the load as
    /// soon as it has anything of their row. So the sums over all seconds are the report's.
    pub(super) fn settle(&mut self, point: &mut SinkPoint) {
        for (at, row) in &mut point.warm_up.rows {
            let ended = row.finished() + row.cancelled;
            let carried = self.of(*at);
            *carried = carried.saturating_add_unsigned(row.started);
            *carried = carried.saturating_sub_unsigned(ended);
            row.started = ended;
        }
        for (at, row) in &mut point.load.rows {
            let carried = self.of(*at);
            let begun = carried.saturating_add_unsigned(row.started);
            row.started = begun.max(0).unsigned_abs();
            // What could not be taken off stays for the next second.
            *carried = begun.min(0);
        }
        let has_any =
            |(_, row): &(usize, RowStats)| row.started + row.finished() + row.cancelled > 0;
        point.warm_up.rows.retain(has_any);
        point.load.rows.retain(has_any);
    }

    fn of(&mut self, at: usize) -> &mut i64 {
        if at >= self.by_row.len() {
            self.by_row.resize(at + 1, 0);
        }
        &mut self.by_row[at]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of one row: what began and what was ok.
    fn told(started: u64, ok: u64) -> RowsRecorded {
        let mut recorded = RowsRecorded::new(1);
        recorded.rows[0].started = started;
        recorded.rows[0].ok = ok;
        recorded
    }

    /// `started` of the warm-up and of the load.
    fn settled(
        carried: &mut CarriedRequests,
        warm_up: &RowsRecorded,
        load: &RowsRecorded,
    ) -> (Option<u64>, Option<u64>) {
        let mut point = SinkPoint::of(&SecondRows {
            at: Duration::ZERO,
            length: Duration::from_secs(1),
            vus: 1,
            in_flight: 0,
            is_limited: false,
            level: None,
            load,
            warm_up,
        });
        carried.settle(&mut point);
        let started = |told: &RowsTold| told.rows.first().map(|(_, row)| row.started);
        (started(&point.warm_up), started(&point.load))
    }

    #[test]
    fn what_a_warm_up_began_and_did_not_end_counts_in_the_load() {
        let mut carried = CarriedRequests::default();
        let nothing = told(0, 0);
        let mut check = |warm_up: (u64, u64), load: (u64, u64), expected| {
            let (warm_up, load) = (told(warm_up.0, warm_up.1), told(load.0, load.1));
            assert_eq!(settled(&mut carried, &warm_up, &load), expected);
        };
        check((4, 0), (0, 0), (None, None));
        check((10, 11), (0, 0), (Some(11), None));
        // Three are left, and end here.
        check((0, 0), (12, 13), (None, Some(15)));
        check((0, 0), (10, 12), (None, Some(10)));
        // What a level began may end in the settling of the next one.
        check((0, 5), (0, 0), (Some(5), None));
        check((0, 0), (3, 3), (None, Some(0)));
        check((0, 0), (7, 5), (None, Some(5)));
        assert_eq!(settled(&mut carried, &nothing, &nothing), (None, None));
        assert_eq!(carried.by_row, [0]);
    }
}
