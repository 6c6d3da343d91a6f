//! What comes on the listening stream of a legacy session, and on that of a modern
//! subscription: messages that belong to no exchange of ours.
//!
//! Pure, like `reply.rs`, which finds the answer to one request: here there is none that is
//! awaited, and nothing that comes is a failure of a call.

use std::ops::ControlFlow;
use std::time::Duration;

use super::answer::{BATCH_MAX, EventContent, Expect, METHOD_MAX, read_message_of_event};
use super::fault::{FaultKind, ProtocolFault};
use super::fields::{look_at_elements, read_fields, read_string};
use super::requests::ServerRequest;
use super::sse::{SseDecoder, SseFault};
use super::subscription::{Followed, SubscriptionEnd, SubscriptionWatch};
use crate::text::shown_text;

/// One message on a listening stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A notification, with its method: on one line, at most 100 characters.
    Notification(String),
    /// A request of the server's own, which awaits an answer.
    Request(ServerRequest),
    /// An answer to the request with this id. It is here where the server has answered
    /// that request with 202.
    Answer {
        /// The id.
        id: u64,
        /// The whole message.
        text: &'a str,
    },
    /// Something else: no message, or an answer to nothing that was asked.
    Unreadable,
}

/// Reads one listening stream, and those that resume it.
#[derive(Debug)]
pub struct StreamReader {
    events: SseDecoder,
    /// Where the stream answers a subscription.
    subscription: Option<SubscriptionWatch>,
}

impl StreamReader {
    /// A reader that refuses lines and events beyond `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            events: SseDecoder::new(limit_bytes),
            subscription: None,
        }
    }

    /// Another stream begins. The last event id and the wait stay.
    pub fn resume(&mut self) {
        self.events.reconnect();
    }

    /// The next stream answers the subscription with this id.
    pub fn subscribe(&mut self, id: u64) {
        self.subscription = Some(SubscriptionWatch::new(id));
    }

    /// Whether nothing is left to be acknowledged: a legacy stream needs no word of that.
    pub fn is_acknowledged(&self) -> bool {
        let watch = self.subscription.as_ref();
        watch.is_none_or(SubscriptionWatch::is_acknowledged)
    }

    /// How the server has ended the subscription, if it has.
    pub fn subscription_end(&self) -> Option<&SubscriptionEnd> {
        self.subscription.as_ref()?.end()
    }

    /// What is missing where the stream ends now.
    ///
    /// # Errors
    /// `StreamEnded`: the result with which a server ends a subscription; `NotAcknowledged`:
    /// not even the word with which it begins one has come.
    pub fn check_end(&self) -> Result<(), ProtocolFault> {
        match &self.subscription {
            Some(watch) if !watch.is_acknowledged() => {
                let detail = "the stream ended first";
                Err(ProtocolFault::new(FaultKind::NotAcknowledged, detail))
            }
            Some(watch) if watch.end().is_none() => {
                let detail = "no result says that the server has ended the subscription";
                Err(ProtocolFault::new(FaultKind::StreamEnded, detail))
            }
            _ => Ok(()),
        }
    }

    /// Takes a piece of the stream, and says each message that it completes.
    ///
    /// # Errors
    /// `TooLarge`, and where the stream is not that of its subscription (`NotAcknowledged`,
    /// `WrongId`): it is lost then.
    pub fn feed(
        &mut self,
        input: &[u8],
        say: &mut dyn FnMut(Heard<'_>),
    ) -> Result<(), ProtocolFault> {
        let mut used = 0;
        while used < input.len() {
            let (n_bytes, event) = self.events.feed(&input[used..]).map_err(
                |SseFault::TooLarge { limit_bytes }| ProtocolFault::too_large(limit_bytes),
            )?;
            used += n_bytes;
            // As for the answer to a call: MCP knows no other events.
            let told = event.filter(|it| !it.data.is_empty());
            if let Some(event) = told.filter(|it| matches!(it.name, b"" | b"message")) {
                match &mut self.subscription {
                    None => hear(event.data, say),
                    Some(watch) => hear_subscribed(watch, event.data, say)?,
                }
            }
        }
        Ok(())
    }

    /// Whether an event has begun to come, and not yet ended.
    pub fn is_inside_event(&self) -> bool {
        self.events.is_inside_event()
    }

    /// Gives the buffers back, where no event is cut.
    pub fn give_back(&mut self) {
        self.events.give_back();
    }

    /// The last event id, to go on after it.
    pub fn last_event_id(&self) -> Option<&str> {
        self.events.last_event_id()
    }

    /// How long the server wants to be left alone before the stream is opened again.
    pub fn retry(&self) -> Option<Duration> {
        self.events.retry()
    }
}

