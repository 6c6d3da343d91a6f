//! What one worker records between two ticks, and what ticks are merged into.
//!
//! A [`Recorder`] is both: a worker fills one, swaps it at a tick for an empty
//! one, and the coordinator merges the full one into its totals. No lock, no
//! allocation per sample but for the first failure of a kind.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::violations::{MESSAGE_CHARS_MAX, cut};
use super::{
    AboveLimits, AddressTallies, AnswerPieces, AnswerTimes, AskedWaits, CensoredReadings, Counters,
    Failure, FailureCounts, Histogram, IsolationCounts, ListenTally, Readings, SlowCall,
    SlowestCalls, Spread, TlsHandshakes, Traffic, Violations, WaitTally,
};

/// How a started request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Answered, and the answer is a success.
    Ok,
    /// It failed, with a message as an example (secrets already taken out).
    Failed(Failure, &'a str),
    /// The run ended first.
    Cancelled,
}

/// The part of a run that a request belongs to, whenever it ends: the one in which it was
/// due, or was sent where it has no intended start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallPhase {
    /// Shown apart.
    WarmUp,
    /// What all other figures are of.
    Load,
}

/// One request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Last byte of the answer less first byte sent, in nanoseconds. For a
    /// failure: until it was noticed; for a cancellation: its age.
    pub service_ns: u64,
    /// Last byte of the answer less intended start, in nanoseconds, where the
    /// load model has intended starts.
    pub response_ns: Option<u64>,
    /// How it ended.
    pub outcome: Outcome<'a>,
}

#[cfg(test)]
impl<'a> Sample<'a> {
    /// A sample without an intended start, for tests.
    pub fn of(service_ns: u64, outcome: Outcome<'a>) -> Self {
        Self {
            service_ns,
            response_ns: None,
            outcome,
        }
    }
}

/// Figures of one row of the report.
#[derive(Debug, Clone, Default)]
pub struct RowStats {
    /// Requests begun: `started = ok + failed + cancelled` once a run is over.
    pub started: u64,
    /// Requests answered with success.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that the end of the run cut off.
    pub cancelled: u64,
    /// Service times of successful requests.
    pub service_ok: Histogram,
    /// Service times of failed requests; `None` until the first.
    pub service_failed: Option<Histogram>,
    /// Response times of successful requests, where there are intended starts.
    pub response_ok: Option<Histogram>,
    /// Response times of failed requests, where there are intended starts.
    pub response_failed: Option<Histogram>,
    /// Ages of cancelled requests; `None` until the first.
    pub cancelled_age: Option<Histogram>,
    /// Failures by cause; their total is `failed`.
    pub failures: FailureCounts,
    /// Successful requests above limits that were known before: by their response
    /// time where they have one, else by their service time.
    pub above: AboveLimits,
    /// Bytes of successful requests.
    pub sent: Traffic,
    /// Bytes of successful answers.
    pub received: Traffic,
    /// The latter one by one; `None` where nobody asks for them.
    pub sizes: Option<Box<Sizes>>,
    /// Successful answers that could not be looked at as was asked for, by the id of
    /// the reason.
    pub unchecked: Vec<(&'static str, u64)>,
    /// How answers came; `None` where nobody asks for that.
    pub answers: Option<Box<AnswerTimes>>,
    /// The slowest of the successful calls; none of what is not a call.
    pub slowest: SlowestCalls,
}

/// Bytes of answers.
#[derive(Debug, Clone, Default)]
pub struct Sizes {
    /// All of them.
    pub bytes: Histogram,
    /// Those above limits that were known before.
    pub above: AboveLimits,
}

impl Sizes {
    /// They, with what is known exactly of them.
    pub fn measured(&self) -> Readings<'_> {
        Readings {
            histogram: &self.bytes,
            above: Some(&self.above),
        }
    }

    fn merge(&mut self, other: &Self) {
        let are_empty = (self.bytes.is_empty(), other.bytes.is_empty());
        self.above.merge(are_empty.0, &other.above, are_empty.1);
        self.bytes.merge(&other.bytes);
    }
}

impl RowStats {
    /// Whether each request that ended had an intended start: a figure of some must
    /// not pass as the figure of all.
    pub fn has_response_times(&self) -> bool {
        let len = |histogram: &Option<Histogram>| histogram.as_ref().map_or(0, Histogram::len);
        len(&self.response_ok) == self.ok && len(&self.response_failed) == self.failed
    }

