//! Servers over TLS, good and bad, and what a user reads of them.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pmcp_loadtest::demo::DemoServer;
use rcgen::{IsCa, KeyPair, date_time_ymd};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
use rustls::{ConnectionTrafficSecrets, ServerConnection};

use crate::acceptor::Acceptor;
use crate::demo::{ECHO, quick_demo};
use crate::fake_server::FakeServer;
use crate::load_run::{LoadRun, causes, count, list, load_run, number};
use crate::program::{Finished, Program, loadtest};
use crate::tls_server::{Party, Speaks, TlsFront};
use crate::told::Tells;
use crate::tunnel::relay;

const HOST: &str = "127.0.0.1";
const CALLS_ECHO: &str =
    "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = { text = \"hi\" }\n";
const BRIEF: [&str; 4] = [
    "--vus=2",
    "--iterations=6",
    "--timeout=20s",
    "--no-preflight",
];

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ECHO, &BRIEF[..], more].concat()
}

/// A run with the certificates of this authority as `ca.pem`, which may be trusted.
fn run_at(front: &TlsFront, trusted: &Party, more: &[&str]) -> Program {
    load_run(&front.url(), &arguments(more)).file("ca.pem", &trusted.pem())
}

/// It does not come to a load, and all of this is said.
#[track_caller]
fn expect_refusal(case: &str, finished: Finished, texts: &[&str]) {
    let finished = finished.expect_code(1).tells("TLS", case);
    for text in texts {
        assert!(finished.stderr.contains(text), "{text}: {finished}");
    }
    assert_eq!(finished.stdout, "", "{finished}");
}

/// A demo server behind a certificate of `root`, and what a run with `--ca` says of it.
#[track_caller]
fn expect_refused(
    case: &str,
    server: &Party,
    above: &[&Party],
    root: &Party,
    more: &[&str],
    texts: &[&str],
) {
    let demo = quick_demo();
    let above = above.iter().map(|party| party.der()).collect();
    let front = TlsFront::start(&demo.url(), server, above, Speaks::usual());
    let more = [&["--ca=ca.pem"], more].concat();
    expect_refusal(case, run_at(&front, root, &more).run(), texts);
}

#[track_caller]
fn expect_fine(demo: &DemoServer, front: &TlsFront, root: &Party, more: &[&str]) -> Finished {
    let before = demo.stats().tool_calls;
    let more = [&["--ca=ca.pem"], more].concat();
    let finished = run_at(front, root, &more).run().expect_code(0);
    assert_eq!(demo.stats().tool_calls - before, 6, "{finished}");
    finished
}

#[test]
fn a_server_of_an_own_authority_is_measured_over_tls() {
    let demo = quick_demo();
    let root = Party::root("House Root");
    let house = root.intermediate("House Issuer");
    let server = house.server(&[HOST]);
    let front = TlsFront::start(&demo.url(), &server, vec![house.der()], Speaks::usual());
    // At a pace, so that each user has its calls.
    let finished = expect_fine(&demo, &front, &root, &["--pacing=100ms"]);
    let report = finished.checked_report();
    let tls = &report["tls"];
    assert_eq!(tls["is_verified"], true, "{tls:#}");
    let agreed = &list(&tls["agreed"])[0];
    assert_eq!(agreed["protocol"], "TLS 1.3", "{tls:#}");
    assert_eq!(agreed["cipher"], "TLS_AES_256_GCM_SHA384", "{tls:#}");
    // One of the server's was before the load, to look at it.
    assert_eq!(count(&agreed["handshakes"]), 2, "{tls:#}");
    assert_eq!(count(&tls["handshake"]["count"]), 2, "{tls:#}");
    assert!(number(&tls["handshake"]["p50_ms"]) > 0.0, "{tls:#}");
    assert!(finished.stdout.contains("TLS 1.3"), "{finished}");
    let seen = front.seen();
    assert_eq!(seen.handshakes, 3, "{seen:?}");
    // An address is not a name to ask for (RFC 6066).
    assert!(seen.names.is_empty(), "{seen:?}");
    // By the environment, in place of the system's.
    let by_environment = run_at(&front, &root, &[]).env("SSL_CERT_FILE", "ca.pem");
    by_environment.run().expect_code(0);
    // And by the config, whose paths are its own.
    let config = format!("[settings]\nca = \"own/ca.pem\"\n{CALLS_ECHO}");
    let with_config = [&BRIEF[..], &["--config=conf/a.toml"]].concat();
    let by_config = load_run(&front.url(), &with_config)
        .file("conf/a.toml", &config)
        .file("conf/own/ca.pem", &root.pem());
    by_config.run().expect_code(0);
}

