//! Tool arguments that MCP 2026-07-28 mirrors into `Mcp-Param-*` headers.
//!
//! A tool's input schema marks a property with `x-mcp-header: Name`. A tool
//! with an invalid mark must not be offered at all. Reads schemas as they
//! stand: no `$ref` is followed, nothing is fetched.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::fault::shown_text;
use super::header_value::encode_header_value;
use super::lists::ToolDescription;

/// The type of a mirrored argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParamKind {
    /// Sent as it is.
    Text,
    /// Sent in decimal; within ±(2^53 − 1).
    Integer,
    /// Sent as `true` or `false`.
    Boolean,
}

/// One mark: which argument becomes which header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamHeader {
    /// Property names from the arguments' root to the value.
    pub path: Vec<String>,
    /// The mark, which is the header's name after `Mcp-Param-`.
    pub header: String,
    /// What the schema says that the value is.
    pub kind: ParamKind,
}

/// Finds the marks of an input schema.
///
/// # Errors
/// Why a mark is invalid: empty, no header token, twice (in any case of
/// letters), on something that is not a string, integer or boolean (`number` is
/// excluded by the specification: its text is not the same everywhere),
/// or not reachable from the root through `properties` alone.
pub(super) fn find_param_headers(schema: &Value) -> Result<Vec<ParamHeader>, String> {
    let mut found: Vec<ParamHeader> = Vec::new();
    visit_schema(schema, Some(&mut Vec::new()), &mut found)?;
    let mut names = HashSet::with_capacity(found.len());
    for mark in &found {
        if !names.insert(mark.header.to_ascii_lowercase()) {
            return Err(format!("x-mcp-header `{}` occurs twice", mark.header));
        }
    }
    Ok(found)
}

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

    /// How many tools it knows, excluded ones among them.
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }

    /// Whether it knows this tool.
    pub fn contains(&self, tool: &str) -> bool {
        self.tools.contains_key(tool)
    }

    /// Why a tool must not be called in the modern era, if so.
    pub fn exclusion(&self, tool: &str) -> Option<&str> {
        self.tools.get(tool)?.as_ref().err().map(String::as_str)
    }

    /// The `Mcp-Param-*` headers of a call. No header stands for an argument
    /// that is absent or `null`, nor for a tool that is not known.
    ///
    /// # Errors
    /// Why there can be none: the tool is excluded, or an argument is not of
    /// the type that its mark says.
    pub(super) fn headers(
        &self,
        tool: &str,
        arguments: Option<&Map<String, Value>>,
    ) -> Result<Vec<(String, String)>, ParamFault> {
        let marks = match self.tools.get(tool) {
            None => return Ok(Vec::new()),
            Some(Ok(marks)) => marks,
            Some(Err(why)) => return Err(ParamFault::Excluded(why.clone())),
        };
        let mut headers = Vec::new();
        for mark in marks {
            let Some(value) = arguments.and_then(|arguments| value_at(arguments, &mark.path))
            else {
                continue;
            };
            let text = text_of(value, mark.kind).ok_or_else(|| ParamFault::Mismatch {
                path: mark.path.join("."),
                expected: expected_of(mark.kind),
            })?;
            headers.push((
                format!("Mcp-Param-{}", mark.header),
                encode_header_value(&text),
            ));
        }
        Ok(headers)
    }
}

/// Why a call cannot carry its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ParamFault {
    Excluded(String),
    Mismatch {
        path: String,
        expected: &'static str,
    },
}

/// The largest integer that JavaScript holds exactly.
const SAFE_MAX: u64 = (1 << 53) - 1;

/// The most names that lead to a mark, and bytes of them: every mark keeps
/// those that lead to it, and many marks may lie at the end of one path.
const PATH_NAMES_MAX: usize = 8;
const PATH_BYTES_MAX: usize = 256;

/// Looks for marks in a schema and all schemas in it. `path` leads here from
/// the root; it is `None` where more than `properties` lies between. The depth
/// is bounded, since `serde_json` builds no deeper value than 128.
fn visit_schema(
    schema: &Value,
    path: Option<&mut Vec<String>>,
    found: &mut Vec<ParamHeader>,
) -> Result<(), String> {
    let members = match schema {
        Value::Object(members) => members,
        Value::Array(schemas) => {
            return schemas
                .iter()
                .try_for_each(|schema| visit_schema(schema, None, found));
        }
        _ => return Ok(()),
    };
    let mut path = path;
    if let Some(mark) = members.get("x-mcp-header") {
        found.push(read_mark(mark, members, path.as_deref())?);
    }
    for (word, value) in members {
        match (word.as_str(), value) {
            // Instance data and names, no schemas.
            ("default" | "const" | "enum" | "examples" | "required" | "x-mcp-header", _) => {}
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    match path.as_deref_mut() {
                        Some(path) => {
                            path.push(name.clone());
                            visit_schema(property, Some(path), found)?;
                            path.pop();
                        }
                        None => visit_schema(property, None, found)?,
                    }
                }
            }
            (
                "$defs" | "definitions" | "dependentSchemas" | "patternProperties" | "dependencies",
                Value::Object(schemas),
            ) => {
                for schema in schemas.values() {
                    visit_schema(schema, None, found)?;
                }
            }
            (_, value) => visit_schema(value, None, found)?,
        }
    }
    Ok(())
}

fn read_mark(
    mark: &Value,
    schema: &Map<String, Value>,
    path: Option<&Vec<String>>,
) -> Result<ParamHeader, String> {
    let Some(header) = mark.as_str() else {
        return Err("x-mcp-header is not a string".to_string());
    };
    if header.is_empty() {
        return Err("x-mcp-header is empty".to_string());
    }
    let shown = shown_text(header, 60);
    if !header.bytes().all(is_token_byte) {
        return Err(format!("x-mcp-header `{shown}` is not a header name"));
    }
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Err(format!(
            "x-mcp-header `{shown}` is not on a property that `properties` alone leads to"
        ));
    };
    let Some(kind) = schema.get("type").and_then(read_kind) else {
        return Err(format!(
            "x-mcp-header `{shown}` is on a property that is no string, integer or boolean"
        ));
    };
    if path.len() > PATH_NAMES_MAX || path.iter().map(String::len).sum::<usize>() > PATH_BYTES_MAX {
        return Err(format!(
            "x-mcp-header `{shown}` is on a property whose path has more than {PATH_NAMES_MAX} names or {PATH_BYTES_MAX} bytes"
        ));
    }
    Ok(ParamHeader {
        path: path.clone(),
        header: header.to_string(),
        kind,
    })
}

/// The kind that `type` names. Beside it `null` may stand: the specification
/// says what a null argument means, so there must be such properties.
fn read_kind(type_word: &Value) -> Option<ParamKind> {
    if let Value::Array(words) = type_word {
        let mut kinds = words.iter().filter(|word| *word != "null");
        return match (kinds.next(), kinds.next()) {
            (Some(only @ Value::String(_)), None) => read_kind(only),
            _ => None,
        };
    }
    match type_word.as_str()? {
        "string" => Some(ParamKind::Text),
        "integer" => Some(ParamKind::Integer),
        "boolean" => Some(ParamKind::Boolean),
        _ => None,
    }
}

/// RFC 9110, section 5.6.2: `tchar`.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

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
#[path = "param_headers_tests.rs"]
mod tests;
