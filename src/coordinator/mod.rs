//! The control plane: one thread that merges, decides and commands.
//!
//! ```text
//!   prepare ── find the server, render the steps, choose the CPUs
//!      │
//!   run:  receive ticks ─▶ Collector ─▶ windows ─▶ decide::breakpoint::Detector
//!      ▲                                   │              │
//!      │                                   ▼              ▼
//!      └── commands to the workers ◀── decide::Controller (stages, stop, signals)
//! ```
//!
//! The decisions are pure and live in `decide`. The loops in `run.rs`
//! and, for the capacity search, in `search.rs` carry them out. Nothing here
//! opens a socket of its own, writes a file or prints; an `Observer` is told.

mod collect;
mod crew;
mod guard;
mod interrupts;
mod intervals;
mod judge;
mod level;
mod lookups;
mod noted;
mod preflight;
mod prepare;
mod probe;
mod run;
mod search;
mod second_rows;
mod signals;
mod start;
mod tick;
mod tokens;
mod trial;
mod watch;

pub use crate::decide::search::VERIFICATION_LEAST as FIND_VERIFICATION;
pub use interrupts::{Interrupter, Interrupts};
pub use run::run;
pub use search::find;
pub(crate) use tokens::first_token;
pub use trial::{trial_plan, try_out};

pub use crate::host::raise_file_limit;
