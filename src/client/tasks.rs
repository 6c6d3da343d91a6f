//! Calls that a server may answer with a task: it is asked for until it has ended.
//!
//! ```text
//!  tools/call ─▶ result
//!       └─────▶ task ─▶ wait ─▶ tasks/get ─▶ working ────────▶ wait …
//!                                  ├───────▶ input_required ─▶ tasks/update ─▶ wait …
//!                                  └───────▶ completed, failed, cancelled
//! ```
//!
//! Each request has the timeout of requests; the task as a whole has a limit of its own.
//! Given up, for whatever reason, it is cancelled on the server.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::lane::Exchanged;
use super::server::PreparedCall;
use super::session::{CallReport, Session};
use crate::http::Trouble;
use crate::metrics::{Failure, FailureGroup, ProtocolFailure, TaskFailure};
use crate::protocol::{
    InputRequest, Reply, TaskRequest, TaskStage, TaskState, answers_json, read_task_result,
};
use crate::scheduler::{Wake, sleep_until};
use crate::units::format_duration;

/// Questions of one task that are answered; the keys of those are kept.
const QUESTIONS_MAX: usize = 100;

/// What was done for a call that became a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStep {
    /// The call was answered with a task.
    Created,
    /// It was asked for.
    Polled,
}

/// Why a task is not followed any more, and whether it may go on at the server.
struct Abandoned {
    trouble: Trouble,
    goes_on: bool,
}

impl Abandoned {
    fn going_on(trouble: impl Into<Trouble>) -> Self {
        Self {
            trouble: trouble.into(),
            goes_on: true,
        }
    }

    fn ended(trouble: impl Into<Trouble>) -> Self {
        Self {
            trouble: trouble.into(),
            goes_on: false,
        }
    }
}

impl Session {
    /// Calls as [`Session::call`] does, and follows the task where the server answers with
    /// one, for `longest` at most from the call on. The report is that of the whole;
    /// `told` hears of each step as it ends.
    pub fn call_task(
        &mut self,
        call: &PreparedCall,
        values: &[String],
        longest: Duration,
        told: &mut dyn FnMut(TaskStep, &CallReport),
    ) -> CallReport {
        let mut created = self.call(call, values);
        let Some(task) = self.take_task() else {
            return created;
        };
        created.result = Ok(());
        // Who served the call counts once, with the whole.
        let observed = created.observed.take();
        told(TaskStep::Created, &created);
        let traffic = self.traffic();
        let deadline = created.sent + longest;
        let mut whole = CallReport {
            // Told of with the step.
            delay: None,
            result_text: None,
            observed,
            ..created
        };
        let id = task.id.clone();
        whole.result = match self.follow(*task, call, deadline, longest, &mut whole, told) {
            Ok(()) => Ok(()),
            Err(abandoned) => {
                if abandoned.goes_on {
                    self.cancel_task(&id);
                }
                Err(abandoned.trouble)
            }
        };
        let (sent, received) = self.traffic();
        whole.n_bytes_sent += sent.saturating_sub(traffic.0);
        whole.n_bytes += received.saturating_sub(traffic.1);
        whole
    }

    /// Asks for a task until it has ended. `whole` gets the end, and what the last answer
    /// brought.
    fn follow(
        &mut self,
        mut task: TaskState,
        call: &PreparedCall,
        deadline: Instant,
        longest: Duration,
        whole: &mut CallReport,
        told: &mut dyn FnMut(TaskStep, &CallReport),
    ) -> Result<(), Abandoned> {
        let id = task.id.clone();
        let mut answered = HashSet::new();
        let overdue = || {
            let limit = format_duration(longest);
            Abandoned::going_on(Trouble::failed(
                Failure::Task(TaskFailure::Timeout),
                format!("the task had not ended after {limit} (`task_timeout`)"),
            ))
        };
        loop {
            match std::mem::replace(&mut task.stage, TaskStage::Working) {
                TaskStage::Working => {}
                TaskStage::InputRequired {
                    questions,
                    n_questions,
                } => self.answer_task(&id, &questions, n_questions, &mut answered, whole)?,
                TaskStage::Completed(result) => {
                    let ended = self.judge_task(&result).map_err(Abandoned::ended);
                    whole.result_text = call.keeps.keeps(ended.is_err()).then_some(result);
                    return ended;
                }
                TaskStage::Failed(error) => {
                    whole.error_text = call.keeps.keeps(true).then(|| error.to_json());
                    return Err(Abandoned::ended(error));
                }
                TaskStage::Cancelled => {
                    let message = "the server says that the task was cancelled";
                    let failure = Failure::Task(TaskFailure::Cancelled);
                    return Err(Abandoned::ended(Trouble::failed(failure, message)));
                }
            }
            let wanted_at = crate::clock::now() + task.poll_after;
            if sleep_until(wanted_at.min(deadline)) == Wake::Cancelled {
                whole.end = crate::clock::now();
                return Err(Abandoned::going_on(Trouble::Cancelled));
            }
            if wanted_at >= deadline {
                whole.end = crate::clock::now();
                return Err(overdue());
            }
            let (result, polled) = self.ask_task(TaskRequest::Get, &id, Some(deadline));
            whole.end = polled.end;
            whole.status = polled.status;
            told(TaskStep::Polled, &polled);
            task = match result {
                Ok(task) => *task,
                // What is over is the time of the whole, not that of this request.
                Err(trouble) if whole.end >= deadline && is_timeout(&trouble) => {
                    return Err(overdue());
                }
                Err(trouble) => return Err(Abandoned::going_on(trouble)),
            };
            if task.id != id {
                let message = "`tasks/get` was answered with another task";
                let failure = Failure::Protocol(ProtocolFailure::BadResult);
                return Err(Abandoned::going_on(Trouble::failed(failure, message)));
            }
        }
    }

