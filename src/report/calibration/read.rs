//! A calibration file, read strictly: it decides what later runs are worth.

use std::path::Path;

use super::model::CalibrationReport;
use crate::error::UserError;
use crate::outcome::CalibrationSamples;
use crate::report::envelope::read;

/// Reads the file that `calibrate` wrote.
///
/// # Errors
/// Where there is no such file, it is not a calibration, one of a version that this
/// program cannot read, or one without the figures that a run is measured by.
pub fn read_calibration(path: &Path) -> Result<CalibrationSamples, UserError> {
    let report: CalibrationReport = read(path)?;
    let samples = report.samples().filter(|_| report.complete);
    samples.ok_or_else(|| {
        UserError::usage(format!(
            "`{}` is not a whole calibration: figures are missing",
            path.display()
        ))
        .hint("`cargo pmcp loadtest calibrate --report FILE` writes a calibration of this host")
    })
}
