//! Which era a server speaks, from its answer to a probing `server/discover`.
//!
//! Pure decisions: nobody sends anything here. The rule of the specification
//! is that modern must be proved (a discovery that succeeds, or an error that
//! only modern servers have) and that everything else is legacy. Some
//! answers are neither: no permission, a server in trouble, and
//! something that is not MCP at all.

use std::ops::ControlFlow;

use super::answer::{BATCH_MAX, Expect, is_error_ours, is_object};
use super::dialect::{Dialect, Discovery, best_modern, read_versions};
use super::fault::excerpt;
use super::fields::{look_at_elements, read_fields};
use super::jsonrpc::{METHOD_NOT_FOUND, Message, RpcError};
use super::revision::Revision;
use super::sse::SseDecoder;

/// What the answer to a probe says about the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeVerdict {
    /// It is modern: the revision to speak, and what it said.
    Modern {
        /// The latest revision that both sides speak.
        revision: Revision,
        /// What it offers; `None` where only the second probe proved it.
        discovery: Option<Discovery>,
    },
    /// It is modern, but wants another revision, which we speak: probe again
    /// with it. It may be the one that was sent; bound the attempts.
    TryRevision(Revision),
    /// It speaks only revisions that we do not; each fit to be shown.
    NoCommonRevision(Vec<String>),
    /// It is modern and refuses the probe itself (−32020, −32021).
    ModernRefused(RpcError),
    /// 404 with −32601: modern without the `server/discover` that it owes, or
    /// legacy with an unusual status. A modern `tools/list` tells which, see
    /// [`judge_second_probe`].
    Unsure,
    /// It is legacy: begin with `initialize`.
    Legacy,
    /// 401 or 403: perhaps a refusal of this method alone, which an unknown
    /// one may well be. What `initialize` is answered tells.
    NotAllowed,
    /// It cannot answer now (408, 429, 502, 503, 504), or a gateway does not
    /// pass the method on: nothing is learnt.
    Unavailable,
    /// What answers this method is not MCP: what it is, fit to be shown.
    /// `initialize` may be answered all the same.
    NotMcp(String),
}

/// The codes that only a modern server sends.
const HEADER_MISMATCH: i64 = -32020;
const MISSING_CAPABILITY: i64 = -32021;
const UNSUPPORTED_VERSION: i64 = -32022;

/// Judges the answer to `server/discover`, which was sent with this id: its
/// status, and its body, JSON or a stream of events. Of a stream that stays open
/// what came up to the answer is enough. An answer to another request does not count.
///
/// Where the specification leaves room:
/// - 200 with an error of JSON-RPC's own range is legacy (a gateway before a
///   legacy server answers so), as is a result without `supportedVersions`.
/// - The modern codes prove modern under any status but 401 and 403.
/// - A list of legacy revisions only, in a discovery or with −32022, is legacy. A
///   list without any is not a discovery.
/// - 500 and 501 are legacy: some servers fail over a method unknown to them.
/// - Redirects are the HTTP side's business and end up as `NotMcp`.
pub fn judge_probe(status: u16, body: &[u8], id: u64) -> ProbeVerdict {
    if let Some(verdict) = judge_status(status) {
        return verdict;
    }
    match answer_in(body, Asked::of(status, id)) {
        Some(ProbeAnswer::Result(result)) => judge_result(&result),
        Some(ProbeAnswer::Error(error)) => judge_error(status, error),
        None => judge_other(status, body),
    }
}

/// Judges the answer to a modern `tools/list` after an [`ProbeVerdict::Unsure`]:
/// only a result with a `resultType` proves modern now. `asked` is the revision
/// that was sent, with this id.
pub fn judge_second_probe(status: u16, body: &[u8], id: u64, asked: Revision) -> ProbeVerdict {
    if let Some(verdict) = judge_status(status) {
        return verdict;
    }
    match answer_in(body, Asked::of(status, id)) {
        Some(ProbeAnswer::Result(result)) => {
            let is_modern = matches!(read_fields(&result, ["resultType"]), Some([Some(_)]));
            if is_modern {
                ProbeVerdict::Modern {
                    revision: asked,
                    discovery: None,
                }
            } else {
                ProbeVerdict::Legacy
            }
        }
        Some(ProbeAnswer::Error(error)) => match judge_error(status, error) {
            ProbeVerdict::Unsure => ProbeVerdict::Legacy,
            verdict => verdict,
        },
        None => judge_other(status, body),
    }
}

