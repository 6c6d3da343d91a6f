//! `init` against real servers, and against one that is made to be awkward:
//! what it writes must load, run, and say nothing that is a secret.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::{Value, json};

use crate::command_line::DemoProcess;
use crate::port;
use crate::program::{Finished, Program, TempDir};
use crate::rmcp_server::{Mode, RESOURCE_URI, RmcpServer};
use crate::sdk::{LIMIT, count};

const PATH: &str = ".pmcp/loadtest.toml";

#[test]
fn the_demo_serves_all_that_is_written_for_it() {
    for eras in ["legacy", "modern"] {
        let demo = DemoProcess::start(&["--latency=none", "--eras", eras]);
        let finished = init(&[&demo.url], TempDir::new()).expect_code(0);
        assert!(finished.stdout.contains(PATH), "{finished}");
        assert!(finished.stdout.contains("16 tools"), "{finished}");
        assert_eq!(finished.stderr, "", "{finished}");
        let config = written(&finished);
        // Its tools come in four pages.
        for tool in [
            "echo",
            "add",
            "search",
            "slow",
            "stepwise",
            "book_meeting",
            "delete_note",
            "region_report",
            "order_coffee",
            "ask_client",
            "crunch",
            "fail",
            "stock",
        ] {
            let line = format!("tool = \"{tool}\"\n");
            assert_eq!(config.matches(&line).count(), 1, "{tool}: {config}");
        }
        // By themselves, and in a flow.
        for tool in ["login", "whoami", "cart"] {
            let line = format!("tool = \"{tool}\"\n");
            assert_eq!(config.matches(&line).count(), 2, "{tool}: {config}");
        }
        for line in [
            "\nuri = \"demo://readme\"\n",
            "\nuri = \"demo://settings\"\n",
            "\nprompt = \"summarize\"\n",
            "\n#tool = \"delete_note\"\n",
            "\n# Switched off: the server marks it as destructive.\n",
            "\n#tool = \"book_meeting\"\n",
            "\n# Switched off: the server marks it as not read-only.\n",
            "\n#tool = \"whoami\"\n",
            "\n# Switched off: it needs `token`, which `login` gives: see the flows below.\n",
            "\n#extract = { token = \"$.structuredContent.token\" }\n",
            "\n#token = \"{{token}}\"\n",
            "\n#tool = \"fail\"\n",
            "\n# Switched off: its description says that it fails on purpose.\n",
        ] {
            assert!(config.contains(line), "no {line:?}: {config}");
        }
        let finished = check_loads(finished.dir);
        run_without_failure(finished.dir);
    }
}

#[test]
fn what_is_switched_off_has_good_arguments_too() {
    let demo = DemoProcess::start(&["--latency=none"]);
    let finished = init(&[&demo.url], TempDir::new()).expect_code(0);
    let all_on = with_tools_switched_on(&written(&finished));
    std::fs::write(finished.dir.path().join(PATH), all_on).expect("the folder is ours");
    let report = run_with_only_failure(finished.dir, "tools/call fail");
    let labels: BTreeSet<&str> = report["operations"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|operation| operation["label"].as_str())
        .collect();
    for tool in ["book_meeting", "delete_note", "order_coffee"] {
        let label = format!("tools/call {tool}");
        assert!(labels.contains(label.as_str()), "{labels:?}");
    }
    // The coffee asks for its size.
    assert!(count(&report, "/counters/round_trips") > 0, "{report:#}");
}

#[test]
fn tools_with_a_word_of_writing_are_called_only_where_all_are() {
    let server = AwkwardServer::start(Script {
        tools: vec![tool("send_mail"), tool("list_mail")],
        ..Script::default()
    });
    for (flag, is_on) in [("--force", false), ("--all", true)] {
        let finished = init(&[&server.url(), flag], TempDir::new()).expect_code(0);
        let config = written(&finished);
        assert_eq!(
            config.contains("\ntool = \"send_mail\"\n"),
            is_on,
            "{config}"
        );
        assert!(config.contains("\ntool = \"list_mail\"\n"), "{config}");
        assert!(config.contains("has the word `send`"), "{config}");
    }
}

