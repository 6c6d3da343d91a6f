//! TLS handshakes: how long they took, and what they agreed upon.

use super::Histogram;

/// What a handshake agreed upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandshakeKind {
    /// Such as `TLS 1.3`.
    pub protocol: &'static str,
    /// The name of the cipher suite at IANA.
    pub cipher: &'static str,
    /// It went on with a session of before.
    pub is_resumed: bool,
}

/// The handshakes that were made.
#[derive(Debug, Clone, Default)]
pub struct TlsHandshakes {
    /// From the first byte sent to the arrival of the last byte of the server's part, in
    /// nanoseconds.
    pub times: Histogram,
    /// How many of each kind. Few: what TLS knows bounds them.
    pub kinds: Vec<(HandshakeKind, u64)>,
}

impl TlsHandshakes {
    /// Counts one.
    pub fn record(&mut self, kind: HandshakeKind, ns: u64) {
        self.times.record(ns);
        self.add(kind, 1);
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.times.merge(&other.times);
        for (kind, n) in &other.kinds {
            self.add(*kind, *n);
        }
    }

    fn add(&mut self, kind: HandshakeKind, n: u64) {
        match self.kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += n,
            None => self.kinds.push((kind, n)),
        }
    }
}
