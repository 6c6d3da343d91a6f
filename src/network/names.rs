//! Names and addresses that the user gives: `--resolve`, `--bind`, zones of IPv6.

use std::fmt;
use std::net::IpAddr;

/// What is accepted as a rule.
pub const RESOLVE_FORM: &str =
    "`host:port:address`, such as `mcp.example:443:10.0.0.7` or `mcp.example:443:10.0.0.7,[::1]`";

/// What is accepted as an address of this host.
pub const BIND_FORM: &str = "an address of this host such as `10.0.0.2` or `fe80::1%eth0`";

/// The most rules, and the most addresses to bind to.
pub const ENTRIES_MAX: usize = 1024;

/// An address, perhaps of one link only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ZonedIp {
    /// The address.
    pub ip: IpAddr,
    /// The interface, by name or number: RFC 4007's zone of an IPv6 address.
    pub zone: Option<String>,
}

impl ZonedIp {
    /// Reads `10.0.0.7`, `::1`, `[::1]`, `fe80::1%eth0`, or the same as RFC 6874 has it in
    /// an address of the web: `[fe80::1%25eth0]`.
    pub fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
        let text = inner.unwrap_or(Some(text))?;
        let (address, zone) = match text.split_once('%') {
            Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().ok()?;
        let is_right = zone.is_none_or(|zone| ip.is_ipv6() && is_zone(zone));
        is_right.then(|| Self {
            ip,
            zone: zone.map(str::to_string),
        })
    }
}

impl fmt::Display for ZonedIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        self.zone
            .as_ref()
            .map_or(Ok(()), |zone| write!(f, "%{zone}"))
    }
}

/// Whether an interface may be called that.
fn is_zone(text: &str) -> bool {
    let is_right = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(is_right)
}

/// Where a name leads, whatever the system's resolver says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveRule {
    /// In small letters; `*` is each host.
    host: String,
    port: u16,
    /// Not empty.
    addresses: Vec<ZonedIp>,
}

impl ResolveRule {
    /// Reads a rule as curl has it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        // A host in brackets has colons of its own.
        let host_end = text.find(']').filter(|_| text.starts_with('['));
        let colon = host_end.unwrap_or(0) + text[host_end.unwrap_or(0)..].find(':')?;
        let (host, rest) = (&text[..colon], &text[colon + 1..]);
        let (port, addresses) = rest.split_once(':')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._*:[]".contains(c);
        let addresses: Option<Vec<ZonedIp>> = addresses
            .split(',')
            .map(|address| ZonedIp::parse(address.trim()))
            .collect();
        let rule = Self {
            host: bare(host).to_ascii_lowercase(),
            port: port.parse().ok().filter(|port| *port > 0)?,
            addresses: addresses?,
        };
        (!rule.host.is_empty() && host.chars().all(is_name)).then_some(rule)
    }

    /// Where it leads, if it is about this host and port.
    pub fn addresses(&self, host: &str, port: u16) -> Option<&[ZonedIp]> {
        (self.port_of(host)? == port).then_some(self.addresses.as_slice())
    }

    /// The port that it is about, if it is about this host.
    pub fn port_of(&self, host: &str) -> Option<u16> {
        let host = bare(host.strip_suffix('.').unwrap_or(host));
        let is_host = self.host == "*" || self.host.eq_ignore_ascii_case(host);
        is_host.then_some(self.port)
    }
}

impl fmt::Display for ResolveRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.host, self.port)?;
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        f.write_str(&addresses.join(","))
    }
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_zones() {
        let check = |text: &str, expected: &str| {
            let found = ZonedIp::parse(text).map(|found| found.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{text}");
        };
        check("10.0.0.7", "10.0.0.7");
        check("[::1]", "::1");
        check("fe80::1%eth0", "fe80::1%eth0");
        check("[fe80::1%25eth0.7]", "fe80::1%eth0.7");
        check("[fe80::1%3]", "fe80::1%3");
        for text in [
            "",
            "x",
            "10.0.0.1%eth0",
            "fe80::1%",
            "[::1",
            "fe80::1%a b",
            "10.0.0",
            "::1]",
        ] {
            assert_eq!(ZonedIp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn rules_are_those_of_curl() {
        let check = |rule: &str, host: &str, port: u16, expected: Option<&str>| {
            let rule = ResolveRule::parse(rule).expect(rule);
            let found = rule.addresses(host, port);
            let found =
                found.map(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(
                found.map(|found| found.join(" ")).as_deref(),
                expected,
                "{rule}"
            );
        };
        check("a.net:443:10.0.0.7", "a.net", 443, Some("10.0.0.7"));
        check("A.net:443:10.0.0.7", "a.NET.", 443, Some("10.0.0.7"));
        check("a.net:443:10.0.0.7", "a.net", 80, None);
        check("a.net:443:10.0.0.7", "b.a.net", 443, None);
        check(
            "a.net:443:10.0.0.7, ::1",
            "a.net",
            443,
            Some("10.0.0.7 ::1"),
        );
        check("a.net:443:[::1]", "a.net", 443, Some("::1"));
        check("a.net:443:fe80::1%lo", "a.net", 443, Some("fe80::1%lo"));
        check("*:443:10.0.0.7", "any.net", 443, Some("10.0.0.7"));
        check("[::1]:80:10.0.0.7", "[::1]", 80, Some("10.0.0.7"));
        let rule = ResolveRule::parse("a.net:443:10.0.0.7").expect("a rule");
        assert_eq!(rule.port_of("A.net"), Some(443));
        assert_eq!(rule.port_of("b.net"), None);
        for text in [
            "",
            "a.net",
            "a.net:80",
            "a.net:80:",
            "a.net:x:1.1.1.1",
            "a.net:0:1.1.1.1",
            ":80:1.1.1.1",
            "a b:80:1.1.1.1",
            "a:80:b",
            "[::1:80:1.1.1.1",
        ] {
            assert_eq!(ResolveRule::parse(text), None, "{text}");
        }
    }
}
