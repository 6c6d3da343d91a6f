//! What comes on the listening stream of a legacy session: messages that belong to no
//! exchange of ours.
//!
//! Pure, like `reply.rs`, which finds the answer to one request: here there is none that is
//! awaited, and nothing that comes is a failure of a call.

use std::ops::ControlFlow;
use std::time::Duration;

use super::answer::{BATCH_MAX, EventContent, Expect, METHOD_MAX, read_message_of_event};
use super::fault::ProtocolFault;
use super::fields::{look_at_elements, read_fields, read_string};
use super::requests::ServerRequest;
use super::sse::{SseDecoder, SseFault};
use crate::text::shown_text;

/// One message on a listening stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A notification, with its method: on one line, at most 100 characters.
    Notification(String),
    /// A request of the server's own, which awaits an answer.
    Request(ServerRequest),
    /// An answer to the request with this id. It stands here where the server has answered
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
pub struct StreamReader(SseDecoder);

impl StreamReader {
    /// A reader that refuses lines and events beyond `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self(SseDecoder::new(limit_bytes))
    }

    /// Another stream begins. The last event id and the wait stay.
    pub fn resume(&mut self) {
        self.0.reconnect();
    }

    /// Takes a piece of the stream, and says each message that it completes.
    ///
    /// # Errors
    /// `TooLarge`: the stream is lost then.
    pub fn feed(
        &mut self,
        input: &[u8],
        say: &mut dyn FnMut(Heard<'_>),
    ) -> Result<(), ProtocolFault> {
        let mut used = 0;
        while used < input.len() {
            let (n_bytes, event) =
                self.0
                    .feed(&input[used..])
                    .map_err(|SseFault::TooLarge { limit_bytes }| {
                        ProtocolFault::too_large(limit_bytes)
                    })?;
            used += n_bytes;
            // As for the answer to a call: MCP knows no other events.
            let told = event.filter(|it| !it.data.is_empty());
            if let Some(event) = told.filter(|it| matches!(it.name, b"" | b"message")) {
                hear(event.data, say);
            }
        }
        Ok(())
    }

    /// Gives the buffers back, where no event is cut.
    pub fn give_back(&mut self) {
        self.0.give_back();
    }

    /// The last event id, to go on after it.
    pub fn last_event_id(&self) -> Option<&str> {
        self.0.last_event_id()
    }

    /// How long the server wants to be left alone before the stream is opened again.
    pub fn retry(&self) -> Option<Duration> {
        self.0.retry()
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
