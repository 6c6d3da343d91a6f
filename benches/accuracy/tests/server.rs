//! The truth server over sockets, and short runs of the whole with limits that
//! a busy machine keeps.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::accuracy::answer::{Framing, GAP};
use crate::accuracy::beside::{self, Hog};
use crate::accuracy::cases::{Behaviour, Case, Model};
use crate::accuracy::compare::{self, Judged, P50};
use crate::accuracy::delay::Delay;
use crate::accuracy::generator::{Generator, Load};
use crate::accuracy::server::{Freeze, Options, TruthServer};
use crate::accuracy::table::{Group, verdict};
use crate::share;
use serde_json::Value;

const OPTIONS: Options = Options {
    delay: Delay::Fixed(Duration::from_millis(3)),
    seed: 5,
    framing: Framing::Json,
    freeze: None,
    push_every: None,
    core: None,
};

fn connect(server: &TruthServer) -> TcpStream {
    let address = server
        .url()
        .strip_prefix("http://")
        .and_then(|rest| rest.strip_suffix("/mcp"))
        .expect("such a URL");
    TcpStream::connect(address).expect("connects")
}

fn send(client: &mut TcpStream, id: u64) {
    ask(client, id, "tools/call");
}

fn ask(client: &mut TcpStream, id: u64, method: &str) {
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{}}}}"#);
    let n_bytes = body.len();
    let request = format!("POST /mcp HTTP/1.1\r\nContent-Length: {n_bytes}\r\n\r\n{body}");
    client.write_all(request.as_bytes()).expect("writes");
}

/// The text until it ends as told.
fn receive(client: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.ends_with(end) {
        let n_bytes = client.read(&mut bytes).expect("reads");
        assert!(n_bytes > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..n_bytes]).expect("UTF-8"));
    }
    text
}

#[test]
fn answers_are_stamped_with_what_the_record_says() {
    let server = TruthServer::start(OPTIONS).expect("a server");
    let mut client = connect(&server);
    let mut stamps = Vec::new();
    for id in 0..20 {
        let began = Instant::now();
        send(&mut client, id);
        let text = receive(&mut client, "}}");
        assert!(began.elapsed() >= Duration::from_millis(3));
        let (_, body) = text.split_once("\r\n\r\n").expect("a head");
        let message: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(message["id"], id);
        let stamp = &message["result"]["structuredContent"];
        assert_eq!(stamp["number"], id);
        assert_eq!(stamp["delay_ns"], 3_000_000);
        stamps.push(stamp["service_ns"].as_u64().expect("a number"));
    }
    let served = server.stop().expect("no fault");
    assert_eq!(served.calls.len(), stamps.len());
    for (call, stamp_ns) in served.calls.iter().zip(stamps) {
        assert!(call.received_ns <= call.read_ns);
        assert!(call.due_ns <= call.answered_ns && call.answered_ns <= call.handed_ns);
        // It was rendered between the stamp and the record.
        assert!((3_000_000..=call.service_ns()).contains(&stamp_ns));
    }
}

#[test]
fn a_request_that_lies_unread_is_received_when_it_came() {
    let freeze = Freeze {
        after: Duration::ZERO,
        length: Duration::from_millis(300),
    };
    let server = TruthServer::start(Options {
        freeze: Some(freeze),
        ..OPTIONS
    })
    .expect("a server");
    let mut client = connect(&server);
    // The first begins the freeze, which ends before its answer; the second
    // comes while it lasts.
    send(&mut client, 1);
    let mut other = connect(&server);
    send(&mut other, 2);
    receive(&mut client, "}}");
    receive(&mut other, "}}");
    let served = server.stop().expect("no fault");
    assert!(served.frozen >= Some(freeze.length));
    let last = served.calls.last().expect("two calls");
    assert!(last.service_ns() >= 3_000_000);
    if cfg!(target_os = "linux") {
        // On a machine so busy that the second came after the freeze, both
        // answers were still due behind it.
        let longest_ns = served.calls.iter().map(|call| call.service_ns()).max();
        assert!(longest_ns >= Some(290_000_000), "{:?}", served.calls);
    }
}

#[test]
fn an_answer_in_pieces_ends_with_the_piece_that_completes_it() {
    for (framing, n_gaps) in [
        (Framing::Split, 1),
        (Framing::Chunked, 1),
        (Framing::Sse, 0),
        (Framing::SseOpen, 0),
    ] {
        let server = TruthServer::start(Options { framing, ..OPTIONS }).expect("a server");
        let mut client = connect(&server);
        send(&mut client, 1);
        let end = match framing {
            Framing::Split => "}}",
            _ => "\r\n0\r\n\r\n",
        };
        receive(&mut client, end);
        let served = server.stop().expect("no fault");
        let meant = Duration::from_millis(3) + GAP * n_gaps;
        let service = Duration::from_nanos(served.calls[0].service_ns());
        assert!(service >= meant, "{framing:?}: {service:?}");
    }
}

#[test]
fn a_client_that_has_gone_is_counted() {
    for is_known_at_once in [false, true] {
        let delay = Delay::Fixed(Duration::from_millis(200));
        let server = TruthServer::start(Options { delay, ..OPTIONS }).expect("a server");
        let mut client = connect(&server);
        let mut other = connect(&server);
        // What was answered meanwhile came later.
        let mut catch_up = || {
            ask(&mut other, 2, "initialize");
            receive(&mut other, "}}");
        };
        send(&mut client, 1);
        if is_known_at_once {
            catch_up();
        }
        drop(client);
        catch_up();
        send(&mut other, 3);
        receive(&mut other, "}}");
        let served = server.stop().expect("no fault");
        let n_answered = served.calls.iter().filter(|c| c.answered_ns > 0).count();
        assert_eq!(served.calls.len() as u64, n_answered as u64 + served.n_lost);
        assert!(!is_known_at_once || served.n_lost == 1);
    }
}

