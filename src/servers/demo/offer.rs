//! What the server offers to both eras: the lists, and the answers to their
//! methods, without the envelope of either.
//!
//! Lists are written out once at the start, so that listing costs a copy. It
//! knows no HTTP, no session and no delay; tools are in `tools.rs`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::asking::{Consultation, DemoAsk};
use super::jobs::{DemoWork, Jobs, TASKS, WorkOutcome};
use super::shop::Shop;
use super::tools::{self, DemoTool, Question, ToolOutcome};

/// How many tools a page of `tools/list` holds: few enough that there are pages.
const TOOLS_A_PAGE: usize = 4;

/// The two eras of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServedEra {
    /// 2025-03-26 to 2025-11-25, with a handshake and sessions.
    Legacy,
    /// 2026-07-28, without either.
    Modern,
}

/// What sort of call it is; the lists and calls take their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Handshake,
    Ping,
    List,
    ToolCall,
    ResourceRead,
    PromptGet,
    /// What is asked of a task.
    Task,
    /// A method that the server doesn't have.
    Unknown,
}

/// The inside of a response.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Payload {
    /// A result as JSON text, written at the start.
    Written(Arc<str>),
    /// A result.
    Result(Value),
    Error {
        code: i64,
        message: String,
        /// `Null` for none.
        data: Value,
    },
}

impl Payload {
    pub(super) fn error(code: i64, message: impl Into<String>) -> Self {
        Self::Error {
            code,
            message: message.into(),
            data: Value::Null,
        }
    }
}

/// An answer to a method, before its envelope.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Served {
    pub(super) class: Class,
    pub(super) payload: Payload,
    /// What the answer takes on top of the server's latency.
    pub(super) extra: Duration,
    /// Messages that come before it, spread evenly over the time that it takes.
    pub(super) progress: Vec<Value>,
    /// What a legacy client is asked first, on the stream of the call.
    pub(super) ask: Option<DemoAsk>,
}

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    /// The client declared that it answers elicitations.
    pub(super) can_elicit: bool,
    /// It declared tasks.
    pub(super) has_tasks: bool,
    pub(super) now: Duration,
}

/// JSON-RPC's own codes, and MCP's.
pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;
pub(super) const INTERNAL_ERROR: i64 = -32603;
pub(super) const RESOURCE_NOT_FOUND: i64 = -32002;
pub(super) const HEADER_MISMATCH: i64 = -32020;
pub(super) const MISSING_CAPABILITY: i64 = -32021;
pub(super) const UNSUPPORTED_VERSION: i64 = -32022;

/// Everything that is offered.
pub(super) struct Catalogue {
    tools: Vec<DemoTool>,
    legacy: WrittenLists,
    modern: WrittenLists,
    /// What makes this server's request states its own.
    seal_key: u64,
    /// The shop that some tools work in.
    pub(super) shop: Shop,
    jobs: Jobs,
    /// The ids of requests to clients.
    next_ask: u64,
}

/// The results of the list methods as JSON text.
struct WrittenLists {
    tool_pages: Vec<Arc<str>>,
    resources: Arc<str>,
    templates: Arc<str>,
    prompts: Arc<str>,
}

impl Catalogue {
    pub(super) fn new(seed: u64, off_schema_share: f64) -> Self {
        let tools = tools::all();
        Self {
            legacy: WrittenLists::new(&tools, ServedEra::Legacy),
            modern: WrittenLists::new(&tools, ServedEra::Modern),
            tools,
            seal_key: seed ^ 0x5eed_0fa5_ea1e_d571,
            shop: Shop::new(seed, off_schema_share),
            jobs: Jobs::new(seed),
            next_ask: 0,
        }
    }

    /// A request to a client, with an id of its own.
    pub(super) fn ask_of(&mut self, kind: Consultation) -> DemoAsk {
        self.next_ask += 1;
        let id = self.next_ask;
        DemoAsk { id, kind }
    }

