//! Watches, tick by tick, the thresholds that end a run.

use std::time::Duration;

use super::tick::{TICKS_PER_SECOND, tick_end};
use crate::decide::threshold::abort::{Abort, AbortWatcher, Moment, WatchedCounts, share_allowed};
use crate::decide::threshold::{selects, stage_of};
use crate::metrics::Recorder;
use crate::outcome::Row;
use crate::scenario::Plan;
use crate::threshold::{Comparison, Limit, Metric, Threshold};

/// The calls that one such threshold is about.
#[derive(Debug)]
pub(super) struct Watched {
    rows: Vec<usize>,
    /// From 1; `None`: the whole run.
    stage: Option<usize>,
    missed: Missed,
}

/// What of a call does not keep the limit.
#[derive(Debug)]
enum Missed {
    /// It failed, or its latency is above this, in nanoseconds.
    Above(u64),
    /// It failed; `Some`: of this cause.
    Failed(Option<String>),
}

impl Watched {
    fn new(threshold: &Threshold, rows: &[Row]) -> Option<Self> {
        share_allowed(threshold)?;
        let is_selected = |at: &usize| selects(threshold.selector.as_ref(), &rows[*at]);
        Some(Self {
            rows: (0..rows.len()).filter(is_selected).collect(),
            stage: stage_of(threshold),
            missed: match (&threshold.metric, threshold.limit) {
                (Metric::Errors(cause), _) => Missed::Failed(cause.clone()),
                (_, Limit::Time(limit)) if threshold.comparison == Comparison::Below => {
                    Missed::Above(limit.saturating_sub(1))
                }
                (_, Limit::Time(limit)) => Missed::Above(limit),
                _ => return None,
            },
        })
    }

    /// What a worker recorded in a tick of that stage.
    pub(super) fn count(&self, recorder: &Recorder, stage: Option<usize>) -> WatchedCounts {
        let mut counts = WatchedCounts::default();
        if self.stage.is_some() && self.stage != stage {
            return counts;
        }
        for row in self.rows.iter().map(|row| &recorder.rows[*row]) {
            counts.add(&WatchedCounts {
                ended: row.finished(),
                failed: row.failed,
                missed: match &self.missed {
                    Missed::Above(limit) => row.failed + row.above.count(*limit).unwrap_or(0),
                    Missed::Failed(None) => row.failed,
                    Missed::Failed(Some(cause)) => row.failures.below(cause),
                },
            });
        }
        counts
    }
}

/// Gathers ticks into seconds, and tells of the threshold that ends the run.
pub(super) struct AbortGuard {
    watcher: AbortWatcher,
    second: Vec<WatchedCounts>,
    n_ended: u64,
    n_answered: u64,
}

impl AbortGuard {
    /// `None`: no threshold of the plan ends a run. With it, what the collector has to
    /// count.
    pub(super) fn new(plan: &Plan, rows: &[Row]) -> Option<(Self, Vec<Watched>)> {
        let thresholds = plan.thresholds.iter();
        let watched: Vec<_> = thresholds.filter_map(|it| Watched::new(it, rows)).collect();
        let guard = Self {
            watcher: AbortWatcher::new(&plan.thresholds, plan.warm_up),
            second: vec![WatchedCounts::default(); watched.len()],
            n_ended: 0,
            n_answered: 0,
        };
        (!watched.is_empty()).then_some((guard, watched))
    }

    /// Takes a complete tick in: what was counted for each threshold, and how many
    /// calls and handshakes ended and were answered.
    pub(super) fn add(&mut self, counted: &[WatchedCounts], n_ended: u64, n_answered: u64) {
        for (sum, counts) in self.second.iter_mut().zip(counted) {
            sum.add(counts);
        }
        self.n_ended += n_ended;
        self.n_answered += n_answered;
    }

    /// The tick of that number was the last of its second, if it was.
    pub(super) fn close(
        &mut self,
        number: u64,
        in_flight: u64,
        p99: impl FnOnce() -> Duration,
    ) -> Option<Abort> {
        if !number.is_multiple_of(TICKS_PER_SECOND) {
            return None;
        }
        let n_ended = std::mem::take(&mut self.n_ended);
        let n_answered = std::mem::take(&mut self.n_answered);
        let moment = Moment {
            at: tick_end(number),
            ended: n_ended,
            answered: n_answered,
            in_flight,
            // It is asked for only where nothing was answered.
            p99: match n_answered {
                0 => p99(),
                _ => Duration::ZERO,
            },
        };
        let abort = self.watcher.see(&moment, &self.second);
        self.second.fill(WatchedCounts::default());
        abort
    }
}
