//! Answers on a connection that has served an exchange before: every framing that
//! HTTP/1.1 allows, and what it does not. `http/judgement_tests.rs` has hundreds
//! more, on first exchanges, too.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fake_server::{Connection, FakeServer, Next, Request};
use crate::load_run::{LoadRun, causes, load_run};

type Answer = fn(&Request, &mut Connection) -> Next;

/// Calls of a run; all but the second are answered well.
const CALLS: u64 = 4;

/// Runs one user, whose second call gets this answer: it succeeds, or fails by
/// the cause, and the connection is replaced so often.
#[track_caller]
fn check(name: &str, answer: Answer, failure: Option<&str>, reconnects: u64) {
    let n_calls = AtomicUsize::new(0);
    let server = FakeServer::on_call(move |request, connection| {
        match n_calls.fetch_add(1, Ordering::SeqCst) {
            1 => answer(request, connection),
            _ => connection.done(request),
        }
    });
    let n = CALLS.to_string();
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", &n];
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let report = finished.checked_report();
    let expected: Vec<(String, u64)> = failure.map(|id| (id.to_string(), 1)).into_iter().collect();
    assert_eq!(causes(&report["totals"]), expected, "{name}\n{finished}");
    let ok = CALLS - expected.len() as u64;
    assert_eq!(report["totals"]["ok"], ok, "{name}\n{finished}");
    assert_eq!(report["totals"]["started"], CALLS, "{name}\n{finished}");
    let counters = &report["counters"];
    assert_eq!(counters["reconnects"], reconnects, "{name}\n{finished}");
    assert_eq!(
        server.count("tools/call"),
        CALLS as usize,
        "none sent twice: {name}"
    );
}

fn body(request: &Request) -> String {
    request.reply("done").to_string()
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

#[test]
fn interim_answers_are_passed_over() {
    check(
        "100 and 103",
        |request, connection| {
            connection
                .write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n");
            connection.write("\r\n");
            connection.done(request)
        },
        None,
        0,
    );
}

#[test]
fn chunks_may_be_cut_anywhere() {
    check(
        "extensions, a trailer, a byte at a time",
        |request, connection| {
            let body = body(request);
            let (first, second) = body.split_at(body.len() / 3);
            let wire = format!(
                "{HEAD}Transfer-Encoding: chunked\r\n\r\n{:x};name=\"v\"\r\n{first}\r\n\
                 0{:X} \r\n{second}\r\n0\r\nTrailer: x\r\n\r\n",
                first.len(),
                second.len()
            );
            for byte in wire.as_bytes() {
                connection.write([*byte]);
            }
            Next::Keep
        },
        None,
        0,
    );
    check(
        "no size",
        |_, connection| {
            connection.write(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n"));
            Next::Keep
        },
        Some("protocol.bad_http"),
        1,
    );
}

#[test]
fn a_length_may_be_said_twice_but_not_differently() {
    check(
        "equal",
        |request, connection| {
            let body = body(request);
            let n = body.len();
            connection.write(format!(
                "{HEAD}Content-Length: {n}\r\nContent-Length: {n}\r\n\r\n{body}"
            ));
            Next::Keep
        },
        None,
        0,
    );
    check(
        "different",
        |request, connection| {
            let body = body(request);
            let n = body.len();
            connection.write(format!("{HEAD}Content-Length: {n}, 7\r\n\r\n{body}"));
            Next::Keep
        },
        Some("protocol.bad_http"),
        1,
    );
}

#[test]
fn a_connection_that_may_not_be_used_again_is_replaced() {
    check(
        "Connection: close",
        |request, connection| {
            let headers = [
                ("Content-Type", "application/json"),
                ("Connection", "close"),
            ];
            connection.answer(200, &headers, &body(request));
            Next::Close
        },
        None,
        1,
    );
    check(
        "HTTP/1.0",
        |request, connection| {
            let body = body(request);
            connection.write(format!(
                "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
            Next::Keep
        },
        None,
        1,
    );
    check(
        "a body that the close ends",
        |request, connection| {
            connection.write(format!("{HEAD}\r\n{}", body(request)));
            Next::Close
        },
        None,
        1,
    );
    check(
        "bytes that nobody asked for",
        |request, connection| {
            let body = body(request);
            let n = body.len();
            connection.write(format!(
                "{HEAD}Content-Length: {n}\r\n\r\n{body}HTTP/1.1 200 OK\r\n\
                 Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
            ));
            Next::Keep
        },
        None,
        1,
    );
}

#[test]
fn what_ends_too_early_has_its_cause() {
    check(
        "in the head",
        |_, connection| {
            connection.write("HTTP/1.1 200 OK\r\nContent-Ty");
            Next::Close
        },
        Some("protocol.closed_early"),
        1,
    );
    check(
        "in the body",
        |_, connection| {
            connection.write(format!("{HEAD}Content-Length: 500\r\n\r\n{{\"json"));
            Next::Close
        },
        Some("protocol.closed_early"),
        1,
    );
    check(
        "in a chunk",
        |_, connection| {
            connection.write(format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n50\r\n{{"));
            Next::Close
        },
        Some("protocol.closed_early"),
        1,
    );
    check(
        "before any byte",
        |_, _| Next::Close,
        Some("connect.lost_reused"),
        1,
    );
}

#[test]
fn what_is_no_http_has_its_cause() {
    check(
        "another protocol",
        |_, connection| {
            connection.write("SSH-2.0-OpenSSH_9.2\r\n");
            Next::Close
        },
        Some("protocol.bad_http"),
        1,
    );
    check(
        "too many headers",
        |request, connection| {
            let headers = "X: y\r\n".repeat(200);
            let body = body(request);
            let n = body.len();
            connection.write(format!("{HEAD}{headers}Content-Length: {n}\r\n\r\n{body}"));
            Next::Keep
        },
        Some("protocol.bad_http"),
        1,
    );
}

#[test]
fn an_answer_without_a_body_leaves_the_connection_whole() {
    check(
        "204",
        |_, connection| {
            connection.write("HTTP/1.1 204 No Content\r\n\r\n");
            Next::Keep
        },
        Some("protocol.accepted_unanswered"),
        0,
    );
}

/// However long our own head is, what becomes of it is the server's to say.
#[test]
fn a_long_header_of_our_own_is_sent() {
    let header = format!("X-Long: {}", "y".repeat(100_000));
    for (status, causes_expected) in [(200, 0), (431, 3)] {
        let server = FakeServer::on_call(move |request, connection| {
            assert_eq!(request.header("x-long").map(str::len), Some(100_000));
            match status {
                200 => connection.done(request),
                status => connection.answer(status, &[], ""),
            }
        });
        let mut arguments = vec!["--tool", "work", "--vus", "1", "--iterations", "3"];
        arguments.extend(["-H", &header]);
        let finished = load_run(&server.url(), &arguments).run().expect_made();
        let report = finished.checked_report();
        assert_eq!(report["totals"]["failed"], causes_expected, "{status}");
        let causes = causes(&report["totals"]);
        assert!(causes.iter().all(|(id, _)| id == "http.431"), "{causes:?}");
    }
}
