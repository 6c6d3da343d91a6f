//! The grammar: `[selector ]metric comparison value`, such as `p99<500ms`,
//! `tool:echo errors <= 1%` or `tool:"sign in" p95<1s`.
//!
//! It is read from the right, where nothing is a stranger's: the value holds no
//! comparison, the metric no blank. What is left of them is the selector, whatever
//! is in its name; of a population's calls others may be selected by a second one:
//! `population:agents tool:echo p99<1s`.

use super::{Comparison, Limit, Metric, Selector, SelectorKind, Severity, Statistic, Threshold};
use crate::error::nearest;
use crate::metrics::{Quantile, names_cause};
use crate::text::escaped;
use crate::units;

/// No tool or address that a person types is longer.
const TEXT_BYTES_MAX: usize = 4096;

/// What is wrong with a threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThresholdFault {
    /// What is wrong.
    pub message: String,
    /// What would be accepted.
    pub accepted: Option<String>,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// The metrics, as they are told.
const METRICS: [&str; 12] = [
    "p50",
    "p95",
    "p99",
    "max",
    "mean",
    "rate",
    "goodput",
    "errors",
    "dropped",
    "sessions.lost",
    "handshake.p95",
    "bytes.p95",
];

const METRICS_FORM: &str = "one of `p50` to `p99.99`, `max`, `mean`, `rate`, `goodput`, `errors`, \
    `errors.http` (or `.connect`, `.timeout`, `.jsonrpc`, `.tool`, `.protocol`, `.session`), \
    `dropped`, `sessions.lost`, `handshake.p95`, `bytes.p95`, `breaking_point`";

/// Those of groups of failures.
const ERROR_METRICS: [&str; 7] = [
    "errors.http",
    "errors.connect",
    "errors.timeout",
    "errors.jsonrpc",
    "errors.tool",
    "errors.protocol",
    "errors.session",
];

/// Words of other tools, and what they are called here.
const ALIASES: [(&str, &str); 13] = [
    ("avg", "mean"),
    ("average", "mean"),
    ("med", "p50"),
    ("median", "p50"),
    ("p100", "max"),
    ("error_rate", "errors"),
    ("http_req_failed", "errors"),
    ("http_req_duration", "p95"),
    ("latency", "p95"),
    ("dropped_iterations", "dropped"),
    ("throughput", "rate"),
    ("rps", "rate"),
    ("errors.connection", "errors.connect"),
];

/// `tool:echo`, `tool:"sign in"`, `population:agents tool:echo`
impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let population = self.population.as_ref();
        let of_population = population.map(|name| (SelectorKind::Population, name));
        for (kind, name) in of_population.into_iter().chain([(self.kind, &self.name)]) {
            let is_quoted =
                name.starts_with('"') || name.contains(char::is_whitespace) || name.is_empty();
            let behind = match (self.population.is_some(), kind) {
                (true, SelectorKind::Population) => " ",
                _ => "",
            };
            match is_quoted {
                true => write!(f, "{}:{}{behind}", kind.word(), quote(name))?,
                false => write!(f, "{}:{name}{behind}", kind.word())?,
            }
        }
        Ok(())
    }
}

/// Reads a threshold, which fails where it is not kept, and decides at the end. The
/// name of its selector is as it was typed.
///
/// # Errors
/// What is wrong with it, and what is accepted.
pub fn parse(text: &str) -> Result<Threshold, ThresholdFault> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("is longer than {TEXT_BYTES_MAX} bytes");
        return Err(fault(message, "a threshold such as `p99<500ms`"));
    }
    let (left, comparison, value) = split(text)?;
    let (selector, metric) = match left.rsplit_once(char::is_whitespace) {
        Some((selector, metric)) => (Some(parse_selector(selector.trim())?), metric),
        None => (None, left),
    };
    let metric = read_metric(metric)?;
    let is_refused = |it: &&Selector| {
        let is_known = metric.is_of_populations() && it.whole_population().is_some();
        metric.is_of_run() && !is_known
    };
    if let Some(selector) = selector.as_ref().filter(is_refused) {
        let message = format!("`{metric}` is a figure of the whole run, not of `{selector}`");
        let accepted = match metric.is_of_populations() {
            true => format!("`{metric}` alone, or `population:NAME {metric}`"),
            false => format!("`{metric}` alone"),
        };
        return Err(fault(escaped(&message), accepted));
    }
    let flow = selector.as_ref().filter(|it| it.kind == SelectorKind::Flow);
    if let (Some(flow), Metric::Bytes(_)) = (flow, &metric) {
        let message = format!("`{metric}` is a figure of calls, not of `{flow}`");
        let accepted = format!("`{metric}` of a step, such as `step:NAME {metric}<64KiB`");
        return Err(fault(escaped(&message), accepted));
    }
    let limit = read_limit(&metric, value)?;
    check_reach(&metric, comparison, limit)?;
    Ok(Threshold {
        text: text.trim().to_string(),
        selector,
        metric,
        comparison,
        limit,
        severity: Severity::Fail,
        few_fails: false,
        abort_after: None,
    })
}

