//! Tests of the marks: the conformance suite's invalid tools, nesting, values.

use serde_json::json;

use super::*;

fn check_invalid(schema: Value, reason: &str) {
    let why = find_param_headers(&schema).expect_err("an invalid mark");
    assert!(why.contains(reason), "{why:?} should contain {reason:?}");
}

/// A look at each pair of them would take minutes.
#[test]
fn a_hundred_thousand_marks_are_looked_at_once() {
    let mark = |n: usize| {
        let property = json!({"type": "string", "x-mcp-header": format!("H{n}")});
        (format!("p{n}"), property)
    };
    let mut properties: Map<String, Value> = (0..100_000).map(mark).collect();
    let marks = find_param_headers(&json!({"properties": properties}));
    assert_eq!(marks.map(|marks| marks.len()), Ok(100_000));
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
            "no string",
        );
    }
    check_invalid(of(json!({"x-mcp-header": "Data"})), "no string");
    check_invalid(
        of(json!({"type": ["string", "integer"], "x-mcp-header": "Data"})),
        "no string",
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

fn catalog() -> ToolCatalog {
    let page = super::super::lists::read_tools(
        &json!({"tools": [
            {"name": "sql", "inputSchema": {"properties": {
                "region": {"type": "string", "x-mcp-header": "Region"},
                "limit": {"type": "integer", "x-mcp-header": "Limit"},
                "dry": {"type": "boolean", "x-mcp-header": "Dry"},
                "deep": {"properties": {"id": {"type": "string", "x-mcp-header": "Id"}}}}}},
            {"name": "bad", "inputSchema": {"properties": {
                "a": {"type": "string", "x-mcp-header": ""}}}},
        ]})
        .to_string(),
        10,
    )
    .expect("a page of tools");
    let mut catalog = ToolCatalog::empty();
    catalog.add(&page.items);
    catalog
}

fn headers(arguments: Value) -> Result<String, ParamFault> {
    let headers = catalog().headers("sql", arguments.as_object())?;
    Ok(headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect())
}

#[test]
fn arguments_become_headers() {
    assert_eq!(
        headers(json!({"region": "us-west1", "limit": -7, "dry": false,
            "deep": {"id": " é"}, "other": 1})),
        Ok("Mcp-Param-Region: us-west1\nMcp-Param-Limit: -7\n\
            Mcp-Param-Dry: false\nMcp-Param-Id: =?base64?IMOp?=\n"
            .to_string())
    );
    assert_eq!(
        headers(json!({"limit": 42.0})),
        Ok("Mcp-Param-Limit: 42\n".to_string())
    );
    assert_eq!(
        headers(json!({"region": null, "deep": {}})),
        Ok(String::new())
    );
    assert_eq!(headers(json!({"deep": "text"})), Ok(String::new()));
    assert_eq!(headers(Value::Null), Ok(String::new()));
}

#[test]
fn arguments_of_another_type_are_refused() {
    for (arguments, expected_path) in [
        (json!({"region": 1}), "region"),
        (json!({"limit": "1"}), "limit"),
        (json!({"limit": 1.5}), "limit"),
        (json!({"limit": 9_007_199_254_740_992_u64}), "limit"),
        (json!({"limit": u64::MAX}), "limit"),
        (json!({"limit": i64::MIN}), "limit"),
        (json!({"dry": "true"}), "dry"),
        (json!({"deep": {"id": []}}), "deep.id"),
    ] {
        let Err(ParamFault::Mismatch { path, .. }) = headers(arguments.clone()) else {
            panic!("{arguments} should not fit");
        };
        assert_eq!(path, expected_path);
    }
}

#[test]
fn excluded_and_unknown_tools() {
    let catalog = catalog();
    assert_eq!(catalog.len(), 2);
    assert_eq!(catalog.exclusion("bad"), Some("x-mcp-header is empty"));
    assert_eq!(catalog.exclusion("sql"), None);
    assert!(matches!(
        catalog.headers("bad", None),
        Err(ParamFault::Excluded(_))
    ));
    assert_eq!(catalog.headers("unknown", None), Ok(Vec::new()));
    assert!(!catalog.contains("unknown"));
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
