//! Keeps the seconds of a run, row by row, in bounded memory.
//!
//! Which rows make 5 % of the calls, or of the iterations of flows, is known at the end
//! only, so all are kept while there is room. Two populations are compared with each other,
//! so there it is 5 % of what the row's own population makes. Where there is none, [`relief`] decides what
//! goes: first the rows that make few calls, then the resolution. A population of several
//! rows is kept as one row more: it is all of them, those too that are not told of. A
//! second is packed when it is complete, on the coordinator's thread: 20 rows with 100
//! calls a second each took less than 3 ms of it in a build without optimisation.

use std::collections::VecDeque;
use std::time::Duration;

use crate::metrics::{Histogram, Packed, RowStats};
use crate::outcome::{
    INTERVAL_LENGTHS, Interval, Intervals, RowIntervals, coarsen, next_length, push_interval,
};
use crate::units::share;

/// The share of the calls from which on a row's intervals are told; of a flow, that of the
/// iterations of all flows.
const SHARE_TOLD: f64 = 0.05;
/// As many populations are compared with each other, so a share is one of the calls of the
/// row's own. With more it is one of all calls: else there would be no end of rows.
const N_COMPARED: usize = 2;
/// Where memory is short, rows below half of that are given up: no more than 40 stay, of
/// each of two populations.
const SHARE_KEPT: f64 = SHARE_TOLD / 2.0;
/// Up to here each second has an interval of its own.
const SECONDS_MAX: u32 = 3_600;
/// In bytes: from here on something goes.
const BYTES_HIGH: usize = 24 << 20;
/// The most that there may be, in bytes.
const BYTES_MAX: usize = 32 << 20;
/// Rows are coarsened by as many parts, one each second: all of an hour at once would
/// make the coordinator late.
const COARSEN_PARTS: usize = 20;

/// Of one row, or of all calls.
#[derive(Debug, Default)]
struct Kept {
    intervals: Vec<Interval>,
    /// How long they are, in seconds.
    length_secs: u32,
    n_bytes: usize,
    /// Calls that have ended.
    n_ended: u64,
    /// Its calls are iterations of a flow, which are in no total.
    is_flow: bool,
    /// What its share is one of, as a place in [`EndedCounts`]: all, or its own population.
    whole: usize,
    is_given_up: bool,
}

/// Calls that have ended and iterations of flows: of all, then of each of two populations.
type EndedCounts = [[u64; 2]; 1 + N_COMPARED];

/// One row in a second that is not complete.
#[derive(Debug, Default)]
struct Open {
    started: u64,
    ok: u64,
    failed: u64,
    cancelled: u64,
    /// Arrivals of the population whose first row it is.
    dropped: u64,
    latency: Histogram,
}

/// The calls of a population.
#[derive(Debug)]
struct PopulationRows {
    /// The places of its rows among those of calls.
    places: Vec<usize>,
    /// Where it is kept: apart, or as the only row that it has.
    kept: usize,
    is_apart: bool,
    /// All of them in the second that is being closed.
    sum: Open,
}

/// The seconds of a run so far.
#[derive(Debug)]
pub(super) struct Keeper {
    /// All calls together, then the rows of calls, then those of flows, then populations.
    kept: Vec<Kept>,
    /// How many rows of calls and flows these are.
    n_rows: usize,
    populations: Vec<PopulationRows>,
    /// The places of these rows in the run's rows.
    rows: Vec<usize>,
    /// Seconds that are not complete, from `first_open` on, by row. A plan with one row
    /// of calls and no flow has none: it is all calls.
    open: VecDeque<Vec<Open>>,
    first_open: u32,
    spare: Vec<Vec<Open>>,
    length_secs: u32,
    /// The next row that may be finer than `length_secs`.
    next_to_coarsen: usize,
    is_coarser: bool,
    limits: KeptLimits,
}

/// In bytes.
#[derive(Debug, Clone, Copy)]
struct KeptLimits {
    high: usize,
    max: usize,
}