    /// The latency of successful requests that stands for the row: response times
    /// where the load model has intended starts (`are_intended`) and each request
    /// had one, else service times.
    pub fn measured(&self, are_intended: bool) -> Readings<'_> {
        let response = self.response_ok.as_ref().filter(|_| are_intended);
        let response = response.filter(|_| self.has_response_times());
        let n_response = self.response_ok.as_ref().map_or(0, Histogram::len);
        // What was counted is of one kind: all response times, or all service times.
        let is_counted = match response {
            Some(_) => true,
            None => n_response == 0,
        };
        Readings {
            histogram: response.unwrap_or(&self.service_ok),
            above: is_counted.then_some(&self.above),
        }
    }

    /// The same with the requests that the end of the run cut off, by their ages: the least
    /// that its figures can be. `None` without such requests.
    pub fn at_least(&self, are_intended: bool) -> Option<CensoredReadings> {
        CensoredReadings::of(self.measured(are_intended), self.cancelled_age.as_ref()?)
    }

    /// How many of the requests that the end of the run cut off had waited longer than any
    /// that succeeded took.
    pub fn overdue(&self) -> u64 {
        let ages = self.cancelled_age.as_ref();
        ages.map_or(0, |ages| {
            ages.count_surely_over(self.service_ok.max_ns().unwrap_or(0))
        })
    }

    /// Requests that have ended by themselves.
    pub fn finished(&self) -> u64 {
        self.ok + self.failed
    }

    /// Adds another interval of the same row.
    pub fn merge(&mut self, other: &Self) {
        self.above.merge(self.ok == 0, &other.above, other.ok == 0);
        if let Some(sizes) = &other.sizes {
            self.sizes.get_or_insert_default().merge(sizes);
        }
        if let Some(answers) = &other.answers {
            self.answers.get_or_insert_default().merge(answers);
        }
        self.sent.merge(&other.sent);
        self.received.merge(&other.received);
        for (reason, count) in &other.unchecked {
            self.add_unchecked(reason, *count);
        }
        self.started += other.started;
        self.ok += other.ok;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.service_ok.merge(&other.service_ok);
        merge_optional(&mut self.service_failed, &other.service_failed);
        merge_optional(&mut self.response_ok, &other.response_ok);
        merge_optional(&mut self.response_failed, &other.response_failed);
        merge_optional(&mut self.cancelled_age, &other.cancelled_age);
        self.failures.merge(&other.failures);
        self.slowest.merge(&other.slowest);
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.started = 0;
        self.ok = 0;
        self.failed = 0;
        self.cancelled = 0;
        self.service_ok.clear();
        for histogram in [
            &mut self.service_failed,
            &mut self.response_ok,
            &mut self.response_failed,
            &mut self.cancelled_age,
        ]
        .into_iter()
        .flatten()
        {
            histogram.clear();
        }
        self.failures.clear();
        self.above.clear();
        if let Some(sizes) = &mut self.sizes {
            sizes.bytes.clear();
            sizes.above.clear();
        }
        self.sent = Traffic::default();
        self.received = Traffic::default();
        self.unchecked.clear();
        self.answers = None;
        self.slowest.clear();
    }

    fn add_unchecked(&mut self, reason: &'static str, count: u64) {
        match self.unchecked.iter_mut().find(|(it, _)| *it == reason) {
            Some((_, sum)) => *sum += count,
            None => self.unchecked.push((reason, count)),
        }
    }

    fn end(&mut self, sample: &Sample<'_>) {
        let service_ns = sample.service_ns;
        let (service, response) = match &sample.outcome {
            Outcome::Ok => {
                self.ok += 1;
                self.above.record(sample.response_ns.unwrap_or(service_ns));
                (&mut self.service_ok, &mut self.response_ok)
            }
            Outcome::Failed(failure, _) => {
                self.failed += 1;
                self.failures.add(*failure);
                let service = self.service_failed.get_or_insert_default();
                (service, &mut self.response_failed)
            }
            Outcome::Cancelled => {
                self.cancelled += 1;
                let age = self.cancelled_age.get_or_insert_default();
                return age.record(service_ns);
            }
        };
        service.record(service_ns);
        if let Some(response_ns) = sample.response_ns {
            response.get_or_insert_default().record(response_ns);
        }
    }
}

fn merge_optional(into: &mut Option<Histogram>, from: &Option<Histogram>) {
    if let Some(from) = from.as_ref().filter(|from| !from.is_empty()) {
        into.get_or_insert_default().merge(from);
    }
}

