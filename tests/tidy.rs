//! The repository's rules as a test.
//!
//! Which module may know which, who may name which dependency, where time may
//! be asked for and where `unsafe` may stand: the tables below are those rules,
//! and [`check_source`] holds every source file against them. It reads tokens,
//! not meaning: comments and literals are dropped, `use` trees and paths are
//! read to their ends, macros are not expanded. Each rule has a test on a small
//! text that breaks it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The levels, lowest first. A module imports only from levels below its own.
/// `lib.rs`, `main.rs` and `bin/` stand above all and are free.
const LEVELS: &[&[&str]] = &[
    &["text", "units"],
    &[
        "clock", "error", "files", "host", "protocol", "metrics", "load", "redact",
    ],
    &[
        "address",
        "scheduler",
        "validity",
        "terminal",
        "demo",
        "canned",
    ],
    &["http", "scenario", "outcome"],
    &["client", "report"],
    &["user", "init", "decide"],
    &["worker"],
    &["coordinator"],
    &["calibrate"],
    &["cli"],
];

/// What makes load: it hands results out and never shows them.
const ENGINE: &[&str] = &[
    "scheduler",
    "http",
    "client",
    "user",
    "worker",
    "coordinator",
    "decide",
];

/// Who never imports whom, even where the levels would allow it.
const NEVER: &[(&[&str], &[&str])] = &[
    (ENGINE, &["report", "terminal", "cli"]),
    // The demo server is no part of the engine; see `TESTS_MAY_IMPORT`.
    (ENGINE, &["demo", "canned"]),
    (&["report"], ENGINE),
];

/// The servers that we test with: outside of tests they never import the
/// client's protocol code, whose faults they would mirror.
const SERVERS: &[&str] = &["demo", "canned"];

/// What code under `#[cfg(test)]` may import whatever its level: a real server.
const TESTS_MAY_IMPORT: &[&str] = &["demo", "canned"];

/// Modules that are declared under `#[cfg(test)]` wherever they stand.
const TEST_MODULES: &[&str] = &["tests", "proof", "samples", "simulation"];

/// Dependencies, by the name that code gives them, and the modules that may name them.
const DEPENDENCIES: &[(&str, &[&str])] = &[
    ("aho_corasick", &["redact"]),
    ("argh", &["cli"]),
    ("toml", &["scenario", "init"]),
    ("ureq", &["http"]),
    ("flate2", &["protocol"]),
    ("mio", &["http", "scheduler", "demo", "canned"]),
    ("corosensei", &["scheduler"]),
    ("crossbeam_channel", &["worker", "coordinator", "cli"]),
    ("core_affinity", &["worker", "canned"]),
    ("hdrhistogram", &["metrics"]),
    ("termcolor", &["terminal"]),
    ("terminal_size", &["terminal"]),
    (
        "nix",
        &[
            "http",
            "scheduler",
            "worker",
            "demo",
            "canned",
            "coordinator",
            "cli",
        ],
    ),
];

/// The modules that may ask what time it is.
const CLOCK_READERS: &[&str] = &["clock", "http", "scheduler"];

/// The files that may hold `unsafe` code.
const UNSAFE_FILES: &[&str] = &["src/scheduler/suspend.rs", "src/http/timestamp.rs"];

/// Macros that no code keeps.
const NEVER_KEPT: &[&str] = &["todo", "unimplemented", "dbg"];

/// Macros that bypass the writers of `terminal`; tests may use them.
const PRINTERS: &[&str] = &["println", "print", "eprintln", "eprint"];

/// In characters.
const LINE_WIDTH_MAX: usize = 120;

#[test]
fn the_sources_keep_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    let mut n_sources = 0;
    for path in files_under(&root.join("src")) {
        let name = relative_name(root, &path);
        if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).expect("a source is UTF-8");
            faults.extend(check_source(&name, &text));
            n_sources += 1;
        }
    }
    for path in files_under(&root.join("configs")) {
        faults.extend(check_config(&relative_name(root, &path)));
    }
    // A walk that finds nothing would pass for ever.
    assert!(n_sources > 3, "only {n_sources} sources found");
    let faults: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// A rule broken at a place.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    file: String,
    /// From 1.
    line: usize,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// All rules for a source file. `file` is its path from the repository's root,
/// with `/` between the parts.
fn check_source(file: &str, text: &str) -> Vec<Fault> {
    let mut source = Source::read(file, text);
    source.check_text(text);
    source.check_words();
    source.check_imports();
    source.faults
}

