//! Figures of several reports as one: counts added, latencies from added histograms.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Duration;

use super::seconds::seconds_of_population;
use crate::metrics::{Histogram, Packed, SLOWEST_KEPT, VIOLATIONS_MAX};
use crate::outcome::{INTERVAL_LENGTHS, Interval, Intervals, RowIntervals, coarsen};
use crate::report::make::{assemble, latency, stored_other, stored_row, tool_figures};
use crate::report::model::{
    AnswerFigures, BackendFigures, ByteFigures, BytesFigures, CauseCount, ExchangeFigures, Figures,
    FlowFigures, LatencyFigures, OperationFigures, OtherLatency, PopulationFigures, Report,
    ServedFigures, SlowCallFigures, StageFigures, StoredHistograms, StoredKind, StoredOther,
    StoredRow, ToolFigures, UncheckedFigures, WarmUp,
};
use crate::scenario::HistogramMode;
use crate::units::{plural, share, tidy};

/// Messages kept of one cause, as of one run.
const EXAMPLES_MAX: usize = 3;

/// The reports to be merged, the first to start first.
pub(super) struct Parts<'a> {
    all: &'a [&'a Report],
    rows: Vec<HashMap<RowKey<'a>, &'a StoredRow>>,
    /// The longest, in seconds.
    pub(super) length: f64,
}

/// What a row is about: its kind, its names and its stage.
type RowKey<'a> = (StoredKind, [Option<&'a str>; 5], Option<usize>);

fn key_of(row: &StoredRow) -> RowKey<'_> {
    (row.kind, row.names(), row.stage)
}

fn key_of_operation(kind: StoredKind, it: &OperationFigures) -> RowKey<'_> {
    let names = [&it.subject, &it.name, &it.flow, &it.population].map(Option::as_deref);
    let [subject, name, flow, population] = names;
    (
        kind,
        [Some(&it.method), subject, name, flow, population],
        None,
    )
}

/// The sum of one block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) figures: Figures,
    /// `None`: a part that has such calls keeps no histogram of them.
    pub(super) latency: Option<Histogram>,
    pub(super) row: Option<StoredRow>,
}

/// A block of one part, with its histograms.
type FiguresOf<'a> = (&'a Figures, Option<&'a StoredRow>);