#[test]
fn certificates_that_are_not_the_servers_are_told_apart() {
    let root = Party::root("House Root");
    expect_refused(
        "a certificate for other hosts",
        &root.server(&["mcp.example.test", "other.example.test"]),
        &[],
        &root,
        &[],
        &[
            "not made out for `127.0.0.1`, but for `mcp.example.test`, `other.example.test`",
            "--server-name NAME",
        ],
    );
    expect_refused(
        "a certificate without a host",
        &root.server(&[]),
        &[],
        &root,
        &[],
        &["it names no host", "subjectAltName"],
    );
    let wild = root.server(&["*.example.test"]);
    let deep = ["--server-name=a.b.example.test"];
    let told = ["not made out for `a.b.example.test`, but for `*.example.test`"];
    expect_refused(
        "a wildcard one level too high",
        &wild,
        &[],
        &root,
        &deep,
        &told,
    );
    let demo = quick_demo();
    let front = TlsFront::start(&demo.url(), &wild, Vec::new(), Speaks::usual());
    expect_fine(&demo, &front, &root, &["--server-name=a.example.test"]);
    let names = front.seen().names;
    assert!(
        names.iter().all(|name| name == "a.example.test"),
        "{names:?}"
    );
}

#[test]
fn certificates_out_of_their_time_are_told_with_their_day() {
    let root = Party::root("House Root");
    let expired = root.server_with(&[HOST], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    });
    let told = [
        "`Test Server` expired on 2021-02-03 (it is 2",
        "renew it at the server",
    ];
    expect_refused("an expired certificate", &expired, &[], &root, &[], &told);
    let early = root.server_with(&[HOST], |params| {
        params.not_before = date_time_ymd(2999, 1, 2);
    });
    let told = ["`Test Server` is valid from 2999-01-02 on only", "clock"];
    expect_refused(
        "a certificate that is not valid yet",
        &early,
        &[],
        &root,
        &[],
        &told,
    );
}

#[test]
fn authorities_that_are_unknown_or_left_out_are_named() {
    let (root, other) = (Party::root("House Root"), Party::root("Other Root"));
    let house = root.intermediate("House Issuer");
    let server = house.server(&[HOST]);
    expect_refused(
        "an unknown authority",
        &server,
        &[&house],
        &other,
        &[],
        &[
            "an authority that is not trusted here: `House Root`",
            "trust it with `--ca FILE`",
        ],
    );
    // The same as a whole, and known: but the server keeps it to itself.
    expect_refused(
        "a missing intermediate certificate",
        &server,
        &[],
        &root,
        &[],
        &[
            "issued by `House Issuer`, which is not trusted here",
            "the server sent no intermediate certificate",
            "or its certificate is missing between",
            "`fullchain`",
        ],
    );
    // What the server sends is the same where no certificate is missing.
    expect_refused(
        "an unknown authority that issued the server's own certificate",
        &root.server(&[HOST]),
        &[],
        &other,
        &[],
        &[
            "`House Root` is an authority of your own",
            "hint: trust `House Root` with `--ca FILE`",
        ],
    );
    expect_refused(
        "an authority's certificate as the server's own",
        &root.server_with(&[HOST], |params| {
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }),
        &[],
        &root,
        &[],
        &[
            "the certificate of an authority (`Test Server`) as its own",
            "CA:FALSE",
        ],
    );
}

