//! What a server makes large, long or unreadable: compressed answers, lengths
//! that are lies, floods, lists without end. Memory is measured.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, causes, count, list, load_run};
use crate::program::{Finished, Program};
use crate::share;

/// What the program may take beyond what a run of few users needs: a flood or
/// a lie must not show in it. The machine's own needs differ.
const PEAK_MIB_MAX: u64 = 150;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn raw(content: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

fn coded(connection: &mut Connection, status: u16, kind: &str, coding: &str, body: &[u8]) -> Next {
    connection.write(format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Encoding: {coding}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    ));
    connection.write(body);
    Next::Keep
}

const JSON: &str = "application/json";
const STREAM: &str = "text/event-stream";

/// Four calls: the first on a connection is read by other code than the rest.
#[track_caller]
fn check(
    name: &str,
    expected: Option<(&str, &str)>,
    answer: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
) -> Finished {
    let server = FakeServer::on_call(answer);
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", "4"];
    let finished = load_run(&server.url(), &arguments).run().expect_made();
    let report = finished.checked_report();
    let causes_expected: Vec<(String, u64)> = expected
        .iter()
        .map(|(id, _)| ((*id).to_string(), 4))
        .collect();
    assert_eq!(
        causes(&report["totals"]),
        causes_expected,
        "{name}: {finished}"
    );
    if let Some((_, example)) = expected {
        let examples = report["failures"][0]["examples"].to_string();
        assert!(examples.contains(example), "{name}: {example}: {examples}");
    }
    assert_eq!(server.count("tools/call"), 4, "{name}");
    // A coding costs no connection; content that is not what it says does.
    let n_reconnects = if name == "said, not done" { 4 } else { 0 };
    assert_eq!(
        report["counters"]["reconnects"], n_reconnects,
        "{name}: {report:#}"
    );
    for request in server.log() {
        assert_eq!(
            request.header("accept-encoding"),
            Some("identity"),
            "{request:?}"
        );
    }
    finished
}

#[test]
fn compressed_answers_are_read() {
    for (coding, encode) in [
        ("gzip", gzip as fn(&[u8]) -> Vec<u8>),
        ("x-gzip", gzip),
        ("deflate", zlib),
        ("deflate", raw),
    ] {
        check(coding, None, move |request, connection| {
            let body = encode(request.reply("done").to_string().as_bytes());
            coded(connection, 200, JSON, coding, &body)
        });
        check(coding, None, move |request, connection| {
            let stream = format!(": hello\n\ndata: {}\n\n", request.reply("done"));
            coded(connection, 200, STREAM, coding, &encode(stream.as_bytes()))
        });
        let expected = Some(("http.500.jsonrpc.-32603", "it broke"));
        check(coding, expected, move |request, connection| {
            let error = json!({"code": -32603, "message": "it broke"});
            let error = request.error(&error).to_string();
            coded(connection, 500, JSON, coding, &encode(error.as_bytes()))
        });
    }
}

/// The answer is found when it is flushed, not at the stream's end.
#[test]
fn a_compressed_stream_is_read_as_it_comes() {
    let server = FakeServer::on_call(|request, connection| {
        connection.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
        );
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let event = format!("data: {}\n\n", request.reply("done"));
        encoder
            .write_all(event.as_bytes())
            .expect("a vector takes all");
        encoder.flush().expect("a vector takes all");
        let piece = std::mem::take(encoder.get_mut());
        connection.write(format!("{:x}\r\n", piece.len()));
        connection.write(piece);
        connection.write("\r\n");
        connection.hang()
    });
    let arguments = [
        "--tool",
        "work",
        "--vus=1",
        "--iterations=2",
        "--timeout=20s",
    ];
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], 2, "{finished}");
    assert_eq!(report["counters"]["streams_left_open"], 2, "{finished}");
}

