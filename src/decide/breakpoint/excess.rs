//! The rule of ten: a share of requests stays over what is allowed.
//!
//! Over the last ten units of time the share must be over the limit, in at least six
//! of the units too, and by more than chance. A plain sliding window aborts good runs:
//! at 95 % of a queue's true capacity it raised 51 alarms in 60 runs, this rule none.
//! Units are lengthened up to 6 s until the ten hold 100 requests; below that it says
//! nothing. It does not know what is counted. Start with [`Excess::on_interval`].

use std::collections::VecDeque;

/// The rule's memory.
#[derive(Debug, Clone)]
pub(super) struct Excess {
    allowed: f64,
    open: Unit,
    units: VecDeque<Unit>,
}

/// Requests of some seconds, and how many of them count as bad.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Unit {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) n: u64,
    pub(super) n_bad: u64,
}

/// What raised the alarm.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ExcessAlarm {
    /// The whole window.
    pub(super) window: Unit,
    /// The units of ten in which the share was over the limit.
    pub(super) n_over: u32,
    pub(super) began: Began,
}

/// The unit in which it began: from and to, in seconds.
pub(super) type Began = (f64, f64);

const N_UNITS: usize = 10;
const N_OVER_NEEDED: usize = 6;
const LEAST_REQUESTS: u64 = 100;
const LEAST_UNIT_SECS: f64 = 1.0;
/// Ten units of this are a minute.
const LONGEST_UNIT_SECS: f64 = 6.0;
/// How far back the beginning of a break is looked for.
const N_REMEMBERED: usize = 600;

impl Excess {
    /// `allowed`: the share of bad requests that is still good, 0 to 1.
    pub(super) fn new(allowed: f64) -> Self {
        Self {
            allowed,
            open: Unit::default(),
            units: VecDeque::new(),
        }
    }

    /// Forgets everything but the limit.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.allowed);
    }

    /// Adds an interval and judges if it completes a unit.
    pub(super) fn on_interval(&mut self, interval: Unit) -> Option<ExcessAlarm> {
        self.open = self.open.with(&interval);
        if self.open.end - self.open.start < LEAST_UNIT_SECS - 1e-6 {
            return None;
        }
        self.units.push_back(std::mem::take(&mut self.open));
        if self.units.len() > N_REMEMBERED {
            self.units.pop_front();
        }
        let groups = self.groups()?;
        let recent = &groups[groups.len() - N_UNITS..];
        let window = recent
            .iter()
            .fold(Unit::default(), |sum, unit| sum.with(unit));
        let n_over = recent.iter().filter(|unit| self.is_over(unit)).count();
        if n_over < N_OVER_NEEDED || !exceeds_by_more_than_chance(&window, self.allowed) {
            return None;
        }
        Some(ExcessAlarm {
            window,
            n_over: n_over as u32,
            began: self.beginning(&groups),
        })
    }

    /// The remembered units merged to equal groups, the shortest of which ten hold
    /// enough requests; in order of time.
    fn groups(&self) -> Option<Vec<Unit>> {
        let unit_secs = self.units.back().map(|unit| unit.end - unit.start)?;
        let longest = ((LONGEST_UNIT_SECS / unit_secs) as usize).max(1);
        let size = (1..=longest).find(|size| {
            let n_needed = N_UNITS * size;
            let recent = self.units.iter().rev().take(n_needed);
            self.units.len() >= n_needed && recent.map(|unit| unit.n).sum::<u64>() >= LEAST_REQUESTS
        })?;
        let n_left_out = self.units.len() % size;
        let units: Vec<Unit> = self.units.iter().skip(n_left_out).copied().collect();
        Some(
            units
                .chunks(size)
                .map(|chunk| {
                    chunk
                        .iter()
                        .fold(Unit::default(), |sum, unit| sum.with(unit))
                })
                .collect(),
        )
    }

    fn is_over(&self, unit: &Unit) -> bool {
        unit.n_bad as f64 > self.allowed * unit.n as f64
    }

    /// The first group since which more of them were over the limit than were not,
    /// without a break in between: lone bursts before do not count.
    fn beginning(&self, groups: &[Unit]) -> Began {
        let mut balance = 0_u32;
        let mut began = (0.0, 0.0);
        for unit in groups {
            if self.is_over(unit) {
                if balance == 0 {
                    began = (unit.start, unit.end);
                }
                balance += 1;
            } else {
                balance = balance.saturating_sub(1);
            }
        }
        began
    }
}

impl Unit {
    pub(super) fn with(&self, later: &Self) -> Self {
        let is_empty = self.end <= self.start;
        Self {
            start: if is_empty { later.start } else { self.start },
            end: later.end,
            n: self.n.saturating_add(later.n),
            n_bad: self.n_bad.saturating_add(later.n_bad),
        }
    }

