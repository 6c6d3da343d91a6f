//! What users do, prepared once: requests rendered, rows of the report laid out.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Map, Value};

use super::cells::DataCell;
use super::check::Check;
use super::headers::HeaderTemplates;
use crate::auth::Tokens;
use crate::client::{KeptParts, PreparedCall, Server};
use crate::error::UserError;
use crate::expect::{Checker, Expectations, Extract, OutputSchema, Source};
use crate::marker::MarkerKey;
use crate::outcome::{Row, RowKind, Witness};
use crate::protocol::{
    CallExtras, Era, LISTEN_METHOD, Operation, PrepareError, ToolCatalog, TraceMode,
};
use crate::redact::Redactor;
use crate::scenario::{self, Action, OnError, Plan, ThinkTime, Until};
use crate::template::{Expression, Scope, literal, named};

/// What the users of a population speak to, found and prepared.
#[derive(Debug, Clone)]
pub struct ScriptTarget {
    /// The server.
    pub server: Server,
    /// Its tools, as far as they were read.
    pub catalog: ToolCatalog,
    /// The plan, with the arguments that were made for this server's tools.
    pub plan: Arc<Plan>,
}

/// What users do. Shared by all workers, never changed.
#[derive(Debug)]
pub struct Script {
    /// The plan it was made of.
    pub plan: Arc<Plan>,
    /// The rows of all recorders, in order.
    pub rows: Vec<Row>,
    /// Those of the first population, then those of the next, and so on.
    flows: Vec<Flow>,
    /// What is looked for in answers.
    pub(super) checks: Vec<Check>,
    /// One for each population of the plan.
    roles: Vec<PopulationRole>,
    /// By what calls are counted apart.
    pub(super) spread: SpreadRule,
    /// Who has which token, where tokens are fetched.
    pub tokens: Option<Arc<Tokens>>,
    /// Where calls have markers.
    pub(super) marks: Option<Marks>,
    /// Where this is a trial.
    trial: Option<TrialRun>,
}

/// By what of who served them calls are counted apart.
#[derive(Debug, Clone, Default)]
pub(super) struct SpreadRule {
    /// By the address of the connection.
    pub(super) by_address: bool,
    /// By this header of the answer.
    pub(super) header: Option<String>,
}

impl SpreadRule {
    /// Where connections lead to several addresses, or may, they are told apart.
    fn of(plan: &Plan, targets: &[ScriptTarget]) -> Self {
        let has_several = |target: &ScriptTarget| {
            let addresses = target.server.endpoint().addresses();
            let is_first = |it: &&SocketAddr| it.is_ipv4() == addresses[0].is_ipv4();
            addresses.iter().filter(is_first).count() > 1
        };
        Self {
            by_address: targets.iter().any(has_several) || plan.network.dns_ttl.is_some(),
            header: plan.network.backend_header.clone(),
        }
    }

    /// What each call of the plan keeps of its answers.
    fn kept(&self, plan: &Plan) -> Option<KeptParts> {
        let is_kept = self.by_address || self.header.is_some() || plan.streams;
        is_kept.then(|| KeptParts {
            headers: self.header.iter().cloned().collect(),
            pieces: plan.streams,
            progress: false,
        })
    }
}

/// Whose markers the users' calls have.
#[derive(Debug, Clone)]
pub struct Marks {
    /// That of the load.
    pub key: MarkerKey,
    /// The user is the probe's, which has a number of its own.
    pub is_of_probe: bool,
}

impl Marks {
    /// What the user of this number, from 1, is called in markers.
    pub(super) fn user(&self, vu: u64) -> u32 {
        match self.is_of_probe {
            true => 0,
            false => u32::try_from(vu).unwrap_or(u32::MAX),
        }
    }
}

/// Each flow once, in order, before a witness.
#[derive(Debug)]
struct TrialRun {
    witness: Witness,
    /// How many flows were picked.
    n_picked: AtomicUsize,
}

