//! The control plane: one thread that merges, decides and commands.
//!
//! ```text
//!   prepare ── find the server, render the steps, choose the CPUs
//!      │
//!   run:  receive ticks ─▶ Collector ─▶ windows ─▶ breakpoint::Detector
//!      ▲                                   │              │
//!      │                                   ▼              ▼
//!      └── commands to the workers ◀── Controller (stages, stop, signals)
//! ```
//!
//! The decisions are pure: [`control`], [`breakpoint`] and [`search`] get plain
//! values and the time, and say what to do. The loops in `run.rs` and, for the
//! capacity search, in `find.rs` do it. Nothing here opens a socket of its own,
//! writes a file or prints; an `Observer` is told.

pub mod breakpoint;
pub mod control;
mod elapsed;
mod find;
mod merge;
mod prepare;
mod probe;
mod run;
pub mod search;
mod signals;
#[cfg(test)]
pub(crate) mod simulation;
mod standstill;
mod verdict;
mod watching;

pub use find::find;
pub use run::{Interrupter, Interrupts, run};
pub use search::VERIFICATION_LEAST as FIND_VERIFICATION;
