//! The work on answers that are to be looked at.
//!
//! What a server sends is never searched on a user's small stack: its task queues the
//! answer and parks, and the worker's loop works the queue once its tasks have run, before it polls.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::check::{AnswerDesk, WaitingAnswer};
use super::script::FlowCall;
use super::shared::{BegunRequest, Shared};
use crate::client::{CallReport, Session, Trouble};
use crate::clock::Utc;
use crate::expect::{Answer, Checked, is_equal};
use crate::marker::{FoundMarkers, Marker};
use crate::metrics::{ExpectFailure, Failure, IsolationFailure, Violation};
use crate::protocol::{trace_id, trace_of_request};
use crate::redact::SessionSecrets;
use crate::scheduler::{Wake, Worked, current_task, park, shielded, unpark};
use crate::units::{format_duration, nanos_between};

/// How long the queue is worked at a time, but for the last answer that is begun.
const WORKED_AT_ONCE: Duration = Duration::from_micros(200);

/// This many desks are kept for later answers.
const DESKS_KEPT: usize = 64;

/// What of a user takes what an answer brings.
pub(super) struct Taking<'a> {
    /// By the slots of the flow.
    pub(super) values: &'a mut [String],
    /// Chooses among several matches.
    pub(super) random: &'a mut fastrand::Rng,
    /// Those of its session.
    pub(super) secrets: &'a mut SessionSecrets,
}

impl Shared {
    /// Works the queue of answers, as long as may be at a time.
    pub fn work_checks(&self) -> Worked {
        let checks = &self.checks;
        if checks.waiting.borrow().is_empty() {
            return Worked::Nothing;
        }
        let began = crate::clock::now();
        let mut now = began;
        while now.saturating_duration_since(began) < WORKED_AT_ONCE {
            let Some(next) = checks.waiting.borrow_mut().pop_front() else {
                return Worked::All;
            };
            let waited_ns = nanos_between(next.since, now);
            checks.n_worked.set(checks.n_worked.get() + 1);
            checks.waited_ns.set(checks.waited_ns.get() + waited_ns);
            self.look_at(next.check, next.is_last, &mut next.desk.borrow_mut());
            unpark(next.task);
            now = crate::clock::now();
        }
        match checks.waiting.borrow().is_empty() {
            true => Worked::All,
            false => Worked::Part,
        }
    }

    /// How many answers were worked since this was last asked, and how long all of them
    /// had waited, in nanoseconds.
    pub fn take_check_times(&self) -> (u64, u64) {
        (self.checks.n_worked.take(), self.checks.waited_ns.take())
    }

    fn look_at(&self, check: usize, is_last: bool, desk: &mut AnswerDesk) {
        let check = &self.script.checks[check];
        let AnswerDesk {
            report,
            random,
            values,
            ..
        } = desk;
        let text = report
            .result_text
            .as_deref()
            .or(report.error_text.as_deref());
        let (mut is_tool_error, mut code, mut status) = (false, None, report.status);
        if let Err(Trouble::Failed { failure, .. }) = &report.result {
            match failure {
                Failure::Tool => is_tool_error = true,
                Failure::Rpc(own) => code = Some(*own),
                Failure::Http {
                    status: own,
                    rpc_code,
                } => (status, code) = (Some(*own), *rpc_code),
                Failure::Denied { status: own, .. } => status = Some(*own),
                _ => {}
            }
        }
        let answer = Answer {
            result: report.result_text.as_deref(),
            error: report.error_text.as_deref(),
            is_tool_error,
            code,
            status,
            n_bytes: text.map_or(0, |text| text.len() as u64),
            headers: report.observed.as_ref().map_or(&[], |it| &it.headers),
        };
        let mut checked = Checked::default();
        for checker in &check.checkers {
            values.clear();
            checked = checker.check(&answer, random, values);
            if checked.failure.is_none() {
                break;
            }
        }
        let mut is_met = true;
        if let (Some((source, awaited)), None) = (&check.until, &checked.failure) {
            let found = source.find(&answer, random);
            is_met = found.as_ref().is_ok_and(|json| is_equal(json, awaited));
            if !is_met && is_last {
                let came = match found {
                    Ok(json) => format!("is `{}`", crate::protocol::excerpt(json.as_bytes())),
                    Err(no_match) => format!("is missing: {no_match}"),
                };
                let text = format!("at the last poll `{source}` {came}; `{awaited}` is awaited");
                checked.failure = Some((Failure::Expect(ExpectFailure::Equals), text));
            }
        }
        if checked.failure.is_some() {
            for (value, source) in &check.secrets {
                let found = source.find(&answer, random).ok();
                desk.secrets.extend(found.map(|json| (*value, json)));
            }
        }
        desk.is_met = is_met;
        desk.checked = Some(checked);
    }

