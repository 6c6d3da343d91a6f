//! Paths of members and elements: the usual ones. They are followed in the text in one
//! pass, and nothing is built of it.
//!
//! Of a member that occurs twice the last counts, as in JavaScript. Recursion is bounded
//! by the path's length, not by the text: what is not on the way is skipped iteratively.

use std::ops::ControlFlow;

use crate::protocol::{Scan, excerpt, look_at_elements, read_members};

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hop {
    /// The member of this name.
    Member(String),
    /// The element at this place, from 0.
    Element(usize),
}

/// The text of the value there, in what is known to be JSON; `None` where there is none.
pub(super) fn find<'a>(steps: &[Hop], json: &'a str) -> Option<&'a str> {
    walk(&mut Scan::new(json), steps).flatten()
}

/// Goes beyond the next value, and finds what is on the way in it; `None`: there is none.
fn walk<'a>(scan: &mut Scan<'a>, steps: &[Hop]) -> Option<Option<&'a str>> {
    let [step, rest @ ..] = steps else {
        return scan.extent(Scan::skip_known).map(Some);
    };
    let mut found = None;
    match (step, scan.peek()?) {
        (Hop::Member(wanted), b'{') => scan.object(|scan, name| {
            if name != wanted {
                return scan.skip_known();
            }
            found = walk(scan, rest)?;
            Some(())
        })?,
        (Hop::Element(wanted), b'[') => scan.array(|scan, n_before| {
            if n_before != *wanted {
                return scan.skip_known();
            }
            found = walk(scan, rest)?;
            Some(())
        })?,
        _ => scan.skip_known()?,
    }
    Some(found)
}

/// How many names are told of an object.
const N_NAMES_MAX: usize = 10;

/// What is where a path ended that finds nothing, in words.
pub(super) fn what_is_there(hops: &[Hop], json: &str) -> String {
    let is_found = |n: &usize| find(&hops[..*n], json).is_some();
    let n_found = (0..hops.len()).rev().find(is_found);
    let Some((n_found, there)) =
        n_found.and_then(|n| find(&hops[..n], json).map(|there| (n, there)))
    else {
        return match find(&[], json) {
            Some(there) => in_words(there),
            None => "no result".to_string(),
        };
    };
    let mut place = "$".to_string();
    for hop in &hops[..n_found] {
        match hop {
            Hop::Member(name) => place.push_str(&format!(".{name}")),
            Hop::Element(at) => place.push_str(&format!("[{at}]")),
        }
    }
    format!("`{place}` is {}", in_words(there))
}

/// `an object with a, b and 3 more`, `an array of 2`, or the value.
fn in_words(json: &str) -> String {
    match json.as_bytes().first() {
        Some(b'{') => {
            let (members, n_members) = read_members(json, N_NAMES_MAX).unwrap_or_default();
            let names = members.iter().map(|(name, _)| short(name));
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            match n_members - names.len() {
                _ if names.is_empty() => "an empty object".to_string(),
                0 => format!("an object with {}", names.join(", ")),
                n_more => format!("an object with {} and {n_more} more", names.join(", ")),
            }
        }
        Some(b'[') => {
            let mut n_elements = 0_u64;
            let looked = look_at_elements(json, usize::MAX, |_| {
                n_elements += 1;
                ControlFlow::Continue(())
            });
            match looked {
                Some(_) if n_elements > 0 => format!("an array of {n_elements}"),
                _ => "an empty array".to_string(),
            }
        }
        _ => format!("`{}`", short(json)),
    }
}

/// At most 100 characters of a text, on one line.
fn short(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    let shown = excerpt(text.as_bytes());
    match shown.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}
