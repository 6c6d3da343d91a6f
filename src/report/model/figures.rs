//! Blocks of figures that recur throughout the report.

use super::ServerNames;
use crate::outcome::{LoadUnit, with_population};
use crate::redact::own;
use crate::text::visible_name;
use crate::units::{format_bytes, tidy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Figures of some requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figures {
    /// Requests begun: `ok + failed + cancelled`.
    pub started: u64,
    /// Requests answered with success.
    pub ok: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that the end of the run cut off. In no rate and no latency.
    pub cancelled: u64,
    /// `ok + failed`, a second of `duration_secs` or of the stage's length; `null`
    /// where nothing has ended.
    pub rate_per_sec: Option<f64>,
    /// `ok`, a second of the same; `null` where nothing has ended, and in reports before
    /// schema 2.3.
    #[serde(default)]
    pub goodput_per_sec: Option<f64>,
    /// `failed ÷ (ok + failed)`, 0 to 1; `null` where nothing has ended.
    pub error_rate: Option<f64>,
    /// From which instant `latency` and `failed_latency` count.
    pub latency_from: LatencyFrom,
    /// Latency of the successful requests.
    pub latency: LatencyFigures,
    /// Latency of the failed requests, until the failure was noticed; `null`
    /// without any.
    pub failed_latency: Option<LatencyFigures>,
    /// Where `latency` counts from the intended start: the successful
    /// requests' latency from the first byte sent. Else `null`.
    pub service_latency: Option<LatencyFigures>,
    /// How old the cancelled requests were; `null` without any.
    pub cancelled_age: Option<LatencyFigures>,
    /// Why requests failed, most frequent first; the counts sum to `failed`.
    pub failures: Vec<CauseCount>,
}

impl Figures {
    /// Requests that ended by themselves. A stored report may hold numbers that no run
    /// can count.
    pub fn ended(&self) -> u64 {
        self.ok.saturating_add(self.failed)
    }
}

/// From which instant a latency counts; it always ends with the answer's last
/// byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LatencyFrom {
    /// The request's first byte handed to the kernel: service time.
    #[default]
    Sent,
    /// When the request should have started by the load model: response time.
    IntendedStart,
}

/// Percentiles by nearest rank, within 0.1 %; minimum, maximum and mean exact.
/// All but `count` are `null` where it is 0. In order:
/// `min ≤ p50 ≤ p90 ≤ p95 ≤ p99 ≤ p99.9 ≤ max`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyFigures {
    /// How many were measured.
    pub count: u64,
    /// The least.
    pub min_ms: Option<f64>,
    /// The arithmetic mean.
    pub mean_ms: Option<f64>,
    /// The median.
    pub p50_ms: Option<f64>,
    /// 90th percentile.
    pub p90_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile.
    pub p99_9_ms: Option<f64>,
    /// The greatest.
    pub max_ms: Option<f64>,
}

/// Waits that the server asked for (`Retry-After`), where the plan respects them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaitFigures {
    /// Waits of users, by their time or until the run was over. Those of the warm-up too.
    pub waits: u64,
    /// How long they took, of all users together, in seconds.
    pub waited_secs: f64,
    /// Of the time of all users, 0 to 1; `null` where there was no time.
    pub share: Option<f64>,
    /// The longest wait that was asked for, at most a day, in seconds; `null` where none was.
    pub asked_max_secs: Option<f64>,
    /// Answers of 429 without `Retry-After`: nobody waited after them.
    pub absent: u64,
    /// Answers with one that is neither seconds nor a date: nobody waited after them.
    pub unreadable: u64,
}