    /// Looks at the answer of a call that is no longer in flight: takes values out of
    /// it, and lets the call fail where it is not what it should be, or succeed where
    /// its failure is. Whether a poll was the one that is awaited.
    #[inline(never)]
    pub(super) fn judge(
        &self,
        (call, begun): (&FlowCall, BegunRequest),
        is_last: bool,
        report: &mut CallReport,
        session: &mut Session,
        taking: Taking<'_>,
    ) -> bool {
        self.judge_markers(begun, call.is_marked, report, session);
        let Some(at) = call.check else { return true };
        if !self.script.checks[at].is_for(report) {
            return false;
        }
        let free = self.checks.free.borrow_mut().pop();
        let desk = free.unwrap_or_else(|| Rc::new(RefCell::new(AnswerDesk::new(report.sent))));
        let is_met = self.judge_at(&desk, at, (call, begun, is_last), report, session, taking);
        let free = &mut *self.checks.free.borrow_mut();
        if free.len() < DESKS_KEPT {
            free.push(desk);
        }
        is_met
    }

    fn judge_at(
        &self,
        desk: &Rc<RefCell<AnswerDesk>>,
        at: usize,
        (call, begun, is_last): (&FlowCall, BegunRequest, bool),
        report: &mut CallReport,
        session: &Session,
        taking: Taking<'_>,
    ) -> bool {
        let check = &self.script.checks[at];
        {
            let desk = &mut *desk.borrow_mut();
            std::mem::swap(&mut desk.report, report);
            desk.random = taking.random.fork();
            desk.values.clear();
        }
        self.wait_for_check(WaitingAnswer {
            check: at,
            is_last,
            since: crate::clock::now(),
            task: current_task(),
            desk: Rc::clone(desk),
        });
        let (checked, is_met) = {
            let desk = &mut *desk.borrow_mut();
            std::mem::swap(&mut desk.report, report);
            (desk.checked.take(), desk.is_met)
        };
        let Some(checked) = checked else {
            *report = CallReport {
                result: Err(Trouble::Cancelled),
                end: crate::clock::now(),
                ..CallReport::began(report.sent)
            };
            return false;
        };
        // Before anything is said of the answer.
        let place = |value: usize| at << 16 | value;
        for (value, json) in desk.borrow_mut().secrets.drain(..) {
            taking.secrets.keep(place(value), &json);
        }
        if let Some(reason) = checked.unchecked {
            let mut recorder = self.recorder.borrow_mut();
            recorder.of(begun.phase).unchecked(call.row, reason.id());
            drop(recorder);
            self.last_unchecked.set(Some(reason));
        }
        let Some((failure, message)) = checked.failure else {
            report.result = Ok(());
            let values = &mut desk.borrow_mut().values;
            for (value, _) in &check.secrets {
                if let Some(json) = values.get(*value) {
                    taking.secrets.keep(place(*value), json);
                }
            }
            for (slot, value) in check.taken.iter().zip(values.drain(..)) {
                taking.values[*slot] = value;
            }
            return is_met;
        };
        // What the answer itself says of its failure says more.
        let is_own =
            matches!(&report.result, Err(Trouble::Failed { failure: own, .. }) if *own == failure);
        if !is_own {
            let trace = call.trace.and_then(|slot| trace_id(&taking.values[slot]));
            let answer = report
                .result_text
                .as_deref()
                .or(report.error_text.as_deref());
            let message = self.keep_evidence(
                begun,
                failure,
                &message,
                answer,
                session.last_request(),
                trace,
            );
            report.result = Err(Trouble::failed(failure, message));
        }
        false
    }

    /// Lets a request fail whose answer has a marker of another user's call, whatever else
    /// it is; does nothing where no call has markers.
    #[inline(never)]
    pub(super) fn judge_markers(
        &self,
        begun: BegunRequest,
        is_marked: bool,
        report: &mut CallReport,
        session: &mut Session,
    ) {
        if self.script.marks.as_ref().is_none() {
            return;
        }
        let found = session.take_markers();
        let is_ended = report.result != Err(Trouble::Cancelled);
        {
            let counts = &mut self.recorder.borrow_mut().isolation;
            counts.marked += u64::from(is_marked && is_ended);
            counts.returned += u64::from(is_marked && is_ended && found.has_own);
        }
        let request = session.last_request();
        let n_foreign = u64::from(found.n_foreign() > 0);
        let Some(foreign) = self.foreign(begun, found, n_foreign, request) else {
            return;
        };
        report.result = Err(foreign);
        if !is_ended {
            report.end = crate::clock::now();
        }
    }

