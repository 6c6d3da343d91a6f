//! What users do, prepared once: requests rendered, rows of the report laid out.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::Map;

use crate::client::{PreparedCall, Server};
use crate::error::UserError;
use crate::outcome::{Row, RowKind, Witness};
use crate::protocol::{Arguments, Era, Operation, PathStep, PrepareError, ToolCatalog, ValuePath};
use crate::scenario::{self, Action, OnError, Plan, ThinkTime};

/// The rows of all recorders of a run, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// All of them.
    pub all: Vec<Row>,
    /// Opening a session.
    pub handshake: usize,
    /// Ending a session.
    pub close: usize,
}

/// What users do. Shared by all workers, never changed.
#[derive(Debug)]
pub struct Script {
    /// The server.
    pub server: Server,
    /// The plan it was made of.
    pub plan: Arc<Plan>,
    /// The rows of the recorders.
    pub rows: Rows,
    /// One for each flow of the plan.
    flows: Vec<Flow>,
    /// One for each population of the plan.
    choices: Vec<Choice>,
    /// Where this is a trial.
    trial: Option<Trial>,
}

/// Each flow once, in order, before a witness.
#[derive(Debug)]
struct Trial {
    witness: Witness,
    /// How many flows were picked.
    n_picked: AtomicUsize,
}

/// Which flows the users of a population do, and how often.
#[derive(Debug)]
struct Choice {
    /// The first of its flows; the others follow it.
    first_flow: usize,
    /// Sums of the weights up to and with each of its flows.
    cumulative_weights: Vec<u64>,
}

/// Steps in order, in one session. What one of them takes out of its answer goes
/// into the slots of those after it.
#[derive(Debug)]
pub(super) struct Flow {
    /// Which of the script's flows.
    pub(super) number: usize,
    /// Not empty.
    pub(super) steps: Vec<FlowStep>,
    pub(super) on_error: OnError,
    /// Some step is done once in a session.
    pub(super) has_once: bool,
    /// Where the flow has a name.
    pub(super) rows: Option<FlowRows>,
    /// How many values are taken.
    pub(super) n_values: usize,
}

/// The rows of a flow's iterations.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlowRows {
    /// From the first request to the last answer.
    pub(super) whole: usize,
    /// The time of the calls alone.
    pub(super) busy: usize,
}

#[derive(Debug)]
pub(super) struct FlowStep {
    /// In the first iteration of a session only.
    pub(super) is_once: bool,
    /// At least 1.
    pub(super) repeat: u32,
    pub(super) think: Option<ThinkTime>,
    /// One after the other; more than one in code mode.
    pub(super) turns: Vec<Turn>,
}

/// Calls at once.
#[derive(Debug)]
pub(super) struct Turn {
    /// Not empty.
    pub(super) calls: Vec<FlowCall>,
    /// Each of them so many times; at least 1.
    pub(super) parallel: u32,
    /// The row of the turn, where there are several at once.
    pub(super) row: Option<usize>,
}

impl FlowStep {
    /// Which of the flow's values it takes.
    pub(super) fn taken(&self) -> impl Iterator<Item = usize> {
        let calls = self.turns.iter().flat_map(|turn| &turn.calls);
        calls.filter_map(|call| Some(call.extract.as_ref()?.value))
    }
}

#[derive(Debug)]
pub(super) struct FlowCall {
    /// Which flow of the script, and which of its steps.
    pub(super) place: (usize, usize),
    pub(super) call: PreparedCall,
    pub(super) row: usize,
    /// The value that is taken out of the answer.
    pub(super) extract: Option<Extract>,
}

/// A value that an answer must have.
#[derive(Debug)]
pub(super) struct Extract {
    /// Where it may be; the first that is there counts.
    pub(super) paths: Vec<ValuePath>,
    /// Which of the flow's values it becomes.
    pub(super) value: usize,
    /// Why the call failed where it is missing.
    pub(super) missing: String,
}

