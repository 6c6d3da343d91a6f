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
//! protocol demands.

mod classify;
mod find;
mod lane;
mod lists;
mod server;
mod session;

pub use classify::Trouble;
pub use find::{Found, find};
pub use lists::{list_prompts, list_resource_templates, list_resources, list_tools};
pub use server::{PreparedCall, Server, ServerSettings};
pub use session::{CallReport, Session, SessionCounters};
