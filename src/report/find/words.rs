//! What a search found, in words.

use std::time::Duration;

use super::model::{FindEnd, FindReport, NotPassed, TrialFigures};
use crate::outcome::{FindEstimate, FindOptions, FindTrial, FindVerdict, FindWhy, LoadUnit};
use crate::units::{
    format_count, format_duration, format_latency, format_percent, format_rate, ms, plural,
};

/// `sustains 180 VUs, 1,420 calls/s at p99 212 ms (verified); fails at 190 VUs
/// by latency; undecided between`.
pub(super) fn answer(report: &FindReport) -> String {
    let options = &report.search;
    let mut parts = Vec::new();
    match (&report.sustains, &report.passed) {
        (Some(trial), _) => parts.push(format!(
            "sustains {} (verified)",
            load_and_figures(options, trial)
        )),
        (None, Some(trial)) => parts.push(format!(
            "passed {}{}",
            load_and_figures(options, trial),
            not_verified(options)
        )),
        (None, None) => parts.push("no level was sustained".to_string()),
    }
    match &report.fails_at {
        Some(failure) => parts.push(fails_at(options, failure)),
        None if report.ended == FindEnd::ReachedTo => {
            parts.push("the highest level allowed: its capacity lies above".to_string());
        }
        None => parts.push("no level failed so far".to_string()),
    }
    if gap(report).is_some() {
        parts.push("undecided between".to_string());
    }
    parts.join("; ")
}

/// `1 to 2,000 virtual users; p99 at most 250 ms, errors at most 1%`.
pub fn search_in_words(options: &FindOptions) -> String {
    let what = match options.by {
        LoadUnit::Vus => "virtual users",
        LoadUnit::Rate => "arrivals a second",
    };
    format!(
        "{} to {} {what}; {}",
        number(options.from),
        number(options.to),
        limits(options)
    )
}

/// Levels as they were typed: whole numbers without a fraction.
fn number(level: f64) -> String {
    if level.fract() == 0.0 {
        format_count(level as u64)
    } else {
        format!("{level}")
    }
}

/// What is said of a level that passed and was not verified.
pub(super) fn not_verified(options: &FindOptions) -> &'static str {
    match options.quick {
        true => " (not verified: a quick search)",
        false => " (not verified)",
    }
}

/// `fails at 190 VUs by latency`, or that it is not certain.
fn fails_at(options: &FindOptions, failure: &NotPassed) -> String {
    let level = level(options.by, failure.trial.level);
    let why = &failure.why;
    let evidence = match &failure.trial.evidence {
        Some(evidence) => format!(" ({evidence})"),
        None => String::new(),
    };
    if failure.certain {
        format!("fails at {level} by {why}{evidence}")
    } else {
        format!("not passed at {level}, undecided by {why}{evidence}")
    }
}

/// The levels of the answer, where one that could be tested lies between.
pub(super) fn gap(report: &FindReport) -> Option<(f64, f64)> {
    let low = report.sustains.as_ref().or(report.passed.as_ref())?.level;
    let high = report.fails_at.as_ref()?.trial.level;
    let is_gap = match report.search.by {
        LoadUnit::Vus => high - low > 1.0,
        LoadUnit::Rate => high > low,
    };
    is_gap.then_some((low, high))
}

/// `180 VUs, 1,420 calls/s at p99 212 ms`: the latency is that of the strictest
/// limit, or p99.
pub(super) fn load_and_figures(options: &FindOptions, trial: &TrialFigures) -> String {
    let (name, ns) = decisive_percentile(options, trial);
    let latency = match ns {
        Some(ns) => format!(" at {name} {}", format_latency(ns)),
        None => String::new(),
    };
    format!(
        "{}, {} calls/s{latency}",
        level(options.by, trial.level),
        format_rate(trial.rate_per_sec).trim_end_matches("/s")
    )
}

/// The percentile of a level's latency that the strictest limit is of, or p99: its name,
/// and its value in nanoseconds.
pub(in crate::report) fn decisive_percentile(
    options: &FindOptions,
    trial: &TrialFigures,
) -> (&'static str, Option<u64>) {
    percentile(
        decisive_quantile(options),
        [trial.p50_ns, trial.p95_ns, trial.p99_ns],
    )
}

/// The quantile that the strictest limit is of, or 0.99.
pub(in crate::report) fn decisive_quantile(options: &FindOptions) -> f64 {
    let quantiles = options.latency.iter().map(|limit| limit.quantile);
    quantiles.reduce(f64::max).unwrap_or(0.99)
}

/// Of p50, p95 and p99 the one that is nearest to a limit's quantile.
fn percentile<T>(quantile: f64, values: [T; 3]) -> (&'static str, T) {
    let [p50, p95, p99] = values;
    if quantile > 0.97 {
        ("p99", p99)
    } else if quantile > 0.9 {
        ("p95", p95)
    } else {
        ("p50", p50)
    }
}

/// `180 VUs`, `35.0/s`.
pub(super) fn level(by: LoadUnit, level: f64) -> String {
    match by {
        // A cast from a float saturates.
        LoadUnit::Vus => vus(level.round() as u64),
        LoadUnit::Rate => format_rate(level),
    }
}

fn vus(count: u64) -> String {
    plural(count, "VU", "VUs")
}

/// A stable word, the same in the JSON.
pub(super) fn why(why: FindWhy) -> &'static str {
    match why {
        FindWhy::Latency { .. } => "latency",
        FindWhy::Errors => "errors",
        FindWhy::Throughput => "throughput",
        FindWhy::Backlog => "backlog",
        FindWhy::Silence => "silence",
    }
}