#[test]
fn a_coding_that_is_not_read_is_named() {
    for kind in [JSON, STREAM] {
        for coding in ["br", "zstd", "gzip, br"] {
            let expected = Some(("protocol.content_encoding", coding));
            check(coding, expected, move |_, connection| {
                coded(
                    connection,
                    200,
                    kind,
                    coding,
                    b"\x8b\x01\x02\x03 binary noise",
                )
            });
        }
    }
    check("br", Some(("http.503", "`br`")), |_, connection| {
        coded(connection, 503, "text/html", "br", b"\x8b\x01\x02\x03")
    });
    let expected = Some(("protocol.content_encoding", "the content is not"));
    check("said, not done", expected, |request, connection| {
        let body = request.reply("done").to_string();
        coded(connection, 200, JSON, "gzip", body.as_bytes())
    });
    let expected = Some(("protocol.content_encoding", "ends too early"));
    check("cut", expected, |request, connection| {
        let body = gzip(request.reply("done").to_string().as_bytes());
        coded(connection, 200, JSON, "gzip", &body[..body.len() - 3])
    });
    // No coding at all, as clients read it.
    check("utf-8", None, |request, connection| {
        let body = request.reply("done").to_string();
        coded(connection, 200, JSON, "utf-8", body.as_bytes())
    });
    let expected = Some(("protocol.content_encoding", "`snappy`"));
    check("snappy", expected, |_, connection| {
        coded(connection, 200, JSON, "snappy", b"\xff\x06\x00\x00sNaPpY")
    });
}

#[test]
fn the_users_own_accept_encoding_wins() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let arguments = [
        "--tool=work",
        "--vus=1",
        "--iterations=2",
        "-H",
        "Accept-Encoding: gzip",
    ];
    load_run(&server.url(), &arguments).run().expect_code(0);
    for request in server.log() {
        assert_eq!(
            request.header("accept-encoding"),
            Some("gzip"),
            "{request:?}"
        );
    }
}

#[test]
fn a_bomb_is_too_large_and_takes_no_memory() {
    share::busy();
    let stream = gzip(&b": a comment without end\n".repeat(4 << 20));
    let of_json = gzip(&vec![b' '; 100 << 20]);
    for (kind, body) in [(STREAM, stream), (JSON, of_json)] {
        let server =
            FakeServer::on_call(move |_, connection| coded(connection, 200, kind, "gzip", &body));
        // What is decoded takes long where it is not optimised.
        let arguments = ["--tool=work", "--vus=3", "--iterations=6", "--timeout=50s"];
        let run = load_run(&server.url(), &arguments).watch_memory().run();
        let finished = run.expect_made();
        let report = finished.checked_report();
        assert_eq!(
            causes(&report["totals"]),
            [("protocol.too_large".to_string(), 6)],
            "{finished}"
        );
        finished.expect_peak_below(PEAK_MIB_MAX);
    }
}