#[test]
fn the_rust_sdk_serves_all_that_is_written_for_it() {
    for stateful in [true, false] {
        let server = RmcpServer::start(Mode {
            stateful,
            json: true,
        });
        let protocol = if stateful { "legacy" } else { "auto" };
        let arguments = [&server.url(), "--protocol", protocol];
        let finished = init(&arguments, TempDir::new()).expect_code(0);
        let config = written(&finished);
        for tool in ["echo", "add", "sleep"] {
            let line = format!("\ntool = \"{tool}\"\n");
            assert!(config.contains(&line), "no {tool}: {config}");
        }
        assert!(config.contains("\n#tool = \"fail\"\n"), "{config}");
        assert!(config.contains(RESOURCE_URI), "{config}");
        assert!(config.contains("\nprompt = \"greet\"\n"), "{config}");
        let finished = check_loads(finished.dir);
        run_without_failure(finished.dir);
    }
}

#[test]
fn a_file_is_not_overwritten_unasked() {
    let finished = init(&[], folder_with(PATH, "mine")).expect_code(2);
    assert!(finished.stderr.contains("exists already"), "{finished}");
    assert!(finished.stderr.contains("--force"), "{finished}");
    assert_eq!(finished.stdout, "");
    assert_eq!(written(&finished), "mine");
    for flag in ["--force", "--yes"] {
        let finished = init(&[flag], folder_with(PATH, "mine")).expect_code(0);
        assert!(written(&finished).contains("[settings]"), "{finished}");
    }
    // Nor by a server that does not answer.
    let url = format!("http://127.0.0.1:{}/mcp", port::unused());
    let finished = init(&["--force", &url], folder_with(PATH, "mine")).expect_code(1);
    assert!(finished.stderr.contains("connection refused"), "{finished}");
    assert_eq!(written(&finished), "mine");
}

/// Neither by the config nor by the schema beside it, and before the server is asked.
#[test]
fn what_is_read_is_not_replaced() {
    let url = format!("http://127.0.0.1:{}/mcp", port::unused());
    for (file, output) in [
        ("token.txt", "token.txt"),
        ("token.txt", "./token.txt"),
        ("loadtest.schema.json", "a.toml"),
    ] {
        let words = [
            &*url,
            "--force",
            &format!("--output={output}"),
            &format!("--token-file={file}"),
        ];
        let finished = init(&words, folder_with(file, "mine")).expect_code(2);
        let told = format!("`--output` would replace `{file}`, which is read");
        assert!(finished.stderr.contains(&told), "{finished}");
        let kept = std::fs::read_to_string(finished.dir.path().join(file));
        assert_eq!(kept.expect("the file"), "mine");
    }
}

#[test]
fn a_template_needs_no_server() {
    let finished = init(&[], TempDir::new()).expect_code(0);
    let template = written(&finished);
    let finished = check_loads(finished.dir);
    assert!(finished.stdout.contains("tools/list"), "{finished}");

    let finished = init(&["--output", "-"], TempDir::new()).expect_code(0);
    assert_eq!(finished.stdout, template);
    assert!(!finished.dir.path().join(".pmcp").exists());

    let finished = init(&["--output=load/my.toml"], TempDir::new()).expect_code(0);
    let text = std::fs::read_to_string(finished.dir.path().join("load/my.toml"));
    assert_eq!(text.expect("the file"), template);
}

#[test]
fn keys_are_used_and_never_written() {
    const KEY: &str = "geheim-4711";
    for is_in_environment in [false, true] {
        let server = AwkwardServer::start(Script {
            tools: vec![tool("echo")],
            key: Some(KEY),
            ..Script::default()
        });
        let url = server.url();
        let program = if is_in_environment {
            Program::new(&["loadtest", "init", &url]).env("MCP_API_KEY", KEY)
        } else {
            Program::new(&["loadtest", "init", &url, "--api-key", KEY])
        };
        let finished = program.time_limit(LIMIT).run().expect_code(0);
        let config = written(&finished);
        assert!(!config.contains(KEY), "{config}");
        assert!(!finished.to_string().contains(KEY), "{finished}");
        assert!(
            config.contains("Authorization = \"Bearer ${MCP_API_KEY}\""),
            "{config}"
        );
        assert!(config.contains("tool = \"echo\""), "{config}");

        // Without the key, the config says what is missing; with it, it runs.
        let finished = Program::new(&["loadtest", "check"])
            .in_dir(finished.dir)
            .run();
        let finished = finished.expect_code(2);
        assert!(finished.stderr.contains("`MCP_API_KEY`"), "{finished}");
        let finished = Program::new(&["loadtest", "run", "--vus=1", "--iterations=2"])
            .in_dir(finished.dir)
            .env("MCP_API_KEY", KEY)
            .time_limit(LIMIT)
            .run()
            .expect_code(0);
        assert_eq!(finished.report()["totals"]["ok"], 2);
        assert!(!finished.to_string().contains(KEY), "{finished}");
        assert!(!finished.report().to_string().contains(KEY));
    }
}

