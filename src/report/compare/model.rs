//! The JSON report of a comparison: public, versioned.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::ComparisonOutcome;
use crate::redact::own;

/// The report of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ComparisonReport {
    /// The version of the form.
    #[serde(serialize_with = "own")]
    pub schema_version: String,
    /// `comparison`, to tell it from a run's.
    pub kind: String,
    /// When it was made, RFC 3339, UTC.
    #[serde(serialize_with = "own")]
    pub timestamp: String,
    /// The result in words.
    pub answer: String,
    /// Whether what is worse is told only, and does not fail (`--warn`).
    pub warn_only: bool,
    /// Whether not enough data fails (`--fail-on-unclear`).
    pub fail_on_unclear: bool,
    /// What speaks against comparing these runs: told, or overruled by `--force`.
    pub objections: Vec<String>,
    /// What was compared, and what came of it.
    pub comparison: ComparisonOutcome,
    /// This program's version.
    pub version: String,
    /// The command line, without secrets.
    pub command_line: Vec<String>,
}
