//! The stream that a session listens on: held beside the calls, opened again where it ends,
//! and in no figure of theirs, whatever the server does on it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use pmcp_loadtest::demo::{DemoLatency, DemoOptions, DemoServer, DemoStats};

use crate::demo::{ECHO, MS, demo, quick_demo};
use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, causes, count, load_run};
use crate::program::{Finished, loadtest};
use crate::share;

/// More than any of these runs takes on a noisy machine.
const IN_TIME: Duration = Duration::from_secs(30);

const NOTIFICATION: &str = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;

/// The demo that pushes a notification to each session at this interval.
fn pushing(every: Duration) -> DemoServer {
    demo(DemoOptions {
        latency: DemoLatency::None,
        stream_every: Some(every),
        ..DemoOptions::default()
    })
}

/// What the demo has counted, once it has noticed that all its clients are gone.
fn settled(server: DemoServer) -> DemoStats {
    let began = Instant::now();
    while server.stats().connections_open > 0 && began.elapsed() < IN_TIME {
        std::thread::sleep(MS);
    }
    server.stop()
}

/// Calls of the demo's tool by users with sessions.
fn run_sessions(url: &str, more: &[&str]) -> Finished {
    share::one_part();
    let arguments = [&ECHO[..], &["--protocol", "legacy"], more].concat();
    load_run(url, &arguments).run()
}

/// What became of the streams; each that was opened has ended once.
#[track_caller]
fn streams(report: &Value) -> &Value {
    let listen = &report["listen"];
    let opened = count(&listen["opening"]["ok"]);
    let ended = count(&listen["ended"]) + count(&listen["broken"]);
    assert_eq!(opened, ended, "{listen:#}");
    let opening = &listen["opening"];
    let outcomes = ["ok", "failed", "cancelled"].map(|key| count(&opening[key]));
    assert_eq!(count(&opening["started"]), outcomes.iter().sum::<u64>());
    assert!(count(&listen["refused"]) <= count(&opening["failed"]));
    listen
}

#[test]
fn each_session_holds_a_stream_beside_its_calls() {
    let server = pushing(20 * MS);
    let finished = run_sessions(&server.url(), &["--vus", "5", "--duration", "1s"]).expect_code(0);
    let report = finished.checked_report();
    let listen = streams(&report);
    let stats = settled(server);
    // One more was asked for before the load.
    assert_eq!(count(&listen["opening"]["ok"]) + 1, stats.streams_opened);
    assert_eq!(listen["opening"]["ok"], 5, "{listen:#}");
    assert_eq!(listen["open_max"], 5, "{listen:#}");
    assert_eq!(listen["ended_by_server"], 0, "{listen:#}");
    assert_eq!((stats.streams_open, stats.in_flight), (0, 0));
    let heard = count(&listen["notifications"]["notifications/message"]);
    assert!((1..=stats.notices_sent).contains(&heard), "{listen:#}");
    assert_eq!(report["totals"]["failed"], 0);
    assert_eq!(count(&report["totals"]["ok"]), stats.tool_calls);
    assert_eq!(report["server"]["stream"]["offered"], true);
    let said = &finished.stdout;
    assert!(
        said.contains("2 connections a user (GET stream held)"),
        "{said}"
    );
    assert!(said.contains("5 opened, 5 at once"), "{said}");
    assert!(said.contains("(notifications/message)"), "{said}");
}

/// The demo asks on the streams, and hears an answer that fits to each question; those that
/// are on their way as a session ends may get none.
#[test]
fn the_demo_asks_on_the_streams_and_is_answered() {
    let server = demo(DemoOptions {
        latency: DemoLatency::Fixed(5 * MS),
        stream_every: Some(20 * MS),
        stream_asks: true,
        ..DemoOptions::default()
    });
    let finished = run_sessions(&server.url(), &["--vus", "4", "--duration", "1s"]).expect_code(0);
    let report = finished.checked_report();
    let listen = streams(&report);
    let stats = settled(server);
    let heard = count(&listen["requests"]["elicitation/create"]);
    assert!(heard >= 4 && heard <= stats.stream_asked, "{listen:#}");
    assert_eq!(
        listen["requests"],
        json!({"elicitation/create": heard}),
        "{listen:#}"
    );
    let answered = count(&listen["requests_answered"]);
    assert!(answered + 4 >= heard, "{listen:#}");
    assert!(answered <= stats.responses, "{stats:?}");
    assert!(stats.stream_answered <= stats.responses, "{stats:?}");
    assert!(stats.stream_answered + 4 >= answered, "{stats:?}");
    // They are in no call's figures.
    assert_eq!(count(&report["totals"]["ok"]), stats.tool_calls);
    assert_eq!(
        report["counters"]["server_requests"], answered,
        "{report:#}"
    );
    assert!(
        finished.stdout.contains("(elicitation/create)"),
        "{finished}"
    );
}

