//! Thresholds of config and command line, against what the plan really does.

use std::collections::HashSet;
use std::time::Duration;

use super::Resolver;
use crate::error::nearest;
use crate::protocol::{Method, Operation};
use crate::scenario::document::{Field, Origin};
use crate::scenario::fault::quoted;
use crate::scenario::plan::{Action, Arrivals, Flow, Load, Plan};
use crate::scenario::raw::{FlowEntry, PopulationEntry, ThresholdEntry};
use crate::scenario::shown::Shown;
use crate::template;
use crate::threshold::{
    Limit, Metric, Selector, SelectorKind, Severity, Statistic, THRESHOLDS_MAX, Threshold, parse,
};
use crate::units::{few_of, format_duration};

/// Names told in a message.
const NAMES_TOLD: usize = 12;

/// What selectors may name: each as it is, and as it is shown.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<(SelectorKind, Shown<String>)>,
    known: HashSet<(SelectorKind, String, String)>,
    has_arrivals: bool,
    has_several_targets: bool,
}

impl Names {
    /// Those of what will be done.
    fn of_plan(plan: &Plan) -> Self {
        let mut names = Self {
            has_arrivals: matches!(plan.load, Load::Open { .. }),
            has_several_targets: plan.has_several_targets(),
            ..Self::default()
        };
        let is_done = |flow: &&Flow| flow.weight > 0;
        for flow in plan.flows.iter().filter(is_done) {
            let shown = |name: &Option<String>| name.clone().map(Shown::from);
            names.add_name(SelectorKind::Flow, shown(&flow.name).as_ref());
            for step in &flow.steps {
                for call in &step.calls {
                    names.add_step(&call.action);
                    let name = shown(&call.name).or(shown(&step.name));
                    names.add_name(SelectorKind::Step, name.as_ref());
                    if let Action::Call(operation) = &call.action.shown {
                        let name = shown(&step.row_name(call, operation));
                        names.add_name(SelectorKind::Step, name.as_ref());
                    }
                }
            }
        }
        for population in plan.populations.all() {
            names.add_name(
                SelectorKind::Population,
                population.name.clone().map(Shown::from).as_ref(),
            );
        }
        names.add_stages(match &plan.load {
            Load::Staged { stages, .. } => stages.len(),
            Load::Open {
                arrivals: Arrivals::Staged { stages, .. },
                ..
            } => stages.len(),
            _ => 0,
        });
        names
    }

    fn add_step(&mut self, action: &Shown<Action>) {
        match (&action.value, &action.shown) {
            (Action::Call(value), Action::Call(shown)) => {
                let kind = match value.kind() {
                    Some(Method::CallTool) => SelectorKind::Tool,
                    Some(Method::ReadResource) => SelectorKind::Resource,
                    Some(Method::GetPrompt) => SelectorKind::Prompt,
                    _ => return,
                };
                let subject = |operation: &Operation| operation.subject().map(template::named);
                if let (Some(value), Some(shown)) = (subject(value), subject(shown)) {
                    self.add(kind, Shown { value, shown });
                }
            }
            _ => {
                for name in ["validate_code", "execute_code"] {
                    self.add(SelectorKind::Tool, name.to_string().into());
                }
            }
        }
    }

    fn add_name(&mut self, kind: SelectorKind, name: Option<&Shown<String>>) {
        if let Some(name) = name {
            self.add(kind, name.clone());
        }
    }

    /// Those of the config.
    pub(super) fn add_populations(&mut self, entries: &Field<Vec<PopulationEntry>>) {
        for entry in entries.value.iter().flatten() {
            self.add_name(SelectorKind::Population, entry.keys.name.value.as_ref());
        }
    }

    fn add_stages(&mut self, n_stages: usize) {
        for number in 1..=n_stages {
            self.add(SelectorKind::Stage, number.to_string().into());
        }
    }

    fn add(&mut self, kind: SelectorKind, name: Shown<String>) {
        let key = (kind, name.value.clone(), name.shown.clone());
        if self.known.insert(key) {
            self.names.push((kind, name));
        }
    }

