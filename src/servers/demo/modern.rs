//! The revision without a handshake, 2026-07-28: every request says for itself
//! what it is, in `_meta` and again in its headers.
//!
//! The checks come in the order of the official SDKs: duplicates, `_meta`,
//! headers against body, version, parameter headers, and only then the method.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::jobs::TASKS;
use super::message::{ClientMessage, DemoReply, MessageKind};
use super::offer::{
    Asker, Catalogue, Class, HEADER_MISMATCH, INSTRUCTIONS, INVALID_PARAMS, INVALID_REQUEST,
    MISSING_CAPABILITY, Payload, ServedEra, UNSUPPORTED_VERSION, add_cache_hints, begin_result,
    capabilities, server_info,
};
use super::subscribe::{LISTEN, Subscribed};
use super::wire::DemoRequestHead;

/// The revision that is spoken.
pub(super) const VERSION: &str = "2026-07-28";

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// Whether the message names a version in `_meta`, as only modern ones do.
pub(super) fn names_version(params: &Value) -> bool {
    params["_meta"].get(VERSION_KEY).is_some()
}

/// The answer to a modern message. Where streams are offered, it may subscribe to news.
pub(super) fn answer(
    offer: &mut Catalogue,
    head: &DemoRequestHead,
    message: &ClientMessage,
    now: Duration,
    offers_streams: bool,
) -> DemoReply {
    let id = match &message.kind {
        MessageKind::Request(id) => id,
        // Of a notification only the version is looked at.
        MessageKind::Notification => {
            let version = head.version.as_deref().unwrap_or_default();
            return match unsupported(version) {
                Some(error) => DemoReply::message(400, Value::Null, error),
                None => DemoReply::empty(202),
            };
        }
        MessageKind::Response(_) => {
            let text = "Invalid Request: this revision has no responses from clients";
            return DemoReply::refusal(400, INVALID_REQUEST, text);
        }
    };
    if let Some(error) = envelope_fault(head, message).or_else(|| param_fault(offer, head, message))
    {
        return DemoReply::message(400, id.clone(), error);
    }
    if message.method == "server/discover" {
        return DemoReply::message(200, id.clone(), discover());
    }
    if message.method == LISTEN && offers_streams {
        let subscribed = Subscribed::new(id, &message.params);
        return DemoReply {
            subscription: Some(Box::new(subscribed)),
            ..DemoReply::empty(200)
        };
    }
    let declared = &message.params["_meta"][CAPABILITIES_KEY];
    let asker = Asker {
        can_elicit: declared.get("elicitation").is_some(),
        has_tasks: declared["extensions"].get(TASKS).is_some(),
        now,
    };
    let (method, params) = (&message.method, &message.params);
    let served = offer.serve(ServedEra::Modern, method, params, asker);
    let is_unknown = served.class == Class::Unknown;
    let status = match &served.payload {
        _ if is_unknown => 404,
        Payload::Error {
            code: MISSING_CAPABILITY,
            ..
        } => 400,
        _ => 200,
    };
    let mut reply = DemoReply::message(status, id.clone(), served.payload);
    reply.work = (status == 200).then_some(served.extra);
    reply.progress = served.progress;
    reply
}

fn discover() -> Payload {
    let mut result = begin_result(ServedEra::Modern);
    result.insert("supportedVersions".into(), json!([VERSION]));
    result.insert("capabilities".into(), capabilities(ServedEra::Modern));
    result.insert("instructions".into(), INSTRUCTIONS.into());
    add_cache_hints(ServedEra::Modern, &mut result);
    result.insert("_meta".into(), json!({SERVER_INFO_KEY: server_info()}));
    Payload::Result(Value::Object(result))
}

