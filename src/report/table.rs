//! A table whose first column holds names and gives way to the others.
//!
//! Where a terminal is too narrow, in this order: the gaps between figures
//! shrink, names are shortened where they differ, columns are left out as the
//! table has said, names are shortened further. In files and pipes nothing is.

use std::borrow::Cow;

use crate::terminal::{Align, Drawing, Line, Role, display_width, pad, shorten};
use crate::text::visible_name;

/// What is at a place.
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
    /// Columns that may be left out, in the order in which they are.
    dispensable: &'static [usize],
}

/// Columns that a name keeps at least.
const NAME_WIDTH_MIN: usize = 8;

/// Before a name gets less, figures are left out.
const NAME_WIDTH_KEPT: usize = 20;

/// Columns that tell most names; for these the gaps between figures give way.
const NAME_WIDTH_GOOD: usize = 28;

/// A name that is longer in a file or a pipe shifts the figures of its own row
/// only: the others are not filled up to it.
const NAME_WIDTH_FILLED_MAX: usize = 120;

/// What most who read a file or a pipe see at once: where names leave as much,
/// the gaps between figures give way for it.
const READABLE_WIDTH: usize = 80;

impl Table {
    /// The first heading is that of the names.
    pub(in crate::report) fn new(headings: &[&str]) -> Self {
        let heading = |text: &&str| Cell::of(Role::Dim, *text);
        Self {
            rows: vec![headings.iter().map(heading).collect()],
            dispensable: &[],
        }
    }

    /// Columns that may be left out where there is no room, the first to go
    /// first. The names, column 0, always stay.
    pub(in crate::report) fn dispensable(mut self, columns: &'static [usize]) -> Self {
        self.dispensable = columns;
        self
    }

    pub(in crate::report) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The lines, and what is not in them: `operation (p95, rate)`.
    pub(super) fn into_lines(
        mut self,
        columns: Option<usize>,
        drawing: Drawing,
    ) -> (Vec<Line>, Option<String>) {
        for row in &mut self.rows {
            if let Some(Cow::Owned(name)) = row.first().map(|cell| visible_name(&cell.text)) {
                row[0].text = name;
            }
            for cell in row {
                cell.text = drawing.text(&cell.text).into_owned();
            }
        }
        let mut widths = self.widths();
        let Some(width) = columns else {
            let name_width = widths[0].min(NAME_WIDTH_FILLED_MAX);
            let figures: usize = widths[1..].iter().filter(|width| **width > 0).sum();
            let n_figures = widths[1..].iter().filter(|width| **width > 0).count();
            let fits = |gap| name_width + figures + gap * n_figures <= READABLE_WIDTH;
            let gap = if fits(1) && !fits(2) { 1 } else { 2 };
            let rows = self.rows.iter();
            let lines = rows.map(|row| line(row, name_width, &widths, gap));
            return (lines.collect(), None);
        };
        let name_longest = widths[0];
        let heading_of_names = self.rows[0]
            .first()
            .map_or("", |cell| &cell.text)
            .to_string();
        let figures = |widths: &[usize], gap: usize| -> usize {
            let shown = widths[1..].iter().filter(|width| **width > 0);
            shown.map(|width| width + gap).sum()
        };
        let mut left_out = Vec::new();
        for &column in self.dispensable {
            if figures(&widths, 1) + name_longest.min(NAME_WIDTH_KEPT) <= width {
                break;
            }
            let heading = self.rows[0].get(column).map(|cell| cell.text.clone());
            left_out.extend(heading.filter(|_| widths.get(column).is_some_and(|w| *w > 0)));
            if let Some(width) = widths.get_mut(column) {
                *width = 0;
            }
        }
        // Two blanks between figures, unless names would be cut short by it.
        let gap = match figures(&widths, 2) + name_longest.min(NAME_WIDTH_GOOD) <= width {
            true => 2,
            false => 1,
        };
        let left = width.saturating_sub(figures(&widths, gap));
        let name_width = name_longest.min(left.max(NAME_WIDTH_MIN));
        let names = self.rows.iter().filter_map(|row| row.first());
        let names: Vec<&str> = names.map(|cell| cell.text.as_str()).collect();
        let names = shorten(&names, name_width, drawing);
        for (row, name) in self.rows.iter_mut().zip(names) {
            row[0].text = name;
        }
        let rows = self.rows.iter();
        let lines = rows
            .map(|row| line(row, name_width, &widths, gap))
            .collect();
        let left_out = (!left_out.is_empty())
            .then(|| format!("{} ({})", heading_of_names, left_out.join(", ")));
        (lines, left_out)
    }

