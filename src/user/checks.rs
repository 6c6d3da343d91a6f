//! The work on answers that are to be looked at.
//!
//! What a server sends is never searched on a user's small stack: its task queues the
//! answer and parks, and the worker's loop works the queue between its turns.

use std::rc::Rc;
use std::time::Duration;

use super::check::{CheckedAnswer, WaitingAnswer};
use super::script::FlowCall;
use super::shared::Shared;
use crate::client::{CallReport, Session, Trouble};
use crate::expect::{Answer, Checked, is_equal};
use crate::metrics::{ExpectFailure, Failure, Violation};
use crate::redact::SessionSecrets;
use crate::scheduler::{Wake, current_task, look_up_soon, park, shielded, unpark};
use crate::units::nanos_between;

/// How long the queue is worked at a time, but for the last answer that is begun.
const WORKED_AT_ONCE: Duration = Duration::from_micros(200);

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
    /// Works the queue of answers, as long as may be at a time; whether some are left.
    pub fn work_checks(&self) -> bool {
        let checks = &self.checks;
        if checks.waiting.borrow().is_empty() {
            return false;
        }
        let began = crate::clock::now();
        let mut now = began;
        while now.saturating_duration_since(began) < WORKED_AT_ONCE {
            let Some(next) = checks.waiting.borrow_mut().pop_front() else {
                return false;
            };
            let waited_ns = nanos_between(next.since, now);
            checks.n_worked.set(checks.n_worked.get() + 1);
            checks.waited_ns.set(checks.waited_ns.get() + waited_ns);
            let (task, place) = (next.task, Rc::clone(&next.verdict));
            place.set(Some(self.looked_at(next)));
            unpark(task);
            now = crate::clock::now();
        }
        !checks.waiting.borrow().is_empty()
    }

    /// How many answers were worked since this was last asked, and how long all of them
    /// had waited, in nanoseconds.
    pub fn take_check_times(&self) -> (u64, u64) {
        (self.checks.n_worked.take(), self.checks.waited_ns.take())
    }

    fn looked_at(&self, waiting: WaitingAnswer) -> CheckedAnswer {
        let check = &self.script.checks[waiting.check];
        let report = waiting.report;
        let mut random = waiting.random;
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
            headers: &report.headers,
        };
        let mut values = Vec::new();
        let mut checked = Checked::default();
        for checker in &check.checkers {
            values.clear();
            checked = checker.check(&answer, &mut random, &mut values);
            if checked.failure.is_none() {
                break;
            }
        }
        let mut is_met = true;
        if let (Some((source, awaited)), None) = (&check.until, &checked.failure) {
            let found = source.find(&answer, &mut random);
            is_met = found.as_ref().is_ok_and(|json| is_equal(json, awaited));
            if !is_met && waiting.is_last {
                let came = match found {
                    Ok(json) => format!("is `{}`", crate::protocol::excerpt(json.as_bytes())),
                    Err(no_match) => format!("is missing: {no_match}"),
                };
                let text = format!("at the last poll `{source}` {came}; `{awaited}` is awaited");
                checked.failure = Some((Failure::Expect(ExpectFailure::Equals), text));
            }
        }
        let mut secrets = Vec::new();
        if checked.failure.is_some() {
            for (value, source) in &check.secrets {
                let found = source.find(&answer, &mut random).ok();
                secrets.extend(found.map(|json| (*value, json)));
            }
        }
        CheckedAnswer {
            report,
            checked,
            values,
            secrets,
            is_met,
        }
    }

    /// Looks at the answer of a call that is no longer in flight: takes values out of
    /// it, and lets the call fail where it is not what it should be, or succeed where
    /// its failure is. Whether a poll was the one that is awaited.
    #[inline(never)]
    pub(super) fn judge(
        &self,
        call: &FlowCall,
        is_last: bool,
        report: &mut CallReport,
        session: &Session,
        taking: Taking<'_>,
    ) -> bool {
        let Some(at) = call.check else { return true };
        let check = &self.script.checks[at];
        if !check.is_for(report) {
            return false;
        }
        let began = CallReport::began(report.sent);
        let Some(verdict) = self.wait_for_check(WaitingAnswer {
            check: at,
            is_last,
            report: std::mem::replace(report, began),
            random: taking.random.fork(),
            since: crate::clock::now(),
            task: current_task(),
            verdict: Rc::default(),
        }) else {
            report.result = Err(Trouble::Cancelled);
            report.end = crate::clock::now();
            return false;
        };
        *report = verdict.report;
        // Before anything is said of the answer.
        let place = |value: usize| at << 16 | value;
        for (value, json) in &verdict.secrets {
            taking.secrets.keep(place(*value), json);
        }
        if let Some(reason) = verdict.checked.unchecked {
            self.recorder.borrow_mut().unchecked(call.row, reason.id());
            self.last_unchecked.set(Some(reason));
        }
        let Some((failure, message)) = verdict.checked.failure else {
            report.result = Ok(());
            for (value, _) in &check.secrets {
                if let Some(json) = verdict.values.get(*value) {
                    taking.secrets.keep(place(*value), json);
                }
            }
            for (slot, value) in check.taken.iter().zip(verdict.values) {
                taking.values[*slot] = value;
            }
            return verdict.is_met;
        };
        // What the answer itself says of its failure says more.
        let is_own =
            matches!(&report.result, Err(Trouble::Failed { failure: own, .. }) if *own == failure);
        if !is_own {
            self.keep_evidence(call.row, failure, &message, report, session);
            report.result = Err(Trouble::failed(failure, message));
        }
        false
    }

    fn wait_for_check(&self, waiting: WaitingAnswer) -> Option<CheckedAnswer> {
        let place = Rc::clone(&waiting.verdict);
        let task = waiting.task;
        self.checks.waiting.borrow_mut().push_back(waiting);
        look_up_soon();
        shielded(|| {
            loop {
                if let Some(verdict) = place.take() {
                    return Some(verdict);
                }
                if park(None) == Wake::Cancelled {
                    let mut waiting = self.checks.waiting.borrow_mut();
                    waiting.retain(|other| other.task != task);
                    return place.take();
                }
            }
        })
    }

    /// Keeps the first exchange whose answer is not what it should be.
    fn keep_evidence(
        &self,
        row: usize,
        failure: Failure,
        message: &str,
        report: &CallReport,
        session: &Session,
    ) {
        let mut recorder = self.recorder.borrow_mut();
        if !recorder.violations.wants(row, failure) {
            return;
        }
        let redactor = &self.script.server.settings().redactor;
        let cleaned = |text: &str| redactor.cleaned(text).into_owned();
        let answer = report
            .result_text
            .as_deref()
            .or(report.error_text.as_deref());
        recorder.violations.keep(Violation {
            row,
            failure,
            message: cleaned(message),
            request: cleaned(&String::from_utf8_lossy(session.last_request())),
            answer: cleaned(answer.unwrap_or_default()),
        });
    }
}
