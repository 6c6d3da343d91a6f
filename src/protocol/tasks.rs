//! Tasks (the extension `io.modelcontextprotocol/tasks`): what a server says of one.
//!
//! A call of a tool that declares the extension may be answered with a task in place of
//! the result (`resultType: "task"`). It is asked for with `tasks/get` until it has ended;
//! what it asks for meanwhile is answered with `tasks/update`, and it is given up with
//! `tasks/cancel`. How these are rendered is the dialect's business; time and waiting are
//! not known here. Start at [`TaskState::created`].

use std::time::Duration;

use super::fault::{FaultKind, ProtocolFault, excerpt};
use super::fields::{read_fields, read_string};
use super::input::{InputRequest, read_questions};
use super::jsonrpc::RpcError;

/// What the extension is called where it is declared.
pub(super) const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// The longest id of a task, in bytes: it goes into a header.
const TASK_ID_MAX: usize = 4 * 1024;

/// Polls are at least and at most so far apart, whatever the server says.
const POLL_INTERVAL: (u64, u64) = (10, 24 * 60 * 60 * 1000);

/// Where the server names no interval.
const POLL_INTERVAL_UNNAMED: Duration = Duration::from_secs(1);

/// What is asked of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskRequest<'a> {
    /// How it stands: `tasks/get`.
    Get,
    /// Answers what it asks for: `tasks/update`, with the JSON of its `inputResponses`.
    Update(&'a str),
    /// Gives it up: `tasks/cancel`.
    Cancel,
}

impl TaskRequest<'_> {
    /// The method as it is on the wire.
    pub(super) fn method(self) -> &'static str {
        match self {
            TaskRequest::Get => "tasks/get",
            TaskRequest::Update(_) => "tasks/update",
            TaskRequest::Cancel => "tasks/cancel",
        }
    }
}

/// A task as its server told of it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// Its id.
    pub id: String,
    /// How long to wait before it is asked for again: what the server says, at least 10 ms
    /// and at most a day; a second where it says nothing.
    pub poll_after: Duration,
    /// How far it has come.
    pub stage: TaskStage,
}

/// How far a task has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskStage {
    /// It goes on.
    Working,
    /// It waits for answers.
    InputRequired {
        /// The first hundred questions.
        questions: Vec<InputRequest>,
        /// How many there are.
        n_questions: usize,
    },
    /// It has its result: the JSON of what the call would have been answered with.
    Completed(String),
    /// It ended with an error of JSON-RPC.
    Failed(RpcError),
    /// Somebody gave it up.
    Cancelled,
}

impl TaskState {
    /// Reads the result that creates a task. It tells no more than the status, so the task
    /// is asked for in any case.
    ///
    /// # Errors
    /// `BadResult` where it has no id.
    pub fn created(result: &str) -> Result<Self, ProtocolFault> {
        Self::read_id(result).ok_or_else(|| bad_task(result))
    }

    /// Reads the result of `tasks/get`.
    ///
    /// # Errors
    /// `BadResult` where it has no id or no status that is known, or lacks what its
    /// status promises.
    pub fn read(result: &str) -> Result<Self, ProtocolFault> {
        let state = Self::read_id(result).zip(read_stage(result));
        let state = state.map(|(state, stage)| Self { stage, ..state });
        state.ok_or_else(|| bad_task(result))
    }

    fn read_id(json: &str) -> Option<Self> {
        let [id, interval] = read_fields(json, ["taskId", "pollIntervalMs"])?;
        let id = read_string(id?)?;
        let (least, most) = POLL_INTERVAL;
        let named = interval.and_then(|interval| interval.parse::<f64>().ok());
        let poll_after = named.map_or(POLL_INTERVAL_UNNAMED, |ms| {
            Duration::from_millis((ms as u64).clamp(least, most))
        });
        (1..=TASK_ID_MAX).contains(&id.len()).then_some(Self {
            id,
            poll_after,
            stage: TaskStage::Working,
        })
    }
}

