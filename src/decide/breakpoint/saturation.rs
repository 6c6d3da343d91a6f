//! Saturation: more load gives no more throughput.
//!
//! A generalised likelihood ratio test of "one line through the origin" against "the
//! same line, then flat". Below the knee each virtual user adds `1 / (response time +
//! think time)` to the rate, and in an open model each arrival one completion; above
//! the knee the rate stays at the ceiling. Completions are compared by Pearson's
//! statistic, divided by the over-dispersion and autocorrelation seen in the run
//! itself, so that a server whose speed wanders needs more evidence.
//!
//! It does not know why, and it cannot tell a knee from a server that grows slower
//! with time while the load grows: only less load would show that. Start with
//! [`Saturation::on_window`].

use super::evidence::SaturationEvidence;
use super::loads::Loads;
use super::window::Interval;
use crate::load::LoadUnit;

/// The test's state: bins of completions over the whole run, bounded in number.
#[derive(Debug, Clone)]
pub(super) struct Saturation {
    kind: LoadUnit,
    rule: SaturationRule,
    open: Bin,
    bins: Vec<Bin>,
    /// Bins below this many seconds are not closed. Doubled when there are too many.
    least_secs: f64,
    n_skipped: usize,
    n_since_evaluation: usize,
    /// Evaluations in a row that found a knee.
    n_positive: usize,
    /// That of the first alarm.
    first_knee: Option<f64>,
    /// What the last evaluation that found a knee found; `None` since one that did not.
    evidence: Option<SaturationEvidence>,
}

/// How much evidence is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SaturationRule {
    /// The likelihood ratio to exceed.
    pub(super) ratio: f64,
    /// Evaluations in a row that must agree.
    pub(super) n_evaluations: usize,
}

/// Fewer completions say too little about a rate (their own noise is 18 %).
const LEAST_COMPLETIONS: f64 = 30.0;
/// Connections are opened and caches filled while these pass.
const N_SKIPPED: usize = 3;
const LEAST_BINS: usize = 18;
const EVALUATE_EVERY: usize = 3;
/// Bins are merged in pairs beyond this, so that a soak of days stays bounded.
const MAX_BINS: usize = 600;
/// Candidates for the knee are spaced evenly in log scale: forty, numbered from zero.
const LAST_CANDIDATE: f64 = 39.0;
/// More load than this, as a share of the knee, does not refine it further.
const REFINED_UP_TO: f64 = 1.5;
/// Of the highest load: less counts as this much.
const LEAST_LOAD_SHARE: f64 = 0.01;
/// The knee must lie this far below the load reached.
const BEYOND: f64 = 1.2;

impl SaturationRule {
    /// For a run that only reports.
    pub(super) const REPORT: Self = Self {
        ratio: 20.0,
        n_evaluations: 2,
    };
    /// For a run that is stopped by it.
    pub(super) const STOP: Self = Self {
        ratio: 30.0,
        n_evaluations: 3,
    };

    fn is_met(&self, fit: &Fit) -> bool {
        fit.ratio > self.ratio
            && fit.slope_after + 1.645 * fit.slope_error < 0.5
            && fit.highest >= BEYOND * fit.knee
    }
}

impl Saturation {
    pub(super) fn new(kind: LoadUnit, rule: SaturationRule) -> Self {
        Self {
            kind,
            rule,
            open: Bin::default(),
            bins: Vec::new(),
            least_secs: 0.0,
            n_skipped: 0,
            n_since_evaluation: 0,
            n_positive: 0,
            first_knee: None,
            evidence: None,
        }
    }

    /// Adds an interval, whose load `loads` holds already. `None` while throughput
    /// follows the load, or there is too little to tell.
    pub(super) fn on_window(
        &mut self,
        interval: &Interval,
        loads: &Loads,
    ) -> Option<SaturationEvidence> {
        let open = &mut self.open;
        if open.is_empty() {
            open.start = interval.start;
        }
        open.end = interval.end;
        open.n_ok += interval.n_ok as f64;
        open.n_ended += interval.n_ended() as f64;
        open.latency_sum_secs += interval.latency_sum_secs;
        if open.n_ended < LEAST_COMPLETIONS || open.seconds() < self.least_secs {
            return self.evidence;
        }
        let bin = std::mem::take(&mut self.open);
        if self.n_skipped < N_SKIPPED {
            self.n_skipped += 1;
            return self.evidence;
        }
        self.bins.push(bin);
        if self.bins.len() > MAX_BINS {
            self.merge_pairs();
        }
        self.n_since_evaluation += 1;
        if self.bins.len() < LEAST_BINS {
            self.evidence = None;
        } else if self.n_since_evaluation >= EVALUATE_EVERY {
            self.n_since_evaluation = 0;
            self.evaluate(loads);
        }
        self.evidence
    }

