//! What is looked for in answers, and the queue in which they wait for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use serde_json::Value;

use crate::client::{CallReport, Trouble};
use crate::expect::{Checked, Checker, Source};
use crate::metrics::Failure;
use crate::scheduler::TaskId;

/// What is looked for in the answers of a call.
#[derive(Debug)]
pub(super) struct Check {
    /// Not empty; the first in whose answer nothing is missing counts, else the last.
    pub(super) checkers: Vec<Checker>,
    /// A failure may be right.
    pub(super) awaits_failure: bool,
    /// Which of the flow's values it takes, in the order of the checkers' values.
    pub(super) taken: Vec<usize>,
    /// Which of the checkers' values are secrets, and where they are: an answer that
    /// fails may hold them, too.
    pub(super) secrets: Vec<(usize, Source)>,
    /// What polls are made for.
    pub(super) until: Option<(Source, Value)>,
}

impl Check {
    /// Whether there is an answer to look at.
    pub(super) fn is_for(&self, report: &CallReport) -> bool {
        match &report.result {
            Ok(()) => true,
            Err(Trouble::Failed { failure, .. }) if self.awaits_failure => {
                let is_of_answer = matches!(
                    failure,
                    Failure::Tool | Failure::Rpc(_) | Failure::RpcWithoutCode
                );
                is_of_answer || failure.http_status().is_some()
            }
            Err(_) => false,
        }
    }
}

/// An answer that waits for its check.
pub(super) struct WaitingAnswer {
    /// Which of the script's checks.
    pub(super) check: usize,
    /// Fails where a poll is not the one that is awaited.
    pub(super) is_last: bool,
    pub(super) since: Instant,
    pub(super) task: TaskId,
    pub(super) desk: Rc<RefCell<AnswerDesk>>,
}

/// Where an answer lies while it waits and is looked at, and what came of that: it is
/// too large to be handed on.
pub(super) struct AnswerDesk {
    pub(super) report: CallReport,
    pub(super) random: fastrand::Rng,
    /// `None`: nobody has looked yet.
    pub(super) checked: Option<Checked>,
    /// Those that are taken out of it.
    pub(super) values: Vec<String>,
    /// Of an answer that failed: the secrets in it, by which of the values they are.
    pub(super) secrets: Vec<(usize, String)>,
    /// The poll is the one that was awaited.
    pub(super) is_met: bool,
}

impl AnswerDesk {
    /// With nothing on it.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            report: CallReport::began(now),
            random: fastrand::Rng::with_seed(0),
            checked: None,
            values: Vec::new(),
            secrets: Vec::new(),
            is_met: false,
        }
    }
}

/// The answers of a worker's users that wait.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) waiting: RefCell<VecDeque<WaitingAnswer>>,
    /// Those that nobody uses, some at most.
    pub(super) free: RefCell<Vec<Rc<RefCell<AnswerDesk>>>>,
    /// Summed up since it was last taken: how many were worked, and how long they had
    /// waited.
    pub(super) n_worked: Cell<u64>,
    pub(super) waited_ns: Cell<u64>,
}
