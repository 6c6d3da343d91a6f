//! TLS on our transport, without a buffer of its own between two exchanges.
//!
//! Records are opened where the socket's bytes lie and sealed where they go out, both in
//! buffers that the thread lends; what is in plain text has a second pair of them. So a
//! user that waits costs the state of the connection and no more.
//!
//! What a server sends beside its answer, tickets and new keys, is not an answer: what was
//! noted of the arrival of such records is taken back.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ProtocolVersion;
use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use super::fault::TlsFault;
use super::person::Person;
use crate::http::buffers::Lent;
use crate::http::exchange::{ArrivalTimes, Exchange, Stop};
use crate::http::transport::{IdleNews, TaskTransport};

/// What is sealed into one record.
const RECORD_CONTENT_BYTES: usize = 15 * 1024;

/// Room for any one record (RFC 8446, section 5.2; what TLS 1.2 adds is more).
const RECORD_BYTES_MAX: usize = 16 * 1024 + 2048 + 5;

/// What may lie there in parts of one record or of one handshake message, which rustls
/// bounds at 64 KiB.
const INCOMPLETE_BYTES_MAX: usize = 128 * 1024;

/// Reads of what came while no exchange was under way; more of it is a flood.
const IDLE_READS_MAX: usize = 4;

/// The type of a record with a handshake message, as TLS 1.2 shows it.
const HANDSHAKE_RECORD: u8 = 22;

/// One connection over TLS.
pub(in crate::http) struct TlsTransport {
    /// Its state, for what the handshake agreed upon.
    pub(super) tls: UnbufferedClientConnection,
    tcp: TaskTransport,
    /// What was opened, and what is to be sealed.
    plain: Lent,
    exchange: Arc<Exchange>,
    person: Arc<Person>,
    /// What was known of the answer before the first byte of the record that has begun.
    before_record: Option<ArrivalTimes>,
    is_established: bool,
    /// Nothing more comes, by the peer's word.
    is_ended: bool,
    /// Nothing more can be said.
    is_broken: bool,
    /// The peer wished to negotiate anew, and was told no.
    was_renegotiation: bool,
}

/// What was found in the bytes that had come.
struct WorkedOff {
    /// Bytes of content.
    n_content: usize,
    /// Bytes of whole records.
    n_used: usize,
}

impl TlsTransport {
    pub(super) fn new(
        tls: UnbufferedClientConnection,
        tcp: TaskTransport,
        exchange: Arc<Exchange>,
        person: Arc<Person>,
    ) -> Self {
        Self {
            tls,
            tcp,
            plain: Lent::default(),
            exchange,
            person,
            before_record: None,
            is_established: false,
            is_ended: false,
            is_broken: false,
            was_renegotiation: false,
        }
    }

    /// Makes the handshake. Its last message goes out with the first request.
    pub(super) fn shake_hands(&mut self) -> Result<(), ureq::Error> {
        loop {
            self.work_off()?;
            if self.is_established {
                return Ok(());
            }
            if !self.tcp.await_input(NextTimeout::default())? {
                return Err(self.ended());
            }
        }
    }

