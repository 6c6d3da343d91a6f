//! Opens TCP connections: to which of the server's addresses, and for how long it tries.

use std::cell::RefCell;
use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::endpoint::Endpoint;
use super::exchange::{Exchange, Stop};
use super::timestamp;
use super::transport::TaskTransport;
use super::tunnel;
use crate::metrics::AddressTallies;
use crate::scheduler::{Socket, Wake, lateness};

thread_local! {
    /// Those that took the place of the endpoint's for connections of this thread.
    static LATEST: RefCell<Option<Arc<[SocketAddr]>>> = const { RefCell::new(None) };
    /// What came of connecting on this thread since that was last taken.
    static TALLIES: RefCell<Option<Box<AddressTallies>>> = const { RefCell::new(None) };
}

/// What came of connecting to each of several addresses, on this thread since this was
/// last asked.
pub fn take_address_tallies() -> Option<Box<AddressTallies>> {
    TALLIES.take()
}

/// From now on all connections of this thread are made to these addresses, of which there
/// is one at least: the server's name leads there now.
pub fn use_addresses(addresses: Arc<[SocketAddr]>) {
    if !addresses.is_empty() {
        LATEST.set(Some(addresses));
    }
}

/// The addresses as a connection tries them: the one whose turn it is, those after it of
/// the same family as the first of all, then the others.
fn in_order(addresses: &[SocketAddr], turn: usize) -> Vec<SocketAddr> {
    let is_first = |address: &&SocketAddr| address.is_ipv4() == addresses[0].is_ipv4();
    let (mut order, others): (Vec<&SocketAddr>, Vec<&SocketAddr>) =
        addresses.iter().partition(is_first);
    if !order.is_empty() {
        let first = turn % order.len();
        order.rotate_left(first);
    }
    order.into_iter().chain(others).copied().collect()
}

/// Where a connection to an address comes from: all addresses to go to are combined with
/// all to come from, in turn.
pub(super) fn source(
    bind: &[SocketAddr],
    to: SocketAddr,
    round: usize,
) -> io::Result<Option<SocketAddr>> {
    if bind.is_empty() {
        return Ok(None);
    }
    let same = bind.iter().filter(|from| from.is_ipv4() == to.is_ipv4());
    let same: Vec<&SocketAddr> = same.collect();
    match same.len() {
        0 => Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            "no address of `--bind` is of the family of the server's",
        )),
        n => Ok(Some(*same[round % n])),
    }
}

/// Opens a TCP connection to the first address that takes it, and a way through the proxy
/// where TLS goes through one. `turn` counts the connections, or is the user's number.
///
/// # Errors
/// When there is none by the exchange's deadline.
pub(super) fn connect(
    endpoint: &Endpoint,
    turn: usize,
    exchange: &Arc<Exchange>,
) -> Result<TaskTransport, ureq::Error> {
    exchange.connecting();
    let latest = LATEST.with_borrow(Clone::clone);
    let known = latest.as_ref().unwrap_or(&endpoint.addresses);
    let opened = connect_to_one(&in_order(known, turn), turn, &endpoint.bind, exchange);
    let Some(proxy) = endpoint.proxy() else {
        return opened;
    };
    let mut transport = opened.map_err(|error| tunnel::not_reached(proxy, error))?;
    if endpoint.is_https() {
        tunnel::open(&mut transport, proxy, &endpoint.authority(), exchange)?;
    }
    Ok(transport)
}

