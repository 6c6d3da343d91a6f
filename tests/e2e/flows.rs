//! Steps that depend on each other: what one call is answered with goes into the
//! next, in the same session.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fake_server::{Connection, FakeServer, Next, Request};
use crate::load_run::{LoadRun, causes, list, load_run};
use crate::program::Finished;

const CODE_MODE: &str = "[[scenario]]\ntype = \"code_mode\"\ncode = \"{ \\\"user\\\" }\"\n";

fn run(server: &FakeServer) -> Finished {
    let arguments = ["--config=a.toml", "--vus=2", "--iterations=6"];
    load_run(&server.url(), &arguments)
        .file("a.toml", CODE_MODE)
        .run()
        .expect_code(0)
}

/// The arguments of the calls of a tool, in the order received.
fn arguments_of(server: &FakeServer, tool: &str) -> Vec<Value> {
    let calls = server.log_of("tools/call").into_iter();
    let params = calls.map(|call| call.message()["params"].clone());
    params
        .filter(|params| params["name"] == tool)
        .map(|params| params["arguments"].clone())
        .collect()
}

fn is_of(request: &Request, tool: &str) -> bool {
    request.message()["params"]["name"] == tool
}

fn rows(report: &Value) -> Vec<String> {
    let row = |row: &Value| format!("{} {}", row["subject"], row["figures"]["ok"]).replace('"', "");
    list(&report["operations"]).iter().map(row).collect()
}

/// The token of each `validate_code` goes into one `execute_code` of its session.
#[test]
fn code_mode_executes_what_was_approved() {
    let forms: [fn(&str) -> Value; 3] = [
        |token| json!({"content": [], "structuredContent": {"approval_token": token}}),
        |token| json!({"content": [], "approval_token": token}),
        |token| {
            let text = json!({"approval_token": token}).to_string();
            json!({"content": [{"type": "text", "text": text}]})
        },
    ];
    for form in forms {
        let server = FakeServer::on_call(move |request, connection| {
            if is_of(request, "execute_code") {
                return connection.done(request);
            }
            let session = request.header("mcp-session-id").unwrap_or_default();
            let token = format!("{session} \"\u{e9}\n{}", request.message()["id"]);
            connection.json(&request.result(&form(&token)))
        });
        let finished = run(&server);
        let report = finished.checked_report();
        assert_eq!(
            rows(&report),
            ["validate_code 6", "execute_code 6"],
            "{finished}"
        );
        let validated = arguments_of(&server, "validate_code");
        assert_eq!(
            validated,
            vec![json!({"code": "{ \"user\" }", "format": "graphql"}); 6]
        );
        let mut tokens = Vec::new();
        for call in server.log_of("tools/call") {
            if !is_of(&call, "execute_code") {
                continue;
            }
            let message = call.message();
            let mut arguments = message["params"]["arguments"].clone();
            let token = arguments["approval_token"].take();
            assert_eq!(
                arguments,
                json!({"code": "{ \"user\" }", "format": "graphql", "approval_token": null})
            );
            let before = message["id"].as_u64().expect("a number") - 1;
            let session = call.header("mcp-session-id").expect("a session");
            assert_eq!(token, format!("{session} \"\u{e9}\n{before}"));
            tokens.push(token.to_string());
        }
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), 6, "{tokens:?}");
    }
}

/// As with several calls of one step, each has its own behind it.
#[test]
fn a_name_of_code_mode_is_that_of_both_calls() {
    let server = FakeServer::on_call(|request, connection| match is_of(request, "execute_code") {
        true => connection.done(request),
        false => connection.json(&request.result(&json!({"approval_token": "x"}))),
    });
    let config = format!("{CODE_MODE}name = \"report\"\n");
    let arguments = ["--config=a.toml", "--iterations=2", "--vus=1"];
    let run = load_run(&server.url(), &arguments).file("a.toml", &config);
    let report = run.run().expect_code(0).checked_report();
    let names: Vec<&Value> = list(&report["operations"])
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(
        names,
        [
            "report: tools/call validate_code",
            "report: tools/call execute_code"
        ]
    );
}

