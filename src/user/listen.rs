//! The task that holds a session's listening stream, or a user's subscription: it opens the
//! stream, counts what comes, opens it again where it ends, and ends with the session.
//!
//! Nothing of it is in a call's figure. It is a task of its own, since its session's calls go
//! on meanwhile, and since TLS wants a stack.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, a_little_longer};
use super::shared::{BegunRequest, Shared};
use crate::client::{CallReport, Heard, HeldStream, TokenCell, Trouble};
use crate::marker::FoundMarkers;
use crate::metrics::{ConnectFailure, Failure, ListenTally};
use crate::scheduler::{
    TaskId, Wake, cancel_task, current_task, dispensable, park, spawn, trim_stack, unpark,
};

/// The first call of a session waits at most this long for the head of its stream.
const HEAD_WAIT: Duration = Duration::from_secs(1);

/// From the end of a stream to the next one: as the server wants it, but not less than this.
const RETRY_MIN: Duration = Duration::from_millis(100);

/// A server that asks for more makes a mistake; the end of the load ends any wait.
const RETRY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The same where the server does not say. A stream that lasts as long is worth another one
/// without a longer pause.
const RETRY: Duration = Duration::from_secs(1);

/// A user's hold on the task that listens for it.
pub(super) struct Ear {
    /// Which task listens; `None` once it has ended.
    task: Cell<Option<TaskId>>,
    /// The user that waits for the first head.
    user: Cell<Option<TaskId>>,
    /// The session is about to end, and the stream with it.
    is_closing: Cell<bool>,
}

impl Ear {
    /// Begins to listen, and waits for the first head: servers take calls for granted that
    /// come after it.
    #[inline(never)]
    pub(super) fn open(
        shared: &Rc<Shared>,
        row: usize,
        listener: Box<HeldStream>,
        token: Option<(u32, Rc<TokenCell>)>,
        random: fastrand::Rng,
    ) -> Rc<Self> {
        let ear = Rc::new(Self {
            task: Cell::new(None),
            user: Cell::new(Some(current_task())),
            is_closing: Cell::new(false),
        });
        let listening = Box::new(Listening {
            row,
            ear: Rc::clone(&ear),
            shared: Rc::clone(shared),
            listener,
            token,
            random,
            backoff: Backoff::of_streams(),
            has_new_token: false,
            has_begun: false,
        });
        ear.task.set(Some(spawn(move || listening.run())));
        let until = crate::clock::now() + HEAD_WAIT;
        while ear.user.get().is_some() {
            // Nothing of a call is on its way: who wants to go need not wait.
            if dispensable(|| park(Some(until))) != Wake::Ready {
                ear.user.set(None);
            }
        }
        ear
    }

    /// What ends from now on ends with the session.
    pub(super) fn expect_end(&self) {
        self.is_closing.set(true);
    }

    /// Ends the stream, where it has not ended.
    pub(super) fn close(&self) {
        self.is_closing.set(true);
        if let Some(task) = self.task.take() {
            cancel_task(task);
        }
    }

    /// The first attempt has come to something.
    fn settle(&self) {
        if let Some(user) = self.user.take() {
            unpark(user);
        }
    }
}

/// The task.
struct Listening {
    /// Where its openings are recorded.
    row: usize,
    ear: Rc<Ear>,
    shared: Rc<Shared>,
    listener: Box<HeldStream>,
    token: Option<(u32, Rc<TokenCell>)>,
    random: fastrand::Rng,
    backoff: Backoff,
    /// The next attempt has another token than the one that was refused just before.
    has_new_token: bool,
    has_begun: bool,
}

/// What follows an attempt or a stream.
enum AfterStream {
    /// The stream is there.
    Hear,
    /// Another attempt: with another token, or after this pause.
    Again(Duration),
    /// None: the session ends, or the server offers no stream any more.
    Nothing,
}

