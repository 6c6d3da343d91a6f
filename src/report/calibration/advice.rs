//! What the figures themselves say of how they could be better, or of how far
//! they can be trusted.

use super::model::{DISTURBED_SHARE, ModeFigures};
use crate::outcome::ClosedStep;
use crate::report::model::AdviceNote;
use crate::units::{format_latency, format_percent, format_rate};

/// Less than this factor is not worth a CPU.
const PAYS_FACTOR: f64 = 2.0;

/// From this share on, a thread counts as the limit.
const BUSY_SHARE: f64 = 0.9;

/// What applies. With a single CPU nothing is said of busy-polling, which would
/// starve the server, and it is the server that the worker waits for.
pub(super) fn on_figures(
    normal: &ModeFigures,
    busy: &ModeFigures,
    disturbed_share: Option<f64>,
    n_cpus: usize,
) -> Vec<AdviceNote> {
    let has_several_cpus = n_cpus > 1;
    let found = [
        calls_failed(normal, busy),
        disturbed_share
            .filter(|_| has_several_cpus)
            .and_then(disturbed),
        server_limited(normal),
        busy_poll_pays(normal, busy).filter(|_| has_several_cpus),
    ];
    found.into_iter().flatten().collect()
}

/// Something else had the worker's CPU for this share of the worst step.
fn disturbed(share: f64) -> Option<AdviceNote> {
    (share >= DISTURBED_SHARE).then(|| {
        let text = format!(
            "for up to {} of a step the worker could have run and something else had its CPU: \
             rates are too low and latencies too high; stop what else runs (`top`), and \
             calibrate again",
            format_percent((share.min(1.0) * 100.0).round() / 100.0)
        );
        AdviceNote::new("disturbed", text)
    })
}

/// Busy-polling keeps the schedule much more exactly.
fn busy_poll_pays(normal: &ModeFigures, busy: &ModeFigures) -> Option<AdviceNote> {
    let (normal_ns, busy_ns) = (normal.lateness?.p99_ns, busy.lateness?.p99_ns);
    (normal_ns as f64 > PAYS_FACTOR * busy_ns as f64).then(|| {
        let text = format!(
            "a schedule is kept within {} with `--busy-poll` and within {} without (p99): on a \
             host with a CPU to spare for each worker, `cargo pmcp loadtest run --busy-poll …` \
             is worth it",
            format_latency(busy_ns),
            format_latency(normal_ns)
        );
        AdviceNote::new("busy_poll_pays", text)
    })
}

/// In the step with the highest rate the server was busier than the generator.
fn server_limited(mode: &ModeFigures) -> Option<AdviceNote> {
    let fastest = mode
        .closed
        .iter()
        .max_by(|a, b| a.calls_per_sec.total_cmp(&b.calls_per_sec))?;
    let (server, generator) = (fastest.server_cpu_share?, fastest.worker_busy_share?);
    (server > BUSY_SHARE && generator < BUSY_SHARE).then(|| {
        let text = format!(
            "at {} the canned server was busy for {} of the time, and more so than the \
             generator: one worker can do at least that, and probably more",
            format_rate(fastest.calls_per_sec),
            format_percent(server)
        );
        AdviceNote::new("server_limited", text)
    })
}

/// Calls failed: those of the worst step.
fn calls_failed(normal: &ModeFigures, busy: &ModeFigures) -> Option<AdviceNote> {
    let steps = normal.closed.iter().chain(&busy.closed);
    let share = |step: &ClosedStep| step.failed as f64 / (step.ok + step.failed) as f64;
    let worst = steps
        .filter(|step| step.failed > 0)
        .max_by(|a, b| share(a).total_cmp(&share(b)))?;
    let text = format!(
        "{} of the calls at {} virtual users failed, although the canned server refuses \
         none: this host has too few of something; see the limits of `ulimit -n` and \
         `sysctl net.ipv4.ip_local_port_range`, and calibrate with fewer: `--vus 1,64`",
        format_percent(share(worst)),
        worst.vus
    );
    Some(AdviceNote::new("calls_failed", text))
}
