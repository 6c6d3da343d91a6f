//! The load tester for MCP servers behind `cargo pmcp loadtest`.
//!
//! How to use the program stands in its `README.md`. This is the library that
//! the program is made of, and that another command line can embed: **a plan in,
//! an observer called while it runs, an outcome out**.
//!
//! - [`scenario::load`] makes a [`scenario::Plan`] of a config, of flags
//!   ([`scenario::Overrides`]), or of both, and reports every fault at once. Who
//!   wants neither may fill in a `Plan` by hand: all its fields are public.
//! - [`coordinator::run`] finds the server, makes the load and blocks until all is
//!   over. A server that breaks under the load is an outcome; an error means that
//!   there was no load.
//! - [`outcome::Observer`] is told of it meanwhile, four times a second, on the
//!   thread that called `run`.
//! - [`report::build()`] makes the public JSON report of an outcome, and
//!   [`report::summary()`] the text for a terminal.
//!
//! Nothing of the engine prints, writes a file, reads the environment or ends the
//! process; `Ctrl-C` is the caller's, who passes it on through
//! [`coordinator::Interrupts`].
//!
//! ```
//! use pmcp_loadtest::clock::Utc;
//! use pmcp_loadtest::coordinator::{self, Interrupts};
//! use pmcp_loadtest::demo::{DemoOptions, DemoServer};
//! use pmcp_loadtest::outcome::{Ended, Observer, Progress, RunStart};
//! use pmcp_loadtest::report::{self, BuildInfo};
//! use pmcp_loadtest::scenario::{self, Overrides};
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
//!         self.server = start.server.name.clone();
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
//! // What the flags of `run` say, without a config.
//! let mut arguments = serde_json::Map::new();
//! arguments.insert("text".to_string(), "hello".into());
//! let overrides = Overrides {
//!     url: Some(server.url()),
//!     tool: Some(("echo".to_string(), Some(arguments.into()))),
//!     vus: Some(4),
//!     iterations: Some(100),
//!     workers: Some(1),
//!     pin: Some(false),
//!     ..Overrides::default()
//! };
//! let no_environment = |_: &str| None;
//! let seed = 1;
//! let plan = scenario::load(None, &overrides, &no_environment, seed)?;
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
//! | module | holds |
//! |---|---|
//! | [`scenario`] | a config and flags become a plan |
//! | [`load`] | load models: numbers of users, arrivals and pauses as functions of time |
//! | [`coordinator`] | a run from beginning to end: prepares, commands, collects, judges |
//! | [`decide`] | the decisions as pure functions: users over time, breaking points, the search |
//! | [`worker`] | one core's thread and its users |
//! | [`user`] | one virtual user: session, steps, pace, what is recorded |
//! | [`client`] | one MCP session over one connection; finding a server's era |
//! | [`protocol`] | MCP as bytes and headers, without any input or output |
//! | [`http`] | HTTP/1.1, and `ureq`'s TLS, on a socket that suspends its task instead of its thread |
//! | [`scheduler`] | many tasks on one thread: coroutines, poll, timers |
//! | [`metrics`] | histograms, counters, failures by cause |
//! | [`validity`] | whether a result is the server's or ours: the verdict |
//! | [`outcome`] | what a run produced; the observer |
//! | [`report`] | the JSON report, the summary, the live line |
//! | [`init`] | a starter config of what a server offers |
//! | [`demo`] | the embedded MCP server |
//! | [`canned`] | a server that costs next to nothing, to measure ourselves against |
//! | [`calibrate`] | what this host can generate |
//! | [`terminal`], [`units`] | colours and writers; durations, rates and sizes as text |
//! | [`error`], [`files`], [`clock`], [`host`] | errors for users; reading their files; time; what machine this is |
//! | [`address`], [`redact`] | the one judge of addresses; secrets taken out of texts |
//! | [`cli`] | the program: what can be typed, and its exit codes |
//!
#![doc = include_str!("architecture.md")]

pub mod scenario;

pub mod load;

pub mod coordinator;

pub mod decide;

pub mod worker;

pub mod user;

pub mod client;

pub mod protocol;

pub mod http;

pub mod scheduler;

pub mod metrics;

pub mod validity;

pub mod outcome;

pub mod report;

pub mod init;

pub mod demo;

pub mod canned;

pub mod calibrate;

pub mod address;
pub mod clock;
pub mod error;
pub mod files;
pub mod host;
pub mod redact;
pub mod terminal;
pub mod text;
pub mod units;

pub mod cli;
