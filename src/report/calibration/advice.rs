//! What the figures themselves say of how they could be better, or of how far
//! they can be trusted.

use super::model::{DISTURBED_SHARE, ModeFigures};
use crate::outcome::ClosedStep;
use crate::units::{format_latency, format_percent, format_rate};

/// Something that the figures say.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FigureAdvice {
    /// Something else had the worker's CPU.
    Disturbed {
        /// For this share of the worst step.
        share: f64,
    },
    /// Busy-polling keeps the schedule much more exactly.
    BusyPollPays {
        /// 99th percentile of the lateness, sleeping.
        normal_ns: u64,
        /// The same, spinning.
        busy_ns: u64,
    },
    /// At the highest rate the server was busier than the generator.
    ServerLimited {
        /// The share of its CPU that the server used.
        server_share: f64,
        /// That rate.
        rate: f64,
    },
    /// Calls failed.
    CallsFailed {
        /// Virtual users of the worst step.
        vus: u32,
        /// The share of its calls that failed.
        share: f64,
    },
}

/// Less than this factor is not worth a CPU.
const PAYS_FACTOR: f64 = 2.0;

/// So busy, a thread is taken for the limit.
const BUSY_SHARE: f64 = 0.9;

/// What applies. With a single CPU nothing is said of busy-polling, which would
/// starve the server, and it is the server that the worker waits for.
pub(super) fn on_figures(
    normal: &ModeFigures,
    busy: &ModeFigures,
    disturbed_share: Option<f64>,
    n_cpus: usize,
) -> Vec<FigureAdvice> {
    let disturbed = disturbed_share
        .filter(|share| *share >= DISTURBED_SHARE && n_cpus > 1)
        .map(|share| FigureAdvice::Disturbed { share });
    let pays = || {
        let (normal_ns, busy_ns) = (normal.lateness?.p99_ns, busy.lateness?.p99_ns);
        let pays = normal_ns as f64 > PAYS_FACTOR * busy_ns as f64;
        (pays && n_cpus > 1).then_some(FigureAdvice::BusyPollPays { normal_ns, busy_ns })
    };
    let failed = || {
        let steps = normal.closed.iter().chain(&busy.closed);
        let share = |step: &ClosedStep| step.failed as f64 / (step.ok + step.failed) as f64;
        let worst = steps
            .filter(|step| step.failed > 0)
            .max_by(|a, b| share(a).total_cmp(&share(b)))?;
        Some(FigureAdvice::CallsFailed {
            vus: worst.vus,
            share: share(worst),
        })
    };
    let found = [failed(), disturbed, server_limited(normal), pays()];
    found.into_iter().flatten().collect()
}

/// Of the step with the highest rate.
fn server_limited(mode: &ModeFigures) -> Option<FigureAdvice> {
    let fastest = mode
        .closed
        .iter()
        .max_by(|a, b| a.calls_per_sec.total_cmp(&b.calls_per_sec))?;
    let (server, generator) = (fastest.server_cpu_share?, fastest.worker_busy_share?);
    (server > BUSY_SHARE && generator < BUSY_SHARE).then_some(FigureAdvice::ServerLimited {
        server_share: server,
        rate: fastest.calls_per_sec,
    })
}

impl FigureAdvice {
    /// Its stable name.
    pub(super) fn id(&self) -> &'static str {
        match self {
            Self::Disturbed { .. } => "disturbed",
            Self::BusyPollPays { .. } => "busy_poll_pays",
            Self::ServerLimited { .. } => "server_limited",
            Self::CallsFailed { .. } => "calls_failed",
        }
    }

    /// What was seen, and what to do.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Disturbed { share } => format!(
                "for up to {} of a step the worker could have run and something else had its CPU: \
                 rates are too low and latencies too high; stop what else runs (`top`), and \
                 calibrate again",
                format_percent((share.min(1.0) * 100.0).round() / 100.0)
            ),
            Self::BusyPollPays { normal_ns, busy_ns } => format!(
                "a schedule is kept within {} with `--busy-poll` and within {} without (p99): on a \
                 host with a CPU to spare for each worker, `cargo pmcp loadtest run --busy-poll …` \
                 is worth it",
                format_latency(*busy_ns),
                format_latency(*normal_ns)
            ),
            Self::ServerLimited { server_share, rate } => format!(
                "at {} the canned server was busy for {} of the time, and more so than the \
                 generator: one worker can do at least that, and probably more",
                format_rate(*rate),
                format_percent(*server_share)
            ),
            Self::CallsFailed { vus, share } => format!(
                "{} of the calls at {vus} virtual users failed, although the canned server refuses \
                 none: this host has too few of something; see the limits of `ulimit -n` and \
                 `sysctl net.ipv4.ip_local_port_range`, and calibrate with fewer: `--vus 1,64`",
                format_percent(*share)
            ),
        }
    }
}
