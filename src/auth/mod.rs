//! Tokens that are fetched before a run and renewed while it goes on.
//!
//! Start at [`Source`]: where tokens come from. What is here knows nothing of users,
//! steps or metrics.

pub mod oauth;

use std::time::{Duration, Instant, SystemTime};

use crate::redact::Secret;

/// An access token, as a source gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What follows `Bearer` in the header.
    pub value: Secret,
    /// When it ends; `None`: nobody said.
    pub expires_at: Option<SystemTime>,
}

/// Where the tokens of one holder come from. It lives on the thread of [`crate::auth`].
pub trait Source: Send {
    /// Gets a token: blocking, and over by the deadline. It is asked again no sooner
    /// than the last call has returned.
    ///
    /// # Errors
    /// Why there is no token, and whether to ask again. Messages hold no secret.
    fn fetch(&mut self, why: Why, deadline: Instant) -> Result<Token, Fault>;

    /// What it is, for the head of the summary, as a fragment: the file, the command, the
    /// issuer and the expiry. Never the token.
    fn about(&self) -> String;
}

/// Why a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There is none yet.
    First,
    /// The one before ends soon.
    Expiring,
    /// The server refused the one before.
    Refused {
        /// The HTTP status: 401, or 403 where the scope was too small.
        status: u16,
        /// The value of `WWW-Authenticate`, where one was sent.
        challenge: Option<String>,
    },
}

/// Why no token was to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It may be had later.
    Again {
        /// What went wrong, as a fragment.
        message: String,
        /// How long to wait at least, where somebody said.
        after: Option<Duration>,
    },
    /// Asking again is of no use.
    Final {
        /// What went wrong, as a fragment.
        message: String,
    },
}
