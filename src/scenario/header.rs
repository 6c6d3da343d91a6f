//! Which headers a user may add to every request.
//!
//! Messages name the header, never its value.

use std::fmt;

use crate::protocol::is_token_byte;

/// A request header given by the user.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// A valid HTTP header name.
    pub name: String,
    /// A valid HTTP header value; every value counts as a secret.
    pub value: String,
}

/// Never shows the value.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ***", self.name)
    }
}

/// Checks a header given by the user; its value loses surrounding blanks.
///
/// # Errors
/// What is wrong with it, without the value.
pub fn check_header(name: &str, value: &str) -> Result<Header, &'static str> {
    checked(name, value, reserved)
}

/// Checks a header for collectors of metrics.
///
/// # Errors
/// What is wrong with it, without the value, and without a name that is not valid.
pub fn check_collector_header(name: &str, value: &str) -> Result<Header, &'static str> {
    checked(name, value, reserved_of_collector)
}

fn checked(
    name: &str,
    value: &str,
    reserved: fn(&str) -> Option<&'static str>,
) -> Result<Header, &'static str> {
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err("is not a header name: letters, digits and `-` are");
    }
    if let Some(reason) = reserved(name) {
        return Err(reason);
    }
    let value = value.trim_matches([' ', '\t']);
    if value.is_empty() {
        return Err("has an empty value");
    }
    if value.contains(['\r', '\n']) {
        return Err("has a line break in its value");
    }
    if !value.bytes().all(is_value_byte) {
        return Err("has a control character in its value");
    }
    Ok(Header {
        name: name.to_string(),
        value: value.to_string(),
    })
}

/// Why a header is not the user's to set.
fn reserved(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    if name.starts_with("mcp-param-") {
        return Some("is set for each call, from the tool's arguments");
    }
    match name.as_str() {
        "content-type" | "accept" => Some("is fixed by MCP's transport and set by this program"),
        name if is_framing(name) => Some("frames the request and is set by this program"),
        "mcp-session-id" => Some("belongs to each user's own session"),
        "mcp-protocol-version" => Some("follows from the revision; choose it with `protocol`"),
        "mcp-method" | "mcp-name" => Some("is set for each call"),
        "last-event-id" => Some("is set when a stream is resumed"),
        _ => None,
    }
}

/// The same for a request to a collector.
fn reserved_of_collector(name: &str) -> Option<&'static str> {
    match name.to_ascii_lowercase().as_str() {
        "host" => Some("is `Host`, which follows from the collector's address"),
        "content-type" | "content-encoding" => {
            Some("says how the metrics are written, which this program does")
        }
        name if is_framing(name) => Some("frames the request and is set by this program"),
        _ => None,
    }
}

/// `name` is in small letters.
fn is_framing(name: &str) -> bool {
    matches!(
        name,
        "content-length"
            | "transfer-encoding"
            | "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "upgrade"
            | "expect"
            | "proxy-connection"
    )
}

/// RFC 9110 §5.5: visible ASCII, blanks inside, and every byte above ASCII.
fn is_value_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_accepted() {
        for (name, value) in [
            ("Authorization", "Bearer abc"),
            ("X-Trace", "a\tb"),
            ("Host", "example.org:8080"),
            ("x", "é"),
        ] {
            let header = check_header(name, &format!(" {value} ")).expect("a good header");
            assert_eq!((header.name.as_str(), header.value.as_str()), (name, value));
        }
    }

    #[test]
    fn a_collector_is_not_told_another_length_or_host() {
        let check = |name: &str, expected: &str| {
            let message = check_collector_header(name, "1").expect_err("a bad header");
            assert!(message.contains(expected), "{name}: {message}");
        };
        check("HOST", "collector's address");
        check("Content-Length", "frames");
        check("transfer-encoding", "frames");
        check("Content-Type", "how the metrics are written");
        check("", "not a header name");
        assert!(check_collector_header("Authorization", "Bearer a").is_ok());
    }

    #[test]
    fn headers_are_refused_without_their_value() {
        let check = |name: &str, value: &str, expected: &str| {
            let message = check_header(name, value).expect_err("a bad header");
            assert!(message.contains(expected), "{name}: {message}");
            assert!(!message.contains("hunter2"), "{name}");
        };
        check("", "hunter2", "not a header name");
        check("X Y", "hunter2", "not a header name");
        check("X:", "hunter2", "not a header name");
        check("X\r\nY", "hunter2", "not a header name");
        check("Ключ", "hunter2", "not a header name");
        check("X", "hunter2\r\nY: z", "line break");
        check("X", "hunter2\u{0}", "control character");
        check("X", "hunter2\u{7f}", "control character");
        check("X", "  ", "empty");
        check("Mcp-Session-Id", "hunter2", "session");
        check("MCP-PARAM-Region", "hunter2", "each call");
        check("content-LENGTH", "1", "frames");
        check("Accept", "*/*", "transport");
    }
}
