//! The plan held against what the server lists, before any load.
//!
//! What is certain refuses the run: the tool, prompt or resource of a step is not
//! there, or its literal arguments break the input schema. What is likely is a notice.
//! Pure: lists in, texts out. Start at [`Preflight`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::client::{Listing, ServerLists, WantedLists};
use crate::error::{UserError, did_you_mean};
use crate::json_schema::{SchemaCheck, WideNumbers, template_places, templates_of_arguments};
use crate::marker::MARKER_CHARS;
use crate::protocol::{Arguments, Listable, Operation, PromptDescription, ToolDescription};
use crate::redact::names_secret;
use crate::scenario::{Action, Call, Flow, MarkedPlace, Plan, WrittenAt, WrittenCall, with_marker};
use crate::template::{literal, named};
use crate::units::plural;

/// Faults and notices that are told one by one.
const TOLD_MAX: usize = 20;
/// Violations of one call's arguments that are told.
const VIOLATIONS_MAX: usize = 3;
/// Names of the server among which one of a similar name is looked for.
const CANDIDATES_MAX: usize = 10_000;
/// Schemas that arguments are held against, in bytes of all together.
const SCHEMA_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Preflight {
    /// Why the run is not made.
    faults: ToldOnce,
    /// Calls whose marker has no place.
    unmarked: ToldOnce,
    /// What the user should know.
    notices: ToldOnce,
}

/// Texts, each once, and a bounded number of them.
#[derive(Debug, Default)]
struct ToldOnce {
    /// Each with its order in the file.
    texts: Vec<(usize, String)>,
    known: HashSet<String>,
}

impl ToldOnce {
    fn add(&mut self, text: String) {
        if self.is_new(&text) {
            self.texts.push((usize::MAX, text));
        }
    }

    /// Adds what is wrong at that place.
    fn add_at(
        &mut self,
        place: &CallPlace<'_>,
        of: impl Fn(&WrittenCall) -> &WrittenAt,
        text: &str,
    ) {
        let Some(at) = place.written.map(of) else {
            return self.add(format!("{}: {text}", place.words));
        };
        // To count the lines before it takes a look at the file.
        if self.is_new(&format!("{}: {text}", at.key())) {
            self.texts.push((at.order(), format!("{at}: {text}")));
        }
    }

    /// Whether it is to be told.
    fn is_new(&mut self, text: &str) -> bool {
        self.known.insert(text.to_string()) && self.texts.len() < TOLD_MAX
    }

    /// In the order of the file.
    fn finish(mut self, of: &str) -> Vec<String> {
        self.texts.sort_by_key(|(order, _)| *order);
        let n_more = self.known.len() - self.texts.len();
        let more = (n_more > 0).then(|| format!("and {n_more} more {of}"));
        let texts = self.texts.into_iter().map(|(_, text)| text);
        texts.chain(more).collect()
    }
}

/// Where a call is: as it is written, or in words where nothing is.
struct CallPlace<'a> {
    written: Option<&'a WrittenCall>,
    words: String,
}

/// The lists that the plan is held against: those of tools always, where it calls
/// any, as the protocol wants it.
pub(super) fn wanted_lists(plan: &Plan) -> WantedLists {
    let mut wanted = WantedLists {
        stream: plan.target.listen,
        ..WantedLists::default()
    };
    for call in plan.calls() {
        match &call.action.value {
            Action::Call(Operation::CallTool { .. }) | Action::CodeMode { .. } => {
                wanted.tools = true;
            }
            Action::Call(Operation::ReadResource { .. }) => wanted.resources |= plan.preflight,
            Action::Call(Operation::GetPrompt { .. }) => {
                let is_marked = call.isolation == Some(MarkedPlace::First);
                wanted.prompts |= plan.preflight || is_marked;
            }
            Action::Call(_) => {}
        }
    }
    wanted
}