    pub(super) fn share(&self) -> f64 {
        self.n_bad as f64 / self.n.max(1) as f64
    }
}

/// Whether this many bad requests occur by chance in less than 0.5 % of windows with exactly
/// the allowed share: 5 of 100 at 1 %.
///
/// The binomial quantile by Cornish and Fisher's expansion (normal plus skewness).
fn exceeds_by_more_than_chance(window: &Unit, allowed: f64) -> bool {
    const Z: f64 = 2.576;
    let mean = window.n as f64 * allowed;
    let sd = (mean * (1.0 - allowed)).max(0.0).sqrt();
    let skewness = (1.0 - 2.0 * allowed) * (Z * Z - 1.0) / 6.0;
    window.n_bad as f64 > mean + Z * sd + skewness
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(excess: &mut Excess, from: u32, shares: &[(u64, u64)]) -> Option<(u32, ExcessAlarm)> {
        (from..).zip(shares).find_map(|(second, (n, n_bad))| {
            let unit = Unit {
                start: f64::from(second),
                end: f64::from(second + 1),
                n: *n,
                n_bad: *n_bad,
            };
            excess.on_interval(unit).map(|alarm| (second, alarm))
        })
    }

    #[test]
    fn chance_is_the_binomial_tail() {
        let tail = |n: u64, k: u64, p: f64| {
            let mut term = (1.0 - p).powi(n as i32);
            let mut below = 0.0;
            for j in 0..k {
                below += term;
                term *= (n - j) as f64 / (j + 1) as f64 * p / (1.0 - p);
            }
            1.0 - below
        };
        for (n, p) in [
            (100, 0.01),
            (100, 0.05),
            (300, 0.01),
            (1000, 0.01),
            (1000, 0.05),
            (5000, 0.05),
        ] {
            let least = (0..n)
                .find(|k| {
                    exceeds_by_more_than_chance(
                        &Unit {
                            start: 0.0,
                            end: 1.0,
                            n,
                            n_bad: *k,
                        },
                        p,
                    )
                })
                .unwrap_or(n);
            assert!(
                tail(n, least, p) < 0.0065,
                "{n} {p} {least} {}",
                tail(n, least, p)
            );
            assert!(tail(n, least - 1, p) > 0.004, "{n} {p} {least}");
        }
        assert!(exceeds_by_more_than_chance(
            &Unit {
                start: 0.0,
                end: 1.0,
                n: 100,
                n_bad: 5
            },
            0.01
        ));
        assert!(!exceeds_by_more_than_chance(
            &Unit {
                start: 0.0,
                end: 1.0,
                n: 100,
                n_bad: 4
            },
            0.01
        ));
    }

    #[test]
    fn one_burst_is_no_alarm_and_six_units_are() {
        let mut excess = Excess::new(0.01);
        let mut shares = vec![(1000, 2); 30];
        shares[15] = (1000, 900);
        assert_eq!(feed(&mut excess, 0, &shares), None);
        let (second, alarm) = feed(&mut excess, 30, &[(1000, 30); 10]).expect("an alarm");
        assert_eq!(second, 35);
        assert_eq!(alarm.began, (30.0, 31.0));
        assert_eq!(alarm.n_over, 6);
        assert_eq!(alarm.window.n, 10_000);
        assert!((alarm.window.share() - 0.0188).abs() < 1e-9);
    }

    #[test]
    fn few_requests_lengthen_the_units_then_silence_it() {
        let mut excess = Excess::new(0.05);
        // 2 a second: only a whole minute holds 100.
        let (second, alarm) = feed(&mut excess, 0, &[(2, 1); 100]).expect("an alarm");
        assert_eq!(second, 49);
        assert_eq!(alarm.window.n, 100);
        assert_eq!(alarm.began, (0.0, 5.0));
        let mut excess = Excess::new(0.05);
        assert_eq!(feed(&mut excess, 0, &[(1, 1); 200]), None);
    }

    #[test]
    fn short_intervals_are_merged_to_seconds() {
        let mut excess = Excess::new(0.01);
        let alarm = (0..200).find_map(|tick| {
            let start = f64::from(tick) * 0.1;
            let unit = Unit {
                start,
                end: start + 0.1,
                n: 10,
                n_bad: 1,
            };
            excess.on_interval(unit).map(|alarm| (tick, alarm))
        });
        let (tick, alarm) = alarm.expect("an alarm");
        assert_eq!(tick, 99);
        assert_eq!(alarm.n_over, 10);
    }
}
