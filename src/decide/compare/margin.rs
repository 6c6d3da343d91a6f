//! What may change before it matters: the margins, and how a user says others.

use std::str::FromStr;

use crate::decide::threshold::selects;
use crate::error::did_you_mean;
use crate::outcome::{ComparedMetric, Row, RowKind, SampleKey};
use crate::threshold::{Selector, SelectorKind, parse_selector};
use crate::units::parse_duration;

/// Differences below this are those of a clock and a kernel, whatever share of a short
/// latency they are.
const LATENCY_MIN_MS: f64 = 0.05;

/// What a figure may change by. A change matters where it is beyond both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Margin {
    /// A share of the base.
    share: f64,
    /// Latency: ms. Error share: its difference.
    absolute: f64,
}

impl Margin {
    /// The one of a metric where the user says nothing: 5 % of a median or a rate, 10 %
    /// of a higher percentile, and at least 50 us; 0.1 percentage points of errors.
    fn default_of(metric: ComparedMetric) -> Self {
        let (share, absolute) = match metric {
            ComparedMetric::P50 => (0.05, LATENCY_MIN_MS),
            ComparedMetric::P95 | ComparedMetric::P99 => (0.1, LATENCY_MIN_MS),
            ComparedMetric::Rate => (0.05, 0.0),
            ComparedMetric::Errors => (0.0, 0.001),
        };
        Self { share, absolute }
    }

    /// The margin as a share of the smaller side, so that it is the same for two sides
    /// that are swapped; of an error share its difference.
    pub(super) fn of(self, metric: ComparedMetric, base: f64, new: f64) -> f64 {
        match metric.quantile() {
            Some(_) => self.share.max(self.absolute / base.min(new).max(1e-9)),
            None => self.share.max(self.absolute),
        }
    }
}

/// The margin of one metric, as the user wishes it: `p99 +10% +5ms`, or of some rows
/// alone: `tool:echo p99 +20%`.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerance {
    /// `None`: of all rows that have none of their own.
    selector: Option<Selector>,
    metric: ComparedMetric,
    margin: Margin,
}

/// What the user wishes about margins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tolerances(Vec<Tolerance>);

impl Tolerances {
    /// Margins as they are typed; each names another metric, or other rows.
    ///
    /// # Errors
    /// Where one is named twice: its selector and name.
    pub fn new(tolerances: Vec<Tolerance>) -> Result<Self, String> {
        for (at, tolerance) in tolerances.iter().enumerate() {
            let of_same = |other: &Tolerance| {
                (&other.selector, other.metric) == (&tolerance.selector, tolerance.metric)
            };
            if tolerances[..at].iter().any(of_same) {
                let name = tolerance.metric.name();
                let selector = tolerance.selector.as_ref();
                return Err(selector.map_or(name.to_string(), |of| format!("{of} {name}")));
            }
        }
        Ok(Self(tolerances))
    }

    /// A selector that selects none of these rows.
    pub fn strange(&self, keys: &[&SampleKey]) -> Option<&Selector> {
        let mut selectors = self.0.iter().filter_map(|it| it.selector.as_ref());
        selectors.find(|selector| !keys.iter().any(|key| is_selected(selector, key)))
    }

    /// Whether a metric is named for all rows: it decides then, as the medians do.
    pub(super) fn names(&self, metric: ComparedMetric) -> bool {
        self.of(metric, None).is_some()
    }

    /// Whether a metric is named for this row and not for all: it decides then, however
    /// few calls the row has.
    pub(super) fn names_own(&self, metric: ComparedMetric, key: &SampleKey) -> bool {
        self.of(metric, Some(key)).is_some()
    }

    /// What is said of the row counts before what is said of all. Who says nothing of p99
    /// tolerates of it what is tolerated of p95.
    pub(super) fn margin(&self, metric: ComparedMetric, key: Option<&SampleKey>) -> Margin {
        let wished = |metric| {
            let own = key.and_then(|key| self.of(metric, Some(key)));
            own.or_else(|| self.of(metric, None))
        };
        let of_p95 = || match metric {
            ComparedMetric::P99 => wished(ComparedMetric::P95),
            _ => None,
        };
        let wished = wished(metric).or_else(of_p95);
        wished.map_or(Margin::default_of(metric), |tolerance| tolerance.margin)
    }

