//! Whether the result is valid, and why not.

use super::page::Page;
use crate::report::model::{Grade, Verdict};
use crate::terminal::{Line, Role};

/// `verdict     valid`, or each reason with its grade, worst first.
pub(in crate::report) fn verdict(page: &mut Page, verdict: &Verdict) {
    if verdict.reasons.is_empty() {
        let (word, role) = shown(verdict.grade);
        page.labelled("verdict", Line::of(role, word));
    }
    for (i, reason) in verdict.reasons.iter().enumerate() {
        let (word, role) = shown(reason.grade);
        let text = format!("{word}: {}", reason.text);
        for (k, part) in page.wrap(&text, page.text_width()).iter().enumerate() {
            let label = if i + k == 0 { "verdict" } else { "" };
            let line = match part.strip_prefix(word).filter(|_| k == 0) {
                Some(rest) => Line::of(role, word).add(Role::Plain, rest),
                None => Line::of(Role::Plain, part),
            };
            page.labelled(label, line);
        }
    }
}

fn shown(grade: Grade) -> (&'static str, Role) {
    match grade {
        Grade::Valid => ("valid", Role::Success),
        Grade::Suspect => ("suspect", Role::Warning),
        Grade::Invalid => ("invalid", Role::Error),
    }
}
