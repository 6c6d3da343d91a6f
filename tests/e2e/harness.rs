//! The harness tested without the program: what the servers say on the wire,
//! and that a run from outside is what it claims to be.
//!
//! All wire requests are made by hand, so that none of the program's code
//! vouches for itself.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::port;
use crate::program::{Finished, Program};
use crate::raw_http::{LEGACY, LegacySession, MODERN, RawClient, modern_request};
use crate::rmcp_server::{self, Mode, RESOURCE_TEXT, RESOURCE_URI, RmcpServer};
use crate::sdk_server::{self, Sdk, SdkServer, interpreter};

mod rmcp {
    use super::*;

    const MODES: [Mode; 4] = [
        Mode {
            stateful: true,
            json: false,
        },
        Mode {
            stateful: true,
            json: true,
        },
        Mode {
            stateful: false,
            json: false,
        },
        Mode {
            stateful: false,
            json: true,
        },
    ];

    #[test]
    fn legacy_requests_are_served_in_every_mode() {
        for mode in MODES {
            let server = RmcpServer::start(mode);
            let mut session = LegacySession::open(server.address());
            check_identity(
                &session,
                rmcp_server::SERVER_NAME,
                rmcp_server::SERVER_VERSION,
            );
            assert_eq!(session.id.is_some(), mode.stateful, "{mode:?}");

            let answer = session.request("tools/call", &call("echo", json!({"text": "hi"})));
            assert_eq!(answer.status, 200, "{mode:?}: {answer:?}");
            // With sessions the SDK answers in SSE whatever it was told.
            assert_eq!(
                answer.is_sse(),
                mode.stateful || !mode.json,
                "{mode:?}: {answer:?}"
            );
            // And only with sessions does a stream begin with an event that primes it.
            assert_eq!(
                answer.body.contains("retry: 3000"),
                mode.stateful,
                "{mode:?}: {answer:?}"
            );
            check_text(&answer.response(), "hi");

            let status = session.delete().status;
            assert_eq!(status, if mode.stateful { 202 } else { 405 }, "{mode:?}");
            let answer = session.request("tools/call", &call("echo", json!({"text": "hi"})));
            assert_eq!(
                answer.status,
                if mode.stateful { 404 } else { 200 },
                "{mode:?}"
            );

            assert_eq!(
                server.calls(),
                if mode.stateful { 1 } else { 2 },
                "{mode:?}"
            );
            assert_eq!(server.sessions(), u64::from(mode.stateful), "{mode:?}");
        }
    }

    #[test]
    fn modern_requests_are_served_in_every_mode() {
        for mode in MODES {
            let server = RmcpServer::start(mode);
            let mut client = RawClient::connect(server.address());
            let answer = modern_request(&mut client, "server/discover", None, json!({}));
            assert_eq!(answer.status, 200, "{mode:?}: {answer:?}");
            assert_eq!(answer.is_sse(), !mode.json, "{mode:?}: {answer:?}");
            check_discovery(&answer.response(), rmcp_server::SERVER_NAME);

            let params = call("add", json!({"a": 2, "b": 40}));
            let answer = modern_request(&mut client, "tools/call", Some("add"), params);
            assert_eq!(answer.is_sse(), !mode.json, "{mode:?}: {answer:?}");
            assert_eq!(
                answer.header("mcp-session-id"),
                None,
                "{mode:?}: {answer:?}"
            );
            let response = answer.response();
            check_text(&response, "42");
            assert_eq!(response["result"]["resultType"], "complete");
            assert_eq!((server.calls(), server.sessions()), (1, 0), "{mode:?}");
        }
    }

    #[test]
    fn the_resource_the_prompt_and_the_failure_are_there() {
        let server = RmcpServer::start(Mode {
            stateful: true,
            json: false,
        });
        let mut session = LegacySession::open(server.address());

        let answer = session.request("resources/read", &json!({"uri": RESOURCE_URI}));
        assert_eq!(
            answer.response()["result"]["contents"][0]["text"],
            RESOURCE_TEXT
        );
        let answer = session.request("resources/read", &json!({"uri": "test://none"}));
        assert_eq!(answer.response()["error"]["code"], -32002);

        let params = json!({"name": "greet", "arguments": {"name": "Ann"}});
        let message = &session.request("prompts/get", &params).response()["result"]["messages"][0];
        assert_eq!(message["content"]["text"], "Please greet Ann");

        let response = session
            .request("tools/call", &call("fail", json!({})))
            .response();
        assert_eq!(response["result"]["isError"], true);
        let response = session
            .request("tools/call", &call("none", json!({})))
            .response();
        assert_eq!(response["error"]["code"], -32602);
        // The unknown tool reached no handler.
        assert_eq!(server.calls(), 1);

        let tools = session.request("tools/list", &json!({})).response();
        check_tool_names(&tools, &["add", "echo", "fail", "sleep", "stepwise"]);
    }

    #[test]
    fn calls_in_flight_are_counted() {
        let server = RmcpServer::start(Mode {
            stateful: false,
            json: true,
        });
        assert_eq!(server.in_flight_max(), 0);
        check_in_flight(server.address());
        assert_eq!(server.calls(), 3);
        assert_eq!(server.in_flight_max(), 3);
    }

