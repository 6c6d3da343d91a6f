//! Who one user is to the server: its session id, cookies and token, as the header lines
//! that go out with each of its requests, over all its connections.
//!
//! The lines are rendered when one of them changes, not for each request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::cookies::CookieJar;
use super::mailbox::{AwaitedMail, Mailbox};
use super::server::{SESSION_ID, Server};
use super::token::{RefusedToken, TokenCell, asks_for_another};
use crate::http::{Endpoint, HeaderLines, HeaderName, HeaderValue};
use crate::protocol::TokenRefusal;
use crate::redact::SessionSecrets;

const AUTHORIZATION: HeaderName = HeaderName::from_static("authorization");
const COOKIE: HeaderName = HeaderName::from_static("cookie");

/// Who one user is to the server. All connections of a session share it.
#[derive(Debug)]
pub(super) struct Identity {
    session_id: RefCell<Option<HeaderValue>>,
    /// Headers of the user's that are other ones in each session.
    own: RefCell<HeaderLines>,
    /// `None` where cookies are not kept.
    jar: Option<RefCell<CookieJar>>,
    /// Its values, which the server may tell in any answer.
    cookie_secrets: RefCell<Option<SessionSecrets>>,
    token: RefCell<Option<Rc<TokenCell>>>,
    /// Which token is in the lines.
    token_number: Cell<u64>,
    refused: RefCell<Option<RefusedToken>>,
    /// The lines may change between two requests without a word from the session.
    is_changeable: Cell<bool>,
    /// What both are as headers. A request that waits keeps those that it began
    /// with.
    lines: RefCell<Rc<HeaderLines>>,
    /// Ids of requests are unique within a session.
    next_request_id: Cell<u64>,
    /// Where answers come that the session's listening stream brings; `None` without one.
    mailbox: RefCell<Option<Rc<Mailbox>>>,
    /// Counts the connections of the user, or is its number.
    pub(crate) turns: Rc<Cell<usize>>,
}

impl Identity {
    /// Somebody whom the server does not know yet.
    pub(super) fn new(server: &Server, turns: Rc<Cell<usize>>) -> Self {
        let keeps_cookies = server.settings().cookies;
        let user = u32::try_from(turns.get()).unwrap_or(0);
        let secrets = || server.settings().redactor.session_secrets(user);
        Self {
            session_id: RefCell::default(),
            own: RefCell::default(),
            jar: keeps_cookies.then(|| RefCell::new(CookieJar::new(server.endpoint()))),
            cookie_secrets: RefCell::new(keeps_cookies.then(secrets)),
            token: RefCell::default(),
            token_number: Cell::new(0),
            refused: RefCell::default(),
            is_changeable: Cell::new(keeps_cookies),
            lines: RefCell::default(),
            next_request_id: Cell::new(1),
            mailbox: RefCell::default(),
            turns,
        }
    }

    pub(super) fn take_request_id(&self) -> u64 {
        self.next_request_id.replace(self.next_request_id.get() + 1)
    }

    /// From now on the answers to calls of this session may come here, or to none.
    pub(super) fn set_mailbox(&self, mailbox: Option<Rc<Mailbox>>) {
        self.mailbox.replace(mailbox);
    }

    /// Awaits the answer to the request with this id on the session's listening stream,
    /// where it has one.
    pub(super) fn await_by_mail(&self, id: u64) -> Option<AwaitedMail> {
        let mailbox = self.mailbox.borrow();
        mailbox.as_ref().map(|it| Mailbox::expect(it, id))
    }

    pub(super) fn has_session_id(&self) -> bool {
        self.session_id.borrow().is_some()
    }

    pub(super) fn set_session_id(&self, session_id: Option<HeaderValue>) {
        self.session_id.replace(session_id);
        self.render();
    }

    pub(super) fn set_headers(&self, lines: HeaderLines) {
        self.own.replace(lines);
        self.render();
    }

    /// The headers of a request that goes out now.
    pub(super) fn lines(&self) -> Rc<HeaderLines> {
        if self.is_changeable.get() {
            self.keep_up();
        }
        Rc::clone(&self.lines.borrow())
    }

    /// Renders the lines again where a cookie has expired or another token has come.
    #[inline(never)]
    fn keep_up(&self) {
        let jar = self.jar.as_ref().map(RefCell::borrow_mut);
        let has_expired = jar.is_some_and(|mut jar| jar.expire(crate::clock::now));
        let token = self.token.borrow().as_ref().map(|token| token.number());
        if has_expired || token.is_some_and(|number| number != self.token_number.get()) {
            self.render();
        }
    }

    /// Sends the token of this cell from now on.
    pub(super) fn set_token(&self, token: Rc<TokenCell>) {
        self.token.replace(Some(token));
        self.is_changeable.set(true);
        self.render();
    }

    /// Takes note of an answer that may refuse the token; `challenge` is asked where it
    /// does.
    #[inline(never)]
    pub(super) fn note_refusal<'a>(
        &self,
        status: u16,
        refusal: Option<&TokenRefusal>,
        challenge: impl FnOnce() -> Option<&'a [u8]>,
    ) {
        let token = self.token.borrow();
        let may_help = token
            .as_ref()
            .is_some_and(|token| status != 403 || !token.is_widest());
        if may_help && asks_for_another(status, refusal) {
            let challenge = challenge().and_then(|text| std::str::from_utf8(text).ok());
            self.refused.replace(Some(RefusedToken {
                number: self.token_number.get(),
                status,
                challenge: challenge.map(str::to_string),
            }));
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused.borrow().is_some()
    }

    pub(super) fn take_refusal(&self) -> Option<RefusedToken> {
        self.refused.take()
    }

    /// Takes the values of `Set-Cookie` headers.
    pub(super) fn take_cookies(&self, values: &[&[u8]]) {
        let Some(jar) = &self.jar else { return };
        let now = crate::clock::now();
        let unix_secs = crate::clock::Utc::now().unix_ms() / 1000;
        let mut secrets = self.cookie_secrets.borrow_mut();
        for value in values {
            let found = jar.borrow_mut().take(value, now, unix_secs);
            if let (Some(secrets), Some((place, found))) = (&mut *secrets, found) {
                secrets.keep(place, &found.to_string());
            }
        }
        self.render();
    }

    /// Goes to another path of the same host from now on.
    pub(super) fn go_to(&self, endpoint: &Endpoint) {
        if let Some(jar) = &self.jar {
            jar.borrow_mut().go_to(endpoint.path());
            self.render();
        }
    }

    fn render(&self) {
        let mut lines = self.own.borrow().clone();
        if let Some(token) = &*self.token.borrow() {
            self.token_number.set(token.number());
            if let Some(header) = token.header() {
                lines.push(&AUTHORIZATION, &header);
            }
        }
        if let Some(id) = &*self.session_id.borrow() {
            lines.push(&SESSION_ID, id);
        }
        let jar = self.jar.as_ref().map(RefCell::borrow);
        if let Some(cookies) = jar.as_ref().and_then(|jar| jar.header()) {
            lines.push(&COOKIE, cookies);
        }
        self.lines.replace(Rc::new(lines));
    }
}
