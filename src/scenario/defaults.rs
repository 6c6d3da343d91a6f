//! What holds where neither config nor flag says otherwise, and the bounds of
//! what they may say. The one place for both.

use std::time::Duration;

/// Users of a flat closed run.
pub const VUS: u32 = 10;
/// The length of a run without stages whose iterations are not bounded.
pub const DURATION: Duration = Duration::from_secs(30);
/// The longest that a request may take.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that a call may take that is answered with a task, until the task has ended.
pub const TASK_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// By default what is in flight at the end may take as long as the timeout,
/// but no longer than this.
pub const GRACEFUL_STOP_MAX: Duration = Duration::from_secs(30);
/// The seed of a run that makes a part of a load, where none is given: all parts have
/// the same.
pub const SEGMENT_SEED: u64 = 0;
/// The share of an entry of the scenario.
pub const WEIGHT: u32 = 1;
/// The pool of users that serve arrivals; more where a burst is larger.
pub const MAX_VUS: u32 = 100;
/// Arrivals that may wait, for each user of the pool.
pub const QUEUE_PER_VU: u32 = 10;
/// The largest message accepted from the server.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// The share of failed requests that counts as broken.
pub const BREAK_ERROR_SHARE: f64 = 0.05;
/// Iterations that the probe starts a second.
pub const PROBE_RATE: f64 = 10.0;
/// The first level of a search after the baseline: users, or arrivals a second.
pub const FIND_FROM: f64 = 1.0;
/// The highest level that a search tries.
pub const FIND_TO: f64 = 2000.0;
/// The share of failed requests that a level of a search may have.
pub const FIND_ERROR_SHARE: f64 = 0.01;
/// The largest pool of users that serve the arrivals of a search.
pub const FIND_MAX_VUS: u32 = 10_000;
/// The longest that a request of `init` may take: lists of a slow server may take
/// longer than a call under load should.
pub const INIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Numbers of users of a calibration: one call at a time, as many as keep a worker
/// busy, and more than its caches hold.
pub const CALIBRATION_VUS: [u32; 3] = [1, 64, 1000];
/// How long each step of a calibration takes figures.
pub const CALIBRATION_STEP: Duration = Duration::from_secs(2);
/// The language of a `code_mode` step, as cargo-pmcp 0.29 has it.
pub const CODE_FORMAT: &str = "graphql";

/// How often a step is repeated with `until`, unless given.
pub const UNTIL_EVERY: Duration = Duration::from_secs(1);
/// How many times at most, unless given.
pub const UNTIL_AT_MOST: u32 = 60;

/// No host has ports and memory for more.
pub(crate) const VUS_MAX: u32 = 1_000_000;
/// Calls of one session at once: far beyond what an agent does.
pub(super) const PARALLEL_MAX: u32 = 256;
/// Far beyond what a host can send.
pub(crate) const RATE_MAX: f64 = 10_000_000.0;
/// Calls that one step makes one after the other: beyond it an iteration is a load.
pub(super) const REPEAT_MAX: u32 = 100_000;
/// Rows of figures: each has a histogram in each worker.
pub(super) const ROWS_MAX: usize = 2000;
/// Classes of users: each has its own rows, and may have its own server.
pub(super) const POPULATIONS_MAX: usize = 20;
/// A probe that calls more often than this is a load of its own.
pub(super) const PROBE_RATE_MAX: f64 = 1000.0;
/// As for durations as text: a year.
pub(super) const DURATION_SECS_MAX: u64 = 366 * 86_400;
/// More threads than any host has.
pub(crate) const WORKERS_MAX: u64 = 4096;
/// An answer to `initialize` needs as much.
pub(super) const MESSAGE_BYTES_LOW: u64 = 1 << 10;
/// Beyond it one user alone could fill the memory.
pub(super) const MESSAGE_BYTES_HIGH: u64 = 1 << 30;
