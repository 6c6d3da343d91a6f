//! What a server asks of its client, and the answers of one without a user.
//!
//! Modern servers ask within a result ([`InputRequired`]) and get the answers
//! with the retry; legacy servers send requests of their own. Elicitations are
//! accepted with the schema's defaults (SEP-1034), sampling gets a canned
//! message, roots are empty. Nobody is asked and nothing is generated.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::fault::{FaultKind, ProtocolFault, excerpt};
use super::fields::{json_text, read_fields, read_members, read_string};

/// A request of a legacy server's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRequest {
    /// Its id as JSON, to be sent back as it is.
    pub id_json: String,
    /// Its method.
    pub method: String,
}

/// The body that answers a legacy server's request: `ping` gets its empty
/// result, everything else the error −32601, so that the server does not hang.
pub fn answer_server_request(request: &ServerRequest) -> Vec<u8> {
    let id = &request.id_json;
    if request.method == "ping" {
        return format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#).into_bytes();
    }
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"not supported by this load tester"}}}}"#
    )
    .into_bytes()
}

/// One question of a modern server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequest {
    /// The server's name for it, which the answer carries too.
    pub key: String,
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// Its params as JSON; `null` where there are none.
    pub params_json: String,
}

/// A result of the type `input_required`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequired {
    /// The questions; empty where the server only wants to be asked again.
    pub requests: Vec<InputRequest>,
    /// How many there are: of more than can be answered only the first are
    /// kept.
    n_requests: usize,
    /// Whether there was an `inputRequests` at all: the retry mirrors it.
    has_requests: bool,
    /// `requestState` as JSON, which goes back byte by byte.
    state_json: Option<String>,
}

impl InputRequired {
    /// Reads it from the text of a result.
    pub(super) fn read(result: &str) -> Result<Self, ProtocolFault> {
        let bad = || ProtocolFault::new(FaultKind::BadResult, excerpt(result.as_bytes()));
        let [requests, state] =
            read_fields(result, ["inputRequests", "requestState"]).ok_or_else(bad)?;
        if requests.is_none() && state.is_none() {
            return Err(bad());
        }
        let (members, n_requests) = requests
            .map_or(Some((Vec::new(), 0)), |requests| {
                read_members(requests, QUESTIONS_MAX)
            })
            .ok_or_else(bad)?;
        let mut questions = Vec::new();
        for (key, request) in members {
            let [method, params] = read_fields(request, ["method", "params"]).ok_or_else(bad)?;
            questions.push(InputRequest {
                key,
                method: method.and_then(read_string).ok_or_else(bad)?,
                params_json: params.unwrap_or("null").to_string(),
            });
        }
        Ok(Self {
            requests: questions,
            n_requests,
            has_requests: requests.is_some(),
            state_json: state.map(str::to_string),
        })
    }

    /// Answers every question.
    ///
    /// # Errors
    /// `UnknownInput` where a question is of a kind that we did not declare, or
    /// there are more than a hundred.
    pub fn answer(&self) -> Result<InputAnswers, ProtocolFault> {
        let n_questions = self.n_requests;
        if n_questions > QUESTIONS_MAX {
            return Err(ProtocolFault::new(
                FaultKind::UnknownInput,
                format!("{n_questions} questions at once; at most {QUESTIONS_MAX} are answered"),
            ));
        }
        let mut responses = Map::new();
        for request in &self.requests {
            responses.insert(request.key.clone(), answer_input(request)?);
        }
        Ok(InputAnswers::new(
            self.has_requests.then(|| json_text(&responses)),
            self.state_json.clone(),
        ))
    }
}

/// The answers of one round trip, for [`super::RequestBody::retry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputAnswers {
    responses_json: Option<String>,
    state_json: Option<String>,
}

impl InputAnswers {
    pub(super) fn new(responses_json: Option<String>, state_json: Option<String>) -> Self {
        Self {
            responses_json,
            state_json,
        }
    }

    pub(super) fn responses_json(&self) -> Option<&str> {
        self.responses_json.as_deref()
    }

