//! A commented starter config, from what a server offers.
//!
//! The text is TOML that loads without fault, whatever names and descriptions
//! the server sent. Prose begins with `# `; a line that begins with `#` and no
//! blank is config that is switched off. Start at [`scaffold`].

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::links::Links;
use super::offer::Offer;
use super::toml_text::{argument_key, comment, key, literal, quoted, sent_string, string, value};
use crate::address;
use crate::files::WRITTEN_BYTES_MAX;
use crate::json_schema::{
    SampleArguments, WideNumbers, describe_argument, sample_arguments, text_of_name,
    word_of_writing, words_of,
};
use crate::protocol::{
    Era, PromptDescription, ResourceDescription, ResourceTemplateDescription, Revision,
    ToolDescription,
};
use crate::terminal::{LongWords, wrap};
use crate::units::{format_count, plural};

/// The share of a tool that the server marks as read-only: agents call tools
/// more than anything else.
const WEIGHT_READ_ONLY_TOOL: u32 = 10;
/// The share of a tool that the server says nothing of.
const WEIGHT_TOOL: u32 = 5;
/// The share of a resource.
const WEIGHT_RESOURCE: u32 = 5;
/// The share of a prompt, which a person asks for now and then.
const WEIGHT_PROMPT: u32 = 3;

/// A config that tests all that the server offers, but for tools that may change
/// something, by their marks or by a word in their name, and those that need what
/// another tool gives: they are there, switched off, with the reason. What tools give
/// each other is in flows, switched off, too.
///
/// Loads without fault when the environment variables that it refers to are
/// set, which it does only where `auth_header_names` is not empty or the
/// address has a credential in its query.
///
/// What would make the file larger than one that is read is left out, and so
/// are entries that nobody could use in a file: the text and the second part
/// say how many.
pub fn scaffold(offer: &Offer) -> (String, Option<String>) {
    let mut variables = Variables::default();
    let headers = header_lines(&offer.auth_header_names, &mut variables);
    let url = url_text(&offer.url, &mut variables);
    let mut page = ConfigText::default();
    page.line(SCHEMA_LINE);
    write_opening(&mut page, offer);
    write_settings(&mut page, &url, Some(&offer.revision));
    if !headers.is_empty() {
        page.prose("Sent with every request. The values come from the environment, so that this file holds no secret.");
        page.line("[headers]");
        for line in &headers {
            page.line(line);
        }
        page.blank();
    }
    if !variables.taken.is_empty() {
        let names: Vec<&str> = variables.taken.iter().map(String::as_str).collect();
        page.prose(&format!(
            "A run needs these set in the environment: {}.",
            names.join(", ")
        ));
        page.blank();
    }
    write_stages(&mut page);
    write_thresholds(&mut page);

    let mut body = ConfigEntries::new(page.text.len());
    let tools = unique(&offer.tools, |tool| &tool.name);
    let links = Links::of(&tools);
    let numbered: Vec<(usize, &ToolDescription)> = tools.iter().copied().enumerate().collect();
    body.section(
        "Tools",
        numbered.iter().collect(),
        |(_, tool)| &tool.name,
        |(number, tool)| {
            let mut step = tool_step(tool, offer);
            if let (true, Some(link)) = (step.is_on, links.needs_of(*number).first()) {
                step.note(format!(
                    "Switched off: it needs `{}`, which `{}` gives: see the flows below.",
                    comment(&link.argument, 60),
                    comment(&tools[link.source].name, 60)
                ));
                step.is_on = false;
            }
            switched_off_if_masked(step, &tool.name, offer)
        },
    );
    body.section(
        "Resources",
        unique(&offer.resources, |resource| &resource.uri),
        |resource| &resource.uri,
        |resource| switched_off_if_masked(resource_step(resource), &resource.uri, offer),
    );
    body.section(
        "Resource templates",
        unique(&offer.templates, |template| &template.uri_template),
        |template| &template.uri_template,
        template_step,
    );
    body.section(
        "Prompts",
        unique(&offer.prompts, |prompt| &prompt.name),
        |prompt| &prompt.name,
        |prompt| switched_off_if_masked(prompt_step(prompt), &prompt.name, offer),
    );
    let flows = flows(&tools, &links, offer);
    body.section(
        "Flows",
        flows.iter().collect(),
        |_| "",
        |flow| flow_entry(flow, &tools, &links, offer),
    );
    let left_out = body.left_out();
    if let Some(left_out) = &left_out {
        page.prose(&format!("Not all is here: {left_out}."));
        page.blank();
    }
    if !body.has_on {
        write_fallback(&mut page, offer);
    }
    page.text.push_str(&body.page.text);
    (page.finish(), left_out)
}

/// The largest text of a config: what is read, less what is added to it where
/// the program has another name.
const TEXT_BYTES_MAX: usize = WRITTEN_BYTES_MAX as usize - 64 * 1024;
/// The largest text of an entry: nobody would read it.
const STEP_BYTES_MAX: usize = 64 * 1024;
/// The longest name or address of an entry.
const NAME_BYTES_MAX: usize = 1024;
/// The most entries: each makes a row of figures, of which a plan may have
/// 2,000, and a flow makes several.
const ENTRIES_MAX: usize = 1800;

/// The entries as text, of a bounded size.
struct ConfigEntries {
    page: ConfigText,
    bytes_max: usize,
    is_full: bool,
    /// Whether an entry is switched on.
    has_on: bool,
    n_written: usize,
    n_left_out: usize,
}

impl ConfigEntries {
    fn new(bytes_before: usize) -> Self {
        Self {
            page: ConfigText::default(),
            bytes_max: TEXT_BYTES_MAX.saturating_sub(bytes_before),
            is_full: false,
            has_on: false,
            n_written: 0,
            n_left_out: 0,
        }
    }

