//! Markers: texts that go out in the arguments of calls, one for each, and tell whose
//! call it was. One that comes back in another user's answer shows that the server mixes
//! its clients up.
//!
//! ```text
//!   ltmark  1f00c4d2  00000007  0000012c  019ac5d2e41  5e0d7a90b1c3
//!           run       user      call      unix ms      tag: keyed by the run
//! ```
//!
//! All that is known of a call is in its marker, so nobody keeps a table of those that
//! were sent. The tag is a hash with the key of the load: what a server makes up, or
//! counts on from a marker, is not one. Only lower-case letters and digits are in it, which
//! neither JSON nor addresses escape. Pure but for [`MarkerKey::drawn`]. Start at
//! [`MarkerSearch`].

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, DefaultHasher, Hasher as _, RandomState};

use memchr::memmem;

/// What all markers begin with, of other runs too.
const PREFIX: &[u8] = b"ltmark";

/// How many hexadecimal digits each part behind the prefix has.
const DIGITS: [usize; 5] = [8, 8, 8, 11, 12];

/// The length of a marker, in characters, each of one byte.
pub const MARKER_CHARS: usize = PREFIX.len() + 8 + 8 + 8 + 11 + 12;

/// The bytes kept before and behind a marker that does not belong where it was found.
const EXCERPT_BYTES: usize = 700;

/// What is between two events of a stream.
const BLANK_LINES: [&[u8]; 3] = [b"\n\n", b"\r\n\r\n", b"\r\r"];

/// Messages of which a marker of another user is kept, until it is asked for.
const FOREIGN_MAX: usize = 32;

/// Who sent a marker, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marker {
    /// The user's number among all users of the run, from 1; 0 is the probe.
    pub user: u32,
    /// Which of the user's marked calls it was, from 1.
    pub call: u32,
    /// When the call was made, in milliseconds since 1970; below 2^44.
    pub unix_ms: u64,
}

/// What the markers of one load have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkerKey {
    secret: [u64; 2],
    run: u32,
}

impl MarkerKey {
    /// One that nobody can guess.
    pub fn drawn() -> Self {
        // The standard library seeds its hash tables from the system's random numbers.
        let random = RandomState::new();
        Self::of([0_u8, 1].map(|part| random.hash_one(part)))
    }

    /// The one of a seed: hosts that make one load together know each other's markers.
    pub fn of_seed(seed: u64) -> Self {
        Self::of([0, 1].map(|part| hash([seed, part])))
    }

    fn of(secret: [u64; 2]) -> Self {
        let run = hash(secret) as u32;
        Self { secret, run }
    }

    /// Appends the marker's text.
    pub fn push(&self, marker: &Marker, text: &mut String) {
        text.push_str(std::str::from_utf8(PREFIX).unwrap_or_default());
        for (part, n_digits) in self.parts(marker).into_iter().zip(DIGITS) {
            // Writing to a text does not fail.
            let _ = write!(text, "{part:0n_digits$x}");
        }
    }

    fn parts(&self, marker: &Marker) -> [u64; 5] {
        let [low, high] = self.secret;
        let (user, call) = (u64::from(marker.user), u64::from(marker.call));
        let unix_ms = marker.unix_ms & ((1 << 44) - 1);
        let tag = hash([low, high, user, call, unix_ms]) >> 16;
        [u64::from(self.run), user, call, unix_ms, tag]
    }

    /// Reads what follows the prefix. `None`: no marker.
    fn read(&self, digits: &[u8]) -> Option<ReadMarker> {
        let digits = std::str::from_utf8(digits).ok()?;
        let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
        let mut rest = digits.chars().all(is_digit).then_some(digits)?;
        let mut parts = [0; DIGITS.len()];
        for (part, n_digits) in parts.iter_mut().zip(DIGITS) {
            let (own, behind) = rest.split_at_checked(n_digits)?;
            *part = u64::from_str_radix(own, 16).ok()?;
            rest = behind;
        }
        let [run, user, call, unix_ms, _] = parts;
        if run != u64::from(self.run) {
            return Some(ReadMarker::OfOtherRun);
        }
        let marker = Marker {
            user: u32::try_from(user).ok()?,
            call: u32::try_from(call).ok()?,
            unix_ms,
        };
        (self.parts(&marker) == parts).then_some(ReadMarker::Marker(marker))
    }
}

