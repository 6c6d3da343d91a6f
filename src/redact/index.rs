//! Finds all of many secrets in one pass over a text, however many they are, and
//! takes in and gives up secrets while it is used.
//!
//! What is looked for is hashed: a form of less than 31 bytes as a whole, a longer one
//! in blocks of 16 bytes, which are then followed to both sides. A look at a place of
//! the text costs one access to a table of counters, unless something begins there as
//! one of the forms does.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::{Bound, Range};

use super::decoded::CUTS;
use super::forms::{SECRET_CHARS_MIN, forms};

/// A piece of a form of twice this length holds one of its blocks whole: so it is
/// found without its beginning and its end.
const BLOCK_BYTES: usize = 16;

/// Shorter pieces are looked for at cuts only.
pub(super) const PIECE_BYTES_MIN: usize = 2 * BLOCK_BYTES - 1;

/// Blocks are taken from so much of a form, and from its end: a longer piece is
/// one that holds them.
const BLOCKS_BYTES_MAX: usize = 64 * 1024;

/// The forms along which a block is followed. A block of more forms, such as the
/// beginning of each token of one issuer, is taken for the middle of a word instead.
const PLACES_MAX: usize = 3;

/// The bytes that two texts must have alike before more of them is looked at; no form
/// is shorter.
const PREFIX_BYTES: usize = SECRET_CHARS_MIN;

/// The least and the most counters of prefixes.
const COUNTERS_MIN: usize = 1 << 10;
const COUNTERS_MAX: usize = 1 << 22;

/// More places where a text was cut are not looked at: a text that says so more
/// often is not one that was cut by us.
const CUTS_MAX: usize = 64;

/// Secrets, and what finds them.
#[derive(Default)]
pub(super) struct Index {
    hashes: RandomState,
    secrets: HashMap<String, IndexedSecret>,
    /// By the hash of what is looked for.
    patterns: HashMap<u64, HashedPattern>,
    /// How many patterns begin with bytes of this hash; a power of two of them.
    counters: Vec<u32>,
    /// How many forms are looked for as a whole, by their length.
    n_whole: [u32; PIECE_BYTES_MIN],
    /// The forms that are longer, to follow blocks along; those given up are empty.
    long: Vec<Box<[u8]>>,
    free: Vec<u32>,
    /// The first bytes of each form in small letters.
    beginnings: BTreeMap<Box<[u8]>, u32>,
    /// The last bytes of each form in small letters, backwards.
    endings: BTreeMap<Box<[u8]>, u32>,
}

struct IndexedSecret {
    /// How often it was taken in.
    n: u32,
    /// Where its long forms are, in the order of its forms.
    long: Vec<u32>,
}

/// Something that is looked for.
#[derive(Default)]
struct HashedPattern {
    /// The forms that it is the whole of.
    n_whole: u32,
    /// The places of forms that it is a block of.
    n_block: u32,
    prefix: u32,
    /// Some of those.
    places: [Option<BlockPlace>; PLACES_MAX],
}

