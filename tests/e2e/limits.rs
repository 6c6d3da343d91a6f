//! What servers say when they turn a client away: for its number of requests, or for
//! its token. And what of this host is too small for a load.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, advice, causes, count, list, load_run, number};
use crate::program::Program;
use crate::share;
use crate::told::Tells;

const JSON: (&str, &str) = ("Content-Type", "application/json");

/// The section of `tests/told.md`.
const LIMITS: &str = "429 and Retry-After";

/// The causes, groups and first examples of calls that are all answered so, which is a
/// case of that section.
fn all_calls(
    (section, case): (&str, &str),
    status: u16,
    headers: &[(&str, &str)],
    body: &'static str,
) -> (String, String, String) {
    let owned = |(name, value): &(&str, &str)| ((*name).to_string(), (*value).to_string());
    let headers: Vec<(String, String)> = headers.iter().map(owned).collect();
    let server = FakeServer::on_call(move |_, connection| {
        let headers = headers.iter().map(|(name, value)| (&**name, &**value));
        connection.answer(status, &headers.collect::<Vec<_>>(), body)
    });
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", "3"];
    let finished = load_run(&server.url(), &arguments).run().expect_made();
    let report = finished.checked_report();
    let cause = &report["failures"][0];
    assert_eq!(cause["count"], 3, "{finished}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let example = text(&cause["examples"][0]);
    finished.tells_lines(section, case, &[&format!("{} ", text(&cause["id"]))]);
    (text(&cause["id"]), text(&cause["group"]), example)
}

#[test]
fn a_refused_token_is_told_by_what_the_server_says_of_it() {
    for (case, status, headers, body, id, example) in [
        (
            "a challenge that says that the token has ended",
            401,
            &[(
                "WWW-Authenticate",
                "Bearer realm=\"x\", error=\"invalid_token\", error_description=\"it expired\"",
            )][..],
            "",
            "http.401.invalid_token",
            "status 401: invalid_token: it expired",
        ),
        (
            "a body that says that the token was revoked",
            401,
            &[JSON][..],
            r#"{"error":"invalid_token","error_description":"it was revoked"}"#,
            "http.401.invalid_token",
            "status 401: invalid_token: it was revoked",
        ),
        (
            "a second challenge that wants more scopes",
            403,
            &[(
                "WWW-Authenticate",
                "Basic realm=\"x\", Bearer error=\"insufficient_scope\", scope=\"read write\"",
            )][..],
            "no",
            "http.403.insufficient_scope",
            "status 403: insufficient_scope (scope: read write)",
        ),
        // Nothing of a token, and no code of JSON-RPC that nobody sent.
        (
            "a challenge that names no error",
            401,
            &[("WWW-Authenticate", "Bearer")][..],
            "",
            "http.401",
            "status 401, no body",
        ),
        (
            "a policy of the server's own",
            403,
            &[JSON][..],
            r#"{"error":"blocked_by_policy"}"#,
            "http.403",
            "blocked_by_policy",
        ),
    ] {
        let (found, group, text) = all_calls(("Tokens", case), status, headers, body);
        assert_eq!((&*found, &*group), (id, "http"), "{text}");
        assert!(text.contains(example), "{text}");
    }
}

#[test]
fn too_many_requests_are_a_kind_of_their_own() {
    let headers = &[
        ("Retry-After", "7"),
        ("RateLimit-Policy", "\"burst\";q=60;w=60"),
    ];
    let (id, group, example) = all_calls(
        (LIMITS, "every call is one too many"),
        429,
        headers,
        "slow down",
    );
    assert_eq!((&*id, &*group), ("http.429", "rate_limit"));
    for part in ["status 429: slow down", "Retry-After: 7", "q=60;w=60"] {
        assert!(example.contains(part), "{part}: {example}");
    }
}

/// Ten calls a second, whatever is offered.
#[test]
fn the_limit_of_a_server_is_found_and_goodput_stands_beside_what_was_offered() {
    let state = Mutex::new((None::<Instant>, 0_u64));
    let server = FakeServer::on_call(move |request, connection| {
        let is_let_in = {
            let mut state = state.lock().expect("no handler panics");
            let began = *state.0.get_or_insert_with(Instant::now);
            // A bucket of one, filled ten times a second.
            let filled = began.elapsed().as_millis() as u64 / 100 + 1;
            let is_let_in = state.1 < filled;
            if is_let_in {
                state.1 = filled;
            }
            is_let_in
        };
        match is_let_in {
            true => connection.done(request),
            false => connection.answer(429, &[("Retry-After", "1")], ""),
        }
    });
    let arguments = [
        "--tool",
        "work",
        "--vus",
        "4",
        "--pacing",
        "20ms",
        "--duration",
        "6s",
    ];
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let report = finished.checked_report();
    let text = advice(&report, "rate_limited").expect("the limit is found");
    assert!(
        text.contains("calls a minute") || text.contains("calls a second"),
        "{text}"
    );
    let limited: u64 = list(&report["seconds"])
        .iter()
        .map(|second| count(&second["rate_limited"]))
        .sum();
    let of_causes = causes(&report["totals"]);
    assert_eq!(of_causes, [("http.429".to_string(), limited)], "{finished}");
    let totals = &report["totals"];
    let goodput = number(&totals["goodput_per_sec"]);
    let expected = number(&totals["ok"]) / number(&report["duration_secs"]);
    assert!((goodput - expected).abs() < 0.01, "{goodput} {expected}");
    assert!(finished.stdout.contains("goodput"), "{finished}");
}

/// A limit that is used up at once.
#[test]
fn a_limit_is_told_for_each_token_where_users_have_several() {
    let load = ["--tool=work", "--vus=3", "--pacing=50ms", "--duration=6s"];
    let own = ["--token-command", "printf tok-{{vu}}"];
    let cases = [
        (
            "a limit, and one token",
            &[][..],
            "users with tokens of their own show",
        ),
        (
            "a limit, and a token for each user",
            &own,
            "if it holds for each token, it is about 2 calls for each",
        ),
        (
            "a limit, and credentials for each user by a template",
            &["--header", "Authorization: Bearer tok-{{vu}}"],
            "does not show",
        ),
    ];
    let check = |(case, words, holds_for): (&str, &[&str], &str)| {
        let server = full_after(6, &[]);
        let words = [&load[..], words].concat();
        let finished = load_run(&server.url(), &words).run().expect_made();
        let report = finished.checked_report();
        let text = advice(&report, "rate_limited").expect("a limit");
        assert!(text.contains("the server let 6 calls through"), "{text}");
        assert!(text.contains(holds_for), "{text}");
        finished.tells_lines(LIMITS, case, &["the server let 6 calls through"]);
    };
    share::one_part();
    // They mostly wait.
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || check(case));
        }
    });
}

