//! Folds the ticks of all workers into totals, stages, seconds and windows.
//!
//! A tick is filed under the moment at which it ended, whichever worker it is
//! from and whenever it arrives. Second and window `k` are complete once every
//! worker has sent a tick that ends them.

use std::collections::VecDeque;
use std::time::Duration;

use super::guard::Watched;
use super::intervals::Keeper;
use super::judge::{headline, local_failures};
use super::second_rows::Gatherer;
use super::signals::Signals;
use super::tick::{TICKS_PER_SECOND, is_warm_up, tick_end, tick_middle};
use crate::decide::control::StageSpan;
use crate::decide::threshold::abort::WatchedCounts;
use crate::metrics::{
    AddressTallies, Examples, FailureGroup, Histogram, ListenTally, Recorder, RowStats, Spread,
    TlsHandshakes, WorkerUsage, add_boxed,
};
use crate::outcome::{
    Intervals, Observer, Row, RowKind, Second, SecondLatency, SecondRows, StageOutcome,
    populations_of,
};
use crate::worker::{TICK, Tick, UserCounts};

/// No second is shorter: rates are per its length.
const SECOND_LENGTH_MIN: Duration = Duration::from_millis(1);

/// Seconds whose latencies are kept after they were closed: the last of the load,
/// and those in which its last calls were recorded.
const LATENCIES_KEPT: usize = 3;

/// One arrival of many may come too late, or at the very end of a second.
const LATE_ARRIVALS: u64 = 100;

/// The figures of some ticks, of all workers.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) counts: Counts,
    /// Of the calls that succeeded.
    pub(super) latency: Histogram,
    /// The same of the calls of the warm-up, which may end after it. Of a tick, not of sums.
    warm_counts: Counts,
    warm_latency: Histogram,
    /// For each threshold that ends the run. Of a tick, not of sums.
    pub(super) watched: Vec<WatchedCounts>,
}

/// What happened in some ticks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    // Of calls:
    pub(super) started: u64,
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) timed_out: u64,
    /// Of those that failed: without any answer, by a timeout or for want of a
    /// connection.
    pub(super) unanswered: u64,
    /// Of those that failed: turned away for their number.
    pub(super) rate_limited: u64,
    /// Of those that failed: for want of open files, ports or memory of this machine.
    pub(super) failed_here: u64,
    /// Without those from before the load.
    pub(super) handshakes: Handshakes,
    pub(super) iterations: u64,
    pub(super) arrivals: u64,
    pub(super) dropped: u64,
    /// At the end.
    pub(super) users: UserCounts,
    /// Sum over ticks of the users that were active at their end.
    users_sum: u64,
    /// Ticks of the first worker in it.
    n_ticks: u64,
}

/// Sessions that were to be opened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Handshakes {
    pub(super) started: u64,
    pub(super) ended: u64,
    pub(super) failed: u64,
    /// Of those that failed: for want of open files, ports or memory of this machine.
    pub(super) failed_here: u64,
}

impl Figures {
    pub(super) fn clear(&mut self) {
        self.counts = Counts::default();
        self.latency.clear();
        self.warm_counts = Counts::default();
        self.warm_latency.clear();
        self.watched.clear();
    }

    /// Adds what came after it, but for the calls of the warm-up.
    pub(super) fn merge(&mut self, later: &Self) {
        self.counts.add(&later.counts);
        self.latency.merge(&later.latency);
    }

    /// Adds all of a tick that came after it.
    fn merge_phases(&mut self, later: &Self) {
        self.counts.add(&later.warm_counts);
        self.latency.merge(&later.warm_latency);
        self.merge(later);
    }
}

impl Counts {
    /// Calls and handshakes that ended: who gets no session back from a dead server
    /// makes no calls.
    pub(super) fn ended(&self) -> u64 {
        self.ok + self.failed + self.handshakes.ended
    }

    /// Of those, the ones that the server answered, in whatever way.
    pub(super) fn answered(&self) -> u64 {
        let handshakes = &self.handshakes;
        let n_calls = (self.ok + self.failed).saturating_sub(self.unanswered);
        n_calls + handshakes.ended.saturating_sub(handshakes.failed)
    }

    fn add(&mut self, later: &Self) {
        self.started += later.started;
        self.ok += later.ok;
        self.failed += later.failed;
        self.cancelled += later.cancelled;
        self.timed_out += later.timed_out;
        self.unanswered += later.unanswered;
        self.rate_limited += later.rate_limited;
        self.failed_here += later.failed_here;
        self.handshakes.add(&later.handshakes);
        self.iterations += later.iterations;
        self.arrivals += later.arrivals;
        self.dropped += later.dropped;
        self.users = later.users;
        self.users_sum += later.users_sum;
        self.n_ticks += later.n_ticks;
    }

