//! What both eras send alike: an operation's own params, and the version header.

use super::super::fields::json_text;
use super::super::operation::Operation;
use super::super::revision::Revision;
use crate::template::{Scope, Template};

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

/// Asks for news of the request's progress, by a token that no other request has: a member
/// of its `_meta`.
pub(super) fn progress_token(scope: &mut Scope) -> Template {
    let mut member = Template::from(r#""progressToken":"#);
    member.push(&scope.text("{{uuid}}"));
    member
}

pub(super) fn render_cursor(cursor: Option<&str>) -> Template {
    cursor.map_or_else(Template::default, |cursor| {
        format!(r#""cursor":{}"#, json_text(cursor)).as_str().into()
    })
}
