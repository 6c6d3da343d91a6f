//! Which reports may be merged: a table of what is looked at, and what becomes of it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::clock::Utc;
use crate::error::shortened;
use crate::report::model::{ReasonNote, Report, StoredKind};
use crate::scenario;
use crate::units::{format_count, plural};
use crate::validity::Grade;

/// What is to be done about something that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    /// There is no sum.
    Never,
    /// The sum may mean something else than it seems to; `--force` makes it.
    IfForced,
    /// The sum is right, and who reads it should know.
    Told,
}

/// Counts of a whole run are below this: sums of a thousand reports fit 64 bits.
const COUNT_MAX: u64 = 1 << 53;

/// Each is looked at beside each other.
const REPORTS_MAX: usize = 100;

/// Keys of a plan that say which part of the load a host made, or how it made it. That
/// they differ is no matter.
const OF_A_HOST: [&str; 8] = [
    "preflight",
    "segment",
    "seed",
    "workers",
    "pin",
    "busy_poll",
    "start_at",
    "histograms",
];

/// The same of its `network`: files and addresses of the host itself.
const OF_A_HOSTS_NETWORK: [&str; 3] = ["bind", "ca", "client_cert"];

/// All that was found, each with the names of files that it is about.
pub(super) fn fits(reports: &[(String, Report)]) -> Vec<(Fitness, String)> {
    let mut found = Vec::new();
    for (name, report) in reports {
        found.extend(of_one(report).map(|what| (Fitness::Never, format!("`{name}` {what}"))));
    }
    if reports.len() > REPORTS_MAX {
        let what = format!("{} are too many: at most {REPORTS_MAX}", reports.len());
        return vec![(Fitness::Never, what)];
    }
    let Some(((first_name, first), others)) = reports.split_first() else {
        return vec![(Fitness::Never, "there is none".to_string())];
    };
    for (name, report) in others {
        for (fit, what, of) in TABLE {
            let (a, b) = (of(first), of(report));
            if a != b {
                let (a, b) = (shortened(&a), shortened(&b));
                let what =
                    format!("the {what} differs: `{a}` in `{first_name}`, `{b}` in `{name}`");
                found.push((*fit, what));
            }
        }
        let keys = plan_differences(&first.plan, &report.plan);
        if !keys.is_empty() {
            let keys: Vec<String> = keys.iter().take(10).map(|key| format!("`{key}`")).collect();
            let what = format!(
                "`{name}` has another plan than `{first_name}`: {}",
                keys.join(", ")
            );
            found.push((Fitness::IfForced, what));
        }
    }
    for (at, (name, report)) in reports.iter().enumerate() {
        for (other_name, other) in &reports[..at] {
            found.extend(of_two((other_name, other), (name, report)));
        }
    }
    found
}

/// Whether the sessions of the load held streams beside their calls.
fn held_streams(report: &Report) -> &'static str {
    match report.listen {
        Some(_) => "held",
        None => "none",
    }
}

/// What is compared by words: with the first report.
type FitRule = (Fitness, &'static str, fn(&Report) -> String);

const TABLE: &[FitRule] = &[
    (Fitness::IfForced, "target", |it| it.target_url.clone()),
    (Fitness::IfForced, "era of the protocol", |it| {
        it.server.era.clone()
    }),
    (Fitness::IfForced, "listening streams", |it| {
        held_streams(it).to_string()
    }),
    (Fitness::Never, "start from which latency counts", |it| {
        format!("{:?}", it.run.latency_from)
    }),
    (Fitness::Told, "revision of the protocol", |it| {
        it.server.revision.clone()
    }),
    (Fitness::Told, "version of the server", |it| {
        it.server.version.clone().unwrap_or_default()
    }),
    (Fitness::Told, "version of this program", |it| {
        it.run.version.clone()
    }),
    (Fitness::Told, "host", |it| {
        let host = &it.host;
        let cpu = host.cpu_model.as_deref().unwrap_or("unknown");
        let kernel = host.kernel.as_deref().unwrap_or("unknown");
        let cpus = plural(host.usable_cpus as u64, "CPU", "CPUs");
        format!("{cpus} ({cpu}), {kernel}")
    }),
];

/// What keeps a report from being merged with any other.
fn of_one(report: &Report) -> Option<String> {
    let Some(stored) = &report.histograms else {
        return Some(
            "holds no histograms (its run had `--histograms off`, or was made by an earlier \
             version), and percentiles cannot be added"
                .to_string(),
        );
    };
    if let Err(what) = stored.check() {
        return Some(what);
    }
    if stored.row(StoredKind::Total).is_none() {
        return Some("holds no histogram of all calls".to_string());
    }
    let is_length = report.duration_secs >= 0.0 && report.duration_secs < 1e9;
    if !is_length {
        return Some("has a `duration_secs` that is not a length of time".to_string());
    }
    let blocks = serde_json::json!([
        report.counters,
        report.self_check,
        report.totals,
        report.operations,
        report.handshake,
        report.close,
        report.listen,
        report.turns,
        report.task_steps,
        report.flows,
        report.populations,
        report.unchecked,
        report.seconds,
        report.stages,
        report.warm_up
    ]);
    largest(&blocks)
        .filter(|count| *count > COUNT_MAX)
        .map(|count| format!("has a count that no run comes to: {count}"))
}

fn largest(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::Array(values) => values.iter().filter_map(largest).max(),
        Value::Object(fields) => fields.values().filter_map(largest).max(),
        _ => None,
    }
}

