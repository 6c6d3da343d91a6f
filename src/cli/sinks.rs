//! `--out`: the sinks of a run or a search, and what is told of them at its end.

use super::secrets::collector_headers;
use crate::error::UserError;
use crate::outcome::ExportFigures;
use crate::scenario::Plan;
use crate::sink::{self, OpenSink, SinkWish};
use crate::units::plural;

/// Opens the places, by the plan's rules for the network.
///
/// # Errors
/// Where one cannot be written to, or a header for collectors is not valid.
pub(super) fn open_sinks(outs: &[SinkWish], plan: &Plan) -> Result<Vec<OpenSink>, UserError> {
    if outs.is_empty() {
        return Ok(Vec::new());
    }
    let headers = collector_headers()?;
    sink::open_all(outs, &plan.target.url.value, &plan.network, &headers)
}

/// What other programs were not told, or later than it was.
pub(super) fn export_notices(exports: &[ExportFigures]) -> Vec<String> {
    let mut notices = Vec::new();
    for export in exports {
        let to = &export.to;
        if export.lost > 0 {
            let points = plural(export.lost, "point", "points");
            let why = export.last_error.as_deref().unwrap_or_default();
            notices.push(format!(
                "`--out {to}`: {points} could not be written: {why}"
            ));
        }
        if let Some(remark) = &export.last_remark {
            notices.push(format!("`--out {to}`: the collector says: {remark}"));
        }
        if export.merged > 0 {
            let seconds = plural(export.merged, "second", "seconds");
            notices.push(format!(
                "`--out {to}` was slow: {seconds} are in the point after them"
            ));
        }
    }
    notices
}
