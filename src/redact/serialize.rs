//! Serialises anything without its secrets: the texts in it, at any depth. Names
//! of fields and variants are the program's own, and so are keys of maps and the
//! texts of [`own`] fields; keys that strangers choose are marked by
//! [`strangers_keys`].

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::Redactor;

/// A value that is serialised without secrets.
#[derive(Debug)]
pub struct Redacted<'a, T: ?Sized> {
    value: &'a T,
    redactor: &'a Redactor,
    /// Of the map that the value is.
    cleans_keys: bool,
}

impl<'a, T: ?Sized> Redacted<'a, T> {
    /// The value with what is to be taken out.
    pub fn new(value: &'a T, redactor: &'a Redactor) -> Self {
        Self {
            value,
            redactor,
            cleans_keys: false,
        }
    }
}

impl<T: Serialize + ?Sized> Serialize for Redacted<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Cleaning {
            inner: serializer,
            redactor: self.redactor,
            cleans_keys: self.cleans_keys,
        })
    }
}

/// The mark of a text that the program words itself. JSON does not show it.
const OWN: &str = "pmcp::own";

/// The mark of a map whose keys strangers choose.
const STRANGERS_KEYS: &str = "pmcp::strangers_keys";

/// For `serialize_with`: a field that the program words itself, such as a time.
/// It is written as it is, though a secret may be spelled alike.
///
/// # Errors
/// Those of the serializer.
pub fn own<T: Serialize, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(OWN, value)
}

/// For `serialize_with`: a map by names that a server or a user chose. Its keys
/// are cleaned like any text.
///
/// # Errors
/// Those of the serializer.
pub fn strangers_keys<T: Serialize, S: Serializer>(
    map: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(STRANGERS_KEYS, map)
}

/// Passes all on, texts cleaned.
struct Cleaning<'a, S> {
    inner: S,
    redactor: &'a Redactor,
    cleans_keys: bool,
}

impl<'a, S> Cleaning<'a, S> {
    fn of<'v, T: ?Sized>(&self, value: &'v T) -> Redacted<'v, T>
    where
        'a: 'v,
    {
        Redacted::new(value, self.redactor)
    }
}

/// Values that hold no text.
macro_rules! passed_on {
    ($($method:ident($($name:ident: $kind:ty),*);)*) => {$(
        fn $method(self, $($name: $kind),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($name),*)
        }
    )*};
}

/// The beginnings of compounds.
macro_rules! begun {
    ($($method:ident($($name:ident: $kind:ty),*) -> $compound:ident;)*) => {$(
        fn $method(self, $($name: $kind),*) -> Result<Self::$compound, S::Error> {
            Ok(Cleaning {
                inner: self.inner.$method($($name),*)?,
                redactor: self.redactor,
                cleans_keys: self.cleans_keys,
            })
        }
    )*};
}

impl<'a, S: Serializer> Serializer for Cleaning<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Cleaning<'a, S::SerializeSeq>;
    type SerializeTuple = Cleaning<'a, S::SerializeTuple>;
    type SerializeTupleStruct = Cleaning<'a, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Cleaning<'a, S::SerializeTupleVariant>;
    type SerializeMap = Cleaning<'a, S::SerializeMap>;
    type SerializeStruct = Cleaning<'a, S::SerializeStruct>;
    type SerializeStructVariant = Cleaning<'a, S::SerializeStructVariant>;

    passed_on! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    begun! {
        serialize_seq(len: Option<usize>) -> SerializeSeq;
        serialize_tuple(len: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct;
        serialize_struct_variant(
            name: &'static str, index: u32, variant: &'static str, len: usize
        ) -> SerializeStructVariant;
    }

    fn serialize_str(self, text: &str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_str(&self.redactor.cleaned(text))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let value = Redacted::new(value, self.redactor);
        self.inner.serialize_some(&value)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        if name == OWN {
            return self.inner.serialize_newtype_struct(name, value);
        }
        let value = Redacted {
            cleans_keys: name == STRANGERS_KEYS,
            ..Redacted::new(value, self.redactor)
        };
        self.inner.serialize_newtype_struct(name, &value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = Redacted::new(value, self.redactor);
        self.inner
            .serialize_newtype_variant(name, index, variant, &value)
    }
}

/// Compounds whose elements have no names.
macro_rules! elements {
    ($($kind:ident: $method:ident),* $(,)?) => {$(
        impl<S: $kind> $kind for Cleaning<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
                let value = self.of(value);
                self.inner.$method(&value)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

elements! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

/// Compounds whose fields the program named.
macro_rules! fields {
    ($($kind:ident),* $(,)?) => {$(
        impl<S: $kind> $kind for Cleaning<'_, S> {
            type Ok = S::Ok;
            type Error = S::Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), S::Error> {
                let value = self.of(value);
                self.inner.serialize_field(name, &value)
            }

            fn end(self) -> Result<S::Ok, S::Error> {
                self.inner.end()
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl<S: SerializeMap> SerializeMap for Cleaning<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), S::Error> {
        match self.cleans_keys {
            true => self.inner.serialize_key(&Redacted::new(key, self.redactor)),
            false => self.inner.serialize_key(key),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), S::Error> {
        let value = self.of(value);
        self.inner.serialize_value(&value)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.inner.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(serde::Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Secret,
        Told { text: String },
        Pair(String, u8),
        One(String),
    }

    #[derive(serde::Serialize)]
    struct All {
        secret: Option<String>,
        none: Option<String>,
        kinds: Vec<Kind>,
        #[serde(serialize_with = "strangers_keys")]
        by_name: BTreeMap<String, BTreeMap<String, f64>>,
        #[serde(serialize_with = "own")]
        at: String,
        pair: (String, bool),
        value: serde_json::Value,
    }

    #[test]
    fn texts_are_cleaned_and_our_own_names_are_not() {
        let text = || "a secret word".to_string();
        let all = All {
            secret: Some(text()),
            none: None,
            kinds: vec![
                Kind::Secret,
                Kind::Told { text: text() },
                Kind::Pair(text(), 1),
                Kind::One(text()),
            ],
            by_name: BTreeMap::from([(text(), BTreeMap::from([("secret".to_string(), 0.1)]))]),
            at: text(),
            pair: (text(), true),
            value: json!({"secret": [text(), 1, null]}),
        };
        let redactor = Redactor::new(["secret"]);
        let cleaned = serde_json::to_value(Redacted::new(&all, &redactor)).expect("JSON");
        let hidden = "a *** word";
        assert_eq!(
            cleaned,
            json!({
                "secret": hidden,
                "none": null,
                "kinds": ["secret", {"told": {"text": hidden}}, {"pair": [hidden, 1]}, {"one": hidden}],
                "by_name": {hidden: {"secret": 0.1}},
                "at": "a secret word",
                "pair": [hidden, true],
                "value": {"secret": [hidden, 1, null]},
            })
        );
    }
}
