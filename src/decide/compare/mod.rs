//! What changed from one set of runs to another, and whether it matters.
//!
//! Two runs of one server differ always. What a difference means depends on how much
//! such runs vary, and calls do not tell that: one second resembles the next, so
//! thousands of calls are worth a handful of independent values. Taken for independent,
//! they find a difference between two runs of the same server in every second pair. So
//! the unit is a *batch*, some seconds of a run (non-overlapping batch means; Schmeiser,
//! "Batch size effects in the analysis of simulation output", 1982), and where there are
//! several runs a side, the *run*: restarts vary by themselves ("Treadmill", ISCA 2016).
//! Of two populations of one run it is the *pair* of batches of the same time: what both
//! have in common, such as a busy machine, is in no difference (a paired t-test).
//!
//! The steps: may they be compared at all ([`objections`]); the part that all runs have
//! in common (`steady`); each figure of each row as a change with its uncertainty
//! (`figures`, `estimate`); what it is allowed to change by (`margin`); what came of all
//! that decide together (`verdict`). Beside that: runs that are not steady within
//! themselves (`drift`), and latencies that changed their shape (`shape`).
//!
//! It knows no report, no file and no terminal. Start with [`compare`].

mod drift;
mod estimate;
mod few;
mod figures;
mod gate;
mod margin;
#[cfg(test)]
mod proof;
mod ranks;
mod shape;
mod steady;
mod student;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::clock::Utc;
use crate::outcome::{
    ChangeVerdict, ComparedFigure, ComparedMetric, ComparedRow, ComparedRun, ComparisonMethod,
    ComparisonOutcome, ComparisonVerdict, Packed, RUNS_AS_UNITS, RunSample, SampleKey, SampleRow,
    SampleSlot, SteadyPart, WholeFigures,
};
use crate::units::{few_of, format_latency, format_percent, ns_of_ms, plural, tidy};
use estimate::ALPHA;
use few::Share;
use figures::{MeasuredFigure, RowOfSides, Side};
use steady::{RUN_SECS, Steady, files_of, length};
use verdict::{Claim, Decided, decide};

pub use gate::{Objection, is_comparable, objections};
pub use margin::{Tolerance, Tolerances, selectors_of};

/// An operation of less than this share of the calls decides nothing, nor does a flow of
/// less than it of the iterations.
const DECIDING_SHARE: f64 = 0.05;

/// Why an operation has no histograms by time.
const KEPT_AS_A_WHOLE: &str = "a report keeps rows of few calls as a whole, and not by time";

/// Longer runs are not advised.
const ADVISED_SECS_MAX: f64 = 86_400.0;
const ADVISED_RUNS_MAX: f64 = 50.0;

/// Compares runs that may be compared; neither side is empty.
pub fn compare(
    base: &[RunSample],
    new: &[RunSample],
    tolerances: &Tolerances,
) -> ComparisonOutcome {
    compare_sides(base, new, tolerances, false)
}

/// `is_one_run`: both sides are of one run, each a single one.
fn compare_sides(
    base: &[RunSample],
    new: &[RunSample],
    tolerances: &Tolerances,
    is_one_run: bool,
) -> ComparisonOutcome {
    let common = common_keys(base, new);
    let labels = |runs: &[RunSample]| -> Vec<String> {
        let mut told = BTreeSet::new();
        let rows = runs.iter().flat_map(RunSample::rows);
        let alone = rows.filter(|row| !common.contains(&row.key) && told.insert(&row.key));
        alone.map(|row| row.key.label.clone()).collect()
    };
    let (only_base, only_new) = (labels(base), labels(new));
    let mut comparison = if only_base.is_empty() && only_new.is_empty() {
        compare_rows(base, new, tolerances, is_one_run)
    } else {
        let runs = base.iter().chain(new);
        let added = common_by_time(runs, &common);
        let of_common = |run: &RunSample| of_rows(run, &common, &added);
        let side = |runs: &[RunSample]| runs.iter().map(of_common).collect::<Vec<_>>();
        let mut found = compare_rows(&side(base), &side(new), tolerances, is_one_run);
        let operations = common.iter().filter(|key| !key.is_flow());
        let missing = operations.filter(|key| !added.contains(**key));
        found
            .notices
            .extend(not_added(missing.map(|key| &key.label), &added));
        found
    };
    comparison.only_base = only_base;
    comparison.only_new = only_new;
    comparison
}

