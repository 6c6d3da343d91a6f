//! The panel: how far a run is, its last minute as small bars, the operations that take
//! longest, and why calls fail.
//!
//! Pure: progress and a size in, lines out. What finds no room is counted. Names are
//! measured and cut by the columns that they take (`report/table.rs`).

use std::collections::VecDeque;

use super::line::{Limits, elapsed, phase, users, warnings};
use crate::outcome::{Progress, Row, RowStats, with_population};
use crate::report::page::ns_text;
use crate::report::table::{Cell, Table};
use crate::terminal::{Align, Drawing, Layout, Line, Role, pad, plain_names};
use crate::units::{format_count, format_latency, format_percent, format_rate, plural};

/// A smaller screen has a line.
const COLUMNS_MIN: usize = 60;
const ROWS_MIN: usize = 15;

/// A terminal that is made narrower may break rows that are longer than it is then, and push
/// others off the screen: nobody could take the panel's away from there. So it has half of the
/// columns, since a terminal that is split (tmux: `Ctrl-b %`) loses the other half at once.
const PART_OF_COLUMNS: usize = 2;

/// As many as the smallest screen holds: fewer would not show operations and causes of
/// failure. More than the other are too much to read.
const LINES_MIN: usize = ROWS_MIN - 1;
const LINES_MAX: usize = 40;

/// Wider, the figures would stand too far from their names to be read together.
const COLUMNS_MAX: usize = 110;

/// Seconds that the small bars show.
const SECONDS_SHOWN: usize = 60;

/// Columns of the longest progress bar.
const BAR_WIDTH_MAX: usize = 40;

/// Columns of names and values before the small bars.
const NAME_WIDTH: usize = 8;
const VALUE_WIDTH: usize = 9;

/// Causes of failure that have a line of their own where there is little room.
const CAUSES_SHOWN: usize = 3;

/// What happened in a second.
#[derive(Debug, Clone, Copy)]
struct PastSecond {
    /// From the start of the load.
    second: u64,
    rate: f64,
    p50_ns: Option<u64>,
    p99_ns: Option<u64>,
    failed: u64,
}

/// What the panel remembers: the last minute.
#[derive(Debug, Default)]
pub(super) struct Panel {
    last: VecDeque<PastSecond>,
    /// The second that was noted last, from the start of the load.
    second: u64,
    /// The failures by then.
    failed: u64,
    /// What is below the head as it was laid out, in which second and for which screen: the
    /// percentiles of the tables take most of the work, nobody reads them four times a
    /// second, and all the counts have to be of one moment.
    below: Option<((u64, Layout), Vec<Line>)>,
}

impl Panel {
    /// Whether the screen is large enough.
    pub(super) fn has_room(layout: Layout) -> bool {
        let is_large = |n: Option<usize>, least| n.is_some_and(|n| n >= least);
        is_large(layout.columns, COLUMNS_MIN) && is_large(layout.rows, ROWS_MIN)
    }

    /// Notes each second once.
    pub(super) fn note(&mut self, progress: &Progress<'_>) {
        let second = progress.elapsed.as_secs();
        if second <= self.second {
            return;
        }
        self.second = second;
        // The warm-up's failures are forgotten with it.
        let failed = progress.failed.saturating_sub(self.failed);
        self.failed = progress.failed;
        if self.last.len() == SECONDS_SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(PastSecond {
            second,
            rate: progress.rate,
            p50_ns: progress.latency.quantile_ns(0.5),
            p99_ns: progress.latency.quantile_ns(0.99),
            failed,
        });
    }

    /// The lines, which take two thirds of the screen's rows at most, and half of its columns,
    /// but for small screens.
    pub(super) fn lines(
        &mut self,
        progress: &Progress<'_>,
        limits: Limits,
        layout: Layout,
    ) -> Vec<Line> {
        let columns = layout.columns.unwrap_or(COLUMNS_MIN).saturating_sub(1);
        let columns = (columns / PART_OF_COLUMNS).clamp(COLUMNS_MIN - 1, COLUMNS_MAX);
        let mut lines = vec![head(progress, limits, columns, layout.drawing)];
        let key = (progress.elapsed.as_secs(), layout);
        if let Some((known, below)) = &self.below
            && *known == key
        {
            lines.extend_from_slice(below);
            return lines;
        }
        lines.push(state(progress, limits));
        lines.extend(self.sparks(progress, columns, layout.drawing));
        // Rows of others above it are pushed off the screen before it is, and what the user has
        // seen stays in sight.
        let lines_max = layout.rows.unwrap_or(ROWS_MIN) / 3 * 2;
        let lines_max = lines_max.clamp(LINES_MIN, LINES_MAX);
        let room = lines_max.saturating_sub(lines.len());
        let tables = tables(progress, room, columns, layout.drawing);
        // The first call of the first second is shown soon.
        let is_lasting = !tables.is_empty();
        lines.extend(tables);
        self.below = is_lasting.then(|| (key, lines[1..].to_vec()));
        lines
    }