#[test]
fn a_length_that_is_a_lie_takes_no_memory() {
    let server = FakeServer::on_call(|_, connection| {
        connection.write(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
             Content-Length: 9223372036854775807\r\n\r\n{",
        );
        connection.hang()
    });
    let arguments = ["--tool=work", "--vus=200", "--iterations=400"];
    let run = load_run(&server.url(), &arguments).watch_memory().run();
    let finished = run.expect_code(3);
    let report = finished.checked_report();
    assert_eq!(
        causes(&report["totals"]),
        [("protocol.too_large".to_string(), 400)],
        "{finished}"
    );
    let examples = report["failures"][0]["examples"].to_string();
    for part in ["9223372036854775807", "the limit is"] {
        assert!(examples.contains(part), "{examples}");
    }
    assert_eq!(report["handshake"]["failed"], 0, "{report:#}");
    finished.expect_peak_below(PEAK_MIB_MAX);

    // Below the limit, and nothing comes.
    let server = FakeServer::on_call(|_, connection| {
        connection.write(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
             Content-Length: 16000000\r\n\r\n{",
        );
        connection.hang()
    });
    let arguments = [
        "--tool=work",
        "--vus=100",
        "--iterations=100",
        "--timeout=2s",
    ];
    let run = load_run(&server.url(), &arguments).watch_memory().run();
    let finished = run.expect_code(3);
    let report = finished.checked_report();
    assert_eq!(
        causes(&report["totals"]),
        [("timeout.reading".to_string(), 100)],
        "{finished}"
    );
    finished.expect_peak_below(PEAK_MIB_MAX);
}

/// Event ids, types and data of megabytes: gone when the call is.
#[test]
fn large_events_are_not_kept() {
    share::busy();
    const USERS: usize = 30;
    let long = "x".repeat(4 << 20);
    // One large answer at a time: what is left of the others would add up.
    let turn = std::sync::Mutex::new(());
    let server = FakeServer::on_call(move |request, connection| {
        let _one_at_a_time = turn.lock();
        let stream = format!(
            "id: {long}\nevent: {long}\ndata: {long}\n\ndata: {}\n\n",
            request.reply("done")
        );
        connection.events(&stream)
    });
    let users = format!("--vus={USERS}");
    let arguments = ["--tool=work", &users, "--iterations=30", "--timeout=50s"];
    let run = load_run(&server.url(), &arguments).watch_memory().run();
    let finished = run.expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], 30, "{finished}");
    // Kept, they were 30 times 12 MiB.
    finished.expect_peak_below(200);
}

#[test]
fn a_flood_in_answer_to_the_probe_takes_no_memory() {
    let server = FakeServer::on("server/discover", |_, connection| {
        connection.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        let comment = format!(": {}\n", "x".repeat(8000)).repeat(8);
        for _ in 0..5000 {
            connection.write(&comment);
        }
        connection.hang()
    });
    let arguments = ["--tool=work", "--vus=1", "--iterations=2", "--timeout=2s"];
    let finished = load_run(&server.url(), &arguments).watch_memory().run();
    finished.expect_peak_below(PEAK_MIB_MAX);
}

/// A legacy server whose `tools/list` is the test's.
fn listing(page: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static) -> FakeServer {
    FakeServer::start(move |request, connection| match request.method().as_str() {
        "tools/list" => page(request, connection),
        "resources/list" | "resources/templates/list" | "prompts/list" => {
            let error = json!({"code": -32601, "message": "no such method"});
            connection.json(&request.error(&error))
        }
        _ => legacy(request, connection),
    })
}

fn tool_page(request: &Request, names: &[String], cursor: Option<String>) -> Value {
    let tools: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "inputSchema": {"type": "object"}}))
        .collect();
    let mut result = json!({"tools": tools});
    if let Some(cursor) = cursor {
        result["nextCursor"] = json!(cursor);
    }
    request.result(&result)
}

fn init(server: &FakeServer) -> Program {
    Program::new(&["loadtest", "init", &server.url()])
}

#[test]
fn a_compressed_list_of_tools_is_read() {
    let server = listing(|request, connection| {
        let body = tool_page(request, &["work".to_string()], None).to_string();
        coded(connection, 200, JSON, "gzip", &gzip(body.as_bytes()))
    });
    let finished = init(&server).run().expect_code(0);
    assert!(finished.stdout.contains("1 tool,"), "{finished}");
    assert_eq!(finished.stderr, "", "{finished}");
}

#[test]
fn a_list_that_cannot_be_read_fails_init() {
    let server = listing(|_, connection| {
        coded(
            connection,
            200,
            JSON,
            "br",
            b"\x8b\x01\x02\x03 binary noise",
        )
    });
    let finished = init(&server).run().expect_code(1);
    for part in [
        "the tools could not be listed",
        "`br`",
        "1 list of the server",
    ] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
    assert!(
        !finished.dir.path().join(".pmcp/loadtest.toml").exists(),
        "{finished}"
    );
}