    /// Counts others' markers in what came, and keeps it where there is one of another user
    /// of this run: how whatever it came in has failed. `n_foreign`: answers, or messages of
    /// a stream, that had one of another user; `request` is what was sent for it.
    pub(super) fn foreign(
        &self,
        begun: BegunRequest,
        found: FoundMarkers,
        n_foreign: u64,
        request: &[u8],
    ) -> Option<Trouble> {
        {
            let counts = &mut self.recorder.borrow_mut().isolation;
            counts.foreign += n_foreign;
            counts.other_runs += u64::from(found.has_other_run);
        }
        let foreign = found.foreign.first()?;
        let failure = Failure::Isolation(IsolationFailure::Foreign);
        let message = told_of(&foreign.marker);
        // A secret that another user would have taken out of it is not known as one.
        let mut checks = self.script.checks.iter();
        let answer = match checks.any(|check| !check.secrets.is_empty()) {
            true => "not shown, since steps take secrets out of answers",
            false => &foreign.excerpt,
        };
        self.keep_evidence(begun, failure, &message, Some(answer), request, None);
        Some(Trouble::failed(failure, message))
    }

    /// Until somebody has looked at the answer, or the task is cancelled.
    fn wait_for_check(&self, waiting: WaitingAnswer) {
        let desk = Rc::clone(&waiting.desk);
        let task = waiting.task;
        self.checks.waiting.borrow_mut().push_back(waiting);
        shielded(|| {
            while desk.borrow().checked.is_none() {
                if park(None) == Wake::Cancelled {
                    let mut waiting = self.checks.waiting.borrow_mut();
                    waiting.retain(|other| other.task != task);
                    return;
                }
            }
        });
    }

    /// Keeps the first exchange of a cause where calls have traces: the server's own traces
    /// say what became of a call that timed out or was refused.
    #[cold]
    pub(super) fn keep_traced(
        &self,
        begun: BegunRequest,
        (failure, message): (Failure, &str),
        report: &CallReport,
        request: &[u8],
        trace: Option<u128>,
    ) {
        let mut recorder = self.recorder.borrow_mut();
        let violations = &recorder.of(begun.phase).violations;
        let is_wanted = violations.wants(begun.row, failure);
        drop(recorder);
        if is_wanted {
            let of_error = report.error_text.as_deref();
            let answer = report.result_text.as_deref().or(of_error);
            self.keep_evidence(begun, failure, message, answer, request, trace);
        }
    }

    /// Keeps the first exchange whose answer is not what it should be. Returns the message
    /// without secrets; it is empty where nobody would keep it. Only what is kept is
    /// cleaned: that takes a look at the whole answer, and every call may fail.
    fn keep_evidence(
        &self,
        begun: BegunRequest,
        failure: Failure,
        message: &str,
        answer: Option<&str>,
        request: &[u8],
        trace: Option<u128>,
    ) -> String {
        let mut recorder = self.recorder.borrow_mut();
        let recorder = recorder.of(begun.phase);
        let is_evidence = recorder.violations.wants(begun.row, failure);
        let is_example = recorder.examples.calls.wants(failure, message);
        if !is_evidence && !is_example && self.script.witness().is_none() {
            return String::new();
        }
        let redactor = self.script.redactor();
        let request = String::from_utf8_lossy(request);
        let answer = answer.unwrap_or_default();
        if !is_evidence {
            let [cleaned] = redactor.cleaned_exchange([message], [&request, answer]);
            recorder
                .examples
                .calls
                .pass_over(failure, message, &cleaned);
            return cleaned;
        }
        let trace = trace.or_else(|| trace_of_request(&request));
        let texts = [message, &request, answer];
        let [message, request, answer] = redactor.cleaned_exchange(texts, [&request, answer]);
        recorder.violations.keep(Violation {
            row: begun.row,
            failure,
            message: message.clone(),
            request,
            answer,
            trace,
        });
        message
    }
}

/// Whose marker came in an answer to somebody else, and since when it was about.
fn told_of(marker: &Marker) -> String {
    let Marker {
        user,
        call,
        unix_ms,
    } = *marker;
    let whose = match user {
        0 => "the probe".to_string(),
        user => format!("user {user}"),
    };
    let sent = Utc::from_unix_ms(unix_ms).rfc3339();
    // Of another host, whose clock may be ahead, nothing but the time is known.
    let age = match Utc::now().unix_ms().checked_sub(unix_ms) {
        Some(ms) => format!("{} before, ", format_duration(Duration::from_millis(ms))),
        None => String::new(),
    };
    format!("the answer has the marker of {whose}: that of call {call}, sent {age}at {sent}")
}
