//! Tests of the reader: what counts as our answer, in a stream and in a body.

use proptest::prelude::*;

use super::super::answer::{KeptAnswers, read_error_body, read_json_reply};
use super::super::operation::Method;
use super::super::sse::tests::{PYTHON, RMCP, TYPESCRIPT};
use super::*;

const CALL: Expect = Expect {
    id: 3,
    method: Some(Method::CallTool),
    kept: KeptAnswers::None,
};
const LIMIT: usize = 4096;

/// An item or a fault in a few words.
fn told(item: &Result<Option<Item>, ProtocolFault>) -> String {
    match item {
        Ok(None) => "nothing".to_string(),
        Ok(Some(Item::Notification)) => "notification".to_string(),
        Ok(Some(Item::ServerRequest(request))) => {
            format!("request {} {}", request.method, request.id_json)
        }
        Ok(Some(Item::Reply(Reply::Complete | Reply::WithoutContent))) => "complete".to_string(),
        Ok(Some(Item::Reply(Reply::ToolError { message }))) => format!("tool error: {message}"),
        Ok(Some(Item::Reply(Reply::InputRequired(required)))) => {
            format!("input required: {}", required.requests.len())
        }
        Ok(Some(Item::Reply(Reply::Task(task)))) => format!("task {}", task.id),
        Ok(Some(Item::Reply(Reply::Error(error)))) => format!("error {error}"),
        Err(fault) => fault.to_string(),
    }
}

/// All items of a body in pieces, in words, its end included.
fn read(reader: &mut ReplyReader, pieces: &[&[u8]]) -> Vec<String> {
    let mut items = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        loop {
            match reader.feed(rest) {
                Ok((used, Some(item))) => {
                    items.push(told(&Ok(Some(item))));
                    rest = &rest[used..];
                }
                Ok((used, None)) => {
                    assert_eq!(used, rest.len());
                    break;
                }
                Err(fault) => {
                    items.push(fault.to_string());
                    return items;
                }
            }
        }
    }
    if !reader.is_answered {
        items.push(reader.stream_ended().to_string());
    }
    items
}

fn check_stream(stream: &str, expected: &[&str]) {
    for cut in 0..=stream.len() {
        let (head, tail) = stream.as_bytes().split_at(cut);
        let mut reader = ReplyReader::new(CALL, LIMIT);
        assert_eq!(
            read(&mut reader, &[head, tail]),
            expected,
            "{stream:?} cut at {cut}"
        );
    }
}

fn check_json(body: &str, expected: &str) {
    let one_shot =
        read_json_reply(body.as_bytes(), &CALL).map(|answer| Some(Item::Reply(answer.reply)));
    assert_eq!(told(&one_shot), expected, "{body}");
}

#[test]
fn recorded_streams_at_every_cut() {
    check_stream(RMCP, &["notification", "complete"]);
    check_stream(PYTHON, &["complete"]);
    check_stream(TYPESCRIPT, &["request ping 3", "complete"]);
}

