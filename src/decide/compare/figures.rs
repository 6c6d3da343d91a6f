//! One row's figures on both sides: what they are, and the change as an estimate.

use super::estimate::{Estimate, Mean, Means, RunMeans, SideGap, gap_of};
use super::few::Share;
use super::ranks::RunDifferences;
use super::steady::{Batch, Steady};
use crate::outcome::{
    ComparedMetric, Histogram, RUNS_AS_UNITS, RunSample, SampleRow, SampleSlot, WholeFigures,
};

/// Batches of a run, and fewer, longer ones where one second resembles the next or
/// there are few calls.
const N_BATCHES: usize = 10;
const N_BATCHES_FEW: usize = 6;

/// Ten batches of a shorter part would resemble each other.
const SECS_FOR_MANY: f64 = 45.0;

/// One second resembles the next by more than this (lag-1 autocorrelation of the
/// medians): longer batches.
const CORRELATION_MAX: f64 = 0.6;

/// Pieces of time, of which one is held against the next.
const N_PIECES: usize = 60;

/// Values that are rounded to three digits vary by as much, though they look alike.
const LATENCY_VARIANCE_MIN: f64 = 1e-6;

/// Fewer errors are compared by an exact test.
const FEW_ERRORS: u64 = 5;

/// Fewer calls of a side say nothing of a share where nothing is known by time.
const COUNTED_MIN: u64 = 20;

/// Runs from which on ranks decide; with fewer, means do.
const RUNS_FOR_RANKS: usize = 5;
/// Of fewer pieces nobody knows what they vary by.
const PIECES_MIN: usize = 2;

/// A row of one run, with what happened in its steady part.
pub(super) struct RowOfRun<'a> {
    whole: &'a WholeFigures,
    slots: &'a [SampleSlot],
    slot_secs: f64,
    /// All runs have a rate of the user's.
    is_open: bool,
    /// It is a population beside another.
    is_paired: bool,
    /// Empty where nothing is known by time.
    batches: Vec<Batch>,
    /// Of each batch the logarithm of the median, the 95th and the 99th percentile, in
    /// ns; `None` where it has too few calls.
    percentiles: Vec<[Option<f64>; 3]>,
}

/// A row of all runs of both sides.
pub(super) struct RowOfSides<'a> {
    pub(super) base: Vec<RowOfRun<'a>>,
    pub(super) new: Vec<RowOfRun<'a>>,
    /// Both are of one run: their batches are of the same time, each pair of them.
    are_paired: bool,
}

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Base,
    New,
}

/// A figure on both sides.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct MeasuredFigure {
    pub(super) base: Option<f64>,
    pub(super) new: Option<f64>,
    pub(super) estimate: Option<Estimate>,
    /// The least that it varies by, where there is no estimate.
    pub(super) spread: Option<Estimate>,
    /// A rate as a share of what was offered.
    pub(super) of_offered: bool,
    /// What happened is known by time.
    pub(super) is_by_time: bool,
    /// Of the calls that it takes, the share that there were; 1 and above is enough.
    pub(super) share_of_calls: f64,
    /// Of each run of both sides, where a side has several.
    pub(super) of_runs: [Vec<f64>; 2],
    /// A call of each side succeeded.
    pub(super) has_success: bool,
    /// Failed calls of all runs of each side.
    pub(super) errors: [Share; 2],
}

impl<'a> RowOfSides<'a> {
    /// `steady`: the part that is compared; `None`: whole runs are.
    pub(super) fn new(
        base: &[(&'a RunSample, &'a SampleRow)],
        new: &[(&'a RunSample, &'a SampleRow)],
        steady: Option<&Steady>,
        are_paired: bool,
    ) -> Self {
        let both = || base.iter().chain(new);
        let is_open = both().all(|(run, _)| run.shape.is_open);
        let is_by_time = both().all(|(_, row)| !row.slots.is_empty());
        let steady = steady.filter(|_| is_by_time);
        let n_batches = steady.map_or(0, |steady| match (base, new, are_paired) {
            ([base], [new], true) => n_pairs(base, new, steady),
            _ => n_batches(both(), steady),
        });
        let of_run = |(run, row): &(&'a RunSample, &'a SampleRow)| {
            let batches = steady.map(|steady| steady.parts(run, row, n_batches));
            let batches = batches.unwrap_or_default();
            RowOfRun {
                whole: &row.whole,
                slots: &row.slots,
                slot_secs: run.slot_secs.unwrap_or(1.0),
                is_open,
                is_paired: are_paired,
                percentiles: batches.iter().map(percentiles).collect(),
                batches,
            }
        };
        Self {
            base: base.iter().map(of_run).collect(),
            new: new.iter().map(of_run).collect(),
            are_paired,
        }
    }