    pub(super) fn tool(&self, name: &str) -> Option<&DemoTool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// The answer to a method that both eras have, and to those about tasks.
    pub(super) fn serve(
        &mut self,
        era: ServedEra,
        method: &str,
        params: &Value,
        asker: Asker,
    ) -> Served {
        let now = asker.now;
        let lists = match era {
            ServedEra::Legacy => &self.legacy,
            ServedEra::Modern => &self.modern,
        };
        let (class, payload) = match method {
            "tools/list" => (Class::List, lists.tools_page(&params["cursor"])),
            "resources/list" => (Class::List, Payload::Written(lists.resources.clone())),
            "resources/templates/list" => (Class::List, Payload::Written(lists.templates.clone())),
            "prompts/list" => (Class::List, Payload::Written(lists.prompts.clone())),
            "tools/call" => return self.call_tool(era, params, asker),
            "tasks/get" | "tasks/update" | "tasks/cancel"
                if era == ServedEra::Modern && !asker.has_tasks =>
            {
                let needed = json!({"extensions": {TASKS: {}}});
                (Class::Task, missing_capability(method, &needed))
            }
            "tasks/get" | "tasks/update" | "tasks/cancel" if era == ServedEra::Modern => {
                let told = match method {
                    "tasks/get" => self.jobs.get(params, now, yields),
                    "tasks/update" => self.jobs.update(params, now),
                    _ => self.jobs.cancel(params, now),
                };
                let unknown = || Payload::error(INVALID_PARAMS, "Task not found");
                (Class::Task, told.map_or_else(unknown, Payload::Result))
            }
            "resources/read" => (Class::ResourceRead, read_resource(era, params)),
            "prompts/get" => (Class::PromptGet, give_prompt(era, params)),
            _ => {
                let message = format!("Method not found: {method}");
                (Class::Unknown, Payload::error(METHOD_NOT_FOUND, message))
            }
        };
        Served {
            class,
            payload,
            extra: Duration::ZERO,
            progress: Vec::new(),
            ask: None,
        }
    }

    fn call_tool(&mut self, era: ServedEra, params: &Value, asker: Asker) -> Served {
        let mut extra = Duration::ZERO;
        let mut progress = Vec::new();
        let mut ask = None;
        let name = params["name"].as_str().unwrap_or_default();
        let no_arguments = Value::Object(Map::new());
        let arguments = match params.get("arguments") {
            None | Some(Value::Null) => &no_arguments,
            Some(arguments) => arguments,
        };
        let shop = &mut self.shop;
        let tool = self.tools.iter().find(|tool| tool.name == name);
        let payload = match tool.map(|tool| tool.call(arguments, shop)) {
            None => Payload::error(INVALID_PARAMS, format!("Unknown tool: {name}")),
            Some(ToolOutcome::Text(text)) => tool_result(era, text, None, false),
            Some(ToolOutcome::Data(text, data)) => tool_result(era, text, Some(data), false),
            Some(ToolOutcome::Failed(reason)) => tool_result(era, reason, None, true),
            Some(ToolOutcome::Later(delay, text)) => {
                extra = delay;
                tool_result(era, text, None, false)
            }
            Some(ToolOutcome::Steps(n_steps, every, text)) => {
                extra = every.saturating_mul(n_steps);
                progress = progress_of(n_steps, &params["_meta"]["progressToken"]);
                tool_result(era, text, None, false)
            }
            // A legacy server would have to ask on the open stream; this one
            // serves the default instead.
            Some(ToolOutcome::Asks(question)) if era == ServedEra::Legacy => {
                tool_result(era, question.then, None, false)
            }
            Some(ToolOutcome::Asks(question)) => {
                self.ask_or_finish(name, arguments, question, params, asker.can_elicit)
            }
            Some(ToolOutcome::Consults(kind)) if era == ServedEra::Legacy => {
                ask = Some(self.ask_of(kind));
                // It is made of the answer.
                Payload::Result(Value::Null)
            }
            Some(ToolOutcome::Consults(kind)) => self.consult(kind, arguments, params),
            Some(ToolOutcome::Works(work)) if era == ServedEra::Modern && asker.has_tasks => {
                Payload::Result(self.jobs.create(work, asker.now))
            }
            Some(ToolOutcome::Works(work)) => {
                extra = work.time;
                work_done(era, &work)
            }
        };
        Served {
            class: Class::ToolCall,
            payload,
            extra,
            progress,
            ask,
        }
    }

