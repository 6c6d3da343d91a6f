//! How a server is reached: proxies, rules for names, several addresses, connections.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
#[cfg(target_os = "linux")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[cfg(target_os = "linux")]
use crate::acceptor::Acceptor;
use crate::fake_server::{FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, advice, causes, count, list, load_run};
use crate::program::{Finished, Program, loadtest};
#[cfg(target_os = "linux")]
use crate::resolver::{CHANGING_HOST, ChangingName};
use crate::tls_server::{Party, Speaks, TlsFront};
use crate::told::Tells;
#[cfg(target_os = "linux")]
use crate::tunnel::relay;
use crate::tunnel::{Tunnel, read_head};

/// A host that no resolver knows: whoever reaches it was led there.
const HOST: &str = "mcp.server.test";

/// A section of what users read.
const NAMES: &str = "Names and addresses";

/// Four calls of two users.
const CALLS: [&str; 6] = ["--tool", "work", "--vus", "2", "--iterations", "4"];

/// A run with everything that it says.
fn told_run(url: &str, more: &[&str]) -> Program {
    loadtest(&[&["run", url, "--no-pin"], &CALLS[..], more].concat())
}

/// Neither shown nor written.
#[track_caller]
fn assert_hidden(finished: &Finished, secrets: &[&str]) {
    let written = finished.written(&[]);
    for secret in secrets {
        assert!(!written.contains(secret), "{secret}: {written}");
    }
}

#[test]
fn plain_requests_name_the_whole_url_to_the_proxy_of_the_environment() {
    let proxy = FakeServer::start(legacy);
    let address = proxy.address().to_string();
    let url = format!("http://{HOST}:8123/mcp?x=1");
    let finished = told_run(&url, &[])
        .env(
            "HTTP_PROXY",
            &format!("http://us%65r:p%40ss%2540w0rd@{address}"),
        )
        .run()
        .expect_code(0);
    let log = proxy.log();
    assert!(log.len() > 4, "{finished}");
    for request in &log {
        assert_eq!(request.path, url);
        assert_eq!(request.header("host"), Some("mcp.server.test:8123"));
        // `user:p@ss%40w0rd`: decoded once.
        let credentials = "Basic dXNlcjpwQHNzJTQwdzByZA==";
        assert_eq!(request.header("proxy-authorization"), Some(credentials));
    }
    let line = format!("through {address} (HTTP_PROXY)");
    assert!(finished.stdout.contains(&line), "{finished}");
    let case = "requests go through a proxy of the environment";
    let finished = finished.tells_lines("Proxies", case, &["through 127"]);
    let report = finished.checked_report();
    let used = &report["server"]["proxy"];
    assert_eq!(
        (&used["address"], &used["past"]),
        (&Value::from(address), &Value::Null)
    );
    let secrets = ["p@ss%40w0rd", "p%40ss%2540w0rd", "dXNlcjpwQHNzJTQwdzByZA=="];
    assert_hidden(&finished, &secrets);
}

#[test]
fn this_machine_goes_past_the_environment_and_not_past_a_flag() {
    let (server, proxy) = (FakeServer::start(legacy), FakeServer::start(legacy));
    let (url, of_proxy) = (server.url(), proxy.address().to_string());
    let finished = told_run(&url, &[]).env("ALL_PROXY", &of_proxy).run();
    let finished = finished.expect_code(0);
    let line = format!("past {of_proxy} (ALL_PROXY): the server is on this machine");
    assert!(finished.stdout.contains(&line), "{finished}");
    let case = "this machine goes past a proxy of the environment";
    finished.tells_lines("Proxies", case, &["past 127"]);
    assert_eq!((server.count("tools/call"), proxy.log().len()), (4, 0));

    let finished = told_run(&url, &["--proxy", &of_proxy]).run().expect_code(0);
    let line = format!("through {of_proxy} (--proxy)");
    assert!(finished.stdout.contains(&line), "{finished}");
    assert_eq!(
        (server.count("tools/call"), proxy.count("tools/call")),
        (4, 4)
    );

    let around = [
        "--proxy",
        &of_proxy,
        "--no-proxy",
        "example.com, 127.0.0.0/8",
    ];
    let finished = told_run(&url, &around).run().expect_code(0);
    let line = format!("past {of_proxy} (--proxy): `127.0.0.0/8` goes without one");
    assert!(finished.stdout.contains(&line), "{finished}");
    let case = "an entry of `--no-proxy` that has the server";
    finished.tells_lines("Proxies", case, &["past 127"]);
    assert_eq!(
        (server.count("tools/call"), proxy.count("tools/call")),
        (8, 4)
    );
    let mut checked = vec!["check", "a.toml"];
    checked.extend(around);
    let config = format!("[settings]\nurl = \"{url}\"\n[[scenario]]\ntype = \"ping\"\n");
    let finished = loadtest(&checked)
        .file("a.toml", &config)
        .run()
        .expect_code(0);
    assert!(finished.stdout.contains("goes without one"), "{finished}");
}

