//! Tasks: calls whose answer comes later, by the id that the client asks with.
//!
//! Only clients that declare the extension get one. Pure but for the hour of day: it is
//! given the time and what work yields, and knows no HTTP. Start at [`Jobs::create`].

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::asking::Consultation;
use crate::clock::Utc;

/// This many tasks are known at a time; each further one ends the oldest.
const JOBS_MAX: usize = 20_000;

/// The extension, where capabilities are declared.
pub(super) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// What a tool does for a while.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DemoWork {
    pub(super) time: Duration,
    /// Half way it asks for something, and goes on with the answer.
    pub(super) asks: bool,
    pub(super) outcome: WorkOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkOutcome {
    Done,
    /// A result with `isError`.
    ToolError,
    /// An error of JSON-RPC.
    Error,
}

/// All tasks that are known.
pub(super) struct Jobs {
    jobs: HashMap<String, Job>,
    /// The ids in the order of their begin.
    ids: VecDeque<String>,
    rng: Rng,
}

struct Job {
    work: DemoWork,
    begun_at: Duration,
    created: String,
    /// What it asked for is answered.
    answered_at: Option<Duration>,
    is_cancelled: bool,
}

/// The result of work that is done, or its error.
pub(super) type Yield = Result<Value, Value>;

impl Jobs {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            jobs: HashMap::new(),
            ids: VecDeque::new(),
            // Its own stream, apart from those of latencies and faults.
            rng: Rng::with_seed(seed ^ 0x7a5c_1d5e_0b50_77ed),
        }
    }

    /// The result that creates a task.
    pub(super) fn create(&mut self, work: DemoWork, now: Duration) -> Value {
        if self.jobs.len() >= JOBS_MAX
            && let Some(oldest) = self.ids.pop_front()
        {
            self.jobs.remove(&oldest);
        }
        let id = format!("{:032x}", self.rng.u128(..));
        let job = Job {
            work,
            begun_at: now,
            created: Utc::now().rfc3339(),
            answered_at: None,
            is_cancelled: false,
        };
        let mut created = job.told(&id, job.begins());
        created["resultType"] = "task".into();
        self.ids.push_back(id.clone());
        self.jobs.insert(id, job);
        created
    }

    /// The result of `tasks/get`; `None` where there is no such task.
    pub(super) fn get(
        &mut self,
        params: &Value,
        now: Duration,
        yields: fn(&DemoWork) -> Yield,
    ) -> Option<Value> {
        self.with(params, |id, job| {
            let stage = job.stage(now, yields);
            job.told(id, stage)
        })
    }

    /// That of `tasks/update`.
    pub(super) fn update(&mut self, params: &Value, now: Duration) -> Option<Value> {
        let answer = &params["inputResponses"]["size"];
        let is_answer = answer["action"].is_string();
        self.with(params, |_, job| {
            if is_answer && job.asks(now) {
                job.answered_at = Some(now);
            }
            json!({"resultType": "complete"})
        })
    }

    /// That of `tasks/cancel`.
    pub(super) fn cancel(&mut self, params: &Value, now: Duration) -> Option<Value> {
        self.with(params, |_, job| {
            job.is_cancelled |= !job.is_done(now);
            json!({"resultType": "complete"})
        })
    }

    fn with(
        &mut self,
        params: &Value,
        answer: impl FnOnce(&str, &mut Job) -> Value,
    ) -> Option<Value> {
        let id = params["taskId"].as_str()?;
        self.jobs.get_mut(id).map(|job| answer(id, job))
    }
}

impl Job {
    fn is_done(&self, now: Duration) -> bool {
        let half = self.work.time / 2;
        match (self.work.asks, self.answered_at) {
            (false, _) => now >= self.begun_at + self.work.time,
            (true, Some(answered_at)) => now >= answered_at + half,
            (true, None) => false,
        }
    }

    /// Whether it waits for an answer.
    fn asks(&self, now: Duration) -> bool {
        let is_half_way = now >= self.begun_at + self.work.time / 2;
        self.work.asks && self.answered_at.is_none() && is_half_way
    }

    /// As the answer that creates it tells it: whoever asks later learns of another interval.
    fn begins(&self) -> JobStage {
        ("working", 4, None)
    }