/// Answers the first request of the method with 429 and a second to wait.
fn turned_away_once(method: &'static str) -> FakeServer {
    let n_seen = AtomicUsize::new(0);
    FakeServer::start(
        move |request: &Request, connection: &mut Connection| -> Next {
            let is_first = request.method() == method && n_seen.fetch_add(1, Ordering::SeqCst) == 0;
            match is_first {
                true => connection.answer(429, &[("Retry-After", "1")], ""),
                false => legacy(request, connection),
            }
        },
    )
}

/// From the first to the second request of the method.
fn pause(server: &FakeServer, method: &str) -> Duration {
    let log = server.log_of(method);
    log[1].at.duration_since(log[0].at)
}

const ONE_USER: [&str; 6] = ["--tool", "work", "--vus", "1", "--iterations", "3"];
const SECOND: Duration = Duration::from_secs(1);

/// A run whose users wait as long as they are asked to.
fn respectful(server: &FakeServer, words: &[&str]) -> Program {
    let words = [words, &["--respect-retry-after"]].concat();
    load_run(&server.url(), &words)
}

#[test]
fn users_wait_as_long_as_they_are_asked_to_where_the_user_wants_that() {
    let server = turned_away_once("tools/call");
    let finished = respectful(&server, &ONE_USER).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["failed"], 1, "{finished}");
    assert!(pause(&server, "tools/call") >= SECOND);
    // The wait is in no latency.
    assert!(
        number(&report["totals"]["latency"]["max_ms"]) < 1_000.0,
        "{finished}"
    );
    assert_eq!(report["plan"]["respect_retry_after"], true);
    // As a key of the config; in a flow that goes on, too.
    let config = "[settings]\nrespect_retry_after = true\n[[flow]]\nname = \"two\"\n\
                  on_error = \"continue\"\n[[flow.step]]\ntype = \"tools/call\"\ntool = \"work\"\n\
                  [[flow.step]]\ntype = \"tools/call\"\ntool = \"other\"\n";
    let server = turned_away_once("tools/call");
    let arguments = ["--vus", "1", "--iterations", "1", "--config", "c.toml"];
    load_run(&server.url(), &arguments)
        .file("c.toml", config)
        .run()
        .expect_code(0);
    assert!(pause(&server, "tools/call") >= SECOND);
}

