//! What a step asks of a server: an MCP method with its subject.
//!
//! Does not know how an operation looks on the wire: the dialect renders it.

use std::fmt;

use serde_json::{Map, Value};

use super::fields::json_text;
use super::revision::Revision;
use crate::template::{Scope, Template};
use crate::text::named;

named! {
    /// The methods that a load test measures; a key for tables of figures.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Method {
        /// `tools/call`
        CallTool = "tools/call",
        /// `resources/read`
        ReadResource = "resources/read",
        /// `prompts/get`
        GetPrompt = "prompts/get",
        /// `tools/list`
        ListTools = "tools/list",
        /// `resources/list`
        ListResources = "resources/list",
        /// `resources/templates/list`
        ListResourceTemplates = "resources/templates/list",
        /// `prompts/list`
        ListPrompts = "prompts/list",
        /// `ping`, in the legacy era only
        Ping = "ping",
    }
    /// The method as it is on the wire.
    fn as_str
}

impl Method {
    /// Whether a modern server may answer it with `input_required`.
    pub(super) fn may_require_input(self) -> bool {
        matches!(
            self,
            Method::CallTool | Method::ReadResource | Method::GetPrompt
        )
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The arguments of a call, and the text that is sent: numbers keep the digits
/// that they were written with, also those that no machine type holds. Its strings
/// may be templates.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    values: Map<String, Value>,
    json: String,
}

impl Arguments {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// The text is not JSON, nests deeper than 127 levels, or is not an object.
    pub fn read(json: &str) -> Result<Self, serde_json::Error> {
        Ok(Self {
            values: serde_json::from_str(json)?,
            json: json.trim().to_string(),
        })
    }

    /// By name, to look at: numbers beyond 64 bits are the nearest that there is.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// As they are sent, but for what is filled in.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// As they are sent, with slots of the scope.
    pub(super) fn template(&self, scope: &mut Scope) -> Template {
        scope.json(&self.json)
    }

    /// The same without the braces around them.
    pub(super) fn members(&self, scope: &mut Scope) -> Template {
        // An object has both.
        scope.json(&self.json[1..self.json.len() - 1])
    }
}

impl From<Map<String, Value>> for Arguments {
    fn from(values: Map<String, Value>) -> Self {
        Self {
            json: json_text(&values),
            values,
        }
    }
}

/// One call of a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Calls a tool.
    CallTool {
        /// The tool's name.
        name: String,
        /// Its arguments; `None` sends none, which is not the same as `{}`.
        arguments: Option<Arguments>,
    },
    /// Reads a resource.
    ReadResource {
        /// The resource's address.
        uri: String,
    },
    /// Gets a prompt.
    GetPrompt {
        /// The prompt's name.
        name: String,
        /// Its arguments; `None` sends none, which is not the same as `{}`.
        arguments: Option<Arguments>,
    },
    /// Lists tools, first page.
    ListTools,
    /// Lists resources, first page.
    ListResources,
    /// Lists resource templates, first page.
    ListResourceTemplates,
    /// Lists prompts, first page.
    ListPrompts,
    /// Asks for a sign of life; legacy only.
    Ping,
    /// Any request that has an answer, of an extension or a later revision.
    Request {
        /// The method: letters, digits, and a few signs that mean nothing in JSON.
        method: String,
        /// What is sent with it; `None` sends none, which is not the same as `{}`.
        params: Option<Arguments>,
        /// Where in the request the text is that a modern request repeats in its header
        /// `Mcp-Name`, such as `params.name`.
        name_header: Option<String>,
    },
}

/// What the path of a `name_header` begins with.
pub const NAME_ROOT: &str = "params.";

impl Operation {
    /// Its method, where it is one that is measured by name.
    pub fn kind(&self) -> Option<Method> {
        Some(match self {
            Operation::CallTool { .. } => Method::CallTool,
            Operation::ReadResource { .. } => Method::ReadResource,
            Operation::GetPrompt { .. } => Method::GetPrompt,
            Operation::ListTools => Method::ListTools,
            Operation::ListResources => Method::ListResources,
            Operation::ListResourceTemplates => Method::ListResourceTemplates,
            Operation::ListPrompts => Method::ListPrompts,
            Operation::Ping => Method::Ping,
            Operation::Request { method, .. } => {
                let mut known = Method::ALL.into_iter();
                return known.find(|known| known.as_str() == method);
            }
        })
    }

    /// Its method as it is on the wire.
    pub fn method(&self) -> &str {
        match self {
            Operation::Request { method, .. } => method,
            _ => self.kind().map_or("", Method::as_str),
        }
    }

