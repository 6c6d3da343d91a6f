//! The probe: one quiet session beside the load, on a thread of its own.
//!
//! mutilate's way to tell the two queues apart (one agent measures at a low
//! rate while the others make the load): what the load's calls wait for in this
//! client, a session on another thread does not wait for; what they wait for
//! in the server, it does.
//!
//! The probe is a worker like any other, with a plan of its own: a single user
//! that calls what the load calls, in the same mix, at its own pace. So it has
//! a scheduler, a session, a connection and recorders that nobody else touches,
//! and the workers do not know of it. Its ticks come through a channel of
//! their own and are collected apart: nothing of it is in a figure of the load.

use std::sync::Arc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::collect::Collector;
use super::crew::{Crew, CrewOptions, CrewRole, Word};
use crate::decide::control::arrival_length;
use crate::error::UserError;
use crate::load::{ArrivalSchedule, Distribution, Rate, RateSegment, Segment, Spacing, ThinkTime};
use crate::metrics::Recorder;
use crate::outcome::{ProbeOutcome, Row, Rows};
use crate::scenario::{
    Arrivals, Flow, Load, Plan, Populations, SessionRule, Step, StopRule, WorkerRule,
};
use crate::units::{format_percent, format_rate};
use crate::user::{Budget, Script};
use crate::worker::{Command, WorkerEvent};

/// Starts that may wait for the probe's call before them: those of a minute.
/// Those of a longer silence of the server are dropped, and counted.
const QUEUE: Duration = Duration::from_secs(60);

/// Makes the probe's random choices others than those of the first user.
const SEED_MARK: u64 = 0x7072_6f62_6500_0000;

/// From this share of all calls on, the probe is a part of the load.
const QUIET_SHARE_MAX: f64 = 0.1;

/// What the probe does: what the load does, one call at a time, at its own pace.
///
/// A step that calls several times at once makes that many calls one after the other:
/// a flow of one such step is done as many times as often, so that the mix of calls is
/// that of the load. The session is kept
/// for the whole run. The probe's thread never spins: it should take nothing
/// from the workers.
pub(super) fn probe_plan(plan: &Plan) -> Option<Plan> {
    let rate = plan.probe?;
    let flows = plan.flows.iter().zip(weights(plan));
    let flows = flows.map(|(flow, weight)| one_at_a_time(flow, weight));
    let flows: Vec<Flow> = flows.collect();
    // A cast from a float saturates.
    let queue_max = (rate * QUEUE.as_secs_f64()).ceil() as u32;
    Some(Plan {
        load: Load::Open {
            arrivals: Arrivals::Rate {
                per_second: rate,
                distribution: Distribution::Constant,
            },
            max_vus: 1,
            queue_max: queue_max.max(1),
        },
        stop: StopRule {
            iterations: None,
            ..plan.stop
        },
        populations: Populations::everyone(&flows),
        flows,
        think: ThinkTime::None,
        pause_after_call: Duration::ZERO,
        session: SessionRule {
            iterations: None,
            lifetime: None,
            abandon: 0.0,
        },
        // Those of several hosts do not call at the same moments.
        seed: plan.seed ^ SEED_MARK ^ u64::from(plan.segment.ordinal() - 1),
        workers: WorkerRule {
            count: Some(1),
            busy_poll: false,
            ..plan.workers
        },
        segment: Segment::WHOLE,
        probe: None,
        thresholds: Vec::new(),
        notices: Vec::new(),
        ..plan.clone()
    })
}

/// The weights of a plan's flows over all its populations.
fn weights(plan: &Plan) -> Vec<u32> {
    /// So exactly a flow's share is kept.
    const WHOLE: f64 = 1e6;
    if plan.populations.is_unnamed() {
        return plan.flows.iter().map(|flow| flow.weight).collect();
    }
    let mix = plan.mix().into_iter();
    // A cast from a float saturates.
    mix.map(|share| (WHOLE * share).ceil() as u32).collect()
}

/// The flow with the same calls, none of them at once.
fn one_at_a_time(flow: &Flow, weight: u32) -> Flow {
    let mut flow = Flow {
        weight,
        ..flow.clone()
    };
    if let [only] = &mut flow.steps[..]
        && let [_] = &only.calls[..]
    {
        let parallel = std::mem::replace(&mut only.parallel, 1);
        flow.weight = flow.weight.saturating_mul(parallel);
        return flow;
    }
    let steps = flow.steps.iter().flat_map(|step| {
        let last = step.calls.len().saturating_sub(1);
        step.calls.iter().enumerate().map(move |(at, call)| Step {
            // The user thinks once, when all of them have ended.
            think: step.think.filter(|_| at == last),
            repeat: step.repeat.saturating_mul(step.parallel),
            parallel: 1,
            // Each row keeps its name.
            name: call.name.clone().or_else(|| step.name.clone()),
            calls: vec![call.clone()],
            ..step.clone()
        })
    });
    flow.steps = steps.collect();
    flow
}