fn fault(message: impl Into<String>, accepted: impl Into<String>) -> ThresholdFault {
    ThresholdFault {
        message: message.into(),
        accepted: Some(accepted.into()),
        suggestion: None,
    }
}

/// Selector and metric, the comparison, the value.
fn split(text: &str) -> Result<(&str, Comparison, &str), ThresholdFault> {
    const ACCEPTED: &str = "a metric, a comparison and a limit, such as `p99<500ms`, `errors<1%` \
        or `tool:NAME p99<200ms`";
    let is_sign = |c: char| matches!(c, '<' | '>' | '=' | '!');
    let Some(end) = text.rfind(is_sign).map(|at| at + 1) else {
        return Err(fault("has no comparison", ACCEPTED));
    };
    let head = &text[..end];
    let start = head.trim_end_matches(is_sign).len();
    let comparison = match &text[start..end] {
        "<" => Comparison::Below,
        "<=" => Comparison::AtMost,
        ">" => Comparison::Above,
        ">=" => Comparison::AtLeast,
        "=" | "==" | "===" => Comparison::Equal,
        "!=" | "!==" => Comparison::Unequal,
        other => {
            let suggestion = match other {
                "=<" => Some("<=".to_string()),
                "=>" => Some(">=".to_string()),
                "<>" => Some("!=".to_string()),
                _ => None,
            };
            return Err(ThresholdFault {
                message: format!("`{other}` is not a comparison"),
                accepted: Some("one of `<`, `<=`, `>`, `>=`, `=`, `!=`".to_string()),
                suggestion,
            });
        }
    };
    let (left, value) = (text[..start].trim(), text[end..].trim());
    if left.is_empty() {
        return Err(fault("has no metric", ACCEPTED));
    }
    if value.is_empty() {
        return Err(fault("has no limit", ACCEPTED));
    }
    Ok((left, comparison, value))
}

/// Reads what comes before a metric: `tool:echo`, `step:"sign in"`, and of a population's
/// calls `population:agents tool:echo`, in either order.
///
/// # Errors
/// What is wrong with it, and what is accepted.
pub fn parse_selector(text: &str) -> Result<Selector, ThresholdFault> {
    let Some((first, second)) = two_selectors(text) else {
        return parse_one(text);
    };
    let selectors = [parse_one(first)?, parse_one(second)?];
    let is_population = |it: &Selector| it.kind == SelectorKind::Population;
    let (population, others) = match selectors {
        [a, b] if is_population(&a) && !is_population(&b) => (a, b),
        [a, b] if is_population(&b) && !is_population(&a) => (b, a),
        [a, _] => {
            let message = format!("`{}` comes before another population", shortened(first));
            let accepted = format!("`{a}` alone; give several thresholds");
            return Err(fault(message, accepted));
        }
    };
    Ok(Selector {
        population: Some(population.name),
        ..others
    })
}

