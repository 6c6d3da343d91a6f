//! Tests of the message reader: what servers send, and what nobody should.

use proptest::prelude::*;

use super::*;

/// A message in a few words, for comparison.
fn told(text: &str) -> String {
    match Message::read(text) {
        Ok(Message::Response { id, result }) => format!("response {} {result}", id.as_json()),
        Ok(Message::Error { id, error }) => format!(
            "error {} {error} {}",
            id.map_or("none", |id| id.as_json()),
            error.data.as_deref().unwrap_or("-")
        ),
        Ok(Message::Request { id, method }) => format!("request {id} {method}"),
        Ok(Message::Notification) => "notification".to_string(),
        Err(fault) => fault.kind().as_str().to_string(),
    }
}

#[test]
fn messages_of_all_kinds() {
    for (text, expected) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"a":[1]}}"#,
            r#"response 1 {"a":[1]}"#,
        ),
        (r#"{"result":{},"id":1,"jsonrpc":"2.0"}"#, "response 1 {}"),
        (r#" { "id" : 1.0 , "result" : null } "#, "response 1.0 null"),
        (r#"{"\u0069d":"x","result":{}}"#, r#"response "x" {}"#),
        (r#"{"id":1,"id":2,"result":{}}"#, "response 2 {}"),
        (r#"{"result":{}}"#, "response null {}"),
        (r#"{"id":1,"result":{},"error":null}"#, "response 1 {}"),
        (
            r#"{"id":1,"error":{"code":-32601,"message":"no"},"result":null}"#,
            "error 1 -32601: no -",
        ),
        (
            r#"{"id":null,"error":{"message":"a\nb","code":-32600.0,"data":{"x":1}}}"#,
            r#"error none -32600: a\nb {"x":1}"#,
        ),
        (
            r#"{"id":"server-error","error":{"code":"7"}}"#,
            r#"error "server-error" 7:  -"#,
        ),
        (
            r#"{"jsonrpc":"2.0","error":"boom"}"#,
            "error none without a code: boom -",
        ),
        (
            r#"{"id":null,"error":"boom"}"#,
            "error none without a code: boom -",
        ),
        // No JSON-RPC: OAuth and others answer so.
        (r#"{"error":"invalid_token"}"#, "neither result nor error"),
        (
            r#"{"error":{"code":"invalid_api_key","message":"m"}}"#,
            "neither result nor error",
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code":1e300,"message":[1]}}"#,
            "error none without a code: [1] -",
        ),
        (r#"{"id":0,"method":"ping","result":{}}"#, "request 0 ping"),
        (
            r#"{"id":"a","method":"pi\u006eg","params":{"b":1}}"#,
            r#"request "a" ping"#,
        ),
        (
            r#"{"method":"notifications/progress","params":{}}"#,
            "notification",
        ),
        (r#"{"id":null,"method":"x"}"#, "notification"),
        (r#"{"id":1,"method":null,"result":{}}"#, "response 1 {}"),
        (
            r#"{"id":1,"method":7,"result":{}}"#,
            "neither result nor error",
        ),
        (r#"{"id":1}"#, "neither result nor error"),
        ("{}", "neither result nor error"),
        ("[]", "neither result nor error"),
        ("1", "neither result nor error"),
        (
            r#"{"id":1,"result":{},"error":{}}"#,
            "both result and error",
        ),
        (r#"{"id":1,"result":{}"#, "not JSON"),
        (r#"{"id":1,"result":{}} x"#, "not JSON"),
        ("<html>", "not JSON"),
        ("", "not JSON"),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn an_id_is_ours_by_value_and_type() {
    for (json, ours, expected) in [
        ("7", 7, true),
        ("7.0", 7, true),
        ("7e0", 7, true),
        ("70e-1", 7, true),
        ("7.5", 7, false),
        ("-7", 7, false),
        ("\"7\"", 7, false),
        ("null", 0, false),
        ("0", 0, true),
        ("18446744073709551615", u64::MAX, true),
        ("18446744073709551616", u64::MAX, false),
        ("1.8446744073709551615e19", u64::MAX, false),
        ("{}", 0, false),
    ] {
        assert_eq!(Id(json).is(ours), expected, "{json} {ours}");
    }
}

#[test]
fn a_glance_sees_what_decides() {
    let glance = |result| Scan::whole(result, Glance::read).expect("JSON");
    for (result, expected) in [
        (r#"{"content":[{"isError":true}]}"#, ErrorFlag::No),
        (r#"{"isError":false}"#, ErrorFlag::No),
        (r#"{"isError":true,"content":[]}"#, ErrorFlag::Yes),
        (r#"{"isError":"true"}"#, ErrorFlag::Unreadable),
        (r#"{"isError":"false"}"#, ErrorFlag::Unreadable),
        (r#"{"isError":1}"#, ErrorFlag::Unreadable),
        (r#"{"isError":null}"#, ErrorFlag::Unreadable),
        (r#"{"isError":{}}"#, ErrorFlag::Unreadable),
    ] {
        assert_eq!(glance(result).error_flag, expected, "{result}");
    }
    for (result, expected) in [
        ("{}", ResultType::Complete),
        (r#"{"resultType":null}"#, ResultType::Complete),
        (r#"{"resultType":"complete"}"#, ResultType::Complete),
        (r#"{"resultType":"compl\u0065te"}"#, ResultType::Complete),
        (
            r#"{"resultType":"input_required"}"#,
            ResultType::InputRequired,
        ),
        (r#"{"resultType":"task"}"#, ResultType::Task),
        (r#"{"resultType":"later"}"#, ResultType::Unknown),
        (r#"{"resultType":1}"#, ResultType::Unknown),
    ] {
        assert_eq!(glance(result).result_type, expected, "{result}");
        assert!(glance(result).is_object);
    }
    for other in ["null", "1", "-1", "0.5", "true", "\"x\"", "[{}, 1]"] {
        assert!(!glance(other).is_object, "{other}");
    }
}

#[test]
fn nesting_and_size_do_no_harm() {
    let depth = 300_000;
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    for text in [
        format!(r#"{{"id":1,"result":{open}{close}}}"#),
        format!(r#"{{"id":{open}{close},"result":1}}"#),
        format!(r#"{{"id":1,"x":{open}{close},"error":{{"data":{open}{close}}}}}"#),
        format!(r#"{{"method":{open}{close}}}"#),
        open.clone(),
    ] {
        let _any_answer_will_do = Message::read(&text);
        let _any_answer_will_do = read_message::<Glance<'_>>(&text);
    }
    let number = "9".repeat(100_000);
    let huge = format!(r#"{{"id":{number},"error":{{"code":{number},"message":"m"}}}}"#);
    assert!(matches!(Message::read(&huge), Ok(Message::Error { .. })));
    let long = format!(
        r#"{{"id":1,"error":{{"message":"{}"}}}}"#,
        "é".repeat(100_000)
    );
    let Ok(Message::Error { error, .. }) = Message::read(&long) else {
        panic!("an error");
    };
    assert_eq!(error.message.chars().count(), RpcError::MESSAGE_MAX + 1);
}

#[test]
fn no_code_is_made_up() {
    let code = |json: &str| match Message::read(&format!(
        r#"{{"id":1,"error":{{"code":{json},"message":"m"}}}}"#
    )) {
        Ok(Message::Error { error, .. }) => error.code,
        other => panic!("{json}: {other:?}"),
    };
    for (json, expected) in [
        ("-32602", Some(-32602)),
        ("-32602.0", Some(-32602)),
        ("\"-32602\"", Some(-32602)),
        ("1e3", Some(1000)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("1180591620717411303424", None),
        ("1e999", None),
        ("-1e999", None),
        ("-32000.7", None),
        ("\"inf\"", None),
        ("\"nan\"", None),
        ("\"\"", None),
        ("true", None),
        ("null", None),
        ("[1]", None),
        (&format!("0.{}", "9".repeat(100)), None),
    ] {
        assert_eq!(code(json), expected, "{json}");
    }
}

#[test]
fn a_method_is_short() {
    let request = |n: usize| told(&format!(r#"{{"id":1,"method":"{}"}}"#, "m".repeat(n)));
    assert!(request(4094).starts_with("request 1 mmm"));
    assert_eq!(request(4095), "neither result nor error");
}

/// Text that resembles messages more than random bytes do.
fn message_like() -> impl Strategy<Value = String> {
    prop_oneof![plain_message_like(), odd_message_like()]
}

/// The same, with what a reader that builds values refuses.
fn odd_message_like() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec!["1e999", "\"\\ud800\"", "\"\\ud800\":1,"]);
    (plain_message_like(), odd, plain_message_like())
        .prop_map(|(before, odd, after)| format!("{before}{odd}{after}"))
}

fn plain_message_like() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"id\"",
            "\"result\"",
            "\"error\"",
            "\"method\"",
            "\"params\"",
            "1",
            "-0",
            "null",
            "true",
            "\"x\"",
            " ",
            "\\",
            "\"isError\"",
            "\"resultType\"",
            "\"code\"",
            "\u{2028}",
        ]),
        0..24,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in message_like(), any: String) {
        for text in [text, any] {
            let _any_answer_will_do = Message::read(&text);
            let _any_answer_will_do = read_message::<Glance<'_>>(&text);
        }
    }

    #[test]
    fn both_forms_of_a_result_agree(text in plain_message_like()) {
        let full = Message::read(&text).map(|message| matches!(message, Message::Response { .. }));
        let glance = read_message::<Glance<'_>>(&text)
            .map(|message| matches!(message, Message::Response { .. }));
        prop_assert_eq!(full, glance);
    }
}
