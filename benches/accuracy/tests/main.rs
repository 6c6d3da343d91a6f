//! The accuracy benchmark's own tests. They do not stand beside what they test,
//! since a benchmark without a harness has no use for them.

#[path = "../main.rs"]
#[allow(dead_code, reason = "its `main` and its options are the benchmark's")]
mod accuracy;

mod cases;
mod compare;
mod delay;
mod request;
mod server;
mod truth;