/// Where a block is in a form.
#[derive(Clone, Copy, PartialEq, Eq)]
struct BlockPlace {
    form: u32,
    offset: u32,
}

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Takes a secret in, in all its forms. It has at least four characters.
    pub(super) fn insert(&mut self, secret: &str) {
        if let Some(known) = self.secrets.get_mut(secret) {
            known.n += 1;
            return;
        }
        let mut long = Vec::new();
        for form in forms(secret) {
            let form = form.to_ascii_lowercase().into_bytes();
            for (end, ends) in [(head(&form), true), (tail(&form), false)] {
                let known = if ends {
                    &mut self.beginnings
                } else {
                    &mut self.endings
                };
                *known.entry(end.into()).or_default() += 1;
            }
            if form.len() < PIECE_BYTES_MIN {
                self.n_whole[form.len()] += 1;
                self.pattern(&form).n_whole += 1;
                continue;
            }
            let id = self.free.pop().unwrap_or(self.long.len() as u32);
            for offset in block_offsets(form.len()) {
                let pattern = self.pattern(&form[offset..offset + BLOCK_BYTES]);
                pattern.n_block += 1;
                if let Some(place) = pattern.places.iter_mut().find(|place| place.is_none()) {
                    *place = Some(BlockPlace {
                        form: id,
                        offset: offset as u32,
                    });
                }
            }
            match self.long.get_mut(id as usize) {
                Some(place) => *place = form.into(),
                None => self.long.push(form.into()),
            }
            long.push(id);
        }
        self.secrets
            .insert(secret.to_string(), IndexedSecret { n: 1, long });
    }

    /// Gives a secret up that was taken in as often before.
    pub(super) fn remove(&mut self, secret: &str) {
        let Some(known) = self.secrets.get_mut(secret) else {
            return;
        };
        known.n -= 1;
        if known.n > 0 {
            return;
        }
        let long = self.secrets.remove(secret).map(|known| known.long);
        let mut long = long.unwrap_or_default().into_iter();
        for form in forms(secret) {
            let form = form.to_ascii_lowercase().into_bytes();
            give_up(&mut self.beginnings, &head(&form));
            give_up(&mut self.endings, &tail(&form));
            if form.len() < PIECE_BYTES_MIN {
                self.n_whole[form.len()] -= 1;
                self.forget(&form, |pattern| pattern.n_whole -= 1);
                continue;
            }
            let Some(id) = long.next() else { continue };
            for offset in block_offsets(form.len()) {
                self.forget(&form[offset..offset + BLOCK_BYTES], |pattern| {
                    pattern.n_block -= 1;
                    for place in &mut pattern.places {
                        place.take_if(|place| place.form == id);
                    }
                });
            }
            self.long[id as usize] = Box::default();
            self.free.push(id);
        }
    }

    /// The pattern of these bytes, which is made where it is not known.
    fn pattern(&mut self, bytes: &[u8]) -> &mut HashedPattern {
        if self.counters.len() < COUNTERS_MAX && self.patterns.len() * 8 >= self.counters.len() {
            let n_counters = (self.counters.len() * 4).max(COUNTERS_MIN);
            self.counters = vec![0; n_counters];
            for pattern in self.patterns.values() {
                self.counters[slot(pattern.prefix, n_counters)] += 1;
            }
        }
        let prefix = prefix_of(bytes);
        let counters = &mut self.counters;
        let hash = self.hashes.hash_one(bytes);
        self.patterns.entry(hash).or_insert_with(|| {
            let n_counters = counters.len();
            counters[slot(prefix, n_counters)] += 1;
            HashedPattern {
                prefix,
                ..HashedPattern::default()
            }
        })
    }

    fn forget(&mut self, bytes: &[u8], change: impl FnOnce(&mut HashedPattern)) {
        let hash = self.hashes.hash_one(bytes);
        let Some(pattern) = self.patterns.get_mut(&hash) else {
            return;
        };
        change(pattern);
        if pattern.n_whole + pattern.n_block == 0 {
            let n_counters = self.counters.len();
            self.counters[slot(pattern.prefix, n_counters)] -= 1;
            self.patterns.remove(&hash);
        }
    }

    /// Adds the places of secrets in a text, of which `lower` is the same in small
    /// letters.
    pub(super) fn find(&self, text: &str, lower: &[u8], found: &mut Ranges) {
        if self.is_empty() {
            return;
        }
        let mut growth = Growth::new(lower);
        // The last word that was masked as one: it is not looked through again.
        let mut word = 0..0;
        let lengths: Vec<usize> = (PREFIX_BYTES..PIECE_BYTES_MIN)
            .filter(|len| self.n_whole[*len] > 0 || *len == BLOCK_BYTES)
            .collect();
        for at in self.candidates(lower) {
            for len in &lengths {
                let Some(bytes) = lower.get(at..at + len) else {
                    break;
                };
                let Some(pattern) = self.patterns.get(&self.hashes.hash_one(bytes)) else {
                    continue;
                };
                let hit = at..at + len;
                if pattern.n_whole > 0 {
                    found.add(hit.clone());
                }
                for place in pattern.places.iter().flatten() {
                    let form = &self.long[place.form as usize];
                    if let Some(range) = growth.grow(hit.clone(), form, *place) {
                        found.add(whole_letters(text, range));
                    }
                }
                let n_places = pattern.places.iter().flatten().count();
                if pattern.n_block as usize > n_places && hit.end > word.end {
                    word = word_around(lower, hit);
                    found.add(whole_letters(text, word.clone()));
                }
            }
        }
        for mark in CUTS {
            for (at, _) in text.match_indices(mark).take(CUTS_MAX) {
                let begun = self.begun_before(text, at);
                let ended = self.ended_behind(text, at + mark.len());
                begun
                    .into_iter()
                    .chain(ended)
                    .for_each(|range| found.add(range));
            }
        }
    }

    /// Where something may begin as one of the patterns does.
    fn candidates(&self, lower: &[u8]) -> impl Iterator<Item = usize> {
        let n_counters = self.counters.len();
        let places = lower.windows(PREFIX_BYTES).enumerate();
        let begins = move |prefix| self.counters[slot(prefix_of(prefix), n_counters)] > 0;
        places.filter_map(move |(at, prefix)| begins(prefix).then_some(at))
    }

    /// The beginning of a secret that is before `at`, where a text was cut.
    fn begun_before(&self, text: &str, at: usize) -> Option<Range<usize>> {
        let starts = at.saturating_sub(PIECE_BYTES_MIN)..at;
        let mut pieces = starts.map(|start| start..at);
        pieces.find(|piece| is_piece(text, piece, &self.beginnings, head))
    }

    /// The end of a secret that is behind `at`, where a text was cut.
    fn ended_behind(&self, text: &str, at: usize) -> Option<Range<usize>> {
        let ends = at + 1..=text.len().min(at + PIECE_BYTES_MIN);
        let mut pieces = ends.rev().map(|end| at..end);
        pieces.find(|piece| is_piece(text, piece, &self.endings, tail))
    }
}