/// What makes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relief {
    /// There is enough.
    None,
    /// Give up the rows that make few of the calls.
    GiveUp,
    /// Make intervals longer.
    Coarsen,
}

/// What to do about these numbers of bytes: all, and those of rows that make few calls.
fn relief(n_bytes: usize, n_bytes_of_few: usize, limits: KeptLimits) -> Relief {
    match (n_bytes > limits.high, n_bytes_of_few > 0) {
        (false, _) => Relief::None,
        (true, true) => Relief::GiveUp,
        (true, false) => Relief::Coarsen,
    }
}

impl Kept {
    /// Of all calls of its whole, or of a flow of the iterations there.
    fn share(&self, n_ended: &EndedCounts) -> f64 {
        share(self.n_ended, n_ended[self.whole][usize::from(self.is_flow)])
    }
}

impl Open {
    fn add(&mut self, counts: [u64; 4], latency: &Histogram) {
        let [started, ok, failed, cancelled] = counts;
        self.started += started;
        self.ok += ok;
        self.failed += failed;
        self.cancelled += cancelled;
        self.latency.merge(latency);
    }

    fn counts(&self) -> [u64; 4] {
        [self.started, self.ok, self.failed, self.cancelled]
    }

    /// Empty again, with its memory.
    fn clear(&mut self) {
        let mut latency = std::mem::take(&mut self.latency);
        latency.clear();
        *self = Self {
            latency,
            ..Self::default()
        };
    }
}

impl Keeper {
    /// Nothing yet. `call_rows`, `flow_rows`: their places in the run's rows. `planned`:
    /// how long the run will be, where time ends it.
    pub(super) fn new(call_rows: &[usize], flow_rows: &[usize], planned: Option<Duration>) -> Self {
        let is_long = planned.is_some_and(|planned| planned.as_secs() > u64::from(SECONDS_MAX));
        let length_secs = INTERVAL_LENGTHS[usize::from(is_long)];
        let rows = [call_rows, flow_rows].concat();
        let n_rows = if rows.len() == 1 { 0 } else { rows.len() };
        let kept = |at: usize| Kept {
            length_secs,
            is_flow: at > call_rows.len(),
            ..Kept::default()
        };
        Self {
            kept: (0..=n_rows).map(kept).collect(),
            n_rows,
            populations: Vec::new(),
            rows,
            open: VecDeque::new(),
            first_open: 0,
            spare: Vec::new(),
            length_secs,
            next_to_coarsen: 1 + n_rows,
            is_coarser: false,
            limits: KeptLimits {
                high: BYTES_HIGH,
                max: BYTES_MAX,
            },
        }
    }

    /// Keeps populations too, by the places of their rows in the run's rows: those of calls
    /// and those of flows.
    pub(super) fn keep_populations(&mut self, populations: &[Vec<usize>]) {
        for (at, own) in populations.iter().enumerate() {
            let whole = match populations.len() {
                N_COMPARED => 1 + at,
                _ => 0,
            };
            let place = |row: &usize| self.rows.iter().position(|it| it == row);
            let mut places: Vec<usize> = own.iter().filter_map(place).collect();
            if self.n_rows > 0 {
                places
                    .iter()
                    .for_each(|place| self.kept[1 + place].whole = whole);
                places.retain(|place| !self.kept[1 + place].is_flow);
            }
            let (kept, is_apart) = match places[..] {
                // All calls are its.
                _ if self.n_rows == 0 => (0, false),
                [only] => (1 + only, false),
                _ => (self.kept.len(), true),
            };
            if is_apart {
                self.kept.push(Kept {
                    length_secs: self.length_secs,
                    whole,
                    ..Kept::default()
                });
            }
            self.populations.push(PopulationRows {
                places,
                kept,
                is_apart,
                sum: Open::default(),
            });
        }
        self.next_to_coarsen = self.kept.len();
    }

