//! A plan for people and for the report: everything resolved, no secret.
//!
//! Does not know what the values were before they were resolved, nor who
//! prints them.

use std::fmt::Display;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::json::think_json;
use super::marked::MarkedPlace;
use super::plan::{
    Action, Arrivals, Call, Flow, HistogramMode, Load, OnError, Plan, SessionRule, Step, Target,
};
use super::secret::HIDDEN;
use crate::data::{AtEnd, DataMode, DataSet};
use crate::expect::{Expectations, SchemaShare, Source};
use crate::load::{Distribution, ThinkTime};
use crate::network::{AddressUse, ConnectionUse, TlsOptions};
use crate::protocol::{Operation, Topic, TraceMode};
use crate::redact::{Redacted, Redactor};
use crate::text::escaped;
use crate::threshold::{Severity, Threshold};
use crate::units::{format_bytes, format_duration, format_percent, format_rate, plural};

/// The plan as labelled lines, in the order to be read. Texts of the user have
/// no control characters left.
pub fn describe(plan: &Plan) -> Vec<(String, String)> {
    let mut lines = Lines(Vec::new());
    lines.add("target", plan.target.url.shown.clone());
    lines.add("protocol", plan.target.protocol);
    if plan.target.cookies {
        lines.add("cookies", "kept by each user");
    }
    if plan.target.respect_retry_after {
        lines.add("Retry-After", "users wait as long as it asks");
    }
    if !plan.target.listen {
        lines.add(
            "listening",
            "sessions hold no stream, even where the server offers one",
        );
    }
    add_topics("subscription", &plan.target.subscribe, &mut lines);
    describe_tls(&plan.network.tls, &mut lines);
    for header in &plan.target.headers {
        lines.add("header", format!("{}: {HIDDEN}", header.name));
    }
    if let Some(token) = &plan.token {
        lines.add(
            "token",
            format!("{}, renewed while a run goes on", token.shown()),
        );
    }
    describe_network(plan, &mut lines);
    describe_load(plan, &mut lines);
    describe_segment(plan, &mut lines);
    lines.add("stops", stops(plan));
    if !plan.warm_up.is_zero() {
        let warm_up = format_duration(plan.warm_up);
        lines.add("warm-up", format!("{warm_up}, left out of the figures"));
    }
    for at in 0..plan.populations.all().len() {
        describe_population(plan, at, &mut lines);
    }
    for set in &plan.data {
        lines.add("data", describe_data(set));
    }
    if !plan.preflight {
        lines.add("preflight", "nothing is held against what the server lists");
    }
    if plan.think != ThinkTime::None {
        lines.add("think", describe_think(plan.think));
    }
    if !plan.pause_after_call.is_zero() {
        let pause = format_duration(plan.pause_after_call);
        lines.add("pause", format!("{pause} after each call"));
    }
    if let Some(session) = describe_session(plan.session) {
        lines.add("session", session);
    }
    lines.add(
        "timeout",
        format!("{} for each request", format_duration(plan.timeout)),
    );
    if plan.calls().any(|call| call.task) {
        let timeout = format_duration(plan.task_timeout);
        lines.add("tasks", format!("{timeout} until each has ended"));
    }
    lines.add(
        "at the end",
        format!(
            "up to {} for requests in flight",
            format_duration(plan.graceful_stop)
        ),
    );
    lines.add("breaks", describe_breaking(plan));
    for threshold in &plan.thresholds {
        lines.add("threshold", describe_threshold(threshold));
    }
    lines.add(
        "messages",
        format!("up to {}", format_bytes(plan.message_bytes_max as u64)),
    );
    lines.add("workers", describe_workers(plan));
    if let Some(rate) = plan.probe {
        let rate = format_rate(rate);
        lines.add(
            "probe",
            format!("{rate} in a session of its own, on a thread of its own"),
        );
    }
    match plan.histograms {
        HistogramMode::Off => lines.add("histograms", "none in the report"),
        HistogramMode::Totals => lines.add("histograms", "of the whole run only"),
        HistogramMode::Seconds => {}
    }
    if plan.streams {
        lines.add("answers", "timed from their first byte on, event by event");
    }
    let traced = match plan.trace {
        TraceMode::Off => None,
        TraceMode::Meta => Some("in the `_meta` of each call"),
        TraceMode::Header => Some("in a header of each call"),
    };
    if let Some(traced) = traced {
        lines.add("trace", traced);
    }
    if plan.strict {
        lines.add("strict", "a result that is not valid fails");
    }
    let seed = match plan.is_seed_drawn {
        true => "drawn for each run".to_string(),
        false => plan.seed.to_string(),
    };
    lines.add("seed", seed);
    lines.0
}

