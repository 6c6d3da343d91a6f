//! The bearer token that a user's requests carry, where it is not a header of the plan.

use std::cell::{Cell, RefCell};

use crate::http::HeaderValue;
use crate::metrics::TokenError;
use crate::protocol::TokenRefusal;
use crate::redact::Secret;

/// The token of one holder on one worker. All sessions that have it look at this cell;
/// who gives it another value changes the next request of each.
#[derive(Debug, Default)]
pub struct TokenCell {
    /// Which of the holder's tokens it is; 0: there is none yet.
    number: Cell<u64>,
    value: RefCell<Option<HeaderValue>>,
    /// The last one that the server refused.
    refused: Cell<u64>,
    is_widest: Cell<bool>,
}

impl TokenCell {
    /// Another token from now on. `is_widest`: none with more scopes is to be had.
    pub fn set(&self, number: u64, value: &Secret, is_widest: bool) {
        // Who fetched it has looked at its letters.
        let header = HeaderValue::try_from(format!("Bearer {}", value.expose()));
        let header = header.ok().map(|mut header| {
            header.set_sensitive(true);
            header
        });
        self.value.replace(header);
        self.number.set(number);
        self.is_widest.set(is_widest);
    }

    /// Which token it is.
    pub fn number(&self) -> u64 {
        self.number.get()
    }

    /// The server has refused this one; false where that is known.
    pub fn refuse(&self, number: u64) -> bool {
        let is_news = number > self.refused.get();
        if is_news {
            self.refused.set(number);
        }
        is_news
    }

    /// It could not be told that this one was refused.
    pub fn forget_refusal(&self) {
        self.refused.set(0);
    }

    /// Whether the server has refused the token that there is.
    pub fn is_refused(&self) -> bool {
        self.number.get() > 0 && self.refused.get() >= self.number.get()
    }

    pub(super) fn is_widest(&self) -> bool {
        self.is_widest.get()
    }

    pub(super) fn header(&self) -> Option<HeaderValue> {
        self.value.borrow().clone()
    }
}

/// An answer that says that the token is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedToken {
    /// Which of the holder's tokens it was.
    pub number: u64,
    /// The HTTP status.
    pub status: u16,
    /// The field of `WWW-Authenticate` with the challenge for a bearer, where it is a text.
    pub challenge: Option<String>,
}

/// Whether an answer asks for another token: 401, and 403 where the server says that the
/// scope is too small (RFC 6750, section 3.1). Another 403 has nothing to do with it.
pub(super) fn asks_for_another(status: u16, refusal: Option<&TokenRefusal>) -> bool {
    const TOO_SMALL: TokenError = TokenError::InsufficientScope;
    let error = refusal.and_then(|refusal| TokenError::of_id(&refusal.error));
    status == 401 || status == 403 && error == Some(TOO_SMALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_of_the_token_that_was_sent() {
        let cell = TokenCell::default();
        assert!(!cell.is_refused() && cell.header().is_none());
        cell.set(1, &Secret::new("abc"), false);
        assert_eq!(cell.header().expect("a token"), "Bearer abc");
        assert!(cell.refuse(1) && !cell.refuse(1) && cell.is_refused());
        cell.set(2, &Secret::new("def"), false);
        assert!(!cell.refuse(1) && !cell.is_refused());
        assert!(cell.refuse(2) && cell.is_refused());
        cell.forget_refusal();
        assert!(cell.refuse(2));
    }

    #[test]
    fn only_some_refusals_ask_for_another_token() {
        let asks = |status, field: &str, body: &str| {
            let fields = [field.as_bytes()].into_iter();
            asks_for_another(status, TokenRefusal::read(fields, body.as_bytes()).as_ref())
        };
        let scope = "Bearer error=\"insufficient_scope\"";
        let body = r#"{"error":"insufficient_scope"}"#;
        assert!(asks(401, "", "") && asks(401, scope, ""));
        assert!(asks(403, scope, "") && asks(403, "Basic", body));
        for (status, field) in [
            (
                403,
                "Bearer error=\"invalid_token\", error_description=\"no insufficient_scope\"",
            ),
            (403, "Basic error=\"insufficient_scope\""),
            (403, ""),
            (500, scope),
        ] {
            assert!(!asks(status, field, ""), "{status} {field}");
        }
    }
}
