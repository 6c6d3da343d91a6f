//! Finds the answer to one request in the body of one HTTP exchange.
//!
//! A JSON body is one message; a stream carries notifications and requests of
//! the server's before it. Neither HTTP nor time is known here: the caller
//! decides by the `Content-Type` which form to read. What counts as an answer
//! is in `answer.rs`.

use std::time::Duration;

use super::answer::{Expect, Found, Reply, read_event, read_json_reply};
use super::content_type::BodyKind;
use super::fault::{FaultKind, ProtocolFault};
use super::input::ServerRequest;
use super::sse::{EVENT_ID_BYTES_MAX, KEPT_BYTES, SseDecoder, SseFault};

/// Something found in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Our answer. Nothing of interest comes after it.
    Reply(Reply),
    /// A request of the server's own, which awaits an answer (legacy only).
    ServerRequest(ServerRequest),
    /// A notification.
    Notification,
}

/// Reads the answer from a body that arrives in pieces. Memory is reused over
/// [`reset`](Self::reset).
///
/// ```text
///            feed: needs more ↺            feed: all is ignored ↺
///  reset ─▶ reading ──────────── our answer ─▶ answered
///              └── finish: JSON is read, or StreamEnded
/// ```
#[derive(Debug)]
pub struct ReplyReader {
    kind: BodyKind,
    expect: Expect,
    limit_bytes: usize,
    /// A JSON body as far as it came.
    body: Vec<u8>,
    sse: SseDecoder,
    is_answered: bool,
    result: String,
    has_result: bool,
    n_notifications: u64,
    n_server_requests: u64,
    /// The first answer on the stream that was not ours.
    foreign_id: Option<String>,
}

impl ReplyReader {
    /// A reader of one body. `kind` decides how it is read: everything but an
    /// event stream is read as JSON. A message beyond `limit_bytes` is refused.
    pub fn new(kind: BodyKind, expect: Expect, limit_bytes: usize) -> Self {
        Self {
            kind,
            expect,
            limit_bytes,
            body: Vec::new(),
            sse: SseDecoder::new(limit_bytes),
            is_answered: false,
            result: String::new(),
            has_result: false,
            n_notifications: 0,
            n_server_requests: 0,
            foreign_id: None,
        }
    }

    /// Begins another body. Buffers are kept, but not those of a large message.
    pub fn reset(&mut self, kind: BodyKind, expect: Expect) {
        self.kind = kind;
        self.expect = expect;
        self.body.clear();
        self.body.shrink_to(KEPT_BYTES);
        self.sse.reset();
        self.is_answered = false;
        self.result.clear();
        self.result.shrink_to(KEPT_BYTES);
        self.has_result = false;
        self.n_notifications = 0;
        self.n_server_requests = 0;
        self.foreign_id = None;
    }

    /// Goes on with the stream that resumes the last one (legacy, a GET with
    /// `Last-Event-ID`): the same answer is awaited, ids and counts stay.
    pub fn resume(&mut self) {
        self.kind = BodyKind::EventStream;
        self.sse.reconnect();
    }

    /// Gives back the memory of a large message, once the answer is read: the
    /// next call may be a long time coming.
    pub fn release(&mut self) {
        self.sse.release();
        self.body.clear();
        self.body.shrink_to(KEPT_BYTES);
        self.result.clear();
        self.result.shrink_to(KEPT_BYTES);
        self.has_result = false;
    }

    /// Takes a piece of the body: how many bytes were used, and what they
    /// complete. Without an item all were used; with one, call again with the
    /// rest. A JSON body yields its item in [`finish`](Self::finish).
    ///
    /// # Errors
    /// The body cannot hold our answer any more.
    pub fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Item>), ProtocolFault> {
        if self.is_answered {
            return Ok((input.len(), None));
        }
        if self.kind == BodyKind::EventStream {
            return self.feed_stream(input);
        }
        if input.len() > self.limit_bytes - self.body.len() {
            return Err(ProtocolFault::too_large(self.limit_bytes));
        }
        self.body.extend_from_slice(input);
        Ok((input.len(), None))
    }

    /// The body is at its end: yields the item of a JSON body.
    ///
    /// # Errors
    /// The body was not our answer, or a stream ended without it.
    pub fn finish(&mut self) -> Result<Option<Item>, ProtocolFault> {
        if self.is_answered {
            return Ok(None);
        }
        if self.kind == BodyKind::EventStream {
            return Err(self.stream_ended());
        }
        let answer = read_json_reply(&self.body, &self.expect)?;
        if let Some(result) = answer.result {
            self.result.push_str(result);
            self.has_result = true;
        }
        self.is_answered = true;
        Ok(Some(Item::Reply(answer.reply)))
    }

    /// Whether our answer was found.
    pub fn is_answered(&self) -> bool {
        self.is_answered
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

    /// How many events with data the stream had, priming events included.
    pub fn n_events(&self) -> u64 {
        self.sse.n_events()
    }

    /// How many notifications came before the answer.
    pub fn n_notifications(&self) -> u64 {
        self.n_notifications
    }

    /// How many requests of the server's came before the answer.
    pub fn n_server_requests(&self) -> u64 {
        self.n_server_requests
    }

    fn feed_stream(&mut self, input: &[u8]) -> Result<(usize, Option<Item>), ProtocolFault> {
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
                Found::Answer(answer) => {
                    if let Some(result) = answer.result {
                        self.result.push_str(result);
                        self.has_result = true;
                    }
                    self.is_answered = true;
                    return Ok((used, Some(Item::Reply(answer.reply))));
                }
                Found::ServerRequest(request) => {
                    self.n_server_requests = self.n_server_requests.saturating_add(1);
                    return Ok((used, Some(Item::ServerRequest(request))));
                }
                Found::Notification => {
                    self.n_notifications = self.n_notifications.saturating_add(1);
                    return Ok((used, Some(Item::Notification)));
                }
                Found::Foreign(id) => {
                    self.foreign_id.get_or_insert(id);
                }
            }
        }
    }

    fn stream_ended(&self) -> ProtocolFault {
        let mut detail = format!("after {} events", self.sse.n_events());
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