#[test]
fn who_does_not_want_to_listen_does_not() {
    for (flag, config) in [(true, ""), (false, "listen = false\n")] {
        let server = pushing(20 * MS);
        share::one_part();
        let mut arguments = vec![
            "--protocol",
            "legacy",
            "--iterations",
            "20",
            "--config",
            "c.toml",
        ];
        arguments.extend(flag.then_some("--no-listen"));
        let config = format!(
            "[settings]\n{config}[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\n\
             arguments = {{ text = \"hi\" }}\n"
        );
        let program = load_run(&server.url(), &arguments).file("c.toml", &config);
        let report = program.run().expect_code(0).checked_report();
        assert_eq!(
            (&report["listen"], &report["server"]["stream"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(report["plan"]["listen"], false);
        assert_eq!(settled(server).streams_opened, 0);
    }
}

#[test]
fn what_is_not_offered_is_told_with_its_status() {
    let server = quick_demo();
    let finished = run_sessions(&server.url(), &["--iterations", "20"]).expect_code(0);
    let report = finished.checked_report();
    let offer = &report["server"]["stream"];
    assert_eq!(
        (&offer["offered"], &offer["status"]),
        (&json!(false), &json!(405))
    );
    assert_eq!(report["listen"], Value::Null);
    assert!(
        finished.stdout.contains("no GET stream (status 405)"),
        "{}",
        finished.stdout
    );
    // A server without session ids is not asked.
    let stateless = demo(DemoOptions {
        latency: DemoLatency::None,
        stateless_legacy: true,
        stream_every: Some(MS),
        ..DemoOptions::default()
    });
    let report = run_sessions(&stateless.url(), &["--iterations", "5"]);
    let report = report.expect_code(0).checked_report();
    assert_eq!(report["server"]["stream"], Value::Null);
}

/// What a refusal tells of credentials is told to nobody.
#[test]
fn a_refusal_s_credentials_are_not_shown() {
    let server = listening(
        |_, _, connection| {
            let body = r#"{"detail":"no","access_token":"said-by-the-server"}"#;
            connection.answer(400, &[("Content-Type", "application/json")], body)
        },
        |request, connection| connection.done(request),
    );
    share::one_part();
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", "1"];
    let finished = load_run(&server.url(), &arguments).run().expect_code(0);
    let offer = finished.checked_report()["server"]["stream"].clone();
    let why = offer["why"].as_str().expect("a reason");
    assert!(why.contains("access_token"), "{offer}");
    assert!(!why.contains("said-by-the-server"), "{offer}");
}

#[test]
fn a_stream_lives_as_long_as_its_session() {
    let server = demo(DemoOptions {
        latency: DemoLatency::Fixed(5 * MS),
        stream_every: Some(10 * MS),
        session_ttl: Some(200 * MS),
        ..DemoOptions::default()
    });
    let config = "[settings]\nvirtual_users = 4\nduration = \"1500ms\"\nprotocol = \"legacy\"\n\
                  session = { iterations = 7 }\n[[scenario]]\ntype = \"tools/call\"\n\
                  tool = \"echo\"\narguments = { text = \"hi\" }\n";
    share::one_part();
    let program = load_run(&server.url(), &["--config", "c.toml"]).file("c.toml", config);
    let report = program.run().expect_made().checked_report();
    let listen = streams(&report);
    let stats = settled(server);
    assert_eq!(count(&listen["opening"]["ok"]) + 1, stats.streams_opened);
    assert_eq!(stats.streams_open, 0);
    let n_sessions = count(&report["counters"]["sessions_opened"]);
    assert!(n_sessions > 4, "{report:#}");
    assert!(
        count(&listen["opening"]["started"]) >= n_sessions,
        "{listen:#}"
    );
}

/// A legacy server, but for what it does on each GET, which are numbered from 0: the first
/// is that before the load.
pub(crate) fn listening(
    on_get: impl Fn(usize, &Request, &mut Connection) -> Next + Send + Sync + 'static,
    on_call: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
) -> FakeServer {
    let n_gets = AtomicUsize::new(0);
    FakeServer::start(move |request, connection| {
        if request.verb == "GET" {
            return on_get(n_gets.fetch_add(1, Ordering::SeqCst), request, connection);
        }
        match request.method().as_str() {
            "tools/call" => on_call(request, connection),
            _ => legacy(request, connection),
        }
    })
}

fn is_get(request: &Request) -> bool {
    request.verb == "GET"
}

/// One user makes so many calls.
fn one_user(server: &FakeServer, iterations: &str) -> Value {
    share::one_part();
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", iterations];
    let program = load_run(&server.url(), &arguments).time_limit(IN_TIME);
    let report = program.run().expect_code(0).checked_report();
    assert_eq!(report["totals"]["failed"], 0, "{report:#}");
    report
}

#[test]
fn a_stream_that_ends_is_opened_again_where_it_ended() {
    let is_resuming = |request: &Request| request.header("last-event-id") == Some("7");
    let server = listening(
        move |_, request, connection| {
            connection.open_stream();
            if is_resuming(request) {
                return connection.hang();
            }
            connection.chunk(&format!("id: 7\nretry: 1\ndata: {NOTIFICATION}\n\n"));
            connection.end_stream()
        },
        move |request, connection| {
            connection.wait_for(is_resuming);
            connection.done(request)
        },
    );
    let report = one_user(&server, "1");
    let listen = streams(&report);
    assert_eq!(listen["opening"]["ok"], 2, "{listen:#}");
    assert_eq!(listen["resumed"], 1, "{listen:#}");
    assert_eq!(listen["ended_by_server"], 1, "{listen:#}");
    assert_eq!(listen["notifications"], json!({"notifications/message": 1}));
    let gets: Vec<Request> = server.log().into_iter().filter(is_get).collect();
    // As soon as the server allows it, but not at once.
    assert!(gets[2].at - gets[1].at >= Duration::from_millis(90));
    assert_eq!(
        gets[1].header("mcp-session-id"),
        gets[2].header("mcp-session-id")
    );
    assert_eq!(gets[1].header("accept"), Some("text/event-stream"));
}

#[test]
fn what_the_server_asks_on_it_is_answered() {
    let is_answer = |request: &Request| request.message()["id"] == json!("p1");
    let server = listening(
        |_, _, connection| {
            connection.open_stream();
            connection.chunk("data: {\"jsonrpc\":\"2.0\",\"id\":\"p1\",\"method\":\"ping\"}\n\n");
            connection.hang()
        },
        move |request, connection| {
            connection.wait_for(is_answer);
            connection.done(request)
        },
    );
    let report = one_user(&server, "1");
    let listen = streams(&report);
    assert_eq!(listen["requests"], json!({"ping": 1}), "{listen:#}");
    assert_eq!(listen["requests_answered"], 1, "{listen:#}");
    let answers: Vec<Request> = server.log().into_iter().filter(is_answer).collect();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].message()["result"], json!({}));
}

/// A server in the field answers a call with 202, and sends the result on the session's
/// stream: before it or after.
#[test]
fn an_answer_to_a_call_may_come_on_it() {
    let called = Arc::new(Mutex::new(None::<Value>));
    let told = Arc::clone(&called);
    let is_call = |request: &Request| request.method() == "tools/call";
    let server = listening(
        move |n, _, connection| {
            connection.open_stream();
            if n == 0 {
                return connection.hang();
            }
            connection.wait_for(is_call);
            connection.wait_until(|| told.lock().expect("a lock").is_some());
            let answer = told.lock().expect("a lock").take();
            if let Some(answer) = answer {
                connection.chunk(&format!("data: {answer}\n\n"));
            }
            connection.hang()
        },
        move |request, connection| {
            *called.lock().expect("a lock") = Some(request.reply("done"));
            connection.answer(202, &[], "")
        },
    );
    let report = one_user(&server, "1");
    assert_eq!(report["totals"]["ok"], 1, "{report:#}");
    assert_eq!(streams(&report)["answers"], 1, "{report:#}");
}

/// A legacy server that accepts each call with 202, and sends the answer on the stream of
/// the call's session.
pub(crate) fn mailing(answer: impl Fn(&Request) -> Value + Send + Sync + 'static) -> FakeServer {
    let session_of = |request: &Request| {
        let id = request.header("mcp-session-id").unwrap_or_default();
        id.to_string()
    };
    let called: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let told = Arc::clone(&called);
    listening(
        move |_, request, connection| {
            connection.open_stream();
            let session = session_of(request);
            loop {
                let mut answer = None;
                connection.wait_until_or_gone(|| {
                    let mut called = told.lock().expect("a lock");
                    let at = called.iter().position(|(of, _)| *of == session);
                    answer = at.map(|at| called.remove(at).1);
                    answer.is_some()
                });
                let Some(answer) = answer else {
                    return Next::Close;
                };
                connection.chunk(&format!("data: {answer}\n\n"));
            }
        },
        move |request, connection| {
            let mut called = called.lock().expect("a lock");
            called.push((session_of(request), answer(request)));
            connection.answer(202, &[], "")
        },
    )
}

/// A session's answers come on its own stream, whichever of its lanes made the call, and
/// whether its connections served another session before.
#[test]
fn each_session_has_the_answers_of_its_own_stream() {
    const N_CALLS: usize = 3;
    let server = mailing(|request| request.reply("done"));
    let config = format!(
        "[settings]\nconnection = \"keep\"\nsession = {{ iterations = 1 }}\n[[scenario]]\n\
         type = \"tools/call\"\ntool = \"work\"\nparallel = {N_CALLS}\n"
    );
    share::one_part();
    let arguments = [
        "--config=c.toml",
        "--vus=1",
        "--iterations=3",
        "--timeout=5s",
    ];
    let program = load_run(&server.url(), &arguments).file("c.toml", &config);
    let finished = program.time_limit(IN_TIME).run().expect_code(0);
    let report = finished.checked_report();
    assert_eq!(report["totals"]["ok"], 3 * N_CALLS, "{report:#}");
    assert_eq!(streams(&report)["answers"], 3 * N_CALLS, "{report:#}");
    // Other calls of the same user have the same number, and get nothing of it.
    let ids: Vec<Value> = server.log_of("tools/call").iter().map(id_of).collect();
    assert_eq!(ids.iter().filter(|id| **id == ids[0]).count(), 3, "{ids:?}");
}

fn id_of(request: &Request) -> Value {
    request.message()["id"].clone()
}

/// What refuses a stream within the load refuses no call, is asked again with pauses, and
/// 405 and 501 are not asked again.
#[test]
fn refusals_harm_no_call() {
    for (status, may_repeat) in [
        (409, true),
        (400, true),
        (404, true),
        (401, true),
        (403, true),
        (405, false),
        (501, false),
    ] {
        let server = listening(
            move |n, _, connection| match n {
                0 => {
                    connection.open_stream();
                    connection.hang()
                }
                _ => connection.answer(status, &[("Content-Type", "text/plain")], "not now"),
            },
            |request, connection| connection.done(request),
        );
        let report = one_user(&server, "30");
        let listen = streams(&report);
        let n_failed = count(&listen["opening"]["failed"]);
        let n_gets = server.log().into_iter().filter(is_get).count() as u64;
        assert_eq!(n_failed, n_gets - 1, "{status}: {listen:#}");
        assert_eq!(count(&listen["refused"]), n_failed, "{status}: {listen:#}");
        let cause = format!("http.{status}");
        assert_eq!(
            causes(&listen["opening"]),
            [(cause, n_failed)],
            "{listen:#}"
        );
        assert!(n_failed == 1 || may_repeat, "{status}: {listen:#}");
        assert_eq!(report["counters"]["sessions_expired"], 0, "{status}");
        assert_eq!(report["handshake"]["ok"], 1, "{status}");
    }
}

/// The streams of all users are refused at once, and one refresh of the token serves them.
#[test]
fn a_token_that_streams_are_refused_is_replaced_once() {
    const COMMAND: &str = "echo x >> asked; echo tok-$(wc -l < asked | tr -d ' ')";
    let n_held = Arc::new(AtomicUsize::new(0));
    let held = Arc::clone(&n_held);
    let server = listening(
        move |n, request, connection| {
            if n > 0 && request.header("authorization") == Some("Bearer tok-1") {
                let challenge = [("WWW-Authenticate", "Bearer error=\"invalid_token\"")];
                return connection.answer(401, &challenge, "");
            }
            held.fetch_add(usize::from(n > 0), Ordering::SeqCst);
            connection.open_stream();
            connection.hang()
        },
        move |request, connection| {
            connection.wait_until(|| n_held.load(Ordering::SeqCst) == 4);
            connection.done(request)
        },
    );
    share::one_part();
    let arguments = [
        "--tool",
        "work",
        "--vus",
        "4",
        "--iterations",
        "4",
        "--timeout",
        "20s",
        "--token-command",
        COMMAND,
    ];
    let program = load_run(&server.url(), &arguments).time_limit(IN_TIME);
    let report = program.run().expect_code(0).checked_report();
    assert_eq!(report["totals"]["ok"], 4, "{report:#}");
    let listen = streams(&report);
    assert_eq!(listen["opening"]["ok"], 4, "{listen:#}");
    let n_refused = count(&listen["opening"]["failed"]);
    assert!((1..=4).contains(&n_refused), "{listen:#}");
    assert_eq!(
        causes(&listen["opening"]),
        [("http.401.invalid_token".to_string(), n_refused)]
    );
    let tokens = &report["tokens"];
    assert_eq!(
        (&tokens["fetched"], &tokens["refused"]),
        (&json!(2), &json!(1))
    );
}

/// A server that refuses the streams of every token gets no storm of new ones.
#[test]
fn a_refusal_of_every_token_is_braked() {
    const COMMAND: &str = "echo x >> asked; echo tok-$(wc -l < asked | tr -d ' ')";
    let server = listening(
        |n, _, connection| match n {
            0 => {
                connection.open_stream();
                connection.hang()
            }
            _ => {
                let challenge = [("WWW-Authenticate", "Bearer error=\"invalid_token\"")];
                connection.answer(401, &challenge, "")
            }
        },
        |request, connection| connection.done(request),
    );
    share::one_part();
    let arguments = [
        "--tool",
        "work",
        "--vus",
        "1",
        "--duration",
        "1500ms",
        "--think",
        "10ms",
        "--token-command",
        COMMAND,
    ];
    let program = load_run(&server.url(), &arguments).time_limit(IN_TIME);
    let report = program.run().expect_code(0).checked_report();
    let n_refused = count(&streams(&report)["opening"]["failed"]);
    // Two at once, then two after each pause of at least half a second.
    assert!((2..=8).contains(&n_refused), "{report:#}");
    assert!(count(&report["tokens"]["fetched"]) <= 5, "{report:#}");
}

type Flood = (&'static str, &'static str, &'static str);

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// Whatever comes on the streams, calls go on, the run ends in time, and each stream has
/// one end.
#[test]
fn a_hostile_stream_harms_no_call() {
    const INTERIM: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    let floods: [Flood; 5] = [
        ("comments", EVENTS, ":\n"),
        ("interim answers", "", INTERIM),
        ("garbage", EVENTS, "\u{1}\u{2} data \r\r\ndata: {]\n\n"),
        (
            "one event",
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ",
            "xxxxxxxx",
        ),
        (
            "requests",
            EVENTS,
            "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n\n",
        ),
    ];
    share::busy();
    for (what, first, over_and_over) in floods {
        let duration = match over_and_over {
            INTERIM => "1500ms",
            _ => "700ms",
        };
        hostile(what, 1, duration, move |connection| {
            connection.write(first);
            connection.flood_raw(over_and_over)
        });
    }
}

/// The same of streams that keep no CPU busy.
#[test]
fn a_stream_that_is_none_harms_no_call() {
    share::one_part();
    // They mostly wait.
    thread::scope(|scope| {
        scope.spawn(|| {
            hostile("an end at once", 1, "1s", |connection| {
                connection.open_stream();
                connection.end_stream()
            });
        });
        scope.spawn(|| {
            hostile("a close at once", 1, "1s", |connection| {
                connection.open_stream();
                Next::Close
            });
        });
        scope.spawn(|| {
            hostile("a redirect", 1, "1s", |connection| {
                connection.answer(307, &[("Location", "http://127.0.0.1:1/mcp")], "")
            });
        });
        scope.spawn(|| hostile("no head", 1, "2500ms", |connection| connection.hang()));
        // Already before the load.
        scope.spawn(|| {
            hostile("no head before the load", 0, "1s", |connection| {
                connection.hang()
            });
        });
        scope.spawn(|| {
            hostile("interim answers before the load", 0, "1s", |connection| {
                connection.flood_raw("HTTP/1.1 100 Continue\r\n\r\n")
            });
        });
    });
}

/// What the streams from that number on are like. The first call waits up to a second for a
/// head that never comes.
#[track_caller]
fn hostile(
    what: &str,
    from: usize,
    duration: &str,
    stream: impl Fn(&mut Connection) -> Next + Send + Sync + 'static,
) {
    let server = listening(
        move |n, _, connection| {
            if n >= from {
                return stream(connection);
            }
            connection.open_stream();
            connection.hang()
        },
        |request, connection| connection.done(request),
    );
    let arguments = [
        "--tool",
        "work",
        "--vus",
        "3",
        "--duration",
        duration,
        "--workers",
        "1",
        "--protocol",
        "legacy",
        "--timeout",
        "20s",
        "--think",
        "10ms",
    ];
    let program = load_run(&server.url(), &arguments).time_limit(IN_TIME);
    let report = program.run().expect_made().checked_report();
    assert_eq!(report["totals"]["failed"], 0, "{what}: {report:#}");
    assert!(count(&report["totals"]["ok"]) > 10, "{what}: {report:#}");
    if from > 0 {
        let listen = streams(&report);
        assert!(
            count(&listen["opening"]["started"]) >= 3,
            "{what}: {listen:#}"
        );
    } else {
        assert_eq!(report["server"]["stream"]["offered"], false, "{what}");
        assert_eq!(report["listen"], Value::Null, "{what}");
    }
}

/// A stream is held up by nothing but its session's end, and holds nothing up.
#[cfg(target_os = "linux")]
#[test]
fn two_signals_end_a_run_whose_streams_flood() {
    let server = listening(
        |n, _, connection| {
            connection.write(EVENTS);
            match n {
                0 => connection.hang(),
                _ => connection.flood_raw(":\n"),
            }
        },
        |_, connection| connection.hang(),
    );
    let arguments = [
        "--tool",
        "work",
        "--vus",
        "3",
        "--duration",
        "1h",
        "--timeout",
        "1h",
    ];
    let program = load_run(&server.url(), &arguments).time_limit(IN_TIME);
    share::busy();
    let mut running = program.spawn();
    running.wait_until("calls", |_| server.count("tools/call") == 3);
    let report = running.interrupt_twice().expect_code(130).checked_report();
    assert_eq!(streams(&report)["opening"]["ok"], 3, "{report:#}");
    assert_eq!(report["totals"]["cancelled"], 3, "{report:#}");
}

/// Names that a server makes up are bounded, and cleaned of secrets.
#[test]
fn names_of_methods_are_bounded_and_hold_no_secret() {
    let server = listening(
        |_, _, connection| {
            connection.open_stream();
            for n in 0..100 {
                let method = format!("say/{n}/of-the-hidden-token");
                connection.chunk(&format!(
                    "data: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\"}}\n\n"
                ));
            }
            connection.chunk("data: {\"jsonrpc\":\"2.0\",\"id\":\"last\",\"method\":\"ping\"}\n\n");
            connection.hang()
        },
        |request, connection| {
            connection.wait_for(|request| request.message()["id"] == json!("last"));
            connection.done(request)
        },
    );
    share::one_part();
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", "1"];
    let secret = ["--header", "X-Key: of-the-hidden-token"];
    let program = load_run(&server.url(), &[&arguments[..], &secret].concat());
    let finished = program.time_limit(IN_TIME).run().expect_code(0);
    let report = finished.checked_report();
    let listen = streams(&report);
    let names = listen["notifications"].as_object().expect("names");
    assert_eq!(names.len(), 32, "{listen:#}");
    assert_eq!(listen["others"], 68, "{listen:#}");
    assert!(!report.to_string().contains("hidden-token"), "{listen:#}");
    assert!(
        !finished.stdout.contains("hidden-token"),
        "{}",
        finished.stdout
    );
}

#[test]
fn a_search_holds_streams_too() {
    let server = pushing(50 * MS);
    share::beside(5);
    let url = server.url();
    let arguments = [
        "find",
        &url,
        "--tool",
        "echo",
        "--args",
        r#"{"text":"hi"}"#,
        "--protocol",
        "legacy",
        "--to",
        "2",
        "--quick",
        "--no-pin",
        "--max-errors",
        "5%",
        "--deadline",
        "4s",
    ];
    let finished = loadtest(&arguments)
        .time_limit(Duration::from_secs(60))
        .run();
    let said = &finished.stdout;
    assert!(
        said.contains("2 connections a user (GET stream held)"),
        "{finished}"
    );
    let stats = settled(server);
    assert!(stats.streams_opened > 1, "{stats:?}");
    assert_eq!(stats.streams_open, 0);
}

/// A run of so many iterations by users of a modern server, who subscribe.
fn run_subscribed(url: &str, topics: &str, more: &[&str]) -> Finished {
    share::one_part();
    let arguments = ["--protocol", "modern", "--subscribe", topics];
    let program = load_run(url, &[&arguments[..], more].concat());
    program.time_limit(IN_TIME).run()
}

#[test]
fn users_of_a_modern_server_hold_what_they_subscribe_to() {
    let server = pushing(20 * MS);
    let more = [&ECHO[..], &["--vus", "3", "--duration", "1s"]].concat();
    let topics = "tools,uri:demo://readme,uri:demo://none";
    let finished = run_subscribed(&server.url(), topics, &more).expect_code(0);
    let report = finished.checked_report();
    let listen = streams(&report);
    let stats = settled(server);
    assert_eq!(listen["opening"]["ok"], 3, "{listen:#}");
    assert_eq!(
        (listen["open_max"].clone(), stats.streams_opened),
        (json!(3), 3)
    );
    assert_eq!((stats.streams_open, stats.in_flight), (0, 0));
    let names = listen["notifications"].as_object().expect("names");
    let names: Vec<&str> = names.keys().map(String::as_str).collect();
    let told = [
        "notifications/resources/updated",
        "notifications/tools/list_changed",
    ];
    assert_eq!(names, told, "{listen:#}");
    assert_eq!(count(&report["totals"]["ok"]), stats.tool_calls);
    assert_eq!(report["plan"]["subscribe"][1], "uri:demo://readme");
    let said = "2 connections a user (subscription held)";
    assert!(finished.stdout.contains(said), "{finished}");
}

#[test]
fn subscriptions_are_of_the_modern_era() {
    let server = quick_demo();
    share::one_part();
    let arguments = ["--protocol", "legacy", "--subscribe", "tools"];
    let finished = load_run(&server.url(), &[&ECHO[..], &arguments].concat()).run();
    let said = finished.expect_code(2).stderr;
    let fault = "--subscribe: needs revision 2026-07-28, and `--protocol` is `legacy`";
    assert!(said.contains(fault), "{said}");
    assert_eq!(server.stats().tool_calls, 0);
    // Which revision this one speaks is found out.
    let older = FakeServer::start(legacy);
    let arguments = ["--subscribe", "tools", "--no-preflight"];
    let finished = load_run(&older.url(), &arguments).run();
    let said = finished.expect_code(2).stderr;
    let fault = "`subscribe` needs revision 2026-07-28";
    assert!(said.contains(fault), "{said}");
    let finished = load_run(&server.url(), &["--subscribe", "tool"]).run();
    assert!(finished.expect_code(2).stderr.contains("`prompts`"));
}

/// A modern server, but for what it does on each subscription, which are numbered from 0.
/// A subscription for which `on_listen` returns nothing goes on in silence. Calls are
/// answered once this many have been told all that they are.
fn telling(
    n_streams: usize,
    on_listen: impl Fn(usize, &Request, &mut Connection) -> Option<Next> + Send + Sync + 'static,
) -> FakeServer {
    let (begun, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
    FakeServer::start(move |request, connection| {
        let result = match request.method().as_str() {
            "server/discover" => json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {"listChanged": true}},
            }),
            "tools/list" => json!({
                "resultType": "complete",
                "tools": [{"name": "work", "inputSchema": {"type": "object"}}],
            }),
            "subscriptions/listen" => {
                let n = begun.fetch_add(1, Ordering::SeqCst);
                let next = on_listen(n, request, connection);
                told.fetch_add(1, Ordering::SeqCst);
                return next.unwrap_or_else(|| connection.hang());
            }
            _ => {
                connection.wait_until(|| told.load(Ordering::SeqCst) >= n_streams);
                json!({"resultType": "complete", "content": []})
            }
        };
        connection.json(&request.result(&result))
    })
}

