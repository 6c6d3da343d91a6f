//! Exact bytes and headers of what is sent in both eras, and how openings are
//! read.

use proptest::prelude::*;
use serde_json::json;

use super::super::fault::FaultKind;
use super::super::lists::read_page;
use super::super::operation::Arguments;
use super::super::request::RequestBody;
use super::super::tasks::TaskRequest;
use super::super::trace::TraceMode;
use super::*;

fn dialect(revision: Revision) -> Dialect {
    Dialect::new(revision, ClientInfo::new("pmcp-loadtest", "0.1.0"))
}

fn legacy() -> Dialect {
    dialect(Revision::V2025_11_25)
}

fn modern() -> Dialect {
    dialect(Revision::V2026_07_28)
}

fn call(name: &str, arguments: Option<Value>) -> Operation {
    Operation::CallTool {
        name: name.to_string(),
        arguments: arguments.and_then(|arguments| Some(arguments.as_object()?.clone().into())),
    }
}

fn headers_of(headers: &[(String, String)]) -> String {
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect()
}

fn rendered(prepared: &Prepared, id: u64) -> String {
    let mut body = RequestBody::default();
    prepared.render(id, &[], &mut body);
    String::from_utf8(body.bytes().to_vec()).expect("requests are UTF-8")
}

fn check(prepared: &Prepared, expected_headers: &str, expected_body: &str) {
    let body = rendered(prepared, 1);
    assert_eq!(body, expected_body);
    assert_eq!(headers_of(prepared.headers()), expected_headers);
}

fn prepared(dialect: &Dialect, operation: &Operation) -> Prepared {
    dialect
        .prepare(operation, &ToolCatalog::empty())
        .expect("an operation of this dialect")
}

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"pmcp-loadtest","version":"0.1.0"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}},"sampling":{},"roots":{}}}"#;

#[test]
fn the_legacy_handshake() {
    check(
        &legacy().initialize(),
        "",
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"form":{}},"roots":{},"sampling":{}},"clientInfo":{"name":"pmcp-loadtest","version":"0.1.0"}}}"#,
    );
    for (revision, declared) in [
        (
            Revision::V2025_06_18,
            r#"{"elicitation":{},"roots":{},"sampling":{}}"#,
        ),
        (Revision::V2025_03_26, r#"{"roots":{},"sampling":{}}"#),
        (Revision::V2024_11_05, r#"{"roots":{},"sampling":{}}"#),
    ] {
        let mut body = RequestBody::default();
        legacy()
            .in_revision(revision)
            .initialize()
            .render(1, &[], &mut body);
        let text = String::from_utf8_lossy(body.bytes()).into_owned();
        assert!(
            text.contains(&format!(r#""capabilities":{declared},"#)),
            "{text}"
        );
    }
    let notice = legacy().initialized();
    assert_eq!(
        headers_of(&notice.headers),
        "MCP-Protocol-Version: 2025-11-25\n"
    );
    assert_eq!(
        String::from_utf8_lossy(&notice.body),
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#
    );
    let notice = legacy()
        .cancelled(7, "timed \"out\"")
        .expect("a legacy notice");
    assert_eq!(
        String::from_utf8_lossy(&notice.body),
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"timed \"out\""}}"#
    );
    assert_eq!(modern().cancelled(7, "x"), None);
}

#[test]
fn legacy_operations() {
    let version = "MCP-Protocol-Version: 2025-11-25\n";
    for (operation, expected) in [
        (
            Operation::Ping,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
        ),
        (
            Operation::ListTools,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
        ),
        (
            call("e\"cho", Some(json!({"b": 1, "a": "é"}))),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"e\"cho","arguments":{"b":1,"a":"é"}}}"#,
        ),
        (
            call("echo", None),
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#,
        ),
        (
            Operation::ReadResource {
                uri: "file:///a b".to_string(),
            },
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a b"}}"#,
        ),
        (
            Operation::GetPrompt {
                name: "p".to_string(),
                arguments: Some(Map::new().into()),
            },
            r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p","arguments":{}}}"#,
        ),
    ] {
        check(&prepared(&legacy(), &operation), version, expected);
    }
    check(
        &prepared(&dialect(Revision::V2025_03_26), &Operation::Ping),
        "MCP-Protocol-Version: 2025-03-26\n",
        r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
    );
}

