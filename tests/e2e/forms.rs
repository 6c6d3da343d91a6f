//! The forms of a report that others read: JUnit, Markdown, CSV, what GitHub Actions
//! shows. A stranger's text breaks none of them, and each says what was decided.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::fake_server::{FakeServer, legacy};
use crate::load_run::{list, load_run};
use crate::program::{Finished, Program, TempDir};

/// Names of tools that try to leave their place, but for one.
const NAMES: [&str; 12] = [
    "plain",
    "with blanks and \"quotes\" and 'others'",
    "${HOME} {{x}} $${y}",
    "a|b`c``d\\|e",
    "<img src=x onerror=alert(1)><!-- ",
    "::error title=x::pwned",
    "=HYPERLINK(\"http://evil\",\"x\")",
    "@octocat #1 ##[error]x",
    "]]><failure/>&amp;",
    "ein_sehr_langer_Name_日本語_",
    "-1+1",
    "a, b; c\u{e9}\u{1f980}",
];

fn read(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).expect(name)
}

/// A config that calls a tool of each name as often.
fn config(names: &[&str]) -> String {
    let mut config = "[settings]\nvirtual_users = 1\niterations = 24\n".to_string();
    for name in names {
        // JSON's escapes are TOML's, and `${` is written `$${`.
        let name = json!(name.replace("${", "$${")).to_string();
        config += &format!("[[scenario]]\ntype = \"tools/call\"\ntool = {name}\n");
    }
    config
}

/// A server whose calls fail with a message that tries the same as the names.
fn nasty() -> FakeServer {
    FakeServer::on_call(|request, connection| {
        let message = "::error::x\n| `a` | <b> ]]> \u{202e} @octocat \r\n::stop-commands::t";
        let error = json!({"code": -32000, "message": message});
        connection.json(&request.error(&error))
    })
}

fn show(arguments: &[&str], dir: TempDir) -> Finished {
    let all = [&["loadtest", "report"], arguments].concat();
    Program::new(&all).in_dir(dir).run().expect_code(0)
}

/// No line of the output is a command that we did not write.
fn check_commands(finished: &Finished) {
    for line in finished.stdout.lines().chain(finished.stderr.lines()) {
        let is_command = line.trim_start().starts_with("::") || line.contains("##[");
        let is_ours = line.starts_with("::error title=load test%3A ")
            || line.starts_with("::warning title=load test%3A ");
        assert!(!is_command || is_ours, "{line}: {finished}");
    }
}

/// Whatever tells that a runner reads along: it takes no stranger's line for a command.
#[test]
fn annotations_never_stand_beside_a_strangers_commands() {
    let server = nasty();
    let load = ["--no-preflight", "--no-report"];
    for (flag, summary) in [(Some("--github"), ""), (None, "step.md")] {
        let arguments: Vec<&str> = load.into_iter().chain(flag).collect();
        let finished = load_run(&server.url(), &arguments)
            .env("GITHUB_STEP_SUMMARY", summary)
            .file(".pmcp/loadtest.toml", &config(&NAMES))
            .run();
        assert!(finished.stdout.contains("\n  : :"), "{finished}");
        check_commands(&finished);
    }
}