/// What the users of a population do.
#[derive(Debug)]
pub(super) struct PopulationRole {
    /// What they speak to.
    pub(super) server: Server,
    /// Filled once for each session.
    pub(super) headers: HeaderTemplates,
    /// The pause between iterations.
    pub(super) think: ThinkTime,
    /// The plan's tokens are theirs, where it has any.
    pub(super) has_tokens: bool,
    /// Opening a session.
    pub(super) handshake_row: usize,
    /// Ending a session.
    pub(super) close_row: usize,
    /// Opening a session's listening stream; `None` where none is held.
    pub(super) listen_row: Option<usize>,
    /// What asks for that stream in the modern era.
    pub(super) subscription: Option<Arc<PreparedCall>>,
    /// The first of its flows; the others follow it.
    first_flow: usize,
    /// Sums of the weights up to and with each of its flows.
    cumulative_weights: Vec<u64>,
}

/// Steps in order, in one session. What one of them takes out of its answer goes
/// into the slots of those after it.
#[derive(Debug)]
pub(super) struct Flow {
    /// Which of the plan's flows.
    pub(super) number: usize,
    /// Not empty.
    pub(super) steps: Vec<FlowStep>,
    pub(super) on_error: OnError,
    /// Where the flow has a name.
    pub(super) rows: Option<FlowRows>,
    /// The values that its calls take.
    pub(super) scope: Scope,
    /// Those that are the same for a whole iteration.
    pub(super) of_iteration: Vec<usize>,
    /// Cells of data sets.
    pub(super) cells: Vec<DataCell>,
    /// Values that answers bring.
    pub(super) extracted: Vec<usize>,
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
    /// It is not done in each iteration: it is done once, or a value may be missing.
    pub(super) is_conditional: bool,
    /// Values of answers without which it is not done: there are some only where the flow
    /// goes on after a failure.
    pub(super) needed: Vec<usize>,
    /// How often it is done at most; at least 1.
    pub(super) times: u32,
    /// It polls, with this pause between.
    pub(super) poll_every: Option<Duration>,
    pub(super) think: Option<ThinkTime>,
    /// One after the other; more than one in code mode.
    pub(super) turns: Vec<Turn>,
}

/// Calls at once.
#[derive(Debug)]
pub(super) struct Turn {
    /// Not empty.
    pub(super) calls: Vec<FlowCall>,
    /// Each of them this many times; at least 1.
    pub(super) parallel: u32,
    pub(super) form: TurnForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TurnForm {
    /// One call.
    Plain,
    /// One call that may become a task.
    Task,
    /// Several at once, with a row of their own.
    Several(usize),
}

#[derive(Debug)]
pub(super) struct FlowCall {
    /// Which flow of the plan, which of its steps, and which of the step's calls.
    pub(super) place: (usize, usize, usize),
    pub(super) call: PreparedCall,
    pub(super) row: usize,
    /// The values that are others for each call.
    pub(super) drawn: Vec<usize>,
    /// Some value says what time it is.
    pub(super) tells_time: bool,
    /// Which of the script's checks looks at its answer.
    pub(super) check: Option<usize>,
    /// A marker goes out with it.
    pub(super) is_marked: bool,
    /// Where the value is that names its trace, if it has one.
    pub(super) trace: Option<usize>,
    /// Something looks at its answer: a check, or the search for markers.
    pub(super) is_looked_at: bool,
    /// Where it may become a task.
    pub(super) task: Option<TaskRows>,
}

/// The rows of a call's tasks.
#[derive(Debug, Clone, Copy)]
pub(super) struct TaskRows {
    /// From the call to the task.
    pub(super) created: usize,
    /// Each question for how it stands.
    pub(super) polled: usize,
}

impl Script {
    /// Prepares a plan's steps for what each of its populations speaks to.
    ///
    /// # Errors
    /// When a step does not exist in the server's revision, or the server's
    /// definition of a tool forbids to call it.
    pub fn new(plan: Arc<Plan>, targets: &[ScriptTarget]) -> Result<Self, UserError> {
        let spread = SpreadRule::of(&plan, targets);
        let (mut rows, mut checks) = (RowTable::default(), Vec::new());
        let (mut flows, mut roles) = (Vec::new(), Vec::new());
        let populations = plan.populations.all().iter().enumerate();
        for ((at, population), target) in populations.zip(targets) {
            let mut compiler = Compiler {
                target,
                kept: spread.kept(&plan),
                trace: plan.trace,
                population: population.name.as_deref(),
                rows: &mut rows,
                checks: &mut checks,
            };
            let first_flow = flows.len();
            let mut cumulative_weights = Vec::new();
            let mut sum = 0_u64;
            for number in &population.flows {
                let flow = &target.plan.flows[*number];
                sum += u64::from(flow.weight);
                cumulative_weights.push(sum);
                flows.push(compiler.flow(*number, flow)?);
            }
            let method = match target.server.dialect().era() {
                Era::Legacy => "initialize",
                Era::Modern => "server/discover",
            };
            roles.push(PopulationRole {
                headers: HeaderTemplates::of(plan.target_of(at), &plan.data).1,
                think: plan.think_of(at),
                has_tokens: plan.has_tokens(at),
                handshake_row: compiler.row(Row::new(RowKind::Handshake, method)),
                close_row: compiler.row(Row::new(RowKind::Close, "DELETE")),
                server: target.server.clone(),
                listen_row: None,
                subscription: None,
                first_flow,
                cumulative_weights,
            });
        }
        Ok(Self {
            plan,
            rows: rows.rows,
            flows,
            checks,
            roles,
            spread,
            tokens: None,
            marks: None,
            trial: None,
        })
    }