    /// The tool's name, the resource's address or the prompt's name; of any other
    /// request what its `name_header` points to.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Operation::CallTool { name, .. } | Operation::GetPrompt { name, .. } => Some(name),
            Operation::ReadResource { uri } => Some(uri),
            Operation::Request {
                params: Some(params),
                name_header: Some(path),
                ..
            } => {
                let mut names = path.strip_prefix(NAME_ROOT)?.split('.');
                let first = params.values().get(names.next()?)?;
                let found = names.try_fold(first, |value, name| value.get(name));
                found.and_then(Value::as_str)
            }
            _ => None,
        }
    }

    /// What is passed to the tool or the prompt, or sent with any other request, where
    /// anything is.
    pub fn arguments(&self) -> Option<&Arguments> {
        match self {
            Operation::CallTool { arguments, .. } | Operation::GetPrompt { arguments, .. } => {
                arguments.as_ref()
            }
            Operation::Request { params, .. } => params.as_ref(),
            _ => None,
        }
    }

    /// What a person calls it: `tools/call echo`, `tools/list`.
    pub fn label(&self) -> String {
        match self.subject() {
            Some(subject) => format!("{} {subject}", self.method()),
            None => self.method().to_string(),
        }
    }
}

/// Why an operation cannot be asked of a server in this dialect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrepareError {
    /// The revision has no such method (`ping` in the modern era).
    NoSuchMethod {
        /// The method.
        method: Method,
        /// The revision.
        revision: Revision,
    },
    /// The revision has no tasks, or tasks of another form.
    NoTasks {
        /// The revision.
        revision: Revision,
    },
    /// The tool's definition marks arguments for headers in an invalid way:
    /// the specification wants it left out.
    ToolExcluded {
        /// The tool.
        tool: String,
        /// What is invalid.
        why: String,
    },
    /// An argument that must become a header is not of the type that the
    /// tool's schema says.
    ArgumentMismatch {
        /// The tool.
        tool: String,
        /// The argument: property names with dots between.
        path: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrepareError::NoSuchMethod { method, revision } => {
                write!(f, "`{method}` does not exist in MCP {revision}")
            }
            PrepareError::NoTasks { revision } => {
                let other = match revision {
                    Revision::V2025_11_25 => ", whose experimental tasks are of another form",
                    _ => ", which has none",
                };
                write!(
                    f,
                    "`task = true` needs the tasks of MCP {}, and the server speaks \
                     {revision}{other}: leave `task` out, or load a server of that revision",
                    Revision::LATEST_MODERN
                )
            }
            PrepareError::ToolExcluded { tool, why } => {
                write!(f, "the definition of the tool `{tool}` is invalid: {why}")
            }
            PrepareError::ArgumentMismatch {
                tool,
                path,
                expected,
            } => write!(
                f,
                "the argument `{path}` of the tool `{tool}` travels in a header and must be \
                 {expected}"
            ),
        }
    }
}

impl std::error::Error for PrepareError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_name_method_and_subject() {
        let call = Operation::CallTool {
            name: "echo".to_string(),
            arguments: None,
        };
        assert_eq!(call.label(), "tools/call echo");
        assert_eq!(call.subject(), Some("echo"));
        assert_eq!(Operation::ListTools.label(), "tools/list");
        assert_eq!(Operation::ListTools.subject(), None);
        let request = |method: &str, name_header: Option<&str>| Operation::Request {
            method: method.to_string(),
            params: Arguments::read(r#"{"task":{"id":"7"},"n":1}"#).ok(),
            name_header: name_header.map(str::to_string),
        };
        let get = request("tasks/get", Some("params.task.id"));
        assert_eq!(get.label(), "tasks/get 7");
        assert_eq!((get.kind(), get.subject()), (None, Some("7")));
        for no_text in [
            None,
            Some("params.n"),
            Some("params.no.id"),
            Some("task.id"),
        ] {
            assert_eq!(request("tasks/get", no_text).label(), "tasks/get");
        }
        assert_eq!(request("ping", None).kind(), Some(Method::Ping));
    }

    #[test]
    fn arguments_keep_their_digits() {
        let json = r#"{"n": 12345678901234567890123, "f": 1.10, "e": -0.0e1}"#;
        let arguments = Arguments::read(&format!(" {json}\n")).expect("an object");
        assert_eq!(arguments.json(), json);
        assert_eq!(arguments.values()["f"], 1.1);
        for other in ["[]", "1", "{", "", "{} {}"] {
            assert!(Arguments::read(other).is_err(), "{other}");
        }
        let made = Arguments::from(arguments.values().clone());
        assert_eq!(
            made.json(),
            r#"{"n":1.2345678901234568e+22,"f":1.1,"e":-0.0}"#
        );
    }

    #[test]
    fn methods_have_names_of_their_own() {
        let mut names: Vec<&str> = Method::ALL.iter().map(|method| method.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Method::ALL.len());
    }
}
