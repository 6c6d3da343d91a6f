//! Metrics as text: the format of Prometheus (0.0.4) and OpenMetrics (1.0.0).
//!
//! No sample has a timestamp: collectors of text files refuse a file with any.

use std::io::{self, Write};

use super::{BUCKETS_US, ExportMetric, Family, MetricKind, MetricPoint, PointValue};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextDialect {
    /// What the textfile collectors of node exporters read.
    Prometheus,
    /// LabelNames families, tells units, and has an end.
    Openmetrics,
}

/// Writes all metrics.
///
/// # Errors
/// Those of the writer.
pub fn write_text(
    families: &[Family<'_>],
    dialect: TextDialect,
    out: &mut dyn Write,
) -> io::Result<()> {
    for family in families {
        let metric = family.metric;
        let (name, kind) = match dialect {
            TextDialect::Openmetrics => (metric.family(), metric.kind().word()),
            // A family is called as its samples are, and knows no info.
            TextDialect::Prometheus => match metric.kind() {
                MetricKind::Counter => (metric.family() + "_total", "counter"),
                MetricKind::Info => (metric.family() + "_info", "gauge"),
                kind => (metric.family(), kind.word()),
            },
        };
        writeln!(out, "# HELP {name} {}", metric.help())?;
        writeln!(out, "# TYPE {name} {kind}")?;
        let unit = metric.unit().word();
        if dialect == TextDialect::Openmetrics && !unit.is_empty() {
            writeln!(out, "# UNIT {name} {unit}")?;
        }
        for point in &family.points {
            write_point(metric, point, out)?;
        }
    }
    match dialect {
        TextDialect::Openmetrics => writeln!(out, "# EOF"),
        TextDialect::Prometheus => Ok(()),
    }
}

fn write_point(
    metric: ExportMetric,
    point: &MetricPoint<'_>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut sample = |suffix: &str, bound: Option<&str>, value: String| {
        let mut labels: Vec<String> = point
            .labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped_label(value)))
            .collect();
        labels.extend(bound.map(|bound| format!("le=\"{bound}\"")));
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        writeln!(out, "{}{suffix}{labels} {value}", metric.family())
    };
    match point.value {
        PointValue::Count(count) => sample("_total", None, count.to_string()),
        PointValue::Level(value) => {
            let suffix = match metric.kind() {
                MetricKind::Info => "_info",
                _ => "",
            };
            sample(suffix, None, float(value))
        }
        PointValue::Latencies(latencies) => {
            let n_all = latencies.len();
            for bound_us in BUCKETS_US {
                let above = latencies.count_over(bound_us.saturating_mul(1_000));
                let bound = float(bound_us as f64 / 1e6);
                let within = n_all.saturating_sub(above);
                sample("_bucket", Some(&bound), within.to_string())?;
            }
            sample("_bucket", Some("+Inf"), n_all.to_string())?;
            sample("_sum", None, float(latencies.sum_ns() as f64 / 1e9))?;
            sample("_count", None, n_all.to_string())
        }
    }
}

/// A number as both formats have it; OpenMetrics wants bounds as `1.0`.
fn float(value: f64) -> String {
    match value.is_finite() {
        true => format!("{value:?}"),
        // A stored report may hold anything, but no infinity: JSON has none.
        false => "NaN".to_string(),
    }
}

