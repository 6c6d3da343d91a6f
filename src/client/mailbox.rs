//! Answers to calls that come on the session's listening stream: some servers answer a call
//! with 202, and send the result there.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Instant;

use crate::http::Trouble;
use crate::scheduler::{TaskId, Wake, current_task, park, unpark};

/// Answers that nobody has asked for yet: their number, and bytes of all of them. They come
/// at most as fast as the session's calls.
const ANSWERS_MAX: usize = 64;
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Answers to calls that came on the listening stream: one may come before the 202 does.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// A stream is open: what was answered with 202 may come.
    is_open: Cell<bool>,
    held: RefCell<VecDeque<MailedAnswer>>,
    waiting: RefCell<Vec<TaskId>>,
}

/// An answer that came on the listening stream.
#[derive(Debug)]
pub(super) struct MailedAnswer {
    id: u64,
    /// The whole message.
    pub(super) text: String,
    /// When it was read.
    pub(super) came: Instant,
}

impl Mailbox {
    pub(super) fn set_open(&self, is_open: bool) {
        self.is_open.set(is_open);
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    pub(super) fn put(&self, id: u64, text: &str, came: Instant) {
        let mut held = self.held.borrow_mut();
        held.push_back(MailedAnswer {
            id,
            text: text.to_string(),
            came,
        });
        let mut n_bytes: usize = held.iter().map(|answer| answer.text.len()).sum();
        while held.len() > ANSWERS_MAX || n_bytes > ANSWER_BYTES_MAX {
            n_bytes -= held.pop_front().map_or(0, |answer| answer.text.len());
        }
        drop(held);
        self.waiting.take().into_iter().for_each(unpark);
    }

    /// Waits for the answer to the request with this id. `Ok(None)`: it has not come by the
    /// deadline.
    ///
    /// # Errors
    /// When the run has ended.
    pub(super) fn await_answer(
        &self,
        id: u64,
        deadline: Instant,
    ) -> Result<Option<MailedAnswer>, Trouble> {
        let mut is_last_look = false;
        loop {
            let mut held = self.held.borrow_mut();
            let at = held.iter().position(|answer| answer.id == id);
            if let Some(answer) = at.and_then(|at| held.remove(at)) {
                return Ok(Some(answer));
            }
            drop(held);
            if is_last_look {
                return Ok(None);
            }
            self.waiting.borrow_mut().push(current_task());
            match park(Some(deadline)) {
                Wake::Ready => {}
                Wake::Deadline => is_last_look = true,
                Wake::Cancelled => return Err(Trouble::Cancelled),
            }
            self.waiting
                .borrow_mut()
                .retain(|task| *task != current_task());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_holds_a_bounded_number_of_answers() {
        let mailbox = Mailbox::default();
        let now = crate::clock::now();
        for id in 1..=100 {
            mailbox.put(id, "{}", now);
        }
        assert_eq!(mailbox.held.borrow().len(), ANSWERS_MAX);
        assert_eq!(mailbox.held.borrow()[0].id, 37);
        mailbox.put(101, &"x".repeat(ANSWER_BYTES_MAX), now);
        assert_eq!(mailbox.held.borrow().len(), 1);
        mailbox.put(102, &"x".repeat(ANSWER_BYTES_MAX + 1), now);
        assert!(mailbox.held.borrow().is_empty());
    }
}
