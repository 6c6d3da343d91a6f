//! Who one user is to the server: its session id and cookies, as the header lines
//! that go out with each of its requests, over all its connections.
//!
//! The lines are rendered when one of them changes, not for each request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::cookies::CookieJar;
use super::server::{SESSION_ID, Server};
use crate::http::{Endpoint, HeaderLines, HeaderName, HeaderValue};

const COOKIE: HeaderName = HeaderName::from_static("cookie");

/// Who one user is to the server. All connections of a session share it.
#[derive(Debug)]
pub(super) struct Identity {
    session_id: RefCell<Option<HeaderValue>>,
    /// Headers of the user's that are other ones in each session.
    own: RefCell<HeaderLines>,
    /// `None` where cookies are not kept.
    jar: Option<RefCell<CookieJar>>,
    /// What both are as headers. A request that waits keeps those that it began
    /// with.
    lines: RefCell<Rc<HeaderLines>>,
    /// Ids of requests are unique within a session.
    next_request_id: Cell<u64>,
    /// Counts the connections of the user, or is its number.
    turns: Rc<Cell<usize>>,
}

impl Identity {
    /// Somebody whom the server does not know yet.
    pub(super) fn new(server: &Server, turns: Rc<Cell<usize>>) -> Self {
        let keeps_cookies = server.settings().cookies;
        Self {
            session_id: RefCell::default(),
            own: RefCell::default(),
            jar: keeps_cookies.then(|| RefCell::new(CookieJar::new(server.endpoint()))),
            lines: RefCell::default(),
            next_request_id: Cell::new(1),
            turns,
        }
    }

    pub(super) fn turns(&self) -> &Rc<Cell<usize>> {
        &self.turns
    }

    pub(super) fn take_request_id(&self) -> u64 {
        self.next_request_id.replace(self.next_request_id.get() + 1)
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
        if let Some(jar) = &self.jar
            && jar.borrow_mut().expire(crate::clock::now)
        {
            self.render();
        }
        Rc::clone(&self.lines.borrow())
    }

    /// Takes the values of `Set-Cookie` headers.
    pub(super) fn take_cookies(&self, values: &[&[u8]]) {
        let Some(jar) = &self.jar else { return };
        let now = crate::clock::now();
        let unix_secs = crate::clock::Utc::now().unix_ms() / 1000;
        for value in values {
            jar.borrow_mut().take(value, now, unix_secs);
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
