//! Walks over the text of JSON and builds nothing of it: what is wanted of an object or
//! an array is taken on the way, the rest is skipped.
//!
//! It judges what is JSON as `serde_json` does that skips a value (a property test holds
//! it to that), in a fraction of the instructions: one pass over each byte, eight of a
//! string at a time. Skipping is iterative, so that no nesting overflows the stack. It
//! knows nothing of MCP.

/// A place in a text. Its methods give `None` where the text is not JSON; nothing else
/// is to be asked of it then.
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    text: &'a str,
    at: usize,
}

/// Marks the bytes of eight that end a string or need a look, each in its high bit: a
/// quote, a backslash, a control character. The lowest mark is right; a borrow goes
/// upwards, so those above it may not be.
#[inline]
fn marks(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let quotes = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let controls = word.wrapping_sub(ONES * 0x20);
    // A byte that has the high bit itself is not one of them.
    (quotes | backslashes | controls) & !word & (ONES << 7)
}

impl<'a> Scan<'a> {
    /// At the beginning of the text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads a text that holds one value and blanks around it.
    pub fn whole<T>(text: &'a str, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let mut scan = Self::new(text);
        let found = read(&mut scan)?;
        scan.peek().is_none().then_some(found)
    }

    /// The first byte of what comes next, blanks aside; it stays there. `None` at the end.
    #[inline(always)]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            // All else is above the blank or not JSON.
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Goes beyond this byte, if it comes next.
    #[inline(always)]
    fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// The text of the next value, without the blanks around it.
    #[inline]
    pub fn value(&mut self) -> Option<&'a str> {
        self.extent(Self::skip)
    }

    /// The text of what `read` reads next, without the blanks around it.
    #[inline]
    pub fn extent(&mut self, read: impl FnOnce(&mut Self) -> Option<()>) -> Option<&'a str> {
        self.peek()?;
        let start = self.at;
        read(self)?;
        self.text.get(start..self.at)
    }

    /// Reads an object. `member` is called after each name, escapes undone, and has to
    /// read or skip the value.
    #[inline]
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.take(b'"')?;
            let start = self.at;
            let has_escapes = self.string()?;
            let written = self.text.get(start..self.at - 1)?;
            let undone;
            let name = match has_escapes {
                false => written,
                true => {
                    undone = without_escapes(self.text.get(start - 1..self.at)?)?;
                    undone.as_str()
                }
            };
            self.take(b':')?;
            member(self, name)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Reads an array. `element` is called before each value with its place, from 0, and
    /// has to read or skip it.
    #[inline]
    pub fn array(&mut self, mut element: impl FnMut(&mut Self, usize) -> Option<()>) -> Option<()> {
        self.take(b'[')?;
        let mut n_before = 0;
        if self.peek()? != b']' {
            loop {
                element(self, n_before)?;
                n_before += 1;
                match self.peek()? {
                    b',' => self.at += 1,
                    b']' => break,
                    _ => return None,
                }
            }
        }
        self.at += 1;
        Some(())
    }

    /// Goes beyond the next value.
    #[inline]
    pub fn skip(&mut self) -> Option<()> {
        match self.peek()? {
            b'{' | b'[' => self.skip_nested(),
            first => self.skip_plain(first),
        }
    }

    /// Goes beyond the next value of a text that is known to be JSON: only its end is
    /// looked for. Of another text it finds any place, or none.
    pub fn skip_known(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        self.peek()?;
        let mut at = self.at;
        let mut depth = 0_usize;
        loop {
            let byte = *bytes.get(at)?;
            at += 1;
            match ROLES[usize::from(byte)] {
                Role::Inner => continue,
                Role::Quote => at = known_string_end(bytes, at)?,
                Role::Opens => {
                    depth += 1;
                    continue;
                }
                Role::Closes => depth = depth.checked_sub(1)?,
                // Of a number or a word: the first byte behind it is not its own.
                Role::Starts => at = plain_end(bytes, at),
            }
            if depth == 0 {
                self.at = at;
                return Some(());
            }
        }
    }

    /// Goes beyond the next value, which is neither object nor array and begins so.
    #[inline(always)]
    fn skip_plain(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => {
                self.at += 1;
                self.string().map(|_| ())
            }
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    // On a copy, which never leaves the registers.
    #[inline(never)]
    fn skip_nested(&mut self) -> Option<()> {
        let mut scan = self.clone();
        let mut open = Nesting::default();
        'values: loop {
            match scan.peek()? {
                b'{' => {
                    scan.at += 1;
                    if scan.peek()? != b'}' {
                        open.push(true);
                        scan.name()?;
                        continue;
                    }
                    scan.at += 1;
                }
                b'[' => {
                    scan.at += 1;
                    if scan.peek()? != b']' {
                        open.push(false);
                        continue;
                    }
                    scan.at += 1;
                }
                first => scan.skip_plain(first)?,
            }
            // A value has ended, and with it perhaps some around it.
            while let Some(is_object) = open.innermost() {
                let next = scan.peek()?;
                scan.at += 1;
                if next == b',' {
                    if is_object {
                        scan.name()?;
                    }
                    continue 'values;
                }
                if next != if is_object { b'}' } else { b']' } {
                    return None;
                }
                open.pop();
            }
            self.at = scan.at;
            return Some(());
        }
    }

    /// A member's name and the colon behind it.
    #[inline(always)]
    fn name(&mut self) -> Option<()> {
        self.take(b'"')?;
        self.string()?;
        self.take(b':')
    }

    /// The rest of a string behind its first quote, the last one too. Whether there are
    /// escapes in it.
    #[inline(always)]
    fn string(&mut self) -> Option<bool> {
        let (end, has_escapes) = string_end(self.text.as_bytes(), self.at)?;
        self.at = end;
        Some(has_escapes)
    }

    #[inline(always)]
    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += word.len();
        rest.starts_with(word.as_bytes()).then_some(())
    }

    #[inline(always)]
    fn number(&mut self) -> Option<()> {
        self.at = number_end(self.text.as_bytes(), self.at)?;
        Some(())
    }
}

