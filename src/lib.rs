//! The load tester for MCP servers.

pub mod cli;
pub mod client;
pub mod clock;
pub mod coordinator;
pub mod demo;
pub mod error;
pub mod http;
pub mod init;
pub mod load;
pub mod metrics;
pub mod outcome;
pub mod protocol;
pub mod report;
pub mod scenario;
pub mod scheduler;
pub mod terminal;
pub mod units;
pub mod user;
pub mod worker;
