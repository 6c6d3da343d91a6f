//! The accuracy benchmark's own tests. They do not stand beside what they test,
//! since a benchmark without a harness has no use for them.

#![allow(clippy::disallowed_methods, reason = "tests wait and measure")]

#[path = "../main.rs"]
#[allow(dead_code, reason = "its `main` and its options are the benchmark's")]
mod accuracy;

#[path = "../../../tests/support/share.rs"]
#[allow(
    dead_code,
    reason = "these tests ask for all of the machine or nothing"
)]
mod share;

mod cases;
mod compare;
mod delay;
mod request;
mod server;
mod truth;