/// A run of the program, judged: not pinned, since tests share the CPUs.
fn run(options: Options, load: Load, seconds: f64, limit_ms: f64) -> Judged {
    let generator = Generator {
        program: env!("CARGO_BIN_EXE_cargo-pmcp").to_string(),
        core: None,
    };
    let server = TruthServer::start(options).expect("a server");
    let ran = generator.run(server.url(), load, seconds).expect("a run");
    let served = server.stop().expect("no fault");
    let rate = match load {
        Load::Users(_) => None,
        Load::Arrivals { per_sec, .. } => Some(f64::from(per_sec)),
    };
    compare::judge(&ran, &served, rate, limit_ms).expect("the same calls")
}

/// Far more than the benchmark's limits; still far less than the 50 ms that a
/// mistake about slow calls would make.
const ERROR_US_MAX: f64 = 20_000.0;

#[test]
fn the_closed_model_reports_what_the_server_did() {
    share::alone();
    let options = Options {
        delay: Delay::TwoPoint {
            fast: Duration::from_millis(1),
            slow: Duration::from_millis(100),
            share_slow: 0.2,
        },
        ..OPTIONS
    };
    let judged = run(options, Load::Users(4), 1.5, 50.0);
    for pair in judged.service.0.iter().take(4) {
        assert!(pair.error().abs() < ERROR_US_MAX, "{judged:?}");
    }
    assert!(judged.service.0[P50].truth >= 1000.0);
    assert_eq!(judged.response, None);
    let over = judged.over.expect("such a limit");
    assert!(over.truth > 0.05, "{over:?}");
    assert!(over.error().abs() < 0.05, "{over:?}");
}

/// What is pushed to the sessions meanwhile is in no figure.
#[test]
fn streams_that_push_change_no_figure() {
    share::alone();
    let options = Options {
        delay: Delay::Fixed(Duration::from_millis(50)),
        push_every: Some(Duration::from_millis(20)),
        ..OPTIONS
    };
    let load = Load::Arrivals {
        per_sec: 100,
        max_vus: 40,
    };
    let judged = run(options, load, 1.5, 500.0);
    for pair in judged.service.0.iter().take(3) {
        assert!(pair.error().abs() < ERROR_US_MAX, "{judged:?}");
    }
    assert_eq!(judged.n_dropped, 0, "{judged:?}");
}

#[test]
fn the_open_model_shows_all_of_a_freeze_in_response_times() {
    share::alone();
    let options = Options {
        delay: Delay::Fixed(Duration::from_millis(1)),
        freeze: Some(Freeze {
            after: Duration::from_millis(500),
            length: Duration::from_secs(1),
        }),
        ..OPTIONS
    };
    // 200 arrivals meet the freeze, and 40 users: the rest waits in the queue.
    let load = Load::Arrivals {
        per_sec: 200,
        max_vus: 40,
    };
    let judged = run(options, load, 3.0, 500.0);
    assert_eq!(judged.n_dropped, 0);
    let over = judged.over.expect("such a limit");
    let formula =
        crate::accuracy::truth::share_over_when_frozen(judged.frozen_secs, 0.5, judged.seconds);
    assert!((0.16..0.5).contains(&formula), "{judged:?}");
    // Nothing that disturbs a machine makes it less.
    assert!(over.truth > formula - 0.01, "{judged:?}");
    assert!(over.error().abs() < 0.02, "{judged:?}");
    let max_of = |comparison: compare::Comparison| comparison.0[5].reported;
    let response = judged.response.expect("the open model");
    assert!(max_of(response) >= 980_000.0, "{judged:?}");
    let case = Case {
        model: Model::Open,
        behaviour: Behaviour::Freeze,
        percent: 5,
    };
    let group = Group::new(case, vec![judged]);
    // A machine that was disturbed has a star behind the name.
    let lines = group
        .lines()
        .replace("open/freeze/5 * |", "open/freeze/5 |");
    assert!(lines.contains("| open/freeze/5 | intended |"), "{lines}");
    assert!(verdict(&[group]).contains("share above 1 s"));
}

/// A short one of `accuracy -- beside` and of `accuracy -- strict`, with a
/// server so slow that no neighbour matters.
#[test]
fn a_run_beside_a_busy_process_is_within_its_bounds() {
    share::alone();
    let _hogs = Hog::on(&[], 1).expect("a busy process");
    let generator = Generator {
        program: env!("CARGO_BIN_EXE_cargo-pmcp").to_string(),
        core: None,
    };
    let options = Options {
        delay: Delay::Fixed(Duration::from_millis(200)),
        ..OPTIONS
    };
    for round in 0..2 {
        let server = TruthServer::start(options).expect("a server");
        let load = beside::idle_load(round);
        let ran = generator.run(server.url(), load, 1.5).expect("a run");
        let served = server.stop().expect("no fault");
        let found = beside::compare(&ran, &served).expect("bounds");
        assert_eq!(found.len(), [4, 2][round]);
        for one in found {
            let beyond_us = one.error_us().abs() - one.bound_us;
            assert!(beyond_us < ERROR_US_MAX, "{one:?}");
        }
        let server = TruthServer::start(options).expect("a server");
        let strict = beside::strict(&generator, server.url(), load, 1.5, None).expect("a run");
        assert_eq!(strict.code, Some(0), "{strict:?}");
        server.stop().expect("no fault");
    }
}
