//! Tokens by OAuth: logins in a browser, tokens that cargo-pmcp keeps, clients that get
//! their own. The server and its issuer are strict (`support/auth_server.rs`).

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::auth_server::{AuthServer, Authority, CLIENT_SECRET, Manners, STORE, store_text};
use crate::fake_server::{FakeServer, legacy};
use crate::load_run::{LoadRun, causes, run_work};
use crate::program::{Finished, Program, TempDir, loadtest};
use crate::pty::OnTerminal;
use crate::tls_server::{Party, Speaks, TlsFront};
use crate::told::Tells;
use crate::tunnel::Tunnel;

/// A run of `work` as the client `ci`.
fn client_run(url: &str, words: &[&str]) -> Program {
    run_work(url, &[words, &["--oauth-client-id=ci"]].concat())
        .env("MCP_OAUTH_CLIENT_SECRET", CLIENT_SECRET)
}

/// The addresses that a user is to open in a browser, in the order of what is said.
fn addresses(said: &str) -> Vec<String> {
    let words = said.split_whitespace();
    let addresses = words.filter(|word| word.contains("/authorize?"));
    addresses.map(str::to_string).collect()
}

/// Logs in as a user does, and gives the end of the program.
fn log_in(server: &AuthServer, words: &[&str]) -> Finished {
    let url = server.url();
    let all = [
        &["login", &url, "--no-browser", "--oauth-redirect-port=0"],
        words,
    ]
    .concat();
    let mut running = loadtest(&all).spawn();
    // An issuer that takes no resource is gone to twice.
    for n_browsed in 0..2 {
        running.wait_until("an address or the end", |running| {
            addresses(&running.stderr()).len() > n_browsed
                || running.stdout().contains("logged in")
                || running.stderr().contains("error")
        });
        let Some(address) = addresses(&running.stderr()).get(n_browsed).cloned() else {
            break;
        };
        let page = server.browse(&address);
        assert!(
            page.contains("<!doctype html>") && !page.contains("secret"),
            "{page}"
        );
    }
    running.wait()
}

fn kept(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join(STORE)).expect("a store");
    serde_json::from_str(&text).expect("JSON")
}

/// Nothing that was said or written but the store holds a token.
#[track_caller]
fn assert_secret(finished: &Finished) {
    let written = finished.written(&[STORE]);
    for kind in ["access-secret", "refresh-secret", "code-secret", "s3cret"] {
        assert!(!written.contains(kind), "{kind}: {written}");
    }
}

#[test]
fn a_login_registers_a_client_and_keeps_what_cargo_pmcp_reads() {
    let server = AuthServer::start(Manners::default());
    let finished = log_in(&server, &[]).expect_code(0);
    assert_eq!(server.faults(), [""; 0]);
    assert!(finished.stdout.contains(&server.issuer()), "{finished}");
    assert_secret(&finished);
    let content = kept(finished.dir.path());
    assert_eq!(content["schema_version"], 2);
    assert_eq!(content["issuers"][server.origin()], server.issuer());
    let record = &content["credentials"][server.issuer()][server.origin()][""];
    assert_eq!(record["client_id"], "registered-1");
    assert_eq!(record["registered_application_type"], "native");
    assert_eq!(record["scopes"], json!(["mcp:tools"]));
    let token = record["access_token"].as_str().expect("a token");
    assert!(token.starts_with("access-secret"), "{record}");
    assert!(record["expires_at"].as_u64().expect("an expiry") > 1_700_000_000);
}

#[test]
fn an_issuer_that_takes_no_resource_is_asked_without_and_told_of() {
    let server = AuthServer::start(Manners {
        refuses_resource: true,
        ..Manners::default()
    });
    let finished = log_in(&server, &["--oauth-client-id", "mine", "--oauth-no-cache"]);
    let finished = finished.expect_code(0);
    assert!(
        finished.stdout.contains("takes no `resource`"),
        "{finished}"
    );
    assert!(!finished.dir.path().join(STORE).exists());
    let case = "an issuer that takes no `resource`";
    finished.tells_lines("OAuth", case, &["takes no `resource`"]);
}

#[test]
fn a_server_of_2025_03_26_is_its_own_issuer() {
    let server = AuthServer::start(Manners {
        has_no_metadata: true,
        ..Manners::default()
    });
    let finished = log_in(&server, &[]).expect_code(0);
    let content = kept(finished.dir.path());
    assert_eq!(content["issuers"][server.origin()], server.origin());
    assert_eq!(server.faults(), [""; 0]);
}

