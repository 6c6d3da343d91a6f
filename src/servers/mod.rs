//! The MCP servers that this program brings along: `demo`, to try the load
//! tester on, and `canned`, to measure the load tester against.
//!
//! They read and write MCP by themselves and never import the client's protocol
//! code: a fault there would be mirrored here and stay unseen.

pub mod canned;
pub mod demo;
