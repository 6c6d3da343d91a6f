//! One virtual user: a session's life cycle, steps picked, paced and recorded.
//!
//! ```text
//!            ┌──────────── expired, or its time is up ───────────┐
//!            ▼                                                    │
//!   start ─ open ──── wait for the next start ──── iteration ─────┤
//!            │  ▲       (think, pace, arrival)                    │
//!   backs off┘  └─ failed                              leave ─ close ─ end
//! ```
//!
//! It is straight-line code that suspends its task where it waits. It does not
//! know threads, channels or printing: what a worker's users share is in
//! [`Shared`], what they do is a [`Script`]. The function to read first is
//! `VirtualUser::run`, then `flow.rs`. What a session hears beside its calls is the matter
//! of a task of its own, `listen.rs`.

#![cfg_attr(
    not(test),
    deny(
        clippy::let_underscore_must_use,
        reason = "the result of a wait must not be thrown away"
    )
)]

mod arrivals;
mod backoff;
mod budget;
mod cells;
mod check;
mod checks;
mod flow;
mod headers;
mod listen;
mod script;
mod shared;
mod virtual_user;
mod waiting;

pub use arrivals::dispatch;
pub use budget::{Budget, BudgetShare};
pub use headers::HeaderTemplates;
pub use script::{Marks, Script, ScriptTarget};
pub use shared::Shared;
pub use virtual_user::VirtualUser;
pub use waiting::{WaitingArrivals, WaitingShare};
