//! Peers that never stop sending. Whatever it is that they send, each call ends
//! at its deadline, the run in time, and those beside are served.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;

use crate::fake_server::{Connection, FakeServer, Next, legacy};
use crate::load_run::{LoadRun, causes, count, list, load_run, number};
use crate::program::{Finished, Program};
use crate::share;

/// Of a run that should take 2 s: more than that on a noisy machine, and far less
/// than until a peer stops that never does.
const IN_TIME: Duration = Duration::from_secs(20);

const LIMITS: [&str; 16] = [
    "--tool",
    "work",
    "--vus",
    "3",
    "--duration",
    "1s",
    "--timeout",
    "500ms",
    "--graceful-stop",
    "500ms",
    "--workers",
    "1",
    "--protocol",
    "legacy",
    "--seed",
    "1",
];

/// What is sent once, and what over and over.
type Flood = (&'static str, &'static str, &'static str);

/// A call of each user, so that a kind keeps a CPU busy for no longer than its timeout.
const ONCE: [&str; 2] = ["--iterations", "3"];

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
const EVENTS_IN_CHUNKS: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

const INTERIM: Flood = ("interim answers", "", "HTTP/1.1 100 Continue\r\n\r\n");
const COMMENTS: Flood = ("comments", EVENTS, ":\n");
const TRAILERS: Flood = (
    "trailers",
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
     2\r\n{}\r\n0\r\n",
    "X: y\r\n",
);

fn flood(connection: &mut Connection, flood: Flood) -> Next {
    connection.write(flood.1);
    connection.flood_raw(flood.2)
}

/// Runs against a server that answers calls so, and finds that it ended in time,
/// each call by its deadline.
#[track_caller]
fn check_call(kind: Flood, on_kept_connections: bool, more: &[&str]) {
    let n_calls = AtomicUsize::new(0);
    let server = FakeServer::on_call(move |request, connection| {
        // The session was opened on the same connection; after a timeout, the
        // next call is the first on its own.
        if on_kept_connections && n_calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return connection.done(request);
        }
        flood(connection, kind)
    });
    let (finished, _) = run_in_time(load_run(&server.url(), &[&LIMITS, more].concat()));
    let finished = finished.expect_made();
    let report = finished.checked_report();
    let causes = causes(&report["totals"]);
    let n_failed = count(&report["totals"]["failed"]);
    assert!(n_failed >= 3, "{}: {finished}", kind.0);
    let expected = [("timeout.reading".to_string(), n_failed)];
    assert_eq!(causes, expected, "{}: {finished}", kind.0);
}

fn run_in_time(program: Program) -> (Finished, Duration) {
    share::busy();
    let began = Instant::now();
    let finished = program.time_limit(IN_TIME).run();
    (finished, began.elapsed())
}

#[test]
fn interim_answers_without_end() {
    check_call(INTERIM, false, &[]);
    check_call(INTERIM, true, &[]);
}

#[test]
fn events_without_end() {
    for kind in [
        COMMENTS,
        ("blank lines", EVENTS, "\n"),
        ("empty events", EVENTS, "event: x\ndata: {}\n\n"),
        (
            "notifications",
            EVENTS,
            "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n",
        ),
        (
            "answers to others",
            EVENTS,
            "data: {\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}\n\n",
        ),
    ] {
        check_call(kind, false, &ONCE);
    }
}

#[test]
fn chunks_without_end() {
    let long_extension = format!("1;{}\r\n\n\r\n", "x".repeat(3000)).leak();
    for kind in [
        ("comments in chunks", EVENTS_IN_CHUNKS, "2\r\n:\n\r\n"),
        ("chunks of a byte", EVENTS_IN_CHUNKS, "1\r\n\n\r\n"),
        ("long extensions", EVENTS_IN_CHUNKS, &*long_extension),
        TRAILERS,
    ] {
        check_call(kind, false, &ONCE);
    }
}

/// The handshake of a run, the end of a session, and what finds out how the
/// server is spoken to. They mostly wait, so those of a kind run side by side.
#[test]
fn other_requests_than_calls_are_bounded_as_well() {
    share::busy();
    for kind in [INTERIM, COMMENTS, TRAILERS] {
        thread::scope(|scope| {
            for method in ["server/discover", "initialize", "DELETE"] {
                scope.spawn(move || check_other_request(kind, method));
            }
        });
    }
}