#[test]
fn the_handshake_waits_too_and_says_so() {
    let server = turned_away_once("initialize");
    let finished = respectful(&server, &ONE_USER).run().expect_code(0);
    assert!(pause(&server, "initialize") >= SECOND);
    let notices = finished.checked_report()["notices"].to_string();
    assert!(notices.contains("the handshake waited 1s"), "{notices}");
    let asking_for = |wait: &'static str| {
        FakeServer::on("initialize", move |_, connection| {
            connection.answer(429, &[("Retry-After", wait)], "")
        })
    };
    // Each is a case of `tests/told.md`.
    let read = |program: Program, case: &str| {
        let finished = program.run().expect_code(1);
        finished.tells(LIMITS, case).stderr
    };
    let busy = asking_for("3600");
    let impatient = load_run(&busy.url(), &ONE_USER);
    let said = read(impatient, "a handshake that is to wait for an hour");
    assert!(said.contains("Retry-After: 3600"), "{said}");
    assert!(said.contains("`--respect-retry-after` waits"), "{said}");
    let waiting = respectful(&busy, &ONE_USER);
    let said = read(waiting, "the same with `--respect-retry-after`");
    assert!(said.contains("asks to wait 1h"), "{said}");
    let huge = asking_for("99999999999999999999");
    let said = read(respectful(&huge, &ONE_USER), "a wait that no clock knows");
    let told = "more than a year (`Retry-After: 99999999999999999999`)";
    assert!(said.contains(told), "{said}");
    let odd = asking_for("soon");
    let impatient = load_run(&odd.url(), &ONE_USER);
    let said = read(impatient, "a wait that cannot be read");
    assert!(said.contains("Retry-After: soon (neither"), "{said}");
    assert!(!said.contains("--respect-retry-after"), "{said}");
}

/// Answers so many calls, and 429 with these headers from then on.
fn full_after(n_calls: usize, headers: &'static [(&'static str, &'static str)]) -> FakeServer {
    let n_seen = AtomicUsize::new(0);
    FakeServer::on_call(move |request, connection| {
        match n_seen.fetch_add(1, Ordering::SeqCst) < n_calls {
            true => connection.done(request),
            false => connection.answer(429, headers, "slow down"),
        }
    })
}