struct Lines(Vec<(String, String)>);

impl Lines {
    fn add(&mut self, label: &str, text: impl Display) {
        self.0.push((label.to_string(), escaped(&text.to_string())));
    }
}

fn describe_load(plan: &Plan, lines: &mut Lines) {
    match &plan.load {
        Load::Closed { vus, ramp_up, .. } => {
            let users = users(*vus);
            if ramp_up.is_zero() {
                lines.add("load", format!("{users}, all from the start"));
            } else {
                let ramp_up = format_duration(*ramp_up);
                lines.add("load", format!("{users}, started across {ramp_up}"));
            }
        }
        Load::Staged { stages, .. } => {
            for stage in stages {
                let duration = format_duration(stage.duration);
                lines.add(
                    "stage",
                    format!("{duration} to {}", users(stage.target_vus)),
                );
            }
        }
        Load::Open {
            arrivals,
            max_vus,
            queue_max,
        } => {
            describe_arrivals(arrivals, lines);
            lines.add(
                "served by",
                format!(
                    "up to {}; {} may wait",
                    users(*max_vus),
                    plural(*queue_max as u64, "arrival", "arrivals")
                ),
            );
        }
    }
    if let Load::Closed { pacing, .. } | Load::Staged { pacing, .. } = &plan.load
        && let Some(pacing) = pacing
    {
        let pacing = format_duration(*pacing);
        lines.add(
            "pacing",
            format!("each user starts an iteration every {pacing}"),
        );
    }
}

/// What of the load above is this host's.
fn describe_network(plan: &Plan, lines: &mut Lines) {
    let network = &plan.network;
    if let Some(proxy) = plan.proxy_use() {
        lines.add("proxy", proxy.in_words());
    }
    for rule in &network.resolve {
        lines.add("resolve", rule);
    }
    for address in &network.bind {
        lines.add("bind", address);
    }
    if network.addresses == AddressUse::Pinned {
        lines.add("addresses", "each user keeps to one");
    }
    if let Some(ttl) = network.dns_ttl {
        let text = format!("looked up again after {}", format_duration(ttl));
        lines.add("name", text);
    }
    if let Some(limit) = network.connect_timeout {
        let text = format!("opened within {}", format_duration(limit));
        lines.add("connection", text);
    }
    if let Some(calls) = network.calls_per_connection {
        let calls = plural(calls.get().into(), "request", "requests");
        lines.add("connection", format!("closed after {calls}"));
    }
    let connection = match network.connection {
        ConnectionUse::PerSession => None,
        ConnectionUse::Keep => Some("kept across sessions"),
        ConnectionUse::PerCall => Some("closed after each answer, without `Connection: close`"),
    };
    if let Some(words) = connection {
        lines.add("connection", words);
    }
    if let Some(name) = &network.backend_header {
        lines.add("backends", format!("told apart by the header `{name}`"));
    }
}

fn describe_segment(plan: &Plan, lines: &mut Lines) {
    if plan.segment.is_whole() {
        return;
    }
    let mut own = format!("{} of this load: {}", plan.segment, users(plan.vus_max()));
    if let Some(iterations) = plan.iterations() {
        own += &format!(", {}", plural(iterations, "iteration", "iterations"));
    }
    if matches!(plan.load, Load::Open { .. }) {
        let one_in = u64::from(plan.segment.count());
        own += &format!(", one in {one_in} arrivals");
    }
    lines.add("segment", own);
}

fn users(count: u32) -> String {
    plural(u64::from(count), "virtual user", "virtual users")
}

fn describe_arrivals(arrivals: &Arrivals, lines: &mut Lines) {
    match arrivals {
        Arrivals::Rate {
            per_second,
            distribution,
        } => {
            let rate = format_rate(*per_second);
            lines.add("arrivals", format!("{rate}, {}", spread(*distribution)));
        }
        Arrivals::Staged {
            stages,
            distribution,
        } => {
            for stage in stages {
                let duration = format_duration(stage.duration);
                let rate = format_rate(stage.target_rate);
                lines.add("stage", format!("{duration} to {rate}"));
            }
            lines.add("arrivals", spread(*distribution).to_string());
        }
        Arrivals::Bursts(burst) => {
            let every = format_duration(burst.every);
            lines.add("arrivals", format!("{} at once, every {every}", burst.size));
        }
    }
}

