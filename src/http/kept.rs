//! Where a connection lies between two exchanges: in a place that both ureq
//! and the steady exchange take it from.
//!
//! ureq opens every connection and keeps it in its pool. What it keeps is a
//! [`Lent`]: a transport whose inside moves to the [`Place`] whenever ureq puts
//! it by, and back when ureq wants it again. In between, the steady exchange
//! may take it, and put it back if it can serve another one. ureq asks a pooled
//! connection whether it is open just then, in both directions, so no more is
//! needed than to answer that question.
//!
//! It does not know what is sent over the connection.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::exchange::Exchange;
use super::failure::Phase;

/// A connection that is in order, with the buffer for an answer's head, which
/// is used again.
pub(super) struct Kept {
    pub(super) transport: Box<dyn Transport>,
    pub(super) head: Vec<u8>,
}

/// Where a client's idle connection lies. Used by one thread; the lock is what
/// ureq's `Send + Sync` bounds ask for, and is never waited for.
#[derive(Default)]
pub(super) struct Place(Mutex<Option<Box<Kept>>>);

impl Place {
    /// Takes the connection out, if one lies there.
    pub(super) fn take(&self) -> Option<Box<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Puts an idle connection there, for the next exchange of either kind.
    pub(super) fn put(&self, kept: Box<Kept>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

/// The last of the connectors: marks that what follows is the request itself,
/// not the TLS handshake, and makes the connection one that can be lent.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) exchange: Arc<Exchange>,
    pub(super) place: Arc<Place>,
}

impl<In: Transport> Connector<In> for Established {
    type Out = Lent;

    fn connect(
        &self,
        _: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Lent>, ureq::Error> {
        self.exchange.set_phase(Phase::Sending);
        Ok(chained.map(|transport| Lent {
            held: Some(Box::new(Kept {
                transport: Box::new(transport),
                head: Vec::new(),
            })),
            place: Arc::clone(&self.place),
            nothing: LazyBuffers::new(1, 1),
        }))
    }
}

/// A connection as ureq sees it.
pub(super) struct Lent {
    /// `None` while it lies in the place, or was taken from there.
    held: Option<Box<Kept>>,
    place: Arc<Place>,
    /// Shown in its stead then, when ureq asks for nothing more.
    nothing: LazyBuffers,
}

impl Lent {
    fn transport(&mut self) -> Result<&mut dyn Transport, ureq::Error> {
        match &mut self.held {
            Some(kept) => Ok(&mut *kept.transport),
            None => Err(ureq::Error::ConnectionFailed),
        }
    }
}

impl Transport for Lent {
    fn buffers(&mut self) -> &mut dyn Buffers {
        match &mut self.held {
            Some(kept) => kept.transport.buffers(),
            None => &mut self.nothing,
        }
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.transport()?.transmit_output(amount, timeout)
    }

    fn maybe_await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.transport()?.maybe_await_input(timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.transport()?.await_input(timeout)
    }

    /// Asked in two cases: when an exchange is over, before the connection is
    /// put by, and when it is wanted again.
    fn is_open(&mut self) -> bool {
        match self.held.take() {
            Some(mut kept) => {
                let is_open = kept.transport.is_open();
                if is_open {
                    self.place.put(kept);
                }
                is_open
            }
            None => {
                self.held = self.place.take();
                self.held
                    .as_mut()
                    .is_some_and(|kept| kept.transport.is_open())
            }
        }
    }

    fn is_tls(&self) -> bool {
        // ureq insists on it for `https` when it takes one out of its pool.
        self.held
            .as_ref()
            .is_some_and(|kept| kept.transport.is_tls())
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}
