//! What a client and its transport tell each other of the exchange under way.
//!
//! ureq is between the two and hands nothing through, so they share this.
//! It is used by one thread only; [`Number`] is a `Cell` that ureq's `Send + Sync`
//! bounds accept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::timestamp::{self, Received};
use crate::network::Proxy;
use crate::units::nanos;

/// When the bytes of an exchange went and came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Just before the first byte of the request was handed to the kernel;
    /// `None` if it never was.
    pub sent: Option<Instant>,
    /// When the kernel had all of the request, where it did not take it at once; else
    /// `None`.
    pub written: Option<Instant>,
    /// Arrival of the first bytes of the answer; `None` if none came.
    pub first_byte: Option<Instant>,
    /// Arrival of the last bytes that were read; `None` if none came.
    pub last_byte: Option<Instant>,
    /// From that arrival in the kernel to our reading it; `None` where the
    /// kernel gives no timestamps.
    pub delay: Option<Duration>,
}

/// What one client has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Connections opened.
    pub connects: u64,
    /// Of these, opened since an earlier one was gone.
    pub reconnects: u64,
    /// Of these, the ones whose earlier connection the server had ended.
    pub server_closed: u64,
    /// Bytes handed to the kernel.
    pub bytes_sent: u64,
    /// Bytes read.
    pub bytes_received: u64,
}

/// Whether bytes came before the exchange's deadline: by the kernel's stamp, or
/// where there is none, by the moment of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    InTime,
    Late,
}

/// What is known of when an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ArrivalTimes {
    first_byte: u64,
    last_byte: u64,
    delay: u64,
    phase: u64,
}

/// What an exchange was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum ExchangePhase {
    /// Making the TCP connection.
    Connecting,
    /// Asking a proxy for the way to the server.
    Tunnelling,
    /// The TLS handshake.
    Securing,
    /// Handing the request to the kernel.
    Sending,
    /// All is sent, no byte of the answer has come.
    Waiting,
    /// The answer has begun.
    Reading,
}

impl ExchangePhase {
    pub(super) fn from_number(value: u64) -> Self {
        match value {
            0 => Self::Connecting,
            1 => Self::Tunnelling,
            2 => Self::Securing,
            3 => Self::Sending,
            4 => Self::Waiting,
            _ => Self::Reading,
        }
    }
}

/// What stopped the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Stop {
    Nothing,
    Timeout,
    Cancelled,
    /// The peer closed in good order.
    Closed,
    /// The connection was reset, or writing to it failed.
    Reset,
}

/// A number of one thread. Relaxed loads and stores compile to plain ones.
#[derive(Debug)]
struct Number(AtomicU64);

impl Number {
    const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    fn add(&self, value: u64) {
        self.set(self.get() + value);
    }
}

/// No instant. Times are nanoseconds since `base`, plus one.
const NONE: u64 = 0;

/// The most bytes of the proxy's answer and of the handshake of TLS for which the deadline
/// is put off where we read them late: twice what the parts of a handshake may have.
const HANDSHAKE_BYTES_MAX: u64 = 256 << 10;

/// As a deadline: none.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Exchange {
    base: Instant,
    deadline: Number,
    sent: Number,
    written: Number,
    first_byte: Number,
    last_byte: Number,
    /// Nanoseconds plus one.
    delay: Number,
    /// Arrival of the last bytes before the request, which are those of a handshake.
    handshake_came: Number,
    /// When bytes of a handshake were last read in this exchange.
    handshake_read: Number,
    /// Bytes of handshakes that came in this exchange.
    handshake_bytes: Number,
    phase: Number,
    stop: Number,
    reused: Number,
    /// The peer has ended the last connection, or said that it will.
    is_peers_end: Number,
    connects: Number,
    server_closed: Number,
    bytes_sent: Number,
    /// Bytes that came.
    received: Brought,
    /// Bytes of content that coded ones became.
    decoded: Brought,
    /// Bytes worked off since the task last waited or gave way here.
    n_at_a_stretch: Number,
    /// Stretches of decoding that ended beyond the deadline.
    n_late_stretches: Number,
    /// What an exchange may bring at full speed.
    bytes_unpaced: u64,
    /// Exchanges that have no allowance, after a flood.
    n_without_allowance: Number,
    /// A handshake with the server of TLS went well, of whichever user.
    has_tls_stood: Number,
    /// Through which requests go.
    proxy: Option<Arc<Proxy>>,
    /// Where the connection leads. Nobody else locks it.
    peer: Mutex<Option<SocketAddr>>,
}