/// What speaks against adding two, whichever of all they are.
fn of_two((name_a, a): (&str, &Report), (name_b, b): (&str, &Report)) -> Vec<(Fitness, String)> {
    let mut found = Vec::new();
    let identity = |report: &Report| {
        let of_run = (
            report.run.started_at.clone(),
            report.timestamp.clone(),
            report.run.seed,
        );
        (of_run, report.totals.clone(), report.host.clone())
    };
    if identity(a) == identity(b) {
        let what = format!("`{name_a}` and `{name_b}` are the same run, which would count twice");
        return vec![(Fitness::IfForced, what)];
    }
    if let (Some((of_a, of)), Some((of_b, _))) = (segments(a), segments(b))
        && let Some(number) = of_a.intersection(&of_b).next()
    {
        found.push((
            Fitness::IfForced,
            format!("`{name_a}` and `{name_b}` are both segment {number}/{of} of the load"),
        ));
    }
    if segments(a).is_some() && segments(b).is_some() && a.run.seed != b.run.seed {
        found.push((
            Fitness::Told,
            format!(
                "`{name_a}` and `{name_b}` are segments with different seeds ({} and {}): they are \
                 not parts of one load, and some of its choices may be made twice or never",
                a.run.seed, b.run.seed
            ),
        ));
    }
    let (Some(span_a), Some(span_b)) = (span(a), span(b)) else {
        found.push((
            Fitness::Told,
            format!("when `{name_a}` or `{name_b}` began cannot be read"),
        ));
        return found;
    };
    let overlap = span_a.1.min(span_b.1) - span_a.0.max(span_b.0);
    let shorter = (span_a.1 - span_a.0).min(span_b.1 - span_b.0);
    if overlap <= 0.0 {
        found.push((
            Fitness::IfForced,
            format!(
                "`{name_a}` and `{name_b}` did not run at the same time: their rates would be \
                 added to one that never was"
            ),
        ));
    } else if overlap < 0.5 * shorter {
        found.push((
            Fitness::IfForced,
            format!(
                "`{name_a}` and `{name_b}` ran together for {overlap:.0} s of {shorter:.0} s only: \
                 their rates would be added to one that was not there most of the time"
            ),
        ));
    } else if overlap < 0.9 * shorter {
        found.push((
            Fitness::Told,
            format!(
                "`{name_a}` and `{name_b}` ran together for {overlap:.0} s of {shorter:.0} s only: \
                 they are added as if started together (`--start-at` does that)"
            ),
        ));
    }
    found
}

/// When it began and ended by its host's clock, in seconds.
fn span(report: &Report) -> Option<(f64, f64)> {
    let from = Utc::parse_rfc3339(&report.run.started_at)?.unix_ms() as f64 / 1e3;
    let warm_up = report.warm_up.as_ref().map_or(0.0, |it| it.length_secs);
    Some((from, from + warm_up + report.duration_secs))
}

/// Which parts of how many it is made of; `None`: it is all of its plan.
fn segments(report: &Report) -> Option<(BTreeSet<u64>, u64)> {
    let segment = report.plan.get("segment")?;
    let one = segment.get("number").and_then(Value::as_u64);
    let several = segment.get("numbers").and_then(Value::as_array);
    let several = several.into_iter().flatten().filter_map(Value::as_u64);
    Some((
        one.into_iter().chain(several).collect(),
        segment.get("of")?.as_u64()?,
    ))
}

