//! What makes an address fit to be a target, and how it may be shown: the one
//! judge of addresses, whoever gives them.
//!
//! Messages never hold the address: it may have a password or a token in it.

use std::net::Ipv6Addr;

use crate::error::UserError;
use crate::redact::{MASK, names_credential};

/// What is accepted.
pub const FORM: &str = "an address such as `http://127.0.0.1:8080/mcp`";

/// The longest address in bytes: what RFC 9110 asks every server to take.
pub const BYTES_MAX: usize = 8000;

/// Why an address cannot be a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressFault {
    /// What is wrong, without the address.
    pub message: String,
    /// The address that was probably meant, where it holds no secret.
    pub suggestion: Option<String>,
}

/// Checks an address and returns it without surrounding blanks, its scheme in
/// small letters.
///
/// # Errors
/// Where the scheme is not `http` or `https`, host or port are missing or invalid, user
/// info or a fragment is there, or a character is not allowed in an address.
pub fn check(text: &str) -> Result<String, AddressFault> {
    let fault = |message: &str| AddressFault {
        message: message.to_string(),
        suggestion: None,
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(fault("is empty"));
    }
    if text.len() > BYTES_MAX {
        return Err(fault(&format!("is longer than {BYTES_MAX} bytes")));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(AddressFault {
            message: "has no scheme".to_string(),
            suggestion: with_scheme(text),
        });
    };
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return Err(fault("has a scheme other than `http` and `https`"));
    }
    let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_len);
    if authority.contains('@') {
        return Err(fault(
            "holds a user name or password; send a header instead: \
             `-H 'Authorization: …'`, or `Authorization = \"Bearer ${API_KEY}\"` under `[headers]`",
        ));
    }
    check_authority(authority).map_err(fault)?;
    if path.contains('#') {
        return Err(fault("has a fragment (`#…`), which is never sent"));
    }
    // Beyond what the standard forbids, so that no client library refuses it.
    let is_forbidden = |c: char| !c.is_ascii_graphic() || "\"<>\\^`{|}".contains(c);
    if path.contains(is_forbidden) {
        return Err(fault(
            "holds a character that must be percent-encoded there",
        ));
    }
    Ok(format!("{scheme}://{rest}"))
}

fn check_authority(authority: &str) -> Result<(), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let Some((host, port)) = bracketed.split_once(']') else {
                return Err("has a `[` without `]`");
            };
            // RFC 6874; it says where to send, and is not sent.
            let (host, zone) = match host.split_once('%') {
                Some((host, zone)) => (host, Some(zone.strip_prefix("25").unwrap_or(zone))),
                None => (host, None),
            };
            if host.parse::<Ipv6Addr>().is_err() {
                return Err("has no IPv6 address between `[` and `]`");
            }
            let is_zone_char = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            if zone.is_some_and(|zone| zone.is_empty() || !zone.chars().all(is_zone_char)) {
                return Err("has a zone behind `%` in its IPv6 address that no interface has");
            }
            (host, port)
        }
        // With a port behind it, it may still read as an address.
        None if authority.contains("::") || authority.parse::<Ipv6Addr>().is_ok() => {
            return Err("has an IPv6 address without `[` and `]` around it");
        }
        None => {
            let host_len = authority.find(':').unwrap_or(authority.len());
            authority.split_at(host_len)
        }
    };
    if host.is_empty() {
        return Err("has no host");
    }
    if host.len() > HOST_BYTES_MAX {
        return Err("has a host that is longer than any");
    }
    if !host.is_ascii() {
        return Err("has a host outside of ASCII; write it in its `xn--` form");
    }
    let is_host_char = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if !host.chars().all(is_host_char) {
        return Err("has a character in its host that no host has");
    }
    let port_is_right = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse::<u16>().is_ok_and(|port| port > 0)
        }
    };
    if !port_is_right {
        return Err("has a port that is not a number from 1 to 65535");
    }
    Ok(())
}

/// RFC 1035 §2.3.4.
const HOST_BYTES_MAX: usize = 255;

/// `localhost:8080/mcp` lacks nothing but `http://`.
fn with_scheme(text: &str) -> Option<String> {
    let is_plain = !text.contains(['@', '?', '#']) && text.len() <= 100;
    let url = format!("http://{text}");
    (is_plain && check(&url).is_ok()).then_some(url)
}

