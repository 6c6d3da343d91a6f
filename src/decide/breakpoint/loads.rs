//! The load over time, bounded in memory: what it was on average over an
//! interval, and when it first reached a level.

/// A record of the load as its time integral, so that means over any interval are
/// exact up to the windows' own resolution.
#[derive(Debug, Clone, Default)]
pub(super) struct Loads {
    /// (end in seconds, integral of the load up to it), ascending; before the first
    /// point there is no load.
    points: Vec<(f64, f64)>,
}

/// Beyond this the older half is thinned by two: the last hour at one window a second
/// stays as it is, and days fit into 128 KiB.
const MAX_POINTS: usize = 8192;

impl Loads {
    /// Adds the mean load of the interval that ends at `end`. One that does not lie
    /// after those before is ignored.
    pub(super) fn push(&mut self, start: f64, end: f64, load: f64) {
        let (last_end, integral) = match self.points.last() {
            Some(last) => *last,
            None => {
                self.points.push((start, 0.0));
                (start, 0.0)
            }
        };
        if end <= last_end {
            return;
        }
        self.points.push((end, integral + load * (end - last_end)));
        if self.points.len() > MAX_POINTS {
            let half = MAX_POINTS / 2;
            let mut idx = 0;
            self.points.retain(|_| {
                idx += 1;
                idx > half || idx % 2 == 1
            });
        }
    }

    /// The mean load over an interval of positive length.
    pub(super) fn mean(&self, start: f64, end: f64) -> f64 {
        (self.integral(end) - self.integral(start)) / (end - start)
    }

    /// When the record begins.
    pub(super) fn first_time(&self) -> f64 {
        self.points.first().map_or(0.0, |first| first.0)
    }

    /// When it ends.
    pub(super) fn last_time(&self) -> f64 {
        self.points.last().map_or(0.0, |last| last.0)
    }

    /// The highest load of a recorded interval that is below `level`.
    pub(super) fn highest_below(&self, level: f64) -> Option<f64> {
        (1..self.points.len())
            .filter_map(|idx| self.rate(idx))
            .filter(|load| *load < level && *load > 0.0)
            .max_by(f64::total_cmp)
    }

    /// The first instant at which the load reached `level`, between the middles of the
    /// recorded intervals; the last instant if it never did.
    pub(super) fn first_reached(&self, level: f64) -> f64 {
        let middle = |idx: usize| (self.points[idx - 1].0 + self.points[idx].0) / 2.0;
        let mut before: Option<(f64, f64)> = None;
        for idx in 1..self.points.len() {
            let Some(load) = self.rate(idx) else { continue };
            if load >= level {
                return match before {
                    Some((time, low)) if load > low => {
                        time + (middle(idx) - time) * (level - low) / (load - low)
                    }
                    _ => self.points[idx - 1].0,
                };
            }
            before = Some((middle(idx), load));
        }
        self.points.last().map_or(0.0, |last| last.0)
    }

    fn rate(&self, idx: usize) -> Option<f64> {
        let (after, before) = (self.points.get(idx)?, self.points.get(idx.checked_sub(1)?)?);
        Some((after.1 - before.1) / (after.0 - before.0))
    }

    fn integral(&self, time: f64) -> f64 {
        let idx = self.points.partition_point(|(end, _)| *end < time);
        match (
            idx.checked_sub(1).map(|i| self.points[i]),
            self.points.get(idx),
        ) {
            (None, _) => 0.0,
            (Some((start, before)), Some((end, after))) => {
                before + (after - before) * (time - start) / (end - start)
            }
            (Some((_, total)), None) => total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: u32) -> Loads {
        let mut loads = Loads::default();
        for i in 0..n {
            loads.push(f64::from(i), f64::from(i + 1), f64::from(i) + 0.5);
        }
        loads
    }

    #[test]
    fn means_follow_the_integral() {
        let loads = ramp(100);
        assert!((loads.mean(10.0, 20.0) - 15.0).abs() < 1e-9);
        assert!((loads.mean(10.25, 10.75) - 10.5).abs() < 1e-9);
        assert!((loads.mean(-1.0, 1.0) - 0.25).abs() < 1e-9);
        assert_eq!((loads.first_time(), loads.last_time()), (0.0, 100.0));
        assert_eq!(loads.highest_below(42.5), Some(41.5));
        assert_eq!(loads.highest_below(0.5), None);
    }

    #[test]
    fn a_level_is_reached_between_windows() {
        let loads = ramp(100);
        assert!((loads.first_reached(42.0) - 42.0).abs() < 1e-9);
        assert!((loads.first_reached(0.1) - 0.0).abs() < 1e-9);
        assert!((loads.first_reached(1e9) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn memory_is_bounded_and_old_means_survive() {
        let loads = ramp(200_000);
        assert!(loads.points.len() <= MAX_POINTS);
        assert!((loads.mean(0.0, 200_000.0) - 100_000.0).abs() < 1e-6);
        assert!((loads.mean(199_000.0, 199_010.0) - 199_005.0).abs() < 1e-6);
    }
}