#[test]
fn json_bodies() {
    for (body, expected) in [
        (
            r#"{"jsonrpc":"2.0","id":3,"result":{"content":[]}}"#,
            "complete",
        ),
        ("\u{feff} {\"id\":3,\"result\":{}}\n", "complete"),
        (r#"[{"id":3,"result":{}}]"#, "complete"),
        (
            r#"[{"method":"n"},{"id":2,"result":{}},{"id":3,"result":{}}]"#,
            "complete",
        ),
        ("[]", "neither result nor error: an empty batch"),
        (r#"[{"id":2,"result":{}}]"#, "wrong id: `2` instead of `3`"),
        (r#"{"id":4,"result":{}}"#, "wrong id: `4` instead of `3`"),
        (
            r#"{"id":"3","result":{}}"#,
            r#"wrong id: `"3"` instead of `3`"#,
        ),
        (r#"{"result":{}}"#, "wrong id: `null` instead of `3`"),
        (
            r#"{"id":4,"error":{"code":1,"message":"m"}}"#,
            "wrong id: `4` instead of `3`",
        ),
        (
            r#"{"id":3,"error":{"code":-32603,"message":"m"}}"#,
            "error -32603: m",
        ),
        (
            r#"{"id":null,"error":{"code":-32603,"message":"m"}}"#,
            "error -32603: m",
        ),
        (r#"{"error":{"code":0,"message":"m"}}"#, "error 0: m"),
        (
            r#"{"id":"server-error","error":{"code":1,"message":"m"}}"#,
            "error 1: m",
        ),
        (
            r#"{"id":3,"result":7}"#,
            r#"bad result: {"id":3,"result":7}"#,
        ),
        (
            r#"{"id":3,"result":null}"#,
            r#"bad result: {"id":3,"result":null}"#,
        ),
        (r#"{"id":3}"#, r#"neither result nor error: {"id":3}"#),
        (
            r#"{"id":3,"method":"x","result":{}}"#,
            r#"neither result nor error: {"id":3,"method":"x","result":{}}"#,
        ),
        (
            r#"{"id":3,"result":{"resultType":"later"}}"#,
            r#"unknown resultType: {"id":3,"result":{"resultType":"later"}}"#,
        ),
        (
            r#"{"id":3,"result":{"resultType":"task","taskId":"t"}}"#,
            "task t",
        ),
        (
            r#"{"id":3,"result":{"resultType":"task"}}"#,
            r#"bad result: {"resultType":"task"}"#,
        ),
        (
            r#"{"id":3,"result":{"resultType":"input_required","requestState":"s"}}"#,
            "input required: 0",
        ),
        (
            r#"{"id":3,"result":{"resultType":"input_required"}}"#,
            r#"bad result: {"resultType":"input_required"}"#,
        ),
        (
            r#"{"id":3,"result":{"isError":true,"content":[{"type":"image"},{"type":"text","text":"no\nway"}]}}"#,
            "tool error: no\\nway",
        ),
        (
            r#"{"id":3,"result":{"isError":true}}"#,
            r#"tool error: {"isError":true}"#,
        ),
        ("", "not JSON: nothing"),
        ("<html>", "not JSON: <html>"),
        (
            r#"{"id":3,"result":{"#,
            r#"not JSON: it ends early: {"id":3,"result":{"#,
        ),
        (
            r#"[{"id":3,"result":{}"#,
            r#"not JSON: it ends early: [{"id":3,"result":{}"#,
        ),
        (
            r#"{"id":3,"result":{}}}"#,
            r#"not JSON: {"id":3,"result":{}}}"#,
        ),
    ] {
        check_json(body, expected);
    }
}

#[test]
fn only_a_call_of_a_tool_can_fail_as_one() {
    let body = br#"{"id":3,"result":{"isError":true}}"#;
    let expect = Expect::reply(3, Method::ReadResource);
    let answer = read_json_reply(body, &expect).expect("an answer");
    assert_eq!(answer.reply, Reply::Complete);

    let body = br#"{"id":3,"result":{"resultType":"input_required","requestState":"s"}}"#;
    for (expect, is_allowed) in [
        (Expect::reply(3, Method::GetPrompt), true),
        (Expect::reply(3, Method::ListTools), false),
        (Expect::result(3, None), false),
    ] {
        assert_eq!(
            read_json_reply(body, &expect).is_ok(),
            is_allowed,
            "{expect:?}"
        );
    }
}

#[test]
fn streams_without_our_answer() {
    check_stream("", &["stream ended without the answer: after 0 events"]);
    check_stream(
        "data: {\"method\":\"n\"}\n\ndata: {\"id\":3,\"result\":{}}\n",
        &[
            "notification",
            "stream ended without the answer: after 1 event, the last one cut",
        ],
    );
    check_stream(
        "data: {\"id\":2,\"result\":{}}\n\ndata: {\"id\":9,\"error\":{}}\n\n",
        &[
            "stream ended without the answer: after 2 events, with an answer to id `2` instead of `3`",
        ],
    );
    check_stream("data: x\n\n", &["not JSON: x"]);
    check_stream(
        "event: other\ndata: x\n\ndata: {\"id\":3,\"result\":{}}\n\n",
        &["complete"],
    );
    check_stream("data: [{\"id\":3,\"result\":{}}]\n\n", &["complete"]);
    check_stream(
        "data: [{\"method\":\"a\"},{\"id\":0,\"method\":\"ping\"}]\n\ndata: [{\"method\":\"n\"},{\"id\":3,\"result\":{}}]\n\n",
        &["request ping 0", "complete"],
    );
    check_stream(
        "data: {\"id\":null,\"error\":{\"message\":\"m\"}}\n\n",
        &["error without a code: m"],
    );
}

#[test]
fn a_resumed_stream_brings_the_answer() {
    let mut reader = ReplyReader::new(CALL, LIMIT);
    let items = read(&mut reader, &[b"id: a\nretry: 500\ndata:\n\n"]);
    assert_eq!(items, ["stream ended without the answer: after 1 event"]);
    assert_eq!(reader.last_event_id(), Some("a"));
    reader.resume();
    let items = read(&mut reader, &[b"id: b\ndata: {\"id\":3,\"result\":{}}\n\n"]);
    assert_eq!(items, ["complete"]);
    assert_eq!(reader.last_event_id(), Some("b"));
}

#[test]
fn a_server_request_has_a_sane_id() {
    let request = format!(
        "data: {{\"id\":\"{}\",\"method\":\"ping\"}}\n\n",
        "x".repeat(2000)
    );
    let mut reader = ReplyReader::new(CALL, LIMIT);
    assert_eq!(read(&mut reader, &[request.as_bytes()])[0], "notification");
}

#[test]
fn nothing_after_the_answer_matters() {
    check_stream(
        "data: {\"id\":3,\"result\":{}}\n\ndata: x\n\n",
        &["complete"],
    );
    let mut reader = ReplyReader::new(CALL, LIMIT);
    read(&mut reader, &[b"data: {\"id\":3,\"result\":{}}\n\n"]);
    let more = vec![b'x'; LIMIT * 2];
    assert_eq!(reader.feed(&more), Ok((more.len(), None)));
}

#[test]
fn large_messages_are_refused() {
    let large = format!(
        "{{\"id\":3,\"result\":{{\"x\":\"{}\"}}}}",
        "x".repeat(LIMIT)
    );
    let expected = ["message too large: more than 4096 bytes"];
    let mut reader = ReplyReader::new(CALL, LIMIT);
    assert_eq!(
        read(&mut reader, &[b"data: ", large.as_bytes(), b"\n\n"]),
        expected
    );
}

#[test]
fn a_reader_is_used_again_and_keeps_what_it_should() {
    let expect = Expect::result(3, Some(Method::ListTools));
    let mut reader = ReplyReader::new(expect, LIMIT);
    let stream = b"id: 7\nretry: 20\ndata\n\ndata: {\"id\":3,\"result\": {\"tools\": []}}\n\n";
    assert_eq!(read(&mut reader, &[stream]), ["complete"]);
    assert_eq!(reader.result(), Some(r#"{"tools": []}"#));
    assert_eq!(reader.last_event_id(), Some("7"));
    assert_eq!(reader.retry(), Some(Duration::from_millis(20)));

    reader.reset(Expect { id: 4, ..expect });
    assert_eq!(reader.last_event_id(), None);
    let stream = b"data: {\"id\":4,\"result\":{\"a\":1}}\n\n";
    assert_eq!(read(&mut reader, &[stream]), ["complete"]);
    assert_eq!(reader.result(), Some(r#"{"a":1}"#));

    reader.reset(CALL);
    let stream = b"data: {\"id\":3,\"result\":{}}\n\n";
    assert_eq!(read(&mut reader, &[stream]), ["complete"]);
    assert_eq!(reader.result(), None);
}

#[test]
fn errors_are_found_in_the_bodies_of_http_errors() {
    let error = read_error_body(br#"{"id":null,"error":{"code":-32022,"message":"m"}}"#);
    assert_eq!(error.and_then(|error| error.code), Some(-32022));
    for body in [
        b"".as_slice(),
        b"<html>",
        b"\xff",
        br#"{"id":1,"result":{}}"#,
        br#"{"error":"invalid_token"}"#,
        br#"{"id":"request-7","error":"invalid_token"}"#,
        br#"{"error":{"code":"invalid_api_key","message":"m"}}"#,
        br#"{"jsonrpc":"2.0","id":null,"error":{"message":"m"}}"#,
    ] {
        assert_eq!(read_error_body(body), None);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, text: String, limit in 0_usize..100) {
        let event = format!("data: {text}\n\n");
        for body in [&bytes[..], text.as_bytes(), event.as_bytes()] {
            let mut reader = ReplyReader::new(CALL, limit);
            let _any_items_will_do = read(&mut reader, &[body]);
            let _any_answer_will_do = read_json_reply(body, &CALL);
            let _any_answer_will_do = read_error_body(body);
        }
    }
}

/// `[element,element,…]`.
fn array(n: usize, element: &str) -> String {
    format!("[{}]", vec![element; n].join(","))
}

#[test]
fn of_a_batch_a_bounded_number_of_messages_is_looked_at() {
    const ANSWER: &str = r#"{"id":3,"result":{}}"#;
    let batch = |n: usize, element: &str| {
        let others = array(n, element);
        format!("{},{ANSWER}]", others.trim_end_matches(']'))
    };
    let json = |body: &str| match read_json_reply(body.as_bytes(), &CALL) {
        Ok(answer) => told(&Ok(Some(Item::Reply(answer.reply)))),
        Err(fault) => fault.to_string(),
    };
    let event = |body: &str| {
        let stream = format!("data: {body}\n\n");
        let mut reader = ReplyReader::new(CALL, 64 << 20);
        read(&mut reader, &[stream.as_bytes()]).remove(0)
    };
    let too_large = "message too large: the answer is not among the first 1000 messages of a batch";
    let notification = r#"{"method":"m"}"#;
    for read in [&json as &dyn Fn(&str) -> String, &event] {
        assert_eq!(read(&batch(999, notification)), "complete");
        assert_eq!(read(&batch(1000, notification)), too_large);
    }
    // What is not an object is not a message, and costs nothing.
    assert_eq!(json(&batch(999, "0")), "complete");
    assert_eq!(json(&array(1_000_000, "0")), too_large);
    assert_eq!(json("[0,[1]]"), "neither result nor error: [0,[1]]");
    assert_eq!(event(&array(200_000, "0")), "neither result nor error: 0");
}

#[test]
fn a_tools_text_is_looked_for_in_the_first_parts_of_its_content() {
    let failed = |n: usize| {
        let content = array(n, "0");
        let content = content.trim_end_matches(']');
        let body = format!(
            r#"{{"id":3,"result":{{"isError":true,"content":{content},{{"text":"why"}}]}}}}"#
        );
        let answer = read_json_reply(body.as_bytes(), &CALL).expect("an answer");
        told(&Ok(Some(Item::Reply(answer.reply))))
    };
    assert_eq!(failed(99), "tool error: why");
    assert!(failed(100).starts_with(r#"tool error: {"isError":true,"content":[0,0"#));
}

#[test]
fn a_result_of_a_tool_has_content() {
    let reply = |method, result: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":3,"result":{result}}}"#);
        let answer = read_json_reply(body.as_bytes(), &Expect::reply(3, method));
        answer.expect("an answer").reply
    };
    for (result, expected) in [
        (r#"{"content":[]}"#, Reply::Complete),
        (
            r#"{"structuredContent":{},"content":[{}]}"#,
            Reply::Complete,
        ),
        (
            r#"{"structuredContent":{"content":[]}}"#,
            Reply::WithoutContent,
        ),
        (r#"{"content":null}"#, Reply::WithoutContent),
        (r#"{"content":"text"}"#, Reply::WithoutContent),
        ("{}", Reply::WithoutContent),
    ] {
        assert_eq!(reply(Method::CallTool, result), expected, "{result}");
    }
    assert_eq!(reply(Method::Ping, "{}"), Reply::Complete);
}
