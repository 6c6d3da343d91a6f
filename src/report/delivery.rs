//! What becomes of a report at the end of a command: a file, and the summary.

use std::io;

use super::envelope::{AnyReport, Reported, Stored, cleaned};
use super::file::ReportFile;
use super::format::json::{Json, harmless};
use super::format::text::{SummaryOptions, Text};
use super::format::{Format, FormatChoice};
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
    Delivered {
        report,
        written: written.map(|_| ()),
        shown: shown.map_err(could_not_show),
    }
}

/// Writes a stored report in a form: the text as the fresh one was shown, JSON as it
/// is stored. `path` names its file; `None` where it has none.
///
/// # Errors
/// Where the file system or the stream refuses.
pub fn show(
    stored: Stored,
    path: Option<&str>,
    format: FormatChoice,
    output: ReportFile,
    terminal: &Terminal,
) -> Result<(), UserError> {
    let report = stored.report.cleaned(&terminal.redactor());
    let report = report.any();
    let own = [own_word(report), path];
    own.into_iter().flatten().for_each(|own| terminal.keep(own));
    let is_on_stdout = output.path().is_none();
    let options = SummaryOptions {
        layout: match is_on_stdout {
            true => terminal.stdout_layout(),
            false => Layout::endless(),
        },
        report_path: path.map(str::to_string),
    };
    if (format, is_on_stdout) == (FormatChoice::Text, true) {
        let lines = Text(options).lines(report);
        return terminal.print(&lines).map_err(could_not_show);
    }
    let bytes = match format {
        FormatChoice::Json => Ok(harmless(&stored.document).into_bytes()),
        _ => in_memory(false, |out| format.format(options).write(report, out)),
    };
    output.commit(bytes).map(|_| ())
}

fn could_not_show(error: io::Error) -> UserError {
    UserError::could_not_run(format!("cannot write the summary: {error}"))
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
