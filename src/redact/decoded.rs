//! Texts as they read once their escapes are undone, level by level, and where in the
//! text as it is written a part of that stands. Knows nothing of secrets.
//!
//! A server may send a value back as JSON in a text of JSON, in an address, or with
//! letters as numbers. All forms of a value are the same once they are decoded, so it
//! is looked for there. A value may itself hold what looks like an escape of the other
//! kind: where a text has both `\` and `%`, it is read with each of them alone as well.

use std::ops::Range;

/// What this program writes where it has cut a text, and what others do.
pub(super) const CUTS: [&str; 2] = ["…", "..."];

/// So often are escapes undone: JSON in a text in JSON in a text is four levels deep
/// where each of them is in an address.
pub(super) const LEVELS_MAX: usize = 6;

/// A text is read in this many ways at most: 17 were the most that random secrets in four
/// levels of escapes had.
const READINGS_MAX: usize = 32;

/// Beyond this many bytes of all readings, only both kinds of escapes are undone together.
const READINGS_BYTES_MAX: usize = 8 << 20;

/// Which escapes are undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Those of texts and of addresses.
    All,
    /// Those of addresses: `%C3`.
    OfAddresses,
    /// Those of texts, which begin with a backslash.
    OfTexts,
}

/// A text once some of its escapes are undone.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) text: String,
    /// The reading that was decoded; `None`: the text as it is written.
    pub(super) of: Option<usize>,
    /// What was undone in it.
    pub(super) escapes: Escapes,
    level: usize,
}

/// All ways to read a text, as long as there is something to decode: first both kinds of
/// escapes undone once, twice and so on, then with one of them left at some level.
pub(super) fn readings(text: &str) -> Vec<Reading> {
    let levels = levels(text);
    let n_levels = levels.len();
    let mut n_bytes: usize = levels.iter().map(String::len).sum();
    let chain = levels.into_iter().enumerate().map(|(at, text)| Reading {
        text,
        of: at.checked_sub(1),
        escapes: Escapes::All,
        level: at + 1,
    });
    let mut readings: Vec<Reading> = chain.collect();
    let mut number = 0;
    while number <= readings.len() {
        let of = number.checked_sub(1);
        let (below, level) = of.map_or((text, 0), |at| (&readings[at].text, readings[at].level));
        let is_of_chain = number <= n_levels;
        number += 1;
        if level == LEVELS_MAX || is_of_chain && !(below.contains('%') && below.contains('\\')) {
            continue;
        }
        // Where one way gives what another gave, it is known.
        for escapes in [Escapes::OfAddresses, Escapes::OfTexts, Escapes::All] {
            let below = of.map_or(text, |at| &readings[at].text);
            let Some(decoded) = decoded(below, escapes) else {
                continue;
            };
            let is_known = || readings.iter().any(|known| known.text == decoded);
            let has_room =
                readings.len() < READINGS_MAX && n_bytes + decoded.len() <= READINGS_BYTES_MAX;
            if has_room && !is_known() {
                n_bytes += decoded.len();
                readings.push(Reading {
                    text: decoded,
                    of,
                    escapes,
                    level: level + 1,
                });
            }
        }
    }
    readings
}

/// The text decoded once, twice, and so on, as long as there is something to decode:
/// `\"`, `\/`, `\n`, `\u00e9`, `\xc3` and `%C3`. None is longer than the one before.
pub(super) fn levels(text: &str) -> Vec<String> {
    let mut levels: Vec<String> = Vec::new();
    while levels.len() < LEVELS_MAX
        && let Some(next) = decoded(levels.last().map_or(text, |last| last), Escapes::All)
    {
        levels.push(next);
    }
    levels
}