/// The two parts where a population is one of them: it, and a selector beside it. A name
/// without quotes goes on to the next selector, so that those of others hold anything but
/// ` population:`.
fn two_selectors(text: &str) -> Option<(&str, &str)> {
    let (word, name) = text.split_once(':')?;
    let is_population = word == SelectorKind::Population.word();
    let from = word.len() + 1;
    let ends_at = match name.starts_with('"') {
        // What follows is looked at where the name ends.
        true => from + quoted_len(name)?,
        false => from,
    };
    let begins_another = |at: &usize| {
        let rest = text[*at..].trim_start();
        let known = rest.split_once(':').map(|(word, _)| word);
        match is_population {
            true => SelectorKind::WORDS
                .iter()
                .any(|(word, _)| Some(*word) == known),
            false => known == Some(SelectorKind::Population.word()),
        }
    };
    let mut blanks = text[ends_at..].match_indices(char::is_whitespace);
    let at = match name.starts_with('"') {
        true => blanks.next().map(|_| ends_at).filter(begins_another),
        false => blanks.map(|(at, _)| ends_at + at).find(begins_another),
    }?;
    Some((text[..at].trim_end(), text[at..].trim_start()))
}

/// How long a text is that begins with a quote, up to the quote that ends it.
fn quoted_len(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let mut letters = text.char_indices().skip(1);
    letters.find_map(|(at, letter)| {
        let is_end = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_end.then_some(at + 1)
    })
}

fn parse_one(text: &str) -> Result<Selector, ThresholdFault> {
    const ACCEPTED: &str = "`tool:NAME`, `resource:URI`, `prompt:NAME`, `step:NAME`, `flow:NAME`, \
        `stage:NUMBER` or `population:NAME` before the metric, or a population and one of the \
        others";
    let (word, name) = text.split_once(':').unwrap_or((text, ""));
    let kind = SelectorKind::WORDS.iter().find(|(known, _)| *known == word);
    let Some((_, kind)) = kind.filter(|_| text.contains(':')) else {
        if text.contains(['<', '>', '=']) || text.contains("&&") || text.contains("||") {
            let message = "has more than one condition";
            return Err(fault(message, "one condition; give several thresholds"));
        }
        let words = SelectorKind::WORDS.iter().map(|(word, _)| *word);
        return Err(ThresholdFault {
            message: format!("`{}` is not a selector", shortened(text)),
            accepted: Some(ACCEPTED.to_string()),
            suggestion: nearest(word, words).map(|word| format!("{word}:")),
        });
    };
    let name = match name.starts_with('"') {
        true => unquote(name).ok_or_else(|| {
            let message = format!("the name {} does not end with its quote", shortened(name));
            let accepted = "a name in double quotes, with `\\\"` and `\\\\` for those in it";
            fault(message, accepted)
        })?,
        false => name.to_string(),
    };
    if name.is_empty() {
        return Err(fault(format!("`{word}:` has no name"), ACCEPTED));
    }
    Ok(Selector {
        kind: *kind,
        name,
        population: None,
    })
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What is between quotes; `None` where the last of them does not end it.
fn unquote(text: &str) -> Option<String> {
    let mut name = String::new();
    let mut letters = text.strip_prefix('"')?.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return letters.as_str().is_empty().then_some(name),
            '\\' => name.push(letters.next().filter(|next| matches!(next, '"' | '\\'))?),
            letter => name.push(letter),
        }
    }
    None
}

fn read_metric(text: &str) -> Result<Metric, ThresholdFault> {
    let found = match text {
        "rate" => Some(Metric::Rate),
        "goodput" => Some(Metric::Goodput),
        "errors" => Some(Metric::Errors(None)),
        "dropped" => Some(Metric::Dropped),
        "sessions.lost" => Some(Metric::SessionsLost),
        "breaking_point" => Some(Metric::BreakingPoint),
        _ => match text.split_once('.') {
            Some(("handshake", statistic)) => read_statistic(statistic).map(Metric::Handshake),
            Some(("bytes", statistic)) => read_statistic(statistic).map(Metric::Bytes),
            Some(("errors", cause)) => {
                names_cause(cause).then(|| Metric::Errors(Some(cause.to_string())))
            }
            _ => read_statistic(text).map(Metric::Latency),
        },
    };
    found.ok_or_else(|| ThresholdFault {
        message: format!("`{}` is not a metric", shortened(text)),
        accepted: Some(METRICS_FORM.to_string()),
        suggestion: near_metric(text),
    })
}

