//! One HTTP/1.1 client on one connection, in blocking style, that suspends its
//! task instead of its thread.
//!
//! It wraps a `ureq::Agent` of its own, so "one virtual user, one connection,
//! one session" is literally true and no pool is shared. What we rely on in
//! ureq 3.5 (its `unversioned` traits may change in a minor release, hence the
//! exact pin):
//!
//! - head and body arrive in two `transmit_output` calls: the transport holds
//!   the bytes and sends them in one write when input is awaited;
//! - `await_input` returning `Ok(false)` means a lost peer, an error ends the
//!   exchange; both may be called on a suspended stack;
//! - `is_open` is called under the pool's lock: it never suspends;
//! - a body not read to its end closes the connection.
//!
//! This module does not know MCP: it carries bytes and says when they went and
//! came. Start with [`Client::send`]; `transport.rs` is where it waits.

#![cfg_attr(
    not(test),
    deny(
        clippy::let_underscore_must_use,
        reason = "the result of a wait must not be thrown away"
    )
)]

mod buffers;
mod client;
mod clock_watch;
mod connector;
mod endpoint;
mod exchange;
mod failure;
mod framing;
mod kept;
mod reference;
mod steady;
mod timestamp;
mod transport;

pub use client::{Answer, Client, Request};
pub use endpoint::{Endpoint, resolve};
pub use exchange::{ClientCounters, Timing};
pub use failure::{ConnectKind, HttpFailure, HttpFailureKind, Phase};
pub use steady::RequestHead;
pub use timestamp::is_supported as kernel_timestamps_supported;
pub use timestamp::take_counts as take_read_counts;

/// The header types of requests and answers.
pub use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method};
