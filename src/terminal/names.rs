//! Names that are too long for their column, each told from the others.
//!
//! Names of one server are much alike: `github_list_pull_requests` and
//! `github_list_pull_request_reviews` cut at the same column are one. So what
//! is left out of a name depends on the others beside it. The work grows with
//! the length of the names, not with the square of their number.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::Drawing;
use super::text::{cut, display_width, end_of, fits, printable, start_of};

/// Each name in at most `width` columns, in the order given. Names that fit stay
/// whole. Two names that differ are never shown alike, unless the width does not
/// even hold a number for each.
pub fn shorten(names: &[&str], width: usize, drawing: Drawing) -> Vec<String> {
    let mut shown = ShownName {
        width,
        drawing,
        texts: HashMap::new(),
        taken: HashSet::new(),
    };
    let mut long: Vec<&str> = Vec::new();
    let mut alike: Vec<&str> = Vec::new();
    for &name in distinct(names).iter() {
        let text = printable(name);
        match fits(&text, width) {
            false => long.push(name),
            true if shown.claim(name, text.into_owned()) => {}
            true => alike.push(name),
        }
    }
    let rest = shown.claim_unique(long, |name| shown_middle(name, width, drawing));
    let rest = shown.claim_unique_windows(rest);
    shown.number(rest.into_iter().chain(alike));
    let text_of = |name: &&str| shown.texts.get(name).cloned().unwrap_or_default();
    names.iter().map(text_of).collect()
}

/// What was found for each name so far.
struct ShownName<'a> {
    width: usize,
    drawing: Drawing,
    texts: HashMap<&'a str, String>,
    taken: HashSet<String>,
}

impl<'a> ShownName<'a> {
    /// Shows a name so, unless another is.
    fn claim(&mut self, name: &'a str, text: String) -> bool {
        // What ends in other blanks looks the same.
        let is_new = self.taken.insert(text.trim_end().to_string());
        if is_new {
            self.texts.insert(name, text);
        }
        is_new
    }

    /// Claims each text that only one of the names has. Gives the others back,
    /// those that look alike beside each other.
    fn claim_unique(
        &mut self,
        names: Vec<&'a str>,
        text_of: impl Fn(&str) -> String,
    ) -> Vec<&'a str> {
        let mut by_text: Vec<(String, &str)> = names
            .into_iter()
            .map(|name| (text_of(name), name))
            .collect();
        by_text.sort();
        let mut rest = Vec::new();
        for same in by_text.chunk_by(|a, b| a.0 == b.0) {
            match same {
                [(text, name)] if self.claim(name, text.clone()) => {}
                _ => rest.extend(same.iter().map(|(_, name)| *name)),
            }
        }
        rest
    }

    /// For names with one beginning and one end: shows each from where it differs
    /// from those beside it in the order of the alphabet.
    fn claim_unique_windows(&mut self, mut names: Vec<&'a str>) -> Vec<&'a str> {
        names.sort_unstable();
        let differs: HashMap<&str, usize> = names
            .iter()
            .enumerate()
            .map(|(i, name)| {
                let before = i.checked_sub(1).map_or(0, |i| common_start(names[i], name));
                let after = names.get(i + 1).map_or(0, |next| common_start(name, next));
                (*name, before.max(after))
            })
            .collect();
        let (width, drawing) = (self.width, self.drawing);
        self.claim_unique(names, |name| {
            let at = differs.get(name).copied().unwrap_or(0);
            shown_from(name, at, width, drawing)
        })
    }

    /// The beginning of each name and a number that no other has.
    fn number(&mut self, names: impl Iterator<Item = &'a str>) {
        let mut number: u64 = 0;
        for name in names {
            let text = printable(name);
            loop {
                number += 1;
                let end = format!("{}{number}", self.drawing.mark());
                let Some(room) = self.width.checked_sub(display_width(&end)) else {
                    let text = cut(&text, self.width, self.drawing).into_owned();
                    self.texts.insert(name, text);
                    break;
                };
                let numbered = format!("{}{end}", start_of(text.trim_end(), room));
                // Each number is tried once, so this ends.
                if self.claim(name, numbered) {
                    break;
                }
            }
        }
    }
}

/// The names without repetitions, in their order.
fn distinct<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut known = HashSet::new();
    let names = names.iter().copied();
    names.filter(|name| known.insert(*name)).collect()
}

/// Beginning and end of a name: `github_lis…_requests`.
fn shown_middle(name: &str, width: usize, drawing: Drawing) -> String {
    let text = printable(name);
    let Some(room) = width.checked_sub(display_width(drawing.mark())) else {
        return cut(&text, width, drawing).into_owned();
    };
    let start = start_of(&text, room - room / 2);
    let end = end_of(&text, room - display_width(start));
    joined([start, end], width, drawing)
}