fn escaped_label(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::exposition::{MetricsReading, RowReading, families, label, reading};
    use crate::report::samples::{busy_outcome, flow_outcome, ok, outcome, plan, report};
    use proptest::prelude::*;

    fn told(report: &crate::report::Report, dialect: TextDialect) -> String {
        let mut out = Vec::new();
        write_text(&families(&reading(report)), dialect, &mut out).expect("a vector takes all");
        String::from_utf8(out).expect("UTF-8")
    }

    /// The value of the sample that begins so.
    fn value(text: &str, sample: &str) -> f64 {
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{sample}: {text}"))
            .parse()
            .expect("a number")
    }

    #[test]
    fn figures_are_those_of_the_report() {
        let report = report(&plan(), &busy_outcome());
        let text = told(&report, TextDialect::Openmetrics);
        let echo = "kind=\"call\",operation=\"tools/call echo\",method=\"tools/call\"";
        let requests = |outcome: &str| {
            let sample = format!("pmcp_loadtest_requests_total{{{echo},outcome=\"{outcome}\"}}");
            value(&text, &sample)
        };
        assert_eq!((requests("ok"), requests("failed")), (6_000.0, 15.0));
        let failures = "pmcp_loadtest_failures_total";
        assert_eq!(
            value(&text, &format!("{failures}{{{echo},cause=\"http.503\"}}")),
            15.0
        );
        let duration = "pmcp_loadtest_request_duration_seconds";
        let within = |bound: &str| {
            value(
                &text,
                &format!("{duration}_bucket{{{echo},le=\"{bound}\"}}"),
            )
        };
        // From 1 to 7 ms, evenly.
        assert_eq!(within("0.0005"), 0.0);
        assert!(
            (within("0.005") - 4_000.0).abs() < 10.0,
            "{}",
            within("0.005")
        );
        assert_eq!((within("10.0"), within("+Inf")), (6_000.0, 6_000.0));
        assert_eq!(
            value(&text, &format!("{duration}_count{{{echo}}}")),
            6_000.0
        );
        let mean = value(&text, &format!("{duration}_sum{{{echo}}}")) / 6_000.0;
        let expected = report.operations[0]
            .figures
            .latency
            .mean_ms
            .expect("a mean");
        assert!((mean * 1e3 - expected).abs() < 1e-6, "{mean} {expected}");
        let handshake = "kind=\"handshake\",operation=\"handshake\",method=\"\"";
        let sample = format!("pmcp_loadtest_requests_total{{{handshake},outcome=\"ok\"}}");
        assert_eq!(value(&text, &sample), 50.0);
        assert_eq!(value(&text, "pmcp_loadtest_sent_bytes_total"), 1_500_000.0);
    }

    /// What differs between the two is told apart by the first lines of a family.
    #[test]
    fn each_dialect_names_its_families_as_it_is_wont_to() {
        let report = report(&plan(), &flow_outcome());
        let open = told(&report, TextDialect::Openmetrics);
        let classic = told(&report, TextDialect::Prometheus);
        assert!(open.ends_with("# EOF\n") && !classic.contains("# EOF"));
        assert!(open.contains("# TYPE pmcp_loadtest_run info\npmcp_loadtest_run_info{target="));
        assert!(classic.contains("# TYPE pmcp_loadtest_run_info gauge\npmcp_loadtest_run_info{"));
        assert!(open.contains(
            "# TYPE pmcp_loadtest_sent_bytes counter\n# UNIT pmcp_loadtest_sent_bytes bytes\n"
        ));
        assert!(classic.contains(
            "# TYPE pmcp_loadtest_sent_bytes_total counter\npmcp_loadtest_sent_bytes_total "
        ));
        let flow = "pmcp_loadtest_flow_iterations_total{flow=\"checkout\",outcome=\"ok\"} 180\n";
        assert!(open.contains(flow) && classic.contains(flow), "{open}");
    }

    #[test]
    fn no_name_leaves_its_place_and_none_is_another_s() {
        let names = ["a\"b\\", "a\nb", "a b", "\u{1b}[1m", " [1m"];
        let calls = names.map(|name| ("tools/call", Some(name)));
        let mut outcome = outcome(&calls);
        (0..names.len()).for_each(|at| ok(&mut outcome.totals, at, 1_000));
        let text = told(&report(&plan(), &outcome), TextDialect::Prometheus);
        let started = "pmcp_loadtest_requests_started_total{kind=\"call\",operation=\"";
        let lines = text.lines().filter_map(|line| line.strip_prefix(started));
        let names: Vec<&str> = lines
            .filter_map(|line| Some(line.split_once("\",method")?.0))
            .collect();
        assert_eq!(
            names,
            [
                "tools/call a\\\"b\\\\",
                "tools/call a\\\\nb",
                "tools/call a b",
                "tools/call \\\\u{1b}[1m",
                "tools/call  [1m",
            ]
        );
    }

    /// The value of a label, and what follows it, as readers of both formats take it.
    fn unescaped(text: &str) -> (String, &str) {
        let (mut value, mut rest) = (String::new(), text.chars());
        loop {
            match rest.next().expect("an end") {
                '"' => return (value, rest.as_str()),
                '\\' => value.push(match rest.next().expect("an escaped character") {
                    'n' => '\n',
                    other => other,
                }),
                c => value.push(c),
            }
        }
    }

    proptest! {
        #[test]
        fn a_label_reads_back(name: String, cause in "[ -~]{0,20}") {
            let row = RowReading {
                kind: Some("call"),
                name: name.clone(),
                method: "tools/call".to_string(),
                population: None,
                started: 1,
                ok: 0,
                failed: 1,
                cancelled: 0,
                failures: vec![(cause.clone(), 1)],
                latency: None,
                quantiles: Vec::new(),
            };
            let reading = MetricsReading {
                rows: vec![row],
                ..MetricsReading::default()
            };
            let mut out = Vec::new();
            let all = families(&reading);
            write_text(&all, TextDialect::Openmetrics, &mut out).expect("a vector takes all");
            let text = String::from_utf8(out).expect("UTF-8");
            let start = "pmcp_loadtest_failures_total{kind=\"call\",operation=\"";
            let line = text.lines().find_map(|line| line.strip_prefix(start));
            let (found, rest) = unescaped(line.expect("a line"));
            prop_assert_eq!(&*found, &*label(&name));
            let rest = rest.strip_prefix(",method=\"tools/call\",cause=\"");
            let (found, rest) = unescaped(rest.expect("a cause"));
            prop_assert_eq!((&*found, rest), (&*label(&cause), "} 1"));
        }
    }
}