#[test]
fn a_strangers_text_breaks_no_form() {
    let server = nasty();
    let places = [
        "--report=r.json",
        "--junit=r.xml",
        "--markdown=r.md",
        "--no-preflight",
    ];
    let finished = load_run(&server.url(), &places)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", "step.md")
        .file(".pmcp/loadtest.toml", &config(&NAMES))
        .file("step.md", "# Before\n")
        .run();
    // Whether a run whose calls all fail passes is not the affair of this test.
    assert!(
        finished.code.is_some_and(|code| code == 0 || code == 3),
        "{finished}"
    );

    // The names are the same everywhere, as the server spells them.
    let report: Value = serde_json::from_str(&read(&finished.dir, "r.json")).expect("JSON");
    let subjects: Vec<&str> = list(&report["operations"])
        .iter()
        .map(|operation| operation["subject"].as_str().expect("a name"))
        .collect();
    assert_eq!(subjects, NAMES);
    for name in NAMES {
        assert!(report["per_tool"][name].is_object(), "{name}: {report:#}");
        // A blank at the end would not be seen.
        let seen = name.replace("<!-- ", "<!--\\u{20}");
        let row = format!("\n  {} ", seen.replace("##[", "# #["));
        let row = row.replace("\n  ::", "\n  : :");
        assert!(finished.stdout.contains(&row), "{name}: {finished}");
    }
    for called in server.log_of("tools/call") {
        let name = called.message()["params"]["name"].clone();
        assert!(NAMES.iter().any(|known| name == *known), "{name}");
    }

    check_commands(&finished);

    let markdown = read(&finished.dir, "r.md");
    for name in [
        "`tools/call plain`",
        "`tools/call ${HOME} {{x}} $${y}`",
        "`tools/call <img src=x onerror=alert(1)><!--\\u{20}`",
        "```tools/call a\\|b`c``d\\\\|e```",
    ] {
        let row = format!("\n| {name} |");
        assert!(markdown.contains(&row), "{name}: {markdown}");
    }
    assert_eq!(
        read(&finished.dir, "step.md"),
        format!("# Before\n\n{markdown}")
    );

    let finished = show(&["r.json", "--format", "csv"], finished.dir);
    let mut reader = csv::Reader::from_reader(finished.stdout.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("CSV")).collect();
    let calls = rows.iter().filter(|row| &row[0] == "call");
    let cells: Vec<&str> = calls.map(|row| row.get(2).expect("a name")).collect();
    assert_eq!(cells.len(), NAMES.len());
    for (cell, name) in cells.iter().zip(NAMES) {
        let is_formula = name.starts_with(['=', '-', '@', '+']);
        let expected = if is_formula {
            format!("'{name}")
        } else {
            name.to_string()
        };
        assert_eq!(*cell, expected);
    }
}

#[test]
fn several_forms_go_to_one_stream_each() {
    let server = FakeServer::start(legacy);
    let few = ["--iterations", "3"];
    let run = |more: &[&str]| load_run(&server.url(), &[&few[..], more].concat());
    let finished = run(&["--report", "-", "--junit", "x.xml", "--markdown", "x.md"]);
    let finished = finished.run().expect_code(0);
    let report: Value = serde_json::from_str(&finished.stdout).expect("JSON alone");
    assert_eq!(report["totals"]["ok"], 3);
    assert!(read(&finished.dir, "x.xml").contains("3 of 3 calls succeeded"));
    // Where the machine is busy the result may be suspect or invalid, which the heading tells.
    let page = read(&finished.dir, "x.md");
    let heading = page.lines().next().unwrap_or_default();
    assert!(heading.starts_with("## "), "{heading}");
    assert!(heading.contains(" Load test "), "{heading}");
    // The other way round; where a form is on stdout, the summary is not.
    let finished = run(&["--no-report", "--junit", "-"]).run().expect_code(0);
    assert!(finished.stdout.starts_with("<?xml"), "{finished}");
    assert!(finished.stdout.ends_with("</testsuites>\n"), "{finished}");

    // A place is known to be bad, or taken, before anything is sent.
    let n_before = server.log().len();
    for (words, code, part) in [
        (
            &["--junit", "x", "--markdown", "./x"][..],
            2,
            "both write to `./x`",
        ),
        (
            &["--report", "-", "--junit", "-"],
            2,
            "both write to stdout",
        ),
        (&["--junit", "no/such/folder/x"], 1, "no/such/folder/x"),
        (&["--github", "--no-github"], 2, "exclude each other"),
    ] {
        let finished = run(words).run().expect_code(code);
        assert!(finished.stderr.contains(part), "{finished}");
        assert_eq!(finished.stdout, "", "{finished}");
    }
    let with_summary = run(&["--markdown", "s.md"]).env("GITHUB_STEP_SUMMARY", "s.md");
    let finished = with_summary.file("s.md", "").run().expect_code(2);
    assert!(
        finished.stderr.contains("GITHUB_STEP_SUMMARY"),
        "{finished}"
    );
    assert_eq!(server.log().len(), n_before);
}

