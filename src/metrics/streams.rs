//! How answers came: their first byte, and the events of those that are event streams.

use super::{Histogram, Traffic};

/// Gaps kept of one answer: the events beyond are counted, not timed.
const GAPS_MAX: usize = 1000;

/// A call that takes as long should not have all its events at its end, in nanoseconds.
const LONG_NS: u64 = 100_000_000;

/// Fewer notifications of progress may come together by chance.
const PROGRESS_MIN: u64 = 2;

/// How the answer to one call came. Times are nanoseconds from its first byte sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerPieces {
    /// It is an event stream.
    pub is_stream: bool,
    /// The head says `X-Accel-Buffering: no`: what is between is asked not to hold it back.
    pub is_unbuffered: bool,
    /// When its first bytes arrived.
    pub first_byte_ns: Option<u64>,
    /// When its first event was complete.
    pub first_event_ns: Option<u64>,
    /// When the first notification of progress was.
    pub first_progress_ns: Option<u64>,
    /// When its last event so far was.
    last_event_ns: Option<u64>,
    /// From one event to the next; 0 for those that arrived together.
    gaps_ns: Vec<u64>,
    /// Events with data.
    pub n_events: u64,
    /// Of these, notifications of this call's progress.
    pub n_progress: u64,
    /// Bytes of the stream.
    pub n_bytes: u64,
    /// Arrivals that completed an event.
    n_arrivals: u64,
    /// How long the last of these then lay unread; `None` where that is not known.
    delay_ns: Option<u64>,
    /// How often the stream ended before the answer.
    pub n_ended_early: u64,
}

impl AnswerPieces {
    /// Nothing of it has come but its head, if that.
    pub fn new(is_unbuffered: bool) -> Self {
        Self {
            is_unbuffered,
            ..Self::default()
        }
    }

    /// Some bytes of the stream came at this moment and lay unread for this time. By now
    /// it has this many events and notifications of progress.
    pub fn came(
        &mut self,
        at_ns: u64,
        delay_ns: Option<u64>,
        n_bytes: usize,
        (n_events, n_progress): (u64, u64),
    ) {
        self.n_bytes += n_bytes as u64;
        if n_progress > self.n_progress {
            self.first_progress_ns.get_or_insert(at_ns);
            self.n_progress = n_progress;
        }
        for _ in 0..n_events.saturating_sub(self.n_events) {
            if let Some(before) = self.last_event_ns
                && self.gaps_ns.len() < GAPS_MAX
            {
                self.gaps_ns.push(at_ns.saturating_sub(before));
            }
            if self.last_event_ns != Some(at_ns) {
                self.n_arrivals += 1;
                self.delay_ns = delay_ns;
            }
            self.first_event_ns.get_or_insert(at_ns);
            self.last_event_ns = Some(at_ns);
            self.n_events += 1;
        }
    }

    /// Whether its events were held back, so that all came together. `None` where it does
    /// not tell: it was short, it did not tell of its progress, or its events may have come
    /// together by our own fault, because they lay unread longer than from one to the next.
    fn is_held_back(&self, took_ns: u64) -> Option<bool> {
        if took_ns < LONG_NS || self.n_progress < PROGRESS_MIN {
            return None;
        }
        if self.n_arrivals > 1 {
            return Some(false);
        }
        let gap_ns = took_ns / self.n_events.max(1);
        self.delay_ns.filter(|delay| *delay < gap_ns).map(|_| true)
    }
}

/// How the answers of a row came.
#[derive(Debug, Clone, Default)]
pub struct AnswerTimes {
    /// Successful calls.
    pub calls: u64,
    /// Of these, those that were answered by an event stream.
    pub streams: u64,
    /// To the first byte of the answer, of all successful calls.
    pub first_byte: Histogram,
    /// To the first event, of the streams.
    pub first_event: Histogram,
    /// To the first notification of progress, of those that had one.
    pub first_progress: Histogram,
    /// From one event to the next.
    pub gaps: Histogram,
    /// Events of a stream.
    pub events: Traffic,
    /// Bytes of a stream.
    pub bytes: Traffic,
    /// Notifications of progress.
    pub progress: u64,
    /// Streams that ended before the answer, of all calls.
    pub ended_early: u64,
    /// Long calls that told of their progress, and whose events we read in time.
    pub telling: u64,
    /// Of these, those whose events came all at once.
    pub held_back: u64,
    /// Of these, those whose head asks that they are not.
    pub held_back_unbuffered: u64,
}