    /// The last one of a row, or of all rows.
    fn of(&self, metric: ComparedMetric, key: Option<&SampleKey>) -> Option<&Tolerance> {
        let is_of = |selector: &Option<Selector>| match (selector, key) {
            (None, None) => true,
            (Some(selector), Some(key)) => is_selected(selector, key),
            _ => false,
        };
        let mut of_metric = self.0.iter().rev().filter(|it| it.metric == metric);
        of_metric.find(|it| is_of(&it.selector))
    }
}

/// As thresholds select.
fn is_selected(selector: &Selector, key: &SampleKey) -> bool {
    let row = Row {
        kind: match key.is_flow() {
            true => RowKind::FlowBusy,
            false => RowKind::Call,
        },
        method: key.method.clone(),
        subject: key.subject.clone(),
        name: key.name.clone(),
        flow: key.flow.clone(),
        population: key.population.clone(),
    };
    selects(Some(selector), &row)
}

/// All that select a row.
pub fn selectors_of(key: &SampleKey) -> Vec<Selector> {
    let names = [&key.subject, &key.name, &key.flow, &key.population];
    let names = names.into_iter().flatten();
    let kinds = [
        SelectorKind::Tool,
        SelectorKind::Resource,
        SelectorKind::Prompt,
        SelectorKind::Step,
        SelectorKind::Flow,
        SelectorKind::Population,
    ];
    let all = names.flat_map(|name| kinds.map(|kind| (kind, name.clone())));
    let selectors = all.flat_map(|(kind, name)| {
        let own = key
            .population
            .clone()
            .filter(|_| kind != SelectorKind::Population);
        let populations = std::iter::once(None).chain(own.map(Some));
        populations.map(move |population| Selector {
            kind,
            name: name.clone(),
            population,
        })
    });
    selectors
        .filter(|selector| is_selected(selector, key))
        .collect()
}

/// What a tolerance looks like, for messages.
const FORM: &str = "a metric and what it may change by, such as `p99 +10% +5ms`, `rate -5%`, \
                    `errors +0.5%` or `tool:NAME p99 +20%`";

impl FromStr for Tolerance {
    type Err = String;

    /// Reads a tolerance: a metric, then a percentage, for a latency also a time. With
    /// both, a change matters where it is beyond both. What comes before the metric is
    /// a selector, whatever is in its name: it is read from the right, as thresholds are.
    ///
    /// # Errors
    /// What is wrong with it, and what is accepted.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut head = text.trim();
        let mut words = Vec::new();
        let name = loop {
            let (before, word) = match head.rsplit_once(char::is_whitespace) {
                Some((before, word)) => (before.trim_end(), word),
                None if head.is_empty() => return Err(format!("`{text}` is not {FORM}")),
                None => ("", head),
            };
            head = before;
            match is_part(word) {
                true => words.insert(0, word),
                false => break word,
            }
        };
        let names = ComparedMetric::ALL.map(ComparedMetric::name);
        let metric = ComparedMetric::ALL
            .into_iter()
            .find(|metric| metric.name() == name);
        let metric = metric.ok_or_else(|| {
            format!(
                "`{name}` is not a metric that is compared; those are {}{}",
                names.join(", "),
                did_you_mean(name, names)
            )
        })?;
        let selector = match head {
            "" => None,
            head => Some(read_selector(head)?),
        };
        let (mut share, mut absolute) = (None, None);
        for word in words {
            let value = word.strip_prefix(['+', '-']).unwrap_or(word);
            if word.starts_with('-') && metric != ComparedMetric::Rate {
                return Err(format!(
                    "`{word}` in `{text}` has the wrong sign: {name} is worse where it rises; did \
                     you mean `+{value}`?"
                ));
            }
            if number(value).is_some_and(f64::is_finite) {
                let time = match metric.quantile() {
                    Some(_) => format!(" or `{word}ms`"),
                    None => String::new(),
                };
                return Err(format!(
                    "`{word}` in `{text}` has no unit; did you mean `{word}%`{time}?"
                ));
            }
            let points = value.strip_suffix("pp");
            let points = points.filter(|_| metric == ComparedMetric::Errors);
            let (place, value) = match points.or(value.strip_suffix('%')) {
                Some(percent) => (&mut share, number(percent).map(|n| n / 100.0)),
                None if metric.quantile().is_some() => {
                    let time = parse_duration(value).ok();
                    (&mut absolute, time.map(|time| time.as_secs_f64() * 1e3))
                }
                None => {
                    return Err(format!(
                        "`{word}` is not a percentage: {name} takes one only"
                    ));
                }
            };
            let value = value.filter(|value| (0.0..=1e9).contains(value));
            let value =
                value.ok_or_else(|| format!("`{word}` in `{text}` is not part of {FORM}"))?;
            if place.replace(value).is_some() {
                return Err(format!("`{text}` has two of a kind; expected {FORM}"));
            }
        }
        if share.is_none() && absolute.is_none() {
            return Err(format!(
                "`{text}` lacks what {name} may change by; expected {FORM}"
            ));
        }
        let (share, absolute) = (share.unwrap_or(0.0), absolute.unwrap_or(0.0));
        let margin = match metric {
            // Of a share, percent are points.
            ComparedMetric::Errors => Margin {
                share: 0.0,
                absolute: share,
            },
            _ => Margin { share, absolute },
        };
        Ok(Self {
            selector,
            metric,
            margin,
        })
    }
}

