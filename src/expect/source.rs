//! Where in an answer a value is: `$.items[0].id`, `$.content[0].text | json | $.id`,
//! `$.url | regex id=(\d+)`, `$..id | last`, `header x-request-id`.
//!
//! A source is stages in order. Each has what the stage before it found, and what it
//! finds is JSON, too. Of several finds the first in the order of the text counts,
//! unless `last`, `random` or `count` follows.

use std::borrow::Cow;
use std::fmt;

use super::path::{Path, Pick, Picked, TEXT_BYTES_MAX, quoted_len};
use super::{Answer, TextPattern};
use crate::error::nearest;
use crate::protocol::{Scan, excerpt, json_text};

/// The longest value that is taken, in bytes of its JSON: one is kept for each user.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The longest text in which all matches of a regular expression are looked for: each
/// may look at the rest of it.
const ALL_MATCHES_BYTES_MAX: usize = 64 * 1024;

/// The longest source, in bytes.
const SOURCE_BYTES_MAX: usize = 4096;

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
    Path(Path, Pick),
    /// What a text holds is JSON itself.
    Json,
    Regex(TextPattern, Pick),
}

/// What is wrong with the text of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFault {
    /// A lower-case fragment with values in backticks: what is wrong, and what is accepted.
    pub what: String,
    /// Where in the text it is, in bytes.
    pub at: usize,
}

impl fmt::Display for SourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Why nothing was found: what was there instead, bounded. Names and values are the
/// server's: the caller takes secrets out.
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
        if text.len() > SOURCE_BYTES_MAX {
            let what = format!("it has more than {SOURCE_BYTES_MAX} bytes");
            return Err(SourceFault { what, at: 0 });
        }
        let mut rest = Some(text);
        while let Some(left) = rest {
            let left = left.trim_start();
            let at = text.len() - left.len();
            let end = part_end(left);
            rest = left.get(end + 1..);
            source
                .push(left[..end].trim_end())
                .map_err(|(what, within)| {
                    let at = at + within;
                    SourceFault { what, at }
                })?;
        }
        Ok(source)
    }

    /// Adds what one part of the text says; else what is wrong, and at which of its bytes.
    fn push(&mut self, part: &str) -> Result<(), (String, usize)> {
        const KINDS: [&str; 6] = ["header", "json", "regex", "last", "random", "count"];
        let fault = |what: &str| Err((what.to_string(), 0));
        let (kind, rest) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
        let rest = rest.trim();
        let is_first = self.header.is_none() && self.stages.is_empty();
        let is_counted = |stage: &Stage| {
            let (Stage::Path(_, pick) | Stage::Regex(_, pick)) = stage else {
                return false;
            };
            *pick == Pick::Count
        };
        if self.stages.last().is_some_and(is_counted) {
            return fault("nothing follows `count`");
        }
        if part.starts_with('$') {
            let path = Path::parse(part)?;
            self.stages.push(Stage::Path(path, Pick::First));
            return Ok(());
        }
        let pick = match kind {
            "header" => {
                if !is_first || rest.is_empty() || rest.contains(char::is_whitespace) {
                    return fault("`header NAME` has to come first, with one name");
                }
                self.header = Some(rest.to_ascii_lowercase());
                return Ok(());
            }
            "json" | "regex" if is_first => {
                let what = format!("`{kind}` has to follow a path or a header: `$ | {part}`");
                return Err((what, 0));
            }
            "json" if rest.is_empty() => {
                self.stages.push(Stage::Json);
                return Ok(());
            }
            "regex" if !rest.is_empty() => {
                let pattern = TextPattern::new(rest).map_err(|what| {
                    let at = part.len() - rest.len();
                    (format!("`{rest}` is not a regular expression: {what}"), at)
                })?;
                self.stages.push(Stage::Regex(pattern, Pick::First));
                return Ok(());
            }
            "last" if rest.is_empty() => Pick::Last,
            "random" if rest.is_empty() => Pick::Random,
            "count" if rest.is_empty() => Pick::Count,
            _ => {
                let near = nearest(kind, KINDS).filter(|near| *near != kind);
                let near = near.map(|near| format!("; did you mean `{near}`?"));
                let accepted = match is_first {
                    true => "a path (`$.a[0]`) or `header NAME`",
                    false => "a path (`$.a`), `json`, `regex …`, `last`, `random` or `count`",
                };
                let near = near.unwrap_or_default();
                return Err((format!("`{part}` is not {accepted}{near}"), 0));
            }
        };
        match self.stages.last_mut() {
            Some(Stage::Path(_, last) | Stage::Regex(_, last)) if *last == Pick::First => {
                *last = pick;
                Ok(())
            }
            _ => Err((
                format!("`{kind}` has to follow a path or a regular expression"),
                0,
            )),
        }
    }

    /// The header that it looks at, in lower case; `None`: it looks at the body.
    pub fn header(&self) -> Option<&str> {
        self.header.as_deref()
    }

    /// The value there, as JSON text as it came, at most 64 KiB. `random` chooses where
    /// the source asks for any of several.
    ///
    /// # Errors
    /// Nothing is there.
    pub fn find(&self, answer: &Answer<'_>, random: &mut fastrand::Rng) -> Result<String, NoMatch> {
        let found = self.locate(answer, random)?;
        if found.len() > VALUE_BYTES_MAX {
            let n_bytes = found.len();
            let text = format!("`{self}` finds a value of {n_bytes} bytes: at most 65536 are kept");
            return Err(NoMatch(text));
        }
        Ok(found.into_owned())
    }

    /// As `find`, whatever the length.
    pub(super) fn locate<'a>(
        &self,
        answer: &Answer<'a>,
        random: &mut fastrand::Rng,
    ) -> Result<Cow<'a, str>, NoMatch> {
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
                Cow::Borrowed(json) => stage.of(json, random),
                Cow::Owned(json) => stage
                    .of(json, random)
                    .map(|next| Cow::Owned(next.into_owned())),
            };
            let no_match = |there| NoMatch(format!("`{self}` finds nothing: {there}"));
            found = next.map_err(no_match)?;
        }
        Ok(found)
    }
}

