//! One chart: its frame with the marks of both axes, and what is drawn in it.

use std::fmt::Write as _;
use std::io;

use super::axis::{Axis, is_drawable};
use super::canvas::{Canvas, TextSpan, number};

/// Where each second is drawn as a point of its own; of more, each column of two
/// pixels has the least and the greatest.
const COLUMNS_MAX: usize = 340;

/// Room for the names of marks: left of the chart, and below it.
pub(super) const LEFT: f64 = 104.0;
const MARK_HEIGHT: f64 = 28.0;
const TITLE_HEIGHT: f64 = 36.0;

/// A chart in its place.
pub(super) struct Chart {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    across: Axis,
    up: Axis,
}

impl Chart {
    /// Draws title, marks and grid, with the title at `top`. `names` say what marks are
    /// called, across and up.
    pub(super) fn begin(
        canvas: &mut Canvas<'_>,
        top: f64,
        [width, height]: [f64; 2],
        title: &[TextSpan],
        [across, up]: [Axis; 2],
        names: [&dyn Fn(f64) -> String; 2],
    ) -> io::Result<Self> {
        let chart = Self {
            left: LEFT,
            top: top + TITLE_HEIGHT,
            width,
            height,
            across,
            up,
        };
        let bottom = chart.top + height;
        canvas.spans("name", [chart.left, chart.top - 12.0], title)?;
        let mut grid = String::new();
        for mark in &chart.up.marks {
            let y = chart.y(*mark);
            _ = write!(
                grid,
                "M{} {}h{}",
                number(chart.left),
                number(y),
                number(width)
            );
            canvas.text(
                "mark end",
                [chart.left - 10.0, y + 6.0],
                9,
                &names[1](*mark),
            )?;
        }
        canvas.path("grid", &grid)?;
        for (n, mark) in chart.across.marks.iter().enumerate() {
            // Where the picture is small, there is room for each second one.
            let class = if n % 2 == 0 {
                "mark middle"
            } else {
                "mark middle wide"
            };
            let at = [chart.x(*mark), bottom + MARK_HEIGHT - 6.0];
            canvas.text(class, at, 9, &names[0](*mark))?;
        }
        Ok(chart)
    }

    /// Where the next thing below it begins.
    pub(super) fn end(&self) -> f64 {
        self.top + self.height + MARK_HEIGHT
    }

