//! What is kept of a call's answers beside what they say: decided before the load, so that a
//! call of which nothing is kept costs nothing more.

use std::net::SocketAddr;
use std::time::Instant;

use crate::http::Timing;
use crate::metrics::AnswerPieces;
use crate::units::{nanos, nanos_between};

/// What is kept of the answers of a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptParts {
    /// The names of headers.
    pub headers: Vec<String>,
    /// How the answer comes, piece by piece.
    pub pieces: bool,
    /// What the server tells of the call's progress; its request carries a token.
    pub progress: bool,
}

/// What was kept of a call's answer, and of how it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Those of the headers that it had, as they are named in [`KeptParts`].
    pub headers: Vec<(String, String)>,
    /// Where its connection led; `None` where there was none.
    pub peer: Option<SocketAddr>,
    /// How it came, where that is kept.
    pub pieces: Option<AnswerPieces>,
    /// When the call's first byte was sent: streams that are resumed have several requests.
    sent: Option<Instant>,
}

impl Observed {
    /// With these headers, of an answer over this connection.
    pub(super) fn new(
        headers: Vec<(String, String)>,
        peer: Option<SocketAddr>,
        pieces: Option<AnswerPieces>,
    ) -> Self {
        Self {
            headers,
            peer,
            pieces,
            sent: None,
        }
    }

    /// The value of a header that was kept.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Bytes of a stream came; by now it has this many events, and this many that tell of
    /// progress.
    pub(super) fn came(&mut self, timing: &Timing, n_bytes: usize, so_far: (u64, u64)) {
        let sent = self.sent(timing);
        if let (Some(pieces), Some(sent), Some(at)) = (&mut self.pieces, sent, timing.last_byte) {
            let delay_ns = timing.delay.map(nanos);
            pieces.came(nanos_between(sent, at), delay_ns, n_bytes, so_far);
        }
    }

    /// The stream ended without the answer.
    pub(super) fn ended_early(&mut self) {
        if let Some(pieces) = &mut self.pieces {
            pieces.n_ended_early += 1;
        }
    }

    /// The exchange is over.
    pub(super) fn end(&mut self, timing: &Timing) {
        let sent = self.sent(timing);
        if let (Some(pieces), Some(sent), Some(at)) = (&mut self.pieces, sent, timing.first_byte) {
            pieces.first_byte_ns.get_or_insert(nanos_between(sent, at));
        }
    }

    fn sent(&mut self, timing: &Timing) -> Option<Instant> {
        self.sent = self.sent.or(timing.sent);
        self.sent
    }
}
