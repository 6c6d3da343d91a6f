//! What other programs make of what the program writes of itself: completions in bash,
//! zsh, fish and nushell, the manual in mandoc. bash is everywhere; the others are asked
//! where they are installed.

use crate::program::{Finished, Program, loadtest};

/// A script of completions, in a file of the working folder.
fn completions(shell: &str) -> String {
    let finished = loadtest(&["completions", shell]).run().expect_code(0);
    assert_eq!(finished.stderr, "", "{finished}");
    finished.stdout
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What a shell says of each line of `asked`, a line each.
fn said(shell: &str, arguments: &[&str], script: &str) -> Finished {
    let program = Program::other(shell, arguments);
    program.file("script", script).run().expect_code(0)
}

/// What is typed, and what has to be among what is offered or must not.
const TYPED: [(&str, &[&str], &[&str]); 12] = [
    ("cargo-pmcp ", &["loadtest"], &["run"]),
    (
        "cargo-pmcp loadtest c",
        &["check", "calibrate", "compare"],
        &["run"],
    ),
    ("cargo-pmcp loadtest run --v", &["--vus"], &["--version"]),
    (
        "cargo-pmcp loadtest run http://x/ --tool check --max-p",
        &["--max-p50", "--max-p99"],
        &["--segment"],
    ),
    (
        "cargo-pmcp loadtest report --form",
        &["--format"],
        &["--vus"],
    ),
    (
        "cargo pmcp loadtest find --dead",
        &["--deadline"],
        &["--vus"],
    ),
    ("cargo pmcp loadtest ca", &["calibrate"], &["check"]),
    (
        "cargo-pmcp loadtest run --live ",
        &["panel", "line", "off"],
        &["--vus", "script"],
    ),
    (
        "cargo pmcp loadtest compare --format j",
        &["json", "junit"],
        &["hlog", "script"],
    ),
    (
        "cargo-pmcp loadtest completions ",
        &["bash", "zsh", "fish", "nushell"],
        &["--color", "--help", "script"],
    ),
    ("cargo pmcp loadtest schema c", &["config"], &["report"]),
    (
        "cargo pmcp loadtest completions --a",
        &["--ascii"],
        &["bash"],
    ),
];

/// `offered` has what is offered for each line of [`TYPED`], in its order.
fn check_offers(offered: &[Vec<&str>], finished: &Finished) {
    assert_eq!(offered.len(), TYPED.len(), "{finished}");
    for ((typed, expected, others), offered) in TYPED.iter().zip(offered) {
        for word in *expected {
            assert!(
                offered.contains(word),
                "`{typed}`: {offered:?} without {word}"
            );
        }
        for word in *others {
            assert!(
                !offered.contains(word),
                "`{typed}`: {offered:?} with {word}"
            );
        }
    }
}

#[test]
fn bash_completes() {
    let script = completions("bash");
    let mut asked = format!("set -u\n{script}\n");
    for (typed, ..) in TYPED {
        let words = typed.split(' ').map(|word| format!("'{word}' "));
        let n_before = typed.split(' ').count() - 1;
        let function = match typed.starts_with("cargo ") {
            true => "_cargo_or_pmcp",
            false => "_cargo-pmcp",
        };
        asked += &format!(
            "COMP_WORDS=({})\nCOMP_CWORD={n_before}\n{function}\necho \"offered ${{COMPREPLY[*]}}\"\n",
            words.collect::<String>()
        );
    }
    // As bash runs it for the user.
    let finished = said(
        "bash",
        &["--norc", "script"],
        &asked.replace("set -u\n", ""),
    );
    let offered = finished.stdout.lines();
    let offered =
        offered.filter_map(|line| Some(line.strip_prefix("offered ")?.split(' ').collect()));
    let offered: Vec<Vec<&str>> = offered.collect();
    check_offers(&offered, &finished);
    assert_eq!(finished.stderr, "", "{finished}");
}

#[test]
fn fish_completes() {
    if !is_installed("fish") {
        return;
    }
    let mut asked = completions("fish");
    for (typed, ..) in TYPED {
        asked += &format!("complete -C '{typed}' | string replace -r '\\t.*' ''\n");
        asked += "echo end\n";
    }
    let finished = said("fish", &["--no-config", "script"], &asked);
    let offered = finished
        .stdout
        .split("end\n")
        .filter(|part| !part.is_empty());
    let offered = offered.map(|part| part.lines().collect());
    let offered: Vec<Vec<&str>> = offered.collect();
    check_offers(&offered, &finished);
    assert_eq!(finished.stderr, "", "{finished}");
}

/// Only a terminal makes zsh complete; here it is held against its grammar.
#[test]
fn zsh_reads_the_script() {
    if !is_installed("zsh") {
        return;
    }
    let script = completions("zsh");
    assert!(script.starts_with("#compdef cargo-pmcp\n"), "{script}");
    assert!(script.contains("'*:file:_files' && return 0"), "{script}");
    assert!(script.contains("--vus}'[virtual users"), "{script}");
    assert!(script.contains("':value:(panel line off)'"), "{script}");
    let shells = "':argument:(bash zsh fish nushell nu)' && return 0";
    assert_eq!(script.matches(shells).count(), 1, "{script}");
    said("zsh", &["-f", "-n", "script"], &script);
}

/// A script is held against nushell's own grammar where it is installed: `nu` says what it
/// offers at a place of a file, as it tells editors.
#[test]
fn nushell_completes() {
    let script = completions("nushell");
    let expected =
        "def \"nu-complete cargo-pmcp panel line off\" [] { [ \"panel\" \"line\" \"off\" ] }\n";
    assert_eq!(script.matches(expected).count(), 1, "{script}");
    let flag = "    --live: string@\"nu-complete cargo-pmcp panel line off\" # ";
    assert!(script.contains(flag), "{script}");
    let shells = "    shell: string@\"nu-complete cargo-pmcp bash zsh fish nushell nu\" # ";
    assert_eq!(script.matches(shells).count(), 2, "{script}");
    if !is_installed("nu") {
        return;
    }
    let said_of = TYPED.map(|(typed, ..)| {
        let asked = format!("{script}\n{typed}");
        let at = asked.len().to_string();
        let arguments = ["--no-config-file", "--ide-complete", &at, "script"];
        said("nu", &arguments, &asked)
    });
    let offered = TYPED.iter().zip(&said_of).map(|((typed, ..), finished)| {
        let said: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        let offered = said["completions"].as_array().expect("a list").iter();
        let n_before = typed.split(' ').count() - 1;
        let words = offered.filter_map(|words| {
            let words: Vec<&str> = words.as_str()?.split(' ').collect();
            // A command is offered with all the words before it, and those below it too.
            words
                .get(if words.len() > 1 { n_before } else { 0 })
                .copied()
        });
        words.map(str::to_string).collect::<Vec<_>>()
    });
    let offered: Vec<Vec<String>> = offered.collect();
    let offered = offered
        .iter()
        .map(|words| words.iter().map(String::as_str).collect());
    let offered: Vec<Vec<&str>> = offered.collect();
    check_offers(&offered, &said_of[0]);
}

#[test]
fn nushell_is_told_of_both_ways_to_call_it() {
    let script = completions("nushell");
    for extern_name in ["cargo-pmcp loadtest run", "cargo pmcp loadtest run"] {
        let line = format!("export extern \"{extern_name}\" [\n");
        assert!(script.contains(&line), "{script}");
    }
    assert!(script.contains("    --vus(-c): string # "), "{script}");
}

#[test]
fn the_other_binary_completes_itself() {
    let program = env!("CARGO_BIN_EXE_cargo-pmcp-loadtest");
    let finished = Program::other(program, &["completions", "bash"])
        .run()
        .expect_code(0);
    let script = &finished.stdout;
    assert!(script.contains("\n_cargo_or_pmcp-loadtest() {"), "{script}");
    assert!(
        script.contains("complete -F _cargo-pmcp-loadtest "),
        "{script}"
    );
    loadtest(&["completions", "tcsh"]).run().expect_code(2);
}

#[test]
fn the_manual_has_no_fault() {
    let finished = loadtest(&["man"]).run().expect_code(0);
    let manual = &finished.stdout;
    assert!(manual.contains(".TH CARGO-PMCP-LOADTEST 1 "), "{manual}");
    // groff warns of every other character.
    assert!(manual.is_ascii(), "{manual}");
    if is_installed("mandoc") {
        let arguments = ["-T", "lint", "-W", "warning", "script"];
        let finished = Program::other("mandoc", &arguments)
            .file("script", manual)
            .run();
        assert_eq!(finished.stdout, "");
    }
}
