//! What is known of tools before they are called: which of their arguments become
//! `Mcp-Param-*` headers in MCP 2026-07-28, and what their results keep to.

use std::collections::HashMap;

use serde_json::Value;

use super::header_value::{encode_header_value, header_value_of_json};
use super::lists::{ToolDescription, ToolSchema};
use super::operation::PrepareError;
use super::param_headers::{ParamHeader, ParamKind};
use crate::template::Template;

/// What is known of tools before they are called: their marks and output schemas.
#[derive(Debug, Clone, Default)]
pub struct ToolCatalog {
    tools: HashMap<String, KnownTool>,
}

#[derive(Debug, Clone)]
struct KnownTool {
    param_headers: Result<Vec<ParamHeader>, String>,
    output_schema: Option<ToolSchema>,
}

impl ToolCatalog {
    /// A catalogue of nothing: calls carry no `Mcp-Param-*` headers, as the
    /// specification wants it of a client that has not listed the tools.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds the tools of a page. A name that occurs again replaces the first.
    pub fn add(&mut self, tools: &[ToolDescription]) {
        for tool in tools {
            let known = KnownTool {
                param_headers: tool.param_headers.clone(),
                output_schema: tool.output_schema.clone(),
            };
            self.tools.insert(tool.name.clone(), known);
        }
    }

    /// The output schema of a tool; `Some(None)`: it has none, `None`: it is not known.
    pub fn output_schema(&self, tool: &str) -> Option<Option<&str>> {
        let tool = self.tools.get(tool)?;
        Some(tool.output_schema.as_ref().map(ToolSchema::text))
    }

    /// Adds the `Mcp-Param-*` headers of a call with these `params`. An argument that
    /// is absent or `null` has no header, nor has any of a tool that is not known.
    ///
    /// # Errors
    /// Why there can be none: the tool is excluded, or an argument is not of
    /// the type that its mark says.
    pub(super) fn add_headers(
        &self,
        tool: &str,
        params: &Template,
        headers: &mut MirroredHeaders,
    ) -> Result<(), PrepareError> {
        let marks = match self.tools.get(tool).map(|tool| &tool.param_headers) {
            None => return Ok(()),
            Some(Ok(marks)) => marks,
            Some(Err(why)) => {
                return Err(PrepareError::ToolExcluded {
                    tool: tool.to_string(),
                    why: why.clone(),
                });
            }
        };
        for mark in marks {
            let path: Vec<String> = std::iter::once("arguments".to_string())
                .chain(mark.path.iter().cloned())
                .collect();
            let Some(argument) = params.member(&path) else {
                continue;
            };
            let name = format!("Mcp-Param-{}", mark.header);
            if argument.slots().next().is_some() {
                headers.of_slots.push((name, argument));
                continue;
            }
            let value: Value = serde_json::from_str(&argument.filled(&[])).unwrap_or_default();
            if value.is_null() {
                continue;
            }
            let text =
                mirrored(&value, mark.kind).ok_or_else(|| PrepareError::ArgumentMismatch {
                    tool: tool.to_string(),
                    path: mark.path.join("."),
                    expected: expected_of(mark.kind),
                })?;
            headers.fixed.push((name, encode_header_value(&text)));
        }
        Ok(())
    }
}

/// The headers of a modern request that repeat parts of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct MirroredHeaders {
    /// Names and values.
    pub(super) fixed: Vec<(String, String)>,
    /// Names, and the parts of the request that are known when it is made.
    pub(super) of_slots: Vec<(String, Template)>,
}

impl MirroredHeaders {
    /// Adds one that repeats a part of the request as it is.
    pub(super) fn push(&mut self, name: String, part: Template) {
        if part.slots().next().is_some() {
            self.of_slots.push((name, part));
        } else {
            let value = header_value_of_json(&part.filled(&[]));
            self.fixed.push((name, value));
        }
    }
}

/// The largest integer that JavaScript holds exactly.
const SAFE_MAX: u64 = (1 << 53) - 1;

fn mirrored(value: &Value, kind: ParamKind) -> Option<String> {
    match (kind, value) {
        (ParamKind::Text, Value::String(text)) => Some(text.clone()),
        (ParamKind::Boolean, Value::Bool(value)) => Some(value.to_string()),
        (ParamKind::Integer, Value::Number(number)) => {
            // `42.0` is an integer to JSON Schema, and `42` on the wire.
            let as_float = || {
                let float = number.as_f64()?;
                (float.fract() == 0.0 && float.abs() <= SAFE_MAX as f64).then_some(float as i64)
            };
            let integer = number.as_i64().or_else(as_float)?;
            (integer.unsigned_abs() <= SAFE_MAX).then(|| integer.to_string())
        }
        _ => None,
    }
}

fn expected_of(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Text => "a string",
        ParamKind::Integer => "an integer within ±(2^53 − 1)",
        ParamKind::Boolean => "a boolean",
    }
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
