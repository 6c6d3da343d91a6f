//! From recorded rows to figures.

use std::time::Duration;

use crate::metrics::{Examples, FailureCounts, Histogram, RowStats};
use crate::outcome::Row;
use crate::report::model::{
    CauseCount, Figures, LatencyFigures, LatencyFrom, OperationFigures, OtherLatency,
};
use crate::units::{ms, tidy};

/// What all rows of one part of a run have in common.
pub(super) struct Part<'a> {
    /// How long it was: what rates are per.
    pub(super) elapsed: Duration,
    /// The load model says when calls should start.
    pub(super) has_intended_starts: bool,
    /// Messages of failures.
    pub(super) examples: &'a Examples,
}

impl Part<'_> {
    /// Figures of calls.
    pub(super) fn calls(&self, row: &RowStats) -> Figures {
        self.figures(row, self.latency_from(row))
    }

    /// Figures of requests that no load model schedules.
    pub(super) fn beside_calls(&self, row: &RowStats) -> Figures {
        self.figures(row, LatencyFrom::Sent)
    }

    /// The figures of each of these rows.
    pub(super) fn operations<'r>(
        &self,
        rows: impl Iterator<Item = (&'r Row, &'r RowStats)>,
    ) -> Vec<OperationFigures> {
        let operation = |(row, stats): (&Row, &RowStats)| OperationFigures {
            method: row.method.clone(),
            subject: row.subject.clone(),
            label: row.label(),
            name: None,
            flow: None,
            population: None,
            figures: self.calls(stats),
        };
        rows.map(operation).collect()
    }

    /// The latency of successful calls that stands for the row.
    pub(super) fn headline<'r>(&self, row: &'r RowStats) -> &'r Histogram {
        match (self.latency_from(row), &row.response_ok) {
            (LatencyFrom::IntendedStart, Some(response)) => response,
            _ => &row.service_ok,
        }
    }

    /// The other latencies of the row, where there are any.
    pub(super) fn others<'r>(&self, row: &'r RowStats) -> Vec<(OtherLatency, &'r Histogram)> {
        let mut others = Self::others_of_sent(row);
        if self.latency_from(row) == LatencyFrom::IntendedStart {
            others.retain(|(of, _)| *of != OtherLatency::FailedLatency);
            let failed = row
                .response_failed
                .iter()
                .filter(|failed| !failed.is_empty());
            others.extend(failed.map(|failed| (OtherLatency::FailedLatency, failed)));
            others.push((OtherLatency::ServiceLatency, &row.service_ok));
        }
        others
    }

    /// The same where latency counts from the first byte sent.
    pub(super) fn others_of_sent(row: &RowStats) -> Vec<(OtherLatency, &Histogram)> {
        let known = [
            (OtherLatency::FailedLatency, &row.service_failed),
            (OtherLatency::CancelledAge, &row.cancelled_age),
        ];
        let known = known.into_iter();
        let some = known.filter_map(|(of, histogram)| Some((of, histogram.as_ref()?)));
        some.filter(|(_, histogram)| !histogram.is_empty())
            .collect()
    }

    /// The intended start, where every call of the row really had one: a
    /// figure made of some calls must not pass as the figure of all.
    fn latency_from(&self, row: &RowStats) -> LatencyFrom {
        let len = |histogram: &Option<Histogram>| histogram.as_ref().map_or(0, Histogram::len);
        let all_have_one =
            len(&row.response_ok) == row.ok && len(&row.response_failed) == row.failed;
        if self.has_intended_starts && all_have_one {
            LatencyFrom::IntendedStart
        } else {
            LatencyFrom::Sent
        }
    }

    fn figures(&self, row: &RowStats, latency_from: LatencyFrom) -> Figures {
        let finished = row.finished();
        let empty = Histogram::new();
        let of_intended = latency_from == LatencyFrom::IntendedStart;
        let (headline, failed) = if of_intended {
            let response = row.response_ok.as_ref().unwrap_or(&empty);
            (response, &row.response_failed)
        } else {
            (&row.service_ok, &row.service_failed)
        };
        let if_any = |histogram: &Option<Histogram>| histogram.as_ref().and_then(latency_if_any);
        Figures {
            started: row.started,
            ok: row.ok,
            failed: row.failed,
            cancelled: row.cancelled,
            rate_per_sec: (finished > 0 && !self.elapsed.is_zero())
                .then(|| rate(finished, self.elapsed)),
            error_rate: (finished > 0).then(|| share(row.failed, finished)),
            latency_from,
            latency: latency(headline),
            failed_latency: if_any(failed),
            service_latency: of_intended.then(|| latency(&row.service_ok)),
            cancelled_age: if_any(&row.cancelled_age),
            failures: self.causes(&row.failures),
        }
    }

    fn causes(&self, counts: &FailureCounts) -> Vec<CauseCount> {
        let total = counts.total();
        let cause = |(failure, count): (crate::metrics::Failure, u64)| CauseCount {
            id: failure.id(),
            group: failure.group().id().to_string(),
            count,
            share: share(count, total),
            examples: self.examples.of(failure).to_vec(),
        };
        counts.ranked().into_iter().map(cause).collect()
    }
}

/// A histogram's percentiles.
pub(in crate::report) fn latency(histogram: &Histogram) -> LatencyFigures {
    let quantile = |q| histogram.quantile_ns(q).map(ms);
    LatencyFigures {
        count: histogram.len(),
        min_ms: histogram.min_ns().map(ms),
        mean_ms: histogram.mean_ns().map(|ns| tidy(ns / 1e6)),
        p50_ms: quantile(0.5),
        p90_ms: quantile(0.9),
        p95_ms: quantile(0.95),
        p99_ms: quantile(0.99),
        p99_9_ms: quantile(0.999),
        max_ms: histogram.max_ns().map(ms),
    }
}

/// The same; `None` for an empty one.
pub(in crate::report) fn latency_if_any(histogram: &Histogram) -> Option<LatencyFigures> {
    (!histogram.is_empty()).then(|| latency(histogram))
}

/// Events a second; 0 over no time.
pub(super) fn rate(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        0.0
    } else {
        tidy(count as f64 / elapsed.as_secs_f64())
    }
}

/// `part ÷ whole`; 0 of nothing. To twelve decimals, so that one in a billion
/// is not lost.
pub(in crate::report) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 / whole as f64 * 1e12).round() / 1e12
    }
}