impl Listening {
    #[expect(
        clippy::boxed_local,
        reason = "a task that waits for a session's life keeps its stack small"
    )]
    fn run(mut self: Box<Self>) {
        self.has_begun = true;
        loop {
            let mut next = self.open();
            self.ear.settle();
            if let AfterStream::Hear = next {
                trim_stack();
                next = self.hear();
            }
            let AfterStream::Again(pause) = next else {
                break;
            };
            let goes_on = || !self.ear.is_closing.get();
            if !self.shared.sleep(crate::clock::now() + pause, goes_on) {
                break;
            }
        }
    }

    #[inline(never)]
    fn open(&mut self) -> AfterStream {
        let row = self.row;
        let resumes = self.listener.resumes();
        let request = self.shared.start(row, None);
        let deadline = crate::clock::now() + self.shared.script.plan.timeout;
        let shared = Rc::clone(&self.shared);
        let mut say = |heard: &Heard<'_>| count_message(&shared, heard);
        let mut report = CallReport {
            // How long it lay unread says nothing of the calls.
            delay: None,
            ..dispensable(|| self.listener.open(deadline, &mut say))
        };
        if report.result.is_err()
            && let Some(foreign) = self.foreign(HeldStream::take_markers)
        {
            report.result = Err(foreign);
        }
        self.shared.end(request, &report, None);
        self.count();
        // A server that refuses the new one as well would take another at once, and another.
        let may_renew = !std::mem::take(&mut self.has_new_token);
        let (failure, status) = match report.result {
            Ok(()) => {
                self.tally(|tally| tally.resumed += u64::from(resumes));
                return AfterStream::Hear;
            }
            Err(Trouble::Cancelled) => return AfterStream::Nothing,
            Err(Trouble::Failed { failure, .. }) => (failure, report.status),
        };
        let is_unacknowledged = self.listener.is_unacknowledged;
        self.tally(|tally| match is_unacknowledged {
            true => tally.unacknowledged += 1,
            false => tally.refused += u64::from(status.is_some()),
        });
        match status {
            // It offers none any more, whoever asks.
            Some(405 | 501) => AfterStream::Nothing,
            _ if may_renew && failure.is_denial() && self.has_other_token() => {
                self.has_new_token = true;
                AfterStream::Again(Duration::ZERO)
            }
            _ => {
                let pause = self.backoff.pause_from(RETRY, &mut self.random);
                let asked = self.listener.take_retry_after();
                let is_respected = self.shared.script.plan.target.respect_retry_after;
                let asked = asked.filter(|_| is_respected).unwrap_or_default();
                let asked = a_little_longer(asked.min(RETRY_MAX), &mut self.random);
                AfterStream::Again(pause.max(asked))
            }
        }
    }

    /// Whether the server wanted another token, and there is one now.
    #[inline(never)]
    fn has_other_token(&self) -> bool {
        let Some((holder, token)) = &self.token else {
            return false;
        };
        let refused = self.listener.take_refusal();
        let goes_on = || !self.ear.is_closing.get();
        // The user whose stream it is may go on meanwhile: its calls know by themselves.
        self.ear.settle();
        // The user goes on meanwhile: it is no wait of a user.
        let (is_there, _) = self.shared.await_token(*holder, token, refused, goes_on);
        is_there
    }

    /// Holds the stream to its end.
    fn hear(&mut self) -> AfterStream {
        let shared = Rc::clone(&self.shared);
        shared.change_listening(1);
        let began = crate::clock::now();
        let has_said = Cell::new(false);
        let mut foreign = None;
        let ended = loop {
            let mut say = |heard: &Heard<'_>| {
                has_said.set(true);
                count_message(&shared, heard);
            };
            let heard = self.listener.hear(&mut say);
            self.count();
            if heard != Ok(true) {
                break heard;
            }
            // Each message counts, and not the stream once.
            let one = self.foreign(HeldStream::take_markers_so_far);
            foreign = foreign.or(one);
        };
        shared.change_listening(-1);
        let last = self.foreign(HeldStream::take_markers);
        self.ended(ended, foreign.or(last), began, has_said.get())
    }

    #[inline(never)]
    fn ended(
        &mut self,
        ended: Result<bool, Trouble>,
        foreign: Option<Trouble>,
        began: Instant,
        has_said: bool,
    ) -> AfterStream {
        let is_ours = self.ear.is_closing.get() || ended == Err(Trouble::Cancelled);
        if let Some(Trouble::Failed { failure, message }) = &foreign {
            self.shared.example_of_stream(*failure, message);
        }
        self.tally(|tally| match (&foreign, &ended) {
            (Some(Trouble::Failed { failure, .. }), _) => tally.broke(*failure),
            (_, Err(Trouble::Failed { failure, .. })) if !is_ours => tally.broke(*failure),
            _ => {
                tally.ended += 1;
                tally.ended_by_server += u64::from(!is_ours);
            }
        });
        if is_ours {
            return AfterStream::Nothing;
        }
        if let Err(Trouble::Failed { failure, message }) = &ended {
            self.shared.example_of_stream(*failure, message);
        }
        let retry = self.listener.retry();
        let pause = retry.map_or(RETRY, |retry| retry.clamp(RETRY_MIN, RETRY_MAX));
        if has_said || crate::clock::since(began) >= RETRY {
            self.backoff.reset();
            return AfterStream::Again(pause);
        }
        let longer = self.backoff.pause_from(pause, &mut self.random);
        AfterStream::Again(longer.max(pause))
    }

    /// How the stream failed whatever its end, where a marker of another user came on it.
    /// `take`: all that came, or what came so far on a stream that goes on.
    fn foreign(&mut self, take: fn(&mut HeldStream) -> FoundMarkers) -> Option<Trouble> {
        self.shared.script.marks.as_ref()?;
        let found = take(&mut self.listener);
        let n_foreign = found.n_foreign();
        let request = BegunRequest {
            row: self.row,
            phase: self.shared.phase(None),
        };
        self.shared.foreign(request, found, n_foreign, &[])
    }

    /// Counts what the listener has done.
    fn count(&mut self) {
        let done = self.listener.take_done();
        self.shared.count(|counters| {
            counters.connections += done.connects;
            counters.bytes_sent += done.bytes_sent;
            counters.bytes_received += done.bytes_received;
            counters.server_requests += done.n_answered;
        });
        self.tally(|tally| {
            tally.bytes += done.bytes_received;
            tally.requests_answered += done.n_answered;
        });
    }

    fn tally(&self, change: impl FnOnce(&mut ListenTally)) {
        self.shared.tally_listening(change);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ear.task.set(None);
        self.ear.settle();
        if self.has_begun {
            return;
        }
        // The system had no room for its stack.
        let failure = Failure::Connect(ConnectFailure::NoResources);
        let message = "no memory mapping is left for the stack of a task";
        let request = self.shared.start(self.row, None);
        let report = CallReport {
            result: Err(Trouble::failed(failure, message)),
            ..CallReport::began(crate::clock::now())
        };
        self.shared.end(request, &report, None);
    }
}

#[inline(never)]
fn count_message(shared: &Shared, heard: &Heard<'_>) {
    let redactor = shared.script.redactor();
    shared.tally_listening(|tally| match heard {
        Heard::Notification(method) => tally.notifications.add(&redactor.cleaned(method)),
        Heard::Request(request) => tally.requests.add(&redactor.cleaned(&request.method)),
        Heard::Answer { .. } => tally.answers += 1,
        Heard::Unreadable => tally.unreadable += 1,
    });
}