/// One start in each interval, at a random moment of it: a load that comes in
/// bursts or at fixed gaps is met at any moment alike.
fn schedule(plan: &Plan, rate: f64) -> ArrivalSchedule {
    let rate = Rate::per_second(rate).unwrap_or(Rate::ZERO);
    let hold = RateSegment::hold(rate, arrival_length(plan));
    ArrivalSchedule::rates(&[hold], Spacing::Scattered { seed: plan.seed })
}

/// The probe while it runs.
#[derive(Debug)]
pub(super) struct Probe {
    rate: f64,
    script: Arc<Script>,
    crew: Crew,
    collector: Collector,
    last_end: Option<Instant>,
}

impl Probe {
    /// Starts its thread, which opens its session at once and waits for the
    /// load to begin.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        rate: f64,
        script: Arc<Script>,
        cpu: Option<usize>,
    ) -> Result<Self, UserError> {
        let plan = &script.plan;
        let crew = Crew::engage(
            scope,
            &CrewOptions {
                role: CrewRole::Probe,
                script: &script,
                cpus: &[cpu],
                budget: Budget::new(None, 1),
                arrivals: Some(schedule(plan, rate)),
                users_max: 1,
            },
        )?;
        crew.set_users(1);
        let collector = Collector::new(&script.rows, 1, plan.warm_up, true, false, Vec::new());
        Ok(Self {
            rate,
            script,
            crew,
            collector,
            last_end: None,
        })
    }

    /// What it says; each is to be passed to [`Probe::take`].
    pub(super) fn events(&self) -> &Receiver<WorkerEvent> {
        &self.crew.events
    }

    pub(super) fn send(&self, command: impl Fn() -> Command) {
        self.crew.broadcast(command);
    }

    /// It has tried to open its session.
    pub(super) fn has_tried(&self) -> bool {
        self.has_ended() || self.collector.users().tried > 0
    }

    pub(super) fn has_ended(&self) -> bool {
        self.crew.have_all_ended()
    }

    /// Takes in what came from [`Probe::events`]; `None`: they are closed.
    pub(super) fn take(&mut self, event: Option<WorkerEvent>) -> Result<(), UserError> {
        match self.crew.heard(event)? {
            Word::Tick(tick) => {
                let recorder = self.collector.take(*tick);
                self.crew.recycle(0, recorder);
            }
            Word::End(end) => {
                self.collector.take_last(0, &end.usage, &end.recorder);
                self.last_end = end.last_end;
            }
        }
        // Nobody looks at the probe's windows: they only have to be let go.
        while self.collector.next_complete().is_some() {}
        Ok(())
    }

    /// What it measured in a load that began at `origin` and was told to end
    /// `stopped_at` later.
    pub(super) fn outcome(mut self, origin: Instant, stopped_at: Duration) -> ProbeOutcome {
        let last_end = self
            .last_end
            .map_or(Duration::ZERO, |end| end.saturating_duration_since(origin));
        let elapsed = stopped_at.max(last_end);
        let mut totals = std::mem::take(&mut self.collector.totals);
        let mut warm_up = self.collector.warm.take();
        let mut warm_length = Duration::ZERO;
        if let Some(warm) = &mut warm_up {
            warm.forget_arrivals_left();
            totals.examples.merge(&warm.examples);
            warm_length = self.collector.warm_up_end().min(elapsed);
        }
        ProbeOutcome {
            rate: self.rate,
            cpu: self.crew.cpus.first().copied().flatten(),
            rows: self.script.rows.clone(),
            elapsed: elapsed.saturating_sub(warm_length),
            totals,
            warm_up: warm_up.map(|warm| (warm_length, warm)),
        }
    }
}

/// Calls that have ended.
pub(super) fn finished_calls(rows: &[Row], recorded: &Recorder) -> u64 {
    let calls = Rows::new(rows, recorded).in_totals();
    calls.map(|(_, stats)| stats.finished()).sum()
}

