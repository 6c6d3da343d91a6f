//! What becomes of a report at the end of a command: a file, and the summary.

use std::io;

use super::envelope::{AnyReport, Reported, cleaned};
use super::file::ReportFile;
use super::format::Format;
use super::format::json::Json;
use super::format::text::{SummaryOptions, Text};
use crate::error::UserError;
use crate::terminal::{Layout, Terminal, forgive_broken_pipe, in_memory};

/// A report that was delivered.
#[derive(Debug)]
pub struct Delivered<R> {
    /// The report, without secrets.
    pub report: R,
    /// Whether the file was written, if it was wished for.
    pub written: Result<(), UserError>,
    /// Whether the summary was shown.
    pub shown: Result<(), UserError>,
}

/// Writes the report, if it is wished for, and shows the summary. The report is
/// kept even where nobody reads the summary, and what was measured is shown even
/// where the report cannot be written.
///
/// The summary goes to stdout, or to stderr where the report is on stdout. There
/// `quiet` leaves it out.
pub fn deliver<R: Reported>(
    file: Option<ReportFile>,
    report: R,
    quiet: bool,
    terminal: &Terminal,
) -> Delivered<R> {
    let redactor = terminal.redactor();
    let report = cleaned(report, &redactor);
    if let Some(word) = own_word(report.any()) {
        terminal.keep(word);
    }
    let is_on_stdout = file.as_ref().is_some_and(|file| file.path().is_none());
    let written = file.map(|file| {
        let bytes = in_memory(false, |out| Json { redactor }.write(report.any(), out));
        file.commit(bytes)
    });
    let written = written.transpose().map(Option::flatten);
    let path = written.as_ref().ok().and_then(Option::as_ref);
    let report_path = path.map(|path| path.display().to_string());
    if let Some(path) = &report_path {
        terminal.keep(path);
    }
    let text = |layout: Layout| {
        Text(SummaryOptions {
            layout,
            report_path,
        })
    };
    let shown = match (is_on_stdout, quiet) {
        (true, true) => Ok(()),
        (true, false) => text(terminal.stderr_layout())
            .write(report.any(), &mut terminal.stderr())
            .or_else(forgive_broken_pipe),
        (false, _) => terminal.print(&text(terminal.stdout_layout()).lines(report.any())),
    };
    let could_not =
        |error: io::Error| UserError::could_not_run(format!("cannot write the summary: {error}"));
    Delivered {
        report,
        written: written.map(|_| ()),
        shown: shown.map_err(could_not),
    }
}

/// A word of the program's own that is shown as it is, though a secret may be
/// spelled alike: the revision of the protocol.
fn own_word(report: AnyReport<'_>) -> Option<&str> {
    match report {
        AnyReport::Run(report) => Some(&report.server.revision),
        AnyReport::Find(report) => Some(&report.server.revision),
        AnyReport::Calibration(_) => None,
    }
}