/// Compares two populations of one run with each other, as two runs: what the first
/// makes is the base. Each comes with the figures of all its calls. `are_even`: they have
/// as many users, so that their rates say something; else these are those of the shares.
pub fn compare_populations(
    run: &RunSample,
    sides: [(&str, WholeFigures); 2],
    are_even: bool,
) -> ComparisonOutcome {
    let side = |(name, whole): (&str, WholeFigures)| {
        let is_its = |row: &&SampleRow| row.key.population.as_deref() == Some(name);
        let own: BTreeSet<&SampleKey> = run.rows().filter(is_its).map(|row| &row.key).collect();
        let added = common_by_time([run], &own);
        let mut side = of_rows(run, &own, &added);
        let mut whole_of = run.populations.iter();
        if let Some(all) = whole_of.find(|row| row.key.population.as_deref() == Some(name)) {
            side.total.slots.clone_from(&all.slots);
        } else if added.len() < own.len() {
            // A part of them would be of other calls on each side.
            side.total.slots.clear();
        }
        for row in side.operations.iter_mut().chain(&mut side.flows) {
            row.key.population = None;
        }
        side.total.whole = whole;
        side.file = name.to_string();
        side.facts.fingerprint = name.to_string();
        side.shape.is_open |= !are_even;
        side
    };
    let [base, new] = sides.map(side);
    compare_sides(&[base], &[new], &Tolerances::default(), true)
}

/// The operations and flows that all runs have.
fn common_keys<'a>(base: &'a [RunSample], new: &'a [RunSample]) -> BTreeSet<&'a SampleKey> {
    fn of_run(run: &RunSample) -> BTreeSet<&SampleKey> {
        run.rows().map(|row| &row.key).collect()
    }
    let mut sets = base.iter().chain(new).map(of_run);
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |common, of_run| &common & &of_run)
}

/// Those of these operations that all of these runs keep by time, so that their sum is the
/// same on both sides.
fn common_by_time<'a>(
    runs: impl IntoIterator<Item = &'a RunSample>,
    keys: &BTreeSet<&'a SampleKey>,
) -> BTreeSet<&'a SampleKey> {
    let mut added = keys.clone();
    for row in runs.into_iter().flat_map(|run| &run.operations) {
        if row.slots.is_empty() && row.whole.ok.saturating_add(row.whole.failed) > 0 {
            added.remove(&row.key);
        }
    }
    added
}

/// What all calls by time are without: reports keep operations of few calls as a whole.
fn not_added<'a>(
    labels: impl Iterator<Item = &'a String>,
    added: &BTreeSet<&SampleKey>,
) -> Option<String> {
    const NAMED_MAX: usize = 3;
    let labels: Vec<String> = labels.map(|label| format!("`{label}`")).collect();
    // Without any there is nothing by time, which is told as such.
    (!labels.is_empty() && !added.is_empty()).then(|| {
        format!(
            "all calls by time are without {}: {KEPT_AS_A_WHOLE}",
            few_of(labels, NAMED_MAX)
        )
    })
}

/// A run of these operations and flows alone: all calls are the sum of the operations, by
/// time of those that are `added`.
fn of_rows(
    run: &RunSample,
    keys: &BTreeSet<&SampleKey>,
    added: &BTreeSet<&SampleKey>,
) -> RunSample {
    let mut run = run.clone();
    let n_operations = run.operations.len();
    run.operations.retain(|row| keys.contains(&row.key));
    run.flows.retain(|row| keys.contains(&row.key));
    if run.operations.len() == n_operations {
        return run;
    }
    let mut slots: BTreeMap<u64, SampleSlot> = BTreeMap::new();
    let mut whole = WholeFigures::default();
    for row in &run.operations {
        whole.started = whole.started.saturating_add(row.whole.started);
        whole.ok = whole.ok.saturating_add(row.whole.ok);
        whole.failed = whole.failed.saturating_add(row.whole.failed);
        let rate = whole.rate_per_sec.unwrap_or(0.0) + row.whole.rate_per_sec.unwrap_or(0.0);
        whole.rate_per_sec = Some(rate);
        for slot in row.slots.iter().filter(|_| added.contains(&row.key)) {
            let sum = slots.entry(slot.number).or_insert_with(|| SampleSlot {
                number: slot.number,
                offered: 0,
                ok: 0,
                failed: 0,
                latency: Packed::default(),
            });
            sum.offered = sum.offered.saturating_add(slot.offered);
            sum.ok = sum.ok.saturating_add(slot.ok);
            sum.failed = sum.failed.saturating_add(slot.failed);
            sum.latency = Packed::sum(&[&sum.latency, &slot.latency]);
        }
    }
    run.total = SampleRow {
        key: run.total.key,
        whole,
        request_bytes: None,
        slots: slots.into_values().collect(),
    };
    run
}