    /// The widest of each column; 0 for one that holds nothing.
    fn widths(&self) -> Vec<usize> {
        let n_columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; n_columns.max(1)];
        for row in &self.rows {
            for (cell, width) in row.iter().zip(&mut widths) {
                *width = display_width(&cell.text).max(*width);
            }
        }
        widths
    }
}

/// Columns of no width are not shown.
fn line(row: &[Cell], name_width: usize, widths: &[usize], gap: usize) -> Line {
    let name = match row {
        [] => return Line::new(),
        [alone] => return Line::of(alone.role, &alone.text),
        [name, ..] => name,
    };
    let mut line = Line::of(name.role, pad(&name.text, name_width, Align::Left));
    for (cell, width) in row.iter().zip(widths).skip(1) {
        if *width > 0 {
            line = line
                .add(Role::Plain, " ".repeat(gap))
                .add(cell.role, pad(&cell.text, *width, Align::Right));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, and three columns of which the second and then the first may go.
    fn text(names: &[&str], width: Option<usize>) -> (String, Option<String>) {
        let mut table = Table::new(&["tool", "requests", "rate", "p99"]).dispensable(&[2, 1]);
        for name in names {
            let cells = [*name, "12,345", "1,420/s", "12.8 ms"];
            table.row(cells.map(Cell::plain).to_vec());
        }
        let (lines, left_out) = table.into_lines(width, Drawing::Unicode);
        let lines: Vec<String> = lines.iter().map(Line::text).collect();
        (lines.join("\n"), left_out)
    }

    fn check(names: &[&str], width: Option<usize>, expected: &str, left_out: Option<&str>) {
        let (found, found_left_out) = text(names, width);
        assert_eq!(found, expected, "{width:?}");
        assert_eq!(found_left_out.as_deref(), left_out);
    }

    const NAMES: [&str; 2] = ["github_list_pull_requests", "github_list_pull_reviews"];

    #[test]
    fn where_there_is_room_nothing_is_cut() {
        let expected = "\
tool                       requests     rate      p99
github_list_pull_requests    12,345  1,420/s  12.8 ms
github_list_pull_reviews     12,345  1,420/s  12.8 ms";
        check(&NAMES, None, expected, None);
        check(&NAMES, Some(200), expected, None);
    }

    #[test]
    fn gaps_then_names_then_columns_give_way() {
        let expected = "\
tool                   requests    rate     p99
github_list…l_requests   12,345 1,420/s 12.8 ms
github_list…ll_reviews   12,345 1,420/s 12.8 ms";
        check(&NAMES, Some(47), expected, None);
        let expected = "\
tool                      requests     p99
github_list_pull_requests   12,345 12.8 ms
github_list_pull_reviews    12,345 12.8 ms";
        check(&NAMES, Some(43), expected, Some("tool (rate)"));
        let expected = "\
tool             p99
github…uests 12.8 ms
github…views 12.8 ms";
        check(&NAMES, Some(20), expected, Some("tool (rate, requests)"));
    }

    /// On a terminal, in a file, and with whom the name stands beside.
    #[test]
    fn names_that_differ_in_what_is_not_drawn_look_different() {
        for width in [None, Some(80)] {
            let (found, _) = text(&["echo", "echo ", "ec\u{200d}ho"], width);
            let names = found.lines().skip(1).map(|row| row.split_once("  "));
            let names: Vec<&str> = names.filter_map(|it| Some(it?.0)).collect();
            assert_eq!(names, ["echo", "echo\\u{20}", "ec\\u{200d}ho"], "{found}");
        }
    }

    #[test]
    fn one_very_long_name_fills_up_no_other_row() {
        let long = "x".repeat(100_000);
        let (found, _) = text(&[&long, "y"], None);
        assert!(found.len() < 101_000, "{}", found.len());
        assert!(found.contains(&long));
    }
}
