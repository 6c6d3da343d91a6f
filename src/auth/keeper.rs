//! The threads that ask sources.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use super::reading::check;
use super::renewal::Renewal;
use super::tokens::{Ask, HeldToken, Tokens};
use super::{FETCH_WAIT, Fault, Source, Stop, Token, Why};
use crate::error::UserError;
use crate::host::refused_by_system;
use crate::http::{split_hint, with_hint};
use crate::redact::{LiveSecrets, Secret};
use crate::units::{format_duration, part_of};

/// Sources that are asked at once: a command for each of 500 users is not 500
/// processes.
const THREADS_MAX: usize = 8;

/// The tokens that a run may have.
pub const HOLDERS_MAX: usize = 10_000;

/// Attempts at a first token, where somebody says how long to wait for each.
const FIRST_ATTEMPTS_MAX: u32 = 5;

/// All attempts of a holder at its first token, and the waits between them, are over
/// within this: as long as a handshake waits.
const FIRST_TOKEN_MAX: Duration = Duration::from_secs(120);

/// The first tokens of all holders are there within this.
const FIRST_TOKENS_MAX: Duration = Duration::from_secs(3600);

/// A longer wait is told by this alone.
const ASKED_TOLD: Duration = Duration::from_secs(365 * 86_400);

/// Refusals that wait for a thread that asks a source. One more of the same number is
/// told again by the next request.
const ASKS_MAX: usize = 1024;

/// A thread without anything to do looks this often whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the end of a run waits for a source that may not be left alone: a refresh
/// that was begun is written down before the process ends, and a command is ended.
const END_WAIT: Duration = Duration::from_secs(5);

/// Keeps tokens fresh. Dropped, it ends its threads.
#[derive(Debug)]
pub struct Keeper {
    tokens: Arc<Tokens>,
    stop: Stop,
    threads: Vec<TokenThread>,
}

impl Keeper {
    /// Asks these sources, one for each holder and at least one, each for its first token
    /// at once. `by_user` tells whose token each user has; empty: all have that of the
    /// first. `stop` is what the sources look at, too.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(
        sources: Vec<Box<dyn Source>>,
        by_user: HashMap<u32, u32>,
        live: &Arc<LiveSecrets>,
        stop: Stop,
    ) -> Result<Self, UserError> {
        let n_holders = sources.len();
        let n_threads = n_holders.clamp(1, THREADS_MAX);
        let about = match (n_holders, sources.first()) {
            (1, Some(source)) => source.about(),
            (n, Some(source)) => format!("{n} of them, {}", source.about()),
            (_, None) => String::new(),
        };
        let channels = (0..n_threads).map(|_| bounded(ASKS_MAX));
        let (asks, inboxes): (Vec<_>, Vec<_>) = channels.unzip();
        let tokens = Arc::new(Tokens::new(n_holders, about, by_user, live, asks));
        let mut shares: Vec<Vec<Holder>> = inboxes.iter().map(|_| Vec::new()).collect();
        let now = crate::clock::now();
        for (number, source) in (0..).zip(sources) {
            shares[number as usize % n_threads].push(Holder::new(number, source, now));
        }
        let mut keeper = Self {
            tokens: Arc::clone(&tokens),
            stop: stop.clone(),
            threads: Vec::with_capacity(n_threads),
        };
        for (holders, asks) in shares.into_iter().zip(inboxes) {
            let is_left_alone = Arc::new(AtomicBool::new(false));
            let mut keeping = Keeping {
                holders,
                is_left_alone: Arc::clone(&is_left_alone),
                tokens: Arc::clone(&tokens),
                stop: stop.clone(),
                random: fastrand::Rng::new(),
            };
            let thread = thread::Builder::new()
                .name("tokens".to_string())
                .spawn(move || keeping.run(&asks))
                .map_err(|error| refused_by_system("no thread", &error))?;
            keeper.threads.push(TokenThread {
                thread,
                is_left_alone,
            });
        }
        Ok(keeper)
    }

    /// What the others see.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Waits until each holder has its first token, or `goes_on` says no to how many are
    /// there, of how many, and why the last attempt failed if it did.
    ///
    /// # Errors
    /// Why one cannot be had; or that they are not there after an hour.
    pub fn await_first(
        &self,
        goes_on: &dyn Fn(usize, usize, Option<&str>) -> bool,
    ) -> Result<(), UserError> {
        self.await_within(FIRST_TOKENS_MAX, goes_on)
    }

    fn await_within(
        &self,
        limit: Duration,
        goes_on: &dyn Fn(usize, usize, Option<&str>) -> bool,
    ) -> Result<(), UserError> {
        const WAIT: Duration = Duration::from_millis(50);
        let began = crate::clock::now();
        loop {
            let (n_there, n_all, failure) = self.tokens.await_some(WAIT).map_err(|why| {
                let (why, hint) = split_hint(&why);
                let error = UserError::could_not_run(format!("no token: {why}"));
                match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            })?;
            if n_there == n_all || !goes_on(n_there, n_all, failure.as_deref()) {
                return Ok(());
            }
            if crate::clock::since(began) >= limit {
                return Err(UserError::could_not_run(format!(
                    "{} came within {}, the most that a run waits for its first ones",
                    part_of(n_there as u64, n_all as u64, "token", "tokens"),
                    format_duration(limit)
                ))
                .hint("let users share tokens, or use a source that is faster"));
            }
        }
    }

    /// Ends, and waits for sources only while `waits` says so.
    pub fn end(mut self, waits: &dyn Fn() -> bool) {
        self.finish(waits);
    }

    fn finish(&mut self, waits: &dyn Fn() -> bool) {
        self.stop.set();
        self.tokens.end();
        let deadline = crate::clock::now() + END_WAIT;
        let is_busy =
            |it: &TokenThread| !it.thread.is_finished() && !it.is_left_alone.load(Relaxed);
        while self.threads.iter().any(is_busy) {
            if crate::clock::now() >= deadline || !waits() {
                break;
            }
            thread::park_timeout(Duration::from_millis(2));
        }
        self.threads.clear();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.finish(&|| true);
    }
}

