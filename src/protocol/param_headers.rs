//! The marks of input schemas: which arguments MCP 2026-07-28 mirrors into headers.
//!
//! A tool's input schema marks a property with `x-mcp-header: Name`. A tool with an
//! invalid mark must not be offered at all. No `$ref` is followed and nothing is
//! fetched. What becomes of the marks is in `catalog.rs`.

use std::collections::HashSet;

use crate::text::shown_text;
use serde_json::{Map, Value};

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
            "x-mcp-header `{shown}` is on a property that is not a string, integer or boolean"
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

/// The kind that `type` names. `null` may be beside it: the specification
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

/// Whether a header name may have it: `tchar` of RFC 9110, section 5.6.2.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[path = "param_headers_tests.rs"]
mod tests;
