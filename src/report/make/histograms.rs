//! From what a run recorded to the histograms that its report keeps.
//!
//! They take at most [`BYTES_MAX`] of a report: first the totals of each block, then
//! the intervals, as long as they need to be.

use serde::Serialize;

use super::figures::{Part, times_of};
use crate::metrics::{Histogram, RowStats, ServerTally, Spread};
use crate::outcome::{
    Interval, Intervals, Row, RowIntervals, RowKind, Rows, RunOutcome, coarsen, next_length,
    populations_of,
};
use crate::report::model::{
    ExactFigures, OtherLatency, StoredHistograms, StoredInterval, StoredKind, StoredOther,
    StoredRow,
};
use crate::scenario::{HistogramMode, Plan};
use crate::units::{plural, secs};

/// All histograms of a report as it is written.
const BYTES_MAX: usize = 4_000_000;
/// Of that, what the totals may take.
const TOTAL_BYTES_MAX: usize = 2_000_000;

/// The histograms of a run; `None` where the plan wants none.
pub(super) fn histograms(
    plan: &Plan,
    outcome: &RunOutcome,
    measured: &Part<'_>,
) -> Option<StoredHistograms> {
    if plan.histograms == HistogramMode::Off {
        return None;
    }
    let mut rows = blocks(outcome, measured);
    let mut intervals = outcome.intervals.clone();
    // Of two populations, which are compared with each other, all calls of each.
    let names = populations_of(&outcome.start.rows);
    for (at, name) in names.iter().enumerate().filter(|_| names.len() == 2) {
        let place = outcome.start.rows.len() + at;
        rows.extend(population_total(outcome, measured, name).map(|row| (Some(place), row)));
        if let Some(all) = &mut intervals
            && let Some(own) = all.populations.get(at)
        {
            let intervals = own.clone();
            all.rows.push(RowIntervals {
                row: Some(place),
                intervals,
            });
        }
    }
    Some(assemble(plan.histograms, rows, intervals))
}

/// All calls of a population; `None`: it has a single operation, which is the same.
fn population_total(outcome: &RunOutcome, measured: &Part<'_>, name: &str) -> Option<StoredRow> {
    let rows = Rows::new(&outcome.start.rows, &outcome.totals);
    let its = |(row, _): &(&Row, &RowStats)| row.population.as_deref() == Some(name);
    let n_operations = rows.of(RowKind::Call).filter(its).count();
    let sum = rows.sum_of_population(RowKind::Call, name)?;
    let stored = of_calls(StoredKind::Total, measured, &sum);
    (n_operations > 1).then(|| of_population(stored, name))
}

/// These rows with their intervals, within [`BYTES_MAX`]. Rows of operations, turns, flows
/// and populations come with their place, by which [`RowIntervals`] names them.
pub(in crate::report) fn assemble(
    mode: HistogramMode,
    mut rows: Vec<(Option<usize>, StoredRow)>,
    intervals: Option<Intervals>,
) -> StoredHistograms {
    let mut stored = StoredHistograms::new(mode);
    let mut notes = Vec::new();
    let n_left_out = shed(&mut rows);
    if n_left_out > 0 {
        let operations = plural(n_left_out, "operation", "operations");
        notes.push(format!(
            "the histograms of {operations} with the fewest calls are left out: all would take \
             more than {} MB",
            TOTAL_BYTES_MAX / 1_000_000
        ));
    }
    let n_bytes: usize = rows.iter().map(|(_, row)| row_bytes(row)).sum();
    if let Some(mut intervals) = intervals {
        let asked = intervals.length_secs;
        let room = BYTES_MAX.saturating_sub(n_bytes);
        stored.interval_secs = attach(&mut intervals, &mut rows, room);
        notes.extend(note(&intervals, asked));
    }
    stored.note = (!notes.is_empty()).then(|| notes.join("; "));
    stored.rows = rows.into_iter().map(|(_, row)| row).collect();
    stored
}

