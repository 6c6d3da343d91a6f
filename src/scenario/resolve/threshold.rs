//! Thresholds of config and command line, against what the plan really does.

use std::collections::HashSet;
use std::time::Duration;

use super::Resolver;
use super::populations::name_of_entry;
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

/// What selectors may name: each as it is, and as it is shown; for all, and for each
/// population that does it.
#[derive(Default)]
pub(super) struct Names {
    names: Vec<(SelectorKind, Shown<String>)>,
    known: HashSet<(SelectorKind, String, String)>,
    /// What is done by a population, as it is shown: its name, and what that is.
    of_populations: HashSet<(String, SelectorKind, String)>,
    /// Whose names are being added.
    population: Option<String>,
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
        let n_stages = match &plan.load {
            Load::Staged { stages, .. } => stages.len(),
            Load::Open {
                arrivals: Arrivals::Staged { stages, .. },
                ..
            } => stages.len(),
            _ => 0,
        };
        plan.flows.iter().for_each(|flow| names.add_flow(flow));
        for population in plan.populations.all() {
            let name = population.name.clone().map(Shown::from);
            names.add_name(SelectorKind::Population, name.as_ref());
        }
        names.add_stages(n_stages);
        for population in plan.populations.all() {
            names.population.clone_from(&population.name);
            let flows = population.flows.iter();
            flows.for_each(|at| names.add_flow(&plan.flows[*at]));
            names.add_stages(n_stages);
        }
        names
    }

    fn add_flow(&mut self, flow: &Flow) {
        if flow.weight == 0 {
            return;
        }
        let shown = |name: &Option<String>| name.clone().map(Shown::from);
        self.add_name(SelectorKind::Flow, shown(&flow.name).as_ref());
        for step in &flow.steps {
            for call in &step.calls {
                self.add_step(&call.action);
                let name = shown(&call.name).or(shown(&step.name));
                self.add_name(SelectorKind::Step, name.as_ref());
                if let Action::Call(operation) = &call.action.shown {
                    let name = shown(&step.row_name(call, operation));
                    self.add_name(SelectorKind::Step, name.as_ref());
                }
            }
        }
    }

    /// Those of an entry of a config.
    fn add_entry(&mut self, flow: &FlowEntry) {
        self.add_name(SelectorKind::Flow, flow.name.value.as_ref());
        for step in &flow.steps {
            for call in &step.calls {
                let name = call.name.value.as_ref().or(step.name.value.as_ref());
                self.add_name(SelectorKind::Step, name);
                if let Some(action) = &call.action {
                    self.add_step(action);
                }
            }
        }
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

    fn add_stages(&mut self, n_stages: usize) {
        for number in 1..=n_stages {
            self.add(SelectorKind::Stage, number.to_string().into());
        }
    }

    fn add(&mut self, kind: SelectorKind, name: Shown<String>) {
        if let Some(population) = &self.population {
            let key = (population.clone(), kind, name.shown.clone());
            self.of_populations.insert(key);
        }
        let key = (kind, name.value.clone(), name.shown.clone());
        if self.known.insert(key) {
            self.names.push((kind, name));
        }
    }

    /// The selector with names as rows have them, for one whose names were typed as they
    /// are or as they are shown.
    fn find(&self, selector: &Selector) -> Option<Selector> {
        let found = Selector {
            kind: selector.kind,
            name: self.find_name(selector.kind, &selector.name)?.to_string(),
            population: match &selector.population {
                None => None,
                Some(name) => Some(self.find_name(SelectorKind::Population, name)?.to_string()),
            },
        };
        self.is_done(&found).then_some(found)
    }

    fn find_name(&self, kind: SelectorKind, typed: &str) -> Option<&str> {
        let typed = match kind {
            SelectorKind::Stage => typed.trim(),
            _ => typed,
        };
        let of_kind = || self.names.iter().filter(|(other, _)| *other == kind);
        of_kind()
            .find(|(_, name)| name.shown == typed)
            .or_else(|| of_kind().find(|(_, name)| name.value == typed))
            .map(|(_, name)| name.shown.as_str())
    }

    /// Whether the population of a selector does what it names.
    fn is_done(&self, selector: &Selector) -> bool {
        let population = selector.population.clone();
        population.is_none_or(|population| {
            let key = (population, selector.kind, selector.name.clone());
            self.of_populations.contains(&key)
        })
    }

    /// `tool:echo`, and so on: what may stand in the place of this selector. In that of one
    /// with a population what the population does, and where there is none of its name, all
    /// populations.
    fn told(&self, selector: &Selector) -> Vec<String> {
        let typed = selector.population.as_ref();
        let known = typed.map(|name| self.find_name(SelectorKind::Population, name));
        let selectors = self.names.iter().map(|(kind, name)| Selector {
            kind: *kind,
            name: name.shown.clone(),
            population: known.flatten().map(str::to_string),
        });
        let is_told = |it: &Selector| match known {
            Some(None) => it.kind == SelectorKind::Population,
            _ => self.is_done(it),
        };
        selectors
            .filter(is_told)
            .map(|selector| selector.to_string())
            .collect()
    }
}

impl Resolver<'_> {
    /// What selectors may name by the config, before flags take anything away.
    pub(super) fn configured_names(
        &self,
        flows: [&Field<Vec<FlowEntry>>; 2],
        populations: &Field<Vec<PopulationEntry>>,
        n_stages: usize,
    ) -> Names {
        let mut names = Names::default();
        let entries = || {
            let fields = flows.into_iter();
            fields.flat_map(|flows| flows.value.iter()).flatten()
        };
        entries().for_each(|flow| names.add_entry(flow));
        names.add_stages(n_stages);
        for PopulationEntry { keys, .. } in populations.value.iter().flatten() {
            names.population = None;
            names.add_name(SelectorKind::Population, keys.name.value.as_ref());
            names.population = keys.name.value.as_ref().map(|name| name.shown.clone());
            let is_its = |flow: &&FlowEntry| {
                keys.flows.value.as_ref().is_none_or(|flows| {
                    let name = name_of_entry(flow);
                    flows.iter().any(|(_, wanted)| Some(wanted) == name)
                })
            };
            let own = entries().filter(is_its);
            own.for_each(|flow| names.add_entry(flow));
            names.add_stages(n_stages);
        }
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
                let message = of_text("is not a threshold with what its references stand for");
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
        if let Some(found) = names.find(selector) {
            *selector = found;
            return Some(threshold);
        }
        if of_config.is_some_and(|names| names.find(selector).is_some()) {
            self.notices.push(format!(
                "the threshold {} is left out: this run does not do what it selects",
                quoted(&text.shown)
            ));
            return None;
        }
        let told = names.told(selector);
        let typed = selector.to_string();
        let accepted = match told.as_slice() {
            [] => match &selector.population {
                Some(_) => "no `population:`: this plan has none".to_string(),
                None => "no selector: this plan has no tool, resource, prompt, flow, stage or name"
                    .to_string(),
            },
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
