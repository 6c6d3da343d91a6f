//! Tests of the headers that arguments become.

use serde_json::json;

use super::super::lists::read_page;
use super::*;

fn catalog() -> ToolCatalog {
    let page = read_page(
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

fn mirrored_of(tool: &str, arguments: &Value) -> Result<MirroredHeaders, PrepareError> {
    let params = json!({ "arguments": arguments }).to_string();
    let params = crate::template::Scope::new(0).json(&params);
    let mut headers = MirroredHeaders::default();
    catalog().add_headers(tool, &params, &mut headers)?;
    Ok(headers)
}

fn headers(arguments: Value) -> Result<String, PrepareError> {
    let headers = mirrored_of("sql", &arguments)?;
    Ok(headers
        .fixed
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
fn a_slot_becomes_a_header_when_it_is_filled() {
    let arguments = json!({"limit": 1, "other": "{{a}}", "region": "{{b}}-{{{{c}}"});
    let headers = mirrored_of("sql", &arguments).expect("headers");
    assert_eq!(
        headers.fixed,
        [("Mcp-Param-Limit".to_string(), "1".to_string())]
    );
    let [(name, region)] = &headers.of_slots[..] else {
        panic!("one header: {headers:?}");
    };
    assert_eq!(name, "Mcp-Param-Region");
    let mut text = Vec::new();
    region.fill(&["1".to_string(), "\"2\"".to_string()], &mut text);
    assert_eq!(text, br#""2-{{c}}""#);
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
        let Err(PrepareError::ArgumentMismatch { path, .. }) = headers(arguments.clone()) else {
            panic!("{arguments} should not fit");
        };
        assert_eq!(path, expected_path);
    }
}

#[test]
fn excluded_and_unknown_tools() {
    let none = Value::Null;
    assert_eq!(
        mirrored_of("bad", &none),
        Err(PrepareError::ToolExcluded {
            tool: "bad".to_string(),
            why: "x-mcp-header is empty".to_string(),
        })
    );
    for tool in ["sql", "unknown"] {
        assert_eq!(mirrored_of(tool, &none), Ok(MirroredHeaders::default()));
    }
    assert_eq!(catalog().output_schema("sql"), Some(None));
    assert_eq!(catalog().output_schema("unknown"), None);
}
