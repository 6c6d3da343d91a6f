//! Errors that a user reads: what is wrong, where, and the next thing to try.
//!
//! This module knows nothing of terminals, colours or exit codes. It does not
//! know what any command does either: the place that finds the fault words it.

use std::fmt;

/// What sort of fault it is; the command line maps it to an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line or the config is at fault: the user can mend it.
    Usage,
    /// The run could not be carried out: no server, no permission, no file.
    CouldNotRun,
    /// It was carried out, and what was asked of it was not kept.
    NotKept,
    /// A signal ended it before there was anything to report.
    Interrupted,
}

/// An error for the user.
///
/// `what` is a lower-case fragment without a final full stop, with values in
/// backticks. Hints say what to try next, one sentence each. Neither ever
/// holds a secret: the caller redacts before it builds the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserError {
    kind: ErrorKind,
    what: String,
    hints: Vec<String>,
}

impl UserError {
    /// A fault of the command line or the config.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, what)
    }

    /// A run that could not be carried out.
    pub fn could_not_run(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::CouldNotRun, what)
    }

    /// An error of the given kind, without hints.
    pub fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            hints: Vec::new(),
        }
    }

    /// Adds the next thing to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same error with its texts changed, such as freed from secrets.
    #[must_use]
    pub fn map_texts(self, change: impl Fn(String) -> String) -> Self {
        Self {
            kind: self.kind,
            what: change(self.what),
            hints: self.hints.into_iter().map(change).collect(),
        }
    }

    /// What sort of fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The fault itself, perhaps over several lines.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to try next, in order.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.hints.is_empty() {
            f.write_str("\n")?;
        }
        for hint in &self.hints {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for UserError {}

/// The known word nearest to `typed`, if one is near enough to be a likely
/// typo: at most a third of the letters differ (optimal string alignment
/// distance, so that swapped neighbours cost one). A text that is longer
/// than any word that a person types gets no suggestion: the work grows with both lengths.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const BYTES_MAX: usize = 256;
    if typed.len() > BYTES_MAX {
        return None;
    }
    let typed: Vec<char> = typed.chars().collect();
    known
        .into_iter()
        .filter(|word| word.len() <= BYTES_MAX)
        .filter_map(|word| {
            let letters: Vec<char> = word.chars().collect();
            let most = letters.len().max(3) / 3;
            // The distance is at least what one is longer than the other.
            (typed.len().abs_diff(letters.len()) <= most)
                .then(|| edit_distance(&typed, &letters))
                .filter(|distance| *distance <= most)
                .map(|distance| (distance, word))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// The end of a message about a word that is not known: `; did you mean …?` with the word
/// nearest to it, or nothing.
pub fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = nearest(typed, known);
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// Reads a choice by its name; `what` says in a message what it would be, such as
/// "a format".
///
/// # Errors
/// A message for the user that lists what is accepted.
pub fn choice<T: Copy>(text: &str, what: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let names = choices.iter().map(|(name, _)| *name);
        let accepted: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
        format!(
            "`{text}` is not {what}{ACCEPTED}{}{}",
            accepted.join(", "),
            did_you_mean(text, names)
        )
    })
}

/// What stands before the names of [`choice`].
pub const ACCEPTED: &str = "; accepted are ";

/// A message without the middle of a word that is too long to be read.
pub fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 400;
    const END_CHARS: usize = 120;
    let n_chars = text.chars().count();
    if n_chars <= CHARS_MAX {
        return text.to_string();
    }
    let head: String = text.chars().take(CHARS_MAX - END_CHARS).collect();
    let end: String = text.chars().skip(n_chars - END_CHARS).collect();
    format!("{head}…{end}")
}

/// Optimal string alignment distance, in characters.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substitution = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substitution.min(last[j] + 1).min(row[j - 1] + 1);
            let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if swapped {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_to_be_read_is_cut_in_its_middle() {
        assert_eq!(shortened("abc"), "abc");
        let text = shortened(&format!("a{}z", "é".repeat(1000)));
        assert_eq!(text.chars().count(), 401);
        assert!(text.starts_with('a') && text.ends_with('z'), "{text}");
    }

    #[test]
    fn hints_follow_a_blank_line() {
        let error = UserError::usage("`--vus 0` is not possible").hint("give at least 1");
        assert_eq!(
            error.to_string(),
            "`--vus 0` is not possible\n\nhint: give at least 1"
        );
    }

    #[test]
    fn typos_find_their_word() {
        let known = ["virtual_users", "duration_secs", "timeout_ms"];
        assert_eq!(nearest("virtual_user", known), Some("virtual_users"));
        assert_eq!(nearest("timeuot_ms", known), Some("timeout_ms"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn choices_say_what_is_accepted() {
        let choices = [("line", 1), ("panel", 2)];
        assert_eq!(choice("panel", "a view", &choices), Ok(2));
        for (text, expected) in [
            ("", "`` is not a view; accepted are `line`, `panel`"),
            (
                "pannel",
                "`pannel` is not a view; accepted are `line`, `panel`; did you mean `panel`?",
            ),
        ] {
            assert_eq!(choice(text, "a view", &choices), Err(expected.to_string()));
        }
    }

    #[test]
    fn words_beyond_reason_have_no_neighbour() {
        let long = "a".repeat(1 << 20);
        assert_eq!(nearest(&long, ["aaa", &long]), None);
        assert_eq!(nearest("aab", ["aaa", &long]), Some("aaa"));
    }
}
