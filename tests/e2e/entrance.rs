//! What comes in and what goes out: addresses are judged alike by every command,
//! credentials go to whom they are for, and nobody gets to see them.

use serde_json::json;

use crate::fake_server::{Connection, FakeServer, Next, Request, legacy, welcome};
use crate::load_run::run_work;
use crate::program::{Finished, Program, loadtest};

#[test]
fn every_command_judges_an_address_alike() {
    let long = format!("http://127.0.0.1:9/{}", "a".repeat(90_000));
    for (url, expected) in [
        ("http://127.0.0.1:99999/mcp", "a port that is not a number"),
        ("http://127.0.0.1:0/mcp", "a port that is not a number"),
        (
            "http://user:hunter2@127.0.0.1:9/mcp",
            "user name or password",
        ),
        ("http://127.0.0.1:9/mcp#hunter2", "a fragment"),
        ("127.0.0.1:9/mcp", "`http://127.0.0.1:9/mcp`"),
        ("http://127.0.0.1 :9/mcp", "a character in its host"),
        ("http://127.0.0.1:9/a b", "percent-encoded"),
        ("http://::1:9/mcp", "without `[` and `]`"),
        ("http://[fe80::1%]:9/mcp", "a zone"),
        ("http://münchen.example/mcp", "xn--"),
        ("ftp://127.0.0.1:9/", "a scheme other than"),
        ("", "is empty"),
        (&long, "longer than 8000 bytes"),
    ] {
        let judged = |words: &[&str]| {
            let mut words = words.to_vec();
            words.extend(["-H", "Authorization: Bearer hunter2-token", url]);
            let finished = loadtest(&words).run().expect_code(2);
            assert!(!finished.to_string().contains("hunter2"), "{finished}");
            assert!(finished.stderr.len() < 1000, "{finished}");
            finished.stderr
        };
        let told = judged(&["run"]);
        assert!(told.contains(expected), "{url}: {told}");
        assert_eq!(judged(&["find", "--max-p99", "1s"]), told);
        assert_eq!(judged(&["init", "--output", "-"]), told);
        let config = format!("[settings]\nurl = {url:?}\n[[scenario]]\ntype = \"ping\"\n");
        let finished = loadtest(&["check", "a.toml"]).file("a.toml", &config).run();
        let finished = finished.expect_code(2);
        assert!(finished.stderr.contains(expected), "{finished}");
    }
}

/// Says what it was sent in all places in which a server can say something.
fn echo(request: &Request, connection: &mut Connection) -> Next {
    let told = request.header("authorization").unwrap_or("nothing");
    let key = told.strip_prefix("Bearer ").unwrap_or(told);
    let hex: String = key.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let told = format!("{told} {key} {} {hex} {}", key.to_uppercase(), request.path);
    match request.method().as_str() {
        "initialize" => {
            let mut answer = welcome(request);
            answer["result"]["serverInfo"] = json!({"name": told, "version": key, "title": told});
            let headers = [
                ("Content-Type", "application/json"),
                ("Mcp-Session-Id", key),
            ];
            connection.answer(200, &headers, &answer.to_string())
        }
        "tools/list" => {
            let schema = json!({
                "type": "object",
                "properties": {"q": {"type": "string", "default": told, "description": told}},
                "required": ["q"],
            });
            let tools = json!([
                {"name": "work", "description": told, "inputSchema": schema},
                {"name": format!("t-{key}"), "title": told, "inputSchema": {"type": "object"}},
            ]);
            connection.json(&request.result(&json!({"tools": tools})))
        }
        "resources/list" => {
            let error = json!({"code": -32000, "message": told});
            connection.json(&request.error(&error))
        }
        "tools/call" => {
            let id = request.message()["id"].as_u64().unwrap_or(0);
            if id.is_multiple_of(2) {
                connection.write(format!("HTTP/1.1 418 {told}\r\nContent-Length: 0\r\n\r\n"));
                return Next::Keep;
            }
            let error = json!({"code": -32001, "message": told, "data": told});
            connection.json(&request.error(&error))
        }
        _ => legacy(request, connection),
    }
}

#[track_caller]
fn check_hidden(finished: &Finished, more: &str) {
    let all = format!("{finished}{more}").to_lowercase();
    for secret in [
        "tok-4711-geheim",
        "746f6b2d34373131",
        "%74%6f%6b",
        "query-0815",
    ] {
        assert!(!all.contains(secret), "{secret}: {finished}\n{more}");
    }
}