/// `None`: nothing in it is an escape.
fn decoded(text: &str, escapes: Escapes) -> Option<String> {
    let mut pieces = Pieces::of(text, escapes).peekable();
    let is_itself =
        |piece: &WrittenPiece| piece.meant == Meant::Itself && piece.written.end == text.len();
    if pieces.peek().is_none_or(is_itself) {
        return None;
    }
    let mut decoded = String::with_capacity(text.len());
    let mut has_escapes = false;
    for piece in pieces {
        match piece.meant {
            Meant::Itself => decoded.push_str(&text[piece.written]),
            Meant::Letter(letter) => decoded.push(letter),
            Meant::Nothing => {}
        }
        has_escapes |= piece.meant != Meant::Itself;
    }
    has_escapes.then_some(decoded)
}

/// Where the ranges of the decoded text, ascending and apart from each other, stand in
/// the text that was decoded. An escape is in a range as a whole.
pub(super) fn written(text: &str, escapes: Escapes, ranges: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    let mut ranges = ranges.iter().peekable();
    // Where the next range begins, once that is known, and where the piece does in the
    // decoded text.
    let (mut start, mut meant_at) = (None, 0);
    for WrittenPiece { written, meant } in Pieces::of(text, escapes) {
        let meant_end = meant_at + meant.len(&written);
        while let Some(range) = ranges.next_if(|range| {
            let begins = range.start < meant_end;
            if begins && start.is_none() {
                let n_before = range.start - meant_at;
                start = Some(written.start + if meant == Meant::Itself { n_before } else { 0 });
            }
            begins && range.end <= meant_end
        }) {
            let end = match meant {
                Meant::Itself => written.start + range.end - meant_at,
                _ => written.end,
            };
            found.push(start.take().unwrap_or(end)..end);
        }
        // What is left of an escape that was cut belongs to what was before it.
        if let Some(last) = found.last_mut()
            && meant == Meant::Nothing
            && last.end == written.start
        {
            last.end = written.end;
        }
        meant_at = meant_end;
    }
    found
}

/// A part of a text, and what it means.
struct WrittenPiece {
    written: Range<usize>,
    meant: Meant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meant {
    Itself,
    Letter(char),
    /// It is the beginning of an escape, and there the text was cut.
    Nothing,
}

impl Meant {
    fn len(self, written: &Range<usize>) -> usize {
        match self {
            Self::Itself => written.len(),
            Self::Letter(letter) => letter.len_utf8(),
            Self::Nothing => 0,
        }
    }
}

struct Pieces<'a> {
    text: &'a str,
    /// What escapes begin with.
    marks: &'static [char],
    /// What is before was handed out; on a boundary.
    at: usize,
}

impl<'a> Pieces<'a> {
    fn of(text: &'a str, escapes: Escapes) -> Self {
        let marks = match escapes {
            Escapes::All => &['\\', '%'][..],
            Escapes::OfAddresses => &['%'],
            Escapes::OfTexts => &['\\'],
        };
        Self { text, marks, at: 0 }
    }
}

impl Iterator for Pieces<'_> {
    type Item = WrittenPiece;

    fn next(&mut self) -> Option<WrittenPiece> {
        let rest = &self.text[self.at..];
        let first = rest.chars().next()?;
        let escape = self.marks.contains(&first).then(|| escape(rest)).flatten();
        let (meant, n_written) = escape.unwrap_or_else(|| {
            let behind = first.len_utf8();
            let end = rest[behind..].find(self.marks);
            (Meant::Itself, end.map_or(rest.len(), |end| behind + end))
        });
        let written = self.at..self.at + n_written;
        self.at = written.end;
        Some(WrittenPiece { written, meant })
    }
}

/// The escape that the text begins with, and its length.
fn escape(text: &str) -> Option<(Meant, usize)> {
    let bytes = text.as_bytes();
    let read = match bytes {
        [b'%', ..] => letter_of_bytes(bytes, b"%"),
        [b'\\', b'x', ..] => letter_of_bytes(bytes, b"\\x"),
        [b'\\', b'u', ..] => letter_of_units(bytes),
        [b'\\', ..] => letter_of_name(bytes),
        _ => return None,
    };
    match read {
        Ok((letter, n_written)) => Some((Meant::Letter(letter), n_written)),
        Err(end) => {
            let rest = text.get(end..)?;
            let is_cut = rest.is_empty() || CUTS.iter().any(|mark| rest.starts_with(mark));
            is_cut.then_some((Meant::Nothing, end))
        }
    }
}

