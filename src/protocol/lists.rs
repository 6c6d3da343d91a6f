//! Pages of tools, resources, resource templates and prompts, as typed values.
//!
//! An entry without what it cannot do without (a name, an address) is left out
//! and counted: one broken entry does not hide the others. Texts stay as the
//! server sent them, of any length and with any characters; who shows them
//! must cut and escape.

use std::ops::ControlFlow;

use serde_json::Value;

use super::fault::{FaultKind, ProtocolFault, excerpt};
use super::fields::{Looked, json_text, look_at_elements, read_fields, read_string};
use super::operation::Method;
use super::param_headers::{ParamHeader, find_param_headers};

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries, in the server's order.
    pub items: Vec<T>,
    /// How many entries could not be read.
    pub n_unreadable: usize,
    /// How many entries were looked at; an argument of a prompt counts as one.
    pub n_entries: usize,
    /// Whether there are entries beyond those that may be looked at.
    pub is_cut: bool,
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
    pub input_schema: ToolSchema,
    /// The JSON Schema of its structured results; `None` where there is none,
    /// `null` where it is larger than 1 MiB.
    pub output_schema: Option<ToolSchema>,
    /// Hints about what a call changes.
    pub annotations: ToolAnnotations,
    /// The arguments that become headers in the modern era, or why the tool
    /// must be left out there.
    pub param_headers: Result<Vec<ParamHeader>, String>,
}

/// A JSON Schema as text: as a value it would take some thirty times as much,
/// and of many tools only one is looked at at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolSchema(Box<str>);

impl ToolSchema {
    /// The schema to look into; `null` where it nests deeper than 127 levels. It is
    /// made anew each time.
    pub fn to_value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// A schema of this text.
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Self {
        Self(text.into())
    }

    /// The JSON text as the server sent it.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl From<&Value> for ToolSchema {
    fn from(schema: &Value) -> Self {
        Self(json_text(schema).into())
    }
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

/// A larger schema is not read: as a value it would take some thirty
/// times as much.
const SCHEMA_BYTES_MAX: usize = 1024 * 1024;

/// The most arguments of a prompt; one with more counts as unreadable.
const PROMPT_ARGUMENTS_MAX: usize = 1000;

/// Something that servers list page by page.
pub trait Listable: Sized {
    /// What asks for a page.
    const METHOD: Method;
    /// The member of a result that holds the entries.
    const MEMBER: &'static str;
    /// What one is called, and what several are.
    const NAMES: (&'static str, &'static str);

    /// Reads an entry; `None` where it lacks what it cannot do without.
    fn read(entry: &str) -> Option<Self>;

    /// What tells it from the others of its list.
    fn key(&self) -> &str;

    /// As how many entries it counts.
    fn weight(&self) -> usize {
        1
    }
}

impl Listable for ToolDescription {
    const METHOD: Method = Method::ListTools;
    const MEMBER: &'static str = "tools";
    const NAMES: (&'static str, &'static str) = ("tool", "tools");

    fn key(&self) -> &str {
        &self.name
    }

    fn read(entry: &str) -> Option<Self> {
        let [name, title, description, schema, output_schema, annotations] = read_fields(
            entry,
            [
                "name",
                "title",
                "description",
                "inputSchema",
                "outputSchema",
                "annotations",
            ],
        )?;
        let schema_text = schema.unwrap_or("null");
        let schema: Result<Value, String> = if schema_text.len() > SCHEMA_BYTES_MAX {
            let limit = SCHEMA_BYTES_MAX / 1024 / 1024;
            Err(format!("the input schema is larger than {limit} MiB"))
        } else {
            serde_json::from_str(schema_text)
                .map_err(|_| "the input schema nests too deeply to be read".to_string())
        };
        let param_headers = schema
            .as_ref()
            .map_err(String::clone)
            .and_then(find_param_headers);
        let (annotations, annotated_title) = read_annotations(annotations.unwrap_or("{}"));
        Some(Self {
            name: read_string(name?)?,
            title: text(title).or(annotated_title),
            description: text(description),
            input_schema: ToolSchema(schema.map_or("null", |_| schema_text).into()),
            output_schema: output_schema.map(|text| {
                let is_kept = text.len() <= SCHEMA_BYTES_MAX;
                ToolSchema(if is_kept { text } else { "null" }.into())
            }),
            annotations,
            param_headers,
        })
    }
}

impl Listable for ResourceDescription {
    const METHOD: Method = Method::ListResources;
    const MEMBER: &'static str = "resources";
    const NAMES: (&'static str, &'static str) = ("resource", "resources");

    fn key(&self) -> &str {
        &self.uri
    }

