//! Which requests go through which proxy: a pure function of the settings and the target.
//!
//! The rules of exceptions are those of curl, whose users wrote most values of `NO_PROXY`,
//! and ports besides, as Go has them. The environment is read as Go does: the small
//! letters of a name come first, and nothing on this machine goes through a proxy that
//! only the environment names.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::text::percent_decoded;

/// What is accepted as a proxy.
pub const PROXY_FORM: &str = "the address of an HTTP proxy such as `http://proxy.example:3128`, perhaps with `name:password@`";

/// What is accepted as an exception.
pub const EXCEPTION_FORM: &str = "hosts that are reached without a proxy, such as \
                                  `.example.com, 10.0.0.0/8, host:8080`, or `*` for all";

/// Where a proxy is whose port is not said.
const PORT: u16 = 1080;

/// The longest text of a proxy or of a list of exceptions, in bytes.
const TEXT_BYTES_MAX: usize = 8000;

/// An HTTP proxy. It shows itself without its credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// `name:password` in bytes, percent-decoded once.
    credentials: Option<Vec<u8>>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}

impl Proxy {
    /// Reads the address of a proxy. Without a scheme it is one of HTTP, without a port it
    /// is at 1080, as for curl.
    ///
    /// # Errors
    /// What is wrong with it, without the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.len() > TEXT_BYTES_MAX {
            return Err("is too long");
        }
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                return Err("is a proxy that is spoken to over TLS, which this program cannot");
            }
            Some((scheme, _)) if scheme.to_ascii_lowercase().starts_with("socks") => {
                return Err("is a SOCKS proxy, which this program does not speak to");
            }
            Some(_) => return Err("has a scheme other than `http`"),
            None => text,
        };
        // A path says nothing here. A password may have a slash in it, as people paste it.
        let (user_info, rest) = match rest.rsplit_once('@') {
            Some((user_info, rest)) => (Some(user_info), rest),
            None => (None, rest),
        };
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (host, port) =
            split_port(authority).ok_or("has no host, or a port that is not valid")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if host.is_empty() || (bare_ip(host).is_none() && !host.chars().all(is_name)) {
            return Err("has no host that can be one");
        }
        Ok(Self {
            host: unbracketed(host).to_string(),
            port: port.unwrap_or(PORT),
            credentials: user_info.map(percent_decoded),
        })
    }

    /// Its host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, as they may be shown.
    pub fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The name and the password, where it has credentials. What is not UTF-8 in them is
    /// replaced.
    pub fn name_and_password(&self) -> Option<(String, String)> {
        let text = String::from_utf8_lossy(self.credentials.as_ref()?);
        let (name, password) = text.split_once(':').unwrap_or((&text, ""));
        Some((name.to_string(), password.to_string()))
    }

    /// The value of `Proxy-Authorization` (RFC 7617).
    pub fn authorization(&self) -> Option<String> {
        let credentials = self.credentials.as_ref()?;
        let mut credentials = credentials.clone();
        // A name alone has an empty password.
        if !credentials.contains(&b':') {
            credentials.push(b':');
        }
        Some(format!("Basic {}", STANDARD.encode(credentials)))
    }

    /// What must not be shown: the password, and both in the forms in which they are sent.
    pub fn secrets(&self) -> Vec<String> {
        let Some(credentials) = &self.credentials else {
            return Vec::new();
        };
        let text = String::from_utf8_lossy(credentials).into_owned();
        let encoded = self.authorization();
        let encoded = encoded.and_then(|it| it.strip_prefix("Basic ").map(str::to_string));
        let password = text
            .split_once(':')
            .map(|(_, password)| password.to_string());
        encoded.into_iter().chain(password).chain([text]).collect()
    }
}

/// `host`, `host:80`, `[::1]` or `[::1]:80`; an IPv6 address without brackets has no port.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if text.parse::<IpAddr>().is_ok() {
        return Some((text, None));
    }
    let port_at = text.rfind(':').filter(|at| !text[*at..].contains(']'));
    let Some(at) = port_at else {
        return Some((text, None));
    };
    let digits = &text[at + 1..];
    let has_digits_only = digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port| *port > 0)?;
    has_digits_only.then_some((&text[..at], Some(port)))
}

fn unbracketed(host: &str) -> &str {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// The address that a host is, in brackets or without, whatever its zone.
fn bare_ip(host: &str) -> Option<IpAddr> {
    let host = unbracketed(host);
    host.split('%').next().unwrap_or(host).parse().ok()
}

/// What is reached without a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// As it was written, to say which one it was.
    text: String,
    what: Hosts,
    /// `None`: at each port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name in small letters, and all names below it.
    Name(String),
    /// Addresses whose first bits are those of this one.
    Net(IpAddr, u32),
}

impl Exception {
    /// Reads a list: entries between commas or blanks.
    ///
    /// # Errors
    /// The first entry that is not valid; the others are beside it.
    pub fn parse_list(text: &str) -> (Vec<Self>, Option<String>) {
        let mut found = Vec::new();
        let mut fault =
            (text.len() > TEXT_BYTES_MAX).then(|| "a list that is too long".to_string());
        let text = text.get(..TEXT_BYTES_MAX).unwrap_or(text);
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        for entry in entries.filter(|entry| !entry.is_empty()) {
            match Self::parse(entry) {
                Some(exception) => found.push(exception),
                None => fault = fault.or_else(|| Some(entry.to_string())),
            }
        }
        (found, fault)
    }