/// Compares runs of the same operations.
fn compare_rows(
    base: &[RunSample],
    new: &[RunSample],
    tolerances: &Tolerances,
    is_one_run: bool,
) -> ComparisonOutcome {
    let all: Vec<&RunSample> = base.iter().chain(new).collect();
    let is_same = fingerprints(base) == fingerprints(new);
    let method = if is_same || all.iter().any(|run| !run.has_histograms) {
        ComparisonMethod::SideBySide
    } else if is_one_run {
        ComparisonMethod::Pairs
    } else if all.len() == 2 {
        ComparisonMethod::Batches
    } else {
        ComparisonMethod::Runs
    };
    let steady = match method {
        ComparisonMethod::SideBySide => Err(format!(
            "there are no histograms in {}",
            files_of(&all, |run| !run.has_histograms)
        )),
        _ => Steady::common(&all),
    };
    let setting = Setting {
        tolerances,
        steady: &steady,
        method,
        is_one_run,
        n_runs: base.len().min(new.len()),
    };
    let rows = setting.rows(base, new);
    let side = |runs: &[RunSample]| {
        let told = |run: &RunSample| drift::told(run, &run.total, steady.as_ref().ok());
        runs.iter().map(told).collect()
    };
    let mut comparison = ComparisonOutcome {
        verdict: answer(&rows),
        method,
        base: side(base),
        new: side(new),
        steady: steady.as_ref().ok().map(|steady| SteadyPart {
            from_secs: tidy(steady.begin_secs()),
            to_secs: tidy(steady.begin_secs() + steady.secs()),
            left_out: steady.left_out.clone(),
        }),
        rows,
        only_base: Vec::new(),
        only_new: Vec::new(),
        notices: Vec::new(),
    };
    if is_same {
        make_same(&mut comparison);
    } else {
        comparison.notices = notices(&comparison, &setting, noise_ms(&all));
    }
    comparison
}

/// What all figures of a comparison have in common.
struct Setting<'a> {
    tolerances: &'a Tolerances,
    steady: &'a Result<Steady, String>,
    method: ComparisonMethod,
    /// Both sides are of one run.
    is_one_run: bool,
    /// Runs of the side that has fewer.
    n_runs: usize,
}

/// What a row is among the others.
#[derive(Clone, Copy)]
struct RowRole<'a> {
    is_total: bool,
    /// It has enough calls to be decided by itself.
    is_large: bool,
    /// The only operation: all calls say the same.
    is_only: bool,
    /// Whose tolerances hold for it; `None`: those of all rows alone.
    key: Option<&'a SampleKey>,
}

/// A figure before it is decided.
struct OpenFigure {
    metric: ComparedMetric,
    measured: MeasuredFigure,
    /// In the unit of a change.
    margin: f64,
    decides: bool,
    /// Its row is known well enough for a verdict.
    is_known: bool,
    /// It decides where it is worse or better, and else is only shown: few runs have the
    /// calls to say that it is equivalent.
    is_alarm: bool,
    /// The errors of an operation that makes too few calls for more: it decides where it
    /// is beyond its margin, and those of all such operations share a part of the wrong
    /// answers of their own (that of counts).
    is_rare: bool,
    /// Of runs too short for batches, which can tell nothing but what is far beyond the
    /// margin.
    is_rough: bool,
    /// The side of which a run had no success at all: that is decided by itself.
    without_success: Option<Side>,
}