#[test]
fn a_certificate_that_signs_itself_is_trusted_by_itself() {
    for is_authority in [false, true] {
        let own = Party::self_signed("Lone", &[HOST], is_authority);
        let told = [
            "`Lone` is signed by itself",
            "`--ca FILE`, where FILE is that certificate",
        ];
        let other = Party::root("Other Root");
        expect_refused(
            "a certificate that signs itself",
            &own,
            &[],
            &other,
            &[],
            &told,
        );
        let demo = quick_demo();
        let front = TlsFront::start(&demo.url(), &own, Vec::new(), Speaks::usual());
        expect_fine(&demo, &front, &own, &[]);
        let finished = run_at(&front, &own, &["--insecure", "--server-name=wrong.test"]).run();
        let finished = finished.expect_code(0);
        assert!(
            finished
                .stdout
                .contains("certificates NOT checked (--insecure)"),
            "{finished}"
        );
        assert!(
            finished
                .stdout
                .contains("notice: certificates are NOT checked"),
            "{finished}"
        );
        let report = finished.checked_report();
        assert_eq!(report["tls"]["is_verified"], false);
        assert_eq!(report["plan"]["network"]["insecure"], true);
        // Trusted is the certificate, for the names that it has.
        let wrong = ["--ca=ca.pem", "--server-name=wrong.test"];
        expect_refusal(
            "another name than `--server-name` says",
            run_at(&front, &own, &wrong).run(),
            &["not made out for `wrong.test`"],
        );
    }
}

/// As in May of 2020, when many clients gave up.
#[test]
fn a_valid_path_is_found_beside_one_that_expired() {
    let (old, new) = (Party::root("Old Root"), Party::root("New Root"));
    let house = new.intermediate("House Issuer");
    let server = house.server(&[HOST]);
    let expired = old.cross_sign(&new, |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2020, 5, 30);
    });
    let demo = quick_demo();
    let chain = vec![house.der(), expired];
    let front = TlsFront::start(&demo.url(), &server, chain, Speaks::usual());
    let both = format!("{}{}", old.pem(), new.pem());
    let run = load_run(&front.url(), &arguments(&["--ca=ca.pem"])).file("ca.pem", &both);
    run.run().expect_code(0);
}

#[test]
fn a_server_may_want_a_certificate_of_the_client() {
    let (root, clients) = (Party::root("House Root"), Party::root("Clients Root"));
    let server = root.server(&[HOST]);
    let keys = [
        (
            include_str!("../tls/keys/ec.pkcs8.pem"),
            include_str!("../tls/keys/ec.pkcs8.pem"),
        ),
        (
            include_str!("../tls/keys/ec.pkcs8.pem"),
            include_str!("../tls/keys/ec.sec1.pem"),
        ),
        (
            include_str!("../tls/keys/rsa.pkcs8.pem"),
            include_str!("../tls/keys/rsa.pkcs8.pem"),
        ),
        (
            include_str!("../tls/keys/rsa.pkcs8.pem"),
            include_str!("../tls/keys/rsa.pkcs1.pem"),
        ),
    ];
    for is_old in [false, true] {
        let demo = quick_demo();
        let speaks = Speaks::usual().only_to_clients_of(&clients);
        let speaks = if is_old { speaks.only_tls12() } else { speaks };
        let front = TlsFront::start(&demo.url(), &server, Vec::new(), speaks);
        let without = run_at(&front, &root, &["--ca=ca.pem"]).run();
        let told = [
            "the server wants a certificate of the client",
            "--client-cert FILE",
        ];
        let case = match is_old {
            true => "no certificate for a server of TLS 1.2 that wants one",
            false => "no certificate for a server of TLS 1.3 that wants one",
        };
        expect_refusal(case, without, &told);
        let with = [
            "--ca=ca.pem",
            "--client-cert=client.pem",
            "--client-key=key.pem",
        ];
        for (pkcs8, form) in keys {
            let client = clients.client(KeyPair::from_pem(pkcs8).expect("a key"));
            let run = run_at(&front, &root, &with).file("client.pem", &client.pem());
            run.file("key.pem", form).run().expect_code(0);
        }
        // Both in one file, and of somebody whom the server does not know.
        let stranger = root.client(KeyPair::generate().expect("a key"));
        let both = format!("{}{}", stranger.pem(), stranger.key_pem());
        let with = ["--ca=ca.pem", "--client-cert=client.pem"];
        let refused = run_at(&front, &root, &with).file("client.pem", &both).run();
        let case = match is_old {
            true => "a client's certificate that a server of TLS 1.2 does not know",
            false => "a client's certificate that a server of TLS 1.3 does not know",
        };
        expect_refusal(
            case,
            refused,
            &["the server refuses the client's certificate (alert "],
        );
    }
}

