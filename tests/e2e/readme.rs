//! The README's quick start, command by command, as a newcomer would type it, and the
//! examples of the reference.
//!
//! The commands are those of the fenced `sh` blocks between the comments
//! `<!-- quick start -->` and `<!-- /quick start -->`. They run in their order
//! in one empty folder, with the tests' build of the program in place of
//! `cargo run --release --` and `cargo pmcp`. What builds, installs or tests is
//! not run, only held against what `.ci/run` and `Cargo.toml` say.
//!
//! The scripts of the jobs in the section *In CI* are run by a shell, with runs of a
//! moment and servers that keep the limits, do not, or became slower.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::Duration;

use pmcp_loadtest::demo::{DemoOptions, DemoServer};
use serde_json::{Value, json};

use crate::demo::{demo, demo_with_latency};
use crate::fake_server::FakeServer;
use crate::load_run::LoadRun;
use crate::program::{Program, Running, TempDir};
use crate::share;

/// The address that the README gives the server at hand.
const ADDRESS: &str = "http://127.0.0.1:8080/mcp";

/// The longest command is the main job, which makes load for ten seconds.
const TIME_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn every_command_of_the_quick_start_works() {
    let readme = repository_file("README.md");
    let commands = quick_start(&readme);
    let mut shell = Shell {
        dir: TempDir::new(),
        server: None,
    };
    let mut n_run = 0;
    for command in &commands {
        match program_arguments(command) {
            Some(arguments) => {
                shell.run(command, &arguments);
                n_run += 1;
            }
            None => check_other_command(command),
        }
    }
    for expected in [
        "cargo install --path .",
        "cargo test",
        "cargo run --release -- loadtest run --demo",
    ] {
        assert!(commands.iter().any(|c| c == expected), "no `{expected}`");
    }
    assert!(n_run >= 4, "only {n_run} commands of the program found");
    let reports = shell.dir.path().join(".pmcp/reports");
    let n_reports = std::fs::read_dir(reports).expect("reports").count();
    assert!(n_reports >= 2, "{n_reports} reports were written");
    // As the README says, Ctrl-C ends it.
    #[cfg(target_os = "linux")]
    if let Some(server) = shell.server {
        server.signal(nix::sys::signal::Signal::SIGINT);
        server.wait().expect_code(0);
    }
}

/// Where the commands are run.
struct Shell {
    dir: TempDir,
    /// The server at hand, once a command has started it.
    server: Option<Running>,
}

impl Shell {
    fn run(&mut self, command: &str, arguments: &[String]) {
        let mut arguments = arguments.to_vec();
        if arguments.iter().any(|word| word == "demo") {
            self.serve(command, &arguments);
            return;
        }
        if arguments.iter().any(|word| word.contains(ADDRESS)) {
            let url = self.server_url();
            for word in &mut arguments {
                *word = word.replace(ADDRESS, &url);
            }
        }
        let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let dir = std::mem::replace(&mut self.dir, TempDir::new());
        let finished = Program::new(&words)
            .in_dir(dir)
            .time_limit(TIME_LIMIT)
            .run();
        assert_eq!(finished.code, Some(0), "`{command}`: {finished}");
        self.dir = finished.dir;
    }

    /// Starts what the README serves on port 8080 on a free port instead.
    fn serve(&mut self, command: &str, arguments: &[String]) {
        let port = ADDRESS.split([':', '/']).nth(4).expect("a port");
        assert!(
            arguments.iter().any(|word| word == port),
            "`{command}` serves elsewhere than at {ADDRESS}"
        );
        let words: Vec<&str> = arguments
            .iter()
            .map(|word| if word == port { "0" } else { word })
            .collect();
        let mut server = Program::new(&words).time_limit(TIME_LIMIT).spawn();
        server.wait_until("the server listens", |server| {
            served_url(&server.stdout()).is_some()
        });
        self.server = Some(server);
    }

    fn server_url(&self) -> String {
        let server = self.server.as_ref();
        let server = server.expect("a command that serves stands before one that needs it");
        served_url(&server.stdout()).expect("it serves already")
    }
}

/// The URL in `serving URL`, once the line is complete.
fn served_url(stdout: &str) -> Option<String> {
    let (line, _) = stdout.split_once('\n')?;
    line.strip_prefix("serving ").map(ToString::to_string)
}

