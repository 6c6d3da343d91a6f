//! Lines that are gathered, and how single figures look on them.

use super::table::Cell;
use crate::report::model::Latency;
use crate::terminal::{Line, Role, wrap};
use crate::units::{format_latency, format_rate};

/// Wide enough for every fixed column; a narrower output cuts the lines.
const LAYOUT_WIDTH_MIN: usize = 60;

/// Wider tables are harder to read across.
const LAYOUT_WIDTH_MAX: usize = 100;

/// Columns of the labels on the left.
const LABEL_WIDTH: usize = 12;

/// The summary while it grows.
pub(in crate::report) struct Page {
    lines: Vec<Line>,
    /// No line is wider.
    limit: usize,
    /// A percentile of too few calls has been shown.
    has_rough: bool,
}

impl Page {
    pub(in crate::report) fn new(width: usize) -> Self {
        Self {
            lines: Vec::new(),
            limit: width.min(LAYOUT_WIDTH_MAX),
            has_rough: false,
        }
    }

    /// The width to lay out for.
    pub(in crate::report) fn width(&self) -> usize {
        self.limit.max(LAYOUT_WIDTH_MIN)
    }

    pub(in crate::report) fn has_rough(&self) -> bool {
        self.has_rough
    }

    pub(in crate::report) fn push(&mut self, line: Line) {
        self.lines.push(line.cut(self.limit));
    }

    /// A line that is never cut, for a path that the user copies.
    pub(in crate::report) fn push_whole(&mut self, line: Line) {
        self.lines.push(line);
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

    /// The width of what stands beside a label.
    pub(in crate::report) fn text_width(&self) -> usize {
        self.limit.saturating_sub(LABEL_WIDTH)
    }

    /// `label       text`.
    pub(in crate::report) fn labelled(&mut self, label: &str, line: Line) {
        let label = format!("{label:<LABEL_WIDTH$}");
        self.push(Line::of(Role::Dim, label).join(line));
    }

    /// Like `labelled`, for a text that may take several lines.
    pub(in crate::report) fn labelled_text(&mut self, label: &str, role: Role, text: &str) {
        for (i, part) in wrap(text, self.text_width()).iter().enumerate() {
            let label = if i == 0 { label } else { "" };
            self.labelled(label, Line::of(role, part));
        }
    }

    /// A percentile of `latency`, marked where the `n_needed` calls that it
    /// takes are not there.
    pub(in crate::report) fn percentile(
        &mut self,
        latency: &Latency,
        value_ms: Option<f64>,
        n_needed: u64,
    ) -> Cell {
        if value_ms.is_some() && latency.count < n_needed {
            self.has_rough = true;
            return Cell::of(Role::Dim, format!("~{}", ms_text(value_ms)));
        }
        Cell::plain(ms_text(value_ms))
    }

    pub(in crate::report) fn into_lines(self) -> Vec<Line> {
        self.lines
    }
}

/// `1.20 ms`, or `-` for no data.
pub(in crate::report) fn ms_text(value_ms: Option<f64>) -> String {
    match value_ms {
        // A cast from a float saturates.
        Some(ms) => format_latency((ms * 1e6).round() as u64),
        None => "-".to_string(),
    }
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
/// Calls that the median takes.
pub(in crate::report) const P50_NEEDS: u64 = 2;
