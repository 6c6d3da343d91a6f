//! Text that knows how many columns it takes.
//!
//! Names come from servers: in any script, of any length, with any character.
//! Control characters never reach the terminal through a [`Line`].

use std::borrow::Cow;
use std::io;
use std::ops::Range;

use termcolor::WriteColor;
use unicode_width::UnicodeWidthStr;

use super::Drawing;
use super::role::Role;
use crate::text::blanked;

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
        let text = blanked(text.as_ref());
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

    /// Cuts it to at most `width` columns, with a mark where something is lost.
    #[must_use]
    pub fn cut(self, width: usize, drawing: Drawing) -> Self {
        if self.width() <= width {
            return self;
        }
        let text = self.text();
        let mark = drawing.mark();
        let kept = cut(&text, width, drawing);
        let len = kept.strip_suffix(mark).map_or(0, str::len);
        let mut line = self.slice(0..len);
        let mark = &kept[len..];
        match line.pieces.last_mut() {
            Some((_, last)) => last.push_str(mark),
            None => line = Self::of(Role::Plain, mark),
        }
        line
    }

    /// Breaks it at its blanks into lines of at most `width` columns, those after
    /// the first with `indent` blanks before them. A word that is longer is
    /// broken; nothing is lost.
    pub fn wrap(self, width: usize, indent: usize) -> Vec<Self> {
        self.wrapped(width, indent, LongWords::Break)
    }

    /// The same, but a word that is longer stays whole: what is to be copied has no line
    /// end of ours within it.
    pub fn wrap_whole_words(self, width: usize, indent: usize) -> Vec<Self> {
        self.wrapped(width, indent, LongWords::Keep)
    }

    fn wrapped(self, width: usize, indent: usize, long_words: LongWords) -> Vec<Self> {
        if self.width() <= width {
            return vec![self];
        }
        let text = self.text();
        let mut lines = Vec::new();
        for range in rows(&text, width, indent, long_words) {
            let line = match lines.len() {
                0 => Self::new(),
                _ => Self::of(Role::Plain, " ".repeat(indent)),
            };
            lines.push(line.join(self.slice(range)));
        }
        if lines.is_empty() {
            lines.push(Self::new());
        }
        lines
    }

    /// What we draw ourselves, in the characters that the reader has.
    #[must_use]
    pub fn drawn(mut self, drawing: Drawing) -> Self {
        for (_, text) in &mut self.pieces {
            if let Cow::Owned(drawn) = drawing.text(text) {
                *text = drawn;
            }
        }
        self
    }

    /// The bytes of this range of its text, in their roles.
    fn slice(&self, range: Range<usize>) -> Self {
        let mut line = Self::new();
        let mut at = 0;
        for (role, text) in &self.pieces {
            let start = range.start.saturating_sub(at).min(text.len());
            let end = range.end.saturating_sub(at).min(text.len());
            if start < end {
                line.pieces.push((*role, text[start..end].to_string()));
            }
            at += text.len();
        }
        line
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

/// Cuts a text to at most `width` columns, with a mark where something is lost.
/// A wide character that does not fit is left out whole.
pub fn cut(text: &str, width: usize, drawing: Drawing) -> Cow<'_, str> {
    if fits(text, width) {
        return Cow::Borrowed(text);
    }
    let mark = drawing.mark();
    let mark = &mark[..drawing.bytes_of_mark(width)];
    let room = width - display_width(mark);
    let shown = format!("{}{mark}", start_of(text, room));
    // The parts may join to more columns than they have alone.
    if display_width(&shown) > width {
        return Cow::Owned(mark.to_string());
    }
    Cow::Owned(shown)
}

/// Whether a text has at most `width` columns. A text of very many characters is
/// not measured: each cluster that a terminal draws is short, but marks without
/// width may be endless.
pub(super) fn fits(text: &str, width: usize) -> bool {
    text.chars().nth(chars_max(width)).is_none() && display_width(text) <= width
}

/// The longest start of a text in at most `width` columns.
pub(super) fn start_of(text: &str, width: usize) -> &str {
    let mut end = 0;
    for (at, c) in text.char_indices().take(chars_max(width)) {
        let next = at + c.len_utf8();
        if display_width(&text[..next]) > width {
            break;
        }
        end = next;
    }
    // A joiner at the cut would join what follows to what comes before it.
    text[..end].trim_end_matches(['\u{200d}', '\u{fe0f}', '\u{fe0e}'])
}

