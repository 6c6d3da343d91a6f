//! What the users of one worker share. All on one thread: cells, no locks.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::BudgetShare;
use super::check::Checks;
use super::script::{FlowCall, Script};
use super::waiting::WaitingShare;
use crate::auth::{HeldToken, Refusal};
use crate::client::{CallReport, Observed, RefusedToken, Session, TokenCell, Trouble};
use crate::expect::Unchecked;
use crate::load::LoadUnit;
use crate::metrics::{
    AskedWaits, CallPhase, Counters, Failure, ListenTally, Outcome, Recorder, Sample, ServedCall,
    SlowCall,
};
use crate::outcome::{RowKind, Seen, Witness};
use crate::scheduler::{TaskId, Wake, Worked, current_task, park, unpark};
use crate::units::{nanos, nanos_between};

/// What the users of one worker share.
pub struct Shared {
    /// What they do.
    pub script: Arc<Script>,
    /// Where they record; the worker swaps it at each tick.
    pub recorder: RefCell<Recorder>,
    /// Iterations left.
    pub budget: BudgetShare,
    /// Users whose index on this worker is below this are wanted.
    pub target_vus: Cell<u32>,
    /// No iteration begins any more.
    pub stopping: Cell<bool>,
    /// The start of the load; `None` while sessions are opened before it.
    pub origin: Cell<Option<Instant>>,
    /// The end of the warm-up, or the start of the load without one; `None` as above.
    measured_from: Cell<Option<Instant>>,
    /// What begins now, and was due at no moment of its own, belongs to the warm-up.
    is_warming_up: Cell<bool>,
    /// Users that run, whether their session is open or not.
    pub n_active: Cell<u32>,
    /// Users whose session is open.
    pub n_ready: Cell<u32>,
    /// Users that have tried to open a session at least once.
    pub n_tried: Cell<u32>,
    /// Calls that have begun and not ended.
    pub n_in_flight: Cell<u32>,
    /// The most of them at once, since the worker last asked.
    pub n_in_flight_max: Cell<u32>,
    /// The most users that ran at once.
    pub n_active_max: Cell<u32>,
    /// Users that have ended and never had a session.
    pub n_without_session: Cell<u32>,
    /// Listening streams that are open.
    n_listening: Cell<u32>,
    /// The most of them at once.
    pub n_listening_max: Cell<u32>,
    /// When the first call began. Handshakes are not calls.
    pub first_begin: Cell<Option<Instant>>,
    /// The end of the last call that succeeded or failed. Handshakes and the
    /// ends of sessions are not calls.
    pub last_end: Cell<Option<Instant>>,
    /// When the last call was given up, if one was.
    pub last_given_up: Cell<Option<Instant>>,
    /// Why the last answer that could not be judged could not be, until a witness is
    /// told.
    pub last_unchecked: Cell<Option<Unchecked>>,
    /// By row: whether its requests are calls.
    is_call: Box<[bool]>,
    /// By population, in the open model.
    pub(super) queues: Box<[ArrivalQueue]>,
    /// Where arrivals wait while all users of this worker are busy (open model).
    pub(super) waiting: Option<WaitingShare>,
    /// Answers that wait to be looked at.
    pub(super) checks: Checks,
    /// Users that sleep between iterations or attempts, and are woken when
    /// they have to leave.
    pub(super) sleepers: RefCell<HashSet<TaskId>>,
    /// By holder: the tokens of its users.
    tokens: RefCell<HashMap<u32, Rc<TokenCell>>>,
}

/// A request that has begun.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub(super) struct BegunRequest {
    /// Where it is recorded.
    pub(super) row: usize,
    pub(super) phase: CallPhase,
}

/// What the users of a population wait in, in the open model.
#[derive(Default)]
pub(super) struct ArrivalQueue {
    /// Arrivals that are on their way to a user who was woken.
    pub(super) arrivals: RefCell<VecDeque<Instant>>,
    /// Users that wait for an arrival, the last to come first: those that were
    /// busy last have the warmest connections.
    pub(super) idle: RefCell<Vec<TaskId>>,
}

