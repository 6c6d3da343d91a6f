//! The observer that hands the seconds of a run on to sinks.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::point::SinkPoint;
use super::pump::{self, OpenSink, SinkTally};
use super::run::SinkRun;
use crate::clock;
use crate::files::reason;
use crate::outcome::{ExportFigures, Observer, Progress, RunStart, SecondRows};
use crate::redact::Redactor;
use crate::report::exposition::about;
use crate::report::model::LatencyFrom;
use crate::scenario::Plan;
use crate::units::format_duration;

/// Points that wait for a sink. Whoever is later than that gets several as one.
const QUEUE_LEN: usize = 4;

/// All sinks together may take so long to end after a run: two requests to a collector
/// and a second.
const END_MAX: Duration = Duration::from_secs(5);

/// What is told of a run besides its figures.
#[derive(Debug, Clone)]
pub struct SinkContext {
    /// The load in words.
    pub load: String,
    /// Latency counts from the intended start of each call.
    pub has_intended_starts: bool,
    /// Takes secrets out of all that is told.
    pub redactor: Redactor,
}

impl SinkContext {
    /// Of a plan.
    pub fn of(plan: &Plan, load: String, redactor: Redactor) -> Self {
        Self {
            load,
            has_intended_starts: plan.has_intended_starts(),
            redactor,
        }
    }
}

/// Hands a run on to another observer and to sinks.
pub struct Feed<'a> {
    observer: &'a mut dyn Observer,
    context: SinkContext,
    /// Opened and not started: the load has not begun.
    open: Vec<OpenSink>,
    outlets: Vec<Outlet>,
    /// Sinks whose thread could not be started.
    fates: Vec<ExportFigures>,
    end_max: Duration,
}

/// The way to one sink.
struct Outlet {
    about: String,
    queue: Sender<Arc<SinkPoint>>,
    /// What it had no room for.
    held: Option<SinkPoint>,
    /// Told when its thread has ended.
    ended: Receiver<SinkTally>,
    n_merged: u64,
}

impl<'a> Feed<'a> {
    /// Hands on to `observer`, and, once the load begins, to these sinks.
    pub fn new(observer: &'a mut dyn Observer, sinks: Vec<OpenSink>, context: SinkContext) -> Self {
        Self {
            observer,
            context,
            open: sinks,
            outlets: Vec::new(),
            fates: Vec::new(),
            end_max: END_MAX,
        }
    }

    /// Waits for the sinks to write what they have, at most five seconds, and says what
    /// became of each.
    pub fn finish(mut self) -> Vec<ExportFigures> {
        let until = clock::now() + self.end_max;
        let mut fates = std::mem::take(&mut self.fates);
        let mut ending = Vec::new();
        for mut outlet in self.outlets {
            let held = outlet.held.take().map(Arc::new);
            let n_held = held.as_ref().map_or(0, |point| point.n_seconds);
            let is_sent = held.is_none_or(|point| outlet.queue.send_deadline(point, until).is_ok());
            let n_kept = if is_sent { 0 } else { n_held };
            outlet.n_merged += if is_sent { n_held.saturating_sub(1) } else { 0 };
            // Its thread ends with the queue.
            drop(outlet.queue);
            ending.push((outlet.about, outlet.ended, outlet.n_merged, n_kept));
        }
        for (about, ended, n_merged, n_kept) in ending {
            let tally = ended.recv_deadline(until).unwrap_or_else(|_| SinkTally {
                last_error: Some(format!(
                    "it had not taken everything {} after the end of the run",
                    format_duration(self.end_max)
                )),
                is_abandoned: true,
                ..SinkTally::default()
            });
            fates.push(ExportFigures {
                to: about,
                written: tally.n_written,
                merged: n_merged,
                lost: tally.n_failed + n_kept + u64::from(tally.is_abandoned),
                last_error: tally.last_error,
            });
        }
        fates
    }
}

impl Outlet {
    fn offer(&mut self, point: SinkPoint) {
        let point = match self.held.take() {
            Some(mut held) => {
                held.add(&point);
                held
            }
            None => point,
        };
        let n_seconds = point.n_seconds;
        match self.queue.try_send(Arc::new(point)) {
            Ok(()) => self.n_merged += n_seconds - 1,
            Err(TrySendError::Full(point) | TrySendError::Disconnected(point)) => {
                self.held = Arc::into_inner(point);
            }
        }
    }
}

impl Observer for Feed<'_> {
    fn notice(&mut self, text: &str) {
        self.observer.notice(text);
    }

    fn preparing(&mut self, doing: Option<(Duration, &str)>) {
        self.observer.preparing(doing);
    }

    fn started(&mut self, start: &RunStart) {
        self.observer.started(start);
        let context = &self.context;
        let server = start.server();
        let from = match context.has_intended_starts {
            true => LatencyFrom::IntendedStart,
            false => LatencyFrom::Sent,
        };
        let labels = about(
            &server.url,
            server.revision.as_str(),
            [&server.name, &server.version],
            &context.load,
            from,
        );
        let cleaned = |(name, value)| (name, context.redactor.clean(value));
        let run = Arc::new(SinkRun {
            rows: start.rows.clone(),
            about: labels.into_iter().map(cleaned).collect(),
            has_intended_starts: context.has_intended_starts,
            redactor: context.redactor.clone(),
            start_unix_ns: start.at.unix_ms().saturating_mul(1_000_000),
        });
        for sink in std::mem::take(&mut self.open) {
            let (queue, points) = bounded(QUEUE_LEN);
            let (done, ended) = bounded(1);
            let about = sink.about().to_string();
            match pump::start(sink, &run, points, done) {
                Ok(()) => self.outlets.push(Outlet {
                    about,
                    queue,
                    held: None,
                    ended,
                    n_merged: 0,
                }),
                Err(error) => self.fates.push(ExportFigures {
                    to: about,
                    lost: 1,
                    last_error: Some(reason(&error)),
                    ..ExportFigures::default()
                }),
            }
        }
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        self.observer.progress(progress);
    }

    fn wants_seconds(&self) -> bool {
        true
    }

    fn second(&mut self, second: &SecondRows<'_>) {
        self.observer.second(second);
        let point = SinkPoint::of(second);
        if let Some((last, others)) = self.outlets.split_last_mut() {
            for outlet in others {
                outlet.offer(point.clone());
            }
            last.offer(point);
        }
    }

    fn ended(&mut self) {
        self.observer.ended();
    }
}

