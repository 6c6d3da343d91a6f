//! What holds where neither config nor flag says otherwise, and the bounds of
//! what they may say. The one place for both.

use std::time::Duration;

/// Users of a flat closed run.
pub const VUS: u32 = 10;
/// The length of a run without stages whose iterations are not bounded.
pub const DURATION: Duration = Duration::from_secs(30);
/// The longest that a request may take.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// By default what is in flight at the end may take as long as the timeout,
/// but no longer than this.
pub const GRACEFUL_STOP_MAX: Duration = Duration::from_secs(30);
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
/// The language of a `code_mode` step, as cargo-pmcp 0.29 has it.
pub const CODE_FORMAT: &str = "graphql";

/// No host has ports and memory for more.
pub(crate) const VUS_MAX: u32 = 1_000_000;
/// Calls of one session at once: far beyond what an agent does.
pub(super) const PARALLEL_MAX: u32 = 256;
/// Far beyond what a host can send.
pub(super) const RATE_MAX: f64 = 10_000_000.0;
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
