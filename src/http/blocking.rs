//! A blocking client for the few requests to other hosts than the one under load, such as
//! those that give tokens.
//!
//! It is ureq's, over the ways that the user chose for all connections: rules for names,
//! addresses of this host, whom to trust and the client's certificate. The load never
//! passes here.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    Transport,
};
use ureq::{Agent, Proxy, ProxyProtocol};

use super::dial::{source, stands};
use super::endpoint::port;
use super::failure::{CHECK_PORT, CHECK_PROXY, START_SERVER, no_connection, of_connect};
use super::hint::with_hint;
use super::lookup::{ADDRESSES_MAX, HostName, bare, bind_addresses};
use super::tls::{BlockingTls, TlsFault};
use crate::error::UserError;
use crate::files::reason;
use crate::metrics::ConnectFailure;
use crate::network::{Network, ProxyChoice, ProxyWay};
use crate::scheduler::begin_connect;
use crate::units::{format_bytes, without_zeros};

/// A client that reaches other hosts as the one at `target` is reached. The name that
/// certificates must have in place of the host's holds for that host alone. It follows no
/// redirect unless it is told to, so that a credential goes to no other host, and keeps no
/// connection: a few requests a minute are made with it.
///
/// # Errors
/// When a file that it needs for TLS, or an address to come from, is of no use.
pub fn blocking_agent(target: &str, network: &Network) -> Result<Agent, UserError> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // The environment's proxies are read elsewhere, or not at all.
        .proxy(None)
        .timeout_connect(network.connect_timeout)
        .user_agent(concat!("pmcp-loadtest/", env!("CARGO_PKG_VERSION")))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_idle_connections(0)
        .build();
    let target: Option<Uri> = target.parse().ok();
    let host = target.as_ref().and_then(Uri::host).map(bare);
    let tls = BlockingTls::new(&network.tls, host.unwrap_or_default())?;
    let tcp = Tcp {
        bind: bind_addresses(network)?,
    };
    let connector = ConnectProxyConnector::default().chain(tcp).chain(tls);
    let names = NetworkNames {
        network: network.clone(),
    };
    Ok(Agent::with_parts(config, connector, names))
}

/// The proxy that an address is reached by, of those that the user named; what is
/// redirected keeps to it.
///
/// # Errors
/// Where the address or the proxy is not valid, as a fragment.
pub fn blocking_proxy(choice: &ProxyChoice, url: &str) -> Result<Option<Proxy>, String> {
    let uri: Uri = url
        .parse()
        .map_err(|_| "an address is not valid".to_string())?;
    let is_https = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let ProxyWay::Through(named) = choice.way(is_https, uri.host().unwrap_or_default(), port)
    else {
        return Ok(None);
    };
    let by = &named.by;
    let proxy = named.proxy.as_ref();
    let proxy = proxy.map_err(|why| format!("the proxy of {by} {why}"))?;
    let mut built = Proxy::builder(ProxyProtocol::Http);
    built = built.host(proxy.host()).port(proxy.port());
    if let Some((name, password)) = proxy.name_and_password() {
        built = built.username(&name).password(&password);
    }
    let built = built.build();
    built
        .map(Some)
        .map_err(|_| format!("the proxy of {by} cannot be used"))
}

/// Where names lead, by the user's rules, then by the system.
#[derive(Debug)]
struct NetworkNames {
    network: Network,
}

impl Resolver for NetworkNames {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let name = HostName::new(uri.host().unwrap_or_default(), None, port(uri));
        let until = end_of(timeout);
        let has_time = || until.is_none_or(|until| Instant::now() < until);
        let found = name.addresses(&self.network, &has_time);
        let found = found.map_err(|error| match (has_time(), error.hints().first()) {
            (false, _) => WayFault::Late("looking up the host"),
            (true, Some(hint)) => WayFault::Unresolved(with_hint(error.what(), hint)),
            (true, None) => WayFault::Unresolved(error.what().to_string()),
        })?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(ADDRESSES_MAX) {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

/// Why there is no way to a host, as far as the connection itself went.
#[derive(Debug)]
enum WayFault {
    /// The name leads nowhere: the whole message.
    Unresolved(String),
    /// No connection to the host, or to the proxy with that address.
    Unconnected {
        proxy: Option<String>,
        error: io::Error,
    },
    /// It did not stand in time.
    Late(&'static str),
}

impl fmt::Display for WayFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(message) => f.write_str(message),
            Self::Unconnected { error, .. } => f.write_str(&reason(error)),
            Self::Late(doing) => write!(f, "timed out while {doing}"),
        }
    }
}

impl std::error::Error for WayFault {}

impl From<WayFault> for ureq::Error {
    fn from(fault: WayFault) -> Self {
        Self::Other(Box::new(fault))
    }
}

/// Why a request of such a client to `url` failed, for people, in the words that a run has
/// for it; perhaps with a [hint](with_hint).
pub fn blocking_fault(url: &str, error: &ureq::Error) -> String {
    match error {
        ureq::Error::Other(fault) => {
            if let Some(fault) = fault.downcast_ref::<WayFault>() {
                return way_fault(url, fault);
            }
            match fault.downcast_ref::<TlsFault>() {
                Some(fault) => no_connection(ConnectFailure::Tls, url, &fault.to_string()),
                None => format!("{url}: {fault}"),
            }
        }
        ureq::Error::Timeout(_) => format!("{url}: timed out while waiting for the answer"),
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                format!("{url}: the connection was closed before the end of the answer")
            }
            _ if has_hung_up(error) => {
                format!("{url}: the connection was reset before the end of the answer")
            }
            _ => format!("{url}: {error}"),
        },
        ureq::Error::ConnectProxyFailed(why) => no_connection(
            ConnectFailure::Proxy,
            url,
            &format!("the proxy refuses: {why}"),
        ),
        ureq::Error::BodyExceedsLimit(limit) => {
            let limit = without_zeros(&format_bytes(*limit));
            format!("{url} answers with a body larger than {limit}")
        }
        ureq::Error::LargeResponseHeader(..) => {
            format!("{url} does not answer in HTTP/1.1: the answer's headers are too large")
        }
        ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::BodyStalled => {
            let what = format!("{url} does not answer in HTTP/1.1: {error}");
            with_hint(what, CHECK_PORT)
        }
        other => format!("{url}: {other}"),
    }
}

