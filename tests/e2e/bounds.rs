//! What a stranger can make large takes bounded memory and time.
//!
//! Memory is what the kernel says of the built program. The limits of time are
//! many times what is needed: they tell work that grows with the square.

use std::fmt::Write;
use std::thread;
use std::time::Duration;

use pmcp_loadtest::internal::{AnswerFraming, Options, ServerThread};

use crate::fake_server::{FakeServer, legacy};
use crate::program::{Finished, Program};
use crate::share;

/// A server that answers a call of any tool.
fn server() -> ServerThread {
    let options = Options {
        framing: AnswerFraming::Json,
        delay: Duration::ZERO,
    };
    ServerThread::start(options, None).expect("a server on loopback")
}

/// A run of `n_tools` tools, each with a row of its own.
fn run_of_tools(n_tools: usize, arguments: &[&str]) -> Finished {
    share::busy();
    let server = server();
    let mut config = String::from("[settings]\n");
    for n in 0..n_tools {
        let _ = write!(
            config,
            "[[scenario]]\ntype = \"tools/call\"\ntool = \"tool_{n}\"\n\
             arguments = {{ text = \"hello\" }}\n"
        );
    }
    let mut all = vec![
        "loadtest",
        "run",
        server.url(),
        "--config",
        "a.toml",
        "--no-preflight",
        "--quiet",
    ];
    all.extend(arguments);
    let program = Program::new(&all).file("a.toml", &config);
    program.watch_memory().run()
}

#[test]
fn two_thousand_operations_take_at_most_150_mb() {
    let finished = run_of_tools(2000, &["--vus", "5", "--duration", "3s"]).expect_code(0);
    let report = finished.report();
    assert_eq!(report["operations"].as_array().map(Vec::len), Some(2000));
    finished.expect_peak_below(150);
}

/// One row more than a plan may make is refused, before any load.
#[test]
fn more_rows_than_two_thousand_are_refused() {
    // The same tool in two flows is two rows, and each flow makes two more.
    let of = |n: usize| {
        let step = |n| format!("[[flow.step]]\ntype = \"tools/call\"\ntool = \"tool_{n}\"\n");
        let (many, one) = (lines(n - 5, step), lines(1, step));
        check(&format!(
            "settings.url = \"http://127.0.0.1:1/mcp\"\n[[flow]]\nname = \"a\"\n\
             {many}[[flow]]\nname = \"b\"\n{one}"
        ))
    };
    of(2_000).expect_code(0);
    let refused = of(2_001).expect_code(2);
    let told = "the steps make 2001 rows of figures; expected at most 2000";
    assert!(refused.stderr.contains(told), "{refused}");
    let server = FakeServer::start(legacy);
    let rows = lines(2_001, |n| {
        format!("[[scenario]]\ntype = \"prompts/get\"\nprompt = \"p{n}\"\n")
    });
    let run = Program::new(&["loadtest", "run", &server.url(), "--config", "a.toml"])
        .file("a.toml", &rows)
        .run()
        .expect_code(2);
    assert!(run.stderr.contains(told), "{run}");
    assert_eq!(server.log().len(), 0);
}

/// Checks a config; far less than a second where the work is linear.
fn check(config: &str) -> Finished {
    share::busy();
    Program::new(&["loadtest", "check", "a.toml"])
        .file("a.toml", config)
        .time_limit(Duration::from_secs(10))
        .watch_memory()
        .run()
}

fn lines(n: usize, line: impl Fn(usize) -> String) -> String {
    (0..n).map(line).collect()
}

#[test]
fn forty_thousand_faults_are_told_in_fifty_lines() {
    let on_one_line = |keys: String| format!("[settings]\nthink = {{ {keys} z = 1 }}\n");
    for (name, config) in [
        (
            "keys",
            lines(40_000, |n| format!("unknown_key_{n} = {n}\n")),
        ),
        (
            "keys backwards",
            lines(40_000, |n| format!("k{:05} = 1\n", 99_999 - n)),
        ),
        (
            "settings",
            format!("[settings]\n{}", lines(40_000, |n| format!("vus{n} = 1\n"))),
        ),
        (
            "one line",
            on_one_line(lines(40_000, |n| format!("low{n} = 1, "))),
        ),
        ("twice", lines(40_000, |_| "same = 1\n".to_string())),
        (
            "headers",
            format!("[headers]\n{}", lines(40_000, |n| format!("a{n} = {n}\n"))),
        ),
        (
            "steps",
            lines(20_000, |_| {
                "[[scenario]]\ntype = \"tools/cal\"\n".to_string()
            }),
        ),
        (
            "stages",
            lines(20_000, |_| "[[stage]]\ntarget_vus = -1\n".to_string()),
        ),
        (
            "variables",
            format!("settings.url = \"{}\"", "${NONE}".repeat(40_000)),
        ),
    ] {
        let finished = check(&config).expect_code(2);
        let n_lines = finished.stderr.lines().count();
        assert!(
            n_lines < 70 && finished.stderr.len() < 40_000,
            "{name}: {finished}"
        );
        let is_counted = finished.stderr.contains(" more\n") || name == "variables";
        assert!(is_counted, "{name}: {finished}");
        finished.expect_peak_below(200);
    }
}

