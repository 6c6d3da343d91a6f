//! Whether runs may be compared at all: what is refused, and what is told.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::outcome::{Grade, RunSample, SampleFacts};

/// Something that speaks against comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The runs are not comparable; else it is only to be known.
    pub is_refused: bool,
    /// What it is, as a sentence without its full stop.
    pub what: String,
}

/// Differences of a plan that are named; the others are counted.
const DIFFERENCES_MAX: usize = 10;

/// Characters of a value that is named.
const VALUE_CHARS_MAX: usize = 60;

/// Keys of a plan that are no part of the load: what a run is told of, and what its
/// result is judged by.
const NOT_LOAD: [&str; 9] = [
    "url",
    "seed",
    "strict",
    "calibration",
    "thresholds",
    "threshold",
    "histograms",
    "start_at",
    "few",
];

/// Keys of a plan that say how the generator makes the load.
const GENERATOR: [&str; 4] = ["workers", "pin", "busy_poll", "probe_rate_per_sec"];

/// All that speaks against comparing these runs with each other, refusals first. Each
/// is held against the first.
pub fn objections(runs: &[&RunSample]) -> Vec<Objection> {
    let Some((first, others)) = runs.split_first() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for run in runs {
        found.extend(of_one(run));
    }
    for other in others {
        found.extend(of_two(first, other));
    }
    // What holds for each of several files is told of each; what is word for word the
    // same, once.
    let mut told = BTreeSet::new();
    found.retain(|objection| told.insert(objection.what.clone()));
    found.sort_by_key(|objection| !objection.is_refused);
    found
}

/// Whether a run is one of this plan: what a base may be made of.
pub fn is_comparable(run: &RunSample, with: &RunSample) -> bool {
    !objections(&[with, run]).iter().any(|it| it.is_refused)
}

fn refused(what: String) -> Option<Objection> {
    Some(Objection {
        is_refused: true,
        what,
    })
}

fn told(what: String) -> Option<Objection> {
    Some(Objection {
        is_refused: false,
        what,
    })
}

fn of_one(run: &RunSample) -> Vec<Objection> {
    let (file, facts) = (&run.file, &run.facts);
    let of_grade = match facts.grade {
        Grade::Valid => None,
        Grade::Suspect => told(format!("`{file}` is suspect by its own verdict")),
        Grade::Invalid => refused(format!(
            "`{file}` is invalid by its own verdict: the generator was the limit"
        )),
    };
    let of_end = facts.cut_short.as_ref();
    let of_end = of_end.and_then(|why| refused(format!("`{file}` ended before its time: {why}")));
    let n_ended = run.total.whole.ok.saturating_add(run.total.whole.failed);
    let of_calls = (n_ended == 0).then(|| refused(format!("no call ended in `{file}`")));
    [of_grade, of_end, of_calls.flatten()]
        .into_iter()
        .flatten()
        .collect()
}

fn of_two(first: &RunSample, other: &RunSample) -> Vec<Objection> {
    let (a, b) = (&first.facts, &other.facts);
    let both = |what: &str, of: fn(&SampleFacts) -> String| {
        let (of_a, of_b) = (of(a), of(b));
        (of_a != of_b).then(|| {
            let (file_a, file_b) = (&first.file, &other.file);
            let (of_a, of_b) = (shown(&of_a), shown(&of_b));
            format!("the {what} differs: `{of_a}` in `{file_a}`, `{of_b}` in `{file_b}`")
        })
    };
    let mut found = Vec::new();
    let target = both("target", |facts| facts.target.clone());
    found.extend(
        target.and_then(|what| match is_same_host(&a.target, &b.target) {
            true => told(what),
            false => refused(what),
        }),
    );
    found.extend(both("era of the protocol", |facts| facts.era.clone()).and_then(refused));
    let (names, generator) = plan_differences(first, other);
    found.extend(names.and_then(refused));
    found.extend(generator.and_then(told));
    // A major version may measure in another way.
    let program = both("version of this program", |facts| facts.program.clone());
    let major = |facts: &SampleFacts| facts.program.split('.').next().map(str::to_string);
    found.extend(program.and_then(|what| match major(a) == major(b) {
        true => told(what),
        false => refused(what),
    }));
    let host: [(&str, fn(&SampleFacts) -> String); 6] = [
        ("server", |facts| facts.server.clone()),
        ("CPU", |facts| {
            facts.host.cpu_model.clone().unwrap_or_default()
        }),
        ("number of usable CPUs", |facts| {
            facts.host.usable_cpus.to_string()
        }),
        ("quota of the control group", |facts| {
            format!("{:?}", facts.host.quota_millicpus)
        }),
        ("kernel", |facts| {
            facts.host.kernel.clone().unwrap_or_default()
        }),
        ("governor", |facts| {
            facts.host.governor.clone().unwrap_or_default()
        }),
    ];
    found.extend(
        host.into_iter()
            .filter_map(|(what, of)| both(what, of).and_then(told)),
    );
    found
}

