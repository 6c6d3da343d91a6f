//! Buffers lent by the thread to whichever connection is busy.
//!
//! Only one task runs at a time, and most answers are read whole in one step,
//! so one pair serves thousands of connections. A connection that suspends in
//! the midst of something keeps a copy of just what is left.

use std::cell::RefCell;

use ureq::unversioned::transport::Buffers;

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

    /// Takes bytes in, as if they had been read.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.make_room();
        let end = self.end + bytes.len();
        if self.input.len() < end {
            self.input.resize(end, 0);
        }
        self.input[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }

    /// Drops the first bytes of what was read.
    pub(super) fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.end);
        // The next read has the whole room, and nothing to move.
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
}

/// The buffers of one connection: borrowed from the thread while it is busy, and just what
/// is left of the input while it is not.
#[derive(Debug, Default)]
pub(super) struct Lent {
    pair: Option<Box<Pair>>,
    /// Input kept while there is no pair.
    kept: Vec<u8>,
    /// The last use of the input made progress (ureq's contract for buffers).
    progress: bool,
}

impl Lent {
    #[inline]
    pub(super) fn pair(&mut self) -> &mut Pair {
        let kept = &mut self.kept;
        self.pair.get_or_insert_with(|| Self::borrow_pair(kept))
    }

    /// A pair with what was kept of the input. Out of line, since most who ask
    /// for the pair find it.
    #[inline(never)]
    fn borrow_pair(kept: &mut Vec<u8>) -> Box<Pair> {
        let mut pair = Pair::borrow();
        if !kept.is_empty() {
            if pair.input.len() < kept.len() {
                pair.input.resize(kept.len(), 0);
            }
            pair.input[..kept.len()].copy_from_slice(kept);
            pair.end = kept.len();
            kept.clear();
        }
        pair
    }

    /// The pair, where it is busy and holds output.
    #[inline]
    pub(super) fn holding(&mut self) -> Option<&mut Pair> {
        self.pair.as_deref_mut().filter(|pair| pair.held > 0)
    }

    /// Forgets the output that is held.
    pub(super) fn drop_held(&mut self) {
        if let Some(pair) = &mut self.pair {
            pair.held = 0;
        }
    }

    /// Gives the buffers back; nothing may be held for output.
    pub(super) fn release(&mut self) {
        if let Some(pair) = self.pair.take() {
            debug_assert_eq!(pair.held, 0);
            if !pair.unread().is_empty() {
                self.kept.extend_from_slice(pair.unread());
            }
            pair.give_back();
        }
    }
}

impl Buffers for Lent {
    fn output(&mut self) -> &mut [u8] {
        let pair = self.pair();
        &mut pair.output[pair.held..]
    }

    fn input(&self) -> &[u8] {
        match &self.pair {
            Some(pair) => pair.unread(),
            None => &self.kept,
        }
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        let pair = self.pair();
        pair.make_room();
        &mut pair.input[pair.end..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.pair().end += amount;
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.pair().consume(amount);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let pair = self.pair();
        pair.make_room();
        let Pair {
            input,
            end,
            output,
            held,
            ..
        } = pair;
        (&mut input[*end..], &mut output[*held..])
    }

    fn can_use_input(&self) -> bool {
        self.progress && !self.input().is_empty()
    }
}
