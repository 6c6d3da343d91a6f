//! Whether runs may be compared at all: what is refused, and what is told.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::outcome::{Grade, RunSample, SampleFacts, SampleKey};
use crate::units::{few_of, format_bytes};

/// Something that speaks against comparing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The runs are not comparable; else it is only to be known.
    pub is_refused: bool,
    /// What it is, as a sentence without its full stop.
    pub what: String,
}

/// Files that are named with what they have in common; the others are counted.
const FILES_MAX: usize = 3;

/// Differences of a plan that are named; the others are counted.
const DIFFERENCES_MAX: usize = 10;

/// Characters of a value that is named.
const VALUE_CHARS_MAX: usize = 60;

/// Requests whose mean sizes differ by more are told of: session ids, cookies and random
/// values differ by less.
const REQUEST_SIZE_SHARE: f64 = 0.1;

/// Keys of a plan that are not part of the load: what a run is told of, and what its
/// result is judged by.
const NOT_LOAD: [&str; 11] = [
    "preflight",
    // Whether streams were held is a fact of the run.
    "listen",
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
    // What several files have in common is told once.
    let mut files: BTreeMap<(bool, String), Vec<&str>> = BTreeMap::new();
    for run in runs {
        for (is_refused, what) in of_one(run) {
            files
                .entry((!is_refused, what))
                .or_default()
                .push(&run.file);
        }
    }
    for other in others {
        for (is_refused, what) in of_two(first, other) {
            files
                .entry((!is_refused, what))
                .or_default()
                .push(&other.file);
        }
    }
    let told = files.into_iter().map(|((is_told, what), files)| {
        let files = files.iter().map(|file| format!("`{file}`"));
        Objection {
            is_refused: !is_told,
            what: format!("{what} in {}", few_of(files, FILES_MAX)),
        }
    });
    told.collect()
}

/// Whether a run is one of this plan: what a base may be made of.
pub fn is_comparable(run: &RunSample, with: &RunSample) -> bool {
    !objections(&[with, run]).iter().any(|it| it.is_refused)
}

/// What is wrong with a file, before the words *in* and its name; and whether it is
/// refused for it.
type Fault = (bool, String);

fn of_one(run: &RunSample) -> Vec<Fault> {
    let facts = &run.facts;
    let mut faults = Vec::new();
    match facts.grade {
        Grade::Valid => {}
        Grade::Suspect => faults.push((false, "the verdict is `suspect`".to_string())),
        Grade::Invalid => {
            let what = "the verdict is `invalid`, for the generator was the limit,";
            faults.push((true, what.to_string()));
        }
    }
    let cut_short = facts.cut_short.iter();
    faults.extend(cut_short.map(|why| (true, format!("{why}: the run is not whole"))));
    if run.total.whole.ok.saturating_add(run.total.whole.failed) == 0 {
        faults.push((true, "no call ended".to_string()));
    }
    faults
}

/// What tells that a fact is another, and how it stands with a user of both.
type Fact = fn(&SampleFacts) -> String;

fn of_two(first: &RunSample, other: &RunSample) -> Vec<Fault> {
    let (a, b) = (&first.facts, &other.facts);
    let major = |facts: &SampleFacts| facts.program.split('.').next().map(str::to_string);
    // What differs, and whether the runs are refused for it.
    let facts: [(&str, bool, Fact); 10] = [
        ("target", !is_same_host(&a.target, &b.target), |of| {
            of.target.clone()
        }),
        ("era of the protocol", true, |of| of.era.clone()),
        // It is another load: twice the connections, and what comes on them.
        ("holding of listening streams", true, |of| {
            let held = match of.holds_streams {
                true => "held",
                false => "none",
            };
            held.to_string()
        }),
        // A major version may measure in another way.
        ("version of this program", major(a) != major(b), |of| {
            of.program.clone()
        }),
        ("server", false, |of| of.server.clone()),
        ("CPU", false, |of| {
            of.host.cpu_model.clone().unwrap_or_default()
        }),
        ("number of usable CPUs", false, |of| {
            of.host.usable_cpus.to_string()
        }),
        ("CPU quota", false, |of| match of.host.quota_millicpus {
            Some(millicpus) => format!("{} CPUs", millicpus as f64 / 1e3),
            None => "none".to_string(),
        }),
        ("kernel", false, |of| {
            of.host.kernel.clone().unwrap_or_default()
        }),
        ("governor", false, |of| {
            of.host.governor.clone().unwrap_or_default()
        }),
    ];
    let differing = facts.into_iter().filter(|(_, _, of)| of(a) != of(b));
    let mut faults: Vec<Fault> = differing
        .map(|(what, is_refused, of)| {
            let (of_a, of_b) = (shown(&of(a)), shown(&of(b)));
            let file = &first.file;
            let what = format!("the {what} differs: `{of_a}` in `{file}`, `{of_b}`");
            (is_refused, what)
        })
        .collect();
    let (load, generator) = plan_differences(first, other);
    faults.extend(load.map(|what| (true, what)));
    faults.extend(generator.map(|what| (false, what)));
    faults.extend(sizes_differ(first, other).map(|what| (false, what)));
    faults
}