/// Whether a word is what a metric may change by, right or wrong: no metric looks so.
fn is_part(word: &str) -> bool {
    let is_number = word.starts_with(|c: char| matches!(c, '+' | '-') || c.is_ascii_digit());
    is_number || word.ends_with('%')
}

/// A number without a sign.
fn number(text: &str) -> Option<f64> {
    let text = (!text.starts_with(['+', '-'])).then_some(text);
    text.and_then(|text| text.parse().ok())
}

fn read_selector(text: &str) -> Result<Selector, String> {
    match parse_selector(text) {
        Ok(selector) if selector.kind == SelectorKind::Stage => Err(format!(
            "`{selector}` is a stage, and operations and flows are compared"
        )),
        Ok(selector) => Ok(selector),
        Err(fault) => {
            let near = fault.suggestion;
            let near = near.map(|near| format!("; did you mean `{near}`?"));
            Err(format!(
                "{}: before the metric may stand `tool:NAME`, `resource:URI`, `prompt:NAME`, \
                 `step:NAME`, `flow:NAME` or `population:NAME`, or a population and one of the \
                 others{}",
                fault.message,
                near.unwrap_or_default()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_a_metric_with_a_share_or_a_time() {
        let check = |text: &str, metric, share, absolute| {
            let expected = Tolerance {
                selector: None,
                metric,
                margin: Margin { share, absolute },
            };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        };
        check("p99 +10% +5ms", ComparedMetric::P99, 0.1, 5.0);
        check("p50 2%", ComparedMetric::P50, 0.02, 0.0);
        check("  p95   +1.5s ", ComparedMetric::P95, 0.0, 1500.0);
        check("rate -5%", ComparedMetric::Rate, 0.05, 0.0);
        check("errors +0.5%", ComparedMetric::Errors, 0.0, 0.005);
        // Of a share, percent are points, and may be called so.
        check("errors +0.5pp", ComparedMetric::Errors, 0.0, 0.005);
    }

    #[test]
    fn others_say_what_is_accepted() {
        let check = |text: &str, part: &str| {
            let error = text.parse::<Tolerance>().expect_err(text);
            assert!(error.contains(part), "{error}");
        };
        check("", "such as `p99 +10% +5ms`");
        check("p99", "lacks what p99 may change by");
        check("p999 +1%", "did you mean `p99`?");
        check("latency +1%", "those are p50, p95, p99, rate, errors");
        check("rate +5ms", "takes one only");
        check("rate +5pp", "takes one only");
        check("p99 +5% +6%", "two of a kind");
        check(
            "p99 10",
            "`10` in `p99 10` has no unit; did you mean `10%` or `10ms`?",
        );
        check("p99 +10", "did you mean `+10%` or `+10ms`?");
        check("p50 0.1", "has no unit");
        check("p99 10% 5", "`5` in `p99 10% 5` has no unit");
        check("rate 5", "has no unit; did you mean `5%`?");
        check("errors +1", "did you mean `+1%`?");
        check(
            "p95 -10%",
            "p95 is worse where it rises; did you mean `+10%`?",
        );
        check("errors -1%", "wrong sign");
        for text in [
            "p99 +x%",
            "p99 +-1%",
            "p99 ++1%",
            "p99 NaN%",
            "p99 +inf%",
            "p99 +-1%x",
            "p99 1e99%",
        ] {
            check(text, "is not part of");
        }
        check("tol:echo p99 +1%", "did you mean `tool:`?");
        check("echo p99 +1%", "`echo` is not a selector");
        check("stage:2 p99 +1%", "is a stage");
        check("tool:echo +20%", "`tool:echo` is not a metric");
        check("tool:\"a p99 +20%", "does not end with its quote");
        let twice = ["p99 1%", "p99 2%"].map(tolerance);
        assert_eq!(Tolerances::new(twice.to_vec()), Err("p99".to_string()));
        let twice = ["tool:a p99 1%", "tool:\"a\" p99 2%"].map(tolerance);
        let named = Err("tool:a p99".to_string());
        assert_eq!(Tolerances::new(twice.to_vec()), named);
    }

    fn tolerance(text: &str) -> Tolerance {
        text.parse().expect(text)
    }

    #[test]
    fn what_is_said_of_a_row_counts_before_what_is_said_of_all() {
        let call = |name: Option<&str>, flow: Option<&str>, tool: &str| SampleKey {
            method: "tools/call".to_string(),
            subject: Some(tool.to_string()),
            name: name.map(str::to_string),
            flow: flow.map(str::to_string),
            ..SampleKey::default()
        };
        let texts = [
            "p99 +30%",
            "tool:echo p99 +20%",
            "step:sign in p99 +5ms",
            "flow:check out p99 50%",
        ];
        let tolerances = Tolerances::new(texts.map(tolerance).to_vec()).expect("tolerances");
        let check = |key: Option<&SampleKey>, share, absolute| {
            let margin = tolerances.margin(ComparedMetric::P99, key);
            assert_eq!(margin, Margin { share, absolute }, "{key:?}");
        };
        check(None, 0.3, 0.0);
        check(Some(&call(None, None, "echo")), 0.2, 0.0);
        check(Some(&call(None, None, "other")), 0.3, 0.0);
        let signing_in = call(Some("sign in"), Some("check out"), "login");
        check(Some(&signing_in), 0.0, 5.0);
        check(Some(&SampleKey::of_flow("check out")), 0.5, 0.0);
        check(Some(&SampleKey::of_flow("other")), 0.3, 0.0);
        let of_p95 = Tolerances::new(vec![tolerance("p95 +40%")]).expect("tolerances");
        for (metric, share) in [(ComparedMetric::P99, 0.4), (ComparedMetric::P50, 0.05)] {
            assert_eq!(of_p95.margin(metric, None).share, share);
        }
        assert!(tolerances.names_own(ComparedMetric::P99, &signing_in));
        assert!(!tolerances.names_own(ComparedMetric::P95, &signing_in));
        let keys = [signing_in];
        let strange = tolerances.strange(&[&keys[0]]);
        assert_eq!(
            strange.map(ToString::to_string).as_deref(),
            Some("tool:echo")
        );
        let told = selectors_of(&keys[0])
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(told, ["tool:login", "step:\"sign in\""]);
    }

    #[test]
    fn near_zero_a_margin_is_absolute() {
        let margin = Tolerances::default().margin(ComparedMetric::P50, None);
        let of = |base, new| margin.of(ComparedMetric::P50, base, new);
        assert_eq!(of(100.0, 120.0), 0.05);
        assert_eq!(of(0.1, 0.12), 0.5);
        assert_eq!(of(0.12, 0.1), 0.5);
        assert!(of(0.0, 1.0).is_finite());
        let errors = Tolerances::default().margin(ComparedMetric::Errors, None);
        assert_eq!(errors.of(ComparedMetric::Errors, 0.0, 0.5), 0.001);
    }
}
