//! A virtual user's life.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::backoff::{Backoff, a_little_longer};
use super::listen::Ear;
use super::shared::{BegunRequest, Shared};
use crate::client::{CallReport, HeldStream, RetryAfter, Session, TokenCell, Trouble};
use crate::load::{PacedStarts, Pacing};
use crate::metrics::{AskedWaits, AuthFailure, Failure, TemplateFailure};
use crate::network::ConnectionUse;
use crate::redact::{SessionSecrets, secrets_of_header};
use crate::scheduler::{Wake, current_task, dispensable, park, shielded, trim_stack};
use crate::template::{Generators, purpose_of};
use crate::units::nanos;

/// The end of a session may take this long after the load has ended.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Sessions lost in a row, without a successful call between, before the next
/// one is opened with a pause: a server that says 404 to everything must not
/// be flooded with handshakes.
const EXPIRIES_AT_ONCE: u32 = 2;

/// What a server asks beyond this is a mistake; the end of the load ends any wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// One virtual user on its own task.
pub struct VirtualUser {
    /// What the users of this worker share.
    pub(super) shared: Rc<Shared>,
    /// Among the users of its worker, from 0.
    local_index: u32,
    pub(super) random: fastrand::Rng,
    pub(super) session: Session,
    /// Which of the plan's populations it belongs to.
    pub(super) population: usize,
    /// What the answers of this iteration brought, by the slots of the flow.
    pub(super) values: Vec<String>,
    /// Its number among all users of the run, from 1.
    pub(super) vu: u64,
    /// The number of its iteration over the whole run, from 1.
    pub(super) iteration: u64,
    /// How many of its calls had a marker.
    pub(super) n_marked: u32,
    /// Its random values.
    pub(super) generators: Generators,
    /// What sources choose by that take any of several values.
    pub(super) random_of_checks: fastrand::Rng,
    /// When the last answer came that was looked at, if nothing was waited for since.
    pub(super) answered_at: Option<Instant>,
    /// What lives as long as the session.
    pub(super) kept: Vec<KeptValues>,
    /// What of it, and of what else its answers brought, is secret.
    pub(super) secrets: SessionSecrets,
    /// Further sessions with the same id, for calls at once.
    pub(super) lanes: Vec<Option<Session>>,
    /// Who holds the session's listening stream, where one is held.
    ear: Option<Rc<Ear>>,
    /// How long the server asked to be left alone, where that is respected.
    asked_wait: Option<Duration>,
    /// Whose token it has, and the token, where tokens are fetched.
    token: Option<(u32, Rc<TokenCell>)>,
    backoff: Backoff,
    connect_backoff: Backoff,
    /// Between sessions that are opened without trouble and lost at once.
    expiry_backoff: Backoff,
    starts: Option<PacedStarts>,
    is_open: bool,
    opened_at: Instant,
    n_iterations_in_session: u64,
    n_expiries_in_row: u32,
    has_tried_before: bool,
    ever_had_session: bool,
    /// Since when it has nothing to do but wait for its next start, where
    /// iterations have an intended one.
    free_since: Option<Instant>,
}

/// What a session keeps of a flow's steps that are done once in it.
pub(super) struct KeptValues {
    pub(super) flow: usize,
    /// Those that were done.
    pub(super) steps: Vec<usize>,
    /// By their places among the values of the flow.
    pub(super) values: Vec<(usize, String)>,
}

/// What a user that waited for its next start does.
enum NextStart {
    /// It begins an iteration.
    Now {
        /// When it should have begun; `None` where it has no start to be late for.
        intended: Option<Instant>,
    },
    /// It looks again whether to go on.
    LookAgain,
}

impl NextStart {
    /// At this moment, if it came.
    fn intended(moment: Option<Instant>) -> Self {
        moment.map_or(Self::LookAgain, |moment| Self::Now {
            intended: Some(moment),
        })
    }
}