    /// Opens all records that have come, answers those that want an answer, and seals what
    /// is held in plain text.
    fn work_off(&mut self) -> Result<WorkedOff, ureq::Error> {
        let mut found = WorkedOff {
            n_content: 0,
            n_used: 0,
        };
        loop {
            let socket = self.tcp.buffers.pair();
            if socket.output.len() - socket.held < RECORD_BYTES_MAX {
                self.tcp.flush()?;
            }
            let socket = self.tcp.buffers.pair();
            let input = &mut socket.input[socket.start..socket.end];
            // In TLS 1.3 such a message looks like content.
            if self.is_established && input.first() == Some(&HANDSHAKE_RECORD) {
                let is_old = self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_2);
                self.was_renegotiation |= is_old;
            }
            let output = &mut socket.output[socket.held..];
            let UnbufferedStatus { mut discard, state } = self.tls.process_tls_records(input);
            let mut n_written = 0;
            let mut is_done = false;
            let result = match state {
                Ok(ConnectionState::ReadTraffic(mut content)) => loop {
                    match content.next_record() {
                        Some(Ok(record)) => {
                            discard += record.discard;
                            found.n_content += record.payload.len();
                            self.plain.pair().append(record.payload);
                        }
                        Some(Err(error)) => break Err(error),
                        None => break Ok(()),
                    }
                },
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    // There is room for any record. If there were none, this would go
                    // round for ever.
                    let encoded = data.encode(output);
                    n_written = encoded.as_ref().copied().unwrap_or(0);
                    encoded.map(|_| ()).map_err(|_| rustls::Error::EncryptError)
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Ok(())
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    self.is_established = true;
                    is_done = true;
                    match self.plain.holding() {
                        Some(plain) => {
                            let n = plain.held.min(RECORD_CONTENT_BYTES);
                            let sealed = traffic.encrypt(&plain.output[..n], output);
                            n_written = sealed.as_ref().copied().unwrap_or(0);
                            plain.output.copy_within(n..plain.held, 0);
                            plain.held -= n;
                            is_done = plain.held == 0;
                            sealed.map(|_| ()).map_err(|_| rustls::Error::EncryptError)
                        }
                        None => Ok(()),
                    }
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    is_done = self.is_ended;
                    self.is_ended = true;
                    Ok(())
                }
                Ok(ConnectionState::BlockedHandshake) => {
                    is_done = true;
                    Ok(())
                }
                // A client gets no early data.
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            socket.held += n_written;
            socket.consume(discard);
            found.n_used += discard;
            if let Err(error) = result {
                return Err(self.broke(&error));
            }
            if is_done {
                let n_left = self.tcp.buffers.input().len();
                return match n_left > INCOMPLETE_BYTES_MAX {
                    true => Err(self.broke(&rustls::Error::PeerSentOversizedRecord)),
                    false => Ok(found),
                };
            }
        }
    }

    /// TLS cannot go on. The peer is told why, as far as its socket takes it at once.
    fn broke(&mut self, error: &rustls::Error) -> ureq::Error {
        self.is_broken = true;
        self.plain.drop_held();
        // Asked for more than it has to tell, it would look at what came again, and that
        // would be at fault again.
        while self.tls.wants_write() {
            let socket = self.tcp.buffers.pair();
            let input = &mut socket.input[socket.start..socket.end];
            let output = &mut socket.output[socket.held..];
            let Ok(ConnectionState::EncodeTlsData(mut alert)) =
                self.tls.process_tls_records(input).state
            else {
                break;
            };
            let Ok(n_written) = alert.encode(output) else {
                break;
            };
            socket.held += n_written;
        }
        self.tcp.write_last();
        fault(TlsFault::of(
            error,
            &self.person,
            self.exchange.has_tls_stood(),
        ))
    }

    /// The peer has gone without a word, or before it answered.
    fn ended(&mut self) -> ureq::Error {
        self.is_broken = true;
        let is_first = !self.exchange.is_reused() && self.exchange.has_no_answer();
        if self.was_renegotiation {
            fault(TlsFault::renegotiation())
        } else if is_first && self.person.was_asked() && !self.person.has_certificate() {
            fault(TlsFault::certificate_missing())
        } else {
            ureq::Error::Io(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// What came since is not part of the answer, unless a record of it has begun.
    fn arrived_without_content(&mut self, before: ArrivalTimes, n_used: usize) {
        let exchange = &self.exchange;
        let before = self.before_record.take().unwrap_or(before);
        if self.tcp.buffers.input().is_empty() {
            exchange.restore(before);
            return;
        }
        if n_used > 0 {
            exchange.restore_up_to_last(before);
        }
        self.before_record = Some(before);
    }
}

fn fault(fault: TlsFault) -> ureq::Error {
    ureq::Error::Other(Box::new(fault))
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.plain.pair();
        &mut self.plain
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let plain = self.plain.pair();
        plain.held += amount;
        // The next piece of a large body must fit.
        if plain.output.len() - plain.held < RECORD_CONTENT_BYTES {
            self.work_off()?;
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let mut found = self.work_off()?;
        self.tcp.flush()?;
        loop {
            if found.n_content > 0 {
                self.before_record = None;
                return Ok(true);
            }
            if self.is_ended {
                self.exchange.set_stop(Stop::Closed);
                self.exchange.peer_ends();
                return match self.was_renegotiation || self.exchange.has_no_answer() {
                    true => Err(self.ended()),
                    false => Ok(false),
                };
            }
            self.plain.release();
            let before = self.exchange.arrivals();
            match self.tcp.await_input(NextTimeout::default()) {
                Ok(true) => {}
                Ok(false) => return Err(self.ended()),
                Err(ureq::Error::Io(error)) if self.exchange.stop() == Stop::Reset => {
                    return Err(match self.ended() {
                        ureq::Error::Io(_) => ureq::Error::Io(error),
                        told => told,
                    });
                }
                Err(error) => return Err(error),
            }
            let worked_off = self.work_off();
            if worked_off.is_err() {
                // The server's last word is no byte of an answer.
                let before = self.before_record.take().unwrap_or(before);
                self.exchange.restore(before);
            }
            found = worked_off?;
            if found.n_content == 0 {
                self.arrived_without_content(before, found.n_used);
            }
        }
    }

    fn is_open(&mut self) -> bool {
        if self.is_broken || self.is_ended {
            return false;
        }
        for n_reads in 0.. {
            match self.tcp.news() {
                IdleNews::Nothing => break,
                // Tickets and new keys may come at any time.
                IdleNews::Bytes if n_reads < IDLE_READS_MAX => {}
                IdleNews::Bytes | IdleNews::End => return false,
            }
            match self.work_off() {
                Ok(found) if found.n_content == 0 && !self.is_ended => {}
                Ok(_) | Err(_) => {
                    self.exchange.peer_ends();
                    return false;
                }
            }
        }
        self.tcp.write_last();
        self.tcp.buffers.release();
        self.plain.release();
        self.plain.input().is_empty()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl Drop for TlsTransport {
    /// Says goodbye, as far as the socket takes it at once.
    fn drop(&mut self) {
        self.plain.drop_held();
        self.plain.release();
        if !self.is_established || self.is_broken {
            return;
        }
        self.tcp.buffers.drop_held();
        let socket = self.tcp.buffers.pair();
        let input = &mut socket.input[socket.start..socket.end];
        let state = self.tls.process_tls_records(input).state;
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            socket.held = traffic.queue_close_notify(&mut socket.output).unwrap_or(0);
            self.tcp.write_last();
        }
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTransport")
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}