#[cfg(test)]
mod tests {
    use super::super::pump::SinkWriter;
    use super::super::sum::SinkSum;
    use super::*;
    use crate::metrics::{Outcome, Sample};
    use crate::outcome::{Row, RowKind, RowsRecorded, Unobserved};

    /// Keeps what it is told, each point once it may.
    struct Slow {
        may_go_on: Receiver<()>,
        told: Sender<SinkPoint>,
        fails: bool,
    }

    impl SinkWriter for Slow {
        fn write(&mut self, _: &SinkRun, point: &SinkPoint, _: &SinkSum) -> Result<(), String> {
            // No more leave comes once the test is over.
            let _ = self.may_go_on.recv();
            let _ = self.told.send(point.clone());
            match self.fails {
                true => Err("the disk is full".to_string()),
                false => Ok(()),
            }
        }

        fn sums_every(&self) -> Option<Duration> {
            None
        }
    }

    fn slow(fails: bool) -> (OpenSink, Sender<()>, Receiver<SinkPoint>) {
        let (leave, may_go_on) = crossbeam_channel::unbounded();
        let (told, heard) = crossbeam_channel::unbounded();
        let writer = Slow {
            may_go_on,
            told,
            fails,
        };
        let sink = OpenSink::new("slow=x".to_string(), Box::new(writer));
        (sink, leave, heard)
    }

    fn context() -> SinkContext {
        SinkContext {
            load: "1 virtual user".to_string(),
            has_intended_starts: false,
            redactor: Redactor::default(),
        }
    }

    /// So many seconds with a call each, told at once.
    fn tell(feed: &mut Feed<'_>, n_seconds: u64) {
        let rows = vec![Row::new(RowKind::Call, "ping")];
        feed.started(&crate::report::sample_start(rows));
        let nothing = RowsRecorded::new(1);
        for number in 0..n_seconds {
            let mut recorder = crate::metrics::Recorder::new(1);
            recorder.start(0);
            let sample = Sample {
                service_ns: 1_000_000,
                response_ns: None,
                outcome: Outcome::Ok,
            };
            recorder.end(0, &sample);
            let load = RowsRecorded {
                rows: recorder.rows,
                counters: recorder.counters,
            };
            feed.second(&SecondRows {
                at: Duration::from_secs(number),
                length: Duration::from_secs(1),
                vus: 1,
                in_flight: 0,
                is_limited: false,
                load: &load,
                warm_up: &nothing,
            });
        }
    }

    #[test]
    fn a_slow_sink_gets_fewer_points_and_every_count() {
        let (sink, leave, heard) = slow(false);
        let mut observer = Unobserved;
        let mut feed = Feed::new(&mut observer, vec![sink], context());
        tell(&mut feed, 20);
        (0..20).for_each(|_| leave.send(()).expect("a writer"));
        let fates = feed.finish();
        let points: Vec<SinkPoint> = heard.try_iter().collect();
        assert!(points.len() <= QUEUE_LEN + 2, "{}", points.len());
        assert_eq!(points.iter().map(|it| it.n_seconds).sum::<u64>(), 20);
        let calls = |it: &SinkPoint| it.load.rows[0].1.ok;
        assert_eq!(points.iter().map(calls).sum::<u64>(), 20);
        let last = points.last().expect("points");
        assert_eq!(last.at + last.length, Duration::from_secs(20));
        let [fate] = &fates[..] else {
            panic!("{fates:?}")
        };
        assert_eq!(fate.written, points.len() as u64);
        assert_eq!(fate.merged, 20 - points.len() as u64);
        assert_eq!((fate.lost, &fate.last_error), (0, &None));
    }

    #[test]
    fn a_sink_that_fails_is_told_and_one_that_hangs_is_left_behind() {
        let (failing, leave, _heard) = slow(true);
        let (hanging, _leave, _) = slow(false);
        let mut observer = Unobserved;
        let mut feed = Feed::new(&mut observer, vec![failing, hanging], context());
        feed.end_max = Duration::from_millis(300);
        tell(&mut feed, 3);
        (0..3).for_each(|_| leave.send(()).expect("a writer"));
        let begun = clock::now();
        let fates = feed.finish();
        assert!(clock::since(begun) < Duration::from_secs(5));
        assert_eq!((fates[0].written, fates[0].lost), (0, 3));
        assert_eq!(fates[0].last_error.as_deref(), Some("the disk is full"));
        assert_eq!(fates[1].lost, 1);
        let why = fates[1].last_error.as_deref().unwrap_or_default();
        assert!(why.contains("300ms after the end"), "{why}");
    }
}
