//! Load against rate and latency, as bars of blocks.

use super::model::{FindReport, TrialFigures, TrialVerdict};
use super::words;
use crate::report::page::ns_text;
use crate::terminal::{Align, Drawing, Line, Role, pad};
use crate::units::{format_rate, ms};

/// Latencies further above the limit than this do not flatten the others.
const LIMITS_SHOWN: f64 = 4.0;

const VALUE_WIDTH: usize = 8;
const GAPS: usize = 4;

/// What a file or a pipe is laid out for.
const COLUMNS: usize = 80;

/// Both bars together on a wide terminal, and in files and pipes.
const BARS_WIDTH_MAX: usize = 56;

/// Shorter ones tell nothing.
const BARS_WIDTH_MIN: usize = 8;

/// One line for each level that was held, ascending, at most as wide as the
/// terminal; none where that is too narrow for bars, which say nothing that the
/// table above does not. Each level shows its last trial.
pub(super) fn plot(report: &FindReport, columns: Option<usize>, drawing: Drawing) -> Vec<Line> {
    let trials = by_level(&report.trials);
    if trials.len() < 2 {
        return Vec::new();
    }
    let names: Vec<String> = trials
        .iter()
        .map(|trial| words::level(report.search.by, trial.level))
        .collect();
    let name_width = names.iter().map(String::len).max().unwrap_or(0).max(4);
    let room = columns
        .unwrap_or(COLUMNS)
        .saturating_sub(name_width + 2 * VALUE_WIDTH + 2 * GAPS);
    if room < BARS_WIDTH_MIN {
        return Vec::new();
    }
    let bar_width = room.min(BARS_WIDTH_MAX) / 2;
    let rate_max = trials.iter().map(|trial| trial.rate_per_sec);
    let rate_max = rate_max.fold(0.0, f64::max);
    let p99_max = trials.iter().filter_map(|trial| trial.p99_ns.map(ms));
    let p99_max = p99_max.fold(0.0, f64::max);
    let limits = report.search.latency.iter().map(|limit| ms(limit.limit_ns));
    let scale = limits
        .reduce(f64::max)
        .map_or(p99_max, |limit| p99_max.min(limit * LIMITS_SHOWN));
    let bar = |value: f64, max: f64| match max > 0.0 {
        true => drawing.bar(value / max, bar_width),
        false => String::new(),
    };
    let column = VALUE_WIDTH + 1 + bar_width;
    let heading = format!(
        "{}  {}  p99",
        pad("load", name_width, Align::Left),
        pad("rate", column, Align::Left)
    );
    let mut lines = vec![Line::of(Role::Dim, heading)];
    for (trial, name) in trials.iter().zip(&names) {
        let role = match trial.verdict {
            TrialVerdict::Passed | TrialVerdict::Plausible => Role::Accent,
            TrialVerdict::Failed => Role::Error,
            _ => Role::Warning,
        };
        let p99 = ns_text(trial.p99_ns);
        let rate = pad(&format_rate(trial.rate_per_sec), VALUE_WIDTH, Align::Right);
        let p99_bar = bar(trial.p99_ns.map_or(0.0, ms), scale);
        lines.push(
            Line::of(Role::Plain, pad(name, name_width, Align::Right))
                .add(Role::Plain, format!("  {rate} "))
                .add(
                    Role::Accent,
                    pad(&bar(trial.rate_per_sec, rate_max), bar_width, Align::Left),
                )
                .add(
                    Role::Plain,
                    format!("  {} ", pad(&p99, VALUE_WIDTH, Align::Right)),
                )
                .add(role, p99_bar),
        );
    }
    lines
}

/// The last trial of each level, by level.
pub(in crate::report) fn by_level(trials: &[TrialFigures]) -> Vec<&TrialFigures> {
    let mut last: Vec<&TrialFigures> = Vec::new();
    for trial in trials.iter().filter(|trial| trial.requests > 0) {
        match last.iter_mut().find(|known| known.level == trial.level) {
            Some(known) => *known = trial,
            None => last.push(trial),
        }
    }
    last.sort_by(|a, b| f64::total_cmp(&a.level, &b.level));
    last
}
