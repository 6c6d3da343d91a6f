//! What both eras send alike: an operation's own params, and the version header.

use super::super::fields::json_text;
use super::super::operation::Operation;
use super::super::revision::Revision;
use super::super::trace::{CallExtras, TRACEPARENT, TraceMode};
use crate::template::{Expression, Scope, Template};

pub(super) fn version_header(revision: Revision) -> (String, String) {
    (
        "MCP-Protocol-Version".to_string(),
        revision.as_str().to_string(),
    )
}

/// `name`, `arguments`, `uri`, or whatever the user wants: the members of an
/// operation's params, without braces; empty where it has none. Absent arguments are absent, not null.
pub(super) fn render_members(operation: &Operation, scope: &mut Scope) -> Template {
    match operation {
        Operation::CallTool { name, arguments } | Operation::GetPrompt { name, arguments } => {
            let mut members = Template::from(r#""name":"#);
            members.push(&scope.text(name));
            if let Some(arguments) = arguments {
                members.push_str(r#","arguments":"#);
                members.push(&arguments.template(scope));
            }
            members
        }
        Operation::Request { params, .. } => params
            .as_ref()
            .map_or_else(Template::default, |params| params.members(scope)),
        Operation::ReadResource { uri } => {
            let mut members = Template::from(r#""uri":"#);
            members.push(&scope.text(uri));
            members
        }
        _ => Template::default(),
    }
}

/// What a request carries in its `_meta`, as members without braces; empty where it is
/// nothing: the token by which it asks for news of its progress, and its trace.
pub(super) fn meta_members(scope: &mut Scope, extras: CallExtras) -> Template {
    let mut members = Template::default();
    if extras.progress {
        members.push_str(r#""progressToken":"#);
        members.push(&scope.text("{{uuid}}"));
    }
    if extras.trace == TraceMode::Meta {
        members.push_str(if members.is_empty() { "" } else { "," });
        members.push_str(&format!("\"{TRACEPARENT}\":"));
        members.push(&scope.own(&Expression::TraceParent));
    }
    members
}

/// Whether the user words the request's `_meta`, which stays as it is.
pub(super) fn has_meta(operation: &Operation) -> bool {
    match operation {
        Operation::Request {
            params: Some(params),
            ..
        } => params.values().contains_key("_meta"),
        _ => false,
    }
}

/// The header with the trace, where it is to be there: its name and, as JSON, its value.
pub(super) fn trace_header(scope: &mut Scope, extras: CallExtras) -> Vec<(String, Template)> {
    let is_wanted = extras.trace == TraceMode::Header;
    let header = is_wanted.then(|| (TRACEPARENT.to_string(), scope.own(&Expression::TraceParent)));
    header.into_iter().collect()
}

pub(super) fn render_cursor(cursor: Option<&str>) -> Template {
    cursor.map_or_else(Template::default, |cursor| {
        format!(r#""cursor":{}"#, json_text(cursor)).as_str().into()
    })
}
