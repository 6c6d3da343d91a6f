//! Tokens that are fetched before a run and renewed while it goes on.
//!
//! Start at [`Source`], where the tokens of one holder come from, and [`Keeper`], which
//! asks sources on threads of its own. [`Tokens`] is what the rest of a run sees: who
//! has which token, and where a refusal is told. What is here knows nothing of steps,
//! metrics or sessions.
//!
//! ```text
//!   worker: 401 ──Refusal──▶ Keeper's thread ──fetch──▶ Source (command, file, OAuth)
//!      ▲                          │ its secret goes to the redactor, then
//!      └──── Command::SetTokens ◀─┘ each crew's subscription is called
//! ```

pub mod oauth;

mod command;
mod complaint;
mod file;
mod keeper;
mod reading;
mod renewal;
mod tokens;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::redact::Secret;

pub use command::{CommandSource, ScriptPart};
pub use file::FileSource;
pub use keeper::{HOLDERS_MAX, Keeper};
pub use tokens::{HeldToken, Refusal, Subscription, Tokens, header_notice};

/// The longest that a source may take.
pub const FETCH_WAIT: Duration = Duration::from_secs(30);

/// An access token, as a source gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What follows `Bearer` in the header.
    pub value: Secret,
    /// When it ends, which may be over; `None`: nobody said.
    pub expires_at: Option<SystemTime>,
}

/// Where the tokens of one holder come from. It is asked on a thread of the [`Keeper`].
pub trait Source: Send {
    /// Gets a token: blocking, and over by the deadline. It is asked again no sooner
    /// than the last call has returned.
    ///
    /// # Errors
    /// Why there is no token, and whether to ask again. Messages hold no secret.
    fn fetch(&mut self, why: Why, deadline: Instant) -> Result<Token, Fault>;

    /// What it is, for the head of the summary, as a fragment: the file, the program of
    /// the command, the issuer. Never the token.
    fn about(&self) -> String;

    /// How often to look whether there is another token, whatever the expiry of the one
    /// before; `None`: a token stays until it ends or is refused.
    fn looks_again(&self) -> Option<Duration> {
        None
    }

    /// Whether the process may end while the source is asked: nothing that it gets is
    /// written down, and nothing that it started goes on. Else an end waits for it.
    fn may_be_left_alone(&self) -> bool {
        false
    }
}

/// Why a token is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There is none yet.
    First,
    /// The one before ends soon, or another may be there.
    Expiring,
    /// The server refused the one before.
    Refused {
        /// The HTTP status: 401, or 403 where the scope was too small.
        status: u16,
        /// The value of `WWW-Authenticate`, where one was sent.
        challenge: Option<String>,
    },
}

/// Why no token was available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It may be had later.
    Again {
        /// What went wrong, as a fragment.
        message: String,
        /// How long to wait at least, where somebody said. Before a run, only such a
        /// fault is waited for.
        after: Option<Duration>,
    },
    /// Asking again is of no use.
    Final {
        /// What went wrong, as a fragment.
        message: String,
    },
}

impl Fault {
    /// It may be had later, and nobody said when.
    pub fn again(message: impl Into<String>) -> Self {
        Self::Again {
            message: message.into(),
            after: None,
        }
    }

    /// Asking again is of no use.
    pub fn last(message: impl Into<String>) -> Self {
        Self::Final {
            message: message.into(),
        }
    }

    fn message(&self) -> &str {
        match self {
            Self::Again { message, .. } | Self::Final { message } => message,
        }
    }
}

/// Says to sources that wait that nobody needs their token any more.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nobody needs it.
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether nobody needs it.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
