//! `calibrate`: what this host can generate.

use super::args::Calibrate;
use super::common::{build_info, tell_all, under_signals};
use super::exit;
use super::outputs::OutputWish;
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
    let wish = OutputWish {
        report: args.report,
        has_no_report: args.no_report,
        // It decides nothing that a CI job would show.
        has_no_github: true,
        ..OutputWish::default()
    };
    let live = args.live.or_quiet(args.quiet);
    let mut outputs = wish.open(ReportKind::Calibration, &[], &mut Vec::new())?;
    let options = CalibrationOptions {
        vus: args.vus.unwrap_or(CALIBRATION_VUS.to_vec()),
        step: args.seconds.unwrap_or(CALIBRATION_STEP),
    };
    raise_file_limit(crate::calibrate::connections_max(&options));
    let (outcome, _) = under_signals(live, terminal, |live, interrupts| {
        crate::calibrate::run(options, live, interrupts)
    })?;
    let report = build_calibration(&outcome, &build_info(words, terminal));
    let is_complete = outcome.ended == CalibrationEnded::Complete;
    // What later runs are measured by is whole, or not there.
    outputs.report = outputs.report.filter(|_| is_complete);
    let delivered = deliver(outputs, report, args.quiet, terminal);
    let code = match outcome.ended {
        CalibrationEnded::Complete => exit::PASSED,
        CalibrationEnded::Interrupted => exit::INTERRUPTED,
    };
    Ok(tell_all(terminal, code, delivered.faults))
}
