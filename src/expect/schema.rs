//! Results held against a tool's output schema.

use serde_json::Value;

use super::Unchecked;
use super::path::read_tree;
use crate::json_schema::{OutputSchemaCheck, Unfit};
use crate::protocol::{excerpt, read_fields};

/// The longest `structuredContent` that is judged, in bytes.
const RESULT_BYTES_MAX: usize = 256 * 1024;

/// The most characters of a value that is told.
const SHOWN_CHARS: usize = 100;

/// A tool's output schema, compiled once.
#[derive(Debug)]
pub(super) struct ResultSchema(OutputSchemaCheck);

impl ResultSchema {
    /// # Errors
    /// Why nothing can be held against it.
    pub(super) fn new(text: &str) -> Result<Self, Unchecked> {
        let schema: Value = serde_json::from_str(text).map_err(|_| Unchecked::BadSchema)?;
        let check = OutputSchemaCheck::new(schema).map_err(|unfit| match unfit {
            Unfit::UnknownDialect => Unchecked::UnknownDialect,
            Unfit::Elsewhere => Unchecked::RemoteReference,
            Unfit::Endless => Unchecked::EndlessReference,
            Unfit::Pattern => Unchecked::Pattern,
            Unfit::TooLarge | Unfit::NoSchema => Unchecked::BadSchema,
        })?;
        Ok(Self(check))
    }

    /// What is wrong with a result, if anything is.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub(super) fn judge(&self, result: &str) -> Result<Option<String>, Unchecked> {
        let [content] = read_fields(result, ["structuredContent"]).unwrap_or_default();
        let Some(content) = content else {
            let what = "the tool has an output schema, and its result has no `structuredContent`";
            return Ok(Some(what.to_string()));
        };
        if content.len() > RESULT_BYTES_MAX {
            return Err(Unchecked::LargeResult);
        }
        // It was read as JSON before, and is not larger than a tree may be.
        let content = read_tree(content).map_err(|_| Unchecked::DeepResult)?;
        let violation = self.0.violation(&content).map_err(|unfit| match unfit {
            Unfit::Elsewhere => Unchecked::RemoteReference,
            Unfit::Pattern => Unchecked::Pattern,
            _ => Unchecked::LargeResult,
        })?;
        Ok(violation.map(|violation| {
            let there = content.pointer(&violation.path).map(Value::to_string);
            let there = excerpt(there.unwrap_or_default().as_bytes());
            let there: String = there.chars().take(SHOWN_CHARS).collect();
            let what = excerpt(violation.text().as_bytes());
            format!("`structuredContent` breaks the output schema: {what}; {there} came")
        }))
    }
}
