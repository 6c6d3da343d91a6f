//! The repository's rules as a test: which module may know which, who may name
//! which dependency, where `unsafe` may be. The tables are those rules; `CASES`
//! breaks each of them.
//!
//! What clippy can hold is in `.clippy.toml` and `[lints]`: who asks for the time,
//! who prints, what is never kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[path = "support/packages.rs"]
mod packages;
#[path = "support/source.rs"]
mod source;

use source::{PathUse, Source};

/// The levels, lowest first. A module imports only from levels below its own.
/// `lib.rs`, `main.rs` and `bin/` are above all and free.
const LEVELS: &str = "
    text units error clock
    template
    alarm files host json_schema marker protocol metrics load redact seeds
    address data expect network scheduler validity terminal servers threshold
    http scenario outcome
    client report auth
    user init decide sink
    worker
    coordinator
    calibrate
    cli";

/// What makes load: it hands results out and never shows them.
const ENGINE: &str = "scheduler http client user worker coordinator decide";

/// The servers that we test with: outside of tests they never import the client's
/// protocol code, whose faults they would mirror.
const SERVERS: &str = "servers";

/// What code under `#[cfg(test)]` may import whatever its level.
const TESTS_MAY_IMPORT: &str = "servers seeds";

/// Who never imports whom, even where the levels would allow it.
const NEVER: &[(&str, &str)] = &[
    (ENGINE, "report sink terminal cli"),
    (ENGINE, SERVERS),
    ("report", ENGINE),
    ("sink", "scheduler client user worker coordinator decide"),
];

/// Dependencies, by the name that code gives them, and the modules that may name them.
const DEPENDENCIES: &str = "
    argh: cli
    argh_complete: cli
    roff: cli
    csv: data report
    toml: scenario init
    jsonschema: json_schema
    serde_json_path: expect
    schemars: report outcome metrics network validity threshold scenario load
    regex: expect json_schema
    regex_syntax: json_schema
    ureq: http auth sink
    ring: auth
    rustls: http
    rustls_platform_verifier: http
    flate2: protocol metrics
    memchr: marker protocol
    mio: alarm http scheduler servers
    corosensei: scheduler
    crossbeam_channel: auth worker coordinator sink cli
    core_affinity: host servers
    quick_xml: report
    termcolor: terminal
    terminal_size: terminal
    rustix: terminal
    nix: alarm auth http scheduler host worker servers coordinator terminal cli";

/// The file that may allow `unsafe` code; `[lints]` denies it elsewhere.
const UNSAFE_FILE: &str = "src/scheduler/suspend.rs";

/// Names that more than one type of the product has, at most.
const NAMES_TWICE_MAX: usize = 20;

/// In characters.
const LINE_WIDTH_MAX: usize = 120;

#[test]
fn the_sources_keep_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut open, mut sources) = (vec![root.join("src"), root.join("configs")], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(path).expect("the folder can be read");
            open.extend(entries.map(|entry| entry.expect("the folder can be read").path()));
            continue;
        }
        let name = path.strip_prefix(root).expect("a file below the root");
        let name = name.to_string_lossy().replace('\\', "/");
        if name.ends_with(".rs") {
            sources.push((name, fs::read_to_string(path).expect("a source is UTF-8")));
        } else if let Some(config) = name.strip_prefix("configs/") {
            let others = "kubernetes-job.yaml grafana-dashboard.json Containerfile";
            let is_known = config.ends_with(".toml") || is_in(config, others);
            assert!(is_known, "{name}: a sample config is TOML");
        }
    }
    // A walk that finds nothing would pass for ever.
    assert!(sources.len() > 3, "only {} sources found", sources.len());
    let faults: Vec<String> = check(&sources).into_iter().collect();
    let n_faults = faults.len();
    assert!(n_faults == 0, "{n_faults} faults:\n{}", faults.join("\n"));
}

/// What a failed property leaves (`proptest-regressions`) becomes a test beside it.
#[test]
fn the_top_level_is_as_it_was_agreed() {
    let agreed = "Cargo.toml Cargo.lock src benches tests README.md configs target";
    for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the folder can be read") {
        let name = entry.expect("the folder can be read").file_name();
        let name = name.to_string_lossy();
        assert!(name.starts_with('.') || is_in(&name, agreed), "{name}");
    }
}