    #[test]
    fn a_dropped_server_is_gone() {
        let ended = || {
            let server = RmcpServer::start(Mode {
                stateful: true,
                json: false,
            });
            let address = server.address();
            assert_eq!(server.url(), format!("http://{address}/mcp"));
            let _open = LegacySession::open(address);
            drop(server);
            address
        };
        assert!(port::is_closed_in_one_of_three(ended));
    }
}

mod python {
    use super::*;

    #[test]
    #[ignore = "needs the official Python SDK; .ci/run installs it"]
    fn both_eras_are_served_by_2() {
        let python = interpreter(Sdk::V2);
        check_legacy_modes(Sdk::V2);

        let server = SdkServer::python(&python, &[]);
        let mut client = RawClient::connect(server.address());
        let answer = modern_request(&mut client, "server/discover", None, json!({}));
        check_discovery(&answer.response(), sdk_server::SERVER_NAME);
        let params = call("add", json!({"a": 2, "b": 40}));
        let answer = modern_request(&mut client, "tools/call", Some("add"), params);
        // SSE only once a handler takes long or notifies: the mode has no say.
        assert!(!answer.is_sse(), "{answer:?}");
        check_text(&answer.response(), "42");
        assert_eq!(server.calls(), 1);
    }

    #[test]
    #[ignore = "needs the official Python SDK; .ci/run installs it"]
    fn sessions_only_are_served_by_1() {
        check_legacy_modes(Sdk::V1);

        let server = SdkServer::python(&interpreter(Sdk::V1), &["--stateless"]);
        let mut client = RawClient::connect(server.address());
        let answer = modern_request(&mut client, "server/discover", None, json!({}));
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.response()["error"]["code"], -32600);
    }

    #[test]
    #[ignore = "needs the official Python SDK; .ci/run installs it"]
    fn calls_in_flight_are_counted() {
        for sdk in [Sdk::V1, Sdk::V2] {
            let server = SdkServer::python(&interpreter(sdk), &["--stateless", "--json"]);
            assert_eq!(server.in_flight_max(), 0);
            check_in_flight(server.address());
            assert_eq!((server.calls(), server.in_flight_max()), (3, 3), "{sdk:?}");
        }
    }

    #[test]
    #[ignore = "needs the official Python SDK; .ci/run installs it"]
    fn a_dropped_server_is_gone() {
        let ended = || {
            let server = SdkServer::python(&interpreter(Sdk::V2), &[]);
            let address = server.address();
            assert_eq!(server.url(), format!("http://{address}/mcp"));
            drop(server);
            address
        };
        assert!(port::is_closed_in_one_of_three(ended));
    }

    #[test]
    #[ignore = "needs the official Python SDK; .ci/run installs it"]
    fn a_server_that_cannot_start_says_why() {
        let python = interpreter(Sdk::V2);
        let text = failure_of(|| SdkServer::python(&python, &["--no-such-option"]));
        assert!(
            text.contains("unrecognized arguments: --no-such-option"),
            "{text}"
        );
    }

    /// Sessions and stateless, SSE and JSON.
    fn check_legacy_modes(sdk: Sdk) {
        let python = interpreter(sdk);
        for arguments in [
            &[][..],
            &["--json"],
            &["--stateless"],
            &["--stateless", "--json"],
        ] {
            let server = SdkServer::python(&python, arguments);
            let stateful = !arguments.contains(&"--stateless");
            let mut session = LegacySession::open(server.address());
            check_identity(
                &session,
                sdk_server::SERVER_NAME,
                sdk_server::SERVER_VERSION,
            );
            assert_eq!(session.id.is_some(), stateful, "{sdk:?} {arguments:?}");

            let answer = session.request("tools/call", &call("echo", json!({"text": "hi"})));
            assert_eq!(
                answer.is_sse(),
                !arguments.contains(&"--json"),
                "{sdk:?}: {answer:?}"
            );
            check_text(&answer.response(), "hi");
            let response = session
                .request("tools/call", &call("fail", json!({})))
                .response();
            assert_eq!(response["result"]["isError"], true, "{sdk:?}: {response}");
            assert_eq!(server.calls(), 2, "{sdk:?} {arguments:?}");

            let response = session
                .request("resources/read", &json!({"uri": RESOURCE_URI}))
                .response();
            assert_eq!(
                response["result"]["contents"][0]["text"],
                "Hello from Python"
            );
            let params = json!({"name": "greet", "arguments": {"name": "Ann"}});
            let response = session.request("prompts/get", &params).response();
            assert_eq!(
                response["result"]["messages"][0]["content"]["text"],
                "Please greet Ann"
            );
            let tools = session.request("tools/list", &json!({})).response();
            check_tool_names(&tools, &["add", "ask", "echo", "fail", "sleep", "stepwise"]);

            let status = session.delete().status;
            assert_eq!(
                status,
                if stateful { 200 } else { 405 },
                "{sdk:?} {arguments:?}"
            );
        }
    }
}

mod program {
    use super::*;

