//! What became of the tokens of a run. Never a token.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens that were fetched for a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenFigures {
    /// Where they came from.
    pub about: String,
    /// How many there are at a time: one for all users, or several that share them out.
    /// Absent in older reports.
    #[serde(default)]
    pub holders: u64,
    /// How many came, those before the load too.
    pub fetched: u64,
    /// How many the server refused before another had come.
    pub refused: u64,
    /// How many had ended by their own word when they came. Absent in older reports.
    #[serde(default)]
    pub expired: u64,
    /// How often none could be had.
    pub failed: u64,
    /// Why none could be had, the last time.
    pub last_failure: Option<String>,
    /// Waits of users for another token after the server had refused theirs, by the time
    /// that they took or until the run was over. Those of the warm-up too. Absent in older
    /// reports.
    #[serde(default)]
    pub waits: u64,
    /// How long they took, of all users together, in seconds. Absent in older reports.
    #[serde(default)]
    pub waited_secs: f64,
    /// Of the time of all users, 0 to 1; `null` where there was no time. Absent in older
    /// reports.
    #[serde(default)]
    pub waited_share: Option<f64>,
}
