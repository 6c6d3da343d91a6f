//! The observer that hands the seconds of a run on to sinks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use parking_lot::Mutex;

use super::point::SinkPoint;
use super::pump::{self, OpenSink, SinkEnd, SinkTally};
use super::run::SinkRun;
use crate::clock;
use crate::files::reason;
use crate::outcome::{
    ExportFigures, FindEstimate, FindObserver, FindOptions, FindProgress, FindTrial, LoadUnit,
    Observer, Progress, RunStart, SecondRows,
};
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
    /// Of a run.
    pub fn of_run(plan: &Plan, load: String, redactor: Redactor) -> Self {
        Self {
            load,
            has_intended_starts: plan.has_intended_starts(),
            redactor,
        }
    }

    /// Of a search, which sets the load.
    pub fn of_search(plan: &Plan, by: LoadUnit, load: String, redactor: Redactor) -> Self {
        Self {
            load,
            has_intended_starts: by == LoadUnit::Rate || plan.load.pacing().is_some(),
            redactor,
        }
    }
}

/// Hands a run or a search on to another observer and to sinks.
pub struct Feed<'a, O: Observer + ?Sized> {
    observer: &'a mut O,
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
    /// Until no more is handed over.
    queue: Option<Sender<Arc<SinkPoint>>>,
    /// What it had no room for.
    held: Option<SinkPoint>,
    /// Points that were handed over.
    n_offered: u64,
    n_merged: u64,
    tells_sums: bool,
    tally: Arc<Mutex<SinkTally>>,
    /// Told when its thread has done all.
    ended: Receiver<SinkEnd>,
}

impl<'a, O: Observer + ?Sized> Feed<'a, O> {
    /// Hands on to `observer`, and, once the load begins, to these sinks.
    pub fn new(observer: &'a mut O, sinks: Vec<OpenSink>, context: SinkContext) -> Self {
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
        for outlet in &mut self.outlets {
            outlet.end(until);
        }
        fates.extend(
            self.outlets
                .into_iter()
                .map(|it| it.fate(until, self.end_max)),
        );
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
        let Some(queue) = &self.queue else { return };
        match queue.try_send(Arc::new(point)) {
            Ok(()) => self.note_offered(n_seconds),
            Err(TrySendError::Full(point) | TrySendError::Disconnected(point)) => {
                self.held = Arc::into_inner(point);
            }
        }
    }

    fn note_offered(&mut self, n_seconds: u64) {
        self.n_offered += 1;
        self.n_merged += n_seconds.saturating_sub(1);
    }

    /// Hands over what is held, and lets its thread end with the queue.
    fn end(&mut self, until: Instant) {
        let Some(queue) = self.queue.take() else {
            return;
        };
        if let Some(point) = self.held.take().map(Arc::new) {
            let n_seconds = point.n_seconds;
            match queue.send_deadline(point, until) {
                Ok(()) => self.note_offered(n_seconds),
                Err(error) => self.held = Arc::into_inner(error.into_inner()),
            }
        }
    }

    /// Waits for its end, and says what became of it.
    fn fate(self, until: Instant, end_max: Duration) -> ExportFigures {
        let why = match self.ended.recv_deadline(until) {
            Ok(SinkEnd) => None,
            Err(RecvTimeoutError::Timeout) => Some(format!(
                "it had not taken everything {} after the end of the run",
                format_duration(end_max)
            )),
            // It panicked, which its thread has told.
            Err(RecvTimeoutError::Disconnected) => Some(
                "the thread that writes it failed: a fault of this program, please report it"
                    .to_string(),
            ),
        };
        let tally = self.tally.lock().clone();
        let n_held = u64::from(self.held.is_some());
        let n_left = match (&why, self.tells_sums) {
            (None, _) => n_held,
            // One write would have told it all.
            (Some(_), true) => 1,
            (Some(_), false) => {
                let n_tried = tally.n_written + tally.n_failed;
                (self.n_offered + n_held).saturating_sub(n_tried).max(1)
            }
        };
        ExportFigures {
            to: self.about,
            written: tally.n_written,
            merged: self.n_merged,
            lost: tally.n_failed + n_left,
            last_error: why.or(tally.last_error),
            last_remark: tally.last_remark,
        }
    }
}