/// Markers that went out in the arguments of calls (`isolation`), and what came of them:
/// of the whole run, the warm-up included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IsolationFigures {
    /// Calls with a marker that succeeded or failed.
    pub marked: u64,
    /// Of these, the ones whose answer had a marker of the same user: where that is 0, the
    /// run shows nothing of isolation.
    pub returned: u64,
    /// Answers to calls, handshakes and ends of sessions that had a marker of another user,
    /// and messages on listening streams that had one.
    pub foreign: u64,
    /// Answers with a marker of another run, which tells nothing of whose it was: the
    /// server keeps what it was sent.
    pub other_runs: u64,
}

/// What TLS took and agreed upon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsFigures {
    /// From the first byte of a handshake handed to the kernel to the arrival of the last
    /// byte of the server's part. Those of the whole run, the warm-up included; in no
    /// other latency.
    pub handshake: LatencyFigures,
    /// Handshakes by what they agreed upon, most frequent first.
    pub agreed: Vec<TlsAgreement>,
    /// Whether the server's certificates were checked: not with `--insecure`.
    pub is_verified: bool,
}

/// What came of connecting to one of several addresses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AddressFigures {
    /// The address with its port.
    pub address: String,
    /// Connections that it took.
    pub connected: u64,
    /// Attempts to connect that came to nothing, after which the next address was tried.
    pub failed: u64,
    /// Why the last of these did.
    pub last_failure: Option<String>,
    /// The calls of its connections, without the warm-up's; `null` without any, and in
    /// reports before schema 2.4.
    #[serde(default)]
    pub calls: Option<ServedFigures>,
}

/// Calls by what the header of their answers says that `backend_header` names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackendFigures {
    /// The header's value, cut to 100 characters; `null` where the answer has none, or there
    /// was no answer.
    pub name: Option<String>,
    /// All values beyond the first 64 together; `name` is `null` then.
    pub is_rest: bool,
    /// Its calls.
    pub calls: ServedFigures,
}

/// Calls that one of several servers ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServedFigures {
    /// Calls that ended by themselves, with success or not.
    pub ended: u64,
    /// Of these, the ones that failed.
    pub failed: u64,
    /// Of these, the ones whose session the server did not know.
    pub sessions_expired: u64,
    /// `ended`, of those of all servers, 0 to 1; `null` where there are none.
    pub share: Option<f64>,
    /// Latency of the successful ones, as in `totals`.
    pub latency: LatencyFigures,
}

/// Handshakes that agreed upon the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsAgreement {
    /// Such as `TLS 1.3`.
    #[serde(serialize_with = "own")]
    pub protocol: String,
    /// The cipher suite, as IANA names it.
    #[serde(serialize_with = "own")]
    pub cipher: String,
    /// How many.
    pub handshakes: u64,
    /// Of those, the ones that went on with a session of before.
    pub resumed: u64,
}

/// One operation's figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationFigures {
    /// The MCP method, such as `tools/call`.
    pub method: String,
    /// The tool, resource or prompt; `null` for lists and the like.
    pub subject: Option<String>,
    /// What it is called: `tools/call echo`; its name, where it has one, and its flow
    /// before it: `checkout: sign in`.
    pub label: String,
    /// The name that the scenario gives to the step; `null` without one.
    #[serde(default)]
    pub name: Option<String>,
    /// The flow that the step is part of; `null` without one.
    #[serde(default)]
    pub flow: Option<String>,
    /// The population of users that makes the step; `null` where the plan names
    /// none.
    #[serde(default)]
    pub population: Option<String>,
    /// Its figures.
    pub figures: Figures,
    /// What went over the wire for its successful calls; `null` without any, of turns,
    /// and in reports before schema 2.2.
    #[serde(default)]
    pub bytes: Option<BytesFigures>,
    /// How its answers came, where that is measured: with `streams` of the settings and
    /// `progress` of the step; else `null`.
    #[serde(default)]
    pub answers: Option<AnswerFigures>,
    /// The slowest of its successful calls, the slowest first, at most 3; empty without any,
    /// of turns, and in reports before schema 2.5.
    #[serde(default)]
    pub slowest: Vec<SlowCallFigures>,
}

