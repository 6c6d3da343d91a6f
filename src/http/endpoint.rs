//! Where requests go: a URL with its addresses, resolved once before the run.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use ureq::http::uri::Authority;
use ureq::http::{HeaderMap, Method, Uri};

use super::lookup::{HostName, bare, bind_addresses};
use super::reference::{self, UriParts};
use super::request::RequestHead;
use super::tls::TlsSetup;
use crate::address::{self, AddressFault};
use crate::error::UserError;
use crate::network::{NamedProxy, Network, Proxy, ProxyWay};

/// A URL with the way to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Without a zone.
    pub(super) uri: Uri,
    zone: Option<String>,
    /// Of the host, or of the proxy.
    pub(super) addresses: Arc<[SocketAddr]>,
    /// Of this host, where connections come from one of them.
    pub(super) bind: Arc<[SocketAddr]>,
    /// What `addresses` are the addresses of.
    name: HostName,
    pub(super) proxy: Option<Arc<Proxy>>,
    /// Where connections are TLS.
    pub(super) tls: Option<Arc<TlsSetup>>,
    /// Each request says that it is the last of its connection.
    says_close: bool,
}

impl Endpoint {
    /// The URL.
    pub fn url(&self) -> String {
        let url = self.uri.to_string();
        match &self.zone {
            Some(zone) => url.replacen(']', &format!("%25{zone}]"), 1),
            None => url,
        }
    }