/// As it was written.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Stage {
    /// What it finds in JSON; else what was there.
    fn of<'a>(&self, json: &'a str, random: &mut fastrand::Rng) -> Result<Cow<'a, str>, String> {
        let n_bytes_max = match self {
            Self::Path(..) => usize::MAX,
            Self::Json | Self::Regex(_, Pick::First) => TEXT_BYTES_MAX,
            Self::Regex(..) => ALL_MATCHES_BYTES_MAX,
        };
        if json.len() > n_bytes_max {
            let n_bytes = json.len();
            return Err(format!(
                "the text has {n_bytes} bytes, at most {n_bytes_max} are looked through"
            ));
        }
        match self {
            Self::Path(path, pick) => Ok(match path.find(json, *pick, random)? {
                Picked::Value(value) => Cow::Borrowed(value),
                Picked::Count(n) => Cow::Owned(n.to_string()),
            }),
            // What comes next takes it as known to be JSON.
            Self::Json => match serde_json::from_str::<String>(json) {
                Ok(text) if Scan::whole(&text, Scan::skip).is_some() => Ok(Cow::Owned(text)),
                Ok(text) => Err(format!("what is not JSON: {}", excerpt(text.as_bytes()))),
                Err(_) => Err(format!("no text, but {}", excerpt(json.as_bytes()))),
            },
            Self::Regex(pattern, pick) => {
                let text = text_of(json);
                let nothing = || format!("the text is {}", excerpt(text.as_bytes()));
                let found = match pick {
                    Pick::First => pattern.find(&text),
                    Pick::Count => {
                        let n_matches = pattern.find_all(&text).count();
                        return Ok(Cow::Owned(n_matches.to_string()));
                    }
                    Pick::Last | Pick::Random => {
                        let all: Vec<&str> = pattern.find_all(&text).collect();
                        pick.of(all.len(), random).map(|at| all[at])
                    }
                };
                found
                    .map(|found| Cow::Owned(json_text(found)))
                    .ok_or_else(nothing)
            }
        }
    }
}

/// What a text of JSON says; of any other value its JSON.
pub(super) fn text_of(json: &str) -> Cow<'_, str> {
    match json.starts_with('"').then(|| serde_json::from_str(json)) {
        Some(Ok(text)) => Cow::Owned(text),
        _ => Cow::Borrowed(json),
    }
}

/// Where the bar behind the first part of a source is, or the end of the text.
fn part_end(text: &str) -> usize {
    if text.starts_with("regex ") {
        return regex_end(text);
    }
    let is_path = text.starts_with('$');
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let n_bytes = match c {
            '|' if is_path && rest.starts_with("||") => 2,
            '|' => return text.len() - rest.len(),
            '\'' | '"' if is_path => quoted_len(rest),
            _ => c.len_utf8(),
        };
        rest = &rest[n_bytes..];
    }
    text.len()
}