impl Setting<'_> {
    /// All calls, then each operation, then each flow.
    fn rows(&self, base: &[RunSample], new: &[RunSample]) -> Vec<ComparedRow> {
        let Some(first) = base.first() else {
            return Vec::new();
        };
        let (base, new) = (tables(base), tables(new));
        let mut told = BTreeSet::new();
        let keys = first.rows().map(|row| &row.key);
        let keys: Vec<&SampleKey> = keys.filter(|key| told.insert(*key)).collect();
        let mut operations = keys.iter().filter(|key| !key.is_flow());
        // One operation alone is all calls.
        let only = match (operations.next(), operations.next()) {
            (Some(only), None) => Some(*only),
            _ => None,
        };
        let keys = std::iter::once(None).chain(keys.iter().copied().map(Some));
        let mut rows = Vec::new();
        let mut open = Vec::new();
        for key in keys {
            let (of_base, of_new) = (rows_of(&base, key), rows_of(&new, key));
            let sides = RowOfSides::new(
                &of_base,
                &of_new,
                self.steady.as_ref().ok(),
                self.is_one_run,
            );
            let mut all = of_base.iter().chain(&of_new);
            let is_large = all.any(|(run, row)| is_large(row, run));
            let role = RowRole {
                is_total: key.is_none(),
                is_large: key.is_none() || is_large,
                is_only: key.is_some() && key == only,
                key: key.or(only),
            };
            let figures = self.open(&sides, role);
            let p95 = figures.iter().find(|of| of.metric == ComparedMetric::P95);
            let shift = p95.map_or(0.0, |figure| figure.margin);
            let [of_base, of_new] = sides.latencies();
            let shape = match self.method {
                ComparisonMethod::SideBySide => None,
                _ => shape::changed(&of_base, &of_new, shift),
            };
            open.push(figures);
            let key = key.unwrap_or(&first.total.key);
            rows.push(ComparedRow {
                label: key.label.clone(),
                is_flow: key.is_flow(),
                name: key.name.clone(),
                flow: key.flow.clone(),
                population: key.population.clone(),
                figures: Vec::new(),
                shape,
            });
        }
        self.judge(&mut rows, open);
        // One operation alone is all calls: what is said of them is said of it.
        if only.is_some()
            && let [total, operation, ..] = rows.as_mut_slice()
            && operation
                .figures
                .iter()
                .all(|figure| figure.verdict.is_some())
        {
            operation.figures.clone_from(&total.figures);
            operation.shape = total.shape;
            operation
                .figures
                .iter_mut()
                .for_each(|figure| figure.decides = false);
        }
        rows
    }

    fn open(&self, sides: &RowOfSides<'_>, role: RowRole<'_>) -> Vec<OpenFigure> {
        let of = |metric: ComparedMetric| {
            let is_own = role
                .key
                .is_some_and(|key| self.tolerances.names_own(metric, key));
            // An operation too small for histograms of its own is shown only, unless the
            // user names it.
            let is_large = role.is_large && (sides.is_by_time() || self.steady.is_err());
            let is_known = is_large || is_own;
            let mut measured = sides.measured(metric);
            let mut is_rough = false;
            if is_known && self.method != ComparisonMethod::SideBySide {
                measured.estimate = sides.estimate(metric);
                if measured.estimate.is_none() {
                    measured.spread = sides.spread(metric);
                    measured.estimate = sides.of_few_pieces(metric);
                    is_rough = measured.estimate.is_some();
                }
            }
            let is_rare = !is_known
                && metric == ComparedMetric::Errors
                && self.method != ComparisonMethod::SideBySide;
            if is_rare {
                measured.estimate = sides.errors_of_few_calls();
            }
            // No call of an operation failed: how many calls there were is a question of
            // all calls, and is asked of them.
            let is_without_error = metric == ComparedMetric::Errors
                && !role.is_total
                && !is_own
                && measured.base == Some(0.0)
                && measured.new == Some(0.0);
            let margin = self.tolerances.margin(metric, role.key);
            let (base, new) = (measured.base.unwrap_or(1.0), measured.new.unwrap_or(1.0));
            let is_of_those = match metric {
                ComparedMetric::P50 | ComparedMetric::P95 | ComparedMetric::Errors => true,
                ComparedMetric::Rate => role.is_total,
                ComparedMetric::P99 => false,
            };
            let is_wished = is_of_those || self.tolerances.names(metric);
            let may_decide =
                !role.is_only && (role.is_large && is_wished && !is_without_error || is_own);
            let without_success = (role.is_total && metric == ComparedMetric::Errors)
                .then(|| sides.without_success())
                .flatten();
            let is_open_to_claims = is_known && self.method != ComparisonMethod::SideBySide;
            let decides = without_success.is_some() || (may_decide && is_open_to_claims);
            OpenFigure {
                metric,
                margin: margin.of(metric, base, new),
                decides,
                is_known,
                is_alarm: role.is_total
                    && metric == ComparedMetric::P99
                    && is_open_to_claims
                    && !decides,
                is_rare,
                is_rough,
                measured,
                without_success,
            }
        };
        ComparedMetric::ALL.map(of).into()
    }

    /// Decides those together that decide, and each of the others by itself.
    fn judge(&self, rows: &mut [ComparedRow], open: Vec<Vec<OpenFigure>>) {
        // Whatever may be called worse shares the wrong answers, of few calls or many.
        let may_decide = |open: &&OpenFigure| open.decides || open.is_alarm;
        let together = open.iter().flatten().filter(may_decide);
        let together = together.filter_map(OpenFigure::candidate);
        let mut together = decide(together.collect()).into_iter();
        let rare = open.iter().flatten().filter(|open| open.is_rare);
        let rare = rare.filter_map(OpenFigure::candidate);
        let mut rare = decide(rare.collect()).into_iter();
        for (row, of_row) in rows.iter_mut().zip(open) {
            for mut open in of_row {
                let alone = |candidate| decide(vec![candidate]).pop();
                let decided = match open.candidate() {
                    None => None,
                    Some(candidate) if may_decide(&&open) => {
                        let decided = together.next();
                        let is_beyond = decided.as_ref().is_some_and(Decided::is_beyond);
                        open.decides |= open.is_alarm && is_beyond;
                        match open.decides {
                            true => decided,
                            false => alone(candidate),
                        }
                    }
                    Some(_) if open.is_rare => {
                        let decided = rare.next().filter(Decided::is_beyond);
                        open.decides |= decided.is_some();
                        decided
                    }
                    Some(candidate) => alone(candidate),
                };
                let decided = decided.filter(|of| !open.is_rough || of.is_beyond());
                row.figures.push(self.figure(open, decided));
            }
            reshape(row);
        }
    }

    fn figure(&self, open: OpenFigure, decided: Option<Decided>) -> ComparedFigure {
        let OpenFigure {
            metric,
            measured,
            margin,
            decides,
            is_known,
            without_success,
            ..
        } = open;
        let alpha = decided.as_ref().map_or(ALPHA, |decided| decided.alpha);
        let has_enough = measured.share_of_calls >= 1.0;
        let verdict = match &decided {
            // Batches of few calls vary more, which the interval knows. What they lack is
            // the sharpness to say that nothing changed.
            Some(decided) if has_enough || decided.is_beyond() => Some(decided.verdict),
            Some(_) => Some(ChangeVerdict::NotEnoughData),
            None => decides.then_some(ChangeVerdict::NotEnoughData),
        };
        let of_side = without_success.map(|side| match side {
            Side::New => (ChangeVerdict::Worse, "no call of a new run succeeded"),
            Side::Base => (
                ChangeVerdict::Better,
                "no call of a run of the base succeeded",
            ),
        });
        let verdict = of_side.map(|(verdict, _)| verdict).or(verdict);
        let bounds = decided
            .as_ref()
            .map(|decided| decided.estimate.interval(alpha))
            .map(|bounds| possible(metric, bounds, measured.errors, alpha));
        let of_change = |change: f64| of_change(metric, change);
        let detectable = decided
            .as_ref()
            .map(|decided| decided.estimate.detectable(alpha))
            .or_else(|| Some(measured.spread.as_ref()?.detectable(ALPHA)));
        let is_unclear = verdict == Some(ChangeVerdict::NotEnoughData);
        ComparedFigure {
            metric,
            of_offered: measured.of_offered,
            base: measured.base.map(tidy),
            new: measured.new.map(tidy),
            base_runs: measured.of_runs[0].iter().copied().map(tidy).collect(),
            new_runs: measured.of_runs[1].iter().copied().map(tidy).collect(),
            change: match &decided {
                Some(decided) => of_change(decided.estimate.change()),
                None => plain_change(metric, measured.base, measured.new),
            },
            interval: (
                bounds.and_then(|(low, _)| of_change(low)),
                bounds.and_then(|(_, high)| of_change(high)),
            ),
            confidence: tidy(1.0 - alpha),
            margin: tidy(margin),
            decides,
            verdict,
            detectable: detectable.and_then(of_change).filter(|_| is_unclear),
            why: match of_side {
                Some((_, why)) => Some(why.to_string()),
                None if is_unclear => Some(self.why(metric, &measured, margin, detectable)),
                None if verdict.is_none() && !is_known => self.why_undecided(&measured),
                None => None,
            },
        }
    }

    /// Why nothing is decided of a row, where the runs have histograms.
    fn why_undecided(&self, measured: &MeasuredFigure) -> Option<String> {
        let why = match self.method {
            ComparisonMethod::SideBySide => return None,
            _ if measured.is_by_time => "it makes less than 5 % of the calls",
            _ => KEPT_AS_A_WHOLE,
        };
        Some(why.to_string())
    }

    /// Why too little is known, and what would help.
    fn why(
        &self,
        metric: ComparedMetric,
        measured: &MeasuredFigure,
        margin: f64,
        detectable: Option<f64>,
    ) -> String {
        let few = measured.estimate.as_ref();
        if let Some((needed, n)) = few.and_then(|of| of.calls_without_error(margin)) {
            return format!(
                "no call failed, and {} a side are too few to say that at most {} do: it takes {}",
                plural(n, "call", "calls"),
                format_percent(margin),
                plural(needed, "call", "calls"),
            );
        }
        let margin = scale(metric, margin);
        if metric.quantile().is_some() && (measured.base.is_none() || measured.new.is_none()) {
            return match self.steady {
                _ if !measured.has_success => "no call of one side succeeded".to_string(),
                Err(why) => format!(
                    "a percentile of some of the operations takes histograms by time, and {why}"
                ),
                Ok(_) => "no call succeeded for some of the time".to_string(),
            };
        }
        let steady = match self.steady {
            Ok(steady) => steady,
            Err(why) if self.method != ComparisonMethod::Runs => return why.clone(),
            Err(_) => return self.more_runs(margin, detectable),
        };
        if self.method == ComparisonMethod::Runs && measured.share_of_calls >= 1.0 {
            return self.more_runs(margin, detectable);
        }
        if !measured.is_by_time && self.method == ComparisonMethod::Pairs {
            return KEPT_AS_A_WHOLE.to_string();
        }
        if !measured.is_by_time {
            return format!("{KEPT_AS_A_WHOLE}: give {RUNS_AS_UNITS} runs a side");
        }
        let share = measured.share_of_calls;
        if share <= 0.0 {
            return "no call succeeded for some of the time".to_string();
        }
        let by_calls = (1.0 / share).max(1.0);
        // The error falls with the root of the time.
        let by_error = detectable
            .map_or(1.0, |seen| (seen / margin).powi(2))
            .max(1.0);
        let secs = steady.begin_secs() + steady.secs() * by_calls.max(by_error);
        let secs = (secs.max(RUN_SECS) / 10.0).ceil() * 10.0;
        let what = match by_calls > 1.0 {
            true => "too few calls for this percentile",
            false => "it varies too much within the run",
        };
        match secs <= ADVISED_SECS_MAX {
            true => format!("{what}: run at least {}", length(secs)),
            false => format!("{what}: it would take more than a day"),
        }
    }

    fn more_runs(&self, margin: f64, detectable: Option<f64>) -> String {
        let factor = detectable.map_or(2.0, |seen| (seen / margin).powi(2));
        let n = (self.n_runs as f64 * factor)
            .ceil()
            .max(self.n_runs as f64 + 1.0);
        match n <= ADVISED_RUNS_MAX {
            true => format!("it varies from run to run: make at least {n} runs a side"),
            false => "it varies too much from run to run".to_string(),
        }
    }
}