fn connect_to_one(
    addresses: &[SocketAddr],
    turn: usize,
    bind: &[SocketAddr],
    exchange: &Arc<Exchange>,
) -> Result<TaskTransport, ureq::Error> {
    let deadline = exchange.deadline();
    let mut last_error = None;
    let tell = |address: SocketAddr, failure: Option<&dyn Display>| {
        if addresses.len() > 1 {
            let failure = failure.map(ToString::to_string);
            let failure = failure.as_deref();
            TALLIES.with_borrow_mut(|all| all.get_or_insert_default().record(address, failure));
        }
    };
    for (tried, address) in addresses.iter().enumerate() {
        // Each address gets its share of what is left, the last one all.
        let now = Instant::now();
        let n_left = u32::try_from(addresses.len() - tried).unwrap_or(1);
        let share = now + deadline.saturating_duration_since(now) / n_left;
        let from = source(bind, *address, turn / addresses.len());
        match from
            .map_err(ConnectFault::Io)
            .and_then(|from| open(*address, from, share))
        {
            Ok(socket) => {
                exchange.connected(*address);
                tell(*address, None);
                // It may have stood for as long as we were busy, for which the
                // server is not to blame.
                exchange.put_off(lateness());
                return Ok(TaskTransport::new(socket, Arc::clone(exchange)));
            }
            Err(ConnectFault::Wake(Wake::Cancelled)) => {
                exchange.set_stop(Stop::Cancelled);
                return Err(ureq::Error::Io(io::Error::other("cancelled")));
            }
            Err(ConnectFault::Wake(_)) => {
                tell(*address, Some(&"timed out"));
                if Instant::now() >= deadline {
                    exchange.set_stop(Stop::Timeout);
                    return Err(ureq::Error::Timeout(ureq::Timeout::Connect));
                }
                last_error = Some(io::Error::from(io::ErrorKind::TimedOut));
            }
            Err(ConnectFault::Io(error)) => {
                tell(*address, Some(&error));
                last_error = Some(error);
            }
        }
    }
    Err(ureq::Error::Io(last_error.unwrap_or_else(|| {
        io::Error::from(io::ErrorKind::AddrNotAvailable)
    })))
}

enum ConnectFault {
    Wake(Wake),
    Io(io::Error),
}

impl From<io::Error> for ConnectFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Whether a connection that was begun stands by now.
///
/// # Errors
/// When it never will.
pub(super) fn stands(stream: &mio::net::TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

fn open(
    address: SocketAddr,
    from: Option<SocketAddr>,
    deadline: Instant,
) -> Result<Socket, ConnectFault> {
    let socket = Socket::connect(address, from)?;
    loop {
        let wake = socket.wait_writable(Some(deadline));
        if wake == Wake::Cancelled {
            return Err(ConnectFault::Wake(wake));
        }
        if stands(socket.stream())? {
            break;
        }
        if wake == Wake::Deadline {
            return Err(ConnectFault::Wake(wake));
        }
        // Woken too early.
        socket.mark_full();
    }
    socket.stream().set_nodelay(true)?;
    timestamp::enable(socket.stream());
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses<const N: usize>(list: [&str; N]) -> Vec<SocketAddr> {
        list.map(|it| it.parse().expect("an address")).into()
    }

    #[test]
    fn addresses_take_turns_and_other_families_come_last() {
        let known = addresses(["10.0.0.1:1", "[::1]:1", "10.0.0.2:1", "10.0.0.3:1"]);
        let check = |turn, expected: [&str; 4]| {
            assert_eq!(in_order(&known, turn), addresses(expected), "{turn}");
        };
        check(0, ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "[::1]:1"]);
        check(1, ["10.0.0.2:1", "10.0.0.3:1", "10.0.0.1:1", "[::1]:1"]);
        check(2, ["10.0.0.3:1", "10.0.0.1:1", "10.0.0.2:1", "[::1]:1"]);
        check(3, ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "[::1]:1"]);
        let two = addresses(["[::1]:1", "127.0.0.1:1"]);
        for turn in 0..3 {
            assert_eq!(in_order(&two, turn), two);
        }
    }

    #[test]
    fn sources_are_of_the_family_of_the_target() {
        let bind = addresses(["10.0.0.1:0", "[::1]:0", "10.0.0.2:0"]);
        let to = addresses(["10.9.9.9:80", "[2001:db8::1]:80"]);
        let from = |to, round| source(&bind, to, round).expect("one of the family");
        assert_eq!(from(to[0], 0), Some(bind[0]));
        assert_eq!(from(to[0], 1), Some(bind[2]));
        assert_eq!(from(to[0], 2), Some(bind[0]));
        assert_eq!(from(to[1], 5), Some(bind[1]));
        assert_eq!(source(&[], to[1], 0).expect("the system chooses"), None);
        assert!(source(&bind[..1], to[1], 0).is_err());
    }
}