fn spread(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Constant => "evenly spaced",
        Distribution::Poisson => "as a Poisson process",
    }
}

fn stops(plan: &Plan) -> String {
    let iterations = plan
        .stop
        .iterations
        .map(|count| plural(count, "iteration", "iterations"));
    match (plan.stop.duration.map(format_duration), iterations) {
        (Some(duration), Some(iterations)) => {
            format!("after {duration} or {iterations}, whichever comes first")
        }
        (Some(duration), None) => format!("after {duration}"),
        (None, Some(iterations)) => format!("after {iterations}"),
        (None, None) => "when it is interrupted".to_string(),
    }
}

fn add_topics(label: &'static str, topics: &[Topic], lines: &mut Lines) {
    if !topics.is_empty() {
        let topics: Vec<String> = topics.iter().map(Topic::to_string).collect();
        lines.add(label, format!("{}, held by each user", topics.join(", ")));
    }
}

/// What its users do; and who they are, where there are others.
fn describe_population(plan: &Plan, at: usize, lines: &mut Lines) {
    let population = &plan.populations.all()[at];
    if let Some(name) = &population.name {
        let share = format_percent(plan.populations.share(at));
        let whom = match &plan.load {
            Load::Open { .. } => "arrivals",
            _ => "users",
        };
        lines.add("population", format!("{name}, {share} of the {whom}"));
    }
    if let Some(own) = &population.target {
        if own.has_url {
            lines.add("  target", own.target.url.shown.clone());
        }
        if own.has_url || own.target.protocol != plan.target.protocol {
            lines.add("  protocol", own.target.protocol.to_string());
        }
        for header in &own.target.headers {
            if own.has_url || !plan.target.headers.contains(header) {
                lines.add("  header", format!("{}: {HIDDEN}", header.name));
            }
        }
        if plan.token.is_some() && !own.takes_tokens {
            lines.add("  token", "none of the settings'");
        }
    }
    if let Some(topics) = &population.subscribe {
        add_topics("  subscription", topics, lines);
    }
    if let Some(think) = population.think {
        lines.add("  think", describe_think(think));
    }
    let flows = || population.flows.iter().map(|at| &plan.flows[*at]);
    let weights: u64 = flows().map(|flow| u64::from(flow.weight)).sum();
    for flow in flows() {
        // No flow of weight 0 is the only one.
        describe_flow(flow, f64::from(flow.weight) / weights.max(1) as f64, lines);
    }
}

fn describe_flow(flow: &Flow, share: f64, lines: &mut Lines) {
    let share = format!(", {} of the iterations", format_percent(share));
    if let Some(name) = &flow.name {
        let on_error = match flow.on_error {
            OnError::EndIteration => "",
            OnError::Continue => "; goes on where a step fails",
            OnError::EndSession => "; a step that fails ends the session",
        };
        lines.add("flow", format!("{name}{share}{on_error}"));
    }
    for step in &flow.steps {
        let calls: Vec<String> = step.calls.iter().map(describe_call).collect();
        let mut text = step
            .name
            .as_ref()
            .map_or(String::new(), |name| format!("{name}: "));
        text.push_str(&calls.join(" + "));
        if flow.name.is_none() {
            text.push_str(&share);
        }
        if step.is_once {
            text.push_str(", once in a session");
        }
        if step.calls_at_once() > 1 {
            text.push_str(&format!(", {} at once", step.calls_at_once()));
        }
        if step.repeat > 1 {
            text.push_str(&format!(", {} times", step.repeat));
        }
        if let Some(until) = &step.until {
            let every = format_duration(until.every);
            let at_most = until.at_most;
            text.push_str(&format!(
                ", until {} is {}: every {every}, at most {}",
                until.source,
                until.equals,
                plural(u64::from(at_most), "time", "times")
            ));
        }
        if let Some(think) = step.think {
            text.push_str(&format!(", then a pause: {}", describe_think(think)));
        }
        lines.add("step", text);
    }
}