/// A report with this verdict and these thresholds, as a stored file.
fn with_thresholds() -> (TempDir, Value) {
    let server = FakeServer::start(legacy);
    let finished = load_run(&server.url(), &["--iterations", "3", "--report", "r.json"]);
    let finished = finished.run().expect_code(0);
    let text = read(&finished.dir, "r.json");
    let mut report: Value = serde_json::from_str(&text).expect("JSON");
    let threshold = |text: &str, value: Value, severity: &str, grade: &str| {
        json!({
            "text": text, "selector": null, "metric": "p99", "comparison": "<", "limit": 200.0,
            "unit": "ms", "value": value, "margin": null, "severity": severity, "grade": grade,
            "few": false, "interval": null, "aborted": false,
            "why": if value.is_null() { json!("no call ended") } else { Value::Null },
        })
    };
    report["thresholds"] = json!([
        threshold(
            "tool:\"a b\" p99<200ms & more",
            json!(250.0),
            "fail",
            "failed"
        ),
        threshold("p99<200ms", json!(200.0004), "warn", "warned"),
        threshold("p99<0.2s", json!(12.0), "fail", "passed"),
        threshold("prompt:x p99<200ms", Value::Null, "fail", "failed"),
    ]);
    report["gate"] = json!({"grade": "failed", "why": null});
    report["verdict"] = json!({"grade": "invalid", "reasons": []});
    fs::write(finished.dir.path().join("r.json"), report.to_string()).expect("ours");
    (finished.dir, report)
}

/// What a JUnit file of it says, case by case.
fn expected_cases() -> Value {
    json!([
        [
            "thresholds",
            "tool:\"a b\" p99<200ms & more",
            "failure",
            "p99 is 250 ms, to be < 200 ms"
        ],
        [
            "thresholds",
            "p99<200ms",
            "passed",
            "warning: p99 is 200.0004 ms, to be < 200 ms"
        ],
        [
            "thresholds",
            "p99<0.2s",
            "passed",
            "p99 is 12.0 ms, to be < 200 ms"
        ],
        [
            "thresholds",
            "prompt:x p99<200ms",
            "failure",
            "p99 has no value, to be < 200 ms: no call ended"
        ],
        ["run", "the result is valid", "skipped", "invalid"],
    ])
}

#[test]
fn thresholds_are_told_as_they_were_decided() {
    let (dir, _) = with_thresholds();
    let finished = show(&["r.json", "--format=markdown"], dir);
    let mut lines = finished.stdout.lines();
    assert_eq!(lines.next(), Some("## ❌ Load test failed: 2 of 5 checks"));
    let rows: Vec<&str> = lines
        .filter(|line| line.starts_with("| "))
        .take(7)
        .collect();
    let expected = [
        "|  | check | result |",
        "| --- | --- | --- |",
        "| ❌ | `tool:\"a b\" p99<200ms & more` | p99 is 250 ms, to be \\< 200 ms |",
        "| ❌ | `prompt:x p99<200ms` | p99 has no value, to be \\< 200 ms: no call ended |",
        "| ⚠️ | the result is valid | invalid |",
        "| ⚠️ | `p99<200ms` | p99 is 200.0004 ms, to be \\< 200 ms |",
        "| ✅ | `p99<0.2s` | p99 is 12.0 ms, to be \\< 200 ms |",
    ];
    assert_eq!(rows, expected, "{finished}");
    let finished = show(&["r.json", "--format=junit"], finished.dir);
    let counts = "tests=\"4\" failures=\"2\" errors=\"0\" skipped=\"0\"";
    assert!(finished.stdout.contains(counts), "{finished}");
    let name = "name=\"tool:&quot;a b&quot; p99&lt;200ms &amp; more\"";
    assert!(finished.stdout.contains(name), "{finished}");
}

/// Two readers that nobody here wrote.
#[test]
#[ignore = "needs junitparser and junit2json; .ci/run installs them"]
fn junit_is_read_by_python_and_node() {
    let variable = |name: &str| {
        std::env::var(name).unwrap_or_else(|_| panic!("`{name}` is not set: see `.ci/run`"))
    };
    let (dir, _) = with_thresholds();
    let finished = show(&["r.json", "--format=junit", "-o", "r.xml"], dir);
    let strangers = load_run(
        &nasty().url(),
        &["--junit=nasty.xml", "--no-preflight", "--no-report"],
    )
    .file(".pmcp/loadtest.toml", &config(&NAMES))
    .run();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers");
    let node_folder = variable("PMCP_TEST_NODE");
    let cases = |file: &Path| {
        let mut python = Command::new(variable("PMCP_TEST_READERS"));
        python.arg(scripts.join("junit.py")).arg(file);
        let mut node = Command::new("node");
        node.arg(scripts.join("junit.mjs"))
            .arg(&node_folder)
            .arg(file);
        [python, node].map(|mut reader| {
            let output = reader.output().expect("a reader");
            assert!(output.status.success(), "{output:?}");
            serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
        })
    };
    for found in cases(&finished.dir.path().join("r.xml")) {
        assert_eq!(found, expected_cases());
    }
    let [python, node] = cases(&strangers.dir.path().join("nasty.xml"));
    assert_eq!(python, node);
    assert_eq!(list(&python).len(), 2, "{python:#}");
}