/// A step that fails ends the iteration: nothing is executed without an approval.
#[test]
fn without_an_approval_nothing_is_executed() {
    type Answer = fn(&Request, &mut Connection) -> Next;
    let ways: [(Answer, &str); 3] = [
        (
            |request, connection| connection.done(request),
            "extract.no_match",
        ),
        (
            |request, connection| {
                let token = "x".repeat(100_000);
                connection.json(&request.result(&json!({"approval_token": token})))
            },
            "extract.no_match",
        ),
        (
            |request, connection| {
                connection.json(&request.result(&json!({"isError": true, "approval_token": "x"})))
            },
            "tool.is_error",
        ),
    ];
    for (answer, cause) in ways {
        let server = FakeServer::on_call(answer);
        let finished = load_run(
            &server.url(),
            &["--config=a.toml", "--vus=2", "--iterations=6"],
        )
        .file("a.toml", CODE_MODE)
        .run();
        let report = finished.checked_report();
        let expected = [(cause.to_string(), 6)];
        assert_eq!(causes(&report["totals"]), expected, "{finished}");
        assert_eq!(arguments_of(&server, "execute_code"), [] as [Value; 0]);
        if cause == "extract.no_match" {
            let told = report["failures"][0]["examples"].to_string();
            assert!(told.contains("`approval_token`: "), "{told}");
        }
    }
}

/// In the modern era, a marked argument is mirrored into a header, and a retry with
/// the server's state sends the same once more.
#[test]
fn a_value_goes_into_headers_and_retries_too() {
    let server = FakeServer::start(|request, connection| {
        let tool = |name: &str, marked: &str| {
            json!({"name": name, "inputSchema": {"type": "object", "properties": {
                marked: {"type": "string", "x-mcp-header": "Marked"}}}})
        };
        let params = &request.message()["params"];
        let answer = match (request.method().as_str(), params["name"].as_str()) {
            ("server/discover", _) => json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "fake", "version": "1"},
            }),
            ("tools/list", _) => json!({"resultType": "complete", "tools": [
                tool("validate_code", "format"), tool("execute_code", "approval_token")]}),
            (_, Some("execute_code")) if params.get("requestState").is_none() => {
                let token = &params["arguments"]["approval_token"];
                json!({"resultType": "input_required", "requestState": {"of": token}})
            }
            _ => {
                let token = format!("token {}\u{e9}", request.message()["id"]);
                json!({"resultType": "complete", "content": [], "approval_token": token})
            }
        };
        connection.json(&request.result(&answer))
    });
    let finished = run(&server);
    let report = finished.checked_report();
    assert_eq!(
        rows(&report),
        ["validate_code 6", "execute_code 6"],
        "{finished}"
    );
    assert_eq!(report["counters"]["round_trips"], 6, "{report:#}");
    let mut n_retries = 0;
    for call in server.log_of("tools/call") {
        let params = &call.message()["params"];
        let marked = call
            .header("mcp-param-marked")
            .expect("a mirrored argument");
        if is_of(&call, "validate_code") {
            assert_eq!(marked, "graphql");
            continue;
        }
        let token = params["arguments"]["approval_token"].as_str();
        // The token is not plain ASCII.
        let wrapped = marked
            .strip_prefix("=?base64?")
            .and_then(|it| it.strip_suffix("?="));
        let decoded = STANDARD.decode(wrapped.expect("base64")).expect("base64");
        assert_eq!(std::str::from_utf8(&decoded).ok(), token);
        if let Some(state) = params.get("requestState") {
            n_retries += 1;
            assert_eq!(state["of"].as_str(), token);
        }
    }
    assert_eq!(n_retries, 6);
}

fn run_config(server: &FakeServer, arguments: &[&str], config: &str) -> Finished {
    let all = [&["--config=a.toml", "--no-preflight"], arguments].concat();
    load_run(&server.url(), &all).file("a.toml", config).run()
}

fn count_of(server: &FakeServer, tool: &str) -> usize {
    arguments_of(server, tool).len()
}

