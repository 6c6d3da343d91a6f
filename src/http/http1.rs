//! HTTP/1.1 on an open connection: a request goes out, its answer comes in.
//!
//! Of the answer's head just that is read which says where the body ends. All
//! exchanges are made here, the first of a connection like those after it: one
//! reader judges what is an answer.
//!
//! This file knows ureq's `Transport`, which may be TLS, and no socket;
//! `request.rs` knows the bytes that go out, `framing.rs` those that come in. It
//! does not know MCP.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ureq::unversioned::transport::{NextTimeout, Transport};

use super::exchange::{Exchange, Stop, Timing};
use super::failure::Trouble;
use super::framing::{
    Body, FramingFault, HEAD_BYTES_MAX, ResponseHead, Span, header_value, header_values, read_head,
    unfold,
};
use super::hint::with_hint;
use super::request::Request;
use super::transport::after_decoding;
use crate::scheduler::Wake;

/// A connection that is in order, with the buffer for an answer's head, which
/// is used again.
pub(super) struct Connection {
    transport: Box<dyn Transport>,
    head: Vec<u8>,
    /// Exchanges that it may still serve, the one under way among them.
    n_left: u64,
}

impl Connection {
    /// One for at most this many exchanges.
    pub(super) fn new(transport: Box<dyn Transport>, n_left: u64) -> Self {
        Self {
            n_left,
            transport,
            head: Vec::new(),
        }
    }

    /// It can serve another exchange, as far as is known.
    pub(super) fn is_open(&mut self) -> bool {
        self.transport.is_open()
    }
}

/// Where a client's connection lies between two exchanges.
pub(super) type Idle = Rc<Cell<Option<Box<Connection>>>>;

/// Sends a request and reads the answer's head.
///
/// # Errors
/// When no complete head came.
pub(super) fn send(
    request: &Request<'_>,
    mut connection: Box<Connection>,
    exchange: &Arc<Exchange>,
    idle: &Idle,
) -> Result<Response, Trouble> {
    request
        .write(&mut *connection.transport)
        .map_err(|error| Trouble::of(&error, exchange))?;
    let head = read_answer_head(&mut connection, exchange)?;
    // Where it is our last one, the end is our wish.
    if !head.keeps_alive && connection.n_left > 1 {
        exchange.peer_ends();
    }
    Ok(Response {
        status: head.status,
        content_type: head.content_type,
        content_encoding: head.content_encoding,
        sets_cookie: head.sets_cookie,
        length: match head.body {
            Body::Length(length) => Some(length),
            Body::Chunked(_) | Body::ToEnd => None,
        },
        body: head.body,
        keeps_alive: head.keeps_alive,
        connection: Some(connection),
        exchange: Arc::clone(exchange),
        idle: Rc::clone(idle),
    })
}

/// Awaits the head of the final answer; those before it (1xx) say nothing to
/// us (RFC 9110 section 15.2).
fn read_answer_head(
    connection: &mut Connection,
    exchange: &Exchange,
) -> Result<ResponseHead, Trouble> {
    next_answer_head(connection, exchange).map_err(|trouble| in_tls(connection, exchange, trouble))
}

fn next_answer_head(
    connection: &mut Connection,
    exchange: &Exchange,
) -> Result<ResponseHead, Trouble> {
    connection.head.clear();
    loop {
        let taken = take_head(connection);
        if let Some(head) = taken.map_err(|fault| Trouble::not_http(fault.0, exchange))? {
            let is_final = !(100..200).contains(&head.status) || head.status == 101;
            if is_final {
                return Ok(head);
            }
            connection.head.clear();
            continue;
        }
        match connection.transport.await_input(NextTimeout::default()) {
            Ok(true) => {}
            Ok(false) => return Err(Trouble::closed(exchange)),
            Err(error) => return Err(Trouble::of(&error, exchange)),
        }
    }
}

/// In place of what went wrong: the server speaks TLS, where what came is an alert or a
/// message of a handshake (RFC 8446, section 5.1).
#[cold]
fn in_tls(connection: &Connection, exchange: &Exchange, trouble: Trouble) -> Trouble {
    let is_over_tls = connection.transport.is_tls();
    match (&trouble, &connection.head[..]) {
        (Trouble::Failed { .. }, [21 | 22, 3, ..]) if !is_over_tls => {
            let what = "the server speaks TLS at this port";
            Trouble::not_http(with_hint(what, "give the URL with `https://`"), exchange)
        }
        _ => trouble,
    }
}

/// Takes a head out of the input, as far as it has come, and keeps its bytes. One
/// that comes in pieces is looked at again only where a line has ended since, so
/// that it cannot cost a look for each of its bytes.
fn take_head(connection: &mut Connection) -> Result<Option<ResponseHead>, FramingFault> {
    let buffers = connection.transport.buffers();
    let input = buffers.input();
    let kept = &mut connection.head;
    let n_before = kept.len();
    let n_most = HEAD_BYTES_MAX + 1 - n_before;
    let mut n_taken = input.len().min(n_most);
    let found = if n_before == 0 {
        let found = read_head(&input[..n_taken])
            .inspect_err(|_| kept.extend_from_slice(&input[..n_taken]))?;
        n_taken = found.map_or(n_taken, |head| head.n_bytes);
        kept.extend_from_slice(&input[..n_taken]);
        found
    } else {
        let piece = &input[..n_taken];
        kept.extend_from_slice(piece);
        let found = match piece.contains(&b'\n') {
            true => read_head(kept)?,
            false => None,
        };
        if let Some(head) = found {
            kept.truncate(head.n_bytes);
            n_taken = head.n_bytes - n_before;
        }
        found
    };
    if kept.len() > HEAD_BYTES_MAX {
        return Err(FramingFault("the answer's headers are too large"));
    }
    buffers.input_consume(n_taken);
    if found.is_some_and(|head| head.is_folded) {
        unfold(kept);
    }
    Ok(found)
}