/// The longest end of a text in at most `width` columns, which begins with a
/// character that is seen.
pub(super) fn end_of(text: &str, width: usize) -> &str {
    let mut start = text.len();
    for (at, _) in text.char_indices().rev().take(chars_max(width)) {
        if display_width(&text[at..]) > width {
            break;
        }
        start = at;
    }
    text[start..].trim_start_matches(|c: char| display_width(c.encode_utf8(&mut [0; 4])) == 0)
}

/// The number of characters looked at for `width` columns: the longest emoji of everyday use
/// has ten in two columns.
fn chars_max(width: usize) -> usize {
    const CHARS_PER_COLUMN: usize = 8;
    width.saturating_mul(CHARS_PER_COLUMN).saturating_add(1)
}

/// Where a text stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Blanks after it.
    Left,
    /// Blanks before it.
    Right,
}

/// Fills a text up to `width` columns with blanks. A longer one stays whole.
pub fn pad(text: &str, width: usize, align: Align) -> String {
    let text = blanked(text);
    let blanks = " ".repeat(width.saturating_sub(display_width(&text)));
    match align {
        Align::Left => format!("{text}{blanks}"),
        Align::Right => format!("{blanks}{text}"),
    }
}

/// What becomes of a word that is longer than a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongWords {
    /// It is broken where it must be.
    Break,
    /// It stays whole, so that it can be searched for and copied.
    Keep,
}

/// Breaks a text at its blanks into parts of at most `width` columns (at least
/// two); nothing but blanks is lost.
pub fn wrap(text: &str, width: usize, long_words: LongWords) -> Vec<String> {
    let text = blanked(text);
    let text = text.trim();
    rows(text, width, 0, long_words)
        .into_iter()
        .map(|range| text[range].to_string())
        .collect()
}

/// The bytes of each row of a text that is broken at its blanks; rows after the
/// first have `indent` columns less.
fn rows(text: &str, width: usize, indent: usize, long_words: LongWords) -> Vec<Range<usize>> {
    let mut rows: Vec<Range<usize>> = Vec::new();
    // What the row holds so far: blanks before its first word count too.
    let mut row = 0..0;
    let room = |n_rows: usize| match n_rows {
        0 => width.max(2),
        _ => width.saturating_sub(indent).max(2),
    };
    for word in words(text, room(1)) {
        if fits(&text[row.start..word.end], room(rows.len())) {
            row.end = word.end;
            continue;
        }
        if !row.is_empty() {
            rows.push(row);
            row = word.start..word.start;
        } else if rows.is_empty() && fits(&text[word.clone()], room(0)) {
            // Blanks at the very beginning give way to the word.
            row = word.start..word.start;
        }
        if long_words == LongWords::Break {
            while !fits(&text[row.start..word.end], room(rows.len())) {
                let rest = &text[row.start..word.end];
                let first = rest.chars().next().map_or(rest.len(), char::len_utf8);
                let len = start_of(rest, room(rows.len())).len().max(first);
                rows.push(row.start..row.start + len);
                row = row.start + len..row.start + len;
            }
        }
        row.end = word.end;
    }
    if !row.is_empty() {
        rows.push(row);
    }
    rows
}

/// The bytes of each run of characters that are no blanks. A number and its unit are one
/// where a row of `room` columns has room for both: a row that begins with `ms` reads badly.
fn words(text: &str, room: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut runs = runs(text).peekable();
    std::iter::from_fn(move || {
        let word = runs.next()?;
        let is_unit = |next: &Range<usize>| {
            next.start == word.end + 1
                && fits(&text[word.start..next.end], room)
                && is_number(&text[word.clone()])
                && UNITS.contains(&text[next.clone()].trim_end_matches(['.', ',', ';', ':', ')']))
        };
        match runs.next_if(is_unit) {
            Some(unit) => Some(word.start..unit.end),
            None => Some(word),
        }
    })
}

/// What our figures are in, where a blank stands before it.
const UNITS: [&str; 9] = ["ns", "us", "ms", "s", "B", "KiB", "MiB", "GiB", "TiB"];

fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['(', '+', '-', '±']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".,".contains(&byte))
}

