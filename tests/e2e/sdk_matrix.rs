//! Every SDK that a server is commonly made with, in the modes that it offers: our counts
//! are the server's, every answer brings its own marker back, streams are held, what a
//! server asks is answered, progress comes and grows, and tasks end. What was seen is a
//! table, which `src/reference.md` has between two marks.
//!
//! It needs the SDKs and is ignored without: `.ci/run --all` installs what is pinned in
//! `tests/sdk`, and says where. With `PMCP_TEST_WRITE_README=1` it writes the table into
//! it; else it fails where it has another one.

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
const N_STEPPED: u64 = 4;
const N_STEPS: u64 = 3;
const N_TASKS: u64 = 6;

/// Around the table in README.
const MARKS: [&str; 2] = ["<!-- sdks -->\n", "<!-- /sdks -->"];

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
    /// The tool whose calls become tasks, with its arguments.
    task: Option<(&'static str, &'static str)>,
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
    let mut table = "| server | mode | MCP | calls | markers | GET stream | elicitations | progress | tasks |\n\
         |---|---|---|---:|---:|---|---:|---:|---:|\n".to_string();
    for served in all() {
        let row = check(&served);
        // Straight to the terminal: it is what the run of all tests shows of them.
        writeln!(std::io::stdout(), "{row}").expect("a place for a line");
        table.push_str(&row);
        table.push('\n');
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::write(root.join("target/sdks.md"), &table).expect("a file for the table");
    let path = root.join("src/reference.md");
    let page = std::fs::read_to_string(&path).expect("the reference");
    let (before, rest) = page.split_once(MARKS[0]).expect("the first mark");
    let (written, behind) = rest.split_once(MARKS[1]).expect("the second mark");
    if std::env::var_os("PMCP_TEST_WRITE_README").is_some() {
        let [first, second] = MARKS;
        let page = format!("{before}{first}{table}{second}{behind}");
        std::fs::write(&path, page).expect("the reference");
        return;
    }
    assert_eq!(
        written, table,
        "the reference has another table than target/sdks.md: write it with PMCP_TEST_WRITE_README=1"
    );
}

/// What came of it, as a row of the table.
fn check(served: &Served) -> String {
    let server = (served.start)();
    // What finds the server and lists its tools is not a call.
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
    let revision = report["server"]["revision"].as_str().expect("a revision");
    let none = || "–".to_string();
    let cells = [
        format!("{} {}", served.package, served.version),
        served.mode.to_string(),
        revision.to_string(),
        counted.to_string(),
        returned.to_string(),
        streams(&report),
        if served.asks {
            n_asked(&server, served).to_string()
        } else {
            none()
        },
        progress(&server, served),
        served
            .task
            .map_or_else(none, |task| n_tasks(&server, served, task).to_string()),
    ];
    format!("| {} |", cells.join(" | "))
}

/// Whether each session held a stream, which nothing broke.
fn streams(report: &Value) -> String {
    let offer = &report["server"]["stream"];
    if offer.is_null() {
        return "–".to_string();
    }
    if offer["offered"] != true {
        return format!("none ({})", offer["status"]);
    }
    let n_sessions = count(report, "/counters/sessions_opened");
    let listen = &report["listen"];
    let held = ["/opening/ok", "/open_max"].map(|figure| count(listen, figure));
    assert_eq!(held, [n_sessions; 2], "{report:#}");
    let lost = ["/broken", "/ended_by_server", "/refused"].map(|figure| count(listen, figure));
    assert_eq!(lost, [0; 3], "{report:#}");
    "held".to_string()
}

