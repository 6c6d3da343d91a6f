//! What a refused `initialize` says: which revision to offer next, or that
//! there is no use in going on.
//!
//! A pure decision on the status, the body and what was offered before. Most
//! servers answer an offer that they do not speak with a revision of their own;
//! some refuse it, and say what they speak in `error.data.supported`, in a
//! sentence, or not at all.

use super::answer::read_error_body;
use super::dialect::read_versions;
use super::era::error_in;
use super::fields::read_fields;
use super::jsonrpc::RpcError;
use super::revision::{Era, Revision};
use crate::text::shown_text;

/// What to do after `initialize` was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Offer this revision next.
    Offer(Revision),
    /// The server names only revisions that we do not speak; each fit to be
    /// shown.
    NoCommonRevision(Vec<String>),
    /// The server speaks this revision only, which has no `initialize`.
    OnlyModern(Revision),
    /// It cannot answer now (408, 429, 502, 503, 504): nothing is learnt.
    Unavailable,
    /// The refusal has another reason, or nothing is left to offer.
    Final,
}

/// The revisions offered where the server names none, after the latest; the newest first.
fn older() -> impl Iterator<Item = Revision> {
    let legacy = |revision: &Revision| *revision < Revision::LATEST_LEGACY;
    Revision::ALL.into_iter().rev().filter(legacy)
}

/// How much of a text is searched for revisions, in bytes.
const SEARCHED_MAX: usize = 8 * 1024;

/// Revisions in a text that we do not speak, kept to be shown.
const UNKNOWN_MAX: usize = 20;

/// Judges a refusal of `initialize`. `offered` are the revisions that were
/// offered so far, the last one last.
pub fn judge_refusal(status: u16, body: &[u8], offered: &[Revision]) -> Refusal {
    match status {
        408 | 429 | 502..=504 => return Refusal::Unavailable,
        // Who we are, and where the server is, no revision changes.
        300..=399 | 401 | 403 | 405 | 407 | 413 | 415 => return Refusal::Final,
        _ => {}
    }
    let error = read_error_body(body).or_else(|| error_in(body));
    let is_success = (200..300).contains(&status);
    if is_success && error.is_none() {
        // Something else was answered, which is not a refusal.
        return Refusal::Final;
    }
    if let Some((known, unknown)) = error.as_ref().and_then(listed) {
        return of_list(&known, unknown, offered);
    }
    let text = text_of(error.as_ref(), body);
    let (known, unknown) = named_in(&text);
    if let Some(revision) = best(&known, offered) {
        return Refusal::Offer(revision);
    }
    let is_likely = match (status, &error) {
        (400 | 422, _) => true,
        (200..300, Some(error)) => {
            matches!(error.code, Some(-32022 | -32000 | -32600 | -32602))
        }
        _ => false,
    };
    let names_only_others =
        !unknown.is_empty() && known.iter().all(|known| offered.contains(known));
    if !is_likely && !speaks_of_versions(&text) {
        return Refusal::Final;
    }
    match older().find(|older| !offered.contains(older)) {
        Some(older) => Refusal::Offer(older),
        None if names_only_others => Refusal::NoCommonRevision(unknown),
        None => Refusal::Final,
    }
}

/// What a list of the server's says, which is to be believed.
fn of_list(known: &[Revision], unknown: Vec<String>, offered: &[Revision]) -> Refusal {
    if let Some(revision) = best(known, offered) {
        return Refusal::Offer(revision);
    }
    match known.iter().find(|known| known.era() == Era::Modern) {
        Some(modern) => Refusal::OnlyModern(*modern),
        None if known.is_empty() && !unknown.is_empty() => Refusal::NoCommonRevision(unknown),
        // What it claims to speak, it has refused.
        None => Refusal::Final,
    }
}

/// The latest revision with sessions that was not offered yet.
fn best(known: &[Revision], offered: &[Revision]) -> Option<Revision> {
    known
        .iter()
        .copied()
        .filter(|known| known.era() == Era::Legacy && !offered.contains(known))
        .max()
}