    pub(super) fn state_json(&self) -> Option<&str> {
        self.state_json.as_deref()
    }
}

/// The most questions of one result that are answered, and the most properties
/// of a form that is accepted: a person is asked for a handful.
const QUESTIONS_MAX: usize = 100;
const PROPERTIES_MAX: usize = 1_000;

/// The longest form that is read: as a value it takes many times that.
const FORM_BYTES_MAX: usize = 1 << 20;

fn answer_input(request: &InputRequest) -> Result<Value, ProtocolFault> {
    let unknown = |what: &str| {
        ProtocolFault::new(
            FaultKind::UnknownInput,
            format!("`{}`{what}", excerpt(request.method.as_bytes())),
        )
    };
    match request.method.as_str() {
        "elicitation/create" => {
            let declined = || json!({"action": "decline"});
            if request.params_json.len() > FORM_BYTES_MAX {
                return Ok(declined());
            }
            // Unreadable params (nested beyond reason) get an empty form.
            let params: Value = serde_json::from_str(&request.params_json).unwrap_or_default();
            if params["mode"] == "url" {
                return Err(unknown(" by url"));
            }
            Ok(match form_content(&params["requestedSchema"]) {
                Some(content) => json!({"action": "accept", "content": content}),
                None => declined(),
            })
        }
        "sampling/createMessage" => Ok(json!({
            "role": "assistant",
            "content": {"type": "text", "text": "A canned message of a load tester."},
            "model": "pmcp-loadtest",
            "stopReason": "endTurn",
        })),
        "roots/list" => Ok(json!({"roots": []})),
        _ => Err(unknown("")),
    }
}

/// The content that accepts a form: defaults where there are some, the least
/// that is valid where a property is required, nothing for the rest. `None`
/// where the form is larger than any that a person would fill in.
fn form_content(schema: &Value) -> Option<Map<String, Value>> {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    if properties.len() > PROPERTIES_MAX {
        return None;
    }
    let required: HashSet<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut content = Map::new();
    for (name, property) in properties {
        if let Some(default) = property.get("default") {
            content.insert(name.clone(), default.clone());
        } else if required.contains(&name.as_str()) {
            content.insert(name.clone(), least_value(property));
        }
    }
    Some(content)
}

/// A valid value for one of the primitive schemas that a form may have.
fn least_value(property: &Value) -> Value {
    if let Some(value) = property.get("const") {
        return value.clone();
    }
    if let Some(value) = first_choice(property) {
        return value;
    }
    match property["type"].as_str() {
        Some("boolean") => Value::Bool(true),
        Some("integer") => json!(least_number(property).ceil() as i64),
        Some("number") => json!(least_number(property)),
        Some("array") => least_array(property),
        _ => Value::String(least_string(property)),
    }
}

/// The first value of an `enum`, or of choices with titles.
fn first_choice(schema: &Value) -> Option<Value> {
    if let Some(value) = schema["enum"].get(0) {
        return Some(value.clone());
    }
    ["oneOf", "anyOf"]
        .into_iter()
        .find_map(|word| schema[word].get(0)?.get("const").cloned())
}

fn least_number(property: &Value) -> f64 {
    let bound = |word: &str| property[word].as_f64();
    if let Some(minimum) = bound("minimum") {
        return minimum;
    }
    if let Some(below) = bound("exclusiveMinimum") {
        return below.floor() + 1.0;
    }
    let greatest = bound("maximum").or(bound("exclusiveMaximum").map(|above| above.ceil() - 1.0));
    greatest.map_or(0.0, |greatest| greatest.floor().min(0.0))
}

fn least_array(property: &Value) -> Value {
    let n_items = property["minItems"].as_u64().unwrap_or(0);
    let choices = property["items"]["enum"].as_array().cloned().or_else(|| {
        let titled = property["items"]["anyOf"].as_array()?;
        Some(
            titled
                .iter()
                .filter_map(|choice| choice.get("const").cloned())
                .collect(),
        )
    });
    let n_items = usize::try_from(n_items).unwrap_or(usize::MAX);
    Value::Array(
        choices
            .unwrap_or_default()
            .into_iter()
            .take(n_items)
            .collect(),
    )
}

