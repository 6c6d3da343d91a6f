//! Whether a server offers sessions a stream to listen on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a server answered when it was asked for a listening stream before the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamOffer {
    /// An event stream began: each session of the load asks for one.
    pub offered: bool,
    /// The status of another answer; `null` where a stream began, or nothing came in time.
    pub status: Option<u16>,
    /// What another answer, or none, was; `null` where a stream began.
    pub why: Option<String>,
}

impl StreamOffer {
    /// A stream began.
    pub fn accepted() -> Self {
        Self {
            offered: true,
            status: None,
            why: None,
        }
    }

    /// As the end of a line on the server: `, 2 connections a user (GET stream held)`,
    /// `, no GET stream (status 405)`.
    pub fn in_words(&self) -> String {
        match (self.offered, self.status) {
            (true, _) => ", 2 connections a user (GET stream held)".to_string(),
            (false, Some(status)) => format!(", no GET stream (status {status})"),
            (false, None) => ", no GET stream (no answer)".to_string(),
        }
    }
}
