//! An incremental decoder of server-sent events (WHATWG HTML, section 9.2.6).
//!
//! Bytes in, events out, at any cut. An event that lies whole in the input is
//! lent from there; only what is cut gets copied. It does not know what events
//! hold: data is bytes, and U+2028 in it is data. An event without its final
//! blank line is not an event, as the standard says.

use std::time::Duration;

use memchr::memchr2;

/// One event with data. Empty data occurs: priming events are like that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The event's type, at most its first 256 bytes; empty where the stream
    /// names none.
    pub name: &'a [u8],
    /// The data lines, joined with LF.
    pub data: &'a [u8],
}

/// What can be wrong with a stream of events: only its size, since the
/// standard gives every other sequence of bytes a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SseFault {
    /// A line or an event beyond the limit.
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
}

/// The decoder of one stream; memory is reused over [`reset`](Self::reset).
#[derive(Debug, Default)]
pub struct SseDecoder {
    limit_bytes: usize,
    /// The current line as far as earlier input held it; empty at its start.
    line: Vec<u8>,
    /// The data of the current event as far as it had to be copied.
    data: Vec<u8>,
    /// Whether the current event has a data line, perhaps an empty one.
    has_data: bool,
    name: Vec<u8>,
    /// The id as of the last `id:` line; it counts from the event's end.
    pending_id: Vec<u8>,
    has_pending_id: bool,
    is_pending_id_too_long: bool,
    last_event_id: Vec<u8>,
    /// An id was longer than [`EVENT_ID_BYTES_MAX`], and none came since.
    is_id_too_long: bool,
    retry: Option<Duration>,
    /// How many bytes of a BOM were seen; 0 <= n_bom <= 3, and 3 from the
    /// first other byte on.
    n_bom: usize,
    /// The last byte was a CR: an LF now belongs to it.
    after_cr: bool,
    /// The buffers hold an event that was lent out; they are for clearing.
    is_lent: bool,
    n_events: u64,
}

/// What a buffer may keep from event to event: there is one decoder for each
/// virtual user.
pub(super) const KEPT_BYTES: usize = 16 * 1024;

/// A longer event id is not kept: a stream cannot be resumed after it. It would
/// have to go into a header, and be held by each user for as long as it lives.
pub(super) const EVENT_ID_BYTES_MAX: usize = 1024;

/// As much of an event's type is kept as tells it from those that MCP knows.
const NAME_BYTES_MAX: usize = 256;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Where the data of an event lies.
#[derive(Clone, Copy)]
enum Data {
    /// In the decoder's buffer, or nowhere yet.
    Copied,
    /// In the input of this call, as a single line.
    Lent { start: usize, end: usize },
}