/// Sample configs are TOML and nothing else.
fn check_config(file: &str) -> Option<Fault> {
    (!file.ends_with(".toml")).then(|| Fault {
        file: file.to_string(),
        line: 1,
        what: "a file under `configs/` ends in `.toml`".to_string(),
    })
}

/// A source file being checked.
struct Source<'a> {
    file: &'a str,
    /// `["http", "transport"]` for `src/http/transport.rs`; empty for the
    /// files that are free.
    modules: Vec<&'a str>,
    tokens: Vec<Token<'a>>,
    faults: Vec<Fault>,
}

impl<'a> Source<'a> {
    fn read(file: &'a str, text: &'a str) -> Self {
        let mut tokens = tokens(text);
        mark_tests(&mut tokens);
        let modules = modules_of(file);
        // A file of its own that is declared under `#[cfg(test)]`.
        if modules
            .last()
            .is_some_and(|name| TEST_MODULES.contains(name))
        {
            for token in &mut tokens {
                token.in_test = true;
            }
        }
        Self {
            file,
            modules,
            tokens,
            faults: Vec::new(),
        }
    }

    /// The file's module below the crate's root, or `None` where it is free.
    fn module(&self) -> Option<&'a str> {
        self.modules.first().copied()
    }

    /// Notes a fault, once: a `use` tree has many leaves on one line.
    fn fault(&mut self, line: usize, what: impl Into<String>) {
        let fault = Fault {
            file: self.file.to_string(),
            line,
            what: what.into(),
        };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Rules on the text as it stands.
    fn check_text(&mut self, text: &str) {
        // `main.rs` is included by the program's second name, where an inner
        // comment would not be accepted.
        let is_program = self.file == "src/main.rs" || self.file.starts_with("src/bin/");
        if !is_program && !text.starts_with("//!") {
            self.fault(1, "a module begins with `//!`: its purpose");
        }
        for (line, content) in (1..).zip(text.lines()) {
            let width = content.chars().count();
            // Recorded messages and samples of commands are not broken up.
            if width > LINE_WIDTH_MAX && !content.contains('"') {
                self.fault(
                    line,
                    format!("{width} characters, more than {LINE_WIDTH_MAX}"),
                );
            }
            if content.ends_with([' ', '\t']) {
                self.fault(line, "blanks at the end of the line");
            }
        }
    }

    /// Rules on single words and short sequences of them.
    fn check_words(&mut self) {
        for i in 0..self.tokens.len() {
            let Token {
                line,
                text,
                in_test,
            } = self.tokens[i];
            let next = |n: usize| self.tokens.get(i + n).map_or("", |token| token.text);
            if text == "unsafe" && !UNSAFE_FILES.contains(&self.file) {
                self.fault(line, format!("`unsafe` is for {}", UNSAFE_FILES.join(", ")));
            } else if matches!(text, "Instant" | "SystemTime") {
                let reads = next(1) == "::" && next(2) == "now";
                // Under another name it could be read unseen.
                let hides = next(1) == "as";
                if (reads || hides) && !self.module().is_some_and(|m| CLOCK_READERS.contains(&m)) {
                    self.fault(
                        line,
                        format!("`{text}` is asked only in {}", CLOCK_READERS.join(", ")),
                    );
                }
            } else if next(1) == "!" && next(2) != "=" {
                if NEVER_KEPT.contains(&text) {
                    self.fault(line, format!("`{text}!` is not kept"));
                } else if PRINTERS.contains(&text) && !in_test {
                    self.fault(
                        line,
                        format!("`{text}!` bypasses the writers of `terminal`"),
                    );
                }
            }
        }
    }

    /// Rules on what the file names: modules of the crate and dependencies.
    fn check_imports(&mut self) {
        let Some(own) = self.module() else { return };
        let Some(own_level) = level_of(own) else {
            self.fault(
                1,
                format!("module `{own}` has no level: add it to `LEVELS`"),
            );
            return;
        };
        for path in paths(&self.tokens) {
            let root = path.segments[0];
            if let Some((_, allowed)) = DEPENDENCIES.iter().find(|(name, _)| *name == root) {
                if !allowed.contains(&own) && !path.in_test {
                    self.fault(
                        path.line,
                        format!("`{root}` is named only in {}", allowed.join(", ")),
                    );
                }
                continue;
            }
            let Some(absolute) = self.resolve(&path) else {
                continue;
            };
            let Some(&target) = absolute.first() else {
                self.fault(path.line, "the crate as a whole is named: name the module");
                continue;
            };
            if target == own || (path.in_test && TESTS_MAY_IMPORT.contains(&target)) {
                continue;
            }
            let forbidden = NEVER
                .iter()
                .any(|(who, whom)| who.contains(&own) && whom.contains(&target))
                || SERVERS.contains(&own) && target == "protocol" && !path.in_test;
            match level_of(target) {
                None => self.fault(
                    path.line,
                    format!("`crate::{target}` is no module of `LEVELS`"),
                ),
                Some(_) if forbidden => {
                    self.fault(path.line, format!("`{own}` never imports `{target}`"));
                }
                Some(level) if level >= own_level => {
                    let what =
                        format!("`{own}` (level {own_level}) imports `{target}` (level {level})");
                    self.fault(path.line, what);
                }
                Some(_) => {}
            }
        }
    }

    /// The path from the crate's root, or `None` if it leads elsewhere.
    fn resolve(&self, path: &PathUse<'a>) -> Option<Vec<&'a str>> {
        let mut here = self.modules.clone();
        here.extend(&path.inside);
        let mut rest = path.segments.as_slice();
        match rest.first().copied()? {
            "crate" => {
                here.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            _ => return None,
        }
        while let Some(("super", after)) = rest.split_first().map(|(first, after)| (*first, after))
        {
            here.pop();
            rest = after;
        }
        here.extend(
            rest.iter()
                .filter(|segment| !matches!(**segment, "self" | "*")),
        );
        Some(here)
    }
}

/// A file's modules, outermost first; empty for `lib.rs`, `main.rs` and `bin/`.
fn modules_of(file: &str) -> Vec<&str> {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    if matches!(inner, "lib" | "main") || inner.starts_with("bin/") {
        return Vec::new();
    }
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    let mut modules: Vec<&str> = inner.split('/').collect();
    // `jsonrpc_tests.rs` is the module `tests` of `jsonrpc.rs`.
    if let Some(tested) = modules.last().and_then(|name| name.strip_suffix("_tests")) {
        modules.pop();
        modules.extend([tested, "tests"]);
    }
    modules
}

fn level_of(module: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&module))
}

