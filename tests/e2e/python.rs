//! Runs against servers made with the official Python SDK, in both of its
//! lines. They need the SDK and are ignored without: `.ci/run` installs it and
//! runs all tests that have `python` in their path, as all of these do.

use std::thread;

use crate::program::Program;
use crate::sdk::{
    LIMIT, N_SLEEPERS, check_identity, check_sessions, check_sleepers, count, n_handled, number,
    run_echo, run_mixture,
};
use crate::sdk_server::{SERVER_NAME, SERVER_VERSION, Sdk, SdkServer, interpreter};

/// What a server can be told: sessions or none, SSE or JSON.
const MODES: [&[&str]; 4] = [
    &[],
    &["--json"],
    &["--stateless"],
    &["--stateless", "--json"],
];

#[test]
#[ignore = "needs the official Python SDK; .ci/run installs it"]
fn every_legacy_call_is_counted_by_2() {
    check_legacy(Sdk::V2);
}

#[test]
#[ignore = "needs the official Python SDK; .ci/run installs it"]
fn every_legacy_call_is_counted_by_1() {
    check_legacy(Sdk::V1);
}

#[test]
#[ignore = "needs the official Python SDK; .ci/run installs it"]
fn every_modern_call_is_counted_by_2() {
    for protocol in ["modern", "auto"] {
        let server = SdkServer::python(&interpreter(Sdk::V2), &[]);
        let report = run_echo(&server.url(), protocol);
        check_identity(&report, SERVER_NAME, SERVER_VERSION, "modern");
        check_sessions(&report, false);
        assert_eq!(server.calls(), 100, "{protocol}");
    }
}

/// Its refusals of the modern era are worded in two ways, by mode.
#[test]
#[ignore = "needs the official Python SDK; .ci/run installs it"]
fn the_era_of_1_is_found() {
    for arguments in MODES {
        let server = SdkServer::python(&interpreter(Sdk::V1), arguments);
        let report = run_echo(&server.url(), "auto");
        check_identity(&report, SERVER_NAME, SERVER_VERSION, "legacy");
        assert_eq!(server.calls(), 100, "{arguments:?}");
    }
}

#[test]
#[ignore = "needs the official Python SDK; .ci/run installs it"]
fn a_server_without_the_era_that_was_forced_is_told() {
    let server = SdkServer::python(&interpreter(Sdk::V1), &[]);
    let finished = Program::new(&["loadtest", "run", &server.url(), "--protocol=modern"])
        .time_limit(LIMIT)
        .run()
        .expect_code(1);
    assert!(
        finished.stderr.contains("does not speak a modern revision"),
        "{finished}"
    );
    assert!(finished.stderr.contains("--protocol"), "{finished}");
    assert_eq!(finished.stdout, "", "{finished}");
    assert_eq!(server.calls(), 0);
}

#[test]
#[ignore = "needs the official Python SDK; .ci/run installs it"]
fn failures_of_a_mixture_are_told_apart_by_1() {
    for arguments in [&[][..], &["--stateless", "--json"]] {
        check_mixture(Sdk::V1, arguments, "legacy", "jsonrpc.0");
    }
}

#[test]
#[ignore = "needs the official Python SDK; .ci/run installs it"]
fn failures_of_a_mixture_are_told_apart_by_2() {
    check_mixture(Sdk::V2, &[], "legacy", "jsonrpc.-32602");
    check_mixture(Sdk::V2, &[], "modern", "http.400.jsonrpc.-32602");
}

#[test]
#[ignore = "needs the official Python SDK; .ci/run installs it"]
fn as_many_calls_as_users_are_in_flight() {
    for (sdk, arguments, protocol) in [
        (Sdk::V1, &["--stateless", "--json"][..], "legacy"),
        (Sdk::V2, &[], "legacy"),
        (Sdk::V2, &[], "modern"),
    ] {
        let server = SdkServer::python(&interpreter(sdk), arguments);
        check_sleepers(&server.url(), protocol);
        let seen = (server.calls(), server.in_flight_max());
        assert_eq!(seen, (N_SLEEPERS, N_SLEEPERS), "{sdk:?} {protocol}");
    }
}

/// uvicorn closes a connection that was idle for 5 s. A user who thinks longer
/// finds it closed, and opens another before anything is sent: no call fails,
/// and none is sent twice.
#[test]
#[ignore = "needs the official Python SDK; .ci/run installs it"]
fn idle_connections_that_the_server_closes_are_replaced() {
    // At one time, since all that they do is wait.
    thread::scope(|scope| {
        scope.spawn(|| check_thinkers(Sdk::V1, "legacy"));
        scope.spawn(|| check_thinkers(Sdk::V2, "modern"));
    });
}

fn check_thinkers(sdk: Sdk, protocol: &str) {
    let server = SdkServer::python(&interpreter(sdk), &[]);
    let finished = Program::new(&[
        "loadtest",
        "run",
        &server.url(),
        "--protocol",
        protocol,
        "--tool=echo",
        "--args={\"text\":\"hi\"}",
        "--vus=3",
        "--think=6s",
        "--iterations=6",
        // Its connections are not those of calls.
        "--no-listen",
    ])
    .time_limit(LIMIT)
    .run();
    let report = finished.expect_code(0).report();
    assert_eq!(count(&report, "/totals/ok"), 6, "{report:#}");
    assert_eq!(count(&report, "/counters/reconnects"), 3, "{report:#}");
    assert_eq!(count(&report, "/counters/connections"), 6, "{report:#}");
    assert_eq!(count(&report, "/counters/sessions_opened"), 3, "{report:#}");
    // No user thinks once there is nothing more to do.
    let elapsed_secs = number(&report, "/run/elapsed_secs");
    assert!((6.0..11.0).contains(&elapsed_secs), "{elapsed_secs} s");
    assert_eq!(server.calls(), 6, "{sdk:?}");
}

fn check_legacy(sdk: Sdk) {
    let python = interpreter(sdk);
    for arguments in MODES {
        let server = SdkServer::python(&python, arguments);
        let report = run_echo(&server.url(), "legacy");
        check_identity(&report, SERVER_NAME, SERVER_VERSION, "legacy");
        check_sessions(&report, !arguments.contains(&"--stateless"));
        assert_eq!(server.calls(), 100, "{sdk:?} {arguments:?}");
    }
}

fn check_mixture(sdk: Sdk, arguments: &[&str], protocol: &str, unknown_resource: &str) {
    let server = SdkServer::python(&interpreter(sdk), arguments);
    let report = run_mixture(
        &server.url(),
        protocol,
        &[
            ("tools/call fail", "tool.is_error"),
            ("tools/call nobody-knows-it", "tool.is_error"),
            ("resources/read test://nowhere", unknown_resource),
        ],
    );
    assert_eq!(server.calls(), n_handled(&report), "{sdk:?} {protocol}");
}