/// A successful call that took long, and where its time went: the parts follow each other,
/// and their sum is the latency from the intended start, where there is one, or else the
/// latency and the time until its first byte was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlowCallFigures {
    /// When its first byte was sent, on the run's clock, in seconds.
    pub at_secs: f64,
    /// The number of its user among all users of the run, from 1.
    pub user: u64,
    /// Its latency, as in the operation's figures.
    pub latency_ms: f64,
    /// From the intended start until a user was free to make it; `null` where no start was
    /// intended.
    pub queue_ms: Option<f64>,
    /// Until its first byte was sent: making the connection, where there had to be a new one.
    pub connect_ms: f64,
    /// Until the kernel had all of the request; 0 where it took it at once.
    pub send_ms: f64,
    /// Until the first byte of the answer that ended it.
    pub wait_ms: f64,
    /// Until the last byte of it; `null` where it came on a stream beside.
    pub read_ms: Option<f64>,
    /// The id of its trace (W3C Trace Context), with `trace` of the settings; else `null`.
    #[serde(serialize_with = "own")]
    pub trace_id: Option<String>,
}

/// How answers came. Times count from the first byte sent, and are those of successful calls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AnswerFigures {
    /// Successful calls.
    pub calls: u64,
    /// Of these, the ones that were answered by an event stream.
    pub streams: u64,
    /// To the arrival of the answer's first byte; `null` without any.
    pub first_byte: Option<LatencyFigures>,
    /// To the arrival of the end of the first event of a stream; `null` without any.
    pub first_event: Option<LatencyFigures>,
    /// To that of the first notification of the call's progress; `null` without any.
    pub first_progress: Option<LatencyFigures>,
    /// From one event of a stream to the next, of the first 1,000 of each; 0 for those that
    /// arrive together; `null` without any.
    pub gap: Option<LatencyFigures>,
    /// Events with data, the answer too, of the streams; `null` without any.
    pub events: Option<ByteFigures>,
    /// Bytes of content of the streams; `null` without any.
    pub bytes: Option<ByteFigures>,
    /// Notifications of the calls' progress.
    pub progress: u64,
    /// Streams that ended before the answer, of all calls; those that were resumed too.
    pub ended_early: u64,
    /// Calls of 100 ms and more that told of their progress twice or more, and whose events
    /// came apart or were read early enough to be told apart.
    pub telling: u64,
    /// Of these, the ones whose events all arrived at once: something held them back.
    pub held_back: u64,
}

impl OperationFigures {
    /// The label to be shown, with the population where there are several.
    pub(in crate::report) fn full_label(&self) -> String {
        let label = visible_name(&self.label).into_owned();
        with_population(label, self.population.as_deref())
    }
}

/// Bytes of HTTP heads and bodies, as TLS takes and gives them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BytesFigures {
    /// Of the requests.
    pub request: ByteFigures,
    /// Of the answers.
    pub answer: ByteFigures,
}

impl BytesFigures {
    /// The mean and the largest of the requests, then of the answers, to be shown.
    pub(in crate::report) fn texts(&self) -> [String; 4] {
        let (request, answer) = (&self.request, &self.answer);
        [
            format_bytes(request.mean.round() as u64),
            format_bytes(request.max),
            format_bytes(answer.mean.round() as u64),
            format_bytes(answer.max),
        ]
    }
}

/// Bytes of some requests, or of some answers; or events of some.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ByteFigures {
    /// Of all together.
    pub total: u64,
    /// The arithmetic mean.
    pub mean: f64,
    /// Of the largest.
    pub max: u64,
}

impl ByteFigures {
    /// Of this number, which is above zero.
    pub(in crate::report) fn of(total: u64, max: u64, count: u64) -> Self {
        Self {
            total,
            mean: tidy(total as f64 / count as f64),
            max,
        }
    }
}