/// Operations whose requests have another size, though the plans are alike: what came from
/// the environment or from a data set is not in a report, since it may be secret.
fn sizes_differ(first: &RunSample, other: &RunSample) -> Option<String> {
    let of_first: HashMap<&SampleKey, f64> = first
        .operations
        .iter()
        .filter_map(|row| Some((&row.key, row.request_bytes?)))
        .collect();
    let differing = other.operations.iter().filter_map(|row| {
        let (a, b) = (*of_first.get(&row.key)?, row.request_bytes?);
        let differs = (a - b).abs() > REQUEST_SIZE_SHARE * a.min(b).max(0.0);
        differs.then(|| {
            let [a, b] = [a, b].map(|bytes| format_bytes(bytes.round() as u64));
            format!("{}: {a} → {b}", shown(&row.key.label))
        })
    });
    let differing = few_of(differing, FILES_MAX);
    (!differing.is_empty()).then(|| {
        format!(
            "the requests are of another size than in `{}`, so the load may be another one \
             ({differing})",
            first.file
        )
    })
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
    let mut differences = PlanDifferences::default();
    differences.collect("", &first.facts.plan, &other.facts.plan);
    let mut load = differences.load;
    let n_more = differences.n_load - load.len();
    if n_more > 0 {
        load.push(format!("and {n_more} more"));
    }
    let told = |of: Vec<String>, what: &str| {
        let file = &first.file;
        (!of.is_empty()).then(|| format!("{what} from `{file}` ({})", of.join("; ")))
    };
    (
        told(load, "the plan differs"),
        told(differences.generator, "the generator's set-up differs"),
    )
}

#[derive(Default)]
struct PlanDifferences {
    load: Vec<String>,
    n_load: usize,
    generator: Vec<String>,
}

impl PlanDifferences {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::proof::run_of;
    use super::*;

    fn run(change: impl FnOnce(&mut RunSample)) -> RunSample {
        let mut run = run_of(Vec::new(), "other.json".to_string());
        run.total.whole.ok = 1;
        change(&mut run);
        run
    }

    /// What is said of a run beside one that is as it should be.
    fn said(change: impl FnOnce(&mut RunSample)) -> Vec<(bool, String)> {
        let (first, other) = (run(|run| run.file = "first.json".to_string()), run(change));
        let found = objections(&[&first, &other]).into_iter();
        found.map(|it| (it.is_refused, it.what)).collect()
    }