/// Behind the number that begins at `at` (RFC 8259 section 6).
fn number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    // Behind digits, one at least.
    let digits = |at: usize| {
        let n_digits = bytes
            .get(at..)?
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        (n_digits > 0).then_some(at + n_digits)
    };
    at += usize::from(is(at, b'-'));
    let end = digits(at)?;
    if is(at, b'0') && end > at + 1 {
        return None;
    }
    at = end;
    if is(at, b'.') {
        at = digits(at + 1)?;
    }
    if is(at, b'e') || is(at, b'E') {
        at += 1;
        at = digits(at + usize::from(is(at, b'+') || is(at, b'-')))?;
    }
    Some(at)
}

/// Behind the last quote of the string that goes on at `at`, and whether there are escapes
/// in it.
#[inline(always)]
fn string_end(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    for eight in bytes.get(at..)?.as_chunks().0 {
        let word = u64::from_le_bytes(*eight);
        let marks = marks(word);
        if marks != 0 {
            let n_before = marks.trailing_zeros() / 8;
            at += n_before as usize;
            if (word >> (8 * n_before)) as u8 == b'"' {
                return Some((at + 1, false));
            }
            break;
        }
        at += 8;
    }
    string_end_by_bytes(bytes, at)
}

/// The same: the end of the text, and strings with escapes from the first on. Half of a
/// surrogate pair alone is let through, as by `serde_json` in what it skips.
// Out of line: the other then needs few registers, and saves none.
#[inline(never)]
fn string_end_by_bytes(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut has_escapes = false;
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        if !IS_SPECIAL[usize::from(byte)] {
            continue;
        }
        match byte {
            b'"' => return Some((at, has_escapes)),
            b'\\' => {}
            _ => return None,
        }
        has_escapes = true;
        let escaped = *bytes.get(at)?;
        at += 1;
        match escaped {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                let digits = bytes.get(at..at + 4)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                at += 4;
            }
            _ => return None,
        }
    }
}

/// Of each byte, whether it ends a string or needs a look: what `marks` marks.
static IS_SPECIAL: [bool; 256] = {
    let mut is_special = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        is_special[control] = true;
        control += 1;
    }
    is_special[b'"' as usize] = true;
    is_special[b'\\' as usize] = true;
    is_special
};

/// Behind the last quote of the string that goes on at `at`, in what is known to be JSON.
fn known_string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        for eight in bytes.get(at..)?.as_chunks().0 {
            let marks = marks(u64::from_le_bytes(*eight));
            at += (marks.trailing_zeros() / 8) as usize;
            if marks != 0 {
                break;
            }
        }
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Behind the number or the word that goes on at `at`, in what is known to be JSON.
fn plain_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let is_over = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\t' | b'\r');
    at + rest.iter().position(is_over).unwrap_or(rest.len())
}

/// What a byte outside of strings does.
#[derive(Clone, Copy)]
enum Role {
    /// A comma, a colon, a blank.
    Inner,
    Quote,
    Opens,
    Closes,
    /// It begins a number or a word.
    Starts,
}

static ROLES: [Role; 256] = {
    let mut roles = [Role::Starts; 256];
    let mut blank = 0;
    while blank <= b' ' as usize {
        roles[blank] = Role::Inner;
        blank += 1;
    }
    roles[b',' as usize] = Role::Inner;
    roles[b':' as usize] = Role::Inner;
    roles[b'"' as usize] = Role::Quote;
    roles[b'{' as usize] = Role::Opens;
    roles[b'[' as usize] = Role::Opens;
    roles[b'}' as usize] = Role::Closes;
    roles[b']' as usize] = Role::Closes;
    roles
};

/// The text of a string with its quotes.
#[cold]
fn without_escapes(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// The objects and arrays that are open: a bit for each.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// The innermost, up to 64 of them, the last in the lowest bit.
    inner: u64,
    /// The others, 64 in each.
    outer: Vec<u64>,
}

