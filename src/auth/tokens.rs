//! Who has which token: what workers and the coordinator see of the keeper.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Sender, TrySendError};
use parking_lot::{Condvar, Mutex};

use super::reading::end_of_jwt;
use crate::clock::{self, Utc};
use crate::outcome::TokenFigures;
use crate::redact::{LiveSecrets, Secret, SessionSecrets};

/// The token that a holder has from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldToken {
    /// Who has it.
    pub holder: u32,
    /// Which of its tokens this is, from 1.
    pub number: u64,
    /// What follows `Bearer`.
    pub value: Secret,
    /// None with more scopes is to be had: a 403 does not ask for another one.
    pub is_widest: bool,
}

/// A token that the server did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who has it.
    pub holder: u32,
    /// Which of its tokens it is.
    pub number: u64,
    /// The HTTP status.
    pub status: u16,
    /// The value of `WWW-Authenticate`.
    pub challenge: Option<String>,
}

/// So long after a refusal a token is waited for where the attempts fail. A run of whose
/// users nobody has a token then ends, like one that lets nobody in.
pub const LOST_AFTER: Duration = Duration::from_secs(3);

/// To a thread of the keeper.
pub(super) enum Ask {
    Refused(Refusal),
    End,
}

/// Who has which token. Shared by all threads of a run; none looks at it for a request.
pub struct Tokens {
    state: Mutex<State>,
    changed: Condvar,
    /// By the user's index in the run; empty: all have the same.
    by_user: HashMap<u32, u32>,
    /// One for each thread of the keeper.
    asks: Vec<Sender<Ask>>,
}

struct State {
    holders: Vec<Holder>,
    subscribers: Vec<(u64, Tell)>,
    n_subscribed: u64,
    figures: TokenFigures,
    /// Why the first token of some holder cannot be had.
    first_fault: Option<String>,
    /// What the user should know and has not been told.
    notice: Option<String>,
}

type Tell = Box<dyn Fn(Arc<[HeldToken]>) + Send>;

struct Holder {
    token: Option<HeldToken>,
    secrets: SessionSecrets,
    /// When the server refused the token; `None`: it takes it.
    refused_at: Option<Instant>,
    /// No other will ever come.
    is_over: bool,
    /// Why no other came.
    failure: Option<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} users)", self.by_user.len())
    }
}

impl State {
    fn tell(&self, token: HeldToken) {
        let told: Arc<[HeldToken]> = [token].into();
        for (_, tell) in &self.subscribers {
            tell(Arc::clone(&told));
        }
    }
}

impl Tokens {
    pub(super) fn new(
        n_holders: usize,
        about: String,
        by_user: HashMap<u32, u32>,
        live: &Arc<LiveSecrets>,
        asks: Vec<Sender<Ask>>,
    ) -> Self {
        let holder = |number| Holder {
            token: None,
            secrets: SessionSecrets::new(live, number),
            refused_at: None,
            is_over: false,
            failure: None,
        };
        Self {
            state: Mutex::new(State {
                holders: (0..n_holders).map(holder).collect(),
                subscribers: Vec::new(),
                n_subscribed: 0,
                figures: TokenFigures {
                    about,
                    holders: n_holders as u64,
                    ..TokenFigures::default()
                },
                first_fault: None,
                notice: None,
            }),
            changed: Condvar::new(),
            by_user,
            asks,
        }
    }

    /// Whose token the user of this index in the run has.
    pub fn holder_of(&self, run_index: u32) -> u32 {
        self.by_user.get(&run_index).copied().unwrap_or(0)
    }

    /// The token that a user has now.
    pub fn of_user(&self, run_index: u32) -> Option<Secret> {
        let state = self.state.lock();
        let holder = state.holders.get(self.holder_of(run_index) as usize)?;
        holder.token.as_ref().map(|token| token.value.clone())
    }

    /// Tells that a token was refused; false where it could not be told just now. It
    /// never waits.
    pub fn refuse(&self, refusal: Refusal) -> bool {
        let n_threads = self.asks.len().max(1);
        let Some(ask) = self.asks.get(refusal.holder as usize % n_threads) else {
            return false;
        };
        !matches!(
            ask.try_send(Ask::Refused(refusal)),
            Err(TrySendError::Full(_))
        )
    }

    /// Why a holder has no token that the server takes.
    pub fn why_none(&self, holder: u32) -> String {
        let state = self.state.lock();
        let holder = state.holders.get(holder as usize);
        let failure = holder.and_then(|holder| holder.failure.clone());
        failure.unwrap_or_else(|| "no other token has come yet".to_string())
    }

    /// Whether every holder's token is refused, and no other will ever come or none came
    /// for [`LOST_AFTER`] though it was asked for.
    pub fn are_lost(&self) -> bool {
        let now = crate::clock::now();
        let is_lost = |holder: &Holder| {
            let Some(refused_at) = holder.refused_at else {
                return false;
            };
            // Who only waits for a token measures nothing.
            let is_late = now.saturating_duration_since(refused_at) >= LOST_AFTER;
            holder.is_over || holder.failure.is_some() && is_late
        };
        self.state.lock().holders.iter().all(is_lost)
    }

    /// Whether every holder's token is refused just now: whoever waits for the others
    /// measures nothing.
    pub fn are_refused(&self) -> bool {
        let state = self.state.lock();
        state.holders.iter().all(|it| it.refused_at.is_some())
    }