/// Why intervals are longer than asked for, and what is missing.
fn note(intervals: &Intervals, asked: u32) -> Option<String> {
    let length = intervals.length_secs;
    let why = match (length > asked, intervals.is_coarser) {
        (true, _) => Some(format!(
            "the report would take more than {} MB",
            BYTES_MAX / 1_000_000
        )),
        (false, true) => Some("they would take more than 32 MB of memory".to_string()),
        (false, false) => None,
    };
    let coarse = why.map(|why| format!("intervals are {length} s long: with shorter ones {why}"));
    let given_up = (intervals.n_given_up > 0).then(|| {
        let operations = plural(intervals.n_given_up as u64, "operation", "operations");
        format!("{operations} have no intervals: they made few calls until memory was short")
    });
    let notes: Vec<String> = coarse.into_iter().chain(given_up).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

/// The totals of all blocks, with the place of their row in the run's rows.
fn blocks(outcome: &RunOutcome, measured: &Part<'_>) -> Vec<(Option<usize>, StoredRow)> {
    let rows = Rows::new(&outcome.start.rows, &outcome.totals);
    let totals = rows.totals();
    let mut blocks = vec![(None, of_calls(StoredKind::Total, measured, &totals))];
    for (at, row) in outcome.start.rows.iter().enumerate() {
        let kind = match row.kind {
            RowKind::Call => StoredKind::Call,
            RowKind::Turn => StoredKind::Turn,
            RowKind::Flow => StoredKind::Flow,
            RowKind::FlowBusy => StoredKind::FlowBusy,
            RowKind::TaskStep => StoredKind::TaskStep,
            RowKind::Handshake | RowKind::Close | RowKind::Listen => continue,
        };
        let stored = of_calls(kind, measured, &outcome.totals.rows[at]);
        blocks.push((Some(at), named(stored, row)));
    }
    for (kind, of) in [
        (StoredKind::Handshake, RowKind::Handshake),
        (StoredKind::Close, RowKind::Close),
        (StoredKind::Listen, RowKind::Listen),
    ] {
        let sum = rows.sum_of(of);
        blocks.extend(sum.map(|row| (None, beside_calls(kind, &row))));
        for name in populations_of(&outcome.start.rows) {
            let sum = rows.sum_of_population(of, name);
            let stored = sum.map(|row| of_population(beside_calls(kind, &row), name));
            blocks.extend(stored.map(|stored| (None, stored)));
        }
    }
    for (at, stage) in outcome.stages.iter().enumerate() {
        let mut stored = of_calls(StoredKind::Stage, measured, &stage.calls);
        stored.stage = Some(at);
        blocks.push((None, stored));
        let names = populations_of(&outcome.start.rows);
        for (name, calls) in names.into_iter().zip(&stage.populations) {
            let mut stored = of_calls(StoredKind::Stage, measured, calls);
            stored.stage = Some(at);
            blocks.push((None, of_population(stored, name)));
        }
    }
    if let Some((_, recorded)) = &outcome.warm_up {
        let calls = Rows::new(&outcome.start.rows, recorded).totals();
        blocks.push((None, of_calls(StoredKind::WarmUp, measured, &calls)));
    }
    let handshakes = outcome.totals.tls.as_deref();
    for (kind, histogram) in [
        (StoredKind::Lateness, &outcome.totals.lateness),
        (StoredKind::GeneratorDelay, &outcome.totals.generator_delay),
        (StoredKind::LoopTime, &outcome.totals.loop_time),
    ]
    .into_iter()
    .chain(handshakes.map(|all| (StoredKind::TlsHandshake, &all.times)))
    {
        if !histogram.is_empty() {
            blocks.push((None, stored_row(kind, histogram, Vec::new())));
        }
    }
    let servers = outcome.totals.spread.iter().flat_map(|it| servers(it));
    blocks.extend(servers.map(|row| (None, row)));
    blocks
}

/// The calls of each server by its name, those without one first.
fn servers(spread: &Spread) -> Vec<StoredRow> {
    let row = |kind, name: Option<String>, tally: &ServerTally| StoredRow {
        name,
        ..stored_row(kind, &tally.latency, Vec::new())
    };
    let addresses = spread.addresses.named.iter();
    let addresses =
        addresses.map(|(address, it)| row(StoredKind::Address, Some(address.to_string()), it));
    let backends = spread.backends.named.iter();
    let backends = backends.map(|(name, it)| row(StoredKind::Backend, Some(name.clone()), it));
    let unnamed = spread.backends.unnamed.as_deref();
    let unnamed = unnamed.map(|it| row(StoredKind::Backend, None, it));
    addresses.chain(unnamed).chain(backends).collect()
}

/// Leaves operations out until the totals take no more than they may, those with the
/// fewest calls first, and says how many.
fn shed(rows: &mut Vec<(Option<usize>, StoredRow)>) -> u64 {
    let mut n_bytes: usize = rows.iter().map(|(_, row)| row_bytes(row)).sum();
    if n_bytes <= TOTAL_BYTES_MAX {
        return 0;
    }
    // A row with more calls has more buckets, or deserves its room.
    let mut places: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].0.is_some()).collect();
    places.sort_by_key(|at| rows[*at].1.total.len());
    let mut gone = vec![false; rows.len()];
    for at in places {
        if n_bytes <= TOTAL_BYTES_MAX {
            break;
        }
        n_bytes -= row_bytes(&rows[at].1);
        gone[at] = true;
    }
    let mut are_gone = gone.iter();
    rows.retain(|_| are_gone.next() == Some(&false));
    gone.iter().filter(|is_gone| **is_gone).count() as u64
}

