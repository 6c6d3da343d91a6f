//! Requests are found in bytes.

use crate::accuracy::request::*;

fn post(body: &str) -> String {
    let n_bytes = body.len();
    format!("POST /mcp HTTP/1.1\r\nHost: h\r\nCONTENT-length: {n_bytes}\r\n\r\n{body}")
}

fn check(http: &str, asked: Asked, id: &str) {
    for cut in 0..http.len() {
        assert_eq!(read(&http.as_bytes()[..cut]), Ok(None), "at {cut}");
    }
    let more = format!("{http}POST");
    let (used, request) = read(more.as_bytes()).expect("readable").expect("complete");
    assert_eq!((used, request.asked), (http.len(), asked));
    assert_eq!(request.id, id);
}

#[test]
fn requests_are_found_at_every_cut() {
    let call = r#"{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"id":1}}"#;
    check(&post(call), Asked::CallTool, "42");
    let list = r#"{"id":"a","method":"tools/list"}"#;
    check(&post(list), Asked::ListTools, r#""a""#);
    let notice = r#"{"method":"notifications/initialized"}"#;
    check(&post(notice), Asked::Nothing, "null");
    check("DELETE /mcp HTTP/1.1\r\n\r\n", Asked::EndOfSession, "null");
    check("GET / HTTP/1.1\r\n\r\n", Asked::Listen, "null");
    check("PUT / HTTP/1.1\r\n\r\n", Asked::OtherHttpMethod, "null");
}

#[test]
fn what_is_no_request_is_refused() {
    for bytes in [
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{]",
        "\r\n\r\n",
    ] {
        assert_eq!(read(bytes.as_bytes()), Err(Unreadable), "{bytes}");
    }
}
