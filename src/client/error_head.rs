//! What the head of an error's answer says beside its status: of the token that is
//! refused, and of how long to stay away.

use std::time::Duration;

use super::cookies::date;
use crate::clock::Utc;
use crate::http::Response;
use crate::metrics::{Failure, TokenError};
use crate::protocol::{TokenRefusal, excerpt, read_retry_after};

/// Fields in which servers tell their limits: an IETF draft in its two forms, and what
/// came before it.
const LIMIT_FIELDS: [&str; 4] = [
    "ratelimit-policy",
    "ratelimit",
    "ratelimit-limit",
    "x-ratelimit-limit",
];

/// Of a head, to be taken before the body is read to its end.
#[derive(Debug, Default)]
pub(super) struct ErrorHead {
    challenges: Vec<Vec<u8>>,
    /// How long to stay away.
    pub(super) retry_after: Option<Duration>,
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
                let now = Utc::now().unix_ms() / 1000;
                let value = answer.header("retry-after");
                head.retry_after = value.and_then(|value| read_retry_after(value, now, date));
                head.limit = LIMIT_FIELDS.iter().find_map(|name| {
                    let value = excerpt(answer.header(name)?);
                    Some(format!("{name}: {value}"))
                });
            }
            _ => {}
        }
        head
    }

    /// What is refused by `status` with this body; `None` where the token is not why.
    pub(super) fn refusal(&self, status: u16, body: &[u8]) -> Option<(Failure, String)> {
        if !matches!(status, 400 | 401 | 403) {
            return None;
        }
        let fields = self.challenges.iter().map(Vec::as_slice);
        let refusal = TokenRefusal::read(fields, body)?;
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
        Some((failure, text))
    }

    /// How long to stay away and what the limit is, as an addition to a message.
    pub(super) fn note(&self) -> String {
        let wait = self
            .retry_after
            .map(|it| format!("Retry-After: {}", it.as_secs()));
        let notes = wait.iter().chain(&self.limit);
        notes.map(|note| format!("; {note}")).collect()
    }
}