fn way_fault(url: &str, fault: &WayFault) -> String {
    match fault {
        WayFault::Unresolved(message) => message.clone(),
        WayFault::Unconnected {
            proxy: Some(proxy),
            error,
        } => {
            let why = format!("the proxy {proxy} cannot be reached: {error}");
            let what = no_connection(ConnectFailure::Proxy, url, &why);
            with_hint(what, CHECK_PROXY)
        }
        WayFault::Unconnected { proxy: None, error } => {
            let failure = of_connect(error);
            let what = no_connection(failure, url, &error.to_string());
            match failure {
                ConnectFailure::Refused => with_hint(what, START_SERVER),
                _ => what,
            }
        }
        WayFault::Late(_) => no_connection(ConnectFailure::Timeout, url, &fault.to_string()),
    }
}

/// When it is over; `None`: never.
fn end_of(timeout: NextTimeout) -> Option<Instant> {
    match timeout.after.is_not_happening() {
        true => None,
        false => Instant::now().checked_add(*timeout.after),
    }
}

/// Opens TCP connections.
#[derive(Debug)]
struct Tcp {
    bind: Vec<SocketAddr>,
}

impl<In: Transport> Connector<In> for Tcp {
    type Out = Either<In, BlockingTcp>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        // A proxy has opened the way.
        if let Some(chained) = chained {
            return Ok(Some(Either::A(chained)));
        }
        let until = end_of(details.timeout);
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for (tried, address) in details.addrs.iter().enumerate() {
            let n_left = u32::try_from(details.addrs.len() - tried).unwrap_or(1);
            // Each gets its share of what is left, the last one all.
            let left = until.map(|until| until.saturating_duration_since(Instant::now()) / n_left);
            let opened =
                source(&self.bind, *address, 0).and_then(|from| open(*address, from, left));
            match opened {
                Ok(stream) => {
                    let config = details.config;
                    let (input, output) = (config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(Either::B(BlockingTcp {
                        stream,
                        buffers: LazyBuffers::new(input, output),
                        n_received: 0,
                    })));
                }
                Err(error) => last = error,
            }
        }
        let proxy = details.config.proxy();
        Err(match last.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => WayFault::Late("connecting"),
            _ => WayFault::Unconnected {
                proxy: proxy.map(|proxy| format!("{}:{}", proxy.host(), proxy.port())),
                error: last,
            },
        }
        .into())
    }
}

/// Waits for the connection to stand.
fn open(
    address: SocketAddr,
    from: Option<SocketAddr>,
    limit: Option<Duration>,
) -> io::Result<TcpStream> {
    let mut stream = begin_connect(address, from)?;
    let until = limit.map(|limit| Instant::now() + limit);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1);
    poll.registry()
        .register(&mut stream, Token(0), Interest::WRITABLE)?;
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, left) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        if stands(&stream)? {
            break;
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    poll.registry().deregister(&mut stream)?;
    let stream = TcpStream::from(stream);
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// As ureq has it: a wait that was too long is a timeout.
fn told(error: io::Error, timeout: NextTimeout) -> ureq::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
        _ => ureq::Error::Io(error),
    }
}

fn has_hung_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
    )
}

/// What is read of one connection, in bytes, whatever it is: heads and bodies have limits of
/// their own, and this is far beyond them; trailers and interim answers have none.
const RECEIVED_BYTES_MAX: usize = 4 << 20;

struct BlockingTcp {
    stream: TcpStream,
    buffers: LazyBuffers,
    n_received: usize,
}

/// What a socket is told of that time; it takes no wait of nothing.
fn socket_time(timeout: NextTimeout) -> Option<Duration> {
    const SHORTEST: Duration = Duration::from_millis(1);
    (!timeout.after.is_not_happening()).then(|| (*timeout.after).max(SHORTEST))
}

impl Transport for BlockingTcp {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.set_write_timeout(socket_time(timeout))?;
        let output = &self.buffers.output()[..amount];
        match self.stream.write_all(output) {
            // The peer may have said why before it closed: what is read next tells.
            Err(error) if has_hung_up(&error) => Ok(()),
            written => written.map_err(|error| told(error, timeout)),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.set_read_timeout(socket_time(timeout))?;
        let room = self.buffers.input_append_buf();
        let n = loop {
            match self.stream.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| told(error, timeout))?,
            }
        };
        self.buffers.input_appended(n);
        self.n_received += n;
        if self.n_received > RECEIVED_BYTES_MAX {
            return Err(ureq::Error::BodyExceedsLimit(RECEIVED_BYTES_MAX as u64));
        }
        Ok(n > 0)
    }

    /// None is kept for another request.
    fn is_open(&mut self) -> bool {
        false
    }
}

impl fmt::Debug for BlockingTcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingTcp").finish_non_exhaustive()
    }
}