/// What becomes of CONNECT: who asks, and what the user reads.
#[test]
fn a_refusal_by_the_proxy_has_its_own_kind_and_says_what_to_change() {
    let url = format!("https://{HOST}/mcp");
    let check = |case: &str, status: u16, expected: &str| {
        let proxy = FakeServer::start(move |_, connection| connection.answer(status, &[], ""));
        let of_proxy = format!("http://name:hunter2-secret@{}", proxy.address());
        let told = told_run(&url, &["--proxy", &of_proxy]).run().expect_code(1);
        let told = told.tells("Proxies", case);
        let refusal = format!("refused the way to {HOST}:443: status {status}");
        assert!(told.stderr.contains(&refusal), "{told}");
        assert!(told.stderr.contains(expected), "{told}");
        assert_hidden(&told, &["hunter2-secret"]);
        let request = &proxy.log()[0];
        assert_eq!(
            (request.verb.as_str(), request.path.as_str()),
            ("CONNECT", "mcp.server.test:443")
        );
        assert!(request.header("proxy-authorization").is_some());
    };
    let (wants_name, forbids) = ("a proxy that wants a name", "a proxy that forbids the host");
    check(wants_name, 407, "name:password@host:port");
    check(forbids, 403, "ask who runs it");
    check("a proxy that finds no server", 502, "--no-proxy");
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let of_closed = closed.local_addr().expect("bound").to_string();
    drop(closed);
    for (case, url) in [
        (
            "nobody listens where the proxy for `https` should be",
            url.as_str(),
        ),
        (
            "nobody listens where the proxy for `http` should be",
            "http://mcp.server.test/mcp",
        ),
    ] {
        let told = told_run(url, &["--proxy", &of_closed]).run().expect_code(1);
        let told = told.tells("Proxies", case);
        assert!(told.stderr.contains("cannot be reached"), "{told}");
        assert!(told.stderr.contains("check the address"), "{told}");
    }
    // While the load goes on, a proxy that no longer knows the user.
    let proxy = FakeServer::on_call(|_, connection| {
        connection.answer(407, &[("Content-Type", "text/plain")], "who are you?")
    });
    let of_proxy = proxy.address().to_string();
    let words = [&CALLS[..], &["--proxy", &of_proxy]].concat();
    let finished = load_run("http://mcp.server.test/mcp", &words)
        .run()
        .expect_made();
    let report = finished.checked_report();
    assert_eq!(
        causes(&report["totals"]),
        [("connect.proxy".to_string(), 4)],
        "{finished}"
    );
    assert!(finished.stdout.contains("407: who are you?"), "{finished}");
    let case = "a proxy that refuses a plain request in mid-run";
    finished.tells_lines("Proxies", case, &["connect.proxy"]);
}

