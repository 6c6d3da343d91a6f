//! Errors: too many requests fail, most of them do, or nothing comes back at all.
//!
//! It does not know what a failure is. Start with [`Errors::on_window`].

use std::time::Duration;

use super::evidence::ErrorEvidence;
use super::excess::{Began, Excess, Unit};
use super::sketch::Sketch;
use super::window::Interval;

/// The three rules' memory. It raises one alarm at most.
#[derive(Debug, Clone)]
pub(super) struct Errors {
    limit: f64,
    excess: Excess,
    is_broken: bool,
    /// Under way for the outage rule: not yet 20 requests or not yet a second.
    open: Unit,
    /// Units in a row in which more than half failed.
    bad_units: Vec<Unit>,
    silent_since: Option<f64>,
    latencies: Sketch,
}

const OUTAGE_SHARE: f64 = 0.5;
const N_OUTAGE_UNITS: usize = 3;
const LEAST_OUTAGE_REQUESTS: u64 = 20;
const LEAST_UNIT_SECS: f64 = 1.0;
const LEAST_SILENCE_SECS: f64 = 10.0;

impl Errors {
    pub(super) fn new(limit: f64) -> Self {
        Self {
            limit,
            excess: Excess::new(limit),
            is_broken: false,
            open: Unit::default(),
            bad_units: Vec::new(),
            silent_since: None,
            latencies: Sketch::default(),
        }
    }

    pub(super) fn on_window(&mut self, interval: &Interval) -> Option<(ErrorEvidence, Began)> {
        let unit = Unit {
            start: interval.start,
            end: interval.end,
            n: interval.n_ended(),
            n_bad: interval.n_failed,
        };
        let alarm = self.excess.on_interval(unit);
        if self.is_broken {
            return None;
        }
        let found = self
            .outage(unit)
            .or_else(|| self.silence(interval))
            .or_else(|| {
                let alarm = alarm?;
                let evidence = ErrorEvidence::Share {
                    share: alarm.window.share(),
                    limit: self.limit,
                    n_requests: alarm.window.n,
                };
                Some((evidence, alarm.began))
            });
        self.latencies.merge(&interval.sketch);
        self.is_broken = found.is_some();
        found
    }

    fn outage(&mut self, unit: Unit) -> Option<(ErrorEvidence, Began)> {
        self.open = self.open.with(&unit);
        if self.open.n < LEAST_OUTAGE_REQUESTS
            || self.open.end - self.open.start < LEAST_UNIT_SECS - 1e-6
        {
            return None;
        }
        let unit = std::mem::take(&mut self.open);
        if unit.share() <= OUTAGE_SHARE {
            self.bad_units.clear();
            return None;
        }
        self.bad_units.push(unit);
        if self.bad_units.len() < N_OUTAGE_UNITS {
            return None;
        }
        let first = self.bad_units.first().copied().unwrap_or_default();
        let all = self
            .bad_units
            .iter()
            .fold(Unit::default(), |sum, unit| sum.with(unit));
        let evidence = ErrorEvidence::Outage {
            share: all.share(),
            n_requests: all.n,
        };
        Some((evidence, (first.start, first.end)))
    }

    fn silence(&mut self, interval: &Interval) -> Option<(ErrorEvidence, Began)> {
        if interval.n_ended() > 0 || interval.in_flight == 0 {
            self.silent_since = None;
            return None;
        }
        let since = *self.silent_since.get_or_insert(interval.start);
        let silent_secs = interval.end - since;
        (silent_secs >= self.patience_secs()?).then(|| {
            let evidence = ErrorEvidence::Silence {
                length: Duration::from_secs_f64(silent_secs.max(0.0)),
                in_flight: interval.in_flight,
            };
            (evidence, (since, interval.end.min(since + 1.0)))
        })
    }

    /// How long nothing may come back. Before the first answer any service time is
    /// possible, so only the requests' own time limits can tell.
    fn patience_secs(&self) -> Option<f64> {
        let n = self.latencies.n;
        let (quantile, factor) = match n {
            0 => return None,
            // A maximum of few is soon exceeded: of one exponential time, tenfold in
            // every eleventh case.
            1..10 => (1.0, 100.0 / n as f64),
            10..100 => (1.0, 10.0),
            _ => (0.99, 5.0),
        };
        let usual_ns = self.latencies.quantile(quantile)?;
        Some((factor * usual_ns as f64 / 1e9).max(LEAST_SILENCE_SECS))
    }
}