    /// Whether what happened is known by time.
    pub(super) fn is_by_time(&self) -> bool {
        self.base
            .iter()
            .chain(&self.new)
            .all(|run| !run.batches.is_empty())
    }

    /// The latencies of what a shape is compared by: the batches of a run, or the runs.
    pub(super) fn latencies(&self) -> [Vec<Histogram>; 2] {
        [&self.base, &self.new].map(|side| match side.as_slice() {
            [run] => run
                .batches
                .iter()
                .map(|batch| batch.latency.clone())
                .collect(),
            runs => runs.iter().map(RowOfRun::latency).collect(),
        })
    }

    /// The change of a figure; `None`: too little is known for any.
    pub(super) fn estimate(&self, metric: ComparedMetric) -> Option<Estimate> {
        match (self.base.as_slice(), self.new.as_slice()) {
            ([base], [new]) => of_pair(base, new, metric, self.are_paired),
            (base, new) => of_runs(base, new, metric),
        }
    }

    /// What a pair varies by from piece to piece, where it has no batches: neighbours
    /// resemble each other, so it is the least.
    pub(super) fn spread(&self, metric: ComparedMetric) -> Option<Estimate> {
        let ([base], [new]) = (self.base.as_slice(), self.new.as_slice()) else {
            return None;
        };
        let means = Means::welch(base.mean_of_pieces(metric)?, new.mean_of_pieces(metric)?);
        Some(Estimate::Means(means))
    }

    /// Of runs too short for batches: what is far beyond all that their seconds differ by.
    pub(super) fn of_few_pieces(&self, metric: ComparedMetric) -> Option<Estimate> {
        let ([base], [new]) = (self.base.as_slice(), self.new.as_slice()) else {
            return None;
        };
        let (base, new) = (base.mean_of_pieces(metric)?, new.mean_of_pieces(metric)?);
        Means::of_few_pieces(base, new).map(Estimate::Means)
    }

    /// The errors of a row of few calls by their counts: of several runs a side where
    /// every run of one side has a larger share than all of the other.
    pub(super) fn errors_of_few_calls(&self) -> Option<Estimate> {
        let shares = |side: &[RowOfRun<'_>]| -> Vec<f64> {
            side.iter().map(|run| run.errors().value()).collect()
        };
        let is_apart = gap_of(&shares(&self.base), &shares(&self.new)) != 0.0;
        let has_calls = |run: &RowOfRun<'_>| run.errors().n > 0;
        let mut all = self.base.iter().chain(&self.new);
        let [base, new] = [&self.base, &self.new].map(|side| Share::of_all(side));
        (all.all(has_calls) && is_apart).then_some(Estimate::Counted { base, new })
    }

    fn is_open(&self) -> bool {
        self.base.iter().chain(&self.new).all(|run| run.is_open)
    }