/// By the hash of the standard library, which is not keyed by itself.
fn hash<const N: usize>(words: [u64; N]) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.iter().for_each(|word| hasher.write_u64(*word));
    hasher.finish()
}

enum ReadMarker {
    Marker(Marker),
    /// Another load, of before or beside: nobody knows whose it was there.
    OfOtherRun,
}

/// Which markers came in what was searched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundMarkers {
    /// One of the user's own.
    pub has_own: bool,
    /// One of another run.
    pub has_other_run: bool,
    /// The first of another user of this run, in each message of a stream: a blank line is
    /// between any two. At most 32.
    pub foreign: Vec<ForeignMarker>,
    /// Messages that had one, beyond these.
    pub n_more: u64,
}

impl FoundMarkers {
    /// The same with those found later.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            has_own: self.has_own || later.has_own,
            has_other_run: self.has_other_run || later.has_other_run,
            foreign: [self.foreign, later.foreign].concat(),
            n_more: self.n_more + later.n_more,
        }
    }

    /// Messages that had a marker of another user.
    pub fn n_foreign(&self) -> u64 {
        self.foreign.len() as u64 + self.n_more
    }
}

/// A marker in an answer to somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignMarker {
    /// Whose it is.
    pub marker: Marker,
    /// What stood around it, with `…` where it is cut, as redactors know cuts.
    pub excerpt: String,
}

/// Looks for markers in what one user is sent, as it comes: in pieces of any size.
#[derive(Debug)]
pub struct MarkerSearch {
    key: MarkerKey,
    user: u32,
    /// The last bytes, too few for a marker: `tail.len() < MARKER_CHARS`.
    tail: Vec<u8>,
    /// Nothing of this answer came before.
    is_at_start: bool,
    /// A blank line came since the last marker of another user: what comes now is of another
    /// message.
    is_apart: bool,
    found: FoundMarkers,
}

impl MarkerSearch {
    /// For this user.
    pub fn new(key: MarkerKey, user: u32) -> Self {
        Self {
            key,
            user,
            tail: Vec::new(),
            is_at_start: true,
            is_apart: true,
            found: FoundMarkers::default(),
        }
    }

    /// What was found since this was last asked. What comes next is another answer.
    pub fn take(&mut self) -> FoundMarkers {
        self.tail.clear();
        self.is_at_start = true;
        self.take_so_far()
    }

    /// What was found since this was last asked, of a text that goes on.
    pub fn take_so_far(&mut self) -> FoundMarkers {
        self.is_apart = true;
        std::mem::take(&mut self.found)
    }

    /// Forgets the foreign markers that came in this text.
    pub fn disown(&mut self, text: &str) {
        self.found.foreign.retain(|foreign| {
            let mut marker = String::with_capacity(MARKER_CHARS);
            self.key.push(&foreign.marker, &mut marker);
            !text.contains(&marker)
        });
    }

    /// Searches the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        const REST_MAX: usize = MARKER_CHARS - 1;
        let n_tail = self.tail.len();
        if n_tail > 0 {
            // Those that began before the piece: the others are found in it.
            let mut joint = std::mem::take(&mut self.tail);
            joint.extend_from_slice(&piece[..piece.len().min(REST_MAX)]);
            // The blank line itself may be cut.
            let mut starts = n_tail.saturating_sub(3)..n_tail;
            let is_cut =
                |at: usize, line: &[u8]| at + line.len() > n_tail && joint[at..].starts_with(line);
            self.is_apart |= starts.any(|at| BLANK_LINES.iter().any(|line| is_cut(at, line)));
            self.search(&joint, n_tail, piece);
            self.tail = joint;
        }
        self.search(piece, piece.len(), &[]);
        self.is_at_start = false;
        match piece.len() >= REST_MAX {
            true => {
                self.tail.clear();
                self.tail
                    .extend_from_slice(&piece[piece.len() - REST_MAX..]);
            }
            false => {
                // All of the piece is in the joint, where there was a tail.
                if n_tail == 0 {
                    self.tail.extend_from_slice(piece);
                }
                let n_old = self.tail.len().saturating_sub(REST_MAX);
                self.tail.drain(..n_old);
            }
        }
    }

    /// Takes note of the markers in the text that begin before `end`. `behind` is the
    /// piece that the text ends in, where it is longer.
    fn search(&mut self, text: &[u8], end: usize, behind: &[u8]) {
        let mut from = 0;
        // Behind the last marker of another user.
        let mut behind_last = 0;
        while let Some(at) = memmem::find(&text[from..], PREFIX).map(|at| from + at) {
            if at >= end {
                break;
            }
            from = at + PREFIX.len();
            let read = text.get(from..at + MARKER_CHARS);
            match read.and_then(|digits| self.key.read(digits)) {
                None => {}
                Some(ReadMarker::OfOtherRun) => self.found.has_other_run = true,
                Some(ReadMarker::Marker(marker)) if marker.user == self.user => {
                    self.found.has_own = true;
                }
                Some(ReadMarker::Marker(marker)) => {
                    let is_apart = self.is_apart || has_blank_line(&text[behind_last..at]);
                    self.is_apart = false;
                    behind_last = at + MARKER_CHARS;
                    if !is_apart {
                        continue;
                    }
                    if self.found.foreign.len() >= FOREIGN_MAX {
                        self.found.n_more += 1;
                        continue;
                    }
                    let excerpt = match behind {
                        [] => excerpt(text, at, self.is_at_start),
                        _ => excerpt(&[&text[..end], behind].concat(), at, false),
                    };
                    self.found.foreign.push(ForeignMarker { marker, excerpt });
                }
            }
        }
        if !self.is_apart && behind_last < end {
            self.is_apart = has_blank_line(&text[behind_last..end]);
        }
    }
}

