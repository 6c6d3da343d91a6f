//! A table whose first column holds names and gives way to the others.

use crate::terminal::{Align, Line, Role, display_width, pad};

/// What stands at a place.
#[derive(Debug, Clone, Default)]
pub(in crate::report) struct Cell {
    role: Role,
    text: String,
}

impl Cell {
    pub(in crate::report) fn plain(text: impl Into<String>) -> Self {
        Self::of(Role::Plain, text)
    }

    pub(in crate::report) fn of(role: Role, text: impl Into<String>) -> Self {
        Self {
            role,
            text: text.into(),
        }
    }
}

/// Rows under a header; a row may be shorter than the header.
pub(in crate::report) struct Table {
    rows: Vec<Vec<Cell>>,
}

/// Columns that a name keeps at least.
const NAME_WIDTH_MIN: usize = 8;

/// Columns that tell most names; for these the gaps between figures give way.
const NAME_WIDTH_GOOD: usize = 28;

impl Table {
    /// The first heading is that of the names.
    pub(in crate::report) fn new(headings: &[&str]) -> Self {
        let heading = |text: &&str| Cell::of(Role::Dim, *text);
        Self {
            rows: vec![headings.iter().map(heading).collect()],
        }
    }

    pub(in crate::report) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Columns are as wide as what they hold, names as wide as is left.
    pub(in crate::report) fn into_lines(self, width: usize) -> Vec<Line> {
        let n_columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| display_width(&cell.text))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (1..n_columns).map(widest).collect();
        let figures: usize = widths.iter().sum();
        // Two blanks between figures, unless names would be cut short by it.
        let left_by_two = width.saturating_sub(figures + 2 * widths.len());
        let gap = if left_by_two >= widest(0).min(NAME_WIDTH_GOOD) {
            2
        } else {
            1
        };
        let left = width.saturating_sub(figures + gap * widths.len());
        let name_width = widest(0).min(left.max(NAME_WIDTH_MIN));
        self.rows
            .into_iter()
            .map(|row| line(row, name_width, &widths, gap))
            .collect()
    }
}

fn line(row: Vec<Cell>, name_width: usize, widths: &[usize], gap: usize) -> Line {
    let mut cells = row.into_iter();
    let name = cells.next().unwrap_or_default();
    let mut line = Line::of(name.role, pad(&name.text, name_width, Align::Left));
    for (cell, width) in cells.zip(widths) {
        line = line
            .add(Role::Plain, " ".repeat(gap))
            .add(cell.role, pad(&cell.text, *width, Align::Right));
    }
    line
}
