//! One user's HTTP client: an exchange at a time, on a connection kept alive.

use std::cell::Cell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::connector;
use super::endpoint::Endpoint;
use super::exchange::{ClientCounters, Exchange, ExchangePhase, Timing};
use super::failure::Trouble;
use super::http1::{self, Connection, Idle, Response};
use super::request::Request;
use super::tls::Tls;
use crate::network::{AddressUse, Network, Proxy};
use crate::scheduler::dispensable;

/// One user's HTTP client. All its methods suspend the task while they wait.
pub struct Client {
    endpoint: Endpoint,
    network: Arc<Network>,
    /// Counts the connections of a user, or is its number where it keeps to one address.
    turns: Rc<Cell<usize>>,
    /// `None`: plain HTTP, which goes without the TLS layer.
    tls: Option<Tls>,
    exchange: Arc<Exchange>,
    idle: Idle,
}

impl Client {
    /// A client without a connection; the first exchange makes one. What an
    /// exchange brings beyond `bytes_unpaced` is read at a bounded rate. All clients of a
    /// user share `turns`, which begins with the user's number.
    pub fn new(
        endpoint: &Endpoint,
        bytes_unpaced: usize,
        network: &Arc<Network>,
        turns: &Rc<Cell<usize>>,
    ) -> Self {
        Self {
            endpoint: endpoint.clone(),
            network: Arc::clone(network),
            turns: Rc::clone(turns),
            tls: endpoint.tls.as_deref().map(Tls::new),
            exchange: Arc::new(Exchange::new(bytes_unpaced).through(endpoint.proxy.as_ref())),
            idle: Idle::default(),
        }
    }

    /// Goes to another path of the same host from now on; the connection stays.
    pub fn go_to(&mut self, endpoint: &Endpoint) {
        self.endpoint = endpoint.clone();
    }

    /// The proxy that its requests go to as they are: there is none, or it sees nothing but
    /// TLS, and what it has to say it says when the connection is made.
    pub fn plain_proxy(&self) -> Option<&Proxy> {
        self.endpoint.proxy().filter(|_| !self.endpoint.is_https())
    }

    /// Sends a request and reads the answer's head.
    ///
    /// # Errors
    /// When no complete head came.
    pub fn send(&mut self, request: &Request<'_>) -> Result<Response, Trouble> {
        self.exchange.begin(request.deadline);
        let idle = self.idle.take();
        let connection = match idle.and_then(|mut idle| idle.is_open().then_some(idle)) {
            Some(connection) => connection,
            None => self.connect()?,
        };
        http1::send(request, connection, &self.exchange, &self.idle)
    }

    // Out of line: deep and seldom.
    #[inline(never)]
    fn connect(&self) -> Result<Box<Connection>, Trouble> {
        let exchange = &self.exchange;
        let turn = self.turns.get();
        if self.network.addresses == AddressUse::InTurn {
            self.turns.set(turn.wrapping_add(1));
        }
        // Nothing of the request is on its way: who wants to go need not wait.
        let open = || {
            dispensable(|| connector::connect(&self.endpoint, turn, self.tls.as_ref(), exchange))
        };
        let transport = match self.network.connect_timeout {
            Some(limit) => exchange.within(limit, open),
            None => open(),
        }
        .map_err(|error| Trouble::of(&error, exchange))?;
        // What follows is the request itself, not the TLS handshake.
        exchange.set_phase(ExchangePhase::Sending);
        let n_left = self.network.requests_per_connection();
        Ok(Box::new(Connection::new(transport, n_left)))
    }

    /// When the bytes of the last exchange went and came. Ask before the next.
    pub fn timing(&self) -> Timing {
        self.exchange.timing()
    }

    /// Bytes of requests written and of answers read so far: two of its counters, asked
    /// for at each call.
    pub fn traffic(&self) -> (u64, u64) {
        self.exchange.traffic()
    }

    /// The address that the last exchange's connection leads to; `None` where there was none.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.exchange.peer()
    }

    /// What this client has done so far.
    pub fn counters(&self) -> ClientCounters {
        self.exchange.counters()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "judgement_tests.rs"]
mod judgement_tests;
#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