    /// Marks calls, and looks at all answers for other users' markers.
    pub fn mark(&mut self, marks: Marks) {
        let steps = self.flows.iter_mut().flat_map(|flow| &mut flow.steps);
        let turns = steps.flat_map(|step| &mut step.turns);
        for call in turns.flat_map(|turn| &mut turn.calls) {
            call.is_looked_at = true;
        }
        self.marks = Some(marks);
    }

    /// Has each session of a population whose server offers it hold a listening stream, and
    /// each user of one that wants to be told of something a subscription.
    pub fn hold_streams(&mut self, offers: &[bool]) {
        for (at, role) in self.roles.iter_mut().enumerate() {
            let subscription = role.server.subscription(self.plan.topics_of(at));
            let method = match (&subscription, offers.get(at)) {
                (Some(_), _) => LISTEN_METHOD,
                (None, Some(true)) => "GET",
                _ => continue,
            };
            role.subscription = subscription.map(Arc::new);
            role.listen_row = Some(self.rows.len());
            self.rows.push(Row {
                population: self.plan.populations.all()[at].name.clone(),
                ..Row::new(RowKind::Listen, method)
            });
        }
    }

    /// What the users of a population do.
    pub(super) fn role(&self, population: usize) -> &PopulationRole {
        &self.roles[population]
    }

    /// Takes secrets out of messages: all servers of a plan have the same.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.roles[0].server.settings().redactor
    }

    /// Makes a trial of it: the flows are done in order rather than by weight, and
    /// each request is shown to the witness.
    pub fn show_to(&mut self, witness: Witness) {
        let n_picked = AtomicUsize::new(0);
        self.trial = Some(TrialRun { witness, n_picked });
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
        let role = &self.roles[population];
        let weights = &role.cumulative_weights;
        let at = match weights.len() {
            1 => 0,
            n_flows => {
                let sum = weights.last().copied().unwrap_or(0);
                let drawn = random.u64(0..sum.max(1));
                let at = weights.partition_point(|sum| *sum <= drawn);
                at.min(n_flows - 1)
            }
        };
        &self.flows[role.first_flow + at]
    }
}

/// Makes flows of a plan's steps.
struct Compiler<'a> {
    /// What is kept of the answers of all calls.
    kept: Option<KeptParts>,
    /// Where they say which trace they are part of.
    trace: TraceMode,
    target: &'a ScriptTarget,
    /// Where the plan names any.
    population: Option<&'a str>,
    rows: &'a mut RowTable,
    checks: &'a mut Vec<Check>,
}

/// What the rows of a step's calls are named by.
#[derive(Clone, Copy)]
struct RowNames<'a> {
    flow: Option<&'a str>,
    step: &'a scenario::Step,
}

