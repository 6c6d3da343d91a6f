//! The server's name is looked up again while the load goes on (`dns_ttl`).
//!
//! The system's resolver may block for half a minute, so each look-up is made on a thread
//! of its own, one at a time; the coordinator asks whether it has ended when it looks up
//! anyway.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::Utc;
use crate::http::HostName;
use crate::units::plural;

/// What a look-up finds.
type LookedUp = io::Result<Vec<SocketAddr>>;

/// What there is to tell of a look-up.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// The name leads elsewhere from now on.
    Changed(Arc<[SocketAddr]>),
    /// For the first time in a row there was no answer; what was known is kept.
    Failed(String),
}

impl News {
    /// For the user.
    fn text(&self) -> String {
        match self {
            Self::Changed(addresses) => format!(
                "the server's name leads to {} since {}: new connections go there",
                plural(addresses.len() as u64, "other address", "other addresses"),
                Utc::now().rfc3339()
            ),
            Self::Failed(why) => format!(
                "the server's name could not be looked up again, and the addresses are kept: {why}"
            ),
        }
    }
}

/// News that are told, at most: a name may lead elsewhere each time.
const TOLD_MAX: u32 = 20;

/// Looks a name up again and again.
pub(super) struct Lookups {
    name: HostName,
    every: Duration,
    next: Instant,
    known: BTreeSet<SocketAddr>,
    pending: Option<Receiver<LookedUp>>,
    has_failed: bool,
    n_told: u32,
}

impl Lookups {
    /// Of a name that led to these addresses now.
    pub(super) fn new(name: HostName, known: &[SocketAddr], every: Duration, now: Instant) -> Self {
        Self {
            name,
            every,
            next: now + every,
            known: known.iter().copied().collect(),
            pending: None,
            has_failed: false,
            n_told: 0,
        }
    }

    /// As [`Lookups::look`]; `tell` is told what the user should know, and what is given
    /// are the addresses that connections go to from now on, where they are others.
    pub(super) fn addresses(
        &mut self,
        now: Instant,
        tell: &mut dyn FnMut(&str),
    ) -> Option<Arc<[SocketAddr]>> {
        let news = self.look(now)?;
        self.n_told += 1;
        if self.n_told <= TOLD_MAX {
            tell(&news.text());
        }
        if self.n_told == TOLD_MAX {
            tell("no more is told of where the server's name leads");
        }
        match news {
            News::Changed(addresses) => Some(addresses),
            News::Failed(_) => None,
        }
    }

    /// Begins a look-up when it is time, and tells what the last one found. Never waits.
    fn look(&mut self, now: Instant) -> Option<News> {
        let name = self.name.clone();
        self.look_with(now, move || name.look_up_blocking())
    }

    fn look_with(
        &mut self,
        now: Instant,
        look_up: impl FnOnce() -> LookedUp + Send + 'static,
    ) -> Option<News> {
        let Some(pending) = &self.pending else {
            if now >= self.next {
                self.next = now + self.every;
                let (found, finding) = mpsc::sync_channel(1);
                let resolver = thread::Builder::new().name("resolver".to_string());
                // Who waits may be gone by then; without a thread, the next time will do.
                let started = resolver.spawn(move || drop(found.send(look_up())));
                self.pending = started.ok().map(|_| finding);
            }
            return None;
        };
        let found = match pending.try_recv() {
            Ok(found) => found,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the resolver broke")),
        };
        self.pending = None;
        self.take(found)
    }

    fn take(&mut self, found: LookedUp) -> Option<News> {
        match found {
            Ok(addresses) if !addresses.is_empty() => {
                self.has_failed = false;
                let set: BTreeSet<SocketAddr> = addresses.iter().copied().collect();
                // Servers of names answer in another order each time.
                if set == self.known {
                    return None;
                }
                self.known = set;
                Some(News::Changed(addresses.into()))
            }
            Ok(_) => self.failed("it has no address".to_string()),
            Err(error) => self.failed(error.to_string()),
        }
    }

    fn failed(&mut self, why: String) -> Option<News> {
        let was_known = std::mem::replace(&mut self.has_failed, true);
        (!was_known).then_some(News::Failed(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::resolve;
    use crate::network::Network;

    fn lookups(now: Instant) -> Lookups {
        let network = Network::default();
        let endpoint = resolve("http://localhost:1/", &network, &|| true).expect("loopback");
        let name = endpoint.looked_up(&network).expect("a name");
        let known = ["10.0.0.1:1".parse().expect("an address")];
        Lookups::new(name, &known, Duration::from_secs(10), now)
    }

    fn found(list: &[&str]) -> LookedUp {
        Ok(list
            .iter()
            .map(|it| it.parse().expect("an address"))
            .collect())
    }

    #[test]
    fn only_what_changed_is_told_and_a_failure_once() {
        let mut lookups = lookups(crate::clock::now());
        let failed = || Err(io::Error::other("no answer"));
        assert_eq!(lookups.take(found(&["10.0.0.1:1"])), None);
        assert!(matches!(lookups.take(failed()), Some(News::Failed(_))));
        assert_eq!(lookups.take(failed()), None);
        assert_eq!(lookups.take(found(&[])), None);
        let two = ["10.0.0.3:1", "10.0.0.2:1"];
        let Some(News::Changed(changed)) = lookups.take(found(&two)) else {
            panic!("not told");
        };
        assert_eq!(changed.len(), 2);
        assert_eq!(lookups.take(found(&[two[1], two[0]])), None);
        assert!(matches!(lookups.take(failed()), Some(News::Failed(_))));
    }

    #[test]
    fn nobody_waits_for_a_resolver_and_there_is_one_at_a_time() {
        let begin = crate::clock::now();
        let mut lookups = lookups(begin);
        let not_now = || -> LookedUp { panic!("not yet") };
        assert_eq!(lookups.look_with(begin, not_now), None);
        let later = begin + Duration::from_secs(11);
        let (answer, answers) = mpsc::channel::<()>();
        let look_up = move || {
            answers.recv().ok();
            found(&["10.0.0.9:1"])
        };
        assert_eq!(lookups.look_with(later, look_up), None);
        let much_later = begin + Duration::from_secs(100);
        assert_eq!(lookups.look_with(much_later, not_now), None);
        drop(answer);
        let news = loop {
            if let Some(news) = lookups.look_with(much_later, not_now) {
                break news;
            }
            thread::yield_now();
        };
        assert!(matches!(news, News::Changed(_)));
    }
}
