//! Tests of the verdicts, with answers as real servers give them.

use proptest::prelude::*;

use super::*;

/// A verdict in a word or two.
fn told(status: u16, body: &str) -> String {
    match judge_probe(status, body.as_bytes(), 1) {
        ProbeVerdict::Modern {
            revision,
            discovery,
        } => {
            let server = discovery.and_then(|discovery| discovery.server);
            format!(
                "modern {revision} {}",
                server.map_or(String::new(), |server| server.name)
            )
        }
        ProbeVerdict::TryRevision(revision) => format!("try {revision}"),
        ProbeVerdict::NoCommonRevision(theirs) => format!("none of {theirs:?}"),
        ProbeVerdict::ModernRefused(error) => format!("refused {error}"),
        ProbeVerdict::Unsure => "unsure".to_string(),
        ProbeVerdict::Legacy => "legacy".to_string(),
        ProbeVerdict::NotAllowed => "not allowed".to_string(),
        ProbeVerdict::Unavailable => "unavailable".to_string(),
        ProbeVerdict::NotMcp(what) => format!("not MCP: {what}"),
    }
}

fn error(code: i64, rest: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"m"{rest}}}}}"#)
}

fn discovery(versions: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"complete","supportedVersions":{versions},"capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"s","version":"1"}}}}}}"#
    )
}