impl Preflight {
    /// Holds all calls of the plan against the lists.
    pub(super) fn hold(&mut self, plan: &Plan, lists: &ServerLists) {
        let tools = lists.tools.as_ref().map(KnownNames::of);
        let prompts = lists.prompts.as_ref().map(KnownNames::of);
        let resources = lists.resources.as_ref().map(KnownNames::of);
        let mut schema_bytes_left = SCHEMA_BYTES_MAX;
        // The calls of each tool together: its schema is looked at once.
        let mut by_tool: BTreeMap<&str, Vec<(CallPlace<'_>, &Arguments)>> = BTreeMap::new();
        for (place, call) in places(&plan.flows) {
            let Action::Call(operation) = &call.action.value else {
                continue;
            };
            match operation {
                Operation::CallTool { name, arguments } => {
                    let Some(name) = literal(name) else { continue };
                    if self.is_missing(&name, "tool", tools.as_ref(), &place, call) {
                        continue;
                    }
                    let tool = tools
                        .as_ref()
                        .and_then(|tools| tools.by_key.get(name.as_str()));
                    if let Some(tool) = tool
                        && let Some(fault) = unknown_argument(tool, call)
                    {
                        self.faults.add_at(&place, WrittenCall::isolation, &fault);
                        continue;
                    }
                    let is_held = !call.generate && !call.expectations.awaits_failure();
                    if let (Some(tool), Some(arguments), true) = (tool, arguments, is_held) {
                        by_tool
                            .entry(&tool.name)
                            .or_default()
                            .push((place, arguments));
                    }
                }
                Operation::GetPrompt { name, arguments } => {
                    let Some(name) = literal(name) else { continue };
                    if !self.is_missing(&name, "prompt", prompts.as_ref(), &place, call)
                        && let Some(known) = &prompts
                        && let Some(prompt) = known.by_key.get(name.as_str())
                    {
                        self.hold_prompt(&place, prompt, arguments.as_ref());
                        let names = prompt.arguments.iter().map(|it| it.name.as_str());
                        if let Some(MarkedPlace::Path(path)) = &call.isolation
                            && let Some(name) = path.first()
                            && names.clone().all(|known| known != name)
                        {
                            let what = format!("the prompt `{}`", prompt.name);
                            let fault = no_argument(&what, name, names);
                            self.faults.add_at(&place, WrittenCall::isolation, &fault);
                        }
                    }
                }
                Operation::ReadResource { uri } => {
                    let Some(uri) = literal(uri) else { continue };
                    let templates = lists.templates.as_ref();
                    let fits = |listing: &Listing<_>| {
                        let mut items = listing.items.iter();
                        items.any(|item| fits_template(&uri, Listable::key(item)))
                    };
                    let may_be_of_template = templates.is_none_or(
                        |listing: &Listing<crate::protocol::ResourceTemplateDescription>| {
                            !listing.is_whole || fits(listing)
                        },
                    );
                    if !may_be_of_template {
                        self.is_missing(&uri, "resource", resources.as_ref(), &place, call);
                    }
                }
                _ => {}
            }
        }
        for (name, calls) in by_tool {
            let Some(tool) = tools.as_ref().and_then(|tools| tools.by_key.get(name)) else {
                continue;
            };
            let n_bytes = tool.input_schema.text().len();
            match schema_bytes_left.checked_sub(n_bytes) {
                Some(left) => {
                    schema_bytes_left = left;
                    self.hold_arguments(tool, &calls);
                }
                None => self.notices.add(format!(
                    "the arguments of `{name}` are not held against its schema: the schemas of \
                     the plan's tools are too large"
                )),
            }
        }
    }

    /// Notes that the server does not have what is called, where it is so.
    fn is_missing<T: Listable>(
        &mut self,
        key: &str,
        what: &str,
        known: Option<&KnownNames<'_, T>>,
        place: &CallPlace<'_>,
        call: &Call,
    ) -> bool {
        let Some(known) = known else { return false };
        if known.by_key.contains_key(key) {
            return false;
        }
        let candidates = known.by_key.keys().copied().take(CANDIDATES_MAX);
        let suggestion = did_you_mean(key, candidates);
        let text = format!("the server does not list the {what} `{key}`{suggestion}");
        if !known.is_whole {
            // The rest of the list may hold any name.
            self.notices.add(format!(
                "whether the server has the {what} `{key}` is not known: its list was not read to \
                 the end"
            ));
        } else if call.expectations.awaits_failure() {
            self.notices.add_at(place, WrittenCall::subject, &text);
        } else {
            self.faults.add_at(place, WrittenCall::subject, &text);
        }
        true
    }

    fn hold_arguments(&mut self, tool: &ToolDescription, calls: &[(CallPlace<'_>, &Arguments)]) {
        let schema = tool.input_schema.to_value();
        let mut check = SchemaCheck::new(&schema);
        for (place, arguments) in calls {
            let values = Value::Object(arguments.values().clone());
            let open = template_places(&values);
            let violations = match check.violations(&unescaped(values)) {
                Ok(violations) => violations,
                Err(why) => {
                    let name = &tool.name;
                    self.notices.add(format!(
                        "the arguments of `{name}` are not held against its schema: {why}"
                    ));
                    return;
                }
            };
            let holds = violations
                .iter()
                .filter(|it| it.holds_whatever_is_at(&open));
            let texts: Vec<String> = holds.map(|it| it.text()).collect();
            if texts.is_empty() {
                continue;
            }
            let n_more = texts.len().saturating_sub(VIOLATIONS_MAX);
            let more = match n_more {
                0 => String::new(),
                n => format!("; and {}", plural(n as u64, "more fault", "more faults")),
            };
            let texts = texts[..texts.len().min(VIOLATIONS_MAX)].join("; ");
            let name = &tool.name;
            let fault = format!("the arguments break the input schema of `{name}`: {texts}{more}");
            self.faults.add_at(place, WrittenCall::arguments, &fault);
        }
    }

    /// Whether an argument must be given is said, but not how strictly it is meant.
    fn hold_prompt(
        &mut self,
        place: &CallPlace<'_>,
        prompt: &PromptDescription,
        arguments: Option<&Arguments>,
    ) {
        let is_given = |name: &str| {
            let mut given = arguments.iter().flat_map(|it| it.values().keys());
            given.any(|given| literal(given).is_none_or(|given| given == name))
        };
        let required = prompt.arguments.iter().filter(|argument| argument.required);
        for argument in required.filter(|argument| !is_given(&argument.name)) {
            let (prompt, argument) = (&prompt.name, &argument.name);
            let text = format!("the prompt `{prompt}` wants the argument `{argument}`");
            self.notices.add_at(place, WrittenCall::arguments, &text);
        }
    }

    /// The plan with the arguments of calls that generate theirs, from the tools'
    /// schemas. Where the server tells none, a call keeps the arguments that it has, and
    /// a notice says so.
    pub(super) fn generate(&mut self, plan: &Arc<Plan>, lists: &ServerLists) -> Arc<Plan> {
        // What is refused is not called, with whatever arguments.
        let is_refused = !self.faults.texts.is_empty();
        if is_refused || plan.calls().all(|call| !call.generate) {
            return Arc::clone(plan);
        }
        let known = lists.tools.as_ref().map(KnownNames::of);
        let mut plan = Plan::clone(plan);
        let steps = plan.flows.iter_mut().flat_map(|flow| &mut flow.steps);
        for call in steps
            .flat_map(|step| &mut step.calls)
            .filter(|call| call.generate)
        {
            let Action::Call(Operation::CallTool { name, arguments }) = &mut call.action.value
            else {
                continue;
            };
            let text = literal(name);
            let tools = known.as_ref().map(|known| &known.by_key);
            let tool = text
                .as_deref()
                .zip(tools)
                .and_then(|(name, tools)| tools.get(name));
            let Some(tool) = tool else {
                let kept = match arguments {
                    Some(_) => "with those that are given",
                    None => "without",
                };
                self.notices.add(format!(
                    "no arguments can be generated for `{name}`, which is called {kept}: the \
                     server's list does not tell its schema"
                ));
                continue;
            };
            let none = Map::new();
            let given = arguments.as_ref().map_or(&none, Arguments::values);
            let made = templates_of_arguments(&tool.input_schema.to_value(), given);
            if let Some(problem) = made.problem {
                self.notices.add(format!(
                    "the arguments generated for `{}`: {problem}",
                    tool.name
                ));
            }
            // Whole numbers beyond 64 bits are sent as they are written.
            let written = arguments.as_ref().map_or("", Arguments::json);
            let wide = WideNumbers::of(&[written, tool.input_schema.text()]);
            let exact = Arguments::read(&wide.json(&made.values));
            *arguments = Some(exact.unwrap_or_else(|_| made.values.into()));
        }
        Arc::new(plan)
    }

    /// The plan with a marker in the first argument that takes any text, of the calls
    /// that ask for that.
    pub(super) fn mark(&mut self, plan: &Arc<Plan>, lists: &ServerLists) -> Arc<Plan> {
        let is_asked = |call: &Call| call.isolation == Some(MarkedPlace::First);
        if !plan.calls().any(is_asked) {
            return Arc::clone(plan);
        }
        let tools = lists.tools.as_ref().map(KnownNames::of);
        let prompts = lists.prompts.as_ref().map(KnownNames::of);
        let mut marked = Plan::clone(plan);
        let steps = marked.flows.iter_mut().flat_map(|flow| &mut flow.steps);
        let calls = steps.flat_map(|step| &mut step.calls);
        for (call, (place, _)) in calls.zip(places(&plan.flows)) {
            if !is_asked(call) {
                continue;
            }
            let (what, found, arguments) = match &mut call.action.value {
                Action::Call(Operation::CallTool { name, arguments }) => {
                    let tool = literal(name).and_then(|name| {
                        let known = tools.as_ref()?;
                        known.by_key.get(name.as_str()).copied()
                    });
                    let found = tool.map(|tool| first_text(tool, arguments.as_ref()));
                    ("the tool", found, arguments)
                }
                Action::Call(Operation::GetPrompt { name, arguments }) => {
                    let prompt = literal(name).and_then(|name| {
                        let known = prompts.as_ref()?;
                        known.by_key.get(name.as_str()).copied()
                    });
                    let found = prompt.map(|prompt| {
                        let mut names = prompt.arguments.iter().map(|it| &it.name);
                        names.find(|name| !names_secret(name)).cloned()
                    });
                    ("the prompt", found, arguments)
                }
                // No other call takes the key.
                _ => continue,
            };
            let fault = match found {
                None => format!("the server's list does not tell what {what} takes"),
                Some(None) => format!("{what} has no argument that takes any text"),
                Some(Some(name)) => match with_marker(arguments.as_ref(), &[name]) {
                    Some(made) => {
                        *arguments = Some(made);
                        continue;
                    }
                    None => format!("{what} has no argument that takes any text"),
                },
            };
            let fault = format!("`isolation` finds no place: {fault}");
            self.unmarked.add_at(&place, WrittenCall::isolation, &fault);
        }
        Arc::new(marked)
    }

    /// What the user should know, each once.
    pub(super) fn notices(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notices).finish("of this kind")
    }

    /// All faults in one error.
    pub(super) fn refusal(self) -> Result<(), UserError> {
        let mut faults = self.faults.finish("faults");
        let unmarked = self.unmarked.finish("of this kind");
        let hints = [
            (
                !faults.is_empty(),
                "mend the steps, or leave this check out with `--no-preflight`",
            ),
            (
                !unmarked.is_empty(),
                "name the argument that the marker goes into, as in `isolation = \"text\"`, or \
                 write `{{isolation.marker}}` where it should be",
            ),
        ];
        faults.extend(unmarked);
        let error = match &faults[..] {
            [] => return Ok(()),
            [only] => UserError::usage(only),
            _ => UserError::usage(format!(
                "the plan does not fit what the server lists:\n  {}",
                faults.join("\n  ")
            )),
        };
        let hints = hints.into_iter().filter(|(is_told, _)| *is_told);
        Err(hints.fold(error, |error, (_, hint)| error.hint(hint)))
    }
}

/// What is wrong with the path that a call's marker takes: it leads to an argument that
/// the tool's schema does not name, which a server would most likely throw away. `None`
/// where the schema may have it in other words than `properties`.
fn unknown_argument(tool: &ToolDescription, call: &Call) -> Option<String> {
    const OTHER_WORDS: [&str; 9] = [
        "$ref",
        "$dynamicRef",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "dependentSchemas",
        "patternProperties",
        "not",
    ];
    let Some(MarkedPlace::Path(path)) = &call.isolation else {
        return None;
    };
    let whole = tool.input_schema.to_value();
    let mut schema = &whole;
    for (depth, name) in path.iter().enumerate() {
        let has_other_words = OTHER_WORDS.iter().any(|word| schema.get(word).is_some());
        // Where others are named by the schema itself, they are meant.
        let is_open = !matches!(
            schema.get("additionalProperties"),
            None | Some(Value::Bool(false))
        );
        if has_other_words || is_open {
            return None;
        }
        let properties = schema.get("properties")?.as_object()?;
        match properties.get(name) {
            Some(inner) => schema = inner,
            None => {
                let before = &path[..depth];
                let what = match before.is_empty() {
                    true => format!("the tool `{}`", tool.name),
                    false => format!("`{}` of the tool `{}`", before.join("."), tool.name),
                };
                let names = properties.keys().map(String::as_str);
                return Some(no_argument(&what, name, names));
            }
        }
    }
    None
}

/// Says that there is no argument of that name for the marker, and which may be meant.
fn no_argument<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let suggestion = did_you_mean(name, known.take(CANDIDATES_MAX));
    format!("`isolation` names an argument that {what} does not have: `{name}`{suggestion}")
}

/// The first property of a tool that takes any text of the length of a marker, and in
/// which nothing is likely to be known by its value: one that the call gives, where there
/// is such a one.
fn first_text(tool: &ToolDescription, arguments: Option<&Arguments>) -> Option<String> {
    const NARROW: [&str; 5] = ["enum", "const", "pattern", "format", "x-mcp-header"];
    let schema = tool.input_schema.to_value();
    let given = |name: &str| arguments.and_then(|it| it.values().get(name));
    let takes_marker = |name: &str, property: &Value| {
        let types = match &property["type"] {
            Value::Array(types) => &types[..],
            one => std::slice::from_ref(one),
        };
        let room = property["maxLength"].as_u64().unwrap_or(u64::MAX);
        let n_given = match given(name) {
            None => 0,
            Some(Value::String(text)) => text.chars().count() as u64 + 1,
            Some(_) => return false,
        };
        types.contains(&"string".into())
            && NARROW.iter().all(|key| property.get(key).is_none())
            && room.saturating_sub(n_given) >= MARKER_CHARS as u64
            && !names_secret(name)
    };
    let properties = schema["properties"].as_object()?.iter();
    let all: Vec<&String> = properties
        .filter(|(name, property)| takes_marker(name, property))
        .map(|(name, _)| name)
        .collect();
    let first_given = all.iter().find(|name| given(name).is_some());
    first_given.or(all.first()).map(|name| (*name).clone())
}

/// Entries of a list by what they are called by.
struct KnownNames<'a, T> {
    by_key: HashMap<&'a str, &'a T>,
    is_whole: bool,
}