/// The head of an answer, and its body still to be read. Dropping it before the
/// end closes the connection.
pub struct Response {
    /// The status code.
    pub status: u16,
    content_type: Span,
    content_encoding: Span,
    /// Whether it has a `Set-Cookie` header.
    pub sets_cookie: bool,
    /// Of the whole body, where the head told it.
    pub length: Option<u64>,
    /// What is left of it.
    body: Body,
    keeps_alive: bool,
    /// `None` once the body has ended and the connection was put back, or it was
    /// given up.
    connection: Option<Box<Connection>>,
    exchange: Arc<Exchange>,
    idle: Idle,
}

impl Response {
    /// The value of `Content-Type`; to be asked before the body is read to its
    /// end.
    pub fn content_type(&self) -> Option<&[u8]> {
        self.content_type.within(&self.connection.as_ref()?.head)
    }

    /// The value of `Content-Encoding`; to be asked before the body is read to
    /// its end.
    pub fn content_encoding(&self) -> Option<&[u8]> {
        self.content_encoding
            .within(&self.connection.as_ref()?.head)
    }

    /// The values of all headers of that name; to be asked before the body is
    /// read to its end.
    pub fn header_values(&self, name: &str) -> Vec<&[u8]> {
        let connection = self.connection.as_ref();
        connection.map_or_else(Vec::new, |connection| header_values(&connection.head, name))
    }

    /// The value of the first header of that name; to be asked before the body
    /// is read to its end.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        header_value(&self.connection.as_ref()?.head, name)
    }

    /// Reads more of the body; 0 at its end, after which the connection is
    /// free for the next exchange.
    ///
    /// # Errors
    /// When the connection dies, the deadline comes, or the framing is broken.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Trouble> {
        loop {
            match self.read_arrived(buffer)? {
                Some(n_filled) => return Ok(n_filled),
                None => self.await_more()?,
            }
        }
    }

    /// The same of what has come; `None` where nothing has: [`Response::await_more`] waits.
    ///
    /// # Errors
    /// When the framing is broken.
    #[inline]
    pub fn read_arrived(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, Trouble> {
        let Some(connection) = &mut self.connection else {
            return Ok(Some(0));
        };
        loop {
            if self.body.is_ended() {
                self.end();
                return Ok(Some(0));
            }
            let buffers = connection.transport.buffers();
            let (n_used, n_filled) = self
                .body
                .read(buffers.input(), buffer)
                .map_err(|fault| Trouble::not_http(fault.0, &self.exchange))?;
            buffers.input_consume(n_used);
            if n_filled > 0 || buffer.is_empty() {
                return Ok(Some(n_filled));
            }
            // The end of the last chunk is not content.
            if !self.body.is_ended() {
                return Ok(None);
            }
        }
    }

    /// Waits for more of the body, without a buffer for it.
    ///
    /// # Errors
    /// When the connection dies, or the deadline comes.
    #[inline]
    pub fn await_more(&mut self) -> Result<(), Trouble> {
        let exchange = &self.exchange;
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        match connection.transport.await_input(NextTimeout::default()) {
            Ok(true) => Ok(()),
            // The close ends a body without a length; a reset does not.
            Ok(false) if self.body == Body::ToEnd && exchange.stop() != Stop::Reset => {
                self.connection = None;
                Ok(())
            }
            Ok(false) => Err(Trouble::closed(exchange)),
            Err(error) => Err(Trouble::of(&error, exchange)),
        }
    }

    /// What was read became this many bytes of content: lets others run where that
    /// was much.
    ///
    /// # Errors
    /// When the run or the exchange's time has ended meanwhile.
    pub fn decoded(&mut self, n_bytes: usize) -> Result<(), Trouble> {
        let stop = match after_decoding(&self.exchange, n_bytes) {
            Wake::Ready => return Ok(()),
            Wake::Deadline => Stop::Timeout,
            Wake::Cancelled => Stop::Cancelled,
        };
        self.exchange.set_stop(stop);
        self.connection = None;
        Err(Trouble::stopped(&self.exchange))
    }

    /// The body has ended: the connection is free for the next exchange, or
    /// closed. Bytes that nobody asked for make it unusable.
    fn end(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && self.keeps_alive
            && connection.n_left > 1
            && connection.transport.buffers().input().is_empty()
            && connection.is_open()
        {
            connection.n_left -= 1;
            self.idle.set(Some(connection));
        }
    }

    /// Moves the deadline, for what is read after the answer proper.
    pub fn set_deadline(&self, deadline: Instant) {
        self.exchange.set_deadline(deadline);
    }

    /// What follows is a stream without an end: it has no deadline.
    pub fn go_on_for_ever(&self) {
        self.exchange.go_on_for_ever();
    }

    /// When the bytes went and came so far.
    pub fn timing(&self) -> Timing {
        self.exchange.timing()
    }
}