/// A letter and the length of its escape, or where that ceases to be one.
type Letter = Result<(char, usize), usize>;

/// `\n`.
fn letter_of_name(bytes: &[u8]) -> Letter {
    let letter = match bytes.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(byte @ (b'"' | b'\'' | b'\\' | b'/')) => char::from(*byte),
        _ => return Err(1),
    };
    Ok((letter, 2))
}

/// `\u00e9`, or the two halves of a letter beyond 16 bits.
fn letter_of_units(bytes: &[u8]) -> Letter {
    let first = number(bytes, 2, 4)?;
    if let Some(letter) = char::from_u32(first) {
        return Ok((letter, 6));
    }
    expect(bytes, 6, b"\\u")?;
    let halves = [first as u16, number(bytes, 8, 4)? as u16];
    let letter = char::decode_utf16(halves).next().and_then(Result::ok);
    letter.map(|letter| (letter, 12)).ok_or(0)
}

/// `%C3%A9`: the bytes of a letter in UTF-8.
fn letter_of_bytes(bytes: &[u8], mark: &[u8]) -> Letter {
    let n_each = mark.len() + 2;
    let mut letter = [0; 4];
    for n in 0..letter.len() {
        let at = n * n_each;
        expect(bytes, at, mark)?;
        letter[n] = number(bytes, at + mark.len(), 2)? as u8;
        match std::str::from_utf8(&letter[..=n]) {
            Ok(text) => {
                let letter = text.chars().next().ok_or(0_usize)?;
                return Ok((letter, at + n_each));
            }
            Err(error) if error.error_len().is_some() => return Err(0),
            Err(_) => {}
        }
    }
    Err(0)
}

fn expect(bytes: &[u8], at: usize, wanted: &[u8]) -> Result<(), usize> {
    let mut places = (at..).zip(wanted);
    let differs = places.find(|(at, byte)| bytes.get(*at) != Some(*byte));
    differs.map_or(Ok(()), |(at, _)| Err(at))
}

