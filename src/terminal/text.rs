//! Text that knows how many columns it takes.
//!
//! Names come from servers: in any script, of any length, with any character.
//! Control characters never reach the terminal through a [`Line`].

use std::borrow::Cow;
use std::io;

use termcolor::WriteColor;
use unicode_width::UnicodeWidthStr;

use super::Role;

/// One line of text in pieces, each with its role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// No piece holds a control character.
    pieces: Vec<(Role, String)>,
}

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of one piece.
    pub fn of(role: Role, text: impl AsRef<str>) -> Self {
        Self::new().add(role, text)
    }

    /// Adds a piece. Characters that would move the cursor or reorder the line
    /// become blanks.
    #[must_use]
    pub fn add(mut self, role: Role, text: impl AsRef<str>) -> Self {
        let text = printable(text.as_ref());
        if !text.is_empty() {
            self.pieces.push((role, text.into_owned()));
        }
        self
    }

    /// Adds the pieces of another line.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.pieces.extend(other.pieces);
        self
    }

    /// Columns that it takes.
    pub fn width(&self) -> usize {
        display_width(&self.text())
    }

    /// Its text without roles.
    pub fn text(&self) -> String {
        self.pieces.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Cuts it to at most `width` columns, with `…` where something is lost.
    #[must_use]
    pub fn cut(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let mut kept = Self::new();
        let mut used = 0;
        for (role, text) in self.pieces {
            let piece_width = display_width(&text);
            // One column stays free for the mark, since something is lost.
            if used + piece_width < width {
                used += piece_width;
                kept.pieces.push((role, text));
            } else {
                // The blank makes the piece too long by itself, so that it
                // ends in the mark even where it would just fit.
                let longer = format!("{text} ");
                let rest = cut(&longer, width.saturating_sub(used));
                kept.pieces.push((role, rest.into_owned()));
                break;
            }
        }
        // The parts of a line may join to more columns than they have alone
        // (an emoji before its variation selector), so this is checked.
        if kept.width() > width {
            let text = kept.text();
            kept = Self::of(Role::Plain, cut(&text, width));
        }
        kept
    }

    /// Writes it without a newline. Where the writer has colour, each piece
    /// that has one is reset after it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, out: &mut dyn WriteColor) -> io::Result<()> {
        for (role, text) in &self.pieces {
            if *role == Role::Plain {
                out.write_all(text.as_bytes())?;
            } else {
                out.set_color(&role.color_spec())?;
                out.write_all(text.as_bytes())?;
                out.reset()?;
            }
        }
        Ok(())
    }
}

/// Columns that a text takes on a terminal, by the Unicode width tables.
pub fn display_width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Cuts a text to at most `width` columns, with `…` where something is lost.
/// A wide character that does not fit is left out whole.
pub fn cut(text: &str, width: usize) -> Cow<'_, str> {
    // A text of very many characters is not measured to its end: each cluster
    // that a terminal draws is short, but marks without width may be endless.
    let longest = width.saturating_mul(CHARS_PER_COLUMN).saturating_add(1);
    let head_end = text
        .char_indices()
        .nth(longest)
        .map_or(text.len(), |(at, _)| at);
    let head = &text[..head_end];
    if head.len() == text.len() && display_width(text) <= width {
        return Cow::Borrowed(text);
    }
    let Some(room) = width.checked_sub(1) else {
        return Cow::Borrowed("");
    };
    let end = head
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| display_width(&head[..*end]) <= room)
        .last()
        .unwrap_or(0);
    // A joiner at the cut would join the mark to what stands before it.
    let kept = head[..end].trim_end_matches(['\u{200d}', '\u{fe0f}', '\u{fe0e}']);
    Cow::Owned(format!("{kept}…"))
}

/// Characters looked at for each column: the longest emoji of everyday use
/// has ten in two columns.
const CHARS_PER_COLUMN: usize = 8;

/// Where a text stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Blanks after it.
    Left,
    /// Blanks before it.
    Right,
}

/// Cuts a text to `width` columns or fills it up with blanks.
pub fn pad(text: &str, width: usize, align: Align) -> String {
    let text = printable(text);
    let text = cut(&text, width);
    let blanks = " ".repeat(width.saturating_sub(display_width(&text)));
    match align {
        Align::Left => format!("{text}{blanks}"),
        Align::Right => format!("{blanks}{text}"),
    }
}