    #[test]
    fn what_is_refused_and_what_is_told() {
        assert_eq!(said(|_| ()), []);
        let check = |change: fn(&mut RunSample), is_refused: bool, part: &str| {
            let said = said(change);
            assert_eq!(said.len(), 1, "{said:?}");
            assert_eq!(said[0].0, is_refused, "{said:?}");
            assert!(said[0].1.contains(part), "{said:?}");
            assert!(said[0].1.ends_with("in `other.json`"), "{said:?}");
        };
        check(
            |run| run.facts.target = "http://x/mcp".to_string(),
            true,
            "the target differs",
        );
        check(
            |run| run.facts.target = "http://127.0.0.1:9/mcp".to_string(),
            false,
            "the target differs",
        );
        check(|run| run.facts.era = "legacy".to_string(), true, "era");
        check(
            |run| run.facts.holds_streams = true,
            true,
            "`none` in `first.json`, `held`",
        );
        check(|run| run.facts.grade = Grade::Invalid, true, "invalid");
        check(|run| run.facts.grade = Grade::Suspect, false, "suspect");
        check(
            |run| run.facts.cut_short = Some("it was interrupted".to_string()),
            true,
            "interrupted",
        );
        check(|run| run.total.whole.ok = 0, true, "no call ended");
        check(
            |run| run.facts.program = "1.0.0".to_string(),
            true,
            "version of this program",
        );
        check(
            |run| run.facts.program = "0.2.0".to_string(),
            false,
            "version of this program",
        );
        check(
            |run| run.facts.server = "demo 2".to_string(),
            false,
            "server",
        );
        check(
            |run| run.facts.host.usable_cpus = 8,
            false,
            "`2` in `first.json`, `8` in",
        );
        check(
            |run| run.facts.host.kernel = Some("6.2".to_string()),
            false,
            "kernel",
        );
    }

    /// Values of the environment and of data sets are in no plan.
    #[test]
    fn requests_of_another_size_are_told_of() {
        let sized = |bytes: Option<f64>| {
            run(|run| {
                let mut row = run.total.clone();
                row.key.label = "tools/call a".to_string();
                row.request_bytes = bytes;
                run.operations = vec![row];
            })
        };
        let said = |a, b| {
            let found = objections(&[&sized(a), &sized(b)]);
            found
                .into_iter()
                .map(|it| (it.is_refused, it.what))
                .collect::<Vec<_>>()
        };
        let told = "the requests are of another size than in `other.json`, so the load may be \
                    another one (tools/call a: 380 B → 19.9 KiB) in `other.json`";
        assert_eq!(
            said(Some(380.0), Some(20_382.0)),
            [(false, told.to_string())]
        );
        for (a, b) in [
            (Some(380.0), Some(400.0)),
            (None, Some(1e9)),
            (Some(0.0), Some(0.0)),
        ] {
            assert_eq!(said(a, b), []);
        }
    }

    #[test]
    fn plans_differ_key_by_key() {
        let check = |plan: Value, is_refused: bool, expected: &str| {
            let said = said(|run| run.facts.plan = plan);
            assert_eq!(said, [(is_refused, expected.to_string())]);
        };
        check(
            json!({"load": {"rate": 200}, "scenario": [{"type": "ping"}]}),
            true,
            "the plan differs from `first.json` (load.rate: 100 → 200; scenario: null → \
             [{\"type\":\"ping\"}]) in `other.json`",
        );
        check(
            json!({"load": {"rate": 100}, "workers": 2}),
            false,
            "the generator's set-up differs from `first.json` (workers: null → 2) in `other.json`",
        );
        // What makes no other load: another seed, another judgement.
        let alike = json!({"load": {"rate": 100}, "seed": 7, "strict": true, "url": "http://y"});
        assert_eq!(said(|run| run.facts.plan = alike), []);
    }

    #[test]
    fn plans_of_any_size_are_told_briefly() {
        let mut plan = json!({"load": {"rate": 100}});
        for key in 0..10_000 {
            plan[format!("{key}{}", "x".repeat(500))] = json!("y".repeat(1000));
        }
        let said = said(|run| run.facts.plan = plan);
        assert!(said[0].1.len() < 2000, "{}", said[0].1.len());
        assert!(said[0].1.contains("and 9990 more"), "{said:?}");
    }

    #[test]
    fn files_with_the_same_fault_are_told_of_once() {
        let first = run(|run| run.file = "first.json".to_string());
        let others: Vec<RunSample> = (0..5)
            .map(|i| {
                run(|run| {
                    run.file = format!("{i}.json");
                    run.facts.era = "legacy".to_string();
                })
            })
            .collect();
        let all: Vec<&RunSample> = std::iter::once(&first).chain(&others).collect();
        let found = objections(&all);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]
                .what
                .ends_with("`0.json`, `1.json`, `2.json` and 2 more")
        );
    }
}