/// Why a level was not passed: the figure beside its limit, always told apart.
/// `None` where it was passed, or nothing was decided.
pub(super) fn evidence(options: &FindOptions, trial: &FindTrial) -> Option<String> {
    match trial.verdict {
        FindVerdict::Failed(why) | FindVerdict::Undecided(why) => evidence_of(options, trial, why),
        _ => None,
    }
}

/// The figure that says that this was not kept, beside its limit.
pub(super) fn evidence_of(
    options: &FindOptions,
    trial: &FindTrial,
    why: FindWhy,
) -> Option<String> {
    Some(match why {
        FindWhy::Latency { limit_idx } => {
            let limit = options.latency.get(limit_idx)?;
            let share = trial.shares_over.get(limit_idx).copied().unwrap_or(0.0);
            let (share, allowed) = percents_apart(share, 1.0 - limit.quantile);
            let limit = format_latency(limit.limit_ns);
            let counted = match (trial.error_share > 0.0, trial.n_dropped > 0) {
                (false, false) => "",
                (true, false) => " or failed",
                (false, true) => " or were dropped",
                (true, true) => ", failed or were dropped",
            };
            format!("{share} of the calls took more than {limit}{counted}, {allowed} may")
        }
        FindWhy::Errors => {
            let allowed = options.error_share_max?;
            let (share, allowed) = percents_apart(trial.error_share, allowed);
            format!("{share} of the calls failed, {allowed} may")
        }
        FindWhy::Throughput => {
            let dropped = match trial.n_dropped {
                0 => String::new(),
                n => format!("; {} were dropped", format_count(n)),
            };
            format!(
                "{} ended of {} that were due{dropped}",
                format_rate(trial.rate),
                format_rate(trial.offered_rate)
            )
        }
        FindWhy::Backlog => "calls under way piled up".to_string(),
        FindWhy::Silence => "no call was answered any more".to_string(),
    })
}

/// Two shares in percent, with as many decimals as it takes to tell them apart.
fn percents_apart(share: f64, allowed: f64) -> (String, String) {
    let shown = (format_percent(share), format_percent(allowed));
    if shown.0 != shown.1 || share == allowed {
        return shown;
    }
    let finer = (3..=12).map(|n_decimals| {
        let percent = |share: f64| format!("{:.n_decimals$}%", share * 100.0);
        (percent(share), percent(allowed))
    });
    finer
        .into_iter()
        .find(|(share, allowed)| share != allowed)
        .unwrap_or(shown)
}

/// The strictest limit on a quantile, in nanoseconds.
pub(in crate::report) fn limit_on(options: &FindOptions, quantile: f64) -> Option<u64> {
    let limits = options.latency.iter();
    let limits = limits.filter(|limit| limit.quantile == quantile);
    limits.map(|limit| limit.limit_ns).min()
}

/// A latency beside the limit on it: one above the limit never looks like it.
pub(super) fn latency_beside(value_ns: u64, limit_ns: Option<u64>) -> String {
    let shown = format_latency(value_ns);
    let Some(limit_ns) = limit_ns.filter(|limit_ns| value_ns > *limit_ns) else {
        return shown;
    };
    if shown != format_latency(limit_ns) {
        return shown;
    }
    let ms = |ns: u64, n_decimals: usize| format!("{:.n_decimals$} ms", ms(ns));
    (1..=6)
        .find(|n_decimals| ms(value_ns, *n_decimals) != ms(limit_ns, *n_decimals))
        .map_or(shown, |n_decimals| ms(value_ns, n_decimals))
}

/// `the search will take 2m to 7m; …`.
pub(super) fn estimate(options: &FindOptions, estimate: &FindEstimate) -> String {
    let mut text = format!(
        "the search will take about {}",
        range(estimate.shortest, estimate.longest)
    );
    if let Some((shortest, longest)) = estimate.with_p95 {
        text += &format!(
            ", for {} requests make one unit of evidence; with `--max-p95` instead it would \
             take {}",
            format_count(estimate.requests_per_unit),
            range(shortest, longest)
        );
    }
    if let Some(deadline) = options.deadline
        && deadline < estimate.shortest
    {
        text += &format!(
            "; its deadline of {} comes first",
            format_duration(deadline)
        );
    }
    text
}

fn range(shortest: Duration, longest: Duration) -> String {
    let shown = |duration: Duration| {
        if duration > Duration::from_secs(86_400) {
            "more than a day".to_string()
        } else if duration > Duration::from_secs(600) {
            format_duration(Duration::from_secs(duration.as_secs().div_ceil(60) * 60))
        } else {
            format_duration(Duration::from_secs(duration.as_secs()))
        }
    };
    let (shortest, longest) = (shown(shortest), shown(longest));
    if shortest == longest {
        shortest
    } else {
        format!("{shortest} to {longest}")
    }
}

/// `p99 at most 50.0 ms, errors at most 1%`.
fn limits(options: &FindOptions) -> String {
    let latency = options.latency.iter().map(|limit| {
        let at_most = format_latency(limit.limit_ns);
        format!("{} at most {at_most}", quantile_name(limit.quantile))
    });
    let errors = options.error_share_max.into_iter();
    let errors = errors.map(|share| format!("errors at most {}", format_percent(share)));
    latency.chain(errors).collect::<Vec<_>>().join(", ")
}

/// `p99`, `p99.9`.
fn quantile_name(quantile: f64) -> String {
    let percent = format_percent(quantile);
    format!("p{}", percent.trim_end_matches('%'))
}
