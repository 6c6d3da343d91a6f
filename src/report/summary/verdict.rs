//! Whether the result is valid, and why not: a line above the figures, and what
//! there is to say of it below them.

use super::notes::paragraphs;
use crate::report::model::VerdictNotes;
use crate::report::page::Page;
use crate::terminal::{Line, Role};
use crate::validity::Grade;

/// `verdict     valid`, or the grade and the cause of the worst reason.
pub(in crate::report) fn verdict(page: &mut Page, verdict: &VerdictNotes) {
    let (word, role) = shown(verdict.grade);
    let n_more = match verdict.reasons.len() {
        0 => verdict.notes.len(),
        n_reasons => n_reasons - 1,
    };
    let rest = match (verdict.reasons.first(), n_more) {
        (None, 0) => String::new(),
        (None, 1) => format!(" (a note: {})", verdict.notes[0].cause),
        (None, n_notes) => format!(" ({n_notes} notes below)"),
        (Some(reason), 0) => format!(": {}", reason.cause),
        (Some(reason), n_more) => format!(": {} (and {n_more} more, below)", reason.cause),
    };
    let text = format!("{word}{rest}");
    for (k, part) in page.wrap(&text, page.text_width()).iter().enumerate() {
        let label = if k == 0 { "verdict" } else { "" };
        let line = match part.strip_prefix(word).filter(|_| k == 0) {
            Some(rest) => Line::of(role, word).add(Role::Plain, rest),
            None => Line::of(Role::Plain, part),
        };
        page.labelled(label, line);
    }
}

/// Each reason and each note, whole: which figure, by how much, what to do.
pub(in crate::report) fn reasons(page: &mut Page, verdict: &VerdictNotes) {
    let reasons = verdict.reasons.iter().map(|reason| {
        let (word, role) = shown(reason.grade.unwrap_or(verdict.grade));
        (word, role, &reason.text)
    });
    let notes = verdict.notes.iter();
    let notes = notes.map(|note| ("note", Role::Dim, &note.text));
    paragraphs(page, reasons.chain(notes));
}

/// The word of a grade, and how it looks.
pub(super) fn shown(grade: Grade) -> (&'static str, Role) {
    match grade {
        Grade::Valid => ("valid", Role::Success),
        Grade::Suspect => ("suspect", Role::Warning),
        Grade::Invalid => ("invalid", Role::Error),
    }
}