#[test]
fn what_was_read_before_a_bad_page_is_kept() {
    let n = AtomicUsize::new(0);
    let server = listing(
        move |request, connection| match n.fetch_add(1, Ordering::SeqCst) {
            i @ 0..3 => {
                let cursor = Some(format!("{i}"));
                connection.json(&tool_page(request, &[format!("tool{i}")], cursor))
            }
            _ => connection.answer(500, &[], "the database is away"),
        },
    );
    let finished = init(&server).run().expect_code(0);
    assert!(finished.stdout.contains("3 tools"), "{finished}");
    for part in ["the database is away", "3 tools on 3 pages are kept"] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
}

#[test]
fn a_list_of_ever_new_pages_is_cut_and_told() {
    let server = listing(move |request, connection| {
        let cursor = request.message()["params"]["cursor"].clone();
        let n: u64 = cursor.as_str().and_then(|it| it.parse().ok()).unwrap_or(0);
        let page = tool_page(request, &[format!("tool{n}")], Some((n + 1).to_string()));
        connection.json(&page)
    });
    let finished = init(&server).run().expect_code(0);
    assert!(finished.stdout.contains("1,000 tools"), "{finished}");
    for part in ["the list of tools was cut", "at most 1,000 pages"] {
        assert!(finished.stderr.contains(part), "{part}: {finished}");
    }
    // A run does not say that tools are unknown which it did not come to.
    let arguments = ["--tool=tool5000", "--vus=1", "--iterations=2"];
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let report = finished.checked_report();
    let notices = report["notices"].to_string();
    assert!(notices.contains("the list of tools was cut"), "{notices}");
    assert!(!notices.contains("does not list the tool"), "{notices}");
}

#[test]
fn large_pages_are_cut_and_take_bounded_memory() {
    share::busy();
    let description = "x".repeat(15 << 20);
    let server = listing(move |request, connection| {
        let cursor = request.message()["params"]["cursor"].clone();
        let n: u64 = cursor.as_str().and_then(|it| it.parse().ok()).unwrap_or(0);
        let tool = json!({"name": format!("tool{n}"), "description": description});
        let result = json!({"tools": [tool], "nextCursor": (n + 1).to_string()});
        connection.json(&request.result(&result))
    });
    let finished = init(&server).watch_memory().run().expect_code(0);
    assert!(finished.stderr.contains("at most 32 MiB"), "{finished}");
    assert!(server.count("tools/list") <= 4, "{finished}");
    finished.expect_peak_below(250);
}

/// A server with one page of tools.
fn one_page(tools: String) -> FakeServer {
    let id = "\"the id\"";
    let page = json!({"jsonrpc": "2.0", "id": "the id", "result": {"tools": "the tools"}});
    let page = page
        .to_string()
        .replace("\"the tools\"", &format!("[{tools}]"));
    listing(move |request, connection| {
        let page = page.replace(id, &request.message()["id"].to_string());
        connection.answer(200, &[("Content-Type", JSON)], &page)
    })
}

