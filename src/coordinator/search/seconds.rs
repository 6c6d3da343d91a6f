//! Folds the ticks of a level's workers into whole seconds.
//!
//! Second `k` is complete once every worker has sent a tick that ends it. What
//! happened before the load began is counted, but belongs to no second.

use std::collections::VecDeque;
use std::time::Duration;

use crate::coordinator::judge::local_failures;
use crate::metrics::{Histogram, Recorder};
use crate::outcome::{FindBy, Row};
use crate::validity::SecondLoad;
use crate::worker::{Tick, UserCounts};

/// The figures of one second, of all workers.
#[derive(Debug, Default)]
pub(in crate::coordinator) struct Second {
    /// Calls begun.
    pub(in crate::coordinator) started: u64,
    /// Calls that succeeded.
    pub(in crate::coordinator) ok: u64,
    /// Calls that failed, and sessions that could not be opened.
    pub(in crate::coordinator) failed: u64,
    /// Iterations begun.
    pub(in crate::coordinator) iterations: u64,
    /// Arrivals that came due.
    pub(in crate::coordinator) arrivals: u64,
    /// Arrivals that were dropped.
    pub(in crate::coordinator) dropped: u64,
    /// Latency of successful calls, from the intended start where there is one.
    pub(in crate::coordinator) latency: Histogram,
    /// Calls and handshakes in flight at its end.
    pub(in crate::coordinator) in_flight: u64,
    /// Arrivals that no user had taken at its end.
    pub(in crate::coordinator) waiting: u64,
    /// Users that had a session at its end.
    pub(in crate::coordinator) ready: u64,
    /// Users that had none at its end and rested from a failure to get one.
    pub(in crate::coordinator) locked_out: u64,
    /// Connections could not be opened for want of something of this machine.
    pub(in crate::coordinator) lacks_local_resources: bool,
    users: u64,
    connects: u64,
    lateness: Histogram,
    delay: Histogram,
    /// The longest time for which a worker did not look at the kernel.
    silence: Duration,
    ended: u64,
    handshakes: u64,
    handshakes_ended: u64,
    handshakes_failed: u64,
    /// Of the calls and handshakes that failed: for want of local resources.
    local_failures: u64,
    /// Of the handshakes alone.
    local_handshakes: u64,
}

impl Second {
    pub(in crate::coordinator) const LENGTH: Duration = Duration::from_secs(1);

    /// As the self-check sees it.
    pub(in crate::coordinator) fn load(&self, by: FindBy, level: f64) -> SecondLoad {
        SecondLoad {
            due: match by {
                FindBy::Vus => None,
                FindBy::Rate => Some(level * Self::LENGTH.as_secs_f64()),
            },
            begun: self.iterations,
            connects: self.connects,
            lateness_p99_ns: self.lateness.quantile_ns(0.99),
            in_flight: self.in_flight,
            users: self.users,
            silence: self.silence,
            delay_p50_ns: self.delay.quantile_ns(0.5),
            latency_p50_ns: self.latency.quantile_ns(0.5),
        }
    }
}

const TICKS_PER_SECOND: u64 = 4;

/// The seconds of a level, as far as they have come in.
#[derive(Debug)]
pub(in crate::coordinator) struct Seconds {
    calls: Vec<usize>,
    handshake: usize,
    has_response_times: bool,
    /// The last tick of each worker, and its users then.
    last: Vec<(u64, UserCounts)>,
    /// Not complete yet, oldest first.
    open: VecDeque<Second>,
    n_closed: u64,
    /// Begun less ended, of calls and handshakes, to the last closed second.
    in_flight: i64,
    /// Arrivals less those begun or dropped, likewise.
    waiting: i64,
    /// Handshakes begun less ended, likewise.
    opening: i64,
    /// Sessions that could not be opened at this level.
    n_refused: u64,
    /// Of them, for want of local resources.
    n_refused_here: u64,
}

impl Seconds {
    pub(in crate::coordinator) fn new(
        rows: &[Row],
        handshake: usize,
        n_workers: usize,
        has_response_times: bool,
    ) -> Self {
        let calls = (0..rows.len()).filter(|at| rows[*at].kind.is_in_totals());
        Self {
            calls: calls.collect(),
            handshake,
            has_response_times,
            last: vec![(0, UserCounts::default()); n_workers],
            open: VecDeque::new(),
            n_closed: 0,
            in_flight: 0,
            waiting: 0,
            opening: 0,
            n_refused: 0,
            n_refused_here: 0,
        }
    }

    /// Takes a tick in.
    pub(in crate::coordinator) fn take(&mut self, tick: &Tick) {
        let last = &mut self.last[tick.worker];
        *last = (tick.number.max(last.0), tick.users);
        if tick.number == 0 {
            self.add_before(&tick.recorder);
        } else {
            let second = (tick.number - 1) / TICKS_PER_SECOND;
            let silence = Duration::from_nanos(tick.usage.turn_max_ns);
            self.add(second, &tick.recorder, silence);
        }
    }

