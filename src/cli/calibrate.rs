//! `calibrate`: what this host can generate.

use super::args::Calibrate;
use super::common::{ReportWish, build_info, under_signals};
use super::exit;
use crate::coordinator::raise_file_limit;
use crate::error::UserError;
use crate::outcome::{CalibrationEnded, CalibrationOptions};
use crate::report::calibration::build_calibration;
use crate::report::{ReportKind, deliver};
use crate::scenario::defaults::{CALIBRATION_STEP, CALIBRATION_VUS};
use crate::terminal::Terminal;

pub(super) fn calibrate(
    args: Calibrate,
    words: &[String],
    terminal: &Terminal,
) -> Result<u8, UserError> {
    let report_wish = ReportWish::new(args.report, args.no_report)?;
    let report_file = report_wish.open(ReportKind::Calibration)?;
    let options = CalibrationOptions {
        vus: args.vus.unwrap_or(CALIBRATION_VUS.to_vec()),
        step: args.seconds.unwrap_or(CALIBRATION_STEP),
    };
    raise_file_limit(crate::calibrate::connections_max(&options));
    let (outcome, _) = under_signals(args.quiet, terminal, |live, interrupts| {
        crate::calibrate::run(options, live, interrupts)
    })?;
    let report = build_calibration(&outcome, &build_info(words, terminal));
    let is_complete = outcome.ended == CalibrationEnded::Complete;
    // What later runs are measured by is whole, or not there.
    let report_file = report_file.filter(|_| is_complete);
    let delivered = deliver(report_file, report, args.quiet, terminal);
    delivered.written.and(delivered.shown)?;
    Ok(match outcome.ended {
        CalibrationEnded::Complete => exit::PASSED,
        CalibrationEnded::Interrupted => exit::INTERRUPTED,
    })
}
