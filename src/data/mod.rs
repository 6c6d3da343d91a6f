//! Rows that templates take values from: `{{data.SET.COLUMN}}`.
//!
//! A [`DataSet`] is made of a text that somebody else has read, before the run, and
//! never changes: all users share one. Its cells are the texts of JSON values, which
//! is what templates are filled with. Which file it was, and who takes which row when,
//! is not known here.

mod read;

use std::fmt;

use crate::template::{FillMoment, Generators, purpose_of};
use crate::text::named;

pub use read::{DATA_BYTES_MAX, DataFault, DataSettings};

named! {
    /// Which row an iteration takes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum DataMode {
        /// The next one, over the whole run: by the iteration's number, whoever does it.
        #[default]
        Sequential = "sequential",
        /// Any, with the user's own generator.
        Random = "random",
        /// The user's own, by its number, as long as it lives.
        UniquePerVu = "unique-per-vu",
    }
    /// What it is called in a config.
    fn word
}

named! {
    /// What follows the last row of a sequential set.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum AtEnd {
        /// The end of the run.
        #[default]
        Stop = "stop",
        /// The first row.
        Repeat = "repeat",
    }
    /// What it is called in a config.
    fn word
}

/// The secret cells of a set that are known in all texts. Each takes some 600 bytes there.
const SECRETS_KNOWN_MAX: usize = 100_000;

/// Rows of named columns.
#[derive(Clone, PartialEq, Eq)]
pub struct DataSet {
    /// As templates name it.
    pub name: String,
    /// Which row an iteration takes.
    pub mode: DataMode,
    /// What follows the last row of a sequential set.
    pub at_end: AtEnd,
    /// In order; at least one.
    columns: Vec<String>,
    /// By column: whether its cells are secrets.
    are_secret: Vec<bool>,
    /// The cells, row by row, one after the other.
    cells: String,
    /// Where each cell ends in `cells`; at least one row.
    ends: Vec<u32>,
}

impl DataSet {
    /// The names of the columns, in order; at least one.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// At least 1.
    pub fn n_rows(&self) -> usize {
        self.ends.len() / self.columns.len()
    }

    /// The JSON text of a cell; `null` where there is none.
    pub fn cell(&self, row: usize, column: usize) -> &str {
        let at = row
            .saturating_mul(self.columns.len())
            .saturating_add(column);
        let end = self.ends.get(at).copied();
        let start = at
            .checked_sub(1)
            .map_or(0, |before| self.ends.get(before).copied().unwrap_or(0));
        end.map_or("null", |end| &self.cells[start as usize..end as usize])
    }

    /// The row of an iteration. `None`: there are fewer than users. To be asked once for
    /// each iteration: each answer of a random set is another. After the last row of a
    /// sequential set the first follows: a run that ends with its data has no more
    /// iterations than rows ([`DataSet::iterations_max`]); a search and a probe go on.
    pub fn row(&self, moment: &FillMoment, generators: &mut Generators) -> Option<usize> {
        let n_rows = self.n_rows();
        let number = match self.mode {
            DataMode::Random => {
                let purpose = purpose_of(&self.name).rotate_left(1);
                return Some(generators.of(purpose).usize(..n_rows));
            }
            DataMode::Sequential => moment.iteration.saturating_sub(1) % n_rows as u64,
            DataMode::UniquePerVu => moment.vu.saturating_sub(1),
        };
        let row = usize::try_from(number).ok();
        row.filter(|row| *row < n_rows)
    }

    /// The iterations of the whole run that it is to last for; `None`: no bound.
    pub fn iterations_max(&self) -> Option<u64> {
        let is_bound = self.mode == DataMode::Sequential && self.at_end == AtEnd::Stop;
        is_bound.then_some(self.n_rows() as u64)
    }

    /// The users of the whole run that it has rows for; `None`: no bound.
    pub fn users_max(&self) -> Option<u64> {
        (self.mode == DataMode::UniquePerVu).then_some(self.n_rows() as u64)
    }

    /// Whether the cells of a column are secrets.
    pub fn is_secret(&self, column: usize) -> bool {
        self.are_secret.get(column).copied().unwrap_or(false)
    }

    /// Whether it has too many secrets to know them all: only those that users hold are known.
    pub fn has_many_secrets(&self) -> bool {
        self.n_rows().saturating_mul(self.n_secret_columns()) > SECRETS_KNOWN_MAX
    }

    /// Its first rows, as many as have all their secrets known.
    #[must_use]
    pub fn first_rows(&self) -> Self {
        let n_rows = (SECRETS_KNOWN_MAX / self.n_secret_columns().max(1)).min(self.n_rows());
        let ends = &self.ends[..n_rows * self.columns.len()];
        let n_bytes = ends.last().map_or(0, |end| *end as usize);
        Self {
            name: self.name.clone(),
            columns: self.columns.clone(),
            are_secret: self.are_secret.clone(),
            cells: self.cells[..n_bytes].to_string(),
            ends: ends.to_vec(),
            ..*self
        }
    }

    fn n_secret_columns(&self) -> usize {
        self.are_secret
            .iter()
            .filter(|is_secret| **is_secret)
            .count()
    }

    /// The JSON texts of all cells that are secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let columns = (0..self.columns.len()).filter(|column| self.is_secret(*column));
        columns.flat_map(move |column| (0..self.n_rows()).map(move |row| self.cell(row, column)))
    }
}

/// Without the cells: they may be secrets, and many.
impl fmt::Debug for DataSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataSet")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("at_end", &self.at_end)
            .field("columns", &self.columns)
            .field("n_rows", &self.n_rows())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
