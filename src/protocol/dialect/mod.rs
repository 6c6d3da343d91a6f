//! The two eras behind one type: what is sent, with which headers, and how the
//! opening exchange is read.
//!
//! `sessions.rs` speaks 2024-11-05 to 2025-11-25, `stateless.rs` 2026-07-28; a
//! new revision goes into one of them, or into a file of its own. Session ids,
//! HTTP and time are not known here.

mod sessions;
pub(super) mod stateless;

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::catalog::{ParamFault, ToolCatalog};
use super::fault::{ProtocolFault, shown_text};
use super::fields::{json_text, read_fields, read_string};
use super::operation::{Method, Operation};
use super::request::{Notice, Prepared};
use super::revision::{Era, Revision};
use super::template::Template;

/// Who we say that we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// The program's name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl ClientInfo {
    /// A client of that name and version.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
        }
    }

    fn to_json(&self) -> String {
        format!(
            r#"{{"name":{},"version":{}}}"#,
            json_text(&self.name),
            json_text(&self.version)
        )
    }
}

/// Who the server says that it is; texts are fit to be shown on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerIdentity {
    /// Its name; empty where it gives none.
    pub name: String,
    /// Its version; empty where it gives none.
    pub version: String,
    /// A name for people.
    pub title: Option<String>,
}

/// What the server says that it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Tools.
    pub tools: bool,
    /// Resources.
    pub resources: bool,
    /// Prompts.
    pub prompts: bool,
    /// Completion of arguments.
    pub completions: bool,
    /// Log messages.
    pub logging: bool,
}

/// What a legacy server says to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The revision to speak from now on: the server's choice.
    pub revision: Revision,
    /// Who it is.
    pub server: Option<ServerIdentity>,
    /// What it offers.
    pub capabilities: Capabilities,
    /// How to use it, in its own words, as they came.
    pub instructions: Option<String>,
}

/// What a modern server says to `server/discover`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The revisions that both sides speak, legacy ones among them.
    pub supported: Vec<Revision>,
    /// Those that we do not speak, each cut and fit to be shown.
    pub unknown_supported: Vec<String>,
    /// Who it is.
    pub server: Option<ServerIdentity>,
    /// What it offers.
    pub capabilities: Capabilities,
    /// How to use it, in its own words, as they came.
    pub instructions: Option<String>,
}

impl Discovery {
    /// The latest modern revision that both sides speak.
    pub fn best(&self) -> Option<Revision> {
        best_modern(&self.supported)
    }
}

/// The latest modern revision among some.
pub(super) fn best_modern(revisions: &[Revision]) -> Option<Revision> {
    revisions
        .iter()
        .copied()
        .filter(|revision| revision.era() == Era::Modern)
        .max()
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

/// How one revision is spoken. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Dialect {
    revision: Revision,
    client: Arc<ClientInfo>,
    /// `_meta` of every modern request, as JSON.
    meta_json: Arc<str>,
}

impl Dialect {
    /// The dialect of a revision.
    pub fn new(revision: Revision, client: ClientInfo) -> Self {
        Self::with_meta(revision, client, &Map::new())
    }

    /// The same with more entries in the `_meta` of every modern request
    /// (`traceparent`, …). Our own entries win over entries of their names.
    pub fn with_meta(revision: Revision, client: ClientInfo, extra: &Map<String, Value>) -> Self {
        let meta_json = stateless::render_meta(revision, &client, extra);
        Self {
            revision,
            client: Arc::new(client),
            meta_json: meta_json.into(),
        }
    }

    /// The same client in another revision.
    #[must_use]
    pub fn in_revision(&self, revision: Revision) -> Self {
        Self::new(revision, ClientInfo::clone(&self.client))
    }

    /// The revision that it speaks.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The family of that revision.
    pub fn era(&self) -> Era {
        self.revision.era()
    }

    /// Whether there is a handshake, and perhaps a session with an id.
    pub fn has_session(&self) -> bool {
        self.era() == Era::Legacy
    }

    /// The headers of an exchange that carries no message of ours: the GET and
    /// DELETE of the legacy era.
    pub fn bare_headers(&self) -> Vec<(String, String)> {
        vec![version_header(self.revision)]
    }

    /// Renders an operation.
    ///
    /// # Errors
    /// The operation cannot be asked in this dialect.
    pub fn prepare(
        &self,
        operation: &Operation,
        catalog: &ToolCatalog,
    ) -> Result<Prepared, PrepareError> {
        match self.era() {
            Era::Legacy => Ok(sessions::prepare(self.revision, operation)),
            Era::Modern => stateless::prepare(self.revision, &self.meta_json, operation, catalog),
        }
    }

