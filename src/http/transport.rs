//! A non-blocking socket that suspends the task, as a `Transport` of ureq's: our TLS
//! (`tls/transport.rs`) is another one, over it.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use super::buffers::Lent;
use super::exchange::{Arrival, Exchange, ExchangePhase, Stop};
use super::timestamp::{self, Received};
use crate::scheduler::{Socket, Wake, give_way, pause, trim_stack};

/// Held output is written early when so little room is left that the next
/// piece of a large body would not fit.
const ROOM_FOR_NEXT_PIECE: usize = 16 * 1024;

/// How many bytes a task reads, writes or decodes at a stretch. Beyond that it
/// gives way: a peer that sends or takes bytes faster than they are worked off
/// would have the thread for itself. What is done for each byte is bounded, so
/// this bounds the time as well.
const BYTES_AT_A_STRETCH: u64 = 64 * 1024;

/// An exchange that has brought more than any answer that is accepted is read at
/// one stretch in this time, which is 4 MiB a second. The peer's kernel holds back what
/// it would send beyond that, so it costs neither machine a CPU.
const PACE: Duration = Duration::from_millis(16);

/// Enough was done at a stretch.
fn is_stretch_over(exchange: &Exchange) -> bool {
    exchange.n_at_a_stretch() >= BYTES_AT_A_STRETCH
}

/// Lets the other tasks run where enough was done at a stretch.
fn give_way_in_time(exchange: &Exchange) -> Wake {
    if !is_stretch_over(exchange) {
        return Wake::Ready;
    }
    exchange.begin_stretch();
    give_way(exchange.deadline_if_any())
}

/// What came by the deadline is in time, though we decode it later: this many
/// stretches, one mebibyte. A flood has no such grace.
const LATE_STRETCHES_MAX: u64 = 16;

/// Content was decoded, which is work like that for bytes that are read: others
/// run where it was enough at a stretch, and a flood of it is paced. Few coded
/// bytes may become many, so it is not left to the next read.
///
/// `Deadline` ends the exchange: there is more to decode than what may have come in
/// time.
pub(super) fn after_decoding(exchange: &Exchange, n_bytes: usize) -> Wake {
    exchange.add_decoded(n_bytes);
    if !is_stretch_over(exchange) {
        return Wake::Ready;
    }
    exchange.begin_stretch();
    let wake = match exchange.is_paced() {
        true => pause(PACE, exchange.deadline_if_any()),
        false => give_way(exchange.deadline_if_any()),
    };
    match wake {
        Wake::Deadline
            if !exchange.is_paced() && exchange.add_late_stretch() <= LATE_STRETCHES_MAX =>
        {
            give_way(None)
        }
        wake => wake,
    }
}

/// What an idle connection has to tell.
pub(super) enum IdleNews {
    Nothing,
    /// Bytes that nobody asked for; they lie in the input now.
    Bytes,
    /// It can serve no further exchange.
    End,
}

/// One connection.
pub(super) struct TaskTransport {
    socket: Socket,
    exchange: Arc<Exchange>,
    pub(super) buffers: Lent,
    /// The connection can serve no further exchange.
    is_broken: bool,
    /// Writing failed; the answer may have come all the same (413 and close).
    is_write_broken: bool,
}

impl TaskTransport {
    pub(super) fn new(socket: Socket, exchange: Arc<Exchange>) -> Self {
        Self {
            socket,
            exchange,
            buffers: Lent::default(),
            is_broken: false,
            is_write_broken: false,
        }
    }

    fn stopped(&mut self, wake: Wake) -> ureq::Error {
        self.is_broken = true;
        match wake {
            Wake::Cancelled => {
                self.exchange.set_stop(Stop::Cancelled);
                // Not `Interrupted`, at which readers would try again.
                ureq::Error::Io(io::Error::other("cancelled"))
            }
            Wake::Deadline | Wake::Ready => {
                self.exchange.set_stop(Stop::Timeout);
                ureq::Error::Timeout(ureq::Timeout::Global)
            }
        }
    }