/// A path as code names it.
#[derive(Debug)]
struct PathUse<'a> {
    line: usize,
    /// At least one; without generic arguments; `*` for a glob.
    segments: Vec<&'a str>,
    /// The `mod name { … }` blocks around it, outermost first.
    inside: Vec<&'a str>,
    in_test: bool,
}

/// All paths: the leaves of `use` trees, `extern crate`, and paths in code.
fn paths<'a>(tokens: &[Token<'a>]) -> Vec<PathUse<'a>> {
    let text = |i: usize| tokens.get(i).map_or("", |token: &Token<'a>| token.text);
    let mut found = Vec::new();
    // The blocks of inline modules that are open, with the depth they opened at.
    let mut blocks: Vec<(&str, usize)> = Vec::new();
    let mut depth = 0;
    let mut i = 0;
    while i < tokens.len() {
        let Token { line, in_test, .. } = tokens[i];
        let mut add = |line, segments| {
            found.push(PathUse {
                line,
                segments,
                inside: blocks.iter().map(|(name, _)| *name).collect(),
                in_test,
            });
        };
        let previous = i.checked_sub(1).map_or("", text);
        match text(i) {
            // `use<'a>` lists what an `impl Trait` captures.
            "use" if text(i + 1) != "<" => {
                i = use_tree(tokens, i + 1, &[], &mut add);
            }
            "extern" if text(i + 1) == "crate" => {
                add(line, vec![text(i + 2)]);
                i += 3;
            }
            "mod" if text(i + 2) == "{" => {
                blocks.push((text(i + 1), depth));
                depth += 1;
                i += 3;
            }
            "{" => {
                depth += 1;
                i += 1;
            }
            "}" => {
                depth = depth.saturating_sub(1);
                if blocks
                    .last()
                    .is_some_and(|(_, opened_at)| *opened_at == depth)
                {
                    blocks.pop();
                }
                i += 1;
            }
            "::" if !ends_path(tokens, i) && is_word(text(i + 1)) => {
                i = plain_path(tokens, i + 1, &mut add);
            }
            word if is_path_word(word) && text(i + 1) == "::" && previous != "::" => {
                i = plain_path(tokens, i, &mut add);
            }
            _ => i += 1,
        }
    }
    found
}

/// Words that a path may follow and that are no part of it.
const KEYWORDS: &[&str] = &[
    "as", "dyn", "else", "for", "if", "impl", "in", "match", "mut", "return", "where", "while",
];