    /// The users of all workers, as they said last.
    pub(in crate::coordinator) fn users(&self) -> UserCounts {
        let zero = UserCounts::default();
        self.last.iter().fold(zero, |sum, (_, users)| UserCounts {
            active: sum.active + users.active,
            ready: sum.ready + users.ready,
            tried: sum.tried + users.tried,
        })
    }

    /// The oldest complete second that was not given yet.
    pub(in crate::coordinator) fn next_complete(&mut self) -> Option<Second> {
        let reached = self.last.iter().map(|(number, _)| *number).min()?;
        if reached < (self.n_closed + 1) * TICKS_PER_SECOND {
            return None;
        }
        let mut second = self.open.pop_front().unwrap_or_default();
        self.n_closed += 1;
        self.in_flight += signed(second.started + second.handshakes) - signed(second.ended);
        self.waiting += signed(second.arrivals) - signed(second.dropped + second.iterations);
        second.in_flight = u64::try_from(self.in_flight).unwrap_or(0);
        second.waiting = match second.arrivals {
            0 => 0,
            _ => u64::try_from(self.waiting).unwrap_or(0),
        };
        self.opening += signed(second.handshakes) - signed(second.handshakes_ended);
        self.n_refused += second.handshakes_failed;
        self.n_refused_here += second.local_handshakes;
        let users = self.users();
        second.users = u64::from(users.active);
        second.ready = u64::from(users.ready);
        // Sessions that are renewed leave users without one for a moment: only
        // where some were refused do those at rest count.
        if self.n_refused > 0 {
            let opening = u64::try_from(self.opening).unwrap_or(0);
            second.locked_out = second.users.saturating_sub(second.ready + opening);
        }
        // Users that rest from such a failure are missing through us as well.
        let is_ours = 2 * self.n_refused_here > self.n_refused;
        second.lacks_local_resources =
            second.local_failures > 0 || second.locked_out > 0 && is_ours;
        Some(second)
    }

    /// What is under way as the load begins is still in flight later.
    fn add_before(&mut self, recorder: &Recorder) {
        for row in self.calls.iter().chain([&self.handshake]) {
            let row = &recorder.rows[*row];
            self.in_flight += signed(row.started) - signed(row.ok + row.failed + row.cancelled);
        }
        let handshake = &recorder.rows[self.handshake];
        let ended = handshake.ok + handshake.failed + handshake.cancelled;
        self.opening += signed(handshake.started) - signed(ended);
        self.n_refused += handshake.failed;
        self.n_refused_here += local_failures(handshake);
    }

