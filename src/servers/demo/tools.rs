//! The tools: what each says of itself, and what it does.
//!
//! Together they hold what a client has to cope with: nested objects, arrays,
//! formats and constants in a schema, a tool that destroys, one that always
//! fails, one that takes its time, one whose arguments travel in headers too,
//! and one that asks back. All are deterministic. It knows neither HTTP nor the
//! eras' envelopes.

use std::time::Duration;

use serde_json::{Value, json};

use super::schema;

/// A tool of the server.
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// The entry of `tools/list`.
    pub(super) definition: Value,
    /// Properties that are repeated in a header: property, and what follows
    /// `Mcp-Param-`.
    pub(super) param_headers: Vec<(String, String)>,
    run: fn(&Value) -> Outcome,
}

/// What became of a tool's call.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    Text(String),
    /// The text, and the same as data.
    Data(String, Value),
    /// `isError`, with the reason.
    Failed(String),
    /// The text, after so long.
    Later(Duration, String),
    /// Needs an answer to an elicitation before it can say this.
    Asks(Question),
}

/// What a tool asks back.
#[derive(Debug, PartialEq)]
pub(super) struct Question {
    /// The name of the question among the call's input requests.
    pub(super) key: &'static str,
    pub(super) message: String,
    /// The schema of the answer.
    pub(super) schema: Value,
    /// The text for an answer that the schema accepts, up to the chosen value.
    pub(super) then: String,
}

impl Tool {
    /// Runs the tool, or says what is wrong with the arguments.
    pub(super) fn call(&self, arguments: &Value) -> Outcome {
        match schema::fault(&self.definition["inputSchema"], arguments) {
            Some(fault) => Outcome::Failed(format!("bad arguments: {fault}")),
            None => (self.run)(arguments),
        }
    }
}

/// All tools, in the order of `tools/list`.
pub(super) fn all() -> Vec<Tool> {
    let read_only = json!({"readOnlyHint": true, "openWorldHint": false});
    vec![
        tool(
            "echo",
            "Gives back the text",
            &read_only,
            json!({
                "type": "object",
                "properties": {"text": {"type": "string", "description": "what to give back"}},
                "required": ["text"]
            }),
            echo,
        ),
        with_output(
            tool(
                "add",
                "Adds two numbers",
                &read_only,
                json!({
                    "type": "object",
                    "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
                    "required": ["a", "b"]
                }),
                add,
            ),
            json!({
                "type": "object",
                "properties": {"sum": {"type": "number"}},
                "required": ["sum"]
            }),
        ),
        tool(
            "search",
            "Searches the archive; the answer is some kilobytes long",
            &read_only,
            json!({
                "type": "object",
                "properties": {
                    "query": {"type": "string", "minLength": 1, "examples": ["meeting"]},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 10},
                    "kind": {"type": "string", "enum": ["notes", "files", "people"]}
                },
                "required": ["query", "kind"]
            }),
            search,
        ),
        tool(
            "slow",
            "Answers after so many milliseconds, on top of the server's latency",
            &read_only,
            json!({
                "type": "object",
                "properties": {
                    "ms": {"type": "integer", "minimum": 0, "maximum": 60_000, "default": 100}
                }
            }),
            slow,
        ),
        tool(
            "book_meeting",
            "Books a meeting",
            &json!({"readOnlyHint": false, "destructiveHint": false, "idempotentHint": true}),
            json!({
                "type": "object",
                "properties": {
                    "version": {"const": 1},
                    "title": {"type": "string", "minLength": 3},
                    "starts_at": {"type": "string", "format": "date-time"},
                    "organizer": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "email": {"type": "string", "format": "email"}
                        },
                        "required": ["name", "email"],
                        "additionalProperties": false
                    },
                    "attendees": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "email": {"type": "string", "format": "email"},
                                "optional": {"type": "boolean", "default": false}
                            },
                            "required": ["email"]
                        },
                        "minItems": 1,
                        "maxItems": 20
                    }
                },
                "required": ["version", "title", "starts_at", "organizer", "attendees"],
                "additionalProperties": false
            }),
            book_meeting,
        ),
        tool(
            "delete_note",
            "Deletes a note for good (there are none: nothing happens)",
            &json!({"readOnlyHint": false, "destructiveHint": true, "idempotentHint": true}),
            json!({
                "type": "object",
                "properties": {"id": {"type": "integer", "minimum": 1}},
                "required": ["id"]
            }),
            |arguments| Outcome::Text(format!("deleted note {}", arguments["id"])),
        ),
        tool(
            "region_report",
            "Reports on a region, which a proxy may route by",
            &read_only,
            json!({
                "type": "object",
                "properties": {
                    "region": {"type": "string", "x-mcp-header": "Region", "examples": ["eu-west"]},
                    "days": {
                        "type": "integer", "minimum": 1, "maximum": 365,
                        "x-mcp-header": "Days"
                    },
                    "detailed": {"type": "boolean", "x-mcp-header": "Detailed"}
                },
                "required": ["region"]
            }),
            region_report,
        ),
        tool(
            "order_coffee",
            "Orders a drink, and asks for its size where the client can be asked",
            &json!({"readOnlyHint": false, "destructiveHint": false}),
            json!({
                "type": "object",
                "properties": {
                    "drink": {"type": "string", "enum": ["espresso", "latte", "tea"]}
                },
                "required": ["drink"]
            }),
            order_coffee,
        ),
        tool(
            "fail",
            "Always fails",
            &read_only,
            json!({"type": "object", "properties": {}}),
            |_| Outcome::Failed("this tool always fails".to_string()),
        ),
    ]
}

