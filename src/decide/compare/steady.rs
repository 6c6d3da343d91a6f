//! The part of each run that is compared: the same on every run's clock, without
//! ramps and without the time in which a server warms up.

use crate::outcome::{Histogram, RunSample, SampleRow, SampleShape, SampleSlot, SampleStage};
use crate::units::{few_of, format_duration};
use std::time::Duration;

/// What is left out as warming up: this long, or this share of the part, whichever is
/// more; of a short part no more than the last of these.
const WARM_UP_SECS: f64 = 5.0;
const WARM_UP_SHARE: f64 = 0.05;
const WARM_UP_SHARE_MAX: f64 = 0.25;

/// Fewer slots cannot make six batches of two.
const SLOTS_MIN: u64 = 12;

/// A shorter part says too little of how a server varies with time.
const SECS_MIN: f64 = 15.0;

/// A run in which batches have a length that says something.
pub(super) const RUN_SECS: f64 = 60.0;

/// The part that is compared, in slots.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Steady {
    /// The first slot.
    pub(super) from: u64,
    /// How many.
    pub(super) n: u64,
    /// The length of a slot.
    pub(super) slot_secs: f64,
    /// What was left out.
    pub(super) left_out: String,
}

/// The names of the files of those runs.
pub(super) fn files_of(runs: &[&RunSample], is_meant: impl Fn(&RunSample) -> bool) -> String {
    const NAMED_MAX: usize = 3;
    let meant = runs.iter().filter(|run| is_meant(run));
    few_of(meant.map(|run| format!("`{}`", run.file)), NAMED_MAX)
}

/// Where a part begins and ends on a run's clock.
type SecondsSpan = (f64, f64);

impl Steady {
    /// The part that all these runs have.
    ///
    /// # Errors
    /// Why there is none: a text that names what would help.
    pub(super) fn common(runs: &[&RunSample]) -> Result<Self, String> {
        let slots = runs.iter().map(|run| run.slot_secs);
        let Some(slot_secs) = slots.collect::<Option<Vec<f64>>>() else {
            return Err(format!(
                "there are no histograms by time (`--histograms seconds`) in {}",
                files_of(runs, |run| run.slot_secs.is_none())
            ));
        };
        let slot_secs = slot_secs.into_iter().fold(0.0, f64::max);
        let is_whole = |ratio: f64| (ratio - ratio.round()).abs() < 1e-6;
        let ratios = runs.iter().filter_map(|run| run.slot_secs);
        if slot_secs <= 0.0 || !ratios.map(|own| slot_secs / own).all(is_whole) {
            return Err("the histograms of the reports are of different lengths".to_string());
        }
        let hold = runs.first().and_then(|run| longest_hold(&run.shape));
        let (mut from, mut to) = (0.0_f64, f64::INFINITY);
        for run in runs {
            if run.total.slots.is_empty() && run.total.whole.ok > 0 {
                return Err(format!("all calls of `{}` are not kept by time", run.file));
            }
            let Some(span) = span_of(run, hold) else {
                return Err(format!(
                    "`{}` has no call in the part that is compared",
                    run.file
                ));
            };
            from = from.max(span.0);
            to = to.min(span.1);
        }
        let first = (from / slot_secs).ceil();
        let n = ((to / slot_secs + 1e-6).floor() - first).max(0.0);
        // Casts from floats saturate.
        let (first, n) = (first as u64, n as u64);
        if n < SLOTS_MIN || n as f64 * slot_secs < SECS_MIN {
            return Err(format!(
                "the steady part is {} long: run at least {}",
                length(n as f64 * slot_secs),
                length(RUN_SECS)
            ));
        }
        let shape = runs.first().map(|run| &run.shape);
        Ok(Self {
            from: first,
            n,
            slot_secs,
            left_out: shape.map_or_else(String::new, |shape| left_out(shape, hold, from)),
        })
    }

    pub(super) fn secs(&self) -> f64 {
        self.n as f64 * self.slot_secs
    }

    pub(super) fn begin_secs(&self) -> f64 {
        self.from as f64 * self.slot_secs
    }

