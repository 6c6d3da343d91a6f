//! One HTTP/1.1 client on one connection, in blocking style, that suspends its
//! task instead of its thread.
//!
//! One client has one connection, so "one virtual user, one connection, one
//! session" is literally true and no pool is shared. All exchanges are read by one
//! reader, `http1.rs` over `framing.rs`; `request.rs` has what is sent. Of ureq there is the
//! trait `Transport`, which plain connections and those over TLS (`tls/`) have in common
//! (its `unversioned` traits may change in a minor release, hence the narrow range of versions).
//!
//! This module does not know MCP: it carries bytes and says when they went and
//! came. Start with [`Client::send`]; `transport.rs` is where it waits. For the few requests
//! to other hosts, which are no load, there is [`blocking_agent`].

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

mod blocking;
mod buffers;
mod client;
mod clock_watch;
mod connector;
mod dial;
mod endpoint;
mod exchange;
mod failure;
mod framing;
mod hint;
mod http1;
mod lookup;
mod reference;
mod request;
mod timestamp;
mod tls;
mod transport;
mod tunnel;

pub use blocking::{blocking_agent, blocking_fault, blocking_proxy};
pub use client::Client;
pub use dial::{take_address_tallies, use_addresses};
pub use endpoint::{Endpoint, NotFollowed, resolve};
pub use exchange::{ClientCounters, Timing};
pub use failure::{
    CHECK_PATH, CHECK_PORT, CHECK_PROXY, RAISE_FILES, START_SERVER, Trouble, no_connection,
};
pub use hint::{split_hint, with_hint};
pub use http1::Response;
pub use lookup::HostName;
pub use request::{HeaderLines, Request, RequestHead};
pub use timestamp::is_supported as kernel_timestamps_supported;
pub use timestamp::take_counts as take_read_counts;
pub use tls::{
    CHECK_CERTIFICATE, GIVE_CERTIFICATE, check_tls, private_key_of_pem, take_handshakes,
};

/// The header types of requests and answers.
pub use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method};