    fn evaluate(&mut self, loads: &Loads) {
        let variants = self.points(loads);
        let has_enough = variants
            .first()
            .is_some_and(|points| points.len() >= LEAST_BINS);
        let fit = has_enough.then(|| Fit::best(variants)).flatten();
        let Some(fit) = fit.filter(|fit| self.rule.is_met(fit)) else {
            self.n_positive = 0;
            self.evidence = None;
            return;
        };
        self.n_positive += 1;
        // Far beyond the knee a server may collapse, which would draw the fit down.
        let is_too_far = self
            .first_knee
            .is_some_and(|knee| fit.highest > REFINED_UP_TO * knee);
        if self.n_positive >= self.rule.n_evaluations && !is_too_far {
            self.first_knee.get_or_insert(fit.knee);
            self.evidence = Some(SaturationEvidence {
                knee: fit.knee,
                is_at_or_below: fit.is_lowest_candidate,
                ceiling_per_second: fit.slope * fit.knee,
            });
        }
    }

    /// The bins with the load that caused their completions, once for each way in
    /// which virtual users may begin.
    ///
    /// Completions follow a moving load at a distance. For users that come with response
    /// time `R` and pause `Z` it is `(R + Z) / 2` if they pause first, `(R − Z) / 2` if
    /// they send first and pauses are equal, `R / 2 − Z` if pauses are exponential: all
    /// from the renewal theorem's second term. Nobody tells this module which, so the
    /// line and its alternative are both fitted at the distance that suits them best.
    /// In an open model each arrival completes `R` later.
    fn points(&self, loads: &Loads) -> Vec<Vec<Point>> {
        let pause = self.pause_secs(loads);
        let weights: &[f64] = match self.kind {
            LoadUnit::Vus if pause > 0.0 => &[0.5, 0.0, -0.5, -1.0],
            _ => &[0.0],
        };
        let (first, last) = (loads.first_time(), loads.last_time());
        let usable: Vec<(&Bin, f64)> = self
            .bins
            .iter()
            .map(|bin| {
                let response = bin.latency_sum_secs / bin.n_ok.max(1.0);
                let lag = match self.kind {
                    LoadUnit::Vus => response / 2.0,
                    LoadUnit::Rate => response,
                };
                (bin, lag)
            })
            .filter(|(bin, lag)| {
                // What was caused before the record began, or by load that is not
                // known yet, says nothing.
                let earliest = bin.start - lag - weights[0] * pause;
                let latest = bin.end - lag - weights[weights.len() - 1] * pause;
                earliest >= first && latest <= last
            })
            .collect();
        let floor = LEAST_LOAD_SHARE * loads.highest_below(f64::INFINITY).unwrap_or(1.0);
        weights
            .iter()
            .map(|weight| {
                usable
                    .iter()
                    .map(|(bin, lag)| {
                        let lag = lag + weight * pause;
                        Point {
                            // A user that leaves may still get its last answer.
                            load: loads.mean(bin.start - lag, bin.end - lag).max(floor),
                            seconds: bin.seconds(),
                            n: bin.n_ok,
                        }
                    })
                    .collect()
            })
            .collect()
    }

    /// What a virtual user spends between an answer and its next request, by Little's
    /// law from the bins themselves: `users / rate − response time`, their median.
    fn pause_secs(&self, loads: &Loads) -> f64 {
        if self.kind == LoadUnit::Rate {
            return 0.0;
        }
        let mut pauses: Vec<f64> = self
            .bins
            .iter()
            .filter(|bin| bin.n_ok >= 1.0)
            .map(|bin| {
                let cycle = loads.mean(bin.start, bin.end) * bin.seconds() / bin.n_ok;
                (cycle - bin.latency_sum_secs / bin.n_ok).max(0.0)
            })
            .collect();
        if pauses.is_empty() {
            return 0.0;
        }
        let middle = pauses.len() / 2;
        *pauses.select_nth_unstable_by(middle, f64::total_cmp).1
    }

    fn merge_pairs(&mut self) {
        self.bins = self
            .bins
            .chunks(2)
            .map(|pair| pair.iter().fold(Bin::default(), |sum, bin| sum.with(bin)))
            .collect();
        let total: f64 = self.bins.iter().map(Bin::seconds).sum();
        self.least_secs = total / self.bins.len() as f64 * 0.99;
    }
}

/// The alternative at its best, against one line.
#[derive(Debug, Clone, PartialEq)]
struct Fit {
    knee: f64,
    is_lowest_candidate: bool,
    highest: f64,
    slope: f64,
    ratio: f64,
    slope_after: f64,
    slope_error: f64,
}