/// What is not a command of the program's.
fn check_other_command(command: &str) {
    match command {
        // Exactly what the gate runs.
        "cargo test" => {
            let gate = repository_file(".ci/run");
            assert!(
                gate.lines()
                    .any(|line| line.trim().ends_with(" cargo test")),
                ".ci/run does not run `cargo test`"
            );
        }
        install if install.starts_with("cargo install --path .") => {
            let name = install.strip_prefix("cargo install --path . --bin ");
            if let Some(name) = name {
                let manifest = repository_file("Cargo.toml");
                let line = format!("name = \"{name}\"");
                assert!(manifest.contains(&line), "no binary `{name}`");
            }
        }
        other => panic!("`{other}` is neither run nor checked"),
    }
}

/// The words after the program's name, where a command is one of the program's.
fn program_arguments(command: &str) -> Option<Vec<String>> {
    let words = split_words(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let arguments: &[&str] = match words.as_slice() {
        ["cargo", "run", "--release", "--", rest @ ..] => rest,
        // As cargo calls `cargo-pmcp`.
        ["cargo", rest @ ..] if rest.first() == Some(&"pmcp") => rest,
        _ => return None,
    };
    Some(arguments.iter().map(ToString::to_string).collect())
}

/// As a shell splits: at blanks outside of single quotes.
fn split_words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut is_quoted = false;
    for c in command.chars() {
        match c {
            '\'' => is_quoted = !is_quoted,
            c if c.is_whitespace() && !is_quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The commands of the quick start, in their order.
fn quick_start(readme: &str) -> Vec<String> {
    let (_, rest) = readme
        .split_once("<!-- quick start -->")
        .expect("the README marks its quick start");
    let (section, _) = rest
        .split_once("<!-- /quick start -->")
        .expect("the README marks the quick start's end");
    let mut commands = Vec::new();
    let mut is_command = false;
    for line in section.lines() {
        match line.trim() {
            "```sh" => is_command = true,
            "```" => is_command = false,
            "" => {}
            line if is_command && !line.starts_with('#') => commands.push(line.to_string()),
            _ => {}
        }
    }
    commands
}

/// The script of a job in the section *In CI*: the block of lines below the first line
/// that ends with `|` after `from`, with a moment for a minute.
fn ci_script(from: &str) -> String {
    let readme = all_pages();
    let (_, rest) = readme
        .split_once("<!-- in ci -->")
        .expect("a marked section");
    let (section, _) = rest.split_once("<!-- /in ci -->").expect("its end");
    let (_, rest) = section.split_once(from).expect("a job");
    let mut lines = rest
        .lines()
        .skip_while(|line| !line.ends_with('|'))
        .skip(1)
        .peekable();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = lines.peek().map_or(0, |line| indent(line));
    let block = lines.take_while(|line| indent(line) >= own && own > 0);
    let script: String = block.map(|line| format!("{}\n", &line[own..])).collect();
    assert!(
        script.contains(" 1m "),
        "`{from}` makes no run of a minute: {script}"
    );
    script.replace(" 1m ", " 1s ")
}

/// A script in a shell that stops at the first failure, as both systems run it, in
/// which `cargo pmcp` is the built program, and servers listen elsewhere.
fn in_ci(script: &str, servers: &[(&str, &DemoServer)]) -> Program {
    let mut script = script.to_string();
    for (port, server) in servers {
        assert!(script.contains(port), "no server on port {port}: {script}");
        let url = server.url();
        let actual = url.split([':', '/']).nth(4).expect("a port");
        script = script.replace(port, actual);
    }
    let program = env!("CARGO_BIN_EXE_cargo-pmcp");
    let script = format!("cargo() {{ '{program}' \"$@\"; }}\n{script}");
    Program::other("sh", &["-e", "-c", &script])
        .env("GITHUB_STEP_SUMMARY", "summary.md")
        .env("CI_PIPELINE_ID", "1")
}

/// Most of a call's time, so that a busy machine changes little of it.
const BASE: Duration = Duration::from_millis(200);

#[test]
fn a_job_fails_where_a_threshold_is_not_kept() {
    share::beside(10);
    let (good, slow) = (demo_with_latency(BASE), demo_with_latency(2 * BASE));
    let check = |from: &str| {
        let script = ci_script(from);
        let kept = in_ci(&script, &[("8080", &good)]).run().expect_code(0);
        let junit = |dir: &Path| std::fs::read_to_string(dir.join("loadtest.xml"));
        let shown = junit(kept.dir.path()).expect("a JUnit file");
        assert!(
            shown.contains("p95<275ms") || shown.contains("p95&lt;275ms"),
            "{shown}"
        );
        assert!(!shown.contains("<failure"), "{shown}");

        let missed = in_ci(&script, &[("8080", &slow)]).run().expect_code(3);
        let shown = junit(missed.dir.path()).expect("a JUnit file");
        assert!(shown.contains("<failure"), "{shown}");
        let summary = std::fs::read_to_string(missed.dir.path().join("summary.md"));
        assert!(summary.expect("a summary").contains("p95"), "{missed}");
    };
    // They mostly wait.
    thread::scope(|scope| {
        for from in ["name: thresholds", ".gitlab-ci.yml"] {
            scope.spawn(move || check(from));
        }
    });
}

#[test]
fn a_job_finds_a_server_a_fifth_slower_and_does_not_cry_wolf() {
    share::beside(10);
    let script = ci_script("name: comparison");
    let base = demo_with_latency(BASE);
    // They mostly wait.
    thread::scope(|scope| {
        for (latency, code) in [(BASE, 0), (BASE * 6 / 5, 3)] {
            let (script, base) = (&script, &base);
            scope.spawn(move || {
                let new = demo_with_latency(latency);
                let servers = [("8081", base), ("8080", &new)];
                let finished = in_ci(script, &servers).run().expect_code(code);
                let summary = std::fs::read_to_string(finished.dir.path().join("summary.md"));
                let summary = summary.expect("a summary");
                assert_eq!(
                    summary.contains("worse: p50 of all calls"),
                    code == 3,
                    "{summary}"
                );
            });
        }
    });
}

#[test]
fn a_pipeline_compares_with_those_before_it() {
    share::beside(10);
    let server = demo_with_latency(BASE);
    let script = ci_script(".gitlab-ci.yml");
    let first = in_ci(&script, &[("8080", &server)]).run().expect_code(0);
    let earlier = first.dir.path().join(".pmcp/reports/1.json");
    assert!(earlier.is_file(), "{first}");
    let second = in_ci(&script, &[("8080", &server)]).env("CI_PIPELINE_ID", "2");
    let second = second.in_dir(first.dir).run().expect_code(0);
    assert!(second.stdout.contains("answer "), "{second}");
    let reports = second.dir.path().join(".pmcp/reports");
    assert_eq!(std::fs::read_dir(reports).expect("a folder").count(), 2);
}

/// Each load that a job of the README makes is one that its config allows.
#[test]
fn every_load_of_a_job_is_one_that_its_config_allows() {
    let readme = repository_file("README.md");
    let (_, jobs) = readme.split_once("\n## Jobs\n").expect("the jobs");
    let n_loads = check_loads(jobs.lines());
    assert!(n_loads >= 5, "{n_loads}");
}

/// So is each that the head of a sample config names.
#[test]
fn every_load_in_the_head_of_a_config_is_one_that_it_allows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let files = std::fs::read_dir(folder).expect("the configs");
    let files = files.map(|file| file.expect("a file").path());
    let mut n_loads = 0;
    for file in files.filter(|file| file.extension().is_some_and(|it| it == "toml")) {
        let text = std::fs::read_to_string(&file).expect("a config");
        let comments = text.lines().filter_map(|line| line.strip_prefix("#   "));
        n_loads += check_loads(comments);
    }
    assert!(n_loads >= 15, "{n_loads}");
}

/// Holds those of these lines that are loads against their configs, and tells how many: with
/// nobody at the address, the address is all that there is to complain of.
fn check_loads<'a>(lines: impl Iterator<Item = &'a str>) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let commands = lines.filter(|line| line.starts_with("cargo pmcp loadtest "));
    let mut n_loads = 0;
    for words in commands.filter_map(program_arguments) {
        let [_, _, load, rest @ ..] = words.as_slice() else {
            continue;
        };
        let is_load = load == "run" || load == "find";
        // The files of a private CA, and of other hosts, are not here.
        let is_elsewhere = |word: &String| word == "--ca" || word == "--segment";
        if !is_load || rest.is_empty() || rest[0].starts_with('#') || rest.iter().any(is_elsewhere)
        {
            continue;
        }
        let here = |word: &String| match word.strip_prefix("configs/") {
            Some(name) => folder.join(name).display().to_string(),
            None => word.clone(),
        };
        let rest = rest
            .iter()
            .filter(|word| !word.starts_with("http") && *word != "--demo");
        let rest: Vec<String> = rest.map(here).collect();
        let mut words = vec!["loadtest", load, "http://127.0.0.1:1/mcp"];
        words.extend(rest.iter().map(String::as_str));
        let finished = Program::new(&words).run().expect_code(1);
        assert!(finished.stderr.contains("nobody listens"), "{finished}");
        n_loads += 1;
    }
    n_loads
}

