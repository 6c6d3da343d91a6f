//! What is typed, and what comes back: forms of the call, help, mistakes, exit
//! codes, and which stream each text goes to.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::program::{Finished, Program, Running, TempDir};
use crate::raw_http::{LegacySession, RawClient, modern_request};

const BINARY: &str = env!("CARGO_BIN_EXE_cargo-pmcp");
const OWN_BINARY: &str = env!("CARGO_BIN_EXE_cargo-pmcp-loadtest");
/// Far more than a run here takes; a hang ends there.
const LIMIT: Duration = Duration::from_secs(20);

mod forms {
    use super::*;

    #[test]
    fn cargo_finds_it_on_the_path() {
        let version = version_line();
        for arguments in [
            &["pmcp", "loadtest", "--version"][..],
            &["pmcp-loadtest", "--version"],
        ] {
            let folder = Path::new(BINARY).parent().expect("a file in a folder");
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path));
            let path = std::env::join_paths(folders).expect("no colon in the folder's name");
            let finished = Program::other(env!("CARGO"), arguments)
                .env("PATH", path.to_str().expect("a UTF-8 path"))
                .time_limit(LIMIT)
                .run()
                .expect_code(0);
            assert_eq!(finished.stdout, version, "{finished}");
        }
    }

    #[test]
    fn both_binaries_are_the_same_program() {
        let version = version_line();
        let calls: [(&str, &[&str]); 7] = [
            (BINARY, &["loadtest", "--version"]),
            (BINARY, &["loadtest", "-V"]),
            (BINARY, &["pmcp", "loadtest", "--version"]),
            (BINARY, &["--version"]),
            (OWN_BINARY, &["--version"]),
            (OWN_BINARY, &["loadtest", "--version"]),
            (OWN_BINARY, &["pmcp-loadtest", "--version"]),
        ];
        for (binary, arguments) in calls {
            let finished = Program::other(binary, arguments).run().expect_code(0);
            assert_eq!(finished.stdout, version, "{binary} {arguments:?}");
            assert_eq!(finished.stderr, "", "{binary} {arguments:?}");
        }
    }

    #[test]
    fn values_may_follow_an_equals_sign() {
        let finished = loadtest(&["run", "--demo", "--vus=3", "--iterations=9", "--seed=5"]);
        let report = finished.expect_code(0).report();
        assert_eq!(report["plan"]["load"]["virtual_users"], 3);
        assert_eq!(report["run"]["planned_iterations"], 9);
        assert_eq!(report["run"]["seed"], 5);
        assert_eq!(report["totals"]["started"], 9);
    }

    fn version_line() -> String {
        format!("pmcp-loadtest {}\n", env!("CARGO_PKG_VERSION"))
    }
}

mod help {
    use super::*;

    const COLORS: [&str; 2] = ["--color", "--no-color"];
    const SERVER: [&str; 5] = [
        "--timeout",
        "--protocol",
        "--cookies",
        "--header",
        "--api-key",
    ];
    const RUN: [&str; 26] = [
        "--demo",
        "--config",
        "--vus",
        "--duration",
        "--iterations",
        "--stage",
        "--ramp-up",
        "--rate",
        "--max-vus",
        "--pacing",
        "--think",
        "--warm-up",
        "--on-break",
        "--probe",
        "--tool",
        "--args",
        "--graceful-stop",
        "--seed",
        "--workers",
        "--no-pin",
        "--busy-poll",
        "--calibration",
        "--strict",
        "--report",
        "--no-report",
        "--quiet",
    ];
    const DEMO: [&str; 9] = [
        "--port",
        "--seed",
        "--latency",
        "--faults",
        "--capacity",
        "--answers",
        "--eras",
        "--stateless",
        "--session-ttl",
    ];

    #[test]
    fn every_level_names_all_there_is() {
        check(
            &[],
            &[
                "run",
                "init",
                "check",
                "try",
                "calibrate",
                "demo",
                "--version",
            ],
        );
        check(&["run"], &[&RUN[..], &SERVER, &COLORS].concat());
        let find = [
            "--max-p99",
            "--max-errors",
            "--by",
            "--from",
            "--to",
            "--quick",
        ];
        check(&["find"], &[&find[..], &SERVER, &COLORS].concat());
        let init = ["--output", "--force", "--yes"];
        check(&["init"], &[&init[..], &SERVER, &COLORS].concat());
        check(&["check"], &COLORS);
        let trial = ["--url", "--demo", "--tool", "--args"];
        check(&["try"], &[&trial[..], &SERVER, &COLORS].concat());
        let calibrate = ["--vus", "--seconds", "--report", "--no-report", "--quiet"];
        check(&["calibrate"], &[&calibrate[..], &COLORS].concat());
        check(&["demo"], &[&DEMO[..], &COLORS].concat());
    }