/// Once a session, repeated, at once; each row of data as often as the others, whatever
/// the workers; the numbers of iterations are those of the whole run.
#[test]
fn steps_are_done_as_often_as_they_say_with_each_row_in_turn() {
    let server = FakeServer::on_call(|request, connection| {
        let session = request.header("mcp-session-id").unwrap_or_default();
        connection.json(&request.result(&json!({"content": [], "token": session})))
    });
    let config = r#"
[[flow]]
name = "all"
[[flow.step]]
name = "sign in"
once = "session"
type = "tools/call"
tool = "login"
extract = { token = "$.token" }
[[flow.step]]
name = "twice"
repeat = 2
type = "tools/call"
tool = "repeated"
arguments = { token = "{{token}}", name = "{{data.users.name}}", big = "{{data.users.big}}" }
[[flow.step]]
name = "at once"
[[flow.step.call]]
type = "tools/call"
tool = "left"
arguments = { n = "{{iteration}}", text = "{{iteration}} of {{vu}}, {{{{" }
[[flow.step.call]]
type = "tools/call"
tool = "right"
[data.users]
file = "users.jsonl"
at_end = "repeat"
"#;
    let rows_of_data = "{\"name\": \"a\", \"big\": 12345678901234567890123}\n\n\
                        {\"name\": \"{{vu}} \\\"b\\\"\", \"big\": 1.10}\n{\"name\": \"c\", \"big\": null}\n";
    let arguments = [
        "--config=a.toml",
        "--no-preflight",
        "--vus=3",
        "--workers=2",
        "--iterations=30",
    ];
    let finished = load_run(&server.url(), &arguments)
        .file("a.toml", config)
        .file("users.jsonl", rows_of_data)
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    let n_sessions = report["counters"]["sessions_opened"]
        .as_u64()
        .expect("a count") as usize;
    assert_eq!(count_of(&server, "login"), n_sessions, "{finished}");
    assert_eq!(count_of(&server, "left"), 30);
    assert_eq!(count_of(&server, "right"), 30);
    let repeated: Vec<String> = server
        .log_of("tools/call")
        .iter()
        .filter(|call| is_of(call, "repeated"))
        .map(|call| {
            let text = call.body.clone();
            let token = call.header("mcp-session-id").expect("a session");
            assert!(text.contains(&format!("\"token\":\"{token}\"")), "{text}");
            let at = text.find("\"name\":\"repeated\"").map_or(0, |at| at + 10);
            let rest = &text[at..];
            let start = rest.find("\"name\"").unwrap_or_default();
            rest[start..].to_string()
        })
        .collect();
    // As they were written: digits, types, and nothing expanded once more.
    for row in [
        r#""name":"a","big":12345678901234567890123"#,
        r#""name":"{{vu}} \"b\"","big":1.10"#,
        r#""name":"c","big":null"#,
    ] {
        let n = repeated.iter().filter(|text| text.starts_with(row)).count();
        assert_eq!(n, 20, "{row}: {repeated:#?}");
    }
    let mut numbers: Vec<u64> = arguments_of(&server, "left")
        .iter()
        .map(|arguments| {
            let n = arguments["n"].as_u64().expect("a number");
            let text = arguments["text"].as_str().expect("a text");
            assert!(
                text.starts_with(&format!("{n} of ")) && text.ends_with(", {{"),
                "{text}"
            );
            n
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=30).collect::<Vec<u64>>());
    let flow = &report["flows"][0];
    assert_eq!(
        (&flow["name"], &flow["figures"]["ok"]),
        (&json!("all"), &json!(30))
    );
    // No two rows are called the same.
    let labels: Vec<&Value> = list(&report["operations"])
        .iter()
        .map(|row| &row["label"])
        .collect();
    let expected = [
        "all: sign in",
        "all: twice",
        "all: at once: tools/call left",
        "all: at once: tools/call right",
    ];
    assert_eq!(labels, expected);
}

/// Polls until the answer is the one that is awaited, and fails where it never comes.
#[test]
fn a_step_polls_until_its_answer_comes() {
    let server = FakeServer::on_call(|request, connection| {
        let id = request.message()["id"].as_u64().unwrap_or_default();
        let state = if id % 3 == 0 { "done" } else { "pending" };
        connection.json(&request.result(&json!({"content": [], "state": state})))
    });
    let config = |awaited: &str| {
        format!(
            "[[flow]]\nname = \"poll\"\n[[flow.step]]\ntype = \"tools/call\"\ntool = \"job\"\n\
             until = {{ path = \"$.state\", equals = \"{awaited}\", every = \"1ms\", at_most = 4 }}\n"
        )
    };
    let load = ["--vus=1", "--iterations=5"];
    let report = run_config(&server, &load, &config("done"))
        .expect_code(0)
        .checked_report();
    assert_eq!(report["totals"]["failed"], 0, "{report:#}");
    assert_eq!(report["flows"][0]["figures"]["ok"], 5);
    let before = count_of(&server, "job");
    assert!((10..=20).contains(&before), "{before}");
    let finished = run_config(&server, &load, &config("never"));
    let report = finished.checked_report();
    assert_eq!(count_of(&server, "job") - before, 20);
    assert_eq!(
        causes(&report["totals"]),
        [("expect.equals".to_string(), 5)],
        "{finished}"
    );
}

