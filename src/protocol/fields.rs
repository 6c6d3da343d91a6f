//! Picks a few members out of a JSON object without building the rest.
//!
//! Skipping is iterative in `serde_json`, so that no nesting overflows the
//! stack. Of a member that occurs twice the last counts, as in JavaScript.
//! Knows nothing of MCP.

use std::fmt;
use std::ops::ControlFlow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The texts of the named members of a JSON object; `None` for one that is
/// absent or `null`. `None` in all where the text is not a JSON object.
pub fn read_fields<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = Fields(names).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
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
    look: impl FnMut(&'a str) -> ControlFlow<()>,
) -> Option<Looked> {
    let mut elements = Elements {
        n_left: n_max,
        look,
        left_unread: None,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = deserializer.deserialize_seq(&mut elements);
    match elements.left_unread {
        // The parser takes it for a fault that there is more.
        Some(looked) => Some(looked),
        None => read
            .and_then(|()| deserializer.end())
            .ok()
            .map(|()| Looked::Enough),
    }
}

struct Elements<F> {
    n_left: usize,
    look: F,
    /// What is known where elements are left that were not read.
    left_unread: Option<Looked>,
}

impl<'de, F: FnMut(&'de str) -> ControlFlow<()>> Visitor<'de> for &mut Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut is_wanted = true;
        while is_wanted {
            let Some(element) = seq.next_element::<&'de RawValue>()? else {
                return Ok(());
            };
            if self.n_left == 0 {
                self.left_unread = Some(Looked::Cut);
                return Ok(());
            }
            self.n_left -= 1;
            is_wanted = (self.look)(element.get()).is_continue();
        }
        // Whether it is JSON still matters.
        while seq.next_element::<IgnoredAny>()?.is_some() {
            if self.n_left == 0 {
                self.left_unread = Some(Looked::Enough);
                return Ok(());
            }
            self.n_left -= 1;
        }
        Ok(())
    }
}

/// The first members of a JSON object in order, `n_max` at most, each value as
/// text, and how many there are.
pub fn read_members(text: &str, n_max: usize) -> Option<(Vec<(String, &str)>, usize)> {
    struct Members(usize);
    impl<'de> Visitor<'de> for Members {
        type Value = (Vec<(String, &'de str)>, usize);

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while members.len() < self.0 {
                let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? else {
                    let n_members = members.len();
                    return Ok((members, n_members));
                };
                members.push((name, value.get()));
            }
            let mut n_members = members.len();
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                n_members += 1;
            }
            Ok((members, n_members))
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Members(n_max)).ok()?;
    deserializer.end().ok()?;
    Some(members)
}

/// The value of a JSON string.
pub(super) fn read_string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// The text of a JSON value: what is borrowed renders without fail.
pub fn json_text<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("strings, maps of JSON values and our own structs render")
}

/// Which of the names a key is; names are compared after escapes are undone.
#[derive(Clone, Copy)]
pub(super) struct KeyIndex<'n>(pub(super) &'n [&'n str]);

impl<'de> DeserializeSeed<'de> for KeyIndex<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIndex<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

struct Fields<'n, const N: usize>([&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Fields<'_, N> {
    type Value = [Option<&'de str>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Fields<'_, N> {
    type Value = [Option<&'de str>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = [None; N];
        while let Some(index) = map.next_key_seed(KeyIndex(&self.0))? {
            match index {
                Some(index) => {
                    let raw: &'de RawValue = map.next_value()?;
                    fields[index] = Some(raw.get()).filter(|text| *text != "null");
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
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