#[test]
fn a_login_is_refused_where_it_could_be_stolen() {
    let check = |case: &str, manners: Manners, expected: &str| {
        let server = AuthServer::start(manners);
        let finished = log_in(&server, &[]).expect_code(1).tells("OAuth", case);
        assert!(finished.stderr.contains(expected), "{expected}: {finished}");
        assert!(!finished.dir.path().join(STORE).exists());
        assert_eq!(server.grants(), [""; 0]);
        assert_secret(&finished);
    };
    let metadata = |metadata: Value| Manners {
        metadata,
        ..Manners::default()
    };
    check(
        "an issuer without PKCE",
        metadata(json!({"code_challenge_methods_supported": ["plain"]})),
        "PKCE with S256",
    );
    check(
        "metadata of another issuer",
        metadata(json!({"issuer": "https://other.example"})),
        "says that it is of `https://other.example`",
    );
    check(
        "an issuer that registers nobody",
        metadata(json!({"registration_endpoint": null})),
        "`--oauth-client-id`",
    );
    check(
        "metadata without end",
        metadata(json!({"padding": "x".repeat(300_000)})),
        "larger than",
    );
    check(
        "an address that is not a web page",
        metadata(json!({"authorization_endpoint": "ftp://x/"})),
        "no `authorization_endpoint`",
    );
    check(
        "a redirect from another issuer",
        Manners {
            iss: Some("https://other.example"),
            ..Manners::default()
        },
        "came back from the issuer `https://other.example`",
    );
    check(
        "a server that names another resource",
        Manners {
            resource_metadata: json!({"resource": "https://other.example/mcp"}),
            ..Manners::default()
        },
        "that of another resource, `https://other.example/mcp`",
    );
    check(
        "a server that names no issuer",
        Manners {
            resource_metadata: json!({"authorization_servers": []}),
            ..Manners::default()
        },
        "names no issuer",
    );
}

#[test]
fn a_server_without_oauth_is_told_as_such() {
    let server = FakeServer::start(|request, connection| match request.path.as_str() {
        "/mcp" if request.method() == "ping" => connection.json(&request.result(&json!({}))),
        "/mcp" => legacy(request, connection),
        _ => connection.answer(404, &[], ""),
    });
    let url = server.url();
    let finished = loadtest(&["login", &url, "--no-browser"]).run();
    let finished = finished.expect_code(1);
    finished.tells("OAuth", "a login to a server without OAuth");
    let finished = client_run(&url, &["--iterations=1"]).run().expect_code(1);
    finished.tells("OAuth", "a client's token for a server without OAuth");
}

#[test]
fn a_login_waits_for_a_silent_server_as_long_as_it_is_told() {
    let server = FakeServer::start(|_, connection| connection.hang());
    let url = server.url();
    let words = ["login", &url, "--no-browser", "--timeout", "100ms"];
    let began = Instant::now();
    let finished = loadtest(&words).run().expect_code(1);
    assert!(finished.stderr.contains("no login: "), "{finished}");
    // It would be 30 s.
    assert!(began.elapsed() < Duration::from_secs(20), "{finished}");
}

#[test]
fn a_login_that_is_interrupted_ends_at_once() {
    let server = AuthServer::start(Manners::default());
    let url = server.url();
    let words = ["login", &url, "--no-browser", "--oauth-redirect-port=0"];
    let mut running = loadtest(&words).spawn();
    running.wait_until("an address", |running| {
        !addresses(&running.stderr()).is_empty()
    });
    running.signal(nix::sys::signal::Signal::SIGINT);
    let finished = running.wait().expect_code(130);
    assert!(
        finished.stderr.contains("interrupted before the login"),
        "{finished}"
    );
    assert!(!finished.dir.path().join(STORE).exists());
}

#[test]
fn a_store_that_cannot_be_used_is_told_before_the_browser_opens() {
    let server = AuthServer::start(Manners::default());
    let store = "{\"schema_version\": 3}";
    let finished = loadtest(&["login", &server.url(), "--no-browser"]);
    let finished = finished.file(STORE, store).run().expect_code(1);
    let finished = finished.tells("OAuth", "a store of a later cargo-pmcp");
    assert!(finished.stderr.contains("is of schema 3"), "{finished}");
    assert!(server.server.log().is_empty());
    let text = std::fs::read_to_string(finished.dir.path().join(STORE));
    assert_eq!(text.expect("a store"), store);
    // A run that asks for nothing goes on without, and says so.
    let words = ["try", &server.url(), "--tool", "work"];
    let finished = loadtest(&words).file(STORE, store).run().expect_code(1);
    assert!(finished.stderr.contains("is of schema 3"), "{finished}");
}