    fn section<'a, T>(
        &mut self,
        title: &str,
        items: Vec<&'a T>,
        name: impl Fn(&'a T) -> &'a str,
        step: impl Fn(&'a T) -> ConfigEntry,
    ) {
        let mut heading = Some(title.to_string());
        for item in items {
            if self.is_full || name(item).len() > NAME_BYTES_MAX {
                self.n_left_out += 1;
                continue;
            }
            let mut step = step(item);
            step.heading = heading.take();
            if !self.add(&step) {
                heading = step.heading;
                self.n_left_out += 1;
            }
        }
    }

    /// Whether there was room for it.
    fn add(&mut self, step: &ConfigEntry) -> bool {
        let before = self.page.text.len();
        self.page.step(step);
        let is_too_large = self.page.text.len() - before > STEP_BYTES_MAX;
        let is_beyond = self.page.text.len() > self.bytes_max || self.n_written >= ENTRIES_MAX;
        if is_too_large || is_beyond {
            self.page.text.truncate(before);
            // Smaller ones may follow, but looking at them takes time.
            self.is_full |= !is_too_large;
            return false;
        }
        self.has_on |= step.is_on;
        self.n_written += 1;
        true
    }

    /// How many entries are not there, and why.
    fn left_out(&self) -> Option<String> {
        (self.n_left_out > 0).then(|| {
            format!(
                "{} left out: a config has at most {} MiB and {} entries, an entry {} KiB, a name or an address {} bytes",
                plural(self.n_left_out as u64, "entry is", "entries are"),
                WRITTEN_BYTES_MAX >> 20,
                format_count(ENTRIES_MAX as u64),
                STEP_BYTES_MAX / 1024,
                format_count(NAME_BYTES_MAX as u64),
            )
        })
    }
}

/// A config for a server that is not known: it lists the tools of a local
/// server, with examples of everything else switched off.
pub fn template() -> String {
    let mut page = ConfigText::default();
    page.line(SCHEMA_LINE);
    page.prose("A load test of an MCP server.");
    page.blank_prose();
    write_usage(&mut page);
    page.blank_prose();
    page.prose(
        "Written by `cargo pmcp loadtest init`. With the address of a server, `init` fills in what that server offers.",
    );
    page.prose(SWITCHED_OFF);
    page.blank();
    write_settings(&mut page, &quoted("http://127.0.0.1:8080/mcp"), None);
    page.prose(
        "Sent with every request. `${NAME}` stands for a variable of the environment, so that this file \
         holds no secret.",
    );
    page.off("[headers]");
    page.off("Authorization = \"Bearer ${MCP_API_KEY}\"");
    page.blank();
    write_stages(&mut page);
    write_thresholds(&mut page);
    for step in template_steps() {
        page.step(&step);
    }
    page.finish()
}

fn template_steps() -> Vec<ConfigEntry> {
    let step = |is_on, prose: &str, lines: &[&str]| ConfigEntry {
        heading: None,
        prose: vec![prose.to_string()],
        is_on,
        lines: lines.iter().map(|line| (*line).to_string()).collect(),
    };
    vec![
        step(
            true,
            "What the users do. Each time, a user picks one entry: an entry's share is its weight among all weights. \
             Listing the tools is safe on any server.",
            &["[[scenario]]", "type = \"tools/list\"", "weight = 1"],
        ),
        step(
            false,
            "Calls a tool. `parallel` is how many such calls the session makes at once.",
            &[
                "[[scenario]]",
                "type = \"tools/call\"",
                "weight = 10",
                "tool = \"echo\"",
                "parallel = 1",
                "[scenario.arguments]",
                "text = \"Hello\"",
            ],
        ),
        step(
            false,
            "Reads a resource.",
            &[
                "[[scenario]]",
                "type = \"resources/read\"",
                "weight = 5",
                "uri = \"file:///test.txt\"",
            ],
        ),
        step(
            false,
            "Gets a prompt. Its arguments are texts.",
            &[
                "[[scenario]]",
                "type = \"prompts/get\"",
                "weight = 3",
                "prompt = \"summarize\"",
                "[scenario.arguments]",
                "topic = \"Hello\"",
            ],
        ),
    ]
}

const SWITCHED_OFF: &str = "Lines that begin with `#` and no blank are switched off: remove the `#` to switch them on. \
     The first line is for editors, which complete and check what you write.";

/// Tells editors where the schema of a config is, as Taplo has it: a file beside the
/// config works without a network, and is of the same version as this program.
const SCHEMA_LINE: &str = "#:schema ./loadtest.schema.json";

/// The file that the first line of a config names.
pub const SCHEMA_FILE: &str = "loadtest.schema.json";

fn write_opening(page: &mut ConfigText, offer: &Offer) {
    let url = address::shown(&offer.url);
    let url = url.split(['?', '#']).next().unwrap_or_default();
    page.prose(&format!(
        "A load test of the MCP server at {}",
        comment(url, 200)
    ));
    page.blank_prose();
    write_usage(page);
    page.blank_prose();
    let mut made_from = "Written by `cargo pmcp loadtest init`".to_string();
    if let Some(time) = &offer.asked_at {
        let _ = write!(made_from, " at {}", comment(time, 40));
    }
    made_from.push_str(" from what the server offers");
    if let Some(server) = &offer.server {
        let name = comment(&server.name, 80);
        let version = comment(&server.version, 40);
        let _ = write!(made_from, ": {}", format!("{name} {version}").trim());
    }
    if !offer.revision.is_empty() {
        let _ = write!(made_from, ", protocol {}", comment(&offer.revision, 40));
    }
    let _ = write!(made_from, "; {}.", offer.counts().join(", "));
    page.prose(&made_from);
    page.prose(
        "The sample arguments satisfy the tools' schemas but know nothing of your data: read through \
         them before a run.",
    );
    page.prose(SWITCHED_OFF);
    if !offer.problems.is_empty() {
        page.blank_prose();
        page.prose("Noted while asking the server:");
        for problem in &offer.problems {
            page.prose(&format!("- {}", comment(problem, 300)));
        }
    }
    page.blank();
}

fn write_usage(page: &mut ConfigText) {
    page.exact_prose(
        "  cargo pmcp loadtest check   says what this means, or what is wrong with it",
    );
    page.exact_prose("  cargo pmcp loadtest run     runs it; flags such as `--vus 50` override it");
}

/// `url` is a TOML string.
fn write_settings(page: &mut ConfigText, url: &str, revision: Option<&str>) {
    page.line("[settings]");
    page.line(&format!("url = {url}"));
    page.prose("How many users there are, each with a session of its own, waiting for an answer before the next call.");
    page.line("virtual_users = 10");
    page.line("duration = \"30s\"");
    page.prose("The longest that a request may take, from connecting to the last byte.");
    page.line("timeout = \"5s\"");
    page.prose("Start the users evenly across this time, not all at once.");
    page.off("ramp_up = \"5s\"");
    page.prose("Stop after this many calls, if that comes before the end of `duration`.");
    page.off("iterations = 1000");
    page.prose("How long a user pauses between calls.");
    page.off("think = \"500ms\"");
    match revision.and_then(Revision::parse) {
        Some(revision) => {
            page.prose("Speak this revision of the protocol, not whichever the server prefers.");
            page.off(&format!("protocol = {}", quoted(revision.as_str())));
        }
        None => {
            page.prose(
                "Speak this revision of the protocol (or `legacy`, or `modern`), not whichever the \
                 server prefers.",
            );
            page.off(&format!(
                "protocol = {}",
                quoted(Revision::LATEST_LEGACY.as_str())
            ));
        }
    }
    page.blank();
}

fn write_stages(page: &mut ConfigText) {
    page.prose(
        "Stages move the number of users from one target to the next. Where they are switched on, `duration` \
         above must go, and `virtual_users` has no effect.",
    );
    for (target, duration) in [(10, "10s"), (50, "1m"), (0, "10s")] {
        page.off("[[stage]]");
        page.off(&format!("target_vus = {target}"));
        page.off(&format!("duration = {}", quoted(duration)));
    }
    page.blank();
}

fn write_thresholds(page: &mut ConfigText) {
    page.prose(
        "What a run has to keep: where a condition does not hold, it ends with exit code 3. A tool is selected \
         by its name, as in `tool:NAME p95<200ms`.",
    );
    for condition in ["p99<500ms", "errors<1%"] {
        page.off("[[threshold]]");
        page.off(&format!("assert = {}", quoted(condition)));
    }
    page.blank();
}

/// A config needs something to do.
fn write_fallback(page: &mut ConfigText, offer: &Offer) {
    let lists = [
        ("tools/list", offer.tools.is_empty()),
        ("resources/list", offer.resources.is_empty()),
        ("resources/templates/list", offer.templates.is_empty()),
        ("prompts/list", offer.prompts.is_empty()),
    ];
    let method = lists
        .iter()
        .find(|(_, is_empty)| !is_empty)
        .map_or("tools/list", |(method, _)| method);
    page.step(&ConfigEntry {
        heading: None,
        prose: vec![
            "Nothing that the server offers is switched on below, so this only asks for a list, which changes nothing."
                .to_string(),
        ],
        is_on: true,
        lines: vec!["[[scenario]]".to_string(), format!("type = {}", quoted(method)), "weight = 1".to_string()],
    });
}

/// An entry of the scenario, or only prose about one that cannot be.
#[derive(Default)]
struct ConfigEntry {
    /// Opens a section.
    heading: Option<String>,
    /// Paragraphs.
    prose: Vec<String>,
    is_on: bool,
    /// Empty: only the prose is written.
    lines: Vec<String>,
}

impl ConfigEntry {
    /// An entry without lines beyond what all have.
    fn new(description: Option<&str>) -> ConfigEntry {
        let mut step = ConfigEntry::default();
        // The first paragraph says what it is; what follows is for callers.
        let first = description
            .unwrap_or_default()
            .trim()
            .split("\n\n")
            .next()
            .unwrap_or_default();
        step.note(comment(first, DESCRIPTION_CHARS_MAX));
        step
    }

    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !text.is_empty() {
            self.prose.push(text);
        }
    }

    /// The head of the entry. The weight comes first, where it is changed.
    fn begin(&mut self, method: &str, weight: u32, subject_key: &str, subject: &str) {
        self.lines = vec![
            "[[scenario]]".to_string(),
            format!("type = {}", quoted(method)),
            format!("weight = {weight}"),
            format!("{subject_key} = {}", sent_string(subject)),
        ];
    }
}