    /// The two rounds of a call that consults a modern client.
    fn consult(&self, kind: Consultation, arguments: &Value, params: &Value) -> Payload {
        const KEY: &str = "asked";
        let state = self.seal("ask_client", arguments);
        let given = &params["requestState"];
        if kind == Consultation::Ping {
            let text = "this revision has no `ping`".to_string();
            return tool_result(ServedEra::Modern, text, None, false);
        }
        if given.is_null() {
            return Payload::Result(json!({
                "resultType": "input_required",
                "inputRequests": {KEY: kind.request()},
                "requestState": state,
            }));
        }
        if *given != state.as_str() {
            return Payload::error(INVALID_PARAMS, "Invalid or expired requestState");
        }
        consulted(
            ServedEra::Modern,
            kind,
            &Ok(params["inputResponses"][KEY].clone()),
        )
    }

    /// The two rounds of a call that asks back: the question with a sealed
    /// state first, then the result for state and answer.
    fn ask_or_finish(
        &self,
        name: &str,
        arguments: &Value,
        question: Question,
        params: &Value,
        can_elicit: bool,
    ) -> Payload {
        let state = self.seal(name, arguments);
        match params.get("requestState") {
            None | Some(Value::Null) if !can_elicit => {
                return missing_capability(name, &json!({"elicitation": {}}));
            }
            None | Some(Value::Null) => return ask(question, &state),
            Some(given) if *given != state.as_str() => {
                return Payload::error(INVALID_PARAMS, "Invalid or expired requestState");
            }
            Some(_) => {}
        }
        let answer = &params["inputResponses"][question.key];
        match answer["action"].as_str() {
            Some("accept") => {
                let content = &answer["content"];
                match super::schema::fault(&question.schema, content) {
                    Some(fault) => {
                        let reason = format!("bad answer to `{}`: {fault}", question.key);
                        tool_result(ServedEra::Modern, reason, None, true)
                    }
                    None => {
                        let chosen = content[question.key].as_str().unwrap_or_default();
                        let text = format!("{}, {chosen}", question.then);
                        tool_result(ServedEra::Modern, text, None, false)
                    }
                }
            }
            Some("decline" | "cancel") => tool_result(
                ServedEra::Modern,
                "nothing was done".to_string(),
                None,
                false,
            ),
            // The client did not answer: it is asked again.
            _ => ask(question, &state),
        }
    }