/// A store in which a login at this server is kept.
fn store_of(server: &AuthServer, expires_at: u64) -> String {
    store_text(&server.origin(), expires_at)
}

/// Far beyond any test.
const LATER: u64 = 4_000_000_000;

#[test]
fn a_kept_login_is_used_without_a_word_and_said_in_the_head() {
    let server = AuthServer::start(Manners::default());
    server.give_token("access-secret-0");
    let url = server.url();
    let store = store_of(&server, LATER);
    let run = |words: &[&str]| {
        let words = [&["--vus=2", "--iterations=6"], words].concat();
        run_work(&url, &words).file(STORE, &store).run()
    };
    let finished = run(&[]).expect_code(0);
    assert!(
        finished.to_string().contains(&server.issuer()),
        "{finished}"
    );
    assert!(finished.to_string().contains("2096-10-02"), "{finished}");
    assert_secret(&finished);
    assert_eq!(server.grants(), [""; 0]);
    let text = std::fs::read_to_string(finished.dir.path().join(STORE));
    assert_eq!(text.expect("a store"), store, "it is not touched");
    for words in [
        &["--no-stored-token"][..],
        &["--oauth-no-cache"],
        &["--api-key", "other"],
        &["-H", "Authorization: Bearer other"],
    ] {
        let n_before = server.server.log().len();
        let finished = run(words).expect_code(1);
        assert!(finished.stderr.contains("401"), "{words:?}: {finished}");
        let sent = &server.server.log()[n_before..];
        let sent = sent.iter().filter_map(|it| it.header("authorization"));
        let is_kept = |value: &str| value.contains("access-secret-0");
        assert!(!sent.into_iter().any(is_kept), "{words:?}");
    }
}

/// Who logs in for one run alone has its token renewed like any other.
#[test]
fn a_login_that_is_kept_nowhere_is_refreshed_in_its_run() {
    let server = AuthServer::start(Manners {
        lifetime: json!(3),
        ..Manners::default()
    });
    let words = [
        "--vus=2",
        "--duration=5s",
        "--pacing=50ms",
        "--oauth-client-id=mine",
        "--oauth-no-cache",
        "--oauth-redirect-port=0",
    ];
    // Without a `PATH` no browser is found: the test is one.
    let program = run_work(&server.url(), &words).env("PATH", "");
    let mut running = OnTerminal::start(program, 2_000);
    let shown = |running: &OnTerminal| addresses(&running.rows().join(" "));
    running.wait_until("an address", |running| !shown(running).is_empty());
    server.browse(&shown(&running)[0]);
    let (code, rows, text) = running.wait();
    assert_eq!(code, Some(0), "{rows:#?}");
    let grants = server.grants();
    assert_eq!(
        grants[..2],
        ["authorization_code", "refresh_token"],
        "{rows:#?}"
    );
    assert_eq!(server.faults(), [""; 0]);
    assert!(rows.iter().any(|row| row.contains("all ok")), "{rows:#?}");
    assert!(!text.contains("access-secret"), "{text}");
}

#[test]
fn each_command_that_asks_the_server_uses_the_kept_login() {
    let server = AuthServer::start(Manners::default());
    server.give_token("access-secret-0");
    let url = server.url();
    // `init` asks for lists that this server does not have, too: exit code 1.
    for (words, code) in [
        (&["try", &url, "--tool", "work"][..], 0),
        (&["init", &url, "--output", "-"][..], 1),
    ] {
        let finished = loadtest(words).file(STORE, &store_of(&server, LATER)).run();
        let finished = finished.expect_code(code);
        assert!(finished.stdout.contains("work"), "{finished}");
        assert_secret(&finished);
    }
    // What is read by nobody any more is told where it lies there.
    let told = loadtest(&["try", &url]).file(".pmcp/oauth-tokens.json", "{}");
    let told = told.run().expect_code(1);
    assert!(told.stderr.contains("oauth-tokens.json"), "{told}");
}