fn describe_tls(tls: &TlsOptions, lines: &mut Lines) {
    let mut words = Vec::new();
    if tls.insecure {
        words.push("certificates are NOT checked".to_string());
    }
    for file in &tls.ca {
        words.push(format!("trusts `{}`", escaped(&file.display().to_string())));
    }
    if let Some((certificate, _)) = &tls.client {
        let file = escaped(&certificate.display().to_string());
        words.push(format!("shows the certificate `{file}`"));
    }
    if let Some(name) = &tls.server_name {
        words.push(format!("asks for `{}`", escaped(name)));
    }
    if !tls.resumption {
        words.push("no session is resumed".to_string());
    }
    if !words.is_empty() {
        lines.add("tls", words.join(", "));
    }
}

fn describe_data(set: &DataSet) -> String {
    let rows = plural(set.n_rows() as u64, "row", "rows");
    let order = match (set.mode, set.at_end) {
        (DataMode::Sequential, AtEnd::Stop) => "one for each iteration; the last ends the run",
        (DataMode::Sequential, AtEnd::Repeat) => "one for each iteration, again from the first",
        (DataMode::Random, _) => "any for each iteration",
        (DataMode::UniquePerVu, _) => "one for each user",
    };
    format!(
        "{}: {rows} of {}, {order}",
        set.name,
        set.columns().join(", ")
    )
}

fn describe_call(call: &Call) -> String {
    let mut text = call
        .name
        .as_ref()
        .map_or(String::new(), |name| format!("{name}: "));
    match &call.action.shown {
        Action::Call(operation) => {
            text.push_str(&operation.label());
            if let Some(arguments) = operation.arguments() {
                text.push(' ');
                text.push_str(arguments.json());
            }
        }
        Action::CodeMode { code, format } => text.push_str(&format!("code_mode {format} {code}")),
    }
    if call.progress {
        text.push_str(", asks for its progress");
    }
    if call.generate {
        text.push_str(" with arguments made from its schema");
    }
    match &call.isolation {
        None => {}
        Some(MarkedPlace::Path(names)) => {
            text.push_str(&format!(", with a marker in {}", names.join(".")));
        }
        Some(_) => text.push_str(", with a marker"),
    }
    if call.task {
        text.push_str(", as a task where the server makes it one");
    }
    if !call.extracts.is_empty() {
        let names: Vec<&str> = call
            .extracts
            .iter()
            .map(|value| value.name.as_str())
            .collect();
        text.push_str(&format!(", takes {}", names.join(", ")));
    }
    let awaited: Vec<&str> = expectations(&call.expectations)
        .into_iter()
        .filter_map(|(key, _)| (key != "path").then_some(key))
        .collect();
    if !awaited.is_empty() {
        text.push_str(&format!(", awaits {}", awaited.join(", ")));
    }
    text
}

fn describe_think(think: ThinkTime) -> String {
    match think {
        ThinkTime::None => "not at all".to_string(),
        ThinkTime::Constant(pause) => format_duration(pause),
        ThinkTime::Uniform { low, high } => format!(
            "from {} to {}, evenly spread",
            format_duration(low),
            format_duration(high)
        ),
        ThinkTime::Exponential { mean } => {
            format!("{} on average, exponential", format_duration(mean))
        }
        ThinkTime::LogNormal { median, sigma } => format!(
            "half of the pauses under {}, log-normal with sigma {sigma}",
            format_duration(median)
        ),
    }
}

fn describe_session(rule: SessionRule) -> Option<String> {
    let iterations = rule
        .iterations
        .map(|count| plural(count, "iteration", "iterations"));
    let end = match (iterations, rule.lifetime.map(format_duration)) {
        (Some(iterations), Some(lifetime)) => format!("renewed after {iterations} or {lifetime}"),
        (Some(bound), None) | (None, Some(bound)) => format!("renewed after {bound}"),
        (None, None) if rule.abandon > 0.0 => "kept to the end".to_string(),
        (None, None) => return None,
    };
    if rule.abandon > 0.0 {
        let share = format_percent(rule.abandon);
        Some(format!("{end}; {share} left without a DELETE"))
    } else {
        Some(end)
    }
}

fn describe_breaking(plan: &Plan) -> String {
    let latency = match plan.breaking.latency_max {
        Some(latency) => format!("a p99 above {}", format_duration(latency)),
        None => "a p99 above three times the baseline".to_string(),
    };
    let errors = format_percent(plan.breaking.error_share_max);
    let then = if plan.breaking.stop {
        "the run stops there"
    } else {
        "the run goes on"
    };
    format!("{latency} or errors above {errors}; {then}")
}

