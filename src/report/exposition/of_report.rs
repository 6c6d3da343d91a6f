//! The metrics of a stored report: what a run had counted at its end.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{MetricsReading, QUANTILES_TOLD, RowReading};
use crate::metrics::Histogram;
use crate::report::model::{
    Figures, LatencyFigures, LatencyFrom, OperationFigures, Report, StoredHistograms, StoredKind,
    StoredRow,
};

/// What the report tells. A histogram that is not stored, or cannot be read, is left out.
pub(in crate::report) fn reading(report: &Report) -> MetricsReading<'_> {
    let stored = StoredByName::new(report.histograms.as_ref());
    let mut rows: Vec<RowReading<'_>> = report
        .operations
        .iter()
        .map(|it| {
            row(
                Some("call"),
                LabelNames::of(it),
                &it.figures,
                stored.call(it),
            )
        })
        .collect();
    // Of each population where there are any, as they are told while a run goes on.
    let mut sessions = Vec::new();
    match report.populations.as_slice() {
        [] => sessions.push((None, &report.handshake, &report.close)),
        populations => sessions.extend(
            populations
                .iter()
                .map(|it| (Some(it.name.as_str()), &it.handshake, &it.close)),
        ),
    }
    for (population, handshake, close) in sessions {
        let both = [
            ("handshake", StoredKind::Handshake, handshake.as_ref()),
            ("close", StoredKind::Close, close.as_ref()),
        ];
        for (kind, of, figures) in both {
            let names = LabelNames {
                name: kind,
                method: "",
                population,
            };
            let key = [None, None, None, None, population];
            rows.extend(figures.map(|it| row(Some(kind), names, it, stored.find(of, key))));
        }
    }
    rows.extend(report.listen.iter().map(|it| {
        let names = LabelNames {
            name: "listen",
            ..LabelNames::default()
        };
        let histogram = stored.find(StoredKind::Listen, [None; 5]);
        row(Some("listen"), names, &it.opening, histogram)
    }));
    rows.extend(report.flows.iter().map(|flow| {
        let names = LabelNames {
            name: &flow.name,
            method: "",
            population: flow.population.as_deref(),
        };
        let histogram = stored.flow(&flow.name, flow.population.as_deref());
        row(None, names, &flow.figures, histogram)
    }));
    // As while a run goes on, where nothing is told of what has not begun.
    rows.retain(|row| row.started > 0);
    let last = report.seconds.last();
    MetricsReading {
        about: about(
            &report.target_url,
            &report.server.revision,
            [&report.server.name, &report.server.version],
            &report.run.load,
            report.totals.latency_from,
        ),
        // On the run's clock, as while it goes on.
        elapsed_secs: last.map_or(report.duration_secs, |it| it.at_secs + it.length_secs),
        // It is over.
        vus: last.map(|_| 0),
        in_flight: None,
        is_limited: None,
        level: None,
        counters: report.counters,
        rows,
    }
}

/// What a run is, as labels.
pub fn about(
    target: &str,
    revision: &str,
    server: [&Option<String>; 2],
    load: &str,
    from: LatencyFrom,
) -> Vec<(&'static str, String)> {
    let [name, version] = server.map(|it| it.clone().unwrap_or_default());
    let from = match from {
        LatencyFrom::Sent => "sent",
        LatencyFrom::IntendedStart => "intended_start",
    };
    vec![
        ("target", target.to_string()),
        ("server_name", name),
        ("server_version", version),
        ("protocol", revision.to_string()),
        ("load", load.to_string()),
        ("latency_from", from.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_string()),
    ]
}

#[derive(Debug, Clone, Copy, Default)]
struct LabelNames<'a> {
    name: &'a str,
    method: &'a str,
    population: Option<&'a str>,
}

impl<'a> LabelNames<'a> {
    fn of(it: &'a OperationFigures) -> Self {
        Self {
            name: &it.label,
            method: &it.method,
            population: it.population.as_deref(),
        }
    }
}

fn row<'a>(
    kind: Option<&'static str>,
    names: LabelNames<'a>,
    figures: &Figures,
    latency: Option<Histogram>,
) -> RowReading<'a> {
    let failures = figures.failures.iter();
    RowReading {
        kind,
        name: names.name.to_string(),
        method: names.method.to_string(),
        population: names.population.map(str::to_string),
        started: figures.started,
        ok: figures.ok,
        failed: figures.failed,
        cancelled: figures.cancelled,
        failures: failures.map(|it| (it.id.clone(), it.count)).collect(),
        latency: latency.map(Cow::Owned),
        quantiles: quantiles(&figures.latency),
    }
}

fn quantiles(latency: &LatencyFigures) -> Vec<(f64, f64)> {
    let values = [
        latency.p50_ms,
        latency.p90_ms,
        latency.p95_ms,
        latency.p99_ms,
        latency.p99_9_ms,
    ];
    let told = QUANTILES_TOLD.into_iter().zip(values);
    told.filter(|((_, n_needed), _)| latency.count >= *n_needed)
        .filter_map(|((quantile, _), value)| Some((quantile, value? / 1e3)))
        .collect()
}

/// The histograms of a report by what they are of: a stranger's report may have many.
struct StoredByName<'a>(HashMap<StoredRowKey<'a>, &'a StoredRow>);

/// Kind; then method, subject, name, flow and population.
type StoredRowKey<'a> = (StoredKind, [Option<&'a str>; 5]);

impl<'a> StoredByName<'a> {
    fn new(histograms: Option<&'a StoredHistograms>) -> Self {
        let rows = histograms.iter().flat_map(|it| &it.rows);
        Self(rows.map(|row| ((row.kind, row.names()), row)).collect())
    }

    fn find(&self, kind: StoredKind, names: [Option<&str>; 5]) -> Option<Histogram> {
        self.0.get(&(kind, names))?.histogram().ok()
    }

    fn call(&self, it: &OperationFigures) -> Option<Histogram> {
        let names = [&it.subject, &it.name, &it.flow, &it.population];
        let [subject, name, flow, population] = names.map(|name| name.as_deref());
        let names = [Some(&*it.method), subject, name, flow, population];
        self.find(StoredKind::Call, names)
    }

    fn flow(&self, name: &str, population: Option<&str>) -> Option<Histogram> {
        let names = [None, None, None, Some(name), population];
        self.find(StoredKind::Flow, names)
    }
}