/// Whether an event of a stream ends in it.
fn has_blank_line(text: &[u8]) -> bool {
    let mut lines = BLANK_LINES.iter();
    lines.any(|line| memmem::find(text, line).is_some())
}

/// What stands around a marker. Text before it may have come earlier, unless the text is
/// known to be the start; more may come, unless it looks like the end of a message.
fn excerpt(text: &[u8], at: usize, is_start: bool) -> String {
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut start = at.saturating_sub(EXCERPT_BYTES);
    while is_inside(start) {
        start += 1;
    }
    let mut end = text.len().min(at + MARKER_CHARS + EXCERPT_BYTES);
    while is_inside(end) {
        end -= 1;
    }
    let cut = |is_cut| if is_cut { "…" } else { "" };
    let shown = String::from_utf8_lossy(&text[start..end]);
    let ends = end == text.len() && matches!(text.last(), Some(b'}' | b']' | b'\n'));
    format!("{}{shown}{}", cut(start > 0 || !is_start), cut(!ends))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marker(user: u32, call: u32) -> Marker {
        Marker {
            user,
            call,
            unix_ms: 1_795_780_000_123,
        }
    }

    fn text(key: &MarkerKey, marker: &Marker) -> String {
        let mut text = String::new();
        key.push(marker, &mut text);
        text
    }

    fn found(key: &MarkerKey, user: u32, pieces: &[&[u8]]) -> FoundMarkers {
        let mut search = MarkerSearch::new(key.clone(), user);
        pieces.iter().for_each(|piece| search.feed(piece));
        search.take()
    }

    #[test]
    fn a_marker_tells_whose_it_is() {
        let key = MarkerKey::of_seed(7);
        let sent = marker(3, 250);
        let text = text(&key, &sent);
        assert_eq!(text.len(), MARKER_CHARS);
        let answer = format!("{{\"text\":\"hello {text}!\"}}");
        let own = found(&key, 3, &[answer.as_bytes()]);
        assert!(own.has_own && own.foreign.is_empty() && !own.has_other_run);
        let mut other = found(&key, 4, &[answer.as_bytes()]);
        let foreign = other.foreign.pop().expect("a foreign one");
        assert_eq!((foreign.marker, foreign.excerpt), (sent, answer.clone()));
        assert!(!other.has_own);
        let later = found(&MarkerKey::of_seed(8), 4, &[answer.as_bytes()]);
        assert!(later.has_other_run && later.foreign.is_empty());
    }

    #[test]
    fn what_is_made_up_is_no_marker() {
        let key = MarkerKey::of_seed(7);
        let good = text(&key, &marker(3, 250));
        for place in PREFIX.len()..MARKER_CHARS {
            let mut bytes = good.clone().into_bytes();
            bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
            let found = found(&key, 4, &[&bytes]);
            assert_eq!(found.foreign, [], "{place}");
            assert!(!found.has_own);
        }
        for text in ["ltmark", &good[..MARKER_CHARS - 1], &good.to_uppercase()] {
            let found = found(&key, 4, &[text.as_bytes(), b" "]);
            assert_eq!(found, FoundMarkers::default(), "{text}");
        }
        assert_ne!(MarkerKey::drawn(), MarkerKey::drawn());
    }

    #[test]
    fn what_another_tells_of_is_disowned() {
        let key = MarkerKey::of_seed(7);
        let foreign = text(&key, &marker(3, 250));
        for (told, is_left) in [(format!("<{foreign}>"), false), ("else".to_string(), true)] {
            let mut search = MarkerSearch::new(key.clone(), 4);
            search.feed(foreign.as_bytes());
            search.disown(&told);
            assert_eq!(search.take().foreign.len(), usize::from(is_left));
        }
    }

    #[test]
    fn each_message_of_a_stream_counts_once_however_it_comes() {
        let key = MarkerKey::of_seed(7);
        let [a, b] = [marker(3, 1), marker(5, 2)].map(|it| text(&key, &it));
        let stream = format!("data: {a} {a} {b}\n\ndata: é\r\n\r\ndata: {b}\r\ndata: {b}\n\n: {a}");
        for size in [1, 7, 60, stream.len()] {
            let mut search = MarkerSearch::new(key.clone(), 4);
            stream
                .as_bytes()
                .chunks(size)
                .for_each(|it| search.feed(it));
            let found = search.take();
            let users: Vec<u32> = found.foreign.iter().map(|it| it.marker.user).collect();
            assert_eq!((users, found.n_foreign()), (vec![3, 5, 3], 3), "{size}");
        }
        let many = format!("{a}\n\n").repeat(FOREIGN_MAX + 7);
        let found = found(&key, 4, &[many.as_bytes()]);
        assert_eq!(found.foreign.len(), FOREIGN_MAX);
        assert_eq!(found.n_foreign(), FOREIGN_MAX as u64 + 7);
    }

    #[test]
    fn an_excerpt_is_short_and_says_where_it_is_cut() {
        let key = MarkerKey::of_seed(1);
        let marker = text(&key, &marker(9, 1));
        let answer = format!("{}{marker}{}", "é".repeat(5000), "ü".repeat(5000));
        let mut found = found(&key, 1, &[answer.as_bytes()]);
        let excerpt = found.foreign.pop().expect("a foreign one").excerpt;
        assert!(excerpt.starts_with("…é") && excerpt.ends_with("ü…"));
        assert!(excerpt.contains(&marker) && !excerpt.contains('\u{fffd}'));
        assert!(excerpt.len() <= 2 * EXCERPT_BYTES + MARKER_CHARS + 2 * "…".len());
    }

    proptest! {
        /// However the bytes come, the same markers are found.
        #[test]
        fn pieces_of_any_size_give_the_same(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("own"), Just("other"), Just("run"), Just("ltmark0"), Just("lt"), Just(" é"),
                    Just("\n\n"), Just("\r\n\r\n"), Just("\n"),
                ],
                0..8,
            ),
            sizes in prop::collection::vec(1_usize..80, 1..40),
        ) {
            let (key, beside) = (MarkerKey::of_seed(1), MarkerKey::of_seed(2));
            let parts = parts.into_iter().map(|part| match part {
                "own" => text(&key, &marker(1, 1)),
                "other" => text(&key, &marker(2, 5)),
                "run" => text(&beside, &marker(1, 1)),
                other => other.to_string(),
            });
            let all: String = parts.collect();
            let mut rest = all.as_bytes();
            let mut pieces = Vec::new();
            for size in sizes.iter().cycle() {
                let (piece, behind) = rest.split_at(rest.len().min(*size));
                pieces.push(piece);
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            let whole = found(&key, 1, &[all.as_bytes()]);
            let split = found(&key, 1, &pieces);
            prop_assert_eq!(whole.has_own, split.has_own);
            prop_assert_eq!(whole.has_other_run, split.has_other_run);
            let markers = |it: FoundMarkers| {
                let markers = it.foreign.iter().map(|it| it.marker.call);
                (markers.collect::<Vec<_>>(), it.n_more)
            };
            prop_assert_eq!(markers(whole), markers(split));
        }

        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(any::<Vec<u8>>(), 0..5)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let _ = found(&MarkerKey::of_seed(1), 1, &pieces);
        }
    }
}