/// What answers brought, counted against what one may bring at full speed.
#[derive(Debug)]
struct Brought {
    n_bytes: Number,
    /// The value of `n_bytes` from which on this exchange has brought what it may, or an
    /// earlier one since which all timed out.
    paced_from: Number,
}

impl Brought {
    fn nothing() -> Self {
        Self {
            n_bytes: Number::new(0),
            paced_from: Number::new(u64::MAX),
        }
    }

    /// From now on this many more may come.
    fn allow(&self, n_bytes: u64) {
        let paced_from = self.n_bytes.get().saturating_add(n_bytes);
        self.paced_from.set(paced_from);
    }

    fn add(&self, n_bytes: u64) {
        self.n_bytes.add(n_bytes);
    }

    fn is_more_than_allowed(&self) -> bool {
        self.n_bytes.get() > self.paced_from.get()
    }
}

impl Exchange {
    /// Of a client whose answers may bring that many bytes before they are read
    /// at a bounded rate.
    pub(super) fn new(bytes_unpaced: usize) -> Self {
        Self {
            base: Instant::now(),
            deadline: Number::new(NONE),
            sent: Number::new(NONE),
            written: Number::new(NONE),
            first_byte: Number::new(NONE),
            last_byte: Number::new(NONE),
            delay: Number::new(NONE),
            handshake_came: Number::new(NONE),
            handshake_read: Number::new(0),
            handshake_bytes: Number::new(0),
            phase: Number::new(ExchangePhase::Sending as u64),
            stop: Number::new(Stop::Nothing as u64),
            reused: Number::new(0),
            is_peers_end: Number::new(0),
            connects: Number::new(0),
            server_closed: Number::new(0),
            bytes_sent: Number::new(0),
            received: Brought::nothing(),
            decoded: Brought::nothing(),
            n_at_a_stretch: Number::new(0),
            n_late_stretches: Number::new(0),
            bytes_unpaced: bytes_unpaced as u64,
            n_without_allowance: Number::new(0),
            has_tls_stood: Number::new(0),
            proxy: None,
            peer: Mutex::new(None),
        }
    }

    /// Of a client whose requests go through this proxy.
    pub(super) fn through(self, proxy: Option<&Arc<Proxy>>) -> Self {
        Self {
            proxy: proxy.cloned(),
            ..self
        }
    }

