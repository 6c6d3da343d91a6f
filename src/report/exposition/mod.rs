//! What a load test tells to other programs: metrics, at one moment of a run or of a
//! report.
//!
//! [`MetricsReading`] holds the figures, whoever has them; [`families`] makes the metrics of
//! them, and each form writes those. Whoever adds a metric adds a line to the table of
//! `metrics.rs` and what fills it here; the dashboard in `configs/` may then use it.

mod metrics;
mod of_report;
mod text;

use std::borrow::Cow;
use std::collections::HashSet;

use crate::metrics::{Counters, Histogram};
use crate::report::page::{P50_NEEDS, P90_NEEDS, P95_NEEDS, P99_9_NEEDS, P99_NEEDS};
use crate::terminal::{Drawing, cut};
use crate::text::visible_name;

pub use metrics::{ExportMetric, MetricKind, MetricUnit};
pub use of_report::about;
pub(in crate::report) use of_report::reading;
pub use text::{TextDialect, write_text};

/// Columns of a label's value; a longer one is cut.
const LABEL_WIDTH_MAX: usize = 200;

/// The upper bounds of a histogram's buckets, in microseconds: from what a server on
/// this machine takes to what users give up at.
pub const BUCKETS_US: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Quantiles that are told, and how many values each takes: fewer say nothing of it.
pub const QUANTILES_TOLD: [(f64, u64); 5] = [
    (0.5, P50_NEEDS),
    (0.9, P90_NEEDS),
    (0.95, P95_NEEDS),
    (0.99, P99_NEEDS),
    (0.999, P99_9_NEEDS),
];

/// Figures at one moment. What is not known is `None`, and is not told.
#[derive(Debug, Clone, Default)]
pub struct MetricsReading<'a> {
    /// What the run is, as labels.
    pub about: Vec<(&'static str, String)>,
    /// On the run's clock, which begins with the handshakes, in seconds.
    pub elapsed_secs: f64,
    /// Virtual users.
    pub vus: Option<u32>,
    /// Calls in flight.
    pub in_flight: Option<u64>,
    /// Whether the generator was the limit in the last second.
    pub is_limited: Option<bool>,
    /// Of a search: the level that is held.
    pub level: Option<f64>,
    /// What is counted beside requests.
    pub counters: Counters,
    /// By operation and flow.
    pub rows: Vec<RowReading<'a>>,
}

/// Figures of one operation, or of one flow.
#[derive(Debug, Clone)]
pub struct RowReading<'a> {
    /// `call`, `handshake`, `close` or `listen`; `None`: iterations of a flow.
    pub kind: Option<&'static str>,
    /// Its label.
    pub name: String,
    /// The MCP method; empty for a flow.
    pub method: String,
    /// The population, where there are several.
    pub population: Option<String>,
    /// Requests begun.
    pub started: u64,
    /// Requests that succeeded.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that the end cut off.
    pub cancelled: u64,
    /// Of those that failed: how many by which cause.
    pub failures: Vec<(String, u64)>,
    /// Latency of those that succeeded; `None`: not kept.
    pub latency: Option<Cow<'a, Histogram>>,
    /// Of the same latency: quantiles in seconds.
    pub quantiles: Vec<(f64, f64)>,
}

/// The values of a metric.
#[derive(Debug, Clone)]
pub struct Family<'a> {
    /// Of which.
    pub metric: ExportMetric,
    /// A value for each set of labels; at least one.
    pub points: Vec<MetricPoint<'a>>,
}

/// A value, and whose it is.
#[derive(Debug, Clone)]
pub struct MetricPoint<'a> {
    /// Names of labels and their values, without characters that are not drawn.
    pub labels: Vec<(&'static str, Cow<'a, str>)>,
    /// The value.
    pub value: PointValue<'a>,
}

/// A value of a metric.
#[derive(Debug, Clone, Copy)]
pub enum PointValue<'a> {
    /// Of a counter.
    Count(u64),
    /// Of a gauge or an info.
    Level(f64),
    /// Of a histogram, in nanoseconds.
    Latencies(&'a Histogram),
}