/// What a server says of itself ends in a file that is read as TOML, and where
/// `${…}` is filled in.
#[test]
fn names_of_any_kind_come_back_as_they_were() {
    let names = [
        "plain",
        "with \"quotes\" and 'apostrophes'",
        "'''\n[[scenario]]\ntype = \"ping\"",
        "\"\"\"",
        "back\\slash\\u0041\\",
        "${HOME} and $${HOME} and ${",
        "tab\tand\u{1}control\u{7f}",
        "# comment",
        "日本語 \u{202e}turned\u{202c} e\u{301}",
        "  blanks  ",
        "{{template}} %s {0}",
    ];
    let tools = names.iter().map(|name| tool(name)).collect();
    let server = AwkwardServer::start(Script {
        tools,
        tools_a_page: 3,
        resources_fail: true,
        ..Script::default()
    });
    // What could be read is written, and that not all could be is told.
    let finished = init(&[&server.url()], TempDir::new()).expect_code(1);
    assert!(
        finished
            .stderr
            .contains("the resources could not be listed"),
        "{finished}"
    );
    assert!(!finished.stderr.contains(['\u{202e}', '\r']), "{finished}");
    assert!(finished.stdout.contains("11 tools"), "{finished}");
    assert!(!finished.stdout.contains('\u{202e}'), "{finished}");
    let config = written(&finished);
    let hidden = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
    assert_eq!(config.chars().find(hidden), None, "{config}");
    assert!(
        config.contains("the resources could not be listed"),
        "{config}"
    );
    let finished = check_loads(finished.dir);
    let finished = Program::new(&["loadtest", "run", "--vus=2", "--iterations=300", "--seed=3"])
        .in_dir(finished.dir)
        .time_limit(LIMIT)
        .run()
        .expect_code(0);
    assert_eq!(finished.report()["totals"]["ok"], 300, "{finished}");
    assert!(
        !finished.stdout.contains(['\u{1}', '\u{202e}']),
        "{finished}"
    );
    let called = server.called();
    for name in names {
        assert!(called.contains(name), "{name:?} was not called: {called:?}");
    }
    assert_eq!(called.len(), names.len());
}

/// The same cursor over and over: a bogus one gives the first page again.
#[test]
fn a_list_without_end_ends() {
    let server = AwkwardServer::start(Script {
        tools: vec![tool("echo")],
        cursor_forever: true,
        ..Script::default()
    });
    let finished = init(&[&server.url()], TempDir::new()).expect_code(0);
    let config = written(&finished);
    assert!(finished.stderr.contains("began to repeat it"), "{finished}");
    assert_eq!(config.matches("tool = \"echo\"").count(), 1, "{config}");
    check_loads(finished.dir);
}

#[test]
fn a_server_that_offers_nothing_gets_a_config_all_the_same() {
    let server = AwkwardServer::start(Script::default());
    let finished = init(&[&server.url()], TempDir::new()).expect_code(0);
    let finished = check_loads(finished.dir);
    let finished = Program::new(&["loadtest", "run", "--vus=1", "--iterations=3"])
        .in_dir(finished.dir)
        .time_limit(LIMIT)
        .run()
        .expect_code(0);
    assert_eq!(finished.report()["totals"]["ok"], 3, "{finished}");
}

