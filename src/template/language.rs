//! The language of templates: what is between `{{` and `}}`.

use std::fmt;

use crate::error::nearest;

/// What a place in a text is filled with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expression {
    /// `{{vu}}`: the user's number among all users of the run, from 1. A number.
    Vu,
    /// `{{iteration}}`: the iteration's number over the whole run, from 1. A number.
    Iteration,
    /// `{{uuid}}`: a random UUID (RFC 9562, version 4).
    Uuid,
    /// `{{now}}`: the time in RFC 3339, in UTC, with milliseconds.
    Now,
    /// `{{now.unix_ms}}`: the time in milliseconds since 1970. A number.
    NowUnixMs,
    /// `{{random.int 1 100}}`: a whole number, both ends possible. A number.
    RandomInt {
        /// The least.
        low: i64,
        /// The greatest; at least `low`.
        high: i64,
    },
    /// `{{random.choice a b c}}`: one of the words, which are not none.
    RandomChoice(Vec<String>),
    /// `{{random.string 16}}`: this many letters and digits of ASCII.
    RandomString(u32),
    /// `{{random.words 5}}`: this many words with blanks between.
    RandomWords(u32),
    /// `{{isolation.marker}}`: a text that tells whose call it is, another one in each.
    Marker,
    /// No text of a user's: the `traceparent` of a call (W3C Trace Context), another one in
    /// each call of each run, whatever the seed.
    TraceParent,
    /// `{{data.SET.COLUMN}}`: a cell of a data set's row.
    Data {
        /// The data set.
        set: String,
        /// The column, as its file names it.
        column: String,
    },
    /// `{{NAME}}`: what an earlier answer brought.
    Value(String),
}

/// What may stand between the braces, for messages.
pub const ACCEPTED: &str = "`{{vu}}`, `{{iteration}}`, `{{uuid}}`, `{{now}}`, `{{now.unix_ms}}`, \
     `{{random.int 1 100}}`, `{{random.choice a b c}}`, `{{random.string 16}}`, \
     `{{random.words 5}}`, `{{isolation.marker}}`, `{{data.SET.COLUMN}}`, the name of an \
     extracted value, or `{{{{` for a literal `{{`";

/// The words that an expression may begin with, but for a name of the user's.
pub const BUILT_IN: [&str; 11] = [
    "vu",
    "iteration",
    "uuid",
    "now",
    "now.unix_ms",
    "random.int",
    "random.choice",
    "random.string",
    "random.words",
    "isolation.marker",
    "data",
];

/// The most characters of `random.string`.
const STRING_CHARS_MAX: u32 = 65_536;

/// The most words of `random.words`.
const WORDS_MAX: u32 = 10_000;

impl Expression {
    /// Whether it is another value each time that it is asked for.
    pub fn is_drawn(&self) -> bool {
        match self {
            Expression::Uuid
            | Expression::RandomInt { .. }
            | Expression::RandomChoice(_)
            | Expression::RandomString(_)
            | Expression::RandomWords(_)
            | Expression::Marker
            | Expression::TraceParent => true,
            Expression::Vu
            | Expression::Iteration
            | Expression::Now
            | Expression::NowUnixMs
            | Expression::Data { .. }
            | Expression::Value(_) => false,
        }
    }

