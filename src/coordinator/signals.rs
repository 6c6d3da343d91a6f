//! Gathers what the ticks say of the generator itself, by second and in all.
//!
//! Beside the `Collector`, which does the same for the requests: a tick counts
//! for the second that it ends in. What was before the load, and what came
//! after it was stopped, says nothing of the load and is left out of the totals.

use std::collections::VecDeque;
use std::time::Duration;

use super::tick::{TICKS_PER_SECOND, is_warm_up, tick_middle};
use crate::host::HostUse;
use crate::metrics::{Histogram, Recorder, WorkerUsage};
use crate::validity::SecondSignals;

/// What ticks say of the generator.
#[derive(Debug)]
pub(super) struct Signals {
    warm_up: Duration,
    busy_poll: bool,
    /// When the load was stopped.
    load_end: Option<Duration>,
    /// By worker: while the load lasted, without the warm-up.
    pub(super) measured: Vec<WorkerUsage>,
    /// By worker: from the start of the load to the worker's end.
    pub(super) whole: Vec<WorkerUsage>,
    /// Connections opened in the time of `measured`.
    pub(super) connects: u64,
    /// Seconds that are not closed, from `first_open`.
    open: VecDeque<SecondPart>,
    first_open: u64,
    spare: Vec<SecondPart>,
}

/// One second, as far as it has arrived.
#[derive(Debug, Default)]
struct SecondPart {
    usages: Vec<WorkerUsage>,
    lateness: Histogram,
    delay: Histogram,
    begun: u64,
    connects: u64,
    host: Option<(HostUse, Duration)>,
}

impl SecondPart {
    fn clear(&mut self) {
        self.usages.fill(WorkerUsage::default());
        self.lateness.clear();
        self.delay.clear();
        self.begun = 0;
        self.connects = 0;
        self.host = None;
    }
}

impl Signals {
    pub(super) fn new(n_workers: usize, warm_up: Duration, busy_poll: bool) -> Self {
        Self {
            warm_up,
            busy_poll,
            load_end: None,
            measured: vec![WorkerUsage::default(); n_workers],
            whole: vec![WorkerUsage::default(); n_workers],
            connects: 0,
            open: VecDeque::new(),
            first_open: 0,
            spare: Vec::new(),
        }
    }

    /// No iteration begins from here on.
    pub(super) fn load_ends(&mut self, at: Duration) {
        self.load_end.get_or_insert(at);
    }

    /// Whether the time is one of the load that counts.
    pub(super) fn is_measured(&self, at: Duration) -> bool {
        at >= self.warm_up && self.load_end.is_none_or(|end| at <= end)
    }

    /// Takes in a tick. Number 0 is from before the load.
    pub(super) fn take(
        &mut self,
        number: u64,
        worker: usize,
        usage: &WorkerUsage,
        recorder: &Recorder,
    ) {
        if number == 0 {
            return;
        }
        self.whole[worker].merge(usage);
        let is_over = self.load_end.is_some_and(|end| tick_middle(number) > end);
        if !is_warm_up(number, self.warm_up) && !is_over {
            self.measured[worker].merge(usage);
            let parts = recorder.phases();
            self.connects += parts.map(|part| part.counters.connections).sum::<u64>();
        }
        let n_workers = self.measured.len();
        let Some(part) = self.part((number - 1) / TICKS_PER_SECOND) else {
            return;
        };
        part.usages.resize(n_workers, WorkerUsage::default());
        part.usages[worker].merge(usage);
        for recorder in recorder.phases() {
            part.lateness.merge(&recorder.lateness);
            part.delay.merge(&recorder.generator_delay);
            part.begun += recorder.counters.iterations_started;
            part.connects += recorder.counters.connections;
        }
    }

    /// What the host took up to now, over `span`, most of it in this second.
    pub(super) fn take_host(&mut self, second: u64, host: HostUse, span: Duration) {
        if let Some(part) = self.part(second) {
            part.host = Some((host, span));
        }
    }