    #[test]
    fn our_program_can_be_started() {
        // Whatever it answers, it ends by itself and not by a signal.
        let finished = Program::new(&["--version"]).run();
        assert!(finished.code.is_some(), "{finished}");
    }

    #[test]
    fn output_code_input_and_folder_are_passed_on() {
        let script = "cat; cat a/b.txt; echo $GIVEN:$HOME; echo talk >&2; exit 3";
        let finished = shell(script)
            .env("GIVEN", "value")
            .stdin("input,")
            .file("a/b.txt", "file,")
            .run()
            .expect_code(3);
        assert_eq!(finished.stdout, "input,file,value:\n");
        assert_eq!(finished.stderr, "talk\n");
    }

    #[test]
    fn the_newest_report_is_read() {
        let none = failure_of(|| shell("echo said").run().report());
        assert!(
            none.contains("no report") && none.contains("said"),
            "{none}"
        );

        let finished =
            shell("mkdir -p .pmcp/reports; echo '{\"n\": 1}' > .pmcp/reports/z.json").run();
        assert_eq!(finished.report(), json!({"n": 1}));
        // A later run in the same folder; `touch` sets the earlier time back.
        let script =
            "touch -t 202001010000 .pmcp/reports/z.json; echo '{\"n\": 2}' > .pmcp/reports/a.json";
        let finished = shell(script).in_dir(finished.dir).run();
        assert_eq!(finished.report(), json!({"n": 2}));
    }

    #[test]
    fn the_folder_is_fresh_and_goes_with_the_run() {
        let finished = shell("ls -A; pwd").run().expect_code(0);
        let path = finished.dir.path().to_path_buf();
        assert_eq!(
            finished.stdout.trim_end(),
            path.to_str().expect("a UTF-8 path")
        );
        assert!(path.exists());
        drop(finished);
        assert!(!path.exists());
    }

    #[test]
    fn a_run_past_its_limit_is_killed_and_shown() {
        let text = failure_of(|| {
            shell("echo begun; exec sleep 60")
                .time_limit(Duration::from_millis(300))
                .run()
        });
        assert!(
            text.contains("time limit") && text.contains("begun"),
            "{text}"
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_run_can_be_watched_and_signalled() {
        // It starts nothing: a shell may miss a signal that comes while it forks.
        let script = "trap 'echo caught; exit 130' INT; echo ready; while :; do :; done";
        let mut running = shell(script).spawn();
        assert!(running.dir().exists());
        running.wait_until("it is ready", |running| running.stdout().contains("ready"));
        assert_eq!(running.stderr(), "");
        running.signal(Signal::SIGINT);
        let finished = running.wait().expect_code(130);
        assert_eq!(finished.stdout, "ready\ncaught\n");

        let mut running = shell("echo ready; exec sleep 60").spawn();
        running.wait_until("it is ready", |running| running.stdout().contains("ready"));
        running.signal(Signal::SIGTERM);
        assert_eq!(running.wait().code, None);
    }

    #[test]
    fn a_watched_run_that_ends_too_early_fails_the_test() {
        let text = failure_of(|| {
            let mut running = shell("echo last words >&2; exit 1").spawn();
            running.wait_until("it rains", |_| false);
        });
        assert!(
            text.contains("before it rains") && text.contains("last words"),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_exit_code_is_shown_with_the_output() {
        let text = failure_of(|| -> Finished { shell("echo why; exit 2").run().expect_code(0) });
        assert!(text.contains("why") && text.contains("Some(2)"), "{text}");
    }

    fn shell(script: &str) -> Program {
        Program::other("sh", &["-c", script])
    }
}

/// The message of the panic that `f` must end in.
fn failure_of<T>(f: impl FnOnce() -> T) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else {
        panic!("it should have failed");
    };
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => panic!("a panic without a formatted message"),
    }
}

/// Three calls that overlap: they are sent at one moment, and each lasts far
/// longer than sending them takes.
fn check_in_flight(address: SocketAddr) {
    let together = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut session = LegacySession::open(address);
                together.wait();
                let answer = session.request("tools/call", &call("sleep", json!({"ms": 500})));
                check_text(&answer.response(), "slept 500 ms");
            });
        }
    });
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments})
}

fn check_identity(session: &LegacySession, name: &str, version: &str) {
    let result = &session.initialized["result"];
    assert_eq!(result["protocolVersion"], LEGACY);
    assert_eq!(
        result["serverInfo"],
        json!({"name": name, "version": version})
    );
}

fn check_discovery(response: &Value, name: &str) {
    let result = &response["result"];
    let supported = result["supportedVersions"].as_array().expect("a list");
    assert!(supported.contains(&json!(MODERN)), "{response}");
    let identity = &result["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(identity["name"], name, "{response}");
}

fn check_text(response: &Value, text: &str) {
    assert_eq!(response["id"], 7, "{response}");
    assert_eq!(response["result"]["isError"], false, "{response}");
    assert_eq!(response["result"]["content"][0]["text"], text, "{response}");
}

fn check_tool_names(response: &Value, expected: &[&str]) {
    let tools = response["result"]["tools"].as_array().expect("a list");
    let mut names: Vec<_> = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, expected);
}
