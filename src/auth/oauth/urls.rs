//! Where metadata lies, and which addresses are the same: pure functions of texts.
//!
//! It fetches nothing. RFC 9728 §3.1 and RFC 8414 §3.1 put the well-known part before
//! the path; OpenID Connect Discovery appends it.

use ureq::http::Uri;

use crate::text::percent_decoded;

/// Scheme, host and port as the token store names a server: the host in lower case, no
/// default port, no path. `None` for what is not an absolute address.
pub(super) fn server_key(url: &str) -> Option<String> {
    let uri: Uri = url.trim().parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let host = uri.host()?.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    Some(match uri.port_u16().filter(|port| *port != default_port) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

/// The path without a slash at its end; empty for the root.
fn path_of(url: &str) -> String {
    let uri: Option<Uri> = url.trim().parse().ok();
    let path = uri.map(|uri| uri.path().to_string()).unwrap_or_default();
    path.trim_end_matches('/').to_string()
}

/// Whether two issuers are one: byte by byte, but for the slash of an empty path, which
/// Google's servers write in one place and leave out in another.
pub(super) fn is_same_issuer(a: &str, b: &str) -> bool {
    let bare = |issuer: &str| match issuer.strip_suffix('/') {
        Some(rest) if rest.matches('/').count() == 2 => rest.to_string(),
        _ => issuer.to_string(),
    };
    a == b || bare(a) == bare(b)
}

/// Whether a server at `url` may say that it is this resource: the same origin, and a
/// path that `url` is at or below. A token for another one is not ours to ask for.
pub(super) fn is_resource_of(resource: &str, url: &str) -> bool {
    let same_origin = server_key(resource).is_some_and(|key| Some(key) == server_key(url));
    let (resource, path) = (path_of(resource), path_of(url));
    let rest = path.strip_prefix(&resource);
    same_origin && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The canonical form of a server's address as the resource of a token (RFC 8707): no
/// fragment, no query, no slash at the end.
pub(super) fn resource_of(url: &str) -> Option<String> {
    Some(format!("{}{}", server_key(url)?, path_of(url)))
}

/// Where a server's metadata may lie (RFC 9728), in the order in which it is looked for.
pub(super) fn protected_resource_urls(url: &str) -> Vec<String> {
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    let Some(origin) = server_key(url) else {
        return Vec::new();
    };
    let mut urls = vec![
        format!("{origin}{WELL_KNOWN}{}", path_of(url)),
        format!("{origin}{WELL_KNOWN}"),
    ];
    urls.dedup();
    urls
}

/// Where the metadata of an issuer may lie (RFC 8414, OpenID), in order.
pub(super) fn issuer_metadata_urls(issuer: &str) -> Vec<String> {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    let Some(origin) = server_key(issuer) else {
        return Vec::new();
    };
    let path = path_of(issuer);
    let mut urls = vec![
        format!("{origin}{OAUTH}{path}"),
        format!("{origin}{OPENID}{path}"),
        format!("{origin}{path}{OPENID}"),
    ];
    urls.dedup();
    urls
}

/// Whether requests with credentials may go there: over TLS, or without where the target
/// itself is spoken to without.
pub(super) fn may_follow(url: &str, target: &str) -> bool {
    let scheme = |url: &str| server_key(url).map(|key| key.starts_with("https:"));
    match (scheme(url), scheme(target)) {
        (Some(is_tls), Some(target_is_tls)) => is_tls || !target_is_tls,
        _ => false,
    }
}

/// A value as a form and a query have it (`application/x-www-form-urlencoded`, with `%20`
/// for a blank, which every reader takes).
pub(super) fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Pairs as a form or a query.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter();
    let pairs = pairs.map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// The pairs of a query. What is not UTF-8 behind `%XX` is replaced.
pub(super) fn pairs_of(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let bytes = percent_decoded(&text.replace('+', " "));
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_server_is_its_scheme_host_and_port() {
        let check = |url: &str, expected: Option<&str>| {
            assert_eq!(server_key(url).as_deref(), expected, "{url}");
        };
        check("https://MCP.Example:443/a?b", Some("https://mcp.example"));
        check("http://a:80/", Some("http://a"));
        check("http://127.0.0.1:8080/mcp", Some("http://127.0.0.1:8080"));
        check("http://[::1]:8080/mcp", Some("http://[::1]:8080"));
        check("https://a:80", Some("https://a:80"));
        check("ftp://a/", None);
        check("/mcp", None);
        check("", None);
    }

    #[test]
    fn issuers_differ_by_a_byte_but_for_the_slash_of_an_empty_path() {
        let same = is_same_issuer;
        assert!(same("https://a", "https://a/") && same("https://a/", "https://a"));
        assert!(same("https://a/b", "https://a/b"));
        assert!(!same("https://a/b", "https://a/b/"));
        assert!(!same("https://A", "https://a"));
        assert!(!same("https://a", "https://a//"));
        assert!(!same("https://a:443", "https://a"));
    }

    #[test]
    fn a_server_speaks_for_itself_and_what_is_above_it() {
        let check = |resource: &str, expected: bool| {
            let url = "https://a/x/mcp?key=1";
            assert_eq!(is_resource_of(resource, url), expected, "{resource}");
        };
        check("https://a/x/mcp", true);
        check("https://A:443/x/", true);
        check("https://a", true);
        check("https://a/x/m", false);
        check("https://a/x/mcp/y", false);
        check("https://b/x/mcp", false);
        check("http://a/x/mcp", false);
        check("urn:mcp", false);
        let resource = resource_of("https://A/x/mcp/?key=1");
        assert_eq!(resource.as_deref(), Some("https://a/x/mcp"));
    }

    #[test]
    fn metadata_is_looked_for_with_the_path_inserted() {
        assert_eq!(
            protected_resource_urls("https://a/x/mcp"),
            [
                "https://a/.well-known/oauth-protected-resource/x/mcp",
                "https://a/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(protected_resource_urls("https://a/").len(), 1);
        assert_eq!(
            issuer_metadata_urls("https://a/tenant"),
            [
                "https://a/.well-known/oauth-authorization-server/tenant",
                "https://a/.well-known/openid-configuration/tenant",
                "https://a/tenant/.well-known/openid-configuration",
            ]
        );
        assert_eq!(issuer_metadata_urls("https://a/").len(), 2);
        assert_eq!(issuer_metadata_urls("no issuer"), [""; 0]);
    }

    #[test]
    fn credentials_do_not_leave_tls() {
        assert!(may_follow("https://as/token", "https://a/mcp"));
        assert!(may_follow("http://as/token", "http://a/mcp"));
        assert!(may_follow("https://as/token", "http://a/mcp"));
        assert!(!may_follow("http://as/token", "https://a/mcp"));
        assert!(!may_follow("file:///etc", "http://a/mcp"));
    }

    proptest! {
        #[test]
        fn forms_read_back(pairs in proptest::collection::vec((".*", ".*"), 1..4)) {
            let borrowed: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            let text = form(&borrowed);
            prop_assert!(text.is_ascii());
            prop_assert_eq!(pairs_of(&text), pairs);
        }

        #[test]
        fn no_text_breaks_a_reader(text in ".*") {
            pairs_of(&text);
            server_key(&text);
            issuer_metadata_urls(&text);
            is_resource_of(&text, "https://a/b");
        }
    }
}