/// A way through is TLS from its first byte on; who never opens one is not waited for
/// longer than `--connect-timeout`.
#[test]
fn tls_goes_through_the_tunnel_and_a_silent_proxy_is_given_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let of_proxy = listener.local_addr().expect("bound").to_string();
    let seen = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        read_head(&mut stream).expect("a head");
        // An interim answer first, byte by byte.
        for byte in b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nVia: x\r\n\r\n" {
            stream.write_all(&[*byte]).expect("the client is there");
        }
        let mut hello = [0; 3];
        stream.read_exact(&mut hello).expect("TLS begins");
        hello
    });
    let url = format!("https://{HOST}/mcp");
    let told = told_run(&url, &["--proxy", &of_proxy]).run().expect_code(1);
    assert_eq!(seen.join().expect("the proxy")[..2], [0x16, 3], "{told}");
    assert!(told.stderr.contains("no TLS connection"), "{told}");

    let silent = FakeServer::start(|_, connection| connection.hang());
    let of_silent = silent.address().to_string();
    let words = [
        "--proxy",
        &of_silent,
        "--connect-timeout",
        "200ms",
        "--timeout",
        "50s",
    ];
    let began = Instant::now();
    let told = told_run(&url, &words).run().expect_code(1);
    let words = format!("timed out while waiting for the proxy {of_silent}");
    assert!(told.stderr.contains(&words), "{told}");
    assert!(!told.stderr.contains("`http://`"), "{told}");
    assert!(told.stderr.contains("--no-proxy"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(40), "{told}");
    told.tells("Proxies", "a proxy that is silent to CONNECT");
}

#[test]
fn what_cannot_be_is_told_at_once_and_before_any_load() {
    let words = [
        "--proxy",
        "socks5://user:hunter2@p:1080",
        "--no-proxy",
        "10.0.0.0/99",
        "--resolve",
        "a.test:80",
        "--bind",
        "here",
    ];
    let told = told_run("http://mcp.server.test/mcp", &words)
        .run()
        .expect_code(2)
        .tells("Proxies", "words that cannot be meant");
    for part in ["SOCKS", "`10.0.0.0/99`", "`a.test:80`", "`here`"] {
        assert!(told.stderr.contains(part), "{part}: {told}");
    }
    assert_hidden(&told, &["hunter2"]);
    // A variable that would be used is held to the same, and one that would not is not.
    let run = |url: &str| {
        told_run(url, &[])
            .env("https_proxy", "socks5h://p:1080")
            .run()
    };
    let told = run("https://mcp.server.test/mcp").expect_code(2);
    let told = told.tells("Proxies", "a variable that names no HTTP proxy");
    assert!(
        told.stderr.contains("https_proxy") && told.stderr.contains("--no-proxy"),
        "{told}"
    );
    let server = FakeServer::start(legacy);
    run(&server.url()).expect_code(0);
    let told = told_run(&server.url(), &["--bind", "192.0.2.1"])
        .run()
        .expect_code(1)
        .tells(NAMES, "an address to come from that is not this host's");
    assert!(
        told.stderr.contains("`--bind 192.0.2.1` is not possible"),
        "{told}"
    );
    let told = told_run("http://[fe80::1%25no-such]:9/mcp", &[])
        .run()
        .expect_code(1)
        .tells(NAMES, "a zone that this host has not got");
    assert!(told.stderr.contains("no interface `no-such`"), "{told}");
}

/// Servers at several addresses of loopback with the same port.
fn servers<const N: usize>() -> [FakeServer; N] {
    let first = FakeServer::legacy_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let port = first.address().port();
    let mut servers = vec![first];
    for last in 2..=u8::try_from(N).expect("a few") {
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port));
        servers.push(FakeServer::legacy_at(address));
    }
    servers.try_into().unwrap_or_else(|_| panic!("{N} servers"))
}

/// The rule that leads to all of them.
fn rule(servers: &[FakeServer]) -> String {
    let addresses = servers
        .iter()
        .map(|server| server.address().ip().to_string());
    let addresses: Vec<String> = addresses.collect();
    format!(
        "{HOST}:{}:{}",
        servers[0].address().port(),
        addresses.join(",")
    )
}

