//! A break in one plain sentence.

use std::fmt::Write as _;
use std::time::Duration;

use super::evidence::{Break, Cause, ErrorEvidence};
use crate::load::LoadUnit;
use crate::units::{format_count, format_percent, plural};

impl Break {
    /// What happened, where and when, without a final full stop.
    pub fn sentence(&self) -> String {
        let load = load_text(self.load, self.load_unit);
        let began = seconds_text(self.began);
        let from = format!("from {load} on ({began} into the run)");
        let at = format!("{load} ({began} into the run)");
        let mut text = self.sentence_from(&from, &at, "at low load");
        let last_good = self
            .last_good_load
            .map(|last_good| load_text(last_good, self.load_unit))
            .filter(|last_good| *last_good != load);
        if let Some(last_good) = last_good {
            let _ = write!(text, "; it kept up at {last_good}");
        }
        text
    }

    /// The same of a break that came with time, under a load that was kept up
    /// before: it names no load.
    pub fn sentence_of_time(&self) -> String {
        let began = seconds_text(self.began);
        let from = format!("from {began} into the run on");
        let at = format!("{began} into the run");
        self.sentence_from(&from, &at, "before")
    }

    fn sentence_from(&self, from: &str, at: &str, baseline: &str) -> String {
        match &self.cause {
            Cause::Saturation(evidence) => {
                let about = if evidence.is_at_or_below {
                    "at or below"
                } else {
                    "at about"
                };
                format!(
                    "throughput stopped growing {about} {at}, \
                     at {} answers/s; more load only waits",
                    number(evidence.ceiling_per_second)
                )
            }
            Cause::Errors(ErrorEvidence::Share {
                share,
                limit,
                n_requests,
            }) => format!(
                "{from} {} of {} failed, more than {}",
                format_percent(*share),
                plural(*n_requests, "request", "requests"),
                format_percent(*limit)
            ),
            Cause::Errors(ErrorEvidence::Outage { share, n_requests }) => format!(
                "{from} most requests failed: {} of {}",
                format_percent(*share),
                format_count(*n_requests)
            ),
            Cause::Errors(ErrorEvidence::Silence { length, in_flight }) => format!(
                "{from} nothing came back for {} with {} under way",
                seconds_text(*length),
                plural(*in_flight, "request", "requests")
            ),
            Cause::Latency(evidence) => {
                let mut text = format!(
                    "{from} p99 was {}, over {}",
                    latency_text(evidence.value_ns),
                    latency_text(evidence.limit_ns)
                );
                if let Some(baseline_ns) = evidence.baseline_ns {
                    // Writing to a string can't fail.
                    let _ = write!(
                        text,
                        ", three times its {} {baseline}",
                        latency_text(baseline_ns)
                    );
                }
                text
            }
        }
    }
}

fn load_text(load: f64, kind: LoadUnit) -> String {
    match kind {
        LoadUnit::Vus => {
            let n_vus = load.round().max(1.0);
            format!("{n_vus:.0} {}", if n_vus == 1.0 { "VU" } else { "VUs" })
        }
        LoadUnit::Rate => format!("{} arrivals/s", number(load)),
    }
}

/// At most three digits that count, never an exponent.
fn number(value: f64) -> String {
    if value >= 999.5 {
        return format_count(value.round() as u64);
    }
    let n_decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.n_decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn seconds_text(duration: Duration) -> String {
    format!("{} s", number(duration.as_secs_f64()))
}

fn latency_text(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    if seconds >= 1.0 {
        format!("{} s", number(seconds))
    } else if seconds >= 1e-3 {
        format!("{} ms", number(seconds * 1e3))
    } else {
        format!("{} us", number(seconds * 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::super::evidence::{LatencyEvidence, SaturationEvidence};
    use super::*;

    fn check(cause: Cause, load: f64, last_good_load: Option<f64>, expected: &str) {
        let found = Break {
            cause,
            load,
            last_good_load,
            began: Duration::from_millis(31_500),
            noticed: Duration::from_secs(40),
            load_unit: LoadUnit::Vus,
        };
        assert_eq!(found.sentence(), expected);
    }

    fn saturation() -> SaturationEvidence {
        SaturationEvidence {
            knee: 33.8,
            is_at_or_below: false,
            ceiling_per_second: 1421.7,
        }
    }

    #[test]
    fn saturation_in_a_sentence() {
        check(
            Cause::Saturation(saturation()),
            33.8,
            Some(32.9),
            "throughput stopped growing at about 34 VUs (31.5 s into the run), at 1,422 \
             answers/s; more load only waits; it kept up at 33 VUs",
        );
        check(
            Cause::Saturation(SaturationEvidence {
                is_at_or_below: true,
                ..saturation()
            }),
            1.2,
            None,
            "throughput stopped growing at or below 1 VU (31.5 s into the run), at 1,422 \
             answers/s; more load only waits",
        );
    }

    #[test]
    fn errors_in_a_sentence() {
        check(
            Cause::Errors(ErrorEvidence::Share {
                share: 0.0825,
                limit: 0.05,
                n_requests: 1200,
            }),
            12.0,
            Some(11.0),
            "from 12 VUs on (31.5 s into the run) 8.25% of 1,200 requests failed, more than \
             5%; it kept up at 11 VUs",
        );
        check(
            Cause::Errors(ErrorEvidence::Outage {
                share: 1.0,
                n_requests: 15_147,
            }),
            12.0,
            Some(12.2),
            "from 12 VUs on (31.5 s into the run) most requests failed: 100% of 15,147",
        );
        check(
            Cause::Errors(ErrorEvidence::Silence {
                length: Duration::from_secs(10),
                in_flight: 12,
            }),
            12.0,
            None,
            "from 12 VUs on (31.5 s into the run) nothing came back for 10 s with 12 \
             requests under way",
        );
    }

    #[test]
    fn latency_in_a_sentence() {
        let evidence = LatencyEvidence {
            value_ns: 1_250_000_000,
            limit_ns: 250_000_000,
            baseline_ns: None,
        };
        check(
            Cause::Latency(evidence.clone()),
            180.0,
            Some(175.0),
            "from 180 VUs on (31.5 s into the run) p99 was 1.25 s, over 250 ms; it kept up \
             at 175 VUs",
        );
        check(
            Cause::Latency(LatencyEvidence {
                baseline_ns: Some(83_300),
                ..evidence
            }),
            180.0,
            None,
            "from 180 VUs on (31.5 s into the run) p99 was 1.25 s, over 250 ms, three \
             times its 83.3 us at low load",
        );
    }

    #[test]
    fn arrivals_are_named_as_such() {
        assert_eq!(load_text(1.5, LoadUnit::Rate), "1.5 arrivals/s");
        assert_eq!(load_text(1520.4, LoadUnit::Rate), "1,520 arrivals/s");
    }
}
