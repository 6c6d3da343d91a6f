//! A server made by hand, that does on the wire exactly what a test wants:
//! good, slow, broken or dead.
//!
//! A thread for each connection reads HTTP/1.1 and hands every request to the
//! test's handler, which writes whatever bytes it likes. All requests are kept,
//! so that a test can say what was sent, in which order and on which
//! connection. It shares no code with the program. Start at
//! [`FakeServer::on_call`], where only `tools/call` is the test's affair, or at
//! [`FakeServer::start`], where everything is.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use memchr::memmem;
use rustix::net::{SendFlags, send};
use serde_json::{Value, json};

/// A request with a larger body is never read past its head: its client can
/// send no more once the buffers between are full.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What becomes of a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It waits for the next request.
    Keep,
    /// The server closes it.
    Close,
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The HTTP method.
    pub(crate) verb: String,
    pub(crate) path: String,
    /// Names in lower case, in the order received.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Read when it is first asked for, since many a test asks often.
    message: Arc<OnceLock<Value>>,
    /// Which connection it came on, from 0 in the order of acceptance.
    pub(crate) connection: usize,
    /// Where that connection comes from.
    peer: Option<SocketAddr>,
    /// How many reads it took until the request was whole.
    pub(crate) n_reads: usize,
    /// When it was whole.
    pub(crate) at: Instant,
}

impl Request {
    /// The value of the first header of that lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// All headers: names in lower case, in the order received.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.headers.iter();
        headers.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The JSON-RPC message; `null` where the body is not JSON.
    pub(crate) fn message(&self) -> &Value {
        let read = || serde_json::from_str(&self.body).unwrap_or(Value::Null);
        self.message.get_or_init(read)
    }

    /// The method of the JSON-RPC message; empty where it has none.
    pub(crate) fn method(&self) -> String {
        self.message()["method"]
            .as_str()
            .unwrap_or_default()
            .to_string()
    }

    /// A good answer to it, as a JSON-RPC message.
    pub(crate) fn reply(&self, text: &str) -> Value {
        let content = json!([{"type": "text", "text": text}]);
        self.result(&json!({"content": content}))
    }

    /// An answer with this result.
    pub(crate) fn result(&self, result: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": self.message()["id"], "result": result})
    }

    /// An answer with this error of JSON-RPC.
    pub(crate) fn error(&self, error: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": self.message()["id"], "error": error})
    }
}

/// The server's end of a connection, for a handler to write to.
pub(crate) struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl Connection {
    /// Writes these bytes as they are. A client that has gone is not a fault.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// A whole answer.
    pub(crate) fn answer(&mut self, status: u16, headers: &[(&str, &str)], body: &str) -> Next {
        let mut text = format!("HTTP/1.1 {status} Status\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.write(text);
        Next::Keep
    }

    /// 200 with a JSON body.
    pub(crate) fn json(&mut self, message: &Value) -> Next {
        let headers = [("Content-Type", "application/json")];
        self.answer(200, &headers, &message.to_string())
    }

    /// 200 with a good answer.
    pub(crate) fn done(&mut self, request: &Request) -> Next {
        self.json(&request.reply("done"))
    }

    /// A good answer and the end of the connection, in one segment: a client that
    /// has read the answer has seen the end as well, on any machine.
    pub(crate) fn done_and_close(&mut self, request: &Request) -> Next {
        let body = request.reply("done").to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // The kernel holds these bytes back until the end of the stream follows.
        let _ = send(&self.stream, answer.as_bytes(), SendFlags::MORE);
        Next::Close
    }

    /// 200 with a whole event stream of a known length.
    pub(crate) fn events(&mut self, stream: &str) -> Next {
        self.answer(200, &[("Content-Type", "text/event-stream")], stream)
    }

    /// The head of a chunked event stream, for [`Connection::chunk`].
    pub(crate) fn open_stream(&mut self) {
        self.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
        );
    }

    /// A piece of a chunked body.
    pub(crate) fn chunk(&mut self, text: &str) {
        self.write(format!("{:x}\r\n{text}\r\n", text.len()));
    }

    /// The same piece over and over, until the client goes away.
    pub(crate) fn flood(&mut self, piece: &str) -> Next {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        while self.stream.write_all(chunk.as_bytes()).is_ok() {}
        Next::Close
    }

    /// The end of a chunked body.
    pub(crate) fn end_stream(&mut self) -> Next {
        self.write("0\r\n\r\n");
        Next::Keep
    }

    /// Writes this over and over, as fast as the client takes it, until it goes
    /// away or the server is stopped.
    pub(crate) fn flood_raw(&mut self, piece: impl AsRef<[u8]>) -> Next {
        let piece = piece.as_ref();
        // In one write what would else take hundreds of calls of the system.
        let pieces = piece.repeat((64 * 1024 / piece.len()).max(1));
        while self.stream.write_all(&pieces).is_ok() {}
        Next::Close
    }

    /// Says nothing more until the client goes away or the server is stopped.
    pub(crate) fn hang(&mut self) -> Next {
        let mut buffer = [0; 1024];
        while let Ok(1..) = self.stream.read(&mut buffer) {}
        Next::Close
    }

    /// Waits until the server has seen such a request, on any connection.
    pub(crate) fn wait_for(&self, is_it: impl Fn(&Request) -> bool) {
        self.wait_until(|| lock(&self.shared.log).iter().any(&is_it));
    }

    /// Waits until the test says so, or the server is stopped.
    pub(crate) fn wait_until(&self, condition: impl Fn() -> bool) {
        let mut pause = Duration::ZERO;
        while !condition() && !self.shared.is_stopped() {
            // At most 5 ms: what is waited for longer is looked at less often.
            pause = (pause + Duration::from_micros(500)).min(Duration::from_millis(5));
            thread::sleep(pause);
        }
    }

    /// The same; it ends as well when the client has gone.
    pub(crate) fn wait_until_or_gone(&self, mut condition: impl FnMut() -> bool) {
        let _ = self.stream.set_nonblocking(true);
        let is_gone = || matches!((&self.stream).read(&mut [0]), Ok(0));
        while !condition() && !is_gone() && !self.shared.is_stopped() {
            thread::sleep(Duration::from_millis(1));
        }
        let _ = self.stream.set_nonblocking(false);
    }
}