/// How an iteration ended, as far as the session is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Go on.
    Fine,
    /// The server no longer knows the session.
    SessionGone,
    /// The server does not take the token.
    Refused,
    /// The flow wants the next iteration to have another session.
    Unwanted,
    /// Go on once the server wants more: it asked to be left alone.
    Held,
    /// Not even a connection.
    NoConnection,
    /// The run is ending.
    Cancelled,
}

impl VirtualUser {
    /// A user of a worker: `local_index` among the worker's, `run_index` among
    /// all, from which its population and its random choices follow.
    pub fn new(shared: Rc<Shared>, local_index: u32, run_index: u32) -> Self {
        let seed = shared.script.plan.seed;
        let mut mixed = fastrand::Rng::with_seed(seed ^ (u64::from(run_index) << 32));
        let random = fastrand::Rng::with_seed(mixed.u64(..));
        // Other values at each level of a search, of the same mix of calls.
        let mut generators = Generators::new(seed ^ shared.budget.level(), run_index);
        let random_of_checks = generators.of(purpose_of("checks")).clone();
        let turns = usize::try_from(run_index).unwrap_or(0);
        let population = shared.script.plan.population_of(run_index);
        let token = shared.token_of(run_index, population);
        let turns = Rc::new(Cell::new(turns));
        let vu = u64::from(run_index) + 1;
        let session = new_session(&shared, population, turns, vu, token.as_ref());
        let secrets = shared.script.redactor().session_secrets(run_index);
        Self {
            shared,
            local_index,
            random,
            session,
            population,
            values: Vec::new(),
            vu,
            iteration: 1,
            n_marked: 0,
            generators,
            random_of_checks,
            answered_at: None,
            kept: Vec::new(),
            secrets,
            lanes: Vec::new(),
            ear: None,
            asked_wait: None,
            token,
            backoff: Backoff::of_sessions(),
            connect_backoff: Backoff::of_connections(),
            expiry_backoff: Backoff::of_sessions(),
            starts: None,
            is_open: false,
            opened_at: crate::clock::now(),
            n_iterations_in_session: 0,
            n_expiries_in_row: 0,
            has_tried_before: false,
            ever_had_session: false,
            free_since: None,
        }
    }

    /// Lives until the load ends or fewer users are wanted.
    pub fn run(mut self: Box<Self>) {
        let n_active = self.shared.n_active.get() + 1;
        self.shared.n_active.set(n_active);
        let n_most = self.shared.n_active_max.get().max(n_active);
        self.shared.n_active_max.set(n_most);
        while self.goes_on() {
            if !self.is_open && !self.open() {
                continue;
            }
            let NextStart::Now { intended } = self.next_start() else {
                continue;
            };
            let Some(own) = self.shared.budget.claim() else {
                self.leave_arrival(intended);
                break;
            };
            self.iteration = self.shared.script.plan.segment.ordinal_of(own);
            self.iterate(intended);
        }
        self.close(true);
        // Who came when all was done did not miss one.
        if self.has_tried_before && !self.ever_had_session {
            let n_without = self.shared.n_without_session.get() + 1;
            self.shared.n_without_session.set(n_without);
        }
        self.shared.n_active.set(self.shared.n_active.get() - 1);
    }

    /// The first moment at which a call with this intended start could have
    /// been sent: not before its user was done with the one before, for which
    /// the server or a small pool is to blame and not this machine.
    pub(super) fn could_start(&self, intended: Instant) -> Instant {
        self.free_since.map_or(intended, |free| free.max(intended))
    }

    /// Shows a request of its session to the witness of a trial, if this is one.
    fn show(&mut self, row: usize, report: &CallReport) {
        self.shared.show(row, None, report, &mut self.session);
    }

    /// Looks for other users' markers in what answered the opening or the end of a session.
    fn judge_markers(&mut self, request: BegunRequest, report: &mut CallReport) {
        let shared = Rc::clone(&self.shared);
        shared.judge_markers(request, false, report, &mut self.session);
    }