impl OpenFigure {
    fn candidate(&self) -> Option<Claim> {
        Some(Claim {
            estimate: self.measured.estimate.clone()?,
            margin: scale(self.metric, self.margin),
            is_rise_worse: self.metric.is_rise_worse(),
        })
    }
}

/// A run with its operations by their keys.
type RowsByKey<'a> = (&'a RunSample, HashMap<&'a SampleKey, &'a SampleRow>);

fn tables(runs: &[RunSample]) -> Vec<RowsByKey<'_>> {
    // Of two of one key the first counts.
    let with_rows = |run| (run, by_key(run));
    runs.iter().map(with_rows).collect()
}

fn by_key(run: &RunSample) -> HashMap<&SampleKey, &SampleRow> {
    run.rows().rev().map(|row| (&row.key, row)).collect()
}

/// The row of each run; all calls without a key.
fn rows_of<'a>(
    runs: &[RowsByKey<'a>],
    key: Option<&SampleKey>,
) -> Vec<(&'a RunSample, &'a SampleRow)> {
    let row = |(run, rows): &RowsByKey<'a>| match key {
        None => Some((*run, &run.total)),
        Some(key) => rows.get(key).map(|row| (*run, *row)),
    };
    runs.iter().filter_map(row).collect()
}

/// By its share of the calls; of a flow, by that of the iterations of all flows.
fn is_large(row: &SampleRow, run: &RunSample) -> bool {
    let ended = |row: &SampleRow| row.whole.ok.saturating_add(row.whole.failed) as f64;
    let n_all = match row.key.is_flow() {
        true => run.flows.iter().map(ended).sum(),
        false => ended(&run.total),
    };
    ended(row) >= DECIDING_SHARE * n_all
}