    /// The slots of a row within the part, each with the number of the `n_parts` equal
    /// parts that it lies in.
    pub(super) fn slots<'a>(
        &self,
        run: &RunSample,
        row: &'a SampleRow,
        n_parts: u64,
    ) -> impl Iterator<Item = (usize, &'a SampleSlot)> + use<'a> {
        let own_secs = run.slot_secs.unwrap_or(self.slot_secs);
        // At least 1: the longest of all runs is the common length.
        let ratio = ((self.slot_secs / own_secs).round() as u64).max(1);
        let (from, n) = (self.from, self.n);
        row.slots.iter().filter_map(move |slot| {
            let number = (slot.number / ratio)
                .checked_sub(from)
                .filter(|at| *at < n)?;
            let part = u128::from(number) * u128::from(n_parts) / u128::from(n);
            Some((part as usize, slot))
        })
    }

    /// The calls of a row within the part, in `n_parts` equal parts.
    pub(super) fn parts(&self, run: &RunSample, row: &SampleRow, n_parts: usize) -> Vec<Batch> {
        let mut batches = vec![Batch::default(); n_parts];
        for (part, slot) in self.slots(run, row, n_parts as u64) {
            batches[part].add(slot);
        }
        // Slots are whole, and so parts may differ in length by one of them.
        for (part, batch) in (0..).zip(&mut batches) {
            let edge = |part: u64| (part * self.n).div_ceil(n_parts as u64);
            batch.secs = (edge(part + 1) - edge(part)) as f64 * self.slot_secs;
        }
        batches
    }
}

/// What happened in a stretch of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Batch {
    pub(super) secs: f64,
    pub(super) offered: u64,
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) latency: Histogram,
}

impl Batch {
    /// Its calls; the time is the caller's.
    pub(super) fn add(&mut self, slot: &SampleSlot) {
        self.offered = self.offered.saturating_add(slot.offered);
        self.ok = self.ok.saturating_add(slot.ok);
        self.failed = self.failed.saturating_add(slot.failed);
        self.latency.merge(&slot.latency.unpacked());
    }

    pub(super) fn ended(&self) -> u64 {
        self.ok.saturating_add(self.failed)
    }
}

/// The stage of a load that stays the same for longest, by its index; of several the
/// last. `None` without such a stage.
fn longest_hold(shape: &SampleShape) -> Option<usize> {
    let stages = shape.stages.iter().enumerate();
    let holds = stages.filter(|(_, stage)| is_hold(stage));
    let longest = holds.max_by(|a, b| a.1.length_secs.total_cmp(&b.1.length_secs));
    longest.map(|(idx, _)| idx)
}

fn is_hold(stage: &SampleStage) -> bool {
    stage.load.0 == stage.load.1 && stage.load.0 > 0.0
}

/// What is compared of one run.
fn span_of(run: &RunSample, hold: Option<usize>) -> Option<SecondsSpan> {
    let slot_secs = run.slot_secs?;
    let begins = |slot: &SampleSlot| slot.number as f64 * slot_secs;
    let slots = &run.total.slots;
    let first = slots.iter().find(|slot| slot.offered > 0).map(begins)?;
    let last = slots.last().map(begins)? + slot_secs;
    let (from, to) = match hold {
        Some(idx) => {
            let stage = run.shape.stages.get(idx)?;
            (stage.at_secs, stage.at_secs + stage.length_secs)
        }
        // What ends after the time is over are stragglers.
        None => {
            let last_begun = slots.iter().rev().find(|slot| slot.offered > 0)?;
            let to = run.shape.planned_secs;
            (
                run.shape.ramp_up_secs,
                to.unwrap_or(begins(last_begun) + slot_secs),
            )
        }
    };
    let (from, to) = (from.max(first), to.min(last));
    let warm_up = WARM_UP_SECS.max(WARM_UP_SHARE * (to - from));
    let warm_up = warm_up.min(WARM_UP_SHARE_MAX * (to - from).max(0.0));
    Some(((from + warm_up).max(run.shape.warm_up_secs), to))
}

fn left_out(shape: &SampleShape, hold: Option<usize>, from_secs: f64) -> String {
    match hold {
        Some(idx) => {
            let of = shape.stages.len();
            format!("all but stage {} of {of}, and its beginning", idx + 1)
        }
        None if !shape.stages.is_empty() => {
            "the beginning; no stage holds its load, so batches are of different loads".to_string()
        }
        None => format!(
            "the first {}, in which a server warms up",
            length(from_secs)
        ),
    }
}

/// `15s`, `1m`.
pub(super) fn length(secs: f64) -> String {
    let ms = (secs.clamp(0.0, 1e9) * 10.0).round() * 100.0;
    format_duration(Duration::from_millis(ms as u64))
}