#[test]
fn a_full_step_summary_stays_within_its_limit_and_fails_no_job() {
    const LIMIT: usize = 1 << 20;
    let server = FakeServer::start(legacy);
    let add_to = |n_before: usize| {
        let before = "é\n".repeat(n_before / 3);
        let finished = load_run(&server.url(), &["--iterations", "3", "--github"])
            .env("GITHUB_STEP_SUMMARY", "step.md")
            .file("step.md", &before)
            .run()
            .expect_code(0);
        let text = read(&finished.dir, "step.md");
        assert!(text.len() <= LIMIT, "{}", text.len());
        (text[before.len()..].to_string(), finished)
    };
    let (whole, _) = add_to(0);
    assert!(whole.contains("### Operations"), "{whole}");
    let (cut, _) = add_to(LIMIT - 400);
    // Which verdict it is depends on what else this machine does.
    assert!(cut.starts_with("\n## "), "{cut}");
    assert!(
        cut.ends_with("The rest did not fit here: the JSON report has all of it.\n"),
        "{cut}"
    );
    let (none, finished) = add_to(LIMIT);
    assert_eq!(none, "");
    assert!(
        finished
            .stderr
            .contains("notice: the summary of GitHub's step"),
        "{finished}"
    );
    // A variable that leads nowhere, as in a container.
    let finished = load_run(&server.url(), &["--iterations", "3"])
        .env("GITHUB_STEP_SUMMARY", "/no/such/folder/step.md")
        .run()
        .expect_code(0);
    assert!(
        finished.stdout.contains("GitHub's step cannot be written"),
        "{finished}"
    );
    // Where it is not wanted, nothing is written.
    let finished = load_run(&server.url(), &["--iterations", "3", "--no-github"])
        .env("GITHUB_STEP_SUMMARY", "step.md")
        .run()
        .expect_code(0);
    assert!(!finished.dir.path().join("step.md").exists());
}

#[test]
#[cfg(target_os = "linux")]
fn what_went_wrong_is_annotated() {
    let server = FakeServer::start(legacy);
    let limits = [
        "--vus=1",
        "--duration=60s",
        "--think=10ms",
        "--tool=work",
        "--github",
        "--junit=r.xml",
    ];
    let mut running = load_run(&server.url(), &limits).spawn();
    running.wait_until("calls are made", |_| server.count("tools/call") > 2);
    running.signal(nix::sys::signal::Signal::SIGINT);
    let finished = running.wait().expect_code(130);
    let line = "\n::error title=load test%3A calls succeed::the run was interrupted; ";
    assert!(finished.stdout.contains(line), "{finished}");
    let junit = read(&finished.dir, "r.xml");
    assert!(
        junit.contains("<error message=\"the run was interrupted; "),
        "{junit}"
    );
}

/// A server that is not there: no file of an earlier run passes for one of this run.
#[test]
fn a_run_that_could_not_be_made_leaves_no_earlier_report() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    for command in ["run", "find"] {
        let url = format!("http://{address}/mcp");
        let arguments = [
            "loadtest",
            command,
            &url,
            "--tool=work",
            "--max-p99=1s",
            "--report=r.json",
            "--junit=r.xml",
            "--markdown=r.md",
            "--svg=r.svg",
        ];
        let finished = Program::new(&arguments)
            .env("GITHUB_STEP_SUMMARY", "step.md")
            .file("r.json", "an earlier run")
            .file("r.xml", "an earlier run")
            .file("r.md", "an earlier run")
            .file("r.svg", "an earlier run")
            .run()
            .expect_code(1);
        let has = |name: &str| finished.dir.path().join(name).exists();
        assert!(!has("r.json") && !has("r.svg"), "{finished}");
        assert!(finished.stderr.contains("`r.json`"), "{finished}");
        let line = "::error title=load test%3A the run takes place::";
        assert!(finished.stdout.contains(line), "{finished}");
        let summary = read(&finished.dir, "step.md");
        assert!(
            summary.starts_with("## ❌ Load test: nothing was measured\n"),
            "{summary}"
        );
        let junit = read(&finished.dir, "r.xml");
        assert!(
            junit.contains("tests=\"1\" failures=\"0\" errors=\"1\""),
            "{junit}"
        );
        assert!(junit.contains("<error message="), "{junit}");
        assert_eq!(read(&finished.dir, "r.md"), summary);
    }
}
