//! Where in an answer a value is: `$.items[0].id`, `$.content[0].text | json | $.id`,
//! `$.url | regex id=(\d+)`, `header x-request-id`.
//!
//! A source is stages in order. Each has what the stage before it found, and what it
//! finds is JSON, too: of several finds the first in document order counts.

use std::borrow::Cow;
use std::fmt;

use super::simple::{self, Hop};
use super::{Answer, TextPattern};
use crate::protocol::{excerpt, json_text};

/// The longest value that is taken, in bytes of its JSON: one is kept for each user.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The longest text in which a value is looked for otherwise than by a simple path, in
/// bytes of its JSON.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The most steps of a path.
const STEPS_MAX: usize = 64;

/// Where in an answer a value is.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    text: String,
    /// The name of the header that the first stage has the value of; `None`: it has the
    /// answer's result.
    header: Option<String>,
    stages: Vec<Stage>,
}

/// What is done with what was found so far.
#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Path(Vec<Hop>),
    /// What a text holds is JSON itself.
    Json,
    Regex(TextPattern),
}

/// What is wrong with the text of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFault {
    /// A lower-case fragment with values in backticks.
    pub what: String,
    /// Where in the text it is, in bytes.
    pub at: usize,
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Why nothing was found: what was there instead. Names and values are the server's: the
/// caller takes secrets out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoMatch(String);

impl fmt::Display for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Source {
    /// Reads a source as a config has it.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, SourceFault> {
        let mut source = Self {
            text: text.to_string(),
            header: None,
            stages: Vec::new(),
        };
        for (at, part) in parts(text) {
            let fault = |what: String| Err(SourceFault { what, at });
            let is_first = source.header.is_none() && source.stages.is_empty();
            if let Some(name) = part.strip_prefix("header ") {
                let name = name.trim();
                if !is_first || name.is_empty() {
                    return fault("`header NAME` stands first and alone".to_string());
                }
                source.header = Some(name.to_ascii_lowercase());
            } else if part.starts_with('$') {
                let steps = simple_steps(part).filter(|steps| steps.len() <= STEPS_MAX);
                let Some(steps) = steps else {
                    return fault(format!("`{part}` is no path of members and elements"));
                };
                source.stages.push(Stage::Path(steps));
            } else if part == "json" && !is_first {
                source.stages.push(Stage::Json);
            } else if let Some(pattern) = part.strip_prefix("regex ").filter(|_| !is_first) {
                match TextPattern::new(pattern.trim()) {
                    Ok(pattern) => source.stages.push(Stage::Regex(pattern)),
                    Err(what) => return fault(format!("`{pattern}`: {what}")),
                }
            } else {
                return fault(format!(
                    "`{part}` is neither a path (`$.a[0]`) nor `header NAME`, `json` or `regex …`"
                ));
            }
        }
        Ok(source)
    }

    /// The header that it looks at, in lower case; `None`: it looks at the body.
    pub fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    /// The value there, as JSON text, at most 64 KiB. `random` chooses where the source
    /// asks for any of several.
    ///
    /// # Errors
    /// Nothing is there.
    pub fn find(&self, answer: &Answer<'_>, random: &mut fastrand::Rng) -> Result<String, NoMatch> {
        let _ = random;
        let mut found = match &self.header {
            None => Cow::Borrowed(answer.body()),
            Some(name) => {
                let mut headers = answer.headers.iter();
                match headers.find(|(other, _)| other.eq_ignore_ascii_case(name)) {
                    Some((_, value)) => Cow::Owned(json_text(value)),
                    None => return Err(NoMatch(format!("the answer has no header `{name}`"))),
                }
            }
        };
        for stage in &self.stages {
            let next = match &found {
                Cow::Borrowed(json) => stage.of(json),
                Cow::Owned(json) => stage.of(json).map(|next| Cow::Owned(next.into_owned())),
            };
            let Some(next) = next else {
                let there = excerpt(found.as_bytes());
                return Err(NoMatch(format!("`{}` finds nothing in {there}", self.text)));
            };
            found = next;
        }
        if found.len() > VALUE_BYTES_MAX {
            let n_bytes = found.len();
            return Err(NoMatch(format!("`{}` finds {n_bytes} bytes", self.text)));
        }
        Ok(found.into_owned())
    }
}