/// What was probably meant by a word that is not a metric.
fn near_metric(text: &str) -> Option<String> {
    // As other languages write it, or a shift key that was held.
    let plain = text.to_lowercase().replace(',', ".");
    if plain != text && read_metric(&plain).is_ok() {
        return Some(plain);
    }
    let alias = ALIASES.iter().find(|(other, _)| *other == text);
    let known = METRICS.into_iter().chain(ERROR_METRICS);
    let near = || nearest(text, known.chain(["breaking_point"]));
    // What is one letter away from any percentile is no word that was meant.
    let near = || near().filter(|near| !near.starts_with('p') || text.len() > 3);
    alias.map(|(_, own)| *own).or_else(near).map(str::to_string)
}

fn read_statistic(text: &str) -> Option<Statistic> {
    match text {
        "max" => Some(Statistic::Max),
        "mean" => Some(Statistic::Mean),
        _ => Quantile::read(text).map(Statistic::Quantile),
    }
}

fn read_limit(metric: &Metric, text: &str) -> Result<Limit, ThresholdFault> {
    let limit = match metric {
        Metric::Latency(_) | Metric::Handshake(_) => read_time(text),
        Metric::Bytes(_) => units::parse_bytes(text).ok().map(Limit::Bytes),
        Metric::Rate | Metric::Goodput => read_rate(text).map(Limit::PerSec),
        Metric::BreakingPoint => read_rate(text).map(|load| match text.contains('/') {
            true => Limit::PerSec(load),
            false => Limit::Load(load),
        }),
        Metric::Errors(_) | Metric::Dropped => read_share(text).or_else(|| read_count(text)),
        Metric::SessionsLost => read_count(text),
    };
    limit.ok_or_else(|| {
        let accepted = match metric {
            Metric::Latency(_) | Metric::Handshake(_) => {
                "a time with its unit, such as `500ms` or `1.5s`"
            }
            Metric::Bytes(_) => units::BYTES_FORM,
            Metric::Rate | Metric::Goodput => "a rate such as `100/s`",
            Metric::BreakingPoint => {
                "a load such as `100`, in virtual users, or arrivals such as `100/s`"
            }
            Metric::Errors(_) | Metric::Dropped => {
                "a share from `0%` to `100%`, such as `1%`, or a whole number such as `5`"
            }
            Metric::SessionsLost => "a whole number such as `5`",
        };
        let message = format!("`{}` is not a limit of `{metric}`", shortened(text));
        ThresholdFault {
            suggestion: meant(metric, text),
            ..fault(message, accepted)
        }
    })
}

/// `errors<0.01` of k6 is `errors<1%` here, `p99<500` is `p99<500ms`.
fn meant(metric: &Metric, text: &str) -> Option<String> {
    let (digits, scale) = decimal(text)?;
    match metric {
        Metric::Latency(_) | Metric::Handshake(_) => Some(format!("{text}ms")),
        Metric::Errors(_) | Metric::Dropped if digits <= 10_u64.checked_pow(scale)? => {
            let percent = digits as f64 * 100.0 / 10_f64.powi(i32::try_from(scale).ok()?);
            Some(format!("{percent}%"))
        }
        _ => None,
    }
}

/// With a unit: what a bare number means differs from tool to tool.
fn read_time(text: &str) -> Option<Limit> {
    let has_unit = text.ends_with(char::is_alphabetic);
    let time = units::parse_duration(text).ok().filter(|_| has_unit)?;
    Some(Limit::Time(units::nanos(time)))
}

/// Events a second, or a bare number of them. Zero too.
fn read_rate(text: &str) -> Option<f64> {
    let number = text.strip_suffix("/s").unwrap_or(text).trim();
    match decimal(number) {
        Some(_) => number.parse().ok(),
        None => units::parse_rate(text).ok(),
    }
}

fn read_count(text: &str) -> Option<Limit> {
    match decimal(text)? {
        (count, 0) => Some(Limit::Count(count)),
        _ => None,
    }
}

fn read_share(text: &str) -> Option<Limit> {
    let (part, scale) = decimal(text.strip_suffix('%')?.trim_end())?;
    let whole = 10_u64.checked_pow(scale)?.checked_mul(100)?;
    (part <= whole).then_some(Limit::Share { part, whole })
}

