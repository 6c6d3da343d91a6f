//! The decisions, as pure functions: figures and the time go in, actions come out.
//!
//! [`control`] says how many users there should be and when a run ends,
//! [`breakpoint`] finds the load at which a server stops keeping up, and
//! [`search`] finds the highest load that it sustains, and [`threshold`] says whether
//! a run passes. None of them has a
//! channel, a thread or a clock: the loops in `coordinator` do what they say.
//! [`compare`] says what changed from one set of finished runs to another.
//! `simulation` is the server that the tests drive them against.

mod binomial;
pub mod breakpoint;
pub mod compare;
pub mod control;
pub mod denied;
pub mod elapsed;
pub mod search;
#[cfg(test)]
mod simulation;
pub mod standstill;
pub mod threshold;
