//! The metrics that are told to other programs: one table, from which all forms take
//! names, kinds, units and help.

use crate::text::named;

/// What every name begins with.
const PREFIX: &str = "pmcp_loadtest";

named! {
    /// What a metric is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum MetricKind {
        /// Only grows.
        Counter = "counter",
        /// Goes up and down.
        Gauge = "gauge",
        /// Latencies in buckets.
        Histogram = "histogram",
        /// Always 1; what it says is in its labels.
        Info = "info",
    }
    /// As `# TYPE` has it.
    fn word
}

named! {
    /// What a metric is measured in.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum MetricUnit {
        /// A number of things.
        None = "",
        /// Seconds.
        Seconds = "seconds",
        /// Bytes.
        Bytes = "bytes",
    }
    /// As names and `# UNIT` have it; empty without one.
    fn word
}

macro_rules! metrics {
    ($($name:ident $kind:ident $unit:ident $help:literal,)*) => {
        /// A metric of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ExportMetric {
            $(#[doc = $help] $name,)*
        }

        impl ExportMetric {
            /// All of them, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its kind.
            pub fn kind(self) -> MetricKind {
                match self {
                    $(Self::$name => MetricKind::$kind,)*
                }
            }

            /// Its unit.
            pub fn unit(self) -> MetricUnit {
                match self {
                    $(Self::$name => MetricUnit::$unit,)*
                }
            }

            /// What it means, in a sentence without a full stop.
            pub fn help(self) -> &'static str {
                match self {
                    $(Self::$name => $help,)*
                }
            }

            fn variant(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

metrics! {
    Run Info None "The run: target, server, protocol, load, and from when latency counts",
    RunElapsed Gauge Seconds "Time since users were told to open their sessions, with the warm-up",
    VirtualUsers Gauge None "Virtual users that are active",
    RequestsInFlight Gauge None "Calls in flight",
    GeneratorLimited Gauge None "1 where the generator was the limit in the last second, else 0",
    SearchLevel Gauge None "The level that a search holds: virtual users, or arrivals a second",
    RequestsStarted Counter None "Requests begun",
    Requests Counter None "Requests that ended, by outcome: ok, failed, or cancelled by the end",
    Failures Counter None "Failed requests by cause",
    RequestDuration Histogram Seconds "Latency of successful requests",
    RequestDurationQuantile Gauge Seconds "Quantiles of the same latency, of the whole run so far",
    FlowIterations Counter None "Iterations of flows that ended, by outcome",
    FlowDuration Histogram Seconds "Duration of successful iterations of flows, with thinking",
    IterationsStarted Counter None "Iterations begun",
    IterationsCompleted Counter None "Iterations whose last step has ended",
    Arrivals Counter None "Arrivals whose intended start has come",
    ArrivalsDropped Counter None "Arrivals given up: no virtual user was free",
    Connections Counter None "Connections opened",
    SessionsOpened Counter None "Sessions opened",
    SessionsExpired Counter None "Sessions that the server no longer knew",
    Sent Counter Bytes "Bytes of HTTP heads and bodies sent",
    Received Counter Bytes "Bytes of HTTP heads and bodies received",
}

impl ExportMetric {
    /// Its words, without prefix, unit and `total`: `request_duration`.
    fn words(self) -> String {
        let mut words = String::new();
        for c in self.variant().chars() {
            if c.is_ascii_uppercase() && !words.is_empty() {
                words.push('_');
            }
            words.push(c.to_ascii_lowercase());
        }
        words
    }

    /// The name of its family: `pmcp_loadtest_request_duration_seconds`.
    pub fn family(self) -> String {
        let words = self.words();
        match self.unit().word() {
            "" => format!("{PREFIX}_{words}"),
            unit => format!("{PREFIX}_{words}_{unit}"),
        }
    }

    /// The names of its samples.
    pub fn sample_names(self) -> Vec<String> {
        let family = self.family();
        let suffixes: &[&str] = match self.kind() {
            MetricKind::Counter => &["_total"],
            MetricKind::Gauge => &[""],
            MetricKind::Histogram => &["_bucket", "_sum", "_count"],
            MetricKind::Info => &["_info"],
        };
        suffixes
            .iter()
            .map(|suffix| format!("{family}{suffix}"))
            .collect()
    }

    /// As OpenTelemetry names it, whose unit is separate: `pmcp.loadtest.request.duration`.
    pub fn dotted(self) -> String {
        format!("{PREFIX}_{}", self.words()).replace('_', ".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let check = |metric: ExportMetric, names: &[&str]| assert_eq!(metric.sample_names(), names);
        check(ExportMetric::Run, &["pmcp_loadtest_run_info"]);
        check(ExportMetric::Sent, &["pmcp_loadtest_sent_bytes_total"]);
        check(ExportMetric::VirtualUsers, &["pmcp_loadtest_virtual_users"]);
        check(
            ExportMetric::RequestDuration,
            &[
                "pmcp_loadtest_request_duration_seconds_bucket",
                "pmcp_loadtest_request_duration_seconds_sum",
                "pmcp_loadtest_request_duration_seconds_count",
            ],
        );
        assert_eq!(
            ExportMetric::RequestDuration.dotted(),
            "pmcp.loadtest.request.duration"
        );
        let mut names: Vec<String> = ExportMetric::ALL
            .iter()
            .flat_map(|it| it.sample_names())
            .collect();
        let n_names = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), n_names);
    }

    /// The dashboard that ships shows what we tell, and nothing else.
    #[test]
    fn the_dashboard_has_only_metrics_that_are_told() {
        let text = include_str!("../../../configs/grafana-dashboard.json");
        let dashboard: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let panels = dashboard["panels"].as_array().expect("panels");
        let targets = panels
            .iter()
            .flat_map(|it| it["targets"].as_array().expect("targets"));
        let queries: Vec<&str> = targets
            .map(|it| it["expr"].as_str().expect("a query"))
            .collect();
        assert!(queries.len() >= panels.len() && panels.len() > 5);
        let variable = dashboard["templating"]["list"][1]["definition"].as_str();
        let known: Vec<String> = ExportMetric::ALL
            .iter()
            .flat_map(|it| it.sample_names())
            .collect();
        for query in queries.into_iter().chain(variable) {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let words = query.split(|c| !is_word(c));
            let names: Vec<&str> = words.filter(|word| word.starts_with("pmcp_")).collect();
            assert!(!names.is_empty(), "{query}");
            for name in names {
                assert!(known.iter().any(|it| it == name), "{name} in {query}");
            }
        }
    }
}
