//! When bytes came, over TLS: the read that completed the record counts.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection};

use super::*;
use crate::http::{HeaderLines, HeaderMap, Method, resolve};
use crate::scheduler::{Wake, block_on, sleep_until, spawn};

/// Between the two halves of the answer's TLS record.
const PAUSE: Duration = Duration::from_millis(60);
/// How long after the second half the client gets to read it, where it is busy.
const BUSY_FOR: Duration = Duration::from_millis(40);

/// More than any machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server tells.
#[derive(Debug, PartialEq)]
enum Progress {
    HasRequest,
    /// The halves of the answer, which it was about to write then. The tickets of TLS 1.3
    /// came long before.
    Wrote([Instant; 2]),
}

/// A server that answers one request with a single TLS record, in two pieces.
fn serve(listener: &TcpListener, tell: &mpsc::Sender<Progress>) -> std::io::Result<()> {
    let (mut tcp, _) = listener.accept()?;
    tcp.set_nodelay(true)?;
    let mut tls = ServerConnection::new(Arc::new(server_config())).expect("a good config");
    read_request(&mut tls, &mut tcp)?;
    // Who listens is gone only if the test has failed.
    let _ = tell.send(Progress::HasRequest);
    tls.writer()
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")?;
    let mut record = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut record)?;
    }
    let (first, second) = record.split_at(record.len() / 2);
    thread::sleep(PAUSE);
    let about_to_answer = Instant::now();
    tcp.write_all(first)?;
    thread::sleep(PAUSE);
    let about_to_write = Instant::now();
    tcp.write_all(second)?;
    let _ = tell.send(Progress::Wrote([about_to_answer, about_to_write]));
    // Until the client closes.
    let _ = tcp.read(&mut [0; 64]);
    Ok(())
}

fn read_request(tls: &mut ServerConnection, tcp: &mut TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"{}") {
        tls.complete_io(tcp)?;
        let mut piece = [0; 1024];
        if let Ok(n) = tls.reader().read(&mut piece) {
            request.extend_from_slice(&piece[..n]);
        }
    }
    Ok(())
}

/// Of a certificate that signs itself.
fn server_config() -> ServerConfig {
    let certificate = include_bytes!("../../tests/tls/cert.der");
    let key = include_bytes!("../../tests/tls/key.der");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(certificate.to_vec())],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec())),
        )
        .expect("a certificate with its key")
}

/// Asks the server; a busy client reads nothing from when the server has the
/// request until some time after the second piece has come. The timing, when the
/// pieces were about to be written, and when the answer was there.
fn exchange(is_busy: bool) -> (Timing, [Instant; 2], Instant) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    let mut network = Network::default();
    network.tls.insecure = true;
    let url = format!("https://{address}/mcp");
    let endpoint = resolve(&url, &network, &|| true).expect("a good URL");
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || serve(&listener, &tell));
    let result = block_on(&|| true, move || {
        let (pass_on, passed_on) = mpsc::channel();
        if is_busy {
            spawn(move || {
                while told.try_recv() != Ok(Progress::HasRequest) {
                    let next = crate::clock::now() + Duration::from_millis(1);
                    assert_eq!(sleep_until(next), Wake::Deadline);
                }
                // From here on the whole thread stands still.
                let wrote = told.recv_timeout(PATIENCE);
                thread::sleep(BUSY_FOR);
                let _ = pass_on.send(wrote);
            });
        } else {
            thread::spawn(move || {
                let _ = told.recv_timeout(PATIENCE);
                let _ = pass_on.send(told.recv_timeout(PATIENCE));
            });
        }
        let mut client = Client::new(&endpoint, 1024 * 1024, &Arc::default(), &Rc::default());
        let request = Request {
            head: &endpoint.request_head(&Method::POST, &HeaderMap::new()),
            user: &HeaderLines::default(),
            call: &HeaderLines::default(),
            body: b"{}",
            deadline: Instant::now() + PATIENCE,
        };
        let mut answer = client.send(&request).expect("an answer");
        let mut body = [0; 8];
        assert_eq!(answer.read(&mut body).expect("its body"), 2);
        let (timing, done) = (answer.timing(), Instant::now());
        let wrote = passed_on.recv().expect("somebody passes it on");
        match wrote.expect("the server goes on") {
            Progress::Wrote(at) => (timing, at, done),
            Progress::HasRequest => panic!("it is told once"),
        }
    });
    server.join().expect("a server").expect("its sockets");
    result.expect("a scheduler")
}

#[test]
fn a_tls_answer_ends_with_the_read_that_completed_its_record() {
    let (timing, [about_to_answer, about_to_write], done) = exchange(false);
    let (first, last) = (timing.first_byte, timing.last_byte);
    let (first, last) = (first.expect("a first byte"), last.expect("a last byte"));
    // Not with the second half, which makes the record whole.
    assert!(first < about_to_write, "the first half came before");
    assert!(first >= about_to_answer, "a ticket is not an answer");
    assert!(last >= about_to_write && last <= done, "{timing:?}");
    assert!(timing.sent.is_some_and(|sent| sent < first));
}

/// The kernel's timestamps hold below TLS, too.
#[test]
#[cfg(all(target_os = "linux", not(pmcp_portable)))]
fn a_busy_reader_does_not_make_a_tls_answer_later() {
    let (timing, [_, about_to_write], done) = exchange(true);
    let last = timing.last_byte.expect("a last byte");
    let delay = timing.delay.expect("the kernel's timestamp");
    assert!(last >= about_to_write, "{timing:?}");
    // Read so long after it came, and timed as it came.
    assert!(delay >= BUSY_FOR / 2, "{timing:?}");
    assert!(last + delay <= done, "{timing:?}");
}
