//! Lines that are gathered, and how single figures look on them.

use super::table::{Cell, Table};
use crate::report::model::LatencyFigures;
use crate::terminal::{Drawing, Layout, Line, LongWords, Role, shorten, wrap};
use crate::units::{format_latency, format_rate, ns_of_ms};

/// Sentences are laid out for this much in files and pipes.
const SENTENCE_WIDTH: usize = 80;

/// Longer lines of sentences are harder to read.
const SENTENCE_WIDTH_MAX: usize = 100;

/// A narrower terminal breaks the lines by itself.
const WIDTH_MIN: usize = 20;

/// Columns of the labels on the left.
const LABEL_WIDTH: usize = 12;

/// Below this, too little is left beside the labels: texts stand under them.
const WIDTH_BESIDE_LABELS: usize = 40;

/// The summary while it grows.
pub(in crate::report) struct Page {
    lines: Vec<Line>,
    /// No line is wider. `None`: nothing is cut.
    columns: Option<usize>,
    /// Rows of the screen; `None`: everything is seen.
    rows: Option<usize>,
    drawing: Drawing,
    /// A percentile of too few calls has been shown.
    has_rough: bool,
    /// Tables with their columns for which there was no room.
    left_out: Vec<String>,
}

impl Page {
    pub(in crate::report) fn new(layout: Layout) -> Self {
        Self {
            lines: Vec::new(),
            columns: layout.columns.map(|columns| columns.max(WIDTH_MIN)),
            rows: layout.rows,
            drawing: layout.drawing,
            has_rough: false,
            left_out: Vec::new(),
        }
    }

    /// Columns of the terminal; `None` where nothing is cut.
    pub(in crate::report) fn columns(&self) -> Option<usize> {
        self.columns
    }

    /// The width that sentences are laid out for.
    pub(in crate::report) fn width(&self) -> usize {
        self.columns
            .unwrap_or(SENTENCE_WIDTH)
            .min(SENTENCE_WIDTH_MAX)
    }

    pub(in crate::report) fn drawing(&self) -> Drawing {
        self.drawing
    }

    pub(in crate::report) fn has_rough(&self) -> bool {
        self.has_rough
    }

    pub(in crate::report) fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// A line; one that is too long goes on below, a little further in.
    pub(in crate::report) fn push(&mut self, line: Line) {
        self.push_wrapped(line, 0);
    }

    /// The same, with what goes on below this far in.
    pub(in crate::report) fn push_wrapped(&mut self, line: Line, indent: usize) {
        let line = line.drawn(self.drawing);
        match self.columns {
            Some(columns) => self.lines.extend(line.wrap(columns, indent)),
            None => self.lines.push(line),
        }
    }