#[test]
fn modern_operations() {
    let version = "MCP-Protocol-Version: 2026-07-28\n";
    check(
        &modern().discover(),
        &format!("{version}Mcp-Method: server/discover\n"),
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{META}}}}}"#),
    );
    check(
        &prepared(&modern(), &call("echo", Some(json!({"text": "hi"})))),
        &format!("{version}Mcp-Method: tools/call\nMcp-Name: echo\n"),
        &format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"text":"hi"}},{META}}}}}"#
        ),
    );
    check(
        &prepared(
            &modern(),
            &Operation::ReadResource {
                uri: "café:é".to_string(),
            },
        ),
        &format!("{version}Mcp-Method: resources/read\nMcp-Name: =?base64?Y2Fmw6k6w6k=?=\n"),
        &format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"café:é",{META}}}}}"#
        ),
    );
    check(
        &prepared(&modern(), &Operation::ListPrompts),
        &format!("{version}Mcp-Method: prompts/list\n"),
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"prompts/list","params":{{{META}}}}}"#),
    );
    let error = modern().prepare(&Operation::Ping, &ToolCatalog::empty());
    assert_eq!(
        error.expect_err("no ping").to_string(),
        "`ping` does not exist in MCP 2026-07-28"
    );
}

#[test]
fn any_request_can_be_made_in_both_eras() {
    let request = |params: Option<&str>, name_header: Option<&str>| Operation::Request {
        method: "tasks/get".to_string(),
        params: params.and_then(|params| Arguments::read(params).ok()),
        name_header: name_header.map(str::to_string),
    };
    let plain = request(
        Some(r#"{"taskId":"a b","n":18446744073709551616}"#),
        Some("params.taskId"),
    );
    check(
        &prepared(&legacy(), &plain),
        "MCP-Protocol-Version: 2025-11-25\n",
        r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"a b","n":18446744073709551616}}"#,
    );
    let headers = "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tasks/get\n";
    check(
        &prepared(&modern(), &plain),
        &format!("{headers}Mcp-Name: a b\n"),
        &format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{{"taskId":"a b","n":18446744073709551616,{META}}}}}"#
        ),
    );
    check(
        &prepared(&legacy(), &request(None, None)),
        "MCP-Protocol-Version: 2025-11-25\n",
        r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get"}"#,
    );
    check(
        &prepared(&modern(), &request(None, None)),
        headers,
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{{{META}}}}}"#),
    );
    // The user's own `_meta` goes into the one that each modern request has.
    let with_meta = request(
        Some(r#"{"_meta":{"progressToken":7,"io.modelcontextprotocol/clientInfo":0},"a":1}"#),
        None,
    );
    let more = META.strip_suffix('}').expect("an object");
    check(
        &prepared(&modern(), &with_meta),
        headers,
        &format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{{"a":1,{more},"progressToken":7}}}}}}"#
        ),
    );
}

#[test]
fn lists_follow_a_cursor() {
    let at = |dialect: Dialect, cursor| {
        let list = dialect.list(Method::ListTools, cursor).expect("a list");
        rendered(&list, 1)
    };
    assert_eq!(
        at(legacy(), None),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#
    );
    assert_eq!(
        at(legacy(), Some("p\"2")),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"p\"2"}}"#
    );
    assert_eq!(
        at(modern(), Some("2")),
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"cursor":"2",{META}}}}}"#
        )
    );
    assert_eq!(legacy().list(Method::CallTool, None), None);
}