/// What happens where a step fails: the iteration ends, goes on, or the session ends.
#[test]
fn a_failed_step_ends_what_it_should() {
    for (on_error, n_second, reopens) in [
        ("end-iteration", 0, false),
        ("continue", 6, false),
        ("end-session", 0, true),
    ] {
        let server = FakeServer::on_call(|request, connection| {
            if is_of(request, "first") {
                let failed = json!({"content": [], "isError": true});
                return connection.json(&request.result(&failed));
            }
            connection.done(request)
        });
        let config = format!(
            "[[flow]]\nname = \"f\"\non_error = \"{on_error}\"\n\
             [[flow.step]]\ntype = \"tools/call\"\ntool = \"first\"\n\
             [[flow.step]]\ntype = \"tools/call\"\ntool = \"second\"\n"
        );
        let finished = run_config(&server, &["--vus=1", "--iterations=6"], &config);
        let report = finished.checked_report();
        assert_eq!(count_of(&server, "first"), 6, "{finished}");
        assert_eq!(
            count_of(&server, "second"),
            n_second,
            "{on_error}: {finished}"
        );
        let n_opened = report["counters"]["sessions_opened"]
            .as_u64()
            .expect("a count");
        assert_eq!(n_opened > 1, reopens, "{on_error}: {finished}");
        assert_eq!(report["flows"][0]["figures"]["failed"], 6, "{finished}");
    }
}

/// Where a flow goes on after a failure, a step without its value is not sent with
/// something else in its place: it fails by a cause of its own.
#[test]
fn a_step_whose_value_is_missing_is_not_sent() {
    let server = FakeServer::on_call(|request, connection| {
        let is_first = request.message()["params"]["arguments"]["n"] == 1;
        match is_first {
            true => connection.json(&request.result(&json!({"content": [], "tok": "t1"}))),
            false => connection.done(request),
        }
    });
    let config = r#"
[[flow]]
name = "f"
on_error = "continue"
[[flow.step]]
type = "tools/call"
tool = "brings"
arguments = { n = "{{iteration}}" }
extract = { tok = "$.tok" }
[[flow.step]]
type = "tools/call"
tool = "other"
[[flow.step]]
name = "needs"
[[flow.step.call]]
type = "tools/call"
tool = "left"
arguments = { t = "x{{tok}}" }
[[flow.step.call]]
type = "tools/call"
tool = "right"
"#;
    let finished = run_config(&server, &["--vus=1", "--iterations=4"], config);
    let report = finished.checked_report();
    assert_eq!(count_of(&server, "other"), 4, "{finished}");
    assert_eq!(arguments_of(&server, "left"), [json!({"t": "xt1"})]);
    assert_eq!(count_of(&server, "right"), 1, "{finished}");
    let mut failed = causes(&report["totals"]);
    failed.sort_unstable();
    let expected = [("extract.no_match", 3), ("template.no_value", 6)];
    let expected = expected.map(|(id, n)| (id.to_string(), n));
    assert_eq!(failed, expected, "{finished}");
    assert!(
        finished.stdout.contains("no answer brought `{{tok}}`"),
        "{finished}"
    );
    assert_eq!(report["flows"][0]["figures"]["failed"], 3, "{finished}");
    assert_eq!(report["turns"][0]["figures"]["failed"], 3, "{finished}");
}

