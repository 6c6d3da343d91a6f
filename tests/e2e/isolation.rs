//! Servers that give users what is others' (`isolation`): what they did is what is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use pmcp_loadtest::demo::{AnswerForm, DemoLatency, DemoOptions};
use serde_json::{Value, json};

use crate::demo::{MS, demo, quick_demo};
use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, causes, count, load_run};
use crate::program::Finished;

const ECHO: &str = r#"
[[scenario]]
type = "tools/call"
tool = "echo"
arguments = { text = "hello" }
isolation = true
"#;

/// The isolation of a run with this config, checked: all that failed did so for it.
fn isolation_of(finished: &Finished) -> Value {
    let report = finished.checked_report();
    let found = report["isolation"].clone();
    let n_foreign = count(&found["foreign"]);
    let expected = match n_foreign {
        0 => Vec::new(),
        n => vec![("isolation.foreign".to_string(), n)],
    };
    assert_eq!(causes(&report["totals"]), expected, "{report:#}");
    assert_eq!(count(&report["totals"]["failed"]), n_foreign);
    found
}

/// Each answer that the demo mixes up is told, and none else, whatever the form of the
/// answers and the era.
#[test]
fn a_server_that_mixes_clients_up_is_found_out() {
    for (protocol, answers) in [
        ("legacy", AnswerForm::Json),
        ("legacy", AnswerForm::Mixed),
        ("modern", AnswerForm::Sse),
    ] {
        let server = demo(DemoOptions {
            latency: DemoLatency::Fixed(2 * MS),
            mix_share: 0.05,
            answers,
            ..DemoOptions::default()
        });
        let protocol = format!("--protocol={protocol}");
        let arguments = ["--config=a.toml", "--vus=8", "--iterations=800", &protocol];
        let run = load_run(&server.url(), &arguments).file("a.toml", ECHO);
        let finished = run.run().expect_code(3);
        let n_mixed = server.stop().mixed;
        assert!(n_mixed > 0, "{finished}");
        let found = isolation_of(&finished);
        assert_eq!(count(&found["foreign"]), n_mixed, "{found}");
        assert_eq!(count(&found["marked"]), 800, "{found}");
        assert_eq!(count(&found["returned"]), 800 - n_mixed, "{found}");
        let told = format!("{n_mixed} answers had another user's marker");
        assert!(finished.stdout.contains(&told), "{finished}");
        assert_eq!(first_hint(&finished), "not_isolated");
        assert!(
            finished.stderr.contains("answers held what was another"),
            "{finished}"
        );
        check_evidence(&finished.checked_report());
    }
}

/// The advice that is told before all other.
fn first_hint(finished: &Finished) -> String {
    let report = finished.report();
    let id = report["advice"][0]["id"].as_str();
    id.expect("a piece of advice").to_string()
}

/// The exchange has both markers, and the message says whose the other one was.
fn check_evidence(report: &Value) {
    let exchange = &report["evidence"][0];
    assert_eq!(exchange["cause"], "isolation.foreign", "{report:#}");
    let text = |key: &str| exchange[key].as_str().expect("a text").to_string();
    let user_in = |text: &str| {
        let at = text.find("ltmark").expect("a marker") + "ltmark".len() + 8;
        u32::from_str_radix(&text[at..at + 8], 16).expect("a number")
    };
    let (sender, other) = (user_in(&text("request")), user_in(&text("answer")));
    assert_ne!(sender, other, "{exchange:#}");
    let whose = format!("the answer has the marker of user {other}: that of call ");
    assert!(text("message").starts_with(&whose), "{exchange:#}");
    assert!(text("request").contains("\"hello ltmark"), "{exchange:#}");
}

#[test]
fn a_server_that_keeps_clients_apart_passes() {
    let server = quick_demo();
    // In a prompt, by name, and by hand.
    let config = format!(
        "{ECHO}{}",
        r#"
[[flow]]
name = "f"
[[flow.step]]
type = "prompts/get"
prompt = "summarize"
arguments = { topic = "tea" }
isolation = true
[[flow.step]]
type = "tools/call"
tool = "echo"
isolation = "text"
[[flow.step]]
type = "tools/call"
tool = "echo"
arguments = { text = "<{{isolation.marker}}>" }
"#
    );
    let arguments = ["--config=a.toml", "--vus=4", "--iterations=200"];
    let run = load_run(&server.url(), &arguments).file("a.toml", &config);
    let finished = run.run().expect_code(0);
    let found = isolation_of(&finished);
    let started = &finished.checked_report()["totals"]["started"];
    assert_eq!(found["marked"], *started, "{found}");
    assert_eq!(found["returned"], *started, "{found}");
    assert_eq!(count(&found["other_runs"]), 0, "{found}");
    let told = "no answer had another user's marker";
    assert!(finished.stdout.contains(told), "{finished}");
    // One who is not asked to look finds nothing, and says nothing.
    let finished = load_run(&server.url(), &["--vus=1", "--iterations=2"]).run();
    assert_eq!(finished.expect_code(0).report()["isolation"], Value::Null);
}