/// A new folder with one file in it.
fn folder_with(name: &str, content: &str) -> TempDir {
    let dir = TempDir::new();
    let path = dir.path().join(name);
    let folder = path.parent().expect("a file in a folder");
    std::fs::create_dir_all(folder).expect("the folder is ours");
    std::fs::write(&path, content).expect("the folder is ours");
    dir
}

fn init(arguments: &[&str], dir: TempDir) -> Finished {
    let mut all = vec!["loadtest", "init"];
    all.extend(arguments);
    Program::new(&all).in_dir(dir).time_limit(LIMIT).run()
}

#[track_caller]
fn written(finished: &Finished) -> String {
    let text = std::fs::read_to_string(finished.dir.path().join(PATH));
    text.unwrap_or_else(|error| panic!("no config was written: {error}\n{finished}"))
}

#[track_caller]
fn check_loads(dir: TempDir) -> Finished {
    let finished = Program::new(&["loadtest", "check"]).in_dir(dir).run();
    let finished = finished.expect_code(0);
    assert!(finished.stdout.contains("no faults"), "{finished}");
    assert!(!finished.stdout.contains("notice"), "{finished}");
    assert_eq!(finished.stderr, "");
    finished
}

/// Runs the config that lies there: every step is done, and none fails but the
/// calls of the tool that always does.
#[track_caller]
fn run_with_only_failure(dir: TempDir, label: &str) -> Value {
    let report = run_with_failures_of(dir, Some(label));
    assert_eq!(report["failures"][0]["id"], "tool.is_error", "{report:#}");
    report
}

fn run_without_failure(dir: TempDir) {
    run_with_failures_of(dir, None);
}

/// The flow of what tools give each other runs as soon as its `#` are removed.
#[test]
fn the_flow_that_is_written_runs() {
    let demo = DemoProcess::start(&["--latency=none"]);
    let finished = init(&[&demo.url], TempDir::new()).expect_code(0);
    let config = written(&finished);
    let (before, flow) = config.split_once("#[[flow]]").expect("a flow");
    let flow: Vec<&str> = flow
        .lines()
        .map(|line| line.trim_start_matches('#'))
        .collect();
    let on = format!("{before}[[flow]]{}\n", flow.join("\n"));
    std::fs::write(finished.dir.path().join(PATH), on).expect("the folder is ours");
    let finished = check_loads(finished.dir);
    let report = run_with_failures_of(finished.dir, None);
    let rows = report["operations"].as_array().expect("a list");
    for tool in ["login", "whoami", "cart"] {
        let is_it = |row: &&Value| row["subject"] == tool && row["flow"].is_string();
        assert!(rows.iter().any(|row| is_it(&row)), "{tool}: {report:#}");
    }
    assert_eq!(report["flows"][0]["name"], "login, whoami, cart");
}

fn run_with_failures_of(dir: TempDir, label: Option<&str>) -> Value {
    let finished = Program::new(&[
        "loadtest",
        "run",
        "--vus=3",
        "--iterations=240",
        "--seed=11",
    ])
    .in_dir(dir)
    .time_limit(LIMIT)
    .run()
    .expect_code(0);
    let report = finished.report();
    for operation in report["operations"].as_array().expect("a list") {
        let figures = &operation["figures"];
        let started = count(figures, "/started");
        assert!(started > 0, "never called: {operation:#}");
        let n_failed = if label.is_some_and(|label| operation["label"] == label) {
            started
        } else {
            0
        };
        assert_eq!(count(figures, "/failed"), n_failed, "{operation:#}");
    }
    assert_eq!(count(&report, "/counters/iterations_completed"), 240);
    report
}

/// Switches on the tools of a config, as its opening says how to.
fn with_tools_switched_on(config: &str) -> String {
    let paragraph = |text: &str| {
        let is_alone = !text.contains("which `login` gives") && !text.contains("#[[flow]]");
        if is_alone && text.contains("#type = \"tools/call\"") {
            let line = |line: &str| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => rest.to_string(),
                _ => line.to_string(),
            };
            text.lines().map(line).collect::<Vec<_>>().join("\n")
        } else {
            text.to_string()
        }
    };
    let paragraphs: Vec<String> = config.split("\n\n").map(paragraph).collect();
    paragraphs.join("\n\n") + "\n"
}