/// The blocks between a mark and its end: the words behind each opening fence, and
/// the text.
fn blocks<'a>(readme: &'a str, mark: &str) -> Vec<(&'a str, &'a str)> {
    let (open, close) = (format!("<!-- {mark} -->"), format!("<!-- /{mark} -->"));
    let sections = readme.split(&open).skip(1);
    let sections = sections.filter_map(|section| Some(section.split_once(&close)?.0));
    let fences = sections.flat_map(|section| section.split("```").skip(1).step_by(2));
    fences.filter_map(|block| block.split_once('\n')).collect()
}

/// A block that begins with `csv NAME`, `json NAME` or `text NAME` is a file beside the configs.
#[test]
fn every_config_of_the_reference_runs() {
    share::one_part();
    let readme = all_pages();
    let blocks = blocks(&readme, "configs");
    let demo = demo(DemoOptions::default());
    // The demo has no code mode.
    let code_mode = FakeServer::on_call(|request, connection| {
        let answer = json!({"content": [], "structuredContent": {"approval_token": "yes"}});
        connection.json(&request.result(&answer))
    });
    let mut n_configs = 0;
    for (words, config) in &blocks {
        let url = match *words {
            "toml" => demo.url(),
            "toml code_mode" => code_mode.url(),
            _ => continue,
        };
        n_configs += 1;
        let run = |arguments: &[&str]| {
            let mut program = Program::new(arguments).file("a.toml", config);
            for (words, text) in &blocks {
                if let Some(("csv" | "json" | "text", name)) = words.split_once(' ') {
                    program = program.file(name, text);
                }
            }
            let finished = program.run();
            assert_eq!(finished.code, Some(0), "{config}: {finished}");
            finished
        };
        run(&["loadtest", "try", "a.toml", "--url", &url]);
        let finished = run(&[
            "loadtest",
            "run",
            &url,
            "--config",
            "a.toml",
            "--iterations",
            "20",
            "--no-pin",
        ]);
        let report = finished.checked_report();
        assert_eq!(report["totals"]["failed"], 0, "{config}");
        assert!(
            !finished.stdout.contains("never got a session"),
            "{finished}"
        );
    }
    assert!(n_configs >= 10, "the reference marks its configs");
}

