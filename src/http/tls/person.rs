//! What one user brings to a handshake: sessions to resume, and its certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use parking_lot::Mutex;
use rustls::NamedGroup;
use rustls::SignatureScheme;
use rustls::client::{
    ClientSessionStore, ResolvesClientCert, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;

/// Tickets that are kept: one is used up by each connection, and each brings new ones.
const TICKETS_MAX: usize = 2;

/// One user; of one server, so that no name has to be looked up. No lock is ever waited
/// for, since all is done by the user's own thread.
#[derive(Debug)]
pub(super) struct Person {
    certificate: Option<Arc<CertifiedKey>>,
    /// A server asked for a certificate in the last full handshake.
    was_asked: AtomicBool,
    sessions: Mutex<Resumable>,
}

#[derive(Debug, Default)]
struct Resumable {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    tls13: Vec<Tls13ClientSessionValue>,
}

impl Person {
    pub(super) fn new(certificate: Option<Arc<CertifiedKey>>) -> Self {
        Self {
            certificate,
            was_asked: AtomicBool::new(false),
            sessions: Mutex::default(),
        }
    }

    /// A new handshake begins.
    pub(super) fn begin(&self) {
        self.was_asked.store(false, Relaxed);
    }

    /// Whether the server asked for a certificate.
    pub(super) fn was_asked(&self) -> bool {
        self.was_asked.load(Relaxed)
    }

    /// Whether it has one.
    pub(super) fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }
}

impl ResolvesClientCert for Person {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Relaxed);
        self.certificate.clone()
    }

    // Asked before `resolve`, which is to be told of each wish.
    fn has_certs(&self) -> bool {
        true
    }
}

impl ClientSessionStore for Person {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.sessions.lock().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.lock().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.sessions.lock().tls12 = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.sessions.lock().tls12.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.sessions.lock().tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let tickets = &mut self.sessions.lock().tls13;
        if tickets.len() == TICKETS_MAX {
            tickets.remove(0);
        }
        tickets.push(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.lock().tls13.pop()
    }
}