impl Fit {
    /// The best over all variants of the same completions, against the straight line
    /// at its own best. `None` when the loads do not leave room for a knee.
    fn best(variants: Vec<Vec<Point>>) -> Option<Self> {
        let sums: Vec<RunningSums> = variants
            .iter()
            .map(|points| RunningSums::of(points))
            .collect();
        let straight = sums
            .iter()
            .map(|sums| sums.deviance(f64::INFINITY).0)
            .min_by(f64::total_cmp)?;
        let (idx, knee) = sums
            .iter()
            .enumerate()
            .filter_map(|(idx, sums)| Some((idx, KneeSearch::new(sums)?.best()?)))
            .min_by(|a, b| a.1.deviance.total_cmp(&b.1.deviance))?;
        Some(Self::of(&variants[idx], &knee, straight))
    }

    /// `points` in order of time.
    fn of(points: &[Point], found: &Knee, straight: f64) -> Self {
        let Knee {
            knee,
            deviance,
            slope,
            ..
        } = *found;
        let residuals: Vec<f64> = points
            .iter()
            .map(|point| {
                let expected = point.expected(slope, knee);
                (point.n - expected) / expected.sqrt()
            })
            .collect();
        let products: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let squares: f64 = residuals.iter().map(|residual| residual * residual).sum();
        let correlation = if squares > 0.0 {
            (products / squares).clamp(0.0, 0.8)
        } else {
            0.0
        };
        let dispersion = (deviance / (points.len() as f64 - 2.0)).max(1.0) * (1.0 + correlation)
            / (1.0 - correlation);

        let (mut weighted, mut information) = (0.0, 0.0);
        for point in points {
            let expected = point.expected(slope, knee);
            let growth = slope * (point.load - knee).max(0.0) * point.seconds;
            weighted += growth * (point.n - expected) / expected;
            information += growth * growth / expected;
        }
        Self {
            knee,
            is_lowest_candidate: found.is_lowest_candidate,
            highest: found.highest,
            slope,
            ratio: (straight - deviance) / dispersion,
            slope_after: weighted / information,
            slope_error: (dispersion / information).sqrt(),
        }
    }
}

/// Running sums over the points in order of load, so that a candidate costs a search
/// instead of a pass.
struct RunningSums {
    /// Ascending.
    loads: Vec<f64>,
    /// Up to each point: load times seconds, seconds, n² / (load · seconds), n² / seconds.
    upto: Vec<[f64; 4]>,
    n: f64,
}

impl RunningSums {
    fn of(points: &[Point]) -> Self {
        let mut ordered = points.to_vec();
        ordered.sort_unstable_by(|a, b| a.load.total_cmp(&b.load));
        let mut sums = [0.0; 4];
        let upto = ordered
            .iter()
            .map(|point| {
                let square = point.n * point.n / point.seconds;
                let terms = [
                    point.load * point.seconds,
                    point.seconds,
                    square / point.load,
                    square,
                ];
                for (sum, term) in sums.iter_mut().zip(terms) {
                    *sum += term;
                }
                sums
            })
            .collect();
        Self {
            loads: ordered.iter().map(|point| point.load).collect(),
            upto,
            n: points.iter().map(|point| point.n).sum(),
        }
    }

    /// Pearson's statistic of "a line up to `knee`, then flat", and the line's best
    /// slope. As the expected sum is the observed one,
    /// `Σ (n − E)² / E = Σ n² / E − Σ n`.
    fn deviance(&self, knee: f64) -> (f64, f64) {
        let n_below = self.loads.partition_point(|load| *load <= knee);
        let zero = [0.0; 4];
        let below = n_below.checked_sub(1).map_or(zero, |idx| self.upto[idx]);
        let all = self.upto.last().copied().unwrap_or(zero);
        let (mut exposure, mut squares) = (below[0], below[2]);
        if n_below < self.loads.len() {
            exposure += knee * (all[1] - below[1]);
            squares += (all[3] - below[3]) / knee;
        }
        let slope = self.n / exposure;
        (squares / slope - self.n, slope)
    }
}

/// The knees that the loads leave room for.
struct KneeSearch<'a> {
    sums: &'a RunningSums,
    highest: f64,
    low: f64,
    step: f64,
}

#[derive(Debug, Clone, Copy)]
struct Knee {
    knee: f64,
    slope: f64,
    deviance: f64,
    is_lowest_candidate: bool,
    highest: f64,
}

impl<'a> KneeSearch<'a> {
    /// From the fifth lowest load to a sixth below the highest.
    fn new(sums: &'a RunningSums) -> Option<Self> {
        let highest = *sums.loads.last()?;
        let low = sums.loads.get(4)?.max(0.05 * highest);
        let high = highest / BEYOND;
        // Written so that NaN is refused as well.
        (low > 0.0 && low < high).then(|| Self {
            sums,
            highest,
            low,
            step: (high / low).powf(1.0 / LAST_CANDIDATE),
        })
    }

