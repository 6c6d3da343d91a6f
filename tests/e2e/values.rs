//! What goes into calls and comes out of answers: secrets in every form, large answers,
//! samples, random rows, and data as large as it may be.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;

use serde_json::{Value, json};

use crate::fake_server::{Connection, FakeServer, Next, Request, legacy};
use crate::load_run::{LoadRun, causes, count, list, load_run};
use crate::program::{Finished, Program};
use crate::share;

/// A secret of this holds all that is escaped somewhere, and two words that no escape
/// changes.
fn secret(name: &str) -> String {
    format!("{name}GEHEIM\"\\/\n\té😀 x%{name}INTERN")
}

/// JSON in ASCII alone, as many servers write it.
fn in_ascii(message: &Value) -> String {
    let letter = |c: char| match c.is_ascii() {
        true => c.to_string(),
        false => {
            let mut units = [0; 2];
            let units = c.encode_utf16(&mut units).iter();
            units.map(|unit| format!("\\u{unit:04X}")).collect()
        }
    };
    let json = message.to_string().replace('/', "\\/");
    json.chars().map(letter).collect()
}

/// `login` gives secrets; any other tool says its arguments again, as they came and in
/// texts within texts, and fails where it is called `refuse`.
fn repeat(request: &Request, connection: &mut Connection) -> Next {
    let message = request.message();
    if message["method"] != "tools/call" {
        return legacy(request, connection);
    }
    let params = &message["params"];
    let result = if params["name"] == "login" {
        let keys = json!({"a": secret("leaf"), "b": [secret("item")]});
        json!({"content": [], "structuredContent": {"token": secret("token"), "keys": keys}})
    } else {
        let arguments = &params["arguments"];
        let once = json!({"said": arguments.to_string(), "query": arguments["query"]}).to_string();
        let twice = json!([in_ascii(&json!({ "inner": once }))]).to_string();
        let texts = [arguments.to_string(), once, twice];
        let content: Vec<Value> = texts
            .iter()
            .map(|text| json!({"type": "text", "text": text}))
            .collect();
        let is_error = params["name"] == "refuse";
        json!({"content": content, "structuredContent": arguments, "isError": is_error})
    };
    let body = in_ascii(&request.result(&result));
    connection.answer(200, &[("Content-Type", "application/json")], &body)
}

/// Cells of JSON lines may be lists, too.
fn users() -> String {
    let row = json!({"password": secret("row")});
    let list = json!({"password": [secret("list")]});
    format!("{row}\n{list}\n")
}

const REPEATING: &str = r#"
[[flow]]
name = "f"
on_error = "continue"
[[flow.step]]
type = "tools/call"
tool = "login"
arguments = { password = "{{data.users.password}}" }
extract = { token = "$.structuredContent.token", keys = "$.structuredContent.keys" }
secret = ["token", "keys"]
[[flow.step]]
type = "tools/call"
tool = "use"
arguments = { v = "{{token}}", w = "in {{token}} text", keys = "{{keys}}", row = "{{data.users.password}}" }
expect = { contains = "never there" }
[[flow.step]]
type = "tools/call"
tool = "refuse"
arguments = { v = "in {{keys}} text", w = "<{{data.users.password}}>", query = "{{token}}" }
[data.users]
file = "users.jsonl"
at_end = "repeat"
"#;

#[track_caller]
fn check_hidden(finished: &Finished) {
    let mut all = finished.to_string();
    let files = fs::read_dir(finished.dir.path()).expect("the folder");
    for file in files.map(|file| file.expect("a file").path()) {
        let is_written = !file.ends_with("users.jsonl") && file.is_file();
        if is_written {
            all += &fs::read_to_string(&file).expect("a text");
        }
    }
    for name in ["token", "leaf", "item", "row", "list"] {
        for word in ["GEHEIM", "INTERN"] {
            let word = format!("{name}{word}");
            assert!(!all.contains(&word), "{word} of {all}");
        }
    }
}