/// Digits, perhaps with a point: as a whole number, and its decimals.
fn decimal(text: &str) -> Option<(u64, u32)> {
    const DECIMALS_MAX: usize = 9;
    let (whole, decimals) = match text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = format!("{whole}{decimals}");
    let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || decimals.len() > DECIMALS_MAX {
        return None;
    }
    Some((digits.parse().ok()?, u32::try_from(decimals.len()).ok()?))
}

/// A limit that no value can keep is a slip.
fn check_reach(
    metric: &Metric,
    comparison: Comparison,
    limit: Limit,
) -> Result<(), ThresholdFault> {
    let is_time = matches!(limit, Limit::Time(_));
    let (is_least, is_most) = match limit {
        Limit::Share { part, whole } => (part == 0, part == whole),
        limit => (limit.in_unit() <= 0.0, false),
    };
    let is_out_of_reach = match comparison {
        Comparison::Below => is_least,
        Comparison::AtMost | Comparison::Equal => is_least && is_time,
        Comparison::Above => is_most,
        Comparison::AtLeast | Comparison::Unequal => false,
    };
    match is_out_of_reach {
        true => Err(ThresholdFault {
            message: format!("no value of `{metric}` can keep it"),
            accepted: Some(match comparison {
                Comparison::Above => "a limit below 100%".to_string(),
                _ if is_time => "a time above zero".to_string(),
                _ => format!("`{metric}<=0`, or a limit above zero"),
            }),
            suggestion: None,
        }),
        false => Ok(()),
    }
}