impl<'a, T: Listable> KnownNames<'a, T> {
    fn of(listing: &'a Listing<T>) -> Self {
        let items = listing.items.iter();
        Self {
            by_key: items.map(|item| (item.key(), item)).collect(),
            is_whole: listing.is_whole,
        }
    }
}

/// All calls of the flows, each with its place.
fn places(flows: &[Flow]) -> impl Iterator<Item = (CallPlace<'_>, &Call)> {
    flows.iter().flat_map(|flow| {
        flow.steps.iter().flat_map(move |step| {
            step.calls.iter().map(move |call| {
                let label = match &call.action.shown {
                    Action::Call(shown) => named(&shown.label()),
                    Action::CodeMode { .. } => "code mode".to_string(),
                };
                let name = call.name.as_ref().or(step.name.as_ref());
                let name = name.map_or(label, |name| format!("step `{name}`"));
                let words = match &flow.name {
                    Some(flow) => format!("flow `{flow}`, {name}"),
                    None => name,
                };
                let written = call.written.as_ref();
                (CallPlace { written, words }, call)
            })
        })
    })
}

/// Arguments as they are sent, but for templates.
fn unescaped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(literal(&text).unwrap_or(text)),
        Value::Array(items) => items.into_iter().map(unescaped).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter();
            fields
                .map(|(name, value)| (literal(&name).unwrap_or(name), unescaped(value)))
                .collect()
        }
        other => other,
    }
}