#[test]
fn what_a_server_says_of_a_credential_is_hidden_everywhere() {
    let server = FakeServer::start(echo);
    let url = format!("{}?token=query-0815", server.url());
    let key = ["--api-key", "tok-4711-geheim"];
    let words = [&["--vus=2", "--iterations=20"], &key[..]].concat();
    let finished = run_work(&url, &words).run().expect_code(3);
    let report = finished.report();
    assert_eq!(report["totals"]["failed"], 20, "{finished}");
    assert!(
        report["server"]["name"].to_string().contains("***"),
        "{report}"
    );
    check_hidden(&finished, &report.to_string());
    // There was something to hide.
    let call = &server.log_of("tools/call")[0];
    assert_eq!(call.header("authorization"), Some("Bearer tok-4711-geheim"));
    assert!(call.path.contains("query-0815"), "{}", call.path);

    // One of its lists cannot be read, which is told by the code.
    let finished = loadtest(&[&["init", &url], &key[..]].concat())
        .run()
        .expect_code(1);
    let path = finished.dir.path().join(".pmcp/loadtest.toml");
    let config = std::fs::read_to_string(&path).expect("it was written");
    check_hidden(&finished, &config);
    // What it wrote works, once the environment has what it asks for.
    let finished = loadtest(&["run", "--iterations", "4"])
        .in_dir(finished.dir)
        .env("MCP_API_KEY", "tok-4711-geheim")
        .env("TOKEN", "query-0815")
        .run()
        .expect_code(3);
    check_hidden(&finished, &finished.report().to_string());
    let call = server.log_of("tools/call").pop().expect("a call");
    assert_eq!(call.header("authorization"), Some("Bearer tok-4711-geheim"));
    assert!(call.path.contains("query-0815"), "{}", call.path);
}

/// Refuses each call with the credential in a body that is not a message.
fn refuse(request: &Request, connection: &mut Connection) -> Next {
    if request.method() != "tools/call" {
        return legacy(request, connection);
    }
    let told = request.header("authorization").unwrap_or("nothing");
    let headers = [("Content-Type", &*format!("text/html; said={told}"))];
    connection.answer(401, &headers, &format!("<html>bad token {told}</html>"))
}

#[test]
fn a_long_credential_is_hidden_where_an_excerpt_cuts_it() {
    let server = FakeServer::start(refuse);
    let key: String = (0..120).map(|n| format!("k{n:04}")).collect();
    let finished = run_work(&server.url(), &["--vus=1", "--iterations=3"])
        .env("MCP_API_KEY", &key)
        .run()
        .expect_code(3);
    let all = format!("{finished}{}", finished.report());
    assert!(all.contains("bad token Bearer ***"), "{finished}");
    for start in (0..key.len() - 5).step_by(5) {
        let piece = &key[start..start + 5];
        assert!(!all.contains(piece), "{piece}: {all}");
    }
}

#[test]
fn plain_headers_do_not_hide_our_own_words() {
    let server = FakeServer::start(legacy);
    let url = server.url();
    let few = ["--vus=1", "--iterations=3"];
    let mut words = few.to_vec();
    for header in [
        "X-Env: load",
        "X-Api-Version: 2026",
        "X-A: valid",
        "X-B: http",
        "X-C: work",
    ] {
        words.extend(["-H", header]);
    }
    let finished = run_work(&url, &words).run().expect_code(0);
    let report = finished.report();
    assert!(report["plan"]["load"].is_object(), "{report}");
    assert!(report["per_tool"]["work"].is_object(), "{report}");
    assert!(!finished.stdout.contains("***"), "{finished}");
    // What is a credential by its name is hidden, and hides no key of ours.
    let key = ["-H", "X-Api-Key: load", "-H", "X-Token: work"];
    let words = [&few[..], &key].concat();
    let finished = run_work(&url, &words).run().expect_code(0);
    let report = finished.report();
    assert!(report["plan"]["load"].is_object(), "{report}");
    assert!(report["per_tool"]["***"].is_object(), "{report}");
}

#[test]
fn a_word_that_nobody_understands_is_not_echoed() {
    let check = |words: &[&str], expected: &str| {
        let finished = loadtest(words).run().expect_code(2);
        assert!(finished.stderr.contains(expected), "{finished}");
        assert!(
            !finished.to_string().contains("supersecret99"),
            "{finished}"
        );
    };
    let url = "http://127.0.0.1:9/mcp";
    check(&["run", url, "Bearer=supersecret99"], "Bearer=…");
    check(
        &["demo", "-HAuthorization: Bearer supersecret99"],
        "-HAuthorization:…",
    );
    check(
        &[
            "run",
            url,
            "-H",
            "Authorization:",
            "Bearer",
            "supersecret99",
        ],
        "unrecognized argument: Bearer",
    );
    // As curl takes it.
    let server = FakeServer::start(legacy);
    let url = server.url();
    let words = [
        "run",
        &url,
        "-HX-Key: supersecret99",
        "--vus",
        "1",
        "--iterations",
        "3",
    ];
    let finished = loadtest(&words).run().expect_code(0);
    let report = finished.report().to_string();
    assert!(
        !format!("{finished}{report}").contains("supersecret99"),
        "{finished}"
    );
    let sent = server.log_of("initialize");
    assert_eq!(sent[0].header("x-key"), Some("supersecret99"));
}

const STEP: &str = "[[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\narguments = { a = 1 }\n";

