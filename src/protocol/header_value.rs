//! Text as an HTTP header value, as MCP 2026-07-28 mirrors it from the body.
//!
//! Visible ASCII travels as it is; everything else is wrapped in a sentinel,
//! `=?base64?…?=`, with the base64 of the UTF-8. Which texts become headers is
//! not known here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::read_string;

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// The header value for `text`.
///
/// A tab is wrapped even inside the text: that is always allowed, and the
/// official conformance suite wants it.
pub fn encode_header_value(text: &str) -> String {
    if travels_plain(text) {
        text.to_string()
    } else {
        format!("{SENTINEL_START}{}{SENTINEL_END}", STANDARD.encode(text))
    }
}

/// The header value for the text of a JSON value: of a string its content, of
/// anything else the text as it is.
pub fn header_value_of_json(json: &str) -> String {
    match read_string(json) {
        Some(text) => encode_header_value(&text),
        None => encode_header_value(json),
    }
}

/// The text of a header value; `None` where the sentinel holds no base64 or
/// no UTF-8.
pub fn decode_header_value(value: &str) -> Option<String> {
    let Some(wrapped) = sentinel_payload(value) else {
        return Some(value.to_string());
    };
    String::from_utf8(STANDARD.decode(wrapped).ok()?).ok()
}

fn travels_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && sentinel_payload(text).is_none()
}

fn sentinel_payload(value: &str) -> Option<&str> {
    value
        .strip_prefix(SENTINEL_START)?
        .strip_suffix(SENTINEL_END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_specification_s_examples() {
        for (text, expected) in [
            ("us-west1", "us-west1"),
            ("us west 1", "us west 1"),
            ("", ""),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("\tindented", "=?base64?CWluZGVudGVk?="),
        ] {
            assert_eq!(encode_header_value(text), expected, "{text:?}");
            assert_eq!(decode_header_value(expected).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_json_value_is_mirrored_as_its_text() {
        for (json, expected) in [
            (r#""a\u0062""#, "ab"),
            (r#""\n""#, "=?base64?Cg==?="),
            ("17", "17"),
            ("true", "true"),
        ] {
            assert_eq!(header_value_of_json(json), expected);
        }
    }

    #[test]
    fn a_broken_sentinel_is_no_text() {
        assert_eq!(decode_header_value("=?base64?***?="), None);
        assert_eq!(decode_header_value("=?base64?/w==?="), None);
        assert_eq!(
            decode_header_value("=?base64?=").as_deref(),
            Some("=?base64?=")
        );
    }

    proptest! {
        #[test]
        fn every_text_survives(text: String) {
            let value = encode_header_value(&text);
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(value.trim(), &value);
            prop_assert_eq!(decode_header_value(&value), Some(text));
        }
    }
}