#[test]
fn connections_go_to_several_addresses_in_turn() {
    let servers = servers::<3>();
    let url = format!("http://{HOST}:{}/mcp", servers[0].address().port());
    let rule = rule(&servers);
    let words = [
        "--tool",
        "work",
        "--vus",
        "6",
        "--iterations",
        "60",
        "--resolve",
        &rule,
    ];
    let finished = load_run(&url, &words).run().expect_code(0);
    for (i, server) in servers.iter().enumerate() {
        // One more looks for the server beforehand.
        let expected = if i == 0 { 3 } else { 2 };
        assert_eq!(server.n_connections(), expected, "{i}: {finished}");
        assert!(
            server
                .log()
                .iter()
                .all(|it| it.header("host") == url[7..].split('/').next())
        );
    }
    assert!(finished.stdout.contains("3 addresses"), "{finished}");
    let report = finished.checked_report();
    assert_eq!(report["server"]["addresses"], 3);
    let addresses = list(&report["addresses"]);
    let ended: Vec<u64> = addresses
        .iter()
        // On a busy machine the users of an address may come too late for any call.
        .map(|it| it["calls"]["ended"].as_u64().unwrap_or(0))
        .collect();
    let called: Vec<u64> = servers
        .iter()
        .map(|it| it.count("tools/call") as u64)
        .collect();
    assert_eq!(ended, called, "{report:#}");
    assert_eq!(ended.iter().sum::<u64>(), 60);
}

/// All that a user does is done at one of them, though each request has a connection of its
/// own.
#[test]
fn users_keep_to_their_address_where_they_are_pinned() {
    let servers = servers::<2>();
    let config = format!(
        "[settings]\nurl = \"http://{HOST}:{}/mcp\"\nresolve = [\"{}\"]\n\
         addresses = \"pinned\"\ncalls_per_connection = 1\nvirtual_users = 4\n\
         iterations = 40\npacing = \"20ms\"\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n\
         arguments = {{ user = \"{{{{vu}}}}\" }}\n",
        servers[0].address().port(),
        rule(&servers)
    );
    let finished = loadtest(&["run", "--config", "a.toml", "--no-pin", "--quiet"])
        .file("a.toml", &config)
        .run()
        .expect_code(0);
    for (i, server) in servers.iter().enumerate() {
        let calls = server.log_of("tools/call");
        assert!(!calls.is_empty(), "{finished}");
        for call in &calls {
            let user = &call.message()["params"]["arguments"]["user"];
            let user = user.as_u64().expect("its number, from 1");
            assert_eq!(user as usize % 2, 1 - i, "user {user} at {i}");
        }
        let log = server.log();
        let connections: BTreeSet<usize> = log.iter().map(|it| it.connection).collect();
        assert_eq!(connections.len(), log.len(), "{finished}");
        let closes = |it: &Request| it.header("connection") == Some("close");
        assert!(log.iter().all(closes), "{finished}");
    }
    let counters = &finished.checked_report()["counters"];
    assert_eq!(counters["reconnects_server_closed"], 0);
}

#[test]
fn connections_are_closed_after_so_many_requests() {
    let run = |more: &str, flags: &[&str]| {
        let server = FakeServer::start(legacy);
        let config = format!(
            "[settings]\nurl = \"{}\"\nvirtual_users = 1\niterations = 9\n{more}\n\
             [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n",
            server.url()
        );
        let words = ["run", "--config", "a.toml", "--no-pin", "--quiet"];
        let program = loadtest(&[&words, flags].concat()).file("a.toml", &config);
        let finished = program.run().expect_code(0);
        let mut by_connection = BTreeMap::new();
        for request in server.log() {
            *by_connection.entry(request.connection).or_insert(0) += 1;
        }
        let counters = finished.checked_report()["counters"].clone();
        assert_eq!(counters["reconnects_server_closed"], 0, "{finished}");
        let counts: Vec<u32> = by_connection.into_values().collect();
        counts
    };
    let counts = run("calls_per_connection = 3", &[]);
    assert!(
        counts.iter().all(|n| *n <= 3) && counts.contains(&3),
        "{counts:?}"
    );
    let counts = run("calls_per_connection = 3", &["--no-keepalive"]);
    assert!(
        counts.len() > 9 && counts.iter().all(|n| *n == 1),
        "{counts:?}"
    );
    // Whoever looks for the server has one of its own.
    assert_eq!(run("", &[]).len(), 2);
}