#[test]
fn of_a_page_without_end_a_bounded_number_of_tools_is_read() {
    share::busy();
    let tools: Vec<String> = (0..700_000)
        .map(|n| format!(r#"{{"name":"{n:x}"}}"#))
        .collect();
    let server = one_page(tools.join(","));
    let cut = "the list of tools was cut: at most 50,000 entries are read";
    let finished = init(&server).watch_memory().run().expect_code(0);
    assert!(finished.stdout.contains("found 50,000 tools"), "{finished}");
    assert!(finished.stderr.contains(cut), "{finished}");
    // And what is written can be read.
    assert!(
        finished
            .stderr
            .contains("entries are left out: a config has at most 4 MiB and 1,800 entries"),
        "{finished}"
    );
    finished.expect_peak_below(250);
    let config = finished.dir.path().join(".pmcp/loadtest.toml");
    let config = std::fs::read_to_string(config).expect("a config");
    Program::new(&["loadtest", "check", "a.toml"])
        .file("a.toml", &config)
        .run()
        .expect_code(0);
    let arguments = ["--tool=1", "--vus=1", "--iterations=2"];
    let run = load_run(&server.url(), &arguments).watch_memory().run();
    let finished = run.expect_code(0);
    assert!(
        finished.checked_report()["notices"]
            .to_string()
            .contains(cut),
        "{finished}"
    );
    finished.expect_peak_below(250);
}

#[test]
fn large_schemas_are_kept_as_text() {
    share::busy();
    let schema = format!(
        r#"{{"type":"object","x":[{}0]}}"#,
        "0,".repeat((1 << 19) - 100)
    );
    let tools: Vec<String> = (0..6)
        .map(|n| format!(r#"{{"name":"t{n}","inputSchema":{schema}}}"#))
        .collect();
    let server = one_page(tools.join(","));
    let finished = init(&server).watch_memory().run().expect_code(0);
    assert!(finished.stdout.contains("found 6 tools"), "{finished}");
    // As values, the numbers alone were 100 MiB.
    finished.expect_peak_below(130);
}

#[test]
fn a_slow_list_is_shown_and_can_be_interrupted() {
    let server = listing(move |request, connection| {
        let cursor = request.message()["params"]["cursor"].clone();
        let n: u64 = cursor.as_str().and_then(|it| it.parse().ok()).unwrap_or(0);
        // A slow server is what is tried here.
        std::thread::sleep(Duration::from_millis(200));
        let page = tool_page(request, &[format!("tool{n}")], Some((n + 1).to_string()));
        connection.json(&page)
    });
    let url = server.url();
    for arguments in [
        vec!["loadtest", "init", &url],
        vec![
            "loadtest",
            "run",
            &url,
            "--tool=tool0",
            "--vus=1",
            "--iterations=2",
        ],
    ] {
        let mut running = Program::new(&arguments).spawn();
        running.wait_until("progress", |it| it.stderr().contains("listing tools: "));
        let before = Instant::now();
        running.signal(nix::sys::signal::Signal::SIGINT);
        let finished = running.wait();
        assert!(before.elapsed() < Duration::from_secs(10), "{finished}");
        assert_eq!(finished.code, Some(130), "{finished}");
        assert!(finished.stderr.contains(" pages, "), "{finished}");
    }
}

/// A modern server with one good tool and some that must be left out.
#[test]
fn tools_with_invalid_marks_are_left_out_and_not_called() {
    let server = FakeServer::start(|request, connection| {
        let answer = match request.method().as_str() {
            "server/discover" => json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "fake", "version": "1"},
            }),
            "tools/list" => {
                let of = |name: &str, property: Value| {
                    json!({"name": name, "inputSchema": {
                        "type": "object", "properties": {"value": property}}})
                };
                json!({"resultType": "complete", "tools": [
                    of("good", json!({"type": "string", "x-mcp-header": "Value"})),
                    of("number", json!({"type": "number", "x-mcp-header": "Value"})),
                    of("token", json!({"type": "string", "x-mcp-header": "My Value"})),
                    of("empty", json!({"type": "string", "x-mcp-header": ""})),
                    of("items", json!({"type": "array", "items": {
                        "type": "string", "x-mcp-header": "Value"}})),
                ]})
            }
            "tools/call" => json!({"resultType": "complete", "content": []}),
            _ => return connection.answer(404, &[], ""),
        };
        connection.json(&request.result(&answer))
    });
    let tool = |name| {
        load_run(
            &server.url(),
            &["--tool", name, "--vus=1", "--iterations=2"],
        )
    };
    let report = tool("good").run().expect_code(0).checked_report();
    assert_eq!(report["totals"]["ok"], 2, "{report:#}");
    let notices = report["notices"].to_string();
    for part in ["4 tools left out", "`number`", "`Value`"] {
        assert!(notices.contains(part), "{part}: {notices}");
    }
    for name in ["number", "token", "empty", "items"] {
        let before = server.count("tools/call");
        let finished = tool(name).run().expect_code(1);
        assert!(finished.stderr.contains(name), "{finished}");
        assert!(finished.stderr.contains("x-mcp-header"), "{finished}");
        assert_eq!(server.count("tools/call"), before, "{finished}");
    }
}

/// Where we end a connection, the server is not said to.
#[test]
fn reconnects_of_our_own_are_not_the_servers() {
    let hint = "does not keep connections open";
    let run = |answer: fn(&Request, &mut Connection) -> Next| {
        let server = FakeServer::on_call(answer);
        let arguments = [
            "--tool=work",
            "--vus=4",
            "--iterations=40",
            "--timeout=200ms",
        ];
        let finished = load_run(&server.url(), &arguments).run().expect_made();
        let report = finished.checked_report();
        let counters = &report["counters"];
        let split = (
            count(&counters["reconnects"]),
            count(&counters["reconnects_server_closed"]),
        );
        let hints = list(&report["advice"]).iter();
        let is_hinted = hints.clone().any(|it| it["id"] == "reconnects");
        assert_eq!(is_hinted, finished.stdout.contains(hint), "{finished}");
        (split, is_hinted, finished)
    };
    // Timeouts.
    let ((all, by_server), is_hinted, finished) = run(|_, connection| connection.hang());
    assert!(all >= 30, "{finished}");
    assert_eq!((by_server, is_hinted), (0, false), "{finished}");
    // Bytes that nobody asked for.
    let ((_, by_server), is_hinted, finished) = run(|request, connection| {
        let body = request.reply("done").to_string();
        connection.write(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}x",
            body.len()
        ));
        Next::Keep
    });
    assert_eq!((by_server, is_hinted), (0, false), "{finished}");
    // The server's own: told, and not told.
    for answer in [
        (|request, connection| connection.done_and_close(request))
            as fn(&Request, &mut Connection) -> Next,
        |request, connection| {
            let body = request.reply("done").to_string();
            let headers = [
                ("Content-Type", "application/json"),
                ("Connection", "close"),
            ];
            connection.answer(200, &headers, &body);
            Next::Close
        },
    ] {
        let ((all, by_server), is_hinted, finished) = run(answer);
        assert!(
            by_server >= 30 && by_server >= all - 4,
            "{by_server} of {all}: {finished}"
        );
        assert!(is_hinted, "{finished}");
    }
}