    #[test]
    fn flags_stand_in_groups_with_short_forms_variables_and_exit_codes() {
        let help = help_of(&["run"]);
        let mut rest = help.as_str();
        for in_order in [
            "\nArguments:\n  [URL]",
            "\nLoad:\n  -c, --vus <n>",
            "\n  -d, --duration <time>",
            "\n  -n, --iterations <n>",
            "\n  -r, --rate <rate>",
            "\nThresholds:\n",
            "\n  -H, --header <header>",
            "\nTLS:\n",
            "\n  -o, --report <file>",
            "\n  -h, --help",
            "\nEnvironment:\n  MCP_API_KEY",
            "\nExit codes:\n  0 ",
            "\n  130 ",
            "\nExamples:\n",
            "\n    $ cargo pmcp loadtest run ",
        ] {
            let found = rest.split_once(in_order);
            let (_, behind) = found.unwrap_or_else(|| panic!("no {in_order:?} in\n{rest}"));
            rest = behind;
        }
        for words in [
            &["help", "run"][..],
            &["run", "-h"],
            &["run", "--demo", "--help"],
        ] {
            let arguments = [&["loadtest"], words].concat();
            let finished = Program::new(&arguments).run().expect_code(0);
            assert_eq!(finished.stdout, help, "{words:?}");
        }
    }

    #[test]
    fn short_flags_are_those_of_their_long_names() {
        let short = ["run", "--demo", "-c2", "-n", "10", "-o", "-", "--quiet"];
        let finished = loadtest(&short);
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("JSON");
        assert_eq!(report["totals"]["started"], 10, "{finished}");
        assert_eq!(report["config"]["virtual_users"], 2, "{report:#}");
    }

    #[test]
    fn a_config_comes_from_the_standard_input() {
        let config = "[settings]\niterations = 5\n\n[[scenario]]\ntype = \"tools/list\"\n";
        for arguments in [
            &["loadtest", "check", "-"][..],
            &["loadtest", "try", "-", "--demo"],
            &["loadtest", "run", "--config", "-", "--demo", "--no-report"],
        ] {
            let finished = Program::new(arguments).stdin(config).run().expect_code(0);
            assert!(!finished.stdout.is_empty(), "{finished}");
        }
        let faulty = Program::new(&["loadtest", "check", "-"]).stdin("[settings]\nvus = 1\n");
        let faulty = faulty.run().expect_code(2);
        assert!(faulty.stderr.contains("standard input:2"), "{faulty}");
        let large = " ".repeat((4 << 20) + 1);
        let large = Program::new(&["loadtest", "check", "-"]).stdin(&large);
        let large = large.run().expect_code(2);
        assert!(large.stderr.contains("is larger than 4 MiB"), "{large}");
    }

    #[test]
    fn without_a_command_it_helps_too() {
        let expected = help_of(&[]);
        for arguments in [&[][..], &["--help"], &["loadtest"], &["loadtest", "help"]] {
            let finished = Program::new(arguments).run().expect_code(0);
            assert_eq!(finished.stdout, expected, "{arguments:?}");
        }
    }