/// Breaks a text at its blanks into parts of at most `width` columns (at least
/// one); a word that is longer is broken where it must be, and nothing is lost.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(2);
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    for word in printable(text).split_whitespace() {
        let joined = format!("{part} {word}");
        if !part.is_empty() && display_width(&joined) <= width {
            part = joined;
            continue;
        }
        if !part.is_empty() {
            parts.push(std::mem::take(&mut part));
        }
        for c in word.chars() {
            part.push(c);
            if display_width(&part) > width {
                part.pop();
                parts.push(std::mem::replace(&mut part, c.to_string()));
            }
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// The text with a blank for each character that acts on the terminal rather
/// than being drawn: controls, line breaks and changes of direction.
fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().any(acts) {
        let shown = text.chars().map(|c| if acts(c) { ' ' } else { c });
        Cow::Owned(shown.collect())
    } else {
        Cow::Borrowed(text)
    }
}

fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200e}' | '\u{200f}'            // direction marks
            | '\u{2028}'..='\u{202e}'          // line breaks, embeddings, overrides
            | '\u{2066}'..='\u{2069}'          // isolates
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_cut_by_columns() {
        let check = |text: &str, width, expected: &str| {
            assert_eq!(cut(text, width), expected, "{text} at {width}");
        };
        check("echo", 4, "echo");
        check("echoes", 4, "ech…");
        check("äöü", 2, "ä…");
        check("日本語", 6, "日本語");
        check("日本語", 5, "日本…");
        check("日本語", 4, "日…");
        check("🦀🦀🦀", 3, "🦀…");
        check("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…");
        check("abc", 1, "…");
        check("abc", 0, "");
        check("", 0, "");
    }

    #[test]
    fn text_is_filled_up_by_columns() {
        assert_eq!(pad("日本", 6, Align::Left), "日本  ");
        assert_eq!(pad("日本", 6, Align::Right), "  日本");
        assert_eq!(pad("日本語", 4, Align::Right), " 日…");
    }

    #[test]
    fn nothing_acts_on_the_terminal() {
        let line = Line::of(Role::Plain, "a\u{1b}[31mb\rc\u{202e}d\n");
        assert_eq!(line.text(), "a [31mb c d ");
    }

    #[test]
    fn colour_is_reset_after_each_piece() {
        let mut out = termcolor::Ansi::new(Vec::new());
        let line = Line::new().add(Role::Success, "ok").add(Role::Plain, " so");
        line.write(&mut out).expect("a vector takes all");
        assert_eq!(
            String::from_utf8_lossy(out.get_ref()),
            "\u{1b}[0m\u{1b}[32mok\u{1b}[0m so"
        );
    }

    #[test]
    fn a_line_is_cut_across_its_pieces() {
        let line = Line::of(Role::Strong, "abc").add(Role::Dim, "defg");
        assert_eq!(line.clone().cut(7), line);
        assert_eq!(line.clone().cut(6).text(), "abcde…");
        assert_eq!(line.clone().cut(4).text(), "abc…");
        assert_eq!(line.clone().cut(3).text(), "ab…");
        assert_eq!(line.cut(0).text(), "");
    }

    #[test]
    fn sentences_are_wrapped_at_blanks() {
        let check = |text: &str, width, expected: &[&str]| {
            assert_eq!(wrap(text, width), expected, "{text}");
        };
        check("", 10, &[]);
        check("one two  three", 7, &["one two", "three"]);
        check("abcdefgh ij", 3, &["abc", "def", "gh", "ij"]);
        check("日本語です", 5, &["日本", "語で", "す"]);
    }

    #[test]
    fn a_text_without_end_is_cut_all_the_same() {
        let endless = "\u{301}".repeat(1_000_000);
        assert!(cut(&endless, 10).len() < 1_000);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in "\\PC{0,60}", width in 0_usize..40) {
            prop_assert!(display_width(&cut(&text, width)) <= width);
            prop_assert_eq!(display_width(&pad(&text, width, Align::Left)), width);
        }

        #[test]
        fn no_part_is_wider_than_it_may_be(text in any::<String>(), width in 2_usize..40) {
            for part in wrap(&text, width) {
                prop_assert!(display_width(&part) <= width, "{part:?}");
            }
        }

        #[test]
        fn no_line_is_wider_than_it_may_be(
            pieces in prop::collection::vec(any::<String>(), 0..5),
            width in 0_usize..40,
        ) {
            let mut line = Line::new();
            for piece in &pieces {
                line = line.add(Role::Accent, piece);
            }
            prop_assert!(line.cut(width).width() <= width);
        }
    }
}