/// A little of a name's beginning, and what it has from a byte on.
fn shown_from(name: &str, at: usize, width: usize, drawing: Drawing) -> String {
    // Controls become a blank of another length, so each part is made fit alone.
    let at = (0..=at.min(name.len()))
        .rev()
        .find(|at| name.is_char_boundary(*at));
    let (start, rest) = name.split_at(at.unwrap_or(0));
    let (start, rest) = (printable(start), printable(rest));
    let mark_width = display_width(drawing.mark());
    let Some(room) = width.checked_sub(mark_width) else {
        return cut(&rest, width, drawing).into_owned();
    };
    let start = start_of(&start, room / 3);
    let rest = cut(&rest, room - display_width(start), drawing);
    joined([start, &rest], width, drawing)
}

fn joined(parts: [&str; 2], width: usize, drawing: Drawing) -> String {
    let text = parts.join(drawing.mark());
    // Parts may join to more columns than they have alone.
    match cut(&text, width, drawing) {
        Cow::Borrowed(_) => text,
        Cow::Owned(cut) => cut,
    }
}

/// Bytes that two names begin with alike.
fn common_start(a: &str, b: &str) -> usize {
    let pairs = a.bytes().zip(b.bytes());
    pairs.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(names: &[&str], width: usize, expected: &[&str]) {
        assert_eq!(shorten(names, width, Drawing::Unicode), expected);
    }

    #[test]
    fn names_are_shortened_where_they_are_alike() {
        check(&["echo", "add"], 4, &["echo", "add"]);
        check(
            &[
                "github_list_pull_requests",
                "github_list_pull_request_reviews",
                "github_list_pull_request_comments",
            ],
            20,
            &[
                "github_lis…_requests",
                "github_lis…t_reviews",
                "github_lis…_comments",
            ],
        );
        // One beginning and one end: from where they differ.
        check(
            &[
                "github_list_open_pull_requests_by_user",
                "github_list_closed_pull_requests_by_user",
                "github_list_merged_pull_requests_by_user",
            ],
            20,
            &[
                "github…open_pull_re…",
                "github…closed_pull_…",
                "github…merged_pull_…",
            ],
        );
    }

    #[test]
    fn what_cannot_be_told_otherwise_is_numbered() {
        check(&["abQd", "abYd"], 2, &["…1", "…2"]);
        check(&["abQd", "abYd"], 1, &["…", "…"]);
    }

    #[test]
    fn controls_do_not_make_names_alike() {
        check(&["a\u{1}b", "a\u{2}b"], 10, &["a b", "a b…1"]);
        check(&["x", "x\u{200b}"], 10, &["x", "x…1"]);
    }

    #[test]
    fn without_unicode_the_mark_is_three_dots() {
        let shown = shorten(
            &["github_list_pulls", "github_list_issues"],
            12,
            Drawing::Ascii,
        );
        assert_eq!(shown, ["githu...ulls", "githu...sues"]);
    }

    #[test]
    fn two_thousand_names_of_one_prefix_stay_apart() {
        let prefix = "a_server_with_one_very_long_prefix_".repeat(20);
        let names: Vec<String> = (0..2_000)
            .map(|i| format!("{prefix}{i}_{prefix}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let shown = shorten(&names, 20, Drawing::Unicode);
        assert_eq!(
            distinct(&shown.iter().map(String::as_str).collect::<Vec<_>>()).len(),
            2_000
        );
    }

    proptest! {
        #![proptest_config(crate::seeds::cases(64, 256))]

        #[test]
        fn distinct_names_stay_distinct_and_keep_the_width(
            names in prop::collection::vec(
                prop_oneof!["[ab]{0,30}", "(tool_|道具){0,6}[a-c👩‍👧é\u{301}]{0,4}(_x){0,9}", any::<String>()],
                0..40,
            ),
            width in 0_usize..30,
            is_ascii: bool,
        ) {
            let drawing = if is_ascii { Drawing::Ascii } else { Drawing::Unicode };
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let shown = shorten(&names, width, drawing);
            prop_assert_eq!(shown.len(), names.len());
            let mut by_text: HashMap<&str, &str> = HashMap::new();
            for (name, text) in names.iter().zip(&shown) {
                prop_assert!(display_width(text) <= width, "{text:?}");
                // A mark and two digits tell forty names apart.
                if width >= drawing.mark().chars().count() + 2 {
                    let other = by_text.insert(text, name).unwrap_or(name);
                    prop_assert_eq!(other, *name, "{}", text);
                }
            }
        }
    }
}
