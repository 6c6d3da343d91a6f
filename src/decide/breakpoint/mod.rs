//! The breaking point: the load at which a server stops keeping up, found while any
//! ramp runs.
//!
//! A pure function of windows of *interval* figures (never cumulative), each with its
//! load. It knows three ways to break and says which, with the evidence: saturation
//! (`saturation`), errors (`errors`) and latency (`latency`). It reports the load at
//! which the break began, not where it was noticed. It does not know the clock, nor
//! where the figures come from, nor what is done about a break.
//!
//! Start with [`Detector::on_window`].

mod errors;
mod evidence;
mod excess;
mod latency;
mod loads;
mod saturation;
mod sketch;
mod text;
mod window;

#[cfg(test)]
mod proof;

use std::time::Duration;

use errors::Errors;
pub use evidence::{Break, Cause, ErrorEvidence};
use latency::LatencyRule;
use loads::Loads;
use saturation::{Saturation, SaturationRule};
use window::Interval;
pub use window::{Latencies, Window};

use crate::load::LoadUnit;

/// Watches a run for its breaking point.
#[derive(Debug, Clone)]
pub struct Detector {
    kind: LoadUnit,
    loads: Loads,
    saturation: Saturation,
    errors: Errors,
    latency: LatencyRule,
    breaks: Vec<Break>,
}

/// What counts as broken. The defaults are those of a run that only reports.
#[derive(Debug, Clone, PartialEq)]
pub struct DetectorOptions {
    /// What [`Window::load`] counts.
    pub load: LoadUnit,
    /// The latency that 99 % of the requests must keep; `None` for three times the
    /// baseline.
    pub latency_limit_ns: Option<u64>,
    /// The share of requests that may fail, between 0 and 1; 0.05 unless given.
    pub max_error_share: f64,
    /// What saturation will lead to; more evidence is asked for to stop a run.
    pub purpose: Purpose,
}

/// What is done about a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is shown, and the run goes on.
    Report,
    /// The run stops.
    Stop,
}

impl Detector {
    /// A detector that has seen nothing.
    pub fn new(options: DetectorOptions) -> Self {
        let rule = match options.purpose {
            Purpose::Report => SaturationRule::REPORT,
            Purpose::Stop => SaturationRule::STOP,
        };
        Self {
            kind: options.load,
            loads: Loads::default(),
            saturation: Saturation::new(options.load, rule),
            errors: Errors::new(options.max_error_share),
            latency: LatencyRule::new(options.latency_limit_ns),
            breaks: Vec::new(),
        }
    }

    /// Takes the next window and yields the breaks noticed with it: at most one of
    /// each kind in a run.
    pub fn on_window(&mut self, window: &Window<'_>) -> &[Break] {
        let n_known = self.breaks.len();
        let end = window.end.as_secs_f64();
        let start = end - window.length.as_secs_f64();
        if !(end > start && window.load.is_finite()) {
            return &[];
        }
        self.loads.push(start, end, window.load.max(0.0));
        let interval = Interval::new((start, end), window, self.latency.limit_ns);
        self.judge_errors(&interval);
        self.judge_latency(&interval);
        self.judge_saturation(&interval);
        &self.breaks[n_known..]
    }

    /// All breaks noticed so far, in the order of being noticed. The evidence of
    /// saturation is refined while the run goes on.
    pub fn breaks(&self) -> &[Break] {
        &self.breaks
    }

    fn judge_saturation(&mut self, interval: &Interval) {
        let Some(evidence) = self.saturation.on_window(interval, &self.loads) else {
            return;
        };
        let began = self.loads.first_reached(evidence.knee);
        let last_good_load = self.loads.highest_below(evidence.knee);
        let known = self
            .breaks
            .iter_mut()
            .find(|found| matches!(found.cause, Cause::Saturation(_)));
        if let Some(known) = known {
            known.load = evidence.knee;
            known.last_good_load = last_good_load;
            known.began = Duration::from_secs_f64(began.max(0.0));
            known.cause = Cause::Saturation(evidence);
        } else {
            let load = evidence.knee;
            let cause = Cause::Saturation(evidence);
            self.notice(interval, cause, began, load, last_good_load);
        }
    }

    fn judge_errors(&mut self, interval: &Interval) {
        if let Some((evidence, began)) = self.errors.on_window(interval) {
            let (load, last_good) = self.loads_around(began.0, began.1, 0.0);
            self.notice(interval, Cause::Errors(evidence), began.0, load, last_good);
        }
    }