/// The list in an error's data, under the names that servers give it.
fn listed(error: &RpcError) -> Option<(Vec<Revision>, Vec<String>)> {
    let data = error.data.as_deref()?;
    let names = [
        "supported",
        "supportedVersions",
        "supported_versions",
        "supportedProtocolVersions",
    ];
    let lists = read_fields(data, names).unwrap_or_default();
    let list = lists.into_iter().flatten().next().unwrap_or(data);
    read_versions(list).filter(|(known, unknown)| !known.is_empty() || !unknown.is_empty())
}

fn text_of(error: Option<&RpcError>, body: &[u8]) -> String {
    match error {
        Some(error) => format!(
            "{} {}",
            error.message,
            error.data.as_deref().unwrap_or_default()
        ),
        None => String::from_utf8_lossy(&body[..body.len().min(SEARCHED_MAX)]).into_owned(),
    }
}

/// All that looks like a revision in a text: those that we speak, and the
/// others.
fn named_in(text: &str) -> (Vec<Revision>, Vec<String>) {
    let mut known = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    let bytes = &text.as_bytes()[..text.len().min(SEARCHED_MAX)];
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    while at + DATE.len() <= bytes.len() {
        let candidate = &bytes[at..at + DATE.len()];
        let is_date =
            is_date(candidate) && !(at > 0 && is_digit(at - 1)) && !is_digit(at + DATE.len());
        if !is_date {
            at += 1;
            continue;
        }
        at += DATE.len();
        // All of it is ASCII.
        let date = String::from_utf8_lossy(candidate).into_owned();
        match Revision::parse(&date) {
            Some(revision) if !known.contains(&revision) => known.push(revision),
            None if unknown.len() < UNKNOWN_MAX && !unknown.contains(&date) => {
                unknown.push(shown_text(&date, DATE.len()));
            }
            _ => {}
        }
    }
    (known, unknown)
}

/// The form of a revision.
const DATE: &[u8; 10] = b"dddd-dd-dd";