fn check_other_request(kind: Flood, method: &'static str) {
    let server = FakeServer::start(move |request, connection| {
        if request.method() == method || request.verb == method {
            flood(connection, kind)
        } else {
            legacy(request, connection)
        }
    });
    let mut limits = LIMITS.to_vec();
    // It is not the calls that are tried here.
    limits.extend(ONCE);
    if method == "server/discover" {
        limits.retain(|limit| !["--protocol", "legacy"].contains(limit));
    }
    let (finished, _) = run_in_time(load_run(&server.url(), &limits));
    // Nobody is let in where the handshake never ends.
    let expected = i32::from(method == "initialize");
    let finished = finished.expect_code(expected);
    if expected == 0 {
        let report = finished.checked_report();
        assert_eq!(causes(&report["totals"]), [], "{method} {finished}");
    } else {
        let said = &finished.stderr;
        assert!(said.contains("timed out"), "{method}, {}: {said}", kind.0);
        // More time would not help.
        assert!(
            said.contains("has no end ("),
            "{method}, {}: {said}",
            kind.0
        );
    }
}

/// What a proxy says before it opens the way is as bounded as what a server says.
#[test]
fn a_proxy_that_never_stops_ends_with_the_timeout() {
    for kind in [INTERIM, ("a head", "HTTP/1.1 200 OK\r\n", "X-A: y\r\n")] {
        let proxy = FakeServer::start(move |_, connection| flood(connection, kind));
        let by = proxy.url().replace("/mcp", "");
        let url = "https://mcp.server.test/mcp";
        let arguments = ["loadtest", "run", url, "--proxy", &by, "--timeout", "500ms"];
        let (finished, _) = run_in_time(Program::new(&arguments));
        let said = finished.expect_code(1).stderr;
        assert!(said.contains("the proxy 127.0.0.1:"), "{}: {said}", kind.0);
    }
}

#[test]
fn a_config_is_not_waited_for_without_end() {
    for kind in [INTERIM, COMMENTS] {
        for method in ["initialize", "tools/list"] {
            let server = FakeServer::on(method, move |_, connection| flood(connection, kind));
            let url = server.url();
            let arguments = ["loadtest", "init", &url, "--timeout", "500ms"];
            run_in_time(Program::new(&arguments));
        }
    }
}

/// A stream of comments in the coding gzip without end, each byte of which becomes
/// 55 bytes of content: just what a decoder must let pass.
fn flood_in_gzip(connection: &mut Connection) -> Next {
    const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'0' + (state >> 26) as u8)
    };
    let noise: String = (0..3000).map(|_| noise()).collect();
    let content = format!(":{noise}\n{}", ":\n".repeat(95_000));
    // Flushed, it ends with a whole byte and looks back to nothing before it, so it
    // can follow itself.
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(content.as_bytes())
        .expect("a vector takes all");
    encoder.flush().expect("a vector takes all");
    connection.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n",
    );
    connection.write(HEAD);
    connection.flood_raw(encoder.get_ref())
}

/// Gzip members without content: each asks for a new decoder, and brings nothing.
fn flood_in_members(connection: &mut Connection) -> Next {
    let member = GzEncoder::new(Vec::new(), Compression::best()).finish();
    let member = member.expect("a vector takes all");
    connection.write(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n",
    );
    connection.flood_raw(member.repeat(1000))
}

/// Blocks of deflate that have no content, of ten bits each: a decoder that prepares
/// tables for each block has 500 times the work of other bytes.
fn flood_in_blocks(connection: &mut Connection) -> Next {
    connection.write(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: deflate\r\n\r\n",
    );
    connection.write([0x78, 0x9c]);
    // Four blocks.
    connection.flood_raw([0x02, 0x08, 0x20, 0x80, 0x00].repeat(4000))
}