/// The iterations of a flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowFigures {
    /// Its name.
    pub name: String,
    /// The population of users that does it; `null` where the plan names none.
    #[serde(default)]
    pub population: Option<String>,
    /// Iterations of it. Their latency is that from the start of the first step to the
    /// end of the last, with thinking and waiting between them.
    pub figures: Figures,
    /// Of its successful iterations, the time that their calls took alone, and what the
    /// first was late where latency counts from the intended start. What thresholds on
    /// `flow:NAME` look at.
    pub busy: LatencyFigures,
}

impl FlowFigures {
    /// The name, with the population where there are several.
    pub(in crate::report) fn full_name(&self) -> String {
        with_population(self.name.clone(), self.population.as_deref())
    }
}

/// A class of users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PopulationFigures {
    /// Its name.
    pub name: String,
    /// Its share of the users, or of the arrivals, 0 to 1.
    pub share: f64,
    /// What it spoke to.
    pub server: ServerNames,
    /// Arrivals that were its users' to serve, where the load has any: those for which an
    /// iteration has begun, and those that were dropped. 0 in reports before schema 2.5.
    #[serde(default)]
    pub arrivals: u64,
    /// Of these, the ones that were dropped. 0 in reports before schema 2.5.
    #[serde(default)]
    pub arrivals_dropped: u64,
    /// All its calls together.
    pub figures: Figures,
    /// Sessions that its users opened.
    pub handshake: Option<Figures>,
    /// Sessions that they ended.
    pub close: Option<Figures>,
    /// Its calls in each of `stages`, in the same order.
    pub stages: Vec<Figures>,
    /// Its calls over time, those of the warm-up too: second by second, or in longer pieces
    /// where the populations would have more than 4,000 together. Pieces without calls are
    /// left out. Empty with `histograms` other than `seconds`, where there was no memory for
    /// them, and in reports before schema 2.5.
    #[serde(default)]
    pub seconds: Vec<PopulationSecond>,
}

/// A second of a population's calls, or a longer piece of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PopulationSecond {
    /// Its start on the run's clock, as in `seconds` of the report.
    pub at_secs: f64,
    /// How long it was.
    pub length_secs: f64,
    /// Calls begun in it.
    pub started: u64,
    /// Calls that succeeded in it.
    pub ok: u64,
    /// Calls that failed in it.
    pub failed: u64,
    /// `ok + failed`, a second.
    pub rate_per_sec: f64,
    /// Median of the successful calls that ended in it; `null` without any, and in a merged
    /// report where several parts had some.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// The greatest.
    pub max_ms: Option<f64>,
}

/// Answers that could not be looked at as was asked for. They are in no failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UncheckedFigures {
    /// The operation's `label`.
    pub operation: String,
    /// Why, such as `large_result`.
    #[serde(serialize_with = "own")]
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// The first call of an operation that failed by this cause, as it went over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExchangeFigures {
    /// The operation's `label`.
    pub operation: String,
    /// The cause's `id`.
    #[serde(serialize_with = "own")]
    pub cause: String,
    /// What was wrong.
    pub message: String,
    /// What was sent, without secrets, at most 1,000 characters.
    pub request: String,
    /// What came, without secrets, at most 2,000 characters.
    pub answer: String,
    /// The id of its trace, with `trace` of the settings; else `null`, and in reports before
    /// schema 2.5.
    #[serde(default, serialize_with = "own")]
    pub trace_id: Option<String>,
}

/// A cause of failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CauseCount {
    /// The stable name, such as `http.503` or `jsonrpc.-32602`.
    #[serde(serialize_with = "own")]
    pub id: String,
    /// Its group: `connect`, `timeout`, `http`, `jsonrpc`, `tool`, `protocol`,
    /// `session`, `extract`, `expect` or `template`.
    pub group: String,
    /// How often.
    pub count: u64,
    /// Its share of these failures, 0 to 1.
    pub share: f64,
    /// The first few distinct messages that this cause had anywhere in the
    /// run, without secrets.
    pub examples: Vec<String>,
}