    /// The last minute: a row each for rate, latency and failures.
    fn sparks(&self, progress: &Progress<'_>, columns: usize, drawing: Drawing) -> Vec<Line> {
        let room = columns.saturating_sub(NAME_WIDTH + VALUE_WIDTH + 2);
        let n_seconds = SECONDS_SHOWN.div_ceil(room.max(1));
        let bars = |of: fn(&PastSecond) -> Option<f64>| self.bars(n_seconds, of);
        let row = |name: &str, value: &str, role, values: Vec<Option<f64>>, least: f64| {
            let most = values.iter().flatten().copied().fold(least, f64::max);
            Line::of(Role::Dim, pad(name, NAME_WIDTH, Align::Left))
                .add(Role::Strong, pad(value, VALUE_WIDTH, Align::Right))
                .add(Role::Plain, "  ")
                .add(role, drawing.spark(&values, most))
        };
        let latency = |name, q, role, of| {
            let value = progress.latency.quantile_ns(q);
            let value = value.map_or("-".to_string(), format_latency);
            row(name, &value, role, bars(of), 0.0)
        };
        let failed = bars(|moment| Some(moment.failed as f64));
        vec![
            row(
                "rate",
                &format_rate(progress.rate),
                Role::Accent,
                bars(|moment| Some(moment.rate)),
                0.0,
            ),
            // As the curves of the summary are.
            latency("p50", 0.5, Role::Plain, |moment| {
                moment.p50_ns.map(|ns| ns as f64)
            }),
            latency("p99", 0.99, Role::Accent, |moment| {
                moment.p99_ns.map(|ns| ns as f64)
            }),
            // A single one is a small bar.
            row(
                "errors",
                &format_count(progress.failed),
                Role::Error,
                failed,
                4.0,
            ),
        ]
    }

    /// A bar for each `n_seconds`, which is as high as the highest of them. Each second stays
    /// with the same others while time goes on.
    fn bars(&self, n_seconds: usize, of: impl Fn(&PastSecond) -> Option<f64>) -> Vec<Option<f64>> {
        let mut bars: Vec<(u64, Option<f64>)> = Vec::new();
        for past in &self.last {
            let place = past.second / n_seconds as u64;
            match bars.last_mut() {
                Some((known, bar)) if *known == place => {
                    *bar = [*bar, of(past)].into_iter().flatten().reduce(f64::max);
                }
                _ => bars.push((place, of(past))),
            }
        }
        bars.into_iter().map(|(_, bar)| bar).collect()
    }
}

/// How far it is.
fn head(progress: &Progress<'_>, limits: Limits, columns: usize, drawing: Drawing) -> Line {
    let elapsed = elapsed(progress, limits);
    let phase = phase(progress);
    let line = Line::of(Role::Strong, &elapsed);
    let Some(share) = share_done(progress, limits) else {
        return line.join(phase);
    };
    let percent = format!("{:>5}", format!("{:.0}%", share * 100.0));
    let beside = line.width() + phase.width() + percent.len() + 2;
    let width = columns.saturating_sub(beside).min(BAR_WIDTH_MAX);
    let bar = drawing.bar(share, width);
    let rest = match drawing {
        Drawing::Unicode => "░",
        Drawing::Ascii => ".",
    };
    let rest = rest.repeat(width.saturating_sub(bar.chars().count()));
    line.add(Role::Plain, "  ")
        .add(Role::Accent, bar)
        .add(Role::Dim, rest)
        .add(Role::Plain, percent)
        .join(phase)
}

/// What is done of the run, by time or by iterations, whichever ends it first.
fn share_done(progress: &Progress<'_>, limits: Limits) -> Option<f64> {
    let by_time = limits.duration.filter(|whole| !whole.is_zero());
    let by_time = by_time.map(|whole| progress.elapsed.as_secs_f64() / whole.as_secs_f64());
    let by_number = limits.iterations.filter(|whole| *whole > 0);
    let by_number = by_number.map(|whole| progress.iterations as f64 / whole as f64);
    let share = by_time.into_iter().chain(by_number).reduce(f64::max);
    share.map(|share| share.min(1.0))
}

/// Users, calls in flight, and what the user has to know of.
fn state(progress: &Progress<'_>, limits: Limits) -> Line {
    let in_flight = format_count(progress.in_flight);
    let mut words = format!("{}  {in_flight} in flight", users(progress));
    let ended = progress.ok.saturating_add(progress.failed);
    words += &format!("  {}", plural(ended, "call", "calls"));
    if limits.has_flows && limits.iterations.is_none() {
        let iterations = plural(progress.iterations, "iteration", "iterations");
        words += &format!("  {iterations}");
    }
    // Sessions that could not be opened are no calls, and the reason why there are none.
    Line::of(Role::Plain, words).join(warnings(progress))
}

