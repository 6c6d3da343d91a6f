//! From recorded rows to figures.

use std::time::Duration;

use crate::metrics::{
    AnswerTimes, Examples, FailureCounts, Histogram, Messages, Readings, RowStats, SlowCall,
    Traffic,
};
use crate::outcome::{Row, RowKind, ServerFacts};
use crate::report::model::{
    AnswerFigures, ByteFigures, BytesFigures, CauseCount, Figures, LatencyFigures, LatencyFrom,
    OperationFigures, OtherLatency, ServerNames, SlowCallFigures,
};
use crate::units::{ms, rate, share, tidy};

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
        self.figures(row, self.latency_from(row), &self.examples.calls)
    }

    /// Figures of requests that open and end sessions, which no load model schedules.
    pub(super) fn beside_calls(&self, row: &RowStats) -> Figures {
        self.figures(row, LatencyFrom::Sent, &self.examples.sessions)
    }

    /// Figures of requests that open listening streams.
    pub(super) fn streams(&self, row: &RowStats) -> Figures {
        self.figures(row, LatencyFrom::Sent, &self.examples.streams)
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
            name: row.name.clone(),
            flow: row.flow.clone(),
            population: row.population.clone(),
            figures: self.calls(stats),
            bytes: bytes(row, stats),
            answers: stats.answers.as_deref().map(answers),
            slowest: slowest(stats),
        };
        rows.map(operation).collect()
    }

    /// The latency of successful calls that stands for the row.
    pub(super) fn headline<'r>(&self, row: &'r RowStats) -> &'r Histogram {
        row.measured(self.has_intended_starts).histogram()
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
        if self.has_intended_starts && row.has_response_times() {
            LatencyFrom::IntendedStart
        } else {
            LatencyFrom::Sent
        }
    }

    fn figures(&self, row: &RowStats, latency_from: LatencyFrom, examples: &Messages) -> Figures {
        let finished = row.finished();
        let of_intended = latency_from == LatencyFrom::IntendedStart;
        let headline = row.measured(of_intended);
        let failed = match of_intended {
            true => &row.response_failed,
            false => &row.service_failed,
        };
        let if_any = |histogram: &Option<Histogram>| histogram.as_ref().and_then(latency_if_any);
        Figures {
            started: row.started,
            ok: row.ok,
            failed: row.failed,
            cancelled: row.cancelled,
            rate_per_sec: (finished > 0 && !self.elapsed.is_zero())
                .then(|| rate(finished, self.elapsed)),
            goodput_per_sec: (finished > 0 && !self.elapsed.is_zero())
                .then(|| rate(row.ok, self.elapsed)),
            error_rate: (finished > 0).then(|| share(row.failed, finished)),
            latency_from,
            latency: latency(headline),
            failed_latency: if_any(failed),
            service_latency: of_intended.then(|| latency(&row.service_ok)),
            cancelled_age: if_any(&row.cancelled_age),
            failures: causes(&row.failures, examples),
        }
    }
}

pub(super) fn causes(counts: &FailureCounts, examples: &Messages) -> Vec<CauseCount> {
    let total = counts.total();
    let cause = |(failure, count): (crate::metrics::Failure, u64)| CauseCount {
        id: failure.id(),
        group: failure.group().id().to_string(),
        count,
        share: share(count, total),
        examples: examples.of(failure).to_vec(),
    };
    counts.ranked().into_iter().map(cause).collect()
}

fn slowest(stats: &RowStats) -> Vec<SlowCallFigures> {
    let call = |call: &SlowCall| SlowCallFigures {
        at_secs: tidy(Duration::from_nanos(call.at_ns).as_secs_f64()),
        user: call.user,
        latency_ms: ms(call.took_ns),
        queue_ms: call.phases.queue_ns.map(ms),
        connect_ms: ms(call.phases.connect_ns),
        send_ms: ms(call.phases.send_ns),
        wait_ms: ms(call.phases.wait_ns),
        read_ms: call.phases.read_ns.map(ms),
        trace_id: call.trace.map(trace_text),
    };
    stats.slowest.all().iter().map(call).collect()
}

/// A trace's id as W3C Trace Context writes it.
pub(super) fn trace_text(id: u128) -> String {
    format!("{id:032x}")
}

fn bytes(row: &Row, stats: &RowStats) -> Option<BytesFigures> {
    let of = |traffic: Traffic| ByteFigures::of(traffic.sum, traffic.max, stats.ok);
    (row.kind == RowKind::Call && stats.ok > 0).then(|| BytesFigures {
        request: of(stats.sent),
        answer: of(stats.received),
    })
}

/// The times of a row's answers, by what the report calls them.
pub(super) fn times_of(times: &AnswerTimes) -> Vec<(OtherLatency, &Histogram)> {
    let all = [
        (OtherLatency::FirstByte, &times.first_byte),
        (OtherLatency::FirstEvent, &times.first_event),
        (OtherLatency::FirstProgress, &times.first_progress),
        (OtherLatency::EventGap, &times.gaps),
    ];
    let some = all.into_iter();
    some.filter(|(_, histogram)| !histogram.is_empty())
        .collect()
}

fn answers(times: &AnswerTimes) -> AnswerFigures {
    let of = |traffic: Traffic| {
        (times.streams > 0).then(|| ByteFigures::of(traffic.sum, traffic.max, times.streams))
    };
    AnswerFigures {
        calls: times.calls,
        streams: times.streams,
        first_byte: latency_if_any(&times.first_byte),
        first_event: latency_if_any(&times.first_event),
        first_progress: latency_if_any(&times.first_progress),
        gap: latency_if_any(&times.gaps),
        events: of(times.events),
        bytes: of(times.bytes),
        progress: times.progress,
        ended_early: times.ended_early,
        telling: times.telling,
        held_back: times.held_back,
    }
}

/// Percentiles, and what is exact.
pub(in crate::report) fn latency<'a>(readings: impl Into<Readings<'a>>) -> LatencyFigures {
    let readings = readings.into();
    let histogram = readings.histogram();
    let quantile = |q| readings.quantile_ns(q).map(ms);
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

/// What a server said of itself.
pub(in crate::report) fn server(facts: &ServerFacts) -> ServerNames {
    ServerNames {
        url: facts.url.clone(),
        era: facts.era.as_str().to_string(),
        revision: facts.revision.as_str().to_string(),
        name: facts.name.clone(),
        version: facts.version.clone(),
        has_sessions: facts.has_sessions,
        proxy: facts.proxy.clone(),
        addresses: Some(facts.addresses),
        stream: facts.stream.clone(),
    }
}
