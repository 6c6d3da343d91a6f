//! Is the share of bad requests below its limit? Decided as early as the
//! figures allow, with a bounded share of wrong answers.
//!
//! It does not know what makes a request bad, nor what load is on. Start with
//! [`Sequence`].
//!
//! # Method
//!
//! Requests are grouped into *units* of at least `1 / p` of them, where `p` is
//! the share allowed: a unit is the least that can say anything about `p`. The
//! shares of the units feed an asymptotic confidence sequence (Waudby-Smith,
//! Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and
//! asymptotic confidence sequences", Annals of Statistics 2024): an interval
//! that holds at all looks at once, so looking after every unit and stopping at
//! the first answer costs no validity. Four things are added for queues:
//!
//! - the variance is at least that of independent requests, because a few units
//!   without one bad request have a sample variance of zero and yet say little;
//! - neighbouring units resemble each other, so the variance is widened by
//!   their correlation;
//! - units that repeat in a cycle are merged by it (see `CYCLE_CORRELATION`);
//! - three units in a row in which half of the requests are bad are a failure
//!   at once. Units, not seconds: at 7/s a second holds too few requests.

/// The confidence sequence's share of wrong answers.
const ALPHA: f64 = 0.05;
/// The number of units at which the confidence sequence is tightest.
const UNITS_AIMED_AT: f64 = 20.0;
/// Correlation of neighbours above this is taken as this: the factor
/// `(1 + r) / (1 - r)` would go to infinity.
const CORRELATION_MAX: f64 = 0.8;
/// Units that repeat after a number of units, such as those of a server that
/// collects its garbage every few seconds, would look like wild noise: a stall
/// in every seventh unit has a large variance, and yet seven units in a row are
/// all alike. So where the correlation at a lag is at least this, and higher
/// than that of neighbours by a margin (a slow wave has both), the units of a
/// cycle are merged. A cycle seen by mistake does no harm: means of fewer,
/// longer units are as valid, only less sharp.
const CYCLE_CORRELATION: f64 = 0.5;
const CYCLE_ABOVE_NEIGHBOUR: f64 = 0.3;
/// The longest cycle in units, and how often it must fit in to be seen.
const CYCLE_MAX: usize = 10;
const CYCLES_SEEN_MIN: usize = 3;
/// This many cycles decide, whatever number of units is asked for, and a decision may
/// take this many.
const CYCLES_MIN: usize = 8;
const CYCLES_SPENT: usize = 24;
/// Units in a row, the share of bad requests in each, and the requests in all
/// of them, that fail at once.
const FAST_FAIL_UNITS: usize = 3;
const FAST_FAIL_SHARE: f64 = 0.5;
const FAST_FAIL_REQUESTS: u64 = 50;

/// Counts of bad requests, judged against the share allowed.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    /// The share allowed, in (0, 1).
    pub(super) share_allowed: f64,
    /// Requests that make a unit: `1 / share_allowed`, rounded up.
    unit_size: u64,
    /// Where not one bad request settles the matter by itself.
    passes_when_spotless: bool,
    units: Vec<EvidenceUnit>,
    /// The unit being filled; `n < unit_size`.
    filling: EvidenceUnit,
    total: EvidenceUnit,
}

/// What the figures say so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// The share is below the one allowed.
    Pass,
    /// The share is above the one allowed.
    Fail,
    /// Neither can be said.
    Open,
}

#[derive(Debug, Clone, Copy, Default)]
struct EvidenceUnit {
    n: u64,
    n_bad: u64,
}

impl EvidenceUnit {
    fn add(&mut self, other: EvidenceUnit) {
        self.n = self.n.saturating_add(other.n);
        self.n_bad = self.n_bad.saturating_add(other.n_bad);
    }

    fn share(self) -> f64 {
        self.n_bad as f64 / self.n.max(1) as f64
    }
}