/// A failure that is right is a success, and a success that is not is a failure.
#[test]
fn what_is_awaited_decides() {
    let server = FakeServer::on_call(
        |request, connection| match &request.message()["params"]["name"] {
            name if name == "error" => {
                let error = json!({"code": -32602, "message": "no"});
                connection.json(&request.error(&error))
            }
            name if name == "status" => connection.answer(418, &[], "teapot"),
            name if name == "tool" => {
                connection.json(&request.result(&json!({"content": [], "isError": true})))
            }
            _ => connection
                .json(&request.result(&json!({"content": [{"type": "text", "text": "hello"}]}))),
        },
    );
    for (tool, expect, cause) in [
        ("error", "code = -32602", None),
        ("error", "code = -1", Some("jsonrpc.-32602")),
        ("status", "status = 418", None),
        ("status", "status = 418, contains = \"teapot\"", None),
        (
            "status",
            "status = 418, contains = \"tea \"",
            Some("expect.contains"),
        ),
        ("tool", "is_error = true", None),
        ("fine", "is_error = true", Some("expect.is_error")),
        ("fine", "contains = \"hello\"", None),
        ("fine", "contains = \"bye\"", Some("expect.contains")),
        ("fine", "matches = \"he(l+)o\"", None),
        ("fine", "matches = \"^x\"", Some("expect.matches")),
        (
            "fine",
            "path = \"$.content[0].text\", equals = \"hello\"",
            None,
        ),
        (
            "fine",
            "path = \"$.content[0].text\", equals = 5",
            Some("expect.equals"),
        ),
        ("fine", "max_bytes = 5", Some("expect.max_bytes")),
    ] {
        let config = format!(
            "[[scenario]]\ntype = \"tools/call\"\ntool = \"{tool}\"\nexpect = {{ {expect} }}\n"
        );
        let finished = run_config(&server, &["--vus=1", "--iterations=3"], &config);
        let report = finished.checked_report();
        let expected: Vec<(String, u64)> =
            cause.map(|id| (id.to_string(), 3)).into_iter().collect();
        assert_eq!(
            causes(&report["totals"]),
            expected,
            "{tool}, {expect}: {finished}"
        );
    }
}

/// What a user takes out of an answer and calls a secret is in nothing that is written,
/// whatever the server says again of it.
#[test]
fn extracted_secrets_are_written_nowhere() {
    const SECRET: &str = "tok-8f2c1d-\u{e9}-very-secret";
    let server = FakeServer::on_call(|request, connection| {
        if is_of(request, "login") {
            return connection.json(&request.result(&json!({"content": [], "handle": SECRET})));
        }
        let error = json!({"code": -32000, "message": format!("bad {SECRET} and again {SECRET}")});
        connection.json(&request.error(&error))
    });
    let config = r#"
[[flow]]
name = "f"
on_error = "continue"
[[flow.step]]
type = "tools/call"
tool = "login"
extract = { handle = "$.handle" }
secret = ["handle"]
[[flow.step]]
type = "tools/call"
tool = "use"
arguments = { handle = "{{handle}}" }
[[flow.step]]
type = "tools/call"
tool = "login"
expect = { contains = "what is not there" }
"#;
    let finished = run_config(&server, &["--vus=2", "--iterations=6"], config);
    let report = finished.checked_report();
    assert_eq!(
        arguments_of(&server, "use"),
        vec![json!({"handle": SECRET}); 6]
    );
    assert_eq!(report["totals"]["failed"], 12, "{finished}");
    for text in [
        report.to_string(),
        finished.stdout.clone(),
        finished.stderr.clone(),
    ] {
        assert!(!text.contains("tok-8f2c1d"), "{text}");
        assert!(!text.contains("very-secret"), "{text}");
    }
}