fn least_string(property: &Value) -> String {
    /// A longer minimum is a server's trap, not a form.
    const LENGTH_MAX: u64 = 1024;
    let sample = match property["format"].as_str() {
        Some("email") => "load@example.com",
        Some("uri") => "https://example.com/",
        Some("date") => "2026-01-01",
        Some("date-time") => "2026-01-01T00:00:00Z",
        _ => {
            let min = property["minLength"]
                .as_u64()
                .unwrap_or(1)
                .clamp(1, LENGTH_MAX);
            return "x".repeat(min as usize);
        }
    };
    sample.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answers(result: &str) -> (Option<String>, Option<String>) {
        let required = InputRequired::read(result).expect("an input_required result");
        let answers = required.answer().expect("known questions");
        (answers.responses_json, answers.state_json)
    }

    #[test]
    fn all_three_kinds_are_answered() {
        let (responses, state) = answers(
            r#"{"resultType":"input_required","requestState":"a\u00e9\"\\","inputRequests":{
            "e":{"method":"elicitation/create","params":{"message":"?","requestedSchema":{"properties":{"ok":{"type":"boolean"}},"required":["ok"]}}},
            "s":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":5}},
            "r":{"method":"roots/list"}}}"#,
        );
        assert_eq!(
            responses.as_deref(),
            Some(
                r#"{"e":{"action":"accept","content":{"ok":true}},"s":{"role":"assistant","content":{"type":"text","text":"A canned message of a load tester."},"model":"pmcp-loadtest","stopReason":"endTurn"},"r":{"roots":[]}}"#
            )
        );
        assert_eq!(state.as_deref(), Some(r#""a\u00e9\"\\""#));
    }

    #[test]
    fn a_retry_mirrors_what_was_there() {
        assert_eq!(
            answers(r#"{"requestState":"s"}"#),
            (None, Some("\"s\"".to_string()))
        );
        assert_eq!(
            answers(r#"{"inputRequests":{}}"#),
            (Some("{}".to_string()), None)
        );
        for bad in [
            "{}",
            "[]",
            r#"{"inputRequests":[]}"#,
            r#"{"inputRequests":{"a":1}}"#,
            r#"{"inputRequests":{"a":{}}}"#,
        ] {
            let fault = InputRequired::read(bad).expect_err(bad);
            assert_eq!(fault.kind(), FaultKind::BadResult);
        }
    }

    #[test]
    fn unknown_questions_are_a_fault() {
        for (request, detail) in [
            (r#"{"method":"ping"}"#, "`ping`"),
            (
                r#"{"method":"elicitation/create","params":{"mode":"url"}}"#,
                "`elicitation/create` by url",
            ),
        ] {
            let result = format!(r#"{{"inputRequests":{{"a":{request}}}}}"#);
            let required = InputRequired::read(&result).expect("readable");
            let fault = required.answer().expect_err("not ours to answer");
            assert_eq!(fault.kind(), FaultKind::UnknownInput);
            assert_eq!(fault.detail(), detail);
        }
    }

    #[test]
    fn forms_are_filled_with_defaults_and_the_least() {
        let schema = json!({
            "properties": {
                "name": {"type": "string", "default": "John Doe"},
                "score": {"type": "number", "default": 95.5},
                "skipped": {"type": "string"},
                "text": {"type": "string", "minLength": 3},
                "trap": {"type": "string", "minLength": u64::MAX},
                "mail": {"type": "string", "format": "email"},
                "size": {"type": "string", "enum": ["S", "M"]},
                "titled": {"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
                "many": {"type": "array", "minItems": 1, "items": {"enum": ["x", "y"]}},
                "age": {"type": "integer", "minimum": 17.5},
                "cold": {"type": "integer", "maximum": -3},
                "above": {"type": "number", "exclusiveMinimum": 2},
                "odd": {"type": 7},
            },
            "required": ["text", "trap", "mail", "size", "titled", "many", "age", "cold", "above", "odd", 3],
        });
        let mut content = form_content(&schema).expect("a form of a few properties");
        let trap = content.shift_remove("trap").expect("a required property");
        assert_eq!(trap.as_str().map(str::len), Some(1024));
        assert_eq!(
            Value::Object(content),
            json!({
                "name": "John Doe", "score": 95.5, "text": "xxx", "mail": "load@example.com",
                "size": "S", "titled": "a", "many": ["x"], "age": 18, "cold": -3,
                "above": 3.0, "odd": "x",
            })
        );
        assert_eq!(form_content(&Value::Null), Some(Map::new()));
    }

    fn form(n_properties: usize) -> InputRequest {
        let name = |n: usize| format!("property_{n}");
        let properties: Map<String, Value> = (0..n_properties)
            .map(|n| (name(n), json!({"type": "string"})))
            .collect();
        let required: Vec<String> = (0..n_properties).map(name).collect();
        let schema = json!({"properties": properties, "required": required});
        InputRequest {
            key: "k".to_string(),
            method: "elicitation/create".to_string(),
            params_json: json!({"requestedSchema": schema}).to_string(),
        }
    }

    #[test]
    fn forms_that_nobody_would_fill_in_are_declined() {
        let action = |form: &InputRequest| {
            let answer = answer_input(form).expect("a kind that we know");
            let n_values = answer["content"].as_object().map(Map::len);
            (answer["action"].clone(), n_values)
        };
        assert_eq!(action(&form(1_000)), (json!("accept"), Some(1_000)));
        assert_eq!(action(&form(1_001)), (json!("decline"), None));
        // Some 2 MB, which a quadratic look at them would take a minute for.
        assert_eq!(action(&form(30_000)), (json!("decline"), None));
        let mut long = form(1);
        long.params_json += &" ".repeat(FORM_BYTES_MAX);
        assert_eq!(action(&long), (json!("decline"), None));
        // A thousand names in a list of many that are not there.
        let names = vec!["x"; 30_000];
        let mut listed: Value = serde_json::from_str(&form(1_000).params_json).expect("ours");
        listed["requestedSchema"]["required"] = json!(names);
        let listed = InputRequest {
            params_json: listed.to_string(),
            ..form(0)
        };
        assert_eq!(action(&listed), (json!("accept"), Some(0)));
    }

    #[test]
    fn questions_without_end_are_a_fault() {
        let result = |n: usize| {
            let questions: Vec<String> = (0..n)
                .map(|n| format!(r#""q{n}":{{"method":"roots/list"}}"#))
                .collect();
            format!(r#"{{"inputRequests":{{{}}}}}"#, questions.join(","))
        };
        let read = |n| InputRequired::read(&result(n)).expect("readable");
        let answered = |n| read(n).answer();
        assert_eq!(read(100_000).requests.len(), 100);
        assert!(answered(100).is_ok());
        let fault = answered(100_000).expect_err("too many");
        assert_eq!(fault.kind(), FaultKind::UnknownInput);
        assert_eq!(
            fault.detail(),
            "100000 questions at once; at most 100 are answered"
        );
    }

    #[test]
    fn legacy_requests_are_answered_with_their_id() {
        let request = |id: &str, method: &str| ServerRequest {
            id_json: id.to_string(),
            method: method.to_string(),
        };
        assert_eq!(
            answer_server_request(&request("0", "ping")),
            br#"{"jsonrpc":"2.0","id":0,"result":{}}"#
        );
        assert_eq!(
            answer_server_request(&request(r#""a\n""#, "sampling/createMessage")),
            br#"{"jsonrpc":"2.0","id":"a\n","error":{"code":-32601,"message":"not supported by this load tester"}}"#
        );
    }

    proptest! {
        #[test]
        fn no_params_panic(text: String) {
            for method in ["elicitation/create", "sampling/createMessage", "x"] {
                let request = InputRequest {
                    key: "k".to_string(),
                    method: method.to_string(),
                    params_json: text.clone(),
                };
                let _any_answer_will_do = answer_input(&request);
            }
            let _any_answer_will_do = InputRequired::read(&text);
        }
    }
}