    fn judge_latency(&mut self, interval: &Interval) {
        let found = self.latency.on_window(interval, &self.loads);
        if let Some((evidence, began)) = found {
            // What ended too late had been sent at least the limit before.
            let lag = evidence.limit_ns as f64 / 1e9;
            let (load, last_good) = self.loads_around(began.0, began.1, lag);
            self.notice(interval, Cause::Latency(evidence), began.0, load, last_good);
        }
    }

    /// The mean load of an interval, and that of the interval of equal length before.
    fn loads_around(&self, start: f64, end: f64, lag: f64) -> (f64, Option<f64>) {
        let first = self.loads.first_time();
        let start_of_load = (start - lag).max(first);
        let end_of_load = (end - lag).max(start_of_load + (end - start) * 0.1);
        let load = self.loads.mean(start_of_load, end_of_load);
        let before = start_of_load - (end - start);
        let last_good = (start > first && start_of_load > first)
            .then(|| self.loads.mean(before.max(first), start_of_load));
        (load, last_good)
    }

    fn notice(
        &mut self,
        interval: &Interval,
        cause: Cause,
        began: f64,
        load: f64,
        last_good_load: Option<f64>,
    ) {
        self.breaks.push(Break {
            cause,
            load,
            last_good_load,
            began: Duration::from_secs_f64(began.max(0.0)),
            noticed: Duration::from_secs_f64(interval.end.max(0.0)),
            load_unit: self.kind,
        });
    }
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self {
            load: LoadUnit::Vus,
            latency_limit_ns: None,
            max_error_share: 0.05,
            purpose: Purpose::Report,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_window_without_length_or_load_is_ignored() {
        let mut detector = Detector::new(DetectorOptions::default());
        let none = Vec::new();
        let window = Window {
            end: Duration::from_secs(1),
            length: Duration::ZERO,
            load: 5.0,
            ok: 0,
            failed: 1000,
            timed_out: 0,
            in_flight: 0,
            latencies: &none,
        };
        for _ in 0..100 {
            assert!(detector.on_window(&window).is_empty());
            let window = Window {
                length: Duration::from_secs(1),
                load: f64::NAN,
                ..window
            };
            assert!(detector.on_window(&window).is_empty());
        }
        assert_eq!(detector.breaks(), []);
    }

    /// Timeouts have no latency, yet are too slow.
    #[test]
    fn timeouts_break_the_latency_limit() {
        let mut detector = Detector::new(DetectorOptions {
            latency_limit_ns: Some(1_000_000_000),
            ..DetectorOptions::default()
        });
        let latencies = vec![50_000_000_u64; 97];
        for second in 1..=10 {
            detector.on_window(&Window {
                end: Duration::from_secs(second),
                length: Duration::from_secs(1),
                load: 10.0,
                ok: 97,
                failed: 3,
                timed_out: 3,
                in_flight: 10,
                latencies: &latencies,
            });
        }
        let found = detector.breaks().first().expect("a break");
        let Cause::Latency(evidence) = &found.cause else {
            panic!("{found:?}")
        };
        assert_eq!(evidence.value_ns, 1_000_000_000);
        assert_eq!(found.last_good_load, None);
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(32, 256))]

        /// Whatever comes, it neither panics nor says anything but numbers, and each
        /// kind of break is noticed once.
        #[test]
        fn any_windows_are_survived(
            windows in prop::collection::vec(
                (0_u64..100_000, 0_u64..20_000, -10.0..1e6_f64, 0_u64..500, 0_u64..500, any::<u64>(), 0_u64..3),
                0..200,
            ),
            is_open in any::<bool>(),
        ) {
            let mut detector = Detector::new(DetectorOptions {
                load: if is_open { LoadUnit::Rate } else { LoadUnit::Vus },
                ..DetectorOptions::default()
            });
            let mut n_new = 0;
            for (end, length, load, ok, failed, latency, in_flight) in windows {
                let latencies = vec![latency; ok as usize];
                n_new += detector.on_window(&Window {
                    end: Duration::from_millis(end),
                    length: Duration::from_millis(length),
                    load,
                    ok,
                    failed,
                    timed_out: failed / 2,
                    in_flight,
                    latencies: &latencies,
                }).len();
            }
            prop_assert_eq!(n_new, detector.breaks().len());
            prop_assert!(n_new <= 3);
            for found in detector.breaks() {
                prop_assert!(found.load.is_finite() && found.load >= 0.0, "{:?}", found);
                prop_assert!(!found.sentence().contains("NaN"));
            }
        }
    }
}
