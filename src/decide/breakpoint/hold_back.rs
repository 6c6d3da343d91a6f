//! Saturation or drift? Less load tells.
//!
//! A server that grows slower with time, while the load grows with time, looks like
//! one that saturates. Before a run is stopped for saturation, hold the load just below
//! the knee for some seconds: if the throughput per load returns to what it was on the
//! way up, it was the load; if not, it was time. It does not hold the load itself.

use super::{SaturationEvidence, Window};

/// One such check, fed with the windows since the load has been lowered.
#[derive(Debug, Clone)]
pub struct HoldBack {
    load: f64,
    expected_rate_per_load: f64,
    dispersion: f64,
    settled_secs: f64,
    held_secs: f64,
    n_ok: f64,
    load_secs: f64,
}

/// What it says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Confirmation {
    /// At lower load it keeps up again: the load was the cause.
    Saturation {
        /// Throughput per load, as a share of that on the way up.
        recovered: f64,
    },
    /// It stays slow: the server has changed.
    Drift {
        /// Throughput per load, as a share of that on the way up.
        recovered: f64,
    },
}

/// The load to hold, as a share of the knee.
const HELD_SHARE: f64 = 0.9;
/// Queues drain meanwhile.
const SETTLE_SECS: f64 = 3.0;
const LEAST_SECS: f64 = 10.0;
const LONGEST_SECS: f64 = 60.0;
const LEAST_COMPLETIONS: f64 = 100.0;
const TOLERANCE: f64 = 0.1;

impl HoldBack {
    /// A check of this evidence.
    pub fn new(evidence: &SaturationEvidence) -> Self {
        Self {
            load: HELD_SHARE * evidence.knee,
            expected_rate_per_load: evidence.rate_per_load,
            dispersion: evidence.dispersion,
            settled_secs: 0.0,
            held_secs: 0.0,
            n_ok: 0.0,
            load_secs: 0.0,
        }
    }

    /// The load to hold: virtual users or arrivals per second.
    pub fn load(&self) -> f64 {
        self.load
    }

    /// Takes the next window at that load. Windows in which more than 1.05 of it was
    /// still active do not count. It answers after 13 s, or later (up to 63 s) if there
    /// are fewer than 100 completions.
    pub fn on_window(&mut self, window: &Window<'_>) -> Option<Confirmation> {
        let seconds = window.length.as_secs_f64();
        if window.load > 1.05 * self.load + 1.0 {
            return None;
        }
        if self.settled_secs < SETTLE_SECS {
            self.settled_secs += seconds;
            return None;
        }
        self.held_secs += seconds;
        self.n_ok += window.ok as f64;
        self.load_secs += window.load * seconds;
        let is_enough = self.held_secs >= LEAST_SECS && self.n_ok >= LEAST_COMPLETIONS;
        if !is_enough && self.held_secs < LONGEST_SECS {
            return None;
        }
        let expected = self.expected_rate_per_load * self.load_secs;
        let recovered = self.n_ok / expected.max(f64::MIN_POSITIVE);
        let noise = 1.645 * (self.dispersion / expected.max(1.0)).sqrt();
        Some(if recovered >= 1.0 - TOLERANCE - noise {
            Confirmation::Saturation { recovered }
        } else {
            Confirmation::Drift { recovered }
        })
    }
}