/// A class of latencies: above `from_ms` (the first: from it), up to `to_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LatencyClass {
    /// Its lower bound.
    pub from_ms: f64,
    /// Its upper bound.
    pub to_ms: f64,
    /// Successful calls in it.
    pub count: u64,
}

/// How many latencies lie above a limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Over {
    /// The limit.
    pub limit_ms: f64,
    /// Successful calls that took longer; those within 0.1 % of the limit may
    /// count on either side.
    pub count: u64,
    /// `count` ÷ all successful calls, 0 to 1.
    pub share: f64,
}

/// One second of all calls together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecondFigures {
    /// Its start on the run's clock, which begins when users are told to open their
    /// sessions: before the first call.
    pub at_secs: f64,
    /// How long it was: a second, but for the last.
    pub length_secs: f64,
    /// Virtual users active at its end.
    pub vus: u32,
    /// Calls begun in it.
    pub started: u64,
    /// Calls that succeeded in it.
    pub ok: u64,
    /// Calls that failed in it.
    pub failed: u64,
    /// Of them, those that the server turned away for their number (429); 0 in reports
    /// before schema 2.3.
    #[serde(default)]
    pub rate_limited: u64,
    /// `ok + failed`, a second.
    pub rate_per_sec: f64,
    /// Median of the successful calls that ended in it; `null` without any.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// The greatest.
    pub max_ms: Option<f64>,
    /// Arrivals dropped in it.
    pub dropped: u64,
    /// Calls in flight: mean over time, and the most at once.
    pub in_flight_mean: Option<f64>,
    /// The most at once of each worker, all workers together.
    pub in_flight_max: u64,
    /// The busiest worker's share of work, 0 to 1.
    pub busy_share: Option<f64>,
    /// The share of it for which a worker waited for a CPU, the worst.
    pub run_delay_share: Option<f64>,
    /// The longest time for which a worker did not look at the kernel.
    pub turn_max_ms: f64,
    /// 99th percentile of the lateness; `null` without intended starts.
    pub lateness_p99_ms: Option<f64>,
    /// 99th percentile of how long answers waited for our reading them.
    pub generator_delay_p99_ms: Option<f64>,
    /// The share of the workers' CPUs that the hypervisor gave to others.
    pub steal_share: Option<f64>,
    /// The share of it for which the control group was stopped.
    pub throttled_share: Option<f64>,
    /// `behind_schedule`, `worker_stalled` or `slow_reading` where the generator
    /// was the limit in it.
    pub limited_by: Option<String>,
}

/// The seconds without the last, where that is less than half as long as the first: it
/// holds little more than the calls that were in flight at the end, and neither its rate
/// nor its percentiles can be drawn beside those of whole seconds.
pub(in crate::report) fn without_tail(seconds: &[SecondFigures]) -> &[SecondFigures] {
    match seconds {
        [whole @ .., last]
            if whole
                .first()
                .is_some_and(|first| last.length_secs < first.length_secs / 2.0) =>
        {
            whole
        }
        all => all,
    }
}

/// One stage's calls. A call belongs to the stage it ended in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageFigures {
    /// Its place in the plan, from 1; 0 in older reports, which have all stages.
    #[serde(default)]
    pub number: usize,
    /// Its start on the run's clock, which begins when users are told to open their
    /// sessions: before the first call.
    pub at_secs: f64,
    /// How long it really was.
    pub length_secs: f64,
    /// What the load is counted in.
    pub load_unit: LoadUnit,
    /// The load at its start.
    pub load_from: f64,
    /// The load at its end.
    pub load_to: f64,
    /// Its figures.
    pub figures: Figures,
}

/// The calls of the warm-up: those that were due in it, or were sent in it where they have no
/// intended start, whenever they ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WarmUp {
    /// How long it really was.
    pub length_secs: f64,
    /// Its figures.
    pub figures: Figures,
}