    #[test]
    fn it_has_no_colour_and_fits_a_terminal_but_for_examples() {
        for command in ["run", "init", "check", "try", "calibrate", "demo"] {
            let help = help_of(&[command]);
            assert!(!help.contains('\x1b'), "{help}");
            let lines = help.lines().skip(1).filter(|line| !line.contains(" $ "));
            for line in lines {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[track_caller]
    fn check(command: &[&str], words: &[&str]) {
        let help = help_of(command);
        assert!(help.starts_with("Usage: cargo pmcp loadtest"), "{help}");
        for word in words {
            // In the list of options, beside the line of usage.
            let is_listed = help.lines().any(|line| {
                line.starts_with("  ") && line.split([' ', ',']).any(|part| part == *word)
            });
            assert!(is_listed, "no {word} in\n{help}");
        }
    }

    fn help_of(command: &[&str]) -> String {
        let mut arguments = vec!["loadtest"];
        arguments.extend(command);
        arguments.push("--help");
        let finished = Program::new(&arguments).run().expect_code(0);
        assert_eq!(finished.stderr, "", "{finished}");
        finished.stdout
    }
}

mod mistakes {
    use super::*;

    #[test]
    fn unknown_words_are_answered_with_the_nearest() {
        check(
            &["run", "--vuss", "5"],
            &["--vuss", "did you mean `--vus`?"],
        );
        check(&["run", "--users=5"], &["--users", "did you mean `--vus`?"]);
        check(&["demo", "--prot=1"], &["--prot", "did you mean `--port`?"]);
        check(&["rnu"], &["rnu", "did you mean `run`?"]);
        check(&["chekc"], &["chekc", "did you mean `check`?"]);
        check(&["run", "http://x/", "more"], &["more"]);
        check(&["run", "--qqqqqqqq"], &["--qqqqqqqq", "run --help"]);
        let finished = Program::new(&["run"]).run().expect_code(2);
        assert!(
            finished.stderr.contains("unknown command `run`"),
            "{finished}"
        );
        assert!(
            finished.stderr.contains("cargo pmcp loadtest"),
            "{finished}"
        );
    }

    #[test]
    fn bad_numbers_and_times_say_what_is_accepted() {
        check(&["run", "--demo", "--vus", "0"], &["--vus", "from 1"]);
        check(&["run", "--demo", "--vus", "many"], &["--vus", "many"]);
        check(&["run", "--demo", "--vus=-1"], &["--vus", "-1"]);
        check(&["run", "--demo", "--vus=99999999999"], &["--vus"]);
        check(&["run", "--demo", "--iterations=0"], &["--iterations"]);
        for time in ["soon", "5 parsecs", "-3s", "", "1e400s"] {
            let flag = format!("--duration={time}");
            check(&["run", "--demo", &flag], &["--duration", "`30s`"]);
        }
        for time in ["999999h", "99999999999999999999h"] {
            for flag in ["--duration", "--timeout"] {
                check(&["run", "--demo", flag, time], &[flag, "at most `366d`"]);
            }
        }
        let seed = "18446744073709551616";
        check(
            &["run", "--demo", "--seed", seed],
            &["--seed", "the most is"],
        );
        check(&["run", "--demo", "--duration=0s"], &["--duration"]);
        check(&["run", "--demo", "--timeout=0s"], &["--timeout"]);
        check(&["run", "--demo", "--rate=fast"], &["--rate", "fast"]);
        check(&["run", "--demo", "--stage=1m"], &["--stage"]);
        check(&["run", "--demo", "--color=pink"], &["`auto`", "`never`"]);
        check(&["run", "--demo", "--protocol=1999-01-01"], &["--protocol"]);
        check(&["demo", "--port=99999"], &["--port", "99999"]);
        check(&["demo", "--latency=slow"], &["--latency", "slow"]);
    }

    #[test]
    fn arguments_of_a_tool_are_an_object() {
        for text in ["{", "hi", "", "[1]", "null"] {
            let flag = format!("--args={text}");
            check(
                &["run", "--demo", "--tool=echo", &flag],
                &["--args", "object"],
            );
        }
        check(
            &["run", "--demo", "--tool=echo", "--args=@none.json"],
            &["--args", "`none.json`"],
        );
        check(&["run", "--demo", "--args={}"], &["--args", "--tool"]);
        check(&["run", "--demo", "--tool"], &["--tool"]);
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        check(
            &["run", "--demo", "--report=x.json", "--no-report"],
            &["--report", "--no-report"],
        );
        check(
            &["run", "--demo", "http://127.0.0.1:9/mcp"],
            &["--demo", "127.0.0.1:9"],
        );
    }

    #[test]
    fn without_a_server_it_says_where_to_name_one() {
        check(&["run"], &["http://127.0.0.1:8080/mcp"]);
        check(&["run", "--tool=echo"], &["http://127.0.0.1:8080/mcp"]);
        check(&["run", "ftp://127.0.0.1/"], &["http"]);
        check(&["run", "not a url"], &["http"]);
    }

    #[test]
    fn secrets_are_not_repeated() {
        let secret = "geheim-4711";
        for arguments in [
            &["run", "--demo", "-H", secret][..],
            &["run", "--demo", "--header", secret],
            &["run", "--demo", "--api-key", secret, "--vus=0"],
            &["init", "-H", secret],
            &["run", "--demo", "-H", "geheim-4711\n\nmore"],
        ] {
            let finished = loadtest(arguments).expect_code(2);
            assert!(
                !finished.stderr.contains(secret),
                "{arguments:?}: {finished}"
            );
            assert!(
                !finished.stdout.contains(secret),
                "{arguments:?}: {finished}"
            );
        }
        let header = format!("X-Key: {secret}\n");
        let run = ["run", "--demo", "--iterations=1", "-H", &header];
        let finished = loadtest(&[&run[..], &["--api-key", secret]].concat());
        assert!(!finished.to_string().contains(secret), "{finished}");
    }

    #[test]
    #[cfg(unix)]
    fn an_argument_that_is_no_utf8_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        let output = Command::new(BINARY)
            .args(["loadtest", "run"].map(OsStr::new))
            .arg(OsStr::from_bytes(b"http://\xff/"))
            .stdin(Stdio::null())
            .output()
            .expect("the program can be started");
        assert_eq!(output.status.code(), Some(2));
        let stderr = String::from_utf8(output.stderr).expect("its own words are UTF-8");
        assert!(stderr.contains("is not valid UTF-8"), "{stderr}");
    }

    #[test]
    #[cfg(unix)]
    fn a_variable_that_is_no_utf8_is_not_taken_for_unset() {
        use std::os::unix::ffi::OsStrExt;
        let value = OsStr::from_bytes(b"geheim-\xff");
        let check = |name: &str, arguments: &[&str]| {
            let output = Command::new(BINARY)
                .args([&["loadtest"], arguments].concat())
                .env(name, value)
                .stdin(Stdio::null())
                .output()
                .expect("the program can be started");
            let stderr = String::from_utf8(output.stderr).expect("its own words are UTF-8");
            assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
            assert!(stderr.contains(name), "{name}: {stderr}");
            assert!(!stderr.contains("geheim"), "{name}: {stderr}");
        };
        let url = url_of_nobody();
        for name in [
            "MCP_API_KEY",
            "MCP_OAUTH_CLIENT_ID",
            "MCP_OAUTH_CLIENT_SECRET",
            "MCP_OAUTH_ISSUER",
            "MCP_OAUTH_PRIVATE_KEY",
            "MCP_OAUTH_REDIRECT_PORT",
            "MCP_OAUTH_SCOPES",
        ] {
            check(name, &["run", &url]);
        }
        check("MCP_API_KEY", &["try", &url]);
        check("MCP_API_KEY", &["init", &url]);
        let collector = ["run", &url, "--out", "otlp=http://127.0.0.1:1"];
        check("OTEL_EXPORTER_OTLP_HEADERS", &collector);
        check("OTEL_EXPORTER_OTLP_METRICS_HEADERS", &collector);
        check("JOB_COMPLETION_INDEX", &["run", &url, "--segment", "job/4"]);
    }

    #[test]
    fn a_token_that_fits_no_header_is_told_by_what_gave_it() {
        let url = url_of_nobody();
        check(
            &["run", &url, "--api-key", "geheim\u{1}"],
            &["`--api-key` has a control character in its value"],
        );
        let finished = Program::new(&["loadtest", "run", &url])
            .env("MCP_API_KEY", "geheim\u{1}")
            .run()
            .expect_code(2);
        let said = "`MCP_API_KEY` has a control character in its value";
        assert!(finished.stderr.contains(said), "{finished}");
        assert!(!finished.stderr.contains("geheim"), "{finished}");
    }

    #[test]
    fn a_server_that_is_not_there_is_told_at_once() {
        let finished = loadtest(&["run", &url_of_nobody(), "--duration=1h"]).expect_code(1);
        assert!(finished.stderr.contains("connection refused"), "{finished}");
        assert!(finished.stderr.contains("hint: "), "{finished}");
        assert_eq!(finished.stdout, "");
        assert_eq!(finished.report_path(), None);
    }

    /// A mistake: exit code 2, an error with these words on stderr and nothing
    /// elsewhere.
    #[track_caller]
    fn check(arguments: &[&str], words: &[&str]) {
        let finished = loadtest(arguments).expect_code(2);
        assert!(finished.stderr.starts_with("error: "), "{finished}");
        for word in words {
            assert!(finished.stderr.contains(word), "no {word:?}: {finished}");
        }
        let what = finished.stderr.lines().next().unwrap_or_default();
        assert!(!what.ends_with('.'), "{finished}");
        assert!(!finished.stderr.contains("panicked"), "{finished}");
        assert_eq!(finished.stdout, "", "{finished}");
        let folder = finished.dir.path().join(".pmcp");
        assert!(!folder.exists(), "a folder was left: {finished}");
    }
}

mod output {
    use super::*;

    #[test]
    fn the_report_can_be_the_only_thing_on_stdout() {
        let finished = demo_run(&["--report=-"]).run().expect_code(0);
        let report: Value = serde_json::from_str(&finished.stdout).expect("a report and no more");
        assert_eq!(report["totals"]["ok"], 12);
        assert!(finished.stderr.contains("12, all ok"), "{finished}");
        assert_eq!(finished.report_path(), None);
    }

    #[test]
    fn the_report_goes_where_it_is_told() {
        let finished = demo_run(&["--report=mine.json"]).run().expect_code(0);
        let text = std::fs::read_to_string(finished.dir.path().join("mine.json"));
        let report: Value = serde_json::from_str(&text.expect("the report")).expect("JSON");
        assert_eq!(report["schema_version"], "2.5");
        assert_eq!(finished.report_path(), None);
        assert!(finished.stdout.contains("mine.json"), "{finished}");

        let finished = demo_run(&["--no-report"]).run().expect_code(0);
        assert!(!finished.dir.path().join(".pmcp").exists());

        let finished = demo_run(&[]).run().expect_code(0);
        let path = finished.report_path().expect("a report");
        assert_eq!(
            path.parent(),
            Some(&*finished.dir.path().join(".pmcp/reports"))
        );
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_before_the_load() {
        let finished = demo_run(&["--report=no/such/folder/x.json", "--duration=1h"])
            .run()
            .expect_code(1);
        assert!(finished.stderr.contains("no/such/folder"), "{finished}");
        assert_eq!(finished.stdout, "", "{finished}");
    }

    #[test]
    fn quiet_leaves_only_the_result() {
        let finished = demo_run(&["--quiet"]).run().expect_code(0);
        assert_eq!(finished.stderr, "");
        assert!(finished.stdout.contains("12, all ok"), "{finished}");
    }

    #[test]
    fn without_a_terminal_progress_comes_in_whole_lines() {
        let finished = loadtest(&["run", "--demo", "--vus=2", "--duration=1500ms"]).expect_code(0);
        let lines: Vec<&str> = finished.stderr.lines().collect();
        assert!(
            lines[0].starts_with("testing http://127.0.0.1:"),
            "{finished}"
        );
        let progress = lines.iter().find(|line| line.contains("2 VUs"));
        let progress = progress.unwrap_or_else(|| panic!("no progress: {finished}"));
        assert!(
            progress.contains("p99 ") && progress.contains("/s"),
            "{progress}"
        );
        assert!(finished.stderr.ends_with('\n'), "{finished}");
        assert!(!finished.stderr.contains(['\r', '\x1b']), "{finished}");
    }

    #[test]
    fn colour_is_for_those_who_want_it() {
        let is_coloured = |program: Program| {
            let finished = program.run().expect_code(0);
            finished.stdout.contains('\x1b')
        };
        assert!(!is_coloured(demo_run(&[])));
        assert!(is_coloured(demo_run(&["--color=always"])));
        assert!(is_coloured(
            demo_run(&["--color", "always"]).env("NO_COLOR", "1")
        ));
        assert!(!is_coloured(
            demo_run(&["--color=auto"]).env("NO_COLOR", "1")
        ));
        assert!(!is_coloured(demo_run(&["--color=never"])));
        assert!(!is_coloured(demo_run(&["--color=always", "--no-color"])));
        let finished = loadtest(&["run", "--color=always"]).expect_code(2);
        assert!(finished.stderr.contains('\x1b'), "{finished}");
    }

    /// Of two runs, so only the rows count that every run has: how late this
    /// host read, or that a worker's loop was slow, has one where it is worth
    /// one.
    #[test]
    fn the_colours_are_all_that_colour_adds() {
        const ROWS: [&str; 19] = [
            "requests",
            "rate",
            "error",
            "traffic",
            "latency",
            "ok",
            "operation",
            "echo",
            "handshake",
            "slowest",
            "distribution",
            "target",
            "server",
            "load",
            "duration",
            "generator",
            "in",
            "workers",
            "verdict",
        ];
        const OF_THIS_MACHINE: [&str; 4] = ["read", "loop", "notice", "hint"];
        /// Text that goes on from the line before stands as far in as this, or
        /// further.
        const NOTE_WIDTH: usize = 6;
        let plain = demo_run(&["--quiet"]).run().expect_code(0).stdout;
        let coloured = demo_run(&["--quiet", "--color=always"])
            .run()
            .expect_code(0);
        let words = |text: &str| -> Vec<String> {
            let is_label = |line: &&str| !line.starts_with(&" ".repeat(NOTE_WIDTH));
            let lines = text.lines().filter(is_label);
            let first_words = lines.filter_map(|line| line.split_whitespace().next());
            first_words
                .filter(|word| word.chars().all(char::is_alphabetic))
                .filter(|word| !OF_THIS_MACHINE.contains(word))
                .map(String::from)
                .collect()
        };
        assert!(!plain.contains('\x1b'), "{plain}");
        assert_eq!(words(&plain), ROWS, "{plain}");
        assert_eq!(words(&without_escapes(&coloured.stdout)), ROWS);
    }

    #[test]
    fn a_summary_fits_eighty_columns_but_for_the_names() {
        let long = "x".repeat(300);
        for (arguments, code) in [
            (&["--tool=echo", "--args={\"text\":\"a\"}"][..], 0),
            (&["--tool", &long], 3),
            (
                &[
                    "--tool",
                    "道具道具道具道具道具道具道具道具道具道具道具道具道具道具道具道具",
                ],
                3,
            ),
        ] {
            let unheld = [&["--no-preflight"], arguments].concat();
            let finished = demo_run(&unheld).run().expect_code(code);
            let report_line = finished
                .stdout
                .lines()
                .filter(|line| line.starts_with("report: "));
            assert_eq!(report_line.count(), 1);
            for line in finished
                .stdout
                .lines()
                .filter(|line| !line.starts_with("report: "))
            {
                // Every character that is not ASCII here but the blocks is wide.
                let width: usize = line
                    .chars()
                    .map(|c| {
                        if ('\u{3000}'..='\u{9fff}').contains(&c) {
                            2
                        } else {
                            1
                        }
                    })
                    .sum();
                // In a pipe a name takes the room that it needs,
                // and so do the rows of its table.
                let is_long = line.contains("xxxx")
                    || line.contains("道具道具")
                    || line.starts_with("operation")
                    || line.starts_with("handshake");
                assert!(is_long || width <= 80, "{width} columns: {line}");
                assert!(!line.contains('…'), "{line}");
            }
        }
    }

    /// The reader has gone before anything is written, with certainty.
    #[test]
    fn a_reader_that_is_gone_is_no_fault() {
        for arguments in [
            &["loadtest", "--help"][..],
            &["loadtest", "--version"],
            &["loadtest", "run", "--demo", "--iterations=5", "--quiet"],
            &["loadtest", "run", "--demo", "--iterations=5", "--report=-"],
            &["loadtest", "init", "--output=-"],
        ] {
            let dir = TempDir::new();
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            let output = Command::new(BINARY)
                .args(arguments)
                .current_dir(dir.path())
                .stdin(Stdio::null())
                .stdout(writer)
                .stderr(Stdio::piped())
                .output()
                .expect("the program can be started");
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
            assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
            assert!(!stderr.contains("error:"), "{arguments:?}: {stderr}");
        }
    }

    #[test]
    fn a_stderr_that_is_gone_is_no_fault_either() {
        let dir = TempDir::new();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = Command::new(BINARY)
            .args(["loadtest", "run", "--demo", "--vus=2", "--duration=1200ms"])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(writer)
            .output()
            .expect("the program can be started");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{stdout}");
        assert!(stdout.contains("all ok"), "{stdout}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_stdout_refuses_is_told_by_all_that_only_prints() {
        for command in [
            "--help",
            "--version",
            "run --help",
            "completions bash",
            "man",
            "schema report",
        ] {
            let script = format!("exec '{BINARY}' loadtest {command} > /dev/full");
            let finished = Program::other("sh", &["-c", &script]).run().expect_code(1);
            let said = "error: cannot write to stdout: no space left on device";
            assert!(finished.stderr.contains(said), "{command}: {finished}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_told_and_the_report_is_kept() {
        let script = format!("exec '{BINARY}' loadtest run --demo --iterations=5 > /dev/full");
        let finished = Program::other("sh", &["-c", &script])
            .time_limit(LIMIT)
            .run();
        let finished = finished.expect_code(1);
        assert!(
            finished.stderr.contains("cannot write the summary"),
            "{finished}"
        );
        assert_eq!(finished.report()["totals"]["started"], 5);
    }

    fn without_escapes(text: &str) -> String {
        let mut parts = text.split('\x1b');
        let mut plain = parts.next().unwrap_or_default().to_string();
        for part in parts {
            plain.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
        }
        plain
    }

    /// A dozen iterations against the demo server that never fail: its default
    /// scenario is for people, and may hold anything.
    fn demo_run(arguments: &[&str]) -> Program {
        let mut all = vec!["loadtest", "run", "--demo", "--vus=2", "--iterations=12"];
        all.extend(arguments);
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--tool"))
        {
            all.extend(["--tool=echo", "--args={\"text\":\"hi\"}"]);
        }
        Program::new(&all).time_limit(LIMIT)
    }
}

mod config {
    use super::*;

    const CONFIG: &str = r#"
[settings]
url = "http://127.0.0.1:9/mcp"
virtual_users = 3
duration = "20s"

[[scenario]]
type = "tools/call"
tool = "echo"
weight = 3
arguments = { text = "${GREETING:-hello}" }

[[scenario]]
type = "tools/list"
"#;

    #[test]
    fn it_is_found_walking_up() {
        let script = format!("cd a/b/c && exec '{BINARY}' loadtest check");
        let finished = Program::other("sh", &["-c", &script])
            .file(".pmcp/loadtest.toml", CONFIG)
            .file("a/b/c/other.txt", "")
            .run()
            .expect_code(0);
        assert!(finished.stdout.contains("no faults"), "{finished}");
        assert!(
            finished.stdout.contains(".pmcp/loadtest.toml"),
            "{finished}"
        );
    }

    #[test]
    fn check_shows_the_resolved_plan() {
        let check = || Program::new(&["loadtest", "check", "x.toml"]).file("x.toml", CONFIG);
        let finished = check().run().expect_code(0);
        for words in [
            "x.toml: no faults",
            "http://127.0.0.1:9/mcp",
            "3 virtual users",
            "after 20s",
            "tools/call echo {\"text\":\"${GREETING:-hello}\"}, 75%",
            "tools/list, 25%",
        ] {
            assert!(finished.stdout.contains(words), "no {words}: {finished}");
        }
        assert_eq!(finished.stderr, "");
        // What comes from the environment may be a secret.
        let finished = check().env("GREETING", "salut").run().expect_code(0);
        assert!(!finished.stdout.contains("salut"), "{finished}");
    }

    /// The server refuses a kind that it does not know.
    #[test]
    fn arguments_are_filled_from_the_environment() {
        let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"search\"\n\
                      arguments = { query = \"q\", kind = \"${KIND:-notes}\" }\n";
        let demo = DemoProcess::start(&["--latency=none"]);
        let run = |kind: &str| {
            // What the tool refuses would be refused before the load, too.
            let flags = ["--vus=1", "--iterations=4", "--no-preflight"];
            let program = Program::new(&[&["loadtest", "run", &demo.url], &flags[..]].concat());
            let program = program.file(".pmcp/loadtest.toml", config);
            let program = program.time_limit(LIMIT);
            if kind.is_empty() {
                program
            } else {
                program.env("KIND", kind)
            }
        };
        for (program, n_ok) in [(run(""), 4), (run("people"), 4), (run("rabbits"), 0)] {
            let report = program.run().expect_made().report();
            assert_eq!(report["totals"]["ok"], n_ok, "{report:#}");
            assert_eq!(report["totals"]["failed"], 4 - n_ok, "{report:#}");
        }
    }

    #[test]
    fn check_shows_every_fault_with_its_place() {
        let config = "[settings]\nvirtual_usres = 3\nduration = \"soon\"\n\n\
                      [[scenario]]\ntype = \"tools/call\"\ntool = \"${NOT_SET}\"\nweight = -1\n";
        let finished = Program::new(&["loadtest", "check", "x.toml"])
            .file("x.toml", config)
            .run()
            .expect_code(2);
        for words in [
            "x.toml:2:1: settings.virtual_usres",
            "did you mean `virtual_users`?",
            "x.toml:3:",
            "`soon`",
            "x.toml:7:",
            "`NOT_SET`",
            "x.toml:8:",
        ] {
            assert!(finished.stderr.contains(words), "no {words}: {finished}");
        }
        assert_eq!(finished.stdout, "");
    }

    #[test]
    fn a_config_that_is_missing_is_told() {
        let finished = loadtest(&["check"]).expect_code(2);
        assert!(
            finished.stderr.contains(".pmcp/loadtest.toml"),
            "{finished}"
        );
        for command in ["check", "run"] {
            let arguments: &[&str] = if command == "run" {
                &["run", "--config", "none.toml"]
            } else {
                &["check", "none.toml"]
            };
            let finished = loadtest(arguments).expect_code(2);
            assert!(finished.stderr.contains("`none.toml`"), "{finished}");
        }
    }

    #[test]
    fn flags_take_precedence_over_the_config() {
        let demo = DemoProcess::start(&["--latency=none"]);
        let finished = Program::new(&["loadtest", "run", &demo.url, "--vus=1", "--iterations=8"])
            .file(".pmcp/loadtest.toml", CONFIG)
            .env("GREETING", "salut")
            .time_limit(LIMIT)
            .run()
            .expect_code(0);
        let report = finished.report();
        assert_eq!(report["target_url"], demo.url);
        assert_eq!(report["plan"]["load"]["virtual_users"], 1);
        assert!(!report.to_string().contains("salut"), "{report:#}");
        assert_eq!(report["totals"]["ok"], 8);
        assert_eq!(report["operations"].as_array().map(Vec::len), Some(2));
    }

    /// The whole load, with what belonged to the config's alone.
    #[test]
    fn a_load_on_the_command_line_takes_the_place_of_the_config_s() {
        let config = CONFIG.replace("[settings]", "[settings]\nramp_up = \"1s\"\nthink = \"1s\"");
        let demo = DemoProcess::start(&["--latency=none"]);
        for (flag, model) in [
            ("--stage=100ms:2,100ms:1", "staged"),
            ("--rate=50/s", "open"),
        ] {
            let finished = Program::new(&["loadtest", "run", &demo.url, flag, "--iterations=5"])
                .file(".pmcp/loadtest.toml", &config)
                .time_limit(LIMIT)
                .run();
            let report = finished.expect_code(0).report();
            assert_eq!(report["plan"]["load"]["model"], model, "{report:#}");
            assert!(report["totals"]["ok"].as_u64() > Some(0), "{report:#}");
        }
        let finished = loadtest(&["run", "--demo", "--stage=200ms:2"]).expect_code(0);
        assert_eq!(finished.report()["plan"]["load"]["model"], "staged");
    }

    #[test]
    fn arguments_can_be_in_a_file() {
        let finished = Program::new(&[
            "loadtest",
            "run",
            "--demo",
            "--tool=echo",
            "--args=@my args.json",
            "--iterations=4",
            "--vus=2",
        ])
        .file("my args.json", "{\"text\": \"from a file\"}\n")
        .time_limit(LIMIT)
        .run()
        .expect_code(0);
        let report = finished.report();
        assert_eq!(report["totals"]["ok"], 4, "{report:#}");
        assert_eq!(
            report["plan"]["scenario"][0]["arguments"]["text"],
            "from a file"
        );
    }

    /// Nothing that was given as a secret is in the report or on the screen.
    #[test]
    fn secrets_stay_out_of_what_is_written() {
        let secrets = ["key-4711", "header-4712", "query-4713"];
        let demo = DemoProcess::start(&["--latency=none"]);
        let url = format!("{}?token={}", demo.url, secrets[2]);
        let header = format!("X-Secret: {}", secrets[1]);
        let finished = loadtest(&[
            "run",
            &url,
            "--api-key",
            secrets[0],
            "-H",
            &header,
            "--vus=1",
            "--iterations=3",
        ])
        .expect_code(0);
        let path = finished.report_path().expect("a report");
        let report = std::fs::read_to_string(path).expect("a report can be read");
        for secret in secrets {
            assert!(!report.contains(secret), "{secret}: {report}");
            assert!(
                !finished.to_string().contains(secret),
                "{secret}: {finished}"
            );
        }
    }
}

mod demo {
    use super::*;

    #[test]
    fn it_answers_both_eras() {
        let demo = DemoProcess::start(&["--latency=none"]);
        let params = json!({"name": "echo", "arguments": {"text": "hi"}});
        let mut client = RawClient::connect(demo.address);
        let answer = modern_request(&mut client, "tools/call", Some("echo"), params.clone());
        assert_eq!(answer.response()["result"]["content"][0]["text"], "hi");
        let mut session = LegacySession::open(demo.address);
        assert!(session.id.is_some());
        let answer = session.request("tools/call", &params);
        assert_eq!(answer.response()["result"]["content"][0]["text"], "hi");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_ends_at_a_signal_with_what_it_did() {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let demo = DemoProcess::start(&["--latency=none"]);
            let params = json!({"name": "echo", "arguments": {"text": "hi"}});
            let mut client = RawClient::connect(demo.address);
            modern_request(&mut client, "tools/call", Some("echo"), params);
            demo.running.signal(signal);
            let finished = demo.running.wait().expect_code(0);
            assert!(finished.stdout.contains("served 1 call"), "{finished}");
            assert_eq!(finished.stderr, "");
        }
    }

    #[test]
    fn a_port_in_use_is_told() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = taken.local_addr().expect("an address").port().to_string();
        let finished = loadtest(&["demo", "--port", &port]).expect_code(1);
        assert!(finished.stderr.contains(&port), "{finished}");
        assert!(finished.stderr.contains("in use"), "{finished}");
        assert!(finished.stderr.contains("hint: "), "{finished}");
        assert_eq!(finished.stdout, "");
    }

    #[test]
    fn it_does_as_it_is_told() {
        let demo = DemoProcess::start(&[
            "--eras=legacy",
            "--answers=sse",
            "--faults=tool-error=1",
            "--latency=none",
        ]);
        let finished = loadtest(&[
            "run",
            &demo.url,
            "--tool=echo",
            "--args={\"text\":\"hi\"}",
            "--iterations=20",
            "--vus=2",
        ]);
        let report = finished.expect_code(3).report();
        assert_eq!(report["server"]["era"], "legacy");
        assert_eq!(report["totals"]["failed"], 20);
        assert_eq!(report["failures"][0]["id"], "tool.is_error");
    }
}

/// `loadtest demo`, as a process. Dropping it kills it.
pub(crate) struct DemoProcess {
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    pub(crate) running: Running,
}

impl DemoProcess {
    /// Starts it on a free port; it listens when this returns.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut all = vec!["loadtest", "demo"];
        all.extend(arguments);
        let mut running = Program::new(&all).spawn();
        running.wait_until("it says where it listens", |running| {
            running.stdout().ends_with('\n')
        });
        let said = running.stdout();
        let url = said.trim_end().strip_prefix("serving ");
        let url = url.unwrap_or_else(|| panic!("{said:?}")).to_string();
        let address = url
            .strip_prefix("http://")
            .and_then(|rest| rest.strip_suffix("/mcp"))
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("{url:?} is not an address"));
        Self {
            url,
            address,
            running,
        }
    }
}

/// Our program with these arguments after `loadtest`.
fn loadtest(arguments: &[&str]) -> Finished {
    let mut all = vec!["loadtest"];
    all.extend(arguments);
    Program::new(&all).time_limit(LIMIT).run()
}

/// The address of a port where nobody listens any more.
fn url_of_nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    format!("http://{address}/mcp")
}
