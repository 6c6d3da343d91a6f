//! A regular expression of the user's. Matching takes time linear in the text.

use std::fmt;

use regex::{Regex, RegexBuilder};

/// The largest compiled program, in bytes.
const PROGRAM_BYTES_MAX: usize = 1024 * 1024;

/// The most matches of one text.
const MATCHES_MAX: usize = 10_000;

/// Groups inside groups.
const NEST_MAX: u32 = 100;

/// A regular expression, compiled once.
#[derive(Clone)]
pub struct TextPattern(Regex);

impl TextPattern {
    /// Compiles a regular expression as the `regex` crate reads it: no look-around, no
    /// references back.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(pattern)
            .size_limit(PROGRAM_BYTES_MAX)
            .nest_limit(NEST_MAX)
            .build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("it takes more than {PROGRAM_BYTES_MAX} bytes compiled")
            }
            // The crate points at the place over several lines; the last says what it is.
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                last.trim_start_matches("error: ").to_string()
            }
        })
    }

    /// Whether it matches a part of the text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Its first group in the first match, the whole match where it has no group.
    pub(super) fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.find_all(text).next()
    }

    /// The same of each match, at most 10,000. A match without the group does not count.
    pub(super) fn find_all<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let group = usize::from(self.0.captures_len() > 1);
        let matches = self.0.captures_iter(text).take(MATCHES_MAX);
        matches.filter_map(move |captures| captures.get(group).map(|found| found.as_str()))
    }
}

/// As it was written.
impl fmt::Display for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl fmt::Debug for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{self}/")
    }
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
