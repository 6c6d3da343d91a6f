//! What the user gets to see: the JSON report, the summary, the live line.
//!
//! Public and stable is the JSON ([`model`]); the text is not, and is made
//! from the model alone, so that a stored report renders like a fresh one.
//! Nothing here knows the engine: [`build()`] reads an outcome, and
//! [`LiveLine`] is an observer like any other.
//!
//! ```text
//! Plan ─┐
//!       ├─▶ build ─▶ Report ─┬─▶ ReportFile ─▶ JSON
//! RunOutcome ─┘              └─▶ summary ─▶ stdout
//! Progress ─▶ LiveLine ─▶ stderr
//! ```
//!
//! A capacity search has a report of its own, with the same parts: [`find`]. So
//! has a calibration: [`calibration`].

pub mod advice;
pub mod calibration;
pub mod find;
pub mod json;
pub mod live;
pub mod make;
pub mod model;
mod page;
pub mod place;
mod probe;
pub mod summary;
mod table;

#[cfg(test)]
mod samples;

pub use json::{ReportFile, read};
pub use live::{LiveLine, LiveStyle};
pub use make::{BuildInfo, build};
pub use model::{Report, SCHEMA_VERSION};
pub use summary::{SummaryOptions, summary};