    fn add_call(&mut self, row: &RowStats) {
        self.started += row.started;
        self.ok += row.ok;
        self.failed += row.failed;
        self.cancelled += row.cancelled;
        let timed_out = row.failures.of_group(FailureGroup::Timeout);
        self.timed_out += timed_out;
        self.unanswered += timed_out + row.failures.of_group(FailureGroup::Connect);
        self.rate_limited += row.failures.of_group(FailureGroup::RateLimit);
        self.failed_here += local_failures(row);
    }

    /// The mean number of users that were active.
    pub(super) fn mean_users(&self) -> f64 {
        if self.n_ticks == 0 {
            f64::from(self.users.active)
        } else {
            self.users_sum as f64 / self.n_ticks as f64
        }
    }
}

impl Handshakes {
    fn of(row: &RowStats) -> Self {
        Self {
            started: row.started,
            ended: row.ok + row.failed + row.cancelled,
            failed: row.failed,
            failed_here: local_failures(row),
        }
    }

    fn add(&mut self, other: &Self) {
        self.started += other.started;
        self.ended += other.ended;
        self.failed += other.failed;
        self.failed_here += other.failed_here;
    }

    /// Sessions that are being opened.
    pub(super) fn in_flight(&self) -> u64 {
        self.started.saturating_sub(self.ended)
    }
}

/// What was recorded in a stage.
#[derive(Debug, Default)]
struct StageSum {
    calls: RowStats,
    populations: Vec<RowStats>,
    examples: Examples,
}

/// Everything that was recorded, as far as it has arrived.
#[derive(Debug)]
pub(super) struct Collector {
    /// Which rows are calls: these are what seconds, windows and progress count.
    call_rows: Vec<usize>,
    /// The same by population, where rows have any.
    population_rows: Vec<Vec<usize>>,
    /// The same with the flows of each: what is kept by second.
    population_kept: Vec<Vec<usize>>,
    handshake_rows: Vec<usize>,
    /// Iterations of flows by the time of their calls: kept by second, and in no total.
    flow_rows: Vec<usize>,
    /// By row: whether the warm-up keeps it to itself.
    warm_rows: Vec<bool>,
    has_response_times: bool,
    warm_up: Duration,
    pub(super) totals: Recorder,
    pub(super) warm: Option<Recorder>,
    spans: Vec<StageSpan>,
    /// Those that have begun, their calls as one row: a row for each operation
    /// in each stage would be without bounds.
    stages: Vec<Option<StageSum>>,
    /// The last tick of each worker, and its users then.
    last_ticks: Vec<(u64, UserCounts)>,
    /// Ticks whose second is not complete: filed by tick number from `first_open`.
    open: VecDeque<Figures>,
    first_open: u64,
    /// Ticks that are complete, the last second of them.
    recent: VecDeque<Figures>,
    spare: Vec<Figures>,
    second: Figures,
    /// What happened in the last closed second.
    pub(super) closed: Counts,
    /// Of the last closed seconds with answers: their number, and the latencies.
    latencies: VecDeque<(usize, Histogram)>,
    /// Calls begun less ended, to the last closed second.
    in_flight_end: u64,
    /// Arrivals that no user had taken, at the end of the last closed second.
    pub(super) waiting_end: u64,
    /// Of each closed second: its arrivals were begun in it, but for very few.
    pub(super) kept_up: Vec<bool>,
    /// To the last closed second, those from before the load included.
    pub(super) handshakes: Handshakes,
    pub(super) signals: Signals,
    /// What is counted for thresholds that end the run.
    pub(super) watched: Vec<Watched>,
    pub(super) seconds: Vec<Second>,
    /// The seconds row by row, where they are wished for.
    keeper: Option<Keeper>,
    /// The same, whole, for whoever watches the run.
    pub(super) gatherer: Option<Gatherer>,
    pub(super) vus_max: u32,
    /// Calls begun and ended so far, warm-up included.
    pub(super) started: u64,
    pub(super) ok: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) iterations_started: u64,
    pub(super) iterations_completed: u64,
}