/// Distinct messages kept for each cause.
const EXAMPLES_PER_FAILURE: usize = 3;

/// Causes for which messages are kept.
const EXAMPLE_FAILURES_MAX: usize = 64;

/// Messages remembered that are known without their secrets.
const PASSED_OVER_MAX: usize = 16;

/// Messages of failures. Those of handshakes are not examples of calls that failed by the
/// same cause.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    /// Of calls, and of what they are part of.
    pub calls: Messages,
    /// Of the beginnings and the ends of sessions.
    pub sessions: Messages,
    /// Of listening streams.
    pub streams: Messages,
}

impl Examples {
    /// Adds another worker's examples.
    pub fn merge(&mut self, other: &Self) {
        self.calls.merge(&other.calls);
        self.sessions.merge(&other.sessions);
        self.streams.merge(&other.streams);
    }
}

/// The first few distinct messages of each cause, cut to a bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    by_failure: Vec<(Failure, Vec<String>)>,
    /// Of messages that are known once secrets are out of them, as hashes: no secret is kept.
    passed_over: Vec<u64>,
}

impl Messages {
    /// Whether the message would be kept: it is new, and there is room. Compared before
    /// anything is made of it: a message that is known already, as in a run in which every
    /// call fails, allocates nothing.
    pub fn wants(&self, failure: Failure, message: &str) -> bool {
        let known = self.by_failure.iter().find(|(f, _)| *f == failure);
        let has_room = match known {
            Some((_, messages)) => messages.len() < EXAMPLES_PER_FAILURE,
            None => self.by_failure.len() < EXAMPLE_FAILURES_MAX,
        };
        let cut = || cut(message, MESSAGE_CHARS_MAX);
        let mut known = known.into_iter().flat_map(|(_, messages)| messages);
        has_room
            && !message.is_empty()
            && !known.any(|known| cut().eq(known.chars()))
            && !self.is_passed_over(failure, message)
    }

    /// Has a message not be wanted again that becomes one that is known once secrets are out
    /// of it, for to take them out takes a look at the whole answer. A few of them are
    /// remembered, the last ones.
    pub fn pass_over(&mut self, failure: Failure, message: &str, cleaned: &str) {
        if message == cleaned || self.wants(failure, cleaned) {
            return;
        }
        if self.passed_over.len() >= PASSED_OVER_MAX {
            self.passed_over.remove(0);
        }
        self.passed_over.push(hash_of(failure, message));
    }

    fn is_passed_over(&self, failure: Failure, message: &str) -> bool {
        // Most often there are none.
        !self.passed_over.is_empty() && self.passed_over.contains(&hash_of(failure, message))
    }

    /// Keeps the message if it is new and there is room.
    pub fn offer(&mut self, failure: Failure, message: &str) {
        if !self.wants(failure, message) {
            return;
        }
        let message = cut(message, MESSAGE_CHARS_MAX).collect();
        match self.by_failure.iter_mut().find(|(f, _)| *f == failure) {
            Some((_, messages)) => messages.push(message),
            None => self.by_failure.push((failure, vec![message])),
        }
    }

    fn merge(&mut self, other: &Self) {
        for (failure, messages) in &other.by_failure {
            for message in messages {
                self.offer(*failure, message);
            }
        }
    }

    /// The messages kept for a cause.
    pub fn of(&self, failure: Failure) -> &[String] {
        self.by_failure
            .iter()
            .find(|(f, _)| *f == failure)
            .map_or(&[], |(_, messages)| messages)
    }
}

fn hash_of(failure: Failure, message: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (failure, message).hash(&mut hasher);
    hasher.finish()
}

/// What became of the arrivals of a population.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SettledArrivals {
    /// Iterations have begun for this many.
    pub begun: u64,
    /// This many were dropped.
    pub dropped: u64,
}

