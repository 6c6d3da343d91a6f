//! A calibration for the tests of this module.

use std::time::Duration;

use super::{CalibrationReport, build_calibration};
use crate::clock::Utc;
use crate::host::{CpuFacts, HostFacts};
use crate::outcome::{
    CalibrationEnded, CalibrationOptions, CalibrationOutcome, ClosedStep, OpenStep, Percentiles,
};
use crate::report::BuildInfo;

pub(super) fn spread(p50_us: u64, p99_us: u64) -> Percentiles {
    Percentiles {
        count: 20_000,
        p50_ns: p50_us * 1_000,
        p99_ns: p99_us * 1_000,
        p99_9_ns: p99_us * 2_000,
        max_ns: p99_us * 10_000,
    }
}

fn closed(vus: u32, busy_poll: bool, calls_per_sec: f64, latency: Percentiles) -> ClosedStep {
    ClosedStep {
        vus,
        busy_poll,
        ok: 2 * calls_per_sec as u64,
        failed: 0,
        calls_per_sec,
        cpu_ns_per_call: (!busy_poll).then_some(19_300.0),
        worker_busy_share: Some(0.984),
        server_cpu_share: Some(0.41),
        disturbed_share: Some(0.001),
        latency: Some(latency),
        generator_delay: Some(spread(4, 30)),
    }
}

fn open(rate_per_sec: f64, busy_poll: bool, lateness: Percentiles) -> OpenStep {
    OpenStep {
        rate_per_sec,
        busy_poll,
        ok: 2 * rate_per_sec as u64,
        failed: 0,
        dropped: 0,
        disturbed_share: None,
        lateness: Some(lateness),
    }
}

/// Two numbers of users and two rates in both modes, on a virtual machine with
/// two CPUs.
pub(super) fn outcome() -> CalibrationOutcome {
    let cpu = |id| CpuFacts {
        id,
        core_threads: Some(vec![id]),
        ..CpuFacts::default()
    };
    CalibrationOutcome {
        options: CalibrationOptions {
            vus: vec![1, 64],
            step: Duration::from_secs(2),
        },
        at: Utc::from_unix_ms(1_795_437_667_250),
        elapsed: Duration::from_millis(20_512),
        host: HostFacts {
            cpu_model: Some("Fast CPU".to_string()),
            n_cpus: Some(2),
            kernel: Some("Linux 6.1".to_string()),
            is_virtual: Some(true),
            cpus: vec![cpu(0), cpu(1)],
            ..HostFacts::default()
        },
        allowed_cpus: vec![0, 1],
        quota_millicpus: None,
        worker_cpu: Some(1),
        server_cpu: Some(0),
        kernel_timestamps: true,
        closed: vec![
            closed(1, false, 12_000.0, spread(40, 90)),
            closed(64, false, 51_200.0, spread(1_100, 2_400)),
            closed(1, true, 21_000.0, spread(30, 55)),
            closed(64, true, 50_900.0, spread(1_090, 2_300)),
        ],
        open: vec![
            open(1_000.0, false, spread(52, 180)),
            open(10_000.0, false, spread(7, 116)),
            open(1_000.0, true, spread(6, 29)),
            open(10_000.0, true, spread(4, 22)),
        ],
        ended: CalibrationEnded::Complete,
        notices: Vec::new(),
    }
}

pub(super) fn report_of(outcome: &CalibrationOutcome) -> CalibrationReport {
    let info = BuildInfo {
        version: "1.2.3".to_string(),
        command_line: vec!["cargo-pmcp".to_string()],
        finished_at: Utc::from_unix_ms(1_795_437_687_762),
    };
    build_calibration(outcome, &info)
}

pub(in crate::report) fn report() -> CalibrationReport {
    report_of(&outcome())
}
