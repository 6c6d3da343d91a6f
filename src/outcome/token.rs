//! What became of the tokens of a run. Never a token.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens that were fetched for a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
}