#[test]
fn redirects_in_any_form_are_followed_within_the_host() {
    for location in [
        "mcp/",
        "./mcp/",
        "/mcp/",
        "../mcp/",
        "mcp/#part",
        "//HOST/mcp/",
    ] {
        let server = FakeServer::start(move |request, connection| {
            if request.path != "/mcp/" {
                let host = request.header("host").unwrap_or_default().to_string();
                let location = location.replace("HOST", &host);
                return connection.answer(307, &[("Location", &location)], "");
            }
            legacy(request, connection)
        });
        let arguments = ["--tool=work", "--vus=1", "--iterations=2"];
        let finished = load_run(&server.url(), &arguments).run().expect_code(0);
        let report = finished.checked_report();
        assert_eq!(report["totals"]["ok"], 2, "{location}: {finished}");
    }
    // Elsewhere, credentials would travel along.
    let server = FakeServer::start(|_, connection| {
        let headers = [("Location", "//127.0.0.2/mcp/")];
        connection.answer(307, &headers, "")
    });
    let arguments = ["--tool=work", "--vus=1", "--iterations=2"];
    let finished = load_run(&server.url(), &arguments).run().expect_code(1);
    assert!(finished.stderr.contains("another host"), "{finished}");
}

/// One that opens well and then cannot list: a run goes on, and says so.
#[test]
fn a_run_without_a_list_goes_on() {
    let server = listing(|_, connection| {
        coded(
            connection,
            200,
            JSON,
            "br",
            b"\x8b\x01\x02\x03 binary noise",
        )
    });
    let arguments = ["--tool=work", "--vus=1", "--iterations=2"];
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let report = finished.checked_report();
    assert!(report["notices"].to_string().contains("`br`"), "{report:#}");
}
