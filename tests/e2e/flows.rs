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
