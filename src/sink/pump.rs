//! The thread of a sink: takes points, and has its writer write them.

use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;

use super::point::SinkPoint;
use super::run::SinkRun;
use super::sum::SinkSum;
use crate::clock;

/// A writer gets at most this part of a CPU: it waits as many times longer than a write
/// took.
const PAUSE_FACTOR: u32 = 10;

/// How a sink writes.
pub(super) trait SinkWriter: Send {
    /// Writes what a point says, or, with `sum`, where it all stands.
    ///
    /// # Errors
    /// Why it could not, as a fragment.
    fn write(&mut self, run: &SinkRun, point: &SinkPoint, sum: &SinkSum) -> Result<(), String>;

    /// Writes where it all stands for the last time, which nothing makes up for.
    ///
    /// # Errors
    /// As for `write`.
    fn write_last(
        &mut self,
        run: &SinkRun,
        point: &SinkPoint,
        sum: &SinkSum,
    ) -> Result<(), String> {
        self.write(run, point, sum)
    }

    /// What whoever took the last write said about it, to be told; asked for once.
    fn take_remark(&mut self) -> Option<String> {
        None
    }

    /// It tells where all stands, at most so often; `None`: it tells each point.
    fn sums_every(&self) -> Option<Duration>;

    /// All points are written: whether they can still be read.
    ///
    /// # Errors
    /// Why they cannot, as a fragment.
    fn close(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// A sink whose place is open.
pub struct OpenSink {
    about: String,
    writer: Box<dyn SinkWriter>,
}

impl OpenSink {
    pub(super) fn new(about: String, writer: Box<dyn SinkWriter>) -> Self {
        Self { about, writer }
    }

    /// `ndjson=FILE`, without secrets.
    pub(super) fn about(&self) -> &str {
        &self.about
    }

    /// One write tells all that came before it.
    pub(super) fn tells_sums(&self) -> bool {
        self.writer.sums_every().is_some()
    }
}

/// How a sink has fared so far.
#[derive(Debug, Clone, Default)]
pub(super) struct SinkTally {
    pub(super) n_written: u64,
    pub(super) n_failed: u64,
    pub(super) last_error: Option<String>,
    pub(super) last_remark: Option<String>,
}

/// Its thread has written or tried everything.
#[derive(Debug)]
pub(super) struct SinkEnd;

/// Starts the thread of a sink. It ends when the queue does, and says so; how it fares is in
/// the tally at any time. Nobody joins it: one that hangs in a write must not hold up the end
/// of a run.
///
/// # Errors
/// Where the system gives no thread.
pub(super) fn start(
    sink: OpenSink,
    run: &Arc<SinkRun>,
    points: Receiver<Arc<SinkPoint>>,
    tally: &Arc<Mutex<SinkTally>>,
    done: Sender<SinkEnd>,
) -> io::Result<()> {
    let (run, tally) = (Arc::clone(run), Arc::clone(tally));
    let pump = move || {
        drain(sink.writer, &run, &points, &tally);
        // Nobody may listen any more.
        let _ = done.send(SinkEnd);
    };
    let thread = thread::Builder::new().name("sink".to_string());
    thread.spawn(pump).map(|_| ())
}

fn drain(
    mut writer: Box<dyn SinkWriter>,
    run: &Arc<SinkRun>,
    points: &Receiver<Arc<SinkPoint>>,
    tally: &Mutex<SinkTally>,
) {
    let mut sum = SinkSum::new(Arc::clone(run));
    let Some(every) = writer.sums_every() else {
        for point in points {
            let written = writer.write(run, &point, &sum);
            tally.lock().note(written, None);
        }
        if let Err(why) = writer.close() {
            tally.lock().lose_all(why);
        }
        return;
    };
    let mut next = clock::now();
    let mut last: Option<Arc<SinkPoint>> = None;
    let mut is_written = true;
    loop {
        let left = next.saturating_duration_since(clock::now());
        let came = match is_written {
            // Without anything to write there is nothing to wake up for.
            true => points.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false if left.is_zero() => Err(RecvTimeoutError::Timeout),
            false => points.recv_timeout(left),
        };
        let is_last = matches!(came, Err(RecvTimeoutError::Disconnected));
        if let Ok(point) = came {
            sum.add(&point);
            last = Some(point);
            is_written = false;
        }
        if is_last {
            sum.end();
            // Whoever looks later must not read that users are active.
            is_written = false;
        }
        let is_due = is_last || clock::now() >= next;
        if let Some(point) = last.as_ref().filter(|_| is_due && !is_written) {
            let begun = clock::now();
            let written = match is_last {
                true => writer.write_last(run, point, &sum),
                false => writer.write(run, point, &sum),
            };
            let remark = writer.take_remark();
            tally.lock().note(written, remark);
            is_written = true;
            let took = clock::since(begun);
            next = begun + every.max(took.saturating_mul(PAUSE_FACTOR));
        }
        if is_last {
            return;
        }
    }
}

impl SinkTally {
    fn lose_all(&mut self, why: String) {
        self.n_failed += std::mem::take(&mut self.n_written);
        self.last_error = Some(why);
    }

    fn note(&mut self, written: Result<(), String>, remark: Option<String>) {
        self.last_remark = remark.or(self.last_remark.take());
        match written {
            Ok(()) => self.n_written += 1,
            Err(why) => {
                self.n_failed += 1;
                self.last_error = Some(why);
            }
        }
    }
}
