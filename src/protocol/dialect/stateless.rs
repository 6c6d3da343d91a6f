//! The modern era, 2026-07-28: no handshake, each request tells everything.
//!
//! Every request carries `_meta` with revision, client and capabilities, and
//! mirrors method, name and marked arguments into headers.

use serde_json::{Map, Value};

use super::super::catalog::{MirroredHeaders, ToolCatalog};
use super::super::fault::{FaultKind, ProtocolFault, excerpt};
use super::super::fields::{json_text, read_fields, read_string};
use super::super::header_value::encode_header_value;
use super::super::operation::{Arguments, Method, NAME_ROOT, Operation, PrepareError};
use super::super::request::Prepared;
use super::super::revision::Revision;
use super::super::subscription::{LISTEN_METHOD, Topic, wanted_json};
use super::super::tasks::{TASKS_EXTENSION, TaskRequest};
use super::super::trace::CallExtras;
use super::opening::{ClientInfo, Discovery, read_capabilities, read_identity, read_versions};
use super::params::{
    has_meta, meta_members, render_cursor, render_members, trace_header, version_header,
};
use crate::template::{Scope, Template};

const META_PREFIX: &str = "io.modelcontextprotocol/";

/// What we answer when a server requires input, and so what we declare:
/// elicitation by form only.
const CLIENT_CAPABILITIES: &str = r#"{"elicitation":{"form":{}},"sampling":{},"roots":{}}"#;