impl Sequence {
    /// Nothing counted yet. `share_allowed` lies in (0, 1).
    pub(super) fn new(share_allowed: f64) -> Self {
        Self {
            share_allowed,
            unit_size: unit_size(share_allowed),
            passes_when_spotless: false,
            units: Vec::new(),
            filling: EvidenceUnit::default(),
            total: EvidenceUnit::default(),
        }
    }

    /// Also passes as soon as there are enough requests, all of them good, that
    /// independent ones would show a bad one with 95 % probability: 299 for a
    /// share of 1 %. For errors, which a healthy server has none of; not for
    /// latency, where a stall to come is likely enough.
    pub(super) fn passing_when_spotless(mut self) -> Self {
        self.passes_when_spotless = true;
        self
    }

    /// Counts `n` more requests, `n_bad` of them bad (at most `n`).
    pub(super) fn push(&mut self, n: u64, n_bad: u64) {
        let more = EvidenceUnit {
            n,
            n_bad: n_bad.min(n),
        };
        self.total.add(more);
        self.filling.add(more);
        if self.filling.n >= self.unit_size {
            self.units.push(self.filling);
            self.filling = EvidenceUnit::default();
        }
    }

    /// There are as many units as may be spent; or as many cycles as decide,
    /// where that is more.
    pub(super) fn is_spent(&self, n_units_max: usize) -> bool {
        let cycle = cycle_length(&self.units);
        self.units.len() >= n_units_max.max(if cycle > 1 { CYCLES_SPENT * cycle } else { 0 })
    }

    /// All requests counted.
    pub(super) fn n_requests(&self) -> u64 {
        self.total.n
    }

    /// The bad requests' share of all; 0 where there are none.
    pub(super) fn share(&self) -> f64 {
        self.total.share()
    }

    /// The answer as of now, which wants at least `n_units_min` units unless
    /// it is plain.
    pub(super) fn decide(&self, n_units_min: usize) -> Decision {
        if self.fails_fast() {
            return Decision::Fail;
        }
        if self.total.n < enough_requests(self.share_allowed) {
            return Decision::Open;
        }
        if self.passes_when_spotless && self.total.n_bad == 0 {
            return Decision::Pass;
        }
        if self.units.len() < n_units_min.max(2) {
            return Decision::Open;
        }
        let cycles = self.cycles();
        if cycles.len() < n_units_min.clamp(2, CYCLES_MIN) {
            return Decision::Open;
        }
        let (mean, half_width) = interval(&cycles, self.share_allowed);
        // The share of all requests is what is told: no answer contradicts it.
        let is_above = self.share() > self.share_allowed;
        if mean + half_width < self.share_allowed && !is_above {
            Decision::Pass
        } else if mean - half_width > self.share_allowed && is_above {
            Decision::Fail
        } else {
            Decision::Open
        }
    }

    fn fails_fast(&self) -> bool {
        let Some(first) = self.units.len().checked_sub(FAST_FAIL_UNITS) else {
            return false;
        };
        let last = &self.units[first..];
        last.iter().all(|unit| unit.share() >= FAST_FAIL_SHARE)
            && last.iter().fold(0_u64, |n, unit| n.saturating_add(unit.n)) >= FAST_FAIL_REQUESTS
            && self.share() > self.share_allowed
    }

    /// The units, merged by the length of their cycle where they have one.
    fn cycles(&self) -> Vec<EvidenceUnit> {
        self.units
            .chunks_exact(cycle_length(&self.units))
            .map(|chunk| {
                let mut cycle = EvidenceUnit::default();
                chunk.iter().for_each(|unit| cycle.add(*unit));
                cycle
            })
            .collect()
    }
}

