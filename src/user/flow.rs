//! One iteration: the steps of a flow in order, in one session, each recorded in
//! its row; what an answer brings goes into the calls of the steps after it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::script::{Extract, Flow, FlowStep, Turn};
use super::virtual_user::{After, VirtualUser, pause};
use crate::client::{CallReport, Session, Trouble};
use crate::metrics::{ConnectFailure, Failure, ProtocolFailure};
use crate::scenario::{OnError, ThinkTime};
use crate::scheduler::run_all;

/// How much memory of a value is kept for the value of the next iteration, in bytes.
const VALUE_BYTES_KEPT: usize = 1024;

/// How a step ended.
#[derive(Clone, Copy)]
struct StepEnd {
    /// What it means for the session.
    after: After,
    is_ok: bool,
}

impl StepEnd {
    const FINE: Self = Self {
        after: After::Fine,
        is_ok: true,
    };

    /// Nothing more is begun.
    const STOPPED: Self = Self {
        after: After::Cancelled,
        is_ok: false,
    };

    fn of(report: &CallReport) -> Self {
        Self {
            after: VirtualUser::after(report),
            is_ok: report.result.is_ok(),
        }
    }
}

/// What a session keeps of a flow's steps that are done once in it.
pub(super) struct Kept {
    flow: usize,
    /// Those that were done.
    steps: Vec<usize>,
    /// By their places among the values of the flow.
    values: Vec<(usize, String)>,
}

/// What an iteration of a flow with a name has been so far.
#[derive(Default)]
struct Tally {
    sent: Option<Instant>,
    end: Option<Instant>,
    busy: Duration,
    /// Of the first step that failed.
    trouble: Option<Trouble>,
}

impl Tally {
    fn add(&mut self, report: &CallReport) {
        self.sent.get_or_insert(report.sent);
        self.end = self.end.max(Some(report.end));
        self.busy += report.end.saturating_duration_since(report.sent);
        if let (None, Err(trouble)) = (&self.trouble, &report.result) {
            self.trouble = Some(trouble.clone());
        }
    }
}

/// An iteration under way.
struct Iteration<'a> {
    flow: &'a Flow,
    /// When the next request should go out, where iterations have a start to be late
    /// for.
    intended: Option<Instant>,
    /// Where the flow has rows of its own.
    tally: Option<Tally>,
}

impl Iteration<'_> {
    /// The next request could not go out before this moment.
    fn goes_on(&mut self, moment: impl FnOnce() -> Instant) {
        self.intended = self.intended.map(|_| moment());
    }
}

impl VirtualUser {
    /// Picks a flow and does its steps. `intended` is the iteration's start, where it
    /// has one to be late for.
    pub(super) fn do_flow(&mut self, intended: Option<Instant>) -> After {
        let script = Arc::clone(&self.shared().script);
        let flow = script.pick(self.population, &mut self.random);
        self.values.resize_with(flow.n_values, String::new);
        if flow.has_once {
            self.recall(flow);
        }
        let mut iteration = Iteration {
            flow,
            intended,
            tally: flow.rows.map(|_| Tally::default()),
        };
        let after = match iteration.tally {
            None => self.do_steps(&mut iteration),
            Some(_) => self.do_named(&mut iteration),
        };
        for value in &mut self.values {
            value.clear();
            value.shrink_to(VALUE_BYTES_KEPT);
        }
        if after != After::Cancelled {
            pause(self, script.plan.pause_after_call);
        }
        after
    }

    /// Does the steps of a flow that has rows of its own.
    #[inline(never)]
    fn do_named(&mut self, iteration: &mut Iteration<'_>) -> After {
        let Some(rows) = iteration.flow.rows else {
            return self.do_steps(iteration);
        };
        let shared = Rc::clone(self.shared());
        let intended = iteration.intended;
        let began = crate::clock::now();
        for row in [rows.whole, rows.busy] {
            shared.start(row);
        }
        let after = self.do_steps(iteration);
        let tally = iteration.tally.take().unwrap_or_default();
        let sent = tally.sent.unwrap_or(began);
        let whole = CallReport {
            result: match (after, tally.trouble) {
                (After::Cancelled, _) => Err(Trouble::Cancelled),
                (_, trouble) => trouble.map_or(Ok(()), Err),
            },
            end: tally.end.unwrap_or_else(crate::clock::now).max(sent),
            ..CallReport::began(sent)
        };
        let busy = CallReport {
            end: sent + tally.busy,
            ..whole.clone()
        };
        shared.end(rows.whole, &whole, intended);
        shared.end(rows.busy, &busy, intended);
        after
    }

