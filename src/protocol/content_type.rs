//! Which of the two forms of an answer a `Content-Type` announces.
//!
//! Does not look at the body: what the header says decides, not the framing.

/// The form of an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// One JSON object.
    Json,
    /// A stream of server-sent events.
    EventStream,
    /// Anything else, or no `Content-Type` at all.
    Other,
}

impl BodyKind {
    /// Reads the value of a `Content-Type` header; parameters such as
    /// `charset` and the case of letters say nothing.
    pub fn from_content_type(value: &[u8]) -> BodyKind {
        // By far the usual ones.
        match value {
            b"application/json" => return BodyKind::Json,
            b"text/event-stream" => return BodyKind::EventStream,
            _ => {}
        }
        let essence = value.split(|byte| *byte == b';').next();
        let essence = essence.unwrap_or_default().trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/json") {
            BodyKind::Json
        } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
            BodyKind::EventStream
        } else {
            BodyKind::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_essence_decides() {
        for (value, expected) in [
            ("application/json", BodyKind::Json),
            ("Application/JSON; charset=utf-8", BodyKind::Json),
            ("text/event-stream", BodyKind::EventStream),
            (" text/event-stream ;charset=utf-8", BodyKind::EventStream),
            ("application/json-seq", BodyKind::Other),
            ("text/html; charset=utf-8", BodyKind::Other),
            ("", BodyKind::Other),
            (";", BodyKind::Other),
        ] {
            let found = BodyKind::from_content_type(value.as_bytes());
            assert_eq!(found, expected, "{value}");
        }
    }
}