/// What is repeated of a text in a message.
fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let head: String = text.chars().take(CHARS_MAX).collect();
    let more = if head.len() < text.len() { "…" } else { "" };
    format!("{}{more}", escaped(&head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Threshold {
        parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    #[test]
    fn metrics_comparisons_and_limits_are_read() {
        let check = |text: &str, metric: &str, comparison, limit| {
            let it = read(text);
            let found = (it.metric.to_string(), it.comparison, it.limit);
            assert_eq!(found, (metric.to_string(), comparison, limit), "{text}");
            assert_eq!((it.selector, it.text.as_str()), (None, text.trim()));
        };
        let ms = |ms: u64| Limit::Time(ms * 1_000_000);
        let share = |part, whole| Limit::Share { part, whole };
        use Comparison::{Above, AtLeast, AtMost, Below, Equal, Unequal};
        check("p99<500ms", "p99", Below, ms(500));
        check(" p99.9  <=  1m30s ", "p99.9", AtMost, ms(90_000));
        check("p(95)<1.5s", "p95", Below, ms(1500));
        check("max<=2s", "max", AtMost, ms(2000));
        check("mean < 20ms", "mean", Below, ms(20));
        check("handshake.p95<1s", "handshake.p95", Below, ms(1000));
        check(
            "bytes.p95<=64KiB",
            "bytes.p95",
            AtMost,
            Limit::Bytes(65_536),
        );
        check("rate>=100/s", "rate", AtLeast, Limit::PerSec(100.0));
        check("rate>90/m", "rate", Above, Limit::PerSec(1.5));
        check("goodput>99.5", "goodput", Above, Limit::PerSec(99.5));
        check("errors<1%", "errors", Below, share(1, 100));
        check("errors<0.7%", "errors", Below, share(7, 1000));
        check("errors>99%", "errors", Above, share(99, 100));
        check("errors<100%", "errors", Below, share(100, 100));
        check("errors<5", "errors", Below, Limit::Count(5));
        check("errors.http==0", "errors.http", Equal, Limit::Count(0));
        check(
            "errors.http.503!=1",
            "errors.http.503",
            Unequal,
            Limit::Count(1),
        );
        check(
            "errors.timeout.waiting<=0%",
            "errors.timeout.waiting",
            AtMost,
            share(0, 100),
        );
        check("dropped=0", "dropped", Equal, Limit::Count(0));
        check("sessions.lost<3", "sessions.lost", Below, Limit::Count(3));
        check(
            "breaking_point>100",
            "breaking_point",
            Above,
            Limit::Load(100.0),
        );
    }

    #[test]
    fn names_may_hold_anything() {
        let check = |text: &str, kind, name: &str| {
            let selector = read(text).selector.expect("a selector");
            assert_eq!((selector.kind, selector.name.as_str()), (kind, name));
            // As it is told, it is read again.
            let again = read(&format!("{selector} p99<1s"));
            assert_eq!(again.selector, Some(selector));
        };
        use SelectorKind::{Flow, Prompt, Resource, Stage, Step, Tool};
        check("tool:echo p99<200ms", Tool, "echo");
        check("tool:sign in p99<200ms", Tool, "sign in");
        check("tool:\"sign in\" p99<200ms", Tool, "sign in");
        check(r#"tool:"say \"hi\" \\" p99<1s"#, Tool, r#"say "hi" \"#);
        check(r#"tool:say "hi" p99 < 1s"#, Tool, r#"say "hi""#);
        check("tool:a<b p99<1s", Tool, "a<b");
        check("tool:x p99<5s p95<1s", Tool, "x p99<5s");
        check("tool:stage:2 p95<1s", Tool, "stage:2");
        check("tool:a${b}{{c}} errors=0", Tool, "a${b}{{c}}");
        check(
            "resource:file:///a b?c=d p95<1s",
            Resource,
            "file:///a b?c=d",
        );
        check("prompt:grüße errors<1%", Prompt, "grüße");
        check("flow:checkout p95<2s", Flow, "checkout");
        check("flow:check out errors<1%", Flow, "check out");
        check("step:\"sign in\" p99<200ms", Step, "sign in");
        check("step:a:b bytes.max<1MiB", Step, "a:b");
        check("stage:2 p99<1s", Stage, "2");
        check("stage: 2 p99<1s", Stage, " 2");
    }

    #[test]
    fn a_population_goes_with_another_selector() {
        let check = |text: &str, population: &str, kind, name: &str, told: &str| {
            let selector = read(&format!("{text} p99<1s"))
                .selector
                .expect("a selector");
            assert_eq!(selector.population.as_deref(), Some(population), "{text}");
            assert_eq!((selector.kind, selector.name.as_str()), (kind, name));
            assert_eq!(selector.to_string(), told);
            assert_eq!(read(&format!("{told} p99<1s")).selector, Some(selector));
        };
        use SelectorKind::{Flow, Stage, Step, Tool};
        let told = "population:agents tool:echo";
        check("population:agents tool:echo", "agents", Tool, "echo", told);
        check("tool:echo population:agents", "agents", Tool, "echo", told);
        check(
            "population:agents   stage:2",
            "agents",
            Stage,
            "2",
            "population:agents stage:2",
        );
        check(
            r#"population:"big buyers" step:"sign in""#,
            "big buyers",
            Step,
            "sign in",
            r#"population:"big buyers" step:"sign in""#,
        );
        check(
            "population:big buyers flow:check out",
            "big buyers",
            Flow,
            "check out",
            r#"population:"big buyers" flow:"check out""#,
        );
        check(
            r#"tool:"a population:b" population:c"#,
            "c",
            Tool,
            "a population:b",
            r#"population:c tool:"a population:b""#,
        );
        check(
            r#"population:"a tool:b" tool:"c""#,
            "a tool:b",
            Tool,
            "c",
            r#"population:"a tool:b" tool:c"#,
        );
        // Sessions and arrivals are of populations too, and of nothing in them.
        for text in ["handshake.p95<1s", "dropped<1%"] {
            assert!(parse(&format!("population:a {text}")).is_ok(), "{text}");
        }
        assert!(parse("population:a sessions.lost=0").is_err());
        // A word that selects nothing is part of the name.
        let alone = read("population:big tol:buyers p99<1s").selector;
        assert_eq!(alone.map(|it| it.name).as_deref(), Some("big tol:buyers"));
    }

    #[test]
    fn faults_say_what_is_accepted() {
        let check = |text: &str, message: &str, suggestion: Option<&str>| {
            let fault = parse(text).expect_err(text);
            assert_eq!(fault.message, message, "{text}");
            assert_eq!(fault.suggestion.as_deref(), suggestion, "{text}");
            assert!(fault.accepted.is_some(), "{text}");
        };
        check("", "has no comparison", None);
        check("p99", "has no comparison", None);
        check("<5", "has no metric", None);
        check("p99<", "has no limit", None);
        check("p99=<5ms", "`=<` is not a comparison", Some("<="));
        check("p99<>5ms", "`<>` is not a comparison", Some("!="));
        check("p100<5ms", "`p100` is not a metric", Some("max"));
        check("p99.999<5ms", "`p99.999` is not a metric", None);
        check("goodputt>5", "`goodputt` is not a metric", Some("goodput"));
        check("avg<5ms", "`avg` is not a metric", Some("mean"));
        check(
            "errors.htpp=0",
            "`errors.htpp` is not a metric",
            Some("errors.http"),
        );
        check(
            "errors.htp=0",
            "`errors.htp` is not a metric",
            Some("errors.http"),
        );
        check("P99<1s", "`P99` is not a metric", Some("p99"));
        check("p99,99<1s", "`p99,99` is not a metric", Some("p99.99"));
        check("Errors<1%", "`Errors` is not a metric", Some("errors"));
        check("p99<500", "`500` is not a limit of `p99`", Some("500ms"));
        check(
            "errors<0.01",
            "`0.01` is not a limit of `errors`",
            Some("1%"),
        );
        check("errors<101%", "`101%` is not a limit of `errors`", None);
        check("errors<-1", "`-1` is not a limit of `errors`", None);
        check("errors<NaN%", "`NaN%` is not a limit of `errors`", None);
        check("rate>inf", "`inf` is not a limit of `rate`", None);
        check("rate>1e5", "`1e5` is not a limit of `rate`", None);
        check("p99<0ms", "no value of `p99` can keep it", None);
        check("p99<=0s", "no value of `p99` can keep it", None);
        check("errors<0%", "no value of `errors` can keep it", None);
        check("errors>100%", "no value of `errors` can keep it", None);
        check("rate<0/s", "no value of `rate` can keep it", None);
        check(
            "tol:echo p99<1s",
            "`tol:echo` is not a selector",
            Some("tool:"),
        );
        check("echo p99<1s", "`echo` is not a selector", None);
        check("flwo:a p99<1s", "`flwo:a` is not a selector", Some("flow:"));
        check("stpe:a p99<1s", "`stpe:a` is not a selector", Some("step:"));
        check(
            "flow:checkout bytes.p95<1KiB",
            "`bytes.p95` is a figure of calls, not of `flow:checkout`",
            None,
        );
        check(
            "flow:checkout dropped=0",
            "`dropped` is a figure of the whole run, not of `flow:checkout`",
            None,
        );
        check("tool: p99<1s", "`tool:` has no name", None);
        check("population:a tool: p99<1s", "`tool:` has no name", None);
        check(
            "population:a population:b p99<1s",
            "`population:a` comes before another population",
            None,
        );
        check(
            "population:a tool:b dropped=0",
            "`dropped` is a figure of the whole run, not of `population:a tool:b`",
            None,
        );
        check(
            "population:a flow:b bytes.p95<1KiB",
            "`bytes.p95` is a figure of calls, not of `population:a flow:b`",
            None,
        );
        check(
            "tool:\"a p99<1s",
            "the name \"a does not end with its quote",
            None,
        );
        check(
            "tool:\"a\" x p99<1s",
            "the name \"a\" x does not end with its quote",
            None,
        );
        check("p95<1s p99<2s", "has more than one condition", None);
        check("p95<1s && p99<2s", "has more than one condition", None);
        check(
            "tool:echo dropped=0",
            "`dropped` is a figure of the whole run, not of `tool:echo`",
            None,
        );
        let long = format!("tool:{} p99<1s", "x".repeat(TEXT_BYTES_MAX));
        check(&long, "is longer than 4096 bytes", None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", tail in "[a-z0-9.<>=!% \"\\\\:]{0,20}") {
            let _ = parse(&text);
            let _ = parse(&format!("{text} {tail}"));
        }

        #[test]
        fn every_name_is_read_as_it_was_told(
            name in "\\PC{1,30}",
            population in prop::option::of("\\PC{1,30}"),
        ) {
            let is_name = |name: &String| !name.trim().is_empty();
            prop_assume!(is_name(&name) && population.as_ref().is_none_or(is_name));
            let selector = Selector { kind: SelectorKind::Tool, name, population };
            let text = format!("{selector} p99<1s");
            prop_assert_eq!(read(&text).selector, Some(selector));
        }
    }
}