    /// Does the steps in order, up to the first that fails, unless the flow goes on
    /// then.
    fn do_steps(&mut self, iteration: &mut Iteration<'_>) -> After {
        let flow = iteration.flow;
        let mut is_first = true;
        for (at, step) in flow.steps.iter().enumerate() {
            if step.is_once && self.is_done(flow, at) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                if self.shared().stopping.get() {
                    return After::Cancelled;
                }
                iteration.goes_on(crate::clock::now);
            }
            let end = self.do_step(step, iteration);
            if step.is_once && end.is_ok {
                self.keep(flow, at);
            }
            match (end.after, flow.on_error) {
                (After::Fine, _) if end.is_ok => {}
                (After::Fine, OnError::Continue) => {}
                (After::Fine, OnError::EndSession) => return After::Unwanted,
                (after, _) => return after,
            }
            if let Some(think) = step.think
                && !self.think_within(think, iteration)
            {
                return After::Cancelled;
            }
        }
        After::Fine
    }

    fn is_done(&self, flow: &Flow, step: usize) -> bool {
        let mut kept = self.kept.iter();
        kept.any(|kept| kept.flow == flow.number && kept.steps.contains(&step))
    }

    /// Keeps what a step brought that is done once in a session.
    fn keep(&mut self, flow: &Flow, step: usize) {
        let known = self.kept.iter().position(|kept| kept.flow == flow.number);
        let at = known.unwrap_or_else(|| {
            self.kept.push(Kept {
                flow: flow.number,
                steps: Vec::new(),
                values: Vec::new(),
            });
            self.kept.len() - 1
        });
        let kept = &mut self.kept[at];
        kept.steps.push(step);
        for value in flow.steps[step].taken() {
            kept.values.push((value, self.values[value].clone()));
        }
    }

    /// Takes up what such steps brought.
    fn recall(&mut self, flow: &Flow) {
        for kept in &self.kept {
            if kept.flow == flow.number {
                for (at, value) in &kept.values {
                    self.values[*at].clone_from(value);
                }
            }
        }
    }

    fn do_step(&mut self, step: &FlowStep, iteration: &mut Iteration<'_>) -> StepEnd {
        let mut ended = StepEnd::FINE;
        let mut n_left = step.repeat;
        loop {
            for (at, turn) in step.turns.iter().enumerate() {
                if at > 0 {
                    iteration.goes_on(crate::clock::now);
                }
                let end = self.do_turn(turn, iteration);
                if !end.is_ok || end.after != After::Fine {
                    ended = end;
                    break;
                }
            }
            let goes_on = ended.is_ok || iteration.flow.on_error == OnError::Continue;
            n_left = n_left.saturating_sub(1);
            if n_left == 0 || !goes_on || ended.after != After::Fine {
                return ended;
            }
            if self.shared().stopping.get() {
                return StepEnd::STOPPED;
            }
            iteration.goes_on(crate::clock::now);
        }
    }

    /// Thinks between the steps of an iteration; false: the load has ended.
    fn think_within(&mut self, think: ThinkTime, iteration: &mut Iteration<'_>) -> bool {
        let pause = think.sample(&mut self.random);
        if pause.is_zero() {
            return true;
        }
        let until = crate::clock::now() + pause;
        let shared = self.shared();
        if !shared.sleep(until, || !shared.stopping.get()) {
            return false;
        }
        iteration.goes_on(|| until);
        true
    }

    fn do_turn(&mut self, turn: &Turn, iteration: &mut Iteration<'_>) -> StepEnd {
        let (None, [call]) = (turn.row, &turn.calls[..]) else {
            return self.fan_out(turn, iteration);
        };
        self.shared().start(call.row);
        let mut report = self.session.call(&call.call, &self.values);
        if let Some(extract) = &call.extract {
            self.take_value(extract, &mut report);
        }
        self.show(call.row, Some(call.place), &report);
        self.record(call.row, &report, iteration.intended);
        if let Some(tally) = &mut iteration.tally {
            tally.add(&report);
        }
        StepEnd::of(&report)
    }

    fn record(&self, row: usize, report: &CallReport, intended: Option<Instant>) {
        if let Some(intended) = intended {
            self.shared().late(self.could_start(intended), report.sent);
        }
        self.shared().end(row, report, intended);
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

    /// Makes a turn's calls at once, each on a connection of its own. The
    /// turn ends with the slowest of them, and fails with the first that does.
    #[inline(never)]
    fn fan_out(&mut self, turn: &Turn, iteration: &mut Iteration<'_>) -> StepEnd {
        let shared = Rc::clone(self.shared());
        let each = turn.calls.iter();
        let at_once = each.flat_map(|call| std::iter::repeat_n(call, turn.parallel as usize));
        let n_lanes = turn.calls.len() * turn.parallel as usize;
        while self.lanes.len() < n_lanes {
            self.lanes.push(Some(self.session.beside()));
        }
        let began = crate::clock::now();
        if let Some(turn_row) = turn.row {
            shared.start(turn_row);
        }
        let mut begun = Vec::new();
        let mut calls: Vec<Box<dyn FnOnce() -> (Session, CallReport)>> = Vec::new();
        for (at, (lane, call)) in self.lanes.iter_mut().zip(at_once).enumerate() {
            let Some(mut session) = lane.take() else {
                continue;
            };
            shared.start(call.row);
            begun.push((at, call));
            let (call, values) = (call.call.clone(), self.values.clone());
            calls.push(Box::new(move || {
                let report = session.call(&call, &values);
                (session, report)
            }));
        }
        let mut whole: Option<CallReport> = None;
        let mut after = After::Fine;
        for ((at, call), ended) in begun.into_iter().zip(run_all(calls.into_iter())) {
            let Some((mut session, report)) = ended else {
                let report = no_stack(began);
                shared.end(call.row, &report, iteration.intended);
                whole = Some(report);
                continue;
            };
            shared.show(call.row, Some(call.place), &report, &mut session);
            self.record(call.row, &report, iteration.intended);
            if Self::after(&report) != After::Fine {
                after = Self::after(&report);
            }
            shared.count_session(&mut session);
            self.lanes[at] = Some(session);
            whole = Some(match whole {
                None => report,
                Some(slower) => slowest(slower, report),
            });
        }
        let Some(whole) = whole else {
            return StepEnd::STOPPED;
        };
        if let Some(turn_row) = turn.row {
            shared.end(turn_row, &whole, iteration.intended);
        }
        if let Some(tally) = &mut iteration.tally {
            tally.add(&whole);
        }
        StepEnd {
            after,
            is_ok: whole.result.is_ok(),
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
        end: crate::clock::now(),
        ..CallReport::began(began)
    }
}