#[test]
fn files_that_are_of_no_use_are_told_at_once() {
    let (root, other) = (Party::root("House Root"), Party::root("Other Root"));
    let url = "https://127.0.0.1:1/mcp";
    let check = |case: &str, more: &[&str], texts: &[&str]| {
        let run = load_run(url, &arguments(more))
            .file("root.pem", &root.pem())
            .file("root.key", &root.key_pem())
            .file("other.key", &other.key_pem())
            .file("half.pem", &root.pem()[..100])
            .file("v1.pem", include_str!("../tls/keys/rsa.v1.pem"))
            .file("v1.key", include_str!("../tls/keys/rsa.pkcs8.pem"))
            .file("ec.pem", include_str!("../tls/keys/ec.encrypted.pem"))
            .file("rsa.pem", include_str!("../tls/keys/rsa.encrypted.pem"));
        let finished = run.run().expect_code(2).tells("TLS", case);
        for text in texts {
            assert!(finished.stderr.contains(text), "{text}: {finished}");
        }
    };
    check(
        "files that are of no use",
        &[
            "--ca=none.pem",
            "--ca=root.key",
            "--client-cert=half.pem",
            "--client-key=ec.pem",
        ],
        &[
            "--ca: `none.pem` cannot be read: no such file",
            "--ca: `root.key` has no certificate in it, but a private key",
            "--client-cert: `half.pem` breaks off",
            "--client-key: `ec.pem` is an encrypted private key",
            "openssl pkey -in",
        ],
    );
    let with_key = |key| ["--client-cert=root.pem", key];
    check(
        "an encrypted key",
        &with_key("--client-key=rsa.pem"),
        &["`rsa.pem` is an encrypted private key"],
    );
    let mixed_up = "`other.key` is not the key of the certificate in `root.pem`";
    check(
        "another certificate's key",
        &with_key("--client-key=other.key"),
        &[mixed_up],
    );
    check(
        "a client's certificate of X.509 version 1",
        &["--client-cert=v1.pem", "--client-key=v1.key"],
        &[
            "--client-cert: `v1.pem` is of X.509 version 1",
            "-extfile FILE",
        ],
    );
    check(
        "a certificate without its key",
        &["--client-cert=root.pem"],
        &[
            "--client-cert: `root.pem` has no private key in it, but a certificate",
            "with `--client-key FILE`",
        ],
    );
    check(
        "a key without its certificate",
        &["--client-key=root.key"],
        &["of no use without a certificate"],
    );
    check(
        "a name that is not valid",
        &["--server-name=a b"],
        &["not a name that a certificate can have"],
    );
}

/// Where the fault of a flag names the flag, that of a key names its place.
#[test]
fn faults_of_a_config_are_told_with_their_place() {
    let config = format!(
        "[settings]\nurl = \"https://127.0.0.1:1/mcp\"\nca = \"nope.pem\"\n\
         server_name = \"a b\"\n{CALLS_ECHO}"
    );
    let finished = loadtest(&["check", "a.toml"]).file("a.toml", &config).run();
    let finished = finished
        .expect_code(2)
        .tells("TLS", "a file and a name of a config");
    for text in [
        "a.toml:3:6: settings.ca: `nope.pem` cannot be read",
        "settings.server_name: `a b` is not a name",
    ] {
        assert!(finished.stderr.contains(text), "{text}: {finished}");
    }
}