fn of_calls(kind: StoredKind, measured: &Part<'_>, row: &RowStats) -> StoredRow {
    let mut others = measured.others(row);
    if let (StoredKind::Call, Some(times)) = (kind, row.answers.as_deref()) {
        others.extend(times_of(times));
    }
    stored_row(kind, measured.headline(row), others)
}

fn beside_calls(kind: StoredKind, row: &RowStats) -> StoredRow {
    stored_row(kind, &row.service_ok, Part::others_of_sent(row))
}

/// The row of a block, without names and intervals.
pub(in crate::report) fn stored_row(
    kind: StoredKind,
    latency: &Histogram,
    others: Vec<(OtherLatency, &Histogram)>,
) -> StoredRow {
    let others = others
        .into_iter()
        .map(|(of, histogram)| stored_other(of, histogram));
    StoredRow {
        kind,
        total: latency.to_text(),
        exact: ExactFigures::of(latency),
        others: others.collect(),
        ..StoredRow::default()
    }
}

/// A latency beside that of a block.
pub(in crate::report) fn stored_other(of: OtherLatency, histogram: &Histogram) -> StoredOther {
    StoredOther {
        of,
        total: histogram.to_text(),
        exact: ExactFigures::of(histogram),
    }
}

fn of_population(stored: StoredRow, name: &str) -> StoredRow {
    StoredRow {
        population: Some(name.to_string()),
        ..stored
    }
}

fn named(stored: StoredRow, row: &Row) -> StoredRow {
    StoredRow {
        // A flow has no method.
        method: Some(row.method.clone()).filter(|method| !method.is_empty()),
        subject: row.subject.clone(),
        name: row.name.clone(),
        flow: row.flow.clone(),
        population: row.population.clone(),
        ..stored
    }
}

/// Gives the rows their intervals, as short as they can be in this many bytes, and says
/// how long they are in seconds.
fn attach(intervals: &mut Intervals, rows: &mut [(Option<usize>, StoredRow)], room: usize) -> f64 {
    loop {
        let all = intervals.rows.iter().flat_map(|row| &row.intervals);
        let estimate: usize = all.map(estimated_bytes).sum();
        if estimate <= room {
            let made: Vec<Vec<StoredInterval>> = intervals
                .rows
                .iter()
                .map(|row| {
                    row.intervals
                        .iter()
                        .map(|it| interval(it, intervals))
                        .collect()
                })
                .collect();
            if made.iter().flatten().map(interval_bytes).sum::<usize>() <= room {
                for (row, made) in intervals.rows.iter().zip(made) {
                    let is_its = |(at, stored): &&mut (Option<usize>, StoredRow)| match row.row {
                        None => stored.kind == StoredKind::Total && stored.population.is_none(),
                        row => *at == row,
                    };
                    if let Some((_, stored)) = rows.iter_mut().find(is_its) {
                        stored.intervals = made;
                    }
                }
                return f64::from(intervals.length_secs);
            }
        }
        let Some(length) = next_length(intervals.length_secs) else {
            return 0.0;
        };
        intervals.length_secs = length;
        for row in &mut intervals.rows {
            coarsen(&mut row.intervals, length);
        }
    }
}

fn interval(interval: &Interval, all: &Intervals) -> StoredInterval {
    let at = std::time::Duration::from_secs(u64::from(interval.second));
    let whole = std::time::Duration::from_secs(u64::from(all.length_secs));
    let latency = &interval.latency;
    StoredInterval {
        at_secs: secs(at),
        // The last one may be shorter, and is never nothing.
        length_secs: secs(whole.min(all.end.saturating_sub(at))).max(1e-3),
        started: interval.started,
        ok: interval.ok,
        failed: interval.failed,
        cancelled: interval.cancelled,
        dropped: interval.dropped,
        max_ns: (!latency.is_empty()).then(|| latency.max_ns()),
        histogram: (!latency.is_empty()).then(|| latency.to_text()),
    }
}

/// At least what it takes but for a histogram that compresses well: what was made is
/// looked at again.
fn estimated_bytes(interval: &Interval) -> usize {
    200 + interval.latency.n_bytes()
}

fn interval_bytes(interval: &StoredInterval) -> usize {
    written_bytes(interval, 5)
}

fn row_bytes(row: &StoredRow) -> usize {
    written_bytes(row, 3)
}

/// What a part of the report takes at this depth, as the report is laid out.
fn written_bytes(part: &impl Serialize, depth: usize) -> usize {
    let json = serde_json::to_vec_pretty(part).unwrap_or_default();
    let n_lines = 1 + json.iter().filter(|byte| **byte == b'\n').count();
    json.len() + 2 * depth * n_lines + ",\n".len()
}

#[cfg(test)]
#[path = "histograms_tests.rs"]
mod tests;
