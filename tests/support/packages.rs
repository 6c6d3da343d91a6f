//! The dependencies as cargo knows them: licences, the toolchain that they ask for, and
//! what is in the package that is published.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// What cargo says; it is asked for nothing that it would have to fetch.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .output()
        .expect("cargo runs");
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {why}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn manifest(name: &str) -> toml::Table {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a file of this repository");
    text.parse().expect("TOML")
}

/// Name, version, licence and toolchain of all that a build of the program takes on this
/// system, without what only tests take.
fn shipped() -> Vec<(String, String, String)> {
    let host = cargo_host();
    let metadata = cargo(&[
        "metadata",
        "--locked",
        "--offline",
        "--format-version=1",
        "--filter-platform",
        &host,
    ]);
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let nodes = array(&metadata["resolve"]["nodes"]);
    let mut reached = BTreeSet::new();
    let mut open = vec![text(&metadata["resolve"]["root"])];
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| node["id"] == id.as_str());
        for dependency in array(&node.expect("a package of the graph")["deps"]) {
            let kinds = array(&dependency["dep_kinds"]);
            let id = text(&dependency["pkg"]);
            if kinds.iter().any(|kind| kind["kind"] != "dev") && reached.insert(id.clone()) {
                open.push(id);
            }
        }
    }
    let packages = array(&metadata["packages"]);
    let packages = packages
        .iter()
        .filter(|it| reached.contains(&text(&it["id"])));
    let facts = packages.map(|it| {
        let name = format!("{} {}", text(&it["name"]), text(&it["version"]));
        (name, text(&it["license"]), text(&it["rust_version"]))
    });
    facts.collect()
}

fn cargo_host() -> String {
    let version = cargo(&["--version", "--verbose"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("cargo names its host").to_string()
}

#[test]
fn what_ships_has_licences_that_are_allowed() {
    let rules = manifest(".deny.toml");
    let allowed = rules["licenses"]["allow"].as_array().expect("a list");
    let allowed: Vec<&str> = allowed.iter().filter_map(toml::Value::as_str).collect();
    let packages = shipped();
    assert!(packages.len() > 50, "{packages:?}");
    for (name, licence, _) in packages {
        assert!(is_allowed(&licence, &allowed), "{name}: {licence}");
    }
}

/// Whether one of the ways to read an SPDX expression is allowed. `/` is the old sign
/// for `OR`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace('/', " OR ");
    let parts = |text: &str, word: &str| -> Vec<String> {
        // At blanks outside of parentheses.
        let mut parts = vec![String::new()];
        let mut depth = 0;
        for token in text.split_whitespace() {
            if token == word && depth == 0 {
                parts.push(String::new());
                continue;
            }
            depth += token.matches('(').count();
            depth -= token.matches(')').count();
            let part = parts.last_mut().expect("a part");
            *part = format!("{part} {token}").trim().to_string();
        }
        parts
    };
    let is_whole = |text: &str| text.starts_with('(') && text.ends_with(')');
    parts(&expression, "OR").iter().any(|either| {
        parts(either, "AND")
            .iter()
            .all(|part| match is_whole(part) {
                true => is_allowed(&part[1..part.len() - 1], allowed),
                false => allowed.contains(&part.as_str()),
            })
    })
}

#[test]
fn licences_are_read_as_spdx_says() {
    let check = |text, expected| assert_eq!(is_allowed(text, &["MIT", "ISC"]), expected, "{text}");
    check("MIT", true);
    check("GPL-3.0", false);
    check("GPL-3.0 OR MIT", true);
    check("GPL-3.0/MIT", true);
    check("MIT AND ISC", true);
    check("MIT AND GPL-3.0", false);
    check("(GPL-3.0 OR MIT) AND ISC", true);
    check("(GPL-3.0 OR MIT) AND Zlib", false);
    check("", false);
}

/// What of the standard library is too new is told by clippy (`incompatible_msrv`).
#[test]
fn what_ships_asks_for_no_newer_toolchain_than_we_promise() {
    let manifest = manifest("Cargo.toml");
    let promised = manifest["package"]["rust-version"]
        .as_str()
        .expect("a version");
    let version = |text: &str| -> Vec<u32> {
        let parts = text.split('.').take(2);
        parts.filter_map(|part| part.parse().ok()).collect()
    };
    for (name, _, wanted) in shipped() {
        let fits = wanted.is_empty() || version(&wanted) <= version(promised);
        assert!(fits, "{name} needs Rust {wanted}, we promise {promised}");
    }
}

/// What `cargo install` builds from, and what docs.rs shows; no test, no figures of a bench.
#[test]
fn the_package_has_what_a_build_takes() {
    let list = cargo(&["package", "--list", "--allow-dirty", "--offline"]);
    let files: BTreeSet<&str> = list.lines().collect();
    for file in [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "src/main.rs",
        "src/architecture.md",
    ] {
        assert!(files.contains(file), "{file} is missing");
    }
    let mut bytes = 0;
    for file in &files {
        let is_own = [
            "src/",
            "configs/",
            "Cargo.",
            "README.md",
            ".cargo_vcs_info.json",
        ];
        assert!(is_own.iter().any(|own| file.starts_with(own)), "{file}");
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        bytes += std::fs::metadata(path).map_or(0, |file| file.len());
    }
    assert!(bytes < 8 << 20, "{bytes} bytes");
}
