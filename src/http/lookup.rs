//! From the name of a host to its addresses: rules of the user, then the system's
//! resolver.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpListener, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::error::{ErrorKind, UserError};
use crate::host::refused_by_system;
use crate::network::{Network, ZonedIp};

/// Addresses of a host that are tried, at most.
pub(super) const ADDRESSES_MAX: usize = 16;

/// The name of a host, or its address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName {
    /// Without brackets and zone.
    host: String,
    zone: Option<String>,
    port: u16,
}

/// Without brackets.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

impl HostName {
    pub(super) fn new(host: &str, zone: Option<&str>, port: u16) -> Self {
        Self {
            host: bare(host).to_string(),
            zone: zone.map(str::to_string),
            port,
        }
    }

    /// Its addresses where nobody has to be asked for them: a rule leads there, or it is
    /// one.
    pub(super) fn given(&self, network: &Network) -> Result<Option<Vec<SocketAddr>>, UserError> {
        let mut rules = network.resolve.iter();
        if let Some(ips) = rules.find_map(|rule| rule.addresses(&self.host, self.port)) {
            let addresses = ips.iter().map(|ip| socket_address(ip, self.port));
            return addresses.collect::<Result<_, _>>().map(Some);
        }
        let Ok(ip) = self.host.parse::<IpAddr>() else {
            return Ok(None);
        };
        let zone = self.zone.clone();
        socket_address(&ZonedIp { ip, zone }, self.port).map(|address| Some(vec![address]))
    }

    /// Its addresses: given, or else as the system says, which is waited for as long as
    /// `keep_going` says.
    ///
    /// # Errors
    /// When it has none, or none in time.
    pub(super) fn addresses(
        &self,
        network: &Network,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<SocketAddr>, UserError> {
        match self.given(network)? {
            Some(given) => Ok(given),
            None => self.look_up(network, keep_going),
        }
    }

    /// Asks the system.
    fn look_up(
        &self,
        network: &Network,
        keep_going: &dyn Fn() -> bool,
    ) -> Result<Vec<SocketAddr>, UserError> {
        let host = &self.host;
        let name = self.clone();
        let found = on_a_thread(move || name.look_up_blocking(), keep_going)?;
        let addresses = found.map_err(|error| {
            UserError::could_not_run(format!("cannot resolve the host `{host}`: {error}"))
                .hint("check the spelling of the host, and that this machine's DNS works")
                .hint(self.of_rules(network))
        })?;
        if addresses.is_empty() {
            return Err(UserError::could_not_run(format!(
                "the host `{host}` has no address"
            )));
        }
        Ok(addresses)
    }

    /// What rules have to do with a host that the system does not find.
    fn of_rules(&self, network: &Network) -> String {
        let mut rules = network.resolve.iter();
        let port = self.port;
        match rules.find_map(|rule| rule.port_of(&self.host)) {
            Some(other) => {
                format!("`--resolve` has this host at port {other}, and it is asked for at {port}")
            }
            None => "`--resolve host:port:address` says where it is".to_string(),
        }
    }

    /// Asks the system, on a thread that may wait for half a minute.
    ///
    /// # Errors
    /// As the system says.
    pub fn look_up_blocking(&self) -> io::Result<Vec<SocketAddr>> {
        let found = (self.host.as_str(), self.port).to_socket_addrs()?;
        Ok(found.take(ADDRESSES_MAX).collect())
    }
}

/// An address with its port and the number of its zone.
///
/// # Errors
/// Where this host has no such interface.
pub(super) fn socket_address(address: &ZonedIp, port: u16) -> Result<SocketAddr, UserError> {
    let (IpAddr::V6(ip), Some(zone)) = (address.ip, &address.zone) else {
        return Ok(SocketAddr::new(address.ip, port));
    };
    let scope = zone.parse().ok().or_else(|| interface_number(zone));
    match scope {
        Some(scope) => Ok(SocketAddrV6::new(ip, port, 0, scope).into()),
        None => Err(UserError::could_not_run(format!(
            "this host has no interface `{zone}`, which is the zone of {}",
            address.ip
        ))),
    }
}

#[cfg(all(target_os = "linux", not(pmcp_portable)))]
fn interface_number(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

/// Elsewhere zones are numbers.
#[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
fn interface_number(_: &str) -> Option<u32> {
    None
}

/// The addresses of this host that sockets are bound to.
///
/// # Errors
/// Where this host has not got one of them.
pub(super) fn bind_addresses(network: &Network) -> Result<Vec<SocketAddr>, UserError> {
    let addresses = network.bind.iter().map(|address| {
        let bound = socket_address(address, 0)?;
        let fault = |error| {
            UserError::could_not_run(format!("`--bind {address}` is not possible: {error}"))
                .hint("give an address of this host: `ip address` lists them")
        };
        if !cfg!(target_os = "linux") {
            return Err(fault(io::Error::from(io::ErrorKind::Unsupported)));
        }
        TcpListener::bind(bound).map(|_| bound).map_err(fault)
    });
    addresses.collect()
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
        .map_err(|error| refused_by_system("no thread to resolve names", &error))?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn only_addresses_of_this_host_can_be_bound_to() {
        let network = |text: &str| Network {
            bind: vec![ZonedIp::parse(text).expect("an address")],
            ..Network::default()
        };
        let bound = bind_addresses(&network("127.0.0.9")).expect("loopback is all of it");
        assert_eq!(bound, ["127.0.0.9:0".parse().expect("an address")]);
        assert!(bind_addresses(&network("192.0.2.1")).is_err());
    }
}