    fn parse(entry: &str) -> Option<Self> {
        let of = |what, port| {
            let text = entry.to_string();
            Some(Self { text, what, port })
        };
        if entry == "*" {
            return of(Hosts::All, None);
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let ip = bare_ip(address)?;
            let bits = bits.parse().ok().filter(|bits| *bits <= width(ip))?;
            return of(Hosts::Net(ip, bits), None);
        }
        let (host, port) = split_port(entry)?;
        if let Some(ip) = bare_ip(host) {
            return of(Hosts::Net(ip, width(ip)), port);
        }
        let name = host.strip_prefix("*.").unwrap_or(host);
        let name = name.strip_prefix('.').unwrap_or(name);
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || !c.is_ascii();
        let is_right = !name.is_empty() && name.chars().all(is_name);
        is_right.then(|| of(Hosts::Name(name.to_ascii_lowercase()), port))?
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        match &self.what {
            Hosts::All => true,
            Hosts::Net(net, bits) => bare_ip(host).is_some_and(|ip| is_in(ip, *net, *bits)),
            Hosts::Name(name) => {
                let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
                let below = host.strip_suffix(name.as_str());
                bare_ip(&host).is_none()
                    && below.is_some_and(|below| below.is_empty() || below.ends_with('.'))
            }
        }
    }
}

fn width(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn is_in(ip: IpAddr, net: IpAddr, bits: u32) -> bool {
    let (ip, net, width) = match (ip, net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => {
            (u128::from(ip.to_bits()), u128::from(net.to_bits()), 32)
        }
        (IpAddr::V6(ip), IpAddr::V6(net)) => (ip.to_bits(), net.to_bits(), 128),
        _ => return false,
    };
    // The bits beyond the prefix are shifted out; all 128 at once are no shift.
    let differing = (ip ^ net).checked_shr(width - bits).unwrap_or(0);
    differing == 0
}

/// A proxy and who named it, such as `HTTPS_PROXY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedProxy {
    /// Who named it.
    pub by: String,
    /// The proxy, or what is wrong with it: told only where it would be used.
    pub proxy: Result<Proxy, &'static str>,
}

/// Which requests go through which proxy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyChoice {
    /// For `http` targets.
    pub http: Option<NamedProxy>,
    /// For `https` targets.
    pub https: Option<NamedProxy>,
    /// What is reached without.
    pub exceptions: Vec<Exception>,
    /// The user wants a proxy for what is on this machine, too: named by flag or key.
    pub has_loopback: bool,
}

/// How a target is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyWay<'a> {
    /// There is no proxy for it.
    Direct,
    /// There is one, and the target goes past it.
    Past(&'a NamedProxy, Past<'a>),
    /// By this one.
    Through(&'a NamedProxy),
}

/// Why a target goes past its proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past<'a> {
    /// It is on this machine.
    Loopback,
    /// An entry of the exceptions, as it was written.
    Exception(&'a str),
}

impl ProxyChoice {
    /// What the environment says. What is no UTF-8 there is no proxy either, and is told
    /// where it would be used.
    pub fn of_environment(env: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let first = |names: &[&'static str]| {
            let text = |name: &str| Some(env(name)?.to_string_lossy().into_owned());
            let found = names.iter().find_map(|name| Some((*name, text(name)?)));
            // An empty one says that there is none, and hides those after it.
            found.filter(|(_, value)| !value.trim().is_empty())
        };
        // Where a request's headers become variables, `Proxy:` becomes this one (httpoxy).
        let is_cgi = env("REQUEST_METHOD").is_some();
        let http: &[&str] = match is_cgi {
            true => &["http_proxy", "all_proxy", "ALL_PROXY"],
            false => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        };
        let https = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        let named = |names: &[&'static str]| {
            first(names).map(|(name, value)| NamedProxy {
                by: name.to_string(),
                proxy: Proxy::parse(&value),
            })
        };
        let exceptions = first(&["no_proxy", "NO_PROXY"]);
        let exceptions = exceptions.map(|(_, list)| Exception::parse_list(&list).0);
        Self {
            http: named(http),
            https: named(&https),
            exceptions: exceptions.unwrap_or_default(),
            has_loopback: false,
        }
    }

    /// How a host is reached. `host` may be in brackets.
    pub fn way(&self, is_https: bool, host: &str, port: u16) -> ProxyWay<'_> {
        let named = if is_https { &self.https } else { &self.http };
        let Some(named) = named else {
            return ProxyWay::Direct;
        };
        if let Some(exception) = self.exceptions.iter().find(|it| it.covers(host, port)) {
            return ProxyWay::Past(named, Past::Exception(&exception.text));
        }
        match !self.has_loopback && is_loopback(host) {
            true => ProxyWay::Past(named, Past::Loopback),
            false => ProxyWay::Through(named),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_name = name == "localhost" || name.ends_with(".localhost");
    is_name || bare_ip(host).is_some_and(|ip| ip.is_loopback())
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