    /// Answers what a task asks for, each question once.
    fn answer_task(
        &mut self,
        id: &str,
        questions: &[InputRequest],
        n_questions: usize,
        answered: &mut HashSet<String>,
        whole: &mut CallReport,
    ) -> Result<(), Abandoned> {
        let mut open: Vec<&InputRequest> = questions.iter().collect();
        // What was answered may be shown until the server has taken it in.
        open.retain(|question| !answered.contains(&question.key));
        if n_questions.max(answered.len() + open.len()) > QUESTIONS_MAX {
            return Err(Abandoned::going_on(Trouble::failed(
                Failure::Protocol(ProtocolFailure::BadResult),
                format!("the task asks more than {QUESTIONS_MAX} questions"),
            )));
        }
        if open.is_empty() {
            return Ok(());
        }
        let answers = answers_json(open.iter().copied());
        let answers = answers.map_err(Abandoned::going_on)?;
        answered.extend(open.into_iter().map(|question| question.key.clone()));
        let exchanged = self.exchange_about_task(TaskRequest::Update(&answers), id, None);
        let began = whole.end;
        let (result, updated) = CallReport::of(exchanged, began);
        whole.end = updated.end;
        self.count(|it| it.round_trips += 1);
        match result {
            Ok(Reply::Error(error)) => Err(Abandoned::going_on(error)),
            Ok(_) => Ok(()),
            Err(trouble) => Err(Abandoned::going_on(trouble)),
        }
    }

    /// Asks how a task stands.
    fn ask_task(
        &mut self,
        request: TaskRequest<'_>,
        id: &str,
        deadline: Option<Instant>,
    ) -> (Result<Box<TaskState>, Trouble>, CallReport) {
        let began = crate::clock::now();
        let exchanged = self.exchange_about_task(request, id, deadline);
        let (result, mut report) = CallReport::of(exchanged, began);
        let state = match result {
            Ok(Reply::Complete | Reply::WithoutContent) => {
                let text = report.result_text.take().unwrap_or_default();
                TaskState::read(&text).map(Box::new).map_err(Trouble::from)
            }
            Ok(Reply::Error(error)) => Err(Trouble::from(error)),
            Ok(_) => Err(Trouble::failed(
                Failure::Protocol(ProtocolFailure::BadResult),
                "the answer to `tasks/get` is not that of a task",
            )),
            Err(trouble) => Err(trouble),
        };
        report.result = state.as_ref().map(|_| ()).map_err(Trouble::clone);
        (state, report)
    }

    /// One request about a task, within the timeout of requests and the deadline.
    fn exchange_about_task(
        &mut self,
        request: TaskRequest<'_>,
        id: &str,
        deadline: Option<Instant>,
    ) -> Exchanged {
        let request = self.task_request(request, id);
        let own = crate::clock::now() + self.server().settings().timeout;
        let deadline = deadline.map_or(own, |deadline| deadline.min(own));
        self.exchange_apart(&request, deadline)
    }

    /// How the tool was answered in the end.
    fn judge_task(&mut self, result: &str) -> Result<(), Trouble> {
        match read_task_result(result)? {
            Reply::ToolError { message } => return Err(Trouble::failed(Failure::Tool, message)),
            Reply::WithoutContent => self.count(|it| it.results_without_content += 1),
            _ => {}
        }
        Ok(())
    }
}

fn is_timeout(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Failed { failure, .. } if failure.group() == FailureGroup::Timeout)
}
