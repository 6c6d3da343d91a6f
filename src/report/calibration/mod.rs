//! The report of a calibration: JSON, summary, live line; and what a later run
//! reads of it.
//!
//! Like a run's: [`build_calibration`] reads the outcome, the text is made from
//! the report alone. A later run reads the file with [`read_calibration`] into
//! plain figures, asks [`misfits`] whether they were taken on this host, and takes
//! those of its own mode. Start with [`CalibrationReport`].

mod advice;
mod live;
mod misfit;
pub(super) mod model;
mod read;
mod summary;

pub use misfit::{Misfit, misfits};
pub use model::{CalibrationReport, ModeFigures};
pub use read::read_calibration;
pub(super) use summary::calibration_summary;

use super::envelope::{BuildInfo, ReportKind};
use super::model::AdviceNote;
use crate::host::{Surroundings, advise};
use crate::outcome::{CalibratedHost, CalibrationEnded, CalibrationOutcome, ClosedStep, OpenStep};
use crate::units::{secs, tidy};

/// Makes the report.
pub fn build_calibration(outcome: &CalibrationOutcome, info: &BuildInfo) -> CalibrationReport {
    let normal = mode(outcome, false);
    let busy_poll = mode(outcome, true);
    let around = Surroundings {
        allowed: outcome.allowed_cpus.clone(),
        quota_millicpus: outcome.quota_millicpus,
        worker: outcome.worker_cpu,
        server: outcome.server_cpu,
    };
    let host_advice = advise(&outcome.host, &around);
    let on_host = host_advice.iter();
    let on_host = on_host.map(|found| AdviceNote::new(found.id(), found.text()));
    let n_cpus = outcome.allowed_cpus.len();
    let disturbed_share = disturbed_share(outcome);
    let on_figures = advice::on_figures(&normal, &busy_poll, disturbed_share, n_cpus);
    CalibrationReport {
        schema_version: ReportKind::Calibration.schema_version().to_string(),
        kind: ReportKind::Calibration.id().to_string(),
        timestamp: info.finished_at.rfc3339(),
        complete: outcome.ended == CalibrationEnded::Complete,
        version: info.version.clone(),
        command_line: info.command_line.clone(),
        started_at: outcome.at.rfc3339(),
        elapsed_secs: secs(outcome.elapsed),
        step_secs: secs(outcome.options.step),
        host: CalibratedHost::of(
            &outcome.host,
            outcome.quota_millicpus,
            &outcome.allowed_cpus,
        ),
        worker_cpu: outcome.worker_cpu,
        server_cpu: outcome.server_cpu,
        shared_cpu: n_cpus <= 1,
        disturbed_share,
        kernel_timestamps: outcome.kernel_timestamps,
        advice: on_host.chain(on_figures).collect(),
        normal,
        busy_poll,
        notices: outcome.notices.clone(),
    }
}

/// Of the worst step.
fn disturbed_share(outcome: &CalibrationOutcome) -> Option<f64> {
    let closed = outcome.closed.iter().map(|step| step.disturbed_share);
    let open = outcome.open.iter().map(|step| step.disturbed_share);
    closed.chain(open).flatten().reduce(f64::max).map(tidy)
}

/// All steps of a mode, and what they come to.
fn mode(outcome: &CalibrationOutcome, busy_poll: bool) -> ModeFigures {
    // The mode that they are listed in says how the worker waited, and the whole
    // report how far it was disturbed.
    let closed = outcome
        .closed
        .iter()
        .filter(|step| step.busy_poll == busy_poll);
    let closed: Vec<ClosedStep> = closed
        .map(|step| ClosedStep {
            busy_poll: false,
            disturbed_share: None,
            ..*step
        })
        .collect();
    let open = outcome
        .open
        .iter()
        .filter(|step| step.busy_poll == busy_poll);
    let open: Vec<OpenStep> = open
        .map(|step| OpenStep {
            busy_poll: false,
            disturbed_share: None,
            ..*step
        })
        .collect();
    let with_calls = closed.iter().filter(|step| step.ok > 0);
    let least_vus = closed.iter().min_by_key(|step| step.vus);
    let slowest = open
        .iter()
        .min_by(|a, b| a.rate_per_sec.total_cmp(&b.rate_per_sec));
    let highest = with_calls.map(|step| step.calls_per_sec).reduce(f64::max);
    ModeFigures {
        calls_per_sec_per_worker: highest.map(tidy),
        latency_noise: least_vus.and_then(|step| step.latency),
        lateness: slowest.and_then(|step| step.lateness),
        closed,
        open,
    }
}

#[cfg(test)]
pub(in crate::report) mod samples;
#[cfg(test)]
mod tests;