#[test]
fn of_two_processes_at_once_one_refreshes_and_both_go_on() {
    let server = AuthServer::start(Manners::default());
    server.give_refresh_token("refresh-secret-0");
    let url = server.url();
    let home = TempDir::new();
    let folder = home.path().join(".pmcp");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(home.path().join(STORE), store_of(&server, 1)).expect("a file");
    let home_name = home.path().display().to_string();
    let start = || {
        let program = run_work(&url, &["--vus=2", "--iterations=4"]);
        program.env("HOME", &home_name).spawn()
    };
    let running = [start(), start()];
    for running in running {
        assert_secret(&running.wait().expect_code(0));
    }
    assert_eq!(server.grants(), ["refresh_token"]);
    assert_eq!(server.faults(), [""; 0]);
    let record = &kept(home.path())["credentials"][server.issuer()][server.origin()][""];
    assert_eq!(record["of_tomorrow"], 1);
    assert_ne!(record["refresh_token"], "refresh-secret-0");
    assert!(record["expires_at"].as_u64() > Some(1_700_000_000));
    let files = std::fs::read_dir(&folder).expect("a folder");
    assert_eq!(files.count(), 1, "neither a lock nor a file beside");
}

#[test]
fn a_kept_login_that_is_spent_ends_before_the_load() {
    let server = AuthServer::start(Manners::default());
    let program = run_work(&server.url(), &["--iterations=1"]);
    let finished = program.file(STORE, &store_of(&server, 1)).run();
    let finished = finished.expect_code(1);
    let finished = finished.tells("OAuth", "a kept login that is spent");
    assert!(finished.stderr.contains("invalid_grant"), "{finished}");
    assert!(finished.stderr.contains("loadtest login"), "{finished}");
    assert_secret(&finished);
}

#[test]
fn a_server_of_oauth_leads_to_a_login() {
    let server = AuthServer::start(Manners::default());
    let url = server.url();
    for words in [&["init", &url][..], &["run", &url, "--tool", "work"]] {
        let finished = loadtest(words).run().expect_code(1);
        finished.tells(
            "OAuth",
            "a server that takes tokens by OAuth, and none is given",
        );
    }
    // Its metadata say it, or nothing does.
    let server = AuthServer::start(Manners {
        has_no_metadata: true,
        ..Manners::default()
    });
    let finished = run_work(&server.url(), &[]).run().expect_code(1);
    finished.tells(
        "OAuth",
        "a server that names no issuer, and no token is given",
    );
}

#[test]
fn a_client_gets_its_own_tokens_by_its_secret_or_its_key() {
    for wants_endpoint_as_audience in [false, true] {
        let server = AuthServer::start(Manners {
            n_busy: 1,
            wants_endpoint_as_audience,
            ..Manners::default()
        });
        let url = server.url();
        let by_secret = client_run(&url, &["--iterations=3"]);
        let key = include_str!("../oauth/p256-sec1.pem");
        let by_key = run_work(&url, &["--iterations=3", "--oauth-client-id=ci"])
            .file("ci.pem", key)
            .env("MCP_OAUTH_PRIVATE_KEY", "ci.pem");
        for program in [by_secret, by_key] {
            let finished = program.run().expect_code(0);
            assert!(finished.stderr.contains("client `ci`"), "{finished}");
            assert_secret(&finished);
            assert!(!finished.dir.path().join(STORE).exists());
        }
        assert_eq!(server.grants(), ["client_credentials"; 2]);
    }
}

#[test]
fn what_comes_in_place_of_metadata_is_told() {
    for (case, headers) in [
        (
            "a page in place of the server's metadata",
            [("Content-Type", "text/html; charset=utf-8"), ("X-A", "b")],
        ),
        (
            "metadata that is compressed unasked",
            [
                ("Content-Type", "application/json"),
                ("Content-Encoding", "gzip"),
            ],
        ),
    ] {
        let server = FakeServer::start(move |request, connection| {
            let host = request.header("host").unwrap_or_default();
            let challenge = format!("Bearer resource_metadata=\"http://{host}/metadata\"");
            match request.path.as_str() {
                "/mcp" => connection.answer(401, &[("WWW-Authenticate", &challenge)], ""),
                _ => connection.answer(200, &headers, "<html>"),
            }
        });
        let finished = client_run(&server.url(), &["--iterations=1"]).run();
        finished.expect_code(1).tells("OAuth", case);
    }
}