#[test]
#[cfg(target_os = "linux")]
fn connections_come_from_the_addresses_that_they_are_bound_to() {
    let server = FakeServer::start(legacy);
    let words = [&CALLS[..], &["--bind", "127.0.0.5", "--bind", "127.0.0.6"]].concat();
    let finished = load_run(&server.url(), &words).run().expect_code(0);
    let expected = ["127.0.0.5", "127.0.0.6"].map(str::to_string);
    assert_eq!(server.peers(), BTreeSet::from(expected), "{finished}");
    let config = &finished.checked_report()["plan"]["network"];
    assert_eq!(list(&config["bind"]).len(), 2, "{config}");
}

/// Where there is a proxy, each command that speaks to the server goes through it.
#[test]
fn all_commands_know_the_proxy() {
    let proxy = FakeServer::start(|request, connection| match request.method().as_str() {
        "resources/list" | "resources/templates/list" | "prompts/list" => {
            let error = json!({"code": -32601, "message": "no"});
            connection.json(&request.error(&error))
        }
        _ => legacy(request, connection),
    });
    let of_proxy = proxy.address().to_string();
    let url = "http://mcp.server.test/mcp";
    for words in [
        &["try", "--url", url, "--tool", "work"][..],
        &["init", url, "--output", "-"],
    ] {
        let before = proxy.log().len();
        let finished = loadtest(words).env("http_proxy", &of_proxy).run();
        assert!(proxy.log().len() > before, "{finished}");
        assert!(!finished.stderr.contains("cannot resolve"), "{finished}");
    }
    assert!(proxy.log().iter().all(|it| it.path == url));
    drop(proxy);
    let words = ["find", url, "--tool", "work", "--max-p99", "9s"];
    let told = loadtest(&words)
        .env("http_proxy", &of_proxy)
        .run()
        .expect_code(1);
    assert!(told.stderr.contains("cannot be reached"), "{told}");
}

/// The handler that [`FakeServer::start`] takes closes what it wants closed.
#[test]
fn a_proxy_that_hangs_up_is_told_as_such() {
    let proxy = FakeServer::start(|_, _| Next::Close);
    let of_proxy = proxy.address().to_string();
    let url = format!("https://{HOST}/mcp");
    let told = told_run(&url, &["--proxy", &of_proxy]).run().expect_code(1);
    let words = format!("to the proxy {of_proxy} was closed before");
    assert!(told.stderr.contains(&words), "{told}");
    told.tells("Proxies", "a proxy that hangs up on CONNECT");
}

/// What a proxy of plain requests does to them is not the server's.
#[test]
fn a_proxy_of_plain_requests_is_named_where_it_may_be_to_blame() {
    let url = "http://mcp.server.test/mcp";
    let check = |case: &str, proxy: &FakeServer| {
        let of_proxy = proxy.address().to_string();
        let told = told_run(url, &["--proxy", &of_proxy, "--timeout=300ms"]).run();
        let told = told.expect_code(1).tells("Proxies", case);
        let hint = format!("requests go through the proxy {of_proxy}: `--no-proxy '*'`");
        assert!(told.stderr.contains(&hint), "{told}");
        told
    };
    let silent = FakeServer::start(|_, connection| connection.hang());
    let told = check("a proxy that is silent to plain requests", &silent);
    assert!(told.stderr.contains("(through the proxy 127"), "{told}");
    let closes = FakeServer::start(|_, _| Next::Close);
    let told = check("a proxy that hangs up on plain requests", &closes);
    assert!(told.stderr.contains("(through the proxy 127"), "{told}");
    let garbles = FakeServer::start(|_, connection| {
        connection.write("\x00\x01rubbish\r\n\r\n");
        Next::Close
    });
    let told = check("a proxy that answers in no HTTP", &garbles);
    assert!(!told.stderr.contains("check the path"), "{told}");
    let page = FakeServer::start(|_, connection| {
        let html = [("Content-Type", "text/html")];
        connection.answer(503, &html, "<html>no such host</html>")
    });
    check("a proxy with a page of its own", &page);
}