    /// A line that is never broken, for a path that the user copies.
    pub(in crate::report) fn push_whole(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// A table, as much of it as there is room for.
    pub(in crate::report) fn table(&mut self, table: Table) {
        let (lines, left_out) = table.into_lines(self.columns, self.drawing);
        for line in lines {
            let line = match self.columns {
                Some(columns) => line.cut(columns, self.drawing),
                None => line,
            };
            self.lines.push(line);
        }
        left_out.into_iter().for_each(|what| self.leave_out(what));
    }

    /// Notes that something found no room.
    pub(in crate::report) fn leave_out(&mut self, what: String) {
        self.left_out.push(what);
    }

    /// Names beside each other in a sentence, each told from the others: whole
    /// in files and pipes, at most half a line on a terminal.
    pub(in crate::report) fn names(&self, names: &[&str]) -> Vec<String> {
        let part = if names.len() > 1 { 2 } else { 1 };
        let width = self.columns.map_or(usize::MAX, |columns| {
            (columns / part)
                .saturating_sub(LABEL_WIDTH)
                .max(LABEL_WIDTH)
        });
        shorten(names, width, self.drawing)
    }

    /// An empty line between blocks; none at the top.
    pub(in crate::report) fn gap(&mut self) {
        if self.lines.last().is_some_and(|last| last.width() > 0) {
            self.lines.push(Line::new());
        }
    }

    /// A block's title.
    pub(in crate::report) fn title(&mut self, title: &str) {
        self.gap();
        self.push(Line::of(Role::Strong, title));
    }

    fn label_width(&self) -> usize {
        match self.width() {
            0..WIDTH_BESIDE_LABELS => 2,
            _ => LABEL_WIDTH,
        }
    }

    /// The width of what is beside a label.
    pub(in crate::report) fn text_width(&self) -> usize {
        self.width().saturating_sub(self.label_width())
    }

    /// `label       text`.
    pub(in crate::report) fn labelled(&mut self, label: &str, line: Line) {
        let indent = self.label_width();
        if indent < LABEL_WIDTH && !label.is_empty() {
            self.push(Line::of(Role::Dim, label));
        }
        let label = if indent < LABEL_WIDTH { "" } else { label };
        let label = Line::of(Role::Dim, format!("{label:<indent$}"));
        self.push_wrapped(label.join(line), indent);
    }

    /// Like `labelled`, for a text that may take several lines.
    pub(in crate::report) fn labelled_text(&mut self, label: &str, role: Role, text: &str) {
        for (i, part) in self.wrap(text, self.text_width()).iter().enumerate() {
            let label = if i == 0 { label } else { "" };
            self.labelled(label, Line::of(role, part));
        }
    }

    /// A text on lines of this width. In files and pipes no word is broken.
    pub(in crate::report) fn wrap(&self, text: &str, width: usize) -> Vec<String> {
        let long_words = match self.columns {
            Some(_) => LongWords::Break,
            None => LongWords::Keep,
        };
        wrap(&self.drawing.text(text), width, long_words)
    }

    /// A percentile of `latency`, marked where the `n_needed` calls that it
    /// takes are not there.
    pub(in crate::report) fn percentile(
        &mut self,
        latency: &LatencyFigures,
        value_ms: Option<f64>,
        n_needed: u64,
    ) -> Cell {
        let (text, is_rough) = percentile_text(latency, value_ms, n_needed);
        self.has_rough |= is_rough;
        match is_rough {
            true => Cell::of(Role::Dim, text),
            false => Cell::plain(text),
        }
    }

    /// Says once more at the end what stood first, where that has gone off the screen: the
    /// line that was typed and the next prompt take one each.
    pub(in crate::report) fn end_with(&mut self, conclusion: &Line) {
        if self.rows.is_some_and(|rows| self.lines.len() + 2 > rows) {
            self.gap();
            self.push(conclusion.clone());
        }
    }

    /// Where the JSON report is, as the last of what is labelled.
    pub(in crate::report) fn report_path(&mut self, path: Option<&str>) {
        if let Some(path) = path {
            self.gap();
            self.push_whole(Line::of(Role::Dim, "report      ").add(Role::Accent, path));
        }
    }

    pub(in crate::report) fn into_lines(self) -> Vec<Line> {
        self.lines
    }
}

/// `1.20 ms`, or `~1.20 ms` and true where the calls that the percentile takes are
/// not there.
pub(in crate::report) fn percentile_text(
    latency: &LatencyFigures,
    value_ms: Option<f64>,
    n_needed: u64,
) -> (String, bool) {
    let is_rough = value_ms.is_some() && latency.count < n_needed;
    let mark = if is_rough { "~" } else { "" };
    (format!("{mark}{}", ms_text(value_ms)), is_rough)
}

/// `1.20 ms`, or `-` for no data.
pub(in crate::report) fn ms_text(value_ms: Option<f64>) -> String {
    ns_text(value_ms.map(ns_of_ms))
}

/// The same of nanoseconds.
pub(in crate::report) fn ns_text(value_ns: Option<u64>) -> String {
    value_ns.map_or_else(|| "-".to_string(), format_latency)
}

/// `198/s`, or `-` for no data.
pub(in crate::report) fn rate_text(per_second: Option<f64>) -> String {
    per_second.map_or_else(|| "-".to_string(), format_rate)
}

/// Calls that the 95th percentile takes: 1 ÷ (1 − 0.95).
pub(in crate::report) const P95_NEEDS: u64 = 20;
/// Calls that the 99th percentile takes.
pub(in crate::report) const P99_NEEDS: u64 = 100;
/// Calls that the 90th percentile takes.
pub(in crate::report) const P90_NEEDS: u64 = 10;
/// Calls that the 99.9th percentile takes.
pub(in crate::report) const P99_9_NEEDS: u64 = 1000;
/// What a table of operations tells of each, in every form that has one.
pub(in crate::report) const OPERATION_COLUMNS: [&str; 8] = [
    "operation",
    "requests",
    "rate",
    "errors",
    "p50",
    "p95",
    "p99",
    "max",
];

/// Calls that the median takes.
pub(in crate::report) const P50_NEEDS: u64 = 2;
