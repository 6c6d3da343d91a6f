//! One iteration: the steps of a flow in order, in one session, each recorded in
//! its row; what an answer brings goes into the calls of the steps after it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cells::DataCell;
use super::checks::Taking;
use super::script::{Flow, FlowCall, FlowStep, Script, TaskRows, Turn, TurnForm};
use super::shared::{BegunRequest, Shared};
use super::virtual_user::{After, KeptValues, VirtualUser, pause};
use crate::client::{CallReport, PreparedCall, Session, TaskStep, Trouble};
use crate::marker::Marker;
use crate::metrics::{ConnectFailure, Failure, TemplateFailure};
use crate::protocol::trace_id;
use crate::scenario::OnError;
use crate::scheduler::run_all;
use crate::template::FillMoment;

/// How much memory of a value is kept for the value of the next iteration, in bytes.
const VALUE_BYTES_KEPT: usize = 1024;

/// How a step ended.
#[derive(Clone, Copy)]
struct StepEnd {
    /// What it means for the session.
    after: After,
    is_ok: bool,
    /// It polls no longer.
    is_met: bool,
}

impl StepEnd {
    const FINE: Self = Self {
        after: After::Fine,
        is_ok: true,
        is_met: true,
    };

    /// Nothing more is begun.
    const STOPPED: Self = Self {
        after: After::Cancelled,
        is_ok: false,
        is_met: false,
    };