fn tool(
    name: &'static str,
    description: &str,
    annotations: &Value,
    input_schema: Value,
    run: fn(&Value) -> Outcome,
) -> Tool {
    let param_headers = input_schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(property, schema)| {
            let token = schema.get("x-mcp-header")?.as_str()?;
            Some((property.clone(), token.to_string()))
        })
        .collect();
    let definition = json!({
        "name": name,
        "description": description,
        "inputSchema": input_schema,
        "annotations": annotations,
    });
    Tool {
        name,
        definition,
        param_headers,
        run,
    }
}

fn with_output(mut tool: Tool, output_schema: Value) -> Tool {
    tool.definition["outputSchema"] = output_schema;
    tool
}

fn echo(arguments: &Value) -> Outcome {
    Outcome::Text(text_of(arguments, "text").to_string())
}

fn add(arguments: &Value) -> Outcome {
    let (a, b) = (&arguments["a"], &arguments["b"]);
    let whole = match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.checked_add(b).map(Value::from),
        _ => None,
    };
    let sum = whole.or_else(|| {
        let sum = a.as_f64()? + b.as_f64()?;
        serde_json::Number::from_f64(sum).map(Value::Number)
    });
    match sum {
        Some(sum) => Outcome::Data(sum.to_string(), json!({"sum": sum})),
        None => Outcome::Failed("the sum is too large".to_string()),
    }
}

fn search(arguments: &Value) -> Outcome {
    let query = text_of(arguments, "query");
    let kind = text_of(arguments, "kind");
    // The schema bounds it; 10 is its default.
    let limit = arguments["limit"].as_f64().map_or(10, |limit| limit as u64);
    let mut found = format!("{limit} {kind} found for \"{query}\"\n");
    for i in 1..=limit {
        found.push_str(&format!(
            "{i}. {kind}/{:04}: {query}, as it stands in the archive of the demo server, \
             which holds the same {kind} for everyone and in the same order every time\n",
            i * 37 % 1000
        ));
    }
    Outcome::Text(found)
}

fn slow(arguments: &Value) -> Outcome {
    let ms = arguments["ms"].as_f64().map_or(100, |ms| ms as u64);
    Outcome::Later(Duration::from_millis(ms), format!("waited {ms} ms"))
}

fn book_meeting(arguments: &Value) -> Outcome {
    let n_attendees = arguments["attendees"].as_array().map_or(0, Vec::len);
    Outcome::Text(format!(
        "booked \"{}\" at {} for {} and {n_attendees} more",
        text_of(arguments, "title"),
        text_of(arguments, "starts_at"),
        text_of(&arguments["organizer"], "name"),
    ))
}