impl Shared {
    /// What the users of one worker share, before any of them runs. The recorder is an
    /// empty one of the script's rows.
    pub fn new(
        script: Arc<Script>,
        budget: BudgetShare,
        recorder: Recorder,
        waiting: Option<WaitingShare>,
    ) -> Self {
        let kinds = script.rows.iter().map(|row| row.kind);
        let is_call = kinds.map(RowKind::is_in_totals).collect();
        let populations = script.plan.populations.all().iter();
        let queues = populations.map(|_| ArrivalQueue::default()).collect();
        Self {
            script,
            recorder: RefCell::new(recorder),
            budget,
            target_vus: Cell::new(0),
            stopping: Cell::new(false),
            origin: Cell::new(None),
            measured_from: Cell::new(None),
            is_warming_up: Cell::new(true),
            n_active: Cell::new(0),
            n_ready: Cell::new(0),
            n_tried: Cell::new(0),
            n_in_flight: Cell::new(0),
            n_in_flight_max: Cell::new(0),
            n_active_max: Cell::new(0),
            n_without_session: Cell::new(0),
            n_listening: Cell::new(0),
            n_listening_max: Cell::new(0),
            first_begin: Cell::new(None),
            last_end: Cell::new(None),
            last_given_up: Cell::new(None),
            last_unchecked: Cell::new(None),
            is_call,
            queues,
            waiting,
            checks: Checks::default(),
            sleepers: RefCell::new(HashSet::new()),
            tokens: RefCell::new(HashMap::new()),
        }
    }

    /// The token of a user, by its index in the run, where tokens are fetched for its
    /// population; and whose it is.
    pub(super) fn token_of(
        &self,
        run_index: u32,
        population: usize,
    ) -> Option<(u32, Rc<TokenCell>)> {
        if !self.script.role(population).has_tokens {
            return None;
        }
        let holder = self.script.tokens.as_ref()?.holder_of(run_index);
        let mut tokens = self.tokens.borrow_mut();
        Some((holder, Rc::clone(tokens.entry(holder).or_default())))
    }

    /// Holders have these tokens from now on. Users that wait for one look up.
    pub fn set_tokens(&self, held: &[HeldToken]) {
        let mut is_awaited = false;
        for token in held {
            let mut tokens = self.tokens.borrow_mut();
            let cell = tokens.entry(token.holder).or_default();
            is_awaited |= cell.is_refused();
            cell.set(token.number, &token.value, token.is_widest);
        }
        if is_awaited {
            self.rouse();
        }
    }

    /// Tells who fetches tokens, once for each token, that the server does not take it.
    pub(super) fn refuse(&self, holder: u32, cell: &TokenCell, refused: RefusedToken) {
        let Some(tokens) = self.script.tokens.as_ref() else {
            return;
        };
        if !cell.refuse(refused.number) {
            return;
        }
        let is_told = tokens.refuse(Refusal {
            holder,
            number: refused.number,
            status: refused.status,
            challenge: refused.challenge,
        });
        if !is_told {
            // The next user who is refused tells it again.
            cell.forget_refusal();
        }
    }

    /// Where the server does not take this token: tells it, and waits for another one, as
    /// long as a request may take. Whether another one is there, and since when it was
    /// waited for, if it was.
    pub(super) fn await_token(
        &self,
        holder: u32,
        token: &TokenCell,
        refused: Option<RefusedToken>,
        goes_on: impl Fn() -> bool,
    ) -> (bool, Option<Instant>) {
        let is_of_one_before = refused
            .as_ref()
            .is_some_and(|it| it.number < token.number());
        if let Some(refused) = refused {
            self.refuse(holder, token, refused);
        }
        if !token.is_refused() {
            return (is_of_one_before, None);
        }
        let number = token.number();
        let began = crate::clock::now();
        let until = began + self.script.plan.timeout;
        self.sleep(until, || token.number() == number && goes_on());
        (token.number() != number, Some(began))
    }

    /// The load begins at this instant, with a warm-up of this length.
    pub fn begin(&self, origin: Instant, warm_up: Duration) {
        self.origin.set(Some(origin));
        self.measured_from.set(origin.checked_add(warm_up));
        self.is_warming_up.set(!warm_up.is_zero());
        // What was before is not part of the load.
        self.recorder.borrow_mut().forget_opening();
        self.rouse();
    }

    /// Ends the warm-up if its time is over: asked at each tick, so that no call has to ask
    /// the clock.
    pub fn look_for_warm_up_end(&self) {
        let is_over = |from| crate::clock::now() >= from;
        if self.is_warming_up.get() && self.measured_from.get().is_some_and(is_over) {
            self.is_warming_up.set(false);
        }
    }