/// In a report of each form, and in what is printed: what users took out of answers, and
/// what a data set says is a secret.
#[test]
fn no_escape_lets_a_secret_pass() {
    let server = FakeServer::start(repeat);
    let arguments = [
        "--config=a.toml",
        "--no-preflight",
        "--vus=2",
        "--iterations=8",
        "--report=report.json",
        "--junit=junit.xml",
        "--markdown=page.md",
        "--hlog=log.hlog",
        "--svg=run.svg",
    ];
    let finished = load_run(&server.url(), &arguments)
        .file("a.toml", REPEATING)
        .file("users.jsonl", &users())
        .run()
        .expect_code(0);
    // There was something to hide.
    let calls = server.log_of("tools/call");
    assert!(calls.iter().any(|call| call.body.contains("tokenGEHEIM")));
    check_hidden(&finished);
    let path = finished.dir.path().join("report.json");
    let report = fs::read_to_string(path).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let mut found = causes(&report["totals"]);
    found.sort();
    let expected = [
        ("expect.contains".to_string(), 8),
        ("tool.is_error".to_string(), 8),
    ];
    assert_eq!(found, expected, "{finished}");
    let shown = report["evidence"].to_string();
    assert!(shown.contains("in *** text"), "{shown}");
    for format in [
        "csv",
        "json",
        "text",
        "markdown",
        "junit",
        "hlog",
        "svg",
        "openmetrics",
    ] {
        let words = ["loadtest", "report", "report.json", "--format", format];
        let finished = Program::new(&words)
            .file("report.json", &report.to_string())
            .run()
            .expect_code(0);
        check_hidden(&finished);
    }
    let words = [
        "loadtest",
        "try",
        "a.toml",
        "--url",
        &server.url(),
        "--no-preflight",
    ];
    let finished = Program::new(&words)
        .file("a.toml", REPEATING)
        .file("users.jsonl", &users())
        .run()
        .expect_code(3);
    check_hidden(&finished);
    assert!(finished.stdout.contains("in *** text"), "{finished}");
}