/// Headers that are templates are filled for each session; one that HTTP does not allow
/// is not sent, and counted as what it is.
#[test]
fn headers_are_filled_once_for_each_session() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let config = |name: &str| {
        format!(
            "[[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\n[headers]\nX-User = \"u-{{{{vu}}}}-{{{{data.users.name}}}}\"\n\
             [data.users]\nrows = [{{ name = \"ann\" }}, {{ name = {name} }}]\nmode = \"sequential\"\nat_end = \"repeat\"\n"
        )
    };
    run_config(&server, &["--vus=3", "--iterations=12"], &config("\"bob\"")).expect_code(0);
    let mut users: Vec<String> = server
        .log_of("tools/call")
        .iter()
        .map(|call| call.header("x-user").expect("the header").to_string())
        .collect();
    users.sort_unstable();
    users.dedup();
    let expected = ["u-1-ann", "u-2-bob", "u-3-ann"];
    assert!(
        users.iter().all(|user| expected.contains(&user.as_str())),
        "{users:?}"
    );
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    // The first of them is used before the load, too.
    let bad = config(r#""a\r\nX-Evil: 1""#);
    let finished = run_config(&server, &["--vus=2", "--duration=300ms"], &bad);
    let calls = server.log();
    assert!(
        calls.iter().all(|call| call.header("x-evil").is_none()),
        "{finished}"
    );
    let of_users = calls.iter().filter_map(|call| call.header("x-user"));
    assert!(
        of_users.into_iter().all(|user| user == "u-1-ann"),
        "{finished}"
    );
    let told = format!("{}{}", finished.stdout, finished.stderr);
    assert!(told.contains("template.bad_header"), "{finished}");
    // Whoever of them it is: the server is found with the headers of another.
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let bad_first = bad
        .replace("\"ann\"", "\"a\\nb\"")
        .replace(r"a\r\nX-Evil: 1", "bob");
    let finished = run_config(&server, &["--vus=2", "--duration=300ms"], &bad_first);
    let told = format!("{}{}", finished.stdout, finished.stderr);
    assert!(told.contains("template.bad_header"), "{finished}");
    let calls = server.log();
    let mut of_users = calls.iter().filter_map(|call| call.header("x-user"));
    assert!(of_users.all(|user| user == "u-2-bob"), "{finished}");
    let all_bad = bad.replace("\"ann\"", "\"a\\nb\"");
    let finished = run_config(&server, &["--vus=2", "--duration=300ms"], &all_bad).expect_code(2);
    for told in ["`X-User`", "`{{data.users.name}}`", "first row"] {
        assert!(finished.stderr.contains(told), "{finished}");
    }
}

/// A run that ends before its time since a data set has no more rows says so.
#[test]
fn the_end_of_the_data_is_told() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\narguments = { n = \"{{data.d.n}}\" }\n\
                  [data.d]\nrows = [{ n = 1 }, { n = 2 }, { n = 3 }]\n";
    let told = "the run ended with its data: 3 rows of the data set `d` are used";
    for (iterations, is_told) in [("--iterations=100", true), ("--iterations=2", false)] {
        let finished = run_config(&server, &["--vus=2", iterations], config).expect_code(0);
        assert_eq!(finished.stdout.contains(told), is_told, "{finished}");
        let ended = &finished.checked_report()["run"]["ended"];
        assert_eq!(ended, ["iterations", "data"][usize::from(is_told)]);
    }
}

/// The end of the last iterations is awaited, whatever steps they still have to do.
#[test]
fn iterations_that_have_begun_are_done_to_their_end() {
    let server = FakeServer::on_call(|request, connection| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        connection.done(request)
    });
    let step = |n: u32| format!("[[flow.step]]\ntype = \"tools/call\"\ntool = \"t{n}\"\n");
    let steps: Vec<String> = (0..10).map(step).collect();
    let config = format!("[[flow]]\nname = \"f\"\n{}", steps.concat());
    let finished = run_config(&server, &["--vus=2", "--iterations=2"], &config).expect_code(0);
    let report = finished.checked_report();
    assert_eq!(server.count("tools/call"), 20, "{finished}");
    assert_eq!(report["counters"]["iterations_completed"], 2, "{finished}");
    assert_eq!(report["run"]["ended"], "iterations");
}

/// Users think after their last step when the load ends: what they had to do is done.
#[test]
fn a_pause_after_the_last_step_cuts_no_iteration_off() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let config = r#"
[[flow]]
name = "f"
[[flow.step]]
type = "tools/call"
tool = "first"
[[flow.step]]
type = "tools/call"
tool = "last"
think = "30s"
"#;
    let finished = run_config(&server, &["--vus=3", "--duration=1s"], config).expect_code(0);
    let report = finished.checked_report();
    let figures = &report["flows"][0]["figures"];
    let of = |name: &str| figures[name].as_u64();
    let all = (Some(3), Some(3), Some(0));
    assert_eq!(
        (of("started"), of("ok"), of("cancelled")),
        all,
        "{finished}"
    );
    assert_eq!(report["counters"]["iterations_completed"], 3, "{finished}");
}