/// The operations that take longest, and why calls fail, in `room` lines.
fn tables(progress: &Progress<'_>, mut room: usize, columns: usize, drawing: Drawing) -> Vec<Line> {
    let mut lines = Vec::new();
    let operations: Vec<_> = {
        let rows = progress.rows.in_totals();
        rows.filter(|(_, stats)| stats.started > 0).collect()
    };
    let n_causes = match room {
        // The headings of both, and as much for operations.
        0..12 => progress.failures.len().min(CAUSES_SHOWN),
        _ => progress.failures.len().min(room / 2 - 2),
    };
    let taken = |n: usize| n + usize::from(n > 0);
    // Blank lines between the blocks, where there is room for them.
    let is_loose = room >= taken(n_causes) + taken(operations.len().min(3)) + 2;
    let gap = |lines: &mut Vec<Line>, room: &mut usize| {
        if is_loose {
            lines.push(Line::new());
            *room = room.saturating_sub(1);
        }
    };
    if !operations.is_empty() {
        gap(&mut lines, &mut room);
        let gap_below = usize::from(is_loose && n_causes > 0);
        let own = room.saturating_sub(taken(n_causes) + gap_below);
        let block = slowest(operations, own, columns, drawing);
        room = room.saturating_sub(block.len());
        lines.extend(block);
    }
    if n_causes > 0 {
        gap(&mut lines, &mut room);
        lines.extend(causes(progress, room, columns, drawing));
    }
    lines
}

/// The operations that take longest, by their mean, which costs nothing to know.
fn slowest(
    mut operations: Vec<(&Row, &RowStats)>,
    n_lines: usize,
    columns: usize,
    drawing: Drawing,
) -> Vec<Line> {
    let mean = |stats: &RowStats| stats.measured(true).histogram().mean_ns().unwrap_or(0.0);
    operations.sort_by(|(_, a), (_, b)| f64::total_cmp(&mean(b), &mean(a)));
    let headings = [
        "slowest operations",
        "calls",
        "errors",
        "mean",
        "p50",
        "p99",
    ];
    let mut table = Table::new(&headings).dispensable(&[4, 2, 1]);
    let (shown, n_more) = split(&operations, n_lines);
    let labels: Vec<String> = shown.iter().map(|(row, _)| short_label(row)).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    for ((_, stats), label) in shown.iter().zip(plain_names(&labels)) {
        let latency = stats.measured(true).histogram();
        let ended = stats.finished();
        let errors = match (ended, stats.failed) {
            (0, _) => Cell::plain("-"),
            (_, 0) => Cell::plain("0%"),
            (ended, failed) => Cell::of(Role::Error, format_percent(failed as f64 / ended as f64)),
        };
        // A cast from a float saturates.
        let mean_ns = latency.mean_ns().map(|ns| ns as u64);
        table.row(vec![
            Cell::of(Role::Accent, format!("  {label}")),
            Cell::plain(format_count(ended)),
            errors,
            Cell::plain(ns_text(mean_ns)),
            Cell::plain(ns_text(latency.quantile_ns(0.5))),
            Cell::plain(ns_text(latency.quantile_ns(0.99))),
        ]);
    }
    laid_out(table, n_more, columns, drawing)
}

/// What the row is called, without what most have in common: there is little room.
fn short_label(row: &Row) -> String {
    let name = row.name.as_ref().or(row.subject.as_ref());
    let name = name.unwrap_or(&row.method).clone();
    let name = match &row.flow {
        Some(flow) => format!("{flow}: {name}"),
        None => name,
    };
    with_population(name, row.population.as_deref())
}

/// Why calls and handshakes failed, most often first.
fn causes(progress: &Progress<'_>, n_lines: usize, columns: usize, drawing: Drawing) -> Vec<Line> {
    let mut table = Table::new(&["failures by cause", "count"]);
    let (shown, n_more) = split(progress.failures, n_lines);
    for (failure, count) in shown {
        let name = Cell::of(Role::Error, format!("  {failure}"));
        table.row(vec![name, Cell::plain(format_count(*count))]);
    }
    laid_out(table, n_more, columns, drawing)
}

/// Those that so many lines hold below a heading, and how many more there are, which takes
/// a line too.
fn split<T>(all: &[T], n_lines: usize) -> (&[T], usize) {
    let room = n_lines.saturating_sub(1);
    match all.len() <= room {
        true => (all, 0),
        false => {
            let shown = &all[..room.saturating_sub(1)];
            (shown, all.len() - shown.len())
        }
    }
}

fn laid_out(mut table: Table, n_more: usize, columns: usize, drawing: Drawing) -> Vec<Line> {
    if n_more > 0 {
        let words = format!("  and {} more", format_count(n_more as u64));
        table.row(vec![Cell::of(Role::Dim, words)]);
    }
    table.into_lines(Some(columns), drawing).0
}