    /// The phase of what begins now. `intended`: when it was due, where it was.
    #[inline]
    pub fn phase(&self, intended: Option<Instant>) -> CallPhase {
        let is_warm_up = match (intended, self.measured_from.get()) {
            (Some(intended), Some(from)) => intended < from,
            _ => self.is_warming_up.get(),
        };
        match is_warm_up {
            true => CallPhase::WarmUp,
            false => CallPhase::Load,
        }
    }

    /// Whether iterations are arrivals.
    pub fn is_open_model(&self) -> bool {
        self.script.plan.load.unit() == LoadUnit::Rate
    }

    /// Wakes everyone who waits for something other than the network, to look
    /// again whether to go on.
    pub fn rouse(&self) {
        for task in self.sleepers.borrow().iter() {
            unpark(*task);
        }
        for queue in &self.queues {
            for task in queue.idle.borrow_mut().drain(..) {
                unpark(task);
            }
        }
    }

    /// Hands arrivals that wait to users of this worker that are free. Before each poll:
    /// users became free meanwhile, or another worker woke this one for an arrival.
    #[inline]
    pub fn serve_waiting(&self) -> Worked {
        match &self.waiting {
            Some(waiting) => self.serve_from(waiting),
            None => Worked::Nothing,
        }
    }

    fn serve_from(&self, waiting: &WaitingShare) -> Worked {
        let mut worked = Worked::Nothing;
        for (population, queue) in self.queues.iter().enumerate() {
            let mut idle = queue.idle.borrow_mut();
            if !waiting.tell_idle(population, idle.len()) {
                continue;
            }
            while let Some(user) = idle.pop() {
                let Some(intended) = waiting.take(population) else {
                    idle.push(user);
                    break;
                };
                queue.arrivals.borrow_mut().push_back(intended);
                unpark(user);
                worked = Worked::All;
            }
            waiting.tell_idle(population, idle.len());
            waiting.pass_on(population);
        }
        worked
    }

    /// Ends the load: no iteration begins any more, and arrivals that still
    /// wait will never be served. Where all iterations that are wanted have begun, they
    /// came after the last of them, and none was missed.
    pub fn stop(&self) {
        self.stopping.set(true);
        let has_all = self.budget.is_spent();
        for (population, queue) in self.queues.iter().enumerate() {
            let elsewhere = self.waiting.as_ref().map(|it| it.clear(population));
            let waiting = queue.arrivals.take().into_iter();
            let waiting = waiting.chain(elsewhere.into_iter().flatten());
            let recorder = &mut self.recorder.borrow_mut();
            for intended in waiting {
                let recorder = recorder.of(self.phase(Some(intended)));
                match has_all {
                    true => recorder.arrivals_left += 1,
                    false => recorder.drop_arrivals(population, 1),
                }
            }
        }
        self.rouse();
    }

