//! Where values lie on an axis, and which of them are named on it. Pure.

/// Greater numbers are not drawn: no run measures them, and a stranger's file may
/// hold any.
const VALUE_MAX: f64 = 1e15;

/// From this ratio of greatest to least on, latencies are drawn by their magnitude:
/// else the small ones would all lie on the ground.
const MAGNITUDES_FROM_RATIO: f64 = 25.0;

/// The same for classes of latencies, which grow with the latency from there on.
const BOUNDS_RATIO: f64 = 4.0;

/// Less is drawn as this: no latency is below a tenth of a microsecond, in milliseconds.
const LEAST: f64 = 1e-4;

/// Lengths of time between two marks, in seconds; longer ones are days.
const STEPS_SECS: [f64; 20] = [
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    1_800.0, 3_600.0, 14_400.0, 43_200.0,
];
const DAY_SECS: f64 = 86_400.0;

/// An axis from its lower to its upper end.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// Whether its values are drawn by their magnitude.
    pub(super) is_of_magnitudes: bool,
    /// The values that are named, ascending.
    pub(super) marks: Vec<f64>,
}

/// Whether a number can be drawn.
pub(super) fn is_drawable(value: f64) -> bool {
    (0.0..=VALUE_MAX).contains(&value)
}

impl Axis {
    /// From nothing to a round number that none of the values exceeds.
    pub(super) fn from_zero(values: impl Iterator<Item = f64>, n_marks: usize) -> Self {
        let most = greatest(values);
        let step = round_step(most / n_marks as f64);
        let n_steps = (most / step - 1e-9).ceil().max(1.0);
        Self {
            low: 0.0,
            high: n_steps * step,
            is_of_magnitudes: false,
            marks: marks(step, n_steps),
        }
    }

    /// Of latencies in milliseconds or of loads: from nothing on, or by their magnitude
    /// where the greatest is far above the least.
    pub(super) fn fitting(values: impl Iterator<Item = f64> + Clone, n_marks: usize) -> Self {
        let values = values.filter(|value| is_drawable(*value));
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let (least, most) = (least.max(LEAST), greatest(values.clone()));
        if most / least < MAGNITUDES_FROM_RATIO {
            return Self::from_zero(values, n_marks);
        }
        let all = magnitudes(least, most);
        let from = all.iter().rposition(|mark| *mark <= least).unwrap_or(0);
        let to = all.iter().position(|mark| *mark >= most);
        let all = &all[from..=to.unwrap_or(all.len() - 1)];
        Self {
            low: all[0],
            high: all[all.len() - 1],
            is_of_magnitudes: true,
            marks: few_of_magnitudes(all, n_marks),
        }
    }

    /// Of time in seconds.
    pub(super) fn of_time(from: f64, to: f64, n_marks: usize) -> Self {
        let from = if is_drawable(from) { from } else { 0.0 };
        let to = if is_drawable(to) { to } else { 0.0 };
        let to = to.max(from + STEPS_SECS[0]);
        let wanted = (to - from) / n_marks as f64;
        let step = STEPS_SECS.into_iter().find(|step| *step >= wanted);
        let step = step.unwrap_or_else(|| DAY_SECS * (wanted / DAY_SECS).ceil());
        let first = (from / step).ceil();
        let n_steps = (to / step + 1e-9).floor() - first;
        Self {
            low: from,
            high: to,
            is_of_magnitudes: false,
            marks: marks(step, n_steps)
                .into_iter()
                .map(|mark| mark + first * step)
                .collect(),
        }
    }

    /// Of latencies from the least to the greatest: by their magnitude, unless those are
    /// near to each other.
    pub(super) fn of_bounds(values: impl Iterator<Item = f64> + Clone, n_marks: usize) -> Self {
        let values = values.filter(|value| is_drawable(*value));
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let (low, high) = (least.max(LEAST), greatest(values));
        let (low, high) = (low.min(high), high.max(low.min(high) * (1.0 + 1e-6)));
        if high / low < BOUNDS_RATIO {
            let step = round_step((high - low) / n_marks as f64);
            let first = (low / step).ceil();
            let n_steps = (high / step + 1e-9).floor() - first;
            let marks = marks(step, n_steps).into_iter();
            return Self {
                low,
                high,
                is_of_magnitudes: false,
                marks: marks.map(|mark| mark + first * step).collect(),
            };
        }
        let mut all = magnitudes(low, high);
        all.retain(|mark| (low..=high).contains(mark));
        Self {
            low,
            high,
            is_of_magnitudes: true,
            marks: few_of_magnitudes(&all, n_marks),
        }
    }