type Handler = Box<dyn Fn(&Request, &mut Connection) -> Next + Send + Sync>;

struct Shared {
    handler: Handler,
    log: Mutex<Vec<Request>>,
    /// The sockets of all connections, to shut them down.
    sockets: Mutex<Vec<TcpStream>>,
    n_connections: AtomicUsize,
    n_sessions: AtomicUsize,
    /// Another connection is served when the one before has been closed.
    is_serial: bool,
    stopped: AtomicBool,
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

/// A running server. Dropping it closes its port and every connection.
pub(crate) struct FakeServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// `None` only while it is being dropped.
    acceptor: Option<JoinHandle<()>>,
}

impl FakeServer {
    /// A server whose every answer is the handler's.
    pub(crate) fn start(
        handler: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(0, handler)
    }

    /// As [`FakeServer::start`], but it serves one connection at a time, until
    /// the client closes it.
    pub(crate) fn one_connection_at_a_time(
        handler: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(loopback(0), true, Box::new(handler))
    }

    /// A well-behaved legacy server with sessions, but for its `tools/call`.
    pub(crate) fn on_call(
        handler: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
    ) -> Self {
        Self::on("tools/call", handler)
    }

    /// A well-behaved legacy server with sessions, but for this method.
    pub(crate) fn on(
        method: &'static str,
        handler: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |request, connection| {
            if request.method() == method {
                handler(request, connection)
            } else {
                legacy(request, connection)
            }
        })
    }

    /// As [`FakeServer::start`], on that port of loopback.
    pub(crate) fn start_at(
        port: u16,
        handler: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
    ) -> Self {
        Self::at(loopback(port), handler)
    }

    /// As [`FakeServer::start`], at that address.
    pub(crate) fn at(
        address: SocketAddr,
        handler: impl Fn(&Request, &mut Connection) -> Next + Send + Sync + 'static,
    ) -> Self {
        Self::start_with(address, false, Box::new(handler))
    }

    /// A well-behaved legacy server with sessions at this address.
    pub(crate) fn legacy_at(address: SocketAddr) -> Self {
        Self::at(address, legacy)
    }

    fn start_with(address: SocketAddr, is_serial: bool, handler: Handler) -> Self {
        let listener = TcpListener::bind(address)
            .unwrap_or_else(|error| panic!("cannot listen at {address}: {error}"));
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let shared = Arc::new(Shared {
            handler,
            is_serial,
            log: Mutex::default(),
            sockets: Mutex::default(),
            n_connections: AtomicUsize::new(0),
            n_sessions: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        });
        let for_acceptor = Arc::clone(&shared);
        let acceptor = thread::spawn(move || accept(&listener, &for_acceptor));
        Self {
            address,
            shared,
            acceptor: Some(acceptor),
        }
    }

    /// The endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far, in the order in which they were whole.
    pub(crate) fn log(&self) -> Vec<Request> {
        lock(&self.shared.log).clone()
    }

    /// Keeps no request of before: a long run would make many.
    pub(crate) fn forget(&self) {
        lock(&self.shared.log).clear();
        let mut sockets = lock(&self.shared.sockets);
        // Those whose connection has ended are of no use any more.
        sockets.retain(|socket| socket.peer_addr().is_ok());
    }

    /// The requests of a JSON-RPC method so far.
    pub(crate) fn log_of(&self, method: &str) -> Vec<Request> {
        let mut log = self.log();
        log.retain(|request| request.method() == method);
        log
    }

    /// The IP addresses that requests came from so far.
    pub(crate) fn peers(&self) -> BTreeSet<String> {
        let peers = self.log().into_iter().filter_map(|request| request.peer);
        peers.map(|peer| peer.ip().to_string()).collect()
    }

    /// How many connections were accepted.
    pub(crate) fn n_connections(&self) -> usize {
        self.shared.n_connections.load(Ordering::SeqCst)
    }

    /// How many requests of a JSON-RPC method came.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.log_of(method).len()
    }

    /// Closes every open connection, as a server does with idle ones.
    fn close_connections(&self) {
        for socket in lock(&self.shared.sockets).drain(..) {
            // One that the client has closed already is closed.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // A serial acceptor sits with a connection.
        self.close_connections();
        // Wakes the acceptor, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        self.close_connections();
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_stopped() {
            return;
        }
        let Ok(stream) = stream else { continue };
        // Our answers go out as they are written.
        let _ = stream.set_nodelay(true);
        if let Ok(socket) = stream.try_clone() {
            lock(&shared.sockets).push(socket);
        }
        let index = shared.n_connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(shared);
        let is_serial = shared.is_serial;
        let connection = Connection { stream, shared };
        if is_serial {
            serve(connection, index);
        } else {
            // It ends when its socket is closed, at the latest with the server.
            thread::spawn(move || serve(connection, index));
        }
    }
}