/// Whoever has a token by OAuth knows how to get one.
#[test]
fn a_new_token_that_is_refused_leads_to_no_other_login() {
    let authority = Authority::new(Manners::default());
    let server = FakeServer::start(move |request, connection| {
        if request.path == "/mcp" {
            let challenge = [("WWW-Authenticate", "Bearer error=\"invalid_token\"")];
            return connection.answer(401, &challenge, "");
        }
        let answered = authority.answer(request, connection);
        answered.unwrap_or_else(|| connection.answer(404, &[], ""))
    });
    let finished = client_run(&server.url(), &["--iterations=1"]).run();
    let finished = finished.expect_code(1);
    let finished = finished.tells("OAuth", "a client's new token that the server refuses");
    assert!(!finished.stderr.contains("--oauth-client-id"), "{finished}");
}

fn n_token_requests(server: &AuthServer) -> usize {
    let log = server.server.log();
    log.iter().filter(|it| it.path == "/as/token").count()
}

#[test]
fn an_issuer_that_is_busy_for_days_does_not_hold_the_start() {
    let server = AuthServer::start(Manners {
        n_busy: 9,
        busy_secs: "999999",
        ..Manners::default()
    });
    let finished = client_run(&server.url(), &["--iterations=3"]).run();
    let finished = finished.expect_code(1);
    finished.tells("OAuth", "an issuer that asks for a wait of days");
    assert_eq!(n_token_requests(&server), 1);
}

#[test]
#[cfg(target_os = "linux")]
fn a_start_that_waits_for_a_token_ends_at_the_first_interrupt() {
    let started = ["", "60"].map(|busy_secs| {
        let server = AuthServer::start(Manners {
            n_busy: 9,
            busy_secs,
            ..Manners::default()
        });
        let running = client_run(&server.url(), &["--iterations=3"]).spawn();
        (server, running, busy_secs)
    });
    for (server, mut running, busy_secs) in started {
        running.wait_until("a request for a token", |_| n_token_requests(&server) == 1);
        if !busy_secs.is_empty() {
            running.wait_until("the cause of the wait", |running| {
                running.stderr().contains("429")
            });
        }
        running.signal(nix::sys::signal::Signal::SIGINT);
        let began = Instant::now();
        let finished = running.wait().expect_code(130);
        // An answer is waited for for 30 s, and what was asked for is 60 s.
        assert!(began.elapsed() < Duration::from_secs(20), "{finished}");
        let told = "interrupted before the load began";
        assert!(finished.stderr.contains(told), "{finished}");
    }
}

/// A run of `work` with the login that is kept, or as the client `ci`.
fn run_of(server: &AuthServer, is_client: bool, expires_at: u64, words: &[&str]) -> Program {
    let url = server.url();
    match is_client {
        false => run_work(&url, words).file(STORE, &store_of(server, expires_at)),
        true => client_run(&url, words),
    }
}

#[test]
fn tokens_that_end_within_a_run_are_renewed_before() {
    let load = ["--vus=4", "--workers=2", "--duration=5s", "--pacing=50ms"];
    let manners = Manners {
        lifetime: json!(2),
        ..Manners::default()
    };
    let began = Instant::now();
    let runs = [false, true].map(|is_client| {
        let server = AuthServer::start(manners.clone());
        server.give_refresh_token("refresh-secret-0");
        let running = run_of(&server, is_client, 1, &load).spawn();
        (is_client, server, running)
    });
    for (is_client, server, running) in runs {
        let finished = running.wait().expect_code(0);
        assert_secret(&finished);
        let report = finished.checked_report();
        assert_eq!(report["totals"]["failed"], 0, "{finished}");
        let tokens = &report["tokens"];
        assert_eq!(
            [&tokens["refused"], &tokens["failed"]],
            [0, 0],
            "{finished}"
        );
        let grants = server.grants();
        let fetched = tokens["fetched"].as_u64().expect("a number") as usize;
        // One more may come once the report is made.
        assert!(
            (fetched..=fetched + 1).contains(&grants.len()),
            "{finished}"
        );
        // One for all users, and no sooner than a second after the one before.
        let most = began.elapsed().as_secs() as usize + 2;
        assert!((3..=most).contains(&grants.len()), "{grants:?}");
        assert_eq!(server.faults(), [""; 0]);
        let calls = server.server.log_of("tools/call");
        let sent = calls.iter().filter_map(|call| call.header("authorization"));
        assert!(sent.collect::<BTreeSet<_>>().len() > 2, "{finished}");
        let about = tokens["about"].as_str().expect("a text");
        assert!(about.contains(&server.issuer()) && about.contains("ends at 20"));
        assert!(finished.stdout.contains(about), "{finished}");
        if !is_client {
            let record = &kept(finished.dir.path())["credentials"][server.issuer()];
            let last = format!("refresh-secret-{}", 2 * grants.len());
            assert_eq!(record[server.origin()][""]["refresh_token"], last);
        }
    }
}

