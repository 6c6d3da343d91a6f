//! Where the program writes, and what ends it: no report of another run is lost,
//! and what was measured is shown whatever becomes of the files.

#![cfg(unix)]

use std::ffi::OsStr;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::fake_server::{FakeServer, legacy};
use crate::program::{Finished, Program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cargo-pmcp");

/// A script for `sh` in which `$0` is the program and `$1` an address.
fn script(text: &str, url: &str) -> Program {
    Program::other("sh", &["-c", text, PROGRAM, url])
}

const RUN: &str = "\"$0\" loadtest run \"$1\" --tool work --vus 1 --iterations 3";

fn reports(finished: &Finished) -> usize {
    count_json(&finished.dir.path().join(".pmcp/reports"))
}

fn count_json(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("the folder of the reports");
    entries
        .map(|entry| entry.expect("an entry").path())
        .inspect(|path| assert_eq!(path.extension(), Some(OsStr::new("json")), "{path:?}"))
        .count()
}

#[test]
fn runs_of_one_second_write_a_report_each() {
    let server = FakeServer::start(legacy);
    let text = format!("for i in 1 2 3 4 5 6; do {RUN} & done; wait");
    let finished = script(&text, &server.url()).run().expect_code(0);
    assert_eq!(reports(&finished), 6, "{finished}");
}

#[test]
fn what_was_measured_is_shown_though_the_report_cannot_be_written() {
    let server = FakeServer::start(legacy);
    let finished = script(&format!("{RUN} --report /dev/full"), &server.url()).run();
    let finished = finished.expect_code(1);
    assert!(finished.stderr.contains("`/dev/full`"), "{finished}");
    assert!(finished.stdout.contains("requests    3"), "{finished}");
}

#[test]
fn a_place_that_cannot_be_written_is_known_before_the_load() {
    let server = FakeServer::start(legacy);
    let check = |before: &str, path: &str, expected: &str| {
        let text = format!("{before}; exec {RUN} --report {path}");
        let finished = script(&text, &server.url()).run().expect_code(1);
        assert!(finished.stderr.contains(expected), "{finished}");
        assert!(finished.stderr.contains(&format!("`{path}`")), "{finished}");
    };
    check("mkfifo pipe", "pipe", "nobody reads from this pipe");
    check("true", "no/such/folder.json", "no such file or directory");
    check("mkdir there", "there", "it is a folder");
    check("true", "not-there/", "it is a folder");
    check("ln -s circle circle", "circle", "circle");
    check("true", &"long".repeat(64), "name too long");
    assert_eq!(server.count("tools/call"), 0);
}

/// The summary of GitHub's step is one of several places: the run goes on without it.
#[test]
#[cfg(target_os = "linux")]
fn a_step_summary_that_nobody_reads_holds_nothing_up() {
    let server = FakeServer::start(legacy);
    let text = format!("mkfifo pipe; GITHUB_STEP_SUMMARY=pipe exec {RUN}");
    let finished = script(&text, &server.url()).run().expect_code(0);
    let said = "cannot be written to `pipe`: nobody reads from this pipe";
    let words: Vec<&str> = finished.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains(said), "{finished}");
}

/// The report alone is on stdout, and stderr is quiet: that it is missing is told all the
/// same.
#[test]
fn a_step_summary_that_cannot_be_written_is_told_to_quiet_runs_too() {
    let server = FakeServer::start(legacy);
    let text = format!("mkdir there; GITHUB_STEP_SUMMARY=there exec {RUN} --quiet --report -");
    let finished = script(&text, &server.url()).run().expect_code(0);
    let said = "notice: the summary of GitHub's step cannot be written to `there`: is a directory";
    assert!(finished.stderr.contains(said), "{finished}");
}

#[test]
fn pipes_and_open_files_are_written_to() {
    let server = FakeServer::start(legacy);
    let text = format!(
        "mkfifo pipe; cat pipe > read & {RUN} --report pipe; wait; grep -c schema_version read"
    );
    let finished = script(&text, &server.url()).run().expect_code(0);
    assert!(finished.stdout.ends_with("1\n"), "{finished}");
    // The report alone, though the summary goes to a file, too.
    let text = format!(
        "{RUN} --report /dev/stdout > out 2> err; grep -c '^{{' out; grep -c 'requests    3' err"
    );
    let finished = script(&text, &server.url()).run().expect_code(0);
    assert_eq!(finished.stdout, "1\n1\n", "{finished}");
}

#[test]
fn a_hangup_ends_a_run_in_good_order() {
    let server = FakeServer::start(legacy);
    let url = server.url();
    let start = |script_text: &str| {
        let mut running = script(script_text, &url).spawn();
        let before = server.count("tools/call");
        running.wait_until("a call", |_| server.count("tools/call") > before);
        running.signal(Signal::SIGHUP);
        running
    };
    let long = "\"$0\" loadtest run \"$1\" --tool work --vus 1 --think 1ms --duration";
    let finished = start(&format!("exec {long} 10m")).wait().expect_code(130);
    assert_eq!(
        finished.report()["run"]["ended"],
        "interrupted",
        "{finished}"
    );
    // Under `nohup` it is meant to go on.
    let finished = start(&format!("trap '' HUP; exec {long} 1s"))
        .wait()
        .expect_code(0);
    assert_eq!(finished.report()["run"]["ended"], "duration", "{finished}");
}

#[test]
fn a_reader_that_leaves_and_a_folder_that_is_gone_are_no_faults() {
    let server = FakeServer::start(legacy);
    let check = |text: &str| {
        let finished = script(text, &server.url()).run().expect_code(0);
        assert!(
            !finished.to_string().contains("this program failed"),
            "{finished}"
        );
        assert!(!finished.to_string().contains("panicked"), "{finished}");
        finished
    };
    let finished = check(&format!("{RUN} | head -1"));
    assert_eq!(reports(&finished), 1, "{finished}");
    check("\"$0\" loadtest run --help | head -1");
    check(&format!("{RUN} --quiet <&- >&- 2>&-"));
    check(&format!(
        "mkdir gone; cd gone; rmdir ../gone; {RUN} --no-report"
    ));
    let finished = script(
        &format!("mkdir gone; cd gone; rmdir ../gone; {RUN}"),
        &server.url(),
    );
    let finished = finished.run().expect_code(1);
    assert!(finished.stderr.contains("no current folder"), "{finished}");
}