/// The mean of the units' shares, and the half width of its confidence
/// sequence. Asked with two units or more.
fn interval(units: &[EvidenceUnit], share_allowed: f64) -> (f64, f64) {
    let t = units.len() as f64;
    let (mean, squares) = mean_and_squares(units);
    let correlation = correlation_at(units, 1).clamp(0.0, CORRELATION_MAX);
    let n_per_unit = units.iter().map(|unit| unit.n as f64).sum::<f64>() / t;
    let p = share_allowed;
    let variance = (squares / (t - 1.0)).max(p * (1.0 - p) / n_per_unit);
    let deviation = (variance * (1.0 + correlation) / (1.0 - correlation)).sqrt();
    (mean, deviation * half_width_in_deviations(t))
}

/// After how many units they repeat: 1 where they don't.
fn cycle_length(units: &[EvidenceUnit]) -> usize {
    let longest = (units.len() / CYCLES_SEEN_MIN).min(CYCLE_MAX);
    let least = CYCLE_CORRELATION.max(correlation_at(units, 1) + CYCLE_ABOVE_NEIGHBOUR);
    (2..=longest)
        .map(|lag| (lag, correlation_at(units, lag)))
        .filter(|(_, correlation)| *correlation >= least)
        .max_by(|a, b| f64::total_cmp(&a.1, &b.1))
        .map_or(1, |(lag, _)| lag)
}

/// The correlation of the units' shares with those `lag` units later, from -1 to
/// 1. Units that are all alike tell nothing of it: 0.
fn correlation_at(units: &[EvidenceUnit], lag: usize) -> f64 {
    let (mean, squares) = mean_and_squares(units);
    let products: f64 = units
        .iter()
        .zip(units.iter().skip(lag))
        .map(|(a, b)| (a.share() - mean) * (b.share() - mean))
        .sum();
    if squares > 0.0 {
        products / squares
    } else {
        0.0
    }
}

/// The mean of the units' shares and the sum of the squares about it.
fn mean_and_squares(units: &[EvidenceUnit]) -> (f64, f64) {
    let shares = || units.iter().map(|unit| unit.share());
    let mean = shares().sum::<f64>() / units.len().max(1) as f64;
    (mean, shares().map(|x| (x - mean).powi(2)).sum())
}

/// Requests that make a unit for a share allowed: its reciprocal, rounded up.
pub(super) fn unit_size(share_allowed: f64) -> u64 {
    // 1 / 0.01 and the like must not be rounded up by the last bit.
    (1.0 / share_allowed - 1e-6).ceil().max(1.0) as u64
}

/// The number of good independent requests after which a bad share of `p`
/// would have shown itself with 95 % probability.
pub(super) fn enough_requests(p: f64) -> u64 {
    (ALPHA.ln() / (-p).ln_1p()).ceil() as u64
}