    fn goes_on(&self) -> bool {
        !self.shared.stopping.get()
            && self.local_index < self.shared.target_vus.get()
            && !self.shared.budget.is_spent()
    }

    /// Tries once to open the session; after a failure, waits.
    // Out of line, as all that is deep and seldom: the frames of users that only
    // call stay small, and so does the memory of their stacks.
    #[inline(never)]
    fn open(&mut self) -> bool {
        let row = self.shared.script.role(self.population).handshake_row;
        let request = self.shared.start(row, None);
        let mut report = match self.check_token().and_then(|()| self.fill_headers()) {
            // It is not a call: who wants to go need not wait for it.
            Ok(()) => dispensable(|| self.session.open()),
            Err(trouble) => CallReport {
                result: Err(trouble),
                ..CallReport::began(crate::clock::now())
            },
        };
        self.judge_markers(request, &mut report);
        self.show(row, &report);
        self.shared.end(request, &report, None);
        self.count_session();
        if !self.has_tried_before {
            self.shared.n_tried.set(self.shared.n_tried.get() + 1);
        }
        let was_tried = std::mem::replace(&mut self.has_tried_before, true);
        match report.result {
            Ok(()) => {
                self.listen();
                // Opening a session goes deeper than the calls that follow.
                if !self.ever_had_session {
                    trim_stack();
                }
                self.is_open = true;
                self.ever_had_session = true;
                // Until now it had something to do.
                self.free_since = None;
                self.opened_at = crate::clock::now();
                self.n_iterations_in_session = 0;
                self.backoff.reset();
                self.shared.n_ready.set(self.shared.n_ready.get() + 1);
                let reopened = u64::from(was_tried && self.n_expiries_in_row > 0);
                self.shared.count(|counters| {
                    counters.sessions_opened += 1;
                    counters.sessions_reopened += reopened;
                });
                true
            }
            Err(_) => {
                if !self.await_token() {
                    let pause = self.backoff.pause(&mut self.random);
                    let asked: Vec<_> = self.session.take_retry_after().into_iter().collect();
                    let asked = self.respected(&asked);
                    let lacks_token = self.lacks_token();
                    let began = crate::clock::now();
                    self.sleep(began + pause.max(asked.unwrap_or_default()));
                    if asked.is_some() {
                        self.shared.count_wait(began);
                    } else if lacks_token {
                        self.shared.count_token_wait(began);
                    }
                }
                false
            }
        }
    }

    /// Holds the session's listening stream, where the server offers one, or the user's
    /// subscription.
    fn listen(&mut self) {
        let role = self.shared.script.role(self.population);
        let subscription = role.subscription.clone();
        let may_listen = subscription.is_some() || self.session.has_id();
        let Some(row) = role.listen_row.filter(|_| may_listen) else {
            return;
        };
        let listener = Box::new(HeldStream::of(&self.session, subscription));
        let random = self.generators.of(purpose_of("listen")).clone();
        let token = self.token.clone();
        self.ear = Some(Ear::open(&self.shared, row, listener, token, random));
    }

    fn end_listening(&mut self) {
        if let Some(ear) = self.ear.take() {
            ear.close();
        }
    }

    /// With a token that was refused nothing is sent.
    fn check_token(&self) -> Result<(), Trouble> {
        let Some((holder, token)) = &self.token else {
            return Ok(());
        };
        if !token.is_refused() {
            return Ok(());
        }
        let tokens = self.shared.script.tokens.as_ref();
        let why = tokens.map(|tokens| tokens.why_none(*holder));
        let message = format!("nothing was sent: {}", why.unwrap_or_default());
        Err(Trouble::failed(
            Failure::Auth(AuthFailure::NoToken),
            message,
        ))
    }

    /// Where the server does not take the token: tells it, and waits for another one, as
    /// long as a request may take. Whether another one is there.
    #[inline(never)]
    fn await_token(&mut self) -> bool {
        let Some((holder, token)) = &self.token else {
            return false;
        };
        let refused = self.session.take_refusal();
        let goes_on = || self.goes_on();
        let (is_there, since) = self.shared.await_token(*holder, token, refused, goes_on);
        if let Some(began) = since {
            self.shared.count_token_wait(began);
        }
        is_there
    }