#[test]
fn what_was_agreed_upon_is_in_the_report() {
    let root = Party::root("House Root");
    let server = root.server(&[HOST]);
    let demo = quick_demo();
    let front = TlsFront::start(
        &demo.url(),
        &server,
        Vec::new(),
        Speaks::usual().only_tls12(),
    );
    let report = expect_fine(&demo, &front, &root, &[]).checked_report();
    let agreed = &list(&report["tls"]["agreed"])[0];
    assert_eq!(agreed["protocol"], "TLS 1.2");
    assert_eq!(agreed["cipher"], "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    let old = Speaks::usual().only_alpn("h2");
    let front = TlsFront::start(&demo.url(), &server, Vec::new(), old);
    let told = ["the server does not speak HTTP/1.1", "HTTP/2 only"];
    let refused = run_at(&front, &root, &["--ca=ca.pem"]).run();
    expect_refusal("a server that has HTTP/2 only", refused, &told);
}

#[test]
fn a_connection_after_the_first_goes_on_with_its_session() {
    let root = Party::root("House Root");
    let server = root.server(&[HOST]);
    let demo = quick_demo();
    for (is_on, is_old) in [(true, false), (true, true), (false, false), (false, true)] {
        let speaks = Speaks::usual();
        let speaks = if is_old { speaks.only_tls12() } else { speaks };
        let front = TlsFront::start(&demo.url(), &server, Vec::new(), speaks);
        let more = ["--no-keepalive", "--ca=ca.pem", "--config=a.toml"];
        let config = format!("[settings]\ntls_resumption = {is_on}\n{CALLS_ECHO}");
        let run = load_run(&front.url(), &[&BRIEF[..], &more].concat());
        let run = run.file("ca.pem", &root.pem()).file("a.toml", &config);
        let report = run.run().expect_code(0).checked_report();
        let (mut handshakes, mut resumed) = (0, 0);
        for agreed in list(&report["tls"]["agreed"]) {
            handshakes += count(&agreed["handshakes"]);
            resumed += count(&agreed["resumed"]);
        }
        // Of each of two users: a look at what the server offers, and three calls.
        assert!(handshakes >= 8, "{report:#}");
        let expected = if is_on { handshakes - 2 } else { 0 };
        assert_eq!(resumed, expected, "{:#}", report["tls"]);
        let seen = front.seen();
        assert!(seen.resumed >= resumed, "{seen:?}");
        assert!(is_on || seen.resumed == 0, "{seen:?}");
        assert!(seen.goodbyes > 0, "{seen:?}");
    }
}

/// A server that reads what comes first, gives an answer, and hangs up or waits.
fn odd_server(answer: &'static [u8], hangs_up: bool) -> Acceptor {
    Acceptor::start(move |mut tcp| {
        let mut hello = [0; 4096];
        let is_told = tcp.read(&mut hello).is_ok() && tcp.write_all(answer).is_ok();
        if is_told && !hangs_up {
            // Until the client closes.
            drop(tcp.read(&mut hello));
        }
    })
}

/// What a server says that speaks another TLS, or none at all.
#[test]
fn servers_without_our_tls_are_told() {
    let check = |case: &str, answer: &'static [u8], texts: &[&str]| {
        let server = odd_server(answer, false);
        let url = format!("https://{}/mcp", server.address());
        let run = load_run(&url, &arguments(&["--insecure"]));
        expect_refusal(case, run.run(), texts);
    };
    check(
        "a server whose TLS is older than 1.2",
        b"\x15\x03\x01\x00\x02\x02\x46",
        &["refuses our versions of TLS", "1.2 and 1.3"],
    );
    check(
        "a server that has no site of that name",
        b"\x15\x03\x03\x00\x02\x02\x70",
        &["has no site of that name", "--server-name"],
    );
    check(
        "`https://` to a server without TLS",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        &["does not speak TLS at this port", "`http://`"],
    );
    // Servers that hang up, or wait for more.
    let closing = odd_server(b"", true);
    let url = format!("https://{}/mcp", closing.address());
    let run = load_run(&url, &arguments(&["--insecure"])).run();
    let case = "a server that hangs up on the handshake";
    expect_refusal(case, run, &["during the TLS handshake", "`http://`"]);
    let silent = odd_server(b"", false);
    let url = format!("https://{}/mcp", silent.address());
    let more = ["--insecure", "--connect-timeout=200ms"];
    let run = load_run(&url, &arguments(&more)).run();
    let case = "a server that is silent in the handshake";
    let texts = ["timed out while making the TLS connection", "`http://`"];
    expect_refusal(case, run, &texts);
    // Those that begin to answer speak TLS.
    let half_hello = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03";
    for (case, hangs_up) in [
        ("a server that stops in the midst of its handshake", false),
        ("a server that hangs up in the midst of its handshake", true),
    ] {
        let server = odd_server(half_hello, hangs_up);
        let url = format!("https://{}/mcp", server.address());
        let more = ["--insecure", "--connect-timeout=1s"];
        let run = load_run(&url, &arguments(&more)).run();
        expect_refusal(case, run, &["speaks TLS at this port"]);
    }
}