    /// Renders a list at a cursor; the first page where there is none. `None`
    /// for a method that is no list.
    pub fn list(&self, method: Method, cursor: Option<&str>) -> Option<Prepared> {
        let is_list = matches!(
            method,
            Method::ListTools
                | Method::ListResources
                | Method::ListResourceTemplates
                | Method::ListPrompts
        );
        is_list.then(|| match self.era() {
            Era::Legacy => sessions::list(self.revision, method, cursor),
            Era::Modern => stateless::list(self.revision, &self.meta_json, method, cursor),
        })
    }

    /// Legacy: the opening request, which offers this revision (from a modern
    /// dialect, the latest legacy one). Carries no version header: nothing is
    /// negotiated yet.
    pub fn initialize(&self) -> Prepared {
        let offered = match self.era() {
            Era::Legacy => self.revision,
            Era::Modern => Revision::LATEST_LEGACY,
        };
        sessions::initialize(offered, &self.client)
    }

    /// Legacy: the notification after a welcome, in the negotiated revision.
    pub fn initialized(&self) -> Notice {
        sessions::initialized(self.revision)
    }

    /// Legacy: gives up on a request (never on `initialize`). In the modern
    /// era there is none: closing the stream is the cancellation.
    pub fn cancelled(&self, id: u64, reason: &str) -> Option<Notice> {
        self.has_session()
            .then(|| sessions::cancelled(self.revision, id, reason))
    }

    /// Legacy: reads the result of `initialize`.
    ///
    /// # Errors
    /// `UnknownRevision` where the server chose one that we do not speak,
    /// `OtherEra` where it has no `initialize`, `BadResult` where it chose none.
    pub fn read_initialize(result: &str) -> Result<Welcome, ProtocolFault> {
        sessions::read_initialize(result)
    }

    /// Modern: asks what the server speaks and offers (from a legacy dialect,
    /// in the latest modern revision).
    pub fn discover(&self) -> Prepared {
        if self.has_session() {
            let modern = Revision::LATEST_MODERN;
            let meta_json = stateless::render_meta(modern, &self.client, &Map::new());
            return stateless::discover(modern, &meta_json);
        }
        stateless::discover(self.revision, &self.meta_json)
    }

    /// Modern: reads the result of `server/discover`.
    ///
    /// # Errors
    /// `BadResult` where it has no `supportedVersions`.
    pub fn read_discover(result: &str) -> Result<Discovery, ProtocolFault> {
        stateless::read_discover(result)
    }
}

fn version_header(revision: Revision) -> (String, String) {
    (
        "MCP-Protocol-Version".to_string(),
        revision.as_str().to_string(),
    )
}

/// `name`, `arguments` or `uri`: the members of an operation's params, without
/// braces; empty where it has none. Absent arguments are absent, not null.
fn render_members(operation: &Operation) -> Template {
    match operation {
        Operation::CallTool { name, arguments } | Operation::GetPrompt { name, arguments } => {
            let mut members = Template::from(format!(r#""name":{}"#, json_text(name)).as_str());
            if let Some(arguments) = arguments {
                members.push_str(r#","arguments":"#);
                members.push(&arguments.template());
            }
            members
        }
        Operation::ReadResource { uri } => format!(r#""uri":{}"#, json_text(uri)).as_str().into(),
        _ => Template::default(),
    }
}

fn render_cursor(cursor: Option<&str>) -> Template {
    cursor.map_or_else(Template::default, |cursor| {
        format!(r#""cursor":{}"#, json_text(cursor)).as_str().into()
    })
}

fn read_identity(json: &str) -> Option<ServerIdentity> {
    /// The most characters of a server's name, version or title.
    const TEXT_MAX: usize = 120;
    let [name, version, title] = read_fields(json, ["name", "version", "title"])?;
    let text = |json: Option<&str>| Some(shown_text(&read_string(json?)?, TEXT_MAX));
    Some(ServerIdentity {
        name: text(name).unwrap_or_default(),
        version: text(version).unwrap_or_default(),
        title: text(title),
    })
}

fn read_capabilities(json: Option<&str>) -> Capabilities {
    let names = ["tools", "resources", "prompts", "completions", "logging"];
    let [tools, resources, prompts, completions, logging] = json
        .and_then(|json| read_fields(json, names))
        .unwrap_or_default();
    let is_offered = |json: Option<&str>| json.is_some_and(|json| json != "false");
    Capabilities {
        tools: is_offered(tools),
        resources: is_offered(resources),
        prompts: is_offered(prompts),
        completions: is_offered(completions),
        logging: is_offered(logging),
    }
}

fn param_error(tool: &str, fault: ParamFault) -> PrepareError {
    let tool = tool.to_string();
    match fault {
        ParamFault::Excluded(why) => PrepareError::ToolExcluded { tool, why },
        ParamFault::Mismatch { path, expected } => PrepareError::ArgumentMismatch {
            tool,
            path,
            expected,
        },
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
