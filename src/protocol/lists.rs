//! Pages of tools, resources, resource templates and prompts, as typed values.
//!
//! An entry without what it cannot do without (a name, an address) is left out
//! and counted: one broken entry does not hide the others. Texts stay as the
//! server sent them, of any length and with any characters; who shows them
//! must cut and escape.

use serde_json::Value;

use super::fault::{FaultKind, ProtocolFault, excerpt};
use super::fields::{read_elements, read_fields, read_string};
use super::param_headers::{ParamHeader, find_param_headers};

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries, in the server's order.
    pub items: Vec<T>,
    /// How many entries could not be read.
    pub n_unreadable: usize,
    /// The cursor of the next page; `None` after the last one.
    pub next_cursor: Option<String>,
}

/// A tool that the server offers.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolDescription {
    /// The name to call it by.
    pub name: String,
    /// A name for people.
    pub title: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// The JSON Schema of its arguments; `null` where there is none, it
    /// nests deeper than 127 levels, or is larger than 1 MiB.
    pub input_schema: Value,
    /// Hints about what a call changes.
    pub annotations: ToolAnnotations,
    /// The arguments that become headers in the modern era, or why the tool
    /// must be left out there.
    pub param_headers: Result<Vec<ParamHeader>, String>,
}

/// A tool's hints; `None` where the server is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToolAnnotations {
    /// It changes nothing.
    pub read_only: Option<bool>,
    /// It may destroy something.
    pub destructive: Option<bool>,
    /// A second call of the same arguments changes nothing more.
    pub idempotent: Option<bool>,
    /// It reaches beyond the server.
    pub open_world: Option<bool>,
}

/// A resource that the server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceDescription {
    /// The address to read it by.
    pub uri: String,
    /// Its name; empty where the server gives none.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// Its media type.
    pub mime_type: Option<String>,
}

/// A family of resources, by a URI template (RFC 6570).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceTemplateDescription {
    /// The template.
    pub uri_template: String,
    /// Its name; empty where the server gives none.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// The media type of all its resources.
    pub mime_type: Option<String>,
}

/// A prompt that the server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptDescription {
    /// The name to get it by.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it wants to be given.
    pub arguments: Vec<PromptArgument>,
}

/// An argument of a prompt; all are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// What it means.
    pub description: Option<String>,
    /// Whether it must be given.
    pub required: bool,
}

/// A larger input schema is not read: as a value it would take some thirty
/// times as much.
const SCHEMA_BYTES_MAX: usize = 1024 * 1024;

/// Reads the result of `tools/list`.
///
/// # Errors
/// `BadResult` where the result has no list of tools.
pub fn read_tools(result: &str) -> Result<Page<ToolDescription>, ProtocolFault> {
    read_page(result, "tools", read_tool)
}

/// Reads the result of `resources/list`.
///
/// # Errors
/// `BadResult` where the result has no list of resources.
pub fn read_resources(result: &str) -> Result<Page<ResourceDescription>, ProtocolFault> {
    read_page(result, "resources", |entry| {
        let [uri, name, description, mime_type] =
            read_fields(entry, ["uri", "name", "description", "mimeType"])?;
        Some(ResourceDescription {
            uri: read_string(uri?)?,
            name: text(name).unwrap_or_default(),
            description: text(description),
            mime_type: text(mime_type),
        })
    })
}

/// Reads the result of `resources/templates/list`.
///
/// # Errors
/// `BadResult` where the result has no list of templates.
pub fn read_resource_templates(
    result: &str,
) -> Result<Page<ResourceTemplateDescription>, ProtocolFault> {
    read_page(result, "resourceTemplates", |entry| {
        let [uri_template, name, description, mime_type] =
            read_fields(entry, ["uriTemplate", "name", "description", "mimeType"])?;
        Some(ResourceTemplateDescription {
            uri_template: read_string(uri_template?)?,
            name: text(name).unwrap_or_default(),
            description: text(description),
            mime_type: text(mime_type),
        })
    })
}

/// Reads the result of `prompts/list`.
///
/// # Errors
/// `BadResult` where the result has no list of prompts.
pub fn read_prompts(result: &str) -> Result<Page<PromptDescription>, ProtocolFault> {
    read_page(result, "prompts", |entry| {
        let [name, description, arguments] =
            read_fields(entry, ["name", "description", "arguments"])?;
        let arguments = arguments.and_then(read_elements).unwrap_or_default();
        Some(PromptDescription {
            name: read_string(name?)?,
            description: text(description),
            arguments: arguments
                .into_iter()
                .filter_map(read_prompt_argument)
                .collect(),
        })
    })
}

fn read_page<T>(
    result: &str,
    list: &str,
    read_entry: impl Fn(&str) -> Option<T>,
) -> Result<Page<T>, ProtocolFault> {
    let entries = || {
        let [entries, next_cursor] = read_fields(result, [list, "nextCursor"])?;
        Some((read_elements(entries?)?, next_cursor))
    };
    let Some((entries, next_cursor)) = entries() else {
        return Err(ProtocolFault::new(
            FaultKind::BadResult,
            format!("no list of `{list}` in {}", excerpt(result.as_bytes())),
        ));
    };
    let n_entries = entries.len();
    let items: Vec<T> = entries.into_iter().filter_map(read_entry).collect();
    Ok(Page {
        n_unreadable: n_entries - items.len(),
        items,
        // An empty cursor means no more pages to some servers.
        next_cursor: text(next_cursor).filter(|cursor| !cursor.is_empty()),
    })
}