impl Compiler<'_> {
    /// The place of a row of this population.
    fn row(&mut self, row: Row) -> usize {
        self.rows.add(Row {
            population: self.population.map(str::to_string),
            ..row
        })
    }

    fn flow(&mut self, number: usize, flow: &scenario::Flow) -> Result<Flow, UserError> {
        let mut scope = Scope::new(number);
        let mut steps = Vec::new();
        for (step_at, step) in flow.steps.iter().enumerate() {
            let names = RowNames {
                flow: flow.name.as_deref(),
                step,
            };
            let times = step
                .until
                .as_ref()
                .map_or(step.repeat, |until| until.at_most);
            let mut turns = self.turns(names, &mut scope)?;
            let needed = match flow.on_error {
                OnError::Continue => needed(&turns, &scope),
                OnError::EndIteration | OnError::EndSession => Vec::new(),
            };
            let calls = turns.iter_mut().flat_map(|turn| &mut turn.calls);
            for (call_at, call) in calls.enumerate() {
                call.place = (number, step_at, call_at);
                call.is_looked_at = call.check.is_some();
            }
            steps.push(FlowStep {
                is_once: step.is_once,
                is_conditional: step.is_once || !needed.is_empty(),
                needed,
                times: times.max(1),
                poll_every: step.until.as_ref().map(|until| until.every),
                think: step.think,
                turns,
            });
        }
        let rows = flow.name.as_deref().map(|name| FlowRows {
            whole: self.row(Row::of_flow(RowKind::Flow, name)),
            busy: self.row(Row::of_flow(RowKind::FlowBusy, name)),
        });
        let mut compiled = Flow {
            number,
            steps,
            on_error: flow.on_error,
            rows,
            scope: Scope::default(),
            of_iteration: Vec::new(),
            cells: Vec::new(),
            extracted: Vec::new(),
        };
        for (value, expression) in scope.expressions().enumerate() {
            match expression {
                Expression::Vu | Expression::Iteration => compiled.of_iteration.push(value),
                Expression::Value(_) => compiled.extracted.push(value),
                _ => {}
            }
        }
        compiled.cells = DataCell::of(&scope, &self.target.plan.data);
        compiled.scope = scope;
        Ok(compiled)
    }

    /// All plain calls of a step are one turn.
    fn turns(&mut self, names: RowNames<'_>, scope: &mut Scope) -> Result<Vec<Turn>, UserError> {
        let step = names.step;
        let mut calls = Vec::new();
        let mut turns = Vec::new();
        for call in &step.calls {
            let cannot = |error: PrepareError| cannot_prepare(&error, call);
            let operation = match &call.action.value {
                Action::Call(operation) => operation,
                Action::CodeMode { code, format } => {
                    let both = self.code_mode((code, format), call, names, scope);
                    turns.extend(both.map_err(cannot)?);
                    continue;
                }
            };
            // The row is named as the user wrote it: what came from the environment
            // is not shown.
            let shown = match &call.action.shown {
                Action::Call(shown) => shown,
                Action::CodeMode { .. } => operation,
            };
            let target = self.target;
            let mut prepared = match call.task {
                true => self.task_call(operation, shown, call, names, scope),
                false => self.call(&target.server, operation, shown, call, names, scope),
            }
            .map_err(cannot)?;
            let is_looked_at = !call.extracts.is_empty() || !call.expectations.is_empty();
            if is_looked_at || step.until.is_some() {
                let checker = Checker::new(
                    &call.extracts,
                    &call.expectations,
                    self.output_schema(operation),
                );
                self.look_at(
                    &mut prepared,
                    vec![checker],
                    call,
                    step.until.as_ref(),
                    scope,
                );
            }
            calls.push(prepared);
        }
        if !calls.is_empty() {
            let is_fan_out = step.parallel > 1 || calls.len() > 1;
            let form = match &calls[..] {
                _ if is_fan_out => TurnForm::Several(self.turn_row(&calls, names)),
                [call] if call.task.is_some() => TurnForm::Task,
                _ => TurnForm::Plain,
            };
            turns.push(Turn {
                calls,
                parallel: step.parallel.max(1),
                form,
            });
        }
        Ok(turns)
    }

    fn output_schema(&self, operation: &Operation) -> OutputSchema<'_> {
        let Operation::CallTool { name, .. } = operation else {
            return OutputSchema::NotListed;
        };
        let known = literal(name).and_then(|name| self.target.catalog.output_schema(&name));
        match known {
            None => OutputSchema::NotListed,
            Some(None) => OutputSchema::Missing,
            Some(Some(text)) => OutputSchema::Text(text),
        }
    }

    /// Lets the answers of a call be looked at.
    fn look_at(
        &mut self,
        prepared: &mut FlowCall,
        checkers: Vec<Checker>,
        call: &scenario::Call,
        until: Option<&Until>,
        scope: &mut Scope,
    ) {
        let sources = call.extracts.iter().map(|extract| &extract.source);
        let sources = sources.chain(call.expectations.sources());
        let sources = sources.chain(until.map(|until| &until.source));
        let headers = sources.filter_map(|source| source.header().map(str::to_string));
        let headers: Vec<String> = headers.collect();
        let mut kept = prepared.call.kept().cloned();
        if !headers.is_empty() {
            let all = &mut kept.get_or_insert_default().headers;
            all.extend(headers);
            all.sort_unstable();
            all.dedup();
        }
        prepared.call = prepared.call.clone().keeping_answer().keeping(kept);
        let extracts = call.extracts.iter();
        let taken = extracts.map(|extract| scope.slot(&Expression::Value(extract.name.clone())));
        let secrets = call.extracts.iter().enumerate();
        let secrets = secrets.filter(|(_, extract)| extract.is_secret);
        let secrets = secrets.map(|(value, extract)| (value, extract.source.clone()));
        prepared.check = Some(self.checks.len());
        self.checks.push(Check {
            checkers,
            awaits_failure: call.expectations.awaits_failure(),
            taken: taken.collect(),
            secrets: secrets.collect(),
            until: until.map(|until| (until.source.clone(), until.equals.clone())),
        });
    }

    /// The row of a turn is that of its call, or named by the step, or by all its calls.
    fn turn_row(&mut self, calls: &[FlowCall], names: RowNames<'_>) -> usize {
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
                    name: Some(names.step.name.clone().unwrap_or_else(together)),
                    flow: names.flow.map(str::to_string),
                    ..Row::default()
                }
            }
        };
        self.row(Row {
            kind: RowKind::Turn,
            ..row
        })
    }

    /// pmcp's code mode: `validate_code`, then `execute_code` with the token that
    /// the first returned.
    fn code_mode(
        &mut self,
        (code, format): (&str, &str),
        call: &scenario::Call,
        names: RowNames<'_>,
        scope: &mut Scope,
    ) -> Result<[Turn; 2], PrepareError> {
        const TOKEN: &str = "approval_token";
        /// Where servers have it.
        const PLACES: [&str; 3] = [
            "$.structuredContent.approval_token",
            "$.approval_token",
            "$.content[0].text | json | $.approval_token",
        ];
        let mut arguments = Map::new();
        arguments.insert("code".to_string(), code.into());
        arguments.insert("format".to_string(), format.into());
        let tool = |name: &str, arguments: &Map<String, Value>| Operation::CallTool {
            name: name.to_string(),
            arguments: Some(arguments.clone().into()),
        };
        let validate = tool("validate_code", &arguments);
        arguments.insert(TOKEN.to_string(), format!("{{{{{TOKEN}}}}}").into());
        let execute = tool("execute_code", &arguments);
        let target = self.target;
        let mut first = self.call(&target.server, &validate, &validate, call, names, scope)?;
        let sources = PLACES.iter().filter_map(|place| Source::parse(place).ok());
        let extracts: Vec<Extract> = sources
            .map(|source| Extract {
                name: TOKEN.to_string(),
                source,
                is_secret: true,
            })
            .collect();
        let checkers = extracts.iter().map(|extract| {
            let extracts = std::slice::from_ref(extract);
            Checker::new(extracts, &Expectations::default(), OutputSchema::NotListed)
        });
        let looked_at = scenario::Call {
            extracts: extracts.iter().take(1).cloned().collect(),
            ..scenario::Call::new(Action::Call(validate))
        };
        self.look_at(&mut first, checkers.collect(), &looked_at, None, scope);
        let then = self.call(&target.server, &execute, &execute, call, names, scope)?;
        Ok([first, then].map(|call| Turn {
            calls: vec![call],
            parallel: 1,
            form: TurnForm::Plain,
        }))
    }

    /// A call that declares tasks, with rows for what becomes of them.
    fn task_call(
        &mut self,
        operation: &Operation,
        shown: &Operation,
        of: &scenario::Call,
        names: RowNames<'_>,
        scope: &mut Scope,
    ) -> Result<FlowCall, PrepareError> {
        let dialect = self.target.server.dialect().declaring_tasks()?;
        let server = self.target.server.in_dialect(dialect);
        let mut call = self.call(&server, operation, shown, of, names, scope)?;
        let whole = Row {
            kind: RowKind::TaskStep,
            ..self.rows.rows[call.row].clone()
        };
        let polled = Row {
            method: "tasks/get".to_string(),
            ..whole.clone()
        };
        call.task = Some(TaskRows {
            created: self.rows.add(whole),
            polled: self.rows.add(polled),
        });
        Ok(call)
    }

    fn call(
        &mut self,
        server: &Server,
        operation: &Operation,
        shown: &Operation,
        of: &scenario::Call,
        names: RowNames<'_>,
        scope: &mut Scope,
    ) -> Result<FlowCall, PrepareError> {
        let row = Row {
            subject: shown.subject().map(named),
            name: names.step.row_name(of, shown),
            flow: names.flow.map(str::to_string),
            ..Row::new(RowKind::Call, shown.method())
        };
        let n_before = scope.len();
        let catalog = &self.target.catalog;
        let call = {
            let extras = CallExtras {
                progress: of.progress,
                trace: self.trace,
            };
            server.prepare(operation, catalog, scope, extras)?
        };
        let mut kept = self.kept.clone();
        if of.progress {
            let kept = kept.get_or_insert_default();
            (kept.pieces, kept.progress) = (true, true);
        }
        let mut call = call.keeping(kept);
        if !self.trace.is_off() {
            // Of each failure, whatever it is, the first exchange is kept.
            call = call.keeping_failed();
        }
        let is_time = |it: &Expression| matches!(it, Expression::Now | Expression::NowUnixMs);
        let expressions = || scope.expressions().enumerate();
        // What is drawn has a slot of its own; the time is one for all.
        let drawn = expressions()
            .filter(|(at, it)| *at >= n_before && it.is_drawn() || is_time(it))
            .map(|(at, _)| at);
        Ok(FlowCall {
            place: (0, 0, 0),
            call,
            row: self.row(row),
            drawn: drawn.collect(),
            tells_time: expressions().any(|(_, it)| is_time(it)),
            check: None,
            is_marked: expressions().any(|(at, it)| at >= n_before && *it == Expression::Marker),
            trace: expressions()
                .find(|(at, it)| *at >= n_before && **it == Expression::TraceParent)
                .map(|(at, _)| at),
            is_looked_at: false,
            task: None,
        })
    }
}