impl Collector {
    pub(super) fn new(
        rows: &[Row],
        n_workers: usize,
        warm_up: Duration,
        has_response_times: bool,
        busy_poll: bool,
        spans: Vec<StageSpan>,
    ) -> Self {
        let places =
            |wanted: fn(RowKind) -> bool| (0..rows.len()).filter(move |at| wanted(rows[*at].kind));
        let warm_rows = rows.iter().map(|row| row.kind.is_in_warm_up()).collect();
        let of_populations = |wanted: fn(RowKind) -> bool| -> Vec<Vec<usize>> {
            let of_population = |name: &str| {
                let own = places(wanted);
                own.filter(|at| rows[*at].population.as_deref() == Some(name))
                    .collect()
            };
            populations_of(rows)
                .into_iter()
                .map(of_population)
                .collect()
        };
        Self {
            call_rows: places(RowKind::is_in_totals).collect(),
            population_rows: of_populations(RowKind::is_in_totals),
            population_kept: of_populations(|kind| {
                kind.is_in_totals() || kind == RowKind::FlowBusy
            }),
            handshake_rows: places(|kind| kind == RowKind::Handshake).collect(),
            flow_rows: places(|kind| kind == RowKind::FlowBusy).collect(),
            warm_rows,
            has_response_times,
            warm_up,
            totals: Recorder::new(rows.len()),
            warm: (!warm_up.is_zero()).then(|| Recorder::new(rows.len())),
            stages: spans.iter().map(|_| None).collect(),
            spans,
            last_ticks: vec![(0, UserCounts::default()); n_workers],
            open: VecDeque::new(),
            first_open: 1,
            recent: VecDeque::new(),
            spare: Vec::new(),
            second: Figures::default(),
            closed: Counts::default(),
            latencies: VecDeque::new(),
            in_flight_end: 0,
            waiting_end: 0,
            kept_up: Vec::new(),
            handshakes: Handshakes::default(),
            signals: Signals::new(n_workers, warm_up, busy_poll),
            watched: Vec::new(),
            seconds: Vec::new(),
            keeper: None,
            gatherer: None,
            vus_max: 0,
            started: 0,
            ok: 0,
            failed: 0,
            cancelled: 0,
            iterations_started: 0,
            iterations_completed: 0,
        }
    }

    /// Keeps the seconds row by row from now on. `planned`: how long the run will be,
    /// where time ends it.
    pub(super) fn keep_intervals(&mut self, planned: Option<Duration>) {
        let mut keeper = Keeper::new(&self.call_rows, &self.flow_rows, planned);
        keeper.keep_populations(&self.population_kept);
        self.keeper = Some(keeper);
    }

    /// What was kept of them, after [`Collector::finish`].
    pub(super) fn take_intervals(&mut self) -> Option<Intervals> {
        let end = self.seconds.last().map(|last| last.at + last.length);
        let keeper = self.keeper.take()?;
        Some(keeper.finish(self.seconds.len(), end.unwrap_or_default()))
    }

    /// Takes a tick in, and gives its recorder back, empty.
    pub(super) fn take(&mut self, mut tick: Tick) -> Box<Recorder> {
        let last = &mut self.last_ticks[tick.worker];
        last.0 = last.0.max(tick.number);
        last.1 = tick.users;
        let users = self.users();
        self.vus_max = self.vus_max.max(users.active);
        if tick.number == 0 {
            tick.recorder.forget_opening();
        }
        self.signals
            .take(tick.number, tick.worker, &tick.usage, &tick.recorder);
        self.add(tick.number, tick.worker, &tick.recorder);
        tick.recorder.clear();
        tick.recorder
    }

    /// Takes in what a worker recorded after its last tick.
    pub(super) fn take_last(&mut self, worker: usize, usage: &WorkerUsage, recorder: &Recorder) {
        let number = self.last_ticks[worker].0 + 1;
        self.signals.take(number, worker, usage, recorder);
        self.last_ticks[worker] = (u64::MAX, UserCounts::default());
        self.add(number, worker, recorder);
    }

    /// The users of all workers, as they said last.
    pub(super) fn users(&self) -> UserCounts {
        self.last_ticks
            .iter()
            .fold(UserCounts::default(), |sum, (_, users)| UserCounts {
                active: sum.active + users.active,
                ready: sum.ready + users.ready,
                tried: sum.tried + users.tried,
            })
    }

    /// Calls in flight.
    pub(super) fn in_flight(&self) -> u64 {
        self.started
            .saturating_sub(self.ok + self.failed + self.cancelled)
    }

    /// The last complete tick and its figures, oldest first; to be asked again
    /// until there is none.
    pub(super) fn next_complete(&mut self) -> Option<(u64, &Figures)> {
        let complete = self.last_ticks.iter().map(|(number, _)| *number).min()?;
        if self.first_open > complete || self.open.is_empty() {
            return None;
        }
        let number = self.first_open;
        let interval = self.open.pop_front()?;
        self.first_open += 1;
        self.add_to_second(number, &interval);
        self.recent.push_back(interval);
        while self.recent.len() as u64 > TICKS_PER_SECOND {
            if let Some(mut old) = self.recent.pop_front() {
                old.clear();
                self.spare.push(old);
            }
        }
        self.recent.back().map(|interval| (number, interval))
    }

    /// The last second: calls that ended in it, a second, and their latency.
    pub(super) fn last_second(&self, latency: &mut Histogram) -> f64 {
        latency.clear();
        let mut n_ended = 0;
        for interval in &self.recent {
            latency.merge(&interval.latency);
            latency.merge(&interval.warm_latency);
            for counts in [&interval.counts, &interval.warm_counts] {
                n_ended += counts.ok + counts.failed;
            }
        }
        let span = TICK.as_secs_f64() * self.recent.len().max(1) as f64;
        n_ended as f64 / span
    }

