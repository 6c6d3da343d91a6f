//! Picks a few members out of a JSON object without building the rest.
//!
//! Of a member that occurs twice the last counts, as in JavaScript. Knows nothing of
//! MCP.

use std::ops::ControlFlow;

use super::scan::Scan;

/// The texts of the named members of a JSON object; `None` for one that is
/// absent or `null`. `None` in all where the text is not a JSON object.
pub fn read_fields<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut fields = [None; N];
    Scan::whole(text, |scan| {
        scan.object(|scan, name| {
            match names.iter().position(|wanted| *wanted == name) {
                Some(at) => fields[at] = Some(scan.value()?).filter(|value| *value != "null"),
                None => scan.skip()?,
            }
            Some(())
        })
    })?;
    Some(fields)
}

/// How much of a list was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// All of it, or as much as was wanted.
    Enough,
    /// Only its first elements: it has more than may be looked at.
    Cut,
}

/// Looks at the first elements of a JSON array, `n_max` at most, each as text,
/// until one says that it is enough. `None` where the text is not a JSON array;
/// what lies beyond `n_max` elements is not looked at, not even for that.
pub fn look_at_elements<'a>(
    text: &'a str,
    n_max: usize,
    mut look: impl FnMut(&'a str) -> ControlFlow<()>,
) -> Option<Looked> {
    let mut is_wanted = true;
    // What is known where elements are left that were not read.
    let mut left_unread = None;
    let read = Scan::whole(text, |scan| {
        scan.array(|scan, n_before| {
            if n_before == n_max {
                left_unread = Some(if is_wanted {
                    Looked::Cut
                } else {
                    Looked::Enough
                });
                return None;
            }
            let element = scan.value()?;
            // Whether it is JSON matters beyond what is wanted.
            is_wanted = is_wanted && look(element).is_continue();
            Some(())
        })
    });
    left_unread.or(read.map(|()| Looked::Enough))
}

/// The first members of a JSON object in order, `n_max` at most, each value as
/// text, and how many there are.
pub fn read_members(text: &str, n_max: usize) -> Option<(Vec<(String, &str)>, usize)> {
    let mut members = Vec::new();
    let mut n_members = 0;
    Scan::whole(text, |scan| {
        scan.object(|scan, name| {
            n_members += 1;
            if members.len() == n_max {
                return scan.skip();
            }
            members.push((name.to_string(), scan.value()?));
            Some(())
        })
    })?;
    Some((members, n_members))
}

/// The value of a JSON string.
pub(super) fn read_string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// The text of a JSON value: what is borrowed renders without fail.
pub fn json_text<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("strings, maps of JSON values and our own structs render")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_members_in_any_order() {
        assert_eq!(
            read_fields(
                r#" {"b":[1, 2],"x":{"a":9},"\u0061":"t"} "#,
                ["a", "b", "c"]
            ),
            Some([Some(r#""t""#), Some("[1, 2]"), None])
        );
        assert_eq!(
            read_fields(r#"{"a":1,"a":2,"b":null}"#, ["a", "b"]),
            Some([Some("2"), None])
        );
        assert_eq!(read_fields("[]", ["a"]), None);
        assert_eq!(read_fields("{} {}", ["a"]), None);
    }

    #[test]
    fn deep_nesting_is_skipped_without_recursion() {
        let depth = 200_000;
        let bomb = format!(
            r#"{{"x":{}{},"a":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth),
            "[".repeat(depth),
            "]".repeat(depth)
        );
        let fields = read_fields(&bomb, ["a"]).expect("an object");
        assert_eq!(fields[0].map(str::len), Some(2 * depth));
    }

    #[test]
    fn members_keep_their_order() {
        assert_eq!(
            read_members(r#"{"z":1,"a":{"b":2}}"#, 2),
            Some((
                vec![("z".to_string(), "1"), ("a".to_string(), r#"{"b":2}"#)],
                2
            ))
        );
        assert_eq!(
            read_members(r#"{"z":1,"a":2,"b":3}"#, 1),
            Some((vec![("z".to_string(), "1")], 3))
        );
        assert_eq!(read_members(r#"{"z":1,"a"}"#, 1), None);
        assert_eq!(read_members("{}", 0), Some((vec![], 0)));
    }

    fn first_elements(text: &str, n_max: usize) -> Option<(Vec<&str>, Looked)> {
        let mut elements = Vec::new();
        let looked = look_at_elements(text, n_max, |element| {
            elements.push(element);
            match element {
                "null" => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        Some((elements, looked?))
    }

    #[test]
    fn elements_are_looked_at_up_to_a_bound() {
        for (text, n_max, expected) in [
            ("[]", 0, Some((vec![], Looked::Enough))),
            (" [1, {} ] ", 2, Some((vec!["1", "{}"], Looked::Enough))),
            ("[1,2,3]", 2, Some((vec!["1", "2"], Looked::Cut))),
            // The bound is where the looking ends, whatever follows.
            ("[1,2,3,]", 2, Some((vec!["1", "2"], Looked::Cut))),
            ("[1,null,3]", 3, Some((vec!["1", "null"], Looked::Enough))),
            ("[1,null,3,4]", 2, Some((vec!["1", "null"], Looked::Enough))),
            ("[1,null,3,4", 2, Some((vec!["1", "null"], Looked::Enough))),
            ("[1,null,3,4", 4, None),
            ("[1,2", 2, None),
            ("[1] 2", 2, None),
            ("{}", 2, None),
        ] {
            assert_eq!(first_elements(text, n_max), expected, "{text}");
        }
    }
}