/// All that is recorded between two ticks, or the sum of many ticks.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    /// One for each row of the plan, in its order.
    pub rows: Vec<RowStats>,
    /// Counted beside the requests.
    pub counters: Counters,
    /// Arrivals by population, those that wait aside; empty before the first.
    pub arrivals: Vec<SettledArrivals>,
    /// Arrivals that waited when all iterations that are wanted had begun: nobody asked
    /// for them.
    pub arrivals_left: u64,
    /// Sent less the moment at which it could have been, in nanoseconds: the
    /// generator's own fault. That moment is the intended start, or later, when
    /// the user was done with its call before.
    pub lateness: Histogram,
    /// From the arrival of an answer's last byte in the kernel to our reading
    /// it, in nanoseconds; empty where the kernel gives no timestamps.
    pub generator_delay: Histogram,
    /// How long the loop of a worker took from one poll of the kernel to the
    /// next, where it had something to do, in nanoseconds. What comes meanwhile
    /// waits that long, and what is due leaves that much later.
    pub loop_time: Histogram,
    /// Handshakes of TLS; `None` until the first.
    pub tls: Option<Box<TlsHandshakes>>,
    /// Waits that the server asked for.
    pub waits: AskedWaits,
    /// Waits for another token, where the server refused the one before.
    pub token_waits: WaitTally,
    /// Markers in calls and answers.
    pub isolation: IsolationCounts,
    /// Connections by address; `None` until the first to one of several.
    pub addresses: Option<Box<AddressTallies>>,
    /// Calls by who served them; `None` until the first that is counted so.
    pub spread: Option<Box<Spread>>,
    /// Listening streams; `None` until something becomes of one.
    pub listening: Option<Box<ListenTally>>,
    /// Messages of failures.
    pub examples: Examples,
    /// Exchanges whose answer was not what the plan expects.
    pub violations: Violations,
    /// In a recorder of a worker: what belongs to the warm-up; `None` until something does.
    pub warm_up: Option<Box<Self>>,
}

impl Recorder {
    /// An empty recorder for a number of rows.
    pub fn new(n_rows: usize) -> Self {
        Self {
            rows: (0..n_rows).map(|_| RowStats::default()).collect(),
            ..Self::default()
        }
    }

    /// Where the requests of a phase are recorded.
    #[inline]
    pub fn of(&mut self, phase: CallPhase) -> &mut Self {
        match phase {
            CallPhase::Load => self,
            CallPhase::WarmUp => self.of_warm_up(),
        }
    }

    #[cold]
    fn of_warm_up(&mut self) -> &mut Self {
        let rows = &self.rows;
        self.warm_up.get_or_insert_with(|| {
            let mut recorder = Self::new(rows.len());
            for (own, row) in recorder.rows.iter_mut().zip(rows) {
                own.sizes = row.sizes.as_ref().map(|_| Box::default());
            }
            Box::new(recorder)
        })
    }