    fn best(&self) -> Option<Knee> {
        let coarse = (0..=LAST_CANDIDATE as u32)
            .map(|idx| self.at(f64::from(idx)))
            .min_by(|a, b| a.1.deviance.total_cmp(&b.1.deviance))?;
        // A finer look around the best: the steps are up to 7 % apart.
        (-9..=9)
            .map(|part| self.at(coarse.0 + f64::from(part) / 10.0))
            .min_by(|a, b| a.1.deviance.total_cmp(&b.1.deviance))
            .map(|(_, knee)| knee)
    }

    /// The candidate at a position between 0 and the last, which need not be whole.
    fn at(&self, position: f64) -> (f64, Knee) {
        let position = position.clamp(0.0, LAST_CANDIDATE);
        let knee = self.low * self.step.powf(position);
        let (deviance, slope) = self.sums.deviance(knee);
        let found = Knee {
            knee,
            slope,
            deviance,
            is_lowest_candidate: position <= 0.0,
            highest: self.highest,
        };
        (position, found)
    }
}

/// A bin with the load that caused its completions.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// Above zero.
    load: f64,
    seconds: f64,
    n: f64,
}

impl Point {
    fn expected(&self, slope: f64, knee: f64) -> f64 {
        slope * self.load.min(knee) * self.seconds
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Bin {
    start: f64,
    end: f64,
    n_ok: f64,
    n_ended: f64,
    latency_sum_secs: f64,
}

impl Bin {
    fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    fn seconds(&self) -> f64 {
        self.end - self.start
    }

    fn with(&self, later: &Self) -> Self {
        Self {
            start: if self.is_empty() {
                later.start
            } else {
                self.start
            },
            end: later.end,
            n_ok: self.n_ok + later.n_ok,
            n_ended: self.n_ended + later.n_ended,
            latency_sum_secs: self.latency_sum_secs + later.latency_sum_secs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(loads: impl Iterator<Item = f64>, rate: impl Fn(f64) -> f64) -> Vec<Point> {
        loads
            .map(|load| Point {
                load,
                seconds: 2.0,
                n: 2.0 * rate(load),
            })
            .collect()
    }

    fn ramp() -> impl Iterator<Item = f64> {
        (1..=60).map(f64::from)
    }

    #[test]
    fn an_exact_knee_is_fitted_exactly() {
        let fit = Fit::best(vec![points(ramp(), |load| 20.0 * load.min(30.0))]).expect("a fit");
        assert!((fit.knee / 30.0 - 1.0).abs() < 0.01, "{fit:?}");
        assert!((fit.slope - 20.0).abs() < 0.2, "{fit:?}");
        assert!(fit.slope_after.abs() < 0.05, "{fit:?}");
        assert!(fit.ratio > 100.0, "{fit:?}");
        assert_eq!(fit.highest, 60.0);
        assert!(!fit.is_lowest_candidate);
    }

    #[test]
    fn a_line_has_no_knee() {
        let fit = Fit::best(vec![points(ramp(), |load| 20.0 * load)]).expect("a fit");
        assert!(fit.ratio < 1e-6, "{fit:?}");
    }

    #[test]
    fn steady_load_leaves_no_room() {
        let steady = points(ramp().map(|_| 20.0), |load| 5.0 * load);
        assert_eq!(Fit::best(vec![steady]), None);
        assert_eq!(Fit::best(vec![Vec::new()]), None);
    }

    /// The sums agree with the statistic's definition.
    #[test]
    fn sums_are_pearsons_statistic() {
        let points = points(ramp(), |load| 7.0 * load.sqrt() + load % 3.0);
        let sums = RunningSums::of(&points);
        for knee in [2.5, 17.0, 60.0, f64::INFINITY] {
            let (deviance, slope) = sums.deviance(knee);
            let expected: f64 = points
                .iter()
                .map(|point| {
                    let expected = point.expected(slope, knee);
                    (point.n - expected).powi(2) / expected
                })
                .sum();
            assert!((deviance / expected - 1.0).abs() < 1e-9, "{knee}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut saturation = Saturation::new(LoadUnit::Vus, SaturationRule::REPORT);
        let mut loads = Loads::default();
        for second in 0..5_000 {
            let (start, end) = (f64::from(second), f64::from(second + 1));
            loads.push(start, end, 10.0);
            let interval = Interval {
                start,
                end,
                n_ok: 50,
                n_failed: 0,
                n_timed_out: 0,
                in_flight: 10,
                latency_sum_secs: 5.0,
                n_over_limit: 0,
                sketch: Default::default(),
            };
            assert_eq!(saturation.on_window(&interval, &loads), None);
            assert!(saturation.bins.len() <= MAX_BINS);
        }
    }
}
