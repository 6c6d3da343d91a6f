//! End-to-end tests: the built program against real servers on loopback.
//!
//! One binary holds them all, since linking costs more than running. `support`
//! holds the servers and the means to run the program; `harness` tests those.
//! What needs the official Python SDK is ignored by default, with `python` in
//! its name: `.ci/run` installs the SDK and runs it; what needs the conformance
//! suite has `conformance`. A test that judges times or keeps CPUs busy says in `share`
//! what may run beside it; what needs the whole machine is in `alone`.

#![allow(clippy::disallowed_methods, reason = "tests wait and measure")]

#[path = "../support/acceptor.rs"]
mod acceptor;
#[path = "../support/auth_server.rs"]
mod auth_server;
#[path = "../support/demo.rs"]
mod demo;
#[path = "../support/fake_server.rs"]
mod fake_server;
#[path = "../support/load_run.rs"]
mod load_run;
#[path = "../support/port.rs"]
mod port;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/pty.rs"]
mod pty;
#[path = "../support/raw_http.rs"]
mod raw_http;
#[cfg(target_os = "linux")]
#[path = "../support/resolver.rs"]
mod resolver;
#[path = "../support/rmcp_server.rs"]
mod rmcp_server;
#[path = "../support/sdk_server.rs"]
mod sdk_server;
#[path = "../support/share.rs"]
mod share;
#[path = "../support/tls_server.rs"]
mod tls_server;
#[path = "../support/told.rs"]
mod told;
#[path = "../support/tunnel.rs"]
mod tunnel;

#[cfg(target_os = "linux")]
mod alone;
mod bounds;
mod calibrate_command;
mod command_line;
mod compare_command;
mod config;
mod conformance;
mod connections;
mod content;
mod engine;
mod entrance;
mod exports;
mod failures;
mod files;
mod find_command;
mod floods;
mod flows;
mod forms;
mod harness;
mod histograms;
mod init_command;
mod isolation;
mod limits;
mod listen;
mod network;
mod oauth;
mod populations;
mod preflight;
mod probe;
mod python;
mod readme;
mod report;
mod schema;
mod sdk;
mod sdk_matrix;
mod secrets;
mod segments;
mod sessions;
mod shapes;
mod shells;
mod slowest;
mod soak;
mod steady;
mod stored;
mod streams;
mod tasks;
mod terminal;
mod thresholds;
mod tls;
mod tokens;
mod told_cases;
mod try_command;
mod validity;
mod values;
mod wire;
