//! The load tester for MCP servers.

pub mod clock;
pub mod error;
pub mod units;