fn head(form: &[u8]) -> Vec<u8> {
    form[..form.len().min(PIECE_BYTES_MIN)].to_vec()
}

fn tail(form: &[u8]) -> Vec<u8> {
    form.iter().rev().take(PIECE_BYTES_MIN).copied().collect()
}

fn give_up(known: &mut BTreeMap<Box<[u8]>, u32>, end: &[u8]) {
    if let Some(n) = known.get_mut(end) {
        *n -= 1;
        if *n == 0 {
            known.remove(end);
        }
    }
}

/// Where the blocks of a long form begin.
fn block_offsets(n_bytes: usize) -> impl Iterator<Item = usize> {
    let last = n_bytes - BLOCK_BYTES;
    let offsets = (0..=last.min(BLOCKS_BYTES_MAX)).step_by(BLOCK_BYTES);
    offsets.chain((!last.is_multiple_of(BLOCK_BYTES) || last > BLOCKS_BYTES_MAX).then_some(last))
}

/// `bytes` are at least as many as a prefix has.
fn prefix_of(bytes: &[u8]) -> u32 {
    bytes[..PREFIX_BYTES]
        .iter()
        .fold(0, |prefix, byte| prefix << 8 | u32::from(*byte))
}

/// Multiplicative hashing (Knuth, The Art of Computer Programming 3, section 6.4);
/// `n_counters` is a power of two.
fn slot(prefix: u32, n_counters: usize) -> usize {
    let mixed = prefix.wrapping_mul(0x9e37_79b1);
    (mixed >> (32 - n_counters.trailing_zeros())) as usize
}

/// The word around a block of many forms: what is beside it belongs to one of them.
fn word_around(lower: &[u8], hit: Range<usize>) -> Range<usize> {
    let is_inner =
        |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte) || **byte >= 0x80;
    let n_before = lower[..hit.start].iter().rev().take_while(is_inner).count();
    let n_behind = lower[hit.end..].iter().take_while(is_inner).count();
    hit.start - n_before..hit.end + n_behind
}

/// Whether a piece of the text is long enough and begins one of the `known`.
fn is_piece(
    text: &str,
    piece: &Range<usize>,
    known: &BTreeMap<Box<[u8]>, u32>,
    key: impl Fn(&[u8]) -> Vec<u8>,
) -> bool {
    let Some(piece) = text.get(piece.clone()) else {
        return false;
    };
    if piece.chars().count() < SECRET_CHARS_MIN {
        return false;
    }
    let key = key(piece.to_ascii_lowercase().as_bytes());
    let from = (Bound::Included(key.as_slice()), Bound::Unbounded);
    let mut from = known.range::<[u8], _>(from);
    from.next()
        .is_some_and(|(other, _)| other.starts_with(&key))
}

/// Grows blocks that were found to all of the text that goes on like the form,
/// within bounds: a text that repeats a block for ever causes bounded work.
struct Growth<'a> {
    text: &'a [u8],
    /// How far each form was followed that lies so in the text.
    followed: HashMap<(u32, usize), usize>,
    bytes_left: usize,
}

impl<'a> Growth<'a> {
    const BYTES_MIN: usize = 1 << 20;
    const BYTES_PER_BYTE: usize = 16;
    const FOLLOWED_MAX: usize = 1 << 16;

    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            followed: HashMap::new(),
            bytes_left: Self::BYTES_MIN + Self::BYTES_PER_BYTE * text.len(),
        }
    }

    /// `hit` is where the block was found. `None`: what it is a part of was found
    /// before.
    fn grow(&mut self, hit: Range<usize>, form: &[u8], place: BlockPlace) -> Option<Range<usize>> {
        let offset = place.offset as usize;
        // Where the form would end, so that the number is never below zero.
        let lies_at = (place.form, hit.start + form.len() - offset);
        let is_followed = self
            .followed
            .get(&lies_at)
            .is_some_and(|end| hit.end <= *end);
        if is_followed {
            return None;
        }
        let is_same = |(a, b): &(&u8, &u8)| a == b;
        let before = self.text[..hit.start].iter().rev();
        let before = before.zip(form[..offset].iter().rev());
        let n_before = before.take(self.bytes_left).take_while(is_same).count();
        let behind = self.text[hit.end..].iter();
        let behind = behind.zip(&form[offset + BLOCK_BYTES..]);
        let n_behind = behind.take(self.bytes_left).take_while(is_same).count();
        self.bytes_left = self.bytes_left.saturating_sub(n_before + n_behind);
        if self.followed.len() >= Self::FOLLOWED_MAX {
            self.followed.clear();
        }
        self.followed.insert(lies_at, hit.end + n_behind);
        Some(hit.start - n_before..hit.end + n_behind)
    }
}