    /// Reads what is between the braces.
    fn read(content: &str) -> Result<Self, Wrong> {
        let content = content.trim();
        let mut words = content.split_whitespace();
        let head = words.next().ok_or_else(|| Wrong {
            what: "`{{}}` is empty".to_string(),
            accepted: ACCEPTED,
            nearest: None,
        })?;
        if let Some(place) = content.strip_prefix("data.") {
            return match place.split_once('.') {
                Some((set, column)) if is_word(set) && !column.trim().is_empty() => {
                    Ok(Expression::Data {
                        set: set.to_string(),
                        column: column.trim().to_string(),
                    })
                }
                _ => Err(Wrong::form(content, "`{{data.SET.COLUMN}}`")),
            };
        }
        let words: Vec<&str> = words.collect();
        let alone = |expression| match words[..] {
            [] => Ok(expression),
            _ => Err(Wrong {
                what: format!("`{head}` takes nothing behind it"),
                accepted: ACCEPTED,
                nearest: Some(head.to_string()),
            }),
        };
        match head {
            "vu" => alone(Expression::Vu),
            "iteration" => alone(Expression::Iteration),
            "uuid" => alone(Expression::Uuid),
            "now" => alone(Expression::Now),
            "now.unix_ms" => alone(Expression::NowUnixMs),
            "isolation.marker" => alone(Expression::Marker),
            "random.int" => {
                let form =
                    "`{{random.int LOW HIGH}}`, two whole numbers of 64 bits, the lower first";
                let ends: Option<Vec<i64>> = words.iter().map(|word| word.parse().ok()).collect();
                match ends.as_deref() {
                    Some([low, high]) if low <= high => Ok(Expression::RandomInt {
                        low: *low,
                        high: *high,
                    }),
                    _ => Err(Wrong::form(content, form)),
                }
            }
            "random.choice" if words.is_empty() => Err(Wrong::form(
                content,
                "`{{random.choice a b c}}`, at least one word",
            )),
            "random.choice" => Ok(Expression::RandomChoice(
                words.into_iter().map(str::to_string).collect(),
            )),
            "random.string" => match number(&words, STRING_CHARS_MAX) {
                Some(n_chars) => Ok(Expression::RandomString(n_chars)),
                None => Err(Wrong::form(
                    content,
                    "`{{random.string N}}` with N from 1 to 65536",
                )),
            },
            "random.words" => match number(&words, WORDS_MAX) {
                Some(n_words) => Ok(Expression::RandomWords(n_words)),
                None => Err(Wrong::form(
                    content,
                    "`{{random.words N}}` with N from 1 to 10000",
                )),
            },
            name if words.is_empty() && is_name(name) => Ok(Expression::Value(name.to_string())),
            _ => Err(Wrong {
                what: format!("`{{{{{content}}}}}` is not a template"),
                accepted: ACCEPTED,
                nearest: nearest(head, BUILT_IN).map(str::to_string),
            }),
        }
    }
}

/// The expression as it is written, without the braces.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expression::Vu => f.write_str("vu"),
            Expression::Iteration => f.write_str("iteration"),
            Expression::Uuid => f.write_str("uuid"),
            Expression::Now => f.write_str("now"),
            Expression::NowUnixMs => f.write_str("now.unix_ms"),
            Expression::RandomInt { low, high } => write!(f, "random.int {low} {high}"),
            Expression::RandomChoice(words) => write!(f, "random.choice {}", words.join(" ")),
            Expression::RandomString(n_chars) => write!(f, "random.string {n_chars}"),
            Expression::RandomWords(n_words) => write!(f, "random.words {n_words}"),
            Expression::Marker => f.write_str("isolation.marker"),
            Expression::TraceParent => f.write_str("traceparent"),
            Expression::Data { set, column } => write!(f, "data.{set}.{column}"),
            Expression::Value(name) => f.write_str(name),
        }
    }
}

fn number(words: &[&str], most: u32) -> Option<u32> {
    let [word] = words else { return None };
    word.parse().ok().filter(|n| (1..=most).contains(n))
}

fn is_word(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.chars().all(is_inner)
}

/// Whether an extracted value may have this name: letters, digits, `_` and `-` of
/// ASCII, no digit first, and no word of the language.
pub fn is_name(text: &str) -> bool {
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins_well && is_word(text) && text != "random" && !BUILT_IN.contains(&text)
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// TemplateText that is the same each time; not empty.
    Literal(String),
    /// A place that is filled.
    Expression(Expression),
}

/// A text whose templates are understood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TemplateText {
    /// In order; no literal follows another.
    pieces: Vec<Piece>,
}

impl TemplateText {
    /// Its pieces in order; no literal follows another.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The text from which [`parse`] makes the same again: what is not a template has
    /// its `{{` written as `{{{{`.
    #[cfg(test)]
    pub(super) fn canonical(&self) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(&escape(literal)),
                Piece::Expression(expression) => text.push_str(&format!("{{{{{expression}}}}}")),
            }
        }
        text
    }

    /// Its templates, in order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Expression(expression) => Some(expression),
        })
    }

    /// A text without templates.
    pub fn literal(text: &str) -> Self {
        let mut literal = Self::default();
        literal.push_str(text);
        literal
    }

    fn push_str(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Literal(literal)) => literal.push_str(text),
            _ => self.pieces.push(Piece::Literal(text.to_string())),
        }
    }
}

