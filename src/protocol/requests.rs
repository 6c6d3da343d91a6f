//! What servers ask of their client, and what one without a user answers.
//!
//! A legacy server sends requests of its own on any stream ([`ServerRequest`]), a modern
//! one asks within a result (`input.rs`). Both get the answers that an SDK's client gives
//! whose application says yes: elicitations are accepted with the form's defaults
//! (SEP-1034), else with values that fit, else declined; sampling gets a canned message;
//! roots are empty. Nobody is asked and nothing is generated.
//!
//! Pure, and bounded in bytes and properties. It knows neither the stream that brought a
//! request nor how the answer is sent. Start at [`answer_server_request`].

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::fields::{json_text, read_fields};
use super::jsonrpc::{INVALID_PARAMS, METHOD_NOT_FOUND};

/// A request of a legacy server's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRequest {
    /// Its id as JSON, to be sent back as it is.
    pub id_json: String,
    /// Its method.
    pub method: String,
    /// Its params as JSON, where the answer depends on them; `null` where there are none,
    /// empty where they are too long to be read.
    params_json: String,
}

impl ServerRequest {
    /// Of the text of a message whose envelope was read.
    pub(super) fn new(message: &str, id: &str, method: String) -> Self {
        let params_json = match method.as_str() {
            ELICITATION => {
                let [params] = read_fields(message, ["params"]).unwrap_or_default();
                let params = params.unwrap_or("null");
                match params.len() {
                    0..=FORM_BYTES_MAX => params,
                    _ => "",
                }
            }
            _ => "null",
        };
        Self {
            id_json: id.to_string(),
            method,
            params_json: params_json.to_string(),
        }
    }
}

const ELICITATION: &str = "elicitation/create";

/// The longest form that is read, in bytes: as a value it takes many times that.
const FORM_BYTES_MAX: usize = 1 << 20;

/// The most properties of a form that is accepted: a person is asked for a handful.
const PROPERTIES_MAX: usize = 1_000;

/// The longest text that is put into a form, in bytes.
const TEXT_BYTES_MAX: u64 = 1024;

/// The body that answers a legacy server's request. It answers everything, so that the
/// server does not hang: what an SDK's client does not know either gets its error.
pub fn answer_server_request(request: &ServerRequest) -> Vec<u8> {
    let member = match request.method.as_str() {
        "ping" => r#""result":{}"#.to_string(),
        method => match answer(method, &request.params_json) {
            Ok(result) => format!(r#""result":{}"#, json_text(&result)),
            Err(unanswered) => {
                let (code, text) = match unanswered {
                    Unanswered::UnknownMethod => (METHOD_NOT_FOUND, "Method not found"),
                    Unanswered::ByUrl => (INVALID_PARAMS, "elicitation by url is not supported"),
                };
                format!(r#""error":{{"code":{code},"message":"{text}"}}"#)
            }
        },
    };
    format!(r#"{{"jsonrpc":"2.0","id":{},{member}}}"#, request.id_json).into_bytes()
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// No capability was declared for it.
    UnknownMethod,
    /// An elicitation that would have a user open an address.
    ByUrl,
}

/// The result of a request of one of the three kinds for which capabilities are declared.
/// `params_json` is `null` where there are none.
pub(super) fn answer(method: &str, params_json: &str) -> Result<Value, Unanswered> {
    match method {
        ELICITATION => elicited(params_json),
        "sampling/createMessage" => Ok(json!({
            "role": "assistant",
            "content": {"type": "text", "text": "A canned message of a load tester."},
            "model": "pmcp-loadtest",
            "stopReason": "endTurn",
        })),
        "roots/list" => Ok(json!({"roots": []})),
        _ => Err(Unanswered::UnknownMethod),
    }
}

fn elicited(params_json: &str) -> Result<Value, Unanswered> {
    let declined = || Ok(json!({"action": "decline"}));
    if params_json.len() > FORM_BYTES_MAX {
        return declined();
    }
    let Ok(params) = serde_json::from_str::<Value>(params_json) else {
        return declined();
    };
    if params["mode"] == "url" {
        return Err(Unanswered::ByUrl);
    }
    match form_content(&params["requestedSchema"]) {
        Some(content) => Ok(json!({"action": "accept", "content": content})),
        None => declined(),
    }
}

/// The content that accepts a form: defaults where there are some, the least
/// that is valid where a property is required, nothing for the rest. `None`
/// where the form is larger than any that a person would fill in, and where it requires
/// what has no value that is known to fit.
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
        } else if required.contains(name.as_str()) {
            content.insert(name.clone(), least_value(property)?);
        }
    }
    Some(content)
}