    /// Closes the last second, which may be shorter, and gives the stages. Both end
    /// with the load: what was recorded while sessions were ended goes to the last
    /// of them. Seconds are those of the run's clock; a stage does not begin before
    /// the load does.
    pub(super) fn finish(&mut self, load_start: Duration, load_end: Duration) -> Vec<StageOutcome> {
        while let Some(interval) = self.open.pop_front() {
            let number = self.first_open;
            self.first_open += 1;
            self.add_to_second(number, &interval);
        }
        self.close_second(load_end);
        // What ended sessions after the last call is in it too.
        if let Some(gatherer) = &mut self.gatherer {
            gatherer.close_all();
        }
        self.cut_seconds(load_end);
        let warm_up_end = self.warm_up_end();
        let spans = std::mem::take(&mut self.spans);
        let recorded = std::mem::take(&mut self.stages);
        let mut stages: Vec<StageOutcome> = Vec::new();
        for (number, (span, recorded)) in (1..).zip(spans.into_iter().zip(recorded)) {
            let Some(StageSum {
                calls,
                populations,
                examples,
            }) = recorded
            else {
                continue;
            };
            // The warm-up, and what was before the first call, are left out of the
            // stages that they reach into.
            let planned_at = span.at.max(warm_up_end.min(span.end));
            let at = planned_at.max(load_start.min(span.end));
            match stages.last_mut() {
                // The load was over before this stage began.
                Some(last) if at >= load_end => {
                    last.calls.merge(&calls);
                    for (sum, late) in last.populations.iter_mut().zip(&populations) {
                        sum.merge(late);
                    }
                    last.examples.merge(&examples);
                }
                _ => stages.push(StageOutcome {
                    number,
                    at,
                    length: span.end.min(load_end).saturating_sub(at),
                    load_from: span.load_at(planned_at),
                    load_to: span.load_to,
                    calls,
                    populations,
                    examples,
                }),
            }
        }
        if let Some(last) = stages.last_mut() {
            last.length = load_end.saturating_sub(last.at);
        }
        stages
    }

    /// Tells of the seconds that are complete, where somebody wants them. `begun`: when this
    /// load began on the clock of the whole run; `level`: of a search.
    pub(super) fn tell_seconds(
        &mut self,
        begun: Duration,
        level: Option<f64>,
        observer: &mut dyn Observer,
    ) {
        let Some(gatherer) = &mut self.gatherer else {
            return;
        };
        while let Some((number, gathered)) = gatherer.next_complete() {
            // One that began after the load's end is no second of the run any more.
            let place = usize::try_from(number).unwrap_or(usize::MAX);
            let second = self.seconds.get(place);
            let last = self.seconds.last();
            observer.second(&SecondRows {
                at: begun.saturating_add(Duration::from_secs(number)),
                length: second.map_or(Duration::ZERO, |second| second.length),
                vus: second.or(last).map_or(0, |second| second.vus),
                in_flight: second.map_or(0, |second| second.signals.in_flight_end),
                is_limited: second.is_some_and(|second| second.signals.limit.is_some()),
                level,
                load: &gathered.load,
                warm_up: &gathered.warm_up,
            });
            gatherer.recycle(gathered);
        }
    }

    /// Takes off the seconds that began after the load had ended. Calls that ended
    /// just before that may have been read, and so recorded, just after it.
    fn cut_seconds(&mut self, elapsed: Duration) {
        while self.seconds.len() > 1
            && let Some(late) = self.seconds.pop_if(|second| second.at >= elapsed)
        {
            let late_latency = self.take_latency(self.seconds.len());
            let own_latency = self.take_latency(self.seconds.len() - 1);
            let number = self.seconds.len() - 1;
            let Some(last) = self.seconds.last_mut() else {
                return;
            };
            last.started += late.started;
            last.ok += late.ok;
            last.failed += late.failed;
            last.rate_limited += late.rate_limited;
            last.dropped += late.dropped;
            last.vus = late.vus.max(last.vus);
            let merged = match (own_latency, late_latency) {
                (Some(mut own), Some(late)) => {
                    own.merge(&late);
                    Some(own)
                }
                (own, late) => own.or(late),
            };
            if let Some(merged) = merged {
                last.latency = second_latency(&merged);
                self.latencies.push_back((number, merged));
            }
        }
        if let Some(last) = self.seconds.last_mut() {
            last.length = last
                .length
                .min(elapsed.saturating_sub(last.at))
                .max(SECOND_LENGTH_MIN);
        }
    }

    /// The latencies of the last closed second, for good; `None` without any.
    pub(super) fn take_last_latency(&mut self) -> Option<Histogram> {
        self.take_latency(self.seconds.len().checked_sub(1)?)
    }