/// The metrics of a reading, in the order of the table; those without a value are left out.
pub fn families<'a>(reading: &'a MetricsReading<'a>) -> Vec<Family<'a>> {
    let labels: Vec<RowLabels<'a>> = row_labels(&reading.rows);
    let rows = || reading.rows.iter().zip(&labels);
    let requests = || rows().filter(|(row, _)| row.kind.is_some());
    let flows = || rows().filter(|(row, _)| row.kind.is_none());
    let counters = &reading.counters;
    let of = |metric| {
        let one = |value| vec![MetricPoint::new(&[], value)];
        let count = |count| one(PointValue::Count(count));
        let points = match metric {
            ExportMetric::Run => {
                let about = reading.about.iter();
                let labels = about.map(|(name, value)| (*name, label(value))).collect();
                let value = PointValue::Level(1.0);
                vec![MetricPoint { labels, value }]
            }
            ExportMetric::RunElapsed => one(PointValue::Level(reading.elapsed_secs)),
            ExportMetric::VirtualUsers => level(reading.vus.map(f64::from)),
            ExportMetric::RequestsInFlight => level(reading.in_flight.map(|n| n as f64)),
            ExportMetric::GeneratorLimited => {
                level(reading.is_limited.map(|it| f64::from(u8::from(it))))
            }
            ExportMetric::SearchLevel => level(reading.level),
            ExportMetric::RequestsStarted => of_rows(requests(), |row, labels| {
                vec![MetricPoint::new(labels, PointValue::Count(row.started))]
            }),
            ExportMetric::Requests => of_rows(requests(), outcomes),
            ExportMetric::FlowIterations => of_rows(flows(), outcomes),
            ExportMetric::Failures => of_rows(requests(), |row, labels| {
                let failures = row.failures.iter();
                failures
                    .map(|(cause, count)| {
                        MetricPoint::new(labels, PointValue::Count(*count))
                            .with("cause", label(cause))
                    })
                    .collect()
            }),
            ExportMetric::RequestDuration => of_rows(requests(), latencies),
            ExportMetric::FlowDuration => of_rows(flows(), latencies),
            ExportMetric::RequestDurationQuantile => of_rows(requests(), |row, labels| {
                let quantiles = row.quantiles.iter();
                quantiles
                    .map(|(quantile, secs)| {
                        MetricPoint::new(labels, PointValue::Level(*secs))
                            .with("quantile", Cow::Owned(quantile.to_string()))
                    })
                    .collect()
            }),
            ExportMetric::IterationsStarted => count(counters.iterations_started),
            ExportMetric::IterationsCompleted => count(counters.iterations_completed),
            ExportMetric::Arrivals => count(counters.arrivals),
            ExportMetric::ArrivalsDropped => count(counters.arrivals_dropped),
            ExportMetric::Connections => count(counters.connections),
            ExportMetric::SessionsOpened => count(counters.sessions_opened),
            ExportMetric::SessionsExpired => count(counters.sessions_expired),
            ExportMetric::Sent => count(counters.bytes_sent),
            ExportMetric::Received => count(counters.bytes_received),
        };
        Family { metric, points }
    };
    let all = ExportMetric::ALL.iter().map(|metric| of(*metric));
    all.filter(|family| !family.points.is_empty()).collect()
}

type RowLabels<'a> = Vec<(&'static str, Cow<'a, str>)>;

impl<'a> MetricPoint<'a> {
    fn new(labels: &[(&'static str, Cow<'a, str>)], value: PointValue<'a>) -> Self {
        let labels = labels.to_vec();
        Self { labels, value }
    }

    fn with(mut self, name: &'static str, value: Cow<'a, str>) -> Self {
        self.labels.push((name, value));
        self
    }
}

fn level<'a>(value: Option<f64>) -> Vec<MetricPoint<'a>> {
    let value = value.map(PointValue::Level);
    value
        .map(|it| MetricPoint::new(&[], it))
        .into_iter()
        .collect()
}

fn of_rows<'a, 'b>(
    rows: impl Iterator<Item = (&'a RowReading<'a>, &'b RowLabels<'a>)>,
    points: impl Fn(&'a RowReading<'a>, &RowLabels<'a>) -> Vec<MetricPoint<'a>>,
) -> Vec<MetricPoint<'a>>
where
    'a: 'b,
{
    rows.flat_map(|(row, labels)| points(row, labels)).collect()
}

fn outcomes<'a>(row: &'a RowReading<'a>, labels: &RowLabels<'a>) -> Vec<MetricPoint<'a>> {
    let counts = [
        ("ok", row.ok),
        ("failed", row.failed),
        ("cancelled", row.cancelled),
    ];
    let point = |(outcome, count)| {
        MetricPoint::new(labels, PointValue::Count(count)).with("outcome", Cow::Borrowed(outcome))
    };
    counts.map(point).to_vec()
}

fn latencies<'a>(row: &'a RowReading<'a>, labels: &RowLabels<'a>) -> Vec<MetricPoint<'a>> {
    let latency = row.latency.as_deref().map(PointValue::Latencies);
    let point = latency.map(|value| MetricPoint::new(labels, value));
    point.into_iter().collect()
}

/// The labels of each row, no two alike: two rows under one would be one series with two
/// values, which no reader takes.
fn row_labels<'a>(rows: &'a [RowReading<'a>]) -> Vec<RowLabels<'a>> {
    let mut taken = HashSet::new();
    let labels = rows.iter().map(|row| {
        let name = label(&row.name);
        let population = row.population.as_deref().map(label);
        let mut own = name.clone();
        let mut number = 2;
        while !taken.insert((row.kind, own.to_string(), population.clone())) {
            own = Cow::Owned(format!("{name}#{number}"));
            number += 1;
        }
        let mut labels = match row.kind {
            Some(kind) => vec![
                ("kind", Cow::Borrowed(kind)),
                ("operation", own),
                ("method", label(&row.method)),
            ],
            None => vec![("flow", own)],
        };
        labels.extend(population.map(|it| ("population", it)));
        labels
    });
    labels.collect()
}

/// A stranger's text as the value of a label.
fn label(text: &str) -> Cow<'_, str> {
    match visible_name(text) {
        Cow::Borrowed(text) => cut(text, LABEL_WIDTH_MAX, Drawing::Unicode),
        Cow::Owned(text) => Cow::Owned(cut(&text, LABEL_WIDTH_MAX, Drawing::Unicode).into_owned()),
    }
}
