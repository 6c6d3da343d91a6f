//! What the head of an error's answer says beside its status: of the token that is
//! refused, and of how long to stay away.

use std::time::Duration;

use super::cookies::date;
use crate::clock::Utc;
use crate::http::Response;
use crate::metrics::{Failure, TokenError};
use crate::protocol::{TokenRefusal, bearer_challenge, excerpt, read_retry_after};
use crate::text::shown_text;

/// Fields in which servers tell their limits: an IETF draft in its two forms, and what
/// came before it.
const LIMIT_FIELDS: [&str; 4] = [
    "ratelimit-policy",
    "ratelimit",
    "ratelimit-limit",
    "x-ratelimit-limit",
];

/// What is shown of a `Retry-After`, in characters: a date has 29.
const RETRY_AFTER_CHARS: usize = 60;

/// How long an answer of 429 or 503 asks to be left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryAfter {
    /// So long; `None` where it does not say, or what it says cannot be read.
    pub wait: Option<Duration>,
    /// The field as it was sent, fit to be shown; `None` where there was none.
    pub sent: Option<String>,
}

impl RetryAfter {
    fn of(answer: &Response) -> Self {
        let now = Utc::now().unix_ms() / 1000;
        let value = answer.header("retry-after");
        let shown = |value| shown_text(&String::from_utf8_lossy(value), RETRY_AFTER_CHARS);
        Self {
            wait: value.and_then(|value| read_retry_after(value, now, date)),
            sent: value.map(shown),
        }
    }

    /// `Retry-After: 30`, and whether it can be read.
    fn note(&self) -> Option<String> {
        let sent = self.sent.as_ref()?;
        Some(match self.wait {
            Some(_) => format!("Retry-After: {sent}"),
            None => format!("Retry-After: {sent} (neither seconds nor a date)"),
        })
    }
}

/// Of a head, to be taken before the body is read to its end.
#[derive(Debug, Default)]
pub(super) struct ErrorHead {
    challenges: Vec<Vec<u8>>,
    /// How long to stay away; `None`: this is not an answer that would say.
    pub(super) retry_after: Option<RetryAfter>,
    /// A limit as the server names it, fit to be shown.
    limit: Option<String>,
}

impl ErrorHead {
    pub(super) fn of(answer: &Response) -> Self {
        let mut head = Self::default();
        match answer.status {
            400 | 401 | 403 => {
                let values = answer.header_values("www-authenticate");
                head.challenges = values.into_iter().map(<[u8]>::to_vec).collect();
            }
            429 | 503 => {
                head.retry_after = Some(RetryAfter::of(answer));
                head.limit = LIMIT_FIELDS.iter().find_map(|name| {
                    let value = excerpt(answer.header(name)?);
                    Some(format!("{name}: {value}"))
                });
            }
            _ => {}
        }
        head
    }

    /// What is said of the token, here or in this body; `None` where the token is not why.
    pub(super) fn refusal(&self, status: u16, body: &[u8]) -> Option<TokenRefusal> {
        let may_be = matches!(status, 400 | 401 | 403);
        may_be.then(|| TokenRefusal::read(self.fields(), body))?
    }

    /// The field with the challenge for a bearer.
    pub(super) fn challenge(&self) -> Option<&[u8]> {
        bearer_challenge(self.fields()).map(|(field, _)| field)
    }

    /// The challenge says where to learn who gives tokens by OAuth (RFC 9728 section 5.1).
    pub(super) fn offers_oauth(&self) -> bool {
        bearer_challenge(self.fields())
            .is_some_and(|(_, challenge)| challenge.param("resource_metadata").is_some())
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        self.challenges.iter().map(Vec::as_slice)
    }

    /// How long to stay away and what the limit is, as an addition to a message.
    pub(super) fn note(&self) -> String {
        let wait = self.retry_after.as_ref().and_then(RetryAfter::note);
        let notes = wait.iter().chain(&self.limit);
        notes.map(|note| format!("; {note}")).collect()
    }
}

/// What a refusal of the token with `status` is, and its text.
pub(super) fn token_failure(status: u16, refusal: TokenRefusal) -> (Failure, String) {
    let failure = match TokenError::of_id(&refusal.error) {
        Some(error) => Failure::Denied { status, error },
        None => Failure::Http {
            status,
            rpc_code: None,
        },
    };
    let mut text = refusal.error;
    if let Some(description) = refusal.description {
        text += &format!(": {description}");
    }
    if let Some(scope) = refusal.scope {
        text += &format!(" (scope: {scope})");
    }
    (failure, text)
}
