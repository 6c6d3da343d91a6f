//! What virtual users do: the flows and the entries of the scenario, and what the
//! flag `--tool` makes of them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::data::{DataSets, Earliness};
use super::{Resolver, chosen_era, is_modern};
use crate::error::nearest;
use crate::expect::Extract;
use crate::protocol::{Arguments, Era, Operation, ProtocolChoice};
use crate::redact::names_secret;
use crate::scenario::defaults::ROWS_MAX;
use crate::scenario::document::{Field, Origin};
use crate::scenario::fault::quoted;
use crate::scenario::plan::{Action, Call, Flow, Step};
use crate::scenario::raw::{CallEntry, FlowEntry, StepEntry};
use crate::scenario::secret::{hide_credentials, map_strings, without_credentials};
use crate::scenario::shown::Shown;
use crate::scenario::written::WrittenCall;
use crate::template::{self, Expression};

impl Resolver<'_> {
    pub(super) fn flows(
        &mut self,
        has_config: bool,
        scenario: Field<Vec<FlowEntry>>,
        flows: Field<Vec<FlowEntry>>,
        data: &mut DataSets,
        protocol: ProtocolChoice,
    ) -> Vec<Flow> {
        let one = |operation: Shown<Operation>, generate| {
            let mut flow = Flow::from(operation.map(Action::Call));
            for call in flow.steps.iter_mut().flat_map(|step| &mut step.calls) {
                call.generate = generate;
                if is_tool_call(&call.action.value) {
                    let at = |flag| self.document.place(&Origin::flag(flag));
                    call.written = Some(WrittenCall {
                        whole: at("--tool"),
                        subject: None,
                        arguments: (!generate).then(|| at("--args")),
                        isolation: None,
                    });
                }
                call.task = self.overrides.task && is_tool_call(&call.action.value);
            }
            vec![flow]
        };
        let origin = scenario.origin.or(flows.origin);
        let entries = [scenario.value, flows.value].into_iter().flatten();
        let mut entries: Vec<FlowEntry> = entries.flatten().collect();
        let overrides = self.overrides;
        if let Some((name, arguments)) = &overrides.tool {
            self.keep_tool(name, arguments.is_none(), &mut entries);
            if entries.is_empty() {
                let call = self.tool(name, arguments.clone());
                self.check_first(&self.document.take_uses(), &Earliness::OF_FLAGS, data);
                return one(call, arguments.is_none());
            }
        }
        let Some(origin) = origin else {
            if has_config && self.document.is_mistyped("", &["scenario", "flow"]) {
                return one(Operation::ListTools.into(), false);
            }
            if has_config {
                self.document.report(
                    &Origin::missing("scenario"),
                    "there is nothing to do",
                    "at least one entry that begins with `[[scenario]]` or `[[flow]]`",
                );
            } else {
                self.notices.push(
                    "this only lists the server's tools, again and again: \
                     `--tool NAME --args JSON` calls one, and `init` writes a config that calls \
                     them all"
                        .to_string(),
                );
            }
            return one(Operation::ListTools.into(), false);
        };
        let total: u64 = entries.iter().map(|entry| u64::from(entry.weight)).sum();
        let report = |message, accepted: Option<&str>| {
            self.document.report(&origin, message, accepted);
        };
        if entries.is_empty() {
            report("there is nothing to do", None);
        } else if total == 0 {
            let accepted = "a `weight` above 0 for at least one entry";
            report("every weight is zero", Some(accepted));
        } else if total > u64::from(u32::MAX) {
            let accepted = format!("a sum of at most {}", u32::MAX);
            report("the weights are too large", Some(&*accepted));
        }
        self.check_names(&entries);
        let calls = entries.iter().flat_map(FlowEntry::calls);
        let extracts = calls.flat_map(|call| call.extract.value.iter().flatten());
        let brought = extracts.map(|value| (value.name.as_str(), &value.place));
        let brought: HashMap<&str, &Origin> = brought.collect();
        for entry in &entries {
            self.check_flow(entry, &brought, data);
        }
        let mut flows = Vec::new();
        for entry in entries {
            self.check_order(&entry);
            self.check_single(&entry);
            if is_modern(protocol) && entry.weight > 0 {
                self.refuse_pings(&entry);
            }
            if chosen_era(protocol) == Some(Era::Legacy) {
                self.refuse_tasks(&entry);
            }
            let name = entry.name.value.map(|name| name.shown);
            let steps = entry.steps.into_iter();
            let steps: Vec<Step> = steps.filter_map(|entry| self.step(entry)).collect();
            if !steps.is_empty() {
                flows.push(Flow {
                    name,
                    weight: entry.weight,
                    on_error: entry.on_error,
                    steps,
                });
            }
        }
        let n_rows = count_rows(&flows);
        if n_rows > ROWS_MAX {
            let message = format!("the steps make {n_rows} rows of figures");
            let accepted = format!("at most {ROWS_MAX}: one for each name or operation of a flow");
            self.document.report(&origin, message, &*accepted);
        }
        flows
    }

    /// Leaves what calls the tool, or nothing where the command line has its arguments.
    fn keep_tool(&self, tool: &str, is_as_configured: bool, entries: &mut Vec<FlowEntry>) {
        let is_of_tool = |call: &CallEntry| call.tool.as_deref() == Some(tool);
        for entry in entries.iter_mut() {
            // From the last step on: those before bring the values that are needed.
            let mut needed = HashSet::new();
            let steps = std::mem::take(&mut entry.steps);
            for mut step in steps.into_iter().rev() {
                let extracts = step.calls.iter().flat_map(|call| call.extract.value.iter());
                let brings = extracts.flatten().any(|value| needed.contains(&value.name));
                let is_asked_for = step.calls.iter().any(is_of_tool);
                if !is_as_configured || !(brings || is_asked_for) {
                    continue;
                }
                let uses = step.calls.iter().flat_map(|call| &call.uses);
                needed.extend(uses.filter_map(|(_, used)| match used {
                    Expression::Value(name) => Some(name.clone()),
                    _ => None,
                }));
                if is_asked_for {
                    step.once = Field::default();
                }
                entry.steps.push(step);
            }
            entry.steps.reverse();
            if !entry
                .steps
                .iter()
                .any(|step| step.calls.iter().any(is_of_tool))
            {
                entry.steps.clear();
            }
        }
        entries.retain(|entry| !entry.steps.is_empty());
        // By key, since there may be many of either.
        let flows = entries.iter().map(|entry| &entry.place);
        let steps = entries.iter().flat_map(|entry| &entry.steps);
        let kept: HashSet<&str> = flows
            .chain(steps.map(|step| &step.place))
            .map(|place| place.key.as_str())
            .collect();
        self.document.forgive_unset(|key| {
            let is_of_entry = key.starts_with("scenario[") || key.starts_with("flow[");
            let of_step = key.find(".step[").map_or(0, |at| at + 1);
            let end = key[of_step..]
                .find(']')
                .map_or(key.len(), |at| of_step + at + 1);
            is_of_entry && !kept.contains(&key[..end])
        });
        // The user asks for them, whatever the weights say.
        if entries.iter().all(|entry| entry.weight == 0) {
            for entry in entries.iter_mut() {
                entry.weight = 1;
            }
        }
    }

    fn tool(&self, name: &str, arguments: Option<Arguments>) -> Shown<Operation> {
        if name.trim().is_empty() {
            self.refuse_flag("--tool", "is empty", "the name of a tool");
        }
        let name = Shown {
            value: template::escape(name),
            shown: name.to_string(),
        };
        let shown = arguments.as_ref().map(|arguments| {
            let mut values = arguments.values().clone();
            let mut secrets = Vec::new();
            hide_credentials(&mut values, &mut secrets);
            self.document.keep_secret(secrets);
            // The text, since it has every digit, unless it cannot be read again.
            Arguments::read(&without_credentials(arguments.json()))
                .unwrap_or_else(|_| values.into())
        });
        let canonical = arguments.map(|arguments| {
            let canonical = self.canonical(arguments.json());
            Arguments::read(&canonical).unwrap_or(arguments)
        });
        let arguments = Shown {
            value: canonical,
            shown,
        };
        let call = name.zip(arguments);
        call.map(|(name, arguments)| Operation::CallTool { name, arguments })
    }

    /// The text of a JSON value with the templates in its strings in canonical form.
    fn canonical(&self, json: &str) -> String {
        let place = Origin::flag("--args");
        map_strings(json, |string| {
            let text = serde_json::from_str::<String>(string).ok()?;
            let as_it_stands = |text: &str| Some(text.to_string().into());
            let understood = text
                .contains("{{")
                .then(|| self.document.understand(&place, &text, as_it_stands))??;
            Some(serde_json::Value::from(understood.value).to_string())
        })
    }

    /// Rows go by their names: no two flows have the same, and no two steps or calls of
    /// a flow or of the scenario.
    fn check_names(&self, entries: &[FlowEntry]) {
        let mut flows = HashMap::new();
        let mut steps = HashMap::new();
        let check = |names: &mut HashMap<_, String>, key, field: &Field<Shown<String>>| {
            let (Some(place), Some(name)) = (&field.origin, &field.value) else {
                return;
            };
            match names.entry((key, name.shown.clone())) {
                Entry::Vacant(free) => {
                    free.insert(place.key.clone());
                }
                Entry::Occupied(first) => {
                    let message = format!("{} is `{}` already", quoted(&name.shown), first.get());
                    self.document.report(place, message, "a name of its own");
                }
            }
        };
        for (at, entry) in entries.iter().enumerate() {
            check(&mut flows, 0, &entry.name);
            // The entries of the scenario are as one flow.
            let flow = if entry.name.is_given() { at + 1 } else { 0 };
            for step in &entry.steps {
                check(&mut steps, flow, &step.name);
                for call in &step.calls {
                    check(&mut steps, flow, &call.name);
                }
            }
        }
    }

    /// What is done once in a session comes first, and is not all.
    fn check_order(&self, entry: &FlowEntry) {
        let is_of_iteration = |step: &StepEntry| !step.once.is_given();
        let first = entry.steps.iter().position(is_of_iteration);
        let Some(first) = first else {
            if !entry.steps.is_empty() {
                let message = "every step is done once in a session: an iteration has none";
                let accepted = "a step without `once`";
                self.document.report(&entry.place, message, accepted);
            }
            return;
        };
        for late in &entry.steps[first..] {
            let message = "comes after a step of each iteration";
            let accepted = "steps with `once` before all others";
            self.refuse(&late.once, message, accepted);
        }
    }

    /// `None`: at fault.
    fn step(&self, entry: StepEntry) -> Option<Step> {
        let calls = entry.calls.into_iter().filter_map(|call| {
            let secret = self.secret_names(&call);
            let extracts = call.extract.value.into_iter().flatten();
            let extracts = extracts.filter_map(|value| {
                Some(Extract {
                    is_secret: names_secret(&value.name) || secret.contains(&value.name),
                    name: value.name,
                    source: value.source?,
                })
            });
            let action = call.action?;
            let at = |origin: &Origin| self.document.place(origin);
            Some(Call {
                written: Some(WrittenCall {
                    whole: at(&call.place),
                    subject: call.subject.as_ref().map(at),
                    arguments: call.arguments.as_ref().map(at),
                    isolation: call.marked.as_ref().map(at),
                }),
                name: call.name.value.map(|name| name.shown),
                generate: call.generate,
                isolation: call.isolation,
                progress: call.progress,
                task: call.task.value == Some(true)
                    || self.overrides.task && is_tool_call(&action.value),
                action,
                extracts: extracts.collect(),
                expectations: call.expect,
            })
        });
        let calls: Vec<Call> = calls.collect();
        (!calls.is_empty()).then_some(Step {
            name: entry.name.value.map(|name| name.shown),
            is_once: entry.once.is_given(),
            repeat: entry.repeat,
            until: entry.until.value,
            think: entry.think,
            parallel: entry.parallel.value.unwrap_or(1),
            calls,
        })
    }

    /// Those of `secret`; each has to be one that is extracted.
    fn secret_names(&self, call: &CallEntry) -> HashSet<String> {
        let values = || call.extract.value.iter().flatten();
        let mut names = HashSet::new();
        for (place, name) in call.secret.value.iter().flatten() {
            let is_at_fault = call.extract.is_given() && call.extract.value.is_none();
            if !is_at_fault && !values().any(|value| value.name == *name) {
                let message = format!("{} is not extracted here", quoted(name));
                let near = nearest(name, values().map(|value| value.name.as_str()));
                let accepted = "the name of a value in `extract`";
                self.document.report_typo(place, message, accepted, near);
            }
            names.insert(name.clone());
        }
        names
    }

    /// What looks at one answer goes with one call.
    fn check_single(&self, entry: &FlowEntry) {
        for step in &entry.steps {
            if step.repeat > 1 {
                let message = "does not go with `repeat`";
                self.refuse(&step.until, message, "one of the two");
            }
            if step.parallel.value.unwrap_or(1) <= 1 {
                continue;
            }
            let message = "looks at one answer, and the step makes several calls at once";
            let accepted = "no `parallel` beside it";
            self.refuse(&step.until, message, accepted);
            for call in &step.calls {
                self.refuse(&call.extract, message, accepted);
            }
        }
    }

    fn refuse_tasks(&self, entry: &FlowEntry) {
        for call in entry.calls().filter(|call| call.task.value == Some(true)) {
            let message = "needs the tasks of MCP 2026-07-28, which the chosen protocol has not";
            let accepted = "no `task`, or a modern protocol";
            self.refuse(&call.task, message, accepted);
        }
    }

    fn refuse_pings(&self, entry: &FlowEntry) {
        for call in entry.calls() {
            let action = call.action.as_ref().map(|action| &action.value);
            if action == Some(&Action::Call(Operation::Ping)) {
                let message = "is a `ping`, which the chosen protocol does not know";
                let accepted = "another step, or a legacy protocol";
                self.document.report(&call.place, message, accepted);
            }
        }
    }
}

