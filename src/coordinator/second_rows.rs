//! Gathers what was recorded of each row by second, for observers that want it.
//!
//! A second is handed on once it is complete, so there are as many as ticks are late:
//! one or two. Its memory is used again.

use std::collections::VecDeque;

use crate::metrics::Recorder;
use crate::outcome::RowsRecorded;

/// A second by row: what counts, and what is the warm-up's.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) load: RowsRecorded,
    pub(super) warm_up: RowsRecorded,
}

impl Gathered {
    fn add_warm_up(&mut self, recorder: &Recorder, warm_rows: &[bool]) {
        let (own, of_the_run) = recorder.counters.split_warm_up();
        self.warm_up.counters.merge(&own);
        self.load.counters.merge(&of_the_run);
        for ((at, row), is_warm) in recorder.rows.iter().enumerate().zip(warm_rows) {
            let into = match is_warm {
                true => &mut self.warm_up,
                false => &mut self.load,
            };
            into.add_row(at, row);
        }
    }
}

/// The seconds that are not complete, and those that nobody was told of.
#[derive(Debug)]
pub(super) struct Gatherer {
    n_rows: usize,
    /// From `first_open` on.
    open: VecDeque<Gathered>,
    first_open: u64,
    /// Complete, with their numbers.
    complete: VecDeque<(u64, Gathered)>,
    spare: Vec<Gathered>,
}

impl Gatherer {
    pub(super) fn new(n_rows: usize) -> Self {
        Self {
            n_rows,
            open: VecDeque::new(),
            first_open: 0,
            complete: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Adds what one worker recorded in a second that is not complete. `warm_rows`: the
    /// rows that the warm-up keeps to itself; `None`: there is no warm-up.
    pub(super) fn add(&mut self, second: u64, recorder: &Recorder, warm_rows: Option<&[bool]>) {
        let second = second.max(self.first_open);
        let position = usize::try_from(second - self.first_open).unwrap_or(usize::MAX);
        while self.open.len() <= position {
            let gathered = self.spare.pop().unwrap_or_else(|| Gathered {
                load: RowsRecorded::new(self.n_rows),
                warm_up: RowsRecorded::new(self.n_rows),
            });
            self.open.push_back(gathered);
        }
        let gathered = &mut self.open[position];
        gathered.load.add(recorder);
        match (recorder.warm_up.as_deref(), warm_rows) {
            (Some(warm_up), Some(warm_rows)) => gathered.add_warm_up(warm_up, warm_rows),
            (Some(warm_up), None) => gathered.load.add(warm_up),
            (None, _) => {}
        }
    }

    /// The oldest second that is open is complete.
    pub(super) fn close(&mut self) {
        let gathered = self.open.pop_front().unwrap_or_else(|| Gathered {
            load: RowsRecorded::new(self.n_rows),
            warm_up: RowsRecorded::new(self.n_rows),
        });
        self.complete.push_back((self.first_open, gathered));
        self.first_open += 1;
    }

    /// All seconds are complete: no tick comes any more.
    pub(super) fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.close();
        }
    }

    /// The next second that nobody was told of.
    pub(super) fn next_complete(&mut self) -> Option<(u64, Gathered)> {
        self.complete.pop_front()
    }

    /// Gives the memory of one back.
    pub(super) fn recycle(&mut self, mut gathered: Gathered) {
        gathered.load.clear();
        gathered.warm_up.clear();
        self.spare.push(gathered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Outcome;

    fn recorder(n_ok: [u64; 2]) -> Recorder {
        let mut recorder = Recorder::new(2);
        for (row, n) in n_ok.into_iter().enumerate() {
            for _ in 0..n {
                recorder.record(row, 1_000_000, Outcome::Ok);
            }
        }
        recorder.counters.iterations_started = n_ok[0];
        recorder.counters.bytes_sent = 100 * n_ok[0];
        recorder
    }

    #[test]
    fn late_ticks_lose_nothing_and_the_warm_up_keeps_its_own() {
        let mut gatherer = Gatherer::new(2);
        let warm_rows = Some(&[true, false][..]);
        let mut both = recorder([2, 0]);
        both.warm_up = Some(Box::new(recorder([3, 1])));
        gatherer.add(0, &both, warm_rows);
        gatherer.add(1, &recorder([5, 0]), warm_rows);
        gatherer.close();
        // Its second is over: it is told with the next one.
        gatherer.add(0, &recorder([7, 0]), warm_rows);
        gatherer.close();
        gatherer.close();
        let told = std::iter::from_fn(|| {
            let (second, gathered) = gatherer.next_complete()?;
            let of = |rows: &RowsRecorded| (rows.rows[0].ok, rows.rows[1].ok);
            let counters = [&gathered.warm_up, &gathered.load].map(|it| it.counters);
            let found = (second, of(&gathered.warm_up), of(&gathered.load));
            gatherer.recycle(gathered);
            Some((found, counters))
        });
        let told: Vec<_> = told.collect();
        let found: Vec<_> = told.iter().map(|(found, _)| *found).collect();
        assert_eq!(
            found,
            [
                (0, (3, 0), (2, 1)),
                (1, (0, 0), (12, 0)),
                (2, (0, 0), (0, 0))
            ]
        );
        let [warm, load] = told[0].1;
        assert_eq!((warm.iterations_started, load.iterations_started), (3, 2));
        assert_eq!((warm.bytes_sent, load.bytes_sent), (0, 500));
    }
}