/// Whether the URI may be one of the template (RFC 6570): what is outside of its
/// expressions is there in order. An expression may stand for anything.
fn fits_template(uri: &str, template: &str) -> bool {
    let mut literals = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        literals.push(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    let Some((first, middle)) = literals.split_first() else {
        return uri == template;
    };
    let Some(inner) = uri
        .strip_prefix(first)
        .and_then(|uri| uri.strip_suffix(rest))
    else {
        return false;
    };
    let left = middle.iter().try_fold(inner, |left, literal| {
        left.find(literal).map(|at| &left[at + literal.len()..])
    });
    left.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        PromptArgument, ResourceDescription, ResourceTemplateDescription, ToolAnnotations,
        ToolSchema,
    };
    use crate::scenario::{Overrides, Source, load};
    use serde_json::json;

    fn plan(text: &str) -> Arc<Plan> {
        let source = Source {
            path: "loadtest.toml".into(),
            text: format!("[settings]\nurl = \"http://127.0.0.1:1/mcp\"\niterations = 1\n{text}"),
        };
        match load(Some(&source), &Overrides::default(), &|_| None, 1) {
            Ok(plan) => Arc::new(plan),
            Err(faults) => panic!("{faults}"),
        }
    }

    fn whole<T>(items: Vec<T>) -> Option<Listing<T>> {
        Some(Listing {
            items,
            is_whole: true,
        })
    }

    fn lists() -> ServerLists {
        let schema = json!({
            "type": "object",
            "properties": {"text": {"type": "string", "maxLength": 3}, "n": {"type": "integer"}},
            "required": ["text"],
            "additionalProperties": false,
        });
        ServerLists {
            tools: whole(vec![ToolDescription {
                name: "echo".to_string(),
                title: None,
                description: None,
                input_schema: (&schema).into(),
                output_schema: None,
                annotations: ToolAnnotations::default(),
                param_headers: Ok(Vec::new()),
            }]),
            resources: whole(vec![ResourceDescription {
                uri: "demo://readme".to_string(),
                name: String::new(),
                description: None,
                mime_type: None,
            }]),
            templates: whole(vec![ResourceTemplateDescription {
                uri_template: "demo://notes/{id}".to_string(),
                name: String::new(),
                description: None,
                mime_type: None,
            }]),
            prompts: whole(vec![PromptDescription {
                name: "sum".to_string(),
                description: None,
                arguments: vec![PromptArgument {
                    name: "topic".to_string(),
                    description: None,
                    required: true,
                }],
            }]),
        }
    }

    /// Faults, and notices.
    fn held(plan: &Plan, lists: &ServerLists) -> (Vec<String>, Vec<String>) {
        let mut preflight = Preflight::default();
        preflight.hold(plan, lists);
        let notices = preflight.notices();
        (preflight.faults.finish("faults"), notices)
    }

    fn call(arguments: &str) -> String {
        format!("[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\narguments = {arguments}\n")
    }

    #[test]
    fn what_is_missing_is_refused_with_what_is_nearest() {
        let plan = plan(
            "[[scenario]]\ntype = \"tools/call\"\ntool = \"ecko\"\n\
             [[scenario]]\ntype = \"tools/call\"\ntool = \"ecko\"\narguments = { a = 1 }\n\
             [[scenario]]\ntype = \"resources/read\"\nuri = \"demo://readm\"\n\
             [[scenario]]\ntype = \"resources/read\"\nuri = \"demo://notes/7\"\n\
             [[scenario]]\ntype = \"resources/read\"\nuri = \"demo://readme\"\n\
             [[scenario]]\ntype = \"prompts/get\"\nprompt = \"x\"\n",
        );
        let mut lists = lists();
        let (faults, notices) = held(&plan, &lists);
        assert_eq!(
            faults,
            [
                "loadtest.toml:6:8: scenario[1].tool: the server does not list the tool `ecko`; \
                 did you mean `echo`?",
                "loadtest.toml:9:8: scenario[2].tool: the server does not list the tool `ecko`; \
                 did you mean `echo`?",
                "loadtest.toml:13:7: scenario[3].uri: the server does not list the resource \
                 `demo://readm`; did you mean `demo://readme`?",
                "loadtest.toml:22:10: scenario[6].prompt: the server does not list the prompt `x`",
            ]
        );
        assert_eq!(notices, Vec::<String>::new());
        // Of a list that was cut, the rest may hold any name.
        if let Some(tools) = &mut lists.tools {
            tools.is_whole = false;
        }
        lists.templates = None;
        lists.prompts = None;
        let (faults, notices) = held(&plan, &lists);
        assert_eq!(faults, Vec::<String>::new());
        let expected =
            "whether the server has the tool `ecko` is not known: its list was not read to the end";
        assert_eq!(notices, [expected]);
    }

    #[test]
    fn literal_arguments_are_held_against_the_schema() {
        let check = |arguments: &str, expected: &str| {
            let (faults, _) = held(&plan(&call(arguments)), &lists());
            let expected: Vec<String> = match expected {
                "" => Vec::new(),
                text => vec![format!(
                    "loadtest.toml:7:13: scenario[1].arguments: the arguments break the input \
                     schema of `echo`: {text}"
                )],
            };
            assert_eq!(faults, expected, "{arguments}");
        };
        check("{ text = \"abc\" }", "");
        check("{}", "\"text\" is a required property");
        check("{ text = 7 }", "text: value is not of type \"string\"");
        check("{ text = \"{{vu}}\", n = \"{{iteration}}\" }", "");
        check("{ text = \"{{random.words 3}} and more\" }", "");
        check(
            "{ text = \"{{vu}}\", n = \"x\" }",
            "n: value is not of type \"integer\"",
        );
        check(
            "{ n = \"{{iteration}}\" }",
            "\"text\" is a required property",
        );
    }

    /// What `init` writes for a name that has the form of a template is that name.
    #[test]
    fn names_of_arguments_are_held_as_they_are_sent() {
        let mut lists = lists();
        let schema = json!({
            "type": "object",
            "properties": {"{{vu}}": {"type": "object", "required": ["{{a"]}},
            "required": ["{{vu}}"],
            "additionalProperties": false,
        });
        if let Some(tools) = &mut lists.tools {
            tools.items[0].input_schema = (&schema).into();
        }
        if let Some(prompts) = &mut lists.prompts {
            prompts.items[0].arguments[0].name = "{{vu}}".to_string();
        }
        let check = |arguments: &str, n_faults: usize| {
            let (faults, _) = held(&plan(&call(arguments)), &lists);
            assert_eq!(faults.len(), n_faults, "{arguments}: {faults:?}");
        };
        check("{ \"{{{{vu}}\" = { \"{{{{a\" = 1 } }", 0);
        check("{ \"{{{{vu}}\" = { a = 1 } }", 1);
        // What a template makes of a name is not known.
        check("{ \"{{vu}}\" = 1 }", 0);
        check("{ vu = 1 }", 1);
        let prompt = "[[scenario]]\ntype = \"prompts/get\"\nprompt = \"sum\"\n\
                      arguments = { \"{{{{vu}}\" = \"x\" }\n";
        assert_eq!(held(&plan(prompt), &lists).1, Vec::<String>::new());
    }

    #[test]
    fn a_step_that_awaits_a_failure_is_not_refused() {
        let missing = "[[scenario]]\ntype = \"tools/call\"\ntool = \"ecko\"\n";
        let mut plan = plan(&format!("{missing}{}", call("{}")));
        let mut failing = Plan::clone(&plan);
        let steps = failing.flows.iter_mut().flat_map(|flow| &mut flow.steps);
        for call in steps.flat_map(|step| &mut step.calls) {
            call.expectations.is_error = true;
        }
        assert_eq!(held(&plan, &lists()).0.len(), 2);
        plan = Arc::new(failing);
        let (faults, notices) = held(&plan, &lists());
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(notices.len(), 1, "{notices:?}");
    }

    #[test]
    fn a_prompt_without_what_it_wants_is_a_notice() {
        let plan = plan("[[scenario]]\ntype = \"prompts/get\"\nprompt = \"sum\"\n");
        let (faults, notices) = held(&plan, &lists());
        assert_eq!(faults, Vec::<String>::new());
        let expected = "loadtest.toml:6:10: scenario[1].prompt: the prompt `sum` wants the argument \
                        `topic`";
        assert_eq!(notices, [expected]);
    }

    /// In the order of the file, whatever is held first; those of the command line by flag.
    #[test]
    fn faults_name_their_place() {
        let text = "[[flow]]\nname = \"a\"\n[[flow.step]]\ntype = \"tools/call\"\n\
                    tool = \"echo\"\narguments = { text = 7 }\n[[flow.step]]\n\
                    [[flow.step.call]]\ntype = \"tools/call\"\ntool = \"echo\"\n\
                    arguments = { text = \"abc\" }\nisolation = \"txt\"\n\
                    [[flow.step.call]]\ntype = \"prompts/get\"\nprompt = \"y\"\n";
        let starts = |plan: &Plan| {
            let (faults, _) = held(plan, &lists());
            let starts = faults.iter().map(|it| it.split(": the ").next());
            let starts = starts.flatten().map(|it| it.split(": `").next());
            starts.flatten().map(str::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            starts(&plan(text)),
            [
                "loadtest.toml:9:13: flow[1].step[1].arguments",
                "loadtest.toml:15:13: flow[1].step[2].call[1].isolation",
                "loadtest.toml:18:10: flow[1].step[2].call[2].prompt",
            ]
        );
        let of_flags = |name: &str, arguments: Option<Arguments>| {
            let overrides = Overrides {
                url: Some("http://127.0.0.1:1/mcp".to_string()),
                tool: Some((name.to_string(), arguments)),
                ..Overrides::default()
            };
            load(None, &overrides, &|_| None, 1).unwrap_or_else(|faults| panic!("{faults}"))
        };
        assert_eq!(starts(&of_flags("ecko", None)), ["--tool"]);
        let wrong = Arguments::read("{\"text\":7}").ok();
        assert_eq!(starts(&of_flags("echo", wrong)), ["--args"]);
    }

    #[test]
    fn faults_are_bounded_and_told_in_one_error() {
        let steps: String = (0..30)
            .map(|n| format!("[[scenario]]\ntype = \"prompts/get\"\nprompt = \"p{n}\"\n"))
            .collect();
        let mut preflight = Preflight::default();
        preflight.hold(&plan(&steps), &lists());
        let error = preflight.refusal().expect_err("it is refused");
        assert_eq!(error.what().lines().count(), TOLD_MAX + 2, "{error}");
        assert!(error.what().ends_with("and 10 more faults"), "{error}");
        assert!(error.hints()[0].contains("--no-preflight"), "{error}");
    }

    #[test]
    fn generated_arguments_need_the_tool_in_the_list() {
        let step = "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\ngenerate = true\n";
        let made = |lists: &ServerLists| {
            let mut preflight = Preflight::default();
            let plan = preflight.generate(&plan(step), lists);
            let call = plan.calls().next().expect("a call");
            let Action::Call(Operation::CallTool { arguments, .. }) = &call.action.value else {
                panic!("no call of a tool");
            };
            let arguments = arguments.as_ref().map(|it| it.json().to_string());
            let faults = preflight.faults.finish("faults");
            assert_eq!(faults, Vec::<String>::new());
            (arguments, preflight.notices.finish("of this kind"))
        };
        let (arguments, notices) = made(&lists());
        assert_eq!(notices, Vec::<String>::new());
        assert_eq!(
            arguments.as_deref(),
            Some("{\"text\":\"{{random.string 3}}\"}")
        );
        let refused = plan(&step.replace("echo", "ecko"));
        let mut preflight = Preflight::default();
        preflight.hold(&refused, &lists());
        preflight.generate(&refused, &lists());
        assert_eq!(
            preflight.notices.finish("of this kind"),
            Vec::<String>::new()
        );
        let (arguments, notices) = made(&ServerLists::default());
        assert_eq!(arguments, None);
        assert!(
            notices[0].contains("which is called without"),
            "{notices:?}"
        );
    }

    #[test]
    fn generated_whole_numbers_beyond_64_bits_are_sent_digit_for_digit() {
        let mut lists = lists();
        let tool = &mut lists.tools.as_mut().expect("tools").items[0];
        tool.input_schema = ToolSchema::of_text(
            r#"{"type": "object", "required": ["big", "n"], "properties": {
                "big": {"const": 123456789012345678901234567890},
                "n": {"type": "integer", "enum": [-99999999999999999999]}}}"#,
        );
        let step = "[[scenario]]\ntype = \"tools/call\"\ntool = \"echo\"\ngenerate = true\n";
        let plan = Preflight::default().generate(&plan(step), &lists);
        let call = plan.calls().next().expect("a call");
        let Action::Call(Operation::CallTool { arguments, .. }) = &call.action.value else {
            panic!("no call of a tool");
        };
        assert_eq!(
            arguments.as_ref().map(Arguments::json),
            Some(r#"{"big":123456789012345678901234567890,"n":-99999999999999999999}"#)
        );
    }

    #[test]
    fn uris_fit_templates() {
        let check = |uri: &str, template: &str, expected: bool| {
            assert_eq!(fits_template(uri, template), expected, "{uri} {template}");
        };
        check("demo://notes/7", "demo://notes/{id}", true);
        check("demo://notes/7/b", "demo://notes/{id}", true);
        check("demo://note", "demo://notes/{id}", false);
        check("a/1/b/2/c", "a/{x}/b/{y}/c", true);
        check("a/1/b/2/d", "a/{x}/b/{y}/c", false);
        check("a/1/2/c", "a/{x}/b/{y}/c", false);
        check("ab", "ab{?x,y}", true);
        check("a", "{x}", true);
        check("a", "a", true);
        check("a{b", "a{c", true);
        check("ab", "ab{x}b", false);
    }

    /// Which argument of a tool with these properties has the marker, and what refuses it.
    fn marked(properties: Value, arguments: &str) -> Result<Value, Vec<String>> {
        let schema = json!({"type": "object", "properties": properties});
        let mut lists = lists();
        for tool in lists.tools.iter_mut().flat_map(|tools| &mut tools.items) {
            tool.input_schema = (&schema).into();
        }
        let plan = plan(&format!("{}isolation = true\n", call(arguments)));
        let mut preflight = Preflight::default();
        let plan = preflight.mark(&plan, &lists);
        let faults = preflight.unmarked.finish("of this kind");
        if !faults.is_empty() {
            return Err(faults);
        }
        let call = plan.calls().next().expect("a call");
        let Action::Call(operation) = &call.action.value else {
            panic!("{:?} is not a call", call.action);
        };
        let arguments = operation.arguments().expect("arguments");
        Ok(Value::Object(arguments.values().clone()))
    }

    #[test]
    fn a_marker_goes_into_the_first_argument_that_takes_any_text() {
        let text = json!({"type": "string"});
        let marker = "{{isolation.marker}}";
        let narrow = json!({
            "n": {"type": "integer"}, "kind": {"type": "string", "enum": ["a"]},
            "at": {"type": "string", "format": "date-time"},
            "id": {"type": "string", "pattern": "^[a-z]+$"},
            "short": {"type": "string", "maxLength": MARKER_CHARS - 1},
            "password": text, "long": {"type": "string", "maxLength": MARKER_CHARS},
            "other": text,
        });
        assert_eq!(marked(narrow.clone(), "{}"), Ok(json!({"long": marker})));
        // What is given counts before what is not, and needs room.
        assert_eq!(
            marked(narrow.clone(), "{ other = \"x\" }"),
            Ok(json!({"other": format!("x {marker}")}))
        );
        assert_eq!(
            marked(narrow, "{ long = \"x\" }"),
            Ok(json!({"long": "x", "other": marker}))
        );
        let nullable = json!({"text": {"type": ["null", "string"]}});
        assert_eq!(marked(nullable, "{}"), Ok(json!({"text": marker})));
        let none = marked(json!({"n": {"type": "number"}}), "{ n = 1 }");
        assert!(none.is_err_and(|it| it[0].contains("no argument that takes any text")));
    }

    #[test]
    fn a_marker_goes_into_an_argument_that_there_is() {
        let check = |schema: Value, path: &str, expected: Option<&str>| {
            let mut lists = lists();
            for tool in lists.tools.iter_mut().flat_map(|tools| &mut tools.items) {
                tool.input_schema = (&schema).into();
            }
            let plan = plan(&format!("{}isolation = \"{path}\"\n", call("{}")));
            let mut preflight = Preflight::default();
            preflight.hold(&plan, &lists);
            let faults = preflight.faults.finish("faults");
            match expected {
                None => assert_eq!(faults, Vec::<String>::new(), "{schema} {path}"),
                Some(part) => {
                    assert_eq!(faults.len(), 1, "{faults:?}");
                    assert!(faults[0].contains(part), "{faults:?}");
                }
            }
        };
        let of = |properties: Value| json!({"type": "object", "properties": properties});
        let text = || of(json!({"text": {"type": "string"}}));
        check(text(), "text", None);
        let told = "that the tool `echo` does not have: `txt`; did you mean `text`?";
        check(text(), "txt", Some(told));
        // Each name of the path.
        let nested = of(json!({"who": of(json!({"name": {"type": "string"}}))}));
        check(nested.clone(), "who.name", None);
        let told = "`who` of the tool `echo` does not have: `nme`";
        check(nested, "who.nme", Some(told));
        // What the schema says in other words.
        for more in [
            json!({"additionalProperties": true}),
            json!({"additionalProperties": {"type": "string"}}),
            json!({"anyOf": [{"properties": {"txt": {"type": "string"}}}]}),
            json!({"patternProperties": {"^t": {"type": "string"}}}),
        ] {
            let mut schema = text();
            let more = more.as_object().expect("an object").clone();
            schema.as_object_mut().expect("an object").extend(more);
            check(schema, "txt", None);
        }
        check(json!({"type": "object"}), "txt", None);
    }

    #[test]
    fn without_the_list_nobody_knows_where_a_marker_goes() {
        let plan = plan(&format!("{}isolation = true\n", call("{ text = \"x\" }")));
        let mut preflight = Preflight::default();
        let unlisted = ServerLists {
            tools: None,
            ..lists()
        };
        preflight.mark(&plan, &unlisted);
        let refusal = preflight.refusal().expect_err("no place").to_string();
        for text in ["the server's list does not tell", "isolation = \"text\""] {
            assert!(refusal.contains(text), "{refusal}");
        }
        assert!(!refusal.contains("--no-preflight"), "{refusal}");
    }
}