    /// It, and what belongs to the warm-up.
    pub fn phases(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.warm_up.as_deref())
    }

    /// A request of the row has begun.
    pub fn start(&mut self, row: usize) {
        self.rows[row].started += 1;
    }

    /// A request of the row has ended. It must have been started.
    pub fn end(&mut self, row: usize, sample: &Sample<'_>) {
        self.end_among(|examples| &mut examples.calls, row, sample);
    }

    /// Starts a request of the row and ends it, for tests.
    #[cfg(test)]
    pub fn record(&mut self, row: usize, service_ns: u64, outcome: Outcome<'_>) {
        self.start(row);
        self.end(row, &Sample::of(service_ns, outcome));
    }

    /// The same of a row that opens or ends sessions.
    pub fn end_of_session(&mut self, row: usize, sample: &Sample<'_>) {
        self.end_among(|examples| &mut examples.sessions, row, sample);
    }

    /// The same of a row that opens listening streams.
    pub fn end_of_stream(&mut self, row: usize, sample: &Sample<'_>) {
        self.end_among(|examples| &mut examples.streams, row, sample);
    }

    fn end_among(
        &mut self,
        examples: impl Fn(&mut Examples) -> &mut Messages,
        row: usize,
        sample: &Sample<'_>,
    ) {
        if let Outcome::Failed(failure, message) = &sample.outcome {
            examples(&mut self.examples).offer(*failure, message);
        }
        self.rows[row].end(sample);
    }

    /// A success of the row, with the bytes of its request and of its answer.
    pub fn transferred(&mut self, row: usize, n_sent: u64, n_received: u64) {
        let row = &mut self.rows[row];
        row.sent.add(n_sent);
        row.received.add(n_received);
        if let Some(sizes) = &mut row.sizes {
            sizes.bytes.record(n_received);
            sizes.above.record(n_received);
        }
    }

    /// Whether a successful call of the row that took so long is among its slowest.
    #[inline]
    pub fn wants_slow(&self, row: usize, took_ns: u64) -> bool {
        self.rows[row].slowest.takes(took_ns)
    }

    /// Keeps a call of the row that is.
    pub fn keep_slow(&mut self, row: usize, call: SlowCall) {
        self.rows[row].slowest.offer(call);
    }

    /// The answer to a call of the row that took so long, in nanoseconds, came so.
    pub fn answered(&mut self, row: usize, pieces: &AnswerPieces, is_ok: bool, took_ns: u64) {
        let answers = self.rows[row].answers.get_or_insert_default();
        answers.record(pieces, is_ok, took_ns);
    }

    /// An iteration of this population has begun, for an arrival where they do.
    pub fn begin_iteration(&mut self, population: usize, is_arrival: bool) {
        self.counters.iterations_started += 1;
        if is_arrival {
            self.arrivals_of(population).begun += 1;
        }
    }

    /// This many arrivals of this population were dropped.
    pub fn drop_arrivals(&mut self, population: usize, n_dropped: u64) {
        self.counters.arrivals_dropped += n_dropped;
        self.arrivals_of(population).dropped += n_dropped;
    }

    fn arrivals_of(&mut self, population: usize) -> &mut SettledArrivals {
        if self.arrivals.len() <= population {
            self.arrivals
                .resize(population + 1, SettledArrivals::default());
        }
        &mut self.arrivals[population]
    }

    /// Takes the arrivals that nobody asked for out of those that came.
    pub fn forget_arrivals_left(&mut self) {
        let n_left = std::mem::take(&mut self.arrivals_left);
        self.counters.arrivals = self.counters.arrivals.saturating_sub(n_left);
    }

    /// A successful answer of the row could not be looked at, for this reason (its id).
    pub fn unchecked(&mut self, row: usize, reason: &'static str) {
        self.rows[row].add_unchecked(reason, 1);
    }

    /// Adds another recorder with the same rows, but for its warm-up.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.rows.len(), other.rows.len());
        for (row, more) in self.rows.iter_mut().zip(&other.rows) {
            row.merge(more);
        }
        self.counters.merge(&other.counters);
        self.add_arrivals(&other.arrivals);
        self.arrivals_left += other.arrivals_left;
        self.lateness.merge(&other.lateness);
        self.generator_delay.merge(&other.generator_delay);
        self.loop_time.merge(&other.loop_time);
        add_boxed(&mut self.tls, &other.tls, TlsHandshakes::merge);
        self.waits.merge(&other.waits);
        self.token_waits.merge(&other.token_waits);
        self.isolation.merge(&other.isolation);
        add_boxed(&mut self.addresses, &other.addresses, AddressTallies::merge);
        add_boxed(&mut self.spread, &other.spread, Spread::merge);
        add_boxed(&mut self.listening, &other.listening, ListenTally::merge);
        self.examples.merge(&other.examples);
        self.violations.merge(&other.violations);
    }

    /// Adds all of another recorder with the same rows.
    pub fn merge_phases(&mut self, other: &Self) {
        self.merge(other);
        if let Some(warm_up) = &other.warm_up {
            self.of_warm_up().merge(warm_up);
        }
    }

    /// Adds arrivals by population; the counters have them, too.
    pub fn add_arrivals(&mut self, by_population: &[SettledArrivals]) {
        for (population, more) in by_population.iter().enumerate() {
            let sum = self.arrivals_of(population);
            sum.begun += more.begun;
            sum.dropped += more.dropped;
        }
    }

    /// Empties what says how the generator fared: while sessions are opened
    /// before a load, that is not part of the load. The requests stay.
    pub fn forget_opening(&mut self) {
        self.lateness.clear();
        self.generator_delay.clear();
        self.loop_time.clear();
        if let Some(warm_up) = &mut self.warm_up {
            warm_up.forget_opening();
        }
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        for row in &mut self.rows {
            row.clear();
        }
        self.counters = Counters::default();
        self.arrivals.clear();
        self.arrivals_left = 0;
        self.warm_up = None;
        self.forget_opening();
        self.tls = None;
        self.waits = AskedWaits::default();
        self.token_waits = WaitTally::default();
        self.isolation = IsolationCounts::default();
        self.addresses = None;
        self.spread = None;
        self.listening = None;
        self.examples = Examples::default();
        self.violations.clear();
    }
}

