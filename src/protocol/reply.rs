//! Finds the answer to one request in an event stream.
//!
//! A stream carries notifications and requests of the server's before it. Neither
//! HTTP nor time is known here. What counts as an answer, and how one in a JSON body
//! is read, is in `answer.rs`.

use std::time::Duration;

use super::answer::{EventContent, Expect, Reply, read_event};
use super::fault::{FaultKind, ProtocolFault};
use super::progress::ProgressWatch;
use super::requests::ServerRequest;
use super::sse::{EVENT_ID_BYTES_MAX, KEPT_BYTES, SseDecoder, SseFault};
use crate::units::plural;

/// Something found in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Our answer. Nothing of interest comes after it.
    Reply(Reply),
    /// A request of the server's own, which awaits an answer (legacy only).
    ServerRequest(ServerRequest),
    /// A notification.
    Notification,
}

/// Reads the answer from a stream that arrives in pieces. Memory is used again over
/// [`reset`](Self::reset).
///
/// ```text
///            feed: needs more ↺            feed: all is ignored ↺
///  reset ─▶ reading ──────────── our answer ─▶ answered
///              └── the stream ends: StreamEnded
/// ```
#[derive(Debug)]
pub struct ReplyReader {
    expect: Expect,
    sse: SseDecoder,
    is_answered: bool,
    result: String,
    has_result: bool,
    /// The first answer on the stream that was not ours.
    foreign_id: Option<String>,
    /// Whose progress is followed.
    progress: Option<Box<ProgressWatch>>,
}

impl ReplyReader {
    /// A reader of one stream. A message beyond `limit_bytes` is refused.
    pub fn new(expect: Expect, limit_bytes: usize) -> Self {
        Self {
            expect,
            sse: SseDecoder::new(limit_bytes),
            is_answered: false,
            result: String::new(),
            has_result: false,
            foreign_id: None,
            progress: None,
        }
    }

    /// Follows this progress in the streams that come, until it is taken away.
    pub fn follow(&mut self, progress: Option<ProgressWatch>) {
        self.progress = progress.map(Box::new);
    }

    /// What was followed, as far as it is known.
    pub fn progress(&self) -> Option<&ProgressWatch> {
        self.progress.as_deref()
    }

    /// How many events with data the stream has had, with the one that it resumed.
    pub fn n_events(&self) -> u64 {
        self.sse.n_events()
    }

    /// Begins another stream. Buffers are kept, but not those of a large message.
    pub fn reset(&mut self, expect: Expect) {
        self.expect = expect;
        self.sse.reset();
        self.is_answered = false;
        self.forget_result();
        self.foreign_id = None;
    }

    /// Goes on with the stream that resumes the last one (legacy, a GET with
    /// `Last-Event-ID`): the same answer is awaited, ids and counts stay.
    pub fn resume(&mut self) {
        self.sse.reconnect();
    }

    /// Gives back the memory of a large message, once the answer is read: the
    /// next call may be a long time coming.
    pub fn release(&mut self) {
        self.sse.release();
        self.forget_result();
    }

    fn forget_result(&mut self) {
        self.result.clear();
        self.result.shrink_to(KEPT_BYTES);
        self.has_result = false;
    }

    /// The text of our answer's result, where it was to be kept and there is
    /// one.
    pub fn result(&self) -> Option<&str> {
        self.has_result.then_some(self.result.as_str())
    }

    /// The last event id of the stream: with it a legacy stream can be
    /// resumed.
    pub fn last_event_id(&self) -> Option<&str> {
        self.sse.last_event_id()
    }

    /// How long the stream wishes us to wait before a resumption.
    pub fn retry(&self) -> Option<Duration> {
        self.sse.retry()
    }

    /// Takes a piece of the stream: how many bytes were used, and what they
    /// complete. Without an item all were used; with one, call again with the
    /// rest.
    ///
    /// # Errors
    /// The stream cannot hold our answer any more.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Item>), ProtocolFault> {
        if self.is_answered {
            return Ok((input.len(), None));
        }
        let mut used = 0;
        loop {
            let (n_bytes, event) =
                self.sse
                    .feed(&input[used..])
                    .map_err(|SseFault::TooLarge { limit_bytes }| {
                        ProtocolFault::too_large(limit_bytes)
                    })?;
            used += n_bytes;
            let Some(event) = event else {
                return Ok((used, None));
            };
            // MCP knows events without a name and `message`; a client that
            // listens as browsers do never hears of others.
            if event.data.is_empty() || !matches!(event.name, b"" | b"message") {
                continue;
            }
            let found = read_event(event.data, &self.expect)?;
            match found {
                EventContent::Answer(answer) => {
                    if let Some(result) = answer.result {
                        self.result.push_str(result);
                        self.has_result = true;
                    }
                    self.is_answered = true;
                    return Ok((used, Some(Item::Reply(answer.reply))));
                }
                EventContent::ServerRequest(request) => {
                    return Ok((used, Some(Item::ServerRequest(request))));
                }
                EventContent::Notification => {
                    if let Some(progress) = &mut self.progress {
                        progress.look_at(event.data);
                    }
                    return Ok((used, Some(Item::Notification)));
                }
                EventContent::Foreign(id) => {
                    self.foreign_id.get_or_insert(id);
                }
            }
        }
    }

    /// The fault of a stream that has ended without our answer.
    pub fn stream_ended(&self) -> ProtocolFault {
        let n_events = plural(self.sse.n_events(), "event", "events");
        let mut detail = format!("after {n_events}");
        if self.sse.is_inside_event() {
            detail.push_str(", the last one cut");
        }
        if self.sse.is_id_too_long() {
            detail.push_str(&format!(
                ", and its last event id is longer than {EVENT_ID_BYTES_MAX} bytes: \
                 it cannot be resumed"
            ));
        }
        if let Some(id) = &self.foreign_id {
            detail.push_str(&format!(
                ", with an answer to id `{id}` instead of `{}`",
                self.expect.id
            ));
        }
        ProtocolFault::new(FaultKind::StreamEnded, detail)
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
