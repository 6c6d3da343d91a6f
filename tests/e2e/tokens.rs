//! Tokens that are fetched: by a command, out of a file, one for all or one for each
//! user; renewed before they end and when the server refuses them; never shown.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, causes, run_work};
use crate::program::{Finished, Program, TempDir, loadtest};
use crate::told::Tells;

/// Prints another token each time, `tok-1-geheim` first, and leaves a line in `asked`.
const COMMAND: &str = "echo x >> asked; echo tok-$(wc -l < asked | tr -d ' ')-geheim";

fn n_asked(finished: &Finished) -> usize {
    let path = finished.dir.path().join("asked");
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

/// The number in `Bearer tok-3-geheim`.
fn number(request: &Request) -> u32 {
    let token = request.header("authorization").unwrap_or_default();
    let number = token
        .strip_prefix("Bearer tok-")
        .and_then(|it| it.strip_suffix("-geheim"));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn refuse(request: &Request, connection: &mut Connection) -> Next {
    let told = request.header("authorization").unwrap_or_default();
    let challenge =
        format!("Bearer error=\"invalid_token\", error_description=\"expired: {told}\"");
    connection.answer(401, &[("WWW-Authenticate", &challenge)], "")
}

/// Takes the token of each number for this many calls, and no token after `last`.
fn server_of(n_calls: u32, last: u32) -> FakeServer {
    let (valid, n_seen) = (AtomicU32::new(1), AtomicU32::new(0));
    FakeServer::start(move |request: &Request, connection: &mut Connection| {
        if request.method() == "tools/call" && n_seen.fetch_add(1, Ordering::SeqCst) == n_calls {
            valid.store(2, Ordering::SeqCst);
        }
        let number = number(request);
        match number >= valid.load(Ordering::SeqCst) && number <= last {
            true => legacy(request, connection),
            false => refuse(request, connection),
        }
    })
}

#[test]
fn a_refused_token_is_replaced_once_and_sessions_go_on() {
    let server = server_of(40, u32::MAX);
    let words = [
        "--vus=4",
        "--iterations=120",
        "--workers=2",
        "--token-command",
        COMMAND,
    ];
    let finished = run_work(&server.url(), &words).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(n_asked(&finished), 2, "{finished}");
    let mut tokens = report["tokens"].clone();
    let waits = ["waits", "waited_secs", "waited_share"].map(|name| tokens[name].take());
    let expected = json!({
        "about": "from the command `echo`", "holders": 1, "fetched": 2, "refused": 1, "failed": 0,
        "expired": 0,
        "last_failure": null,
        "waits": null, "waited_secs": null, "waited_share": null,
    });
    assert_eq!(tokens, expected, "{finished}");
    // Each user had at most one call under way with the old token.
    let failed = report["totals"]["failed"].as_u64().expect("a number");
    assert!((1..=4).contains(&failed), "{finished}");
    // Who was refused waited, unless the other token came before its answer.
    assert!(
        (1..=4).contains(&waits[0].as_u64().expect("a number")),
        "{finished}"
    );
    assert!(waits[1].as_f64() > Some(0.0), "{finished}");
    assert_eq!(
        causes(&report["totals"]),
        [("http.401.invalid_token".to_string(), failed)]
    );
    // One more looked for the server; who was late had the old token in its handshake.
    let mut of_handshakes = causes(&report["handshake"]);
    // Without a token nothing is sent.
    of_handshakes.retain(|(id, _)| id != "auth.no_token");
    let n_late: u64 = of_handshakes.iter().map(|(_, n)| n).sum();
    assert_eq!(server.count("initialize") as u64, 5 + n_late, "{finished}");
    let all = format!("{finished}{report}");
    assert!(
        finished.stdout.contains("2 tokens fetched, 1 refused"),
        "{finished}"
    );
    assert!(!all.contains("geheim"), "{all}");
}

/// The wait is in no latency, and the rate is smaller for it.
#[test]
fn waits_for_a_token_are_told() {
    let server = server_of(10, u32::MAX);
    let command = format!("test -e asked && sleep 1; {COMMAND}");
    let words = ["--vus=2", "--iterations=30", "--token-command", &command];
    let finished = run_work(&server.url(), &words).run().expect_code(0);
    let report = finished.checked_report();
    let tokens = &report["tokens"];
    assert_eq!(tokens["waits"], 2, "{finished}");
    let waited = tokens["waited_secs"].as_f64().expect("a number");
    // A second each, less what the second user was refused later.
    assert!(waited > 1.0, "{finished}");
    assert!(tokens["waited_share"].as_f64() > Some(0.1), "{finished}");
    let first = report["notices"][0].as_str().unwrap_or_default();
    assert!(first.contains("users waited for"), "{finished}");
    let line = finished.stdout.lines().find(|it| it.starts_with("waited "));
    assert!(
        line.is_some_and(|it| it.contains("another token")),
        "{finished}"
    );
}

#[test]
fn a_token_is_renewed_before_it_ends() {
    let server = FakeServer::start(legacy);
    let command = "echo x >> asked; \
                   echo \"{\\\"access_token\\\": \\\"tok-$(wc -l < asked | tr -d ' ')-geheim\\\", \\\"expires_in\\\": 2}\"";
    let words = [
        "--vus=2",
        "--duration=3s",
        "--pacing=50ms",
        "--token-command",
        command,
    ];
    let finished = run_work(&server.url(), &words).run().expect_code(0);
    let report = finished.report();
    assert_eq!(report["totals"]["failed"], 0, "{finished}");
    assert_eq!(report["tokens"]["refused"], 0, "{finished}");
    let seen: BTreeSet<u32> = server.log_of("tools/call").iter().map(number).collect();
    assert!(
        seen.contains(&1) && seen.contains(&2),
        "{seen:?} {finished}"
    );
}

#[test]
fn a_file_is_read_again_when_its_token_is_refused() {
    let dir = TempDir::new();
    let n_seen = AtomicU32::new(0);
    let file = dir.path().join("token");
    std::fs::write(&file, "tok-1-geheim\n").expect("written");
    let path = file.clone();
    let server = FakeServer::start(move |request: &Request, connection: &mut Connection| {
        let is_first = number(request) == 1;
        if request.method() == "tools/call" && n_seen.fetch_add(1, Ordering::SeqCst) == 5 {
            std::fs::write(&path, "Bearer tok-2-geheim").expect("written");
        }
        match is_first && n_seen.load(Ordering::SeqCst) > 5 {
            true => refuse(request, connection),
            false => legacy(request, connection),
        }
    });
    let path = file.display().to_string();
    let words = ["--vus=1", "--iterations=30", "--token-file", &path];
    let finished = run_work(&server.url(), &words).run().expect_code(0);
    let report = finished.report();
    assert_eq!(report["totals"]["failed"], 1, "{finished}");
    assert_eq!(report["tokens"]["fetched"], 2, "{finished}");
}

const FLOW: &str =
    "[[flow]]\nname = \"f\"\n[[flow.step]]\ntype = \"tools/call\"\ntool = \"work\"\n";

#[test]
fn users_have_tokens_of_their_own_from_data() {
    let server = FakeServer::start(legacy);
    let config = format!(
        "[settings]\nurl = \"{}\"\nvirtual_users = 4\niterations = 40\n\
         token_command = '''echo x >> asked; printf '%s' \"{{{{data.users.name}}}}-tok\" ''' \n\
         [data.users]\nat_end = \"repeat\"\nrows = [{{ name = \"$(false)al'\" }}, {{ name = \"bo\" }}]\n{FLOW}",
        server.url()
    );
    let run = |words: &[&str]| loadtest(words).file("a.toml", &config).run();
    // At a pace, so that each user has its calls.
    let finished = run(&["run", "--config", "a.toml", "--pacing", "100ms"]).expect_code(0);
    assert_eq!(n_asked(&finished), 2, "{finished}");
    let calls = server.log_of("tools/call");
    let tokens = |connection: Option<usize>| -> BTreeSet<String> {
        let calls = calls
            .iter()
            .filter(|it| connection.is_none_or(|at| it.connection == at));
        calls
            .map(|it| it.header("authorization").unwrap_or_default().to_string())
            .collect()
    };
    // What is filled in is not a command.
    let expected = ["Bearer $(false)al'-tok", "Bearer bo-tok"].map(str::to_string);
    assert_eq!(tokens(None), BTreeSet::from(expected));
    for call in &calls {
        assert_eq!(
            tokens(Some(call.connection)).len(),
            1,
            "one user, one token"
        );
    }
    let report = finished.report();
    assert_eq!(
        report["tokens"]["about"],
        "2 of them, from the command `echo`"
    );
    assert_eq!(report["plan"]["token"], json!({"command": "echo"}));
    let told = run(&["check", "a.toml"]).expect_code(0);
    assert!(
        told.stdout.contains("from the command `echo`, renewed"),
        "{told}"
    );
    let tried = run(&["try", "a.toml"]).expect_code(0);
    assert!(!tried.to_string().contains("al'-tok"), "{tried}");
}

#[test]
fn without_another_token_nothing_is_sent_and_that_is_a_failure_of_its_own() {
    let server = server_of(10, 1);
    let command =
        format!("test -e asked && {{ echo no more geheim-words >&2; exit 5; }}; {COMMAND}");
    let words = [
        "--vus=2",
        "--duration=30s",
        "--timeout=300ms",
        "--pacing=20ms",
        "--token-command",
        &command,
    ];
    // Who only waits for a token measures nothing: the run ends long before its time.
    let finished = run_work(&server.url(), &words).run().expect_code(1);
    let report = finished.checked_report();
    let lasted = report["duration_secs"].as_f64();
    assert!(lasted.expect("a number") < 25.0, "{finished}");
    let of_handshakes = causes(&report["handshake"]);
    assert_eq!(of_handshakes[0].0, "auth.no_token", "{finished}");
    assert!(report["tokens"]["failed"].as_u64() >= Some(1), "{finished}");
    let why = report["tokens"]["last_failure"].to_string();
    assert!(
        why.contains("ended with exit code 5: no more"),
        "{finished}"
    );
    // Each user was refused once; from then on nothing went out.
    assert!(report["totals"]["failed"].as_u64() <= Some(2), "{finished}");
}

/// However the server words its refusal, and whatever share of errors is allowed.
#[test]
fn a_source_that_gives_the_refused_token_again_ends_the_run_and_is_named() {
    for (challenge, source, hint) in [
        (
            "Bearer",
            ["--token-command", "echo tok-1-geheim"],
            "run the token command twice",
        ),
        (
            "Bearer error=\"invalid_token\"",
            ["--token-command", "echo tok-1-geheim"],
            "run the token command twice",
        ),
        (
            "Bearer",
            ["--token-file", "token"],
            "whoever writes the token file",
        ),
    ] {
        let n_seen = AtomicU32::new(0);
        let server = FakeServer::start(move |request: &Request, connection: &mut Connection| {
            let is_call = request.method() == "tools/call";
            let n = n_seen.fetch_add(u32::from(is_call), Ordering::SeqCst);
            match n < 10 {
                true => legacy(request, connection),
                false => connection.answer(401, &[("WWW-Authenticate", challenge)], ""),
            }
        });
        let words = [
            "--vus=2",
            "--duration=50s",
            "--pacing=20ms",
            "--assert=errors<99%",
        ];
        let program = run_work(&server.url(), &[&words[..], &source].concat());
        let program = program.file("token", "tok-1-geheim\n");
        let finished = program.run().expect_code(1);
        let report = finished.checked_report();
        let lasted = report["duration_secs"].as_f64().expect("a number");
        assert!(lasted < 40.0, "{finished}");
        let told = "the token came again that the server had refused with status 401";
        assert!(finished.stderr.contains(told), "{finished}");
        assert!(finished.stderr.contains(hint), "{finished}");
        assert!(!finished.stderr.contains("lives as long"), "{finished}");
    }
}

#[test]
fn a_token_that_had_ended_when_it_came_is_told_at_once_and_used() {
    let server = FakeServer::start(legacy);
    let old =
        r#"echo x >> asked; echo '{"token":"tok-1-geheim","expires_at":"2020-01-01T00:00:00Z"}'"#;
    let words = ["--vus=1", "--iterations=5", "--token-command", old];
    let finished = run_work(&server.url(), &words).run().expect_code(0);
    assert_eq!(n_asked(&finished), 1, "{finished}");
    let report = finished.report();
    assert_eq!(report["tokens"]["expired"], 1, "{finished}");
    let notices = report["notices"].to_string();
    assert!(
        notices.contains("it ended at 2020-01-01T00:00:00"),
        "{finished}"
    );
    assert!(finished.stdout.contains("1 that had ended"), "{finished}");
    finished.tells_lines(
        "Tokens",
        "a token that had ended when it came",
        &["had ended when"],
    );
}

/// Of several challenges the one that says what is wrong counts, in whatever field.
#[test]
fn a_token_that_is_too_narrow_is_replaced_whichever_field_says_so() {
    let server = FakeServer::start(move |request: &Request, connection: &mut Connection| {
        let name = "WWW-Authenticate";
        let fields = [
            (name, "Basic realm=\"a\""),
            (name, "Bearer realm=\"b\""),
            (name, "Bearer error=\"insufficient_scope\", scope=\"more\""),
        ];
        match request.method() == "tools/call" && number(request) == 1 {
            true => connection.answer(403, &fields, ""),
            false => legacy(request, connection),
        }
    });
    let words = ["--vus=1", "--iterations=5", "--token-command", COMMAND];
    let finished = run_work(&server.url(), &words).run().expect_code(0);
    let report = finished.report();
    assert_eq!(report["totals"]["failed"], 1, "{finished}");
    assert_eq!(report["tokens"]["refused"], 1, "{finished}");
    assert_eq!(report["tokens"]["fetched"], 2, "{finished}");
}

#[test]
fn where_no_token_will_come_the_run_ends() {
    let server = server_of(10, 1);
    let command = format!("test -e asked && exec no-such-program-here; {COMMAND}");
    let words = [
        "--vus=2",
        "--duration=50s",
        "--pacing=20ms",
        "--token-command",
        &command,
    ];
    let began = Instant::now();
    let finished = run_work(&server.url(), &words).run().expect_code(1);
    assert!(began.elapsed() < Duration::from_secs(40), "{finished}");
    let told = "the server refused the token, and no other was available: the token command";
    assert!(finished.stderr.contains(told), "{finished}");
}

/// A level that is not passed since nobody has a token says nothing of the load.
#[test]
fn where_no_token_will_come_a_search_ends_and_no_level_failed() {
    let server = server_of(300, 1);
    let command =
        format!("test -e asked && {{ echo no more geheim-words >&2; exit 5; }}; {COMMAND}");
    let url = server.url();
    let words = ["loadtest", "find", &url, "--no-pin", "--tool", "work"];
    let more = ["--max-p95", "5s", "--think", "5ms", "--timeout", "300ms"];
    let source = ["--token-command", &command];
    let finished = Program::new(&[&words[..], &more, &source].concat()).run();
    let finished = finished.expect_code(1);
    let report = finished.report();
    assert_eq!(report["ended"], "no_token", "{finished}");
    assert_eq!(report["fails_at"], json!(null), "{finished}");
    assert!(report["tokens"]["failed"].as_u64() >= Some(1), "{finished}");
    let told = "no other was available: the token command (`test`) ended with exit code 5: no more";
    assert!(finished.stderr.contains(told), "{finished}");
    assert!(finished.stdout.contains("no token any more"), "{finished}");
}

#[test]
fn what_makes_no_token_is_told_before_any_request() {
    let server = FakeServer::start(legacy);
    let url = server.url();
    let check = |case: &str, words: &[&str], code: i32, expected: &str| {
        let finished = run_work(&url, words).run().expect_code(code);
        let finished = finished.tells("Tokens", case);
        assert!(finished.stderr.contains(expected), "{words:?}: {finished}");
        assert!(!finished.to_string().contains("geheim"), "{finished}");
    };
    let key = "Authorization: Bearer geheim";
    check(
        "a command that fails",
        &["--token-command", "exit 3"],
        1,
        "no token: the token command (`exit`) ended with exit code 3",
    );
    check(
        "a command that prints more than a token",
        &["--token-command", "echo geheim 1"],
        1,
        "has a blank",
    );
    let tracing = "set -x; : tok-geheim; echo 'Authorization: Bearer geheim' >&2; exit 3";
    check(
        "a command that traces itself",
        &["--token-command", tracing],
        1,
        "code 3: Authorization: Bearer *** (its trace is not shown",
    );
    check(
        "a file that is not there",
        &["--token-file", "no/such/file"],
        1,
        "no token: the token file `no/such/file` cannot be read",
    );
    check(
        "a file without a name",
        &["--token-file", ""],
        2,
        "is empty",
    );
    check(
        "two sources",
        &["--token-file", "a", "--token-command", "b"],
        2,
        "beside a token command",
    );
    check(
        "a source beside a header",
        &["--token-file", "a", "-H", key],
        2,
        "beside the header `Authorization`",
    );
    assert_eq!(server.log().len(), 0);
}

#[test]
fn a_token_of_a_config_goes_to_its_own_address_only() {
    let (own, other) = (FakeServer::start(legacy), FakeServer::start(legacy));
    let config = format!(
        "[settings]\nurl = \"{}\"\niterations = 2\nvirtual_users = 1\ntoken_command = \"echo for-own-only\"\n{FLOW}",
        own.url()
    );
    let run = |words: &[&str]| {
        let words = [&["run", "--config", "a.toml", "--no-report"], words].concat();
        let program = loadtest(&words).file("a.toml", &config);
        program
            .env("MCP_API_KEY", "of-the-environment")
            .run()
            .expect_code(0)
    };
    let told = run(&[&other.url()]);
    assert!(told.stderr.contains("token_command"), "{told}");
    run(&[]);
    run(&["-H", "Authorization: Bearer by-flag"]);
    let sent = |server: &FakeServer| -> BTreeSet<String> {
        let calls = server.log_of("tools/call");
        let tokens = calls
            .iter()
            .map(|it| it.header("authorization").unwrap_or_default().to_string());
        tokens.collect()
    };
    let of_own = ["Bearer for-own-only", "Bearer by-flag"].map(str::to_string);
    assert_eq!(sent(&own), BTreeSet::from(of_own));
    assert!(!sent(&other).contains("Bearer for-own-only"), "{told}");
}
