//! What GitHub Actions shows of a report: the summary of the job's step, and
//! annotations, which are lines that its runner reads from the output.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::checks::{Check, CheckGrade, checks, not_made};
use super::envelope::AnyReport;
use super::format::markdown::{self, Markdown};
use super::place::open_device;
use super::summary::OperationOrder;
use crate::error::UserError;
use crate::files::reason;
use crate::text::blanked;

/// The summary of a step, in bytes: a larger one is dropped as a whole.
const SUMMARY_BYTES_MAX: u64 = 1 << 20;

/// Annotations of a kind that a step shows.
const ANNOTATIONS_MAX: usize = 10;

/// Characters of an annotation's title and text.
const TEXT_CHARS_MAX: usize = 500;

/// The file of the step's summary, opened before there is anything to add to it.
#[derive(Debug)]
pub struct StepSummary {
    path: PathBuf,
    file: File,
}

impl StepSummary {
    /// Opens it. What others wrote before in this step stays.
    ///
    /// # Errors
    /// Why it cannot be written, as a fragment.
    pub fn open(path: &Path) -> Result<Self, String> {
        let file = match path.exists() && !path.is_file() {
            true => open_device(path).map_err(|(why, _)| why)?,
            false => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                file.map_err(|error| reason(&error))?
            }
        };
        let path = path.to_path_buf();
        Ok(Self { path, file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the report, cut to what the step's summary has room for.
    ///
    /// # Errors
    /// Where the file system refuses, or there is no room for the conclusion.
    pub fn append(self, report: AnyReport<'_>, order: OperationOrder) -> io::Result<()> {
        self.add(|bytes_max| Markdown { bytes_max, order }.text(report))
    }

    /// Adds why nothing could be measured.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub(super) fn append_failure(self, error: &UserError) -> io::Result<()> {
        self.add(|bytes_max| {
            let text = markdown::could_not_run(error);
            if text.len() > bytes_max {
                String::new()
            } else {
                text
            }
        })
    }

    /// Adds the text that there is for so many bytes.
    fn add(mut self, text: impl FnOnce(usize) -> String) -> io::Result<()> {
        let n_before = self.file.metadata()?.len();
        let gap = if n_before > 0 { "\n" } else { "" };
        let room = SUMMARY_BYTES_MAX.saturating_sub(n_before + gap.len() as u64);
        let text = text(usize::try_from(room).unwrap_or(usize::MAX));
        if text.is_empty() {
            return Err(io::Error::other(
                "earlier commands of this step have filled it",
            ));
        }
        self.file.write_all(format!("{gap}{text}").as_bytes())
    }
}

/// A line for each check that is to be seen: errors, and warnings.
pub(super) fn annotations(report: AnyReport<'_>) -> Vec<String> {
    of_checks(&checks(report))
}

/// The line of what could not be measured.
pub(super) fn failure_annotations(error: &UserError) -> Vec<String> {
    of_checks(&[not_made(error)])
}

fn of_checks(checks: &[Check]) -> Vec<String> {
    let of = |command: &str, grades: [CheckGrade; 2]| {
        let found: Vec<_> = checks
            .iter()
            .filter(|check| grades.contains(&check.grade))
            .collect();
        let n_shown = match found.len() {
            n if n <= ANNOTATIONS_MAX => n,
            _ => ANNOTATIONS_MAX - 1,
        };
        let mut lines: Vec<String> = found[..n_shown]
            .iter()
            .map(|check| annotation(command, &check.name, &check.text))
            .collect();
        if n_shown < found.len() {
            let text = format!("and {} more: see the report", found.len() - n_shown);
            lines.push(annotation(command, "more", &text));
        }
        lines
    };
    let errors = of("error", [CheckGrade::Failed, CheckGrade::Broken]);
    let warnings = of("warning", [CheckGrade::Warned, CheckGrade::Unclear]);
    [errors, warnings].concat()
}

/// `::error title=load test%3A echo p99<200ms::p99 is 250 ms`.
fn annotation(command: &str, title: &str, text: &str) -> String {
    let cut = |text: &str| -> String { blanked(text).chars().take(TEXT_CHARS_MAX).collect() };
    let title = escaped_property(&format!("load test: {}", cut(title)));
    format!("::{command} title={title}::{}", escaped_data(&cut(text)))
}

/// By GitHub's rules: what ends a line, and the escape's own sign.
fn escaped_data(text: &str) -> String {
    let text = text.replace('%', "%25");
    text.replace('\r', "%0D").replace('\n', "%0A")
}

/// The same, and what ends a property.
fn escaped_property(text: &str) -> String {
    escaped_data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the runner reads it: command, title, text.
    fn read(line: &str) -> (String, String, String) {
        let rest = line.strip_prefix("::").expect("a command");
        let (head, data) = rest.split_once("::").expect("an end of the head");
        let (command, properties) = head.split_once(' ').expect("properties");
        assert!(!properties.contains(','), "one property: {line}");
        let title = properties.strip_prefix("title=").expect("a title");
        let unescaped = |text: &str, pairs: &[(&str, &str)]| {
            let mut text = text.to_string();
            pairs
                .iter()
                .for_each(|(escape, c)| text = text.replace(escape, c));
            text
        };
        let data_pairs = [("%0D", "\r"), ("%0A", "\n"), ("%25", "%")];
        let property_pairs = [
            ("%0D", "\r"),
            ("%0A", "\n"),
            ("%3A", ":"),
            ("%2C", ","),
            ("%25", "%"),
        ];
        (
            command.to_string(),
            unescaped(title, &property_pairs),
            unescaped(data, &data_pairs),
        )
    }

    proptest! {
        #[test]
        fn an_annotation_is_read_as_it_was_meant(title in "\\PC{0,30}|[:,%\\r\\n]{0,8}", text: String) {
            let line = annotation("error", &title, &text);
            prop_assert!(!line.contains(['\n', '\r']));
            let (command, found_title, found) = read(&line);
            prop_assert_eq!(command, "error");
            prop_assert_eq!(found_title, format!("load test: {}", blanked(&title)));
            prop_assert_eq!(found, blanked(&text).chars().take(TEXT_CHARS_MAX).collect::<String>());
        }
    }
}