/// The values of answers that a step takes, and that a step before it brings: what its
/// first calls bring themselves is not there before.
fn needed(turns: &[Turn], scope: &Scope) -> Vec<usize> {
    let first = turns.first().into_iter().flat_map(|turn| &turn.calls);
    let slots = first.flat_map(|call| call.call.slots());
    let is_brought = |slot: &usize| {
        let expression = scope.expressions().nth(*slot);
        matches!(expression, Some(Expression::Value(_)))
    };
    let mut needed: Vec<usize> = slots.filter(is_brought).collect();
    needed.sort_unstable();
    needed.dedup();
    needed
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

fn cannot_prepare(error: &PrepareError, call: &scenario::Call) -> UserError {
    let written = call.written.as_ref().map(|written| match error {
        PrepareError::ArgumentMismatch { .. } => written.arguments(),
        _ => written.subject(),
    });
    let text = match written {
        Some(at) => format!("{at}: {error}"),
        None => error.to_string(),
    };
    let fault = UserError::usage(text.clone());
    match error {
        // The server's fault, not the command line's.
        PrepareError::ToolExcluded { .. } => UserError::could_not_run(text)
            .hint("the specification forbids clients to call such a tool: mend its definition"),
        PrepareError::NoSuchMethod { .. } => {
            fault.hint("leave this step out, or give `--protocol legacy`")
        }
        PrepareError::NoTasks { .. } => fault,
        PrepareError::ArgumentMismatch { .. } => fault.hint("change the step's arguments"),
    }
}