    /// A state that only this server gives out for this call. It is a checksum,
    /// not cryptography: it has to find clients that mix states up, no attacker.
    fn seal(&self, name: &str, arguments: &Value) -> String {
        // FNV-1a over the call, begun with the key.
        let text = format!("{name}\n{arguments}");
        let sum = text.bytes().fold(self.seal_key, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("demo.{sum:016x}")
    }
}

/// A notification for each step; none without a token.
fn progress_of(n_steps: u32, token: &Value) -> Vec<Value> {
    if token.is_null() {
        return Vec::new();
    }
    let notification = |step: u32| {
        json!({
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": {"progressToken": token, "progress": step, "total": n_steps},
        })
    };
    (1..=n_steps).map(notification).collect()
}

fn ask(question: Question, state: &str) -> Payload {
    Payload::Result(json!({
        "resultType": "input_required",
        "inputRequests": {
            question.key: {
                "method": "elicitation/create",
                "params": {
                    "mode": "form",
                    "message": question.message,
                    "requestedSchema": question.schema,
                }
            }
        },
        "requestState": state,
    }))
}

fn missing_capability(what: &str, needed: &Value) -> Payload {
    Payload::Error {
        code: MISSING_CAPABILITY,
        message: format!("`{what}` needs capabilities of the client that it did not declare"),
        data: json!({"requiredCapabilities": needed}),
    }
}

/// What the tool `ask_client` says once the client has answered.
pub(super) fn consulted(
    era: ServedEra,
    kind: Consultation,
    said: &Result<Value, Value>,
) -> Payload {
    let text = match said {
        Ok(result) => kind.said(result),
        Err(error) => Err(format!("the client refused: {error}")),
    };
    let is_error = text.is_err();
    tool_result(era, text.unwrap_or_else(|why| why), None, is_error)
}

/// What the tool `crunch` says once its time is over.
fn work_done(era: ServedEra, work: &DemoWork) -> Payload {
    let text = format!("worked for {} ms", work.time.as_millis());
    match work.outcome {
        WorkOutcome::Done => tool_result(era, text, None, false),
        WorkOutcome::ToolError => tool_result(era, text + ", in vain", None, true),
        WorkOutcome::Error => Payload::error(INTERNAL_ERROR, text + ", and broke"),
    }
}

/// The same of a task.
fn yields(work: &DemoWork) -> Result<Value, Value> {
    match work_done(ServedEra::Modern, work) {
        Payload::Result(result) => Ok(result),
        Payload::Error { code, message, .. } => Err(json!({"code": code, "message": message})),
        Payload::Written(_) => Err(Value::Null),
    }
}

fn tool_result(era: ServedEra, text: String, data: Option<Value>, is_error: bool) -> Payload {
    let mut result = begin_result(era);
    result.insert("content".into(), json!([{"type": "text", "text": text}]));
    if let Some(data) = data {
        result.insert("structuredContent".into(), data);
    }
    result.insert("isError".into(), is_error.into());
    Payload::Result(Value::Object(result))
}

const README_URI: &str = "demo://readme";
const SETTINGS_URI: &str = "demo://settings";
const NOTE_URI_PREFIX: &str = "demo://notes/";

/// Whether there is a resource with this URI.
pub(super) fn has_resource(uri: &str) -> bool {
    let read = read_resource(ServedEra::Modern, &json!({"uri": uri}));
    matches!(read, Payload::Result(_))
}

fn read_resource(era: ServedEra, params: &Value) -> Payload {
    let Some(uri) = params["uri"].as_str() else {
        return Payload::error(INVALID_PARAMS, "params.uri must be a string");
    };
    let is_note_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let (mime_type, text) = match uri {
        README_URI => (
            "text/plain",
            "The demo server of the load tester.".to_string(),
        ),
        SETTINGS_URI => ("application/json", r#"{"theme":"plain"}"#.to_string()),
        _ => match uri.strip_prefix(NOTE_URI_PREFIX) {
            Some(id) if is_note_id(id) => ("text/plain", format!("Note {id}: buy milk.")),
            _ => {
                let code = match era {
                    ServedEra::Legacy => RESOURCE_NOT_FOUND,
                    ServedEra::Modern => INVALID_PARAMS,
                };
                return Payload::Error {
                    code,
                    message: "Resource not found".to_string(),
                    data: json!({"uri": uri}),
                };
            }
        },
    };
    let mut result = begin_result(era);
    let content = json!({"uri": uri, "mimeType": mime_type, "text": text});
    result.insert("contents".into(), Value::Array(vec![content]));
    add_cache_hints(era, &mut result);
    Payload::Result(Value::Object(result))
}

fn give_prompt(era: ServedEra, params: &Value) -> Payload {
    if params["name"] != "summarize" {
        let name = params["name"].as_str().unwrap_or_default();
        return Payload::error(INVALID_PARAMS, format!("Unknown prompt: {name}"));
    }
    let arguments = &params["arguments"];
    let Some(topic) = arguments["topic"].as_str() else {
        return Payload::error(INVALID_PARAMS, "Missing required argument: topic");
    };
    let style = arguments["style"].as_str().unwrap_or("plain");
    let text = format!("Summarize what you know about {topic} in a {style} style.");
    let mut result = begin_result(era);
    result.insert("description".into(), "Asks for a summary".into());
    let message = json!({"role": "user", "content": {"type": "text", "text": text}});
    result.insert("messages".into(), Value::Array(vec![message]));
    Payload::Result(Value::Object(result))
}

impl WrittenLists {
    fn new(tools: &[DemoTool], era: ServedEra) -> Self {
        let n_pages = tools.len().div_ceil(TOOLS_A_PAGE);
        let tool_pages = tools
            .chunks(TOOLS_A_PAGE)
            .enumerate()
            .map(|(i, page)| {
                let page = page.iter().map(|tool| tool.definition.clone()).collect();
                let next = (i + 1 < n_pages).then(|| format!("page-{}", i + 2));
                write_list(era, "tools", page, next)
            })
            .collect();
        let resources = json!([
            {"uri": README_URI, "name": "readme", "mimeType": "text/plain"},
            {"uri": SETTINGS_URI, "name": "settings", "mimeType": "application/json"},
        ]);
        let templates = json!([{
            "uriTemplate": format!("{NOTE_URI_PREFIX}{{id}}"),
            "name": "note",
            "description": "A note by its number",
            "mimeType": "text/plain",
        }]);
        let prompts = json!([{
            "name": "summarize",
            "description": "Asks for a summary",
            "arguments": [
                {"name": "topic", "description": "what to sum up", "required": true},
                {"name": "style", "description": "plain or formal", "required": false},
            ],
        }]);
        Self {
            tool_pages,
            resources: write_list(era, "resources", resources, None),
            templates: write_list(era, "resourceTemplates", templates, None),
            prompts: write_list(era, "prompts", prompts, None),
        }
    }

    fn tools_page(&self, cursor: &Value) -> Payload {
        let page_idx = match cursor {
            Value::Null => Some(0),
            Value::String(cursor) => cursor
                .strip_prefix("page-")
                .and_then(|number| number.parse::<usize>().ok())
                .and_then(|number| number.checked_sub(1)),
            _ => None,
        };
        match page_idx.and_then(|page_idx| self.tool_pages.get(page_idx)) {
            Some(page) => Payload::Written(page.clone()),
            None => Payload::error(INVALID_PARAMS, "Invalid cursor"),
        }
    }
}

fn write_list(era: ServedEra, key: &str, items: Value, next_cursor: Option<String>) -> Arc<str> {
    let mut result = begin_result(era);
    result.insert(key.to_string(), items);
    if let Some(cursor) = next_cursor {
        result.insert("nextCursor".into(), cursor.into());
    }
    add_cache_hints(era, &mut result);
    Value::Object(result).to_string().into()
}

/// What every complete result of an era begins with.
pub(super) fn begin_result(era: ServedEra) -> Map<String, Value> {
    let mut result = Map::new();
    if era == ServedEra::Modern {
        result.insert("resultType".into(), "complete".into());
    }
    result
}

/// Modern results that may be cached say for how long and for whom.
pub(super) fn add_cache_hints(era: ServedEra, result: &mut Map<String, Value>) {
    if era == ServedEra::Modern {
        result.insert("ttlMs".into(), 60_000.into());
        result.insert("cacheScope".into(), "public".into());
    }
}

/// The server's name and version.
pub(super) fn server_info() -> Value {
    json!({"name": "pmcp-demo", "version": env!("CARGO_PKG_VERSION")})
}

/// What the server can do.
pub(super) fn capabilities(era: ServedEra) -> Value {
    let mut all = json!({"tools": {}, "resources": {}, "prompts": {}});
    if era == ServedEra::Modern {
        all["extensions"] = json!({TASKS: {}});
    }
    all
}

/// Guidance for the client.
pub(super) const INSTRUCTIONS: &str =
    "A server to try load tests on. Nothing it does has an effect.";

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: Asker = Asker {
        can_elicit: true,
        has_tasks: false,
        now: Duration::ZERO,
    };

    fn serve(era: ServedEra, method: &str, params: Value) -> Served {
        Catalogue::new(1, 0.0).serve(era, method, &params, ASKER)
    }

    /// The result as data, or the error's code.
    fn value(payload: &Payload) -> Result<Value, i64> {
        match payload {
            Payload::Written(text) => Ok(serde_json::from_str(text).expect("JSON")),
            Payload::Result(value) => Ok(value.clone()),
            Payload::Error { code, .. } => Err(*code),
        }
    }

    fn result(era: ServedEra, method: &str, params: Value) -> Result<Value, i64> {
        value(&serve(era, method, params).payload)
    }

    #[test]
    fn the_tools_come_in_pages() {
        for era in [ServedEra::Legacy, ServedEra::Modern] {
            let mut names = Vec::new();
            let mut cursor = Value::Null;
            let mut n_pages = 0;
            loop {
                let page = result(era, "tools/list", json!({"cursor": cursor})).expect("a page");
                let tools = page["tools"].as_array().expect("tools");
                names.extend(tools.iter().map(|tool| tool["name"].to_string()));
                n_pages += 1;
                assert_eq!(page.get("ttlMs").is_some(), era == ServedEra::Modern);
                cursor = page["nextCursor"].clone();
                if cursor.is_null() {
                    break;
                }
            }
            assert_eq!((n_pages, names.len()), (4, 16));
        }
        for cursor in [json!("page-0"), json!("page-5"), json!("x"), json!(7)] {
            let page = result(ServedEra::Legacy, "tools/list", json!({"cursor": cursor}));
            assert_eq!(page, Err(INVALID_PARAMS));
        }
    }

    #[test]
    fn results_carry_their_era() {
        let params = json!({"name": "echo", "arguments": {"text": "x"}});
        assert_eq!(
            result(ServedEra::Legacy, "tools/call", params.clone()),
            Ok(json!({"content": [{"type": "text", "text": "x"}], "isError": false}))
        );
        assert_eq!(
            result(ServedEra::Modern, "tools/call", params),
            Ok(json!({
                "resultType": "complete",
                "content": [{"type": "text", "text": "x"}],
                "isError": false
            }))
        );
        let sum = result(
            ServedEra::Legacy,
            "tools/call",
            json!({"name": "add", "arguments": {"a": 1, "b": 1}}),
        );
        assert_eq!(sum.expect("a result")["structuredContent"]["sum"], 2);
    }

    #[test]
    fn resources_and_prompts_are_given() {
        let text = |uri: &str| {
            result(ServedEra::Modern, "resources/read", json!({"uri": uri}))
                .map(|result| result["contents"][0]["text"].to_string())
        };
        assert!(text("demo://readme").is_ok());
        assert_eq!(text("demo://notes/12"), Ok("\"Note 12: buy milk.\"".into()));
        assert_eq!(text("demo://notes/x"), Err(INVALID_PARAMS));
        let unknown = result(
            ServedEra::Legacy,
            "resources/read",
            json!({"uri": "demo://x"}),
        );
        assert_eq!(unknown, Err(RESOURCE_NOT_FOUND));
        let prompt = |params| result(ServedEra::Legacy, "prompts/get", params);
        let given = prompt(json!({"name": "summarize", "arguments": {"topic": "tea"}}));
        assert_eq!(given.expect("a prompt")["messages"][0]["role"], "user");
        assert_eq!(prompt(json!({"name": "summarize"})), Err(INVALID_PARAMS));
        assert_eq!(prompt(json!({"name": "x"})), Err(INVALID_PARAMS));
    }

    #[test]
    fn unknown_names_are_errors() {
        let tool = result(ServedEra::Legacy, "tools/call", json!({"name": "x"}));
        assert_eq!(tool, Err(INVALID_PARAMS));
        assert_eq!(
            result(ServedEra::Legacy, "x", Value::Null),
            Err(METHOD_NOT_FOUND)
        );
    }

    #[test]
    fn a_tool_asks_back_once() {
        let mut offer = Catalogue::new(1, 0.0);
        let mut call = |params: Value| {
            value(
                &offer
                    .serve(ServedEra::Modern, "tools/call", &params, ASKER)
                    .payload,
            )
        };
        let mut params = json!({"name": "order_coffee", "arguments": {"drink": "tea"}});
        let first = call(params.clone()).expect("a result");
        assert_eq!(first["resultType"], "input_required");
        params["requestState"] = first["requestState"].clone();
        assert_eq!(call(params.clone()).expect("a result"), first);
        params["inputResponses"] =
            json!({"size": {"action": "accept", "content": {"size": "large"}}});
        let second = call(params.clone()).expect("a result");
        assert_eq!(second["content"][0]["text"], "ordered: tea, large");
        params["inputResponses"]["size"]["content"] = json!({"size": "huge"});
        assert_eq!(call(params.clone()).expect("a result")["isError"], true);
        params["inputResponses"]["size"] = json!({"action": "decline"});
        let declined = call(params.clone()).expect("a result");
        assert_eq!(declined["content"][0]["text"], "nothing was done");
        // The state belongs to the arguments that it was given for.
        params["arguments"] = json!({"drink": "latte"});
        assert_eq!(call(params), Err(INVALID_PARAMS));
        let params = json!({"name": "order_coffee", "arguments": {"drink": "tea"}});
        let asker = Asker {
            can_elicit: false,
            ..ASKER
        };
        let served = offer.serve(ServedEra::Modern, "tools/call", &params, asker);
        assert_eq!(value(&served.payload), Err(MISSING_CAPABILITY));
        let legacy = result(ServedEra::Legacy, "tools/call", params).expect("a result");
        assert_eq!(legacy["content"][0]["text"], "ordered: tea");
    }

    #[test]
    fn a_tool_consults_the_client() {
        let mut offer = Catalogue::new(1, 0.0);
        let mut params = json!({"name": "ask_client", "arguments": {"kind": "roots"}});
        let served = offer.serve(ServedEra::Legacy, "tools/call", &params, ASKER);
        let ask = served.ask.expect("a request to the client");
        assert_eq!(
            (ask.message()["method"].as_str(), ask.id),
            (Some("roots/list"), 1)
        );
        let mut call = |params: &Value| {
            let served = offer.serve(ServedEra::Modern, "tools/call", params, ASKER);
            value(&served.payload).expect("a result")
        };
        let first = call(&params);
        assert_eq!(first["inputRequests"]["asked"]["method"], "roots/list");
        params["requestState"] = first["requestState"].clone();
        params["inputResponses"] = json!({"asked": {"roots": []}});
        let second = call(&params);
        assert_eq!(second["content"][0]["text"], "the client says: 0 roots");
        params["inputResponses"] = json!({"asked": {}});
        assert_eq!(call(&params)["isError"], true);
    }

    #[test]
    fn work_is_a_task_for_those_who_declare_tasks() {
        let mut offer = Catalogue::new(1, 0.0);
        let params = json!({"name": "crunch", "arguments": {"ms": 7}});
        let direct = offer.serve(ServedEra::Modern, "tools/call", &params, ASKER);
        assert_eq!(direct.extra, Duration::from_millis(7));
        let direct = value(&direct.payload).expect("a result");
        assert_eq!(direct["content"][0]["text"], "worked for 7 ms");
        let asker = Asker {
            has_tasks: true,
            ..ASKER
        };
        let created = offer.serve(ServedEra::Modern, "tools/call", &params, asker);
        let created = value(&created.payload).expect("a task");
        assert_eq!(created["resultType"], "task");
        let about = json!({"taskId": created["taskId"]});
        let undeclared = offer.serve(ServedEra::Modern, "tasks/get", &about, ASKER);
        assert_eq!(value(&undeclared.payload), Err(MISSING_CAPABILITY));
        let told = offer.serve(ServedEra::Modern, "tasks/get", &about, asker);
        assert_eq!(value(&told.payload).expect("a task")["status"], "working");
        let legacy = offer.serve(ServedEra::Legacy, "tasks/get", &about, asker);
        assert_eq!(legacy.class, Class::Unknown);
    }
}