/// What the plan of these says of its segment: nothing where they are all of it.
pub(super) fn segments_of_all(all: &[&Report]) -> Value {
    let parts: Option<Vec<_>> = all.iter().map(|report| segments(report)).collect();
    let Some(parts) = parts.filter(|parts| parts.iter().all(|part| part.1 == parts[0].1)) else {
        return Value::Null;
    };
    let of = parts.first().map_or(0, |part| part.1);
    let numbers: BTreeSet<u64> = parts.into_iter().flat_map(|part| part.0).collect();
    match numbers.len() as u64 {
        n if n >= of => Value::Null,
        1 => serde_json::json!({ "number": numbers.first(), "of": of }),
        _ => serde_json::json!({ "numbers": numbers, "of": of }),
    }
}

/// Names of the reasons that a sum has for its segments.
pub(super) const SEGMENTS_MISSING: &str = "segments_missing";
const SEGMENTS_TWICE: &str = "segments_twice";

/// What keeps the sum of these segments from being the whole load: some are missing, or are in
/// it twice. Nothing of reports that are of whole loads.
pub(super) fn segment_reasons(all: &[&Report]) -> Vec<ReasonNote> {
    let parts: Vec<_> = all.iter().filter_map(|report| segments(report)).collect();
    let Some(of) = parts.iter().map(|part| part.1).max() else {
        return Vec::new();
    };
    let (mut there, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for number in parts.iter().flat_map(|part| &part.0) {
        if !there.insert(*number) {
            twice.insert(*number);
        }
    }
    let reason =
        |id: &str, n: u64, numbers: &mut dyn Iterator<Item = u64>, what: &str, so: &str| {
            // A stranger's file may say that it is of very many.
            let named = numbers.take(NUMBERS_TOLD);
            let named: Vec<String> = named.map(|number| format!("{number}/{of}")).collect();
            let more = match n.saturating_sub(named.len() as u64) {
                0 => String::new(),
                more => format!(" and {} more", format_count(more)),
            };
            let (segments, are) = match n {
                1 => ("segment", "is"),
                _ => ("segments", "are"),
            };
            let names = named.join(", ") + &more;
            ReasonNote {
                id: id.to_string(),
                grade: Some(Grade::Suspect),
                cause: format!("{segments} {names} {are} {what}"),
                text: format!("{segments} {names} of the load {are} {what}: {so}"),
                figures: [("segments", n as f64), ("of", of as f64)]
                    .map(|(name, value)| (name.to_string(), value))
                    .into(),
                signals: Vec::new(),
            }
        };
    let n_missing = of.saturating_sub(there.len() as u64);
    let of_missing = (n_missing > 0).then(|| {
        let so = "counts, rates and users are those of the others alone; merge the reports of all \
                  segments";
        let mut missing = (1..=of).filter(|number| !there.contains(number));
        reason(SEGMENTS_MISSING, n_missing, &mut missing, "missing", so)
    });
    let of_twice = (!twice.is_empty()).then(|| {
        let so = "counts, rates and users are higher than those of the load";
        let n = twice.len() as u64;
        reason(
            SEGMENTS_TWICE,
            n,
            &mut twice.iter().copied(),
            "counted twice",
            so,
        )
    });
    of_missing.into_iter().chain(of_twice).collect()
}

/// Numbers of segments that a reason names.
const NUMBERS_TOLD: usize = 10;

/// The keys in which two plans differ, but for those of a host.
fn plan_differences(a: &Value, b: &Value) -> Vec<String> {
    let (a, b) = (&of_any_host(a), &of_any_host(b));
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else {
        return (a != b).then(|| "plan".to_string()).into_iter().collect();
    };
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let differs = |key: &&String| a.get(*key) != b.get(*key);
    let keys = keys.into_iter().filter(differs);
    keys.map(|key| shortened(key).to_string()).collect()
}

/// A plan without what is of the host that made its load.
fn of_any_host(plan: &Value) -> Value {
    let mut plan = scenario::completed(plan);
    if let Some(keys) = plan.as_object_mut() {
        keys.retain(|key, _| !OF_A_HOST.contains(&key.as_str()));
        let network = keys.get_mut("network").and_then(Value::as_object_mut);
        let is_empty = network.is_some_and(|network| {
            network.retain(|key, _| !OF_A_HOSTS_NETWORK.contains(&key.as_str()));
            network.is_empty()
        });
        if is_empty {
            // A plan without any has no such key.
            keys.remove("network");
        }
    }
    plan
}