/// All faults of these sources: names from the repository's root, and texts.
fn check(sources: &[(String, String)]) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let mut files = Vec::new();
    for (name, text) in sources {
        check_text(name, text, &mut faults);
        let folder = format!("{}/", name.trim_end_matches(".rs"));
        if sources.iter().any(|(other, _)| other.starts_with(&folder)) {
            faults.insert(format!(
                "{name}:1: beside its folder: move it to `{folder}mod.rs`"
            ));
        }
        match syn::parse_file(text) {
            Ok(file) => files.push(Source::read(name, &file)),
            Err(error) => _ = faults.insert(format!("{name}:{:?}: {error}", error.span().start())),
        }
    }
    // Files that are declared under `#[cfg(test)]`, and those below them.
    let tests = files.iter().flat_map(|file| file.test_modules.clone());
    let tests: Vec<Vec<String>> = tests.collect();
    let is_test = |file: &&mut Source| tests.iter().any(|test| file.module.starts_with(test));
    for file in files.iter_mut().filter(is_test) {
        file.types.clear();
        file.paths.iter_mut().for_each(|path| path.in_test = true);
    }
    let mut n_types: BTreeMap<&str, usize> = BTreeMap::new();
    for file in &files {
        for path in &file.paths {
            let fault = import_fault(file, path);
            faults.extend(fault.map(|what| format!("{}:{}: {what}", file.name, path.line)));
        }
        for name in &file.types {
            *n_types.entry(name).or_default() += 1;
        }
    }
    n_types.retain(|_, n| *n > 1);
    if n_types.len() > NAMES_TWICE_MAX {
        let names: Vec<&str> = n_types.into_keys().collect();
        faults.insert(format!(
            "{} types share a name: {}",
            names.len(),
            names.join(" ")
        ));
    }
    check_circles(&files, &mut faults);
    faults
}

/// Rules on the text as it is.
fn check_text(file: &str, text: &str, faults: &mut BTreeSet<String>) {
    // `main.rs` is included by the program's second name, where an inner comment
    // would not be accepted.
    let is_program = file == "src/main.rs" || file.starts_with("src/bin/");
    if !is_program && !text.starts_with("//!") {
        faults.insert(format!("{file}:1: a module begins with `//!`: its purpose"));
    }
    for (line, content) in (1..).zip(text.lines()) {
        let width = content.chars().count();
        // Recorded messages and samples of commands are not broken up.
        if width > LINE_WIDTH_MAX && !content.contains('"') {
            faults.insert(format!("{file}:{line}: {width} characters"));
        }
        let allows = content.contains("(unsafe_code") && !content.contains("deny");
        if allows && !is_in(file, UNSAFE_FILE) {
            faults.insert(format!("{file}:{line}: `unsafe` is for {UNSAFE_FILE}"));
        }
    }
}

fn is_in(word: &str, words: &str) -> bool {
    words.split_whitespace().any(|listed| listed == word)
}

fn level_of(module: &str) -> Option<usize> {
    LEVELS.trim().lines().position(|level| is_in(module, level))
}

/// What is wrong with naming this path: a module of the crate or a dependency.
fn import_fault(file: &Source, path: &PathUse) -> Option<String> {
    let own = file.module.first()?.as_str();
    let Some(own_level) = level_of(own) else {
        return Some(format!("module `{own}` has no level: add it to `LEVELS`"));
    };
    let mut dependencies = DEPENDENCIES
        .lines()
        .filter_map(|line| line.split_once(": "));
    if let Some((name, modules)) = dependencies.find(|(name, _)| name.trim() == path.root) {
        let is_refused = !is_in(own, modules) && !path.in_test;
        return is_refused.then(|| format!("`{}` is named only in {modules}", name.trim()));
    }
    let Some(target) = path.absolute.first() else {
        return Some("the crate as a whole is named: name the module".to_string());
    };
    if target == own || (path.in_test && is_in(target, TESTS_MAY_IMPORT)) {
        return None;
    }
    let Some(level) = level_of(target) else {
        return Some(format!("`crate::{target}` is not a module of `LEVELS`"));
    };
    let is_never = |(who, whom): &(&str, &str)| is_in(own, who) && is_in(target, whom);
    let mirrors_client = is_in(own, SERVERS) && target == "protocol" && !path.in_test;
    if NEVER.iter().any(is_never) || mirrors_client {
        return Some(format!("`{own}` never imports `{target}`"));
    }
    let is_upward = level >= own_level;
    is_upward.then(|| format!("`{own}` imports `{target}`, which is not below it in `LEVELS`"))
}

