//! `try`: what is shown before a load.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::demo::demo;
use crate::fake_server::FakeServer;
use crate::program::{Finished, Program, loadtest};
use pmcp_loadtest::demo::DemoOptions;

const CONFIG: &str = r#"
[settings]
think = "60s"
virtual_users = 50

[[scenario]]
type = "tools/call"
tool = "echo"
arguments = { text = "once more", api_key = "kept-to-myself" }

[[scenario]]
type = "tools/call"
tool = "add"
weight = 0
arguments = { a = 2, b = 3 }

[[scenario]]
type = "resources/read"
uri = "demo://readme"
"#;

fn tried(url: &str, config: &str) -> Finished {
    let words = ["loadtest", "try", "a.toml", "--url", url];
    Program::new(&words).file("a.toml", config).run()
}

/// In the order of the lines.
#[track_caller]
fn check_lines(finished: &Finished, expected: &[&str]) {
    let mut lines = finished.stdout.lines();
    for part in expected {
        assert!(lines.any(|line| line.contains(part)), "{part}: {finished}");
    }
}

/// Nobody thinks for a minute, what has weight 0 is left out, and what a name calls a
/// secret is in no line, though the server says it again.
#[test]
fn each_entry_is_tried_once_and_shown() {
    let server = demo(DemoOptions::default());
    let finished = tried(&server.url(), CONFIG).expect_code(0);
    check_lines(
        &finished,
        &[
            "(pmcp-demo",
            "session opened",
            "tools/call echo",
            "  > tools/call",
            r#"  > { "name": "echo", "arguments": { "text": "once more", "api_key": "***" } }"#,
            "  < 200, ",
            r#""text": "once more""#,
            "  ok",
            "resources/read demo://readme",
            "2 calls, 2 ok; 1 entry of weight 0 left out",
        ],
    );
    assert!(!finished.stdout.contains("add"), "{finished}");
    assert!(!finished.stdout.contains("kept-to"), "{finished}");
    assert_eq!(finished.stderr, "");
}

#[test]
fn a_secret_is_hidden_wherever_an_answer_repeats_it() {
    let server = FakeServer::on_call(|request, connection| {
        let inner = json!({"token": "s3cr3t-token"}).to_string();
        connection.json(&request.result(&json!({
            "content": [{"type": "text", "text": inner}, {"type": "text", "text": "s3cr3t-token"}],
        })))
    });
    let words = ["loadtest", "try", &server.url(), "--tool", "work"];
    let finished = Program::new(&words).run().expect_code(0);
    check_lines(
        &finished,
        &["tools/call work", "{\\\"token\\\":\\\"***\\\"}"],
    );
    assert!(!finished.stdout.contains("s3cr3t"), "{finished}");
    assert_eq!(server.count("tools/call"), 1);
}

#[test]
fn a_call_that_fails_is_shown_and_ends_with_3() {
    let server = FakeServer::on_call(|request, connection| {
        let content = json!([{"type": "text", "text": "\u{1b}[31mout of stock"}]);
        connection.json(&request.result(&json!({"isError": true, "content": content})))
    });
    let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\nparallel = 8\n";
    let finished = tried(&server.url(), config).expect_code(3);
    check_lines(
        &finished,
        &[
            "tools/call work",
            r#""isError": true"#,
            "  failed: tool.is_error (",
            "  … and 5 more calls of this step",
            "8 calls, 8 failed",
        ],
    );
    assert!(!finished.stdout.contains('\u{1b}'), "{finished}");
    assert!(finished.stderr.contains("8 calls failed"), "{finished}");
}

/// It has no figures to complete, so it does not wait for the answer.
#[test]
#[cfg(target_os = "linux")]
fn a_trial_ends_at_the_first_interrupt() {
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let url = server.url();
    let words = ["try", &url, "--tool=work", "--timeout=60s"];
    let mut running = loadtest(&words).spawn();
    running.wait_until("a call", |_| server.count("tools/call") == 1);
    running.signal(nix::sys::signal::Signal::SIGINT);
    let began = Instant::now();
    let finished = running.wait().expect_code(130);
    // A run would wait for 30 s.
    assert!(began.elapsed() < Duration::from_secs(20), "{finished}");
    check_lines(&finished, &["session opened", "1 call, 0 ok, 1 cancelled"]);
}

#[test]
fn who_cannot_try_is_told_why() {
    let nobody = Program::new(&["loadtest", "try", "http://127.0.0.1:1/mcp", "--tool", "t"]);
    let finished = nobody.run().expect_code(1);
    assert!(finished.stderr.contains("127.0.0.1:1"), "{finished}");
    let finished = tried("http://127.0.0.1:1/mcp", "[[scenario]]\ntype = \"x\"\n").expect_code(2);
    assert!(finished.stderr.contains("a.toml:2"), "{finished}");
    let finished = Program::new(&["loadtest", "try", "--config", "a.toml"]).run();
    assert!(finished.stderr.contains("`try FILE`"), "{finished}");
}

/// One user needs one row, however many users the config has.
#[test]
fn one_row_a_user_is_enough_for_one_user() {
    let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\n\
                  arguments = { text = \"{{data.users.name}}\" }\n\
                  [data.users]\nrows = [{ name = \"ann\" }]\nmode = \"unique-per-vu\"\n";
    let program = |arguments: &[&str]| {
        Program::new(&[&["loadtest"], arguments].concat()).file("a.toml", config)
    };
    let finished = program(&["try", "a.toml", "--demo"]).run().expect_code(0);
    assert!(finished.stdout.contains("\"ann\""), "{finished}");
    let finished = program(&["run", "--config", "a.toml", "--demo"]).run();
    assert!(
        finished
            .expect_code(2)
            .stderr
            .contains("1 row for 10 users")
    );
}