    /// Which side has a run without any success where every run of the other has some.
    pub(super) fn without_success(&self) -> Option<Side> {
        let is_dead = |run: &RowOfRun<'_>| run.whole.ok == 0 && run.whole.failed > 0;
        let has_success = |side: &[RowOfRun<'_>]| side.iter().all(|run| run.whole.ok > 0);
        if self.new.iter().any(is_dead) && has_success(&self.base) {
            Some(Side::New)
        } else if self.base.iter().any(is_dead) && has_success(&self.new) {
            Some(Side::Base)
        } else {
            None
        }
    }

    /// A figure, without an estimate.
    pub(super) fn measured(&self, metric: ComparedMetric) -> MeasuredFigure {
        let value = |side: &[RowOfRun<'_>]| {
            let values = side.iter().map(|run| run.shown(metric));
            let values: Option<Vec<f64>> = values.collect();
            values.and_then(|values| mean_shown(metric, &values))
        };
        let of_runs = |side: &[RowOfRun<'_>]| -> Vec<f64> {
            let values = side.iter().map(|run| run.shown(metric));
            values.collect::<Option<_>>().unwrap_or_default()
        };
        let has_several = self.base.len().max(self.new.len()) > 1;
        let has_success = |side: &[RowOfRun<'_>]| side.iter().any(|run| run.whole.ok > 0);
        let shares = self
            .base
            .iter()
            .chain(&self.new)
            .map(|run| run.share_of_calls(metric));
        MeasuredFigure {
            base: value(&self.base),
            new: value(&self.new),
            estimate: None,
            spread: None,
            of_offered: metric == ComparedMetric::Rate
                && self.is_open()
                && (self.is_by_time() || self.are_paired),
            is_by_time: self.is_by_time(),
            share_of_calls: shares.fold(f64::INFINITY, f64::min),
            of_runs: match has_several {
                true => [of_runs(&self.base), of_runs(&self.new)],
                false => Default::default(),
            },
            has_success: has_success(&self.base) && has_success(&self.new),
            errors: [&self.base, &self.new].map(|side| Share::of_all(side)),
        }
    }
}

/// From batch to batch of two runs; of one run from pair to pair.
fn of_pair(
    base: &RowOfRun<'_>,
    new: &RowOfRun<'_>,
    metric: ComparedMetric,
    are_paired: bool,
) -> Option<Estimate> {
    if metric == ComparedMetric::Errors {
        let [of_base, of_new] = [base, new].map(RowOfRun::errors);
        if base.batches.is_empty() || new.batches.is_empty() {
            return (of_base.n.min(of_new.n) >= COUNTED_MIN).then_some(Estimate::Counted {
                base: of_base,
                new: of_new,
            });
        }
        if of_base.n == 0 || of_new.n == 0 {
            return None;
        }
        if of_base.n_events.min(of_new.n_events) < FEW_ERRORS {
            return Some(Estimate::Few {
                base: of_base,
                new: of_new,
            });
        }
    }
    let means = match are_paired {
        true => {
            let (of_base, of_new) = (base.values(metric)?, new.values(metric)?);
            let variance_min = [base, new].map(|run| run.variance_min(metric, of_base.len()));
            Means::paired(&of_base, &of_new, variance_min[0].max(variance_min[1]))?
        }
        false => Means::welch(base.mean(metric)?, new.mean(metric)?),
    };
    Some(Estimate::Means(means))
}

impl Share {
    /// Of all calls of these runs.
    fn of_all(runs: &[RowOfRun<'_>]) -> Self {
        runs.iter()
            .map(RowOfRun::errors)
            .fold(Self::default(), |sum, of| Self {
                n_events: sum.n_events.saturating_add(of.n_events),
                n: sum.n.saturating_add(of.n),
            })
    }
}

/// From run to run.
fn of_runs(
    base: &[RowOfRun<'_>],
    new: &[RowOfRun<'_>],
    metric: ComparedMetric,
) -> Option<Estimate> {
    let is_zero = |run: &RowOfRun<'_>| run.errors().n_events == 0 && run.errors().n > 0;
    if metric == ComparedMetric::Errors && base.iter().chain(new).all(is_zero) {
        // No run differs from another: how many calls say so is all that is known.
        let [base, new] = [base, new].map(Share::of_all);
        return Some(Estimate::Few { base, new });
    }
    if base.len().min(new.len()) < RUNS_AS_UNITS {
        let few = match metric {
            ComparedMetric::Errors => closest_counts(base, new),
            _ => None,
        };
        let few = few.or_else(|| of_few_runs(base, new, metric).map(Estimate::Means));
        if few.is_some() {
            return few;
        }
    }
    // Each run's value, and how much it may vary for what is known from within the run:
    // two runs that are alike by chance do not make runs exact.
    let (base, new) = run_values(base, new, metric)?;
    let variance = |side: &[(f64, f64)]| {
        let sum: f64 = side.iter().map(|(_, variance)| variance).sum();
        sum / side.len() as f64
    };
    let n = (base.len() + new.len()) as f64;
    let within_of = [variance(&base), variance(&new)];
    let within = (within_of[0] * base.len() as f64 + within_of[1] * new.len() as f64) / n;
    let [base, new] = [base, new].map(|side| {
        let values = side.into_iter().map(|(value, _)| value);
        values.collect::<Vec<f64>>()
    });
    let n_least = base.len().min(new.len());
    let by_means = || RunMeans {
        means: Means::welch(Mean::of(&base, within), Mean::of(&new, within)),
        gap: SideGap::new(&base, &new, within_of, metric.is_rise_worse()),
    };
    if n_least >= RUNS_FOR_RANKS {
        let differences = RunDifferences::new(&base, &new);
        Some(Estimate::Ranks(differences, by_means()))
    } else if n_least >= RUNS_AS_UNITS {
        Some(Estimate::Runs(by_means()))
    } else {
        Means::pooled(&base, &new, within).map(Estimate::Means)
    }
}

/// The value of each run with its variance from within.
type RunValues = Vec<(f64, f64)>;

/// All in one way: a mean over batches where all runs have one, else the figure of the
/// part as a whole. A percentile of all calls is not the mean of those of the batches,
/// and one side must not be held against the other by that.
fn run_values(
    base: &[RowOfRun<'_>],
    new: &[RowOfRun<'_>],
    metric: ComparedMetric,
) -> Option<(RunValues, RunValues)> {
    let both = |value: fn(&RowOfRun<'_>, ComparedMetric) -> Option<(f64, f64)>| {
        let of = |side: &[RowOfRun<'_>]| -> Option<RunValues> {
            side.iter().map(|run| value(run, metric)).collect()
        };
        Some((of(base)?, of(new)?))
    };
    both(|run, metric| {
        let mean = run.mean(metric)?;
        // No error in any batch does not make a run exact.
        let variance_min = match metric {
            ComparedMetric::Errors => run.errors().variance_min(),
            _ => 0.0,
        };
        Some((mean.value, mean.variance.max(variance_min)))
    })
    .or_else(|| both(|run, metric| run.whole_value(metric)))
}

/// From batch to batch of a few runs: what the runs of a side differ by more than their
/// batches tell is added to it.
fn of_few_runs(
    base: &[RowOfRun<'_>],
    new: &[RowOfRun<'_>],
    metric: ComparedMetric,
) -> Option<Means> {
    let means = |side: &[RowOfRun<'_>]| -> Option<Vec<Mean>> {
        side.iter().map(|run| run.mean(metric)).collect()
    };
    let (base, new) = (means(base)?, means(new)?);
    let middle = |side: &[Mean]| side.iter().map(|of| of.value).sum::<f64>() / side.len() as f64;
    let squares = |side: &[Mean]| -> f64 {
        let middle = middle(side);
        side.iter().map(|of| (of.value - middle).powi(2)).sum()
    };
    let n = base.len() + new.len();
    let within = base.iter().chain(&new).map(|of| of.variance).sum::<f64>() / n as f64;
    let df = n.saturating_sub(2).max(1) as f64;
    let between = ((squares(&base) + squares(&new)) / df - within).max(0.0);
    let of_side = |side: &[Mean]| {
        let n = side.len() as f64;
        Mean {
            value: middle(side),
            variance: side.iter().map(|of| of.variance).sum::<f64>() / (n * n) + between / n,
            n: side.iter().map(|of| of.n).sum(),
        }
    };
    Some(Means::welch(of_side(&base), of_side(&new)))
}

/// Where nothing is known by time: the counts of the two runs, one of each side, that
/// are most alike, so that runs of one side that differ claim nothing.
fn closest_counts(base: &[RowOfRun<'_>], new: &[RowOfRun<'_>]) -> Option<Estimate> {
    if base.iter().chain(new).any(|run| !run.batches.is_empty()) {
        return None;
    }
    let pairs = base
        .iter()
        .flat_map(|base| new.iter().map(move |new| (base.errors(), new.errors())));
    let pairs = pairs.filter(|(base, new)| base.n.min(new.n) >= COUNTED_MIN);
    let apart = |(base, new): &(Share, Share)| (new.value() - base.value()).abs();
    let closest = pairs.min_by(|a, b| apart(a).total_cmp(&apart(b)));
    closest.map(|(base, new)| Estimate::Counted { base, new })
}

impl RowOfRun<'_> {
    fn latency(&self) -> Histogram {
        let mut all = Histogram::new();
        self.batches
            .iter()
            .for_each(|batch| all.merge(&batch.latency));
        all
    }

    fn errors(&self) -> Share {
        let of_batches = self
            .batches
            .iter()
            .map(|batch| (batch.failed, batch.ended()));
        let (n_events, n) = match self.batches.is_empty() {
            true => (
                self.whole.failed,
                self.whole.ok.saturating_add(self.whole.failed),
            ),
            false => of_batches.fold((0, 0), |sum: (u64, u64), (failed, ended)| {
                (sum.0.saturating_add(failed), sum.1.saturating_add(ended))
            }),
        };
        Share { n_events, n }
    }

    /// The value of each batch, in the scale of estimates: logarithms of latencies and
    /// rates.
    fn values(&self, metric: ComparedMetric) -> Option<Vec<f64>> {
        let batches = self.batches.iter().zip(&self.percentiles);
        let values = batches.map(|(batch, of)| self.value_of(batch, of, metric));
        let values: Option<Vec<f64>> = values.collect();
        values.filter(|values| !values.is_empty())
    }

    fn value_of(
        &self,
        batch: &Batch,
        percentiles: &[Option<f64>; 3],
        metric: ComparedMetric,
    ) -> Option<f64> {
        match metric {
            ComparedMetric::P50 => percentiles[0],
            ComparedMetric::P95 => percentiles[1],
            ComparedMetric::P99 => percentiles[2],
            ComparedMetric::Rate => {
                let ended = (batch.ended() as f64).max(0.5);
                // In the open model the rate is the user's; how much of it was served
                // is the server's.
                Some(match self.is_open {
                    true => (ended / (batch.offered as f64).max(0.5)).ln(),
                    false => (ended / batch.secs).ln(),
                })
            }
            ComparedMetric::Errors => {
                (batch.ended() > 0).then(|| batch.failed as f64 / batch.ended() as f64)
            }
        }
    }

    /// The mean of pieces, each of as many slots as it takes to know the figure. The
    /// last slot is seldom whole.
    fn mean_of_pieces(&self, metric: ComparedMetric) -> Option<Mean> {
        let n_calls = metric.quantile().map_or(1, n_least);
        let (_, slots) = self.slots.split_last()?;
        let (mut piece, mut values) = (Batch::default(), Vec::new());
        for slot in slots {
            piece.add(slot);
            piece.secs += self.slot_secs;
            let n = match metric.quantile() {
                Some(_) => piece.latency.len(),
                None => piece.ended(),
            };
            if n >= n_calls {
                values.extend(self.value_of(&piece, &percentiles(&piece), metric));
                piece = Batch::default();
            }
        }
        (values.len() >= PIECES_MIN).then(|| Mean::of(&values, LATENCY_VARIANCE_MIN))
    }

    fn mean(&self, metric: ComparedMetric) -> Option<Mean> {
        let values = self.values(metric)?;
        let variance_min = self.variance_min(metric, values.len());
        Some(Mean::of(&values, variance_min))
    }

    /// The least that one of this many values varies by.
    fn variance_min(&self, metric: ComparedMetric, n_values: usize) -> f64 {
        let n = self.errors().n as f64 / n_values.max(1) as f64;
        match metric {
            ComparedMetric::Rate => (1.0 / n.max(1.0)).powi(2),
            ComparedMetric::Errors => {
                let share = self.errors().value();
                (share * (1.0 - share) / n.max(1.0)).max(1e-12)
            }
            _ => LATENCY_VARIANCE_MIN,
        }
    }

    /// The figure of the part as a whole in the scale of estimates, and the least that it
    /// varies by.
    fn whole_value(&self, metric: ComparedMetric) -> Option<(f64, f64)> {
        let whole = self.shown(metric)?;
        Some(match metric {
            ComparedMetric::Errors => (whole, self.errors().variance_min()),
            _ => (whole.max(1e-9).ln(), LATENCY_VARIANCE_MIN),
        })
    }

    /// What is shown: ms, calls a second, a share.
    fn shown(&self, metric: ComparedMetric) -> Option<f64> {
        match metric {
            _ if self.batches.is_empty() => self.shown_whole(metric),
            ComparedMetric::Rate => {
                let sum = |of: fn(&Batch) -> f64| self.batches.iter().map(of).sum::<f64>();
                let whole = match self.is_open {
                    true => sum(|batch| batch.offered as f64),
                    false => sum(|batch| batch.secs),
                };
                (whole > 0.0).then(|| self.errors().n as f64 / whole)
            }
            ComparedMetric::Errors => (self.errors().n > 0).then(|| self.errors().value()),
            _ => {
                let ns = self.latency().quantile_ns(metric.quantile()?)?;
                Some(crate::units::ms(ns))
            }
        }
    }

    fn shown_whole(&self, metric: ComparedMetric) -> Option<f64> {
        let [p50, p95, p99] = self.whole.percentiles_ms;
        match metric {
            ComparedMetric::P50 => p50,
            ComparedMetric::P95 => p95,
            ComparedMetric::P99 => p99,
            // Their shares are the user's, whether anything is known by time or not.
            ComparedMetric::Rate if self.is_open && self.is_paired => {
                let ended = self.whole.ok.saturating_add(self.whole.failed);
                (self.whole.started > 0).then(|| ended as f64 / self.whole.started as f64)
            }
            ComparedMetric::Rate => self.whole.rate_per_sec,
            ComparedMetric::Errors => {
                let ended = self.whole.ok.saturating_add(self.whole.failed);
                (ended > 0).then(|| self.whole.failed as f64 / ended as f64)
            }
        }
    }

    /// A percentile takes ten calls beyond it in each batch; a whole run as many.
    fn share_of_calls(&self, metric: ComparedMetric) -> f64 {
        let Some(quantile) = metric.quantile() else {
            return f64::INFINITY;
        };
        let needed = 10.0 / (1.0 - quantile);
        let least = self.batches.iter().map(|batch| batch.latency.len()).min();
        least.unwrap_or(self.whole.ok) as f64 / needed
    }
}

fn percentiles(batch: &Batch) -> [Option<f64>; 3] {
    [0.5, 0.95, 0.99].map(|quantile| {
        let is_known = batch.latency.len() >= n_least(quantile);
        let ns = batch.latency.quantile_ns(quantile).filter(|_| is_known)?;
        Some((ns.max(1) as f64).ln())
    })
}

/// Fewer calls have no such quantile at all.
fn n_least(quantile: f64) -> u64 {
    ((1.0 / (1.0 - quantile)).ceil() as u64).max(5)
}

/// The mean of several runs, as their change is taken: geometric, but for shares.
fn mean_shown(metric: ComparedMetric, values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    Some(match metric {
        ComparedMetric::Errors => values.iter().sum::<f64>() / n,
        _ => (values.iter().map(|value| value.max(1e-9).ln()).sum::<f64>() / n).exp(),
    })
}

fn n_batches<'a>(
    rows: impl Iterator<Item = &'a (&'a RunSample, &'a SampleRow)>,
    steady: &Steady,
) -> usize {
    let is_even = |(run, row): &(&RunSample, &SampleRow)| {
        let medians: Vec<f64> = medians(run, row, steady).into_iter().flatten().collect();
        has_calls(run, row, steady) && correlation(&medians) <= CORRELATION_MAX
    };
    let mut rows = rows;
    match is_long(steady) && rows.all(is_even) {
        true => N_BATCHES,
        false => N_BATCHES_FEW,
    }
}

/// Of two sides of one run: it is their difference that may resemble that of the next
/// second, and what both have in common does not count.
fn n_pairs(
    base: &(&RunSample, &SampleRow),
    new: &(&RunSample, &SampleRow),
    steady: &Steady,
) -> usize {
    let [of_base, of_new] = [base, new].map(|(run, row)| medians(run, row, steady));
    let differences = of_base.iter().zip(&of_new);
    let differences = differences.filter_map(|(base, new)| Some((*new)? - (*base)?));
    let differences: Vec<f64> = differences.collect();
    let have_calls = [base, new]
        .iter()
        .all(|(run, row)| has_calls(run, row, steady));
    match is_long(steady) && have_calls && correlation(&differences) <= CORRELATION_MAX {
        true => N_BATCHES,
        false => N_BATCHES_FEW,
    }
}

fn is_long(steady: &Steady) -> bool {
    steady.secs() >= SECS_FOR_MANY && steady.n >= 4 * N_BATCHES as u64
}

/// Each of many batches has the calls for its percentiles.
fn has_calls(run: &RunSample, row: &SampleRow, steady: &Steady) -> bool {
    let batches = steady.parts(run, row, N_BATCHES);
    batches.iter().all(|batch| batch.latency.len() >= 200)
}

/// The logarithm of the median of each piece of time; `None` where nothing was called.
fn medians(run: &RunSample, row: &SampleRow, steady: &Steady) -> Vec<Option<f64>> {
    let n_pieces = N_PIECES.min(steady.n as usize);
    let pieces = steady.parts(run, row, n_pieces);
    let medians = pieces.iter().map(|piece| {
        let ns = piece.latency.quantile_ns(0.5)?;
        Some((ns.max(1) as f64).ln())
    });
    medians.collect()
}

/// How much one value resembles the next (lag 1).
fn correlation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let products = values
        .windows(2)
        .map(|pair| (pair[0] - mean) * (pair[1] - mean));
    products.sum::<f64>() / squares.max(1e-12)
}
