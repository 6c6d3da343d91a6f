//! The figures that the detector looks at.

use std::time::Duration;

use super::sketch::Sketch;

/// Figures of one interval, over all workers.
///
/// Intervals follow each other and may be of any length; one second does well, and a
/// hundredth of a run that is shorter than 100 s.
#[derive(Clone, Copy)]
pub struct Window<'a> {
    /// The interval's end, since the run's start.
    pub end: Duration,
    /// Its length. A window of no length is ignored.
    pub length: Duration,
    /// Closed model: the *measured* mean number of active virtual users, the time
    /// integral over the length (the plan's number gave 12 % false alarms in
    /// simulations). Open model: arrivals per second by the schedule.
    pub load: f64,
    /// Requests that ended well.
    pub ok: u64,
    /// Requests that failed, timeouts included.
    pub failed: u64,
    /// Those of `failed` that ran into a time limit: they count as too slow.
    pub timed_out: u64,
    /// Requests under way at the interval's end.
    pub in_flight: u64,
    /// Latencies of the requests that ended well: response times in an open model.
    pub latencies: &'a dyn Latencies,
}

/// A distribution of latencies, whatever holds it.
pub trait Latencies {
    /// Visits each recorded value, in ns, with how often it occurred, in any order.
    fn for_each(&self, visit: &mut dyn FnMut(u64, u64));
}

impl Latencies for Vec<u64> {
    fn for_each(&self, visit: &mut dyn FnMut(u64, u64)) {
        for value_ns in self {
            visit(*value_ns, 1);
        }
    }
}

/// A window as the three judges need it; times in seconds.
#[derive(Debug, Clone)]
pub(super) struct Interval {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) n_ok: u64,
    pub(super) n_failed: u64,
    pub(super) n_timed_out: u64,
    pub(super) in_flight: u64,
    pub(super) latency_sum_secs: f64,
    /// Of the good ones, those over the latency limit in force; 0 without one.
    pub(super) n_over_limit: u64,
    pub(super) sketch: Sketch,
}

impl Interval {
    pub(super) fn new(
        (start, end): (f64, f64),
        window: &Window<'_>,
        limit_ns: Option<u64>,
    ) -> Self {
        let mut latency_sum_secs = 0.0;
        let mut n_over_limit = 0;
        let mut sketch = Sketch::default();
        let limit_ns = limit_ns.unwrap_or(u64::MAX);
        window.latencies.for_each(&mut |value_ns, n| {
            latency_sum_secs += value_ns as f64 / 1e9 * n as f64;
            if value_ns > limit_ns {
                n_over_limit += n;
            }
            sketch.add(value_ns, n);
        });
        Self {
            start,
            end,
            n_ok: window.ok,
            n_failed: window.failed,
            n_timed_out: window.timed_out.min(window.failed),
            in_flight: window.in_flight,
            latency_sum_secs,
            n_over_limit,
            sketch,
        }
    }

    pub(super) fn n_ended(&self) -> u64 {
        self.n_ok.saturating_add(self.n_failed)
    }
}