fn read_tool(entry: &str) -> Option<ToolDescription> {
    let [name, title, description, schema, annotations] = read_fields(
        entry,
        ["name", "title", "description", "inputSchema", "annotations"],
    )?;
    let schema = schema.unwrap_or("null");
    let schema: Result<Value, String> = if schema.len() > SCHEMA_BYTES_MAX {
        let limit = SCHEMA_BYTES_MAX / 1024 / 1024;
        Err(format!("the input schema is larger than {limit} MiB"))
    } else {
        serde_json::from_str(schema)
            .map_err(|_| "the input schema nests too deeply to be read".to_string())
    };
    let param_headers = schema
        .as_ref()
        .map_err(String::clone)
        .and_then(find_param_headers);
    let (annotations, annotated_title) = read_annotations(annotations.unwrap_or("{}"));
    Some(ToolDescription {
        name: read_string(name?)?,
        title: text(title).or(annotated_title),
        description: text(description),
        input_schema: schema.unwrap_or_default(),
        annotations,
        param_headers,
    })
}

/// The hints, and the title that older revisions kept among them.
fn read_annotations(annotations: &str) -> (ToolAnnotations, Option<String>) {
    let names = [
        "readOnlyHint",
        "destructiveHint",
        "idempotentHint",
        "openWorldHint",
        "title",
    ];
    let [read_only, destructive, idempotent, open_world, title] =
        read_fields(annotations, names).unwrap_or_default();
    let hint = |json: Option<&str>| json.and_then(|json| json.parse().ok());
    let hints = ToolAnnotations {
        read_only: hint(read_only),
        destructive: hint(destructive),
        idempotent: hint(idempotent),
        open_world: hint(open_world),
    };
    (hints, text(title))
}

fn read_prompt_argument(entry: &str) -> Option<PromptArgument> {
    let [name, description, required] = read_fields(entry, ["name", "description", "required"])?;
    Some(PromptArgument {
        name: read_string(name?)?,
        description: text(description),
        required: required == Some("true"),
    })
}

fn text(json: Option<&str>) -> Option<String> {
    json.and_then(read_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_page_of_tools() {
        let page = read_tools(
            r#"{"tools":[
                {"name":"a","title":"A","description":"does","inputSchema":{"type":"object"},
                 "annotations":{"readOnlyHint":true,"destructiveHint":false,"title":"old"}},
                {"name":"b","annotations":{"title":"old","idempotentHint":"yes"}},
                {"description":"nameless"}, 7, {"name":null}
            ],"nextCursor":"2","ttlMs":5}"#,
        )
        .expect("a page");
        assert_eq!(page.items.len(), 2);
        assert_eq!(page.n_unreadable, 3);
        assert_eq!(page.next_cursor.as_deref(), Some("2"));
        let [a, b] = &page.items[..] else {
            panic!("two tools");
        };
        assert_eq!(a.title.as_deref(), Some("A"));
        assert_eq!(a.input_schema["type"], "object");
        assert_eq!(
            a.annotations,
            ToolAnnotations {
                read_only: Some(true),
                destructive: Some(false),
                ..ToolAnnotations::default()
            }
        );
        assert_eq!(b.title.as_deref(), Some("old"));
        assert_eq!(b.annotations, ToolAnnotations::default());
        assert_eq!(b.param_headers, Ok(Vec::new()));
    }

    #[test]
    fn a_schema_beyond_reason_excludes_its_tool_only() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let page = read_tools(&format!(
            r#"{{"tools":[{{"name":"deep","inputSchema":{deep}}},{{"name":"plain"}}]}}"#
        ))
        .expect("a page");
        assert!(page.items[0].param_headers.is_err());
        assert!(page.items[1].param_headers.is_ok());
    }

    #[test]
    fn the_other_lists() {
        let page = read_resources(r#"{"resources":[{"uri":"a:b","mimeType":"text/plain"}]}"#);
        let resource = &page.expect("a page").items[0];
        assert_eq!((resource.uri.as_str(), resource.name.as_str()), ("a:b", ""));
        assert_eq!(resource.mime_type.as_deref(), Some("text/plain"));

        let page = read_resource_templates(
            r#"{"resourceTemplates":[{"uriTemplate":"a:{b}","name":"n"}]}"#,
        );
        assert_eq!(page.expect("a page").items[0].uri_template, "a:{b}");

        let page = read_prompts(
            r#"{"prompts":[{"name":"p","arguments":[{"name":"x","required":true},{"name":"y"},{}]}],"nextCursor":""}"#,
        )
        .expect("a page");
        let arguments: Vec<(&str, bool)> = page.items[0]
            .arguments
            .iter()
            .map(|argument| (argument.name.as_str(), argument.required))
            .collect();
        assert_eq!(arguments, [("x", true), ("y", false)]);
        assert_eq!(page.next_cursor, None);
    }

    #[test]
    fn a_result_without_its_list_is_bad() {
        for result in [
            "{}",
            "[]",
            r#"{"tools":null}"#,
            r#"{"tools":{}}"#,
            r#"{"Tools":[]}"#,
        ] {
            let fault = read_tools(result).expect_err(result);
            assert_eq!(fault.kind(), FaultKind::BadResult);
        }
        assert_eq!(
            read_prompts("{}").expect_err("no list").to_string(),
            "bad result: no list of `prompts` in {}"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, entry: String) {
            for result in [text, format!(r#"{{"tools":[{entry}],"prompts":[{entry}]}}"#)] {
                let _any_answer_will_do = read_tools(&result);
                let _any_answer_will_do = read_prompts(&result);
                let _any_answer_will_do = read_resources(&result);
                let _any_answer_will_do = read_resource_templates(&result);
            }
        }
    }
}