/// What the user should know of the probe; `load_finished` counts the calls of the load that ended.
pub(super) fn notices(probe: &ProbeOutcome, load_finished: u64) -> Vec<String> {
    let mut notices = Vec::new();
    let counters = &probe.totals.counters;
    if counters.sessions_opened == 0 {
        notices.push(
            "the probe never got a session: there is nothing to compare the load with".to_string(),
        );
    }
    let finished = finished_calls(&probe.rows, &probe.totals);
    let share = finished as f64 / (finished + load_finished).max(1) as f64;
    if load_finished > 0 && share > QUIET_SHARE_MAX {
        notices.push(format!(
            "the probe is not quiet beside this load: {} of the server's calls were its own; a \
             lower rate than {} (`probe` under `[settings]`) disturbs less",
            format_percent(share),
            format_rate(probe.rate)
        ));
    }
    notices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::RowKind;
    use crate::scenario::{Overrides, Source, load};

    fn plan(text: &str) -> Plan {
        let source = Source {
            path: "test.toml".into(),
            text: text.to_string(),
        };
        let overrides = Overrides {
            url: Some("http://127.0.0.1:1/mcp".to_string()),
            ..Overrides::default()
        };
        load(Some(&source), &overrides, &|_| None, 1).expect("a plan without faults")
    }

    #[test]
    fn no_probe_unless_asked_for() {
        let plan = plan("[[scenario]]\ntype = \"tools/list\"\n");
        assert_eq!(probe_plan(&plan), None);
    }

    #[test]
    fn the_probe_does_what_the_load_does_one_call_at_a_time() {
        let plan = plan(
            "[settings]\nprobe = \"5/s\"\niterations = 1000\nthink = \"1s\"\nbusy_poll = true\n\
             session = { iterations = 3 }\nvirtual_users = 40\nduration = \"20s\"\n\
             [[scenario]]\ntype = \"tools/list\"\nweight = 3\n\
             [[scenario]]\ntype = \"prompts/list\"\nweight = 2\nparallel = 4\n",
        );
        let probe = probe_plan(&plan).expect("a probe");
        assert_eq!(probe.vus_max(), 1);
        assert_eq!(probe.stop.iterations, None);
        assert_eq!(probe.stop.duration, plan.stop.duration);
        assert_eq!(probe.think, ThinkTime::None);
        assert_eq!(probe.session.iterations, None);
        assert!(!probe.workers.busy_poll);
        assert_ne!(probe.seed, plan.seed);
        // Of 11 calls of the load 3 are of the first step and 8 of the second.
        let flows = probe.flows.iter();
        let mix: Vec<_> = flows
            .map(|flow| (flow.weight, flow.steps[0].parallel))
            .collect();
        assert_eq!(mix, [(3, 1), (8, 1)]);
        let starts = schedule(&probe, 5.0);
        assert_eq!(starts.shard(Segment::WHOLE).count(), 100);
        // As a plan of its own it has no probe.
        assert_eq!(probe_plan(&probe), None);
    }

    #[test]
    fn calls_of_a_group_are_made_one_after_the_other() {
        let plan = plan(
            "[settings]\nprobe = \"5/s\"\n\
             [[flow]]\nname = \"visit\"\n[[flow.step]]\ntype = \"tools/list\"\n[[flow.step]]\nname = \"look\"\n\
             repeat = 3\nthink = \"1s\"\n[[flow.step.call]]\ntype = \"prompts/list\"\n\
             [[flow.step.call]]\nname = \"read\"\ntype = \"resources/list\"\n",
        );
        let probe = probe_plan(&plan).expect("a probe");
        let [flow] = &probe.flows[..] else {
            panic!("{:?}", probe.flows);
        };
        assert!(flow.steps.iter().all(|step| step.calls_at_once() == 1));
        let steps: Vec<_> = flow
            .steps
            .iter()
            .map(|step| (step.name.as_deref(), step.repeat, step.think.is_some()))
            .collect();
        assert_eq!(
            steps,
            [
                (None, 1, false),
                (Some("look"), 3, false),
                (Some("read"), 3, true)
            ]
        );
    }

    #[test]
    fn a_probe_that_is_no_longer_quiet_is_told() {
        let mut totals = Recorder::new(1);
        totals.rows[0].ok = 100;
        totals.counters.sessions_opened = 1;
        let probe = ProbeOutcome {
            rate: 10.0,
            cpu: None,
            rows: vec![Row::new(RowKind::Call, "ping")],
            elapsed: Duration::from_secs(10),
            totals,
            warm_up: None,
        };
        assert_eq!(notices(&probe, 10_000), Vec::<String>::new());
        assert!(notices(&probe, 300)[0].contains("25% of the server's calls"));
        // Without any call of the load, other things are to be told.
        assert_eq!(notices(&probe, 0), Vec::<String>::new());
    }
}
