//! What to do, and when: stages, the end of the load, signals. Pure.
//!
//! The controller is told the time and what happened, and answers with actions.
//! It does not know threads or sockets, nor who asks.

use std::time::Duration;

use crate::load::{ArrivalSchedule, Distribution, Rate, RateSegment, Segment, Spacing, Stages};
use crate::outcome::Ended;
use crate::scenario::{Arrivals, Load, Plan};

/// After calls in flight were given up, sessions get this long to be ended.
pub const CLOSE_WAIT: Duration = Duration::from_millis(2_500);

/// Calls in flight get no more than this where a threshold ends the run: they could not
/// save it, and those of a server that hangs would make it longer than was planned.
const ABORT_STOP_MAX: Duration = Duration::from_secs(1);

/// Targets are not changed more often than this: a worker's turn should not be
/// spent on users coming and going one by one.
const CHANGE_INTERVAL: Duration = Duration::from_millis(10);

/// A load that did not change for so long has shown what it does: a queue that it
/// overfills is long by then.
const STEADY_FOR: Duration = Duration::from_secs(10);
/// It is looked at this often in that time.
const STEADY_LOOKS: u32 = 10;
/// A load within this share is the same.
const STEADY_TOLERANCE: f64 = 0.02;

/// Something for the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadAction {
    /// This many users in all are wanted from now on.
    SetUsers(u32),
    /// No iteration begins any more.
    Stop(Ended),
    /// Calls in flight are given up.
    CancelCalls,
    /// Everything is given up.
    CancelAll,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// Time went by.
    Nothing,
    /// A signal, or the embedding program.
    Interrupt,
    /// There is no more to come of the load, for this reason.
    End(Ended),
}

/// The state of a run, as far as decisions need it.
#[derive(Debug, Clone)]
pub struct Controller {
    /// Users of the whole load over time; `None` in the open model, whose pool is
    /// constant.
    stages: Option<Stages>,
    /// Which of them are ours.
    segment: Segment,
    pool: u32,
    duration: Option<Duration>,
    graceful_stop: Duration,
    target: Option<u32>,
    stopped: Option<(Duration, Ended)>,
    calls_cancelled: Option<Duration>,
    all_cancelled: bool,
}

impl Controller {
    /// A controller of a plan. Time 0 is the start of the load.
    pub fn new(plan: &Plan) -> Self {
        Self {
            stages: user_stages(plan),
            segment: plan.segment,
            pool: plan.vus_max(),
            duration: plan.stop.duration,
            graceful_stop: plan.graceful_stop,
            target: None,
            stopped: None,
            calls_cancelled: None,
            all_cancelled: false,
        }
    }

    /// The users wanted at a time, of those in the plan's segment.
    pub fn users_at(&self, now: Duration) -> u32 {
        match &self.stages {
            Some(stages) => self.segment.share_of_users(stages.target(now)),
            None => self.pool,
        }
    }

    /// When the load was told to end, and why.
    pub fn stopped(&self) -> Option<(Duration, Ended)> {
        self.stopped
    }

    /// Takes note of what happened by `now`, and says what to do.
    pub fn decide(&mut self, now: Duration, happening: Happening) -> Vec<LoadAction> {
        let mut actions = Vec::new();
        match happening {
            Happening::Interrupt if self.stopped.is_some() => self.cancel_all(&mut actions),
            Happening::Interrupt => self.stop(now, Ended::Interrupted, &mut actions),
            Happening::End(why) => self.stop(now, why, &mut actions),
            Happening::Nothing => {}
        }
        if self.duration.is_some_and(|duration| now >= duration) {
            self.stop(now, Ended::Duration, &mut actions);
        }
        match (self.stopped, self.calls_cancelled) {
            (None, _) => {
                let target = self.users_at(now);
                if self.target != Some(target) {
                    self.target = Some(target);
                    actions.push(LoadAction::SetUsers(target));
                }
            }
            (Some((at, why)), None) if now >= at + self.stop_length(why) => {
                self.calls_cancelled = Some(now);
                actions.push(LoadAction::CancelCalls);
            }
            (Some(_), Some(at)) if now >= at + CLOSE_WAIT => self.cancel_all(&mut actions),
            _ => {}
        }
        actions
    }