/// Three lines of prose.
const DESCRIPTION_CHARS_MAX: usize = 220;

/// The items without those whose name occurred before.
fn unique<T>(items: &[T], name: impl Fn(&T) -> &str) -> Vec<&T> {
    let mut seen = HashSet::new();
    items
        .iter()
        .filter(|item| seen.insert(name(item)))
        .collect()
}

fn tool_step(tool: &ToolDescription, offer: &Offer) -> ConfigEntry {
    let mut step = ConfigEntry::new(tool.description.as_deref().or(tool.title.as_deref()));
    if tool.name.trim().is_empty() {
        step.note("Left out: the tool has no name.");
        return step;
    }
    if let Err(why) = &tool.param_headers {
        let why = comment(why, 300);
        // Only the modern era makes headers of arguments.
        if Revision::parse(&offer.revision).is_some_and(|revision| revision.era() == Era::Legacy) {
            step.note(format!(
                "Clients of a later protocol leave this tool out: {why}."
            ));
        } else {
            let name = comment(&tool.name, 100);
            step.note(format!(
                "Left out: the tool `{name}` has an invalid schema: {why}."
            ));
            return step;
        }
    }
    let weight = match tool.annotations.read_only {
        Some(true) => WEIGHT_READ_ONLY_TOOL,
        _ => WEIGHT_TOOL,
    };
    step.begin("tools/call", weight, "tool", &tool.name);
    let danger = danger_of(tool);
    step.is_on = danger.is_none() || offer.with_all;
    match (danger, tool.annotations.destructive) {
        (Some(danger), _) if step.is_on => {
            step.note(format!("Switched on, as all are: {danger}."));
        }
        (Some(danger), _) => step.note(format!("Switched off: {danger}.")),
        (None, _) if tool.annotations.read_only == Some(true) => {}
        (None, Some(_)) => {
            step.note("Marked as not destructive, but not as read-only: check that calling it often is safe.");
        }
        (None, None) => {
            step.note("The server does not say whether it changes anything: check that calling it often is safe.");
        }
    }
    if step.is_on && fails_on_purpose(tool) {
        step.note("Switched off: its description says that it fails on purpose.");
        step.is_on = false;
    }
    let schema = tool.input_schema.to_value();
    let arguments = sample_arguments(&schema);
    for doubt in &arguments.doubts {
        step.note(format!(
            "The arguments may not be accepted: {}",
            comment(doubt, 300)
        ));
    }
    let wide = WideNumbers::of(&[tool.input_schema.text()]);
    write_arguments(&mut step, &arguments, &schema, &wide);
    step
}

/// Flows that are written: each samples the arguments of all its steps again.
const FLOWS_MAX: usize = 100;
/// Tools that one flow calls with what those before them gave.
const TARGETS_MAX: usize = 20;
/// Tools that a flow calls first.
const SOURCES_MAX: usize = 8;

/// Tools in the order in which they are called, by their numbers: those that give,
/// then those that need it and nothing else.
struct ToolFlow {
    sources: Vec<usize>,
    targets: Vec<usize>,
}

fn flows(tools: &[&ToolDescription], links: &Links, offer: &Offer) -> Vec<ToolFlow> {
    let mut flows: Vec<ToolFlow> = Vec::new();
    let is_named = |tool: &ToolDescription| {
        let is_fit = tool.param_headers.is_ok() && !offer.masked_names.contains(&tool.name);
        is_fit && !tool.name.trim().is_empty() && tool.name.len() <= NAME_BYTES_MAX
    };
    for (target, tool) in tools.iter().enumerate() {
        let sources = links.before(target);
        let is_possible = is_named(tool) && sources.iter().all(|source| is_named(tools[*source]));
        let is_safe = danger_of(tool).is_none() || offer.with_all;
        if sources.is_empty() || sources.len() > SOURCES_MAX || !is_possible || !is_safe {
            continue;
        }
        let known = flows.iter().position(|flow| flow.sources == sources);
        if let Some(flow) = known.map(|i| &mut flows[i]) {
            if flow.targets.len() < TARGETS_MAX {
                flow.targets.push(target);
            }
        } else if flows.len() < FLOWS_MAX {
            let targets = vec![target];
            flows.push(ToolFlow { sources, targets });
        }
    }
    flows
}

/// A flow is switched off: whether what has a name is meant is for people to say.
fn flow_entry(
    flow: &ToolFlow,
    tools: &[&ToolDescription],
    links: &Links,
    offer: &Offer,
) -> ConfigEntry {
    let mut entry = ConfigEntry::default();
    let numbers = || flow.sources.iter().chain(&flow.targets);
    // The names of values by where they come from.
    let mut values: Vec<((usize, &str), String)> = Vec::new();
    for link in numbers().flat_map(|number| links.needs_of(*number)) {
        let place = (link.source, link.path.as_str());
        if !values.iter().any(|(known, _)| *known == place) {
            let name = value_name(&link.argument, |name| {
                values.iter().all(|(_, taken)| taken != name)
            });
            values.push((place, name));
        }
    }
    entry.lines.push("[[flow]]".to_string());
    // No tool is in two flows, so the names of flows differ.
    let names: Vec<&str> = numbers()
        .map(|number| tools[*number].name.as_str())
        .collect();
    entry
        .lines
        .push(format!("name = {}", string(&names.join(", "))));
    entry.lines.push(format!("weight = {WEIGHT_TOOL}"));
    for number in numbers() {
        let tool = tools[*number];
        let schema = tool.input_schema.to_value();
        let arguments = sample_arguments(&schema).values;
        let wide = WideNumbers::of(&[tool.input_schema.text()]);
        let mut lines = vec![
            "[[flow.step]]".to_string(),
            "type = \"tools/call\"".to_string(),
            format!("tool = {}", sent_string(&tool.name)),
        ];
        let taken = values.iter().filter(|((source, _), _)| source == number);
        let taken: Vec<String> = taken
            .map(|((_, path), name)| format!("{name} = {}", string(path)))
            .collect();
        if !taken.is_empty() {
            lines.push(format!("extract = {{ {} }}", taken.join(", ")));
        }
        let needs = links.needs_of(*number);
        let argument = |(name, sample): (&String, &Value)| {
            let link = needs.iter().find(|link| link.argument == *name);
            let given = link.and_then(|link| {
                let place = (link.source, link.path.as_str());
                values.iter().find(|(known, _)| *known == place)
            });
            let text = match given {
                Some((_, value)) => quoted(&format!("{{{{{value}}}}}")),
                None if wide.are_in(sample) => return None,
                None => value(sample)?,
            };
            Some(format!("{} = {text}", argument_key(name)))
        };
        let Some(arguments) = arguments.iter().map(argument).collect::<Option<Vec<_>>>() else {
            let name = comment(&tool.name, 60);
            entry.lines.clear();
            entry.note(format!(
                "Left out: a required argument of `{name}` is null or a whole number beyond 64 bits, \
                 which TOML has not."
            ));
            return entry;
        };
        if arguments.is_empty() {
            lines.push("arguments = {}".to_string());
        } else {
            lines.push("[flow.step.arguments]".to_string());
            lines.extend(arguments);
        }
        entry.lines.append(&mut lines);
        if let (Some(danger), false) = (danger_of(tool), offer.with_all) {
            let name = comment(&tool.name, 60);
            entry.note(format!("Look at `{name}` first: {danger}."));
        }
    }
    entry
}