/// Who says 200 and no more does not refuse, whatever comes in place of the word.
#[test]
fn a_subscription_that_is_not_acknowledged_is_no_refusal() {
    let server = telling(4, |n, request, connection| {
        if n == 0 {
            return Some(connection.json(&request.result(&json!({"resultType": "complete"}))));
        }
        connection.open_stream();
        match n {
            1 => connection.chunk(&format!("data: {NOTIFICATION}\n\n")),
            2 => {
                let error = json!({"code": -32601, "message": "no such method"});
                connection.chunk(&format!("data: {}\n\n", request.error(&error)));
            }
            _ => {}
        }
        Some(connection.end_stream())
    });
    let arguments = ["--tool", "work", "--vus", "4", "--iterations", "4"];
    let finished = run_subscribed(&server.url(), "tools", &arguments).expect_code(0);
    let report = finished.checked_report();
    let listen = streams(&report);
    assert_eq!(
        (&listen["refused"], &listen["unacknowledged"]),
        (&json!(1), &json!(3)),
        "{listen:#}"
    );
    let expected = [
        ("jsonrpc.-32601".to_string(), 1),
        ("protocol.not_acknowledged".to_string(), 3),
    ];
    let mut found = causes(&listen["opening"]);
    found.sort();
    assert_eq!(found, expected, "{listen:#}");
    assert!(
        finished.stdout.contains("1 refused, 3 not acknowledged"),
        "{finished}"
    );
    assert!(
        finished.stdout.contains("no subscription held"),
        "{finished}"
    );
}