/// What a canonical text stands for where there is no expression in it; `None`: there
/// is one, or the text is not canonical.
pub fn literal(canonical: &str) -> Option<String> {
    let text = parse(canonical).ok()?;
    let pieces = text.pieces().iter();
    let literals = pieces.map(|piece| match piece {
        Piece::Literal(text) => Some(text.as_str()),
        Piece::Expression(_) => None,
    });
    literals.collect()
}

/// A canonical text as people call what it names: as it is sent, where there is no
/// expression in it.
pub fn named(canonical: &str) -> String {
    literal(canonical).unwrap_or_else(|| canonical.to_string())
}

/// A text in which nothing is a template, as it is written where templates are
/// understood: with `{{{{` for each `{{`.
pub fn escape(text: &str) -> String {
    text.replace("{{", "{{{{")
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// Where its `{{` begins, in bytes of the text.
    pub at: usize,
    /// What is wrong, as a fragment.
    pub what: String,
    /// What would be accepted, as it follows `expected`.
    pub accepted: &'static str,
    /// What was probably meant, without braces.
    pub nearest: Option<String>,
}

/// A fault without its place.
struct Wrong {
    what: String,
    accepted: &'static str,
    nearest: Option<String>,
}

impl Wrong {
    fn form(content: &str, accepted: &'static str) -> Self {
        Self {
            what: format!("`{{{{{content}}}}}` is incomplete or wrong"),
            accepted,
            nearest: None,
        }
    }

    fn endless() -> Self {
        Self {
            what: "`{{` has no `}}`".to_string(),
            accepted: ACCEPTED,
            nearest: None,
        }
    }
}

/// Understands a text.
///
/// `{{…}}` is an expression, up to the first `}}`, blanks at its ends apart. `{{{{`
/// stands for `{{`. Of a longer run of braces one that has no partner comes first,
/// then those that stand for braces: `{{{vu}}}` is `{`, the number and `}`.
///
/// # Errors
/// The first fault: an expression that is unknown, wrong, or has no end. Whether
/// the names in it exist is not known here.
pub fn parse(text: &str) -> Result<TemplateText, TemplateFault> {
    let mut found = TemplateText::default();
    for part in TextParts::of(text) {
        match part {
            TextPart::Literal(literal) => found.push_str(literal),
            TextPart::Template { at, content } => {
                let expression = content.map_or_else(|| Err(Wrong::endless()), Expression::read);
                let expression = expression.map_err(|wrong| TemplateFault {
                    at,
                    what: wrong.what,
                    accepted: wrong.accepted,
                    nearest: wrong.nearest,
                })?;
                found.pieces.push(Piece::Expression(expression));
            }
        }
    }
    Ok(found)
}

/// Understands a text of a config that has neither flows nor data: what is no
/// template there, such as any name, stays as it stands. The second part has those,
/// with their braces, in order.
pub fn parse_leniently(text: &str) -> (TemplateText, Vec<String>) {
    let mut found = TemplateText::default();
    let mut unknown = Vec::new();
    for part in TextParts::of(text) {
        match part {
            TextPart::Literal(literal) => found.push_str(literal),
            TextPart::Template { content, .. } => match content.map(Expression::read) {
                Some(Ok(expression))
                    if !matches!(expression, Expression::Data { .. } | Expression::Value(_)) =>
                {
                    found.pieces.push(Piece::Expression(expression));
                }
                _ => {
                    let written = content.map_or("{{".to_string(), |it| format!("{{{{{it}}}}}"));
                    found.push_str(&written);
                    unknown.push(written);
                }
            },
        }
    }
    (found, unknown)
}

/// A text taken apart at its braces.
struct TextParts<'a> {
    text: &'a str,
    /// What comes before was handed out; `at <= text.len()`, on a boundary.
    at: usize,
    /// A run of braces said that a template begins at `at`.
    opens: bool,
}