/// A valid value for one of the primitive schemas that a form may have.
fn least_value(property: &Value) -> Option<Value> {
    if let Some(value) = property.get("const") {
        return Some(value.clone());
    }
    if let Some(value) = first_choice(property) {
        return Some(value);
    }
    match property["type"].as_str()? {
        "boolean" => Some(Value::Bool(true)),
        "integer" => least_number(property, true).map(|number| json!(number as i64)),
        "number" => least_number(property, false).map(|number| json!(number)),
        "array" => least_array(property),
        "string" => least_string(property).map(Value::String),
        _ => None,
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

/// A number within the bounds, as near to zero from above as they let it be.
fn least_number(property: &Value, is_integer: bool) -> Option<f64> {
    let bound = |word: &str| property[word].as_f64();
    let above = bound("exclusiveMinimum").map(|below| below.floor() + 1.0);
    let below = bound("exclusiveMaximum").map(|above| above.ceil() - 1.0);
    let least = bound("minimum").or(above);
    let greatest = bound("maximum").or(below);
    let wanted = least.unwrap_or_else(|| greatest.map_or(0.0, |it| it.floor().min(0.0)));
    let step = bound("multipleOf").unwrap_or(if is_integer { 1.0 } else { 0.0 });
    let number = match step > 0.0 {
        true => (wanted / step).ceil() * step,
        false => wanted,
    };
    let fits = least.is_none_or(|least| number >= least)
        && above.is_none_or(|above| number >= above)
        && greatest.is_none_or(|greatest| number <= greatest)
        && below.is_none_or(|below| number <= below);
    fits.then_some(number)
}

fn least_array(property: &Value) -> Option<Value> {
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
    let mut choices = choices.unwrap_or_default();
    let n_items = usize::try_from(n_items).ok()?;
    (n_items <= choices.len()).then(|| {
        choices.truncate(n_items);
        Value::Array(choices)
    })
}

fn least_string(property: &Value) -> Option<String> {
    if property.get("pattern").is_some() {
        return None;
    }
    let min = property["minLength"].as_u64().unwrap_or(1);
    let max = property["maxLength"].as_u64().unwrap_or(TEXT_BYTES_MAX);
    let text = match property["format"].as_str() {
        Some("email") => "load@example.com".to_string(),
        Some("uri") => "https://example.com/".to_string(),
        Some("date") => "2026-01-01".to_string(),
        Some("date-time") => "2026-01-01T00:00:00Z".to_string(),
        Some(_) => return None,
        // A longer minimum is a server's trap, not a form.
        None => "x".repeat(min.min(max).min(TEXT_BYTES_MAX) as usize),
    };
    (min..=max).contains(&(text.len() as u64)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_are_filled_with_defaults_and_the_least() {
        let schema = json!({
            "properties": {
                "name": {"type": "string", "default": "John Doe"},
                "score": {"type": "number", "default": 95.5},
                "skipped": {"type": "string"},
                "text": {"type": "string", "minLength": 3},
                "short": {"type": "string", "maxLength": 0},
                "mail": {"type": "string", "format": "email"},
                "size": {"type": "string", "enum": ["S", "M"]},
                "titled": {"type": "string", "oneOf": [{"const": "a", "title": "A"}]},
                "many": {"type": "array", "minItems": 1, "items": {"enum": ["x", "y"]}},
                "age": {"type": "integer", "minimum": 17.5},
                "cold": {"type": "integer", "maximum": -3},
                "above": {"type": "number", "exclusiveMinimum": 2},
                "tens": {"type": "integer", "minimum": 11, "multipleOf": 10},
                "odd": {"type": 7},
            },
            "required": ["text", "mail", "size", "titled", "many", "age", "cold", "above", "tens", 3],
        });
        let content = form_content(&schema).expect("a form of a few properties");
        assert_eq!(
            Value::Object(content),
            json!({
                "name": "John Doe", "score": 95.5, "text": "xxx", "mail": "load@example.com",
                "size": "S", "titled": "a", "many": ["x"], "age": 18, "cold": -3,
                "above": 3.0, "tens": 20,
            })
        );
        assert_eq!(form_content(&Value::Null), Some(Map::new()));
    }

    #[test]
    fn what_has_no_value_that_fits_is_declined() {
        for property in [
            json!({"type": "string", "pattern": "^[A-Z]{3}$"}),
            json!({"type": "string", "minLength": u64::MAX}),
            json!({"type": "string", "minLength": 3, "maxLength": 2}),
            json!({"type": "string", "maxLength": 3, "format": "email"}),
            json!({"type": "string", "format": "uuid"}),
            json!({"type": "integer", "minimum": 5, "maximum": 4}),
            json!({"type": "integer", "minimum": 1, "maximum": 9, "multipleOf": 10}),
            json!({"type": "array", "minItems": 3, "items": {"enum": ["x", "y"]}}),
            json!({"type": "object"}),
            json!({"type": 7}),
        ] {
            let schema = json!({"properties": {"a": property}, "required": ["a"]});
            assert_eq!(form_content(&schema), None, "{property}");
            // What is not required is left out.
            let schema = json!({"properties": {"a": property}});
            assert_eq!(form_content(&schema), Some(Map::new()));
        }
    }

    fn form(n_properties: usize) -> Value {
        let name = |n: usize| format!("property_{n}");
        let properties: Map<String, Value> = (0..n_properties)
            .map(|n| (name(n), json!({"type": "string"})))
            .collect();
        let required: Vec<String> = (0..n_properties).map(name).collect();
        json!({"requestedSchema": {"properties": properties, "required": required}})
    }

    #[test]
    fn forms_that_nobody_would_fill_in_are_declined() {
        let action = |params: &str| {
            let answer = elicited(params).expect("a form");
            let n_values = answer["content"].as_object().map(Map::len);
            (answer["action"].clone(), n_values)
        };
        let of_size = |n| action(&form(n).to_string());
        assert_eq!(of_size(1_000), (json!("accept"), Some(1_000)));
        assert_eq!(of_size(1_001), (json!("decline"), None));
        // Some 2 MB, which a quadratic look at them would take a minute for.
        assert_eq!(of_size(30_000), (json!("decline"), None));
        let long = form(1).to_string() + &" ".repeat(FORM_BYTES_MAX);
        assert_eq!(action(&long), (json!("decline"), None));
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        let deep = format!(r#"{{"requestedSchema":{deep}}}"#);
        assert_eq!(action(&deep), (json!("decline"), None));
        assert_eq!(action("null"), (json!("accept"), Some(0)));
        // A thousand names in a list of many that are not there.
        let names = vec!["x"; 30_000];
        let mut listed = form(1_000);
        listed["requestedSchema"]["required"] = json!(names);
        assert_eq!(action(&listed.to_string()), (json!("accept"), Some(0)));
    }

    /// What a legacy server gets for a message.
    fn answered(message: &str, id: &str, method: &str) -> Value {
        let request = ServerRequest::new(message, id, method.to_string());
        let body = answer_server_request(&request);
        let mut body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["jsonrpc"], "2.0");
        let expected: Value = serde_json::from_str(id).expect("an id");
        assert_eq!(body["id"], expected);
        match body.get_mut("result") {
            Some(result) => result.take(),
            None => body["error"]["code"].take(),
        }
    }

    #[test]
    fn legacy_requests_are_answered_with_their_id() {
        let form = r#"{"id":0,"params":{"message":"?","requestedSchema":{"type":"object",
            "properties":{"ok":{"type":"boolean","default":false}}}},"method":"elicitation/create"}"#;
        let by_url = r#"{"id":0,"params":{"mode":"url","url":"https://example.com/"}}"#;
        for (message, id, method, expected) in [
            ("{}", "0", "ping", json!({})),
            (
                form,
                "0",
                "elicitation/create",
                json!({"action": "accept", "content": {"ok": false}}),
            ),
            (by_url, "7", "elicitation/create", json!(-32602)),
            ("{}", r#""a\n""#, "roots/list", json!({"roots": []})),
            ("{}", "-1", "tasks/list", json!(-32601)),
        ] {
            assert_eq!(answered(message, id, method), expected, "{method}");
        }
        let sampled = answered("{}", "1", "sampling/createMessage");
        assert_eq!(sampled["role"], "assistant");
        let long = format!(r#"{{"params":{{"x":"{}"}}}}"#, "x".repeat(FORM_BYTES_MAX));
        let declined = answered(&long, "1", "elicitation/create");
        assert_eq!(declined, json!({"action": "decline"}));
    }

    proptest! {
        #[test]
        fn no_params_panic(text: String) {
            for method in ["elicitation/create", "sampling/createMessage", "x"] {
                let _any_answer_will_do = answer(method, &text);
                let request = ServerRequest::new(&text, "1", method.to_string());
                let _any_body_will_do = answer_server_request(&request);
            }
        }

        /// Whatever a form demands of a number, the value that is given fits.
        #[test]
        fn numbers_fit(
            least in proptest::option::of(-50_i32..50),
            greatest in proptest::option::of(-50_i32..50),
            step in proptest::option::of(1_i32..20),
        ) {
            let property = json!({"minimum": least, "maximum": greatest, "multipleOf": step});
            if let Some(number) = least_number(&property, true) {
                prop_assert!(least.is_none_or(|least| number >= f64::from(least)));
                prop_assert!(greatest.is_none_or(|greatest| number <= f64::from(greatest)));
                prop_assert!(step.is_none_or(|step| number % f64::from(step) == 0.0));
            }
        }
    }
}
