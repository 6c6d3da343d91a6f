//! What violates an expectation: the first exchange of each cause and row.

use super::Failure;
use crate::text::blank_if_unseen;

/// Exchanges kept, of all rows and causes together.
pub const EXCHANGES_MAX: usize = 40;

/// Characters kept of what was sent.
const REQUEST_CHARS_MAX: usize = 1000;

/// Characters kept of what came.
const ANSWER_CHARS_MAX: usize = 2000;

/// Characters kept of a message.
pub(super) const MESSAGE_CHARS_MAX: usize = 1000;

/// A call whose answer is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
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
}

/// The first exchange of each cause and row, as many as there is room for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    exchanges: Vec<Exchange>,
}

impl Evidence {
    /// Whether the exchange of such a failure would be kept: ask before its texts are
    /// made.
    pub fn wants(&self, row: usize, failure: Failure) -> bool {
        let is_same = |it: &Exchange| it.row == row && it.failure == failure;
        self.exchanges.len() < EXCHANGES_MAX && !self.exchanges.iter().any(is_same)
    }

    /// Keeps an exchange if it is the first of its cause and row. Secrets must be out of
    /// its texts: where a text is cut, half of one would not be known again.
    pub fn keep(&mut self, exchange: Exchange) {
        if !self.wants(exchange.row, exchange.failure) {
            return;
        }
        let cut_to = |text: &str, n_chars| cut(text, n_chars).collect::<String>();
        self.exchanges.push(Exchange {
            message: cut_to(&exchange.message, MESSAGE_CHARS_MAX),
            request: cut_to(&exchange.request, REQUEST_CHARS_MAX),
            answer: cut_to(&exchange.answer, ANSWER_CHARS_MAX),
            ..exchange
        });
    }

    /// Adds what another worker, or a later tick, has seen.
    pub fn merge(&mut self, other: &Self) {
        for exchange in &other.exchanges {
            if self.wants(exchange.row, exchange.failure) {
                self.exchanges.push(exchange.clone());
            }
        }
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.exchanges.clear();
    }

    /// Those kept, in the order in which they came.
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
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

    fn exchange(row: usize, code: i64, answer: &str) -> Exchange {
        Exchange {
            row,
            failure: Failure::Rpc(code),
            message: "wrong".to_string(),
            request: "é".repeat(5000),
            answer: answer.to_string(),
        }
    }

    #[test]
    fn the_first_of_each_cause_and_row_is_kept_and_is_short() {
        let mut evidence = Evidence::default();
        for (row, code, answer) in [(0, 1, "a"), (0, 1, "b"), (1, 1, "c"), (0, 2, "d\u{1b}[1m")] {
            evidence.keep(exchange(row, code, answer));
        }
        let answers = evidence.exchanges().iter().map(|it| it.answer.as_str());
        assert_eq!(answers.collect::<Vec<_>>(), ["a", "c", "d [1m"]);
        let request = &evidence.exchanges()[0].request;
        assert_eq!(request.chars().count(), REQUEST_CHARS_MAX + 1);
        let mut later = Evidence::default();
        later.keep(exchange(0, 1, "later"));
        later.keep(exchange(0, 3, "other"));
        evidence.merge(&later);
        assert_eq!(evidence.exchanges().len(), 4);
        assert_eq!(evidence.exchanges()[0].answer, "a");
        assert_eq!(evidence.exchanges()[3].answer, "other");
    }

    #[test]
    fn there_are_at_most_so_many() {
        let mut evidence = Evidence::default();
        for row in 0..100 {
            evidence.keep(exchange(row, 1, ""));
        }
        assert_eq!(evidence.exchanges().len(), EXCHANGES_MAX);
        assert!(!evidence.wants(1000, Failure::Tool));
    }
}
