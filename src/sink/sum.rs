//! What a sink has heard so far, all together: the figures of metrics.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::point::SinkPoint;
use super::run::SinkRun;
use crate::metrics::{Counters, RowStats};
use crate::outcome::{Row, RowKind};
use crate::report::exposition::{MetricsReading, QUANTILES_TOLD, RowReading};

/// The sum of all points.
pub(super) struct SinkSum {
    run: Arc<SinkRun>,
    rows: Vec<RowSum>,
    counters: Counters,
    last: Option<SinkPoint>,
    /// The end of the last point, on the run's clock.
    elapsed: Duration,
}

/// Of one row.
#[derive(Default)]
struct RowSum {
    load: RowStats,
    has_any: bool,
}

impl SinkSum {
    pub(super) fn new(run: Arc<SinkRun>) -> Self {
        let rows = run.rows.iter().map(|_| RowSum::default()).collect();
        Self {
            run,
            rows,
            counters: Counters::default(),
            last: None,
            elapsed: Duration::ZERO,
        }
    }

    pub(super) fn add(&mut self, point: &SinkPoint) {
        for (at, row) in &point.load.rows {
            let sum = &mut self.rows[*at];
            sum.load.merge(row);
            sum.has_any = true;
        }
        self.counters.merge(&point.load.counters);
        // What was recorded after the end is no time of the run.
        if !point.length.is_zero() {
            self.elapsed = point.at + point.length;
        }
        self.last = Some(SinkPoint {
            load: Default::default(),
            warm_up: Default::default(),
            ..point.clone()
        });
    }

    /// No more points come: no user is active any more, and no call in flight.
    pub(super) fn end(&mut self) {
        if let Some(last) = &mut self.last {
            (last.vus, last.in_flight) = (0, 0);
        }
    }

    /// The figures at the end of the last point.
    pub(super) fn reading(&self) -> MetricsReading<'_> {
        let rows = self.run.rows.iter().zip(&self.rows);
        let rows = rows.filter(|(_, sum)| sum.has_any);
        let last = self.last.as_ref();
        MetricsReading {
            about: self.run.about.clone(),
            elapsed_secs: self.elapsed.as_secs_f64(),
            vus: last.map(|it| it.vus),
            in_flight: last.map(|it| it.in_flight),
            is_limited: last.map(|it| it.is_limited),
            level: last.and_then(|it| it.level),
            counters: self.counters,
            rows: rows
                .filter_map(|(row, sum)| self.run.reading(row, sum))
                .collect(),
        }
    }
}

impl SinkRun {
    /// `None`: a row that no metric is of.
    fn reading<'a>(&self, row: &Row, sum: &'a RowSum) -> Option<RowReading<'a>> {
        let stats = &sum.load;
        let kind = match row.kind {
            RowKind::Flow => None,
            RowKind::Call | RowKind::Handshake | RowKind::Close | RowKind::Listen => {
                Some(row.kind.id())
            }
            // Parts of calls, and the flows' calls once more.
            RowKind::Turn | RowKind::FlowBusy | RowKind::TaskStep => return None,
        };
        let latency = stats.measured(self.has_intended_starts);
        let ranked = stats.failures.ranked().into_iter();
        let n_ok = latency.histogram().len();
        let quantiles = QUANTILES_TOLD
            .into_iter()
            .filter(|(_, n_needed)| n_ok >= *n_needed);
        Some(RowReading {
            kind,
            name: self.operation(row),
            method: if kind == Some(RowKind::Call.id()) {
                row.method.clone()
            } else {
                String::new()
            },
            population: row.population.clone(),
            started: stats.started,
            ok: stats.ok,
            failed: stats.failed,
            cancelled: stats.cancelled,
            failures: ranked
                .map(|(failure, count)| (failure.id(), count))
                .collect(),
            latency: Some(Cow::Borrowed(latency.histogram())),
            quantiles: quantiles
                .filter_map(|(quantile, _)| {
                    let ns = latency.quantile_ns(quantile)?;
                    Some((quantile, ns as f64 / 1e9))
                })
                .collect(),
        })
    }
}
