//! Takes secrets out of texts that a server sends back to us.

use std::borrow::Cow;

/// What is put in their place.
const MASK: &str = "***";

/// Values shorter than this are not looked for inside of a text: they would
/// mask half of every message and protect nothing.
const SECRET_CHARS_MIN: usize = 4;

/// Knows the secrets of a run. Its `Debug` does not show them.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that no part of one is left over.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} secrets)", self.secrets.len())
    }
}

impl Redactor {
    /// A redactor of these values.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut secrets: Vec<String> = secrets
            .into_iter()
            .filter(|secret| secret.chars().count() >= SECRET_CHARS_MIN)
            .map(str::to_string)
            .collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// The text without them.
    pub fn clean(&self, text: String) -> String {
        match self.cleaned(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(cleaned) => cleaned,
        }
    }

    /// The text without them: itself where it holds none.
    pub fn cleaned<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.secrets
            .iter()
            .fold(Cow::Borrowed(text), |text, secret| {
                match text.contains(secret) {
                    true => Cow::Owned(text.replace(secret, MASK)),
                    false => text,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_occur() {
        let redactor = Redactor::new(["Bearer tok-123", "tok-123", "x"]);
        assert_eq!(
            redactor.clean("bad token tok-123 (Bearer tok-123) x".to_string()),
            "bad token *** (***) x"
        );
        assert!(!format!("{redactor:?}").contains("tok"));
    }
}