impl<'a> Parts<'a> {
    pub(super) fn new(all: &'a [&'a Report]) -> Self {
        let stored = all.iter().map(|report| report.histograms.as_ref());
        let rows = stored.map(|stored| {
            let rows = stored.iter().flat_map(|stored| &stored.rows);
            rows.map(|row| (key_of(row), row)).collect()
        });
        Self {
            all,
            rows: rows.collect(),
            length: all.iter().map(|it| it.duration_secs).fold(0.0, f64::max),
        }
    }

    /// A block that there is one of at most.
    pub(super) fn block(
        &self,
        kind: StoredKind,
        of: impl Fn(&'a Report) -> Option<&'a Figures>,
    ) -> Result<Option<Block>, String> {
        let key = (kind, [None; 5], None);
        let some = self
            .each()
            .filter_map(|(report, rows)| Some((of(report)?, rows.get(&key).copied())));
        let sources: Vec<FiguresOf<'a>> = some.collect();
        sum(kind, &sources, self.length)
    }

    pub(super) fn operations(
        &self,
        kind: StoredKind,
        of: impl Fn(&'a Report) -> &'a Vec<OperationFigures>,
    ) -> Result<Vec<(OperationFigures, Option<StoredRow>)>, String> {
        let parts = self.each().flat_map(|(report, rows)| {
            of(report).iter().map(move |operation| {
                let key = key_of_operation(kind, operation);
                (key, (operation, rows.get(&key).copied()))
            })
        });
        let mut sums = Vec::new();
        for (_, parts) in grouped(parts) {
            let figures = parts.iter().map(|(it, row)| (&it.figures, *row));
            let sources: Vec<FiguresOf<'_>> = figures.collect();
            let parts: Vec<&OperationFigures> = parts.into_iter().map(|(it, _)| it).collect();
            let operation = parts[0];
            let Some(block) = sum(kind, &sources, self.length)? else {
                continue;
            };
            let (answers, others) = answers(&parts, &sources)?;
            let named = |row: StoredRow| StoredRow {
                others: row.others.iter().cloned().chain(others).collect(),
                method: Some(operation.method.clone()),
                subject: operation.subject.clone(),
                name: operation.name.clone(),
                flow: operation.flow.clone(),
                population: operation.population.clone(),
                ..row
            };
            let figures = block.figures;
            sums.push((
                OperationFigures {
                    figures,
                    bytes: bytes(&parts),
                    answers,
                    slowest: slowest(&parts),
                    ..operation.clone()
                },
                block.row.map(named),
            ));
        }
        Ok(sums)
    }

    /// Each population of the parts: its calls are the sum of its operations.
    pub(super) fn populations(&self) -> Result<Vec<(PopulationFigures, Vec<StoredRow>)>, String> {
        let all = self.all.iter().flat_map(|report| &report.populations);
        let mut firsts: Vec<&'a PopulationFigures> = Vec::new();
        for it in all {
            if !firsts.iter().any(|first| first.name == it.name) {
                firsts.push(it);
            }
        }
        let mut sums = Vec::new();
        for first in firsts {
            let name = Some(&*first.name);
            let is_its = |it: &&OperationFigures| it.population.as_deref() == name;
            let mut calls = Vec::new();
            for (report, rows) in self.each() {
                calls.extend(report.operations.iter().filter(is_its).map(|it| {
                    let key = key_of_operation(StoredKind::Call, it);
                    (&it.figures, rows.get(&key).copied())
                }));
            }
            let Some(block) = sum(StoredKind::Call, &calls, self.length)? else {
                continue;
            };
            let mut rows = Vec::new();
            let mut of =
                |kind: StoredKind,
                 stage: Option<usize>,
                 of: &dyn Fn(&'a PopulationFigures) -> Option<&'a Figures>| {
                    let key = (kind, [None, None, None, None, name], stage);
                    let some = self.each().filter_map(|(report, rows)| {
                        let its = report.populations.iter().find(|it| it.name == first.name)?;
                        Some((of(its)?, rows.get(&key).copied()))
                    });
                    let some: Vec<FiguresOf<'a>> = some.collect();
                    let block = sum(kind, &some, self.length_of(stage))?;
                    rows.extend(block.as_ref().and_then(|it| it.row.clone()).map(|row| {
                        StoredRow {
                            population: Some(first.name.clone()),
                            stage,
                            ..row
                        }
                    }));
                    Ok::<_, String>(block.map(|it| it.figures))
                };
            // Its figures are the sum of its operations; here it is the row that counts.
            of(StoredKind::Total, None, &|it| Some(&it.figures))?;
            let handshake = of(StoredKind::Handshake, None, &|it| it.handshake.as_ref())?;
            let close = of(StoredKind::Close, None, &|it| it.close.as_ref())?;
            let mut stages = Vec::new();
            for at in 0..self.n_stages() {
                stages.extend(of(StoredKind::Stage, Some(at), &|it| it.stages.get(at))?);
            }
            let its = || {
                let all = self.all.iter().flat_map(|report| &report.populations);
                all.filter(|it| it.name == first.name)
            };
            let figures = PopulationFigures {
                arrivals: its().fold(0, |sum: u64, it| sum.saturating_add(it.arrivals)),
                arrivals_dropped: its()
                    .fold(0, |sum: u64, it| sum.saturating_add(it.arrivals_dropped)),
                figures: block.figures,
                handshake,
                close,
                stages,
                seconds: seconds_of_population(its().map(|it| &*it.seconds)),
                ..first.clone()
            };
            sums.push((figures, rows));
        }
        Ok(sums)
    }

    fn n_stages(&self) -> usize {
        self.all.iter().map(|it| it.stages.len()).max().unwrap_or(0)
    }

    /// Of the whole, or of a stage, in seconds.
    fn length_of(&self, stage: Option<usize>) -> f64 {
        let Some(at) = stage else { return self.length };
        let all = self.all.iter().filter_map(|it| it.stages.get(at));
        all.map(|it| it.length_secs).fold(0.0, f64::max)
    }

    /// Those of one name and one population are one.
    pub(super) fn flows(&self) -> Result<Vec<(FlowFigures, Vec<StoredRow>)>, String> {
        let parts = self.each().flat_map(|(report, rows)| {
            report.flows.iter().map(move |flow| {
                let whose = (&*flow.name, flow.population.as_deref());
                let names = [None, None, None, Some(whose.0), whose.1];
                let row = |kind| rows.get(&(kind, names, None)).copied();
                (
                    whose,
                    (flow, row(StoredKind::Flow), row(StoredKind::FlowBusy)),
                )
            })
        });
        let mut sums = Vec::new();
        for ((name, population), parts) in grouped(parts) {
            let whole = parts.iter().map(|(flow, row, _)| (&flow.figures, *row));
            let whole: Vec<FiguresOf<'a>> = whole.collect();
            let Some(block) = sum(StoredKind::Flow, &whole, self.length)? else {
                continue;
            };
            let (mut of_calls, mut ages) = (Vec::new(), Histogram::new());
            for (flow, _, row) in parts {
                of_calls.push((flow.busy, row.map(StoredRow::histogram).transpose()?));
                let of_part = row.map(|row| row.other(OtherLatency::CancelledAge));
                if let Some(of_part) = of_part.transpose()?.flatten() {
                    ages.merge(&of_part);
                }
            }
            let (busy, histogram) = added(of_calls)?;
            let others = (!ages.is_empty()).then_some((OtherLatency::CancelledAge, &ages));
            let busy_row = histogram.map(|it| {
                let others = others.into_iter().collect();
                stored_row(StoredKind::FlowBusy, &it, others)
            });
            let named = |row: StoredRow| StoredRow {
                flow: Some(name.to_string()),
                population: population.map(str::to_string),
                ..row
            };
            let figures = FlowFigures {
                name: name.to_string(),
                population: population.map(str::to_string),
                figures: block.figures,
                busy,
            };
            let rows = block.row.into_iter().chain(busy_row).map(named);
            sums.push((figures, rows.collect()));
        }
        Ok(sums)
    }

    /// Counts added, by operation and reason in the order of the alphabet.
    pub(super) fn unchecked(&self) -> Vec<UncheckedFigures> {
        let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for it in self.all.iter().flat_map(|report| &report.unchecked) {
            let sum = sums.entry((&it.operation, &it.reason)).or_default();
            *sum = sum.saturating_add(it.count);
        }
        let figures = sums.into_iter();
        let figures = figures.map(|((operation, reason), count)| UncheckedFigures {
            operation: operation.to_string(),
            reason: reason.to_string(),
            count,
        });
        figures.collect()
    }

    /// One exchange of each operation and cause: whatever the order of the parts, the
    /// first by the alphabet.
    pub(super) fn evidence(&self) -> Vec<ExchangeFigures> {
        let all = self.all.iter().flat_map(|report| &report.evidence);
        let mut firsts: BTreeMap<(&str, &str), &ExchangeFigures> = BTreeMap::new();
        let text = |it: &ExchangeFigures| [&it.request, &it.answer, &it.message].map(String::clone);
        for it in all {
            let first = firsts.entry((&it.operation, &it.cause)).or_insert(it);
            if text(it) < text(first) {
                *first = it;
            }
        }
        firsts.into_values().take(VIOLATIONS_MAX).cloned().collect()
    }

    /// By subject alone: a tool and a prompt of one name are one.
    pub(super) fn per_tool(
        &self,
        operations: &[OperationFigures],
    ) -> Result<BTreeMap<String, ToolFigures>, String> {
        let mut tools = BTreeMap::new();
        let mut n_of: BTreeMap<&str, usize> = BTreeMap::new();
        for subject in operations.iter().filter_map(|it| it.subject.as_deref()) {
            *n_of.entry(subject).or_default() += 1;
        }
        for operation in operations {
            let Some(subject) = &operation.subject else {
                continue;
            };
            if n_of[subject.as_str()] == 1 {
                tools.insert(subject.clone(), tool_figures(&operation.figures));
            } else if !tools.contains_key(subject) {
                let mut sources = Vec::new();
                for (report, rows) in self.each() {
                    let same = report.operations.iter();
                    let same = same.filter(|it| it.subject.as_ref() == Some(subject));
                    sources.extend(same.map(|it| {
                        let key = key_of_operation(StoredKind::Call, it);
                        (&it.figures, rows.get(&key).copied())
                    }));
                }
                let block = sum(StoredKind::Call, &sources, self.length)?;
                tools.extend(block.map(|it| (subject.clone(), tool_figures(&it.figures))));
            }
        }
        Ok(tools)
    }

    /// By their number: the parts of a load have the same.
    pub(super) fn stages(&self) -> Result<Vec<(StageFigures, Option<StoredRow>)>, String> {
        let mut stages = Vec::new();
        for at in 0..self.n_stages() {
            let key = (StoredKind::Stage, [None; 5], Some(at));
            let some = self.each().filter_map(|(report, rows)| {
                Some((report.stages.get(at)?, rows.get(&key).copied()))
            });
            let some: Vec<_> = some.collect();
            let longest = self.length_of(Some(at));
            let sources: Vec<FiguresOf<'a>> = some
                .iter()
                .map(|(stage, row)| (&stage.figures, *row))
                .collect();
            let Some(block) = sum(StoredKind::Stage, &sources, longest)? else {
                continue;
            };
            let all = || some.iter().map(|(stage, _)| stage);
            let figures = StageFigures {
                at_secs: all().map(|it| it.at_secs).fold(f64::MAX, f64::min),
                length_secs: longest,
                load_from: tidy(all().map(|it| it.load_from).sum()),
                load_to: tidy(all().map(|it| it.load_to).sum()),
                figures: block.figures,
                ..some[0].0.clone()
            };
            let staged = |row: StoredRow| StoredRow {
                stage: Some(at),
                ..row
            };
            stages.push((figures, block.row.map(staged)));
        }
        Ok(stages)
    }

    pub(super) fn warm_up(&self) -> Result<Option<(WarmUp, Option<StoredRow>)>, String> {
        let all = || self.all.iter().filter_map(|report| report.warm_up.as_ref());
        let length_secs = all().map(|it| it.length_secs).fold(0.0, f64::max);
        let key = (StoredKind::WarmUp, [None; 5], None);
        let some = self.each().filter_map(|(report, rows)| {
            Some((&report.warm_up.as_ref()?.figures, rows.get(&key).copied()))
        });
        let sources: Vec<FiguresOf<'a>> = some.collect();
        let block = sum(StoredKind::WarmUp, &sources, length_secs)?;
        Ok(block.map(|block| {
            let figures = block.figures;
            let warm_up = WarmUp {
                length_secs,
                figures,
            };
            (warm_up, block.row)
        }))
    }

    /// Calls by who served them, those of most calls first, with their histograms.
    pub(super) fn served(
        &self,
        kind: StoredKind,
        of: impl Fn(&'a Report) -> Vec<(Option<&'a str>, bool, ServedFigures)>,
    ) -> Result<(Vec<BackendFigures>, Vec<StoredRow>), String> {
        type Sources = Vec<(ServedFigures, Option<Histogram>)>;
        let mut sources: BTreeMap<(bool, Option<&'a str>), Sources> = BTreeMap::new();
        for (report, rows) in self.each() {
            for (name, is_rest, figures) in of(report) {
                let key = (kind, [None, None, name, None, None], None);
                let row = rows.get(&key).filter(|_| !is_rest);
                let histogram = row.map(|row| row.histogram()).transpose()?;
                let of_name = sources.entry((is_rest, name)).or_default();
                of_name.push((figures, histogram));
            }
        }
        let all = || sources.values().flatten();
        let total = all().fold(0, |sum: u64, (it, _)| sum.saturating_add(it.ended));
        let (mut sums, mut rows) = (Vec::new(), Vec::new());
        for ((is_rest, name), parts) in sources {
            let count = |of: fn(&ServedFigures) -> u64| {
                let each = parts.iter().map(|(it, _)| of(it));
                each.fold(0, u64::saturating_add)
            };
            let ended = count(|it| it.ended);
            let mut calls = ServedFigures {
                ended,
                failed: count(|it| it.failed),
                sessions_expired: count(|it| it.sessions_expired),
                share: (total > 0).then(|| share(ended, total)),
                latency: LatencyFigures::default(),
            };
            let latencies = parts
                .into_iter()
                .map(|(it, histogram)| (it.latency, histogram));
            let (latency, histogram) = added(latencies.collect())?;
            calls.latency = latency;
            let name = name.map(str::to_string);
            rows.extend(histogram.filter(|_| !is_rest).map(|it| StoredRow {
                name: name.clone(),
                ..stored_row(kind, &it, Vec::new())
            }));
            sums.push(BackendFigures {
                name,
                is_rest,
                calls,
            });
        }
        // As in a fresh report: those without a name last.
        sums.sort_by_key(|it| (it.name.is_none(), std::cmp::Reverse(it.calls.ended)));
        Ok((sums, rows))
    }

    /// A latency that is beside the blocks.
    pub(super) fn beside(
        &self,
        kind: StoredKind,
        of: fn(&Report) -> Option<LatencyFigures>,
    ) -> Result<Option<(LatencyFigures, Option<StoredRow>)>, String> {
        let key = (kind, [None; 5], None);
        let mut parts = Vec::new();
        for (report, rows) in self.each() {
            if let Some(figures) = of(report) {
                let histogram = rows.get(&key).map(|row| row.histogram()).transpose()?;
                parts.push((figures, histogram));
            }
        }
        Ok(added_if_any(parts)?.map(|(figures, histogram)| {
            let row = histogram.map(|histogram| stored_row(kind, &histogram, Vec::new()));
            (figures, row)
        }))
    }

    /// The pieces of all calls and of each of these rows that all parts have pieces of;
    /// `None` where a part has none of all its calls. `RowIntervals::row` is the place
    /// among `rows`.
    pub(super) fn intervals(&self, rows: &[StoredRow]) -> Result<Option<Intervals>, String> {
        let lengths = self
            .all
            .iter()
            .filter_map(|report| report.histograms.as_ref());
        let longest = lengths
            .map(|stored| stored.interval_secs)
            .fold(0.0, f64::max);
        let length = INTERVAL_LENGTHS
            .into_iter()
            .find(|it| f64::from(*it) == longest);
        let Some(length_secs) = length else {
            return Ok(None);
        };
        let mut intervals = Intervals {
            length_secs,
            end: Duration::ZERO,
            rows: Vec::new(),
            populations: Vec::new(),
            is_coarser: false,
            n_given_up: 0,
        };
        for (at, row) in rows.iter().enumerate() {
            if !matches!(
                row.kind,
                StoredKind::Total | StoredKind::Call | StoredKind::FlowBusy
            ) {
                continue;
            }
            let is_total = row.kind == StoredKind::Total && row.population.is_none();
            match self.intervals_of(row, &mut intervals)? {
                Some(merged) => intervals.rows.push(RowIntervals {
                    row: (!is_total).then_some(at),
                    intervals: merged,
                }),
                None if is_total => return Ok(None),
                None => {}
            }
        }
        Ok(Some(intervals))
    }

    /// `None`: a part has calls of it and no pieces.
    fn intervals_of(
        &self,
        row: &StoredRow,
        all: &mut Intervals,
    ) -> Result<Option<Vec<Interval>>, String> {
        let mut merged = Vec::new();
        for (_, rows) in self.each() {
            let Some(row) = rows.get(&key_of(row)) else {
                // A row without a histogram has calls only where it was left out.
                continue;
            };
            if row.intervals.is_empty() && !row.histogram()?.is_empty() {
                return Ok(None);
            }
            for interval in &row.intervals {
                let (at, length) = row.span_of(interval);
                all.end = all.end.max(at.saturating_add(length));
                merged.push(Interval {
                    second: u32::try_from(at.as_secs()).unwrap_or(u32::MAX),
                    started: interval.started,
                    ok: interval.ok,
                    failed: interval.failed,
                    cancelled: interval.cancelled,
                    dropped: interval.dropped,
                    latency: Packed::of(&row.histogram_of(interval)?),
                });
            }
        }
        merged.sort_by_key(|interval| interval.second);
        coarsen(&mut merged, all.length_secs);
        Ok(Some(merged))
    }

    /// All of it within the bound of a report.
    pub(super) fn stored(
        &self,
        rows: Vec<StoredRow>,
        intervals: Option<Intervals>,
    ) -> StoredHistograms {
        let mode = match intervals {
            Some(_) => HistogramMode::Seconds,
            None => HistogramMode::Totals,
        };
        let places = (0..).map(Some);
        let rows = places.zip(rows).map(|(at, row)| match row.kind {
            StoredKind::Call
            | StoredKind::Turn
            | StoredKind::Flow
            | StoredKind::FlowBusy
            | StoredKind::TaskStep => (at, row),
            StoredKind::Total if row.population.is_some() => (at, row),
            _ => (None, row),
        });
        assemble(mode, rows.collect(), intervals)
    }

    fn each(&self) -> impl Iterator<Item = (&'a Report, &HashMap<RowKey<'a>, &'a StoredRow>)> {
        self.all.iter().copied().zip(&self.rows)
    }
}

/// The items of each key, both in the order in which they come.
fn grouped<K: Copy + Eq + Hash, T>(items: impl Iterator<Item = (K, T)>) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    let mut places: HashMap<K, usize> = HashMap::new();
    for (key, item) in items {
        let at = *places.entry(key).or_insert(groups.len());
        if at == groups.len() {
            groups.push((key, Vec::new()));
        }
        groups[at].1.push(item);
    }
    groups
}

/// The sum of a block's parts over this many seconds; `None` of none.
fn sum(kind: StoredKind, sources: &[FiguresOf<'_>], length: f64) -> Result<Option<Block>, String> {
    let Some((first, _)) = sources.first() else {
        return Ok(None);
    };
    let count = |of: fn(&Figures) -> u64| sources.iter().map(|(it, _)| of(it)).sum::<u64>();
    let (ok, failed) = (count(|it| it.ok), count(|it| it.failed));
    let finished = ok + failed;
    let mut latencies = Vec::new();
    for (figures, row) in sources {
        let histogram = row.map(StoredRow::histogram).transpose()?;
        latencies.push((figures.latency, histogram));
    }
    let (of_all, histogram) = added(latencies)?;
    let mut others = Vec::new();
    let mut other = |of: OtherLatency, figures_of: fn(&Figures) -> Option<LatencyFigures>| {
        let mut parts = Vec::new();
        for (figures, row) in sources {
            if let Some(figures) = figures_of(figures) {
                let histogram = row.map(|row| row.other(of)).transpose()?.flatten();
                // An empty one need not be there.
                parts.push((figures, histogram));
            }
        }
        Ok::<_, String>(added_if_any(parts)?.map(|(figures, histogram)| {
            others.extend(histogram.map(|histogram| (of, histogram)));
            figures
        }))
    };
    let failed_latency = other(OtherLatency::FailedLatency, |it| it.failed_latency)?;
    let service_latency = other(OtherLatency::ServiceLatency, |it| it.service_latency)?;
    let cancelled_age = other(OtherLatency::CancelledAge, |it| it.cancelled_age)?;
    let others: Vec<_> = others
        .iter()
        .map(|(of, histogram)| (*of, histogram))
        .collect();
    let row = histogram
        .as_ref()
        .map(|histogram| stored_row(kind, histogram, others));
    Ok(Some(Block {
        figures: Figures {
            started: count(|it| it.started),
            ok,
            failed,
            cancelled: count(|it| it.cancelled),
            rate_per_sec: (finished > 0 && length > 0.0).then(|| tidy(finished as f64 / length)),
            goodput_per_sec: (finished > 0 && length > 0.0).then(|| tidy(ok as f64 / length)),
            error_rate: (finished > 0).then(|| share(failed, finished)),
            latency_from: first.latency_from,
            latency: of_all,
            failed_latency,
            service_latency,
            cancelled_age,
            failures: causes(sources.iter().flat_map(|(figures, _)| &figures.failures)),
        },
        latency: histogram,
        row,
    }))
}

/// The slowest of all parts, as many as one run keeps.
fn slowest(parts: &[&OperationFigures]) -> Vec<SlowCallFigures> {
    let all = parts.iter().flat_map(|part| part.slowest.iter().cloned());
    let mut all: Vec<SlowCallFigures> = all.collect();
    all.sort_by(|a, b| {
        let order = f64::total_cmp(&b.latency_ms, &a.latency_ms);
        // Whatever the order of the files.
        order
            .then(f64::total_cmp(&a.at_secs, &b.at_secs))
            .then(a.user.cmp(&b.user))
    });
    all.truncate(SLOWEST_KEPT);
    all
}

/// Those of all parts; `None` where a part that has successes does not tell them.
fn bytes(parts: &[&OperationFigures]) -> Option<BytesFigures> {
    let ok = parts.iter().map(|it| it.figures.ok).sum();
    let of_parts: Vec<BytesFigures> = parts
        .iter()
        .filter(|it| it.figures.ok > 0)
        .map(|it| it.bytes)
        .collect::<Option<_>>()?;
    let sum = |of: fn(&BytesFigures) -> ByteFigures| {
        let all = || of_parts.iter().map(of);
        let largest = all().map(|it| it.max).max()?;
        Some(ByteFigures::of(all().map(|it| it.total).sum(), largest, ok))
    };
    Some(BytesFigures {
        request: sum(|it| it.request)?,
        answer: sum(|it| it.answer)?,
    })
}

/// How the answers of all parts came, where that is measured, with the histograms.
fn answers(
    parts: &[&OperationFigures],
    sources: &[FiguresOf<'_>],
) -> Result<(Option<AnswerFigures>, Vec<StoredOther>), String> {
    type Get = fn(&AnswerFigures) -> Option<LatencyFigures>;
    const TIMES: [(OtherLatency, Get); 4] = [
        (OtherLatency::FirstByte, |it| it.first_byte),
        (OtherLatency::FirstEvent, |it| it.first_event),
        (OtherLatency::FirstProgress, |it| it.first_progress),
        (OtherLatency::EventGap, |it| it.gap),
    ];
    let of_parts: Vec<AnswerFigures> = parts.iter().filter_map(|it| it.answers).collect();
    let (mut figures, mut others) = (Vec::new(), Vec::new());
    for (of, get) in TIMES {
        let mut some = Vec::new();
        for (part, (_, row)) in parts.iter().zip(sources) {
            if let Some(latency) = part.answers.as_ref().and_then(get) {
                some.push((latency, row.map(|row| row.other(of)).transpose()?.flatten()));
            }
        }
        if let Some((sum, histogram)) = added_if_any(some)? {
            figures.push((of, sum));
            others.extend(histogram.map(|it| stored_other(of, &it)));
        }
    }
    let latency_of = |of: OtherLatency| {
        figures
            .iter()
            .find(|(it, _)| *it == of)
            .map(|(_, sum)| *sum)
    };
    Ok((merged_answers(&of_parts, latency_of), others))
}

/// Of parts whose times together are these.
fn merged_answers(
    parts: &[AnswerFigures],
    latency_of: impl Fn(OtherLatency) -> Option<LatencyFigures>,
) -> Option<AnswerFigures> {
    let count = |of: fn(&AnswerFigures) -> u64| {
        let each = parts.iter().map(of);
        each.fold(0, u64::saturating_add)
    };
    let streams = count(|it| it.streams);
    let sum = |of: fn(&AnswerFigures) -> Option<ByteFigures>| {
        let all = || parts.iter().filter_map(of);
        let largest = all().map(|it| it.max).max()?;
        let total = all().fold(0, |sum: u64, it| sum.saturating_add(it.total));
        Some(ByteFigures::of(total, largest, streams.max(1)))
    };
    (!parts.is_empty()).then(|| AnswerFigures {
        calls: count(|it| it.calls),
        streams,
        first_byte: latency_of(OtherLatency::FirstByte),
        first_event: latency_of(OtherLatency::FirstEvent),
        first_progress: latency_of(OtherLatency::FirstProgress),
        gap: latency_of(OtherLatency::EventGap),
        events: sum(|it| it.events),
        bytes: sum(|it| it.bytes),
        progress: count(|it| it.progress),
        ended_early: count(|it| it.ended_early),
        telling: count(|it| it.telling),
        held_back: count(|it| it.held_back),
    })
}

/// A latency with its histogram, where that is kept.
type KeptLatency = (LatencyFigures, Option<Histogram>);

/// `None` without parts.
fn added_if_any(parts: Vec<KeptLatency>) -> Result<Option<KeptLatency>, String> {
    match parts.is_empty() {
        true => Ok(None),
        false => added(parts).map(Some),
    }
}

/// The latencies of several parts: from all their histograms, or without percentiles
/// where one is missing.
pub(super) fn added(parts: Vec<KeptLatency>) -> Result<KeptLatency, String> {
    let mut sum = Some(Histogram::new());
    for (figures, histogram) in &parts {
        match histogram {
            Some(histogram) if histogram.len() != figures.count => {
                return Err(format!(
                    "a histogram has {}, and its figures are of {}",
                    plural(histogram.len(), "value", "values"),
                    figures.count
                ));
            }
            Some(histogram) => sum.iter_mut().for_each(|sum| sum.merge(histogram)),
            None if figures.count == 0 => {}
            None => sum = None,
        }
    }
    if let Some(sum) = sum {
        return Ok((latency(&sum), Some(sum)));
    }
    let of =
        |get: fn(&LatencyFigures) -> Option<f64>| parts.iter().filter_map(move |it| get(&it.0));
    let count: u64 = parts.iter().map(|it| it.0.count).sum();
    let weighted = parts
        .iter()
        .filter_map(|(it, _)| Some(it.mean_ms? * it.count as f64));
    let figures = LatencyFigures {
        count,
        min_ms: of(|it| it.min_ms).reduce(f64::min),
        mean_ms: Some(tidy(weighted.sum::<f64>() / count.max(1) as f64)),
        max_ms: of(|it| it.max_ms).reduce(f64::max),
        ..LatencyFigures::default()
    };
    Ok((figures, None))
}

/// Causes added by their id, most frequent first. Of the messages those that come first
/// by the alphabet are kept, whatever the order of the parts.
pub(super) fn causes<'a>(parts: impl Iterator<Item = &'a CauseCount>) -> Vec<CauseCount> {
    let mut by_id: BTreeMap<&str, CauseCount> = BTreeMap::new();
    for cause in parts {
        match by_id.get_mut(cause.id.as_str()) {
            None => _ = by_id.insert(&cause.id, cause.clone()),
            Some(sum) => {
                sum.count = sum.count.saturating_add(cause.count);
                let examples = sum.examples.iter().chain(&cause.examples).cloned();
                let examples: BTreeSet<String> = examples.collect();
                sum.examples = examples.into_iter().take(EXAMPLES_MAX).collect();
            }
        }
    }
    let mut causes: Vec<CauseCount> = by_id.into_values().collect();
    let total = causes
        .iter()
        .fold(0, |sum: u64, it| sum.saturating_add(it.count));
    for cause in &mut causes {
        cause.share = share(cause.count, total);
    }
    // Stable: those of one number are in the order of their ids.
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
    causes
}
