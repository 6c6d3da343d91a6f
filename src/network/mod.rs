//! How a server is reached: what the user says of TLS, proxies, names and addresses.
//!
//! Plain data and pure functions. Nothing here opens a socket or looks a name up:
//! `http` does, and `scenario` makes a [`Network`] of the config, the flags and the
//! environment.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// How a server is reached. What is not given is as usual.
///
/// It serialises to the object `network` of a report's `config`: what was given, without
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Network {
    /// What is peculiar to TLS.
    #[serde(flatten)]
    pub tls: TlsOptions,
    /// Sockets are bound to these addresses of this host in turn; empty: the system
    /// chooses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bind: Vec<IpAddr>,
    /// Which of the server's addresses a connection goes to.
    #[serde(skip_serializing_if = "is_default")]
    pub addresses: AddressUse,
    /// Names are looked up again after this time; `None`: once, before the load.
    #[serde(rename = "dns_ttl_secs", serialize_with = "as_secs")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_ttl: Option<Duration>,
    /// The longest that it may take until a connection stands, TLS and proxies included;
    /// `None`: as long as the request may take.
    #[serde(rename = "connect_timeout_ms", serialize_with = "as_ms")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
    /// A connection is closed after so many requests; `None`: never by this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_connection: Option<NonZeroU32>,
}

impl Network {
    /// All is as usual.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

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
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            ca: Vec::new(),
            client: None,
            server_name: None,
            insecure: false,
            resumption: true,
        }
    }
}

/// Which of a server's addresses a connection goes to. Those of the family of the first
/// are used; the others are for where none of these takes the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressUse {
    /// Each connection of a worker goes to the next one.
    #[default]
    InTurn,
    /// Each user keeps to one.
    Pinned,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn as_secs<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64()).serialize(serializer)
}

fn as_ms<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64() * 1e3)
        .serialize(serializer)
}

/// Where the key is, is nobody else's business.
fn as_certificate<S: Serializer>(
    client: &Option<(PathBuf, PathBuf)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    client.as_ref().map(|(file, _)| file).serialize(serializer)
}