#[test]
fn a_subscription_that_stays_silent_is_not_acknowledged() {
    let server = telling(1, |_, _, connection| {
        connection.open_stream();
        None
    });
    let arguments = [
        "--tool=work",
        "--vus=1",
        "--iterations=1",
        "--timeout=500ms",
    ];
    let finished = run_subscribed(&server.url(), "tools", &arguments).expect_code(0);
    let report = finished.checked_report();
    let listen = streams(&report);
    let expected = [("protocol.not_acknowledged".to_string(), 1)];
    assert_eq!(causes(&listen["opening"]), expected, "{listen:#}");
    assert_eq!(listen["unacknowledged"], 1, "{listen:#}");
}

/// Each stream has one end, and the next request another id.
#[test]
fn a_subscription_is_followed_from_its_acknowledgement_to_its_end() {
    let server = telling(5, subscription);
    // What came with the first answer is read before the second: the last stream is open by
    // the end.
    let arguments = ["--tool", "work", "--vus", "1", "--iterations", "2"];
    let finished = run_subscribed(&server.url(), "tools", &arguments).expect_code(0);
    let report = finished.checked_report();
    let listen = streams(&report);
    // The first ended with the server's word, the last with the run.
    assert_eq!(
        (&listen["ended"], &listen["ended_by_server"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(
        causes_of(&listen["broken_by"]),
        ["jsonrpc.-32000", "protocol.stream_ended"]
    );
    let refused = causes_of(&listen["opening"]["failures"]);
    assert_eq!(refused, ["protocol.wrong_id"], "{listen:#}");
    let requests = server.log_of("subscriptions/listen");
    let ids: Vec<Value> = requests.iter().map(id_of).collect();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    for request in &requests {
        assert_eq!(request.header("mcp-method"), Some("subscriptions/listen"));
        let params = &request.message()["params"];
        assert_eq!(params["notifications"], json!({"toolsListChanged": true}));
        assert!(params["_meta"].is_object(), "{params}");
    }
}

/// What becomes of the stream with this number, from 0.
fn subscription(n: usize, request: &Request, connection: &mut Connection) -> Option<Next> {
    let id = id_of(request);
    let told = |method: &str, id: &Value| {
        let meta = json!({"io.modelcontextprotocol/subscriptionId": id});
        let params = json!({"_meta": meta, "notifications": {"toolsListChanged": true}});
        let message = json!({"jsonrpc": "2.0", "method": method, "params": params});
        format!("retry: 1\ndata: {message}\n\n")
    };
    let acknowledged = "notifications/subscriptions/acknowledged";
    connection.open_stream();
    if n == 2 {
        connection.chunk(&told(acknowledged, &json!(4711)));
        return None;
    }
    connection.chunk(&told(acknowledged, &id));
    connection.chunk(&told("notifications/tools/list_changed", &id));
    let last = match n {
        0 => request.result(&json!({"resultType": "complete"})),
        1 => return Some(connection.end_stream()),
        3 => request.error(&json!({"code": -32000, "message": "enough"})),
        _ => return None,
    };
    connection.chunk(&format!("data: {last}\n\n"));
    Some(connection.end_stream())
}

/// The causes by name, in alphabetical order.
fn causes_of(counts: &Value) -> Vec<String> {
    let ids = counts.as_array().expect("causes").iter();
    let mut ids: Vec<String> = ids
        .map(|it| it["id"].as_str().expect("an id").to_string())
        .collect();
    ids.sort();
    ids
}