    /// When there is something to decide even if nothing happens.
    pub fn next_decision(&self, now: Duration) -> Option<Duration> {
        match (self.stopped, self.calls_cancelled) {
            (None, _) => {
                let change = self
                    .stages
                    .as_ref()
                    .and_then(|stages| stages.next_change(now))
                    .map(|at| at.max(now + CHANGE_INTERVAL));
                match (change, self.duration) {
                    (Some(change), Some(end)) => Some(change.min(end)),
                    (change, end) => change.or(end),
                }
            }
            (Some((at, why)), None) => Some(at + self.stop_length(why)),
            (Some(_), Some(at)) if !self.all_cancelled => Some(at + CLOSE_WAIT),
            _ => None,
        }
    }

    /// How long calls in flight may take after a load that ended so.
    fn stop_length(&self, why: Ended) -> Duration {
        match why {
            Ended::Threshold => self.graceful_stop.min(ABORT_STOP_MAX),
            _ => self.graceful_stop,
        }
    }

    fn stop(&mut self, now: Duration, why: Ended, actions: &mut Vec<LoadAction>) {
        if self.stopped.is_none() {
            self.stopped = Some((now, why));
            actions.push(LoadAction::Stop(why));
        }
    }

    fn cancel_all(&mut self, actions: &mut Vec<LoadAction>) {
        if !std::mem::replace(&mut self.all_cancelled, true) {
            actions.push(LoadAction::CancelAll);
        }
    }
}

/// Users of the whole load over time, for closed plans.
fn user_stages(plan: &Plan) -> Option<Stages> {
    match &plan.load {
        Load::Closed { vus, ramp_up, .. } if ramp_up.is_zero() => {
            Some(Stages::new(*vus, &[(Duration::ZERO, *vus)]))
        }
        // The first user begins at once: a ramp from nothing would wait for
        // half of its first step.
        Load::Closed { vus, ramp_up, .. } => Some(Stages::new(1, &[(*ramp_up, *vus)])),
        Load::Staged { stages, .. } => {
            let parts: Vec<_> = stages
                .iter()
                .map(|stage| (stage.duration, stage.target_vus))
                .collect();
            Some(Stages::new(0, &parts))
        }
        Load::Open { .. } => None,
    }
}

/// A stage of a plan: when it begins and ends, and with which load of the plan's
/// segment.
#[derive(Debug, Clone, Copy)]
pub struct StageSpan {
    /// Its start, from the start of the run.
    pub at: Duration,
    /// Its end.
    pub end: Duration,
    /// The load at its start: virtual users, or arrivals a second.
    pub load_from: f64,
    /// The load at its end.
    pub load_to: f64,
}

impl StageSpan {
    /// The load at that time of the run, from the stage's start to its end.
    pub fn load_at(&self, at: Duration) -> f64 {
        let length = self.end.saturating_sub(self.at).as_secs_f64();
        if at <= self.at || length <= 0.0 {
            return self.load_from;
        }
        let part = (at.saturating_sub(self.at).as_secs_f64() / length).min(1.0);
        self.load_from + (self.load_to - self.load_from) * part
    }
}

/// The stages of a plan; none where its load has no stages.
pub fn spans(plan: &Plan) -> Vec<StageSpan> {
    let own = |load: f64| match &plan.load {
        Load::Open { .. } => load / f64::from(plan.segment.count()),
        // A number of users is a whole one: nothing is cut.
        _ => f64::from(plan.segment.share_of_users(load as u32)),
    };
    let mut spans = whole_spans(plan);
    for span in &mut spans {
        span.load_from = own(span.load_from);
        span.load_to = own(span.load_to);
    }
    spans
}

/// The same with the whole load.
fn whole_spans(plan: &Plan) -> Vec<StageSpan> {
    let parts: Vec<(Duration, f64)> = match &plan.load {
        Load::Staged { stages, .. } => stages
            .iter()
            .map(|stage| (stage.duration, f64::from(stage.target_vus)))
            .collect(),
        Load::Open {
            arrivals: Arrivals::Staged { stages, .. },
            ..
        } => stages
            .iter()
            .map(|stage| (stage.duration, stage.target_rate))
            .collect(),
        _ => Vec::new(),
    };
    let mut at = Duration::ZERO;
    let mut load_from = 0.0;
    parts
        .into_iter()
        .map(|(duration, load_to)| {
            let span = StageSpan {
                at,
                end: at + duration,
                load_from,
                load_to,
            };
            at = span.end;
            load_from = load_to;
            span
        })
        .collect()
}

