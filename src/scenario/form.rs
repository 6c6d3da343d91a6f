//! What a key of a config accepts: how it is read, and what its schema says of it,
//! side by side, so that the two say the same.
//!
//! Tables of keys are declared with `keys!`: each line is a key with its meaning,
//! its type and its [`KeyForm`]. It knows no key itself. A schema is for editors: where
//! it cannot say all that the reader demands, it accepts more, never less.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};

use super::document::{Entry, Field, Table};
use super::shown::Shown;
use crate::units;

/// What a key accepts.
pub(super) trait KeyForm {
    /// What its value becomes.
    type Value;

    /// Reads it; `None`: it is at fault, which is reported.
    fn read(&self, entry: &Entry<'_>) -> Option<Self::Value>;

    /// What JSON Schema says of it.
    fn schema(&self) -> Value;

    /// What is accepted, in words, where it has to be there.
    fn accepted(&self) -> String {
        String::new()
    }
}

/// Which keys of a table are read.
#[derive(Clone, Copy)]
pub(super) enum Which<'k> {
    /// All that are there.
    Given,
    /// All, and each has to be there.
    Required,
    /// These, of those that are there.
    Of(&'k [&'static str]),
    /// These, and all others are known: what is at fault is something else.
    Known(&'k [&'static str]),
}

/// A key, for the schema.
pub(super) struct Property {
    pub(super) key: &'static str,
    /// What it means, for people.
    meaning: &'static str,
    schema: Value,
}

impl Property {
    pub(super) fn of(key: &'static str, meaning: &'static str, form: &impl KeyForm) -> Self {
        Self {
            key,
            meaning,
            schema: form.schema(),
        }
    }
}

/// A table of keys, as `keys!` declares it.
pub(super) trait Keys: Sized {
    /// Reads them.
    fn read(table: &mut Table<'_>, which: Which<'_>) -> Self;

    /// All of them.
    fn properties() -> Vec<Property>;
}