enum TextPart<'a> {
    Literal(&'a str),
    Template {
        /// Where its braces begin.
        at: usize,
        /// What is between them; `None`: they are not closed, and only the opening
        /// ones are taken.
        content: Option<&'a str>,
    },
}

impl<'a> TextParts<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            opens: false,
        }
    }
}

impl<'a> Iterator for TextParts<'a> {
    type Item = TextPart<'a>;

    fn next(&mut self) -> Option<TextPart<'a>> {
        let (at, rest) = (self.at, &self.text[self.at..]);
        if std::mem::take(&mut self.opens) {
            // A template that begins inside of another ends it.
            let end = rest[2..].find("}}").map(|end| &rest[2..2 + end]);
            let content = end.filter(|content| !content.contains("{{"));
            self.at += 2 + content.map_or(0, |content| content.len() + 2);
            return Some(TextPart::Template { at, content });
        }
        if rest.is_empty() {
            return None;
        }
        let n_braces = rest.len() - rest.trim_start_matches('{').len();
        if n_braces == 0 {
            let end = rest.find('{').unwrap_or(rest.len());
            self.at += end;
            return Some(TextPart::Literal(&rest[..end]));
        }
        // One without a partner, then fours that stand for two, then those that open.
        self.opens = n_braces % 4 >= 2;
        let n_written = n_braces - if self.opens { 2 } else { 0 };
        let n_meant = n_written % 2 + n_written / 4 * 2;
        self.at += n_written;
        Some(TextPart::Literal(&rest[..n_meant]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_understood() {
        let check = |text: &str, shown: &str| {
            let text = parse(text).expect(text);
            let pieces = text.pieces().iter().map(|piece| match piece {
                Piece::Literal(literal) => literal.clone(),
                Piece::Expression(expression) => format!("<{expression}>"),
            });
            assert_eq!(pieces.collect::<String>(), shown);
            assert_eq!(parse(&text.canonical()), Ok(text));
        };
        check("", "");
        check("{a} } {", "{a} } {");
        check("{{vu}}{{ iteration }}", "<vu><iteration>");
        check("{{{vu}}}", "{<vu>}");
        check("{{{{vu}}", "{{vu}}");
        check("{{{{{{vu}}}}", "{{<vu>}}");
        check("{{{{{", "{{{");
        check("{{random.int  -1   5}}", "<random.int -1 5>");
        check("{{random.choice a 'b \"}}", "<random.choice a 'b \">");
        check("{{data.users.first  name}}", "<data.users.first  name>");
        check("a{{token}}b{{user-id_2}}", "a<token>b<user-id_2>");
    }

    #[test]
    fn faults_say_where_and_what() {
        let check = |text: &str, at: usize, near: Option<&str>| {
            let fault = parse(text).expect_err(text);
            assert_eq!(
                (fault.at, fault.nearest.as_deref()),
                (at, near),
                "{fault:?}"
            );
        };
        check("é {{ran.int 1 2}}", 3, Some("random.int"));
        check("{{random.itn 1 2}}", 0, Some("random.int"));
        check("{{now.unix}}", 0, Some("now.unix_ms"));
        check("{{a b}}", 0, None);
        check("{{}}", 0, None);
        check("{{vu", 0, None);
        check("{{{vu and {{uuid}}", 1, None);
        check("{{vu 1}}", 0, Some("vu"));
        for text in [
            "{{random.int 2 1}}",
            "{{random.int 1}}",
            "{{random.int 1 99999999999999999999}}",
            "{{random.choice}}",
            "{{random.string 0}}",
            "{{random.string 65537}}",
            "{{random.words 10001}}",
            "{{data.users}}",
            "{{data.users.}}",
            "{{data..x}}",
        ] {
            check(text, 0, None);
        }
    }

    #[test]
    fn what_is_unknown_may_stay_as_it_stands() {
        let (text, unknown) = parse_leniently("{{name}} {{vu}} {{ {{{{ {{data.a.b}}");
        assert_eq!(
            text.canonical(),
            "{{{{name}} {{vu}} {{{{ {{{{ {{{{data.a.b}}"
        );
        assert_eq!(unknown, ["{{name}}", "{{", "{{data.a.b}}"]);
    }
}