/// A server on this machine is often given a free port, another one each time.
fn is_same_host(a: &str, b: &str) -> bool {
    let without_port = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        let is_local = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
        is_local.then(|| format!("{scheme}://{host}/{path}"))
    };
    without_port(a).is_some() && without_port(a) == without_port(b)
}

/// What differs in the plans: in the load, and in how the generator makes it.
fn plan_differences(first: &RunSample, other: &RunSample) -> (Option<String>, Option<String>) {
    let mut differences = Differences::default();
    differences.collect("", &first.facts.plan, &other.facts.plan);
    let (files, mut load) = ((&first.file, &other.file), differences.load);
    let n_more = differences.n_load - load.len();
    if n_more > 0 {
        load.push(format!("and {n_more} more"));
    }
    let told = |of: Vec<String>, what: &str| {
        let (a, b) = files;
        (!of.is_empty()).then(|| format!("{what} (`{a}` → `{b}`): {}", of.join("; ")))
    };
    (
        told(load, "the plan differs"),
        told(
            differences.generator,
            "the generator was set up in another way",
        ),
    )
}

#[derive(Default)]
struct Differences {
    load: Vec<String>,
    n_load: usize,
    generator: Vec<String>,
}

impl Differences {
    /// By key, and by place in a list. As deep as a report's JSON nests, which is
    /// bounded.
    fn collect(&mut self, path: &str, a: &Value, b: &Value) {
        if a == b {
            return;
        }
        match (a, b) {
            (Value::Object(of_a), Value::Object(of_b)) => {
                let keys = of_a
                    .keys()
                    .chain(of_b.keys().filter(|key| !of_a.contains_key(*key)));
                for key in keys {
                    if path.is_empty() && NOT_LOAD.contains(&key.as_str()) {
                        continue;
                    }
                    let (a, b) = (of_a.get(key), of_b.get(key));
                    let below = || match path.is_empty() {
                        true => shown(key),
                        false => format!("{path}.{}", shown(key)),
                    };
                    self.collect_at(below, a, b);
                }
            }
            (Value::Array(of_a), Value::Array(of_b)) => {
                for at in 0..of_a.len().max(of_b.len()) {
                    self.collect_at(|| format!("{path}[{at}]"), of_a.get(at), of_b.get(at));
                }
            }
            _ => self.add(path, a, b),
        }
    }

    /// A key that is not there is as one that is `null`: older reports do not have all.
    fn collect_at(&mut self, path: impl Fn() -> String, a: Option<&Value>, b: Option<&Value>) {
        let (a, b) = (a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null));
        // No path is made for what is equal, nor for what nobody would see.
        if a == b {
            return;
        }
        if self.load.len() >= DIFFERENCES_MAX {
            self.n_load += 1;
            return;
        }
        self.collect(&path(), a, b);
    }

    fn add(&mut self, path: &str, a: &Value, b: &Value) {
        let [a, b] = [a, b].map(|value| shown(&value.to_string()));
        let difference = format!("{path}: {a} → {b}");
        if GENERATOR.contains(&path) {
            self.generator.push(difference);
            return;
        }
        self.n_load += 1;
        self.load.push(difference);
    }
}

/// The beginning of a text.
fn shown(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}
