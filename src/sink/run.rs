//! What every sink knows of the run that it tells of.

use crate::outcome::{Row, RowKind};
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

impl SinkRun {
    /// What a row is called in every form, without secrets.
    pub(super) fn operation(&self, row: &Row) -> String {
        let name = match row.kind {
            RowKind::Flow | RowKind::FlowBusy => row.flow.clone().unwrap_or_default(),
            // As in the report, where sessions have no names.
            RowKind::Handshake | RowKind::Close | RowKind::Listen => row.kind.id().to_string(),
            RowKind::Call | RowKind::Turn | RowKind::TaskStep => row.label(),
        };
        self.redactor.clean(name)
    }
}
