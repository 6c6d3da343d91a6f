//! An answer that is not what the protocol says it must be.
//!
//! A fault is the server's (or something between us), never the network's and
//! never an error that the server reports in the right form. It does not know
//! how faults are counted.

use std::fmt;

use serde::de::IgnoredAny;

use crate::text::{named, shown_part};

named! {
    /// What sort of fault it is: a key for counting.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum FaultKind {
        /// The bytes are not JSON, or not UTF-8.
        NotJson = "not JSON",
        /// JSON, but neither `result` nor `error` nor `method` in it.
        NotAMessage = "neither result nor error",
        /// Both `result` and `error`.
        ResultAndError = "both result and error",
        /// An answer to another request.
        WrongId = "wrong id",
        /// A message beyond the limit.
        TooLarge = "message too large",
        /// The stream ended in order, but without our answer.
        StreamEnded = "stream ended without the answer",
        /// 202 to a request: taken in, and never answered.
        AcceptedNotAnswered = "accepted but not answered",
        /// A `resultType` that the revision does not know.
        UnknownResultType = "unknown resultType",
        /// Neither JSON nor an event stream.
        UnexpectedContentType = "unexpected content type",
        /// A content coding that is not read here, or content that is not in it.
        ContentEncoding = "unusable content encoding",
        /// The server speaks only revisions that we do not.
        UnknownRevision = "unknown protocol revision",
        /// A revision that we speak, but not in this exchange.
        OtherEra = "revision of the other era",
        /// A result without what the specification demands of it.
        BadResult = "bad result",
        /// The server requires an input that this client cannot give.
        UnknownInput = "unknown input required",
        /// The answer to a subscription that does not begin with its acknowledgement.
        NotAcknowledged = "not acknowledged",
    }
    /// A few plain words for it.
    fn as_str
}

/// A fault with what came instead, ready to be shown: short, on one line,
/// control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolFault {
    kind: FaultKind,
    detail: String,
}

impl ProtocolFault {
    /// A fault; `detail` must be bounded and free of control characters
    /// (see [`excerpt`]), and may be empty.
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }

    /// Bytes that are not JSON. Where they are the beginning of it, that is told: whoever
    /// sent them was cut off.
    #[cold]
    pub fn not_json(bytes: &[u8]) -> Self {
        let what = excerpt(bytes);
        let detail = match is_beginning_of_json(bytes) {
            true => format!("it ends early: {what}"),
            false => what,
        };
        Self::new(FaultKind::NotJson, detail)
    }

    /// A message beyond `limit_bytes`.
    pub fn too_large(limit_bytes: usize) -> Self {
        Self::new(
            FaultKind::TooLarge,
            format!("more than {limit_bytes} bytes"),
        )
    }

    /// A request that was answered with a bare 202 (or 204).
    pub fn accepted_not_answered(status: u16) -> Self {
        Self::new(
            FaultKind::AcceptedNotAnswered,
            format!("status {status} to a request, without an answer"),
        )
    }

    /// A body of a form that MCP does not have; `content_type` as it came.
    pub fn unexpected_content_type(content_type: Option<&str>, body: &[u8]) -> Self {
        let named = content_type.map_or_else(
            || "no content type".to_string(),
            |value| format!("`{}`", excerpt(value.as_bytes())),
        );
        let shown = if body.trim_ascii().is_empty() {
            format!("{named}, and no body")
        } else {
            format!("{named}: {}", excerpt(body))
        };
        Self::new(FaultKind::UnexpectedContentType, shown)
    }

    /// Content in a coding that is not read here, by its name.
    pub fn content_encoding(name: &str) -> Self {
        Self::new(
            FaultKind::ContentEncoding,
            format!("`{name}`, although `identity` was asked for"),
        )
    }

    /// A message that is announced with a length beyond `limit_bytes`.
    pub fn announced_too_large(length: u64, limit_bytes: usize) -> Self {
        Self::new(
            FaultKind::TooLarge,
            format!("it is announced with {length} bytes, the limit is {limit_bytes}"),
        )
    }

    /// What sort of fault it is.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// What came, or what is missing.
    #[cfg(test)]
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for ProtocolFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for ProtocolFault {}

