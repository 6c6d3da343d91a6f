//! What is on a terminal, of any width and while it is resized; and what
//! files and pipes get instead.

use std::time::Duration;

use serde_json::json;

use crate::fake_server::FakeServer;
use crate::load_run::{LoadRun, load_run, run_work};
use crate::program::{Finished, Program, loadtest};
use crate::pty::{OnTerminal, ROWS};
use crate::report::run_with_long_names;

/// Tools of one prefix, as one server has them.
const TOOLS: [&str; 3] = [
    "github_list_pull_requests_of_a_repository",
    "github_list_pull_request_reviews_of_a_repository",
    "github_list_pull_request_comments_of_a_repository",
];

const MESSAGE: &str = "the upstream of this tool refused the call, since the token that was \
                       sent with it has no permission for the scope pull_requests:write";

/// The tools one after the other; the second fails with a long message.
fn server() -> FakeServer {
    FakeServer::on_call(|request, connection| {
        if request.message()["params"]["name"] == TOOLS[1] {
            let error = json!({"code": -32001, "message": MESSAGE});
            return connection.json(&request.error(&error));
        }
        connection.done(request)
    })
}

fn config() -> String {
    let steps =
        TOOLS.map(|tool| format!("[[scenario]]\ntype = \"tools/call\"\ntool = \"{tool}\"\n"));
    format!(
        "[settings]\nvirtual_users = 2\niterations = 60\n{}",
        steps.concat()
    )
}

fn program(url: &str, arguments: &[&str]) -> Program {
    let mut all = vec![
        "loadtest",
        "run",
        url,
        "--no-pin",
        "--seed",
        "1",
        "--no-preflight",
    ];
    all.extend_from_slice(arguments);
    Program::new(&all).file(".pmcp/loadtest.toml", &config())
}

/// The rows on a terminal of this width, and all that was written.
fn on_terminal(columns: u16, environment: &[(&str, &str)]) -> (Vec<String>, String) {
    let server = server();
    let mut program = program(&server.url(), &[]);
    for (name, value) in environment {
        program = program.env(name, value);
    }
    let (code, rows, text) = OnTerminal::start(program, columns).wait();
    assert_eq!(code, Some(0), "{rows:#?}");
    (rows, text)
}

/// The rows of the table of operations, and what is below its method.
fn tool_rows(rows: &[String]) -> Vec<&str> {
    let rows = rows.iter().map(String::as_str);
    let rows = rows.skip_while(|row| *row != "tools/call").skip(1);
    rows.take(TOOLS.len()).collect()
}

