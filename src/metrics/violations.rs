//! Answers that are not what they should be: the first exchange of each cause and row.

use super::Failure;
use crate::text::blank_if_unseen;

/// Violations kept, of all rows and causes together.
pub const VIOLATIONS_MAX: usize = 40;

/// Characters kept of what was sent.
const REQUEST_CHARS_MAX: usize = 1000;

/// Characters kept of what came.
const ANSWER_CHARS_MAX: usize = 2000;

/// Characters kept of a message.
pub(super) const MESSAGE_CHARS_MAX: usize = 1000;

/// A call whose answer is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The place of its row.
    pub row: usize,
    /// What was wrong.
    pub failure: Failure,
    /// The same in words.
    pub message: String,
    /// What was sent, cut to a bound.
    pub request: String,
    /// What came, cut to a bound.
    pub answer: String,
    /// The id of its trace; `None` where it has none.
    pub trace: Option<u128>,
}

/// The first exchange of each cause and row, as many as there is room for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations {
    all: Vec<Violation>,
}

impl Violations {
    /// Whether the exchange of such a failure would be kept: ask before its texts are
    /// made.
    pub fn wants(&self, row: usize, failure: Failure) -> bool {
        let is_same = |it: &Violation| it.row == row && it.failure == failure;
        self.all.len() < VIOLATIONS_MAX && !self.all.iter().any(is_same)
    }

    /// Keeps an exchange if it is the first of its cause and row. Secrets must be out of
    /// its texts: where a text is cut, half of one would not be known again.
    pub fn keep(&mut self, violation: Violation) {
        if !self.wants(violation.row, violation.failure) {
            return;
        }
        let cut_to = |text: &str, n_chars| cut(text, n_chars).collect::<String>();
        self.all.push(Violation {
            message: cut_to(&violation.message, MESSAGE_CHARS_MAX),
            request: cut_to(&violation.request, REQUEST_CHARS_MAX),
            answer: cut_to(&violation.answer, ANSWER_CHARS_MAX),
            ..violation
        });
    }

    /// Adds what another worker, or a later tick, has seen.
    pub fn merge(&mut self, other: &Self) {
        for violation in &other.all {
            if self.wants(violation.row, violation.failure) {
                self.all.push(violation.clone());
            }
        }
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.all.clear();
    }

    /// Those kept, in the order in which they came.
    pub fn all(&self) -> &[Violation] {
        &self.all
    }
}

/// Cuts a text at a character boundary, with a blank for each character that could
/// write on the user's terminal.
pub(super) fn cut(text: &str, chars_max: usize) -> impl Iterator<Item = char> {
    let is_longer = text.chars().nth(chars_max).is_some();
    let shown = text.chars().map(blank_if_unseen).take(chars_max);
    shown.chain(is_longer.then_some('…'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(row: usize, code: i64, answer: &str) -> Violation {
        Violation {
            row,
            failure: Failure::Rpc(code),
            message: "wrong".to_string(),
            request: "é".repeat(5000),
            answer: answer.to_string(),
            trace: None,
        }
    }

    #[test]
    fn the_first_of_each_cause_and_row_is_kept_and_is_short() {
        let mut violations = Violations::default();
        for (row, code, answer) in [(0, 1, "a"), (0, 1, "b"), (1, 1, "c"), (0, 2, "d\u{1b}[1m")] {
            violations.keep(violation(row, code, answer));
        }
        let answers = violations.all().iter().map(|it| it.answer.as_str());
        assert_eq!(answers.collect::<Vec<_>>(), ["a", "c", "d [1m"]);
        let request = &violations.all()[0].request;
        assert_eq!(request.chars().count(), REQUEST_CHARS_MAX + 1);
        let mut later = Violations::default();
        later.keep(violation(0, 1, "later"));
        later.keep(violation(0, 3, "other"));
        violations.merge(&later);
        assert_eq!(violations.all().len(), 4);
        assert_eq!(violations.all()[0].answer, "a");
        assert_eq!(violations.all()[3].answer, "other");
    }

    #[test]
    fn there_are_at_most_so_many() {
        let mut violations = Violations::default();
        for row in 0..100 {
            violations.keep(violation(row, 1, ""));
        }
        assert_eq!(violations.all().len(), VIOLATIONS_MAX);
        assert!(!violations.wants(1000, Failure::Tool));
    }
}
