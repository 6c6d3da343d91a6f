//! The JSON form of `ExportMetricsServiceRequest` (OTLP 1.x), as far as it is used.
//!
//! Numbers of 64 bits are texts, as the JSON form of protocol buffers has them. Tests read
//! it with the types that `opentelemetry-proto` generates from the definition.

use serde::{Deserialize, Serialize};

use crate::metrics::Histogram;
use crate::report::exposition::{Family, MetricKind, MetricPoint, MetricUnit, PointValue};

/// Sums and histograms tell all since the start of the load.
const CUMULATIVE: u32 = 2;

/// Buckets of an exponential histogram, at most: what the SDKs keep to.
const BUCKETS_MAX: i64 = 160;

/// The finest scale: buckets of 2.2 %, ours have 0.1 %.
const SCALE_MAX: i32 = 5;
/// At this one the 160 buckets reach from a nanosecond to beyond an hour.
const SCALE_MIN: i32 = 0;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OtlpRequest {
    resource_metrics: [ResourceMetrics; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceMetrics {
    resource: OtlpResource,
    scope_metrics: [ScopeMetrics; 1],
}

#[derive(Debug, Serialize)]
struct OtlpResource {
    attributes: Vec<KeyValue>,
}

#[derive(Debug, Serialize)]
struct ScopeMetrics {
    scope: OtlpScope,
    metrics: Vec<OtlpMetric>,
}

#[derive(Debug, Serialize)]
struct OtlpScope {
    name: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct OtlpMetric {
    name: String,
    description: &'static str,
    unit: &'static str,
    #[serde(flatten)]
    data: OtlpData,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum OtlpData {
    #[serde(rename_all = "camelCase")]
    Sum {
        data_points: Vec<NumberPoint>,
        aggregation_temporality: u32,
        is_monotonic: bool,
    },
    #[serde(rename_all = "camelCase")]
    Gauge { data_points: Vec<NumberPoint> },
    #[serde(rename_all = "camelCase")]
    ExponentialHistogram {
        data_points: Vec<HistogramPoint>,
        aggregation_temporality: u32,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NumberPoint {
    attributes: Vec<KeyValue>,
    start_time_unix_nano: String,
    time_unix_nano: String,
    #[serde(flatten)]
    value: NumberValue,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum NumberValue {
    AsInt(String),
    AsDouble(f64),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HistogramPoint {
    attributes: Vec<KeyValue>,
    start_time_unix_nano: String,
    time_unix_nano: String,
    count: String,
    sum: f64,
    scale: i32,
    zero_count: String,
    positive: OtlpBuckets,
    negative: OtlpBuckets,
    flags: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    zero_threshold: f64,
}

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct OtlpBuckets {
    offset: i32,
    bucket_counts: Vec<String>,
}

#[derive(Debug, Serialize)]
struct KeyValue {
    key: String,
    value: AnyValue,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue {
    string_value: String,
}

impl KeyValue {
    fn new(key: &str, value: &str) -> Self {
        Self {
            key: key.to_string(),
            value: AnyValue {
                string_value: value.to_string(),
            },
        }
    }
}

impl OtlpRequest {
    /// The metrics between two times, in nanoseconds since 1970.
    pub(super) fn new(families: &[Family<'_>], times: [u64; 2]) -> Self {
        // What a run is are attributes of all its metrics.
        let (infos, families): (Vec<_>, Vec<_>) = families
            .iter()
            .partition(|it| it.metric.kind() == MetricKind::Info);
        let about = infos.iter().flat_map(|it| &it.points);
        let about = about.flat_map(|point| &point.labels);
        let about = about.map(|(name, value)| {
            let key = format!("pmcp.loadtest.{}", name.replace('_', "."));
            KeyValue::new(&key, value)
        });
        let service = KeyValue::new("service.name", "pmcp-loadtest");
        let metric = |family: &&Family<'_>| OtlpMetric {
            name: family.metric.dotted(),
            description: family.metric.help(),
            unit: match family.metric.unit() {
                MetricUnit::Seconds => "s",
                MetricUnit::Bytes => "By",
                MetricUnit::None => "1",
            },
            data: data(family, times),
        };
        Self {
            resource_metrics: [ResourceMetrics {
                resource: OtlpResource {
                    attributes: std::iter::once(service).chain(about).collect(),
                },
                scope_metrics: [ScopeMetrics {
                    scope: OtlpScope {
                        name: "pmcp-loadtest",
                        version: env!("CARGO_PKG_VERSION"),
                    },
                    metrics: families.iter().map(metric).collect(),
                }],
            }],
        }
    }
}

fn data(family: &Family<'_>, times: [u64; 2]) -> OtlpData {
    let numbers = || {
        let points = family.points.iter();
        points.filter_map(|it| number_point(it, times)).collect()
    };
    match family.metric.kind() {
        MetricKind::Counter => OtlpData::Sum {
            data_points: numbers(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        },
        MetricKind::Gauge | MetricKind::Info => OtlpData::Gauge {
            data_points: numbers(),
        },
        MetricKind::Histogram => OtlpData::ExponentialHistogram {
            data_points: family
                .points
                .iter()
                .filter_map(|it| histogram_point(it, times))
                .collect(),
            aggregation_temporality: CUMULATIVE,
        },
    }
}

fn attributes(point: &MetricPoint<'_>) -> Vec<KeyValue> {
    let labels = point.labels.iter();
    labels
        .map(|(name, value)| KeyValue::new(name, value))
        .collect()
}

fn number_point(point: &MetricPoint<'_>, times: [u64; 2]) -> Option<NumberPoint> {
    let [start_time_unix_nano, time_unix_nano] = times.map(|it| it.to_string());
    Some(NumberPoint {
        attributes: attributes(point),
        start_time_unix_nano,
        time_unix_nano,
        value: match point.value {
            PointValue::Count(count) => NumberValue::AsInt(count.to_string()),
            PointValue::Level(value) if value.is_finite() => NumberValue::AsDouble(value),
            PointValue::Level(_) | PointValue::Latencies(_) => return None,
        },
    })
}

fn histogram_point(point: &MetricPoint<'_>, times: [u64; 2]) -> Option<HistogramPoint> {
    let PointValue::Latencies(latencies) = point.value else {
        return None;
    };
    let [start_time_unix_nano, time_unix_nano] = times.map(|it| it.to_string());
    let secs = |ns: u64| ns as f64 / 1e9;
    let (scale, n_zero, positive) = buckets(latencies);
    Some(HistogramPoint {
        attributes: attributes(point),
        start_time_unix_nano,
        time_unix_nano,
        count: latencies.len().to_string(),
        sum: latencies.sum_ns() as f64 / 1e9,
        scale,
        zero_count: n_zero.to_string(),
        positive,
        negative: OtlpBuckets::default(),
        flags: 0,
        min: latencies.min_ns().map(secs),
        max: latencies.max_ns().map(secs),
        zero_threshold: 0.0,
    })
}

/// Scale, how many are 0, and the buckets of the others: bucket `i` has the values above
/// `base^i` and up to `base^(i + 1)`, in seconds, where the base is 2^(2^-scale).
fn buckets(latencies: &Histogram) -> (i32, u64, OtlpBuckets) {
    let index = |ns: u64, scale: i32| {
        let log = (ns as f64 / 1e9).log2();
        (log * f64::from(1 << scale)).ceil() as i64 - 1
    };
    let recorded = || latencies.recorded().filter(|(ns, _)| *ns > 0);
    let n_zero = latencies.recorded().filter(|(ns, _)| *ns == 0);
    let n_zero = n_zero.map(|(_, count)| count).sum();
    let (Some((least, _)), Some((most, _))) = (recorded().next(), recorded().last()) else {
        return (SCALE_MAX, n_zero, OtlpBuckets::default());
    };
    let fits = |scale: &i32| index(most, *scale) - index(least, *scale) < BUCKETS_MAX;
    let scale = (SCALE_MIN..=SCALE_MAX).rev().find(fits);
    let scale = scale.unwrap_or(SCALE_MIN);
    let offset = index(least, scale);
    let mut counts = vec![0u64; (index(most, scale) - offset) as usize + 1];
    for (ns, count) in recorded() {
        counts[(index(ns, scale) - offset) as usize] += count;
    }
    let buckets = OtlpBuckets {
        // Within a thousand of nought, whatever the latencies are.
        offset: offset as i32,
        bucket_counts: counts.iter().map(u64::to_string).collect(),
    };
    (scale, n_zero, buckets)
}

/// What a collector says of a request that it took.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OtlpAnswer {
    partial_success: Option<PartialSuccess>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PartialSuccess {
    /// A text by the definition, and a number from some collectors.
    rejected_data_points: serde_json::Value,
    error_message: Option<String>,
}

impl OtlpAnswer {
    /// Reads it; nothing at all says that all was taken.
    ///
    /// # Errors
    /// Where it is no JSON of the form that OTLP defines: then no collector answered.
    pub(super) fn read(body: &str) -> Result<Self, serde_json::Error> {
        match body.trim() {
            "" => Ok(Self::default()),
            body => serde_json::from_str(body),
        }
    }

    /// How many figures it did not take, and what it says: why, or, where it took all, what
    /// it finds odd in them.
    pub(super) fn partial(self) -> (u64, String) {
        let partial = self.partial_success.unwrap_or_default();
        let n_rejected = match &partial.rejected_data_points {
            serde_json::Value::String(text) => text.parse().unwrap_or(0),
            other => other.as_u64().unwrap_or(0),
        };
        (n_rejected, partial.error_message.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::exposition::{MetricsReading, RowReading};
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
    use proptest::prelude::*;
    use std::borrow::Cow;

    fn of(values_ns: &[u64]) -> Histogram {
        let mut histogram = Histogram::new();
        values_ns.iter().for_each(|ns| histogram.record(*ns));
        histogram
    }

    fn row(latency: &Histogram) -> RowReading<'_> {
        RowReading {
            kind: Some("call"),
            name: "tools/call \"echo\"".to_string(),
            method: "tools/call".to_string(),
            population: None,
            started: 5,
            ok: 3,
            failed: 2,
            cancelled: 0,
            failures: vec![("http.503".to_string(), 2)],
            latency: Some(Cow::Borrowed(latency)),
            quantiles: vec![(0.5, 0.002)],
        }
    }

    #[test]
    fn others_read_what_is_sent() {
        let latency = of(&[0, 1_000_000, 2_000_000]);
        let reading = MetricsReading {
            about: vec![("target", "http://x/mcp".to_string())],
            elapsed_secs: 3.0,
            vus: Some(7),
            rows: vec![row(&latency)],
            ..MetricsReading::default()
        };
        let times = [1_795_437_667_250_000_000, 1_795_437_670_250_000_000];
        let families = crate::report::exposition::families(&reading);
        let sent = serde_json::to_value(OtlpRequest::new(&families, times)).expect("JSON");
        let read: ExportMetricsServiceRequest =
            serde_json::from_value(sent.clone()).expect("what OTLP defines");
        let resource = &read.resource_metrics[0];
        let attributes = &resource.resource.as_ref().expect("a resource").attributes;
        let keys: Vec<&str> = attributes.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["service.name", "pmcp.loadtest.target"]);
        let metrics = &resource.scope_metrics[0].metrics;
        let named = |name: &str| {
            let found = metrics.iter().find(|it| it.name == name);
            found.and_then(|it| it.data.as_ref()).expect("a metric")
        };
        let metric::Data::Sum(failures) = named("pmcp.loadtest.failures") else {
            panic!("failures are a sum")
        };
        assert!(failures.is_monotonic && failures.aggregation_temporality == CUMULATIVE as i32);
        let point = &failures.data_points[0];
        assert_eq!(point.value, Some(number_data_point::Value::AsInt(2)));
        assert_eq!([point.start_time_unix_nano, point.time_unix_nano], times);
        assert!(point.attributes.iter().any(|it| it.key == "cause"));
        let metric::Data::Gauge(vus) = named("pmcp.loadtest.virtual.users") else {
            panic!("users are a gauge")
        };
        let value = vus.data_points[0].value;
        assert_eq!(value, Some(number_data_point::Value::AsDouble(7.0)));
        let name = "pmcp.loadtest.request.duration";
        let metric::Data::ExponentialHistogram(durations) = named(name) else {
            panic!("durations are a histogram")
        };
        let point = &durations.data_points[0];
        assert_eq!((point.count, point.zero_count), (3, 1));
        assert!((point.sum.expect("a sum") - 0.003).abs() < 1e-12);
        assert_eq!((point.min, point.max), (Some(0.0), Some(0.002)));
        let positive = point.positive.as_ref().expect("buckets");
        assert_eq!(positive.bucket_counts.iter().sum::<u64>(), 2);
        // What they write of it is what we wrote, member for member.
        let theirs = serde_json::to_value(&read).expect("JSON");
        let of_name = |value: &serde_json::Value| {
            let metrics = value["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].clone();
            let metrics = metrics.as_array().expect("metrics").clone();
            metrics
                .into_iter()
                .find(|it| it["name"] == name)
                .expect("it")
        };
        let (ours, theirs) = (of_name(&sent), of_name(&theirs));
        let point = |it: &serde_json::Value| it["exponentialHistogram"]["dataPoints"][0].clone();
        for member in [
            "count",
            "sum",
            "scale",
            "zeroCount",
            "positive",
            "min",
            "max",
        ] {
            assert_eq!(point(&ours)[member], point(&theirs)[member], "{member}");
        }
    }

    #[test]
    fn what_a_collector_rejects_is_told() {
        let check = |body: &str, n_rejected: u64, message: &str| {
            let answer = OtlpAnswer::read(body).expect("an answer");
            assert_eq!(
                answer.partial(),
                (n_rejected, message.to_string()),
                "{body}"
            );
        };
        check("", 0, "");
        check("{}", 0, "");
        check(r#"{"partialSuccess":{}}"#, 0, "");
        check(r#"{"partialSuccess":null}"#, 0, "");
        let text = r#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"too old"}}"#;
        check(text, 3, "too old");
        let number = r#"{"partialSuccess":{"rejectedDataPoints":3,"errorMessage":null}}"#;
        check(number, 3, "");
        let remark = r#"{"partialSuccess":{"errorMessage":"a unit is odd"}}"#;
        check(remark, 0, "a unit is odd");
        for body in ["<html>login page</html>", "ok", "[", "3"] {
            assert!(OtlpAnswer::read(body).is_err(), "{body}");
        }
    }

    proptest! {
        /// Each value lies in the bucket that counts it, and none is lost.
        #[test]
        fn buckets_hold_their_values(values in prop::collection::vec(0..3_600_000_000_000u64, 1..50)) {
            let histogram = of(&values);
            let (scale, n_zero, positive) = buckets(&histogram);
            let counts: Vec<u64> = positive
                .bucket_counts
                .iter()
                .map(|count| count.parse().expect("a number"))
                .collect();
            prop_assert!(counts.len() as i64 <= BUCKETS_MAX);
            prop_assert_eq!(n_zero + counts.iter().sum::<u64>(), histogram.len());
            prop_assert_eq!(n_zero, values.iter().filter(|it| **it == 0).count() as u64);
            let base = 2f64.powf(2f64.powi(-scale));
            // Ours are a thousandth wide.
            for value in values.iter().filter(|it| **it > 0) {
                let secs = *value as f64 / 1e9;
                let is_in = |(at, count): (usize, &u64)| {
                    let power = positive.offset + at as i32;
                    let (low, high) = (base.powi(power), base.powi(power + 1));
                    *count > 0 && low <= secs * 1.002 && secs <= high * 1.002
                };
                prop_assert!(counts.iter().enumerate().any(is_in), "{value} {scale} {positive:?}");
            }
        }
    }
}
