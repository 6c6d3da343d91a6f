//! What is wrong with a config or a flag: where, what, and what is accepted.
//!
//! A fault never holds a value that may be a secret. It does not know how it
//! was found, nor who prints it.

use std::fmt;
use std::path::PathBuf;

use crate::error::{UserError, plural};

/// One thing that the user has to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The config; `None`: the command line.
    pub file: Option<PathBuf>,
    /// From 1; `None` where no line is at fault, as for what is missing.
    pub line: Option<usize>,
    /// In characters, from 1; given when the line is.
    pub column: Option<usize>,
    /// The path of the key (`settings.timeout_ms`, `scenario[2].tool`; entries
    /// count from 1), or the flag (`--vus`). Empty for a fault of the syntax.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be accepted.
    pub accepted: Option<String>,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

/// One line: `loadtest.toml:7:1: settings.timeuot_ms: unknown key; did you
/// mean `timeout_ms`?`
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", one_line(&file.display().to_string()))?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
            f.write_str(": ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if let Some(accepted) = &self.accepted {
            write!(f, "; expected {accepted}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

/// All faults of a config and the flags beside it; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// In the order of the file, those of the command line last.
    pub(super) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| {
            let on_command_line = fault.file.is_none();
            let line = fault.line.unwrap_or(usize::MAX);
            (on_command_line, line, fault.column)
        });
        Self(faults)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

/// One line each.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl From<Faults> for UserError {
    fn from(faults: Faults) -> Self {
        let lacks_server = faults.iter().any(|fault| fault.message == NO_SERVER);
        let with_hints = |error: UserError| {
            if lacks_server {
                error
                    .hint("to see a report without a server of yours, run with `--demo`")
                    .hint("`cargo pmcp loadtest init URL` writes a config for a server")
            } else {
                error
            }
        };
        if let [fault] = faults.0.as_slice() {
            return with_hints(UserError::usage(fault.to_string()));
        }
        let mut what = plural(faults.0.len() as u64, "fault", "faults");
        for fault in faults.iter() {
            what.push_str("\n  ");
            what.push_str(&fault.to_string());
        }
        with_hints(UserError::usage(what))
    }
}

/// The fault of a plan without an address.
pub(super) const NO_SERVER: &str = "there is no server to test";

/// The text with everything escaped that would move a cursor, start a line or
/// turn the direction of writing.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// Zero-width characters, separators of lines, and marks of direction.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

/// The same, cut to what is worth quoting in a message.
pub(super) fn quoted(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(CHARS_MAX).collect();
    let rest = if chars.next().is_some() { "…" } else { "" };
    format!("`{}{rest}`", one_line(&start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(file: Option<&str>, line: Option<usize>) -> Fault {
        Fault {
            file: file.map(PathBuf::from),
            line,
            column: line.map(|_| 1),
            key: "settings.timeuot_ms".to_string(),
            message: "unknown key".to_string(),
            accepted: None,
            suggestion: Some("timeout_ms".to_string()),
        }
    }

    #[test]
    fn a_fault_is_one_line() {
        assert_eq!(
            fault(Some(".pmcp/loadtest.toml"), Some(7)).to_string(),
            ".pmcp/loadtest.toml:7:1: settings.timeuot_ms: unknown key; did you mean `timeout_ms`?"
        );
        assert_eq!(
            fault(Some("a\nb.toml"), None).to_string(),
            "a\\nb.toml: settings.timeuot_ms: unknown key; did you mean `timeout_ms`?"
        );
    }

    #[test]
    fn faults_stand_in_the_order_of_the_file() {
        let file = Some("a.toml");
        let faults = Faults::new(vec![
            fault(None, None),
            fault(file, Some(9)),
            fault(file, None),
            fault(file, Some(2)),
        ]);
        let lines: Vec<_> = faults.iter().map(|f| (f.file.is_some(), f.line)).collect();
        assert_eq!(
            lines,
            [
                (true, Some(2)),
                (true, Some(9)),
                (true, None),
                (false, None)
            ]
        );
        let error = UserError::from(faults);
        assert_eq!(error.kind(), crate::error::ErrorKind::Usage);
        assert!(error.what().starts_with("4 faults\n  a.toml:2:1: "));
    }

    #[test]
    fn quotes_are_cut_and_escaped() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "`a\\u{1b}[2Jb`");
        assert_eq!(quoted(&"é".repeat(100)), format!("`{}…`", "é".repeat(60)));
    }
}