/// Whether what stands before this `::` is a part of the same path, so that the
/// `::` begins none.
fn ends_path(tokens: &[Token<'_>], separator: usize) -> bool {
    let text = |back: usize| separator.checked_sub(back).map_or("", |i| tokens[i].text);
    match text(1) {
        // The end of generic arguments, unless it is an arrow.
        ">" => !matches!(text(2), "-" | "="),
        before => is_path_word(before),
    }
}

fn is_path_word(text: &str) -> bool {
    is_word(text) && !KEYWORDS.contains(&text)
}

/// Reads `a::b::c` and returns the index after it.
fn plain_path<'a>(
    tokens: &[Token<'a>],
    start: usize,
    add: &mut impl FnMut(usize, Vec<&'a str>),
) -> usize {
    let mut segments = vec![tokens[start].text];
    let mut i = start + 1;
    while let [separator, word, ..] = &tokens[i..] {
        if separator.text != "::" || !is_word(word.text) {
            break;
        }
        segments.push(word.text);
        i += 2;
    }
    add(tokens[start].line, segments);
    i
}

/// Reads one branch of a `use` tree below `prefix` and returns the index of
/// what ends it: `;`, `,` or `}`.
fn use_tree<'a>(
    tokens: &[Token<'a>],
    start: usize,
    prefix: &[&'a str],
    add: &mut impl FnMut(usize, Vec<&'a str>),
) -> usize {
    let mut segments = prefix.to_vec();
    let mut i = start;
    let line = tokens.get(start).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(i) {
        match token.text {
            "{" => {
                i += 1;
                while tokens.get(i).is_some_and(|token| token.text != "}") {
                    i = use_tree(tokens, i, &segments, add);
                    if tokens.get(i).is_some_and(|token| token.text == ",") {
                        i += 1;
                    }
                }
                return i + 1;
            }
            ";" | "," | "}" => break,
            "as" => i += 2,
            "::" => i += 1,
            segment => {
                segments.push(segment);
                i += 1;
            }
        }
    }
    if !segments.is_empty() {
        add(line, segments);
    }
    i
}

/// A word, `::`, or a single other character. Comments are gone; a literal is
/// an empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'a> {
    line: usize,
    text: &'a str,
    /// Whether it stands in an item under `#[cfg(test)]`.
    in_test: bool,
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits a source into tokens.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (len, token) = next_token(rest, first);
        if let Some(text) = token {
            tokens.push(Token {
                line,
                text,
                in_test: false,
            });
        }
        line += rest[..len].matches('\n').count();
        rest = &rest[len..];
    }
    tokens
}

/// The length of the next piece in bytes, and what it counts as, if anything.
fn next_token(rest: &str, first: char) -> (usize, Option<&str>) {
    if first.is_whitespace() {
        return (first.len_utf8(), None);
    }
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (block_comment_len(rest), None);
    }
    if rest.starts_with("::") {
        return (2, Some("::"));
    }
    if first == '"' {
        return (string_len(rest), Some(""));
    }
    if first == '\'' {
        return quote_token(rest);
    }
    let word_len = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let (word, after) = rest.split_at(word_len);
    match word {
        "" => (first.len_utf8(), Some(&rest[..first.len_utf8()])),
        "r" | "br" | "cr" if raw_string_len(after).is_some() => (
            word_len + raw_string_len(after).unwrap_or_default(),
            Some(""),
        ),
        // A raw identifier: the word without its mark.
        "r" if after.starts_with('#') => (word_len + 1, None),
        "b" | "c" if after.starts_with('"') => (word_len + string_len(after), Some("")),
        "b" if after.starts_with('\'') => (word_len + quote_token(after).0, Some("")),
        _ if first.is_ascii_digit() => (word_len, Some("")),
        _ => (word_len, Some(word)),
    }
}

/// The length of a block comment, which may hold others.
fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of a string literal that begins with `"`.
fn string_len(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of `#"…"#` after the `r`, or `None` if it is no string.
fn raw_string_len(after: &str) -> Option<usize> {
    let n_hashes = after.len() - after.trim_start_matches('#').len();
    let content = after[n_hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(n_hashes));
    let content_len = content.find(&end).unwrap_or(content.len());
    Some((n_hashes + 1 + content_len + end.len()).min(after.len()))
}

/// A character literal or a lifetime. A lifetime counts as nothing.
fn quote_token(rest: &str) -> (usize, Option<&str>) {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((escaped_at, escaped))) => {
            // The escaped character may be the quote itself.
            let from = escaped_at + escaped.len_utf8();
            let len = rest[from..]
                .find('\'')
                .map_or(rest.len(), |at| from + at + 1);
            (len, Some(""))
        }
        (Some(_), Some((at, '\''))) => (at + 1, Some("")),
        _ => {
            let name = &rest[1..];
            let name_len = name
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(name.len());
            (1 + name_len, None)
        }
    }
}

