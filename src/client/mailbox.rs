//! Answers to calls that come on the session's listening stream: some servers answer a call
//! with 202, and send the result there.
//!
//! All lanes of a session share its mailbox, as they share the ids of its requests; another
//! session of the same user has another one. What nobody awaits is not kept.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use crate::http::Trouble;
use crate::scheduler::{TaskId, Wake, current_task, park, unpark};

/// The most bytes of answers that are held for calls that have not taken theirs yet.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// Answers to calls that came on the listening stream: one may come before the 202 does.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// A stream is open: what was answered with 202 may come.
    is_open: Cell<bool>,
    /// One for each call under way: as many as the session has lanes.
    slots: RefCell<Vec<MailSlot>>,
}

#[derive(Debug)]
struct MailSlot {
    id: u64,
    answer: Option<MailedAnswer>,
    /// Who waits for it by now.
    waiting: Option<TaskId>,
}

/// An answer that came on the listening stream.
#[derive(Debug)]
pub(super) struct MailedAnswer {
    /// The whole message.
    pub(super) text: String,
    /// When it was read.
    pub(super) came: Instant,
}

/// A call's place in the mailbox of its session, for as long as the call is under way.
#[derive(Debug)]
pub(super) struct AwaitedMail {
    mailbox: Rc<Mailbox>,
    id: u64,
}

impl Mailbox {
    pub(super) fn set_open(&self, is_open: bool) {
        self.is_open.set(is_open);
    }

    /// Makes room for the answer to the request with this id.
    pub(super) fn expect(mailbox: &Rc<Self>, id: u64) -> AwaitedMail {
        mailbox.slots.borrow_mut().push(MailSlot {
            id,
            answer: None,
            waiting: None,
        });
        AwaitedMail {
            mailbox: Rc::clone(mailbox),
            id,
        }
    }

    /// Takes an answer in; one that nobody awaits, that came twice, or for which there is no
    /// room, is dropped. Whether it was taken in.
    pub(super) fn put(&self, id: u64, text: &str, came: Instant) -> bool {
        let mut slots = self.slots.borrow_mut();
        let answers = slots.iter().filter_map(|slot| slot.answer.as_ref());
        let n_bytes: usize = answers.map(|answer| answer.text.len()).sum();
        if n_bytes + text.len() > HELD_BYTES_MAX {
            return false;
        }
        let slot = slots.iter_mut().find(|slot| slot.id == id);
        let Some(slot) = slot.filter(|slot| slot.answer.is_none()) else {
            return false;
        };
        slot.answer = Some(MailedAnswer {
            text: text.to_string(),
            came,
        });
        if let Some(task) = slot.waiting.take() {
            unpark(task);
        }
        true
    }
}

impl AwaitedMail {
    /// The id of the request.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether the answer has come, or there is a stream that may bring it.
    pub(super) fn may_come(&self) -> bool {
        let has_come = self.with_slot(|slot| slot.answer.is_some());
        self.mailbox.is_open.get() || has_come == Some(true)
    }

    /// Waits for the answer. `Ok(None)`: it has not come by the deadline.
    ///
    /// # Errors
    /// When the run has ended.
    pub(super) fn answer(&self, deadline: Instant) -> Result<Option<MailedAnswer>, Trouble> {
        let mut is_last_look = false;
        loop {
            let come = self.with_slot(|slot| slot.answer.take()).flatten();
            if come.is_some() || is_last_look {
                return Ok(come);
            }
            self.with_slot(|slot| slot.waiting = Some(current_task()));
            match park(Some(deadline)) {
                Wake::Ready => {}
                Wake::Deadline => is_last_look = true,
                Wake::Cancelled => return Err(Trouble::Cancelled),
            }
            self.with_slot(|slot| slot.waiting = None);
        }
    }

    fn with_slot<R>(&self, look: impl FnOnce(&mut MailSlot) -> R) -> Option<R> {
        let mut slots = self.mailbox.slots.borrow_mut();
        slots.iter_mut().find(|slot| slot.id == self.id).map(look)
    }
}

impl Drop for AwaitedMail {
    fn drop(&mut self) {
        let mut slots = self.mailbox.slots.borrow_mut();
        slots.retain(|slot| slot.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came for this call, without waiting.
    fn taken(awaited: &AwaitedMail) -> Option<String> {
        let answer = awaited.with_slot(|slot| slot.answer.take());
        answer.flatten().map(|answer| answer.text)
    }

    #[test]
    fn an_answer_waits_for_the_call_that_awaits_it() {
        let mailbox = Rc::new(Mailbox::default());
        let now = crate::clock::now();
        let [one, two] = [1, 2].map(|id| Mailbox::expect(&mailbox, id));
        assert!(mailbox.put(2, "two", now));
        assert!(!mailbox.put(2, "two again", now) && !mailbox.put(3, "nobody's", now));
        assert!(!one.may_come() && two.may_come());
        assert_eq!((taken(&one), taken(&two).as_deref()), (None, Some("two")));
        mailbox.set_open(true);
        assert!(one.may_come());
        // A call that has ended leaves nothing to one with the same number.
        mailbox.put(1, "late", now);
        drop(one);
        mailbox.put(1, "later", now);
        assert_eq!(taken(&Mailbox::expect(&mailbox, 1)), None);
        drop(two);
        assert!(mailbox.slots.borrow().is_empty());
    }

    #[test]
    fn a_mailbox_holds_a_bounded_number_of_bytes() {
        let mailbox = Rc::new(Mailbox::default());
        let now = crate::clock::now();
        let [one, two] = [1, 2].map(|id| Mailbox::expect(&mailbox, id));
        mailbox.put(1, &"x".repeat(HELD_BYTES_MAX), now);
        mailbox.put(2, "x", now);
        assert!(taken(&two).is_none() && taken(&one).is_some());
        mailbox.put(2, "x", now);
        assert!(taken(&two).is_some());
    }
}
