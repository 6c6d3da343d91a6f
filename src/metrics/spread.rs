//! Calls by who served them: by the address that their connection led to, and by what a
//! header of their answer names.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Histogram;
use super::violations::cut;

/// Servers that are counted apart, at most: what a header says, a stranger decides.
const SERVERS_MAX: usize = 64;

/// Characters kept of a header's value.
const NAME_CHARS_MAX: usize = 100;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServedCall {
    /// It succeeded.
    pub is_ok: bool,
    /// The server did not know its session.
    pub is_expired: bool,
    /// The latency that counts, in nanoseconds.
    pub latency_ns: u64,
}

/// The calls that one server ended.
#[derive(Debug, Clone, Default)]
pub struct ServerTally {
    /// Those that succeeded.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// Of these, the ones whose session the server did not know.
    pub sessions_expired: u64,
    /// The latency of those that succeeded, in nanoseconds.
    pub latency: Histogram,
}

impl ServerTally {
    fn record(&mut self, call: ServedCall) {
        self.sessions_expired += u64::from(call.is_expired);
        match call.is_ok {
            true => {
                self.ok += 1;
                self.latency.record(call.latency_ns);
            }
            false => self.failed += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.ok += other.ok;
        self.failed += other.failed;
        self.sessions_expired += other.sessions_expired;
        self.latency.merge(&other.latency);
    }
}

/// Calls by server, with a largest number of servers.
#[derive(Debug, Clone)]
pub struct ServerTallies<K> {
    /// By name.
    pub named: BTreeMap<K, ServerTally>,
    /// Calls of which it is not known who served them.
    pub unnamed: Option<Box<ServerTally>>,
    /// Calls of servers beyond the largest number.
    pub others: Option<Box<ServerTally>>,
}

impl<K> Default for ServerTallies<K> {
    fn default() -> Self {
        Self {
            named: BTreeMap::new(),
            unnamed: None,
            others: None,
        }
    }
}

impl<K: Ord + Clone> ServerTallies<K> {
    /// Counts a call that has ended.
    pub fn record<Q>(&mut self, name: Option<&Q>, call: ServedCall)
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized,
    {
        match name {
            Some(name) => self.tally(name).record(call),
            None => self.unnamed.get_or_insert_default().record(call),
        }
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        for (name, more) in &other.named {
            self.tally(name).merge(more);
        }
        for (sum, more) in [
            (&mut self.unnamed, &other.unnamed),
            (&mut self.others, &other.others),
        ] {
            if let Some(more) = more {
                sum.get_or_insert_default().merge(more);
            }
        }
    }

    /// Whether no call was counted.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.unnamed.is_none() && self.others.is_none()
    }

    fn tally<Q>(&mut self, name: &Q) -> &mut ServerTally
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized,
    {
        let is_known = self.named.contains_key(name);
        if !is_known && self.named.len() < SERVERS_MAX {
            return self.named.entry(name.to_owned()).or_default();
        }
        // No copy is made of a name that is known.
        match self.named.get_mut(name) {
            Some(known) => known,
            None => self.others.get_or_insert_default(),
        }
    }
}

/// Calls by who served them.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    /// By the address that their connection led to.
    pub addresses: ServerTallies<SocketAddr>,
    /// By what a header of their answer says.
    pub backends: ServerTallies<String>,
}

impl Spread {
    /// Counts a call by what a header of its answer says, if it has one.
    pub fn record_backend(&mut self, name: Option<&str>, call: ServedCall) {
        let shown: Option<String> = name.map(|name| cut(name, NAME_CHARS_MAX).collect());
        self.backends.record(shown.as_deref(), call);
    }

    /// Adds others.
    pub fn merge(&mut self, other: &Self) {
        self.addresses.merge(&other.addresses);
        self.backends.merge(&other.backends);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: ServedCall = ServedCall {
        is_ok: true,
        is_expired: false,
        latency_ns: 1000,
    };

    #[test]
    fn each_call_is_counted_once_and_names_are_bounded() {
        let mut all = Spread::default();
        let expired = ServedCall {
            is_ok: false,
            is_expired: true,
            ..CALL
        };
        for number in 0..1000 {
            all.record_backend(Some(&format!("{number}")), CALL);
        }
        all.record_backend(Some("7"), expired);
        all.record_backend(None, expired);
        let mut twice = Spread::default();
        twice.merge(&all);
        twice.merge(&all);
        let backends = &twice.backends;
        assert_eq!(backends.named.len(), SERVERS_MAX);
        let seven = &backends.named["7"];
        assert_eq!((seven.ok, seven.failed, seven.sessions_expired), (2, 2, 2));
        assert_eq!(seven.latency.len(), 2);
        let of = |tally: &Option<Box<ServerTally>>| {
            let tally = tally.as_ref().expect("counted");
            (tally.ok, tally.failed)
        };
        assert_eq!(of(&backends.unnamed), (0, 2));
        let n_named: u64 = backends.named.values().map(|it| it.ok).sum();
        assert_eq!(n_named + of(&backends.others).0, 2000);
        assert!(twice.addresses.is_empty());
    }

    #[test]
    fn a_long_name_is_cut_and_draws_nothing() {
        let mut all = Spread::default();
        all.record_backend(Some(&"\u{1b}[2J".repeat(100)), CALL);
        let name = all.backends.named.keys().next().expect("a name");
        assert!(name.chars().count() <= NAME_CHARS_MAX + 1, "{name}");
        assert!(!name.contains('\u{1b}'), "{name}");
    }
}
