//! What users do, prepared once: requests rendered, rows of the report laid out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::Map;

use crate::client::{PreparedCall, Server};
use crate::error::{UserError, nearest};
use crate::outcome::{Row, RowKind, Witness};
use crate::protocol::{Arguments, Era, Operation, PathStep, PrepareError, ToolCatalog, ValuePath};
use crate::scenario::{self, Action, Plan};
use crate::units::plural;

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
    /// Not empty.
    pub(super) steps: Vec<FlowStep>,
    /// How many values are taken.
    pub(super) n_values: usize,
}

#[derive(Debug)]
pub(super) struct FlowStep {
    /// Which flow of the script, and which of its steps.
    pub(super) place: (usize, usize),
    pub(super) call: PreparedCall,
    pub(super) row: usize,
    /// Calls at once; 1: no fan-out.
    pub(super) parallel: u32,
    /// The row of the turn, where there is a fan-out.
    pub(super) turn_row: Option<usize>,
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
            .map(|flow| compiler.flow(flow))
            .collect::<Result<_, _>>()
            .map_err(|error| cannot_prepare(&error))?;
        for (at, flow) in flows.iter_mut().enumerate() {
            for (step_at, step) in flow.steps.iter_mut().enumerate() {
                step.place = (at, step_at);
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

    /// What the user should know of steps whose tool the server does not list.
    pub fn unknown_tools(plan: &Plan, known: &[&str]) -> Vec<String> {
        let listed: HashSet<&str> = known.iter().copied().collect();
        let mut told = HashSet::new();
        let mut notices = Vec::new();
        for call in plan.calls() {
            let Action::Call(Operation::CallTool { name, .. }) = &call.action.value else {
                continue;
            };
            if listed.contains(name.as_str()) || !told.insert(name) || told.len() > UNKNOWN_MAX {
                continue;
            }
            let candidates = known.iter().copied().take(CANDIDATES_MAX);
            let suggestion = nearest(name, candidates)
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            notices.push(format!(
                "the server does not list the tool `{name}`{suggestion}"
            ));
        }
        let n_more = told.len() - notices.len();
        if n_more > 0 {
            let tools = plural(n_more as u64, "more tool", "more tools");
            notices.push(format!("the server does not list {tools} of the config"));
        }
        notices
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

impl Compiler<'_> {
    fn flow(&mut self, flow: &scenario::Flow) -> Result<Flow, PrepareError> {
        let step = &flow.steps[0];
        let action = &step.calls[0].action;
        let operation = match &action.value {
            Action::Call(operation) => operation,
            Action::CodeMode { code, format } => return self.code_mode(code, format),
        };
        // The row is named as the user wrote it: what came from the environment
        // is not shown.
        let shown = match &action.shown {
            Action::Call(shown) => shown,
            Action::CodeMode { .. } => operation,
        };
        let mut only = self.step(operation, shown)?;
        if step.parallel > 1 {
            only.parallel = step.parallel;
            only.turn_row = Some(self.rows.of(RowKind::Turn, shown));
        }
        Ok(Flow {
            steps: vec![only],
            n_values: 0,
        })
    }

    /// pmcp's code mode: `validate_code`, then `execute_code` with the token that
    /// the first returned.
    fn code_mode(&mut self, code: &str, format: &str) -> Result<Flow, PrepareError> {
        const TOKEN: &str = "approval_token";
        const TOKEN_VALUE: usize = 0;
        let mut arguments = Map::new();
        arguments.insert("code".to_string(), code.into());
        arguments.insert("format".to_string(), format.into());
        let arguments = Arguments::from(arguments);
        let tool = |name: &str, arguments| Operation::CallTool {
            name: name.to_string(),
            arguments: Some(arguments),
        };
        let validate = tool("validate_code", arguments.clone());
        let execute = tool("execute_code", arguments.with_slot(TOKEN, TOKEN_VALUE));
        let mut first = self.step(&validate, &validate)?;
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
            value: TOKEN_VALUE,
            missing: format!("the result of `validate_code` has no `{TOKEN}`"),
        });
        Ok(Flow {
            steps: vec![first, self.step(&execute, &execute)?],
            n_values: TOKEN_VALUE + 1,
        })
    }

    fn step(&mut self, operation: &Operation, shown: &Operation) -> Result<FlowStep, PrepareError> {
        Ok(FlowStep {
            place: (0, 0),
            call: self.server.prepare(operation, self.catalog)?,
            row: self.rows.of(RowKind::Call, shown),
            parallel: 1,
            turn_row: None,
            extract: None,
        })
    }
}

/// Tools that the server does not list, told one by one.
const UNKNOWN_MAX: usize = 20;

/// Tools of the server among which one of a similar name is looked for.
const CANDIDATES_MAX: usize = 10_000;

/// Steps of one operation, with different arguments, share a row.
#[derive(Default)]
struct RowTable {
    rows: Vec<Row>,
    places: HashMap<Row, usize>,
}

impl RowTable {
    fn of(&mut self, kind: RowKind, operation: &Operation) -> usize {
        self.add(Row {
            subject: operation.subject().map(str::to_string),
            ..Row::new(kind, operation.method())
        })
    }

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