    fn take_latency(&mut self, second: usize) -> Option<Histogram> {
        let at = self
            .latencies
            .iter()
            .position(|(number, _)| *number == second)?;
        self.latencies.remove(at).map(|(_, latency)| latency)
    }

    /// All calls together, then each population of which there are figures.
    pub(super) fn groups(&self) -> impl Iterator<Item = Option<usize>> + use<> {
        std::iter::once(None).chain((0..self.population_rows.len()).map(Some))
    }

    /// The warm-up's end to whole ticks: where it is cut from the rest.
    pub(super) fn warm_up_end(&self) -> Duration {
        let tick_ns = TICK.as_nanos().max(1);
        let n_ticks = (self.warm_up + TICK / 2).as_nanos().div_ceil(tick_ns);
        tick_end(u64::try_from(n_ticks.saturating_sub(1)).unwrap_or(u64::MAX))
    }

    fn add(&mut self, number: u64, worker: usize, recorder: &Recorder) {
        let middle = tick_middle(number).max(self.warm_up_end());
        self.totals.merge(recorder);
        match (&mut self.warm, recorder.warm_up.as_deref()) {
            (Some(warm), Some(tick)) => merge_warm(warm, &mut self.totals, tick, &self.warm_rows),
            (None, Some(tick)) => self.totals.merge(tick),
            (_, None) => {}
        }
        let stage = self
            .spans
            .iter()
            .position(|span| middle < span.end)
            .or(self.spans.len().checked_sub(1));
        // A stage begins with a call of its own where the warm-up reaches into it.
        let has_calls = || {
            let mut rows = self.call_rows.iter().map(|row| &recorder.rows[*row]);
            rows.any(|row| row.started + row.finished() + row.cancelled > 0)
        };
        let is_begun = !is_warm_up(number, self.warm_up) || has_calls();
        if let (Some(stage), true) = (stage, is_begun) {
            let sum = self.stages[stage].get_or_insert_default();
            for row in &self.call_rows {
                sum.calls.merge(&recorder.rows[*row]);
            }
            let n_populations = self.population_rows.len();
            sum.populations
                .resize_with(n_populations, RowStats::default);
            for (sum, rows) in sum.populations.iter_mut().zip(&self.population_rows) {
                for row in rows {
                    sum.merge(&recorder.rows[*row]);
                }
            }
            sum.examples.merge(&recorder.examples);
        }
        for part in recorder.phases() {
            self.iterations_started += part.counters.iterations_started;
            self.iterations_completed += part.counters.iterations_completed;
        }
        // Before the load begins there are no calls.
        let filed = number.max(self.first_open);
        while self.first_open + self.open.len() as u64 <= filed {
            self.open.push_back(self.spare.pop().unwrap_or_default());
        }
        if let Some(gatherer) = &mut self.gatherer {
            let warm_rows = self.warm.is_some().then_some(&self.warm_rows[..]);
            gatherer.add((filed - 1) / TICKS_PER_SECOND, recorder, warm_rows);
        }
        let users = self.users();
        let stage = stage.map(|stage| stage + 1);
        let position = usize::try_from(filed - self.first_open).unwrap_or(0);
        let Some(interval) = self.open.get_mut(position) else {
            return;
        };
        let is_response = self.has_response_times;
        if let Some(keeper) = &mut self.keeper {
            let second = (filed - 1) / TICKS_PER_SECOND;
            for part in recorder.phases() {
                for (population, arrivals) in part.arrivals.iter().enumerate() {
                    keeper.add_dropped(second, population, arrivals.dropped);
                }
                let kept = self.call_rows.iter().chain(&self.flow_rows);
                for (at, row) in kept.map(|row| &part.rows[*row]).enumerate() {
                    keeper.add(second, at, row, headline(row, is_response));
                }
            }
        }
        let of_phases = [
            (&mut interval.counts, &mut interval.latency),
            (&mut interval.warm_counts, &mut interval.warm_latency),
        ];
        for (part, (counts, latency)) in recorder.phases().zip(of_phases) {
            for row in &self.call_rows {
                let row = &part.rows[*row];
                counts.add_call(row);
                latency.merge(headline(row, is_response));
                self.started += row.started;
                self.ok += row.ok;
                self.failed += row.failed;
                self.cancelled += row.cancelled;
            }
            let handshakes = match number {
                0 => &mut self.handshakes,
                _ => &mut counts.handshakes,
            };
            for row in &self.handshake_rows {
                handshakes.add(&Handshakes::of(&part.rows[*row]));
            }
            counts.iterations += part.counters.iterations_started;
            counts.arrivals += part.counters.arrivals;
            counts.dropped += part.counters.arrivals_dropped;
        }
        interval
            .watched
            .resize(self.watched.len(), WatchedCounts::default());
        for (sum, watched) in interval.watched.iter_mut().zip(&self.watched) {
            sum.add(&watched.count(recorder, stage));
        }
        let counts = &mut interval.counts;
        counts.users = users;
        if worker == 0 {
            counts.users_sum += u64::from(users.active);
            counts.n_ticks += 1;
        }
    }