#[test]
fn headers_of_a_config_go_to_its_own_address_only() {
    let (own, other) = (FakeServer::start(legacy), FakeServer::start(legacy));
    let config = format!(
        "[settings]\nurl = \"{}\"\niterations = 2\n[headers]\nAuthorization = \"Bearer \
         ${{MCP_API_KEY}}\"\n{STEP}",
        own.url()
    );
    let run = |words: &[&str]| {
        loadtest(&[&["run", "--vus", "1", "--no-report"], words].concat())
            .file(".pmcp/loadtest.toml", &config)
            .env("MCP_API_KEY", "for-own-only")
            .run()
            .expect_code(0)
    };
    let finished = run(&[]);
    assert!(!finished.stderr.contains("not sent"), "{finished}");
    let finished = run(&[&other.url()]);
    assert!(finished.stderr.contains("`Authorization`"), "{finished}");
    assert!(finished.stderr.contains("`-H`"), "{finished}");
    run(&[&other.url(), "-H", "Authorization: Bearer for-other"]);
    for request in own.log() {
        assert_eq!(request.header("authorization"), Some("Bearer for-own-only"));
    }
    let sent: Vec<Option<String>> = other
        .log_of("tools/call")
        .iter()
        .map(|request| request.header("authorization").map(str::to_string))
        .collect();
    let given = Some("Bearer for-other".to_string());
    assert_eq!(sent, [None, None, given.clone(), given]);
}

#[cfg(unix)]
#[test]
fn a_config_found_above_is_named_and_blocks_nothing() {
    let server = FakeServer::start(legacy);
    let config =
        format!("[settings]\nurl = \"${{NOT_SET}}\"\n[headers]\nX-A = \"${{NOT_SET}}\"\n{STEP}");
    let script =
        "mkdir sub && cd sub && exec \"$0\" loadtest run \"$1\" --tool work --vus 1 --iterations 3";
    let program = env!("CARGO_BIN_EXE_cargo-pmcp");
    let finished = Program::other("sh", &["-c", script, program, &server.url()])
        .file(".pmcp/loadtest.toml", &config)
        .run()
        .expect_code(0);
    let path = finished.dir.path().join(".pmcp/loadtest.toml");
    let named = format!("the config is `{}`", path.display());
    assert!(finished.stderr.contains(&named), "{finished}");
    // It is called as the config does.
    for call in server.log_of("tools/call") {
        assert_eq!(call.message()["params"]["arguments"], json!({"a": 1}));
        assert_eq!(call.header("x-a"), None);
    }
}

#[test]
fn the_other_program_calls_itself_by_its_own_name() {
    let program = env!("CARGO_BIN_EXE_cargo-pmcp-loadtest");
    let check = |words: &[&str], code, expected: &str| {
        let finished = Program::other(program, words).run().expect_code(code);
        assert!(finished.to_string().contains(expected), "{finished}");
        assert!(
            !finished.to_string().contains("cargo pmcp loadtest"),
            "{finished}"
        );
    };
    check(&["--help"], 0, "Usage: cargo-pmcp-loadtest");
    check(
        &["calibrate", "--help"],
        0,
        "$ cargo-pmcp-loadtest run --calibration",
    );
    check(&["check"], 2, "`cargo-pmcp-loadtest init`");
    check(
        &["pmcp-loadtest", "run"],
        2,
        "`cargo pmcp-loadtest init URL`",
    );
    check(&["init", "--output", "-"], 0, "cargo-pmcp-loadtest check");
}

#[test]
fn a_word_that_is_wrong_is_answered_with_what_would_be_right() {
    let check = |words: &[&str], expected: &str| {
        let finished = loadtest(words).run().expect_code(2);
        assert!(finished.stderr.contains(expected), "{words:?}: {finished}");
        assert!(finished.stderr.len() < 1200, "{words:?}: {finished}");
        finished.stderr
    };
    let long = "9".repeat(90_000);
    check(
        &["run", "--vus", "-1"],
        "`-1` is not a whole number from 1 to 1000000",
    );
    check(
        &["run", "--vus", &long],
        "is not a whole number from 1 to 1000000",
    );
    check(&["run", &long, &long], "unrecognized argument");
    check(&[&long], "unrecognized argument");
    check(
        &["run", "--seed=1e3"],
        "`1e3` is not a whole number from 0 up",
    );
    check(
        &["run", "--workers", ""],
        "`` is not a whole number from 1 to 4096",
    );
    check(
        &["run", "--iterations", "NaN"],
        "`NaN` is not a whole number from 1 up",
    );
    check(
        &["demo", "--port", "70000"],
        "`70000` is not a whole number from 0 to 65535",
    );
    check(
        &["run", "--rate", "0.0001/h"],
        "`0.0001/h` is not a rate of at least `0.01/h`",
    );
    check(&["run", "--rate", "inf/s"], "is not a rate");
    check(
        &["run", "--vus", "1", "--vus", "2"],
        "`--vus` is given twice",
    );
    check(&["run", "--demo=yes"], "`--demo` takes no value");
    check(&["--vus", "1", "run"], "flags follow their command");
    check(&["run", "--vsu", "1"], "did you mean `--vus`?");
    let told = check(&["init", "--tools"], "unrecognized argument: --tools");
    assert!(!told.contains("did you mean"), "{told}");
    check(
        &["run", "http://x/", "--assert", "x"],
        "--assert: `x`: has no comparison",
    );
}