impl Nesting {
    #[inline]
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.inner);
        }
        self.inner = self.inner << 1 | u64::from(is_object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }

    /// Whether it is an object; `None` outside of all.
    #[inline]
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.inner & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    fn is_json(text: &str) -> bool {
        Scan::whole(text, Scan::skip).is_some()
    }

    fn is_json_elsewhere(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn what_is_taken_is_the_text_as_it_stands() {
        let text = r#" { "a" : [ 1.50 , {"b":"\"}"} ] , "\u0061b":[] } "#;
        let mut seen = Vec::new();
        let read = Scan::whole(text, |scan| {
            scan.object(|scan, name| {
                let name = name.to_string();
                scan.array(|scan, at| {
                    seen.push((name.clone(), at, scan.value()?));
                    Some(())
                })
            })
        });
        assert_eq!(read, Some(()));
        let expected = [(0, "1.50"), (1, r#"{"b":"\"}"}"#)];
        assert_eq!(
            seen,
            expected.map(|(at, value)| ("a".to_string(), at, value))
        );
        assert_eq!(Scan::new("[1] x").value(), Some("[1]"));
        assert_eq!(Scan::whole("[1] x", Scan::value), None);
    }

    #[test]
    fn what_is_known_to_be_json_is_not_judged() {
        for (text, end) in [
            ("", None),
            (" ", None),
            ("]", None),
            ("\"a", None),
            ("\"a\\", None),
            ("[1", None),
            ("nonsense,", Some(8)),
            ("-1.5e3 ", Some(6)),
            (" [1] 2", Some(4)),
            ("\"\\\"\\\\\" ", Some(6)),
        ] {
            let mut scan = Scan::new(text);
            let found = scan.skip_known().map(|()| scan.at);
            assert_eq!(found, end, "{text}");
        }
    }

    #[test]
    fn any_depth_is_skipped() {
        for depth in [1, 63, 64, 65, 127, 128, 129, 300_000] {
            let (open, close) = (r#"[{"a":"#.repeat(depth), "}]".repeat(depth));
            assert!(is_json(&format!("{open}1{close}")), "{depth}");
            let fewer = &close[..close.len() - 1];
            assert!(!is_json(&format!("{open}1{fewer}")), "{depth}");
            // Closed as what they are not.
            let wrong = "]}".repeat(depth);
            assert!(!is_json(&format!("{open}1{wrong}")), "{depth}");
        }
    }

    /// Pieces that make JSON often enough, and what is nearly JSON.
    fn nearly_json() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", " ", "\n", "\"a\"", "\"\"", "\"a\":", "1", "0", "-",
                ".", "e", "+", "true", "false", "null", "nul", "\\", "\"", "\\\"", "\\u00e9",
                "\\ud800", "\\x", "\u{1}", "\u{7f}", "é", "\u{2028}", "\"abcdefg\"", "\"abcdefgh\"",
            ])
            .prop_map(str::to_string),
            1 => "[ -~]{0,20}",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// JSON, changed at one place.
    fn json_and_a_change() -> impl Strategy<Value = (String, usize, String)> {
        let leaf = prop_oneof![
            Just("null".to_string()),
            any::<f64>().prop_map(|number| serde_json::json!(number).to_string()),
            any::<i64>().prop_map(|number| number.to_string()),
            any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
        ];
        let tree = leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| format!("[{}]", items.join(" , "))),
                prop::collection::vec((any::<String>(), inner), 0..5).prop_map(|members| {
                    let members = members
                        .iter()
                        .map(|(name, value)| format!("{} :{value}", serde_json::json!(name)));
                    format!("{{{}}}", members.collect::<Vec<_>>().join(",\n"))
                }),
            ]
        });
        (
            tree,
            any::<prop::sample::Index>(),
            "[]\\[{}\",:0-9a-z\\\\ \u{1}-\u{1f}]{0,2}",
        )
            .prop_map(|(json, at, change)| (json.clone(), at.index(json.len()), change))
    }

    proptest! {
        #[test]
        fn what_is_json_is_what_serde_json_says(
            text in nearly_json(),
            any: String,
            (json, at, change) in json_and_a_change(),
        ) {
            prop_assert!(is_json(&json), "{}", json);
            let (mut judged, mut known) = (Scan::new(&json), Scan::new(&json));
            prop_assert_eq!((judged.skip(), known.skip_known()), (Some(()), Some(())), "{}", json);
            prop_assert_eq!(judged.at, known.at, "{}", json);
            let mut changed = json.clone();
            if json.is_char_boundary(at) {
                changed.insert_str(at, &change);
            }
            let cut: String = json.chars().take(at).collect();
            for text in [text, any, changed, cut] {
                prop_assert_eq!(is_json(&text), is_json_elsewhere(&text), "{}", text);
            }
        }

        #[test]
        fn the_first_byte_that_matters_is_found(eight: [u8; 8]) {
            let expected = eight.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            let marks = marks(u64::from_le_bytes(eight));
            let found = (marks != 0).then(|| marks.trailing_zeros() as usize / 8);
            prop_assert_eq!(found, expected);
        }
    }
}
