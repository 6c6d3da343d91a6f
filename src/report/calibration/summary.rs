//! The summary of a calibration, as lines of text: what one worker can do first.

use super::model::{CalibrationReport, ModeFigures};
use crate::outcome::{CalibratedHost, Percentiles};
use crate::report::page::{P99_9_NEEDS, Page, ns_text};
use crate::report::summary::head::secs_text;
use crate::report::summary::notes::left_out;
use crate::report::table::{Cell, Table};
use crate::terminal::{Line, Role};
use crate::units::{format_count, format_percent, format_rate, plural};

/// The whole summary.
pub(in crate::report) fn calibration_summary(
    page: &mut Page,
    report: &CalibrationReport,
    report_path: Option<&str>,
) {
    head(page, report);
    answer(page, report);
    closed(page, report);
    open(page, report);
    notes(page, report);
    left_out(page);
    page.report_path(report_path);
    if report_path.is_some() {
        let words = "name it in later runs: `--calibration FILE`";
        page.labelled("", Line::of(Role::Dim, words));
    }
}

/// How a mode is called.
pub(super) fn mode_name(busy_poll: bool) -> &'static str {
    match busy_poll {
        true => "busy-poll",
        false => "normal",
    }
}

fn modes(report: &CalibrationReport) -> [(&'static str, &ModeFigures); 2] {
    [
        (mode_name(false), &report.normal),
        (mode_name(true), &report.busy_poll),
    ]
}

fn head(page: &mut Page, report: &CalibrationReport) {
    page.labelled_text("host", Role::Plain, &host_text(&report.host));
    let words = match (report.worker_cpu, report.server_cpu) {
        _ if report.shared_cpu => "both share the only CPU: figures are those of both".to_string(),
        (Some(worker), Some(server)) => {
            format!("one worker on CPU {worker}, canned server on CPU {server}")
        }
        _ => "not pinned: worker and canned server may share a CPU".to_string(),
    };
    let role = match report.shared_cpu {
        true => Role::Warning,
        false => Role::Plain,
    };
    page.labelled_text("generator", role, &words);
    let line = Line::of(Role::Plain, secs_text(report.elapsed_secs));
    page.labelled(
        "duration",
        match report.complete {
            true => line,
            false => line.add(Role::Warning, ", interrupted: some steps are missing"),
        },
    );
}

/// `AMD EPYC, 2 CPUs, virtual machine, Linux 6.18.44`.
fn host_text(host: &CalibratedHost) -> String {
    let mut parts = vec![host.cpu_model.clone().unwrap_or("unknown CPU".to_string())];
    let allowed = host.allowed_cpus.len();
    parts.push(match host.cpus {
        Some(cpus) if cpus != allowed => format!("{allowed} of {cpus} CPUs"),
        _ => plural(allowed as u64, "CPU", "CPUs"),
    });
    parts.extend(host.quota_cpus.map(|cpus| format!("quota of {cpus} CPUs")));
    parts.extend(
        host.governor
            .as_ref()
            .map(|name| format!("governor {name}")),
    );
    if host.virtual_machine == Some(true) {
        parts.push("virtual machine".to_string());
    }
    parts.extend(host.kernel.clone());
    parts.join(", ")
}

/// What later runs are measured by.
fn answer(page: &mut Page, report: &CalibrationReport) {
    page.gap();
    let mut table = Table::new(&[
        "one worker",
        "highest rate",
        "noise p50",
        "p99",
        "lateness p50",
        "p99",
    ])
    .dispensable(&[5, 4, 3, 2]);
    for (name, mode) in modes(report) {
        let (noise, lateness) = (mode.latency_noise, mode.lateness);
        let rate = mode.calls_per_sec_per_worker;
        table.row(vec![
            Cell::of(Role::Strong, name),
            Cell::of(Role::Success, rate.map_or("-".to_string(), format_rate)),
            time(noise, |spread| spread.p50_ns),
            time(noise, |spread| spread.p99_ns),
            time(lateness, |spread| spread.p50_ns),
            time(lateness, |spread| spread.p99_ns),
        ]);
    }
    page.table(table);
}

fn closed(page: &mut Page, report: &CalibrationReport) {
    if modes(report).iter().all(|(_, mode)| mode.closed.is_empty()) {
        return;
    }
    page.gap();
    let mut table = Table::new(&[
        "closed model",
        "VUs",
        "calls/s",
        "CPU/call",
        "busy",
        "server",
        "p50",
        "p99",
        "p99.9",
    ])
    .dispensable(&[8, 5, 4, 6, 3]);
    for (name, mode) in modes(report) {
        for step in &mode.closed {
            let share = |share: Option<f64>| {
                // Two clocks that are read one after the other.
                share.map_or("-".to_string(), |share| {
                    format_percent((share.min(1.0) * 100.0).round() / 100.0)
                })
            };
            let is_rough = step
                .latency
                .is_some_and(|latency| latency.count < P99_9_NEEDS);
            let rough = if is_rough { "~" } else { "" };
            table.row(vec![
                Cell::plain(name),
                Cell::plain(format_count(u64::from(step.vus))),
                Cell::plain(format_rate(step.calls_per_sec).trim_end_matches("/s")),
                Cell::plain(ns_text(step.cpu_ns_per_call.map(|ns| ns.round() as u64))),
                Cell::plain(share(step.worker_busy_share)),
                Cell::plain(share(step.server_cpu_share)),
                time(step.latency, |spread| spread.p50_ns),
                time(step.latency, |spread| spread.p99_ns),
                Cell::plain(format!(
                    "{rough}{}",
                    ns_text(step.latency.map(|spread| spread.p99_9_ns))
                )),
            ]);
        }
    }
    page.table(table);
}

fn open(page: &mut Page, report: &CalibrationReport) {
    if modes(report).iter().all(|(_, mode)| mode.open.is_empty()) {
        return;
    }
    page.gap();
    let mut table = Table::new(&[
        "open model",
        "arrivals",
        "dropped",
        "lateness p50",
        "p99",
        "max",
    ])
    .dispensable(&[5, 3, 2]);
    for (name, mode) in modes(report) {
        for step in &mode.open {
            let role = match step.dropped {
                0 => Role::Plain,
                _ => Role::Warning,
            };
            table.row(vec![
                Cell::plain(name),
                Cell::plain(format_rate(step.rate_per_sec)),
                Cell::of(role, format_count(step.dropped)),
                time(step.lateness, |spread| spread.p50_ns),
                time(step.lateness, |spread| spread.p99_ns),
                time(step.lateness, |spread| spread.max_ns),
            ]);
        }
    }
    page.table(table);
}

fn notes(page: &mut Page, report: &CalibrationReport) {
    for notice in &report.notices {
        page.gap();
        page.labelled_text("notice", Role::Warning, notice);
    }
    for advice in &report.advice {
        page.gap();
        page.labelled_text("advice", Role::Plain, &advice.text);
    }
}

fn time(spread: Option<Percentiles>, of: impl Fn(Percentiles) -> u64) -> Cell {
    Cell::plain(ns_text(spread.map(of)))
}
