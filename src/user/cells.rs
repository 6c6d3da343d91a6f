//! Which values of a flow, or of the headers, are cells of data sets.

use std::sync::Arc;

use crate::data::DataSet;
use crate::template::{Expression, FillMoment, Generators, Scope};

/// A value that is a cell of a row which an iteration takes.
#[derive(Debug)]
pub(super) struct DataCell {
    pub(super) value: usize,
    /// Which of the plan's data sets.
    pub(super) set: usize,
    pub(super) column: usize,
    /// It is a secret that is known while a user holds it.
    pub(super) is_held: bool,
}

impl DataCell {
    /// Those of a scope, in its order.
    pub(super) fn of(scope: &Scope, sets: &[Arc<DataSet>]) -> Vec<Self> {
        let cell = |(value, expression): (usize, &Expression)| {
            let Expression::Data { set, column } = expression else {
                return None;
            };
            // A plan names only what is there.
            let set = sets.iter().position(|known| known.name == *set)?;
            let mut columns = sets[set].columns().iter();
            let column = columns.position(|known| known == column)?;
            let is_held = sets[set].is_secret(column) && sets[set].has_many_secrets();
            Some(Self {
                value,
                set,
                column,
                is_held,
            })
        };
        scope.expressions().enumerate().filter_map(cell).collect()
    }

    /// Fills the values: all of one set are of one row, which is asked for once.
    pub(super) fn fill(
        cells: &[Self],
        sets: &[Arc<DataSet>],
        moment: &FillMoment,
        generators: &mut Generators,
        values: &mut [String],
    ) {
        for (at, cell) in cells.iter().enumerate() {
            if cells[..at].iter().any(|before| before.set == cell.set) {
                continue;
            }
            let set = &sets[cell.set];
            let row = set.row(moment, generators);
            for other in cells[at..].iter().filter(|other| other.set == cell.set) {
                let text = row.map_or("null", |row| set.cell(row, other.column));
                values[other.value].clear();
                values[other.value].push_str(text);
            }
        }
    }
}