/// A tunnel that breaks in mid-call is not reported as a connection that was idle too
/// long, and the program does not panic.
#[test]
fn a_way_that_breaks_in_mid_run_is_not_blamed_on_idle_connections() {
    type Spoil = fn(&Tunnel);
    const PLAIN: &str = "HTTP/1.1 500 plain text in the midst of TLS\r\n\r\n";
    let cases: [(&str, Spoil); 2] = [
        ("a way through a proxy that is cut in mid-run", Tunnel::cut),
        ("plain text in the midst of TLS", |way| way.inject(PLAIN)),
    ];
    for (case, spoil) in cases {
        let root = Party::root("House Root");
        let way: Arc<OnceLock<Tunnel>> = Arc::default();
        let of_server = Arc::clone(&way);
        let n_calls = AtomicUsize::new(0);
        let server = FakeServer::on_call(move |request, connection| {
            if n_calls.fetch_add(1, Relaxed) == 3 {
                spoil(of_server.get().expect("a tunnel"));
                return connection.hang();
            }
            connection.done(request)
        });
        let party = root.server(&[HOST]);
        let front = TlsFront::start(&server.url(), &party, Vec::new(), Speaks::usual());
        let tunnel = way.get_or_init(|| Tunnel::to(front.address()));
        let url = format!("https://{HOST}/mcp");
        let of_proxy = tunnel.address();
        let words = ["--tool=work", "--vus=1", "--iterations=6", "--think=5ms"];
        let more = ["--ca=ca.pem", "--proxy", &of_proxy];
        let run = load_run(&url, &[&words[..], &more].concat());
        let finished = run.file("ca.pem", &root.pem()).run().expect_code(0);
        let expected = [("connect.lost_reused".to_string(), 1)];
        let report = finished.checked_report();
        assert_eq!(causes(&report["totals"]), expected, "{case}: {finished}");
        assert!(!finished.stdout.contains("uvicorn"), "{finished}");
        let named = format!("the proxy {of_proxy} or the server");
        let advice = report["advice"].to_string();
        assert!(advice.contains(&named), "{advice}");
        assert!(tunnel.asked().iter().all(|it| it == "mcp.server.test:443"));
    }
}

/// Whoever meets the dead one goes on to the next, and it is told how often that was.
#[test]
fn an_address_that_takes_no_connection_is_counted_and_told() {
    let servers = servers::<2>();
    let (rule, port) = (rule(&servers), servers[0].address().port());
    let [server, dead] = servers;
    drop(dead);
    let url = format!("http://{HOST}:{port}/mcp");
    let words = [
        "--tool=work",
        "--vus=2",
        "--iterations=10",
        "--no-keepalive",
    ];
    let run = load_run(&url, &[&words[..], &["--resolve", &rule]].concat());
    let finished = run.run().expect_code(0);
    assert_eq!(server.count("tools/call"), 10, "{finished}");
    let report = finished.checked_report();
    assert_eq!(count(&report["totals"]["failed"]), 0, "{report:#}");
    let [alive, dead] = list(&report["addresses"]) else {
        panic!("{:#}", report["addresses"]);
    };
    assert_eq!(alive["address"], format!("127.0.0.1:{port}"));
    assert_eq!((count(&alive["failed"]), count(&dead["connected"])), (0, 0));
    assert_eq!(
        count(&alive["connected"]),
        count(&report["counters"]["connections"])
    );
    assert!(count(&dead["failed"]) >= 5, "{report:#}");
    let words = format!("of 2 addresses that the name leads to, 127.0.0.2:{port} took 0 of ");
    let text = advice(&report, "dead_address").expect("it is told");
    assert!(text.starts_with(&words), "{text}");
    assert!(finished.stdout.contains("took 0 of "), "{finished}");
    let case = "an address of several that takes no connection";
    finished.tells_lines(NAMES, case, &["took 0 of "]);
}