#[test]
fn a_run_whose_users_had_to_keep_away_says_so_before_its_figures() {
    let hour = "3600";
    // The number is not one that a clock knows, and is told as it came.
    let huge = "99999999999999999999";
    for (headers, asked_max_secs, sent) in [
        (&[("Retry-After", "3600")][..], 3_600.0, hour),
        (&[("Retry-After", "99999999999999999999")], 86_400.0, huge),
    ] {
        let server = full_after(40, headers);
        let words = ["--tool=work", "--vus=4", "--duration=3s"];
        let finished = respectful(&server, &words).run().expect_code(0);
        let report = finished.checked_report();
        let waits = &report["retry_after"];
        assert_eq!(waits["waits"], 4, "{finished}");
        assert_eq!(number(&waits["asked_max_secs"]), asked_max_secs);
        assert!(number(&waits["share"]) > 0.5, "{finished}");
        let first = report["notices"][0].as_str().unwrap_or_default();
        assert!(first.contains("users kept away for"), "{finished}");
        let place = |word: &str| finished.stdout.find(word).expect("it is told");
        assert!(place("waited") < place("requests"), "{finished}");
        let example = report["failures"][0]["examples"][0].to_string();
        assert!(
            example.contains(&format!("Retry-After: {sent}")),
            "{example}"
        );
        assert!(!finished.stdout.contains("lets users wait"), "{finished}");
    }
}

#[test]
fn a_wait_that_the_server_does_not_name_is_told_to_who_would_respect_it() {
    for (case, headers, unreadable, part) in [
        (
            "no wait is named to who would respect it",
            &[][..],
            0,
            "slow down",
        ),
        (
            "a word is named",
            &[("Retry-After", "soon")],
            3,
            "Retry-After: soon (neither",
        ),
        (
            "less than nothing is named",
            &[("Retry-After", "-1")],
            3,
            "Retry-After: -1 (neither",
        ),
    ] {
        let server = full_after(0, headers);
        let finished = respectful(&server, &ONE_USER).run().expect_made();
        let report = finished.checked_report();
        let waits = &report["retry_after"];
        let counts = [&waits["waits"], &waits["absent"], &waits["unreadable"]];
        assert_eq!(
            counts.map(count),
            [0, 3 - unreadable, unreadable],
            "{finished}"
        );
        let example = report["failures"][0]["examples"][0].to_string();
        assert!(example.contains(part), "{example}");
        let text = advice(&report, "no_retry_after").expect("the advice");
        assert!(text.contains("3 answers that turned a call away"), "{text}");
        assert_eq!(text.contains("neither seconds"), unreadable > 0, "{text}");
        finished.tells_lines(LIMITS, case, &["3 answers that turned a call away"]);
    }
    // Who does not respect it hears nothing of it.
    let server = full_after(0, &[]);
    let report = load_run(&server.url(), &ONE_USER).run().expect_made();
    assert!(report.checked_report()["retry_after"].is_null());
}

/// Twenty calls a second, and users who wait: what passes is what was offered.
#[test]
fn users_who_wait_show_a_limit_no_lower_than_what_passed() {
    let state = Mutex::new((None::<Instant>, 0_u64, 0_u64));
    let server = FakeServer::on_call(move |request, connection| {
        let is_let_in = {
            let mut state = state.lock().expect("no handler panics");
            let second = state.0.get_or_insert_with(Instant::now).elapsed().as_secs();
            if second != state.1 {
                (state.1, state.2) = (second, 0);
            }
            state.2 += 1;
            state.2 <= 20
        };
        match is_let_in {
            true => connection.done(request),
            false => connection.answer(429, &[("Retry-After", "1")], ""),
        }
    });
    let words = ["--tool=work", "--vus=8", "--duration=6s"];
    let finished = respectful(&server, &words).run().expect_code(0);
    let report = finished.checked_report();
    let text = advice(&report, "rate_limited").expect("the limit is found");
    assert!(text.contains("lets at least"), "{text}");
    assert!(text.contains("leave out `--respect-retry-after`"), "{text}");
}