fn serve(mut connection: Connection, index: usize) {
    let mut unread = Vec::new();
    while let Some(request) = read_request(&mut connection, &mut unread, index) {
        lock(&connection.shared.log).push(request.clone());
        let shared = Arc::clone(&connection.shared);
        if (shared.handler)(&request, &mut connection) == Next::Close {
            break;
        }
    }
    // The socket has a second handle, so dropping this one does not close it.
    let _ = connection.stream.shutdown(Shutdown::Both);
}

fn read_request(
    connection: &mut Connection,
    unread: &mut Vec<u8>,
    index: usize,
) -> Option<Request> {
    let mut n_reads = 0;
    let head_len = loop {
        if let Some(at) = memmem::find(unread, b"\r\n\r\n") {
            break at + 4;
        }
        n_reads += read_more(connection, unread)?;
    };
    let head = String::from_utf8_lossy(&unread[..head_len]).into_owned();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next()?.split(' ').map(str::to_string);
    let (verb, path) = (words.next()?, words.next()?);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
        .collect();
    let body_len = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    if body_len > BODY_BYTES_MAX {
        // Held open and not read from, until the server stops.
        connection.wait_until(|| false);
        return None;
    }
    while unread.len() < head_len + body_len {
        n_reads += read_more(connection, unread)?;
    }
    let body = String::from_utf8_lossy(&unread[head_len..head_len + body_len]).into_owned();
    unread.drain(..head_len + body_len);
    Some(Request {
        verb,
        path,
        headers,
        body,
        message: Arc::default(),
        connection: index,
        peer: connection.stream.peer_addr().ok(),
        n_reads,
        at: Instant::now(),
    })
}

/// Counts as one read. `None` when the client has gone.
fn read_more(connection: &mut Connection, unread: &mut Vec<u8>) -> Option<usize> {
    let mut buffer = vec![0; 64 * 1024];
    match connection.stream.read(&mut buffer) {
        Ok(n @ 1..) => {
            unread.extend_from_slice(&buffer[..n]);
            Some(1)
        }
        _ => None,
    }
}

/// What a well-behaved legacy server says. Each `initialize` opens a session;
/// any call of a tool is done.
pub(crate) fn legacy(request: &Request, connection: &mut Connection) -> Next {
    let plain = [("Content-Type", "text/plain")];
    match request.verb.as_str() {
        "DELETE" => return connection.answer(200, &[], ""),
        "GET" => return connection.answer(405, &plain, "no stream is offered"),
        _ => {}
    }
    match request.method().as_str() {
        "server/discover" => connection.answer(400, &plain, "Bad Request: no valid session"),
        "initialize" => {
            let n = connection.shared.n_sessions.fetch_add(1, Ordering::SeqCst);
            let id = format!("session-{n}");
            let headers = [
                ("Content-Type", "application/json"),
                ("Mcp-Session-Id", &id),
            ];
            let welcome = welcome(request);
            connection.answer(200, &headers, &welcome.to_string())
        }
        "tools/list" => {
            let schema = json!({"type": "object"});
            let tools = json!([
                {"name": "work", "inputSchema": schema},
                {"name": "other", "inputSchema": schema}
            ]);
            connection.json(&request.result(&json!({"tools": tools})))
        }
        "tools/call" => connection.done(request),
        "ping" => connection.json(&request.result(&json!({}))),
        // Notifications, and answers to our own requests.
        _ => connection.answer(202, &[], ""),
    }
}

/// The answer to `initialize`, in the revision that was asked for.
pub(crate) fn welcome(request: &Request) -> Value {
    let revision = request.message()["params"]["protocolVersion"].clone();
    request.result(&json!({
        "protocolVersion": revision,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "fake", "version": "1.2.3"},
    }))
}

/// What is behind it is whole after every operation, so a panic spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