impl SseDecoder {
    /// A decoder that refuses lines and events beyond `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            ..Self::default()
        }
    }

    /// Begins another stream. Buffers are kept, but not those of a large event.
    pub fn reset(&mut self) {
        self.reconnect();
        self.last_event_id.clear();
        self.is_id_too_long = false;
        self.retry = None;
        self.n_events = 0;
    }

    /// Goes on with the stream that resumes the last one: the last event id,
    /// the wait and the count of events stay, an event that was cut is gone.
    pub fn reconnect(&mut self) {
        empty(&mut self.line);
        self.clear_event();
        self.has_pending_id = false;
        self.n_bom = 0;
        self.after_cr = false;
    }

    /// Reads on until an event is complete or the input is used up: how many
    /// bytes were used, and the event. Without an event all were used; with
    /// one, call again with the rest.
    ///
    /// # Errors
    /// A line or an event is beyond the limit; the stream is lost then.
    pub fn feed<'a>(
        &'a mut self,
        input: &'a [u8],
    ) -> Result<(usize, Option<SseEvent<'a>>), SseFault> {
        if self.is_lent {
            self.clear_event();
        }
        // 0 <= pos <= input.len(): all before it is dealt with.
        let mut pos = self.skip_start(input);
        let mut data = Data::Copied;
        while let Some(len) = memchr2(b'\n', b'\r', &input[pos..]) {
            let (start, end) = (pos, pos + len);
            pos = self.after_line_end(input, end);
            if self.line.is_empty() {
                if len == 0 {
                    if let Some(data) = self.end_event(data) {
                        return Ok((pos, Some(self.lend(input, data))));
                    }
                    continue;
                }
                self.take_line(input, start, end, &mut data)?;
            } else {
                self.check_room(self.line.len().saturating_add(len))?;
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&input[start..end]);
                self.own(input, &mut data);
                let mut of_line = Data::Copied;
                let taken = self.take_line(&line, 0, line.len(), &mut of_line);
                self.own(&line, &mut of_line);
                empty(&mut line);
                self.line = line;
                taken?;
            }
        }
        self.own(input, &mut data);
        self.check_room(self.line.len().saturating_add(input.len() - pos))?;
        self.line.extend_from_slice(&input[pos..]);
        Ok((input.len(), None))
    }

    /// The last event id that the stream gave, for `Last-Event-ID`; `None`
    /// where there is none, or it is not text.
    pub fn last_event_id(&self) -> Option<&str> {
        std::str::from_utf8(&self.last_event_id)
            .ok()
            .filter(|id| !id.is_empty())
    }

    /// Whether the last event id is longer than what is kept, so that the stream
    /// cannot be resumed.
    pub fn is_id_too_long(&self) -> bool {
        self.is_id_too_long
    }

    /// Gives all buffers back where no event is cut: the next one may be a long time
    /// coming, and a thousand streams wait for theirs.
    pub fn give_back(&mut self) {
        if self.is_lent {
            self.clear_event();
        }
        if !self.is_inside_event() {
            self.line = Vec::new();
            self.data = Vec::new();
            self.name.shrink_to_fit();
        }
    }

    /// Gives back what the last event took. To be called when the stream is
    /// done with: the next one may be a long time coming.
    pub fn release(&mut self) {
        self.reconnect();
    }

    /// How long to wait before a resumption, as the stream wishes.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// How many events with data were seen.
    pub fn n_events(&self) -> u64 {
        self.n_events
    }

    /// Whether the stream, if it ends now, ends within an event.
    pub fn is_inside_event(&self) -> bool {
        !self.line.is_empty() || (self.has_data && !self.is_lent)
    }

    /// Deals with what only the first byte of an input can be: the rest of a
    /// CRLF or of the stream's BOM. How many bytes that takes.
    fn skip_start(&mut self, input: &[u8]) -> usize {
        let mut pos = 0;
        while self.n_bom < BOM.len() && pos < input.len() {
            if input[pos] == BOM[self.n_bom] {
                self.n_bom += 1;
                pos += 1;
            } else {
                // It was no BOM after all: what resembled one is content.
                self.line.extend_from_slice(&BOM[..self.n_bom]);
                self.n_bom = BOM.len();
            }
        }
        if self.after_cr && pos < input.len() {
            self.after_cr = false;
            if input[pos] == b'\n' {
                pos += 1;
            }
        }
        pos
    }

    /// Where the next line starts, given where this one ends.
    fn after_line_end(&mut self, input: &[u8], end: usize) -> usize {
        let next = end + 1;
        if input[end] == b'\r' {
            match input.get(next) {
                Some(b'\n') => return next + 1,
                Some(_) => {}
                None => self.after_cr = true,
            }
        }
        next
    }

    /// Reads the line `source[start..end]`, which is not empty. `data` tells
    /// of data in `source`.
    fn take_line(
        &mut self,
        source: &[u8],
        start: usize,
        end: usize,
        data: &mut Data,
    ) -> Result<(), SseFault> {
        let line = &source[start..end];
        let colon = line.iter().position(|byte| *byte == b':');
        let name = &line[..colon.unwrap_or(line.len())];
        let value_start = match colon {
            None => end,
            Some(colon) if line.get(colon + 1) == Some(&b' ') => start + colon + 2,
            Some(colon) => start + colon + 1,
        };
        let value = &source[value_start..end];
        match name {
            b"data" => {
                self.check_room(self.data_len(data).saturating_add(value.len()))?;
                if self.has_data {
                    self.own(source, data);
                    self.data.push(b'\n');
                    self.data.extend_from_slice(value);
                } else {
                    self.has_data = true;
                    *data = Data::Lent {
                        start: value_start,
                        end,
                    };
                }
            }
            b"event" => {
                self.name.clear();
                self.name
                    .extend_from_slice(&value[..value.len().min(NAME_BYTES_MAX)]);
            }
            b"id" if !value.contains(&0) => {
                self.pending_id.clear();
                self.is_pending_id_too_long = value.len() > EVENT_ID_BYTES_MAX;
                if !self.is_pending_id_too_long {
                    self.pending_id.extend_from_slice(value);
                }
                self.has_pending_id = true;
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry = Some(Duration::from_millis(decimal(value)));
            }
            _ => {}
        }
        Ok(())
    }

    /// A blank line: the event is complete. Where its data lies, if it has any.
    fn end_event(&mut self, data: Data) -> Option<Data> {
        if std::mem::take(&mut self.has_pending_id) {
            std::mem::swap(&mut self.last_event_id, &mut self.pending_id);
            self.is_id_too_long = self.is_pending_id_too_long;
        }
        if !self.has_data {
            self.name.clear();
            return None;
        }
        self.n_events = self.n_events.saturating_add(1);
        self.is_lent = true;
        Some(data)
    }

    fn lend<'a>(&'a self, input: &'a [u8], data: Data) -> SseEvent<'a> {
        SseEvent {
            name: &self.name,
            data: match data {
                Data::Copied => &self.data,
                Data::Lent { start, end } => &input[start..end],
            },
        }
    }

    /// Copies data that lies in `source`, which is about to go.
    fn own(&mut self, source: &[u8], data: &mut Data) {
        if let Data::Lent { start, end } = *data {
            self.data.extend_from_slice(&source[start..end]);
            *data = Data::Copied;
        }
    }

    fn data_len(&self, data: &Data) -> usize {
        match data {
            Data::Copied => self.data.len(),
            Data::Lent { start, end } => end - start,
        }
    }

    fn clear_event(&mut self) {
        empty(&mut self.data);
        self.has_data = false;
        self.name.clear();
        self.is_lent = false;
    }

    fn check_room(&self, n_bytes: usize) -> Result<(), SseFault> {
        if n_bytes > self.limit_bytes {
            return Err(SseFault::TooLarge {
                limit_bytes: self.limit_bytes,
            });
        }
        Ok(())
    }
}

/// Empties a buffer, and gives back what a large event took.
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    if buffer.capacity() > KEPT_BYTES {
        buffer.shrink_to(KEPT_BYTES);
    }
}

/// The value of ASCII digits, the greatest one where they are too many.
fn decimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0_u64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
#[path = "sse_tests.rs"]
pub(super) mod tests;