fn runs(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        let start = at + rest.find(|c: char| !c.is_whitespace())?;
        let rest = &text[start..];
        let end = start + rest.find(char::is_whitespace).unwrap_or(rest.len());
        at = end;
        Some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_cut_by_columns() {
        let check = |text: &str, width, expected: &str| {
            assert_eq!(
                cut(text, width, Drawing::Unicode),
                expected,
                "{text} at {width}"
            );
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
        assert_eq!(cut("echoes", 5, Drawing::Ascii), "ec...");
        assert_eq!(cut("echoes", 2, Drawing::Ascii), "..");
    }

    #[test]
    fn text_is_filled_up_by_columns() {
        assert_eq!(pad("日本", 6, Align::Left), "日本  ");
        assert_eq!(pad("日本", 6, Align::Right), "  日本");
        assert_eq!(pad("日本語", 4, Align::Right), "日本語");
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
        let cut_to = |width| line.clone().cut(width, Drawing::Unicode);
        assert_eq!(cut_to(7), line);
        assert_eq!(cut_to(6).text(), "abcde…");
        assert_eq!(cut_to(4).text(), "abc…");
        assert_eq!(cut_to(3).text(), "ab…");
        assert_eq!(cut_to(0).text(), "");
    }

    #[test]
    fn a_line_is_wrapped_in_its_roles_and_loses_nothing() {
        let line = Line::of(Role::Dim, "  at ").add(Role::Error, "one two  three");
        let texts = |width, indent| -> Vec<String> {
            let lines = line.clone().wrap(width, indent);
            lines.iter().map(Line::text).collect()
        };
        assert_eq!(texts(19, 4), ["  at one two  three"]);
        assert_eq!(texts(12, 4), ["  at one two", "    three"]);
        assert_eq!(texts(7, 2), ["  at", "  one", "  two", "  three"]);
        assert_eq!(texts(6, 2), ["  at", "  one", "  two", "  thre", "  e"]);
        let second = &line.clone().wrap(12, 4)[1];
        assert_eq!(second.pieces[1], (Role::Error, "three".to_string()));
    }

    #[test]
    fn a_number_and_its_unit_stay_on_one_line() {
        let check = |text: &str, width, expected: &[&str]| {
            assert_eq!(wrap(text, width, LongWords::Break), expected, "{text}");
        };
        check("at most 13 ms late", 10, &["at most", "13 ms late"]);
        check("of (+1.5 ms, p99)", 8, &["of (+1.5", "ms, p99)"]);
        check("of (+1.5 ms, p99)", 9, &["of", "(+1.5 ms,", "p99)"]);
        check("used 7 B so far", 6, &["used", "7 B so", "far"]);
        // A version and a word are none.
        check("pmcp 1.2.x ms", 10, &["pmcp 1.2.x", "ms"]);
    }

    #[test]
    fn sentences_are_wrapped_at_blanks() {
        let check = |text: &str, width, expected: &[&str]| {
            assert_eq!(wrap(text, width, LongWords::Break), expected, "{text}");
        };
        check("", 10, &[]);
        check("one two  three", 7, &["one two", "three"]);
        check("abcdefgh ij", 3, &["abc", "def", "gh", "ij"]);
        check("日本語です", 5, &["日本", "語で", "す"]);
        let kept = wrap("see http://a.example/b now", 8, LongWords::Keep);
        assert_eq!(kept, ["see", "http://a.example/b", "now"]);
    }

    #[test]
    fn a_text_without_end_is_cut_all_the_same() {
        let endless = "\u{301}".repeat(200_000);
        assert!(cut(&endless, 10, Drawing::Unicode).len() < 1_000);
        assert_eq!(wrap(&endless, 10, LongWords::Break).concat(), endless);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in "\\PC{0,60}", width in 0_usize..40) {
            for drawing in [Drawing::Unicode, Drawing::Ascii] {
                prop_assert!(display_width(&cut(&text, width, drawing)) <= width);
            }
            let padded = display_width(&pad(&text, width, Align::Left));
            prop_assert_eq!(padded, width.max(display_width(&blanked(&text))));
        }

        #[test]
        fn no_part_is_wider_than_it_may_be(text in any::<String>(), width in 2_usize..40) {
            for part in wrap(&text, width, LongWords::Break) {
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
            prop_assert!(line.clone().cut(width, Drawing::Unicode).width() <= width);
            let seen = |text: &str| -> String {
                text.chars().filter(|c| !c.is_whitespace()).collect()
            };
            let lines = line.clone().wrap(width.max(4), 2);
            let joined: String = lines.iter().map(Line::text).collect();
            prop_assert_eq!(seen(&joined), seen(&line.text()));
            for line in lines {
                prop_assert!(line.width() <= width.max(4), "{}", line.text());
            }
        }
    }
}