    /// The next second is complete; calls in flight at its end are the caller's
    /// to add, and so is what limited it.
    pub(super) fn close(&mut self) -> SecondSignals {
        self.first_open += 1;
        let Some(mut part) = self.open.pop_front() else {
            return SecondSignals::default();
        };
        let throttled_share = part.host.and_then(|(host, span)| share(&host, span));
        let signals = SecondSignals {
            begun: part.begun,
            connects: part.connects,
            lateness_p99_ns: part.lateness.quantile_ns(0.99),
            delay_p50_ns: part.delay.quantile_ns(0.5),
            delay_p99_ns: part.delay.quantile_ns(0.99),
            steal_share: part.host.and_then(|(host, _)| host.steal_share),
            throttled_share,
            ..SecondSignals::of_workers(&part.usages, self.busy_poll)
        };
        part.clear();
        self.spare.push(part);
        signals
    }

    /// The second, which takes nothing more once it is closed: its successor
    /// does.
    fn part(&mut self, second: u64) -> Option<&mut SecondPart> {
        let at = usize::try_from(second.saturating_sub(self.first_open)).ok()?;
        while self.open.len() <= at {
            self.open.push_back(self.spare.pop().unwrap_or_default());
        }
        self.open.get_mut(at)
    }
}

/// The share of the time for which the control group was stopped.
pub(super) fn share(host: &HostUse, span: Duration) -> Option<f64> {
    let throttled_ns = host.throttled_ns?;
    (!span.is_zero()).then(|| throttled_ns as f64 / span.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn usage(busy_ns: u64, in_flight: u64) -> WorkerUsage {
        WorkerUsage {
            wall_ns: 250,
            busy_ns,
            in_flight_ns: u128::from(in_flight) * 250,
            in_flight_max: in_flight + 1,
            ..WorkerUsage::default()
        }
    }

    #[test]
    fn a_second_shows_its_worst_worker_and_all_calls_in_flight() {
        let mut signals = Signals::new(2, Duration::ZERO, false);
        let mut recorder = Recorder::new(0);
        recorder.counters.iterations_started = 5;
        recorder.generator_delay.record(7);
        for number in 1..=4 {
            signals.take(number, 0, &usage(25, 2), &recorder);
            signals.take(number, 1, &usage(200, 3), &recorder);
        }
        // The other worker is ahead.
        signals.take(5, 0, &usage(0, 9), &recorder);
        let host = HostUse {
            steal_share: Some(0.1),
            throttled_ns: Some(500_000_000),
        };
        signals.take_host(0, host, SECOND);
        let second = signals.close();
        assert_eq!(second.busy_share, Some(0.8));
        assert_eq!(second.in_flight_mean, Some(5.0));
        assert_eq!((second.in_flight_max, second.begun), (7, 40));
        assert_eq!(
            (second.delay_p50_ns, second.lateness_p99_ns),
            (Some(7), None)
        );
        assert_eq!(second.steal_share, Some(0.1));
        assert_eq!(second.throttled_share, Some(0.5));
        let next = signals.close();
        assert_eq!((next.begun, next.steal_share), (5, None));
        // A second that nobody told anything of.
        assert_eq!(signals.close(), SecondSignals::default());
    }

    #[test]
    fn the_totals_leave_out_what_is_no_load() {
        let mut signals = Signals::new(1, SECOND, false);
        let mut recorder = Recorder::new(0);
        recorder.counters.connections = 1;
        for number in 0..=12 {
            if number == 9 {
                signals.load_ends(2 * SECOND);
            }
            signals.take(number, 0, &usage(10, 1), &recorder);
        }
        assert_eq!(signals.connects, 4, "none of the opening");
        assert_eq!(signals.measured[0].wall_ns, 4 * 250);
        assert_eq!(signals.whole[0].wall_ns, 12 * 250);
        assert!(!signals.is_measured(SECOND / 2));
        assert!(signals.is_measured(SECOND));
        assert!(!signals.is_measured(3 * SECOND));
    }
}