    /// Through which requests go.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_deref()
    }

    /// A new exchange begins.
    pub(super) fn begin(&self, deadline: Instant) {
        self.deadline.set(self.to_ns(deadline));
        self.sent.set(NONE);
        self.written.set(NONE);
        self.first_byte.set(NONE);
        self.last_byte.set(NONE);
        self.delay.set(NONE);
        self.n_late_stretches.set(0);
        self.handshake_read.set(0);
        self.handshake_bytes.set(0);
        self.set_phase(ExchangePhase::Sending);
        self.renew_allowance();
        self.stop.set(Stop::Nothing as u64);
        // A connector that is asked for a connection says otherwise.
        self.reused.set(1);
    }

    /// An exchange has its own allowance. After a flood that lasted to the
    /// deadline there is none, not even where the notice of that timeout went
    /// well: two exchanges must have ended before the deadline.
    fn renew_allowance(&self) {
        const EXCHANGES_WITHOUT: u64 = 2;
        let timed_out = self.stop() == Stop::Timeout;
        if timed_out && self.is_paced() {
            self.n_without_allowance.set(EXCHANGES_WITHOUT);
        }
        let n_without = self.n_without_allowance.get();
        if n_without == 0 {
            self.received.allow(self.bytes_unpaced);
            self.decoded.allow(self.bytes_unpaced);
        } else if !timed_out {
            self.n_without_allowance.set(n_without - 1);
        }
    }

    /// Of an exchange that has one, as each has until its head is there.
    pub(super) fn deadline(&self) -> Instant {
        self.to_instant(self.deadline.get()).unwrap_or(self.base)
    }

    /// `None`: it may take for ever.
    pub(super) fn deadline_if_any(&self) -> Option<Instant> {
        let ns = self.deadline.get();
        match ns {
            NEVER => None,
            _ => self
                .base
                .checked_add(Duration::from_nanos(ns.saturating_sub(1))),
        }
    }

    pub(super) fn set_deadline(&self, deadline: Instant) {
        self.deadline.set(self.to_ns(deadline));
    }

    /// What is read from now on is a stream without an end. What was deep before it came
    /// is not deep again, so its waits need not give back memory of the stack.
    pub(super) fn go_on_for_ever(&self) {
        self.deadline.set(NEVER);
        self.reused.set(1);
    }

    pub(super) fn phase(&self) -> ExchangePhase {
        ExchangePhase::from_number(self.phase.get())
    }

    pub(super) fn set_phase(&self, phase: ExchangePhase) {
        self.phase.set(phase as u64);
    }

    pub(super) fn stop(&self) -> Stop {
        match self.stop.get() {
            1 => Stop::Timeout,
            2 => Stop::Cancelled,
            3 => Stop::Closed,
            4 => Stop::Reset,
            _ => Stop::Nothing,
        }
    }

    /// The first thing that stops an exchange is its cause.
    pub(super) fn set_stop(&self, stop: Stop) {
        if self.stop() == Stop::Nothing {
            self.stop.set(stop as u64);
        }
    }

    pub(super) fn connecting(&self) {
        self.set_phase(ExchangePhase::Connecting);
        self.reused.set(0);
        *self.peer.lock() = None;
    }

    /// Where the connection leads; `None` where there is none.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        *self.peer.lock()
    }

    /// The handshake of TLS begins; `has_stood`: one with this server went well before.
    pub(super) fn securing(&self, has_stood: bool) {
        self.set_phase(ExchangePhase::Securing);
        self.handshake_came.set(NONE);
        self.has_tls_stood.set(u64::from(has_stood));
    }

    /// Whether a handshake with this server went well before.
    pub(super) fn has_tls_stood(&self) -> bool {
        self.has_tls_stood.get() == 1
    }

    /// The peer ends the connection: it closed or reset it, or its answer says
    /// that nothing can follow. What we give up, we end.
    pub(super) fn peer_ends(&self) {
        self.is_peers_end.set(1);
    }

    /// A connection is established.
    pub(super) fn connected(&self, peer: SocketAddr) {
        *self.peer.lock() = Some(peer);
        // The first connection has none before it.
        if self.is_peers_end.get() == 1 {
            self.is_peers_end.set(0);
            self.server_closed.add(1);
        }
        self.connects.add(1);
    }

    /// Bytes are about to be handed to the kernel.
    pub(super) fn sending(&self) {
        if self.phase() == ExchangePhase::Sending && self.sent.get() == NONE {
            self.sent.set(self.to_ns(Instant::now()));
        }
    }

    pub(super) fn add_sent(&self, n_bytes: usize) {
        self.bytes_sent.add(n_bytes as u64);
        self.work_off(n_bytes);
    }

    /// Bytes were read. Those that came too late are not part of the answer.
    pub(super) fn received(&self, received: &Received) -> Arrival {
        self.received.add(received.n_bytes as u64);
        self.work_off(received.n_bytes);
        let now = self.to_ns(received.at);
        let age_ns = received.age.map(nanos);
        let is_handshake = matches!(
            self.phase(),
            ExchangePhase::Connecting | ExchangePhase::Tunnelling | ExchangePhase::Securing
        );
        // No answer comes before its request: a stamp that says so is wrong.
        // Then the moment of reading has to do, which is never too early.
        let sent = self.sent.get().max(1);
        let came = age_ns.map(|age_ns| now.saturating_sub(age_ns));
        let believed = came.filter(|came| is_handshake || *came >= sent);
        if believed.is_none() && came.is_some() {
            timestamp::disbelieve();
        }
        let came = believed.unwrap_or(now);
        if came > self.deadline.get() {
            return Arrival::Late;
        }
        if is_handshake {
            self.put_off_handshake(now, came, received.n_bytes);
            self.handshake_came.set(came);
            return Arrival::InTime;
        }
        self.last_byte.set(came);
        self.delay.set(believed.map_or(NONE, |came| now - came + 1));
        if self.first_byte.get() == NONE {
            self.first_byte.set(came);
            self.set_phase(ExchangePhase::Reading);
        }
        Arrival::InTime
    }

    /// How long we left bytes of a handshake in the kernel is not the server's time: from
    /// when they came, or from our last read, since what was left there before it is put
    /// off already. Of a flood there is always some left, and that is the peer's doing.
    fn put_off_handshake(&self, now: u64, came: u64, n_bytes: usize) {
        let n_so_far = self.handshake_bytes.get() + n_bytes as u64;
        self.handshake_bytes.set(n_so_far);
        let left_since = came.max(self.handshake_read.get());
        self.handshake_read.set(now);
        if n_so_far <= HANDSHAKE_BYTES_MAX {
            self.put_off(Duration::from_nanos(now.saturating_sub(left_since)));
        }
    }

    /// What is known so far of when the answer came.
    pub(super) fn arrivals(&self) -> ArrivalTimes {
        ArrivalTimes {
            first_byte: self.first_byte.get(),
            last_byte: self.last_byte.get(),
            delay: self.delay.get(),
            phase: self.phase.get(),
        }
    }

    /// What came since was not part of the answer.
    pub(super) fn restore(&self, before: ArrivalTimes) {
        self.first_byte.set(before.first_byte);
        self.last_byte.set(before.last_byte);
        self.delay.set(before.delay);
        self.phase.set(before.phase);
    }

    /// What came since was not part of the answer, but for what the last read brought.
    pub(super) fn restore_up_to_last(&self, before: ArrivalTimes) {
        if before.first_byte == NONE {
            self.first_byte.set(self.last_byte.get());
        }
    }

    /// No byte of the answer has come.
    pub(super) fn has_no_answer(&self) -> bool {
        self.first_byte.get() == NONE
    }

    /// When the last bytes of the last handshake came.
    pub(super) fn handshake_came(&self) -> Option<Instant> {
        self.to_instant(self.handshake_came.get())
    }

    /// It has brought more than any answer that is accepted, or one before it did
    /// since which all timed out.
    pub(super) fn is_paced(&self) -> bool {
        self.received.is_more_than_allowed() || self.decoded.is_more_than_allowed()
    }

    /// Coded bytes became this much content, which is work as well.
    pub(super) fn add_decoded(&self, n_bytes: usize) {
        self.decoded.add(n_bytes as u64);
        self.work_off(n_bytes);
    }

    fn work_off(&self, n_bytes: usize) {
        let n_bytes = self.n_at_a_stretch.get() + n_bytes as u64;
        self.n_at_a_stretch.set(n_bytes);
    }

    /// Bytes sent, received and decoded since the last [`Exchange::begin_stretch`].
    pub(super) fn n_at_a_stretch(&self) -> u64 {
        self.n_at_a_stretch.get()
    }

    /// The kernel has taken what it did not take at once.
    pub(super) fn all_written(&self) {
        self.written.set(self.to_ns(Instant::now()));
    }

    /// A stretch of decoding ended beyond the deadline: how many did so far.
    pub(super) fn add_late_stretch(&self) -> u64 {
        let n_late = self.n_late_stretches.get() + 1;
        self.n_late_stretches.set(n_late);
        n_late
    }

    /// The task waits or gives way.
    pub(super) fn begin_stretch(&self) {
        self.n_at_a_stretch.set(0);
    }

    /// Moves the deadline by what this machine was late.
    pub(super) fn put_off(&self, late: Duration) {
        let late_ns = nanos(late);
        let deadline = self.deadline.get();
        self.deadline.set(deadline.saturating_add(late_ns));
    }

    /// Gives the work at most this long, however much later the deadline is.
    pub(super) fn within<T>(&self, limit: Duration, work: impl FnOnce() -> T) -> T {
        let deadline = self.deadline.get();
        let nearer = self.to_ns(Instant::now()).saturating_add(nanos(limit));
        let nearer = nearer.min(deadline);
        self.deadline.set(nearer);
        let done = work();
        // Delays of this machine meanwhile are not the server's time either.
        let late_ns = self.deadline.get().saturating_sub(nearer);
        self.deadline.set(deadline.saturating_add(late_ns));
        done
    }

    pub(super) fn timing(&self) -> Timing {
        let delay = self.delay.get();
        Timing {
            sent: self.to_instant(self.sent.get()),
            written: self.to_instant(self.written.get()),
            first_byte: self.to_instant(self.first_byte.get()),
            last_byte: self.to_instant(self.last_byte.get()),
            delay: (delay != NONE).then(|| Duration::from_nanos(delay - 1)),
        }
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused.get() == 1
    }

    /// Bytes sent and received.
    pub(super) fn traffic(&self) -> (u64, u64) {
        (self.bytes_sent.get(), self.received.n_bytes.get())
    }

    pub(super) fn counters(&self) -> ClientCounters {
        let connects = self.connects.get();
        let (bytes_sent, bytes_received) = self.traffic();
        ClientCounters {
            connects,
            reconnects: connects.saturating_sub(1),
            server_closed: self.server_closed.get(),
            bytes_sent,
            bytes_received,
        }
    }

    fn to_ns(&self, at: Instant) -> u64 {
        let ns = at.saturating_duration_since(self.base).as_nanos();
        u64::try_from(ns).unwrap_or(u64::MAX - 1).saturating_add(1)
    }

    fn to_instant(&self, ns: u64) -> Option<Instant> {
        (ns != NONE)
            .then(|| self.base.checked_add(Duration::from_nanos(ns - 1)))
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receive_stamp_never_precedes_the_request() {
        let exchange = Exchange::new(usize::MAX);
        exchange.begin(Instant::now() + Duration::from_secs(1));
        exchange.sending();
        exchange.set_phase(ExchangePhase::Waiting);
        let received = Received {
            n_bytes: 10,
            at: Instant::now(),
            age: Some(Duration::from_secs(3600)),
        };
        timestamp::take_counts();
        assert_eq!(exchange.received(&received), Arrival::InTime);
        let timing = exchange.timing();
        // Not when the request was sent, which would be a latency of nothing.
        assert_eq!(timing.last_byte, Some(received.at));
        assert_eq!(exchange.phase(), ExchangePhase::Reading);
        assert_eq!(timing.delay, None);
        let (reads, ..) = timestamp::take_counts();
        assert_eq!(reads.unusable, 1);
    }

    #[test]
    fn reconnects_are_split_by_who_ended_the_connection() {
        let exchange = Exchange::new(usize::MAX);
        let peer = SocketAddr::from(([127, 0, 0, 1], 80));
        exchange.connected(peer);
        exchange.connected(peer);
        exchange.peer_ends();
        exchange.connected(peer);
        exchange.connected(peer);
        let counters = exchange.counters();
        assert_eq!((counters.reconnects, counters.server_closed), (3, 1));
    }

    #[test]
    fn the_first_stop_is_the_cause() {
        let exchange = Exchange::new(usize::MAX);
        exchange.begin(Instant::now());
        exchange.set_stop(Stop::Timeout);
        exchange.set_stop(Stop::Closed);
        assert_eq!(exchange.stop(), Stop::Timeout);
        exchange.begin(Instant::now());
        assert_eq!(exchange.stop(), Stop::Nothing);
    }

    /// The kernel had them before the deadline, or after; where it does not say,
    /// they came when they were read.
    #[test]
    fn what_came_in_time_is_judged_by_arrival() {
        let exchange = Exchange::new(usize::MAX);
        let begin = Instant::now();
        let second = Duration::from_secs(1);
        let check = |phase, read_at: u32, age_ms: Option<u64>, expected| {
            exchange.begin(begin + second);
            exchange.set_phase(phase);
            let received = Received {
                n_bytes: 1,
                at: begin + second * read_at,
                age: age_ms.map(Duration::from_millis),
            };
            assert_eq!(
                exchange.received(&received),
                expected,
                "{phase:?} {age_ms:?}"
            );
            let is_answer = expected == Arrival::InTime && phase == ExchangePhase::Waiting;
            assert_eq!(exchange.timing().last_byte.is_some(), is_answer);
        };
        for phase in [ExchangePhase::Waiting, ExchangePhase::Securing] {
            check(phase, 5, Some(4_500), Arrival::InTime);
            check(phase, 5, Some(3_900), Arrival::Late);
            check(phase, 5, None, Arrival::Late);
            check(phase, 1, None, Arrival::InTime);
        }
    }

    #[test]
    fn what_we_were_late_is_not_taken_from_the_handshake() {
        let exchange = Exchange::new(usize::MAX);
        let begin = Instant::now();
        let second = Duration::from_secs(1);
        exchange.begin(begin + second);
        exchange.set_phase(ExchangePhase::Securing);
        let received = Received {
            n_bytes: 1,
            at: begin + second * 5,
            age: Some(second * 9 / 2),
        };
        assert_eq!(exchange.received(&received), Arrival::InTime);
        assert_eq!(exchange.deadline(), begin + second + second * 9 / 2);
    }

    #[test]
    fn what_goes_on_for_ever_has_no_deadline_and_is_never_late() {
        let exchange = Exchange::new(usize::MAX);
        let begin = Instant::now();
        exchange.begin(begin + Duration::from_secs(1));
        exchange.go_on_for_ever();
        assert_eq!(exchange.deadline_if_any(), None);
        let received = Received {
            n_bytes: 1,
            at: begin + Duration::from_secs(1_000_000),
            age: None,
        };
        assert_eq!(exchange.received(&received), Arrival::InTime);
        exchange.put_off(Duration::from_secs(1));
        assert_eq!(exchange.deadline_if_any(), None);
        exchange.begin(begin);
        assert_eq!(exchange.deadline_if_any(), Some(begin));
    }

    /// A handshake of one read, late by our fault, gets that time back once; one that never
    /// stops coming ends at its deadline, however long its bytes lie there.
    #[test]
    fn a_deadline_is_put_off_for_a_stall_and_not_for_a_flood() {
        let (second, limit) = (Duration::from_secs(1), Duration::from_secs(2));
        let (exchange, begin) = (Exchange::new(0), Instant::now());
        let read = |at: Instant, age: Duration| {
            let (n_bytes, age) = (64 << 10, Some(age));
            exchange.received(&Received { n_bytes, at, age })
        };
        exchange.begin(begin + limit);
        exchange.set_phase(ExchangePhase::Tunnelling);
        // All of it came at once, a second before it was read in two pieces.
        assert_eq!(read(begin + 3 * second, second), Arrival::InTime);
        assert_eq!(read(begin + 3 * second, second), Arrival::InTime);
        assert_eq!(exchange.deadline_if_any(), Some(begin + limit + second));
        exchange.begin(begin + limit);
        exchange.set_phase(ExchangePhase::Tunnelling);
        let pause = Duration::from_millis(16);
        let mut reads = (0..1_000).map(|nth| read(begin + nth * pause, second));
        assert!(reads.any(|arrival| arrival == Arrival::Late));
    }

    #[test]
    fn each_exchange_has_its_own_allowance() {
        let exchange = Exchange::new(199);
        let received = Received {
            n_bytes: 100,
            at: Instant::now(),
            age: None,
        };
        for _ in 0..3 {
            exchange.begin(Instant::now() + Duration::from_secs(60));
            assert_eq!(exchange.received(&received), Arrival::InTime);
            assert!(!exchange.is_paced());
            assert_eq!(exchange.received(&received), Arrival::InTime);
            assert!(exchange.is_paced());
        }
    }

    /// A coded answer may bring as much content as one that is not coded; few
    /// bytes that become many are a flood.
    #[test]
    fn content_has_an_allowance_of_its_own() {
        let exchange = Exchange::new(100);
        let received = Received {
            n_bytes: 50,
            at: Instant::now(),
            age: None,
        };
        for _ in 0..2 {
            exchange.begin(Instant::now() + Duration::from_secs(60));
            exchange.begin_stretch();
            assert_eq!(exchange.received(&received), Arrival::InTime);
            exchange.add_decoded(100);
            assert!(!exchange.is_paced());
            exchange.add_decoded(1);
            assert!(exchange.is_paced());
            assert_eq!(exchange.n_at_a_stretch(), 151);
        }
        assert_eq!(exchange.counters().bytes_received, 100);
    }

    #[test]
    fn a_flood_does_not_begin_anew_with_each_call() {
        let exchange = Exchange::new(99);
        let received = Received {
            n_bytes: 100,
            at: Instant::now(),
            age: None,
        };
        let begin = || exchange.begin(Instant::now() + Duration::from_secs(60));
        begin();
        assert_eq!(exchange.received(&received), Arrival::InTime);
        for _ in 0..3 {
            exchange.set_stop(Stop::Timeout);
            // The notice of the timeout, then the next call.
            begin();
            assert!(exchange.is_paced());
            begin();
            assert!(exchange.is_paced());
        }
        // That call ended in time, and so does the next one.
        begin();
        assert!(exchange.is_paced());
        begin();
        assert!(!exchange.is_paced());
    }

    #[test]
    fn bytes_of_a_handshake_are_not_the_request() {
        let exchange = Exchange::new(usize::MAX);
        exchange.begin(Instant::now() + Duration::from_secs(60));
        exchange.connecting();
        exchange.sending();
        let received = Received {
            n_bytes: 100,
            at: Instant::now(),
            age: None,
        };
        assert_eq!(exchange.received(&received), Arrival::InTime);
        assert_eq!(exchange.timing().sent, None);
        assert_eq!(exchange.timing().first_byte, None);
        assert!(!exchange.is_reused());
    }
}