/// Ranges, those that overlap or touch made one now and then, so that there are
/// never many more of them than places in the text.
#[derive(Default)]
pub(super) struct Ranges {
    pub(super) all: Vec<Range<usize>>,
    n_merged: usize,
}

impl Ranges {
    const UNMERGED_MIN: usize = 1024;

    pub(super) fn add(&mut self, range: Range<usize>) {
        self.all.push(range);
        if self.all.len() > 2 * self.n_merged + Self::UNMERGED_MIN {
            self.merge();
        }
    }

    pub(super) fn merge(&mut self) {
        self.all
            .sort_unstable_by_key(|range| (range.start, range.end));
        self.all.dedup_by(|next, last| {
            let is_one = next.start <= last.end;
            if is_one {
                last.end = last.end.max(next.end);
            }
            is_one
        });
        self.n_merged = self.all.len();
    }
}

/// The range without the parts of letters at its ends: a block of bytes may begin
/// inside of one.
fn whole_letters(text: &str, range: Range<usize>) -> Range<usize> {
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    let start = (range.start..range.end).find(is_boundary);
    let start = start.unwrap_or(range.end);
    let end = (start..=range.end).rev().find(is_boundary);
    start..end.unwrap_or(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each begins and ends.
    fn masked(index: &Index, text: &str) -> Vec<(usize, usize)> {
        let mut found = Ranges::default();
        index.find(text, text.to_ascii_lowercase().as_bytes(), &mut found);
        found.merge();
        let places = found.all.iter().map(|range| (range.start, range.end));
        places.collect()
    }

    /// As an issuer makes them: they begin alike.
    fn token(number: u64) -> String {
        let random = fastrand::Rng::with_seed(number).u128(..);
        format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{random:032x}")
    }

    #[test]
    fn ten_thousand_cost_a_text_no_more_than_one() {
        let n_tokens = crate::seeds::n_seeds(2_000, 10_000);
        let mut index = Index::default();
        let text = "tools/call whoami: HTTP 500, the order 4711-0815 of the user is not there; \
                    ask again in 30 s with the same session or tell your administrator";
        index.insert(&token(0));
        let one = index.candidates(text.as_bytes()).count();
        (1..n_tokens).for_each(|number| index.insert(&token(number)));
        let all = index.candidates(text.as_bytes()).count();
        assert!(
            all <= one + text.len() / 8,
            "{one} and {all} of {}",
            text.len()
        );
        // Each place costs one access for each length that is looked for.
        assert!(index.n_whole.iter().all(|n| *n == 0));
        for number in [0, n_tokens / 2, n_tokens - 1] {
            let token = token(number);
            let found = masked(&index, &format!("bad {token}, sorry"));
            assert_eq!(found, [(4, 4 + token.len())]);
            let piece = &token[30..60];
            assert_eq!(masked(&index, &format!("<{piece}>")), [(1, 31)], "{piece}");
        }
        (0..n_tokens).for_each(|number| index.remove(&token(number)));
        assert!(index.is_empty() && index.patterns.is_empty());
        assert!(index.beginnings.is_empty() && index.endings.is_empty());
        assert!(index.counters.iter().all(|n| *n == 0));
        assert!(index.long.iter().all(|form| form.is_empty()));
    }

    #[test]
    fn what_many_share_is_masked_whoever_is_given_up() {
        let mut index = Index::default();
        (0..9).for_each(|number| index.insert(&token(number)));
        (0..8).for_each(|number| index.remove(&token(number)));
        let piece = &token(8)[..33];
        assert_eq!(masked(&index, &format!("<{piece}>")), [(1, 34)]);
        // Who was taken in twice is given up twice.
        index.insert(&token(8));
        index.remove(&token(8));
        assert_eq!(masked(&index, &token(8)).len(), 1);
    }

    #[test]
    fn a_word_without_end_is_looked_through_once() {
        let mut index = Index::default();
        index.insert(&"a".repeat(5000));
        let text = "a".repeat(1 << 16);
        assert_eq!(masked(&index, &text), [(0, text.len())]);
    }
}
