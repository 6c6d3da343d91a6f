//! What users do, prepared once: requests rendered, rows of the report laid out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::client::{PreparedCall, Server};
use crate::error::{UserError, nearest};
use crate::outcome::{Row, RowKind};
use crate::protocol::{Era, Operation, PrepareError, ToolCatalog};
use crate::scenario::{Action, Plan};
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
    pub(super) steps: Vec<ScriptStep>,
    /// Sums of the weights up to and with each step.
    cumulative_weights: Vec<u64>,
}

#[derive(Debug)]
pub(super) struct ScriptStep {
    pub(super) action: ScriptAction,
    /// Calls at once; 1: no fan-out.
    pub(super) parallel: u32,
    /// The row of the turn, where there is a fan-out.
    pub(super) turn_row: Option<usize>,
}

#[derive(Debug)]
pub(super) enum ScriptAction {
    Call {
        call: PreparedCall,
        row: usize,
    },
    CodeMode {
        validate: PreparedCall,
        validate_row: usize,
        execute_row: usize,
        code: String,
        format: String,
    },
}

/// The tools of pmcp's code mode.
const VALIDATE_CODE: &str = "validate_code";
const EXECUTE_CODE: &str = "execute_code";

impl Script {
    /// Prepares a plan's steps for a server.
    ///
    /// # Errors
    /// When a step does not exist in the server's revision, or the server's
    /// definition of a tool forbids to call it.
    pub fn new(plan: Arc<Plan>, server: Server, catalog: &ToolCatalog) -> Result<Self, UserError> {
        let mut rows = RowTable::default();
        let mut steps = Vec::with_capacity(plan.steps.len());
        let mut cumulative_weights = Vec::with_capacity(plan.steps.len());
        let mut sum = 0_u64;
        for (step_idx, step) in plan.steps.iter().enumerate() {
            // The row is named as the user wrote it: what came from the
            // environment is not shown.
            let shown = plan.shown_action(step_idx).unwrap_or(&step.action);
            let prepare = |operation: &Operation| {
                server
                    .prepare(operation, catalog)
                    .map_err(|error| cannot_prepare(&error))
            };
            let action = match &step.action {
                Action::Call(operation) => ScriptAction::Call {
                    call: prepare(operation)?,
                    row: rows.of(RowKind::Call, shown_operation(shown, operation)),
                },
                Action::CodeMode { code, format } => {
                    let validate = validate_code(code, format);
                    ScriptAction::CodeMode {
                        validate: prepare(&validate)?,
                        validate_row: rows.of(RowKind::Call, &validate),
                        execute_row: rows.of(RowKind::Call, &execute_code(code, format, None)),
                        code: code.clone(),
                        format: format.clone(),
                    }
                }
            };
            let turn_row = match &step.action {
                Action::Call(operation) if step.parallel > 1 => {
                    Some(rows.of(RowKind::Turn, shown_operation(shown, operation)))
                }
                _ => None,
            };
            steps.push(ScriptStep {
                action,
                parallel: step.parallel,
                turn_row,
            });
            sum += u64::from(step.weight);
            cumulative_weights.push(sum);
        }
        let handshake_method = match server.dialect().era() {
            Era::Legacy => "initialize",
            Era::Modern => "server/discover",
        };
        let handshake = rows.add(Row {
            kind: RowKind::Handshake,
            method: handshake_method.to_string(),
            subject: None,
        });
        let close = rows.add(Row {
            kind: RowKind::Close,
            method: "DELETE".to_string(),
            subject: None,
        });
        Ok(Self {
            server,
            plan,
            rows: Rows {
                all: rows.rows,
                handshake,
                close,
            },
            steps,
            cumulative_weights,
        })
    }

    /// What the user should know of steps whose tool the server does not list.
    pub fn unknown_tools(plan: &Plan, known: &[&str]) -> Vec<String> {
        let listed: HashSet<&str> = known.iter().copied().collect();
        let mut told = HashSet::new();
        let mut notices = Vec::new();
        for step in &plan.steps {
            let Action::Call(Operation::CallTool { name, .. }) = &step.action else {
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

    /// A step by weight.
    pub(super) fn pick(&self, random: &mut fastrand::Rng) -> &ScriptStep {
        let sum = self.cumulative_weights.last().copied().unwrap_or(0);
        let at = match self.steps.len() {
            1 => 0,
            _ => {
                let drawn = random.u64(0..sum.max(1));
                self.cumulative_weights.partition_point(|sum| *sum <= drawn)
            }
        };
        &self.steps[at.min(self.steps.len() - 1)]
    }
}

fn shown_operation<'a>(shown: &'a Action, operation: &'a Operation) -> &'a Operation {
    match shown {
        Action::Call(shown) => shown,
        Action::CodeMode { .. } => operation,
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
            kind,
            method: operation.method().to_string(),
            subject: operation.subject().map(str::to_string),
        })
    }

    fn add(&mut self, row: Row) -> usize {
        *self.places.entry(row).or_insert_with_key(|row| {
            self.rows.push(row.clone());
            self.rows.len() - 1
        })
    }
}

fn validate_code(code: &str, format: &str) -> Operation {
    tool(VALIDATE_CODE, &[("code", code), ("format", format)])
}

/// The second call of code mode, with the token that the first returned.
pub(super) fn execute_code(code: &str, format: &str, token: Option<&str>) -> Operation {
    let mut arguments = vec![("code", code), ("format", format)];
    arguments.extend(token.map(|token| ("approval_token", token)));
    tool(EXECUTE_CODE, &arguments)
}

fn tool(name: &str, arguments: &[(&str, &str)]) -> Operation {
    let arguments: serde_json::Map<_, _> = arguments
        .iter()
        .map(|(key, value)| ((*key).to_string(), (*value).into()))
        .collect();
    Operation::CallTool {
        name: name.to_string(),
        arguments: Some(arguments.into()),
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
