//! Tests of the marks: the conformance suite's invalid tools, nesting, values.

use serde_json::json;

use super::*;

fn check_invalid(schema: Value, reason: &str) {
    let why = find_param_headers(&schema).expect_err("an invalid mark");
    assert!(why.contains(reason), "{why:?} should contain {reason:?}");
}

/// A look at each pair of them would take a minute.
#[test]
fn thirty_thousand_marks_are_looked_at_once() {
    let mark = |n: usize| {
        let property = json!({"type": "string", "x-mcp-header": format!("H{n}")});
        (format!("p{n}"), property)
    };
    let mut properties: Map<String, Value> = (0..30_000).map(mark).collect();
    let marks = find_param_headers(&json!({"properties": properties}));
    assert_eq!(marks.map(|marks| marks.len()), Ok(30_000));
    properties.insert("last".to_string(), mark(0).1);
    let twice = find_param_headers(&json!({"properties": properties}));
    assert_eq!(twice, Err("x-mcp-header `H0` occurs twice".to_string()));
}

#[test]
fn invalid_marks_exclude_the_tool() {
    let of = |property: Value| json!({"type": "object", "properties": {"value": property}});
    check_invalid(of(json!({"type": "string", "x-mcp-header": ""})), "empty");
    check_invalid(
        of(json!({"type": "string", "x-mcp-header": 7})),
        "not a string",
    );
    for kind in ["object", "array", "null", "number"] {
        check_invalid(
            of(json!({"type": kind, "x-mcp-header": "Data"})),
            "not a string",
        );
    }
    check_invalid(of(json!({"x-mcp-header": "Data"})), "not a string");
    check_invalid(
        of(json!({"type": ["string", "integer"], "x-mcp-header": "Data"})),
        "not a string",
    );
    for name in [
        "My Region",
        "Region:Primary",
        "Région",
        "Region\t1",
        "a\r\nb",
    ] {
        check_invalid(
            of(json!({"type": "string", "x-mcp-header": name})),
            "not a header name",
        );
    }
    for second in ["Region", "rEGION"] {
        check_invalid(
            json!({"properties": {
                "a": {"type": "string", "x-mcp-header": "Region"},
                "b": {"properties": {"c": {"type": "string", "x-mcp-header": second}}},
            }}),
            "twice",
        );
    }
    let mark = json!({"type": "string", "x-mcp-header": "A"});
    for unreachable in [
        mark.clone(),
        json!({"oneOf": [{"properties": {"a": mark}}]}),
        json!({"properties": {"a": {"type": "array", "items": mark}}}),
        json!({"$defs": {"a": mark}}),
        json!({"patternProperties": {"a": mark}}),
        json!({"additionalProperties": mark}),
    ] {
        check_invalid(unreachable, "`properties` alone");
    }
}

#[test]
fn marks_are_found_at_any_depth() {
    let schema = json!({"type": "object", "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "x-mcp-header": {"type": "string"},
        "default": {"type": ["boolean", "null"], "x-mcp-header": "Flag"},
        "query": {"type": "string", "default": {"x-mcp-header": ""}},
        "deep": {"type": "object", "properties": {
            "n": {"type": "integer", "x-mcp-header": "N"}}},
    }});
    let found = find_param_headers(&schema).expect("valid marks");
    let told: Vec<String> = found
        .iter()
        .map(|mark| format!("{} {:?} {}", mark.path.join("."), mark.kind, mark.header))
        .collect();
    assert_eq!(
        told,
        [
            "region Text Region",
            "default Boolean Flag",
            "deep.n Integer N"
        ]
    );
    assert_eq!(find_param_headers(&Value::Null), Ok(Vec::new()));
}

#[test]
fn a_mark_at_the_end_of_a_long_path_excludes_its_tool() {
    let at_the_end_of = |names: &[String]| {
        let marked = json!({"type": "string", "x-mcp-header": "A"});
        let within = |schema: Value, name: &String| json!({"properties": {name: schema}});
        find_param_headers(&names.iter().rev().fold(marked, within)).map(|found| found.len())
    };
    assert_eq!(at_the_end_of(&vec!["x".to_string(); 8]), Ok(1));
    assert!(at_the_end_of(&vec!["x".to_string(); 9]).is_err());
    assert_eq!(at_the_end_of(&["x".repeat(256)]), Ok(1));
    assert_eq!(
        at_the_end_of(&["x".repeat(257)]),
        Err(
            "x-mcp-header `A` is on a property whose path has more than 8 names or 256 bytes"
                .to_string()
        )
    );
}