fn read_stage(json: &str) -> Option<TaskStage> {
    let names = ["status", "inputRequests", "result", "error"];
    let [status, requests, result, error] = read_fields(json, names)?;
    Some(match read_string(status?)?.as_str() {
        "working" => TaskStage::Working,
        "input_required" => {
            let (questions, n_questions) = read_questions(requests?)?;
            TaskStage::InputRequired {
                questions,
                n_questions,
            }
        }
        "completed" => TaskStage::Completed(result?.to_string()),
        "failed" => TaskStage::Failed(RpcError::read(error?)),
        "cancelled" => TaskStage::Cancelled,
        _ => return None,
    })
}

fn bad_task(result: &str) -> ProtocolFault {
    ProtocolFault::new(FaultKind::BadResult, excerpt(result.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn task(status: &str, more: &str) -> String {
        format!(
            r#"{{"resultType":"complete","taskId":"t\u00e41","status":"{status}","ttlMs":null{more}}}"#
        )
    }

    fn read(status: &str, more: &str) -> Option<TaskStage> {
        let state = TaskState::read(&task(status, more)).ok()?;
        assert_eq!(state.id, "tä1");
        Some(state.stage)
    }

    #[test]
    fn each_status_brings_what_it_promises() {
        assert_eq!(read("working", ""), Some(TaskStage::Working));
        assert_eq!(read("cancelled", ""), Some(TaskStage::Cancelled));
        let completed = read("completed", r#","result":{"content":[ ],"isError":true}"#);
        let result = r#"{"content":[ ],"isError":true}"#.to_string();
        assert_eq!(completed, Some(TaskStage::Completed(result)));
        let failed = read("failed", r#","error":{"code":-32603,"message":"m"}"#);
        let error = RpcError {
            code: Some(-32603),
            message: "m".to_string(),
            data: None,
        };
        assert_eq!(failed, Some(TaskStage::Failed(error)));
        let asked = read(
            "input_required",
            r#","inputRequests":{"q":{"method":"roots/list"}}"#,
        );
        let question = InputRequest {
            key: "q".to_string(),
            method: "roots/list".to_string(),
            params_json: "null".to_string(),
        };
        let stage = TaskStage::InputRequired {
            questions: vec![question],
            n_questions: 1,
        };
        assert_eq!(asked, Some(stage));
        for (status, more) in [
            ("completed", ""),
            ("failed", ""),
            ("input_required", r#","inputRequests":[]"#),
            ("input_required", ""),
            ("submitted", ""),
            ("working", r#","taskId":"""#),
            ("working", r#","taskId":7"#),
        ] {
            assert_eq!(read(status, more), None, "{status} {more}");
        }
        let long = format!(r#","taskId":"{}""#, "x".repeat(5_000));
        assert_eq!(read("working", &long), None);
        // Whatever the answer that creates one says of its status.
        let created = TaskState::created(&task("completed", "")).expect("a task");
        assert_eq!(
            (created.id.as_str(), created.stage),
            ("tä1", TaskStage::Working)
        );
    }

    #[test]
    fn intervals_are_bounded() {
        for (told, ms) in [
            ("", 1_000),
            (r#","pollIntervalMs":null"#, 1_000),
            (r#","pollIntervalMs":"5""#, 1_000),
            (r#","pollIntervalMs":250"#, 250),
            (r#","pollIntervalMs":0"#, 10),
            (r#","pollIntervalMs":-1"#, 10),
            (r#","pollIntervalMs":1e300"#, 86_400_000),
        ] {
            let state = TaskState::read(&task("working", told)).expect("a task");
            assert_eq!(state.poll_after, Duration::from_millis(ms), "{told}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _any_answer_will_do = TaskState::created(&text);
            let _any_answer_will_do = TaskState::read(&task("working", &format!(",{text}")));
        }
    }
}