#[test]
fn who_keeps_secrets_of_three_characters_is_told() {
    let server = FakeServer::start(legacy);
    let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\narguments = { pin = \"{{data.users.pin}}\" }\n\
                  [headers]\nX-Api-Key = \"k1\"\n\
                  [data.users]\nrows = [{ pin = 123 }, { pin = \"4567\" }, { pin = \"x\" }]\nsecret = [\"pin\"]\n";
    let finished = load_run(&server.url(), &["--config=a.toml"])
        .file("a.toml", config)
        .run()
        .expect_code(0);
    for told in [
        "the value of the header `X-Api-Key` has fewer than 4 characters",
        "`pin` in 2 rows of the data set `users` has fewer than 4 characters",
    ] {
        let words: Vec<&str> = finished.stdout.split_whitespace().collect();
        assert!(words.join(" ").contains(told), "{finished}");
    }
}

/// A tool whose results are 300 KiB, of which the last bytes are the interesting ones;
/// its schema wants something else.
fn large(request: &Request, connection: &mut Connection) -> Next {
    let result = match request.method().as_str() {
        "tools/list" => json!({"tools": [
            {"name": "large", "inputSchema": {"type": "object"},
             "outputSchema": {"type": "object", "required": ["missing"]}},
            {"name": "use", "inputSchema": {"type": "object"}},
        ]}),
        "tools/call" if request.message()["params"]["name"] == "large" => {
            let filler = "x".repeat(300 << 10);
            let content = json!([{"type": "text", "text": filler}]);
            json!({"content": content, "structuredContent": {"filler": filler, "id": "last-4711"}})
        }
        _ => return legacy(request, connection),
    };
    connection.json(&request.result(&result))
}

const LARGE: &str = r#"
[[flow]]
name = "f"
[[flow.step]]
type = "tools/call"
tool = "large"
extract = { id = "$.structuredContent.id" }
expect = { schema = true, contains = "last-4711" }
[[flow.step]]
type = "tools/call"
tool = "use"
arguments = { id = "{{id}}" }
[[flow.step]]
name = "too large"
type = "tools/call"
tool = "large"
expect = { max_bytes = 200000 }
"#;

/// Beyond 256 KiB nothing is held against a schema, which is told, and all else is as
/// with any answer.
#[test]
fn answers_beyond_256_kib_are_looked_at_but_for_their_schema() {
    let server = FakeServer::start(large);
    let arguments = ["--config=a.toml", "--vus=2", "--iterations=4"];
    let finished = load_run(&server.url(), &arguments)
        .file("a.toml", LARGE)
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    let found = [("expect.max_bytes".to_string(), 4)];
    assert_eq!(causes(&report["totals"]), found, "{finished}");
    let unchecked = &list(&report["unchecked"])[0];
    assert_eq!(unchecked["reason"], "large_result", "{unchecked}");
    assert_eq!(count(&unchecked["count"]), 4, "{unchecked}");
    let calls = server.log_of("tools/call");
    let used = calls.iter().filter(|call| call.body.contains("last-4711"));
    assert_eq!(used.count(), 4);
    let words = ["loadtest", "try", "a.toml", "--url", &server.url()];
    let finished = Program::new(&words)
        .file("a.toml", LARGE)
        .run()
        .expect_code(3);
    let told = [
        "  unchecked: schema (the result is too large to be judged)",
        "  as expected: contains \"last-4711\"",
    ];
    for told in told {
        assert!(finished.stdout.contains(told), "{told}: {finished}");
    }
    assert!(!finished.stdout.contains("expected: schema"), "{finished}");
}

/// Of a sample, as many are found as its share says; the others count as good.
#[test]
fn a_sample_of_results_is_held_against_the_schema() {
    let server = FakeServer::on("tools/list", |request, connection| {
        let tool = json!({"name": "work", "inputSchema": {"type": "object"},
            "outputSchema": {"type": "object", "required": ["missing"]}});
        connection.json(&request.result(&json!({"tools": [tool]})))
    });
    let config =
        "[[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\nexpect = { schema = \"25%\" }\n";
    let arguments = ["--config=a.toml", "--vus=4", "--iterations=800", "--seed=7"];
    let finished = load_run(&server.url(), &arguments)
        .file("a.toml", config)
        .run()
        .expect_code(0);
    let report = finished.checked_report();
    let found = causes(&report["totals"]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "expect.schema");
    // Six standard deviations of 200 in 800.
    assert!((127..=273).contains(&found[0].1), "{found:?}");
}

/// The rows of a random set are all used, in an order that the seed decides.
#[test]
fn random_rows_are_those_of_the_seed() {
    let names_of = |seed: &str| {
        let server = FakeServer::start(legacy);
        let rows: String = (0..20).map(|n| format!("name-{n}\n")).collect();
        let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n\
                      arguments = { a = \"{{data.users.name}}\", b = \"{{data.users.name}}\" }\n\
                      [data.users]\nfile = \"users.csv\"\nmode = \"random\"\n";
        let arguments = ["--config=a.toml", "--vus=1", "--iterations=300", seed];
        load_run(&server.url(), &arguments)
            .file("a.toml", config)
            .file("users.csv", &format!("name\n{rows}"))
            .run()
            .expect_code(0);
        let calls = server.log_of("tools/call").into_iter();
        let names = calls.map(|call| {
            let arguments = &call.message()["params"]["arguments"];
            assert_eq!(arguments["a"], arguments["b"], "of one row");
            arguments["a"].as_str().expect("a text").to_string()
        });
        names.collect::<Vec<_>>()
    };
    let first = names_of("--seed=1");
    assert_eq!(first.len(), 300);
    let distinct: HashSet<&String> = first.iter().collect();
    // That one of 20 is never drawn in 300 happens once in 200,000.
    assert_eq!(distinct.len(), 20);
    assert_eq!(names_of("--seed=1"), first);
    assert_ne!(names_of("--seed=2"), first);
}

/// Any method, with the name that the header repeats filled in.
#[test]
fn the_name_of_any_request_is_repeated_in_its_header() {
    let server = FakeServer::start(|request, connection| {
        let answer = match request.method().as_str() {
            "server/discover" => json!({
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "fake", "version": "1"},
            }),
            _ => json!({"resultType": "complete", "content": []}),
        };
        connection.json(&request.result(&answer))
    });
    let config = "[[scenario]]\ntype = \"request\"\nmethod = \"x/y\"\n\
                  params = { deep = { name = \"n-{{iteration}}\" } }\nname_header = \"params.deep.name\"\n";
    let arguments = ["--config=a.toml", "--vus=1", "--iterations=3"];
    load_run(&server.url(), &arguments)
        .file("a.toml", config)
        .run()
        .expect_code(0);
    let calls = server.log_of("x/y");
    assert_eq!(calls.len(), 3);
    for (n, call) in (1..).zip(calls) {
        let name = format!("n-{n}");
        assert_eq!(call.header("mcp-name"), Some(name.as_str()));
        assert_eq!(call.header("mcp-method"), Some("x/y"));
        assert_eq!(call.message()["params"]["deep"]["name"], name);
    }
}

#[test]
fn faults_of_a_data_file_are_told_by_its_lines() {
    let config = "[settings]\nurl = \"http://127.0.0.1:1/mcp\"\n[[scenario]]\ntype = \"tools/call\"\ntool = \"t\"\n\
                  arguments = { a = \"{{data.u.a}}\" }\n[data.u]\nfile = \"FILE\"\n";
    let told = |name: &str, content: &[u8]| {
        let program = Program::new(&["loadtest", "check", "a.toml"])
            .file("a.toml", &config.replace("FILE", name));
        fs::write(program.dir().join(name), content).expect("the folder is ours");
        program.run().expect_code(2).stderr
    };
    for (name, content, expected) in [
        ("u.csv", &b"a,b\n1,2\n\xff,3\n"[..], "u.csv:3: is not UTF-8"),
        (
            "u.csv",
            b"a,b\n\"x\"y,2\n",
            "u.csv:2: has more behind the quote",
        ),
        (
            "u.jsonl",
            b"{\"a\": \"\\ud800\"}\n",
            "u.jsonl:1: has `\\ud800`",
        ),
    ] {
        let told = told(name, content);
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

/// A data set of 20 MB takes a bounded multiple of that while it is read, however many
/// users share it: one of 256 MiB takes as many times more.
#[test]
fn data_takes_memory_once() {
    share::busy();
    let server = FakeServer::start(legacy);
    let mut text = String::from("id,note\n");
    for n in 0..215_000 {
        let _ = writeln!(text, "{n},{n:0>90}");
    }
    assert!(text.len() > 19 << 20);
    let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"work\"\n\
                  arguments = { id = \"{{data.u.id}}\", note = \"{{data.u.note}}\" }\n\
                  [data.u]\nfile = \"u.csv\"\n";
    let run = |vus: &str| {
        load_run(&server.url(), &["--config=a.toml", "--iterations=300", vus])
            .file("a.toml", config)
            .file("u.csv", &text)
            .watch_memory()
            .run()
            .expect_code(0)
    };
    // The program, the file, and its cells, whose room doubles as it grows.
    let limit = 15 + 4 * 20;
    run("--vus=1").expect_peak_below(limit);
    // A user more costs its stack and its session, and no data.
    run("--vus=100").expect_peak_below(limit + 20);
    // Secrets are known while a user holds them: the server repeats none that is shown.
    let server = FakeServer::start(repeat);
    let text = text.replace("id,note", "id,password");
    let config = "[[scenario]]\ntype = \"tools/call\"\ntool = \"refuse\"\n\
                  arguments = { text = \"<{{data.u.password}}>\" }\n\
                  [data.u]\nfile = \"u.csv\"\n";
    let finished = load_run(
        &server.url(),
        &[
            "--config=a.toml",
            "--iterations=50",
            "--vus=2",
            "--no-preflight",
        ],
    )
    .file("a.toml", config)
    .file("u.csv", &text)
    .watch_memory()
    .run()
    .expect_code(3);
    finished.expect_peak_below(limit);
    let all = format!("{finished}{}", finished.report());
    assert!(
        all.contains("<***>") && !all.contains("0000000000"),
        "{finished}"
    );
}
