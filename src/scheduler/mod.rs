//! Many virtual users on one core: blocking code that waits without blocking.
//!
//! A *task* is straight-line code on its own small stack. Exactly one runs at
//! a time, on the thread that made it. Where it would block, it suspends, and
//! the loop in [`Scheduler::turn`] runs whoever is ready:
//!
//! ```text
//!           spawn                 ready queue                 suspend
//!   closure ─────▶ task ─▶ ┌───────────────────┐ ─▶ runs ─▶ waits for one of
//!                          │ turn: run all,    │            · its socket
//!                          │ then epoll once   │◀────────── · a deadline
//!                          └───────────────────┘   wake     · being unparked
//!                                                           · the end of the run
//! ```
//!
//! What may suspend: [`sleep_until`], [`park`], [`give_way`], [`pause`], [`run_all`], and
//! the waits of [`Socket`]. Nothing else does, so code between two of them is never
//! interrupted. Therefore it must be short, whatever a stranger sends: who does
//! work by the byte counts the bytes (`http/transport.rs`) and gives way.
//!
//! Each wait says how it ended, and a deadline that has come is said before what
//! has come beside it: a peer that keeps sending can hold up neither its own task
//! nor another one.
//!
//! This module does not know HTTP, MCP or what is measured. Start with
//! [`Scheduler`], then `local.rs` for what a task sees.

#![expect(
    clippy::disallowed_methods,
    reason = "deadlines are checked where tasks wait"
)]
#![cfg_attr(
    not(test),
    deny(
        clippy::let_underscore_must_use,
        reason = "the result of a wait must not be thrown away"
    )
)]

mod core;
mod local;
mod ports;
mod suspend;
mod timer;

/// Ends a scheduler's wait from another thread.
pub use mio::Waker;

pub use self::core::{Scheduler, SchedulerOptions, Turn, Worked, block_on};
pub use local::{
    Cancel, Socket, TaskId, Wake, cancel_task, current_task, dispensable, give_way, lateness, park,
    pause, run_all, shielded, sleep_until, spawn, unpark,
};
pub use ports::begin_connect;
pub use suspend::trim as trim_stack;