impl<O: Observer + ?Sized> Observer for Feed<'_, O> {
    fn notice(&mut self, text: &str) {
        self.observer.notice(text);
    }

    fn preparing(&mut self, doing: Option<(Duration, &str)>) {
        self.observer.preparing(doing);
    }

    fn asking(&mut self, elapsed: Duration, url: &str, timeout: Duration) {
        self.observer.asking(elapsed, url, timeout);
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
            let tells_sums = sink.tells_sums();
            let tally = Arc::default();
            match pump::start(sink, &run, points, &tally, done) {
                Ok(()) => self.outlets.push(Outlet {
                    about,
                    queue: Some(queue),
                    held: None,
                    n_offered: 0,
                    n_merged: 0,
                    tells_sums,
                    tally,
                    ended,
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
        let has_sinks = !self.open.is_empty() || !self.outlets.is_empty();
        has_sinks || self.observer.wants_seconds()
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

impl<O: FindObserver + ?Sized> FindObserver for Feed<'_, O> {
    fn estimated(&mut self, options: &FindOptions, estimate: &FindEstimate) {
        self.observer.estimated(options, estimate);
    }

    fn searching(&mut self, progress: &FindProgress) {
        self.observer.searching(progress);
    }

    fn trial(&mut self, options: &FindOptions, trial: &FindTrial) {
        self.observer.trial(options, trial);
    }
}

#[cfg(test)]
mod tests {
    use super::super::pump::SinkWriter;
    use super::super::sum::SinkSum;
    use super::*;
    use crate::metrics::Outcome;
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
    fn tell(feed: &mut Feed<'_, Unobserved>, n_seconds: u64) {
        let rows = vec![Row::new(RowKind::Call, "ping")];
        feed.started(&crate::report::sample_start(rows));
        let nothing = RowsRecorded::new(1);
        for number in 0..n_seconds {
            let mut recorder = crate::metrics::Recorder::new(1);
            recorder.record(0, 1_000_000, Outcome::Ok);
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
                level: None,
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
        // The one that it hangs in, and the two behind it.
        assert_eq!((fates[1].written, fates[1].lost), (0, 3));
        let why = fates[1].last_error.as_deref().unwrap_or_default();
        assert!(why.contains("300ms after the end"), "{why}");
    }

    /// Writes a point, and then fails in a way that no writer should.
    struct Broken {
        has_written: bool,
    }

    impl SinkWriter for Broken {
        fn write(&mut self, _: &SinkRun, _: &SinkPoint, _: &SinkSum) -> Result<(), String> {
            assert!(!self.has_written, "this sink is broken");
            self.has_written = true;
            Ok(())
        }

        fn sums_every(&self) -> Option<Duration> {
            None
        }
    }

    #[test]
    fn a_sink_whose_thread_fails_is_not_called_slow() {
        let broken = Box::new(Broken { has_written: false });
        let sink = OpenSink::new("broken=x".to_string(), broken);
        let mut observer = Unobserved;
        let mut feed = Feed::new(&mut observer, vec![sink], context());
        tell(&mut feed, 3);
        let fates = feed.finish();
        assert_eq!(fates[0].written, 1);
        assert!(fates[0].lost > 0, "{fates:?}");
        let why = fates[0].last_error.as_deref().unwrap_or_default();
        assert!(why.contains("a fault of this program"), "{why}");
    }

    #[test]
    fn what_a_sink_wrote_before_it_hung_is_told() {
        let (sink, leave, heard) = slow(false);
        let mut observer = Unobserved;
        let mut feed = Feed::new(&mut observer, vec![sink], context());
        feed.end_max = Duration::from_millis(300);
        tell(&mut feed, 3);
        leave.send(()).expect("a writer");
        heard.recv().expect("a point");
        let fates = feed.finish();
        // It hangs in the second, and the third waits.
        assert_eq!((fates[0].written, fates[0].lost), (1, 2), "{fates:?}");
    }
}