#[test]
fn marked_arguments_are_mirrored_in_the_modern_era_only() {
    let page = read_page(
        r#"{"tools":[
            {"name":"sql","inputSchema":{"properties":{"region":{"type":"string","x-mcp-header":"Region"}}}},
            {"name":"bad","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}}]}"#,
        10,
    )
    .expect("a page");
    let mut catalog = ToolCatalog::empty();
    catalog.add(&page.items);
    let headers = |dialect: Dialect, name: &str, region: Value| {
        dialect
            .prepare(&call(name, Some(json!({"region": region}))), &catalog)
            .map(|prepared| headers_of(prepared.headers()))
            .map_err(|error| error.to_string())
    };
    assert_eq!(
        headers(modern(), "sql", json!("eu")),
        Ok("MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/call\nMcp-Name: sql\nMcp-Param-Region: eu\n".to_string())
    );
    assert_eq!(
        headers(modern(), "sql", json!(1)),
        Err(
            "the argument `region` of the tool `sql` travels in a header and must be a string"
                .to_string()
        )
    );
    assert_eq!(
        headers(modern(), "bad", json!("")),
        Err(
            "the definition of the tool `bad` is invalid: x-mcp-header `a b` is not a header name"
                .to_string()
        )
    );
    let version = "MCP-Protocol-Version: 2025-11-25\n".to_string();
    assert_eq!(headers(legacy(), "bad", json!(1)), Ok(version));
}

#[test]
fn more_meta_travels_along_but_does_not_replace_ours() {
    let extra = json!({"traceparent": "00-1-2-03", "io.modelcontextprotocol/clientInfo": 7});
    let extra = extra.as_object().expect("an object");
    let dialect = Dialect::with_meta(Revision::V2026_07_28, ClientInfo::new("a", "1"), extra);
    let body = rendered(&prepared(&dialect, &Operation::ListTools), 1);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    let meta = &body["params"]["_meta"];
    assert_eq!(meta["traceparent"], "00-1-2-03");
    assert_eq!(meta["io.modelcontextprotocol/clientInfo"]["name"], "a");
    assert_eq!(meta.as_object().map(Map::len), Some(4));
}

#[test]
fn a_dialect_of_the_other_era_opens_in_the_right_one() {
    let body = rendered(&modern().initialize(), 1);
    assert!(body.contains(r#""protocolVersion":"2025-11-25""#));
    let probe = legacy().discover();
    assert_eq!(probe.headers(), modern().discover().headers());
    assert_eq!(
        headers_of(&legacy().bare_headers()),
        "MCP-Protocol-Version: 2025-11-25\n"
    );
}

#[test]
fn welcomes_are_read() {
    let welcome = Dialect::read_initialize(
        r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"prompts":null,"logging":{}},
            "serverInfo":{"name":"s\u001b[31m","version":"1.2","title":"S"},"instructions":"use it"}"#,
    )
    .expect("a welcome");
    assert_eq!(welcome.revision, Revision::V2025_06_18);
    assert_eq!(
        welcome.capabilities,
        Capabilities {
            tools: true,
            logging: true,
            ..Capabilities::default()
        }
    );
    let server = welcome.server.expect("an identity");
    assert_eq!(
        (server.name.as_str(), server.version.as_str()),
        ("s\\u{1b}[31m", "1.2")
    );
    assert_eq!(welcome.instructions.as_deref(), Some("use it"));

    for (result, expected) in [
        ("{}", FaultKind::BadResult),
        ("7", FaultKind::BadResult),
        (r#"{"protocolVersion":20250618}"#, FaultKind::BadResult),
        (
            r#"{"protocolVersion":"1999-01-01"}"#,
            FaultKind::UnknownRevision,
        ),
        (r#"{"protocolVersion":"2026-07-28"}"#, FaultKind::OtherEra),
    ] {
        let fault = Dialect::read_initialize(result).expect_err(result);
        assert_eq!(fault.kind(), expected, "{result}");
    }
    let bare = Dialect::read_initialize(r#"{"protocolVersion":"2025-03-26"}"#).expect("enough");
    assert_eq!(bare.server, None);
}

#[test]
fn discoveries_are_read() {
    let discovery = Dialect::read_discover(
        r#"{"resultType":"complete","supportedVersions":["2025-06-18","2026-07-28","2030-01-01",7],
            "capabilities":{"resources":{}},"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"r"}}}"#,
    )
    .expect("a discovery");
    assert_eq!(
        discovery.supported,
        [Revision::V2025_06_18, Revision::V2026_07_28]
    );
    assert_eq!(discovery.unknown_supported, ["2030-01-01"]);
    assert_eq!(discovery.best(), Some(Revision::V2026_07_28));
    assert_eq!(
        discovery.server.map(|server| server.name).as_deref(),
        Some("r")
    );
    assert!(discovery.capabilities.resources);
    assert!(Dialect::read_discover(r#"{"supportedVersions":7}"#).is_err());
}

proptest! {
    #[test]
    fn any_name_makes_a_request(name: String, text: String, id: u64) {
        for dialect in [legacy(), modern()] {
            let request = prepared(&dialect, &call(&name, Some(json!({&text: &text}))));
            let body = rendered(&request, id);
            let body: Value = serde_json::from_str(&body).expect("requests are JSON");
            prop_assert_eq!(&body["id"], id);
            prop_assert_eq!(&body["params"]["name"], &name);
            prop_assert_eq!(&body["params"]["arguments"][&text], &text);
        }
    }

    #[test]
    fn no_opening_panics(text: String) {
        let _any_answer_will_do = Dialect::read_initialize(&text);
        let _any_answer_will_do = Dialect::read_discover(&text);
    }
}

#[test]
fn a_call_asks_for_its_progress_by_a_token_of_its_own() {
    let check = |dialect: Dialect, expected: &str| {
        let mut scope = Scope::new(0);
        let operation = call("work", None);
        let prepared = dialect
            .prepare_in(
                &operation,
                &ToolCatalog::empty(),
                &mut scope,
                CallExtras {
                    progress: true,
                    ..CallExtras::default()
                },
            )
            .expect("an operation of this dialect");
        assert_eq!(scope.len(), 1);
        let mut body = RequestBody::default();
        prepared.render(1, &["\"t-1\"".to_string()], &mut body);
        let text = String::from_utf8_lossy(body.bytes()).into_owned();
        assert!(text.ends_with(expected), "{text}");
        let message: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(message["params"]["_meta"]["progressToken"], "t-1");
        assert_eq!(message["params"]["name"], "work");
    };
    check(
        legacy(),
        r#""params":{"name":"work","_meta":{"progressToken":"t-1"}}}"#,
    );
    let meta = META.strip_suffix('}').expect("an object");
    check(modern(), &format!(r#"{meta},"progressToken":"t-1"}}}}}}"#));
}

/// Nothing is made up that is not sent: a trace would be told that no server has seen.
#[test]
fn a_request_with_a_meta_of_its_own_has_no_extras() {
    let params = r#"{"_meta":{"a":1}}"#;
    let operation = Operation::Request {
        method: "x/y".to_string(),
        params: Some(Arguments::read(params).expect("an object")),
        name_header: None,
    };
    let extras = CallExtras {
        progress: true,
        trace: TraceMode::Meta,
    };
    for dialect in [legacy(), modern()] {
        let mut scope = Scope::new(0);
        let catalog = ToolCatalog::empty();
        let prepared = dialect.prepare_in(&operation, &catalog, &mut scope, extras);
        let mut body = RequestBody::default();
        prepared.expect("a request").render(1, &[], &mut body);
        let text = String::from_utf8_lossy(body.bytes()).into_owned();
        let message: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(message["params"]["_meta"]["a"], 1, "{text}");
        assert_eq!(scope.len(), 0, "{text}");
    }
}

#[test]
fn tasks_are_declared_where_they_are_wanted() {
    let tasks = modern()
        .declaring_tasks()
        .expect("the modern era has tasks");
    let meta = META.replace(
        r#""roots":{}}"#,
        r#""roots":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
    );
    check(
        &prepared(&tasks, &Operation::ListTools),
        "MCP-Protocol-Version: 2026-07-28\nMcp-Method: tools/list\n",
        &format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{{meta}}}}}"#),
    );
    for (request, method, more) in [
        (TaskRequest::Get, "tasks/get", ""),
        (
            TaskRequest::Update(r#"{"q":{}}"#),
            "tasks/update",
            r#","inputResponses":{"q":{}}"#,
        ),
        (TaskRequest::Cancel, "tasks/cancel", ""),
    ] {
        check(
            &tasks.task_request(request, "t\"ä"),
            &format!(
                "MCP-Protocol-Version: 2026-07-28\nMcp-Method: {method}\n\
                 Mcp-Name: =?base64?dCLDpA==?=\n"
            ),
            &format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"taskId":"t\"ä"{more},{meta}}}}}"#
            ),
        );
    }
    let refused = legacy().declaring_tasks().expect_err("another form");
    assert!(refused.to_string().contains("of another form"), "{refused}");
}