/// Marks the items under `#[cfg(test)]`, and all that follows `#![cfg(test)]`.
fn mark_tests(tokens: &mut [Token<'_>]) {
    let mut i = 0;
    while i < tokens.len() {
        let Some((is_inner, end)) = test_attribute(tokens, i) else {
            i += 1;
            continue;
        };
        let end = if is_inner {
            tokens.len()
        } else {
            item_end(tokens, end)
        };
        for token in &mut tokens[i..end] {
            token.in_test = true;
        }
        i = end;
    }
}

/// Whether a `cfg(test)` attribute begins here: is it an inner one, and the
/// index after it. `cfg(any(test, …))` is none: it is compiled otherwise too.
fn test_attribute(tokens: &[Token<'_>], start: usize) -> Option<(bool, usize)> {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text);
    if text(start) != "#" {
        return None;
    }
    let is_inner = text(start + 1) == "!";
    let open = start + 1 + usize::from(is_inner);
    if text(open) != "[" || text(open + 1) != "cfg" {
        return None;
    }
    let len = tokens[open..].iter().position(|token| token.text == "]")?;
    let words: Vec<_> = tokens[open..open + len]
        .iter()
        .map(|token| token.text)
        .collect();
    let only_for_tests =
        words.contains(&"test") && !words.contains(&"not") && !words.contains(&"any");
    only_for_tests.then_some((is_inner, open + len + 1))
}

/// The index after the item that begins here: after its block or its `;`.
fn item_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(start) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return i + 1;
                }
            }
            ";" if depth == 0 => return i + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// All files below a folder, in a fixed order; none if there is no such folder.