/// Whether the plan's load changes over time.
pub fn changes_load(plan: &Plan) -> bool {
    match &plan.load {
        Load::Closed { ramp_up, .. } => !ramp_up.is_zero(),
        Load::Staged { .. } => true,
        Load::Open { arrivals, .. } => matches!(arrivals, Arrivals::Staged { .. }),
    }
}

/// Whether the plan kept its load for this long before `at`, or from its start:
/// what happens then comes with time, and is not the load's doing.
pub fn is_load_steady(plan: &Plan, at: Duration) -> bool {
    let stages = user_stages(plan);
    let load_at = |at: Duration| match &stages {
        Some(stages) => f64::from(stages.target(at)),
        None => rate_at(plan, at),
    };
    // Of users, the whole: a part of a slow ramp stands still for a while.
    let load = load_at(at);
    let from = at.saturating_sub(STEADY_FOR);
    (0..=STEADY_LOOKS).all(|look| {
        let then = from + (at - from) * look / STEADY_LOOKS;
        (load_at(then) - load).abs() <= load * STEADY_TOLERANCE
    })
}

/// The arrivals of the whole load, for open plans: each worker of each host finds
/// its own in them.
pub fn arrival_schedule(plan: &Plan) -> Option<ArrivalSchedule> {
    let Load::Open { arrivals, .. } = &plan.load else {
        return None;
    };
    Some(match arrivals {
        Arrivals::Rate { per_second, .. } => steady_arrivals(plan, *per_second),
        Arrivals::Staged { .. } => {
            let segments: Vec<_> = whole_spans(plan)
                .iter()
                .map(|span| RateSegment {
                    from: rate(span.load_from),
                    to: rate(span.load_to),
                    length: span.end - span.at,
                })
                .collect();
            ArrivalSchedule::rates(&segments, spacing(plan))
        }
        Arrivals::Bursts(burst) => {
            ArrivalSchedule::bursts(burst.size, burst.every, arrival_length(plan))
        }
    })
}

/// Arrivals at one rate, spread as those of an open plan and for as long.
pub fn steady_arrivals(plan: &Plan, per_second: f64) -> ArrivalSchedule {
    let hold = RateSegment::hold(rate(per_second), arrival_length(plan));
    ArrivalSchedule::rates(&[hold], spacing(plan))
}

fn spacing(plan: &Plan) -> Spacing {
    match &plan.load {
        Load::Open {
            arrivals:
                Arrivals::Rate {
                    distribution: Distribution::Poisson,
                    ..
                }
                | Arrivals::Staged {
                    distribution: Distribution::Poisson,
                    ..
                },
            ..
        } => Spacing::Poisson { seed: plan.seed },
        _ => Spacing::Constant,
    }
}

/// How long arrivals come. Without a time that ends the run, something else will.
pub fn arrival_length(plan: &Plan) -> Duration {
    plan.stop.duration.unwrap_or(LENGTH_MAX)
}

/// Longer than any run.
const LENGTH_MAX: Duration = Duration::from_secs(366 * 86_400);

/// A plan's rate, which its resolution has checked.
fn rate(per_second: f64) -> Rate {
    Rate::per_second(per_second).unwrap_or(Rate::ZERO)
}

/// The arrival rate that an open plan intends at a time for its segment, a second.
pub fn rate_at(plan: &Plan, now: Duration) -> f64 {
    let Load::Open { arrivals, .. } = &plan.load else {
        return 0.0;
    };
    match arrivals {
        Arrivals::Rate { per_second, .. } => per_second / f64::from(plan.segment.count()),
        Arrivals::Bursts(burst) => {
            f64::from(burst.size) / burst.every.as_secs_f64() / f64::from(plan.segment.count())
        }
        Arrivals::Staged { .. } => {
            let spans = spans(plan);
            match spans.iter().find(|span| now < span.end) {
                Some(span) => span.load_at(now),
                None => spans.last().map_or(0.0, |last| last.load_to),
            }
        }
    }
}