    fn x(&self, value: f64) -> f64 {
        self.left + self.width * self.across.place(value)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - self.up.place(value))
    }

    /// A line through points that are in order; where a value is missing, it is broken.
    pub(super) fn line(
        &self,
        canvas: &mut Canvas<'_>,
        class: &str,
        points: &[(f64, Option<f64>)],
    ) -> io::Result<()> {
        let mut d = String::new();
        let mut is_broken = true;
        for (x, value) in thinned(points) {
            let Some(value) = value.filter(|value| is_drawable(*value)) else {
                is_broken = true;
                continue;
            };
            let (x, y) = (number(self.x(x)), number(self.y(value)));
            // A point without neighbours is a line of no length, with round ends.
            _ = match is_broken {
                true => write!(d, "M{x} {y}h0"),
                false => write!(d, "L{x} {y}"),
            };
            is_broken = false;
        }
        canvas.path(class, &d)
    }

    /// The ground below a line, filled.
    pub(super) fn area(
        &self,
        canvas: &mut Canvas<'_>,
        class: &str,
        points: &[(f64, Option<f64>)],
    ) -> io::Result<()> {
        let bottom = self.y(0.0);
        let mut d = String::new();
        let drawn: Vec<_> = thinned(points);
        for (x, value) in &drawn {
            let value = value.filter(|value| is_drawable(*value)).unwrap_or(0.0);
            let word = if d.is_empty() { 'M' } else { 'L' };
            _ = write!(d, "{word}{} {}", number(self.x(*x)), number(self.y(value)));
        }
        if let (Some((first, _)), Some((last, _))) = (drawn.first(), drawn.last()) {
            let (last, first) = (number(self.x(*last)), number(self.x(*first)));
            let bottom = number(bottom);
            _ = write!(d, "L{last} {bottom}L{first} {bottom}Z");
        }
        canvas.path(class, &d)
    }

    /// A bar on the ground, from one value across to another.
    pub(super) fn bar(
        &self,
        canvas: &mut Canvas<'_>,
        class: &str,
        [from, to]: [f64; 2],
        value: f64,
    ) -> io::Result<()> {
        let (left, right) = (self.x(from), self.x(to));
        let height = self.top + self.height - self.y(value);
        // Whatever is more than nothing shows.
        let height = if value > 0.0 { height.max(1.5) } else { 0.0 };
        let width = number((right - left - 2.0).max(1.0));
        let corner = [left + 1.0, self.top + self.height - height];
        canvas.rect(class, corner, [width, number(height)])
    }

    /// A line up at a value.
    pub(super) fn upright(&self, canvas: &mut Canvas<'_>, class: &str, at: f64) -> io::Result<()> {
        let (x, top, height) = (number(self.x(at)), number(self.top), number(self.height));
        canvas.path(class, &format!("M{x} {top}v{height}"))
    }

    /// A line across at a value.
    pub(super) fn level(&self, canvas: &mut Canvas<'_>, class: &str, at: f64) -> io::Result<()> {
        let (left, y, width) = (number(self.left), number(self.y(at)), number(self.width));
        canvas.path(class, &format!("M{left} {y}h{width}"))
    }

    /// A strip over the whole height.
    pub(super) fn strip(
        &self,
        canvas: &mut Canvas<'_>,
        class: &str,
        [from, to]: [f64; 2],
    ) -> io::Result<()> {
        let width = number((self.x(to) - self.x(from)).max(0.0));
        let size = [width, number(self.height)];
        canvas.rect(class, [self.x(from), self.top], size)
    }

    /// Short strokes on the ground at these values; those of one pixel are one.
    pub(super) fn ticks(
        &self,
        canvas: &mut Canvas<'_>,
        class: &str,
        values: impl Iterator<Item = f64>,
    ) -> io::Result<()> {
        let mut pixels: Vec<i64> = values.map(|at| self.x(at).round() as i64).collect();
        pixels.sort_unstable();
        pixels.dedup();
        let bottom = number(self.top + self.height);
        let mut d = String::new();
        for x in pixels {
            _ = write!(d, "M{x} {bottom}v6");
        }
        canvas.path(class, &d)
    }

    /// A word in its middle, where there is nothing to draw.
    pub(super) fn word(&self, canvas: &mut Canvas<'_>, word: &str) -> io::Result<()> {
        let middle = [self.left + self.width / 2.0, self.top + self.height / 2.0];
        canvas.text("middle strong", middle, 40, word)
    }

    /// A mark at a point.
    pub(super) fn dot(&self, canvas: &mut Canvas<'_>, class: &str, at: [f64; 2]) -> io::Result<()> {
        let (x, y) = (number(self.x(at[0])), number(self.y(at[1])));
        canvas.path(class, &format!("M{x} {y}h0"))
    }
}

/// As many points as there is room for. Of those that share a column, the least and the
/// greatest are left, as they were measured: a mean of percentiles would be of no call.
fn thinned(points: &[(f64, Option<f64>)]) -> Vec<(f64, Option<f64>)> {
    if points.len() <= 2 * COLUMNS_MAX {
        return points.to_vec();
    }
    let n_each = points.len().div_ceil(COLUMNS_MAX);
    let ends = points.chunks(n_each).flat_map(|column| {
        let known = column
            .iter()
            .enumerate()
            .filter_map(|(at, (_, value))| Some((at, (*value).filter(|it| is_drawable(*it))?)));
        let by_value = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
        let least = known.clone().min_by(by_value);
        let (Some((least, _)), Some((most, _))) = (least, known.max_by(by_value)) else {
            return vec![column[0]];
        };
        let (first, last) = (least.min(most), least.max(most));
        let mut both = vec![column[first]];
        both.extend((first < last).then(|| column[last]));
        both
    });
    ends.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_points_the_least_and_the_greatest_are_left() {
        let points: Vec<(f64, Option<f64>)> = (0..86_400)
            .map(|at| {
                let value = if at == 40_000 {
                    900.0
                } else {
                    f64::from(at % 7)
                };
                (f64::from(at), (at != 5).then_some(value))
            })
            .collect();
        let thin = thinned(&points);
        assert!(thin.len() <= 2 * COLUMNS_MAX, "{}", thin.len());
        assert!(thin.contains(&(40_000.0, Some(900.0))));
        assert!(thin.iter().all(|point| points.contains(point)));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
    }
}
