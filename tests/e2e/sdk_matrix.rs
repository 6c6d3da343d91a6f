//! Every SDK that a server is commonly made with, in the modes that it offers: our counts
//! are the server's, every answer brings its own marker back, and what a server asks is
//! answered. `--nocapture` shows a line for each.
//!
//! It needs the SDKs and is ignored without: `.ci/run --all` installs what is pinned in
//! `tests/sdk`, and says where.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::port;
use crate::program::Program;
use crate::rmcp_server::{Mode, RmcpServer};
use crate::sdk::{LIMIT, count, run};
use crate::sdk_server::{Sdk, SdkServer, interpreter};

const N_CALLS: u64 = 100;
const N_ASKED: u64 = 10;

/// A server, and in which of its modes.
struct Served {
    /// As it is called where it comes from.
    package: &'static str,
    version: String,
    /// Sessions or none, and the form of answers.
    mode: &'static str,
    protocol: &'static str,
    has_sessions: bool,
    /// Its tool `ask` can be called.
    asks: bool,
    start: Box<dyn Fn() -> Started>,
}

enum Started {
    Process(SdkServer),
    Own(RmcpServer),
    /// It counts no calls, and prints a line for each request.
    Everything(SdkServer),
}

impl Started {
    fn url(&self) -> String {
        match self {
            Started::Process(server) | Started::Everything(server) => server.url(),
            Started::Own(server) => server.url(),
        }
    }
}

#[test]
#[ignore = "needs the SDKs; .ci/run --all installs them"]
fn every_sdk_counts_what_we_count() {
    for served in all() {
        // Straight to the terminal: it is what the run of all tests shows of them.
        writeln!(std::io::stdout(), "{}", check(&served)).expect("a place for a line");
    }
}

/// What came of it, as a line.
fn check(served: &Served) -> String {
    let server = (served.start)();
    // What finds the server and lists its tools is no call.
    let (before, of_find) = posts(&server, served);
    let report = run_marked(&server, served, 5, N_CALLS);
    let counted = match &server {
        Started::Process(server) => server.calls(),
        Started::Own(server) => server.calls(),
        Started::Everything(server) => {
            let of_sessions = 2 * count(&report, "/counters/sessions_opened");
            let of_answers = count(&report, "/counters/server_requests");
            let others = before + of_find + of_sessions + of_answers;
            server.printed(POST, others + N_CALLS) - others
        }
    };
    let ok = count(&report, "/totals/ok");
    assert_eq!((counted, ok), (N_CALLS, N_CALLS), "{report:#}");
    assert_eq!(
        report["server"]["has_sessions"], served.has_sessions,
        "{report:#}"
    );
    let isolation = &report["isolation"];
    let returned = count(isolation, "/returned");
    assert_eq!(
        (returned, count(isolation, "/foreign")),
        (N_CALLS, 0),
        "{report:#}"
    );
    let asked = match served.asks {
        false => "–".to_string(),
        true => n_asked(&server, served).to_string(),
    };
    let revision = report["server"]["revision"].as_str().expect("a revision");
    format!(
        "{} {}, {}, {revision}: {counted} calls, {returned} markers, {asked} elicitations",
        served.package, served.version, served.mode
    )
}

/// What `server-everything` prints for each POST.
const POST: &str = "Received MCP POST request";

/// Of a server that tells of requests only: how many one call in a session of its own made,
/// and how many of these were to find the server. Others need no such call.
fn posts(server: &Started, served: &Served) -> (u64, u64) {
    let Started::Everything(process) = server else {
        return (0, 0);
    };
    let report = run_marked(server, served, 1, 1);
    // All has been printed once the number does not grow any more.
    let printed = process.printed(POST, u64::MAX);
    // An opening, a notification and the call; and answers to what the server asked.
    let own = 3 + count(&report, "/counters/server_requests");
    (printed, printed - own)
}

/// So many calls with markers.
fn run_marked(server: &Started, served: &Served, users: u64, calls: u64) -> Value {
    let argument = match server {
        Started::Everything(_) => "message",
        _ => "text",
    };
    let config = format!(
        "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\n\
         arguments = {{ {argument} = \"hi\" }}\nisolation = true\n"
    );
    let [users, calls] = [users, calls].map(|it| it.to_string());
    let finished = Program::new(&[
        "loadtest",
        "run",
        &server.url(),
        "--no-pin",
        "--protocol",
        served.protocol,
        "--vus",
        &users,
        "--iterations",
        &calls,
    ])
    .file(".pmcp/loadtest.toml", &config)
    .time_limit(LIMIT)
    .run();
    finished.expect_code(0).report()
}

/// How many elicitations the server says were accepted: as many as we answered.
fn n_asked(server: &Started, served: &Served) -> u64 {
    let Started::Process(process) = server else {
        panic!("{} counts nothing of its own", served.package);
    };
    let calls = N_ASKED.to_string();
    let finished = run(&[
        &server.url(),
        "--no-pin",
        "--protocol",
        served.protocol,
        "--tool=ask",
        "--args={}",
        "--vus=2",
        "--iterations",
        &calls,
    ]);
    let report = finished.expect_code(0).report();
    assert_eq!(count(&report, "/totals/ok"), N_ASKED, "{report:#}");
    let answered = count(&report, "/counters/server_requests");
    let accepted = process.stat("accepted");
    assert_eq!((accepted, answered), (N_ASKED, N_ASKED), "{report:#}");
    accepted
}