/// Where no call of a side failed, its share cannot fall, and that of the other can rise by
/// no more than there are calls: means of a few runs do not know that.
fn possible(
    metric: ComparedMetric,
    (low, high): (f64, f64),
    [base, new]: [Share; 2],
    alpha: f64,
) -> (f64, f64) {
    match metric {
        ComparedMetric::Errors => (low.max(-base.most(alpha)), high.min(new.most(alpha))),
        _ => (low, high),
    }
}

/// A change in the scale of estimates.
fn scale(metric: ComparedMetric, change: f64) -> f64 {
    match metric {
        ComparedMetric::Errors => change,
        _ => change.ln_1p(),
    }
}

/// One side is this many times the other, at most: else nothing is known.
const CHANGE_MAX: f64 = 1e4;

/// And back; `None` where nothing bounds it.
fn of_change(metric: ComparedMetric, change: f64) -> Option<f64> {
    match metric {
        // All that was right may fail, and the other way round.
        ComparedMetric::Errors => change.is_finite().then(|| tidy(change.clamp(-1.0, 1.0))),
        // What differs by more bounds nothing, whichever side is the longer.
        _ => (change.abs() < CHANGE_MAX.ln()).then(|| tidy(change.exp_m1())),
    }
}

/// Of two figures alone; no share of nothing.
fn plain_change(metric: ComparedMetric, base: Option<f64>, new: Option<f64>) -> Option<f64> {
    let (base, new) = (base?, new?);
    match metric {
        ComparedMetric::Errors => Some(tidy(new - base)),
        _ => (base > 0.0).then(|| tidy(new / base - 1.0)),
    }
}

