//! JSON broken into lines where it is long. Digits, escapes and the order of members
//! stay as they came: what is shown is what was sent.

use std::borrow::Cow;

use crate::terminal::{Drawing, cut, display_width};

/// Blanks before each level.
const INDENT: usize = 2;

/// Deeper levels are not set in further.
const INDENT_MAX: usize = 24;

/// Columns of one text or number; the rest is cut, with a mark.
const TOKEN_COLUMNS_MAX: usize = 300;

/// The lines of a JSON text: what fits into `width` columns stays on one line. At
/// most `lines_max` of them; whether there were more. Text that is not JSON is laid out
/// by its brackets all the same.
pub(super) fn lay_out(json: &str, width: usize, lines_max: usize) -> (Vec<String>, bool) {
    let tokens: Vec<Lexeme<'_>> = Lexemes(json).map(Lexeme::new).collect();
    let ends = ends(&tokens);
    let mut lines = vec![String::new()];
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if lines.len() > lines_max {
            lines.truncate(lines_max);
            return (lines, true);
        }
        let line = lines.last_mut().map_or(0, |line| display_width(line));
        let end = ends[at].filter(|end| one_line(&tokens[at..=*end]).1 + line <= width);
        match (token.text, end) {
            ("{" | "[", Some(end)) => {
                push(&mut lines, &one_line(&tokens[at..=end]).0);
                at = end;
            }
            ("{" | "[", None) => {
                push(&mut lines, token.text);
                depth += 1;
                lines.push(indent(depth));
            }
            ("}" | "]", _) => {
                depth = depth.saturating_sub(1);
                lines.push(format!("{}{}", indent(depth), token.text));
            }
            (",", _) => {
                push(&mut lines, ",");
                lines.push(indent(depth));
            }
            (":", _) => push(&mut lines, ": "),
            _ => push(&mut lines, &token.shown),
        }
        at += 1;
    }
    (lines, false)
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

fn indent(depth: usize) -> String {
    " ".repeat((INDENT * depth).min(INDENT_MAX))
}

struct Lexeme<'a> {
    text: &'a str,
    /// The same, cut where it is long.
    shown: Cow<'a, str>,
}

impl<'a> Lexeme<'a> {
    fn new(text: &'a str) -> Self {
        let shown = cut(text, TOKEN_COLUMNS_MAX, Drawing::Unicode);
        Self { text, shown }
    }
}

/// Where each bracket that opens is closed, by its place. One that is wider than any
/// line has no place here: it is broken anyway.
fn ends(tokens: &[Lexeme<'_>]) -> Vec<Option<usize>> {
    /// More tokens than this are on no line.
    const TOKENS_MAX: usize = 1000;
    let mut ends = vec![None; tokens.len()];
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "{" | "[" => open.push(at),
            "}" | "]" => {
                if let Some(start) = open.pop().filter(|start| at - start <= TOKENS_MAX) {
                    ends[start] = Some(at);
                }
            }
            _ => {}
        }
    }
    ends
}

/// Tokens on one line, and its columns.
fn one_line(tokens: &[Lexeme<'_>]) -> (String, usize) {
    let mut line = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |next| next.text);
        line.push_str(&token.shown);
        let is_apart = match (token.text, next) {
            ("{", "}") | ("[" | "]", _) => false,
            ("{" | ":" | ",", _) => true,
            (_, next) => next == "}",
        };
        if is_apart || token.text == "]" && next == "}" {
            line.push(' ');
        }
    }
    let columns = display_width(&line);
    (line, columns)
}

/// Brackets, commas, colons, texts with their quotes, and what else there is.
struct Lexemes<'a>(&'a str);

impl<'a> Iterator for Lexemes<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
        let first = text.chars().next()?;
        let length = match first {
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            '"' => {
                let mut is_escaped = false;
                let end = text.bytes().skip(1).position(|byte| {
                    let is_end = byte == b'"' && !is_escaped;
                    is_escaped = byte == b'\\' && !is_escaped;
                    is_end
                });
                end.map_or(text.len(), |end| end + 2)
            }
            _ => {
                let is_end = |c: char| "{}[],:\" \t\n\r".contains(c);
                text.find(is_end).unwrap_or(text.len())
            }
        };
        let (token, rest) = text.split_at(length);
        self.0 = rest;
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(json: &str, width: usize, expected: &[&str]) {
        let (lines, is_cut) = lay_out(json, width, 100);
        assert_eq!(lines, expected, "{json}");
        assert!(!is_cut);
    }

    #[test]
    fn what_fits_stays_on_one_line() {
        check(
            r#"{"a":1,"b":[1,2,{}],"c":{"d":null}}"#,
            80,
            &[r#"{ "a": 1, "b": [1, 2, {}], "c": { "d": null } }"#],
        );
        check(
            r#"{"a":12345678901234567890123,"b":["x","y"]}"#,
            30,
            &[
                "{",
                r#"  "a": 12345678901234567890123,"#,
                r#"  "b": ["x", "y"]"#,
                "}",
            ],
        );
        check("true", 1, &["true"]);
        check(r#""a \"{b}\\""#, 1, &[r#""a \"{b}\\""#]);
    }

    #[test]
    fn long_bodies_and_long_texts_are_cut() {
        let numbers: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
        let (lines, is_cut) = lay_out(&format!("[{}]", numbers.join(",")), 80, 40);
        assert!(is_cut);
        assert_eq!((lines.len(), lines[39].as_str()), (40, "  38,"));
        let long = format!("\"{}\"", "x".repeat(100_000));
        let (lines, _) = lay_out(&long, 80, 40);
        assert_eq!(display_width(&lines[0]), TOKEN_COLUMNS_MAX);
        // Levels without end are set in only so far.
        let (lines, _) = lay_out(&"[".repeat(100_000), 80, 60);
        assert!(lines.iter().all(|line| line.len() <= INDENT_MAX + 1));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_nothing_is_lost(text in "[{}\\[\\],:\"\\\\a1 é]{0,60}", width in 0..40_usize) {
            let (lines, _) = lay_out(&text, width, 1000);
            let bare = |text: &str| text.replace([' ', '\n'], "");
            prop_assert_eq!(bare(&lines.concat()), bare(&text));
        }
    }
}