fn is_tool_call(action: &Action) -> bool {
    matches!(action, Action::Call(Operation::CallTool { .. }))
}

/// How many rows a report has of these: calls of one name or operation in one flow
/// share theirs, a flow with a name has two, and so has a step of several calls; a call
/// that may become a task has two more.
pub(super) fn count_rows(flows: &[Flow]) -> usize {
    let mut rows = HashSet::new();
    for flow in flows {
        let of_flow = flow.name.as_deref();
        if of_flow.is_some() {
            rows.insert((of_flow, "flow", String::new()));
            rows.insert((of_flow, "busy", String::new()));
        }
        for step in &flow.steps {
            for call in &step.calls {
                let names = match &call.action.shown {
                    Action::Call(operation) => {
                        let name = step.row_name(call, operation);
                        vec![name.unwrap_or_else(|| operation.label())]
                    }
                    Action::CodeMode { .. } => {
                        let name = call.name.as_ref().or(step.name.as_ref());
                        let name = name.map_or("", String::as_str);
                        vec![format!("{name} 1"), format!("{name} 2")]
                    }
                };
                for name in names {
                    if step.calls_at_once() > 1 {
                        rows.insert((of_flow, "turn", name.clone()));
                    }
                    if call.task {
                        rows.insert((of_flow, "created", name.clone()));
                        rows.insert((of_flow, "asked for", name.clone()));
                    }
                    rows.insert((of_flow, "call", name));
                }
            }
        }
    }
    rows.len()
}
