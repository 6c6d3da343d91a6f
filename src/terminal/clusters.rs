//! Names without the characters about whose width terminals disagree.
//!
//! Several characters may be drawn as one: a person with a colour of skin, a family, a flag.
//! Some terminals give such a cluster the columns of one character, others those of all its
//! parts (tmux 3.3 does either), and none can be asked. What is drawn again in its place, in
//! columns, has the first character of each instead. What stays on the screen keeps them all.

use std::borrow::Cow;
use std::collections::HashMap;

/// The names as they can be drawn in columns, in the order given. Names that would look alike
/// for it have the characters that are left out written as in Rust's source: `\u{1f3fd}`.
pub fn plain_names(names: &[&str]) -> Vec<String> {
    let plain: Vec<_> = names.iter().map(|name| plain(name)).collect();
    let mut names_of: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, plain) in names.iter().zip(&plain) {
        let alike = names_of.entry(plain).or_default();
        if alike.first() != Some(name) {
            alike.push(name);
        }
    }
    let shown = names.iter().zip(&plain).map(|(name, plain)| {
        let is_own = names_of[&**plain].len() == 1;
        match is_own {
            true => plain.to_string(),
            false => rewritten(name, |shown, c, _| shown.extend(c.escape_unicode())).into_owned(),
        }
    });
    shown.collect()
}

/// The first character of each cluster.
fn plain(name: &str) -> Cow<'_, str> {
    rewritten(name, |shown, _, instead| shown.extend(instead))
}

/// The name in which `write` writes what stands for each character that cannot stay; it is
/// told the character and what a reader makes most of.
fn rewritten(name: &str, write: impl Fn(&mut String, char, Option<char>)) -> Cow<'_, str> {
    let mut shown = String::new();
    // What was taken over into `shown`.
    let mut taken = 0;
    let (mut base, mut is_joined) = (None, false);
    for (at, c) in name.char_indices() {
        let instead = match part(c, base, is_joined) {
            ClusterPart::Base => {
                (base, is_joined) = (Some(c), false);
                continue;
            }
            ClusterPart::Joined => None,
            ClusterPart::Instead(other) => Some(other),
        };
        is_joined = c == JOINER;
        shown.push_str(&name[taken..at]);
        write(&mut shown, c, instead);
        taken = at + c.len_utf8();
        if instead.is_some() {
            base = Some(c);
        }
    }
    match taken {
        0 => Cow::Borrowed(name),
        taken => Cow::Owned(shown + &name[taken..]),
    }
}

/// What a character of a name is for those who count columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClusterPart {
    /// One of its own, or a mark that takes no column anywhere.
    Base,
    /// It changes the one before it, or is drawn into it.
    Joined,
    /// Terminals do not agree on it alone; this one stands for it.
    Instead(char),
}

const JOINER: char = '\u{200d}';

/// The flag whose region follows in characters that are not drawn.
const BLACK_FLAG: char = '\u{1f3f4}';

/// `base`: the character that those before belong to; `is_joined`: it and this one are joined.
fn part(c: char, base: Option<char>, is_joined: bool) -> ClusterPart {
    // A joiner behind ASCII joins nothing, and is shown as what it is.
    let has_base = base.is_some_and(|base| !base.is_ascii() && !base.is_whitespace());
    match c {
        // Two of these letters are a flag, or two letters in frames.
        '\u{1f1e6}'..='\u{1f1ff}' => {
            let letter = u8::try_from(u32::from(c) - 0x1f1e6).unwrap_or(0);
            ClusterPart::Instead(char::from(b'A' + letter))
        }
        JOINER if has_base => ClusterPart::Joined,
        '\u{1f3fb}'..='\u{1f3ff}' if has_base => ClusterPart::Joined,
        '\u{1f3fb}'..='\u{1f3ff}' => ClusterPart::Instead('?'),
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' if has_base => ClusterPart::Joined,
        // The selector and the frame of a key: `1` in a frame.
        '\u{fe0f}' | '\u{20e3}' if base.is_some() => ClusterPart::Joined,
        '\u{e0020}'..='\u{e007f}' if base == Some(BLACK_FLAG) => ClusterPart::Joined,
        // Behind a joiner letters stay, as in words of India.
        c if is_joined && !c.is_alphabetic() && !c.is_ascii() => ClusterPart::Joined,
        // Emoji that are younger than the tables of many terminals.
        '\u{1f6d3}'..='\u{1f6df}' | '\u{1fa70}'..='\u{1faff}' => ClusterPart::Instead('?'),
        _ => ClusterPart::Base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::display_width;
    use proptest::prelude::*;
    use unicode_width::UnicodeWidthChar as _;

    #[test]
    fn of_a_cluster_the_first_character_stays() {
        for (name, expected) in [
            ("echo", "echo"),
            ("道具 é e\u{301}", "道具 é e\u{301}"),
            ("👍🏽 ok", "👍 ok"),
            ("👩\u{200d}👩\u{200d}👧 1", "👩 1"),
            ("👩🏽\u{200d}🚀x", "👩x"),
            ("🏳\u{fe0f}\u{200d}🌈", "🏳"),
            ("🏃\u{200d}♀\u{fe0f}", "🏃"),
            ("❤\u{fe0f} ⌚\u{fe0e}", "❤ ⌚"),
            ("1\u{fe0f}\u{20e3}", "1"),
            ("🇩🇪", "DE"),
            ("🏴\u{e0067}\u{e0062}\u{e007f}", "🏴"),
            ("🏽", "?"),
            ("🫨🪿", "??"),
            // Letters stay, joined or not.
            ("ക്\u{200d}ഷ", "ക്ഷ"),
            // It joins nothing, and is shown as what it is.
            ("ec\u{200d}ho", "ec\u{200d}ho"),
        ] {
            assert_eq!(plain(name), expected, "{name}");
        }
    }

    #[test]
    fn names_stay_apart_without_their_joined_characters() {
        let names = ["👩 1", "👩🏽 1", "👩\u{200d}👧 1", "👩🏽 2", "👩🏽 2"];
        let expected = [
            "👩 1",
            "👩\\u{1f3fd} 1",
            "👩\\u{200d}\\u{1f467} 1",
            "👩 2",
            "👩 2",
        ];
        assert_eq!(plain_names(&names), expected);
    }

    proptest! {
        /// A terminal that adds up the columns of each character, and one that draws clusters,
        /// find the same.
        #[test]
        fn all_terminals_count_alike(
            name in "[a1 道👩👍🚀❤☝🏳🏴🇩🇪🏽\u{1f3fb}\u{200d}\u{fe0f}\u{fe0e}\u{20e3}🫨é\u{301}\u{e0067}]{0,20}",
        ) {
            let plain = crate::text::visible_name(&plain(&name)).into_owned();
            let sum: usize = plain.chars().filter_map(|c| c.width()).sum();
            prop_assert_eq!(display_width(&plain), sum, "{:?}", plain);
        }
    }
}
