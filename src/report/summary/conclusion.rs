//! The summary in a line: whether the run passes, what the server did, and whether that
//! is to be believed.

use super::{head, thresholds, verdict};
use crate::outcome::Ended;
use crate::report::model::Report;
use crate::report::page::{P99_NEEDS, percentile_text, rate_text};
use crate::terminal::{Line, Role};
use crate::units::{part_of, plural};

/// `1,745 calls/s, p99 13.0 ms, no failures; valid`, and what a run was judged by before
/// it.
pub(in crate::report) fn conclusion(report: &Report) -> Line {
    let line = match thresholds::result(report) {
        Some(result) => result.add(Role::Plain, "; "),
        None => Line::new(),
    };
    // Of a run that is judged, the result names it.
    let is_told = report.gate.why.is_some();
    let line = match report.run.ended {
        Ended::Interrupted if !is_told => line.add(Role::Warning, "interrupted: "),
        Ended::NoSession if !is_told => line.add(Role::Error, "no session lasted: "),
        Ended::Denied if !is_told => line.add(Role::Error, "the server let nobody in: "),
        _ => line,
    };
    let (word, role) = verdict::shown(report.verdict.grade);
    line.join(figures(report))
        .join(unanswered(report))
        .add(Role::Plain, "; ")
        .add(role, word)
}

/// `, 5 calls without an answer: with them p99 is at least 3.00 s`, where they do so much.
fn unanswered(report: &Report) -> Line {
    match head::p99_at_least(report) {
        Some(least) => {
            let calls = plural(report.totals.cancelled, "call", "calls");
            let words = format!("{calls} without an answer: {least}");
            Line::of(Role::Plain, ", ").add(Role::Warning, words)
        }
        None => Line::new(),
    }
}

/// `1,745 calls/s, p99 13.0 ms, 21 of 6,982 calls failed`.
fn figures(report: &Report) -> Line {
    let totals = &report.totals;
    let ended = totals.ended();
    if ended == 0 {
        return Line::of(Role::Error, "no call ended");
    }
    let rate = rate_text(totals.rate_per_sec);
    let (p99, _) = percentile_text(&totals.latency, totals.latency.p99_ms, P99_NEEDS);
    let line = Line::of(Role::Strong, rate.replace("/s", " calls/s"));
    let line = match totals.ok {
        0 => line,
        _ => line.add(Role::Plain, ", p99 ").add(Role::Strong, p99),
    };
    match totals.failed {
        // What came on a stream, which is no call, may have been another user's.
        0 if report.isolation.as_ref().is_some_and(|it| it.foreign > 0) => {
            line.add(Role::Plain, ", no failed calls")
        }
        0 => line
            .add(Role::Plain, ", ")
            .add(Role::Success, "no failures"),
        1 if ended == 1 => line
            .add(Role::Plain, ", ")
            .add(Role::Error, "the only call failed"),
        failed if failed == ended => {
            let calls = plural(ended, "call", "calls");
            line.add(Role::Plain, ", ")
                .add(Role::Error, format!("all {calls} failed"))
        }
        failed => {
            let words = format!("{} failed", part_of(failed, ended, "call", "calls"));
            line.add(Role::Plain, ", ").add(Role::Error, words)
        }
    }
}
