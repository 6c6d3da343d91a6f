//! A server made with the official Python SDK, as a child process on loopback.
//!
//! The script is `tests/sdk/server.py`; what it needs is pinned beside it and
//! installed by `.ci/run`, which passes the interpreter's path on (see
//! [`interpreter`]). Start at [`SdkServer::start`].

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::raw_http::RawClient;

/// The name that the server gives itself.
pub(crate) const SERVER_NAME: &str = "python-test-server";
/// The version that the server gives itself.
pub(crate) const SERVER_VERSION: &str = "9.8.7";

/// Importing the SDK takes a second; a machine under load may need many.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A line of the official Python SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sdk {
    /// `mcp` 1.x: sessions only.
    V1,
    /// `mcp` 2.x: both eras on one port.
    V2,
}

/// The Python interpreter that has the SDK of this line.
///
/// From `PMCP_TEST_PYTHON` (2.x) or `PMCP_TEST_PYTHON_1` (1.x); the test fails,
/// with what to do, where the variable is not set.
pub(crate) fn interpreter(sdk: Sdk) -> PathBuf {
    let variable = match sdk {
        Sdk::V1 => "PMCP_TEST_PYTHON_1",
        Sdk::V2 => "PMCP_TEST_PYTHON",
    };
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => panic!(
            "`{variable}` is not set: give it a Python interpreter with the packages of \
             tests/sdk/requirements*.txt, as `.ci/run` does"
        ),
    }
}

/// A running server. Dropping it kills the process.
pub(crate) struct SdkServer {
    process: Child,
    address: SocketAddr,
    /// The lines of its standard output, without the first.
    printed: Arc<Mutex<Vec<String>>>,
}

impl SdkServer {
    /// Starts `server.py` and returns once it accepts connections.
    ///
    /// `arguments` are the script's own: `--json`, `--stateless`.
    pub(crate) fn python(python: &Path, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/server.py");
        let mut command = Command::new(python);
        // A test process that is killed runs no destructor, but closes this pipe.
        command.arg(script).arg("--exit-with-stdin").args(arguments);
        Self::start(command, None)
    }

    /// Starts this command and returns once it accepts connections: it prints its URL first,
    /// or is known to listen on that port.
    pub(crate) fn start(mut command: Command, port: Option<u16>) -> Self {
        let process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // From here on the guard kills the process, whatever fails.
        let mut server = Self {
            process,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0))),
            printed: Arc::default(),
        };

        let (line_sender, line) = mpsc::channel();
        let stdout = server.process.stdout.take().expect("a piped stdout");
        let printed = Arc::clone(&server.printed);
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let first_line = lines.next().and_then(Result::ok).unwrap_or_default();
            // The receiver is gone only if the test has failed already.
            let _ = line_sender.send(first_line);
            for line in lines.map_while(Result::ok) {
                printed.lock().expect("the lines").push(line);
            }
        });
        let stderr = server.process.stderr.take().expect("a piped stderr");
        let talk = thread::spawn(move || last_part(stderr));

        let is_up = match port {
            Some(_) => server.is_reached(),
            None => {
                let first_line = line.recv_timeout(START_LIMIT).unwrap_or_default();
                let address = address_of(&first_line);
                server.address = address.unwrap_or(server.address);
                address.is_some()
            }
        };
        if !is_up {
            // Killed first, so that its stderr ends.
            server.kill();
            let talk = talk.join().unwrap_or_default();
            panic!("{command:?} did not say where it listens; stderr:\n{talk}");
        }
        server
    }

    /// Whether somebody listens at its address before the time is up.
    fn is_reached(&self) -> bool {
        let began = Instant::now();
        while began.elapsed() < START_LIMIT {
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// How often it has printed this line after the first; `expected`, as soon as it is so
    /// often: lines come a moment after what they tell of.
    pub(crate) fn printed(&self, line: &str, expected: u64) -> u64 {
        let began = Instant::now();
        loop {
            let lines = self.printed.lock().expect("the lines");
            let n = lines.iter().filter(|it| *it == line).count() as u64;
            drop(lines);
            if n == expected || began.elapsed() > Duration::from_secs(10) {
                return n;
            }
            thread::sleep(Duration::from_millis(5));
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

    /// Tool calls that reached a handler, whatever came of them.
    pub(crate) fn calls(&self) -> u64 {
        self.stat("calls")
    }

    /// The most tool calls that were in their handlers at one time.
    pub(crate) fn in_flight_max(&self) -> u64 {
        self.stat("in_flight_max")
    }

    /// Another count of its own.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let answer = RawClient::connect(self.address).send("GET", "/stats", &[], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.response()[name].as_u64().expect("a counter")
    }

    fn kill(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for SdkServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address in `URL http://127.0.0.1:PORT/mcp`.
fn address_of(line: &str) -> Option<SocketAddr> {
    line.trim_end()
        .strip_prefix("URL http://")?
        .strip_suffix("/mcp")?
        .parse()
        .ok()
}

/// Reads a stream to its end, so that the writer never blocks on it, and keeps
/// the last few thousand characters.
fn last_part(mut stream: impl Read) -> String {
    const KEPT_BYTES: usize = 16 * 1024;
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..n]);
        let excess = kept.len().saturating_sub(KEPT_BYTES);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