/// The highest rate of arrivals until then at which they were served, of the open model:
/// what was planned and not begun is no load.
///
/// `kept_up` says of each second whether its arrivals were begun in time. A rate was
/// reached where most of its seconds are so: one hiccup of a long stay is no limit, nor
/// does a queue that hides the first second of one make it reached. `begun_per_sec` is
/// what the whole run came to: as much was served in any case.
pub fn rate_served(plan: &Plan, until: Duration, kept_up: &[bool], begun_per_sec: f64) -> f64 {
    let spans = spans(plan);
    let mut by_rate: Vec<(f64, usize, usize)> = Vec::new();
    for (at, kept_up) in (0..).zip(kept_up) {
        let from = Duration::from_secs(at);
        if from >= until {
            break;
        }
        let to = until.min(from + Duration::from_secs(1));
        let within = spans
            .iter()
            .filter(|span| span.at < to && span.end > from)
            .map(|span| {
                let ends = [from.max(span.at), to.min(span.end)];
                ends.map(|now| span.load_at(now))
                    .into_iter()
                    .fold(0.0, f64::max)
            });
        let rate = within.reduce(f64::max);
        let rate = rate.unwrap_or_else(|| rate_at(plan, from));
        let kept_up = usize::from(*kept_up);
        match by_rate.last_mut().filter(|(of, ..)| *of == rate) {
            Some((_, n_kept_up, n)) => (*n_kept_up, *n) = (*n_kept_up + kept_up, *n + 1),
            None => by_rate.push((rate, kept_up, 1)),
        }
    }
    let reached = by_rate
        .iter()
        .filter(|(_, n_kept_up, n)| 2 * n_kept_up > *n);
    let reached = reached.map(|(rate, ..)| *rate).fold(0.0, f64::max);
    let planned = by_rate.iter().map(|(rate, ..)| *rate).fold(0.0, f64::max);
    reached.max(begun_per_sec.min(planned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, Source, load};

    fn plan(settings: &str) -> Plan {
        let text = format!("{settings}\n[[scenario]]\ntype = \"tools/list\"\n");
        let source = Source {
            path: "test.toml".into(),
            text,
        };
        let overrides = Overrides {
            url: Some("http://127.0.0.1:1/mcp".to_string()),
            ..Overrides::default()
        };
        load(Some(&source), &overrides, &|_| None, 1).expect("a plan without faults")
    }

    /// Segment `index`, from 0, of `count` of this plan.
    fn part(plan: &Plan, index: u32, count: u32) -> Plan {
        Plan {
            segment: Segment::new(index, count).expect("a segment"),
            ..plan.clone()
        }
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Runs a controller as the loop does, with nothing happening but time.
    fn actions(controller: &mut Controller, until: Duration) -> Vec<(u128, LoadAction)> {
        let mut now = Duration::ZERO;
        let mut actions = Vec::new();
        while now <= until {
            for action in controller.decide(now, Happening::Nothing) {
                actions.push((now.as_millis(), action));
            }
            match controller.next_decision(now) {
                Some(next) if next > now => now = next,
                Some(_) => now += ms(1),
                None => break,
            }
        }
        actions
    }

    #[test]
    fn a_load_is_steady_once_it_has_not_changed_for_a_while() {
        let check = |settings: &str, at_secs: u64, expected: bool| {
            let plan = plan(settings);
            let at = Duration::from_secs(at_secs);
            assert_eq!(is_load_steady(&plan, at), expected, "{settings} {at_secs}");
        };
        let steady = "[settings]\nvirtual_users = 2\nduration = \"60s\"";
        check(steady, 3, true);
        check(steady, 50, true);
        let ramped = "[settings]\nvirtual_users = 20\nduration = \"60s\"\nramp_up = \"5s\"";
        check(ramped, 3, false);
        check(ramped, 8, false);
        check(ramped, 20, true);
        let stages = "[settings]\n[[stage]]\ntarget_vus = 30\nduration = \"30s\"\n\
                      [[stage]]\ntarget_vus = 30\nduration = \"60s\"";
        check(stages, 20, false);
        check(stages, 35, false);
        check(stages, 50, true);
    }

    #[test]
    fn a_flat_run_starts_all_users_and_ends_in_good_order() {
        let plan =
            plan("[settings]\nvirtual_users = 7\nduration = \"10s\"\ngraceful_stop = \"3s\"");
        assert_eq!(
            actions(&mut Controller::new(&plan), ms(60_000)),
            [
                (0, LoadAction::SetUsers(7)),
                (10_000, LoadAction::Stop(Ended::Duration)),
                (13_000, LoadAction::CancelCalls),
                (15_500, LoadAction::CancelAll),
            ]
        );
    }

    #[test]
    fn calls_get_a_second_at_most_where_a_threshold_ends_the_run() {
        let check = |graceful_stop: &str, cancelled_at: u64| {
            let plan = plan(&format!(
                "[settings]\nduration = \"30s\"\ngraceful_stop = \"{graceful_stop}\""
            ));
            let mut controller = Controller::new(&plan);
            controller.decide(ms(0), Happening::Nothing);
            let stop = controller.decide(ms(14_000), Happening::End(Ended::Threshold));
            assert_eq!(stop, [LoadAction::Stop(Ended::Threshold)]);
            assert_eq!(controller.next_decision(ms(14_000)), Some(ms(cancelled_at)));
            let cancel = controller.decide(ms(cancelled_at), Happening::End(Ended::Threshold));
            assert_eq!(cancel, [LoadAction::CancelCalls]);
        };
        check("15s", 15_000);
        check("300ms", 14_300);
    }

    #[test]
    fn stages_move_one_user_at_a_time() {
        let stages = "[[stage]]\ntarget_vus = 4\nduration = \"4s\"\n\
                      [[stage]]\ntarget_vus = 2\nduration = \"2s\"";
        let plan = plan(stages);
        let mut controller = Controller::new(&plan);
        let targets: Vec<u32> = actions(&mut controller, ms(6_000))
            .into_iter()
            .filter_map(|(_, action)| match action {
                LoadAction::SetUsers(users) => Some(users),
                _ => None,
            })
            .collect();
        assert_eq!(targets, [0, 1, 2, 3, 4, 3, 2]);
        assert_eq!(controller.stopped(), Some((ms(6_000), Ended::Duration)));
    }

    #[test]
    fn a_second_interrupt_ends_at_once() {
        let plan = plan("[settings]\nvirtual_users = 1\nduration = \"10s\"");
        let mut controller = Controller::new(&plan);
        controller.decide(Duration::ZERO, Happening::Nothing);
        let first = controller.decide(ms(100), Happening::Interrupt);
        assert_eq!(first, [LoadAction::Stop(Ended::Interrupted)]);
        let second = controller.decide(ms(200), Happening::Interrupt);
        assert_eq!(second, [LoadAction::CancelAll]);
        // The time of the plan's end changes nothing any more.
        controller.decide(ms(20_000), Happening::Nothing);
        assert_eq!(controller.stopped(), Some((ms(100), Ended::Interrupted)));
    }

    #[test]
    fn iterations_end_a_run_that_has_no_duration() {
        let plan = plan("[settings]\nvirtual_users = 1\niterations = 5");
        let mut controller = Controller::new(&plan);
        controller.decide(Duration::ZERO, Happening::Nothing);
        assert_eq!(controller.next_decision(Duration::ZERO), None);
        let actions = controller.decide(ms(50), Happening::End(Ended::Iterations));
        assert_eq!(actions, [LoadAction::Stop(Ended::Iterations)]);
    }

    /// Loads of every kind.
    const LOADS: [&str; 7] = [
        "[settings]\nvirtual_users = 17\nduration = \"5s\"",
        "[settings]\nvirtual_users = 17\nduration = \"5s\"\nramp_up = \"3s\"\niterations = 101",
        "[[stage]]\ntarget_vus = 13\nduration = \"2s\"\n[[stage]]\ntarget_vus = 13\n\
         duration = \"1s\"\n[[stage]]\ntarget_vus = 0\nduration = \"2s\"",
        "[settings]\nduration = \"5s\"\n[arrivals]\nrate = \"37/s\"\nmax_vus = 11",
        "[settings]\nduration = \"5s\"\n[arrivals]\nrate = \"37/s\"\ndistribution = \"poisson\"",
        "[arrivals]\ndistribution = \"poisson\"\n[[stage]]\ntarget_rate = \"50/s\"\n\
         duration = \"2s\"\n[[stage]]\ntarget_rate = \"5/s\"\nduration = \"3s\"",
        "[settings]\nduration = \"5s\"\n[arrivals]\nburst = 7\nevery = \"800ms\"",
    ];

    #[test]
    fn the_segments_of_every_load_add_up_to_the_whole() {
        for settings in LOADS {
            let whole = plan(settings);
            for count in [1, 2, 3, 7, 11] {
                let parts: Vec<Plan> = (0..count).map(|at| part(&whole, at, count)).collect();
                check_parts(settings, &whole, &parts);
            }
        }
    }

    fn check_parts(settings: &str, whole: &Plan, parts: &[Plan]) {
        let name = format!("{} parts of {settings}", parts.len());
        let of_all: u32 = parts.iter().map(Plan::vus_max).sum();
        assert_eq!(of_all, whole.vus_max(), "{name}");
        let of_all: u64 = parts.iter().filter_map(Plan::iterations).sum();
        assert_eq!(of_all, whole.iterations().unwrap_or(0), "{name}");
        let all = Controller::new(whole);
        let controllers: Vec<_> = parts.iter().map(Controller::new).collect();
        for at in (0..60).map(|step| ms(step * 97)) {
            let users: u32 = controllers.iter().map(|own| own.users_at(at)).sum();
            assert_eq!(users, all.users_at(at), "{name} at {at:?}");
            let rate: f64 = parts.iter().map(|part| rate_at(part, at)).sum();
            assert!((rate - rate_at(whole, at)).abs() < 1e-6, "{name} at {at:?}");
        }
        for (at, span) in spans(whole).iter().enumerate() {
            let load: f64 = parts.iter().map(|part| spans(part)[at].load_to).sum();
            assert!((load - span.load_to).abs() < 1e-6, "{name}");
        }
        let Some(schedule) = arrival_schedule(whole) else {
            return;
        };
        let due: Vec<Duration> = schedule.shard(Segment::WHOLE).collect();
        assert!(due.len() > 40, "{name}");
        for (at, part) in parts.iter().enumerate() {
            let own = arrival_schedule(part).expect("an open plan");
            let own: Vec<Duration> = own.shard(part.segment).collect();
            let of_whole = due.iter().skip(at).step_by(parts.len()).copied();
            assert_eq!(
                own,
                of_whole.collect::<Vec<_>>(),
                "{name}, {}",
                part.segment
            );
        }
    }

    /// A segment's users come and go when those of the whole do, by their number.
    #[test]
    fn a_segment_of_a_ramp_takes_its_steps_of_it() {
        let stages = "[[stage]]\ntarget_vus = 8\nduration = \"8s\"";
        let second = part(&plan(stages), 1, 4);
        let mut controller = Controller::new(&second);
        let changes: Vec<_> = actions(&mut controller, ms(7_999))
            .into_iter()
            .filter(|(_, action)| matches!(action, LoadAction::SetUsers(_)))
            .collect();
        let users = LoadAction::SetUsers;
        // The second and the sixth user of the whole.
        assert_eq!(
            changes,
            [(0, users(0)), (1_500, users(1)), (5_500, users(2))]
        );
    }

    #[test]
    fn the_rate_of_arrivals_follows_the_stages() {
        let plan = plan(
            "[arrivals]\ndistribution = \"constant\"\n\
             [[stage]]\ntarget_rate = \"100/s\"\nduration = \"10s\"\n\
             [[stage]]\ntarget_rate = \"50/s\"\nduration = \"10s\"",
        );
        for (at_ms, expected) in [(0, 0.0), (5_000, 50.0), (10_000, 100.0), (15_000, 75.0)] {
            let rate = rate_at(&plan, ms(at_ms));
            assert!((rate - expected).abs() < 1e-9, "{at_ms} ms: {rate}");
        }
        let schedule = arrival_schedule(&plan).expect("an open plan");
        assert_eq!(schedule.shard(Segment::WHOLE).count(), 500 + 750);
    }

    #[test]
    fn a_rate_is_reached_where_its_arrivals_are_begun() {
        let check = |settings: &str, secs: u64, kept_up: &[bool], begun: f64, expected: f64| {
            let plan = plan(&format!("[settings]\n{settings}"));
            let found = rate_served(&plan, Duration::from_secs(secs), kept_up, begun);
            assert!((found - expected).abs() < 1e-9, "{settings}: {found}");
        };
        let steady = "duration = \"4s\"\n[arrivals]\nrate = \"400/s\"";
        check(steady, 4, &[true; 4], 400.0, 400.0);
        // A hiccup, and what comes after the load.
        check(
            steady,
            4,
            &[true, false, true, true, false, false],
            399.0,
            400.0,
        );
        // A queue hides what the first second lacks.
        check(steady, 4, &[true, false, false, false], 199.0, 199.0);
        check(steady, 4, &[false; 4], 199.0, 199.0);
        check(steady, 4, &[], 0.0, 0.0);
        let rising =
            "[arrivals]\nmax_vus = 5\n[[stage]]\ntarget_rate = \"400/s\"\nduration = \"4s\"";
        check(rising, 4, &[true; 4], 200.0, 400.0);
        check(rising, 4, &[true, true, false, false], 150.0, 200.0);
        check(rising, 3, &[true, true, true], 150.0, 300.0);
    }
}