#[test]
fn a_token_that_is_revoked_within_a_run_is_renewed_once_for_all_users() {
    for is_client in [false, true] {
        let server = AuthServer::start(Manners {
            revokes_after: Some(40),
            ..Manners::default()
        });
        server.give_token("access-secret-0");
        server.give_refresh_token("refresh-secret-0");
        let load = ["--vus=4", "--workers=2", "--iterations=120"];
        let finished = run_of(&server, is_client, LATER, &load).run();
        let finished = finished.expect_code(0);
        assert_secret(&finished);
        let grants: &[&str] = match is_client {
            false => &["refresh_token"],
            true => &["client_credentials"; 2],
        };
        assert_eq!(server.grants(), grants);
        let report = finished.checked_report();
        let tokens = &report["tokens"];
        assert_eq!([&tokens["fetched"], &tokens["refused"]], [2, 1]);
        // Each user had at most one call under way with the old token.
        let failed = report["totals"]["failed"].as_u64().expect("a number");
        assert!((1..=4).contains(&failed), "{finished}");
        let refused = ("http.401".to_string(), failed);
        assert_eq!(causes(&report["totals"]), [refused], "{finished}");
        // One more looked for the server; who was late had the old token in its handshake,
        // or none to send.
        let of_handshakes = causes(&report["handshake"]);
        let sent = of_handshakes.iter().filter(|it| it.0 != "auth.no_token");
        let n_late: u64 = sent.map(|(_, n)| n).sum();
        let n_opened = server.server.count("initialize") as u64;
        assert_eq!(n_opened, 5 + n_late, "{finished}");
    }
}

#[test]
fn scopes_that_the_server_wants_more_are_asked_for_once() {
    let check = |scope, code, expected: &str| {
        let server = AuthServer::start(Manners {
            call_scopes: "mcp:tools mcp:write",
            scope,
            ..Manners::default()
        });
        let load = ["--vus=1", "--iterations=3"];
        let finished = run_of(&server, true, LATER, &load).run().expect_code(code);
        assert_eq!(server.grants(), ["client_credentials"; 2]);
        assert!(finished.to_string().contains(expected), "{finished}");
        finished.report()["totals"].clone()
    };
    let totals = check(None, 0, "2 tokens fetched, 1 refused");
    assert_eq!([&totals["ok"], &totals["failed"]], [2, 1]);
    // One who gets no more is told what is wanted, and does not ask on and on.
    let wanted = "it wants the scopes `mcp:tools mcp:write`";
    // Its token stays in use for what it is good for.
    assert_eq!(check(Some("mcp:tools"), 3, wanted)["failed"], 3);
}