    /// The server does not take its token, and no other has come yet.
    fn lacks_token(&self) -> bool {
        let token = self.token.as_ref();
        token.is_some_and(|(_, token)| token.is_refused())
    }

    /// Gives the next session its own headers.
    fn fill_headers(&mut self) -> Result<(), Trouble> {
        let templates = &self.shared.script.role(self.population).headers;
        if templates.is_empty() {
            return Ok(());
        }
        let headers = templates.fill(self.vu, &mut self.generators);
        if templates.hold_secrets() {
            // Between the places of answers' values and those of cells.
            let places = usize::MAX / 2..;
            let secrets = headers
                .iter()
                .flat_map(|(name, value)| secrets_of_header(name, value));
            for (place, secret) in places.zip(secrets) {
                self.secrets.keep(place, &Value::from(secret).to_string());
            }
        }
        self.session.set_headers(&headers).map_err(|name| {
            let message = format!(
                "the value of the header `{name}` has a character that no header may have, such \
                 as the end of a line; nothing was sent"
            );
            Trouble::failed(Failure::Template(TemplateFailure::BadHeader), message)
        })
    }

    /// Waits for the start of the next iteration.
    fn next_start(&mut self) -> NextStart {
        if self.free_since.is_none() && self.shared.script.plan.has_intended_starts() {
            self.free_since = Some(crate::clock::now());
        }
        if self.shared.is_open_model() {
            return NextStart::intended(self.take_arrival());
        }
        let pacing = self.shared.script.plan.load.pacing().and_then(Pacing::new);
        let (Some(pacing), Some(origin)) = (pacing, self.shared.origin.get()) else {
            return NextStart::Now { intended: None };
        };
        let now = crate::clock::since(origin);
        let random = &mut self.random;
        // The first starts are spread over one interval, so that paced users
        // do not march in step.
        let starts = self.starts.get_or_insert_with(|| {
            let spread = pacing.interval.mul_f64(random.f64());
            pacing.starts(now.saturating_add(spread))
        });
        let start = starts.next_intended(now);
        let may_begin = match origin.checked_add(start.begin) {
            Some(begin) => start.begin <= now || self.sleep(begin),
            None => false,
        };
        match may_begin {
            true => NextStart::intended(origin.checked_add(start.intended)),
            false => NextStart::LookAgain,
        }
    }

    fn take_arrival(&mut self) -> Option<Instant> {
        let queue = &self.shared.queues[self.population];
        let own = queue.arrivals.borrow_mut().pop_front();
        let waiting = self.shared.waiting.as_ref();
        let first = own.or_else(|| waiting?.take(self.population));
        if first.is_some() {
            return first;
        }
        queue.idle.borrow_mut().push(current_task());
        // A session's life may end while nothing arrives.
        let deadline = self.session_ends_at();
        let wake = park(deadline);
        // Who wakes an idle user takes it off the list; time does not.
        if wake != Wake::Ready {
            let me = current_task();
            queue.idle.borrow_mut().retain(|task| *task != me);
        }
        if wake == Wake::Deadline {
            self.close(false);
        }
        None
    }

    /// Leaves an arrival that was taken and is not served.
    #[cold]
    fn leave_arrival(&self, intended: Option<Instant>) {
        if let (Some(waiting), Some(intended)) = (&self.shared.waiting, intended) {
            waiting.give_back(self.population, intended);
        }
    }