    fn add(&mut self, number: u64, recorder: &Recorder, silence: Duration) {
        // A second that was given already takes no more: its successor does.
        let position = usize::try_from(number.saturating_sub(self.n_closed)).unwrap_or(usize::MAX);
        while self.open.len() <= position {
            self.open.push_back(Second::default());
        }
        let second = &mut self.open[position];
        second.silence = second.silence.max(silence);
        for row in &self.calls {
            let row = &recorder.rows[*row];
            second.started += row.started;
            second.ended += row.ok + row.failed + row.cancelled;
            second.ok += row.ok;
            second.failed += row.failed;
            second.local_failures += local_failures(row);
            let latency = match &row.response_ok {
                Some(response) if self.has_response_times => response,
                _ => &row.service_ok,
            };
            second.latency.merge(latency);
        }
        let handshake = &recorder.rows[self.handshake];
        let handshakes_ended = handshake.ok + handshake.failed + handshake.cancelled;
        second.handshakes += handshake.started;
        second.handshakes_ended += handshakes_ended;
        second.handshakes_failed += handshake.failed;
        second.ended += handshakes_ended;
        second.failed += handshake.failed;
        second.local_handshakes += local_failures(handshake);
        second.local_failures += local_failures(handshake);
        let counters = &recorder.counters;
        second.iterations += counters.iterations_started;
        second.connects += counters.connections;
        second.arrivals += counters.arrivals;
        second.dropped += counters.arrivals_dropped;
        second.lateness.merge(&recorder.lateness);
        second.delay.merge(&recorder.generator_delay);
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{ConnectFailure, Failure, Outcome, Sample, WorkerUsage};
    use crate::outcome::RowKind;

    fn row(kind: RowKind) -> Row {
        Row {
            kind,
            method: "m".to_string(),
            subject: None,
        }
    }

    fn seconds(n_workers: usize) -> Seconds {
        let rows = [row(RowKind::Call), row(RowKind::Handshake)];
        Seconds::new(&rows, 1, n_workers, false)
    }

    fn tick(worker: usize, number: u64, fill: impl FnOnce(&mut Recorder)) -> Tick {
        let mut recorder = Box::new(Recorder::new(2));
        fill(&mut recorder);
        Tick {
            worker,
            number,
            recorder,
            usage: WorkerUsage {
                turn_max_ns: number * 1_000,
                ..WorkerUsage::default()
            },
            users: UserCounts {
                active: 3,
                ready: 3,
                tried: 3,
            },
        }
    }

    fn end(recorder: &mut Recorder, row: usize, outcome: Outcome) {
        let sample = Sample {
            service_ns: 1_000,
            response_ns: None,
            outcome,
        };
        recorder.end(row, &sample);
    }

    #[test]
    fn a_second_is_complete_with_its_last_worker() {
        let mut seconds = seconds(2);
        for number in 1..=4 {
            seconds.take(&tick(0, number, |recorder| {
                recorder.start(0);
                end(recorder, 0, Outcome::Ok);
            }));
        }
        assert!(seconds.next_complete().is_none());
        // The other worker slept through three ticks.
        seconds.take(&tick(1, 4, |recorder| {
            recorder.start(0);
            recorder.start(0);
            end(recorder, 0, Outcome::Ok);
        }));
        let second = seconds.next_complete().expect("both are there");
        assert_eq!((second.started, second.ok, second.failed), (6, 5, 0));
        assert_eq!((second.in_flight, second.users), (1, 6));
        assert_eq!(second.latency.len(), 5);
        assert_eq!(second.silence, Duration::from_micros(4), "the longest");
        assert!(seconds.next_complete().is_none());
    }

    #[test]
    fn sessions_that_fail_are_failures_and_what_was_begun_before_is_in_flight() {
        let mut seconds = seconds(1);
        seconds.take(&tick(0, 0, |recorder| recorder.start(1)));
        seconds.take(&tick(0, 4, |recorder| {
            end(recorder, 1, Outcome::Failed(Failure::Tool, ""));
            recorder.start(1);
            recorder.start(0);
        }));
        let second = seconds.next_complete().expect("complete");
        assert_eq!((second.started, second.ok, second.failed), (1, 0, 1));
        assert_eq!(second.in_flight, 2, "a handshake and a call");
    }

    #[test]
    fn users_at_rest_without_a_session_are_locked_out() {
        let with_one_ready = |tick: Tick| Tick {
            users: UserCounts {
                active: 3,
                ready: 1,
                tried: 3,
            },
            ..tick
        };
        let mut refused = seconds(1);
        refused.take(&tick(0, 0, |recorder| {
            recorder.start(1);
            end(recorder, 1, Outcome::Failed(Failure::Tool, ""));
        }));
        refused.take(&with_one_ready(tick(0, 4, |recorder| recorder.start(1))));
        let second = refused.next_complete().expect("complete");
        assert_eq!((second.ready, second.locked_out), (1, 1), "one tries again");

        let mut renewed = seconds(1);
        renewed.take(&with_one_ready(tick(0, 4, |recorder| recorder.start(1))));
        let second = renewed.next_complete().expect("complete");
        assert_eq!(second.locked_out, 0, "nobody was refused");
    }

    #[test]
    fn what_this_machine_lacks_is_not_the_servers() {
        let missing = Outcome::Failed(Failure::Connect(ConnectFailure::NoResources), "");
        let with_one_ready = |tick: Tick| Tick {
            users: UserCounts {
                active: 3,
                ready: 1,
                tried: 3,
            },
            ..tick
        };
        let mut seconds = seconds(1);
        seconds.take(&tick(0, 0, |recorder| {
            recorder.start(1);
            end(recorder, 1, missing);
        }));
        seconds.take(&with_one_ready(tick(0, 4, |_| {})));
        let second = seconds.next_complete().expect("complete");
        assert!(second.locked_out > 0 && second.lacks_local_resources);
        seconds.take(&tick(0, 8, |_| {}));
        let second = seconds.next_complete().expect("complete");
        assert!(!second.lacks_local_resources, "all have a session again");
        seconds.take(&tick(0, 12, |recorder| {
            recorder.start(0);
            end(recorder, 0, missing);
        }));
        let second = seconds.next_complete().expect("complete");
        assert!(second.lacks_local_resources, "a call could not connect");
    }

    #[test]
    fn arrivals_wait_until_they_are_begun_or_dropped() {
        let mut seconds = seconds(1);
        seconds.take(&tick(0, 4, |recorder| {
            recorder.counters.arrivals = 10;
            recorder.counters.arrivals_dropped = 2;
            recorder.counters.iterations_started = 5;
        }));
        let second = seconds.next_complete().expect("complete");
        assert_eq!((second.waiting, second.dropped), (3, 2));
        assert_eq!(second.load(FindBy::Rate, 10.0).due, Some(10.0));
        assert_eq!(second.load(FindBy::Vus, 10.0).due, None);
    }
}