/// All of them.
fn all() -> Vec<Served> {
    let mut all = Vec::new();
    let python = |variable: &'static str, flags: &'static [&'static str]| {
        let interpreter = match variable {
            "PMCP_TEST_PYTHON" => interpreter(Sdk::V2),
            "PMCP_TEST_PYTHON_1" => interpreter(Sdk::V1),
            _ => given(variable),
        };
        move || Started::Process(SdkServer::python(&interpreter, flags))
    };
    let pins = [
        (
            "mcp (Python)",
            "PMCP_TEST_PYTHON_1",
            include_str!("../sdk/requirements-1.txt"),
            "\nmcp==",
        ),
        (
            "mcp (Python)",
            "PMCP_TEST_PYTHON",
            include_str!("../sdk/requirements.txt"),
            "\nmcp==",
        ),
        (
            "fastmcp",
            "PMCP_TEST_FASTMCP",
            include_str!("../sdk/requirements-fastmcp.txt"),
            "\nfastmcp==",
        ),
    ];
    for (package, variable, text, before) in pins {
        let row = |mode: &'static str, protocol, flags| Served {
            package,
            version: pinned(text, before),
            mode,
            protocol,
            has_sessions: mode.starts_with("sessions"),
            asks: mode == "sessions, SSE",
            start: Box::new(python(variable, flags)),
        };
        all.push(row("sessions, SSE", "legacy", &[]));
        all.push(row("sessions, JSON", "legacy", &["--json"]));
        all.push(row("stateless, JSON", "legacy", &["--stateless", "--json"]));
        if variable != "PMCP_TEST_PYTHON_1" {
            all.push(row("stateless", "modern", &[]));
        }
    }
    all.extend(of_node());
    let manifest = include_str!("../../Cargo.toml");
    for (mode, protocol, stateful, json) in [
        ("sessions, SSE", "legacy", true, false),
        ("stateless, JSON", "legacy", false, true),
        ("stateless, SSE", "modern", false, false),
    ] {
        all.push(Served {
            package: "rmcp (Rust)",
            version: pinned(manifest, "\nrmcp = { version = \""),
            mode,
            protocol,
            has_sessions: stateful,
            asks: false,
            start: Box::new(move || Started::Own(RmcpServer::start(Mode { stateful, json }))),
        });
    }
    all
}

/// Those of TypeScript.
fn of_node() -> Vec<Served> {
    let pins = include_str!("../sdk/node/package.json");
    let folder = given("PMCP_TEST_SDKS");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/node/server.mjs");
    let mut all = Vec::new();
    for (line, package, mode, protocol, flags) in [
        ("1", "sdk", "sessions, SSE", "legacy", &[][..]),
        ("1", "sdk", "sessions, JSON", "legacy", &["--json"]),
        ("1", "sdk", "stateless, SSE", "legacy", &["--stateless"]),
        ("2", "server", "sessions, SSE", "legacy", &[]),
        ("2", "server", "sessions, JSON", "legacy", &["--json"]),
        ("2", "server", "stateless, SSE", "legacy", &["--stateless"]),
        ("2", "server", "stateless, SSE", "modern", &[]),
        ("2", "server", "stateless, JSON", "modern", &["--json"]),
    ] {
        let (script, folder) = (script.clone(), folder.clone());
        let name = format!("\"@modelcontextprotocol/{package}\": \"");
        all.push(Served {
            package: match line {
                "1" => "@modelcontextprotocol/sdk",
                _ => "@modelcontextprotocol/server",
            },
            version: pinned(pins, &name),
            mode,
            protocol,
            has_sessions: mode.starts_with("sessions"),
            asks: mode == "sessions, SSE",
            start: Box::new(move || {
                let mut command = Command::new("node");
                command.arg(&script).arg(line).arg(&folder).args(flags);
                Started::Process(SdkServer::start(command, None))
            }),
        });
    }
    let package = "node_modules/@modelcontextprotocol/server-everything";
    let script = folder.join(package).join("dist/index.js");
    all.push(Served {
        package: "server-everything",
        version: pinned(pins, "\"@modelcontextprotocol/server-everything\": \""),
        mode: "sessions, SSE",
        protocol: "legacy",
        has_sessions: true,
        asks: false,
        start: Box::new(move || {
            let port = port::unused();
            let mut command = Command::new("node");
            command.arg(&script).arg("streamableHttp");
            command.env("PORT", port.to_string());
            Started::Everything(SdkServer::start(command, Some(port)))
        }),
    });
    all
}

/// The version behind this text.
fn pinned(text: &str, before: &str) -> String {
    let (_, behind) = text.split_once(before).expect(before);
    let is_of_version = |c: &char| c.is_ascii_digit() || *c == '.';
    behind.chars().take_while(is_of_version).collect()
}

/// A path that `.ci/run --all` passes on.
fn given(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => panic!("`{variable}` is not set: `.ci/run --all` installs the SDKs and sets it"),
    }
}
