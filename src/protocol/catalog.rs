//! What is known of tools before they are called: which of their arguments become
//! `Mcp-Param-*` headers in MCP 2026-07-28.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::header_value::encode_header_value;
use super::lists::ToolDescription;
use super::operation::{Arguments, PrepareError};
use super::param_headers::{ParamHeader, ParamKind};

/// What is known of tools before they are called: their marks.
#[derive(Debug, Clone, Default)]
pub struct ToolCatalog {
    tools: HashMap<String, Result<Vec<ParamHeader>, String>>,
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
            self.tools
                .insert(tool.name.clone(), tool.param_headers.clone());
        }
    }

    /// The `Mcp-Param-*` headers of a call. An argument that is absent or `null`
    /// has no header, nor has any of a tool that is not known.
    ///
    /// # Errors
    /// Why there can be none: the tool is excluded, or an argument is not of
    /// the type that its mark says.
    pub(super) fn headers(
        &self,
        tool: &str,
        arguments: Option<&Arguments>,
    ) -> Result<ParamHeaders, PrepareError> {
        let mut headers = ParamHeaders::default();
        let (marks, arguments) = match (self.tools.get(tool), arguments) {
            (Some(Err(why)), _) => {
                return Err(PrepareError::ToolExcluded {
                    tool: tool.to_string(),
                    why: why.clone(),
                });
            }
            (None, _) | (_, None) => return Ok(headers),
            (Some(Ok(marks)), Some(arguments)) => (marks, arguments),
        };
        for mark in marks {
            let name = || format!("Mcp-Param-{}", mark.header);
            let slots = arguments.slots();
            if let Some(slot) = slots.iter().find(|slot| mark.path == [slot.name.as_str()]) {
                headers.of_slots.push((name(), slot.value));
                continue;
            }
            let Some(value) = value_at(arguments.values(), &mark.path) else {
                continue;
            };
            let text = text_of(value, mark.kind).ok_or_else(|| PrepareError::ArgumentMismatch {
                tool: tool.to_string(),
                path: mark.path.join("."),
                expected: expected_of(mark.kind),
            })?;
            headers.fixed.push((name(), encode_header_value(&text)));
        }
        Ok(headers)
    }
}

/// The `Mcp-Param-*` headers of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ParamHeaders {
    /// Names and values.
    pub(super) fixed: Vec<(String, String)>,
    /// Names, and which of the values in the slots of the arguments they mirror.
    pub(super) of_slots: Vec<(String, usize)>,
}

/// The largest integer that JavaScript holds exactly.
const SAFE_MAX: u64 = (1 << 53) - 1;

fn value_at<'a>(arguments: &'a Map<String, Value>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(arguments.get(first)?, |value, name| value.get(name))
        .filter(|value| !value.is_null())
}

fn text_of(value: &Value, kind: ParamKind) -> Option<String> {
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