#[test]
fn configs_of_odd_shapes_are_read_in_a_moment() {
    let call = "[[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\n";
    let name = "k".repeat(1_000_000);
    let deep = |open: &str, close: &str, n| {
        format!(
            "{call}arguments = {{ a = {}1{} }}\n",
            open.repeat(n),
            close.repeat(n)
        )
    };
    for (what, config) in [
        ("a long name", format!("{name} = 1\n")),
        ("a long header", format!("[headers]\n{name} = \"x\"\n")),
        ("a long word", format!("[[scenario]]\ntype = \"{name}\"\n")),
        (
            "a long name above many values",
            format!(
                "{call}arguments = {{ {name} = [{}] }}\nz = 1\n",
                "inf,".repeat(400_000)
            ),
        ),
        ("deep lists", deep("[", "]", 100_000)),
        ("deep tables", deep("{a=", "}", 100_000)),
        ("a deep name", format!("a{} = 1\n", ".a".repeat(100_000))),
        (
            "a deep head",
            format!("[a{}]\nb = 1\n", ".a".repeat(100_000)),
        ),
        ("deep names in deep tables", {
            let name = format!("a{}", ".a".repeat(78));
            let tables = (0..70).fold("1".to_string(), |inner, _| {
                format!("{{ {name} = {inner} }}")
            });
            format!("{call}arguments = {tables}\n")
        }),
        ("zeros", "\0".repeat(100_000)),
        ("one quote", format!("a = \"{name}\n")),
    ] {
        let finished = check(&config);
        assert_eq!(
            finished.code,
            Some(2),
            "{what}: {:.2000}",
            finished.to_string()
        );
        assert!(finished.stderr.len() < 40_000, "{what}");
        finished.expect_peak_below(300);
    }
}

#[test]
fn files_without_end_are_refused_at_once() {
    share::one_part();
    let pipe = |finished: &Program| {
        let path = finished.dir().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("a program of every system").success());
    };
    let url = "http://127.0.0.1:9/mcp";
    for (path, told) in [
        ("/dev/zero", "`/dev/zero` is larger than 4 MiB"),
        ("huge", "`huge` is larger than 4 MiB"),
        (".", "`.` cannot be read: it is a folder"),
        ("none", "`none` cannot be read: no such file or directory"),
        (
            "pipe",
            "`pipe` cannot be read: its end did not come within 5 s",
        ),
        ("odd", "`odd` is not UTF-8 (line 2)"),
    ] {
        let check = |arguments: &[&str]| {
            let program = Program::new(arguments).time_limit(Duration::from_secs(30));
            let file = std::fs::File::create(program.dir().join("huge")).expect("our folder");
            // It takes no space on the disk.
            file.set_len(10 << 30).expect("a file may have holes");
            std::fs::write(program.dir().join("odd"), b"a = 1\nb = \"\xff\"\n")
                .expect("our folder");
            pipe(&program);
            let finished = program.watch_memory().run().expect_code(2);
            // Arguments may be larger than what else is written by hand.
            let told = match arguments.contains(&"--args") {
                true => told
                    .replace("4 MiB", "16 MiB")
                    .replace("its end did not come within 5 s", "nothing came for 5 s"),
                false => told.to_string(),
            };
            assert!(finished.stderr.contains(&told), "{arguments:?}: {finished}");
            finished.expect_peak_below(60);
        };
        // They wait for a pipe's end.
        thread::scope(|scope| {
            scope.spawn(|| check(&["loadtest", "run", url, "--config", path]));
            scope.spawn(|| check(&["loadtest", "check", path]));
            scope.spawn(|| check(&["loadtest", "run", url, "--calibration", path]));
            let args = format!("@{path}");
            check(&["loadtest", "run", url, "--tool", "echo", "--args", &args]);
        });
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file() {
    let server = server();
    let config = "\u{feff}[[scenario]]\ntype = \"ping\"\n";
    Program::new(&["loadtest", "check", "a.toml"])
        .file("a.toml", config)
        .run()
        .expect_code(0);
    let arguments = [
        "loadtest",
        "run",
        server.url(),
        "--iterations",
        "1",
        "--quiet",
    ];
    let tool = ["--tool", "echo", "--args", "@a.json"];
    Program::new(&[&arguments[..], &tool[..]].concat())
        .file("a.json", "\u{feff}{\"text\": \"hello\"}")
        .run()
        .expect_code(0);
}

/// Such as an id of 24 digits, which no machine type holds.
#[test]
fn numbers_in_arguments_keep_their_digits() {
    let server = FakeServer::on_call(|request, connection| connection.done(request));
    let arguments = r#"{"n": 12345678901234567890123, "f": 1.10}"#;
    let url = server.url();
    let typed = [
        "--tool",
        "t",
        "--no-preflight",
        "--iterations",
        "1",
        "--quiet",
        "--args",
        arguments,
    ];
    Program::new(&[&["loadtest", "run", &url][..], &typed].concat())
        .run()
        .expect_code(0);
    let calls = server.log_of("tools/call");
    assert!(calls[0].body.contains(arguments), "{}", calls[0].body);
}
