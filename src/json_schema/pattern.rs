//! Texts for the regular expressions in a schema.
//!
//! A pattern comes from a stranger: its length, the program that it compiles
//! to, and the text that is written for it are bounded. A pattern that the
//! `regex` crate cannot do, such as one with a look-ahead, gives no texts.

use regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Patterns longer than this, in bytes, are not read.
const PATTERN_LEN_MAX: usize = 1_000;
/// The largest compiled program, in bytes.
pub(super) const PROGRAM_BYTES_MAX: usize = 256 * 1024;
/// Groups inside groups.
const NEST_MAX: u32 = 30;
/// Texts longer than this, in characters, are not made: nobody would read them
/// in a config.
pub(super) const TEXT_LEN_MAX: usize = 5_000;

/// Texts that mean something to a reader; the first that match are preferred.
const HANDY: &str = "test Test TEST 1 10 2026-01-01 12:00:00 2026-01-01T12:00:00Z user@example.com \
     https://example.com/ http://example.com/ example.com /test test.txt +12025550123 \
     192.0.2.1 00000000-0000-4000-8000-000000000001 #336699 1.0.0 en US USD en-US";

/// A pattern that is understood.
pub(super) struct Pattern {
    regex: Regex,
    hir: Hir,
}

impl Pattern {
    /// `None` where the pattern is too large or not understood.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        if pattern.len() > PATTERN_LEN_MAX {
            return None;
        }
        let mut parser = ParserBuilder::new().nest_limit(NEST_MAX).build();
        let hir = parser.parse(pattern).ok()?;
        let regex = RegexBuilder::new(pattern)
            .size_limit(PROGRAM_BYTES_MAX)
            .dfa_size_limit(PROGRAM_BYTES_MAX)
            .nest_limit(NEST_MAX)
            .build()
            .ok()?;
        Some(Self { regex, hir })
    }

    /// Whether the pattern occurs in `text`.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Texts that match, those that mean something first, then some with each
    /// repetition done up to `n_repeats` times.
    pub(super) fn texts(&self, n_repeats: usize) -> Vec<String> {
        let handy = HANDY.split(' ').map(str::to_string);
        let n_repeats = [1, 0, 2, 4, 8, n_repeats.min(TEXT_LEN_MAX)];
        let written = (0..3).flat_map(|choice| n_repeats.map(|n| self.write(n, choice)));
        let mut texts: Vec<String> = handy.chain(written.flatten()).collect();
        texts.retain(|text| self.matches(text));
        texts.dedup();
        texts
    }

    /// A text with each repetition done `n_repeats` times where that is allowed,
    /// and the alternative number `choice` of each group. It may fail to match
    /// where the pattern has anchors inside. `None` where it would be too long.
    fn write(&self, n_repeats: usize, choice: usize) -> Option<String> {
        let mut text = String::new();
        let mut work_left = 4 * TEXT_LEN_MAX;
        write_node(&self.hir, n_repeats, choice, &mut text, &mut work_left)?;
        (text.len() <= TEXT_LEN_MAX).then_some(text)
    }
}

fn write_node(
    node: &Hir,
    n_repeats: usize,
    choice: usize,
    text: &mut String,
    work_left: &mut usize,
) -> Option<()> {
    *work_left = work_left.checked_sub(1)?;
    let mut write = |node: &Hir| write_node(node, n_repeats, choice, text, work_left);
    match node.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(()),
        HirKind::Literal(literal) => {
            text.push_str(std::str::from_utf8(&literal.0).ok()?);
            Some(())
        }
        HirKind::Class(class) => {
            text.push(sample_of_class(class)?);
            Some(())
        }
        HirKind::Repetition(repetition) => {
            let max = repetition.max.map_or(usize::MAX, |max| max as usize);
            let n_times = n_repeats.min(max).max(repetition.min as usize);
            (0..n_times).try_for_each(|_| write(&repetition.sub))
        }
        HirKind::Capture(group) => write(&group.sub),
        HirKind::Concat(nodes) => nodes.iter().try_for_each(write),
        HirKind::Alternation(branches) => write(&branches[choice % branches.len()]),
    }
}