#[test]
fn tables_fit_the_terminal_and_names_stay_apart() {
    for columns in [60, 80, 200] {
        let (rows, text) = on_terminal(columns, &[]);
        let tools = tool_rows(&rows);
        let mut names: Vec<&str> = tools
            .iter()
            .map(|row| row.split_whitespace().next().expect("a name"))
            .collect();
        if columns == 200 {
            names.sort_unstable();
            let mut whole = TOOLS;
            whole.sort_unstable();
            assert_eq!(names, whole, "{rows:#?}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TOOLS.len(), "{columns}: {rows:#?}");
        // Each ends in a latency: nothing went on in the next row.
        for row in &tools {
            assert!(
                row.ends_with('s') || row.ends_with('-'),
                "{columns}: {rows:#?}"
            );
        }
        // The message is whole, on as many rows as it takes.
        let joined = rows
            .iter()
            .map(|row| row.trim())
            .collect::<Vec<_>>()
            .join(" ");
        assert!(joined.contains(MESSAGE), "{columns}: {rows:#?}");
        assert!(
            joined.contains("at tools/call github"),
            "{columns}: {rows:#?}"
        );
        assert!(text.contains("verdict"), "{text}");
    }
}

#[test]
fn a_size_that_says_nothing_is_eighty_columns_and_none_makes_a_panic() {
    for columns in [1, 2, 19, 20] {
        let (_, text) = on_terminal(columns, &[]);
        assert!(!text.contains("panicked"), "{columns}: {text}");
        assert!(text.contains("verdict"), "{columns}: {text}");
    }
    let (_, text) = on_terminal(0, &[("NO_COLOR", "1")]);
    let widest = text
        .lines()
        .filter(|line| line.contains("tools/call"))
        .map(str::len);
    assert!(widest.max().is_some_and(|width| width <= 100), "{text}");
}

#[test]
fn the_users_wish_wins_over_the_terminal() {
    let (rows, _) = on_terminal(200, &[("COLUMNS", "60")]);
    for row in rows.iter().filter(|row| !row.starts_with("report:")) {
        assert!(row.chars().count() <= 60, "{rows:#?}");
    }
}

/// Here in a narrow terminal; what is longer than a row stays whole, to be copied.
#[test]
fn errors_are_broken_between_words() {
    const COLUMNS: usize = 30;
    let words = ["loadtest", "run", "http://127.0.0.1:1/mcp", "-o", "--live"];
    let (code, rows, _) = OnTerminal::start(Program::new(&words), COLUMNS as u16).wait();
    assert_eq!(code, Some(2), "{rows:#?}");
    assert!(rows.len() > 4, "{rows:#?}");
    let joined = rows.join(" ");
    let expected = "error: `-o` takes a value, and `--live` behind it is a flag  hint: if the \
                    value is meant to be `--live`, write both as one word: `-o--live`";
    assert_eq!(joined.trim_end(), expected, "{rows:#?}");
}

#[test]
fn who_is_to_type_a_config_is_told_so() {
    let mut check = OnTerminal::start(Program::new(&["loadtest", "check", "-"]), 80);
    check.wait_until("a notice", |check| {
        check.rows().iter().any(|row| row.contains("until Ctrl-D"))
    });
    check.type_keys(
        "[settings]\nurl = \"http://127.0.0.1:1/mcp\"\n[[scenario]]\ntype = \"ping\"\n\u{4}",
    );
    let (code, rows, _) = check.wait();
    assert_eq!(code, Some(0), "{rows:#?}");
    assert!(
        rows.contains(&"standard input: no faults".to_string()),
        "{rows:#?}"
    );
}

#[test]
fn a_resize_leaves_no_remains_of_the_live_line() {
    let server = FakeServer::on_call(|request, connection| {
        std::thread::sleep(Duration::from_millis(5));
        connection.done(request)
    });
    let url = server.url();
    let arguments = [
        "loadtest",
        "run",
        &url,
        "--no-pin",
        "--no-preflight",
        "--tool",
        "echo",
        "--vus",
        "2",
        "--duration",
        "4s",
        "--live",
        "line",
    ];
    let mut run = OnTerminal::start(Program::new(&arguments), 100);
    let live = |run: &OnTerminal| -> Vec<String> {
        let rows = run.rows();
        rows.into_iter()
            .filter(|row| row.contains("s left"))
            .collect()
    };
    run.wait_until("the live line", |run| live(run).len() == 1);
    run.type_keys("abc\n");
    run.wait_until("what was typed", |run| run.has_shown("abc"));
    let before = run.written();
    run.wait_until("a new drawing", |run| run.written() > before + 40);
    run.wait_until("a line without what was typed", |run| {
        let is_typed = run.rows().iter().any(|row| row.contains("abc"));
        !is_typed && live(run).len() == 1
    });
    for columns in [30, 12, 140, 50] {
        run.resize(ROWS, columns);
        let before = run.written();
        run.wait_until("a new drawing", |run| run.written() > before + 40);
        let rows = live(&run);
        assert!(rows.len() <= 1, "{columns}: {:#?}", run.rows());
        for row in rows {
            assert!(
                row.chars().count() < usize::from(columns),
                "{columns}: {row}"
            );
        }
    }
    run.resize(ROWS, 120);
    let (code, rows, text) = run.wait();
    assert_eq!(code, Some(0), "{rows:#?}");
    assert!(!rows.iter().any(|row| row.contains("s left")), "{rows:#?}");
    // Nothing but relative movement.
    assert!(
        !text.contains("\u{1b}[H") && !text.contains("\u{1b}[2J"),
        "{text}"
    );
}

/// Whatever the user types, resizes and stops: there is one panel, below what was written
/// before, and nothing of it is left at the end.
#[test]
#[cfg(target_os = "linux")]
fn a_panel_leaves_no_remains() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    const N_TOOLS: usize = 30;
    let server = FakeServer::on_call(|request, connection| {
        std::thread::sleep(Duration::from_millis(5));
        connection.done(request)
    });
    // Wide, and joined of several characters.
    let step = |n| format!("[[scenario]]\ntype = \"tools/call\"\ntool = \"道具👩‍👩‍👧 {n}\"\n");
    let steps: String = (0..N_TOOLS).map(step).collect();
    let config = format!("[settings]\nvirtual_users = 2\n{steps}");
    let url = server.url();
    let words = [
        "loadtest",
        "run",
        &url,
        "--no-pin",
        "--no-preflight",
        "--duration",
        "50s",
    ];
    let program = Program::new(&words).file(".pmcp/loadtest.toml", &config);
    let mut run = OnTerminal::start_sized(program, 24, 80);
    let count = |run: &OnTerminal, what: &str| -> usize {
        run.rows().iter().filter(|row| row.contains(what)).count()
    };
    let is_whole = |run: &OnTerminal| -> bool {
        let once = ["s left", " in flight", "rate ", "slowest operations"];
        once.iter().all(|what| count(run, what) == 1)
            && run
                .rows()
                .first()
                .is_some_and(|row| row.starts_with("testing "))
    };
    run.wait_until("the panel", is_whole);
    // As many as there is room for; the others are counted.
    run.wait_until("the count of the rest", |run| count(run, "  and ") == 1);
    assert!(count(&run, "道具👩 ") < N_TOOLS, "{:#?}", run.rows());
    let drawn_anew = |run: &mut OnTerminal| {
        let before = run.written();
        run.wait_until("a new drawing", |run| run.written() > before + 40);
    };
    run.type_keys("abc\n\ndef");
    drawn_anew(&mut run);
    run.wait_until("a panel without what was typed", |run| {
        is_whole(run) && count(run, "abc") + count(run, "def") == 0
    });
    for (rows, columns) in [(15, 60), (40, 120), (14, 59), (1, 1), (24, 80)] {
        run.resize(rows, columns);
        drawn_anew(&mut run);
    }
    run.wait_until("the panel again", |run| count(run, "s left") == 1);
    let process = Pid::from_raw(run.id() as i32);
    kill(process, Signal::SIGTSTP).expect("it runs");
    let is_stopped = |run: &OnTerminal| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", run.id()));
        stat.is_ok_and(|stat| stat.contains(") T "))
    };
    run.wait_until("the stop", is_stopped);
    run.wait_until("the shell's screen", |run| count(run, "s left") == 0);
    kill(process, Signal::SIGCONT).expect("it is stopped");
    run.wait_until("the panel after the stop", |run| count(run, "s left") == 1);
    kill(process, Signal::SIGINT).expect("it runs");
    let (code, rows, text) = run.wait();
    assert_eq!(code, Some(130), "{rows:#?}");
    assert!(!text.contains("panicked"), "{text}");
    assert!(!rows.iter().any(|row| row.contains("s left")), "{rows:#?}");
    // No question to the terminal, no mode that would have to be undone, no place that is
    // counted from the screen's corner.
    for sequence in ["[6n", "[c", "[5n", "[?1049", "[?25l", "[H", "[2J", "[?1h"] {
        assert!(!text.contains(&format!("\u{1b}{sequence}")), "{sequence}");
    }
    // The summary is longer than the screen, and ends as it began.
    let last = rows.iter().rfind(|row| !row.is_empty());
    let last = last.expect("a summary");
    assert!(last.ends_with("; valid") || last.ends_with("suspect") || last.ends_with("invalid"));
    assert!(last.contains(" calls/s, p99 "), "{rows:#?}");
}

/// Where no terminal reads, colour may be forced; movement never is.
#[test]
fn forced_colour_moves_nothing() {
    let server = server();
    let finished = program(&server.url(), &["--live", "panel"])
        .env("CLICOLOR_FORCE", "1")
        .run()
        .expect_code(0);
    assert!(finished.stderr.contains("\u{1b}["), "{finished}");
    for sequence in MOVEMENT {
        assert!(
            !finished.stderr.contains(sequence),
            "{sequence:?} {finished}"
        );
    }
    // A runner may give its jobs a terminal.
    let (_, text) = on_terminal(100, &[("CI", "true"), ("CLICOLOR_FORCE", "1")]);
    assert!(text.contains("\u{1b}["), "{text}");
    // A terminal makes `\r\n` of each line's end.
    let text = text.replace("\r\n", "\n");
    for sequence in MOVEMENT {
        assert!(!text.contains(sequence), "{sequence:?} {text}");
    }
}

const MOVEMENT: [&str; 6] = [
    "\r", "\u{1b}[J", "\u{1b}[K", "A\u{1b}", "\u{1b}7", "\u{1b}[?",
];

#[test]
fn operations_are_sorted_as_the_user_wants() {
    let server = server();
    let sorted = |by: &str| -> Vec<String> {
        let finished = program(&server.url(), &["--sort", by, "--ascii"])
            .run()
            .expect_code(0);
        assert!(finished.stdout.is_ascii(), "{finished}");
        let rows = finished
            .stdout
            .lines()
            .filter(|line| line.starts_with("  github"));
        let names = rows.filter_map(|row| row.split_whitespace().next());
        names.map(str::to_string).collect()
    };
    let mut by_name = TOOLS;
    by_name.sort_unstable();
    assert_eq!(sorted("name"), by_name);
    assert_eq!(sorted("errors")[0], TOOLS[1]);
    let finished = program(&server.url(), &["--sort", "size"])
        .run()
        .expect_code(2);
    assert!(
        finished.stderr.contains("`time`, `p99`, `rate`"),
        "{finished}"
    );
}

#[test]
fn a_locale_without_utf_8_gets_ascii_and_a_dumb_terminal_no_sequences() {
    let (_, text) = on_terminal(60, &[("LC_ALL", "C"), ("TERM", "dumb")]);
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("...") && text.contains("###"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let (_, text) = on_terminal(60, &[("NO_COLOR", "1"), ("LANG", "C.UTF-8")]);
    assert!(text.contains('…') && text.contains('█'), "{text}");
    assert!(
        !text.contains("\u{1b}[3") && !text.contains("\u{1b}[1m"),
        "{text}"
    );
}

/// In a pipe: all names and messages whole, whatever `COLUMNS` says.
#[test]
fn in_a_pipe_nothing_is_cut() {
    let server = server();
    let finished = program(&server.url(), &[]).env("COLUMNS", "40").run();
    let finished = finished.expect_code(0);
    assert!(!finished.stdout.contains('…'), "{finished}");
    assert!(!finished.stderr.contains('…'), "{finished}");
    for tool in TOOLS {
        let row = |line: &str| line.starts_with(&format!("  {tool} "));
        assert!(finished.stdout.lines().any(row), "{finished}");
    }
    let message = format!("    {MESSAGE}");
    assert!(
        finished.stdout.lines().any(|line| line == message),
        "{finished}"
    );
    let place = format!("    at tools/call {}", TOOLS[1]);
    assert!(
        finished.stdout.lines().any(|line| line == place),
        "{finished}"
    );
}

#[test]
fn quiet_leaves_errors_on_stderr_and_nothing_else() {
    let server = server();
    let quiet = |arguments: &[&str]| -> Finished {
        let mut all = vec!["--quiet"];
        all.extend_from_slice(arguments);
        program(&server.url(), &all).run()
    };
    let finished = quiet(&["--report", "-"]).expect_code(0);
    assert_eq!(finished.stderr, "", "{finished}");
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).expect("only JSON");
    assert_eq!(report["totals"]["started"], 60);
    let finished = quiet(&[]).expect_code(0);
    assert_eq!(finished.stderr, "", "{finished}");
    assert!(finished.stdout.contains("verdict"), "{finished}");
    finished.checked_report();
    let finished = load_run("http://127.0.0.1:1/mcp", &["--report", "-"]).run();
    let finished = finished.expect_code(1);
    assert!(finished.stderr.starts_with("error: "), "{finished}");
    let arguments = [
        "calibrate",
        "--quiet",
        "--report",
        "-",
        "--vus",
        "1",
        "--seconds",
        "0.25",
    ];
    let words: Vec<&str> = std::iter::once("loadtest").chain(arguments).collect();
    let finished = Program::new(&words).run().expect_code(0);
    assert_eq!(finished.stderr, "", "{finished}");
    assert!(finished.stdout.starts_with('{'), "{finished}");
}

#[test]
fn a_check_says_what_a_run_will_do() {
    let checked = |settings: &str| {
        let config = format!("[settings]\n{settings}\n[[scenario]]\ntype = \"ping\"\n");
        Program::new(&["loadtest", "check"])
            .file(".pmcp/loadtest.toml", &config)
            .env(
                "MCP_URL",
                "http://127.0.0.1:8080/mcp?api_key=hunter2hunter2",
            )
            .run()
            .expect_code(0)
    };
    let row = |finished: &Finished, key: &str| -> String {
        let mut rows = finished.stdout.lines();
        let row = rows.find_map(|row| row.strip_prefix(key));
        row.unwrap_or_else(|| panic!("no {key}: {finished}"))
            .trim()
            .to_string()
    };
    let finished = checked("url = \"${MCP_URL}\"");
    assert_eq!(row(&finished, "seed"), "drawn for each run");
    assert_eq!(
        row(&finished, "target"),
        "http://127.0.0.1:8080/mcp?api_key=*** (`${MCP_URL}` in the config)"
    );
    assert!(!finished.to_string().contains("hunter2"), "{finished}");
    let finished = checked("url = \"http://a.example/mcp\"\nseed = 0");
    assert_eq!(row(&finished, "seed"), "0");
    assert_eq!(row(&finished, "target"), "http://a.example/mcp");
}

/// The names and messages of a server never break a row of eighty columns.
#[test]
fn long_names_in_any_script_fit() {
    let (_server, run, _) = run_with_long_names();
    let run = run.env("NO_COLOR", "1");
    let (code, rows, text) = OnTerminal::start(run, 80).wait();
    assert_eq!(code, Some(0), "{rows:#?}");
    for line in text.lines().filter(|line| !line.starts_with("report:")) {
        let width: usize = line.trim_end().chars().map(columns).sum();
        assert!(width <= 80, "{width}: {line}");
    }
}

/// The terminal's columns for a character of that test's names: kana and kanji
/// take two.
fn columns(c: char) -> usize {
    if ('\u{3000}'..'\u{a000}').contains(&c) {
        2
    } else {
        1
    }
}

/// A pipe that takes nothing more, and its end that nobody reads.
#[cfg(target_os = "linux")]
fn full_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    use std::io::{PipeWriter, Write as _, pipe};
    use std::os::fd::AsFd as _;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    let (reader, mut writer) = pipe().expect("a pipe");
    let is_full = |writer: &PipeWriter| {
        let mut asked = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
        poll(&mut asked, PollTimeout::ZERO).expect("a look") == 0
    };
    while !is_full(&writer) {
        // A page of the pipe each, so that no room is left in any.
        writer.write_all(&[b'x'; 4096]).expect("there is room");
    }
    (reader, writer)
}