/// The other way round: what servers of TLS say to a request in plain text.
#[test]
fn plain_requests_to_servers_of_tls_are_told() {
    let check = |case: &str, answer: &'static [u8]| {
        let server = odd_server(answer, true);
        let url = format!("http://{}/mcp", server.address());
        expect_refusal(case, load_run(&url, &BRIEF).run(), &["`https://`"]);
    };
    // The alert `unexpected_message`.
    check(
        "`http://` to a server of TLS that answers with an alert",
        b"\x15\x03\x01\x00\x02\x02\x0a",
    );
    check("`http://` to a server of TLS that hangs up", b"");
    check(
        "`http://` to nginx with TLS",
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\
          Content-Length: 64\r\n\r\n<h1>400</h1>The plain HTTP request was sent to HTTPS port</html>\n",
    );
    check(
        "`http://` to a server in Go with TLS",
        b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    );
    // A whole server, of rustls.
    let root = Party::root("House Root");
    let demo = quick_demo();
    let server = root.server(&[HOST]);
    let front = TlsFront::start(&demo.url(), &server, Vec::new(), Speaks::usual());
    let url = front.url().replace("https:", "http:");
    let finished = load_run(&url, &BRIEF).run().expect_code(1);
    assert!(finished.stderr.contains("`https://`"), "{finished}");
}

/// As nginx with `ssl_verify_client on` says it, once the handshake is over.
#[test]
fn a_page_that_wants_a_certificate_of_the_client_is_told_as_such() {
    let root = Party::root("House Root");
    let server = root.server(&[HOST]);
    for (case, page, hint) in [
        (
            "nginx that wants a certificate of the client",
            "No required SSL certificate was sent",
            "--client-cert FILE",
        ),
        (
            "a client's certificate that nginx does not know",
            "The SSL certificate error",
            "an authority of the server's",
        ),
    ] {
        for choice in ["auto", "legacy", "modern"] {
            let backend = FakeServer::start(move |_, connection| {
                let page = format!("<html><title>400 {page}</title></html>");
                connection.answer(400, &[("Content-Type", "text/html")], &page)
            });
            let front = TlsFront::start(&backend.url(), &server, Vec::new(), Speaks::usual());
            let run = run_at(&front, &root, &["--ca=ca.pem", "--protocol", choice]).run();
            expect_refusal(case, run, &[page, hint]);
            // Older revisions would change nothing.
            assert!(backend.log().len() <= 3, "{:?}", backend.log());
        }
    }
}

/// The TLS is all right, and nobody is behind it.
#[test]
fn a_gateway_without_a_server_is_told() {
    let root = Party::root("House Root");
    let backend = odd_server(b"", true);
    let url = format!("http://{}/mcp", backend.address());
    let server = root.server(&[HOST]);
    let front = TlsFront::start(&url, &server, Vec::new(), Speaks::usual());
    let finished = run_at(&front, &root, &["--ca=ca.pem"]).run();
    let texts = [
        "before any byte of the answer",
        "the TLS handshake went well",
    ];
    expect_refusal("a gateway with no server behind it", finished, &texts);
}

