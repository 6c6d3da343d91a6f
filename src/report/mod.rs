//! What the user gets to see: the JSON report, the summary, what shows a run
//! while it goes on.
//!
//! Public and stable is the JSON ([`model`]); the text is not, and is made
//! from the model alone, so that a stored report renders like a fresh one.
//! Nothing here knows the engine: [`build()`] reads an outcome, and
//! [`LiveLine`] is an observer like any other.
//!
//! ```text
//! Plan ─┐
//!       ├─▶ build ─▶ Report ─▶ deliver ─┬─▶ Json ─▶ ReportFile
//! RunOutcome ─┘                         └─▶ Text ─▶ stdout
//! Progress ─▶ LiveLine ─▶ stderr
//! ```
//!
//! A capacity search ([`find`]) and a calibration ([`calibration`]) have reports
//! of their own, in the same envelope ([`ReportKind`]), delivered in the same way
//! ([`deliver`]) and written by the same formats ([`Format`]).

mod advice;
pub mod calibration;
mod checks;
pub mod compare;
mod delivery;
mod envelope;
pub mod exposition;
mod file;
pub mod find;
mod format;
mod github;
pub mod live;
pub mod make;
mod measure;
mod merge;
pub mod model;
mod page;
pub mod place;
mod probe;
mod schema;
mod summary;
mod table;
pub mod trial;

#[cfg(test)]
mod samples;
#[cfg(test)]
pub(crate) use samples::start as sample_start;

pub use delivery::{Delivered, Outputs, deliver, made_or_told, show, show_comparison};
pub use envelope::{
    AnyReport, BuildInfo, ReportKind, Reported, Stored, StoredReport, cleaned, read, read_stored,
};
pub use file::ReportFile;
pub use format::json::Json;
pub use format::text::{SummaryOptions, Text};
pub use format::{Format, FormatChoice};
pub use github::StepSummary;
pub use live::{LiveChoice, LiveLine, LiveStyle};
pub use make::{build, load_in_words};
pub use merge::{merge, merge_stored};
pub use model::{CauseCount, Report};
pub use schema::report_schema;
pub use summary::OperationOrder;

pub use crate::terminal::{Layout, Line, WriteColor};

/// The summary of a run, as lines of text.
pub fn summary(report: &Report, options: &SummaryOptions) -> Vec<Line> {
    Text(options.clone()).lines(report.any())
}