/// A name for a value of the argument's, in letters, digits and `_`, that `is_free`.
fn value_name(argument: &str, is_free: impl Fn(&str) -> bool) -> String {
    /// What templates take for something else.
    const TAKEN: &[&str] = &["data", "iteration", "now", "random", "uuid", "vu"];
    let mut name = words_of(argument).join("_");
    name.retain(|c| c.is_ascii_alphanumeric() || c == '_');
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || TAKEN.contains(&name.as_str()) {
        name.insert_str(0, "the_");
    }
    let numbered = (2..).map(|n| format!("{name}_{n}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| is_free(name)).unwrap_or(name)
}

/// Why calling the tool may change something.
fn danger_of(tool: &ToolDescription) -> Option<String> {
    let marks = (tool.annotations.destructive, tool.annotations.read_only);
    let by_marks = match marks {
        (Some(true), Some(true)) => "the server marks it as destructive (and as read-only)",
        (Some(true), _) => "the server marks it as destructive",
        (_, Some(false)) => "the server marks it as not read-only",
        (Some(false), None) | (_, Some(true)) => return None,
        // By the specification, what is not marked may be destructive.
        (None, None) => {
            let word = word_of_writing(&tool.name)?;
            return Some(format!(
                "its name has the word `{word}`, and the server does not say that it changes nothing"
            ));
        }
    };
    Some(by_marks.to_string())
}

/// A tool whose description says that it fails on purpose: its calls would be
/// errors in every run, and say nothing of the server.
fn fails_on_purpose(tool: &ToolDescription) -> bool {
    // Far more than a sentence that somebody reads; a server may send megabytes.
    const CHARS_MAX: usize = 2_000;
    let description = tool.description.as_deref().unwrap_or_default();
    let description: String = description.chars().take(CHARS_MAX).collect();
    let first = description.split(['.', '\n']).next().unwrap_or_default();
    let words: Vec<String> = first
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .collect();
    let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    let is_negated = has(&["never", "not", "if", "when", "unless"]);
    let is_deliberate = has(&["always", "deliberately", "intentionally", "purpose"]);
    let is_failure = has(&[
        "fail", "fails", "failing", "error", "errors", "throws", "raises", "crashes",
    ]);
    is_deliberate && is_failure && !is_negated
}

/// What is named by one of the user's secrets cannot be called: the name must not
/// be written.
fn switched_off_if_masked(mut step: ConfigEntry, name: &str, offer: &Offer) -> ConfigEntry {
    if offer.masked_names.contains(name) {
        step.note(
            "Switched off: its name holds a value that you gave as a header or in the address, \
             written as `***` here.",
        );
        step.is_on = false;
    }
    step
}

fn write_arguments(
    step: &mut ConfigEntry,
    arguments: &SampleArguments,
    schema: &Value,
    wide: &WideNumbers,
) {
    let mut values = arguments.values.iter();
    if let Some((name, _)) = values.find(|(_, sample)| wide.are_in(sample)) {
        let name = comment(name, 60);
        step.note(format!("Switched off: `{name}` {BEYOND_64_BITS}"));
        step.is_on = false;
        return;
    }
    let mut lines: Option<Vec<String>> = arguments
        .values
        .iter()
        .map(|(name, sample)| {
            let line = format!("{} = {}", argument_key(name), value(sample)?);
            Some(with_remark(line, &remark(schema, name)))
        })
        .collect();
    let Some(lines) = &mut lines else {
        if step.is_on {
            step.note("Switched off: a required argument is null, which TOML has not.");
        }
        step.is_on = false;
        let json = Value::Object(arguments.values.clone()).to_string();
        step.note(format!(
            "The arguments as JSON, for `--args`: {}",
            comment(&json, 500)
        ));
        return;
    };
    for (name, sample) in &arguments.optional {
        if wide.are_in(sample) {
            let name = comment(name, 60);
            step.note(format!("Left out: the optional `{name}` {BEYOND_64_BITS}"));
            continue;
        }
        // Without a sample but null there is nothing to switch on.
        if let Some(sample) = value(sample) {
            let line = format!("#{} = {sample}", argument_key(name));
            let remark = format!("optional {}", remark(schema, name));
            lines.push(with_remark(line, &remark));
        }
    }
    if lines.is_empty() {
        step.lines.push("arguments = {}".to_string());
    } else {
        step.lines.push("[scenario.arguments]".to_string());
        step.lines.append(lines);
    }
}

const BEYOND_64_BITS: &str = "is a whole number beyond 64 bits, which TOML has not.";

/// What the schema says of an argument, in a few words.
fn remark(schema: &Value, name: &str) -> String {
    let (description, choices) = describe_argument(schema, name);
    let description = comment(&description.unwrap_or_default(), 100);
    if choices.len() < 2 {
        return description;
    }
    let choices: Vec<String> = choices.iter().take(10).map(Value::to_string).collect();
    let choices = format!("one of {}", comment(&choices.join(", "), 60));
    if description.is_empty() {
        choices
    } else {
        format!("{choices}: {description}")
    }
}

/// A comment behind the line, where there is room for more than a word.
fn with_remark(line: String, remark: &str) -> String {
    let n_left = LINE_CHARS_MAX.saturating_sub(line.chars().count());
    let remark = comment(remark, n_left.max(1));
    if n_left < 10 || remark.is_empty() {
        line
    } else {
        format!("{line}  # {remark}")
    }
}

/// Lines of config with their remarks.
const LINE_CHARS_MAX: usize = 100;

fn resource_step(resource: &ResourceDescription) -> ConfigEntry {
    let description = resource.description.as_deref().unwrap_or(&resource.name);
    let mut step = ConfigEntry::new(Some(description));
    if resource.uri.trim().is_empty() {
        step.note("Left out: the resource has no address.");
        return step;
    }
    step.begin("resources/read", WEIGHT_RESOURCE, "uri", &resource.uri);
    step.is_on = true;
    step
}

fn template_step(template: &ResourceTemplateDescription) -> ConfigEntry {
    let description = template.description.as_deref().unwrap_or(&template.name);
    let mut step = ConfigEntry::new(Some(description));
    let uri = expanded(&template.uri_template);
    if uri.trim().is_empty() {
        step.note("Left out: the template is empty.");
        return step;
    }
    let written = comment(&template.uri_template, 200);
    step.note(format!(
        "Switched off: fill in real values for the template {written}"
    ));
    step.begin("resources/read", WEIGHT_RESOURCE, "uri", &uri);
    step
}

/// A URI of the template (RFC 6570), with sample values for its variables.
fn expanded(template: &str) -> String {
    let mut uri = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        uri.push_str(before);
        let Some((expression, after)) = after.split_once('}') else {
            // No expression: left as it is, for the user to see.
            uri.push('{');
            rest = after;
            continue;
        };
        expand(expression, &mut uri);
        rest = after;
    }
    uri.push_str(rest);
    uri
}

fn expand(expression: &str, uri: &mut String) {
    // Operator: what begins, what separates, whether names are given, and
    // whether reserved characters stay (RFC 6570, appendix A).
    let (first, separator, is_named, keeps_reserved) = match expression.chars().next() {
        Some('+') => ("", ",", false, true),
        Some('#') => ("#", ",", false, true),
        Some('.') => (".", ".", false, false),
        Some('/') => ("/", "/", false, false),
        Some(';') => (";", ";", true, false),
        Some('?') => ("?", "&", true, false),
        Some('&') => ("&", "&", true, false),
        _ => ("", ",", false, false),
    };
    let variables = expression.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']);
    for (i, variable) in variables.split(',').enumerate() {
        uri.push_str(if i == 0 { first } else { separator });
        let (name, n_chars_max) = match variable.split_once(':') {
            Some((name, n_chars)) => (name, n_chars.parse().unwrap_or(usize::MAX)),
            None => (variable.trim_end_matches('*'), usize::MAX),
        };
        if is_named {
            let _ = write!(uri, "{name}=");
        }
        for c in text_of_name(name).chars().take(n_chars_max) {
            let is_kept = c.is_ascii_alphanumeric()
                || "-._~".contains(c)
                || (keeps_reserved && ":/?#[]@!$&'()*+,;=".contains(c));
            if is_kept {
                uri.push(c);
            } else {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(uri, "%{byte:02X}");
                }
            }
        }
    }
}

fn prompt_step(prompt: &PromptDescription) -> ConfigEntry {
    let mut step = ConfigEntry::new(prompt.description.as_deref());
    if prompt.name.trim().is_empty() {
        step.note("Left out: the prompt has no name.");
        return step;
    }
    step.begin("prompts/get", WEIGHT_PROMPT, "prompt", &prompt.name);
    step.is_on = true;
    if prompt.arguments.is_empty() {
        return step;
    }
    step.lines.push("[scenario.arguments]".to_string());
    let mut seen = HashSet::new();
    for argument in &prompt.arguments {
        if !seen.insert(&argument.name) {
            continue;
        }
        let line = format!(
            "{} = {}",
            argument_key(&argument.name),
            sent_string(text_of_name(&argument.name))
        );
        let description = argument.description.as_deref().unwrap_or_default();
        step.lines.push(if argument.required {
            with_remark(line, description)
        } else {
            with_remark(format!("#{line}"), &format!("optional {description}"))
        });
    }
    step
}

