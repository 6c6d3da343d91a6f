//! The streams that sessions held: how they fared, and what came on them.

use std::collections::BTreeMap;

use crate::report::model::{ListenFigures, Report};
use crate::report::page::Page;
use crate::terminal::{Line, Role};
use crate::text::escaped;
use crate::units::{format_bytes, format_count, plural};

/// Methods shown, those that came most; the JSON has more.
const METHODS_SHOWN: usize = 4;

/// `1,000 opened, 1,000 at once, 3 refused; 12 notifications (…), 2.1 KiB`.
pub(super) fn listening(page: &mut Page, report: &Report) {
    let Some(listen) = &report.listen else {
        return;
    };
    let opening = &listen.opening;
    let mut line = Line::of(
        Role::Plain,
        format!(
            "{} opened, {} at once",
            format_count(opening.ok),
            format_count(listen.open_max)
        ),
    );
    let answered = listen.refused.saturating_add(listen.unacknowledged);
    let not_answered = opening.failed.saturating_sub(answered);
    for (n, what, role) in [
        (listen.refused, "refused", Role::Error),
        (listen.unacknowledged, "not acknowledged", Role::Error),
        (not_answered, "not answered", Role::Error),
        (opening.cancelled, "still waiting at the end", Role::Warning),
        (listen.broken, "broken", Role::Error),
        (listen.ended_by_server, "ended by the server", Role::Warning),
        (listen.resumed, "resumed", Role::Plain),
    ] {
        if n > 0 {
            let words = format!(", {} {what}", format_count(n));
            line = line.add(role, words);
        }
    }
    page.labelled("streams", line);
    page.labelled_text("", Role::Plain, &came(listen));
}

/// What came on them.
fn came(listen: &ListenFigures) -> String {
    let total = |counts: &BTreeMap<String, u64>| {
        counts.values().fold(0_u64, |sum, n| sum.saturating_add(*n))
    };
    let mut parts = Vec::new();
    for (counts, one, many) in [
        (&listen.notifications, "notification", "notifications"),
        (&listen.requests, "request", "requests"),
    ] {
        let n = total(counts);
        if n > 0 {
            let names = names(counts);
            parts.push(format!("{} ({names})", plural(n, one, many)));
        }
    }
    for (n, one, many) in [
        (listen.requests_answered, "answered", "answered"),
        (listen.others, "of other methods", "of other methods"),
        (listen.answers, "answer to a call", "answers to calls"),
        (
            listen.unreadable,
            "event that is not a message",
            "events that are not messages",
        ),
    ] {
        if n > 0 {
            parts.push(plural(n, one, many));
        }
    }
    parts.push(format!("{} received", format_bytes(listen.bytes)));
    parts.join(", ")
}

fn names(counts: &BTreeMap<String, u64>) -> String {
    let mut names: Vec<(&String, &u64)> = counts.iter().collect();
    names.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let n_more = names.len().saturating_sub(METHODS_SHOWN);
    let shown = names.iter().take(METHODS_SHOWN);
    let mut shown: Vec<String> = shown
        .map(|(name, n)| match names.len() {
            1 => escaped(name).to_string(),
            _ => format!("{} {}", format_count(**n), escaped(name)),
        })
        .collect();
    if n_more > 0 {
        shown.push(format!("{n_more} more"));
    }
    shown.join(", ")
}