    /// Sleeps until the moment; false when there was a reason to look up, for
    /// which the sleeper is roused: it does not go on, or all is given up.
    pub(super) fn sleep(&self, until: Instant, goes_on: impl Fn() -> bool) -> bool {
        let me = current_task();
        self.sleepers.borrow_mut().insert(me);
        let slept = loop {
            if !goes_on() {
                break false;
            }
            match park(Some(until)) {
                Wake::Cancelled => break false,
                Wake::Deadline => break true,
                // Roused for another reason than the time.
                Wake::Ready if crate::clock::now() >= until => break true,
                Wake::Ready => {}
            }
        };
        self.sleepers.borrow_mut().remove(&me);
        slept
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counters)) {
        change(&mut self.recorder.borrow_mut().counters);
    }

    pub(super) fn count_waits(&self, change: impl FnOnce(&mut AskedWaits)) {
        change(&mut self.recorder.borrow_mut().waits);
    }

    pub(super) fn tally_listening(&self, change: impl FnOnce(&mut ListenTally)) {
        let mut recorder = self.recorder.borrow_mut();
        change(recorder.listening.get_or_insert_default());
    }

    /// A listening stream is open (1), or no longer (-1).
    pub(super) fn change_listening(&self, by: i32) {
        let n_listening = self.n_listening.get().saturating_add_signed(by);
        self.n_listening.set(n_listening);
        let n_most = self.n_listening_max.get().max(n_listening);
        self.n_listening_max.set(n_most);
    }

    /// Keeps the message of a listening stream's failure that no request had.
    pub(super) fn example_of_stream(&self, failure: Failure, message: &str) {
        let message = self.script.redactor().cleaned_message(message);
        let examples = &mut self.recorder.borrow_mut().examples;
        examples.streams.offer(failure, &message);
    }

    /// Counts a wait that the server asked for and that has ended now.
    pub(super) fn count_wait(&self, began: Instant) {
        let waited = crate::clock::since(began);
        self.count_waits(|waits| waits.kept.add(waited));
    }

    /// Counts a wait for another token that has ended now.
    pub(super) fn count_token_wait(&self, began: Instant) {
        let waited = crate::clock::since(began);
        self.recorder.borrow_mut().token_waits.add(waited);
    }

    /// A request of the row begins. `intended`: when it was due, where it was.
    pub(super) fn start(&self, row: usize, intended: Option<Instant>) -> BegunRequest {
        let phase = self.phase(intended);
        self.recorder.borrow_mut().of(phase).start(row);
        if self.is_call[row] {
            if self.first_begin.get().is_none() {
                self.first_begin.set(Some(crate::clock::now()));
            }
            let n_in_flight = self.n_in_flight.get() + 1;
            self.n_in_flight.set(n_in_flight);
            self.n_in_flight_max
                .set(self.n_in_flight_max.get().max(n_in_flight));
        }
        BegunRequest { row, phase }
    }

    /// Records how it ended. `intended` is given where the request has a start
    /// of its own to be late for.
    pub(super) fn end(
        &self,
        request: BegunRequest,
        report: &CallReport,
        intended: Option<Instant>,
    ) {
        self.lands(request.row);
        self.ended(request, report, intended);
    }

    /// A request of the row is no longer in flight.
    pub(super) fn lands(&self, row: usize) {
        if self.is_call[row] {
            self.n_in_flight
                .set(self.n_in_flight.get().saturating_sub(1));
        }
    }

    /// Records how it ended, once it has landed.
    pub(super) fn ended(
        &self,
        request: BegunRequest,
        report: &CallReport,
        intended: Option<Instant>,
    ) {
        let BegunRequest { row, phase } = request;
        let ns = |from: Instant| nanos_between(from, report.end);
        let message;
        let outcome = match &report.result {
            Ok(()) => Outcome::Ok,
            Err(Trouble::Cancelled) => Outcome::Cancelled,
            Err(Trouble::Failed {
                failure,
                message: told,
            }) => {
                message = self.script.redactor().cleaned_message(told);
                Outcome::Failed(*failure, &message)
            }
        };
        let sample = Sample {
            service_ns: ns(report.sent),
            response_ns: intended.map(ns),
            outcome,
        };
        if let Some(observed) = &report.observed {
            self.observe(request, observed, report, &sample);
        }
        let mut recorders = self.recorder.borrow_mut();
        let recorder = recorders.of(phase);
        if let Some(delay) = report.delay {
            recorder.generator_delay.record(nanos(delay));
        }
        match sample.outcome {
            Outcome::Failed(..) => match self.script.rows[row].kind {
                RowKind::Handshake | RowKind::Close => recorder.end_of_session(row, &sample),
                RowKind::Listen => recorder.end_of_stream(row, &sample),
                _ => recorder.end(row, &sample),
            },
            _ => recorder.end(row, &sample),
        }
        if report.result.is_ok() {
            recorder.transferred(row, report.n_bytes_sent, report.n_bytes);
        }
        drop(recorders);
        if self.is_call[row] {
            let last = match sample.outcome {
                Outcome::Cancelled => &self.last_given_up,
                _ => &self.last_end,
            };
            last.set(last.get().max(Some(report.end)));
        }
    }

    /// Whether a successful call is among the slowest of its row, as far as this tick goes.
    #[inline]
    pub(super) fn is_slow(
        &self,
        request: BegunRequest,
        report: &CallReport,
        intended: Option<Instant>,
    ) -> bool {
        let took_ns = nanos_between(intended.unwrap_or(report.sent), report.end);
        let mut recorder = self.recorder.borrow_mut();
        recorder.of(request.phase).wants_slow(request.row, took_ns)
    }

    /// Keeps such a call, of this user and with this trace.
    #[cold]
    pub(super) fn keep_slow(
        &self,
        request: BegunRequest,
        report: &CallReport,
        intended: Option<Instant>,
        (user, trace): (u64, Option<u128>),
    ) {
        let origin = self.origin.get().unwrap_or(report.sent);
        let call = SlowCall {
            at_ns: nanos_between(origin, report.sent),
            user,
            took_ns: nanos_between(intended.unwrap_or(report.sent), report.end),
            phases: report.phases(intended),
            trace,
        };
        let mut recorder = self.recorder.borrow_mut();
        recorder.of(request.phase).keep_slow(request.row, call);
    }

    /// Records who served a call that has ended, and how its answer came, where that is asked
    /// for.
    #[inline(never)]
    fn observe(
        &self,
        request: BegunRequest,
        observed: &Observed,
        report: &CallReport,
        sample: &Sample<'_>,
    ) {
        let is_ok = match sample.outcome {
            Outcome::Ok => true,
            Outcome::Failed(..) => false,
            Outcome::Cancelled => return,
        };
        let call = ServedCall {
            is_ok,
            is_expired: report.session_gone,
            latency_ns: sample.response_ns.unwrap_or(sample.service_ns),
        };
        let rule = &self.script.spread;
        let mut recorder = self.recorder.borrow_mut();
        let recorder = recorder.of(request.phase);
        if let Some(pieces) = &observed.pieces {
            recorder.answered(request.row, pieces, is_ok, sample.service_ns);
        }
        if rule.by_address {
            let spread = recorder.spread.get_or_insert_default();
            spread.addresses.record(observed.peer.as_ref(), call);
        }
        if let Some(header) = &rule.header {
            // The server's word, which may hold what the user keeps secret.
            let redactor = self.script.redactor();
            let name = observed.header(header).map(|name| redactor.cleaned(name));
            let spread = recorder.spread.get_or_insert_default();
            spread.record_backend(name.as_deref(), call);
        }
    }

    /// Shows a request that has ended to the witness of a trial; a load has none.
    /// `call` is the call that it was, with the values of its flow.
    #[inline]
    pub(super) fn show(
        &self,
        row: usize,
        call: Option<(&FlowCall, &[String])>,
        report: &CallReport,
        session: &mut Session,
    ) {
        if let Some(witness) = self.script.witness() {
            self.show_to(witness, row, call, report, session);
        }
    }

    #[cold]
    fn show_to(
        &self,
        witness: &Witness,
        row: usize,
        call: Option<(&FlowCall, &[String])>,
        report: &CallReport,
        session: &mut Session,
    ) {
        let redactor = self.script.redactor();
        let failure = match &report.result {
            Ok(()) => None,
            Err(Trouble::Cancelled) => return,
            Err(Trouble::Failed { failure, message }) => {
                Some((*failure, redactor.cleaned_message(message).into_owned()))
            }
        };
        let mut wire = session.take_wire_copy();
        // Nobody but the run's own redactor knows what its users hold, such as cookies.
        wire.answer = match String::from_utf8(wire.answer) {
            Ok(text) => redactor.clean(text).into_bytes(),
            Err(broken) => broken.into_bytes(),
        };
        let taken = match (call, &failure) {
            (Some((call, values)), None) => {
                let slots = call.check.map(|at| &self.script.checks[at].taken);
                let slots = slots.into_iter().flatten();
                slots.map(|slot| values[*slot].clone()).collect()
            }
            _ => Vec::new(),
        };
        witness.see(Seen {
            flow: call.map(|(call, _)| call.place.0),
            step: call.map_or(0, |(call, _)| call.place.1),
            call: call.map_or(0, |(call, _)| call.place.2),
            taken,
            row: self.script.rows[row].clone(),
            wire,
            n_bytes: report.n_bytes,
            latency: report.end.saturating_duration_since(report.sent),
            unchecked: self.last_unchecked.take(),
            failure,
        });
    }

    /// Sent less the moment at which it could have been.
    pub(super) fn late(&self, phase: CallPhase, could_start: Instant, sent: Instant) {
        self.recorder
            .borrow_mut()
            .of(phase)
            .lateness
            .record(nanos_between(could_start, sent));
    }

    /// Adds what a session has done since it was last asked.
    pub(super) fn count_session(&self, session: &mut Session) {
        let done = session.take_counters();
        self.count(|counters| counters.merge(&done));
    }
}