/// A thread of the keeper.
#[derive(Debug)]
struct TokenThread {
    thread: JoinHandle<()>,
    /// What it does now may go on, or be cut off, when the process ends.
    is_left_alone: Arc<AtomicBool>,
}

/// One thread's holders.
struct Keeping {
    holders: Vec<Holder>,
    is_left_alone: Arc<AtomicBool>,
    tokens: Arc<Tokens>,
    stop: Stop,
    random: fastrand::Rng,
}

struct Holder {
    number: u32,
    source: Box<dyn Source>,
    renewal: Renewal,
    /// Its last token, and how many there were.
    value: Option<Secret>,
    n_tokens: u64,
    expires_at: Option<SystemTime>,
    is_widest: bool,
    n_first: u32,
    /// When it was asked for its first token.
    first_asked_at: Option<Instant>,
}

impl Holder {
    fn new(number: u32, source: Box<dyn Source>, now: Instant) -> Self {
        Self {
            number,
            source,
            renewal: Renewal::new(now),
            value: None,
            n_tokens: 0,
            expires_at: None,
            is_widest: false,
            n_first: 0,
            first_asked_at: None,
        }
    }

    /// Its token by its next number.
    fn next(&mut self, value: Secret) -> HeldToken {
        self.n_tokens += 1;
        HeldToken {
            holder: self.number,
            number: self.n_tokens,
            value,
            is_widest: self.is_widest,
        }
    }
}

