//! One MCP client: a session over one HTTP connection, and finding a server's era.
//!
//! Joins `protocol`, which knows bytes, and `http`, which carries them. It is
//! what a virtual user and `init` have in common, and knows neither: nothing
//! here picks steps, paces, records or prints.
//!
//! ```text
//!  find ──▶ Server (shared: endpoint, dialect, headers)
//!              │
//!              ▼
//!  Session:  closed ── open ──▶ ready ── call ──▶ ready …  ── close ──▶ closed
//!              ▲                  │
//!              └── expired, lost ─┘
//! ```
//!
//! Start with [`Session::call`]; `lane.rs` is one exchange, read as the
//! protocol demands. `listen.rs` is the stream that a session may hold beside its calls.

#![cfg_attr(
    not(test),
    deny(
        clippy::let_underscore_must_use,
        reason = "the result of a wait must not be thrown away"
    )
)]

mod classify;
mod content;
mod cookies;
mod error_head;
mod find;
mod identity;
mod lane;
mod listen;
mod lists;
mod mailbox;
mod observed;
mod server;
mod session;
mod tasks;
mod token;

pub use error_head::RetryAfter;
pub use find::{Found, Listing, ServerLists, WantedLists, find, find_and_open, is_unknown_method};
pub use listen::HeldStream;
pub use lists::{ListProgress, Listed, Lists, excluded_tools, list};
pub use observed::{KeptParts, Observed};
pub use server::{PreparedCall, Server, ServerSettings};
pub use session::{CallReport, Session};
pub use tasks::TaskStep;
pub use token::{RefusedToken, TokenCell};

pub use crate::http::Trouble;
pub use crate::protocol::Heard;