/// Declares a table of keys: a struct with a field for each, and how they are read
/// and described. The doc comment of a key is its description in the schema.
macro_rules! keys {
    ($(#[$attribute:meta])* struct $name:ident {
        $($(#[doc = $text:literal])* $key:ident: $type:ty = $form:expr,)*
    }) => {
        $(#[$attribute])*
        #[derive(Default)]
        pub(super) struct $name {
            $($(#[doc = $text])* pub(super) $key: Field<$type>,)*
        }

        impl Keys for $name {
            fn read(table: &mut Table<'_>, which: Which<'_>) -> Self {
                Self {
                    $($key: read_key(table, stringify!($key), &$form, which),)*
                }
            }

            fn properties() -> Vec<Property> {
                vec![$(Property::of(stringify!($key), concat!($($text),*), &$form),)*]
            }
        }
    };
}
pub(super) use keys;

/// Reads one key, if it is among those to be read.
pub(super) fn read_key<F: KeyForm>(
    table: &mut Table<'_>,
    key: &'static str,
    form: &F,
    which: Which<'_>,
) -> Field<F::Value> {
    match which {
        Which::Given => table.read(key, |entry| form.read(entry)),
        Which::Required => table.require(key, &form.accepted(), |entry| form.read(entry)),
        Which::Of(keys) if keys.contains(&key) => table.read(key, |entry| form.read(entry)),
        Which::Of(_) => Field::default(),
        Which::Known(keys) if !keys.contains(&key) => {
            table.take(key);
            Field::default()
        }
        Which::Known(_) => table.read(key, |entry| form.read(entry)),
    }
}

/// The schema of a table that has these keys and no others.
pub(super) fn object(properties: Vec<Property>, required: &[&str]) -> Value {
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": {} });
    for property in properties {
        let mut of_key = json!({ "description": property.meaning.trim() });
        if let (Value::Object(all), Value::Object(own)) = (&mut of_key, property.schema) {
            all.extend(own);
        }
        schema["properties"][property.key] = of_key;
    }
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// The schema of a text of this pattern, or one with a reference to the environment.
fn text_of(pattern: &str, examples: &[&str]) -> Value {
    json!({
        "type": "string",
        "pattern": format!(r"^\s*(?:{pattern})\s*$|\$\{{"),
        "examples": examples,
    })
}

/// The address of a server, which is no secret where it names the server.
pub(super) struct AddressText;

impl KeyForm for AddressText {
    type Value = Shown<String>;

    fn read(&self, entry: &Entry<'_>) -> Option<Self::Value> {
        entry.address()
    }

    fn schema(&self) -> Value {
        json!({ "type": "string" })
    }
}

/// A text that may hold secrets, where an empty one makes no sense; with what is accepted,
/// in words.
pub(super) struct Name(pub(super) &'static str);

impl KeyForm for Name {
    type Value = Shown<String>;

    fn read(&self, entry: &Entry<'_>) -> Option<Self::Value> {
        entry.name(self.0)
    }

    fn schema(&self) -> Value {
        json!({ "type": "string", "pattern": r"\S" })
    }

    fn accepted(&self) -> String {
        self.0.to_string()
    }
}

/// The same, where it may hold templates: its value is their canonical form.
pub(super) struct TemplateName(pub(super) &'static str);

impl KeyForm for TemplateName {
    type Value = Shown<String>;

    fn read(&self, entry: &Entry<'_>) -> Option<Self::Value> {
        entry.template_name(self.0)
    }

    fn schema(&self) -> Value {
        Name(self.0).schema()
    }
}

/// `true` or `false`.
pub(super) struct Truth;

impl KeyForm for Truth {
    type Value = bool;

    fn read(&self, entry: &Entry<'_>) -> Option<bool> {
        entry.truth()
    }

    fn schema(&self) -> Value {
        json!({ "type": "boolean" })
    }
}

/// A whole number within bounds.
pub(super) struct Whole<T>(pub(super) RangeInclusive<T>);

impl<T: Copy + Into<u64> + TryFrom<u64>> KeyForm for Whole<T> {
    type Value = T;

    fn read(&self, entry: &Entry<'_>) -> Option<T> {
        entry.whole(self.0.clone())
    }

    fn schema(&self) -> Value {
        let (low, high): (u64, u64) = ((*self.0.start()).into(), (*self.0.end()).into());
        let mut schema = json!({ "type": "integer", "minimum": low });
        if high < u64::MAX {
            schema["maximum"] = json!(high);
        }
        schema
    }
}

/// A whole number of some unit of time.
pub(super) struct WholeTime {
    pub(super) bounds: RangeInclusive<u64>,
    pub(super) unit: fn(u64) -> Duration,
}

impl KeyForm for WholeTime {
    type Value = Duration;

    fn read(&self, entry: &Entry<'_>) -> Option<Duration> {
        Whole(self.bounds.clone()).read(entry).map(self.unit)
    }

    fn schema(&self) -> Value {
        Whole(self.bounds.clone()).schema()
    }
}

/// A number within bounds.
pub(super) struct Fraction(pub(super) RangeInclusive<f64>);

impl KeyForm for Fraction {
    type Value = f64;

    fn read(&self, entry: &Entry<'_>) -> Option<f64> {
        entry.number(self.0.clone())
    }

    fn schema(&self) -> Value {
        json!({ "type": "number", "minimum": self.0.start(), "maximum": self.0.end() })
    }

    fn accepted(&self) -> String {
        format!("a number from {} to {}", self.0.start(), self.0.end())
    }
}

/// A duration as text.
pub(super) struct Length {
    pub(super) above_zero: bool,
}

impl KeyForm for Length {
    type Value = Duration;

    fn read(&self, entry: &Entry<'_>) -> Option<Duration> {
        match self.above_zero {
            true => entry.duration_above_zero(),
            false => entry.duration(),
        }
    }

    fn schema(&self) -> Value {
        let mut schema = text_of(units::DURATION_PATTERN, &["30s", "1m30s", "250ms"]);
        if self.above_zero {
            schema["allOf"] = json!([{ "pattern": r"[1-9]|\$\{" }]);
        }
        schema
    }

    fn accepted(&self) -> String {
        units::DURATION_FORM.to_string()
    }
}

/// One of some words.
pub(super) struct Words<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy> KeyForm for Words<T> {
    type Value = T;

    fn read(&self, entry: &Entry<'_>) -> Option<T> {
        entry.word(self.0)
    }

    fn schema(&self) -> Value {
        words(self.0.iter().map(|(word, _)| *word))
    }
}

/// The schema of one of these words.
pub(super) fn words<'w>(words: impl Iterator<Item = &'w str>) -> Value {
    let words: Vec<&str> = words.collect();
    json!({
        "type": "string",
        "anyOf": [{ "enum": words }, { "pattern": r"\$\{" }],
    })
}

/// A quantity as text.
pub(super) struct Quantity<T> {
    /// In words.
    pub(super) accepted: &'static str,
    /// What all of it matches, but for blanks around it.
    pub(super) pattern: &'static str,
    pub(super) examples: &'static [&'static str],
    pub(super) parse: fn(&str) -> Option<T>,
}

impl<T> KeyForm for Quantity<T> {
    type Value = T;

    fn read(&self, entry: &Entry<'_>) -> Option<T> {
        entry.parse(self.accepted, self.parse)
    }

    fn schema(&self) -> Value {
        text_of(self.pattern, self.examples)
    }
}

/// What has a form of its own.
pub(super) struct Own<T> {
    pub(super) read: fn(&Entry<'_>) -> Option<T>,
    pub(super) schema: fn() -> Value,
}

impl<T> KeyForm for Own<T> {
    type Value = T;

    fn read(&self, entry: &Entry<'_>) -> Option<T> {
        (self.read)(entry)
    }

    fn schema(&self) -> Value {
        (self.schema)()
    }
}