impl Script {
    /// Prepares a plan's steps for a server.
    ///
    /// # Errors
    /// When a step does not exist in the server's revision, or the server's
    /// definition of a tool forbids to call it.
    pub fn new(plan: Arc<Plan>, server: Server, catalog: &ToolCatalog) -> Result<Self, UserError> {
        let mut compiler = Compiler {
            server: &server,
            catalog,
            rows: RowTable::default(),
        };
        let flows = plan.flows.iter();
        let mut flows: Vec<Flow> = flows
            .enumerate()
            .map(|(number, flow)| compiler.flow(number, flow))
            .collect::<Result<_, _>>()
            .map_err(|error| cannot_prepare(&error))?;
        for (at, flow) in flows.iter_mut().enumerate() {
            for (step_at, step) in flow.steps.iter_mut().enumerate() {
                for call in step.turns.iter_mut().flat_map(|turn| &mut turn.calls) {
                    call.place = (at, step_at);
                }
            }
        }
        let mut rows = compiler.rows;
        let choices = plan.populations.iter().map(|population| {
            let mut sum = 0_u64;
            let weights = plan.flows[population.flows.clone()].iter();
            Choice {
                first_flow: population.flows.start,
                cumulative_weights: weights
                    .map(|flow| {
                        sum += u64::from(flow.weight);
                        sum
                    })
                    .collect(),
            }
        });
        let choices = choices.collect();
        let handshake_method = match server.dialect().era() {
            Era::Legacy => "initialize",
            Era::Modern => "server/discover",
        };
        let handshake = rows.add(Row::new(RowKind::Handshake, handshake_method));
        let close = rows.add(Row::new(RowKind::Close, "DELETE"));
        Ok(Self {
            server,
            plan,
            rows: Rows {
                all: rows.rows,
                handshake,
                close,
            },
            flows,
            choices,
            trial: None,
        })
    }

    /// Makes a trial of it: the flows are done in order rather than by weight, and
    /// each request is shown to the witness.
    pub fn show_to(&mut self, witness: Witness) {
        let n_picked = AtomicUsize::new(0);
        self.trial = Some(Trial { witness, n_picked });
    }

    /// Who looks on, where this is a trial.
    pub(super) fn witness(&self) -> Option<&Witness> {
        self.trial.as_ref().map(|trial| &trial.witness)
    }

    /// A flow of the population by weight.
    pub(super) fn pick(&self, population: usize, random: &mut fastrand::Rng) -> &Flow {
        if let Some(trial) = &self.trial {
            return &self.flows[trial.n_picked.fetch_add(1, Relaxed) % self.flows.len()];
        }
        let choice = &self.choices[population];
        let weights = &choice.cumulative_weights;
        let at = match weights.len() {
            1 => 0,
            n_flows => {
                let sum = weights.last().copied().unwrap_or(0);
                let drawn = random.u64(0..sum.max(1));
                let at = weights.partition_point(|sum| *sum <= drawn);
                at.min(n_flows - 1)
            }
        };
        &self.flows[choice.first_flow + at]
    }
}

/// Makes flows of a plan's steps.
struct Compiler<'a> {
    server: &'a Server,
    catalog: &'a ToolCatalog,
    rows: RowTable,
}

/// How rows are named that calls of one step have in common.
#[derive(Clone, Copy)]
struct Names<'a> {
    flow: Option<&'a str>,
    step: Option<&'a str>,
}