/// The confidence sequence's half width after `t` units, in standard
/// deviations of a unit: 1.1 at 8, 0.56 at 30, 0.40 at 60.
fn half_width_in_deviations(t: f64) -> f64 {
    let log = -2.0 * ALPHA.ln();
    let rho_squared = (log + (log + 1.0).ln()) / UNITS_AIMED_AT;
    let grown = t * rho_squared + 1.0;
    (2.0 * grown / (t * t * rho_squared) * (grown.sqrt() / ALPHA).ln()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_widths_are_those_of_the_method() {
        for (t, expected) in [(8.0, 1.10), (30.0, 0.56), (60.0, 0.40)] {
            let half = half_width_in_deviations(t);
            assert!((half - expected).abs() < 0.01, "{t}: {half}");
        }
    }

    #[test]
    fn units_and_least_counts() {
        let check = |p, unit, enough| {
            assert_eq!(unit_size(p), unit);
            assert_eq!(enough_requests(p), enough);
        };
        check(1.0 - 0.95, 20, 59);
        check(1.0 - 0.99, 100, 299);
        check(1.0 - 0.999, 1000, 2995);
        check(0.3, 4, 9);
        // As it comes from 1 - 0.99 in floating point.
        assert_eq!(Sequence::new(1.0 - 0.99).unit_size, 100);
    }

    /// Feeds equal ticks.
    fn fed(p: f64, n_ticks: usize, n: u64, n_bad: u64) -> Sequence {
        let mut sequence = Sequence::new(p);
        for _ in 0..n_ticks {
            sequence.push(n, n_bad);
        }
        sequence
    }

    #[test]
    fn few_requests_decide_nothing_even_without_a_bad_one() {
        // 8 ticks of 10 are 80 requests and no full unit of p99.
        assert_eq!(fed(0.01, 8, 10, 0).decide(8), Decision::Open);
        // 8 units of 100: the variance floor keeps it open, 12 are enough.
        assert_eq!(fed(0.01, 8, 100, 0).decide(8), Decision::Open);
        assert_eq!(fed(0.01, 12, 100, 0).decide(8), Decision::Pass);
        assert_eq!(fed(0.01, 12, 100, 0).decide(20), Decision::Open);
        assert_eq!(Sequence::new(0.01).decide(0), Decision::Open);
    }

    #[test]
    fn plain_cases_are_decided() {
        assert_eq!(fed(0.05, 8, 1000, 10).decide(8), Decision::Pass);
        assert_eq!(fed(0.05, 8, 1000, 100).decide(8), Decision::Fail);
        assert_eq!(fed(0.05, 60, 1000, 50).decide(8), Decision::Open);
    }

    #[test]
    fn half_of_the_requests_bad_fails_by_units_not_by_ticks() {
        assert_eq!(fed(0.05, 3, 20, 10).decide(8), Decision::Fail);
        assert_eq!(fed(0.05, 3, 20, 9).decide(8), Decision::Open);
        // Three ticks of 7 requests are one unit.
        assert_eq!(fed(0.05, 3, 7, 7).decide(8), Decision::Open);
        assert_eq!(fed(0.05, 9, 7, 7).decide(8), Decision::Fail);
        // A share of a half makes units of 2, three of which are nothing.
        assert_eq!(fed(0.5, 3, 2, 2).decide(8), Decision::Open);
    }

    #[test]
    fn no_error_at_all_passes_early_where_it_may() {
        let spotless = |n| {
            let mut sequence = Sequence::new(0.01).passing_when_spotless();
            sequence.push(n, 0);
            sequence.decide(8)
        };
        assert_eq!(spotless(298), Decision::Open);
        assert_eq!(spotless(299), Decision::Pass);
        assert_eq!(fed(0.01, 3, 100, 0).decide(8), Decision::Open);
    }

    #[test]
    fn correlated_units_count_for_less() {
        let mut waves = Sequence::new(0.05);
        let mut mixed = Sequence::new(0.05);
        for i in 0..30 {
            waves.push(1000, if i / 5 % 2 == 0 { 10 } else { 50 });
            mixed.push(1000, if i % 2 == 0 { 10 } else { 50 });
        }
        let (waves, mixed) = (interval(&waves.units, 0.05), interval(&mixed.units, 0.05));
        assert!((waves.0 - mixed.0).abs() < 1e-12);
        assert!(waves.1 > 1.5 * mixed.1, "{waves:?} {mixed:?}");
    }

    #[test]
    fn the_share_of_wrong_answers_is_bounded_at_any_number_of_looks() {
        // Independent requests exactly at the limit: any answer is wrong.
        let mut random = fastrand::Rng::with_seed(11);
        let n_runs = 400;
        let mut n_wrong = 0;
        for _ in 0..n_runs {
            let mut sequence = Sequence::new(0.05);
            for _ in 0..60 {
                let n_bad = (0..100).filter(|_| random.f64() < 0.05).count();
                sequence.push(100, n_bad as u64);
                if sequence.decide(8) != Decision::Open {
                    n_wrong += 1;
                    break;
                }
            }
        }
        // Both sides together are allowed 5 %; a small sample's variance and
        // the asymptotics add a little.
        assert!(n_wrong * 100 <= n_runs * 8, "{n_wrong} of {n_runs}");
    }
}
