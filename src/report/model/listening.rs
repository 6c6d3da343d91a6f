//! The streams that sessions held beside their calls.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CauseCount, Figures};
use crate::redact::strangers_keys;

/// Listening streams: a GET for each session, or a subscription for each user of a modern
/// server, held for as long as the session lives. In no total and in no figure of a call.
/// `opening.ok = ended + broken`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListenFigures {
    /// Asking for them, up to the head of the answer, or to the acknowledgement of the
    /// subscription: `ok` is how many were opened.
    pub opening: Figures,
    /// Of those that failed, how many were answered, but not with a stream.
    pub refused: u64,
    /// Of those that failed, subscriptions that were answered with 200, and neither
    /// acknowledged nor refused. 0 in reports before schema 2.5.
    #[serde(default)]
    pub unacknowledged: u64,
    /// Of those that were opened, how many went on after an event of the one before.
    pub resumed: u64,
    /// The most that were open at once, of each worker, all workers together.
    pub open_max: u64,
    /// Streams that ended in good order: with their session, or by the server.
    pub ended: u64,
    /// Of these, by the server while the session went on.
    pub ended_by_server: u64,
    /// Streams that broke, or that brought a message of another user (`isolation.foreign`),
    /// however they ended.
    pub broken: u64,
    /// Why they broke, most frequent first; the counts sum to `broken`.
    pub broken_by: Vec<CauseCount>,
    /// Notifications that came, by method.
    #[serde(serialize_with = "strangers_keys")]
    pub notifications: BTreeMap<String, u64>,
    /// Requests of the server's that came, by method.
    #[serde(serialize_with = "strangers_keys")]
    pub requests: BTreeMap<String, u64>,
    /// Of these, how many were answered.
    pub requests_answered: u64,
    /// Notifications and requests of methods beyond the first 32 of each.
    pub others: u64,
    /// Answers to calls that came here, where the server had answered those with 202.
    pub answers: u64,
    /// Events that are no message, and answers to nothing that was asked.
    pub unreadable: u64,
    /// Bytes of HTTP heads and bodies that were read.
    pub bytes: u64,
}