fn is_date(candidate: &[u8]) -> bool {
    candidate.len() == DATE.len()
        && candidate.iter().zip(DATE).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

fn speaks_of_versions(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["version", "protocol", "revision"]
        .iter()
        .any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LATEST: Revision = Revision::LATEST_LEGACY;

    /// A verdict in a word or two.
    fn told(status: u16, body: &str, offered: &[Revision]) -> String {
        match judge_refusal(status, body.as_bytes(), offered) {
            Refusal::Offer(revision) => format!("offer {revision}"),
            Refusal::NoCommonRevision(theirs) => format!("none of {}", theirs.join(", ")),
            Refusal::OnlyModern(revision) => format!("modern {revision}"),
            Refusal::Unavailable => "unavailable".to_string(),
            Refusal::Final => "final".to_string(),
        }
    }

    fn error(code: i64, message: &str, rest: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"{message}"{rest}}}}}"#
        )
    }

    #[test]
    fn a_revision_that_the_server_names_is_offered() {
        let supported =
            r#","data":{"supported":["2025-06-18","2024-11-05"],"requested":"2025-11-25"}"#;
        for (status, body, expected) in [
            // The TypeScript SDK's sentence.
            (
                400,
                error(
                    -32000,
                    "Bad Request: Unsupported protocol version: 2025-11-25 (supported versions: 2025-06-18, 2025-03-26, 2024-11-05, 2024-10-07)",
                    "",
                ),
                "offer 2025-06-18",
            ),
            (
                400,
                "Unsupported protocol version 2025-11-25. Supported: 2025-03-26".to_string(),
                "offer 2025-03-26",
            ),
            (
                400,
                "only 2024-11-05 is spoken here".to_string(),
                "offer 2024-11-05",
            ),
            (
                200,
                error(-32602, "Unsupported protocol version", supported),
                "offer 2025-06-18",
            ),
            (
                400,
                error(-32602, "Unsupported protocol version", supported),
                "offer 2025-06-18",
            ),
            (
                400,
                error(-32022, "no", r#","data":{"supported":["2025-03-26"]}"#),
                "offer 2025-03-26",
            ),
            (
                200,
                error(
                    -32602,
                    "x",
                    r#","data":{"supportedVersions":["2025-03-26"]}"#,
                ),
                "offer 2025-03-26",
            ),
            (
                200,
                error(-32602, "x", r#","data":["2025-03-26"]"#),
                "offer 2025-03-26",
            ),
            (
                200,
                error(-32602, "x", r#","data":"try 2025-06-18""#),
                "offer 2025-06-18",
            ),
            (
                500,
                error(-32603, "protocol version must be 2025-06-18", ""),
                "offer 2025-06-18",
            ),
            (
                404,
                "unknown protocol version; known: 2025-06-18".to_string(),
                "offer 2025-06-18",
            ),
            (
                200,
                format!("data: {}\n\n", error(-32602, "x", supported)),
                "offer 2025-06-18",
            ),
        ] {
            assert_eq!(told(status, &body, &[LATEST]), expected, "{status} {body}");
        }
    }

    #[test]
    fn without_a_name_the_older_ones_are_offered_once_each() {
        let body = error(-32602, "Invalid params", "");
        let mut offered = vec![LATEST];
        for expected in [
            "offer 2025-06-18",
            "offer 2025-03-26",
            "offer 2024-11-05",
            "final",
        ] {
            for (status, body) in [
                (200, body.as_str()),
                (400, body.as_str()),
                (400, "Bad Request"),
                (400, ""),
                (422, "no"),
                (500, "protocol version not supported"),
                (400, "the protocol version 2025-11-25 is not supported"),
            ] {
                assert_eq!(told(status, body, &offered), expected, "{status} {body}");
            }
            if let Some(revision) = expected.strip_prefix("offer ").and_then(Revision::parse) {
                offered.push(revision);
            }
        }
    }

    #[test]
    fn what_no_other_revision_mends() {
        let all: Vec<Revision> = Revision::ALL.to_vec();
        for (status, body, offered, expected) in [
            (401, String::new(), &all[3..4], "final"),
            (403, "protocol version".to_string(), &all[3..4], "final"),
            (405, String::new(), &all[3..4], "final"),
            (404, "Not Found".to_string(), &all[3..4], "final"),
            (
                404,
                error(-32601, "Method not found", ""),
                &all[3..4],
                "final",
            ),
            (307, String::new(), &all[3..4], "final"),
            (500, error(-32603, "no database", ""), &all[3..4], "final"),
            (200, error(-32603, "no database", ""), &all[3..4], "final"),
            (200, "hello".to_string(), &all[3..4], "final"),
            (
                200,
                r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_string(),
                &all[3..4],
                "final",
            ),
            (
                503,
                "protocol version".to_string(),
                &all[3..4],
                "unavailable",
            ),
            (429, String::new(), &all[3..4], "unavailable"),
            (
                400,
                error(-32022, "x", r#","data":{"supported":["2026-07-28"]}"#),
                &all[3..4],
                "modern 2026-07-28",
            ),
            (
                400,
                error(-32022, "x", r#","data":{"supported":["2099-01-01"]}"#),
                &all[3..4],
                "none of 2099-01-01",
            ),
            (
                400,
                "we speak 2099-01-01".to_string(),
                &all[..],
                "none of 2099-01-01",
            ),
            // It refuses what it says that it speaks.
            (
                400,
                error(-32602, "x", r#","data":{"supported":["2025-11-25"]}"#),
                &all[3..4],
                "final",
            ),
        ] {
            assert_eq!(told(status, &body, offered), expected, "{status} {body}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_answered_the_offers_end(status in 200..600u16, body: Vec<u8>) {
            let mut offered = vec![LATEST];
            while let Refusal::Offer(revision) = judge_refusal(status, &body, &offered) {
                prop_assert!(!offered.contains(&revision));
                offered.push(revision);
            }
            prop_assert!(offered.len() <= 4);
        }

        #[test]
        fn any_text_with_dates_is_read(text in "[ -~é]{0,40}([0-9]{4}-[0-9]{2}-[0-9]{2}[ -~é]{0,3}){0,5}") {
            judge_refusal(400, text.as_bytes(), &[LATEST]);
        }
    }
}