    fn stage(&self, now: Duration, yields: fn(&DemoWork) -> Yield) -> JobStage {
        const PARTS: u32 = 8;
        if self.is_cancelled {
            return ("cancelled", PARTS, None);
        }
        if self.asks(now) {
            let asked = json!({"size": Consultation::Elicitation.request()});
            return ("input_required", PARTS, Some(("inputRequests", asked)));
        }
        if !self.is_done(now) {
            return ("working", PARTS, None);
        }
        match yields(&self.work) {
            Ok(result) => ("completed", PARTS, Some(("result", result))),
            Err(error) => ("failed", PARTS, Some(("error", error))),
        }
    }

    fn told(&self, id: &str, (status, parts, more): JobStage) -> Value {
        let interval = (self.work.time / parts).as_millis().clamp(10, 1000) as u64;
        let mut told = json!({
            "resultType": "complete",
            "taskId": id,
            "status": status,
            "createdAt": self.created,
            "lastUpdatedAt": self.created,
            "ttlMs": 600_000,
            "pollIntervalMs": interval,
        });
        if let Some((key, value)) = more {
            told[key] = value;
        }
        told
    }
}

/// The status, of how many parts of the work's time the interval is one, and what the
/// status brings.
type JobStage = (&'static str, u32, Option<(&'static str, Value)>);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn work(asks: bool) -> DemoWork {
        DemoWork {
            time: MS(400),
            asks,
            outcome: WorkOutcome::Done,
        }
    }

    fn yields(work: &DemoWork) -> Yield {
        match work.asks {
            true => Err(json!({"code": 1})),
            false => Ok(json!("done")),
        }
    }

    #[test]
    fn a_task_ends_in_its_time() {
        let mut jobs = Jobs::new(1);
        let created = jobs.create(work(false), MS(5));
        assert_eq!(created["resultType"], "task");
        assert_eq!(created["pollIntervalMs"], 100);
        let params = json!({"taskId": created["taskId"]});
        let mut at = |ms| jobs.get(&params, MS(ms), yields).expect("a task");
        let state = at(404);
        assert_eq!(
            (&state["status"], &state["pollIntervalMs"]),
            (&json!("working"), &json!(50))
        );
        let state = at(405);
        assert_eq!(
            (&state["status"], &state["result"]),
            (&json!("completed"), &json!("done"))
        );
        // What is done cannot be cancelled.
        jobs.cancel(&params, MS(500));
        let state = jobs.get(&params, MS(500), yields).expect("a task");
        assert_eq!(state["status"], "completed");
        assert_eq!(jobs.get(&json!({"taskId": "x"}), MS(0), yields), None);
    }

    #[test]
    fn tasks_ask_fail_and_are_cancelled() {
        let mut jobs = Jobs::new(1);
        let mut begin = || {
            let created = jobs.create(work(true), MS(0));
            json!({"taskId": created["taskId"]})
        };
        let (asking, cancelled) = (begin(), begin());
        let status = |jobs: &mut Jobs, params: &Value, ms| {
            let state = jobs.get(params, MS(ms), yields).expect("a task");
            state["status"].as_str().expect("a status").to_string()
        };
        assert_eq!(status(&mut jobs, &asking, 199), "working");
        assert_eq!(status(&mut jobs, &asking, 1_000), "input_required");
        let mut answer = asking.clone();
        answer["inputResponses"] = json!({"size": {"action": "decline"}});
        jobs.update(&answer, MS(1_000));
        assert_eq!(status(&mut jobs, &asking, 1_199), "working");
        let failed = jobs.get(&asking, MS(1_200), yields).expect("a task");
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!(1))
        );
        jobs.cancel(&cancelled, MS(1));
        assert_eq!(status(&mut jobs, &cancelled, 400), "cancelled");
    }

    #[test]
    fn the_oldest_tasks_end_where_there_are_too_many() {
        let mut jobs = Jobs::new(1);
        let first = jobs.create(work(false), MS(0));
        for _ in 0..JOBS_MAX {
            jobs.create(work(false), MS(0));
        }
        let first = json!({"taskId": first["taskId"]});
        assert_eq!(jobs.get(&first, MS(0), yields), None);
        assert_eq!(jobs.jobs.len(), JOBS_MAX);
    }
}
