//! Subscriptions of the modern era: what a client is told of on the stream that answers
//! `subscriptions/listen`.
//!
//! Nothing here ever changes: the news are made up, one kind after the other of those that
//! were asked for.

use serde_json::{Map, Value, json};

use super::offer::has_resource;

/// The method.
pub(super) const LISTEN: &str = "subscriptions/listen";

const ID_KEY: &str = "io.modelcontextprotocol/subscriptionId";

/// URIs of which one client is told at most.
const URIS_MAX: usize = 100;

/// A subscription that is held.
#[derive(Debug)]
pub(super) struct Subscribed {
    /// Of the request, as JSON.
    id: Value,
    /// What of that which was asked for is told.
    accepted: Map<String, Value>,
    /// Methods and params of what is told, in turn.
    news: Vec<(&'static str, Map<String, Value>)>,
    n_told: usize,
}

impl Subscribed {
    /// Of a request with this id and these params.
    pub(super) fn new(id: &Value, params: &Value) -> Self {
        let wanted = &params["notifications"];
        let (mut accepted, mut news) = (Map::new(), Vec::new());
        for (flag, method) in [
            ("toolsListChanged", "notifications/tools/list_changed"),
            ("promptsListChanged", "notifications/prompts/list_changed"),
            (
                "resourcesListChanged",
                "notifications/resources/list_changed",
            ),
        ] {
            if wanted[flag] == true {
                accepted.insert(flag.to_string(), true.into());
                news.push((method, Map::new()));
            }
        }
        let uris = wanted["resourceSubscriptions"].as_array();
        let uris = uris.into_iter().flatten().filter_map(Value::as_str);
        let uris: Vec<&str> = uris
            .filter(|uri| has_resource(uri))
            .take(URIS_MAX)
            .collect();
        if !uris.is_empty() {
            accepted.insert("resourceSubscriptions".to_string(), json!(uris));
        }
        for uri in uris {
            let params = Map::from_iter([("uri".to_string(), uri.into())]);
            news.push(("notifications/resources/updated", params));
        }
        Self {
            id: id.clone(),
            accepted,
            news,
            n_told: 0,
        }
    }

    /// The first message on its stream.
    pub(super) fn acknowledgement(&self) -> Value {
        let accepted = Map::from_iter([(
            "notifications".to_string(),
            Value::Object(self.accepted.clone()),
        )]);
        self.notification("notifications/subscriptions/acknowledged", accepted)
    }

    /// What is told next; `None` where nothing was asked for.
    pub(super) fn next_news(&mut self) -> Option<Value> {
        let at = self.n_told.checked_rem(self.news.len())?;
        self.n_told = self.n_told.wrapping_add(1);
        let (method, params) = self.news[at].clone();
        Some(self.notification(method, params))
    }

    fn notification(&self, method: &str, mut params: Map<String, Value>) -> Value {
        params.insert("_meta".to_string(), json!({ID_KEY: self.id}));
        json!({"jsonrpc": "2.0", "method": method, "params": params})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_in_turn() {
        let wanted = json!({
            "toolsListChanged": true,
            "promptsListChanged": false,
            "resourceSubscriptions": ["demo://readme", "demo://no", 7],
        });
        let mut subscribed = Subscribed::new(&json!(5), &json!({"notifications": wanted}));
        let first = subscribed.acknowledgement();
        assert_eq!(first["params"]["_meta"][ID_KEY], 5);
        let accepted = json!({
            "toolsListChanged": true, "resourceSubscriptions": ["demo://readme"],
        });
        assert_eq!(first["params"]["notifications"], accepted);
        let mut news = || subscribed.next_news().expect("news");
        let methods = [(); 3].map(|()| news()["method"].clone());
        let (tools, resource) = (
            "notifications/tools/list_changed",
            "notifications/resources/updated",
        );
        assert_eq!(methods, [tools, resource, tools]);
        assert_eq!(news()["params"]["uri"], "demo://readme");
        for params in [json!({}), json!({"notifications": 7}), Value::Null] {
            assert_eq!(Subscribed::new(&json!("a"), &params).next_news(), None);
        }
    }
}