/// Each key that a config may have stands in one of these configs.
#[test]
fn the_reference_has_an_example_for_each_key() {
    let finished = Program::new(&["loadtest", "schema", "config"]).run();
    let schema: Value = serde_json::from_str(&finished.expect_code(0).stdout).expect("JSON");
    let mut known = BTreeSet::new();
    note_known(&schema, "", &mut known);
    assert!(known.contains(&key("until", "at_most")), "{known:?}");
    // It would need a second server; `tests/e2e/populations.rs` has one.
    known.remove(&key("population", "url"));
    known.retain(|(_, name)| !NEED_CERTIFICATES.contains(&name.as_str()));
    let readme = all_pages();
    let mut used = BTreeSet::new();
    for (words, config) in blocks(&readme, "configs") {
        if words.starts_with("toml") {
            let config: Value = toml::from_str(config).expect("TOML");
            note_used(&config, "", &mut used);
        }
    }
    let missing: Vec<_> = known.difference(&used).collect();
    assert!(missing.is_empty(), "no example has {missing:?}");
}

/// Keys of TLS, whose examples would need certificates beside them; `tests/e2e/` has those.
const NEED_CERTIFICATES: [&str; 6] = [
    "ca",
    "client_cert",
    "client_key",
    "server_name",
    "insecure",
    "tls_resumption",
];

/// A key, and the table that it is of. What is done has the same keys in an entry, a
/// step and a call.
type Key = (String, String);

fn key(table: &str, name: &str) -> Key {
    let table = match table {
        "scenario" | "call" => "step",
        table => table,
    };
    (table.to_string(), name.to_string())
}

/// Notes the keys of a schema, below the key that it is the schema of.
fn note_known(schema: &Value, table: &str, known: &mut BTreeSet<Key>) {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        known.insert(key(table, name));
        note_known(below, name, known);
    }
    for word in ["anyOf", "items", "additionalProperties"] {
        match &schema[word] {
            Value::Array(all) => all.iter().for_each(|one| note_known(one, table, known)),
            Value::Object(_) => note_known(&schema[word], table, known),
            _ => {}
        }
    }
}

