//! Where requests go: a URL with its addresses, resolved once before the run.

use std::net::{SocketAddr, ToSocketAddrs};

use ureq::http::{HeaderMap, HeaderName, Method, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::steady::RequestHead;
use crate::error::UserError;

/// As many as ureq's resolver type holds.
const ADDRESSES_MAX: usize = 16;

/// A URL with its addresses.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(super) uri: Uri,
    pub(super) addresses: Vec<SocketAddr>,
}

impl Endpoint {
    /// The URL.
    pub fn url(&self) -> String {
        self.uri.to_string()
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The addresses, in the order in which they are tried.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether connections are TLS.
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The head of a POST or DELETE to here with these headers, rendered once
    /// for many; `varying` is the header whose value
    /// [`super::Client::send_rendered`] adds to it.
    pub fn request_head(
        &self,
        method: Method,
        headers: &HeaderMap,
        varying: HeaderName,
    ) -> RequestHead {
        RequestHead::new(method, &self.uri, headers, varying)
    }

    /// The URL a `Location` header leads to from here, if it is on the same
    /// scheme, host and port; credentials must not travel elsewhere.
    pub fn redirected(&self, location: &str) -> Option<Self> {
        let uri = if location.starts_with('/') && !location.starts_with("//") {
            let mut parts = self.uri.clone().into_parts();
            parts.path_and_query = Some(location.parse().ok()?);
            Uri::from_parts(parts).ok()?
        } else {
            location.parse::<Uri>().ok()?
        };
        let same = uri.scheme() == self.uri.scheme()
            && uri.host() == self.uri.host()
            && port(&uri) == port(&self.uri);
        same.then(|| Self {
            uri,
            addresses: self.addresses.clone(),
        })
    }
}

/// Reads a URL and resolves its host. Blocks while the system resolves.
///
/// # Errors
/// When the URL is not an absolute `http` or `https` URL, or the host has no
/// address.
pub fn resolve(url: &str) -> Result<Endpoint, UserError> {
    let bad = |why: &str| {
        UserError::usage(format!("`{url}` is not a usable URL: {why}"))
            .hint("give one such as `http://127.0.0.1:8080/mcp`")
    };
    let uri: Uri = url.parse().map_err(|_| bad("it cannot be read"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(bad("the scheme is neither `http` nor `https`"));
    }
    let host = uri.host().ok_or_else(|| bad("it has no host"))?.to_string();
    let bare_host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = (bare_host, port(&uri))
        .to_socket_addrs()
        .map_err(|error| {
            UserError::could_not_run(format!("cannot resolve the host `{host}`: {error}"))
                .hint("check the spelling of the host, and that this machine's DNS works")
        })?
        .take(ADDRESSES_MAX)
        .collect();
    if addresses.is_empty() {
        return Err(UserError::could_not_run(format!(
            "the host `{host}` has no address"
        )));
    }
    Ok(Endpoint { uri, addresses })
}

fn port(uri: &Uri) -> u16 {
    let default = if uri.scheme_str() == Some("https") {
        443
    } else {
        80
    };
    uri.port_u16().unwrap_or(default)
}

/// Hands out the addresses that were found before the run.
#[derive(Debug)]
pub(super) struct FixedAddresses(pub(super) Vec<SocketAddr>);

impl Resolver for FixedAddresses {
    fn resolve(
        &self,
        _: &Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut found = self.empty();
        for address in self.0.iter().take(ADDRESSES_MAX) {
            found.push(*address);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_stay_on_the_host() {
        let endpoint = resolve("http://127.0.0.1:8080/mcp").expect("an address");
        let check = |location: &str, expected: Option<&str>| {
            let found = endpoint.redirected(location).map(|found| found.url());
            assert_eq!(found.as_deref(), expected, "{location}");
        };
        check("/mcp/", Some("http://127.0.0.1:8080/mcp/"));
        check(
            "http://127.0.0.1:8080/x?y=1",
            Some("http://127.0.0.1:8080/x?y=1"),
        );
        check("http://127.0.0.1:8081/mcp", None);
        check("https://127.0.0.1:8080/mcp", None);
        check("//evil.example/mcp", None);
        check("http://evil.example:8080/mcp", None);
    }

    #[test]
    fn bad_urls_are_usage_errors() {
        for url in ["", "mcp", "ftp://127.0.0.1/", "/mcp", "http://"] {
            let error = resolve(url).expect_err(url);
            assert_eq!(error.kind(), crate::error::ErrorKind::Usage, "{url}");
        }
    }

    #[test]
    fn an_ipv6_address_resolves() {
        let endpoint = resolve("http://[::1]:80/mcp").expect("an address");
        assert!(endpoint.addresses()[0].is_ipv6());
    }
}
