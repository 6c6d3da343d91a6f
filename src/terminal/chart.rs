//! Charts of values in time: small bars in a row, upright bars, and curves.
//!
//! Each takes values that are slots of equal length, the first one on the left.
//! What has no value leaves its place empty. All are drawn from 0 to `max`. With
//! [`Drawing::Ascii`] they are coarser and say the same.

use super::{Drawing, Line, Role};

/// Levels of a row's height, from the least that shows to the whole.
const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The same in ASCII.
const RAMP: [&str; 8] = [".", ":", "-", "=", "+", "*", "#", "@"];

/// The bits of a braille character's dots, from top to bottom, left and right.
const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// A braille character without any dot.
const NO_DOTS: u32 = 0x2800;

/// What a cell is drawn with in ASCII where curves meet: each is to be seen.
pub const MEETING: char = '@';

/// One curve among others.
#[derive(Debug, Clone, Copy)]
pub struct Curve<'a> {
    /// How it looks where there is colour.
    pub role: Role,
    /// What it is drawn with in ASCII.
    pub mark: char,
    /// Its values, as many as [`Drawing::slots_of_curves`] says.
    pub values: &'a [Option<f64>],
}

impl Drawing {
    /// Bars of one row, a column for each value. Whatever is more than nothing shows. The
    /// highest leave a little free above them: rows below each other stay apart.
    pub fn spark(self, values: &[Option<f64>], max: f64) -> String {
        let levels = match self {
            Self::Unicode => &BLOCKS[..BLOCKS.len() - 1],
            Self::Ascii => &RAMP[..],
        };
        upright(levels, values, max, 1).concat()
    }

    /// Bars of several rows, the highest row first, a column for each value.
    pub fn upright(self, values: &[Option<f64>], max: f64, n_rows: usize) -> Vec<String> {
        let levels = match self {
            Self::Unicode => BLOCKS,
            Self::Ascii => RAMP,
        };
        upright(&levels, values, max, n_rows)
    }

    /// How many values a curve of this many columns has.
    pub fn slots_of_curves(self, n_columns: usize) -> usize {
        match self {
            Self::Unicode => 2 * n_columns,
            Self::Ascii => n_columns,
        }
    }

    /// Curves in one picture, the highest row first. Where two meet, the first of them has
    /// the cell's colour, and in ASCII the mark is [`MEETING`].
    pub fn curves(self, curves: &[Curve<'_>], max: f64, n_rows: usize) -> Vec<Line> {
        let (across, down) = match self {
            Self::Unicode => (2, 4),
            Self::Ascii => (1, 1),
        };
        let longest = curves.iter().map(|curve| curve.values.len()).max();
        let n_columns = longest.unwrap_or(0).div_ceil(across);
        let n_dots = n_rows * down;
        let mut cells = vec![vec![Glyph::default(); n_columns]; n_rows];
        for (k, curve) in curves.iter().enumerate() {
            let mut before: Option<usize> = None;
            for (at, value) in curve.values.iter().enumerate() {
                let Some(y) = value.and_then(|value| height(value, max, n_dots)) else {
                    before = None;
                    continue;
                };
                // A step is one line, not two pieces.
                let (low, high) = match before {
                    Some(last) if last < y => (last + 1, y),
                    Some(last) if last > y => (y, last - 1),
                    _ => (y, y),
                };
                for dot in low..=high {
                    let from_top = n_dots - 1 - dot;
                    let cell = &mut cells[from_top / down][at / across];
                    cell.dots |= DOTS[from_top % down][at % across];
                    cell.is_shared |= *cell.curve.get_or_insert(k) != k;
                }
                before = Some(y);
            }
        }
        let line = |row: &Vec<Glyph>| {
            let pieces = row.chunk_by(|a, b| a.curve == b.curve);
            pieces.fold(Line::new(), |line, piece| {
                let curve = piece[0].curve.and_then(|k| curves.get(k));
                let Some(curve) = curve else {
                    return line.add(Role::Plain, " ".repeat(piece.len()));
                };
                let text: String = match self {
                    Self::Unicode => piece.iter().map(Glyph::braille).collect(),
                    Self::Ascii => piece.iter().map(|cell| cell.ascii(curve.mark)).collect(),
                };
                line.add(curve.role, text)
            })
        };
        cells.iter().map(line).collect()
    }
}

/// Bars that are made of these levels of a row's height.
fn upright(levels: &[&str], values: &[Option<f64>], max: f64, n_rows: usize) -> Vec<String> {
    let steps = |value: &Option<f64>| -> usize {
        let value = value.filter(|value| *value > 0.0 && max > 0.0);
        // A cast from a float saturates, and no number gives 0.
        value.map_or(0, |value| {
            let share = (value / max).clamp(0.0, 1.0);
            ((share * (n_rows * levels.len()) as f64).round() as usize).max(1)
        })
    };
    let heights: Vec<usize> = values.iter().map(steps).collect();
    let row = |below: usize| {
        let cells = heights.iter().map(|height| {
            let own = height.saturating_sub(below).min(levels.len());
            own.checked_sub(1).map_or(" ", |level| levels[level])
        });
        cells.collect()
    };
    (0..n_rows)
        .rev()
        .map(|above| row(above * levels.len()))
        .collect()
}

/// One character of a picture of curves.
#[derive(Clone, Default)]
struct Glyph {
    dots: u32,
    /// Whose it is; `None`: it is empty.
    curve: Option<usize>,
    /// Another curve goes through it too.
    is_shared: bool,
}

impl Glyph {
    fn ascii(&self, own: char) -> char {
        if self.is_shared { MEETING } else { own }
    }