    /// Adds what one worker recorded of a row, by its place among those of calls and of
    /// flows, in a second that is not complete. `latency`: of those that succeeded.
    pub(super) fn add(&mut self, second: u64, place: usize, row: &RowStats, latency: &Histogram) {
        if self.n_rows == 0 || row.started + row.finished() + row.cancelled == 0 {
            return;
        }
        let counts = [row.started, row.ok, row.failed, row.cancelled];
        self.open_at(second)[place].add(counts, latency);
    }

    /// Adds arrivals of a population that were dropped in a second that is not complete.
    /// Where all calls are of one row, it is all arrivals, which are known.
    pub(super) fn add_dropped(&mut self, second: u64, population: usize, n_dropped: u64) {
        if self.n_rows == 0 || n_dropped == 0 {
            return;
        }
        let population = self.populations.get(population);
        let place = population.and_then(|it| it.places.first().copied());
        if let Some(place) = place {
            self.open_at(second)[place].dropped += n_dropped;
        }
    }

    /// The rows of a second that is not complete.
    fn open_at(&mut self, second: u64) -> &mut [Open] {
        let n_rows = self.n_rows;
        let second = u32::try_from(second)
            .unwrap_or(u32::MAX)
            .max(self.first_open);
        let position = (second - self.first_open) as usize;
        while self.open.len() <= position {
            let spare = self.spare.pop();
            let open = spare.unwrap_or_else(|| (0..n_rows).map(|_| Open::default()).collect());
            self.open.push_back(open);
        }
        &mut self.open[position]
    }

    /// Keeps the second that is complete now, and makes room where that is short.
    /// `of_all` is what all calls did in it: begun, succeeded, failed, cancelled.
    pub(super) fn close(&mut self, of_all: [u64; 4], latency: &Histogram) {
        let second = self.first_open;
        self.keep(0, second, of_all, 0, latency);
        self.first_open += 1;
        if let Some(mut rows) = self.open.pop_front() {
            let mut populations = std::mem::take(&mut self.populations);
            for PopulationRows {
                places, kept, sum, ..
            } in populations.iter_mut().filter(|it| it.is_apart)
            {
                for row in places {
                    let row = &mut rows[*row];
                    sum.add(row.counts(), &row.latency);
                    sum.dropped += std::mem::take(&mut row.dropped);
                }
                self.keep(*kept, second, sum.counts(), sum.dropped, &sum.latency);
                sum.clear();
            }
            self.populations = populations;
            for (at, row) in rows.iter_mut().enumerate() {
                self.keep(1 + at, second, row.counts(), row.dropped, &row.latency);
                row.clear();
            }
            self.spare.push(rows);
        }
        self.make_room();
    }

    /// All that was kept. Seconds from `n_seconds` on are part of the one before: what
    /// ended just in time and was read just after it.
    pub(super) fn finish(mut self, n_seconds: usize, end: Duration) -> Intervals {
        while !self.open.is_empty() {
            self.close([0; 4], &Histogram::new());
        }
        let last = u32::try_from(n_seconds.max(1) - 1).unwrap_or(u32::MAX);
        let length_secs = self.length_secs;
        let finished = |mut intervals: Vec<Interval>| {
            for interval in &mut intervals {
                interval.second = interval.second.min(last);
            }
            coarsen(&mut intervals, length_secs);
            intervals
        };
        // What was given up has no intervals.
        let populations = self.populations.iter();
        let populations = populations.map(|it| finished(self.kept[it.kept].intervals.clone()));
        let populations = populations.collect();
        self.kept.truncate(1 + self.n_rows);
        let n_ended = self.n_ended();
        let is_told = |kept: &Kept| kept.n_ended > 0 && kept.share(&n_ended) >= SHARE_TOLD;
        let mut rows = Vec::new();
        let mut n_given_up = 0;
        for (at, kept) in self.kept.into_iter().enumerate() {
            if at > 0 && !is_told(&kept) {
                continue;
            }
            if kept.is_given_up {
                n_given_up += 1;
                continue;
            }
            rows.push(RowIntervals {
                row: at.checked_sub(1).map(|at| self.rows[at]),
                intervals: finished(kept.intervals),
            });
        }
        if let ([row], [all]) = (&self.rows[..], &rows[..]) {
            let intervals = all.intervals.clone();
            rows.push(RowIntervals {
                row: Some(*row),
                intervals,
            });
        }
        Intervals {
            length_secs,
            end,
            rows,
            populations,
            is_coarser: self.is_coarser,
            n_given_up,
        }
    }

