//! Latency: too many requests are slower than the limit, which is given or three times
//! the baseline.
//!
//! The baseline is the median over intervals at the lowest loads, after the first have
//! passed, of the quantile in question. Three times it leaves room for what few
//! samples can't show of a tail. It does not know what a request does. Start with
//! [`LatencyRule::on_window`].

use std::collections::VecDeque;

use super::evidence::LatencyEvidence;
use super::excess::{Began, Excess, Unit};
use super::loads::Loads;
use super::sketch::Sketch;
use super::window::Interval;

/// The rule's memory. It raises one alarm at most.
#[derive(Debug, Clone)]
pub(super) struct LatencyRule {
    pub(super) limit_ns: Option<u64>,
    baseline: Option<LatencyBaseline>,
    excess: Excess,
    /// The last minute's latencies with their ends, for the value that broke.
    recent: VecDeque<(f64, f64, Sketch)>,
    is_broken: bool,
}

/// The share of requests that has to keep the limit.
const QUANTILE: f64 = 0.99;
const TIMES_BASELINE: f64 = 3.0;
const N_GROUPS: usize = 5;
const LEAST_GROUP_REQUESTS: u64 = 20;
const LEAST_GROUP_SECS: f64 = 1.0;
const REMEMBERED_SECS: f64 = 60.0;

impl LatencyRule {
    pub(super) fn new(limit_ns: Option<u64>) -> Self {
        Self {
            limit_ns,
            baseline: limit_ns.is_none().then(LatencyBaseline::default),
            excess: Excess::new(1.0 - QUANTILE),
            recent: VecDeque::new(),
            is_broken: false,
        }
    }

    /// The interval's `n_over_limit` belongs to the limit that was in force before.
    pub(super) fn on_window(
        &mut self,
        interval: &Interval,
        loads: &Loads,
    ) -> Option<(LatencyEvidence, Began)> {
        if self.is_broken {
            return None;
        }
        self.remember(interval);
        let had_limit = self.limit_ns.is_some();
        if self.update_limit(interval, loads) || !had_limit {
            // Counts against different limits do not add up.
            self.excess.reset();
            return None;
        }
        let alarm = self.excess.on_interval(Unit {
            start: interval.start,
            end: interval.end,
            n: interval.n_ok.saturating_add(interval.n_timed_out),
            n_bad: interval.n_over_limit.saturating_add(interval.n_timed_out),
        })?;
        self.is_broken = true;
        let evidence = LatencyEvidence {
            value_ns: self.recent_quantile(&alarm.window),
            limit_ns: self.limit_ns?,
            baseline_ns: self
                .baseline
                .as_ref()
                .and_then(|baseline| baseline.value_ns),
        };
        Some((evidence, alarm.began))
    }

    /// Whether the limit changed.
    fn update_limit(&mut self, interval: &Interval, loads: &Loads) -> bool {
        let Some(baseline) = &mut self.baseline else {
            return false;
        };
        let Some(limit_ns) = baseline.on_interval(interval, loads) else {
            return false;
        };
        self.limit_ns.replace(limit_ns) != Some(limit_ns)
    }

    fn remember(&mut self, interval: &Interval) {
        match self.recent.back_mut() {
            Some((start, end, sketch)) if *end - *start < LEAST_GROUP_SECS - 1e-6 => {
                *end = interval.end;
                sketch.merge(&interval.sketch);
            }
            _ => self
                .recent
                .push_back((interval.start, interval.end, interval.sketch.clone())),
        }
        while self
            .recent
            .front()
            .is_some_and(|(start, ..)| *start < interval.end - REMEMBERED_SECS - LEAST_GROUP_SECS)
            && self.recent.len() > 10
        {
            self.recent.pop_front();
        }
    }

    /// The quantile in the window; those that timed out count as slower than all.
    fn recent_quantile(&self, window: &Unit) -> u64 {
        let mut sketch = Sketch::default();
        for (_, end, part) in &self.recent {
            if *end > window.start {
                sketch.merge(part);
            }
        }
        let n_timed_out = window.n.saturating_sub(sketch.n);
        sketch.add(u64::MAX, n_timed_out);
        let highest = sketch.quantile(1.0);
        match sketch.quantile(QUANTILE) {
            Some(value) if n_timed_out == 0 || Some(value) != highest => value,
            // Timeouts have no latency of their own: the limit is a lower bound.
            _ => self.limit_ns.unwrap_or(u64::MAX),
        }
    }
}

/// The groups of requests at the lowest loads.
#[derive(Debug, Clone, Default)]
struct LatencyBaseline {
    open: BaselineGroup,
    has_settled: bool,
    groups: Vec<BaselineGroup>,
    value_ns: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct BaselineGroup {
    start: f64,
    end: f64,
    load: f64,
    sketch: Sketch,
}

impl LatencyBaseline {
    /// The limit, if the groups it rests on have changed.
    fn on_interval(&mut self, interval: &Interval, loads: &Loads) -> Option<u64> {
        if self.open.end <= self.open.start {
            self.open.start = interval.start;
        }
        self.open.end = interval.end;
        self.open.sketch.merge(&interval.sketch);
        if self.open.sketch.n < LEAST_GROUP_REQUESTS
            || self.open.end - self.open.start < LEAST_GROUP_SECS - 1e-6
        {
            return None;
        }
        let mut group = std::mem::take(&mut self.open);
        group.load = loads.mean(group.start, group.end);
        // The first group pays for connections and cold caches.
        if !std::mem::replace(&mut self.has_settled, true) {
            return None;
        }
        if self.groups.len() < N_GROUPS {
            self.groups.push(group);
        } else {
            let highest = self
                .groups
                .iter_mut()
                .max_by(|a, b| a.load.total_cmp(&b.load))?;
            // Only clearly lower loads tell something new.
            if group.load >= 0.8 * highest.load {
                return None;
            }
            *highest = group;
        }
        (self.groups.len() == N_GROUPS)
            .then(|| self.limit())
            .flatten()
    }

    fn limit(&mut self) -> Option<u64> {
        let mut values: Vec<u64> = self
            .groups
            .iter()
            .filter_map(|group| group.sketch.quantile(QUANTILE))
            .collect();
        values.sort_unstable();
        let value_ns = *values.get(values.len() / 2)?;
        let mut pool = Sketch::default();
        for group in &self.groups {
            pool.merge(&group.sketch);
        }
        // Where slow answers are a kind of their own (two modes), and about as many as
        // the quantile allows, the quantile falls now on one, now on the other: then
        // the slow ones are the baseline.
        let allowed = (1.0 - QUANTILE) * pool.n as f64;
        let limit_ns = (value_ns as f64 * TIMES_BASELINE) as u64;
        let value_ns = if pool.n_over(limit_ns) as f64 > allowed / 4.0 {
            pool.quantile(1.0 - (1.0 - QUANTILE) / 4.0)?.max(value_ns)
        } else {
            value_ns
        };
        self.value_ns = Some(value_ns);
        Some((value_ns as f64 * TIMES_BASELINE) as u64)
    }
}