/// Gives away the text of the call before, in a place that the tool's name says. All texts
/// are kept, in their order.
fn leak(request: &Request, connection: &mut Connection, texts: &Mutex<Vec<String>>) -> Next {
    if request.method() != "tools/call" {
        return legacy(request, connection);
    }
    let message = request.message();
    let name = message["params"]["name"].as_str().unwrap_or_default();
    let text = message["params"]["arguments"]["text"].as_str();
    let own = text.unwrap_or_default().to_string();
    let others = {
        let mut texts = texts.lock().expect("the texts");
        texts.push(own);
        let before = texts.len().checked_sub(2);
        before.map_or_else(String::new, |at| texts[at].clone())
    };
    let done = request.result(&json!({"content": []}));
    match name {
        "error" => connection.answer(500, &[], &others),
        "beside" => {
            let params = json!({"level": "info", "data": others});
            let notice = json!({
                "jsonrpc": "2.0", "method": "notifications/message", "params": params,
            });
            connection.events(&format!("data: {notice}\n\ndata: {done}\n\n"))
        }
        "comment" => {
            connection.open_stream();
            // A piece may end anywhere.
            let (first, second) = others.split_at(others.len() / 2);
            connection.chunk(&format!(": {first}"));
            connection.chunk(&format!("{second}\n\ndata: {done}\n\n"));
            connection.end_stream()
        }
        "behind" => connection.events(&format!("data: {done}\n\n: {others}\n\n")),
        _ => connection.json(&request.result(&json!({"content": [], "_meta": {"x": others}}))),
    }
}

/// Wherever it stands: in a result, in an error, in a notification beside the answer, in
/// a comment, behind the answer.
#[test]
fn a_marker_is_found_wherever_it_is() {
    for place in ["result", "error", "beside", "comment", "behind"] {
        let texts = Arc::new(Mutex::new(Vec::new()));
        let of_server = Arc::clone(&texts);
        let server =
            FakeServer::start(move |request, connection| leak(request, connection, &of_server));
        let config = format!(
            "[[scenario]]\ntype = \"tools/call\"\ntool = \"{place}\"\nisolation = \"text\"\n"
        );
        let arguments = [
            "--config=a.toml",
            "--vus=3",
            "--iterations=60",
            "--no-preflight",
        ];
        let run = load_run(&server.url(), &arguments).file("a.toml", &config);
        let finished = run.run();
        let report = finished.checked_report();
        let texts = texts.lock().expect("the texts");
        let users: Vec<&str> = texts.iter().map(|text| &text[14..22]).collect();
        let n_foreign = users.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(n_foreign > 0, "{place}: {users:?}");
        let found = count(&report["isolation"]["foreign"]);
        assert_eq!(found, n_foreign as u64, "{place}: {finished}");
    }
}

/// An answer that comes on the session's stream is the call's, and so is what it gives away.
#[test]
fn a_marker_in_an_answer_on_the_stream_is_the_call_s() {
    let texts = Arc::new(Mutex::new(Vec::new()));
    let of_server = Arc::clone(&texts);
    let server = crate::listen::mailing(move |request| {
        let text = request.message()["params"]["arguments"]["text"].clone();
        let mut texts = of_server.lock().expect("the texts");
        texts.push(text.as_str().unwrap_or_default().to_string());
        let shown = texts[texts.len().saturating_sub(2)].clone();
        request.reply(&shown)
    });
    let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\nisolation = \"text\"\n";
    let arguments = [
        "--config=a.toml",
        "--vus=2",
        "--iterations=30",
        "--no-preflight",
        "--timeout=5s",
    ];
    let run = load_run(&server.url(), &arguments).file("a.toml", config);
    let finished = run.run();
    let texts = texts.lock().expect("the texts");
    let users: Vec<&str> = texts.iter().map(|text| &text[14..22]).collect();
    let n_foreign = users.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(n_foreign > 0, "{users:?}");
    let found = isolation_of(&finished);
    assert_eq!(count(&found["foreign"]), n_foreign as u64, "{finished}");
    assert_eq!(count(&found["returned"]), 30 - n_foreign as u64, "{found}");
}