/// Whether it came to be within half a minute.
#[cfg(target_os = "linux")]
fn came_true(mut is_it: impl FnMut() -> bool) -> bool {
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while !is_it() {
        if std::time::Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Sends a signal, and gives the exit code that comes of it; kills what does not end.
#[cfg(target_os = "linux")]
fn code_after(mut process: std::process::Child, signal: nix::sys::signal::Signal) -> Option<i32> {
    let id = i32::try_from(process.id()).expect("a process id");
    let sent = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal);
    sent.expect("our own child can be signalled");
    let mut status = None;
    came_true(|| {
        status = process.try_wait().expect("a child's status");
        status.is_some()
    });
    let _ = process.kill();
    let _ = process.wait();
    status.expect("it ended by the signal").code()
}

/// Neither stdout nor stderr is read, and both are full. The load ends, its report is
/// written, and one signal ends the process that waits to show it.
#[test]
#[cfg(target_os = "linux")]
fn nobody_who_does_not_read_holds_up_a_run() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let words = ["--no-pin", "--vus", "1", "--iterations", "2"];
    let (mut command, dir) = run_work(&server.url(), &words).into_command();
    let (_unread_stdout, stdout) = full_pipe();
    let (_unread_stderr, stderr) = full_pipe();
    let process = command
        .stdin(std::process::Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .expect("the program can be started");
    drop(command);
    let reports = dir.path().join(".pmcp/reports");
    let was_written = came_true(|| {
        let files = std::fs::read_dir(&reports).into_iter().flatten().flatten();
        let mut names = files.map(|file| file.path());
        names.any(|path| path.extension().is_some_and(|it| it == "json"))
    });
    let code = code_after(process, nix::sys::signal::Signal::SIGTERM);
    assert!(was_written, "the report is written");
    assert_eq!(code, Some(130));
}

/// They have nothing to finish: one Ctrl-C ends them, though nobody reads what they say.
#[test]
#[cfg(target_os = "linux")]
fn one_interrupt_ends_what_shows_something_to_nobody() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let url = server.url();
    let started = [&["try", &url, "--tool", "work"][..], &["demo"]].map(|words| {
        let (mut command, dir) = loadtest(words).into_command();
        let (unread, stdout) = full_pipe();
        let command = command.stdin(std::process::Stdio::null()).stdout(stdout);
        let command = command.stderr(std::process::Stdio::null());
        let process = command.spawn().expect("the program can be started");
        (process, dir, unread)
    });
    // The server is told of next.
    assert!(came_true(|| server.count("tools/list") > 0));
    for (process, _dir, _unread) in started {
        let tasks = format!("/proc/{}/task", process.id());
        // Before that a signal ends it as it ends any program.
        let listens = came_true(|| {
            let tasks = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
            let mut names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")));
            names.any(|name| name.is_ok_and(|name| name.trim() == "signals"))
        });
        assert!(listens);
        let code = code_after(process, nix::sys::signal::Signal::SIGINT);
        assert_eq!(code, Some(130));
    }
}
