//! Characters of a text that a stranger sent which a reader would not see, and
//! what is shown in their place; and what a text in percent-encoding says.
//!
//! It knows characters only. Secrets are `redact`'s to take out, and widths are
//! `terminal`'s to measure.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Defines an enum whose variants have a word each: the function gives it, `ALL` has the
/// variants in order, `WORDS` the same with their words, as those who read a word want it.
macro_rules! named {
    (
        $(#[$of_type:meta])*
        $vis:vis enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident = $word:literal,)*
        }
        $(#[$of_word:meta])*
        fn $word_of:ident
    ) => {
        $(#[$of_type])*
        $vis enum $name {
            $($(#[$of_variant])* $variant,)*
        }

        #[allow(dead_code, reason = "not each enum is gone through, or read")]
        impl $name {
            /// All of them, in order.
            $vis const ALL: [Self; [$($word),*].len()] = [$(Self::$variant),*];

            /// All of them with their words, in order.
            $vis const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$variant)),*];

            $(#[$of_word])*
            $vis fn $word_of(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}
pub(crate) use named;

/// Whether a character acts on the reader's terminal or on the text around it
/// rather than being drawn: controls, line breaks, changes of direction, and what
/// has no width. The joiners inside of emoji and of Indic words are not among
/// them.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{180e}' | '\u{200b}'    // no width
            | '\u{61c}' | '\u{200e}' | '\u{200f}' // direction marks
            | '\u{2060}'..='\u{2064}'             // no width
            | '\u{2028}'..='\u{202e}'             // line breaks, embeddings, overrides
            | '\u{2066}'..='\u{206f}'             // isolates and deprecated controls
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with a blank for each character that is not seen.
pub fn blanked(text: &str) -> Cow<'_, str> {
    if text.contains(is_unseen) {
        Cow::Owned(text.chars().map(blank_if_unseen).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// A blank for a character that is not seen.
pub fn blank_if_unseen(c: char) -> char {
    if is_unseen(c) { ' ' } else { c }
}

/// The text with each character that is not seen written as in Rust's source:
/// `\n`, `\u{202e}`.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    push_escaped(&mut shown, text.chars());
    shown
}

/// A stranger's name, in which each character that is not drawn is written as in Rust's
/// source: two names that differ never look alike for such a character. Beside those of
/// [`is_unseen`] these are fillers, blanks at the end, and joiners and selectors behind a
/// character that they do not change.
pub fn visible_name(name: &str) -> Cow<'_, str> {
    let end = name.trim_end().len();
    let mut shown = String::new();
    // What was taken over into `shown`.
    let mut taken = 0;
    let mut before = None;
    for (at, c) in name.char_indices() {
        let next = at + c.len_utf8();
        let joins_nothing = || {
            let is_keycap = name[next..].starts_with('\u{20e3}');
            before.is_none_or(|before: char| before.is_ascii()) && !is_keycap
        };
        if is_unseen(c) || at >= end || is_filler(c) || is_joiner(c) && joins_nothing() {
            shown.push_str(&name[taken..at]);
            match c {
                ' ' => shown.extend(c.escape_unicode()),
                c => shown.extend(c.escape_default()),
            }
            taken = next;
        }
        before = Some(c);
    }
    match taken {
        0 => Cow::Borrowed(name),
        taken => Cow::Owned(shown + &name[taken..]),
    }
}

/// A letter without a drawing.
fn is_filler(c: char) -> bool {
    matches!(
        c,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
    )
}

/// What changes how its neighbours are drawn: joiners, and selectors of a variant.
fn is_joiner(c: char) -> bool {
    matches!(c,
        '\u{200c}' | '\u{200d}' | '\u{180b}'..='\u{180f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Appends characters as [`escaped`] writes them.
pub fn push_escaped(shown: &mut String, chars: impl Iterator<Item = char>) {
    for c in chars {
        match is_unseen(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
}

/// A document of JSON without a character that is not seen: there such a character stands
/// in a text, which has an escape for it. What lays the document out stays as it is.
pub fn harmless_json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for c in document.chars() {
        if is_unseen(c) && !matches!(c, '\n' | '\r' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // A string takes all that is written to it.
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A stranger's text, cut to `n_chars` and fit to be shown on one line: [`escaped`], the
/// cut marked.
pub fn shown_text(text: &str, n_chars: usize) -> String {
    shown_part(text, n_chars, text.len())
}

/// The same of the beginning of a text that has `whole_bytes`.
pub fn shown_part(text: &str, n_chars: usize, whole_bytes: usize) -> String {
    let mut out = String::new();
    let mut n_bytes = 0;
    let chars = text.trim_end().chars().take(n_chars);
    push_escaped(&mut out, chars.inspect(|c| n_bytes += c.len_utf8()));
    if n_bytes < text.trim_end().len() || text.len() < whole_bytes {
        out.push('…');
    }
    out
}

/// The bytes of a text in percent-encoding (`%20`). A `%` without two digits behind it
/// stays as it is.
pub fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let both = (bytes[at] == b'%').then(|| digit(at + 1).zip(digit(at + 2)));
        if let Some((high, low)) = both.flatten() {
            decoded.extend(u8::try_from(high * 16 + low));
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    proptest! {
        #[test]
        fn a_document_stays_the_same_and_acts_on_no_terminal(key: String, text: String) {
            let value = json!({key: [text, 1.5]});
            let document = serde_json::to_string_pretty(&value).expect("JSON");
            let shown = harmless_json(&document);
            let read: Value = serde_json::from_str(&shown).expect("still JSON");
            prop_assert_eq!(read, value);
            prop_assert!(!shown.contains(|c| is_unseen(c) && c != '\n'), "{shown:?}");
        }
    }

    #[test]
    fn what_is_not_seen_is_replaced_and_the_rest_stays() {
        let text = "a\u{1b}[1m\u{202e}b\n👨\u{200d}👩 é";
        assert_eq!(blanked(text), "a [1m b 👨\u{200d}👩 é");
        assert_eq!(escaped(text), "a\\u{1b}[1m\\u{202e}b\\n👨\u{200d}👩 é");
        assert!(matches!(blanked("plain"), Cow::Borrowed("plain")));
    }

    #[test]
    fn names_that_differ_look_different() {
        for (name, expected) in [
            ("echo", "echo"),
            ("  echo", "  echo"),
            ("ec\u{200b}ho", "ec\\u{200b}ho"),
            ("ec\u{200d}ho", "ec\\u{200d}ho"),
            ("echo\u{fe0f}", "echo\\u{fe0f}"),
            ("\u{200d}echo", "\\u{200d}echo"),
            ("echo ", "echo\\u{20}"),
            ("echo\u{3000}\n", "echo\\u{3000}\\n"),
            ("\u{3164}", "\\u{3164}"),
            ("a\tb", "a\\tb"),
            // What is drawn stays.
            (
                "👨\u{200d}👩 1\u{fe0f}\u{20e3} ❤\u{fe0f}",
                "👨\u{200d}👩 1\u{fe0f}\u{20e3} ❤\u{fe0f}",
            ),
            ("道具 é", "道具 é"),
        ] {
            assert_eq!(visible_name(name), expected);
            assert_eq!(visible_name(expected), expected);
        }
    }

    #[test]
    fn percent_encoding_is_undone_where_there_is_one() {
        for (text, expected) in [
            ("a%20b%2Fc%2f", "a b/c/"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%é", "%zz%é"),
            ("%25%34%31", "%41"),
        ] {
            assert_eq!(percent_decoded(text), expected.as_bytes(), "{text}");
        }
        assert_eq!(percent_decoded("%ff"), [0xff]);
    }
}
