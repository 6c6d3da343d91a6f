//! Watches over the generator while a load lasts: what the host takes from it,
//! and in which seconds it was the limit.
//!
//! For runs and for the levels of a search. It writes into the `Collector`,
//! whose seconds are judged later (`verdict.rs`); it does not judge them.

use std::time::Duration;

use super::merge::Collector;
use crate::validity::{GeneratorLimit, SecondLoad, Watch, generator_limit};
use crate::worker::HostMeter;

/// The host is asked once a second.
const SECOND: Duration = Duration::from_secs(1);
/// Over less, its ticks of ten milliseconds tell nothing.
const HOST_SPAN_MIN: Duration = Duration::from_millis(100);

/// Watches one load.
#[derive(Debug)]
pub(super) struct Watching {
    host: HostMeter,
    /// When the host was last asked, from the start of the load.
    asked: Duration,
    watch: Watch,
    /// Seconds of which it is known what limited them.
    n_seen: usize,
}

impl Watching {
    /// Watches workers on these CPUs (`None`: not pinned).
    pub(super) fn start(worker_cpus: &[Option<usize>]) -> Self {
        let cpus: Option<Vec<usize>> = worker_cpus.iter().copied().collect();
        Self {
            host: HostMeter::start(cpus.unwrap_or_default()),
            asked: Duration::ZERO,
            watch: Watch::default(),
            n_seen: 0,
        }
    }

    /// What the host took before is no part of the load.
    pub(super) fn load_begins(&mut self) {
        self.host.take();
        self.asked = Duration::ZERO;
    }

    /// Asks the host, if that is due. Ticks that end a second are to be taken
    /// in after it, so that its figures are there before the second is closed.
    pub(super) fn ask_host(&mut self, now: Duration, collector: &mut Collector) {
        if now >= self.asked + SECOND {
            self.ask(now, collector);
        }
    }

    /// Asks the host for the rest, after the last tick.
    pub(super) fn ask_host_last(&mut self, now: Duration, collector: &mut Collector) {
        if now.saturating_sub(self.asked) >= HOST_SPAN_MIN {
            self.ask(now, collector);
        }
    }

    fn ask(&mut self, now: Duration, collector: &mut Collector) {
        let span = now.saturating_sub(self.asked);
        let used = self.host.take();
        // Most of the span lies in the second that its middle is in.
        let second = (self.asked + span / 2).as_secs();
        collector.signals.take_host(second, used, span);
        self.asked = now;
    }

    /// Finds what limited the generator in the seconds that were closed. `due`
    /// tells the arrivals a second at a time of the load; `None` in the closed
    /// model.
    pub(super) fn see(&mut self, collector: &mut Collector, due: impl Fn(Duration) -> Option<f64>) {
        while let Some(second) = collector.seconds.get_mut(self.n_seen) {
            self.n_seen += 1;
            let end = second.at + second.length;
            if second.length < SECOND || !collector.signals.is_measured(end) {
                continue;
            }
            let signals = &second.signals;
            let load = SecondLoad {
                due: due(second.at + SECOND / 2),
                begun: signals.begun,
                connects: signals.connects,
                lateness_p99_ns: signals.lateness_p99_ns,
                in_flight: signals.in_flight_end,
                users: u64::from(second.vus),
                silence: Duration::from_nanos(signals.turn_max_ns),
                delay_p50_ns: signals.delay_p50_ns,
                latency_p50_ns: second.latency.map(|latency| latency.p50_ns),
            };
            second.signals.limit = generator_limit(&load, &mut self.watch);
        }
    }
}

/// What limited the generator in the last closed second.
pub(super) fn last_limit(collector: &Collector) -> Option<GeneratorLimit> {
    collector.seconds.last()?.signals.limit
}