#[test]
fn a_token_that_expires_ends_the_run_with_the_time_that_it_lasted() {
    let began = Mutex::new(None::<Instant>);
    let server = FakeServer::on_call(move |request, connection| {
        let mut began = began.lock().expect("no handler panics");
        let is_good = began.get_or_insert_with(Instant::now).elapsed() < 2 * SECOND;
        drop(began);
        match is_good {
            true => connection.done(request),
            false => {
                let challenge = ("WWW-Authenticate", "Bearer error=\"invalid_token\"");
                connection.answer(401, &[challenge], "")
            }
        }
    });
    let arguments = [
        "--tool",
        "work",
        "--vus",
        "4",
        "--pacing",
        "20ms",
        "--duration",
        "50s",
    ];
    let finished = load_run(&server.url(), &arguments).run().expect_code(1);
    let report = finished.checked_report();
    assert_eq!(report["run"]["ended"], "denied", "{finished}");
    assert!(number(&report["duration_secs"]) < 40.0, "{finished}");
    let notices = report["notices"].to_string();
    assert!(notices.contains("the token was accepted for "), "{notices}");
    assert!(notices.contains("http.401.invalid_token"), "{notices}");
    let said = &finished.stderr;
    assert!(said.contains("the server let nobody in any more"), "{said}");
    assert!(count(&report["totals"]["ok"]) > 0, "{finished}");
}

/// A negative test is no reason to end.
#[test]
fn denials_that_are_awaited_end_nothing() {
    let server = FakeServer::on_call(|_, connection| connection.answer(401, &[], ""));
    let config = "[settings]\nvirtual_users = 2\npacing = \"20ms\"\nduration = \"4s\"\n\
                  [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n\
                  expect = { status = 401 }\n";
    let report = load_run(&server.url(), &["--config", "c.toml"])
        .file("c.toml", config)
        .run()
        .expect_code(0)
        .checked_report();
    assert_eq!(report["run"]["ended"], "duration", "{report:#}");
    assert_eq!(report["totals"]["failed"], 0, "{report:#}");
}

/// The kernel's signal for it would end the program, and nothing be told.
#[test]
#[cfg(target_os = "linux")]
fn a_report_beyond_the_largest_file_is_told_and_the_summary_shown() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let program = env!("CARGO_BIN_EXE_cargo-pmcp");
    let url = server.url();
    // In blocks of 512 bytes or 1 KiB; the hard limit stays.
    let mut arguments = vec![
        "-c",
        "ulimit -S -f 2; exec \"$@\"",
        "sh",
        program,
        "loadtest",
    ];
    arguments.extend(["run", url.as_str(), "--no-pin", "--tool", "work"]);
    arguments.extend(["--iterations", "10", "--report", "r.json"]);
    let finished = Program::other("sh", &arguments).run().expect_code(1);
    assert!(finished.stderr.contains("r.json"), "{finished}");
    assert!(finished.stderr.contains("file too large"), "{finished}");
    assert!(
        finished.stdout.contains("requests    10, all ok"),
        "{finished}"
    );
    assert!(!finished.dir.path().join("r.json").exists(), "{finished}");
}

/// Too few for a poll: the server is not even asked.
#[test]
#[cfg(target_os = "linux")]
fn a_process_that_may_open_next_to_nothing_is_told_so() {
    let program = env!("CARGO_BIN_EXE_cargo-pmcp");
    for command in ["run", "init", "try"] {
        let script =
            format!("ulimit -n 6; exec '{program}' loadtest {command} http://127.0.0.1:1/");
        let finished = Program::other("sh", &["-c", &script]).run().expect_code(1);
        let said = &finished.stderr;
        assert!(said.contains("the server cannot be asked: "), "{said}");
        assert!(said.contains("ulimit -n 1024"), "{said}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn too_few_open_files_are_told_before_the_load_with_the_command() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let program = env!("CARGO_BIN_EXE_cargo-pmcp");
    let url = server.url();
    let mut arguments = vec!["-c", "ulimit -n 64; exec \"$@\"", "sh", program, "loadtest"];
    arguments.extend(["run", url.as_str(), "--no-pin", "--tool", "work"]);
    arguments.extend(["--vus", "10", "--iterations", "10"]);
    let finished = Program::other("sh", &arguments).run().expect_code(0);
    let said = &finished.stderr;
    assert!(said.contains("may open 64 files"), "{said}");
    assert!(said.contains("prlimit --pid $$ --nofile=74"), "{said}");
    let notices = finished.report()["notices"].to_string();
    assert!(notices.contains("may open 64 files"), "{notices}");
    assert_eq!(json!(10), finished.report()["totals"]["started"]);
}