/// A tool without arguments, with a description that is no better than its name.
fn tool(name: &str) -> Value {
    json!({
        "name": name,
        "description": format!("{name}\n[[scenario]]\n\u{0}\r# {name}"),
        "inputSchema": {"type": "object"},
    })
}

/// What an awkward server does.
#[derive(Default)]
struct Script {
    tools: Vec<Value>,
    /// 0: all on one.
    tools_a_page: usize,
    /// Every page says that there is another.
    cursor_forever: bool,
    /// The list of resources fails.
    resources_fail: bool,
    /// The bearer token without which nothing is answered.
    key: Option<&'static str>,
}

/// A legacy server without sessions, for what no SDK would let us say: names of
/// any kind, no prompts.
struct AwkwardServer {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    script: Script,
    /// Names of tools that were called.
    called: Mutex<BTreeSet<String>>,
    is_over: AtomicBool,
}

impl AwkwardServer {
    fn start(script: Script) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let state = Arc::new(State {
            script,
            called: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                // A client that goes away in mid-request is not our concern.
                thread::spawn(move || stream.and_then(|stream| shared.serve(stream)));
            }
        });
        Self { address, state }
    }

    fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    fn called(&self) -> BTreeSet<String> {
        let called = self.state.called.lock();
        called.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for AwkwardServer {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; gone already is fine as well.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    /// Answers the requests of one connection, until it is closed.
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some((authorization, body)) = read_request(&mut reader)? {
            let request: Value = serde_json::from_slice(&body).unwrap_or_default();
            let is_known = self
                .script
                .key
                .is_none_or(|key| authorization == format!("Bearer {key}"));
            let (status, answer) = if is_known {
                self.answer(&request)
            } else {
                ("401 Unauthorized", String::new())
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            stream.write_all(&[head.as_bytes(), answer.as_bytes()].concat())?;
        }
        Ok(())
    }

    fn answer(&self, request: &Value) -> (&'static str, String) {
        let params = &request["params"];
        let outcome = match request["method"].as_str().unwrap_or_default() {
            "initialize" => Ok(json!({
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}, "resources": {}},
                "serverInfo": {"name": "awkward\n\u{202e}[[x]]", "version": "1\"2"},
            })),
            "notifications/initialized" => return ("202 Accepted", String::new()),
            "tools/list" => Ok(self.tools_page(&params["cursor"])),
            "tools/call" => {
                let name = params["name"].as_str().unwrap_or_default().to_string();
                let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
                called.insert(name);
                Ok(json!({"content": [{"type": "text", "text": "done"}]}))
            }
            "resources/list" if self.script.resources_fail => {
                Err((-32603, "the archive\n[[scenario]] is closed"))
            }
            "server/discover" | "" => return ("400 Bad Request", String::new()),
            _ => Err((-32601, "no such method")),
        };
        let (name, value) = match outcome {
            Ok(result) => ("result", result),
            Err((code, message)) => ("error", json!({"code": code, "message": message})),
        };
        let answer = json!({"jsonrpc": "2.0", "id": request["id"], name: value});
        ("200 OK", answer.to_string())
    }

    fn tools_page(&self, cursor: &Value) -> Value {
        let tools = &self.script.tools;
        let from: usize = match cursor.as_str().map(str::parse) {
            Some(Ok(from)) => from,
            _ => 0,
        };
        let size = match self.script.tools_a_page {
            0 => tools.len(),
            size => size,
        };
        let to = (from + size).min(tools.len());
        let mut page = json!({"tools": tools[from.min(to)..to]});
        if self.script.cursor_forever {
            page["nextCursor"] = json!("again");
        } else if to < tools.len() {
            page["nextCursor"] = json!(to.to_string());
        }
        page
    }
}

/// The `Authorization` and the body of the next request; `None` at the end.
pub(crate) fn read_request(
    reader: &mut impl BufRead,
) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut authorization = String::new();
    let mut n_body_bytes = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = value.trim().to_string(),
            "content-length" => n_body_bytes = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; n_body_bytes];
    reader.read_exact(&mut body)?;
    Ok(Some((authorization, body)))
}
