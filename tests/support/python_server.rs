//! A server made with the official Python SDK, as a child process on loopback.
//!
//! The script is `tests/sdk/server.py`; what it needs is pinned beside it and
//! installed by `.ci/run`, which passes the interpreter's path on (see
//! [`interpreter`]). Start at [`PythonServer::start`].

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

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
pub(crate) struct PythonServer {
    process: Child,
    address: SocketAddr,
}

impl PythonServer {
    /// Starts `server.py` and returns once it accepts connections.
    ///
    /// `arguments` are the script's own: `--json`, `--stateless`.
    pub(crate) fn start(python: &Path, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/server.py");
        let process = Command::new(python)
            .arg(script)
            // A test process that is killed runs no destructor, but closes this pipe.
            .arg("--exit-with-stdin")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", python.display()));
        // From here on the guard kills the process, whatever fails.
        let mut server = Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };

        let (line_sender, line) = mpsc::channel();
        let stdout = server.process.stdout.take().expect("a piped stdout");
        thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut first_line = String::new();
            let outcome = stdout.read_line(&mut first_line).map(|_| first_line);
            // The receiver is gone only if the test has failed already.
            let _ = line_sender.send(outcome);
        });
        let stderr = server.process.stderr.take().expect("a piped stderr");
        let talk = thread::spawn(move || last_part(stderr));

        let first_line = match line.recv_timeout(START_LIMIT) {
            Ok(outcome) => outcome.expect("the server's stdout can be read"),
            Err(_) => String::new(),
        };
        match address_of(&first_line) {
            Some(address) => server.address = address,
            None => {
                // Killed first, so that its stderr ends.
                server.kill();
                let talk = talk.join().unwrap_or_default();
                panic!("the Python server printed {first_line:?}, not its URL; stderr:\n{talk}");
            }
        }
        server
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

    fn stat(&self, name: &str) -> u64 {
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

impl Drop for PythonServer {
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