/// A regular expression may hold bars. It ends at one between blanks, behind which a
/// known part begins.
fn regex_end(text: &str) -> usize {
    let mut bars = text.match_indices(" | ");
    let end = bars.find(|(at, bar)| {
        let next = text[at + bar.len()..].trim_start();
        let word = next.split([' ', '|']).next().unwrap_or_default();
        next.starts_with("$.")
            || matches!(word, "$" | "json" | "regex" | "last" | "random" | "count")
    });
    end.map_or(text.len(), |(at, _)| at + 1)
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
            ("$", "", None),
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
        for (text, at, part) in [
            ("", 0, "a path"),
            ("a", 0, "a path"),
            ("$.", 2, "member name"),
            ("$[01]", 3, "expected closing"),
            ("$.a | jsn", 6, "did you mean `json`?"),
            ("$.a |", 5, "`regex …`"),
            ("$.a | json x", 6, "`json x`"),
            ("$ | regex (", 10, "unclosed group"),
            ("$ | header a", 4, "has to come first"),
            ("header", 0, "one name"),
            ("json", 0, "`$ | json`"),
            ("header a | last", 11, "has to follow a path"),
            ("$..a | count | json", 15, "nothing follows"),
            ("$..a | last | last", 14, "has to follow a path"),
            ("$[?match(@.a, @.b)]", 3, "in quotes"),
            ("$[?((((((((@.a))))))))]", 10, "at most 8 deep"),
        ] {
            let fault = Source::parse(text).expect_err(text);
            assert_eq!(fault.at, at, "{text}: {fault}");
            assert!(fault.what.contains(part), "{text}: {fault}");
        }
        let long = format!("$.{}", "a".repeat(2000));
        assert!(Source::parse(&long).is_err());
    }

    #[test]
    fn of_several_values_one_is_picked() {
        let answer =
            r#"{"a": [{"id": 1}, {"id": 12345678901234567890123}], "id": 2.50, "t": "a1 b2"}"#;
        for (source, expected) in [
            ("$..id", Some("1")),
            ("$..id | last", Some("2.50")),
            ("$.a..id|last", Some("12345678901234567890123")),
            ("$..id | count", Some("3")),
            ("$.id | count", Some("1")),
            ("$..nothing | count", Some("0")),
            ("$.nothing | count", Some("0")),
            ("$..nothing", None),
            ("$.a[-1].id", Some("12345678901234567890123")),
            ("$.a[?@.id == 1].id", Some("1")),
            ("$['a'][0][\"id\"]", Some("1")),
            ("$[?@ == 'a | b' || @ == 2.5]", Some("2.50")),
            ("$.t | regex [a-z](\\d) | last", Some("\"2\"")),
            ("$.t | regex [a-z](\\d) | count", Some("2")),
            ("$.t | regex a1 | b2", Some("\"a1 \"")),
            ("$.t | regex c| b", Some("\" b\"")),
        ] {
            assert_eq!(found(source, answer).as_deref(), expected, "{source}");
        }
        let random = Source::parse("$..id | random").expect("a source");
        let mut seen = std::collections::BTreeSet::new();
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            let answer = Answer {
                result: Some(answer),
                ..Answer::default()
            };
            seen.extend(random.find(&answer, &mut rng));
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn no_match_says_what_was_there() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let long = format!("[{}1]", "1,".repeat(600_000));
        let wide = format!("[{}1]", "[[1]],".repeat(30_000));
        for (source, result, said) in [
            (
                "$.a.b",
                r#"{"a": {"c": 1, "d": 2}}"#,
                "`$.a` is an object with `c`, `d`",
            ),
            ("$.a.b", r#"{"a": {}}"#, "`$.a` is an empty object"),
            ("$.a[2]", r#"{"a": [1, 2]}"#, "`$.a` is an array of 2"),
            ("$.a.b", r#"{"a": null}"#, "`$.a` is `null`"),
            ("$..b", r#"{"a": ""}"#, "an object with `a`"),
            ("$.a", "", "no result"),
            ("$.a | json", r#"{"a": 1}"#, "no text, but 1"),
            ("$.a | json | $.b", r#"{"a": "x"}"#, "not JSON: x"),
            ("$.a | regex x", r#"{"a": "yy"}"#, "the text is yy"),
            ("$..b", &deep, "nested more than 127 deep"),
            ("$..b", &long, "bytes, which only a path of members"),
            ("$[?$..b]", &wide, "too many for this path"),
            ("$..[?search(@, 'x')]", &wide, "too many for this path"),
        ] {
            let answer = Answer {
                result: Some(result),
                ..Answer::default()
            };
            let parsed = Source::parse(source).expect("a source");
            let no_match = parsed.find(&answer, &mut fastrand::Rng::with_seed(1));
            let no_match = no_match.expect_err(source).to_string();
            assert!(no_match.contains(said), "{source}: {no_match}");
            assert!(no_match.len() < 2000);
        }
        // A path of members and elements has no depth, and the value a largest size.
        let hop = format!(r#"{{"a": {deep}, "b": 7}}"#);
        assert_eq!(found("$.b", &hop).as_deref(), Some("7"));
        let large = |n| format!(r#"["{}"]"#, "x".repeat(n - 2));
        assert!(found("$[0]", &large(VALUE_BYTES_MAX)).is_some());
        assert_eq!(found("$[0]", &large(VALUE_BYTES_MAX + 1)), None);
    }

    /// The compliance suite of RFC 9535 (`tests/jsonpath/README.md`): what it says of each
    /// path is what we find, as they stand in the text.
    #[test]
    fn paths_are_those_of_rfc_9535() {
        #[derive(serde::Deserialize)]
        struct Suite<'a> {
            #[serde(borrow)]
            tests: Vec<Case<'a>>,
        }
        #[derive(serde::Deserialize)]
        struct Case<'a> {
            selector: String,
            #[serde(borrow)]
            document: Option<&'a serde_json::value::RawValue>,
            result: Option<Vec<serde_json::Value>>,
            results: Option<Vec<Vec<serde_json::Value>>>,
            #[serde(default)]
            invalid_selector: bool,
        }
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jsonpath/cts.json");
        let text = std::fs::read_to_string(file).expect("the suite");
        let suite: Suite<'_> = serde_json::from_str(&text).expect("the suite is JSON");
        assert!(suite.tests.len() > 600);
        let mut rng = fastrand::Rng::with_seed(1);
        for case in suite.tests {
            let selector = case.selector;
            let path = match Path::parse(&selector) {
                Err((_, at)) => {
                    // Two bounds of ours: patterns of the document's are not taken.
                    let is_ours = selector.contains("match(") || selector.contains("search(");
                    assert!(case.invalid_selector || is_ours, "{selector}");
                    assert!(at <= selector.len());
                    continue;
                }
                Ok(_) if case.invalid_selector => panic!("{selector}: it is not a path"),
                Ok(path) => path,
            };
            let document = case.document.expect("a document").get();
            let expected = case
                .result
                .into_iter()
                .chain(case.results.into_iter().flatten());
            let expected: Vec<Vec<serde_json::Value>> = expected.collect();
            let mut find = |pick| path.find(document, pick, &mut rng);
            let Ok(Picked::Count(n_found)) = find(Pick::Count) else {
                panic!("{selector}: no number");
            };
            assert!(
                expected.iter().all(|values| values.len() == n_found),
                "{selector}"
            );
            match find(Pick::Random) {
                Ok(Picked::Value(found)) => {
                    let value = serde_json::from_str(found).expect("JSON");
                    assert!(
                        expected.iter().any(|values| values.contains(&value)),
                        "{selector}"
                    );
                }
                _ => assert_eq!(n_found, 0, "{selector}"),
            }
            let first = match find(Pick::First) {
                Ok(Picked::Value(found)) => Some(found.as_ptr()),
                _ => None,
            };
            let last = match find(Pick::Last) {
                Ok(Picked::Value(found)) => Some(found.as_ptr()),
                _ => None,
            };
            assert!(
                first <= last && first.is_some() == (n_found > 0),
                "{selector}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(source: String, result: String) {
            if let Ok(source) = Source::parse(&source) {
                let answer = Answer { result: Some(&result), ..Answer::default() };
                let _any_answer_will_do = source.find(&answer, &mut fastrand::Rng::with_seed(1));
            }
        }

        /// Texts of the parts that sources and answers are made of.
        #[test]
        fn no_likely_text_panics(
            source in "[$@.\\[\\]?*:'\"a0-1 |=<()!&,]{0,24}( \\| (json|last|count|random|regex [.a+|()]{1,4})){0,3}",
            result in "[\\[\\]{}:,\"a0-1 \\\\]{0,30}",
        ) {
            for source in [source.clone(), format!("${source}")] {
                if let Ok(source) = Source::parse(&source) {
                    let answer = Answer { result: Some(&result), ..Answer::default() };
                    let _any = source.find(&answer, &mut fastrand::Rng::with_seed(1));
                }
            }
        }
    }
}
