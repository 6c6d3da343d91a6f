//! What a trial shows: the requests of one user, each as it went over the wire.

use std::fmt;
use std::time::Duration;

use super::Row;
use crate::expect::Unchecked;
use crate::metrics::Failure;

/// A request of a trial and how it ended.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which of the plan's flows it belongs to; `None`: opening or ending a session.
    pub flow: Option<usize>,
    /// Which of the flow's steps, from 0.
    pub step: usize,
    /// Which of the step's calls, from 0.
    pub call: usize,
    /// The values that were taken out of the answer, each as JSON, in the order of the
    /// plan.
    pub taken: Vec<String>,
    /// Its row of a report.
    pub row: Row,
    /// The request and the answer; empty where the row is not a call.
    pub wire: WireCopy,
    /// Bytes of HTTP heads and bodies that were read for it.
    pub n_bytes: u64,
    /// From the first byte sent to the last of the answer.
    pub latency: Duration,
    /// Why the answer could not be held against all that is expected of it.
    pub unchecked: Option<Unchecked>,
    /// Why it failed, with the message that a report would show.
    pub failure: Option<(Failure, String)>,
}

/// Copies of what was sent and received in one call. Bodies are cut at a mebibyte.
#[derive(Debug, Clone, Default)]
pub struct WireCopy {
    /// The body of the request.
    pub request: Vec<u8>,
    /// The body of the answer, JSON or a stream up to the answer; empty: none came.
    pub answer: Vec<u8>,
    /// The status of the answer; `None`: there was none.
    pub status: Option<u16>,
}

/// Told of each request of a trial, on the worker's thread.
pub struct Witness(Box<dyn Fn(Seen) + Send + Sync>);

impl Witness {
    /// One that calls this.
    pub fn new(see: impl Fn(Seen) + Send + Sync + 'static) -> Self {
        Self(Box::new(see))
    }

    /// Tells it.
    pub fn see(&self, seen: Seen) {
        (self.0)(seen);
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}