/// What breaks once handshakes went well is no matter of the scheme, and no panic.
#[test]
fn tls_that_breaks_under_load_is_counted_and_told() {
    let root = Party::root("House Root");
    let server = root.server(&[HOST]);
    let cases: [(&str, &'static [u8]); 3] = [
        ("a server that hangs up on handshakes in mid-run", b""),
        (
            "a server that answers handshakes in plain text in mid-run",
            b"HTTP/1.1 503 no\r\n\r\n",
        ),
        (
            "an alert to handshakes in mid-run",
            b"\x15\x03\x03\x00\x02\x02\x50",
        ),
    ];
    for (case, answer) in cases {
        let has_flipped = Arc::new(AtomicBool::new(false));
        let flips = Arc::clone(&has_flipped);
        let backend = FakeServer::on_call(move |request, connection| {
            flips.store(true, Relaxed);
            connection.done(request)
        });
        let front = TlsFront::start(&backend.url(), &server, Vec::new(), Speaks::usual());
        let flipping = flipping_front(front.address(), has_flipped, answer);
        let url = format!("https://{}/mcp", flipping.address());
        let words = ["--tool=work", "--vus=1", "--iterations=4", "--no-keepalive"];
        let run = load_run(&url, &[&words[..], &["--ca=ca.pem"]].concat());
        let finished = run.file("ca.pem", &root.pem()).run().expect_code(0);
        let expected = [("connect.tls".to_string(), 3)];
        let totals = &finished.checked_report()["totals"];
        assert_eq!(causes(totals), expected, "{finished}");
        assert!(!finished.stdout.contains("`http://`"), "{finished}");
        finished.tells_lines("TLS", case, &["connect.tls"]);
    }
}

/// Leads connections to a server, and answers them so once it has flipped.
fn flipping_front(to: SocketAddr, has_flipped: Arc<AtomicBool>, answer: &'static [u8]) -> Acceptor {
    Acceptor::start(move |mut tcp| {
        if has_flipped.load(Relaxed) {
            drop(tcp.read(&mut [0; 4096]));
            drop(tcp.write_all(answer));
            return;
        }
        drop(relay(tcp, to));
    })
}

/// A server that wants to know the client only when it sees the path.
#[test]
fn a_demand_to_negotiate_anew_is_told() {
    let root = Party::root("House Root");
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
    let speaks = Speaks::usual().only_tls12();
    let mut config = speaks.config(&root.server(&[HOST]), Vec::new(), provider);
    config.enable_secret_extraction = true;
    let config = Arc::new(config);
    let server = Acceptor::start(move |mut tcp| {
        let mut tls = ServerConnection::new(Arc::clone(&config)).expect("a good config");
        let mut request = [0; 4096];
        // To the head of the request, whatever it is.
        while !matches!(tls.reader().read(&mut request), Ok(1..)) {
            if tls.complete_io(&mut tcp).is_err() {
                return;
            }
        }
        let secrets = tls.dangerous_extract_secrets().expect("they may be had");
        let (sequence, ConnectionTrafficSecrets::Aes128Gcm { key, iv }) = secrets.tx else {
            panic!("there is one cipher");
        };
        let record = hello_request(key.as_ref(), iv.as_ref(), sequence);
        if tcp.write_all(&record).is_ok() {
            // It says no.
            drop(tcp.read(&mut request));
        }
    });
    let url = format!("https://{}/mcp", server.address());
    let run = load_run(&url, &arguments(&["--ca=ca.pem"])).file("ca.pem", &root.pem());
    let told = [
        "a renegotiation of TLS 1.2",
        "ask for a client's certificate late",
    ];
    expect_refusal("a server that demands a renegotiation", run.run(), &told);
}

/// RFC 5246, section 7.4.1.1, in a record of AES-GCM (RFC 5288).
fn hello_request(key: &[u8], iv: &[u8], sequence: u64) -> Vec<u8> {
    const HEAD: [u8; 3] = [22, 3, 3];
    let mut nonce: [u8; 12] = iv.try_into().expect("an IV of GCM");
    for (byte, of_sequence) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= of_sequence;
    }
    let mut message = vec![0; 4];
    let mut beside = sequence.to_be_bytes().to_vec();
    beside.extend(HEAD);
    beside.extend([0, 4]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).expect("a key of it"));
    let sealing = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(sealing, Aad::from(beside), &mut message)
        .expect("a short message");
    let n_bytes = u16::try_from(8 + message.len()).expect("a short record");
    [&HEAD[..], &n_bytes.to_be_bytes(), &nonce[4..], &message].concat()
}

/// `check` reads the same files, and shows what was asked for.
#[test]
fn check_tells_of_tls() {
    let root = Party::root("House Root");
    let config = "[settings]\nca = [\"ca.pem\"]\nserver_name = \"mcp.test\"\n";
    let config = format!("{config}{CALLS_ECHO}");
    let check = |more: &[&str]| {
        let program = loadtest(&[&["check", "a.toml"], more].concat());
        let program = program.file("a.toml", &config);
        program.file("ca.pem", &root.pem()).run()
    };
    let finished = check(&[]).expect_code(0);
    for text in ["ca.pem", "mcp.test"] {
        assert!(finished.stdout.contains(text), "{text}: {finished}");
    }
    let finished = check(&["--ca=none.pem"]).expect_code(2);
    assert!(finished.stderr.contains("none.pem"), "{finished}");
    assert_eq!(finished.stdout, "", "{finished}");
}
