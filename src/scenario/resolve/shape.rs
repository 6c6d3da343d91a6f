//! How much load there is and when it ends: users, stages or arrivals, and
//! what does not go with each of them.

use std::time::Duration;

use super::{Resolver, YEAR};
use crate::load::{Burst, Distribution, RateStage, Segment, VuStage};
use crate::scenario::defaults::{DURATION, MAX_VUS, QUEUE_PER_VU, RATE_MAX, VUS, VUS_MAX};
use crate::scenario::document::{Field, Origin};
use crate::scenario::overrides::STAGES_FORM;
use crate::scenario::plan::{Arrivals, Load, Plan, StopRule};
use crate::scenario::raw::{ArrivalsEntry, Settings, StageEntry};
use crate::units::{self, format_duration};

impl Resolver<'_> {
    /// How much load, and when it ends.
    pub(super) fn load(
        &mut self,
        settings: &Settings,
        stages: Field<Vec<StageEntry>>,
        arrivals: Field<ArrivalsEntry>,
    ) -> (Load, StopRule) {
        let is_open = arrivals.is_given() || self.overrides.rate.is_some();
        let (load, staged) = if is_open {
            self.open_load(settings, stages, arrivals)
        } else {
            self.closed_load(settings, stages)
        };
        let stop = self.stop_rule(settings, staged);
        if let (Some(warm_up), Some(duration)) = (settings.warm_up.value, stop.duration)
            && warm_up >= duration
        {
            let accepted = format!("less than the run's {}", format_duration(duration));
            self.refuse(&settings.warm_up, "leaves nothing to measure", &*accepted);
        }
        (load, stop)
    }

    /// Which part of the load is this host's: one that has something to do.
    pub(super) fn segment(&self, plan: &Plan) -> Segment {
        let segment = self.overrides.segment.unwrap_or_default();
        let own = Plan {
            segment,
            ..plan.clone()
        };
        let (n, one, many) = match (own.iterations(), plan.iterations()) {
            _ if own.vus_max() == 0 && plan.vus_max() > 0 => {
                (u64::from(plan.vus_max()), "virtual user", "virtual users")
            }
            (Some(0), Some(n)) if n > 0 => (n, "iteration", "iterations"),
            _ => return segment,
        };
        let (all, parts) = (units::plural(n, one, many), segment.count());
        let message = format!("leaves {segment} without any {one}: {parts} parts share {all}");
        self.refuse_flag("--segment", message, "fewer parts, or more load");
        segment
    }

    /// The load, and the sum of its stages where it has any.
    fn closed_load(
        &mut self,
        settings: &Settings,
        stages: Field<Vec<StageEntry>>,
    ) -> (Load, Option<StagesTotal>) {
        if self.overrides.max_vus.is_some() && !self.document.is_mistyped("", &["arrivals"]) {
            self.refuse_flag(
                "--max-vus",
                "bounds the users that serve arrivals, and this run has no arrivals",
                "`--vus`, or `--rate` beside it",
            );
        }
        if settings.pacing.is_given() {
            let message = "does not go with `pacing`, which says when the next iteration starts";
            self.refuse(&settings.think, message, "one of the two");
        }
        let pacing = self.above_zero(&settings.pacing);
        let lengths = match &self.overrides.stages {
            Some(stages) => stages.iter().map(|stage| Some(stage.duration)).collect(),
            None => lengths_of(&stages),
        };
        if let Some((place, stages)) = self.vu_stages(stages) {
            self.check_beside_stages(settings);
            let total = self.total(&place, lengths);
            return (Load::Staged { stages, pacing }, Some(total));
        }
        let vus = settings
            .virtual_users
            .clone()
            .or_flag("--vus", self.overrides.vus);
        let ramp_up = settings.ramp_up.value.unwrap_or_default();
        let load = Load::Closed {
            vus: self.count(&vus).unwrap_or(VUS),
            ramp_up,
            pacing,
        };
        (load, None)
    }

    /// The stages of a closed run, of the flag or else of the config. `None`:
    /// it has no stages.
    fn vu_stages(&self, configured: Field<Vec<StageEntry>>) -> Option<(Origin, Vec<VuStage>)> {
        let (place, stages) = match &self.overrides.stages {
            Some(stages) => (Origin::flag("--stage"), stages.clone()),
            None => {
                let place = configured.origin?;
                let mut stages = Vec::new();
                let entries = configured.value.unwrap_or_default();
                let n_entries = entries.len();
                for entry in entries {
                    stages.extend(self.vu_stage(entry));
                }
                if stages.len() < n_entries {
                    // Some are at fault: what the others add up to says nothing.
                    return Some((place, stages));
                }
                if stages.is_empty() {
                    return None;
                }
                (place, stages)
            }
        };
        let report = |message: &str, accepted| self.document.report(&place, message, accepted);
        if stages.is_empty() {
            report("has no stage", STAGES_FORM);
        } else if stages.iter().any(|stage| stage.duration.is_zero()) {
            report("has a stage of no duration", STAGES_FORM);
        } else if stages.iter().all(|stage| stage.target_vus == 0) {
            report("never has a user", "a stage with at least 1 user");
        } else if stages.iter().any(|stage| stage.target_vus > VUS_MAX) {
            let message = format!("has a stage of more than {VUS_MAX} users");
            report(&message, STAGES_FORM);
        }
        Some((place, stages))
    }

    fn vu_stage(&self, entry: StageEntry) -> Option<VuStage> {
        if entry.target_rate.is_given() {
            if self.document.is_mistyped("", &["arrivals"]) {
                return None;
            }
            let message = "is for arrivals, and this run has no arrivals";
            let accepted = "`target_vus`, or the table `[arrivals]` beside it";
            self.refuse(&entry.target_rate, message, accepted);
        } else if !entry.target_vus.is_given() {
            let message = "the stage has no target";
            let accepted = "the users at its end, such as `target_vus = 10`";
            self.document
                .report_lack(&entry.place, &["target_vus"], message, accepted);
        }
        Some(VuStage {
            duration: entry.duration.value?,
            target_vus: entry.target_vus.value?,
        })
    }

    /// What says nothing, or something else, where stages say how many users
    /// there are and for how long.
    fn check_beside_stages(&self, settings: &Settings) {
        if self.overrides.vus.is_some() {
            let message = "does not go with stages, which say how many users there are";
            let accepted = "`--stage 30s:50`, which takes the place of all stages";
            self.refuse_flag("--vus", message, accepted);
        }
        let message = "does not go with stages, which ramp by themselves";
        self.refuse(&settings.ramp_up, message, "a first stage");
    }

    fn open_load(
        &mut self,
        settings: &Settings,
        stages: Field<Vec<StageEntry>>,
        arrivals: Field<ArrivalsEntry>,
    ) -> (Load, Option<StagesTotal>) {
        let place = arrivals.origin.clone().unwrap_or(Origin::flag("--rate"));
        let is_readable = arrivals.value.is_some() || !arrivals.is_given();
        let entry = arrivals.value.unwrap_or_default();
        self.check_beside_arrivals(settings);
        let distribution = entry.distribution.value.unwrap_or_default();
        let rate = entry.rate.or_flag("--rate", self.overrides.rate);
        let rate_is_flag = rate.origin.as_ref().is_some_and(Origin::is_flag);
        let burst_origin = entry.burst.origin.as_ref().or(entry.every.origin.as_ref());
        // The flag takes the place of the config's bursts as of its rate.
        let burst_origin = burst_origin.filter(|_| !rate_is_flag);
        let stages_origin = stages.origin.clone();

        let mut given = [rate.origin.as_ref(), burst_origin, stages_origin.as_ref()]
            .into_iter()
            .flatten();
        match (given.next(), given.next()) {
            (None, _) if is_readable => self.document.report(
                &place,
                "nothing says when iterations start",
                "`rate = \"200/s\"`, `burst = 10` with `every = \"5s\"`, \
                 or stages with `target_rate`",
            ),
            (Some(first), Some(second)) => {
                let message = format!("does not go with `{}`", second.key);
                let accepted = "one of a rate, bursts and stages";
                self.document.report(first, message, accepted);
            }
            _ => {}
        }

        let mut staged = None;
        let mut burst_size = 0;
        let arrivals = if let Some(place) = &stages_origin {
            let lengths = lengths_of(&stages);
            let stages = self.rate_stages(stages);
            staged = Some(self.total(place, lengths));
            Arrivals::Staged {
                stages,
                distribution,
            }
        } else if burst_origin.is_some() {
            let burst = self.burst(&entry.burst, &entry.every, &entry.distribution);
            burst_size = burst.size;
            Arrivals::Bursts(burst)
        } else {
            let per_second = rate.value.unwrap_or(1.0);
            let is_possible = per_second.is_finite() && per_second > 0.0 && per_second <= RATE_MAX;
            if !is_possible {
                let accepted = format!("{} up to {RATE_MAX}/s", units::RATE_FORM);
                self.refuse(&rate, "is out of bounds", &*accepted);
            }
            Arrivals::Rate {
                per_second,
                distribution,
            }
        };
        let max_vus = entry.max_vus.or_flag("--max-vus", self.overrides.max_vus);
        let max_vus = self.count(&max_vus).unwrap_or(MAX_VUS.max(burst_size));
        let queue_max = entry
            .queue_max
            .value
            .unwrap_or(max_vus.saturating_mul(QUEUE_PER_VU));
        let load = Load::Open {
            arrivals,
            max_vus,
            queue_max,
        };
        (load, staged)
    }

    /// What only users who start their iterations themselves obey.
    fn check_beside_arrivals(&mut self, settings: &Settings) {
        let accepted = "either arrivals or this";
        let starts = "does not go with arrivals, which say when iterations start";
        self.refuse(&settings.pacing, starts, accepted);
        self.refuse(&settings.think, starts, accepted);
        self.refuse(&settings.request_interval_ms, starts, accepted);
        let ramps = "does not go with arrivals; stages with `target_rate` ramp them";
        self.refuse(&settings.ramp_up, ramps, accepted);
        if self.overrides.vus.is_some() {
            let message = "does not go with arrivals, which are served by a pool of users";
            self.refuse_flag("--vus", message, "`--max-vus`");
        }
        if self.overrides.stages.is_some() {
            let message = "sets numbers of users, which do not go with arrivals";
            let accepted = "`[[stage]]` with `target_rate` in the config";
            self.refuse_flag("--stage", message, accepted);
        }
        if settings.virtual_users.is_given() {
            self.notices.push(
                "`settings.virtual_users` is ignored: `arrivals.max_vus` bounds the users that \
                 serve arrivals"
                    .to_string(),
            );
        }
    }

    fn rate_stages(&self, mut configured: Field<Vec<StageEntry>>) -> Vec<RateStage> {
        let entries = configured.value.take().unwrap_or_default();
        let n_entries = entries.len();
        let mut stages = Vec::new();
        for entry in entries {
            stages.extend(self.rate_stage(entry));
        }
        if stages.len() < n_entries {
            return stages;
        }
        if stages.is_empty() {
            self.refuse(&configured, "has no stage", None);
        } else if stages.iter().all(|stage| stage.target_rate <= 0.0) {
            let accepted = "a stage with a rate above `0/s`";
            self.refuse(&configured, "never has an arrival", accepted);
        }
        stages
    }

    fn rate_stage(&self, entry: StageEntry) -> Option<RateStage> {
        if entry.target_vus.is_given() {
            let message = "does not go with arrivals, which are served by a pool of users";
            let accepted = "`target_rate`, and `max_vus` under `[arrivals]`";
            self.refuse(&entry.target_vus, message, accepted);
        } else if !entry.target_rate.is_given() {
            let message = "the stage has no target";
            let accepted = "the rate at its end, such as `target_rate = \"200/s\"`";
            self.document
                .report_lack(&entry.place, &["target_rate"], message, accepted);
        }
        Some(RateStage {
            duration: entry.duration.value?,
            target_rate: entry.target_rate.value?,
        })
    }

    fn burst(
        &self,
        size: &Field<u32>,
        every: &Field<Duration>,
        distribution: &Field<Distribution>,
    ) -> Burst {
        if !every.is_given() {
            let message = "says how many arrivals, but not when";
            self.refuse(size, message, "`every = \"5s\"` beside it");
        } else if !size.is_given() {
            let message = "says when, but not how many arrivals";
            self.refuse(every, message, "`burst = 10` beside it");
        }
        let message = "does not go with bursts, which come at fixed times";
        self.refuse(distribution, message, None);
        let burst = Burst {
            size: size.value.unwrap_or(1),
            every: every.value.unwrap_or(Duration::from_secs(1)),
        };
        if f64::from(burst.size) > RATE_MAX * burst.every.as_secs_f64() {
            let accepted = format!("at most {RATE_MAX} arrivals a second");
            self.refuse(every, "is too short", &*accepted);
        }
        burst
    }

    /// When the run ends; `staged` is the sum of its stages.
    fn stop_rule(&mut self, settings: &Settings, staged: Option<StagesTotal>) -> StopRule {
        let iterations = settings.iterations.value;
        if iterations == Some(0) {
            self.refuse(&settings.iterations, "is zero", "at least 1");
        }
        let duration = match staged {
            Some(StagesTotal(total)) => {
                self.check_beside_total(settings, total);
                total
            }
            None => self.flat_duration(settings),
        };
        StopRule {
            duration,
            iterations,
        }
    }

    /// With stages, a duration of the whole run is one too many. Old configs
    /// had to have `duration_secs` all the same.
    fn check_beside_total(&mut self, settings: &Settings, total: Option<Duration>) {
        if settings.duration.is_given() {
            let say = match total {
                Some(total) => format!("last {} in all", format_duration(total)),
                None => "say how long the run lasts".to_string(),
            };
            let message = format!("does not go with stages, which {say}");
            self.refuse(&settings.duration, message, "the duration of each stage");
        } else if let (Some(duration), Some(total)) = (settings.duration_secs.value, total)
            && duration != total
        {
            self.notices.push(format!(
                "`settings.duration_secs` is ignored: the stages last {} in all",
                format_duration(total)
            ));
        }
    }

    fn flat_duration(&mut self, settings: &Settings) -> Option<Duration> {
        let (old, new) = (&settings.duration_secs, &settings.duration);
        if old.is_given() && !new.origin.as_ref().is_some_and(Origin::is_flag) {
            let message = "says the same as `duration_secs`, which is there too";
            self.refuse(new, message, "one of the two");
        }
        let field = if new.is_given() { new } else { old };
        let duration = self.above_zero(field);
        let duration = match (field.is_given(), settings.iterations.is_given()) {
            (true, _) => Some(duration.unwrap_or(DURATION)),
            (false, true) => None,
            (false, false) => Some(DURATION),
        };
        if let (Some(ramp_up), Some(duration)) = (settings.ramp_up.value, duration)
            && ramp_up > duration
        {
            let accepted = format!("at most the run's {}", format_duration(duration));
            self.refuse(&settings.ramp_up, "is longer than the run", &*accepted);
        }
        duration
    }

    /// The sum of stages; longer than a year is a fault.
    fn total(&self, place: &Origin, lengths: Vec<Option<Duration>>) -> StagesTotal {
        let is_any = !lengths.is_empty();
        let add = |sum: Duration, length: Option<Duration>| Some(sum.saturating_add(length?));
        let total = lengths.into_iter().try_fold(Duration::ZERO, add);
        let total = total.filter(|_| is_any);
        if total.is_some_and(|total| total > YEAR) {
            let message = "lasts longer than a year in all";
            self.document.report(place, message, None);
        }
        StagesTotal(total)
    }
}

/// How long all stages last, whatever else is wrong with them; `None`: one does not say it,
/// or there is none, which is a fault.
struct StagesTotal(Option<Duration>);

/// How long each stage lasts, where that can be read.
fn lengths_of(stages: &Field<Vec<StageEntry>>) -> Vec<Option<Duration>> {
    let entries = stages.value.iter().flatten();
    entries.map(|entry| entry.duration.value).collect()
}
