//! What makes an address fit to be a target, and how it may be shown.
//!
//! Messages never hold the address: it may have a password or a token in it.

use std::net::Ipv6Addr;

use super::secret::{HIDDEN, names_credential};

/// What is accepted.
pub(super) const URL_FORM: &str = "an address such as `http://127.0.0.1:8080/mcp`";

/// Why an address cannot be a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UrlFault {
    /// What is wrong, without the address.
    pub(super) message: String,
    /// The address that was probably meant, where it holds no secret.
    pub(super) suggestion: Option<String>,
}

/// Checks an address and returns it without surrounding blanks, its scheme in
/// small letters.
///
/// # Errors
/// Where the scheme is not `http` or `https`, the host is missing or not one,
/// the port is none, user info or a fragment is there, or a character may not
/// stand in an address.
pub(super) fn check_url(text: &str) -> Result<String, UrlFault> {
    let fault = |message: &str| UrlFault {
        message: message.to_string(),
        suggestion: None,
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(fault("is empty"));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(UrlFault {
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
            "holds a user name or password; send a header instead, \
             such as `Authorization = \"Bearer ${API_KEY}\"` under `[headers]`",
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
            if host.parse::<Ipv6Addr>().is_err() {
                return Err("has no IPv6 address between `[` and `]`");
            }
            (host, port)
        }
        None => {
            let host_len = authority.find(':').unwrap_or(authority.len());
            authority.split_at(host_len)
        }
    };
    if host.is_empty() {
        return Err("has no host");
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

/// `localhost:8080/mcp` lacks nothing but `http://`.
fn with_scheme(text: &str) -> Option<String> {
    let is_plain = !text.contains(['@', '?', '#']) && text.len() <= 100;
    let url = format!("http://{text}");
    (is_plain && check_url(&url).is_ok()).then_some(url)
}

/// The address with `***` for each value of its query.
pub(super) fn without_query_values(url: &str) -> String {
    let Some((start, query)) = url.split_once('?') else {
        return url.to_string();
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) => format!("{name}={HIDDEN}"),
            None => HIDDEN.to_string(),
        })
        .collect();
    format!("{start}?{}", parameters.join("&"))
}

/// The address without what may be a credential: no values of the query, and of
/// the path only words too short for one.
pub(super) fn without_credentials(url: &str) -> String {
    const WORD_LEN_MAX: usize = 12;
    let shown = without_query_values(url);
    let (address, query) = match shown.split_once('?') {
        Some((address, query)) => (address, format!("?{query}")),
        None => (shown.as_str(), String::new()),
    };
    let is_word = |part: &str| {
        let is_plain = |c: char| c.is_ascii_alphabetic() || matches!(c, '-' | '_' | '.');
        let is_version = part.len() <= 3;
        part.len() <= WORD_LEN_MAX && (is_version || part.chars().all(is_plain))
    };
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let mut parts = rest.split('/');
    let authority = parts.next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path: String = parts
        .map(|part| match is_word(part) {
            true => format!("/{part}"),
            false => format!("/{HIDDEN}"),
        })
        .collect();
    format!("{scheme}://{host}{path}{query}")
}

/// The credentials in the query, by the name of the parameter or because the
/// value is as long as a key is.
pub(super) fn query_credentials(url: &str) -> Vec<String> {
    const KEY_LEN_MIN: usize = 20;
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter_map(|parameter| match parameter.split_once('=') {
            Some((name, value)) => {
                let is_credential = names_credential(name)
                    || matches!(name, "key" | "auth" | "sig" | "code")
                    || value.len() >= KEY_LEN_MIN;
                is_credential.then_some(value)
            }
            None => (parameter.len() >= KEY_LEN_MIN).then_some(parameter),
        })
        .map(str::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_accepted() {
        for url in [
            "http://127.0.0.1:8080/mcp",
            "https://example.org",
            "https://example.org/mcp?key=a%20b&x",
            "http://[::1]:8080/mcp",
            "http://[::1]/",
            "http://my_host-1.local:65535/",
        ] {
            assert_eq!(check_url(url).as_deref(), Ok(url));
        }
        assert_eq!(
            check_url(" HTTP://Host/Path ").as_deref(),
            Ok("http://Host/Path")
        );
    }

    #[test]
    fn what_is_no_target_is_refused_without_showing_it() {
        let check = |url: &str, expected: &str| {
            let fault = check_url(url).expect_err("the address is at fault");
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
        let suggestion = |text| check_url(text).expect_err("there is no scheme").suggestion;
        assert_eq!(
            suggestion("localhost:8080/mcp").as_deref(),
            Some("http://localhost:8080/mcp")
        );
        assert_eq!(suggestion("u:hunter2@localhost/mcp"), None);
        assert_eq!(suggestion("localhost/mcp?key=hunter2"), None);
        assert_eq!(suggestion("not at all"), None);
    }

    #[test]
    fn queries_are_hidden() {
        let url = "http://a/mcp?api_key=hunter2&page=3&x";
        assert_eq!(
            without_query_values(url),
            "http://a/mcp?api_key=***&page=***&***"
        );
        assert_eq!(query_credentials(url), ["hunter2"]);
        assert_eq!(without_query_values("http://a/mcp"), "http://a/mcp");
        assert!(query_credentials("http://a/mcp").is_empty());
    }

    #[test]
    fn what_may_be_a_credential_is_taken_out_of_an_address() {
        let check = |url: &str, expected: &str| assert_eq!(without_credentials(url), expected);
        check("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080/mcp");
        check("https://a.example/v1/mcp", "https://a.example/v1/mcp");
        check("https://a.example", "https://a.example");
        check("https://a/s/NjE4ZDc1/mcp?k=v", "https://a/s/***/mcp?k=***");
        check("https://u:p@a/mcp", "https://a/mcp");
        check("https://a/averylongtokenofletters", "https://a/***");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"(http://)?[a-z:/@\[\]?#%é 0-9]{0,30}") {
            let _ = check_url(&text);
            let _ = without_query_values(&text);
            let _ = without_credentials(&text);
            let _ = query_credentials(&text);
        }
    }
}
