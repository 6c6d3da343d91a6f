//! Histograms as they are stored: what figures of several reports are made of, and
//! what two runs are compared by.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::{Extent, Histogram};
use crate::redact::own;
use crate::scenario::HistogramMode;
use crate::units::plural;

/// What `encoding` says.
const ENCODING: &str = "hdrhistogram-v2-deflate-base64";
/// What `unit` says.
const UNIT: &str = "ns";
/// Of all rows together: four times what fits the largest that is written.
const INTERVALS_MAX: usize = 50_000;

/// No run lasts as long: 30 years.
const SECS_MAX: f64 = 1e9;

/// Histograms of successful calls.
///
/// Percentiles and counts recomputed from them are those of the report. They cannot be
/// read as figures; every reader of HdrHistogram takes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoredHistograms {
    /// What was asked for: `totals` or `seconds`.
    pub mode: HistogramMode,
    /// The unit of the values: `ns`.
    #[serde(serialize_with = "own")]
    pub unit: String,
    /// The form of the histograms: `hdrhistogram-v2-deflate-base64`.
    #[serde(serialize_with = "own")]
    pub encoding: String,
    /// The length of most intervals, in seconds; 0 where there are none.
    pub interval_secs: f64,
    /// Why intervals are longer than asked for, or what is left out; `null` where
    /// neither is so.
    pub note: Option<String>,
    /// First the calls together, then what they are made of.
    pub rows: Vec<StoredRow>,
}

/// The histograms of one block of figures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoredRow {
    /// Which block of the report.
    pub kind: StoredKind,
    /// As in `operations`; `null` but for operations, turns and steps of tasks.
    pub method: Option<String>,
    /// As in `operations`.
    pub subject: Option<String>,
    /// As in `operations`; of addresses and backends, theirs.
    pub name: Option<String>,
    /// As in `operations`; of a flow, its name.
    pub flow: Option<String>,
    /// As in `operations`; of `total` and others, the population that they are of.
    pub population: Option<String>,
    /// The stage, from 0; `null` but for stages.
    pub stage: Option<usize>,
    /// What the block's `latency` is made of: without the warm-up where the block is.
    #[serde(serialize_with = "own")]
    pub total: String,
    /// What the buckets of `total` do not tell exactly; `null` where it is empty.
    pub exact: Option<ExactFigures>,
    /// What its other latencies are made of, where they are known.
    pub others: Vec<StoredOther>,
    /// Pieces of the whole run, in order, the warm-up too. Those without any call are
    /// left out, and all of them in rows with less than 5 % of the calls: of all, and with
    /// two populations of their own one's.
    pub intervals: Vec<StoredInterval>,
}

/// Which block of the report a row is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoredKind {
    /// `totals`: all calls; with a population, its own (`populations[].figures`). Of two
    /// populations alone, and where one has several operations.
    #[default]
    Total,
    /// One of `operations`.
    Call,
    /// `handshake`.
    Handshake,
    /// `close`.
    Close,
    /// `listen.opening`.
    Listen,
    /// One of `turns`.
    Turn,
    /// One of `task_steps`.
    TaskStep,
    /// One of `flows`.
    Flow,
    /// The `busy` of one of them.
    FlowBusy,
    /// One of `stages`.
    Stage,
    /// `warm_up`.
    WarmUp,
    /// `lateness`.
    Lateness,
    /// `generator_delay`.
    GeneratorDelay,
    /// `loop_time`.
    LoopTime,
    /// `tls.handshake`.
    TlsHandshake,
    /// The calls of one of `addresses`, by name.
    Address,
    /// One of `backends`, by name.
    Backend,
}

/// A latency of a block beside its `latency`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoredOther {
    /// Which.
    pub of: OtherLatency,
    /// Like the row's `total`.
    #[serde(serialize_with = "own")]
    pub total: String,
    /// Like the row's `exact`.
    pub exact: Option<ExactFigures>,
}

