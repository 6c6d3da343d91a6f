//! Watches over the generator while a load lasts: what the host takes from it,
//! and in which seconds it was the limit.
//!
//! For runs and for the levels of a search. It writes into the `Collector`,
//! whose seconds are judged later (`judge.rs`); it does not judge them.

use std::time::Duration;

use super::collect::Collector;
use crate::clock::SystemClock;
use crate::outcome::Second;
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
    /// From the start of the load; `None` before it.
    clock: Option<SystemClock>,
    /// When the host was last asked, by that clock.
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
            host: HostMeter::start(cpus.unwrap_or_default(), worker_cpus.len()),
            clock: None,
            asked: Duration::ZERO,
            watch: Watch::default(),
            n_seen: 0,
        }
    }

    /// The load begins at the clock's zero. What the host took before is no part
    /// of it.
    pub(super) fn load_begins(&mut self, clock: SystemClock) {
        self.host.take();
        self.clock = Some(clock);
    }

    /// How long the load has lasted; `None` before it.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        self.clock.map(|clock| clock.now())
    }

    /// Asks the host, if that is due. Ticks that end a second are to be taken
    /// in after it, so that its figures are there before the second is closed.
    pub(super) fn ask_host(&mut self, collector: &mut Collector) {
        self.ask(SECOND, collector);
    }

    /// Asks the host for the rest, after the last tick.
    pub(super) fn ask_host_last(&mut self, collector: &mut Collector) {
        self.ask(HOST_SPAN_MIN, collector);
    }

    /// Where it was last asked at least `span_min` ago, or the load began then.
    fn ask(&mut self, span_min: Duration, collector: &mut Collector) {
        let Some(now) = self.elapsed() else {
            return;
        };
        let span = now.saturating_sub(self.asked);
        if span < span_min {
            return;
        }
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
            let load = load_of(second, due(second.at + SECOND / 2));
            second.signals.limit = generator_limit(&load, &mut self.watch);
        }
    }
}

/// A second as the self-check sees it; `due`: the arrivals a second, in the open
/// model.
pub(super) fn load_of(second: &Second, due: Option<f64>) -> SecondLoad {
    let signals = &second.signals;
    SecondLoad {
        due,
        begun: signals.begun,
        connects: signals.connects,
        lateness_p99_ns: signals.lateness_p99_ns,
        in_flight: signals.in_flight_end,
        users: u64::from(second.vus),
        silence: Duration::from_nanos(signals.turn_max_ns),
        delay_p50_ns: signals.delay_p50_ns,
        latency_p50_ns: second.latency.map(|latency| latency.p50_ns),
    }
}

/// What limited the generator in the last closed second.
pub(super) fn last_limit(collector: &Collector) -> Option<GeneratorLimit> {
    collector.seconds.last()?.signals.limit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the host took while sessions were opened must not be filed under
    /// the load's first seconds, nor put off when it is asked under the load.
    #[test]
    fn the_host_is_asked_by_the_clock_of_the_load() {
        let mut collector = Collector::new(&[], 1, Duration::ZERO, false, false, Vec::new());
        let mut watching = Watching::start(&[None]);
        watching.ask_host(&mut collector);
        watching.ask_host_last(&mut collector);
        assert_eq!((watching.elapsed(), watching.asked), (None, Duration::ZERO));

        let origin = crate::clock::now()
            .checked_sub(2 * SECOND)
            .expect("the machine is up for longer");
        watching.load_begins(SystemClock::since(origin));
        watching.ask_host(&mut collector);
        let asked = watching.asked;
        assert!(asked >= 2 * SECOND);
        watching.ask_host(&mut collector);
        assert_eq!(watching.asked, asked, "not due again");
    }
}
