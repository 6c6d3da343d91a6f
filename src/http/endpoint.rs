//! Where requests go: a URL with its addresses, resolved once before the run.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use ureq::http::uri::Authority;
use ureq::http::{HeaderMap, Method, Uri};

use super::reference::{self, Parts};
use super::request::RequestHead;
use crate::address::{self, AddressFault};
use crate::error::{ErrorKind, UserError};

/// Addresses of a host that are tried, at most.
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

    /// Whether connections are TLS.
    pub fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The head of requests to here with these headers.
    pub fn request_head(&self, method: &Method, headers: &HeaderMap) -> RequestHead {
        RequestHead::new(method, &self.uri, headers)
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
            addresses: self.addresses.clone(),
        })
    }

    /// The path and the query of a location; `None` where it is on another host.
    fn on_this_host(&self, location: &str) -> Option<String> {
        let location = only_uri_characters(location.trim_ascii());
        let base = Parts {
            scheme: self.uri.scheme_str(),
            authority: self.uri.authority().map(Authority::as_str),
            path: self.uri.path(),
            query: self.uri.query(),
        };
        let target = reference::resolve(base, Parts::of(&location));
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

/// Reads a URL and resolves its host. Blocks while the system resolves, but no
/// longer than `keep_going` says, which is asked a few times a second.
///
/// # Errors
/// When the URL is no address of a server (see [`address::check`]), the host has
/// no address or none in time, or `keep_going` says no.
pub fn resolve(url: &str, keep_going: &dyn Fn() -> bool) -> Result<Endpoint, UserError> {
    let url = address::check(url)?;
    let unreadable = || AddressFault {
        message: "cannot be read".to_string(),
        suggestion: None,
    };
    let uri: Uri = url.parse().map_err(|_| unreadable())?;
    let host = uri.host().ok_or_else(unreadable)?.to_string();
    let bare_host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_string();
    let port = port(&uri);
    let found = if let Ok(ip) = bare_host.parse::<IpAddr>() {
        Ok(vec![SocketAddr::new(ip, port)])
    } else {
        let look_up = move || {
            let found = (bare_host.as_str(), port).to_socket_addrs()?;
            Ok(found.take(ADDRESSES_MAX).collect())
        };
        on_a_thread(look_up, keep_going)?
    };
    let addresses: Vec<SocketAddr> = found.map_err(|error| {
        UserError::could_not_run(format!("cannot resolve the host `{host}`: {error}"))
            .hint("check the spelling of the host, and that this machine's DNS works")
    })?;
    if addresses.is_empty() {
        return Err(UserError::could_not_run(format!(
            "the host `{host}` has no address"
        )));
    }
    Ok(Endpoint { uri, addresses })
}

/// What a look-up of a name gives.
type Addresses = io::Result<Vec<SocketAddr>>;

/// The system's resolver cannot be interrupted, and may take half a minute: it
/// runs on a thread of its own, which is left behind where nobody waits any more.
fn on_a_thread(
    look_up: impl FnOnce() -> Addresses + Send + 'static,
    keep_going: &dyn Fn() -> bool,
) -> Result<Addresses, UserError> {
    let (found, finding) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("resolver".to_string())
        .spawn(move || {
            // Nobody may wait any more.
            drop(found.send(look_up()));
        })
        .map_err(|error| {
            UserError::could_not_run(format!("no thread to resolve names: {error}"))
        })?;
    let mut waited = Duration::ZERO;
    loop {
        match finding.recv_timeout(LOOK_UP_STEP) {
            Ok(found) => return Ok(found),
            Err(RecvTimeoutError::Timeout) if !keep_going() => {
                return Err(UserError::new(
                    ErrorKind::Interrupted,
                    "interrupted while the name of the host was looked up",
                ));
            }
            Err(RecvTimeoutError::Timeout) if waited < LOOK_UP_MAX => waited += LOOK_UP_STEP,
            Err(RecvTimeoutError::Timeout) => {
                return Ok(Err(io::Error::from(io::ErrorKind::TimedOut)));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Ok(Err(io::Error::other("the resolver broke")));
            }
        }
    }
}

/// How often one who waits for a name is asked.
const LOOK_UP_STEP: Duration = Duration::from_millis(20);

/// A resolver with all its retries has given up by then.
const LOOK_UP_MAX: Duration = Duration::from_secs(60);

fn port(uri: &Uri) -> u16 {
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

    #[test]
    fn redirects_stay_on_the_host() {
        let endpoint = resolve("http://127.0.0.1:8080/mcp", &|| true).expect("an address");
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
        let endpoint = resolve("http://LocalHost/a/b", &|| true).expect("an address");
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
        let endpoint = resolve("http://127.0.0.1:8080/mcp", &|| true).expect("an address");
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
            let error = resolve(url, &|| true).expect_err(url);
            assert_eq!(error.kind(), crate::error::ErrorKind::Usage, "{url}");
        }
    }

    #[test]
    fn nobody_waits_longer_for_a_name_than_they_want() {
        let (release, released) = mpsc::channel::<()>();
        let look_up = move || {
            released.recv().ok();
            Ok(Vec::new())
        };
        let error = on_a_thread(look_up, &|| false).expect_err("interrupted");
        assert_eq!(error.kind(), ErrorKind::Interrupted);
        drop(release);
        let found = on_a_thread(|| Ok(Vec::new()), &|| true).expect("not interrupted");
        assert_eq!(found.expect("found"), []);
    }

    #[test]
    fn an_ipv6_address_resolves() {
        let endpoint = resolve("http://[::1]:80/mcp", &|| true).expect("an address");
        assert!(endpoint.addresses[0].is_ipv6());
    }
}
