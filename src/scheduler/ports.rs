//! Connecting from a port of our own choice, where there are many connections.
//!
//! Linux looks for a free local port in one half of the range, and once that is
//! taken searches it in vain for every further connection to the same address:
//! 600 us each beyond about 14,000, instead of 20. A port that is named, counted
//! up from the last, is found at once. Used by one thread; knows nothing of what
//! the connection is for.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpStream;

/// How many connections of a thread are left to the system's search, which finds
/// a port of its half at once.
pub(super) const SYSTEM_SEARCHES: usize = 8_000;

/// Ports tried before the search is left to the system all the same.
const TRIES: u32 = 64;

/// Where the next port is looked for.
#[derive(Debug, Default)]
pub(super) struct Ports {
    /// The range that the system gives to clients, once it was asked.
    range: Option<(u16, u16)>,
    next: u32,
}

impl Ports {
    /// The next port of the range, over and over; `None`: no range is known.
    fn take(&mut self) -> Option<u16> {
        if self.range.is_none() {
            self.range = system_range();
            // Each thread begins elsewhere.
            self.next = fastrand::u32(..);
        }
        let (low, high) = self.range?;
        let n_ports = u32::from(high - low) + 1;
        self.next = self.next.wrapping_add(1);
        u16::try_from(u32::from(low) + self.next % n_ports).ok()
    }

    /// Begins to connect, from a port that is free for this address if one is
    /// found soon; from this address of this host, where one is given.
    ///
    /// # Errors
    /// As of connecting without a port.
    pub(super) fn connect(
        &mut self,
        address: SocketAddr,
        from: Option<SocketAddr>,
    ) -> io::Result<TcpStream> {
        for _ in 0..TRIES {
            let Some(port) = self.take() else { break };
            if port == address.port() {
                // To this machine it might meet itself.
                continue;
            }
            match connect_from(address, from, port) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                    ) => {}
                result => return result,
            }
        }
        begin_connect(address, from)
    }
}

/// Begins to connect from a port that the system chooses, and from this address of this
/// host, where one is given. It needs no scheduler.
///
/// # Errors
/// When the system refuses at once.
pub fn begin_connect(address: SocketAddr, from: Option<SocketAddr>) -> io::Result<TcpStream> {
    match from {
        Some(_) => connect_from(address, from, 0),
        None => TcpStream::connect(address),
    }
}

/// The range in the file of ip(7), `ip_local_port_range`.
fn system_range() -> Option<(u16, u16)> {
    parse_range(&std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_whitespace().map(str::parse::<u16>);
    let (low, high) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (0 < low && low <= high).then_some((low, high))
}

#[cfg(all(target_os = "linux", not(pmcp_portable)))]
fn connect_from(address: SocketAddr, from: Option<SocketAddr>, port: u16) -> io::Result<TcpStream> {
    use nix::errno::Errno;
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket,
        sockopt,
    };
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::os::fd::AsRawFd;

    let (family, any) = match address {
        SocketAddr::V4(_) => (AddressFamily::Inet, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        SocketAddr::V6(_) => (AddressFamily::Inet6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(family, SockType::Stream, flags, None)?;
    // Only both ends together have to be unique.
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    let mut local = from.unwrap_or(SocketAddr::new(any, port));
    local.set_port(port);
    let local = SockaddrStorage::from(local);
    bind(socket.as_raw_fd(), &local)?;
    match connect(socket.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Without a word from another address than the one that was chosen would be wrong.
#[cfg(not(all(target_os = "linux", not(pmcp_portable))))]
fn connect_from(address: SocketAddr, from: Option<SocketAddr>, _: u16) -> io::Result<TcpStream> {
    if from.is_some() {
        let why = "connections from a chosen address are made on Linux only";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    TcpStream::connect(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse_range("32768\t60999\n"), Some((32_768, 60_999)));
        for bad in ["", "1", "0 10", "20 10", "1 70000", "a b"] {
            assert_eq!(parse_range(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn ports_go_round() {
        let mut ports = Ports {
            range: Some((10, 12)),
            next: u32::MAX,
        };
        let taken: Vec<_> = (0..4).map(|_| ports.take()).collect();
        assert_eq!(taken, [Some(10), Some(11), Some(12), Some(10)]);
    }

    /// Two to one address, from a range of one port: the second finds none, and
    /// gets one of the system's.
    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a free port")
            .port();
        let mut ports = Ports {
            range: Some((port, port)),
            next: 0,
        };
        let first = ports.connect(address, None).expect("a connection");
        let second = ports.connect(address, None).expect("another");
        let port_of = |stream: &TcpStream| stream.local_addr().expect("bound").port();
        assert_ne!(port_of(&first), port_of(&second));
    }

    /// From the very port that it connects to, a connection would meet itself
    /// where nobody listens.
    #[test]
    fn nobody_connects_to_itself() {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("a bound socket");
        drop(free);
        let mut ports = Ports {
            range: Some((address.port(), address.port())),
            next: 0,
        };
        let stream = ports.connect(address, None).expect("begun, to fail later");
        assert_ne!(stream.local_addr().expect("bound").port(), address.port());
    }
}
