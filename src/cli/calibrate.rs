//! `calibrate`: what this host can generate; and what a later run makes of it.

use std::path::Path;
use std::time::Duration;

use super::args::Calibrate;
use super::options::{Seconds, VuList, redacted_command_line};
use super::run::{ReportWish, live_style};
use super::signals::Listener;
use super::{CommandResult, exit, shown_in};
use crate::clock::Utc;
use crate::coordinator::Interrupts;
use crate::error::UserError;
use crate::host;
use crate::outcome::{CalibratedHost, CalibrationEnded, CalibrationOptions};
use crate::report::calibration::{Misfit, build_calibration, misfits, read_calibration};
use crate::report::{BuildInfo, LiveLine, ReportKind, deliver};
use crate::terminal::Terminal;
use crate::validity::Reference;
use crate::worker::Cpus;

/// One call at a time, as many as keep a worker busy, and more than its caches
/// hold.
const VUS_DEFAULT: [u32; 3] = [1, 64, 1000];

const STEP_DEFAULT: Duration = Duration::from_secs(2);

pub(super) fn calibrate(args: Calibrate, words: &[String], terminal: &Terminal) -> CommandResult {
    let color = args.color.choice(args.no_color);
    let terminal = terminal.colored(color);
    calibrate_in(args, words, &terminal).map_err(shown_in(color))
}

fn calibrate_in(args: Calibrate, words: &[String], terminal: &Terminal) -> Result<u8, UserError> {
    let report_file =
        ReportWish::new(args.report, args.no_report)?.open(ReportKind::Calibration)?;
    let options = CalibrationOptions {
        vus: args.vus.map_or(VUS_DEFAULT.to_vec(), |VuList(vus)| vus),
        step: args.seconds.map_or(STEP_DEFAULT, |Seconds(step)| step),
    };
    let (interrupter, interrupts) = Interrupts::new();
    let listener = Listener::start(interrupter);
    let mut live = LiveLine::new(terminal.stderr(), live_style(args.quiet, terminal));
    let outcome = crate::calibrate::run(options, &mut live, &interrupts)?;
    drop(listener);
    drop(live);

    let info = BuildInfo {
        version: env!("CARGO_PKG_VERSION").to_string(),
        command_line: redacted_command_line(words, &terminal.redactor()),
        finished_at: Utc::now(),
    };
    let report = build_calibration(&outcome, &info);
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

/// What `--calibration` gives to a run.
pub(super) struct Calibrated {
    /// What the run is measured by; `None` where it was made on another host.
    pub(super) reference: Option<Reference>,
    /// What the user should know of it.
    pub(super) notice: Option<String>,
}

/// Reads a calibration for a run in the given mode on this host.
pub(super) fn read_for_run(path: &str, busy_poll: bool) -> Result<Calibrated, UserError> {
    let made = read_calibration(Path::new(path))?;
    let cpus = Cpus::of_this_process();
    let facts = host::read(Path::new("/"), &cpus.allowed);
    let here = CalibratedHost::of(&facts, cpus.quota_millicpus, &cpus.allowed);
    let misfits = misfits(&made, &here, env!("CARGO_PKG_VERSION"));
    let is_other_host = misfits.iter().any(|misfit| misfit.is_other_host);
    let reference = match busy_poll {
        true => made.busy_poll,
        false => made.normal,
    };
    Ok(Calibrated {
        reference: (!is_other_host).then_some(reference),
        notice: notice(path, &misfits).or_else(|| {
            made.is_disturbed.then(|| {
                format!(
                    "the calibration `{path}` was made while other work had the worker's CPU, and \
                     promises too little: calibrate again on an idle host"
                )
            })
        }),
    })
}

fn notice(path: &str, misfits: &[Misfit]) -> Option<String> {
    if misfits.is_empty() {
        return None;
    }
    let texts: Vec<String> = misfits.iter().map(Misfit::text).collect();
    let texts = texts.join("; ");
    let is_other_host = misfits.iter().any(|misfit| misfit.is_other_host);
    Some(match is_other_host {
        true => format!(
            "the calibration `{path}` was made on another host ({texts}) and is not used: \
             `cargo pmcp loadtest calibrate` makes one of this host"
        ),
        false => format!(
            "the calibration `{path}` was made under other conditions ({texts}): calibrate again \
             where it matters"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn misfit(is_other_host: bool) -> Misfit {
        Misfit {
            what: "kernel",
            then: "a".to_string(),
            now: "b".to_string(),
            is_other_host,
        }
    }

    #[test]
    fn a_notice_says_whether_the_calibration_is_used() {
        assert_eq!(notice("c.json", &[]), None);
        let text = notice("c.json", &[misfit(false)]).expect("a notice");
        assert!(text.contains("(kernel: a then, b now)"), "{text}");
        assert!(!text.contains("not used"), "{text}");
        let text = notice("c.json", &[misfit(false), misfit(true)]).expect("a notice");
        assert!(text.contains("is not used"), "{text}");
    }
}
