//! A message with what to try next: `what; hint: …`, so that both stand where failures
//! are counted.

use std::fmt::Display;

const HINT: &str = "; hint: ";

/// What happened, and what to try next.
pub fn with_hint(what: impl Display, hint: impl Display) -> String {
    format!("{what}{HINT}{hint}")
}

/// A message without the hint that is at its end, and the hint.
pub fn split_hint(message: &str) -> (&str, Option<&str>) {
    // What a server chose is before it: the last one is ours.
    match message.rsplit_once(HINT) {
        Some((what, hint)) => (what, Some(hint)),
        None => (message, None),
    }
}

/// More of what happened, before the hint.
pub(super) fn with_more(message: &str, more: &str) -> String {
    match split_hint(message) {
        (what, Some(hint)) => with_hint(format_args!("{what}{more}"), hint),
        (what, None) => format!("{what}{more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hint_is_ours() {
        assert_eq!(split_hint("x"), ("x", None));
        assert_eq!(split_hint("a; hint: b; hint: c"), ("a; hint: b", Some("c")));
        assert_eq!(with_more("x", " y"), "x y");
        assert_eq!(with_more(&with_hint("x", "z"), " y"), "x y; hint: z");
    }
}