    fn keep(
        &mut self,
        at: usize,
        second: u32,
        counts: [u64; 4],
        dropped: u64,
        latency: &Histogram,
    ) {
        let kept = &mut self.kept[at];
        let [started, ok, failed, cancelled] = counts;
        kept.n_ended += ok + failed;
        if kept.is_given_up || counts == [0; 4] && dropped == 0 {
            return;
        }
        let last = kept.intervals.last().map_or(0, Interval::n_bytes);
        let n_before = kept.intervals.len();
        let new = Interval {
            second,
            started,
            ok,
            failed,
            cancelled,
            dropped,
            latency: Packed::of(latency),
        };
        push_interval(&mut kept.intervals, new, kept.length_secs);
        kept.n_bytes += kept.intervals.last().map_or(0, Interval::n_bytes);
        if kept.intervals.len() == n_before {
            kept.n_bytes -= last;
        }
    }

    fn n_ended(&self) -> EndedCounts {
        let mut n_ended = EndedCounts::default();
        n_ended[0][0] = self.kept[0].n_ended;
        for kept in &self.kept[1..=self.n_rows] {
            let of = usize::from(kept.is_flow);
            if kept.is_flow {
                n_ended[0][of] += kept.n_ended;
            }
            if kept.whole > 0 {
                n_ended[kept.whole][of] += kept.n_ended;
            }
        }
        n_ended
    }

    fn n_bytes(&self) -> usize {
        self.kept.iter().map(|kept| kept.n_bytes).sum()
    }

    fn make_room(&mut self) {
        if self.first_open >= SECONDS_MAX && self.length_secs == INTERVAL_LENGTHS[0] {
            self.lengthen();
        }
        let n_ended = self.n_ended();
        let is_few = |kept: &Kept| kept.n_bytes > 0 && kept.share(&n_ended) < SHARE_KEPT;
        let few = self.kept[1..].iter().filter(|kept| is_few(kept));
        let n_bytes_of_few = few.map(|kept| kept.n_bytes).sum();
        match relief(self.n_bytes(), n_bytes_of_few, self.limits) {
            Relief::None => {}
            Relief::GiveUp => {
                for kept in self.kept[1..].iter_mut().filter(|kept| is_few(kept)) {
                    kept.intervals = Vec::new();
                    kept.n_bytes = 0;
                    kept.is_given_up = true;
                }
            }
            Relief::Coarsen if self.next_to_coarsen >= self.kept.len() => {
                self.is_coarser |= self.lengthen();
            }
            Relief::Coarsen => {}
        }
        let is_full = self.n_bytes() > (self.limits.high + self.limits.max) / 2;
        let n_parts = if is_full { 1 } else { COARSEN_PARTS };
        for _ in 0..self.kept.len().div_ceil(n_parts) {
            self.coarsen_next();
        }
    }

    /// From now on intervals are longer; those that there are follow row by row.
    fn lengthen(&mut self) -> bool {
        let Some(length_secs) = next_length(self.length_secs) else {
            return false;
        };
        self.length_secs = length_secs;
        self.next_to_coarsen = 0;
        true
    }

    fn coarsen_next(&mut self) {
        let Some(kept) = self.kept.get_mut(self.next_to_coarsen) else {
            return;
        };
        self.next_to_coarsen += 1;
        kept.length_secs = self.length_secs;
        coarsen(&mut kept.intervals, self.length_secs);
        kept.n_bytes = kept.intervals.iter().map(Interval::n_bytes).sum();
    }
}

#[cfg(test)]
#[path = "intervals_tests.rs"]
mod tests;