/// No file imports one that imports it, directly or by others; tests apart. A name
/// that a file only hands on (`pub use`) leads to where it is defined.
fn check_circles(files: &[Source], faults: &mut BTreeSet<String>) {
    let by_module = files
        .iter()
        .map(|file| (file.module.as_slice(), file.name.as_str()));
    let by_module: BTreeMap<&[String], &str> = by_module.collect();
    let mut handed_on: BTreeMap<Vec<String>, &[String]> = BTreeMap::new();
    for file in files {
        for path in file.paths.iter().filter(|path| path.is_handed_on) {
            let name = &path.absolute[path.absolute.len().saturating_sub(1)..];
            handed_on.insert([&file.module, name].concat(), &path.absolute);
        }
    }
    let file_of = |path: &PathUse| {
        let mut path = path.absolute.clone();
        // Bounded: names may be handed on in a circle.
        for _ in 0..8 {
            let known = (1..=path.len()).find_map(|n| Some((n, handed_on.get(&path[..n])?)));
            let Some((n, definition)) = known else { break };
            path = [*definition, &path[n..]].concat();
        }
        let mut lengths = (1..=path.len()).rev();
        lengths.find_map(|n| by_module.get(&path[..n]).copied())
    };
    let mut reached: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.module.is_empty()) {
        let paths = file
            .paths
            .iter()
            .filter(|path| !path.in_test && !path.is_handed_on);
        let others = paths
            .filter_map(file_of)
            .filter(|other| *other != file.name);
        reached.insert(&file.name, others.collect());
    }
    // What a file reaches by one that it reaches, until there is no more.
    for by in reached.keys().copied().collect::<Vec<_>>() {
        let further = reached[by].clone();
        for others in reached.values_mut().filter(|others| others.contains(by)) {
            others.extend(&further);
        }
    }
    let in_circles = reached
        .iter()
        .filter(|(file, others)| others.contains(*file));
    for (file, others) in in_circles {
        let mut circle = others.clone();
        circle.retain(|other| reached[other].contains(file));
        faults.insert(format!("{file}:1: a circle of imports: {circle:?}"));
    }
}