/// The fault of an address that was given as an argument.
///
/// The same words in every command: `URL: has no scheme; expected …`.
impl From<AddressFault> for UserError {
    fn from(fault: AddressFault) -> Self {
        let accepted = match fault.suggestion {
            Some(url) => format!("`{url}`"),
            None => FORM.to_string(),
        };
        UserError::usage(format!("URL: {}; expected {accepted}", fault.message))
    }
}

/// Scheme, host and port, to which credentials belong: `http://a:80`.
///
/// `url` is one that [`check`] has let through.
pub fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = rest[..end].to_ascii_lowercase();
    let port_at = authority
        .rfind(':')
        .filter(|at| !authority[*at..].contains(']'));
    match (port_at, scheme) {
        (Some(_), _) => format!("{scheme}://{authority}"),
        (None, "https") => format!("https://{authority}:443"),
        (None, _) => format!("{scheme}://{authority}:80"),
    }
}

/// Whether it is one of TLS, its host as it is written, and its port.
///
/// `None` where `url` is not one that [`check`] has let through.
pub fn authority(url: &str) -> Option<(bool, String, u16)> {
    let origin = origin(url);
    let (scheme, authority) = origin.split_once("://")?;
    let (host, port) = authority.rsplit_once(':')?;
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| (scheme == "https", host.to_string(), port))
}

/// The zone of the host, and the address without it, as it is sent.
pub fn without_zone(url: &str) -> (String, Option<String>) {
    let authority_from = url.find("://").map_or(0, |at| at + 3);
    let authority_end = url[authority_from..].find(['/', '?', '#']);
    let authority_end = authority_end.map_or(url.len(), |end| authority_from + end);
    let bracket = url[..authority_end].find(']');
    let percent = url[..authority_end].find('%');
    match (percent, bracket) {
        (Some(percent), Some(bracket)) if percent < bracket => {
            let zone = &url[percent + 1..bracket];
            let zone = zone.strip_prefix("25").unwrap_or(zone);
            let without = format!("{}{}", &url[..percent], &url[bracket..]);
            (without, Some(zone.to_string()))
        }
        _ => (url.to_string(), None),
    }
}

/// The address as it may be shown: `***` for user info, for each value of its
/// query and for what looks like a key in its path. Takes any text.
pub fn shown(url: &str) -> String {
    let parts = AddressParts::of(url);
    let mut text = parts.scheme.to_string();
    if parts.user_info.is_some() {
        text.push_str(MASK);
        text.push('@');
    }
    text.push_str(parts.host);
    for (i, segment) in parts.path.split('/').enumerate() {
        if i > 0 {
            text.push('/');
        }
        text.push_str(if is_key(segment) { MASK } else { segment });
    }
    if let Some(query) = parts.query {
        let parameters: Vec<String> = query
            .split('&')
            .map(|parameter| match parameter.split_once('=') {
                Some((name, _)) => format!("{name}={MASK}"),
                None => MASK.to_string(),
            })
            .collect();
        text.push('?');
        text.push_str(&parameters.join("&"));
    }
    if parts.fragment.is_some() {
        text.push('#');
        text.push_str(MASK);
    }
    text
}

/// Whether an address holds a user name or password. Takes any text.
pub fn has_user_info(url: &str) -> bool {
    AddressParts::of(url).user_info.is_some()
}

/// What is secret in an address: user info, the values of its query that are
/// not plainly [harmless](is_harmless), and what looks like a key in its path.
/// Takes any text.
pub fn secrets(url: &str) -> Vec<String> {
    let parts = AddressParts::of(url);
    let mut found = Vec::new();
    if let Some(user_info) = parts.user_info {
        found.push(user_info.to_string());
        found.extend(
            user_info
                .split_once(':')
                .map(|(_, password)| password.to_string()),
        );
    }
    found.extend(
        parts
            .path
            .split('/')
            .filter(|segment| is_key(segment))
            .map(str::to_string),
    );
    for parameter in parts.query.unwrap_or_default().split('&') {
        match parameter.split_once('=') {
            Some((name, value)) if !is_harmless(name, value) => found.push(value.to_string()),
            Some(_) => {}
            None if is_key(parameter) => found.push(parameter.to_string()),
            None => {}
        }
    }
    found.extend(parts.fragment.map(str::to_string));
    found.retain(|secret| !secret.is_empty());
    found
}