    /// The proxy that requests go through.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_deref()
    }

    /// The addresses that connections are made to.
    pub fn addresses(&self) -> &Arc<[SocketAddr]> {
        &self.addresses
    }

    /// The name that the addresses came from; `None` where nobody was asked for them.
    pub fn looked_up(&self, network: &Network) -> Option<HostName> {
        let is_given = !matches!(self.name.given(network), Ok(None));
        (!is_given).then(|| self.name.clone())
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        bare(self.uri.host().unwrap_or_default())
    }

    /// Host and port, as CONNECT names them.
    pub(super) fn authority(&self) -> String {
        format!(
            "{}:{}",
            self.uri.host().unwrap_or_default(),
            port(&self.uri)
        )
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Whether connections are TLS.
    pub fn is_https(&self) -> bool {
        self.tls.is_some()
    }

    /// The head of requests to here with these headers.
    pub fn request_head(&self, method: &Method, headers: &HeaderMap) -> RequestHead {
        let proxy = self.proxy.as_deref().filter(|_| !self.is_https());
        RequestHead::new(method, &self.uri, headers, proxy, self.says_close)
    }

    /// The URL a `Location` header leads to from here, if it is on the same
    /// scheme, host and port; credentials must not travel elsewhere. Of the
    /// location only the path and the query are taken.
    ///
    /// # Errors
    /// When it leads elsewhere, or to an address that is longer than any that is
    /// accepted.
    pub fn redirected(&self, location: &str) -> Result<Self, NotFollowed> {
        let there = self.on_this_host(location).ok_or(NotFollowed::Elsewhere)?;
        let authority = self.uri.authority().map_or("", Authority::as_str);
        let n_around = self.uri.scheme_str().unwrap_or_default().len() + "://".len();
        if n_around + authority.len() + there.len() > address::BYTES_MAX {
            return Err(NotFollowed::TooLong);
        }
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(there.parse().map_err(|_| NotFollowed::Elsewhere)?);
        Ok(Self {
            uri: Uri::from_parts(parts).map_err(|_| NotFollowed::Elsewhere)?,
            ..self.clone()
        })
    }

    /// The path and the query of a location; `None` where it is on another host.
    fn on_this_host(&self, location: &str) -> Option<String> {
        let location = only_uri_characters(location.trim_ascii());
        let base = UriParts {
            scheme: self.uri.scheme_str(),
            authority: self.uri.authority().map(Authority::as_str),
            path: self.uri.path(),
            query: self.uri.query(),
        };
        let target = reference::resolve(base, UriParts::of(&location));
        let there: Authority = target.authority?.parse().ok()?;
        let here = self.uri.authority()?;
        let scheme = self.uri.scheme_str()?;
        let is_same = target.scheme.eq_ignore_ascii_case(scheme)
            && there.host().eq_ignore_ascii_case(here.host())
            && port_of(&there, scheme)? == port_of(here, scheme)?;
        if !is_same {
            return None;
        }
        Some(match (target.path.as_str(), target.query) {
            ("", None) => "/".to_string(),
            (path, None) => path.to_string(),
            (path, Some(query)) => format!("{}?{query}", if path.is_empty() { "/" } else { path }),
        })
    }
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFollowed {
    /// It leads to another scheme, host or port.
    Elsewhere,
    /// Its address is longer than [`address::BYTES_MAX`].
    TooLong,
}

/// What RFC 3986 does not allow in a URI, as servers send it all the same, in
/// its percent-encoded form.
fn only_uri_characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Reads a URL, makes ready for TLS where it asks for it, chooses the way to its host, and
/// resolves the first name on it. Blocks while the system resolves, but no longer than
/// `keep_going` says, which is asked a few times a second.
///
/// # Errors
/// When the URL is not an address of a server (see [`address::check`]), the files for TLS are of
/// no use, its proxy is not a valid one, the host has no address or none in time, or `keep_going` says no.
pub fn resolve(
    url: &str,
    network: &Network,
    keep_going: &dyn Fn() -> bool,
) -> Result<Endpoint, UserError> {
    let url = address::check(url)?;
    let unreadable = || AddressFault {
        message: "cannot be read".to_string(),
        suggestion: None,
    };
    let (without_zone, zone) = address::without_zone(&url);
    let uri: Uri = without_zone.parse().map_err(|_| unreadable())?;
    let host = bare(uri.host().ok_or_else(unreadable)?).to_string();
    let is_https = uri.scheme_str() == Some("https");
    let tls = match is_https {
        true => Some(Arc::new(TlsSetup::load(&network.tls, &host)?)),
        false => None,
    };
    let proxy = match network.proxy.way(is_https, &host, port(&uri)) {
        ProxyWay::Through(NamedProxy { proxy, .. }) => {
            let fault = |fault: &&str| UserError::usage(format!("the proxy {fault}"));
            Some(Arc::new(proxy.as_ref().map_err(fault)?.clone()))
        }
        ProxyWay::Direct | ProxyWay::Past(..) => None,
    };
    let name = match &proxy {
        Some(proxy) => HostName::new(proxy.host(), None, proxy.port()),
        None => HostName::new(&host, zone.as_deref(), port(&uri)),
    };
    let addresses = name.addresses(network, keep_going)?;
    let calls = network.calls_per_connection.map(NonZeroU32::get);
    Ok(Endpoint {
        uri,
        zone,
        addresses: addresses.into(),
        bind: bind_addresses(network)?.into(),
        name,
        proxy,
        tls,
        says_close: calls == Some(1),
    })
}

pub(super) fn port(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(default_port(uri.scheme_str()))
}

fn default_port(scheme: Option<&str>) -> u16 {
    if scheme == Some("https") { 443 } else { 80 }
}

/// `None` where what is written there is no port.
fn port_of(authority: &Authority, scheme: &str) -> Option<u16> {
    let text = authority.as_str();
    let text = text.rsplit_once('@').map_or(text, |(_, text)| text);
    match text.strip_prefix(authority.host())? {
        "" | ":" => Some(default_port(Some(scheme))),
        text => text.strip_prefix(':')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::ResolveRule;

    #[test]
    fn redirects_stay_on_the_host() {
        let endpoint = resolve("http://127.0.0.1:8080/mcp", &Network::default(), &|| true)
            .expect("an address");
        let check = |location: &str, expected: Option<&str>| {
            let found = endpoint.redirected(location).map(|found| found.url());
            let expected = expected.map(str::to_string).ok_or(NotFollowed::Elsewhere);
            assert_eq!(found, expected, "{location}");
        };
        check("/mcp/", Some("http://127.0.0.1:8080/mcp/"));
        check(
            "http://127.0.0.1:8080/x?y=1",
            Some("http://127.0.0.1:8080/x?y=1"),
        );
        for (location, path) in [
            ("mcp/", "/mcp/"),
            ("./mcp/", "/mcp/"),
            ("../x", "/x"),
            ("?q", "/mcp?q"),
            ("", "/mcp"),
            ("#f", "/mcp"),
            ("/a/../mcp/#f", "/mcp/"),
            ("/a b?ü", "/a%20b?%C3%BC"),
            ("/\\evil.example", "/%5Cevil.example"),
            ("//127.0.0.1:8080/mcp/", "/mcp/"),
            ("HTTP://127.0.0.1:8080", "/"),
            ("http://user:word@127.0.0.1:8080/x", "/x"),
        ] {
            check(location, Some(&format!("http://127.0.0.1:8080{path}")));
        }
        for location in [
            "http:mcp",
            "mailto:a@127.0.0.1",
            "//127.0.0.1/mcp",
            "http://127.0.0.1:/mcp",
            "http://127.0.0.1:99999/mcp",
            "http://127.0.0.1:8080:80/mcp",
            "http://127.0.0.1:8080@evil.example/mcp",
            "///mcp",
        ] {
            check(location, None);
        }
        check("http://127.0.0.1:8081/mcp", None);
        check("https://127.0.0.1:8080/mcp", None);
        check("//evil.example/mcp", None);
        check("http://evil.example:8080/mcp", None);
    }

    #[test]
    fn hosts_are_the_same_in_any_case_and_ports_by_default() {
        let endpoint =
            resolve("http://LocalHost/a/b", &Network::default(), &|| true).expect("an address");
        for location in [
            "http://localhost:80/x",
            "http://LOCALHOST:/x",
            "//localhost/x",
            "../x",
        ] {
            let found = endpoint.redirected(location).map(|found| found.url());
            assert_eq!(found, Ok("http://LocalHost/x".to_string()), "{location}");
        }
    }

    /// An address that a redirect leads to can be given as one.
    #[test]
    fn a_redirect_leads_to_no_address_that_is_too_long() {
        let endpoint = resolve("http://127.0.0.1:8080/mcp", &Network::default(), &|| true)
            .expect("an address");
        let n_before = "http://127.0.0.1:8080/".len();
        let longest = format!("/{}", "a".repeat(address::BYTES_MAX - n_before));
        let found = endpoint.redirected(&longest).expect("short enough");
        assert_eq!(address::check(&found.url()), Ok(found.url()));
        // Each of the last becomes three bytes.
        for more in ["a", "?", "\u{fc}"] {
            let found = endpoint.redirected(&format!("{longest}{more}"));
            assert_eq!(found.err(), Some(NotFollowed::TooLong), "{more}");
        }
        let quoted = format!("/{}", "\"".repeat(3_000));
        assert_eq!(
            endpoint.redirected(&quoted).err(),
            Some(NotFollowed::TooLong)
        );
        let elsewhere = format!("http://evil.example{longest}{longest}");
        assert_eq!(
            endpoint.redirected(&elsewhere).err(),
            Some(NotFollowed::Elsewhere)
        );
    }

    #[test]
    fn bad_urls_are_usage_errors() {
        for url in [
            "",
            "mcp",
            "ftp://127.0.0.1/",
            "/mcp",
            "http://",
            "http://127.0.0.1:99999/mcp",
            "http://127.0.0.1:0/mcp",
            "http://u:p@127.0.0.1/",
        ] {
            let error = resolve(url, &Network::default(), &|| true).expect_err(url);
            assert_eq!(error.kind(), crate::error::ErrorKind::Usage, "{url}");
        }
    }

    #[test]
    fn an_ipv6_address_resolves() {
        let endpoint =
            resolve("http://[::1]:80/mcp", &Network::default(), &|| true).expect("an address");
        assert!(endpoint.addresses[0].is_ipv6());
    }

    #[test]
    fn a_zone_says_where_to_send_and_is_not_sent() {
        for url in ["http://[fe80::1%25lo]:80/mcp", "http://[fe80::1%lo]:80/mcp"] {
            let endpoint = resolve(url, &Network::default(), &|| true).expect("an interface");
            let SocketAddr::V6(address) = endpoint.addresses[0] else {
                panic!("{:?}", endpoint.addresses);
            };
            assert!(address.scope_id() > 0);
            assert_eq!(endpoint.url(), "http://[fe80::1%25lo]:80/mcp");
            assert_eq!(endpoint.uri.to_string(), "http://[fe80::1]:80/mcp");
        }
        let nowhere = "http://[fe80::1%25no-such-interface]/";
        assert!(resolve(nowhere, &Network::default(), &|| true).is_err());
    }

    #[test]
    fn rules_lead_elsewhere() {
        let rule = ResolveRule::parse("mcp.example:80:10.0.0.7,10.0.0.8").expect("a rule");
        let network = Network {
            resolve: vec![rule],
            ..Network::default()
        };
        let endpoint = resolve("http://MCP.example/", &network, &|| true).expect("two");
        let addresses = ["10.0.0.7:80", "10.0.0.8:80"].map(|it| it.parse().expect("an address"));
        assert_eq!(*endpoint.addresses, addresses);
        assert!(endpoint.looked_up(&network).is_none());
        assert_eq!(endpoint.uri.host(), Some("MCP.example"));
    }
}
