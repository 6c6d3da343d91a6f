//! A calibration file, read strictly: it decides what later runs are worth.

use std::path::Path;

use serde_json::Value;

use super::model::{CALIBRATION_KIND, CALIBRATION_SCHEMA_VERSION, CalibrationReport};
use crate::error::UserError;
use crate::files::{WRITTEN_BYTES_MAX, read_text};

/// Reads the file that `calibrate` wrote.
///
/// # Errors
/// Where there is no such file, it is no calibration, one of a version that this
/// program cannot read, or one without the figures that a run is measured by.
pub fn read_calibration(path: &Path) -> Result<CalibrationReport, UserError> {
    let shown = path.display();
    let fault = |what: String| {
        UserError::usage(format!("`{shown}` {what}"))
            .hint("`cargo pmcp loadtest calibrate --report FILE` writes a calibration of this host")
    };
    let text = read_text(path, WRITTEN_BYTES_MAX).map_err(fault)?;
    let json: Value = serde_json::from_str(&text)
        .map_err(|error| fault(format!("is not a calibration: {error}")))?;
    match json.get("kind").and_then(Value::as_str) {
        Some(CALIBRATION_KIND) => {}
        Some(other) => {
            return Err(fault(format!(
                "is not a calibration: its kind is `{other}`"
            )));
        }
        None if json.get("schema_version").is_some() => {
            return Err(fault(
                "is not a calibration but the report of a run".to_string(),
            ));
        }
        None => return Err(fault("is not a calibration: it has no `kind`".to_string())),
    }
    let version = json.get("schema_version").and_then(Value::as_str);
    let version = version.unwrap_or_default();
    let major = |version: &str| version.split('.').next().map(str::to_string);
    if major(version) != major(CALIBRATION_SCHEMA_VERSION) {
        return Err(fault(format!(
            "has schema version `{version}`; this program reads `{CALIBRATION_SCHEMA_VERSION}`"
        )));
    }
    let report: CalibrationReport = serde_json::from_value(json)
        .map_err(|error| fault(format!("is not a whole calibration: {error}")))?;
    let has_figures = [false, true]
        .iter()
        .all(|busy_poll| report.reference(*busy_poll).is_some());
    if !report.complete || !has_figures {
        return Err(fault(
            "is not a whole calibration: figures are missing".to_string(),
        ));
    }
    Ok(report)
}