    fn of(user: &VirtualUser, report: &CallReport, is_met: bool) -> Self {
        Self {
            after: user.after(report),
            is_ok: report.result.is_ok(),
            is_met,
        }
    }
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
        // Not of the script: what workers share is counted by what all of them write.
        let shared = Rc::clone(&self.shared);
        let script = &*shared.script;
        let flow = script.pick(self.population, &mut self.random);
        if flow.scope.len() > 0 {
            self.begin_values(script, flow);
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
        if flow.scope.len() > 0 {
            for value in &mut self.values {
                value.clear();
                value.shrink_to(VALUE_BYTES_KEPT);
            }
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
        let shared = Rc::clone(&self.shared);
        let intended = iteration.intended;
        let began = crate::clock::now();
        let [of_whole, of_busy] = [rows.whole, rows.busy].map(|row| shared.start(row, intended));
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
        shared.end(of_whole, &whole, intended);
        shared.end(of_busy, &busy, intended);
        after
    }

    /// Does the steps in order, up to the first that fails, unless the flow goes on
    /// then.
    fn do_steps(&mut self, iteration: &mut Iteration<'_>) -> After {
        let flow = iteration.flow;
        let mut is_first = true;
        for (at, step) in flow.steps.iter().enumerate() {
            if step.is_conditional && self.is_done(flow, at) {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                if self.shared.stopping.get() {
                    return After::Cancelled;
                }
                iteration.goes_on(crate::clock::now);
            }
            let end = match step.is_conditional {
                true => self.do_conditional(at, iteration),
                false => self.do_step(step, iteration),
            };
            match (end.after, flow.on_error) {
                (After::Fine, _) if end.is_ok => {}
                (After::Fine, OnError::Continue) => {
                    if !self.wait_within(iteration) {
                        return self.stopped_after(flow, at);
                    }
                }
                (After::Fine, OnError::EndIteration) if self.note_retry_after() => {
                    return After::Held;
                }
                (After::Fine, OnError::EndSession) => {
                    self.note_retry_after();
                    return After::Unwanted;
                }
                (after, _) => return after,
            }
            if let Some(think) = step.think {
                let pause = think.sample(&mut self.random);
                if !self.pause_within(pause, iteration) {
                    return self.stopped_after(flow, at);
                }
            }
        }
        After::Fine
    }

    /// The load ended in the pause after a step: an iteration whose steps are all done has
    /// ended, and is not cut off.
    fn stopped_after(&self, flow: &Flow, at: usize) -> After {
        let mut rest = flow.steps.iter().enumerate().skip(at + 1);
        match rest.all(|(at, step)| step.is_conditional && self.is_done(flow, at)) {
            true => After::Fine,
            false => After::Cancelled,
        }
    }

    /// Does a step whose values are all there, and keeps what it brings if it is done
    /// once in a session.
    #[inline(never)]
    fn do_conditional(&mut self, at: usize, iteration: &mut Iteration<'_>) -> StepEnd {
        let flow = iteration.flow;
        let step = &flow.steps[at];
        // A value is the text of one of JSON, which is never empty.
        let is_missing = |slot: &&usize| self.values[**slot].is_empty();
        if let Some(missing) = step.needed.iter().find(is_missing) {
            return self.leave_out(step, *missing, iteration);
        }
        let end = self.do_step(step, iteration);
        if step.is_once && end.is_ok {
            self.keep(flow, at);
        }
        end
    }

    /// Lets the calls of a step fail for want of a value: what would be sent is another
    /// request than the one that is meant.
    fn leave_out(
        &mut self,
        step: &FlowStep,
        missing: usize,
        iteration: &mut Iteration<'_>,
    ) -> StepEnd {
        let shared = Rc::clone(&self.shared);
        let name = iteration.flow.scope.expressions().nth(missing);
        let name = name.map(ToString::to_string).unwrap_or_default();
        let message = format!("no answer brought `{{{{{name}}}}}`; nothing was sent");
        let report = CallReport {
            result: Err(Trouble::failed(
                Failure::Template(TemplateFailure::NoValue),
                message,
            )),
            ..CallReport::began(crate::clock::now())
        };
        let Some(turn) = step.turns.first() else {
            return StepEnd::FINE;
        };
        for call in &turn.calls {
            for _ in 0..turn.parallel {
                let request = shared.start(call.row, iteration.intended);
                let known = Some((call, &self.values[..]));
                shared.show(call.row, known, &report, &mut self.session);
                shared.end(request, &report, iteration.intended);
            }
        }
        if let TurnForm::Several(row) = turn.form {
            let request = shared.start(row, iteration.intended);
            shared.end(request, &report, iteration.intended);
        }
        if let Some(tally) = &mut iteration.tally {
            tally.add(&report);
        }
        StepEnd::of(self, &report, false)
    }

    fn is_done(&self, flow: &Flow, step: usize) -> bool {
        let mut kept = self.kept.iter();
        kept.any(|kept| kept.flow == flow.number && kept.steps.contains(&step))
    }

    /// Keeps what a step brought that is done once in a session.
    fn keep(&mut self, flow: &Flow, step: usize) {
        let script = Arc::clone(&self.shared.script);
        let known = self.kept.iter().position(|kept| kept.flow == flow.number);
        let at = known.unwrap_or_else(|| {
            self.kept.push(KeptValues {
                flow: flow.number,
                steps: Vec::new(),
                values: Vec::new(),
            });
            self.kept.len() - 1
        });
        let kept = &mut self.kept[at];
        kept.steps.push(step);
        for call in flow.steps[step].turns.iter().flat_map(|turn| &turn.calls) {
            let check = call.check.map(|at| &script.checks[at]);
            for value in check.into_iter().flat_map(|check| &check.taken) {
                kept.values.push((*value, self.values[*value].clone()));
            }
        }
    }

    /// Fills what is the same for a whole iteration, and takes up what the session keeps.
    #[inline(never)]
    fn begin_values(&mut self, script: &Script, flow: &Flow) {
        self.values.resize_with(flow.scope.len(), String::new);
        let moment = self.moment(false);
        for at in &flow.of_iteration {
            let value = &mut self.values[*at];
            flow.scope.fill(*at, &mut self.generators, &moment, value);
        }
        let (data, generators) = (&script.plan.data, &mut self.generators);
        DataCell::fill(&flow.cells, data, &moment, generators, &mut self.values);
        for cell in flow.cells.iter().filter(|cell| cell.is_held) {
            // Values of answers have the places from below.
            let place = usize::MAX - cell.value;
            self.secrets.keep(place, &self.values[cell.value]);
        }
        for kept in self.kept.iter().filter(|kept| kept.flow == flow.number) {
            for (at, value) in &kept.values {
                self.values[*at].clone_from(value);
            }
        }
    }

    /// Now, for this user.
    fn moment(&self, tells_time: bool) -> FillMoment {
        let unix_ms = || crate::clock::Utc::now().unix_ms();
        FillMoment {
            vu: self.vu,
            iteration: self.iteration,
            unix_ns: if tells_time {
                unix_ms().saturating_mul(1_000_000)
            } else {
                0
            },
        }
    }

    /// Fills what is another value for each call.
    fn draw(&mut self, flow: &Flow, call: &FlowCall) {
        let moment = self.moment(call.tells_time);
        for at in &call.drawn {
            let value = &mut self.values[*at];
            if !flow.scope.fill(*at, &mut self.generators, &moment, value) {
                self.mark(*at);
            }
        }
    }

    /// Fills a marker of the call that is about to be made.
    #[inline(never)]
    fn mark(&mut self, at: usize) {
        let shared = Rc::clone(&self.shared);
        let Some(marks) = shared.script.marks.as_ref() else {
            return;
        };
        self.n_marked = self.n_marked.saturating_add(1);
        let marker = Marker {
            user: marks.user(self.vu),
            call: self.n_marked,
            unix_ms: crate::clock::Utc::now().unix_ms(),
        };
        let value = &mut self.values[at];
        value.clear();
        value.push('"');
        marks.key.push(&marker, value);
        value.push('"');
    }

    fn do_step(&mut self, step: &FlowStep, iteration: &mut Iteration<'_>) -> StepEnd {
        let mut ended = StepEnd::FINE;
        let mut n_left = step.times;
        loop {
            n_left -= 1;
            for (at, turn) in step.turns.iter().enumerate() {
                if at > 0 {
                    iteration.goes_on(crate::clock::now);
                }
                let end = self.do_turn(turn, n_left == 0, iteration);
                ended.is_met = end.is_met;
                if !end.is_ok || end.after != After::Fine {
                    ended = end;
                    break;
                }
            }
            let goes_on = match step.poll_every {
                Some(_) => ended.is_ok && !ended.is_met,
                None => ended.is_ok || iteration.flow.on_error == OnError::Continue,
            };
            if n_left == 0 || !goes_on || ended.after != After::Fine {
                return ended;
            }
            if self.shared.stopping.get() || !ended.is_ok && !self.wait_within(iteration) {
                return StepEnd::STOPPED;
            }
            iteration.goes_on(crate::clock::now);
            if !self.pause_within(step.poll_every.unwrap_or_default(), iteration) {
                return StepEnd::STOPPED;
            }
        }
    }

    /// Waits within an iteration as long as the server asked to, where that is
    /// respected; false: the load has ended.
    #[inline(never)]
    fn wait_within(&mut self, iteration: &mut Iteration<'_>) -> bool {
        self.note_retry_after();
        let Some(wait) = self.take_asked_wait() else {
            return true;
        };
        let began = crate::clock::now();
        let goes_on = self.pause_within(wait, iteration);
        self.shared.count_wait(began);
        goes_on
    }

    /// Pauses within an iteration; false: the load has ended.
    fn pause_within(&mut self, pause: Duration, iteration: &mut Iteration<'_>) -> bool {
        if pause.is_zero() {
            return true;
        }
        self.answered_at = None;
        let until = crate::clock::now() + pause;
        let shared = &self.shared;
        if !shared.sleep(until, || !shared.stopping.get()) {
            return false;
        }
        iteration.goes_on(|| until);
        true
    }

    fn do_turn(&mut self, turn: &Turn, is_last: bool, iteration: &mut Iteration<'_>) -> StepEnd {
        let (TurnForm::Plain, [call]) = (turn.form, &turn.calls[..]) else {
            return self.do_other_turn(turn, is_last, iteration);
        };
        self.do_call(call, is_last, iteration, |user| {
            user.session.call(&call.call, &user.values)
        })
    }

    #[inline(never)]
    fn do_other_turn(
        &mut self,
        turn: &Turn,
        is_last: bool,
        iteration: &mut Iteration<'_>,
    ) -> StepEnd {
        let (TurnForm::Task, [call]) = (turn.form, &turn.calls[..]) else {
            return self.fan_out(turn, is_last, iteration);
        };
        let Some(rows) = call.task else {
            return self.fan_out(turn, is_last, iteration);
        };
        self.do_call(call, is_last, iteration, |user| {
            let shared = Rc::clone(&user.shared);
            call_task(&shared, &mut user.session, &call.call, rows, &user.values)
        })
    }

    /// Makes one call, and records what came of it.
    #[inline(always)]
    fn do_call(
        &mut self,
        call: &FlowCall,
        is_last: bool,
        iteration: &mut Iteration<'_>,
        make: impl FnOnce(&mut Self) -> CallReport,
    ) -> StepEnd {
        if !call.drawn.is_empty() {
            self.draw(iteration.flow, call);
        }
        let begun = self.shared.start(call.row, iteration.intended);
        let mut report = make(self);
        self.shared.lands(call.row);
        let mut is_met = true;
        if call.is_looked_at {
            let taking = Taking {
                values: &mut self.values,
                random: &mut self.random_of_checks,
                secrets: &mut self.secrets,
            };
            let session = &mut self.session;
            is_met = self
                .shared
                .judge((call, begun), is_last, &mut report, session, taking);
            self.answered_at = Some(report.end);
        }
        let known = Some((call, &self.values[..]));
        let session = &mut self.session;
        self.shared.show(call.row, known, &report, session);
        let request = self.session.last_request();
        self.record((call, begun), &report, request, iteration.intended);
        if let Some(tally) = &mut iteration.tally {
            tally.add(&report);
        }
        StepEnd::of(self, &report, is_met)
    }

    /// Records a call that has landed.
    fn record(
        &self,
        (call, begun): (&FlowCall, BegunRequest),
        report: &CallReport,
        request: &[u8],
        intended: Option<Instant>,
    ) {
        if let Some(intended) = intended {
            let could_start = self.could_start(intended);
            self.shared.late(begun.phase, could_start, report.sent);
        }
        if let Err(Trouble::Failed { failure, message }) = &report.result
            && !self.shared.script.plan.trace.is_off()
        {
            let trace = call.trace.and_then(|slot| trace_id(&self.values[slot]));
            let told = (*failure, message.as_str());
            self.shared.keep_traced(begun, told, report, request, trace);
        }
        self.shared.ended(begun, report, intended);
        if report.result.is_ok() && self.shared.is_slow(begun, report, intended) {
            let trace = call.trace.and_then(|slot| trace_id(&self.values[slot]));
            let shared = &self.shared;
            shared.keep_slow(begun, report, intended, (self.vu, trace));
        }
    }

    /// Makes a turn's calls at once, each on a connection of its own. The
    /// turn ends with the slowest of them, and fails with the first that does.
    #[inline(never)]
    fn fan_out(&mut self, turn: &Turn, is_last: bool, iteration: &mut Iteration<'_>) -> StepEnd {
        let shared = Rc::clone(&self.shared);
        let each = turn.calls.iter();
        let at_once = each.flat_map(|call| std::iter::repeat_n(call, turn.parallel as usize));
        let n_lanes = turn.calls.len() * turn.parallel as usize;
        while self.lanes.len() < n_lanes {
            self.lanes.push(Some(self.session.beside()));
        }
        let began = crate::clock::now();
        let of_turn = match turn.form {
            TurnForm::Several(row) => Some(shared.start(row, iteration.intended)),
            _ => None,
        };
        let mut begun = Vec::new();
        let mut calls: Vec<Box<dyn FnOnce() -> (Session, CallReport)>> = Vec::new();
        for (at, call) in at_once.enumerate() {
            let Some(mut session) = self.lanes[at].take() else {
                continue;
            };
            // Each of them has values of its own.
            self.draw(iteration.flow, call);
            begun.push((at, call, shared.start(call.row, iteration.intended)));
            let (values, shared) = (self.values.clone(), Rc::clone(&shared));
            let (call, task) = (call.call.clone(), call.task);
            calls.push(Box::new(move || {
                let report = match task {
                    None => session.call(&call, &values),
                    Some(rows) => call_task(&shared, &mut session, &call, rows, &values),
                };
                (session, report)
            }));
        }
        let mut whole: Option<CallReport> = None;
        let mut after = After::Fine;
        let mut is_met = true;
        let ended = run_all(calls.into_iter());
        for (_, call, _) in &begun {
            shared.lands(call.row);
        }
        for ((at, call, request), ended) in begun.into_iter().zip(ended) {
            let Some((mut session, mut report)) = ended else {
                let report = no_stack(began);
                shared.ended(request, &report, iteration.intended);
                whole = Some(report);
                // The session went with its call. The next turn makes as many calls as this.
                self.lanes[at] = Some(self.session.beside());
                continue;
            };
            let taking = Taking {
                values: &mut self.values,
                random: &mut self.random_of_checks,
                secrets: &mut self.secrets,
            };
            let begun = (call, request);
            is_met &= shared.judge(begun, is_last, &mut report, &mut session, taking);
            let known = Some((call, &self.values[..]));
            shared.show(call.row, known, &report, &mut session);
            self.record(begun, &report, session.last_request(), iteration.intended);
            if self.after(&report) != After::Fine {
                after = self.after(&report);
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
        if let Some(request) = of_turn {
            shared.end(request, &whole, iteration.intended);
        }
        if let Some(tally) = &mut iteration.tally {
            tally.add(&whole);
        }
        StepEnd {
            after,
            is_ok: whole.result.is_ok(),
            is_met,
        }
    }
}

/// Calls, and follows the task that the call may become.
#[inline(never)]
fn call_task(
    shared: &Shared,
    session: &mut Session,
    call: &PreparedCall,
    rows: TaskRows,
    values: &[String],
) -> CallReport {
    let longest = shared.script.plan.task_timeout;
    session.call_task(call, values, longest, &mut |step, report| {
        let row = match step {
            TaskStep::Created => rows.created,
            TaskStep::Polled => rows.polled,
        };
        // It counts when it has ended: what it was is not known before.
        let request = shared.start(row, Some(report.sent));
        shared.ended(request, report, None);
    })
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
