//! What a user reads, case by case: the tables of `tests/told.md`.
//!
//! A test that makes a case says so with [`Tells::tells`], which fails where the file has
//! another text. With `TOLD=write` it is written instead. `e2e/told_cases.rs` looks for rows
//! that no test tells any more.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::program::Finished;

const HEAD: &str = "\
# What a user reads

Each case of TLS, proxies, names and tokens, with what the program says to it: its
error with all hints, or the lines of the summary that tell of it. The end-to-end tests make
each of them and hold it against this file; `TOLD=write cargo test --test e2e` writes it.
Ports, days, times, numbers and folders of a test are `PORT`, `DAY`, `TIME`, `N` and `FOLDER`.
";

/// In this order.
const SECTIONS: [&str; 6] = [
    "TLS",
    "Proxies",
    "Names and addresses",
    "429 and Retry-After",
    "Tokens",
    "OAuth",
];

const TABLE: &str = "| case | what is read |\n|---|---|\n";

/// Where the tables are.
fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/told.md")
}

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    section: String,
    pub(crate) case: String,
    text: String,
}

/// The rows of the file.
pub(crate) fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(path()).unwrap_or_default();
    let mut section = String::new();
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            section = name.to_string();
        }
        let cells = line
            .strip_prefix("| ")
            .and_then(|line| line.strip_suffix(" |"));
        let cells = cells.and_then(|cells| cells.split_once(" | "));
        if let Some((case, text)) = cells.filter(|(case, _)| *case != "case") {
            rows.push(Row {
                section: section.clone(),
                case: case.to_string(),
                text: text.to_string(),
            });
        }
    }
    rows
}

fn write(rows: &[Row]) {
    let mut text = HEAD.to_string();
    for section in SECTIONS {
        if rows.iter().all(|row| row.section != section) {
            continue;
        }
        text += &format!("\n## {section}\n\n{TABLE}");
        for row in rows.iter().filter(|row| row.section == section) {
            text += &format!("| {} | {} |\n", row.case, row.text);
        }
    }
    std::fs::write(path(), text).expect("the file can be written");
}

/// Holds what is read in a case against the file.
#[track_caller]
fn tell(section: &str, case: &str, lines: &[&str]) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    assert!(SECTIONS.contains(&section), "{section}");
    let cell = |line: &&str| usual(line.trim()).replace('|', "\\|");
    let lines: Vec<String> = lines.iter().map(cell).collect();
    let told = Row {
        section: section.to_string(),
        case: case.to_string(),
        text: lines.join("<br>"),
    };
    assert!(!told.text.is_empty(), "nothing is read of: {case}");
    let guard = ONE_AT_A_TIME.lock();
    let _guard = guard.unwrap_or_else(PoisonError::into_inner);
    let mut rows = rows();
    let known = rows
        .iter_mut()
        .find(|row| row.section == section && row.case == case);
    if std::env::var_os("TOLD").is_none_or(|it| it != "write") {
        assert_eq!(
            known.map(|row| &row.text),
            Some(&told.text),
            "{case}: `TOLD=write` writes it"
        );
        return;
    }
    match known {
        Some(row) => *row = told,
        None => rows.push(told),
    }
    write(&rows);
}

/// The text without what is another each time.
fn usual(text: &str) -> String {
    let folder = std::env::temp_dir();
    let folder = folder.canonicalize().unwrap_or(folder);
    let mut out = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let is_port = (out.ends_with(':') || out.ends_with("%3A")) && (4..=5).contains(&n_digits);
        if is_port {
            out += "PORT";
            rest = &rest[n_digits..];
        } else if let Some(after) = after_folder(rest, &folder.to_string_lossy()) {
            out += "FOLDER";
            rest = after;
        } else if let Some((_, end, word)) = changing(&out).filter(|_| n_digits > 0) {
            out += word;
            let (value, _) = rest.split_once(end).unwrap_or((rest, ""));
            rest = &rest[value.len()..];
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

/// What is another each time: before it, behind it, and in its place.
const CHANGING: [(&str, &str, &str); 4] = [
    ("(it is ", ")", "DAY"),
    ("and none in the ", " ", "TIME"),
    ("other address since ", ": ", "TIME"),
    (" took 0 of ", " ", "N"),
];

/// What comes behind this text.
fn changing(before: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    CHANGING.iter().find(|(text, _, _)| before.ends_with(text))
}

/// Behind the name of a test's working folder.
fn after_folder<'a>(text: &'a str, temporary: &str) -> Option<&'a str> {
    let name = text.strip_prefix(temporary)?.strip_prefix("/pmcp-e2e-")?;
    Some(name.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-'))
}

/// What a program that has ended told.
pub(crate) trait Tells {
    /// Its error with all hints is what is read in that case.
    fn tells(self, section: &str, case: &str) -> Self;

    /// The lines of its output with these texts are.
    fn tells_lines(self, section: &str, case: &str, texts: &[&str]) -> Self;
}

impl Tells for Finished {
    #[track_caller]
    fn tells(self, section: &str, case: &str) -> Self {
        let lines = self.stderr.lines();
        let lines = lines.skip_while(|line| !line.starts_with("error: "));
        let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
        tell(section, case, &lines);
        self
    }

    #[track_caller]
    fn tells_lines(self, section: &str, case: &str, texts: &[&str]) -> Self {
        let all: Vec<&str> = self.stdout.lines().chain(self.stderr.lines()).collect();
        let found = texts.iter().map(|text| {
            let mut at = all.iter().skip_while(|line| !line.contains(text));
            let first = at.next().unwrap_or_else(|| panic!("{text}: {self}"));
            // Longer texts go on in lines that are further in.
            let indent = |line: &str| line.len() - line.trim_start().len();
            let more = at.take_while(|line| indent(line) > indent(first));
            let words = std::iter::once(first).chain(more);
            let words = words.flat_map(|line| line.split_whitespace());
            words.collect::<Vec<&str>>().join(" ")
        });
        let found: Vec<String> = found.collect();
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        tell(section, case, &found);
        self
    }
}

#[test]
fn what_is_another_each_time_is_left_out() {
    let folder = std::env::temp_dir().canonicalize().expect("a folder");
    let text = format!(
        "no TLS to https://127.0.0.1:41787/mcp (it is 2026-11-27): `{}/pmcp-e2e-12-3/ca.pem` in \
         2026-01-02, and none in the 4.2s after that",
        folder.display()
    );
    assert_eq!(
        usual(&text),
        "no TLS to https://127.0.0.1:PORT/mcp (it is DAY): `FOLDER/ca.pem` in 2026-01-02, \
         and none in the TIME after that"
    );
}
