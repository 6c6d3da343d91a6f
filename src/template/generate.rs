//! Values that a template makes by itself: numbers, times, random choices.
//!
//! Each purpose has a generator of its own, seeded by the plan's seed, the user and
//! the purpose: a new template changes no other choice.

use std::fmt::Write as _;

use super::escape::escaped;
use super::language::Expression;
use crate::clock::Utc;

/// When and for whom a value is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillMoment {
    /// The user's number among all users of the run, from 1.
    pub vu: u64,
    /// The iteration's number over the whole run, from 1.
    pub iteration: u64,
    /// The time, in nanoseconds since 1970.
    pub unix_ns: u64,
}

/// The number of a purpose: of its name, by FNV-1a, so that a seed means the same in
/// each build.
pub fn purpose_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The random choices of one user, apart by purpose.
#[derive(Debug)]
pub struct Generators {
    seed: u64,
    /// By purpose, ascending; made when a purpose is first asked for.
    by_purpose: Vec<(u64, fastrand::Rng)>,
}

impl Generators {
    /// Those of a user; `run_index` is its index among all users of the run, from 0.
    pub fn new(seed: u64, run_index: u32) -> Self {
        // Not the user's other choices: those are drawn from `seed` and the index
        // in another way.
        const TEMPLATES: u64 = 0x7465_6d70_6c61_7465;
        let mut mixed = fastrand::Rng::with_seed(seed ^ TEMPLATES);
        let seed = mixed.u64(..) ^ u64::from(run_index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            seed,
            by_purpose: Vec::new(),
        }
    }

    /// The generator of a purpose ([`purpose_of`]). Allocates when it is first asked for.
    pub fn of(&mut self, purpose: u64) -> &mut fastrand::Rng {
        let at = self.by_purpose.partition_point(|(of, _)| *of < purpose);
        let is_known = self
            .by_purpose
            .get(at)
            .is_some_and(|(of, _)| *of == purpose);
        if !is_known {
            // The first number of a seed is close to that of the next seed.
            let mut mixed = fastrand::Rng::with_seed(self.seed ^ purpose);
            let random = fastrand::Rng::with_seed(mixed.u64(..));
            self.by_purpose.insert(at, (purpose, random));
        }
        &mut self.by_purpose[at].1
    }

    /// Puts the JSON text of an expression's value in place of `value`; false where
    /// it is a marker, a cell of a data set or extracted, and `value` stays.
    pub(super) fn fill(
        &mut self,
        expression: &Expression,
        purpose: u64,
        moment: &FillMoment,
        value: &mut String,
    ) -> bool {
        let is_made_elsewhere = matches!(
            expression,
            Expression::Marker | Expression::Data { .. } | Expression::Value(_)
        );
        if is_made_elsewhere {
            return false;
        }
        value.clear();
        match expression {
            Expression::Vu => push_number(moment.vu, value),
            Expression::Iteration => push_number(moment.iteration, value),
            Expression::NowUnixMs => push_number(moment.unix_ns / 1_000_000, value),
            Expression::RandomInt { low, high } => {
                push_number(self.of(purpose).i64(*low..=*high), value);
            }
            _ => {
                value.push('"');
                self.fill_text(expression, purpose, moment, value);
                value.push('"');
            }
        }
        true
    }

    fn fill_text(
        &mut self,
        expression: &Expression,
        purpose: u64,
        moment: &FillMoment,
        value: &mut String,
    ) {
        match expression {
            Expression::Uuid => push_uuid(self.of(purpose).u128(..), value),
            // Runs of one seed are not one trace.
            Expression::TraceParent => {
                push_traceparent(fastrand::u128(1..), fastrand::u64(1..), value)
            }
            Expression::Now => Utc::from_unix_ms(moment.unix_ns / 1_000_000).push_rfc3339(value),
            Expression::RandomChoice(words) => {
                let word = self.of(purpose).choice(words);
                escaped(word.map_or("", String::as_str), |piece| {
                    value.push_str(piece)
                });
            }
            Expression::RandomString(n_chars) => {
                let random = self.of(purpose);
                value.extend((0..*n_chars).map(|_| random.alphanumeric()));
            }
            Expression::RandomWords(n_words) => {
                let random = self.of(purpose);
                for i in 0..*n_words {
                    if i > 0 {
                        value.push(' ');
                    }
                    value.push_str(WORDS[random.usize(..WORDS.len())]);
                }
            }
            Expression::Vu
            | Expression::Iteration
            | Expression::NowUnixMs
            | Expression::RandomInt { .. }
            | Expression::Marker
            | Expression::Data { .. }
            | Expression::Value(_) => {}
        }
    }
}

fn push_number(number: impl std::fmt::Display, value: &mut String) {
    // Writing to a text does not fail.
    let _ = write!(value, "{number}");
}

/// Version 0, the trace's id, that of the call in it, and that it is recorded.
fn push_traceparent(trace: u128, call: u64, value: &mut String) {
    // Writing to a text does not fail.
    let _ = write!(value, "00-{trace:032x}-{call:016x}-01");
}

/// A UUID of version 4 (RFC 9562, section 5.4) of random bits.
fn push_uuid(random: u128, value: &mut String) {
    const VERSION: u128 = 0xf000 << 64;
    const VARIANT: u128 = 0b11 << 62;
    let bits = random & !VERSION & !VARIANT | 0x4000 << 64 | 0b10 << 62;
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (i, byte) in bits.to_be_bytes().into_iter().enumerate() {
        at += usize::from(matches!(i, 4 | 6 | 8 | 10));
        text[at] = b"0123456789abcdef"[usize::from(byte >> 4)];
        text[at + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
        at += 2;
    }
    // Digits and hyphens are a text.
    value.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

/// What `random.words` takes from: short, plain, none of them a word that a filter
/// might look for.
const WORDS: [&str; 64] = [
    "amber", "apple", "arrow", "autumn", "basket", "beach", "bridge", "bright", "candle", "canyon",
    "castle", "cedar", "cloud", "copper", "coral", "cotton", "desert", "early", "eagle", "forest",
    "garden", "gentle", "glass", "golden", "grain", "harbor", "hollow", "honey", "island", "ivory",
    "jungle", "kettle", "ladder", "lemon", "light", "linen", "maple", "marble", "meadow", "mellow",
    "mirror", "morning", "mountain", "north", "ocean", "olive", "orange", "paper", "pebble",
    "pepper", "planet", "quiet", "rain", "river", "silver", "simple", "south", "spring", "stone",
    "summer", "timber", "valley", "velvet", "winter",
];