/// One a line: a file below `src`, its content after the opening comment (`\n` for
/// a new line), and the fault that it has, with its line; without one it has none.
const CASES: &str = r##"
http/mod.rs | use crate::scheduler::Task;\nuse crate::clock;
cli/run.rs | use crate::{coordinator::{self, run as go}, report, error::UserError};
report/build.rs | use crate::{metrics, outcome, scenario, terminal};
lib.rs | pub use crate::cli::main;\npub mod cli;
client/session.rs | use super::{worker, Session};\nuse self::worker as w;\nuse std::{worker, ureq};
client/session.rs | mod tests { use super::*; use super::worker; }
client/session.rs | fn f() { x.worker::<u8>(); self.mio = 1; let toml = 2; Vec::<u8>::new(); }
client/session.rs | pub(crate) fn f() -> impl Iterator + use<'_> { worker() }
client/session.rs | /* crate::worker */ const X: &str = "crate::worker"; // crate::worker
client/mod.rs | use crate::{units, worker}; | 2: `client` imports `worker`
client/mod.rs | use {crate::worker::{run::{self, Body}}, std::fmt}; | 2: `client` imports `worker`
client/mod.rs | use crate::worker as w; | `worker`
client/mod.rs | pub(in crate::client) use crate::worker::*; | `worker`
client/mod.rs | fn f() { crate::worker::run(); } | `worker`
client/mod.rs | fn f(x: &crate::worker::Body<'_>) {} | `worker`
client/mod.rs | fn f() { <crate::worker::Body as Clone>::clone(); } | `worker`
client/mod.rs | fn f() { assert!(0 == [crate::worker::MAX]); } | `worker`
client/mod.rs | fn f() { use crate::{clock, worker::run}; } | `worker`
client/mod.rs | macro_rules! m { () => { $crate::worker::run() }; } | `worker`
client/mod.rs | use self::super::worker; | `worker`
client/mod.rs | mod inner { mod deeper {} }\nmod other { use super::super::worker::run; } | 3: `client`
client/session/open.rs | use super::super::super::worker; | `worker`
http/mod.rs | use std::fmt;\n\nuse crate::{\n    clock,\n    user,\n}; | 6: `http` imports `user`
clock.rs | use crate::files; | `clock` imports `files`
http/mod.rs | use crate::*; | as a whole
http/mod.rs | use crate::UserError; | `crate::UserError` is not a module
helper.rs | use std::fmt; | module `helper` has no level
report/build.rs | use crate::scheduler::Task; | `report` never imports `scheduler`
coordinator/run.rs | use crate::report::Report; | `coordinator` never imports `report`
servers/demo/wire.rs | use crate::protocol::Method; | `servers` never imports `protocol`
servers/demo/wire.rs | #[cfg(test)]\nmod tests { use crate::protocol::Method; }
http/mod.rs | use crate::servers; | `http` never imports `servers`
http/mod.rs | #[cfg(test)]\n#[allow(x)]\nmod tests { use crate::servers::Server; fn f() { crate::servers::f(); } }
http/mod.rs | #[cfg(test)]\nmod tests { use crate::worker::Server; } | `worker`
http/mod.rs | #![cfg(test)]\nuse crate::servers::Server;
http/mod.rs | #[cfg(all(test, unix))]\nuse crate::servers::Server;
http/mod.rs | #[cfg(not(test))]\nuse crate::servers::Server; | imports `servers`
http/mod.rs | #[cfg(any(test, unix))]\nuse crate::servers::Server; | imports `servers`
user/mod.rs | use {std::fmt, ureq::Agent}; | `ureq` is named only in http
user/mod.rs | use ::ureq::Agent; | `ureq`
user/mod.rs | fn f() -> ureq::Agent {} | `ureq`
user/mod.rs | fn f(x: &dyn ::ureq::Connector) {} | `ureq`
user/mod.rs | impl From<ureq::Error> for E {} | `ureq`
user/mod.rs | #[derive(ureq::Derive)] struct X; | `ureq`
http/mod.rs | use {std::fmt, ureq::Agent};
scheduler/suspend.rs | #![allow(unsafe_code)]
http/mod.rs | #![expect(unsafe_code)] | `unsafe` is for
http/mod.rs | fn | expected identifier
"##;

#[test]
fn each_rule_is_seen_to_be_broken() {
    for case in CASES.trim().lines() {
        let mut parts = case.splitn(3, " | ");
        let mut next = || parts.next().map(|part| part.replace("\\n", "\n"));
        let (name, content) = (next().expect("a file"), next().expect("a content"));
        let found = check(&[(format!("src/{name}"), format!("//! Purpose.\n{content}\n"))]);
        let expected = next();
        let is_met = found.len() == usize::from(expected.is_some());
        let said = found
            .iter()
            .all(|fault| expected.iter().all(|part| fault.contains(part.as_str())));
        assert!(is_met && said, "{case}: {found:?}");
    }
}

#[test]
fn every_module_of_the_tables_has_one_level() {
    let never = NEVER.iter().flat_map(|(who, whom)| [*who, *whom]);
    let dependencies = DEPENDENCIES
        .lines()
        .filter_map(|line| Some(line.split_once(": ")?.1));
    for module in never.chain(dependencies).flat_map(str::split_whitespace) {
        assert!(level_of(module).is_some(), "{module}");
    }
    let all: Vec<_> = LEVELS.split_whitespace().collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}

#[test]
fn circles_of_files_and_files_for_tests_are_seen() {
    let faults_of = |files: &[(&str, &str)]| {
        let source =
            |(name, text): &(&str, &str)| (format!("src/http/{name}"), format!("//! A.\n{text}"));
        let faults = check(&files.iter().map(source).collect::<Vec<_>>());
        faults.into_iter().collect::<Vec<_>>().join("\n")
    };
    let facade = ("mod.rs", "mod a;\nmod b;\npub use a::A;\npub use b::B;");
    let found = faults_of(&[
        facade,
        ("a.rs", "use super::B;"),
        ("b.rs", "use crate::http::A;"),
    ]);
    assert!(found.contains("src/http/a.rs:1: a circle"), "{found}");
    assert!(found.contains("src/http/b.rs:1: a circle"), "{found}");
    let found = faults_of(&[
        ("mod.rs", "mod a;\nfn f() { a::f() }"),
        ("a.rs", "use super::X;"),
    ]);
    assert!(found.contains("src/http/mod.rs:1: a circle"), "{found}");
    let tested = ("b.rs", "#[cfg(test)]\nmod tests { use crate::http::A; }");
    assert_eq!(faults_of(&[facade, ("a.rs", "use super::B;"), tested]), "");
    let found = faults_of(&[("a.rs", ""), ("a/b.rs", "")]);
    assert!(found.contains("move it to `src/http/a/mod.rs`"), "{found}");
    let declares = ("a.rs", "#[cfg(test)]\n#[path = \"a_tests.rs\"]\nmod tests;");
    let tests = ("a_tests.rs", "use super::X;\nuse crate::servers::A;");
    assert_eq!(faults_of(&[declares, tests]), "");
}
