//! Where in a call its marker goes (`isolation`).

use serde_json::{Map, Value};

use crate::json_schema::WideNumbers;
use crate::protocol::Arguments;
use crate::template::Expression;

/// The most names of the path to an argument.
const NAMES_MAX: usize = 8;

/// Where in a call its marker goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkedPlace {
    /// Into the first argument that takes any text: which it is, the server's list tells.
    First,
    /// Into the argument that these names lead to.
    Path(Vec<String>),
    /// Where the config has `{{isolation.marker}}`.
    AsWritten,
}

impl MarkedPlace {
    /// Reads names with dots between; `None` where one is empty or they are too many.
    pub(super) fn path(text: &str) -> Option<Self> {
        let names: Vec<String> = text.split('.').map(str::to_string).collect();
        let is_path = names.len() <= NAMES_MAX && names.iter().all(|name| !name.is_empty());
        is_path.then_some(Self::Path(names))
    }

    /// As the value of its key; `None` where there is no key.
    pub(super) fn to_json(&self) -> Option<Value> {
        match self {
            Self::First => Some(true.into()),
            Self::Path(names) => Some(names.join(".").into()),
            Self::AsWritten => None,
        }
    }
}

/// The arguments with a marker in the text that these names lead to, behind what it says;
/// a text that is not there is made. `None`: something else is there.
pub(crate) fn with_marker(arguments: Option<&Arguments>, names: &[String]) -> Option<Arguments> {
    let (last, objects) = names.split_last()?;
    let written = arguments.map_or("{}", Arguments::json);
    let mut all = arguments.map_or_else(Map::new, |it| it.values().clone());
    let mut object = &mut all;
    for name in objects {
        let inner = object
            .entry(name)
            .or_insert_with(|| Value::Object(Map::new()));
        object = inner.as_object_mut()?;
    }
    let marker = format!("{{{{{}}}}}", Expression::Marker);
    match object.get_mut(last) {
        None => _ = object.insert(last.clone(), marker.into()),
        Some(Value::String(text)) if text.is_empty() => *text = marker,
        Some(Value::String(text)) => *text = format!("{text} {marker}"),
        Some(_) => return None,
    }
    // All other numbers keep their digits.
    Arguments::read(&WideNumbers::of(&[written]).json(&all)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_goes_behind_what_an_argument_says() {
        let check = |json: &str, path: &str, expected: Option<&str>| {
            let Some(MarkedPlace::Path(names)) = MarkedPlace::path(path) else {
                panic!("{path} is not a path");
            };
            let arguments = Arguments::read(json).ok();
            let made = with_marker(arguments.as_ref(), &names);
            assert_eq!(
                made.as_ref().map(Arguments::json),
                expected,
                "{json} {path}"
            );
        };
        let wide = r#"{"n":12345678901234567890123,"text":"a"}"#;
        let marked = r#"{"n":12345678901234567890123,"text":"a {{isolation.marker}}"}"#;
        check(wide, "text", Some(marked));
        let made = r#"{"text":"{{isolation.marker}}"}"#;
        check("{}", "text", Some(made));
        check("none", "text", Some(made));
        check(r#"{"text":""}"#, "text", Some(made));
        let inner = r#"{"a":{"b":{"c":"{{isolation.marker}}"}}}"#;
        check("{}", "a.b.c", Some(inner));
        check(r#"{"a":{"b":{}}}"#, "a.b.c", Some(inner));
        for other in [r#"{"text":1}"#, r#"{"text":null}"#, r#"{"text":[]}"#] {
            check(other, "text", None);
        }
        check(r#"{"a":"text"}"#, "a.b", None);
    }

    #[test]
    fn a_path_is_some_names() {
        for path in ["", ".", "a.", ".a", "a..b", "a.b.c.d.e.f.g.h.i"] {
            assert_eq!(MarkedPlace::path(path), None, "{path}");
        }
        let path = MarkedPlace::path("a.b.c.d.e.f.g.h").expect("eight names");
        assert_eq!(path.to_json(), Some("a.b.c.d.e.f.g.h".into()));
    }
}