    fn add_to_second(&mut self, number: u64, interval: &Figures) {
        let second = (number - 1) / TICKS_PER_SECOND;
        while (self.seconds.len() as u64) < second {
            let end = Duration::from_secs(self.seconds.len() as u64 + 1);
            self.close_second(end);
        }
        self.second.merge_phases(interval);
        if number.is_multiple_of(TICKS_PER_SECOND) {
            self.close_second(Duration::from_secs(second + 1));
        }
    }

    fn close_second(&mut self, end: Duration) {
        let at = Duration::from_secs(self.seconds.len() as u64);
        let second = self.second.counts;
        let is_empty = second.started + second.ok + second.failed + second.dropped == 0;
        if is_empty && (second.n_ticks == 0 || !self.seconds.is_empty()) && end <= at {
            return;
        }
        let ended = second.ok + second.failed + second.cancelled;
        self.in_flight_end = (self.in_flight_end + second.started).saturating_sub(ended);
        let taken = second.dropped + second.iterations;
        self.waiting_end = (self.waiting_end + second.arrivals).saturating_sub(taken);
        let n_late = second.dropped + self.waiting_end;
        self.kept_up
            .push(n_late <= (second.arrivals / LATE_ARRIVALS).max(1));
        self.handshakes.add(&second.handshakes);
        let mut signals = self.signals.close();
        signals.in_flight_end = self.in_flight_end;
        self.seconds.push(Second {
            at,
            length: end.saturating_sub(at).max(SECOND_LENGTH_MIN),
            vus: second.users.active,
            started: second.started,
            ok: second.ok,
            failed: second.failed,
            rate_limited: second.rate_limited,
            latency: second_latency(&self.second.latency),
            dropped: second.dropped,
            signals,
        });
        self.closed = second;
        if let Some(keeper) = &mut self.keeper {
            let counts = [second.started, second.ok, second.failed, second.cancelled];
            keeper.close(counts, &self.second.latency);
        }
        if let Some(gatherer) = &mut self.gatherer {
            gatherer.close();
        }
        self.keep_latency();
        self.second.clear();
    }

    /// Keeps the latencies of the second that was closed last, in place of the
    /// oldest.
    fn keep_latency(&mut self) {
        if self.second.latency.is_empty() {
            return;
        }
        let oldest = if self.latencies.len() >= LATENCIES_KEPT {
            self.latencies.pop_front()
        } else {
            None
        };
        let mut free = oldest.map(|(_, latency)| latency).unwrap_or_default();
        free.clear();
        let latency = std::mem::replace(&mut self.second.latency, free);
        self.latencies.push_back((self.seconds.len() - 1, latency));
    }
}

fn second_latency(latency: &Histogram) -> Option<SecondLatency> {
    Some(SecondLatency {
        p50_ns: latency.quantile_ns(0.5)?,
        p95_ns: latency.quantile_ns(0.95)?,
        p99_ns: latency.quantile_ns(0.99)?,
        max_ns: latency.max_ns()?,
    })
}

/// Takes in what belongs to the warm-up in a tick. Its calls and iterations are the warm-up's
/// own; sessions and connections are those of the whole run, since they are
/// opened once and used beyond it.
fn merge_warm(warm: &mut Recorder, totals: &mut Recorder, tick: &Recorder, warm_rows: &[bool]) {
    for ((at, row), is_warm) in tick.rows.iter().enumerate().zip(warm_rows) {
        let into = if *is_warm {
            &mut warm.rows[at]
        } else {
            &mut totals.rows[at]
        };
        into.merge(row);
    }
    let (own, of_the_run) = tick.counters.split_warm_up();
    warm.counters.merge(&own);
    totals.counters.merge(&of_the_run);
    warm.add_arrivals(&tick.arrivals);
    warm.arrivals_left += tick.arrivals_left;
    warm.lateness.merge(&tick.lateness);
    warm.generator_delay.merge(&tick.generator_delay);
    warm.loop_time.merge(&tick.loop_time);
    add_boxed(&mut totals.tls, &tick.tls, TlsHandshakes::merge);
    // A wait may begin in the warm-up and end long after it.
    totals.waits.merge(&tick.waits);
    totals.token_waits.merge(&tick.token_waits);
    // What one user has seen of another is told whenever it was.
    totals.isolation.merge(&tick.isolation);
    let exchanges = tick.violations.all().iter();
    let of_isolation = exchanges.filter(|it| it.failure.group() == FailureGroup::Isolation);
    of_isolation.for_each(|it| totals.violations.keep(it.clone()));
    add_boxed(
        &mut totals.addresses,
        &tick.addresses,
        AddressTallies::merge,
    );
    add_boxed(&mut warm.spread, &tick.spread, Spread::merge);
    add_boxed(&mut totals.listening, &tick.listening, ListenTally::merge);
    warm.examples.merge(&tick.examples);
}