/// Whether a parameter of a query is plainly no secret: a truth value or a
/// small number under a name that does not speak of a credential.
pub fn is_harmless(name: &str, value: &str) -> bool {
    let is_small_number = value.len() <= 4 && value.bytes().all(|byte| byte.is_ascii_digit());
    let name_is_plain = || {
        // Shorter words than those that speak of a credential elsewhere.
        const WORDS: [&str; 8] = [
            "pass", "pwd", "key", "auth", "code", "sig", "pin", "session",
        ];
        let name = name.to_ascii_lowercase();
        !names_credential(&name) && !WORDS.iter().any(|word| name.contains(word))
    };
    (is_small_number || matches!(value, "true" | "false")) && name_is_plain()
}

/// Long, and of letters and digits mixed, as keys and identifiers of accounts
/// are and names of routes are not.
fn is_key(segment: &str) -> bool {
    const KEY_LEN_MIN: usize = 20;
    segment.len() >= KEY_LEN_MIN
        && segment.bytes().any(|byte| byte.is_ascii_digit())
        && segment.bytes().any(|byte| byte.is_ascii_alphabetic())
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%=".contains(&byte))
}

/// The parts of an address, as they were written.
struct AddressParts<'a> {
    /// With its `://`; empty without.
    scheme: &'a str,
    user_info: Option<&'a str>,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> AddressParts<'a> {
    fn of(url: &'a str) -> Self {
        let (scheme, rest) = match url.find("://") {
            Some(at) => url.split_at(at + 3),
            None => ("", url),
        };
        let (rest, fragment) = split_off(rest, '#');
        let (rest, query) = split_off(rest, '?');
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user_info, host) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info), host),
            None => (None, authority),
        };
        Self {
            scheme,
            user_info,
            host,
            path,
            query,
            fragment,
        }
    }
}

/// What follows the host and port, without query and fragment. Takes any text.
pub fn path(url: &str) -> &str {
    AddressParts::of(url).path
}

/// Whether a part of an address begins in its scheme, host or port: what names a server is
/// no secret. Of an address with user info no part does. Takes any text.
pub fn is_of_server(url: &str, part: &str) -> bool {
    let parts = AddressParts::of(url);
    let end = parts.scheme.len() + parts.host.len();
    parts.user_info.is_none() && url.find(part).is_some_and(|at| at < end)
}

fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_names_a_server_is_told_from_what_follows_it() {
        let check = |url: &str, part: &str, expected: bool| {
            assert_eq!(is_of_server(url, part), expected, "{part} of {url}");
        };
        let url = "https://a.test:81/of/me?k=some#end";
        for part in [url, "https", "a.test", "81", "a.test:81/of"] {
            check(url, part, true);
        }
        for part in ["of", "/of/me", "me?k=some", "some", "end", "elsewhere"] {
            check(url, part, false);
        }
        for part in ["root", "hunter2", "a.test"] {
            check("http://root:hunter2@a.test/", part, false);
        }
        check("", "a", false);
    }

    #[test]
    fn addresses_are_accepted() {
        for url in [
            "http://127.0.0.1:8080/mcp",
            "https://example.org",
            "https://example.org/mcp?key=a%20b&x",
            "http://[::1]:8080/mcp",
            "http://[::1]/",
            "http://[fe80::1%eth0]/",
            "http://[fe80::1%25eth0]:8080/mcp",
            "http://my_host-1.local:65535/",
        ] {
            assert_eq!(check(url).as_deref(), Ok(url));
        }
        assert_eq!(
            check(" HTTP://Host/Path ").as_deref(),
            Ok("http://Host/Path")
        );
    }

    #[test]
    fn hosts_and_zones_are_found() {
        for (url, is_https, host, port) in [
            ("http://A/mcp", false, "a", 80),
            ("https://a:8443", true, "a", 8443),
            ("https://[::1]?x", true, "[::1]", 443),
            ("http://[fe80::1%25lo]:81/", false, "[fe80::1%25lo]", 81),
        ] {
            assert_eq!(authority(url), Some((is_https, host.to_string(), port)));
        }
        assert_eq!(authority(""), None);
        for (url, without, zone) in [
            (
                "http://[fe80::1%25lo]:81/%25]",
                "http://[fe80::1]:81/%25]",
                Some("lo"),
            ),
            ("http://[fe80::1%eth0]", "http://[fe80::1]", Some("eth0")),
            ("http://[::1]/a%20b]", "http://[::1]/a%20b]", None),
            ("http://a/[%25x]", "http://a/[%25x]", None),
        ] {
            assert_eq!(
                without_zone(url),
                (without.to_string(), zone.map(str::to_string))
            );
        }
    }

    #[test]
    fn what_is_no_target_is_refused_without_showing_it() {
        let check = |url: &str, expected: &str| {
            let fault = check(url).expect_err("the address is at fault");
            assert!(fault.message.contains(expected), "{url}: {}", fault.message);
            assert!(!fault.message.contains("hunter2"), "{url}");
        };
        check("", "is empty");
        check("ftp://hunter2.org", "a scheme other");
        check("http://u:hunter2@example.org/", "user name or password");
        check("http://hunter2@[::1]/", "user name or password");
        check("http://", "no host");
        check("http:///mcp", "no host");
        check("http://:80/mcp", "no host");
        check("http://münchen.de/", "xn--");
        check("http://a b/", "character in its host");
        check("http://a%41/", "character in its host");
        check("http://[::1/", "without `]`");
        check("http://::1/mcp", "without `[`");
        check("http://fe80::1:8080/mcp", "without `[`");
        check("http://[fe80::1%]/", "has a zone");
        check("http://[fe80::1%25et h0]/", "has a zone");
        check(&format!("http://{}/", "a".repeat(300)), "longer than any");
        check(
            &format!("http://a/{}", "a".repeat(90_000)),
            "longer than 8000 bytes",
        );
        check("http:/a", "no scheme");
        check("//a/mcp", "no scheme");
        check("http://[::g]/", "no IPv6");
        check("http://[::1]8080/", "port");
        for port in ["0", "65536", "x", "", "+80", "80:80"] {
            check(&format!("http://a:{port}/"), "port");
        }
        check("http://a/#hunter2", "fragment");
        check("http://a/b c", "percent-encoded");
        check("http://a/\u{7f}", "percent-encoded");
        check("hunter2.org:80@x/mcp", "no scheme");
    }

    #[test]
    fn a_missing_scheme_is_suggested() {
        let suggestion = |text| check(text).expect_err("there is no scheme").suggestion;
        assert_eq!(
            suggestion("localhost:8080/mcp").as_deref(),
            Some("http://localhost:8080/mcp")
        );
        assert_eq!(suggestion("u:hunter2@localhost/mcp"), None);
        assert_eq!(suggestion("localhost/mcp?key=hunter2"), None);
        assert_eq!(suggestion("not at all"), None);
    }

    #[test]
    fn what_may_be_secret_is_hidden() {
        let check = |url: &str, expected: &str, found: &[&str]| {
            assert_eq!(shown(url), expected);
            assert_eq!(secrets(url), found, "{url}");
        };
        check(
            "http://a/mcp?api_key=hunter2&page=3&x&k=v",
            "http://a/mcp?api_key=***&page=***&***&k=***",
            &["hunter2", "v"],
        );
        check("http://a/mcp", "http://a/mcp", &[]);
        check("http://a/mcp?pin=1234", "http://a/mcp?pin=***", &["1234"]);
        check(
            "http://u:p@a:80/x#f",
            "http://***@a:80/x#***",
            &["u:p", "p", "f"],
        );
        check("u:hunter2@a", "***@a", &["u:hunter2", "hunter2"]);
        check(
            "https://a/s/0123456789abcdef0123/mcp",
            "https://a/s/***/mcp",
            &["0123456789abcdef0123"],
        );
        check(
            "https://a/a-very-long-name-of-a-route",
            "https://a/a-very-long-name-of-a-route",
            &[],
        );
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let check = |a: &str, b: &str, is_same: bool| {
            assert_eq!(origin(a) == origin(b), is_same, "{a} {b}");
        };
        check("http://a/x", "http://A:80/y?z", true);
        check("https://a", "https://a:443/", true);
        check("http://[::1]/", "http://[::1]:80", true);
        check("http://a", "https://a", false);
        check("http://a", "http://a:8080", false);
        check("http://a", "http://a.b", false);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"(http://)?[a-z:/@\[\]?#%é 0-9]{0,30}") {
            let _ = check(&text);
            let _ = shown(&text);
            let _ = secrets(&text);
            let _ = origin(&text);
        }
    }
}
