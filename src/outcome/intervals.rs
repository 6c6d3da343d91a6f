//! What a run keeps of its pieces: a second each, or a few, with the latencies of
//! each row.

use std::time::Duration;

use crate::metrics::Packed;

/// Lengths of intervals in seconds: each is a multiple of the one before, so that
/// intervals of any two lengths can be brought to the longer one. More than a year of
/// the last would not be too many.
pub const INTERVAL_LENGTHS: [u32; 9] = [1, 5, 10, 30, 60, 300, 600, 3_600, 86_400];

/// The pieces of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Intervals {
    /// How long each is, in seconds, but for the last: one of [`INTERVAL_LENGTHS`].
    pub length_secs: u32,
    /// The end of the last one, from the start of the load.
    pub end: Duration,
    /// All calls together, then each row that made enough of them.
    pub rows: Vec<RowIntervals>,
    /// The calls of each population, where the plan names any; nothing of one that was
    /// given up.
    pub populations: Vec<Vec<Interval>>,
    /// Their memory was full, so they are longer than they would be.
    pub is_coarser: bool,
    /// Rows that made enough calls, but not before their memory was full: they have none.
    pub n_given_up: usize,
}

/// The pieces of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct RowIntervals {
    /// The place of the row in the run's rows; `None`: all calls together.
    pub row: Option<usize>,
    /// In order of time; those without any call are left out.
    pub intervals: Vec<Interval>,
}

/// Calls of one row in one interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Its start in seconds from the start of the load: a multiple of its length.
    pub second: u32,
    /// Calls begun in it.
    pub started: u64,
    /// Calls that succeeded in it.
    pub ok: u64,
    /// Calls that failed in it.
    pub failed: u64,
    /// Calls that the end cut off in it.
    pub cancelled: u64,
    /// Arrivals dropped in it, of a population or of its only row; else 0.
    pub dropped: u64,
    /// Latency of those that succeeded.
    pub latency: Packed,
}

impl Interval {
    /// What it takes in memory, in bytes: a list may have room for twice as many, and an
    /// allocation takes some 16 more than asked for.
    pub fn n_bytes(&self) -> usize {
        2 * size_of::<Self>() + self.latency.n_bytes() + 16
    }

    /// The number of the interval of this length that it is part of.
    fn number(&self, length_secs: u32) -> u32 {
        self.second / length_secs
    }
}

/// Adds what came after all the others, in intervals of this length.
pub fn push_interval(intervals: &mut Vec<Interval>, new: Interval, length_secs: u32) {
    match intervals.last_mut() {
        Some(last) if last.number(length_secs) == new.number(length_secs) => {
            *last = sum(&[&*last, &new], length_secs);
        }
        _ => intervals.push(sum(&[&new], length_secs)),
    }
}

/// Brings intervals to a length that is a multiple of theirs.
pub fn coarsen(intervals: &mut Vec<Interval>, length_secs: u32) {
    let same = |a: &Interval, b: &Interval| a.number(length_secs) == b.number(length_secs);
    let groups = intervals.chunk_by(same);
    *intervals = groups
        .map(|parts| sum(&parts.iter().collect::<Vec<_>>(), length_secs))
        .collect();
}

/// All that happened in these, which are not empty, as one.
fn sum(parts: &[&Interval], length_secs: u32) -> Interval {
    let of = |count: fn(&Interval) -> u64| parts.iter().map(|part| count(part)).sum();
    let latencies: Vec<&Packed> = parts.iter().map(|part| &part.latency).collect();
    Interval {
        second: parts[0].number(length_secs) * length_secs,
        started: of(|part| part.started),
        ok: of(|part| part.ok),
        failed: of(|part| part.failed),
        cancelled: of(|part| part.cancelled),
        dropped: of(|part| part.dropped),
        latency: match latencies[..] {
            [one] => one.clone(),
            _ => Packed::sum(&latencies),
        },
    }
}

/// The length after this one; `None`: it is the longest.
pub fn next_length(length_secs: u32) -> Option<u32> {
    let mut lengths = INTERVAL_LENGTHS.into_iter();
    lengths.find(|length| *length > length_secs)
}