impl Keeping {
    fn run(&mut self, asks: &Receiver<Ask>) {
        while !self.stop.is_set() {
            let now = crate::clock::now();
            let dues = self.holders.iter().enumerate();
            let next = dues.filter_map(|(at, holder)| Some((holder.renewal.due?, at)));
            let wait = match next.min() {
                Some((due, at)) if due <= now => {
                    self.fetch(at);
                    Duration::ZERO
                }
                Some((due, _)) => (due - now).min(LOOK_EVERY),
                None => LOOK_EVERY,
            };
            match asks.recv_timeout(wait) {
                Ok(Ask::Refused(refusal)) => {
                    let known = &mut self.holders;
                    let of_it = |it: &&mut Holder| it.number == refusal.holder;
                    let Some(holder) = known.iter_mut().find(of_it) else {
                        continue;
                    };
                    // Only the token that there is: of one before, another has come.
                    let is_new = !matches!(holder.renewal.why(), Why::Refused { .. });
                    if refusal.number == holder.n_tokens && is_new {
                        let (status, challenge) = (refusal.status, refusal.challenge);
                        holder
                            .renewal
                            .refused(crate::clock::now(), status, challenge);
                        self.tokens.refused(holder.number);
                    }
                }
                Ok(Ask::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn fetch(&mut self, at: usize) {
        let Self {
            holders,
            is_left_alone,
            tokens,
            stop,
            random,
        } = self;
        let holder = &mut holders[at];
        let why = holder.renewal.why().clone();
        let asked_at = crate::clock::now();
        let first_asked_at = *holder.first_asked_at.get_or_insert(asked_at);
        let first_until = first_asked_at + FIRST_TOKEN_MAX;
        let mut deadline = asked_at + FETCH_WAIT;
        if why == Why::First {
            deadline = deadline.min(first_until);
        }
        is_left_alone.store(holder.source.may_be_left_alone(), Relaxed);
        let fetched = holder.source.fetch(why.clone(), deadline);
        is_left_alone.store(false, Relaxed);
        let now = crate::clock::now();
        let (chance, every) = (random.f64(), holder.source.looks_again());
        let fault = match fetched.and_then(|token| sound(token, holder.value.as_ref(), &why)) {
            Ok(token) => {
                // One that has ended says that clocks differ, or that it is an old one. The
                // server judges that, and its refusal is what another is asked for by.
                let left = token.expires_at.and_then(left_until);
                let ended_at = token.expires_at.filter(|_| left.is_none());
                if holder.value.as_ref() == Some(&token.value) {
                    holder.renewal.same(now, left, every, chance);
                    return;
                }
                holder.renewal.given(now, left, every, chance);
                holder.value = Some(token.value.clone());
                holder.expires_at = token.expires_at;
                let held = holder.next(token.value);
                tokens.publish(held, ended_at, || holder.source.about());
                return;
            }
            Err(fault) => fault,
        };
        if stop.is_set() {
            return;
        }
        let is_of_scopes = matches!(why, Why::Refused { status: 403, .. });
        if let (Fault::Final { message }, true, Some(value)) =
            (&fault, is_of_scopes, holder.value.clone())
        {
            // It is good for whatever else the steps do.
            let left = holder.expires_at.and_then(left_until);
            holder.renewal.same(now, left, every, chance);
            holder.is_widest = true;
            tokens.stays(holder.next(value), message);
            return;
        }
        let after = match &fault {
            Fault::Again { after, .. } => *after,
            Fault::Final { .. } => None,
        };
        holder.n_first += u32::from(why == Why::First);
        let is_hopeless_first =
            why == Why::First && (after.is_none() || holder.n_first >= FIRST_ATTEMPTS_MAX);
        let is_late = why == Why::First
            && after.is_some_and(|after| after > first_until.saturating_duration_since(now));
        let is_over = matches!(fault, Fault::Final { .. }) || is_hopeless_first || is_late;
        match is_over {
            true => holder.renewal.ended(),
            false => holder.renewal.failed(now, after, chance),
        }
        let message = match after.filter(|_| is_late) {
            Some(after) => asks_too_much(fault.message(), after),
            None => fault.message().to_string(),
        };
        tokens.failed(holder.number, &message, is_over);
    }
}

/// Somebody asks to wait for longer than the start of a run may wait.
fn asks_too_much(message: &str, after: Duration) -> String {
    let told = match after > ASKED_TOLD {
        true => "more than a year".to_string(),
        false => format_duration(after),
    };
    let most = format_duration(FIRST_TOKEN_MAX);
    with_hint(
        format_args!(
            "{message}, and asks to wait {told} (`Retry-After`); the start of a run waits {most} \
             at most for a first token, all attempts together"
        ),
        "begin later",
    )
}

/// Whether a token can be used, and is not the one that was refused.
fn sound(token: Token, before: Option<&Secret>, why: &Why) -> Result<Token, Fault> {
    check(token.value.expose()).map_err(|what| Fault::again(format!("the token {what}")))?;
    match why {
        Why::Refused { status, .. } if before == Some(&token.value) => Err(Fault::again(format!(
            "the token came again that the server had refused with status {status}"
        ))),
        _ => Ok(token),
    }
}

/// `None`: it is over.
fn left_until(end: SystemTime) -> Option<Duration> {
    let left = end.duration_since(crate::clock::system_now()).ok();
    left.filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Refusal;
    use crate::redact::Redactor;
    use parking_lot::Mutex;

    /// Gives `first-1`, `first-2` and so on, or faults, and notes why it was asked.
    struct Scripted {
        first: &'static str,
        expires_at: Option<SystemTime>,
        faults: Vec<Fault>,
        asked: Arc<Mutex<Vec<Why>>>,
        n: u32,
    }

    impl Source for Scripted {
        fn fetch(&mut self, why: Why, _: Instant) -> Result<Token, Fault> {
            self.asked.lock().push(why);
            if let Some(fault) = self.faults.pop() {
                return Err(fault);
            }
            self.n += 1;
            Ok(Token {
                value: Secret::new(&format!("{}-{}", self.first, self.n)),
                expires_at: self.expires_at,
            })
        }

        fn about(&self) -> String {
            format!("from {}", self.first)
        }
    }

    fn keeper(
        faults: Vec<Fault>,
        names: &[&'static str],
        by_user: &[(u32, u32)],
    ) -> (Keeper, Arc<Mutex<Vec<Why>>>, Redactor) {
        keeper_of(None, faults, names, by_user)
    }

    fn keeper_of(
        expires_at: Option<SystemTime>,
        faults: Vec<Fault>,
        names: &[&'static str],
        by_user: &[(u32, u32)],
    ) -> (Keeper, Arc<Mutex<Vec<Why>>>, Redactor) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let sources = names.iter().map(|first| {
            let source: Box<dyn Source> = Box::new(Scripted {
                first,
                expires_at,
                faults: faults.clone(),
                asked: Arc::clone(&asked),
                n: 0,
            });
            source
        });
        let live = LiveSecrets::new(2);
        let by_user = by_user.iter().copied().collect();
        let keeper = Keeper::start(sources.collect(), by_user, &live, Stop::default());
        let redactor = Redactor::default().watching(&live);
        (keeper.expect("threads"), asked, redactor)
    }

    fn refusal(holder: u32, number: u64) -> Refusal {
        Refusal {
            holder,
            number,
            status: 401,
            challenge: None,
        }
    }

    #[test]
    fn many_refusals_of_one_token_are_one_request_for_another() {
        let (keeper, asked, redactor) = keeper(Vec::new(), &["token"], &[]);
        keeper.await_first(&|_, _, _| true).expect("a token");
        let tokens = Arc::clone(keeper.tokens());
        let (tell, told) = bounded(16);
        let subscription = tokens.subscribe(move |held| tell.send(held).expect("room"));
        let next = || told.recv_timeout(Duration::from_secs(30)).expect("a token");
        assert_eq!(next()[0].number, 1);
        for _ in 0..100 {
            assert!(tokens.refuse(refusal(0, 1)));
        }
        let second = next();
        assert_eq!((second[0].number, second[0].value.expose()), (2, "token-2"));
        for _ in 0..100 {
            assert!(tokens.refuse(refusal(0, 1)));
        }
        assert_eq!(redactor.cleaned("a token-2 b token-1"), "a *** b ***");
        drop(subscription);
        drop(keeper);
        assert_eq!(asked.lock().len(), 2);
        let figures = tokens.figures();
        assert_eq!(
            (figures.fetched, figures.refused, figures.failed),
            (2, 1, 0)
        );
        assert_eq!(figures.about, "from token");
    }

    #[test]
    fn users_have_the_token_of_their_holder() {
        let (keeper, _, _) = keeper(Vec::new(), &["alice", "bob"], &[(0, 0), (1, 1), (2, 0)]);
        keeper.await_first(&|_, _, _| true).expect("tokens");
        let tokens = keeper.tokens();
        let of_user = |index| tokens.of_user(index).expect("a token").expose().to_string();
        assert_eq!([0, 1, 2].map(of_user), ["alice-1", "bob-1", "alice-1"]);
        assert_eq!(tokens.figures().about, "2 of them, from alice");
    }

    #[test]
    fn a_first_token_that_cannot_be_had_ends_the_wait() {
        let (keeper, asked, _) = keeper(vec![Fault::again("no server")], &["token"], &[]);
        let error = keeper.await_first(&|_, _, _| true).expect_err("no token");
        assert_eq!(error.what(), "no token: no server");
        assert_eq!(*asked.lock(), [Why::First]);
    }

    #[test]
    fn a_first_token_is_waited_for_where_somebody_says_how_long() {
        let soon = Fault::Again {
            message: "too many".to_string(),
            after: Some(Duration::ZERO),
        };
        let (keeper, asked, _) = keeper(vec![soon], &["token"], &[]);
        keeper.await_first(&|_, _, _| true).expect("a token");
        assert_eq!(*asked.lock(), [Why::First, Why::First]);
    }

    #[test]
    fn where_none_comes_any_more_all_are_lost() {
        let (keeper, _, _) = keeper(Vec::new(), &["token"], &[]);
        keeper.await_first(&|_, _, _| true).expect("a token");
        let tokens = keeper.tokens();
        tokens.refused(0);
        assert!(!tokens.are_lost());
        tokens.failed(0, "revoked", true);
        assert!(tokens.are_lost());
        assert_eq!(tokens.why_none(0), "revoked");
        assert_eq!(tokens.figures().last_failure.as_deref(), Some("revoked"));
    }

    #[test]
    fn a_wait_that_is_too_long_for_the_start_of_a_run_ends_it() {
        let busy = |secs| Fault::Again {
            message: "the issuer answered 503".to_string(),
            after: Some(Duration::from_secs(secs)),
        };
        for (secs, told) in [(999_999, "277h46m39s"), (u64::MAX, "more than a year")] {
            let (keeper, asked, _) = keeper(vec![busy(secs)], &["token"], &[]);
            let error = keeper.await_first(&|_, _, _| true).expect_err("no token");
            let what = error.what();
            let expected = format!("the issuer answered 503, and asks to wait {told}");
            assert!(what.contains(&expected), "{what}");
            assert!(what.contains("waits 2m at most"), "{what}");
            assert_eq!(asked.lock().len(), 1);
        }
        // A short one is waited for, and its cause is told meanwhile.
        let (keeper, asked, _) = keeper(vec![busy(1)], &["token"], &[]);
        let told = Mutex::new(None);
        let first = keeper.await_first(&|_, _, failure| {
            if let Some(failure) = failure {
                *told.lock() = Some(failure.to_string());
            }
            true
        });
        first.expect("a token");
        assert_eq!(asked.lock().len(), 2);
        assert_eq!(told.lock().as_deref(), Some("the issuer answered 503"));
    }

    /// Waits until it is told to go on.
    struct Stalled {
        may_be_left_alone: bool,
        begun: crossbeam_channel::Sender<()>,
        go_on: Receiver<()>,
    }

    impl Source for Stalled {
        fn fetch(&mut self, _: Why, _: Instant) -> Result<Token, Fault> {
            let _ = self.begun.send(());
            let _ = self.go_on.recv();
            Err(Fault::last("over"))
        }

        fn about(&self) -> String {
            "stalled".to_string()
        }

        fn may_be_left_alone(&self) -> bool {
            self.may_be_left_alone
        }
    }

    #[test]
    fn an_end_waits_only_for_what_may_not_be_left_alone() {
        for may_be_left_alone in [true, false] {
            let (begun, has_begun) = bounded(1);
            let (_open, go_on) = bounded(0);
            let source = Box::new(Stalled {
                may_be_left_alone,
                begun,
                go_on,
            });
            let live = LiveSecrets::new(1);
            let keeper = Keeper::start(vec![source], HashMap::new(), &live, Stop::default());
            let keeper = keeper.expect("a thread");
            has_begun.recv().expect("it is asked");
            let late = keeper.await_within(Duration::ZERO, &|_, _, _| true);
            let late = late.expect_err("no token comes");
            assert!(late.what().starts_with("0 of 1 token came"), "{late}");
            let n_looks = std::cell::Cell::new(0);
            keeper.end(&|| {
                n_looks.set(n_looks.get() + 1);
                n_looks.get() < 3
            });
            assert_eq!(n_looks.get(), if may_be_left_alone { 0 } else { 3 });
        }
    }

    #[test]
    fn a_token_that_has_ended_by_its_own_word_is_used_and_told_once() {
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_577_836_800);
        let (keeper, asked, _) = keeper_of(Some(long_ago), Vec::new(), &["token"], &[]);
        keeper.await_first(&|_, _, _| true).expect("a token");
        let tokens = keeper.tokens();
        let notice = tokens.take_notice().expect("news");
        assert!(notice.contains("ended at 2020-01-01T00:00:00"), "{notice}");
        assert!(notice.contains("from token"), "{notice}");
        assert_eq!(tokens.take_notice(), None);
        assert_eq!(tokens.figures().expired, 1);
        // It is not asked for again before the server says no.
        assert_eq!(*asked.lock(), [Why::First]);
    }
}