    fn read(entry: &str) -> Option<Self> {
        let [uri, name, description, mime_type] =
            read_fields(entry, ["uri", "name", "description", "mimeType"])?;
        Some(Self {
            uri: read_string(uri?)?,
            name: text(name).unwrap_or_default(),
            description: text(description),
            mime_type: text(mime_type),
        })
    }
}

impl Listable for ResourceTemplateDescription {
    const METHOD: Method = Method::ListResourceTemplates;
    const MEMBER: &'static str = "resourceTemplates";
    const NAMES: (&'static str, &'static str) = ("resource template", "resource templates");

    fn key(&self) -> &str {
        &self.uri_template
    }

    fn read(entry: &str) -> Option<Self> {
        let [uri_template, name, description, mime_type] =
            read_fields(entry, ["uriTemplate", "name", "description", "mimeType"])?;
        Some(Self {
            uri_template: read_string(uri_template?)?,
            name: text(name).unwrap_or_default(),
            description: text(description),
            mime_type: text(mime_type),
        })
    }
}

impl Listable for PromptDescription {
    const METHOD: Method = Method::ListPrompts;
    const MEMBER: &'static str = "prompts";
    const NAMES: (&'static str, &'static str) = ("prompt", "prompts");

    fn key(&self) -> &str {
        &self.name
    }

    fn weight(&self) -> usize {
        1 + self.arguments.len()
    }