impl AnswerTimes {
    /// Counts the answer to a call that took so long.
    pub fn record(&mut self, pieces: &AnswerPieces, is_ok: bool, took_ns: u64) {
        self.ended_early += pieces.n_ended_early;
        if !is_ok {
            return;
        }
        self.calls += 1;
        for (histogram, ns) in [
            (&mut self.first_byte, pieces.first_byte_ns),
            (&mut self.first_event, pieces.first_event_ns),
            (&mut self.first_progress, pieces.first_progress_ns),
        ] {
            if let Some(ns) = ns {
                histogram.record(ns);
            }
        }
        if !pieces.is_stream {
            return;
        }
        self.streams += 1;
        for gap_ns in &pieces.gaps_ns {
            self.gaps.record(*gap_ns);
        }
        self.events.add(pieces.n_events);
        self.bytes.add(pieces.n_bytes);
        self.progress += pieces.n_progress;
        if let Some(is_held_back) = pieces.is_held_back(took_ns) {
            self.telling += 1;
            self.held_back += u64::from(is_held_back);
            self.held_back_unbuffered += u64::from(is_held_back && pieces.is_unbuffered);
        }
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.streams += other.streams;
        self.first_byte.merge(&other.first_byte);
        self.first_event.merge(&other.first_event);
        self.first_progress.merge(&other.first_progress);
        self.gaps.merge(&other.gaps);
        self.events.merge(&other.events);
        self.bytes.merge(&other.bytes);
        self.progress += other.progress;
        self.ended_early += other.ended_early;
        self.telling += other.telling;
        self.held_back += other.held_back;
        self.held_back_unbuffered += other.held_back_unbuffered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// An answer whose events come at these moments, in ms, the last of them the result.
    fn answer(moments: &[u64], delay_ms: Option<u64>) -> AnswerPieces {
        let mut pieces = AnswerPieces {
            is_stream: true,
            first_byte_ns: moments.first().map(|ms| ms * MS),
            ..AnswerPieces::default()
        };
        for (n, ms) in (1..).zip(moments) {
            let n_progress = n.min(moments.len() as u64 - 1);
            pieces.came(ms * MS, delay_ms.map(|ms| ms * MS), 100, (n, n_progress));
        }
        pieces
    }

    #[test]
    fn events_are_timed_one_by_one() {
        let mut times = AnswerTimes::default();
        times.record(&answer(&[50, 100, 100, 200], Some(0)), true, 200 * MS);
        assert_eq!((times.calls, times.streams, times.progress), (1, 1, 3));
        assert_eq!((times.events.sum, times.bytes.sum), (4, 400));
        assert_eq!(times.first_event.max_ns(), Some(50 * MS));
        assert_eq!(times.gaps.len(), 3);
        assert_eq!(
            (times.gaps.min_ns(), times.gaps.max_ns()),
            (Some(0), Some(100 * MS))
        );
        let plain = AnswerPieces {
            first_byte_ns: Some(MS),
            ..AnswerPieces::default()
        };
        times.record(&plain, true, MS);
        assert_eq!((times.calls, times.streams), (2, 1));
        // What failed is in no time, and its streams that ended early are counted.
        let early = AnswerPieces {
            n_ended_early: 2,
            ..answer(&[1, 2], Some(0))
        };
        times.record(&early, false, MS);
        assert_eq!((times.calls, times.ended_early), (2, 2));
        let mut twice = times.clone();
        twice.merge(&times);
        assert_eq!((twice.gaps.len(), twice.events.max), (6, 4));
    }

    #[test]
    fn events_that_come_together_are_held_back_unless_it_is_our_fault() {
        let check = |moments: &[u64], delay_ms, expected| {
            let mut times = AnswerTimes::default();
            let took_ns = moments.last().expect("one") * MS;
            times.record(&answer(moments, delay_ms), true, took_ns);
            assert_eq!((times.telling, times.held_back), expected, "{moments:?}");
        };
        check(&[500, 500, 500], Some(1), (1, 1));
        check(&[100, 300, 500], Some(1), (1, 0));
        check(&[499, 500, 500], Some(1), (1, 0));
        // We read late, or do not know whether we did.
        check(&[500, 500, 500], Some(200), (0, 0));
        check(&[500, 500, 500], None, (0, 0));
        // Too short, or too little was told.
        check(&[50, 50, 50], Some(1), (0, 0));
        check(&[500, 500], Some(1), (0, 0));
    }

    #[test]
    fn a_stream_without_end_takes_bounded_memory() {
        let mut pieces = AnswerPieces::default();
        for n in 1..100_000 {
            pieces.came(n, None, 1, (n, 0));
        }
        assert_eq!(pieces.gaps_ns.len(), GAPS_MAX);
        assert_eq!(pieces.n_events, 99_999);
    }
}
