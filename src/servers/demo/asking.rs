//! What the tool `ask_client` asks of the client, and what it makes of the answer.
//!
//! A legacy client is asked with a request on the stream of the call, a modern one within
//! a result. Pure: it knows no stream.

use serde_json::{Value, json};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Consultation {
    Elicitation,
    Sampling,
    Roots,
    Ping,
}

/// A request to a legacy client, for which its call waits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DemoAsk {
    /// Its id: a number that no other request of this server has.
    pub(super) id: u64,
    pub(super) kind: Consultation,
}

/// A client's answer to such a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AskedAnswer {
    pub(super) id: u64,
    /// Its result; the error where it has none.
    pub(super) said: Result<Value, Value>,
}

/// The form that asks for a size.
pub(super) fn size_form() -> Value {
    json!({
        "type": "object",
        "properties": {
            "size": {
                "type": "string",
                "enum": ["small", "medium", "large"],
                "default": "medium"
            }
        },
        "required": ["size"]
    })
}

impl Consultation {
    /// The argument of the tool; the first where it is not given.
    pub(super) fn of(argument: &Value) -> Self {
        match argument.as_str() {
            Some("sampling") => Self::Sampling,
            Some("roots") => Self::Roots,
            Some("ping") => Self::Ping,
            _ => Self::Elicitation,
        }
    }

    /// The request, but for what makes it one of JSON-RPC.
    pub(super) fn request(self) -> Value {
        match self {
            Self::Elicitation => json!({
                "method": "elicitation/create",
                "params": {
                    "message": "Which size?",
                    "requestedSchema": size_form()
                }
            }),
            Self::Sampling => json!({
                "method": "sampling/createMessage",
                "params": {
                    "messages": [{"role": "user", "content": {"type": "text", "text": "Hello"}}],
                    "maxTokens": 100
                }
            }),
            Self::Roots => json!({"method": "roots/list", "params": {}}),
            Self::Ping => json!({"method": "ping", "params": {}}),
        }
    }

    /// What the tool says to the client's result; `Err` where it does not fit.
    pub(super) fn said(self, result: &Value) -> Result<String, String> {
        let text = match self {
            Self::Elicitation => match result["action"].as_str() {
                Some("accept") => result["content"]["size"].as_str().map(str::to_string),
                Some(action @ ("decline" | "cancel")) => Some(action.to_string()),
                _ => None,
            },
            Self::Sampling => result["content"]["text"].as_str().map(str::to_string),
            Self::Roots => {
                let roots = result["roots"].as_array();
                roots.map(|roots| format!("{} roots", roots.len()))
            }
            Self::Ping => result.is_object().then(|| "pong".to_string()),
        };
        match text {
            Some(text) => Ok(format!("the client says: {text}")),
            None => Err(format!("the client's answer does not fit: {result}")),
        }
    }
}

impl DemoAsk {
    /// The message to the client.
    pub(super) fn message(&self) -> Value {
        let mut message = self.kind.request();
        message["jsonrpc"] = "2.0".into();
        message["id"] = self.id.into();
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_or_do_not_fit() {
        for (kind, result, expected) in [
            (
                Consultation::Elicitation,
                json!({"action": "accept", "content": {"size": "large"}}),
                Some("large"),
            ),
            (
                Consultation::Elicitation,
                json!({"action": "decline"}),
                Some("decline"),
            ),
            (Consultation::Elicitation, json!({"action": "accept"}), None),
            (
                Consultation::Sampling,
                json!({"content": {"type": "text", "text": "Hi"}}),
                Some("Hi"),
            ),
            (Consultation::Sampling, json!({}), None),
            (Consultation::Roots, json!({"roots": [{}]}), Some("1 roots")),
            (Consultation::Ping, json!({}), Some("pong")),
            (Consultation::Ping, json!(null), None),
        ] {
            let expected = expected.map(|text| format!("the client says: {text}"));
            assert_eq!(kind.said(&result).ok(), expected, "{kind:?} {result}");
        }
    }
}