/// Adds what is there only once there is something of it.
pub fn add_boxed<T: Default>(
    sum: &mut Option<Box<T>>,
    more: &Option<Box<T>>,
    merge: impl Fn(&mut T, &T),
) {
    if let Some(more) = more {
        merge(sum.get_or_insert_default(), more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_started_request_ends_once() {
        let mut recorder = Recorder::new(2);
        for outcome in [
            Outcome::Ok,
            Outcome::Failed(Failure::Tool, "broken"),
            Outcome::Cancelled,
        ] {
            recorder.record(1, 1000, outcome);
        }
        let row = &recorder.rows[1];
        assert_eq!(row.started, row.ok + row.failed + row.cancelled);
        assert_eq!((row.ok, row.failed, row.cancelled), (1, 1, 1));
        assert_eq!(row.service_ok.len(), 1);
        assert_eq!(row.failures.total(), row.failed);
        assert_eq!(recorder.examples.calls.of(Failure::Tool), ["broken"]);
        assert_eq!(recorder.rows[0].started, 0);
    }

    #[test]
    fn calls_have_examples_of_calls() {
        let failure = Failure::Http {
            status: 429,
            rpc_code: None,
        };
        let mut tick = Recorder::new(2);
        tick.start(0);
        tick.end_of_session(0, &Sample::of(5, Outcome::Failed(failure, "at initialize")));
        tick.record(1, 5, Outcome::Failed(failure, "at a call"));
        let mut total = Recorder::new(2);
        total.merge(&tick);
        assert_eq!(total.examples.calls.of(failure), ["at a call"]);
        assert_eq!(total.examples.sessions.of(failure), ["at initialize"]);
    }

    #[test]
    fn merging_adds_and_clearing_empties() {
        let mut tick = Recorder::new(1);
        tick.record(0, 5, Outcome::Ok);
        tick.counters.connections = 1;
        tick.transferred(0, 100, 1000);
        tick.unchecked(0, "result_too_large");
        let mut total = Recorder::new(1);
        total.merge(&tick);
        total.merge(&tick);
        assert_eq!(total.rows[0].ok, 2);
        assert_eq!(total.counters.connections, 2);
        assert_eq!((total.rows[0].sent.sum, total.rows[0].sent.max), (200, 100));
        assert_eq!(total.rows[0].received.sum, 2000);
        assert_eq!(total.rows[0].unchecked, [("result_too_large", 2)]);
        tick.clear();
        total.merge(&tick);
        assert_eq!(total.rows[0].service_ok.len(), 2);
        assert_eq!(total.rows[0].received.sum, 2000);
        assert_eq!(total.rows[0].unchecked, [("result_too_large", 2)]);
    }

    #[test]
    fn a_message_that_is_known_without_its_secret_is_not_wanted_again() {
        let mut examples = Messages::default();
        let is_wanted =
            |of: &Messages, secret: &str| of.wants(Failure::Tool, &format!("no {secret}"));
        let take = |of: &mut Messages, secret: &str| {
            of.pass_over(Failure::Tool, &format!("no {secret}"), "no ***");
        };
        // It is the first of its kind, which is kept.
        take(&mut examples, "geheim0");
        assert!(is_wanted(&examples, "geheim0"));
        examples.offer(Failure::Tool, "no ***");
        take(&mut examples, "geheim0");
        assert!(!is_wanted(&examples, "geheim0"));
        assert!(
            is_wanted(&examples, "geheim1"),
            "what is new may be another"
        );
        assert!(examples.wants(Failure::Rpc(1), "no geheim0"));
        for n in 0..2 * PASSED_OVER_MAX {
            take(&mut examples, &format!("geheim{n}"));
        }
        assert_eq!(examples.passed_over.len(), PASSED_OVER_MAX);
        assert!(!format!("{examples:?}").contains("geheim"));
    }

    #[test]
    fn examples_are_few_distinct_and_short() {
        let mut examples = Messages::default();
        for i in 0..10 {
            examples.offer(Failure::Tool, &format!("message {}", i / 2));
        }
        assert_eq!(
            examples.of(Failure::Tool),
            ["message 0", "message 1", "message 2"]
        );
        assert!(!examples.wants(Failure::Tool, "message 0"), "it is known");
        assert!(!examples.wants(Failure::Tool, "message 9"), "no room");
        assert!(!examples.wants(Failure::Rpc(1), ""));
        assert!(examples.wants(Failure::Rpc(1), "message 0"));
        examples.offer(Failure::Rpc(1), &"é\n".repeat(5000));
        let text = &examples.of(Failure::Rpc(1))[0];
        assert_eq!(text.chars().count(), MESSAGE_CHARS_MAX + 1);
        assert!(!text.contains('\n'));
    }
}