/// The number that this many hexadecimal digits make.
fn number(bytes: &[u8], at: usize, n_digits: usize) -> Result<u32, usize> {
    (at..at + n_digits).try_fold(0, |number, at| {
        let byte = bytes.get(at).copied().unwrap_or_default();
        let digit = char::from(byte).to_digit(16).ok_or(at)?;
        Ok(number << 4 | digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_undone_level_by_level() {
        let check = |text: &str, expected: &[&str]| assert_eq!(levels(text), expected, "{text}");
        check("a plain text of é", &[]);
        check(
            r#"\"\\\/\b\f\n\r\t\'"#,
            &["\"\\/\u{8}\u{c}\n\r\t'", "\"/\u{8}\u{c}\n\r\t'"],
        );
        check(r"\u00e9\u00E9\ud83d\ude00%C3%a9\xc3\xA9", &["éé😀éé"]);
        check(
            r#"{\"a\":\"x\\\"y\"}"#,
            &[r#"{"a":"x\"y"}"#, r#"{"a":"x"y"}"#],
        );
        check("%255Cn", &["%5Cn", "\\n", "\n"]);
        // What is not an escape stays.
        check(
            r"C:\dir 100% %zz %ff %C3x \ud83dx \u12x\",
            &[r"C:\dir 100% %zz %ff %C3x \ud83dx \u12x"],
        );
        check(
            r"\ude00 \ud83d\u0041 \xffz 5 %",
            &[r"\ude00 \ud83dA \xffz 5 "],
        );
        check("ab\\… c%C3... d\\u00e… e\\ud83d\\u…", &["ab… c... d… e…"]);
        assert_eq!(levels(&"\\".repeat(1 << 10)).len(), LEVELS_MAX);
    }

    #[test]
    fn one_kind_of_escapes_may_be_left() {
        let texts = |text: &str| -> Vec<String> {
            let readings = readings(text).into_iter();
            readings.map(|reading| reading.text).collect()
        };
        assert_eq!(texts("plain"), Vec::<String>::new());
        assert_eq!(texts(r"\\\\n"), [r"\\n", r"\n", "\n"]);
        assert_eq!(
            texts(r"\\n%41"),
            [r"\nA", "\nA", r"\\nA", r"\n%41", "\n%41"]
        );
    }

    #[test]
    fn however_many_escapes_there_are_readings_are_bounded() {
        let text = r"%255C%5C\\\\u0025\\x255c".repeat(200);
        let n = readings(&text).len();
        assert!((LEVELS_MAX..=READINGS_MAX).contains(&n), "{n}");
        let n = crate::seeds::n_seeds(1 << 12, 1 << 15);
        let long = r"%255C%5C\\\\u0025".repeat(n as usize);
        let n_bytes: usize = readings(&long).iter().map(|it| it.text.len()).sum();
        assert!(n_bytes <= READINGS_BYTES_MAX + LEVELS_MAX * long.len());
    }

    #[test]
    fn parts_are_found_where_they_are_written() {
        let check = |text: &str, part: &str, expected: &[&str]| {
            let decoded = decoded(text, Escapes::All).expect(text);
            let ranges: Vec<_> = decoded.match_indices(part).collect();
            let ranges: Vec<_> = ranges.iter().map(|(at, it)| *at..at + it.len()).collect();
            let found = written(text, Escapes::All, &ranges);
            let found: Vec<&str> = found.into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, expected, "{text}");
        };
        check(
            r#"a\"b a\u0022b xa%22b"#,
            "a\"b",
            &[r#"a\"b"#, r"a\u0022b", "a%22b"],
        );
        check(r"\n\n\n", "\n", &[r"\n", r"\n", r"\n"]);
        check(r"%41bc", "bc", &["bc"]);
        check(r"<é\u00e9é>", "éé", &[r"é\u00e9"]);
        check("(ab\\u00…", "ab", &["ab\\u00"]);
    }

    proptest! {
        #[test]
        fn what_json_and_addresses_write_is_read(text: String, is_pretty: bool) {
            let json = serde_json::to_string(&text).expect("a text");
            let number = |unit: u16| if is_pretty { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
            let numbers: String = text.encode_utf16().map(number).collect();
            let bytes: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            for escaped in [&json[1..json.len() - 1], &numbers, &bytes] {
                let has_own = text.contains(['\\', '%']);
                let decoded = |text: &str| decoded(text, Escapes::All);
                prop_assert!(has_own || decoded(escaped).is_none_or(|it| it == text), "{escaped}");
                if !std::ptr::eq(escaped, &json[1..json.len() - 1]) && !text.is_empty() {
                    prop_assert_eq!(decoded(escaped), Some(text.clone()));
                }
            }
        }

        #[test]
        fn each_range_of_letters_stands_somewhere(
            text in r#"[a\\u%04n"é😀….]{0,24}"#,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            if let Some(decoded) = decoded(&text, Escapes::All) {
                prop_assert!(decoded.len() <= text.len());
                let places: Vec<usize> = decoded.char_indices().map(|(at, _)| at).chain([decoded.len()]).collect();
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| places[cut.index(places.len())]).collect();
                cuts.sort_unstable();
                cuts.dedup();
                let ranges: Vec<Range<usize>> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
                let found = written(&text, Escapes::All, &ranges);
                prop_assert_eq!(found.len(), ranges.len());
                for (range, found) in ranges.iter().zip(found) {
                    prop_assert!(text.is_char_boundary(found.start) && text.is_char_boundary(found.end));
                    let meant: String = Pieces::of(&text[found], Escapes::All)
                        .map(|piece| piece.meant.len(&piece.written).to_string()).collect();
                    prop_assert!(!meant.is_empty(), "{range:?}");
                }
            }
        }
    }
}