    /// The name as rows have it, for one that was typed as it is or as it is shown.
    fn find(&self, selector: &Selector) -> Option<&str> {
        let typed = match selector.kind {
            SelectorKind::Stage => selector.name.trim(),
            _ => &selector.name,
        };
        let of_kind = || {
            let names = self.names.iter();
            names.filter(|(kind, _)| *kind == selector.kind)
        };
        of_kind()
            .find(|(_, name)| name.shown == typed)
            .or_else(|| of_kind().find(|(_, name)| name.value == typed))
            .map(|(_, name)| name.shown.as_str())
    }

    /// `tool:echo`, and so on.
    fn told(&self) -> Vec<String> {
        let selectors = self.names.iter().map(|(kind, name)| Selector {
            kind: *kind,
            name: name.shown.clone(),
        });
        selectors.map(|selector| selector.to_string()).collect()
    }
}

impl Resolver<'_> {
    /// What selectors may name by the config, before flags take anything away.
    pub(super) fn configured_names(
        &self,
        flows: [&Field<Vec<FlowEntry>>; 2],
        n_stages: usize,
    ) -> Names {
        let mut names = Names::default();
        let entries = flows.into_iter().flat_map(|flows| flows.value.iter());
        for flow in entries.flatten() {
            names.add_name(SelectorKind::Flow, flow.name.value.as_ref());
            for step in &flow.steps {
                for call in &step.calls {
                    let name = call.name.value.as_ref().or(step.name.value.as_ref());
                    names.add_name(SelectorKind::Step, name);
                    if let Some(action) = &call.action {
                        names.add_step(action);
                    }
                }
            }
        }
        names.add_stages(n_stages);
        names
    }

    /// Those of the config, then those of the command line: all of them hold. What
    /// selects something that a flag took away is left out, with a notice.
    pub(super) fn thresholds(
        &mut self,
        configured: Field<Vec<ThresholdEntry>>,
        of_config: &Names,
        plan: &Plan,
    ) -> Vec<Threshold> {
        let names = Names::of_plan(plan);
        let n_given =
            configured.value.as_ref().map_or(0, Vec::len) + self.overrides.thresholds.len();
        if n_given > THRESHOLDS_MAX {
            let place = configured.origin.unwrap_or(Origin::flag("--assert"));
            let message = format!("there are {n_given} thresholds");
            let accepted = format!("at most {THRESHOLDS_MAX}");
            self.document.report(&place, message, &*accepted);
            return Vec::new();
        }
        let mut thresholds = Vec::new();
        for entry in configured.value.into_iter().flatten() {
            let Some((place, text)) = entry.assert.origin.zip(entry.assert.value) else {
                continue;
            };
            let Some(mut threshold) = self.threshold(&place, &text, &names, Some(of_config)) else {
                continue;
            };
            threshold.severity = entry.severity.value.unwrap_or_default();
            threshold.few_fails = entry.few.value.unwrap_or(false);
            if entry.grace.is_given() && entry.abort.value != Some(true) {
                self.refuse(
                    &entry.grace,
                    "goes with `abort`",
                    "`abort = true` beside it",
                );
            }
            if entry.abort.value == Some(true) {
                self.check_abort(&entry.abort, &threshold);
                let grace = entry.grace.value.unwrap_or(Duration::ZERO);
                threshold.abort_after = Some(grace);
                let looks_from = plan.warm_up.saturating_add(grace);
                let duration = plan.stop.duration.filter(|it| looks_from >= *it);
                if let Some(duration) = duration.filter(|_| !grace.is_zero()) {
                    let text = quoted(&threshold.text);
                    let (looks_from, duration) =
                        (format_duration(looks_from), format_duration(duration));
                    self.notices.push(format!(
                        "the threshold {text} cannot end this run early: its grace is over after \
                         {looks_from}, and the run lasts {duration}"
                    ));
                }
            }
            thresholds.push(threshold);
        }
        for (flag, text) in &self.overrides.thresholds {
            let (place, text) = (Origin::flag(flag), text.clone().into());
            thresholds.extend(self.threshold(&place, &text, &names, None));
        }
        thresholds
    }

    /// `None`: at fault, or left out.
    fn threshold(
        &mut self,
        place: &Origin,
        text: &Shown<String>,
        names: &Names,
        of_config: Option<&Names>,
    ) -> Option<Threshold> {
        let of_text = |what: &str| format!("{}: {what}", quoted(&text.shown));
        // What came from the environment is not repeated.
        let is_as_shown = text.value == text.shown;
        let mut threshold = match parse(&text.value) {
            Ok(threshold) => threshold,
            Err(fault) if is_as_shown => {
                self.document.report_typo(
                    place,
                    of_text(&fault.message),
                    fault.accepted.as_deref(),
                    fault.suggestion.as_deref(),
                );
                return None;
            }
            Err(fault) => {
                let message = of_text("is no threshold with what its references stand for");
                self.document
                    .report(place, message, fault.accepted.as_deref());
                return None;
            }
        };
        if threshold.metric == Metric::Dropped && !names.has_arrivals {
            let message = of_text("`dropped` counts arrivals, and this run has none");
            let accepted = "`--rate`, or the table `[arrivals]`";
            self.document.report(place, message, accepted);
        }
        if threshold.metric == Metric::BreakingPoint && names.has_several_targets {
            let message = of_text(
                "the populations have several targets, and a breaking point is \
                                   that of one",
            );
            self.document.report(place, message, "another threshold");
        }
        if threshold.metric == Metric::BreakingPoint {
            match (threshold.limit, names.has_arrivals) {
                (Limit::PerSec(_), false) => {
                    let message =
                        of_text("`/s` counts arrivals, and the load of this run is users");
                    let accepted = "a number of virtual users such as `100`; `--rate` or the table \
                        `[arrivals]` make arrivals";
                    self.document.report(place, message, accepted);
                }
                // A bare number is in the unit of the load.
                (Limit::Load(load), true) => threshold.limit = Limit::PerSec(load),
                _ => {}
            }
        }
        threshold.text = text.shown.trim().to_string();
        let Some(selector) = &mut threshold.selector else {
            return Some(threshold);
        };
        if let Some(name) = names.find(selector) {
            selector.name = name.to_string();
            return Some(threshold);
        }
        if of_config.is_some_and(|names| names.find(selector).is_some()) {
            self.notices.push(format!(
                "the threshold {} is left out: this run does not do what it selects",
                quoted(&text.shown)
            ));
            return None;
        }
        let told = names.told();
        let typed = selector.to_string();
        let accepted = match told.as_slice() {
            [] => "no selector: this plan has no tool, resource, prompt, flow, stage or name"
                .to_string(),
            told => {
                let told = told.iter().map(|it| quoted(it));
                format!("one of {}", few_of(told, NAMES_TOLD))
            }
        };
        let missing = match is_as_shown {
            true => quoted(&typed),
            false => "such name".to_string(),
        };
        let message = of_text(&format!("this plan has no {missing}"));
        let near = nearest(&typed, told.iter().map(String::as_str));
        self.document.report_typo(place, message, &*accepted, near);
        None
    }

    /// Only what can be judged second by second ends a run early.
    fn check_abort(&self, abort: &Field<bool>, threshold: &Threshold) {
        let is_judged = match (&threshold.metric, threshold.limit) {
            (Metric::Latency(statistic), _) => *statistic != Statistic::Mean,
            (Metric::Errors(_), limit) => matches!(limit, Limit::Share { .. }),
            _ => false,
        };
        if threshold.severity == Severity::Warn {
            let message = "does not go with `severity = \"warn\"`, which fails no run";
            self.refuse(abort, message, "`severity = \"fail\"`");
        } else if !is_judged || !threshold.comparison.is_upper() {
            let message = format!(
                "does not go with {}, which is judged at the end alone",
                quoted(&threshold.text)
            );
            let accepted = "an upper limit on a percentile, on `max` or on a share of errors";
            self.refuse(abort, message, accepted);
        }
    }
}