#[test]
fn a_discovery_proves_modern() {
    assert_eq!(
        told(200, &discovery(r#"["2025-11-25","2026-07-28"]"#)),
        "modern 2026-07-28 s"
    );
    let stream = format!(
        "data:\nid: 0\nretry: 3000\n\n: ping\n\ndata: {}\nid: 1\n\n",
        discovery(r#"["2026-07-28"]"#)
    );
    assert_eq!(told(200, &stream), "modern 2026-07-28 s");
    assert_eq!(
        told(200, &discovery(r#"["2027-01-01"]"#)),
        r#"none of ["2027-01-01"]"#
    );
    assert_eq!(told(200, &discovery(r#"["2025-11-25"]"#)), "legacy");
    assert_eq!(told(200, r#"{"id":1,"result":{}}"#), "legacy");
}

#[test]
fn an_answer_to_another_request_proves_nothing() {
    let ours = discovery(r#"["2026-07-28"]"#);
    let others = ours.replace(r#""id":1"#, r#""id":77"#);
    assert_eq!(told(200, &others), "legacy");
    assert_eq!(
        told(200, &ours.replace(r#""id":1"#, r#""id":"1""#)),
        "legacy"
    );
    assert_eq!(
        told(200, &ours.replace(r#""id":1"#, r#""id":1.0"#)),
        "modern 2026-07-28 s"
    );
    let batch = format!("[{others},{ours}]");
    assert_eq!(told(200, &batch), "modern 2026-07-28 s");
    let foreign_error = error(-32022, "").replace(r#""id":1"#, r#""id":77"#);
    for first in [&others, &foreign_error] {
        let stream = format!("data: {first}\n\ndata: {ours}\n\n");
        assert_eq!(told(200, &stream), "modern 2026-07-28 s", "{first}");
    }
    assert_eq!(told(200, &foreign_error), "legacy");
    // Errors with an id of the server's own are ours, as in a call; under an
    // error's status all are.
    let own = error(-32022, "").replace(r#""id":1"#, r#""id":"server-error""#);
    assert_eq!(told(200, &own), "refused -32022: m");
    assert_eq!(told(400, &foreign_error), "refused -32022: m");
    let second = others.replace("supportedVersions", "x");
    assert_eq!(
        judge_second_probe(200, second.as_bytes(), 1, Revision::LATEST_MODERN),
        ProbeVerdict::Legacy
    );
}

#[test]
fn a_list_without_revisions_is_none() {
    for list in ["[]", "[1,2]", "[null]", "[[\"2026-07-28\"]]"] {
        assert_eq!(told(200, &discovery(list)), "legacy", "{list}");
        let data = format!(r#","data":{{"supported":{list}}}"#);
        let told = told(400, &error(-32022, &data));
        assert_eq!(told, "refused -32022: m", "{list}");
    }
}

#[test]
fn only_redirects_are_redirects() {
    for status in [301, 302, 303, 307, 308] {
        let expected = format!("not MCP: a redirect ({status})");
        assert_eq!(told(status, ""), expected);
        assert!(is_redirect(status, false));
    }
    for status in [300, 304, 305, 306, 399] {
        assert_eq!(told(status, ""), "legacy", "{status}");
        assert!(!is_redirect(status, false));
        assert_eq!(is_redirect(status, true), status == 300);
    }
}

#[test]
fn modern_errors_prove_modern() {
    let unsupported = |data: &str| error(-32022, data);
    assert_eq!(
        told(
            400,
            &unsupported(r#","data":{"supported":["2026-07-28","2025-11-25"]}"#)
        ),
        "try 2026-07-28"
    );
    assert_eq!(
        told(400, &unsupported(r#","data":{"supported":["2099-01-01"]}"#)),
        r#"none of ["2099-01-01"]"#
    );
    assert_eq!(
        told(400, &unsupported(r#","data":{"supported":["2025-06-18"]}"#)),
        "legacy"
    );
    assert_eq!(told(400, &unsupported("")), "refused -32022: m");
    // However many a server names.
    for n in [401, 4000] {
        let others = r#""2099-01-01","#.repeat(n);
        let many = format!(r#","data":{{"supported":[{others}"2026-07-28"]}}"#);
        assert_eq!(
            told(400, &unsupported(&many)),
            told(400, &unsupported(r#","data":{"supported":["2026-07-28"]}"#))
        );
    }
    assert_eq!(told(400, &error(-32020, "")), "refused -32020: m");
    assert_eq!(told(400, &error(-32021, "")), "refused -32021: m");
    assert_eq!(told(404, &error(-32601, "")), "unsure");
}

#[test]
fn everything_else_is_legacy() {
    for (status, body) in [
        (400, error(-32000, "")),
        (400, error(-32600, "")),
        (400, r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Missing session ID"},"id":null}"#.to_string()),
        (400, r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"x"}}"#.to_string()),
        (400, "Bad Request: No valid session ID provided".to_string()),
        (422, "Unexpected message, expect initialize request".to_string()),
        (400, String::new()),
        (404, "Not Found".to_string()),
        (405, String::new()),
        (406, "Not Acceptable".to_string()),
        (200, error(-32602, "")),
        (200, error(-32603, "")),
        (200, error(-32601, "")),
        (400, error(-32601, "")),
        (500, "Internal Server Error".to_string()),
        (202, String::new()),
        (200, ": keepalive\n\n".to_string()),
        (200, "data:\n\n".to_string()),
    ] {
        assert_eq!(told(status, &body), "legacy", "{status} {body}");
    }
}

#[test]
fn what_is_neither() {
    for (status, body, expected) in [
        (401, "", "not allowed"),
        (403, "<html>", "not allowed"),
        (503, "", "unavailable"),
        (429, "slow down", "unavailable"),
        (307, "", "not MCP: a redirect (307)"),
        (200, " <!DOCTYPE html><html>", "not MCP: a page of HTML"),
        (200, "<?xml?>", "not MCP: markup: <?xml?>"),
        (200, "hello", "not MCP: text: hello"),
        (
            200,
            r#"{"status":"ok"}"#,
            r#"not MCP: JSON that is not JSON-RPC: {"status":"ok"}"#,
        ),
    ] {
        assert_eq!(told(status, body), expected, "{status} {body}");
    }
}

#[test]
fn the_second_probe_wants_a_result_type() {
    let asked = Revision::LATEST_MODERN;
    let second = |status: u16, body: &str| judge_second_probe(status, body.as_bytes(), 1, asked);
    assert_eq!(
        second(
            200,
            r#"{"id":1,"result":{"resultType":"complete","tools":[]}}"#
        ),
        ProbeVerdict::Modern {
            revision: asked,
            discovery: None
        }
    );
    assert_eq!(
        second(200, r#"{"id":1,"result":{"tools":[]}}"#),
        ProbeVerdict::Legacy
    );
    assert_eq!(second(200, r#"{"id":1,"result":7}"#), ProbeVerdict::Legacy);
    assert_eq!(second(404, &error(-32601, "")), ProbeVerdict::Legacy);
    assert!(matches!(
        second(400, &error(-32020, "")),
        ProbeVerdict::ModernRefused(_)
    ));
    assert_eq!(second(401, ""), ProbeVerdict::NotAllowed);
}

#[test]
fn foreign_answers_are_named() {
    assert_eq!(looks_foreign(b""), None);
    assert_eq!(looks_foreign(error(0, "").as_bytes()), None);
    assert_eq!(looks_foreign(b"data: cut"), None);
    assert_eq!(looks_foreign(b"OK\n").as_deref(), Some("text: OK"));
}

proptest! {
    #[test]
    fn no_answer_panics(status: u16, body: Vec<u8>, text: String) {
        for body in [body, text.into_bytes()] {
            let _any_verdict_will_do = judge_probe(status, &body, 1);
            let _any_verdict_will_do = judge_second_probe(status, &body, 1, Revision::LATEST_MODERN);
            let _any_verdict_will_do = looks_foreign(&body);
        }
    }
}

#[test]
fn of_a_batch_a_bounded_number_of_messages_is_looked_at() {
    let answer = r#"{"id":1,"error":{"code":-32601,"message":"m"}}"#;
    let batch = |n: usize| format!("[{}{answer}]", "0,".repeat(n));
    assert_eq!(
        judge_probe(404, batch(999).as_bytes(), 1),
        ProbeVerdict::Unsure
    );
    assert_eq!(
        judge_probe(404, batch(1000).as_bytes(), 1),
        ProbeVerdict::Legacy
    );
    assert_eq!(
        judge_probe(404, batch(500_000).as_bytes(), 1),
        ProbeVerdict::Legacy
    );
}
