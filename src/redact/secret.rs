//! The one type for a value that nobody may read.

use std::fmt;
use std::sync::Arc;

/// A text that cannot print itself: a token, a password, a key.
///
/// It has no `Display` and no `Serialize`, and its `Debug` is the mask. A clone costs
/// next to nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The value without the blanks and line ends around it: files and commands end
    /// their last line.
    pub fn new(value: &str) -> Self {
        Self(value.trim().into())
    }

    /// The value itself, for the one place that sends it and for the redactor.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(super::MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_nothing_of_itself() {
        let secret = Secret::new(" hunter2\r\n");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(
            format!("{secret:?} {:#?}", Some(&secret)),
            "*** Some(\n    ***,\n)"
        );
    }
}
