//! What became of what was told to other programs while a run went on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One `--out`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExportFigures {
    /// The form and the place, such as `prometheus=run.prom`, without secrets.
    pub to: String,
    /// Times that figures were written or sent.
    pub written: u64,
    /// Seconds that are in the next point, since this one was slow: nothing of them is
    /// lost but the time they were in.
    pub merged: u64,
    /// Times that figures could not be written or sent, or were not before the run's end
    /// was due.
    pub lost: u64,
    /// Why, the last time; `null` where nothing was lost.
    pub last_error: Option<String>,
    /// What a collector said of figures that it took, the last time it said anything; left
    /// out where it said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_remark: Option<String>,
}