#[test]
fn a_login_without_the_scope_ends_with_the_command_that_has_it() {
    let server = AuthServer::start(Manners {
        call_scopes: "mcp:tools mcp:write",
        ..Manners::default()
    });
    server.give_token("access-secret-0");
    let load = ["--vus=1", "--pacing=20ms", "--duration=50s"];
    let finished = run_of(&server, false, LATER, &load).run().expect_code(1);
    let last = finished
        .stderr
        .lines()
        .rfind(|line| line.contains("hint: "));
    let last = last.expect("a hint");
    assert!(
        last.contains("the scopes `mcp:tools mcp:write`"),
        "{finished}"
    );
    let command = finished.stderr.rsplit("loadtest login").next();
    assert!(
        command.is_some_and(|it| it.contains("--oauth-scopes")),
        "{finished}"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_anybody_is_asked() {
    let server = AuthServer::start(Manners::default());
    let url = server.url();
    let refused = |case: &str, words: &[&str], expected: &str, code: i32| {
        let finished = run_work(&url, words)
            .file("no.pem", "s3cret")
            .run()
            .expect_code(code)
            .tells("OAuth", case);
        assert!(finished.stderr.contains(expected), "{expected}: {finished}");
        assert!(!finished.stderr.contains("s3cret"), "{finished}");
    };
    let secret = ["--oauth-client-secret", "s3cret"];
    refused(
        "a secret without its client",
        &secret,
        "go with `--oauth-client-id`",
        2,
    );
    let id = ["--oauth-client-id", "ci"];
    let key = ["--oauth-private-key", "no.pem"];
    refused(
        "a file that is not a key",
        &[id, key].concat(),
        "no private key in PEM form",
        2,
    );
    refused(
        "a file of a key that is not there",
        &[id, ["--oauth-private-key", "none.pem"]].concat(),
        "`none.pem`",
        2,
    );
    refused(
        "a client beside a header",
        &[id, ["--api-key", "s3cret"]].concat(),
        "exclude each other",
        2,
    );
    refused(
        "a client without a kept login",
        &id,
        "login URL --oauth-client-id ci`",
        1,
    );
    refused(
        "a client without a store for its login",
        &[&id[..], &["--oauth-no-cache"]].concat(),
        "without `--oauth-no-cache`",
        1,
    );
    assert!(server.server.log().is_empty());
}

/// The way to an issuer is the one to the server: the proxy's tunnel, the own authority,
/// the certificate of the client.
#[test]
fn tokens_come_through_a_tunnel_from_an_issuer_over_tls() {
    let server = AuthServer::start(Manners {
        is_behind_tls: true,
        ..Manners::default()
    });
    let (root, clients) = (Party::root("House Root"), Party::root("Clients Root"));
    let speaks = Speaks::usual().only_to_clients_of(&clients);
    let party = root.server(&["mcp.server.test"]);
    let front = TlsFront::start(&server.url(), &party, Vec::new(), speaks);
    let tunnel = Tunnel::to(front.address());
    let of_proxy = tunnel.address();
    let client = clients.client(KeyPair::generate().expect("a key"));
    let run = |words: &[&str]| {
        let words = [&["--iterations=3", "--proxy", &of_proxy], words].concat();
        client_run("https://mcp.server.test/mcp", &words)
            .file("ca.pem", &root.pem())
            .file(
                "client.pem",
                &format!("{}{}", client.pem(), client.key_pem()),
            )
            .run()
    };
    let finished = run(&["--ca=ca.pem", "--client-cert=client.pem"]).expect_code(0);
    assert_eq!(server.grants(), ["client_credentials"], "{finished}");
    assert!(server.faults().is_empty(), "{:?}", server.faults());
    assert_secret(&finished);
    // The server's metadata, its issuer's, a token; the look at the server, and its user.
    let asked = tunnel.asked();
    assert!(asked.len() >= 4, "{asked:?}");
    assert!(
        asked.iter().all(|it| it == "mcp.server.test:443"),
        "{asked:?}"
    );
    // What keeps one from an issuer is said in the words that are said of a server.
    let told = run(&["--ca=ca.pem"]).expect_code(1);
    assert!(
        told.stderr.contains("wants a certificate of the client"),
        "{told}"
    );
    let told = told.tells("OAuth", "an issuer that wants a certificate of the client");
    assert!(told.stderr.contains("--client-cert FILE"), "{told}");
    let told = run(&[]).expect_code(1);
    assert!(
        told.stderr.contains("trust `House Root` with `--ca FILE`"),
        "{told}"
    );
    told.tells("OAuth", "an issuer of an unknown authority");
}

/// Rules for names and addresses to come from hold for issuers, too.
#[test]
#[cfg(target_os = "linux")]
fn issuers_are_reached_by_the_rules_for_names_and_addresses() {
    let server = AuthServer::start(Manners::default());
    let port = server.server.address().port();
    let url = format!("http://localhost:{port}/mcp");
    let rule = format!("--resolve=localhost:{port}:127.0.0.1");
    let words = ["--iterations=3", &rule, "--bind=127.0.0.7"];
    let finished = client_run(&url, &words).run().expect_code(0);
    assert_eq!(server.grants(), ["client_credentials"], "{finished}");
    let peers = BTreeSet::from(["127.0.0.7".to_string()]);
    assert_eq!(server.server.peers(), peers, "{finished}");
    // A rule that leads nowhere is followed as well.
    let rule = format!("--resolve=localhost:{port}:127.0.0.2");
    let told = client_run(&url, &["--iterations=3", &rule]);
    let told = told.run().expect_code(1);
    assert_eq!(server.grants().len(), 1, "{told}");
    told.tells("OAuth", "an issuer that cannot be reached");
}