/// The program asks for the name again, in a run and in a search, and goes where it leads.
#[test]
#[cfg(target_os = "linux")]
fn a_name_that_leads_elsewhere_is_followed_while_the_load_goes_on() {
    let [old, new] = servers::<2>();
    let url = format!("http://{CHANGING_HOST}:{}/mcp", old.address().port());
    let config = format!(
        "[settings]\nurl = \"{url}\"\ndns_ttl = \"1s\"\nvirtual_users = 2\n\
         calls_per_connection = 1\nduration = \"50s\"\nthink = \"20ms\"\n\
         [[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n"
    );
    for words in [
        &["run", "--config=a.toml", "--no-pin"][..],
        &[
            "find",
            "--config=a.toml",
            "--from=2",
            "--to=4",
            "--max-p99=20s",
            "--no-pin",
        ],
    ] {
        let before = (old.log().len(), new.log().len());
        let name = ChangingName::new(&["127.0.0.1"]);
        let program = name.known_to(loadtest(words).file("a.toml", &config));
        let mut running = program.spawn();
        running.wait_until("calls where the name leads", |_| {
            old.log().len() > before.0 + 20
        });
        name.lead_to(&["127.0.0.2"]);
        running.wait_until("calls where it leads by now", |_| {
            new.log().len() > before.1 + 20
        });
        let n_old = old.log().len();
        // What cannot be looked up stays as it is.
        name.lead_to(&[]);
        running.wait_until("a word of that", |running| {
            running.stderr().contains("could not be looked up again")
        });
        let n_new = new.log().len();
        running.wait_until("calls as before", |_| new.log().len() > n_new + 20);
        assert!(
            old.log().len() <= n_old + 4,
            "a call under way for each user"
        );
        running.signal(nix::sys::signal::Signal::SIGINT);
        let finished = running.wait();
        let told = "the server's name leads to 1 other address since";
        assert!(finished.stderr.contains(told), "{finished}");
        assert!(!finished.stderr.contains("error"), "{finished}");
        if words[0] == "run" {
            finished.tells_lines(NAMES, "a name that leads elsewhere in mid-run", &[told]);
        }
    }
}

/// As the system's resolver says it.
#[test]
#[cfg(target_os = "linux")]
fn a_name_that_leads_nowhere_is_told() {
    let name = ChangingName::new(&[]);
    let url = format!("http://{CHANGING_HOST}/mcp");
    let finished = name.known_to(told_run(&url, &[])).run().expect_code(1);
    let finished = finished.tells(NAMES, "a name that leads nowhere");
    assert!(
        finished.stderr.contains("cannot resolve the host"),
        "{finished}"
    );
    // A rule for another port does not lead there.
    let rule = format!("--resolve={CHANGING_HOST}:8080:127.0.0.1");
    let finished = name.known_to(told_run(&url, &[&rule])).run().expect_code(1);
    let finished = finished.tells(NAMES, "a rule for another port of the host");
    assert!(
        finished
            .stderr
            .contains("at port 8080, and it is asked for at 80"),
        "{finished}"
    );
}

/// Nothing of a call is on its way while a connection is made: who wants to go need not
/// wait for it, however long it may take.
#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_waits_for_no_handshake() {
    let root = Party::root("House Root");
    let stalls = Arc::new(AtomicBool::new(false));
    let is_stalling = Arc::clone(&stalls);
    let server = FakeServer::on_call(move |request, connection| {
        stalls.store(true, Relaxed);
        connection.done(request)
    });
    let front = TlsFront::start(
        &server.url(),
        &root.server(&["127.0.0.1"]),
        Vec::new(),
        Speaks::usual(),
    );
    let (held, to) = (Arc::new(AtomicUsize::new(0)), front.address());
    let n_held = Arc::clone(&held);
    let stalling = Acceptor::start(move |mut client| {
        if is_stalling.load(Relaxed) {
            n_held.fetch_add(1, Relaxed);
            // Says nothing until the client closes.
            drop(std::io::copy(&mut client, &mut std::io::sink()));
            return;
        }
        drop(relay(client, to));
    });
    let url = format!("https://{}/mcp", stalling.address());
    let words = [
        "--tool=work",
        "--vus=2",
        "--duration=100s",
        "--timeout=50s",
        "--no-keepalive",
    ];
    let run = load_run(&url, &[&words[..], &["--ca=ca.pem"]].concat());
    let mut running = run.file("ca.pem", &root.pem()).spawn();
    running.wait_until("two users in a handshake", |_| held.load(Relaxed) >= 2);
    let began = Instant::now();
    running.signal(nix::sys::signal::Signal::SIGINT);
    let finished = running.wait().expect_code(130);
    // Sessions are ended within two seconds, which needs a connection, too.
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    let totals = finished.checked_report()["totals"].clone();
    assert_eq!(count(&totals["failed"]), 0, "{totals:#}");
}