/// A plain character of the class, if it has any.
fn sample_of_class(class: &Class) -> Option<char> {
    let Class::Unicode(class) = class else {
        return None;
    };
    let contains = |c: char| {
        let mut ranges = class.ranges().iter();
        ranges.any(|range| (range.start()..=range.end()).contains(&c))
    };
    let plain = "a1A-_. ~".chars().chain('!'..='~').find(|c| contains(*c));
    plain.or_else(|| class.ranges().first().map(|range| range.start()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let parsed = Pattern::parse(pattern).expect(pattern);
        for text in matching {
            assert!(parsed.matches(text), "{pattern} {text}");
        }
        for text in other {
            assert!(!parsed.matches(text), "{pattern} {text}");
        }
        for (n_repeats, choice) in [(0, 0), (1, 1), (5, 2)] {
            let written = parsed.write(n_repeats, choice).expect(pattern);
            assert!(parsed.matches(&written), "{pattern} {written}");
        }
    }

    #[test]
    fn patterns_of_real_schemas() {
        check("^[a-z0-9-]+$", &["a-1"], &["", "A", "a b"]);
        check(r"^\d{4}-\d{2}-\d{2}$", &["2026-01-01"], &["2026-1-01"]);
        check("^(foo|bar|)$", &["foo", "bar", ""], &["baz", "fo"]);
        check("^https?://", &["http://a", "https://"], &["ftp://a"]);
        check("^#[0-9a-fA-F]{6}$", &["#09afAF"], &["#09afA", "09afAF"]);
        check(r"^(?:\w+\.)*\w+$", &["a.b.c", "a"], &["a..b", "."]);
        check(r"^(?<year>\d{2,})?$", &["", "12", "123"], &["1"]);
        check("b", &["abc"], &["ac"]);
        check("", &["", "x"], &[]);
        check("^[^/]+/[^/]+$", &["a/b"], &["a/b/c", "/"]);
        check(r"^[\w.+-]+@[\w-]+\.[a-z]{2,}?$", &["a+b@c.de"], &["a@b"]);
        check(r"^.{3,5}$", &["abc", "äöüäö"], &["ab", "abcdef"]);
        check(r"^\u0041\x42[\]\\]$", &["AB]", "AB\\"], &["AB["]);
        check(r"^[^\d\s]$", &["x"], &["1", " "]);
    }

    #[test]
    fn what_is_not_understood_gives_no_pattern() {
        for pattern in [
            "(?=a)", "(?!a)", "(?<=a)", r"(a)\1", "(", ")", "[", "[z-a]", "*", "a{2,1}", "\\",
        ] {
            assert!(Pattern::parse(pattern).is_none(), "{pattern}");
        }
        assert!(Pattern::parse(&"(".repeat(5_000)).is_none());
        let nested = format!("{}{}", "(".repeat(100), ")".repeat(100));
        assert!(Pattern::parse(&nested).is_none());
        assert!(Pattern::parse(&"a".repeat(PATTERN_LEN_MAX + 1)).is_none());
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(Pattern::parse("^((((a{0,999}){0,999}){0,999}){0,999}){999}$").is_none());
        let twice = Pattern::parse("^(a+)+$").expect("a pattern");
        assert!(!twice.matches(&format!("{}b", "a".repeat(100))));
        assert_eq!(twice.write(5_000, 0), None);
        assert!(Pattern::parse("(){99999999999}").is_none());
        // Repeating nothing for ever.
        let empty = Pattern::parse("(){4294967295}");
        assert!(empty.is_none_or(|empty| empty.write(0, 0).is_none_or(|text| text.is_empty())));
    }

    proptest! {
        #[test]
        fn no_text_panics(pattern in r"[\^\$\\\[\](){}|*+?.,\-a-c0-9:<>=!dws]{0,30}", text in "[a-c0-9]{0,10}") {
            if let Some(pattern) = Pattern::parse(&pattern) {
                let _any_answer_will_do = pattern.matches(&text);
                let _any_answer_will_do = pattern.write(2, 1);
            }
        }

        #[test]
        fn what_is_written_for_an_anchor_free_pattern_matches(
            pattern in r"([a-c]|[a-c][*+?]|\(a\|b\)\{1,3\}|\[a-c\]\+|\\d){1,8}",
            n_repeats in 0_usize..4,
        ) {
            let parsed = Pattern::parse(&pattern).expect("a pattern");
            let text = parsed.write(n_repeats, n_repeats).expect("short");
            prop_assert!(parsed.matches(&text), "{} {}", pattern, text);
        }
    }
}
