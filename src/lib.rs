//! The load tester for MCP servers behind `cargo pmcp loadtest`.
//!
//! How to use the program stands in its `README.md`, and behind that in the
//! [`reference`](mod@reference). This is the library that
//! the program is made of, and that another command line can embed: **a plan in,
//! an observer called while it runs, an outcome out**.
//!
//! - [`scenario::Plan::new`] makes a plan of a server's address and of what
//!   users do; [`scenario::load`] makes one of a config, of flags
//!   ([`scenario::Overrides`]), or of both, and reports every fault at once.
//! - [`coordinator::run`] finds the server, makes the load and blocks until all is
//!   over. A server that breaks under the load is an outcome; an error means that
//!   there was no load.
//! - [`outcome::Observer`] is told of it meanwhile, four times a second, on the
//!   thread that called `run`.
//! - [`report::build()`] makes the public JSON report of an outcome, and
//!   [`report::summary()`] the text for a terminal.
//!
//! Nothing of the engine prints, writes a file, reads the environment, changes a
//! limit of the process or ends it; `Ctrl-C` is the caller's, who passes it on
//! through [`coordinator::Interrupts`]. For thousands of users the caller raises the
//! limit of open files: [`coordinator::raise_file_limit`].
//!
//! ```
//! use pmcp_loadtest::clock::Utc;
//! use pmcp_loadtest::coordinator::{self, Interrupts};
//! use pmcp_loadtest::demo::{DemoOptions, DemoServer};
//! use pmcp_loadtest::outcome::{Ended, Observer, Progress, RunStart};
//! use pmcp_loadtest::report::{self, BuildInfo};
//! use pmcp_loadtest::scenario::{self, Action, Arguments, Load, Flow, Operation, Plan, Target};
//! use std::time::Duration;
//!
//! /// Keeps what it was told.
//! #[derive(Default)]
//! struct Watcher {
//!     server: Option<String>,
//!     most_users: u32,
//! }
//!
//! impl Observer for Watcher {
//!     fn started(&mut self, start: &RunStart) {
//!         self.server = start.server().name.clone();
//!     }
//!
//!     fn progress(&mut self, progress: &Progress<'_>) {
//!         self.most_users = self.most_users.max(progress.vus);
//!     }
//! }
//!
//! // Any MCP server will do; this one is in the library.
//! let server = DemoServer::start(DemoOptions::default())?;
//!
//! let call = Operation::CallTool {
//!     name: "echo".to_string(),
//!     arguments: Some(Arguments::read(r#"{"text": "hello"}"#)?),
//! };
//! let flows = vec![Flow::from(Action::Call(call))];
//! let mut plan = Plan::new(Target::new(&server.url())?, flows);
//! plan.load = Load::Closed {
//!     vus: 4,
//!     ramp_up: Duration::ZERO,
//!     pacing: None,
//! };
//! plan.stop.duration = None;
//! plan.stop.iterations = Some(100);
//! plan.workers.count = Some(1);
//! plan.workers.pin = false;
//!
//! let mut watcher = Watcher::default();
//! let outcome = coordinator::run(plan.clone(), &mut watcher, &Interrupts::none())?;
//! assert_eq!(outcome.ended, Ended::Iterations);
//! assert_eq!(outcome.totals.counters.iterations_completed, 100);
//! assert_eq!(watcher.server.as_deref(), Some("pmcp-demo"));
//! assert!(watcher.most_users <= 4);
//!
//! // The same as `run` writes to `.pmcp/reports`.
//! let info = BuildInfo {
//!     version: "1.0.0".to_string(),
//!     command_line: vec!["my-tool".to_string()],
//!     finished_at: Utc::now(),
//! };
//! let report = report::build(&plan, scenario::to_json(&plan), &outcome, &info);
//! let totals = &report.totals;
//! assert_eq!((totals.started, totals.ok, totals.failed), (100, 100, 0));
//! assert!(totals.latency.p99_ms >= totals.latency.p50_ms);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The modules, in the order to read them
//!
//! Those that are no link are private: an embedder needs none of them.
//!
//! | module | holds |
//! |---|---|
//! | [`scenario`] | a config and flags become a plan |
//! | `load` | load models: numbers of users, arrivals and pauses as functions of time |
//! | [`coordinator`] | a run from beginning to end: prepares, commands, collects, judges |
//! | `decide` | the decisions as pure functions: users, breaking points, searches, thresholds, comparisons |
//! | `worker` | one core's thread and its users |
//! | `user` | one virtual user: session, steps, pace, what is recorded |
//! | `auth` | tokens that are fetched before a run and renewed while it goes on |
//! | `client` | one MCP session over one connection; finding a server's era |
//! | `template` | texts with `{{…}}`: the language, compiled templates, random values |
//! | `data` | rows of CSV and JSON lines that templates take values from |
//! | `protocol` | MCP as bytes and headers, without any input or output |
//! | `http` | HTTP/1.1, and TLS by rustls, on a socket that suspends its task instead of its thread |
//! | `scheduler` | many tasks on one thread: coroutines, poll, timers |
//! | `metrics` | histograms, counters, failures by cause |
//! | `validity` | whether a result is the server's or ours: the verdict |
//! | [`expect`] | what is taken out of an answer, and what is awaited of it |
//! | `threshold` | what a run has to keep: its grammar, and how it came out |
//! | [`outcome`] | what a run produced; the observer |
//! | [`report`] | the JSON report, the summary, the live panel |
//! | `sink` | figures for other programs while a run goes on |
//! | `json_schema` | sample arguments from a tool's schema, and whether arguments satisfy it |
//! | `init` | a starter config of what a server offers |
//! | `servers` | those brought along: [`demo`], to try the program on; `canned`, to measure it against |
//! | `calibrate` | what this host can generate |
//! | `terminal`, `text`, `units` | colours and writers; unseen characters; durations, rates and sizes as text |
//! | [`error`], `files`, [`clock`], `host` | errors for users; reading their files; time; what machine this is |
//! | `address`, `network` | the one judge of addresses; TLS, proxies and names on the way to a server |
//! | `redact` | secrets taken out of texts |
//! | `marker` | texts in the arguments of calls that tell whose an answer is |
//! | `alarm` | ends the wait of a poll at an instant |
//! | [`cli`] | the program: what can be typed, and its exit codes |
//!
#![doc = include_str!("architecture.md")]
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests wait and measure")
)]