/// How much of their progress calls with a token told, as the server counts it; some send
/// none in some of their modes. The program fails a call whose values do not grow.
fn progress(server: &Started, served: &Served) -> String {
    let (tool, arguments) = match server {
        Started::Everything(_) => (
            "trigger-long-running-operation",
            format!("{{ duration = 0.05, steps = {N_STEPS} }}"),
        ),
        _ => ("stepwise", format!("{{ steps = {N_STEPS} }}")),
    };
    let config = format!(
        "[[scenario]]\ntype = \"tools/call\"\ntool = \"{tool}\"\n\
         arguments = {arguments}\nprogress = true\n"
    );
    let report = run_config(server, served, &config, 2, N_STEPPED);
    assert_eq!(count(&report, "/totals/ok"), N_STEPPED, "{report:#}");
    let heard = count(&report, "/operations/0/answers/progress");
    let sent = match server {
        Started::Process(server) => server.stat("progress"),
        Started::Own(server) => server.progress(),
        Started::Everything(_) => N_STEPPED * N_STEPS,
    };
    // What belongs to the call comes on the session's own stream with some, by no call.
    let on_stream = report.pointer("/listen/notifications/notifications~1progress");
    match (heard, on_stream.and_then(Value::as_u64)) {
        (0, Some(on_stream)) => {
            assert_eq!(on_stream, sent, "{report:#}");
            format!("{on_stream} (GET)")
        }
        (0, None) => "none".to_string(),
        (heard, _) => {
            assert_eq!((heard, sent), (N_STEPPED * N_STEPS, heard), "{report:#}");
            heard.to_string()
        }
    }
}

/// Calls that became tasks, which all ended well.
fn n_tasks(server: &Started, served: &Served, (tool, arguments): (&str, &str)) -> u64 {
    let completed = |server: &Started| match server {
        Started::Own(server) => server.calls(),
        Started::Process(server) | Started::Everything(server) => server.stat("tasks"),
    };
    let before = completed(server);
    let calls = N_TASKS.to_string();
    let finished = run(&[
        &server.url(),
        "--no-pin",
        "--protocol",
        served.protocol,
        "--tool",
        tool,
        "--args",
        arguments,
        "--task",
        "--vus=2",
        "--iterations",
        &calls,
    ]);
    let report = finished.expect_code(0).report();
    assert_eq!(count(&report, "/totals/ok"), N_TASKS, "{report:#}");
    let steps = report["task_steps"].as_array().expect("a list");
    let polls = steps.iter().find(|step| step["method"] == "tasks/get");
    let polls = polls.map(|step| count(&step["figures"], "/ok"));
    assert!(polls >= Some(N_TASKS), "{report:#}");
    let completed = completed(server) - before;
    assert_eq!(completed, N_TASKS, "{report:#}");
    completed
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
    run_config(server, served, &config, users, calls)
}

/// So many calls of what a config has.
fn run_config(server: &Started, served: &Served, config: &str, users: u64, calls: u64) -> Value {
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
    .file(".pmcp/loadtest.toml", config)
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
    // On the stream of the call, or on the session's own.
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
            task: None,
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
    all.extend(of_pmcp());
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
            // Its tasks are those of 2026-07-28.
            task: (protocol == "modern").then_some(("sleep", r#"{"ms":60}"#)),
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
            task: None,
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
        task: None,
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

/// The Rust SDK that this program has its name of.
fn of_pmcp() -> Vec<Served> {
    let manifest = include_str!("../sdk/pmcp/Cargo.toml");
    let program = given("PMCP_TEST_PMCP");
    let modes = [
        ("sessions, SSE", "legacy", &[][..]),
        ("sessions, JSON", "legacy", &["--json"]),
        ("stateless, JSON", "legacy", &["--stateless", "--json"]),
        ("stateless, SSE", "modern", &[]),
        ("stateless, JSON", "modern", &["--json"]),
    ];
    let served = modes.map(|(mode, protocol, flags)| {
        let program = program.clone();
        Served {
            package: "pmcp (Rust)",
            version: pinned(manifest, "\npmcp = { version = \"="),
            mode,
            protocol,
            has_sessions: mode.starts_with("sessions"),
            asks: mode == "sessions, SSE",
            task: (protocol == "modern").then_some(("work", "{}")),
            start: Box::new(move || {
                let mut command = Command::new(&program);
                command.args(flags);
                Started::Process(SdkServer::start(command, None))
            }),
        }
    });
    served.into()
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