/// One of twenty is flooded for the whole of the run. The others make nearly as
/// many calls as they do beside a connection that is silent.
#[test]
fn nineteen_are_served_beside_a_flood() {
    let calls_beside = |answer: fn(&mut Connection) -> Next| {
        let n_calls = AtomicUsize::new(0);
        let server = FakeServer::on_call(move |request, connection| {
            if n_calls.fetch_add(1, Ordering::SeqCst) == 0 {
                return answer(connection);
            }
            // Long beside what a stretch of the flood takes unoptimised.
            std::thread::sleep(Duration::from_millis(100));
            connection.done(request)
        });
        let mut limits = LIMITS;
        limits[3] = "20";
        limits[5] = "2s";
        limits[7] = "30s";
        let (finished, _) = run_in_time(load_run(&server.url(), &limits));
        let report = finished.expect_code(0).checked_report();
        assert_eq!(report["totals"]["cancelled"], 1);
        assert_eq!(report["totals"]["failed"], 0);
        assert_eq!(report["handshake"]["failed"], 0);
        count(&report["totals"]["ok"])
    };
    let beside_silence = calls_beside(Connection::hang);
    let floods: [fn(&mut Connection) -> Next; 4] = [
        |connection| flood(connection, COMMENTS),
        flood_in_gzip,
        flood_in_members,
        flood_in_blocks,
    ];
    for (nth, flood) in floods.into_iter().enumerate() {
        let beside_flood = calls_beside(flood);
        // All of them share two CPUs with the server and with other tests.
        assert!(
            beside_flood * 10 > beside_silence * 7,
            "{nth}: {beside_flood} calls, and {beside_silence} beside a silent one"
        );
    }
}

/// The deadline of a call holds in the midst of what is decoded.
#[test]
fn content_without_end() {
    let server = FakeServer::on_call(|_, connection| flood_in_gzip(connection));
    let mut limits = LIMITS;
    // What is decoded of one stretch takes long where it is not optimised.
    limits[5] = "4s";
    let (finished, _) = run_in_time(load_run(&server.url(), &[&limits[..], &ONCE].concat()));
    let finished = finished.expect_code(3);
    let report = finished.checked_report();
    let n_failed = count(&report["totals"]["failed"]);
    assert!(n_failed >= 3, "{finished}");
    let expected = [("timeout.reading".to_string(), n_failed)];
    assert_eq!(causes(&report["totals"]), expected, "{finished}");
}

#[test]
#[cfg(target_os = "linux")]
fn two_signals_end_a_flooded_run() {
    for command in ["run", "find"] {
        let server = FakeServer::on_call(|_, connection| flood(connection, COMMENTS));
        let url = server.url();
        let mut arguments = vec!["loadtest", command, &url, "--no-pin", "--tool", "work"];
        arguments.extend(["--timeout", "60s", "--protocol", "legacy"]);
        arguments.extend(match command {
            "run" => ["--vus", "3", "--duration", "50s"],
            _ => ["--max-p99", "50ms", "--deadline", "30m"],
        });
        let mut running = Program::new(&arguments).time_limit(IN_TIME).spawn();
        running.wait_until("calls came", |_| server.count("tools/call") > 0);
        // A search ends at the first.
        if command == "run" {
            running.interrupt_twice().expect_code(130);
        } else {
            running.signal(Signal::SIGINT);
            running.wait().expect_code(130);
        }
    }
}

/// Calls of a step that are made at once, and never answered: all are given up at
/// the end, and counted.
#[test]
fn calls_at_once_are_given_up_at_the_end() {
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let config = format!(
        "[settings]\nurl = \"{}\"\nvirtual_users = 3\nduration = \"1s\"\n\
         timeout = \"30s\"\ngraceful_stop = \"500ms\"\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\nparallel = 4",
        server.url()
    );
    let program = Program::new(&["loadtest", "run", "--no-pin", "--config", "a.toml"])
        .file("a.toml", &config);
    let (finished, _) = run_in_time(program);
    let finished = finished.expect_code(3);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["started"], 12, "{finished}");
    assert_eq!(report["totals"]["cancelled"], 12, "{finished}");
    assert_eq!(server.count("tools/call"), 12);
}

#[test]
#[cfg(target_os = "linux")]
fn calls_at_once_are_given_up_at_the_second_signal() {
    let server = FakeServer::on_call(|_, connection| connection.hang());
    let config = format!(
        "[settings]\nurl = \"{}\"\nvirtual_users = 2\nduration = \"50s\"\n\
         timeout = \"30s\"\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\nparallel = 4",
        server.url()
    );
    let mut running = Program::new(&["loadtest", "run", "--no-pin", "--config", "a.toml"])
        .file("a.toml", &config)
        .time_limit(IN_TIME)
        .spawn();
    running.wait_until("calls came", |_| server.count("tools/call") == 8);
    let finished = running.interrupt_twice().expect_code(130);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["cancelled"], 8, "{finished}");
    assert!(list(&report["operations"]).len() == 1);
}

