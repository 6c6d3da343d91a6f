//! One core's thread: pin, run users, obey commands, tick.
//!
//! ```text
//!   worker thread owns: scheduler (poll, stacks, timers)
//!                       users (tasks) ── Shared (recorder, budget, targets)
//!                       spare recorders
//!   comes in:  Command   bounded channel, woken through the poll
//!   goes out:  Event     bounded channel; a worker never blocks on a tick
//! ```
//!
//! A worker decides nothing: how many users there are, when the load begins
//! and ends, it is told. It does not know stages, windows or reports. Start
//! with [`run()`].

mod affinity;
mod cgroup;
mod host;
mod message;
mod meter;
mod run;
mod topology;

pub use affinity::{Cpus, raise_file_limit, too_low_file_limit};
pub use host::{HostMeter, HostUse};
pub use message::{Command, EVENTS_BOUND, Event, Handle, Tick, UserCounts, WorkerEnd};
pub use run::{TICK, WorkerOptions, run};