/// Notes the keys of a config, or of what is at a key of it.
fn note_used(value: &Value, table: &str, used: &mut BTreeSet<Key>) {
    for (name, below) in value.as_object().into_iter().flatten() {
        used.insert(key(table, name));
        // The names of data sets are the user's.
        note_used(below, if table == "data" { table } else { name }, used);
    }
    let entries = value.as_array().into_iter().flatten();
    entries.for_each(|entry| note_used(entry, table, used));
}

/// What was shown by `try` when the README was written is what it shows today, but
/// for ports, times and tokens.
#[test]
fn the_transcripts_of_try_are_what_it_shows() {
    let readme = all_pages();
    let marks = readme.split("<!-- transcript: ").skip(1);
    let mut n_transcripts = 0;
    for mark in marks {
        let (command, rest) = mark.split_once(" -->").expect("the end of a comment");
        let shown = rest.split("```").nth(1).expect("a transcript");
        let shown = shown.split_once('\n').expect("its fence").1;
        let words: Vec<&str> = command.split(' ').collect();
        let words = [&["loadtest"], &words[..]].concat();
        let config = words.iter().find(|word| word.ends_with(".toml"));
        let config = config.expect("a config that ships");
        let finished = Program::new(&words)
            .file(config, &repository_file(config))
            .run()
            .expect_code(0);
        assert_eq!(steady(&finished.stdout), steady(shown), "{finished}");
        n_transcripts += 1;
    }
    assert!(n_transcripts >= 1, "the README marks its transcripts");
}

/// The lines without what differs each time: digits, and the unit of a time.
fn steady(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(" in ") {
        Some((before, _)) => before,
        None => line,
    });
    let lines: Vec<String> = lines
        .map(|line| line.chars().filter(|c| !c.is_ascii_digit()).collect())
        .collect();
    lines.join("\n")
}

/// What a user reads: the README and the reference behind it.
fn all_pages() -> String {
    repository_file("README.md") + &repository_file("src/reference.md")
}

fn repository_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Headings as GitHub and rustdoc make anchors of them, and links to them, from page to
/// page.
#[test]
fn links_lead_to_headings_and_files() {
    let pages = ["README.md", "src/reference.md", "benches/README.md"];
    let mut n_links = 0;
    for page in pages {
        let text = repository_file(page);
        for link in links(&text) {
            if link.contains("://") {
                continue;
            }
            n_links += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            let own = root.join(page);
            let target = match path {
                "" => own,
                path => own.parent().expect("a file").join(path),
            };
            assert!(target.exists(), "{page}: {link}");
            if !anchor.is_empty() {
                let target = std::fs::read_to_string(target).expect("a page");
                let anchors = anchors(&target);
                assert!(anchors.contains(anchor), "{page}: {link} of {anchors:?}");
            }
        }
    }
    assert!(n_links > 40, "{n_links}");
}

/// Where the links of a page lead, those of code apart.
fn links(text: &str) -> Vec<&str> {
    let parts = prose(text).flat_map(|line| line.split("](").skip(1));
    parts
        .filter_map(|part| Some(part.split_once(')')?.0))
        .collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchors = headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let words: String = words.chars().filter(is_kept).collect();
        words.replace(' ', "-")
    });
    anchors.collect()
}

/// The lines outside of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        is_code ^= line.starts_with("```");
        !is_code && !line.starts_with("```")
    })
}

/// What comes before the reference is read by everybody.
#[test]
fn the_readme_is_short_enough_to_be_read() {
    let readme = repository_file("README.md");
    let (before, _) = readme
        .split_once("\n## Reference\n")
        .expect("the reference");
    let n_words = before.split_whitespace().count();
    assert!(n_words <= 3_000, "{n_words} words");
}

#[test]
fn commands_are_split_as_a_shell_does() {
    let check = |command: &str, expected: &[&str]| assert_eq!(split_words(command), expected);
    check("a  b", &["a", "b"]);
    check(
        "run --args '{\"text\": \"hi\"}'",
        &["run", "--args", "{\"text\": \"hi\"}"],
    );
}

#[test]
fn only_the_marked_commands_are_found() {
    let readme = "```sh\nno\n```\n<!-- quick start -->\ntext\n```sh\n# why\nyes a\n```\n\
                  ```text\noutput\n```\n<!-- /quick start -->\n```sh\nno\n```\n";
    assert_eq!(quick_start(readme), ["yes a"]);
}
