//! What the two sides say of themselves when they meet: who they are, what they
//! offer, which revisions they speak.

use std::ops::ControlFlow;

use super::super::fields::{json_text, look_at_elements, read_fields, read_string};
use super::super::revision::{Era, Revision};
use crate::text::shown_text;

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

    pub(super) fn to_json(&self) -> String {
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
pub(in crate::protocol) fn best_modern(revisions: &[Revision]) -> Option<Revision> {
    revisions
        .iter()
        .copied()
        .filter(|revision| revision.era() == Era::Modern)
        .max()
}

/// Splits a JSON list of revisions into those that we speak and the others.
pub(in crate::protocol) fn read_versions(json: &str) -> Option<(Vec<Revision>, Vec<String>)> {
    /// The most characters and entries of foreign revisions that are kept.
    const TEXT_MAX: usize = 40;
    const UNKNOWN_MAX: usize = 20;
    /// The most entries that are looked at.
    const VERSIONS_MAX: usize = 10_000;
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    look_at_elements(json, VERSIONS_MAX, |version| {
        if let Some(version) = read_string(version) {
            match Revision::parse(&version) {
                Some(revision) if !known.contains(&revision) => known.push(revision),
                Some(_) => {}
                None if unknown.len() < UNKNOWN_MAX => unknown.push(shown_text(&version, TEXT_MAX)),
                None => {}
            }
        }
        ControlFlow::Continue(())
    })?;
    Some((known, unknown))
}

pub(super) fn read_identity(json: &str) -> Option<ServerIdentity> {
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

pub(super) fn read_capabilities(json: Option<&str>) -> Capabilities {
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