fn region_report(arguments: &Value) -> Outcome {
    let days = arguments["days"].as_f64().map_or(7, |days| days as u64);
    let is_detailed = arguments["detailed"] == true;
    let detail = if is_detailed { " in detail" } else { "" };
    let region = text_of(arguments, "region");
    Outcome::Text(format!(
        "the last {days} days of {region}{detail}: all well"
    ))
}

fn order_coffee(arguments: &Value) -> Outcome {
    let drink = text_of(arguments, "drink");
    Outcome::Asks(Question {
        key: "size",
        message: format!("Which size of {drink}?"),
        schema: json!({
            "type": "object",
            "properties": {
                "size": {
                    "type": "string",
                    "enum": ["small", "medium", "large"],
                    "default": "medium"
                }
            },
            "required": ["size"]
        }),
        then: format!("ordered: {drink}"),
    })
}

fn text_of<'a>(arguments: &'a Value, name: &str) -> &'a str {
    arguments[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, arguments: Value) -> Outcome {
        let tools = all();
        let tool = tools.iter().find(|tool| tool.name == name);
        tool.expect("a tool of that name").call(&arguments)
    }

    #[test]
    fn tools_do_what_they_say() {
        let check = |name: &str, arguments: Value, expected: &str| {
            assert_eq!(call(name, arguments), Outcome::Text(expected.to_string()));
        };
        check("echo", json!({"text": "å\n"}), "å\n");
        check("delete_note", json!({"id": 7}), "deleted note 7");
        check(
            "book_meeting",
            json!({
                "version": 1, "title": "plan", "starts_at": "2026-11-23T12:00:00Z",
                "organizer": {"name": "Ada", "email": "ada@example.com"},
                "attendees": [{"email": "bob@example.com"}]
            }),
            "booked \"plan\" at 2026-11-23T12:00:00Z for Ada and 1 more",
        );
        check(
            "region_report",
            json!({"region": "eu", "detailed": true}),
            "the last 7 days of eu in detail: all well",
        );
        assert_eq!(
            call("add", json!({"a": 1, "b": 2})),
            Outcome::Data("3".to_string(), json!({"sum": 3}))
        );
        assert_eq!(
            call("add", json!({"a": 0.5, "b": 2})),
            Outcome::Data("2.5".to_string(), json!({"sum": 2.5}))
        );
        assert_eq!(
            call("slow", json!({})),
            Outcome::Later(Duration::from_millis(100), "waited 100 ms".to_string())
        );
        assert!(matches!(
            call("order_coffee", json!({"drink": "tea"})),
            Outcome::Asks(question) if question.then == "ordered: tea"
        ));
    }

    #[test]
    fn search_is_as_long_as_its_limit() {
        let Outcome::Text(found) = call("search", json!({"query": "x", "kind": "notes"})) else {
            panic!("no text");
        };
        assert_eq!(found.lines().count(), 11);
        let arguments = json!({"query": "x", "kind": "notes", "limit": 50});
        let Outcome::Text(found) = call("search", arguments) else {
            panic!("no text");
        };
        assert_eq!(found.lines().count(), 51);
        assert!(found.len() > 4096, "{}", found.len());
    }

    #[test]
    fn failures_say_why() {
        let check = |name: &str, arguments: Value, expected: &str| {
            assert_eq!(call(name, arguments), Outcome::Failed(expected.to_string()));
        };
        check("fail", json!({}), "this tool always fails");
        check(
            "echo",
            json!({}),
            "bad arguments: `arguments.text` is required",
        );
        check(
            "add",
            json!({"a": i64::MAX, "b": "1"}),
            "bad arguments: `arguments.b` must be of type number",
        );
        check(
            "add",
            json!({"a": 1e308, "b": 1e308}),
            "the sum is too large",
        );
    }

    #[test]
    fn annotated_properties_are_known() {
        let tools = all();
        let annotated: Vec<&Tool> = tools
            .iter()
            .filter(|tool| !tool.param_headers.is_empty())
            .collect();
        assert_eq!(annotated.len(), 1);
        assert_eq!(annotated[0].name, "region_report");
        assert_eq!(annotated[0].param_headers.len(), 3);
    }
}