    fn read(entry: &str) -> Option<Self> {
        let [name, description, arguments] =
            read_fields(entry, ["name", "description", "arguments"])?;
        let mut described = Vec::new();
        let looked = look_at_elements(
            arguments.unwrap_or("[]"),
            PROMPT_ARGUMENTS_MAX,
            |argument| {
                described.extend(read_prompt_argument(argument));
                ControlFlow::Continue(())
            },
        );
        if looked == Some(Looked::Cut) {
            return None;
        }
        Some(Self {
            name: read_string(name?)?,
            description: text(description),
            arguments: described,
        })
    }
}

/// Reads a page from the text of a result, and of its entries some `n_max` at most.
///
/// # Errors
/// `BadResult` where the result has no list of them.
pub fn read_page<T: Listable>(result: &str, n_max: usize) -> Result<Page<T>, ProtocolFault> {
    let mut page = Page {
        items: Vec::new(),
        n_unreadable: 0,
        n_entries: 0,
        is_cut: false,
        next_cursor: None,
    };
    let mut read = || {
        let [entries, next_cursor] = read_fields(result, [T::MEMBER, "nextCursor"])?;
        let looked = look_at_elements(entries?, n_max, |entry| {
            if page.n_entries >= n_max {
                page.is_cut = true;
                return ControlFlow::Break(());
            }
            match T::read(entry) {
                Some(item) => {
                    page.n_entries += item.weight();
                    page.items.push(item);
                }
                None => {
                    page.n_entries += 1;
                    page.n_unreadable += 1;
                }
            }
            ControlFlow::Continue(())
        })?;
        page.is_cut |= looked == Looked::Cut;
        // An empty cursor means no more pages to some servers.
        page.next_cursor = text(next_cursor).filter(|cursor| !cursor.is_empty());
        Some(())
    };
    match read() {
        Some(()) => Ok(page),
        None => Err(ProtocolFault::new(
            FaultKind::BadResult,
            format!(
                "no list of `{}` in {}",
                T::MEMBER,
                excerpt(result.as_bytes())
            ),
        )),
    }
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

    const N_MAX: usize = 100;

    #[test]
    fn a_page_of_tools() {
        let page = read_page::<ToolDescription>(
            r#"{"tools":[
                {"name":"a","title":"A","description":"does","inputSchema":{"type":"object"},
                 "outputSchema":{"type": "object"},
                 "annotations":{"readOnlyHint":true,"destructiveHint":false,"title":"old"}},
                {"name":"b","annotations":{"title":"old","idempotentHint":"yes"}},
                {"description":"nameless"}, 7, {"name":null}
            ],"nextCursor":"2","ttlMs":5}"#,
            N_MAX,
        )
        .expect("a page");
        assert_eq!(page.items.len(), 2);
        assert_eq!(page.n_unreadable, 3);
        assert_eq!(page.next_cursor.as_deref(), Some("2"));
        let [a, b] = &page.items[..] else {
            panic!("two tools");
        };
        assert_eq!(a.title.as_deref(), Some("A"));
        assert_eq!(a.input_schema.to_value()["type"], "object");
        assert_eq!(
            a.annotations,
            ToolAnnotations {
                read_only: Some(true),
                destructive: Some(false),
                ..ToolAnnotations::default()
            }
        );
        let output = a.output_schema.as_ref().map(ToolSchema::text);
        assert_eq!(output, Some(r#"{"type": "object"}"#));
        assert_eq!(b.output_schema, None);
        assert_eq!(b.title.as_deref(), Some("old"));
        assert_eq!(b.annotations, ToolAnnotations::default());
        assert_eq!(b.param_headers, Ok(Vec::new()));
    }

    #[test]
    fn a_schema_beyond_reason_excludes_its_tool_only() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let long = format!("\"{}\"", "x".repeat(SCHEMA_BYTES_MAX));
        let page = read_page::<ToolDescription>(
            &format!(
                r#"{{"tools":[{{"name":"deep","inputSchema":{deep}}},{{"name":"plain"}},
                {{"name":"output","outputSchema":{deep}}},{{"name":"long","outputSchema":{long}}}]}}"#
            ),
            N_MAX,
        )
        .expect("a page");
        assert!(page.items[0].param_headers.is_err());
        for tool in &page.items[1..] {
            assert!(tool.param_headers.is_ok());
        }
        for tool in &page.items[2..] {
            let schema = tool.output_schema.as_ref().expect("one");
            assert_eq!(schema.to_value(), Value::Null);
        }
    }

    #[test]
    fn of_a_page_a_bounded_number_of_entries_is_read() {
        let page = |list: &str, n: usize, entry: &str| {
            format!(
                r#"{{"{list}":[{}],"nextCursor":"2"}}"#,
                vec![entry; n].join(",")
            )
        };
        let tools = |n: usize| {
            let page = read_page::<ToolDescription>(&page("tools", n, r#"{"name":"a"}"#), N_MAX)
                .expect("a page");
            (page.items.len(), page.n_entries, page.is_cut)
        };
        assert_eq!(tools(100), (100, 100, false));
        assert_eq!(tools(101), (100, 100, true));
        assert_eq!(tools(900_000), (100, 100, true));
        let broken = read_page::<ToolDescription>(&page("tools", 101, "7"), N_MAX).expect("a page");
        assert_eq!((broken.n_unreadable, broken.is_cut), (100, true));

        // What a prompt wants to be given counts as well.
        let prompts = |n: usize, n_arguments: usize| {
            let arguments = vec![r#"{"name":"x"}"#; n_arguments].join(",");
            let prompt = format!(r#"{{"name":"p","arguments":[{arguments}]}}"#);
            let page = read_page::<PromptDescription>(&page("prompts", n, &prompt), N_MAX)
                .expect("a page");
            (
                page.items.len(),
                page.n_unreadable,
                page.n_entries,
                page.is_cut,
            )
        };
        assert_eq!(prompts(10, 9), (10, 0, 100, false));
        assert_eq!(prompts(11, 9), (10, 0, 100, true));
        assert_eq!(prompts(1, 1000), (1, 0, 1001, false));
        assert_eq!(prompts(1, 1001), (0, 1, 1, false));
    }

    #[test]
    fn the_other_lists() {
        let page = read_page::<ResourceDescription>(
            r#"{"resources":[{"uri":"a:b","mimeType":"text/plain"}]}"#,
            N_MAX,
        );
        let resource = &page.expect("a page").items[0];
        assert_eq!((resource.uri.as_str(), resource.name.as_str()), ("a:b", ""));
        assert_eq!(resource.mime_type.as_deref(), Some("text/plain"));

        let page = read_page::<ResourceTemplateDescription>(
            r#"{"resourceTemplates":[{"uriTemplate":"a:{b}","name":"n"}]}"#,
            N_MAX,
        );
        assert_eq!(page.expect("a page").items[0].uri_template, "a:{b}");

        let page = read_page::<PromptDescription>(
            r#"{"prompts":[{"name":"p","arguments":[{"name":"x","required":true},{"name":"y"},{}]}],"nextCursor":""}"#,
            N_MAX,
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
            let fault = read_page::<ToolDescription>(result, N_MAX).expect_err(result);
            assert_eq!(fault.kind(), FaultKind::BadResult);
        }
        assert_eq!(
            read_page::<PromptDescription>("{}", N_MAX)
                .expect_err("no list")
                .to_string(),
            "bad result: no list of `prompts` in {}"
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, entry: String) {
            for result in [text, format!(r#"{{"tools":[{entry}],"prompts":[{entry}]}}"#)] {
                let _any_answer_will_do = read_page::<ToolDescription>(&result, N_MAX);
                let _any_answer_will_do = read_page::<PromptDescription>(&result, N_MAX);
                let _any_answer_will_do = read_page::<ResourceDescription>(&result, N_MAX);
                let _any_answer_will_do = read_page::<ResourceTemplateDescription>(&result, N_MAX);
            }
        }
    }
}
