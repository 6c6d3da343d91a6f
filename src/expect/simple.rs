//! Paths of members and elements: the usual ones. They are followed in the text in one
//! pass, and nothing is built of it.
//!
//! Of a member that occurs twice the last counts, as in JavaScript. Recursion is bounded
//! by the path's length, not by the text: what is not on the way is skipped iteratively.

use std::fmt;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::protocol::{excerpt, look_at_elements, read_members};

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hop {
    /// The member of this name.
    Member(String),
    /// The element at this place, from 0.
    Element(usize),
}

/// The text of the value there; `None` where there is none, or the text is not JSON.
pub(super) fn find<'a>(steps: &[Hop], json: &'a str) -> Option<&'a str> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let found = Walk(steps).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    found
}

#[derive(Clone, Copy)]
struct Walk<'p>(&'p [Hop]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Option<&'de str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => <&RawValue>::deserialize(deserializer).map(|value| Some(value.get())),
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Option<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (wanted, rest) = match self.0 {
            [Hop::Member(name), rest @ ..] => (Some(name.as_str()), rest),
            rest => (None, rest),
        };
        let mut found = None;
        while let Some(is_wanted) = map.next_key_seed(IsName(wanted))? {
            match is_wanted {
                true => found = map.next_value_seed(Walk(rest))?,
                false => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        if let [Hop::Element(at), rest @ ..] = self.0 {
            let mut n_before = 0;
            while n_before < *at && seq.next_element::<IgnoredAny>()?.is_some() {
                n_before += 1;
            }
            if n_before == *at {
                found = seq.next_element_seed(Walk(rest))?.flatten();
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Whether a key is the name; escapes are undone first.
struct IsName<'n>(Option<&'n str>);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(self.0 == Some(key))
    }
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
            None if json.is_empty() => "no result".to_string(),
            None => format!("what is not JSON: {}", excerpt(json.as_bytes())),
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
