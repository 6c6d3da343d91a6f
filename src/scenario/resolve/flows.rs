//! What virtual users do: the flows and the entries of the scenario, and what the
//! flag `--tool` makes of them.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::{Resolver, is_modern};
use crate::protocol::{Arguments, Operation, ProtocolChoice};
use crate::scenario::defaults::ROWS_MAX;
use crate::scenario::document::{Field, Origin};
use crate::scenario::fault::quoted;
use crate::scenario::plan::{Action, Call, Flow, Step};
use crate::scenario::raw::{CallEntry, FlowEntry, StepEntry};
use crate::scenario::secret::{hide_credentials, without_credentials};
use crate::scenario::shown::Shown;

impl Resolver<'_> {
    pub(super) fn flows(
        &mut self,
        has_config: bool,
        scenario: Field<Vec<FlowEntry>>,
        flows: Field<Vec<FlowEntry>>,
        protocol: ProtocolChoice,
    ) -> Vec<Flow> {
        let one = |operation: Shown<Operation>| vec![Flow::from(operation.map(Action::Call))];
        let origin = scenario.origin.or(flows.origin);
        let entries = [scenario.value, flows.value].into_iter().flatten();
        let mut entries: Vec<FlowEntry> = entries.flatten().collect();
        let overrides = self.overrides;
        if let Some((name, arguments)) = &overrides.tool {
            self.keep_tool(name, arguments.is_none(), &mut entries);
            if entries.is_empty() {
                return one(self.tool(name, arguments.clone()));
            }
        }
        let Some(origin) = origin else {
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
            return one(Operation::ListTools.into());
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
        let mut flows = Vec::new();
        for entry in entries {
            self.check_order(&entry);
            if is_modern(protocol) && entry.weight > 0 {
                self.refuse_pings(&entry);
            }
            let name = entry.name.value.map(|name| name.shown);
            let steps: Vec<Step> = entry.steps.into_iter().filter_map(step).collect();
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
        let is_kept = |step: &StepEntry| step.calls.iter().any(is_of_tool);
        for entry in entries.iter_mut() {
            entry.steps.retain(|step| is_as_configured && is_kept(step));
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
        let shown = arguments.as_ref().map(|arguments| {
            let mut values = arguments.values().clone();
            let mut secrets = Vec::new();
            hide_credentials(&mut values, &mut secrets);
            self.document.keep_secret(secrets);
            // The text, since it has every digit, unless it cannot be read again.
            Arguments::read(&without_credentials(arguments.json()))
                .unwrap_or_else(|_| values.into())
        });
        let arguments = Shown {
            value: arguments,
            shown,
        };
        arguments.map(|arguments| Operation::CallTool {
            name: name.to_string(),
            arguments,
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

/// `None`: at fault.
fn step(entry: StepEntry) -> Option<Step> {
    let calls = entry.calls.into_iter().filter_map(|call| {
        Some(Call {
            name: call.name.value.map(|name| name.shown),
            generate: call.generate,
            ..Call::new(call.action?)
        })
    });
    let calls: Vec<Call> = calls.collect();
    (!calls.is_empty()).then_some(Step {
        name: entry.name.value.map(|name| name.shown),
        is_once: entry.once.is_given(),
        repeat: entry.repeat,
        until: None,
        think: entry.think,
        parallel: entry.parallel,
        calls,
    })
}

/// How many rows a report has of these: calls of one name or operation in one flow
/// share theirs, a flow with a name has two, and so has a step of several calls.
fn count_rows(flows: &[Flow]) -> usize {
    let mut rows = HashSet::new();
    for flow in flows {
        let of_flow = flow.name.as_deref();
        if of_flow.is_some() {
            rows.insert((of_flow, "flow", String::new()));
            rows.insert((of_flow, "busy", String::new()));
        }
        for step in &flow.steps {
            for call in &step.calls {
                let name = call.name.as_ref().or(step.name.as_ref());
                let names = match (name, &call.action.shown) {
                    (Some(name), _) => vec![name.clone()],
                    (None, Action::Call(operation)) => vec![operation.label()],
                    (None, Action::CodeMode { .. }) => vec!["1".to_string(), "2".to_string()],
                };
                for name in names {
                    if step.calls_at_once() > 1 {
                        rows.insert((of_flow, "turn", name.clone()));
                    }
                    rows.insert((of_flow, "call", name));
                }
            }
        }
    }
    rows.len()
}
