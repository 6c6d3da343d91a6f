//! What every sink knows of the run that it tells of.

use crate::outcome::Row;
use crate::redact::Redactor;

/// What every sink knows of the run.
pub(super) struct SinkRun {
    pub(super) rows: Vec<Row>,
    pub(super) about: Vec<(&'static str, String)>,
    pub(super) has_intended_starts: bool,
    pub(super) redactor: Redactor,
    /// When the load began, in nanoseconds since 1970.
    pub(super) start_unix_ns: u64,
}