    /// What was fetched so far.
    pub fn figures(&self) -> TokenFigures {
        self.state.lock().figures.clone()
    }

    /// What the user should know of the tokens, once.
    pub fn take_notice(&self) -> Option<String> {
        self.state.lock().notice.take()
    }

    /// Calls `tell` with the tokens that there are, and with each that comes, until the
    /// subscription is dropped.
    pub fn subscribe(
        self: &Arc<Self>,
        tell: impl Fn(Arc<[HeldToken]>) + Send + 'static,
    ) -> Subscription {
        let mut state = self.state.lock();
        let known = state.holders.iter().filter_map(|it| it.token.clone());
        tell(known.collect());
        state.n_subscribed += 1;
        let id = state.n_subscribed;
        state.subscribers.push((id, Box::new(tell)));
        Subscription {
            tokens: Arc::clone(self),
            id,
        }
    }

    /// A holder has this token from now on. `ended_at`: by its own word it has ended
    /// already. `about` tells what its source is.
    pub(super) fn publish(
        &self,
        token: HeldToken,
        ended_at: Option<SystemTime>,
        about: impl FnOnce() -> String,
    ) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(holder) = state.holders.get_mut(token.holder as usize) else {
            return;
        };
        // Known as a secret before anybody can send it.
        let json = serde_json::Value::from(token.value.expose()).to_string();
        holder.secrets.keep(0, &json);
        holder.refused_at = None;
        holder.failure = None;
        holder.token = Some(token.clone());
        state.figures.fetched += 1;
        if state.holders.len() == 1 {
            // It may tell when this token ends.
            state.figures.about = about();
        }
        if let Some(ended_at) = ended_at {
            state.figures.expired += 1;
            if state.figures.expired == 1 {
                state.notice = Some(expired_notice(&state.figures.about, ended_at));
            }
        }
        state.tell(token);
        self.changed.notify_all();
    }

    /// None with more scopes came: the holder's token, which the server takes for other
    /// requests, has another number from now on.
    pub(super) fn stays(&self, token: HeldToken, why: &str) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(holder) = state.holders.get_mut(token.holder as usize) else {
            return;
        };
        holder.refused_at = None;
        holder.token = Some(token.clone());
        state.figures.failed += 1;
        state.figures.last_failure = Some(why.to_string());
        state.tell(token);
    }

    /// Takes note of a refusal that is acted upon.
    pub(super) fn refused(&self, holder: u32) {
        let mut state = self.state.lock();
        state.figures.refused += 1;
        if let Some(holder) = state.holders.get_mut(holder as usize) {
            holder.refused_at.get_or_insert_with(crate::clock::now);
        }
    }

    /// No token came.
    pub(super) fn failed(&self, number: u32, message: &str, is_over: bool) {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(holder) = state.holders.get_mut(number as usize) else {
            return;
        };
        holder.failure = Some(message.to_string());
        holder.is_over = is_over;
        state.figures.failed += 1;
        state.figures.last_failure = Some(message.to_string());
        if holder.token.is_none() && is_over {
            state.first_fault.get_or_insert_with(|| message.to_string());
        }
        self.changed.notify_all();
    }

    /// Waits a moment for first tokens: how many are there, of how many, and why the last
    /// attempt at one that is not there failed.
    ///
    /// # Errors
    /// Why one cannot be had.
    pub(super) fn await_some(
        &self,
        wait: Duration,
    ) -> Result<(usize, usize, Option<String>), String> {
        let mut state = self.state.lock();
        let count = |state: &State| {
            let there = state.holders.iter().filter(|it| it.token.is_some());
            let mut missing = state.holders.iter().filter(|it| it.token.is_none());
            let failure = missing.find_map(|it| it.failure.clone());
            (there.count(), state.holders.len(), failure)
        };
        let (n_there, n_all, _) = count(&state);
        if n_there < n_all && state.first_fault.is_none() {
            self.changed.wait_for(&mut state, wait);
        }
        match &state.first_fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(count(&state)),
        }
    }

    pub(super) fn end(&self) {
        for ask in &self.asks {
            // A thread that has no room for this has work, and looks for its end by itself.
            let _ = ask.try_send(Ask::End);
        }
    }
}

/// What is told of a header whose token has ended by its own word, such as one that was
/// given by a flag; `None`: nothing is known against it.
pub fn header_notice(name: &str, value: &str) -> Option<String> {
    let ended_at = end_of_jwt(value, clock::system_now())?;
    Some(expired_notice(&format!("of the header `{name}`"), ended_at))
}

/// What is told of a token that had ended before it came. `about`: whose it is.
pub(super) fn expired_notice(about: &str, ended_at: SystemTime) -> String {
    let at = Utc::of(ended_at).rfc3339();
    format!(
        "the token {about} had ended when it came, by its own word: it ended at {at}. It is used \
         until the server refuses it; see whether it comes out of a cache, and whether the clock \
         of this host is right"
    )
}

/// While it lives, somebody is told of new tokens.
#[derive(Debug)]
pub struct Subscription {
    tokens: Arc<Tokens>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.tokens.state.lock();
        state.subscribers.retain(|(id, _)| *id != self.id);
    }
}