fn files_under(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files.extend(files_under(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn relative_name(root: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(root).expect("a file below the root");
    inner.to_string_lossy().replace('\\', "/")
}

mod the_checker {
    use super::*;

    /// What is found in a file with this content, after the opening comment
    /// that each needs. Lines are counted from the content's first.
    #[track_caller]
    fn check(file: &str, content: &str, expected: &[(usize, &str)]) {
        let faults = check_source(file, &format!("//! Purpose.\n{content}"));
        let found: Vec<_> = faults
            .iter()
            .map(|fault| (fault.line - 1, fault.what.as_str()))
            .collect();
        assert_eq!(found, expected, "{file}: {content}");
    }

    #[track_caller]
    fn passes(file: &str, content: &str) {
        check(file, content, &[]);
    }

    #[track_caller]
    fn fails(file: &str, content: &str, what: &str) {
        let faults = check_source(file, &format!("//! Purpose.\n{content}"));
        assert!(
            faults.len() == 1 && faults[0].what.contains(what),
            "one fault with `{what}` expected in {content:?}: {faults:?}"
        );
    }

    #[test]
    fn the_tables_name_modules_that_have_levels() {
        let in_never = NEVER.iter().flat_map(|(who, whom)| who.iter().chain(*whom));
        let in_dependencies = DEPENDENCIES.iter().flat_map(|(_, modules)| modules.iter());
        let others = TESTS_MAY_IMPORT.iter().chain(CLOCK_READERS).chain(SERVERS);
        for module in in_never.chain(in_dependencies).chain(others) {
            assert!(level_of(module).is_some(), "{module}");
        }
        let all: Vec<_> = LEVELS.iter().copied().flatten().collect();
        for (i, module) in all.iter().enumerate() {
            assert!(!all[..i].contains(module), "{module} has two levels");
        }
    }

    #[test]
    fn lower_levels_may_be_imported() {
        passes(
            "src/http/mod.rs",
            "use crate::scheduler::Task;\nuse crate::clock;",
        );
        passes(
            "src/cli/run.rs",
            "use crate::{coordinator::{self, run}, report, error::UserError};",
        );
        passes(
            "src/metrics/mod.rs",
            "use crate::metrics::histogram::Bounds;\nuse std::fmt;",
        );
        passes("src/user/step.rs", "fn f() { crate::client::open(); }");
        passes("src/lib.rs", "pub use crate::cli::main;\npub mod cli;");
        passes("src/bin/other.rs", "use crate::whatever;");
    }

    #[test]
    fn equal_and_higher_levels_may_not() {
        let expected = [(1, "`http` (level 3) imports `coordinator` (level 7)")];
        check("src/http/mod.rs", "use crate::coordinator::run;", &expected);
        fails(
            "src/clock.rs",
            "use crate::error;",
            "`clock` (level 1) imports `error` (level 1)",
        );
        fails(
            "src/protocol/sse.rs",
            "use crate::error::UserError;",
            "imports `error`",
        );
        fails(
            "src/scheduler.rs",
            "use crate::scenario::Plan;",
            "imports `scenario`",
        );
        fails(
            "src/outcome.rs",
            "pub use crate::cli::exit;",
            "imports `cli`",
        );
        fails(
            "src/client/mod.rs",
            "pub(crate) use crate::user::User;",
            "imports `user`",
        );
    }

    #[test]
    fn every_shape_of_path_is_seen() {
        for content in [
            "use crate::{units, worker};",
            "use crate::{\n    units::{self, format_count},\n    worker::{run::{self, Body}, message},\n};",
            "use {crate::worker, std::fmt};",
            "use crate::worker as w;",
            "use crate::worker::*;",
            "pub(in crate::client) use crate::worker::run;",
            "fn f() { crate::worker::run(); }",
            "fn f(x: &crate::worker::Body<'_>) {}",
            "fn f() { <crate::worker::Body as Clone>::clone(); }",
            "fn f() { for _ in 0..crate::worker::MAX {} }",
            "macro_rules! m { () => { $crate::worker::run() }; }",
            "use super::worker;",
            "fn f() { super::worker::run(); }",
            "use self::super::worker;",
            "mod inner { use super::super::worker; }",
            "mod inner { mod deeper {} }\nmod other { use super::super::worker::run; }",
            "fn f() { let x = { 1 }; }\nuse super::worker;",
            "use r#crate::worker;",
        ] {
            fails("src/client/mod.rs", content, "`worker`");
            fails("src/client.rs", content, "`worker`");
        }
        fails(
            "src/client/session.rs",
            "use super::super::worker;",
            "`worker`",
        );
        fails(
            "src/client/session/open.rs",
            "use super::super::super::worker;",
            "`worker`",
        );
    }

    #[test]
    fn a_fault_names_its_line() {
        let content =
            "use crate::{\n    units,\n    worker,\n};\n\nfn f() {\n    crate::user::f();\n}";
        let expected = [
            (3, "`client` (level 4) imports `worker` (level 6)"),
            (7, "`client` (level 4) imports `user` (level 5)"),
        ];
        check("src/client/mod.rs", content, &expected);
    }

    #[test]
    fn paths_that_stay_inside_or_lead_elsewhere_are_free() {
        for content in [
            "use super::worker;",
            "use self::worker;",
            "use super::{worker, Session};",
            "mod tests { use super::*; use super::worker; }",
            "use worker::run;",
            "use std::worker;",
            "fn f() { x.worker::<u8>(); }",
            "fn f() { Vec::<u8>::new(); }",
            "pub(crate) fn f() -> impl Iterator + use<'_> { worker() }",
            "pub(super) struct X;",
        ] {
            passes("src/client/session.rs", content);
        }
    }

    #[test]
    fn the_whole_crate_and_unknown_modules_are_not_named() {
        fails("src/http/mod.rs", "use crate::*;", "as a whole");
        fails("src/http/mod.rs", "use crate as all;", "as a whole");
        fails("src/http/mod.rs", "use crate::{self as all};", "as a whole");
        fails("src/http.rs", "use super::*;", "as a whole");
        fails(
            "src/http.rs",
            "use crate::UserError;",
            "`crate::UserError` is no module",
        );
        fails(
            "src/helper.rs",
            "use std::fmt;",
            "module `helper` has no level",
        );
    }

    #[test]
    fn report_and_engine_do_not_know_each_other() {
        fails(
            "src/report/build.rs",
            "use crate::scheduler::Task;",
            "`report` never imports `scheduler`",
        );
        fails(
            "src/report/build.rs",
            "use crate::coordinator::run;",
            "`report` never imports",
        );
        fails(
            "src/http/mod.rs",
            "use crate::terminal::Printer;",
            "`http` never imports `terminal`",
        );
        fails(
            "src/coordinator/run.rs",
            "use crate::report::Report;",
            "`coordinator` never imports `report`",
        );
        fails(
            "src/worker/mod.rs",
            "use crate::cli;",
            "`worker` never imports `cli`",
        );
        passes(
            "src/report/build.rs",
            "use crate::{metrics, outcome, scenario, terminal};",
        );
    }

    #[test]
    fn tests_alone_may_use_the_demo_server() {
        fails(
            "src/http/mod.rs",
            "use crate::demo;",
            "`http` never imports `demo`",
        );
        passes(
            "src/http/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::demo::Server; }",
        );
        passes(
            "src/scheduler/mod.rs",
            "#[cfg(test)]\n#[allow(x)]\nmod tests { fn f() { crate::demo::f(); } }",
        );
        passes(
            "src/scheduler/tests.rs",
            "#![cfg(test)]\nuse crate::demo::Server;",
        );
        passes(
            "src/protocol/mod.rs",
            "#[cfg(all(test, unix))]\nuse crate::demo::Server;\nfn f() {}",
        );
        // The block ends where it ends, and the rest of its rules hold inside.
        fails(
            "src/http/mod.rs",
            "#[cfg(test)]\nmod tests {}\nuse crate::demo;",
            "imports `demo`",
        );
        fails(
            "src/http/mod.rs",
            "#[cfg(not(test))]\nuse crate::demo;",
            "imports `demo`",
        );
        fails(
            "src/http/mod.rs",
            "#[cfg(any(test, unix))]\nuse crate::demo;",
            "imports `demo`",
        );
        fails(
            "src/http/mod.rs",
            "#[cfg(test)]\nmod tests { use crate::worker; }",
            "`worker`",
        );
    }

    #[test]
    fn the_servers_do_not_know_the_client_s_protocol() {
        for file in ["src/demo/wire.rs", "src/canned/answers.rs"] {
            fails(file, "use crate::protocol::Method;", "never imports");
            passes(
                file,
                "#[cfg(test)]\nmod tests { use crate::protocol::Method; }",
            );
        }
        fails("src/user/mod.rs", "use crate::canned::Server;", "`canned`");
    }

    #[test]
    fn dependencies_stay_where_they_belong() {
        for content in [
            "use ureq::Agent;",
            "use ::ureq::Agent;",
            "use {std::fmt, ureq::Agent};",
            "use ureq;",
            "extern crate ureq;",
            "fn f() -> ureq::Agent {}",
            "fn f() { ::ureq::get(); }",
            "fn f() -> ::ureq::Agent {}",
            "fn f(x: &dyn ::ureq::Connector) {}",
            "impl From<ureq::Error> for E {}",
            "#[derive(ureq::Derive)] struct X;",
        ] {
            fails("src/user/mod.rs", content, "`ureq` is named only in http");
            passes("src/http/mod.rs", content);
        }
        fails("src/scenario/mod.rs", "use argh::FromArgs;", "only in cli");
        fails(
            "src/report/mod.rs",
            "use crossbeam_channel::Sender;",
            "only in worker, coordinator, cli",
        );
        passes(
            "src/user/mod.rs",
            "use std::ureq;\nfn f() { x.ureq(); self.mio = 1; let toml = 2; }",
        );
    }

    #[test]
    fn only_the_clock_and_the_transport_ask_for_the_time() {
        for content in [
            "fn f() { Instant::now(); }",
            "fn f() { std::time::Instant::now(); }",
            "fn f() { SystemTime :: now(); }",
            "use std::time::Instant as I;",
        ] {
            fails("src/worker/run.rs", content, "is asked only in");
            fails("src/lib.rs", content, "is asked only in");
            passes("src/clock.rs", content);
            passes("src/http/transport.rs", content);
        }
        passes(
            "src/worker/run.rs",
            "fn f(now: Instant) { crate::clock::now(); }",
        );
    }

    #[test]
    fn unsafe_stands_in_two_files() {
        fails(
            "src/http/mod.rs",
            "fn f() { unsafe { g() } }",
            "`unsafe` is for",
        );
        fails("src/lib.rs", "unsafe impl Send for X {}", "`unsafe` is for");
        passes("src/http/timestamp.rs", "fn f() { unsafe { g() } }");
        passes("src/scheduler/suspend.rs", "unsafe fn f() {}");
        passes("src/lib.rs", "#![deny(unsafe_code)]");
    }

    #[test]
    fn unfinished_and_printing_code_is_not_kept() {
        fails("src/http/mod.rs", "fn f() { todo!() }", "`todo!`");
        fails(
            "src/http/mod.rs",
            "fn f() { std::unimplemented!() }",
            "`unimplemented!`",
        );
        fails(
            "src/http/mod.rs",
            "#[cfg(test)]\nmod tests { fn f() { dbg!(1); } }",
            "`dbg!`",
        );
        fails(
            "src/cli/mod.rs",
            "fn f() { println!(); }",
            "`println!` bypasses",
        );
        fails(
            "src/main.rs",
            "fn f() { eprintln!(); }",
            "`eprintln!` bypasses",
        );
        passes(
            "src/cli/mod.rs",
            "#[cfg(test)]\nmod tests { fn f() { println!(); } }",
        );
        passes(
            "src/cli/mod.rs",
            "fn f() { let todo = 1; if todo != 2 {} write!(x, \"\") }",
        );
    }

    #[test]
    fn comments_and_literals_say_nothing() {
        for content in [
            "// use crate::worker;",
            "/// [`crate::worker::run`], `unsafe`, `todo!`",
            "/* crate::worker /* nested */ crate::worker */",
            "const X: &str = \"crate::worker \\\" crate::worker\";",
            "const X: &str = r#\"\"crate::worker\"\"#;",
            "const X: &[u8] = b\"crate::worker\";",
            "const X: &[u8] = br\"crate::worker\\\";",
            "const X: &CStr = c\"crate::worker\";",
            "const X: &str = \"two\nlines crate::worker\";",
        ] {
            passes("src/http/mod.rs", content);
            // And the code after them is read again.
            let followed = format!("{content}\nuse crate::worker;");
            fails("src/http/mod.rs", &followed, "`worker`");
        }
        for before in [
            "'\"'",
            "'\\''",
            "'\\\\'",
            "b'\"'",
            "b'\\''",
            "'\\u{22}'",
            "'ü'",
        ] {
            let content =
                format!("const X: char = {before};\nuse crate::worker;\nconst Y: char = '\"';");
            fails("src/http/mod.rs", &content, "`worker`");
        }
        fails(
            "src/http/mod.rs",
            "fn f<'a>(x: &'a str, y: &'static u8) {}\nuse crate::worker;",
            "`worker`",
        );
    }

    #[test]
    fn lines_are_counted_over_literals_and_comments() {
        let content = "/* 1\n2 */ const X: &str = \"3\n4\"; use crate::worker;";
        check(
            "src/user/mod.rs",
            content,
            &[(3, "`user` (level 5) imports `worker` (level 6)")],
        );
    }

    #[test]
    fn the_text_itself_is_tidy() {
        let what = |file, text: &str| -> Vec<String> {
            check_source(file, text)
                .into_iter()
                .map(|fault| fault.to_string())
                .collect()
        };
        let opening = "src/http/mod.rs:1: a module begins with `//!`: its purpose";
        assert_eq!(what("src/http/mod.rs", "use std::fmt;\n"), [opening]);
        assert_eq!(what("src/http/mod.rs", ""), [opening]);
        assert_eq!(what("src/main.rs", "fn main() {}\n"), [""; 0]);

        fails("src/units.rs", "fn f() {} ", "blanks at the end");
        fails("src/units.rs", "fn f() {\t\n}", "blanks at the end");
        fails(
            "src/units.rs",
            &format!("// {}", "ü".repeat(118)),
            "121 characters",
        );
        passes("src/units.rs", &format!("// {}", "ü".repeat(117)));

        assert!(check_config("configs/a.yaml").is_some());
        assert!(check_config("configs/deep/a.toml").is_none());
    }

    #[test]
    fn modules_follow_from_file_names() {
        assert_eq!(modules_of("src/http.rs"), ["http"]);
        assert_eq!(modules_of("src/http/mod.rs"), ["http"]);
        assert_eq!(
            modules_of("src/protocol/dialect/sessions.rs"),
            ["protocol", "dialect", "sessions"]
        );
        assert_eq!(modules_of("src/bin/cargo-pmcp-loadtest.rs"), [""; 0]);
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        // Cut anywhere, the checker neither panics nor loops.
        let text = "//! é\nuse crate::{a::{b, c as d}, e::*};\n#[cfg(test)]\nmod t { fn f<'a>() { \
                    r#\"x\"#; b'\\''; \"\\\"\"; /* /* */ */ ::x::y!(1.5); } }";
        for (at, _) in text.char_indices() {
            check_source("src/http/mod.rs", &text[..at]);
            check_source("src/http/mod.rs", &text[at..]);
        }
    }
}