fn hear(data: &[u8], say: &mut dyn FnMut(Heard<'_>)) {
    let Ok(text) = std::str::from_utf8(data.trim_ascii()) else {
        return say(Heard::Unreadable);
    };
    if !text.starts_with('[') {
        return say(hear_one(text));
    }
    // A batch, as 2025-03-26 allowed it.
    let looked = look_at_elements(text, BATCH_MAX, |message| {
        say(hear_one(message));
        ControlFlow::Continue(())
    });
    if looked.is_none() {
        say(Heard::Unreadable);
    }
}

/// What comes on the stream of a subscription, which nothing follows once it has ended.
fn hear_subscribed(
    watch: &mut SubscriptionWatch,
    data: &[u8],
    say: &mut dyn FnMut(Heard<'_>),
) -> Result<(), ProtocolFault> {
    if watch.end().is_some() {
        return Ok(());
    }
    // What is not UTF-8 is not a message, whatever is left of it.
    let text = String::from_utf8_lossy(data.trim_ascii());
    match watch.look_at(&text)? {
        Followed::Message => say(hear_one(&text)),
        Followed::Acknowledged | Followed::Ended => {}
    }
    Ok(())
}

fn hear_one(text: &str) -> Heard<'_> {
    // No request of ours has this id.
    let nobody = Expect::result(0, None);
    match read_message_of_event(text, &nobody) {
        Ok(EventContent::ServerRequest(request)) => Heard::Request(request),
        Ok(EventContent::Notification) => {
            let method = read_fields(text, ["method"]).and_then(|[method]| read_string(method?));
            method.map_or(Heard::Unreadable, |method| {
                Heard::Notification(shown_text(&method, METHOD_MAX))
            })
        }
        Ok(EventContent::Answer(_) | EventContent::Foreign(_)) => {
            let id = read_fields(text, ["id"]).and_then(|[id]| id?.parse().ok());
            id.map_or(Heard::Unreadable, |id| Heard::Answer { id, text })
        }
        Err(_) => Heard::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is heard of a stream in pieces of this length, as text.
    fn heard(stream: &[u8], piece: usize) -> Vec<String> {
        let mut reader = StreamReader::new(1024);
        let mut said = Vec::new();
        for piece in stream.chunks(piece) {
            let mut say = |it: Heard<'_>| {
                said.push(match it {
                    Heard::Notification(method) => method,
                    Heard::Request(request) => format!("{}?{}", request.method, request.id_json),
                    Heard::Answer { id, .. } => format!("answer {id}"),
                    Heard::Unreadable => "unreadable".to_string(),
                });
            };
            if let Err(fault) = reader.feed(piece, &mut say) {
                said.push(fault.to_string());
                return said;
            }
            reader.give_back();
        }
        said
    }

    const STREAM: &str = concat!(
        ": hello\n\nid: 1\nretry: 250\ndata:\n\n",
        "id: 2\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n",
        "event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\"}\r\n\r\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n",
        "event: other\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"never\"}\n\n",
        "data: {\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}\n\ndata: <html>\n\n",
        "data: [{\"jsonrpc\":\"2.0\",\"method\":\"one\"},{\"jsonrpc\":\"2.0\",\"method\":\"two\"}]\n\n",
    );

    #[test]
    fn each_message_is_told_once_at_any_cut() {
        for piece in 1..STREAM.len() {
            assert_eq!(
                heard(STREAM.as_bytes(), piece),
                [
                    "notifications/message",
                    "ping?\"a\"",
                    "answer 7",
                    "unreadable",
                    "unreadable",
                    "one",
                    "two"
                ],
                "{piece}"
            );
        }
    }

    #[test]
    fn the_stream_says_how_to_go_on() {
        let mut reader = StreamReader::new(1024);
        reader.feed(STREAM.as_bytes(), &mut |_| ()).expect("small");
        reader.resume();
        assert_eq!(reader.last_event_id(), Some("2"));
        assert_eq!(reader.retry(), Some(Duration::from_millis(250)));
    }

    /// The acknowledgement is no news, nothing after the end is heard, and only the server's
    /// word is an end in good order.
    #[test]
    fn a_subscription_is_heard_from_its_acknowledgement_to_its_end() {
        const META: &str = r#""_meta":{"io.modelcontextprotocol/subscriptionId":5}"#;
        let told = |method: &str| {
            format!(
                "data: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{{META}}}}}\n\n"
            )
        };
        let stream = [
            ": hello\n\n".to_string(),
            told("notifications/subscriptions/acknowledged"),
            told("notifications/tools/list_changed"),
            "data: {\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{}}\n\n".to_string(),
            told("never"),
        ]
        .concat();
        for piece in 1..stream.len() {
            let mut reader = StreamReader::new(1024);
            reader.subscribe(5);
            assert!(!reader.is_acknowledged() && reader.check_end().is_err());
            let mut said = Vec::new();
            for piece in stream.as_bytes().chunks(piece) {
                let mut say = |it: Heard<'_>| said.push(format!("{it:?}"));
                reader.feed(piece, &mut say).expect("the subscription's");
            }
            let expected = Heard::Notification("notifications/tools/list_changed".to_string());
            assert_eq!(said, [format!("{expected:?}")], "{piece}");
            assert!(reader.is_acknowledged() && reader.check_end().is_ok());
            assert_eq!(reader.subscription_end(), Some(&SubscriptionEnd::Graceful));
        }
        let mut reader = StreamReader::new(1024);
        reader.subscribe(6);
        let refused = reader.feed(stream.as_bytes(), &mut |_| ());
        assert_eq!(refused.map_err(|it| it.kind()), Err(FaultKind::WrongId));
    }

    #[test]
    fn a_large_event_ends_the_stream() {
        let stream = format!("data: {}", "x".repeat(2000));
        let said = heard(stream.as_bytes(), 100);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].contains("1,024") || said[0].contains("1024"),
            "{said:?}"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(stream: Vec<u8>, piece in 1..64_usize) {
            heard(&stream, piece);
        }
    }
}
