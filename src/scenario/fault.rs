//! What is wrong with a config or a flag: where, what, and what is accepted.
//!
//! A fault never holds a value that may be a secret. It does not know how it
//! was found, nor who prints it.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::UserError;
use crate::text::escaped;
use crate::units::plural;

/// One thing that the user has to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFault {
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
impl fmt::Display for PlanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}", escaped(&file.display().to_string()))?;
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

/// The most faults of a file that are told one by one.
const TOLD_MAX: usize = 50;

/// Faults while a file is read: of those in the file, the first.
#[derive(Debug, Default)]
pub(super) struct FaultList {
    /// With the bytes before each from the start of the file; at most
    /// [`TOLD_MAX`].
    in_file: Vec<(usize, PlanFault)>,
    of_flags: Vec<PlanFault>,
    /// Those that are not told.
    pub(super) n_more: usize,
}

impl FaultList {
    /// The offset of what is missing from the file as a whole.
    pub(super) const AT_THE_END: usize = usize::MAX;

    /// Whether a fault there would be among the first.
    pub(super) fn is_told(&self, offset: usize) -> bool {
        self.in_file.len() < TOLD_MAX || self.in_file.iter().any(|(other, _)| offset < *other)
    }

    /// Adds a fault, of the command line where it has no offset.
    pub(super) fn push(&mut self, offset: Option<usize>, fault: PlanFault) {
        let Some(offset) = offset else {
            self.of_flags.push(fault);
            return;
        };
        let is_told = self.is_told(offset);
        if is_told {
            self.in_file.push((offset, fault));
        }
        if !is_told || self.in_file.len() > TOLD_MAX {
            self.n_more += 1;
        }
        if self.in_file.len() > TOLD_MAX {
            let offsets = self.in_file.iter().map(|(offset, _)| *offset).enumerate();
            if let Some((last, _)) = offsets.max_by_key(|(_, offset)| *offset) {
                self.in_file.remove(last);
            }
        }
    }

    /// In the order of the file `config` with this text, with lines and columns; those of
    /// the command line last.
    pub(super) fn placed(self, config: Option<&Path>, text: &str) -> PlanFaults {
        let config = config.map(Path::to_path_buf);
        let mut in_file = self.in_file;
        in_file.sort_by_key(|(offset, _)| *offset);
        let placed = in_file.into_iter().map(|(offset, fault)| {
            // One of another file has its own line, or none.
            if fault.file != config {
                return fault;
            }
            let place = (offset < Self::AT_THE_END).then(|| position(text, offset));
            let (line, column) = place.unzip();
            PlanFault {
                line,
                column,
                ..fault
            }
        });
        PlanFaults {
            told: placed.chain(self.of_flags).collect(),
            n_more: self.n_more,
        }
    }
}

/// `a.toml:3:6: settings.ca`: the key at a byte of the config, for faults that are found
/// when it is used.
pub(super) fn place(config: Option<&Path>, text: &str, offset: usize, key: &str) -> String {
    let file = config.map_or_else(String::new, |path| {
        let (line, column) = position(text, offset);
        format!("{}:{line}:{column}: ", escaped(&path.display().to_string()))
    });
    file + key
}

/// Line and column of a byte, both from 1, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// The faults of a config and the flags beside it, in the order of the file,
/// those of the command line last. Of those in the file, the first 50 are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFaults {
    told: Vec<PlanFault>,
    n_more: usize,
}

impl PlanFaults {
    /// Each of those that are told.
    pub fn iter(&self) -> impl Iterator<Item = &PlanFault> {
        self.told.iter()
    }

    /// How many there are, those that are not told among them.
    pub fn len(&self) -> usize {
        self.told.len() + self.n_more
    }

    /// Whether there are no faults.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One line each.
impl fmt::Display for PlanFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.told.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        if self.n_more > 0 {
            write!(f, "\nand {} more", self.n_more)?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanFaults {}

impl From<PlanFaults> for UserError {
    fn from(faults: PlanFaults) -> Self {
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
        if let (1, [fault]) = (faults.len(), faults.told.as_slice()) {
            return with_hints(UserError::usage(fault.to_string()));
        }
        let mut what = plural(faults.len() as u64, "fault", "faults");
        for line in faults.to_string().lines() {
            what.push_str("\n  ");
            what.push_str(line);
        }
        with_hints(UserError::usage(what))
    }
}

/// The fault of a plan without an address.
pub(super) const NO_SERVER: &str = "there is no server to test";

/// The text, cut to what is worth repeating in a message.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// What somebody else says of a text that the user wrote, as it may stand in a message.
pub(super) fn said(what: &str) -> String {
    const CHARS_MAX: usize = 200;
    let first: String = what.chars().take(CHARS_MAX).collect();
    escaped(&first)
}

/// The text in backticks, cut likewise, with what [`escaped`] escapes.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", escaped(&shortened(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(file: Option<&str>, line: Option<usize>) -> PlanFault {
        PlanFault {
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
    fn a_fault_is_escaped() {
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
    fn places_count_lines_and_characters() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("é = 1\nb", 0), (1, 1));
        assert_eq!(position("é = 1\nb", 5), (1, 5));
        assert_eq!(position("é = 1\nb", 7), (2, 1));
        assert_eq!(position("é", 1), (1, 1));
        assert_eq!(position("a", 99), (1, 2));
    }

    #[test]
    fn the_first_fifty_faults_are_told_and_the_others_counted() {
        let text = "x\n".repeat(1000);
        let mut list = FaultList::default();
        // Neither in the order of the file nor against it.
        for i in 0..1000 {
            let line = i * 7 % 1000;
            list.push(Some(2 * line), fault(Some("a.toml"), None));
        }
        list.push(Some(FaultList::AT_THE_END), fault(Some("a.toml"), None));
        list.push(None, fault(None, None));
        let faults = list.placed(Some(Path::new("a.toml")), &text);
        let lines: Vec<_> = faults.iter().filter_map(|fault| fault.line).collect();
        assert_eq!(lines, (1..=50).collect::<Vec<_>>());
        assert_eq!(faults.len(), 1002);
        let told = faults.to_string();
        assert!(told.ends_with("\nand 951 more"), "{told}");
        let error = UserError::from(faults);
        assert!(error.what().starts_with("1,002 faults\n"));
    }

    #[test]
    fn faults_stand_in_the_order_of_the_file() {
        let file = Some("a.toml");
        let text = "x\n".repeat(9);
        let mut list = FaultList::default();
        list.push(None, fault(None, None));
        list.push(Some(16), fault(file, None));
        list.push(Some(FaultList::AT_THE_END), fault(file, None));
        list.push(Some(2), fault(file, None));
        let faults = list.placed(Some(Path::new("a.toml")), &text);
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