    /// Writes all that is held.
    pub(super) fn flush(&mut self) -> Result<(), ureq::Error> {
        let Some(pair) = self.buffers.holding() else {
            return Ok(());
        };
        if self.is_write_broken {
            pair.held = 0;
            return Ok(());
        }
        self.exchange.sending();
        let n_held = pair.held;
        let mut n_written = 0;
        let mut has_waited = false;
        // While it waits, this connection keeps the buffers: a request that
        // does not fit the socket is rare, and the next one borrows another.
        while n_written < n_held {
            let wake = give_way_in_time(&self.exchange);
            if wake != Wake::Ready {
                self.buffers.drop_held();
                return Err(self.stopped(wake));
            }
            let pair = self.buffers.pair();
            match self
                .socket
                .stream_mut()
                .write(&pair.output[n_written..n_held])
            {
                Ok(n) => {
                    n_written += n;
                    self.exchange.add_sent(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    has_waited = true;
                    self.socket.mark_full();
                    self.exchange.begin_stretch();
                    let wake = self.socket.wait_writable(self.exchange.deadline_if_any());
                    if wake != Wake::Ready {
                        self.buffers.drop_held();
                        return Err(self.stopped(wake));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // The server may have answered before it closed.
                    self.is_broken = true;
                    self.is_write_broken = true;
                    break;
                }
            }
        }
        if has_waited {
            self.exchange.all_written();
        }
        self.buffers.drop_held();
        Ok(())
    }

    /// Writes what is held as far as the socket takes it at once, and forgets the rest.
    pub(super) fn write_last(&mut self) {
        let Some(pair) = self.buffers.holding().filter(|_| !self.is_write_broken) else {
            self.buffers.drop_held();
            return;
        };
        let n_held = pair.held;
        match self.socket.stream_mut().write(&pair.output[..n_held]) {
            Ok(n) if n == n_held => self.exchange.add_sent(n),
            // A part of it makes what follows unreadable.
            Ok(_) | Err(_) => self.is_broken = true,
        }
        self.buffers.drop_held();
    }

    /// Looks whether anything came since the last exchange, without waiting. The times
    /// of that one stay as they are.
    pub(super) fn news(&mut self) -> IdleNews {
        let (is_readable, is_closed) = self.socket.readable_and_closed();
        if self.is_broken {
            return IdleNews::End;
        }
        if is_closed {
            self.exchange.peer_ends();
            return IdleNews::End;
        }
        if !is_readable {
            return IdleNews::Nothing;
        }
        let pair = self.buffers.pair();
        pair.make_room();
        let before = self.exchange.arrivals();
        match timestamp::read(self.socket.stream_mut(), &mut pair.input[pair.end..]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.socket.drained();
                IdleNews::Nothing
            }
            Ok(received) if received.n_bytes > 0 => {
                pair.end += received.n_bytes;
                // Late or not: nothing is awaited.
                self.exchange.received(&received);
                self.exchange.restore(before);
                IdleNews::Bytes
            }
            Ok(_) | Err(_) => {
                self.is_broken = true;
                self.exchange.peer_ends();
                IdleNews::End
            }
        }
    }

    /// Waits for input, or gives way. A second look beyond the deadline does not
    /// wait.
    fn before_read(&mut self, is_last_look: bool) -> Wake {
        if is_last_look {
            return Wake::Ready;
        }
        if self.socket.is_readable() {
            if is_stretch_over(&self.exchange) && self.exchange.is_paced() {
                self.exchange.begin_stretch();
                self.buffers.release();
                return pause(PACE, self.exchange.deadline_if_any());
            }
            return give_way_in_time(&self.exchange);
        }
        self.buffers.release();
        // The first exchange of a connection was deeper before it came here than
        // where it waits.
        if !self.exchange.is_reused() {
            trim_stack();
        }
        self.exchange.begin_stretch();
        self.socket.wait_readable(self.exchange.deadline_if_any())
    }
}

impl Transport for TaskTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.buffers.pair();
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let pair = self.buffers.pair();
        pair.held += amount;
        if pair.output.len() - pair.held < ROOM_FOR_NEXT_PIECE {
            self.flush()?;
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        self.flush()?;
        if self.exchange.phase() == ExchangePhase::Sending {
            self.exchange.set_phase(ExchangePhase::Waiting);
        }
        // The deadline has come: what lies in the socket may have come before.
        let mut is_last_look = false;
        loop {
            let wake = self.before_read(is_last_look);
            match wake {
                Wake::Ready => {}
                Wake::Deadline => is_last_look = true,
                Wake::Cancelled => return Err(self.stopped(wake)),
            }
            let pair = self.buffers.pair();
            pair.make_room();
            let room = &mut pair.input[pair.end..];
            let n_room = room.len();
            match timestamp::read(self.socket.stream_mut(), room) {
                Ok(Received { n_bytes: 0, .. }) => {
                    self.is_broken = true;
                    self.exchange.set_stop(Stop::Closed);
                    self.exchange.peer_ends();
                    return Ok(false);
                }
                Ok(received) => {
                    let n = received.n_bytes;
                    pair.end += n;
                    // Less than there was room for: the socket is empty now,
                    // and what comes later raises an event (epoll(7)).
                    if n < n_room {
                        self.socket.drained();
                    }
                    return match self.exchange.received(&received) {
                        Arrival::InTime => Ok(true),
                        Arrival::Late => Err(self.stopped(Wake::Deadline)),
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket.drained();
                    if is_last_look {
                        return Err(self.stopped(Wake::Deadline));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_broken = true;
                    self.exchange.set_stop(Stop::Reset);
                    self.exchange.peer_ends();
                    return Err(ureq::Error::Io(error));
                }
            }
        }
    }

    fn is_open(&mut self) -> bool {
        let (is_readable, is_closed) = self.socket.readable_and_closed();
        if self.is_broken {
            return false;
        }
        if is_closed {
            self.exchange.peer_ends();
            return false;
        }
        // Readable while idle: an event for bytes that were read already, or
        // bytes that nobody asked for. Only here is the kernel asked.
        if is_readable {
            match self.socket.stream().peek(&mut [0]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.drained(),
                // Bytes that nobody asked for: it is we who give it up.
                Ok(1..) => return false,
                Ok(0) | Err(_) => {
                    self.exchange.peer_ends();
                    return false;
                }
            }
        }
        self.buffers.release();
        self.buffers.input().is_empty()
    }
}

impl fmt::Debug for TaskTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskTransport")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

impl Drop for TaskTransport {
    fn drop(&mut self) {
        self.buffers.drop_held();
        self.buffers.release();
    }
}
