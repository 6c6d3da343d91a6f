//! One HTTP/1.1 client on one connection, in blocking style, that suspends its
//! task instead of its thread.
//!
//! One client has one connection, so "one virtual user, one connection, one
//! session" is literally true and no pool is shared. All exchanges are read by one
//! reader, `http1.rs` over `framing.rs`; `request.rs` has what is sent. Of ureq there is the TLS layer with its
//! `Transport`, which reads and writes through ours. What we rely on in ureq 3.5
//! (its `unversioned` traits may change in a minor release, hence the exact pin):
//!
//! - the TLS layer calls `await_input` and `transmit_output` on a suspended stack,
//!   and passes on their errors;
//! - `await_input` returning `Ok(false)` means a lost peer;
//! - `is_open` asks our transport.
//!
//! This module does not know MCP: it carries bytes and says when they went and
//! came. Start with [`Client::send`]; `transport.rs` is where it waits.

#![expect(
    clippy::disallowed_methods,
    reason = "an answer is timed where it is read"
)]
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
mod dial;
mod endpoint;
mod exchange;
mod failure;
mod framing;
mod http1;
mod lookup;
mod reference;
mod request;
mod timestamp;
mod transport;
mod tunnel;

pub use client::Client;
pub use dial::use_addresses;
pub use endpoint::{Endpoint, NotFollowed, resolve};
pub use exchange::{ClientCounters, Timing};
pub use failure::Trouble;
pub use http1::Response;
pub use lookup::HostName;
pub use request::{HeaderLines, Request, RequestHead};
pub use timestamp::is_supported as kernel_timestamps_supported;
pub use timestamp::take_counts as take_read_counts;

/// The header types of requests and answers.
pub use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method};
