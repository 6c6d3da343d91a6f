//! The report of a calibration: JSON, summary, live line; and what a later run
//! reads of it.
//!
//! Like a run's: [`build_calibration`] reads the outcome, the text is made from
//! the report alone. A later run reads the file with [`read_calibration`], asks
//! [`CalibrationReport::misfits`] whether it was made on this host, and takes the
//! [`Reference`](crate::validity::Reference) for its own mode. Start with [`CalibrationReport`].

mod advice;
mod live;
mod misfit;
mod model;
mod read;
mod summary;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use misfit::Misfit;
pub use model::{
    CALIBRATION_KIND, CALIBRATION_SCHEMA_VERSION, CalibratedHost, CalibrationReport, ClosedFigures,
    Mode, OpenFigures, SpreadFigures,
};
pub use read::read_calibration;
pub use summary::calibration_summary;

use super::make::BuildInfo;
use super::model::AdviceNote;
use crate::clock::Utc;
use crate::host::{HostFacts, Surroundings, advise};
use crate::outcome::{CalibrationEnded, CalibrationOutcome, ClosedStep, OpenStep, Spread};

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
    let note = |(id, text): (&str, String)| AdviceNote {
        id: id.to_string(),
        text,
    };
    let on_host = host_advice.iter().map(|found| (found.id(), found.text()));
    let n_cpus = outcome.allowed_cpus.len();
    let disturbed_share = disturbed_share(outcome);
    let on_figures = advice::on_figures(&normal, &busy_poll, disturbed_share, n_cpus);
    let on_figures = on_figures.iter().map(|found| (found.id(), found.text()));
    CalibrationReport {
        schema_version: CALIBRATION_SCHEMA_VERSION.to_string(),
        kind: CALIBRATION_KIND.to_string(),
        timestamp: info.finished_at.rfc3339(),
        complete: outcome.ended == CalibrationEnded::Complete,
        version: info.version.clone(),
        command_line: info.command_line.clone(),
        started_at: outcome.at.rfc3339(),
        elapsed_secs: secs(outcome.elapsed),
        step_secs: secs(outcome.options.step),
        host: calibrated_host(
            &outcome.host,
            outcome.quota_millicpus,
            &outcome.allowed_cpus,
        ),
        worker_cpu: outcome.worker_cpu.map(|cpu| cpu as u64),
        server_cpu: outcome.server_cpu.map(|cpu| cpu as u64),
        shared_cpu: n_cpus <= 1,
        disturbed_share,
        kernel_timestamps: outcome.kernel_timestamps,
        advice: on_host.chain(on_figures).map(note).collect(),
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

/// `.pmcp/reports/calibration-20261123T124107Z.json` under the given folder.
pub fn default_calibration_path(folder: &Path, now: Utc) -> PathBuf {
    let name = format!("calibration-{}.json", now.compact());
    folder.join(".pmcp").join("reports").join(name)
}

/// A host as a calibration file names it.
pub fn calibrated_host(
    facts: &HostFacts,
    quota_millicpus: Option<u64>,
    allowed: &[usize],
) -> CalibratedHost {
    let numbers = |cpus: &Vec<usize>| cpus.iter().map(|cpu| *cpu as u64).collect();
    CalibratedHost {
        cpu_model: facts.cpu_model.clone(),
        cpus: facts.n_cpus.map(|n| n as u64),
        allowed_cpus: allowed.iter().map(|cpu| *cpu as u64).collect(),
        quota_cpus: quota_millicpus.map(|milli| milli as f64 / 1e3),
        kernel: facts.kernel.clone(),
        virtual_machine: facts.is_virtual,
        governor: facts.governors(allowed),
        boost: facts.boost,
        isolated_cpus: facts.isolated.as_ref().map(numbers),
        nohz_full_cpus: facts.nohz_full.as_ref().map(numbers),
        numa_nodes: facts.n_numa_nodes.map(|n| n as u64),
        timer_slack_ns: facts.timer_slack_ns,
    }
}

/// All steps of a mode, and what they come to.
fn mode(outcome: &CalibrationOutcome, busy_poll: bool) -> Mode {
    let closed = outcome.closed.iter();
    let closed: Vec<ClosedFigures> = closed
        .filter(|step| step.busy_poll == busy_poll)
        .map(closed_figures)
        .collect();
    let open = outcome.open.iter();
    let open: Vec<OpenFigures> = open
        .filter(|step| step.busy_poll == busy_poll)
        .map(open_figures)
        .collect();
    let with_calls = closed.iter().filter(|step| step.ok > 0);
    let least_vus = closed.iter().min_by_key(|step| step.vus);
    let slowest = open
        .iter()
        .min_by(|a, b| a.rate_per_sec.total_cmp(&b.rate_per_sec));
    Mode {
        calls_per_sec_per_worker: with_calls.map(|step| step.calls_per_sec).reduce(f64::max),
        latency_noise: least_vus.and_then(|step| step.latency),
        lateness: slowest.and_then(|step| step.lateness),
        closed,
        open,
    }
}

fn closed_figures(step: &ClosedStep) -> ClosedFigures {
    ClosedFigures {
        vus: step.vus,
        ok: step.ok,
        failed: step.failed,
        calls_per_sec: tidy(step.calls_per_sec),
        cpu_us_per_call: step.cpu_ns_per_call.map(|ns| tidy(ns / 1e3)),
        worker_busy_share: step.worker_busy_share.map(tidy),
        server_cpu_share: step.server_cpu_share.map(tidy),
        latency: step.latency.map(spread),
        generator_delay: step.generator_delay.map(spread),
    }
}

fn open_figures(step: &OpenStep) -> OpenFigures {
    OpenFigures {
        rate_per_sec: tidy(step.rate_per_sec),
        ok: step.ok,
        failed: step.failed,
        dropped: step.dropped,
        lateness: step.lateness.map(spread),
    }
}

fn spread(spread: Spread) -> SpreadFigures {
    let ms = |ns: u64| ns as f64 / 1e6;
    SpreadFigures {
        count: spread.count,
        p50_ms: ms(spread.p50_ns),
        p99_ms: ms(spread.p99_ns),
        p99_9_ms: ms(spread.p99_9_ns),
        max_ms: ms(spread.max_ns),
    }
}

/// Without digits that nobody measured.
fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Whole milliseconds, for nothing here is known more finely.
fn secs(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1e3
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
