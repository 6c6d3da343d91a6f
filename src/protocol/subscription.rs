//! Subscriptions of the modern era: what a client wants to be told of beside its calls, and
//! how the stream that answers `subscriptions/listen` is followed.
//!
//! ```text
//!  subscriptions/listen ─▶ acknowledged ─▶ notification … ─▶ result: an end in good order
//!                               │               └▶ the stream ends without: a break
//!                               └▶ anything else comes first: a fault
//! ```
//!
//! Pure, like `heard.rs`, which hands each message to [`SubscriptionWatch`]. The stream's
//! notifications carry the id of the request that asked for them.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::answer::{EventContent, Expect, Reply, read_message_of_event};
use super::fault::{FaultKind, ProtocolFault, excerpt};
use super::fields::{read_fields, read_string};
use super::jsonrpc::RpcError;

/// The accepted form of a topic.
pub const TOPIC_FORM: &str = "`tools`, `prompts`, `resources`, or `uri:` and the URI of a \
                              resource, or a list of such";

/// The method that asks for a subscription.
pub const LISTEN_METHOD: &str = "subscriptions/listen";

const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// Something that a client wants to be told of.
///
/// As text `tools`, `prompts`, `resources`, or `uri:demo://status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// The list of tools has changed.
    Tools,
    /// The list of prompts has changed.
    Prompts,
    /// The list of resources has changed.
    Resources,
    /// The resource with this URI has changed.
    Resource(String),
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Tools => f.write_str("tools"),
            Topic::Prompts => f.write_str("prompts"),
            Topic::Resources => f.write_str("resources"),
            Topic::Resource(uri) => write!(f, "uri:{uri}"),
        }
    }
}

impl FromStr for Topic {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("uri:")) {
            ("tools", _) => Ok(Topic::Tools),
            ("prompts", _) => Ok(Topic::Prompts),
            ("resources", _) => Ok(Topic::Resources),
            (_, Some(uri)) if !uri.is_empty() => Ok(Topic::Resource(uri.to_string())),
            _ => Err(format!(
                "`{}` is not {TOPIC_FORM}",
                excerpt(text.as_bytes())
            )),
        }
    }
}

/// The JSON of what these topics are in a request.
pub(super) fn wanted_json(topics: &[Topic]) -> String {
    let mut wanted = Map::new();
    let mut uris = Vec::new();
    for topic in topics {
        let flag = match topic {
            Topic::Tools => "toolsListChanged",
            Topic::Prompts => "promptsListChanged",
            Topic::Resources => "resourcesListChanged",
            Topic::Resource(uri) => {
                uris.push(uri.as_str());
                continue;
            }
        };
        wanted.insert(flag.to_string(), true.into());
    }
    if !uris.is_empty() {
        wanted.insert("resourceSubscriptions".to_string(), json!(uris));
    }
    Value::Object(wanted).to_string()
}

/// How the server has ended a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionEnd {
    /// With the result of the request.
    Graceful,
    /// With an error.
    Refused(RpcError),
}

/// What a message means for the subscription on whose stream it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// The subscription is acknowledged.
    Acknowledged,
    /// The server has ended it.
    Ended,
    /// The message is like any other.
    Message,
}

/// Follows the stream of one subscription.
#[derive(Debug)]
pub(super) struct SubscriptionWatch {
    /// Of the request.
    id: u64,
    is_acknowledged: bool,
    end: Option<SubscriptionEnd>,
}

impl SubscriptionWatch {
    /// Of the stream that answers the request with this id.
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            is_acknowledged: false,
            end: None,
        }
    }

    /// Whether the server has acknowledged it.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.is_acknowledged
    }

    /// How the server has ended it, if it has.
    pub(super) fn end(&self) -> Option<&SubscriptionEnd> {
        self.end.as_ref()
    }

    /// Looks at the next message.
    ///
    /// # Errors
    /// Where the first one acknowledges nothing, and where one is of another subscription.
    pub(super) fn look_at(&mut self, text: &str) -> Result<Followed, ProtocolFault> {
        match read_message_of_event(text, &Expect::result(self.id, None)) {
            Ok(EventContent::Answer(answer)) => self.ended(answer.reply),
            Ok(EventContent::Foreign(id)) => {
                let detail = format!("an answer to the request {id} on the stream of {}", self.id);
                Err(ProtocolFault::new(FaultKind::WrongId, detail))
            }
            Ok(EventContent::Notification) => self.told(text),
            Ok(EventContent::ServerRequest(_)) | Err(_) => self.other(text),
        }
    }

    fn ended(&mut self, reply: Reply) -> Result<Followed, ProtocolFault> {
        self.end = Some(match reply {
            Reply::Error(error) => SubscriptionEnd::Refused(error),
            _ if !self.is_acknowledged => {
                let detail = "the subscription ended before it was acknowledged";
                return Err(ProtocolFault::new(FaultKind::NotAcknowledged, detail));
            }
            _ => SubscriptionEnd::Graceful,
        });
        Ok(Followed::Ended)
    }

    fn told(&mut self, text: &str) -> Result<Followed, ProtocolFault> {
        let [method, params] = read_fields(text, ["method", "params"]).unwrap_or_default();
        let is_acknowledgement = method.and_then(read_string).as_deref() == Some(ACKNOWLEDGED);
        let id = params.and_then(subscription_id);
        let is_ours = id.is_some_and(|id| id.parse::<u64>() == Ok(self.id));
        if let (Some(id), false) = (id, is_ours) {
            let detail = format!(
                "a notification of the subscription {} on the stream of {}",
                excerpt(id.as_bytes()),
                self.id
            );
            return Err(ProtocolFault::new(FaultKind::WrongId, detail));
        }
        if is_acknowledgement && is_ours && !self.is_acknowledged {
            self.is_acknowledged = true;
            return Ok(Followed::Acknowledged);
        }
        self.other(text)
    }

    /// Nothing but the acknowledgement may come first.
    fn other(&self, text: &str) -> Result<Followed, ProtocolFault> {
        if self.is_acknowledged {
            return Ok(Followed::Message);
        }
        let detail = format!(
            "the first message is not `{ACKNOWLEDGED}` with the request's id: {}",
            excerpt(text.as_bytes())
        );
        Err(ProtocolFault::new(FaultKind::NotAcknowledged, detail))
    }
}