/// What is wrong with `_meta`, or with a header against the body.
fn envelope_fault(head: &DemoRequestHead, message: &ClientMessage) -> Option<Payload> {
    if let Some(name) = head.duplicate {
        return Some(mismatch(format!("{name} header appears more than once")));
    }
    let meta = &message.params["_meta"];
    for key in [VERSION_KEY, CAPABILITIES_KEY] {
        if meta.get(key).is_none() {
            let text = format!("params._meta is missing the required key `{key}`");
            return Some(Payload::error(INVALID_PARAMS, text));
        }
    }
    if !meta[CAPABILITIES_KEY].is_object() {
        let text = format!("params._meta: `{CAPABILITIES_KEY}` must be an object");
        return Some(Payload::error(INVALID_PARAMS, text));
    }
    let Some(version) = meta[VERSION_KEY].as_str() else {
        let text = format!("params._meta: `{VERSION_KEY}` must be a string");
        return Some(Payload::error(INVALID_PARAMS, text));
    };
    if head.version.as_deref() != Some(version) {
        let text = "MCP-Protocol-Version header does not match the version in params._meta";
        return Some(mismatch(text));
    }
    if head.mcp_method.as_deref() != Some(message.method.as_str()) {
        return Some(mismatch(
            "Mcp-Method header does not match the body's method",
        ));
    }
    let name_key = match message.method.as_str() {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    };
    if let Some(key) = name_key
        && let Some(name) = message.params[key].as_str()
        && head.mcp_name.as_deref().and_then(decode).as_deref() != Some(name)
    {
        let text = format!("Mcp-Name header does not match the body's params.{key}");
        return Some(mismatch(text));
    }
    unsupported(version)
}

fn unsupported(version: &str) -> Option<Payload> {
    (version != VERSION).then(|| Payload::Error {
        code: UNSUPPORTED_VERSION,
        message: "Unsupported protocol version".to_string(),
        data: json!({"supported": [VERSION], "requested": version}),
    })
}

/// What is wrong with the headers that repeat arguments: header and argument
/// must be there together and say the same, or be absent together.
fn param_fault(
    offer: &Catalogue,
    head: &DemoRequestHead,
    message: &ClientMessage,
) -> Option<Payload> {
    if message.method != "tools/call" {
        return None;
    }
    let tool = offer.tool(message.params["name"].as_str()?)?;
    for (property, token) in &tool.param_headers {
        let given = head
            .mcp_params
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(token))
            .map(|(_, value)| value);
        let argument = match &message.params["arguments"][property] {
            Value::String(text) => Some(text.clone()),
            Value::Bool(flag) => Some(flag.to_string()),
            // 42.0 in a body is written 42 in a header.
            Value::Number(number) => Some(match number.as_f64() {
                Some(float) if number.is_f64() && float.fract() == 0.0 => format!("{float:.0}"),
                _ => number.to_string(),
            }),
            _ => None,
        };
        let text = match (given, argument) {
            (None, None) => continue,
            (Some(given), Some(argument)) if decode(given) == Some(argument.clone()) => continue,
            (Some(_), Some(_)) => {
                format!("Mcp-Param-{token} header does not match the argument `{property}`")
            }
            (Some(_), None) => {
                format!("Mcp-Param-{token} header without the argument `{property}`")
            }
            (None, Some(_)) => {
                format!("missing Mcp-Param-{token} header for the argument `{property}`")
            }
        };
        return Some(mismatch(text));
    }
    None
}

fn mismatch(message: impl Into<String>) -> Payload {
    Payload::error(HEADER_MISMATCH, message)
}

/// A header's value, decoded where it is written in base64. `None` for what
/// no client may send: bytes outside visible ASCII, broken base64 or UTF-8.
fn decode(value: &str) -> Option<String> {
    let is_plain = value
        .bytes()
        .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    if !is_plain {
        return None;
    }
    let wrapped = value
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    match wrapped {
        Some(payload) => String::from_utf8(BASE64_STANDARD.decode(payload).ok()?).ok(),
        None => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_decoded() {
        let check = |value: &str, expected: Option<&str>| {
            assert_eq!(decode(value).as_deref(), expected, "{value}");
        };
        check("echo", Some("echo"));
        check("", Some(""));
        check("=?base64?w6XDpA==?=", Some("åä"));
        check("=?base64??=", Some(""));
        check("=?base64?!?=", None);
        check("=?base64?w6U?=", None);
        check("=?base64?/w==?=", None);
        check("å", None);
        check("=?base64?=", Some("=?base64?="));
    }
}
