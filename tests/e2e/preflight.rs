//! The plan held against what the server lists, before any load.

use serde_json::Value;

use crate::demo::quick_demo;
use crate::load_run::{LoadRun, list, load_run};

const FAULTY: &str = r#"
    [[scenario]]
    type = "tools/call"
    tool = "serch"
    [[scenario]]
    type = "resources/read"
    uri = "demo://readm"
    [[scenario]]
    type = "prompts/get"
    prompt = "summarise"
    arguments = { topic = "tea" }
    [[scenario]]
    type = "tools/call"
    tool = "add"
    arguments = { a = 1, b = "two" }
"#;

#[test]
fn all_faults_are_told_at_once_and_nothing_is_called() {
    let server = quick_demo();
    let arguments = ["--config=a.toml", "--vus=2", "--iterations=8"];
    let run = load_run(&server.url(), &arguments).file("a.toml", FAULTY);
    let finished = run.run().expect_code(2);
    for text in [
        "a.toml:4:12: scenario[1].tool: the server does not list the tool `serch`; did you mean \
         `search`?",
        "a.toml:7:11: scenario[2].uri: the server does not list the resource `demo://readm`; did \
         you mean `demo://readme`?",
        "a.toml:10:14: scenario[3].prompt: the server does not list the prompt `summarise`; did \
         you mean `summarize`?",
        "a.toml:15:17: scenario[4].arguments: the arguments break the input schema of `add`: b: \
         value is not of type",
        "--no-preflight",
    ] {
        assert!(finished.stderr.contains(text), "{text}: {finished}");
    }
    assert_eq!(finished.stdout, "", "{finished}");
    let stats = server.stats();
    let calls = (stats.tool_calls, stats.resource_reads, stats.prompt_gets);
    assert_eq!(calls, (0, 0, 0));
    // Whoever knows better has it left out: the calls fail, one by one.
    let good = "[[scenario]]\ntype = \"tools/call\"\ntool = \"slow\"\narguments = { ms = 0 }\n";
    let finished = load_run(
        &server.url(),
        &[&arguments, &["--no-preflight"][..]].concat(),
    )
    .file("a.toml", &format!("{good}weight = 1000\n{FAULTY}"))
    .run()
    .expect_code(0);
    let started = &finished.checked_report()["totals"]["started"];
    assert_eq!(*started, Value::from(8));
}

/// The arguments of calls differ, and the tool accepts them all.
#[test]
fn generated_arguments_are_accepted_and_need_the_tool() {
    let server = quick_demo();
    let config = |tool: &str| {
        format!("[[scenario]]\ntype = \"tools/call\"\ntool = \"{tool}\"\ngenerate = true\n")
    };
    let arguments = ["--config=a.toml", "--vus=2", "--iterations=40"];
    let run = |tool: &str| {
        load_run(&server.url(), &arguments)
            .file("a.toml", &config(tool))
            .run()
    };
    for tool in ["search", "book_meeting", "region_report"] {
        let finished = run(tool).expect_code(0);
        let report = finished.checked_report();
        let failed = &report["totals"]["failed"];
        assert_eq!(*failed, Value::from(0), "{tool}: {report:#}");
        assert_eq!(list(&report["operations"]).len(), 1, "{tool}");
    }
    let finished = run("serch").expect_code(2);
    assert!(
        finished.stderr.contains("did you mean `search`?"),
        "{finished}"
    );
}