/// Latencies of a block beside its `latency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtherLatency {
    /// `failed_latency`.
    FailedLatency,
    /// `service_latency`.
    ServiceLatency,
    /// `cancelled_age`.
    CancelledAge,
    /// `answers.first_byte`.
    FirstByte,
    /// `answers.first_event`.
    FirstEvent,
    /// `answers.first_progress`.
    FirstProgress,
    /// `answers.gap`.
    EventGap,
}

/// Minimum, maximum and sum, which buckets tell within 0.1 % only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExactFigures {
    /// The least value in nanoseconds.
    pub min_ns: u64,
    /// The greatest value in nanoseconds.
    pub max_ns: u64,
    /// The sum of all values in nanoseconds, in decimal digits: it may be larger than
    /// the numbers that readers of JSON tell apart.
    #[serde(serialize_with = "own")]
    pub sum_ns: String,
}

/// A piece of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StoredInterval {
    /// Its start on the run's clock, as in `seconds`.
    pub at_secs: f64,
    /// How long it was.
    pub length_secs: f64,
    /// Calls begun in it.
    pub started: u64,
    /// Calls that succeeded in it.
    pub ok: u64,
    /// Calls that failed in it.
    pub failed: u64,
    /// Calls that the end of the run cut off in it.
    pub cancelled: u64,
    /// Arrivals dropped in it, of the rows of a population, and of its operation where it has
    /// only one; left out where there are none, and in reports before schema 2.5.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u64,
    /// The greatest latency of `histogram`, exactly; `null` without one.
    pub max_ns: Option<u64>,
    /// Latency of the calls that succeeded in it; `null` without any.
    #[serde(serialize_with = "own")]
    pub histogram: Option<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl StoredHistograms {
    /// Those of a run, without rows yet.
    pub(in crate::report) fn new(mode: HistogramMode) -> Self {
        Self {
            mode,
            unit: UNIT.to_string(),
            encoding: ENCODING.to_string(),
            interval_secs: 0.0,
            note: None,
            rows: Vec::new(),
        }
    }

    /// Looks at what a stranger's file says: the form, the number of intervals, and
    /// that they are in order. What the histograms themselves hold is looked at when
    /// they are read.
    ///
    /// # Errors
    /// What is wrong, as a fragment.
    pub fn check(&self) -> Result<(), String> {
        for (what, found, expected) in [
            ("`histograms.unit`", &self.unit, UNIT),
            ("`histograms.encoding`", &self.encoding, ENCODING),
        ] {
            if found != expected {
                return Err(format!(
                    "{what} is `{found}`; this program reads `{expected}`"
                ));
            }
        }
        let n_intervals: usize = self.rows.iter().map(|row| row.intervals.len()).sum();
        if n_intervals > INTERVALS_MAX {
            return Err(format!(
                "has {n_intervals} intervals of histograms, at most {INTERVALS_MAX} are read"
            ));
        }
        for (at, row) in self.rows.iter().enumerate() {
            let mut last_end = 0.0;
            for interval in &row.intervals {
                let (from, length) = (interval.at_secs, interval.length_secs);
                // Written so that NaN is at fault too.
                let is_after = from >= last_end && length > 0.0 && from + length < SECS_MAX;
                if !is_after {
                    return Err(format!(
                        "`histograms.rows[{at}]` has intervals that overlap or have no length"
                    ));
                }
                // Sums of decimal fractions may differ in their last digit.
                last_end = from + length - 1e-6;
            }
        }
        Ok(())
    }

    /// The texts of all histograms.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().flat_map(|row| {
            let others = row.others.iter().map(|other| &other.total);
            let intervals = row.intervals.iter().filter_map(|it| it.histogram.as_ref());
            let all = std::iter::once(&row.total).chain(others).chain(intervals);
            all.map(String::as_str)
        })
    }

    /// The first row of a kind.
    pub fn row(&self, kind: StoredKind) -> Option<&StoredRow> {
        self.rows.iter().find(|row| row.kind == kind)
    }
}

