//! Picks a few members out of a JSON object without building the rest.
//!
//! Skipping is iterative in `serde_json`, so that no nesting overflows the
//! stack. Of a member that occurs twice the last counts, as in JavaScript.
//! Knows nothing of MCP.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The texts of the named members of a JSON object; `None` for one that is
/// absent or `null`. `None` in all where the text is not a JSON object.
pub(super) fn read_fields<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let fields = Fields(names).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(fields)
}

/// The elements of a JSON array, each as text.
pub(super) fn read_elements(text: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// The members of a JSON object in order, each value as text.
pub(super) fn read_members(text: &str) -> Option<Vec<(String, &str)>> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de str)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                members.push((name, value.get()));
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer.deserialize_map(Members).ok()?;
    deserializer.end().ok()?;
    Some(members)
}

/// The value of a JSON string.
pub(super) fn read_string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// The text of a JSON value: what is borrowed renders without fail.
pub(super) fn json_text<T: serde::Serialize + ?Sized>(value: &T) -> String {
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
            read_members(r#"{"z":1,"a":{"b":2}}"#),
            Some(vec![
                ("z".to_string(), "1"),
                ("a".to_string(), r#"{"b":2}"#)
            ])
        );
    }
}