/// The `_meta` of requests that declare tasks beside, made of that of every request.
///
/// Nothing before the capabilities can look like them: all else there is ours, or text
/// whose quotes are escaped.
pub(super) fn declare_tasks(meta_json: &str) -> String {
    let (without_end, _) = CLIENT_CAPABILITIES.split_at(CLIENT_CAPABILITIES.len() - 1);
    let declared = format!(r#"{without_end},"extensions":{{"{TASKS_EXTENSION}":{{}}}}}}"#);
    meta_json.replacen(CLIENT_CAPABILITIES, &declared, 1)
}

/// A request about a task; `meta_json` declares tasks.
pub(super) fn task_request(
    revision: Revision,
    meta_json: &str,
    request: TaskRequest<'_>,
    task_id: &str,
) -> Prepared {
    let mut members = format!(r#""taskId":{}"#, json_text(task_id));
    if let TaskRequest::Update(responses) = request {
        members.push_str(&format!(r#","inputResponses":{responses}"#));
    }
    let mut headers = standard_headers(revision, request.method());
    headers.push(("Mcp-Name".to_string(), encode_header_value(task_id)));
    let params = render_params(
        &Template::from(members.as_str()),
        &Template::from(meta_json),
    );
    Prepared::new(request.method(), headers, Some(&params))
}

/// The request that a subscription to these answers.
pub(super) fn subscribe(revision: Revision, meta_json: &str, topics: &[Topic]) -> Prepared {
    let members = format!(r#""notifications":{}"#, wanted_json(topics));
    let params = render_params(
        &Template::from(members.as_str()),
        &Template::from(meta_json),
    );
    let headers = standard_headers(revision, LISTEN_METHOD);
    Prepared::new(LISTEN_METHOD, headers, Some(&params))
}

/// The `_meta` of every request.
pub(super) fn render_meta(
    revision: Revision,
    client: &ClientInfo,
    extra: &Map<String, Value>,
) -> String {
    let mut meta = format!(
        r#"{{"{META_PREFIX}protocolVersion":"{revision}","{META_PREFIX}clientInfo":{},"{META_PREFIX}clientCapabilities":{CLIENT_CAPABILITIES}"#,
        client.to_json()
    );
    push_entries(&mut meta, extra);
    meta.push('}');
    meta
}

/// Appends entries of the user to a `_meta`, but for those whose names are ours.
fn push_entries(meta: &mut String, entries: &Map<String, Value>) {
    let ours = ["protocolVersion", "clientInfo", "clientCapabilities"];
    for (name, value) in entries {
        let is_ours = name
            .strip_prefix(META_PREFIX)
            .is_some_and(|name| ours.contains(&name));
        if !is_ours {
            meta.push_str(&format!(",{}:{}", json_text(name), json_text(value)));
        }
    }
}

pub(super) fn prepare(
    revision: Revision,
    meta_json: &str,
    operation: &Operation,
    catalog: &ToolCatalog,
    scope: &mut Scope,
    extras: CallExtras,
) -> Result<Prepared, PrepareError> {
    if *operation == Operation::Ping {
        let method = Method::Ping;
        return Err(PrepareError::NoSuchMethod { method, revision });
    }
    let params = match operation {
        Operation::Request {
            params: Some(params),
            ..
        } if has_meta(operation) => {
            let mut others = params.values().clone();
            let mut meta = meta_json.to_string();
            if let Some(Value::Object(more)) = others.remove("_meta") {
                meta.pop();
                push_entries(&mut meta, &more);
                meta.push('}');
            }
            render_params(
                &Arguments::from(others).members(scope),
                &Template::from(meta.as_str()),
            )
        }
        _ => {
            let members = render_members(operation, scope);
            let mut meta = Template::from(meta_json);
            let more = meta_members(scope, extras);
            if let (false, Some(open)) = (more.is_empty(), meta_json.strip_suffix('}')) {
                meta = Template::from(open);
                meta.push_str(",");
                meta.push(&more);
                meta.push_str("}");
            }
            render_params(&members, &meta)
        }
    };
    let mut headers = MirroredHeaders {
        fixed: standard_headers(revision, operation.method()),
        ..MirroredHeaders::default()
    };
    // What a header repeats is made of the request itself, so that both are filled alike.
    if let Some(name) = name_of(operation, &params) {
        headers.push("Mcp-Name".to_string(), name);
    }
    if let Operation::CallTool { name, .. } = operation {
        catalog.add_headers(name, &params, &mut headers)?;
    }
    let prepared = Prepared::new(operation.method(), headers.fixed, Some(&params));
    headers.of_slots.extend(trace_header(scope, extras));
    Ok(prepared.with_slot_headers(headers.of_slots))
}

/// The part of the request that says what it is about, where it says so.
fn name_of(operation: &Operation, params: &Template) -> Option<Template> {
    operation.subject()?;
    let path: Vec<String> = match operation {
        Operation::ReadResource { .. } => vec!["uri".to_string()],
        Operation::Request { name_header, .. } => {
            let path = name_header.as_deref()?.strip_prefix(NAME_ROOT)?;
            path.split('.').map(str::to_string).collect()
        }
        _ => vec!["name".to_string()],
    };
    params.member(&path)
}

pub(super) fn list(
    revision: Revision,
    meta_json: &str,
    method: Method,
    cursor: Option<&str>,
) -> Prepared {
    let headers = standard_headers(revision, method.as_str());
    let params = render_params(&render_cursor(cursor), &Template::from(meta_json));
    Prepared::new(method.as_str(), headers, Some(&params))
}

pub(super) fn discover(revision: Revision, meta_json: &str) -> Prepared {
    const METHOD: &str = "server/discover";
    let params = render_params(&Template::default(), &Template::from(meta_json));
    Prepared::new(METHOD, standard_headers(revision, METHOD), Some(&params))
}

pub(super) fn read_discover(result: &str) -> Result<Discovery, ProtocolFault> {
    let bad = || ProtocolFault::new(FaultKind::BadResult, excerpt(result.as_bytes()));
    let names = [
        "supportedVersions",
        "serverInfo",
        "capabilities",
        "instructions",
        "_meta",
    ];
    let [versions, server, capabilities, instructions, meta] =
        read_fields(result, names).ok_or_else(bad)?;
    let (supported, unknown_supported) = versions.and_then(read_versions).ok_or_else(bad)?;
    // The identity is in the result, or (the Rust SDK) in its `_meta`.
    let server_in_meta = || {
        let [server] = read_fields(meta?, ["io.modelcontextprotocol/serverInfo"])?;
        read_identity(server?)
    };
    Ok(Discovery {
        supported,
        unknown_supported,
        server: server.and_then(read_identity).or_else(server_in_meta),
        capabilities: read_capabilities(capabilities),
        instructions: instructions.and_then(read_string),
    })
}

fn standard_headers(revision: Revision, method: &str) -> Vec<(String, String)> {
    vec![
        version_header(revision),
        ("Mcp-Method".to_string(), method.to_string()),
    ]
}

fn render_params(members: &Template, meta: &Template) -> Template {
    let comma = if members.is_empty() { "" } else { "," };
    let mut params = Template::from("{");
    params.push(members);
    params.push_str(comma);
    params.push_str(r#""_meta":"#);
    params.push(meta);
    params.push_str("}");
    params
}