/// Percentiles that are alike do not make another shape equivalent.
fn reshape(row: &mut ComparedRow) {
    let median = row
        .figures
        .iter()
        .find(|of| of.metric == ComparedMetric::P50);
    if median.and_then(|figure| figure.verdict) != Some(ChangeVerdict::Equivalent) {
        // What moved as a whole is not a question of shape.
        row.shape = None;
    }
    let Some(shape) = row.shape else {
        return;
    };
    let latencies = row
        .figures
        .iter_mut()
        .filter(|it| it.metric.quantile().is_some());
    for figure in latencies {
        if figure.verdict == Some(ChangeVerdict::Equivalent) {
            figure.verdict = Some(ChangeVerdict::SmallChange);
            figure.why = Some(format!(
                "the shape changed: {} instead of {} of the calls take more than {}",
                format_percent(shape.new_share),
                format_percent(shape.base_share),
                format_latency(ns_of_ms(shape.above_ms)),
            ));
        }
    }
}

fn fingerprints(runs: &[RunSample]) -> BTreeSet<&str> {
    runs.iter()
        .map(|run| run.facts.fingerprint.as_str())
        .collect()
}

/// What the generator may have added: the worst of the runs.
fn noise_ms(runs: &[&RunSample]) -> (f64, f64) {
    runs.iter().fold((0.0, 0.0), |worst, run| {
        let (p50, p99) = run.facts.bounds_ms;
        (f64::max(worst.0, p50), f64::max(worst.1, p99))
    })
}

fn answer(rows: &[ComparedRow]) -> ComparisonVerdict {
    let deciding = rows
        .iter()
        .flat_map(|row| &row.figures)
        .filter(|it| it.decides);
    let verdicts: Vec<_> = deciding.map(|figure| figure.verdict).collect();
    if verdicts.contains(&Some(ChangeVerdict::Worse)) {
        ComparisonVerdict::Worse
    } else if verdicts.contains(&Some(ChangeVerdict::NotEnoughData)) {
        ComparisonVerdict::Unclear
    } else if verdicts.is_empty() {
        ComparisonVerdict::Undecided
    } else {
        ComparisonVerdict::NotWorse
    }
}

/// Both sides are the same runs.
fn make_same(comparison: &mut ComparisonOutcome) {
    comparison.verdict = ComparisonVerdict::Same;
    for figure in comparison.rows.iter_mut().flat_map(|row| &mut row.figures) {
        if figure.base.is_some() {
            figure.change = Some(0.0);
            figure.interval = (Some(0.0), Some(0.0));
            figure.verdict = Some(ChangeVerdict::Equivalent);
        }
    }
}

