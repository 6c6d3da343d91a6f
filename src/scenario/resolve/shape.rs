//! How much load there is and when it ends: users, stages or arrivals, and
//! what does not go with each of them.

use std::time::Duration;

use super::{Resolver, YEAR};
use crate::load::{Burst, Distribution, RateStage, ThinkTime, VuStage};
use crate::scenario::defaults::{DURATION, MAX_VUS, QUEUE_PER_VU, RATE_MAX, VUS, VUS_MAX};
use crate::scenario::document::{Field, Origin};
use crate::scenario::overrides::STAGES_FORM;
use crate::scenario::plan::{Arrivals, Load, StopRule};
use crate::scenario::raw::{ArrivalsEntry, StageEntry, key_of};
use crate::units::{self, format_duration};

/// What says how much load there is, and when.
pub(super) struct Shape {
    pub(super) vus: Field<u32>,
    pub(super) duration_secs: Field<Duration>,
    pub(super) duration: Field<Duration>,
    pub(super) iterations: Field<u64>,
    pub(super) ramp_up: Field<Duration>,
    pub(super) pacing: Field<Duration>,
    pub(super) think: Field<ThinkTime>,
    pub(super) pause_after_call: Field<Duration>,
    pub(super) warm_up: Field<Duration>,
}

impl Resolver<'_> {
    /// How much load, and when it ends.
    pub(super) fn load(
        &mut self,
        shape: &Shape,
        stages: Field<Vec<StageEntry>>,
        arrivals: Field<ArrivalsEntry>,
    ) -> (Load, StopRule) {
        let is_open = arrivals.is_given() || self.overrides.rate.is_some();
        let (load, staged) = if is_open {
            self.open_load(shape, stages, arrivals)
        } else {
            self.closed_load(shape, stages)
        };
        let stop = self.stop_rule(shape, staged);
        if let (Some(warm_up), Some(duration)) = (shape.warm_up.value, stop.duration)
            && let Some(origin) = &shape.warm_up.origin
            && warm_up >= duration
        {
            let accepted = format!("less than the run's {}", format_duration(duration));
            self.document
                .blame(origin, "leaves nothing to measure", Some(&accepted));
        }
        (load, stop)
    }

    /// The load, and the sum of its stages where it has any.
    fn closed_load(
        &mut self,
        shape: &Shape,
        stages: Field<Vec<StageEntry>>,
    ) -> (Load, Option<Duration>) {
        if self.overrides.max_vus.is_some() {
            self.document.report_flag(
                "--max-vus",
                "bounds the users that serve arrivals, of which there are none",
                Some("`--vus`, or `--rate` beside it"),
            );
        }
        if let (Some(origin), true) = (&shape.think.origin, shape.pacing.is_given()) {
            let message = "does not go with `pacing`, which says when the next iteration starts";
            self.document.blame(origin, message, Some("one of the two"));
        }
        let pacing = self.above_zero(&shape.pacing);
        if let Some((origin, stages)) = self.vu_stages(stages) {
            self.check_beside_stages(shape);
            let total = self.total(&origin, stages.iter().map(|stage| stage.duration));
            return (Load::Staged { stages, pacing }, Some(total));
        }
        let vus = shape.vus.clone().or_flag("--vus", self.overrides.vus);
        let ramp_up = shape.ramp_up.value.unwrap_or_default();
        let load = Load::Closed {
            vus: self.count(&vus).unwrap_or(VUS),
            ramp_up,
            pacing,
        };
        (load, None)
    }

    /// The stages of a closed run, of the flag or else of the config. `None`:
    /// there are none.
    fn vu_stages(&self, configured: Field<Vec<StageEntry>>) -> Option<(Origin, Vec<VuStage>)> {
        let (origin, stages) = match &self.overrides.stages {
            Some(stages) => (Origin::Flag("--stage"), stages.clone()),
            None => {
                let origin = configured.origin?;
                let mut stages = Vec::new();
                let entries = configured.value.unwrap_or_default();
                let n_entries = entries.len();
                for entry in entries {
                    stages.extend(self.vu_stage(entry));
                }
                if stages.len() < n_entries {
                    // Some are at fault: what the others add up to says nothing.
                    return Some((origin, stages));
                }
                if stages.is_empty() {
                    return None;
                }
                (origin, stages)
            }
        };
        let accepted = Some(STAGES_FORM);
        if stages.is_empty() {
            self.document.blame(&origin, "has no stage", accepted);
        } else if stages.iter().any(|stage| stage.duration.is_zero()) {
            let message = "has a stage of no duration";
            self.document.blame(&origin, message, accepted);
        } else if stages.iter().all(|stage| stage.target_vus == 0) {
            let message = "never has a user";
            self.document
                .blame(&origin, message, Some("a stage with at least 1 user"));
        } else if stages.iter().any(|stage| stage.target_vus > VUS_MAX) {
            let message = format!("has a stage of more than {VUS_MAX} users");
            self.document.blame(&origin, message, accepted);
        }
        Some((origin, stages))
    }

    fn vu_stage(&self, entry: StageEntry) -> Option<VuStage> {
        if let Some(origin) = &entry.target_rate.origin {
            let message = "is for arrivals, of which there are none";
            let accepted = Some("`target_vus`, or the table `[arrivals]` beside it");
            self.document.blame(origin, message, accepted);
        } else if !entry.target_vus.is_given() {
            let accepted = Some("the users at its end, such as `target_vus = 10`");
            self.document
                .report(&entry.place, "the stage has no target", accepted);
        }
        Some(VuStage {
            duration: entry.duration.value?,
            target_vus: entry.target_vus.value?,
        })
    }

    /// What says nothing, or something else, where stages say how many users
    /// there are and for how long.
    fn check_beside_stages(&self, shape: &Shape) {
        if self.overrides.vus.is_some() {
            let message = "does not go with stages, which say how many users there are";
            let accepted = Some("`--stage 30s:50`, which takes the place of all stages");
            self.document.report_flag("--vus", message, accepted);
        }
        if let Some(origin) = &shape.ramp_up.origin {
            let message = "does not go with stages, which ramp by themselves";
            self.document.blame(origin, message, Some("a first stage"));
        }
    }

    fn open_load(
        &mut self,
        shape: &Shape,
        stages: Field<Vec<StageEntry>>,
        arrivals: Field<ArrivalsEntry>,
    ) -> (Load, Option<Duration>) {
        let origin = arrivals.origin.clone().unwrap_or(Origin::Flag("--rate"));
        let is_readable = arrivals.value.is_some() || !arrivals.is_given();
        let entry = arrivals.value.unwrap_or_default();
        self.check_beside_arrivals(shape);
        let distribution = entry.distribution.value.unwrap_or_default();
        let rate = entry.rate.or_flag("--rate", self.overrides.rate);
        let rate_is_flag = matches!(rate.origin, Some(Origin::Flag(_)));
        let burst_origin = entry.burst.origin.as_ref().or(entry.every.origin.as_ref());
        // The flag takes the place of the config's bursts as of its rate.
        let burst_origin = burst_origin.filter(|_| !rate_is_flag);
        let stages_origin = stages.origin.clone();

        let mut given = [rate.origin.as_ref(), burst_origin, stages_origin.as_ref()]
            .into_iter()
            .flatten();
        match (given.next(), given.next()) {
            (None, _) if is_readable => self.document.blame(
                &origin,
                "nothing says when iterations start",
                Some(
                    "`rate = \"200/s\"`, `burst = 10` with `every = \"5s\"`, \
                     or stages with `target_rate`",
                ),
            ),
            (Some(first), Some(second)) => {
                let message = format!("does not go with `{}`", key_of(second));
                let accepted = "one of a rate, bursts and stages";
                self.document.blame(first, message, Some(accepted));
            }
            _ => {}
        }

        let mut staged = None;
        let mut burst_size = 0;
        let arrivals = if let Some(origin) = &stages_origin {
            let stages = self.rate_stages(stages);
            staged = Some(self.total(origin, stages.iter().map(|stage| stage.duration)));
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
            if let (false, Some(origin)) = (is_possible, &rate.origin) {
                let accepted = format!("{} up to {RATE_MAX}/s", units::RATE_FORM);
                self.document
                    .blame(origin, "is out of bounds", Some(&accepted));
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
    fn check_beside_arrivals(&mut self, shape: &Shape) {
        let accepted = Some("either arrivals or this");
        let refuse = |origin: &Option<Origin>, message: &str| {
            if let Some(origin) = origin {
                self.document.blame(origin, message, accepted);
            }
        };
        let starts = "does not go with arrivals, which say when iterations start";
        refuse(&shape.pacing.origin, starts);
        refuse(&shape.think.origin, starts);
        refuse(&shape.pause_after_call.origin, starts);
        let ramps = "does not go with arrivals; stages with `target_rate` ramp them";
        refuse(&shape.ramp_up.origin, ramps);
        if self.overrides.vus.is_some() {
            let message = "does not go with arrivals, which are served by a pool of users";
            self.document
                .report_flag("--vus", message, Some("`--max-vus`"));
        }
        if self.overrides.stages.is_some() {
            let message = "sets numbers of users, which do not go with arrivals";
            let accepted = Some("`[[stage]]` with `target_rate` in the config");
            self.document.report_flag("--stage", message, accepted);
        }
        if shape.vus.is_given() {
            self.notices.push(
                "`settings.virtual_users` is ignored: `arrivals.max_vus` bounds the users that \
                 serve arrivals"
                    .to_string(),
            );
        }
    }

    fn rate_stages(&self, configured: Field<Vec<StageEntry>>) -> Vec<RateStage> {
        let entries = configured.value.unwrap_or_default();
        let n_entries = entries.len();
        let mut stages = Vec::new();
        for entry in entries {
            stages.extend(self.rate_stage(entry));
        }
        if let Some(origin) = &configured.origin
            && stages.len() == n_entries
        {
            if stages.is_empty() {
                let message = "has no stage";
                self.document.blame(origin, message, None);
            } else if stages.iter().all(|stage| stage.target_rate <= 0.0) {
                let message = "never has an arrival";
                let accepted = Some("a stage with a rate above `0/s`");
                self.document.blame(origin, message, accepted);
            }
        }
        stages
    }

    fn rate_stage(&self, entry: StageEntry) -> Option<RateStage> {
        if let Some(origin) = &entry.target_vus.origin {
            let message = "does not go with arrivals, which are served by a pool of users";
            let accepted = Some("`target_rate`, and `max_vus` under `[arrivals]`");
            self.document.blame(origin, message, accepted);
        } else if !entry.target_rate.is_given() {
            let accepted = Some("the rate at its end, such as `target_rate = \"200/s\"`");
            self.document
                .report(&entry.place, "the stage has no target", accepted);
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
        match (&size.origin, &every.origin) {
            (Some(origin), None) => self.document.blame(
                origin,
                "says how many arrivals, but not when",
                Some("`every = \"5s\"` beside it"),
            ),
            (None, Some(origin)) => self.document.blame(
                origin,
                "says when, but not how many arrivals",
                Some("`burst = 10` beside it"),
            ),
            _ => {}
        }
        if let Some(origin) = &distribution.origin {
            let message = "does not go with bursts, which come at fixed times";
            self.document.blame(origin, message, None);
        }
        let burst = Burst {
            size: size.value.unwrap_or(1),
            every: every.value.unwrap_or(Duration::from_secs(1)),
        };
        if let Some(origin) = &every.origin
            && f64::from(burst.size) > RATE_MAX * burst.every.as_secs_f64()
        {
            let accepted = format!("at most {RATE_MAX} arrivals a second");
            self.document.blame(origin, "is too short", Some(&accepted));
        }
        burst
    }

    /// When the run ends; `staged` is the sum of its stages.
    fn stop_rule(&mut self, shape: &Shape, staged: Option<Duration>) -> StopRule {
        let iterations = shape.iterations.value;
        if let (Some(0), Some(origin)) = (iterations, &shape.iterations.origin) {
            let accepted = Some("at least 1");
            self.document.blame(origin, "is zero", accepted);
        }
        let duration = match staged {
            Some(total) => {
                self.check_beside_total(shape, total);
                Some(total)
            }
            None => self.flat_duration(shape),
        };
        StopRule {
            duration,
            iterations,
        }
    }

    /// With stages, a duration of the whole run is one too many. Old configs
    /// had to have `duration_secs` all the same.
    fn check_beside_total(&mut self, shape: &Shape, total: Duration) {
        if let Some(origin) = &shape.duration.origin {
            let message = format!(
                "does not go with stages, which last {} in all",
                format_duration(total)
            );
            let accepted = Some("the duration of each stage");
            self.document.blame(origin, message, accepted);
        } else if shape
            .duration_secs
            .value
            .is_some_and(|duration| duration != total)
        {
            self.notices.push(format!(
                "`settings.duration_secs` is ignored: the stages last {} in all",
                format_duration(total)
            ));
        }
    }

    fn flat_duration(&mut self, shape: &Shape) -> Option<Duration> {
        let (old, new) = (&shape.duration_secs, &shape.duration);
        if let (Some(_), Some(origin @ Origin::File(_))) = (&old.origin, &new.origin) {
            let message = "says the same as `duration_secs`, which is there too";
            self.document.blame(origin, message, Some("one of the two"));
        }
        let field = if new.is_given() { new } else { old };
        let duration = self.above_zero(field);
        let duration = match (field.is_given(), shape.iterations.is_given()) {
            (true, _) => Some(duration.unwrap_or(DURATION)),
            (false, true) => None,
            (false, false) => Some(DURATION),
        };
        if let (Some(ramp_up), Some(duration)) = (shape.ramp_up.value, duration)
            && let Some(origin) = &shape.ramp_up.origin
            && ramp_up > duration
        {
            let accepted = format!("at most the run's {}", format_duration(duration));
            let message = "does not come to its end";
            self.document.blame(origin, message, Some(&accepted));
        }
        duration
    }

    /// The sum of stages; longer than a year is a fault.
    fn total(&self, origin: &Origin, durations: impl Iterator<Item = Duration>) -> Duration {
        let total = durations.fold(Duration::ZERO, Duration::saturating_add);
        if total > YEAR {
            self.document
                .blame(origin, "lasts longer than a year in all", None);
        }
        total
    }
}