/// The environment variables that the config refers to, in order.
#[derive(Default)]
struct Variables {
    taken: Vec<String>,
    /// The same, to look one up.
    known: HashSet<String>,
    /// By the name that was wanted: the last number that was tried behind it, so
    /// that many parameters of one name take no longer each.
    n_tried: HashMap<String, usize>,
}

impl Variables {
    /// A variable of its own for a header or parameter of that name.
    fn add(&mut self, name: &str) -> String {
        let letters = name.chars().map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        });
        let mut wanted: String = letters.take(60).collect();
        if !wanted.starts_with(|c: char| c.is_ascii_uppercase()) {
            wanted.insert_str(0, "MCP_");
        }
        let mut variable = wanted.clone();
        let n_tried = self.n_tried.entry(wanted.clone()).or_insert(1);
        while !self.known.insert(variable.clone()) {
            *n_tried += 1;
            variable = format!("{wanted}_{n_tried}");
        }
        self.taken.push(variable.clone());
        variable
    }
}

/// The lines below `[headers]`.
fn header_lines(names: &[String], variables: &mut Variables) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut lines = Vec::new();
    for name in names {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_header = !name.is_empty() && name.bytes().all(is_token);
        if !is_header || !seen.insert(name.to_ascii_lowercase()) {
            continue;
        }
        let line = if name.eq_ignore_ascii_case("authorization") {
            // What the program itself reads where no config says otherwise.
            let variable = variables.add("MCP_API_KEY");
            format!(
                "{} = {}",
                key(name),
                quoted(&format!("Bearer ${{{variable}}}"))
            )
        } else {
            let variable = variables.add(name);
            format!("{} = {}", key(name), quoted(&format!("${{{variable}}}")))
        };
        lines.push(line);
    }
    lines
}

/// The address as a TOML string, with references in place of credentials.
fn url_text(url: &str, variables: &mut Variables) -> String {
    let Some((start, query)) = url.split_once('?') else {
        return string(url);
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, value)) if !value.is_empty() && !address::is_harmless(name, value) => {
                format!("{}=${{{}}}", literal(name), variables.add(name))
            }
            _ => literal(parameter),
        })
        .collect();
    quoted(&format!("{}?{}", literal(start), parameters.join("&")))
}

/// The text as it grows.
#[derive(Default)]
struct ConfigText {
    text: String,
}

impl ConfigText {
    /// A line of config.
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A line of config that is switched off.
    fn off(&mut self, line: &str) {
        self.line(&format!("#{line}"));
    }

    fn prose(&mut self, text: &str) {
        for line in wrap(text, PROSE_CHARS_MAX, LongWords::Break) {
            self.exact_prose(&line);
        }
    }

    /// A line of prose that is not wrapped.
    fn exact_prose(&mut self, line: &str) {
        self.line(&format!("# {line}"));
    }

    fn blank_prose(&mut self) {
        self.line("#");
    }

    fn blank(&mut self) {
        self.line("");
    }

    fn step(&mut self, step: &ConfigEntry) {
        if let Some(heading) = &step.heading {
            self.exact_prose(&format!("---- {heading} ----"));
            self.blank();
        }
        for paragraph in &step.prose {
            self.prose(paragraph);
        }
        for line in &step.lines {
            if step.is_on {
                self.line(line);
            } else {
                self.off(line);
            }
        }
        self.blank();
    }

    /// One line break at the end.
    fn finish(self) -> String {
        let mut text = self.text;
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }
}