    /// Where a value lies, 0 to 1; what is beyond an end lies at it.
    pub(super) fn place(&self, value: f64) -> f64 {
        let place = if self.is_of_magnitudes {
            let value = value.clamp(self.low, self.high);
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if place.is_finite() {
            place.clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// 1, 2 and 5 times each power of ten, from below the least to above the greatest.
fn magnitudes(least: f64, most: f64) -> Vec<f64> {
    let first = least.log10().floor() as i32;
    let all = (first..).flat_map(|power| [1.0, 2.0, 5.0].map(|it| it * 10f64.powi(power)));
    all.take_while(|mark| *mark < most * 10.0).collect()
}

/// Of too many, those that are powers of ten, or each second or third of them.
fn few_of_magnitudes(all: &[f64], n_marks: usize) -> Vec<f64> {
    if all.len() <= n_marks + 2 {
        return all.to_vec();
    }
    let is_power = |mark: &&f64| (mark.log10() - mark.log10().round()).abs() < 1e-6;
    let powers: Vec<f64> = all.iter().filter(is_power).copied().collect();
    let every = powers.len().div_ceil(n_marks + 1).max(1);
    powers.into_iter().step_by(every).collect()
}

/// The greatest that can be drawn; a small one where there is none above 0.
fn greatest(values: impl Iterator<Item = f64>) -> f64 {
    let most = values
        .filter(|value| is_drawable(*value))
        .fold(0.0, f64::max);
    if most > 0.0 { most.max(1e-6) } else { 1.0 }
}

/// 1, 2 or 5 times a power of ten, at least as much as wanted.
fn round_step(wanted: f64) -> f64 {
    let power = 10f64.powi(wanted.log10().floor() as i32);
    let steps = [1.0, 2.0, 5.0].map(|it| it * power);
    let step = steps
        .into_iter()
        .find(|step| *step >= wanted * (1.0 - 1e-9));
    step.unwrap_or(10.0 * power)
}

/// 0 and this many steps more; a few at most, whatever the numbers are.
fn marks(step: f64, n_steps: f64) -> Vec<f64> {
    const MARKS_MAX: f64 = 20.0;
    let n_steps = n_steps.clamp(0.0, MARKS_MAX) as u32;
    (0..=n_steps).map(|n| f64::from(n) * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn marks_are_round_numbers() {
        let rates = Axis::from_zero([3.0, 870.0].into_iter(), 4);
        assert_eq!(rates.marks, [0.0, 500.0, 1000.0]);
        let times = Axis::of_time(0.0, 62.0, 6);
        assert_eq!(times.marks, [0.0, 15.0, 30.0, 45.0, 60.0]);
        let near = Axis::fitting([1.5, 9.0].into_iter(), 4);
        assert_eq!(near.marks, [0.0, 5.0, 10.0]);
        assert!(!near.is_of_magnitudes);
        let far = Axis::fitting([0.4, 130.0].into_iter(), 4);
        assert_eq!(far.marks, [1.0, 10.0, 100.0]);
        assert!(far.is_of_magnitudes);
        assert_eq!((far.place(0.0), far.place(900.0)), (0.0, 1.0));
        let bounds = Axis::of_bounds([0.7, 6.0].into_iter(), 4);
        assert_eq!(bounds.marks, [1.0, 2.0, 5.0]);
        let bounds = Axis::of_bounds([4.2, 6.1].into_iter(), 4);
        assert_eq!(bounds.marks, [4.5, 5.0, 5.5, 6.0]);
    }

    proptest! {
        #[test]
        fn whatever_the_numbers_are_places_are_on_the_axis_and_marks_few(
            values in prop::collection::vec(any::<f64>(), 0..6),
            small in prop::collection::vec(0.0..1e4f64, 0..6),
            n_marks in 2..8usize,
        ) {
            for values in [values, small] {
                let own = || values.iter().copied();
                let first = values.first().copied().unwrap_or(0.0);
                let last = values.last().copied().unwrap_or(0.0);
                let axes = [
                    Axis::from_zero(own(), n_marks),
                    Axis::fitting(own(), n_marks),
                    Axis::of_bounds(own(), n_marks),
                    Axis::of_time(first, last, n_marks),
                ];
                for axis in axes {
                    prop_assert!(!axis.marks.is_empty() || axis.low > 0.0, "{axis:?}");
                    prop_assert!(axis.marks.len() <= 2 * n_marks + 3, "{axis:?}");
                    for value in own().chain(axis.marks.clone()) {
                        prop_assert!((0.0..=1.0).contains(&axis.place(value)), "{axis:?}");
                    }
                }
            }
        }
    }
}
