//! The content of an answer, as MCP sees it: a content coding is undone.
//!
//! What a coding is, `protocol` knows; here the bytes come from the connection.

use crate::http::{Response, Trouble};
use crate::protocol::{ContentCoding, ContentDecoder};

/// Coded bytes that are read at once.
const CODED_BYTES: usize = 4 * 1024;

/// Content that is decoded at once, before others may run.
const DECODED_BYTES: usize = 16 * 1024;

/// The content of one answer, still to be read.
pub(super) struct Content {
    pub(super) answer: Response,
    /// `None` where there is nothing to undo, which is nearly always.
    decoding: Option<Box<Decoding>>,
}

struct Decoding {
    decoder: ContentDecoder,
    coded: [u8; CODED_BYTES],
    /// What was read and is not yet decoded; 0 <= start <= end <= CODED_BYTES.
    start: usize,
    end: usize,
}

impl Content {
    /// The content of this answer, and its coding where it cannot be undone.
    /// `limit_bytes` is the limit for one message.
    pub(super) fn new(answer: Response, limit_bytes: usize) -> (Self, ContentCoding) {
        let Some(value) = answer.content_encoding() else {
            let content = Self {
                answer,
                decoding: None,
            };
            return (content, ContentCoding::Identity);
        };
        let coding = ContentCoding::read(value);
        let decoding = Decoding::new(&coding, limit_bytes);
        (Self { answer, decoding }, coding)
    }

    /// The length of the content, where the head tells it.
    pub(super) fn length(&self) -> Option<u64> {
        match self.decoding {
            None => self.answer.length,
            Some(_) => None,
        }
    }

    /// Reads more of the content; 0 at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Trouble> {
        match &mut self.decoding {
            None => Ok(self.answer.read(buffer)?),
            Some(decoding) => decoding.read(&mut self.answer, buffer),
        }
    }

    /// The same of what has come; `None` where nothing has. Content in a coding is waited
    /// for: one piece of it may bring nothing.
    pub(super) fn read_arrived(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Trouble> {
        match &mut self.decoding {
            None => self.answer.read_arrived(buffer),
            Some(decoding) => decoding.read(&mut self.answer, buffer).map(Some),
        }
    }

    /// Whether reading it may wait.
    pub(super) fn has_coding(&self) -> bool {
        self.decoding.is_some()
    }

    /// Waits for more, without a buffer for it.
    pub(super) fn await_more(&mut self) -> Result<(), Trouble> {
        match self.decoding {
            None => self.answer.await_more(),
            Some(_) => Ok(()),
        }
    }

    /// At the end: whether the content is whole.
    pub(super) fn check_end(&self) -> Result<(), Trouble> {
        match &self.decoding {
            Some(decoding) if !decoding.decoder.may_end() => Err(decoding.decoder.cut().into()),
            _ => Ok(()),
        }
    }
}

impl Decoding {
    /// Not inlined: it is made on the stack before it is boxed. Its buffer would be in
    /// the frame of each user, coded answers or not.
    #[cold]
    #[inline(never)]
    fn new(coding: &ContentCoding, limit_bytes: usize) -> Option<Box<Self>> {
        let decoder = ContentDecoder::new(coding, limit_bytes)?;
        Some(Box::new(Self {
            decoder,
            coded: [0; CODED_BYTES],
            start: 0,
            end: 0,
        }))
    }

    fn read(&mut self, answer: &mut Response, buffer: &mut [u8]) -> Result<usize, Trouble> {
        let n_room = buffer.len().min(DECODED_BYTES);
        let room = &mut buffer[..n_room];
        loop {
            let (n_used, n_filled) = self
                .decoder
                .decode(&self.coded[self.start..self.end], room)?;
            self.start += n_used;
            let n_worked = n_filled + self.decoder.take_work();
            if n_worked > 0 {
                answer.decoded(n_worked)?;
            }
            if n_filled > 0 {
                return Ok(n_filled);
            }
            if self.start < self.end {
                continue;
            }
            self.start = 0;
            self.end = answer.read(&mut self.coded)?;
            if self.end == 0 {
                return Ok(0);
            }
        }
    }
}