pub mod cli;
pub mod clock;
pub mod coordinator;
pub mod error;
pub mod expect;
pub mod outcome;
pub mod report;
pub mod scenario;

pub use servers::demo;

#[doc = include_str!("reference.md")]
pub mod reference {}

mod address;
mod alarm;
mod auth;
mod calibrate;
mod client;
mod data;
mod decide;
mod files;
mod host;
mod http;
mod init;
mod json_schema;
mod load;
mod marker;
mod metrics;
mod network;
mod protocol;
mod redact;
mod scheduler;
#[cfg(test)]
mod seeds;
mod servers;
mod sink;
mod template;
mod terminal;
mod text;
mod threshold;
mod units;
mod user;
mod validity;
mod worker;

/// What this repository's own benches and tests measure besides. It is not part of the
/// API and changes at any time.
#[doc(hidden)]
pub mod internal {
    pub use crate::servers::canned::{
        AnswerFraming, CannedAnswers, CannedReader, CannedServer, Options, ServerThread,
        deepen_backlog,
    };

    pub mod metrics {
        pub use crate::metrics::{Outcome, Recorder, Sample};
    }

    pub mod protocol {
        pub use crate::protocol::{
            BodyKind, ClientInfo, Dialect, Era, Expect, Item, Method, Operation, Prepared, Reply,
            ReplyReader, RequestBody, Revision, SseDecoder, ToolCatalog, read_json_reply,
        };
    }

    pub mod scheduler {
        pub use crate::scheduler::{
            Scheduler, SchedulerOptions, TaskId, Wake, current_task, park, sleep_until, unpark,
        };
    }
}