fn describe_threshold(threshold: &Threshold) -> String {
    let mut text = threshold.text.clone();
    if threshold.severity == Severity::Warn {
        text.push_str(", warned of");
    }
    if threshold.few_fails {
        text.push_str(", fails with too few calls");
    }
    match threshold.abort_after {
        Some(grace) if grace.is_zero() => text.push_str(", ends the run"),
        Some(grace) => {
            let grace = format_duration(grace);
            text.push_str(&format!(", ends the run after {grace} or later"));
        }
        None => {}
    }
    text
}

fn describe_workers(plan: &Plan) -> String {
    let mut text = match plan.workers.count {
        Some(count) => count.to_string(),
        None => "one for each CPU to spare".to_string(),
    };
    if !plan.workers.pin {
        text.push_str(", not pinned");
    }
    if plan.workers.busy_poll {
        text.push_str(", busy polling");
    }
    text
}

/// The plan as it is told in a report, without any of its secrets.
pub fn to_json(plan: &Plan) -> Value {
    let redactor = plan.redactor();
    let plan = serde_json::to_value(Redacted::new(plan, &redactor));
    // All keys are texts: each plan has a form in JSON.
    let mut plan = plan.unwrap_or_default();
    for key in ["scenario", "flow"] {
        clean_arguments(&mut plan[key], &redactor);
    }
    plan
}

/// The plan that a report tells, with the keys which its version did not know: each has
/// the value that it has where nobody says anything of it. So a key that is added makes
/// no other plan of one that does without it.
pub fn completed(plan: &Value) -> Value {
    let mut plan = plan.clone();
    let Ok(target) = Target::new("http://localhost/") else {
        return plan;
    };
    let flow = Flow::from(Action::Call(Operation::Ping));
    let usual = to_json(&Plan::new(target, vec![flow]));
    fill(&mut plan, &usual);
    // Each entry, and each step of a flow, is such a step.
    let Some(Value::Object(mut step)) = usual["scenario"].get(0).cloned() else {
        return plan;
    };
    step.remove("type");
    let step = Value::Object(step);
    let entries = plan.get_mut("scenario").and_then(Value::as_array_mut);
    entries.into_iter().flatten().for_each(|it| fill(it, &step));
    plan
}

/// The keys that are not there, at every level; a list is the user's as a whole.
fn fill(value: &mut Value, usual: &Value) {
    let (Value::Object(fields), Value::Object(usual)) = (value, usual) else {
        return;
    };
    for (key, usual) in usual {
        match fields.get_mut(key) {
            // Loads of two models have other keys.
            Some(of_key) if of_key.get("model") != usual.get("model") => {}
            Some(of_key) => fill(of_key, usual),
            None => {
                fields.insert(key.clone(), usual.clone());
            }
        }
    }
}

/// The names in arguments and params are the user's, all other keys are ours.
fn clean_arguments(steps: &mut Value, redactor: &Redactor) {
    for step in steps.as_array_mut().into_iter().flatten() {
        for key in ["arguments", "params"] {
            if let Some(values) = step.get_mut(key) {
                *values = redactor.clean_json(values.take());
            }
        }
        for key in ["step", "call"] {
            if let Some(inner) = step.get_mut(key) {
                clean_arguments(inner, redactor);
            }
        }
    }
}

/// By the keys of the config. Only what is shown of it.
impl Serialize for Flow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        let Some(name) = &self.name else {
            for step in &self.steps {
                serialize_step(step, &mut fields)?;
            }
            fields.serialize_entry("weight", &self.weight)?;
            return fields.end();
        };
        fields.serialize_entry("name", name)?;
        fields.serialize_entry("weight", &self.weight)?;
        fields.serialize_entry("on_error", self.on_error.word())?;
        fields.serialize_entry("step", &self.steps)?;
        fields.end()
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        serialize_step(self, &mut fields)?;
        fields.end()
    }
}

impl Serialize for Call {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        serialize_call(self, &mut fields)?;
        fields.end()
    }
}

fn serialize_step<M: SerializeMap>(step: &Step, fields: &mut M) -> Result<(), M::Error> {
    if let Some(name) = &step.name {
        fields.serialize_entry("name", name)?;
    }
    match &step.calls[..] {
        [call] => serialize_call(call, fields)?,
        calls => fields.serialize_entry("call", calls)?,
    }
    if step.is_once {
        fields.serialize_entry("once", "session")?;
    }
    if step.repeat > 1 {
        fields.serialize_entry("repeat", &step.repeat)?;
    }
    if let Some(until) = &step.until {
        let table = json!({
            "path": until.source.to_string(),
            "equals": until.equals,
            "every_ms": until.every.as_secs_f64() * 1e3,
            "at_most": until.at_most,
        });
        fields.serialize_entry("until", &table)?;
    }
    if let Some(think) = &step.think {
        fields.serialize_entry("think", &think_json(think))?;
    }
    fields.serialize_entry("parallel", &step.parallel)
}

