//! What the live line says: most telling first, since its end may be cut.

use std::time::Duration;

use crate::outcome::{BreakingPoint, Phase, Progress, RunStart};
use crate::terminal::{Line, Role};
use crate::units::{format_count, format_duration, format_latency, format_rate, plural};

/// What ends the run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Limits {
    /// How long it lasts, if time ends it.
    pub(super) duration: Option<Duration>,
    /// After how many iterations, if they end it.
    pub(super) iterations: Option<u64>,
    /// Whether an iteration may be several calls.
    pub(super) has_flows: bool,
}

/// `notice: …`.
pub(super) fn notice_line(text: &str) -> Line {
    Line::of(Role::Warning, "notice: ").add(Role::Plain, text)
}

/// `12s  listing tools: 12 pages, 3,400 tools`.
pub(super) fn preparing_line(elapsed: Duration, what: &str) -> Line {
    let elapsed = Duration::from_secs(elapsed.as_secs());
    Line::of(Role::Strong, format_duration(elapsed)).add(Role::Dim, format!("  {what}"))
}

/// `3s  asking http://… (timeout 15s)`.
pub(super) fn asking_line(elapsed: Duration, url: &str, timeout: Duration) -> Line {
    let timeout = format_duration(timeout);
    preparing_line(elapsed, &format!("asking {url} (timeout {timeout})"))
}

/// `testing http://… : demo 0.1.0, MCP 2025-11-25 (legacy)`.
pub(super) fn start_line(start: &RunStart) -> Line {
    let server = start.server();
    let mut line = Line::of(Role::Dim, "testing ").add(Role::Accent, &server.url);
    if let Some(name) = &server.name {
        let version = server.version.as_deref().unwrap_or_default();
        line = line.add(Role::Dim, format!(", {name} {version}").trim_end());
    }
    let spoken = format!(", MCP {} ({})", server.revision, server.era);
    line.add(Role::Dim, spoken)
}

/// `12s, 18s left  3 errors  50 VUs  1,420/s  p99 1.20 ms  most errors http.503`.
pub(super) fn progress_line(progress: &Progress<'_>, limits: Limits) -> Line {
    // What is wrong stands before what is usual: a narrow terminal has no room for all.
    let mut line = Line::of(Role::Strong, elapsed(progress, limits));
    line = line.join(errors(progress)).join(warnings(progress));
    line = line.join(phase(progress));
    line = line.add(Role::Plain, format!("  {}", users(progress)));
    line = line.add(Role::Accent, format!("  {}", format_rate(progress.rate)));
    if limits.has_flows && limits.iterations.is_none() {
        let iterations = plural(progress.iterations, "iteration", "iterations");
        line = line.add(Role::Plain, format!("  {iterations}"));
    }
    let p99 = match progress.latency.quantile_ns(0.99) {
        Some(ns) => format!("  p99 {}", format_latency(ns)),
        None => "  p99 -".to_string(),
    };
    line = line.add(Role::Plain, p99);
    match progress.failures.first().filter(|_| progress.failed > 0) {
        Some((failure, _)) => line.add(Role::Error, format!("  most errors {failure}")),
        None => line,
    }
}

/// Which part of the run it is, where that is worth a word.
pub(super) fn phase(progress: &Progress<'_>) -> Line {
    match progress.phase {
        Phase::WarmUp => Line::of(Role::Warning, "  warm-up"),
        Phase::Running {
            stage: Some((index, n)),
        } => {
            let stage = format!("  stage {} of {n}", index.saturating_add(1));
            Line::of(Role::Dim, stage)
        }
        Phase::Running { stage: None } => Line::new(),
        Phase::Stopping => Line::of(
            Role::Warning,
            format!(
                "  stopping, {} in flight, Ctrl-C ends at once",
                format_count(progress.in_flight)
            ),
        ),
    }
}

/// What the user has to know of while it happens.
pub(super) fn warnings(progress: &Progress<'_>) -> Line {
    let mut line = Line::new();
    if progress.counters.arrivals_dropped > 0 {
        let dropped = format_count(progress.counters.arrivals_dropped);
        line = line.add(Role::Warning, format!("  {dropped} dropped"));
    }
    if progress.generator_limit.is_some() {
        line = line.add(Role::Warning, "  generator limited");
    }
    match progress.breaking_point {
        Some(point) => line.add(Role::Warning, broke(point)),
        None => line,
    }
}

/// Elapsed and remaining, in time or iterations or both.
pub(super) fn elapsed(progress: &Progress<'_>, limits: Limits) -> String {
    let whole = |duration: Duration| format_duration(Duration::from_secs(duration.as_secs()));
    let mut text = whole(progress.elapsed);
    if let Some(duration) = limits.duration {
        // Rounded up, so that it says 0 only when nothing is left.
        let left = duration.saturating_sub(progress.elapsed);
        let left = left.saturating_add(Duration::from_nanos(999_999_999));
        text += &format!(", {} left", whole(left));
    }
    if let Some(iterations) = limits.iterations {
        let done = format_count(progress.iterations);
        text += &format!("  {done} of {}", format_count(iterations));
    }
    text
}

pub(super) fn users(progress: &Progress<'_>) -> String {
    let vus = plural(u64::from(progress.vus), "VU", "VUs");
    if progress.vus_ready < progress.vus && progress.phase != Phase::Stopping {
        format!("{vus} ({} ready)", progress.vus_ready)
    } else {
        vus
    }
}

fn errors(progress: &Progress<'_>) -> Line {
    let Some((failure, count)) = progress.failures.first().filter(|(_, n)| *n > 0) else {
        return Line::new();
    };
    // Handshakes fail too and are no calls: then the cause alone is named.
    if progress.failed == 0 {
        return Line::of(Role::Error, format!("  {failure} {}", format_count(*count)));
    }
    let errors = plural(progress.failed, "error", "errors");
    Line::of(Role::Error, format!("  {errors}"))
}

fn broke(point: &BreakingPoint) -> String {
    match point.load {
        Some(load) => format!("  broke at {}", format_count(load.round() as u64)),
        None => format!("  broke after {}", format_duration(whole_secs(point.at))),
    }
}

fn whole_secs(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}
