//! One iteration: the steps of a flow in order, in one session, each recorded in
//! its row; what an answer brings goes into the calls of the steps after it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::script::{Extract, Flow, FlowStep};
use super::virtual_user::{After, VirtualUser, pause};
use crate::client::{CallReport, Session, Trouble};
use crate::metrics::{ConnectFailure, Failure, ProtocolFailure};
use crate::scheduler::run_all;

/// How much memory of a value is kept for the value of the next iteration, in bytes.
const VALUE_BYTES_KEPT: usize = 1024;

/// How a step ended.
struct StepEnd {
    /// What it means for the session.
    after: After,
    is_ok: bool,
}

impl VirtualUser {
    /// Picks a flow and does its steps, up to the first that fails. `intended` is
    /// the iteration's start, where it has one to be late for.
    pub(super) fn do_flow(&mut self, intended: Option<Instant>) -> After {
        let script = Arc::clone(&self.shared().script);
        let flow = script.pick(self.population, &mut self.random);
        let after = self.do_steps(flow, intended);
        if after != After::Cancelled {
            pause(self, script.plan.pause_after_call);
        }
        after
    }

    fn do_steps(&mut self, flow: &Flow, mut intended: Option<Instant>) -> After {
        self.values.resize_with(flow.n_values, String::new);
        let mut left = flow.steps.iter();
        let mut after = After::Fine;
        while let Some(step) = left.next() {
            let end = self.do_step(step, intended);
            after = end.after;
            if !end.is_ok || left.as_slice().is_empty() {
                break;
            }
            // The next step could not begin before this one had ended.
            intended = intended.map(|_| crate::clock::now());
        }
        for value in &mut self.values {
            value.clear();
            value.shrink_to(VALUE_BYTES_KEPT);
        }
        after
    }

    fn do_step(&mut self, step: &FlowStep, intended: Option<Instant>) -> StepEnd {
        if step.parallel > 1 {
            return self.fan_out(step, intended);
        }
        self.shared().start(step.row);
        let mut report = self.session.call(&step.call, &self.values);
        if let Some(extract) = &step.extract {
            self.take_value(extract, &mut report);
        }
        if let Some(intended) = intended {
            self.shared().late(self.could_start(intended), report.sent);
        }
        self.show(step.row, Some(step.place), &report);
        self.shared().end(step.row, &report, intended);
        StepEnd {
            after: Self::after(&report),
            is_ok: report.result.is_ok(),
        }
    }

    /// Takes a value out of an answer. A call whose answer does not have it fails.
    #[inline(never)]
    fn take_value(&mut self, extract: &Extract, report: &mut CallReport) {
        if report.result.is_err() {
            return;
        }
        let result = report.result_text.as_deref().unwrap_or_default();
        match extract
            .paths
            .iter()
            .find_map(|path| path.find_string(result))
        {
            Some(value) => self.values[extract.value].push_str(&value),
            None => {
                report.result = Err(Trouble::Failed {
                    failure: Failure::Protocol(ProtocolFailure::BadResult),
                    message: extract.missing.clone(),
                });
            }
        }
    }

    /// Issues a step's calls at once, each on a connection of its own. The
    /// turn ends with the slowest of them, and fails with the first that does.
    #[inline(never)]
    fn fan_out(&mut self, step: &FlowStep, intended: Option<Instant>) -> StepEnd {
        let shared = Rc::clone(self.shared());
        let n_lanes = step.parallel as usize;
        while self.lanes.len() < n_lanes {
            self.lanes.push(Some(self.session.beside()));
        }
        let began = crate::clock::now();
        if let Some(turn_row) = step.turn_row {
            shared.start(turn_row);
        }
        let mut begun = Vec::new();
        let mut calls: Vec<Box<dyn FnOnce() -> (Session, CallReport)>> = Vec::new();
        for (at, lane) in self.lanes.iter_mut().take(n_lanes).enumerate() {
            let Some(mut session) = lane.take() else {
                continue;
            };
            shared.start(step.row);
            let (call, values) = (step.call.clone(), self.values.clone());
            begun.push(at);
            calls.push(Box::new(move || {
                let report = session.call(&call, &values);
                (session, report)
            }));
        }
        let mut turn: Option<CallReport> = None;
        let mut after = After::Fine;
        for (at, ended) in begun.into_iter().zip(run_all(calls.into_iter())) {
            let Some((mut session, report)) = ended else {
                let report = no_stack(began);
                shared.end(step.row, &report, intended);
                turn = Some(report);
                continue;
            };
            if let Some(intended) = intended {
                shared.late(self.could_start(intended), report.sent);
            }
            shared.show(step.row, Some(step.place), &report, &mut session);
            shared.end(step.row, &report, intended);
            if Self::after(&report) != After::Fine {
                after = Self::after(&report);
            }
            shared.count_session(&mut session);
            self.lanes[at] = Some(session);
            turn = Some(match turn {
                None => report,
                Some(slower) => slowest(slower, report),
            });
        }
        if let (Some(turn_row), Some(turn)) = (step.turn_row, &turn) {
            shared.end(turn_row, turn, intended);
        }
        StepEnd {
            after,
            is_ok: turn.is_some_and(|turn| turn.result.is_ok()),
        }
    }
}

/// Of two calls of a turn: from the first sent to the last end, failed if one is.
fn slowest(a: CallReport, b: CallReport) -> CallReport {
    let sent = a.sent.min(b.sent);
    let end = a.end.max(b.end);
    let failed = if a.result.is_err() { a } else { b };
    CallReport {
        sent,
        end,
        delay: None,
        ..failed
    }
}

fn no_stack(began: Instant) -> CallReport {
    CallReport {
        result: Err(Trouble::Failed {
            failure: Failure::Connect(ConnectFailure::NoResources),
            message: "no memory for the stack of another call".to_string(),
        }),
        sent: began,
        end: crate::clock::now(),
        delay: None,
        n_bytes_sent: 0,
        n_bytes: 0,
        session_gone: false,
        result_text: None,
    }
}