impl Compiler<'_> {
    fn flow(&mut self, number: usize, flow: &scenario::Flow) -> Result<Flow, PrepareError> {
        let mut n_values = 0;
        let mut steps = Vec::new();
        for step in &flow.steps {
            let names = Names {
                flow: flow.name.as_deref(),
                step: step.name.as_deref(),
            };
            steps.push(FlowStep {
                is_once: step.is_once,
                repeat: step.repeat,
                think: step.think,
                turns: self.turns(step, names, &mut n_values)?,
            });
        }
        let rows = flow.name.as_deref().map(|name| FlowRows {
            whole: self.rows.add(Row::of_flow(RowKind::Flow, name)),
            busy: self.rows.add(Row::of_flow(RowKind::FlowBusy, name)),
        });
        Ok(Flow {
            number,
            has_once: steps.iter().any(|step| step.is_once),
            steps,
            on_error: flow.on_error,
            rows,
            n_values,
        })
    }

    /// All plain calls of a step are one turn.
    fn turns(
        &mut self,
        step: &scenario::Step,
        names: Names<'_>,
        n_values: &mut usize,
    ) -> Result<Vec<Turn>, PrepareError> {
        let mut calls = Vec::new();
        let mut turns = Vec::new();
        for call in &step.calls {
            let names = Names {
                step: call.name.as_deref().or(names.step),
                ..names
            };
            match (&call.action.value, &call.action.shown) {
                // The row is named as the user wrote it: what came from the environment
                // is not shown.
                (Action::Call(operation), Action::Call(shown)) => {
                    calls.push(self.call(operation, shown, names)?);
                }
                (Action::Call(operation), Action::CodeMode { .. }) => {
                    calls.push(self.call(operation, operation, names)?);
                }
                (Action::CodeMode { code, format }, _) => {
                    turns.extend(self.code_mode(code, format, names, n_values)?);
                }
            }
        }
        if !calls.is_empty() {
            let is_fan_out = step.parallel > 1 || calls.len() > 1;
            let row = is_fan_out.then(|| self.turn_row(&calls, names));
            turns.push(Turn {
                calls,
                parallel: step.parallel.max(1),
                row,
            });
        }
        Ok(turns)
    }

    /// The row of a turn is that of its call, or named by the step, or by all its calls.
    fn turn_row(&mut self, calls: &[FlowCall], names: Names<'_>) -> usize {
        let of_call = |call: &FlowCall| &self.rows.rows[call.row];
        let row = match calls {
            [only] => of_call(only).clone(),
            _ => {
                let labels = calls.iter().map(|call| {
                    let row = of_call(call).clone();
                    Row { flow: None, ..row }.label()
                });
                let together = || labels.collect::<Vec<_>>().join(" + ");
                Row {
                    name: Some(names.step.map_or_else(together, str::to_string)),
                    flow: names.flow.map(str::to_string),
                    ..Row::default()
                }
            }
        };
        self.rows.add(Row {
            kind: RowKind::Turn,
            ..row
        })
    }

    /// pmcp's code mode: `validate_code`, then `execute_code` with the token that
    /// the first returned.
    fn code_mode(
        &mut self,
        code: &str,
        format: &str,
        names: Names<'_>,
        n_values: &mut usize,
    ) -> Result<[Turn; 2], PrepareError> {
        const TOKEN: &str = "approval_token";
        let token_value = *n_values;
        *n_values += 1;
        let mut arguments = Map::new();
        arguments.insert("code".to_string(), code.into());
        arguments.insert("format".to_string(), format.into());
        let arguments = Arguments::from(arguments);
        let tool = |name: &str, arguments| Operation::CallTool {
            name: name.to_string(),
            arguments: Some(arguments),
        };
        let validate = tool("validate_code", arguments.clone());
        let execute = tool("execute_code", arguments.with_slot(TOKEN, token_value));
        let mut first = self.call(&validate, &validate, names)?;
        first.call = first.call.keeping_result();
        let member = |name: &str| PathStep::Member(name.to_string());
        first.extract = Some(Extract {
            paths: [
                vec![member("structuredContent"), member(TOKEN)],
                vec![member(TOKEN)],
                vec![
                    member("content"),
                    PathStep::Element(0),
                    member("text"),
                    PathStep::Json,
                    member(TOKEN),
                ],
            ]
            .map(ValuePath::new)
            .into(),
            value: token_value,
            missing: format!("the result of `validate_code` has no `{TOKEN}`"),
        });
        let then = self.call(&execute, &execute, names)?;
        Ok([first, then].map(|call| Turn {
            calls: vec![call],
            parallel: 1,
            row: None,
        }))
    }

    fn call(
        &mut self,
        operation: &Operation,
        shown: &Operation,
        names: Names<'_>,
    ) -> Result<FlowCall, PrepareError> {
        let row = Row {
            subject: shown.subject().map(str::to_string),
            name: names.step.map(str::to_string),
            flow: names.flow.map(str::to_string),
            ..Row::new(RowKind::Call, shown.method())
        };
        Ok(FlowCall {
            place: (0, 0),
            call: self.server.prepare(operation, self.catalog)?,
            row: self.rows.add(row),
            extract: None,
        })
    }
}

/// Steps of one operation, with different arguments, share a row.
#[derive(Default)]
struct RowTable {
    rows: Vec<Row>,
    places: HashMap<Row, usize>,
}

impl RowTable {
    fn add(&mut self, row: Row) -> usize {
        *self.places.entry(row).or_insert_with_key(|row| {
            self.rows.push(row.clone());
            self.rows.len() - 1
        })
    }
}

fn cannot_prepare(error: &PrepareError) -> UserError {
    let fault = UserError::usage(error.to_string());
    match error {
        // The server's fault, not the command line's.
        PrepareError::ToolExcluded { .. } => UserError::could_not_run(error.to_string())
            .hint("the specification forbids clients to call such a tool: mend its definition"),
        PrepareError::NoSuchMethod { .. } => {
            fault.hint("leave this step out, or give `--protocol legacy`")
        }
        PrepareError::ArgumentMismatch { .. } => fault.hint("change the step's arguments"),
    }
}