    fn braille(&self) -> char {
        char::from_u32(NO_DOTS + self.dots).unwrap_or(' ')
    }
}

/// The dot of a value, from 0 at the bottom.
fn height(value: f64, max: f64, n_dots: usize) -> Option<usize> {
    let is_drawn = value.is_finite() && max > 0.0 && n_dots > 0;
    // A cast from a float saturates.
    is_drawn.then(|| ((value / max).clamp(0.0, 1.0) * (n_dots - 1) as f64).round() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    #[test]
    fn a_spark_has_a_column_for_each_value() {
        let mut values = some(&[0.0, 0.001, 1.0, 4.0, 8.0, 99.0, f64::NAN, -1.0]);
        values.push(None);
        assert_eq!(Drawing::Unicode.spark(&values, 8.0), " ▁▁▄▇▇   ");
        assert_eq!(Drawing::Ascii.spark(&values, 8.0), " ..=@@   ");
        assert_eq!(Drawing::Unicode.spark(&values, 0.0), " ".repeat(9));
    }

    #[test]
    fn upright_bars_stand_on_each_other() {
        let values = some(&[0.0, 8.0, 12.0, 16.0]);
        assert_eq!(Drawing::Unicode.upright(&values, 16.0, 2), ["  ▄█", " ███"]);
        assert_eq!(Drawing::Ascii.upright(&values, 16.0, 2), ["  =@", " @@@"]);
    }

    #[test]
    fn curves_go_up_and_down_without_a_gap() {
        let texts = |drawing: Drawing, values: &[Option<f64>], below: &[Option<f64>]| {
            let curves = [
                Curve {
                    role: Role::Accent,
                    mark: '*',
                    values,
                },
                Curve {
                    role: Role::Plain,
                    mark: 'o',
                    values: below,
                },
            ];
            let lines = drawing.curves(&curves, 3.0, 4);
            let texts: Vec<String> = lines.iter().map(Line::text).collect();
            texts
        };
        let upper = some(&[1.0, 3.0, 3.0, 2.0]);
        let mut lower = some(&[0.0, 0.0, 0.0]);
        lower.push(None);
        assert_eq!(
            texts(Drawing::Ascii, &upper, &lower),
            [" ** ", " * *", "*   ", "ooo "]
        );
        let low = some(&[1.0, 1.0, 3.0, 0.0]);
        assert_eq!(
            texts(Drawing::Ascii, &upper, &low),
            [" *@ ", " *o@", "@o o", "   o"]
        );
        let drawn = Drawing::Unicode.curves(
            &[Curve {
                role: Role::Accent,
                mark: '*',
                values: &some(&[0.0, 3.0]),
            }],
            3.0,
            1,
        );
        // A dot at the bottom left, and the whole of the right above it.
        assert_eq!(drawn[0].text(), "⡸");
    }

    proptest! {
        #[test]
        fn any_numbers_can_be_drawn(
            values in prop::collection::vec(proptest::option::of(any::<f64>()), 0..40),
            max in any::<f64>(),
            n_rows in 0_usize..5,
        ) {
            for drawing in [Drawing::Unicode, Drawing::Ascii] {
                let rows = drawing.upright(&values, max, n_rows);
                prop_assert_eq!(rows.len(), n_rows);
                for row in rows {
                    prop_assert_eq!(row.chars().count(), values.len());
                }
                let curve = Curve { role: Role::Plain, mark: '*', values: &values };
                let lines = drawing.curves(&[curve], max, n_rows);
                prop_assert_eq!(lines.len(), n_rows);
                for line in lines {
                    let slots = drawing.slots_of_curves(line.width());
                    prop_assert!(slots.abs_diff(values.len()) <= 1);
                }
            }
        }
    }
}
