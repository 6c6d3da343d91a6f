//! The two eras behind one type: what is sent, with which headers, and how the
//! opening exchange is read.
//!
//! `sessions.rs` speaks 2024-11-05 to 2025-11-25, `stateless.rs` 2026-07-28; a
//! new revision goes into one of them, or into a file of its own. Session ids,
//! HTTP and time are not known here.

mod opening;
mod params;
mod sessions;
mod stateless;

use std::sync::Arc;

use serde_json::{Map, Value};

use self::params::version_header;
use super::catalog::ToolCatalog;
use super::fault::ProtocolFault;
use super::operation::{Method, Operation, PrepareError};
use super::request::{Notice, Prepared};
use super::revision::{Era, Revision};
use super::subscription::Topic;
use super::tasks::TaskRequest;
use super::trace::CallExtras;
use crate::template::Scope;

pub use self::opening::{Capabilities, ClientInfo, Discovery, ServerIdentity, Welcome};
pub(super) use self::opening::{best_modern, read_versions};

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

    /// Renders an operation that takes no values.
    ///
    /// # Errors
    /// The operation cannot be asked in this dialect.
    pub fn prepare(
        &self,
        operation: &Operation,
        catalog: &ToolCatalog,
    ) -> Result<Prepared, PrepareError> {
        self.prepare_in(
            operation,
            catalog,
            &mut Scope::new(0),
            CallExtras::default(),
        )
    }

    /// Renders an operation whose texts are canonical templates, with slots of the scope.
    /// It carries the extras; a request whose `_meta` the user words has none but that.
    ///
    /// # Errors
    /// The operation cannot be asked in this dialect.
    pub fn prepare_in(
        &self,
        operation: &Operation,
        catalog: &ToolCatalog,
        scope: &mut Scope,
        extras: CallExtras,
    ) -> Result<Prepared, PrepareError> {
        let revision = self.revision;
        match self.era() {
            Era::Legacy => Ok(sessions::prepare(revision, operation, scope, extras)),
            Era::Modern => {
                let meta = &self.meta_json;
                stateless::prepare(revision, meta, operation, catalog, scope, extras)
            }
        }
    }

    /// Renders a list at a cursor; the first page where there is none. `None`
    /// for a method that is not a list.
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

    /// The same client, whose calls may be answered with tasks.
    ///
    /// # Errors
    /// `NoTasks`: the legacy era has none of this form.
    pub fn declaring_tasks(&self) -> Result<Self, PrepareError> {
        match self.era() {
            Era::Legacy => Err(PrepareError::NoTasks {
                revision: self.revision,
            }),
            Era::Modern => Ok(Self {
                meta_json: stateless::declare_tasks(&self.meta_json).into(),
                ..self.clone()
            }),
        }
    }

    /// Modern: asks something of a task, in a dialect that declares tasks.
    pub fn task_request(&self, request: TaskRequest<'_>, task_id: &str) -> Prepared {
        stateless::task_request(self.revision, &self.meta_json, request, task_id)
    }

    /// Modern: asks to be told of these. `None` where there is nothing to ask for, and in the
    /// legacy era, whose sessions listen on a GET stream.
    pub fn subscribe(&self, topics: &[Topic]) -> Option<Prepared> {
        let is_asked = self.era() == Era::Modern && !topics.is_empty();
        is_asked.then(|| stateless::subscribe(self.revision, &self.meta_json, topics))
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

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