/// What a server tells on a session's stream of another's calls is told each time that it
/// comes, and not the stream once; no call has failed for it.
#[test]
fn each_marker_on_a_stream_that_goes_on_is_told() {
    let session_of = |request: &Request| {
        let id = request.header("mcp-session-id").unwrap_or_default();
        id.to_string()
    };
    let texts: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let (told, n_sent) = (Arc::clone(&texts), Arc::new(AtomicU64::new(0)));
    let sent = Arc::clone(&n_sent);
    let server = crate::listen::listening(
        move |_, request, connection| {
            connection.open_stream();
            let session = session_of(request);
            let mut at = 0;
            loop {
                let mut other = None;
                connection.wait_until_or_gone(|| {
                    let texts = told.lock().expect("the texts");
                    let found = texts.iter().skip(at).position(|(of, _)| *of != session);
                    other = found.map(|found| texts[at + found].1.clone());
                    at += found.map_or(0, |found| found + 1);
                    other.is_some()
                });
                let Some(other) = other else {
                    return Next::Close;
                };
                let params = json!({"level": "info", "data": other});
                let notice = json!({
                    "jsonrpc": "2.0", "method": "notifications/message", "params": params,
                });
                // Both come in one read, as a rule.
                sent.fetch_add(2, Ordering::SeqCst);
                connection.chunk(&format!("data: {notice}\n\ndata: {notice}\n\n"));
            }
        },
        move |request, connection| {
            let text = request.message()["params"]["arguments"]["text"].clone();
            let text = text.as_str().unwrap_or_default().to_string();
            texts
                .lock()
                .expect("the texts")
                .push((session_of(request), text));
            connection.done(request)
        },
    );
    let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\nisolation = \"text\"\n";
    let arguments = [
        "--config=a.toml",
        "--vus=2",
        "--iterations=20",
        "--think=50ms",
        "--no-preflight",
    ];
    let run = load_run(&server.url(), &arguments).file("a.toml", config);
    let finished = run.run().expect_code(3);
    let report = finished.checked_report();
    let found = count(&report["isolation"]["foreign"]);
    let n_sent = n_sent.load(Ordering::SeqCst);
    assert!(
        (3..=n_sent).contains(&found) && found.is_multiple_of(2),
        "{found} of {n_sent}: {finished}"
    );
    assert_eq!(count(&report["totals"]["failed"]), 0, "{finished}");
    assert!(
        finished.stdout.contains(", no failed calls; "),
        "{finished}"
    );
    let broken = &report["listen"]["broken_by"][0];
    assert_eq!(broken["id"], "isolation.foreign", "{report:#}");
    assert!(broken["examples"][0].is_string(), "{report:#}");
}

#[test]
fn a_marker_without_a_place_is_refused_before_any_call() {
    let server = quick_demo();
    let check = |config: &str, texts: &[&str]| {
        let arguments = ["--config=a.toml", "--vus=2", "--iterations=8"];
        let run = load_run(&server.url(), &arguments).file("a.toml", config);
        let finished = run.run().expect_code(2);
        for text in texts {
            assert!(finished.stderr.contains(text), "{text}: {finished}");
        }
    };
    // Numbers only; a secret only; what is not listed.
    check(
        r#"
        [[scenario]]
        type = "tools/call"
        tool = "add"
        arguments = { a = 1, b = 2 }
        isolation = true
        [[scenario]]
        type = "tools/call"
        tool = "whoami"
        arguments = { token = "x" }
        isolation = true
        "#,
        &[
            "a.toml:6:21: scenario[1].isolation: `isolation` finds no place: the tool has no \
             argument that takes any text",
            "a.toml:11:21: scenario[2].isolation: `isolation` finds no place",
            "isolation = \"text\"",
        ],
    );
    check(
        r#"
        headers = { X-A = "{{isolation.marker}}" }
        [[scenario]]
        type = "tools/call"
        tool = "add"
        arguments = { a = 1, b = 2 }
        isolation = "a"
        [[scenario]]
        type = "tools/list"
        isolation = true
        [[scenario]]
        type = "request"
        method = "tasks/list"
        isolation = true
        [[scenario]]
        type = "tools/call"
        tool = "echo"
        isolation = "a..b"
        "#,
        &[
            "leads to a value that is not text",
            "names none of the `params`",
            "the name of an argument such as `text` or `customer.note`",
            "isolation",
        ],
    );
    check(
        r#"
        [[scenario]]
        type = "tools/call"
        tool = "echo"
        arguments = { text = "x" }
        isolation = "txt"
        [[scenario]]
        type = "prompts/get"
        prompt = "summarize"
        arguments = { topic = "tea" }
        isolation = "topics"
        "#,
        &[
            "`isolation` names an argument that the tool `echo` does not have: `txt`; did you mean `text`?",
            "the prompt `summarize` does not have: `topics`; did you mean `topic`?",
        ],
    );
    assert_eq!(server.stats().tool_calls, 0);
}

/// What never comes back shows nothing, and that is said.
#[test]
fn a_run_that_could_find_nothing_says_so() {
    let server = quick_demo();
    let config = r#"
        [[scenario]]
        type = "tools/call"
        tool = "login"
        arguments = { user = "ada", password = "x1y2z3w4" }
        isolation = true
    "#;
    let arguments = ["--config=a.toml", "--vus=2", "--iterations=20"];
    let run = load_run(&server.url(), &arguments).file("a.toml", config);
    let finished = run.run().expect_code(0);
    let found = isolation_of(&finished);
    assert_eq!(
        (count(&found["marked"]), count(&found["returned"])),
        (20, 0)
    );
    let told = "not tested: 0 of 20 calls";
    assert!(finished.stdout.contains(told), "{finished}");
    assert_eq!(first_hint(&finished), "isolation_unseen");
}