/// Who stops the program, as by Ctrl-Z, and lets it go on is told that this made the
/// stall, and that the rate is too low for it.
#[test]
#[cfg(target_os = "linux")]
fn a_stop_is_told_as_one() {
    const STOP: Duration = Duration::from_millis(800);
    let server = FakeServer::on_call(|request, connection| {
        std::thread::sleep(Duration::from_millis(5));
        connection.done(request)
    });
    let limits = ["--tool", "work", "--vus", "1", "--duration", "50s"];
    let mut running = load_run(&server.url(), &limits).spawn();
    running.wait_until("calls came", |_| server.count("tools/call") > 10);
    running.signal(Signal::SIGSTOP);
    std::thread::sleep(STOP);
    running.signal(Signal::SIGCONT);
    let before = server.count("tools/call");
    running.wait_until("more calls", |_| server.count("tools/call") > before + 20);
    running.signal(Signal::SIGINT);
    let finished = running.wait().expect_code(130);
    let said = "this process was stopped (by Ctrl-Z, SIGTSTP or SIGSTOP)";
    let words: Vec<&str> = finished.stdout.split_whitespace().collect();
    let words = words.join(" ");
    assert!(words.contains(said), "{finished}");
    assert!(words.contains("rate may be too low by up to"), "{finished}");
}

/// Where few users serve many arrivals, what queues after the program stood still is
/// longer than the server took, and no fault of the server's.
#[test]
#[cfg(target_os = "linux")]
fn what_queues_after_a_stop_is_not_the_servers() {
    const STOP: Duration = Duration::from_millis(1_500);
    let server = FakeServer::on_call(|request, connection| {
        std::thread::sleep(Duration::from_millis(5));
        connection.done(request)
    });
    let limits = [
        "--tool=work",
        "--rate=100/s",
        "--max-vus=4",
        "--duration=50s",
    ];
    let mut running = load_run(&server.url(), &limits).spawn();
    running.wait_until("calls came", |_| server.count("tools/call") > 50);
    running.signal(Signal::SIGSTOP);
    std::thread::sleep(STOP);
    running.signal(Signal::SIGCONT);
    let before = server.count("tools/call");
    running.wait_until("more calls", |_| server.count("tools/call") > before + 100);
    running.signal(Signal::SIGINT);
    let finished = running.wait().expect_code(130);
    let report = finished.checked_report();
    assert_ne!(report["verdict"]["grade"], "valid", "{finished}");
    let too_high = number(&report["verdict"]["bounds"]["response_p99_ms"]);
    assert!(too_high > 500.0, "{too_high}: {finished}");
}

/// The program stands still while the answer comes, until long after the call's
/// deadline. What the kernel had in time is in time, and what came later is not.
#[test]
#[cfg(target_os = "linux")]
fn a_stall_of_ours_is_not_the_servers() {
    use std::sync::Arc;
    const STALL: Duration = Duration::from_secs(3);
    for (waits_for, failed) in [(Duration::ZERO, 0), (Duration::from_millis(2_500), 1)] {
        let stopped = Arc::new(AtomicUsize::new(0));
        let has_stopped = Arc::clone(&stopped);
        let server = FakeServer::on_call(move |request, connection| {
            connection.wait_until(|| has_stopped.load(Ordering::SeqCst) > 0);
            if has_stopped.swap(2, Ordering::SeqCst) == 1 {
                std::thread::sleep(waits_for);
            }
            connection.done(request)
        });
        let mut limits = vec!["--tool", "work", "--vus", "1", "--iterations", "3"];
        limits.extend(["--timeout", "2s", "--protocol", "legacy"]);
        let mut running = load_run(&server.url(), &limits).spawn();
        running.wait_until("a call came", |_| server.count("tools/call") == 1);
        running.signal(Signal::SIGSTOP);
        stopped.store(1, Ordering::SeqCst);
        std::thread::sleep(STALL);
        running.signal(Signal::SIGCONT);
        let finished = running.wait().expect_code(0);
        let report = finished.checked_report();
        assert_eq!(report["totals"]["failed"], failed, "{finished}");
        assert_eq!(report["totals"]["ok"], 3 - failed, "{finished}");
    }
}