/// `noise_ms` is what the generator may have added to a median, and to a higher
/// percentile.
fn notices(
    comparison: &ComparisonOutcome,
    setting: &Setting<'_>,
    noise_ms: (f64, f64),
) -> Vec<String> {
    let mut notices = Vec::new();
    if let Err(why) = setting.steady {
        notices.push(format!("whole runs are compared, as they are: {why}"));
    }
    if comparison.method == ComparisonMethod::Batches {
        notices.push(
            "one run a side: how much runs of the same server differ is not known, so this is a verdict on these two runs; for one on the server give several a side, made in turn (base, new, base, new)"
                .to_string(),
        );
    }
    if comparison.method == ComparisonMethod::Pairs {
        notices.push(
            "both are of one run, so what disturbs both is in no difference; that another run \
             comes out alike, only another run tells"
                .to_string(),
        );
    }
    if comparison.method == ComparisonMethod::Runs {
        notices.extend(of_runs(comparison, setting.n_runs));
    }
    for run in comparison.base.iter().chain(&comparison.new) {
        let file = &run.file;
        if let Some(drift) = run.drift {
            let (way, drift) = match drift > 0.0 {
                true => ("rose", drift),
                false => ("fell", -drift),
            };
            notices.push(format!(
                "`{file}` is not steady: its median {way} by {} while it ran; what changes within a run changes from run to run as well",
                format_percent(drift)
            ));
        }
        if let Some(rise) = run.slow_start {
            notices.push(format!(
                "`{file}` was still warming up: the first tenth of what is compared is slower by {}; give a longer `--warm-up`",
                format_percent(rise)
            ));
        }
    }
    let is_one_run = comparison.method == ComparisonMethod::Pairs;
    let drowned = |metric: ComparedMetric, noise_ms: f64| {
        let figure = comparison
            .rows
            .first()?
            .figures
            .iter()
            .find(|it| it.metric == metric)?;
        let margin_ms = figure.margin * figure.base?.min(figure.new?);
        (figure.decides && noise_ms > margin_ms).then(|| {
            format!(
                "this machine may have added up to {} to the {} of a run, which is more than its \
                 margin: {}",
                format_latency(ns_of_ms(noise_ms)),
                metric.name(),
                match is_one_run {
                    true => "run on a quieter machine",
                    false => "compare runs of a quieter machine",
                }
            )
        })
    };
    let whose = match is_one_run {
        true => "in the second population",
        false => "in the new runs",
    };
    let told = comparison.rows.iter().flat_map(|row| apart(row, whose));
    notices.extend(told);
    notices.extend(drowned(ComparedMetric::P50, noise_ms.0));
    notices.extend(drowned(ComparedMetric::P95, noise_ms.1));
    notices
}

/// Percentiles of all calls together that changed, where those of the batches did not,
/// or the other way.
fn apart(row: &ComparedRow, whose: &str) -> Option<String> {
    let told = row.figures.iter().find_map(|figure| {
        let plain = plain_change(figure.metric, figure.base, figure.new)?;
        let (is_other_way, margin) = (plain * figure.change? <= 0.0, figure.margin);
        let is_beyond = scale(figure.metric, plain).abs() > scale(figure.metric, margin);
        let is_told = figure.verdict == Some(ChangeVerdict::Equivalent) || is_other_way;
        (figure.decides && figure.metric.quantile().is_some() && is_beyond && is_told)
            .then(|| (figure.metric.name(), plain))
    });
    let (name, plain) = told?;
    let way = if plain > 0.0 { "more" } else { "less" };
    Some(format!(
        "the {name} of {} is {} {way} {whose} taken as a whole: a few of the seconds make that, and the batches are compared",
        row.label,
        format_percent(plain.abs()),
    ))
}

/// All runs of one side began when those of the other were over, as far as it is known.
fn is_one_after_the_other(comparison: &ComparisonOutcome) -> bool {
    let starts = |side: &[ComparedRun]| -> Option<(Utc, Utc)> {
        let starts = side.iter().map(|run| Utc::parse_rfc3339(&run.started_at));
        let starts = starts.collect::<Option<Vec<Utc>>>()?;
        Some((*starts.iter().min()?, *starts.iter().max()?))
    };
    let (Some(base), Some(new)) = (starts(&comparison.base), starts(&comparison.new)) else {
        return false;
    };
    let length = comparison
        .steady
        .as_ref()
        .map_or(0.0, |steady| steady.to_secs);
    let is_after = |late: Utc, early: Utc| {
        let ms = late.unix_ms().saturating_sub(early.unix_ms());
        ms > 0 && ms as f64 >= length * 1e3
    };
    is_after(new.0, base.1) || is_after(base.0, new.1)
}

/// Of several runs a side.
fn of_runs(comparison: &ComparisonOutcome, n_runs: usize) -> Vec<String> {
    let mut notices = Vec::new();
    if n_runs < 5 {
        notices.push(format!(
            "{} on a side {} little of how runs vary: five a side say more",
            plural(n_runs as u64, "run", "runs"),
            if n_runs == 1 { "says" } else { "say" },
        ));
    }
    if n_runs > 1 && is_one_after_the_other(comparison) {
        notices.push(
            "all runs of one side were made before those of the other: what the machine changed meanwhile looks like the server's; make them in turn (base, new, base, new)"
                .to_string(),
        );
    }
    notices
}