    #[inline(never)]
    fn iterate(&mut self, intended: Option<Instant>) {
        let is_arrival = self.shared.is_open_model();
        let phase = self.shared.phase(intended);
        let mut recorder = self.shared.recorder.borrow_mut();
        let of_phase = recorder.of(phase);
        of_phase.begin_iteration(self.population, is_arrival);
        drop(recorder);
        let after = self.do_flow(intended);
        // Free is who has the answer: how long it is looked at is this machine's time.
        self.free_since = self.answered_at.take();
        self.count_session();
        if after != After::Cancelled {
            let mut recorder = self.shared.recorder.borrow_mut();
            recorder.of(phase).counters.iterations_completed += 1;
        }
        self.n_iterations_in_session += 1;
        match after {
            After::Fine | After::Held => {
                self.n_expiries_in_row = 0;
                self.connect_backoff.reset();
                self.expiry_backoff.reset();
                if after == After::Held {
                    self.wait_as_asked();
                }
            }
            After::SessionGone => self.lose_session(),
            After::Unwanted => {
                self.close(false);
                self.wait_as_asked();
            }
            After::Refused => {
                self.free_since = None;
                // With another token the session goes on.
                if !self.await_token() && self.goes_on() {
                    self.drop_session();
                }
            }
            After::NoConnection => {
                self.free_since = None;
                let pause = self.connect_backoff.pause(&mut self.random);
                self.sleep(crate::clock::now() + pause);
            }
            After::Cancelled => return,
        }
        if self.is_session_over() {
            self.close(false);
        }
        let think = self.shared.script.role(self.population).think;
        let think = think.sample(&mut self.random);
        if !think.is_zero() && !self.shared.is_open_model() {
            self.free_since = None;
            self.sleep(crate::clock::now() + think);
        }
    }

    /// Takes note of how long the server asked to be left alone by what has just failed,
    /// where the plan respects that; whether it did.
    #[inline(never)]
    pub(super) fn note_retry_after(&mut self) -> bool {
        if !self.shared.script.plan.target.respect_retry_after {
            return false;
        }
        let lanes = self.lanes.iter_mut().flatten();
        let asked = lanes.chain([&mut self.session]);
        let asked: Vec<_> = asked.filter_map(Session::take_retry_after).collect();
        self.asked_wait = self.respected(&asked);
        self.asked_wait.is_some()
    }

    /// How long to stay away, where the plan respects what was asked: a little longer,
    /// so that users who were turned away together do not come back together.
    fn respected(&mut self, asked: &[RetryAfter]) -> Option<Duration> {
        if !self.shared.script.plan.target.respect_retry_after || asked.is_empty() {
            return None;
        }
        let mut told = AskedWaits::default();
        let mut longest = None;
        for it in asked {
            match (it.wait, &it.sent) {
                // A run may last so long; `mul_f64` has a largest value.
                (Some(wait), _) => longest = longest.max(Some(wait.min(RETRY_AFTER_MAX))),
                (None, Some(_)) => told.unreadable += 1,
                (None, None) => told.absent += 1,
            }
        }
        told.asked_ns_max = longest.map_or(0, nanos);
        self.shared.count_waits(|waits| waits.merge(&told));
        longest.map(|wait| a_little_longer(wait, &mut self.random))
    }

    /// How long the server asked to be left alone, if that is still to be waited.
    pub(super) fn take_asked_wait(&mut self) -> Option<Duration> {
        self.asked_wait.take()
    }

    fn wait_as_asked(&mut self) {
        if let Some(wait) = self.take_asked_wait() {
            self.free_since = None;
            let began = crate::clock::now();
            self.sleep(began + wait);
            self.shared.count_wait(began);
        }
    }

    /// Gives the session up without a word to the server.
    fn drop_session(&mut self) {
        self.end_listening();
        self.session.forget();
        // They carry the id that is gone.
        self.lanes.clear();
        self.kept.clear();
        self.secrets.forget();
        self.mark_closed();
    }

    fn lose_session(&mut self) {
        self.drop_session();
        self.n_expiries_in_row += 1;
        self.shared.count(|counters| counters.sessions_expired += 1);
        if self.n_expiries_in_row > EXPIRIES_AT_ONCE {
            let pause = self.expiry_backoff.pause(&mut self.random);
            self.sleep(crate::clock::now() + pause);
        }
    }