fn serialize_call<M: SerializeMap>(call: &Call, fields: &mut M) -> Result<(), M::Error> {
    if let Some(name) = &call.name {
        fields.serialize_entry("name", name)?;
    }
    match &call.action.shown {
        Action::Call(operation) => serialize_operation(operation, fields)?,
        Action::CodeMode { code, format } => {
            fields.serialize_entry("type", "code_mode")?;
            fields.serialize_entry("code", code)?;
            fields.serialize_entry("format", format)?;
        }
    }
    if call.progress {
        fields.serialize_entry("progress", &true)?;
    }
    if call.generate {
        fields.serialize_entry("generate", &true)?;
    }
    if let Some(place) = call.isolation.as_ref().and_then(MarkedPlace::to_json) {
        fields.serialize_entry("isolation", &place)?;
    }
    if call.task {
        fields.serialize_entry("task", &true)?;
    }
    if !call.extracts.is_empty() {
        let values = call.extracts.iter();
        let values = values.map(|value| (value.name.clone(), value.source.to_string().into()));
        fields.serialize_entry("extract", &Value::Object(values.collect()))?;
    }
    let secret = call.extracts.iter().filter(|value| value.is_secret);
    let secret: Vec<&str> = secret.map(|value| value.name.as_str()).collect();
    if !secret.is_empty() {
        fields.serialize_entry("secret", &secret)?;
    }
    if !call.expectations.is_empty() {
        // One table for each, since each may have a path.
        let mut tables: Vec<Map<String, Value>> = Vec::new();
        for (key, value) in expectations(&call.expectations) {
            match tables.last_mut() {
                Some(table) if table.contains_key("path") && table.len() == 1 => {
                    table.insert(key.to_string(), value);
                }
                _ => tables.push(std::iter::once((key.to_string(), value)).collect()),
            }
        }
        fields.serialize_entry("expect", &tables)?;
    }
    Ok(())
}

/// By the keys of the config; a `path` goes with what comes after it.
pub(crate) fn expectations(all: &Expectations) -> Vec<(&'static str, Value)> {
    let mut keys = Vec::new();
    let mut push = |source: &Option<Source>, key, value| {
        let path = source
            .as_ref()
            .map(|path| ("path", path.to_string().into()));
        keys.extend(path);
        keys.push((key, value));
    };
    for text in &all.contains {
        push(&text.source, "contains", text.value.clone().into());
    }
    for pattern in &all.matches {
        push(&pattern.source, "matches", pattern.value.to_string().into());
    }
    for value in &all.equals {
        push(&value.source, "equals", value.value.clone());
    }
    let whole = [
        (
            "schema",
            all.schema.map(|share| match share {
                SchemaShare::ALL => true.into(),
                share => share.get().into(),
            }),
        ),
        ("max_bytes", all.max_bytes.map(Value::from)),
        ("is_error", all.is_error.then_some(Value::from(true))),
        ("code", all.code.map(Value::from)),
        ("status", all.status.map(Value::from)),
    ];
    keys.extend(
        whole
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    keys
}

/// By the keys of the config.
fn serialize_operation<M: SerializeMap>(
    operation: &Operation,
    fields: &mut M,
) -> Result<(), M::Error> {
    if let Operation::Request {
        method,
        params,
        name_header,
    } = operation
    {
        fields.serialize_entry("type", "request")?;
        fields.serialize_entry("method", method)?;
        if let Some(params) = params {
            fields.serialize_entry("params", params.values())?;
        }
        if let Some(path) = name_header {
            fields.serialize_entry("name_header", path)?;
        }
        return Ok(());
    }
    fields.serialize_entry("type", operation.method())?;
    if let Some(subject) = operation.subject() {
        let key = match operation {
            Operation::CallTool { .. } => "tool",
            Operation::GetPrompt { .. } => "prompt",
            _ => "uri",
        };
        fields.serialize_entry(key, subject)?;
    }
    if let Some(arguments) = operation.arguments() {
        fields.serialize_entry("arguments", arguments.values())?;
    }
    Ok(())
}