/// The JSON of the id in the `_meta` of these params.
fn subscription_id(params: &str) -> Option<&str> {
    let [meta] = read_fields(params, ["_meta"])?;
    let [id] = read_fields(meta?, ["io.modelcontextprotocol/subscriptionId"])?;
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(method: &str, id: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
        )
    }

    fn acknowledged() -> SubscriptionWatch {
        let mut watch = SubscriptionWatch::new(7);
        let first = watch.look_at(&notification(ACKNOWLEDGED, "7"));
        assert_eq!(first, Ok(Followed::Acknowledged));
        watch
    }

    #[test]
    fn topics_are_read_as_they_are_shown() {
        for text in [
            "tools",
            "prompts",
            "resources",
            "uri:demo://status",
            "uri:tools",
        ] {
            let topic: Topic = text.parse().expect("a topic");
            assert_eq!(topic.to_string(), text);
        }
        for text in ["", "tool", "uri:", "Tools", "demo://status"] {
            assert!(text.parse::<Topic>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_request_names_what_is_wanted_only() {
        let wanted = |texts: &[&str]| {
            let topics = texts.iter().map(|text| text.parse().expect("a topic"));
            wanted_json(&topics.collect::<Vec<_>>())
        };
        assert_eq!(wanted(&["tools"]), r#"{"toolsListChanged":true}"#);
        let all = wanted(&["resources", "uri:a", "prompts", "uri:b\""]);
        let all: Value = serde_json::from_str(&all).expect("JSON");
        let expected = json!({
            "resourcesListChanged": true,
            "promptsListChanged": true,
            "resourceSubscriptions": ["a", "b\""],
        });
        assert_eq!(all, expected);
    }

    #[test]
    fn the_first_message_acknowledges_the_request() {
        let result = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}"#;
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        for (first, kind) in [
            (notification(ACKNOWLEDGED, "8"), FaultKind::WrongId),
            (notification(ACKNOWLEDGED, r#""7""#), FaultKind::WrongId),
            (
                notification("notifications/tools/list_changed", "7"),
                FaultKind::NotAcknowledged,
            ),
            (result.to_string(), FaultKind::NotAcknowledged),
            (ping.to_string(), FaultKind::NotAcknowledged),
            ("<html>".to_string(), FaultKind::NotAcknowledged),
            (result.replace(":7", ":8"), FaultKind::WrongId),
            (
                format!(r#"{{"jsonrpc":"2.0","method":"{ACKNOWLEDGED}"}}"#),
                FaultKind::NotAcknowledged,
            ),
        ] {
            let mut watch = SubscriptionWatch::new(7);
            let fault = watch.look_at(&first).expect_err(&first);
            assert_eq!(fault.kind(), kind, "{first}");
            assert!(!watch.is_acknowledged());
        }
        let refused = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}"#;
        let mut watch = SubscriptionWatch::new(7);
        assert_eq!(watch.look_at(refused), Ok(Followed::Ended));
        assert!(matches!(watch.end(), Some(SubscriptionEnd::Refused(_))));
    }

    #[test]
    fn what_follows_is_of_the_same_subscription() {
        let changed = "notifications/tools/list_changed";
        let mut watch = acknowledged();
        for message in [
            notification(changed, "7"),
            format!(r#"{{"jsonrpc":"2.0","method":"{changed}"}}"#),
            "{".to_string(),
        ] {
            assert_eq!(watch.look_at(&message), Ok(Followed::Message), "{message}");
        }
        let other = watch.look_at(&notification(changed, "6"));
        assert_eq!(other.expect_err("a fault").kind(), FaultKind::WrongId);
        assert_eq!(watch.end(), None);
        let result = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}"#;
        assert_eq!(watch.look_at(result), Ok(Followed::Ended));
        assert_eq!(watch.end(), Some(&SubscriptionEnd::Graceful));
    }
}