    fn session_ends_at(&self) -> Option<Instant> {
        let lifetime = self.shared.script.plan.session.lifetime?;
        self.opened_at.checked_add(lifetime)
    }

    fn is_session_over(&self) -> bool {
        let rule = &self.shared.script.plan.session;
        let by_iterations = rule
            .iterations
            .is_some_and(|most| self.n_iterations_in_session >= most);
        let by_time = self
            .session_ends_at()
            .is_some_and(|end| crate::clock::now() >= end);
        self.is_open && (by_iterations || by_time)
    }

    /// Ends the session on the server. At the end of the load every session is
    /// ended; otherwise the plan's share is left to expire.
    #[inline(never)]
    fn close(&mut self, is_last: bool) {
        if !self.is_open {
            return;
        }
        self.mark_closed();
        let abandon = self.shared.script.plan.session.abandon;
        if !is_last && abandon > 0.0 && self.random.f64() < abandon {
            self.session.forget();
        } else if self.session.has_id() {
            let row = self.shared.script.role(self.population).close_row;
            let request = self.shared.start(row, None);
            if let Some(ear) = &self.ear {
                ear.expect_end();
            }
            let session = &mut self.session;
            let report = shielded(|| session.close(CLOSE_WAIT));
            if let Some(mut report) = report {
                self.judge_markers(request, &mut report);
                self.show(row, &report);
                self.shared.end(request, &report, None);
            }
        }
        self.end_listening();
        self.kept.clear();
        self.secrets.forget();
        self.count_session();
        if is_last {
            self.lanes.clear();
        } else if self.shared.script.plan.network.connection == ConnectionUse::Keep {
            self.session.begin_anew();
            if let Some((_, token)) = &self.token {
                self.session.set_token(Rc::clone(token));
            }
            for lane in self.lanes.iter_mut().flatten() {
                lane.join(&self.session);
            }
        } else {
            self.lanes.clear();
            // A new session is a new client: its connection is new as well.
            let turns = self.session.turns();
            self.session = new_session(
                &self.shared,
                self.population,
                turns,
                self.vu,
                self.token.as_ref(),
            );
        }
    }

    fn mark_closed(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.shared.n_ready.set(self.shared.n_ready.get() - 1);
        }
    }

    /// Sleeps until the moment; false when there was a reason to look up.
    pub(super) fn sleep(&self, until: Instant) -> bool {
        self.shared.sleep(until, || self.goes_on())
    }

    fn count_session(&mut self) {
        self.shared.count_session(&mut self.session);
    }

    /// What a failure means for the session.
    pub(super) fn after(&self, report: &CallReport) -> After {
        match &report.result {
            _ if report.session_gone => After::SessionGone,
            Ok(()) => After::Fine,
            Err(Trouble::Cancelled) => After::Cancelled,
            Err(Trouble::Failed {
                failure: Failure::Connect(_),
                ..
            }) => After::NoConnection,
            Err(Trouble::Failed { failure, .. })
                if failure.is_denial() && self.session.is_refused() =>
            {
                After::Refused
            }
            Err(Trouble::Failed { .. }) => After::Fine,
        }
    }
}

fn new_session(
    shared: &Shared,
    population: usize,
    turns: Rc<Cell<usize>>,
    vu: u64,
    token: Option<&(u32, Rc<TokenCell>)>,
) -> Session {
    let mut session = Session::new(&shared.script.role(population).server, turns);
    if let Some((_, token)) = token {
        session.set_token(Rc::clone(token));
    }
    if let Some(marks) = shared.script.marks.as_ref() {
        session.search(&marks.key, marks.user(vu));
    }
    if shared.script.witness().is_some() {
        session.watch();
    }
    session
}

/// Sleeping for the pause after a call, with nothing to hold on to.
pub(super) fn pause(user: &mut VirtualUser, pause: Duration) {
    if !pause.is_zero() {
        let until = crate::clock::now() + pause;
        user.answered_at = None;
        if user.shared.stopping.get() {
            return;
        }
        user.sleep(until);
    }
}
