//! How a server is reached: what the user says of TLS, proxies, names and addresses.
//!
//! Plain data and pure functions. Nothing here opens a socket or looks a name up:
//! `http` does, and `scenario` makes a [`Network`] of the config, the flags and the
//! environment.

mod names;
mod proxy;

pub use names::{BIND_FORM, ENTRIES_MAX, RESOLVE_FORM, ResolveRule, ZonedIp};
pub use proxy::{
    EXCEPTION_FORM, Exception, NamedProxy, PROXY_FORM, Past, Proxy, ProxyChoice, ProxyWay,
};

use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::text::named;
use crate::units::{as_ms, as_secs};

/// How a server is reached. What is not given is as usual.
///
/// It serialises to the object `network` of the `plan` in a report: what was given, without
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Network {
    /// What is peculiar to TLS.
    #[serde(flatten)]
    pub tls: TlsOptions,
    /// Which proxy it is reached by. In a report it is a fact of the server.
    #[serde(skip)]
    pub proxy: ProxyChoice,
    /// Where names lead, whatever the system says; the first that fits holds.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_texts")]
    pub resolve: Vec<ResolveRule>,
    /// Sockets are bound to these addresses of this host in turn; empty: the system
    /// chooses.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_texts")]
    pub bind: Vec<ZonedIp>,
    /// Which of the server's addresses a connection goes to.
    #[serde(skip_serializing_if = "is_default")]
    pub addresses: AddressUse,
    /// Names are looked up again after this time; `None`: once, before the load.
    #[serde(rename = "dns_ttl_secs", serialize_with = "as_secs")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_ttl: Option<Duration>,
    /// The longest that it may take until a connection is open, TLS and proxies included;
    /// `None`: as long as the request may take.
    #[serde(rename = "connect_timeout_ms", serialize_with = "as_ms")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
    /// A connection is closed after this many requests; `None`: never by this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_connection: Option<NonZeroU32>,
    /// How long a connection is used.
    #[serde(skip_serializing_if = "is_default")]
    pub connection: ConnectionUse,
    /// The header of answers that names who served them; calls are counted apart by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend_header: Option<String>,
}

impl Network {
    /// A report has nothing to say of it.
    pub fn is_usual(&self) -> bool {
        let rest = Self {
            proxy: ProxyChoice::default(),
            ..self.clone()
        };
        rest == Self::default()
    }

    /// How many requests a connection is for at most.
    pub fn requests_per_connection(&self) -> u64 {
        match (self.connection, self.calls_per_connection) {
            (ConnectionUse::PerCall, _) => 1,
            (_, calls) => calls.map_or(u64::MAX, |calls| calls.get().into()),
        }
    }
}

/// What became of the proxy that is named for a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyUse {
    /// Its host and port.
    pub address: String,
    /// The flag, key or variable that names it.
    pub named_by: String,
    /// Why requests go past it: `loopback`, or the entry of `NO_PROXY` that has the target;
    /// `null`: they go through it.
    pub past: Option<String>,
}

impl ProxyUse {
    /// Of the proxy for a target; `None`: no proxy is named for it, or none that is one.
    pub fn of(choice: &ProxyChoice, is_https: bool, host: &str, port: u16) -> Option<Self> {
        let (named, past) = match choice.way(is_https, host, port) {
            ProxyWay::Direct => return None,
            ProxyWay::Through(named) => (named, None),
            ProxyWay::Past(named, Past::Loopback) => (named, Some(LOOPBACK)),
            ProxyWay::Past(named, Past::Exception(entry)) => (named, Some(entry)),
        };
        Some(Self {
            address: named.proxy.as_ref().ok()?.address(),
            named_by: named.by.clone(),
            past: past.map(str::to_string),
        })
    }

    /// For people: `through 10.0.0.1:3128 (HTTPS_PROXY)`.
    pub fn in_words(&self) -> String {
        let Self {
            address, named_by, ..
        } = self;
        match self.past.as_deref() {
            None => format!("through {address} ({named_by})"),
            Some(LOOPBACK) => {
                format!("past {address} ({named_by}): the server is on this machine")
            }
            Some(entry) => format!("past {address} ({named_by}): `{entry}` goes without one"),
        }
    }
}

/// The target is on this machine.
const LOOPBACK: &str = "loopback";

/// What is peculiar to TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsOptions {
    /// Files with certificates of authorities that are trusted beside the platform's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ca: Vec<PathBuf>,
    /// Files with the certificates and the private key of this client.
    #[serde(rename = "client_cert", serialize_with = "as_certificate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<(PathBuf, PathBuf)>,
    /// The name that the certificate must have, in place of the URL's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whoever answers is believed.
    #[serde(skip_serializing_if = "is_default")]
    pub insecure: bool,
    /// Sessions are resumed, as far as the server gives tickets.
    #[serde(rename = "tls_resumption", skip_serializing_if = "Clone::clone")]
    pub resumption: bool,
    /// Who named the files and the name, for whoever finds fault with them.
    #[serde(skip)]
    pub places: TlsPlaces,
}

/// Where each was given: the flag, or the file, the line and the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPlaces {
    /// Of the authorities.
    pub ca: String,
    /// Of the client's certificate.
    pub client_cert: String,
    /// Of its key.
    pub client_key: String,
    /// Of the server's name.
    pub server_name: String,
}

impl Default for TlsPlaces {
    fn default() -> Self {
        Self {
            ca: "--ca".to_string(),
            client_cert: "--client-cert".to_string(),
            client_key: "--client-key".to_string(),
            server_name: "--server-name".to_string(),
        }
    }
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            ca: Vec::new(),
            client: None,
            server_name: None,
            insecure: false,
            resumption: true,
            places: TlsPlaces::default(),
        }
    }
}

named! {
    /// Which of a server's addresses a connection goes to. Those of the family of the first
    /// are used; the others are for where none of these takes the connection.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum AddressUse {
        /// Each connection of a worker goes to the next one.
        #[default]
        InTurn = "in-turn",
        /// Each user keeps to one.
        Pinned = "pinned",
    }
    /// What it is called in a config and on the command line.
    fn word
}

named! {
    /// How long a connection is used.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum ConnectionUse {
        /// A new session has a new one.
        #[default]
        PerSession = "per-session",
        /// A user keeps its connection when it begins another session.
        Keep = "keep",
        /// It is closed after each answer, and the server is not told beforehand.
        PerCall = "per-call",
    }
    /// What it is called in a config and on the command line.
    fn word
}

/// The accepted form of the header that names who served a call.
pub const BACKEND_HEADER_FORM: &str =
    "the name of a header of answers such as `x-served-by`, which holds no secret";

/// Reads the name of such a header.
pub fn backend_header(text: &str) -> Option<String> {
    let name = text.trim().to_ascii_lowercase();
    let is_sign = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+.^_`|~-".contains(c);
    let is_secret = matches!(name.as_str(), "set-cookie" | "mcp-session-id");
    let is_right = (1..=BACKEND_HEADER_MAX).contains(&name.len()) && name.chars().all(is_sign);
    (is_right && !is_secret).then_some(name)
}

/// In bytes.
const BACKEND_HEADER_MAX: usize = 100;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn as_texts<S: Serializer>(entries: &[impl Display], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(entries.iter().map(ToString::to_string))
}

/// Where the key is, is nobody else's business.
fn as_certificate<S: Serializer>(
    client: &Option<(PathBuf, PathBuf)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    client.as_ref().map(|(file, _)| file).serialize(serializer)
}