/// Prose without `# `.
const PROSE_CHARS_MAX: usize = 78;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json_schema::sample_tests::{any_json, any_schema};
    use crate::protocol::{Operation, PromptArgument, ServerIdentity, ToolAnnotations, ToolSchema};
    use crate::scenario::{Action, Overrides, Plan, Source, load};
    use crate::template::escape;
    use proptest::prelude::*;
    use serde_json::json;

    fn scaffold(offer: &Offer) -> String {
        let (text, left_out) = super::scaffold(offer);
        assert_eq!(left_out, None);
        text
    }

    #[test]
    fn what_is_written_is_small_enough_to_be_read() {
        const LIMITS: &str = "left out: a config has at most 4 MiB and 1,800 entries, an entry 64 KiB, a name or an address 1,024 bytes";
        let of_both = |tools: Vec<ToolDescription>, prompts: Vec<PromptDescription>| {
            let resource = ResourceDescription {
                uri: "file:///a".to_string(),
                name: String::new(),
                description: None,
                mime_type: None,
            };
            let (text, left_out) = super::scaffold(&Offer {
                tools,
                prompts,
                resources: vec![resource],
                ..plain_offer()
            });
            assert!(
                (text.len() as u64) < WRITTEN_BYTES_MAX,
                "{} bytes",
                text.len()
            );
            let plan = loaded(&text);
            if let Some(left_out) = &left_out {
                let start = text.replace("\n# ", " ");
                assert!(
                    start.contains(&format!("Not all is here: {left_out}.")),
                    "{left_out}"
                );
            }
            (operations(&plan).len(), left_out)
        };
        let of_tools = |tools: Vec<ToolDescription>| of_both(tools, Vec::new());
        let plain = |name: &str| tool(name, json!({}));
        let a = "a".repeat(1024);
        let long = "a".repeat(1025);
        assert_eq!(of_tools(vec![plain("t"), plain(&a)]), (3, None));
        for odd in [plain(&long), plain(&"\u{202e}".repeat(200_000))] {
            let (n_calls, left_out) = of_tools(vec![plain("t"), odd]);
            assert_eq!(
                (n_calls, left_out),
                (2, Some(format!("1 entry is {LIMITS}")))
            );
        }
        let arguments = (0..1000).map(|n| PromptArgument {
            name: format!("{n}{a}"),
            description: None,
            required: true,
        });
        let prompt = PromptDescription {
            name: "p".to_string(),
            description: None,
            arguments: arguments.collect(),
        };
        assert_eq!(
            of_both(vec![plain("t")], vec![prompt]),
            (2, Some(format!("1 entry is {LIMITS}")))
        );

        let schema =
            json!({"properties": {"text": {"default": "w".repeat(8_000)}}, "required": ["text"]});
        let many = (0..1_000)
            .map(|n| tool(&format!("tool_{n}"), schema.clone()))
            .collect();
        let (n_calls, left_out) = of_tools(many);
        assert!((300..1_000).contains(&n_calls), "{n_calls}");
        let n_left_out = format_count(1_001 - n_calls as u64);
        assert_eq!(left_out, Some(format!("{n_left_out} entries are {LIMITS}")));
    }

    fn loaded(text: &str) -> Plan {
        let source = Source {
            path: "loadtest.toml".into(),
            text: text.to_string(),
        };
        // Any variable is set: secrets are the user's to provide.
        let env = |name: &str| Some(format!("value-of-{name}").into());
        match load(Some(&source), &Overrides::default(), &env, 1) {
            Ok(plan) => plan,
            Err(faults) => panic!("{faults}\n{text}"),
        }
    }

    fn operations(plan: &Plan) -> Vec<&Operation> {
        plan.calls()
            .filter_map(|call| match &call.action.value {
                Action::Call(operation) => Some(operation),
                Action::CodeMode { .. } => None,
            })
            .collect()
    }

    /// The same config with everything switched on; the stages leave no room
    /// for a ramp and a duration.
    fn switched_on(text: &str) -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            None if line == "duration = \"30s\"" => String::new(),
            Some(config)
                if !config.starts_with([' ', '#', ':']) && !config.starts_with("ramp_up") =>
            {
                format!("{config}\n")
            }
            _ => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }

    #[test]
    fn tools_whose_name_has_a_word_of_writing_are_switched_off() {
        let check = |name: &str, is_on: bool, with_all: bool, words: &str| {
            let marked = tool(name, json!({"type": "object"}));
            let text = scaffold(&Offer {
                tools: vec![marked],
                with_all,
                ..plain_offer()
            });
            assert_eq!(text.contains("\ntool = "), is_on, "{text}");
            let unwrapped = text.replace("\n# ", " ");
            assert!(unwrapped.contains(words), "{words}: {text}");
        };
        let reason = "Switched off: its name has the word `send`, and the server does not say";
        for name in ["send_mail", "mail-send", "mailSend"] {
            check(name, false, false, reason);
        }
        check("send_mail", true, true, "Switched on, as all are: its name");
        check(
            "add_mail",
            true,
            false,
            "check that calling it often is safe",
        );
        check("sender", true, false, "check that calling it often is safe");
        let mut marked = tool("send_mail", json!({"type": "object"}));
        marked.annotations.read_only = Some(true);
        let offer = |tools| Offer {
            tools,
            ..plain_offer()
        };
        assert!(scaffold(&offer(vec![marked.clone()])).contains("\ntool = "));
        marked.annotations.read_only = None;
        marked.annotations.destructive = Some(true);
        let all = Offer {
            with_all: true,
            ..offer(vec![marked])
        };
        assert!(scaffold(&all).contains("\ntool = "));
    }

    #[test]
    fn what_a_tool_gives_and_another_needs_is_a_flow() {
        let needs = |name: &str, properties: Value| {
            let required: Vec<&String> =
                properties.as_object().expect("an object").keys().collect();
            tool(
                name,
                json!({"required": required, "properties": properties}),
            )
        };
        let text = || json!({"type": "string"});
        let mut login = needs("login", json!({"user": text()}));
        let output = json!({"properties": {"a token": text(), "${X}": text()}});
        login.output_schema = Some((&output).into());
        let offer = Offer {
            tools: vec![
                needs(
                    "whoami",
                    json!({"${X}": text(), "a token": text(), "n": {"const": 7}}),
                ),
                needs("delete_all", json!({"a token": text()})),
                login,
                needs("other", json!({"y": text()})),
            ],
            ..plain_offer()
        };
        let text = scaffold(&offer);
        let lines = [
            "#[[flow]]",
            "#name = \"login, whoami\"",
            "#weight = 5",
            "#[[flow.step]]",
            "#type = \"tools/call\"",
            "#tool = \"login\"",
            r#"#extract = { a_token = "$.structuredContent[\"a token\"]", x = "$.structuredContent[\"$${X}\"]" }"#,
            "#[flow.step.arguments]",
            "#user = \"test\"",
            "#[[flow.step]]",
            "#type = \"tools/call\"",
            "#tool = \"whoami\"",
            "#[flow.step.arguments]",
            r#"#"${X}" = "{{x}}""#,
            r#"#"a token" = "{{a_token}}""#,
            "#n = 7",
        ];
        let expected = format!("{}\n", lines.join("\n"));
        assert!(text.contains(&expected), "{text}");
        assert_eq!(text.matches("[[flow]]").count(), 1, "{text}");
        let reason =
            "# Switched off: it needs `a token`, which `login` gives: see the flows below.";
        assert!(text.contains(reason), "{text}");
        assert_eq!(value_name("vu", |_| true), "the_vu");
        assert_eq!(value_name("${X}", |name| name == "x_3"), "x_3");
        assert_eq!(value_name("名前", |_| true), "the_");
    }

    fn tool(name: &str, schema: Value) -> ToolDescription {
        ToolDescription {
            name: name.to_string(),
            title: None,
            description: Some(format!("What {name} does.")),
            input_schema: (&schema).into(),
            output_schema: None,
            annotations: ToolAnnotations::default(),
            param_headers: Ok(Vec::new()),
        }
    }

    fn plain_offer() -> Offer {
        Offer {
            url: "http://127.0.0.1:8080/mcp".to_string(),
            revision: "2025-11-25".to_string(),
            ..Offer::default()
        }
    }

    fn call(name: &str, arguments: Value) -> Operation {
        Operation::CallTool {
            name: name.to_string(),
            arguments: arguments.as_object().cloned().map(Into::into),
        }
    }

    #[test]
    fn everything_offered_is_there() {
        let schema = json!({
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to\nlook for"},
                "limit": {"type": "integer"},
                "order": {"enum": ["up", "down"]},
            },
            "required": ["query", "order"],
        });
        let mut search = tool("search", schema);
        search.annotations.read_only = Some(true);
        let argument = |name: &str, description: Option<&str>, required| PromptArgument {
            name: name.to_string(),
            description: description.map(str::to_string),
            required,
        };
        let offer = Offer {
            server: Some(ServerIdentity {
                name: "everything".to_string(),
                version: "1.2".to_string(),
                title: None,
            }),
            asked_at: Some("2026-11-23T12:00:00Z".to_string()),
            tools: vec![search, tool("now", json!({"type": "object"}))],
            resources: vec![ResourceDescription {
                uri: "file:///a".to_string(),
                name: "a".to_string(),
                description: None,
                mime_type: None,
            }],
            templates: vec![ResourceTemplateDescription {
                uri_template: "file:///{path}{?lang}".to_string(),
                name: "files".to_string(),
                description: None,
                mime_type: None,
            }],
            prompts: vec![PromptDescription {
                name: "ask".to_string(),
                description: None,
                arguments: vec![
                    argument("topic", Some("About what"), true),
                    argument("tone", None, false),
                ],
            }],
            problems: vec!["the list of secrets could not be read".to_string()],
            ..plain_offer()
        };
        let text = scaffold(&offer);
        let (_, steps) = text
            .split_once("# ---- Tools ----\n\n")
            .expect("a section of tools");
        assert_eq!(
            steps,
            r##"# What search does.
[[scenario]]
type = "tools/call"
weight = 10
tool = "search"
[scenario.arguments]
query = "test"  # What to look for
order = "up"  # one of "up", "down"
#limit = 10  # optional

# What now does.
# The server does not say whether it changes anything: check that calling it
# often is safe.
[[scenario]]
type = "tools/call"
weight = 5
tool = "now"
arguments = {}

# ---- Resources ----

# a
[[scenario]]
type = "resources/read"
weight = 5
uri = "file:///a"

# ---- Resource templates ----

# files
# Switched off: fill in real values for the template file:///{path}{?lang}
#[[scenario]]
#type = "resources/read"
#weight = 5
#uri = "file:///test.txt?lang=en"

# ---- Prompts ----

[[scenario]]
type = "prompts/get"
weight = 3
prompt = "ask"
[scenario.arguments]
topic = "Hello"  # About what
#tone = "test"  # optional
"##
        );
        for words in [
            "the MCP server at http://127.0.0.1:8080/mcp\n",
            "everything 1.2",
            "2026-11-23T12:00:00Z",
            "2 tools, 1 resource,",
            "- the list of secrets could not be read",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let plan = loaded(&text);
        assert_eq!(plan.target.url.value, "http://127.0.0.1:8080/mcp");
        let topic = json!({"topic": "Hello"});
        assert_eq!(
            operations(&plan),
            [
                &call("search", json!({"query": "test", "order": "up"})),
                &call("now", json!({})),
                &Operation::ReadResource {
                    uri: "file:///a".to_string()
                },
                &Operation::GetPrompt {
                    name: "ask".to_string(),
                    arguments: topic.as_object().cloned().map(Into::into)
                },
            ]
        );
        let all = loaded(&switched_on(&text));
        assert_eq!(all.flows.len(), 5);
        let search = json!({"query": "test", "order": "up", "limit": 10});
        assert_eq!(operations(&all)[0], &call("search", search));
    }

    #[test]
    fn tools_marked_as_unsafe_are_switched_off() {
        let check = |read_only, destructive, is_on: bool, words: &str| {
            let mut marked = tool("marked", json!({"type": "object"}));
            marked.annotations.read_only = read_only;
            marked.annotations.destructive = destructive;
            let text = scaffold(&Offer {
                tools: vec![marked],
                ..plain_offer()
            });
            assert!(text.contains(words), "{words}: {text}");
            let plan = loaded(&text);
            let expected = if is_on {
                "tools/call marked"
            } else {
                "tools/list"
            };
            assert_eq!(operations(&plan)[0].label(), expected);
            assert_eq!(text.contains("\n#tool = \"marked\"\n"), !is_on);
        };
        check(None, None, true, "does not say whether it changes");
        check(Some(true), None, true, "weight = 10");
        check(Some(true), Some(false), true, "weight = 10");
        check(None, Some(false), true, "Marked as not destructive");
        check(Some(false), None, false, "marks it as not read-only");
        check(Some(false), Some(false), false, "marks it as not read-only");
        check(None, Some(true), false, "marks it as destructive.");
        check(Some(true), Some(true), false, "(and as read-only)");
    }

    #[test]
    fn tools_that_fail_on_purpose_are_switched_off() {
        let check = |description: &str, is_on: bool| {
            let mut described = tool("t", json!({"type": "object"}));
            described.annotations.read_only = Some(true);
            described.description = Some(description.to_string());
            let text = scaffold(&Offer {
                tools: vec![described],
                ..plain_offer()
            });
            assert_eq!(text.contains("\ntool = \"t\"\n"), is_on, "{text}");
            assert_eq!(text.contains("that it fails on purpose"), !is_on, "{text}");
        };
        check("Always fails", false);
        // Of megabytes the beginning is read.
        check(&format!("Always fails {}", "x ".repeat(1 << 20)), false);
        check(&format!("{} always fails", "x ".repeat(1 << 20)), true);
        check(
            "This tool always returns an error. For tests of clients.",
            false,
        );
        check("Throws deliberately", false);
        check("Fails when the file is missing", true);
        check("Always up to date", true);
        check("Finds errors in a file. Always runs.", true);
        check("Never fails: always gives an answer or an error", true);
        check("", true);
    }

    #[test]
    fn many_parameters_of_one_name_take_linear_time() {
        let mut variables = Variables::default();
        for i in 1..=50_000 {
            let expected = match i {
                1 => "TOKEN".to_string(),
                _ => format!("TOKEN_{i}"),
            };
            assert_eq!(variables.add("token"), expected);
        }
        assert_eq!(variables.add("token_7"), "TOKEN_7_2");
    }

    #[test]
    fn secrets_that_the_server_sends_back_are_not_written() {
        let secret = "sk-4711-secret";
        let mut echoing = tool(
            "good",
            json!({
                "type": "object",
                "properties": {"q": {"type": "string", "default": secret, "description": secret}},
                "required": ["q"],
            }),
        );
        echoing.description = Some(format!("for {secret}"));
        let offer = Offer {
            server: Some(ServerIdentity {
                name: secret.to_string(),
                version: secret.to_string(),
                title: None,
            }),
            tools: vec![echoing, tool(&format!("t-{secret}"), json!({}))],
            problems: vec![secret.to_string()],
            ..plain_offer()
        };
        let redactor = crate::redact::Redactor::new([secret]);
        let text = scaffold(&offer.cleaned(&redactor));
        assert!(!text.contains(secret), "{text}");
        assert!(text.contains("\n#tool = \"t-***\"\n"), "{text}");
        assert!(
            text.contains("Switched off: its name holds a value"),
            "{text}"
        );
        let plan = loaded(&text);
        assert_eq!(operations(&plan), [&call("good", json!({"q": "***"}))]);
    }

    #[test]
    fn tools_that_cannot_be_called_are_named_with_the_reason() {
        let mut invalid = tool("invalid", json!({"type": "object"}));
        invalid.param_headers = Err("x-mcp-header `A` occurs twice".to_string());
        let properties = json!({"n": {"type": "null"}});
        let null = tool(
            "null",
            json!({"type": "object", "properties": properties, "required": ["n"]}),
        );
        let mut offer = Offer {
            tools: vec![invalid, null, tool(" ", json!({}))],
            revision: "2026-07-28".to_string(),
            ..plain_offer()
        };
        let text = scaffold(&offer);
        assert_eq!(operations(&loaded(&text)), [&Operation::ListTools]);
        for words in [
            "Left out: the tool `invalid` has an invalid schema: x-mcp-header `A` occurs\n# twice.",
            "Switched off: a required argument is null, which TOML has not.",
            "{\"n\":null}",
            "Left out: the tool has no name.",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        // No headers are made of arguments in the legacy era.
        offer.revision = "2025-06-18".to_string();
        let text = scaffold(&offer);
        assert_eq!(operations(&loaded(&text))[0].label(), "tools/call invalid");
        assert!(
            text.contains("later protocol leave this tool out"),
            "{text}"
        );
    }

    #[test]
    fn what_is_offered_twice_is_called_once() {
        let tools = ["a", "b", "a"].map(|name| tool(name, json!({}))).to_vec();
        let plan = loaded(&scaffold(&Offer {
            tools,
            ..plain_offer()
        }));
        assert_eq!(
            operations(&plan),
            [&call("a", json!({})), &call("b", json!({}))]
        );
    }

    #[test]
    fn a_server_without_anything_to_call_is_asked_for_a_list() {
        let plan = loaded(&scaffold(&plain_offer()));
        assert_eq!(operations(&plan), [&Operation::ListTools]);
        let templates = vec![ResourceTemplateDescription {
            uri_template: "a:{b}".to_string(),
            name: String::new(),
            description: None,
            mime_type: None,
        }];
        let plan = loaded(&scaffold(&Offer {
            templates,
            ..plain_offer()
        }));
        assert_eq!(operations(&plan), [&Operation::ListResourceTemplates]);
    }

    #[test]
    fn secrets_are_left_in_the_environment() {
        let names = [
            "authorization",
            "X-Api-Key",
            "x-api-key",
            "9-Lives",
            "not a name",
            "",
        ];
        let url = "http://127.0.0.1/mcp?api_key=hunter2&page=3&x=aaaaaaaaaaaaaaaaaaaaaaaa";
        let text = scaffold(&Offer {
            url: url.to_string(),
            auth_header_names: names.map(str::to_string).to_vec(),
            ..plain_offer()
        });
        assert!(
            !text.contains("hunter2") && !text.contains("aaaaaaaa"),
            "{text}"
        );
        for line in [
            "authorization = \"Bearer ${MCP_API_KEY}\"",
            "X-Api-Key = \"${X_API_KEY}\"",
            "9-Lives = \"${MCP_9_LIVES}\"",
            "url = \"http://127.0.0.1/mcp?api_key=${API_KEY}&page=3&x=${X}\"",
            "# A run needs these set in the environment: MCP_API_KEY, X_API_KEY,",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        let plan = loaded(&text);
        assert_eq!(plan.target.headers[0].value, "Bearer value-of-MCP_API_KEY");
        assert_eq!(plan.target.headers.len(), 3);
    }

    #[test]
    fn the_template_loads_as_it_is_and_switched_on() {
        let text = template();
        assert_eq!(operations(&loaded(&text)), [&Operation::ListTools]);
        let all = loaded(&switched_on(&text));
        assert_eq!(all.flows.len(), 4);
        assert_eq!(all.target.headers.len(), 1);
        assert!(all.notices.is_empty(), "{:?}", all.notices);
        let is_narrow = |line: &str| line.chars().count() <= 80;
        assert!(text.lines().all(is_narrow), "{text}");
    }

    #[test]
    fn uri_templates_are_expanded() {
        let check = |template: &str, expected: &str| {
            assert_eq!(expanded(template), expected, "{template}");
        };
        check("a:{id}", "a:1");
        check(
            "a:{url}/{+url}",
            "a:https%3A%2F%2Fexample.com%2F/https://example.com/",
        );
        check("a{?q,limit}{&id*}", "a?q=test&limit=test&id=1");
        check("a{/x,y}{.z}{;x}{#id}", "a/test/test.test;x=test#1");
        check("{city:3}", "Lon");
        check("a{b", "a{b");
        check("{}{{x}}", "testtest}");
    }

    fn any_text() -> impl Strategy<Value = String> {
        let parts = [
            "\"", "\\", "\n", "\r", "${", "$${", "}", "#", "'", "\"\"\"", "\u{0}", "\u{202e}", "é",
            "{{", "{{{{", "{{vu}}", "{{a}}", "{", "}}", "${A}", "a", " ", "=", "[x]", "\t",
            "\u{7f}", "\u{85}", "🦀",
        ];
        let part = prop::sample::select(parts.to_vec());
        prop_oneof![
            any::<String>(),
            prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat()),
        ]
    }

    /// The value as a plan has it, where templates are understood.
    fn without_templates(value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(escape(text)),
            Value::Array(items) => items.iter().map(without_templates).collect(),
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, field)| (escape(name), without_templates(field)));
                Value::Object(fields.collect())
            }
            other => other.clone(),
        }
    }

    fn any_tool() -> impl Strategy<Value = ToolDescription> {
        let hint = || any::<Option<bool>>();
        let constant = any_json().prop_map(|json| json!({"const": json}));
        let constants = prop::collection::hash_map(any_text(), constant, 0..4);
        let schema = prop_oneof![
            any_schema(),
            constants.prop_map(|properties| {
                let required: Vec<&String> = properties.keys().collect();
                json!({"type": "object", "required": required, "properties": properties})
            }),
        ];
        let marks = prop_oneof![Just(Ok(Vec::new())), any_text().prop_map(Err)];
        let description = prop::option::of(any_text());
        (any_text(), description, schema, hint(), hint(), marks).prop_map(
            |(name, description, input_schema, read_only, destructive, param_headers)| {
                let annotations = ToolAnnotations {
                    read_only,
                    destructive,
                    ..ToolAnnotations::default()
                };
                ToolDescription {
                    name,
                    title: None,
                    description,
                    input_schema: (&input_schema).into(),
                    output_schema: None,
                    annotations,
                    param_headers,
                }
            },
        )
    }

    fn any_resource() -> impl Strategy<Value = ResourceDescription> {
        let description = prop::option::of(any_text());
        (any_text(), any_text(), description).prop_map(|(uri, name, description)| {
            ResourceDescription {
                uri,
                name,
                description,
                mime_type: None,
            }
        })
    }

    fn any_prompt() -> impl Strategy<Value = PromptDescription> {
        let description = || prop::option::of(any_text());
        let argument = (any_text(), description(), any::<bool>());
        let argument = argument.prop_map(|(name, description, required)| PromptArgument {
            name,
            description,
            required,
        });
        let arguments = prop::collection::vec(argument, 0..4);
        (any_text(), description(), arguments).prop_map(|(name, description, arguments)| {
            PromptDescription {
                name,
                description,
                arguments,
            }
        })
    }

    fn any_offer() -> impl Strategy<Value = Offer> {
        let tools = prop::collection::vec(any_tool(), 0..4);
        let resources = || prop::collection::vec(any_resource(), 0..3);
        let prompts = prop::collection::vec(any_prompt(), 0..3);
        let texts = prop::collection::vec(any_text(), 0..3);
        let headers = prop::collection::vec("X-[A-Za-z]{1,3}|Authorization|[ -~]é{1,3}", 0..4);
        let revision = prop_oneof![
            Just("2025-06-18".to_string()),
            Just("2026-07-28".to_string()),
            any_text()
        ];
        (
            tools,
            resources(),
            resources(),
            prompts,
            texts,
            headers,
            revision,
        )
            .prop_map(
                |(tools, resources, templates, prompts, problems, auth_header_names, revision)| {
                    let templates = templates.into_iter();
                    let templates = templates.map(|resource| ResourceTemplateDescription {
                        uri_template: resource.uri,
                        name: resource.name,
                        description: resource.description,
                        mime_type: None,
                    });
                    Offer {
                        url: "https://example.com/mcp?a=b&token=c".to_string(),
                        server: problems.first().map(|name| ServerIdentity {
                            name: name.clone(),
                            version: name.clone(),
                            title: None,
                        }),
                        revision,
                        asked_at: problems.last().cloned(),
                        tools,
                        resources,
                        templates: templates.collect(),
                        prompts,
                        problems,
                        n_unread_lists: 0,
                        auth_header_names,
                        ..Offer::default()
                    }
                },
            )
    }

    #[test]
    fn whole_numbers_beyond_64_bits_are_left_out_and_told() {
        let text = |input: &str| {
            let mut tool = tool("t", json!({}));
            tool.annotations.read_only = Some(true);
            tool.input_schema = ToolSchema::of_text(input);
            let tools = vec![tool];
            scaffold(&Offer {
                tools,
                ..plain_offer()
            })
        };
        let property = |default: &str| {
            format!(
                r#"{{"type": "object", "properties": {{"n": {{"default": {default}}}, "m": {{"type": "string"}}}}, "required": ["REQUIRED"]}}"#
            )
        };
        let required = text(&property("123456789012345678901234567890").replace("REQUIRED", "n"));
        assert!(
            required.contains("Switched off: `n` is a whole number beyond 64 bits"),
            "{required}"
        );
        let optional = text(&property("-9223372036854775809").replace("REQUIRED", "m"));
        assert!(
            optional.contains("Left out: the optional `n` is a whole number beyond 64 bits"),
            "{optional}"
        );
        let inside =
            text(&property("[{\"x\": 123456789012345678901234567890}]").replace("REQUIRED", "n"));
        assert!(inside.contains("Switched off: `n`"), "{inside}");
        for (default, written) in [
            ("1e300", "1e+300"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            let kept = text(&property(default).replace("REQUIRED", "n"));
            assert!(kept.contains(&format!("n = {written}")), "{kept}");
            loaded(&kept);
        }
        loaded(&switched_on(&required));
        loaded(&switched_on(&optional));
    }

    /// Equal, but for the last bits of floats: two parsers read them.
    fn nearly(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
                let (a, b) = (a.as_f64().unwrap_or(0.0), b.as_f64().unwrap_or(1.0));
                (a - b).abs() <= a.abs() * 1e-15 + f64::MIN_POSITIVE
            }
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| nearly(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(name, a)| b.get(name).is_some_and(|b| nearly(a, b)))
            }
            _ => a == b,
        }
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(64, 256))]

        #[test]
        fn any_offer_gives_a_config_that_loads_as_it_is_and_switched_on(offer in any_offer()) {
            let text = scaffold(&offer);
            let plan = loaded(&text);
            loaded(&switched_on(&text));
            // What is called is what the server named, to the last character.
            let found = operations(&plan);
            for operation in &found {
                let is_offered = match operation {
                    Operation::CallTool { name, .. } => {
                        offer.tools.iter().any(|tool| escape(&tool.name) == *name)
                    }
                    Operation::ReadResource { uri } => {
                        offer.resources.iter().any(|resource| escape(&resource.uri) == *uri)
                    }
                    Operation::GetPrompt { name, .. } => {
                        offer.prompts.iter().any(|prompt| escape(&prompt.name) == *name)
                    }
                    _ => found.len() == 1,
                };
                prop_assert!(is_offered, "{:?}", operation);
            }
            let uris = offer.resources.iter().map(|resource| resource.uri.as_str());
            let uris: HashSet<&str> = uris.filter(|uri| !uri.trim().is_empty()).collect();
            let is_read = |operation: &&&Operation| matches!(operation, Operation::ReadResource { .. });
            prop_assert_eq!(found.iter().filter(is_read).count(), uris.len());
        }

        #[test]
        fn arguments_are_read_back_as_they_were_sampled(tool in any_tool()) {
            let tool = ToolDescription {
                name: "a".to_string(),
                annotations: ToolAnnotations::default(),
                param_headers: Ok(Vec::new()),
                ..tool
            };
            let sampled = Value::Object(sample_arguments(&tool.input_schema.to_value()).values);
            prop_assume!(value(&sampled).is_some());
            let plan = loaded(&scaffold(&Offer { tools: vec![tool], ..plain_offer() }));
            let Operation::CallTool { arguments: Some(arguments), .. } = operations(&plan)[0] else {
                panic!("no call: {:?}", plan.flows);
            };
            let arguments = Value::Object(arguments.values().clone());
            // A plan has texts with templates: those of a server have none.
            let sampled = without_templates(&sampled);
            prop_assert!(nearly(&arguments, &sampled), "{} {}", arguments, sampled);
        }
    }
}
