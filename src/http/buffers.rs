//! Buffers lent by the thread to whichever connection is busy.
//!
//! Only one task runs at a time, and most answers are read whole in one step,
//! so one pair serves thousands of connections. A connection that suspends in
//! the midst of something keeps a copy of just what is left.

use std::cell::RefCell;

/// Room for one read, and for a request's head and usual body in one write.
const BUFFER_BYTES: usize = 64 * 1024;

/// Pairs kept for the next connection. More are in use only where an exchange
/// is made within another one.
const PAIRS_KEPT: usize = 4;

thread_local! {
    // Boxed, so that lending one moves a pointer.
    #[expect(clippy::vec_box, reason = "pairs are moved in and out all the time")]
    static PAIRS: RefCell<Vec<Box<Pair>>> = const { RefCell::new(Vec::new()) };
}

/// An input and an output buffer.
#[derive(Debug)]
pub(super) struct Pair {
    /// Bytes read and not yet consumed are `input[start..end]`;
    /// `start <= end <= input.len()`.
    pub(super) input: Vec<u8>,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Bytes not yet written are `output[..held]`; `held <= output.len()`.
    pub(super) output: Vec<u8>,
    pub(super) held: usize,
}

impl Pair {
    /// Takes a pair, with nothing in it.
    pub(super) fn borrow() -> Box<Self> {
        PAIRS.with_borrow_mut(Vec::pop).unwrap_or_else(|| {
            Box::new(Self {
                input: vec![0; BUFFER_BYTES],
                start: 0,
                end: 0,
                output: vec![0; BUFFER_BYTES],
                held: 0,
            })
        })
    }

    /// Gives it back.
    pub(super) fn give_back(mut self: Box<Self>) {
        self.start = 0;
        self.end = 0;
        self.held = 0;
        PAIRS.with_borrow_mut(|pairs| {
            if pairs.len() < PAIRS_KEPT {
                pairs.push(self);
            }
        });
    }

    /// What was read and not yet consumed.
    pub(super) fn unread(&self) -> &[u8] {
        &self.input[self.start..self.end]
    }

    /// Room for more input: moves what is left to the front, and grows when a
    /// whole buffer holds one piece that its reader cannot take in parts.
    pub(super) fn make_room(&mut self) {
        if self.start > 0 {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.input.len() {
            self.input.resize(self.input.len() * 2, 0);
        }
    }
}