/// Says what an answer is that does not look like MCP at all, for a person who
/// gave a wrong address: a page of HTML, plain text, JSON of another kind.
/// `None` where it may be MCP, or says nothing.
fn looks_foreign(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(1024)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.is_empty() {
        return None;
    }
    let has_prefix = |prefix: &str| {
        text.get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if has_prefix("<!doctype") || has_prefix("<html") {
        return Some("a page of HTML".to_string());
    }
    let shown = || excerpt(text.as_bytes());
    if has_prefix("<") {
        return Some(format!("markup: {}", shown()));
    }
    if answer_in(body, Asked::Anything).is_some() {
        return None;
    }
    if text.starts_with(['{', '[']) {
        return Some(format!("JSON that is not JSON-RPC: {}", shown()));
    }
    let is_stream = ["data:", "event:", "id:", "retry:", ":"]
        .into_iter()
        .any(has_prefix);
    (!is_stream).then(|| format!("text: {}", shown()))
}

/// Whether an answer of this status, with or without a `Location`, is a redirect.
/// 304 is not, and 300 only where it says where to (RFC 9110, section 15.4).
pub fn is_redirect(status: u16, has_location: bool) -> bool {
    match status {
        300 => has_location,
        301 | 302 | 303 | 307 | 308 => true,
        _ => false,
    }
}

/// Redirects that say where to are the caller's business.
fn judge_status(status: u16) -> Option<ProbeVerdict> {
    match status {
        401 | 403 => Some(ProbeVerdict::NotAllowed),
        408 | 429 | 502 | 503 | 504 => Some(ProbeVerdict::Unavailable),
        _ if is_redirect(status, false) => {
            Some(ProbeVerdict::NotMcp(format!("a redirect ({status})")))
        }
        _ => None,
    }
}

fn judge_result(result: &str) -> ProbeVerdict {
    let Ok(discovery) = Dialect::read_discover(result) else {
        return ProbeVerdict::Legacy;
    };
    match discovery.best() {
        Some(revision) => ProbeVerdict::Modern {
            revision,
            discovery: Some(discovery),
        },
        None if discovery.supported.is_empty() && !discovery.unknown_supported.is_empty() => {
            ProbeVerdict::NoCommonRevision(discovery.unknown_supported)
        }
        None => ProbeVerdict::Legacy,
    }
}

fn judge_error(status: u16, error: RpcError) -> ProbeVerdict {
    match error.code {
        Some(UNSUPPORTED_VERSION) => judge_unsupported(&error),
        Some(HEADER_MISMATCH | MISSING_CAPABILITY) => ProbeVerdict::ModernRefused(error),
        Some(METHOD_NOT_FOUND) if status == 404 => ProbeVerdict::Unsure,
        _ => ProbeVerdict::Legacy,
    }
}

fn judge_unsupported(error: &RpcError) -> ProbeVerdict {
    let supported = || {
        let [supported] = read_fields(error.data.as_deref()?, ["supported"])?;
        read_versions(supported?).filter(|(known, unknown)| known.len() + unknown.len() > 0)
    };
    // Without a list there is nothing to try: it only proves modern.
    let Some((known, unknown)) = supported() else {
        return ProbeVerdict::ModernRefused(error.clone());
    };
    match best_modern(&known) {
        Some(revision) => ProbeVerdict::TryRevision(revision),
        None if known.is_empty() => ProbeVerdict::NoCommonRevision(unknown),
        None => ProbeVerdict::Legacy,
    }
}

/// A body without an answer: under a failure it is what legacy servers send,
/// under a success only emptiness and a stream without the answer are.
fn judge_other(status: u16, body: &[u8]) -> ProbeVerdict {
    if status >= 400 {
        return ProbeVerdict::Legacy;
    }
    match looks_foreign(body) {
        Some(what) => ProbeVerdict::NotMcp(what),
        None => ProbeVerdict::Legacy,
    }
}

enum ProbeAnswer {
    /// The text of a result.
    Result(String),
    Error(RpcError),
}

/// The JSON-RPC error that a body holds, as JSON or in a stream of events.
pub(super) fn error_in(body: &[u8]) -> Option<RpcError> {
    match answer_in(body, Asked::Anything)? {
        ProbeAnswer::Error(error) => Some(error),
        ProbeAnswer::Result(_) => None,
    }
}

/// What answers count.
#[derive(Debug, Clone, Copy)]
enum Asked {
    /// Those to the request of this id.
    Id(u64),
    /// As before, and errors of any id: under an error's status the exchange tells
    /// which request they belong to.
    IdOrError(u64),
    /// All, whatever their id.
    Anything,
}

impl Asked {
    fn of(status: u16, id: u64) -> Self {
        match status {
            400.. => Self::IdOrError(id),
            _ => Self::Id(id),
        }
    }
}

/// The first answer in a body to what was asked, by the rule that holds for calls.
fn answer_in(body: &[u8], asked: Asked) -> Option<ProbeAnswer> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with('{') {
        return answer_of(text, asked);
    }
    if text.starts_with('[') {
        let mut answer = None;
        look_at_elements(text, BATCH_MAX, |message| {
            answer = is_object(message)
                .then(|| answer_of(message, asked))
                .flatten();
            match answer {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        })?;
        return answer;
    }
    let mut decoder = SseDecoder::new(body.len());
    let mut rest = body;
    loop {
        let (used, event) = decoder.feed(rest).ok()?;
        let text = std::str::from_utf8(event?.data).ok();
        let answer = text.and_then(|text| answer_of(text, asked));
        if answer.is_some() {
            return answer;
        }
        rest = &rest[used..];
    }
}

fn answer_of(text: &str, asked: Asked) -> Option<ProbeAnswer> {
    match (Message::read(text).ok()?, asked) {
        (Message::Response { id, .. }, Asked::Id(ours) | Asked::IdOrError(ours))
            if !id.is(ours) =>
        {
            None
        }
        (Message::Response { result, .. }, _) => Some(ProbeAnswer::Result(result.to_string())),
        (Message::Error { id, .. }, Asked::Id(ours))
            if !is_error_ours(id, &Expect::result(ours, None)) =>
        {
            None
        }
        (Message::Error { error, .. }, _) => Some(ProbeAnswer::Error(error)),
        (Message::Request { .. } | Message::Notification, _) => None,
    }
}

#[cfg(test)]
#[path = "era_tests.rs"]
mod tests;
