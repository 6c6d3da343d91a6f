//! Reads whole lists, page by page.

use super::classify::Trouble;
use super::session::Session;
use crate::metrics::{Failure, ProtocolFailure};
use crate::protocol::{
    Method, NextPage, Page, PageGuard, PromptDescription, ProtocolFault, Reply,
    ResourceDescription, ResourceTemplateDescription, ToolDescription, read_prompts,
    read_resource_templates, read_resources, read_tools,
};

/// Pages of one list; a server with more is not one that people use.
const PAGES_MAX: usize = 1000;

/// All tools the server offers.
///
/// # Errors
/// The first page that cannot be read.
pub fn list_tools(session: &mut Session) -> Result<Vec<ToolDescription>, Trouble> {
    list(session, Method::ListTools, read_tools, |tool| &tool.name)
}

/// All resources the server offers.
///
/// # Errors
/// The first page that cannot be read.
pub fn list_resources(session: &mut Session) -> Result<Vec<ResourceDescription>, Trouble> {
    list(session, Method::ListResources, read_resources, |resource| {
        &resource.uri
    })
}

/// All resource templates the server offers.
///
/// # Errors
/// The first page that cannot be read.
pub fn list_resource_templates(
    session: &mut Session,
) -> Result<Vec<ResourceTemplateDescription>, Trouble> {
    list(
        session,
        Method::ListResourceTemplates,
        read_resource_templates,
        |template| &template.uri_template,
    )
}

/// All prompts the server offers.
///
/// # Errors
/// The first page that cannot be read.
pub fn list_prompts(session: &mut Session) -> Result<Vec<PromptDescription>, Trouble> {
    list(session, Method::ListPrompts, read_prompts, |prompt| {
        &prompt.name
    })
}

fn list<T>(
    session: &mut Session,
    method: Method,
    read: impl Fn(&str) -> Result<Page<T>, ProtocolFault>,
    key: impl Fn(&T) -> &String,
) -> Result<Vec<T>, Trouble> {
    let mut guard = PageGuard::new(PAGES_MAX);
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = read(&page(session, method, cursor.as_deref())?)?;
        let next = guard.after(&page, |item| key(item).as_str());
        if next == NextPage::Repeated {
            return Ok(items);
        }
        items.extend(page.items);
        match next {
            NextPage::Cursor(next) => cursor = Some(next),
            NextPage::Done | NextPage::Repeated | NextPage::TooMany => return Ok(items),
        }
    }
}

/// The text of one page's result.
fn page(session: &mut Session, method: Method, cursor: Option<&str>) -> Result<String, Trouble> {
    let server = session.server();
    let deadline = crate::clock::now() + server.settings().timeout;
    let Some(prepared) = server.dialect().list(method, cursor) else {
        return Err(Trouble::failed(
            Failure::Protocol(ProtocolFailure::BadResult),
            format!("`{}` is not a list", method.as_str()),
        ));
    };
    let call = server.prepared(prepared, Some(method));
    let exchanged = session.exchange(&call, deadline);
    match exchanged.result? {
        Reply::Complete => Ok(exchanged.kept_result.unwrap_or_default()),
        Reply::Error(error) => Err(error.into()),
        Reply::ToolError { message } => Err(Trouble::failed(Failure::Tool, message)),
        Reply::InputRequired(_) => Err(Trouble::failed(
            Failure::Protocol(ProtocolFailure::BadResult),
            "a list requires input",
        )),
    }
}