/// As it was written.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Stage {
    fn of<'a>(&self, json: &'a str) -> Option<Cow<'a, str>> {
        match self {
            Self::Path(steps) => simple::find(steps, json).map(Cow::Borrowed),
            Self::Json | Self::Regex(_) if json.len() > TEXT_BYTES_MAX => None,
            Self::Json => serde_json::from_str(json).ok().map(Cow::Owned),
            Self::Regex(pattern) => {
                let text = match json.starts_with('"') {
                    true => Cow::Owned(serde_json::from_str(json).ok()?),
                    false => Cow::Borrowed(json),
                };
                let found: &str = pattern.find(&text)?;
                Some(Cow::Owned(json_text(found)))
            }
        }
    }
}

/// The parts of a source between its bars, each with where it begins.
fn parts(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split(" | ").map(move |part| {
        let begin = at + (part.len() - part.trim_start().len());
        at += part.len() + " | ".len();
        (begin, part.trim())
    })
}

/// The steps of a path that has members and elements only.
fn simple_steps(path: &str) -> Option<Vec<Hop>> {
    let mut steps = Vec::new();
    let mut rest = path.strip_prefix('$')?;
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
            let is_inner = |c: char| is_first(c) || c.is_ascii_digit();
            let end = name.find(|c| !is_inner(c)).unwrap_or(name.len());
            if !name.starts_with(is_first) {
                return None;
            }
            steps.push(Hop::Member(name[..end].to_string()));
            rest = &name[end..];
        } else {
            let (inner, after) = rest.strip_prefix('[')?.split_once(']')?;
            let digits = inner.bytes().all(|byte| byte.is_ascii_digit());
            let is_canonical = inner == "0" || !inner.starts_with('0');
            steps.push(Hop::Element(
                inner.parse().ok().filter(|_| digits && is_canonical)?,
            ));
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str, result: &str) -> Option<String> {
        let headers = [("X-Request-Id".to_string(), "a\"1".to_string())];
        let answer = Answer {
            result: Some(result),
            headers: &headers,
            ..Answer::default()
        };
        let source = Source::parse(source).expect("a source");
        let found = source.find(&answer, &mut fastrand::Rng::with_seed(1));
        found.ok()
    }

    #[test]
    fn simple_sources_find_values_as_they_stand() {
        let in_text = "$.content[1].text | json | $.a";
        let pair = r#"{"content":[7,{"text":"{\"a\":12345678901234567890123}"}]}"#;
        for (source, result, expected) in [
            ("$.a", r#"{"a": "x\n"}"#, Some(r#""x\n""#)),
            ("$.a", r#"{"a": null}"#, Some("null")),
            ("$.a", r#"{"a": false, "a": ""}"#, Some(r#""""#)),
            ("$.a", r#"{"b": 1}"#, None),
            ("$.a.b", r#"{"a": 1.5, "a": {"b": [0]}}"#, Some("[0]")),
            ("$.a.b", r#"{"a": {"b": 1}, "a": null}"#, None),
            ("$[1]", "[1, 2.50, 3]", Some("2.50")),
            ("$[3]", "[1, 2, 3]", None),
            ("$", " {} ", Some("{}")),
            ("$", "not JSON", None),
            (in_text, pair, Some("12345678901234567890123")),
            (in_text, r#"{"content":[7,{"text":"{"}]}"#, None),
            (
                r"$.t | regex id=(\d+)",
                r#"{"t":"a\nid=7"}"#,
                Some(r#""7""#),
            ),
            ("$ | regex [a-z]+", r#"{"t":7}"#, Some(r#""t""#)),
            ("header x-request-id", "{}", Some(r#""a\"1""#)),
            (r"header X-REQUEST-ID | regex \d", "{}", Some(r#""1""#)),
            ("header other", "{}", None),
        ] {
            assert_eq!(
                found(source, result).as_deref(),
                expected,
                "{source} of {result}"
            );
        }
    }

    #[test]
    fn what_is_no_source_is_a_fault() {
        for (text, at) in [
            ("", 0),
            ("a", 0),
            ("$.", 0),
            ("$[01]", 0),
            ("$.a | jsn", 6),
            ("$ | regex (", 4),
            ("$ | header a", 4),
        ] {
            let fault = Source::parse(text).expect_err(text);
            assert_eq!(fault.at, at, "{text}: {fault}");
        }
    }
}