impl StoredRow {
    /// What a row of its kind is told by: method, subject, name, flow and population.
    pub(in crate::report) fn names(&self) -> [Option<&str>; 5] {
        let names = [
            &self.method,
            &self.subject,
            &self.name,
            &self.flow,
            &self.population,
        ];
        names.map(Option::as_deref)
    }

    /// The histogram of the block's `latency`.
    ///
    /// # Errors
    /// Where the text is not a histogram, as a fragment that names the row.
    pub fn histogram(&self) -> Result<Histogram, String> {
        self.read(&self.total, self.exact.as_ref())
    }

    /// The histogram of another of its latencies; `None` where it is not known.
    ///
    /// # Errors
    /// As [`StoredRow::histogram`].
    pub fn other(&self, of: OtherLatency) -> Result<Option<Histogram>, String> {
        let other = self.others.iter().find(|other| other.of == of);
        other
            .map(|other| self.read(&other.total, other.exact.as_ref()))
            .transpose()
    }

    /// The histogram of one of its intervals, empty where no call succeeded in it.
    /// Minimum and sum are those of the buckets.
    ///
    /// # Errors
    /// As [`StoredRow::histogram`]; also where it has other calls than the interval.
    pub fn histogram_of(&self, interval: &StoredInterval) -> Result<Histogram, String> {
        let histogram = match &interval.histogram {
            Some(text) => {
                let read = Histogram::from_text(text, None);
                let read = read.and_then(|read| match interval.max_ns {
                    Some(max_ns) => read.with_max(max_ns),
                    None => Ok(read),
                });
                read.map_err(|fault| self.fault(&fault))?
            }
            None => Histogram::new(),
        };
        if histogram.len() != interval.ok {
            let (n, ok) = (histogram.len(), interval.ok);
            let from = interval.at_secs;
            let (n, ok) = (plural(n, "value", "values"), plural(ok, "call", "calls"));
            return Err(self.fault(&format!("has {n} from {from} s on, and {ok}")));
        }
        Ok(histogram)
    }

    /// Start and length of an interval, on the run's clock. [`StoredHistograms::check`]
    /// has looked at them.
    pub fn span_of(&self, interval: &StoredInterval) -> (Duration, Duration) {
        let duration = |secs| Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX);
        (duration(interval.at_secs), duration(interval.length_secs))
    }

    fn read(&self, text: &str, exact: Option<&ExactFigures>) -> Result<Histogram, String> {
        let extent = exact.map(ExactFigures::extent).transpose();
        let read = extent.and_then(|extent| Histogram::from_text(text, extent));
        read.map_err(|fault| self.fault(&fault))
    }

    fn fault(&self, fault: &str) -> String {
        let words = [&self.flow, &self.name, &self.method, &self.subject];
        let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
        match (words.is_empty(), self.stage) {
            (true, Some(stage)) => format!("the histogram of stage {} {fault}", stage + 1),
            (true, None) => format!("the histogram of `{:?}` {fault}", self.kind),
            (false, _) => format!("the histogram of `{}` {fault}", words.join(" ")),
        }
    }
}

impl ExactFigures {
    /// Those of a histogram; `None` for an empty one.
    pub(in crate::report) fn of(histogram: &Histogram) -> Option<Self> {
        let extent = histogram.extent()?;
        Some(Self {
            min_ns: extent.min_ns,
            max_ns: extent.max_ns,
            sum_ns: extent.sum_ns.to_string(),
        })
    }

    fn extent(&self) -> Result<Extent, String> {
        let sum_ns = self.sum_ns.parse();
        Ok(Extent {
            min_ns: self.min_ns,
            max_ns: self.max_ns,
            sum_ns: sum_ns.map_err(|_| "has a `sum_ns` that is not a number".to_string())?,
        })
    }
}