/// More is not looked at a second time: it is the worker that looks.
const CUT_BYTES_MAX: usize = 1 << 20;

/// Whether an object or a list begins there and nothing is wrong with it but that it has no
/// end.
fn is_beginning_of_json(bytes: &[u8]) -> bool {
    let is_looked_at = bytes.len() <= CUT_BYTES_MAX;
    let has_begun = matches!(bytes.trim_ascii_start(), [b'{' | b'[', ..]);
    let read = || serde_json::from_slice::<IgnoredAny>(bytes);
    is_looked_at && has_begun && read().is_err_and(|error| error.is_eof())
}

/// The most characters that an excerpt shows.
const EXCERPT_MAX: usize = 500;

/// The beginning of what came, fit to be shown on one line: at most 500
/// characters, control and direction characters escaped, the cut marked.
pub fn excerpt(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_string();
    }
    if let Some(told) = no_text(bytes) {
        return told;
    }
    // No character takes more than four bytes: the rest need not be decoded.
    let head = &bytes[..bytes.len().min(EXCERPT_MAX * 4)];
    shown_part(&String::from_utf8_lossy(head), EXCERPT_MAX, bytes.len())
}

/// What is said of bytes that are not text, such as an image or compressed content: how
/// many, and how they begin. `None`: they are to be shown.
pub fn no_text(bytes: &[u8]) -> Option<String> {
    const ODD_MIN: usize = 4;
    const BEGIN_BYTES: usize = 8;
    let head = &bytes[..bytes.len().min(EXCERPT_MAX * 4)];
    let head = String::from_utf8_lossy(head);
    let is_blank = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{1b}');
    let is_odd = |c: &char| *c == '\u{fffd}' || c.is_control() && !is_blank(*c);
    let n_odd = head.chars().filter(is_odd).count();
    // A text with a few broken letters is one.
    if n_odd < ODD_MIN || n_odd * 8 < head.chars().count() {
        return None;
    }
    let begin = bytes.iter().take(BEGIN_BYTES);
    let begin: Vec<String> = begin.map(|byte| format!("{byte:02x}")).collect();
    Some(format!(
        "{} bytes that are not text (they begin with {})",
        bytes.len(),
        begin.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn excerpts_are_short_and_on_one_line() {
        assert_eq!(excerpt(b""), "nothing");
        assert_eq!(excerpt(b"a\nb\x1b[31m\n"), "a\\nb\\u{1b}[31m");
        assert_eq!(excerpt("\u{202e}x".as_bytes()), "\\u{202e}x");
        let long = excerpt(&[b'x'; 5000]);
        assert_eq!(long.chars().count(), EXCERPT_MAX + 1);
        assert!(long.ends_with('…'));
        assert_eq!(excerpt(b"\xff"), "\u{fffd}");
    }

    #[test]
    fn what_is_no_text_is_not_shown_as_one() {
        let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xaa\x56\x4a\x2d\x2a\xca\x2f\x02\x00";
        assert_eq!(
            excerpt(gzip),
            "19 bytes that are not text (they begin with 1f 8b 08 00 00 00 00 00)"
        );
        // Latin-1, and one broken letter in many.
        let latin = b"Zug\xe4nge f\xfcr M\xfcller und S\xf6hne sind gesperrt";
        assert!(excerpt(latin).starts_with("Zug\u{fffd}nge"));
    }

    #[test]
    fn a_fault_says_kind_and_detail() {
        assert_eq!(
            ProtocolFault::too_large(16).to_string(),
            "message too large: more than 16 bytes"
        );
        assert_eq!(
            ProtocolFault::new(FaultKind::StreamEnded, "").to_string(),
            "stream ended without the answer"
        );
    }

    proptest! {
        #[test]
        fn excerpts_of_anything_are_bounded(bytes: Vec<u8>) {
            let text = excerpt(&bytes);
            prop_assert!(text.chars().count() <= EXCERPT_MAX * 10 + 1);
            prop_assert!(!text.chars().any(char::is_control));
        }
    }
}