/// Calls that began in one block and ended in the next belong to the next: so each block's
/// `started` is what ended in it.
pub(super) fn move_calls_in_flight(from: &mut RowStats, to: &mut RowStats) {
    let ended = from.ok + from.failed + from.cancelled;
    let moved = from.started.saturating_sub(ended);
    from.started -= moved;
    to.started += moved;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CallPhase, Outcome, Sample};

    fn rows() -> Vec<Row> {
        vec![Row::new(RowKind::Call, "ping")]
    }

    fn tick(worker: usize, number: u64, n_ok: u64) -> Tick {
        let mut recorder = Recorder::new(1);
        for _ in 0..n_ok {
            recorder.record(0, 1_000_000, Outcome::Ok);
        }
        Tick {
            worker,
            number,
            recorder: Box::new(recorder),
            usage: WorkerUsage::default(),
            users: UserCounts {
                active: 1,
                ready: 1,
                tried: 1,
            },
        }
    }

    /// The same, all of it the warm-up's.
    fn of_warm_up(mut tick: Tick) -> Tick {
        let recorded = std::mem::replace(&mut *tick.recorder, Recorder::new(1));
        tick.recorder.warm_up = Some(Box::new(recorded));
        tick
    }

    fn drain(collector: &mut Collector) -> Vec<(u64, u64)> {
        let mut complete = Vec::new();
        while let Some((number, interval)) = collector.next_complete() {
            complete.push((number, interval.counts.ok));
        }
        complete
    }

    #[test]
    fn a_tick_is_complete_when_all_workers_have_sent_it() {
        let mut collector = Collector::new(&rows(), 2, Duration::ZERO, false, false, Vec::new());
        collector.take(tick(0, 1, 3));
        assert_eq!(drain(&mut collector), []);
        collector.take(tick(1, 1, 4));
        assert_eq!(drain(&mut collector), [(1, 7)]);
        // Worker 1 slept through ticks 2 and 3: its figures stand in the fourth.
        for number in 2..=4 {
            collector.take(tick(0, number, 1));
        }
        collector.take(tick(1, 4, 5));
        assert_eq!(drain(&mut collector), [(2, 1), (3, 1), (4, 6)]);
        assert_eq!(collector.seconds.len(), 1);
        assert_eq!(collector.seconds[0].ok, 15);
        assert_eq!(collector.users().active, 2);
    }

    #[test]
    fn seconds_add_up_to_the_totals() {
        let mut collector = Collector::new(&rows(), 1, Duration::ZERO, false, false, Vec::new());
        for number in [1, 2, 3, 7, 8, 20] {
            collector.take(tick(0, number, number));
            drain(&mut collector);
        }
        collector.take_last(0, &WorkerUsage::default(), &tick(0, 0, 100).recorder);
        drain(&mut collector);
        collector.finish(Duration::ZERO, Duration::from_millis(5_300));
        let sum: u64 = collector.seconds.iter().map(|second| second.ok).sum();
        assert_eq!(sum, 141);
        assert_eq!(collector.totals.rows[0].ok, 141);
        assert_eq!(collector.seconds.len(), 6);
        assert_eq!(collector.seconds[5].length, Duration::from_millis(300));
    }

    #[test]
    fn the_warm_up_is_left_out_and_nothing_is_lost() {
        let warm_up = Duration::from_millis(500);
        let mut collector = Collector::new(&rows(), 1, warm_up, false, false, Vec::new());
        for number in 1..=2 {
            let mut tick = of_warm_up(tick(0, number, 10));
            // It ends in the load.
            tick.recorder.of(CallPhase::WarmUp).start(0);
            collector.take(tick);
        }
        for number in 3..=4 {
            let mut tick = tick(0, number, 10);
            let late = Sample::of(3_000_000, Outcome::Ok);
            tick.recorder.of(CallPhase::WarmUp).end(0, &late);
            collector.take(tick);
        }
        let of_windows: Vec<u64> = drain(&mut collector).iter().map(|it| it.1).collect();
        assert_eq!(of_windows, [0, 0, 10, 10]);
        let warm = &collector.warm.as_ref().expect("a warm-up").rows[0];
        let load = &collector.totals.rows[0];
        assert_eq!((warm.started, warm.ok), (22, 22));
        assert_eq!((load.started, load.ok), (20, 20));
        assert_eq!(load.service_ok.max_ns(), Some(1_000_000));
        let second = &collector.seconds[0];
        assert_eq!((second.started, second.ok), (42, 42));
        assert_eq!(collector.in_flight(), 0);
    }

    /// What is recorded as warm-up and how long it was must be of one mind.
    #[test]
    fn the_warm_up_is_cut_between_ticks() {
        let check = |warm_up_ms, expected_ms| {
            let warm_up = Duration::from_millis(warm_up_ms);
            let collector = Collector::new(&rows(), 1, warm_up, false, false, Vec::new());
            let end = collector.warm_up_end();
            assert_eq!(end, Duration::from_millis(expected_ms), "{warm_up_ms}");
            for number in 1..10 {
                let is_before = tick_middle(number) < end;
                assert_eq!(is_warm_up(number, warm_up), is_before, "{warm_up_ms}");
            }
        };
        check(0, 0);
        check(500, 500);
        check(600, 500);
        check(625, 500);
        check(626, 750);
        check(10, 0);
    }

    #[test]
    fn the_warm_up_is_left_out_of_stages() {
        let warm_up = Duration::from_millis(500);
        let span = StageSpan {
            at: Duration::ZERO,
            end: Duration::from_secs(1),
            load_from: 0.0,
            load_to: 10.0,
        };
        let mut collector = Collector::new(&rows(), 1, warm_up, false, false, vec![span]);
        for number in 1..=2 {
            collector.take(of_warm_up(tick(0, number, 10)));
        }
        for number in 3..=4 {
            let mut tick = tick(0, number, 10);
            tick.recorder
                .of(CallPhase::WarmUp)
                .record(0, 5, Outcome::Ok);
            collector.take(tick);
        }
        drain(&mut collector);
        let stages = collector.finish(Duration::ZERO, Duration::from_secs(1));
        assert_eq!(stages[0].calls.ok, 20);
        assert_eq!((stages[0].at, stages[0].length), (warm_up, warm_up));
        assert_eq!((stages[0].load_from, stages[0].load_to), (5.0, 10.0));
    }

    /// Sessions were open after half a second.
    #[test]
    fn a_stage_begins_with_the_first_call() {
        let span = |at: u64, end: u64| StageSpan {
            at: Duration::from_secs(at),
            end: Duration::from_secs(end),
            load_from: 0.0,
            load_to: 10.0,
        };
        let spans = vec![span(0, 1), span(1, 2)];
        let mut collector = Collector::new(&rows(), 1, Duration::ZERO, false, false, spans);
        for number in 1..=8 {
            collector.take(tick(0, number, if number <= 2 { 0 } else { 10 }));
            drain(&mut collector);
        }
        let half = Duration::from_millis(500);
        let stages = collector.finish(half, 4 * half);
        let spans: Vec<_> = stages
            .iter()
            .map(|s| (s.at, s.length, s.calls.ok))
            .collect();
        assert_eq!(spans, [(half, half, 20), (2 * half, 2 * half, 40)]);
        assert_eq!(stages[0].load_from, 0.0, "as planned");
        // Seconds are the clock's.
        let seconds: Vec<_> = collector.seconds.iter().map(|s| (s.ok, s.length)).collect();
        assert_eq!(seconds, [(20, 2 * half), (40, 2 * half)]);
    }

    /// A load of two seconds whose sessions take one and a half more to end.
    #[test]
    fn seconds_and_stages_end_with_the_load() {
        let span = |at: u64, end: u64| StageSpan {
            at: Duration::from_secs(at),
            end: Duration::from_secs(end),
            load_from: 5.0,
            load_to: 5.0,
        };
        let spans = vec![span(0, 2), span(2, 9)];
        let mut collector = Collector::new(&rows(), 1, Duration::ZERO, false, false, spans);
        for number in 1..=14 {
            // The last call ended in time, and was read in the ninth tick.
            let n_ok = if number <= 9 { 10 } else { 0 };
            collector.take(tick(0, number, n_ok));
            drain(&mut collector);
        }
        let stages = collector.finish(Duration::ZERO, Duration::from_secs(2));
        let seconds: Vec<_> = collector.seconds.iter().map(|s| (s.ok, s.length)).collect();
        let second = Duration::from_secs(1);
        assert_eq!(seconds, [(40, second), (50, second)]);
        assert!(collector.seconds[1].latency.is_some());
        assert_eq!(stages.len(), 1, "the second one never began");
        assert_eq!(stages[0].length, 2 * second);
        assert_eq!(stages[0].calls.ok, 90);
    }

    #[test]
    fn how_the_opening_was_read_says_nothing_of_the_load() {
        let mut collector = Collector::new(&rows(), 1, Duration::ZERO, false, false, Vec::new());
        for (number, delay_ns) in [(0, 5_000_000), (1, 5_000)] {
            let mut tick = tick(0, number, 1);
            tick.recorder.generator_delay.record(delay_ns);
            tick.recorder.loop_time.record(delay_ns);
            collector.take(tick);
        }
        let totals = &collector.totals;
        assert_eq!(totals.generator_delay.max_ns(), Some(5_000));
        assert_eq!(totals.loop_time.max_ns(), Some(5_000));
        assert_eq!(totals.rows[0].ok, 2);
    }
}
